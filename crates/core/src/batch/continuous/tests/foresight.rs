//! What is let in when the KV cache is the limit.

use super::*;
use proptest::prelude::*;

fn with_risk(risk: f64) -> Policy {
    let mut policy = policy();
    policy.batch.kv_overflow_risk_ratio = risk;
    policy
}

/// Requests that get a seat of those submitted: so many alike, in so many blocks of 10 tokens.
fn seated(risk: f64, blocks: u32, count: u32, prompt: u32, output: u32) -> usize {
    let mut rig = Rig::with_blocks(&with_risk(risk), blocks);
    for _ in 0..count {
        rig.submit(0, 0, prompt, output);
    }
    rig.form().len()
}

#[test]
fn without_any_risk_every_answer_is_as_long_as_it_may_become() {
    // 100 prompt tokens and 100 of an answer take 20 blocks.
    for (blocks, expected) in [(20, 1), (39, 1), (40, 2), (79, 3), (80, 4)] {
        assert_eq!(seated(0.0, blocks, 8, 100, 100), expected, "{blocks} blocks");
    }
    assert_eq!(seated(1.0, 40, 8, 100, 100), 4, "on the prompt alone");
}

#[test]
fn an_empty_engine_lets_in_whatever_fits() {
    for risk in [1e-12, 0.01, 0.5] {
        assert!(seated(risk, 20, 8, 100, 100) >= 1, "{risk}");
    }
}

#[test]
fn less_risk_lets_in_no_more() {
    let seated = [1.0, 0.5, 0.1, 0.01, 1e-6, 0.0].map(|risk| seated(risk, 90, 8, 100, 400));
    assert!(seated.is_sorted_by(|more, less| more >= less), "{seated:?}");
    assert!(seated[0] > seated[5], "{seated:?}");
}

#[test]
fn short_answers_teach_it_to_let_in_more() {
    let learned = |length: u32| {
        let mut policy = with_risk(0.01);
        policy.limits.requests_max = 1_000;
        let mut rig = Rig::with_blocks(&policy, 100);
        for _ in 0..200 {
            let id = rig.submit(0, 0, 10, 1_000 - 10);
            rig.form();
            let Flying { id: step, ends_at, .. } = rig.flying.remove(0);
            rig.now = ends_at;
            let output_tokens = Tokens(length);
            let results = [StepResult { request: id, output_tokens, finished: true }];
            let seen = Observation { step, results: &results, ..Observation::default() };
            assert_eq!(rig.batcher.observe(rig.now, &seen).unwrap().finished, 1);
        }
        for _ in 0..8 {
            rig.submit(0, 0, 100, 900);
        }
        rig.form().len()
    };
    let (short, long) = (learned(5), learned(600));
    assert!(short >= 7, "{short} of 8 with answers of 5 tokens");
    assert_eq!(long, 1, "two answers of 600 tokens do not fit");
}

/// The seats' shares add up to the sums, and are what the formula says, whatever happened.
fn check_sums(rig: &Rig) -> bool {
    let Some((means, variances)) = rig.batcher.foreseen() else { return false };
    let mut expected = (std::vec![0_u64; means.len()], std::vec![0_u64; means.len()]);
    for seat in 0..rig.batcher.running_len {
        let (mean, variance) = rig.batcher.share_at(seat);
        for at in 0..means.len() {
            expected.0[at] += u64::from(mean[at]);
            expected.1[at] += variance[at];
        }
    }
    assert_eq!((means.to_vec(), variances.to_vec()), expected);
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn sums_never_drift(
        calls in prop::collection::vec((0_u8..8, 1_u32..200, 1_u32..300), 1..150),
    ) {
        let mut rig = Rig::with_blocks(&with_risk(0.1), 60);
        let mut ids = Vec::new();
        let mut checked = 0;
        for (kind, prompt, output) in calls {
            match kind {
                0..3 if rig.batcher.stats().requests < 60 => {
                    ids.push(rig.submit(u16::from(kind == 0), kind as usize, prompt, output));
                }
                3 if !ids.is_empty() => {
                    let id = ids.swap_remove(prompt as usize % ids.len());
                    let _ = rig.batcher.cancel(rig.now, id);
                }
                _ => drop(rig.step()),
            }
            checked += u32::from(check_sums(&rig));
        }
        prop_assume!(checked > 0);
    }
}

/// Each request with a seat, from the survival of its length and nothing else.
#[test]
fn shares_are_mean_and_variance_of_what_will_be_held() {
    let mut rig = Rig::with_blocks(&with_risk(0.1), 60);
    let id = rig.submit(0, 1, 120, 300);
    rig.submit(0, 0, 300, 100);
    for _ in 0..4 {
        rig.step();
    }
    for _ in 0..2 {
        rig.batcher.refresh_forecast();
    }
    let seat = rig.batcher.requests.get(id).unwrap().seat;
    let produced = rig.batcher.progress(id).unwrap().output_tokens;
    let (means, variances) = rig.batcher.share_at(seat);
    for (at, ahead) in [16_u32, 24, 36, 54, 81, 121, 181, 271].into_iter().enumerate() {
        let lengths = &rig.batcher.forecast.lengths;
        let survival = lengths.survival(0, 1, produced, Tokens(ahead));
        let held = f64::from(120 + produced.get() + ahead + 5);
        let mean = f64::from(means[at]);
        assert!((mean - survival * held).abs() < 4.0, "{ahead}: {mean} of {held} at {survival}");
        let (variance, expected) =
            (variances[at] as f64, survival * (1.0 - survival) * held * held);
        assert!((variance - expected).abs() < 0.03 * held * held, "{ahead}: {variance}");
    }
    assert!(means[8..].iter().all(|mean| *mean == 0), "at most 300 tokens");
}

#[test]
fn what_is_about_to_end_does_not_give_way() {
    // Cheaper to compute again than the others, but it has two tokens to go at most.
    let mut rig = Rig::with_blocks(&policy(), 33);
    let short = rig.submit(1, 0, 100, 13);
    rig.submit(0, 0, 100, 100);
    rig.submit(0, 0, 100, 100);
    for _ in 0..11 {
        assert_eq!(rig.step().len(), 3);
    }
    // Two steps of 10 ms are longer than the 11.1 ms that its 110 tokens take: it gives way.
    rig.form();
    assert_eq!(rig.preempted[0].request, short);
    let given_way = rig.preempted[0];
    assert!((given_way.restore_s - 0.0111).abs() < 1e-9, "{}", given_way.restore_s);
    assert!((given_way.price - 0.0111 * 0.1 / 11.0).abs() < 1e-9, "{}", given_way.price);

    let mut rig = Rig::with_blocks(&policy(), 33);
    let short = rig.submit(1, 0, 100, 12);
    let newest = [rig.submit(0, 0, 100, 100), rig.submit(0, 0, 100, 100)][1];
    for _ in 0..11 {
        rig.step();
    }
    rig.form();
    assert_ne!(rig.preempted[0].request, short, "one step brings its last token");
    assert_eq!(rig.preempted[0].request, newest);
}
