//! All that is known of a machine's GPUs at one moment.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use rampmeter::Nanos;
use rampmeter_probe::bridge::signals::Signals as CoreSignals;
use rampmeter_probe::device::Device as CoreDevice;
use rampmeter_probe::document::Document;
use rampmeter_probe::ordinal::{self, Unclear as CoreUnclear};
use rampmeter_probe::poller::STALE_AFTER;
use rampmeter_probe::{Condition as CoreCondition, Snapshot as CoreSnapshot};

use super::device::Device;
use super::signals::Signals;
use crate::error::Fault;
use crate::record::record;

record! {
    /// In what condition the driver is: a stable word, why in a sentence, and what to do about it (empty
    /// where there is nothing to do). `is_success`: the driver answers, with GPUs ("ready") or without
    /// ("no_devices"). `call` and `code` say what failed where the word is "failed".
    "rampmeter.probe" Condition {
        word: &'static str,
        is_success: bool,
        reason: &'static str,
        remedy: &'static str,
        call: Option<&'static str>,
        code: Option<u32>,
    }
}
record! {
    /// Versions of the driver and of NVML, empty where they are not told, and the CUDA that the driver
    /// can do, as 13000 for 13.0 (0: not told).
    "rampmeter.probe" Driver {
        version: String,
        nvml_version: String,
        cuda_version: u32,
    }
}
record! {
    /// The devices that CUDA sees, in the order of its numbers. `ended_at`: the entry of the list,
    /// counted from 0, that names nothing here; those from there on count for nothing.
    "rampmeter.probe" Visible {
        uuids: Vec<String>,
        ended_at: Option<u32>,
    }
}
record! {
    /// CUDA's numbers cannot be told: "fastest_first" (GPUs differ, and the fastest is first, by a
    /// measure that is not published) or "address" (that of a GPU on PCI is not known).
    "rampmeter.probe" Unclear {
        why: &'static str,
        reason: String,
    }
}

/// The answer of [`Snapshot::visible`].
#[derive(IntoPyObject)]
pub(super) enum Numbered {
    Visible(Visible),
    Unclear(Unclear),
}

/// All that is known of a machine's GPUs at one moment. It never changes.
///
/// `devices` are GPUs in the order of the backend, each followed by its instances (MIG). Without any,
/// `condition` says why. Ages count from `taken_at_ns`, by the clock of `time.monotonic_ns()`.
///
/// >>> from rampmeter.probe import Failed, Ok, Snapshot
/// >>> snapshot = Snapshot.from_json('''{"devices": [{"uuid": "GPU-a", "memory":
/// ...     {"status": "ok", "total_bytes": 100, "free_bytes": 60}}]}''', taken_at_ns=0)
/// >>> match snapshot.devices[0].memory:
/// ...     case Ok(memory, age_ns):
/// ...         print(memory.free_bytes)
/// ...     case Failed(call, code):
/// ...         print(call, code)
/// 60
/// >>> snapshot.devices[0].power
/// Unsupported()
#[pyclass(frozen, module = "rampmeter.probe")]
#[derive(Clone, Debug)]
pub(crate) struct Snapshot(Arc<Inner>);

struct Inner {
    core: CoreSnapshot,
    /// Made when they are first asked for.
    devices: PyOnceLock<Py<PyTuple>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.core.fmt(f)
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.0.core == other.0.core
    }
}

impl Snapshot {
    pub(super) fn of(core: CoreSnapshot) -> Self {
        Self(Arc::new(Inner { core, devices: PyOnceLock::new() }))
    }

    pub(super) fn core(&self) -> &CoreSnapshot {
        &self.0.core
    }

    /// The device of this name. Raises `NameUnknownError`.
    fn named(&self, uuid: &str) -> Result<&CoreDevice, Fault> {
        let unknown = || Fault::Name { what: "uuid", name: uuid.to_owned() };
        self.core().device(uuid).ok_or_else(unknown)
    }

    fn numbered(&self, seen: Result<ordinal::Visible, CoreUnclear>) -> Numbered {
        match seen {
            Ok(ordinal::Visible { devices, ended_at }) => {
                let uuid = |place: &u16| {
                    let device = self.core().devices.get(usize::from(*place));
                    device.map(|device| device.uuid.to_string())
                };
                let uuids = devices.iter().filter_map(uuid).collect();
                Numbered::Visible(Visible { uuids, ended_at })
            }
            Err(unclear) => Numbered::Unclear(Unclear {
                why: match unclear {
                    CoreUnclear::FastestFirst => "fastest_first",
                    CoreUnclear::Address => "address",
                },
                reason: unclear.to_string(),
            }),
        }
    }
}

#[pymethods]
impl Snapshot {
    /// The snapshot that `rampmeter probe --json` or `to_json` wrote, as taken at this moment. A few
    /// keys will do. Raises `DocumentError`, which names the key, for what no probe can have read.
    #[classmethod]
    #[pyo3(signature = (document, *, taken_at_ns))]
    fn from_json(_class: &Bound<'_, PyType>, document: &str, taken_at_ns: u64) -> PyResult<Self> {
        let document = Document::from_json(document).map_err(Fault::from)?;
        let snapshot = document.snapshot(Nanos(taken_at_ns)).map_err(Fault::from)?;
        Ok(Self::of(snapshot))
    }

    /// The snapshot as JSON, with the keys of `rampmeter probe --json`.
    fn to_json(&self) -> String {
        Document::from(self.core()).to_json()
    }

