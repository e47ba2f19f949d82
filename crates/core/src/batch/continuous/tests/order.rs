//! Who goes first: class, account, deadline; and who stops the line.

use super::*;

#[test]
fn a_class_goes_before_a_less_served_account() {
    let mut rig = Rig::new(&policy());
    let later = rig.submit(1, 0, 100, 5);
    let now = rig.submit(0, 1, 100, 5);
    let greedy = rig.account(1);
    rig.batcher.lines.ledger.charge(0, greedy, 1e6).unwrap();
    assert_eq!(*requests(&rig.form()), [now, later]);
}

#[test]
fn the_least_served_account_goes_first() {
    let mut rig = Rig::new(&policy());
    let served = rig.submit(0, 0, 100, 5);
    let other = rig.submit(0, 1, 100, 5);
    let account = rig.account(0);
    rig.batcher.lines.ledger.charge(0, account, 1.0).unwrap();
    assert_eq!(*requests(&rig.form()), [other, served]);
}

#[test]
fn weights_divide_the_service() {
    let mut policy = policy();
    policy.accounts[0].weight = 3.0;
    policy.limits.running_max = 1;
    let mut rig = Rig::new(&policy);
    let mut served = [0; 2];
    for _ in 0..20 {
        rig.submit(0, 0, 100, 1);
        rig.submit(0, 1, 100, 1);
    }
    let ids = |rig: &Rig, account: AccountId| rig.batcher.lines.ledger.waiting(0, account).unwrap();
    for _ in 0..20 {
        rig.step();
    }
    for (index, served) in served.iter_mut().enumerate() {
        *served = 20 - ids(&rig, rig.account(index));
    }
    assert_eq!(served, [15, 5]);
}

#[test]
fn an_account_that_returns_is_not_ahead_of_those_that_stayed() {
    let mut rig = Rig::new(&one_seat());
    for _ in 0..40 {
        rig.submit(0, 0, 500, 1);
    }
    for _ in 0..20 {
        rig.step();
    }
    let returned: Vec<RequestId> = (0..10).map(|_| rig.submit(0, 1, 500, 1)).collect();
    // Idle for 10,000 tokens of service, it gets no more than every other turn.
    let turns: Vec<bool> = (0..10).map(|_| returned.contains(&rig.step()[0].request)).collect();
    assert_eq!(turns.iter().filter(|turn| **turn).count(), 5, "{turns:?}");
}

#[test]
fn the_earlier_deadline_goes_first_and_the_shorter_of_equals() {
    let mut rig = Rig::new(&one_seat());
    let [long, short, same] = [500, 100, 100].map(|prompt| rig.submit(0, 0, prompt, 1));
    rig.wait(0.001);
    let newer = rig.submit(0, 0, 100, 1);
    let order: Vec<RequestId> = (0..4).map(|_| rig.step()[0].request).collect();
    // 500 tokens take 5 ms and push the deadline back by twice that; the newer one by 1 ms.
    assert_eq!(order, [short, same, newer, long]);
}

#[test]
fn cached_tokens_are_no_work() {
    let mut rig = Rig::new(&policy());
    let [plain, cached] = [rig.submit(0, 0, 500, 5), rig.submit(0, 0, 500, 5)];
    rig.batcher.set_cached_tokens(cached, Tokens(480)).unwrap();
    let entries = rig.form();
    assert_eq!(*requests(&entries), [plain, cached]);
    assert_eq!(entries[1].computed_tokens, Tokens(480));
    assert_eq!(entries[1].tokens, Tokens(20));
    assert_eq!(rig.batcher.lines.ledger.counter(0, rig.account(0)), Ok(520.0));
}

#[test]
fn within_the_credit_the_deadline_decides_beyond_it_the_turn() {
    for (credit, urgent_first) in [(99.0, false), (100.0, true)] {
        let mut policy = one_seat();
        policy.batch.urgency_credit_tokens = credit;
        let mut rig = Rig::new(&policy);
        let urgent = rig.submit(0, 0, 100, 1);
        rig.wait(0.5);
        let fair = rig.submit(0, 1, 100, 1);
        let served = rig.account(0);
        rig.batcher.lines.ledger.charge(0, served, 100.0).unwrap();
        let first = if urgent_first { urgent } else { fair };
        assert_eq!(*requests(&rig.form()), [first], "credit {credit}");
    }
}

#[test]
fn a_request_too_late_goes_behind_one_in_time() {
    let mut rig = Rig::new(&one_seat());
    let late = rig.submit(0, 0, 100, 1);
    rig.wait(5.0);
    let in_time = rig.submit(0, 0, 100, 1);
    assert_eq!(*requests(&rig.form()), [in_time]);
    assert_eq!((rig.stage(late), rig.batcher.stats().late), (Stage::Late, 1));
    rig.land();
    assert_eq!(*requests(&rig.form()), [late], "nobody else wants the seat");
}

#[test]
fn lateness_counts_the_work_that_is_left() {
    // 50,000 tokens in steps of 1,000 take 50 * 10 ms + 0.5 s: the whole second.
    for (wait_s, late) in [(0.0, false), (0.001, true)] {
        // There is no room for it, so that it is looked at and stays.
        let mut rig = Rig::with_blocks(&policy(), 5_005);
        rig.submit(0, 1, 100, 50);
        rig.step();
        let long = rig.submit(0, 0, 50_000, 1);
        rig.wait(wait_s);
        rig.form();
        assert_eq!(rig.stage(long) == Stage::Late, late, "after {wait_s} s");
    }
}

#[test]
fn the_first_that_does_not_fit_stops_the_line() {
    let mut rig = Rig::with_blocks(&policy(), 100);
    let running = rig.submit(0, 0, 500, 5);
    rig.step();
    let large = rig.submit(0, 0, 600, 5);
    rig.wait(0.1);
    let small = rig.submit(0, 0, 10, 5);
    assert_eq!(*requests(&rig.step()), [running], "51 blocks of 100 are taken, 60 are wanted");
    assert_eq!((rig.stage(large), rig.stage(small)), (Stage::Waiting, Stage::Waiting));
    rig.batcher.cancel(rig.now, running).unwrap();
    assert_eq!(*requests(&rig.form()), [large, small]);
}

#[test]
fn a_prompt_that_has_begun_goes_on_before_its_equals() {
    let mut rig = Rig::new(&policy());
    let begun = rig.submit(0, 0, 1_500, 5);
    rig.step();
    let shorter = rig.submit(0, 1, 10, 5);
    let entries = rig.form();
    assert_eq!(*requests(&entries), [begun, shorter]);
    assert_eq!((entries[0].computed_tokens, entries[0].tokens), (Tokens(1_000), Tokens(500)));
    assert!(entries[0].emits);
}
