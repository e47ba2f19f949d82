//! What a gate promises, under calls of every kind.

mod support;

use proptest::prelude::*;
use rampmeter::headroom::gate::{Admission, Dequeued, Gate, GiveUpReason, ShedReason, Ticket};
use rampmeter::policy::{Account, Class, GateRules, Limits, Policy};
use rampmeter::{Error, Nanos};
use support::Prng;
use support::gates::{Host, fits, policy};

fn saved(gate: &Gate) -> Vec<u8> {
    let mut bytes = vec![0; gate.snapshot_bytes() as usize];
    assert_eq!(gate.save(&mut bytes), Ok(bytes.len()));
    bytes
}

fn ms(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}

/// One class with this target, so many equal accounts.
fn plain(target_ms: u64, accounts: usize, rules: GateRules) -> Policy {
    let class = Class { ttft_target: ms(target_ms), ..Class::new("all") };
    let accounts: Vec<Account> =
        (0..accounts).map(|index| Account::new(index.to_string(), 1.0)).collect();
    Policy::default().with_classes([class]).with_accounts(accounts).with_gate(rules)
}

/// Requests of 100 ms, so that the gate knows how fast work leaves. Ends at 10 s.
fn taught(policy: &Policy, servers: u32) -> Gate {
    let mut gate = Gate::new(policy, servers).unwrap();
    let account = gate.policy_account(0).unwrap();
    for round in 0..99 {
        let ticket = gate.admit(ms(100 * round), 0, account, 1).unwrap().ticket().unwrap();
        gate.ended(ms(100 * round + 100), ticket).unwrap();
    }
    gate
}

/// Lets requests of an account in at a moment until one is turned away.
fn fill(gate: &mut Gate, now: Nanos, account: usize) -> Vec<Ticket> {
    let account = gate.policy_account(account).unwrap();
    let mut tickets = Vec::new();
    while let Some(ticket) = gate.admit(now, 0, account, 1).unwrap().ticket() {
        tickets.push(ticket);
    }
    tickets
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Books agree after every call, errors change nothing, and what has ended stays ended.
    #[test]
    fn books_agree_and_errors_change_nothing(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let policy = policy(&mut prng);
        let mut gate = Gate::new(&policy, prng.below(6) as u32).unwrap();
        let mut host = Host::new(seed);
        for _ in 0..300 {
            let before = saved(&gate);
            if host.call(&mut gate).is_err() {
                prop_assert!(saved(&gate) == before, "an error changed something");
            }
            let stats = gate.stats();
            prop_assert_eq!(stats.running as usize, host.running.len());
            prop_assert_eq!((stats.waiting + stats.given_up) as usize, host.waiting.len());
            let held = stats.started + stats.expired + stats.displaced + u64::from(stats.waiting);
            prop_assert!(held <= stats.held);
            if let Some(ticket) = host.gone.last() {
                let stale = matches!(gate.dequeue(host.now, *ticket), Err(Error::Stale { .. }));
                prop_assert!(stale, "{:?}", ticket);
            }
        }
    }

    /// Whoever is let in starts in time by the gate's own numbers, and whoever is turned away does
    /// not, but for those who take the place of another.
    #[test]
    fn nobody_is_let_in_who_cannot_start_in_time(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let policy = policy(&mut prng);
        let rules = policy.gate;
        let confidence = if rules.expiry {
            rules.expiring_confidence_ratio
        } else {
            rules.lasting_confidence_ratio
        };
        let mut gate = Gate::new(&policy, 1 + prng.below(5) as u32).unwrap();
        let mut host = Host::new(seed);
        for _ in 0..300 {
            let _ = host.call(&mut gate);
            // All that waited too long is dropped first, as in the call that is judged.
            for _ in 0..24 {
                gate.next(host.now).unwrap();
            }
            let class = host.prng.below(2) as u32;
            let account = gate.policy_account(host.prng.below(4) as usize).unwrap();
            let outlook = gate.outlook(host.now, class).unwrap();
            let before = gate.stats();
            let admission = gate.admit(host.now, class, account, 1).unwrap();
            let displaced = gate.stats().displaced > before.displaced;
            match admission {
                Admission::Admit(ticket) => {
                    prop_assert!(outlook.starts_before == 0.0 && before.running < before.servers);
                    host.running.push(ticket);
                }
                Admission::Hold { ticket, .. } => {
                    let fits = fits(&outlook, confidence - 1e-9);
                    prop_assert!(displaced || fits, "{:?}", outlook);
                    prop_assert!(!displaced || !fits || !rules.expiry, "{:?}", outlook);
                    prop_assert!(!displaced || gate.stats().waiting <= before.waiting);
                    host.waiting.push(ticket);
                }
                Admission::Shed { reason: ShedReason::Full, .. } => {
                    prop_assert_eq!(before.waiting + before.running + before.given_up, 24);
                }
                Admission::Shed { .. } => {
                    // Late starts make more cautious.
                    let fits = rules.expiry && fits(&outlook, confidence + 1e-9);
                    prop_assert!(!fits, "{:?}", outlook);
                }
            }
        }
    }

    /// Nobody waits longer than the target where late ones expire, and everybody hears of an end.
    #[test]
    fn whoever_waits_hears_an_end_by_its_target(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let policy = policy(&mut prng)
            .with_gate(GateRules { expiry: true, ..GateRules::default() });
        let mut gate = Gate::new(&policy, 2).unwrap();
        let mut host = Host::new(seed);
        for _ in 0..200 {
            let _ = host.call(&mut gate);
        }
        let mut now = host.now;
        while let Some(at) = gate.next_event(now) {
            prop_assert!(at >= now && at.get() - now.get() <= 4_000_000_000, "{:?}", at);
            now = at;
            prop_assert!(gate.given_up(now).unwrap().is_some(), "promised for {:?}", at);
        }
        prop_assert_eq!((gate.stats().waiting, gate.stats().given_up), (0, 0));
    }
}

