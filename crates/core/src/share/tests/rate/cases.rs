//! Small cases worked out by hand.

use super::*;

#[expect(clippy::unnecessary_wraps, reason = "it stands beside answers of the ledger")]
fn over(limit: RateKind, account: AccountId, retry_after: u64) -> Result<RateDecision, Error> {
    Ok(RateDecision::Over { limit, account, retry_after: Nanos(retry_after) })
}

const WITHIN: Result<RateDecision, Error> = Ok(RateDecision::Within);

/// Seven a minute: an interval that is no whole number of nanoseconds. The bucket holds two
/// requests and a third.
#[test]
fn who_always_asks_gets_the_rate_exactly() {
    let mut ledger = new();
    let account = ledger.open(None, 1.0).unwrap();
    ledger.set_rates(Nanos(5), account, &limits(7, 0, MINUTE_NS / 3)).unwrap();
    let mut now = Nanos(5);
    for count in 1..=70_000_u64 {
        let to_come = (count * MINUTE_NS).saturating_sub(7 * (MINUTE_NS / 3));
        assert_eq!(now.get(), 5 + to_come.div_ceil(7));
        assert_eq!(ledger.admit_rate(now, account, 9_000), WITHIN);
        if let RateDecision::Over { retry_after, .. } = ledger.rate_check(now, account, 0).unwrap()
        {
            now = now.saturating_add(retry_after);
        }
    }
}

#[test]
fn a_team_limits_its_users_together_and_refusal_takes_from_nobody() {
    let mut ledger = new();
    let team = ledger.open(None, 1.0).unwrap();
    let [one, other] = [(); 2].map(|()| ledger.open(Some(team), 1.0).unwrap());
    let now = Nanos(MINUTE_NS);
    ledger.set_rates(now, team, &limits(0, 1_000, MINUTE_NS)).unwrap();
    ledger.set_rates(now, one, &limits(0, 700, MINUTE_NS)).unwrap();
    assert_eq!(ledger.admit_rate(now, one, 600), WITHIN);
    assert_eq!(ledger.admit_rate(now, other, 300), WITHIN);
    let second = MINUTE_NS / 60;
    assert_eq!(ledger.admit_rate(now, other, 200), over(RateKind::Tokens, team, 6 * second));
    let longest = over(RateKind::Tokens, one, (200 * MINUTE_NS).div_ceil(700));
    assert_eq!(
        ledger.admit_rate(now, one, 300),
        longest,
        "200 at 700 take longer than 200 at 1,000"
    );
    assert_eq!(ledger.admit_rate(now, one, 100), WITHIN, "refused ones took nothing");
    assert_eq!(ledger.rate_check(now, team, 1), over(RateKind::Tokens, team, MINUTE_NS / 1_000));
    ledger.refund_rate(now, one, 0, 50).unwrap();
    assert_eq!(ledger.rate_check(now, other, 50), WITHIN, "given back to the team, too");
    assert_eq!(ledger.admit_rate(now, one, 50), WITHIN);
    ledger.charge_rate(now, other, 1_000).unwrap();
    let owed = over(RateKind::Tokens, team, MINUTE_NS + MINUTE_NS / 1_000);
    assert_eq!(ledger.rate_check(now, one, 1), owed, "what one produced all owe");
    assert_eq!(ledger.rate_check(now, one, 0), over(RateKind::Tokens, team, MINUTE_NS));
}

#[test]
fn a_request_larger_than_the_bucket_needs_a_full_one_and_leaves_debt() {
    let mut ledger = new();
    let account = ledger.open(None, 1.0).unwrap();
    ledger.set_rates(Nanos::ZERO, account, &limits(0, 60, MINUTE_NS)).unwrap();
    let second = MINUTE_NS / 60;
    assert_eq!(ledger.admit_rate(Nanos::ZERO, account, 1), WITHIN);
    assert_eq!(
        ledger.rate_check(Nanos::ZERO, account, 500),
        over(RateKind::Tokens, account, second)
    );
    let now = Nanos(second);
    assert_eq!(ledger.admit_rate(now, account, 500), WITHIN);
    assert_eq!(ledger.rate_check(now, account, 1), over(RateKind::Tokens, account, 441 * second));
    assert_eq!(ledger.rate_check(now, account, 60), over(RateKind::Tokens, account, 500 * second));
    assert_eq!(ledger.rate_check(now, account, 900), over(RateKind::Tokens, account, 500 * second));
}

