//! Snapshots as JSON: what `rampmeter probe --json` writes, and what a fixture is.
//!
//! A reading is an object with a `status`: `ok` with its values and `age_s`, `unsupported`, `denied`,
//! or `failed` with `call` and `code`. What could not be read has no number. A reading that is not
//! there counts as `unsupported`, so that a fixture by hand is short.

mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use read::Refused;

/// A snapshot. Other keys beside these are not looked at: the command writes some.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Document {
    /// Number of this form, where a document stands alone.
    #[serde(default, skip_serializing)]
    pub schema: Option<u32>,
    /// Who read it: `nvml`, `cuda`, `fixture` or `none`.
    #[serde(default)]
    pub source: String,
    /// In what condition the driver is, and what to do about it.
    #[serde(default)]
    pub status: StatusEntry,
    /// Which driver.
    #[serde(default)]
    pub driver: DriverEntry,
    /// GPUs, each followed by its instances.
    #[serde(default)]
    pub devices: Vec<DeviceEntry>,
    /// Devices that there were no places for.
    #[serde(default)]
    pub devices_left_out: u32,
    /// Paths between GPUs over PCI; those that are not told are left out.
    #[serde(default)]
    pub paths: Vec<PathEntry>,
}

/// In what condition a driver is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StatusEntry {
    /// [`Condition::word`](crate::Condition::word).
    pub condition: String,
    /// [`Condition::reason`](crate::Condition::reason).
    #[serde(default)]
    pub reason: String,
    /// [`Condition::remedy`](crate::Condition::remedy); empty where there is nothing to do.
    #[serde(default)]
    pub remedy: String,
    /// The call that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
}

/// Which driver.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriverEntry {
    /// Its version.
    pub version: String,
    /// That of NVML.
    pub nvml_version: String,
    /// CUDA that it can do, as 13000 for 13.0; 0: not told.
    pub cuda_version: u32,
}

/// How two GPUs reach each other.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PathEntry {
    /// Identifier of one.
    pub a: String,
    /// Identifier of the other.
    pub b: String,
    /// [`Path::word`](crate::snapshot::Path::word).
    pub path: String,
}

/// A reading.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Entry<T> {
    /// It was read.
    Ok {
        /// How long before the snapshot.
        #[serde(default)]
        age_s: f64,
        /// What was read.
        #[serde(flatten)]
        value: T,
    },
    /// It is not told.
    #[default]
    Unsupported,
    /// It may not be told to this process.
    Denied,
    /// The call failed.
    Failed {
        /// Which one.
        call: String,
        /// Its status.
        code: u32,
    },
}

/// A device. Keys are those of [`Device`](crate::Device).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the field of the same name, with its unit in the key")]
pub struct DeviceEntry {
    pub uuid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_uuid: Option<String>,
    pub index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_ordinal: Option<u32>,
    pub name: String,
    pub kind: String,
    pub health: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_instance: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_instance: Option<u32>,
    pub memory: Entry<MemoryEntry>,
    pub utilization: Entry<UtilizationEntry>,
    pub processes: Entry<ProcessesEntry>,
    pub power: Entry<PowerEntry>,
    pub clocks: Entry<ClocksEntry>,
    pub temperature: Entry<TemperatureEntry>,
    pub throttle: Entry<ThrottleEntry>,
    pub xid: Entry<XidEntry>,
    pub pci: Entry<PciEntry>,
    pub compute_capability: Entry<CapabilityEntry>,
    pub numa: Entry<NumaEntry>,
    pub cpus: Entry<CpusEntry>,
    pub nvlinks: Entry<NvLinksEntry>,
    pub mig: Entry<MigEntry>,
}

macro_rules! entries {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
            #[allow(missing_docs, reason = "each is what its key says, with its unit")]
            pub struct $name { $($(#[$attribute])* pub $field: $kind,)* }
        )*
    };
}

entries! {
    /// [`Memory`](crate::Memory).
    MemoryEntry {
        total_bytes: u64,
        free_bytes: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used_bytes: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reserved_bytes: Option<u64>,
        #[serde(default)]
        basis: String,
    }
    /// [`Utilization`](crate::device::Utilization).
    UtilizationEntry { gpu_pct: u8, memory_pct: u8, window_max_s: f64, }
    /// [`ProcessList`](crate::device::ProcessList).
    ProcessesEntry { found: u32, list: Vec<ProcessEntry>, }
    /// [`Process`](crate::Process).
    ProcessEntry {
        pid: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gpu_instance: Option<u32>,
    }
    /// [`Power`](crate::device::Power).
    PowerEntry {
        draw_mw: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_mw: Option<u32>,
    }
    /// [`Clocks`](crate::device::Clocks).
    ClocksEntry {
        sm_mhz: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory_mhz: Option<u32>,
    }
    /// Degrees Celsius.
    TemperatureEntry { celsius: u32, }
    /// [`Throttle`](crate::device::Throttle): bits, and the names of those that are known.
    ThrottleEntry { bits: u64, #[serde(default)] reasons: Vec<String>, }
    /// [`XidEvents`](crate::device::XidEvents).
    XidEntry { count: u64, last: u64, last_age_s: f64, }
    /// As `domain:bus:device.0`, hexadecimal.
    PciEntry { address: String, }
    /// [`ComputeCapability`](crate::device::ComputeCapability).
    CapabilityEntry { major: u16, minor: u16, }
    /// A NUMA node.
    NumaEntry { node: u32, }
    /// As Linux writes them: `0-15,32-47`.
    CpusEntry { list: String, }
    /// [`NvLinks`](crate::device::NvLinks).
    NvLinksEntry { links: Vec<NvLinkEntry>, }
    /// [`NvLink`](crate::device::NvLink); `peer` is `switch`, `gpu`, `other` or `unknown`.
    NvLinkEntry {
        number: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u8>,
        peer: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pci: Option<String>,
    }
    /// Whether it is cut into instances.
    MigEntry { enabled: bool, }
}
