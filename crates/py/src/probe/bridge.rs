//! From what GPUs say to what desks decide by: devices of a node, and KV blocks of an engine.

use pyo3::prelude::*;
use rampmeter::error::check_range;
use rampmeter::fleet::device::MODELS_MAX;
use rampmeter::fleet::{LayoutId, ModelId, NodeId};
use rampmeter::place::TaskId;
use rampmeter::units::{Bytes, Nanos};
use rampmeter_probe::bridge::{fleet, kv};
use rampmeter_probe::device::Device as CoreDevice;
use rampmeter_probe::poller::STALE_AFTER;

use super::device::Device;
use super::snapshot::Snapshot;
use crate::desk::Desk;
use crate::error::Fault;
use crate::place::{self, Placer};
use crate::record::record;

/// The GPUs of a node: `devices` for `rampmeter.place.Node`, and their `uuids` in the same order.
#[pyclass(frozen, module = "rampmeter.probe")]
#[derive(Clone, Debug)]
pub(crate) struct NodeDevices(fleet::NodeDevices);

#[pymethods]
impl NodeDevices {
    /// As a node wants them.
    #[getter]
    fn devices(&self) -> Vec<place::Device> {
        self.0.specs().iter().copied().map(place::Device).collect()
    }

    /// Their identifiers, in the same order.
    #[getter]
    fn uuids(&self) -> Vec<&str> {
        self.0.uuids().iter().map(rampmeter_probe::Text::as_str).collect()
    }

    fn __len__(&self) -> usize {
        self.0.specs().len()
    }

    fn __repr__(&self) -> String {
        format!("<NodeDevices {:?}>", self.uuids())
    }
}

/// What a node's GPUs are: memory without what the driver keeps for itself, NUMA node, and a link group
/// for those that NVLink joins.
///
/// `model(device)` gives each GPU its number among the models of the host (below 64); those for which
/// it has `None`, and those beyond 16, are left out. A GPU that is cut (MIG) is partitioned by the
/// layout that `layout(device)` names, such as "h100-80gb", or left out of use (memory 0). Raises
/// `RangeError`, `NameUnknownError`.
///
/// >>> from rampmeter.probe import Snapshot, describe
/// >>> snapshot = Snapshot.from_json('''{"devices": [{"uuid": "GPU-a", "memory":
/// ...     {"status": "ok", "total_bytes": 85899345920, "free_bytes": 0}}]}''', taken_at_ns=0)
/// >>> describe(snapshot, model=lambda device: 0).uuids
/// ['GPU-a']
#[pyfunction]
#[pyo3(signature = (snapshot, *, model, layout = None))]
fn describe(
    py: Python<'_>,
    snapshot: &Bound<'_, Snapshot>,
    model: &Bound<'_, PyAny>,
    layout: Option<&Bound<'_, PyAny>>,
) -> PyResult<NodeDevices> {
    let core = snapshot.get().core();
    // All is asked before the bridge asks: it must not meet Python.
    let mut known: Vec<(Option<ModelId>, Option<LayoutId>)> = Vec::new();
    for gpu in &core.devices {
        if gpu.parent.is_some() {
            known.push((None, None));
            continue;
        }
        let told = Bound::new(py, Device::of(core, gpu))?;
        let model = match model.call1((&told,))?.extract::<Option<u64>>()? {
            None => None,
            Some(number) => {
                let max = u64::from(MODELS_MAX) - 1;
                let number = check_range("model", number, 0, max).map_err(Fault::from)?;
                Some(ModelId(number as u8))
            }
        };
        let layout = match layout.filter(|_| gpu.mig.value() == Some(&true)) {
            None => None,
            Some(layout) => layout.call1((&told,))?.extract::<Option<String>>()?,
        };
        let layout =
            layout.map(|name| LayoutId::named(&name).ok_or(Fault::Name { what: "layout", name }));
        known.push((model, layout.transpose()?));
    }
    let of = |gpu: &CoreDevice| {
        let place = core.devices.iter().position(|other| std::ptr::eq(other, gpu));
        place.and_then(|place| known.get(place).copied()).unwrap_or_default()
    };
    Ok(NodeDevices(fleet::describe(core, |gpu| of(gpu).0, |gpu| of(gpu).1)))
}

