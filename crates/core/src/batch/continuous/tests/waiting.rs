//! Nobody waits for ever: classes without guarantee, late requests, and prompts that have begun.

use super::*;

/// A request of a class without guarantee, under a class that always has work: the step in which
/// it gets its seat.
fn steps_until_seat(late_ratio: f64) -> Option<u32> {
    let mut policy = one_seat();
    policy.batch.late_ratio = late_ratio;
    let mut rig = Rig::new(&policy);
    let low = rig.submit(1, 0, 100, 1);
    (0..2_000).find(|_| {
        rig.submit(0, 1, 100, 1);
        *requests(&rig.step()) == [low]
    })
}

#[test]
fn a_class_without_guarantee_gets_its_part_of_the_share_of_late_ones() {
    assert_eq!(steps_until_seat(0.0), None);
    // Two classes wait: it is owed a half of the ratio, and anything owed lets it in.
    assert_eq!(steps_until_seat(0.02), Some(1));
}

#[test]
fn the_late_of_an_account_are_served_beside_its_fresh_ones() {
    for (late_ratio, served) in [(0.0, 0), (0.1, 10)] {
        let mut policy = one_seat();
        policy.batch.late_ratio = late_ratio;
        policy.limits.requests_max = 512;
        let mut rig = Rig::new(&policy);
        let late: Vec<RequestId> = (0..10).map(|_| rig.submit(0, 0, 100, 1)).collect();
        rig.wait(2.0);
        let mut order = Vec::new();
        for _ in 0..105 {
            // Another account is always in time, too.
            rig.submit(0, 0, 100, 1);
            rig.submit(0, 1, 100, 1);
            order.extend(requests(&rig.step()).iter().copied().filter(|id| late.contains(id)));
        }
        // Half of the service is the account's own, and a tenth of that goes to its late ones.
        let most = if served > 0 { 5..=6 } else { 0..=0 };
        assert!(most.contains(&order.len()), "{late_ratio}: {}", order.len());
        assert_eq!(order, late[..order.len()], "oldest first");
    }
}

#[test]
fn without_triage_the_deadline_decides_late_or_not() {
    let mut policy = one_seat();
    policy.batch.triage = false;
    let mut rig = Rig::new(&policy);
    let late = rig.submit(0, 0, 100, 1);
    rig.wait(5.0);
    rig.submit(0, 0, 100, 1);
    assert_eq!(*requests(&rig.form()), [late]);
}

#[test]
fn those_found_late_go_back_when_triage_is_switched_off() {
    let mut rig = Rig::new(&one_seat());
    let late = [(); 3].map(|()| rig.submit(0, 0, 100, 1));
    rig.wait(5.0);
    rig.submit(0, 0, 100, 1);
    rig.step();
    assert_eq!(rig.batcher.stats().late, 3);
    let mut policy = one_seat();
    policy.batch.triage = false;
    rig.batcher.set_policy(&policy).unwrap();
    rig.submit(0, 0, 100, 1);
    assert_eq!(*requests(&rig.step()), [late[0]]);
    assert_eq!(rig.batcher.stats().late, 0);
}

#[test]
fn lending_ends_with_one_pace_a_step() {
    for (ratio, chunk) in [(1.0, 16_000), (0.5, 10_000_u32), (0.0, 4_000)] {
        let mut policy = policy();
        policy.batch.slack_lending_ratio = ratio;
        policy.limits.step_tokens_max = Tokens(100_000);
        let mut rig = Rig::new(&policy);
        rig.submit(0, 0, 100, 50);
        // The first token at 11 ms, three more every 10 ms; the fifth is due 200 ms after the
        // first, in 170 ms, which is 120 more than its pace.
        for _ in 0..4 {
            rig.step();
        }
        rig.submit(0, 1, 50_000, 1);
        let got = rig.form()[1].tokens.get();
        assert!(got.abs_diff(chunk) <= 1, "{ratio}: {got}");
    }
}

#[test]
fn the_price_of_work_is_a_rule() {
    for (ratio, first) in [(0.0, 0), (2.0, 1)] {
        let mut policy = one_seat();
        policy.batch.work_delay_ratio = ratio;
        let mut rig = Rig::new(&policy);
        // The long one is due a millisecond earlier, and takes four milliseconds more.
        let long = rig.submit(0, 0, 500, 1);
        rig.wait(0.001);
        let short = rig.submit(0, 0, 100, 1);
        assert_eq!(*requests(&rig.form()), [[long, short][first]], "{ratio}");
    }
}

#[test]
fn a_prompt_that_has_begun_goes_on_in_the_end() {
    for (late_ratio, done) in [(0.0, false), (0.1, true)] {
        let mut policy = policy();
        policy.batch.late_ratio = late_ratio;
        let mut rig = Rig::new(&policy);
        let low = rig.submit(1, 0, 3_000, 1);
        rig.step();
        // From now on, work of the first class fills every step.
        for _ in 0..60 {
            rig.submit(0, 1, 1_000, 1);
            rig.step();
        }
        assert_eq!(rig.batcher.progress(low).is_err(), done, "{late_ratio}");
    }
}
