//! Tasks whose node or device is lost.

use std::vec;
use std::vec::Vec;

use super::super::{Placed, PlacerOptions, Task};
use super::*;
use crate::fleet::{
    Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, NodeSpec, Sharing,
};
use crate::policy::Policy;
use crate::units::Nanos;

/// A placer over nodes of two devices each.
fn placer(nodes: u32) -> (Placer, Vec<NodeId>) {
    let fleet = Fleet::new(&FleetOptions { nodes_max: 4, devices_per_node_max: 2 }).unwrap();
    let options = PlacerOptions { tasks_max: 8, members_max: 16, task_members_max: 8 };
    let mut placer = Placer::new(fleet, &Policy::default(), &options).unwrap();
    let device = DeviceSpec { memory_mib: 1, sharing: Sharing::Shared, ..DeviceSpec::default() };
    let devices = [device; 2];
    let spec = NodeSpec { cpu_milli: 8, devices: &devices, ..NodeSpec::default() };
    let nodes = (0..nodes).map(|_| placer.add_node(&spec).unwrap()).collect();
    (placer, nodes)
}

/// Runs a task of so many members, each with a part of one device.
fn run(placer: &mut Placer, members: u32, milli: u16) -> TaskId {
    let devices = DeviceDemand::Share { count: 1, milli, memory_mib: 0 };
    let task = Task { members, member: Demand { devices, ..Demand::default() }, ..Task::default() };
    match placer.place(Nanos::ZERO, &task, &mut [Hold::default(); 8]).unwrap() {
        Placed::Running { task, .. } => task,
        Placed::NoRoom { lack } => panic!("{lack:?}"),
    }
}

#[test]
fn the_tasks_on_a_lost_node_are_told_once_and_stay_until_they_are_released() {
    let (mut placer, nodes) = placer(1);
    let gang = run(&mut placer, 3, 500);
    let alone = run(&mut placer, 1, 400);
    let mut short = vec![TaskId::default(); 3];
    let error = Error::BufferTooSmall { field: "out", given: 3, needed: 4 };
    assert_eq!(placer.fail_node(nodes[0], &mut short), Err(error));
    assert_eq!(placer.fleet().total().nodes, 1, "nothing is changed");
    assert_eq!(short, [TaskId::default(); 3]);
    let mut out = vec![TaskId::default(); 4];
    assert_eq!(placer.fail_node(nodes[0], &mut out), Ok(2));
    assert_eq!(out[..2], [gang, alone]);
    assert_eq!(placer.drained(nodes[0]), Ok(false));
    assert_eq!(placer.remove_node(nodes[0]).unwrap_err().code(), -7);
    assert_eq!(placer.holds(gang).unwrap().count(), 3);
    placer.release(Nanos(1), gang).unwrap();
    placer.release(Nanos(2), alone).unwrap();
    assert_eq!(placer.drained(nodes[0]), Ok(true));
    placer.return_node(nodes[0]).unwrap();
    assert_eq!((placer.fleet().free().gpu_milli, placer.fleet().free().nodes), (2_000, 1));
    placer.remove_node(nodes[0]).unwrap();
    assert!(placer.fail_node(nodes[0], &mut out).is_err());
}

#[test]
fn only_who_holds_something_of_a_lost_device_is_told() {
    let (mut placer, nodes) = placer(1);
    let first = run(&mut placer, 1, 900);
    let second = run(&mut placer, 1, 800);
    let third = run(&mut placer, 1, 100);
    let of = |placer: &Placer, task| placer.holds(task).unwrap().next().unwrap().devices;
    let on: Vec<u16> = [first, second, third].map(|task| of(&placer, task)).to_vec();
    assert_eq!(on, [1, 2, 1]);
    let mut out = [TaskId::default(); 2];
    assert_eq!(placer.fail_device(nodes[0], 0, &mut out), Ok(2));
    assert_eq!(out, [first, third]);
    assert_eq!(placer.drain_device(nodes[0], 1, &mut out[..1]), Ok(1));
    assert_eq!(out[0], second);
    assert!(placer.fail_device(nodes[0], 2, &mut out).is_err());
    placer.release(Nanos::ZERO, second).unwrap();
    placer.return_device(nodes[0], 1).unwrap();
    let fourth = run(&mut placer, 1, 1);
    assert_eq!(of(&placer, fourth), 2);
}

#[test]
fn a_node_that_drains_takes_nothing_more() {
    let (mut placer, nodes) = placer(2);
    let task = run(&mut placer, 1, 500);
    let mut out = [TaskId::default(); 1];
    let node = placer.holds(task).unwrap().next().unwrap().node;
    assert_eq!(placer.drain_node(node, &mut out), Ok(1));
    assert_eq!(out, [task]);
    let other = run(&mut placer, 1, 100);
    assert_ne!(placer.holds(other).unwrap().next().unwrap().node, node);
    placer.set_labels(nodes[1], 3).unwrap();
    assert_eq!(placer.fleet().node(nodes[1]).unwrap().labels, 3);
    placer.release(Nanos::ZERO, task).unwrap();
    assert_eq!(placer.drained(node), Ok(true));
    assert_eq!(placer.drain_node(node, &mut []), Ok(0), "again, and with nobody there");
}
