//! What a task asks for.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rampmeter::fleet::{DeviceDemand, ModelSet};
use rampmeter::place::{Domain, Task as CoreTask};
use rampmeter::share::AccountId;
use rampmeter::units::Nanos;

use super::answers::models_listed;
use super::unknown;
use crate::error::Fault;
use crate::options::set_options;

/// A task: one member, or several that start together (a gang).
///
/// What each member takes of its node: `cpu_milli=0`, `memory_mib=0`, `devices="none"` ("whole";
/// "share": `device_milli` thousandths of each; "partition": `compute_slices` of one),
/// `device_count=1`, `device_memory_mib=0` (of each, at least), `models=None` (numbers of models that
/// will do; all), `one_link_group=False`.
///
/// Who and what: `tag=0` (the host's own name), `account=0`, `class_index=0`, `priority=0`,
/// `members=1`, `members_min=0` (with which it can start; 0: all), `duration_ns=0` (expected; 0:
/// unknown), `artifact=0` and `warm_up_ns=0` (what it loads, and how long that takes), `preemptible=False`,
/// `min_runtime_ns=0`.
///
/// Where: `labels_required=0` and `labels_forbidden=0` (bits), `within="fleet"` ("node", "rack", "zone":
/// all members in one), `within_required=False`, `slowdown_ratio=0.0` (lost where they are not),
/// `link_slowdown_ratio=0.0`, `spread_group=0` (tasks of one group keep apart), `spread_domain="fleet"`,
/// `spread_members_max=0`, `crowding_s=0.0`.
///
/// >>> from rampmeter.place import Task
/// >>> Task(devices="share", device_milli=250, device_memory_mib=8_000).gpu_milli
/// 250
#[pyclass(frozen, eq, module = "rampmeter.place")]
#[derive(Debug, PartialEq)]
pub(crate) struct Task(pub(super) CoreTask);

/// What is said of devices, until all of it is known.
struct Devices {
    kind: String,
    count: u8,
    milli: u16,
    memory_mib: u32,
    compute_slices: u8,
}

impl Devices {
    fn demand(&self) -> Result<DeviceDemand, Fault> {
        let Self { count, milli, memory_mib, compute_slices, .. } = *self;
        match self.kind.as_str() {
            "none" => Ok(DeviceDemand::None),
            "whole" => Ok(DeviceDemand::Whole { count, memory_mib }),
            "share" => Ok(DeviceDemand::Share { count, milli, memory_mib }),
            "partition" => Ok(DeviceDemand::Partition { compute_slices, memory_mib }),
            other => Err(unknown("devices", other)),
        }
    }
}

/// A task that is being described.
struct Draft {
    task: CoreTask,
    devices: Devices,
}

fn domain(field: &'static str, name: &str) -> Result<Domain, Fault> {
    match name {
        "node" => Ok(Domain::Node),
        "rack" => Ok(Domain::Rack),
        "zone" => Ok(Domain::Zone),
        "fleet" => Ok(Domain::Fleet),
        other => Err(unknown(field, other)),
    }
}

const fn domain_name(domain: Domain) -> &'static str {
    match domain {
        Domain::Fleet => "fleet",
        Domain::Node => "node",
        Domain::Rack => "rack",
        Domain::Zone => "zone",
    }
}

/// `to` set to what comes in.
macro_rules! put {
    ($type:ty, $($place:ident).+ $(, $make:expr)?) => {
        |draft: &mut Draft, given: $type| {
            draft.$($place).+ = put!(@ given $(, $make)?);
            Ok::<(), PyErr>(())
        }
    };
    (@ $given:ident) => { $given };
    (@ $given:ident, $make:expr) => { $make($given)? };
}

fn models(given: Option<Vec<u8>>) -> PyResult<ModelSet> {
    let Some(given) = given else { return Ok(ModelSet::ANY) };
    let max = u64::from(rampmeter::fleet::device::MODELS_MAX) - 1;
    let mut set = ModelSet::NONE;
    for model in given {
        rampmeter::error::check_range("models", model.into(), 0, max).map_err(Fault::from)?;
        set = set.union(ModelSet::of(rampmeter::fleet::ModelId(model)));
    }
    Ok(set)
}

