//! Nodes and devices: how they come, change and go.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rampmeter::fleet::{DeviceSpec, ModelId, NodeId, NodeSpec, Sharing};
use rampmeter::place::TaskId;

use super::answers::{
    Choice, DeviceModelStats, DeviceState, FleetStats, NodeState, Totals, devices_listed,
    lack_name, layout_of, sharing_name,
};
use super::layouts::LayoutName;
use super::{Placer, task, unknown};
use crate::error::Fault;
use crate::options::set_options;

/// A device of a node.
///
/// `model=0` (a number of the host's, below 64), `memory_mib=0` (0: unknown), `sharing="shared"`
/// ("exclusive": only whole; "partitioned": by the rules of `layout`, such as "h100-80gb", or its place
/// among the `layouts` of the placer), `numa=0`, `link_group=0` (devices of one node with the same
/// number reach each other fast).
#[pyclass(frozen, eq, module = "rampmeter.place")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Device(pub(crate) DeviceSpec);

/// What a node has: `cpu_milli=0`, `memory_mib=0`, `devices=()`, `labels=0` (bits of the host's choice),
/// `rack=0`, `zone=0`.
#[pyclass(frozen, module = "rampmeter.place")]
#[derive(Debug)]
pub(crate) struct Node {
    devices: Vec<DeviceSpec>,
    cpu_milli: u32,
    memory_mib: u32,
    labels: u64,
    rack: u32,
    zone: u32,
}

#[pymethods]
impl Device {
    #[new]
    #[pyo3(signature = (
        *, model = 0, memory_mib = 0, sharing = "shared", layout = None, numa = 0, link_group = 0
    ))]
    fn new(
        model: u8,
        memory_mib: u32,
        sharing: &str,
        layout: Option<LayoutName>,
        numa: u8,
        link_group: u8,
    ) -> PyResult<Self> {
        let sharing = match (sharing, layout) {
            ("shared", None) => Sharing::Shared,
            ("exclusive", None) => Sharing::Exclusive,
            ("partitioned", Some(layout)) => Sharing::Partitioned(layout.id()?),
            (other, _) => return Err(unknown("sharing", other).into()),
        };
        Ok(Self(DeviceSpec { model: ModelId(model), memory_mib, sharing, numa, link_group }))
    }

    /// Its model, by the host's number.
    #[getter]
    fn model(&self) -> u8 {
        self.0.model.0
    }

    /// Its memory; 0: unknown.
    #[getter]
    fn memory_mib(&self) -> u32 {
        self.0.memory_mib
    }

    /// How it is given away.
    #[getter]
    fn sharing(&self) -> &'static str {
        sharing_name(self.0.sharing)
    }

    /// The layout of a partitioned one, by its name or its place in the list of the host.
    #[getter]
    fn layout(&self) -> Option<LayoutName> {
        layout_of(self.0.sharing)
    }

    /// The NUMA node that it is attached to.
    #[getter]
    fn numa(&self) -> u8 {
        self.0.numa
    }

    /// Devices of one node with the same number reach each other fast.
    #[getter]
    fn link_group(&self) -> u8 {
        self.0.link_group
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[pymethods]
impl Node {
    #[new]
    #[pyo3(signature = (**fields))]
    fn new(fields: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut node =
            Self { devices: Vec::new(), cpu_milli: 0, memory_mib: 0, labels: 0, rack: 0, zone: 0 };
        set_options!(
            fields,
            node: cpu_milli,
            memory_mib,
            labels,
            rack,
            zone,
            devices => |node: &mut Self, given: Vec<PyRef<'_, Device>>| {
                node.devices = given.iter().map(|device| device.0).collect();
                Ok::<(), PyErr>(())
            },
        );
        Ok(node)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.spec())
    }
}

impl Node {
    pub(super) fn spec(&self) -> NodeSpec<'_> {
        NodeSpec {
            cpu_milli: self.cpu_milli,
            memory_mib: self.memory_mib,
            devices: &self.devices,
            labels: self.labels,
            rack: self.rack,
            zone: self.zone,
        }
    }
}

fn id(node: u64) -> NodeId {
    NodeId::from_raw(node)
}

/// Tasks that an event concerns.
fn concerned(
    placer: &mut rampmeter::place::Placer,
    event: impl FnOnce(&mut rampmeter::place::Placer, &mut [TaskId]) -> Result<u32, rampmeter::Error>,
) -> Result<Vec<u64>, Fault> {
    let mut tasks = vec![TaskId::default(); placer.stats().members as usize];
    let found = event(placer, &mut tasks)?;
    Ok(tasks.into_iter().take(found as usize).map(TaskId::to_raw).collect())
}

#[pymethods]
impl Placer {
    /// A node comes, and may be given work at once: its handle. Raises `RangeError`, `FullError`.
    fn add_node(&self, py: Python<'_>, node: &Bound<'_, Node>) -> PyResult<u64> {
        let spec = node.get().spec();
        self.0.ask(py, |placer| Ok(placer.add_node(&spec)?.to_raw()))
    }

    /// Takes a node out on which nothing runs. Raises `ContradictionError` while something does.
    fn remove_node(&self, py: Python<'_>, node: u64) -> PyResult<()> {
        self.0.ask(py, |placer| Ok(placer.remove_node(id(node))?))
    }

