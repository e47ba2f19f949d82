//! Which tasks need not be tried again: whoever asks for at least as much as one that found no room.
//!
//! # What it decides
//! Starting only takes room away, so what found none finds none until something is given back; nor
//! does anybody who asks for more of the same and stays as long. A task is skipped without a look at
//! the nodes if it is *no easier* than one that was just turned away.
//!
//! # Bounds and cost
//! The last [`SHAPES_MAX`] shapes that no other one makes needless are kept; a look goes through
//! them all. Everything is forgotten when something is given back.

use alloc::boxed::Box;
use alloc::vec;

use super::task::{Spreading, Task, Topology};
use crate::error::{Error, check_range};
use crate::fleet::{Demand, DeviceDemand};
use crate::snapshot::{Words, pair};
use crate::units::Nanos;

/// Shapes that are remembered: the openb list has 91.
pub(super) const SHAPES_MAX: usize = 256;

/// What decides whether there is room.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    member: Demand,
    members_needed: u32,
    labels_required: u64,
    labels_forbidden: u64,
    topology: Topology,
    spreading: Spreading,
    ends: Nanos,
}

/// Shapes that found no room.
#[derive(Debug)]
pub(super) struct Blocked {
    shapes: Box<[Shape]>,
    len: usize,
    /// Where the next one goes when all places are taken.
    oldest: usize,
}

impl Shape {
    fn new(task: &Task, ends: Nanos) -> Self {
        Self {
            member: task.member,
            members_needed: task.members_needed(),
            labels_required: task.labels_required,
            labels_forbidden: task.labels_forbidden,
            topology: task.topology,
            spreading: task.spreading,
            ends,
        }
    }

    /// Whether this one finds no room where `other` finds none.
    fn is_no_easier(&self, other: &Self) -> bool {
        self.ends >= other.ends
            && self.members_needed >= other.members_needed
            && is_no_less(&self.member, &other.member)
            && self.labels_required | other.labels_required == self.labels_required
            && self.labels_forbidden | other.labels_forbidden == self.labels_forbidden
            && (self.topology, self.spreading) == (other.topology, other.spreading)
    }
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
    pub(super) fn new() -> Self {
        let shapes = vec![Shape::default(); SHAPES_MAX].into_boxed_slice();
        Self { shapes, len: 0, oldest: 0 }
    }

    pub(super) const fn bytes_needed() -> u64 {
        (SHAPES_MAX * size_of::<Shape>()) as u64
    }

    /// Something was given back.
    pub(super) const fn clear(&mut self) {
        (self.len, self.oldest) = (0, 0);
    }

    /// Whether a task that would end then is known to find no room.
    pub(super) fn contains(&mut self, task: &Task, ends: Nanos) -> bool {
        let shape = Shape::new(task, ends);
        let known = self.shapes[..self.len].iter().position(|blocked| shape.is_no_easier(blocked));
        if let Some(at) = known {
            // What many are turned away by comes to the front.
            self.shapes.swap(at, at / 2);
        }
        known.is_some()
    }

    /// A task that would end then found no room. Where that has nothing to do with what is
    /// promised, `ends` is zero: it finds none however short it is.
    pub(super) fn insert(&mut self, task: &Task, ends: Nanos) {
        let shape = Shape::new(task, ends);
        let mut at = 0;
        while at < self.len {
            if self.shapes[at].is_no_easier(&shape) {
                self.len -= 1;
                self.shapes[at] = self.shapes[self.len];
            } else {
                at += 1;
            }
        }
        if self.len < SHAPES_MAX {
            self.shapes[self.len] = shape;
            self.len += 1;
        } else {
            self.shapes[self.oldest] = shape;
            self.oldest = (self.oldest + 1) % SHAPES_MAX;
        }
    }
}

/// As words: how many, then each as 15. What is remembered decides how much one cycle looks at, so
/// that it is kept.
impl Blocked {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(pair(self.len as u32, self.oldest as u32));
        for shape in &self.shapes[..self.len] {
            let Shape {
                member,
                members_needed,
                labels_required,
                labels_forbidden,
                topology,
                spreading,
                ends,
            } = shape;
            member.save_state(save);
            for word in [u64::from(*members_needed), *labels_required, *labels_forbidden] {
                save(word);
            }
            topology.save_state(save);
            spreading.save_state(save);
            save(ends.get());
        }
    }

    /// Takes what was told. It may be anything: whoever is turned away by it waits.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let (len, oldest) = words.next_pair()?;
        check_range("shapes_len", len.into(), 0, SHAPES_MAX as u64)?;
        check_range("oldest", oldest.into(), 0, SHAPES_MAX as u64 - 1)?;
        (self.len, self.oldest) = (len as usize, oldest as usize);
        for shape in &mut self.shapes[..self.len] {
            *shape = Shape {
                member: Demand::load_state(words)?,
                members_needed: words.next_u32("members_needed")?,
                labels_required: words.next()?,
                labels_forbidden: words.next()?,
                topology: Topology::load_state(words)?,
                spreading: Spreading::load_state(words)?,
                ends: Nanos(words.next()?),
            };
        }
        Ok(())
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
