//! What a gate promises whatever its host does: no more start than there are servers, a class with
//! a guarantee waits for a bounded amount of other work, and the dead are in nobody's way.

mod support;

use proptest::prelude::*;
use rampmeter::headroom::gate::{Admission, Dequeued, Gate, ShedReason, Ticket};
use rampmeter::policy::{Account, Class, GateRules, Limits, Policy};
use rampmeter::{Error, Nanos};
use support::Prng;

const CLASSES: usize = 3;

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

fn class(name: &str, target: Nanos, guaranteed_ratio: f64) -> Class {
    Class { ttft_target: target, guaranteed_ratio, ..Class::new(name) }
}

/// Classes with guarantees in any order, two accounts, and room for so many requests.
fn policy(guaranteed: [f64; CLASSES], target: Nanos, rules: GateRules, requests: u32) -> Policy {
    let names = ["first", "second", "third"];
    let limits = Limits { requests_max: requests, running_max: 8, ..Limits::default() };
    Policy::default()
        .with_classes([0, 1, 2].map(|at| class(names[at], target, guaranteed[at])))
        .with_accounts([Account::new("a", 1.0), Account::new("b", 1.0)])
        .with_limits(limits)
        .with_gate(rules)
}

/// A gate of so many servers that knows how fast requests of 100 ms and work 1 leave. Ends at 10 s.
fn taught(policy: &Policy, servers: u32) -> Gate {
    let mut gate = Gate::new(policy, servers).unwrap();
    let account = gate.policy_account(0).unwrap();
    for round in 0..99 {
        let ticket = gate.admit(ms(100 * round), 0, account, 1).unwrap().ticket().unwrap();
        gate.ended(ms(100 * round + 100), ticket).unwrap();
    }
    gate
}

/// A request as the host knows it.
#[derive(Clone, Copy)]
struct Known {
    ticket: Ticket,
    class: usize,
    work: u32,
}

/// Books that are kept by adding up: who waits, who runs, and what others started while a class
/// with a guarantee waited.
struct Books {
    waiting: Vec<Known>,
    running: Vec<Known>,
    others: [f64; CLASSES],
    worst: [f64; CLASSES],
}

impl Books {
    const EMPTY: Self =
        Self { waiting: vec![], running: vec![], others: [0.0; CLASSES], worst: [0.0; CLASSES] };

    fn starts(&mut self, known: Known) {
        for class in 0..CLASSES {
            let waits = self.waiting.iter().any(|waits| waits.class == class);
            let counts = waits && class != known.class;
            self.others[class] =
                if counts { self.others[class] + f64::from(known.work) } else { 0.0 };
            self.worst[class] = self.worst[class].max(self.others[class]);
        }
        self.running.push(known);
    }

    fn take(list: &mut Vec<Known>, prng: &mut Prng) -> Option<Known> {
        let at = prng.below(list.len().max(1) as u64) as usize;
        (at < list.len()).then(|| list.swap_remove(at))
    }

    fn gone(&mut self, ticket: Ticket) -> Option<Known> {
        let at = self.waiting.iter().position(|known| known.ticket == ticket)?;
        let known = self.waiting.swap_remove(at);
        if self.waiting.iter().all(|waits| waits.class != known.class) {
            self.others[known.class] = 0.0;
        }
        Some(known)
    }
}

