//! A cluster that is nearly full, and tasks that come and go: what `benches/place.rs` measures on.
//!
//! Nodes and tasks imitate a public trace of a mixed cluster (Alibaba, openb: 1,213 nodes with
//! 6,212 GPUs of six models; fractions, whole GPUs and whole nodes) in shape, not in numbers.

use std::collections::VecDeque;

use rampmeter::fleet::{
    Demand, DeviceDemand, DeviceSpec, Fleet, FleetOptions, Hold, ModelId, NodeSpec,
};
use rampmeter::place::{Placed, Placer, PlacerOptions, Task, TaskId};
use rampmeter::policy::{Measure, MixWeight, PlacementRules, Policy};
use rampmeter::{Nanos, share::AccountId};

use crate::Prng;

/// GPUs, cores and GiB of a kind of node, its model, and how many of 100 nodes are of it.
const KINDS: [(usize, u32, u32, u8, u64); 6] = [
    (8, 96, 384, 0, 45),
    (2, 96, 512, 1, 20),
    (2, 64, 256, 2, 15),
    (4, 96, 384, 3, 10),
    (8, 128, 768, 4, 7),
    (1, 16, 64, 5, 3),
];

/// Cores of a task, its GPUs, thousandths of each, and how many of 100 tasks are of it.
const SHAPES: [(u32, u8, u16, u64); 16] = [
    (12, 1, 1000, 20),
    (8, 1, 1000, 12),
    (6, 1, 460, 9),
    (4, 1, 250, 8),
    (8, 1, 500, 7),
    (10, 1, 810, 6),
    (2, 1, 120, 5),
    (4, 1, 330, 4),
    (16, 1, 1000, 4),
    (24, 2, 1000, 5),
    (32, 4, 1000, 4),
    (64, 8, 1000, 4),
    (88, 8, 1000, 3),
    (8, 0, 0, 5),
    (16, 0, 0, 2),
    (6, 1, 700, 2),
];

/// What tasks of one kind take of its cores, in quarters: 83 shapes in all, where the public
/// trace has 91.
const QUARTERS: [u32; 6] = [2, 3, 4, 5, 6, 8];

/// So that whole nodes can be given away.
const CORES_MAX: u32 = 96;

/// GPUs in use of those there are, at most: there is nearly always room for what comes next.
const FULL: f64 = 0.9;

/// A placer over such a cluster, and what runs on it, the oldest first.
#[derive(Debug)]
pub struct Cluster {
    placer: Placer,
    running: VecDeque<(TaskId, u32)>,
    prng: Prng,
    now: Nanos,
    used_milli: u64,
    total_milli: u64,
    next: Task,
    /// Shapes that came only once so far.
    unseen: u32,
    out: [Hold; 1],
}

/// One of `weights`, drawn by them.
fn drawn(prng: &mut Prng, weights: impl Iterator<Item = u64>) -> usize {
    let mut left = prng.below(100);
    for (at, weight) in weights.enumerate() {
        if left < weight {
            return at;
        }
        left -= weight;
    }
    0
}

/// So many nodes, and thousandths of devices on them.
pub(crate) fn fleet(nodes: u32, prng: &mut Prng) -> (Fleet, u64) {
    let options = FleetOptions { nodes_max: nodes, devices_per_node_max: 8 };
    let mut fleet = Fleet::new(&options).expect("sizes within their ranges");
    let mut total_milli = 0;
    for at in 0..nodes {
        let (devices, cores, gib, model, _) = KINDS[drawn(prng, KINDS.iter().map(|kind| kind.4))];
        let device =
            DeviceSpec { model: ModelId(model), memory_mib: 32_768, ..DeviceSpec::default() };
        let spec = NodeSpec {
            cpu_milli: cores * 1_000,
            memory_mib: gib * 1_024,
            devices: &vec![device; devices],
            rack: at / 32,
            ..NodeSpec::default()
        };
        fleet.add_node(&spec).expect("there is room");
        total_milli += 1_000 * devices as u64;
    }
    (fleet, total_milli)
}

