//! Where each node is kept: in a column, among the idle ones of its kind, or by itself.

use super::{BLOCK, Group, KINDS_MAX, Matrix, NEVER, NO_MODEL, Place, Pricing, ROWS_MAX};
use crate::fleet::{Demand, DeviceDemand, Fleet, Health, Node, NodeStatus, Sharing};
use crate::heap::NONE;

/// Idle nodes that cost the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Kind {
    pub(super) model: u8,
    devices_len: u8,
    cpu_milli: u32,
    memory_mib: u32,
    device_memory_mib: u32,
}

/// Idle nodes of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) kind: Kind,
    /// The one with the lowest index; `NONE`: there is none.
    pub(super) root: u32,
    /// Of the tables that its costs are of.
    pub(super) version: Option<u32>,
}

/// Where a node belongs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wanted {
    Out,
    Idle(u8),
    Column,
    Odd,
}

impl Kind {
    /// Whether such a node has the memory that a demand asks for, while it is idle.
    pub(super) const fn has_memory(&self, demand: &Demand) -> bool {
        let of_device = match demand.devices {
            DeviceDemand::Whole { memory_mib, .. } | DeviceDemand::Share { memory_mib, .. } => {
                memory_mib
            }
            DeviceDemand::None | DeviceDemand::Partition { .. } => 0,
        };
        demand.memory_mib <= self.memory_mib && of_device <= self.device_memory_mib
    }
}

impl Idle {
    pub(super) const NONE: Self = Self {
        kind: Kind { model: 0, devices_len: 0, cpu_milli: 0, memory_mib: 0, device_memory_mib: 0 },
        root: NONE,
        version: None,
    };
}

impl Matrix {
    /// Prices the idle nodes of a kind for all rows, if their costs are of older tables.
    pub(super) fn price_kind(&mut self, fleet: &Fleet, pricing: &impl Pricing, at: usize) {
        let (Idle { root, version, .. }, now) = (self.kinds[at], Some(pricing.version()));
        if root != NONE && version != now {
            pricing.price_rows(fleet, root, self.rows.all(), &mut self.out);
            self.idle_costs[at * ROWS_MAX..][..ROWS_MAX].copy_from_slice(&self.out);
            self.kinds[at].version = now;
        }
    }

    /// The lowest index of an idle kind among those that have room. O(1) where the first has.
    pub(super) fn first_idle(&self, root: u32, has_room: impl Fn(u32) -> bool) -> u32 {
        let (mut first, mut at) = (NONE, root);
        while at != NONE {
            if has_room(at) {
                first = at;
            }
            // Of those that follow only lower ones count.
            at = self.idle.next_within(at, first.min(NONE - 1));
        }
        first
    }

    /// Where a node belongs as it is now.
    pub(super) fn wanted(&mut self, fleet: &Fleet, index: u32) -> Wanted {
        let Some(node) = fleet.at(index) else {
            self.give_column(index);
            return Wanted::Out;
        };
        if node.status != NodeStatus::Ready {
            return Wanted::Out;
        }
        let Some((model, device_memory_mib)) = model_of_all(fleet, node, index) else {
            return Wanted::Odd;
        };
        let has_column = self.has_column(index, model);
        if node.holds == 0 {
            let kind = Kind {
                model,
                devices_len: node.devices_len,
                cpu_milli: node.cpu_milli,
                memory_mib: node.memory_mib,
                device_memory_mib,
            };
            let known = self.kinds[..self.kinds_len].iter().position(|other| other.kind == kind);
            if let Some(at) = known {
                return Wanted::Idle(at as u8);
            }
            if self.kinds_len < KINDS_MAX {
                self.kinds[self.kinds_len] = Idle { kind, root: NONE, version: None };
                self.kinds_len += 1;
                return Wanted::Idle((self.kinds_len - 1) as u8);
            }
        }
        if has_column { Wanted::Column } else { Wanted::Odd }
    }

    /// Takes a node out of where it is.
    pub(super) fn leave(&mut self, index: u32, place: Place) {
        match place {
            Place::Out => {}
            Place::Idle(kind) => {
                self.idle.remove(&mut self.kinds[usize::from(kind)].root, index);
            }
            Place::Odd(at) => {
                self.odd_len -= 1;
                let last = self.odd[self.odd_len];
                self.odd[at as usize] = last;
                self.places[last as usize] = Place::Odd(at);
            }
            Place::Column => self.clear_column(index),
        }
    }

    /// Nothing has room on a node that is not in its column.
    fn clear_column(&mut self, index: u32) {
        let column = self.columns_of[index as usize];
        if column != NONE {
            self.out.fill(NEVER);
            self.write_column(column as usize);
        }
    }

