//! Adapters have few slots: who gets one, who waits for one, and who is not to notice.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

fn with_adapters(adapters: u32, slots: u32, seats: u32) -> Policy {
    let mut policy = policy();
    policy.limits.adapters_max = adapters;
    policy.limits.adapter_slots_max = slots;
    policy.limits.running_max = seats;
    policy.limits.requests_max = 1_024;
    policy
}

impl Rig {
    fn submit_adapter(&mut self, class: u16, adapter: u32, output: u32) -> RequestId {
        let submission = Submission {
            class,
            account: self.account(0),
            arrival: self.now,
            prompt_tokens: Tokens(10),
            output_tokens_max: Tokens(output),
            adapter,
            ..Submission::default()
        };
        self.batcher.submit(self.now, &submission).unwrap().queued().unwrap()
    }

    fn obstacle(&self, request: RequestId) -> Obstacle {
        self.batcher.progress(request).unwrap().obstacle
    }
}

#[test]
fn who_waits_for_a_slot_lets_others_pass() {
    let mut rig = Rig::new(&with_adapters(3, 1, 8));
    let first = rig.submit_adapter(0, 1, 5);
    let second = rig.submit_adapter(0, 2, 5);
    let [third, plain] = [1, 0].map(|adapter| rig.submit_adapter(0, adapter, 5));
    // The third comes after a claim for its slot, which is drained from then on.
    assert_eq!(*requests(&rig.step()), [first, plain]);
    assert_eq!([second, third].map(|id| rig.obstacle(id)), [Obstacle::Adapter; 2]);
    assert_eq!(rig.batcher.stats().waiting, 2);
    for _ in 0..4 {
        assert_eq!(rig.step().len(), 2);
    }
    assert_eq!(*requests(&rig.step()), [second], "the slot is empty");
    assert_eq!(rig.obstacle(second), Obstacle::None);
    for _ in 0..4 {
        assert_eq!(rig.step().len(), 1);
    }
    assert_eq!(*requests(&rig.step()), [third]);
}

#[test]
fn an_adapter_out_of_range_is_refused() {
    let mut rig = Rig::new(&with_adapters(3, 1, 8));
    let mut submission =
        Submission { account: rig.account(0), adapter: 4, ..Submission::default() };
    let refused = Error::Range { field: "adapter", value: 4, min: 0, max: 3 };
    assert_eq!(rig.batcher.submit(rig.now, &submission), Err(refused));
    submission.adapter = 3;
    assert!(rig.batcher.submit(rig.now, &submission).is_ok());
    for (adapters, slots, field) in [(4, 1, "adapters_max"), (3, 2, "adapter_slots_max")] {
        let changed = with_adapters(adapters, slots, 8);
        assert_eq!(rig.batcher.set_policy(&changed).unwrap_err().field(), field);
    }
}

/// A claim that nobody needs any more lapses, and the drained slot lets its own in again.
#[test]
fn a_claim_ends_with_the_last_who_waits() {
    let mut rig = Rig::new(&with_adapters(3, 1, 8));
    let first = rig.submit_adapter(0, 1, 50);
    let [second, third] = [2, 1].map(|adapter| rig.submit_adapter(0, adapter, 50));
    assert_eq!(*requests(&rig.step()), [first]);
    rig.batcher.cancel(rig.now, second).unwrap();
    assert_eq!(*requests(&rig.step()), [first, third]);
}

/// Nothing of a request that stood aside stays behind, in whatever stage it was.
#[test]
fn a_request_that_stands_aside_can_be_taken_back() {
    for late in [false, true] {
        let mut rig = Rig::new(&with_adapters(3, 1, 1));
        let first = rig.submit_adapter(0, 1, 2);
        rig.step();
        let second = rig.submit_adapter(0, 2, 50);
        rig.wait(if late { 5.0 } else { 0.0 });
        rig.batcher.running_len = 0;
        rig.form();
        rig.batcher.running_len = 1;
        assert_eq!(rig.obstacle(second), Obstacle::Adapter);
        let stats = rig.batcher.stats();
        assert_eq!((stats.waiting, stats.late), (1, u32::from(late)));
        for id in [second, first] {
            rig.batcher.cancel(rig.now, id).unwrap();
        }
        let stats = rig.batcher.stats();
        assert_eq!((stats.requests, stats.waiting, stats.late), (0, 0, 0));
        rig.submit_adapter(0, 3, 1);
        assert_eq!(rig.step().len(), 1, "the slot is free for anybody");
    }
}

/// A claim of a higher class takes a slot that was given and not used yet, and the lower one gets
/// its own back.
#[test]
fn a_better_rank_goes_first() {
    let mut adapters = super::super::adapters::Adapters::new(&with_adapters(5, 1, 1).limits);
    for adapter in 1..=3 {
        adapters.arrive(adapter);
    }
    assert!(adapters.claim(1, 3));
    assert!(!adapters.claim(2, 3), "given and not used: it is kept");
    assert!(adapters.claim(3, 1));
    assert!(!adapters.is_open(1));
    adapters.depart(3);
    adapters.seat(3);
    adapters.vacate(3);
    adapters.serve();
    assert!(adapters.is_open(1), "its claim was made before that of the second");
}

