//! Reclaim against every set of victims on small fleets.

use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::super::room::{Room, needed};
use super::*;
use crate::fleet::{Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, NodeId, NodeSpec};
use crate::place::what_if::Change;
use crate::place::{Entry, Placed, PlacerOptions, Task};
use crate::policy::{PlacementRules, Policy};
use crate::share::protection::ReclaimLimits;
use crate::share::{
    AccountId, AccountQuota, Amounts, Division, LedgerOptions, Reclamation, RunningJob, Verdict,
};

mod oracle;

use oracle::Opened;
pub(in crate::place) use oracle::World;

pub(in crate::place) const SECOND: u64 = 1_000_000_000;

fn demand() -> impl Strategy<Value = Demand> {
    let devices = prop_oneof![
        1 => Just(DeviceDemand::None),
        4 => (1u8..3).prop_map(|count| DeviceDemand::Whole { count, memory_mib: 0 }),
        4 => (1u8..3, prop_oneof![Just(300), Just(500), Just(600)], 0u32..50)
            .prop_map(|(count, milli, memory_mib)| DeviceDemand::Share { count, milli, memory_mib }),
    ];
    (devices, 0u32..4, 0u32..4).prop_map(|(devices, cores, memory)| Demand {
        devices,
        cpu_milli: 1_000 * cores,
        memory_mib: 10 * memory,
        ..Demand::default()
    })
}

#[derive(Clone, Debug)]
struct Asked {
    account: usize,
    task: Task,
    at: u64,
}

fn asked(members: u32) -> impl Strategy<Value = Asked> {
    let who = (0usize..4, 0i32..3, 0u32..2, prop::bool::weighted(0.8));
    let how_long = (0u64..900, 0u64..200, 0u64..60);
    (who, how_long, demand(), 1..=members).prop_map(
        |((account, priority, class, preemptible), (at, least, warm), member, members)| Asked {
            account,
            at,
            task: Task {
                member,
                members,
                priority,
                class,
                preemptible,
                warm_up: Nanos(warm * SECOND),
                min_runtime: Nanos(least * SECOND),
                ..Task::default()
            },
        },
    )
}

fn opened() -> impl Strategy<Value = Vec<Opened>> {
    prop::collection::vec((0usize..6, 0u64..4, prop::option::weighted(0.3, 0u64..1_200)), 4)
}