    pub(super) fn enter(&mut self, index: u32, wanted: Wanted) -> Place {
        match wanted {
            Wanted::Out => Place::Out,
            Wanted::Odd => {
                self.odd[self.odd_len] = index;
                self.odd_len += 1;
                Place::Odd(self.odd_len as u32 - 1)
            }
            Wanted::Idle(kind) => {
                self.idle.insert(&mut self.kinds[usize::from(kind)].root, index, index);
                Place::Idle(kind)
            }
            Wanted::Column => Place::Column,
        }
    }

    /// Whether a node has a column of this model, or can have one. O(1) where it has, else
    /// O(columns of a group * rows).
    fn has_column(&mut self, index: u32, model: u8) -> bool {
        let column = self.columns_of[index as usize];
        if column != NONE {
            let group = column as usize / self.sizes.columns_per_group();
            if self.models[usize::from(self.groups[group].model)] == model {
                return true;
            }
            self.give_column(index);
        }
        let Some(group) = self.vacant_group(model) else { return false };
        self.take_column(index, group);
        true
    }

    /// A group of a model with a vacant column; one is opened if need be and if one is left.
    fn vacant_group(&mut self, model: u8) -> Option<usize> {
        let known = self.models[..self.models_len].iter().position(|other| *other == model);
        let at = match known {
            Some(at) => at,
            None if self.models_len < self.models.len() => {
                self.models[self.models_len] = model;
                self.models_len += 1;
                self.models_len - 1
            }
            None => return None,
        };
        let each = self.sizes.columns_per_group() as u32;
        let is_vacant = |group: &Group| usize::from(group.model) == at && group.len < each;
        let known = self.groups[..self.groups_len].iter().position(is_vacant);
        if known.is_none() && self.groups_len < self.groups.len() {
            self.groups[self.groups_len] = Group { model: at as u8, len: 0, first: NONE };
            self.groups_len += 1;
            return Some(self.groups_len - 1);
        }
        known
    }

    /// Gives a node the column behind those before it. Others are moved only if a node comes with
    /// the number of one that is gone.
    fn take_column(&mut self, index: u32, group: usize) {
        let each = self.sizes.columns_per_group();
        let (begin, end) = (group * each, (group + 1) * each);
        let is_before = |column: &usize| {
            let node = self.nodes[*column];
            node != NONE && node < index
        };
        let behind = (begin..end).rev().find(is_before).map_or(begin, |column| column + 1);
        let is_vacant = |column: &usize| self.nodes[*column] == NONE;
        let (above, below) = ((behind..end).find(is_vacant), (begin..behind).rev().find(is_vacant));
        let column = match (above, below) {
            (Some(vacant), _) => {
                self.move_columns(behind, vacant, behind + 1);
                behind
            }
            (None, Some(vacant)) => {
                self.move_columns(vacant + 1, behind, vacant);
                behind - 1
            }
            (None, None) => return,
        };
        (self.nodes[column], self.columns_of[index as usize]) = (index, column as u32);
        let own = &mut self.groups[group];
        (own.len, own.first) = (own.len + 1, own.first.min(index));
        self.costs[column] = [NEVER; ROWS_MAX];
        let moved = above.or(below).unwrap_or(column);
        for block in column.min(moved) / BLOCK..=column.max(moved) / BLOCK {
            self.find_least(block);
        }
    }

    /// Moves columns `begin..end` so that they begin at `to`.
    fn move_columns(&mut self, begin: usize, end: usize, to: usize) {
        self.costs.copy_within(begin..end, to);
        self.versions.copy_within(begin..end, to);
        self.nodes.copy_within(begin..end, to);
        for column in to..to + (end - begin) {
            let node = self.nodes[column];
            self.columns_of[node as usize] = column as u32;
        }
    }

    /// A node is gone, or has other devices.
    fn give_column(&mut self, index: u32) {
        self.clear_column(index);
        let column = core::mem::replace(&mut self.columns_of[index as usize], NONE);
        if column != NONE {
            self.nodes[column as usize] = NONE;
            self.groups[column as usize / self.sizes.columns_per_group()].len -= 1;
        }
    }
}

/// The model and memory of all devices of a node, if they are all alike, ready and shared.
fn model_of_all(fleet: &Fleet, node: &Node, index: u32) -> Option<(u8, u32)> {
    if node.devices_len == 0 {
        return Some((NO_MODEL, 0));
    }
    let devices = fleet.devices_at(index);
    let first = devices.first()?.spec;
    let alike = devices.iter().all(|device| {
        device.spec.model == first.model
            && device.spec.memory_mib == first.memory_mib
            && device.spec.sharing == Sharing::Shared
            && device.health == Health::Ready
    });
    alike.then_some((first.model.0, first.memory_mib))
}
