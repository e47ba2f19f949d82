//! One run: traffic through the library's cycle, on nodes where neighbours slow each other down.
//!
//! # How it goes
//! Tasks come and end; after each such moment the cycle decides, with the shadow price and the reserve
//! as the library's own desks make them of what has happened. While batch work is held the cycle is
//! asked again every [`POLL_S`] at the latest. Arrivals end at some time; all that came runs to its end.
//!
//! # Interference
//! A task with neighbours takes `1 + x` times as long, `x` the sum of what it loses for each of them by
//! the ratios of this experiment; when one comes or goes, what is left goes on at the new pace.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rampmeter::fleet::{DeviceDemand, Hold as Held};
use rampmeter::headroom::hold::Reserve;
use rampmeter::headroom::shadow::ShadowPrice;
use rampmeter::place::{CyclePlan, Placer, PlacerOptions, RESOURCES, Reservation, Task, TaskId};
use rampmeter::policy::Policy;
use rampmeter::share::{AccountId, Amounts, Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};

use super::hold::Holder;
use super::traffic::{Arrival, Ground, Traffic};
use super::{
    BATCH, GANG_RATIO, Hold, INTERACTIVE, NEIGHBOUR_RATIO, Placement, SHARER_RATIO, TARGET_S,
};

/// Longest time between two questions while batch work is held.
const POLL_S: f64 = 60.0;

/// Tasks that run or wait at once: more than a few hundred GPUs and a day beyond saturation leave.
const TASKS_MAX: u32 = 4_096;

/// Tasks that one call may start; then it is called again.
const PLAN_MAX: usize = 256;

/// Who decides, and whether neighbours matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Where tasks run.
    pub placement: Placement,
    /// Whether batch work waits.
    pub hold: Hold,
    /// Whether neighbours slow each other down.
    pub has_interference: bool,
}

/// What users of one run felt.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Felt {
    /// Mean delay by value: waiting, and run time lost to neighbours.
    pub delay_s: f64,
    /// Share of interactive tasks that started in time.
    pub attainment: f64,
    /// Mean delay of interactive tasks.
    pub interactive_s: f64,
    /// Mean delay of batch tasks.
    pub batch_s: f64,
    /// Share of the GPUs held while tasks came: an effect.
    pub held: f64,
}

/// A task that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    task: TaskId,
    node: usize,
    devices: u16,
    whole: bool,
    started: Nanos,
    /// Alone-time that is left, as of `since`.
    left_s: f64,
    since: Nanos,
    /// Run time over that alone.
    pace: f64,
    ends: Nanos,
}

struct World<'a> {
    case: &'a Case,
    arrivals: &'a [Arrival],
    placer: Placer,
    ledger: Ledger,
    account: AccountId,
    shadow: ShadowPrice,
    reserve: Reserve,
    holder: Holder,
    values: [f64; 2],
    /// Waiting tasks of each class.
    waiting: [u64; 2],
    /// By arrival.
    running: Vec<Option<Running>>,
    /// Arrivals that run on each node.
    on_node: Vec<Vec<usize>>,
    ends: BinaryHeap<Reverse<(Nanos, usize)>>,
    is_held: bool,
    now: Nanos,
    held_milli: u64,
    felt: Tally,
}

/// Sums over the tasks that are counted.
#[derive(Debug, Default)]
struct Tally {
    counted_from: Nanos,
    counted_to: Nanos,
    tasks: [u64; 2],
    delays_s: [f64; 2],
    in_time: u64,
    held_s: f64,
    span_s: f64,
}

/// Runs one case.
///
/// # Errors
/// What the library says: that there are too many tasks, where far more comes than can run.
pub fn run(ground: &Ground, traffic: &Traffic, case: &Case) -> Result<Felt, Error> {
    let mut world = World::new(ground, traffic, case)?;
    let mut next = 0;
    while let Some(now) = world.next(traffic.arrivals.get(next)) {
        world.advance(now);
        world.end_due()?;
        while let Some(arrival) = traffic.arrivals.get(next).filter(|task| task.at <= now) {
            world.come(next, arrival)?;
            next += 1;
        }
        world.decide()?;
    }
    Ok(world.finish(ground.gpus()))
}

fn task_of(tag: usize, arrival: &Arrival, account: AccountId) -> Task {
    Task {
        tag: tag as u64,
        account,
        class: if arrival.is_interactive { INTERACTIVE } else { BATCH },
        priority: arrival.is_interactive.into(),
        member: arrival.demand,
        duration: arrival.duration,
        ..Task::default()
    }
}

