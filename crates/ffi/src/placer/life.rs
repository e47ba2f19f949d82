//! How tasks come, start, change and go, and what is known of them.

use rampmeter::Nanos;
use rampmeter::fleet::{Hold, Lack};
use rampmeter::place::{Placed, Price, Resized, TaskId};

use super::nodes::give_all;
use super::tasks::{taken_demand, taken_task};
use super::{rampmeter_demand, rampmeter_hold, rampmeter_placer, rampmeter_price, rampmeter_task};
use crate::boundary::{change, look};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, array, array_mut, versioned};
use crate::status::rampmeter_status;

/// What a node lacks for a member, the first of these in this order: nothing.
pub const RAMPMETER_LACK_NONE: u8 = 0;
/// It is draining or lost.
pub const RAMPMETER_LACK_STATUS: u8 = 1;
/// A label that is required, or the absence of one.
pub const RAMPMETER_LACK_LABELS: u8 = 2;
/// A device of an accepted model, ready and of the right kind, free or not.
pub const RAMPMETER_LACK_MODEL: u8 = 3;
/// CPU that is free.
pub const RAMPMETER_LACK_CPU: u8 = 4;
/// Host memory that is free.
pub const RAMPMETER_LACK_MEMORY: u8 = 5;
/// Devices with so much free.
pub const RAMPMETER_LACK_DEVICES: u8 = 6;
/// Devices with so much memory free.
pub const RAMPMETER_LACK_DEVICE_MEMORY: u8 = 7;
/// Devices enough in one link group.
pub const RAMPMETER_LACK_LINK_GROUP: u8 = 8;
/// A place for a partition of that size.
pub const RAMPMETER_LACK_PARTITION: u8 = 9;
/// Room in its failure domain for one more replica of the group.
pub const RAMPMETER_LACK_SPREAD: u8 = 10;
/// It is in another rack or zone than the members must be in.
pub const RAMPMETER_LACK_TOPOLOGY: u8 = 11;
/// What is free is promised to somebody else.
pub const RAMPMETER_LACK_RESERVED: u8 = 12;

/// Where a task is: it waits for a cycle to start it.
pub const RAMPMETER_TASK_PENDING: u8 = 0;
/// It holds what it was given.
pub const RAMPMETER_TASK_RUNNING: u8 = 1;
/// It holds what it was given, and was told to end for somebody else.
pub const RAMPMETER_TASK_ENDING: u8 = 2;

/// What is known of a task. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_task_state {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Members that it has.
    pub members_len: u32,
    /// The host's own number for it.
    pub tag: u64,
    /// Whose task it is.
    pub account: u64,
    /// When it came.
    pub submitted_ns: u64,
    /// When it started; for one that waits when it began to.
    pub started_ns: u64,
    /// What its placement costs.
    pub price: rampmeter_price,
    /// RAMPMETER_TASK_...
    pub stage: u8,
    /// 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_task_state, 96);

/// What was decided. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_placed {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Members that were placed, came, went or changed: so many holds were written.
    pub members_len: u32,
    /// The task, which runs; 0: there is no room now, nothing was done, and nothing was written.
    pub task: u64,
    /// What that costs; 0 without room.
    pub price: rampmeter_price,
    /// RAMPMETER_LACK_...: without room what the node that came closest lacks; TOPOLOGY where there
    /// is room, but not in one domain.
    pub lack: u8,
    /// 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_placed, 72);

/// The number of a lack; 0 is that of nothing.
pub(super) const fn lack_of(lack: Lack) -> u8 {
    lack as u8 + 1
}

impl rampmeter_placed {
    fn done(task: u64, members_len: u32, price: &Price) -> Self {
        let (price, lack) = (price.into(), RAMPMETER_LACK_NONE);
        Self { size: 0, members_len, task, price, lack, reserved: [0; 7] }
    }

    fn no_room(lack: Lack) -> Self {
        Self { lack: lack_of(lack), ..Self::done(0, 0, &Price::default()) }
    }

