//! Critical events (Xid) that devices report.

use nvml_wrapper_sys::bindings as sys;
use rampmeter::Nanos;

use super::inventory::no_events;
use super::library::{Api, call};
use super::values::Handle;
use crate::device::{Device, Health, Loss};
use crate::reading::Reading;

/// Critical events only: the others are single-bit errors and clock changes.
const XID: u64 = sys::nvmlEventTypeXidCriticalError as u64;

/// The GPU has fallen off the bus.
const XID_OFF_THE_BUS: u64 = 79;

/// Most events taken at once. A device that fails reports the same event in a storm; what is left
/// is taken next time.
const EVENTS_AT_ONCE: u32 = 16;

/// Where the driver puts events, if it can.
#[derive(Debug, Default)]
pub(super) struct Events {
    set: Option<sys::nvmlEventSet_t>,
}

impl Events {
    /// Listens to every GPU of a new inventory.
    pub(super) fn listen(&mut self, api: &Api, devices: &mut [Device], handles: &[Option<Handle>]) {
        self.close(api);
        let mut set: sys::nvmlEventSet_t = std::ptr::null_mut();
        let made = call!(api, EVENT_SET_CREATE, nvmlEventSetCreate(&raw mut set));
        if made.is_err() || set.is_null() {
            return;
        }
        self.set = Some(set);
        let gpus = devices
            .iter_mut()
            .zip(handles)
            .filter(|(device, _)| device.parent.is_none() && device.health == Health::Ready);
        for (device, handle) in gpus {
            let Some(handle) = *handle else { continue };
            let mut kinds = 0;
            let told =
                call!(api, EVENT_TYPES, nvmlDeviceGetSupportedEventTypes(handle, &raw mut kinds));
            if told.is_err() || kinds & XID == 0 {
                continue;
            }
            let listens = call!(api, REGISTER_EVENTS, nvmlDeviceRegisterEvents(handle, XID, set));
            match listens {
                Ok(()) if device.xid.value().is_none() => device.xid = no_events(),
                Ok(()) => {}
                Err(fault) => device.xid = fault.reading(),
            }
        }
    }

    /// Takes what was reported, without waiting for more.
    pub(super) fn read(&self, api: &Api, devices: &mut [Device], handles: &[Option<Handle>]) {
        let Some(set) = self.set else { return };
        for device in devices.iter_mut() {
            if let Reading::Ok { age, .. } = &mut device.xid {
                *age = Nanos(0);
            }
        }
        for _ in 0..EVENTS_AT_ONCE {
            let mut event = sys::nvmlEventData_t {
                device: std::ptr::null_mut(),
                eventType: 0,
                eventData: 0,
                gpuInstanceId: 0,
                computeInstanceId: 0,
            };
            // Any status but success, most of all a timeout: nothing more now.
            if call!(api, EVENT_SET_WAIT, nvmlEventSetWait_v2(set, &raw mut event, 0)).is_err() {
                return;
            }
            let at = handles.iter().position(|handle| *handle == Some(event.device));
            if let Some(device) = at.and_then(|at| devices.get_mut(at))
                && event.eventType & XID != 0
            {
                take(device, event.eventData);
            }
        }
    }

    /// Gives the set back.
    pub(super) fn close(&mut self, api: &Api) {
        if let Some(set) = self.set.take() {
            // There is nothing to be done about a set that cannot be freed.
            let _ = call!(api, EVENT_SET_FREE, nvmlEventSetFree(set));
        }
    }
}

fn take(device: &mut Device, xid: u64) {
    if let Reading::Ok { value, .. } = &mut device.xid {
        value.count = value.count.saturating_add(1);
        (value.last, value.last_age) = (xid, Nanos(0));
    }
    if xid == XID_OFF_THE_BUS {
        device.health = Health::Lost(Loss::Xid79);
    }
}
