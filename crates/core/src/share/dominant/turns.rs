//! Whose turn it is by dominant shares: levels of all accounts, kept up to date in heaps.
//!
//! Every account, and the root, has a heap of those children that have a next task or somebody
//! below them who does, by level. What its children, blocked or not, add to its own level is kept
//! as whole numbers: sums of those do not depend on the order in which they came about.

use alloc::boxed::Box;
use alloc::vec;

use super::share;
use crate::error::{Error, check_range};
use crate::heap::{Forest, NONE};
use crate::share::LedgerOptions;
use crate::share::lane::OWN_WEIGHT;
use crate::share::quota::{Amounts, Quotas, RESOURCES_MAX};
use crate::share::tree::{AccountTree, DEPTH_MAX};
use crate::snapshot::Words;

/// Steps in which the parts of an account are summed: 2^28, so that 2^24 parts of weight 1000
/// (2^10) stay below 2^62.
const PART_STEPS: f64 = (1_u64 << 28) as f64;

/// Level (bits of a number that is not negative stand in its order), then index.
type Key = (u64, u32);

#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Root of the heap of its children that are not blocked.
    children: u32,
    /// It has a next task of its own.
    has_task: bool,
    /// It stands in the heap of the account above.
    is_queued: bool,
    /// By how much the next task below it raises its dominant share; not divided by its weight.
    step: f64,
}

const VACANT: Seat = Seat { children: NONE, has_task: false, is_queued: false, step: 0.0 };

/// What an account is among its siblings.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// The U of the formula.
    shares: [f64; RESOURCES_MAX],
    /// The largest of them.
    dominant: f64,
    /// Of the next task below it; `None`: it is blocked.
    step: Option<f64>,
}

/// The part with the smallest level that is not blocked.
#[derive(Clone, Copy, Debug)]
struct Poorest {
    /// Index of the account: itself, or a child.
    index: u32,
    level: f64,
    step_level: f64,
    /// By how much its next task raises a dominant share.
    step: f64,
}

#[derive(Debug)]
pub(in crate::share) struct Turns {
    /// By account index; the root has the last one. Empty: no turns are kept.
    seats: Box<[Seat]>,
    forest: Forest<Key>,
    /// Rows of the next tasks; that of an account without one means nothing.
    tasks: Box<[u64]>,
    /// Rows of what each account adds to the sums of the one above.
    parts: Box<[u64]>,
    /// Rows of the sums over the children.
    sums: Box<[u64]>,
}

impl Turns {
    pub(in crate::share) fn new(options: &LedgerOptions) -> Self {
        let is_kept = options.dominant && options.resources > 0;
        let accounts = if is_kept { options.accounts_max } else { 0 };
        let rows =
            |accounts: usize| vec![0; accounts * options.resources as usize].into_boxed_slice();
        let seats = if is_kept { accounts as usize + 1 } else { 0 };
        Self {
            seats: vec![VACANT; seats].into_boxed_slice(),
            forest: Forest::new(accounts),
            tasks: rows(accounts as usize),
            parts: rows(accounts as usize),
            sums: rows(seats),
        }
    }

