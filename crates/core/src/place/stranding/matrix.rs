//! Where is it cheapest, without looking at every node?
//!
//! # How
//! The cost of every shape in use (a row) on every node that is partly taken (a column) stands in a
//! dense table, with the least of each block of 64 columns and of each group of blocks. A choice
//! reads the least of each group, and nothing else; what changes on a node reprices that node for
//! all rows. Columns of a group are of one model, so that which models a task accepts, and what a
//! model costs it, is settled once for a group.
//!
//! Nodes of which nothing is taken are kept apart, by kind: all of a kind cost the same, so that the
//! one with the lowest index is priced when it is asked for. Nodes that are unlike others (several
//! models, devices that are lost or cut into partitions) are priced one by one.
//!
//! When the tables behind the costs change, columns are priced anew one after the other, a few with
//! each decision ([`Matrix::roll`]): until it is its turn, a column has the cost of older tables.
//!
//! # Bounds and cost
//! Choosing is O(groups), with at most [`GROUPS_MAX`] and one for each model; a change is O(rows); a
//! shape without a row is O(nodes), and takes the row that was not asked for for the longest time.
//! Memory is 2 bytes for each row and column.
//!
//! # What it is bad at
//! Fleets of nodes that are all unlike each other.
//!
//! # Source
//! The measure that it makes fast prices every node for every task (FGD, ATC'23, section 5).

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

use super::shape::Shape;
use crate::fleet::{Fleet, Health, ModelId, ModelSet, Node, NodeStatus, Sharing};
use crate::heap::{Forest, NONE};

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

/// Columns that are looked at for one to price anew, with each decision.
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
    /// The places of the shapes come in the order of the CPU that they take.
    fn price_rows(
        &self,
        fleet: &Fleet,
        index: u32,
        rows: (&[Shape], &[u8]),
        out: &mut [i16; ROWS_MAX],
    );
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

/// Idle nodes that cost the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Kind {
    model: u8,
    devices_len: u8,
    cpu_milli: u32,
    memory_mib: u32,
    device_memory_mib: u32,
}

/// Idle nodes of one kind.
#[derive(Clone, Copy, Debug)]
struct Idle {
    kind: Kind,
    /// The one with the lowest index; `NONE`: there is none.
    root: u32,
    /// Of the tables that its costs are of.
    version: Option<u32>,
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
    shapes: Box<[Shape]>,
    /// Rows, the one whose shape takes the least CPU first; of the first `rows_len`.
    by_cpu: [u8; ROWS_MAX],
    /// When each row was last asked for.
    used: Box<[u64]>,
    rows_len: usize,
    asked: u64,
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

/// How columns are put together: with about as many blocks in a chunk as chunks in a group, what
/// the least of a group is after a change is known after a look at the fewest.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    blocks_per_chunk: usize,
    chunks_per_group: usize,
    /// Groups that there may be.
    groups: usize,
}

