//! Many copies: ledgers on several routers that tell each other whom they served.
//!
//! # What it decides
//! Nothing. It brings the service that other ledgers charged into the counters of this one, so that
//! a tenant does not get a share of its own at every front door.
//!
//! # Formula
//! ```text
//! served[a, l]     service that this ledger charged to account a in lane l: it only grows
//! told[a, l]       what of it the last delta told
//! heard[r, a, l]   the largest `served` of replica r that was merged here
//!
//! delta:   every (key of a, l, began, told, served) with served > told;   told = served
//! merge:   from  = max(heard, began)     or `told`, when nothing of r, a, l was heard before
//!          served > from:  charge(l, a, served - from), not counted as its own
//!          heard = max(heard, served)
//! ```
//! Every number is cumulative and the largest one wins: a delta that comes twice, late, or after a
//! newer one changes nothing, and the next one makes up for one that was lost. No sequence number
//! is needed, because the amounts are one. A merged charge goes up the tree as any other.
//!
//! `began` is where `served` began when the account was opened, at or above all that was told of
//! accounts closed before: a key may come back. A ledger that begins anew, without its state or
//! from an old snapshot, does so with a larger *incarnation* and counts from zero again.
//!
//! What is heard first of an account is history: it counts as service received, and only what
//! came after the teller's last delta is charged. A ledger that begins late starts with all
//! accounts equal, as it did for itself, and not with years of somebody's use to pay back.
//!
//! # Bounds and cost
//! `delta` is O(accounts * lanes), and [`Ledger::charge`] pays O(1) more; `merge` is
//! O(entries * depth * log accounts); opening an account is O(replicas * lanes), giving or taking
//! a key O(accounts). Memory: 24 bytes for each account, 32 for each account and lane, 8 for each
//! account, lane and other replica: 3.8 MB for 8 routers, 10,000 accounts and 4 lanes. How far a
//! tenant can get ahead through several doors: `docs/policies/exchange.md`.
//!
//! # What it is bad at
//! Accounts that are not open here: their service is missing at every level above, until they are
//! opened and the same delta is merged again. It believes what it is told: who may send deltas is
//! for the host to know. It knows nothing of the requests that wait elsewhere.
//!
//! # Source
//! Grow-only counter with one entry for each replica: Shapiro et al., "A comprehensive study of
//! convergent and commutative replicated data types", INRIA RR-7506, 2011.

mod keys;
mod state;

use alloc::boxed::Box;
use alloc::vec;

use super::counters::SERVICE_MAX;
use super::{AccountId, Ledger, LedgerOptions};
use crate::error::{Error, check_range, check_real};
use keys::Keys;

pub use crate::policy::REPLICAS_MAX;
pub use keys::path_key;

/// In place of the service that was never heard of.
const UNHEARD: f64 = -1.0;

/// Who tells.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct DeltaSource {
    /// Its number, 0 to `replicas_max`.
    pub replica: u64,
    /// Which of its lives this is; a later one has a larger number.
    pub incarnation: u64,
}

/// What one ledger charged to one account in one lane. Amounts in prompt tokens as charged, not
/// divided by weight, 0 to 2^53, `began <= told <= served`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct DeltaEntry {
    /// Key of the account, not zero; see [`Ledger::set_key`].
    pub key: u64,
    /// Lane.
    pub lane: u64,
    /// Where the counting began.
    pub began: f64,
    /// What the delta before this one told, or `began`.
    pub told: f64,
    /// Up to where it has come.
    pub served: f64,
}

/// What [`Ledger::delta`] wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delta {
    /// Who tells; goes with the entries.
    pub source: DeltaSource,
    /// Entries written to the front of the caller's array.
    pub len: usize,
    /// Whether that was everything; if not, the next call goes on from there.
    pub is_complete: bool,
}

/// What became of the entries of a delta.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Merged {
    /// Entries that told something new.
    pub news: u32,
    /// Entries that told nothing new: they came twice or late, or from an earlier incarnation.
    pub older: u32,
    /// Entries whose key no account here has. Once one has it, the same delta can be merged again.
    pub unknown: u32,
}

/// The service of one account in one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Service {
    /// `began <= told <= served <= 2^53`, charged here.
    began: f64,
    told: f64,
    served: f64,
    /// Charged elsewhere, history included.
    received: f64,
}

#[derive(Debug)]
pub(super) struct Exchange {
    replicas_max: u32,
    lanes: u32,
    /// Who this ledger is; `None` until told.
    source: Option<DeltaSource>,
    keys: Keys,
    /// By place: account index * lanes + lane.
    services: Box<[Service]>,
    /// By lane: the largest `served` of the accounts that were closed.
    closed: Box<[f64]>,
    /// Place where the next delta begins.
    next: usize,
    /// By row (see [`Exchange::row`]): the incarnation heard last.
    incarnations: Box<[Option<u64>]>,
    /// Row after row, in each by place: what was heard, or [`UNHEARD`].
    heard: Box<[f64]>,
}

