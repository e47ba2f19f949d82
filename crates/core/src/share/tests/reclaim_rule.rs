//! Reclaim in the hands of a simple scheduler, against its own books.

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use super::protection::ReclaimLimits;
use super::scheduler::{Opened, RESOURCES, Rule, SECOND, World, amounts};
use super::*;

fn size() -> impl Strategy<Value = [u64; RESOURCES]> {
    // Indivisible jobs of up to the whole, and many small ones.
    prop_oneof![
        3 => [1u64..4, 0u64..3],
        2 => [0u64..9, 1u64..9],
        1 => [8u64..15, 0u64..15],
    ]
}

pub(super) fn opened() -> impl Strategy<Value = Vec<Opened>> {
    let quota = prop_oneof![Just([0, 0]), [0u64..5, 0u64..5], Just([9, 9])];
    let limit = prop_oneof![3 => Just(None), 1 => (0u64..12).prop_map(Some)];
    prop::collection::vec((0..10usize, quota, limit), 2..7)
}

/// What happens between two times of settling: a job ends, or one comes.
#[derive(Clone, Debug)]
pub(super) enum Event {
    End(usize),
    Submit(usize, [u64; RESOURCES]),
}

pub(super) fn events(len: usize) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        1 => (0..40usize).prop_map(Event::End),
        4 => (0..6usize, size()).prop_map(|(account, size)| Event::Submit(account, size)),
    ];
    prop::collection::vec(event, len / 2..len)
}

