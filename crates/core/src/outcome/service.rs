//! Who was served how much, and how far apart were those who waited at the same time?
//!
//! # What it decides
//! Nothing: it measures the fairness that `share` aims at.
//!
//! # Formula
//! ```text
//! W_i(s, t) = (prompt * n_prompt + cached * n_cached + output * n_output) / weight_i
//!             over the tokens that account i was served in (s, t]
//! s_ij      = when the later of i and j became backlogged
//! d_ij(t)   = | W_i(s_ij, t) - W_j(s_ij, t) |       while both stay backlogged
//! max       = the largest d_ij(t) of any pair at any time
//! mean      = the integral of the sum of d_ij over all pairs backlogged together
//!             / the time that pairs were backlogged together, summed over pairs
//! ```
//! An account is *backlogged* while it has requests waiting; the host says when. An account that
//! asks for little and gets it is not treated unfairly, so it is not compared. When an account
//! stops waiting its comparisons end, and when it comes back they begin at zero: the interval of
//! the theorem in the paper. A bound `B` that holds over every interval in which both are
//! backlogged (`2 * max(w_p * L_input, w_q * M)` for VTC) bounds `max` too.
//!
//! What is told at one instant takes effect together: a step that serves three accounts at its
//! end is not three unequal moments. Within one instant tell service before who came and went.
//!
//! # Bounds and cost
//! `8 * backlogged_max^2` bytes for the pairs and a few words an account, taken in `new`.
//! [`ServiceDifference::served`] is O(1); the instant that follows costs O(accounts backlogged)
//! for each account that was served; coming and going cost the same. When more than
//! `backlogged_max` accounts are backlogged at once, those that came last are not compared, and
//! [`Difference::uncompared`] counts them. Sums of differences are kept incrementally: they
//! carry the rounding of `f64`, about 1e-16 of the sum for each change, and restart at zero
//! whenever fewer than two accounts are backlogged.
//!
//! # What it is bad at
//! It sees service where it is told of it: tokens of a step count at the end of the step. After
//! `merge`, `max` and `mean` are over the pairs compared inside each source; accounts that waited
//! at different engines were never compared.
//!
//! # Source
//! Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024, sections 3 (service,
//! backlogged) and 4 (the bound on the difference).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::{Error, check_range, check_real};
use crate::units::Nanos;

/// Most accounts that may be compared at once: the pairs then take 128 MiB.
pub const BACKLOGGED_MAX: u32 = 4_096;
/// Most accounts that the books can be opened for.
pub const ACCOUNTS_MAX: u32 = 1 << 24;
/// Weights are accepted from one part in a million to a million.
pub(super) const WEIGHT_MIN: f64 = 1e-6;
pub(super) const WEIGHT_MAX: f64 = 1e6;
/// Costs are in prompt tokens; a million of them for one token is beyond any engine.
const COST_MAX: f64 = 1e6;
/// No slot, or not served since the last instant.
const NONE: u32 = u32::MAX;
/// Backlogged without a slot: not compared.
const UNCOMPARED: u32 = u32::MAX - 1;

/// Tokens that an account was served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Work {
    /// Prompt tokens computed.
    pub prompt_tokens: u64,
    /// Prompt tokens found in the cache.
    pub cached_tokens: u64,
    /// Tokens produced.
    pub output_tokens: u64,
}

impl Work {
    fn add(&mut self, other: Self) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}

/// What a token of each kind counts as service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenCosts {
    /// One prompt token computed.
    pub prompt: f64,
    /// One prompt token found in the cache.
    pub cached: f64,
    /// One token produced.
    pub output: f64,
}

impl TokenCosts {
    /// Service, before it is divided by a weight.
    #[must_use]
    pub fn service(&self, work: Work) -> f64 {
        self.prompt * work.prompt_tokens as f64
            + self.cached * work.cached_tokens as f64
            + self.output * work.output_tokens as f64
    }

    pub(super) fn checked(self) -> Result<Self, Error> {
        check_real("prompt_token_cost", self.prompt, 0.0, COST_MAX)?;
        check_real("cached_token_cost", self.cached, 0.0, COST_MAX)?;
        check_real("output_token_cost", self.output, 0.0, COST_MAX)?;
        Ok(self)
    }
}

