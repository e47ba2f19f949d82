//! How fast an account may send: what is taken when, what is given back, and who is turned away.

use super::*;
use crate::policy::{QueueLimits, RateLimits};
use proptest::prelude::*;

const MINUTE_NS: u64 = 60_000_000_000;

/// More than any bucket holds here.
const FULL: u64 = 10_000;

fn rates(requests_per_minute: u32, tokens_per_minute: u64) -> RateLimits {
    RateLimits { requests_per_minute, tokens_per_minute, ..RateLimits::default() }
}

/// Rates of account `a`; `b` is part of `a`.
fn limited(rates: RateLimits) -> Policy {
    let mut policy = policy();
    policy.accounts[0].rates = rates;
    policy.accounts[1].parent = Some("a".into());
    policy
}

fn offer(rig: &mut Rig, account: usize, prompt: u32, cached: u32) -> Admission {
    let submission = Submission {
        account: rig.account(account),
        arrival: rig.now,
        prompt_tokens: Tokens(prompt),
        cached_tokens: Tokens(cached),
        output_tokens_max: Tokens(50),
        ..Submission::default()
    };
    rig.batcher.submit(rig.now, &submission).unwrap()
}

fn queued(rig: &mut Rig, account: usize, prompt: u32) -> RequestId {
    offer(rig, account, prompt, 0).queued().unwrap()
}

fn shed(reason: ShedReason, retry_after: u64) -> Admission {
    Admission::Shed(Shed { reason, retry_after: Nanos(retry_after) })
}

/// Tokens that an account may still bring in now, by the ledger; [`FULL`] where the bucket is full,
/// which lets in whatever comes.
fn left(rig: &Rig, account: usize) -> u64 {
    let (ledger, account) = (&rig.batcher.lines.ledger, rig.account(account));
    let within = |tokens: &u64| {
        ledger.rate_check(rig.now, account, *tokens).unwrap() == crate::share::RateDecision::Within
    };
    // Nobody is within 0 tokens who owes some.
    (0..=FULL).take_while(within).last().unwrap_or(0)
}

/// 600 tokens a minute: one in 100 ms.
const TOKEN_NS: u64 = MINUTE_NS / 600;

#[test]
fn what_is_over_a_rate_is_turned_away_until_exactly_then() {
    let mut rig = Rig::new(&limited(rates(3, 600)));
    queued(&mut rig, 1, 250);
    queued(&mut rig, 0, 300);
    let told = shed(ShedReason::RateTokens, 50 * TOKEN_NS);
    let before = (rig.batcher.stats().waiting, left(&rig, 2));
    assert_eq!(offer(&mut rig, 1, 100, 0), told, "b is part of a");
    assert_eq!(offer(&mut rig, 0, 100, 0), told, "refused ones took nothing");
    assert_eq!((rig.batcher.stats().waiting, left(&rig, 2)), before);
    assert_eq!(rig.batcher.stats().shed, 2);
    queued(&mut rig, 2, 5_000);
    rig.now = Nanos(50 * TOKEN_NS - 1);
    assert_eq!(offer(&mut rig, 0, 100, 0), shed(ShedReason::RateTokens, 1));
    rig.now = Nanos(50 * TOKEN_NS);
    queued(&mut rig, 0, 100);
    assert_eq!(offer(&mut rig, 0, 1, 0), shed(ShedReason::RateRequests, 15_000_000_000));
}

#[test]
fn errors_and_queue_limits_come_before_rates_and_take_nothing() {
    let mut policy = limited(rates(0, 600));
    (policy.limits.requests_max, policy.limits.running_max) = (2, 1);
    policy.accounts[0].queue = QueueLimits { tokens_max: 200, ..QueueLimits::default() };
    let mut rig = Rig::new(&policy);
    queued(&mut rig, 0, 150);
    let answer = offer(&mut rig, 0, 60, 0);
    assert!(matches!(answer, Admission::Shed(Shed { reason: ShedReason::AccountTokens, .. })));
    assert_eq!(left(&rig, 0), 450);
    queued(&mut rig, 2, 1);
    let submission = Submission { account: rig.account(0), ..Submission::default() };
    assert_eq!(rig.batcher.submit(rig.now, &submission).unwrap_err().field(), "request");
    assert_eq!(left(&rig, 0), 450);
}

