//! Where does it run?

mod answers;
mod cycle;
mod layouts;
mod life;
mod nodes;
mod questions;
mod task;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use rampmeter::fleet::{Fleet, FleetOptions};
use rampmeter::place::{Placer as CorePlacer, PlacerOptions};

use crate::desk::{Desk, with_memory};
use crate::error::Fault;
use crate::options::set_options;
use crate::policy::Policy;

pub(crate) use self::nodes::Device;

/// Where a task runs: on which nodes, and on which of their devices.
///
/// `place` answers for one task at once; or `submit` tasks, and `cycle` says who starts now, who is
/// promised a start, and who ends for others. The host starts and ends them; with `release` what a
/// task held is free again.
///
/// Options: `nodes_max=1024`, `devices_per_node_max=8` (up to 16), `tasks_max=16384`,
/// `members_max=16384`, `task_members_max=1024`, `accounts_max=1024`, `layouts=()` (of the host, for
/// devices of which none is built in).
///
/// >>> from rampmeter import Placer, Policy
/// >>> from rampmeter.place import Device, Node, Task
/// >>> placer = Placer(Policy(), nodes_max=4)
/// >>> node = placer.add_node(Node(cpu_milli=8_000, memory_mib=64_000, devices=[Device()] * 2))
/// >>> placed = placer.place(0, Task(cpu_milli=1_000, devices="whole"))
/// >>> [hold.node == node for hold in placed.members], len(placed.members[0].devices)
/// ([True], 1)
/// >>> placer.release(1, placed.task)
/// >>> placer.place(2, Task(devices="whole", device_count=3)).lack
/// 'devices'
#[pyclass(frozen, module = "rampmeter.place")]
#[derive(Debug)]
pub(crate) struct Placer(pub(crate) Desk<CorePlacer>);

/// Both kinds of options, as one.
struct Options {
    nodes_max: u32,
    devices_per_node_max: u32,
    tasks_max: u32,
    members_max: u32,
    task_members_max: u32,
    accounts_max: u32,
    layouts: layouts::Layouts,
}

impl Options {
    fn of(given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let (fleet, placer) = (FleetOptions::default(), PlacerOptions::default());
        let mut options = Self {
            nodes_max: fleet.nodes_max,
            devices_per_node_max: fleet.devices_per_node_max,
            tasks_max: placer.tasks_max,
            members_max: placer.members_max,
            task_members_max: placer.task_members_max,
            accounts_max: placer.accounts_max,
            layouts: layouts::Layouts::default(),
        };
        set_options!(
            given,
            options: nodes_max,
            devices_per_node_max,
            tasks_max,
            members_max,
            task_members_max,
            accounts_max,
            layouts => |options: &mut Self, given: Vec<PyRef<'_, layouts::Layout>>| {
                options.layouts = layouts::Layouts::new(&given)?;
                Ok::<(), PyErr>(())
            },
        );
        Ok(options)
    }

    fn fleet(&self) -> FleetOptions {
        let (nodes_max, devices_per_node_max) = (self.nodes_max, self.devices_per_node_max);
        FleetOptions { nodes_max, devices_per_node_max }
    }

    fn placer(&self) -> PlacerOptions {
        PlacerOptions {
            tasks_max: self.tasks_max,
            members_max: self.members_max,
            task_members_max: self.task_members_max,
            accounts_max: self.accounts_max,
        }
    }
}

fn build(
    py: Python<'_>,
    policy: &Bound<'_, Policy>,
    options: Options,
    make: impl FnOnce(Fleet, &PlacerOptions) -> Result<CorePlacer, rampmeter::Error> + Send,
) -> PyResult<Placer> {
    let (policy, fleet, placer) = (&policy.get().0, options.fleet(), options.placer());
    let build = || {
        placer.validate()?;
        let bytes = CorePlacer::bytes_needed(&fleet, policy, &placer);
        with_memory(bytes, || make(Fleet::with_layouts(&fleet, &options.layouts.core())?, &placer))
    };
    Desk::create(py, build).map(Placer)
}

#[pymethods]
impl Placer {
    #[new]
    #[pyo3(signature = (policy, **options))]
    fn new(
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let core = &policy.get().0;
        build(py, policy, Options::of(options)?, |fleet, options| {
            CorePlacer::new(fleet, core, options)
        })
    }

    /// Bytes that a placer of this size takes for this policy, before it is built.
    #[staticmethod]
    #[pyo3(signature = (policy, **options))]
    fn bytes_needed(
        policy: &Bound<'_, Policy>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        let options = Options::of(options)?;
        Ok(CorePlacer::bytes_needed(&options.fleet(), &policy.get().0, &options.placer()))
    }

