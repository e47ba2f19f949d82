//! Policy, shadow price, and how long things are believed to last.

use super::*;

#[test]
fn what_the_host_says_of_the_shadow_price_outlives_a_change_of_policy() {
    let rules = |shadow_price| PlacementRules { shadow_price, ..PlacementRules::default() };
    let mut placer = empty(rules(0.5));
    placer.set_policy(&policy(rules(0.25))).unwrap();
    assert_eq!(placer.shadow_price(), 0.25);
    placer.set_shadow_price(0.0).unwrap();
    placer.set_policy(&policy(rules(2.0))).unwrap();
    assert_eq!(placer.shadow_price(), 0.0);
}

#[test]
fn a_changed_policy_prices_what_comes_and_not_what_runs() {
    let mut placer = empty(PlacementRules::default());
    add(&mut placer, 8, 0, 0);
    let (id, _, before) = place(&mut placer, &task(whole(1), 1));
    assert!(before.stranding_s > 0.0);
    let free = PlacementRules { stranding_weight: 0.0, ..PlacementRules::default() };
    placer.set_policy(&policy(free)).unwrap();
    assert_eq!(placer.task(id).unwrap().price, before);
    assert_eq!(place(&mut placer, &task(whole(1), 1)).2.stranding_s, 0.0);
}

#[test]
fn holes_last_as_long_as_the_long_tasks_around_them() {
    let rules = PlacementRules::default();
    let known = |duration| Task { duration: Nanos(duration * SECOND), ..task(whole(1), 1) };
    let mut horizon = Horizon::default();
    assert_eq!(horizon.holding_s(&known(0), &rules), 1.0, "nothing is known");
    assert_eq!(horizon.holding_s(&known(7), &rules), 7.0);
    // 100 tasks of a second and one of 100 s: half of the GPU-seconds each.
    (0..100).for_each(|_| horizon.learn(1_000, Nanos(SECOND)));
    horizon.learn(1_000, Nanos(100 * SECOND));
    assert_eq!(horizon.holding_s(&known(7), &rules), 50.5);
    assert_eq!(horizon.holding_s(&known(60), &rules), 60.0);
    assert_eq!((horizon.run_s(&known(0)), horizon.run_s(&known(7))), (50.5, 7.0));
    let said = PlacementRules { holding: Nanos(20 * SECOND), ..rules };
    assert_eq!(horizon.holding_s(&known(7), &said), 20.0);
    horizon.learn(0, Nanos(1_000 * SECOND));
    assert_eq!(horizon.run_s(&known(0)), 50.5, "who holds no GPU makes no hole");
}

#[test]
fn a_run_time_that_was_not_told_is_learned_when_it_ends() {
    let mut placer = empty(PlacementRules::default());
    add(&mut placer, 2, 0, 0);
    let unknown = Task { duration: Nanos::ZERO, ..task(whole(2), 1) };
    let (id, ..) = place(&mut placer, &unknown);
    assert_eq!(placer.horizon.run_s(&unknown), 1.0);
    placer.release(Nanos(40 * SECOND), id).unwrap();
    assert_eq!(placer.horizon.run_s(&unknown), 40.0);
}

#[test]
fn a_node_keeps_what_was_used_last() {
    let mut placer = empty(PlacementRules::default());
    let node = add(&mut placer, 1, 0, 0);
    (1..=9).for_each(|artifact| placer.set_warm(node, artifact, true).unwrap());
    let warm = |placer: &Placer| {
        (1..=10).filter(|artifact| placer.is_warm(node, *artifact).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(warm(&placer), [2, 3, 4, 5, 6, 7, 8, 9]);
    placer.set_warm(node, 2, true).unwrap();
    placer.set_warm(node, 10, true).unwrap();
    assert_eq!(warm(&placer), [2, 4, 5, 6, 7, 8, 9, 10]);
    placer.set_warm(node, 6, false).unwrap();
    placer.set_warm(node, 3, false).unwrap();
    assert_eq!(warm(&placer), [2, 4, 5, 7, 8, 9, 10]);
}

#[test]
fn quiet_places_are_for_those_whose_delay_is_worth_most() {
    let rules = PlacementRules {
        shadow_price: 0.0,
        interference_neighbour_ratio: 0.01,
        measure: Measure::BestFit,
        ..PlacementRules::default()
    };
    let [urgent, batch] = [0, 1].map(|class| Task { class, ..task(whole(1), 1) });
    let mut placer = empty(rules);
    add(&mut placer, 8, 0, 0);
    (0..6).for_each(|_| drop(place(&mut placer, &batch)));
    add(&mut placer, 8, 0, 0);
    let (alike, nodes, _) = place(&mut placer, &batch);
    assert_eq!(nodes, [1], "while there is room, those who are alike keep apart");
    placer.release(placer.now, alike).unwrap();
    (0..2).for_each(|_| assert_eq!(place(&mut placer, &urgent).1, [1]));
    // The quiet node has two neighbours, but somebody else may have its place, who is worth more.
    let (_, nodes, price) = place(&mut placer, &batch);
    assert_eq!(nodes, [0]);
    // Half of all is in use, by those whose second is worth 3.5 / 8 a GPU: 0.25 for batch work.
    let (own, others) = (0.06 * 100.0 * (0.25 - 0.5 * 3.5 / 8.0), 0.06 * 0.5 * 100.0 * 0.25);
    assert!((price.interference_s - own - others).abs() < 1e-9, "{price:?}");
    assert_eq!(place(&mut placer, &urgent).1, [1]);
}