/// Calls of a host in any order; `orders` is how often in a hundred calls it takes somebody whose
/// turn it is not.
fn drive(gate: &mut Gate, prng: &mut Prng, work_max: u32, orders: u64) -> Books {
    let mut books = Books::EMPTY;
    let mut now = ms(10_000);
    let turns = 5 + prng.below(30);
    for _ in 0..600 {
        now = Nanos(now.get() + prng.below(60) * 1_000_000);
        let die = prng.below(100);
        if die < orders {
            let at = prng.below(books.waiting.len().max(1) as u64) as usize;
            let ticket = books.waiting.get(at).map(|known| known.ticket);
            dequeue(gate, now, ticket, &mut books);
        } else if die < orders + turns {
            let next = gate.next(now).unwrap();
            assert!(next.is_none() || gate.stats().running < gate.stats().servers);
            dequeue(gate, now, next, &mut books);
        } else if die < 55 {
            if let Some(known) = Books::take(&mut books.running, prng) {
                gate.ended(now, known.ticket).unwrap();
            }
        } else if die < 57 {
            let at = prng.below(books.waiting.len().max(1) as u64) as usize;
            if let Some(known) = books.waiting.get(at).copied() {
                gate.left(now, known.ticket).unwrap();
                books.gone(known.ticket);
            }
        } else {
            let class = prng.below(CLASSES as u64) as usize;
            let work = 1 + prng.below(work_max.into()) as u32;
            let account = gate.policy_account(prng.below(2) as usize).unwrap();
            let admission = gate.admit(now, class as u32, account, work).unwrap();
            match admission {
                Admission::Admit(ticket) => books.starts(Known { ticket, class, work }),
                Admission::Hold { ticket, .. } => books.waiting.push(Known { ticket, class, work }),
                Admission::Shed { .. } => {}
            }
        }
        while let Some(given_up) = gate.given_up(now).unwrap() {
            books.gone(given_up.ticket);
        }
        let stats = gate.stats();
        assert_eq!(stats.running as usize, books.running.len());
        assert!(stats.running <= stats.servers, "{stats:?}");
    }
    books
}

