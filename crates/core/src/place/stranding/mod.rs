//! What a placement makes unusable.
//!
//! # What it decides
//! A cost of one demand on one node, in thousandths of devices, and which of the node's devices
//! cost least: by the value that is lost to the task mix (`value`, the default), by fragmentation
//! (`fgd`), or by the rule of another scheduler (`peers`).
//!
//! # How
//! Both measures go by a mix that is learned from arrivals (`mix`) or given
//! ([`Placer::set_mix`](super::Placer::set_mix)), through tables that are worked out a piece at a
//! time (`refresh`). With `value`, devices that some tasks depend on cost more (`models`).
//!
//! A share takes the device where it costs least, the one with the least left of equals. Whole
//! devices, shares of several and partitions take those that the fleet would give.
//!
//! # Bounds and cost
//! A price is O(devices) lookups. An arrival costs the same whatever the number of nodes is. All
//! memory is taken in `new`: at most 600 KiB, and a byte for each node and size of gang.
//!
//! # What it is bad at
//! A partition is priced by the CPU that it takes and by what is left of its device, so that one
//! device is filled after the other; the mix knows nothing of partitions.

mod fgd;
mod gangs;
mod matrix;
pub(super) mod mix;
pub(super) mod models;
mod peers;
mod pricer;
mod refresh;
pub(super) mod shape;
mod state;
mod value;

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

use super::members::Members;
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{Demand, DeviceChoice, Fleet, Lack};
use crate::policy::{Measure, MixWeight};
use gangs::{Ceiling, GANGS_MAX};
use matrix::{Candidate, Matrix, Pricing};
use mix::{Entry, TaskMix};
use models::{ModelPrices, Slots};
use pricer::Pricer;
use refresh::{Refresh, Tables};
pub(super) use shape::Shape;

/// Arrivals between two columns of the matrix that are priced anew. A node is priced whenever
/// something comes or goes there; without any other pricing the public lists are packed as tight.
const ROLL_EVERY: u64 = 16;

/// What a placement strands, as each measure sees it, for every node of a fleet.
#[derive(Debug)]
pub(super) struct Stranding {
    measure: Measure,
    mix_weight: MixWeight,
    /// Tasks that have arrived.
    arrivals: u64,
    /// Kinds of the tasks on each node, for the measure that asks for them.
    kinds: Box<[u32]>,
    slots: Slots,
    ceiling: Ceiling,
    mix: TaskMix,
    tables: Tables,
    models: ModelPrices,
    refresh: Refresh,
    /// Places for gangs on each node, as last counted.
    places: Box<[u8]>,
    /// Sizes of gang that a node can hold.
    sizes: usize,
    /// Costs of all shapes in use, for the measures that go by a mix.
    matrix: Option<Matrix>,
}

impl Stranding {
    pub(super) fn new(
        measure: Measure,
        mix_weight: MixWeight,
        nodes_max: u32,
        devices_per_node_max: u32,
    ) -> Self {
        let kinds = Self::kinds_len(measure, nodes_max);
        let places = Self::places_len(measure, nodes_max, devices_per_node_max);
        Self {
            measure,
            mix_weight,
            arrivals: 0,
            kinds: vec![0; kinds].into_boxed_slice(),
            slots: Slots::new(),
            ceiling: Ceiling::NONE,
            mix: TaskMix::new(),
            tables: Tables::new(measure, devices_per_node_max),
            models: ModelPrices::new(),
            refresh: Refresh::new(),
            places: vec![0; places].into_boxed_slice(),
            sizes: Self::sizes(devices_per_node_max),
            matrix: Self::has_matrix(measure).then(|| Matrix::new(nodes_max)),
        }
    }

    pub(super) const fn bytes_needed(
        measure: Measure,
        nodes_max: u32,
        devices_per_node_max: u32,
    ) -> u64 {
        (Self::kinds_len(measure, nodes_max) * size_of::<u32>()) as u64
            + Self::places_len(measure, nodes_max, devices_per_node_max) as u64
            + TaskMix::bytes_needed()
            + Tables::bytes_needed(measure, devices_per_node_max)
            + if Self::has_matrix(measure) { Matrix::bytes_needed(nodes_max) } else { 0 }
    }

    const fn has_matrix(measure: Measure) -> bool {
        matches!(measure, Measure::Value | Measure::Fgd)
    }

    const fn kinds_len(measure: Measure, nodes_max: u32) -> usize {
        if matches!(measure, Measure::Clustering) { nodes_max as usize } else { 0 }
    }

    const fn places_len(measure: Measure, nodes_max: u32, devices_per_node_max: u32) -> usize {
        if matches!(measure, Measure::Value) {
            nodes_max as usize * Self::sizes(devices_per_node_max)
        } else {
            0
        }
    }

    const fn sizes(devices_per_node_max: u32) -> usize {
        let sizes = devices_per_node_max.saturating_sub(1) as usize;
        if sizes < GANGS_MAX { sizes } else { GANGS_MAX }
    }

    fn places_of(&self, index: u32) -> Range<usize> {
        let begin = index as usize * self.sizes;
        begin..begin + self.sizes
    }

    pub(super) const fn measure(&self) -> Measure {
        self.measure
    }

    /// By how much a task counts in the mix: so many members, with so many devices, for so long.
    pub(super) fn weight(&self, members: u32, gpu_milli: u64, run_s: f64) -> f64 {
        match self.mix_weight {
            MixWeight::Arrivals => f64::from(members),
            MixWeight::GpuTime => gpu_milli as f64 / f64::from(WHOLE_MILLI) * run_s,
        }
    }

