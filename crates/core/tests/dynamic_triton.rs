//! `Rule::Fixed` is Triton's documented dynamic batcher: a small model of that documentation, and
//! the desk, are given the same requests and must launch the same batches at the same moments.
//!
//! The documentation (`docs/user_guide/batcher.md`): a batch of the largest preferred size that
//! can be made is sent at once; otherwise sending is put off as long as no request is delayed
//! longer than `max_queue_delay_microseconds`, then whatever is there is sent, up to the maximum.
//! Higher priorities first; requests that time out are rejected, or put behind all others of
//! their priority.

mod support;

use std::collections::VecDeque;

use rampmeter::Nanos;
use rampmeter::batch::dynamic::{
    Admission, ClassOptions, Decision, DynamicBatcher, Ending, Expired, Expiry, Observation,
    Options, Plan, PlanEntry, Rule, Shed, ShedReason, Submission,
};
use rampmeter::engine::LatencyCurve;
use support::Prng;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    tag: u64,
    arrival: u64,
    timeout: Option<u64>,
}

#[derive(Default)]
struct Level {
    queue: VecDeque<Waiting>,
    delayed: VecDeque<Waiting>,
}

/// The documentation, word by word.
struct Triton {
    size_max: usize,
    preferred: Vec<usize>,
    delay: u64,
    expiry: Vec<Expiry>,
    levels: Vec<Level>,
}

impl Triton {
    fn len(&self) -> usize {
        self.levels.iter().map(|level| level.queue.len() + level.delayed.len()).sum()
    }

    /// Applies time-outs; returns who is rejected.
    fn time_out(&mut self, now: u64) -> Vec<u64> {
        let mut rejected = Vec::new();
        for (level, expiry) in self.levels.iter_mut().zip(&self.expiry) {
            let (over, alive) =
                level.queue.iter().partition(|one| one.timeout.is_some_and(|at| at <= now));
            level.queue = alive;
            match expiry {
                Expiry::Reject => rejected.extend(VecDeque::into_iter(over).map(|one| one.tag)),
                Expiry::Delay => level.delayed.extend(over),
            }
        }
        rejected
    }

    /// The batch to send now, if any, and until when to wait otherwise.
    fn decide(&mut self, now: u64) -> Result<Vec<u64>, Option<u64>> {
        let all = || self.levels.iter().flat_map(|one| one.queue.iter().chain(&one.delayed));
        let Some(oldest) = all().map(|one| one.arrival).min() else { return Err(None) };
        let there = all().count().min(self.size_max);
        let delayed_too_long = self.delay > 0 && now - oldest >= self.delay;
        let best = self.preferred.iter().rev().find(|size| **size <= there).copied();
        let largest = *self.preferred.last().expect("one at least");
        let size = match best {
            Some(best) if !delayed_too_long => best,
            _ if there >= largest || delayed_too_long || self.delay == 0 => there,
            _ => return Err(Some(oldest + self.delay)),
        };
        let mut batch = Vec::new();
        for level in &mut self.levels {
            for queue in [&mut level.queue, &mut level.delayed] {
                while batch.len() < size {
                    let Some(one) = queue.pop_front() else { break };
                    batch.push(one.tag);
                }
            }
        }
        Ok(batch)
    }
}

struct Pair {
    desk: DynamicBatcher,
    triton: Triton,
    queue_max: usize,
    timeouts: Vec<Option<u64>>,
    account: rampmeter::share::AccountId,
    instances: usize,
    running: Vec<(u64, rampmeter::batch::dynamic::BatchId)>,
    batches: usize,
    rejected: usize,
}

impl Pair {
    fn new(prng: &mut Prng) -> Self {
        let size_max = 1 + prng.below(12) as u32;
        let mut preferred: Vec<u32> =
            (0..prng.below(4)).map(|_| 1 + prng.below(size_max.into()) as u32).collect();
        preferred.sort_unstable();
        preferred.dedup();
        let delay = [0, 500, 3_000][prng.below(3) as usize];
        let queue_max = 5 + prng.below(40) as u32;
        let classes: Vec<ClassOptions> = (0..=prng.below(3))
            .map(|_| ClassOptions {
                guaranteed_ratio: 0.0,
                queue_max,
                timeout: prng.chance(60).then(|| Nanos(500 + prng.below(9_000))),
                expiry: if prng.chance(50) { Expiry::Reject } else { Expiry::Delay },
                ..ClassOptions::default()
            })
            .collect();
        let timeouts = classes.iter().map(|class| class.timeout.map(Nanos::get)).collect();
        let expiry: Vec<Expiry> = classes.iter().map(|class| class.expiry).collect();
        let levels = classes.iter().map(|_| Level::default()).collect();
        let instances = 1 + prng.below(3) as usize;
        let curve = LatencyCurve::linear(1e-6, 1e-7).unwrap();
        let options = Options {
            rule: Rule::Fixed,
            preferred_sizes: preferred.clone().into(),
            queue_delay_max: (delay > 0 || prng.chance(50)).then_some(Nanos(delay)),
            instances: instances as u32,
            classes: classes.into(),
            ..Options::new(size_max, curve)
        };
        let mut desk = DynamicBatcher::new(&options).unwrap();
        let account = desk.open_account(None, 1.0).unwrap();
        let preferred = if preferred.is_empty() { vec![size_max] } else { preferred };
        let preferred = preferred.into_iter().map(|size| size as usize).collect();
        let size_max = size_max as usize;
        let triton = Triton { size_max, preferred, delay, expiry, levels };
        let (queue_max, running) = (queue_max as usize, Vec::new());
        let (batches, rejected) = (0, 0);
        Self { desk, triton, queue_max, timeouts, account, instances, running, batches, rejected }
    }

