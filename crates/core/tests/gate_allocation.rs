//! After construction a gate allocates nothing, in success or refusal, and takes the
//! memory that it said it would, to within a fixed field of its accounts.

mod counting;
mod support;

use std::hint::black_box;

use counting::tally;
use rampmeter::Nanos;
use rampmeter::headroom::gate::{Admission, Gate, Ticket};
use support::Prng;
use support::gates::policy;

#[test]
fn the_counter_counts() {
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert!(tally().calls >= before + 2);
}

#[test]
fn nothing_is_allocated_after_construction() {
    let mut sums = [0; 4];
    for seed in 0..20 {
        let mut prng = Prng(seed);
        let (policy, other) = (policy(&mut prng), policy(&mut prng));
        let mut snapshot = vec![0; 1 << 16];
        let before = tally();
        let mut gate = Gate::new(&policy, 3).unwrap();
        let built = tally();
        let taken = (built.bytes_live - before.bytes_live).cast_unsigned() as u64;
        let needed = Gate::bytes_needed(&policy);
        assert!((needed..=needed + 16).contains(&taken), "{taken} bytes of heap for {needed}");
        let calls = built.calls;
        drive(&mut gate, 0, &mut prng, &mut snapshot);
        assert_eq!(tally().calls, calls, "allocator calls");
        gate.apply(&other).unwrap();
        drive(&mut gate, 1 << 40, &mut prng, &mut snapshot);
        assert_eq!(tally().calls, calls, "allocator calls under another policy");
        let stats = gate.stats();
        sums = [
            sums[0] + stats.admitted,
            sums[1] + stats.started,
            sums[2] + stats.expired,
            sums[3] + stats.displaced,
        ];
    }
    assert!(sums.iter().all(|sum| *sum > 50), "{sums:?}");
}

/// Calls of every kind, right and wrong.
fn drive(gate: &mut Gate, mut now: u64, prng: &mut Prng, snapshot: &mut [u8]) {
    let mut tickets = [Ticket::default(); 32];
    for step in 0..3_000_u64 {
        now += prng.below(20_000_000);
        let at = Nanos(if step % 50 == 0 { 0 } else { now });
        let account = gate.policy_account(prng.below(5) as usize).unwrap_or_default();
        let class = prng.below(3) as u32;
        let admission = black_box(gate.admit(at, class, account, prng.below(4) as u32));
        if let Some(ticket) = admission.ok().and_then(Admission::ticket) {
            tickets[ticket.index() as usize] = ticket;
        }
        let ticket = tickets[prng.below(32) as usize];
        let _ = black_box((gate.ended(at, ticket), gate.outlook(at, class)));
        let next = gate.next(at).ok().flatten().unwrap_or(ticket);
        if prng.chance(40) {
            let _ = black_box((gate.dequeue(at, next), gate.next_event(at)));
        }
        let _ = black_box((gate.given_up(at), gate.stats()));
        if step % 40 == 0 {
            let _ = black_box((gate.left(at, ticket), gate.capacity(at, prng.below(9) as u32)));
            let _ = black_box((gate.snapshot_bytes(), gate.save(snapshot)));
            let opened = gate.open_account(None, 1.0);
            let _ = black_box((gate.close_account(account), opened.map(|a| gate.close_account(a))));
        }
    }
}