    fn resized(task: TaskId, resized: &Resized) -> Self {
        match resized {
            Resized::Done { members_len, price } => Self::done(task.to_raw(), *members_len, price),
            Resized::NoRoom { lack } => Self::no_room(*lack),
        }
    }
}

/// The caller's holds as the core writes them.
///
/// # Safety
/// As [`array_mut`].
#[inline]
pub(super) unsafe fn holds_mut<'a>(
    out: *mut rampmeter_hold,
    capacity: usize,
) -> Result<&'a mut [Hold], Fault> {
    // SAFETY: the layouts are the same, and any bits are a value of each field; passed on.
    unsafe { array_mut(out.cast::<Hold>(), capacity, "out") }
}

/// Places a task now, or says what is in the way: then all is as it was, but that the task mix knows
/// of one more arrival. What its members hold goes to the front of `out`, which needs as many places
/// as members are wanted; set them to 0 once before their first use, as calloc() does.
///
/// Fails: E_RANGE, E_RANGE_REAL (the error names the field), E_FULL (`tasks_max`, `members_max`),
/// E_STALE (an account that has taken the place of another one with tasks), E_BUFFER_TOO_SMALL,
/// E_TIME_REVERSED, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_place(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: *const rampmeter_task,
    out: *mut rampmeter_hold,
    capacity: usize,
    placed: *mut rampmeter_placed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let (told, task) = (OutSized::new(placed, "placed")?, taken_task(task)?);
            let placed = placer.place(Nanos(now_ns), &task, holds_mut(out, capacity)?)?;
            told.set(match &placed {
                Placed::Running { task, members_len, price } => {
                    rampmeter_placed::done(task.to_raw(), *members_len, price)
                }
                Placed::NoRoom { lack } => rampmeter_placed::no_room(*lack),
            });
            Ok(())
        })
    }
}

/// A task comes in and waits; rampmeter_placer_cycle() will start it. `*submitted` is its handle.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_STALE (`account` is 0 and the order is not that of arrival, or
/// has taken the place of another one with tasks), E_FULL (`tasks_max`), E_TIME_REVERSED, E_SIZE,
/// E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_submit(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: *const rampmeter_task,
    submitted: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let (out, task) = (Out::new(submitted, "submitted")?, taken_task(task)?);
            out.set(placer.submit(Nanos(now_ns), &task)?.to_raw());
            Ok(())
        })
    }
}

/// A task is gone, whatever its stage: what it held is free, and its handle is stale.
///
/// Fails: E_STALE, E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_release(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| Ok(placer.release(Nanos(now_ns), TaskId::from_raw(task))?))
    }
}

/// A task that ran, or was told to end, has ended and wants to run again: what it held is free, and
/// it waits under the same handle.
///
/// Fails: E_STALE, E_CONTRADICTION (it waits already), E_TIME_REVERSED, E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_requeue(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| Ok(placer.requeue(Nanos(now_ns), TaskId::from_raw(task))?))
    }
}

/// Gives a running gang this many members, between those that it needs and those that it wanted.
/// What came or went goes to the front of `out`; the part of a price below 0 was bought back.
///
/// Fails: E_STALE, E_RANGE (`members`), E_CONTRADICTION (it does not run), E_BUFFER_TOO_SMALL (fewer
/// places than members that come or go), E_FULL (`members_max`), E_TIME_REVERSED, E_SIZE, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_resize(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    members: u32,
    out: *mut rampmeter_hold,
    capacity: usize,
    placed: *mut rampmeter_placed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let (told, task) = (OutSized::new(placed, "placed")?, TaskId::from_raw(task));
            let out = holds_mut(out, capacity)?;
            let resized = placer.resize(Nanos(now_ns), task, members, out)?;
            told.set(rampmeter_placed::resized(task, &resized));
            Ok(())
        })
    }
}

