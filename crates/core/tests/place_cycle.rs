//! Cycles over the pending set: whatever comes, nothing starts that does not fit, gangs start whole,
//! no reserved task starts later than it was told, and the pieces of a pass are the pass.

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter::fleet::{
    Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, ModelId, NodeSpec, Sharing,
};
use rampmeter::place::{
    Because, Cycle, CyclePlan, Expected, Placer, PlacerOptions, Reservation, Stage, Task, TaskId,
};
use rampmeter::policy::{AccountQuota, Amounts, Backfill, Measure, PendingOrder, Policy};
use rampmeter::share::{AccountId, Ledger, LedgerOptions};
use std::collections::BTreeMap;

fn policy(order: PendingOrder, backfill: Backfill, cycle_tasks_max: u32) -> Policy {
    let mut policy = Policy::default();
    // One that learns nothing, so that what is compared differs in the cycles alone.
    policy.placement.measure = Measure::BestFit;
    policy.placement.order = order;
    policy.placement.backfill = backfill;
    policy.placement.cycle_tasks_max = cycle_tasks_max;
    policy
}

fn ledger(weights: &[f64], capacity: [u64; 3]) -> (Ledger, Vec<AccountId>) {
    let mut ledger = Ledger::new(&LedgerOptions {
        accounts_max: 8,
        resources: 3,
        dominant: true,
        half_life: Nanos::from_seconds(1_000.0),
        ..LedgerOptions::default()
    })
    .unwrap();
    let mut amounts = Amounts::ZERO;
    amounts.0[..3].copy_from_slice(&capacity);
    ledger.set_capacity(&amounts).unwrap();
    let accounts = weights.iter().map(|weight| ledger.open(None, *weight).unwrap()).collect();
    (ledger, accounts)
}

fn placer(policy: &Policy, nodes: &[(u32, u8)]) -> Placer {
    let options = FleetOptions { nodes_max: 8, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).unwrap();
    for (cpu_milli, gpus) in nodes {
        let device =
            DeviceSpec { model: ModelId(0), sharing: Sharing::Shared, ..DeviceSpec::default() };
        let devices = vec![device; usize::from(*gpus)];
        let spec = NodeSpec { cpu_milli: *cpu_milli, devices: &devices, ..NodeSpec::default() };
        fleet.add_node(&spec).unwrap();
    }
    let options =
        PlacerOptions { tasks_max: 128, members_max: 128, task_members_max: 16, accounts_max: 8 };
    Placer::new(fleet, policy, &options).unwrap()
}

fn seconds(seconds: u64) -> Nanos {
    Nanos::from_millis(seconds * 1_000)
}

/// A job of the swarm: what it asks for, and how long it really runs, at most as long as it says.
#[derive(Clone, Copy, Debug)]
struct Job {
    arrives_s: u64,
    account: usize,
    priority: i32,
    cpu_milli: u32,
    devices: DeviceDemand,
    members: u32,
    members_min: u32,
    duration_s: u64,
    runs_s: u64,
}

impl Job {
    fn task(&self, tag: usize, accounts: &[AccountId]) -> Task {
        Task {
            tag: tag as u64,
            account: accounts[self.account % accounts.len()],
            priority: self.priority,
            member: Demand {
                cpu_milli: self.cpu_milli,
                devices: self.devices,
                ..Demand::default()
            },
            members: self.members,
            members_min: self.members_min.min(self.members),
            duration: seconds(self.duration_s),
            ..Task::default()
        }
    }
}

fn devices() -> impl Strategy<Value = DeviceDemand> {
    prop_oneof![
        1 => Just(DeviceDemand::None),
        3 => (1_u8..5).prop_map(|count| DeviceDemand::Whole { count, memory_mib: 0 }),
        2 => (1_u8..3, 1_u16..10).prop_map(|(count, tenths)| DeviceDemand::Share {
            count,
            milli: tenths * 100,
            memory_mib: 0
        }),
    ]
}

prop_compose! {
    fn job()(
        arrives_s in 0_u64..40,
        account in 0_usize..3,
        priority in -1_i32..2,
        cpu_milli in 0_u32..5,
        devices in devices(),
        members in 1_u32..5,
        members_min in 0_u32..5,
        duration_s in 1_u64..30,
        early in prop_oneof![3 => Just(0_u64), 1 => 1_u64..30],
    ) -> Job {
        let runs_s = duration_s.saturating_sub(early).max(1);
        Job { arrives_s, account, priority, cpu_milli, devices, members, members_min, duration_s, runs_s }
    }
}

