//! Where each node is kept: in a column, among the idle ones of its kind, or by itself.

use super::{KINDS_MAX, Matrix, NEVER, NO_MODEL, Place, Pricing, ROWS_MAX};
use crate::fleet::{Fleet, Health, Node, NodeStatus, Sharing};
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
    Column(u8),
    Odd,
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
        if version != now {
            pricing.price_rows(fleet, root, self.rows.all(), &mut self.out);
            self.idle_costs[at * ROWS_MAX..][..ROWS_MAX].copy_from_slice(&self.out);
            self.kinds[at].version = now;
        }
    }

    /// The lowest index of an idle kind without some nodes.
    pub(super) fn idle_but(&self, root: u32, except: &[u32]) -> u32 {
        let (mut least, mut at) = (NONE, root);
        while at != NONE {
            if !except.contains(&at) {
                least = least.min(at);
            }
            at = self.idle.next_within(at, NONE - 1);
        }
        least
    }

    /// Where a node belongs as it is now.
    pub(super) fn wanted(&mut self, fleet: &Fleet, index: u32) -> Wanted {
        let Some(node) = fleet.at(index).filter(|node| node.status == NodeStatus::Ready) else {
            return Wanted::Out;
        };
        let Some((model, device_memory_mib)) = model_of_all(fleet, node, index) else {
            return Wanted::Odd;
        };
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
        if self.has_column(model) { Wanted::Column(model) } else { Wanted::Odd }
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
            Place::Column(column) => {
                self.out.fill(NEVER);
                self.write_column(column, index);
                let group = column as usize / self.sizes.columns_per_group();
                let (_, vacant) = &mut self.models[usize::from(self.groups[group])];
                self.columns[column as usize].next = core::mem::replace(vacant, column);
                self.nodes[column as usize] = NONE;
            }
        }
    }

    /// The model of a column.
    pub(super) fn model_at(&self, column: u32) -> u8 {
        let group = column as usize / self.sizes.columns_per_group();
        self.models[usize::from(self.groups[group])].0
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
            Wanted::Column(model) => {
                let models = &mut self.models[..self.models_len];
                let Some((_, vacant)) = models.iter_mut().find(|(other, _)| *other == model) else {
                    return Place::Out;
                };
                let column = *vacant;
                *vacant = self.columns[column as usize].next;
                self.nodes[column as usize] = index;
                Place::Column(column)
            }
        }
    }

    /// Whether a model has a vacant column; a group is opened for it if one is left.
    pub(super) fn has_column(&mut self, model: u8) -> bool {
        let known = self.models[..self.models_len].iter().position(|(other, _)| *other == model);
        let at = match known {
            Some(at) if self.models[at].1 != NONE => return true,
            Some(at) => at,
            None if self.models_len < self.models.len() => {
                self.models[self.models_len] = (model, NONE);
                self.models_len += 1;
                self.models_len - 1
            }
            None => return false,
        };
        if self.groups_len == self.groups.len() {
            return false;
        }
        let each = self.sizes.columns_per_group();
        let begin = self.groups_len * each;
        self.groups[self.groups_len] = at as u8;
        self.groups_len += 1;
        for column in begin..begin + each {
            let next = if column + 1 < begin + each { column as u32 + 1 } else { NONE };
            self.columns[column].next = next;
        }
        self.models[at].1 = begin as u32;
        true
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
