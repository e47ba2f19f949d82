//! Gates in use today, each as its source has it; what had to be chosen is said.
//!
//! Concurrency limits are told what they limit in their own terms: requests in flight, those that
//! wait and those that are served. Sources:
//!
//! - `none`: everybody waits. `cap n`: at most `n` wait. `expire only`: everybody waits, and who
//!   waited beyond the target is dropped at the head.
//! - `AIMD`: Netflix concurrency-limits, `AIMDLimit`: limit + 1 where at least half of it is in
//!   use, times 0.9 on a drop. Its drop is a wait beyond the target instead of a time-out: it is
//!   better so than with round trips.
//! - `Gradient2`: the same, `Gradient2Limit` in a `WindowedLimit`: windows of 1 s and at least 10
//!   samples, mean round trip, long mean over 600 windows, tolerance 1.5, queue 4, smoothing 0.2.
//!   Both begin at the number of servers, and never go below it: their own lowest limit of 20 would
//!   be more than enough queue on 8 servers, and idle servers on 64 help nobody.
//! - `CoDel`: RFC 8289, with requests for packets. Its interval is the target, as the round trip is
//!   on a link, its own target a tenth of that: the upper end of what section 4.3 recommends. A
//!   queue of one is never dropped from.

use std::collections::VecDeque;

use super::{Arrival, Keeper, Offer, Verdict};

/// How a peer decides.
#[derive(Clone, Debug)]
enum Rule {
    Cap(usize),
    Expire,
    Aimd { limit: f64 },
    Gradient2(Gradient2),
    CoDel(CoDel),
}

/// A gate in use today, and its queue.
#[derive(Clone, Debug)]
pub struct Peer {
    rule: Rule,
    /// Who waits, and since when.
    line: VecDeque<(usize, f64)>,
    running: usize,
    servers: usize,
    target_s: f64,
}

impl Peer {
    fn new(offer: &Offer, rule: Rule) -> Self {
        let (line, running) = (VecDeque::new(), 0);
        Self { rule, line, running, servers: offer.servers(), target_s: offer.target_s }
    }

    /// Everybody waits.
    #[must_use]
    pub fn none(offer: &Offer) -> Self {
        Self::new(offer, Rule::Cap(usize::MAX))
    }

    /// At most so many wait.
    #[must_use]
    pub fn cap(offer: &Offer, most: usize) -> Self {
        Self::new(offer, Rule::Cap(most))
    }

    /// Everybody waits, and who waited beyond the target is dropped at the head.
    #[must_use]
    pub fn expire(offer: &Offer) -> Self {
        Self::new(offer, Rule::Expire)
    }

    /// Additive increase, multiplicative decrease.
    #[must_use]
    pub fn aimd(offer: &Offer) -> Self {
        Self::new(offer, Rule::Aimd { limit: offer.servers() as f64 })
    }

    /// By the gradient of round trips.
    #[must_use]
    pub fn gradient2(offer: &Offer) -> Self {
        Self::new(offer, Rule::Gradient2(Gradient2::new(offer.servers() as f64)))
    }

    /// Controlled delay.
    #[must_use]
    pub fn codel(offer: &Offer) -> Self {
        Self::new(offer, Rule::CoDel(CoDel::new(0.1 * offer.target_s, offer.target_s)))
    }

    fn in_flight(&self) -> usize {
        self.running + self.line.len()
    }

    fn lets_in(&self) -> bool {
        match &self.rule {
            Rule::Cap(most) => self.running < self.servers || self.line.len() < *most,
            Rule::Expire | Rule::CoDel(_) => true,
            Rule::Aimd { limit } => (self.in_flight() as f64) < limit.floor(),
            Rule::Gradient2(rule) => (self.in_flight() as f64) < rule.limit.floor(),
        }
    }
}

impl Keeper for Peer {
    fn arrive(&mut self, now_s: f64, arrival: &Arrival) -> Verdict {
        if !self.lets_in() {
            return Verdict::Refuse;
        }
        if arrival.free {
            self.running += 1;
            return Verdict::Start;
        }
        self.line.push_back((arrival.id, now_s));
        Verdict::Wait
    }

    fn next(&mut self, now_s: f64) -> Option<usize> {
        let id = match &mut self.rule {
            Rule::Expire => loop {
                let (id, at_s) = self.line.pop_front()?;
                if now_s - at_s <= self.target_s {
                    break id;
                }
            },
            Rule::CoDel(rule) => rule.dequeue(now_s, &mut self.line)?,
            _ => self.line.pop_front()?.0,
        };
        self.running += 1;
        Some(id)
    }

    fn ended(&mut self, now_s: f64, _id: usize, waited_s: f64, ran_s: f64) {
        let in_flight = self.in_flight() as f64;
        self.running -= 1;
        let least = self.servers as f64;
        match &mut self.rule {
            Rule::Aimd { limit } => {
                if waited_s > self.target_s {
                    *limit = (*limit * 0.9).max(least);
                } else if in_flight * 2.0 >= *limit {
                    *limit += 1.0;
                }
            }
            Rule::Gradient2(rule) => rule.sample(now_s, waited_s + ran_s, in_flight, least),
            Rule::Cap(_) | Rule::Expire | Rule::CoDel(_) => {}
        }
    }
}

