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
mod refresh;
pub(super) mod shape;
mod state;
mod value;

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

use super::members::Members;
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{
    Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, Lack, ModelId, ModelSet, Sharing,
};
use crate::policy::{Measure, MixWeight};
use fgd::FragmentsOf;
use gangs::{Ceiling, GANGS_MAX};
use matrix::{Candidate, Matrix, NEVER, Pricing, ROWS_MAX};
use mix::{Entry, TaskMix};
use models::{ModelPrices, Slots};
use refresh::{Refresh, Tables};
pub(super) use shape::Shape;
use shape::{BIAS_MILLI, Move, Prices, Sight};
use value::ValueOf;

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
        if self.arrivals.is_multiple_of(ROLL_EVERY)
            && let Some(mut matrix) = self.matrix.take()
        {
            matrix.roll(fleet, self);
            self.matrix = Some(matrix);
        }
    }

    /// Prices all nodes anew whose costs are of older tables. O(nodes * shapes).
    pub(super) fn price_all(&mut self, fleet: &Fleet) {
        if let Some(mut matrix) = self.matrix.take() {
            matrix.price_all(fleet, self);
            self.matrix = Some(matrix);
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
        if let Some(mut matrix) = self.matrix.take() {
            matrix.changed(fleet, self, index);
            self.matrix = Some(matrix);
        }
    }

    /// The shape by which the matrix offers nodes to a demand, if it does.
    pub(super) fn shape_of(&self, demand: &Demand) -> Option<Shape> {
        self.matrix.as_ref().and_then(|_| Shape::of(demand))
    }

    /// The node where a shape strands the least; see [`Matrix::cheapest`].
    pub(super) fn offer(
        &mut self,
        fleet: &Fleet,
        shape: Shape,
        models: ModelSet,
        except: &[u32],
    ) -> Option<Candidate> {
        let mut matrix = self.matrix.take()?;
        let cheapest = matrix.cheapest(fleet, self, shape, models, except);
        self.matrix = Some(matrix);
        cheapest
    }

    /// Nodes that the matrix never offers.
    pub(super) fn odd(&self) -> &[u32] {
        self.matrix.as_ref().map_or(&[], Matrix::odd)
    }

    /// Whether the costs that a node has in the matrix are of the present tables.
    pub(super) fn is_current(&self, index: u32) -> bool {
        self.matrix.as_ref().is_none_or(|matrix| matrix.version_of(index) == Some(self.version()))
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

    /// What a shape pays for devices of a slot of models, in thousandths of devices.
    pub(super) fn model_price(&self, slot: u8, shape: Shape) -> i64 {
        self.models.price(slot, shape.gpu_milli())
    }

    /// For each shape what it strands on a node, without the price of the model, plus
    /// [`BIAS_MILLI`]; `u32::MAX` where CPU or devices lack room. For a node whose devices are all
    /// ready, of one model and given in one way, by `value` or `fgd`. `by_cpu` has the places of the
    /// shapes, the one that takes the least CPU first. O(shapes * devices).
    fn milli_rows(
        &self,
        fleet: &Fleet,
        index: u32,
        (shapes, by_cpu): (&[Shape], &[u8]),
        out: &mut [u32],
    ) {
        out.fill(u32::MAX);
        let sight = Sight::of(fleet, index, &self.slots);
        match &self.tables {
            Tables::Value(both) => {
                rows(&ValueOf::new(&both[0], &sight), &sight, (shapes, by_cpu), out);
            }
            Tables::Fgd(both) => {
                rows(&FragmentsOf::new(&both[0], &sight), &sight, (shapes, by_cpu), out);
            }
            Tables::None => {}
        }
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
        let sight = Sight::of(fleet, index, &self.slots);
        let devices = fleet.devices_at(index);
        let (cost, choice) = match &self.tables {
            Tables::Value(both) => {
                best(&ValueOf::new(&both[0], &sight), &sight, devices, demand, choice)
            }
            Tables::Fgd(both) => {
                best(&FragmentsOf::new(&both[0], &sight), &sight, devices, demand, choice)
            }
            Tables::None => (BIAS_MILLI, choice),
        };
        let slot = chosen(choice).next().map_or(sight.slot, |at| sight.slots[at]);
        let model = self.models.price(slot, demand.gpu_milli());
        Ok((i64::from(cost) - i64::from(BIAS_MILLI) + model, choice))
    }
}

/// The lowest cost by fragmentation that a step can say; scores reach 4,595 either way.
const FGD_LEAST_MILLI: u32 = BIAS_MILLI - 10_000;

impl Pricing for Stranding {
    fn price_rows(
        &self,
        fleet: &Fleet,
        index: u32,
        rows: (&[Shape], &[u8]),
        out: &mut [i16; ROWS_MAX],
    ) {
        let mut milli = [u32::MAX; ROWS_MAX];
        self.milli_rows(fleet, index, rows, &mut milli[..rows.0.len()]);
        // What has no room is far above all that a step can say.
        let step = |steps: u32| steps.min(NEVER as u32) as i16;
        let both = out.iter_mut().zip(milli);
        match self.measure {
            Measure::Value => both.for_each(|(out, milli)| *out = step(milli / value::UNIT_MILLI)),
            _ => both.for_each(|(out, milli)| *out = step(milli - FGD_LEAST_MILLI)),
        }
    }

    fn milli_of(&self, steps: i16) -> i64 {
        let steps = u32::from(steps.unsigned_abs());
        let milli = match self.measure {
            Measure::Value => steps * value::UNIT_MILLI,
            _ => steps + FGD_LEAST_MILLI,
        };
        i64::from(milli) - i64::from(BIAS_MILLI)
    }

    fn model_milli(&self, model: Option<ModelId>, shape: Shape) -> i64 {
        model.map_or(0, |model| self.model_price(self.slots.of(model), shape))
    }

    fn version(&self) -> u32 {
        self.refresh.rounds as u32
    }
}

/// Devices of a choice, by index.
fn chosen(choice: DeviceChoice) -> impl Iterator<Item = usize> {
    (0..shape::DEVICES_MAX).filter(move |at| choice.devices >> at & 1 == 1)
}

/// See [`Stranding::milli_rows`]; writes only where there is room.
fn rows<P: Prices>(
    prices: &P,
    sight: &Sight,
    (shapes, by_cpu): (&[Shape], &[u8]),
    out: &mut [u32],
) {
    let (mut level_cpu, mut level) = (sight.cpu_milli, prices.with_cpu_left(sight.cpu_milli));
    for &row in by_cpu {
        let shape = shapes[usize::from(row)];
        // Those after it take as much, at least.
        let Some(cpu_milli) = sight.cpu_milli.checked_sub(shape.cpu_milli) else { break };
        let is_share = shape.is_share();
        if is_share && !sight.shared || !is_share && shape.count > sight.whole {
            continue;
        }
        if cpu_milli != level_cpu {
            level_cpu = cpu_milli;
            prices.lower(&mut level, cpu_milli);
        }
        let out = &mut out[usize::from(row)];
        if is_share {
            for (at, left) in sight.left().iter().enumerate() {
                if let Some(to_milli) = left.milli.checked_sub(shape.milli) {
                    *out = prices.cost_of_share(&level, at, to_milli).min(*out);
                }
            }
        } else {
            let (slot, count) = (sight.slot, shape.count);
            let taken = [Move { slot, count, from_milli: WHOLE_MILLI, to_milli: 0 }];
            *out = prices.cost(&level, if count == 0 { &[] } else { &taken });
        }
    }
}

/// The least cost of a demand on a node that has room for it, and on which devices; the choice
/// given is that of the fleet.
fn best<P: Prices>(
    prices: &P,
    sight: &Sight,
    devices: &[Device],
    demand: &Demand,
    choice: DeviceChoice,
) -> (u32, DeviceChoice) {
    let level = prices.with_cpu_left(sight.cpu_milli.saturating_sub(demand.cpu_milli));
    match demand.devices {
        DeviceDemand::None => (prices.cost(&level, &[]), choice),
        DeviceDemand::Whole { count, .. } => {
            let slot = chosen(choice).next().map_or(sight.slot, |at| sight.slots[at]);
            let taken = Move { slot, count, from_milli: WHOLE_MILLI, to_milli: 0 };
            (prices.cost(&level, &[taken]), choice)
        }
        DeviceDemand::Partition { .. } => {
            let free_milli = |at: usize| u32::from(devices[at].free_milli);
            (prices.cost(&level, &[]) + chosen(choice).map(free_milli).sum::<u32>(), choice)
        }
        DeviceDemand::Share { count: 1, milli, memory_mib } => {
            let mut best = (u32::MAX, choice);
            let mut last = None;
            for at in by_least_left(devices, demand.models, milli, memory_mib) {
                let (slot, from_milli) = (sight.slots[at], sight.free_milli[at]);
                if last.replace((slot, from_milli)) == Some((slot, from_milli)) {
                    continue;
                }
                let taken = Move { slot, count: 1, from_milli, to_milli: from_milli - milli };
                let cost = prices.cost(&level, &[taken]);
                if cost < best.0 {
                    best = (cost, DeviceChoice { devices: 1 << at, ..choice });
                }
            }
            best
        }
        DeviceDemand::Share { milli, .. } => {
            let none = Move { slot: sight.slot, count: 0, from_milli: 0, to_milli: 0 };
            let mut moves = [none; shape::DEVICES_MAX];
            for (own, at) in moves.iter_mut().zip(chosen(choice)) {
                let (slot, from_milli) = (sight.slots[at], sight.free_milli[at]);
                *own = Move { slot, count: 1, from_milli, to_milli: from_milli - milli };
            }
            (prices.cost(&level, &moves), choice)
        }
    }
}

/// Devices that have room for a share, the one with the least left first, then with the least
/// memory left.
fn by_least_left(
    devices: &[Device],
    models: ModelSet,
    milli: u16,
    memory_mib: u32,
) -> impl Iterator<Item = usize> {
    let mut list = [0_u8; shape::DEVICES_MAX];
    let mut len = 0;
    for (at, device) in devices.iter().enumerate() {
        if device.health == Health::Ready
            && device.spec.sharing == Sharing::Shared
            && models.contains(device.spec.model)
            && device.free_milli >= milli
            && device.memory_free_mib >= memory_mib
        {
            list[len] = at as u8;
            len += 1;
        }
    }
    let left = |at: &u8| {
        let device = &devices[usize::from(*at)];
        (device.free_milli, device.memory_free_mib, *at)
    };
    list[..len].sort_unstable_by_key(left);
    list.into_iter().take(len).map(usize::from)
}

#[cfg(test)]
mod tests;
