//! After construction the desk of headroom allocates nothing, in success or refusal, and takes the
//! memory that it said it would.

mod counting;

use std::hint::black_box;

use counting::tally;
use rampmeter::Nanos;
use rampmeter::headroom::estimate::servers::Replica;
use rampmeter::headroom::{ClassOptions, Headroom, Options};

fn options() -> Options {
    let replica = Replica { seats: 4, loaded_share: 0.5 };
    Options { replicas_max: 8, ..Options::new([ClassOptions::default(); 2], replica, 3) }
}

/// Calls of every kind, right and wrong.
fn drive(desk: &mut Headroom, snapshot: &mut [u8]) {
    for step in 1..3_000_u64 {
        let (now, class) = (Nanos::from_millis(100 * step), (step % 2) as u32);
        let _ = black_box(desk.arrived(now, class));
        let _ = black_box(desk.arrived(now, 9));
        let _ = black_box(desk.arrived(Nanos::ZERO, class));
        if step % 7 == 0 {
            let _ = black_box(desk.left(now, class, Nanos(5)));
        } else {
            let _ = black_box(desk.started(now, class, Nanos::from_millis(step % 90)));
        }
        let _ = black_box(desk.ended(now, class, Nanos::from_millis(40 * (step % 50)).min(now)));
        if step % 500 == 0 {
            let _ = black_box((desk.passed(now), desk.passed(Nanos::ZERO)));
            let _ = black_box(desk.capacity(now, (step / 500) as u32));
            let _ = black_box((desk.knee(class), desk.headroom(class), desk.knee(7)));
            let _ = black_box((desk.wait_tail(class, Nanos(9)), desk.replicas_needed()));
            let _ = black_box((desk.can_remove(), desk.shadow_price(now), desk.stats()));
            let _ = black_box((desk.snapshot_bytes(), desk.save(snapshot)));
        }
    }
}

#[test]
fn the_counter_counts() {
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert!(tally().calls >= before + 2);
}

#[test]
fn nothing_is_allocated_after_construction() {
    let options = options();
    let mut snapshot = vec![0; 1 << 16];
    let before = tally();
    let mut desk = Headroom::new(&options).unwrap();
    let built = tally();
    let taken = (built.bytes_live - before.bytes_live).cast_unsigned() as u64;
    assert_eq!(taken, Headroom::bytes_needed(&options), "bytes of heap");
    drive(&mut desk, &mut snapshot);
    assert_eq!(tally().calls, built.calls, "allocator calls");
    assert!(desk.stats().ended > 2_000 && desk.knee(0).unwrap().known().is_some());
}
