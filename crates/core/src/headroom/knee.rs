//! What is the largest load that keeps a target?
//!
//! # What it decides
//! Nothing. The *knee* of a class: the rate at which just `late_ratio_max` of its requests wait
//! beyond their target, all classes growing alike; and how far away that is.
//!
//! # Formula
//! ```text
//! model      P_m(rho)        by `waiting`, with what the estimators measured
//! rehearsed  P_k             share of late requests in pool k, at the load rho_k that it had
//! together   P(rho_k) = (w_k P_k + 4 P_m(rho_k)) / (w_k + 4)
//!            w_k      = samples * max(P_k, eps) / excursion         rows of late ones that there were
//! between    ln P(rho) = ln P_m(rho) + straight in logit(rho) of ln P(rho_k) - ln P_m(rho_k)
//! growth     P(rho) *= P_m with I - 1 larger by rho / rho now, over P_m       where rho is above now
//! lasting    P(rho) >= that of two rates that take turns, as far apart and for as long as now
//!            (`waiting::rushes`), Cs^2 at most 1         where rho is above now
//! observed   P(rho) *= (likely + 4) / (expected + 4)     rows late in truth, and by P(rho now)
//!            likely    = expected, moved towards those seen by what is beyond 2 standard errors
//!            row       = (late requests + 4 * row rehearsed) / (rows seen + 4)
//! knee       rho* = largest rho with P(rho) <= eps,      lambda* = rho* / rho * lambda
//! headroom   1 - lambda / lambda*
//! limits     the same with P(rho) * e^(+-1.64 / sqrt(w + 4)), growth squared in the lower one
//! ```
//! A model counts for four rows of late requests: such formulas are right to within a half, and
//! so is a count of four. The last correction is for what neither knows: classes that go first,
//! uneven routing, servers that are down. It is 1 as long as chance explains the difference: where a
//! rush makes twenty late at once, twenty that were expected to be late and were not are one rush
//! that did not come.
//!
//! A rehearsal compresses bursts together with everything else. Those of real traffic have causes
//! that do not go faster under more load; `growth` says what they then hold more, and `lasting` what
//! they do at their length, which no rehearsal at a higher load has seen. Where bursts do go faster
//! (gaps that are all shorter alike) the knee comes out too low, by less the nearer it is. On the
//! cautious side the variance of the rates is larger by `rho / rho now`.
//!
//! # Bounds and cost
//! O(servers), about 150 loads of three tails each, at most 1,024 servers a tail: 1.2 to 1.8 ms with
//! 64 on a busy machine. For planning, not for
//! every request (`gate` is for those). No allocation.
//!
//! # What it is bad at
//! Rates far above any seen: the pattern is taken to become denser, not different.
//!
//! # Source
//! Weights by precision: Cochran, "Problems arising in the analysis of a series of similar
//! experiments" (1937). The rest is ours; `docs/policies/headroom.md` has the measurements.

use super::answer::{Answer, Basis, Estimate};
use super::waiting::rehearsal::POOLS;
use super::waiting::rushes::{Rushes, SPANS};
use super::waiting::{Queue, largest};
use super::{Headroom, REQUESTS_NEEDED};
use crate::error::Error;
use crate::units::Nanos;

/// Rows of late requests that a formula counts for.
pub(super) const MODEL_ROWS: f64 = 4.0;

/// One out of twenty lies beyond, on either side.
pub(super) const SIDE: f64 = 1.644_854;

/// Standard errors that chance is believed to explain between what is seen and what is expected.
const CHANCE: f64 = 2.0;

/// Least share that is told apart from nothing, so that logarithms stay finite.
const RATIO_MIN: f64 = 1e-9;

/// Largest load that a knee may have: at saturation itself nobody is in time for ever.
const LOAD_MAX: f64 = 0.999;

