//! Counters, history, rates, and what copies tell each other.

use rampmeter::Nanos;
use rampmeter::error::codes;
use rampmeter::policy::RateLimits;
use rampmeter::share::exchange::{DeltaEntry, DeltaSource, path_key};
use rampmeter::share::{Ranked, Ranking, RateDecision, RawShares, Standing};
use rampmeter_ffi::batcher::rampmeter_rate_limits;
use rampmeter_ffi::exchange::*;
use rampmeter_ffi::ledger::*;

use super::{Pair, id, none, ok, zeroed};

#[test]
fn counters_say_whose_turn_it_is() {
    let (mut pair, [_, _, users @ ..]) = Pair::teams();
    for step in 0..200_u64 {
        let account = users[(step * 7 % 4) as usize];
        let (lane, cost) = ((step % 2) as u32, (step * step % 97) as f64);
        // SAFETY: everything that is pointed to is there.
        unsafe {
            ok(rampmeter_ledger_arrive(pair.c, lane, account, none()));
            ok(rampmeter_ledger_charge(pair.c, lane, account, cost, none()));
        }
        pair.core.arrive(lane, id(account)).expect("room");
        pair.core.charge(lane, id(account), cost).expect("in range");
        if step % 3 == 0 {
            // SAFETY: as above.
            ok(unsafe { rampmeter_ledger_depart(pair.c, lane, account, none()) });
            pair.core.depart(lane, id(account)).expect("one waits");
        }
    }
    for lane in 0..2 {
        let (mut least, mut any, mut len) = (0.0, 0, 0);
        let mut eligible: [rampmeter_eligible; 3] = zeroed();
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_counter_min(pair.c, lane, &raw mut least, &raw mut any, none()));
            let places = eligible.as_mut_ptr();
            ok(rampmeter_ledger_eligible(pair.c, lane, 1e6, places, 3, &raw mut len, none()));
        }
        assert_eq!((any == 1).then_some(least), pair.core.counter_min(lane).expect("a lane"));
        let known: Vec<_> = pair.core.eligible(lane, 1e6).expect("a lane").collect();
        assert_eq!((known.len(), len), (2, 2));
        for (told, (index, counter)) in eligible.iter().zip(known) {
            assert_eq!((told.account as u32, told.counter), (index, counter));
        }
        for account in users {
            let (mut counter, mut lead) = (0.0, sized!(rampmeter_lead {}));
            let [mut one, mut other]: [rampmeter_rival; 2] = zeroed();
            // SAFETY: as above.
            unsafe {
                ok(rampmeter_ledger_counter(pair.c, lane, account, &raw mut counter, none()));
                ok(rampmeter_ledger_lead(pair.c, lane, account, &raw mut lead, none()));
                let (to_one, to_other) = (&raw mut one, &raw mut other);
                ok(rampmeter_ledger_rivals(
                    pair.c,
                    lane,
                    account,
                    users[0],
                    to_one,
                    to_other,
                    none(),
                ));
            }
            assert_eq!(Ok(counter), pair.core.counter(lane, id(account)));
            assert_eq!(Ok(lead.waiting), pair.core.waiting(lane, id(account)));
            let known = pair.core.lead(lane, id(account)).expect("a lane");
            assert_eq!((lead.counter, lead.counter_min), (known.counter, known.counter_min));
            let known = pair.core.rivals(lane, id(account), users[0] as u32).expect("accounts");
            assert_eq!((one.counter, other.weight), (known.0.counter, known.1.weight));
        }
    }
}