fn world(gpus: &[usize], opened: &[Opened], running: &[Asked], wanted: &Asked) -> (World, TaskId) {
    let mut world = World::new(gpus, opened);
    let mut running = running.to_vec();
    running.sort_by_key(|asked| asked.at);
    for Asked { account, task, at } in &running {
        let task = Task { account: world.accounts[*account], ..*task };
        world.start(Nanos(at * SECOND), &task);
    }
    let account = world.accounts[wanted.account];
    let id = world.wait(&Task { account, ..wanted.task });
    world.divide();
    world.placer.now = world.now;
    (world, id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    /// For one member: what is chosen makes room, is allowed, holds nobody that is not needed, and
    /// is the cheapest of all sets on all nodes; where nothing is chosen no set would do, and
    /// nothing has changed.
    #[test]
    fn the_cheapest_allowed_victims_are_chosen(
        gpus in prop::collection::vec(1usize..4, 1..4), opened in opened(),
        running in prop::collection::vec(asked(2), 0..8), wanted in asked(1),
    ) {
        let (mut world, id) = world(&gpus, &opened, &running, &wanted);
        let task = world.placer.task(id).unwrap().task;
        let (before, dump, now) = (world.books(), world.dump(), world.now);
        let cheapest = world.cheapest(&task);
        prop_assert_eq!(&world.books(), &before, "the oracle changes nothing");
        let mut out = [TaskId::default(); 16];
        let found = world.placer.reclaim_for(now, &mut world.ledger, id, &mut out).unwrap();
        let Some(len) = found else {
            prop_assert_eq!(world.books(), before);
            prop_assert_eq!(world.dump(), dump);
            prop_assert!(cheapest.is_none(), "{cheapest:?} would have done");
            return Ok(());
        };
        let victims = &out[..len as usize];
        let cost: f64 =
            victims.iter().map(|task| world.placer.lost_work_s(now, *task).unwrap()).sum();
        prop_assert!(cheapest.is_some_and(|best| (best - cost).abs() < 1e-6), "{cheapest:?} {cost}");
        let fleet = world.fleet_without(victims);
        let fits = |node: &NodeId| fleet.lack(*node, &task.member).unwrap().is_none();
        prop_assert!(world.nodes.iter().any(fits));
        for spared in victims {
            let rest: Vec<_> = victims.iter().copied().filter(|task| task != spared).collect();
            let entry = *world.placer.task(*spared).unwrap();
            // Who frees no room may be needed all the same, for the right to the others.
            for node in world.nodes.clone() {
                let room = world.fleet_without(&rest).lack(node, &task.member).unwrap().is_none();
                let enough = room && world.is_allowed(&task, node, &mut vec![], &rest);
                prop_assert!(!enough, "{spared:?} is not needed");
            }
            prop_assert_eq!(entry.stage, Stage::Ending);
            prop_assert!(entry.started.saturating_add(entry.task.min_runtime) <= now);
            prop_assert!(entry.started.saturating_add(world.least_run_time(entry.task.account)) <= now);
        }
        // Nobody is chosen twice, and what ends already is enough.
        let again = world.placer.reclaim_for(now, &mut world.ledger, id, &mut out).unwrap();
        prop_assert_eq!(again, Some(0));
    }

    /// For gangs: those chosen make room for all members needed, each is needed, and every one is
    /// allowed by the books; else nothing has changed.
    #[test]
    fn victims_make_room_for_a_whole_gang(
        gpus in prop::collection::vec(1usize..4, 1..6), opened in opened(),
        running in prop::collection::vec(asked(3), 0..14), wanted in asked(4),
        within in prop_oneof![Just(Domain::Fleet), Just(Domain::Rack), Just(Domain::Node)],
    ) {
        let mut wanted = wanted;
        wanted.task.topology.within = within;
        wanted.task.topology.required = true;
        let (mut world, id) = world(&gpus, &opened, &running, &wanted);
        let task = world.placer.task(id).unwrap().task;
        let (before, now) = (world.books(), world.now);
        let mut out = [TaskId::default(); 32];
        let found = world.placer.reclaim_for(now, &mut world.ledger, id, &mut out).unwrap();
        let held = |world: &World| -> Vec<Amounts> {
            world.books().iter().map(|books| books.0).collect()
        };
        prop_assert_eq!(held(&world), before.iter().map(|books| books.0).collect::<Vec<_>>());
        let Some(len) = found else {
            prop_assert_eq!(world.books(), before);
            return Ok(());
        };
        let victims = out[..len as usize].to_vec();
        // In one of the domains all of them make room, and nobody can be spared.
        let domains: BTreeSet<u32> =
            world.nodes.iter().map(|node| world.domain(within, *node)).collect();
        let needed_in = |world: &mut World, domain: u32| {
            let mut fits = |spared: Option<&TaskId>| {
                let others = world.nodes.iter().filter(|node| world.domain(within, **node) != domain);
                let mut changes: Vec<_> = others.map(|node| Change::DrainNode(*node)).collect();
                let rest = victims.iter().filter(|task| Some(*task) != spared);
                changes.extend(rest.map(|task| Change::Release(*task)));
                let mut what_if = world.placer.what_if(now, &changes).unwrap();
                what_if.members_fit(&task).unwrap() >= task.members
            };
            fits(None) && (task.members == 1 || victims.iter().all(|spared| !fits(Some(spared))))
        };
        prop_assert!(domains.iter().any(|domain| needed_in(&mut world, *domain)));
        for victim in &victims {
            let entry = *world.placer.task(*victim).unwrap();
            prop_assert!(entry.task.preemptible);
            prop_assert!(entry.started.saturating_add(entry.task.min_runtime) <= now);
            prop_assert!(entry.started.saturating_add(world.least_run_time(entry.task.account)) <= now);
            world.ledger.release(entry.task.account, &world.job(*victim).amounts).unwrap();
            world.placer.release(now, *victim).unwrap();
        }
        prop_assert!(world.placer.start(id).unwrap().is_ok());
    }

    /// Tasks that reclaim one after the other until nobody can: every account that lost something
    /// to another one keeps what it is guaranteed or was below it before, whoever reclaimed is
    /// within its entitlement, and it ends.
    #[test]
    fn reclaim_keeps_quotas_and_comes_to_rest(
        gpus in prop::collection::vec(1usize..4, 1..4), opened in opened(),
        running in prop::collection::vec(asked(2), 0..10),
        waiting in prop::collection::vec(asked(2), 1..5),
    ) {
        let (mut world, first) = world(&gpus, &opened, &running, &waiting[0]);
        let mut pending = vec![first];
        for Asked { account, task, .. } in &waiting[1..] {
            let account = world.accounts[*account];
            pending.push(world.wait(&Task { account, ..*task }));
        }
        world.divide();
        let mut reclaims = 0;
        for _ in 0..64 {
            let mut progress = false;
            for at in 0..pending.len() {
                let (id, now) = (pending[at], world.now);
                let mut out = [TaskId::default(); 32];
                let found = world.placer.reclaim_for(now, &mut world.ledger, id, &mut out).unwrap();
                let Some(len) = found.filter(|len| *len > 0) else { continue };
                progress = true;
                reclaims += len;
                let task = world.placer.task(id).unwrap().task;
                let mut foreign = false;
                for victim in &out[..len as usize] {
                    let job = world.job(*victim);
                    foreign |= job.account != task.account;
                    world.ledger.release(job.account, &job.amounts).unwrap();
                    world.ledger.ask(job.account, &job.amounts).unwrap();
                    world.placer.requeue(now, *victim).unwrap();
                    pending.push(*victim);
                }
                prop_assert!(world.placer.start(id).unwrap().is_ok());
                let amounts = world.job(id).amounts;
                world.ledger.allocate(task.account, &amounts).unwrap();
                world.ledger.withdraw(task.account, &needed(&task.member, task.members_needed())).unwrap();
                pending.remove(at);
                if foreign {
                    let quota = world.ledger.quota(task.account).unwrap().quota;
                    let share = world.ledger.fair_share(task.account).unwrap();
                    let held = world.ledger.held(task.account).unwrap();
                    for resource in 0..3 {
                        let taken = needed(&task.member, 1).0[resource] > 0;
                        let most = quota.0[resource].max(share.0[resource]);
                        prop_assert!(!taken || held.0[resource] <= most, "{resource}: {held:?} {most}");
                    }
                }
                break;
            }
            if !progress {
                break;
            }
        }
        prop_assert!(reclaims <= 2 * (running.len() + waiting.len()) as u32, "preemptions_max is 2");
    }
}

fn gpus(count: u8) -> Demand {
    Demand { devices: DeviceDemand::Whole { count, memory_mib: 0 }, ..Demand::default() }
}

/// Two accounts with a quota of two GPUs each, and the first one holds all four.
fn lent() -> (World, Vec<TaskId>) {
    let mut world = World::new(&[4], &[(9, 2, None), (9, 2, None)]);
    let account = world.accounts[0];
    let task = Task { account, member: gpus(1), preemptible: true, ..Task::default() };
    let ids = (0..4).map(|at| world.start(Nanos(at * SECOND), &task).unwrap()).collect();
    (world, ids)
}

#[test]
fn what_is_lent_comes_back_and_no_right_is_used_twice() {
    let (mut world, ids) = lent();
    let account = world.accounts[1];
    let wanted = Task { account, member: gpus(2), ..Task::default() };
    let (one, two) = (world.wait(&wanted), world.wait(&wanted));
    world.divide();
    let mut out = [TaskId::default(); 8];
    let now = world.now;
    let found = world.placer.reclaim_for(now, &mut world.ledger, one, &mut out).unwrap();
    assert_eq!(found, Some(2));
    // Those that began last lose least.
    assert_eq!(BTreeSet::from([out[0], out[1]]), BTreeSet::from([ids[2], ids[3]]));
    // The second one would take its account over what it is entitled to, once the first one runs.
    let found = world.placer.reclaim_for(now, &mut world.ledger, two, &mut out).unwrap();
    assert_eq!(found, None);
}

#[test]
fn a_checkpoint_makes_a_victim_cheap_and_the_third_time_it_is_spared() {
    let (mut world, ids) = lent();
    let wanted = Task { account: world.accounts[1], member: gpus(1), ..Task::default() };
    let one = world.wait(&wanted);
    world.divide();
    let now = world.now;
    world.placer.checkpointed(now, ids[1], now).unwrap();
    let mut out = [TaskId::default(); 8];
    let found = world.placer.reclaim_for(now, &mut world.ledger, one, &mut out).unwrap();
    assert_eq!((found, out[0]), (Some(1), ids[1]));
    for id in &ids {
        world.placer.tasks.get_mut(*id).unwrap().ends.preemptions = 2;
    }
    let two = world.wait(&wanted);
    assert_eq!(world.placer.reclaim_for(now, &mut world.ledger, two, &mut out), Ok(None));
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let (mut world, ids) = lent();
    let wanted = Task { account: world.accounts[1], member: gpus(1), ..Task::default() };
    let id = world.wait(&wanted);
    world.divide();
    let stranger = Task { account: AccountId::from_raw(7), ..wanted };
    let stranger = world.placer.tasks.insert(Entry::pending(world.now, &stranger));
    let (stranger, now, dump, books) = (stranger.unwrap(), world.now, world.dump(), world.books());
    let mut out = [TaskId::default(); 8];
    let World { placer, ledger, .. } = &mut world;
    for wrong in [TaskId::default(), TaskId::from_raw(u64::MAX), ids[0], stranger] {
        assert!(placer.reclaim_for(now, ledger, wrong, &mut out).is_err());
    }
    assert!(placer.reclaim_for(Nanos::ZERO, ledger, id, &mut out).is_err());
    assert!(placer.checkpointed(now, ids[0], Nanos(now.get() + 1)).is_err());
    assert!(placer.checkpointed(now, ids[1], Nanos::ZERO).is_err());
    assert!(placer.checkpointed(now, id, now).is_err());
    assert!(placer.requeue(now, id).is_err());
    // No room to say who.
    assert_eq!((world.dump(), world.books()), (dump, books));
    assert_eq!(world.placer.reclaim_for(now, &mut world.ledger, id, &mut []), Ok(None));
}
