//! Which devices there are, and what of them does not change while they work.
//!
//! A device that is there stays listed, whatever its calls answer: one that is lost takes its name
//! from the inventory before, so that whoever joins by identifier learns that it is lost.

use super::library::{Api, Fault, call, reading, status};
use super::values::{self, Handle, text, whole};
use super::{Nvml, YOUNG, note};
use crate::call::Call;
use crate::condition::Condition;
use crate::device::{Device, DeviceKind, Health, Instance, Loss, XidEvents};
use crate::reading::Reading;
use crate::snapshot::{DEVICES_MAX, GPUS_MAX, Path, Snapshot};

/// Most instances of one GPU: 7 on all that are sold. A driver that claims more is not believed.
const INSTANCES_MAX: u32 = 16;

impl Nvml {
    /// Reads the inventory anew. A fault: the driver does not even count devices.
    pub(super) fn read_inventory(&mut self, api: &Api) -> Result<(), Fault> {
        let mut count = u32::MAX;
        call!(api, COUNT, nvmlDeviceGetCount_v2(&raw mut count))?;
        if count == u32::MAX {
            return Err(Fault::implausible(Call::COUNT));
        }
        std::mem::swap(&mut self.before, &mut self.snapshot.devices);
        self.snapshot.clear(if count == 0 { Condition::NoDevices } else { Condition::Ready });
        self.handles.clear();
        // Each has a place of its own or is counted as left out: no more than there are places.
        for index in 0..count.min(DEVICES_MAX as u32) {
            self.add_gpu(api, index);
        }
        self.snapshot.devices_left_out += count.saturating_sub(DEVICES_MAX as u32);
        self.remember();
        self.events.listen(api, &mut self.snapshot.devices, &self.handles);
        self.read_paths(api);
        Ok(())
    }

    fn add_gpu(&mut self, api: &Api, index: u32) {
        let mut handle: Handle = std::ptr::null_mut();
        let told =
            call!(api, HANDLE_BY_INDEX, nvmlDeviceGetHandleByIndex_v2(index, &raw mut handle));
        let told = match told {
            Ok(()) if handle.is_null() => Err(Fault::implausible(Call::HANDLE_BY_INDEX)),
            told => told,
        };
        let mut gpu = Device { index, ..Device::default() };
        if let Err(fault) = told {
            gpu.health = fault.loss().map_or(Health::Unreachable, Health::Lost);
            gpu.memory = fault.reading();
            self.push(&gpu, None);
            return;
        }
        gpu.uuid = text(|out, len| call!(api, UUID, nvmlDeviceGetUUID(handle, out, len)))
            .unwrap_or_default();
        let name = text(|out, len| call!(api, NAME, nvmlDeviceGetName(handle, out, len)));
        match name {
            Ok(name) => gpu.name = name,
            // The first call that has no answer of its own to keep: it says so if the GPU is lost.
            Err(fault) => note(&mut gpu, fault),
        }
        if gpu.health == Health::Ready {
            describe(api, handle, &mut gpu);
        }
        let is_cut = gpu.mig == Reading::now(true);
        let Some(place) = self.push(&gpu, Some(handle)) else { return };
        if is_cut {
            self.add_instances(api, handle, place);
        }
    }