/// How far apart accounts were that waited together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Largest difference in weighted service of any pair at any time.
    pub max: f64,
    /// Mean difference over time and pairs; zero when no two accounts waited together.
    pub mean: f64,
    /// Seconds that pairs were backlogged together, summed over pairs: how much `mean` rests on.
    pub compared_pair_s: f64,
    /// Times that an account became backlogged and was not compared, for want of a slot.
    pub uncompared: u64,
}

#[derive(Clone, Copy, Debug)]
struct Book {
    work: Work,
    weight: f64,
    /// Where its service is compared while it is backlogged; else [`NONE`] or [`UNCOMPARED`].
    slot: u32,
}

/// One backlogged account.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Weighted service since it became backlogged, up to the last instant settled.
    settled: f64,
    /// The same with what was told since.
    told: f64,
    /// Place in the list of slots that were served since; [`NONE`] when not in it.
    served_rank: u32,
    /// Place in the order of slots; below `active_count` while in use.
    place: u32,
}

/// Service of accounts, and its difference between those that are backlogged together.
#[derive(Debug)]
pub struct ServiceDifference {
    books: Box<[Book]>,
    costs: TokenCosts,
    slots: Box<[Slot]>,
    /// Slots in use first, then the vacant ones.
    order: Box<[u32]>,
    active_count: u32,
    /// Slots served since the last instant settled.
    served: Box<[u32]>,
    served_count: u32,
    /// `settled_i - settled_j` at the time the later of the two became backlogged.
    base: Box<[f64]>,
    /// Sum of the differences of all pairs in use, as settled.
    sum: f64,
    max: f64,
    difference_s: f64,
    pair_s: f64,
    uncompared: u64,
    now: Nanos,
}

impl ServiceDifference {
    /// Books for `accounts_max` accounts of weight 1, of which `backlogged_max` can be compared
    /// at once.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] naming the capacity or the cost that is outside
    /// its range.
    pub fn new(accounts_max: u32, backlogged_max: u32, costs: TokenCosts) -> Result<Self, Error> {
        check_range("accounts_max", u64::from(accounts_max), 1, u64::from(ACCOUNTS_MAX))?;
        check_range("backlogged_max", u64::from(backlogged_max), 1, u64::from(BACKLOGGED_MAX))?;
        let costs = costs.checked()?;
        let book = Book { work: Work::default(), weight: 1.0, slot: NONE };
        let slots: Vec<Slot> = (0..backlogged_max)
            .map(|place| Slot { settled: 0.0, told: 0.0, served_rank: NONE, place })
            .collect();
        let order: Vec<u32> = (0..backlogged_max).collect();
        let count = backlogged_max as usize;
        Ok(Self {
            books: vec![book; accounts_max as usize].into_boxed_slice(),
            costs,
            slots: slots.into_boxed_slice(),
            order: order.into_boxed_slice(),
            active_count: 0,
            served: vec![0; count].into_boxed_slice(),
            served_count: 0,
            base: vec![0.0; count * count].into_boxed_slice(),
            sum: 0.0,
            max: 0.0,
            difference_s: 0.0,
            pair_s: 0.0,
            uncompared: 0,
            now: Nanos::ZERO,
        })
    }

    /// Bytes that such books take from the heap.
    #[must_use]
    pub const fn bytes_needed(accounts_max: u32, backlogged_max: u32) -> u64 {
        let slot = size_of::<Slot>() + 2 * size_of::<u32>();
        let pairs = backlogged_max as u64 * backlogged_max as u64;
        let single =
            accounts_max as u64 * size_of::<Book>() as u64 + backlogged_max as u64 * slot as u64;
        pairs.saturating_mul(size_of::<f64>() as u64).saturating_add(single)
    }

    /// The share that `account` deserves, from the next service on; 1 until it is set.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] unless the account is one of these books and the
    /// weight in `1e-6..=1e6`.
    pub fn set_weight(&mut self, account: u32, weight: f64) -> Result<(), Error> {
        let weight = check_real("weight", weight, WEIGHT_MIN, WEIGHT_MAX)?;
        self.book_mut(account)?.weight = weight;
        Ok(())
    }