/// What does not need an adapter is let in as if those that do were not there.
#[test]
fn without_adapter_nobody_waits_for_slots() {
    let run = |blocked: u32| {
        let mut rig = Rig::new(&with_adapters(50, 2, 8));
        for adapter in 1..=2 {
            rig.submit_adapter(0, adapter, 10_000);
        }
        rig.step();
        let mut admitted = Vec::new();
        for round in 0..60_u32 {
            for index in 0..blocked {
                rig.submit_adapter(0, 3 + (round + index) % 48, 5);
            }
            rig.batcher
                .submit(
                    rig.now,
                    &Submission {
                        tag: u64::from(round),
                        account: rig.account(1),
                        class: (round % 2) as u16,
                        arrival: rig.now,
                        output_tokens_max: Tokens(9),
                        ..Submission::default()
                    },
                )
                .unwrap();
            let entries = rig.step();
            let tags = entries.iter().filter(|entry| entry.admitted).map(|entry| entry.tag);
            admitted.push(tags.collect::<Vec<_>>());
        }
        admitted
    };
    assert_eq!(run(0), run(10));
}

/// Splits a seed into numbers.
fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// First come, first served, past whoever needs an adapter for which there is no slot: what an
/// engine does that has no claims.
struct SkipAhead {
    queue: Vec<(u32, u32)>,
    running: Vec<(u32, u32)>,
    slots: usize,
    seats: usize,
}

impl SkipAhead {
    /// One step; returns the adapters of those that got a seat.
    fn step(&mut self) -> Vec<u32> {
        let mut admitted = Vec::new();
        let Self { queue, running, slots, seats } = self;
        queue.retain(|(adapter, output)| {
            let mut used: BTreeSet<u32> = running.iter().map(|(adapter, _)| *adapter).collect();
            used.insert(*adapter);
            if running.len() == *seats || used.len() > *slots {
                return true;
            }
            running.push((*adapter, *output));
            admitted.push(*adapter);
            false
        });
        for (_, left) in running.iter_mut() {
            *left -= 1;
        }
        running.retain(|(_, left)| *left > 0);
        admitted
    }
}

/// Four adapters that never run dry, and 96 with one request each. Returns how many of these had a
/// seat within so many steps, with claims and without.
fn cold_adapters_served(steps: u32) -> [usize; 2] {
    let (slots, seats) = (4, 16);
    let mut rig = Rig::new(&with_adapters(100, slots, seats));
    let mut control =
        SkipAhead { queue: Vec::new(), running: Vec::new(), slots: 4, seats: seats as usize };
    let mut served = [BTreeSet::new(), BTreeSet::new()];
    let mut waiting: [BTreeMap<u32, u32>; 2] = Default::default();
    let mut seed = 7;
    for step in 0..steps {
        let output = 15 + (draw(&mut seed) % 10) as u32;
        for hot in 1..=4 {
            if *waiting[0].entry(hot).or_default() < 8 {
                rig.submit_adapter(0, hot, output);
                *waiting[0].entry(hot).or_default() += 1;
            }
            if *waiting[1].entry(hot).or_default() < 8 {
                control.queue.push((hot, output));
                *waiting[1].entry(hot).or_default() += 1;
            }
        }
        if (10..106).contains(&step) {
            rig.submit_adapter(0, step - 5, output);
            control.queue.push((step - 5, output));
        }
        let admitted: Vec<u32> = {
            let entries = rig.form();
            let admitted = entries.iter().filter(|entry| entry.admitted);
            admitted.map(|entry| rig.batcher.request(entry.request.index()).adapter).collect()
        };
        rig.land();
        for (side, admitted) in [admitted, control.step()].into_iter().enumerate() {
            for adapter in admitted {
                if adapter <= 4 {
                    *waiting[side].entry(adapter).or_default() -= 1;
                } else {
                    served[side].insert(adapter);
                }
            }
        }
    }
    served.map(|served| served.len())
}

#[test]
fn no_adapter_starves_and_without_claims_most_would() {
    // A drain takes at most the 24 steps of the longest request, and one step to notice.
    let [claims, skipping] = cold_adapters_served(106 + 100 * 25);
    assert_eq!(claims, 96);
    assert!(skipping < 48, "the control must starve some, or this proves nothing: {skipping}");
}

/// Steps that 600 requests of 20 adapters take over 4 slots, with claims and skipping ahead.
#[test]
fn claims_cost_little_throughput() {
    let (slots, seats) = (4, 16);
    let mut rig = Rig::new(&with_adapters(20, slots, seats));
    let mut control =
        SkipAhead { queue: Vec::new(), running: Vec::new(), slots: 4, seats: seats as usize };
    let mut seed = 11;
    for _ in 0..600 {
        let adapter = 1 + (draw(&mut seed) % 20) as u32;
        let output = 10 + (draw(&mut seed) % 20) as u32;
        rig.submit_adapter(0, adapter, output);
        control.queue.push((adapter, output));
    }
    let (mut steps, mut control_steps) = (0_u32, 0_u32);
    while rig.batcher.stats().requests > 0 {
        rig.step();
        steps += 1;
    }
    while !control.queue.is_empty() || !control.running.is_empty() {
        control.step();
        control_steps += 1;
    }
    std::println!("{steps} steps with claims, {control_steps} skipping ahead");
    assert!(f64::from(steps) <= 1.10 * f64::from(control_steps), "{steps} to {control_steps}");
}
