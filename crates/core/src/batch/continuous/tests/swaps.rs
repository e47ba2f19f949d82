//! KV that is moved out, and comes back.

use super::*;
use crate::engine::KvSwap;

/// Two requests of 100 prompt tokens whose eleventh tokens have just filled the cache. Blocks of
/// the swap space take so many milliseconds each way.
fn full_cache(blocks: u32, out_ms: f64, in_ms: f64) -> (Rig, [RequestId; 2]) {
    let mut rig = Rig::with_blocks(&policy(), 22);
    rig.batcher.set_swap(Some(KvSwap::new(Blocks(blocks), out_ms / 1e3, in_ms / 1e3).unwrap()));
    let ids = [rig.submit(0, 0, 100, 100), rig.submit(1, 0, 100, 100)];
    for _ in 0..11 {
        assert_eq!(rig.step().len(), 2);
    }
    assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(0));
    (rig, ids)
}

fn swapped(rig: &Rig) -> u32 {
    rig.batcher.stats().kv_blocks_swapped.get()
}

/// 110 tokens take 11.1 ms to compute again.
#[test]
fn the_quicker_way_is_taken_where_there_is_room() {
    for (blocks, out_ms, in_ms, swaps) in
        [(11, 0.5, 0.5, true), (10, 0.5, 0.5, false), (11, 0.5, 0.51, false), (0, 0.0, 0.0, false)]
    {
        let (mut rig, ids) = full_cache(blocks, out_ms, in_ms);
        rig.form();
        let [preemption] = rig.preempted[..] else { panic!("one gives way") };
        assert_eq!((preemption.request, preemption.swapped_out), (ids[1], swaps), "{blocks}");
        assert_eq!(preemption.computed_tokens, Tokens(110));
        let seconds = if swaps { 0.011 } else { 0.0111 };
        assert!((preemption.restore_s - seconds).abs() < 1e-9, "{}", preemption.restore_s);
        assert_eq!(swapped(&rig), if swaps { 11 } else { 0 });
    }
}

#[test]
fn what_comes_back_goes_on_decoding_in_the_same_step() {
    let (mut rig, ids) = full_cache(20, 0.1, 0.2);
    let start = rig.now;
    rig.form();
    // 10 ms for the step, and 11 blocks out before it.
    assert_eq!(rig.flying[0].ends_at, start.offset_seconds(0.0111));
    rig.land();
    assert_eq!(rig.stage(ids[1]), Stage::Preempted);
    assert_eq!(rig.batcher.progress(ids[1]).unwrap().computed_tokens, Tokens(110));
    rig.batcher.cancel(rig.now, ids[0]).unwrap();
    let start = rig.now;
    let entries = rig.form();
    let [entry] = entries[..] else { panic!("one runs") };
    assert_eq!((entry.request, entry.phase, entry.tokens), (ids[1], Phase::Decode, Tokens(1)));
    assert_eq!(entry.computed_tokens, Tokens(110));
    assert!(entry.swapped_in && entry.admitted && entry.emits);
    assert_eq!(rig.flying[0].ends_at, start.offset_seconds(0.010 + 0.0022));
    assert_eq!((swapped(&rig), rig.batcher.stats().kv_blocks_free), (0, Blocks(10)));
    rig.land();
    let again = rig.form();
    assert!(!again[0].swapped_in && !again[0].admitted);
    assert_eq!(again[0].computed_tokens, Tokens(111));
}

#[test]
fn kv_that_was_lost_is_computed_again() {
    let (mut rig, ids) = full_cache(20, 0.1, 0.2);
    let stale = |id: RequestId| Err(Error::Stale { field: "request", handle: id.to_raw() });
    assert_eq!(rig.batcher.drop_swapped(rig.now, ids[1]), stale(ids[1]), "it runs");
    rig.step();
    let early = rig.batcher.drop_swapped(Nanos(1), ids[1]).unwrap_err();
    assert_eq!(early.code(), -4);
    assert_eq!(swapped(&rig), 11);
    assert_eq!(rig.batcher.drop_swapped(rig.now, ids[1]), Ok(()));
    assert_eq!(rig.batcher.drop_swapped(rig.now, ids[1]), stale(ids[1]), "twice");
    assert_eq!(swapped(&rig), 0);
    rig.batcher.cancel(rig.now, ids[0]).unwrap();
    let entries = rig.form();
    assert_eq!((entries[0].computed_tokens, entries[0].tokens), (Tokens(0), Tokens(111)));
    assert!(!entries[0].swapped_in);
}

#[test]
fn what_ends_leaves_the_swap_space() {
    let (mut rig, ids) = full_cache(20, 0.1, 0.2);
    rig.step();
    rig.batcher.set_swap(None);
    assert_eq!(swapped(&rig), 11, "what is there stays there");
    rig.batcher.cancel(rig.now, ids[1]).unwrap();
    assert_eq!(swapped(&rig), 0);
}

/// A step in flight may still bring tokens, or fail to, after the KV was moved.
#[test]
fn steps_in_flight_are_followed() {
    for brought in [0, 1, 3] {
        let mut policy = policy();
        policy.limits.steps_in_flight_max = 2;
        let mut rig = Rig::with_blocks(&policy, 22);
        rig.batcher.set_swap(Some(KvSwap::new(Blocks(99), 0.0, 0.0).unwrap()));
        let ids = [rig.submit(0, 0, 100, 100), rig.submit(1, 0, 100, 100)];
        for _ in 0..10 {
            rig.step();
        }
        rig.form();
        rig.form();
        assert_eq!(rig.preempted[0].request, ids[1]);
        assert_eq!(swapped(&rig), 11);
        rig.land_with(|entry| Tokens(if entry.request == ids[1] { brought } else { 1 }));
        let computed = 109 + brought;
        let progress = rig.batcher.progress(ids[1]).unwrap();
        assert_eq!(progress.computed_tokens, Tokens(computed));
        assert_eq!(swapped(&rig), computed.div_ceil(10));
        rig.batcher.cancel(rig.now, ids[0]).unwrap();
        rig.land();
        let entries = rig.form();
        assert_eq!((entries[0].computed_tokens, entries[0].tokens), (Tokens(computed), Tokens(1)));
        assert!(entries[0].swapped_in && entries[0].phase == Phase::Decode);
    }
}
