//! Several routers, each in front of a server of its own, and a tenant that comes to all of them.
//!
//! # Model
//! Every door has one server of [`RATE_PER_S`] tokens a second, which serves one request after the
//! other. A tenant always has requests waiting at the doors where it is, until it goes away. The
//! next request of a door is of the tenant with the smallest counter in the ledger of that door,
//! and is charged when it starts. Ledgers tell each other what they served at an interval, each at
//! its own phase; every message takes a random delay to each receiver and may be lost. Every
//! [`FULL_EVERY`]th message tells everything. What is not modelled: requests that end early,
//! servers of unequal speed, batching.
//!
//! # Compared with
//! One central ledger that decides for all servers, of tenants that come to the same doors: no
//! exchange can do better than what the doors allow.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ::rampmeter::share::exchange::{DeltaEntry, DeltaSource};
use ::rampmeter::share::{AccountId, Ledger, LedgerOptions};
use ::rampmeter::{Error, Nanos};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::trace::{Purpose, random_stream};

/// Tokens that a server serves in a second. Only what a request is of an interval matters.
pub const RATE_PER_S: u64 = 20_000;

/// Tokens of a request, uniform: 5 to 100 ms of a server.
const COST: std::ops::RangeInclusive<u32> = 100..=2_000;

/// Delay of a message, uniform: within a data centre, with a queue on the way.
const DELAY_NS: std::ops::RangeInclusive<u64> = 1_000_000..=50_000_000;

/// Which messages tell everything.
const FULL_EVERY: u64 = 10;

/// Who comes, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// Doors where it always has requests waiting.
    pub doors: Vec<usize>,
    /// From when until when it has none.
    pub away: Option<(Nanos, Nanos)>,
}

/// Tenants and the doors that they come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Doors, each with a server.
    pub doors: usize,
    /// Tenants, all of the same weight.
    pub tenants: Vec<Tenant>,
    /// How long it goes on.
    pub duration: Nanos,
}

impl Scenario {
    /// Eight doors: tenant 0 is at all of them, twelve others at one or two each, unevenly. With
    /// `away`, tenant 0 leaves in the second third and comes back.
    pub fn greedy(duration: Nanos, away: bool) -> Self {
        let [third, two_thirds] = [1, 2].map(|thirds| Nanos(duration.get() / 3 * thirds));
        let all = Tenant { doors: (0..8).collect(), away: away.then_some((third, two_thirds)) };
        let doors: [&[usize]; 12] =
            [&[0], &[0, 1], &[1], &[2], &[2, 3], &[3], &[4], &[4, 5], &[5, 6], &[6], &[7], &[7]];
        let others = doors.map(|doors| Tenant { doors: doors.to_vec(), away: None });
        Self { doors: 8, tenants: std::iter::once(all).chain(others).collect(), duration }
    }
}

/// What the ledgers know of each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sharing {
    /// One ledger decides for all doors.
    Central,
    /// Every door has a ledger and tells nobody.
    Never,
    /// Every door tells all others at this interval; `loss` of the messages do not arrive.
    Every {
        /// From one message of a door to its next.
        interval: Nanos,
        /// Share of messages that are lost, 0 to 1, for each receiver by itself.
        loss: f64,
    },
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    /// A tenant comes to or leaves all its doors.
    Comes(usize),
    Leaves(usize),
    /// The server of a door is free.
    Free(usize),
    /// It is time for a door to tell.
    Tell(usize),
    /// Message of this number comes to a ledger.
    Message(usize, usize),
}

struct Run<'a> {
    scenario: &'a Scenario,
    sharing: Sharing,
    ledgers: Vec<Ledger>,
    /// Of each ledger, by tenant.
    accounts: Vec<Vec<AccountId>>,
    present: Vec<bool>,
    idle: Vec<bool>,
    /// In order of time, then of being planned.
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    planned: u64,
    told: Vec<u64>,
    messages: Vec<(DeltaSource, Vec<DeltaEntry>)>,
    /// Sizes of requests: of tenant after tenant, by door.
    sizes: Vec<ChaCha8Rng>,
    network: ChaCha8Rng,
    served: Vec<u64>,
}

