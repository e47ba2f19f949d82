//! Cycles: who of all that wait starts now, who is promised a start, and who ends for others.

use rampmeter::Nanos;
use rampmeter::place::{Cycle, CyclePlan, Reservation, TaskId};

use super::rampmeter_placer;
use crate::boundary::{change_both, desk, look};
use crate::error::{Fault, rampmeter_error};
use crate::headroom::rampmeter_reserve;
use crate::ledger::rampmeter_ledger;
use crate::memory::{Out, OutSized, array_mut, take, versioned};
use crate::status::rampmeter_status;

/// A start that is promised.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_reservation {
    /// Who was promised.
    pub task: u64,
    /// When it starts at the latest, if nothing runs longer than it said.
    pub start_at_ns: u64,
}

const _: () = assert!(size_of::<rampmeter_reservation>() == size_of::<Reservation>());
const _: () = assert!(align_of::<rampmeter_reservation>() == align_of::<Reservation>());
const _: () = assert!(std::mem::offset_of!(Reservation, start_at) == 8);

/// Arrays of the caller for what a cycle says is to be done. One that is full ends the cycle; what
/// did not go in comes in the next one. Without any room for what must go into an array nothing of
/// the kind is ever done. Set each of them to 0 once before its first use, as calloc() does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_cycle_plan {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `started`.
    pub started_capacity: u32,
    /// Elements of `ending`.
    pub ending_capacity: u32,
    /// Elements of `reserved`.
    pub reserved_capacity: u32,
    /// Tasks that run from now on; rampmeter_placer_holds() says where.
    pub started: *mut u64,
    /// Running tasks that the host must end, so that others can start. They hold what they have
    /// until rampmeter_placer_release() or rampmeter_placer_requeue().
    pub ending: *mut u64,
    /// Tasks that were promised a start, or another one than before.
    pub reserved: *mut rampmeter_reservation,
}
versioned!(rampmeter_cycle_plan, 40);

/// What a cycle did. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_cycle {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements written to rampmeter_cycle_plan::started.
    pub started_len: u32,
    /// Elements written to rampmeter_cycle_plan::ending.
    pub ending_len: u32,
    /// Elements written to rampmeter_cycle_plan::reserved.
    pub reserved_len: u32,
    /// Pending tasks without a reservation that were looked at.
    pub looked_at: u32,
    /// Of them, how many found no room.
    pub no_room: u32,
    /// Of them, how many would exceed a limit of their account or of one above it.
    pub over_limit: u32,
    /// Others that were not looked at: known, like all that were left in their queue, to find no
    /// room.
    pub passed_over: u32,
    /// Earliest starts that were worked out, and searches for tasks that could end for others.
    pub replays: u32,
    /// 1: not everybody was looked at: call again.
    pub more: u32,
    /// Of those that were looked at, how many are batch work that is held for urgent work; see
    /// rampmeter_placer_cycle_holding().
    pub held: u32,
    /// 0.
    pub reserved: u32,
}
versioned!(rampmeter_cycle, 48);

impl From<Cycle> for rampmeter_cycle {
    fn from(cycle: Cycle) -> Self {
        Self {
            size: 0,
            started_len: cycle.started_len,
            ending_len: cycle.ending_len,
            reserved_len: cycle.reserved_len,
            looked_at: cycle.looked_at,
            no_room: cycle.no_room,
            over_limit: cycle.over_limit,
            passed_over: cycle.passed_over,
            replays: cycle.replays,
            more: cycle.more.into(),
            held: cycle.held,
            reserved: 0,
        }
    }
}

/// The caller's arrays as the core writes them.
///
/// # Safety
/// As [`array_mut`].
unsafe fn arrays<'a>(plan: &rampmeter_cycle_plan) -> Result<CyclePlan<'a>, Fault> {
    let (started, ending) = (plan.started.cast::<TaskId>(), plan.ending.cast::<TaskId>());
    let reserved = plan.reserved.cast::<Reservation>();
    // SAFETY: passed on; the layouts are the same, and any number is a handle.
    unsafe {
        Ok(CyclePlan {
            started: array_mut(started, plan.started_capacity as usize, "plan.started")?,
            ending: array_mut(ending, plan.ending_capacity as usize, "plan.ending")?,
            reserved: array_mut(reserved, plan.reserved_capacity as usize, "plan.reserved")?,
        })
    }
}

