//! Fragmentation, and the scheduler that goes by it (FGD), each written as it is defined.
//!
//! # What it decides
//! [`Naive`] prices every node for every task with the definition alone: no table, nothing
//! remembered. It is slow and hard to get wrong: the peer that faster forms are held against, in
//! what they decide and in how long they take.
//!
//! # Formula
//! Fragmentation of a node for a shape: all its idle GPU if the shape asks for none, or does not fit
//! by model, CPU or GPUs; otherwise what is left of GPUs too small for it. Of a node for a mix: the
//! mean over shapes, weighted by how often they come. A placement scores
//! `floor(100 * sigmoid(decrease / 1000))`, in milli-GPU; the highest score wins, ties go to the
//! lower index; of the GPUs of one node that score the same, to the one with the least left (the
//! original takes the first; the states are the same but for the order of GPUs).
//!
//! # Bounds and cost
//! O(nodes * GPUs^2 * shapes) a task. Exact: amounts are counted in milli-GPU times occurrences, and
//! the sigmoid is a table of the 100 decreases at which the score steps.
//!
//! # Source
//! Weng et al., "Beware of Fragmentation" (ATC'23), sections 4 and 5, and its simulator, from which
//! the rounding is.

use std::collections::HashMap;

use rampmeter::fleet::device::WHOLE_MILLI;
use rampmeter::fleet::{DEVICES_PER_NODE_MAX, Demand, DeviceDemand, ModelId};

use super::jobs::Job;
use super::nodes::NodeRecord;

/// The shapes of a mix are the most frequent ones that make up this share of all tasks, in
/// hundredths: the original's.
const COVERAGE_MIN_PCT: usize = 95;

/// Best score.
const SCORE_MAX: usize = 100;

/// What is free of one node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FreeNode {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Host memory.
    pub memory_mib: u32,
    /// Model of its devices.
    pub model: ModelId,
    devices: u8,
    left_milli: [u16; DEVICES_PER_NODE_MAX as usize],
}

impl FreeNode {
    /// A node of which nothing is taken.
    #[must_use]
    pub fn new(record: &NodeRecord) -> Self {
        let left = vec![WHOLE_MILLI; record.devices.into()];
        Self::with_left(record.cpu_milli, record.memory_mib, record.model, &left)
    }

    /// A node with so much left of each device; those past [`DEVICES_PER_NODE_MAX`] are not there.
    #[must_use]
    pub fn with_left(cpu_milli: u32, memory_mib: u32, model: ModelId, left_milli: &[u16]) -> Self {
        let mut left = [0; DEVICES_PER_NODE_MAX as usize];
        left.iter_mut().zip(left_milli).for_each(|(left, milli)| *left = *milli);
        let devices = left_milli.len().min(left.len()) as u8;
        Self { cpu_milli, memory_mib, model, devices, left_milli: left }
    }

    /// Thousandths left of each device.
    #[must_use]
    pub fn left_milli(&self) -> &[u16] {
        &self.left_milli[..self.devices.into()]
    }

    /// Thousandths left of all devices.
    #[must_use]
    pub fn idle_milli(&self) -> u64 {
        self.left_milli().iter().map(|milli| u64::from(*milli)).sum()
    }

    /// Takes a demand from these devices, given as bits; `false`, with nothing taken, if that much
    /// is not free.
    pub fn take(&mut self, demand: &Demand, devices: u16) -> bool {
        let (_, milli) = each(demand);
        let chosen = |at: &usize| devices >> at & 1 == 1;
        let enough = (0..self.left_milli().len()).filter(chosen);
        let enough = enough.filter(|&at| self.left_milli[at] >= milli).count();
        if demand.cpu_milli > self.cpu_milli
            || demand.memory_mib > self.memory_mib
            || enough as u32 != devices.count_ones()
        {
            return false;
        }
        self.cpu_milli -= demand.cpu_milli;
        self.memory_mib -= demand.memory_mib;
        for at in (0..usize::from(self.devices)).filter(chosen) {
            self.left_milli[at] -= milli;
        }
        true
    }

    /// Devices on which a demand can be put, each as bits, those with less left first: any one
    /// device for a share of one, else the one set of those with the least left.
    fn choices(&self, demand: &Demand) -> Vec<u16> {
        let (count, milli) = each(demand);
        let host = demand.cpu_milli <= self.cpu_milli && demand.memory_mib <= self.memory_mib;
        if !host || (count > 0 && !demand.models.contains(self.model)) {
            return Vec::new();
        }
        let mut fits: Vec<usize> =
            (0..self.left_milli().len()).filter(|&at| self.left_milli[at] >= milli).collect();
        fits.sort_by_key(|&at| self.left_milli[at]);
        if fits.len() < count {
            return Vec::new();
        }
        if count == 1 && milli < WHOLE_MILLI {
            return fits.iter().map(|at| 1 << at).collect();
        }
        vec![fits[..count].iter().fold(0, |set, at| set | 1 << at)]
    }
}

