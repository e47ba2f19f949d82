//! From a snapshot to its document.

use rampmeter::Nanos;

use super::{
    CapabilityEntry, ClocksEntry, CpusEntry, DeviceEntry, Document, DriverEntry, Entry,
    MemoryEntry, MigEntry, NumaEntry, NvLinkEntry, NvLinksEntry, PathEntry, PciEntry, PowerEntry,
    ProcessEntry, ProcessesEntry, StatusEntry, TemperatureEntry, ThrottleEntry, UtilizationEntry,
    XidEntry,
};
use crate::condition::Condition;
use crate::device::{Device, NvLinkPeer};
use crate::reading::Reading;
use crate::snapshot::{Path, Snapshot};

impl Document {
    /// As JSON, for [`Document::from_json`] to read.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Nothing in it can fail: no map, and no number that JSON does not have.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<&Snapshot> for Document {
    fn from(snapshot: &Snapshot) -> Self {
        let (call, code) = match snapshot.condition {
            Condition::Failed { call, code } => (Some(call.name().to_owned()), Some(code)),
            _ => (None, None),
        };
        let Snapshot { condition, driver, .. } = snapshot;
        Self {
            schema: None,
            source: snapshot.source.word().to_owned(),
            status: StatusEntry {
                condition: condition.word().to_owned(),
                reason: condition.reason().to_owned(),
                remedy: condition.remedy().to_owned(),
                call,
                code,
            },
            driver: DriverEntry {
                version: driver.version.to_string(),
                nvml_version: driver.nvml.to_string(),
                cuda_version: driver.cuda,
            },
            devices: snapshot.devices.iter().map(|device| entry(snapshot, device)).collect(),
            devices_left_out: snapshot.devices_left_out,
            paths: paths(snapshot),
        }
    }
}

fn paths(snapshot: &Snapshot) -> Vec<PathEntry> {
    let gpus: Vec<&Device> =
        snapshot.devices.iter().filter(|device| device.parent.is_none()).collect();
    let pairs = gpus.iter().enumerate().flat_map(|(at, a)| gpus[at + 1..].iter().map(|b| (*a, *b)));
    pairs
        .map(|(a, b)| (a, b, snapshot.path(a, b)))
        .filter(|(.., path)| *path != Path::Unknown)
        .map(|(a, b, path)| PathEntry {
            a: a.uuid.to_string(),
            b: b.uuid.to_string(),
            path: path.word().to_owned(),
        })
        .collect()
}

/// A reading, with its value as `form` has it.
fn told<T: Copy, E>(reading: Reading<T>, form: impl FnOnce(T) -> E) -> Entry<E> {
    match reading {
        Reading::Ok { value, age } => Entry::Ok { age_s: age.as_seconds(), value: form(value) },
        Reading::Unsupported => Entry::Unsupported,
        Reading::Denied => Entry::Denied,
        Reading::Failed { call, code } => Entry::Failed { call: call.name().to_owned(), code },
    }
}

fn entry(snapshot: &Snapshot, device: &Device) -> DeviceEntry {
    let instance = device.instance.unwrap_or_default();
    let parent = device.parent.map(|_| snapshot.gpu_of(device).uuid.to_string());
    DeviceEntry {
        uuid: device.uuid.to_string(),
        parent_uuid: parent,
        index: device.index,
        cuda_ordinal: device.cuda_ordinal,
        name: device.name.to_string(),
        kind: device.kind.word().to_owned(),
        health: device.health.word().to_owned(),
        gpu_instance: instance.gpu,
        compute_instance: instance.compute,
        memory: told(device.memory, |memory| MemoryEntry {
            total_bytes: memory.total.0,
            free_bytes: memory.free.0,
            used_bytes: memory.used.map(|bytes| bytes.0),
            reserved_bytes: memory.reserved.map(|bytes| bytes.0),
            basis: memory.basis.word().to_owned(),
        }),
        utilization: told(device.utilization, |busy| UtilizationEntry {
            gpu_pct: busy.gpu_pct,
            memory_pct: busy.memory_pct,
            window_max_s: busy.window_max.as_seconds(),
        }),
        processes: told(device.processes, |list| ProcessesEntry {
            found: list.found,
            list: processes(snapshot, device),
        }),
        power: told(device.power, |power| PowerEntry {
            draw_mw: power.draw_mw,
            limit_mw: power.limit_mw,
        }),
        clocks: told(device.clocks, |clocks| ClocksEntry {
            sm_mhz: clocks.sm_mhz,
            memory_mhz: clocks.memory_mhz,
        }),
        temperature: told(device.temperature_c, |celsius| TemperatureEntry { celsius }),
        throttle: told(device.throttle, |throttle| ThrottleEntry {
            bits: throttle.0,
            reasons: throttle.names().map(str::to_owned).collect(),
        }),
        xid: told(device.xid, |xid| XidEntry {
            count: xid.count,
            last: xid.last,
            last_age_s: Nanos::as_seconds(xid.last_age),
        }),
        pci: told(device.pci, |pci| PciEntry { address: pci.to_string() }),
        compute_capability: told(device.compute_capability, |capability| CapabilityEntry {
            major: capability.major,
            minor: capability.minor,
        }),
        numa: told(device.numa, |node| NumaEntry { node }),
        cpus: told(device.cpus, |cpus| CpusEntry { list: cpus.to_string() }),
        nvlinks: told(device.nvlinks, |links| NvLinksEntry {
            links: links.up().iter().map(|link| nvlink(*link)).collect(),
        }),
        mig: told(device.mig, |enabled| MigEntry { enabled }),
    }
}

fn processes(snapshot: &Snapshot, device: &Device) -> Vec<ProcessEntry> {
    let of_device = snapshot.processes_of(device).iter();
    of_device
        .map(|process| ProcessEntry {
            pid: process.pid,
            memory_bytes: process.memory.map(|bytes| bytes.0),
            gpu_instance: process.gpu_instance,
        })
        .collect()
}

fn nvlink(link: crate::device::NvLink) -> NvLinkEntry {
    let pci = match link.peer {
        NvLinkPeer::Gpu(address) => Some(address.to_string()),
        NvLinkPeer::Unknown | NvLinkPeer::Switch | NvLinkPeer::Other => None,
    };
    let peer = link.peer.word();
    NvLinkEntry { number: link.number, version: link.version, peer: peer.to_owned(), pci }
}
