//! Requests that share the KV of one prompt.

use super::*;

/// 105 tokens in blocks of 10: ten blocks to share, and one of each request's own.
const PROMPT: u32 = 105;

impl Rig {
    fn sharer(&self, shares: Option<RequestId>) -> Submission {
        Submission {
            account: self.account(0),
            arrival: self.now,
            prompt_tokens: Tokens(PROMPT),
            output_tokens_max: Tokens(50),
            shares,
            ..Submission::default()
        }
    }

    fn submit_group(&mut self, members: usize) -> Vec<RequestId> {
        let mut ids: Vec<RequestId> = Vec::new();
        for _ in 0..members {
            let submission = self.sharer(ids.first().copied());
            ids.extend(self.batcher.submit(self.now, &submission).unwrap().queued());
        }
        ids
    }

    fn blocks_used(&self) -> u32 {
        let stats = self.batcher.stats();
        stats.kv_blocks.get() - stats.kv_blocks_free.get()
    }

    fn obstacle_of(&self, request: RequestId) -> Obstacle {
        self.batcher.progress(request).unwrap().obstacle
    }
}

#[test]
fn the_first_computes_and_the_others_share() {
    let mut rig = Rig::with_blocks(&policy(), 16);
    let ids = rig.submit_group(4);
    assert_eq!(rig.batcher.stats().waiting, 4);
    let entries = rig.step();
    assert_eq!(*requests(&entries), ids[..1]);
    assert_eq!((entries[0].tokens, rig.blocks_used()), (Tokens(PROMPT), 11));
    let entries = rig.step();
    assert_eq!(*requests(&entries), *ids);
    for entry in &entries[1..] {
        assert_eq!((entry.computed_tokens, entry.tokens), (Tokens(100), Tokens(5)));
    }
    assert_eq!(rig.blocks_used(), 10 + 4, "ten shared, one of each");
    // Whoever goes gives back what it alone held; the last gives back the rest.
    for (index, id) in ids.iter().enumerate() {
        rig.batcher.cancel(rig.now, *id).unwrap();
        let rest = 3 - index as u32;
        assert_eq!(rig.blocks_used(), if rest == 0 { 0 } else { 10 + rest });
    }
    let stats = rig.batcher.stats();
    assert_eq!((stats.requests, stats.running, stats.waiting), (0, 0, 0));
}

#[test]
fn shared_tokens_are_charged_as_cached() {
    let mut policy = policy();
    policy.batch.cached_token_cost = 0.25;
    policy.batch.output_token_cost = 1e-9;
    let mut rig = Rig::new(&policy);
    rig.submit_group(2);
    rig.step();
    rig.step();
    let counter = rig.batcher.lines.ledger.counter(0, rig.account(0)).unwrap();
    assert!((counter - (105.0 + 5.0 + 25.0)).abs() < 1e-6, "{counter}");
}

/// The member that computes is lost before the prompt is done: cancelled, or out of memory.
#[test]
fn the_next_one_computes_if_the_first_is_lost() {
    let mut policy = policy();
    policy.limits.step_tokens_max = Tokens(60);
    for cancelled in [true, false] {
        let mut rig = Rig::new(&policy);
        let ids = rig.submit_group(3);
        assert_eq!(*requests(&rig.step()), ids[..1]);
        if cancelled {
            rig.batcher.cancel(rig.now, ids[0]).unwrap();
        } else {
            rig.batcher.preempt(ids[0].index(), false);
        }
        assert_eq!(rig.blocks_used(), 0);
        let entries = rig.step();
        assert_eq!(*requests(&entries), ids[usize::from(cancelled)..=usize::from(cancelled)]);
        assert_eq!(entries[0].computed_tokens, Tokens(0));
        rig.step();
        assert_eq!(rig.step().len(), if cancelled { 2 } else { 3 });
    }
}

#[test]
fn a_prompt_is_not_shared_before_the_step_that_ends_it() {
    let mut policy = policy();
    policy.limits.step_tokens_max = Tokens(100);
    policy.limits.steps_in_flight_max = 3;
    let mut rig = Rig::new(&policy);
    let ids = rig.submit_group(2);
    assert_eq!(rig.form()[0].tokens, Tokens(100));
    assert_eq!(rig.obstacle_of(ids[1]), Obstacle::SharedPrompt);
    assert_eq!(*requests(&rig.form()), ids[..1], "five tokens, and the sibling waits for them");
    assert_eq!(*requests(&rig.form()), *ids, "in flight, but in a step before this one");
}

