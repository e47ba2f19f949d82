//! Answers: what a placer holds, why a task does not start, when it will, and what should move.

use rampmeter::Nanos;
use rampmeter::fleet::Lack;
use rampmeter::place::compact::Move;
use rampmeter::place::{Because, TaskId};

use super::life::{RAMPMETER_LACK_NONE, lack_of};
use super::tasks::{taken_demand, taken_task};
use super::{rampmeter_demand, rampmeter_hold, rampmeter_placer, rampmeter_task};
use crate::batcher::RAMPMETER_NEVER;
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array_mut, same_layout, versioned};
use crate::status::rampmeter_status;

/// Elements of rampmeter_why::nodes_lacking: more than there are lacks now.
pub const RAMPMETER_LACKS_MAX: usize = 16;
const _: () = assert!(Lack::ALL.len() < RAMPMETER_LACKS_MAX);

/// Why a start is expected then, or none is: it has started.
pub const RAMPMETER_EXPECTED_STARTED: u8 = 0;
/// It has a reservation.
pub const RAMPMETER_EXPECTED_RESERVED: u8 = 1;
/// There is room then, if all that runs or waits before it ends when it said.
pub const RAMPMETER_EXPECTED_ENDS: u8 = 2;
/// The last cycle held batch work like it for urgent work: it is the earliest that there is room, and
/// how long it is held nobody knows.
pub const RAMPMETER_EXPECTED_HELD: u8 = 3;
/// More wait before it than were looked at: it is the earliest that it can be.
pub const RAMPMETER_EXPECTED_MANY_BEFORE: u8 = 4;
/// Whoever is in its way did not say how long it runs: no time is known.
pub const RAMPMETER_EXPECTED_UNKNOWN: u8 = 5;
/// It would not find room if nothing else ran.
pub const RAMPMETER_EXPECTED_NEVER_FITS: u8 = 6;

const _: () = {
    assert!(RAMPMETER_EXPECTED_STARTED == Because::Started as u8);
    assert!(RAMPMETER_EXPECTED_RESERVED == Because::Reserved as u8);
    assert!(RAMPMETER_EXPECTED_ENDS == Because::Ends as u8);
    assert!(RAMPMETER_EXPECTED_HELD == Because::Held as u8);
    assert!(RAMPMETER_EXPECTED_MANY_BEFORE == Because::ManyBefore as u8);
    assert!(RAMPMETER_EXPECTED_UNKNOWN == Because::Unknown as u8);
    assert!(RAMPMETER_EXPECTED_NEVER_FITS == Because::NeverFits as u8);
};

/// What a placer holds, and how full it is. What is promised to somebody for later counts as free.
/// Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_placer {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Tasks that are known, pending and running together.
    pub tasks: u32,
    /// Tasks that may be.
    pub tasks_max: u32,
    /// Of the tasks, those that wait for their start, with a reservation or without.
    pub pending: u32,
    /// Of them, those with a reservation.
    pub reservations: u32,
    /// Reservations that may be held at once.
    pub reservations_max: u32,
    /// Members of the tasks that run.
    pub members: u32,
    /// Members that may be.
    pub members_max: u32,
    /// Nodes that are there, in whatever state.
    pub nodes: u32,
    /// Nodes that may be.
    pub nodes_max: u32,
    /// Of the nodes, those that may be given work.
    pub nodes_ready: u32,
    /// Devices that may be given away, on those.
    pub devices: u32,
    /// Of them, those of which nothing is taken.
    pub devices_free: u32,
    /// 0.
    pub reserved: u32,
    /// Thousandths of devices that are free.
    pub gpu_free_milli: u64,
    /// Passes over all that wait that have come to their end.
    pub cycles: u64,
}
versioned!(rampmeter_stats_placer, 72);

/// What is in the way of a task. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_why {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Nodes that there are: all of `nodes_lacking` together.
    pub nodes: u32,
    /// Members that would find room now, all in one domain where they must be, at most as many as
    /// wanted.
    pub members_fit: u32,
    /// Members without which it does not start.
    pub members_needed: u32,
    /// Nodes by the first thing that they lack, at the place of its number: at
    /// RAMPMETER_LACK_NONE those that could take a member now.
    pub nodes_lacking: [u32; RAMPMETER_LACKS_MAX],
    /// Of the nodes that lack something the nearest one; 0: there is none.
    pub nearest: u64,
    /// How much the nearest has of what it lacks: thousandths of a core, MiB, devices, labels as
    /// they should be, members; 0 for what cannot be counted.
    pub nearest_has: u64,
    /// How much of that is needed; 1 for what cannot be counted.
    pub nearest_needs: u64,
    /// RAMPMETER_LACK_...: what the nearest lacks.
    pub nearest_lack: u8,
    /// 1: it could start now.
    pub starts: u8,
    /// 1: the last cycle held batch work like it for urgent work: it waits even where there is room.
    pub held: u8,
    /// 0.
    pub reserved: [u8; 5],
}
versioned!(rampmeter_why, 112);

/// When a task starts. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_expected {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_EXPECTED_...: why then.
    pub because: u32,
    /// The time; RAMPMETER_NEVER: none is known.
    pub at_ns: u64,
}
versioned!(rampmeter_expected, 16);

