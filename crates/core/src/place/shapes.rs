//! Which pending tasks ask for the same: shapes, by number.
//!
//! # What it decides
//! Nothing. Tasks with one shape find room in the same places, as long as they stay as long. What is
//! known of a shape is known of all of them, and found by its number.
//!
//! # Bounds and cost
//! A task gets the number of its shape when it comes to wait, O(1) if not many shapes share a
//! bucket; after that it is one look. At most [`SHAPES_MAX`] shapes have a number; a task of another
//! one has none, and is looked at as if it were the only one of its kind. Memory: 4 bytes a task, and
//! 136 for each shape.

use alloc::boxed::Box;
use alloc::vec;

use super::task::{Spreading, Task, Topology};
use crate::error::Error;
use crate::fleet::{Demand, DeviceDemand};
use crate::snapshot::Words;

/// Shapes that have a number: the openb list has 91, and one made of 12 amounts of cores, 8 of
/// memory and 13 of devices has 1,248.
const SHAPES_MAX: u32 = 2_048;

/// The end of a list, and the number of a shape that has none.
const NONE: u32 = u32::MAX;

/// What decides whether there is room, but for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) member: Demand,
    pub(super) members_needed: u32,
    pub(super) labels_required: u64,
    pub(super) labels_forbidden: u64,
    pub(super) topology: Topology,
    pub(super) spreading: Spreading,
}

impl Shape {
    pub(super) const fn new(task: &Task) -> Self {
        Self {
            member: task.member,
            members_needed: task.members_needed(),
            labels_required: task.labels_required,
            labels_forbidden: task.labels_forbidden,
            topology: task.topology,
            spreading: task.spreading,
        }
    }

    /// One member of this demand, anywhere.
    pub(super) fn alone(member: Demand) -> Self {
        Self { member, members_needed: 1, ..Self::default() }
    }

    /// Whether anybody with such a member is at least as hard to place.
    pub(super) fn is_alone(&self) -> bool {
        let Self { member, members_needed: 1, .. } = *self else { return false };
        *self == Self::alone(member)
    }

    /// Tells itself as 14 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { member, members_needed, labels_required, labels_forbidden, topology, spreading } =
            self;
        member.save_state(save);
        for word in [u64::from(*members_needed), *labels_required, *labels_forbidden] {
            save(word);
        }
        topology.save_state(save);
        spreading.save_state(save);
    }

    /// Takes what was told.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            member: Demand::load_state(words)?,
            members_needed: words.next_u32("members_needed")?,
            labels_required: words.next()?,
            labels_forbidden: words.next()?,
            topology: Topology::load_state(words)?,
            spreading: Spreading::load_state(words)?,
        })
    }

    /// Spreads shapes over buckets; equal shapes go into the same one.
    fn hash(&self) -> u64 {
        let Demand { cpu_milli, memory_mib, devices, models, .. } = self.member;
        let (devices, device_memory) = match devices {
            DeviceDemand::None => (0, 0),
            DeviceDemand::Whole { count, memory_mib } => (1 << 32 | u64::from(count), memory_mib),
            DeviceDemand::Share { count, milli, memory_mib } => {
                (2 << 32 | u64::from(milli) << 8 | u64::from(count), memory_mib)
            }
            DeviceDemand::Partition { compute_slices, memory_mib } => {
                (3 << 32 | u64::from(compute_slices), memory_mib)
            }
        };
        let host = u64::from(cpu_milli) << 32 | u64::from(memory_mib);
        let apart = u64::from(self.spreading.group) << 32 | u64::from(self.members_needed);
        let labels = self.labels_required ^ self.labels_forbidden.rotate_left(32);
        [host, devices, device_memory.into(), models.0, apart, labels]
            .into_iter()
            // The golden ratio in 64 bits, as in Fibonacci hashing (Knuth, TAOCP 3, 6.4).
            .fold(0, |hash: u64, word| {
                (hash.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            })
    }
}

#[derive(Clone, Copy, Debug)]
struct Numbered {
    shape: Shape,
    /// Pending tasks that have it.
    tasks: u32,
    /// The next one of its bucket, or of those that are not in use.
    next: u32,
}

/// All shapes that pending tasks have.
#[derive(Debug)]
pub(super) struct Shapes {
    all: Box<[Numbered]>,
    vacant: u32,
    /// First shape of each bucket; their number is a power of two.
    buckets: Box<[u32]>,
    /// Number of the shape of each task, as far as it is known.
    of_task: Box<[u32]>,
}

