//! The protocol, on lists that are made up here.

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::cluster::fgd::fragmentation_milli;

fn job(cpu_milli: u32, devices: DeviceDemand) -> Job {
    let member = Demand { cpu_milli, devices, ..Demand::default() };
    Job { member, members: 1, ..Job::default() }
}

fn share(milli: u16) -> DeviceDemand {
    DeviceDemand::Share { count: 1, milli, memory_mib: 0 }
}

const fn whole(count: u8) -> DeviceDemand {
    DeviceDemand::Whole { count, memory_mib: 0 }
}

fn list(jobs: Vec<Job>) -> JobList {
    JobList { name: "made up".to_owned(), jobs, accounts: vec!["default".to_owned()], skipped: 0 }
}

fn some_list() -> JobList {
    let shapes = [
        (0, DeviceDemand::None),
        (4_000, share(250)),
        (4_000, share(600)),
        (8_000, whole(1)),
        (8_000, whole(1)),
        (16_000, whole(2)),
        (90_000, whole(8)),
        (2_000, DeviceDemand::Share { count: 2, milli: 440, memory_mib: 0 }),
    ];
    list(shapes.map(|(cpu, devices)| job(cpu, devices)).to_vec())
}

fn some_nodes() -> NodeList {
    let mut nodes = NodeList::uniform(6, 8, "a");
    nodes.nodes.extend(NodeList::uniform(4, 2, "a").nodes);
    nodes.nodes.iter_mut().for_each(|node| node.cpu_milli = 12_000 * u32::from(node.devices));
    nodes
}

fn packed(policy: PackPolicy, seed: u64, until: f64) -> PackRun {
    let options = PackOptions { policy, seed, until };
    run(&some_nodes(), &some_list(), &options, &|| 0).unwrap()
}

#[test]
fn allocation_follows_arrivals_until_the_nodes_are_full() {
    for policy in PackPolicy::ALL {
        for seed in SEED_FIRST..SEED_FIRST + 5 {
            let result = packed(policy, seed, 1.5);
            assert_eq!((result.policy, result.seed), (policy.name(), seed));
            assert_eq!(result.allocation_pct.len(), 151, "one value for each percent");
            assert_eq!(result.fragmentation_pct.len(), 151);
            let pairs = result.allocation_pct.windows(2);
            // Means of equal figures may differ in their last digit.
            assert!(pairs.clone().all(|pair| pair[0] <= pair[1] + 1e-9), "nobody leaves");
            for (arrived, allocated) in result.allocation_pct.iter().enumerate() {
                assert!(*allocated <= arrived as f64 + 0.5, "no more than came");
                assert!((0.0..=100.0).contains(allocated));
            }
            assert!(result.fragmentation_pct.iter().all(|pct| (0.0..=100.0).contains(pct)));
            assert!(*result.allocation_pct.last().unwrap() > 60.0, "{policy}");
        }
    }
}

#[test]
fn a_seed_is_a_run_and_another_is_another() {
    for policy in PackPolicy::ALL {
        assert_eq!(packed(policy, 42, 1.3), packed(policy, 42, 1.3));
        assert_ne!(packed(policy, 42, 1.3), packed(policy, 43, 1.3));
    }
}

