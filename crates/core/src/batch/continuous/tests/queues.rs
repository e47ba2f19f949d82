//! How much may wait: who is turned away, why, and when they may come again.

use super::*;
use crate::policy::QueueLimits;

fn limits(requests_max: u32, tokens_max: u64) -> QueueLimits {
    QueueLimits { requests_max, tokens_max, wait_max: Nanos::ZERO }
}

/// One seat, and limits on the first class and on account `a`; `b` is part of `a`.
fn limited(class: QueueLimits, account: QueueLimits) -> Policy {
    let mut policy = one_seat();
    policy.classes[0].queue = class;
    policy.accounts[0].queue = account;
    policy.accounts[1].parent = Some("a".into());
    policy
}

fn offer(rig: &mut Rig, class: u16, account: usize, prompt: u32) -> Result<Admission, Error> {
    let submission = Submission {
        class,
        account: rig.account(account),
        arrival: rig.now,
        prompt_tokens: Tokens(prompt),
        ..Submission::default()
    };
    rig.batcher.submit(rig.now, &submission)
}

fn reason(rig: &mut Rig, class: u16, account: usize, prompt: u32) -> Option<ShedReason> {
    match offer(rig, class, account, prompt).unwrap() {
        Admission::Queued(_) => None,
        Admission::Shed(shed) => Some(shed.reason),
    }
}

#[test]
fn the_first_limit_that_is_met_is_named() {
    let mut rig = Rig::new(&limited(limits(3, 500), limits(2, 300)));
    assert_eq!(reason(&mut rig, 0, 2, 501), Some(ShedReason::ClassTokens));
    assert_eq!(reason(&mut rig, 0, 0, 301), Some(ShedReason::AccountTokens));
    assert_eq!(reason(&mut rig, 0, 0, 300), None);
    assert_eq!(reason(&mut rig, 0, 1, 1), Some(ShedReason::AccountTokens), "a covers its part b");
    assert_eq!(reason(&mut rig, 0, 2, 100), None, "c is not part of a");
    assert_eq!(reason(&mut rig, 0, 2, 100), None);
    assert_eq!(reason(&mut rig, 0, 2, 1), Some(ShedReason::ClassRequests));
    assert_eq!(reason(&mut rig, 1, 2, 9_000), None, "the other class has no limit");
    let stats = rig.batcher.stats();
    assert_eq!((stats.shed, stats.waiting, stats.requests), (4, 4, 4));
    assert_eq!(rig.batcher.class_stats(0).unwrap().waiting_tokens, 500);
}

#[test]
fn only_what_waits_for_its_first_seat_counts() {
    let mut rig = Rig::new(&limited(limits(1, 0), limits(0, 0)));
    assert_eq!(reason(&mut rig, 0, 0, 100), None);
    assert_eq!(reason(&mut rig, 0, 0, 100), Some(ShedReason::ClassRequests));
    rig.step();
    assert_eq!(rig.batcher.class_stats(0).unwrap().waiting_tokens, 0);
    assert_eq!(reason(&mut rig, 0, 0, 100), None, "the first one has a seat");
    assert_eq!(reason(&mut rig, 0, 2, 100), Some(ShedReason::ClassRequests));
}

#[test]
fn a_victim_counts_no_more() {
    let mut policy = policy();
    policy.classes[0].queue = limits(1, 0);
    let mut rig = Rig::new(&policy);
    let first = rig.submit(0, 0, 1_500, 5);
    rig.form();
    rig.land();
    let slot = first.index();
    rig.batcher.preempt(slot, false);
    assert_eq!((rig.stage(first), rig.batcher.stats().waiting), (Stage::Waiting, 1));
    assert_eq!(rig.batcher.class_stats(0).unwrap().waiting_tokens, 0);
    let second = offer(&mut rig, 0, 0, 100).unwrap().queued().unwrap();
    rig.batcher.cancel(rig.now, first).unwrap();
    assert_eq!(rig.batcher.class_stats(0).unwrap().waiting_tokens, 100);
    rig.batcher.cancel(rig.now, second).unwrap();
    assert_eq!(rig.batcher.class_stats(0).unwrap().waiting_tokens, 0);
}

#[test]
fn errors_come_before_shedding() {
    let mut rig = Rig::new(&limited(limits(1, 0), limits(0, 0)));
    offer(&mut rig, 0, 0, 100).unwrap();
    let before = rig.batcher.stats();
    assert!(offer(&mut rig, 0, 0, 0).is_err());
    assert!(offer(&mut rig, 9, 0, 1).is_err());
    assert_eq!(rig.batcher.stats(), before);
    let mut policy = limited(limits(1, 0), limits(0, 0));
    policy.limits.requests_max = 1;
    let mut rig = Rig::new(&policy);
    offer(&mut rig, 0, 0, 100).unwrap();
    let full = Error::Full { field: "request", capacity: 1 };
    assert_eq!(offer(&mut rig, 0, 0, 100), Err(full));
}

