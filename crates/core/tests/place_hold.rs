//! Cycles that hold batch work for urgent work: while the first is held nobody like it starts, urgent
//! work goes on, who is held starts in the end, and a rule that never holds changes nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use rampmeter::fleet::{Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, NodeSpec};
use rampmeter::headroom::hold::{BatchJob, Reserve};
use rampmeter::place::{
    Because, Cycle, CyclePlan, Holding, Placer, PlacerOptions, Reservation, Stage, Task, TaskId,
};
use rampmeter::policy::{Amounts, Backfill, Measure, PendingOrder, Policy};
use rampmeter::share::{AccountId, Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};

fn seconds(seconds: u64) -> Nanos {
    Nanos::from_millis(seconds * 1_000)
}

fn policy(order: PendingOrder, backfill: Backfill, cycle_tasks_max: u32) -> Policy {
    let mut policy = Policy::default();
    policy.placement.measure = Measure::BestFit;
    policy.placement.order = order;
    policy.placement.backfill = backfill;
    policy.placement.cycle_tasks_max = cycle_tasks_max;
    policy
}

/// A rule by a function of the job, which remembers what it was asked and what it said.
struct Rule<F> {
    says: F,
    asked: RefCell<Vec<(BatchJob, bool)>>,
}

impl<F: Fn(Nanos, &BatchJob) -> bool> Rule<F> {
    fn new(says: F) -> Self {
        Self { says, asked: RefCell::default() }
    }
}

impl<F: Fn(Nanos, &BatchJob) -> bool> Holding for Rule<F> {
    fn urgent_class(&self) -> u32 {
        0
    }

    fn check(&self, _: Nanos) -> Result<(), Error> {
        Ok(())
    }

    fn holds(&self, now: Nanos, job: &BatchJob) -> bool {
        let holds = (self.says)(now, job);
        self.asked.borrow_mut().push((*job, holds));
        holds
    }
}

#[derive(Clone, Copy, Debug)]
struct Job {
    arrives_s: u64,
    account: usize,
    is_batch: bool,
    gpus: u8,
    members: u32,
    duration_s: u64,
}

impl Job {
    fn takes_gpus(&self) -> bool {
        self.is_batch && self.gpus > 0
    }
}

prop_compose! {
    fn job()(
        arrives_s in 0_u64..40,
        account in 0_usize..2,
        is_batch in any::<bool>(),
        gpus in 0_u8..5,
        members in 1_u32..4,
        duration_s in 1_u64..30,
    ) -> Job {
        Job { arrives_s, account, is_batch, gpus, members, duration_s }
    }
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    prop::collection::vec(job(), 1..40)
}

fn nodes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1_u8..5, 1..4)
}

fn orders() -> impl Strategy<Value = PendingOrder> {
    prop::sample::select(PendingOrder::ALL.to_vec())
}

fn backfills() -> impl Strategy<Value = Backfill> {
    prop::sample::select(Backfill::ALL.to_vec())
}

struct World {
    placer: Placer,
    ledger: Ledger,
    accounts: Vec<AccountId>,
    ids: BTreeMap<u64, usize>,
    ends_at: BTreeMap<usize, Nanos>,
    started_at: BTreeMap<usize, Nanos>,
    calls: Vec<(Nanos, Cycle)>,
}