impl Exchange {
    pub(super) fn new(options: &LedgerOptions) -> Result<Self, Error> {
        let replicas_max = options.replicas_max;
        check_range("replicas_max", replicas_max.into(), 0, REPLICAS_MAX.into())?;
        let (accounts, lanes) =
            if replicas_max == 0 { (0, 0) } else { (options.accounts_max, options.lanes) };
        let places = accounts as usize * lanes as usize;
        Ok(Self {
            replicas_max,
            lanes,
            source: None,
            keys: Keys::new(accounts),
            services: vec![Service::default(); places].into_boxed_slice(),
            closed: vec![0.0; lanes as usize].into_boxed_slice(),
            next: 0,
            incarnations: vec![None; replicas_max as usize].into_boxed_slice(),
            heard: vec![UNHEARD; places * replicas_max as usize].into_boxed_slice(),
        })
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        let replicas = options.replicas_max as u64;
        let (accounts, lanes) = (options.accounts_max as u64, options.lanes as u64);
        if replicas == 0 {
            return 0;
        }
        let shared = lanes * size_of::<f64>() as u64 + replicas * size_of::<Option<u64>>() as u64;
        let place = size_of::<Service>() as u64 + replicas * size_of::<f64>() as u64;
        shared
            .saturating_add(Keys::bytes_needed(options.accounts_max))
            .saturating_add(accounts.saturating_mul(lanes.saturating_mul(place)))
    }

    /// Forgets whoever had this index before: nothing was served or heard.
    pub(super) fn reset(&mut self, index: u32) {
        let (start, lanes, places) = (self.place(0, index), self.lanes(), self.services.len());
        let fresh = self.services.iter_mut().skip(start).take(lanes);
        for (service, &began) in fresh.zip(&self.closed) {
            *service = Service { began, told: began, served: began, received: 0.0 };
        }
        for row in self.heard.chunks_exact_mut(places.max(1)) {
            row.iter_mut().skip(start).take(lanes).for_each(|heard| *heard = UNHEARD);
        }
    }

    /// The account is closed: its key may come back, and then counts from above all of this.
    pub(super) fn forget(&mut self, index: u32) {
        let (start, lanes) = (self.place(0, index), self.lanes());
        let ended = self.services.iter().skip(start).take(lanes);
        for (closed, service) in self.closed.iter_mut().zip(ended) {
            *closed = closed.max(service.served);
        }
        self.keys.forget(index);
    }

    /// Notes service that this ledger charged.
    pub(super) fn charged(&mut self, lane: u32, index: u32, cost: f64) {
        let place = self.place(lane, index);
        if let Some(service) = self.services.get_mut(place) {
            service.served = (service.served + cost).min(SERVICE_MAX);
        }
    }

    const fn lanes(&self) -> usize {
        self.lanes as usize
    }

    const fn place(&self, lane: u32, index: u32) -> usize {
        index as usize * self.lanes as usize + lane as usize
    }

    /// Who this ledger is, once it was told.
    fn source(&self) -> Result<DeltaSource, Error> {
        self.check_present()?;
        // No replica has this number, nor ever will.
        let (value, max) = (u64::MAX, self.replicas_max.into());
        self.source.ok_or(Error::Range { field: "replica", value, min: 0, max })
    }

    fn check_present(&self) -> Result<(), Error> {
        check_range("replicas_max", self.replicas_max.into(), 1, REPLICAS_MAX.into()).map(drop)
    }

    /// Where another replica is kept: numbers in order, this ledger's own left out.
    fn row(&self, replica: u64) -> Result<usize, Error> {
        let own = self.source()?.replica;
        check_range("replica", replica, 0, self.replicas_max.into())?;
        if replica == own {
            return Err(Error::Contradiction {
                field: "replica",
                value: replica,
                other: "replica of this ledger",
                other_value: own,
            });
        }
        Ok(replica as usize - usize::from(replica > own))
    }

    /// What was heard from the replica of a row, by place.
    fn heard_from(&mut self, row: usize) -> &mut [f64] {
        let places = self.services.len();
        self.heard.chunks_exact_mut(places.max(1)).nth(row).unwrap_or_default()
    }

    /// The entry of a place; `None` without a key, or when nothing was served since it began.
    fn entry(&self, place: usize) -> Option<DeltaEntry> {
        let Service { began, told, served, .. } = *self.services.get(place)?;
        let key = self.keys.key((place / self.lanes()) as u32)?;
        let lane = (place % self.lanes()) as u64;
        (served > began).then_some(DeltaEntry { key, lane, began, told, served })
    }

