//! Where is it cheapest, without looking at every node?
//!
//! # How
//! The cost of every shape in use (a row) on every node that is partly taken (a column) stands in a
//! dense table, with the least of each block of 16 columns, of each chunk of blocks and of each group
//! of chunks (`levels`). A choice reads the least of each group, and nothing else; what changes on a
//! node reprices that node for all rows. Columns of a group are of one model, so that which models a
//! task accepts, and what a model costs it, is settled once for a group.
//!
//! Nodes of which nothing is taken are kept apart, by kind: all of a kind cost the same, so that the
//! one with the lowest index is priced when it is asked for. Nodes that are unlike others (several
//! models, devices that are lost or cut into partitions) are priced one by one.
//!
//! When the tables behind the costs change, columns are priced anew one after the other, one every
//! some arrivals ([`Matrix::roll`]): until it is its turn, a column has the cost of older tables.
//!
//! # Bounds and cost
//! Choosing is O(groups), with at most [`GROUPS_MAX`] and one for each model; a change is O(rows); a
//! shape without a row is O(nodes), and takes the row that was not asked for for the longest time.
//! Memory is 2.5 bytes for each row and column.
//!
//! # What it is bad at
//! Fleets of nodes that are all unlike each other.
//!
//! # Source
//! The measure that it makes fast prices every node for every task (FGD, ATC'23, section 5).

mod levels;
mod nodes;
mod rows;

use alloc::boxed::Box;
use alloc::vec;

use super::shape::{Shape, ShapeRows};
use crate::fleet::{Fleet, ModelId, ModelSet};
use crate::heap::{Forest, NONE};
use levels::Sizes;
use nodes::{Idle, Wanted};
use rows::Rows;

/// Columns in a block: half a cache line of costs.
const BLOCK: usize = 16;

/// Rows: the shapes of the public list (91) and some to spare.
pub(super) const ROWS_MAX: usize = 128;

/// Groups into which the blocks of a fleet would fall if all nodes were of one model.
const GROUPS_MAX: u32 = 64;

/// Models with groups of their own, that of nodes without devices among them.
const MODELS_MAX: u32 = 16;

/// Kinds of idle nodes that are told apart; others have columns while they are idle, too.
const KINDS_MAX: usize = 64;

/// Columns that are looked at for one to price anew.
const ROLL_LOOKS: u32 = 16;

/// There is no room.
pub(super) const NEVER: i16 = i16::MAX;

/// Nothing, in a list of least costs.
const NOTHING: u64 = u64::MAX;

/// The model of nodes without devices.
const NO_MODEL: u8 = u8::MAX;

/// What a shape costs on a node.
pub(super) trait Pricing {
    /// Cost of each shape on the node with this index, in steps; [`NEVER`] where there is no room.
    fn price_rows(&self, fleet: &Fleet, index: u32, rows: ShapeRows<'_>, out: &mut [i16; ROWS_MAX]);
    /// The same cost in milli-GPU, without what the model costs.
    fn milli_of(&self, steps: i16) -> i64;
    /// What is added on all nodes with devices of a model, in milli-GPU.
    fn model_milli(&self, model: Option<ModelId>, shape: Shape) -> i64;
    /// Changes when [`Pricing::price_rows`] may answer otherwise.
    fn version(&self) -> u32;
}

/// A node, as the cheapest one for a shape.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::place) struct Candidate {
    pub(in crate::place) milli: i64,
    pub(in crate::place) index: u32,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// Next vacant column of the model.
    next: u32,
    /// Of the tables that its costs are of.
    version: u32,
}

/// Where a node is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    /// Nowhere: it is not there, or may not be given work.
    #[default]
    Out,
    /// Among the idle ones of its kind.
    Idle(u8),
    /// In a column.
    Column(u32),
    /// Among those that are unlike others.
    Odd(u32),
}