#[pymethods]
impl Task {
    #[new]
    #[pyo3(signature = (**fields))]
    fn new(fields: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let devices = Devices {
            kind: "none".to_owned(),
            count: 1,
            milli: 0,
            memory_mib: 0,
            compute_slices: 0,
        };
        let mut draft = Draft { task: CoreTask::default(), devices };
        let time = |ns: u64| Ok::<_, PyErr>(Nanos(ns));
        set_options!(
            fields,
            draft: cpu_milli => put!(u32, task.member.cpu_milli),
            memory_mib => put!(u32, task.member.memory_mib),
            devices => put!(String, devices.kind),
            device_count => put!(u8, devices.count),
            device_milli => put!(u16, devices.milli),
            device_memory_mib => put!(u32, devices.memory_mib),
            compute_slices => put!(u8, devices.compute_slices),
            models => put!(Option<Vec<u8>>, task.member.models, models),
            one_link_group => put!(bool, task.member.one_link_group),
            tag => put!(u64, task.tag),
            account => put!(u64, task.account, |raw| Ok::<_, PyErr>(AccountId::from_raw(raw))),
            class_index => put!(u32, task.class),
            priority => put!(i32, task.priority),
            members => put!(u32, task.members),
            members_min => put!(u32, task.members_min),
            duration_ns => put!(u64, task.duration, time),
            artifact => put!(u32, task.artifact),
            warm_up_ns => put!(u64, task.warm_up, time),
            preemptible => put!(bool, task.preemptible),
            min_runtime_ns => put!(u64, task.min_runtime, time),
            labels_required => put!(u64, task.labels_required),
            labels_forbidden => put!(u64, task.labels_forbidden),
            within => put!(String, task.topology.within, |name: String| domain("within", &name)),
            within_required => put!(bool, task.topology.required),
            slowdown_ratio => put!(f64, task.topology.slowdown_ratio),
            link_slowdown_ratio => put!(f64, task.topology.link_slowdown_ratio),
            spread_group => put!(u32, task.spreading.group),
            spread_domain => put!(String, task.spreading.domain, |name: String| {
                domain("spread_domain", &name)
            }),
            spread_members_max => put!(u32, task.spreading.domain_members_max),
            crowding_s => put!(f64, task.spreading.crowding_s),
        );
        draft.task.member.devices = draft.devices.demand()?;
        Ok(Self(draft.task))
    }

    /// The host's own name for it.
    #[getter]
    fn tag(&self) -> u64 {
        self.0.tag
    }

    /// Who asks.
    #[getter]
    fn account(&self) -> u64 {
        self.0.account.to_raw()
    }

    /// Members wanted.
    #[getter]
    fn members(&self) -> u32 {
        self.0.members
    }

    /// Thousandths of devices that all its members take.
    #[getter]
    fn gpu_milli(&self) -> u64 {
        self.0.gpu_milli()
    }

    /// All fields, as they can be given again: `Task(**task.as_dict()) == task`.
    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (task, fields) = (&self.0, PyDict::new(py));
        let (kind, count, milli, compute_slices, memory_mib) = match task.member.devices {
            DeviceDemand::None => ("none", 1, 0, 0, 0),
            DeviceDemand::Whole { count, memory_mib } => ("whole", count, 0, 0, memory_mib),
            DeviceDemand::Share { count, milli, memory_mib } => {
                ("share", count, milli, 0, memory_mib)
            }
            DeviceDemand::Partition { compute_slices, memory_mib } => {
                ("partition", 1, 0, compute_slices, memory_mib)
            }
        };
        let is_any = task.member.models == ModelSet::ANY;
        let models = (!is_any).then(|| models_listed(task.member.models));
        fields.set_item("cpu_milli", task.member.cpu_milli)?;
        fields.set_item("memory_mib", task.member.memory_mib)?;
        fields.set_item("devices", kind)?;
        fields.set_item("device_count", count)?;
        fields.set_item("device_milli", milli)?;
        fields.set_item("device_memory_mib", memory_mib)?;
        fields.set_item("compute_slices", compute_slices)?;
        fields.set_item("models", models)?;
        fields.set_item("one_link_group", task.member.one_link_group)?;
        fields.set_item("tag", task.tag)?;
        fields.set_item("account", task.account.to_raw())?;
        fields.set_item("class_index", task.class)?;
        fields.set_item("priority", task.priority)?;
        fields.set_item("members", task.members)?;
        fields.set_item("members_min", task.members_min)?;
        fields.set_item("duration_ns", task.duration.get())?;
        fields.set_item("artifact", task.artifact)?;
        fields.set_item("warm_up_ns", task.warm_up.get())?;
        fields.set_item("preemptible", task.preemptible)?;
        fields.set_item("min_runtime_ns", task.min_runtime.get())?;
        fields.set_item("labels_required", task.labels_required)?;
        fields.set_item("labels_forbidden", task.labels_forbidden)?;
        fields.set_item("within", domain_name(task.topology.within))?;
        fields.set_item("within_required", task.topology.required)?;
        fields.set_item("slowdown_ratio", task.topology.slowdown_ratio)?;
        fields.set_item("link_slowdown_ratio", task.topology.link_slowdown_ratio)?;
        fields.set_item("spread_group", task.spreading.group)?;
        fields.set_item("spread_domain", domain_name(task.spreading.domain))?;
        fields.set_item("spread_members_max", task.spreading.domain_members_max)?;
        fields.set_item("crowding_s", task.spreading.crowding_s)?;
        Ok(fields)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
