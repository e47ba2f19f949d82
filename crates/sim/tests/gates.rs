//! The gate of the core before simulated queues, next to gates in use today.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rampmeter::Nanos;
use rampmeter::headroom::gate::{Admission, Dequeued, Gate, Ticket};
use rampmeter::policy::GateRules;
use rampmeter_sim::queues::gates::cases::{Case, Entrant, all};
use rampmeter_sim::queues::gates::ours::{Ours, policy};
use rampmeter_sim::queues::gates::peers::Peer;
use rampmeter_sim::queues::gates::{Arrival, Keeper, Offer, Verdict, simulate};
use rampmeter_sim::queues::{Gaps, Queue, Servers, Service};

fn offer(servers: u32, load: f64, target_s: f64, requests: usize) -> Offer {
    let (gaps, service) = (Gaps::Poisson, Service::Exponential);
    let queue = Queue { gaps, service, servers: Servers::Plain(servers) };
    Offer { queue, load, service_s: 2.0, target_s, requests, seed: 1, second_share: 0.0 }
}

/// A smaller contest: within two points of the best gate in every scenario, and whoever it lets
/// start waited within the target.
#[test]
fn the_gate_is_within_two_points_of_the_best() {
    for Case { name, offer } in all(12_000) {
        let offer = Offer { seed: 7, ..offer };
        let attainment = |entrant: Entrant| {
            let mut fare = entrant.run(&offer).unwrap();
            (100.0 * fare.attainment(), fare.wait_s(0.99))
        };
        let others = Entrant::ALL.iter().filter(|(_, entrant)| *entrant != Entrant::Gate);
        let best = others.map(|(_, entrant)| attainment(*entrant).0).fold(0.0, f64::max);
        let (gate, wait_s) = attainment(Entrant::Gate);
        let place = format!("{} servers, {} s, {name}", offer.servers(), offer.target_s);
        assert!(gate > best - 2.0, "{place}: {gate} behind {best}");
        assert!(wait_s <= offer.target_s + 1e-6, "{place}: {wait_s}");
    }
}

/// Without expiry a wait within the target is kept for 99 of 100 all the same.
#[test]
fn without_expiry_waits_are_kept() {
    for Case { name, offer } in all(12_000) {
        let mut fare = Entrant::GateLasting.run(&offer).unwrap();
        assert!(fare.wait_s(0.99) <= offer.target_s, "{name}: {}", fare.wait_s(0.99));
    }
}

/// The simulator itself: with everybody let in, 10 servers and 8 erlangs, 40.9% wait (Erlang C).
#[test]
fn the_judge_knows_erlang() {
    let offer = Offer { target_s: 1e-9, ..offer(10, 0.8, 1.0, 200_000) };
    let [fare, _] = simulate(&offer, &mut Peer::none(&offer));
    let waiting = 1.0 - fare.attainment();
    assert!((waiting / 0.409_18 - 1.0).abs() < 0.05, "{waiting}");
}

/// Two accounts: one sends eleven times its share, the other half of its own.
#[test]
fn a_flood_does_not_harm_the_quiet_account() {
    for (servers, target_s) in [(8, 0.5), (64, 0.5), (64, 5.0)] {
        // A quarter of the servers' work is the quiet one's; all that is offered is six times
        // theirs.
        let flooded = Offer { second_share: 0.25 / 6.0, ..offer(servers, 6.0, target_s, 120_000) };
        let mut ours = Ours::new(&flooded, GateRules::default()).unwrap();
        let [flood, quiet] = simulate(&flooded, &mut ours);
        let [_, unprotected] = simulate(&flooded, &mut Peer::expire(&flooded));
        let share = quiet.served as f64 / (quiet.served + flood.served) as f64;
        println!(
            "{servers} servers, {target_s} s: quiet {:.3} (share {share:.3}), unprotected {:.3}, \
             flood {:.3}, displaced {}",
            quiet.attainment(),
            unprotected.attainment(),
            flood.attainment(),
            ours.stats().displaced,
        );
        // On 8 servers half a second brings two ends: not even a place at the head is always in
        // time, whoever stands behind.
        let least = if servers == 8 { 0.84 } else { 0.99 };
        assert!(quiet.attainment() > least, "{}", quiet.attainment());
        assert!(unprotected.attainment() < 0.25, "there is something to protect from");
    }
}