fn jobs(exact: bool) -> impl Strategy<Value = Vec<Job>> {
    prop::collection::vec(job(), 1..40).prop_map(move |mut jobs| {
        if exact {
            for job in &mut jobs {
                job.runs_s = job.duration_s;
            }
        }
        jobs
    })
}

fn nodes() -> impl Strategy<Value = Vec<(u32, u8)>> {
    prop::collection::vec((4_u32..16, 1_u8..5), 1..4)
}

/// One run of jobs through a placer, checked at each step.
struct Run {
    placer: Placer,
    ledger: Ledger,
    accounts: Vec<AccountId>,
    ids: BTreeMap<u64, usize>,
    ends_at: BTreeMap<usize, Nanos>,
    started_at: BTreeMap<usize, Nanos>,
    promised: BTreeMap<usize, Nanos>,
    cycles: Vec<Cycle>,
}

impl Run {
    fn new(policy: &Policy, nodes: &[(u32, u8)]) -> Self {
        let gpus: u64 = nodes.iter().map(|node| u64::from(node.1) * 1_000).sum();
        let (ledger, accounts) = ledger(&[1.0, 2.0, 1.0], [gpus, 64, 0]);
        let placer = placer(policy, nodes);
        let (ids, cycles) = (BTreeMap::new(), Vec::new());
        let (ends_at, started_at, promised) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { placer, ledger, accounts, ids, ends_at, started_at, promised, cycles }
    }

    fn id(&self, job: usize) -> TaskId {
        TaskId::from_raw(*self.ids.iter().find(|(_, other)| **other == job).unwrap().0)
    }

    fn submit(&mut self, now: Nanos, at: usize, job: &Job) {
        let id = self.placer.submit(now, &job.task(at, &self.accounts)).unwrap();
        self.ids.insert(id.to_raw(), at);
    }

    fn end_due(&mut self, now: Nanos) {
        let due: Vec<usize> =
            self.ends_at.iter().filter(|(_, at)| **at <= now).map(|(job, _)| *job).collect();
        for job in due {
            let id = self.id(job);
            self.placer.release(now, id).unwrap();
            self.ends_at.remove(&job);
            self.ids.remove(&id.to_raw());
        }
    }

    /// Cycles until everybody was looked at.
    fn cycle(&mut self, now: Nanos, jobs: &[Job], room: usize) {
        for _ in 0..1_000 {
            let mut started = vec![TaskId::default(); room];
            let mut reserved = vec![Reservation::default(); room];
            let mut plan =
                CyclePlan { started: &mut started, ending: &mut [], reserved: &mut reserved };
            let cycle = self.placer.cycle(now, &mut self.ledger, &mut plan).unwrap();
            self.cycles.push(cycle);
            for id in &started[..cycle.started_len as usize] {
                let job = self.ids[&id.to_raw()];
                assert!(self.started_at.insert(job, now).is_none(), "started twice");
                self.ends_at.insert(job, now.saturating_add(seconds(jobs[job].runs_s)));
                if let Some(promised) = self.promised.get(&job) {
                    assert!(now <= *promised, "job {job} at {now}, promised for {promised}");
                }
            }
            for Reservation { task, start_at } in &reserved[..cycle.reserved_len as usize] {
                let job = self.ids[&task.to_raw()];
                let before = self.promised.insert(job, *start_at);
                assert!(
                    before.is_none_or(|before| *start_at < before),
                    "job {job} was promised {before:?}, now {start_at} at {now}"
                );
            }
            self.check();
            if !cycle.more {
                return;
            }
        }
        panic!("cycles without end");
    }