    fn check_entry(&self, entry: &DeltaEntry) -> Result<(), Error> {
        check_range("key", entry.key, 1, u64::MAX)?;
        check_range("lane", entry.lane, 0, u64::from(self.lanes).saturating_sub(1))?;
        check_real("served", entry.served, 0.0, SERVICE_MAX)?;
        check_real("told", entry.told, 0.0, entry.served)?;
        check_real("began", entry.began, 0.0, entry.told).map(drop)
    }

    /// Notes an entry that was checked, of an account that is open: what of it is to be charged,
    /// or `None` if it tells nothing new.
    fn hear(&mut self, row: usize, index: u32, entry: &DeltaEntry) -> Option<f64> {
        let place = self.place(entry.lane as u32, index);
        let heard = self.heard_from(row).get_mut(place)?;
        if entry.served <= *heard {
            return None;
        }
        let (counted, charged) = if *heard == UNHEARD {
            (entry.began, entry.told)
        } else {
            let from = heard.max(entry.began);
            (from, from)
        };
        *heard = entry.served;
        self.services.get_mut(place)?.received += entry.served - counted;
        Some(entry.served - charged)
    }

    /// Begins an incarnation: nothing was served in it yet.
    fn begin_anew(&mut self) {
        for service in &mut self.services {
            let received = service.received + (service.served - service.began);
            *service = Service { received, ..Service::default() };
        }
        self.closed.fill(0.0);
        self.next = 0;
    }

    /// `false` if that incarnation of the replica has ended. A later one than before counts from
    /// zero, and so does what is heard of it.
    fn follow(&mut self, row: usize, incarnation: u64) -> bool {
        let Some(known) = self.incarnations.get_mut(row) else { return false };
        let before = known.unwrap_or(incarnation);
        if incarnation < before {
            return false;
        }
        *known = Some(incarnation);
        if incarnation > before {
            let of_before = self.heard_from(row).iter_mut().filter(|heard| **heard != UNHEARD);
            of_before.for_each(|heard| *heard = 0.0);
        }
        true
    }
}

impl Ledger {
    /// Says which replica this ledger is, before anything is told or merged, and after a restart
    /// which incarnation: a larger number than any before, such as the time of the start. An
    /// incarnation larger than the present one begins here and now: what was served so far
    /// counts as received, and telling begins from zero. A ledger that was restored exactly as it
    /// ended may go on with its incarnation; one restored from an older snapshot must not: what
    /// it served since would be served unnoticed once more. O(accounts * lanes).
    ///
    /// # Errors
    /// [`Error::Range`] on `replicas_max` for a ledger without replicas, on `replica` unless
    /// `0 <= replica <= replicas_max`, on `incarnation` below the present one;
    /// [`Error::Contradiction`] for another number than before.
    pub fn set_replica(&mut self, replica: u32, incarnation: u64) -> Result<(), Error> {
        let exchange = &mut self.exchange;
        exchange.check_present()?;
        check_range("replica", replica.into(), 0, exchange.replicas_max.into())?;
        let source = DeltaSource { replica: replica.into(), incarnation };
        if let Some(present) = exchange.source {
            if source.replica != present.replica {
                return Err(Error::Contradiction {
                    field: "replica",
                    value: source.replica,
                    other: "replica of this ledger",
                    other_value: present.replica,
                });
            }
            check_range("incarnation", incarnation, present.incarnation, u64::MAX)?;
            if incarnation > present.incarnation {
                exchange.begin_anew();
            }
        }
        exchange.source = Some(source);
        Ok(())
    }

    /// Gives an account the key by which other ledgers know it: the same on all of them, not zero,
    /// such as [`path_key`]. An account without a key is neither told nor heard of. O(accounts).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `replicas_max` for a ledger
    /// without replicas, on `key` for zero; [`Error::Contradiction`] if it has another key
    /// already; [`Error::Duplicate`] if another account has this one (by their indices).
    pub fn set_key(&mut self, account: AccountId, key: u64) -> Result<(), Error> {
        self.tree.check(account)?;
        self.exchange.check_present()?;
        self.exchange.keys.set(account.index(), key)
    }

    /// The account with this key, if one is open. O(log accounts).
    #[must_use]
    pub fn account_of(&self, key: u64) -> Option<AccountId> {
        self.exchange.keys.find(key).and_then(|index| self.tree.account_at(index))
    }

    /// Service of `account` itself in `lane`, in all ledgers as far as this one knows, since it
    /// was opened: in prompt tokens as charged, not divided by weight. Exact for whole costs;
    /// else each sum is rounded as any.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Range`] for an unknown lane, and on
    /// `replicas_max` for a ledger without replicas.
    pub fn service(&self, lane: u32, account: AccountId) -> Result<f64, Error> {
        self.counter(lane, account)?;
        self.exchange.check_present()?;
        let service = self.exchange.services.get(self.exchange.place(lane, account.index()));
        Ok(service.map_or(0.0, |service| service.served - service.began + service.received))
    }