    /// What tokens count as service, from the next service on.
    ///
    /// # Errors
    /// [`Error::RangeReal`] unless each cost is in `0..=1e6`.
    pub fn set_costs(&mut self, costs: TokenCosts) -> Result<(), Error> {
        self.costs = costs.checked()?;
        Ok(())
    }

    /// `account` was served `work`, all of it by `now`.
    ///
    /// # Errors
    /// [`Error::TimeReversed`], or [`Error::Range`] for an account outside these books.
    pub fn served(&mut self, now: Nanos, account: u32, work: Work) -> Result<(), Error> {
        self.check_account(account)?;
        self.tick(now)?;
        let service = self.costs.service(work);
        let book = self.book_mut(account)?;
        book.work.add(work);
        let (slot, weighted) = (book.slot, service / book.weight);
        let served_count = self.served_count;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            state.told += weighted;
            if state.served_rank == NONE {
                state.served_rank = served_count;
                self.served_count += 1;
                if let Some(entry) = self.served.get_mut(served_count as usize) {
                    *entry = slot;
                }
            }
        }
        Ok(())
    }

    /// `account` has requests waiting from `now` on, or has none any more. Saying so twice does
    /// no harm.
    ///
    /// # Errors
    /// [`Error::TimeReversed`], or [`Error::Range`] for an account outside these books.
    pub fn set_backlogged(
        &mut self,
        now: Nanos,
        account: u32,
        backlogged: bool,
    ) -> Result<(), Error> {
        self.check_account(account)?;
        self.tick(now)?;
        let slot = self.book_mut(account)?.slot;
        if backlogged && slot == NONE {
            self.settle();
            self.book_mut(account)?.slot = self.enter();
        } else if !backlogged && slot != NONE {
            self.settle();
            self.leave(slot);
            self.book_mut(account)?.slot = NONE;
        }
        Ok(())
    }

    /// The differences up to `now`.
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn difference(&mut self, now: Nanos) -> Result<Difference, Error> {
        self.tick(now)?;
        self.settle();
        let mean = if self.pair_s > 0.0 { self.difference_s / self.pair_s } else { 0.0 };
        let (max, uncompared) = (self.max, self.uncompared);
        Ok(Difference { max, mean, compared_pair_s: self.pair_s, uncompared })
    }

    /// What `account` was served in all; `None` outside these books.
    #[must_use]
    pub fn work(&self, account: u32) -> Option<Work> {
        Some(self.books.get(account as usize)?.work)
    }

    /// Service of `account` over its present weight; `None` outside these books.
    #[must_use]
    pub fn weighted_service(&self, account: u32) -> Option<f64> {
        let book = self.books.get(account as usize)?;
        Some(self.costs.service(book.work) / book.weight)
    }

    /// Accounts that the books are open for.
    #[must_use]
    pub const fn accounts_max(&self) -> u32 {
        self.books.len() as u32
    }

    /// The latest time told.
    #[must_use]
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// Adds what `other` measured. Who is backlogged here, and since when, stays as it is.
    ///
    /// # Errors
    /// [`Error::Contradiction`] when the two are open for different numbers of accounts.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        super::check_same(
            "merged accounts_max",
            u64::from(other.accounts_max()),
            "accounts_max",
            u64::from(self.accounts_max()),
        )?;
        for (mine, theirs) in self.books.iter_mut().zip(&other.books) {
            mine.work.add(theirs.work);
        }
        self.max = self.max.max(other.max);
        self.difference_s += other.difference_s;
        self.pair_s += other.pair_s;
        self.uncompared = self.uncompared.saturating_add(other.uncompared);
        Ok(())
    }

    /// Forgets what `account` was served, so that its place can be given to another.
    ///
    /// # Errors
    /// [`Error::TimeReversed`], or [`Error::Range`] for an account outside these books.
    pub fn forget(&mut self, now: Nanos, account: u32) -> Result<(), Error> {
        self.set_backlogged(now, account, false)?;
        let book = self.book_mut(account)?;
        (book.work, book.weight) = (Work::default(), 1.0);
        Ok(())
    }

    fn check_account(&self, account: u32) -> Result<(), Error> {
        check_range("account", u64::from(account), 0, u64::from(self.accounts_max()) - 1)?;
        Ok(())
    }

    fn book_mut(&mut self, account: u32) -> Result<&mut Book, Error> {
        let max = u64::from(self.accounts_max()) - 1;
        let outside = Error::Range { field: "account", value: u64::from(account), min: 0, max };
        self.books.get_mut(account as usize).ok_or(outside)
    }

    /// Lets time pass: what was told at the last instant takes effect and holds until `now`.
    fn tick(&mut self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        if now > self.now {
            self.settle();
            let elapsed_s = now.saturating_sub(self.now).as_seconds();
            let count = f64::from(self.active_count);
            self.difference_s += self.sum * elapsed_s;
            self.pair_s += count * (count - 1.0) / 2.0 * elapsed_s;
            self.now = now;
        }
        Ok(())
    }

    /// Applies what was told since the last time, to all accounts at once.
    fn settle(&mut self) {
        if self.served_count == 0 {
            return;
        }
        let width = self.slots.len();
        let (mut sum, mut max) = (self.sum, self.max);
        for slot in self.served.iter().take(self.served_count as usize) {
            let Some(state) = self.slots.get(*slot as usize) else { continue };
            let row = self.base.get(*slot as usize * width..).unwrap_or_default();
            for other in self.order.iter().take(self.active_count as usize) {
                let (Some(peer), Some(base)) =
                    (self.slots.get(*other as usize), row.get(*other as usize))
                else {
                    continue;
                };
                // A pair served together is counted once, from the side that comes first.
                if other == slot || peer.served_rank < state.served_rank {
                    continue;
                }
                let after = (state.told - peer.told - base).abs();
                sum += after - (state.settled - peer.settled - base).abs();
                if after > max {
                    max = after;
                }
            }
        }
        (self.sum, self.max) = (sum.max(0.0), max);
        for slot in self.served.iter().take(self.served_count as usize) {
            if let Some(state) = self.slots.get_mut(*slot as usize) {
                state.settled = state.told;
                state.served_rank = NONE;
            }
        }
        self.served_count = 0;
    }

    /// Takes a slot for an account that became backlogged; all is settled.
    fn enter(&mut self) -> u32 {
        let Some(slot) = self.order.get(self.active_count as usize).copied() else {
            self.uncompared = self.uncompared.saturating_add(1);
            return UNCOMPARED;
        };
        let width = self.slots.len();
        for other in self.order.iter().take(self.active_count as usize) {
            let theirs = self.slots.get(*other as usize).map_or(0.0, |peer| peer.settled);
            let (row, column) = (slot as usize * width, *other as usize);
            if let Some(base) = self.base.get_mut(row + column) {
                *base = -theirs;
            }
            if let Some(base) = self.base.get_mut(column * width + slot as usize) {
                *base = theirs;
            }
        }
        if let Some(state) = self.slots.get_mut(slot as usize) {
            (state.settled, state.told) = (0.0, 0.0);
        }
        self.active_count += 1;
        slot
    }

    /// Vacates the slot of an account that is not backlogged any more; all is settled.
    fn leave(&mut self, slot: u32) {
        let width = self.slots.len();
        let Some(state) = self.slots.get(slot as usize).copied() else { return };
        let row = self.base.get(slot as usize * width..).unwrap_or_default();
        for other in self.order.iter().take(self.active_count as usize) {
            if let (Some(peer), Some(base)) =
                (self.slots.get(*other as usize), row.get(*other as usize))
                && *other != slot
            {
                self.sum -= (state.settled - peer.settled - base).abs();
            }
        }
        self.active_count = self.active_count.saturating_sub(1);
        let (place, last) = (state.place, self.active_count);
        // Both are places of slots in use, so they exist.
        self.order.swap(place as usize, last as usize);
        for place in [place, last] {
            let moved = self.order.get(place as usize).copied().unwrap_or(slot);
            if let Some(state) = self.slots.get_mut(moved as usize) {
                state.place = place;
            }
        }
        self.sum = if self.active_count < 2 { 0.0 } else { self.sum.max(0.0) };
    }
}

mod state;
#[cfg(test)]
mod tests;