fn ledger_of(placer: &Placer) -> Result<(Ledger, AccountId), Error> {
    let mut ledger = Ledger::new(&LedgerOptions {
        accounts_max: 1,
        lanes: 0,
        resources: RESOURCES.len() as u32,
        dominant: true,
        ..LedgerOptions::default()
    })?;
    let total = placer.fleet().total();
    let mut capacity = Amounts::ZERO;
    let amounts = [total.gpu_milli, total.cpu_milli, total.memory_mib];
    capacity.0[..RESOURCES.len()].copy_from_slice(&amounts);
    ledger.set_capacity(&capacity)?;
    let account = ledger.open(None, 1.0)?;
    Ok((ledger, account))
}

impl<'a> World<'a> {
    fn new(ground: &Ground, traffic: &'a Traffic, case: &'a Case) -> Result<Self, Error> {
        let mut policy: Policy = case.placement.policy(case.has_interference);
        policy.hold = case.hold.rules();
        let order: Vec<usize> = (0..ground.nodes.nodes.len()).collect();
        let options = PlacerOptions {
            tasks_max: TASKS_MAX,
            members_max: TASKS_MAX,
            task_members_max: 1,
            accounts_max: 1,
        };
        let placer = Placer::new(ground.nodes.fleet(&order)?, &policy, &options)?;
        let (ledger, account) = ledger_of(&placer)?;
        let gpus = ground.gpus();
        let [tasks, task_gpus] = traffic.interactive;
        let class = |class: u32| policy.classes[class as usize].delay_value;
        Ok(Self {
            case,
            arrivals: &traffic.arrivals,
            shadow: ShadowPrice::new(Nanos::ZERO, gpus)?,
            reserve: Reserve::new(Nanos::ZERO, &policy, INTERACTIVE, gpus)?,
            holder: Holder::new(case.hold, gpus, tasks, task_gpus),
            values: [class(INTERACTIVE), class(BATCH)],
            waiting: [0; 2],
            running: vec![None; traffic.arrivals.len()],
            on_node: vec![Vec::new(); order.len()],
            ends: BinaryHeap::new(),
            is_held: false,
            now: Nanos::ZERO,
            held_milli: 0,
            felt: Tally {
                counted_from: traffic.counted_from,
                counted_to: traffic.arrivals.last().map_or(Nanos::ZERO, |last| last.at),
                ..Tally::default()
            },
            placer,
            ledger,
            account,
        })
    }

    /// When something happens next.
    fn next(&mut self, arrival: Option<&Arrival>) -> Option<Nanos> {
        while let Some(&Reverse((at, job))) = self.ends.peek()
            && self.running[job].is_none_or(|running| running.ends != at)
        {
            self.ends.pop();
        }
        let end = self.ends.peek().map(|Reverse((at, _))| *at);
        let poll = self.now.saturating_add(Nanos::from_seconds(POLL_S));
        let poll = Some(poll).filter(|_| self.is_held);
        let due = self.placer.reservations().map(|promise| promise.start_at).min();
        let due = due.filter(|at| *at > self.now);
        [arrival.map(|task| task.at), end, poll, due].into_iter().flatten().min()
    }

    fn advance(&mut self, now: Nanos) {
        let Tally { counted_from, counted_to, .. } = self.felt;
        let (from, to) = (self.now.max(counted_from), now.min(counted_to));
        let passed_s = to.saturating_sub(from).as_seconds();
        self.felt.held_s += passed_s * self.held_milli as f64 / 1e3;
        self.felt.span_s += passed_s;
        self.now = now;
    }

    fn come(&mut self, job: usize, arrival: &Arrival) -> Result<(), Error> {
        let gpus = f64::from(arrival.demand.gpu_milli()) / 1e3;
        self.placer.submit(self.now, &task_of(job, arrival, self.account))?;
        self.shadow.offered(self.now, gpus * arrival.duration.as_seconds())?;
        if arrival.is_interactive {
            self.reserve.arrived(self.now, gpus)?;
        }
        self.waits(arrival, 1)
    }

    fn waits(&mut self, arrival: &Arrival, change: i64) -> Result<(), Error> {
        let class = usize::from(!arrival.is_interactive);
        self.waiting[class] = self.waiting[class].saturating_add_signed(change);
        let value: f64 = self.waiting.iter().zip(self.values).map(|(n, v)| *n as f64 * v).sum();
        self.shadow.waiting(self.now, value)
    }

    fn decide(&mut self) -> Result<(), Error> {
        if matches!(self.case.placement, Placement::Priced(_)) {
            self.placer.set_shadow_price(self.shadow.price(self.now)?)?;
        }
        loop {
            let mut started = [TaskId::default(); PLAN_MAX];
            let mut reserved = [Reservation::default(); PLAN_MAX];
            let mut plan =
                CyclePlan { started: &mut started, ending: &mut [], reserved: &mut reserved };
            let Self { placer, ledger, holder, reserve, now, .. } = self;
            let cycle = match holder.holding(reserve) {
                Some(holding) => placer.cycle_holding(*now, ledger, &mut plan, holding)?,
                None => placer.cycle(*now, ledger, &mut plan)?,
            };
            for task in &started[..cycle.started_len as usize] {
                self.start(*task)?;
            }
            self.is_held = self.placer.held_back().is_some();
            if !cycle.more {
                return Ok(());
            }
        }
    }