/// Devices asked for, and thousandths of each.
fn each(demand: &Demand) -> (usize, u16) {
    match demand.devices {
        DeviceDemand::None | DeviceDemand::Partition { .. } => (0, 0),
        DeviceDemand::Whole { count, .. } => (count.into(), WHOLE_MILLI),
        DeviceDemand::Share { count, milli, .. } => (count.into(), milli),
    }
}

/// Thousandths of the idle devices of a node that a shape cannot use.
#[must_use]
pub fn fragmentation_milli(node: &FreeNode, shape: &Demand) -> u64 {
    let (count, milli) = each(shape);
    let fits = node.left_milli().iter().filter(|left| **left >= milli).count();
    let usable = count > 0
        && shape.models.contains(node.model)
        && shape.cpu_milli <= node.cpu_milli
        && fits >= count;
    if !usable {
        return node.idle_milli();
    }
    node.left_milli().iter().filter(|left| **left < milli).map(|left| u64::from(*left)).sum()
}

/// Shapes of tasks, and how often each comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// The shapes, the most frequent first.
    pub shapes: Vec<(Demand, u64)>,
    /// How often they come together.
    pub total: u64,
    /// Shapes there were before the rare ones were left out.
    pub distinct: usize,
    /// Share of all tasks that have one of the shapes, in hundredths.
    pub coverage_pct: f64,
}

impl Mix {
    /// The most frequent shapes of a list that make up 95% of it. Memory is not looked at.
    #[must_use]
    pub fn of(jobs: &[Job]) -> Self {
        let mut places = HashMap::new();
        let mut shapes: Vec<(Demand, u64)> = Vec::new();
        for job in jobs {
            let shape = Demand { memory_mib: 0, ..job.member };
            let key = (shape.cpu_milli, each(&shape), shape.models);
            let place = *places.entry(key).or_insert(shapes.len());
            match shapes.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => shapes.push((shape, 1)),
            }
        }
        let distinct = shapes.len();
        shapes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let (mut total, mut kept) = (0, 0);
        while kept < distinct && (total as usize) * 100 < COVERAGE_MIN_PCT * jobs.len() {
            total += shapes[kept].1;
            kept += 1;
        }
        shapes.truncate(kept);
        let coverage_pct = total as f64 * 100.0 / jobs.len().max(1) as f64;
        Self { shapes, total, distinct, coverage_pct }
    }

    /// Fragmentation of a node, in milli-GPU times [`Mix::total`].
    #[must_use]
    pub fn fragmentation(&self, node: &FreeNode) -> u64 {
        self.shapes.iter().map(|(shape, count)| count * fragmentation_milli(node, shape)).sum()
    }
}

/// Where a task goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spot {
    /// Index of the node.
    pub node: usize,
    /// Its devices, as bits.
    pub devices: u16,
}

/// FGD by its definition.
#[derive(Clone, Debug)]
pub struct Naive {
    mix: Mix,
    /// Least decrease, in milli-GPU times the mix's total, for a score of 1, 2, ... 99.
    steps: Vec<i64>,
}

impl Naive {
    /// The scheduler that goes by this mix.
    #[must_use]
    pub fn new(mix: Mix) -> Self {
        // sigmoid(x / 1000) >= k / 100 exactly from x = 1000 ln(k / (100 - k)) on.
        let step = |score: usize| {
            let odds = score as f64 / (SCORE_MAX - score) as f64;
            (1_000.0 * mix.total as f64 * odds.ln()).ceil() as i64
        };
        Self { steps: (1..SCORE_MAX).map(step).collect(), mix }
    }

    /// The best place for a demand; `None`: nowhere.
    #[must_use]
    pub fn choose(&self, nodes: &[FreeNode], demand: &Demand) -> Option<Spot> {
        let mut best: Option<(usize, Spot)> = None;
        for (index, node) in nodes.iter().enumerate() {
            let choices = node.choices(demand);
            if choices.is_empty() {
                continue;
            }
            let before = self.mix.fragmentation(node);
            for devices in choices {
                let mut after = *node;
                if !after.take(demand, devices) {
                    continue;
                }
                let lost = self.mix.fragmentation(&after);
                let score = self.score(before.cast_signed() - lost.cast_signed());
                if best.is_none_or(|(most, _)| score > most) {
                    best = Some((score, Spot { node: index, devices }));
                }
            }
        }
        best.map(|(_, spot)| spot)
    }

    /// The score of a decrease of fragmentation, in milli-GPU times the mix's total.
    fn score(&self, decrease: i64) -> usize {
        self.steps.partition_point(|step| decrease >= *step)
    }
}