impl World {
    fn new(policy: &Policy, nodes: &[u8]) -> Self {
        let size = FleetOptions { nodes_max: 8, devices_per_node_max: 8 };
        let mut fleet = Fleet::new(&size).unwrap();
        for gpus in nodes {
            let devices = vec![DeviceSpec::default(); usize::from(*gpus)];
            fleet.add_node(&NodeSpec { devices: &devices, ..NodeSpec::default() }).unwrap();
        }
        let options = PlacerOptions {
            tasks_max: 256,
            members_max: 128,
            task_members_max: 16,
            accounts_max: 4,
        };
        let mut ledger = Ledger::new(&LedgerOptions {
            accounts_max: 4,
            resources: 3,
            dominant: true,
            half_life: seconds(1_000),
            ..LedgerOptions::default()
        })
        .unwrap();
        let gpus: u64 = nodes.iter().map(|gpus| u64::from(*gpus) * 1_000).sum();
        let mut capacity = Amounts::ZERO;
        capacity.0[..3].copy_from_slice(&[gpus, 64_000, 64]);
        ledger.set_capacity(&capacity).unwrap();
        let accounts = [1.0, 2.0].map(|weight| ledger.open(None, weight).unwrap()).to_vec();
        let placer = Placer::new(fleet, policy, &options).unwrap();
        let (ids, calls) = (BTreeMap::new(), Vec::new());
        let (ends_at, started_at) = (BTreeMap::new(), BTreeMap::new());
        Self { placer, ledger, accounts, ids, ends_at, started_at, calls }
    }

    fn submit(&mut self, now: Nanos, at: usize, job: &Job) -> TaskId {
        let devices = match job.gpus {
            0 => DeviceDemand::None,
            count => DeviceDemand::Whole { count, memory_mib: 0 },
        };
        let task = Task {
            tag: at as u64,
            account: self.accounts[job.account],
            class: job.is_batch.into(),
            member: Demand { devices, ..Demand::default() },
            members: job.members,
            duration: seconds(job.duration_s),
            ..Task::default()
        };
        let id = self.placer.submit(now, &task).unwrap();
        self.ids.insert(id.to_raw(), at);
        id
    }

    fn end_due(&mut self, now: Nanos) -> Vec<usize> {
        let due = self.ends_at.iter().filter(|(_, at)| **at <= now).map(|(job, _)| *job);
        let due: Vec<usize> = due.collect();
        for job in &due {
            let raw = *self.ids.iter().find(|(_, other)| *other == job).unwrap().0;
            self.placer.release(now, TaskId::from_raw(raw)).unwrap();
            self.ids.remove(&raw);
            self.ends_at.remove(job);
        }
        due
    }

    /// A pass, in as many calls as it takes; who started.
    fn pass(&mut self, now: Nanos, jobs: &[Job], holding: Option<&dyn Holding>) -> Vec<usize> {
        let mut all = Vec::new();
        for _ in 0..1_000 {
            let (mut started, mut reserved) = ([TaskId::default(); 9], [Reservation::default(); 9]);
            let mut plan =
                CyclePlan { started: &mut started, ending: &mut [], reserved: &mut reserved };
            let Self { placer, ledger, .. } = self;
            let cycle = match holding {
                Some(holding) => placer.cycle_holding(now, ledger, &mut plan, holding),
                None => placer.cycle(now, ledger, &mut plan),
            };
            let cycle = cycle.unwrap();
            self.calls.push((now, cycle));
            for id in &started[..cycle.started_len as usize] {
                let job = self.ids[&id.to_raw()];
                assert!(self.started_at.insert(job, now).is_none(), "started twice");
                self.ends_at.insert(job, now.saturating_add(seconds(jobs[job].duration_s)));
                all.push(job);
            }
            if !cycle.more {
                return all;
            }
        }
        panic!("cycles without end");
    }

    fn saved(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.placer.snapshot_bytes() as usize];
        self.placer.save(&mut bytes).unwrap();
        bytes
    }

    /// All jobs, with `pass` at each event, until nothing runs, or everything was asked 500 times.
    fn run(&mut self, jobs: &[Job], mut pass: impl FnMut(&mut Self, Nanos)) {
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|at| (jobs[*at].arrives_s, *at));
        let (mut next, mut now) = (0, Nanos::ZERO);
        for _ in 0..500 {
            self.end_due(now);
            while let Some(at) = order.get(next).filter(|at| seconds(jobs[**at].arrives_s) <= now) {
                self.submit(now, *at, &jobs[*at]);
                next += 1;
            }
            pass(self, now);
            let arrival = order.get(next).map(|at| seconds(jobs[*at].arrives_s));
            let end = self.ends_at.values().min().copied();
            let promised = self.placer.reservations().map(|promise| promise.start_at).min();
            match [arrival, end, promised].into_iter().flatten().filter(|at| *at > now).min() {
                Some(at) => now = at,
                None => break,
            }
        }
    }
}