record! {
    /// What is to be done about a device of a node, and why.
    ///
    /// `action` is "fail", "drain" or "return". `why` is "lost" (`detail` is its health), "stale" (the
    /// snapshot is too old), "missing" (the driver does not list it), "driver" (it does not answer:
    /// `detail` is its condition), "memory_taken" (somebody else took `missing_mib`) or "recovered".
    "rampmeter.probe" Change {
        node: u64,
        device: u32,
        action: &'static str,
        why: &'static str,
        detail: Option<&'static str>,
        missing_mib: Option<u32>,
    } impl {
        /// Does it to a placer: the tasks that hold something of a device that fails or drains. Raises
        /// `StaleError`, `RangeError`.
        fn apply(&self, py: pyo3::Python<'_>, placer: &Bound<'_, Placer>) -> PyResult<Vec<u64>> {
            let (node, device, action) = (NodeId::from_raw(self.node), self.device, self.action);
            placer.get().0.scan(py, |placer| {
                let mut tasks = vec![TaskId::default(); placer.stats().members as usize];
                let concerned = match action {
                    "fail" => placer.fail_device(node, device, &mut tasks)?,
                    "drain" => placer.drain_device(node, device, &mut tasks)?,
                    _ => placer.return_device(node, device).map(|()| 0)?,
                };
                let tasks = tasks.into_iter().take(concerned as usize);
                Ok(tasks.map(TaskId::to_raw).collect())
            })
        }
    }
}

impl From<fleet::Change> for Change {
    fn from(change: fleet::Change) -> Self {
        let (why, detail, missing_mib) = match change.why {
            fleet::Why::Lost(loss) => {
                ("lost", Some(rampmeter_probe::Health::Lost(loss).word()), None)
            }
            fleet::Why::Stale => ("stale", None, None),
            fleet::Why::Missing => ("missing", None, None),
            fleet::Why::Driver(condition) => ("driver", Some(condition.word()), None),
            fleet::Why::MemoryTaken { missing_mib } => ("memory_taken", None, Some(missing_mib)),
            fleet::Why::Recovered => ("recovered", None, None),
        };
        let action = match change.action {
            fleet::Action::Fail => "fail",
            fleet::Action::Drain => "drain",
            fleet::Action::Return => "return",
        };
        Self { node: change.node.to_raw(), device: change.device, action, why, detail, missing_mib }
    }
}

/// One node of a placer, and the GPUs that it is made of: which are to be failed (lost), drained (stale,
/// missing, memory that somebody else took) and returned. What the host itself took out it leaves alone.
///
/// `stale_after_ns`: from this age on a snapshot says nothing. `slack_mib`: memory that may be missing on
/// a device before it is drained.
#[pyclass(frozen, module = "rampmeter.probe")]
#[derive(Debug)]
pub(crate) struct NodeBridge(Desk<fleet::NodeBridge>);

#[pymethods]
impl NodeBridge {
    #[new]
    #[pyo3(signature = (node, devices, *, stale_after_ns = None, slack_mib = None))]
    fn new(
        py: Python<'_>,
        node: u64,
        devices: &Bound<'_, NodeDevices>,
        stale_after_ns: Option<u64>,
        slack_mib: Option<u32>,
    ) -> PyResult<Self> {
        let default = fleet::Rules::default();
        let rules = fleet::Rules {
            stale_after: stale_after_ns.map_or(default.stale_after, Nanos),
            slack_mib: slack_mib.unwrap_or(default.slack_mib),
        };
        let devices = &devices.get().0;
        Desk::create(py, || Ok(fleet::NodeBridge::new(NodeId::from_raw(node), devices, rules)))
            .map(Self)
    }

    /// What is to be done, by this snapshot. Do it (`Change.apply`) before asking again, or it is told
    /// again. Raises `StaleError` for a node that is gone.
    fn changes(
        &self,
        py: Python<'_>,
        now_ns: u64,
        snapshot: &Bound<'_, Snapshot>,
        placer: &Bound<'_, Placer>,
    ) -> PyResult<Vec<Change>> {
        let snapshot = snapshot.get().core();
        self.0.scan_with(py, &placer.get().0, |bridge, placer| {
            let changes = bridge.changes(Nanos(now_ns), snapshot, placer.fleet())?;
            Ok(changes.map(Change::from).collect())
        })
    }
}

record! {
    /// The KV cache for which there is room: for `rampmeter.batch.Engine`.
    "rampmeter.probe" KvGeometry {
        kv_blocks: u32,
        kv_block_tokens: u32,
    }
}
record! {
    /// There is no cache: "no_devices" were named; one is "unknown" to the snapshot, or its memory was
    /// "not_read" or too long ago (which one by its `place` in the list); or there is "no_room" for a
    /// block.
    "rampmeter.probe" NoBudget {
        why: &'static str,
        place: Option<u32>,
    }
}

