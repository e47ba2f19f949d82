//! All that is known of a machine's GPUs at one moment.

use rampmeter::Nanos;

use crate::condition::Condition;
use crate::device::{Device, Process};
use crate::text::Text;

/// Most devices of a snapshot: 16 GPUs, the most of one machine that is sold, each with the 7
/// instances that it can be cut into.
pub const DEVICES_MAX: usize = 16 * (1 + 7);

/// Most processes of a snapshot, over all devices: as many as eight GPUs under MPS can have (48 each
/// on Volta and later), with room.
pub const PROCESSES_MAX: usize = 1_024;

/// Most GPUs between which paths are told.
pub const GPUS_MAX: usize = 32;

/// All that is known of a machine's GPUs at one moment, and how old each part of it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When it was taken, by [`clock::now`](crate::clock::now).
    pub taken_at: Nanos,
    /// Counts snapshots of one probe, from 1 on; 0: nothing was read yet.
    pub seq: u64,
    /// Who read it.
    pub source: Source,
    /// In what condition the driver is. Without success there are no devices.
    pub condition: Condition,
    /// Which driver.
    pub driver: Driver,
    /// GPUs in the order of the backend, each followed by its instances; at most [`DEVICES_MAX`].
    pub devices: Vec<Device>,
    /// Processes, those of a device next to each other; at most [`PROCESSES_MAX`].
    pub processes: Vec<Process>,
    /// Devices that there were no places for.
    pub devices_left_out: u32,
    pub(crate) paths: Paths,
}

/// Which driver.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Driver {
    /// Version of the driver; empty where it is not told.
    pub version: Text<80>,
    /// Version of NVML; empty where it is not told.
    pub nvml: Text<80>,
    /// Version of CUDA that the driver can do, as 13000 for 13.0; 0 where it is not told.
    pub cuda: u32,
}

/// Who read a snapshot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Source {
    /// Nobody: GPUs are not looked at.
    #[default]
    None,
    /// NVIDIA's management library.
    Nvml,
    /// The CUDA driver.
    Cuda,
    /// A file.
    Fixture,
}

impl Source {
    /// A stable word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nvml => "nvml",
            Self::Cuda => "cuda",
            Self::Fixture => "fixture",
        }
    }
}

/// How two GPUs of a machine reach each other over PCI, nearest first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Path {
    /// On one board.
    Board,
    /// Over one PCI switch.
    Switch,
    /// Over several PCI switches.
    Switches,
    /// Over the host bridge of a CPU.
    HostBridge,
    /// Within a NUMA node, over the link between host bridges.
    Node,
    /// Over the link between CPUs.
    System,
    /// The driver does not tell.
    #[default]
    Unknown,
}

impl Path {
    /// A stable word for programs, as `nvidia-smi topo` has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Board => "internal",
            Self::Switch => "PIX",
            Self::Switches => "PXB",
            Self::HostBridge => "PHB",
            Self::Node => "NODE",
            Self::System => "SYS",
            Self::Unknown => "unknown",
        }
    }

    /// All of them, nearest first.
    pub const ALL: [Self; 7] = [
        Self::Board,
        Self::Switch,
        Self::Switches,
        Self::HostBridge,
        Self::Node,
        Self::System,
        Self::Unknown,
    ];
}

/// Paths between GPUs, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paths([[Path; GPUS_MAX]; GPUS_MAX]);

impl Default for Paths {
    fn default() -> Self {
        Self([[Path::Unknown; GPUS_MAX]; GPUS_MAX])
    }
}

impl Snapshot {
    /// An empty one with room for as much as there can be, so that it never grows. Allocates.
    #[must_use]
    pub fn with_room() -> Self {
        Self {
            devices: Vec::with_capacity(DEVICES_MAX),
            processes: Vec::with_capacity(PROCESSES_MAX),
            ..Self::default()
        }
    }

