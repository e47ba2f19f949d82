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

use super::shape::Shape;
use crate::fleet::{Fleet, Health, ModelId, ModelSet, Node, NodeStatus, Sharing};
use crate::heap::{Forest, NONE};

/// Columns in a block: two cache lines of costs.
const BLOCK: usize = 64;

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
pub(super) const NEVER: u16 = u16::MAX;

/// Nothing, in a list of least costs.
const NOTHING: u64 = u64::MAX;

/// The model of nodes without devices.
const NO_MODEL: u8 = u8::MAX;

/// What a shape costs on a node.
pub(super) trait Pricing {
    /// Cost of each shape on the node with this index, in steps; [`NEVER`] where there is no room.
    fn price_rows(&self, fleet: &Fleet, index: u32, shapes: &[Shape], out: &mut [u16]);
    /// The same cost in milli-GPU, without what the model costs.
    fn milli_of(&self, steps: u16) -> i64;
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
    /// Index of the node; `NONE`: of none.
    node: u32,
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
    /// When each row was last asked for.
    used: Box<[u64]>,
    rows_len: usize,
    asked: u64,
    /// `[block][row][column of the block]`.
    costs: Box<[u16]>,
    /// `[block][row]`: steps, then index of the node.
    least: Box<[u64]>,
    /// `[row][group]`: the same over the blocks of a group.
    top: Box<[u64]>,
    columns: Box<[Column]>,
    /// Model of each group; of the first `groups_len`.
    models: Box<[u8]>,
    groups_len: usize,
    blocks_per_group: usize,
    /// First vacant column of each model that has groups.
    vacant: Box<[(u8, u32)]>,
    vacant_len: usize,
    places: Box<[Place]>,
    idle: Forest<u32>,
    kinds: Box<[(Kind, u32)]>,
    kinds_len: usize,
    odd: Box<[u32]>,
    odd_len: usize,
    out: Box<[u16]>,
    /// Column that is priced anew next.
    next: u32,
}

/// Blocks of a group, and groups that there may be.
const fn sizes(nodes_max: u32) -> (usize, usize) {
    let blocks = nodes_max.div_ceil(BLOCK as u32);
    let each = blocks.div_ceil(GROUPS_MAX);
    let each = if each == 0 { 1 } else { each };
    (each as usize, (blocks.div_ceil(each) + MODELS_MAX) as usize)
}

impl Matrix {
    pub(super) fn new(nodes_max: u32) -> Self {
        let (blocks_per_group, groups) = sizes(nodes_max);
        let (blocks, nodes) = (blocks_per_group * groups, nodes_max as usize);
        let column = Column { node: NONE, next: NONE, version: 0 };
        let kind =
            Kind { model: 0, devices_len: 0, cpu_milli: 0, memory_mib: 0, device_memory_mib: 0 };
        Self {
            shapes: vec![Shape::default(); ROWS_MAX].into_boxed_slice(),
            used: vec![0; ROWS_MAX].into_boxed_slice(),
            rows_len: 0,
            asked: 0,
            costs: vec![NEVER; blocks * ROWS_MAX * BLOCK].into_boxed_slice(),
            least: vec![NOTHING; blocks * ROWS_MAX].into_boxed_slice(),
            top: vec![NOTHING; groups * ROWS_MAX].into_boxed_slice(),
            columns: vec![column; blocks * BLOCK].into_boxed_slice(),
            models: vec![NO_MODEL; groups].into_boxed_slice(),
            groups_len: 0,
            blocks_per_group,
            vacant: vec![(NO_MODEL, NONE); MODELS_MAX as usize].into_boxed_slice(),
            vacant_len: 0,
            places: vec![Place::Out; nodes].into_boxed_slice(),
            idle: Forest::new(nodes_max),
            kinds: vec![(kind, NONE); KINDS_MAX].into_boxed_slice(),
            kinds_len: 0,
            odd: vec![NONE; nodes].into_boxed_slice(),
            odd_len: 0,
            out: vec![NEVER; ROWS_MAX].into_boxed_slice(),
            next: 0,
        }
    }