/// Dequeues somebody, and says in the books what has become of it.
fn dequeue(gate: &mut Gate, now: Nanos, ticket: Option<Ticket>, books: &mut Books) {
    let Some(ticket) = ticket else { return };
    let is_full = gate.stats().running >= gate.stats().servers;
    match gate.dequeue(now, ticket) {
        Ok(Dequeued::Start { .. }) => {
            let known = books.gone(ticket).unwrap();
            books.starts(known);
        }
        Ok(_) => drop(books.gone(ticket)),
        Err(error) => {
            let refused = matches!(error, Error::Contradiction { field: "running", .. });
            assert!(refused && is_full, "{error:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is called in whatever order: a server has one request at a time.
    #[test]
    fn no_more_start_than_there_are_servers(seed in any::<u64>(), expiry in any::<bool>()) {
        let mut prng = Prng(seed);
        let rules = GateRules { expiry, ..GateRules::default() };
        let target = ms(100 + prng.below(2_000));
        let policy = policy([0.0, 0.3, 0.2], target, rules, 64);
        let mut gate = taught(&policy, 1 + prng.below(4) as u32);
        drive(&mut gate, &mut prng, 4, 20);
    }

    /// A class with a guarantee waits for no more than the bound of `gate/lines.rs`, also before a
    /// host that lets newcomers in before it asks whose turn it is, or hardly ever asks.
    #[test]
    fn a_guaranteed_class_keeps_its_bound_whoever_is_asked_first(
        seed in any::<u64>(), work_max in 1u32..6, place in 0usize..CLASSES,
    ) {
        let mut prng = Prng(seed);
        let rules = GateRules { expiry: false, ..GateRules::default() };
        let mut guaranteed = [[0.0, 0.3, 0.0], [0.0, 0.2, 0.3], [0.2, 0.0, 0.1]][prng.below(3) as usize];
        guaranteed.rotate_left(place);
        let policy = policy(guaranteed, ms(3_600_000), rules, 64);
        let mut gate = taught(&policy, 1 + prng.below(4) as u32);
        let books = drive(&mut gate, &mut prng, work_max, 0);
        let largest = f64::from(work_max);
        let all: f64 = guaranteed.iter().sum();
        for class in 0..CLASSES {
            let own = guaranteed[class];
            if own == 0.0 {
                continue;
            }
            let others = guaranteed.iter().filter(|other| **other > 0.0).count() as f64 - 1.0;
            let behind = (others * largest + largest) / (1.0 - all);
            let bound = largest / own + largest + behind;
            prop_assert!(books.worst[class] <= bound, "{} over {bound}", books.worst[class]);
        }
    }
}

/// One server, and a host that lets somebody in as soon as it is free.
#[test]
fn who_is_owed_goes_before_a_newcomer_from_above() {
    let rules = GateRules { expiry: false, ..GateRules::default() };
    let policy = policy([0.0, 0.3, 0.0], ms(3_600_000), rules, 64);
    let mut gate = taught(&policy, 1);
    let account = gate.policy_account(0).unwrap();
    let admit = |gate: &mut Gate, class| gate.admit(ms(10_000), class, account, 1).unwrap();
    let Admission::Admit(mut running) = admit(&mut gate, 0) else { panic!("nobody is there") };
    let Admission::Hold { ticket: owed, .. } = admit(&mut gate, 1) else { panic!("it waits") };
    // At 0.3 of what starts it is owed its own work of 1 after four others.
    for _ in 0..4 {
        gate.ended(ms(10_000), running).unwrap();
        let Admission::Admit(next) = admit(&mut gate, 0) else { panic!("not owed yet") };
        running = next;
    }
    gate.ended(ms(10_000), running).unwrap();
    let newcomer = admit(&mut gate, 0);
    assert!(matches!(newcomer, Admission::Hold { .. }), "{newcomer:?}");
    assert_eq!(gate.next(ms(10_000)), Ok(Some(owed)));
    let started = gate.dequeue(ms(10_000), owed).unwrap();
    assert!(matches!(started, Dequeued::Start { .. }), "{started:?}");
    // The server is taken: it is nobody's turn, and nobody starts.
    assert_eq!(gate.next(ms(10_000)), Ok(None));
    let held = newcomer.ticket().unwrap();
    let refused = gate.dequeue(ms(10_000), held).unwrap_err();
    let Error::Contradiction { field, value, other, other_value } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((field, value, other, other_value), ("running", 1, "servers", 1));
    assert_eq!(gate.stats().running, 1);
}

/// After a silence all that waits is dead: a newcomer is not behind it.
#[test]
fn the_dead_of_a_silence_turn_nobody_away() {
    let rules = GateRules { expiring_confidence_ratio: 0.25, ..GateRules::default() };
    for waiters in [20_u32, 500] {
        let policy = policy([0.0; CLASSES], ms(60_000), rules, 1_024);
        let mut gate = taught(&policy, 64);
        let [account, other] = [0, 1].map(|at| gate.policy_account(at).unwrap());
        let running: Vec<Ticket> = (0..64)
            .map(|_| gate.admit(ms(10_000), 0, account, 1).unwrap().ticket().unwrap())
            .collect();
        for waiter in 0..waiters {
            let admission = gate.admit(ms(10_000 + u64::from(waiter)), 0, account, 1).unwrap();
            assert!(matches!(admission, Admission::Hold { .. }), "{waiter}: {admission:?}");
        }
        let mut later = ms(200_000);
        // The servers went on: 64 of 190 s each, and little more than a second for the next.
        let admission = gate.admit(later, 0, other, 1).unwrap();
        assert!(matches!(admission, Admission::Hold { .. }), "{waiters}: {admission:?}");
        assert_eq!(gate.stats().displaced, 0, "nobody gives way who is dead");
        // A few calls more and all of them are gone; no call drops more than its part.
        let (mut before, mut calls) = (gate.stats().expired, 0);
        assert!(before <= 32);
        while gate.stats().waiting > 1 {
            later = Nanos(later.get() + 1);
            gate.next(later).unwrap();
            let dropped = gate.stats().expired - before;
            assert!((1..=32).contains(&dropped), "{dropped}");
            (before, calls) = (gate.stats().expired, calls + 1);
        }
        assert!(calls <= waiters.div_ceil(32) && before == u64::from(waiters));
        // What is too late without them is turned away as ever.
        let mut held = 0;
        let reason = loop {
            match gate.admit(later, 0, other, 1).unwrap() {
                Admission::Shed { reason, .. } => break reason,
                admission => held += u32::from(admission.ticket().is_some()),
            }
        };
        assert!(reason == ShedReason::Late && held < 500, "{reason:?} after {held}");
        assert_eq!(gate.stats().running as usize, running.len());
    }
}
