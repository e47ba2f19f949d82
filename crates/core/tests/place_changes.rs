//! A placer that is changed while others wait: nothing is lost of what stands or waits.

use rampmeter::Nanos;
use rampmeter::fleet::{
    Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, NodeId, NodeSpec,
};
use rampmeter::place::{
    CyclePlan, Placed, Placer, PlacerOptions, Reservation, Resized, Task, TaskId,
};
use rampmeter::policy::{PendingOrder, Policy};
use rampmeter::share::{AccountId, Ledger, LedgerOptions};

const SECOND: u64 = 1_000_000_000;

fn policy(order: PendingOrder) -> Policy {
    let mut policy = Policy::default();
    policy.placement.order = order;
    policy
}

/// Two nodes with 2 devices each, and a ledger with two accounts.
fn world(order: PendingOrder) -> (Placer, Ledger, [AccountId; 2], [NodeId; 2]) {
    let size = FleetOptions { nodes_max: 2, devices_per_node_max: 2 };
    let options =
        PlacerOptions { tasks_max: 8, members_max: 8, task_members_max: 4, accounts_max: 4 };
    let mut placer = Placer::new(Fleet::new(&size).unwrap(), &policy(order), &options).unwrap();
    let spec = NodeSpec { devices: &[DeviceSpec::default(); 2], ..NodeSpec::default() };
    let nodes = [(); 2].map(|()| placer.add_node(&spec).unwrap());
    let options =
        LedgerOptions { accounts_max: 4, resources: 3, dominant: true, ..LedgerOptions::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    let accounts = [(); 2].map(|()| ledger.open(None, 1.0).unwrap());
    (placer, ledger, accounts, nodes)
}

fn task(account: AccountId, gpus: u8, members: u32, seconds: u64) -> Task {
    let devices = DeviceDemand::Whole { count: gpus, memory_mib: 0 };
    let member = Demand { devices, ..Demand::default() };
    Task { account, member, members, duration: Nanos(seconds * SECOND), ..Task::default() }
}

fn place(placer: &mut Placer, task: &Task) -> TaskId {
    match placer.place(Nanos(0), task, &mut [Hold::default(); 4]).unwrap() {
        Placed::Running { task, .. } => task,
        Placed::NoRoom { lack } => panic!("{lack:?}"),
    }
}

/// Tasks started, and reserved.
fn cycle(placer: &mut Placer, ledger: &mut Ledger, seconds: u64) -> (Vec<TaskId>, u32) {
    let mut started = [TaskId::default(); 8];
    let mut plan = CyclePlan {
        started: &mut started,
        ending: &mut [TaskId::default(); 8],
        reserved: &mut [Reservation::default(); 8],
    };
    let cycle = placer.cycle(Nanos(seconds * SECOND), ledger, &mut plan).unwrap();
    (started[..cycle.started_len as usize].to_vec(), cycle.reserved_len)
}

/// What a member's end is worth is asked with its hold given back, while the plan for whoever comes
/// after still counts on that end.
#[test]
fn a_gang_shrinks_where_somebody_is_promised_room() {
    let (mut placer, mut ledger, [one, other], _) = world(PendingOrder::DominantShare);
    let gang = place(&mut placer, &Task { members_min: 1, ..task(one, 1, 4, 100) });
    placer.submit(Nanos(0), &task(other, 2, 2, 50)).unwrap();
    assert_eq!(cycle(&mut placer, &mut ledger, 0), (Vec::new(), 1), "at 100 s, on both nodes");
    let mut out = [Hold::default(); 4];
    let resized = placer.resize(Nanos(50 * SECOND), gang, 3, &mut out).unwrap();
    assert!(matches!(resized, Resized::Done { members_len: 1, .. }), "{resized:?}");
    assert_eq!(placer.stats().devices_free, 1);
}

/// A place that is refused leaves a task where it is, also where nothing new may be put.
#[test]
fn a_move_that_is_refused_takes_nothing_away() {
    let (mut placer, _, [one, _], nodes) = world(PendingOrder::Arrival);
    let id = place(&mut placer, &task(one, 1, 1, 100));
    let from = *placer.holds(id).unwrap().next().unwrap();
    placer.drain_node(from.node, &mut [TaskId::default(); 2]).unwrap();
    for node in nodes {
        let to = Hold { node, devices: 0b11, ..from };
        placer.moved_to(Nanos(1), id, &to).unwrap_err();
        assert_eq!(placer.holds(id).unwrap().collect::<Vec<_>>(), [&from]);
        assert_eq!(placer.fleet().node(from.node).unwrap().holds, 1);
    }
    placer.release(Nanos(2), id).unwrap();
    assert_eq!(placer.fleet().node(from.node).unwrap().holds, 0);
}

/// Where something moved away there is room, also for who found none before.
#[test]
fn who_found_no_room_takes_that_of_one_that_moved() {
    let (mut placer, mut ledger, [one, other], nodes) = world(PendingOrder::DominantShare);
    let ids = [(); 2].map(|()| place(&mut placer, &task(one, 1, 1, 0)));
    let node_of = |placer: &Placer, id| *placer.holds(id).unwrap().next().unwrap();
    let mut holds = ids.map(|id| node_of(&placer, id));
    if holds[0].node == holds[1].node {
        let node = nodes.into_iter().find(|node| *node != holds[0].node).unwrap();
        placer.moved_to(Nanos(0), ids[1], &Hold { node, ..holds[1] }).unwrap();
        holds = ids.map(|id| node_of(&placer, id));
    }
    let waits = placer.submit(Nanos(0), &task(other, 2, 1, 0)).unwrap();
    assert_eq!(cycle(&mut placer, &mut ledger, 1), (Vec::new(), 0));
    let free = 0b11 & !holds[0].devices;
    let to = Hold { node: holds[0].node, devices: free, ..holds[1] };
    placer.moved_to(Nanos(2 * SECOND), ids[1], &to).unwrap();
    assert_eq!(cycle(&mut placer, &mut ledger, 3), (vec![waits], 0));
}

/// Another order has other queues: whoever waits goes along, and is found again.
#[test]
fn who_waits_goes_along_into_another_order() {
    let (mut placer, mut ledger, accounts, _) = world(PendingOrder::DominantShare);
    let ids = accounts.map(|account| placer.submit(Nanos(0), &task(account, 1, 1, 9)).unwrap());
    placer.set_policy(&policy(PendingOrder::Arrival)).unwrap();
    placer.release(Nanos(1), ids[1]).unwrap();
    assert_eq!(placer.pending_len(), 1);
    assert_eq!(cycle(&mut placer, &mut ledger, 2), (vec![ids[0]], 0));
    let last = placer.submit(Nanos(3 * SECOND), &task(accounts[1], 1, 1, 9)).unwrap();
    placer.set_policy(&policy(PendingOrder::DominantShare)).unwrap();
    assert_eq!(cycle(&mut placer, &mut ledger, 4), (vec![last], 0));
}