fn retry_after(rig: &mut Rig, account: usize, prompt: u32) -> Nanos {
    match offer(rig, 0, account, prompt).unwrap() {
        Admission::Shed(shed) => shed.retry_after,
        Admission::Queued(id) => panic!("{id:?} was let in"),
    }
}

#[test]
fn a_host_that_waits_as_told_finds_room() {
    // One seat, prompts of 500 tokens and one output token: 15 ms each, 33,333 tokens a second.
    for (class, account) in [(limits(0, 4_000), limits(0, 0)), (limits(0, 0), limits(0, 4_000))] {
        let mut rig = Rig::new(&limited(class, account));
        assert_eq!(retry_after(&mut rig, 0, 4_001), Nanos::MAX, "it never fits");
        for _ in 0..8 {
            assert_eq!(reason(&mut rig, 0, 0, 500), None);
        }
        assert_eq!(retry_after(&mut rig, 0, 500), Nanos::from_seconds(1.0), "nothing measured");
        for _ in 0..100 {
            rig.step();
            while reason(&mut rig, 0, 0, 500).is_none() {}
        }
        let told = retry_after(&mut rig, 0, 2_000).as_seconds();
        assert!((told - 0.060).abs() < 0.005, "2,000 tokens at 33,333 a second: {told}");
        let again = rig.now.offset_seconds(told + 0.015);
        while rig.now < again {
            rig.step();
        }
        assert_eq!(reason(&mut rig, 0, 0, 2_000), None);
        let pace = rig.batcher.class_stats(0).unwrap().drain_tokens_per_s;
        assert!((pace - 33_333.0).abs() < 1_000.0, "{pace}");
    }
}

#[test]
fn a_queue_that_was_empty_is_not_slow() {
    let mut rig = Rig::new(&limited(limits(0, 1_000), limits(0, 0)));
    for _ in 0..40 {
        while reason(&mut rig, 0, 0, 500).is_none() {}
        rig.step();
    }
    rig.step();
    rig.step();
    rig.wait(3_600.0);
    while reason(&mut rig, 0, 0, 500).is_none() {}
    let told = retry_after(&mut rig, 0, 500).as_seconds();
    assert!((told - 0.015).abs() < 0.002, "{told}");
}

#[test]
fn limits_change_and_nothing_that_waits_is_lost() {
    let mut policy = limited(limits(0, 0), limits(0, 0));
    let mut rig = Rig::new(&policy);
    for _ in 0..5 {
        assert_eq!(reason(&mut rig, 0, 1, 100), None);
    }
    policy.classes[0].queue = limits(2, 0);
    rig.batcher.set_policy(&policy).unwrap();
    assert_eq!(reason(&mut rig, 0, 1, 100), Some(ShedReason::ClassRequests));
    assert_eq!(rig.batcher.stats().waiting, 5);
    policy.classes[0].queue = limits(0, 0);
    rig.batcher.set_policy(&policy).unwrap();
    rig.batcher.set_account_queue(rig.account(0), limits(5, 0)).unwrap();
    assert_eq!(reason(&mut rig, 0, 1, 100), Some(ShedReason::AccountRequests));
    rig.batcher.set_account_queue(rig.account(0), limits(6, 0)).unwrap();
    assert_eq!(reason(&mut rig, 0, 1, 100), None);
    let wrong = rig.batcher.set_account_queue(rig.account(0), limits(u32::MAX, 0)).unwrap_err();
    assert_eq!(wrong.field(), "account[].queue_requests_max");
    let stale = rig.batcher.set_account_queue(AccountId::default(), limits(1, 0)).unwrap_err();
    assert_eq!(stale.field(), "account");
}

#[test]
fn accounts_opened_later_have_the_limits_of_the_default() {
    let mut policy = one_seat();
    policy.account_default_queue = limits(1, 0);
    let mut rig = Rig::new(&policy);
    let guest = rig.batcher.open_account(None, 1.0).unwrap();
    rig.submit_for(guest, 0, 100, 1);
    let submission = Submission { account: guest, ..Submission::default() };
    let answer = rig.batcher.submit(rig.now, &submission).unwrap();
    assert!(matches!(answer, Admission::Shed(Shed { reason: ShedReason::AccountRequests, .. })));
}
