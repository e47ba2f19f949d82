//! Whose request goes when not all can wait?
//!
//! # What it decides
//! Each account's *usage* is the work that it was let in with, over its weight, fading with time.
//! When somebody comes for whom there is no room, the account that is furthest over its share of a
//! class (of usage, level by level down the account tree) gives up its newest request that waits,
//! if it is clearly further than the newcomer would be. When a server is free, the account with
//! least of its share goes first in the same way, so that a place is worth something behind a
//! flood.
//!
//! # Formula
//! ```text
//! usage u(t)  = sum over what was let in of work * e^(-(t - then) / memory)
//! displace if  1.1 * (u_newcomer + its work) / weight_newcomer < u_victim / weight_victim
//! ```
//! of the two accounts side by side where their ways from the root part. What expires, leaves or is
//! displaced before it starts is given back.
//!
//! What an account has of its share is compared by logarithms, which are taken only of accounts that
//! hold something: [`usage`](super::usage) says how usages are kept.
//!
//! # Bounds and cost
//! O(levels * log accounts) a request. An account that floods gets its weight's part of what
//! starts, and a tenth of it more; one that stays within its share is displaced by nobody. Who
//! returns after a pause has its share of one memory in hand, and no more.
//!
//! # What it is bad at
//! Where nobody can wait (targets shorter than the time between two ends) there is nobody to
//! displace, and servers go to whoever comes first.
//!
//! # Source
//! Max-min fairness by displacement of the longest queue: Suter, Lakshman, Stiliadis and Choudhury,
//! "Design considerations for supporting TCP with per-flow queueing", INFOCOM'98, with faded
//! service instead of queue length, as Sheng et al., "Fairness in serving large language models",
//! OSDI'24, count it.

use alloc::boxed::Box;
use alloc::vec;

use super::request::Request;
use super::usage::{Growth, Usage};
use crate::error::Error;
use crate::handle::Slab;
use crate::heap::{Forest, NONE};
use crate::share::{AccountId, DEPTH_MAX, Ledger};
use crate::snapshot::Words;

/// How much further over its share a victim must be, as a logarithm: a tenth. With none, two equal
/// floods displace each other all the time.
const CLEARLY: f64 = 0.095_310_179_804_324_87;

/// Requests of one account that may give way to one newcomer.
const VICTIMS_MAX: u32 = 8;

/// Accounts from one up to the first level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    accounts: [u32; DEPTH_MAX as usize],
    len: usize,
}

impl Path {
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub(super) fn of(ledger: &Ledger, account: AccountId) -> Result<Self, Error> {
        let mut path = Self { accounts: [NONE; DEPTH_MAX as usize], len: 0 };
        let mut next = Some(account);
        for place in &mut path.accounts {
            let Some(account) = next else { break };
            next = ledger.parent(account)?;
            *place = account.index();
            path.len += 1;
        }
        Ok(path)
    }

    /// Each account, and the account above or `root`.
    fn steps(&self, root: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..self.len).map(move |place| {
            let above = if place + 1 < self.len { self.accounts[place + 1] } else { root };
            (self.accounts[place], above)
        })
    }
}

/// Order among siblings: by what they have of their share, then by index.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    order: u64,
    index: u32,
}

impl Key {
    /// The least usage first.
    fn least(level: f64, index: u32) -> Self {
        let bits = level.to_bits();
        // Turns the order of `f64` into that of integers.
        let order = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        Self { order, index }
    }

    /// The largest usage first.
    fn furthest(level: f64, index: u32) -> Self {
        let Self { order, index } = Self::least(level, index);
        Self { order: !order, index }
    }
}

/// What an account has in one class.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Its usage and that of all below.
    usage: Usage,
    /// Logarithm of its weight.
    log_weight: f64,
    /// Requests that wait, with those below.
    held: u32,
    /// Of its own.
    own: u32,
    newest: u32,
    oldest: u32,
    /// Roots of the heaps of those directly below that hold something, by the order of [`Key`].
    furthest: u32,
    least: u32,
}

impl Seat {
    /// Its usage over its weight, as a logarithm.
    fn of_share(&self) -> f64 {
        self.usage.level() - self.log_weight
    }

    const EMPTY: Self = Self {
        usage: Usage::NONE,
        log_weight: 0.0,
        held: 0,
        own: 0,
        newest: NONE,
        oldest: NONE,
        furthest: NONE,
        least: NONE,
    };
}

