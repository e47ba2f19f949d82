//! What a device says about itself.

use pyo3::prelude::*;
use rampmeter_probe::Snapshot;
use rampmeter_probe::device as core;

use super::reading::{Reading, Value};
use crate::record::record;

record! {
    /// Memory of a device. Go by `free_bytes`: what drivers call used differs. `basis` is "driver",
    /// "driver_v1" (its first call, which counts what is reserved as used), "host_estimated" (the
    /// memory of the host that is available, for a GPU that shares it) or "cuda_context".
    "rampmeter.probe" Memory {
        total_bytes: u64,
        free_bytes: u64,
        used_bytes: Option<u64>,
        reserved_bytes: Option<u64>,
        basis: &'static str,
    }
}
record! {
    /// The part of a window, of at most `window_max_ns`, in which a kernel ran, and in which memory was
    /// read or written. 100% says that something ran all the time, not that the device is full.
    "rampmeter.probe" Utilization {
        gpu_pct: u8,
        memory_pct: u8,
        window_max_ns: u64,
    }
}
record! {
    /// A process that has memory of a device. Its identifier may be of another namespace.
    "rampmeter.probe" Process {
        pid: u32,
        memory_bytes: Option<u64>,
        gpu_instance: Option<u32>,
    }
}
record! {
    /// Processes that have memory of a device: how many the driver told of, and those that there was
    /// room for. None does not say that the device is idle: a container does not see those of others.
    "rampmeter.probe" Processes {
        found: u32,
        processes: Vec<Process>,
    }
}
record! {
    /// What a device draws, and what it may draw, in milliwatts.
    "rampmeter.probe" Power {
        draw_mw: u32,
        limit_mw: Option<u32>,
    }
}
record! {
    /// Clocks of the multiprocessors and of memory.
    "rampmeter.probe" Clocks {
        sm_mhz: u32,
        memory_mhz: Option<u32>,
    }
}
record! {
    /// What holds clocks down: NVML's bits, the names of those that are known, and whether one of them
    /// is power or heat (and not idleness or a setting).
    "rampmeter.probe" Throttle {
        bits: u64,
        names: Vec<&'static str>,
        is_limiting: bool,
    }
}
record! {
    /// Critical events (Xid) since the probe began, the number of the last one (0: none), and how long
    /// before the snapshot it was heard of.
    "rampmeter.probe" Xid {
        count: u64,
        last: u64,
        last_age_ns: u64,
    }
}
record! {
    /// An NVLink that is up; `peer` is "gpu" (at the address `peer_pci`), "switch", "other" or
    /// "unknown".
    "rampmeter.probe" NvLink {
        number: u8,
        version: Option<u8>,
        peer: &'static str,
        peer_pci: Option<String>,
    }
}
record! {
    /// A GPU ("gpu"; "unified": it shares the memory of its host) or an instance that it is cut into
    /// ("mig", with `parent_uuid`). Join on `uuid`, never on `index`: CUDA numbers otherwise.
    ///
    /// `health` is "ready", "lost" (it has fallen off the bus), "reset_required", "lost_xid_79" or
    /// "unreachable" (this process cannot have it). The fields from `pci` on are readings: `Ok`,
    /// `Unsupported`, `Denied` or `Failed`. `cuda_ordinal` is its number in CUDA of this process,
    /// where CUDA was asked.
    "rampmeter.probe" Device {
        uuid: String,
        name: String,
        kind: &'static str,
        health: &'static str,
        index: u32,
        parent_uuid: Option<String>,
        gpu_instance: Option<u32>,
        compute_instance: Option<u32>,
        cuda_ordinal: Option<u32>,
        pci: Reading,
        compute_capability: Reading,
        memory: Reading,
        utilization: Reading,
        processes: Reading,
        power: Reading,
        clocks: Reading,
        temperature_c: Reading,
        throttle: Reading,
        numa: Reading,
        cpus: Reading,
        nvlinks: Reading,
        mig: Reading,
        xid: Reading,
    }
}

fn number(value: u32) -> Value {
    Value::Number(value.into())
}

