//! A fleet next to a list of who holds what: whatever happens, both say the same.

use proptest::prelude::*;
use std::vec::Vec;

use super::super::totals::{Counts, ModelTotals, Step, Totals};
use super::super::{Health, NodeStatus};
use super::*;

const NODES_MAX: u32 = 4;

/// A fleet of nodes that are all different.
fn mixed() -> (Fleet, Vec<NodeId>) {
    let options = FleetOptions { nodes_max: NODES_MAX, devices_per_node_max: 5 };
    let mut fleet = Fleet::new(&options).unwrap();
    let a30 = LayoutId::named("a30-24gb").unwrap();
    let of_model = |model, spec| DeviceSpec { model: ModelId(model), ..spec };
    let rows: [&[DeviceSpec]; 4] = [
        &[device(Sharing::Shared); 4],
        &[a100(), of_model(1, device(Sharing::Partitioned(a30))), device(Sharing::Exclusive)],
        &[of_model(63, device(Sharing::Exclusive)); 5],
        &[],
    ];
    let nodes = rows.map(|devices| {
        let devices: Vec<_> = (0..)
            .zip(devices)
            .map(|(at, device)| DeviceSpec { link_group: at / 2, numa: at % 2, ..*device })
            .collect();
        let (cpu_milli, memory_mib) = (16_000, 64_000);
        let spec = NodeSpec { cpu_milli, memory_mib, devices: &devices, ..NodeSpec::default() };
        fleet.add_node(&spec).unwrap()
    });
    (fleet, nodes.to_vec())
}

fn demands() -> impl Strategy<Value = Demand> {
    let devices = prop_oneof![
        Just(DeviceDemand::None),
        (1u8..4, 0u32..50_000)
            .prop_map(|(count, memory_mib)| DeviceDemand::Whole { count, memory_mib }),
        (1u8..3, 1u16..1_000, 0u32..20_000).prop_map(|(count, milli, memory_mib)| {
            DeviceDemand::Share { count, milli, memory_mib }
        }),
        (1u8..5, 0u32..12_000).prop_map(|(compute_slices, memory_mib)| DeviceDemand::Partition {
            compute_slices,
            memory_mib
        }),
    ];
    (0u32..5_000, 0u32..20_000, devices, any::<bool>()).prop_map(
        |(cpu_milli, memory_mib, devices, one_link_group)| Demand {
            cpu_milli,
            memory_mib,
            devices,
            models: ModelSet::ANY,
            one_link_group,
        },
    )
}

#[derive(Clone, Debug)]
enum Event {
    Put(usize, Demand),
    Give(usize),
    Status(usize, u8),
    Health(usize, u32, u8),
    Readd(usize),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (any::<usize>(), demands()).prop_map(|(node, demand)| Event::Put(node, demand)),
        3 => any::<usize>().prop_map(Event::Give),
        1 => (any::<usize>(), 0u8..3).prop_map(|(node, to)| Event::Status(node, to)),
        1 => (any::<usize>(), 0u32..5, 0u8..3).prop_map(|(node, at, to)| Event::Health(node, at, to)),
        1 => any::<usize>().prop_map(Event::Readd),
    ]
}

/// What is free of a node and its devices must be what is there less what is held.
fn agrees(fleet: &Fleet, held: &[Hold]) {
    for (id, node) in fleet.iter() {
        let here = || held.iter().filter(|hold| hold.node == id);
        let sum = |amount: fn(&Hold) -> u32| here().map(amount).sum::<u32>();
        assert_eq!(node.cpu_milli - node.cpu_free_milli, sum(|hold| hold.cpu_milli));
        assert_eq!(node.memory_mib - node.memory_free_mib, sum(|hold| hold.memory_mib));
        assert_eq!(node.holds as usize, here().count());
        for (at, device) in fleet.devices(id).unwrap().iter().enumerate() {
            let here = || here().filter(|hold| hold.devices >> at & 1 == 1);
            assert_eq!(usize::from(device.holders), here().count());
            let milli: u32 = here().map(|hold| u32::from(hold.device_milli)).sum();
            assert_eq!(u32::from(device.free_milli) + milli, 1_000);
            let memory = here().map(|hold| match (hold.device_milli, hold.slices) {
                (1_000, 0) => device.spec.memory_mib,
                _ => hold.device_memory_mib,
            });
            assert_eq!(device.memory_free_mib + memory.sum::<u32>(), device.spec.memory_mib);
            let slices = here().fold(0u8, |all, hold| {
                assert_eq!(all & hold.slices, 0, "slices overlap");
                all | hold.slices
            });
            assert_eq!(device.slices, slices);
            assert!(device.is_possible(&fleet.layouts));
        }
        assert!(node.is_possible(fleet.devices(id).unwrap()));
    }
}

