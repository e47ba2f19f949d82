//! Should a batch job wait so that urgent work finds room?
//!
//! # What it decides
//! Whether the batch job at the head of a queue, for which there is room, starts now or waits a
//! while, by what both cost in seconds of delay times what they are worth. The desk [`Reserve`]
//! hears of urgent work (what comes, starts and ends) and of what batch work releases.
//!
//! # Formula
//! ```text
//! hold if   v_I * lambda_I * (W(k - g / g_I) - W(k))  >  v_B * (1 + N_B * g / C_eff)
//! or        R(k - g / g_I)  >  P(beta_min)                   where a reserve is asked for
//!
//! W(k)    = R(k) / (k+ / S_I + max(d, 1/600))                seconds that urgent work waits
//! R(k)    = P(k+ / sigma_I) * (lambda_I / (lambda_I + d))^k+     all is taken before it is refilled
//! P(beta) = 1 / (1 + beta * Phi(beta) / phi(beta))           all is taken           [Halfin, Whitt]
//! ```
//! `k` free GPUs in slots of urgent requests (`g_I` GPUs each), less those that wait for them; `d`
//! slots a second that batch work releases; `S_I` how long urgent requests run; `N_B` batch jobs
//! that wait, `g` GPUs of this one, `C_eff` those there are; `v` what a second of delay is worth.
//! `sigma_I^2` is the variance over time of urgent work that runs and waits, as measured over two
//! hours (exponentially), at least a quarter of `lambda_I * S_I`: bursts make it larger than that
//! of independent arrivals, and a quiet night must not make it nothing. Left: value lost a second
//! by starting; right: by waiting, for this job and, as far as it is in their way, those behind.
//!
//! The second factor of `R` is the gambler's ruin: as long as batch work is held, slots are taken at
//! the rate of arrivals and come free at that rate, as urgent work ends, and `d` more. What batch work
//! releases is a reserve, too: on a cluster that turns over fast little has to be kept free, and where
//! nothing is released `R` is `P`. `beta_min` asks for as much safety as that many standard deviations
//! would give there.
//!
//! # What the host must do
//! [`crate::place`] asks in its cycles ([`crate::place::held`]). A host without it:
//! ask for the job at the head of the batch queue when it would start. If it is held, **stop
//! backfill of batch work as well** until the next question: small jobs would else take what is
//! held back, and large gangs would starve. Ask again when something ends, comes or starts. Urgent
//! work is never asked about.
//!
//! # Bounds and cost
//! O(1), a few exponentials, no heap. The reserve alone holds no job that it would hold on a
//! cluster without any other batch work: such a job goes by its price. The price for waiting grows
//! with those that wait, so that a queue gets its turn.
//!
//! # What it is bad at
//! In long strong bursts (2.5 times the load for hours) it keeps too little: in a rush more comes than
//! ends, which `R` does not know. It knows one kind of urgent request.
//!
//! # Source
//! Halfin and Whitt (1981), as in [`super::waiting::erlang`]; square-root staffing: Borst,
//! Mandelbaum and Reiman, "Dimensioning large call centers", Operations Research 52 (2004). The
//! gambler's ruin: Feller, "An Introduction to Probability Theory and Its Applications" I, XIV.
//! Constants: an experiment with 588 GPUs, `docs/policies/headroom.md`.

mod state;

pub use state::ReserveStats;

use super::estimate::Moments;
use super::shadow::EFFECTIVE;
use super::waiting::erlang::halfin_whitt;
use crate::error::{Error, check_range, check_real};
use crate::policy::{HoldRules, Policy};
use crate::units::Nanos;

/// Most GPUs of a cluster, a job, or a request; beyond is a wrong unit.
const GPUS_MAX: f64 = 1e9;

/// Least GPUs: a thousandth, as shares are counted.
const GPUS_MIN: f64 = 0.001;

/// Fewest releases counted on: one slot in ten minutes, from the experiment.
const RELEASES_MIN_PER_S: f64 = 1.0 / 600.0;

/// Least variance as a part of offered load: a quarter of that of independent arrivals.
const VARIANCE_MIN: f64 = 0.25;

/// Urgent requests that must have ended: deviations are then known to 13%.
const ENDS_NEEDED: f64 = 30.0;

/// Urgent requests whose run times are remembered: the mean is then known to 3% and more.
const RUNS: f64 = 1_000.0;

/// Shortest run time believed, in seconds: the resolution of time.
const RUN_MIN_S: f64 = 1e-9;

/// A batch job for which there is room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchJob {
    /// GPUs that it takes, 0.001 to 10^9.
    pub gpus: f64,
    /// What one second of its delay is worth, 0.0001 to 10,000.
    pub delay_value: f64,
    /// Batch jobs that wait, this one included or not.
    pub waiting: u32,
    /// GPUs that are free, 0 to 10^9.
    pub gpus_free: f64,
}

