//! Rows: the shapes whose costs are known.

use super::levels::least_of;
use super::{BLOCK, Matrix, NEVER, Pricing, ROWS_MAX};
use crate::fleet::Fleet;
use crate::heap::NONE;
use crate::place::stranding::shape::Shape;

impl Matrix {
    /// The row of a shape; one is made for it if there is none.
    pub(super) fn row_of(&mut self, fleet: &Fleet, pricing: &impl Pricing, shape: Shape) -> usize {
        self.asked += 1;
        let found = self.shapes[..self.rows_len].iter().position(|other| *other == shape);
        let row = found.unwrap_or_else(|| {
            let row = if self.rows_len < ROWS_MAX {
                self.rows_len += 1;
                self.rows_len - 1
            } else {
                let oldest = self.used.iter().enumerate().min_by_key(|(_, used)| **used);
                oldest.map_or(0, |(row, _)| row)
            };
            self.set_shape(row, shape);
            self.fill_row(fleet, pricing, row);
            row
        });
        self.used[row] = self.asked;
        row
    }

    /// A row is that of another shape from now on.
    fn set_shape(&mut self, row: usize, shape: Shape) {
        self.shapes[row] = shape;
        let Self { by_cpu, shapes, rows_len, .. } = self;
        let by_cpu = &mut by_cpu[..*rows_len];
        // It is there already where it was that of another one; else in the last place.
        let own = by_cpu.iter().position(|other| usize::from(*other) == row);
        let at = own.unwrap_or(*rows_len - 1);
        by_cpu[at] = row as u8;
        by_cpu[at..].rotate_left(1);
        let goes_after = |other: &u8| shapes[usize::from(*other)].cpu_milli > shape.cpu_milli;
        let len = by_cpu.len();
        let to = by_cpu[..len - 1].iter().position(goes_after).unwrap_or(len - 1);
        by_cpu[to..].rotate_right(1);
    }

    /// Costs of a shape on the node of each column, and on idle nodes.
    fn fill_row(&mut self, fleet: &Fleet, pricing: &impl Pricing, row: usize) {
        let shape = [self.shapes[row]];
        let price = |index: u32| {
            let mut out = [NEVER; ROWS_MAX];
            pricing.price_rows(fleet, index, (&shape, &[0]), &mut out);
            out[0]
        };
        for (at, idle) in self.kinds[..self.kinds_len].iter_mut().enumerate() {
            if idle.root == NONE {
                idle.version = None;
            } else if idle.version == Some(pricing.version()) {
                self.idle_costs[at * ROWS_MAX + row] = price(idle.root);
            }
        }
        let sizes = self.sizes;
        for block in 0..self.groups_len * sizes.blocks_per_group() {
            let costs = &mut self.costs[(block * ROWS_MAX + row) * BLOCK..][..BLOCK];
            for (cost, node) in costs.iter_mut().zip(&self.nodes[block * BLOCK..][..BLOCK]) {
                *cost = if *node == NONE { NEVER } else { price(*node) };
            }
            self.least[sizes.of_block(block, row)] = self.least_of_block(block, row);
        }
        for group in 0..self.groups_len {
            let chunks = sizes.of_group(group, row);
            let first = group * sizes.chunks_per_group;
            for (chunk, at) in (first..).zip(chunks.clone()) {
                self.chunks[at] = least_of(&self.least[sizes.of_chunk(chunk, row)]);
            }
            self.top[row * sizes.groups + group] = least_of(&self.chunks[chunks]);
        }
    }
}
