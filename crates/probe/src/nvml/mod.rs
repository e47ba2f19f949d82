//! NVML: NVIDIA's management library, which a driver brings along.
//!
//! # What it decides
//! Nothing. It reads what is due of every device, and keeps the rest.
//!
//! # States
//! ```text
//! Closed -> Open     the library is there and nvmlInit succeeds; the inventory is read
//! Open   -> Closed   the driver says that it is not initialised, or does not count devices;
//!                    or this is a forked child, for which the parent's state is worth nothing
//! ```
//! Each read of a closed probe tries to open it. A device that is lost is asked for its memory only,
//! until it answers; the others are read as ever.
//!
//! # Bounds and cost
//! One driver call for each reading, two for power, clocks and, the first time, memory. At most
//! [`DEVICES_MAX`](crate::snapshot::DEVICES_MAX) devices. What is allocated is allocated by
//! [`Nvml::new`] and when a library is loaded. It never uses CUDA.
//!
//! # What it is bad at
//! A call that hangs holds up all that come after it, since the driver has one lock for all devices.
//!
//! # Source
//! NVML's headers by `nvml-wrapper-sys`; `docs/decisions/0018-the-probe.md` says why not the wrapper
//! above it.
#![allow(unsafe_code, reason = "a C library; each block says what it relies on")]

mod events;
mod host;
mod inventory;
mod library;
mod processes;
mod values;

use std::path::PathBuf;
use std::sync::Arc;

use rampmeter::Nanos;

use crate::clock;
use crate::condition::Condition;
use crate::device::{Device, DeviceKind, Health, Loss, Memory, ProcessList};
use crate::probe::{Due, Probe};
use crate::reading::Reading;
use crate::snapshot::{DEVICES_MAX, Driver, PROCESSES_MAX, Snapshot, Source};
use crate::watch::Watch;
use events::Events;
use library::{Api, Fault, call, reading, status};
use processes::Buffer;
use values::{Handle, Versions, text, whole};

/// GPUs through NVML.
pub struct Nvml {
    path: Option<PathBuf>,
    watch: Arc<Watch>,
    /// The library, once it was found.
    api: Option<Api>,
    is_open: bool,
    /// Which process opened it.
    pid: u32,
    snapshot: Snapshot,
    /// The handle of each device of the snapshot; none for a device that gave none.
    handles: Vec<Option<Handle>>,
    /// The inventory before this one, kept to reuse its room.
    before: Vec<Device>,
    versions: Versions,
    events: Events,
    buffer: Buffer,
}

// SAFETY: handles and event sets are NVML's names for things of the process, not of a thread, and
// NVML may be called from any thread. A probe is used by one thread at a time (`&mut`).
unsafe impl Send for Nvml {}

impl Default for Nvml {
    fn default() -> Self {
        Self::new()
    }
}

impl Nvml {
    /// Of the driver of this machine, which is looked for at the first read. Allocates all that it
    /// will need.
    #[must_use]
    pub fn new() -> Self {
        Self::at(None)
    }

    /// Of the library in this file.
    #[must_use]
    pub fn with_library(path: impl Into<PathBuf>) -> Self {
        Self::at(Some(path.into()))
    }

    fn at(path: Option<PathBuf>) -> Self {
        let mut snapshot = Snapshot::with_room();
        snapshot.source = Source::Nvml;
        Self {
            path,
            watch: Arc::default(),
            api: None,
            is_open: false,
            pid: std::process::id(),
            snapshot,
            handles: Vec::with_capacity(DEVICES_MAX),
            before: Vec::with_capacity(DEVICES_MAX),
            versions: Versions::default(),
            events: Events::default(),
            buffer: Buffer::default(),
        }
    }

