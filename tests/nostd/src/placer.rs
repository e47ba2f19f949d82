//! A placer and its ledger in static memory: nodes with 8 devices each, one account.

use alloc::boxed::Box;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use rampmeter::fleet::{
    Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, NodeId, NodeSpec,
};
use rampmeter::place::{CyclePlan, Placed, Placer, PlacerOptions, Reservation, Task, TaskId};
use rampmeter::policy::Policy;
use rampmeter::share::{AccountId, Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};

use super::NO_DESK;

/// Members of one task, and tasks that one cycle starts.
const ROOM: usize = 16;

struct Desk {
    placer: Placer,
    ledger: Ledger,
    account: AccountId,
    node: NodeId,
}

static DESK: AtomicPtr<Desk> = AtomicPtr::new(ptr::null_mut());

/// Runs `call` on the desk; 0 or the code of the error.
fn on_desk(call: impl FnOnce(&mut Desk) -> Result<(), Error>) -> c_int {
    // SAFETY: the pointer is null or came from `Box::leak`, and one thread calls, one call at a
    // time, so no other reference is alive.
    let Some(desk) = (unsafe { DESK.load(Ordering::Acquire).as_mut() }) else { return NO_DESK };
    match call(desk) {
        Ok(()) => 0,
        Err(error) => error.code(),
    }
}

/// Builds the desk.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_placer_create(nodes_max: u32, tasks_max: u32) -> c_int {
    match create(nodes_max, tasks_max) {
        Ok(desk) => {
            DESK.store(Box::leak(Box::new(desk)), Ordering::Release);
            0
        }
        Err(error) => error.code(),
    }
}

fn create(nodes_max: u32, tasks_max: u32) -> Result<Desk, Error> {
    let size = FleetOptions { nodes_max, devices_per_node_max: 8 };
    let options = PlacerOptions {
        tasks_max,
        members_max: tasks_max,
        task_members_max: ROOM as u32,
        accounts_max: 4,
    };
    let mut placer = Placer::new(Fleet::new(&size)?, &Policy::default(), &options)?;
    let spec = NodeSpec { devices: &[DeviceSpec::default(); 8], ..NodeSpec::default() };
    let mut node = NodeId::default();
    for _ in 0..nodes_max {
        node = placer.add_node(&spec)?;
    }
    let options =
        LedgerOptions { accounts_max: 4, resources: 1, dominant: true, ..LedgerOptions::default() };
    let mut ledger = Ledger::new(&options)?;
    let account = ledger.open(None, 1.0)?;
    Ok(Desk { placer, ledger, account, node })
}

impl Desk {
    fn task(&self, gpus: u8, members: u32, duration_ns: u64) -> Task {
        Task {
            account: self.account,
            member: Demand {
                devices: DeviceDemand::Whole { count: gpus, memory_mib: 0 },
                ..Demand::default()
            },
            members,
            duration: Nanos(duration_ns),
            ..Task::default()
        }
    }
}

/// Places a task now, or, if `waits`, takes it in for a cycle. `task` is 0 where there is no room.
///
/// # Safety
/// `task` points to a `uint64_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_place(
    now_ns: u64,
    gpus: u8,
    members: u32,
    duration_ns: u64,
    waits: bool,
    task: *mut u64,
) -> c_int {
    on_desk(|desk| {
        let wanted = desk.task(gpus, members, duration_ns);
        let id = if waits {
            desk.placer.submit(Nanos(now_ns), &wanted)?
        } else {
            match desk.placer.place(Nanos(now_ns), &wanted, &mut [Hold::default(); ROOM])? {
                Placed::Running { task, .. } => task,
                Placed::NoRoom { .. } => TaskId::default(),
            }
        };
        // SAFETY: the caller vouches for the pointer.
        unsafe { task.write(id.to_raw()) };
        Ok(())
    })
}

/// A task is gone.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_place_release(now_ns: u64, task: u64) -> c_int {
    on_desk(|desk| desk.placer.release(Nanos(now_ns), TaskId::from_raw(task)))
}

/// Starts what can start; how many goes to `started_len`.
///
/// # Safety
/// `started_len` points to a `uint32_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_place_cycle(now_ns: u64, started_len: *mut u32) -> c_int {
    on_desk(|desk| {
        let mut plan = CyclePlan {
            started: &mut [TaskId::default(); ROOM],
            ending: &mut [TaskId::default(); ROOM],
            reserved: &mut [Reservation::default(); ROOM],
        };
        let cycle = desk.placer.cycle(Nanos(now_ns), &mut desk.ledger, &mut plan)?;
        // SAFETY: the caller vouches for the pointer.
        unsafe { started_len.write(cycle.started_len) };
        Ok(())
    })
}

/// A node drains and returns, and the questions are asked.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_place_ask(now_ns: u64, task: u64) -> c_int {
    on_desk(|desk| {
        let now = Nanos(now_ns);
        desk.placer.drain_node(desk.node, &mut [TaskId::default(); 4 * ROOM])?;
        desk.placer.return_node(desk.node)?;
        let wanted = desk.task(8, 2, 0);
        desk.placer.why(now, &wanted)?;
        desk.placer.what_if(now, &[])?.members_fit(&wanted)?;
        desk.placer.expected_start(now, TaskId::from_raw(task)).map(drop)
    })
}

/// Tasks known, or 0 without a desk.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_place_tasks() -> u32 {
    let mut tasks = 0;
    on_desk(|desk| {
        tasks = desk.placer.stats().tasks;
        Ok(())
    });
    tasks
}
