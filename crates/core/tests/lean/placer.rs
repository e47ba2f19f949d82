//! A placer with its ledger, driven by every call that it has, right and wrong.

mod tasks;

use rampmeter::Nanos;
use rampmeter::fleet::{
    Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, LayoutId, ModelId, NodeId,
    NodeSpec, Sharing,
};
use rampmeter::headroom::hold::BatchJob;
use rampmeter::place::compact::Move;
use rampmeter::place::what_if::Change;
use rampmeter::place::{
    CyclePlan, Holding, MixEntry, Placed, Placer, PlacerOptions, Reservation, Resized, TaskId,
};
use rampmeter::policy::{Account, Backfill, Measure, PendingOrder, PlacementRules, Policy};
use rampmeter::share::{AccountId, AccountQuota, Amounts, Ledger, LedgerOptions};

use super::log::Log;
use crate::support::Prng;

const SECOND: u64 = 1_000_000_000;
const MEMBERS_MAX: usize = 6;
const MIX_LEN: usize = 3;
const IDS: usize = 48;
const ACCOUNTS: usize = 4;

pub const FLEET: FleetOptions = FleetOptions { nodes_max: 6, devices_per_node_max: 4 };
pub const OPTIONS: PlacerOptions =
    PlacerOptions { tasks_max: 28, members_max: 24, task_members_max: 6, accounts_max: 5 };

fn ledger_options() -> LedgerOptions {
    LedgerOptions {
        accounts_max: OPTIONS.accounts_max,
        resources: 3,
        dominant: true,
        borrowing: true,
        half_life: Nanos(1_000 * SECOND),
        ..LedgerOptions::default()
    }
}

/// Policies to change between; the last two are refused.
fn policies(prng: &mut Prng) -> [Policy; 5] {
    let orders = PendingOrder::ALL;
    let mut some = |reservations_max: u32| {
        let rules = PlacementRules {
            order: orders[prng.below(3) as usize],
            backfill: Backfill::ALL[prng.below(3) as usize],
            reservations_max,
            cycle_tasks_max: [0, 0, 3][prng.below(3) as usize],
            preemptions_max: 1 + prng.below(3) as u32,
            shadow_price: prng.below(3) as f64,
            holding: Nanos(prng.below(2) * 500 * SECOND),
            interference_sharer_ratio: prng.below(2) as f64 * 0.1,
            interference_neighbour_ratio: prng.below(2) as f64 * 0.05,
            // Tables of a mix are worked out anew when a placer is restored: prices may differ by a round.
            measure: Measure::BestFit,
            ..PlacementRules::default()
        };
        Policy::default().with_placement(rules)
    };
    let (first, second, mut wrong) = (some(4), some(2), some(3));
    wrong.classes[0].delay_value = f64::NAN;
    let third = some(9);
    let mut other = first.clone();
    other.classes = other.classes[..1].into();
    other.accounts = [Account::new("one", 1.0)].into();
    [first, second, third, wrong, other]
}

/// A rule that keeps so many GPUs free, for a class that may not be there.
struct Keeps {
    gpus: f64,
    class: u64,
}

impl Holding for Keeps {
    fn urgent_class(&self) -> u32 {
        self.class as u32
    }

    fn check(&self, _: Nanos) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    fn holds(&self, _: Nanos, job: &BatchJob) -> bool {
        job.gpus_free - job.gpus < self.gpus
    }
}

/// A host that keeps nothing but arrays.
pub struct LeanPlacer {
    pub placer: Placer,
    ledger: Ledger,
    prng: Prng,
    pub now: u64,
    /// Ids issued lately; some are gone since.
    tasks: [TaskId; IDS],
    tasks_next: usize,
    nodes: [NodeId; 8],
    accounts: [AccountId; ACCOUNTS],
    policies: [Policy; 5],
    policy: usize,
    room: Box<[u8]>,
    pub log: Log,
}

impl LeanPlacer {
    pub fn new(seed: u64) -> Self {
        let mut prng = Prng(seed);
        let policies = policies(&mut prng);
        let mut ledger = Ledger::new(&ledger_options()).unwrap();
        let mut capacity = Amounts::ZERO;
        capacity.0[..3].copy_from_slice(&[14_000, 60_000, 6_000]);
        ledger.set_capacity(&capacity).unwrap();
        let mut opened = || {
            let account = ledger.open(None, 1.0 + prng.below(3) as f64).unwrap();
            let mut rules = AccountQuota::default();
            rules.quota.0[..3].copy_from_slice(&[3_000, 15_000, 1_500]);
            rules.limit.0[0] = [u64::MAX, 9_000][prng.below(2) as usize];
            ledger.set_quota(account, &rules).unwrap();
            account
        };
        let accounts = std::array::from_fn(|_| opened());
        let placer = Placer::new(Fleet::new(&FLEET).unwrap(), &policies[0], &OPTIONS).unwrap();
        let mut host = Self {
            placer,
            ledger,
            prng,
            now: 0,
            tasks: [TaskId::default(); IDS],
            tasks_next: 0,
            nodes: [NodeId::default(); 8],
            accounts,
            policies,
            policy: 0,
            room: vec![0; 1 << 16].into(),
            log: Log::default(),
        };
        (0..4).for_each(|_| host.add_node());
        host
    }

