//! Gangs that must, or would rather, be in one domain: against counts of what fits where.

use super::*;
use crate::fleet::{Device, Health};
use crate::policy::Measure;

/// Equal members that a node can take, by division.
fn fits(world: &World, task: &Task, node: NodeId) -> u32 {
    let there = world.placer.fleet().node(node).unwrap();
    let labels = there.labels & task.labels_required == task.labels_required
        && there.labels & task.labels_forbidden == 0;
    if !labels {
        return 0;
    }
    let member = &task.member;
    let whole_parts = |free: u32, each: u32| free.checked_div(each).unwrap_or(16);
    let devices: Vec<&Device> = world
        .placer
        .fleet()
        .devices(node)
        .unwrap()
        .iter()
        .filter(|device| {
            device.health == Health::Ready && member.models.contains(device.spec.model)
        })
        .collect();
    let on_devices = match member.devices {
        DeviceDemand::Whole { count, .. } => {
            let free = |group: Option<u8>| {
                let in_group =
                    |device: &&&Device| group.is_none_or(|g| device.spec.link_group == g);
                let free = devices.iter().filter(|device| device.free_milli == 1_000);
                free.filter(in_group).count() as u32 / u32::from(count)
            };
            if member.one_link_group { free(Some(0)) + free(Some(1)) } else { free(None) }
        }
        DeviceDemand::Share { milli, memory_mib, .. } => devices
            .iter()
            .filter(|device| device.spec.sharing == Sharing::Shared)
            .map(|device| {
                whole_parts(device.free_milli.into(), milli.into())
                    .min(whole_parts(device.memory_free_mib, memory_mib))
            })
            .sum(),
        _ => 16,
    };
    let spreading = task.spreading;
    let may = if spreading.group == 0 || spreading.domain_members_max == 0 {
        16
    } else {
        let crowd = world.crowd(spreading.group, Domain::Node, node);
        spreading.domain_members_max.saturating_sub(crowd)
    };
    on_devices
        .min(whole_parts(there.cpu_free_milli, member.cpu_milli))
        .min(whole_parts(there.memory_free_mib, member.memory_mib))
        .min(may)
}

