//! Cycles: who of all that wait starts now, who is promised a start, and who ends for others.

use rampmeter::Nanos;
use rampmeter::place::{CyclePlan, Reservation, TaskId};

use super::rampmeter_placer;
use crate::boundary::{change_both, look};
use crate::error::rampmeter_error;
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
}
versioned!(rampmeter_cycle, 40);

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
            let tasks = |tasks: *mut u64, capacity: u32, argument| {
                array_mut(tasks.cast::<TaskId>(), capacity as usize, argument)
            };
            let reserved = plan.reserved.cast::<Reservation>();
            let mut plan = CyclePlan {
                started: tasks(plan.started, plan.started_capacity, "plan.started")?,
                ending: tasks(plan.ending, plan.ending_capacity, "plan.ending")?,
                reserved: array_mut(reserved, plan.reserved_capacity as usize, "plan.reserved")?,
            };
            let cycle = placer.cycle(Nanos(now_ns), ledger, &mut plan)?;
            out.set(rampmeter_cycle {
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
            });
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
