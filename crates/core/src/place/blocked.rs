//! Which tasks need not be tried again: whoever asks for at least as much as one that found no room.
//!
//! # What it decides
//! Starting only takes room away, so what found none finds none until something is given back; nor
//! does anybody who asks for more of the same and stays as long. A task is skipped without a look at
//! the nodes if it is *no easier* than one that was just turned away. What is turned away is
//! remembered as the least that finds no room, such as its devices alone ([`Placer::least_missing`]).
//!
//! # Bounds and cost
//! The last [`LIST_LEN`] shapes that no other one makes needless are kept. A look goes through them
//! all, for each number of a shape (`shapes`) once after each change: else it is O(1). Everything is
//! forgotten when something is given back, O(1). Memory: 160 bytes for each in the list, 24 for each
//! number.

use alloc::boxed::Box;
use alloc::vec;

use super::Placer;
use super::shapes::{Shape, shapes_max};
use super::task::Task;
use crate::error::{Error, check_range};
use crate::fleet::{Demand, DeviceDemand};
use crate::snapshot::{Words, pair};
use crate::units::Nanos;

/// Shapes that are remembered, whoever has them: the openb list has 91.
const LIST_LEN: usize = 256;

/// What is known of a shape that has a number.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The change of the list up to which it is.
    seen: u64,
    /// Tasks that end then or later find no room.
    from: Option<Nanos>,
}

/// Shapes that found no room.
#[derive(Debug)]
pub(super) struct Blocked {
    /// Tasks with at least such a shape that end then or later find no room.
    list: Box<[(Shape, Nanos)]>,
    len: usize,
    /// Where the next one goes when all places are taken.
    oldest: usize,
    /// By the number of a shape.
    known: Box<[Known]>,
    /// Counts the changes of the list, the first of which made it.
    changes: u64,
    /// Of them, the last one that emptied it.
    emptied: u64,
    /// Of them, the last one that took away what is because of what is promised.
    shaken: u64,
}

/// Whether this one finds no room where `other` finds none, if it stays as long.
fn is_no_easier(one: &Shape, other: &Shape) -> bool {
    one.members_needed >= other.members_needed
        && is_no_less(&one.member, &other.member)
        && (other.members_needed == 1 || is_packed_alike(&one.member, &other.member))
        && one.labels_required | other.labels_required == one.labels_required
        && one.labels_forbidden | other.labels_forbidden == one.labels_forbidden
        && (other.is_alone() || (one.topology, one.spreading) == (other.topology, other.spreading))
}

/// Whether less of the other fits beside each other only if less of this one does. Members with parts
/// of several devices, or with partitions, may stand in each other's way where larger ones do not.
fn is_packed_alike(one: &Demand, other: &Demand) -> bool {
    match other.devices {
        DeviceDemand::None | DeviceDemand::Whole { .. } => true,
        DeviceDemand::Share { count, .. } => count == 1 || is_same_kind(one, other),
        DeviceDemand::Partition { .. } => is_same_kind(one, other),
    }
}

/// Whether both would be given the same devices of every node.
fn is_same_kind(one: &Demand, other: &Demand) -> bool {
    (one.devices, one.models, one.one_link_group)
        == (other.devices, other.models, other.one_link_group)
}

/// Whether tasks of a shape that end then or later find no room where those of `other` that end from
/// some time on find none; from when on.
///
/// Where that is because of what is promised, it depends on the devices that somebody would be given:
/// whoever wants more is given others, and may be in nobody's way there.
fn blocked_from(one: &Shape, (other, from): &(Shape, Nanos)) -> Option<Nanos> {
    let is_blocked = is_no_easier(one, other)
        && (*from == Nanos::ZERO || is_same_kind(&one.member, &other.member));
    is_blocked.then_some(*from)
}

/// Whether a demand fits nowhere where `other` does not.
fn is_no_less(one: &Demand, other: &Demand) -> bool {
    let devices = match (one.devices, other.devices) {
        (_, DeviceDemand::None) => true,
        (
            DeviceDemand::Whole { count, memory_mib },
            DeviceDemand::Whole { count: count_other, memory_mib: memory_other },
        ) => count >= count_other && memory_mib >= memory_other,
        (
            DeviceDemand::Share { count, milli, memory_mib },
            DeviceDemand::Share { count: count_other, milli: milli_other, memory_mib: other },
        ) => count >= count_other && milli >= milli_other && memory_mib >= other,
        (
            DeviceDemand::Partition { compute_slices, memory_mib },
            DeviceDemand::Partition { compute_slices: slices_other, memory_mib: other },
        ) => compute_slices >= slices_other && memory_mib >= other,
        _ => false,
    };
    // Models and link groups do not matter to whoever asks for no device.
    let kinds = other.devices == DeviceDemand::None
        || one.models.intersection(other.models) == one.models
            && one.one_link_group >= other.one_link_group;
    devices && kinds && one.cpu_milli >= other.cpu_milli && one.memory_mib >= other.memory_mib
}