proptest! {
    /// Whatever the rule says, whoever starts was asked about and let go, and after the first that is
    /// held nobody like it starts in that pass.
    #[test]
    fn while_one_is_held_no_batch_task_starts(
        nodes in nodes(),
        jobs in jobs(),
        order in orders(),
        backfill in backfills(),
        cycle_tasks_max in prop::sample::select(vec![0_u32, 1, 5]),
        odd in any::<u64>(),
    ) {
        // An arbitrary rule: some jobs, at some times.
        let says = |now: Nanos, job: &BatchJob| {
            let hash = (now.get() / 1_000_000_000 + 31 * job.gpus as u64 + odd % 97)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash >> 62 == 0
        };
        let mut world = World::new(&policy(order, backfill, cycle_tasks_max), &nodes);
        world.run(&jobs, |world, now| {
            let rule = Rule::new(says);
            let (begin, calls) = (world.started_at.len(), world.calls.len());
            let started = world.pass(now, &jobs, Some(&rule));
            assert_eq!(world.started_at.len(), begin + started.len());
            let batch = started.iter().filter(|job| jobs[**job].takes_gpus()).count();
            let asked = rule.asked.into_inner();
            assert!(asked.iter().all(|(job, _)| job.gpus > 0.0 && job.waiting > 0));
            let let_go = asked.iter().filter(|(_, holds)| !holds).count();
            assert!(batch <= let_go, "{batch} started, {let_go} were let go");
            let held: u32 = world.calls[calls..].iter().map(|(_, cycle)| cycle.held).sum();
            assert_eq!(held > 0, world.placer.held_back().is_some());
        });
    }

    /// A rule that always holds: no batch work with GPUs ever starts, what takes none does, and
    /// urgent work that finds room never waits for it.
    #[test]
    fn urgent_work_is_never_held(nodes in nodes(), jobs in jobs(), order in orders(), parts in 0_u32..4) {
        let mut world = World::new(&policy(order, Backfill::Easy, parts), &nodes);
        let rule = Rule::new(|_, _: &BatchJob| true);
        world.run(&jobs, |world, now| {
            let started = world.pass(now, &jobs, Some(&rule));
            assert!(started.iter().all(|job| !jobs[*job].takes_gpus()));
            let ids: Vec<TaskId> = world.ids.keys().map(|raw| TaskId::from_raw(*raw)).collect();
            for id in ids {
                let entry = *world.placer.task(id).unwrap();
                let job = jobs[entry.task.tag as usize];
                let reserved = world.placer.reservations().any(|promise| promise.task == id);
                if entry.stage == Stage::Pending && !job.takes_gpus() && !reserved {
                    let why = world.placer.why(now, &entry.task).unwrap();
                    assert!(!why.held && !why.starts(), "{job:?} waits at {now}: {why:?}");
                }
            }
        });
    }

    /// A rule that never holds is no rule, to the bit.
    #[test]
    fn without_a_rule_nothing_changes(
        nodes in nodes(),
        jobs in jobs(),
        order in orders(),
        backfill in backfills(),
        parts in 0_u32..6,
    ) {
        let policy = policy(order, backfill, parts);
        let rule = Rule::new(|_, _: &BatchJob| false);
        let run = |holding: Option<&dyn Holding>| {
            let mut world = World::new(&policy, &nodes);
            let mut snapshots = Vec::new();
            world.run(&jobs, |world, now| {
                world.pass(now, &jobs, holding);
                snapshots.push(world.saved());
            });
            (world.calls, world.started_at, snapshots)
        };
        prop_assert!(run(None) == run(Some(&rule)));
    }

    /// Where nothing else happens, a pass in pieces holds and starts whom it does in one.
    #[test]
    fn pieces_of_a_pass_are_the_pass(
        nodes in nodes(),
        jobs in jobs(),
        order in orders(),
        backfill in backfills(),
        parts in 1_u32..9,
        most in 1_u32..6,
    ) {
        let rule = Rule::new(|_, job: &BatchJob| job.gpus > f64::from(most));
        let started = |parts: u32| {
            let mut world = World::new(&policy(order, backfill, parts), &nodes);
            for (at, job) in jobs.iter().enumerate() {
                world.submit(Nanos::ZERO, at, job);
            }
            let started: std::collections::BTreeSet<usize> =
                world.pass(Nanos::ZERO, &jobs, Some(&rule)).into_iter().collect();
            (started, world.placer.held_back())
        };
        prop_assert_eq!(started(parts), started(0));
    }
}

