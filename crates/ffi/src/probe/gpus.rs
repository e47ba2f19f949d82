//! What a snapshot says of one GPU.

use std::ffi::c_char;

use rampmeter::Nanos;
use rampmeter_probe::device::{CPUS_MAX, DeviceKind, Health, Loss, MemoryBasis};

use super::snapshot::chars;
use super::{rampmeter_reading, rampmeter_snapshot, reading::flat};
use crate::boundary::look;
use crate::error::rampmeter_error;
use crate::memory::{OutSized, versioned};
use crate::status::rampmeter_status;

/// Bytes of an identifier or a name, the closing zero included.
pub const RAMPMETER_GPU_TEXT_BYTES: usize = 104;
/// Words of a set of CPUs.
pub const RAMPMETER_CPU_WORDS: usize = 16;
const _: () = assert!(RAMPMETER_CPU_WORDS == CPUS_MAX / 64);

/// What it is: a GPU with memory of its own.
pub const RAMPMETER_GPU_WHOLE: u8 = 0;
/// An instance of a GPU (MIG).
pub const RAMPMETER_GPU_INSTANCE: u8 = 1;
/// A GPU that shares the memory of its host.
pub const RAMPMETER_GPU_UNIFIED: u8 = 2;

/// Whether it can be used: as far as is known.
pub const RAMPMETER_GPU_READY: u8 = 0;
/// It has fallen off the bus, or cannot be reached.
pub const RAMPMETER_GPU_LOST: u8 = 1;
/// It works no more until it is reset.
pub const RAMPMETER_GPU_RESET_REQUIRED: u8 = 2;
/// An event (Xid 79) said that it has fallen off the bus.
pub const RAMPMETER_GPU_LOST_XID_79: u8 = 3;
/// It is counted, and this process cannot have it.
pub const RAMPMETER_GPU_UNREACHABLE: u8 = 4;

/// Where memory was read: the driver's current call.
pub const RAMPMETER_MEMORY_DRIVER: u8 = 0;
/// The driver's first call, which counts what is reserved as used.
pub const RAMPMETER_MEMORY_DRIVER_V1: u8 = 1;
/// Estimated: the memory of the host that is available, for a GPU that shares it.
pub const RAMPMETER_MEMORY_HOST_ESTIMATED: u8 = 2;
/// CUDA, inside of a context.
pub const RAMPMETER_MEMORY_CUDA_CONTEXT: u8 = 3;

/// What holds clocks down, as bits of NVML: nothing runs.
pub const RAMPMETER_THROTTLE_GPU_IDLE: u64 = 0x1;
/// A setting of applications.
pub const RAMPMETER_THROTTLE_APPLICATIONS_CLOCKS: u64 = 0x2;
/// The limit of power.
pub const RAMPMETER_THROTTLE_SW_POWER_CAP: u64 = 0x4;
/// Power or heat, by the hardware.
pub const RAMPMETER_THROTTLE_HW_SLOWDOWN: u64 = 0x8;
/// Another GPU of its group is slower.
pub const RAMPMETER_THROTTLE_SYNC_BOOST: u64 = 0x10;
/// Heat, by the driver.
pub const RAMPMETER_THROTTLE_SW_THERMAL: u64 = 0x20;
/// Heat, by the hardware.
pub const RAMPMETER_THROTTLE_HW_THERMAL: u64 = 0x40;
/// The power supply asked for it.
pub const RAMPMETER_THROTTLE_HW_POWER_BRAKE: u64 = 0x80;
/// A setting of the display.
pub const RAMPMETER_THROTTLE_DISPLAY_CLOCKS: u64 = 0x100;

