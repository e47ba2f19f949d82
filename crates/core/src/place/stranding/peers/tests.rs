//! Each rule against what it says in words, and its rounding against exact fractions.

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::fleet::{DeviceSpec, FleetOptions, NodeSpec};
use crate::place::{Placed, Placer, PlacerOptions, Task};
use crate::policy::{PlacementRules, Policy};
use crate::units::Nanos;

fn share(milli: u16) -> Demand {
    Demand {
        cpu_milli: 1_000,
        devices: DeviceDemand::Share { count: 1, milli, memory_mib: 0 },
        ..Demand::default()
    }
}

fn whole(count: u8) -> Demand {
    Demand {
        cpu_milli: 1_000,
        devices: DeviceDemand::Whole { count, memory_mib: 0 },
        ..Demand::default()
    }
}

/// Nodes of 64 cores with so many devices each.
fn fleet(devices: &[usize]) -> Fleet {
    let options = FleetOptions { nodes_max: devices.len() as u32, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).unwrap();
    for &count in devices {
        let specs = [DeviceSpec::default(); 8];
        let spec = NodeSpec { cpu_milli: 64_000, devices: &specs[..count], ..NodeSpec::default() };
        fleet.add_node(&spec).unwrap();
    }
    fleet
}

fn placer(measure: Measure, devices: &[usize]) -> Placer {
    let rules =
        PlacementRules { measure, holding: Nanos::from_millis(1_000), ..PlacementRules::default() };
    let options = PlacerOptions {
        tasks_max: 4_096,
        members_max: 4_096,
        task_members_max: 1,
        accounts_max: 1,
    };
    Placer::new(fleet(devices), &Policy::default().with_placement(rules), &options).unwrap()
}

/// Where tasks of these demands go, one after the other.
fn places(placer: &mut Placer, demands: &[Demand]) -> Vec<Option<u32>> {
    let place = |demand: &Demand| {
        let task = Task { member: *demand, ..Task::default() };
        let mut hold = [Hold::default()];
        match placer.place(Nanos::ZERO, &task, &mut hold).unwrap() {
            Placed::Running { .. } => Some(hold[0].node.index()),
            Placed::NoRoom { .. } => None,
        }
    };
    demands.iter().map(place).collect()
}

#[test]
fn best_fit_takes_the_fullest_and_spread_the_emptiest() {
    let demands = [whole(1), whole(1), whole(2), whole(1)];
    let went = places(&mut placer(Measure::BestFit, &[8, 4, 2]), &demands);
    assert_eq!(went, [Some(2), Some(2), Some(1), Some(1)]);
    let went = places(&mut placer(Measure::Spread, &[4, 8, 2]), &demands);
    assert_eq!(went, [Some(1), Some(1), Some(1), Some(0)]);
}

#[test]
fn packing_wakes_neither_devices_nor_nodes_without_need() {
    // The smallest idle node; then its shared device; then its idle one; then another node.
    let demands = [share(400), share(500), share(200), whole(1), share(100), whole(1)];
    let went = places(&mut placer(Measure::Packing, &[8, 2]), &demands);
    assert_eq!(went, [Some(1), Some(1), Some(1), Some(0), Some(1), Some(0)]);
}

#[test]
fn clustering_keeps_kinds_together() {
    // Two kinds on nodes of their own; a third goes to the idle node, and back to it.
    let demands = [share(300), whole(2), share(300), whole(4), whole(2), whole(4)];
    let went = places(&mut placer(Measure::Clustering, &[8, 8, 8]), &demands);
    assert_eq!(went, [Some(0), Some(1), Some(0), Some(2), Some(1), Some(2)]);
    // A stranger's node is worse than an idle one, though it has room.
    let demands = [share(300), whole(1), share(300), whole(1)];
    let went = places(&mut placer(Measure::Clustering, &[4, 2]), &demands);
    assert_eq!(went, [Some(1), Some(0), Some(1), Some(0)]);
}

