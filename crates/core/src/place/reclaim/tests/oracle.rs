//! A placer with a ledger, and what reclaim must find there, by trying every set of victims.

use super::*;

/// An account of a test: above it (if that stands before it), quota in GPUs, least run time in s.
pub(super) type Opened = (usize, u64, Option<u64>);

/// A placer, and a ledger that knows what runs there.
pub(in crate::place) struct World {
    pub(in crate::place) placer: Placer,
    pub(in crate::place) nodes: Vec<NodeId>,
    pub(in crate::place) ledger: Ledger,
    pub(in crate::place) accounts: Vec<AccountId>,
    pub(in crate::place) now: Nanos,
}

impl World {
    /// Nodes by their number of GPUs, two nodes in each rack.
    pub(in crate::place) fn new(gpus: &[usize], opened: &[Opened]) -> Self {
        let fleet = Fleet::new(&FleetOptions { nodes_max: 8, devices_per_node_max: 8 }).unwrap();
        let options =
            PlacerOptions { tasks_max: 32, members_max: 64, task_members_max: 8, accounts_max: 8 };
        let rules = PlacementRules { preemptions_max: 2, ..PlacementRules::default() };
        let mut policy = Policy::default().with_placement(rules);
        policy.classes[1].delay_value = 0.25;
        let mut placer = Placer::new(fleet, &policy, &options).unwrap();
        let nodes = gpus.iter().enumerate().map(|(at, gpus)| {
            let devices = vec![DeviceSpec { memory_mib: 80, ..DeviceSpec::default() }; *gpus];
            placer
                .add_node(&NodeSpec {
                    cpu_milli: 8_000,
                    memory_mib: 100,
                    devices: &devices,
                    rack: at as u32 / 2,
                    ..NodeSpec::default()
                })
                .unwrap()
        });
        let nodes = nodes.collect();
        let options =
            LedgerOptions { accounts_max: 8, lanes: 0, resources: 3, ..LedgerOptions::default() };
        let mut ledger = Ledger::new(&options).unwrap();
        let mut accounts: Vec<AccountId> = vec![];
        for (parent, quota, min_runtime) in opened {
            let account = ledger.open(accounts.get(*parent).copied(), 1.0).unwrap();
            let amounts = |gpus: u64| {
                let mut amounts = Amounts::ZERO;
                amounts.0[..3].copy_from_slice(&[gpus * 1_000, gpus * 2_000, gpus * 25]);
                amounts
            };
            let quota = AccountQuota { quota: amounts(*quota), ..AccountQuota::default() };
            ledger.set_quota(account, &quota).unwrap();
            let min_runtime = min_runtime.map(|seconds| Nanos(seconds * SECOND));
            let limits = ReclaimLimits { min_runtime, ..ReclaimLimits::default() };
            ledger.set_reclaim_limits(account, &limits).unwrap();
            accounts.push(account);
        }
        let mut capacity = Amounts::ZERO;
        let all: usize = gpus.iter().sum();
        let nodes_len = gpus.len() as u64;
        capacity.0[..3].copy_from_slice(&[all as u64 * 1_000, 8_000 * nodes_len, 100 * nodes_len]);
        ledger.set_capacity(&capacity).unwrap();
        Self { placer, nodes, ledger, accounts, now: Nanos(1_000 * SECOND) }
    }

    /// Starts a task, if there is room, and tells the ledger.
    pub(in crate::place) fn start(&mut self, at: Nanos, task: &Task) -> Option<TaskId> {
        let mut out = [Hold::default(); 8];
        let Placed::Running { task: id, members_len, .. } =
            self.placer.place(at, task, &mut out).unwrap()
        else {
            return None;
        };
        self.ledger.allocate(task.account, &needed(&task.member, members_len)).unwrap();
        Some(id)
    }

    /// A task waits.
    pub(in crate::place) fn wait(&mut self, task: &Task) -> TaskId {
        self.ledger.ask(task.account, &needed(&task.member, task.members_needed())).unwrap();
        self.placer.submit(self.now, task).unwrap()
    }

    pub(super) fn divide(&mut self) {
        self.ledger.divide(&Division::default()).unwrap();
    }

    pub(in crate::place) fn dump(&self) -> String {
        let Placer { fleet, tasks, members, stranding, now, .. } = &self.placer;
        format!("{fleet:?} {tasks:?} {members:?} {stranding:?} {now:?}")
    }

    pub(super) fn domain(&self, domain: Domain, node: NodeId) -> u32 {
        match domain {
            Domain::Node => node.index(),
            Domain::Rack => self.placer.fleet().node(node).unwrap().rack,
            Domain::Zone | Domain::Fleet => 0,
        }
    }

    /// What all accounts hold and may still lose.
    pub(super) fn books(&self) -> Vec<(Amounts, Amounts, Amounts)> {
        let of = |account: &AccountId| {
            let asked = self.ledger.asked(*account).unwrap();
            let left = self.ledger.loss_left(self.now, *account).unwrap();
            (self.ledger.held(*account).unwrap(), asked, left)
        };
        self.accounts.iter().map(of).collect()
    }