impl Blocked {
    pub(super) fn new(tasks_max: u32) -> Self {
        Self {
            list: vec![(Shape::default(), Nanos::ZERO); LIST_LEN].into_boxed_slice(),
            len: 0,
            oldest: 0,
            known: vec![Known::default(); shapes_max(tasks_max) as usize].into_boxed_slice(),
            changes: 1,
            emptied: 1,
            shaken: 1,
        }
    }

    pub(super) const fn bytes_needed(tasks_max: u32) -> u64 {
        (LIST_LEN * size_of::<(Shape, Nanos)>()) as u64
            + shapes_max(tasks_max) as u64 * size_of::<Known>() as u64
    }

    /// Something was given back.
    pub(super) const fn clear(&mut self) {
        (self.len, self.oldest) = (0, 0);
        self.changes += 1;
        self.emptied = self.changes;
        self.shaken = self.changes;
    }

    /// Something has started where something is promised: who comes now may be given other devices
    /// there than it would have been, and be in nobody's way. O(list).
    pub(super) fn shake(&mut self) {
        self.changes += 1;
        self.shaken = self.changes;
        let mut at = 0;
        while at < self.len {
            if self.list[at].1 == Nanos::ZERO {
                at += 1;
            } else {
                self.len -= 1;
                self.list[at] = self.list[self.len];
            }
        }
        self.oldest = if self.len < LIST_LEN { 0 } else { self.oldest };
    }

    /// A number stands for another shape from now on.
    pub(super) fn renumber(&mut self, number: u32) {
        if let Some(known) = self.known.get_mut(number as usize) {
            *known = Known::default();
        }
    }

    /// Whether a task with this shape, and the number of it if there is one, that would end then is
    /// known to find no room. O(1) with a number, but for the first look after each change.
    pub(super) fn contains(&mut self, shape: &Shape, number: Option<u32>, ends: Nanos) -> bool {
        let known = number.and_then(|number| self.known.get(number as usize)).copied();
        let mut from = number.and_then(|number| self.known_from(number));
        let is_blocked = |from: Option<Nanos>| from.is_some_and(|from| ends >= from);
        if is_blocked(from) || known.is_some_and(|known| known.seen == self.changes) {
            return is_blocked(from);
        }
        for entry in &self.list[..self.len] {
            from = earlier(from, blocked_from(shape, entry));
        }
        if let Some(number) = number {
            self.known[number as usize] = Known { seen: self.changes, from };
        }
        is_blocked(from)
    }

    /// From when on tasks with the shape of this number find no room, as far as they were looked at.
    pub(super) fn known_from(&self, number: u32) -> Option<Nanos> {
        let Known { seen, from } = *self.known.get(number as usize)?;
        from.filter(|from| seen >= if *from == Nanos::ZERO { self.emptied } else { self.shaken })
    }

    /// Tasks with the shape of this number that end then or later find no room.
    pub(super) fn note(&mut self, number: Option<u32>, from: Nanos) {
        let Some(number) = number else { return };
        let from = earlier(self.known_from(number), Some(from));
        if let Some(known) = self.known.get_mut(number as usize) {
            *known = Known { seen: known.seen.max(self.shaken), from };
        }
    }

    /// A task that would end then found no room. Where that has nothing to do with what is
    /// promised, `ends` is zero: it finds none however short it is.
    pub(super) fn insert(&mut self, shape: &Shape, number: Option<u32>, ends: Nanos) {
        self.changes += 1;
        self.note(number, ends);
        let mut at = 0;
        while at < self.len {
            let (other, from) = &self.list[at];
            if blocked_from(other, &(*shape, ends)).is_some_and(|ends| *from >= ends) {
                self.len -= 1;
                self.list[at] = self.list[self.len];
            } else {
                at += 1;
            }
        }
        if self.len < LIST_LEN {
            self.list[self.len] = (*shape, ends);
            self.len += 1;
        } else {
            self.list[self.oldest] = (*shape, ends);
            self.oldest = (self.oldest + 1) % LIST_LEN;
        }
    }
}