    pub(super) const fn bytes_needed(nodes_max: u32) -> u64 {
        let (blocks_per_group, groups) = sizes(nodes_max);
        let blocks = blocks_per_group * groups;
        let costs = blocks * ROWS_MAX * (BLOCK * size_of::<u16>() + size_of::<u64>());
        let columns = blocks * BLOCK * size_of::<Column>();
        let groups = groups * (ROWS_MAX * size_of::<u64>() + 1);
        let row = size_of::<Shape>() + size_of::<u64>() + size_of::<u16>();
        let nodes = nodes_max as usize * (size_of::<Place>() + size_of::<u32>());
        let fixed = MODELS_MAX as usize * size_of::<(u8, u32)>()
            + KINDS_MAX * size_of::<(Kind, u32)>()
            + ROWS_MAX * row;
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
        let mut offer = |candidate: Candidate| {
            best = Some(best.map_or(candidate, |best| best.min(candidate)));
        };
        for group in (0..self.groups_len).filter(|group| is_accepted(self.models[*group])) {
            let mut top = self.top[row * self.models.len() + group];
            if except.contains(&(top as u32)) {
                top = self.least_but(row, group, except);
            }
            if top != NOTHING {
                let model = model_of(self.models[group]);
                let milli =
                    pricing.milli_of((top >> 32) as u16) + pricing.model_milli(model, shape);
                offer(Candidate { milli, index: top as u32 });
            }
        }
        for &(kind, root) in &self.kinds[..self.kinds_len] {
            if root == NONE || !is_accepted(kind.model) {
                continue;
            }
            let mut out = [NEVER];
            pricing.price_rows(fleet, root, core::slice::from_ref(&shape), &mut out);
            let index = if except.contains(&root) { self.idle_but(root, except) } else { root };
            if out[0] != NEVER && index != NONE {
                let model = model_of(kind.model);
                let milli = pricing.milli_of(out[0]) + pricing.model_milli(model, shape);
                offer(Candidate { milli, index });
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

    /// The least of a group without some nodes.
    fn least_but(&self, row: usize, group: usize, except: &[u32]) -> u64 {
        let first = group * self.blocks_per_group;
        let mut least = NOTHING;
        for block in first..first + self.blocks_per_group {
            let here = self.least[block * ROWS_MAX + row];
            if !except.contains(&(here as u32)) {
                least = least.min(here);
                continue;
            }
            let costs = &self.costs[(block * ROWS_MAX + row) * BLOCK..][..BLOCK];
            for (cost, column) in costs.iter().zip(&self.columns[block * BLOCK..][..BLOCK]) {
                if *cost != NEVER && !except.contains(&column.node) {
                    least = least.min(entry(*cost, column.node));
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
            self.shapes[row] = shape;
            self.fill_row(fleet, pricing, row);
            row
        });
        self.used[row] = self.asked;
        row
    }

    fn fill_row(&mut self, fleet: &Fleet, pricing: &impl Pricing, row: usize) {
        let shape = self.shapes[row];
        for group in 0..self.groups_len {
            let first = group * self.blocks_per_group;
            for block in first..first + self.blocks_per_group {
                let begin = (block * ROWS_MAX + row) * BLOCK;
                for at in 0..BLOCK {
                    let Column { node, .. } = self.columns[block * BLOCK + at];
                    let mut out = [NEVER];
                    if node != NONE && matches!(self.places[node as usize], Place::Column(_)) {
                        let shapes = core::slice::from_ref(&shape);
                        pricing.price_rows(fleet, node, shapes, &mut out);
                    }
                    self.costs[begin + at] = out[0];
                }
                self.least[block * ROWS_MAX + row] = self.least_of_block(block, row);
            }
            self.top[row * self.models.len() + group] = self.least_of_group(group, row);
        }
    }

    fn least_of_block(&self, block: usize, row: usize) -> u64 {
        let costs = &self.costs[(block * ROWS_MAX + row) * BLOCK..][..BLOCK];
        let least = costs.iter().fold(NEVER, |least, cost| least.min(*cost));
        if least == NEVER {
            return NOTHING;
        }
        let columns = &self.columns[block * BLOCK..][..BLOCK];
        let nodes = costs.iter().zip(columns).filter(|(cost, _)| **cost == least);
        nodes.map(|(_, column)| entry(least, column.node)).min().unwrap_or(NOTHING)
    }

    fn least_of_group(&self, group: usize, row: usize) -> u64 {
        let first = group * self.blocks_per_group;
        (first..first + self.blocks_per_group)
            .map(|block| self.least[block * ROWS_MAX + row])
            .min()
            .unwrap_or(NOTHING)
    }

    /// What is free on a node has changed, or the node came or went. O(rows).
    pub(super) fn changed(&mut self, fleet: &Fleet, pricing: &impl Pricing, index: u32) {
        let wanted = self.wanted(fleet, index);
        let place = self.places[index as usize];
        let stays = match (place, wanted) {
            (Place::Column(column), Wanted::Column(model)) => {
                self.models[column as usize / (BLOCK * self.blocks_per_group)] == model
            }
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
        let columns = (self.groups_len * self.blocks_per_group * BLOCK) as u32;
        for _ in 0..ROLL_LOOKS.min(columns) {
            self.next = if self.next + 1 < columns { self.next + 1 } else { 0 };
            let Column { node, version, .. } = self.columns[self.next as usize];
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
            let known = self.kinds[..self.kinds_len].iter().position(|(other, _)| *other == kind);
            if let Some(at) = known {
                return Wanted::Idle(at as u8);
            }
            if self.kinds_len < KINDS_MAX {
                self.kinds[self.kinds_len] = (kind, NONE);
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
            Place::Idle(kind) => self.idle.remove(&mut self.kinds[usize::from(kind)].1, index),
            Place::Odd(at) => {
                self.odd_len -= 1;
                let last = self.odd[self.odd_len];
                self.odd[at as usize] = last;
                self.places[last as usize] = Place::Odd(at);
            }
            Place::Column(column) => {
                self.out.fill(NEVER);
                self.write_column(column, index);
                let group = column as usize / (BLOCK * self.blocks_per_group);
                let model = self.models[group];
                let vacant = self.vacant[..self.vacant_len].iter_mut();
                if let Some((_, first)) = vacant.into_iter().find(|(other, _)| *other == model) {
                    self.columns[column as usize] = Column { node: NONE, next: *first, version: 0 };
                    *first = column;
                }
            }
        }
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
                self.idle.insert(&mut self.kinds[usize::from(kind)].1, index, index);
                Place::Idle(kind)
            }
            Wanted::Column(model) => {
                let vacant = self.vacant[..self.vacant_len].iter_mut();
                let Some((_, first)) = vacant.into_iter().find(|(other, _)| *other == model) else {
                    return Place::Out;
                };
                let column = *first;
                *first = self.columns[column as usize].next;
                self.columns[column as usize].node = index;
                Place::Column(column)
            }
        }
    }

    /// Whether a model has a vacant column; a group is opened for it if one is left.
    fn has_column(&mut self, model: u8) -> bool {
        let known = self.vacant[..self.vacant_len].iter().position(|(other, _)| *other == model);
        let at = match known {
            Some(at) if self.vacant[at].1 != NONE => return true,
            Some(at) => at,
            None if self.vacant_len < self.vacant.len() => {
                self.vacant[self.vacant_len] = (model, NONE);
                self.vacant_len += 1;
                self.vacant_len - 1
            }
            None => return false,
        };
        if self.groups_len == self.models.len() {
            return false;
        }
        let each = self.blocks_per_group * BLOCK;
        let begin = self.groups_len * each;
        self.models[self.groups_len] = model;
        self.groups_len += 1;
        for column in begin..begin + each {
            let next = if column + 1 < begin + each { column as u32 + 1 } else { NONE };
            self.columns[column].next = next;
        }
        self.vacant[at].1 = begin as u32;
        true
    }

    fn price_column(&mut self, fleet: &Fleet, pricing: &impl Pricing, column: u32, index: u32) {
        let rows = &self.shapes[..self.rows_len];
        pricing.price_rows(fleet, index, rows, &mut self.out[..self.rows_len]);
        self.columns[column as usize].version = pricing.version();
        self.write_column(column, index);
    }

    /// Puts the costs in `out` into a column, and keeps the least of block and group.
    fn write_column(&mut self, column: u32, index: u32) {
        let (block, at) = (column as usize / BLOCK, column as usize % BLOCK);
        let group = block / self.blocks_per_group;
        for row in 0..self.rows_len {
            let cost = self.out[row];
            let place = (block * ROWS_MAX + row) * BLOCK + at;
            let old = core::mem::replace(&mut self.costs[place], cost);
            if old == cost {
                continue;
            }
            let new = if cost == NEVER { NOTHING } else { entry(cost, index) };
            let least = block * ROWS_MAX + row;
            let last = self.least[least];
            if new < last {
                self.least[least] = new;
            } else if last == entry(old, index) {
                self.least[least] = self.least_of_block(block, row);
            } else {
                continue;
            }
            let top = row * self.models.len() + group;
            if new < self.top[top] {
                self.top[top] = new;
            } else if self.top[top] == last {
                self.top[top] = self.least_of_group(group, row);
            }
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
const fn entry(steps: u16, index: u32) -> u64 {
    (steps as u64) << 32 | index as u64
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
