//! Where is it cheapest, without looking at every node?
//!
//! # How
//! The cost of every shape in use (a row) on every node that is partly taken (a column) stands in a
//! dense table, all rows of a column next to each other, with the least of each block of 16 columns,
//! of each chunk of blocks and of each group of chunks (`levels`). What changes on a node reprices
//! that node for all rows, and finds what is least for all rows at once. A choice reads the least of
//! each group, and follows it down to its node. Columns of a group are of one model, so that which
//! models a task accepts, and what a model costs it, is settled once for a group; and they are in
//! the order of their nodes, so that the first of equals is the one with the lowest index.
//!
//! Nodes of which nothing is taken are kept apart, by kind: all of a kind cost the same, so that the
//! one with the lowest index is priced for all. Nodes that are unlike others (several models, devices
//! that are lost or cut into partitions) are priced one by one.
//!
//! When the tables behind the costs change, columns are priced anew one after the other, one every
//! some arrivals ([`Matrix::roll`]), and kinds of idle nodes one with each other arrival: until it is
//! its turn, a column or a kind has the cost of older tables.
//!
//! # Bounds and cost
//! Choosing is O(groups), with at most [`GROUPS_MAX`] and one for each model, where the node that is
//! offered has room for all that a shape does not say (memory, one link group); else the blocks that
//! hold a cheaper cost are gone through once, whoever has no room passed over. A change is O(rows); a
//! shape without a row is O(nodes), and takes the row that was not asked for for the longest time. A
//! node that comes with the number of one that is gone, and with other devices, moves columns of one
//! group. Memory is 2.2 bytes for each row and column.
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
use crate::fleet::{Demand, Fleet, ModelId, Node};
use crate::heap::{Forest, NONE};
use levels::Sizes;
use nodes::{Idle, Wanted};
use rows::Rows;

/// Columns in a block.
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
const ROLL_LOOKS: usize = 16;

/// There is no room.
pub(super) const NEVER: i16 = i16::MAX;

/// The model of nodes without devices.
const NO_MODEL: u8 = u8::MAX;

/// What a shape costs on a node.
pub(super) trait Pricing {
    /// Cost of each shape on the node with this index, in steps; [`NEVER`] where there is no room.
    fn price_rows(&self, fleet: &Fleet, index: u32, rows: ShapeRows<'_>, out: &mut [i16; ROWS_MAX]);
    /// The same for one shape.
    fn price_row(&self, fleet: &Fleet, index: u32, shape: Shape) -> i16;
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

/// Columns next to each other, all of one model.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Place of the model.
    model: u8,
    /// Columns of nodes.
    len: u32,
    /// No node in it has a lower index.
    first: u32,
}

/// Where a node is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    /// Nowhere: it is not there, or may not be given work.
    #[default]
    Out,
    /// Among the idle ones of its kind.
    Idle(u8),
    /// In its column.
    Column,
    /// Among those that are unlike others.
    Odd(u32),
}

#[derive(Debug)]
pub(super) struct Matrix {
    rows: Rows,
    /// Of each column the cost of each row.
    costs: Box<[[i16; ROWS_MAX]]>,
    /// Of each block the least cost of each row.
    blocks: Box<[[i16; ROWS_MAX]]>,
    /// The same over the blocks of a chunk.
    chunks: Box<[[i16; ROWS_MAX]]>,
    /// The same over the chunks of a group.
    top: Box<[[i16; ROWS_MAX]]>,
    /// Of which tables the costs of each column are.
    versions: Box<[u32]>,
    /// Index of the node of each column; `NONE`: of none.
    nodes: Box<[u32]>,
    /// The column of each node, as long as it is there and has devices of one model: of a group
    /// they are in the order of the nodes. `NONE`: it has none.
    columns_of: Box<[u32]>,
    groups: Box<[Group]>,
    groups_len: usize,
    sizes: Sizes,
    /// Models that have groups.
    models: [u8; MODELS_MAX as usize],
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
    /// Column, and kind of idle nodes, that is looked at next.
    next: usize,
    next_kind: usize,
}

