use std::vec::Vec;

use proptest::prelude::*;

use super::super::reclaim::tests::{SECOND, World};
use super::*;
use crate::fleet::{Demand, DeviceDemand, DeviceSpec};

fn task(world: &World, count: u8, members: u32) -> Task {
    let devices = DeviceDemand::Whole { count, memory_mib: 0 };
    let member = Demand { devices, ..Demand::default() };
    Task { account: world.accounts[0], member, members, ..Task::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// Whatever might happen, also what cannot be, the placer is the same before and after; and
    /// the copy holds what it should.
    #[test]
    fn the_placer_stays_as_it_is(
        gpus in prop::collection::vec(0usize..5, 1..6),
        running in prop::collection::vec((1u8..3, 1u32..4), 0..8),
        changes in prop::collection::vec((0usize..7, 0usize..6), 0..8), count in 1u8..4,
    ) {
        let mut world = World::new(&gpus, &[(9, 0, None)]);
        let mut ids = Vec::new();
        for (count, members) in running {
            let task = task(&world, count, members);
            ids.extend(world.start(Nanos(SECOND), &task));
        }
        ids.push(TaskId::from_raw(3));
        let devices = [DeviceSpec::default(); 2];
        let spec = NodeSpec { cpu_milli: 100, devices: &devices, ..NodeSpec::default() };
        let imagined = task(&world, count, 2);
        let dump = world.dump();
        let changes: Vec<Change<'_>> = changes
            .into_iter()
            .map(|(kind, at)| {
                let node = world.nodes[at % world.nodes.len()];
                match kind {
                    0 => Change::AddNode(spec),
                    1 => Change::RemoveNode(node),
                    2 => Change::FailNode(node),
                    3 => Change::DrainNode(node),
                    4 => Change::ReturnNode(node),
                    5 => Change::Release(ids[at % ids.len()]),
                    _ => Change::Place(&imagined),
                }
            })
            .collect();
        if let Ok(mut what_if) = world.placer.what_if(world.now, &changes) {
            let fit = what_if.members_fit(&imagined).unwrap();
            let mut out = [Hold::default(); 2];
            let placed = what_if.place(&imagined, &mut out).unwrap();
            prop_assert_eq!(placed, if fit == 2 { 2 } else { 0 });
        }
        prop_assert_eq!(world.dump(), dump);
    }
}

#[test]
fn answers_are_those_of_the_placer_once_it_happens() {
    let mut world = World::new(&[2, 2], &[(9, 0, None)]);
    let (small, gang) = (task(&world, 1, 1), task(&world, 2, 2));
    let id = world.start(Nanos(SECOND), &small).unwrap();
    let now = world.now;
    let fit = |world: &mut World, changes: &[Change<'_>]| {
        world.placer.what_if(now, changes).unwrap().members_fit(&gang).unwrap()
    };
    assert_eq!(fit(&mut world, &[]), 1);
    assert_eq!(fit(&mut world, &[Change::Release(id)]), 2);
    let node = world.placer.holds(id).unwrap().next().unwrap().node;
    assert_eq!(fit(&mut world, &[Change::FailNode(node)]), 1);
    assert_eq!(fit(&mut world, &[Change::FailNode(node), Change::ReturnNode(node)]), 2);
    assert_eq!(fit(&mut world, &[Change::RemoveNode(node)]), 1);
    let twice = [Change::Release(id), Change::Release(id)];
    assert!(world.placer.what_if(now, &twice).is_err());
    assert!(world.placer.what_if(Nanos::ZERO, &[]).is_err());
}
