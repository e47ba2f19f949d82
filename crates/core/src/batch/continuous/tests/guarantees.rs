//! Shares that are kept for a lower class, and for requests that are late.

use super::*;
use std::format;

/// Two classes under constant pressure: the share of all service that the lower one gets.
fn share_of_lower_class(ratio: f64, prompt: u32, output: u32, ttft_s: f64) -> f64 {
    let mut policy = policy();
    policy.classes[1].ttft_target = Nanos::from_seconds(ttft_s);
    policy.classes[1].guaranteed_ratio = ratio;
    policy.batch.background_step_ratio = 1.0;
    policy.batch.prefill_floor_tokens = Tokens(1_000);
    let mut rig = Rig::new(&policy);
    let mut service = [0.0; 2];
    for _ in 0..30_000 {
        for class in [0, 1] {
            let account = rig.account(0);
            let waiting = rig.batcher.lines.ledger.waiting(u32::from(class), account).unwrap();
            for _ in waiting..10 {
                rig.submit(class, 0, prompt, output);
            }
        }
        rig.form();
        for entry in &rig.flying[0].entries {
            let class = usize::from(rig.batcher.requests.get(entry.request).unwrap().class);
            if entry.admitted {
                service[class] += f64::from(prompt);
            }
            service[class] += if entry.emits { 5.0 } else { 0.0 };
        }
        rig.land();
    }
    service[1] / (service[0] + service[1])
}

#[test]
fn a_lower_class_gets_its_guaranteed_share_and_no_more() {
    for ratio in [0.02, 0.1, 0.3, 0.6] {
        for (prompt, output) in [(200, 1), (100, 20), (10, 50)] {
            // In time all along, or late all along: the guarantee is the same.
            for ttft_s in [86_400.0, 0.001] {
                let share = share_of_lower_class(ratio, prompt, output, ttft_s);
                let error = (share - ratio).abs() / ratio;
                let of = format!("{ratio} of {prompt} + {output} tokens, {ttft_s} s");
                assert!(error < 0.1, "{of}: got {share}");
            }
        }
    }
}

#[test]
fn without_a_guarantee_a_lower_class_waits() {
    assert_eq!(share_of_lower_class(0.0, 200, 1, 60.0), 0.0);
}

/// Share of the seats that late requests get while others in time always wait.
fn share_of_late(late_ratio: f64) -> f64 {
    let mut policy = one_seat();
    policy.batch.late_ratio = late_ratio;
    let mut rig = Rig::new(&policy);
    let late: Vec<RequestId> = (0..60).map(|_| rig.submit(0, 0, 100, 1)).collect();
    rig.wait(2.0);
    let mut passed = 0;
    for _ in 0..500 {
        rig.submit(0, 0, 100, 1);
        passed += usize::from(late.contains(&rig.step()[0].request));
    }
    passed as f64 / 500.0
}

#[test]
fn late_requests_get_through_in_the_end() {
    assert_eq!(share_of_late(0.0), 0.0);
    for ratio in [0.02, 0.1] {
        let share = share_of_late(ratio);
        assert!((share - ratio).abs() / ratio < 0.1, "{ratio}: got {share}");
    }
}