/// The number of a shape, and whether it had another shape before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Number {
    pub(super) number: u32,
    pub(super) is_new: bool,
}

impl Shapes {
    pub(super) fn new(tasks_max: u32) -> Self {
        let len = shapes_max(tasks_max);
        let numbered = |at: u32| Numbered {
            shape: Shape::default(),
            tasks: 0,
            next: if at + 1 == len { NONE } else { at + 1 },
        };
        Self {
            all: (0..len).map(numbered).collect(),
            vacant: 0,
            buckets: vec![NONE; len.next_power_of_two() as usize].into_boxed_slice(),
            of_task: vec![NONE; tasks_max as usize].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed(tasks_max: u32) -> u64 {
        let shapes = shapes_max(tasks_max);
        shapes as u64 * size_of::<Numbered>() as u64
            + (shapes.next_power_of_two() as u64 + tasks_max as u64) * size_of::<u32>() as u64
    }

    /// The number of a task's shape, if it is known.
    pub(super) fn of(&self, task: u32) -> Option<u32> {
        self.of_task.get(task as usize).copied().filter(|number| *number != NONE)
    }

    /// The shape with this number.
    pub(super) fn shape(&self, number: u32) -> Option<&Shape> {
        self.all.get(number as usize).map(|numbered| &numbered.shape)
    }

    /// Gives a task the number of its shape; `None` if all numbers are in use.
    pub(super) fn join(&mut self, task: u32, shape: &Shape) -> Option<Number> {
        let bucket = self.bucket(shape);
        let mut number = self.buckets[bucket];
        while let Some(numbered) = self.all.get_mut(number as usize) {
            if numbered.shape == *shape {
                numbered.tasks += 1;
                self.of_task[task as usize] = number;
                return Some(Number { number, is_new: false });
            }
            number = numbered.next;
        }
        let number = self.vacant;
        let numbered = self.all.get_mut(number as usize)?;
        self.vacant = numbered.next;
        *numbered = Numbered { shape: *shape, tasks: 1, next: self.buckets[bucket] };
        self.buckets[bucket] = number;
        self.of_task[task as usize] = number;
        Some(Number { number, is_new: true })
    }

    /// A task is not pending any more; the last one of its shape takes the number with it.
    pub(super) fn leave(&mut self, task: u32) {
        let number = core::mem::replace(&mut self.of_task[task as usize], NONE);
        let Some(numbered) = self.all.get_mut(number as usize) else { return };
        numbered.tasks -= 1;
        let Numbered { shape, tasks, next } = *numbered;
        if tasks > 0 {
            return;
        }
        let bucket = self.bucket(&shape);
        let mut link = &mut self.buckets[bucket];
        while *link != number && *link != NONE {
            link = &mut self.all[*link as usize].next;
        }
        *link = next;
        self.all[number as usize].next = self.vacant;
        self.vacant = number;
    }

    fn bucket(&self, shape: &Shape) -> usize {
        // The upper half of a product is mixed best.
        (shape.hash() >> 32) as usize & (self.buckets.len() - 1)
    }
}

/// Shapes that may have a number.
pub(super) const fn shapes_max(tasks_max: u32) -> u32 {
    if tasks_max < SHAPES_MAX { tasks_max } else { SHAPES_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Tasks have the same number if and only if they have the same shape, whoever comes and
        /// goes, and whoever finds no number finds all of them in use.
        #[test]
        fn equal_shapes_have_one_number(
            ops in prop::collection::vec((0_u32..6, 0_u32..4, 0_u32..3), 1..200),
        ) {
            let mut shapes = Shapes::new(6);
            let mut known: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
            for (task, cpu_milli, members_needed) in ops {
                if known.remove(&task).is_some() {
                    shapes.leave(task);
                } else {
                    let member = Demand { cpu_milli, ..Demand::default() };
                    let shape = Shape { members_needed, ..Shape::alone(member) };
                    let number = shapes.join(task, &shape).unwrap();
                    let others = known.values().any(|other| *other == (cpu_milli, members_needed));
                    prop_assert_eq!(number.is_new, !others);
                    prop_assert_eq!(shapes.shape(number.number), Some(&shape));
                    known.insert(task, (cpu_milli, members_needed));
                }
                for one in 0..6 {
                    prop_assert_eq!(shapes.of(one).is_some(), known.contains_key(&one));
                    for other in known.keys().filter(|_| known.contains_key(&one)) {
                        let same = known[&one] == known[other];
                        prop_assert_eq!(shapes.of(one) == shapes.of(*other), same);
                    }
                }
            }
        }
    }
}
