//! All members, or enough of them, or none and no trace.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever is placed, resized and released: what is free is what nobody holds, what fails
    /// leaves everything as it was, and what is released leaves what was there before.
    #[test]
    fn nothing_is_lost_and_failure_leaves_no_trace(
        machines in machines(), rules in any_rules(),
        steps in prop::collection::vec((0u8..6, any_task(), any::<usize>()), 1..25),
    ) {
        let mut world = world(&machines, rules, &[]);
        let mut out = [Hold::default(); 16];
        for (op, task, pick) in steps {
            world.step();
            let now = world.placer.now;
            let chosen = world.running.get(pick % world.running.len().max(1)).copied();
            let (before, books) = (world.dump(), world.books());
            match (op, chosen) {
                (0, Some(id)) => {
                    world.running.retain(|running| *running != id);
                    world.placer.release(now, id).unwrap();
                    prop_assert!(world.placer.task(id).is_err());
                }
                (1, Some(id)) => {
                    let asked = world.placer.task(id).unwrap().task;
                    let least = asked.members_needed();
                    let wanted = least + pick as u32 % (asked.members + 1 - least);
                    let had = world.placer.task(id).unwrap().members_len;
                    match world.placer.resize(now, id, wanted, &mut out).unwrap() {
                        Resized::NoRoom { .. } => prop_assert_eq!(world.dump(), before),
                        Resized::Done { members_len, .. } => {
                            prop_assert_eq!(members_len, wanted.abs_diff(had));
                            prop_assert_eq!(world.placer.task(id).unwrap().members_len, wanted);
                            prop_assert_eq!(world.placer.holds(id).unwrap().count(), wanted as usize);
                        }
                    }
                }
                (2, Some(id)) => {
                    let mut member = world.placer.task(id).unwrap().task.member;
                    (member.cpu_milli, member.memory_mib) =
                        (task.member.cpu_milli, task.member.memory_mib);
                    if let (DeviceDemand::Share { .. }, DeviceDemand::Share { .. }) =
                        (member.devices, task.member.devices)
                    {
                        member.devices = task.member.devices;
                    }
                    match world.placer.resize_members(now, id, &member).unwrap() {
                        Resized::NoRoom { .. } => prop_assert_eq!(world.dump(), before),
                        Resized::Done { .. } => {
                            for hold in world.placer.holds(id).unwrap() {
                                prop_assert_eq!(hold.cpu_milli, member.cpu_milli);
                                prop_assert_eq!(hold.memory_mib, member.memory_mib);
                            }
                        }
                    }
                }
                _ => match try_place(&mut world.placer, &task) {
                    Err(_) => prop_assert_eq!(world.dump(), before),
                    Ok((id, nodes, _)) => {
                        let len = nodes.len() as u32;
                        prop_assert!((task.members_needed()..=task.members).contains(&len));
                        if pick % 3 == 0 {
                            world.placer.release(now, id).unwrap();
                            prop_assert_eq!(world.books(), books);
                        } else {
                            world.running.push(id);
                        }
                    }
                },
            }
            world.audit();
        }
    }
}

#[test]
fn a_gang_starts_with_all_that_find_room_if_they_are_enough() {
    let mut placer = empty(PlacementRules::default());
    add(&mut placer, 2, 0, 0);
    add(&mut placer, 1, 0, 0);
    assert_eq!(try_place(&mut placer, &task(whole(1), 4)).unwrap_err(), Lack::Devices);
    let elastic = Task { members_min: 2, ..task(whole(1), 4) };
    let (id, nodes, _) = place(&mut placer, &elastic);
    assert_eq!(nodes, [0, 0, 1]);
    assert_eq!(placer.task(id).unwrap().members_len, 3);
}

#[test]
fn a_gang_pays_for_its_slowest_member_once() {
    let rules = PlacementRules { shadow_price: 0.5, ..PlacementRules::default() };
    let mut placer = empty(rules);
    let nodes = [0, 1, 2].map(|_| add(&mut placer, 1, 0, 0));
    let cold = Task { artifact: 7, warm_up: Nanos(30 * SECOND), ..task(whole(1), 2) };
    let (id, at, price) = place(&mut placer, &cold);
    // Two devices stand idle for 30 s while somebody waits.
    assert_eq!((at.as_slice(), price.warm_up_s), ([0, 1].as_slice(), 30.0 * (1.0 + 2.0 * 0.5)));
    placer.release(Nanos::ZERO, id).unwrap();
    assert!(placer.is_warm(nodes[1], 7).unwrap() && !placer.is_warm(nodes[2], 7).unwrap());
    // With everything equal but that, the warm node wins against the lower index.
    placer.set_warm(nodes[0], 7, false).unwrap();
    let (_, at, price) = place(&mut placer, &Task { members: 1, ..cold });
    assert_eq!((at.as_slice(), price.warm_up_s), ([1].as_slice(), 0.0));
}