    /// Takes a changed policy; what runs stays where it is. Raises `RangeError` if it has another
    /// number of classes, more accounts than `accounts_max`, or another `placement.measure`.
    fn set_policy(&self, py: Python<'_>, policy: &Bound<'_, Policy>) -> PyResult<()> {
        let policy = &policy.get().0;
        self.0.scan(py, |placer| Ok(placer.set_policy(policy)?))
    }

    /// Says what a GPU is worth from now on, in value-seconds of waiting for each GPU-second lost.
    fn set_shadow_price(&self, py: Python<'_>, shadow_price: f64) -> PyResult<()> {
        self.0.ask(py, |placer| Ok(placer.set_shadow_price(shadow_price)?))
    }

    /// What a GPU-second is worth now: what was last said, else the policy's.
    fn shadow_price(&self, py: Python<'_>) -> PyResult<f64> {
        self.0.ask(py, |placer| Ok(placer.shadow_price()))
    }

    /// Says what tasks are expected to come, each with how often in any unit (1 to 2**20); with none
    /// it is learned from what comes. Of a task only what one member takes is looked at.
    fn set_mix(&self, py: Python<'_>, mix: Vec<(PyRef<'_, task::Task>, u32)>) -> PyResult<()> {
        let entry = |(task, weight): &(PyRef<'_, task::Task>, u32)| rampmeter::place::MixEntry {
            demand: task.0.member,
            weight: *weight,
        };
        let mix: Vec<_> = mix.iter().map(entry).collect();
        self.0.scan(py, |placer| Ok(placer.set_mix(&mix)?))
    }

    /// The whole state, nodes included, for `restore` with the same options. Handles stay good. Save
    /// the ledger of its cycles at the same time.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |placer| {
            let mut bytes = vec![0; placer.snapshot_bytes() as usize];
            let written = placer.save(&mut bytes)?;
            bytes.truncate(written);
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A placer that goes on where the saved one was, under the same policy or a changed one. Raises
    /// `SnapshotError`.
    #[classmethod]
    #[pyo3(signature = (policy, snapshot, **options))]
    fn restore(
        class: &Bound<'_, PyType>,
        policy: &Bound<'_, Policy>,
        snapshot: &[u8],
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let core = &policy.get().0;
        build(class.py(), policy, Options::of(options)?, |fleet, options| {
            CorePlacer::restore(fleet, core, options, snapshot)
        })
    }

    /// What the placer holds, and how full it is.
    fn stats(&self, py: Python<'_>) -> PyResult<answers::PlacerStats> {
        Ok(self.0.ask(py, |placer| Ok(placer.stats()))?.into())
    }

    /// Whether what a member of a task costs is kept for every node, so that placing one needs no look
    /// at each: the measures `value` and `fgd` keep it for 128 shapes (CPU and devices), those asked
    /// for last.
    fn knows_shape(&self, py: Python<'_>, task: &Bound<'_, task::Task>) -> PyResult<bool> {
        let member = task.get().0.member;
        self.0.ask(py, |placer| {
            member.check()?;
            Ok(placer.knows_shape(&member))
        })
    }
}

fn unknown(what: &'static str, name: &str) -> Fault {
    Fault::Name { what, name: name.to_owned() }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Placer>()?;
    module.add_class::<nodes::Device>()?;
    module.add_class::<nodes::Node>()?;
    module.add_class::<task::Task>()?;
    module.add_class::<layouts::Layout>()?;
    module.add_class::<layouts::Profile>()?;
    module.add_class::<answers::Choice>()?;
    module.add_class::<answers::Compaction>()?;
    module.add_class::<answers::Cycle>()?;
    module.add_class::<answers::DeviceModelStats>()?;
    module.add_class::<answers::DeviceState>()?;
    module.add_class::<answers::Expected>()?;
    module.add_class::<answers::FleetStats>()?;
    module.add_class::<answers::Hold>()?;
    module.add_class::<answers::Move>()?;
    module.add_class::<answers::Nearest>()?;
    module.add_class::<answers::NoRoom>()?;
    module.add_class::<answers::NodeState>()?;
    module.add_class::<answers::PlacerStats>()?;
    module.add_class::<answers::Price>()?;
    module.add_class::<answers::Reservation>()?;
    module.add_class::<answers::Resized>()?;
    module.add_class::<answers::Running>()?;
    module.add_class::<answers::TaskState>()?;
    module.add_class::<answers::Totals>()?;
    module.add_class::<answers::WhatIf>()?;
    module.add_class::<answers::Why>()
}