    /// Opens the driver if it is not open. True if it was opened just now.
    fn open(&mut self) -> Result<bool, Condition> {
        let pid = std::process::id();
        if pid != self.pid {
            // What was opened belongs to the parent: its handles, its events, its count of users.
            (self.pid, self.is_open) = (pid, false);
            self.events = Events::default();
        }
        if self.is_open {
            return Ok(false);
        }
        let api = match &self.api {
            Some(api) => api.clone(),
            None => Api::load(self.path.as_ref(), &self.watch)?,
        };
        self.api = Some(api.clone());
        call!(api, INIT, nvmlInit_v2()).map_err(|fault| match fault.loss() {
            // Nothing can be listed; which one it is cannot be told.
            Some(_) => Condition::Failed { call: fault.call, code: fault.code },
            None => Condition::of_nvml(fault.call, fault.code),
        })?;
        self.is_open = true;
        self.versions = Versions::default();
        self.snapshot.driver = driver(&api);
        Ok(true)
    }

    /// Reads memory of every device; with it, whether lost ones have come back.
    fn read_memory(&mut self, api: &Api) {
        let (mut asked, mut unknown) = (0, 0);
        for (device, handle) in self.snapshot.devices.iter_mut().zip(&self.handles) {
            let Some(handle) = *handle else { continue };
            let answer = values::memory(api, &mut self.versions, handle);
            asked += 1;
            unknown += usize::from(answer.is_err_and(|fault| fault.code == status::UNKNOWN));
            if let Err(fault) = answer {
                note(device, fault);
                if fault.code == status::UNINITIALIZED {
                    self.is_open = false;
                }
            } else if matches!(device.health, Health::Lost(Loss::Gone | Loss::ResetRequired)) {
                device.health = Health::Ready;
            }
            device.memory = match answer {
                Err(fault) if fault.code == status::NOT_SUPPORTED => unified(device),
                answer => reading(answer),
            };
        }
        if asked > 0 && unknown == asked {
            self.snapshot.condition = Condition::AccessLost;
            self.is_open = false;
        }
    }

    fn read_utilization(&mut self, api: &Api) {
        for (device, handle) in ready(&mut self.snapshot.devices, &self.handles) {
            // The driver does not tell it of a GPU that is cut up, nor of its parts.
            let is_cut = device.kind == DeviceKind::Mig || device.mig.value() == Some(&true);
            device.utilization = whole(!is_cut, || values::utilization(api, handle));
            note_if(device, fault_of(&device.utilization));
        }
    }

    fn read_condition(&mut self, api: &Api) {
        for (device, handle) in ready(&mut self.snapshot.devices, &self.handles) {
            let is_whole = device.kind != DeviceKind::Mig;
            device.power = whole(is_whole, || values::power(api, handle));
            device.clocks = whole(is_whole, || values::clocks(api, handle));
            device.temperature_c = whole(is_whole, || values::temperature_c(api, handle));
            device.throttle = whole(is_whole, || values::throttle(api, handle));
            note_if(device, fault_of(&device.power));
        }
        self.events.read(api, &mut self.snapshot.devices, &self.handles);
    }

    fn read_processes(&mut self, api: &Api) {
        let Snapshot { devices, processes, .. } = &mut self.snapshot;
        processes.clear();
        for (device, handle) in ready(devices, &self.handles) {
            let first = processes.len();
            let room = PROCESSES_MAX - first;
            device.processes = match self.buffer.read(api, handle) {
                Ok((entries, found)) => {
                    processes.extend(entries.take(room));
                    let listed = processes.len() - first;
                    Reading::now(ProcessList { first: first as u32, listed: listed as u32, found })
                }
                Err(fault) => fault.reading(),
            };
            note_if(device, fault_of(&device.processes));
        }
        for device in devices.iter_mut().filter(|device| device.health != Health::Ready) {
            // Their places in the list are gone.
            if device.processes.value().is_some() {
                device.processes = Reading::Unsupported;
            }
        }
    }
}

impl Probe for Nvml {
    fn source(&self) -> Source {
        Source::Nvml
    }

