//! Class, deadline and expiry change in whatever stage a request is.

use super::*;

fn change(rig: &mut Rig, id: RequestId, change: Change) {
    rig.batcher.change(rig.now, id, &change).unwrap();
}

fn to_class(class: u16) -> Change {
    Change { class: Some(class), ..Change::default() }
}

fn until(seconds: f64) -> Change {
    Change { deadline: Some(Nanos::from_seconds(seconds)), ..Change::default() }
}

#[test]
fn a_deadline_decides_from_then_on() {
    let mut rig = Rig::new(&one_seat());
    let [first, second] = [rig.submit(0, 0, 100, 1), rig.submit(0, 0, 100, 1)];
    change(&mut rig, second, until(0.9));
    assert_eq!(*requests(&rig.form()), [second]);
    rig.land();
    assert_eq!(*requests(&rig.form()), [first]);
}

#[test]
fn a_late_request_is_in_time_again() {
    let mut rig = Rig::new(&one_seat());
    let late = rig.submit(0, 0, 100, 1);
    rig.wait(5.0);
    let fresh = rig.submit(0, 0, 100, 1);
    rig.step();
    assert_eq!((rig.stage(late), rig.batcher.stats().late), (Stage::Late, 1));
    change(&mut rig, late, until(5.9));
    assert_eq!((rig.stage(late), rig.batcher.stats().late), (Stage::Waiting, 0));
    let newer = rig.submit(0, 0, 100, 1);
    assert_eq!(*requests(&rig.form()), [late], "it is due before {newer:?}; {fresh:?} is done");
}

#[test]
fn a_change_costs_the_account_nothing() {
    let mut rig = Rig::new(&one_seat());
    let behind = rig.submit(0, 0, 100, 1);
    rig.submit(0, 1, 100, 1);
    let served = rig.account(1);
    rig.batcher.lines.ledger.charge(0, served, 5_000.0).unwrap();
    change(&mut rig, behind, until(50.0));
    let counter = rig.batcher.lines.ledger.counter(0, rig.account(0)).unwrap();
    assert_eq!(counter, 0.0, "it was not lifted to the other account");
    assert_eq!(*requests(&rig.form()), [behind]);
}

#[test]
fn a_new_class_brings_its_target_and_its_limit() {
    let mut policy = one_seat();
    policy.classes[1].queue.wait_max = Nanos::from_seconds(9.0);
    policy.classes[1].queue.requests_max = 1;
    let mut rig = Rig::new(&policy);
    let [first, moved] = [rig.submit(1, 0, 100, 1), rig.submit(0, 0, 100, 1)];
    change(&mut rig, moved, to_class(1));
    let stats = [0, 1].map(|class| rig.batcher.class_stats(class).unwrap());
    assert_eq!(stats.map(|of| (of.waiting, of.waiting_tokens)), [(0, 0), (2, 200)]);
    let due = |id: RequestId| rig.batcher.requests.get(id).unwrap().due_ns;
    assert_eq!(due(moved), due(first));
    assert_eq!(rig.batcher.requests.get(moved).unwrap().expires_ns, 9_000_000_000);
    change(&mut rig, moved, to_class(0));
    assert_eq!(rig.batcher.requests.get(moved).unwrap().due_ns, 1_000_000_000);
    let later = Change { expires_at: Some(Nanos::MAX), ..to_class(0) };
    change(&mut rig, moved, later);
    assert_eq!(rig.batcher.requests.get(moved).unwrap().expires_ns, u64::MAX);
    assert_eq!(*requests(&rig.form()), [moved]);
}

#[test]
fn one_that_runs_is_charged_in_its_new_class() {
    let mut rig = Rig::new(&policy());
    let id = rig.submit(0, 0, 100, 5);
    rig.step();
    let counters = |rig: &Rig| {
        [0, 1].map(|lane| rig.batcher.lines.ledger.counter(lane, rig.account(0)).unwrap())
    };
    assert_eq!(counters(&rig), [105.0, 0.0]);
    change(&mut rig, id, to_class(1));
    rig.step();
    assert_eq!(counters(&rig), [105.0, 5.0]);
    assert_eq!(rig.stage(id), Stage::Running);
}

#[test]
fn one_that_lost_its_kv_waits_in_its_new_class() {
    let mut rig = Rig::new(&policy());
    let id = rig.submit(0, 0, 100, 5);
    rig.step();
    rig.batcher.preempt(id.index(), false);
    change(&mut rig, id, to_class(1));
    let other = rig.submit(0, 0, 100, 5);
    let waiting = [0, 1].map(|class| rig.batcher.class_stats(class).unwrap().waiting);
    assert_eq!(waiting, [1, 1]);
    assert_eq!(*requests(&rig.form()), [other, id]);
}

#[test]
fn wrong_changes_change_nothing() {
    let mut rig = Rig::new(&one_seat());
    rig.wait(1.0);
    let id = rig.submit(0, 0, 100, 1);
    let before = rig.batcher.requests.get(id).unwrap().due_ns;
    let wrong = Change { class: Some(2), ..until(9.0) };
    assert_eq!(rig.batcher.change(rig.now, id, &wrong).unwrap_err().field(), "class");
    assert_eq!(rig.batcher.change(Nanos(1), id, &until(9.0)).unwrap_err().code(), -4);
    assert_eq!(rig.batcher.requests.get(id).unwrap().due_ns, before);
    rig.batcher.cancel(rig.now, id).unwrap();
    assert_eq!(rig.batcher.change(rig.now, id, &until(9.0)).unwrap_err().field(), "request");
}