#[test]
fn at_first_only_servers_are_known() {
    let policy = plain(2_000, 1, GateRules::default());
    let mut gate = Gate::new(&policy, 3).unwrap();
    assert_eq!(fill(&mut gate, ms(0), 0).len(), 3);
    let account = gate.policy_account(0).unwrap();
    let unknown = Admission::Shed { reason: ShedReason::NotEnoughData, retry_after: ms(2_000) };
    assert_eq!(gate.admit(ms(0), 0, account, 1), Ok(unknown));
    gate.capacity(ms(0), 0).unwrap();
    let none = Admission::Shed { reason: ShedReason::NoServers, retry_after: ms(2_000) };
    assert_eq!(gate.admit(ms(0), 0, account, 1), Ok(none));
}

/// Twenty ends a second with two servers: within half a second ten, and some that are unlikely.
#[test]
fn as_many_wait_as_may_start_in_time() {
    let waiting = |confidence: f64| {
        let rules = GateRules { expiring_confidence_ratio: confidence, ..GateRules::default() };
        let policy = plain(500, 1, rules);
        fill(&mut taught(&policy, 2), ms(10_000), 0).len() - 2
    };
    // Poisson with mean 10: P(N >= 10) = 0.542, P(N >= 11) = 0.417, P(N >= 12) = 0.303,
    // P(N >= 13) = 0.208, P(N >= 15) = 0.083, which a rate that rests on 99 ends makes 0.1.
    assert_eq!(waiting(0.5), 10);
    assert_eq!(waiting(0.25), 12);
    assert_eq!(waiting(0.1), 15);
    assert_eq!(waiting(0.9), 6);
    let lasting = plain(500, 1, GateRules { expiry: false, ..GateRules::default() });
    assert_eq!(fill(&mut taught(&lasting, 2), ms(10_000), 0).len() - 2, 3);
}

/// Work counts, not heads: requests of twice the work are half as many.
#[test]
fn work_ahead_counts() {
    let policy = plain(500, 1, GateRules::default());
    let mut gate = taught(&policy, 2);
    let account = gate.policy_account(0).unwrap();
    let mut held = 0;
    while gate.admit(ms(10_000), 0, account, 2).unwrap().ticket().is_some() {
        held += 1;
    }
    assert_eq!(held - 2, 6);
}

#[test]
fn late_ones_expire_or_start_as_the_policy_says() {
    for expiry in [true, false] {
        let policy = plain(500, 1, GateRules { expiry, ..GateRules::default() });
        let mut gate = taught(&policy, 2);
        let tickets = fill(&mut gate, ms(10_000), 0);
        let (held, waited) = (tickets[2], ms(501));
        assert_eq!(gate.next_event(ms(10_000)).is_some(), expiry);
        gate.ended(ms(10_001), tickets[0]).unwrap();
        let expected =
            if expiry { Dequeued::Expired { waited } } else { Dequeued::Start { waited } };
        assert_eq!(gate.dequeue(ms(10_501), held), Ok(expected));
        assert_eq!(gate.ended(ms(10_501), held).is_ok(), !expiry);
    }
}

