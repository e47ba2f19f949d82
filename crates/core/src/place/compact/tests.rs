use proptest::prelude::*;

use super::super::reclaim::tests::{SECOND, World};
use super::*;
use crate::fleet::{Demand, DeviceDemand};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// Proposing changes nothing. Done one after the other, every move is valid, brings what was
    /// said, and all of them together the sum.
    #[test]
    fn every_move_is_valid_and_brings_what_was_said(
        gpus in prop::collection::vec(1usize..5, 2..6),
        running in prop::collection::vec((1u8..3, 0u16..3, any::<bool>(), 0u64..900), 0..10),
        ends in prop::collection::vec(any::<bool>(), 10), price in 0.0..5.0,
    ) {
        let mut world = World::new(&gpus, &[(9, 0, None)]);
        world.placer.shadow_price = price;
        let account = world.accounts[0];
        let mut ids = std::vec::Vec::new();
        for (count, part, preemptible, seconds) in running {
            let devices = match part {
                0 => DeviceDemand::Whole { count, memory_mib: 0 },
                part => DeviceDemand::Share { count: 1, milli: 300 * part, memory_mib: 0 },
            };
            let member = Demand { devices, ..Demand::default() };
            let duration = Nanos(9_000 * SECOND);
            let min_runtime = Nanos(seconds * SECOND);
            let task = Task { account, member, duration, preemptible, min_runtime, ..Task::default() };
            ids.extend(world.start(Nanos(400 * SECOND), &task));
        }
        for (id, _) in ids.iter().zip(ends).filter(|(_, ends)| *ends) {
            world.placer.release(Nanos(400 * SECOND), *id).unwrap();
        }
        let (now, dump) = (world.now, world.dump());
        let mut out = [Move::default(); 4];
        let compaction = world.placer.compact(now, 4, &mut out).unwrap();
        prop_assert_eq!(world.dump(), dump);
        let mut gain_s = 0.0;
        for one in &out[..compaction.moves_len as usize] {
            let entry = *world.placer.task(one.task).unwrap();
            prop_assert!(entry.task.preemptible);
            prop_assert!(entry.started.saturating_add(entry.task.min_runtime) <= now);
            prop_assert_eq!(world.placer.holds(one.task).unwrap().next(), Some(&one.from));
            let placer = &mut world.placer;
            let lost_s = placer.lost_work_s(now, one.task).unwrap();
            let second_s = placer.stranding_second_s(&entry.task);
            placer.scratch.fleet.copy_from(&placer.fleet).unwrap();
            placer.scratch.fleet.give(&one.from).unwrap();
            let strands = |hold: &Hold| {
                let fleet = &placer.scratch.fleet;
                placer.stranding.price(fleet, hold.node.index(), &entry.task.member).unwrap().0
            };
            let milli = strands(&one.from) - strands(&one.to);
            let gain = milli as f64 / 1_000.0 * second_s - lost_s;
            prop_assert!(gain > 0.0 && (gain - one.gain_s).abs() < 1e-6, "{gain} {one:?}");
            gain_s += gain;
            prop_assert!(world.placer.moved_to(now, one.task, &one.to).is_ok());
            prop_assert_eq!(world.placer.holds(one.task).unwrap().next(), Some(&one.to));
        }
        prop_assert!((gain_s - compaction.gain_s).abs() < 1e-6);
    }
}

#[test]
fn a_move_that_cannot_be_changes_nothing() {
    let mut world = World::new(&[1, 1], &[(9, 0, None)]);
    let devices = DeviceDemand::Whole { count: 1, memory_mib: 0 };
    let member = Demand { devices, ..Demand::default() };
    let task = Task { account: world.accounts[0], member, ..Task::default() };
    let one = world.start(Nanos(SECOND), &task).unwrap();
    let two = world.start(Nanos(SECOND), &task).unwrap();
    let taken = *world.placer.holds(two).unwrap().next().unwrap();
    let (now, dump) = (world.now, world.dump());
    let nothing = Hold { devices: 0, ..taken };
    let nowhere = Hold { devices: 1 << 9, ..taken };
    for wrong in [taken, nothing, nowhere, Hold::default()] {
        assert!(world.placer.moved_to(now, one, &wrong).is_err());
    }
    assert!(world.placer.moved_to(Nanos::ZERO, one, &taken).is_err());
    assert!(world.placer.compact(now, 3, &mut []).is_err());
    assert_eq!(world.dump(), dump);
}
