//! The node that is chosen, against prices worked out from what everybody can see.

use super::*;
use crate::policy::Measure;

/// What a task with one member costs on a node: by the page of the policy, not by the code.
fn price(
    world: &World,
    rules: &PlacementRules,
    task: &Task,
    node: NodeId,
    long_s: f64,
) -> Option<(f64, i64)> {
    let placer = &world.placer;
    let (fleet, there) = (placer.fleet(), placer.fleet().node(node).unwrap());
    let labels = there.labels & task.labels_required == task.labels_required
        && there.labels & task.labels_forbidden == 0;
    let (stranded_milli, choice) =
        placer.stranding.price(fleet, node.index(), &task.member).ok()?;
    let Spreading { group, domain, domain_members_max: max, crowding_s } = task.spreading;
    let crowd = if group == 0 { 0 } else { world.crowd(group, domain, node) };
    if !labels || group != 0 && max != 0 && crowd >= max {
        return None;
    }
    let pi = placer.shadow_price();
    let value = |class: u32| if class == 0 { 1.0 } else { 0.25 };
    let worth = |task: &Task| value(task.class) + task.gpu_milli() as f64 / 1_000.0 * pi;
    let unknown = task.duration == Nanos::ZERO;
    let run_s = if unknown { long_s } else { task.duration.as_seconds() };
    let policy_s = rules.holding.as_seconds();
    let holding_s = match (unknown, policy_s > 0.0, placer.horizon != Horizon::default()) {
        (true, true, _) => policy_s,
        (false, true, _) => run_s.max(policy_s),
        (true, false, _) => long_s,
        (false, false, true) => run_s.max(long_s),
        (false, false, false) => run_s,
    };
    let mut total_s = rules.stranding_weight * (stranded_milli as f64 / 1_000.0) * pi * holding_s;
    if task.artifact != 0 && !placer.is_warm(node, task.artifact).unwrap() {
        total_s += rules.warm_up_weight * task.warm_up.as_seconds() * worth(task);
    }
    let devices = fleet.devices(node).unwrap().iter().enumerate();
    let mut groups: Vec<_> = devices
        .filter(|(at, _)| choice.devices >> at & 1 == 1)
        .map(|(_, device)| device.spec.link_group)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > 1 {
        total_s += rules.link_weight * task.topology.link_slowdown_ratio * run_s * worth(task);
    }
    let loss = |mine: u16, theirs: u16, demand: &DeviceDemand| match *demand {
        _ if mine & theirs != 0 => rules.interference_sharer_ratio,
        DeviceDemand::Whole { count: 1, .. } => rules.interference_neighbour_ratio,
        DeviceDemand::Whole { .. } => rules.interference_gang_ratio,
        _ => 0.0,
    };
    // Whom the place would have otherwise.
    let gpus =
        |entry: &Entry| f64::from(entry.task.member.gpu_milli() * entry.members_len) / 1_000.0;
    let running = || world.entries().filter(|(_, entry)| gpus(entry) > 0.0);
    let all_gpus: f64 = running().map(|(_, entry)| gpus(entry)).sum();
    let value_each = running().map(|(_, entry)| value(entry.task.class)).sum::<f64>() / all_gpus;
    let of_members =
        |entry: &Entry| f64::from(entry.members_len) * loss(1, 2, &entry.task.member.devices);
    let ratio_each = running().map(|(_, entry)| of_members(entry)).sum::<f64>() / all_gpus;
    let in_use = all_gpus * 1_000.0 / fleet.total().gpu_milli.max(1) as f64;
    let own_gpus = f64::from(task.member.gpu_milli()) / 1_000.0;
    for (id, entry) in world.entries() {
        for hold in placer.holds(id).unwrap().filter(|hold| hold.node == node) {
            let own = loss(choice.devices, hold.devices, &entry.task.member.devices);
            let theirs = loss(hold.devices, choice.devices, &task.member.devices);
            let ends = entry.started.get() + entry.task.duration.get();
            let left_s = Nanos(ends.saturating_sub(placer.now.get())).as_seconds();
            let both_s = if left_s == 0.0 { run_s } else { left_s.min(run_s) };
            total_s += rules.interference_weight
                * (own * run_s * worth(task) + theirs * both_s * worth(&entry.task));
            if own_gpus > 0.0 && all_gpus > 0.0 {
                let shares = choice.devices & hold.devices != 0;
                let inflicted = if shares { theirs } else { own_gpus * ratio_each };
                total_s -= rules.interference_weight
                    * in_use
                    * (own * run_s * own_gpus * (value_each + pi)
                        + inflicted * both_s * worth(&entry.task));
            }
        }
    }
    total_s += f64::from(crowd) * crowding_s * value(task.class);
    Some((total_s, stranded_milli))
}

