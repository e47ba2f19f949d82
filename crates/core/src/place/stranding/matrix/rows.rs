//! Rows: the shapes whose costs are known.

use alloc::boxed::Box;
use alloc::vec;

use super::{BLOCK, Matrix, NEVER, Place, Pricing, ROWS_MAX};
use crate::fleet::Fleet;
use crate::heap::NONE;
use crate::place::stranding::shape::{Portion, Row, Shape, ShapeRows};

/// Shapes, each with its row, and what is needed to price all of them.
#[derive(Debug)]
pub(super) struct Rows {
    shapes: Box<[Shape]>,
    /// Shapes as words, in the order of `by_cpu`.
    words: Box<[u64]>,
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
            words: vec![0; ROWS_MAX].into_boxed_slice(),
            used: vec![0; ROWS_MAX].into_boxed_slice(),
            by_cpu: vec![Row::default(); ROWS_MAX].into_boxed_slice(),
            portions: vec![Portion::default(); ROWS_MAX].into_boxed_slice(),
            portions_len: 0,
            len: 0,
            asked: 0,
        }
    }

    pub(super) const fn bytes_needed() -> u64 {
        let row = size_of::<(Shape, u64, u64)>() + size_of::<Row>() + size_of::<Portion>();
        (ROWS_MAX * row) as u64
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Whether a shape has a row. O(log rows).
    pub(super) fn has(&self, shape: Shape) -> bool {
        self.words[..self.len].binary_search(&shape.word()).is_ok()
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
        let found = self.words[..self.len].binary_search(&shape.word());
        let row = match found {
            Ok(at) => usize::from(self.by_cpu[at].at),
            Err(_) => self.add(shape),
        };
        self.used[row] = self.asked;
        (row, found.is_err())
    }

    /// A row for one more shape: that which was not asked for for the longest time if all are in
    /// use.
    fn add(&mut self, shape: Shape) -> usize {
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
        let Self { by_cpu, words, shapes, len, .. } = self;
        let word = |row: &Row| shapes[usize::from(row.at)].word();
        by_cpu[..*len].sort_unstable_by_key(word);
        words.iter_mut().zip(&by_cpu[..*len]).for_each(|(own, row)| *own = word(row));
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
        for (at, idle) in self.kinds[..self.kinds_len].iter_mut().enumerate() {
            if idle.root == NONE {
                idle.version = None;
            } else {
                let own = pricing.price_row(fleet, idle.root, shape);
                self.idle_costs[at * ROWS_MAX + row] = own;
            }
        }
        let (sizes, all) = (self.sizes, self.groups_len * self.sizes.columns_per_group());
        for (costs, node) in self.costs[..all].iter_mut().zip(&self.nodes) {
            let is_there = self.places.get(*node as usize) == Some(&Place::Column);
            costs[row] = if is_there { pricing.price_row(fleet, *node, shape) } else { NEVER };
        }
        let least =
            |of: &[[i16; ROWS_MAX]]| of.iter().fold(NEVER, |least, own| least.min(own[row]));
        for (block, columns) in self.blocks.iter_mut().zip(self.costs[..all].chunks(BLOCK)) {
            block[row] = least(columns);
        }
        for (chunk, blocks) in
            self.chunks.iter_mut().zip(self.blocks.chunks(sizes.blocks_per_chunk))
        {
            chunk[row] = least(blocks);
        }
        for (top, chunks) in self.top.iter_mut().zip(self.chunks.chunks(sizes.chunks_per_group)) {
            top[row] = least(chunks);
        }
    }
}
