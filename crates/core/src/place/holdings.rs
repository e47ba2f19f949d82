//! What the tasks of each account hold, and how much of that its ledger has been told.
//!
//! # What it decides
//! Nothing. Whatever starts or ends a task, by [`Placer::place`], by a cycle, by
//! [`Placer::release`] or because a node was lost, changes what its account holds here. The ledger
//! is told the difference when it is next at hand: at the beginning of every
//! [`Placer::cycle`], or by [`Placer::settle`]. So no end can be forgotten.
//!
//! # Bounds and cost
//! O(1) for each change, O(accounts) to settle and O(depth) for each account that changed. Memory:
//! 96 bytes an account.

use alloc::boxed::Box;
use alloc::vec;

use super::{Entry, Placer, Task};
use crate::error::{Error, check_range};
use crate::handle::Slab;
use crate::policy::PendingOrder;
use crate::share::{AccountId, Amounts, Ledger};
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// What a placer tells a ledger about, in this order. A ledger with fewer resources is told about
/// the first ones.
pub const RESOURCES: [&str; 3] = ["gpu_milli", "cpu_milli", "memory_mib"];

type Held = [u64; RESOURCES.len()];

/// An account, as far as tasks go.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    account: AccountId,
    /// Tasks that are known, pending ones included.
    tasks: u32,
    held: Held,
    /// Of it the ledger knows of this.
    told: Held,
    /// GPU-seconds held and not yet recorded as usage, up to `since`.
    used_gpu_s: f64,
    since: Nanos,
    /// The pass in which others were last asked to end for it.
    asked: u64,
}

/// All accounts, by index.
#[derive(Debug)]
pub(super) struct Holdings {
    seats: Box<[Seat]>,
}

/// What so many members of a task hold.
pub(super) const fn held_by(task: &Task, members: u32) -> Held {
    let member = &task.member;
    [
        member.gpu_milli() as u64 * members as u64,
        member.cpu_milli as u64 * members as u64,
        member.memory_mib as u64 * members as u64,
    ]
}

/// The same as amounts of a ledger with so many resources.
pub(super) fn amounts_of(held: &Held, resources: u32) -> Amounts {
    let mut amounts = Amounts::ZERO;
    let known = amounts.0.iter_mut().zip(held).take(resources as usize);
    known.for_each(|(amount, held)| *amount = *held);
    amounts
}

impl Holdings {
    pub(super) fn new(accounts_max: u32) -> Self {
        Self { seats: vec![Seat::default(); accounts_max as usize].into_boxed_slice() }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        accounts_max as u64 * size_of::<Seat>() as u64
    }

    /// Whether a task of this account may come. That of nobody always may: it is not counted.
    pub(super) fn check(&self, account: AccountId) -> Result<(), Error> {
        let index = u64::from(account.index());
        check_range("account", index, 0, self.seats.len() as u64 - 1)?;
        let seat = &self.seats[account.index() as usize];
        if is_somebody(account) && seat.tasks > 0 && seat.account != account {
            return Err(Error::Stale { field: "account", handle: account.to_raw() });
        }
        Ok(())
    }

    /// A task of an account that was checked has come.
    pub(super) fn join(&mut self, account: AccountId) {
        if let Some(seat) = self.seat_mut(account) {
            if seat.account != account {
                *seat = Seat { account, ..Seat::default() };
            }
            seat.tasks += 1;
        }
    }

    /// A task that holds nothing has gone.
    pub(super) fn leave(&mut self, account: AccountId) {
        if let Some(seat) = self.seat_mut(account) {
            seat.tasks = seat.tasks.saturating_sub(1);
        }
    }

    /// So many members of a task have started.
    pub(super) fn hold(&mut self, now: Nanos, task: &Task, members: u32) {
        self.change(now, task, members, u64::saturating_add);
    }

    /// So many members of a task have ended.
    pub(super) fn give(&mut self, now: Nanos, task: &Task, members: u32) {
        self.change(now, task, members, u64::saturating_sub);
    }

    /// Whether nobody was asked in this pass to end for this account.
    pub(super) fn may_ask(&self, account: AccountId, cycle: u64) -> bool {
        let seat = self.seats.get(account.index() as usize);
        is_somebody(account) && seat.is_some_and(|seat| seat.asked != cycle)
    }

    /// Others are asked in this pass to end for this account.
    pub(super) fn ask(&mut self, account: AccountId, cycle: u64) {
        if let Some(seat) = self.seat_mut(account) {
            seat.asked = cycle;
        }
    }

    fn change(&mut self, now: Nanos, task: &Task, members: u32, by: fn(u64, u64) -> u64) {
        let Some(seat) = self.seat_mut(task.account) else { return };
        seat.use_until(now);
        for (held, amount) in seat.held.iter_mut().zip(held_by(task, members)) {
            *held = by(*held, amount);
        }
    }

