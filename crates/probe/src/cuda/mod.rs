//! CUDA: which number each device has in this process, and memory inside of a context.
//!
//! # What it decides
//! Nothing, and it starts nothing by itself. `cuInit` makes a process unfit for forking and freezes
//! `CUDA_VISIBLE_DEVICES`; a context takes hundreds of MiB of every device that it is on. So there
//! are three grades of permission ([`Permission`]), and each but the least has to be asked for.
//!
//! # Bounds and cost
//! Each read asks everything: some ten calls for each device, and four more for memory.
//!
//! # What it is bad at
//! It sees devices as this process does: those that `CUDA_VISIBLE_DEVICES` leaves, of a cut GPU one
//! instance. It knows neither load nor heat. Use NVML ([`crate::nvml`]) and join
//! ([`Cuda::join`]).
#![allow(unsafe_code, reason = "a C library; each block says what it relies on")]

mod library;

use std::ffi::c_int;
use std::sync::Arc;

use rampmeter::Bytes;

use crate::call::Call;
use crate::clock;
use crate::condition::Condition;
use crate::device::{
    ComputeCapability, Device, DeviceKind, Health, Memory, MemoryBasis, PciAddress,
};
use crate::ordinal;
use crate::probe::{Due, Probe};
use crate::reading::Reading;
use crate::snapshot::{DEVICES_MAX, Driver, Snapshot, Source};
use crate::text::Text;
use crate::watch::Watch;
use library::{Context, Symbols, status, symbols};

/// What a probe may do to the process.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Permission {
    /// Ask, if the host has started CUDA itself.
    #[default]
    Look,
    /// Start CUDA (`cuInit`). The process must not be forked afterwards.
    Start,
    /// Start it, and make a context on every device to read its memory. Takes hundreds of MiB of
    /// each while it is read.
    MakeContexts,
}

/// Attributes of CUDA's headers.
mod attribute {
    pub(super) const INTEGRATED: i32 = 18;
    pub(super) const PCI_BUS: i32 = 33;
    pub(super) const PCI_DEVICE: i32 = 34;
    pub(super) const PCI_DOMAIN: i32 = 50;
    pub(super) const CAPABILITY_MAJOR: i32 = 75;
    pub(super) const CAPABILITY_MINOR: i32 = 76;
}

/// A call that gave no answer.
#[derive(Clone, Copy, Debug)]
struct Fault {
    call: Call,
    code: u32,
}

impl Fault {
    const fn reading<T>(self) -> Reading<T> {
        match self.code {
            status::NOT_SUPPORTED | status::NOT_FOUND => Reading::Unsupported,
            status::NOT_PERMITTED => Reading::Denied,
            code => Reading::Failed { call: self.call, code },
        }
    }

    const fn implausible(call: Call) -> Self {
        Self { call, code: status::SUCCESS }
    }
}

fn reading<T>(answer: Result<T, Fault>) -> Reading<T> {
    match answer {
        Ok(value) => Reading::now(value),
        Err(fault) => fault.reading(),
    }
}

/// GPUs through CUDA.
#[derive(Debug)]
pub struct Cuda {
    permission: Permission,
    watch: Arc<Watch>,
    snapshot: Snapshot,
}

impl Cuda {
    /// A probe with this permission. Does nothing yet.
    #[must_use]
    pub fn new(permission: Permission) -> Self {
        let mut snapshot = Snapshot::with_room();
        snapshot.source = Source::Cuda;
        Self { permission, watch: Arc::default(), snapshot }
    }

    /// Tells each device of a snapshot its number in CUDA of this process, joined by identifier.
    /// Asks CUDA for all devices. The condition says whether it could be asked; what it did not
    /// name has no number.
    pub fn join(&mut self, snapshot: &mut Snapshot) -> Condition {
        let known = self.read(Due::ALL);
        for device in &mut snapshot.devices {
            let bytes = ordinal::uuid_bytes(device.uuid.as_str());
            let same = known
                .devices
                .iter()
                .find(|other| bytes.is_some() && ordinal::uuid_bytes(other.uuid.as_str()) == bytes);
            device.cuda_ordinal = same.and_then(|other| other.cuda_ordinal);
        }
        known.condition
    }

