//! Lines as words: who is owed what. Who stands where follows from the requests and their keys:
//! queues built anew have another shape, but the same order.

use super::{Key, Lines, NONE, Obstacle, Request, Stage};
use crate::error::Error;
use crate::handle::Slab;
use crate::snapshot::{Words, ensure};

impl Lines {
    pub(in super::super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            ledger,
            adapters,
            groups,
            forest: _,
            roots,
            accounts_max,
            classes_len,
            preempted: _,
            waiting: _,
            late: _,
            debts,
            aside: _,
            aside_late: _,
            credit: _,
            rules: _,
        } = self;
        ledger.save_state(save);
        debts.save_state(*classes_len, save);
        for (place, roots) in (0..).zip(roots) {
            if ledger.tree().account_at(place % accounts_max).is_some() {
                save(roots.late_owed.to_bits());
            }
        }
        adapters.save_state(save);
        groups.save_state(save);
    }

    /// Takes everything but who waits. The policy's accounts are opened by what was saved.
    pub(in super::super) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        requests: &Slab<Request>,
    ) -> Result<(), Error> {
        self.ledger.load_state(words.source())?;
        self.debts.load_state(self.classes_len, words)?;
        for (place, roots) in (0..).zip(&mut self.roots) {
            if self.ledger.tree().account_at(place % self.accounts_max).is_some() {
                roots.late_owed = words.next_real("late_owed", -f64::MAX, f64::MAX)?;
            }
        }
        self.adapters.load_state(words)?;
        self.groups.load_state(words, requests)
    }

    /// When the request in this slot, which waits, comes by the key of its queue.
    pub(in super::super) fn standing(&self, slot: u32) -> u64 {
        self.forest.key(slot).at_ns
    }

    /// A restored request stands where it stood; the ledger knows of it already.
    pub(in super::super) fn find(
        &mut self,
        request: &Request,
        slot: u32,
        at_ns: u64,
    ) -> Result<(), Error> {
        let key = Key { at_ns, sequence: request.sequence };
        let class = usize::from(request.class);
        self.adapters.arrive(request.adapter);
        if request.obstacle.lets_pass() {
            ensure(Self::knows_aside(request))?;
            let root = if request.obstacle == Obstacle::Adapter {
                self.adapters.aside(request.adapter)
            } else {
                self.groups.aside(request.group)
            };
            self.forest.insert(root, slot, key);
            self.aside[class] += 1;
            self.aside_late += u32::from(request.stage == Stage::Late);
            return Ok(());
        }
        self.waiting[class] += 1;
        self.late[class] += u32::from(request.stage == Stage::Late);
        let place = self.place(request.class, request.account);
        let roots = &mut self.roots[place];
        let root = match request.stage {
            Stage::Preempted => &mut self.preempted[class],
            Stage::Late => &mut roots.late,
            _ => &mut roots.in_time,
        };
        self.forest.insert(root, slot, key);
        Ok(())
    }

    /// What it stands aside for exists.
    const fn knows_aside(request: &Request) -> bool {
        match request.obstacle {
            Obstacle::Adapter => request.adapter != 0,
            _ => request.group != NONE,
        }
    }

    /// The ledger counts in each queue who stands there, and nobody else: `in_line` are those who
    /// stand in the queues of accounts, by class and account.
    pub(in super::super) fn check_in_line(&self, in_line: &[u32]) -> Result<(), Error> {
        for (place, count) in (0_u32..).zip(in_line) {
            let (class, index) = (place / self.accounts_max, place % self.accounts_max);
            if let Some(account) = self.ledger.tree().account_at(index) {
                ensure(self.ledger.waiting(class, account)? == *count)?;
            }
        }
        Ok(())
    }
}