/// What one of these tasks asks for.
pub(crate) fn member(prng: &mut Prng) -> Demand {
    let (cores, count, milli, _) = SHAPES[drawn(prng, SHAPES.iter().map(|shape| shape.3))];
    let devices = match (count, milli) {
        (0, _) => DeviceDemand::None,
        (count, 1_000) => DeviceDemand::Whole { count, memory_mib: 0 },
        (count, milli) => DeviceDemand::Share { count, milli, memory_mib: 0 },
    };
    let quarters = QUARTERS[prng.below(QUARTERS.len() as u64) as usize];
    let cpu_milli = (cores * quarters * 250).min(CORES_MAX * 1_000);
    Demand { cpu_milli, memory_mib: 4_096, devices, ..Demand::default() }
}

impl Cluster {
    /// A cluster of `nodes` nodes under this measure, filled to nine tenths.
    ///
    /// # Panics
    /// Never: all sizes are within their ranges.
    #[must_use]
    pub fn new(nodes: u32, measure: Measure) -> Self {
        let mut prng = Prng(5);
        let (fleet, total_milli) = fleet(nodes, &mut prng);
        let rules = PlacementRules {
            measure,
            mix_weight: MixWeight::Arrivals,
            ..PlacementRules::default()
        };
        let policy = Policy::default().with_placement(rules);
        let (tasks_max, members_max) = (nodes * 64, nodes * 64);
        let options = PlacerOptions { tasks_max, members_max, ..PlacerOptions::default() };
        let placer = Placer::new(fleet, &policy, &options).expect("sizes within their ranges");
        let mut cluster = Self {
            placer,
            running: VecDeque::with_capacity(tasks_max as usize),
            prng,
            now: Nanos::ZERO,
            used_milli: 0,
            total_milli,
            next: Task::default(),
            unseen: 0,
            out: [Hold::default()],
        };
        while !cluster.is_full() {
            cluster.prepare();
            cluster.start();
        }
        cluster
    }

    fn is_full(&self) -> bool {
        self.used_milli as f64 > FULL * self.total_milli as f64
    }

    /// The next task comes, and the oldest ones go until there is room for it.
    ///
    /// # Panics
    /// Never: what runs is known.
    pub fn prepare(&mut self) {
        self.now = self.now.saturating_add(Nanos(1_000));
        while self.is_full() {
            let Some((task, milli)) = self.running.pop_front() else { break };
            self.placer.release(self.now, task).expect("it runs");
            self.used_milli -= u64::from(milli);
        }
        let member = member(&mut self.prng);
        self.next = Task { account: AccountId::default(), member, ..Task::default() };
    }

    /// The same, of a shape that has not come before.
    ///
    /// # Panics
    /// Never: what runs is known.
    pub fn prepare_unseen(&mut self) {
        self.prepare();
        self.unseen += 1;
        // No core more, so that there is room as often as for the others.
        let cpu_milli = &mut self.next.member.cpu_milli;
        *cpu_milli = cpu_milli.saturating_sub(1 + self.unseen % 249);
    }

    /// Places it: the call that is measured. True if there was room. Valgrind finds it by its name:
    /// it is never inlined.
    ///
    /// # Panics
    /// Never: the task is a valid one.
    #[inline(never)]
    pub fn place(&mut self) -> bool {
        self.start()
    }

    #[expect(clippy::inline_always, reason = "it must be part of the method that is counted")]
    #[inline(always)]
    fn start(&mut self) -> bool {
        let placed = self.placer.place(self.now, &self.next, &mut self.out).expect("it is valid");
        let Placed::Running { task, .. } = placed else { return false };
        let milli = self.next.member.gpu_milli();
        self.used_milli += u64::from(milli);
        self.running.push_back((task, milli));
        true
    }
}