    /// What is held is what runs, whole, and the ledger knows it.
    fn check(&self) {
        let (mut gpu_milli, mut cpu_milli) = ([0; 3], [0; 3]);
        let mut taken: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for (raw, job) in &self.ids {
            let id = TaskId::from_raw(*raw);
            let entry = self.placer.task(id).unwrap();
            let holds: Vec<_> = self.placer.holds(id).unwrap().collect();
            assert_eq!(entry.stage == Stage::Running, self.started_at.contains_key(job));
            if entry.stage == Stage::Pending {
                assert!(holds.is_empty());
                continue;
            }
            assert!(holds.len() as u32 >= entry.task.members_needed(), "gangs start whole");
            let account = self.accounts.iter().position(|id| *id == entry.task.account).unwrap();
            for hold in holds {
                let devices = u64::from(hold.devices.count_ones());
                gpu_milli[account] += devices * u64::from(hold.device_milli);
                cpu_milli[account] += u64::from(hold.cpu_milli);
                for device in (0..16).filter(|device| hold.devices >> device & 1 == 1) {
                    let taken = taken.entry((hold.node.index(), device)).or_default();
                    *taken += u32::from(hold.device_milli);
                    assert!(*taken <= 1_000, "a device is given once");
                }
            }
        }
        for (at, account) in self.accounts.iter().enumerate() {
            let held = self.ledger.held(*account).unwrap();
            assert_eq!(held.0[..3], [gpu_milli[at], cpu_milli[at], 0], "account {at}");
        }
    }

    /// All of it, to the end; returns who started when.
    fn run(mut self, jobs: &[Job], room: usize) -> (BTreeMap<usize, Nanos>, Vec<Cycle>) {
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|at| (jobs[*at].arrives_s, *at));
        let mut next = 0;
        let mut now = Nanos::ZERO;
        for _ in 0..10_000 {
            self.end_due(now);
            while let Some(at) = order.get(next).filter(|at| seconds(jobs[**at].arrives_s) <= now) {
                self.submit(now, *at, &jobs[*at]);
                next += 1;
            }
            self.cycle(now, jobs, room);
            let arrival = order.get(next).map(|at| seconds(jobs[*at].arrives_s));
            let end = self.ends_at.values().min().copied();
            let promised = self.placer.reservations().map(|promise| promise.start_at).min();
            match [arrival, end, promised].into_iter().flatten().filter(|at| *at > now).min() {
                Some(at) => now = at,
                None => break,
            }
        }
        assert!(self.ends_at.is_empty());
        assert!(self.placer.reservations().next().is_none(), "a promise was not kept");
        (self.started_at, self.cycles)
    }
}

fn orders() -> impl Strategy<Value = PendingOrder> {
    prop::sample::select(PendingOrder::ALL.to_vec())
}