impl Sizes {
    const fn new(nodes_max: u32) -> Self {
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

    const fn blocks_per_group(self) -> usize {
        self.blocks_per_chunk * self.chunks_per_group
    }

    const fn columns_per_group(self) -> usize {
        self.blocks_per_group() * BLOCK
    }

    /// Where the least of each block of a chunk stands, for one row.
    const fn of_chunk(self, chunk: usize, row: usize) -> Range<usize> {
        let begin = (chunk * ROWS_MAX + row) * self.blocks_per_chunk;
        begin..begin + self.blocks_per_chunk
    }

    /// Where the least of each chunk of a group stands, for one row.
    const fn of_group(self, group: usize, row: usize) -> Range<usize> {
        let begin = (group * ROWS_MAX + row) * self.chunks_per_group;
        begin..begin + self.chunks_per_group
    }

    /// Where the least of a block stands.
    const fn of_block(self, block: usize, row: usize) -> usize {
        self.of_chunk(block / self.blocks_per_chunk, row).start + block % self.blocks_per_chunk
    }
}

impl Matrix {
    pub(super) fn new(nodes_max: u32) -> Self {
        let sizes = Sizes::new(nodes_max);
        let (groups, blocks) = (sizes.groups, sizes.groups * sizes.blocks_per_group());
        let nodes = nodes_max as usize;
        let column = Column { next: NONE, version: 0 };
        let kind =
            Kind { model: 0, devices_len: 0, cpu_milli: 0, memory_mib: 0, device_memory_mib: 0 };
        let kind = Idle { kind, root: NONE, version: None };
        Self {
            by_cpu: [0; ROWS_MAX],
            shapes: vec![Shape::default(); ROWS_MAX].into_boxed_slice(),
            used: vec![0; ROWS_MAX].into_boxed_slice(),
            rows_len: 0,
            asked: 0,
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
            kinds: vec![kind; KINDS_MAX].into_boxed_slice(),
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
        let row = size_of::<Shape>() + size_of::<u64>();
        let nodes = nodes_max as usize * (size_of::<Place>() + size_of::<u32>());
        let kind = size_of::<Idle>() + ROWS_MAX * size_of::<i16>();
        let fixed = KINDS_MAX * kind + ROWS_MAX * row;
        (costs + columns + groups + nodes + fixed) as u64 + Forest::<u32>::bytes_needed(nodes_max)
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

    /// The least of each model, but for some nodes. O(groups).
    fn least_of_models(&self, row: usize, except: &[u32]) -> [u64; MODELS_MAX as usize] {
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

    /// Prices the idle nodes of a kind for all rows, if their costs are of older tables.
    fn price_kind(&mut self, fleet: &Fleet, pricing: &impl Pricing, at: usize) {
        let (Idle { root, version, .. }, now) = (self.kinds[at], Some(pricing.version()));
        if version != now {
            let rows = (&self.shapes[..self.rows_len], &self.by_cpu[..self.rows_len]);
            pricing.price_rows(fleet, root, rows, &mut self.out);
            self.idle_costs[at * ROWS_MAX..][..ROWS_MAX].copy_from_slice(&self.out);
            self.kinds[at].version = now;
        }
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

    /// The least of a group without some nodes.
    fn least_but(&self, row: usize, group: usize, except: &[u32]) -> u64 {
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

    /// The lowest index of an idle kind without some nodes.
    fn idle_but(&self, root: u32, except: &[u32]) -> u32 {
        let (mut least, mut at) = (NONE, root);
        while at != NONE {
            if !except.contains(&at) {
                least = least.min(at);
            }
            at = self.idle.next_within(at, NONE - 1);
        }
        least
    }

    /// The row of a shape; one is made for it if there is none.
    fn row_of(&mut self, fleet: &Fleet, pricing: &impl Pricing, shape: Shape) -> usize {
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
        for (at, idle) in self.kinds[..self.kinds_len].iter().enumerate() {
            if idle.root != NONE && idle.version == Some(pricing.version()) {
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

    fn least_of_block(&self, block: usize, row: usize) -> u64 {
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

    /// Where a node belongs as it is now.
    fn wanted(&mut self, fleet: &Fleet, index: u32) -> Wanted {
        let Some(node) = fleet.at(index).filter(|node| node.status == NodeStatus::Ready) else {
            return Wanted::Out;
        };
        let Some((model, device_memory_mib)) = model_of_all(fleet, node, index) else {
            return Wanted::Odd;
        };
        if node.holds == 0 {
            let kind = Kind {
                model,
                devices_len: node.devices_len,
                cpu_milli: node.cpu_milli,
                memory_mib: node.memory_mib,
                device_memory_mib,
            };
            let known = self.kinds[..self.kinds_len].iter().position(|other| other.kind == kind);
            if let Some(at) = known {
                return Wanted::Idle(at as u8);
            }
            if self.kinds_len < KINDS_MAX {
                self.kinds[self.kinds_len] = Idle { kind, root: NONE, version: None };
                self.kinds_len += 1;
                return Wanted::Idle((self.kinds_len - 1) as u8);
            }
        }
        if self.has_column(model) { Wanted::Column(model) } else { Wanted::Odd }
    }

    /// Takes a node out of where it is.
    fn leave(&mut self, index: u32, place: Place) {
        match place {
            Place::Out => {}
            Place::Idle(kind) => {
                self.idle.remove(&mut self.kinds[usize::from(kind)].root, index);
            }
            Place::Odd(at) => {
                self.odd_len -= 1;
                let last = self.odd[self.odd_len];
                self.odd[at as usize] = last;
                self.places[last as usize] = Place::Odd(at);
            }
            Place::Column(column) => {
                self.out.fill(NEVER);
                self.write_column(column, index);
                let group = column as usize / self.sizes.columns_per_group();
                let (_, vacant) = &mut self.models[usize::from(self.groups[group])];
                self.columns[column as usize].next = core::mem::replace(vacant, column);
                self.nodes[column as usize] = NONE;
            }
        }
    }

    /// The model of a column.
    fn model_at(&self, column: u32) -> u8 {
        let group = column as usize / self.sizes.columns_per_group();
        self.models[usize::from(self.groups[group])].0
    }

    fn enter(&mut self, index: u32, wanted: Wanted) -> Place {
        match wanted {
            Wanted::Out => Place::Out,
            Wanted::Odd => {
                self.odd[self.odd_len] = index;
                self.odd_len += 1;
                Place::Odd(self.odd_len as u32 - 1)
            }
            Wanted::Idle(kind) => {
                self.idle.insert(&mut self.kinds[usize::from(kind)].root, index, index);
                Place::Idle(kind)
            }
            Wanted::Column(model) => {
                let models = &mut self.models[..self.models_len];
                let Some((_, vacant)) = models.iter_mut().find(|(other, _)| *other == model) else {
                    return Place::Out;
                };
                let column = *vacant;
                *vacant = self.columns[column as usize].next;
                self.nodes[column as usize] = index;
                Place::Column(column)
            }
        }
    }

    /// Whether a model has a vacant column; a group is opened for it if one is left.
    fn has_column(&mut self, model: u8) -> bool {
        let known = self.models[..self.models_len].iter().position(|(other, _)| *other == model);
        let at = match known {
            Some(at) if self.models[at].1 != NONE => return true,
            Some(at) => at,
            None if self.models_len < self.models.len() => {
                self.models[self.models_len] = (model, NONE);
                self.models_len += 1;
                self.models_len - 1
            }
            None => return false,
        };
        if self.groups_len == self.groups.len() {
            return false;
        }
        let each = self.sizes.columns_per_group();
        let begin = self.groups_len * each;
        self.groups[self.groups_len] = at as u8;
        self.groups_len += 1;
        for column in begin..begin + each {
            let next = if column + 1 < begin + each { column as u32 + 1 } else { NONE };
            self.columns[column].next = next;
        }
        self.models[at].1 = begin as u32;
        true
    }

    fn price_column(&mut self, fleet: &Fleet, pricing: &impl Pricing, column: u32, index: u32) {
        let rows = (&self.shapes[..self.rows_len], &self.by_cpu[..self.rows_len]);
        pricing.price_rows(fleet, index, rows, &mut self.out);
        self.columns[column as usize].version = pricing.version();
        self.write_column(column, index);
    }

    /// Puts the costs in `out` into a column, and keeps the least of block, chunk and group.
    fn write_column(&mut self, column: u32, index: u32) {
        let (block, at) = (column as usize / BLOCK, column as usize % BLOCK);
        let sizes = self.sizes;
        let (chunk, group) = (block / sizes.blocks_per_chunk, block / sizes.blocks_per_group());
        let (chunks, blocks) = (sizes.of_chunk(chunk, 0), sizes.of_group(group, 0));
        let mut own = chunks.start + block % sizes.blocks_per_chunk;
        let mut above = blocks.start + chunk % sizes.chunks_per_group;
        let mut cost_at = block * ROWS_MAX * BLOCK + at;
        for row in 0..self.rows_len {
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

/// Where a node belongs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    Out,
    Idle(u8),
    Column(u8),
    Odd,
}

/// Steps, then index: the smaller one is cheaper, or as cheap and has the lower index.
const fn entry(steps: i16, index: u32) -> u64 {
    (steps.unsigned_abs() as u64) << 32 | index as u64
}

fn least_of(list: &[u64]) -> u64 {
    list.iter().fold(NOTHING, |least, own| least.min(*own))
}

const fn model_of(model: u8) -> Option<ModelId> {
    if model == NO_MODEL { None } else { Some(ModelId(model)) }
}

/// The model and memory of all devices of a node, if they are all alike, ready and shared.
fn model_of_all(fleet: &Fleet, node: &Node, index: u32) -> Option<(u8, u32)> {
    if node.devices_len == 0 {
        return Some((NO_MODEL, 0));
    }
    let devices = fleet.devices_at(index);
    let first = devices.first()?.spec;
    let alike = devices.iter().all(|device| {
        device.spec.model == first.model
            && device.spec.memory_mib == first.memory_mib
            && device.spec.sharing == Sharing::Shared
            && device.health == Health::Ready
    });
    alike.then_some((first.model.0, first.memory_mib))
}