/// Usage of all accounts in one class, and who holds what.
#[derive(Debug)]
pub(super) struct Fairness {
    /// By account, the root last.
    seats: Box<[Seat]>,
    furthest: Forest<Key>,
    least: Forest<Key>,
}

impl Fairness {
    pub(super) fn new(accounts_max: u32) -> Self {
        let seats = vec![Seat::EMPTY; accounts_max as usize + 1].into_boxed_slice();
        Self { seats, furthest: Forest::new(accounts_max), least: Forest::new(accounts_max) }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        (accounts_max as u64 + 1) * size_of::<Seat>() as u64
            + 2 * Forest::<Key>::bytes_needed(accounts_max)
    }

    const fn root(&self) -> u32 {
        self.seats.len() as u32 - 1
    }

    /// An account is new, or another one than the one that was closed: it holds and has nothing.
    pub(super) fn open(&mut self, account: u32, weight: f64) {
        self.seats[account as usize] = Seat { log_weight: libm::log(weight), ..Seat::EMPTY };
    }

    /// Lets an account in with work.
    pub(super) fn charge(&mut self, path: &Path, growth: Growth, work: u32) {
        self.change(path, |usage| usage.plus(work, growth));
    }

    /// Gives back what was charged at that growth.
    pub(super) fn give_back(&mut self, path: &Path, growth: Growth, work: u32) {
        self.change(path, |usage| usage.minus(work, growth));
    }

    fn change(&mut self, path: &Path, change: impl Fn(Usage) -> Usage) {
        let root = self.root();
        for (index, above) in path.steps(root) {
            let seat = &mut self.seats[index as usize];
            seat.usage = change(seat.usage);
            if seat.held > 0 {
                self.leave(index, above);
                self.enter(index, above);
            }
        }
    }

    fn enter(&mut self, index: u32, above: u32) {
        let level = self.seats[index as usize].of_share();
        let seat = &mut self.seats[above as usize];
        self.furthest.insert(&mut seat.furthest, index, Key::furthest(level, index));
        self.least.insert(&mut seat.least, index, Key::least(level, index));
    }

    fn leave(&mut self, index: u32, above: u32) {
        let seat = &mut self.seats[above as usize];
        self.furthest.remove(&mut seat.furthest, index);
        self.least.remove(&mut seat.least, index);
    }

    /// A request of the account waits from now on.
    pub(super) fn hold(&mut self, path: &Path, requests: &mut Slab<Request>, request: u32) {
        let seat = &mut self.seats[path.accounts[0] as usize];
        let older = core::mem::replace(&mut seat.newest, request);
        seat.own += 1;
        match requests.at_mut(older) {
            Some(older) => older.newer = request,
            None => seat.oldest = request,
        }
        if let Some(request) = requests.at_mut(request) {
            (request.older, request.newer) = (older, NONE);
        }
        let root = self.root();
        for (index, above) in path.steps(root) {
            self.seats[index as usize].held += 1;
            if self.seats[index as usize].held == 1 {
                self.enter(index, above);
            }
        }
    }

    /// A request of the account waits no more.
    pub(super) fn release(&mut self, path: &Path, requests: &mut Slab<Request>, request: u32) {
        let Some(Request { older, newer, .. }) = requests.at(request).copied() else { return };
        let seat = &mut self.seats[path.accounts[0] as usize];
        seat.own -= 1;
        match requests.at_mut(newer) {
            Some(newer) => newer.older = older,
            None => seat.newest = older,
        }
        match requests.at_mut(older) {
            Some(older) => older.newer = newer,
            None => seat.oldest = newer,
        }
        let root = self.root();
        for (index, above) in path.steps(root) {
            self.seats[index as usize].held -= 1;
            if self.seats[index as usize].held == 0 {
                self.leave(index, above);
            }
        }
    }

    /// The newest request of the account that must give way first if somebody has to; [`NONE`] if
    /// nobody waits.
    fn furthest(&self) -> u32 {
        self.descend(|seat| seat.furthest).map_or(NONE, |seat| seat.newest)
    }

    /// Down from the root, the first of each level, to an account with requests of its own.
    fn descend(&self, first: impl Fn(&Seat) -> u32) -> Option<&Seat> {
        let mut index = first(&self.seats[self.root() as usize]);
        for _ in 0..DEPTH_MAX {
            let seat = self.seats.get(index as usize)?;
            if seat.own > 0 {
                return Some(seat);
            }
            index = first(seat);
        }
        None
    }