proptest! {
    /// Nobody who was promised a start starts later, whoever else comes, and whether others end when
    /// they said or before.
    #[test]
    fn no_reserved_task_starts_later_than_promised(
        nodes in nodes(),
        jobs in prop_oneof![jobs(true), jobs(false)],
        order in orders(),
        backfill in prop::sample::select(Backfill::ALL.to_vec()),
        room in prop::sample::select(vec![1_usize, 3, 64]),
        cycle_tasks_max in prop::sample::select(vec![0_u32, 1, 5]),
    ) {
        let policy = policy(order, backfill, cycle_tasks_max);
        Run::new(&policy, &nodes).run(&jobs, room);
    }

    /// The same calls give the same answers.
    #[test]
    fn the_same_calls_give_the_same_answers(nodes in nodes(), jobs in jobs(false), order in orders()) {
        let policy = policy(order, Backfill::Conservative, 3);
        let one = Run::new(&policy, &nodes).run(&jobs, 4);
        let other = Run::new(&policy, &nodes).run(&jobs, 4);
        prop_assert_eq!(one, other);
    }

    /// Where nothing else happens, a pass in pieces starts whom it starts in one.
    #[test]
    fn pieces_of_a_pass_are_the_pass(
        nodes in nodes(),
        jobs in jobs(true),
        order in orders(),
        backfill in prop::sample::select(Backfill::ALL.to_vec()),
        cycle_tasks_max in 1_u32..9,
        room in 1_usize..9,
    ) {
        let started = |cycle_tasks_max: u32, room: usize| {
            let policy = policy(order, backfill, cycle_tasks_max);
            let mut run = Run::new(&policy, &nodes);
            for (at, job) in jobs.iter().enumerate() {
                run.submit(Nanos::ZERO, at, job);
            }
            run.cycle(Nanos::ZERO, &jobs, room);
            (run.started_at, run.promised)
        };
        prop_assert_eq!(started(cycle_tasks_max, room), started(0, 64));
    }

    /// The earliest start is what counting says, time by time.
    #[test]
    fn the_earliest_start_is_that_of_counting(
        nodes in nodes(),
        running in prop::collection::vec((0_u32..6, 0_u8..5, 0_u64..20), 0..12),
        waiting in (0_u32..8, 0_u8..5, 1_u32..6),
        at_s in 0_u64..20,
    ) {
        let whole = |cpu_milli, count, members, duration_s| Task {
            member: Demand {
                cpu_milli,
                devices: if count == 0 { DeviceDemand::None } else { DeviceDemand::Whole { count, memory_mib: 0 } },
                ..Demand::default()
            },
            members,
            duration: seconds(duration_s),
            ..Task::default()
        };
        let policy = policy(PendingOrder::Arrival, Backfill::Easy, 0);
        let mut placer = placer(&policy, &nodes);
        let mut held = Vec::new();
        for (cpu, gpus, duration_s) in running {
            let mut out = [rampmeter::fleet::Hold::default(); 1];
            let task = whole(cpu, gpus, 1, duration_s);
            if let rampmeter::place::Placed::Running { .. } = placer.place(Nanos::ZERO, &task, &mut out).unwrap() {
                held.push((out[0].node.index() as usize, cpu, u32::from(gpus), duration_s));
            }
        }
        let (cpu, gpus, members) = waiting;
        let now = seconds(at_s);
        let id = placer.submit(now, &whole(cpu, gpus, members, 5)).unwrap();
        // As much longer as it is over already.
        let end = |duration_s: u64| match duration_s {
            0 => u64::MAX,
            ends_s => ends_s.max(at_s + at_s.saturating_sub(ends_s)),
        };
        let members_at = |time_s: u64| -> u32 {
            nodes.iter().enumerate().map(|(node, (cpus, devices))| {
                let here = held.iter().filter(|held| held.0 == node && end(held.3) > time_s);
                let (mut cpu_free, mut gpus_free) = (*cpus, u32::from(*devices));
                here.for_each(|held| { cpu_free -= held.1; gpus_free -= held.2; });
                let by_cpu = cpu_free.checked_div(cpu).unwrap_or(members);
                by_cpu.min(gpus_free.checked_div(u32::from(gpus)).unwrap_or(members)).min(members)
            }).sum()
        };
        let mut times: Vec<u64> = held.iter().map(|held| end(held.3)).chain([at_s]).collect();
        times.retain(|time| *time < u64::MAX);
        times.sort_unstable();
        let first = times.into_iter().find(|time| members_at(*time) >= members);
        let because = if first.is_some() {
            Because::Ends
        } else if members_at_idle(&nodes, cpu, gpus, members) >= members {
            Because::Unknown
        } else {
            Because::NeverFits
        };
        let expected = Expected { at: first.map(seconds), because };
        prop_assert_eq!(placer.expected_start(now, id).unwrap(), expected);
    }

    /// With one resource and tasks of one size, whoever holds least for its weight is next.
    #[test]
    fn accounts_go_by_their_share(
        gpus in 1_u8..9,
        weights in prop::collection::vec(1_u32..5, 3),
        wants in prop::collection::vec(0_usize..9, 3),
    ) {
        let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
        let policy = policy(PendingOrder::DominantShare, Backfill::None, 0);
        let mut placer = placer(&policy, &[(64, gpus)]);
        let (mut ledger, accounts) = ledger(&weights, [u64::from(gpus) * 1_000, 64, 0]);
        for (account, wants) in accounts.iter().zip(&wants) {
            for _ in 0..*wants {
                let member = Demand { devices: DeviceDemand::Whole { count: 1, memory_mib: 0 }, ..Demand::default() };
                placer.submit(Nanos::ZERO, &Task { account: *account, member, ..Task::default() }).unwrap();
            }
        }
        let mut started = vec![TaskId::default(); 64];
        let mut plan = CyclePlan { started: &mut started, ending: &mut [], reserved: &mut [] };
        let cycle = placer.cycle(Nanos::ZERO, &mut ledger, &mut plan).unwrap();
        let (mut held, mut expected) = ([0_usize; 3], Vec::new());
        for _ in 0..gpus {
            let can = (0..3).filter(|account| held[*account] < wants[*account]);
            let share = |account: usize| {
                held[account] as f64 * 1_000.0 / (f64::from(gpus) * 1_000.0) / weights[account]
            };
            let Some(next) = can.min_by(|one, other| share(*one).total_cmp(&share(*other))) else { break };
            held[next] += 1;
            expected.push(accounts[next]);
        }
        let got: Vec<AccountId> = started[..cycle.started_len as usize]
            .iter().map(|id| placer.task(*id).unwrap().task.account).collect();
        prop_assert_eq!(got, expected);
    }
}

