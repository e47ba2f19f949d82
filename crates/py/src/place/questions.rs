//! Questions that change nothing: why not, when, what if.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use rampmeter::fleet::{self, NodeId};
use rampmeter::place::compact;
use rampmeter::place::what_if::Change;
use rampmeter::place::{Because, TaskId};
use rampmeter::units::Nanos;

use super::answers::{Compaction, Expected, Hold, Move, Totals, WhatIf, Why};
use super::nodes::Node;
use super::task::Task;
use super::{Placer, unknown};

/// Moves that one call can propose.
const MOVES_MAX: u16 = 4_096;

/// What a change is about.
#[derive(FromPyObject)]
enum Subject<'py> {
    Handle(u64),
    Node(PyRef<'py, Node>),
    Task(PyRef<'py, Task>),
}

fn change<'a>(kind: &str, subject: &'a Subject<'_>) -> PyResult<Change<'a>> {
    match (kind, subject) {
        ("add_node", Subject::Node(node)) => Ok(Change::AddNode(node.spec())),
        ("place", Subject::Task(task)) => Ok(Change::Place(&task.0)),
        ("release", Subject::Handle(task)) => Ok(Change::Release(TaskId::from_raw(*task))),
        ("remove_node", Subject::Handle(node)) => Ok(Change::RemoveNode(NodeId::from_raw(*node))),
        ("fail_node", Subject::Handle(node)) => Ok(Change::FailNode(NodeId::from_raw(*node))),
        ("drain_node", Subject::Handle(node)) => Ok(Change::DrainNode(NodeId::from_raw(*node))),
        ("return_node", Subject::Handle(node)) => Ok(Change::ReturnNode(NodeId::from_raw(*node))),
        ("add_node", _) => Err(PyTypeError::new_err("`add_node` is about a Node")),
        ("place", _) => Err(PyTypeError::new_err("`place` is about a Task")),
        ("release" | "remove_node" | "fail_node" | "drain_node" | "return_node", _) => {
            Err(PyTypeError::new_err(format!("`{kind}` is about a handle")))
        }
        (other, _) => Err(unknown("changes", other).into()),
    }
}

#[pymethods]
impl Placer {
    /// What is in the way of a task, pending or imagined.
    fn why(&self, py: Python<'_>, now_ns: u64, task: &Bound<'_, Task>) -> PyResult<Why> {
        let task = &task.get().0;
        Ok(self.0.scan(py, |placer| Ok(placer.why(Nanos(now_ns), task)?))?.into())
    }

    /// When a task is expected to start, and why then.
    fn expected_start(&self, py: Python<'_>, now_ns: u64, task: u64) -> PyResult<Expected> {
        let task = TaskId::from_raw(task);
        let expected = self.0.scan(py, |placer| Ok(placer.expected_start(Nanos(now_ns), task)?))?;
        Ok(Expected {
            at_ns: expected.at.map(Nanos::get),
            because: match expected.because {
                Because::Started => "started",
                Because::Reserved => "reserved",
                Because::Ends => "ends",
                Because::Held => "held",
                Because::ManyBefore => "many_before",
                Because::Unknown => "unknown",
                Because::NeverFits => "never_fits",
            },
        })
    }

    /// Proposes at most `moves_max` migrations that would pay, up to 4096. Nothing is changed: call
    /// `moved_to` for each that was done.
    #[pyo3(signature = (now_ns, *, moves_max = 16))]
    fn compact(&self, py: Python<'_>, now_ns: u64, moves_max: u16) -> PyResult<Compaction> {
        let moves_max = moves_max.min(MOVES_MAX);
        self.0.scan(py, |placer| {
            let mut moves = vec![compact::Move::default(); moves_max.into()];
            let found = placer.compact(Nanos(now_ns), moves_max.into(), &mut moves)?;
            let moves = moves.into_iter().take(found.moves_len as usize);
            Ok(Compaction {
                moves: moves.map(Move::from).collect(),
                stranded_milli: found.stranded_milli,
                gain_s: found.gain_s,
            })
        })
    }

    /// What would be if all `changes` happened, one after the other, on a copy of the fleet, and for
    /// each of `tasks` how many of its members would then find room.
    ///
    /// Changes are pairs of a name and what it is about: `add_node` a `Node`; `place` a `Task`;
    /// `release` a task; `remove_node`, `fail_node`, `drain_node` and `return_node` a node.
    #[pyo3(signature = (now_ns, changes, *, tasks = Vec::new()))]
    fn what_if(
        &self,
        py: Python<'_>,
        now_ns: u64,
        changes: Vec<(String, Subject<'_>)>,
        tasks: Vec<PyRef<'_, Task>>,
    ) -> PyResult<WhatIf> {
        let happen: PyResult<Vec<Change<'_>>> =
            changes.iter().map(|(kind, subject)| change(kind, subject)).collect();
        let (happen, tasks) = (happen?, tasks.iter().map(|task| task.0).collect::<Vec<_>>());
        self.0.scan(py, |placer| {
            let mut what_if = placer.what_if(Nanos(now_ns), &happen)?;
            let fleet = what_if.fleet();
            let (total, free) = (Totals::from(*fleet.total()), Totals::from(*fleet.free()));
            let not_placed = what_if.not_placed();
            let mut members_fit = Vec::with_capacity(tasks.len());
            for task in &tasks {
                members_fit.push(what_if.members_fit(task)?);
            }
            Ok(WhatIf { not_placed, total, free, members_fit })
        })
    }

    /// Where a task would start if all `changes` happened, as `what_if` takes them: what its members
    /// would hold; nobody: there would be fewer than it needs.
    fn place_if(
        &self,
        py: Python<'_>,
        now_ns: u64,
        changes: Vec<(String, Subject<'_>)>,
        task: &Bound<'_, Task>,
    ) -> PyResult<Vec<Hold>> {
        let happen: PyResult<Vec<Change<'_>>> =
            changes.iter().map(|(kind, subject)| change(kind, subject)).collect();
        let (happen, task) = (happen?, &task.get().0);
        self.0.scan(py, |placer| {
            let mut what_if = placer.what_if(Nanos(now_ns), &happen)?;
            // Refuses more members than there can be, before there is room made for them.
            what_if.members_fit(task)?;
            let mut holds = vec![fleet::Hold::default(); task.members as usize];
            let found = what_if.place(task, &mut holds)?;
            Ok(holds.into_iter().take(found as usize).map(Hold::from).collect())
        })
    }
}
