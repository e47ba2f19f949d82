//! From a document to its snapshot. Nothing in it is believed that could not have been read.

use rampmeter::{Bytes, Nanos};

use super::{
    CpusEntry, DeviceEntry, Document, Entry, MemoryEntry, NvLinkEntry, NvLinksEntry, PciEntry,
    ProcessesEntry, UtilizationEntry,
};
use crate::call::Call;
use crate::condition::Condition;
use crate::device::{
    CPUS_MAX, Clocks, ComputeCapability, CpuSet, Device, DeviceKind, Health, Instance, Loss,
    Memory, MemoryBasis, NVLINKS_MAX, NvLink, NvLinkPeer, NvLinks, PciAddress, Power, Process,
    ProcessList, Throttle, Utilization, XidEvents,
};
use crate::reading::Reading;
use crate::snapshot::{DEVICES_MAX, Driver, PROCESSES_MAX, Path, Snapshot, Source};
use crate::text::Text;

/// Why a document is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// A refusal that names the key and what is wrong with it.
fn refused(key: &str, what: impl std::fmt::Display) -> Refused {
    Refused(format!("`{key}`: {what}"))
}

impl Document {
    /// Reads JSON.
    ///
    /// # Errors
    /// A sentence with the line, for text that is no document.
    pub fn from_json(text: &str) -> Result<Self, Refused> {
        let document: Self =
            serde_json::from_str(text).map_err(|error| Refused(error.to_string()))?;
        match document.schema {
            None | Some(1) => Ok(document),
            Some(other) => Err(refused("schema", format!("{other} is not 1"))),
        }
    }

    /// The snapshot that this is of, as taken at `now`.
    ///
    /// # Errors
    /// A sentence that names the key, for what no probe can have read.
    pub fn snapshot(&self, now: Nanos) -> Result<Snapshot, Refused> {
        let mut snapshot = Snapshot::with_room();
        (snapshot.taken_at, snapshot.seq) = (now, 1);
        snapshot.source = source(&self.source)?;
        snapshot.driver = Driver {
            version: Text::new(&self.driver.version),
            nvml: Text::new(&self.driver.nvml_version),
            cuda: self.driver.cuda_version,
        };
        snapshot.devices_left_out = self.devices_left_out;
        if self.devices.len() > DEVICES_MAX {
            let len = self.devices.len();
            return Err(refused("devices", format!("{len} are more than {DEVICES_MAX}")));
        }
        for entry in &self.devices {
            let device = device(entry, &mut snapshot)?;
            snapshot.devices.push(device);
        }
        snapshot.condition = self.condition()?;
        for entry in &self.paths {
            let gpu = |uuid: &str| {
                let device = snapshot.device(uuid).filter(|device| device.parent.is_none());
                device.map(|gpu| gpu.index as usize).ok_or_else(|| refused("paths", "no such GPU"))
            };
            let path = Path::ALL.into_iter().find(|path| path.word() == entry.path);
            let path = path.ok_or_else(|| refused("path", &entry.path))?;
            let (a, b) = (gpu(&entry.a)?, gpu(&entry.b)?);
            snapshot.set_path(a, b, path);
        }
        Ok(snapshot)
    }

    fn condition(&self) -> Result<Condition, Refused> {
        let word = self.status.condition.as_str();
        if word.is_empty() {
            let none = self.devices.is_empty();
            return Ok(if none { Condition::NoDevices } else { Condition::Ready });
        }
        if word == "failed" {
            let call = self.status.call.as_deref().and_then(Call::named).unwrap_or(Call(0));
            return Ok(Condition::Failed { call, code: self.status.code.unwrap_or(0) });
        }
        let known = [
            Condition::Off,
            Condition::Ready,
            Condition::NoDevices,
            Condition::NoDriver,
            Condition::NotTheDriver,
            Condition::DriverNotLoaded,
            Condition::StubLibrary,
            Condition::VersionMismatch,
            Condition::AccessLost,
            Condition::Denied,
            Condition::NotReady,
            Condition::NotStarted,
            Condition::Hanging,
        ];
        let found = known.into_iter().find(|condition| condition.word() == word);
        found.ok_or_else(|| refused("status.condition", word))
    }
}

