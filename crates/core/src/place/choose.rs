//! Which node takes the next member?
//!
//! # Formula
//! ```text
//! stranding = weight * stranded GPUs * pi * holding_s          (`horizon` says how long)
//! total     = stranding + extras
//! ```
//! The node with the smallest total; on a tie the one that strands least, then the lowest index. So
//! with no extras ([`Task::has_extras`]) what strands least is the answer, and while an empty queue
//! makes all holes free (`pi = 0`) it still decides between nodes that cost the same.
//!
//! Where neighbours cost nothing extras only add, and a node whose stranding alone costs more than the
//! best total so far is not looked at further.
//!
//! # Bounds and cost
//! O(nodes of the domain looked at). A task that may go anywhere and has no extras is offered nodes
//! in the order of what they strand (`stranding::matrix`): as a rule the first one is taken.

use super::Placer;
use super::domains::Run;
use super::gang::{Gang, Pace};
use super::interference;
use super::members::NONE;
use super::price::Price;
use super::stranding::Shape;
use super::task::Task;
use crate::fleet::{DeviceChoice, Lack, NodeId, NodeStatus};

/// A node for one member, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) node: NodeId,
    pub(super) devices: DeviceChoice,
    pub(super) stranded_milli: i64,
    pub(super) price: Price,
    /// How the gang goes with it.
    pub(super) pace: Pace,
}

impl Choice {
    /// Whether it goes before one with a lower index.
    fn beats(&self, other: &Self) -> bool {
        let (own_s, other_s) = (self.price.total_s(), other.price.total_s());
        own_s < other_s || own_s == other_s && self.stranded_milli < other.stranded_milli
    }
}

/// Nodes that the matrix may offer in vain (somebody else was promised them) before all are looked at.
const OFFERS_MAX: usize = 16;

impl Placer {
    /// The cheapest node of a domain for one more member of a gang, or what the node that comes
    /// closest lacks; [`Lack::Devices`] where that is known of all of them without a look at each.
    pub(super) fn choose(&mut self, gang: &Gang<'_>, run: Run) -> Result<Choice, Lack> {
        let task = gang.task;
        let shape = self.stranding.shape_of(&task.member);
        let is_plain = !task.has_extras(&self.rules) && task.labels_required == 0;
        match shape {
            Some(shape) if is_plain && run.is_fleet() => {
                self.choose_offered(gang, shape).unwrap_or_else(|| self.choose_among(gang, run))
            }
            _ => self.choose_among(gang, run),
        }
    }

    /// The same as [`Placer::choose_among`] for the whole fleet, out of those that the matrix
    /// offers; `None` if it offers too many in vain.
    fn choose_offered(&mut self, gang: &Gang<'_>, shape: Shape) -> Option<Result<Choice, Lack>> {
        let order = |choice: &Choice| (choice.stranded_milli, choice.node.index());
        let mut best: Option<Choice> = None;
        let mut take = |choice: Choice| {
            if best.is_none_or(|best| order(&choice) < order(&best)) {
                best = Some(choice);
            }
            best
        };
        let (mut found, second_s) = (None, self.stranding_second_s(gang.task));
        for at in 0..self.stranding.odd().len() {
            let index = self.stranding.odd()[at];
            if let Ok(Some(choice)) = self.price_below(index, gang, second_s, f64::INFINITY) {
                found = take(choice);
            }
        }
        // All that are not offered lack devices, or something before them.
        let (mut vain, mut closest) = ([NONE; OFFERS_MAX], Lack::Devices);
        for len in 0..OFFERS_MAX {
            let offer = self.stranding.offer(&self.fleet, shape, &gang.task.member, &vain[..len]);
            let Some(offer) = offer else { return Some(found.ok_or(closest)) };
            if found.is_some_and(|found| order(&found) < (offer.milli, offer.index)) {
                return found.map(Ok);
            }
            match self.price_below(offer.index, gang, second_s, f64::INFINITY) {
                Ok(Some(choice)) => {
                    found = take(choice);
                    // The price is what was offered, or the offer is of older tables.
                    let is_offered = choice.stranded_milli <= offer.milli;
                    if is_offered || !self.stranding.is_current(offer.index) {
                        return found.map(Ok);
                    }
                }
                Ok(None) => {}
                Err(lack) => closest = closest.max(lack),
            }
            vain[len] = offer.index;
        }
        None
    }