    /// What the placer is to be restored with.
    pub fn policy(&self) -> &Policy {
        &self.policies[self.policy]
    }

    /// The same host with another placer.
    pub fn with_placer(&self, placer: Placer) -> Self {
        let mut bytes = vec![0; self.ledger.snapshot_bytes() as usize];
        self.ledger.save(&mut bytes).unwrap();
        Self {
            placer,
            ledger: Ledger::restore(&ledger_options(), &bytes).unwrap(),
            prng: self.prng.clone(),
            policies: self.policies.clone(),
            room: self.room.clone(),
            log: self.log.clone(),
            ..*self
        }
    }

    pub fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            match self.prng.below(40) {
                0..6 => self.submit(),
                6..10 => self.place(),
                10..18 => self.cycle(),
                18..23 => self.end(),
                23..26 => self.resize(),
                26 | 27 => self.move_or_save_work(),
                28 => self.reclaim(),
                29..32 => self.ask(),
                32 => self.imagine(),
                33 => self.warm(),
                34 if self.prng.chance(30) => self.settings(),
                35..38 => self.events(),
                _ => self.look(),
            }
            if self.prng.chance(60) {
                self.now = self.now.saturating_add(self.prng.below(20 * SECOND));
            }
        }
    }

    /// Mostly now, at times long ago.
    fn clock(&mut self) -> Nanos {
        Nanos(if self.prng.chance(3) { self.now / 2 } else { self.now })
    }

    fn task_id(&mut self) -> TaskId {
        if self.prng.chance(3) {
            return TaskId::from_raw(self.prng.draw());
        }
        // One that is known, if it is found soon.
        let start = self.prng.below(IDS as u64) as usize;
        let known = |at: &usize| self.placer.task(self.tasks[at % IDS]).is_ok();
        let at = (start..start + IDS).find(known).unwrap_or(start);
        self.tasks[at % IDS]
    }

    fn node(&mut self) -> NodeId {
        if self.prng.chance(3) {
            return NodeId::from_raw(self.prng.draw());
        }
        self.nodes[self.prng.below(8) as usize]
    }

    fn add_node(&mut self) {
        let partitioned = Sharing::Partitioned(LayoutId(0));
        let sharing = [Sharing::Shared, Sharing::Shared, Sharing::Exclusive, partitioned];
        let mut devices = [DeviceSpec::default(); 5];
        for device in &mut devices {
            *device = DeviceSpec {
                model: ModelId(self.prng.below(2) as u8),
                memory_mib: 200_000,
                sharing: sharing[self.prng.below(4) as usize],
                numa: 0,
                link_group: self.prng.below(2) as u8,
            };
        }
        // At times more devices than fit.
        let len = if self.prng.chance(5) { 5 } else { 1 + self.prng.below(4) as usize };
        let spec = NodeSpec {
            cpu_milli: 16_000,
            memory_mib: 2_000,
            devices: &devices[..len],
            labels: self.prng.below(4),
            rack: self.prng.below(2) as u32,
            zone: 0,
        };
        let answer = self.placer.add_node(&spec);
        if let Some(node) = self.log.note("add_node", answer) {
            self.nodes[node.index() as usize] = node;
        }
    }

    fn remember(&mut self, task: TaskId) {
        self.tasks[self.tasks_next % IDS] = task;
        self.tasks_next += 1;
    }

    fn submit(&mut self) {
        let (now, task) = (self.clock(), self.task());
        let answer = self.placer.submit(now, &task);
        if let Some(id) = self.log.note("submit", answer) {
            self.remember(id);
        }
    }

    fn place(&mut self) {
        let (now, task) = (self.clock(), self.task());
        let mut out = [Hold::default(); MEMBERS_MAX];
        let room = if self.prng.chance(4) { 0 } else { MEMBERS_MAX };
        let answer = self.placer.place(now, &task, &mut out[..room]);
        if let Some(Placed::Running { task, .. }) = self.log.note("place", answer) {
            self.remember(task);
        }
        self.log.told("holds of place", out);
    }

    /// Notes that there were any.
    fn note_some(&mut self, what: &'static str, len: u32) {
        if len > 0 {
            self.log.told(what, len);
        }
    }

    fn cycle(&mut self) {
        let now = self.clock();
        let mut room = || if self.prng.chance(6) { self.prng.below(2) as usize } else { 8 };
        let (started_max, ending_max, reserved_max) = (room(), room(), room());
        let mut started = [TaskId::default(); 8];
        let mut ending = [TaskId::default(); 8];
        let mut reserved = [Reservation::default(); 8];
        let mut plan = CyclePlan {
            started: &mut started[..started_max],
            ending: &mut ending[..ending_max],
            reserved: &mut reserved[..reserved_max],
        };
        let cycle = if self.prng.chance(50) {
            let answer = self.placer.cycle(now, &mut self.ledger, &mut plan);
            self.log.note("cycle", answer).unwrap_or_default()
        } else {
            let keeps =
                Keeps { gpus: self.prng.below(6) as f64, class: self.prng.below(9) / 8 * 7 };
            let answer = self.placer.cycle_holding(now, &mut self.ledger, &mut plan, &keeps);
            self.log.note("cycle_holding", answer).unwrap_or_default()
        };
        self.note_some("held", cycle.held);
        let (task, class) = (self.task_id(), self.prng.below(4) as u32);
        let answer = self.placer.batch_job(task, class);
        self.log.note("batch_job", answer);
        self.log.told("held_back", self.placer.held_back());
        self.log.told("plan", (started, ending, reserved));
        self.note_some("started", cycle.started_len);
        self.note_some("made to end in a cycle", cycle.ending_len);
        self.note_some("reserved", cycle.reserved_len);
        // Mostly the host ends them at once.
        for task in &ending[..cycle.ending_len as usize] {
            if self.prng.chance(80) {
                let answer = self.placer.requeue(Nanos(self.now), *task);
                self.log.note("requeue", answer);
            }
        }
    }

    fn end(&mut self) {
        let (now, task) = (self.clock(), self.task_id());
        if self.prng.chance(20) {
            let answer = self.placer.requeue(now, task);
            self.log.note("requeue", answer);
        } else {
            let answer = self.placer.release(now, task);
            self.log.note("release", answer);
        }
    }

    fn resize(&mut self) {
        let (now, task) = (self.clock(), self.task_id());
        if self.prng.chance(60) {
            let mut out = [Hold::default(); MEMBERS_MAX];
            let (members, room) = (self.prng.below(7) as u32, self.prng.below(40).min(6) as usize);
            let answer = self.placer.resize(now, task, members, &mut out[..room]);
            self.log.note("resize", answer);
            self.log.told("holds of resize", out);
            return;
        }
        let mut member = self.demand();
        if let Ok(entry) = self.placer.task(task) {
            let held = entry.task.member;
            member = Demand {
                devices: match held.devices {
                    DeviceDemand::Share { count, memory_mib, .. } => {
                        let milli = 50 + self.prng.below(900) as u16;
                        DeviceDemand::Share { count, milli, memory_mib }
                    }
                    devices if self.prng.chance(90) => devices,
                    _ => member.devices,
                },
                models: held.models,
                one_link_group: held.one_link_group,
                ..member
            };
        }
        let answer = self.placer.resize_members(now, task, &member);
        let resized = self.log.note("resize_members", answer);
        let is_full = matches!(resized, Some(Resized::NoRoom { .. }));
        self.note_some("no room to resize", is_full.into());
    }

    fn move_or_save_work(&mut self) {
        let (now, task) = (self.clock(), self.task_id());
        let at = Nanos(self.now.saturating_sub(self.prng.below(12 * SECOND)));
        let answer = self.placer.checkpointed(now, task, at);
        self.log.note("checkpointed", answer);
        let mut moves = [Move::default(); 3];
        let most = self.prng.below(5) as u32;
        let now = self.clock();
        let answer = self.placer.compact(now, most, &mut moves);
        self.log.note("compact", answer);
        self.log.told("moves", moves);
        let mut to = moves[0].to;
        if moves[0].task == TaskId::default() {
            // Nothing is proposed: it stays where it is.
            let own = self.placer.holds(task).ok().and_then(|mut holds| holds.next().copied());
            (moves[0].task, to) = (task, own.unwrap_or_default());
        }
        if self.prng.chance(30) {
            (to.node, to.devices) = (self.node(), self.prng.below(16) as u16);
        }
        let task = if self.prng.chance(20) { task } else { moves[0].task };
        let answer = self.placer.moved_to(now, task, &to);
        self.log.note("moved_to", answer);
    }

    fn reclaim(&mut self) {
        let (now, task) = (self.clock(), self.task_id());
        let mut out = [TaskId::default(); 4];
        let answer = self.placer.reclaim_for(now, &mut self.ledger, task, &mut out);
        let victims = self.log.note("reclaim_for", answer).flatten();
        self.note_some("made to end", victims.unwrap_or(0));
        self.log.told("victims", out);
    }

    fn ask(&mut self) {
        let (now, id, task) = (self.clock(), self.task_id(), self.task());
        let answer = self.placer.expected_start(now, id);
        self.log.note("expected_start", answer);
        let answer = self.placer.why(now, &task);
        self.log.note("why", answer);
        let answer = self.placer.lost_work_s(now, id);
        self.log.note("lost_work_s", answer);
    }

    fn imagine(&mut self) {
        let (now, node, id, task) = (self.clock(), self.node(), self.task_id(), self.task());
        let changes = [
            Change::Release(id),
            Change::FailNode(node),
            Change::ReturnNode(node),
            Change::DrainNode(node),
            Change::Place(&task),
            Change::RemoveNode(node),
            Change::AddNode(NodeSpec::default()),
        ];
        let begin = self.prng.below(7) as usize;
        let mut out = [Hold::default(); MEMBERS_MAX];
        let what_if = self.placer.what_if(now, &changes[begin..]);
        let answer = what_if.and_then(|mut what_if| {
            let (fit, placed) = (what_if.members_fit(&task)?, what_if.place(&task, &mut out)?);
            Ok((fit, placed, what_if.not_placed(), *what_if.fleet().free()))
        });
        self.log.note("what_if", answer);
        self.log.told("imagined", out);
    }

    fn warm(&mut self) {
        let (node, artifact) = (self.node(), self.prng.below(12) as u32);
        let warm = self.prng.chance(60);
        let answer = self.placer.set_warm(node, artifact, warm);
        self.log.note("set_warm", answer);
        let answer = self.placer.is_warm(node, artifact);
        self.log.note("is_warm", answer);
    }

    fn settings(&mut self) {
        let pick = self.prng.below(5) as usize;
        let answer = self.placer.set_policy(&self.policies[pick]);
        if self.log.note("set_policy", answer).is_some() {
            self.policy = pick;
        }
        let price = [0.0, 0.5, 40.0, -1.0, f64::NAN][self.prng.below(5) as usize];
        let answer = self.placer.set_shadow_price(price);
        self.log.note("set_shadow_price", answer);
        let entry = MixEntry { demand: self.demand(), weight: 1 };
        let mix = [entry; MIX_LEN];
        let answer = self.placer.set_mix(&mix[..[0, 1, MIX_LEN][self.prng.below(3) as usize]]);
        self.log.note("set_mix", answer);
    }

    fn events(&mut self) {
        let (node, device) = (self.node(), self.prng.below(5) as u32);
        let mut out = [TaskId::default(); 16];
        let room = if self.prng.chance(5) { 0 } else { 16 };
        let room = &mut out[..room];
        let (name, answer) = match self.prng.below(15) {
            0 => ("drain_node", self.placer.drain_node(node, room)),
            1 => ("fail_node", self.placer.fail_node(node, room)),
            2 => ("drain_device", self.placer.drain_device(node, device, room)),
            3 => ("fail_device", self.placer.fail_device(node, device, room)),
            4..7 => ("return_node", self.placer.return_node(node).map(|()| 0)),
            7..9 => ("return_device", self.placer.return_device(node, device).map(|()| 0)),
            9 => ("set_labels", self.placer.set_labels(node, u64::from(device)).map(|()| 0)),
            10..13 => ("remove_node", self.placer.remove_node(node).map(|()| 0)),
            _ => return self.add_node(),
        };
        self.log.note(name, answer);
        self.log.told("concerned", out);
    }

    fn look(&mut self) {
        let (now, task, node) = (self.clock(), self.task_id(), self.node());
        let answer = self.placer.settle(now, &mut self.ledger);
        self.log.note("settle", answer);
        let answer = self.placer.drained(node);
        self.log.note("drained", answer);
        let answer = self.placer.task(task).map(|entry| (entry.task, entry.stage, entry.price));
        self.log.note("task", answer);
        let answer = self.placer.holds(task).map(|holds| {
            for hold in holds {
                self.log.told("hold", *hold);
            }
        });
        self.log.note("holds", answer);
        let mut reservations_len = 0;
        for reservation in self.placer.reservations() {
            self.log.told("reservation", reservation);
            reservations_len += 1;
        }
        self.log.told("reservations", reservations_len);
        self.log.told("pending_len", self.placer.pending_len());
        self.log.told("shadow_price", self.placer.shadow_price());
        self.log.told("options", *self.placer.options());
        self.log.told("fleet", *self.placer.fleet().free());
        self.log.told("stats", self.placer.stats());
        // What it has priced in this life is not part of a snapshot.
        std::hint::black_box(self.placer.knows_shape(&Demand::default()));
        self.log.told("knows_shape", ());
        let room = if self.prng.chance(20) { 99 } else { self.room.len() };
        let answer = self.placer.save(&mut self.room[..room]);
        self.log.note("save", answer);
        self.log.told("snapshot_bytes", self.placer.snapshot_bytes());
    }
}