    fn seat_mut(&mut self, account: AccountId) -> Option<&mut Seat> {
        let seat = self.seats.get_mut(account.index() as usize);
        seat.filter(|_| is_somebody(account))
    }

    /// The account with this index, if it has tasks and the ledger still knows it.
    pub(super) fn account(&self, ledger: &Ledger, index: u32) -> Option<AccountId> {
        let seat = self.seats.get(index as usize)?;
        let known = ledger.tree().account_at(index) == Some(seat.account);
        (known && seat.tasks > 0).then_some(seat.account)
    }
}

impl Seat {
    /// Counts what was held until now.
    fn use_until(&mut self, now: Nanos) {
        let seconds = now.saturating_sub(self.since).as_seconds();
        self.used_gpu_s += self.held[0] as f64 / 1_000.0 * seconds;
        self.since = now;
    }

    /// Tells the ledger what it does not know yet.
    fn tell(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        if self.held == self.told {
            return Ok(());
        }
        let (mut more, mut less) = ([0; RESOURCES.len()], [0; RESOURCES.len()]);
        for resource in 0..RESOURCES.len() {
            more[resource] = self.held[resource].saturating_sub(self.told[resource]);
            less[resource] = self.told[resource].saturating_sub(self.held[resource]);
        }
        let resources = ledger.resources();
        ledger.release(self.account, &amounts_of(&less, resources))?;
        for (told, less) in self.told.iter_mut().zip(less) {
            *told -= less;
        }
        ledger.allocate(self.account, &amounts_of(&more, resources))?;
        self.told = self.held;
        Ok(())
    }
}

/// Whether a task belongs to an account of some ledger.
fn is_somebody(account: AccountId) -> bool {
    account != AccountId::default()
}

impl Placer {
    /// Tells the ledger what started and ended since it was last told; every cycle begins with
    /// this. Of a ledger without resources nothing is told. Where the order is that of past usage,
    /// GPU-seconds are recorded, too. O(accounts).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] if the ledger holds less for an account than it
    /// was told, or would hold too much; what is told about other accounts by then stays told.
    pub fn settle(&mut self, now: Nanos, ledger: &mut Ledger) -> Result<(), Error> {
        self.check_now(now)?;
        self.now = now;
        let records_usage = self.rules.order == PendingOrder::FairTree;
        for seat in &mut self.holdings.seats {
            if ledger.tree().account_at(seat.account.index()) != Some(seat.account) {
                continue;
            }
            if records_usage {
                seat.use_until(now);
                if seat.used_gpu_s > 0.0 {
                    ledger.record_usage(now, seat.account, seat.used_gpu_s)?;
                    seat.used_gpu_s = 0.0;
                }
            }
            seat.tell(ledger)?;
        }
        Ok(())
    }

    /// Tells the ledger about one account.
    pub(super) fn tell(&mut self, ledger: &mut Ledger, account: AccountId) -> Result<(), Error> {
        match self.holdings.seat_mut(account) {
            Some(seat) => seat.tell(ledger),
            None => Ok(()),
        }
    }
}

/// As words: 1 for a place that nobody has taken yet, else 7.
impl Holdings {
    /// Tells what does not follow from the tasks.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        for seat in &self.seats {
            let Seat { account, tasks: _, held: _, told, used_gpu_s, since, asked } = *seat;
            save(account.to_raw());
            if is_somebody(account) {
                told.into_iter().for_each(&mut *save);
                [used_gpu_s.to_bits(), since.get(), asked].into_iter().for_each(&mut *save);
            }
        }
    }

    /// Takes what was told, and counts what the tasks hold.
    pub(super) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        tasks: &Slab<Entry>,
        now: Nanos,
        cycles: u64,
    ) -> Result<(), Error> {
        for (seat, index) in self.seats.iter_mut().zip(0..) {
            seat.account = AccountId::from_raw(words.next()?);
            if is_somebody(seat.account) {
                ensure(seat.account.index() == index)?;
                for told in &mut seat.told {
                    *told = words.next()?;
                }
                seat.used_gpu_s = words.next_amount("used_gpu_s")?;
                seat.since = Nanos(words.next()?);
                seat.asked = words.next()?;
                ensure(seat.since <= now && seat.asked <= cycles)?;
            }
        }
        for (_, Entry { task, members_len, .. }) in tasks.iter() {
            ensure((task.account.index() as usize) < self.seats.len())?;
            let Some(seat) = self.seat_mut(task.account) else { continue };
            ensure(seat.account == task.account)?;
            seat.tasks += 1;
            for (held, amount) in seat.held.iter_mut().zip(held_by(task, *members_len)) {
                *held += amount;
            }
        }
        Ok(())
    }
}
