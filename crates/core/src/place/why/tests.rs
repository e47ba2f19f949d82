use proptest::prelude::*;

use super::super::reclaim::tests::{SECOND, World};
use super::super::task::Topology;
use super::*;
use crate::fleet::{Demand, DeviceDemand};

fn whole(count: u8, cpu_milli: u32) -> Demand {
    let devices = DeviceDemand::Whole { count, memory_mib: 0 };
    Demand { cpu_milli, devices, ..Demand::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// Every node is counted once, as the fleet itself answers; nothing changes; and what is said
    /// to fit does.
    #[test]
    fn every_node_is_counted_once(
        gpus in prop::collection::vec(0usize..5, 1..7), running in prop::collection::vec(1u8..4, 0..8),
        count in 1u8..5, cpu_milli in 0u32..9_000, members in 1u32..5, together in any::<bool>(),
    ) {
        let mut world = World::new(&gpus, &[(9, 0, None)]);
        let account = world.accounts[0];
        for count in running {
            world.start(Nanos(SECOND), &Task { account, member: whole(count, 500), ..Task::default() });
        }
        let topology = Topology { within: Domain::Rack, required: together, ..Topology::default() };
        let member = whole(count, cpu_milli);
        let task = Task { account, member, members, topology, ..Task::default() };
        let dump = world.dump();
        let why = world.placer.why(world.now, &task).unwrap();
        prop_assert_eq!(world.dump(), dump);
        prop_assert_eq!(why.nodes, gpus.len() as u32);
        prop_assert_eq!(why.fits + why.lacks.iter().sum::<u32>(), why.nodes);
        let mut lacks = [0; Lack::ALL.len()];
        for node in &world.nodes {
            if let Some(lack) = world.placer.fleet().lack(*node, &member).unwrap() {
                lacks[lack as usize] += 1;
            }
        }
        let (topology, others) = (why.lacking(Lack::Topology), why.lacks);
        prop_assert!(lacks.iter().zip(others).all(|(one, other)| {
            *one == other || topology > 0 && *one == 0 && other == topology
        }), "{lacks:?} {others:?}");
        let starts = world.start(world.now, &task).is_some();
        prop_assert_eq!(starts, why.starts());
    }
}

#[test]
fn the_nearest_node_lacks_what_comes_last_and_least_of_it() {
    let mut world = World::new(&[1, 2, 3], &[(9, 0, None)]);
    let account = world.accounts[0];
    let ask =
        |count, cpu_milli| Task { account, member: whole(count, cpu_milli), ..Task::default() };
    let why = world.placer.why(world.now, &ask(4, 0)).unwrap();
    let nearest = why.nearest.unwrap();
    assert_eq!((nearest.lack, nearest.has, nearest.needs), (Lack::Devices, 3, 4));
    assert_eq!(nearest.node, world.nodes[2]);
    let nearest = world.placer.why(world.now, &ask(1, 9_000)).unwrap().nearest.unwrap();
    assert_eq!((nearest.node, nearest.lack), (world.nodes[0], Lack::Cpu));
    assert_eq!((nearest.has, nearest.needs), (8_000, 9_000));
    let wrong = Task { members: 0, ..ask(1, 0) };
    assert!(world.placer.why(world.now, &wrong).is_err());
}