/// Urgent requests of one GPU and 400 s every 100 s for four hours on eight GPUs, and batch jobs that
/// wait all the time; then no urgent work.
fn busy_day(reserve_beta_min: Option<f64>) -> (f64, f64, f64) {
    let mut policy = policy(PendingOrder::Arrival, Backfill::Easy, 0);
    policy.hold.reserve_beta_min = reserve_beta_min.unwrap_or_default();
    let batch = [1_u8, 4, 2, 4, 1, 4, 3, 4].into_iter().cycle().take(40);
    let batch = batch.map(|gpus| Job {
        arrives_s: 3_600,
        account: 0,
        is_batch: true,
        gpus,
        members: 1,
        duration_s: 1_800,
    });
    let urgent = (0..144).map(|at| Job {
        arrives_s: 100 * at,
        account: 1,
        is_batch: false,
        gpus: 1,
        members: 1,
        duration_s: 400,
    });
    let jobs: Vec<Job> = urgent.chain(batch).collect();
    let mut world = World::new(&policy, &[4, 4]);
    let mut reserve = Reserve::new(Nanos::ZERO, &policy, 0, 8.0).unwrap();
    let mut held_calls = 0.0;
    for now_s in (0..400_000).step_by(10) {
        let now = seconds(now_s);
        for job in world.end_due(now) {
            if jobs[job].is_batch {
                reserve.released(now, jobs[job].gpus.into()).unwrap();
            } else {
                reserve.ended(now, seconds(jobs[job].duration_s)).unwrap();
            }
        }
        let come = |at: &usize| (now_s..now_s + 10).contains(&jobs[*at].arrives_s);
        for at in (0..jobs.len()).filter(come).collect::<Vec<_>>() {
            world.submit(now, at, &jobs[at]);
            if !jobs[at].is_batch {
                reserve.arrived(now, 1.0).unwrap();
            }
        }
        let holding = reserve_beta_min.map(|_| &reserve as &dyn Holding);
        for job in world.pass(now, &jobs, holding) {
            if !jobs[job].is_batch {
                reserve.started(now).unwrap();
            }
        }
        held_calls += f64::from(u8::from(world.placer.held_back().is_some()));
    }
    let waits = (0..144).map(|at| world.started_at[&at].as_seconds() - 100.0 * at as f64);
    let last_s = (144..jobs.len()).map(|at| world.started_at[&at].as_seconds()).fold(0.0, f64::max);
    (waits.sum::<f64>() / 144.0, last_s, held_calls)
}

/// Batch work is held while urgent work comes, which then waits less; all of it starts in the end.
#[test]
fn who_is_held_starts_in_the_end() {
    let days = [None, Some(0.0), Some(2.0)].map(busy_day);
    for (wait_s, last_s, held) in days {
        println!("urgent waits {wait_s:.1} s, last batch start {last_s} s, held {held} times");
    }
    let [free, priced, cautious] = days;
    assert!(free.2 == 0.0 && priced.2 > 0.0 && cautious.2 > priced.2);
    assert!(priced.0 < 0.8 * free.0 && cautious.0 < priced.0, "urgent work waits less");
}