    /// When it was taken.
    #[getter]
    fn taken_at_ns(&self) -> u64 {
        self.core().taken_at.get()
    }

    /// Counts snapshots of one probe, from 1 on; 0: nothing was read yet.
    #[getter]
    fn seq(&self) -> u64 {
        self.core().seq
    }

    /// Who read it: "nvml", "cuda", "fixture" or "none".
    #[getter]
    fn source(&self) -> &'static str {
        self.core().source.word()
    }

    /// In what condition the driver is. Without success there are no devices.
    #[getter]
    fn condition(&self) -> Condition {
        self.core().condition.into()
    }

    /// Which driver.
    #[getter]
    fn driver(&self) -> Driver {
        let driver = self.core().driver;
        Driver {
            version: driver.version.to_string(),
            nvml_version: driver.nvml.to_string(),
            cuda_version: driver.cuda,
        }
    }

    /// GPUs, each followed by its instances.
    #[getter]
    fn devices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let made = self.0.devices.get_or_try_init(py, || {
            let devices = self.core().devices.iter();
            let devices = devices.map(|device| Device::of(self.core(), device));
            Ok::<_, PyErr>(PyTuple::new(py, devices.collect::<Vec<_>>())?.unbind())
        })?;
        Ok(made.bind(py).clone())
    }

    /// Devices that there were no places for.
    #[getter]
    fn devices_left_out(&self) -> u32 {
        self.core().devices_left_out
    }

    /// How old it is.
    fn age_ns(&self, now_ns: u64) -> u64 {
        self.core().age(Nanos(now_ns)).get()
    }

    /// Whether it is older than this (`STALE_AFTER_NS` by default), or nothing was read yet: whoever reads hangs or has ended.
    #[pyo3(signature = (now_ns, *, age_max_ns = STALE_AFTER.get()))]
    fn is_stale(&self, now_ns: u64, age_max_ns: u64) -> bool {
        self.core().is_stale(Nanos(now_ns), Nanos(age_max_ns))
    }

    /// The device with this identifier, or `None`.
    fn device(&self, uuid: &str) -> Option<Device> {
        self.core().device(uuid).map(|device| Device::of(self.core(), device))
    }

    /// How the GPUs of two devices reach each other over PCI, nearest first: "internal", "PIX", "PXB",
    /// "PHB", "NODE", "SYS" or "unknown". Raises `NameUnknownError`.
    fn path(&self, uuid: &str, other_uuid: &str) -> PyResult<&'static str> {
        Ok(self.core().path(self.named(uuid)?, self.named(other_uuid)?).word())
    }

    /// NVLinks between the GPUs of two devices; where both are on switches, as many as the one with
    /// fewer has to a switch. Raises `NameUnknownError`.
    fn nvlinks_between(&self, uuid: &str, other_uuid: &str) -> PyResult<usize> {
        Ok(self.core().nvlinks_between(self.named(uuid)?, self.named(other_uuid)?))
    }

    /// Which device has which number in CUDA, without CUDA, where `CUDA_DEVICE_ORDER` is `order` and
    /// `CUDA_VISIBLE_DEVICES` is `devices` (`None`: not set): `Visible` or `Unclear`.
    #[pyo3(signature = (*, order = None, devices = None))]
    fn visible(&self, order: Option<&str>, devices: Option<&str>) -> Numbered {
        self.numbered(ordinal::visible(self.core(), order, devices))
    }

    /// The same with the values that this process has in its environment now. CUDA itself looks at them
    /// once, when it is started.
    fn visible_here(&self) -> Numbered {
        self.numbered(ordinal::visible_here(self.core()))
    }

    /// What a diagnosis reads of each device, in their order.
    fn signals(&self, now_ns: u64) -> Vec<Signals> {
        self.core().signals(Nanos(now_ns)).map(Signals::from).collect()
    }

    /// By how much the clock of a device's multiprocessors fell since a snapshot `before`, as a part of
    /// what it was. `None` where that cannot be told: no clock was read anew in between, or the driver
    /// does not say that the device was busy both times. Raises `NameUnknownError`.
    #[pyo3(signature = (uuid, *, before))]
    fn sm_clock_drop_ratio(&self, uuid: &str, before: &Self) -> PyResult<Option<f64>> {
        let signals = |snapshot: &Self| {
            let core = snapshot.core();
            Ok::<_, Fault>(CoreSignals::of(core.taken_at, core, snapshot.named(uuid)?))
        };
        let (then, now) = (signals(before)?, signals(self)?);
        Ok(now.sm_clock_drop_ratio(&then))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self == other
    }

    fn __repr__(&self) -> String {
        let CoreSnapshot { seq, taken_at, condition, devices, .. } = self.core();
        format!(
            "<Snapshot {seq} of {:?} at {} ns: {:?}, {} devices>",
            self.source(),
            taken_at.get(),
            condition.word(),
            devices.len(),
        )
    }
}

impl From<CoreCondition> for Condition {
    fn from(condition: CoreCondition) -> Self {
        let (call, code) = match condition {
            CoreCondition::Failed { call, code } => (Some(call.name()), Some(code)),
            _ => (None, None),
        };
        Self {
            word: condition.word(),
            is_success: condition.is_success(),
            reason: condition.reason(),
            remedy: condition.remedy(),
            call,
            code,
        }
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Condition>()?;
    module.add_class::<Driver>()?;
    module.add_class::<Snapshot>()?;
    module.add_class::<Unclear>()?;
    module.add_class::<Visible>()
}