    /// Writes what was charged here since it was told last, for all other ledgers alike, and takes
    /// it for told. With too short an array the next call goes on where this one ended: nobody is
    /// passed over. O(accounts * lanes).
    ///
    /// # Errors
    /// [`Error::Range`] on `replicas_max` for a ledger without replicas, on `replica` before
    /// [`Ledger::set_replica`].
    pub fn delta(&mut self, out: &mut [DeltaEntry]) -> Result<Delta, Error> {
        let exchange = &mut self.exchange;
        let source = exchange.source()?;
        let (places, start, mut len) = (exchange.services.len(), exchange.next, 0);
        for place in (start..places).chain(0..start) {
            let Some(entry) = exchange.entry(place).filter(|entry| entry.served > entry.told)
            else {
                continue;
            };
            let Some(slot) = out.get_mut(len) else {
                exchange.next = place;
                return Ok(Delta { source, len, is_complete: false });
            };
            *slot = entry;
            len += 1;
            if let Some(service) = exchange.services.get_mut(place) {
                service.told = service.served;
            }
        }
        Ok(Delta { source, len, is_complete: true })
    }

    /// Writes everything that was charged here, told or not, from place `next` on, and moves
    /// `next`: 0 begins, and 0 again says that this was the last. For whoever begins or missed
    /// deltas; takes nothing for told. Sent now and then, it makes up for lost deltas about
    /// accounts that have not been served since. O(accounts * lanes).
    ///
    /// # Errors
    /// As [`Ledger::delta`]; [`Error::Range`] on `next` beyond the last place.
    pub fn delta_all(&self, next: &mut u64, out: &mut [DeltaEntry]) -> Result<Delta, Error> {
        let source = self.exchange.source()?;
        let places = self.exchange.services.len();
        let start = check_range("next", *next, 0, places as u64)? as usize;
        let mut len = 0;
        for place in start..places {
            let Some(entry) = self.exchange.entry(place) else { continue };
            let Some(slot) = out.get_mut(len) else {
                *next = place as u64;
                return Ok(Delta { source, len, is_complete: false });
            };
            *slot = entry;
            len += 1;
        }
        *next = 0;
        Ok(Delta { source, len, is_complete: true })
    }

    /// Takes what another ledger told: charges what is new in it to the accounts that are open
    /// here and everybody above them. In any order, once or often. The first entry about an
    /// account is charged only from `told` on. O(entries * depth * log accounts).
    ///
    /// # Errors
    /// [`Error::Range`] on `replicas_max` for a ledger without replicas, on `replica` before
    /// [`Ledger::set_replica`] or for a number that no replica has, on `key` for zero, on an
    /// unknown `lane`; [`Error::Contradiction`] for its own number; [`Error::RangeReal`] unless
    /// `0 <= began <= told <= served <= 2^53`. All entries are looked at before anything changes.
    pub fn merge(&mut self, source: DeltaSource, entries: &[DeltaEntry]) -> Result<Merged, Error> {
        let exchange = &mut self.exchange;
        let row = exchange.row(source.replica)?;
        entries.iter().try_for_each(|entry| exchange.check_entry(entry))?;
        let mut merged = Merged::default();
        if !exchange.follow(row, source.incarnation) {
            merged.older = entries.len() as u32;
            return Ok(merged);
        }
        for entry in entries {
            let Some(index) = exchange.keys.find(entry.key) else {
                merged.unknown += 1;
                continue;
            };
            let Some(cost) = exchange.hear(row, index, entry) else {
                merged.older += 1;
                continue;
            };
            merged.news += 1;
            if cost > 0.0
                && let Some(lane) = self.lanes.get_mut(entry.lane as usize)
            {
                lane.charge_elsewhere(&self.tree, index, cost);
            }
        }
        Ok(merged)
    }

    /// Forgets what was heard from a replica that is gone, or that another ledger takes the number
    /// of; what was charged stays charged. What it tells after that is heard for the first time.
    /// For a replica that was out of reach for long this is the way not to charge what was served
    /// there meanwhile. O(accounts * lanes).
    ///
    /// # Errors
    /// As [`Ledger::merge`] for the number.
    pub fn forget_replica(&mut self, replica: u32) -> Result<(), Error> {
        let row = self.exchange.row(replica.into())?;
        self.exchange.heard_from(row).fill(UNHEARD);
        if let Some(incarnation) = self.exchange.incarnations.get_mut(row) {
            *incarnation = None;
        }
        Ok(())
    }
}
