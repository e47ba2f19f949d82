//! Launch now, or wait until when: the price of each first move, by rolling it out.
//!
//! # What it decides
//! For one bucket with an idle instance: the size to launch now, or that more should be waited for
//! and until when.
//!
//! # Formula
//! ```text
//! moves     launch c now:  c in {all, best size, preferred size} that are there
//!           wait for j:    j = 1, and up to the next knot, preferred size, best size
//!           only those with  now + j / rate <= latest safe launch  and  <= the cap
//! cost      sum over who waits and who comes within the horizon of
//!           value * (completion - arrival)  +  miss price * [completion > deadline]
//!           with instances going on greedily after the first move
//! horizon   twice the time of the batch that one batch time brings in
//! safe      min over the batch of deadline - L(b) * (1 + 2 * spread)
//! ```
//! Arrivals are a fluid of the estimated rate; deadlines of who waits are taken to lie evenly
//! between the first and the last, those of who comes at the usual distance.
//!
//! # Bounds and cost
//! At most 7 moves of at most 9 batches: O(63 log knots). No allocation.
//!
//! # What it is bad at
//! It looks two batches ahead, sees no variance in the arrivals, and takes each bucket for alone.
//! Of many instances it sees the four that are free first.
//!
//! # Source
//! Rollout: Bertsekas, "Dynamic programming and optimal control". That the optimum for Poisson
//! arrivals is a limit on the queue: Deb and Serfozo, "Optimal control of batch service queues",
//! 1973. Latest safe launch: Gujarati et al., "Clockwork", OSDI 2020.

use crate::engine::LatencyCurve;

/// Other instances that are looked at: those free soonest.
pub(super) const OTHERS: usize = 3;

/// Batches rolled out after the first move: two rounds of the instances looked at.
const BATCHES: u32 = 8;

/// Mean deviations by which a batch may be longer than predicted and still be in time: of normal
/// noise 5% lies beyond.
const SAFE_DEVIATIONS: f64 = 2.0;

/// Why a decision is what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Why {
    /// Every instance runs a batch.
    Busy,
    /// Launch: the largest batch there can be.
    Full,
    /// Launch: nothing that could come is worth waiting for.
    WorthNow,
    /// Launch: a preferred size is there.
    Preferred,
    /// Launch: waiting longer would cost somebody the deadline.
    Deadline,
    /// Launch: the oldest request has waited as long as it may.
    DelayMax,
    /// Launch: only requests whose deadlines are lost.
    Late,
    /// Wait: more requests are worth their price.
    WorthWaiting,
    /// Wait: more have expired than the plan's array holds; ask again at once.
    MoreExpired,
}

/// What the rule for one bucket says, with its prices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Requests to launch now; 0 to wait.
    pub size: u32,
    /// Seconds to wait.
    pub wait_s: f64,
    /// Why.
    pub why: Why,
    /// Value-seconds that launching now is expected to cost.
    pub launch_cost: f64,
    /// Value-seconds that the best waiting is expected to cost; infinite if there is none.
    pub wait_cost: f64,
}

/// One bucket as the rule sees it. Times are seconds from now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation<'a> {
    pub(super) curve: &'a LatencyCurve,
    pub(super) preferred: &'a [u32],
    pub(super) size_max: u32,
    /// Requests that wait and can be in time; at least 1.
    pub(super) waiting: u32,
    /// Arrivals a second.
    pub(super) rate: f64,
    /// Until the first deadline, and until about the last, of who waits.
    pub(super) first_s: f64,
    pub(super) last_s: f64,
    /// Usual time from arrival to deadline.
    pub(super) target_s: f64,
    /// Until the oldest has waited as long as it may; not positive if it has.
    pub(super) cap_s: f64,
    /// Until the other instances are free.
    pub(super) others: [f64; OTHERS],
    /// Worth of a second of delay.
    pub(super) value: f64,
    /// Deadlines' worth of delay that a miss costs.
    pub(super) miss_ratio: f64,
    /// By how much waiting must be cheaper.
    pub(super) wait_gain_ratio: f64,
}