#[derive(Debug)]
pub(super) struct Matrix {
    rows: Rows,
    /// `[block][row][column of the block]`.
    costs: Box<[i16]>,
    /// `[chunk][row][block of the chunk]`: steps, then index of the node.
    least: Box<[u64]>,
    /// `[group][row][chunk of the group]`: the same over the blocks of a chunk.
    chunks: Box<[u64]>,
    /// `[row][group]`: the same over the chunks of a group.
    top: Box<[u64]>,
    columns: Box<[Column]>,
    /// Index of the node of each column; `NONE`: of none.
    nodes: Box<[u32]>,
    /// Of each group the place of its model in `models`; of the first `groups_len`.
    groups: Box<[u8]>,
    groups_len: usize,
    sizes: Sizes,
    /// Models that have groups, each with its first vacant column.
    models: [(u8, u32); MODELS_MAX as usize],
    models_len: usize,
    places: Box<[Place]>,
    idle: Forest<u32>,
    kinds: Box<[Idle]>,
    /// `[kind][row]`.
    idle_costs: Box<[i16]>,
    kinds_len: usize,
    odd: Box<[u32]>,
    odd_len: usize,
    out: [i16; ROWS_MAX],
    /// Column that is priced anew next.
    next: u32,
}

impl Matrix {
    pub(super) fn new(nodes_max: u32) -> Self {
        let sizes = Sizes::new(nodes_max);
        let (groups, blocks) = (sizes.groups, sizes.groups * sizes.blocks_per_group());
        let nodes = nodes_max as usize;
        let column = Column { next: NONE, version: 0 };
        Self {
            rows: Rows::new(),
            costs: vec![NEVER; blocks * ROWS_MAX * BLOCK].into_boxed_slice(),
            least: vec![NOTHING; blocks * ROWS_MAX].into_boxed_slice(),
            chunks: vec![NOTHING; groups * sizes.chunks_per_group * ROWS_MAX].into_boxed_slice(),
            top: vec![NOTHING; groups * ROWS_MAX].into_boxed_slice(),
            columns: vec![column; blocks * BLOCK].into_boxed_slice(),
            nodes: vec![NONE; blocks * BLOCK].into_boxed_slice(),
            groups: vec![0; groups].into_boxed_slice(),
            groups_len: 0,
            sizes,
            models: [(NO_MODEL, NONE); MODELS_MAX as usize],
            models_len: 0,
            places: vec![Place::Out; nodes].into_boxed_slice(),
            idle: Forest::new(nodes_max),
            kinds: vec![Idle::NONE; KINDS_MAX].into_boxed_slice(),
            idle_costs: vec![NEVER; KINDS_MAX * ROWS_MAX].into_boxed_slice(),
            kinds_len: 0,
            odd: vec![NONE; nodes].into_boxed_slice(),
            odd_len: 0,
            out: [NEVER; ROWS_MAX],
            next: 0,
        }
    }

    pub(super) const fn bytes_needed(nodes_max: u32) -> u64 {
        let sizes = Sizes::new(nodes_max);
        let blocks = sizes.groups * sizes.blocks_per_group();
        let costs = blocks * ROWS_MAX * (BLOCK * size_of::<i16>() + size_of::<u64>());
        let columns = blocks * BLOCK * (size_of::<Column>() + size_of::<u32>());
        let groups =
            sizes.groups * (ROWS_MAX * (sizes.chunks_per_group + 1) * size_of::<u64>() + 1);
        let nodes = nodes_max as usize * (size_of::<Place>() + size_of::<u32>());
        let kind = size_of::<Idle>() + ROWS_MAX * size_of::<i16>();
        (costs + columns + groups + nodes + KINDS_MAX * kind) as u64
            + Rows::bytes_needed()
            + Forest::<u32>::bytes_needed(nodes_max)
    }

