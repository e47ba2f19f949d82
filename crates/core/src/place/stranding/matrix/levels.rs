//! What is least of a block, of a chunk of blocks and of a group of chunks, for all rows at once.

use super::{BLOCK, Candidate, GROUPS_MAX, MODELS_MAX, Matrix, NEVER, ROWS_MAX};
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
}

/// The costs of a column, or what is least of several.
type Steps = [i16; ROWS_MAX];

impl Matrix {
    /// Puts the costs in `out` into a column, and keeps the least of block, chunk and group.
    pub(super) fn write_column(&mut self, column: usize) {
        let len = self.rows.len();
        self.costs[column][..len].copy_from_slice(&self.out[..len]);
        self.find_least(column / BLOCK);
    }

    /// What is least of a block, and of what it is a part of.
    pub(super) fn find_least(&mut self, block: usize) {
        let (sizes, len) = (self.sizes, self.rows.len());
        let Some(columns) = self.costs[block * BLOCK..].first_chunk::<BLOCK>() else { return };
        let mut least = [NEVER; ROWS_MAX];
        least_of_block(columns, &mut least, len);
        if least[..len] == self.blocks[block][..len] {
            return;
        }
        self.blocks[block] = least;
        let chunk = block / sizes.blocks_per_chunk;
        let of_chunk = chunk * sizes.blocks_per_chunk;
        self.chunks[chunk] = least_of(&self.blocks[of_chunk..][..sizes.blocks_per_chunk], len);
        let group = chunk / sizes.chunks_per_group;
        let of_group = group * sizes.chunks_per_group;
        self.top[group] = least_of(&self.chunks[of_group..][..sizes.chunks_per_group], len);
    }

    /// What is least of each model for one row. O(groups).
    pub(super) fn least_of_models(&self, row: usize) -> [i16; MODELS_MAX as usize] {
        let mut least = [NEVER; MODELS_MAX as usize];
        for (group, top) in self.groups[..self.groups_len].iter().zip(&self.top) {
            let least = &mut least[usize::from(group.model)];
            *least = top[row].min(*least);
        }
        least
    }

    /// The node with the lowest index of those of a model that cost so much.
    pub(super) fn first_of_model(&self, row: usize, model: usize, steps: i16) -> u32 {
        let mut first = NONE;
        for (at, group) in self.groups[..self.groups_len].iter().enumerate() {
            if usize::from(group.model) == model
                && group.first <= first
                && self.top[at][row] == steps
            {
                first = first.min(self.first_of(row, at, steps));
            }
        }
        first
    }

    /// The best so far, or a better one of a group among those that have room. O(columns of the
    /// blocks in which something costs less).
    pub(super) fn cheaper_in(
        &self,
        row: usize,
        group: usize,
        mut best: Option<Candidate>,
        milli_of: impl Fn(i16) -> i64,
        has_room: impl Fn(u32) -> bool,
    ) -> Option<Candidate> {
        let (sizes, mut first) = (self.sizes, self.groups[group].first);
        let is_better = |steps: i16, index: u32, best: Option<Candidate>| {
            let own = || Candidate { milli: milli_of(steps), index };
            steps != NEVER && best.is_none_or(|best| own() < best)
        };
        if !is_better(self.top[group][row], first, best) {
            return best;
        }
        let chunks = group * sizes.chunks_per_group..(group + 1) * sizes.chunks_per_group;
        for chunk in chunks {
            if !is_better(self.chunks[chunk][row], first, best) {
                continue;
            }
            for block in chunk * sizes.blocks_per_chunk..(chunk + 1) * sizes.blocks_per_chunk {
                if !is_better(self.blocks[block][row], first, best) {
                    continue;
                }
                for column in block * BLOCK..(block + 1) * BLOCK {
                    let (steps, index) = (self.costs[column][row], self.nodes[column]);
                    if is_better(steps, index, best) && has_room(index) {
                        best = Some(Candidate { milli: milli_of(steps), index });
                        // Those after it have higher indices.
                        first = index;
                    }
                }
            }
        }
        best
    }

    /// The first node of a group that costs as much as the least: of a group columns are in the
    /// order of their nodes.
    fn first_of(&self, row: usize, group: usize, steps: i16) -> u32 {
        let sizes = self.sizes;
        let find = |of: &[Steps], at: usize, each: usize| {
            let found = of[at * each..][..each].iter().position(|own| own[row] == steps);
            at * each + found.unwrap_or(0)
        };
        let chunk = find(&self.chunks, group, sizes.chunks_per_group);
        let block = find(&self.blocks, chunk, sizes.blocks_per_chunk);
        self.nodes[find(&self.costs, block, BLOCK)]
    }
}

/// Of the first `len` rows what is least of 16 columns: a loop without a branch, of which several
/// steps are done at once.
fn least_of_block(columns: &[Steps; BLOCK], least: &mut Steps, len: usize) {
    for (row, least) in least.iter_mut().enumerate().take(len) {
        let mut own = columns[0][row];
        for column in &columns[1..] {
            own = own.min(column[row]);
        }
        *least = own;
    }
}

/// The same of any number of blocks or chunks.
pub(super) fn least_of(list: &[Steps], len: usize) -> Steps {
    let mut least = [NEVER; ROWS_MAX];
    for own in list {
        for (least, own) in least[..len].iter_mut().zip(own) {
            *least = (*least).min(*own);
        }
    }
    least
}
