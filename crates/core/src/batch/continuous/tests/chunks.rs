//! How much of a prompt goes into a step beside decodes.

use super::*;

/// A request that decodes, its first token just out, and a long prompt that waits.
fn decode_and_prompt(policy: &Policy, class: u16) -> (Rig, RequestId, RequestId) {
    let mut rig = Rig::new(policy);
    let decoding = rig.submit(0, 0, 100, 500);
    rig.step();
    let prompt = rig.submit(class, 1, 50_000, 5);
    (rig, decoding, prompt)
}

fn prompt_tokens(entries: &[PlanEntry], request: RequestId) -> u32 {
    entries.iter().find(|entry| entry.request == request).map_or(0, |entry| entry.tokens.get())
}

fn large_steps() -> Policy {
    let mut policy = policy();
    policy.limits.step_tokens_max = Tokens(20_000);
    policy
}

#[test]
fn a_chunk_ends_just_before_the_next_token_is_due() {
    let (mut rig, decoding, prompt) = decode_and_prompt(&large_steps(), 0);
    let due = rig.now.saturating_add(Nanos::from_millis(50));
    let entries = rig.form();
    assert_eq!(*requests(&entries), [decoding, prompt]);
    // 50 ms less the 10 ms of any step, at 10 us a token.
    let chunk = prompt_tokens(&entries, prompt);
    assert!((3_999..=4_000).contains(&chunk), "{chunk}");
    let ends_at = rig.flying[0].ends_at;
    assert!(ends_at <= due.saturating_add(Nanos(1)), "{ends_at} after {due}");
    let record = rig.batcher.steps.record(0);
    assert_eq!(record.ends_at, ends_at);
    let shape = StepShapeOf(&entries).shape().with_prefill(2, chunk);
    assert!(step_model().duration(&shape) > Nanos::from_millis(50), "two more are too many");
}

/// The contents of a step, reckoned from its entries.
struct StepShapeOf<'a>(&'a [PlanEntry]);

impl StepShapeOf<'_> {
    fn shape(&self) -> crate::engine::StepShape {
        self.0.iter().fold(crate::engine::StepShape::default(), |shape, entry| match entry.phase {
            Phase::Prefill => shape.with_prefill(entry.tokens.get(), entry.computed_tokens.get()),
            Phase::Decode => shape.with_decode(entry.computed_tokens.get()),
        })
    }
}

#[test]
fn the_margin_is_kept_free() {
    let mut policy = large_steps();
    policy.batch.deadline_margin_ratio = 0.8;
    let (mut rig, _, prompt) = decode_and_prompt(&policy, 0);
    let chunk = prompt_tokens(&rig.form(), prompt);
    assert!((2_999..=3_000).contains(&chunk), "{chunk}: 40 ms less 10 ms at 10 us");
}

#[test]
fn a_request_ahead_of_its_schedule_lends_its_slack() {
    let mut rig = Rig::new(&large_steps());
    rig.submit(0, 0, 100, 500);
    rig.step();
    for _ in 0..5 {
        rig.step();
    }
    // Five tokens in 50 ms where 250 were allowed: 200 ms in hand.
    let prompt = rig.submit(0, 1, 50_000, 5);
    let chunk = prompt_tokens(&rig.form(), prompt);
    assert!((19_900..20_000).contains(&chunk), "{chunk}: the step's own limit comes first");
}

#[test]
fn the_floor_is_taken_however_tight_it_is() {
    let mut policy = large_steps();
    policy.classes[0].tpot_target = Nanos::from_millis(10);
    policy.batch.prefill_floor_tokens = Tokens(64);
    let (mut rig, _, prompt) = decode_and_prompt(&policy, 0);
    assert_eq!(prompt_tokens(&rig.form(), prompt), 64, "a decode alone takes the whole 10 ms");
}

#[test]
fn the_floor_is_shared_by_all_prompts_of_a_step() {
    let mut policy = large_steps();
    policy.classes[0].tpot_target = Nanos::from_millis(10);
    policy.batch.prefill_floor_tokens = Tokens(64);
    let (mut rig, ..) = decode_and_prompt(&policy, 0);
    rig.submit(0, 2, 50_000, 5);
    let entries = rig.form();
    assert_eq!(StepShapeOf(&entries).shape().prefill_tokens, 64);
}

#[test]
fn lower_classes_and_late_prompts_leave_the_slack_alone() {
    // 0.65 of 50 ms less 10 ms at 10 us.
    let expected = 2_249..=2_250;
    let (mut rig, _, lower) = decode_and_prompt(&large_steps(), 1);
    let chunk = prompt_tokens(&rig.form(), lower);
    assert!(expected.contains(&chunk), "{chunk}");

    let mut rig = Rig::new(&large_steps());
    let late = rig.submit(0, 1, 50_000, 5);
    rig.wait(2.0);
    rig.submit(0, 0, 100, 500);
    let mut policy = large_steps();
    policy.limits.running_max = 8;
    rig.form();
    rig.land();
    let chunk = prompt_tokens(&rig.form(), late);
    assert!(expected.contains(&chunk), "{chunk}");
}

#[test]
fn a_decode_beyond_recovery_holds_up_nobody() {
    let mut rig = Rig::new(&large_steps());
    rig.submit(0, 0, 100, 4);
    rig.step();
    // Three tokens are left, and they can win back 3 * 40 ms at most.
    rig.wait(1.0);
    let prompt = rig.submit(0, 1, 50_000, 5);
    let chunk = prompt_tokens(&rig.form(), prompt);
    assert!((3_999..=4_000).contains(&chunk), "{chunk}: its pace is 50 ms");
}

#[test]
fn a_decode_behind_that_can_recover_is_given_way() {
    let mut rig = Rig::new(&large_steps());
    rig.submit(0, 0, 100, 500);
    rig.step();
    rig.wait(1.0);
    let prompt = rig.submit(0, 1, 50_000, 5);
    assert_eq!(prompt_tokens(&rig.form(), prompt), 1, "no more than the floor");
}

#[test]
fn alone_a_prompt_fills_the_step() {
    let mut rig = Rig::new(&policy());
    let prompt = rig.submit(0, 0, 50_000, 5);
    assert_eq!(prompt_tokens(&rig.form(), prompt), 1_000);
}