/// Mean run time of what was placed, by GPU-seconds; 1 s where none is known.
fn long_s(tasks: &[(f64, f64)]) -> f64 {
    let sum: f64 = tasks.iter().map(|(gpus, run_s)| gpus * run_s).sum();
    let squares: f64 = tasks.iter().map(|(gpus, run_s)| gpus * run_s * run_s).sum();
    if sum > 0.0 { squares / sum } else { 1.0 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// No node is cheaper than the one chosen, all costs added up; with nothing but stranding to
    /// tell nodes apart, it is the first of those that strand least.
    #[test]
    fn the_cheapest_node_is_chosen(
        machines in machines(), rules in any_rules(),
        first in prop::collection::vec(any_task(), 0..8), mut task in any_task(),
    ) {
        // A measure that learns would price the task anew as it comes.
        let rules = PlacementRules { measure: Measure::BestFit, ..rules };
        let mut world = world(&machines, rules, &first);
        let known: Vec<_> = world
            .entries()
            .map(|(_, entry)| {
                let milli = entry.task.member.gpu_milli() * entry.members_len;
                (f64::from(milli) / 1_000.0, entry.task.duration.as_seconds())
            })
            .collect();
        let long_s = long_s(&known);
        world.step();
        (task.members, task.members_min) = (1, 0);
        let nodes: Vec<_> = world.placer.fleet().iter().map(|(id, _)| id).collect();
        let prices: Vec<_> = nodes
            .iter()
            .filter_map(|id| Some((price(&world, &rules, &task, *id, long_s)?, id.index())))
            .collect();
        let least = prices.iter().map(|((total_s, _), _)| *total_s).fold(f64::INFINITY, f64::min);
        match try_place(&mut world.placer, &task) {
            Err(_) => prop_assert!(prices.is_empty()),
            Ok((_, chosen, told)) => {
                let own = prices.iter().find(|(_, node)| *node == chosen[0]);
                let own_s = own.expect("it has room").0.0;
                let tolerance = 1e-9 * (1.0 + least.abs());
                prop_assert!((own_s - told.total_s()).abs() <= tolerance, "{own_s} {told:?}");
                prop_assert!(own_s <= least + tolerance, "{own_s} {prices:?}");
                if !task.has_extras(&rules) {
                    let first = prices.iter().min_by_key(|((_, milli), node)| (*milli, *node));
                    prop_assert_eq!(chosen[0], first.unwrap().1);
                }
            }
        }
        world.audit();
    }

    /// Which number a node has does not matter, as long as no two different nodes cost the same.
    #[test]
    fn nodes_have_no_names(
        machines in machines(), order in any::<u64>(),
        tasks in prop::collection::vec(any_task(), 1..12),
    ) {
        let mut turned = machines.clone();
        let by = (order as usize) % turned.len();
        turned.rotate_left(by);
        let rules = PlacementRules::default();
        let mut worlds = [world(&machines, rules, &[]), world(&turned, rules, &[])];
        for task in &tasks {
            let task = Task {
                members: 1,
                members_min: 0,
                spreading: Spreading::default(),
                topology: Topology::default(),
                artifact: 0,
                ..*task
            };
            if contents_that_tie(&worlds[0].placer, &task) > 1 {
                break;
            }
            let placed = worlds.each_mut().map(|world| try_place(&mut world.placer, &task).is_ok());
            prop_assert_eq!(placed[0], placed[1]);
            let all = worlds.each_ref().map(|world| {
                let nodes = world.placer.fleet().iter();
                let mut all: Vec<_> = nodes.map(|(id, _)| content(&world.placer, id)).collect();
                all.sort();
                all
            });
            prop_assert_eq!(&all[0], &all[1]);
        }
    }
}

fn content(placer: &Placer, id: NodeId) -> String {
    format!("{:?}{:?}", placer.fleet().node(id).unwrap(), placer.fleet().devices(id).unwrap())
}

/// How many different nodes strand least.
fn contents_that_tie(placer: &Placer, task: &Task) -> usize {
    let gang = gang::Gang::new(task, 0);
    let priced: Vec<_> = placer
        .fleet()
        .iter()
        .filter_map(|(id, _)| {
            Some((placer.price_at(id.index(), &gang).ok()?.stranded_milli, content(placer, id)))
        })
        .collect();
    let least = priced.iter().map(|(milli, _)| *milli).min();
    let mut ties: Vec<_> = priced.iter().filter(|(milli, _)| Some(*milli) == least).collect();
    ties.sort();
    ties.dedup();
    ties.len()
}

#[test]
fn what_came_closest_is_named() {
    let mut placer = empty(PlacementRules::default());
    assert_eq!(try_place(&mut placer, &task(whole(1), 1)).unwrap_err(), Lack::Status);
    add(&mut placer, 2, 0, 0);
    add(&mut placer, 0, 0, 0);
    let named = |placer: &mut Placer, wanted: Task| try_place(placer, &wanted).unwrap_err();
    let labelled = Task { labels_required: 1, ..task(whole(1), 1) };
    assert_eq!(named(&mut placer, labelled), Lack::Labels);
    assert_eq!(named(&mut placer, task(whole(3), 1)), Lack::Devices);
    let greedy = Demand { cpu_milli: 33_000, ..whole(1) };
    assert_eq!(named(&mut placer, task(greedy, 1)), Lack::Cpu);
    assert_eq!(named(&mut placer, task(share(500, 90_000), 1)), Lack::DeviceMemory);
}
