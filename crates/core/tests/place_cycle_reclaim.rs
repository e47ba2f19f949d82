//! Cycles that make running tasks end: what a victim gives up goes to whoever it was taken for, who
//! then starts, and where nobody comes any more it comes to rest.

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, NodeSpec};
use rampmeter::place::{CyclePlan, Placer, PlacerOptions, Reservation, Stage, Task, TaskId};
use rampmeter::policy::{AccountQuota, Amounts, Backfill, PendingOrder, Policy};
use rampmeter::share::{AccountId, Ledger, LedgerOptions};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds for which each run lasts; nobody comes after the first 20.
const STEPS: u64 = 240;
/// Seconds at the end in which nothing may change any more.
const REST: u64 = 60;

#[derive(Clone, Copy, Debug)]
struct Job {
    arrives_s: u64,
    account: usize,
    priority: i32,
    devices: u8,
    members: u32,
    min_runtime_s: u64,
    /// Whether it says that it runs for a day.
    is_known: bool,
    is_preemptible: bool,
    /// How long the host takes to end it.
    grace_s: u64,
}

prop_compose! {
    fn job()(
        arrives_s in 0_u64..20,
        account in 0_usize..3,
        priority in -1_i32..2,
        devices in 1_u8..4,
        members in 1_u32..4,
        min_runtime_s in 0_u64..4,
        is_known in any::<bool>(),
        is_preemptible in prop::bool::weighted(0.8),
        grace_s in 0_u64..4,
    ) -> Job {
        Job { arrives_s, account, priority, devices, members, min_runtime_s, is_known, is_preemptible, grace_s }
    }
}

/// Tasks that end for one that is to start when they are gone.
#[derive(Debug)]
struct Claim {
    claimer: TaskId,
    victims: BTreeSet<TaskId>,
}

struct Run {
    placer: Placer,
    ledger: Ledger,
    accounts: Vec<AccountId>,
    jobs: BTreeMap<TaskId, Job>,
    gone_at: BTreeMap<TaskId, u64>,
    claims: Vec<Claim>,
    /// Starts and ends so far, and when the last one was.
    victims: u32,
    changed_at: u64,
}

fn gpus(milli: u64) -> Amounts {
    let mut amounts = Amounts::ZERO;
    amounts.0[0] = milli;
    amounts
}

impl Run {
    /// `is_nested`: all accounts but the first one are below one of their own.
    fn new(
        (order, backfill): (PendingOrder, Backfill),
        nodes: &[u8],
        quotas: &[u64],
        is_nested: bool,
    ) -> Self {
        let mut policy = Policy::default();
        (policy.placement.order, policy.placement.backfill) = (order, backfill);
        let mut fleet =
            Fleet::new(&FleetOptions { nodes_max: 4, devices_per_node_max: 8 }).unwrap();
        for devices in nodes {
            let devices = vec![DeviceSpec::default(); usize::from(*devices)];
            fleet.add_node(&NodeSpec { devices: &devices, ..NodeSpec::default() }).unwrap();
        }
        let options =
            PlacerOptions { tasks_max: 64, members_max: 64, task_members_max: 8, accounts_max: 6 };
        let placer = Placer::new(fleet, &policy, &options).unwrap();
        let mut ledger = Ledger::new(&LedgerOptions {
            accounts_max: 6,
            resources: 3,
            dominant: true,
            half_life: Nanos::from_seconds(1_000.0),
            ..LedgerOptions::default()
        })
        .unwrap();
        let all: u64 = nodes.iter().map(|devices| u64::from(*devices) * 1_000).sum();
        ledger.set_capacity(&gpus(all)).unwrap();
        let mut open = |parent: Option<AccountId>, quota: u64| {
            let account = ledger.open(parent, 1.0).unwrap();
            let quota = AccountQuota { quota: gpus(quota * 1_000), ..AccountQuota::default() };
            ledger.set_quota(account, &quota).unwrap();
            account
        };
        let shared = quotas.iter().skip(1).sum();
        let parent = is_nested.then(|| open(None, shared));
        let accounts = quotas.iter().enumerate();
        let accounts =
            accounts.map(|(at, quota)| open(parent.filter(|_| at > 0), *quota)).collect();
        let (jobs, gone_at) = (BTreeMap::new(), BTreeMap::new());
        Self {
            placer,
            ledger,
            accounts,
            jobs,
            gone_at,
            claims: Vec::new(),
            victims: 0,
            changed_at: 0,
        }
    }