/// The answer of [`KvBudget::geometry`].
#[derive(IntoPyObject)]
enum Budgeted {
    Geometry(KvGeometry),
    None(NoBudget),
}

/// Bytes that a token of a model takes on each device: keys and values of `layers` with `kv_heads` of
/// `head_size` values each, split over `tensor_parallel` devices. `bytes_per_value` is 2 for bf16 and 1
/// for fp8.
///
/// >>> from rampmeter.probe import kv_bytes_per_token
/// >>> kv_bytes_per_token(layers=32, kv_heads=8, head_size=128, bytes_per_value=2)
/// 131072
#[pyfunction]
#[pyo3(signature = (*, layers, kv_heads, head_size, bytes_per_value, tensor_parallel = 1))]
fn kv_bytes_per_token(
    layers: u32,
    kv_heads: u32,
    head_size: u32,
    bytes_per_value: u32,
    tensor_parallel: u32,
) -> u64 {
    kv::KvShape { layers, kv_heads, head_size, bytes_per_value, tensor_parallel }
        .bytes_per_token()
        .0
}

/// How much of a device's memory may become KV cache.
///
/// `bytes_per_token` on each device (`kv_bytes_per_token`), `kv_block_tokens` in a block (1 to 65,536),
/// `keep_free_bytes` on each device (weights are to be loaded before), and readings that are older than
/// `age_max_ns` (`STALE_AFTER_NS`) say nothing.
///
/// >>> from rampmeter.probe import KvBudget, Snapshot
/// >>> snapshot = Snapshot.from_json('''{"devices": [{"uuid": "GPU-a", "memory":
/// ...     {"status": "ok", "total_bytes": 85899345920, "free_bytes": 42949672960}}]}''',
/// ...     taken_at_ns=0)
/// >>> budget = KvBudget(bytes_per_token=131_072, keep_free_bytes=2**30)
/// >>> budget.geometry(0, snapshot, ["GPU-a"])
/// KvGeometry(kv_blocks=19968, kv_block_tokens=16)
#[pyclass(frozen, module = "rampmeter.probe")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvBudget(kv::KvBudget);

#[pymethods]
impl KvBudget {
    #[new]
    #[pyo3(signature = (
        *, bytes_per_token, kv_block_tokens = 16, keep_free_bytes = 0, age_max_ns = STALE_AFTER.get()
    ))]
    const fn new(
        bytes_per_token: u64,
        kv_block_tokens: u32,
        keep_free_bytes: u64,
        age_max_ns: u64,
    ) -> Self {
        Self(kv::KvBudget {
            bytes_per_token: Bytes(bytes_per_token),
            block_tokens: kv_block_tokens,
            keep_free: Bytes(keep_free_bytes),
            age_max: Nanos(age_max_ns),
        })
    }

    /// The cache for which all of these devices have room, one for each part of the model: `KvGeometry`
    /// or `NoBudget`. Raises `RangeError` where the numbers of the budget can be of no cache.
    fn geometry(
        &self,
        now_ns: u64,
        snapshot: &Bound<'_, Snapshot>,
        uuids: Vec<String>,
    ) -> PyResult<Budgeted> {
        let uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
        let none = |why, place| Ok(Budgeted::None(NoBudget { why, place }));
        match self.0.geometry(Nanos(now_ns), snapshot.get().core(), &uuids) {
            Ok(geometry) => Ok(Budgeted::Geometry(KvGeometry {
                kv_blocks: geometry.blocks().get(),
                kv_block_tokens: self.0.block_tokens,
            })),
            Err(kv::NoBudget::NoDevices) => none("no_devices", None),
            Err(kv::NoBudget::Unknown(place)) => none("unknown", Some(place)),
            Err(kv::NoBudget::NotRead(place)) => none("not_read", Some(place)),
            Err(kv::NoBudget::Geometry(error)) if error.field() == "kv_blocks" => {
                none("no_room", None)
            }
            Err(kv::NoBudget::Geometry(error)) => Err(Fault::from(error).into()),
        }
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Change>()?;
    module.add_class::<KvBudget>()?;
    module.add_class::<KvGeometry>()?;
    module.add_class::<NoBudget>()?;
    module.add_class::<NodeBridge>()?;
    module.add_class::<NodeDevices>()?;
    module.add_function(wrap_pyfunction!(describe, module)?)?;
    module.add_function(wrap_pyfunction!(kv_bytes_per_token, module)?)
}
