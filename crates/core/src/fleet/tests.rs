//! Fleets.

mod events;
mod hostile;
mod partitions;
mod state;
mod swarm;

use std::vec::Vec;

use super::{
    Demand, Device, DeviceChoice, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, Lack,
    LayoutId, ModelId, ModelSet, Node, NodeId, NodeSpec, Sharing,
};
use crate::handle::Slab;

/// A device of 40 GB, given away in this way.
fn device(sharing: Sharing) -> DeviceSpec {
    DeviceSpec { memory_mib: 40_960, sharing, ..DeviceSpec::default() }
}

fn a100() -> DeviceSpec {
    device(Sharing::Partitioned(LayoutId::named("a100-40gb").unwrap()))
}

/// A fleet of one node of 64 cores and 512 GiB with these devices.
fn one_node(devices: &[DeviceSpec]) -> (Fleet, NodeId) {
    let options = FleetOptions { nodes_max: 2, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).unwrap();
    let spec = NodeSpec { cpu_milli: 64_000, memory_mib: 524_288, devices, ..NodeSpec::default() };
    let node = fleet.add_node(&spec).unwrap();
    (fleet, node)
}

fn of(devices: DeviceDemand) -> Demand {
    Demand { devices, ..Demand::default() }
}

fn whole(count: u8) -> Demand {
    of(DeviceDemand::Whole { count, memory_mib: 0 })
}

fn share(milli: u16, memory_mib: u32) -> Demand {
    of(DeviceDemand::Share { count: 1, milli, memory_mib })
}

fn part(compute_slices: u8, memory_mib: u32) -> Demand {
    of(DeviceDemand::Partition { compute_slices, memory_mib })
}

/// Takes where the fleet itself would.
fn put(fleet: &mut Fleet, node: NodeId, demand: &Demand) -> Result<Hold, Lack> {
    let choice = fleet.choice(node, demand).unwrap()?;
    Ok(fleet.take(node, demand, choice).unwrap())
}

/// All that a fleet knows: its words, and its sums.
fn all_of(fleet: &Fleet) -> (Vec<u64>, std::string::String) {
    let mut words = Vec::new();
    fleet.save_state(&mut |word| words.push(word));
    (words, std::format!("{:?}{:?}", fleet.counts, fleet.devices))
}

#[test]
fn a_node_of_8_devices_takes_248_bytes() {
    assert_eq!((size_of::<Node>(), size_of::<Device>(), size_of::<Hold>()), (48, 24, 32));
    assert_eq!(Slab::<Node>::bytes_needed(1), 56);
    let options = |nodes_max| FleetOptions { nodes_max, devices_per_node_max: 8 };
    let few = Fleet::bytes_needed(&options(1));
    assert_eq!(Fleet::bytes_needed(&options(100_000)) - few, 99_999 * 248);
    assert!(few < 8_192, "{few}");
}

#[test]
fn whole_devices_stay_in_one_link_group_then_on_one_numa_node() {
    let at = |link_group, numa| DeviceSpec { numa, link_group, ..device(Sharing::Exclusive) };
    // Link groups of 3, 2 and 3 devices, the last over two NUMA nodes.
    let groups = [(0, 0), (0, 0), (0, 0), (1, 0), (1, 0), (2, 0), (2, 1), (2, 1)];
    let (mut fleet, node) = one_node(&groups.map(|(group, numa)| at(group, numa)));
    let choice = |fleet: &Fleet, demand| fleet.choice(node, &demand).unwrap().unwrap().devices;
    assert_eq!(choice(&fleet, whole(2)), 0b0001_1000, "the smallest group with enough");
    assert_eq!(choice(&fleet, whole(3)), 0b0000_0111);
    assert_eq!(choice(&fleet, whole(4)), 0b0000_1111, "over groups, on NUMA node 0");
    put(&mut fleet, node, &whole(3)).unwrap();
    put(&mut fleet, node, &whole(2)).unwrap();
    assert_eq!(choice(&fleet, whole(2)), 0b1100_0000, "one NUMA node of the group");
    let together = Demand { one_link_group: true, ..whole(4) };
    assert_eq!(fleet.lack(node, &together), Ok(Some(Lack::Devices)));
    let (fleet, node) = one_node(&[at(0, 0), at(0, 0), at(1, 0), at(1, 0)]);
    let together = Demand { one_link_group: true, ..whole(3) };
    assert_eq!(fleet.lack(node, &together), Ok(Some(Lack::LinkGroup)));
}

#[test]
fn a_part_of_a_device_goes_where_the_least_is_left() {
    let specs = [0, 0, 1].map(|link_group| DeviceSpec { link_group, ..device(Sharing::Shared) });
    let (mut fleet, node) = one_node(&specs);
    assert_eq!(put(&mut fleet, node, &share(500, 1_000)).unwrap().devices, 0b001);
    assert_eq!(put(&mut fleet, node, &share(400, 0)).unwrap().devices, 0b001);
    assert_eq!(put(&mut fleet, node, &share(400, 0)).unwrap().devices, 0b010);
    assert_eq!(put(&mut fleet, node, &share(100, 40_000)).unwrap().devices, 0b010);
    assert_eq!(fleet.lack(node, &share(100, 40_961)), Ok(Some(Lack::DeviceMemory)));
    assert_eq!(put(&mut fleet, node, &whole(1)).unwrap().devices, 0b100);
    assert_eq!(fleet.lack(node, &share(600, 0)), Ok(Some(Lack::Devices)));
}

#[test]
fn what_a_node_lacks_is_told_in_order() {
    let (mut fleet, node) = one_node(&[device(Sharing::Exclusive)]);
    let lack = |fleet: &Fleet, demand: Demand| fleet.lack(node, &demand).unwrap();
    assert_eq!(lack(&fleet, share(1, 0)), Some(Lack::Model));
    assert_eq!(lack(&fleet, part(1, 0)), Some(Lack::Model));
    let other = ModelSet::of(ModelId(1));
    assert_eq!(lack(&fleet, Demand { models: other, ..whole(1) }), Some(Lack::Model));
    assert_eq!(lack(&fleet, Demand { models: other, ..Demand::default() }), None);
    assert_eq!(lack(&fleet, Demand { cpu_milli: 64_001, ..whole(1) }), Some(Lack::Cpu));
    assert_eq!(lack(&fleet, Demand { memory_mib: 524_289, ..whole(1) }), Some(Lack::Memory));
    assert_eq!(lack(&fleet, whole(2)), Some(Lack::Devices));
    fleet.fail_device(node, 0).unwrap();
    assert_eq!(lack(&fleet, whole(1)), Some(Lack::Model));
    fleet.drain_node(node).unwrap();
    assert_eq!(lack(&fleet, whole(1)), Some(Lack::Status));
}
