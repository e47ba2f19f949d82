//! A ledger as words: what it must know to go on as if nothing had happened.
//!
//! # Formula
//! ```text
//! accounts_max, lanes, the tree
//! each lane:   last_left of the root
//!              own, last_left, counter of each open account, by index
//!              waiting of each open account, by index
//!              sum of waiting
//! names, quotas, next tasks, protections, history, rates, exchange: each as its own file says,
//! and nothing of a part that is not there
//! ```
//! Who is active and where it stands in its heap follows from that. Heaps built anew have another
//! shape, which decides in what order [`Ledger::eligible`] answers, and nothing else.
//!
//! # Bounds and cost
//! Saving is O(accounts * (lanes + resources)), and each lane as often again as it has replicas to
//! hear; loading takes as much times log accounts. Neither allocates.

use super::Ledger;
use super::lane::Lane;
use super::tree::AccountTree;
use crate::error::{Error, check_range};
use crate::snapshot::Words;

impl Ledger {
    /// Tells its state, word by word.
    pub(crate) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.tree.capacity().into());
        save(self.lanes.len() as u64);
        self.tree.save_state(save);
        for lane in &self.lanes {
            save_lane(&self.tree, lane, save);
        }
        self.names.save_state(&self.tree, save);
        self.quotas.save_state(&self.tree, save);
        self.turns.save_state(&self.tree, &self.quotas, save);
        self.protections.save_state(&self.tree, save);
        self.history.save_state(&self.tree, save);
        self.rates.save_state(&self.tree, save);
        self.exchange.save_state(&self.tree, save);
    }

    /// Takes the state that [`Ledger::save_state`] told, with all ids, into a ledger without
    /// accounts. Words after the last that it needs are not asked for.
    ///
    /// # Errors
    /// [`Error::Range`] on `accounts` unless it has none, with nothing changed. For words that no
    /// ledger of these options saved: [`Error::BufferTooSmall`] when they end too early,
    /// [`Error::Range`], [`Error::RangeReal`] or [`Error::Contradiction`] for one that cannot be;
    /// the ledger is then as new.
    pub(crate) fn load_state(
        &mut self,
        load: &mut dyn FnMut() -> Option<u64>,
    ) -> Result<(), Error> {
        check_range("accounts", self.accounts_len().into(), 0, 0)?;
        let loaded = self.load_words(&mut Words::new(load));
        if loaded.is_err() {
            self.tree.clear();
            self.lanes.iter_mut().for_each(Lane::clear);
            self.names.clear();
            self.quotas.clear();
            self.turns.clear(&self.quotas);
            self.borrowing.clear();
            self.protections.clear();
            self.history.clear();
            self.rates.clear();
            self.exchange.clear();
        }
        loaded
    }

    fn load_words(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let (accounts_max, lanes) = (self.tree.capacity(), self.lanes.len() as u32);
        words.next_within("accounts_max", accounts_max, accounts_max)?;
        words.next_within("lanes", lanes, lanes)?;
        self.tree.load_state(words)?;
        self.lanes.iter_mut().try_for_each(|lane| load_lane(&self.tree, lane, words))?;
        self.names.load_state(&self.tree, words)?;
        self.quotas.load_state(&self.tree, words)?;
        self.turns.load_state(&self.tree, &self.quotas, words)?;
        self.borrowing.rebuild(&self.tree, &self.quotas);
        self.protections.load_state(&self.tree, words)?;
        self.history.load_state(&self.tree, words)?;
        self.rates.load_state(&self.tree, words)?;
        self.exchange.load_state(&self.tree, words)
    }
}

fn save_lane(tree: &AccountTree, lane: &Lane, save: &mut dyn FnMut(u64)) {
    save(lane.seat(tree.root()).last_left.to_bits());
    for index in tree.indices() {
        let seat = lane.seat(index);
        for amount in [seat.own, seat.last_left, lane.counter(index)] {
            save(amount.to_bits());
        }
    }
    let mut sum = 0;
    for index in tree.indices() {
        let waiting = u64::from(lane.seat(index).waiting);
        save(waiting);
        sum += waiting;
    }
    save(sum);
}

fn load_lane(tree: &AccountTree, lane: &mut Lane, words: &mut Words<'_>) -> Result<(), Error> {
    lane.clear();
    lane.restore(tree.root(), 0.0, words.next_amount("last_left")?);
    for index in tree.indices() {
        lane.restore(index, words.next_amount("own")?, words.next_amount("last_left")?);
        lane.restore_counter(index, words.next_amount("counter")?);
    }
    // All counters first: who waits takes those above along into the heaps.
    let mut sum = 0;
    for index in tree.indices() {
        let waiting = words.next_within("waiting", 0, u32::MAX)?;
        lane.arrive_again(tree, index, waiting);
        sum += u64::from(waiting);
    }
    let (field, other, other_value) = ("sum of waiting", "waiting", sum);
    match words.next()? {
        value if value == sum => Ok(()),
        value => Err(Error::Contradiction { field, value, other, other_value }),
    }
}