    fn add_instances(&mut self, api: &Api, gpu: Handle, place: u16) {
        let mut most = u32::MAX;
        let told = call!(api, MIG_COUNT_MAX, nvmlDeviceGetMaxMigDeviceCount(gpu, &raw mut most));
        let most = if told.is_ok() { most.min(INSTANCES_MAX) } else { INSTANCES_MAX };
        for index in 0..most {
            let mut handle: Handle = std::ptr::null_mut();
            let told = call!(
                api,
                MIG_HANDLE,
                nvmlDeviceGetMigDeviceHandleByIndex(gpu, index, &raw mut handle)
            );
            match told {
                Ok(()) if !handle.is_null() => {
                    let instance = self.instance(api, handle, place, index);
                    self.push(&instance, Some(handle));
                }
                // Past the last one. Others may be missing in between.
                Err(Fault { code: status::INVALID_ARGUMENT, .. }) => break,
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn instance(&self, api: &Api, handle: Handle, place: u16, index: u32) -> Device {
        let gpu = self.snapshot.devices.get(usize::from(place)).copied().unwrap_or_default();
        let (mut in_gpu, mut in_instance) = (u32::MAX, u32::MAX);
        let told = [
            call!(api, GPU_INSTANCE, nvmlDeviceGetGpuInstanceId(handle, &raw mut in_gpu)),
            call!(
                api,
                COMPUTE_INSTANCE,
                nvmlDeviceGetComputeInstanceId(handle, &raw mut in_instance)
            ),
        ];
        let id = |told: Result<(), Fault>, id: u32| told.ok().and(Some(id)).filter(|id| *id != !0);
        Device {
            uuid: text(|out, len| call!(api, UUID, nvmlDeviceGetUUID(handle, out, len)))
                .unwrap_or_default(),
            parent: Some(place),
            index,
            kind: DeviceKind::Mig,
            name: text(|out, len| call!(api, NAME, nvmlDeviceGetName(handle, out, len)))
                .unwrap_or_default(),
            instance: Some(Instance {
                gpu: id(told[0], in_gpu),
                compute: id(told[1], in_instance),
            }),
            // Of the GPU that it is a part of.
            pci: gpu.pci,
            compute_capability: gpu.compute_capability,
            numa: gpu.numa,
            cpus: gpu.cpus,
            ..Device::default()
        }
    }

    /// Gives a device its place; none where all are taken.
    fn push(&mut self, device: &Device, handle: Option<Handle>) -> Option<u16> {
        let place = self.snapshot.devices.len();
        if place >= DEVICES_MAX {
            self.snapshot.devices_left_out += 1;
            return None;
        }
        self.snapshot.devices.push(*device);
        self.handles.push(handle);
        Some(place as u16)
    }

    /// Takes over from the inventory before what this one does not tell.
    fn remember(&mut self) {
        let devices = &mut self.snapshot.devices;
        for at in 0..devices.len() {
            let now = devices[at];
            let same = |before: &&Device| {
                if !now.uuid.is_empty() {
                    return before.uuid == now.uuid;
                }
                // Nameless: the one that was at this place of the driver's list, unless it has
                // moved to another one.
                before.index == now.index
                    && before.parent.is_none() == now.parent.is_none()
                    && devices.iter().all(|device| device.uuid != before.uuid)
            };
            let Some(before) = self.before.iter().find(same).copied() else { continue };
            let device = &mut devices[at];
            device.xid = before.xid;
            if before.health == Health::Lost(Loss::Xid79) && device.health == Health::Ready {
                device.health = before.health;
            }
            if device.uuid.is_empty() {
                (device.uuid, device.name) = (before.uuid, before.name);
                (device.pci, device.compute_capability) = (before.pci, before.compute_capability);
                (device.numa, device.cpus) = (before.numa, before.cpus);
            }
        }
    }

    fn read_paths(&mut self, api: &Api) {
        let Self { snapshot, handles, .. } = self;
        for a in 0..handles.len() {
            for b in a + 1..handles.len() {
                let (Some(from), Some(to)) = (gpu(snapshot, handles, a), gpu(snapshot, handles, b))
                else {
                    continue;
                };
                let mut level = u32::MAX;
                let told = call!(
                    api,
                    COMMON_ANCESTOR,
                    nvmlDeviceGetTopologyCommonAncestor(from.1, to.1, &raw mut level)
                );
                if told.is_ok() {
                    snapshot.set_path(from.0, to.0, path(level));
                }
            }
        }
    }
}

/// Number and handle of a device, if it is a GPU that paths are told of.
fn gpu(snapshot: &Snapshot, handles: &[Option<Handle>], at: usize) -> Option<(usize, Handle)> {
    let device = snapshot.devices.get(at)?;
    let is_told = device.parent.is_none()
        && device.health == Health::Ready
        && (device.index as usize) < GPUS_MAX;
    (*handles.get(at)?).filter(|_| is_told).map(|handle| (device.index as usize, handle))
}

/// What does not change while a GPU works.
fn describe(api: &Api, handle: Handle, gpu: &mut Device) {
    gpu.pci = reading(values::pci(api, handle));
    gpu.compute_capability = reading(values::compute_capability(api, handle));
    gpu.numa = reading(values::numa(api, handle));
    gpu.cpus = reading(values::cpus(api, handle));
    gpu.mig = reading(values::mig(api, handle));
    gpu.nvlinks = whole(gpu.mig.value() != Some(&true), || values::nvlinks(api, handle));
}

/// NVML's topology level.
const fn path(level: u32) -> Path {
    match level {
        0 => Path::Board,
        10 => Path::Switch,
        20 => Path::Switches,
        30 => Path::HostBridge,
        40 => Path::Node,
        50 => Path::System,
        _ => Path::Unknown,
    }
}

/// Events of a device that is listened to from now on.
pub(super) const fn no_events() -> Reading<XidEvents> {
    Reading::Ok { value: XidEvents { count: 0, last: 0, last_age: YOUNG }, age: YOUNG }
}
