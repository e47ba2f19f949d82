//! Prices against their definitions, on fleets and mixes that are made up here.

use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::matrix::{NEVER, ROWS_MAX};
use super::pricer::chosen;
use super::shape::{Portion, Row, ShapeRows, Sight};
use super::*;
use crate::fleet::{DeviceDemand, DeviceSpec, FleetOptions, Hold, ModelId, ModelSet, NodeSpec};
use crate::place::{MixEntry, Placed, Placer, PlacerOptions, Task};
use crate::policy::{PlacementRules, Policy};
use crate::units::Nanos;

const MODELS: u8 = 3;

pub(super) fn share(cpu_milli: u32, milli: u16) -> Demand {
    let devices = DeviceDemand::Share { count: 1, milli, memory_mib: 0 };
    Demand { cpu_milli, devices, ..Demand::default() }
}

pub(super) fn whole(cpu_milli: u32, count: u8) -> Demand {
    let devices = DeviceDemand::Whole { count, memory_mib: 0 };
    Demand { cpu_milli, devices, ..Demand::default() }
}

/// Nodes of so many devices of a model, with 12 cores for each.
fn fleet(nodes: &[(usize, u8)]) -> Fleet {
    let options = FleetOptions { nodes_max: nodes.len() as u32, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).unwrap();
    for &(count, model) in nodes {
        let device =
            DeviceSpec { model: ModelId(model), memory_mib: 16_000, ..DeviceSpec::default() };
        let devices = vec![device; count];
        let cpu_milli = 12_000 * count as u32;
        let spec =
            NodeSpec { cpu_milli, memory_mib: 9_999, devices: &devices, ..NodeSpec::default() };
        fleet.add_node(&spec).unwrap();
    }
    fleet
}

fn placer(measure: Measure, nodes: &[(usize, u8)]) -> Placer {
    let rules = PlacementRules {
        measure,
        mix_weight: MixWeight::Arrivals,
        holding: Nanos::from_millis(1_000),
        ..PlacementRules::default()
    };
    let options = PlacerOptions {
        tasks_max: 1_024,
        members_max: 1_024,
        task_members_max: 1,
        accounts_max: 1,
    };
    Placer::new(fleet(nodes), &Policy::default().with_placement(rules), &options).unwrap()
}

fn place(placer: &mut Placer, member: Demand) -> Option<Hold> {
    let mut hold = [Hold::default()];
    let task = Task { member, ..Task::default() };
    match placer.place(Nanos::ZERO, &task, &mut hold).unwrap() {
        Placed::Running { .. } => Some(hold[0]),
        Placed::NoRoom { .. } => None,
    }
}

pub(super) fn any_demand() -> impl Strategy<Value = Demand> {
    let devices = prop_oneof![
        1 => Just(DeviceDemand::None),
        3 => prop::sample::select(vec![1_u8, 1, 2, 4, 8])
            .prop_map(|count| DeviceDemand::Whole { count, memory_mib: 0 }),
        5 => (1_u16..1_000, 0_u32..9_000)
            .prop_map(|(milli, memory_mib)| DeviceDemand::Share { count: 1, milli, memory_mib }),
    ];
    let models = prop_oneof![3 => Just(u64::MAX), 1 => 1_u64..1 << MODELS];
    (0_u32..40_000, devices, models).prop_map(|(cpu_milli, devices, models)| Demand {
        cpu_milli,
        devices,
        models: ModelSet(models),
        ..Demand::default()
    })
}