impl From<core::Memory> for Memory {
    fn from(memory: core::Memory) -> Self {
        Self {
            total_bytes: memory.total.0,
            free_bytes: memory.free.0,
            used_bytes: memory.used.map(|bytes| bytes.0),
            reserved_bytes: memory.reserved.map(|bytes| bytes.0),
            basis: memory.basis.word(),
        }
    }
}

impl From<core::Throttle> for Throttle {
    fn from(throttle: core::Throttle) -> Self {
        Self {
            bits: throttle.0,
            names: throttle.names().collect(),
            is_limiting: throttle.is_limiting(),
        }
    }
}

impl From<core::NvLink> for NvLink {
    fn from(link: core::NvLink) -> Self {
        let peer_pci = match link.peer {
            core::NvLinkPeer::Gpu(address) => Some(address.to_string()),
            _ => None,
        };
        Self { number: link.number, version: link.version, peer: link.peer.word(), peer_pci }
    }
}

fn processes(snapshot: &Snapshot, device: &core::Device, found: u32) -> Processes {
    let of_device = snapshot.processes_of(device).iter();
    let processes = of_device.map(|process| Process {
        pid: process.pid,
        memory_bytes: process.memory.map(|bytes| bytes.0),
        gpu_instance: process.gpu_instance,
    });
    Processes { found, processes: processes.collect() }
}

impl Device {
    pub(super) fn of(snapshot: &Snapshot, device: &core::Device) -> Self {
        let instance = device.instance.unwrap_or_default();
        Self {
            uuid: device.uuid.to_string(),
            name: device.name.to_string(),
            kind: device.kind.word(),
            health: device.health.word(),
            index: device.index,
            parent_uuid: device.parent.map(|_| snapshot.gpu_of(device).uuid.to_string()),
            gpu_instance: instance.gpu,
            compute_instance: instance.compute,
            cuda_ordinal: device.cuda_ordinal,
            pci: Reading::of(device.pci, |pci| Value::Text(pci.to_string())),
            compute_capability: Reading::of(device.compute_capability, |capability| {
                Value::Pair((capability.major, capability.minor))
            }),
            memory: Reading::of(device.memory, |memory| Value::Memory(memory.into())),
            utilization: Reading::of(device.utilization, |busy| {
                Value::Utilization(Utilization {
                    gpu_pct: busy.gpu_pct,
                    memory_pct: busy.memory_pct,
                    window_max_ns: busy.window_max.get(),
                })
            }),
            processes: Reading::of(device.processes, |list| {
                Value::Processes(processes(snapshot, device, list.found))
            }),
            power: Reading::of(device.power, |power| {
                Value::Power(Power { draw_mw: power.draw_mw, limit_mw: power.limit_mw })
            }),
            clocks: Reading::of(device.clocks, |clocks| {
                Value::Clocks(Clocks { sm_mhz: clocks.sm_mhz, memory_mhz: clocks.memory_mhz })
            }),
            temperature_c: Reading::of(device.temperature_c, number),
            throttle: Reading::of(device.throttle, |bits| Value::Throttle(bits.into())),
            numa: Reading::of(device.numa, number),
            cpus: Reading::of(device.cpus, |cpus| Value::Numbers(cpus.iter().collect())),
            nvlinks: Reading::of(device.nvlinks, |links| {
                Value::NvLinks(links.up().iter().copied().map(NvLink::from).collect())
            }),
            mig: Reading::of(device.mig, Value::Truth),
            xid: Reading::of(device.xid, |xid| {
                let last_age_ns = xid.last_age.get();
                Value::Xid(Xid { count: xid.count, last: xid.last, last_age_ns })
            }),
        }
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Clocks>()?;
    module.add_class::<Device>()?;
    module.add_class::<Memory>()?;
    module.add_class::<NvLink>()?;
    module.add_class::<Power>()?;
    module.add_class::<Process>()?;
    module.add_class::<Processes>()?;
    module.add_class::<Throttle>()?;
    module.add_class::<Utilization>()?;
    module.add_class::<Xid>()
}