/// What a GPU or an instance is, and where. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gpu {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Its number in the order of who read it. NVML numbers by PCI address, CUDA does not: join on
    /// `uuid`, never on this.
    pub index: u32,
    /// Its identifier, the only name that means the same everywhere.
    pub uuid: [c_char; RAMPMETER_GPU_TEXT_BYTES],
    /// Its name for people.
    pub name: [c_char; RAMPMETER_GPU_TEXT_BYTES],
    /// Whether its address is known.
    pub pci: rampmeter_reading,
    /// Whether its compute capability is known.
    pub compute_capability: rampmeter_reading,
    /// Whether its NUMA node is known.
    pub numa: rampmeter_reading,
    /// Whether it is known that it is cut into instances, or not.
    pub mig: rampmeter_reading,
    /// PCI domain.
    pub pci_domain: u32,
    /// PCI bus.
    pub pci_bus: u8,
    /// PCI device.
    pub pci_device: u8,
    /// RAMPMETER_GPU_WHOLE, _INSTANCE or _UNIFIED.
    pub kind: u8,
    /// RAMPMETER_GPU_READY, or why not.
    pub health: u8,
    /// Compute capability, first number.
    pub capability_major: u16,
    /// Second number.
    pub capability_minor: u16,
    /// The NUMA node next to it.
    pub numa_node: u32,
    /// Of an instance: the place of its GPU in this snapshot.
    pub parent_place: u32,
    /// Of an instance: which GPU instance.
    pub gpu_instance: u32,
    /// Of an instance: which compute instance within it.
    pub compute_instance: u32,
    /// Its number in CUDA of this process.
    pub cuda_ordinal: u32,
    /// 1: it is cut into instances.
    pub is_cut: u8,
    /// 1: it is an instance, and `parent_place` counts.
    pub has_parent: u8,
    /// 1: `gpu_instance` is known.
    pub gpu_instance_known: u8,
    /// 1: `compute_instance` is known.
    pub compute_instance_known: u8,
    /// 1: `cuda_ordinal` is known: CUDA was asked, and named it.
    pub cuda_ordinal_known: u8,
    /// 0.
    pub reserved: [u8; 11],
}
versioned!(rampmeter_gpu, 328);

/// Memory of a GPU. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gpu_memory {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_MEMORY_...: where it was read.
    pub basis: u8,
    /// 1: `used_bytes` is known.
    pub used_known: u8,
    /// 1: `driver_bytes` is known.
    pub driver_known: u8,
    /// 0.
    pub reserved: u8,
    /// Whether it was read.
    pub memory: rampmeter_reading,
    /// All of it.
    pub total_bytes: u64,
    /// What can still be had: the one number to go by.
    pub free_bytes: u64,
    /// What is taken. Read by the driver's first call this contains what the driver keeps for itself;
    /// otherwise drivers differ.
    pub used_bytes: u64,
    /// What the driver keeps for itself.
    pub driver_bytes: u64,
}
versioned!(rampmeter_gpu_memory, 56);

/// How busy, hot and fast a GPU is, and what happened to it. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gpu_load {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Whether utilization was read.
    pub utilization: rampmeter_reading,
    /// Whether power was read.
    pub power: rampmeter_reading,
    /// Whether clocks were read.
    pub clocks: rampmeter_reading,
    /// Whether the temperature was read.
    pub temperature: rampmeter_reading,
    /// Whether it was read what holds clocks down.
    pub throttle: rampmeter_reading,
    /// Whether critical events are heard of.
    pub xid: rampmeter_reading,
    /// Whether processes were read; rampmeter_snapshot_processes() tells them.
    pub processes: rampmeter_reading,
    /// The window of utilization was at most so long.
    pub utilization_window_max_ns: u64,
    /// RAMPMETER_THROTTLE_... bits, and those that this version does not know.
    pub throttle_reasons: u64,
    /// Critical events (Xid) since the probe began.
    pub xid_count: u64,
    /// Number of the last one; 0 before the first.
    pub xid_last: u64,
    /// How long ago that was heard of.
    pub xid_last_age_ns: u64,
    /// Draw, in milliwatts.
    pub power_draw_mw: u32,
    /// What it may draw, in milliwatts.
    pub power_limit_mw: u32,
    /// Clock of multiprocessors, in MHz.
    pub sm_clock_mhz: u32,
    /// Clock of memory, in MHz.
    pub memory_clock_mhz: u32,
    /// Degrees Celsius.
    pub temperature_c: u32,
    /// Processes that are listed in the snapshot.
    pub processes_listed: u32,
    /// Processes that the driver told of; more than listed where there was no room. None does not say
    /// that the GPU is idle: containers see no process identifiers.
    pub processes_found: u32,
    /// Percent of the window in which a kernel ran. 100 does not say that it could do no more.
    pub utilization_pct: u8,
    /// Percent of the window in which memory was read or written.
    pub memory_utilization_pct: u8,
    /// 1: `power_limit_mw` is known.
    pub power_limit_known: u8,
    /// 1: `memory_clock_mhz` is known.
    pub memory_clock_known: u8,
    /// 1: power or heat hold it back, which an operator should look at.
    pub is_limited: u8,
    /// 0.
    pub reserved_more: [u8; 7],
}
versioned!(rampmeter_gpu_load, 200);