    fn ask(&mut self) -> Condition {
        let Some(api) = symbols().map(|symbols| Api { symbols, watch: &self.watch }) else {
            return Condition::NoDriver;
        };
        if api.symbols.init.is_none() {
            return Condition::NotTheDriver;
        }
        let mut version = -1;
        // This one may be asked before CUDA is started.
        if api
            .call(Call::CU_DRIVER_VERSION, api.symbols.driver_version, |f| {
                // SAFETY: `version` lives through the call.
                unsafe { f(&raw mut version) }
            })
            .is_ok()
        {
            self.snapshot.driver =
                Driver { cuda: u32::try_from(version).unwrap_or(0), ..Driver::default() };
        }
        if self.permission >= Permission::Start {
            let started = api.call(Call::CU_INIT, api.symbols.init, |f| {
                // SAFETY: takes flags, which must be 0.
                unsafe { f(0) }
            });
            if let Err(Fault { call, code }) = started {
                return Condition::of_cuda(call, code);
            }
        }
        let count = match api.count() {
            Ok(count) => count,
            Err(Fault { call, code }) => return Condition::of_cuda(call, code),
        };
        let places = DEVICES_MAX as u32;
        for ordinal in 0..count.min(places) {
            self.snapshot.devices.push(api.describe(ordinal, self.permission));
        }
        self.snapshot.devices_left_out = count.saturating_sub(places);
        if count == 0 { Condition::NoDevices } else { Condition::Ready }
    }
}

impl Probe for Cuda {
    fn source(&self) -> Source {
        Source::Cuda
    }

    fn read(&mut self, due: Due) -> &Snapshot {
        self.snapshot.advance_to(clock::now());
        self.snapshot.seq += 1;
        // It has nothing that changes but memory.
        if due.contains(Due::INVENTORY) || due.contains(Due::MEMORY) || self.snapshot.seq == 1 {
            self.snapshot.clear(Condition::Off);
            self.snapshot.condition = self.ask();
            self.snapshot.advance_to(clock::now());
        }
        &self.snapshot
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }
}

/// The library, and who watches its calls.
#[derive(Clone, Copy)]
struct Api<'a> {
    symbols: &'static Symbols,
    watch: &'a Watch,
}