/// The sums, counted from the beginning and by another rule than `Counts`.
fn recount(fleet: &Fleet) {
    let (mut total, mut free) = (Totals::default(), Totals::default());
    let mut models = [ModelTotals::default(); 64];
    for (id, node) in fleet.iter().filter(|(_, node)| node.status == NodeStatus::Ready) {
        total.nodes += 1;
        total.cpu_milli += u64::from(node.cpu_milli);
        total.memory_mib += u64::from(node.memory_mib);
        free.nodes += u32::from(node.holds == 0);
        free.cpu_milli += u64::from(node.cpu_free_milli);
        free.memory_mib += u64::from(node.memory_free_mib);
        let ready = |device: &&Device| device.health == Health::Ready;
        for device in fleet.devices(id).unwrap().iter().filter(ready) {
            let model = &mut models[usize::from(device.spec.model.0)];
            let free_milli = u64::from(device.free_milli);
            let idle = u32::from(device.holders == 0);
            (total.devices, free.devices) = (total.devices + 1, free.devices + idle);
            (model.devices, model.devices_free) = (model.devices + 1, model.devices_free + idle);
            (total.gpu_milli, free.gpu_milli) =
                (total.gpu_milli + 1_000, free.gpu_milli + free_milli);
            (model.milli, model.free_milli) = (model.milli + 1_000, model.free_milli + free_milli);
        }
    }
    assert_eq!((fleet.total(), fleet.free()), (&total, &free));
    for (model, expected) in (0..).zip(models) {
        assert_eq!(fleet.of_model(ModelId(model)), expected);
    }
    let mut counts = Counts::new();
    for (id, node) in fleet.iter() {
        counts.whole(Step::In, node, fleet.devices(id).unwrap());
    }
    assert_eq!(counts, fleet.counts);
}

fn apply(fleet: &mut Fleet, nodes: &mut [NodeId], held: &mut Vec<Hold>, event: &Event) {
    let at = |pick: usize| pick % nodes.len();
    match *event {
        Event::Put(pick, demand) => {
            let node = nodes[at(pick)];
            let before = all_of(fleet);
            if let Ok(hold) = put(fleet, node, &demand) {
                // Giving back restores all, bit for bit.
                fleet.give(&hold).unwrap();
                assert_eq!(all_of(fleet), before);
                assert_eq!(put(fleet, node, &demand), Ok(hold));
                held.push(hold);
            }
        }
        Event::Give(pick) if !held.is_empty() => {
            let hold = held.swap_remove(pick % held.len());
            fleet.give(&hold).unwrap();
        }
        Event::Give(_) => {}
        Event::Status(pick, to) => {
            let change = [Fleet::return_node, Fleet::drain_node, Fleet::fail_node];
            change[usize::from(to)](fleet, nodes[at(pick)]).unwrap();
        }
        Event::Health(pick, device, to) => {
            let change = [Fleet::return_device, Fleet::drain_device, Fleet::fail_device];
            let node = nodes[at(pick)];
            let has = (device as usize) < fleet.devices(node).unwrap().len();
            assert_eq!(change[usize::from(to)](fleet, node, device).is_ok(), has);
        }
        Event::Readd(pick) => {
            let at = at(pick);
            let node = nodes[at];
            let specs: Vec<_> = fleet.devices(node).unwrap().iter().map(|d| d.spec).collect();
            let Node { cpu_milli, memory_mib, .. } = *fleet.node(node).unwrap();
            let empty = fleet.node(node).unwrap().holds == 0;
            assert_eq!(fleet.remove_node(node).is_ok(), empty);
            if empty {
                let spec =
                    NodeSpec { cpu_milli, memory_mib, devices: &specs, ..NodeSpec::default() };
                nodes[at] = fleet.add_node(&spec).unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Nothing is given away twice, sums are right after each event, and a saved and a copied fleet
    /// go on as the one they are of.
    #[test]
    fn a_fleet_agrees_with_who_holds_what(events in prop::collection::vec(events(), 1..120)) {
        let (mut fleet, mut nodes) = mixed();
        let mut held = Vec::new();
        for event in events {
            apply(&mut fleet, &mut nodes, &mut held, &event);
            agrees(&fleet, &held);
            recount(&fleet);
        }
        let mut copy = Fleet::with_room_for(&fleet).unwrap();
        copy.copy_from(&fleet).unwrap();
        prop_assert_eq!(all_of(&copy), all_of(&fleet));
        let loaded = super::state::loaded(&all_of(&fleet).0, &fleet).unwrap();
        prop_assert_eq!(all_of(&loaded), all_of(&fleet));
        for hold in &held {
            fleet.give(hold).unwrap();
        }
        for (_, node) in fleet.iter() {
            prop_assert_eq!((node.cpu_free_milli, node.holds), (node.cpu_milli, 0));
        }
        prop_assert!(fleet.devices.iter().all(|device| device.holders == 0 && device.slices == 0));
    }
}

#[test]
fn sums_are_right_after_a_thousand_events() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut fleet, mut nodes) = mixed();
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let event = events().new_tree(&mut runner).unwrap().current();
        apply(&mut fleet, &mut nodes, &mut held, &event);
    }
    agrees(&fleet, &held);
    recount(&fleet);
}