/// A held task says so, and so does everything like it; what it is asked about can be asked again.
#[test]
fn who_is_held_is_told_so() {
    let policy = policy(PendingOrder::Arrival, Backfill::Easy, 0);
    let mut world = World::new(&policy, &[4]);
    let job = |is_batch: bool, gpus: u8| Job {
        arrives_s: 0,
        account: 0,
        is_batch,
        gpus,
        members: 1,
        duration_s: 100,
    };
    let jobs = [job(true, 2), job(true, 1), job(false, 1), job(true, 0)];
    let ids: Vec<TaskId> =
        jobs.iter().enumerate().map(|(at, job)| world.submit(Nanos(5), at, job)).collect();
    let rule = Rule::new(|_, job: &BatchJob| job.gpus_free - job.gpus < 3.0);
    let mut started = world.pass(Nanos(5), &jobs, Some(&rule));
    started.sort_unstable();
    assert_eq!(started, [2, 3]);
    let (asked, _) = rule.asked.borrow()[0];
    let delay_value = policy.classes[1].delay_value;
    assert_eq!(asked, BatchJob { gpus: 2.0, delay_value, waiting: 2, gpus_free: 4.0 });
    assert_eq!(world.placer.held_back(), Some(ids[0]));
    let later = world.placer.batch_job(ids[0], 0).unwrap();
    assert_eq!(later, BatchJob { gpus_free: 3.0, ..asked });
    for at in [0, 1] {
        let expected = world.placer.expected_start(Nanos(5), ids[at]).unwrap();
        assert_eq!((expected.at, expected.because), (Some(Nanos(5)), Because::Held));
        let task = world.placer.task(ids[at]).unwrap().task;
        let why = world.placer.why(Nanos(5), &task).unwrap();
        assert!(why.held && !why.starts() && why.members_fit == 1);
    }
    let (restored, saved) = (world.saved(), world.saved());
    assert_eq!(restored, saved);
    // Without the rule they start, and nothing says held any more.
    assert_eq!(world.pass(Nanos(6), &jobs, None), [0, 1]);
    assert_eq!(world.placer.held_back(), None);
}

/// A reserve that is ahead of the call, or of a class that there is not, changes nothing.
#[test]
fn who_cannot_be_asked_changes_nothing() {
    struct Nobody;
    impl Holding for Nobody {
        fn urgent_class(&self) -> u32 {
            99
        }
        fn check(&self, _: Nanos) -> Result<(), Error> {
            Ok(())
        }
        fn holds(&self, _: Nanos, _: &BatchJob) -> bool {
            true
        }
    }
    let policy = policy(PendingOrder::Arrival, Backfill::Easy, 0);
    let mut world = World::new(&policy, &[4]);
    let job = Job { arrives_s: 0, account: 0, is_batch: true, gpus: 1, members: 1, duration_s: 9 };
    let id = world.submit(Nanos(5), 0, &job);
    let before = world.saved();
    let ahead = Reserve::new(Nanos(9), &policy, 0, 4.0).unwrap();
    let mut plan = CyclePlan { started: &mut [id], ending: &mut [], reserved: &mut [] };
    let World { placer, ledger, .. } = &mut world;
    let mut fault = |now: u64, holding: &dyn Holding| {
        placer.cycle_holding(Nanos(now), ledger, &mut plan, holding).unwrap_err().field()
    };
    assert_eq!(fault(8, &ahead), "now_ns");
    assert_eq!(fault(9, &Nobody), "urgent_class");
    assert_eq!(placer.batch_job(id, 2).unwrap_err().field(), "urgent_class");
    assert_eq!(world.saved(), before);
}