    fn start(&mut self, task: TaskId) -> Result<(), Error> {
        let job = self.placer.task(task)?.task.tag as usize;
        let arrival = self.arrivals[job];
        let hold = self.placer.holds(task)?.next().copied().unwrap_or_default();
        let Held { node, devices, .. } = hold;
        let node = node.index() as usize;
        let whole = matches!(arrival.demand.devices, DeviceDemand::Whole { .. });
        self.running[job] = Some(Running {
            task,
            node,
            devices,
            whole,
            started: self.now,
            left_s: arrival.duration.as_seconds(),
            since: self.now,
            pace: 1.0,
            ends: Nanos::MAX,
        });
        self.on_node[node].push(job);
        self.held_milli += u64::from(arrival.demand.gpu_milli());
        if arrival.is_interactive {
            self.reserve.started(self.now)?;
            let wait_s = self.now.saturating_sub(arrival.at).as_seconds();
            let is_counted = arrival.at >= self.felt.counted_from;
            self.felt.in_time += u64::from(is_counted && wait_s <= TARGET_S);
        }
        self.repace(node);
        self.waits(&arrival, -1)
    }

    /// Everybody on a node goes on at the pace that those beside it leave.
    fn repace(&mut self, node: usize) {
        for at in 0..self.on_node[node].len() {
            let job = self.on_node[node][at];
            let Some(mut one) = self.running[job] else { continue };
            let passed_s = self.now.saturating_sub(one.since).as_seconds();
            one.left_s = (one.left_s - passed_s / one.pace).max(0.0);
            one.since = self.now;
            let lost = self.on_node[node].iter().filter(|other| **other != job);
            let lost: f64 =
                lost.filter_map(|other| self.running[*other]).map(|it| loses(&one, &it)).sum();
            one.pace = 1.0 + if self.case.has_interference { lost } else { 0.0 };
            let ends = self.now.saturating_add(Nanos::from_seconds(one.left_s * one.pace));
            if ends != one.ends {
                one.ends = ends;
                self.ends.push(Reverse((ends, job)));
            }
            self.running[job] = Some(one);
        }
    }

    fn end_due(&mut self) -> Result<(), Error> {
        while let Some(&Reverse((at, job))) = self.ends.peek()
            && at <= self.now
        {
            self.ends.pop();
            if let Some(running) = self.running[job].filter(|running| running.ends == at) {
                self.end(job, &running)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, job: usize, running: &Running) -> Result<(), Error> {
        let arrival = self.arrivals[job];
        let gpus = f64::from(arrival.demand.gpu_milli()) / 1e3;
        self.placer.release(self.now, running.task)?;
        if arrival.is_interactive {
            self.reserve.ended(self.now, self.now.saturating_sub(running.started))?;
        } else {
            self.reserve.released(self.now, gpus)?;
        }
        self.running[job] = None;
        self.on_node[running.node].retain(|other| *other != job);
        self.held_milli -= u64::from(arrival.demand.gpu_milli());
        if arrival.at >= self.felt.counted_from {
            let class = usize::from(!arrival.is_interactive);
            let alone = arrival.at.saturating_add(arrival.duration);
            self.felt.tasks[class] += 1;
            self.felt.delays_s[class] += self.now.saturating_sub(alone).as_seconds();
        }
        self.repace(running.node);
        Ok(())
    }

    fn finish(self, gpus: f64) -> Felt {
        let Tally { tasks, delays_s, in_time, held_s, span_s, .. } = self.felt;
        let counts = tasks.map(|count| count.max(1) as f64);
        let [fast, slow] = self.values;
        let worth = fast * tasks[0] as f64 + slow * tasks[1] as f64;
        Felt {
            delay_s: (fast * delays_s[0] + slow * delays_s[1]) / worth.max(f64::MIN_POSITIVE),
            attainment: in_time as f64 / counts[0],
            interactive_s: delays_s[0] / counts[0],
            batch_s: delays_s[1] / counts[1],
            held: if span_s > 0.0 { held_s / span_s / gpus } else { 0.0 },
        }
    }
}

/// Share of its run time that a task loses for a neighbour.
const fn loses(task: &Running, neighbour: &Running) -> f64 {
    if task.devices & neighbour.devices != 0 {
        return SHARER_RATIO;
    }
    match (neighbour.whole, neighbour.devices.count_ones()) {
        (false, _) | (_, 0) => 0.0,
        (true, 1) => NEIGHBOUR_RATIO,
        (true, _) => GANG_RATIO,
    }
}