    pub(in crate::share) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        if !options.dominant || options.resources == 0 {
            return 0;
        }
        let row = 8 * options.resources as u64;
        let seats = (options.accounts_max as u64 + 1) * (size_of::<Seat>() as u64 + row);
        seats
            + options.accounts_max as u64 * 2 * row
            + Forest::<Key>::bytes_needed(options.accounts_max)
    }

    /// The next task of an account.
    pub(in crate::share) fn task(&self, quotas: &Quotas, index: u32) -> Option<Amounts> {
        let has_task = self.seats.get(index as usize).is_some_and(|seat| seat.has_task);
        has_task.then(|| quotas.amounts(&self.tasks, index))
    }

    /// `Ok` if turns are kept.
    pub(in crate::share) fn check(&self) -> Result<(), Error> {
        check_range("dominant", (!self.seats.is_empty()).into(), 1, 1).map(drop)
    }

    /// The level of an account among its siblings.
    pub(in crate::share) fn level(&self, index: u32) -> f64 {
        f64::from_bits(self.forest.key(index).0)
    }

    /// Forgets whoever had this index before.
    pub(in crate::share) fn reset(&mut self, quotas: &Quotas, index: u32) {
        if self.seats.is_empty() {
            return;
        }
        self.seats[index as usize] = VACANT;
        self.forest.set_key(index, (0, index));
        for rows in [&mut self.tasks, &mut self.parts, &mut self.sums] {
            rows[quotas.row(index)].fill(0);
        }
    }

    /// Takes out an account that holds nothing and is about to be closed.
    pub(in crate::share) fn forget(&mut self, tree: &AccountTree, quotas: &Quotas, index: u32) {
        if !self.seats.is_empty() {
            self.set_next_task(tree, quotas, index, None);
        }
    }

    pub(in crate::share) fn set_next_task(
        &mut self,
        tree: &AccountTree,
        quotas: &Quotas,
        index: u32,
        task: Option<&Amounts>,
    ) {
        self.put_task(quotas, index, task);
        self.update(tree, quotas, index);
    }

    fn put_task(&mut self, quotas: &Quotas, index: u32, task: Option<&Amounts>) {
        if let Some(task) = task {
            self.tasks[quotas.row(index)].copy_from_slice(task.used(quotas.resources));
        }
        self.seats[index as usize].has_task = task.is_some();
    }

    /// What an account holds, wants or weighs has changed. O(depth * (resources + log accounts)).
    pub(in crate::share) fn update(&mut self, tree: &AccountTree, quotas: &Quotas, index: u32) {
        let mut index = index;
        for _ in 0..DEPTH_MAX {
            if self.seats.is_empty() || index == tree.root() {
                break;
            }
            index = self.update_one(tree, quotas, index);
        }
    }

    /// All of it has changed. O(accounts * (resources + log accounts)), for each level of the tree
    /// a walk over all indices.
    pub(in crate::share) fn update_all(&mut self, tree: &AccountTree, quotas: &Quotas) {
        if self.seats.is_empty() {
            return;
        }
        self.sums.fill(0);
        self.parts.fill(0);
        for seat in &mut self.seats {
            (seat.children, seat.is_queued) = (NONE, false);
        }
        // Whoever is above others comes after them.
        for depth in (1..=DEPTH_MAX).rev() {
            for index in tree.indices().filter(|index| tree.depth_at(*index) == depth) {
                self.update_one(tree, quotas, index);
            }
        }
    }

    /// Measures an account anew and puts it in its place among its siblings; the index above.
    fn update_one(&mut self, tree: &AccountTree, quotas: &Quotas, index: u32) -> u32 {
        let measure = self.measure(tree, quotas, index);
        let (above, weight) = tree.place_at(index);
        for ((resource, place), sum) in quotas.row(index).enumerate().zip(quotas.row(above)) {
            let part = part(measure.shares[resource], measure.dominant, weight);
            self.sums[sum] = self.sums[sum] - self.parts[place] + part;
            self.parts[place] = part;
        }
        let key = ((measure.dominant / weight).to_bits(), index);
        self.seats[index as usize].step = measure.step.unwrap_or(0.0);
        self.queue(index, above, key, measure.step.is_some());
        above
    }

    /// Puts an account with this key into the heap of the one above, or leaves it out.
    fn queue(&mut self, index: u32, above: u32, key: Key, is_queued: bool) {
        let was_queued = self.seats[index as usize].is_queued;
        let root = &mut self.seats[above as usize].children;
        if was_queued && is_queued && key >= self.forest.key(index) {
            self.forest.raise(root, index, key);
            return;
        }
        if was_queued {
            self.forest.remove(root, index);
        }
        if is_queued {
            self.forest.insert(root, index, key);
        } else {
            self.forest.set_key(index, key);
        }
        self.seats[index as usize].is_queued = is_queued;
    }

    fn measure(&self, tree: &AccountTree, quotas: &Quotas, index: u32) -> Measure {
        let mut shares = row_shares(quotas, &quotas.held, index);
        let poorest = self.poorest(tree, quotas, index);
        if let Some(poorest) = poorest {
            let own = row_shares(quotas, &quotas.held_own, index);
            let own_dominant = largest(&own);
            let scale = (poorest.level + poorest.step_level) / PART_STEPS;
            for (resource, place) in quotas.row(index).enumerate() {
                let own = part(own[resource], own_dominant, OWN_WEIGHT);
                let scaled = scale * (self.sums[place] + own) as f64;
                shares[resource] = shares[resource].min(scaled);
            }
        }
        Measure { shares, dominant: largest(&shares), step: poorest.map(|poorest| poorest.step) }
    }

    /// Among an account's own next task and its children.
    fn poorest(&self, tree: &AccountTree, quotas: &Quotas, index: u32) -> Option<Poorest> {
        let seat = self.seats[index as usize];
        let own = seat.has_task.then(|| {
            let step = largest(&row_shares(quotas, &self.tasks, index));
            let level = largest(&row_shares(quotas, &quotas.held_own, index)) / OWN_WEIGHT;
            Poorest { index, level, step_level: step / OWN_WEIGHT, step }
        });
        let child = (seat.children != NONE).then(|| {
            let (child, step) = (seat.children, self.seats[seat.children as usize].step);
            let (_, weight) = tree.place_at(child);
            Poorest { index: child, level: self.level(child), step_level: step / weight, step }
        });
        match (own, child) {
            (Some(own), Some(child)) if child.level < own.level => Some(child),
            (own, child) => own.or(child),
        }
    }

    /// Index of the account whose turn it is.
    pub(in crate::share) fn first(&self, tree: &AccountTree, quotas: &Quotas) -> Option<u32> {
        // The root has nothing of its own.
        let mut index = self.seats.last().map(|root| root.children).filter(|top| *top != NONE)?;
        for _ in 0..DEPTH_MAX {
            let poorest = self.poorest(tree, quotas, index)?;
            if poorest.index == index {
                return Some(index);
            }
            index = poorest.index;
        }
        None
    }

    /// Makes it as it was when new.
    pub(in crate::share) fn clear(&mut self, quotas: &Quotas) {
        for index in 0..self.seats.len().saturating_sub(1) as u32 {
            self.reset(quotas, index);
        }
        self.sums.fill(0);
        self.seats.fill(VACANT);
    }

    /// Tells the next tasks of the open accounts: everything else follows from what is held.
    pub(in crate::share) fn save_state(
        &self,
        tree: &AccountTree,
        quotas: &Quotas,
        save: &mut dyn FnMut(u64),
    ) {
        if self.seats.is_empty() {
            return;
        }
        for index in tree.indices() {
            let has_task = self.seats[index as usize].has_task;
            save(has_task.into());
            if has_task {
                self.tasks[quotas.row(index)].iter().for_each(|amount| save(*amount));
            }
        }
    }

    /// Takes what [`Self::save_state`] told, after the tree and what is held.
    pub(in crate::share) fn load_state(
        &mut self,
        tree: &AccountTree,
        quotas: &Quotas,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.clear(quotas);
        if self.seats.is_empty() {
            return Ok(());
        }
        for index in tree.indices() {
            if words.next_flag("has_task")? {
                let mut task = Amounts::ZERO;
                for amount in task.0.iter_mut().take(quotas.resources as usize) {
                    *amount = words.next()?;
                }
                task.check("task", quotas.resources)?;
                self.put_task(quotas, index, Some(&task));
            }
        }
        self.update_all(tree, quotas);
        Ok(())
    }
}

/// What a part adds to the sum of one resource, in steps: its weight where that resource is its
/// dominant one.
fn part(share: f64, dominant: f64, weight: f64) -> u64 {
    if dominant > 0.0 { (weight * (share / dominant) * PART_STEPS + 0.5) as u64 } else { 0 }
}

fn row_shares(quotas: &Quotas, rows: &[u64], index: u32) -> [f64; RESOURCES_MAX] {
    let mut shares = [0.0; RESOURCES_MAX];
    for (resource, place) in quotas.row(index).enumerate() {
        shares[resource] = share(rows[place], quotas.capacity.0[resource]);
    }
    shares
}

fn largest(shares: &[f64; RESOURCES_MAX]) -> f64 {
    shares.iter().copied().fold(0.0, f64::max)
}