    fn submit(&mut self, now: Nanos, job: Job) {
        let task = Task {
            account: self.accounts[job.account],
            priority: job.priority,
            member: Demand {
                devices: DeviceDemand::Whole { count: job.devices, memory_mib: 0 },
                ..Demand::default()
            },
            members: job.members,
            duration: if job.is_known { Nanos::from_seconds(86_400.0) } else { Nanos::ZERO },
            preemptible: job.is_preemptible,
            min_runtime: Nanos::from_seconds(job.min_runtime_s as f64),
            ..Task::default()
        };
        let id = self.placer.submit(now, &task).unwrap();
        self.jobs.insert(id, job);
    }

    /// Whoever was told to end is gone by now, and waits to run again.
    fn end_due(&mut self, now: Nanos, at_s: u64) {
        let is_due = |(_, gone_at): &(&TaskId, &u64)| **gone_at <= at_s;
        let due: Vec<TaskId> = self.gone_at.iter().filter(is_due).map(|(id, _)| *id).collect();
        for id in due {
            self.gone_at.remove(&id);
            self.placer.requeue(now, id).unwrap();
            for claim in &mut self.claims {
                claim.victims.remove(&id);
            }
        }
    }

    /// Cycles with room for one reservation each, so that it is known for whom somebody ends.
    fn cycle(&mut self, now: Nanos, at_s: u64) {
        for _ in 0..1_000 {
            let mut started = [TaskId::default(); 64];
            let mut ending = [TaskId::default(); 64];
            let mut reserved = [Reservation::default(); 1];
            let mut plan =
                CyclePlan { started: &mut started, ending: &mut ending, reserved: &mut reserved };
            let cycle = self.placer.cycle(now, &mut self.ledger, &mut plan).unwrap();
            let started = &started[..cycle.started_len as usize];
            let ending = &ending[..cycle.ending_len as usize];
            self.claims.retain(|claim| !started.contains(&claim.claimer));
            if let [first, ..] = ending {
                assert_eq!(cycle.reserved_len, 1, "{first:?} ends for nobody");
                let claimer = reserved[0].task;
                assert_eq!(reserved[0].start_at, now, "it starts when they are gone");
                assert!(self.claims.iter().all(|claim| claim.claimer != claimer), "asked twice");
                let victims = ending.iter().copied().collect();
                self.claims.push(Claim { claimer, victims });
                self.victims += ending.len() as u32;
            }
            for id in ending {
                assert_eq!(self.placer.task(*id).unwrap().stage, Stage::Ending);
                let gone_at = at_s + 1 + self.jobs[id].grace_s;
                assert!(self.gone_at.insert(*id, gone_at).is_none(), "told twice to end");
            }
            if !started.is_empty() || !ending.is_empty() {
                self.changed_at = at_s;
            }
            if !cycle.more {
                return;
            }
        }
        panic!("cycles without end");
    }

    /// Whoever's victims are gone has started.
    fn check(&self) {
        let waiting = self.claims.iter().find(|claim| claim.victims.is_empty());
        assert!(waiting.is_none(), "{waiting:?}: its victims ended for nothing");
    }

    fn run(mut self, jobs: &[Job]) -> u32 {
        for at_s in 0..STEPS {
            let now = Nanos::from_seconds(at_s as f64);
            self.end_due(now, at_s);
            for job in jobs.iter().filter(|job| job.arrives_s == at_s) {
                self.submit(now, *job);
            }
            self.cycle(now, at_s);
            self.check();
        }
        assert!(self.changed_at < STEPS - REST, "no rest: last at {}", self.changed_at);
        assert!(self.gone_at.is_empty() && self.claims.is_empty());
        self.victims
    }
}

proptest! {
    #[test]
    fn victims_end_for_somebody_who_starts_and_it_comes_to_rest(
        order in prop::sample::select(PendingOrder::ALL.to_vec()),
        backfill in prop::sample::select(Backfill::ALL.to_vec()),
        nodes in prop::collection::vec(1_u8..5, 1..4),
        quotas in prop::collection::vec(0_u64..6, 3),
        is_nested in any::<bool>(),
        jobs in prop::collection::vec(job(), 1..24),
    ) {
        Run::new((order, backfill), &nodes, &quotas, is_nested).run(&jobs);
    }
}

/// An account takes back its quota from one that has it all, and each task once.
#[test]
fn a_quota_is_taken_back() {
    let job = |arrives_s, account| Job {
        arrives_s,
        account,
        priority: 0,
        devices: 1,
        members: 1,
        min_runtime_s: 0,
        is_known: false,
        is_preemptible: true,
        grace_s: 2,
    };
    let jobs: Vec<Job> = (0..4).map(|_| job(0, 0)).chain((0..3).map(|_| job(5, 1))).collect();
    let rules = (PendingOrder::DominantShare, Backfill::Easy);
    for is_nested in [false, true] {
        let run = Run::new(rules, &[4], &[0, 2, 0], is_nested);
        assert_eq!(run.run(&jobs), 2, "as many as its quota is");
    }
}
