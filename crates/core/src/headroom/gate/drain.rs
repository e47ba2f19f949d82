//! How fast does work leave the servers?
//!
//! # Formula
//! ```text
//! work a server-second = work of requests that ended / seconds of servers that were busy
//! ```
//! both over the last requests, each `1 - 1/memory` of what it was when the next one ends; the
//! seconds since the last end count in full. Requests still running count on one side only, so that
//! neither short ones that end first nor long ones that block servers deceive it, and a pool that
//! was never full is known as well as one that always is.
//!
//! # Bounds and cost
//! O(1), 48 bytes.
//!
//! # What it is bad at
//! An engine that is faster while it is not full is overrated until it has been full for a memory.

use crate::error::Error;
use crate::headroom::SPAN_MAX_S;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Shortest time believed, in seconds: the resolution of time.
const TIME_MIN_S: f64 = 1e-9;

/// Most busy server-seconds: every server that there can be, since time began.
const SERVERS_S_MAX: f64 = SPAN_MAX_S * super::SERVERS_MAX as f64;

/// What ended, and over how much time of servers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Drain {
    work: f64,
    requests: f64,
    servers_s: f64,
    /// Since the last end.
    open_s: f64,
    ended: u64,
    passed: Nanos,
}

impl Drain {
    /// Time passes with so many servers busy.
    pub(super) fn pass(&mut self, now: Nanos, busy: u32) {
        let passed_s = now.saturating_sub(self.passed).as_seconds();
        self.open_s = (self.open_s + passed_s * f64::from(busy)).min(SERVERS_S_MAX);
        self.passed = now;
    }

    /// A request of so much work left its server.
    pub(super) fn end(&mut self, work: u32, memory: u32) {
        let keep = 1.0 - f64::from(memory).recip();
        self.work = self.work * keep + f64::from(work);
        self.requests = self.requests * keep + 1.0;
        self.servers_s = (self.servers_s * keep + self.open_s).min(SERVERS_S_MAX);
        self.open_s = 0.0;
        self.ended += 1;
    }

    /// Requests that ended so far.
    pub(super) const fn ended(&self) -> u64 {
        self.ended
    }

    /// Ends that what it says rests on.
    pub(super) const fn samples(&self) -> f64 {
        self.requests
    }

    /// Work of the mean request; 1 before one ended.
    pub(super) fn work_mean(&self) -> f64 {
        if self.requests > 0.0 { self.work / self.requests } else { 1.0 }
    }

    /// Work that one busy server does in a second.
    pub(super) fn per_server_s(&self) -> f64 {
        self.work / (self.servers_s + self.open_s).max(TIME_MIN_S)
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { work, requests, servers_s, open_s, ended, passed } = self;
        for amount in [work, requests, servers_s, open_s] {
            save(amount.to_bits());
        }
        save(*ended);
        save(passed.get());
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            work: words.next_real("drain.work", 0.0, 1e15)?,
            requests: words.next_real("drain.requests", 0.0, 1e7)?,
            servers_s: words.next_real("drain.servers_s", 0.0, SERVERS_S_MAX)?,
            open_s: words.next_real("drain.open_s", 0.0, SERVERS_S_MAX)?,
            ended: words.next_count("drain.ended")?,
            passed: Nanos(words.next()?),
        })
    }
}