#[test]
fn history_ranks_users() {
    let (mut pair, [red, _, users @ ..]) = Pair::teams();
    // SAFETY: everything that is pointed to is there.
    ok(unsafe { rampmeter_ledger_set_shares(pair.c, users[0], 1, 3.0, none()) });
    pair.core.set_raw_shares(id(users[0]), RawShares::Number(3.0)).expect("in range");
    for step in 0..40_u64 {
        let (account, now) = (users[(step % 4) as usize], step * 50_000_000);
        let amount = (step * step % 31) as f64;
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_record_usage(pair.c, now, account, amount, none()));
            ok(rampmeter_ledger_set_ranked(pair.c, account, (step % 3 != 0).into(), none()));
        }
        pair.core.record_usage(Nanos(now), id(account), amount).expect("in range");
        pair.core.set_ranked(id(account), step % 3 != 0).expect("an account");
    }
    let now = 2_000_000_000;
    for (kind, damping, ranking) in [
        (RAMPMETER_RANKING_FAIR_TREE, 0.0, Ranking::FairTree),
        (RAMPMETER_RANKING_CLASSIC, 0.0, Ranking::Classic { damping: 1.0 }),
        (RAMPMETER_RANKING_CLASSIC, 4.0, Ranking::Classic { damping: 4.0 }),
    ] {
        let (mut ranked, mut len, mut first) = ([zeroed::<rampmeter_ranked>(); 8], 0, 0);
        let to = ranked.as_mut_ptr();
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_rank_users(pair.c, kind, damping, to, 8, &raw mut len, none()));
            ok(rampmeter_ledger_next_ranked(pair.c, kind, damping, &raw mut first, none()));
        }
        let mut known = [Ranked::default(); 8];
        assert_eq!(pair.core.rank_users(ranking, &mut known), Ok(len));
        for (told, known) in ranked[..len].iter().zip(known) {
            let told = (told.account, told.factor, told.rank);
            assert_eq!(told, (known.account.to_raw(), known.factor, known.rank));
        }
        assert_eq!(pair.core.next_ranked(ranking), Ok((first != 0).then_some(id(first))));
        for account in [red, users[0], users[3]] {
            let (mut standing, mut usage) = (zeroed::<rampmeter_standing>(), 0.0);
            let (mut factor, mut is_known) = (0.0, 9);
            // SAFETY: as above.
            unsafe {
                let to = &raw mut standing;
                ok(rampmeter_ledger_standing(pair.c, now, account, kind, damping, to, none()));
                ok(rampmeter_ledger_usage(pair.c, now, account, &raw mut usage, none()));
                let (to, is) = (&raw mut factor, &raw mut is_known);
                ok(rampmeter_ledger_factor(pair.c, account, kind, damping, to, is, none()));
            }
            let known = pair.core.standing(Nanos(now), id(account), ranking).expect("kept");
            assert_eq!((standing.usage, usage), (known.usage, known.usage));
            assert_eq!((standing.has_factor == 1).then_some(standing.factor), known.factor);
            assert_eq!((standing.has_level_fs == 1).then_some(standing.level_fs), known.level_fs);
            assert_eq!((standing.rank != 0).then_some(standing.rank), known.rank);
            assert_eq!((is_known == 1).then_some(factor), known.factor);
        }
    }
    all_standings(&mut pair, now);
    let (mut usage, mut kind, mut number) = (0.0, 0, 0.0);
    // SAFETY: as above.
    unsafe {
        ok(rampmeter_ledger_usage(pair.c, now, 0, &raw mut usage, none()));
        ok(rampmeter_ledger_shares(pair.c, users[0], &raw mut kind, &raw mut number, none()));
        let mut first = 9;
        let unknown = rampmeter_ledger_next_ranked(pair.c, 2, 0.0, &raw mut first, none());
        assert_eq!((unknown, first), (codes::RANGE, 9));
    }
    assert_eq!(pair.core.usage_of_all(Nanos(now)), Ok(usage));
    assert_eq!((kind, number), (RAMPMETER_SHARES_NUMBER, 3.0));
}

/// All at once as one after the other.
fn all_standings(pair: &mut Pair, now: u64) {
    for (kind, ranking) in [
        (RAMPMETER_RANKING_FAIR_TREE, Ranking::FairTree),
        (RAMPMETER_RANKING_CLASSIC, Ranking::Classic { damping: 1.0 }),
    ] {
        let mut all = [zeroed::<rampmeter_standing>(); 65];
        all[64].usage = 9.0;
        let to = all.as_mut_ptr();
        // SAFETY: everything that is pointed to is there.
        unsafe {
            let short = rampmeter_ledger_standings(pair.c, now, kind, 0.0, to, 63, none());
            let early = rampmeter_ledger_standings(pair.c, 1, kind, 0.0, to, 64, none());
            assert_eq!((short, early), (codes::BUFFER_TOO_SMALL, codes::TIME_REVERSED));
            assert!(all[..64].iter().all(|standing| standing.users == 0));
            ok(rampmeter_ledger_standings(pair.c, now, kind, 0.0, to, 65, none()));
        }
        let mut known = [Standing::default(); 64];
        pair.core.standings(Nanos(now), ranking, &mut known).expect("room");
        for (told, known) in all.iter().zip(&known) {
            let numbers = [told.shares_norm, told.usage, told.usage_norm, told.usage_effective];
            let expected =
                [known.shares_norm, known.usage, known.usage_norm, known.usage_effective];
            assert_eq!(numbers, expected);
            assert_eq!((told.has_level_fs == 1).then_some(told.level_fs), known.level_fs);
            assert_eq!((told.has_factor == 1).then_some(told.factor), known.factor);
            assert_eq!((told.rank != 0).then_some(told.rank), known.rank);
            let is_number = matches!(known.shares, RawShares::Number(_));
            assert_eq!((told.users, told.shares_kind == 1), (known.users, is_number));
        }
        assert!(known[..6].iter().all(|standing| standing.users == 4));
        assert_eq!(all[64].usage, 9.0);
    }
}

