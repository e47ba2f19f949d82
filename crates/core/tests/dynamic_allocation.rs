//! After construction the dynamic batcher allocates nothing, in success or refusal, and takes the
//! memory that it said it would.

mod counting;
mod support;

use std::hint::black_box;

use counting::tally;
use rampmeter::Nanos;
use rampmeter::batch::dynamic::{
    Admission, BatchId, ClassOptions, Decision, DynamicBatcher, Ending, Expired, Observation,
    Options, Plan, PlanEntry, RequestId, Submission,
};
use rampmeter::engine::LatencyCurve;
use support::Prng;

fn options() -> Options {
    let curve = LatencyCurve::linear(5e-3, 1e-3).unwrap().learning(16).unwrap();
    let class = ClassOptions {
        latency_target: Some(Nanos::from_millis(60)),
        queue_max: 30,
        ..ClassOptions::default()
    };
    Options {
        instances: 2,
        accounts_max: 4,
        requests_max: 128,
        padding: true,
        classes: [class, ClassOptions::default()].into(),
        buckets: [curve.clone(), curve.clone()].into(),
        ..Options::new(16, curve)
    }
}

/// Drives a batcher beyond what it can do; returns how often it launched, shed and erred.
fn drive(desk: &mut DynamicBatcher, steps: u64, bytes: &mut [u8]) -> [u64; 3] {
    let mut prng = Prng(5);
    let (mut entries, mut expired) = ([PlanEntry::default(); 16], [Expired::default(); 4]);
    let account = desk.open_account(None, 2.0).unwrap();
    let mut running = [None; 2];
    let (mut last, mut counts) = (RequestId::default(), [0; 3]);
    for step in 1..=steps {
        let now = Nanos(step * 200_000);
        let submission = Submission {
            tag: step,
            class: prng.below(3) as u16,
            account,
            bucket: prng.below(2) as u16,
            arrival: now,
            deadline: None,
            expires_at: prng.chance(20).then(|| now.offset_seconds(0.02)),
        };
        match desk.submit(now, &submission) {
            Ok(Admission::Queued(id)) => last = id,
            Ok(Admission::Shed(_)) => counts[1] += 1,
            Err(_) => counts[2] += 1,
        }
        if prng.chance(5) {
            counts[2] += u64::from(desk.cancel(now, last).is_err());
            counts[2] += u64::from(desk.explain(last).is_err());
        }
        for place in &mut running {
            let Some((ends_at, batch)) = *place else { continue };
            if ends_at <= now {
                let seen = Observation { batch, duration: None, ending: Ending::Completed };
                desk.observe(now, &seen).unwrap();
                *place = None;
            }
        }
        let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
        if let Decision::Launch(launch) = desk.form(now, plan).unwrap().decision {
            counts[0] += 1;
            running[launch.instance as usize] = Some((launch.ends_at, launch.batch));
        }
        let forged =
            Observation { batch: BatchId::from_raw(step), duration: None, ending: Ending::Failed };
        counts[2] += u64::from(desk.observe(now, &forged).is_err());
        if step % 500 == 0 {
            // Every other time there is too little room.
            let room = bytes.len() * (step / 500 % 2) as usize;
            counts[2] += u64::from(desk.save(&mut bytes[..room]).is_err());
        }
        black_box((desk.next_event(now), desk.stats()));
    }
    counts
}

#[test]
fn no_call_allocates() {
    // Positive control: a counter that counts nothing would pass.
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert_eq!(tally().calls - before, 2, "one to allocate, one to free");

    let mut desk = DynamicBatcher::new(&options()).unwrap();
    let mut bytes = vec![0; 1 << 16];
    let before = tally().calls;
    let counts = drive(&mut desk, 20_000, &mut bytes);
    assert_eq!(tally().calls, before, "{counts:?}");
    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
    assert!(desk.stats().expired > 100, "{:?}", desk.stats());
    assert_eq!(&bytes[..8], b"RAMPMETR", "it was saved");
}

#[test]
fn bytes_needed_is_what_construction_takes() {
    for requests_max in [1, 1_000, 1 << 17] {
        let options = Options { requests_max, ..options() };
        let before = tally().bytes_live;
        let desk = DynamicBatcher::new(&options).unwrap();
        let taken = (tally().bytes_live - before) as f64;
        let needed = DynamicBatcher::bytes_needed(&options) as f64;
        assert!((needed - taken).abs() <= 0.02 * taken + 4096.0, "said {needed}, took {taken}");
        drop(desk);
        assert_eq!(tally().bytes_live, before, "it gives back what it took");
    }
}
