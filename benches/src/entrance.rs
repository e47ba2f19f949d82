//! A gate before servers, in each of the states that a newcomer may find: what `benches/gate.rs`
//! measures on.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use rampmeter::Nanos;
use rampmeter::headroom::gate::{Admission, Gate, Ticket};
use rampmeter::policy::{Account, Limits, Policy};
use rampmeter::share::AccountId;

use crate::Prng;

/// Requests admitted in a row before they are taken back: enough to read the clock rarely, few
/// enough that the state stays what it is.
pub const ROUND: u32 = 16;

const SERVERS: u32 = 64;
const ACCOUNTS: u64 = 100;

/// Requests that wait: what 64 servers finish within half of the usual target.
const WAITING: u32 = 150;

/// A request keeps its server for so long.
const SERVICE_S: f64 = 0.1;

/// Between two newcomers, in nanoseconds: 64 servers that are busy take 640 requests a second.
const GAP_NS: u64 = 3_000_000;

/// What a newcomer finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Found {
    /// A server is free.
    Free,
    /// All are busy, and behind those that wait it starts in time.
    Queue,
    /// Behind those that wait it would not.
    Late,
}

impl Found {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Free, Self::Queue, Self::Late];

    /// As benchmarks and files are named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Queue => "queue",
            Self::Late => "late",
        }
    }
}

/// A gate and its host.
#[derive(Debug)]
pub struct Entrance {
    gate: Gate,
    found: Found,
    /// All that come are of one account, which nobody gives way to.
    flood: bool,
    prng: Prng,
    now: Nanos,
    newcomers: Vec<(Nanos, u32, AccountId)>,
    admitted: Vec<Ticket>,
}

impl Entrance {
    /// A gate in this state.
    ///
    /// # Panics
    /// If the gate refuses a call.
    #[must_use]
    pub fn new(found: Found) -> Box<Self> {
        let named = |index| Account::new(format!("account-{index}"), 1.0);
        let limits = Limits { requests_max: 4_096, accounts_max: 128, ..Limits::default() };
        let policy = Policy::default()
            .with_limits(limits)
            .with_accounts((0..ACCOUNTS).map(named).collect::<Box<_>>());
        let gate = Gate::new(&policy, SERVERS).expect("a valid policy");
        let mut entrance = Box::new(Self {
            gate,
            found,
            flood: false,
            prng: Prng(3),
            now: Nanos::from_seconds(1_000.0),
            newcomers: Vec::with_capacity(ROUND as usize),
            admitted: Vec::with_capacity(ROUND as usize),
        });
        entrance.learn();
        let running = if found == Found::Free { SERVERS / 2 } else { SERVERS };
        for _ in 0..running {
            entrance.enter();
        }
        match found {
            Found::Free => {}
            Found::Queue => (0..WAITING).for_each(|_| _ = entrance.enter()),
            Found::Late => {
                (0..WAITING).for_each(|_| _ = entrance.enter());
                entrance.flood = true;
                while entrance.enter() {}
            }
        }
        entrance
    }

    /// Requests come, take a server and leave it again: the gate learns how fast.
    fn learn(&mut self) {
        for _ in 0..8 {
            let running: Vec<_> = (0..SERVERS)
                .map(|_| {
                    let account = self.account();
                    self.gate.admit(self.now, 0, account, 1).expect("a valid call")
                })
                .collect();
            self.now = self.now.offset_seconds(SERVICE_S);
            for ticket in running.iter().filter_map(|admission| admission.ticket()) {
                self.gate.ended(self.now, ticket).expect("it runs");
            }
        }
    }

    fn account(&mut self) -> AccountId {
        let index = if self.flood { 0 } else { self.prng.below(ACCOUNTS) as usize };
        self.gate.policy_account(index).expect("the policy names it")
    }

    /// One comes to stay; `false` if it was turned away.
    fn enter(&mut self) -> bool {
        let account = self.account();
        self.gate.admit(self.now, 0, account, 1).expect("a valid call").ticket().is_some()
    }

    /// Writes `count` requests that are to come.
    pub fn prepare(&mut self, count: u32) {
        self.newcomers.clear();
        // Nobody who waits is to expire meanwhile: where there is a queue, time stands nearly still.
        let gap_ns = if self.found == Found::Free { GAP_NS } else { 1 };
        for _ in 0..count {
            self.now = self.now.saturating_add(Nanos(self.prng.below(gap_ns) + 1));
            let account = self.account();
            self.newcomers.push((self.now, 0, account));
        }
        self.admitted.clear();
        self.admitted.reserve(count as usize);
    }

    /// They come. Valgrind finds it by its name: it is never inlined, and nothing but what is to be
    /// counted goes through it.
    ///
    /// # Panics
    /// If the gate refuses, or answers otherwise than this state says.
    #[inline(never)]
    pub fn admit(&mut self) {
        for (now, class, account) in &self.newcomers {
            let admission = black_box(self.gate.admit(*now, *class, *account, 1));
            match (self.found, admission.expect("a valid call")) {
                (Found::Free, Admission::Admit(ticket))
                | (Found::Queue, Admission::Hold { ticket, .. }) => self.admitted.push(ticket),
                (Found::Late, Admission::Shed { .. }) => {}
                (found, other) => panic!("{found:?} was answered {other:?}"),
            }
        }
    }

    /// They go again.
    ///
    /// # Panics
    /// If the gate does not know them.
    pub fn withdraw(&mut self) {
        for ticket in self.admitted.drain(..) {
            self.gate.left(self.now, ticket).expect("it was let in");
        }
    }
}

/// The peer in the same run: two numbers behind a lock, and a cap on the second.
#[derive(Debug)]
pub struct Peer {
    counts: Mutex<(u32, u32)>,
    cap: u32,
}

impl Peer {
    /// A peer in this state.
    #[must_use]
    pub fn new(found: Found) -> Self {
        let counts = match found {
            Found::Free => (SERVERS / 2, 0),
            Found::Queue => (SERVERS, WAITING),
            Found::Late => (SERVERS, 10 * WAITING),
        };
        Self { counts: Mutex::new(counts), cap: 10 * WAITING }
    }

    /// One comes in: it starts, waits, or neither.
    pub fn admit(&self) -> Option<bool> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.0 < SERVERS {
            counts.0 += 1;
            Some(true)
        } else if counts.1 < self.cap {
            counts.1 += 1;
            Some(false)
        } else {
            None
        }
    }

    /// As many go again.
    pub fn withdraw(&self, found: Found, count: u32) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Found::Free => counts.0 -= count,
            Found::Queue => counts.1 -= count,
            Found::Late => {}
        }
    }
}
