//! What a device says about itself.
//!
//! All are plain `Copy` structures of a fixed size: a snapshot is copied without a heap, and
//! crosses an ABI field by field.

use rampmeter::{Bytes, Nanos};

use crate::reading::Reading;
use crate::text::Text;

/// Room for an identifier: `NVML_DEVICE_UUID_V2_BUFFER_SIZE` of NVML.
pub const UUID_LEN: usize = 96;
/// Room for a name: `NVML_DEVICE_NAME_V2_BUFFER_SIZE` of NVML.
pub const NAME_LEN: usize = 96;
/// CPUs that a set can hold. Linux for servers is built for up to 8,192; machines with GPUs have at
/// most 2 sockets of 512 threads. CPUs beyond are left out, and the set says so.
pub const CPUS_MAX: usize = 1_024;
/// `NVLink`s of a device: `NVML_NVLINK_MAX_LINKS` of NVML.
pub const NVLINKS_MAX: usize = 18;
/// The longest time over which a driver averages utilization: NVML documents 1/6 s to 1 s,
/// depending on the product, and does not tell which.
pub const UTILIZATION_WINDOW_MAX: Nanos = Nanos(1_000_000_000);

/// One device: a GPU, or an instance that it is cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Device {
    /// Its identifier, the only name that means the same everywhere: `GPU-...` or `MIG-...`.
    pub uuid: Text<UUID_LEN>,
    /// Of an instance: the place of its GPU in the snapshot, which is before its own.
    pub parent: Option<u16>,
    /// Its number in the backend's order. NVML numbers by PCI address, CUDA does not: join on
    /// `uuid`, never on this.
    pub index: u32,
    /// What it is.
    pub kind: DeviceKind,
    /// Whether it can be used.
    pub health: Health,
    /// Its name for people.
    pub name: Text<NAME_LEN>,
    /// Where it is attached.
    pub pci: Reading<PciAddress>,
    /// What its processors can do.
    pub compute_capability: Reading<ComputeCapability>,
    /// Its memory.
    pub memory: Reading<Memory>,
    /// How busy it was.
    pub utilization: Reading<Utilization>,
    /// Who has memory of it.
    pub processes: Reading<ProcessList>,
    /// What it draws.
    pub power: Reading<Power>,
    /// How fast it is clocked.
    pub clocks: Reading<Clocks>,
    /// How hot it is, in degrees Celsius.
    pub temperature_c: Reading<u32>,
    /// What holds its clocks down.
    pub throttle: Reading<Throttle>,
    /// The NUMA node next to it.
    pub numa: Reading<u32>,
    /// The CPUs next to it.
    pub cpus: Reading<CpuSet>,
    /// Its `NVLink`s that are up.
    pub nvlinks: Reading<NvLinks>,
    /// Whether it is cut into instances.
    pub mig: Reading<bool>,
    /// Of an instance: which one.
    pub instance: Option<Instance>,
    /// The last critical event, and how many there were since the probe began.
    pub xid: Reading<XidEvents>,
    /// Its number in CUDA of this process, where CUDA was asked.
    pub cuda_ordinal: Option<u32>,
}

impl Device {
    /// This much time has passed.
    pub(crate) fn advance(&mut self, by: Nanos) {
        self.pci.advance(by);
        self.compute_capability.advance(by);
        self.memory.advance(by);
        self.utilization.advance(by);
        self.processes.advance(by);
        self.power.advance(by);
        self.clocks.advance(by);
        self.temperature_c.advance(by);
        self.throttle.advance(by);
        self.numa.advance(by);
        self.cpus.advance(by);
        self.nvlinks.advance(by);
        self.mig.advance(by);
        self.xid.advance(by);
        if let Reading::Ok { value, .. } = &mut self.xid {
            value.last_age = value.last_age.saturating_add(by);
        }
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    #[default]
    Gpu,
    /// An instance of a GPU (MIG).
    Mig,
    /// A GPU that shares the memory of its host.
    Unified,
}

impl DeviceKind {
    /// A stable word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Mig => "mig",
            Self::Unified => "unified",
        }
    }
}

