//! The gate of the core before a simulated queue.

use rampmeter::Nanos;
use rampmeter::headroom::gate::{Admission, Dequeued, Gate, Stats, Ticket};
use rampmeter::policy::{Account, Class, GateRules, Policy, QueueLimits};

use super::{Arrival, Keeper, Offer, Verdict};

/// Policy of an offer: one class with its target, two accounts of equal weight.
#[must_use]
pub fn policy(offer: &Offer, rules: GateRules) -> Policy {
    let class = Class {
        ttft_target: Nanos::from_seconds(offer.target_s),
        queue: QueueLimits::default(),
        ..Class::new("all")
    };
    Policy::default()
        .with_classes([class])
        .with_accounts([Account::new("first", 1.0), Account::new("second", 1.0)])
        .with_gate(rules)
}

/// A gate as a host keeps it.
#[derive(Debug)]
pub struct Ours {
    gate: Gate,
    tickets: Vec<Ticket>,
    /// Whose ticket stands at which place.
    ids: Vec<usize>,
}

impl Ours {
    /// Before the servers of an offer.
    ///
    /// # Errors
    /// As [`Gate::new`].
    pub fn new(offer: &Offer, rules: GateRules) -> Result<Self, rampmeter::Error> {
        let policy = policy(offer, rules);
        let gate = Gate::new(&policy, offer.servers() as u32)?;
        let ids = vec![0; policy.limits.requests_max as usize];
        Ok(Self { gate, tickets: vec![Ticket::default(); offer.requests], ids })
    }

    /// What the gate did.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.gate.stats()
    }

    fn let_in(&mut self, id: usize, ticket: Ticket) {
        self.tickets[id] = ticket;
        self.ids[ticket.index() as usize] = id;
    }
}

/// A moment of the simulation on the gate's clock.
fn nanos(seconds: f64) -> Nanos {
    Nanos::from_seconds(seconds)
}

impl Keeper for Ours {
    fn arrive(&mut self, now_s: f64, arrival: &Arrival) -> Verdict {
        let now = nanos(now_s);
        while let Ok(Some(_)) = self.gate.given_up(now) {}
        let account = self.gate.policy_account(arrival.account as usize).unwrap_or_default();
        match self.gate.admit(now, 0, account, 1).expect("a call of the simulator") {
            Admission::Admit(ticket) => {
                self.let_in(arrival.id, ticket);
                Verdict::Start
            }
            Admission::Hold { ticket, .. } => {
                self.let_in(arrival.id, ticket);
                Verdict::Wait
            }
            Admission::Shed { .. } => Verdict::Refuse,
        }
    }

    fn next(&mut self, now_s: f64) -> Option<usize> {
        let now = nanos(now_s);
        while let Some(ticket) = self.gate.next(now).expect("a call of the simulator") {
            let id = self.ids[ticket.index() as usize];
            if let Ok(Dequeued::Start { .. }) = self.gate.dequeue(now, ticket) {
                return Some(id);
            }
        }
        None
    }

    fn ended(&mut self, now_s: f64, id: usize, _waited_s: f64, _ran_s: f64) {
        self.gate.ended(nanos(now_s), self.tickets[id]).expect("it runs");
    }
}