    /// Makes it the same as another. Allocates only where that has more than this ever had room for.
    pub fn copy_from(&mut self, other: &Self) {
        let Self { taken_at, seq, source, condition, driver, devices_left_out, paths, .. } = *other;
        self.devices.clone_from(&other.devices);
        self.processes.clone_from(&other.processes);
        let (devices, processes) =
            (std::mem::take(&mut self.devices), std::mem::take(&mut self.processes));
        *self = Self {
            taken_at,
            seq,
            source,
            condition,
            driver,
            devices,
            processes,
            devices_left_out,
            paths,
        };
    }

    /// How old it is.
    #[must_use]
    pub const fn age(&self, now: Nanos) -> Nanos {
        Nanos(now.0.saturating_sub(self.taken_at.0))
    }

    /// Whether it is older than this, or was never taken: whoever published it hangs or has ended.
    #[must_use]
    pub const fn is_stale(&self, now: Nanos, age_max: Nanos) -> bool {
        self.seq == 0 || self.age(now).0 > age_max.0
    }

    /// The device with this identifier. O(devices).
    #[must_use]
    pub fn device(&self, uuid: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.uuid.as_str().eq_ignore_ascii_case(uuid))
    }

    /// The GPU that a device is, or is an instance of.
    #[must_use]
    pub fn gpu_of<'a>(&'a self, device: &'a Device) -> &'a Device {
        device.parent.and_then(|at| self.devices.get(usize::from(at))).unwrap_or(device)
    }

    /// The processes of a device that are listed.
    #[must_use]
    pub fn processes_of(&self, device: &Device) -> &[Process] {
        let list = device.processes.value().copied().unwrap_or_default();
        let (first, listed) = (list.first as usize, list.listed as usize);
        self.processes.get(first..first.saturating_add(listed)).unwrap_or_default()
    }

    /// How the GPUs of two devices reach each other over PCI.
    #[must_use]
    pub fn path(&self, a: &Device, b: &Device) -> Path {
        let (a, b) = (self.gpu_of(a).index as usize, self.gpu_of(b).index as usize);
        self.paths.0.get(a).and_then(|row| row.get(b)).copied().unwrap_or_default()
    }

    /// `NVLink`s between the GPUs of two devices: those that lead from one to the other, or else, if
    /// both are on switches, as many as the one with fewer has to a switch.
    #[must_use]
    pub fn nvlinks_between(&self, a: &Device, b: &Device) -> usize {
        use crate::device::NvLinkPeer::{Gpu, Switch};
        let (a, b) = (self.gpu_of(a), self.gpu_of(b));
        let links = |device: &Device, peer| {
            device
                .nvlinks
                .value()
                .map_or(0, |links| links.up().iter().filter(|link| link.peer == peer).count())
        };
        let direct = b.pci.value().map_or(0, |address| links(a, Gpu(*address)));
        if direct > 0 || a.uuid == b.uuid {
            return direct;
        }
        links(a, Switch).min(links(b, Switch))
    }

    /// Sets the path between two GPUs, by number.
    #[cfg(any(feature = "nvml", feature = "fixture", test))]
    pub(crate) fn set_path(&mut self, a: usize, b: usize, path: Path) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(place) = self.paths.0.get_mut(from).and_then(|row| row.get_mut(to)) {
                *place = path;
            }
        }
    }

    /// It is that late now: what is not read anew has aged.
    pub(crate) fn advance_to(&mut self, now: Nanos) {
        let by = Nanos(now.0.saturating_sub(self.taken_at.0));
        self.taken_at = self.taken_at.max(now);
        for device in &mut self.devices {
            device.advance(by);
        }
    }

    /// Nothing is there, for this reason.
    #[cfg(any(feature = "nvml", feature = "cuda", feature = "fixture", test))]
    pub(crate) fn clear(&mut self, condition: Condition) {
        self.condition = condition;
        self.devices.clear();
        self.processes.clear();
        self.devices_left_out = 0;
        self.paths = Paths::default();
    }
}