#[test]
fn random_goes_everywhere_and_again_the_same_way() {
    let demands = vec![Demand { cpu_milli: 0, ..share(1) }; 1_000];
    let went = places(&mut placer(Measure::Random, &[8; 10]), &demands);
    assert_eq!(went, places(&mut placer(Measure::Random, &[8; 10]), &demands));
    for node in 0..10 {
        let count = went.iter().filter(|place| **place == Some(node)).count();
        // Ten standard deviations of a fair draw.
        assert!((5..=195).contains(&count), "{node}: {count}");
    }
}

#[test]
fn random_shares_land_on_any_device_with_room() {
    let mut placer = placer(Measure::Random, &[8]);
    assert_eq!(places(&mut placer, &[whole(1); 2]), [Some(0); 2], "the first two are taken");
    places(&mut placer, &[Demand { cpu_milli: 0, ..share(1) }; 300]);
    let devices = placer.fleet().devices_at(0);
    let taken: Vec<u16> = devices.iter().map(|device| WHOLE_MILLI - device.free_milli).collect();
    assert_eq!(&taken[..2], [WHOLE_MILLI; 2]);
    // Fifty each, and seven standard deviations of a fair draw.
    assert!(taken[2..].iter().all(|milli| (5..=95).contains(milli)), "{taken:?}");
}

#[test]
fn tasks_without_devices_go_to_the_lowest_index_where_the_rule_says_nothing() {
    let host = Demand { cpu_milli: 40_000, ..Demand::default() };
    for measure in [Measure::Packing, Measure::Clustering] {
        let went = places(&mut placer(measure, &[8, 2, 0]), &[host; 4]);
        assert_eq!(went, [Some(0), Some(1), Some(2), None]);
    }
}

proptest! {
    /// Costs are the formulas in hundredths, rounded up (scores were rounded down).
    #[test]
    fn costs_are_their_formulas_rounded_up(
        cpu in 0_u32..=64_000,
        taken in prop::collection::vec((0_u32..=20_000, 1_u16..=999), 0..4),
        milli in 1_u16..=999,
    ) {
        let mut fleet = fleet(&[8]);
        let node = fleet.id_at(0).unwrap();
        for (cpu_milli, milli) in taken {
            let demand = Demand { cpu_milli, ..share(milli) };
            if let Ok(choice) = fleet.choose_devices(0, &demand) {
                fleet.take(node, &demand, choice).unwrap();
            }
        }
        let demand = Demand { cpu_milli: cpu, ..share(milli) };
        let Ok(choice) = fleet.choose_devices(0, &demand) else { return Ok(()) };
        let sight = Sight { fleet: &fleet, index: 0, kinds: 0, choice, arrivals: 0 };
        let of = |measure| cost(measure, &sight, &demand).unwrap();
        let (c_free, g_free) = free_of(&sight);
        let (c, g) = (f64::from(cpu) / 128e3, f64::from(milli) / 8e3);
        let (c_free, g_free) = (c_free as f64 / 128e3, g_free as f64 / 8e3);
        let near = |cost: i64, exact: f64| {
            let over = cost as f64 - exact;
            (-1e-9..1.0 + 1e-9).contains(&over)
        };
        prop_assert!(near(of(Measure::BestFit), 50.0 * (c_free - c + g_free - g)));
        prop_assert!(near(of(Measure::DotProduct), 50.0 * (c_free * c + g_free * g)));
        prop_assert_eq!(of(Measure::Spread), -of(Measure::BestFit));
        prop_assert!((0..=100).contains(&of(Measure::Packing)));
        prop_assert!((0..=100).contains(&of(Measure::Clustering)));
        prop_assert!((0..1 << 20).contains(&of(Measure::Random)));
        prop_assert_eq!(cost(Measure::Value, &sight, &demand), None);
        prop_assert_eq!(cost(Measure::Fgd, &sight, &demand), None);
    }
}
