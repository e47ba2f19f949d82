//! In what form does a gate outlive its process?
//!
//! # What it decides
//! Nothing: a gate that was saved and restored answers as it would have answered.
//!
//! # Format
//! What it was built from, then accounts, requests with their place in line, lines, usages, and how
//! fast work leaves. Lists and heaps are made anew from that.
//!
//! # Bounds and cost
//! O(requests + classes * accounts), restoring as much times a logarithm. `save` allocates nothing;
//! `restore` builds a gate, and so allocates. Bytes from anywhere are answered with an error or
//! with a gate that works.

use alloc::vec::Vec;

use super::fairness::Path;
use super::request::{Request, Stage};
use super::{Drain, Gate, SERVERS_MAX, Stats};
use crate::error::{Error, check_range};
use crate::policy::Policy;
use crate::share::AccountId;
use crate::snapshot::{self, CONTRADICTION, GATE, OTHER_CAPACITY, Words, ensure};
use crate::units::Nanos;

impl Gate {
    /// Bytes that [`Gate::save`] needs now. O(state).
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_state(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(state).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(GATE, out, |save| self.save_state(save))
    }

    /// A gate that goes on where the saved one was, under the policy that it was under. Allocates,
    /// as [`Gate::new`] does. Bytes after the snapshot are ignored.
    ///
    /// # Errors
    /// As [`Policy::validate`]. [`Error::Snapshot`] for bytes that are no snapshot of a gate by
    /// this version of the library, were cut short or changed, or contradict themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if it was under
    /// a policy with other classes, rules or capacities, or other names of accounts.
    pub fn restore(policy: &Policy, bytes: &[u8]) -> Result<Self, Error> {
        let mut gate = Self::new(policy, 0)?;
        snapshot::load(GATE, bytes, |take| {
            let mut words = Words::new(take);
            let (mut same, mut ended) = (true, false);
            gate.built_from(&mut |built| match words.next() {
                Ok(word) => same &= word == built,
                Err(_) => ended = true,
            });
            if ended {
                return Err(CONTRADICTION);
            }
            if !same {
                return Err(OTHER_CAPACITY);
            }
            gate.load_state(&mut words).map_err(|_| CONTRADICTION)
        })?;
        Ok(gate)
    }

    fn built_from(&self, put: &mut dyn FnMut(u64)) {
        put(self.requests.capacity().into());
        put(self.ledger.tree().capacity().into());
        put(self.policy_accounts.len() as u64);
        put(self.lines.len() as u64);
        self.keys.iter().for_each(|key| put(*key));
        for line in &self.lines {
            put(line.target.get());
            put(line.guaranteed_ratio.to_bits());
        }
        put(u64::from(self.rules.expiry));
        put(self.z.to_bits());
        put(self.rules.memory_requests.into());
        put(self.rules.usage_memory.get());
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        self.built_from(save);
        let counted = [
            self.servers.into(),
            self.sequence,
            self.now.get(),
            self.counts.admitted,
            self.counts.held,
            self.counts.started,
            self.counts.expired,
            self.counts.displaced,
        ];
        counted.into_iter().chain(self.counts.shed).for_each(&mut *save);
        save(self.caution.to_bits());
        self.drain.save_state(save);
        self.ledger.save_state(save);
        self.policy_accounts.iter().for_each(|account| save(account.to_raw()));
        self.requests.save_state(save, Request::save);
        self.lines.iter().for_each(|line| line.save_state(save));
        self.fairness.iter().for_each(|fairness| fairness.save_state(&self.ledger, save));
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.servers = words.next_within("servers", 0, SERVERS_MAX)?;
        self.sequence = words.next_count("sequence")?;
        self.now = Nanos(words.next()?);
        self.counts = load_counts(words)?;
        self.caution = words.next_real("caution", 0.0, super::moves::CAUTION_MAX)?;
        self.drain = Drain::load_state(words)?;
        self.ledger = crate::share::Ledger::new(self.ledger.options())?;
        self.ledger.load_state(words.source())?;
        for account in &mut self.policy_accounts {
            *account = AccountId::from_raw(words.next()?);
            self.ledger.weight(*account)?;
        }
        self.requests.load_state(words, Request::load)?;
        for line in &mut self.lines {
            line.load_state(words)?;
        }
        for fairness in &mut self.fairness {
            fairness.load_state(&self.ledger, words)?;
        }
        self.rebuild()
    }

    /// Puts every request where it was: in line, among those given up, or on a server.
    fn rebuild(&mut self) -> Result<(), Error> {
        let mut order: Vec<(u64, u32, Request)> = Vec::with_capacity(self.requests.len() as usize);
        order.extend(self.requests.iter().map(|(ticket, r)| (r.sequence, ticket.index(), *r)));
        order.sort_unstable_by_key(|(sequence, index, _)| (*sequence, *index));
        for (sequence, index, request) in order {
            let class = usize::from(request.class);
            self.check_class(request.class.into())?;
            let path = Path::of(&self.ledger, request.account)?;
            check_range("sequence", sequence, 0, self.sequence)?;
            ensure(request.since <= self.now)?;
            self.account_requests[request.account.index() as usize] += 1;
            match request.stage {
                Stage::Running => self.running += 1,
                Stage::Waiting => {
                    super::lines::join(&mut self.lines, &mut self.requests, index);
                    self.fairness[class].hold(&path, &mut self.requests, index);
                }
                Stage::Expired | Stage::Displaced => {
                    self.given_up.push(&mut self.requests, index);
                }
            }
        }
        Ok(())
    }
}

fn load_counts(words: &mut Words<'_>) -> Result<Stats, Error> {
    let mut count = || words.next_count("counts");
    Ok(Stats {
        admitted: count()?,
        held: count()?,
        started: count()?,
        expired: count()?,
        displaced: count()?,
        shed: [count()?, count()?, count()?, count()?],
        ..Stats::default()
    })
}