pub(super) fn happen(world: &mut World, event: &Event) {
    match event {
        Event::End(at) => {
            let open: Vec<_> = (0..world.jobs.len()).filter(|at| !world.jobs[*at].ended).collect();
            if !open.is_empty() {
                world.end(open[at % open.len()]);
            }
        }
        Event::Submit(account, size) => world.submit(account % world.accounts.len(), *size),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whoever may take takes, jobs come and go: the potential falls with every reclaim, no state
    /// comes back, nobody is above its share by what it took.
    #[test]
    fn reclaim_comes_to_rest(
        opened in opened(), capacity in [8u64..15, 8u64..15],
        events in prop::collection::vec((events(8), any::<[usize; 8]>()), 2..6),
    ) {
        let mut world = World::new(capacity, &opened, Rule::Ours);
        for (events, picks) in &events {
            for event in events {
                happen(&mut world, event);
            }
            let settled = world.settle(picks);
            prop_assert!(settled.is_ok(), "{settled:?}");
        }
    }

    /// The same accounts and jobs, where placements from what is free come whenever they can, of
    /// jobs that were taken only within what their account is entitled to: every way through all
    /// states, and none leads back. Without that rule for jobs that were taken some do.
    #[test]
    fn no_way_leads_back_to_any_state(
        opened in prop::collection::vec((0..10usize, [0u64..4, 0u64..4], Just(None)), 2..4),
        capacity in [2u64..9, 2u64..9],
        jobs in prop::collection::vec((0..4usize, [0u64..9, 0u64..9]), 2..7),
    ) {
        let mut world = World::new(capacity, &opened, Rule::Ours);
        for (account, size) in &jobs {
            world.submit(account % opened.len(), *size);
        }
        world.divide();
        prop_assert!(!leads_back(&mut world));
    }

    /// With jobs of one unit, and quotas that add up, everybody has what it is guaranteed and wants.
    #[test]
    fn guarantees_are_kept_where_jobs_fit(
        teams in prop::collection::vec(prop::collection::vec((0u64..4, 0usize..9), 1..4), 2..4),
        first in prop::collection::vec(0..9usize, 0..20), picks in any::<[usize; 8]>(),
        spare in 0u64..4,
    ) {
        let mut opened: Vec<Opened> = vec![];
        let mut wanted = vec![];
        for team in &teams {
            let (parent, quota) = (opened.len(), team.iter().map(|user| user.0).sum());
            opened.push((usize::MAX, [quota, 0], None));
            for (quota, jobs) in team {
                wanted.push((opened.len(), *quota, *jobs));
                opened.push((parent, [*quota, 0], None));
            }
        }
        let total: u64 = wanted.iter().map(|user| user.1).sum();
        let mut world = World::new([total + spare, 0], &opened, Rule::Ours);
        // The first ones find everything free and take it.
        for user in &first {
            world.submit(wanted[user % wanted.len()].0, [1, 0]);
            let last = world.jobs.len() - 1;
            world.place(last, true);
        }
        for (user, _, jobs) in &wanted {
            (0..*jobs).for_each(|_| world.submit(*user, [1, 0]));
        }
        prop_assert!(world.settle(&picks).is_ok());
        for (user, quota, _) in &wanted {
            let least = world.asked(*user, 0).min(*quota);
            prop_assert!(world.held(*user, 0) >= least, "{user}: {} of {least}", world.held(*user, 0));
        }
    }

    /// No job is taken before its least run time, and in no span of time is more lost than the
    /// budget of each account allows.
    #[test]
    fn protection_is_kept(
        opened in opened(),
        limits in prop::collection::vec(
            (prop::option::of(0u64..9), (0u64..40, prop_oneof![Just(u64::MAX), 0u64..40]), 1u64..30),
            7,
        ),
        events in prop::collection::vec((events(8), any::<[usize; 8]>(), 0u64..9), 2..7),
    ) {
        let mut world = World::new([10, 10], &opened, Rule::Ours);
        for (account, (min_runtime, budget, window)) in world.accounts.clone().iter().zip(&limits) {
            let limits = ReclaimLimits {
                min_runtime: min_runtime.map(|span| Nanos(span * SECOND)),
                loss_budget: amounts((*budget).into()),
                loss_window: Nanos(window * SECOND),
            };
            world.ledger.set_reclaim_limits(*account, &limits).unwrap();
        }
        for (events, picks, passed) in &events {
            world.now += passed * SECOND / 3;
            for event in events {
                happen(&mut world, event);
            }
            let before = world.jobs.clone();
            prop_assert!(world.settle(picks).is_ok());
            for (job, was) in world.jobs.iter().zip(&before).filter(|(job, _)| job.was_taken) {
                let way = world.way(job.account);
                let least = way.iter().find_map(|at| limits[*at].0).unwrap_or(0) * SECOND;
                let ran = if was.runs { world.now - was.started } else { 0 };
                prop_assert!(ran >= least);
            }
        }
        for (at, (_, budget, window)) in limits.iter().enumerate().take(world.accounts.len()) {
            let of: Vec<_> = world.losses.iter().filter(|loss| loss.1 == at).collect();
            for (resource, budget) in <[u64; RESOURCES]>::from(*budget).iter().enumerate().filter(|of| *of.1 != u64::MAX) {
                for (first, from) in of.iter().enumerate() {
                    let mut sum = 0;
                    for until in &of[first..] {
                        sum += until.2[resource];
                        let (budget, window) = (u128::from(*budget), u128::from(window * SECOND));
                        let most = budget * (window + u128::from(until.0 - from.0));
                        prop_assert!(sum * window <= most, "{at}: {sum} lost");
                    }
                }
            }
        }
    }
}

/// Whether any way of placing and reclaiming comes back to a state that it has left. A state is who
/// runs, and who was taken before.
fn leads_back(world: &mut World) -> bool {
    let len = world.jobs.len();
    let enter = |world: &mut World, state: usize| {
        let (runs, was_taken) = (state, state >> len);
        for at in 0..len {
            world.jobs[at].was_taken = was_taken >> at & 1 == 1;
            if world.jobs[at].runs && runs >> at & 1 == 0 {
                world.set_runs(at, false);
            }
        }
        let size = |at: usize, resource: usize| world.jobs[at].size[resource];
        let fits = (0..RESOURCES).all(|resource| {
            let held = (0..len).filter(|at| runs >> at & 1 == 1);
            held.map(|at| size(at, resource)).sum::<u64>() <= world.capacity[resource]
        });
        for at in 0..if fits { len } else { 0 } {
            if !world.jobs[at].runs && runs >> at & 1 == 1 {
                world.set_runs(at, true);
            }
        }
        fits
    };
    let next = |world: &mut World, state: usize, at: usize| {
        enter(world, state);
        if !world.place(at, true) {
            world.reclaim(at);
        }
        let bits = world.jobs.iter().enumerate();
        bits.map(|(at, job)| usize::from(job.runs) << at | usize::from(job.was_taken) << (at + len))
            .sum::<usize>()
    };
    let mut open: Vec<usize> = (0..1 << len).filter(|state| enter(world, *state)).collect();
    let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    while let Some(state) = open.pop() {
        after.entry(state).or_insert_with(|| {
            let ways = (0..len).map(|at| next(world, state, at));
            let ways: Vec<usize> = ways.filter(|after| *after != state).collect();
            open.extend(&ways);
            ways
        });
    }
    // States that lead nowhere but to such ones are done; whoever is left leads back.
    loop {
        let before = after.len();
        let done: Vec<usize> =
            after.iter().filter(|own| own.1.is_empty()).map(|own| *own.0).collect();
        after.retain(|_, ways| !ways.is_empty());
        for ways in after.values_mut() {
            ways.retain(|state| done.binary_search(state).is_err());
        }
        if after.len() == before {
            return before > 0;
        }
    }
}

/// A job that was taken comes back although its account then holds more than it is entitled to:
/// that is enough to go round and round.
#[test]
fn jobs_that_were_taken_must_not_come_back_at_once() {
    let mut world = World::new([8, 7], &[(9, [0, 0], None), (9, [0, 0], None)], Rule::Ours);
    for (account, size) in [(0, [0, 3]), (1, [4, 1]), (0, [5, 4]), (1, [0, 5])] {
        world.submit(account, size);
    }
    world.divide();
    assert!(!leads_back(&mut world));
    let runs = |world: &World| -> Vec<usize> { (0..4).filter(|at| world.jobs[*at].runs).collect() };
    let running = runs(&world);
    for at in running {
        world.set_runs(at, false);
    }
    assert!(world.place(0, false));
    // Placed, taken from, placed, taken from: as it was.
    for _ in 0..3 {
        assert_eq!(runs(&world), [0]);
        assert!(world.place(2, false));
        world.reclaim(1);
        assert_eq!(runs(&world), [1]);
        assert!(world.place(3, false));
        world.reclaim(0);
    }
}

/// Two accounts with half of two units each, and one job of both: with the wrong rule they take it
/// from each other for ever, and both harnesses notice.
#[test]
fn the_wrong_rule_oscillates() {
    let world = |rule| {
        let mut world = World::new([2, 2], &[(9, [0, 0], None), (9, [0, 0], None)], rule);
        world.submit(0, [2, 0]);
        world.submit(1, [2, 0]);
        world
    };
    assert_eq!(world(Rule::Before).settle(&[]), Err("the reclaimer is above its share"));
    assert_eq!(world(Rule::Ours).settle(&[]), Ok(0));
    for (rule, back) in [(Rule::Before, true), (Rule::Ours, false)] {
        let mut world = world(rule);
        world.divide();
        assert_eq!(leads_back(&mut world), back);
    }
}