    pub(super) fn job(&self, task: TaskId) -> RunningJob {
        let entry = self.placer.task(task).unwrap();
        RunningJob {
            account: entry.task.account,
            amounts: needed(&entry.task.member, entry.members_len),
            started: entry.started,
            saved: entry.saved(),
        }
    }

    /// The fleet without these tasks.
    pub(super) fn fleet_without(&self, gone: &[TaskId]) -> Fleet {
        let mut fleet = Fleet::new(self.placer.fleet.options()).unwrap();
        fleet.copy_from(&self.placer.fleet).unwrap();
        for task in gone {
            self.placer.holds(*task).unwrap().for_each(|hold| fleet.give(hold).unwrap());
        }
        fleet
    }

    fn missing(&mut self, gone: &[TaskId], node: NodeId, demand: &Demand) -> Amounts {
        let mut fleet = self.fleet_without(gone);
        let Placer { domains, crowds, promises, .. } = &mut self.placer;
        let room = Room { now: self.now, fleet: &mut fleet, domains, crowds, promises };
        room.missing(node.index(), demand)
    }

    fn may_end(&self, wanted: &Task, task: TaskId) -> bool {
        let entry = self.placer.task(task).unwrap();
        let own_time = entry.started.saturating_add(entry.task.min_runtime) <= self.now;
        let account = wanted.account == entry.task.account;
        let allowed = !account || entry.task.priority < wanted.priority;
        entry.stage == Stage::Running && entry.task.preemptible && own_time && allowed
    }

    /// Whether there is an order in which the ledger allows all of these on a node.
    pub(super) fn is_allowed(
        &mut self,
        wanted: &Task,
        node: NodeId,
        gone: &mut Vec<TaskId>,
        left: &[TaskId],
    ) -> bool {
        let amounts = needed(&wanted.member, 1);
        if left.is_empty() {
            let own =
                |task: &TaskId| self.placer.task(*task).unwrap().task.account == wanted.account;
            if !gone.iter().all(own) {
                return true;
            }
            let mut sum = [0; 3];
            for task in gone.iter() {
                sum.iter_mut().zip(self.job(*task).amounts.0).for_each(|(sum, more)| *sum += more);
            }
            let claim = Reclamation { reclaimer: wanted.account, amounts, short: amounts };
            return sum.iter().zip(amounts.0).all(|(sum, amount)| *sum >= amount)
                || self.ledger.may_reclaim(&claim).unwrap().fits();
        }
        let short = self.missing(gone, node, &wanted.member);
        let claim = Reclamation { reclaimer: wanted.account, amounts, short };
        for (at, task) in left.iter().enumerate() {
            let job = self.job(*task);
            let own = job.account == wanted.account;
            let yes = if own {
                let least = self.least_run_time(job.account);
                self.now >= job.started.saturating_add(least)
            } else {
                let verdict = self.ledger.reclaimable(self.now, &claim, &job).unwrap();
                matches!(verdict, Verdict::Yes { .. })
            };
            if !yes {
                continue;
            }
            self.ledger.release(job.account, &job.amounts).unwrap();
            if !own {
                self.ledger.reclaimed(self.now, wanted.account, &job).unwrap();
            }
            gone.push(*task);
            let rest = left.iter().enumerate().filter(|(other, _)| *other != at);
            let rest: Vec<TaskId> = rest.map(|(_, task)| *task).collect();
            let allowed = self.is_allowed(wanted, node, gone, &rest);
            gone.pop();
            if !own {
                self.ledger.reclaim_undone(self.now, wanted.account, &job).unwrap();
            }
            self.ledger.allocate(job.account, &job.amounts).unwrap();
            if allowed {
                return true;
            }
        }
        false
    }

    pub(super) fn least_run_time(&self, account: AccountId) -> Nanos {
        let mut at = Some(account);
        while let Some(account) = at {
            if let Some(time) = self.ledger.reclaim_limits(account).unwrap().min_runtime {
                return time;
            }
            at = self.ledger.parent(account).unwrap();
        }
        Nanos::ZERO
    }

    /// The least lost work of all sets on one node that are allowed and make room for one member.
    pub(super) fn cheapest(&mut self, wanted: &Task) -> Option<f64> {
        let mut best: Option<f64> = None;
        for node in self.nodes.clone() {
            let on_node: BTreeSet<u32> =
                self.placer.members.of_node(node.index()).map(|member| member.task).collect();
            let ids = on_node.iter().map(|task| self.placer.tasks.handle_at(*task).unwrap());
            let ids: Vec<TaskId> = ids.filter(|task| self.may_end(wanted, *task)).collect();
            for bits in 0..1_u32 << ids.len() {
                let chosen = ids.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
                let chosen: Vec<TaskId> = chosen.map(|(_, task)| *task).collect();
                let lost = |task: &TaskId| self.placer.lost_work_s(self.now, *task).unwrap();
                let cost: f64 = chosen.iter().map(lost).sum();
                if best.is_some_and(|best| best <= cost)
                    || self.fleet_without(&chosen).lack(node, &wanted.member).unwrap().is_some()
                {
                    continue;
                }
                if chosen.is_empty() || self.is_allowed(wanted, node, &mut vec![], &chosen) {
                    best = Some(cost);
                }
            }
        }
        best
    }
}