    /// The cheapest node for a shape among those with accepted models, but for those that `except`
    /// says: those cost too much for another reason. O(groups + odd nodes).
    pub(super) fn cheapest(
        &mut self,
        fleet: &Fleet,
        pricing: &impl Pricing,
        shape: Shape,
        accepted: ModelSet,
        except: &[u32],
    ) -> Option<Candidate> {
        let row = self.row_of(fleet, pricing, shape);
        let is_accepted =
            |model: u8| shape.count == 0 || accepted.contains(ModelId(model)) && model != NO_MODEL;
        let mut best: Option<Candidate> = None;
        let mut offer = |(steps, index): (i16, u32), model: u8| {
            let model_milli = pricing.model_milli(model_of(model), shape);
            let own = Candidate { milli: pricing.milli_of(steps) + model_milli, index };
            best = Some(best.map_or(own, |best| best.min(own)));
        };
        let least = self.least_of_models(row, except);
        for ((model, _), least) in self.models[..self.models_len].iter().zip(least) {
            if least != NOTHING && is_accepted(*model) {
                offer(((least >> 32) as i16, least as u32), *model);
            }
        }
        for at in 0..self.kinds_len {
            let Idle { kind, root, .. } = self.kinds[at];
            if root == NONE || !is_accepted(kind.model) {
                continue;
            }
            self.price_kind(fleet, pricing, at);
            let steps = self.idle_costs[at * ROWS_MAX + row];
            let index = if except.contains(&root) { self.idle_but(root, except) } else { root };
            if steps != NEVER && index != NONE {
                offer((steps, index), kind.model);
            }
        }
        best
    }

    /// Of which tables the costs of a node are; `None` for one that is priced when it is asked for.
    pub(super) fn version_of(&self, index: u32) -> Option<u32> {
        match self.places.get(index as usize) {
            Some(Place::Column(column)) => Some(self.columns[*column as usize].version),
            _ => None,
        }
    }

    /// Nodes that are unlike others: to be priced one by one.
    pub(super) fn odd(&self) -> &[u32] {
        &self.odd[..self.odd_len]
    }

    /// What is free on a node has changed, or the node came or went. O(rows).
    pub(super) fn changed(&mut self, fleet: &Fleet, pricing: &impl Pricing, index: u32) {
        let wanted = self.wanted(fleet, index);
        let place = self.places[index as usize];
        let stays = match (place, wanted) {
            (Place::Column(column), Wanted::Column(model)) => self.model_at(column) == model,
            (Place::Idle(kind), Wanted::Idle(wanted)) => kind == wanted,
            (Place::Odd(_), Wanted::Odd) | (Place::Out, Wanted::Out) => true,
            _ => false,
        };
        if !stays {
            self.leave(index, place);
            self.places[index as usize] = self.enter(index, wanted);
        }
        if let Place::Column(column) = self.places[index as usize] {
            self.price_column(fleet, pricing, column, index);
        }
    }

    /// Prices the next column anew whose tables are older, if one of those looked at is.
    pub(super) fn roll(&mut self, fleet: &Fleet, pricing: &impl Pricing) {
        let columns = (self.groups_len * self.sizes.columns_per_group()) as u32;
        for _ in 0..ROLL_LOOKS.min(columns) {
            self.next = if self.next + 1 < columns { self.next + 1 } else { 0 };
            let node = self.nodes[self.next as usize];
            let Column { version, .. } = self.columns[self.next as usize];
            if node != NONE && version != pricing.version() {
                self.price_column(fleet, pricing, self.next, node);
                break;
            }
        }
    }

    /// Prices all columns whose tables are older. O(nodes * rows).
    pub(super) fn price_all(&mut self, fleet: &Fleet, pricing: &impl Pricing) {
        for column in 0..self.nodes.len() {
            let node = self.nodes[column];
            if node != NONE && self.columns[column].version != pricing.version() {
                self.price_column(fleet, pricing, column as u32, node);
            }
        }
    }

    fn price_column(&mut self, fleet: &Fleet, pricing: &impl Pricing, column: u32, index: u32) {
        pricing.price_rows(fleet, index, self.rows.all(), &mut self.out);
        self.columns[column as usize].version = pricing.version();
        self.write_column(column, index);
    }
}

/// Steps, then index: the smaller one is cheaper, or as cheap and has the lower index.
const fn entry(steps: i16, index: u32) -> u64 {
    (steps.unsigned_abs() as u64) << 32 | index as u64
}

const fn model_of(model: u8) -> Option<ModelId> {
    if model == NO_MODEL { None } else { Some(ModelId(model)) }
}