#[test]
fn rates_let_in_what_is_within() {
    let (mut pair, [red, _, ann, ..]) = Pair::teams();
    let limits = sized!(rampmeter_rate_limits { requests_per_minute: 60, tokens_per_minute: 600 });
    let mut told = sized!(rampmeter_rate_limits {});
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_set_rates(pair.c, 0, red, &raw const limits, none()));
        ok(rampmeter_ledger_rates(pair.c, red, &raw mut told, none()));
    }
    let known =
        RateLimits { requests_per_minute: 60, tokens_per_minute: 600, ..Default::default() };
    pair.core.set_rates(Nanos(0), id(red), &known).expect("in range");
    assert_eq!((told.requests_per_minute, told.burst_ns), (60, known.burst.get()));
    let mut held_up = 0;
    for step in 0..60_u64 {
        let (now, tokens) = (step * 100_000_000, 10 + step % 40);
        let (mut decision, mut asked) = (zeroed::<rampmeter_rate_decision>(), zeroed());
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_rate_check(pair.c, now, ann, tokens, &raw mut asked, none()));
            ok(rampmeter_ledger_admit_rate(pair.c, now, ann, tokens, &raw mut decision, none()));
        }
        assert_eq!((asked.limit, asked.retry_after_ns), (decision.limit, decision.retry_after_ns));
        match pair.core.admit_rate(Nanos(now), id(ann), tokens).expect("rates") {
            RateDecision::Within => assert_eq!(decision.limit, RAMPMETER_RATE_WITHIN),
            RateDecision::Over { account, retry_after, .. } => {
                let told = (decision.account, decision.retry_after_ns);
                assert_eq!(told, (account.to_raw(), retry_after.get()));
                held_up += 1;
                // SAFETY: as above.
                unsafe {
                    ok(rampmeter_ledger_refund_rate(pair.c, now, ann, 1, 5, none()));
                    ok(rampmeter_ledger_charge_rate(pair.c, now, ann, 2, none()));
                }
                pair.core.refund_rate(Nanos(now), id(ann), 1, 5).expect("rates");
                pair.core.charge_rate(Nanos(now), id(ann), 2).expect("rates");
            }
        }
    }
    assert!(held_up > 0);
}

#[test]
fn copies_tell_each_other() {
    let (pair, [_, _, ann, ..]) = Pair::teams();
    let (mut other, [_, _, theirs, ..]) = Pair::teams();
    let (mut key, mut found) = (0, 0);
    let mut entries: [rampmeter_delta_entry; 4] = zeroed();
    let mut delta = sized!(rampmeter_delta {});
    let mut merged = sized!(rampmeter_merged {});
    let (mut service, mut next) = (0.0, 0);
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_path_key(c"red/ann".as_ptr(), &raw mut key, none()));
        assert_eq!(key, path_key(["red", "ann"]));
        let early = rampmeter_ledger_delta(pair.c, entries.as_mut_ptr(), 4, &raw mut delta, none());
        assert_eq!(early, codes::RANGE);
        for (copy, account, replica) in [(pair.c, ann, 0), (other.c, theirs, 1)] {
            ok(rampmeter_ledger_set_replica(copy, replica, 1, none()));
            ok(rampmeter_ledger_set_key(copy, account, key, none()));
        }
        ok(rampmeter_ledger_account_of(other.c, key, &raw mut found, none()));
        assert_eq!(found, theirs);
        // Heard of once, so that what comes later counts as charged.
        for cost in [1.0, 40.0] {
            ok(rampmeter_ledger_charge(pair.c, 1, ann, cost, none()));
            ok(rampmeter_ledger_delta(pair.c, entries.as_mut_ptr(), 4, &raw mut delta, none()));
            let (from, of) = (&raw const delta, entries.as_ptr());
            let len = delta.len as usize;
            ok(rampmeter_ledger_merge(other.c, from, of, len, &raw mut merged, none()));
            assert_eq!((len, delta.is_complete, merged.news), (1, 1, 1));
        }
        let (from, of) = (&raw const delta, entries.as_ptr());
        ok(rampmeter_ledger_merge(other.c, from, of, 1, &raw mut merged, none()));
        assert_eq!((merged.news, merged.older), (0, 1));
        ok(rampmeter_ledger_service(other.c, 1, theirs, &raw mut service, none()));
        let (to, place) = (entries.as_mut_ptr(), &raw mut next);
        ok(rampmeter_ledger_delta_all(pair.c, place, to, 4, &raw mut delta, none()));
        assert_eq!((delta.len, delta.replica, next), (1, 0, 0));
        ok(rampmeter_ledger_forget_replica(other.c, 0, none()));
    }
    assert_eq!(service, 41.0);
    // The same by hand.
    let core = &mut other.core;
    core.set_replica(1, 1).expect("a replica");
    core.set_key(id(theirs), key).expect("a key");
    let entry = |told, served| DeltaEntry { key, lane: 1, began: 0.0, told, served };
    let source = DeltaSource { replica: 0, incarnation: 1 };
    core.merge(source, &[entry(0.0, 1.0)]).expect("in range");
    core.merge(source, &[entry(1.0, 41.0)]).expect("in range");
    let mut counter = 0.0;
    // SAFETY: as above.
    ok(unsafe { rampmeter_ledger_counter(other.c, 1, theirs, &raw mut counter, none()) });
    assert_eq!(core.counter(1, id(theirs)), Ok(counter));
}