/// Whether a device can be used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Health {
    /// As far as is known.
    #[default]
    Ready,
    /// The driver has lost it, or it needs a reset.
    Lost(Loss),
    /// It is counted, and this process cannot have it: in a container, one of another's.
    Unreachable,
}

impl Health {
    /// A stable word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unreachable => "unreachable",
            Self::Lost(Loss::Gone) => "lost",
            Self::Lost(Loss::ResetRequired) => "reset_required",
            Self::Lost(Loss::Xid79) => "lost_xid_79",
        }
    }
}

/// How it is known that a device is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// NVML 15: it has fallen off the bus, or cannot be reached.
    Gone,
    /// NVML 16: it works no more until it is reset.
    ResetRequired,
    /// Xid 79 was reported: it has fallen off the bus.
    Xid79,
}

/// An address on PCI.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct PciAddress {
    /// Domain.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device.
    pub device: u8,
}

impl std::fmt::Display for PciAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { domain, bus, device } = self;
        f.pad(Text::<24>::new(&format!("{domain:08x}:{bus:02x}:{device:02x}.0")).as_str())
    }
}

/// CUDA compute capability.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ComputeCapability {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
}

impl ComputeCapability {
    /// Chips whose GPU shares the memory of the host, by NVIDIA's list of compute capabilities:
    /// Xavier, Orin, Thor (10.1, since CUDA 13 11.0) and GB10.
    const INTEGRATED: [(u16, u16); 5] = [(7, 2), (8, 7), (10, 1), (11, 0), (12, 1)];

    /// Whether all GPUs of this capability share the memory of their host.
    #[must_use]
    pub fn is_integrated(self) -> bool {
        Self::INTEGRATED.contains(&(self.major, self.minor))
    }
}

/// Memory of a device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// All of it.
    pub total: Bytes,
    /// What can still be had. The one number to go by: see `used`.
    pub free: Bytes,
    /// What is taken. With [`MemoryBasis::DriverV1`] this contains what the driver keeps for itself;
    /// otherwise drivers differ.
    pub used: Option<Bytes>,
    /// What the driver keeps for itself.
    pub reserved: Option<Bytes>,
    /// Where this was read.
    pub basis: MemoryBasis,
}

/// Where memory was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MemoryBasis {
    /// The driver's current call.
    #[default]
    Driver,
    /// The driver's first call, which counts what is reserved as used.
    DriverV1,
    /// Estimated: the memory of the host that is available, for a GPU that shares it.
    HostEstimated,
    /// CUDA, inside of a context.
    CudaContext,
}

impl MemoryBasis {
    /// A stable word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::DriverV1 => "driver_v1",
            Self::HostEstimated => "host_estimated",
            Self::CudaContext => "cuda_context",
        }
    }
}

/// How busy a device was: the part of a window in which anything ran or memory was accessed.
///
/// 100% says that something ran all the time, not that the device could do no more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Utilization {
    /// Percent of the window in which a kernel ran.
    pub gpu_pct: u8,
    /// Percent of the window in which memory was read or written.
    pub memory_pct: u8,
    /// The window was at most this long ([`UTILIZATION_WINDOW_MAX`]).
    pub window_max: Nanos,
}

/// Which processes of a snapshot are those of a device.
///
/// An empty list does not say that a device is idle: a container sees no process identifiers but
/// its own, or those of the host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProcessList {
    /// Place of the first one in [`Snapshot::processes`](crate::Snapshot::processes).
    pub first: u32,
    /// How many are listed there.
    pub listed: u32,
    /// How many the driver told of; more than `listed` where there was no room.
    pub found: u32,
}

/// A process that has memory of a device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Process {
    /// Its identifier, as the driver gives it: perhaps of another namespace.
    pub pid: u32,
    /// Memory that it has, where the driver tells it.
    pub memory: Option<Bytes>,
    /// Instance that it runs in, by GPU instance, where the driver tells it.
    pub gpu_instance: Option<u32>,
}

/// What a device draws.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Power {
    /// Draw, in milliwatts.
    pub draw_mw: u32,
    /// What it may draw, in milliwatts, where the driver tells it.
    pub limit_mw: Option<u32>,
}

/// How fast a device is clocked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Clocks {
    /// Multiprocessors, in MHz.
    pub sm_mhz: u32,
    /// Memory, in MHz, where the driver tells it.
    pub memory_mhz: Option<u32>,
}