/// Where a rollout stands.
struct Rollout {
    /// Of those that wait now, how many are left.
    left: f64,
    /// Arrivals up to this moment are served.
    taken_s: f64,
    delay_s: f64,
    misses: f64,
}

impl Situation<'_> {
    /// Seconds that a batch takes at most, as far as that is known.
    pub(super) fn safe_seconds(curve: &LatencyCurve, size: u32) -> f64 {
        let spread = curve.confidence(size).spread_ratio;
        curve.seconds(size) * (1.0 + SAFE_DEVIATIONS * spread)
    }

    /// The verdict by price.
    pub(super) fn priced(&self) -> Verdict {
        let all = self.waiting.min(self.size_max);
        let launch = |size, why, launch_cost, wait_cost| Verdict {
            size,
            wait_s: 0.0,
            why,
            launch_cost,
            wait_cost,
        };
        let patience_s = self.cap_s.min(self.first_s - Self::safe_seconds(self.curve, all));
        let tight = self.first_s - Self::safe_seconds(self.curve, all) <= 0.0;
        let horizon_s = self.horizon_s(all);
        let (mut size, mut launch_cost) = (all, self.cost(0.0, all, horizon_s));
        for smaller in self.smaller(all).into_iter().flatten() {
            let cost = self.cost(0.0, smaller, horizon_s);
            if cost < launch_cost {
                (size, launch_cost) = (smaller, cost);
            }
        }
        if all == self.size_max {
            return launch(size, Why::Full, launch_cost, f64::INFINITY);
        }
        if patience_s <= 0.0 {
            let why = if tight { Why::Deadline } else { Why::DelayMax };
            return launch(size, why, launch_cost, f64::INFINITY);
        }
        let (mut wait_s, mut wait_cost) = (0.0, f64::INFINITY);
        // With another instance idle, who comes next waits for nobody.
        if self.rate > 0.0 && self.others[0] > 0.0 {
            for larger in self.larger(all).into_iter().flatten() {
                let until_s = f64::from(larger - all) / self.rate;
                let safe_s = self.first_s - Self::safe_seconds(self.curve, larger);
                if until_s <= self.cap_s.min(safe_s) {
                    let cost = self.cost(until_s, larger, horizon_s);
                    if cost < wait_cost {
                        (wait_s, wait_cost) = (until_s, cost);
                    }
                }
            }
        }
        if wait_cost < launch_cost * (1.0 - self.wait_gain_ratio) {
            let wait_s = wait_s.min(patience_s);
            return Verdict { size: 0, wait_s, why: Why::WorthWaiting, launch_cost, wait_cost };
        }
        launch(size, Why::WorthNow, launch_cost, wait_cost)
    }

    /// The verdict of fixed batching: see [`super::Rule::Fixed`].
    pub(super) fn fixed(&self) -> Verdict {
        let only = [self.size_max];
        let preferred = if self.preferred.is_empty() { &only } else { self.preferred };
        let launch =
            |size, why| Verdict { size, wait_s: 0.0, why, launch_cost: 0.0, wait_cost: 0.0 };
        let there = self.waiting.min(self.size_max);
        let delay_over = self.cap_s <= 0.0;
        // A delay of zero is never over: a preferred size goes before a larger batch.
        let best = preferred.iter().rev().find(|size| **size <= there);
        if let Some(best) = best.filter(|_| !delay_over || self.cap_s == f64::NEG_INFINITY) {
            return launch(*best, Why::Preferred);
        }
        let largest = preferred[preferred.len() - 1];
        let safe_s = self.first_s - Self::safe_seconds(self.curve, there);
        let why = match () {
            () if there >= largest => Why::Full,
            () if delay_over => Why::DelayMax,
            () if safe_s <= 0.0 => Why::Deadline,
            () => {
                let wait_s = self.cap_s.min(safe_s);
                return Verdict { wait_s, ..launch(0, Why::WorthWaiting) };
            }
        };
        launch(there, why)
    }

    /// Sizes below `all` that may serve better.
    fn smaller(&self, all: u32) -> [Option<u32>; 2] {
        let best = self.curve.best_rate(all).0;
        let preferred = self.preferred.iter().rev().find(|size| **size < all).copied();
        [Some(best).filter(|size| *size < all), preferred]
    }

    /// Sizes above `all` that may be worth waiting for.
    fn larger(&self, all: u32) -> [Option<u32>; 4] {
        let best = self.curve.best_rate(self.size_max).0;
        let preferred = self.preferred.iter().find(|size| **size > all).copied();
        [Some(all + 1), self.curve.knot_after(all), preferred, Some(best)]
            .map(|size| size.filter(|s| *s > all && *s <= self.size_max))
    }

    fn horizon_s(&self, all: u32) -> f64 {
        let batch_s = self.curve.seconds(all);
        let brings = f64::from(all) + self.rate * batch_s;
        2.0 * self.curve.seconds(brings.min(f64::from(self.size_max)) as u32)
    }

    /// Value-seconds of launching `size` requests after `wait_s`, and greedily from then on.
    fn cost(&self, wait_s: f64, size: u32, horizon_s: f64) -> f64 {
        let mut free = [0.0; OTHERS + 1];
        free[1..].copy_from_slice(&self.others);
        let mut state =
            Rollout { left: f64::from(self.waiting), taken_s: 0.0, delay_s: 0.0, misses: 0.0 };
        free[0] = wait_s + self.curve.seconds(size);
        self.serve(&mut state, f64::from(size), free[0], horizon_s);
        for _ in 0..BATCHES {
            if state.left <= 0.0 && state.taken_s >= horizon_s {
                break;
            }
            let next = (1..free.len()).fold(0, |a, b| if free[b] < free[a] { b } else { a });
            let mut start_s = free[next].max(0.0);
            let mut there = state.left + self.rate * (start_s - state.taken_s).max(0.0);
            if there < 1.0 {
                if self.rate <= 0.0 {
                    break;
                }
                start_s = start_s.max(state.taken_s + (1.0 - state.left) / self.rate);
                there = 1.0;
            }
            let batch = there.min(f64::from(self.size_max));
            free[next] = start_s + self.curve.seconds(libm::ceil(batch) as u32);
            self.serve(&mut state, batch, free[next], horizon_s);
        }
        let first_free = free.iter().copied().fold(f64::INFINITY, f64::min);
        let behind_s = (first_free - horizon_s).max(0.0);
        state.delay_s += self.rate * behind_s * behind_s / 2.0;
        let miss_cost =
            if self.target_s.is_finite() { self.miss_ratio * self.target_s } else { 0.0 };
        self.value * (state.delay_s + miss_cost * state.misses)
    }

    /// A batch of `size` ends at `end_s`: first those that wait now, then who came.
    fn serve(&self, state: &mut Rollout, size: f64, end_s: f64, horizon_s: f64) {
        let old = state.left.min(size);
        if old > 0.0 {
            state.delay_s += old * end_s;
            let span_s = (self.last_s - self.first_s).max(0.0);
            // Where this batch's requests stand among the deadlines, in order.
            let all = f64::from(self.waiting);
            let (from, to) = ((all - state.left) / all, (all - state.left + old) / all);
            let lost = if span_s > 0.0 && span_s.is_finite() {
                ((end_s - self.first_s) / span_s).clamp(from, to) - from
            } else if end_s > self.first_s {
                to - from
            } else {
                0.0
            };
            state.misses += lost * all;
            state.left -= old;
        }
        let new = size - old;
        if new > 0.0 && self.rate > 0.0 {
            let (from, to) = (state.taken_s, state.taken_s + new / self.rate);
            let seen = to.min(horizon_s);
            if seen > from {
                let count = (seen - from) * self.rate;
                state.delay_s += count * (end_s - f64::midpoint(from, seen)).max(0.0);
                let missed_until = (end_s - self.target_s).clamp(from, seen);
                state.misses += (missed_until - from) * self.rate;
            }
            state.taken_s = to;
        }
    }
}