#[test]
fn output_is_charged_as_it_comes_and_is_owed_where_there_is_none_left() {
    let mut rig = Rig::new(&limited(rates(0, 600)));
    queued(&mut rig, 0, 590);
    assert_eq!(left(&rig, 0), 10);
    rig.form();
    rig.land_with(|_| Tokens(1));
    let (since, mut produced) = (rig.now, 1);
    while produced < 50 {
        rig.form();
        rig.land_with(|_| Tokens(7));
        produced += 7;
    }
    // Nothing was lost to a full bucket: 600 at the beginning, and what time has brought.
    assert!(since > Nanos::ZERO);
    let ready = (590 + produced) * TOKEN_NS;
    let wait = ready - 600 * TOKEN_NS + TOKEN_NS - rig.now.get();
    assert_eq!(offer(&mut rig, 0, 1, 0), shed(ShedReason::RateTokens, wait));
}

#[test]
fn cached_tokens_are_not_charged_whenever_they_are_found() {
    let mut rig = Rig::new(&limited(rates(0, 600)));
    let first = offer(&mut rig, 0, 500, 400).queued().unwrap();
    assert_eq!(left(&rig, 0), 500);
    rig.batcher.set_cached_tokens(first, Tokens(450)).unwrap();
    assert_eq!(left(&rig, 0), 550);
    rig.batcher.set_cached_tokens(first, Tokens(100)).unwrap();
    assert_eq!(left(&rig, 0), 200, "less is cached than was thought");
    let mut arrays = PlanArrays::new(8);
    let mut cache = |_, _| Some(Tokens(300));
    rig.batcher.form_with_cache(rig.now, &mut arrays.plan(), &mut cache).unwrap();
    assert_eq!(left(&rig, 0), 400);
}

#[test]
fn a_prompt_that_several_share_is_charged_once() {
    let mut rig = Rig::new(&limited(rates(0, 600)));
    let first = queued(&mut rig, 0, 200);
    let submission = Submission {
        account: rig.account(0),
        prompt_tokens: Tokens(200),
        output_tokens_max: Tokens(50),
        shares: Some(first),
        ..Submission::default()
    };
    rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap();
    assert_eq!(left(&rig, 0), 200, "until it is known that it is");
    rig.form();
    rig.land();
    let now = rig.now;
    let entries = rig.form();
    let admitted = entries.iter().find(|entry| entry.admitted).unwrap();
    let came = now.get() / TOKEN_NS;
    assert_eq!(left(&rig, 0), 400 - 1 - u64::from(admitted.tokens.get()) + came);
}

#[test]
fn what_was_not_computed_is_given_back() {
    let mut rig = Rig::new(&limited(rates(10, 6_000)));
    let waits = queued(&mut rig, 0, 3_000);
    rig.batcher.cancel(rig.now, waits).unwrap();
    assert_eq!(left(&rig, 0), FULL);
    let runs = queued(&mut rig, 0, 3_000);
    assert_eq!(rig.form()[0].tokens, Tokens(1_000));
    rig.batcher.cancel(rig.now, runs).unwrap();
    assert_eq!(left(&rig, 0), 5_000, "one chunk was computed");
    queued(&mut rig, 0, 2_000);
    assert_eq!(left(&rig, 0), 3_000);
}