/// The earlier of two times, if there are any.
fn earlier(one: Option<Nanos>, other: Option<Nanos>) -> Option<Nanos> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// As words: how many are in the list, then each as 15. What is remembered decides how much one
/// cycle looks at, so that it is kept; what is known of numbers goes with the tasks that have them.
impl Blocked {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(pair(self.len as u32, self.oldest as u32));
        for (shape, ends) in &self.list[..self.len] {
            shape.save_state(save);
            save(ends.get());
        }
    }

    /// Takes what was told. It may be anything: whoever is turned away by it waits.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let (len, oldest) = words.next_pair()?;
        check_range("shapes_len", len.into(), 0, LIST_LEN as u64)?;
        check_range("oldest", oldest.into(), 0, LIST_LEN as u64 - 1)?;
        (self.len, self.oldest) = (len as usize, oldest as usize);
        self.changes += 1;
        for place in &mut self.list[..self.len] {
            *place = (Shape::load_state(words)?, Nanos(words.next()?));
        }
        Ok(())
    }
}

impl Placer {
    /// The least like a task that just found no room that finds none on any node:
    ///
    /// ```text
    /// its devices                                where they are free on no node
    /// its devices and more cores (memory) than   else, where it asks for as many
    ///   any node has free that has those devices
    /// all of it                                  else
    /// ```
    /// O(nodes * devices).
    pub(super) fn least_missing(&self, task: &Task) -> Shape {
        let devices = Demand { cpu_milli: 0, memory_mib: 0, ..task.member };
        let (mut most, mut is_there) = ([0; 2], false);
        for (id, node) in self.fleet.iter() {
            let free = [node.cpu_free_milli, node.memory_free_mib];
            let is_more = free[0] > most[0] || free[1] > most[1] || !is_there;
            if is_more && self.fleet.choose_devices(id.index(), &devices).is_ok() {
                most = [most[0].max(free[0]), most[1].max(free[1])];
                is_there = true;
            }
        }
        let Demand { cpu_milli, memory_mib, .. } = task.member;
        if !is_there {
            Shape::alone(devices)
        } else if cpu_milli > most[0] {
            Shape::alone(Demand { cpu_milli: most[0] + 1, ..devices })
        } else if memory_mib > most[1] {
            Shape::alone(Demand { memory_mib: most[1] + 1, ..devices })
        } else {
            Shape::new(task)
        }
    }

    /// Gives a task that waits the number of its shape, if there is one left.
    pub(super) fn number_shape(&mut self, index: u32, task: &Task) {
        if let Some(joined) = self.pending.shapes.join(index, &Shape::new(task))
            && joined.is_new
        {
            self.blocked.renumber(joined.number);
            self.hopeless.renumber(joined.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Fleet, FleetOptions, NodeSpec};
    use proptest::prelude::*;

    fn demand() -> impl Strategy<Value = Demand> {
        let devices = prop_oneof![
            Just(DeviceDemand::None),
            (1_u8..4, 0_u32..3)
                .prop_map(|(count, mib)| DeviceDemand::Whole { count, memory_mib: mib * 8 }),
            (1_u8..4, 1_u16..4, 0_u32..3).prop_map(|(count, milli, mib)| DeviceDemand::Share {
                count,
                milli: milli * 300,
                memory_mib: mib * 8
            }),
        ];
        (0_u32..5, 0_u32..5, devices, 1_u64..8, any::<bool>()).prop_map(
            |(cpu_milli, memory_mib, devices, models, one_link_group)| Demand {
                cpu_milli,
                memory_mib,
                devices,
                models: crate::fleet::ModelSet(models),
                one_link_group,
            },
        )
    }

    proptest! {
        /// Whoever asks for no less finds no room on any node where the other one found none.
        #[test]
        fn no_less_is_no_easier(
            one in demand(),
            other in demand(),
            taken in prop::collection::vec(demand(), 0..4),
            nodes in prop::collection::vec((0_u32..5, 0_u32..5, prop::collection::vec((0_u8..3, 0_u32..3, 0_u8..2), 0..4)), 1..4),
        ) {
            let mut fleet = Fleet::new(&FleetOptions::default()).unwrap();
            for (cpu_milli, memory_mib, devices) in nodes {
                let devices: std::vec::Vec<_> = devices.into_iter().map(|(model, mib, group)| {
                    crate::fleet::DeviceSpec {
                        model: crate::fleet::ModelId(model),
                        memory_mib: mib * 8,
                        link_group: group,
                        ..Default::default()
                    }
                }).collect();
                let spec = NodeSpec { cpu_milli, memory_mib, devices: &devices, ..NodeSpec::default() };
                let node = fleet.add_node(&spec).unwrap();
                for demand in &taken {
                    if let Ok(choice) = fleet.choose_devices(node.index(), demand) {
                        fleet.take(node, demand, choice).unwrap();
                    }
                }
                if is_no_less(&one, &other) && fleet.lack(node, &other).unwrap().is_some() {
                    prop_assert!(fleet.lack(node, &one).unwrap().is_some());
                }
            }
        }
    }
}
