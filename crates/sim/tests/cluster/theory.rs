//! What must hold under any discipline, and small cases whose answer is known otherwise.

use std::collections::HashMap;

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter_sim::cluster::{
    ClusterError, Costs, Failures, JobList, NodeList, Options, Queue, Simulated, simulate,
};

use crate::support::{FREE, jobs_of, reported, run};

/// (arrival, duration, estimate, GPUs) in whole seconds, in order of arrival.
fn jobs(gpus_max: u32) -> impl Strategy<Value = Vec<(f64, f64, f64, u32)>> {
    let job = (0_u32..300, 1_u32..200, 0_u32..200, 1..=gpus_max);
    proptest::collection::vec(job, 1..40).prop_map(|mut list| {
        list.sort_by_key(|job| job.0);
        list.iter()
            .map(|&(at, run, more, gpus)| (at.into(), run.into(), (run + more).into(), gpus))
            .collect()
    })
}

fn queue() -> impl Strategy<Value = Queue> {
    proptest::sample::select(Queue::ALL.to_vec())
}

fn options() -> impl Strategy<Value = Options> {
    let checkpoint = proptest::option::of(0_u64..30);
    // A node fails about every twenty minutes: often enough to be met, and rarely enough for jobs
    // of three minutes to end.
    let failures = (proptest::bool::ANY, 0_u64..100).prop_map(|(fail, seed)| {
        let seconds = |s: u64| Nanos::from_millis(s * 1_000);
        fail.then(|| Failures { mtbf: seconds(1_200), mttr: seconds(60), seed })
    });
    let all = (0_u64..10, checkpoint, 0_u64..40, failures);
    all.prop_map(|(restart_s, checkpoint_s, interval_s, failures)| Options {
        failures,
        costs: Costs {
            restart: Nanos::from_millis(restart_s * 1_000),
            checkpoint: checkpoint_s.map(|s| Nanos::from_millis(s * 1_000)),
        },
        interval: Nanos::from_millis(interval_s * 1_000),
    })
}

fn end_s(simulated: &Simulated) -> Vec<f64> {
    let ends = simulated.records.iter().map(|record| record.ended);
    ends.map(|end| end.map_or(f64::NAN, Nanos::as_seconds)).collect()
}

fn start_s(simulated: &Simulated) -> Vec<f64> {
    let starts = simulated.records.iter().map(|record| record.started);
    starts.map(|start| start.map_or(f64::NAN, Nanos::as_seconds)).collect()
}