#[test]
fn every_policy_meets_the_same_tasks() {
    let counts = PackPolicy::ALL.map(|policy| packed(policy, 44, 1.3).decisions);
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn arrivals_end_at_the_limit() {
    let mut random = random_stream(1, Purpose::Tasks, 0);
    let capacity = 100_000;
    // The last sample may pass the limit; the sum counts one device of each appended task.
    let all = arrivals(&some_list(), capacity, 1.3, &mut random).unwrap();
    let one_device = |job: &Job| {
        u64::from(job.member.gpu_milli()) / u64::from(job.member.devices.devices().max(1))
    };
    let listed: u64 = some_list().jobs.iter().map(|job| u64::from(job.member.gpu_milli())).sum();
    let appended = &all[some_list().jobs.len()..];
    let total = listed + appended.iter().map(one_device).sum::<u64>();
    assert!((130_000..131_000).contains(&total), "{total}");
    // A list that asks for more loses its end, and nothing is appended.
    let few = arrivals(&some_list(), capacity, 0.05, &mut random).unwrap();
    let total: u64 = few.iter().map(|job| u64::from(job.member.gpu_milli())).sum();
    assert!(total <= 5_000 && few.len() < some_list().jobs.len(), "{total}");
}

#[test]
fn what_cannot_be_packed_is_refused_by_name() {
    let options = PackOptions { policy: PackPolicy::Naive, seed: 1, until: 1.3 };
    let refused = |nodes: &NodeList, jobs: &JobList| {
        run(nodes, jobs, &options, &|| 0).unwrap_err().to_string()
    };
    let hosts = NodeList::uniform(3, 0, "a");
    assert!(refused(&hosts, &some_list()).contains("3x0: has no GPU"));
    let idle = list(vec![job(1, DeviceDemand::None)]);
    assert!(refused(&some_nodes(), &idle).contains("made up: asks for no GPU"));
}

/// The desk with the tables, and the definition priced anew for each task: the same decisions,
/// which is that allocation and fragmentation are the same after every arrival.
#[test]
fn fgd_through_the_desk_is_fgd_by_its_definition() {
    let mut jobs = some_list();
    jobs.jobs.retain(|job| !matches!(job.member.devices, DeviceDemand::Share { count: 2.., .. }));
    for seed in SEED_FIRST..SEED_FIRST + 8 {
        let by = |policy| {
            let options = PackOptions { policy, seed, until: 1.5 };
            run(&some_nodes(), &jobs, &options, &|| 0).unwrap()
        };
        let (desk, naive) = (by(PackPolicy::Desk(Measure::Fgd)), by(PackPolicy::Naive));
        assert_eq!(desk.allocation_pct, naive.allocation_pct);
        assert_eq!(desk.fragmentation_pct, naive.fragmentation_pct);
    }
}

#[test]
fn decisions_are_timed_by_the_clock_that_is_given() {
    let ticks = Cell::new(0);
    let clock = || {
        ticks.set(ticks.get() + 7);
        ticks.get()
    };
    let options = PackOptions { policy: PackPolicy::Naive, seed: 1, until: 0.5 };
    let result = run(&some_nodes(), &some_list(), &options, &clock).unwrap();
    assert_eq!(result.decision_ns, DecisionNs { p50: 7, p99: 7, max: 7 });
    assert_eq!(
        DecisionNs::of((1..=200).rev().collect()),
        DecisionNs { p50: 100, p99: 198, max: 200 }
    );
    assert_eq!(DecisionNs::of(Vec::new()), DecisionNs::default());
}

/// Each shape that comes is new once, but shares of several devices always are; a rule that keeps no
/// costs has none.
#[test]
fn first_tasks_of_a_shape_are_timed_apart() {
    let options = |policy| PackOptions { policy, seed: 3, until: 1.3 };
    let by = |policy| run(&some_nodes(), &some_list(), &options(policy), &|| 0).unwrap();
    let mut random = random_stream(3, Purpose::Tasks, 0);
    let came = arrivals(&some_list(), some_nodes().gpu_milli(), 1.3, &mut random).unwrap();
    let is_share_of_several =
        |job: &&Job| matches!(job.member.devices, DeviceDemand::Share { count: 2.., .. });
    let always = came.iter().filter(is_share_of_several).count();
    // Two of the eight entries are alike, and one is the share of several.
    let expected = (6 + always) as u64;
    for policy in PackPolicy::ALL {
        let keeps = matches!(policy, PackPolicy::Desk(Measure::Value | Measure::Fgd));
        assert_eq!(by(policy).new_shapes, if keeps { expected } else { 0 }, "{policy}");
    }
    // A clock that stands still but while somebody asks: all times are those of one question.
    let ticks = Cell::new(0);
    let clock = || {
        ticks.set(ticks.get() + 5);
        ticks.get()
    };
    let options = options(PackPolicy::Desk(Measure::Value));
    let timed = run(&some_nodes(), &some_list(), &options, &clock).unwrap();
    assert_eq!(timed.new_shape_ns, DecisionNs { p50: 5, p99: 5, max: 5 });
    assert_eq!(timed.decision_ns, timed.new_shape_ns);
    assert_eq!(timed.decisions, came.len() as u64);
}

#[test]
fn names_are_known_and_the_nearest_is_told() {
    for policy in PackPolicy::ALL {
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    assert!("best-fit".parse::<PackPolicy>().unwrap_err().contains("`best_fit`"));
}

#[test]
fn the_mix_is_the_most_frequent_shapes() {
    let shapes = [(90, whole(1)), (6, share(500)), (3, whole(8)), (1, DeviceDemand::None)];
    let jobs: Vec<Job> =
        shapes.iter().flat_map(|&(count, devices)| vec![job(1_000, devices); count]).collect();
    let mix = Mix::of(&jobs);
    assert_eq!((mix.distinct, mix.total, mix.shapes.len()), (4, 96, 2));
    assert_eq!(mix.coverage_pct, 96.0);
    assert_eq!(mix.shapes[1].0.devices, share(500));
    assert!(Mix::of(&[]).shapes.is_empty());
}

proptest! {
    /// What is lost to a mix is between nothing and all that is idle, and a node that is full has
    /// nothing to lose.
    #[test]
    fn fragmentation_is_a_part_of_what_is_idle(
        left in prop::collection::vec(0_u16..=1_000, 0..=8),
        cpu in 0_u32..100_000,
    ) {
        let node = FreeNode::with_left(cpu, 0, rampmeter::fleet::ModelId(0), &left);
        let mix = Mix::of(&some_list().jobs);
        prop_assert!(mix.fragmentation(&node) <= node.idle_milli() * mix.total);
        for job in some_list().jobs {
            let lost = fragmentation_milli(&node, &job.member);
            prop_assert!(lost <= node.idle_milli());
            if job.member.devices == DeviceDemand::None {
                prop_assert_eq!(lost, node.idle_milli());
            }
        }
    }
}
