//! What was exchanged, as words.
//!
//! # Formula
//! ```text
//! replicas_max; whether it knows its number, the number, the incarnation; place of the next delta
//! each lane:     largest service of closed accounts
//! each replica:  whether it was heard of, its incarnation
//! each open account, by index:  key (0: none);  began, told, served, received of each lane
//!                each replica:  heard of each lane (-1: nothing)
//! ```
//! A ledger that exchanges with nobody has none of these words.

use super::{DeltaSource, Exchange, SERVICE_MAX, Service, UNHEARD};
use crate::error::{Error, check_range, check_real};
use crate::share::AccountTree;
use crate::snapshot::Words;

impl Exchange {
    /// Makes it as it was when new.
    pub(in crate::share) fn clear(&mut self) {
        self.source = None;
        self.keys.clear();
        self.services.fill(Service::default());
        self.closed.fill(0.0);
        self.next = 0;
        self.incarnations.fill(None);
        self.heard.fill(UNHEARD);
    }

    /// Tells what it knows about the open accounts.
    pub(in crate::share) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        if self.replicas_max == 0 {
            return;
        }
        save(self.replicas_max.into());
        let source = self.source.unwrap_or_default();
        save(self.source.is_some().into());
        save(source.replica);
        save(source.incarnation);
        save(self.next as u64);
        self.closed.iter().for_each(|closed| save(closed.to_bits()));
        for incarnation in &self.incarnations {
            save(incarnation.is_some().into());
            save(incarnation.unwrap_or_default());
        }
        for index in tree.indices() {
            save(self.keys.key(index).unwrap_or_default());
            let places = self.places_of(index);
            for service in self.services.get(places.clone()).unwrap_or_default() {
                let Service { began, told, served, received } = *service;
                for amount in [began, told, served, received] {
                    save(amount.to_bits());
                }
            }
            for row in self.heard.chunks_exact(self.services.len().max(1)) {
                let heard = row.get(places.clone()).unwrap_or_default();
                for heard in heard {
                    save(heard.to_bits());
                }
            }
        }
    }

    /// Takes what [`Self::save_state`] told. After an error it must be cleared.
    pub(in crate::share) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        if self.replicas_max == 0 {
            return Ok(());
        }
        self.clear();
        words.next_within("replicas_max", self.replicas_max, self.replicas_max)?;
        let is_known = words.next_flag("replica is known")?;
        let replica = words.next_within("replica", 0, self.replicas_max)?.into();
        let source = DeltaSource { replica, incarnation: words.next()? };
        self.source = is_known.then_some(source);
        self.next = check_range("next", words.next()?, 0, self.services.len() as u64)? as usize;
        for closed in &mut self.closed {
            *closed = words.next_real("closed", 0.0, SERVICE_MAX)?;
        }
        for known in &mut self.incarnations {
            let is_heard = words.next_flag("replica was heard")?;
            let incarnation = words.next()?;
            *known = is_heard.then_some(incarnation);
        }
        tree.indices().try_for_each(|index| self.load_account(index, words))?;
        self.keys.settle()
    }

    fn load_account(&mut self, index: u32, words: &mut Words<'_>) -> Result<(), Error> {
        match words.next()? {
            0 => {}
            key => self.keys.append(index, key),
        }
        let (places, length) = (self.places_of(index), self.services.len().max(1));
        for service in self.services.get_mut(places.clone()).unwrap_or_default() {
            let began = words.next_real("began", 0.0, SERVICE_MAX)?;
            let told = words.next_real("told", began, SERVICE_MAX)?;
            let served = words.next_real("served", told, SERVICE_MAX)?;
            *service = Service { began, told, served, received: words.next_amount("received")? };
        }
        for row in self.heard.chunks_exact_mut(length) {
            for heard in row.get_mut(places.clone()).unwrap_or_default() {
                *heard = f64::from_bits(words.next()?);
                if *heard != UNHEARD {
                    check_real("heard", *heard, 0.0, SERVICE_MAX)?;
                }
            }
        }
        Ok(())
    }

    /// Places of an account, one for each lane.
    fn places_of(&self, index: u32) -> core::ops::Range<usize> {
        let start = self.place(0, index);
        start..start + self.lanes()
    }
}
