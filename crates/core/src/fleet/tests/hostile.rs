//! Specs, choices and holds that are wrong: refused, and nothing is changed.

use proptest::prelude::*;

use super::super::NODES_MAX;
use super::super::node::{DOMAINS_MAX, NODE_AMOUNT_MAX};
use super::*;
use crate::error::Error;

#[test]
fn sizes_and_specs_outside_their_ranges_are_named() {
    let new = |nodes_max, devices_per_node_max| {
        let made = Fleet::new(&FleetOptions { nodes_max, devices_per_node_max });
        made.map_err(Error::field).map(drop)
    };
    assert_eq!(new(0, 8), Err("nodes_max"));
    assert_eq!(new(NODES_MAX + 1, 8), Err("nodes_max"));
    assert_eq!(new(1, 17), Err("devices_per_node_max"));
    assert_eq!(new(1, 0), Ok(()));

    let (mut fleet, node) = one_node(&[]);
    let before = all_of(&fleet);
    let mut field = |spec: NodeSpec<'_>| fleet.add_node(&spec).unwrap_err().field();
    let good = NodeSpec::default();
    assert_eq!(field(NodeSpec { cpu_milli: NODE_AMOUNT_MAX + 1, ..good }), "cpu_milli");
    assert_eq!(field(NodeSpec { memory_mib: NODE_AMOUNT_MAX + 1, ..good }), "memory_mib");
    assert_eq!(field(NodeSpec { rack: DOMAINS_MAX, ..good }), "rack");
    assert_eq!(field(NodeSpec { zone: DOMAINS_MAX, ..good }), "zone");
    assert_eq!(field(NodeSpec { devices: &[device(Sharing::Shared); 9], ..good }), "devices");
    let with = |spec| [DeviceSpec { ..spec }];
    let devices = with(DeviceSpec { model: ModelId(64), ..a100() });
    assert_eq!(field(NodeSpec { devices: &devices, ..good }), "model");
    let devices = with(DeviceSpec { memory_mib: NODE_AMOUNT_MAX + 1, ..a100() });
    assert_eq!(field(NodeSpec { devices: &devices, ..good }), "memory_mib");
    let devices = with(DeviceSpec { memory_mib: 40_191, ..a100() });
    assert_eq!(field(NodeSpec { devices: &devices, ..good }), "memory_mib");
    let devices = with(device(Sharing::Partitioned(LayoutId(200))));
    assert_eq!(field(NodeSpec { devices: &devices, ..good }), "layout");
    assert_eq!(all_of(&fleet), before);

    fleet.add_node(&good).unwrap();
    assert_eq!(fleet.add_node(&good), Err(Error::Full { field: "nodes", capacity: 2 }));
    fleet.remove_node(node).unwrap();
    assert!(fleet.remove_node(node).is_err());
    assert!(fleet.drain_node(node).is_err() && fleet.set_labels(node, 1).is_err());
    assert!(fleet.take(node, &Demand::default(), DeviceChoice::default()).is_err());
    assert!(fleet.devices_at(7).is_empty() && fleet.devices_at(u32::MAX).is_empty());
    assert_eq!(fleet.choose_devices(u32::MAX, &Demand::default()), Err(Lack::Status));
}

#[test]
fn a_choice_that_is_not_what_is_asked_for_is_refused() {
    let specs = [device(Sharing::Exclusive), device(Sharing::Shared), a100()];
    let far = DeviceSpec { link_group: 1, ..device(Sharing::Shared) };
    let (mut fleet, node) = one_node(&[specs[0], specs[1], specs[2], far]);
    let before = all_of(&fleet);
    let mut refused = |demand: Demand, devices, slices| {
        let answer = fleet.take(node, &demand, DeviceChoice { devices, slices });
        assert!(answer.is_err(), "{demand:?} {devices:b} {slices:b}");
        assert_eq!(all_of(&fleet), before);
    };
    refused(whole(1), 0, 0);
    refused(whole(1), 0b11, 0);
    refused(whole(1), 1 << 2, 0);
    refused(whole(1), 1 << 9, 0);
    refused(whole(1), 1, 1);
    refused(share(5, 0), 1, 0);
    refused(share(1_000, 0), 2, 0);
    refused(share(5, 40_961), 2, 0);
    refused(Demand { one_link_group: true, ..whole(2) }, 0b1010, 0);
    refused(Demand { models: ModelSet::NONE, ..whole(1) }, 1, 0);
    refused(Demand::default(), 1, 0);
    refused(Demand::default(), 0, 1);
    refused(part(2, 0), 1 << 2, 0b0110);
    refused(part(2, 0), 1 << 2, 0b0001);
    refused(part(2, 0), 1 << 1, 0b0011);
    refused(Demand { cpu_milli: 64_001, ..Demand::default() }, 0, 0);
    refused(Demand { memory_mib: u32::MAX, ..Demand::default() }, 0, 0);
    fleet.take(node, &part(2, 0), DeviceChoice { devices: 1 << 2, slices: 0b1100 }).unwrap();
    let again = fleet.take(node, &part(1, 0), DeviceChoice { devices: 1 << 2, slices: 0b0100 });
    assert_eq!(again, Err(Error::Full { field: "devices", capacity: 4 }));
    fleet.drain_node(node).unwrap();
    let choice = DeviceChoice::default();
    assert_eq!(fleet.take(node, &Demand::default(), choice).unwrap_err().field(), "node");
}

