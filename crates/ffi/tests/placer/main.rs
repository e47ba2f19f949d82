//! The placer by its C functions answers as the core does, and allocates as little.
#![allow(unsafe_code, reason = "these are calls as C makes them")]

#[path = "../caller/mod.rs"]
mod caller;
mod calls;
#[path = "../../../core/tests/counting/mod.rs"]
mod counting;
mod questions;
mod refusals;
mod tasks;
mod twins;

use std::collections::BTreeMap;
use std::ptr;

use caller::{Prng, sized};
use calls::Event;
use rampmeter::error::codes;
use rampmeter::fleet::{Fleet, Health, Lack, NodeStatus};
use rampmeter::place::{Because, Placer, Stage, TaskId};
use rampmeter::policy::Policy;
use rampmeter_ffi::placer::*;
use twins::{Twins, core_options, device, node, options};

const SECOND: u64 = 1_000_000_000;

/// Nodes of every kind.
fn fleet(twins: &mut Twins) {
    let shared = [device(0, RAMPMETER_SHARING_SHARED); 4];
    let exclusive = [device(1, RAMPMETER_SHARING_EXCLUSIVE); 2];
    let mixed = [device(1, RAMPMETER_SHARING_SHARED), device(2, RAMPMETER_SHARING_PARTITIONED)];
    twins.add_node(&node(0, &shared));
    twins.add_node(&node(1, &shared));
    twins.add_node(&node(1, &exclusive));
    twins.add_node(&node(2, &mixed));
}

fn pick(prng: &mut Prng, of: &[u64]) -> u64 {
    // Now and then one that was never issued.
    if of.is_empty() || prng.chance(3) {
        return prng.below(1 << 34);
    }
    // Mostly one of the last.
    let last = of.len().saturating_sub(12);
    let first = if prng.chance(90) { last } else { 0 };
    of[first + prng.below((of.len() - first) as u64) as usize]
}

fn step(twins: &mut Twins, prng: &mut Prng, accounts: &[u64]) {
    let account = accounts[prng.below(accounts.len() as u64) as usize];
    let (known, nodes) = (twins.tasks.clone(), twins.nodes.clone());
    let (task, node_id, any) = (pick(prng, &known), pick(prng, &nodes), prng.below(5) as u32);
    match prng.below(100) {
        0..20 => twins.place(&tasks::task(prng, account)),
        20..40 => drop(twins.submit(&tasks::task(prng, account))),
        40..52 => twins.release(task),
        52..57 => twins.requeue(task),
        57..60 => twins.resize(task, any),
        60..63 => twins.resize_members(task, &tasks::demand(prng)),
        63..65 => twins.checkpointed(task, twins.now.saturating_sub(prng.below(20 * SECOND))),
        65..82 => {
            let ending = twins.cycle([prng.below(9) as usize, 8, 8]);
            for task in ending {
                twins.requeue(task);
            }
        }
        82..85 => {
            let events =
                [Event::Remove, Event::Drain, Event::Fail, Event::DrainDevice, Event::FailDevice];
            twins.event(events[prng.below(5) as usize], (node_id, any));
        }
        85..89 => {
            let event = if prng.chance(50) { Event::Return } else { Event::ReturnDevice };
            twins.event(event, (node_id, any));
        }
        89 => twins.add_node(&node(any, &[device(1, any as u8 % 3); 2])),
        90 => twins.say(node_id, prng.below(8), any, prng.chance(50)),
        91 => twins.reclaim_for(task),
        92 => twins.set_shadow_price(prng.below(40) as f64 / 4.0 - 0.25),
        93 => {
            let entry = |prng: &mut Prng| (tasks::demand(prng), prng.below(4) as u32);
            twins.set_mix(&(0..prng.below(3)).map(|_| entry(prng)).collect::<Vec<_>>());
        }
        94 => {
            let moves = twins.compact(any);
            for moved in &moves {
                twins.moved_to(moved.task, &moved.to);
            }
        }
        95 => twins.settle(),
        _ => ask(twins, prng, account),
    }
}

fn ask(twins: &mut Twins, prng: &mut Prng, account: u64) {
    let (known, nodes) = (twins.tasks.clone(), twins.nodes.clone());
    let (starts, asked) = (tasks::task(prng, account), tasks::task(prng, account));
    let handle = |prng: &mut Prng, kind: u32| match kind {
        RAMPMETER_IF_RELEASE => pick(prng, &known),
        _ => pick(prng, &nodes),
    };
    let changes: Vec<(u32, u64)> = (0..prng.below(4))
        .map(|_| {
            let kind = 1 + prng.below(7) as u32;
            (kind, handle(prng, kind))
        })
        .collect();
    twins.what_if(&changes, &[device(0, RAMPMETER_SHARING_SHARED)], &starts, &asked);
    twins.why(&asked);
    twins.expected_start(pick(prng, &known));
    twins.look_at_node(pick(prng, &nodes), prng.below(5) as u32, &tasks::demand(prng));
    twins.look_at_task(pick(prng, &known));
    twins.look_at_all();
}