#[test]
fn a_changed_rate_keeps_what_is_there_and_what_is_owed() {
    let mut ledger = new();
    let account = ledger.open(None, 1.0).unwrap();
    let now = Nanos(MINUTE_NS);
    let set = |ledger: &mut Ledger, tokens| {
        ledger.set_rates(now, account, &limits(0, tokens, MINUTE_NS)).unwrap();
    };
    let holds = |ledger: &Ledger, tokens: u64| {
        ledger.rate_check(now, account, tokens) == WITHIN
            && ledger.rate_check(now, account, tokens + 1) != WITHIN
    };
    set(&mut ledger, 600);
    assert_eq!(ledger.admit_rate(now, account, 400), WITHIN);
    set(&mut ledger, 6_000);
    assert!(holds(&ledger, 200), "more room, and nothing to fill it yet");
    assert_eq!(
        ledger.rate_check(now, account, 300),
        over(RateKind::Tokens, account, MINUTE_NS / 60),
        "at the new rate"
    );
    set(&mut ledger, 600);
    assert!(holds(&ledger, 200), "there and back is as if nothing had been");
    set(&mut ledger, 100);
    assert_eq!(ledger.rate_check(now, account, 5_000), WITHIN, "it is full");
    set(&mut ledger, 600);
    assert!(holds(&ledger, 100), "what did not fit is gone");
    ledger.charge_rate(now, account, 160).unwrap();
    set(&mut ledger, 60);
    assert_eq!(
        ledger.rate_check(now, account, 1),
        over(RateKind::Tokens, account, 61 * MINUTE_NS / 60)
    );
    set(&mut ledger, 0);
    assert_eq!(ledger.admit_rate(now, account, u64::MAX), WITHIN);
    assert!(!ledger.has_rate_limits());
    set(&mut ledger, 60);
    assert_eq!(ledger.rate_check(now, account, 60), WITHIN, "a new limit begins full");
}

#[test]
fn a_reused_place_inherits_no_limit() {
    let mut ledger = new();
    let first = ledger.open(None, 1.0).unwrap();
    ledger.set_rates(Nanos(7), first, &limits(1, 1, 0)).unwrap();
    ledger.charge_rate(Nanos(7), first, 1_000).unwrap();
    ledger.close(first).unwrap();
    assert!(!ledger.has_rate_limits());
    let second = ledger.open(None, 1.0).unwrap();
    assert_eq!(second.index(), first.index());
    assert_eq!(ledger.rates(second), Ok(RateLimits::default()));
    assert_eq!(ledger.admit_rate(Nanos(7), second, 1_000), WITHIN);
    ledger.set_rates(Nanos(7), second, &limits(1, 1, 0)).unwrap();
    assert_eq!(ledger.admit_rate(Nanos(7), second, 1), WITHIN, "nor what was owed");
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let mut ledger = new();
    let account = ledger.open(None, 1.0).unwrap();
    ledger.set_rates(Nanos(9), account, &limits(3, 3, MINUTE_NS)).unwrap();
    let before = saved(&ledger);
    let reversed = Error::TimeReversed { now_ns: 8, last_ns: 9 };
    let nobody = AccountId::default();
    for (now, account, code) in [(Nanos(8), account, reversed.code()), (Nanos(9), nobody, -3)] {
        let refusals = [
            ledger.set_rates(now, account, &limits(1, 1, 1)).unwrap_err(),
            ledger.admit_rate(now, account, 1).unwrap_err(),
            ledger.rate_check(now, account, 1).unwrap_err(),
            ledger.charge_rate(now, account, 1).unwrap_err(),
            ledger.refund_rate(now, account, 1, 1).unwrap_err(),
        ];
        assert!(refusals.iter().all(|refusal| refusal.code() == code), "{refusals:?}");
    }
    assert_eq!(saved(&ledger), before);
    let mut without = Ledger::new(&LedgerOptions::default()).unwrap();
    let account = without.open(None, 1.0).unwrap();
    let absent = Error::Range { field: "rates", value: 0, min: 1, max: 1 };
    assert_eq!(without.set_rates(Nanos(9), account, &limits(1, 1, 1)), Err(absent));
    assert_eq!(without.admit_rate(Nanos(9), account, 1), Err(absent));
    assert_eq!(without.rates(account), Err(absent));
}

#[test]
fn memory_is_64_bytes_an_account() {
    let bytes = |rates| Ledger::bytes_needed(&LedgerOptions { rates, ..LedgerOptions::default() });
    assert_eq!(bytes(true) - bytes(false), 64 * 1_024);
}

/// A bucket that is full again only after the end of the clock cannot be.
#[test]
fn buckets_that_cannot_be_are_refused() {
    let mut ledger = new();
    let account = ledger.open(None, 1.0).unwrap();
    ledger.set_rates(Nanos::ZERO, account, &limits(0, 5, 0)).unwrap();
    ledger.charge_rate(Nanos::ZERO, account, u64::MAX).unwrap();
    let mut words = saved(&ledger);
    let high = words.len() - 1;
    assert_eq!(words[high - 1..], [u64::MAX - 4, 4], "5 * (2^64 - 1)");
    assert!(load(&words).is_ok());
    words[high - 1] += 1;
    assert_eq!(load(&words).unwrap_err().field(), "full_at");
    words.truncate(high);
    assert_eq!(load(&words).unwrap_err().field(), "state");
}
