//! The life of a request: steps in flight, cancelling, what the engine really did.

use super::*;

fn steps_in_flight(steps: u32) -> Policy {
    let mut policy = policy();
    policy.limits.steps_in_flight_max = steps;
    policy
}

#[test]
fn as_many_steps_as_allowed_can_be_in_flight() {
    for steps in 1..=4 {
        let mut rig = Rig::new(&steps_in_flight(steps));
        let id = rig.submit(0, 0, 100, 50);
        for step in 0..steps {
            let entries = rig.form();
            assert_eq!(*requests(&entries), [id]);
            let computed = if step == 0 { 0 } else { 99 + step };
            assert_eq!(entries[0].computed_tokens, Tokens(computed));
        }
        let mut plan = Plan {
            entries: &mut [PlanEntry::default(); 8],
            preempted: &mut [Preemption::default(); 8],
            expired: &mut [Expiry::default(); 8],
        };
        let full = Error::Full { field: "steps_in_flight", capacity: u64::from(steps) };
        assert_eq!(rig.batcher.form(rig.now, &mut plan), Err(full));
        // Each begins where the one before is expected to end: 11 ms, then 10 ms each.
        let ends: Vec<u64> = rig.flying.iter().map(|step| step.ends_at.get()).collect();
        let expected: Vec<u64> =
            (0..u64::from(steps)).map(|i| 11_000_000 + i * 10_000_000).collect();
        assert_eq!(ends, expected);
        for landed in 1..=steps {
            rig.land();
            assert_eq!(rig.batcher.progress(id).unwrap().output_tokens, Tokens(landed));
        }
    }
}

#[test]
fn steps_behind_a_late_one_are_expected_later() {
    let mut rig = Rig::new(&steps_in_flight(2));
    rig.submit(0, 0, 100, 50);
    rig.form();
    rig.form();
    rig.wait(1.0);
    rig.land();
    assert_eq!(rig.batcher.next_event(rig.now), Some(rig.now), "there is room for another");
    rig.form();
    assert_eq!(rig.flying[1].ends_at, rig.now.offset_seconds(0.020));
}

#[test]
fn nothing_is_planned_past_the_last_token() {
    let mut rig = Rig::new(&steps_in_flight(4));
    let id = rig.submit(0, 0, 100, 2);
    assert_eq!(rig.form().len(), 1);
    assert_eq!(rig.form().len(), 1);
    assert!(rig.form().is_empty(), "both tokens are on their way");
    rig.land();
    assert_eq!(rig.land().finished, 1);
    assert!(rig.batcher.progress(id).is_err());
    assert_eq!(rig.batcher.stats().requests, 0);
}

/// Cancels in each stage; afterwards the batcher is as empty as before.
#[test]
fn a_request_can_be_taken_back_in_every_stage() {
    for stage in 0..6 {
        let mut rig = Rig::with_blocks(&steps_in_flight(2), 100);
        let account = rig.batcher.open_account(None, 1.0).unwrap();
        let id = rig.submit_for(account, 0, 500, 50);
        assert_eq!(rig.batcher.close_account(account).unwrap_err().code(), -7, "it has a request");
        match stage {
            0 => {}
            1 => {
                rig.wait(5.0);
                let other = rig.submit_for(account, 0, 900, 50);
                rig.form();
                rig.land();
                assert_eq!(rig.stage(id), Stage::Late);
                rig.batcher.cancel(rig.now, other).unwrap();
            }
            2 => drop(rig.step()),
            3 => drop(rig.form()),
            4 => {
                rig.form();
                rig.form();
            }
            _ => {
                rig.step();
                rig.batcher.preempt(id.index(), false);
                assert_eq!(rig.stage(id), Stage::Preempted);
            }
        }
        rig.batcher.cancel(rig.now, id).unwrap();
        let stale = Err(Error::Stale { field: "request", handle: id.to_raw() });
        assert_eq!(rig.batcher.cancel(rig.now, id), stale, "stage {stage}: twice");
        assert_eq!(rig.batcher.set_cached_tokens(id, Tokens(1)), stale);
        // What has ended holds no account, whatever steps still name it.
        rig.batcher.close_account(account).unwrap();
        // Results of steps in flight are taken and ignored.
        while !rig.flying.is_empty() {
            assert_eq!(rig.stage(id), Stage::Ended);
            assert_eq!(rig.land(), Observed::default());
        }
        let stats = rig.batcher.stats();
        assert_eq!((stats.requests, stats.waiting, stats.late, stats.running), (0, 0, 0, 0));
        assert_eq!(stats.kv_blocks_free, Blocks(100), "stage {stage}");
        assert_eq!(rig.batcher.next_event(rig.now), None);
    }
}

