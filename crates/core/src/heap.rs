//! Many priority queues in one fixed array: leftist heaps whose nodes are slots of somebody's slab.
//!
//! A queue is only the index of its root, so any number of queues share the memory of `capacity`
//! nodes, and moving a node from one queue to another moves no memory. The smallest key is at the
//! root; which of two equal keys is nearer to it depends on what happened before, and is the same
//! whenever the same happens.
//!
//! # Bounds and cost
//! Insert, remove and raise (of any node, not only the smallest) are O(log n) in the worst case:
//! the right spine of a leftist heap has at most log2(n + 1) nodes, and a change of rank climbs at
//! most that far. Walking all m nodes up to a limit is O(m). No recursion, no stack.
//!
//! # Source
//! C. A. Crane, "Linear lists and priority queues as balanced binary trees", 1972; arbitrary
//! removal with parent links as in Knuth, TAOCP 3, 5.2.3.

use alloc::boxed::Box;
use alloc::vec;

/// No node: an empty queue, or the end of a branch.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node<K> {
    key: K,
    parent: u32,
    left: u32,
    right: u32,
    /// Length of the shortest way down to a missing child.
    rank: u32,
}

impl<K> Node<K> {
    const fn alone(key: K) -> Self {
        Self { key, parent: NONE, left: NONE, right: NONE, rank: 1 }
    }
}

#[derive(Debug)]
pub(crate) struct Forest<K> {
    nodes: Box<[Node<K>]>,
}

impl<K: Copy + Default + Ord> Forest<K> {
    pub(crate) fn new(capacity: u32) -> Self {
        Self { nodes: vec![Node::alone(K::default()); capacity as usize].into_boxed_slice() }
    }

    pub(crate) const fn bytes_needed(capacity: u32) -> u64 {
        capacity as u64 * core::mem::size_of::<Node<K>>() as u64
    }

    /// The key of a node; one that is in no queue keeps the key it had.
    pub(crate) fn key(&self, index: u32) -> K {
        self.nodes[index as usize].key
    }

    /// Sets the key of a node that is in no queue.
    pub(crate) fn set_key(&mut self, index: u32, key: K) {
        self.nodes[index as usize].key = key;
    }

    /// Puts `index`, which is in no queue, into the queue at `root`.
    pub(crate) fn insert(&mut self, root: &mut u32, index: u32, key: K) {
        self.nodes[index as usize] = Node::alone(key);
        *root = self.merge(*root, index);
    }

    /// Puts all that is in the queue at `other` into the one at `root`.
    pub(crate) fn join(&mut self, root: &mut u32, other: &mut u32) {
        *root = self.merge(*root, core::mem::replace(other, NONE));
    }

    /// Takes `index` out of the queue at `root`, which must be the queue it is in.
    pub(crate) fn remove(&mut self, root: &mut u32, index: u32) {
        let Node { parent, left, right, .. } = self.nodes[index as usize];
        let below = self.merge(left, right);
        self.replace(root, parent, index, below);
    }

    /// Gives `index` a key that is not smaller than its own, in the queue at `root`, which must be
    /// the queue it is in. O(1) while it stays in front of everything below it.
    pub(crate) fn raise(&mut self, root: &mut u32, index: u32, key: K) {
        let Node { parent, left, right, .. } = self.nodes[index as usize];
        if self.is_first(key, left) && self.is_first(key, right) {
            self.nodes[index as usize].key = key;
            return;
        }
        self.nodes[index as usize] = Node::alone(key);
        let below = self.merge(left, right);
        let top = self.merge(below, index);
        self.replace(root, parent, index, top);
    }

    /// The node after `index` in the walk over the nodes of its queue with keys up to `limit`,
    /// which begins at the root if that is one of them; [`NONE`] after the last.
    ///
    /// Each node comes before those below it, and what lies below a key over the limit is left
    /// out. A whole walk goes along each link at most twice.
    pub(crate) fn next_within(&self, index: u32, limit: K) -> u32 {
        let Node { left, right, .. } = self.nodes[index as usize];
        for child in [left, right] {
            if child != NONE && self.key(child) <= limit {
                return child;
            }
        }
        let mut last = index;
        loop {
            let parent = self.nodes[last as usize].parent;
            if parent == NONE {
                return NONE;
            }
            let right = self.nodes[parent as usize].right;
            if right != last && right != NONE && self.key(right) <= limit {
                return right;
            }
            last = parent;
        }
    }

    /// True if a node with this key may stand above the branch at `child`.
    fn is_first(&self, key: K, child: u32) -> bool {
        child == NONE || key <= self.key(child)
    }

    /// Hangs the branch `new` where `old` hung: below `parent`, or at the root.
    fn replace(&mut self, root: &mut u32, parent: u32, old: u32, new: u32) {
        if new != NONE {
            self.nodes[new as usize].parent = parent;
        }
        if parent == NONE {
            *root = new;
            return;
        }
        let above = &mut self.nodes[parent as usize];
        if above.left == old {
            above.left = new;
        } else {
            above.right = new;
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

    fn check<K: Copy + Default + Ord>(forest: &Forest<K>, root: u32) -> Vec<u32> {
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
                assert!(node.key <= forest.key(child), "heap order");
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
            let mut sets: [BTreeSet<((u64, usize), u32)>; 3] = Default::default();
            for (sequence, (index, queue, at)) in ops.into_iter().enumerate() {
                let home = (0..3).find(|q| sets[*q].iter().any(|(_, i)| *i == index));
                if let Some(home) = home {
                    forest.remove(&mut roots[home], index);
                    sets[home].retain(|(_, i)| *i != index);
                } else {
                    let key = (at, sequence);
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

        /// Keys that grow, few enough to be equal often: the heap stays one, and the walk up to
        /// any limit finds each node within it once, below the one it hangs from.
        #[test]
        fn raised_keys_keep_the_order_and_the_walk_finds_what_is_within(
            ops in prop::collection::vec((0u32..40, 0u64..5, any::<bool>(), 0u64..12), 1..400),
        ) {
            let mut forest = Forest::new(40);
            let mut root = NONE;
            let mut keys = [None; 40];
            for (index, by, stays, limit) in ops {
                let key = &mut keys[index as usize];
                *key = match *key {
                    None => {
                        forest.insert(&mut root, index, by);
                        Some(by)
                    }
                    Some(key) if stays => {
                        forest.raise(&mut root, index, key + by);
                        Some(key + by)
                    }
                    Some(_) => {
                        forest.remove(&mut root, index);
                        None
                    }
                };
                let within = |limit| -> Vec<u32> {
                    let key = |index: &u32| keys[*index as usize];
                    (0..40).filter(|index| key(index).is_some_and(|key| key <= limit)).collect()
                };
                prop_assert_eq!(check(&forest, root), within(u64::MAX));
                let mut found = Vec::new();
                let first = root != NONE && forest.key(root) <= limit;
                let mut index = if first { root } else { NONE };
                while index != NONE {
                    found.push(index);
                    index = forest.next_within(index, limit);
                }
                found.sort_unstable();
                prop_assert_eq!(found, within(limit));
            }
        }
    }
}