impl Matrix {
    pub(super) fn new(nodes_max: u32) -> Self {
        let sizes = Sizes::new(nodes_max);
        let (groups, blocks) = (sizes.groups, sizes.groups * sizes.blocks_per_group());
        let nodes = nodes_max as usize;
        let never = |len: usize| vec![[NEVER; ROWS_MAX]; len].into_boxed_slice();
        Self {
            rows: Rows::new(),
            costs: never(blocks * BLOCK),
            blocks: never(blocks),
            chunks: never(groups * sizes.chunks_per_group),
            top: never(groups),
            versions: vec![0; blocks * BLOCK].into_boxed_slice(),
            nodes: vec![NONE; blocks * BLOCK].into_boxed_slice(),
            columns_of: vec![NONE; nodes].into_boxed_slice(),
            groups: vec![Group { model: 0, len: 0, first: NONE }; groups].into_boxed_slice(),
            groups_len: 0,
            sizes,
            models: [NO_MODEL; MODELS_MAX as usize],
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
            next_kind: 0,
        }
    }

    pub(super) const fn bytes_needed(nodes_max: u32) -> u64 {
        let sizes = Sizes::new(nodes_max);
        let blocks = sizes.groups * sizes.blocks_per_group();
        let lists = blocks * (BLOCK + 1) + sizes.groups * (sizes.chunks_per_group + 1);
        let costs = lists * size_of::<[i16; ROWS_MAX]>();
        let columns = blocks * BLOCK * 2 * size_of::<u32>();
        let groups = sizes.groups * size_of::<Group>();
        let nodes = nodes_max as usize * (size_of::<Place>() + 2 * size_of::<u32>());
        let kind = size_of::<Idle>() + ROWS_MAX * size_of::<i16>();
        (costs + columns + groups + nodes + KINDS_MAX * kind) as u64
            + Rows::bytes_needed()
            + Forest::<u32>::bytes_needed(nodes_max)
    }

    /// The cheapest node for a shape among those with accepted models, by what the shape says. If some
    /// nodes were offered in vain, which `except` says, one that has room for the whole demand, and
    /// none of those. O(groups), and after one in vain O(nodes that would be cheaper).
    pub(super) fn cheapest(
        &mut self,
        fleet: &Fleet,
        pricing: &impl Pricing,
        shape: Shape,
        demand: &Demand,
        except: &[u32],
    ) -> Option<Candidate> {
        let row = self.row_of(fleet, pricing, shape);
        let is_accepted = |model: u8| {
            shape.count == 0 || demand.models.contains(ModelId(model)) && model != NO_MODEL
        };
        let milli_of = |steps: i16, model: u8| {
            pricing.milli_of(steps) + pricing.model_milli(model_of(model), shape)
        };
        let has_room = |node: u32| !except.contains(&node) && fits(fleet, node, demand);
        let mut best: Option<Candidate> = None;
        for at in 0..self.kinds_len {
            let Idle { kind, root, .. } = self.kinds[at];
            if root == NONE || !is_accepted(kind.model) || !kind.has_memory(demand) {
                continue;
            }
            if self.kinds[at].version.is_none() {
                self.price_kind(fleet, pricing, at);
            }
            let steps = self.idle_costs[at * ROWS_MAX + row];
            let index = if except.is_empty() { root } else { self.first_idle(root, has_room) };
            if steps != NEVER && index != NONE {
                let own = Candidate { milli: milli_of(steps, kind.model), index };
                best = Some(best.map_or(own, |best| best.min(own)));
            }
        }
        if !except.is_empty() {
            for (at, group) in self.groups[..self.groups_len].iter().enumerate() {
                let model = self.models[usize::from(group.model)];
                if is_accepted(model) {
                    best = self.cheaper_in(row, at, best, |steps| milli_of(steps, model), has_room);
                }
            }
            return best;
        }
        let least = self.least_of_models(row);
        for (at, (model, steps)) in self.models[..self.models_len].iter().zip(least).enumerate() {
            if steps == NEVER || !is_accepted(*model) {
                continue;
            }
            let milli = milli_of(steps, *model);
            if best.is_none_or(|best| milli <= best.milli) {
                let own = Candidate { milli, index: self.first_of_model(row, at, steps) };
                best = Some(best.map_or(own, |best| best.min(own)));
            }
        }
        best
    }