/// One account floods; a second that comes finds its place, and the flood hears of it.
#[test]
fn the_furthest_over_its_share_goes_first() {
    let policy = plain(500, 3, GateRules::default());
    let mut gate = taught(&policy, 2);
    let flood = fill(&mut gate, ms(10_000), 1);
    let quiet = gate.policy_account(2).unwrap();
    let held = gate.admit(ms(10_001), 0, quiet, 1).unwrap();
    assert!(matches!(held, Admission::Hold { .. }), "{held:?}");
    let given_up = gate.given_up(ms(10_001)).unwrap().unwrap();
    assert_eq!(given_up.reason, GiveUpReason::Displaced);
    assert_eq!(given_up.ticket, *flood.last().unwrap(), "its newest");
    assert!(given_up.retry_after > Nanos::ZERO);
    assert!(matches!(gate.ended(ms(10_001), given_up.ticket), Err(Error::Stale { .. })));
    // The quiet one takes over until both have the same share of what waits and runs.
    let taken = fill(&mut gate, ms(10_001), 2).len() + 1;
    assert!((5..=7).contains(&taken), "{taken} of {}", flood.len());
    let late = gate.admit(ms(10_001), 0, gate.policy_account(1).unwrap(), 1).unwrap();
    assert!(matches!(late, Admission::Shed { reason: ShedReason::Late, .. }));
    // Whoever does not ask learns it when it is their turn.
    let displaced = gate.dequeue(ms(10_002), flood[flood.len() - 2]).unwrap();
    assert!(matches!(displaced, Dequeued::Displaced { .. }), "{displaced:?}");
}

/// Two users of one department have together what the one user of another has alone.
#[test]
fn shares_are_those_of_the_tree() {
    let accounts = [
        Account::new("one", 1.0),
        Account::new("two", 1.0),
        Account::new("a", 1.0).under("one"),
        Account::new("b", 1.0).under("one"),
        Account::new("c", 1.0).under("two"),
    ];
    let policy = plain(2_000, 1, GateRules::default()).with_accounts(accounts);
    let mut gate = taught(&policy, 2);
    let mut counts = [0; 5];
    // All come every 10 ms, five times as much as can be served.
    let (mut running, mut owner) = (Vec::new(), std::collections::HashMap::new());
    for step in 0..6_000_u64 {
        let now = ms(40_000 + 10 * step);
        if step % 5 == 0 && !running.is_empty() {
            gate.ended(now, running.remove(0)).unwrap();
        }
        while let Some(ticket) = gate.next(now).unwrap().filter(|_| running.len() < 2) {
            if let Dequeued::Start { .. } = gate.dequeue(now, ticket).unwrap() {
                running.push(ticket);
                counts[owner[&ticket]] += u32::from(step > 1_000);
            }
        }
        let account = 2 + (step % 3) as usize;
        let admission = gate.admit(now, 0, gate.policy_account(account).unwrap(), 1).unwrap();
        if let Admission::Admit(ticket) = admission {
            running.push(ticket);
        }
        admission.ticket().map(|ticket| owner.insert(ticket, account));
        while gate.given_up(now).unwrap().is_some() {}
    }
    let all = f64::from(counts.iter().sum::<u32>());
    let shares: Vec<f64> = counts[2..].iter().map(|count| f64::from(*count) / all).collect();
    for (share, wanted) in shares.iter().zip([0.25, 0.25, 0.5]) {
        assert!((share - wanted).abs() < 0.05, "{shares:?}");
    }
}

/// A class with a guarantee starts its part, and its first waits for no more than the bound.
#[test]
fn a_guaranteed_class_does_not_starve() {
    let guaranteed_ratio = 0.1;
    let class = |name: &str, guaranteed_ratio| Class {
        ttft_target: ms(3_600_000),
        guaranteed_ratio,
        ..Class::new(name)
    };
    let policy = plain(1_000, 1, GateRules::default())
        .with_classes([class("first", 0.0), class("second", guaranteed_ratio)])
        .with_limits(Limits { requests_max: 4_096, ..Limits::default() });
    let mut gate = taught(&policy, 2);
    let account = gate.policy_account(0).unwrap();
    let mut class_of = std::collections::HashMap::new();
    let mut running = Vec::new();
    for request in 0..4_000_u32 {
        let work = 1 + request % 3;
        let class = request % 2;
        let admission = gate.admit(ms(10_000), class, account, work).unwrap();
        if let Admission::Admit(ticket) = admission {
            running.push(ticket);
        }
        admission.ticket().map(|ticket| class_of.insert(ticket, (class, f64::from(work))));
    }
    let (mut others, mut worst, mut done) = (0.0_f64, 0.0_f64, [0.0; 2]);
    for step in 1..1_500_u64 {
        let now = ms(10_000 + 50 * step);
        gate.ended(now, running.remove(0)).unwrap();
        let ticket = gate.next(now).unwrap().unwrap();
        gate.dequeue(now, ticket).unwrap();
        running.push(ticket);
        let (class, work) = class_of[&ticket];
        done[class as usize] += work;
        others = if class == 0 { others + work } else { 0.0 };
        worst = worst.max(others);
    }
    // Its largest request is 3; so is that of the others, one of which may be on its way.
    assert!(worst <= 3.0 / guaranteed_ratio + 6.0, "{worst}");
    let share = done[1] / (done[0] + done[1]);
    assert!((share - guaranteed_ratio).abs() < 0.01, "{share}");
}

