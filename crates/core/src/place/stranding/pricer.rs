//! What does a demand strand on a node, and what does each of many shapes?
//!
//! # How
//! Both measures price what is taken of one node by two things that hardly depend on each other: how
//! much CPU is left ([`Prices::Level`]), and what is taken of devices ([`Prices::Taken`]). Of many
//! shapes each of both is worked out once; one price is then a few lookups.
//!
//! # Bounds and cost
//! One demand: O(devices). All shapes: O(amounts of CPU * devices + portions * devices + shapes).
//!
//! # What it is bad at
//! Shapes are priced for nodes whose devices are all ready, of one model and given in one way;
//! others are priced for one demand at a time.

use super::fgd::FragmentsOf;
use super::matrix::{NEVER, Pricing, ROWS_MAX};
use super::models::{ModelPrices, Slots};
use super::refresh::Tables;
use super::shape::{DEVICES_MAX, Move, Portion, Prices, Row, Shape, ShapeRows, Sight};
use super::value::ValueOf;
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{
    Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, ModelId, ModelSet, Sharing,
};

/// What prices by a mix follow from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pricer<'a> {
    pub(super) tables: &'a Tables,
    pub(super) slots: &'a Slots,
    pub(super) models: &'a ModelPrices,
    /// Rounds of tables that are complete.
    pub(super) rounds: u64,
}

impl Pricer<'_> {
    /// What a demand that a node has room for strands there, and on which devices the least; the
    /// choice given is that of the fleet.
    pub(super) fn price(
        &self,
        fleet: &Fleet,
        index: u32,
        demand: &Demand,
        choice: DeviceChoice,
    ) -> (i64, DeviceChoice) {
        let sight = Sight::of(fleet, index, self.slots);
        let devices = fleet.devices_at(index);
        let (milli, choice) = match self.tables {
            Tables::Value(both) => {
                best(&ValueOf::new(&both[0], &sight), &sight, devices, demand, choice)
            }
            Tables::Fgd(both) => {
                best(&FragmentsOf::new(&both[0], &sight), &sight, devices, demand, choice)
            }
            Tables::None => (0, choice),
        };
        let slot = chosen(choice).next().map_or(sight.slot, |at| sight.slots[at]);
        (milli + self.models.price(slot, demand.gpu_milli()), choice)
    }
}

impl Pricing for Pricer<'_> {
    fn price_rows(
        &self,
        fleet: &Fleet,
        index: u32,
        rows: ShapeRows<'_>,
        out: &mut [i16; ROWS_MAX],
    ) {
        out.fill(NEVER);
        let sight = Sight::of_alike(fleet, index, self.slots);
        match self.tables {
            Tables::Value(both) => price_rows(&ValueOf::new(&both[0], &sight), &sight, rows, out),
            Tables::Fgd(both) => price_rows(&FragmentsOf::new(&both[0], &sight), &sight, rows, out),
            Tables::None => {}
        }
    }

    fn price_row(&self, fleet: &Fleet, index: u32, shape: Shape) -> i16 {
        // As a rule most nodes have no room, and say so at once.
        if fleet.at(index).is_none_or(|node| node.cpu_free_milli < shape.cpu_milli) {
            return NEVER;
        }
        let sight = Sight::of_alike(fleet, index, self.slots);
        if !has_room(&sight, Portion::of(shape)) {
            return NEVER;
        }
        match self.tables {
            Tables::Value(both) => price_row(&ValueOf::new(&both[0], &sight), &sight, shape),
            Tables::Fgd(both) => price_row(&FragmentsOf::new(&both[0], &sight), &sight, shape),
            Tables::None => NEVER,
        }
    }

    fn milli_of(&self, steps: i16) -> i64 {
        match self.tables {
            Tables::Value(_) => ValueOf::milli(steps),
            Tables::Fgd(_) => FragmentsOf::milli(steps),
            Tables::None => 0,
        }
    }

    fn model_milli(&self, model: Option<ModelId>, shape: Shape) -> i64 {
        model.map_or(0, |model| self.models.price(self.slots.of(model), shape.gpu_milli()))
    }

    fn version(&self) -> u32 {
        self.rounds as u32
    }
}