/// The CPUs next to a GPU. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gpu_cpus {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Whether they are known.
    pub cpus: rampmeter_reading,
    /// CPU `n` is bit `n % 64` of word `n / 64`.
    pub words: [u64; RAMPMETER_CPU_WORDS],
}
versioned!(rampmeter_gpu_cpus, 152);

/// What the GPU or instance at a place is, and where. Ages are as of `now_ns`.
///
/// Fails: E_RANGE for a place that there is not, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any number, while nobody changes the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_gpu(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    gpu: *mut rampmeter_gpu,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, device) = (OutSized::new(gpu, "gpu")?, seen.gpu(place)?);
            let age = seen.get().age(Nanos(now_ns));
            let (pci, address) = flat(&device.pci, age);
            let (compute_capability, capability) = flat(&device.compute_capability, age);
            let (numa, numa_node) = flat(&device.numa, age);
            let (mig, is_cut) = flat(&device.mig, age);
            let address = address.copied().unwrap_or_default();
            let capability = capability.copied().unwrap_or_default();
            let instance = device.instance.unwrap_or_default();
            out.set(rampmeter_gpu {
                size: 0,
                index: device.index,
                uuid: chars(&device.uuid),
                name: chars(&device.name),
                pci,
                compute_capability,
                numa,
                mig,
                pci_domain: address.domain,
                pci_bus: address.bus,
                pci_device: address.device,
                kind: kind(device.kind),
                health: health(device.health),
                capability_major: capability.major,
                capability_minor: capability.minor,
                numa_node: numa_node.copied().unwrap_or(0),
                parent_place: device.parent.map_or(0, u32::from),
                gpu_instance: instance.gpu.unwrap_or(0),
                compute_instance: instance.compute.unwrap_or(0),
                cuda_ordinal: device.cuda_ordinal.unwrap_or(0),
                is_cut: is_cut.copied().unwrap_or(false).into(),
                has_parent: device.parent.is_some().into(),
                gpu_instance_known: instance.gpu.is_some().into(),
                compute_instance_known: instance.compute.is_some().into(),
                cuda_ordinal_known: device.cuda_ordinal.is_some().into(),
                reserved: [0; 11],
            });
            Ok(())
        })
    }
}

pub(super) const fn kind(kind: DeviceKind) -> u8 {
    match kind {
        DeviceKind::Gpu => RAMPMETER_GPU_WHOLE,
        DeviceKind::Mig => RAMPMETER_GPU_INSTANCE,
        DeviceKind::Unified => RAMPMETER_GPU_UNIFIED,
    }
}

pub(super) const fn health(health: Health) -> u8 {
    match health {
        Health::Ready => RAMPMETER_GPU_READY,
        Health::Lost(loss) => lost(loss),
        Health::Unreachable => RAMPMETER_GPU_UNREACHABLE,
    }
}

/// How it is known that a device is lost.
pub(super) const fn lost(loss: Loss) -> u8 {
    match loss {
        Loss::Gone => RAMPMETER_GPU_LOST,
        Loss::ResetRequired => RAMPMETER_GPU_RESET_REQUIRED,
        Loss::Xid79 => RAMPMETER_GPU_LOST_XID_79,
    }
}