#[test]
fn a_place_is_not_reused_while_a_step_in_flight_names_it() {
    let mut policy = steps_in_flight(2);
    policy.limits.requests_max = 8;
    let mut rig = Rig::new(&policy);
    let ids: Vec<RequestId> = (0..8).map(|_| rig.submit(0, 0, 50, 5)).collect();
    rig.form();
    rig.batcher.cancel(rig.now, ids[3]).unwrap();
    let submission = Submission {
        account: rig.account(0),
        arrival: rig.now,
        prompt_tokens: Tokens(5),
        output_tokens_max: Tokens(5),
        ..Submission::default()
    };
    let full = Err(Error::Full { field: "request", capacity: 8 });
    assert_eq!(rig.batcher.submit(rig.now, &submission), full);
    rig.land();
    let again = rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap();
    assert_eq!(again.index(), ids[3].index());
}

#[test]
fn several_tokens_of_one_step_are_taken_in() {
    let mut rig = Rig::new(&policy());
    let id = rig.submit(0, 0, 100, 50);
    rig.step();
    rig.form();
    rig.land_with(|_| Tokens(3));
    let progress = rig.batcher.progress(id).unwrap();
    assert_eq!((progress.output_tokens, progress.computed_tokens), (Tokens(4), Tokens(103)));
    assert_eq!(rig.form()[0].computed_tokens, Tokens(103));
}

#[test]
fn a_token_that_did_not_come_is_planned_again() {
    let mut rig = Rig::new(&policy());
    let id = rig.submit(0, 0, 100, 50);
    rig.step();
    let first = rig.form();
    rig.land_with(|_| Tokens(0));
    assert_eq!(rig.batcher.progress(id).unwrap().output_tokens, Tokens(1));
    assert_eq!(rig.form(), first);
    // Not named at all means the same.
    let step = rig.flying.remove(0);
    let seen = Observation { step: step.id, ..Observation::default() };
    rig.batcher.observe(rig.now, &seen).unwrap();
    assert_eq!(rig.form(), first);
}

#[test]
fn a_prompt_whose_first_token_did_not_come_is_finished_again() {
    let mut rig = Rig::new(&policy());
    rig.submit(0, 0, 100, 50);
    let first = rig.form();
    rig.land_with(|_| Tokens(0));
    let again = rig.form();
    assert_eq!((again[0].computed_tokens, again[0].tokens), (Tokens(0), first[0].tokens));
    assert!(again[0].emits);
}

#[test]
fn a_changed_policy_keeps_what_waits_and_runs() {
    let mut rig = Rig::new(&steps_in_flight(2));
    for account in 0..3 {
        rig.submit(0, account, 400, 50);
        rig.submit(1, account, 400, 50);
    }
    rig.form();
    let (stats, counters) = (rig.batcher.stats(), rig.counters());
    let mut changed = steps_in_flight(2);
    changed.limits.step_tokens_max = Tokens(50);
    changed.accounts[1].weight = 4.0;
    rig.batcher.set_policy(&changed).unwrap();
    assert_eq!((rig.batcher.stats(), rig.counters()), (stats, counters));
    assert_eq!(rig.batcher.lines.ledger.weight(rig.account(1)), Ok(4.0));
    let tokens: u32 = rig.form().iter().map(|entry| entry.tokens.get()).sum();
    assert_eq!(tokens, 50, "the new limit holds from the next step on");
    rig.land();
    rig.land();
}

#[test]
fn a_policy_of_another_size_is_refused_whole() {
    let mut rig = Rig::new(&policy());
    let mut larger = policy();
    larger.accounts[1].weight = 4.0;
    larger.limits.running_max = 9;
    let refused = Error::Range { field: "running_max", value: 9, min: 8, max: 8 };
    assert_eq!(rig.batcher.set_policy(&larger), Err(refused));
    assert_eq!(rig.batcher.lines.ledger.weight(rig.account(1)), Ok(1.0));
}

#[test]
fn a_changed_policy_that_names_somebody_twice_is_refused() {
    let mut rig = Rig::new(&policy());
    let mut changed = policy();
    changed.accounts[2].name = changed.accounts[1].name.clone();
    let refused = Error::Duplicate { field: "account[].name", index: 2, first_index: 1 };
    assert_eq!(rig.batcher.set_policy(&changed), Err(refused));
    changed.accounts[2].name = "somebody else".into();
    assert_eq!(rig.batcher.set_policy(&changed), Ok(()));
}

#[test]
fn a_host_that_asks_when_to_come_back_is_never_sent_in_circles() {
    let mut rig = Rig::new(&steps_in_flight(2));
    rig.submit(0, 0, 100, 1);
    rig.form();
    assert!(rig.form().is_empty(), "its only token is on its way");
    let ends_at = rig.flying[0].ends_at;
    assert_eq!(rig.batcher.next_event(rig.now), Some(ends_at));
    let more = rig.submit(0, 0, 100, 1);
    assert_eq!(rig.batcher.next_event(rig.now), Some(rig.now));
    assert_eq!(*requests(&rig.form()), [more]);
}