/// Goes over the pending tasks, in order, and starts those that find room without breaking a promise
/// to somebody before them. The ledger is told what starts now, and what started and ended since
/// the last call: it must be the same one each time, with gpu_milli, cpu_milli and memory_mib as its
/// first resources, and the host tells it its capacity.
///
/// Fails: E_TIME_REVERSED, E_RANGE (a ledger that does not keep what the order goes by, or one that
/// holds less for an account than it was told; what it was told about others by then stays told),
/// E_SIZE, E_TOO_NEW, E_POINTER. Ownership: the arrays stay the caller's and are not kept.
/// Allocates: no. Blocks: no. Threads: one at a time for each placer and ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_cycle(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    ledger: *mut rampmeter_ledger,
    plan: *const rampmeter_cycle_plan,
    cycle: *mut rampmeter_cycle,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; a handle is a number,
    // and any number is one.
    unsafe {
        change_both(placer, ledger, error, |placer, ledger| {
            let (out, plan) = (OutSized::new(cycle, "cycle")?, take(plan, "plan")?);
            out.set(placer.cycle(Nanos(now_ns), ledger, &mut arrays(&plan)?)?.into());
            Ok(())
        })
    }
}

/// As rampmeter_placer_cycle(), but batch work waits where the reserve says that urgent work needs
/// the room. Batch is every class behind that of the reserve. The first batch task with room that is
/// held keeps all batch work behind it from starting in this pass; urgent work goes on. Tell the
/// reserve of urgent work that comes, starts and ends, and call again when time has passed while
/// something is held.
///
/// Fails: as rampmeter_placer_cycle(), and E_RANGE for a reserve of a class that the placer does not
/// have. And so on: as there; the reserve is only looked at. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_cycle_holding(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    ledger: *mut rampmeter_ledger,
    reserve: *const rampmeter_reserve,
    plan: *const rampmeter_cycle_plan,
    cycle: *mut rampmeter_cycle,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: as above.
    unsafe {
        change_both(placer, ledger, error, |placer, ledger| {
            let (out, plan) = (OutSized::new(cycle, "cycle")?, take(plan, "plan")?);
            let (mut plan, reserve) = (arrays(&plan)?, desk(reserve)?);
            let done = placer.cycle_holding(Nanos(now_ns), ledger, &mut plan, reserve)?;
            out.set(done.into());
            Ok(())
        })
    }
}

/// The batch task for which there was room and that the last cycle held back for urgent work, and
/// with it all batch work behind it; 0: none was.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_held_back(
    placer: *const rampmeter_placer,
    task: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            Out::new(task, "task")?.set(placer.held_back().map_or(0, TaskId::to_raw));
            Ok(())
        })
    }
}

/// Tells the ledger what started and ended since it was last told, as every cycle does first: for a
/// host that places tasks without cycles, or wants to read the ledger between two.
///
/// Fails: E_TIME_REVERSED, E_RANGE (as rampmeter_placer_cycle()), E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each placer and ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_settle(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    ledger: *mut rampmeter_ledger,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_both(placer, ledger, error, |placer, ledger| {
            Ok(placer.settle(Nanos(now_ns), ledger)?)
        })
    }
}

/// Chooses running tasks that must end so that this pending one can start, where its account may
/// take from others; cycles do so by themselves. Those with the least weighted lost work go to the
/// front of `out`, and are marked as ending; `*tasks_len` says how many. With `*is_possible` 1 and
/// none of them those that end already, or nobody, are enough; with 0 there is no such set, or `out`
/// has no room for it.
///
/// Fails: E_STALE (the task, or its account), E_CONTRADICTION (it is not pending), E_TIME_REVERSED,
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer and ledger.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_reclaim_for(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    ledger: *mut rampmeter_ledger,
    task: u64,
    out: *mut u64,
    capacity: usize,
    is_possible: *mut u8,
    tasks_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; any number is a handle.
    unsafe {
        change_both(placer, ledger, error, |placer, ledger| {
            let possible = Out::new(is_possible, "is_possible")?;
            let len = Out::new(tasks_len, "tasks_len")?;
            let out = array_mut(out.cast::<TaskId>(), capacity, "out")?;
            let task = TaskId::from_raw(task);
            let found = placer.reclaim_for(Nanos(now_ns), ledger, task, out)?;
            possible.set(found.is_some().into());
            len.set(found.unwrap_or(0));
            Ok(())
        })
    }
}

/// Writes all starts that are promised to the front of `out`, in no order; `*len` says how many
/// there are. With `capacity` 0 it only says that.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_reservations(
    placer: *const rampmeter_placer,
    out: *mut rampmeter_reservation,
    capacity: usize,
    len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let reservations = placer.reservations().map(|reservation| rampmeter_reservation {
                task: reservation.task.to_raw(),
                start_at_ns: reservation.start_at.get(),
            });
            let count = placer.stats().reservations;
            super::nodes::give_all(reservations, count, (out, capacity), len)
        })
    }
}