/// The tail of one class at its target, as a function of load.
pub(super) struct Tail<'a> {
    desk: &'a Headroom,
    class: u32,
    /// Logits of the loads of the pools, what is to be added to `ln P_m` there, and rows seen.
    pools: [(f64, f64, f64); POOLS],
    /// Late requests that come together in the pool at the load now, or next above it.
    row_len: f64,
    /// What is to be added because of waits in truth.
    observed: f64,
}

impl<'a> Tail<'a> {
    pub(super) fn new(desk: &'a Headroom, class: u32) -> Self {
        let options = &desk.options.classes[class as usize];
        let (limit, target_s) = (options.late_ratio_max, options.target.as_seconds());
        let (mut pools, mut row_len) = ([(0.0, 0.0, MODEL_ROWS); POOLS], 1.0);
        let mut row_len_now = row_len;
        for (index, pool) in pools.iter_mut().enumerate().rev() {
            let load = desk.rehearsal.load(index, desk.seats()).min(LOAD_MAX);
            let tally = desk.rehearsal.tally(class, index);
            row_len = tally.row_len(row_len);
            if load >= desk.rho() {
                row_len_now = row_len;
            }
            let late = tally.late_ratio();
            let rows = tally.samples * late.max(limit) / row_len;
            let model = desk.queue(class, load).tail(target_s).max(RATIO_MIN);
            let together = (rows * late + MODEL_ROWS * model) / (rows + MODEL_ROWS);
            *pool = (logit(load), libm::log(together.max(RATIO_MIN) / model), rows + MODEL_ROWS);
        }
        let mut tail = Self { desk, class, pools, row_len: row_len_now, observed: 0.0 };
        tail.observed = tail.correction();
        tail
    }

    /// `ln` of rows late in truth over rows expected, as far as chance does not explain it.
    fn correction(&self) -> f64 {
        let seen = self.desk.classes[self.class as usize].waits.at_target();
        // Few rows do not say how long they are, and none say nothing.
        let rows_seen = seen.late / seen.row_len(1.0);
        let row_len = (seen.late + MODEL_ROWS * self.row_len) / (rows_seen + MODEL_ROWS);
        let rows = seen.late / row_len;
        let expected = self.at(self.desk.rho(), 0.0) * seen.samples / row_len;
        let chance = CHANCE * libm::sqrt(rows + expected + MODEL_ROWS);
        let certain = ((rows - expected).abs() - chance).max(0.0);
        let likely = if rows > expected { expected + certain } else { expected - certain };
        libm::log((likely + MODEL_ROWS) / (expected + MODEL_ROWS))
    }

    /// `P(W > target)` at a load, `errors` standard errors above the likeliest.
    pub(super) fn at(&self, rho: f64, errors: f64) -> f64 {
        let target_s = self.desk.options.classes[self.class as usize].target.as_seconds();
        let queue = self.desk.queue(self.class, rho);
        let model = queue.tail(target_s).max(RATIO_MIN);
        let cautious = errors > 0.0;
        let grown = self.grown(&queue, cautious).tail(target_s).max(RATIO_MIN);
        let (added, rows) = self.between(logit(rho));
        let rehearsed = grown.max(model) * libm::exp(added);
        let lasting = self.lasting(rho, cautious);
        let exponent = self.observed + errors / libm::sqrt(rows);
        (rehearsed.max(lasting) * libm::exp(exponent)).min(1.0)
    }

    /// Above the load now: rushes that take as long as now and hold more, before service that is no
    /// more variable than exponential. No rehearsal has seen them at that length.
    fn lasting(&self, rho: f64, cautious: bool) -> f64 {
        let target_s = self.desk.options.classes[self.class as usize].target.as_seconds();
        let now = self.desk.queue(self.class, self.desk.rho());
        if rho <= now.rho {
            return 0.0;
        }
        let queue = Queue { rho, service_scv: now.service_scv.min(1.0), ..now };
        let queue = self.grown(&queue, cautious);
        let [short, long] = SPANS.map(|span| self.desk.pool.bursts().dispersion(span));
        let wilder = if cautious { rho / now.rho } else { 1.0 };
        let rushes = Rushes::seen(now.rho * now.servers, short, long)
            .map(|seen| Rushes { scv: seen.scv * wilder, ..seen });
        rushes.map_or_else(|| queue.tail(target_s), |rushes| queue.tail_in(&rushes, target_s))
    }