impl Api<'_> {
    /// Makes a call, if its symbol is there, and takes any status but success for a fault.
    fn call<F>(
        self,
        call: Call,
        symbol: Option<F>,
        f: impl FnOnce(F) -> c_int,
    ) -> Result<(), Fault> {
        let Some(symbol) = symbol else {
            return Err(Fault { call, code: status::NOT_FOUND });
        };
        match self.watch.during(call, || f(symbol)).cast_unsigned() {
            status::SUCCESS => Ok(()),
            code => Err(Fault { call, code }),
        }
    }

    fn count(self) -> Result<u32, Fault> {
        let mut count = -1;
        self.call(Call::CU_COUNT, self.symbols.count, |f| {
            // SAFETY: `count` lives through the call.
            unsafe { f(&raw mut count) }
        })?;
        u32::try_from(count).map_err(|_| Fault::implausible(Call::CU_COUNT))
    }

    fn describe(self, ordinal: u32, permission: Permission) -> Device {
        let mut device =
            Device { index: ordinal, cuda_ordinal: Some(ordinal), ..Device::default() };
        let mut handle = -1;
        let told = self.call(Call::CU_DEVICE, self.symbols.device, |f| {
            // SAFETY: `handle` lives through the call.
            unsafe { f(&raw mut handle, ordinal.cast_signed()) }
        });
        if let Err(fault) = told {
            device.health = Health::Unreachable;
            device.memory = fault.reading();
            return device;
        }
        device.name = self.name(handle);
        let is_instance = device.name.as_str().contains(" MIG ");
        if is_instance {
            device.kind = DeviceKind::Mig;
        } else if self.attribute(attribute::INTEGRATED, handle).is_ok_and(|is| is == 1) {
            device.kind = DeviceKind::Unified;
        }
        device.uuid = self.uuid(handle, is_instance).unwrap_or_default();
        device.compute_capability = reading(self.compute_capability(handle));
        device.pci = reading(self.pci(handle));
        device.memory = self.memory(handle, permission);
        device
    }

    fn name(self, handle: c_int) -> Text<{ crate::device::NAME_LEN }> {
        let mut bytes = [0_u8; crate::device::NAME_LEN];
        let len = c_int::try_from(bytes.len()).unwrap_or(0);
        let told = self.call(Call::CU_NAME, self.symbols.name, |f| {
            // SAFETY: there is room for as many bytes as is told, through the call.
            unsafe { f(bytes.as_mut_ptr().cast(), len, handle) }
        });
        told.map(|()| Text::from_bytes(&bytes)).unwrap_or_default()
    }

    /// By the second version, which names instances; the first names the GPU that they are part of.
    fn uuid(
        self,
        handle: c_int,
        is_instance: bool,
    ) -> Result<Text<{ crate::device::UUID_LEN }>, Fault> {
        let mut bytes = [0_u8; 16];
        let (call, symbol) = match self.symbols.uuid_v2 {
            Some(symbol) => (Call::CU_UUID_V2, Some(symbol)),
            // Without it an instance has no name: that of its GPU would be a wrong one.
            None if is_instance => (Call::CU_UUID_V2, None),
            None => (Call::CU_UUID, self.symbols.uuid),
        };
        self.call(call, symbol, |f| {
            // SAFETY: there is room for a `CUuuid`, 16 bytes, through the call.
            unsafe { f(bytes.as_mut_ptr(), handle) }
        })?;
        if bytes == [0; 16] {
            return Err(Fault::implausible(call));
        }
        Ok(ordinal::uuid_text(if is_instance { "MIG" } else { "GPU" }, &bytes))
    }

    fn attribute(self, which: c_int, handle: c_int) -> Result<i32, Fault> {
        let mut value = -1;
        self.call(Call::CU_ATTRIBUTE, self.symbols.attribute, |f| {
            // SAFETY: `value` lives through the call.
            unsafe { f(&raw mut value, which, handle) }
        })?;
        if value < 0 { Err(Fault::implausible(Call::CU_ATTRIBUTE)) } else { Ok(value) }
    }

    fn compute_capability(self, handle: c_int) -> Result<ComputeCapability, Fault> {
        let part = |which| {
            u16::try_from(self.attribute(which, handle)?)
                .map_err(|_| Fault::implausible(Call::CU_ATTRIBUTE))
        };
        let (major, minor) =
            (part(attribute::CAPABILITY_MAJOR)?, part(attribute::CAPABILITY_MINOR)?);
        Ok(ComputeCapability { major, minor })
    }

    fn pci(self, handle: c_int) -> Result<PciAddress, Fault> {
        let part = |which| {
            u8::try_from(self.attribute(which, handle)?)
                .map_err(|_| Fault::implausible(Call::CU_ATTRIBUTE))
        };
        Ok(PciAddress {
            domain: self.attribute(attribute::PCI_DOMAIN, handle)?.cast_unsigned(),
            bus: part(attribute::PCI_BUS)?,
            device: part(attribute::PCI_DEVICE)?,
        })
    }

    /// Memory inside of the device's context: that of the host, or one that is made for it.
    fn memory(self, handle: c_int, permission: Permission) -> Reading<Memory> {
        let (mut flags, mut is_active) = (0, 0);
        let state = self.call(Call::CU_CONTEXT_STATE, self.symbols.context_state, |f| {
            // SAFETY: both live through the call.
            unsafe { f(handle, &raw mut flags, &raw mut is_active) }
        });
        if permission < Permission::MakeContexts && (state.is_err() || is_active != 1) {
            return state.err().map_or(Reading::Unsupported, Fault::reading);
        }
        reading(self.memory_in_context(handle))
    }

    fn memory_in_context(self, handle: c_int) -> Result<Memory, Fault> {
        let mut before: Context = std::ptr::null_mut();
        self.call(Call::CU_CONTEXT_CURRENT, self.symbols.context_current, |f| {
            // SAFETY: `before` lives through the call.
            unsafe { f(&raw mut before) }
        })?;
        let mut context: Context = std::ptr::null_mut();
        self.call(Call::CU_CONTEXT_RETAIN, self.symbols.context_retain, |f| {
            // SAFETY: `context` lives through the call.
            unsafe { f(&raw mut context, handle) }
        })?;
        let set = |context| {
            self.call(Call::CU_CONTEXT_SET, self.symbols.context_set, |f| {
                // SAFETY: a context that is retained here, or the one that was current before.
                unsafe { f(context) }
            })
        };
        let (mut free, mut total) = (usize::MAX, 0);
        let told = set(context).and_then(|()| {
            self.call(Call::CU_MEMORY, self.symbols.memory, |f| {
                // SAFETY: both live through the call.
                unsafe { f(&raw mut free, &raw mut total) }
            })
        });
        // Whatever was told, this thread gets its own context back, and the other one is let go.
        let restored = set(before);
        let released = self.call(Call::CU_CONTEXT_RELEASE, self.symbols.context_release, |f| {
            // SAFETY: retained above, once.
            unsafe { f(handle) }
        });
        told.and(restored).and(released)?;
        let (total, free) = (Bytes(total as u64), Bytes(free as u64));
        if free > total {
            return Err(Fault::implausible(Call::CU_MEMORY));
        }
        Ok(Memory { total, free, used: None, reserved: None, basis: MemoryBasis::CudaContext })
    }
}
