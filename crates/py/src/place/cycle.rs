//! Cycles: who of all that wait starts now, who is promised a start, and who ends for others.

use pyo3::prelude::*;
use rampmeter::headroom::hold::Reserve as CoreReserve;
use rampmeter::place::{CyclePlan, Placer as CorePlacer, Reservation as CoreReservation, TaskId};
use rampmeter::share::Ledger as CoreLedger;
use rampmeter::units::Nanos;

use super::Placer;
use super::answers::{Cycle, Reservation};
use crate::error::Fault;
use crate::headroom::Reserve;
use crate::share::Ledger;

fn told(reservation: CoreReservation) -> Reservation {
    Reservation { task: reservation.task.to_raw(), start_at_ns: reservation.start_at.get() }
}

fn front(tasks: &[TaskId], len: u32) -> Vec<u64> {
    tasks.iter().take(len as usize).map(|task| task.to_raw()).collect()
}

/// Room for what a cycle says is to be done.
#[derive(Clone, Copy)]
struct Room {
    started: u16,
    ending: u16,
    reserved: u16,
}

/// One cycle, which batch work passes as the reserve says, if there is one.
fn run(
    placer: &mut CorePlacer,
    now_ns: u64,
    ledger: &mut CoreLedger,
    reserve: Option<&CoreReserve>,
    room: Room,
) -> Result<Cycle, Fault> {
    let mut started = vec![TaskId::default(); room.started.into()];
    let mut ending = vec![TaskId::default(); room.ending.into()];
    let mut reserved = vec![CoreReservation::default(); room.reserved.into()];
    let mut plan =
        CyclePlan { started: &mut started, ending: &mut ending, reserved: &mut reserved };
    let cycle = match reserve {
        None => placer.cycle(Nanos(now_ns), ledger, &mut plan)?,
        Some(reserve) => placer.cycle_holding(Nanos(now_ns), ledger, &mut plan, reserve)?,
    };
    let reserved = reserved.into_iter().take(cycle.reserved_len as usize);
    Ok(Cycle {
        started: front(&started, cycle.started_len),
        ending: front(&ending, cycle.ending_len),
        reserved: reserved.map(told).collect(),
        looked_at: cycle.looked_at,
        no_room: cycle.no_room,
        over_limit: cycle.over_limit,
        held: cycle.held,
        passed_over: cycle.passed_over,
        replays: cycle.replays,
        more: cycle.more,
    })
}

#[pymethods]
impl Placer {
    /// Goes over the pending tasks, in order, and starts those that find room without breaking a
    /// promise to somebody before them.
    ///
    /// The ledger is told what starts and ended: the same one each time, with `gpu_milli`, `cpu_milli`
    /// and `memory_mib` as its first resources and a capacity. What does not go into `started_max`,
    /// `ending_max` or `reserved_max` comes in the next cycle; with 0 nothing of the kind is ever done.
    #[pyo3(signature = (now_ns, ledger, *, started_max = 256, ending_max = 256, reserved_max = 64))]
    fn cycle(
        &self,
        py: Python<'_>,
        now_ns: u64,
        ledger: &Bound<'_, Ledger>,
        started_max: u16,
        ending_max: u16,
        reserved_max: u16,
    ) -> PyResult<Cycle> {
        let room = Room { started: started_max, ending: ending_max, reserved: reserved_max };
        self.0.scan_with(py, &ledger.get().0, |placer, ledger| {
            run(placer, now_ns, ledger, None, room)
        })
    }

    /// As `cycle`, but batch work waits where the reserve says that urgent work needs the room. Batch is
    /// every class behind that of the reserve.
    ///
    /// The first batch task with room that is held keeps all batch work behind it from starting in this
    /// pass; urgent work goes on. Tell the reserve of urgent work that comes, starts and ends, and call
    /// again when time has passed while something is held. The reserve is only looked at.
    #[pyo3(signature = (
        now_ns, ledger, reserve, *, started_max = 256, ending_max = 256, reserved_max = 64
    ))]
    fn cycle_holding(
        &self,
        py: Python<'_>,
        now_ns: u64,
        ledger: &Bound<'_, Ledger>,
        reserve: &Bound<'_, Reserve>,
        started_max: u16,
        ending_max: u16,
        reserved_max: u16,
    ) -> PyResult<Cycle> {
        let room = Room { started: started_max, ending: ending_max, reserved: reserved_max };
        // A copy as of now, so that no third desk is locked meanwhile.
        let reserve = reserve.get().0.ask(py, |reserve| Ok(*reserve))?;
        self.0.scan_with(py, &ledger.get().0, |placer, ledger| {
            run(placer, now_ns, ledger, Some(&reserve), room)
        })
    }

    /// The batch task for which there was room and that the last cycle held back for urgent work, and
    /// with it all batch work behind it; `None` if none was.
    fn held_back(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.0.ask(py, |placer| Ok(placer.held_back().map(TaskId::to_raw)))
    }

    /// Tells the ledger what started and ended since it was last told, as every cycle does first.
    fn settle(&self, py: Python<'_>, now_ns: u64, ledger: &Bound<'_, Ledger>) -> PyResult<()> {
        self.0.scan_with(py, &ledger.get().0, |placer, ledger| {
            Ok(placer.settle(Nanos(now_ns), ledger)?)
        })
    }

    /// Chooses running tasks that must end so that a pending one can start, and marks them as ending;
    /// an empty list: those that end already are enough; `None`: there is no such set.
    fn reclaim_for(
        &self,
        py: Python<'_>,
        now_ns: u64,
        ledger: &Bound<'_, Ledger>,
        task: u64,
    ) -> PyResult<Option<Vec<u64>>> {
        self.0.scan_with(py, &ledger.get().0, |placer, ledger| {
            let mut victims = vec![TaskId::default(); placer.stats().members as usize];
            let task = TaskId::from_raw(task);
            let found = placer.reclaim_for(Nanos(now_ns), ledger, task, &mut victims)?;
            Ok(found.map(|len| front(&victims, len)))
        })
    }

    /// All starts that are promised, in no order.
    fn reservations(&self, py: Python<'_>) -> PyResult<Vec<Reservation>> {
        self.0.scan(py, |placer| Ok(placer.reservations().map(told).collect()))
    }
}