    /// The same, by a look at every node.
    pub(super) fn choose_among(&self, gang: &Gang<'_>, run: Run) -> Result<Choice, Lack> {
        let mut best: Option<Choice> = None;
        let mut closest = Lack::Status;
        let second_s = self.stranding_second_s(gang.task);
        let has_gains = interference::is_felt(&self.rules);
        for index in self.domains.nodes(run) {
            let bound = best.filter(|_| !has_gains);
            let bound_s = bound.map_or(f64::INFINITY, |best| best.price.total_s());
            match self.price_below(index, gang, second_s, bound_s) {
                Ok(Some(choice)) if best.is_none_or(|best| choice.beats(&best)) => {
                    best = Some(choice);
                }
                Ok(_) => {}
                Err(lack) => closest = closest.max(lack),
            }
        }
        best.ok_or(closest)
    }

    /// What a member of a gang that stands on the node with this index would cost there if it came
    /// now, and on which devices; or what the node lacks. Its own hold has been given back. It
    /// breaks no promise, since it is there already.
    pub(super) fn price_at(&self, index: u32, gang: &Gang<'_>) -> Result<Choice, Lack> {
        let stranded = self.stranded_at(index, gang.task)?;
        if !self.crowds.may(&gang.task.spreading, index) {
            return Err(Lack::Spread);
        }
        let node = self.fleet.id_at(index).ok_or(Lack::Status)?;
        Ok(self.priced(node, stranded, gang, self.stranding_second_s(gang.task)))
    }

    /// What one more member of a gang would cost on the node with this index, or what the node
    /// lacks; `None` where stranding alone costs more than the bound.
    fn price_below(
        &self,
        index: u32,
        gang: &Gang<'_>,
        second_s: f64,
        bound_s: f64,
    ) -> Result<Option<Choice>, Lack> {
        let stranded = self.stranded_at(index, gang.task)?;
        let node = self.fleet.id_at(index).ok_or(Lack::Status)?;
        self.allowed_at(index, gang.task, stranded.1)?;
        let is_above = stranding_s(stranded.0, second_s) > bound_s;
        Ok((!is_above).then(|| self.priced(node, stranded, gang, second_s)))
    }

    fn priced(
        &self,
        node: NodeId,
        (stranded_milli, devices): (i64, DeviceChoice),
        gang: &Gang<'_>,
        second_s: f64,
    ) -> Choice {
        let stranding_s = stranding_s(stranded_milli, second_s);
        let mut price = Price { stranding_s, ..Price::default() };
        let mut pace = gang.pace;
        if gang.task.has_extras(&self.rules) {
            let extras = self.extras_at(node.index(), devices, gang);
            price = price.plus(&extras.price);
            pace = extras.pace;
        }
        Choice { node, devices, stranded_milli, price, pace }
    }

    /// Thousandths of devices that one more member would strand on a node, and where it would
    /// stand.
    fn stranded_at(&self, index: u32, task: &Task) -> Result<(i64, DeviceChoice), Lack> {
        let node = self.fleet.at(index).ok_or(Lack::Status)?;
        if node.status != NodeStatus::Ready {
            return Err(Lack::Status);
        }
        let missing = task.labels_required & !node.labels;
        if missing | task.labels_forbidden & node.labels != 0 {
            return Err(Lack::Labels);
        }
        self.stranding.price(&self.fleet, index, &task.member)
    }

    /// What forbids a node that has room.
    pub(super) fn allowed_at(
        &self,
        index: u32,
        task: &Task,
        devices: DeviceChoice,
    ) -> Result<(), Lack> {
        if !self.crowds.may(&task.spreading, index) {
            return Err(Lack::Spread);
        }
        if !self.leaves_room(index, &task.member, devices, task.ends(self.now)) {
            return Err(Lack::Reserved);
        }
        Ok(())
    }

    /// What a stranded GPU costs a task, for as long as the hole lasts.
    pub(super) fn stranding_second_s(&self, task: &Task) -> f64 {
        let holding_s = self.horizon.holding_s(task, &self.rules);
        self.rules.stranding_weight * self.shadow_price * holding_s
    }

    /// What a second of a task's run time is worth: somebody waits for it, and all its devices are
    /// held.
    pub(super) fn worth_of_second(&self, task: &Task) -> f64 {
        let gpus = task.gpu_milli() as f64 / 1_000.0;
        self.delay_values[task.class as usize] + gpus * self.shadow_price
    }
}

/// What stranding so much costs, where a second of one GPU costs so much.
fn stranding_s(stranded_milli: i64, second_s: f64) -> f64 {
    stranded_milli as f64 / 1_000.0 * second_s
}
