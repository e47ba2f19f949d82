mod choice;
mod gangs;
mod hostile;
mod knowledge;
mod matrix;
mod resizing;
mod rules;
mod spread;
mod topology;
mod worlds;

use super::*;
use crate::fleet::{Demand, DeviceDemand, DeviceSpec, Lack, Node, Sharing};
use crate::policy::Measure;
use proptest::prelude::*;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;
use worlds::*;

const SECOND: u64 = 1_000_000_000;

/// A node with `gpus` devices and 16 cores for each.
fn add(placer: &mut Placer, gpus: usize, rack: u32, zone: u32) -> NodeId {
    let devices = vec![DeviceSpec { memory_mib: 80_000, ..DeviceSpec::default() }; gpus];
    let spec = NodeSpec {
        cpu_milli: 16_000 * gpus as u32,
        memory_mib: 64_000,
        devices: &devices,
        rack,
        zone,
        ..NodeSpec::default()
    };
    placer.add_node(&spec).unwrap()
}

/// Nodes with so many devices, in these racks.
fn add_all(placer: &mut Placer, nodes: &[(usize, u32)]) {
    for (gpus, rack) in nodes {
        add(placer, *gpus, *rack, 0);
    }
}

fn empty(rules: PlacementRules) -> Placer {
    let fleet = Fleet::new(&FleetOptions { nodes_max: 16, devices_per_node_max: 8 }).unwrap();
    let options =
        PlacerOptions { tasks_max: 32, members_max: 64, task_members_max: 16, accounts_max: 8 };
    Placer::new(fleet, &policy(rules), &options).unwrap()
}

fn whole(count: u8) -> Demand {
    Demand { devices: DeviceDemand::Whole { count, memory_mib: 0 }, ..Demand::default() }
}

fn share(milli: u16, memory_mib: u32) -> Demand {
    Demand { devices: DeviceDemand::Share { count: 1, milli, memory_mib }, ..Demand::default() }
}

fn task(member: Demand, members: u32) -> Task {
    Task { member, members, duration: Nanos(100 * SECOND), ..Task::default() }
}

/// Places a task at time 0: its id, the nodes of its members in the order of their index, its price.
fn place(placer: &mut Placer, task: &Task) -> (TaskId, Vec<u32>, Price) {
    match try_place(placer, task) {
        Ok(placed) => placed,
        Err(lack) => panic!("{lack:?}"),
    }
}

fn try_place(placer: &mut Placer, task: &Task) -> Result<(TaskId, Vec<u32>, Price), Lack> {
    let mut out = [Hold::default(); 16];
    match placer.place(placer.now, task, &mut out).unwrap() {
        Placed::NoRoom { lack } => Err(lack),
        Placed::Running { task, members_len, price } => {
            let mut nodes: Vec<_> =
                out[..members_len as usize].iter().map(|hold| hold.node.index()).collect();
            nodes.sort_unstable();
            Ok((task, nodes, price))
        }
    }
}
