//! The core's gate, told what a front end would tell it.

use rampmeter::headroom::gate::{Admission, Dequeued, Gate, GiveUpReason, Ticket};
use rampmeter::policy::Policy;
use rampmeter::share::AccountId;
use rampmeter::{Nanos, error::Error};

use super::{Answer, pace};
use crate::engine::Engine;
use crate::serving::refusal::Refusal;
use crate::serving::state::Facts;
use crate::workload::Workload;

/// Work of every request: a front end knows its prompt, and not how long it will be answered.
const ALIKE: u32 = 1;

/// The core's gate before an engine.
#[derive(Debug)]
pub(super) struct Ours {
    gate: Gate,
    /// By index into the accounts of the workload.
    accounts: Vec<AccountId>,
    /// By index into the workload, of those that are known to the gate.
    tickets: Vec<Ticket>,
    /// Whose ticket stands at which place.
    requests: Vec<u32>,
}

impl Ours {
    /// Before so many servers, or as many as keep the pace.
    pub(super) fn new(
        workload: &Workload,
        engine: &Engine,
        servers: Option<u32>,
    ) -> Result<Self, Error> {
        let mut policy = Policy::default()
            .with_classes(workload.classes.clone())
            .with_accounts(workload.accounts.clone());
        // The gate knows no steps: what a document says of them is only to fit together.
        policy.limits.running_max = engine.running_max;
        policy.limits.requests_max = (workload.requests.len() as u32).max(engine.running_max);
        policy.limits.accounts_max = (workload.accounts.len() as u32).max(1);
        let attained = policy.objectives.attainment_min_ratio;
        let servers = servers.unwrap_or_else(|| pace::requests_in_time(workload, engine, attained));
        let gate = Gate::new(&policy, servers)?;
        let accounts = (0..workload.accounts.len()).filter_map(|index| gate.policy_account(index));
        Ok(Self {
            accounts: accounts.collect(),
            tickets: vec![Ticket::default(); workload.requests.len()],
            requests: vec![0; policy.limits.requests_max as usize],
            gate,
        })
    }

    pub(super) fn arrive(&mut self, now: Nanos, facts: &Facts, request: u32) -> Answer {
        let account = self.accounts[facts.account as usize];
        let admission = self.gate.admit(now, facts.class.into(), account, ALIKE);
        let (ticket, answer) = match admission.expect("a call of the simulator") {
            Admission::Admit(ticket) => (ticket, Answer::Enters),
            Admission::Hold { ticket, .. } => (ticket, Answer::Waits),
            Admission::Shed { retry_after, .. } => {
                return Answer::Leaves(Refusal::Shed { retry_after });
            }
        };
        self.tickets[request as usize] = ticket;
        self.requests[ticket.index() as usize] = request;
        answer
    }

    /// Who was given up hears of it first; then whoever's turn it is enters, while there is room.
    pub(super) fn next(&mut self, now: Nanos) -> Option<(u32, Answer)> {
        if let Some(gone) = self.gate.given_up(now).expect("a call of the simulator") {
            let why = match gone.reason {
                GiveUpReason::Expired => Refusal::Expired,
                GiveUpReason::Displaced => Refusal::Shed { retry_after: gone.retry_after },
            };
            return Some((self.request(gone.ticket), Answer::Leaves(why)));
        }
        let stats = self.gate.stats();
        if stats.running >= stats.servers {
            return None;
        }
        let ticket = self.gate.next(now).expect("a call of the simulator")?;
        let answer = match self.gate.dequeue(now, ticket).expect("it waits") {
            Dequeued::Start { .. } => Answer::Enters,
            Dequeued::Expired { .. } => Answer::Leaves(Refusal::Expired),
            Dequeued::Displaced { retry_after } => Answer::Leaves(Refusal::Shed { retry_after }),
        };
        Some((self.request(ticket), answer))
    }

    pub(super) fn ended(&mut self, now: Nanos, request: u32) {
        self.gate.ended(now, self.tickets[request as usize]).expect("it is inside");
    }

    pub(super) fn next_event(&self, now: Nanos) -> Option<Nanos> {
        self.gate.next_event(now)
    }

    fn request(&self, ticket: Ticket) -> u32 {
        self.requests[ticket.index() as usize]
    }
}