    fn submit(&mut self, now: u64, tag: u64, class: usize) {
        let level = &mut self.triton.levels[class];
        let full = level.queue.len() + level.delayed.len() >= self.queue_max;
        let submission = Submission {
            tag,
            class: class as u16,
            account: self.account,
            bucket: 0,
            arrival: Nanos(now),
            deadline: None,
            expires_at: None,
        };
        let admission = self.desk.submit(Nanos(now), &submission).unwrap();
        let shed = matches!(admission, Admission::Shed(Shed { reason: ShedReason::QueueFull, .. }));
        assert_eq!(shed, full, "limit of the queue");
        if !full {
            let timeout = self.timeouts[class].map(|span| now + span);
            level.queue.push_back(Waiting { tag, arrival: now, timeout });
        }
    }

    /// Both decide until neither launches; they must agree on every step.
    fn settle(&mut self, now: u64, prng: &mut Prng) {
        let mut expected_rejects = self.triton.time_out(now);
        let (mut entries, mut expired) = ([PlanEntry::default(); 12], [Expired::default(); 64]);
        loop {
            let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
            let formed = self.desk.form(Nanos(now), plan).unwrap();
            let mut rejects: Vec<u64> =
                expired[..formed.expired_len as usize].iter().map(|one| one.tag).collect();
            rejects.sort_unstable();
            expected_rejects.sort_unstable();
            assert_eq!(rejects, expected_rejects, "rejected at {now}");
            self.rejected += rejects.len();
            expected_rejects.clear();
            let busy = self.running.len() == self.instances;
            let expected = if busy { Err(None) } else { self.triton.decide(now) };
            match (formed.decision, expected) {
                (Decision::Launch(launch), Ok(batch)) => {
                    let mut tags: Vec<u64> =
                        entries[..launch.len as usize].iter().map(|entry| entry.tag).collect();
                    let mut batch = batch;
                    // Who is in it; places within a batch mean nothing.
                    tags.sort_unstable();
                    batch.sort_unstable();
                    assert_eq!(tags, batch, "at {now}");
                    self.running.push((now + 1 + prng.below(4_000), launch.batch));
                    self.batches += 1;
                }
                (Decision::Wait { until, .. }, Err(Some(at))) => {
                    assert_eq!(until.get(), at, "how long to wait, at {now}");
                    return;
                }
                (Decision::Wait { .. }, Err(None)) if busy && self.triton.len() > 0 => return,
                (Decision::Idle, Err(None)) => return,
                (ours, theirs) => panic!("at {now}: {ours:?} against {theirs:?}"),
            }
        }
    }
}

#[test]
fn launches_what_triton_launches() {
    let (mut batches, mut rejected, mut waits) = (0, 0, 0);
    for seed in 0..400 {
        let mut prng = Prng(seed);
        let mut pair = Pair::new(&mut prng);
        let gap = [100, 400, 1_500][prng.below(3) as usize];
        let (mut now, mut next_arrival) = (1, 1);
        for tag in 0..400 {
            // The next thing that happens: an arrival, the end of a batch, or what the desk asks.
            let end = pair.running.iter().map(|(at, _)| *at).min();
            let asked = pair.desk.next_event(Nanos(now)).map(Nanos::get).filter(|at| *at > now);
            now = [Some(next_arrival), end, asked].into_iter().flatten().min().unwrap();
            waits += usize::from(asked == Some(now));
            while let Some(place) = pair.running.iter().position(|(at, _)| *at <= now) {
                let (_, batch) = pair.running.remove(place);
                let seen = Observation { batch, duration: None, ending: Ending::Failed };
                pair.desk.observe(Nanos(now), &seen).unwrap();
            }
            if next_arrival == now {
                let class = prng.below(pair.timeouts.len() as u64) as usize;
                pair.submit(now, tag, class);
                next_arrival += 1 + prng.below(2 * gap);
            }
            pair.settle(now, &mut prng);
        }
        batches += pair.batches;
        rejected += pair.rejected;
    }
    assert!(batches > 10_000 && rejected > 500 && waits > 1_000, "{batches} {rejected} {waits}");
}