    /// Whether the costs of a shape are kept.
    pub(super) fn has_row(&self, shape: Shape) -> bool {
        self.rows.has(shape)
    }

    /// Of which tables the costs of a node are; `None` for one that is priced when it is asked for.
    pub(super) fn version_of(&self, index: u32) -> Option<u32> {
        match self.places.get(index as usize) {
            Some(Place::Column) => Some(self.versions[self.columns_of[index as usize] as usize]),
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
            (Place::Idle(kind), Wanted::Idle(wanted)) => kind == wanted,
            (Place::Column, Wanted::Column)
            | (Place::Odd(_), Wanted::Odd)
            | (Place::Out, Wanted::Out) => true,
            _ => false,
        };
        if !stays {
            self.leave(index, place);
            self.places[index as usize] = self.enter(index, wanted);
        }
        if wanted == Wanted::Column {
            self.price_column(fleet, pricing, self.columns_of[index as usize] as usize);
        }
    }

    /// Prices the next kind of idle nodes anew, if its tables are older.
    pub(super) fn roll_kind(&mut self, fleet: &Fleet, pricing: &impl Pricing) {
        self.next_kind = if self.next_kind + 1 < self.kinds_len { self.next_kind + 1 } else { 0 };
        self.price_kind(fleet, pricing, self.next_kind);
    }

    /// Prices the next column anew whose tables are older, if one of those looked at is.
    pub(super) fn roll(&mut self, fleet: &Fleet, pricing: &impl Pricing) {
        let columns = self.groups_len * self.sizes.columns_per_group();
        for _ in 0..ROLL_LOOKS.min(columns) {
            self.next = if self.next + 1 < columns { self.next + 1 } else { 0 };
            if self.is_older(pricing, self.next) {
                self.price_column(fleet, pricing, self.next);
                break;
            }
        }
    }

    /// Prices all columns whose tables are older. O(nodes * rows).
    pub(super) fn price_all(&mut self, fleet: &Fleet, pricing: &impl Pricing) {
        for kind in 0..self.kinds_len {
            self.price_kind(fleet, pricing, kind);
        }
        for column in 0..self.groups_len * self.sizes.columns_per_group() {
            if self.is_older(pricing, column) {
                self.price_column(fleet, pricing, column);
            }
        }
    }

    /// Whether a column holds costs of older tables.
    fn is_older(&self, pricing: &impl Pricing, column: usize) -> bool {
        self.versions[column] != pricing.version()
            && self.places.get(self.nodes[column] as usize) == Some(&Place::Column)
    }

    fn price_column(&mut self, fleet: &Fleet, pricing: &impl Pricing, column: usize) {
        pricing.price_rows(fleet, self.nodes[column], self.rows.all(), &mut self.out);
        self.versions[column] = pricing.version();
        self.write_column(column);
    }
}

/// Whether a node has room for a demand with all that a shape does not say.
fn fits(fleet: &Fleet, node: u32, demand: &Demand) -> bool {
    let has_memory = |node: &Node| node.memory_free_mib >= demand.memory_mib;
    fleet.at(node).is_some_and(has_memory) && fleet.choose_devices(node, demand).is_ok()
}

const fn model_of(model: u8) -> Option<ModelId> {
    if model == NO_MODEL { None } else { Some(ModelId(model)) }
}