#[test]
fn who_expires_gets_the_request_back_and_who_is_cancelled_does_not() {
    let mut policy = limited(rates(10, 6_000));
    policy.classes[0].queue.wait_max = Nanos::from_millis(5);
    let mut rig = Rig::new(&policy);
    for _ in 0..10 {
        queued(&mut rig, 0, 100);
    }
    assert!(matches!(offer(&mut rig, 0, 1, 0), Admission::Shed(_)), "ten requests");
    rig.now = Nanos::from_millis(5);
    for _ in 0..2 {
        assert!(rig.form().is_empty(), "all have expired; a step can tell of eight");
    }
    assert_eq!(left(&rig, 0), FULL);
    for _ in 0..10 {
        let id = queued(&mut rig, 0, 100);
        rig.batcher.cancel(rig.now, id).unwrap();
    }
    let told = shed(ShedReason::RateRequests, MINUTE_NS / 10);
    assert_eq!(offer(&mut rig, 0, 1, 0), told, "ten were handled");
}

#[test]
fn a_lost_cache_is_not_charged_again() {
    let mut rig = Rig::new(&limited(rates(0, 6_000)));
    let first = queued(&mut rig, 0, 500);
    rig.form();
    rig.land();
    let before = left(&rig, 0);
    rig.batcher.preempt(first.index(), false);
    rig.form();
    assert_eq!(left(&rig, 0), before);
    rig.batcher.cancel(rig.now, first).unwrap();
    assert_eq!(left(&rig, 0), before, "and what was lost was computed");
}

#[test]
fn rates_change_and_what_is_owed_stays() {
    let mut policy = limited(rates(0, 0));
    let mut rig = Rig::new(&policy);
    queued(&mut rig, 0, 9_000);
    policy.accounts[0].rates = rates(0, 600);
    rig.batcher.set_policy(&policy).unwrap();
    assert_eq!(left(&rig, 1), FULL, "a full bucket admits what is larger");
    queued(&mut rig, 1, 500);
    policy.accounts[0].weight = 2.0;
    rig.batcher.set_policy(&policy).unwrap();
    assert_eq!(left(&rig, 1), 100, "the same rate again changes nothing");
    let guest = rig.batcher.open_account(None, 1.0).unwrap();
    rig.batcher.set_account_rates(guest, rates(1, 0)).unwrap();
    rig.submit_for(guest, 0, 100, 1);
    let submission = Submission { account: guest, ..Submission::default() };
    let told = shed(ShedReason::RateRequests, MINUTE_NS);
    assert_eq!(rig.batcher.submit(rig.now, &submission), Ok(told));
    let refused = rig.batcher.set_account_rates(AccountId::default(), rates(1, 1));
    assert_eq!(refused.unwrap_err().field(), "account");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whoever is turned away for a rate and comes back when told is let in, and not before; and
    /// a batcher saved and restored on the way says the same.
    #[test]
    fn who_comes_back_when_told_is_let_in(
        offers in prop::collection::vec((0usize..3, 1u32..800, 0.0f64..0.3, 0u32..5), 1..60),
        requests in 1u32..400, tokens in 1u64..90_000, burst in MINUTE_NS / 60..MINUTE_NS,
    ) {
        let policy = limited(RateLimits { burst: Nanos(burst), ..rates(requests, tokens) });
        let mut rig = Rig::new(&policy);
        for (account, prompt, pause, steps) in offers {
            for _ in 0..steps {
                rig.step();
            }
            rig.wait(pause);
            let Admission::Shed(told) = offer(&mut rig, account, prompt, 0) else { continue };
            let of_a_rate = [ShedReason::RateRequests, ShedReason::RateTokens].contains(&told.reason);
            prop_assert!(of_a_rate);
            let mut bytes = vec![0; rig.batcher.snapshot_bytes() as usize];
            rig.batcher.save(&mut bytes).unwrap();
            let kv = KvGeometry::new(Blocks(100_000), 10).unwrap();
            rig.batcher = Batcher::restore(&policy, kv, &bytes).unwrap();
            let at = rig.now.checked_add(told.retry_after).unwrap();
            rig.now = at.saturating_sub(Nanos(1));
            let early = offer(&mut rig, account, prompt, 0);
            let soon = matches!(early, Admission::Shed(Shed { retry_after: Nanos(1), .. }));
            prop_assert!(soon);
            rig.now = at;
            prop_assert!(offer(&mut rig, account, prompt, 0).queued().is_some());
        }
    }
}