    /// A task of this shape has arrived: it counts in the mix with this weight, and what follows
    /// from the mix is moved on by a piece.
    pub(super) fn arrived(&mut self, fleet: &Fleet, demand: &Demand, weight: f64) {
        self.arrivals = self.arrivals.wrapping_add(1);
        if matches!(self.tables, Tables::None) {
            return;
        }
        if let Some(shape) = Shape::of(demand).filter(|_| !self.mix.is_fixed()) {
            let possible = self.ceiling.allows(shape.count, shape.cpu_milli)
                && self.slots.with(demand.models) != 0;
            self.mix.learn(shape, demand.models, weight, possible);
        }
        self.refresh(fleet);
        if self.measure == Measure::Value {
            self.models.step(self.arrivals, fleet, &self.slots, &self.mix);
        }
        let is_turn = self.arrivals.is_multiple_of(ROLL_EVERY);
        if let (Some(matrix), pricer) = self.matrix_and_pricer() {
            if is_turn {
                matrix.roll(fleet, &pricer);
            } else {
                matrix.roll_kind(fleet, &pricer);
            }
        }
    }

    /// Prices all nodes anew whose costs are of older tables. O(nodes * shapes).
    pub(super) fn price_all(&mut self, fleet: &Fleet) {
        if let (Some(matrix), pricer) = self.matrix_and_pricer() {
            matrix.price_all(fleet, &pricer);
        }
    }

    /// From now on the mix is this one, whatever comes; empty: it is learned. O(nodes).
    pub(super) fn fix_mix(&mut self, fleet: &Fleet, entries: impl Iterator<Item = Entry>) {
        self.mix.fix(entries);
        if !matches!(self.tables, Tables::None) {
            self.refresh_all(fleet);
            self.price_all(fleet);
        }
    }

    /// What is free on the node with this index has changed, or the node came or went.
    pub(super) fn changed(&mut self, fleet: &Fleet, members: &Members, index: u32) {
        if let Some(kinds) = self.kinds.get_mut(index as usize) {
            *kinds = members.of_node(index).fold(0, |all, member| all | peers::kind(&member.hold));
        }
        if matches!(self.tables, Tables::None) {
            return;
        }
        self.count_places(fleet, index);
        if let (Some(matrix), pricer) = self.matrix_and_pricer() {
            matrix.changed(fleet, &pricer, index);
        }
    }

    /// The shape by which the matrix offers nodes to a demand, if it does.
    pub(super) fn shape_of(&self, demand: &Demand) -> Option<Shape> {
        self.matrix.as_ref().and_then(|_| Shape::of(demand))
    }

    /// Whether the matrix keeps the costs of a demand.
    pub(super) fn knows_shape(&self, demand: &Demand) -> bool {
        let has_row = |matrix: &Matrix| Shape::of(demand).is_some_and(|own| matrix.has_row(own));
        self.matrix.as_ref().is_some_and(has_row)
    }

    /// The node where a shape strands the least; see [`Matrix::cheapest`].
    pub(super) fn offer(
        &mut self,
        fleet: &Fleet,
        shape: Shape,
        demand: &Demand,
        except: &[u32],
    ) -> Option<Candidate> {
        let (matrix, pricer) = self.matrix_and_pricer();
        matrix?.cheapest(fleet, &pricer, shape, demand, except)
    }

    /// Nodes that the matrix never offers.
    pub(super) fn odd(&self) -> &[u32] {
        self.matrix.as_ref().map_or(&[], Matrix::odd)
    }

    /// Whether the costs that a node has in the matrix are of the present tables.
    pub(super) fn is_current(&self, index: u32) -> bool {
        self.matrix
            .as_ref()
            .is_none_or(|matrix| matrix.version_of(index) == Some(self.pricer().version()))
    }

    /// A node with this index is there.
    pub(super) fn appeared(&mut self, fleet: &Fleet, index: u32) {
        let Some(node) = fleet.at(index) else { return };
        let mut is_new = false;
        for device in fleet.devices_at(index) {
            is_new |= self.slots.see(&device.spec);
        }
        self.ceiling.see(usize::from(node.devices_len), node.cpu_milli);
        if is_new && matches!(self.refresh.stage, refresh::Stage::Rest { .. }) {
            // The mix has to be split among models anew.
            self.refresh.stage = refresh::Stage::Rest { due: 0 };
        }
    }

    /// What prices follow from.
    const fn pricer(&self) -> Pricer<'_> {
        let Self { tables, slots, models, refresh, .. } = self;
        Pricer { tables, slots, models, rounds: refresh.rounds }
    }

    const fn matrix_and_pricer(&mut self) -> (Option<&mut Matrix>, Pricer<'_>) {
        let Self { matrix, tables, slots, models, refresh, .. } = self;
        (matrix.as_mut(), Pricer { tables, slots, models, rounds: refresh.rounds })
    }

    /// Whether prices follow from the task mix.
    const fn goes_by_mix(&self) -> bool {
        !matches!(self.tables, Tables::None)
    }

    /// Milli-GPU that the demand would strand on the node, and the devices that strand least. For
    /// the rules of `peers`, their cost in place of milli-GPU.
    pub(super) fn price(
        &self,
        fleet: &Fleet,
        index: u32,
        demand: &Demand,
    ) -> Result<(i64, DeviceChoice), Lack> {
        let mut choice = fleet.choose_devices(index, demand)?;
        if self.measure == Measure::Random {
            choice = peers::random_devices(fleet, index, demand, choice, self.arrivals);
        }
        let kinds = self.kinds.get(index as usize).copied().unwrap_or(0);
        let sight = peers::Sight { fleet, index, kinds, choice, arrivals: self.arrivals };
        if let Some(cost) = peers::cost(self.measure, &sight, demand) {
            return Ok((cost, choice));
        }
        Ok(self.pricer().price(fleet, index, demand, choice))
    }
}

#[cfg(test)]
mod tests;