/// Two floods of different size have half of the servers each.
#[test]
fn two_floods_share_evenly() {
    let offer = Offer { second_share: 0.2, ..offer(32, 6.0, 2.0, 100_000) };
    let mut ours = Ours::new(&offer, GateRules::default()).unwrap();
    let [first, second] = simulate(&offer, &mut ours);
    let share = second.served as f64 / (first.served + second.served) as f64;
    assert!((0.45..0.55).contains(&share), "{share}");
}

/// A host whose clients come back when they were told to.
struct Returning {
    gate: Gate,
    tickets: Vec<Ticket>,
    ids: Vec<usize>,
    /// When somebody comes back.
    back: BinaryHeap<Reverse<u64>>,
    confidence: f64,
    returned: u32,
    let_in: u32,
}

impl Returning {
    fn new(offer: &Offer) -> Self {
        let policy = policy(offer, GateRules::default());
        Self {
            gate: Gate::new(&policy, offer.servers() as u32).unwrap(),
            tickets: vec![Ticket::default(); offer.requests],
            ids: vec![0; policy.limits.requests_max as usize],
            back: BinaryHeap::new(),
            confidence: policy.gate.expiring_confidence_ratio,
            returned: 0,
            let_in: 0,
        }
    }

    /// Those whose time has come look whether they would be let in, and change nothing.
    fn look(&mut self, now: Nanos) {
        while let Some(Reverse(at)) = self.back.peek().copied()
            && at <= now.get()
        {
            self.back.pop();
            let outlook = self.gate.outlook(now, 0).unwrap();
            self.returned += 1;
            self.let_in +=
                u32::from(outlook.starts_before == 0.0 || outlook.chance >= self.confidence);
        }
    }
}

impl Keeper for Returning {
    fn arrive(&mut self, now_s: f64, arrival: &Arrival) -> Verdict {
        let now = Nanos::from_seconds(now_s);
        while let Ok(Some(_)) = self.gate.given_up(now) {}
        self.look(now);
        let account = self.gate.policy_account(0).unwrap();
        let admission = self.gate.admit(now, 0, account, 1).unwrap();
        if let Some(ticket) = admission.ticket() {
            self.tickets[arrival.id] = ticket;
            self.ids[ticket.index() as usize] = arrival.id;
        }
        match admission {
            Admission::Admit(_) => Verdict::Start,
            Admission::Hold { .. } => Verdict::Wait,
            Admission::Shed { retry_after, .. } => {
                self.back.push(Reverse(now.saturating_add(retry_after).get()));
                Verdict::Refuse
            }
        }
    }

    fn next(&mut self, now_s: f64) -> Option<usize> {
        let now = Nanos::from_seconds(now_s);
        let started = loop {
            let Some(ticket) = self.gate.next(now).unwrap() else { break None };
            let id = self.ids[ticket.index() as usize];
            if let Dequeued::Start { .. } = self.gate.dequeue(now, ticket).unwrap() {
                break Some(id);
            }
        };
        self.look(now);
        started
    }

    fn ended(&mut self, now_s: f64, id: usize, _waited_s: f64, _ran_s: f64) {
        self.gate.ended(Nanos::from_seconds(now_s), self.tickets[id]).unwrap();
    }
}

/// Whoever comes back when told to is let in in most cases, while others come as before.
#[test]
fn whoever_comes_back_in_time_is_let_in() {
    for (servers, target_s, load) in
        [(8, 0.5, 1.2), (8, 5.0, 1.2), (64, 0.5, 1.2), (64, 5.0, 1.2), (64, 0.5, 0.95)]
    {
        let offer = offer(servers, load, target_s, 60_000);
        let mut host = Returning::new(&offer);
        simulate(&offer, &mut host);
        let share = f64::from(host.let_in) / f64::from(host.returned);
        println!("{servers} servers, {target_s} s, load {load}: {share:.3} of {}", host.returned);
        assert!(host.returned > 100 && share > 0.5, "{share} of {}", host.returned);
    }
}