    /// Bursts last as long as they last: under more load than now there are more requests in each.
    /// Nobody has seen that load yet: on the cautious side they grow with its square.
    fn grown(&self, queue: &Queue, cautious: bool) -> Queue {
        let growth = (queue.rho / self.desk.rho().max(f64::MIN_POSITIVE)).max(1.0);
        let growth = if cautious { growth * growth } else { growth };
        let more = |dispersion: f64| dispersion + (dispersion - 1.0).max(0.0) * (growth - 1.0);
        Queue {
            dispersion_short: more(queue.dispersion_short),
            dispersion_long: more(queue.dispersion_long),
            ..*queue
        }
    }

    fn between(&self, place: f64) -> (f64, f64) {
        let above = self.pools.iter().position(|pool| pool.0 > place);
        let high = above.unwrap_or(POOLS - 1).max(1);
        let (low, high) = (&self.pools[high - 1], &self.pools[high]);
        let span = high.0 - low.0;
        let part = if span > 0.0 { ((place - low.0) / span).clamp(0.0, 1.0) } else { 1.0 };
        (low.1 + (high.1 - low.1) * part, low.2 + (high.2 - low.2) * part)
    }

    /// The largest load that keeps the class's target.
    pub(super) fn knee(&self, errors: f64) -> f64 {
        let limit = self.desk.options.classes[self.class as usize].late_ratio_max;
        largest(0.0, LOAD_MAX, limit, |rho| self.at(rho, errors))
    }
}

fn logit(rho: f64) -> f64 {
    let rho = rho.clamp(1e-6, LOAD_MAX);
    libm::log(rho / (1.0 - rho))
}

impl Headroom {
    /// The rate of a class, in requests a second, beyond which more than its `late_ratio_max` wait
    /// beyond its target, if all classes grow alike.
    ///
    /// Without service times it falls back to observed waits ([`Basis::Observed`]): the present
    /// rate, if that keeps the target; then `high` is infinite. 0 without servers.
    ///
    /// # Errors
    /// [`Error::Range`] on `class`.
    pub fn knee(&self, class: u32) -> Result<Answer, Error> {
        self.check_class(class)?;
        if self.seats() == 0 {
            let samples = self.pool.seen();
            return Ok(Answer::Known(Estimate { samples, ..Estimate::default() }));
        }
        let Some(per_rho) = self.rate_per_rho(class) else {
            return Ok(self.observed_knee(class));
        };
        Ok(self.knee_load(class).map(|rho| rho * per_rho))
    }

    /// The utilization at the knee of a class.
    pub(super) fn knee_load(&self, class: u32) -> Answer {
        let tail = Tail::new(self, class);
        let error = self.pool.works().mean_error_ratio();
        let (value, low) = (tail.knee(0.0), tail.knee(SIDE) * (1.0 - SIDE * error).max(0.0));
        let high = (tail.knee(-SIDE) * (1.0 + SIDE * error)).min(1.0);
        let (_, rows) = tail.between(logit(value));
        let basis = if rows > 2.0 * MODEL_ROWS { Basis::Rehearsed } else { Basis::Model };
        let samples = self.pool.works().samples() as u64;
        Answer::Known(Estimate { value, low, high, basis, samples })
    }