/// Gives every member of a running task other amounts of what it has, where it is: of CPU and
/// memory, and of the devices that it has shares of. All of them, or none.
///
/// Fails: E_STALE, E_CONTRADICTION (it does not run; other models; devices of another kind or
/// number; another partition), E_RANGE, E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_resize_members(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    member: *const rampmeter_demand,
    placed: *mut rampmeter_placed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let (told, task) = (OutSized::new(placed, "placed")?, TaskId::from_raw(task));
            let resized = placer.resize_members(Nanos(now_ns), task, &taken_demand(member)?)?;
            told.set(rampmeter_placed::resized(task, &resized));
            Ok(())
        })
    }
}

/// A running task of one member has moved, as rampmeter_placer_compact() proposed or elsewhere: from
/// now on it holds what it asked for on the node, the devices and the slices of `to`, and has no work
/// that is not saved. Of `to` nothing else is read.
///
/// Fails: E_STALE (the task or the node), E_CONTRADICTION (it does not run; not what it asked for; a
/// node that takes nothing new), E_RANGE (it has several members; other numbers of devices), E_FULL
/// (what is not free), E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_moved_to(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    to: *const rampmeter_hold,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; the layouts are the
    // same, and any bits are a value of each field.
    unsafe {
        change(placer, error, |placer| {
            let to = &array(to.cast::<Hold>(), 1, "to")?[0];
            Ok(placer.moved_to(Nanos(now_ns), TaskId::from_raw(task), to)?)
        })
    }
}

/// The work that a running task had done at `at_ns` is saved. The latest report counts.
///
/// Fails: E_STALE, E_CONTRADICTION (it does not run; `at_ns` is before its start or after `now_ns`),
/// E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_checkpointed(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    at_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            Ok(placer.checkpointed(Nanos(now_ns), TaskId::from_raw(task), Nanos(at_ns))?)
        })
    }
}

/// What is known of a task.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_task(
    placer: *const rampmeter_placer,
    task: u64,
    state: *mut rampmeter_task_state,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = OutSized::new(state, "state")?;
            let known = placer.task(TaskId::from_raw(task))?;
            out.set(rampmeter_task_state {
                size: 0,
                members_len: known.members_len,
                tag: known.task.tag,
                account: known.task.account.to_raw(),
                submitted_ns: known.submitted.get(),
                started_ns: known.started.get(),
                price: (&known.price).into(),
                stage: known.stage as u8,
                reserved: [0; 7],
            });
            Ok(())
        })
    }
}

/// What a task asked for, as it could be asked for again. Set `asked->size` before.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_asked(
    placer: *const rampmeter_placer,
    task: u64,
    asked: *mut rampmeter_task,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = OutSized::new(asked, "asked")?;
            out.set(rampmeter_task::of(&placer.task(TaskId::from_raw(task))?.task));
            Ok(())
        })
    }
}

/// Writes what the members of a task hold to the front of `out`; `*len` says how many there are.
/// With `capacity` 0 it only says that.
///
/// Fails: E_STALE, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number,
/// while nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_holds(
    placer: *const rampmeter_placer,
    task: u64,
    out: *mut rampmeter_hold,
    capacity: usize,
    len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; the layouts of holds
    // are the same.
    unsafe {
        look(placer, error, |placer| {
            let task = TaskId::from_raw(task);
            let count = placer.task(task)?.members_len;
            give_all(placer.holds(task)?.copied(), count, (out.cast::<Hold>(), capacity), len)
        })
    }
}

/// What would be lost if a running task ended now, in seconds of delay; 0 for one that does not run.
///
/// Fails: E_STALE, E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_lost_work(
    placer: *const rampmeter_placer,
    now_ns: u64,
    task: u64,
    lost_work_s: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = Out::new(lost_work_s, "lost_work_s")?;
            out.set(placer.lost_work_s(Nanos(now_ns), TaskId::from_raw(task))?);
            Ok(())
        })
    }
}