/// Devices of a choice, by index.
pub(super) fn chosen(choice: DeviceChoice) -> impl Iterator<Item = usize> {
    (0..DEVICES_MAX).filter(move |at| choice.devices >> at & 1 == 1)
}

/// See [`Pricing::price_rows`]; writes only where there is room.
fn price_rows<P: Prices>(
    prices: &P,
    sight: &Sight,
    rows: ShapeRows<'_>,
    out: &mut [i16; ROWS_MAX],
) {
    let mut taken = [None; ROWS_MAX];
    for (taken, portion) in taken.iter_mut().zip(rows.portions) {
        if has_room(sight, *portion) {
            *taken = Some(prices.taken(*portion));
        }
    }
    let (mut level_cpu, mut level) = (sight.cpu_milli, prices.with_cpu_left(sight.cpu_milli));
    for Row { cpu_milli, portion, at } in rows.by_cpu {
        // Those after it take as much, at least.
        let Some(cpu_milli) = sight.cpu_milli.checked_sub(*cpu_milli) else { break };
        let Some(taken) = &taken[usize::from(*portion)] else { continue };
        if cpu_milli != level_cpu {
            level_cpu = cpu_milli;
            prices.lower(&mut level, cpu_milli);
        }
        out[usize::from(*at)] = prices.steps_of(&mut level, taken);
    }
}

/// What a shape for which there is room costs on a node.
fn price_row<P: Prices>(prices: &P, sight: &Sight, shape: Shape) -> i16 {
    let mut level = prices.with_cpu_left(sight.cpu_milli - shape.cpu_milli);
    prices.steps_of(&mut level, &prices.taken(Portion::of(shape)))
}

/// Whether so much is left of devices.
fn has_room(sight: &Sight, portion: Portion) -> bool {
    if portion.is_share() {
        sight.shared && sight.left().iter().any(|left| left.milli >= portion.milli)
    } else {
        portion.count <= sight.whole
    }
}

/// The least cost of a demand on a node that has room for it, in thousandths of devices, and on
/// which devices; the choice given is that of the fleet.
fn best<P: Prices>(
    prices: &P,
    sight: &Sight,
    devices: &[Device],
    demand: &Demand,
    choice: DeviceChoice,
) -> (i64, DeviceChoice) {
    let level = prices.with_cpu_left(sight.cpu_milli.saturating_sub(demand.cpu_milli));
    let milli_of = |moves: &[Move]| P::milli(prices.steps(&level, moves));
    match demand.devices {
        DeviceDemand::None => (milli_of(&[]), choice),
        DeviceDemand::Whole { count, .. } => {
            let slot = chosen(choice).next().map_or(sight.slot, |at| sight.slots[at]);
            let taken = Move { slot, count, from_milli: WHOLE_MILLI, to_milli: 0 };
            (milli_of(&[taken]), choice)
        }
        DeviceDemand::Partition { .. } => {
            let free_milli = |at: usize| i64::from(devices[at].free_milli);
            (milli_of(&[]) + chosen(choice).map(free_milli).sum::<i64>(), choice)
        }
        DeviceDemand::Share { count: 1, milli, memory_mib } => {
            let mut best = (i64::MAX, choice);
            let mut last = None;
            for at in by_least_left(devices, demand.models, milli, memory_mib) {
                let (slot, from_milli) = (sight.slots[at], sight.free_milli[at]);
                if last.replace((slot, from_milli)) == Some((slot, from_milli)) {
                    continue;
                }
                let taken = Move { slot, count: 1, from_milli, to_milli: from_milli - milli };
                let cost = milli_of(&[taken]);
                if cost < best.0 {
                    best = (cost, DeviceChoice { devices: 1 << at, ..choice });
                }
            }
            best
        }
        DeviceDemand::Share { milli, .. } => {
            let none = Move { slot: sight.slot, count: 0, from_milli: 0, to_milli: 0 };
            let mut moves = [none; DEVICES_MAX];
            for (own, at) in moves.iter_mut().zip(chosen(choice)) {
                let (slot, from_milli) = (sight.slots[at], sight.free_milli[at]);
                *own = Move { slot, count: 1, from_milli, to_milli: from_milli - milli };
            }
            (milli_of(&moves), choice)
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
    let mut list = [0_u8; DEVICES_MAX];
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
