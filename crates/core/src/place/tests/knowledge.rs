//! Cycles that go by what they know decide as cycles that look at everybody anew: on clusters of all
//! kinds, with accounts in accounts that take back what is theirs, gangs, domains and partitions.

use super::*;
use crate::fleet::LayoutId;
use crate::policy::{AccountQuota, Amounts, Backfill, PendingOrder};
use crate::share::{AccountId, Ledger, LedgerOptions};
use std::collections::BTreeMap;

const STEPS: u64 = 40;
const STEP: u64 = 16 * SECOND;
const ACCOUNTS: usize = 4;

/// A task that comes in some step, and what becomes of it.
#[derive(Clone, Debug)]
struct Job {
    step: u64,
    account: usize,
    task: Task,
    /// It runs for so many steps; more or fewer than it says.
    runs: u64,
}

prop_compose! {
    fn job()(
        mut task in any_task(),
        step in 0..STEPS * 3 / 4,
        account in 0..ACCOUNTS,
        priority in -1_i32..2,
        compute_slices in prop_oneof![3 => Just(0_u8), 1 => 1_u8..4],
        preemptible in any::<bool>(),
        min_runtime in 0_u64..3,
        runs in 1_u64..12,
    ) -> Job {
        if compute_slices > 0 {
            task.member.devices = DeviceDemand::Partition { compute_slices, memory_mib: 0 };
        }
        let min_runtime = Nanos(min_runtime * STEP);
        task = Task { priority, preemptible, min_runtime, ..task };
        Job { step, account, task, runs }
    }
}

/// Some devices of the machines are cut into partitions.
fn fleet(machines: &[Machine], partitioned: u32) -> Fleet {
    let options = FleetOptions { nodes_max: 8, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).unwrap();
    for (at, machine) in machines.iter().enumerate() {
        let mut machine = machine.clone();
        if partitioned >> at & 1 == 1 {
            for device in &mut machine.devices {
                device.sharing = Sharing::Partitioned(LayoutId(0));
                device.memory_mib = 80_000;
            }
        }
        fleet.add_node(&machine.spec()).unwrap();
    }
    fleet
}

/// Two accounts with two below each, or four; what they may take back, in thousandths of devices.
fn ledger(is_nested: bool, quotas: &[u64]) -> (Ledger, Vec<AccountId>) {
    let mut ledger = Ledger::new(&LedgerOptions {
        accounts_max: 8,
        resources: 3,
        dominant: true,
        half_life: Nanos(1_000 * SECOND),
        ..LedgerOptions::default()
    })
    .unwrap();
    let mut amounts = Amounts::ZERO;
    amounts.0[..3].copy_from_slice(&[16_000, 80_000, 400]);
    ledger.set_capacity(&amounts).unwrap();
    let above = (0..2).map(|_| is_nested.then(|| ledger.open(None, 1.0).unwrap()));
    let above: Vec<_> = above.collect();
    let open = |at| ledger.open(above[at / 2], 1.0 + at as f64).unwrap();
    let accounts: Vec<_> = (0..ACCOUNTS).map(open).collect();
    for (account, quota) in above.iter().flatten().chain(&accounts).zip(quotas) {
        let mut rules = AccountQuota::default();
        rules.quota.0[0] = quota * 1_000;
        rules.limit.0[0] = [u64::MAX, 6_000][usize::from(*quota == 1)];
        ledger.set_quota(*account, &rules).unwrap();
    }
    (ledger, accounts)
}

/// What a cycle decided: who starts, who ends, who has a reservation.
type Decided = (Vec<TaskId>, Vec<TaskId>, Vec<Reservation>);

/// One cluster twice: the second one looks at everybody in every cycle.
struct Twins {
    desks: [(Placer, Ledger); 2],
    ends: BTreeMap<TaskId, u64>,
    jobs: BTreeMap<TaskId, Job>,
    passed_over: u32,
}

impl Twins {
    fn cycle(&mut self, now: Nanos) -> [Decided; 2] {
        self.desks.each_mut().map(|(placer, ledger)| {
            let mut started = vec![TaskId::default(); 64];
            let mut ending = vec![TaskId::default(); 64];
            let mut reserved = vec![Reservation::default(); 256];
            let mut plan =
                CyclePlan { started: &mut started, ending: &mut ending, reserved: &mut reserved };
            let cycle = placer.cycle(now, ledger, &mut plan).unwrap();
            assert!(!cycle.more, "there is room for all, and time");
            self.passed_over += cycle.passed_over;
            started.truncate(cycle.started_len as usize);
            ending.truncate(cycle.ending_len as usize);
            reserved.truncate(cycle.reserved_len as usize);
            (started, ending, reserved)
        })
    }