fn any_nodes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((prop::sample::select(vec![0_usize, 1, 2, 4, 8]), 0..MODELS), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rows and single prices are the same, and the devices of a single price are free.
    #[test]
    fn rows_are_prices(
        nodes in any_nodes(),
        tasks in prop::collection::vec(any_demand(), 1..120),
        asked in prop::collection::vec(any_demand(), 1..8),
        measure in prop::sample::select(vec![Measure::Value, Measure::Fgd]),
    ) {
        let mut placer = placer(measure, &nodes);
        for task in tasks {
            place(&mut placer, task);
        }
        // Memory is a filter, which rows do not know.
        let asked: Vec<Demand> = asked.iter().map(|demand| match demand.devices {
            DeviceDemand::Share { milli, .. } => {
                Demand { models: ModelSet::ANY, ..share(demand.cpu_milli, milli) }
            }
            _ => Demand { models: ModelSet::ANY, ..*demand },
        }).collect();
        let shapes: Vec<Shape> = asked.iter().filter_map(Shape::of).collect();
        let portions: Vec<Portion> = shapes.iter().copied().map(Portion::of).collect();
        let row = |(at, shape): (u8, &Shape)| Row { cpu_milli: shape.cpu_milli, portion: at, at };
        let mut by_cpu: Vec<Row> = (0..).zip(&shapes).map(row).collect();
        by_cpu.sort_by_key(|row| row.cpu_milli);
        let rows = ShapeRows { by_cpu: &by_cpu, portions: &portions };
        let (fleet, stranding) = (&placer.fleet, &placer.stranding);
        let pricer = stranding.pricer();
        for (index, &(count, model)) in (0..).zip(&nodes) {
            let mut out = [0; ROWS_MAX];
            pricer.price_rows(fleet, index, rows, &mut out);
            let model = (count > 0).then_some(ModelId(model));
            for ((demand, shape), row) in asked.iter().zip(&shapes).zip(out) {
                let price = stranding.price(fleet, index, demand);
                let expected = (row < NEVER).then(|| {
                    pricer.milli_of(row) + pricer.model_milli(model, *shape)
                });
                prop_assert_eq!(price.ok().map(|(cost, _)| cost), expected);
                let Ok((_, choice)) = price else { continue };
                prop_assert_eq!(choice.devices.count_ones(), u32::from(shape.count));
                for at in chosen(choice) {
                    prop_assert!(fleet.devices_at(index)[at].free_milli >= shape.milli);
                }
            }
        }
    }

    /// Whatever comes, and whichever device has no memory left, what is chosen can be taken.
    #[test]
    fn what_is_chosen_is_free(
        nodes in any_nodes(),
        tasks in prop::collection::vec(any_demand(), 1..300),
        measure in prop::sample::select(vec![Measure::Value, Measure::Fgd]),
    ) {
        let mut placer = placer(measure, &nodes);
        for task in tasks {
            let could = (0..nodes.len() as u32)
                .any(|index| placer.fleet.choose_devices(index, &task).is_ok());
            prop_assert_eq!(place(&mut placer, task).is_some(), could);
        }
    }

    /// Places that are counted change by change are those of all nodes counted at once.
    #[test]
    fn places_are_counted_as_they_change(
        nodes in any_nodes(),
        tasks in prop::collection::vec(any_demand(), 20..200),
    ) {
        let mut placer = placer(Measure::Value, &nodes);
        for task in tasks {
            place(&mut placer, task);
            let stranding = &mut placer.stranding;
            if !matches!(stranding.refresh.stage, refresh::Stage::Rest { .. }) {
                continue;
            }
            stranding.refresh_all(&placer.fleet);
            let Tables::Value(both) = &stranding.tables else { unreachable!() };
            for (at, gang) in both[0].gangs.list().iter().enumerate() {
                let on = |index| Sight::of(&placer.fleet, index, &stranding.slots);
                let places = (0..nodes.len() as u32)
                    .map(|index| u64::from(gang.places(on(index).whole, on(index).cpu_milli)));
                prop_assert_eq!(stranding.refresh.have[at], places.sum::<u64>());
            }
        }
    }
}

#[test]
fn a_device_without_memory_is_passed_over() {
    let with_memory = |milli, memory_mib| Demand {
        devices: DeviceDemand::Share { count: 1, milli, memory_mib },
        ..Demand::default()
    };
    for measure in [Measure::Value, Measure::Fgd] {
        let mut placer = placer(measure, &[(2, 0)]);
        let first = place(&mut placer, with_memory(500, 16_000)).unwrap();
        let second = place(&mut placer, with_memory(500, 1)).unwrap();
        assert_ne!(first.devices, second.devices, "{measure:?}");
    }
}

#[test]
fn another_measure_is_refused_by_name() {
    let mut placer = placer(Measure::Value, &[(2, 0)]);
    let rules = PlacementRules { measure: Measure::Fgd, ..PlacementRules::default() };
    let refused = placer.set_policy(&Policy::default().with_placement(rules)).unwrap_err();
    let expected = "`placement.measure` = 1 is outside 0..=0";
    assert_eq!(std::format!("{refused}"), expected);
}

#[test]
fn a_mix_that_cannot_be_is_refused_and_nothing_changes() {
    let mut placer = placer(Measure::Fgd, &[(2, 0)]);
    let entry = |demand| MixEntry { demand, weight: 1 };
    let fault = |placer: &mut Placer, mix: &[MixEntry]| {
        std::format!("{}", placer.set_mix(mix).unwrap_err())
    };
    let two = Demand {
        devices: DeviceDemand::Share { count: 2, milli: 440, memory_mib: 0 },
        ..Demand::default()
    };
    assert_eq!(fault(&mut placer, &[entry(two)]), "`count` = 2 is outside 1..=1");
    let none = MixEntry { demand: whole(0, 1), weight: 0 };
    assert_eq!(fault(&mut placer, &[none]), "`weight` = 0 is outside 1..=1048576");
    let many: Vec<MixEntry> = (0..65).map(|cpu| entry(whole(cpu, 1))).collect();
    assert_eq!(fault(&mut placer, &many), "`shapes` is full: all 64 in use");
    let same = vec![entry(whole(0, 1)); 257];
    assert_eq!(fault(&mut placer, &same), "`mix` is full: all 256 in use");
    assert!(!placer.stranding.mix.is_fixed());
    placer.set_mix(&many[..64]).unwrap();
    assert!(placer.stranding.mix.is_fixed());
    placer.set_mix(&[]).unwrap();
    assert!(!placer.stranding.mix.is_fixed());
}

/// Littlewood: where only some tasks can run elsewhere, the devices of the others cost more.
#[test]
fn models_that_are_asked_for_by_name_cost_more() {
    let mut placer = placer(Measure::Value, &[(8, 0), (8, 1)]);
    let named = Demand { models: ModelSet::of(ModelId(1)), ..share(0, 10) };
    // Of the third round of prices everything is from after the hundredth arrival.
    for _ in 0..80 {
        (0..2).for_each(|_| {
            place(&mut placer, named);
        });
        place(&mut placer, share(0, 10));
    }
    let price = |model| {
        let shape = Shape { cpu_milli: 0, count: 1, milli: 1_000 };
        placer.stranding.pricer().model_milli(Some(ModelId(model)), shape)
    };
    // Two thirds of the demand can only go to the one half that is free.
    assert!(price(1) > 900, "{}", price(1));
    assert!(price(0) < 100, "{}", price(0));
}