/// Memory of the GPU or instance at a place. Ages are as of `now_ns`.
///
/// Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_memory(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    memory: *mut rampmeter_gpu_memory,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, device) = (OutSized::new(memory, "memory")?, seen.gpu(place)?);
            let (memory, value) = flat(&device.memory, seen.get().age(Nanos(now_ns)));
            let value = value.copied().unwrap_or_default();
            out.set(rampmeter_gpu_memory {
                size: 0,
                basis: match value.basis {
                    MemoryBasis::Driver => RAMPMETER_MEMORY_DRIVER,
                    MemoryBasis::DriverV1 => RAMPMETER_MEMORY_DRIVER_V1,
                    MemoryBasis::HostEstimated => RAMPMETER_MEMORY_HOST_ESTIMATED,
                    MemoryBasis::CudaContext => RAMPMETER_MEMORY_CUDA_CONTEXT,
                },
                used_known: value.used.is_some().into(),
                driver_known: value.reserved.is_some().into(),
                reserved: 0,
                memory,
                total_bytes: value.total.0,
                free_bytes: value.free.0,
                used_bytes: value.used.map_or(0, |bytes| bytes.0),
                driver_bytes: value.reserved.map_or(0, |bytes| bytes.0),
            });
            Ok(())
        })
    }
}

/// How busy, hot and fast the GPU at a place is, and what happened to it. Ages are as of `now_ns`.
///
/// Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_load(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    load: *mut rampmeter_gpu_load,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, device) = (OutSized::new(load, "load")?, seen.gpu(place)?);
            let age = seen.get().age(Nanos(now_ns));
            let (utilization, busy) = flat(&device.utilization, age);
            let (power, draw) = flat(&device.power, age);
            let (clocks, clock) = flat(&device.clocks, age);
            let (temperature, degrees) = flat(&device.temperature_c, age);
            let (throttle, reasons) = flat(&device.throttle, age);
            let (xid, events) = flat(&device.xid, age);
            let (processes, listed) = flat(&device.processes, age);
            let busy = busy.copied().unwrap_or_default();
            let draw = draw.copied().unwrap_or_default();
            let clock = clock.copied().unwrap_or_default();
            let reasons = reasons.copied().unwrap_or_default();
            let listed = listed.copied().unwrap_or_default();
            let last_age = events.map_or(0, |events| events.last_age.saturating_add(age).0);
            let events = events.copied().unwrap_or_default();
            out.set(rampmeter_gpu_load {
                size: 0,
                reserved: 0,
                utilization,
                power,
                clocks,
                temperature,
                throttle,
                xid,
                processes,
                utilization_window_max_ns: busy.window_max.0,
                throttle_reasons: reasons.0,
                xid_count: events.count,
                xid_last: events.last,
                xid_last_age_ns: if events.count == 0 { 0 } else { last_age },
                power_draw_mw: draw.draw_mw,
                power_limit_mw: draw.limit_mw.unwrap_or(0),
                sm_clock_mhz: clock.sm_mhz,
                memory_clock_mhz: clock.memory_mhz.unwrap_or(0),
                temperature_c: degrees.copied().unwrap_or(0),
                processes_listed: listed.listed,
                processes_found: listed.found,
                utilization_pct: busy.gpu_pct,
                memory_utilization_pct: busy.memory_pct,
                power_limit_known: draw.limit_mw.is_some().into(),
                memory_clock_known: clock.memory_mhz.is_some().into(),
                is_limited: reasons.is_limiting().into(),
                reserved_more: [0; 7],
            });
            Ok(())
        })
    }
}

/// The CPUs next to the GPU at a place. Ages are as of `now_ns`.
///
/// Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_cpus(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    cpus: *mut rampmeter_gpu_cpus,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, device) = (OutSized::new(cpus, "cpus")?, seen.gpu(place)?);
            let (cpus, set) = flat(&device.cpus, seen.get().age(Nanos(now_ns)));
            let words = set.map_or([0; RAMPMETER_CPU_WORDS], |set| set.words);
            out.set(rampmeter_gpu_cpus { size: 0, reserved: 0, cpus, words });
            Ok(())
        })
    }
}