fn members_at_idle(nodes: &[(u32, u8)], cpu: u32, gpus: u8, members: u32) -> u32 {
    let takes = |(cpus, devices): &(u32, u8)| {
        let by_cpu = cpus.checked_div(cpu).unwrap_or(members);
        by_cpu.min(devices.checked_div(gpus).map_or(members, u32::from)).min(members)
    };
    nodes.iter().map(takes).sum()
}

#[test]
fn limits_are_kept_and_said() {
    let policy = policy(PendingOrder::DominantShare, Backfill::Easy, 0);
    let mut placer = placer(&policy, &[(64, 4)]);
    let (mut ledger, accounts) = ledger(&[1.0], [4_000, 64, 0]);
    let limit =
        Amounts([2_000, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX]);
    ledger.set_quota(accounts[0], &AccountQuota { limit, ..AccountQuota::default() }).unwrap();
    let member =
        Demand { devices: DeviceDemand::Whole { count: 1, memory_mib: 0 }, ..Demand::default() };
    let task = Task { account: accounts[0], member, ..Task::default() };
    let first = placer.submit(Nanos::ZERO, &task).unwrap();
    for _ in 0..3 {
        placer.submit(Nanos::ZERO, &task).unwrap();
    }
    let mut started = [TaskId::default(); 8];
    let mut plan = CyclePlan { started: &mut started, ending: &mut [], reserved: &mut [] };
    let cycle = placer.cycle(Nanos::ZERO, &mut ledger, &mut plan).unwrap();
    assert_eq!((cycle.started_len, cycle.over_limit, cycle.no_room), (2, 2, 0));
    placer.release(Nanos(1), first).unwrap();
    let cycle = placer.cycle(Nanos(1), &mut ledger, &mut plan).unwrap();
    assert_eq!((cycle.started_len, cycle.over_limit), (1, 1));
}

#[test]
fn hostile_calls_change_nothing() {
    let policy = policy(PendingOrder::DominantShare, Backfill::Easy, 0);
    let mut placer = placer(&policy, &[(64, 4)]);
    let (mut ledger, accounts) = ledger(&[1.0], [4_000, 64, 0]);
    let task = Task { account: accounts[0], ..Task::default() };
    let nobody = placer.submit(Nanos(5), &Task::default()).unwrap_err();
    assert_eq!(nobody.field(), "account");
    let far = Task { account: AccountId::from_raw(1 << 32 | 8), ..task };
    assert_eq!(placer.submit(Nanos(5), &far).unwrap_err().field(), "account");
    let id = placer.submit(Nanos(5), &task).unwrap();
    let usurper = Task { account: AccountId::from_raw(9 << 32), ..task };
    assert_eq!(placer.submit(Nanos(5), &usurper).unwrap_err().field(), "account");
    let mut plan = CyclePlan { started: &mut [], ending: &mut [], reserved: &mut [] };
    assert!(placer.cycle(Nanos(4), &mut ledger, &mut plan).is_err(), "time goes forward");
    let mut plain = Ledger::new(&LedgerOptions::default()).unwrap();
    assert!(placer.cycle(Nanos(9), &mut plain, &mut plan).is_err(), "no turns in this ledger");
    assert!(placer.expected_start(Nanos(9), TaskId::from_raw(77)).is_err());
    let cycle = placer.cycle(Nanos(5), &mut ledger, &mut plan).unwrap();
    assert_eq!((cycle.started_len, cycle.more), (0, true), "nowhere to write to");
    placer.release(Nanos(5), id).unwrap();
    assert!(placer.release(Nanos(5), id).is_err());
    assert_eq!(placer.pending_len(), 0);
}