    /// Whoever is done is gone; whoever was made to end waits again.
    fn end_due(&mut self, now: Nanos, step: u64) {
        let due = self.ends.iter().filter(|(_, ends)| **ends <= step).map(|(id, _)| *id);
        for id in due.collect::<Vec<_>>() {
            self.ends.remove(&id);
            for (placer, _) in &mut self.desks {
                match placer.task(id).unwrap().stage {
                    Stage::Ending => placer.requeue(now, id).unwrap(),
                    _ => placer.release(now, id).unwrap(),
                }
            }
        }
    }

    fn run(&mut self, jobs: &[Job], accounts: &[AccountId]) {
        for step in 0..STEPS {
            let now = Nanos(step * STEP);
            self.end_due(now, step);
            for job in jobs.iter().filter(|job| job.step == step) {
                let task = Task { account: accounts[job.account], ..job.task };
                let ids = self.desks.each_mut().map(|desk| desk.0.submit(now, &task).unwrap());
                assert_eq!(ids[0], ids[1]);
                self.jobs.insert(ids[0], job.clone());
            }
            let [(started, ending, reserved), anew] = self.cycle(now);
            assert_eq!((&started, &ending, &reserved), (&anew.0, &anew.1, &anew.2), "step {step}");
            for id in started {
                self.ends.insert(id, step + self.jobs[&id].runs);
            }
            for id in ending {
                self.ends.insert(id, step + 1 + u64::from(id.index() % 3));
            }
        }
    }
}

fn twins(fleet: &Fleet, rules: PlacementRules, ledger: impl Fn() -> Ledger) -> Twins {
    let options =
        PlacerOptions { tasks_max: 64, members_max: 64, task_members_max: 8, accounts_max: 8 };
    let desk = |is_thorough| {
        let mut own = Fleet::new(fleet.options()).unwrap();
        own.copy_from(fleet).unwrap();
        let mut placer = Placer::new(own, &policy(rules), &options).unwrap();
        placer.is_thorough = is_thorough;
        (placer, ledger())
    };
    Twins {
        desks: [desk(false), desk(true)],
        ends: BTreeMap::new(),
        jobs: BTreeMap::new(),
        passed_over: 0,
    }
}

proptest! {
    #[test]
    fn what_is_known_changes_no_decision(
        machines in machines(),
        partitioned in 0_u32..8,
        rules in any_rules(),
        order in prop::sample::select(PendingOrder::ALL.to_vec()),
        backfill in prop::sample::select(Backfill::ALL.to_vec()),
        reservations_max in prop::sample::select(vec![1_u32, 3, 64]),
        is_nested in any::<bool>(),
        quotas in prop::collection::vec(0_u64..8, 6),
        jobs in prop::collection::vec(job(), 1..48),
    ) {
        // As much work as it takes: what does not come in one call depends on what is looked at.
        let cycle_replays_max = 1 << 20;
        let rules =
            PlacementRules { order, backfill, reservations_max, cycle_replays_max, ..rules };
        let accounts = ledger(is_nested, &quotas).1;
        let fleet = fleet(&machines, partitioned);
        twins(&fleet, rules, || ledger(is_nested, &quotas).0).run(&jobs, &accounts);
    }
}

/// Most of a long queue is never looked at, and the one that fits is found.
#[test]
fn a_full_cluster_is_known_to_be_full() {
    let machine = Machine {
        devices: vec![DeviceSpec::default(); 4],
        cpu_milli: 64_000,
        labels: 0,
        rack: 0,
        zone: 0,
    };
    let rules = PlacementRules { order: PendingOrder::Arrival, ..PlacementRules::default() };
    let fleet = fleet(&[machine], 0);
    let mut twins = twins(&fleet, rules, || ledger(false, &[0; 6]).0);
    let jobs: Vec<_> = (0..48)
        .map(|at| {
            let member = if at == 40 { Demand::default() } else { whole(1 + at as u8 % 4) };
            Job { step: 0, account: 0, task: task(member, 1), runs: 1_000 }
        })
        .collect();
    twins.run(&jobs, &ledger(false, &[0; 6]).1);
    assert!(twins.ends.keys().any(|id| twins.jobs[id].task.member == Demand::default()));
    assert!(twins.passed_over > 40 * (STEPS as u32 - 1), "{}", twins.passed_over);
}
