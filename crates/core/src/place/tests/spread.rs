//! Replicas keep apart.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// No task ever comes to stand where more of its group are than it allows, itself included;
    /// growing is held to the same.
    #[test]
    fn limits_of_a_domain_are_never_broken(
        machines in machines(), rules in any_rules(),
        steps in prop::collection::vec((0u8..4, any_task(), any::<usize>()), 1..25),
    ) {
        let mut world = world(&machines, rules, &[]);
        let mut out = [Hold::default(); 16];
        for (op, task, pick) in steps {
            world.step();
            let now = world.placer.now;
            let chosen = world.running.get(pick % world.running.len().max(1)).copied();
            let (spreading, came) = match (op, chosen) {
                (0, Some(id)) => {
                    world.placer.release(now, id).unwrap();
                    world.running.retain(|running| *running != id);
                    continue;
                }
                (1, Some(id)) => {
                    let entry = *world.placer.task(id).unwrap();
                    let asked = entry.task.members;
                    let Ok(Resized::Done { members_len, .. }) =
                        world.placer.resize(now, id, asked, &mut out)
                    else {
                        continue;
                    };
                    (entry.task.spreading, members_len)
                }
                _ => {
                    let Ok(Placed::Running { task: id, members_len, .. }) =
                        world.placer.place(now, &task, &mut out)
                    else {
                        continue;
                    };
                    world.running.push(id);
                    (task.spreading, members_len)
                }
            };
            let Spreading { group, domain, domain_members_max: max, .. } = spreading;
            for hold in &out[..came as usize] {
                let crowd = world.crowd(group, domain, hold.node);
                prop_assert!(group == 0 || max == 0 || crowd <= max, "{crowd} of {max}");
            }
        }
    }

    /// What is counted ahead for every node is what a count over all tasks gives.
    #[test]
    fn crowds_are_counted_right(
        machines in machines(), tasks in prop::collection::vec(any_task(), 1..20),
        group in 1u32..3, domain in domain(),
    ) {
        let mut world = world(&machines, PlacementRules::default(), &tasks);
        let spreading = Spreading { group, domain, ..Spreading::default() };
        world.placer.look_around(&Task { spreading, ..Task::default() });
        let nodes: Vec<_> = world.placer.fleet().iter().map(|(id, _)| id).collect();
        for id in nodes {
            let counted = world.placer.crowds.at(&spreading, id.index());
            prop_assert_eq!(counted, world.crowd(group, domain, id));
        }
    }
}

#[test]
fn replicas_take_another_rack_while_crowding_costs_more_than_it_saves() {
    let rules = PlacementRules { shadow_price: 0.001, ..PlacementRules::default() };
    let mut placer = empty(rules);
    add_all(&mut placer, &[(2, 0), (2, 0), (2, 1), (2, 1)]);
    let spreading =
        Spreading { group: 5, domain: Domain::Rack, domain_members_max: 2, crowding_s: 10.0 };
    let replica = Task { spreading, ..task(whole(1), 1) };
    let racks: Vec<_> = (0..4)
        .map(|_| {
            let (_, nodes, price) = place(&mut placer, &replica);
            (nodes[0] / 2, price.crowding_s)
        })
        .collect();
    assert_eq!(racks, [(0, 0.0), (1, 0.0), (0, 10.0), (1, 10.0)]);
    assert_eq!(try_place(&mut placer, &replica).unwrap_err(), Lack::Spread);
}