fn source(word: &str) -> Result<Source, Refused> {
    let known = [Source::Nvml, Source::Cuda, Source::Fixture, Source::None];
    match known.into_iter().find(|source| source.word() == word) {
        Some(source) => Ok(source),
        None if word.is_empty() => Ok(Source::Fixture),
        None => Err(refused("source", word)),
    }
}

/// The reading of an entry, with its value as `form` has it.
fn told<E, T>(
    key: &str,
    entry: &Entry<E>,
    form: impl FnOnce(&E) -> Result<T, Refused>,
) -> Result<Reading<T>, Refused> {
    Ok(match entry {
        Entry::Ok { age_s, value } => Reading::Ok { value: form(value)?, age: age(key, *age_s)? },
        Entry::Unsupported => Reading::Unsupported,
        Entry::Denied => Reading::Denied,
        Entry::Failed { call, code } => {
            Reading::Failed { call: Call::named(call).unwrap_or(Call(0)), code: *code }
        }
    })
}

fn age(key: &str, seconds: f64) -> Result<Nanos, Refused> {
    Nanos::try_from_seconds(seconds).ok_or_else(|| refused(key, format!("{seconds} is no age")))
}

/// One of these, by its word; the first where there is none.
fn one_of<T: Copy, const N: usize>(
    key: &str,
    word: &str,
    known: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, Refused> {
    let found = known.into_iter().find(|one| name(*one) == word || word.is_empty());
    found.ok_or_else(|| refused(key, word))
}

fn device(entry: &DeviceEntry, snapshot: &mut Snapshot) -> Result<Device, Refused> {
    let parent = match &entry.parent_uuid {
        None => None,
        Some(uuid) => {
            let is_it = |device: &Device| device.uuid.as_str() == uuid && device.parent.is_none();
            let place = snapshot.devices.iter().position(is_it);
            Some(place.ok_or_else(|| refused("parent_uuid", "no GPU before it has it"))? as u16)
        }
    };
    let instance = Instance { gpu: entry.gpu_instance, compute: entry.compute_instance };
    let kinds = [DeviceKind::Gpu, DeviceKind::Mig, DeviceKind::Unified];
    let healths = [
        Health::Ready,
        Health::Unreachable,
        Health::Lost(Loss::Gone),
        Health::Lost(Loss::ResetRequired),
        Health::Lost(Loss::Xid79),
    ];
    Ok(Device {
        uuid: Text::new(&entry.uuid),
        parent,
        index: entry.index,
        kind: one_of("kind", &entry.kind, kinds, DeviceKind::word)?,
        health: one_of("health", &entry.health, healths, Health::word)?,
        name: Text::new(&entry.name),
        pci: told("pci", &entry.pci, |PciEntry { address }| pci(address))?,
        compute_capability: told("compute_capability", &entry.compute_capability, |capability| {
            Ok(ComputeCapability { major: capability.major, minor: capability.minor })
        })?,
        memory: told("memory", &entry.memory, memory)?,
        utilization: told("utilization", &entry.utilization, utilization)?,
        processes: told("processes", &entry.processes, |list| processes(list, snapshot))?,
        power: told("power", &entry.power, |power| {
            Ok(Power { draw_mw: power.draw_mw, limit_mw: power.limit_mw })
        })?,
        clocks: told("clocks", &entry.clocks, |clocks| {
            Ok(Clocks { sm_mhz: clocks.sm_mhz, memory_mhz: clocks.memory_mhz })
        })?,
        temperature_c: told("temperature", &entry.temperature, |heat| Ok(heat.celsius))?,
        throttle: told("throttle", &entry.throttle, |throttle| Ok(Throttle(throttle.bits)))?,
        numa: told("numa", &entry.numa, |numa| Ok(numa.node))?,
        cpus: told("cpus", &entry.cpus, |CpusEntry { list }| cpus(list))?,
        nvlinks: told("nvlinks", &entry.nvlinks, nvlinks)?,
        mig: told("mig", &entry.mig, |mig| Ok(mig.enabled))?,
        instance: (instance != Instance::default()).then_some(instance),
        xid: told("xid", &entry.xid, |xid| {
            let last_age = age("last_age_s", xid.last_age_s)?;
            Ok(XidEvents { count: xid.count, last: xid.last, last_age })
        })?,
        cuda_ordinal: entry.cuda_ordinal,
    })
}

fn memory(entry: &MemoryEntry) -> Result<Memory, Refused> {
    let total = entry.total_bytes;
    let parts = [
        ("free_bytes", Some(entry.free_bytes)),
        ("used_bytes", entry.used_bytes),
        ("reserved_bytes", entry.reserved_bytes),
    ];
    for (key, part) in parts {
        if part.is_some_and(|part| part > total) {
            return Err(refused(key, format!("more than `total_bytes` = {total}")));
        }
    }
    let known = [
        MemoryBasis::Driver,
        MemoryBasis::DriverV1,
        MemoryBasis::HostEstimated,
        MemoryBasis::CudaContext,
    ];
    Ok(Memory {
        total: Bytes(total),
        free: Bytes(entry.free_bytes),
        used: entry.used_bytes.map(Bytes),
        reserved: entry.reserved_bytes.map(Bytes),
        basis: one_of("basis", &entry.basis, known, MemoryBasis::word)?,
    })
}

fn utilization(entry: &UtilizationEntry) -> Result<Utilization, Refused> {
    let UtilizationEntry { gpu_pct, memory_pct, window_max_s } = *entry;
    if gpu_pct > 100 || memory_pct > 100 {
        return Err(refused("utilization", "more than 100 percent"));
    }
    Ok(Utilization { gpu_pct, memory_pct, window_max: age("window_max_s", window_max_s)? })
}

fn processes(entry: &ProcessesEntry, snapshot: &mut Snapshot) -> Result<ProcessList, Refused> {
    let first = snapshot.processes.len();
    let listed = entry.list.len();
    if first + listed > PROCESSES_MAX || listed > entry.found as usize {
        return Err(refused("processes", "more than are found, or than there are places for"));
    }
    snapshot.processes.extend(entry.list.iter().map(|process| Process {
        pid: process.pid,
        memory: process.memory_bytes.map(Bytes),
        gpu_instance: process.gpu_instance,
    }));
    Ok(ProcessList { first: first as u32, listed: listed as u32, found: entry.found })
}

fn pci(text: &str) -> Result<PciAddress, Refused> {
    let parts = || {
        let (domain, rest) = text.split_once(':')?;
        let (bus, device) = rest.split_once(':')?;
        let device = device.split_once('.').map_or(device, |(device, _)| device);
        Some(PciAddress {
            domain: u32::from_str_radix(domain, 16).ok()?,
            bus: u8::from_str_radix(bus, 16).ok()?,
            device: u8::from_str_radix(device, 16).ok()?,
        })
    };
    parts().ok_or_else(|| refused("address", text))
}

fn cpus(list: &str) -> Result<CpuSet, Refused> {
    let mut set = CpuSet::default();
    for range in list.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) else {
            return Err(refused("cpus", range));
        };
        if last >= CPUS_MAX {
            return Err(refused("cpus", format!("{last} is not below {CPUS_MAX}")));
        }
        for cpu in first..=last {
            set.words[cpu / 64] |= 1 << (cpu % 64);
        }
    }
    Ok(set)
}

fn nvlinks(entry: &NvLinksEntry) -> Result<NvLinks, Refused> {
    if entry.links.len() > NVLINKS_MAX {
        return Err(refused("links", format!("more than {NVLINKS_MAX}")));
    }
    let mut links = NvLinks { len: entry.links.len() as u8, ..NvLinks::default() };
    for (link, NvLinkEntry { number, version, peer, pci: address }) in
        links.links.iter_mut().zip(&entry.links)
    {
        let peer = match (peer.as_str(), address) {
            ("switch", _) => NvLinkPeer::Switch,
            ("other", _) => NvLinkPeer::Other,
            ("unknown", _) => NvLinkPeer::Unknown,
            ("gpu", Some(address)) => NvLinkPeer::Gpu(pci(address)?),
            (peer, _) => return Err(refused("peer", peer)),
        };
        *link = NvLink { number: *number, version: *version, peer };
    }
    Ok(links)
}