/// Netflix `Gradient2Limit`, fed by windows.
#[derive(Clone, Debug)]
struct Gradient2 {
    limit: f64,
    long_s: f64,
    windows: u32,
    began_s: f64,
    sum_s: f64,
    samples: u32,
    in_flight_max: f64,
}

impl Gradient2 {
    const WINDOW_S: f64 = 1.0;
    const SAMPLES_MIN: u32 = 10;
    const WARM_UP: u32 = 10;
    const LONG_WINDOWS: f64 = 600.0;
    const TOLERANCE: f64 = 1.5;
    const QUEUE: f64 = 4.0;
    const SMOOTHING: f64 = 0.2;

    fn new(limit: f64) -> Self {
        let (long_s, windows, began_s, sum_s, samples, in_flight_max) = (0.0, 0, 0.0, 0.0, 0, 0.0);
        Self { limit, long_s, windows, began_s, sum_s, samples, in_flight_max }
    }

    fn sample(&mut self, now_s: f64, trip_s: f64, in_flight: f64, least: f64) {
        self.sum_s += trip_s;
        self.samples += 1;
        self.in_flight_max = self.in_flight_max.max(in_flight);
        if now_s - self.began_s < Self::WINDOW_S || self.samples < Self::SAMPLES_MIN {
            return;
        }
        let short_s = self.sum_s / f64::from(self.samples);
        let in_flight = self.in_flight_max;
        (self.began_s, self.sum_s, self.samples, self.in_flight_max) = (now_s, 0.0, 0, 0.0);
        self.window(short_s, in_flight, least);
    }

    fn window(&mut self, short_s: f64, in_flight: f64, least: f64) {
        self.windows += 1;
        if self.windows <= Self::WARM_UP {
            self.long_s += (short_s - self.long_s) / f64::from(self.windows);
        } else {
            self.long_s += (short_s - self.long_s) * 2.0 / (Self::LONG_WINDOWS + 1.0);
        }
        if self.long_s / short_s > 2.0 {
            self.long_s *= 0.95;
        }
        if in_flight < self.limit / 2.0 {
            return;
        }
        let gradient = (Self::TOLERANCE * self.long_s / short_s).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + Self::QUEUE;
        let smoothed = self.limit * (1.0 - Self::SMOOTHING) + wanted * Self::SMOOTHING;
        // The published default for the most is 200.
        self.limit = smoothed.clamp(least, 200.0_f64.max(least));
    }
}

/// RFC 8289, appendix A.
#[derive(Clone, Debug)]
struct CoDel {
    target_s: f64,
    interval_s: f64,
    first_above_s: Option<f64>,
    drop_next_s: f64,
    count: u32,
    last_count: u32,
    dropping: bool,
}

impl CoDel {
    fn new(target_s: f64, interval_s: f64) -> Self {
        let (first_above_s, drop_next_s, count, last_count) = (None, 0.0, 0, 0);
        let dropping = false;
        Self { target_s, interval_s, first_above_s, drop_next_s, count, last_count, dropping }
    }

    fn control(&self, from_s: f64) -> f64 {
        from_s + self.interval_s / f64::from(self.count).sqrt()
    }

    /// The first in line, and whether it may be dropped.
    fn take(&mut self, now_s: f64, line: &mut VecDeque<(usize, f64)>) -> Option<(usize, bool)> {
        let Some((id, at_s)) = line.pop_front() else {
            self.first_above_s = None;
            return None;
        };
        if now_s - at_s < self.target_s || line.is_empty() {
            self.first_above_s = None;
            return Some((id, false));
        }
        let since_s = *self.first_above_s.get_or_insert(now_s + self.interval_s);
        Some((id, now_s >= since_s))
    }

    fn dequeue(&mut self, now_s: f64, line: &mut VecDeque<(usize, f64)>) -> Option<usize> {
        let Some((mut id, mut may_drop)) = self.take(now_s, line) else {
            self.dropping = false;
            return None;
        };
        if self.dropping {
            if !may_drop {
                self.dropping = false;
            }
            while self.dropping && now_s >= self.drop_next_s {
                self.count += 1;
                let Some(taken) = self.take(now_s, line) else {
                    self.dropping = false;
                    return None;
                };
                (id, may_drop) = taken;
                if may_drop {
                    self.drop_next_s = self.control(self.drop_next_s);
                } else {
                    self.dropping = false;
                }
            }
        } else if may_drop {
            let taken = self.take(now_s, line)?;
            id = taken.0;
            self.dropping = true;
            let delta = self.count - self.last_count;
            let recent = now_s - self.drop_next_s < 16.0 * self.interval_s;
            self.count = if delta > 1 && recent { delta } else { 1 };
            self.drop_next_s = self.control(now_s);
            self.last_count = self.count;
        }
        Some(id)
    }
}
