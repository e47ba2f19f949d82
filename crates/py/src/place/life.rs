//! How tasks come, start, change and go.

use pyo3::prelude::*;
use rampmeter::fleet;
use rampmeter::place::{Placed, Resized as CoreResized, Stage, TaskId};
use rampmeter::units::Nanos;

use super::Placer;
use super::answers::{Hold, NoRoom, Resized, Running, TaskState, lack_name};
use super::task::Task;

/// The answer of [`Placer::place`].
#[derive(IntoPyObject)]
pub(super) enum PlacedNow {
    Running(Running),
    NoRoom(NoRoom),
}

/// The answer of [`Placer::resize`].
#[derive(IntoPyObject)]
pub(super) enum ResizedNow {
    Resized(Resized),
    NoRoom(NoRoom),
}

fn id(task: u64) -> TaskId {
    TaskId::from_raw(task)
}

fn told(holds: &[fleet::Hold], len: u32) -> Vec<Hold> {
    holds.iter().take(len as usize).copied().map(Hold::from).collect()
}

fn resized(resized: CoreResized, holds: &[fleet::Hold]) -> ResizedNow {
    match resized {
        CoreResized::Done { members_len, price } => {
            let members = told(holds, members_len);
            ResizedNow::Resized(Resized { members, price: price.into() })
        }
        CoreResized::NoRoom { lack } => ResizedNow::NoRoom(NoRoom { lack: lack_name(lack) }),
    }
}

#[pymethods]
impl Placer {
    /// Places a task now: `Running` with what each member holds, or `NoRoom` with what is in the way
    /// ("devices" where that is known without a look at each node: `why` looks).
    /// Raises `RangeError`, `FullError`, `StaleError` (an account), and nothing is changed.
    fn place(&self, py: Python<'_>, now_ns: u64, task: &Bound<'_, Task>) -> PyResult<PlacedNow> {
        let task = &task.get().0;
        self.0.scan(py, |placer| {
            let room = task.members.min(placer.stats().members_max) as usize;
            let mut holds = vec![fleet::Hold::default(); room];
            Ok(match placer.place(Nanos(now_ns), task, &mut holds)? {
                Placed::Running { task, members_len, price } => PlacedNow::Running(Running {
                    task: task.to_raw(),
                    members: told(&holds, members_len),
                    price: price.into(),
                }),
                Placed::NoRoom { lack } => PlacedNow::NoRoom(NoRoom { lack: lack_name(lack) }),
            })
        })
    }

    /// A task comes and waits for a cycle to start it: its handle. Raises `RangeError`, `FullError`,
    /// `StaleError`.
    fn submit(&self, py: Python<'_>, now_ns: u64, task: &Bound<'_, Task>) -> PyResult<u64> {
        let task = &task.get().0;
        self.0.ask(py, |placer| Ok(placer.submit(Nanos(now_ns), task)?.to_raw()))
    }

    /// A task is gone, whatever its stage: what it held is free, and its handle is stale.
    fn release(&self, py: Python<'_>, now_ns: u64, task: u64) -> PyResult<()> {
        self.0.scan(py, |placer| Ok(placer.release(Nanos(now_ns), id(task))?))
    }

    /// A task that ran has ended and wants to run again: what it held is free, and it waits.
    fn requeue(&self, py: Python<'_>, now_ns: u64, task: u64) -> PyResult<()> {
        self.0.scan(py, |placer| Ok(placer.requeue(Nanos(now_ns), id(task))?))
    }

    /// Gives a running gang so many members: `Resized` with the holds that came or went, or `NoRoom`.
    #[pyo3(signature = (now_ns, task, *, members))]
    fn resize(&self, py: Python<'_>, now_ns: u64, task: u64, members: u32) -> PyResult<ResizedNow> {
        self.0.scan(py, |placer| {
            let had = placer.task(id(task))?.members_len;
            let room = members.min(placer.stats().members_max).abs_diff(had) as usize;
            let mut holds = vec![fleet::Hold::default(); room];
            let done = placer.resize(Nanos(now_ns), id(task), members, &mut holds)?;
            Ok(resized(done, &holds))
        })
    }

    /// Gives every member of a running task what a member of `like` takes: other amounts of CPU, memory
    /// and shares on the very devices that it has.
    #[pyo3(signature = (now_ns, task, *, like))]
    fn resize_members(
        &self,
        py: Python<'_>,
        now_ns: u64,
        task: u64,
        like: &Bound<'_, Task>,
    ) -> PyResult<ResizedNow> {
        let member = like.get().0.member;
        self.0.scan(py, |placer| {
            let done = placer.resize_members(Nanos(now_ns), id(task), &member)?;
            let holds: Vec<fleet::Hold> = placer.holds(id(task))?.copied().collect();
            Ok(resized(done, &holds))
        })
    }

    /// The host has moved a task of one member, as `compact` proposed or elsewhere (`Hold(node=...,
    /// devices=...)`): from now on it holds there what it asked for.
    #[pyo3(signature = (now_ns, task, *, to))]
    fn moved_to(
        &self,
        py: Python<'_>,
        now_ns: u64,
        task: u64,
        to: &Bound<'_, Hold>,
    ) -> PyResult<()> {
        let to = to.get().core();
        self.0.scan(py, |placer| Ok(placer.moved_to(Nanos(now_ns), id(task), &to)?))
    }

    /// The work of a running task is saved up to `at_ns`: that much is not lost if it ends.
    #[pyo3(signature = (now_ns, task, *, at_ns))]
    fn checkpointed(&self, py: Python<'_>, now_ns: u64, task: u64, at_ns: u64) -> PyResult<()> {
        let at = Nanos(at_ns);
        self.0.ask(py, |placer| Ok(placer.checkpointed(Nanos(now_ns), id(task), at)?))
    }

    /// What is known of a task: "pending", "running" or "ending", and what it holds.
    fn task(&self, py: Python<'_>, task: u64) -> PyResult<TaskState> {
        self.0.ask(py, |placer| {
            let entry = *placer.task(id(task))?;
            Ok(TaskState {
                tag: entry.task.tag,
                account: entry.task.account.to_raw(),
                stage: match entry.stage {
                    Stage::Pending => "pending",
                    Stage::Running => "running",
                    Stage::Ending => "ending",
                },
                submitted_ns: entry.submitted.get(),
                started_ns: entry.started.get(),
                price: entry.price.into(),
                holds: placer.holds(id(task))?.copied().map(Hold::from).collect(),
            })
        })
    }

    /// What a task asked for. Raises `StaleError`.
    fn asked(&self, py: Python<'_>, task: u64) -> PyResult<Task> {
        self.0.ask(py, |placer| Ok(Task(placer.task(id(task))?.task)))
    }

    /// What ending a task now would cost, in seconds of delay times what they are worth.
    fn lost_work_s(&self, py: Python<'_>, now_ns: u64, task: u64) -> PyResult<f64> {
        self.0.ask(py, |placer| Ok(placer.lost_work_s(Nanos(now_ns), id(task))?))
    }
}
