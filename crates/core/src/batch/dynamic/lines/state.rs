//! Lines as words: accounts, and who is owed what. Who stands where follows from the requests:
//! queues built anew have another shape, but the same order.

use alloc::vec;

use super::Lines;
use crate::batch::dynamic::request::{Request, Stage};
use crate::error::Error;
use crate::handle::Slab;
use crate::snapshot::{Words, ensure};

impl Lines {
    pub(in super::super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            ledger,
            order: _,
            due: _,
            age: _,
            life: _,
            roots: _,
            due_roots: _,
            age_roots: _,
            late_roots: _,
            life_root: _,
            accounts_max: _,
            classes_len,
            buckets_len: _,
            waiting: _,
            late: _,
            late_of: _,
            owed,
            late_owed,
            ratios: _,
            late_ratio: _,
            credit_s: _,
        } = self;
        ledger.save_state(save);
        owed[..*classes_len].iter().for_each(|seats| save(seats.to_bits()));
        save(late_owed.to_bits());
    }

    /// Takes everything but who waits into lines without accounts. Nobody is owed more than
    /// `size_max` seats.
    pub(in super::super) fn load_state(
        &mut self,
        size_max: u32,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.ledger.load_state(words.source())?;
        for seats in &mut self.owed[..self.classes_len] {
            *seats = words.next_real("owed", 0.0, size_max.into())?;
        }
        self.late_owed = words.next_real("late_owed", 0.0, size_max.into())?;
        Ok(())
    }

    /// Whoever waits stands where it stood; class, bucket and account of each were checked. The
    /// ledger knows of them already: of these, and of nobody else.
    pub(in super::super) fn find(&mut self, requests: &Slab<Request>) -> Result<(), Error> {
        let mut in_line = vec![0_u32; self.roots.len()];
        for (id, request) in requests.iter().filter(|(_, request)| !request.is_launched()) {
            let slot = id.index();
            if request.stage == Stage::Late {
                self.stand_late(request, slot);
                self.live(request, slot);
            } else {
                self.stand(request, slot);
                in_line[self.place(request)] += 1;
            }
        }
        for (place, count) in (0_u32..).zip(in_line) {
            let (lane, index) = (place / self.accounts_max, place % self.accounts_max);
            if let Some(account) = self.ledger.tree().account_at(index) {
                ensure(self.ledger.waiting(lane, account)? == count)?;
            }
        }
        Ok(())
    }
}
