//! Many priority queues in one fixed array: leftist heaps whose nodes are the requests' slots.
//!
//! A queue is only the index of its root, so any number of queues share the memory of
//! `requests_max` nodes, and moving a request from one queue to another moves no memory.
//!
//! # Bounds and cost
//! Insert, remove (of any node, not only the smallest) and merge are O(log n) in the worst case:
//! the right spine of a leftist heap has at most log2(n + 1) nodes, and a change of rank climbs at
//! most that far. No recursion.
//!
//! # Source
//! C. A. Crane, "Linear lists and priority queues as balanced binary trees", 1972; arbitrary
//! removal with parent links as in Knuth, TAOCP 3, 5.2.3.

use alloc::boxed::Box;
use alloc::vec;

/// No node: an empty queue, or the end of a branch.
pub(super) const NONE: u32 = u32::MAX;

/// What a queue is ordered by: a moment, then the order of submission.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Key {
    pub(super) at_ns: u64,
    pub(super) sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    key: Key,
    parent: u32,
    left: u32,
    right: u32,
    /// Length of the shortest way down to a missing child.
    rank: u32,
}

#[derive(Debug)]
pub(super) struct Forest {
    nodes: Box<[Node]>,
}

impl Forest {
    pub(super) fn new(capacity: u32) -> Self {
        let key = Key { at_ns: 0, sequence: 0 };
        let node = Node { key, parent: NONE, left: NONE, right: NONE, rank: 1 };
        Self { nodes: vec![node; capacity as usize].into_boxed_slice() }
    }

    pub(super) const fn bytes_needed(capacity: u32) -> u64 {
        capacity as u64 * core::mem::size_of::<Node>() as u64
    }

    pub(super) fn key(&self, index: u32) -> Key {
        self.nodes[index as usize].key
    }

    /// Puts `index`, which is in no queue, into the queue at `root`.
    pub(super) fn insert(&mut self, root: &mut u32, index: u32, key: Key) {
        self.nodes[index as usize] = Node { key, parent: NONE, left: NONE, right: NONE, rank: 1 };
        *root = self.merge(*root, index);
    }

    /// Takes `index` out of the queue at `root`, which must be the queue it is in.
    pub(super) fn remove(&mut self, root: &mut u32, index: u32) {
        let Node { parent, left, right, .. } = self.nodes[index as usize];
        let below = self.merge(left, right);
        if below != NONE {
            self.nodes[below as usize].parent = parent;
        }
        if parent == NONE {
            *root = below;
            return;
        }
        let above = &mut self.nodes[parent as usize];
        if above.left == index {
            above.left = below;
        } else {
            above.right = below;
        }
        self.restore_upwards(parent);
    }

    /// Joins two heaps and returns the root; both roots must have no parent that matters.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        if a == NONE || b == NONE {
            let root = if a == NONE { b } else { a };
            if root != NONE {
                self.nodes[root as usize].parent = NONE;
            }
            return root;
        }
        let (root, mut other) = if self.key(a) < self.key(b) { (a, b) } else { (b, a) };
        self.nodes[root as usize].parent = NONE;
        // Down the right spines: hang the smaller head next, carry the larger one on.
        let mut last = root;
        while other != NONE {
            let right = self.nodes[last as usize].right;
            let other_first = right == NONE || self.key(other) < self.key(right);
            let next = if other_first { other } else { right };
            self.nodes[last as usize].right = next;
            self.nodes[next as usize].parent = last;
            if other_first {
                other = right;
            }
            last = next;
        }
        // And up again, the longer branch to the left.
        while last != NONE {
            self.restore(last);
            last = self.nodes[last as usize].parent;
        }
        root
    }

    fn rank(&self, index: u32) -> u32 {
        if index == NONE { 0 } else { self.nodes[index as usize].rank }
    }

    /// Makes the left branch the longer one; true if the node's rank changed.
    fn restore(&mut self, index: u32) -> bool {
        let Node { left, right, rank, .. } = self.nodes[index as usize];
        let (rank_left, rank_right) = (self.rank(left), self.rank(right));
        let node = &mut self.nodes[index as usize];
        if rank_left < rank_right {
            (node.left, node.right) = (right, left);
        }
        node.rank = rank_left.min(rank_right) + 1;
        node.rank != rank
    }

    /// Restores from `index` up until a rank stays as it was: nothing above depends on more.
    fn restore_upwards(&mut self, mut index: u32) {
        while index != NONE && self.restore(index) {
            index = self.nodes[index as usize].parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn check(forest: &Forest, root: u32) -> Vec<u32> {
        let (mut found, mut open) = (Vec::new(), Vec::new());
        if root != NONE {
            assert_eq!(forest.nodes[root as usize].parent, NONE);
            open.push(root);
        }
        while let Some(index) = open.pop() {
            found.push(index);
            let node = forest.nodes[index as usize];
            assert!(forest.rank(node.left) >= forest.rank(node.right), "leftist");
            assert_eq!(node.rank, forest.rank(node.right) + 1);
            for child in [node.left, node.right].into_iter().filter(|child| *child != NONE) {
                assert_eq!(forest.nodes[child as usize].parent, index);
                assert!(node.key < forest.key(child), "heap order");
                open.push(child);
            }
        }
        found.sort_unstable();
        found
    }

    proptest! {
        /// Three queues over one array behave as three ordered sets.
        #[test]
        fn behaves_as_ordered_sets(
            ops in prop::collection::vec((0u32..40, 0usize..3, 0u64..9), 1..500),
        ) {
            let mut forest = Forest::new(40);
            let mut roots = [NONE; 3];
            let mut sets: [BTreeSet<(Key, u32)>; 3] = Default::default();
            for (sequence, (index, queue, at_ns)) in ops.into_iter().enumerate() {
                let home = (0..3).find(|q| sets[*q].iter().any(|(_, i)| *i == index));
                if let Some(home) = home {
                    forest.remove(&mut roots[home], index);
                    sets[home].retain(|(_, i)| *i != index);
                } else {
                    let key = Key { at_ns, sequence: sequence as u64 };
                    forest.insert(&mut roots[queue], index, key);
                    sets[queue].insert((key, index));
                }
                for (root, set) in roots.iter().zip(&sets) {
                    prop_assert_eq!(set.first().map_or(NONE, |first| first.1), *root);
                    let mut expected: Vec<u32> = set.iter().map(|(_, i)| *i).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(check(&forest, *root), expected);
                }
            }
        }
    }
}