/// The other tests make every call under [`twins::quiet`], which says nothing if nothing counts.
#[test]
fn the_counter_counts() {
    let before = counting::tally().calls;
    drop(std::hint::black_box(Box::new(7_u8)));
    assert_eq!(counting::tally().calls - before, 2, "one to allocate, one to free");
}

#[test]
fn the_same_calls_have_the_same_answers_and_leave_the_same_state() {
    let mut seen = BTreeMap::<&str, u32>::new();
    for seed in 0..24 {
        let (mut prng, mut twins) = (Prng(seed), Twins::new());
        let accounts = [twins.account("a"), twins.account("b"), 0];
        fleet(&mut twins);
        for _ in 0..600 {
            twins.now += prng.below(4 * SECOND);
            step(&mut twins, &mut prng, &accounts);
        }
        for (what, times) in &twins.seen {
            *seen.entry(what).or_default() += times;
        }
    }
    // All of that would be true of placers in which nothing happens, too.
    assert!(seen.len() >= 20 && seen.values().all(|times| *times > 0), "{seen:?}");
}

#[test]
fn what_was_asked_for_can_be_asked_for_again() {
    let (mut prng, mut twins) = (Prng(7), Twins::new());
    let account = twins.account("a");
    let mut checked = 0;
    for _ in 0..200 {
        let task = tasks::task(&mut prng, account);
        let Some(id) = twins.submit(&task) else { continue };
        let mut asked = sized::<rampmeter_task>();
        // SAFETY: the placer is good, and both places may be written.
        let status = twins::quiet(|| unsafe {
            rampmeter_placer_asked(twins.placer, id, &raw mut asked, twins.said.place())
        });
        assert_eq!(status, codes::OK);
        twins.release(id);
        let again = twins.submit(&tasks::Both { c: asked, core: task.core });
        let again = again.unwrap();
        assert_eq!(twins.core.task(TaskId::from_raw(again)).unwrap().task, task.core);
        twins.release(again);
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn a_restored_placer_goes_on_where_the_saved_one_was() {
    let (mut prng, mut twins) = (Prng(3), Twins::new());
    let accounts = [twins.account("a"), twins.account("b"), 0];
    fleet(&mut twins);
    for _ in 0..200 {
        twins.now += prng.below(4 * SECOND);
        step(&mut twins, &mut prng, &accounts);
    }
    let (bytes, size) = (twins.saved(), options());
    let mut restored = ptr::null_mut();
    // SAFETY: the policy is good, the bytes may be read, and the place may be written.
    unsafe {
        let (place, len, said) = (&raw mut restored, bytes.len(), twins.said.place());
        let policy = twins.terms.0;
        let restore = |bytes: *const u8, len| {
            rampmeter_placer_restore(policy, &raw const size, bytes, len, place, said)
        };
        assert_eq!(restore(bytes.as_ptr(), len - 1), codes::SNAPSHOT);
        assert!((*place).is_null());
        assert_eq!(restore(bytes.as_ptr(), len), codes::OK);
        rampmeter_placer_destroy(std::mem::replace(&mut twins.placer, restored));
    }
    twins.are_alike();
    // Tables of the task mix are worked out anew: from here on both must have been restored.
    let (fleet, placer) = core_options();
    let fleet = Fleet::new(&fleet).unwrap();
    twins.core = Placer::restore(fleet, &twins.terms.1, &placer, &bytes).unwrap();
    for _ in 0..200 {
        twins.now += prng.below(4 * SECOND);
        step(&mut twins, &mut prng, &accounts);
    }
}

#[test]
fn a_changed_policy_is_taken_on_both_sides() {
    let mut twins = Twins::new();
    let (changed, core) = caller::policy(&twins::DOCUMENT.replace("0.25", "0.5"));
    let (other, core_other) = caller::policy("");
    // SAFETY: all objects are good, and the error may be written.
    unsafe {
        let said = twins.said.place();
        let status = twins::quiet(|| rampmeter_placer_set_policy(twins.placer, changed, said));
        assert_eq!(status, codes::OK);
        let status = twins::quiet(|| rampmeter_placer_set_policy(twins.placer, other, said));
        let of_core =
            twins.core.set_policy(&core).and_then(|()| twins.core.set_policy(&core_other));
        twins.agrees(status, of_core);
        rampmeter_ffi::policy::rampmeter_policy_destroy(changed);
        rampmeter_ffi::policy::rampmeter_policy_destroy(other);
    }
}

#[test]
fn sizes_and_their_defaults_are_those_of_the_core() {
    let terms = caller::policy(twins::DOCUMENT);
    let needed = |options: rampmeter_placer_options| {
        let mut bytes = 0;
        // SAFETY: the policy is good, and the place may be written.
        let status = unsafe {
            let (options, bytes) = (&raw const options, &raw mut bytes);
            rampmeter_placer_bytes_needed(terms.0, options, bytes, ptr::null_mut())
        };
        assert_eq!(status, codes::OK);
        bytes
    };
    let (fleet, placer) = core_options();
    assert_eq!(needed(options()), Placer::bytes_needed(&fleet, &terms.1, &placer));
    let (fleet, placer) = Default::default();
    assert_eq!(needed(sized()), Placer::bytes_needed(&fleet, &terms.1, &placer));
    let mut made = ptr::null_mut();
    let options = sized::<rampmeter_placer_options>();
    // SAFETY: as above.
    unsafe {
        let (options, place) = (&raw const options, &raw mut made);
        assert_eq!(rampmeter_placer_create(terms.0, options, place, ptr::null_mut()), codes::OK);
        let mut stats = sized::<rampmeter_stats_placer>();
        rampmeter_placer_stats(made, &raw mut stats, ptr::null_mut());
        assert_eq!((stats.nodes_max, stats.tasks_max, stats.members_max), (1_024, 16_384, 16_384));
        rampmeter_placer_destroy(made);
        rampmeter_ffi::policy::rampmeter_policy_destroy(terms.0);
    }
    let core = Placer::new(Fleet::new(&fleet).unwrap(), &Policy::default(), &placer).unwrap();
    assert_eq!(core.stats().nodes_max, 1_024);
}

#[test]
fn numbers_are_those_of_the_core() {
    let lacks = [
        (RAMPMETER_LACK_STATUS, Lack::Status),
        (RAMPMETER_LACK_LABELS, Lack::Labels),
        (RAMPMETER_LACK_MODEL, Lack::Model),
        (RAMPMETER_LACK_CPU, Lack::Cpu),
        (RAMPMETER_LACK_MEMORY, Lack::Memory),
        (RAMPMETER_LACK_DEVICES, Lack::Devices),
        (RAMPMETER_LACK_DEVICE_MEMORY, Lack::DeviceMemory),
        (RAMPMETER_LACK_LINK_GROUP, Lack::LinkGroup),
        (RAMPMETER_LACK_PARTITION, Lack::Partition),
        (RAMPMETER_LACK_SPREAD, Lack::Spread),
        (RAMPMETER_LACK_TOPOLOGY, Lack::Topology),
        (RAMPMETER_LACK_RESERVED, Lack::Reserved),
    ];
    assert!(lacks.map(|(_, lack)| lack) == Lack::ALL);
    assert!(lacks.iter().all(|(number, lack)| *number == *lack as u8 + 1));
    let stages = [
        (RAMPMETER_TASK_PENDING, Stage::Pending),
        (RAMPMETER_TASK_RUNNING, Stage::Running),
        (RAMPMETER_TASK_ENDING, Stage::Ending),
    ];
    assert!(stages.iter().all(|(number, stage)| *number == *stage as u8));
    let becauses = [
        (RAMPMETER_EXPECTED_STARTED, Because::Started),
        (RAMPMETER_EXPECTED_RESERVED, Because::Reserved),
        (RAMPMETER_EXPECTED_ENDS, Because::Ends),
        (RAMPMETER_EXPECTED_MANY_BEFORE, Because::ManyBefore),
        (RAMPMETER_EXPECTED_UNKNOWN, Because::Unknown),
        (RAMPMETER_EXPECTED_NEVER_FITS, Because::NeverFits),
    ];
    assert!(becauses.iter().all(|(number, because)| *number == *because as u8));
    let healths = [
        (RAMPMETER_HEALTH_READY, Health::Ready, NodeStatus::Ready),
        (RAMPMETER_HEALTH_DRAINING, Health::Draining, NodeStatus::Draining),
        (RAMPMETER_HEALTH_FAILED, Health::Failed, NodeStatus::Failed),
    ];
    assert!(healths.iter().all(|(n, health, status)| *n == *health as u8 && *n == *status as u8));
}