#[test]
fn a_hold_that_nobody_has_is_refused() {
    let specs = [device(Sharing::Exclusive), device(Sharing::Shared), a100()];
    let (mut fleet, node) = one_node(&specs);
    let host = Demand { cpu_milli: 1_000, memory_mib: 500, ..Demand::default() };
    let whole = put(&mut fleet, node, &Demand { devices: whole(1).devices, ..host }).unwrap();
    let first = put(&mut fleet, node, &share(300, 4_000)).unwrap();
    let second = put(&mut fleet, node, &share(200, 4_000)).unwrap();
    let one = put(&mut fleet, node, &part(1, 0)).unwrap();
    let two = put(&mut fleet, node, &part(1, 0)).unwrap();
    let three = put(&mut fleet, node, &part(1, 0)).unwrap();
    assert_eq!((whole.devices, first.devices), (1, 2));
    assert_eq!([one.slices, two.slices, three.slices], [1 << 6, 1 << 4, 1 << 5]);
    let before = all_of(&fleet);
    let refused = |fleet: &mut Fleet, hold: Hold| {
        assert!(fleet.give(&hold).is_err(), "{hold:?}");
        assert_eq!(all_of(fleet), before);
    };
    let mut all = |hold| refused(&mut fleet, hold);
    all(Hold { node: NodeId::from_raw(7), ..whole });
    all(Hold { cpu_milli: 1_001, ..whole });
    all(Hold { memory_mib: 501, ..whole });
    all(Hold { devices: 0, ..whole });
    all(Hold { devices: 0b11, ..whole });
    all(Hold { devices: 1 << 15, ..whole });
    all(Hold { device_milli: 500, ..whole });
    all(Hold { device_memory_mib: 1, ..whole });
    all(Hold { slices: 1, ..whole });
    all(Hold { device_milli: 500, device_memory_mib: 8_000, ..first });
    all(Hold { device_milli: 500, ..first });
    all(Hold { device_milli: 501, ..first });
    all(Hold { device_milli: 0, ..first });
    all(Hold { device_memory_mib: 8_001, ..first });
    all(Hold { slices: 0, ..one });
    all(Hold { device_milli: 284, device_memory_mib: 9_728, slices: 0b011_0000, ..one });
    all(Hold { device_milli: 285, device_memory_mib: 9_856, slices: 0b011_0000, ..one });
    all(Hold { device_memory_mib: 9_856, slices: 0b011_0000, ..one });
    all(Hold { slices: 1, ..one });
    all(Hold { device_memory_mib: 4_863, ..one });
    for hold in [one, first, whole, two, three, second] {
        fleet.give(&hold).unwrap();
        assert!(fleet.give(&hold).is_err(), "twice");
    }
    assert!(fleet.give(&second).is_err());
}

#[test]
fn the_last_one_must_give_back_all() {
    let (mut fleet, node) = one_node(&[]);
    let demand = Demand { cpu_milli: 10, memory_mib: 20, ..Demand::default() };
    let hold = put(&mut fleet, node, &demand).unwrap();
    assert!(fleet.give(&Hold { cpu_milli: 9, ..hold }).is_err());
    assert!(fleet.give(&Hold { memory_mib: 0, ..hold }).is_err());
    fleet.give(&hold).unwrap();
    assert_eq!(
        fleet.give(&Hold { cpu_milli: 0, memory_mib: 0, ..hold }).map_err(Error::code),
        Err(-7)
    );
}

proptest! {
    /// No hold makes it panic, and after one that is refused all is as before.
    #[test]
    fn any_hold_is_answered(
        devices in 0u16..16, milli in prop_oneof![0u16..5, any::<u16>(), Just(1_000), Just(142)],
        memory in prop_oneof![0u32..5, any::<u32>(), Just(4_864)], slices in any::<u8>(),
        cpu in prop_oneof![0u32..3, any::<u32>()],
    ) {
        let specs = [device(Sharing::Exclusive), device(Sharing::Shared), a100()];
        let (mut fleet, node) = one_node(&specs);
        for demand in [whole(1), share(3, 3), part(1, 0), Demand { cpu_milli: 2, ..share(1, 1) }] {
            put(&mut fleet, node, &demand).unwrap();
        }
        let before = all_of(&fleet);
        let hold = Hold {
            node,
            cpu_milli: cpu,
            memory_mib: 0,
            devices,
            device_milli: milli,
            device_memory_mib: memory,
            slices,
        };
        if fleet.give(&hold).is_err() {
            prop_assert_eq!(all_of(&fleet), before);
        }
        let here = fleet.devices(node).unwrap();
        prop_assert!(here.iter().all(|device| device.is_possible(&fleet.layouts)));
    }
}
