//! What the gate answers.

use super::request::Ticket;
use crate::share::AccountId;
use crate::units::Nanos;

/// What becomes of a request that comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// A server is free: start it now, and say when it ended.
    Admit(Ticket),
    /// It waits for its turn.
    Hold {
        /// Its name from now on.
        ticket: Ticket,
        /// When it must have started to be in time.
        until: Nanos,
    },
    /// It is turned away; nothing is kept of it.
    Shed {
        /// Why.
        reason: ShedReason,
        /// In how long it would be let in, as work leaves now: an estimate, not a promise.
        retry_after: Nanos,
    },
}

impl Admission {
    /// Its name, if it was let in.
    #[must_use]
    pub const fn ticket(self) -> Option<Ticket> {
        match self {
            Self::Admit(ticket) | Self::Hold { ticket, .. } => Some(ticket),
            Self::Shed { .. } => None,
        }
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum ShedReason {
    /// Behind what is queued it would not start in time.
    Late,
    /// All servers are busy, and too few requests have ended to say when one will be free.
    NotEnoughData,
    /// There is no server.
    NoServers,
    /// As many requests are known as can be.
    Full,
}

impl ShedReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Late, Self::NotEnoughData, Self::NoServers, Self::Full];
}

/// What becomes of a request that a server is free for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dequeued {
    /// It starts now.
    Start {
        /// How long it waited.
        waited: Nanos,
    },
    /// It waited too long: answer it with a refusal, and take the next.
    Expired {
        /// How long it waited.
        waited: Nanos,
    },
    /// Its place was given to an account that had less than its share: refuse it, take the next.
    Displaced {
        /// In how long it would be let in, as work leaves now.
        retry_after: Nanos,
    },
}

/// A request that was held and will not start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GivenUp {
    /// Its name; stale from now on.
    pub ticket: Ticket,
    /// Its class.
    pub class: u32,
    /// Its account.
    pub account: AccountId,
    /// Why.
    pub reason: GiveUpReason,
    /// In how long it would be let in, as work leaves now.
    pub retry_after: Nanos,
}

/// Why a request that was held will not start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum GiveUpReason {
    /// It waited longer than its target.
    Expired,
    /// Its account was furthest over its share when another one needed the place.
    Displaced,
}

/// What a request of a class could expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Ends until it would start; 0 if it starts at once.
    pub starts_before: f64,
    /// Starts a second for its class.
    pub starts_per_s: f64,
    /// Seconds that it would wait, as likely more as less; infinite where nothing leaves.
    pub likely_wait_s: f64,
    /// Probability that it would start in time.
    pub chance: f64,
    /// Ends that this rests on; below 10 nothing waits.
    pub samples: u64,
}

/// What a gate knows and did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Requests that were held and wait.
    pub waiting: u32,
    /// Requests that run.
    pub running: u32,
    /// Servers that there are.
    pub servers: u32,
    /// Requests that were given up and not yet read.
    pub given_up: u32,
    /// Requests that started at once.
    pub admitted: u64,
    /// Requests that were held.
    pub held: u64,
    /// Requests that started after they were held.
    pub started: u64,
    /// Requests that ended.
    pub ended: u64,
    /// Requests that were held for too long.
    pub expired: u64,
    /// Requests that were held, and gave way to another account.
    pub displaced: u64,
    /// Requests that were turned away, by [`ShedReason`].
    pub shed: [u64; 4],
}