/// Thousandths of GPUs between the first start and the end of all jobs, at most.
fn most_between_start_and_end(jobs: &JobList, simulated: &Simulated) -> i64 {
    let mut steps = Vec::new();
    for (job, record) in jobs.jobs.iter().zip(&simulated.records) {
        let width = job.gpu_milli().cast_signed();
        steps.push((record.started.unwrap(), width));
        steps.push((record.ended.unwrap(), -width));
    }
    // At one time, ends come first: they sort before starts.
    steps.sort_unstable();
    let mut now = 0;
    steps.iter().fold(0, |most, (_, step)| {
        now += step;
        most.max(now)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_is_lost_and_nothing_comes_from_nowhere(
        list in jobs(12), queue in queue(), options in options(),
    ) {
        let jobs = jobs_of(&list, 4);
        let nodes = NodeList::uniform(3, 4, "gpu");
        let simulated = run(&nodes, &jobs, queue, &options);
        prop_assert!(simulated.held_milli_max <= 12_000);
        for (job, record) in jobs.jobs.iter().zip(&simulated.records) {
            let spent = Nanos(job.duration.get() + record.lost.get() + record.restarting.get());
            prop_assert_eq!(record.held, spent);
            let (started, ended) = (record.started.unwrap(), record.ended.unwrap());
            prop_assert!(started >= job.arrival);
            prop_assert!(ended.get() - started.get() >= record.held.get());
            prop_assert!(record.preemptions + record.failures > 0 || record.held == job.duration);
            prop_assert!(record.contention >= 1.0 - 1e-9);
        }
        if matches!(queue, Queue::Fifo | Queue::Easy | Queue::Conservative) {
            prop_assert!(simulated.records.iter().all(|record| record.preemptions == 0));
            let fails = simulated.records.iter().any(|record| record.failures > 0);
            prop_assert!(fails || most_between_start_and_end(&jobs, &simulated) <= 12_000);
        }
        let run = reported(&nodes, &jobs, queue, &options);
        let spent = run.gpu_s.work + run.gpu_s.lost + run.gpu_s.restarting;
        let held: f64 = jobs.jobs.iter().zip(&simulated.records)
            .map(|(job, record)| job.gpus() * record.held.as_seconds()).sum();
        prop_assert!((spent - held).abs() < 1e-6 * held);
        prop_assert!(run.utilization <= 1.0 + 1e-9);
    }

    #[test]
    fn the_same_twice(list in jobs(8), queue in queue(), options in options()) {
        let (jobs, nodes) = (jobs_of(&list, 4), NodeList::uniform(2, 4, "gpu"));
        let first = run(&nodes, &jobs, queue, &options);
        prop_assert_eq!(run(&nodes, &jobs, queue, &options), first);
    }

    /// Lindley's recursion for one server.
    #[test]
    fn one_machine_in_order_waits_as_a_queue_does(list in jobs(1)) {
        let jobs = jobs_of(&list, 1);
        let nodes = NodeList::uniform(1, 1, "gpu");
        let simulated = run(&nodes, &jobs, Queue::Fifo, &FREE);
        let mut free_s: f64 = 0.0;
        let expected: Vec<f64> = list
            .iter()
            .map(|(at, run, ..)| {
                let start = free_s.max(*at);
                free_s = start + run;
                start
            })
            .collect();
        prop_assert_eq!(start_s(&simulated), expected);
    }

    /// Nobody who was promised a start gets it later, where estimates are never too short and all
    /// GPUs are alike in reach.
    #[test]
    fn promises_are_kept(list in jobs(6), conservative: bool) {
        let jobs = jobs_of(&list, 1);
        let nodes = NodeList::uniform(6, 1, "gpu");
        let queue = if conservative { Queue::Conservative } else { Queue::Easy };
        let run = reported(&nodes, &jobs, queue, &FREE);
        prop_assert_eq!(run.reservations.late, 0, "{:?}", run.reservations);
    }

    /// With exact estimates EASY does not delay the first that waits, so that the very first job
    /// that has to wait starts when it would have in plain order.
    #[test]
    fn the_first_to_wait_is_not_delayed(mut list in jobs(6)) {
        for job in &mut list {
            job.2 = job.1;
        }
        let jobs = jobs_of(&list, 1);
        let nodes = NodeList::uniform(6, 1, "gpu");
        let plain = start_s(&run(&nodes, &jobs, Queue::Fifo, &FREE));
        let easy = start_s(&run(&nodes, &jobs, Queue::Easy, &FREE));
        if let Some(first) = (0..list.len()).find(|at| plain[*at] > list[*at].0) {
            prop_assert_eq!(plain[first], easy[first]);
        }
    }

    #[test]
    fn shortest_remaining_time_is_best_on_one_machine(
        list in proptest::collection::vec((0_u32..5, 1_u32..5), 1..5),
    ) {
        let mut list = list;
        list.sort_unstable();
        let seconds: Vec<(f64, f64, f64, u32)> =
            list.iter().map(|&(at, run)| (at.into(), run.into(), run.into(), 1)).collect();
        let jobs = jobs_of(&seconds, 1);
        let nodes = NodeList::uniform(1, 1, "gpu");
        let ends: f64 = end_s(&run(&nodes, &jobs, Queue::Srtf, &FREE)).iter().sum();
        let left: Vec<u32> = list.iter().map(|job| job.1).collect();
        let arrivals: Vec<u32> = list.iter().map(|job| job.0).collect();
        prop_assert_eq!(ends, f64::from(least_sum_of_ends(0, &left, &arrivals, &mut HashMap::new())));
    }
}

/// Every schedule in steps of a second: the least sum of the times at which jobs end.
fn least_sum_of_ends(
    now: u32,
    left: &[u32],
    arrivals: &[u32],
    known: &mut HashMap<(u32, Vec<u32>), u32>,
) -> u32 {
    if left.iter().all(|left| *left == 0) {
        return 0;
    }
    if let Some(sum) = known.get(&(now, left.to_vec())) {
        return *sum;
    }
    let mut best = u32::MAX;
    for job in 0..left.len() {
        if left[job] == 0 || arrivals[job] > now {
            continue;
        }
        let mut after = left.to_vec();
        after[job] -= 1;
        let ended = if after[job] == 0 { now + 1 } else { 0 };
        best = best.min(ended + least_sum_of_ends(now + 1, &after, arrivals, known));
    }
    if best == u32::MAX {
        best = least_sum_of_ends(now + 1, left, arrivals, known);
    }
    known.insert((now, left.to_vec()), best);
    best
}

#[test]
fn easy_lets_only_those_ahead_who_do_not_delay_the_first() {
    // Three of four GPUs are busy until 10; the second job wants all four.
    let list = [(0.0, 10.0, 10.0, 3), (1.0, 5.0, 5.0, 4), (2.0, 20.0, 20.0, 1), (3.0, 7.0, 7.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(4, 1, "gpu"));
    let easy = run(&nodes, &jobs, Queue::Easy, &FREE);
    assert_eq!(start_s(&easy), [0.0, 10.0, 15.0, 3.0]);
    assert_eq!(easy.records[1].promised, Some(Nanos::from_seconds(10.0)));
    assert_eq!(start_s(&run(&nodes, &jobs, Queue::Fifo, &FREE)), [0.0, 10.0, 15.0, 15.0]);
    let conservative = run(&nodes, &jobs, Queue::Conservative, &FREE);
    assert_eq!(start_s(&conservative), [0.0, 10.0, 15.0, 3.0]);
}

#[test]
fn a_job_ahead_of_the_first_may_take_what_it_will_leave_over() {
    // At 10 four GPUs are free, of which the second job wants three.
    let list = [(0.0, 10.0, 10.0, 3), (1.0, 5.0, 5.0, 3), (2.0, 50.0, 50.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(4, 1, "gpu"));
    assert_eq!(start_s(&run(&nodes, &jobs, Queue::Easy, &FREE)), [0.0, 10.0, 2.0]);
}

#[test]
fn an_early_end_moves_promises_forward() {
    let list = [(0.0, 4.0, 10.0, 1), (1.0, 5.0, 5.0, 1), (2.0, 1.0, 1.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(1, 1, "gpu"));
    for queue in [Queue::Easy, Queue::Conservative] {
        let simulated = run(&nodes, &jobs, queue, &FREE);
        assert_eq!(start_s(&simulated), [0.0, 4.0, 9.0], "{queue}");
    }
}

#[test]
fn preemption_costs_what_it_says() {
    // The short job comes at 25 and stops the long one, which had saved its state at 20.
    let list = [(0.0, 100.0, 100.0, 1), (25.0, 5.0, 5.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(1, 1, "gpu"));
    let costs = |checkpoint_s: Option<u64>| Options {
        costs: Costs {
            restart: Nanos::from_millis(3_000),
            checkpoint: checkpoint_s.map(|s| Nanos::from_millis(s * 1_000)),
        },
        ..Options::default()
    };
    let ends = |checkpoint_s| end_s(&run(&nodes, &jobs, Queue::Srtf, &costs(checkpoint_s)));
    assert_eq!(ends(Some(10)), [30.0 + 3.0 + 80.0, 30.0]);
    assert_eq!(ends(None), [30.0 + 3.0 + 75.0, 30.0]);
    let report = reported(&nodes, &jobs, Queue::Srtf, &costs(Some(10)));
    assert_eq!((report.preemptions, report.gpu_s.lost), (1, 5.0));
    assert_eq!((report.gpu_s.work, report.gpu_s.restarting), (105.0, 3.0));
    // 25 s to the first end of the short job, 113 s in all.
    assert_eq!(report.makespan_s, 113.0);
    assert_eq!(report.utilization, 1.0);
}

#[test]
fn who_has_had_much_gives_way_to_who_has_had_little() {
    // With 4 GPUs, 3,250 GPU seconds are had after 812.5 s.
    let list = [(0.0, 2_000.0, 2_000.0, 4), (100.0, 10.0, 10.0, 4)];
    let (jobs, nodes) = (jobs_of(&list, 4), NodeList::uniform(1, 4, "gpu"));
    let simulated = run(&nodes, &jobs, Queue::Las, &FREE);
    assert_eq!(start_s(&simulated), [0.0, 812.5]);
    assert_eq!(end_s(&simulated), [2_010.0, 822.5]);
}

#[test]
fn decisions_wait_for_the_interval() {
    let list = [(0.0, 10.0, 10.0, 1), (5.0, 10.0, 10.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(2, 1, "gpu"));
    let options = Options { interval: Nanos::from_millis(360_000), ..FREE };
    for queue in Queue::ALL {
        assert_eq!(start_s(&run(&nodes, &jobs, queue, &options)), [0.0, 360.0], "{queue}");
    }
}

#[test]
fn room_is_made_where_free_gpus_are_scattered() {
    // Two nodes of two, each half full; the last job wants a whole node and is the shortest.
    let list = [
        (0.0, 100.0, 100.0, 2),
        (0.0, 90.0, 90.0, 1),
        (0.0, 80.0, 80.0, 1),
        (0.0, 1.0, 1.0, 1),
        (50.0, 10.0, 10.0, 2),
    ];
    let (jobs, nodes) = (jobs_of(&list, 2), NodeList::uniform(2, 2, "gpu"));
    let simulated = run(&nodes, &jobs, Queue::Srtf, &FREE);
    assert_eq!(simulated.records[4].started, Some(Nanos::from_seconds(50.0)));
}

#[test]
fn a_job_larger_than_the_cluster_holds_up_nobody() {
    let list = [(0.0, 10.0, 10.0, 5), (1.0, 10.0, 10.0, 4)];
    let (jobs, nodes) = (jobs_of(&list, 4), NodeList::uniform(1, 4, "gpu"));
    for queue in Queue::ALL {
        let run = reported(&nodes, &jobs, queue, &FREE);
        assert_eq!((run.felt.too_large, run.felt.completed), (1, 1), "{queue}");
        assert_eq!(run.felt.queue_wait_s.max, 0.0);
    }
}

#[test]
fn jobs_that_take_no_time_end_at_once() {
    let list = [(3.0, 0.0, 0.0, 1), (3.0, 0.0, 0.0, 1), (3.0, 5.0, 5.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(1, 1, "gpu"));
    for queue in Queue::ALL {
        // Conservative backfilling reserves a nanosecond even for no time at all.
        let ends = end_s(&run(&nodes, &jobs, queue, &FREE));
        let late = ends.iter().zip([3.0, 3.0, 8.0]).map(|(end, expected)| end - expected);
        assert!(late.clone().all(|late| (0.0..1e-6).contains(&late)), "{queue}: {ends:?}");
    }
}

#[test]
fn a_failure_takes_what_was_not_saved_and_the_job_ends_all_the_same() {
    let seconds = |s: u64| Nanos::from_millis(s * 1_000);
    let list = [(0.0, 5_000.0, 5_000.0, 2), (0.0, 5_000.0, 5_000.0, 1)];
    let (jobs, nodes) = (jobs_of(&list, 1), NodeList::uniform(3, 1, "gpu"));
    let failures = Some(Failures { mtbf: seconds(4_000), mttr: seconds(500), seed: 3 });
    let lost = |checkpoint| {
        let costs = Costs { restart: seconds(10), checkpoint };
        let options = Options { costs, interval: Nanos::ZERO, failures };
        let run = reported(&nodes, &jobs, Queue::Fifo, &options);
        assert_eq!(run.felt.completed, 2);
        assert!(run.failures > 0 && run.preemptions == 0);
        run.gpu_s.lost
    };
    let (rarely, often) = (lost(None), lost(Some(seconds(60))));
    assert!(often > 0.0 && often < rarely, "{often} of {rarely}");
}

#[test]
fn a_job_that_failures_never_let_end_is_given_up() {
    let seconds = |s: u64| Nanos::from_millis(s * 1_000);
    let jobs = jobs_of(&[(0.0, 1e6, 1e6, 1)], 1);
    let failures = Some(Failures { mtbf: seconds(1_000), mttr: seconds(1), seed: 3 });
    let options = Options { failures, ..FREE };
    let nodes = NodeList::uniform(1, 1, "gpu");
    let mut fifo = Queue::Fifo.discipline();
    let policy = rampmeter::policy::Policy::default();
    let said = simulate(&nodes, &jobs, &policy, &mut *fifo, &options, &mut |_| ());
    assert_eq!(said, Err(ClusterError::Hopeless { job: 0 }));
}