/// Tokens that each tenant was served.
///
/// # Errors
/// [`Error::Range`] for a scenario without tenants or with more doors than a ledger has replicas.
pub fn run(scenario: &Scenario, sharing: Sharing, seed: u64) -> Result<Vec<u64>, Error> {
    let mut run = Run::new(scenario, sharing, seed)?;
    while let Some(Reverse((now, _, event))) = run.events.pop() {
        if now >= scenario.duration {
            break;
        }
        run.happens(now, event)?;
    }
    Ok(run.served)
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, sharing: Sharing, seed: u64) -> Result<Self, Error> {
        let (doors, tenants) = (scenario.doors, scenario.tenants.len());
        let stream = |index| random_stream(seed, Purpose::Lengths, index as u64);
        let mut run = Self {
            scenario,
            sharing,
            ledgers: Vec::new(),
            accounts: Vec::new(),
            present: vec![false; tenants],
            idle: vec![true; doors],
            events: BinaryHeap::new(),
            planned: 0,
            told: vec![0; doors],
            messages: Vec::new(),
            sizes: (0..tenants * doors).map(stream).collect(),
            network: random_stream(seed, Purpose::Arrivals, 0),
            served: vec![0; tenants],
        };
        for replica in 0..if sharing == Sharing::Central { 1 } else { doors } {
            run.open(replica as u32)?;
        }
        for (index, tenant) in scenario.tenants.iter().enumerate() {
            run.plan(Nanos::ZERO, Event::Comes(index));
            if let Some((from, until)) = tenant.away {
                run.plan(from, Event::Leaves(index));
                run.plan(until, Event::Comes(index));
            }
        }
        if let Sharing::Every { interval, .. } = sharing {
            for door in 0..doors {
                let phase = interval.get() / doors as u64 * (door as u64 + 1);
                run.plan(Nanos(phase), Event::Tell(door));
            }
        }
        Ok(run)
    }

    /// One more ledger, with all tenants.
    fn open(&mut self, replica: u32) -> Result<(), Error> {
        let mut ledger = Ledger::new(&LedgerOptions {
            accounts_max: self.scenario.tenants.len() as u32,
            replicas_max: self.scenario.doors as u32,
            ..LedgerOptions::default()
        })?;
        ledger.set_replica(replica, 1)?;
        let mut accounts = Vec::new();
        for key in 1..=self.scenario.tenants.len() as u64 {
            let account = ledger.open(None, 1.0)?;
            ledger.set_key(account, key)?;
            accounts.push(account);
        }
        self.ledgers.push(ledger);
        self.accounts.push(accounts);
        Ok(())
    }

    fn plan(&mut self, at: Nanos, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((at, self.planned, event)));
    }

    /// The ledger that decides at a door.
    fn ledger_of(&self, door: usize) -> usize {
        if self.sharing == Sharing::Central { 0 } else { door }
    }

    fn happens(&mut self, now: Nanos, event: Event) -> Result<(), Error> {
        match event {
            Event::Comes(tenant) => self.comes(now, tenant),
            Event::Leaves(tenant) => {
                self.present[tenant] = false;
                for door in &self.scenario.tenants[tenant].doors {
                    let ledger = self.ledger_of(*door);
                    self.ledgers[ledger].depart(0, self.accounts[ledger][tenant])?;
                }
                Ok(())
            }
            Event::Free(door) => self.serve(now, door),
            Event::Tell(door) => self.tell(now, door),
            Event::Message(message, to) => {
                let (source, entries) = &self.messages[message];
                self.ledgers[to].merge(*source, entries).map(drop)
            }
        }
    }

    fn comes(&mut self, now: Nanos, tenant: usize) -> Result<(), Error> {
        self.present[tenant] = true;
        for door in &self.scenario.tenants[tenant].doors {
            let ledger = self.ledger_of(*door);
            self.ledgers[ledger].arrive(0, self.accounts[ledger][tenant])?;
            if std::mem::take(&mut self.idle[*door]) {
                self.plan(now, Event::Free(*door));
            }
        }
        Ok(())
    }

    /// Starts the next request of a door: of whoever is there with the smallest counter.
    fn serve(&mut self, now: Nanos, door: usize) -> Result<(), Error> {
        let ledger = self.ledger_of(door);
        let mut next: Option<(f64, usize)> = None;
        for (tenant, is_present) in self.present.iter().enumerate() {
            if *is_present && self.scenario.tenants[tenant].doors.contains(&door) {
                let counter = self.ledgers[ledger].counter(0, self.accounts[ledger][tenant])?;
                if next.is_none_or(|(least, _)| counter < least) {
                    next = Some((counter, tenant));
                }
            }
        }
        let Some((_, tenant)) = next else {
            self.idle[door] = true;
            return Ok(());
        };
        let size = &mut self.sizes[tenant * self.scenario.doors + door];
        let cost = size.random_range(COST);
        let account = self.accounts[ledger][tenant];
        self.ledgers[ledger].charge(0, account, f64::from(cost))?;
        self.served[tenant] += u64::from(cost);
        let took = Nanos(u64::from(cost) * 1_000_000_000 / RATE_PER_S);
        self.plan(now.saturating_add(took), Event::Free(door));
        Ok(())
    }

    /// Tells what a door served to all others.
    fn tell(&mut self, now: Nanos, door: usize) -> Result<(), Error> {
        let Sharing::Every { interval, loss } = self.sharing else { return Ok(()) };
        let mut entries = vec![DeltaEntry::default(); self.scenario.tenants.len()];
        self.told[door] += 1;
        let ledger = &mut self.ledgers[door];
        let delta = if self.told[door].is_multiple_of(FULL_EVERY) {
            ledger.delta_all(&mut 0, &mut entries)?
        } else {
            ledger.delta(&mut entries)?
        };
        entries.truncate(delta.len);
        self.messages.push((delta.source, entries));
        let message = self.messages.len() - 1;
        for to in (0..self.scenario.doors).filter(|to| *to != door) {
            let delay = Nanos(self.network.random_range(DELAY_NS));
            if !self.network.random_bool(loss) {
                self.plan(now.saturating_add(delay), Event::Message(message, to));
            }
        }
        self.plan(now.saturating_add(interval), Event::Tell(door));
        Ok(())
    }
}