/// What weighed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum HoldReason {
    /// The two prices.
    Price,
    /// The least reserve that the policy asks for.
    Reserve,
    /// Too few urgent requests have ended to say anything: the job starts.
    NotEnoughData,
}

/// Whether a batch job waits, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// It waits; so does all batch work behind it.
    pub hold: bool,
    /// What weighed.
    pub reason: HoldReason,
    /// Value that urgent work loses a second if it starts.
    pub urgent_price: f64,
    /// Value that batch work loses a second if it waits.
    pub batch_price: f64,
    /// Slots of urgent requests that would be free after it, less those that wait.
    pub slots_left: f64,
    /// Standard deviation of urgent work that runs and waits, in slots.
    pub sigma: f64,
}

/// What is known of urgent work, and of room that batch work makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserve {
    rules: HoldRules,
    class: u32,
    delay_value: f64,
    gpus: f64,
    waiting: u64,
    running: u64,
    /// How much of a memory has passed, 0 to 1.
    weight: f64,
    mean: f64,
    variance: f64,
    /// A second, over a memory of which as much has passed as `weight` says: urgent requests that
    /// came, GPUs that batch work released. Rates stay what they are where the memory is changed.
    arrivals: f64,
    releases: f64,
    request_gpus: Moments,
    runs: Moments,
    now: Nanos,
}