/// Members that every domain of a kind can take.
fn room(world: &World, task: &Task, within: Domain) -> Vec<u32> {
    let nodes = world.placer.fleet().iter();
    let mut rooms: Vec<(u64, u32)> = vec![];
    for (id, _) in nodes {
        let domain = world.domain(within, id);
        let room = fits(world, task, id);
        match rooms.iter_mut().find(|(known, _)| *known == domain) {
            Some((_, sum)) => *sum += room,
            None => rooms.push((domain, room)),
        }
    }
    rooms.into_iter().map(|(_, room)| room).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    /// A gang finds room if and only if a domain (or, where it may be apart, the fleet) has it, with
    /// as many members as there is room for; what must be together is.
    #[test]
    fn room_is_found_if_there_is_any(
        machines in machines(), rules in any_rules(),
        first in prop::collection::vec(any_task(), 0..6), mut task in any_task(),
    ) {
        let mut world = world(&machines, rules, &first);
        task.spreading.domain = Domain::Node;
        let Topology { within, required, .. } = task.topology;
        let everywhere: u32 = room(&world, &task, Domain::Fleet).iter().sum();
        let best = room(&world, &task, within).into_iter().max().unwrap_or(0);
        let room = if required { best } else { everywhere };
        let domains = |world: &World, id| {
            let holds = world.placer.holds(id).unwrap();
            let mut all: Vec<_> = holds.map(|hold| world.domain(within, hold.node)).collect();
            all.dedup();
            all.len()
        };
        match try_place(&mut world.placer, &task) {
            Ok((id, nodes, _)) => {
                prop_assert_eq!(nodes.len() as u32, room.min(task.members));
                prop_assert!(!required || domains(&world, id) == 1);
            }
            Err(lack) => {
                prop_assert!(room < task.members_needed(), "{room} {lack:?}");
                let apart = required && everywhere >= task.members_needed();
                prop_assert_eq!(lack == Lack::Topology, apart);
            }
        }
        world.audit();
    }

    /// Where being apart has a price, neither staying together at any price nor not caring would
    /// have been cheaper for as many members.
    #[test]
    fn being_apart_is_weighed_against_what_it_saves(
        machines in machines(), rules in any_rules(),
        first in prop::collection::vec(any_task(), 0..6), mut task in any_task(),
    ) {
        task.topology.required = false;
        let mut worlds = [(); 3].map(|()| world(&machines, rules, &first));
        let together = Topology { required: true, ..task.topology };
        let careless = Topology { slowdown_ratio: 0.0, ..task.topology };
        let wishes = [task.topology, together, careless];
        let mut placed = vec![];
        for (world, topology) in worlds.iter_mut().zip(wishes) {
            let now = try_place(&mut world.placer, &Task { topology, ..task });
            placed.push(now.map(|(id, nodes, price)| (id, nodes.len(), price.total_s())));
        }
        let Ok((id, len, total_s)) = placed[0] else { return Ok(()) };
        let tolerance = 1e-9 * (1.0 + total_s.abs());
        // Where being apart is free no domain is tried, and members go one by one.
        let priced = task.topology.slowdown_ratio > 0.0 && rules.link_weight > 0.0;
        if let (Ok((_, together, together_s)), true) = (placed[1], priced) {
            prop_assert!(together < len || total_s <= together_s + tolerance);
        }
        let (_, careless, careless_s) = placed[2].expect("it cares less");
        prop_assert_eq!(careless, len);
        let placer = &worlds[0].placer;
        let slower_s = task.topology.slowdown_ratio * placer.horizon.run_s(&task);
        let apart_s = rules.link_weight * slower_s * placer.worth_of_second(&task);
        // Its own run may have been learned meanwhile, where no other was known.
        if task.duration > Nanos::ZERO && task.members > 1 {
            prop_assert!(total_s <= careless_s + apart_s + tolerance, "{id:?}");
        }
    }
}

#[test]
fn members_go_apart_when_that_saves_more_than_it_costs() {
    // The last free devices of two full nodes strand less than any two of a node that is free.
    let measure = Measure::BestFit;
    let rules = PlacementRules { measure, shadow_price: 0.01, ..PlacementRules::default() };
    let placed = |slowdown_ratio: f64, required: bool| {
        let mut placer = empty(rules);
        add_all(&mut placer, &[(1, 0), (8, 1), (1, 2)]);
        let topology =
            Topology { within: Domain::Rack, required, slowdown_ratio, ..Topology::default() };
        let (_, nodes, price) = place(&mut placer, &Task { topology, ..task(whole(1), 2) });
        (nodes, price.link_s)
    };
    // A worth of 1 + 2 GPUs * 0.01 for each of the 100 s that it takes longer.
    assert_eq!(placed(0.0001, false), (vec![0, 2], 0.0001 * 100.0 * 1.02));
    assert_eq!(placed(0.5, false), (vec![1, 1], 0.0));
    assert_eq!(placed(0.0001, true), (vec![1, 1], 0.0));
}

#[test]
fn devices_in_several_link_groups_cost_their_share_of_the_run_time() {
    let rules = PlacementRules { shadow_price: 0.0, ..PlacementRules::default() };
    let mut placer = empty(rules);
    let device = |link_group| DeviceSpec { link_group, ..DeviceSpec::default() };
    for devices in [&[device(0), device(1)][..], &[device(0), device(0), device(1)]] {
        placer.add_node(&NodeSpec { devices, ..NodeSpec::default() }).unwrap();
    }
    let topology = Topology { link_slowdown_ratio: 0.25, ..Topology::default() };
    let pair = Task { topology, ..task(whole(2), 1) };
    let (_, nodes, price) = place(&mut placer, &pair);
    assert_eq!((nodes, price.link_s), (vec![1], 0.0));
    let (_, nodes, price) = place(&mut placer, &pair);
    assert_eq!((nodes, price.link_s), (vec![0], 25.0));
}