    /// Nothing more starts on a node: the tasks that run there.
    fn drain_node(&self, py: Python<'_>, node: u64) -> PyResult<Vec<u64>> {
        self.0.scan(py, |placer| concerned(placer, |placer, out| placer.drain_node(id(node), out)))
    }

    /// A node is lost: the tasks that ran there. They stay known until they are released.
    fn fail_node(&self, py: Python<'_>, node: u64) -> PyResult<Vec<u64>> {
        self.0.scan(py, |placer| concerned(placer, |placer, out| placer.fail_node(id(node), out)))
    }

    /// A node may be given work again. What was not released still holds what it held.
    fn return_node(&self, py: Python<'_>, node: u64) -> PyResult<()> {
        self.0.ask(py, |placer| Ok(placer.return_node(id(node))?))
    }

    /// Nothing more starts on a device: the tasks that use it.
    fn drain_device(&self, py: Python<'_>, node: u64, device: u32) -> PyResult<Vec<u64>> {
        self.0.scan(py, |placer| {
            concerned(placer, |placer, out| placer.drain_device(id(node), device, out))
        })
    }

    /// A device is lost: the tasks that used it.
    fn fail_device(&self, py: Python<'_>, node: u64, device: u32) -> PyResult<Vec<u64>> {
        self.0.scan(py, |placer| {
            concerned(placer, |placer, out| placer.fail_device(id(node), device, out))
        })
    }

    /// A device may be given away again.
    fn return_device(&self, py: Python<'_>, node: u64, device: u32) -> PyResult<()> {
        self.0.ask(py, |placer| Ok(placer.return_device(id(node), device)?))
    }

    /// What the host says about a node, as bits of its choice.
    fn set_labels(&self, py: Python<'_>, node: u64, labels: u64) -> PyResult<()> {
        self.0.ask(py, |placer| Ok(placer.set_labels(id(node), labels)?))
    }

    /// Whether an artifact (1 or more) is on a node; placing a task there says so by itself.
    fn set_warm(&self, py: Python<'_>, node: u64, artifact: u32, warm: bool) -> PyResult<()> {
        self.0.ask(py, |placer| Ok(placer.set_warm(id(node), artifact, warm)?))
    }

    /// Whether an artifact is believed to be on a node.
    fn is_warm(&self, py: Python<'_>, node: u64, artifact: u32) -> PyResult<bool> {
        self.0.ask(py, |placer| Ok(placer.is_warm(id(node), artifact)?))
    }

    /// Whether nothing starts on a node and nothing is there any more: it may be taken away.
    fn is_drained(&self, py: Python<'_>, node: u64) -> PyResult<bool> {
        self.0.ask(py, |placer| Ok(placer.drained(id(node))?))
    }

    /// The handles of all nodes.
    fn nodes(&self, py: Python<'_>) -> PyResult<Vec<u64>> {
        self.0.scan(py, |placer| Ok(placer.fleet().iter().map(|(node, _)| node.to_raw()).collect()))
    }

    /// A node, and what of it is free. Raises `StaleError`.
    fn node(&self, py: Python<'_>, node: u64) -> PyResult<NodeState> {
        self.0.ask(py, |placer| Ok((*placer.fleet().node(id(node))?).into()))
    }

    /// The devices of a node, and what of them is free. Raises `StaleError`.
    fn devices(&self, py: Python<'_>, node: u64) -> PyResult<Vec<DeviceState>> {
        self.0.ask(py, |placer| {
            Ok(placer.fleet().devices(id(node))?.iter().map(DeviceState::from).collect())
        })
    }

    /// Which devices of a node a member of a task would take where nothing else is said, or what the
    /// node lacks. Labels, failure domains and promises are not looked at: `why` does.
    fn choice(&self, py: Python<'_>, node: u64, task: &Bound<'_, task::Task>) -> PyResult<Choice> {
        let member = task.get().0.member;
        self.0.ask(py, |placer| {
            member.check()?;
            Ok(match placer.fleet().choice(id(node), &member)? {
                Ok(choice) => Choice {
                    devices: devices_listed(choice.devices),
                    slices: choice.slices,
                    lack: None,
                },
                Err(lack) => Choice { devices: Vec::new(), slices: 0, lack: Some(lack_name(lack)) },
            })
        })
    }

    /// What is there in all, and what of it is free.
    fn fleet_stats(&self, py: Python<'_>) -> PyResult<FleetStats> {
        self.0.ask(py, |placer| {
            let fleet = placer.fleet();
            let (total, free) = (Totals::from(*fleet.total()), Totals::from(*fleet.free()));
            Ok(FleetStats { nodes: fleet.len(), total, free })
        })
    }

    /// What of one model of device is there; nothing of one that does not exist.
    fn device_model_stats(&self, py: Python<'_>, model: u8) -> PyResult<DeviceModelStats> {
        let of = self.0.ask(py, |placer| Ok(placer.fleet().of_model(ModelId(model))))?;
        Ok(DeviceModelStats {
            devices: of.devices,
            devices_free: of.devices_free,
            gpu_milli: of.milli,
            gpu_free_milli: of.free_milli,
        })
    }
}