impl Reserve {
    /// For urgent work of this class on a cluster of so many GPUs (0.001 to 10^9), from `now` on.
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] on `class`; [`Error::RangeReal`] on `gpus`.
    pub fn new(now: Nanos, policy: &Policy, class: u32, gpus: f64) -> Result<Self, Error> {
        policy.validate()?;
        check_range("class", class.into(), 0, policy.classes.len() as u64 - 1)?;
        check_real("gpus", gpus, GPUS_MIN, GPUS_MAX)?;
        Ok(Self {
            rules: policy.hold,
            class,
            delay_value: policy.classes[class as usize].delay_value,
            gpus,
            waiting: 0,
            running: 0,
            weight: 0.0,
            mean: 0.0,
            variance: 0.0,
            arrivals: 0.0,
            releases: 0.0,
            request_gpus: Moments::default(),
            runs: Moments::default(),
            now,
        })
    }

    /// Takes a changed policy, and goes on with what it knows.
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] on `class`.
    pub fn apply(&mut self, policy: &Policy, class: u32) -> Result<(), Error> {
        let changed = Self::new(self.now, policy, class, self.gpus)?;
        (self.rules, self.class) = (changed.rules, class);
        self.delay_value = changed.delay_value;
        Ok(())
    }

    /// The class of urgent work, as an index into the policy's classes.
    #[must_use]
    pub const fn class(&self) -> u32 {
        self.class
    }

    /// From now on there are so many GPUs.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `gpus`.
    pub fn capacity(&mut self, now: Nanos, gpus: f64) -> Result<(), Error> {
        self.check_time(now)?;
        check_real("gpus", gpus, GPUS_MIN, GPUS_MAX)?;
        self.pass(now);
        self.gpus = gpus;
        Ok(())
    }

    /// An urgent request came that takes so many GPUs, 0.001 to 10^9.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `gpus`.
    pub fn arrived(&mut self, now: Nanos, gpus: f64) -> Result<(), Error> {
        self.check_time(now)?;
        check_real("gpus", gpus, GPUS_MIN, GPUS_MAX)?;
        self.pass(now);
        self.waiting += 1;
        self.arrivals += 1.0 / self.rules.memory.as_seconds();
        self.request_gpus.note(gpus, RUNS);
        Ok(())
    }

    /// An urgent request that waited starts.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Contradiction`] on `started` where none waits.
    pub fn started(&mut self, now: Nanos) -> Result<(), Error> {
        self.check_time(now)?;
        super::check_some("started", "waiting", self.waiting)?;
        self.pass(now);
        self.waiting -= 1;
        self.running += 1;
        Ok(())
    }

    /// An urgent request that ran ended; it `ran` in all.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `ran_ns` that began before time did;
    /// [`Error::Contradiction`] on `ended` where none runs.
    pub fn ended(&mut self, now: Nanos, ran: Nanos) -> Result<(), Error> {
        self.check_time(now)?;
        check_range("ran_ns", ran.get(), 0, now.get())?;
        super::check_some("ended", "running", self.running)?;
        self.pass(now);
        self.running -= 1;
        self.runs.note(ran.as_seconds(), RUNS);
        Ok(())
    }

    /// An urgent request that waited is gone.
    ///
    /// # Errors
    /// As [`Reserve::started`], on `left`.
    pub fn left(&mut self, now: Nanos) -> Result<(), Error> {
        self.check_time(now)?;
        super::check_some("left", "waiting", self.waiting)?;
        self.pass(now);
        self.waiting -= 1;
        Ok(())
    }

    /// Batch work released so many GPUs, 0 to 10^9.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `gpus`.
    pub fn released(&mut self, now: Nanos, gpus: f64) -> Result<(), Error> {
        self.check_time(now)?;
        check_real("gpus", gpus, 0.0, GPUS_MAX)?;
        self.pass(now);
        self.releases += gpus / self.rules.memory.as_seconds();
        Ok(())
    }

    /// Whether this batch job waits now. Changes nothing.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `gpus`, `delay_value` or `gpus_free`.
    pub fn hold(&self, now: Nanos, job: &BatchJob) -> Result<Verdict, Error> {
        self.check_time(now)?;
        check_real("gpus", job.gpus, GPUS_MIN, GPUS_MAX)?;
        check_real("delay_value", job.delay_value, 0.0001, 10_000.0)?;
        check_real("gpus_free", job.gpus_free, 0.0, GPUS_MAX)?;
        let mut then = *self;
        then.pass(now);
        Ok(then.verdict(job))
    }

    fn verdict(&self, job: &BatchJob) -> Verdict {
        let effective = EFFECTIVE * self.gpus;
        let batch_price = job.delay_value * (1.0 + f64::from(job.waiting) * job.gpus / effective);
        let known = self.runs.samples() >= ENDS_NEEDED && self.weight > 0.0;
        let request_gpus = self.request_gpus.mean();
        if !known || request_gpus <= 0.0 {
            let (hold, reason) = (false, HoldReason::NotEnoughData);
            let (urgent_price, slots_left, sigma) = (0.0, 0.0, 0.0);
            return Verdict { hold, reason, urgent_price, batch_price, slots_left, sigma };
        }
        let sigma = self.sigma();
        let (slots, takes) = (job.gpus_free / request_gpus, job.gpus / request_gpus);
        let slots_free = slots - self.waiting as f64;
        let slots_left = slots_free - takes;
        let lost_s = self.wait_s(slots_left, sigma) - self.wait_s(slots_free, sigma);
        let urgent_price = self.delay_value * self.arrivals_per_s() * lost_s;
        let beta_min = self.rules.reserve_beta_min;
        // With no other batch work this much is free on average, and nothing is released: a reserve
        // that is more than that would hold the job for ever.
        let slots_most = effective / request_gpus - self.load() - takes;
        let reserved = beta_min > 0.0
            && slots_most >= beta_min * sigma
            && self.run_out(slots_left, sigma) > halfin_whitt(beta_min);
        let priced = urgent_price > batch_price;
        let by_reserve = reserved && !priced;
        let reason = if by_reserve { HoldReason::Reserve } else { HoldReason::Price };
        let hold = reserved || priced;
        Verdict { hold, reason, urgent_price, batch_price, slots_left, sigma }
    }

    /// Seconds that urgent work waits with so many slots free.
    fn wait_s(&self, slots: f64, sigma: f64) -> f64 {
        let free = slots.max(0.0);
        let run_s = self.runs.mean().max(RUN_MIN_S);
        let released = self.slots_released_per_s().max(RELEASES_MIN_PER_S);
        self.run_out(slots, sigma) / (free / run_s + released)
    }

    /// How likely so many free slots are all taken before batch work that ends has refilled them.
    fn run_out(&self, slots: f64, sigma: f64) -> f64 {
        let free = slots.max(0.0);
        let (taken, released) = (self.arrivals_per_s(), self.slots_released_per_s());
        let gained = taken + released;
        let ruin = if gained > 0.0 { libm::pow(taken / gained, free) } else { 1.0 };
        if sigma > 0.0 { ruin * halfin_whitt(free / sigma) } else { 0.0 }
    }

    /// What batch work releases a second, in slots of urgent requests.
    fn slots_released_per_s(&self) -> f64 {
        self.per_s(self.releases) / self.request_gpus.mean()
    }

    fn sigma(&self) -> f64 {
        libm::sqrt(self.variance.max(VARIANCE_MIN * self.load()))
    }

    /// Urgent requests that run on average, by what comes and how long it takes.
    fn load(&self) -> f64 {
        self.arrivals_per_s() * self.runs.mean()
    }

    fn arrivals_per_s(&self) -> f64 {
        self.per_s(self.arrivals)
    }

    /// What came of something a second, over what has passed of a memory.
    fn per_s(&self, rate: f64) -> f64 {
        if self.weight > 0.0 { rate / self.weight } else { 0.0 }
    }

    /// Time passes with as much urgent work as there is.
    fn pass(&mut self, now: Nanos) {
        let seconds = now.saturating_sub(self.now).as_seconds();
        self.now = now;
        let gained = -libm::expm1(-seconds / self.rules.memory.as_seconds());
        if gained <= 0.0 {
            return;
        }
        self.weight = self.weight * (1.0 - gained) + gained;
        let part = gained / self.weight;
        let apart = (self.waiting + self.running) as f64 - self.mean;
        self.mean += apart * part;
        self.variance = (1.0 - part) * (self.variance + apart * apart * part);
        self.arrivals *= 1.0 - gained;
        self.releases *= 1.0 - gained;
    }

    pub(crate) fn check_time(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }
}