    fn read(&mut self, due: Due) -> &Snapshot {
        self.snapshot.advance_to(clock::now());
        self.snapshot.seq += 1;
        let opened = match self.open() {
            Ok(opened) => opened,
            Err(condition) => {
                self.forget(condition);
                return &self.snapshot;
            }
        };
        let Some(api) = self.api.clone() else { return &self.snapshot };
        // Other devices have other values.
        let due = if opened || due.contains(Due::INVENTORY) { Due::ALL } else { due };
        if due.contains(Due::INVENTORY)
            && let Err(fault) = self.read_inventory(&api)
        {
            self.is_open = false;
            self.forget(Condition::of_nvml(fault.call, fault.code));
            return &self.snapshot;
        }
        for (group, read) in [
            (Due::MEMORY, Self::read_memory as fn(&mut Self, &Api)),
            (Due::UTILIZATION, Self::read_utilization),
            (Due::CONDITION, Self::read_condition),
            (Due::PROCESSES, Self::read_processes),
        ] {
            if due.contains(group) {
                read(self, &api);
            }
        }
        // What was read first has aged while the rest was read.
        self.snapshot.advance_to(clock::now());
        &self.snapshot
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    fn close(&mut self) {
        let is_ours = std::process::id() == self.pid;
        if let (true, true, Some(api)) = (self.is_open, is_ours, self.api.clone()) {
            self.events.close(&api);
            // There is nothing to be done about a library that cannot be closed.
            let _ = call!(api, SHUTDOWN, nvmlShutdown());
        }
        self.is_open = false;
        self.events = Events::default();
    }
}

impl Nvml {
    /// Nothing is known any more, for this reason.
    fn forget(&mut self, condition: Condition) {
        self.snapshot.clear(condition);
        self.handles.clear();
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        self.close();
    }
}

/// Devices that can be asked, with their handles.
fn ready<'a>(
    devices: &'a mut [Device],
    handles: &'a [Option<Handle>],
) -> impl Iterator<Item = (&'a mut Device, Handle)> {
    devices.iter_mut().zip(handles).filter_map(|(device, handle)| {
        handle.filter(|_| device.health == Health::Ready).map(|handle| (device, handle))
    })
}

/// Takes note of what a failed call says about a device.
fn note(device: &mut Device, fault: Fault) {
    let Some(loss) = fault.loss() else { return };
    if device.health == Health::Ready {
        device.health = Health::Lost(loss);
    }
    device.memory = fault.reading();
    device.utilization = fault.reading();
    device.processes = fault.reading();
    device.power = fault.reading();
    device.clocks = fault.reading();
    device.temperature_c = fault.reading();
    device.throttle = fault.reading();
}

fn note_if(device: &mut Device, fault: Option<Fault>) {
    if let Some(fault) = fault {
        note(device, fault);
    }
}

const fn fault_of<T>(reading: &Reading<T>) -> Option<Fault> {
    match reading {
        Reading::Failed { call, code } => Some(Fault { call: *call, code: *code }),
        Reading::Ok { .. } | Reading::Unsupported | Reading::Denied => None,
    }
}

/// Memory of a device whose driver does not tell it: that of the host, if they share it.
fn unified(device: &mut Device) -> Reading<Memory> {
    let capability = device.compute_capability.value().copied().unwrap_or_default();
    if !capability.is_integrated() {
        return Reading::Unsupported;
    }
    device.kind = DeviceKind::Unified;
    host::memory()
}

fn driver(api: &Api) -> Driver {
    let version = text(|out, len| call!(api, DRIVER_VERSION, nvmlSystemGetDriverVersion(out, len)));
    let nvml = text(|out, len| call!(api, NVML_VERSION, nvmlSystemGetNVMLVersion(out, len)));
    let mut cuda = 0;
    let told = call!(api, CUDA_VERSION, nvmlSystemGetCudaDriverVersion_v2(&raw mut cuda));
    Driver {
        version: version.unwrap_or_default(),
        nvml: nvml.unwrap_or_default(),
        cuda: told.ok().and_then(|()| u32::try_from(cuda).ok()).unwrap_or(0),
    }
}

/// An age that nothing has yet.
const YOUNG: Nanos = Nanos(0);