/// What holds clocks down, as bits of `nvmlClocksEventReason`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(transparent)]
pub struct Throttle(pub u64);

impl Throttle {
    /// Each bit that is known, with its name.
    pub const REASONS: [(u64, &'static str); 9] = [
        (0x1, "gpu_idle"),
        (0x2, "applications_clocks"),
        (0x4, "sw_power_cap"),
        (0x8, "hw_slowdown"),
        (0x10, "sync_boost"),
        (0x20, "sw_thermal"),
        (0x40, "hw_thermal"),
        (0x80, "hw_power_brake"),
        (0x100, "display_clocks"),
    ];

    /// Names of the reasons that are set; bits that are not known have none.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::REASONS.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
    }

    /// Whether something holds the device back that an operator should look at: power or heat, not
    /// idleness or a setting.
    #[must_use]
    pub const fn is_limiting(self) -> bool {
        self.0 & (0x4 | 0x8 | 0x20 | 0x40 | 0x80) != 0
    }
}

/// A set of CPUs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuSet {
    /// CPU `n` is bit `n % 64` of word `n / 64`.
    pub words: [u64; CPUS_MAX / 64],
}

impl CpuSet {
    /// The CPUs in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..CPUS_MAX as u32).filter(|cpu| self.words[(cpu / 64) as usize] >> (cpu % 64) & 1 == 1)
    }
}

impl Default for CpuSet {
    fn default() -> Self {
        Self { words: [0; CPUS_MAX / 64] }
    }
}

impl std::fmt::Display for CpuSet {
    /// As Linux writes them: `0-15,32-47`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

/// The `NVLink`s of a device that are up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NvLinks {
    /// How many of `links` there are.
    pub len: u8,
    /// The links; what is beyond `len` says nothing.
    pub links: [NvLink; NVLINKS_MAX],
}

impl NvLinks {
    /// The links that are up.
    #[must_use]
    pub fn up(&self) -> &[NvLink] {
        self.links.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// One `NVLink` that is up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NvLink {
    /// Which one of the device.
    pub number: u8,
    /// Version, where the driver tells it.
    pub version: Option<u8>,
    /// What is at its other end.
    pub peer: NvLinkPeer,
}

/// What is at the other end of an `NVLink`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NvLinkPeer {
    /// The driver does not tell.
    #[default]
    Unknown,
    /// A GPU at this address.
    Gpu(PciAddress),
    /// A switch, which leads to all GPUs on it.
    Switch,
    /// A CPU (IBM) or something newer than this code.
    Other,
}

impl NvLinkPeer {
    /// A stable word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gpu(_) => "gpu",
            Self::Switch => "switch",
            Self::Other => "other",
        }
    }
}

/// Which instance of a GPU.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Instance {
    /// GPU instance, where the driver tells it.
    pub gpu: Option<u32>,
    /// Compute instance within it, where the driver tells it.
    pub compute: Option<u32>,
}

/// Critical events that a device reported.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct XidEvents {
    /// How many since the probe began.
    pub count: u64,
    /// Number of the last one; 0 before the first.
    pub last: u64,
    /// How long before the snapshot the last one was heard of.
    pub last_age: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_cpus_are_written_as_linux_does() {
        let mut set = CpuSet::default();
        assert_eq!(set.to_string(), "");
        for cpu in (0..16).chain(32..34).chain([63, 64, 1_023]) {
            set.words[cpu / 64] |= 1 << (cpu % 64);
        }
        assert_eq!(set.to_string(), "0-15,32-33,63-64,1023");
    }

    #[test]
    fn reasons_are_named_and_told_apart() {
        let both = Throttle(0x1 | 0x40 | 1 << 60);
        assert_eq!(both.names().collect::<Vec<_>>(), ["gpu_idle", "hw_thermal"]);
        assert!(both.is_limiting() && !Throttle(0x113).is_limiting());
    }

    #[test]
    fn addresses_are_padded() {
        let address = PciAddress { domain: 15, bus: 0x1b, device: 0 };
        assert_eq!(address.to_string(), "0000000f:1b:00.0");
    }
}