#[test]
fn accounts_of_the_policy_stay_open() {
    let mut rig = Rig::new(&policy());
    let account = rig.account(2);
    let refused = rig.batcher.close_account(account).unwrap_err();
    let text =
        std::format!("`account` = {} contradicts `place in the policy` = 2", account.to_raw());
    assert_eq!(std::string::ToString::to_string(&refused), text);
    // Or else no changed policy could be taken any more.
    assert_eq!(rig.batcher.set_policy(&policy()), Ok(()));
}

#[test]
fn a_host_can_say_at_any_time_that_blocks_are_free() {
    let mut rig = Rig::with_blocks(&policy(), 20);
    let id = rig.submit(0, 0, 100, 50);
    let step = {
        drop(rig.form());
        rig.flying.remove(0)
    };
    rig.now = step.ends_at;
    let results = [StepResult { request: id, output_tokens: Tokens(1), finished: false }];
    let seen = Observation {
        step: step.id,
        kv_blocks_free: Some(Blocks(0)),
        results: &results,
        ..Observation::default()
    };
    rig.batcher.observe(rig.now, &seen).unwrap();
    // The eleventh block is not there, and no step is in flight whose end could bring it.
    assert!(rig.form().is_empty());
    assert_eq!(rig.batcher.next_event(rig.now), None);
    let too_many = Error::Range { field: "kv_blocks_free", value: 21, min: 0, max: 20 };
    assert_eq!(rig.batcher.set_kv_blocks_free(rig.now, Blocks(21)), Err(too_many));
    let early = rig.batcher.set_kv_blocks_free(Nanos(1), Blocks(1));
    assert_eq!(early.unwrap_err().code(), -4);
    assert_eq!(rig.batcher.next_event(rig.now), None, "refused calls change nothing");
    rig.batcher.set_kv_blocks_free(rig.now, Blocks(1)).unwrap();
    assert_eq!(rig.batcher.next_event(rig.now), Some(rig.now));
    assert_eq!(*requests(&rig.form()), [id]);
}

#[test]
fn a_prompt_found_in_the_cache_can_begin_later() {
    for (cached, stage) in [(0, Stage::Late), (50_000, Stage::Waiting)] {
        // 60 steps of 20 ms for a first token that is due after 1 s; ten with the cache.
        let mut rig = Rig::new(&one_seat());
        rig.submit(0, 0, 100, 2);
        let id = rig.submit(0, 1, 60_000, 1);
        rig.wait(0.3);
        rig.batcher.set_cached_tokens(id, Tokens(cached)).unwrap();
        rig.form();
        assert_eq!(rig.stage(id), stage, "{cached} tokens cached");
    }
}

#[test]
fn sums_over_many_requests_saturate() {
    const LONGEST: u32 = 1 << 24;
    let mut policy = policy();
    policy.limits.requests_max = 300;
    policy.limits.running_max = 300;
    policy.limits.output_tokens_max = Tokens(LONGEST);
    let mut rig = Rig::with_blocks(&policy, LONGEST);
    for _ in 0..300 {
        rig.submit(0, 0, 1, LONGEST);
    }
    assert_eq!(rig.form().len(), 300);
    let observed = rig.land_with(|_| Tokens(LONGEST));
    assert_eq!((observed.finished, observed.output_tokens), (300, u32::MAX));
}

#[test]
fn bytes_of_any_policy_can_be_asked_for() {
    use crate::outcome::{Options, Outcomes};
    let mut policy = policy();
    let modest = Batcher::bytes_needed(&policy);
    policy.limits.requests_max = u32::MAX;
    policy.limits.running_max = u32::MAX;
    policy.limits.accounts_max = u32::MAX;
    policy.limits.steps_in_flight_max = u32::MAX;
    assert!((modest..=u64::MAX).contains(&Batcher::bytes_needed(&policy)));
    let options = Options { account_histograms: true, backlogged_max: u32::MAX };
    assert_eq!(Outcomes::bytes_needed(&policy, options), u64::MAX);
    let largest =
        LedgerOptions { accounts_max: u32::MAX, lanes: u32::MAX, ..LedgerOptions::default() };
    assert_eq!(Ledger::bytes_needed(&largest), u64::MAX);
}

impl Rig {
    fn counters(&self) -> Vec<f64> {
        let ledger = &self.batcher.lines.ledger;
        (0..3).map(|index| ledger.counter(0, self.account(index)).unwrap()).collect()
    }
}
