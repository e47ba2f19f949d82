//! A host before a gate that makes calls of every kind, right and wrong, and keeps books of its
//! own.

use rampmeter::headroom::gate::{Admission, Dequeued, Gate, Outlook, Ticket};
use rampmeter::policy::{Account, Class, GateRules, Limits, Policy};
use rampmeter::share::AccountId;
use rampmeter::{Error, Nanos};

use super::Prng;

const MS: u64 = 1_000_000;

/// A policy of two classes and four accounts on two levels, with rules of all kinds.
pub fn policy(prng: &mut Prng) -> Policy {
    let class = |name: &str, target_ms: u64, guaranteed_ratio| Class {
        ttft_target: Nanos::from_millis(target_ms),
        guaranteed_ratio,
        ..Class::new(name)
    };
    let guaranteed = [0.0, 0.1, 0.4][prng.below(3) as usize];
    let rules = GateRules {
        expiry: prng.chance(70),
        expiring_confidence_ratio: [0.05, 0.25, 0.5][prng.below(3) as usize],
        memory_requests: [10, 50, 500][prng.below(3) as usize],
        usage_memory: Nanos::from_millis(100 + prng.below(3_000)),
        ..GateRules::default()
    };
    let accounts = [
        Account::new("a", 1.0),
        Account::new("b", 2.0),
        Account::new("a1", 1.0).under("a"),
        Account::new("a2", 3.0).under("a"),
    ];
    let limits = Limits { requests_max: 24, running_max: 8, accounts_max: 6, ..Limits::default() };
    let targets = [20 + prng.below(300), 200 + prng.below(3_000)];
    Policy::default()
        .with_classes([class("urgent", targets[0], 0.0), class("batch", targets[1], guaranteed)])
        .with_accounts(accounts)
        .with_limits(limits)
        .with_gate(rules)
}

/// Where the host thinks that each request is.
#[derive(Debug)]
pub struct Host {
    pub prng: Prng,
    pub now: Nanos,
    pub waiting: Vec<Ticket>,
    pub running: Vec<Ticket>,
    pub gone: Vec<Ticket>,
}

/// An answer of the gate, so that two gates can be compared.
pub type Answer = Result<String, Error>;

impl Host {
    pub fn new(seed: u64) -> Self {
        let (waiting, running, gone) = (Vec::new(), Vec::new(), Vec::new());
        Self { prng: Prng(seed), now: Nanos(0), waiting, running, gone }
    }

    fn pick(&mut self, from: u64) -> Option<Ticket> {
        let list = [&self.waiting, &self.running, &self.gone][from as usize];
        let at = self.prng.below(list.len() as u64) as usize;
        list.get(at).copied()
    }

    fn gone(&mut self, ticket: Ticket) {
        self.waiting.retain(|other| *other != ticket);
        self.running.retain(|other| *other != ticket);
        self.gone.push(ticket);
    }

    fn account(&mut self, gate: &Gate) -> AccountId {
        let account = gate.policy_account(self.prng.below(4) as usize).unwrap();
        if self.prng.chance(3) { AccountId::from_raw(self.prng.draw()) } else { account }
    }

    /// One call; what it answered.
    pub fn call(&mut self, gate: &mut Gate) -> Answer {
        self.now = Nanos(self.now.get() + self.prng.below(20) * MS);
        let now = if self.prng.chance(3) { Nanos(self.now.get() / 2) } else { self.now };
        match self.prng.below(100) {
            0..45 => self.admit(gate, now),
            45..65 => {
                let next = gate.next(now)?;
                let Some(ticket) = next else { return Ok("nobody".into()) };
                self.dequeue(gate, now, ticket)
            }
            65..85 => {
                let from = if self.prng.chance(95) { 1 } else { self.prng.below(3) };
                let Some(ticket) = self.pick(from) else { return Ok(String::new()) };
                gate.ended(now, ticket)?;
                self.gone(ticket);
                Ok(format!("{ticket:?} ended"))
            }
            85..89 => {
                let from = self.prng.below(3);
                let Some(ticket) = self.pick(from) else { return Ok(String::new()) };
                gate.left(now, ticket)?;
                self.gone(ticket);
                Ok(format!("{ticket:?} left"))
            }
            89..93 => {
                let given_up = gate.given_up(now)?;
                if let Some(given_up) = given_up {
                    self.gone(given_up.ticket);
                }
                Ok(format!("{given_up:?}"))
            }
            93..96 => {
                let from = self.prng.below(3);
                let Some(ticket) = self.pick(from) else { return Ok(String::new()) };
                self.dequeue(gate, now, ticket)
            }
            96..98 => {
                let servers = self.prng.below(8) as u32;
                let servers = if self.prng.chance(10) { u32::MAX } else { servers };
                gate.capacity(now, servers).map(|()| format!("{servers} servers"))
            }
            _ => {
                let asked = self.prng.below(3) as u32;
                gate.outlook(now, asked).map(|outlook| {
                    format!("{outlook:?} {:?} {:?}", gate.next_event(now), gate.stats())
                })
            }
        }
    }

    fn dequeue(&mut self, gate: &mut Gate, now: Nanos, ticket: Ticket) -> Answer {
        let dequeued = gate.dequeue(now, ticket)?;
        self.gone(ticket);
        if let Dequeued::Start { .. } = dequeued {
            self.gone.pop();
            self.running.push(ticket);
        }
        Ok(format!("{ticket:?} {dequeued:?}"))
    }

    fn admit(&mut self, gate: &mut Gate, now: Nanos) -> Answer {
        let account = self.account(gate);
        let class = if self.prng.chance(3) { 9 } else { self.prng.below(2) as u32 };
        let work = if self.prng.chance(60) { 1 } else { self.prng.below(6) as u32 };
        let admission = gate.admit(now, class, account, work)?;
        match admission {
            Admission::Admit(ticket) => self.running.push(ticket),
            Admission::Hold { ticket, .. } => self.waiting.push(ticket),
            Admission::Shed { .. } => {}
        }
        Ok(format!("{admission:?}"))
    }
}

/// Whether the gate's own numbers say that a newcomer may be let in without displacing anybody.
pub fn fits(outlook: &Outlook, confidence: f64) -> bool {
    outlook.starts_before == 0.0 || outlook.samples >= 10 && outlook.chance >= confidence
}