    /// Of an observed tail only this can be said: the present load is still right, or it is not.
    fn observed_knee(&self, class: u32) -> Answer {
        let state = &self.classes[class as usize];
        let seen = state.waits.at_target();
        let samples = seen.samples as u64;
        let late = (seen.late + 1.0) / (seen.samples + 1.0);
        if samples < REQUESTS_NEEDED || late > self.options.classes[class as usize].late_ratio_max {
            return Answer::NotEnoughData { samples: self.known(), needed: REQUESTS_NEEDED };
        }
        let rate = state.arrivals.rate_per_s(self.now);
        let basis = Basis::Observed;
        Answer::Known(Estimate { value: rate, low: rate, high: f64::INFINITY, basis, samples })
    }

    /// `1 - lambda / lambda*` of a class: 0 at the knee, negative beyond it, 1 where nothing comes,
    /// minus infinity without servers; as of the last call ([`Headroom::passed`]).
    ///
    /// # Errors
    /// [`Error::Range`] on `class`.
    pub fn headroom(&self, class: u32) -> Result<Answer, Error> {
        let knee = self.knee(class)?;
        let rate = self.classes[class as usize].arrivals.rate_per_s(self.now);
        Ok(knee.map(|knee| if rate > 0.0 { 1.0 - rate / knee } else { 1.0 }))
    }

    /// Share of requests of a class that wait longer than `wait`, at the present load: what was
    /// observed, and the model where little was.
    ///
    /// # Errors
    /// [`Error::Range`] on `class`.
    pub fn wait_tail(&self, class: u32, wait: Nanos) -> Result<Answer, Error> {
        self.check_class(class)?;
        let target_s = self.options.classes[class as usize].target.as_seconds();
        let state = &self.classes[class as usize];
        let (seen, tally) = state.waits.tail(wait.as_seconds(), target_s);
        let samples = tally.samples as u64;
        let rows = tally.late.max(1.0) / tally.row_len(1.0);
        let ready = self.rate_per_rho(class).is_some() && self.seats() > 0;
        if !ready && samples < REQUESTS_NEEDED {
            return Ok(Answer::NotEnoughData { samples, needed: REQUESTS_NEEDED });
        }
        let (mut value, mut weight, mut basis) = (seen, rows, Basis::Observed);
        if ready {
            let rho = self.rho();
            let queue = self.queue(class, rho);
            let at_target = queue.tail(target_s).max(RATIO_MIN);
            let tail = Tail::new(self, class);
            let model = queue.tail(wait.as_seconds()) * tail.at(rho, 0.0) / at_target;
            weight = rows + MODEL_ROWS;
            value = (rows * seen + MODEL_ROWS * model.min(1.0)) / weight;
            if rows < MODEL_ROWS {
                basis = Basis::Model;
            }
        }
        let spread = libm::exp(SIDE / libm::sqrt(weight));
        let (low, high) = (value / spread, (value * spread).min(1.0));
        Ok(Answer::Known(Estimate { value, low, high, basis, samples }))
    }

    /// Requests of a class a second that make one unit of utilization, in the present mix; `None`
    /// before enough came and ended.
    fn rate_per_rho(&self, class: u32) -> Option<f64> {
        let (rho, rate) = (self.rho(), self.pool.rate_per_s());
        let known = self.known() >= REQUESTS_NEEDED && rho > 0.0;
        let share = self.classes[class as usize].share;
        known.then(|| share * rate / rho)
    }

    /// The queue that a class would stand in at a load, by the estimators.
    pub(super) fn queue(&self, class: u32, rho: f64) -> Queue {
        let now = self.rho();
        let denser = if now > 0.0 { rho / now } else { 1.0 };
        let service_s = self.pool.works().mean();
        let target_s = self.options.classes[class as usize].target.as_seconds();
        let long = if service_s > 0.0 { 1.0 + target_s / service_s } else { 1.0 };
        let bursts = self.pool.bursts();
        Queue {
            servers: f64::from(self.seats()),
            rho,
            service_s,
            service_scv: self.pool.works().scv(),
            dispersion_short: bursts.dispersion(denser),
            dispersion_long: bursts.dispersion(denser * long),
            loaded_share: self.options.replica.loaded_share,
            correction: self.classes[class as usize].correction,
        }
    }
}
