//! A full cluster that 10,000 tasks of 64 accounts wait for: what `benches/cycle.rs` measures on.
//!
//! Nodes and tasks are those of [`crate::cluster`]; one task in a hundred is a gang of 8 whole nodes,
//! and cores are spread by up to 8 more, so that there are a hundred shapes and more.

use std::collections::VecDeque;

use rampmeter::Nanos;
use rampmeter::place::{
    Cycle, CyclePlan, Expected, Placer, PlacerOptions, Reservation, Stage, Task, TaskId,
};
use rampmeter::policy::{Amounts, Backfill, PendingOrder, PlacementRules, Policy};
use rampmeter::share::{AccountId, Ledger, LedgerOptions};

use crate::Prng;
use crate::cluster::{fleet, member};

/// Nodes of the public trace that they imitate.
const NODES: u32 = 1_213;
/// Accounts, each with the same weight.
const ACCOUNTS: usize = 64;
/// Tasks that wait when a cycle begins.
pub const PENDING: u32 = 10_000;
/// Tasks that end between two cycles: with some 4,000 running for five hours, those of 400 seconds.
const ENDED: usize = 100;

/// Such a cluster.
#[derive(Debug)]
pub struct Queue {
    placer: Placer,
    ledger: Ledger,
    accounts: Vec<AccountId>,
    running: VecDeque<TaskId>,
    last: TaskId,
    prng: Prng,
    now: Nanos,
    started: Vec<TaskId>,
    ending: Vec<TaskId>,
    reserved: Vec<Reservation>,
}

impl Queue {
    /// A full cluster under these rules; `preemptible`: whether every task may be made to end for
    /// others.
    ///
    /// # Panics
    /// Never: all sizes are within their ranges.
    #[must_use]
    pub fn new(order: PendingOrder, backfill: Backfill, preemptible: bool) -> Self {
        let mut prng = Prng(7);
        let (fleet, gpu_milli) = fleet(NODES, &mut prng);
        let (mut cpu_milli, mut memory_mib) = (0, 0);
        for (_, node) in fleet.iter() {
            cpu_milli += u64::from(node.cpu_milli);
            memory_mib += u64::from(node.memory_mib);
        }
        let mut capacity = Amounts::ZERO;
        capacity.0[..3].copy_from_slice(&[gpu_milli, cpu_milli, memory_mib]);
        let rules = PlacementRules { order, backfill, ..PlacementRules::default() };
        let policy = Policy::default().with_placement(rules);
        let options =
            PlacerOptions { tasks_max: 32_768, members_max: 32_768, ..PlacerOptions::default() };
        let placer = Placer::new(fleet, &policy, &options).expect("sizes within their ranges");
        let options = LedgerOptions {
            resources: 3,
            dominant: true,
            half_life: Nanos::from_seconds(86_400.0),
            ..LedgerOptions::default()
        };
        let mut ledger = Ledger::new(&options).expect("sizes within their ranges");
        ledger.set_capacity(&capacity).expect("sums of what nodes may have");
        let open = |_| ledger.open(None, 1.0).expect("there is room");
        let accounts = (0..ACCOUNTS).map(open).collect();
        let mut queue = Self {
            placer,
            ledger,
            accounts,
            running: VecDeque::new(),
            last: TaskId::default(),
            prng,
            now: Nanos::ZERO,
            started: vec![TaskId::default(); 16_384],
            ending: vec![TaskId::default(); 1_024],
            reserved: vec![Reservation::default(); 1_024],
        };
        queue.refill(preemptible);
        while queue.pass().started_len > 0 {
            queue.refill(preemptible);
        }
        queue
    }

    /// Tasks come until so many wait as should.
    fn refill(&mut self, preemptible: bool) {
        while self.placer.pending_len() < PENDING {
            let is_gang = self.prng.chance(1);
            let mut member = member(&mut self.prng);
            member.cpu_milli += 1_000 * self.prng.below(8) as u32;
            let account = self.accounts[self.prng.below(ACCOUNTS as u64) as usize];
            let duration = Nanos::from_millis(1_000 * (60 + self.prng.below(36_000)));
            let members = if is_gang { 8 } else { 1 };
            let task = Task { account, member, members, duration, preemptible, ..Task::default() };
            self.last = self.placer.submit(self.now, &task).expect("there is room");
        }
    }

    /// Time passes, tasks end, and others come for those that started.
    ///
    /// # Panics
    /// Never: what runs is known.
    pub fn prepare(&mut self, preemptible: bool) {
        self.now = self.now.saturating_add(Nanos::from_millis(20_000));
        for _ in 0..ENDED {
            let Some(task) = self.running.pop_front() else { break };
            self.placer.release(self.now, task).expect("it runs");
        }
        self.running.retain(|task| match self.placer.task(*task).map(|entry| entry.stage) {
            Ok(Stage::Ending) => {
                self.placer.release(self.now, *task).expect("it runs");
                false
            }
            stage => stage.is_ok(),
        });
        self.refill(preemptible);
    }

    /// One call: what is measured. Valgrind finds it by its name: it is never inlined.
    ///
    /// # Panics
    /// Never: the ledger is the same in every call.
    #[inline(never)]
    pub fn cycle(&mut self) -> Cycle {
        self.pass()
    }

    #[expect(clippy::inline_always, reason = "it must be part of the method that is counted")]
    #[inline(always)]
    fn pass(&mut self) -> Cycle {
        let Self { placer, ledger, now, .. } = self;
        let mut plan = CyclePlan {
            started: &mut self.started,
            ending: &mut self.ending,
            reserved: &mut self.reserved,
        };
        let cycle = placer.cycle(*now, ledger, &mut plan).expect("one ledger, and time goes on");
        self.running.extend(&self.started[..cycle.started_len as usize]);
        cycle
    }

    /// When the task that came last will start.
    ///
    /// # Panics
    /// Never: it is known.
    pub fn expected_start(&mut self) -> Expected {
        self.placer.expected_start(self.now, self.last).expect("it waits")
    }
}