#[test]
fn a_sibling_can_come_while_the_first_runs() {
    let mut rig = Rig::new(&policy());
    let first = rig.submit_group(1)[0];
    for _ in 0..20 {
        rig.step();
    }
    assert_eq!(rig.blocks_used(), 13, "105 tokens and 19 of output");
    let second = rig.sharer(Some(first));
    let second = rig.batcher.submit(rig.now, &second).unwrap().queued().unwrap();
    let entries = rig.step();
    assert_eq!(*requests(&entries), [first, second]);
    assert_eq!(entries[1].computed_tokens, Tokens(100));
    assert_eq!(rig.blocks_used(), 13 + 1);
    // A third may share with either; the first is gone by then, and its part of the prompt not.
    rig.batcher.cancel(rig.now, first).unwrap();
    let third = rig.sharer(Some(second));
    rig.batcher.submit(rig.now, &third).unwrap();
    assert_eq!(rig.step()[1].computed_tokens, Tokens(100));
    assert_eq!(rig.blocks_used(), 10 + 2);
}

/// With the last holder the KV goes; whoever is in line then computes it again, and only one.
#[test]
fn what_nobody_holds_is_computed_again() {
    let mut policy = policy();
    policy.limits.running_max = 1;
    let mut rig = Rig::new(&policy);
    let ids = rig.submit_group(3);
    rig.step();
    rig.batcher.cancel(rig.now, ids[0]).unwrap();
    assert_eq!(rig.blocks_used(), 0);
    let entries = rig.step();
    assert_eq!(*requests(&entries), ids[1..2]);
    assert_eq!((entries[0].computed_tokens, entries[0].tokens), (Tokens(0), Tokens(PROMPT)));
}

#[test]
fn sharing_with_another_prompt_is_a_contradiction() {
    let mut policy = policy();
    policy.limits.adapters_max = 2;
    let mut rig = Rig::new(&policy);
    let first = rig.submit_group(1)[0];
    let right = rig.sharer(Some(first));
    let other = rig.account(1);
    let wrong = [
        ("prompt_tokens", Submission { prompt_tokens: Tokens(PROMPT + 1), ..right }),
        ("class", Submission { class: 1, ..right }),
        ("account", Submission { account: other, ..right }),
        ("adapter", Submission { adapter: 1, ..right }),
    ];
    for (field, submission) in wrong {
        let refused = rig.batcher.submit(rig.now, &submission).unwrap_err();
        assert_eq!((refused.code(), refused.field()), (-7, field));
    }
    assert_eq!(rig.batcher.stats().requests, 1);
    rig.batcher.cancel(rig.now, first).unwrap();
    let stale = Error::Stale { field: "shares", handle: first.to_raw() };
    assert_eq!(rig.batcher.submit(rig.now, &right), Err(stale));
}

#[test]
fn a_group_has_a_limit() {
    let mut policy = policy();
    policy.limits.requests_max = 512;
    let mut rig = Rig::new(&policy);
    let ids = rig.submit_group(SHARERS_MAX as usize);
    let full = Error::Full { field: "shares", capacity: SHARERS_MAX.into() };
    assert_eq!(rig.batcher.submit(rig.now, &rig.sharer(Some(ids[5]))), Err(full));
    // All of them go, from the last to the first: every group is free again.
    for id in ids.iter().rev() {
        rig.batcher.cancel(rig.now, *id).unwrap();
    }
    for _ in 0..2 * 8 {
        rig.submit_group(2);
    }
    let alone = rig.submit_group(1)[0];
    let full = Error::Full { field: "shares", capacity: 2 * 8 };
    assert_eq!(rig.batcher.submit(rig.now, &rig.sharer(Some(alone))), Err(full));
    assert_eq!(rig.batcher.stats().requests, 33);
}

#[test]
fn a_prompt_of_one_block_has_nothing_to_share() {
    let mut rig = Rig::new(&policy());
    let short = Submission { prompt_tokens: Tokens(10), ..rig.sharer(None) };
    let first = rig.batcher.submit(rig.now, &short).unwrap().queued();
    rig.batcher.submit(rig.now, &Submission { shares: first, ..short }).unwrap();
    assert_eq!(rig.step().len(), 2, "nobody waits for nothing");
}
