//! What is least of a block, of a chunk of blocks and of a group of chunks.

use core::ops::Range;

use super::{BLOCK, GROUPS_MAX, MODELS_MAX, Matrix, NEVER, NOTHING, ROWS_MAX, entry};
use crate::heap::NONE;

/// How columns are put together: with about as many blocks in a chunk as chunks in a group, what
/// the least of a group is after a change is known after a look at the fewest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) blocks_per_chunk: usize,
    pub(super) chunks_per_group: usize,
    /// Groups that there may be.
    pub(super) groups: usize,
}

impl Sizes {
    pub(super) const fn new(nodes_max: u32) -> Self {
        let blocks = nodes_max.div_ceil(BLOCK as u32);
        let each = blocks.div_ceil(GROUPS_MAX);
        let each = if each == 0 { 1 } else { each };
        let root = each.isqrt();
        let blocks_per_chunk = if root * root < each { root + 1 } else { root };
        let chunks_per_group = each.div_ceil(blocks_per_chunk);
        let groups = blocks.div_ceil(blocks_per_chunk * chunks_per_group) + MODELS_MAX;
        Self {
            blocks_per_chunk: blocks_per_chunk as usize,
            chunks_per_group: chunks_per_group as usize,
            groups: groups as usize,
        }
    }

    pub(super) const fn blocks_per_group(self) -> usize {
        self.blocks_per_chunk * self.chunks_per_group
    }

    pub(super) const fn columns_per_group(self) -> usize {
        self.blocks_per_group() * BLOCK
    }

    /// Where the least of each block of a chunk stands, for one row.
    pub(super) const fn of_chunk(self, chunk: usize, row: usize) -> Range<usize> {
        let begin = (chunk * ROWS_MAX + row) * self.blocks_per_chunk;
        begin..begin + self.blocks_per_chunk
    }

    /// Where the least of each chunk of a group stands, for one row.
    pub(super) const fn of_group(self, group: usize, row: usize) -> Range<usize> {
        let begin = (group * ROWS_MAX + row) * self.chunks_per_group;
        begin..begin + self.chunks_per_group
    }

    /// Where the least of a block stands.
    pub(super) const fn of_block(self, block: usize, row: usize) -> usize {
        self.of_chunk(block / self.blocks_per_chunk, row).start + block % self.blocks_per_chunk
    }
}

impl Matrix {
    /// The least of each model, but for some nodes. O(groups).
    pub(super) fn least_of_models(&self, row: usize, except: &[u32]) -> [u64; MODELS_MAX as usize] {
        let mut least = [NOTHING; MODELS_MAX as usize];
        let tops = &self.top[row * self.sizes.groups..][..self.groups_len];
        for (group, (top, at)) in tops.iter().zip(&self.groups).enumerate() {
            let top = if !except.is_empty() && except.contains(&(*top as u32)) {
                self.least_but(row, group, except)
            } else {
                *top
            };
            let least = &mut least[usize::from(*at)];
            *least = top.min(*least);
        }
        least
    }

    /// The least of a group without some nodes.
    pub(super) fn least_but(&self, row: usize, group: usize, except: &[u32]) -> u64 {
        let first = group * self.sizes.blocks_per_group();
        let mut least = NOTHING;
        for block in first..first + self.sizes.blocks_per_group() {
            let here = self.least[self.sizes.of_block(block, row)];
            if !except.contains(&(here as u32)) {
                least = least.min(here);
                continue;
            }
            let costs = &self.costs[(block * ROWS_MAX + row) * BLOCK..][..BLOCK];
            for (cost, node) in costs.iter().zip(&self.nodes[block * BLOCK..][..BLOCK]) {
                if *cost != NEVER && !except.contains(node) {
                    least = least.min(entry(*cost, *node));
                }
            }
        }
        least
    }

    pub(super) fn least_of_block(&self, block: usize, row: usize) -> u64 {
        let costs = self.costs[(block * ROWS_MAX + row) * BLOCK..].first_chunk::<BLOCK>();
        let nodes = self.nodes[block * BLOCK..].first_chunk::<BLOCK>();
        let (Some(costs), Some(nodes)) = (costs, nodes) else { return NOTHING };
        let least = costs.iter().fold(NEVER, |least, cost| least.min(*cost));
        if least == NEVER {
            return NOTHING;
        }
        // Without a branch, so that several are compared at once.
        let node = costs
            .iter()
            .zip(nodes)
            .fold(NONE, |first, (cost, node)| first.min(if *cost == least { *node } else { NONE }));
        entry(least, node)
    }

    /// Puts the costs in `out` into a column, and keeps the least of block, chunk and group.
    pub(super) fn write_column(&mut self, column: u32, index: u32) {
        let (block, at) = (column as usize / BLOCK, column as usize % BLOCK);
        let sizes = self.sizes;
        let (chunk, group) = (block / sizes.blocks_per_chunk, block / sizes.blocks_per_group());
        let (chunks, blocks) = (sizes.of_chunk(chunk, 0), sizes.of_group(group, 0));
        let mut own = chunks.start + block % sizes.blocks_per_chunk;
        let mut above = blocks.start + chunk % sizes.chunks_per_group;
        let mut cost_at = block * ROWS_MAX * BLOCK + at;
        for row in 0..self.rows.len() {
            let cost = self.out[row];
            let old = core::mem::replace(&mut self.costs[cost_at], cost);
            if old != cost {
                let new = if cost == NEVER { NOTHING } else { entry(cost, index) };
                let last = self.least[own];
                let is_least = new < last;
                if is_least || last == entry(old, index) {
                    let now = if is_least { new } else { self.least_of_block(block, row) };
                    self.least[own] = now;
                    self.raise((chunk, group, above), row, (last, now));
                }
            }
            cost_at += BLOCK;
            own += sizes.blocks_per_chunk;
            above += sizes.chunks_per_group;
        }
    }

    /// The least of a block has changed: so may that of its chunk, and of its group.
    fn raise(
        &mut self,
        (chunk, group, at): (usize, usize, usize),
        row: usize,
        (last, now): (u64, u64),
    ) {
        let sizes = self.sizes;
        let last_of_chunk = self.chunks[at];
        if now < last_of_chunk {
            self.chunks[at] = now;
        } else if last_of_chunk == last {
            self.chunks[at] = least_of(&self.least[sizes.of_chunk(chunk, row)]);
        } else {
            return;
        }
        let top = row * sizes.groups + group;
        if self.chunks[at] < self.top[top] {
            self.top[top] = self.chunks[at];
        } else if self.top[top] == last_of_chunk {
            self.top[top] = least_of(&self.chunks[sizes.of_group(group, row)]);
        }
    }
}

pub(super) fn least_of(list: &[u64]) -> u64 {
    list.iter().fold(NOTHING, |least, own| least.min(*own))
}
