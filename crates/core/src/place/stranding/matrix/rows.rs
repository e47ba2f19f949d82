//! Rows: the shapes whose costs are known.

use alloc::boxed::Box;
use alloc::vec;

use super::levels::least_of;
use super::{BLOCK, Matrix, NEVER, Pricing, ROWS_MAX};
use crate::fleet::Fleet;
use crate::heap::NONE;
use crate::place::stranding::shape::{Portion, Row, Shape, ShapeRows};

/// Shapes, each with its row, and what is needed to price all of them.
#[derive(Debug)]
pub(super) struct Rows {
    shapes: Box<[Shape]>,
    /// When each row was last asked for.
    used: Box<[u64]>,
    by_cpu: Box<[Row]>,
    portions: Box<[Portion]>,
    portions_len: usize,
    len: usize,
    asked: u64,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            shapes: vec![Shape::default(); ROWS_MAX].into_boxed_slice(),
            used: vec![0; ROWS_MAX].into_boxed_slice(),
            by_cpu: vec![Row::default(); ROWS_MAX].into_boxed_slice(),
            portions: vec![Portion::default(); ROWS_MAX].into_boxed_slice(),
            portions_len: 0,
            len: 0,
            asked: 0,
        }
    }

    pub(super) const fn bytes_needed() -> u64 {
        let row = size_of::<(Shape, u64)>() + size_of::<Row>() + size_of::<Portion>();
        (ROWS_MAX * row) as u64
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// All of them, to be priced.
    pub(super) fn all(&self) -> ShapeRows<'_> {
        ShapeRows {
            by_cpu: &self.by_cpu[..self.len],
            portions: &self.portions[..self.portions_len],
        }
    }

    /// The row of a shape, and whether it has become that of the shape only now.
    fn of(&mut self, shape: Shape) -> (usize, bool) {
        self.asked += 1;
        let found = self.shapes[..self.len].iter().position(|other| *other == shape);
        let row = found.unwrap_or_else(|| {
            let row = if self.len < ROWS_MAX {
                self.len += 1;
                self.len - 1
            } else {
                let oldest = self.used.iter().enumerate().min_by_key(|(_, used)| **used);
                oldest.map_or(0, |(row, _)| row)
            };
            self.shapes[row] = shape;
            self.sort();
            row
        });
        self.used[row] = self.asked;
        (row, found.is_none())
    }

    /// Orders rows by CPU, and finds which take the same of devices. O(rows^2).
    fn sort(&mut self) {
        self.portions_len = 0;
        for (at, shape) in self.shapes[..self.len].iter().enumerate() {
            let own = Portion::of(*shape);
            let known = self.portions[..self.portions_len].iter().position(|other| *other == own);
            let portion = known.unwrap_or(self.portions_len);
            self.portions[portion] = own;
            self.portions_len = self.portions_len.max(portion + 1);
            self.by_cpu[at] =
                Row { cpu_milli: shape.cpu_milli, portion: portion as u8, at: at as u8 };
        }
        self.by_cpu[..self.len].sort_unstable_by_key(|row| (row.cpu_milli, row.portion));
    }
}

impl Matrix {
    /// The row of a shape; one is made for it if there is none.
    pub(super) fn row_of(&mut self, fleet: &Fleet, pricing: &impl Pricing, shape: Shape) -> usize {
        let (row, is_new) = self.rows.of(shape);
        if is_new {
            self.fill_row(fleet, pricing, row, shape);
        }
        row
    }

    /// Costs of a shape on the node of each column, and on idle nodes.
    fn fill_row(&mut self, fleet: &Fleet, pricing: &impl Pricing, row: usize, shape: Shape) {
        let by_cpu = [Row { cpu_milli: shape.cpu_milli, portion: 0, at: 0 }];
        let portions = [Portion::of(shape)];
        let rows = ShapeRows { by_cpu: &by_cpu, portions: &portions };
        let price = |index: u32| {
            let mut out = [NEVER; ROWS_MAX];
            pricing.price_rows(fleet, index, rows, &mut out);
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
