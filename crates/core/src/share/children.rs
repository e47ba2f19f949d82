//! Who stands below whom, as lists: the children of each account side by side, from the top down.
//!
//! # What it decides
//! Nothing. The tree knows only parents; whoever divides something among the children of an
//! account, level by level, reads them here.
//!
//! # Bounds and cost
//! Built in O(accounts * levels) when the tree has changed since it was built last, else O(1).
//! Asking is O(1). Memory: 12 bytes for each account. Allocates when it is made, never after.

use alloc::boxed::Box;
use alloc::vec;

use super::tree::{AccountTree, DEPTH_MAX};

/// Where something begins and ends in the list.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    begin: u32,
    end: u32,
}

/// The accounts of a tree as it was when [`Children::update`] was called last.
#[derive(Debug)]
pub(super) struct Children {
    /// Accounts opened so far, and open, when the lists were built. Each change of the tree
    /// changes one of the two.
    built_for: Option<(u64, u32)>,
    /// The open accounts, those of one level after those of the level above, those of one parent
    /// side by side by index.
    top_down: Box<[u32]>,
    /// The children of each account, and of the root.
    spans: Box<[Span]>,
    len: u32,
}

impl Children {
    pub(super) fn new(accounts_max: u32) -> Self {
        Self {
            built_for: None,
            top_down: vec![0; accounts_max as usize].into_boxed_slice(),
            spans: vec![Span::default(); accounts_max as usize + 1].into_boxed_slice(),
            len: 0,
        }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        let each = (size_of::<u32>() + size_of::<Span>()) as u64;
        each * accounts_max as u64 + size_of::<Span>() as u64
    }

    /// Forgets the lists: the tree is another one.
    pub(super) const fn clear(&mut self) {
        self.built_for = None;
        self.len = 0;
    }

    /// Makes the lists those of this tree.
    pub(super) fn update(&mut self, tree: &AccountTree) {
        let now = Some((tree.opened(), tree.len()));
        if self.built_for == now {
            return;
        }
        self.spans.fill(Span::default());
        for index in tree.indices() {
            self.spans[tree.parent_at(index) as usize].end += 1;
        }
        let mut end = self.place(tree.root(), 0);
        let mut level_begin = 0;
        for depth in 1..=DEPTH_MAX {
            if level_begin == end {
                break;
            }
            for index in tree.indices().filter(|index| tree.depth_at(*index) == depth) {
                let span = &mut self.spans[tree.parent_at(index) as usize];
                self.top_down[span.end as usize] = index;
                span.end += 1;
            }
            let level = level_begin..end;
            level_begin = end;
            for at in level {
                end = self.place(self.top_down[at as usize], end);
            }
        }
        (self.built_for, self.len) = (now, end);
    }

    /// Turns the number of children of an account into an empty span from `begin`, and returns
    /// where that will end when they are in it.
    fn place(&mut self, index: u32, begin: u32) -> u32 {
        let span = &mut self.spans[index as usize];
        let end = begin + span.end;
        *span = Span { begin, end: begin };
        end
    }

    /// The accounts directly below the one with this index, or below the root, by index.
    pub(super) fn of(&self, index: u32) -> &[u32] {
        let Span { begin, end } = self.spans[index as usize];
        &self.top_down[begin as usize..end as usize]
    }

    /// All open accounts, each after the one above it.
    pub(super) fn top_down(&self) -> &[u32] {
        &self.top_down[..self.len as usize]
    }
}