    /// Who starts next where `head` waited longest: the oldest request of the account that has
    /// least of its share, if that of `head` has clearly more; else `head`.
    pub(super) fn first(&self, requests: &Slab<Request>, ledger: &Ledger, head: u32) -> u32 {
        let Some(least) = self.descend(|seat| seat.least) else { return head };
        let path = |index| Path::of(ledger, requests.at(index)?.account).ok();
        let (Some(one), Some(other)) = (path(least.oldest), path(head)) else { return head };
        let Some((own, its)) = Self::part(&one, &other) else { return head };
        let has = self.seat(&one, own).of_share() + CLEARLY;
        let passes = has < self.seat(&other, its).of_share();
        if passes { least.oldest } else { head }
    }

    /// The requests that give way so that `room` of work is free for a newcomer of `path` with
    /// `work` at that growth: the newest of all and how many, each the next older of the same account.
    /// `None` where none, or not enough, may be asked to.
    pub(super) fn victims(
        &self,
        requests: &Slab<Request>,
        ledger: &Ledger,
        path: &Path,
        (growth, work): (Growth, u32),
        room: impl FnOnce() -> f64,
    ) -> Option<(u32, u32)> {
        let newest = self.furthest();
        let victim = Path::of(ledger, requests.at(newest)?.account).ok()?;
        let (own, other) = Self::part(path, &victim)?;
        let (own, other) = (self.seat(path, own), self.seat(&victim, other));
        let newcomer = own.usage.plus(work, growth).level();
        let least = newcomer - own.log_weight + CLEARLY + other.log_weight;
        let mut usage = other.usage;
        if usage.level() <= least {
            return None;
        }
        let (mut index, mut freed, room) = (newest, 0.0, room());
        for count in 1..=VICTIMS_MAX {
            let request = requests.at(index)?;
            if usage.level() <= least {
                return None;
            }
            freed += f64::from(request.work);
            if freed >= room {
                return Some((newest, count));
            }
            usage = usage.minus(request.work, growth);
            index = request.older;
        }
        None
    }

    fn seat(&self, path: &Path, place: usize) -> &Seat {
        &self.seats[path.accounts[place] as usize]
    }

    /// Where two ways from the root part; `None` if one account is the other, or above it.
    fn part(one: &Path, other: &Path) -> Option<(usize, usize)> {
        (1..=one.len.min(other.len))
            .map(|depth| (one.len - depth, other.len - depth))
            .find(|(a, b)| one.accounts[*a] != other.accounts[*b])
    }

    /// Puts every account that holds something in order anew: weights have changed, or other units
    /// of time, in which usages are `anew(usage)`.
    pub(super) fn reorder(&mut self, ledger: &Ledger, anew: impl Fn(Usage) -> Usage) {
        let root = self.root();
        for seat in &mut self.seats {
            seat.usage = anew(seat.usage);
            (seat.furthest, seat.least) = (NONE, NONE);
        }
        self.weigh(ledger);
        for index in 0..root {
            if self.seats[index as usize].held == 0 {
                continue;
            }
            let Some(account) = ledger.tree().account_at(index) else { continue };
            let Ok(path) = Path::of(ledger, account) else { continue };
            let above = if path.len > 1 { path.accounts[1] } else { root };
            self.enter(index, above);
        }
    }

    /// Takes the weights of all accounts anew.
    fn weigh(&mut self, ledger: &Ledger) {
        for (index, seat) in (0..).zip(&mut self.seats) {
            let account = ledger.tree().account_at(index);
            if let Some(Ok(weight)) = account.map(|account| ledger.weight(account)) {
                seat.log_weight = libm::log(weight);
            }
        }
    }

    pub(super) fn save_state(&self, ledger: &Ledger, save: &mut dyn FnMut(u64)) {
        for index in 0..self.root() {
            if ledger.tree().account_at(index).is_some() {
                self.seats[index as usize].usage.save_state(save);
            }
        }
    }

    /// Usages only: who holds what follows from the requests.
    pub(super) fn load_state(
        &mut self,
        ledger: &Ledger,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.weigh(ledger);
        for index in 0..self.root() {
            if ledger.tree().account_at(index).is_some() {
                self.seats[index as usize].usage = Usage::load_state(words)?;
            }
        }
        Ok(())
    }
}