/// A migration that would pay.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_move {
    /// The task.
    pub task: u64,
    /// What it holds, once the moves before this one are done.
    pub from: rampmeter_hold,
    /// What it would hold.
    pub to: rampmeter_hold,
    /// GPUs that come back, in thousandths.
    pub stranded_milli: i64,
    /// What moving costs, in seconds of delay.
    pub lost_work_s: f64,
    /// What it brings beyond that, in seconds of delay; above zero.
    pub gain_s: f64,
}

same_layout!(rampmeter_move = Move { task, from, to, stranded_milli, lost_work_s, gain_s });

/// What rampmeter_placer_compact() proposes. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_compaction {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Moves written, to be done in this order.
    pub moves_len: u32,
    /// GPUs that come back, in thousandths.
    pub stranded_milli: i64,
    /// What all of them bring, in seconds of delay.
    pub gain_s: f64,
}
versioned!(rampmeter_compaction, 24);

/// What a placer holds, and how full it is.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_stats(
    placer: *const rampmeter_placer,
    stats: *mut rampmeter_stats_placer,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let (out, stats) = (OutSized::new(stats, "stats")?, placer.stats());
            out.set(rampmeter_stats_placer {
                size: 0,
                tasks: stats.tasks,
                tasks_max: stats.tasks_max,
                pending: stats.pending,
                reservations: stats.reservations,
                reservations_max: stats.reservations_max,
                members: stats.members,
                members_max: stats.members_max,
                nodes: stats.nodes,
                nodes_max: stats.nodes_max,
                nodes_ready: stats.nodes_ready,
                devices: stats.devices,
                devices_free: stats.devices_free,
                reserved: 0,
                gpu_free_milli: stats.gpu_free_milli,
                cycles: stats.cycles,
            });
            Ok(())
        })
    }
}

/// Whether what a member costs is kept for every node, so that placing one needs no look at each: the
/// measures `value` and `fgd` keep it for 128 shapes (CPU and devices), those asked for last.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_knows_shape(
    placer: *const rampmeter_placer,
    member: *const rampmeter_demand,
    knows_shape: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let (out, member) = (Out::new(knows_shape, "knows_shape")?, taken_demand(member)?);
            member.check()?;
            out.set(placer.knows_shape(&member).into());
            Ok(())
        })
    }
}

/// What is in the way of a task, pending or imagined; rampmeter_placer_asked() describes one that is
/// known. Nothing is changed that anybody sees, but the placer's working memory is used. Takes time
/// in proportion to the nodes.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_TIME_REVERSED, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_why(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: *const rampmeter_task,
    why: *mut rampmeter_why,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let (out, task) = (OutSized::new(why, "why")?, taken_task(task)?);
            let why = placer.why(Nanos(now_ns), &task)?;
            let mut nodes_lacking = [0; RAMPMETER_LACKS_MAX];
            nodes_lacking[usize::from(RAMPMETER_LACK_NONE)] = why.fits;
            for lack in Lack::ALL {
                nodes_lacking[usize::from(lack_of(lack))] = why.lacking(lack);
            }
            let nearest = why.nearest;
            out.set(rampmeter_why {
                size: 0,
                nodes: why.nodes,
                members_fit: why.members_fit,
                members_needed: why.members_needed,
                nodes_lacking,
                nearest: nearest.map_or(0, |nearest| nearest.node.to_raw()),
                nearest_has: nearest.map_or(0, |nearest| nearest.has),
                nearest_needs: nearest.map_or(0, |nearest| nearest.needs),
                nearest_lack: nearest.map_or(RAMPMETER_LACK_NONE, |nearest| lack_of(nearest.lack)),
                starts: why.starts().into(),
                held: why.held.into(),
                reserved: [0; 5],
            });
            Ok(())
        })
    }
}

/// When a task is expected to start, if nobody comes and all end when they said. Not for the hot
/// path: those that wait before it are all given their earliest start first.
///
/// Fails: E_STALE, E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_expected_start(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    task: u64,
    expected: *mut rampmeter_expected,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let out = OutSized::new(expected, "expected")?;
            let expected = placer.expected_start(Nanos(now_ns), TaskId::from_raw(task))?;
            out.set(rampmeter_expected {
                size: 0,
                because: expected.because as u32,
                at_ns: expected.at.map_or(RAMPMETER_NEVER, Nanos::get),
            });
            Ok(())
        })
    }
}

/// Proposes at most `moves_max` migrations that buy back stranded GPUs, into `out`, which needs as
/// many places; set them to 0 once before their first use, as calloc() does. Nothing moves by itself:
/// the host moves whom it likes, and says so with rampmeter_placer_moved_to(). Not for the hot path.
///
/// Fails: E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_compact(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    moves_max: u32,
    out: *mut rampmeter_move,
    compaction: *mut rampmeter_compaction,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; the layouts are the
    // same, and any bits are a value of each field.
    unsafe {
        change(placer, error, |placer| {
            let told = OutSized::new(compaction, "compaction")?;
            let out = array_mut(out.cast::<Move>(), moves_max as usize, "out")?;
            let compaction = placer.compact(Nanos(now_ns), moves_max, out)?;
            told.set(rampmeter_compaction {
                size: 0,
                moves_len: compaction.moves_len,
                stranded_milli: compaction.stranded_milli,
                gain_s: compaction.gain_s,
            });
            Ok(())
        })
    }
}
