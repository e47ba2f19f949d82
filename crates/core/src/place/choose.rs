//! Which node takes the next member?

use super::Placer;
use super::price::Price;
use super::task::Task;
use crate::fleet::{DeviceChoice, Lack, NodeId};

/// A node for one member, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) node: NodeId,
    pub(super) devices: DeviceChoice,
    pub(super) price: Price,
}

impl Placer {
    /// The cheapest node for one more member of a task; ties go to the lower index.
    pub(super) fn choose(&self, task: &Task) -> Option<Choice> {
        let mut best: Option<Choice> = None;
        for (node, _) in self.fleet.iter() {
            let Ok((devices, price)) = self.price_at(node.index(), task) else { continue };
            if best.is_none_or(|best| price.total_s() < best.price.total_s()) {
                best = Some(Choice { node, devices, price });
            }
        }
        best
    }

    /// What one more member of a task would cost on the node with this index, and on which
    /// devices; or what the node lacks.
    pub(super) fn price_at(&self, index: u32, task: &Task) -> Result<(DeviceChoice, Price), Lack> {
        let node = self.fleet.at(index).ok_or(Lack::Status)?;
        let missing = task.labels_required & !node.labels;
        if missing | task.labels_forbidden & node.labels != 0 {
            return Err(Lack::Labels);
        }
        let (stranded_milli, devices) =
            self.stranding.price(&self.fleet, &self.members, index, &task.member)?;
        let ends = self.now.saturating_add(task.duration);
        if !self.promises.leave_room(&self.fleet, index, &task.member, devices, ends) {
            return Err(Lack::Reserved);
        }
        let rules = &self.rules;
        let stranded = stranded_milli as f64 / 1_000.0;
        let holding_s = rules.holding.as_seconds();
        let stranding_s = rules.stranding_weight * stranded * self.shadow_price * holding_s;
        Ok((devices, Price { stranding_s, ..Price::default() }))
    }
}