/// Urgent work above takes what it has lately taken; the class below knows.
#[test]
fn a_class_below_expects_those_above() {
    let class = |name: &str| Class { ttft_target: ms(2_000), ..Class::new(name) };
    let policy = plain(1, 1, GateRules::default()).with_classes([class("first"), class("second")]);
    let gate = taught(&policy, 2);
    let idle = gate.outlook(ms(10_000), 1).unwrap().starts_per_s;
    let above = gate.outlook(ms(10_000), 0).unwrap().starts_per_s;
    // Ten a second for ten seconds of thirty: 10 * (1 - e^(-1/3)).
    assert!((above - 20.0).abs() < 0.5 && (idle - (above - 2.83)).abs() < 0.1, "{above} {idle}");
}

#[test]
fn a_changed_policy_keeps_what_waits() {
    let policy = plain(500, 2, GateRules::default());
    let mut gate = taught(&policy, 2);
    let held = fill(&mut gate, ms(10_000), 0).len() - 2;
    let longer = plain(1_000, 2, GateRules { memory_requests: 50, ..GateRules::default() });
    gate.apply(&longer).unwrap();
    assert_eq!(gate.stats().waiting as usize, held);
    assert!(fill(&mut gate, ms(10_000), 0).len() > 8, "there is room for more");
    // Under a weight of a thousandth the same usage is over the share of anybody else.
    let mut light = longer.clone();
    light.accounts[0].weight = 0.001;
    gate.apply(&light).unwrap();
    let other = gate.policy_account(1).unwrap();
    let displacing = gate.admit(ms(10_000), 0, other, 1).unwrap();
    assert!(matches!(displacing, Admission::Hold { .. }) && gate.stats().displaced > 0);

    let before = saved(&gate);
    let refused = |gate: &mut Gate, policy: &Policy| gate.apply(policy).unwrap_err().field();
    assert_eq!(refused(&mut gate, &plain(500, 3, GateRules::default())), "accounts");
    assert_eq!(
        refused(&mut gate, &Policy { classes: Policy::default().classes, ..light.clone() }),
        "classes"
    );
    let mut moved = light.clone();
    moved.accounts[1].parent = Some("0".into());
    assert_eq!(refused(&mut gate, &moved), "account[].parent");
    // Whoever stands elsewhere would have the weight, the usage and the requests of another.
    let mut turned = light.clone();
    turned.accounts.reverse();
    assert_eq!(refused(&mut gate, &turned), "account[].name (key)");
    let mut renamed = light.clone();
    renamed.classes[0].name = "others".into();
    assert_eq!(refused(&mut gate, &renamed), "class[].name (key)");
    let mut wrong = light.clone();
    wrong.gate.wait_ratio = f64::NAN;
    assert_eq!(refused(&mut gate, &wrong), "gate.wait_ratio");
    assert!(saved(&gate) == before);
}

#[test]
fn accounts_come_and_go() {
    let policy = plain(500, 1, GateRules::default());
    let mut gate = taught(&policy, 1);
    let named = gate.policy_account(0).unwrap();
    let child = gate.open_account(Some(named), 2.0).unwrap();
    let ticket = gate.admit(ms(10_000), 0, child, 1).unwrap().ticket().unwrap();
    assert!(matches!(gate.close_account(child), Err(Error::Contradiction { .. })), "it runs");
    assert!(matches!(gate.close_account(named), Err(Error::Contradiction { .. })), "named");
    gate.left(ms(10_001), ticket).unwrap();
    gate.close_account(child).unwrap();
    assert!(matches!(gate.admit(ms(10_001), 0, child, 1), Err(Error::Stale { .. })));
}
