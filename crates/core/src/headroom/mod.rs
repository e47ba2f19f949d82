//! How much is safe?
//!
//! # What it decides
//! How much load leaves everybody within their targets, who may come in, and what a GPU is worth
//! while others wait for it. The desk [`Headroom`] hears what happens on one pool of servers and
//! answers questions of planning:
//!
//! | question | answer |
//! |---|---|
//! | at what rate does a class begin to miss its target? | [`Headroom::knee`] |
//! | how far is that? | [`Headroom::headroom`] |
//! | how many wait longer than `t`? | [`Headroom::wait_tail`] |
//! | how many replicas are needed, can one go? | [`Headroom::replicas_needed`], [`Headroom::can_remove`] |
//! | what is a GPU worth? | [`Headroom::shadow_price`] |
//! | may this come in? | the desk [`gate::Gate`] |
//! | should a batch job wait for urgent work? | the desk [`hold::Reserve`] |
//!
//! The knee is no gate: a rate that is safe on average refuses while servers idle.
//!
//! Answers without a `now` of their own are as of the last call: silence is seen by who says
//! [`Headroom::passed`] before asking.
//!
//! # Formula
//! [`estimate`] measures arrivals and service, [`waiting`] makes a tail of them, [`knee`] corrects
//! it by what was seen and finds the load at which it crosses the target; [`capacity`] turns that
//! into replicas, [`shadow`] prices what waits.
//!
//! # Bounds and cost
//! A report is O(log servers) for each of 24 imagined pools, amortized, an answer some tenths
//! of a millisecond. 192 bytes a seat and 4 KB a class, all taken in [`Headroom::new`].
//!
//! # What it is bad at
//! - All classes share the pool first come, first served. Where one goes first, corrections by
//!   observed waits are all that knows.
//! - The last requests are taken for what will come: 100,000 of them, unless
//!   [`Options::memory_requests`] says otherwise.
//!
//! # Source
//! Each part names its own. Measurements: `docs/policies/headroom.md`.
//!
//! # How a host drives it
//! ```
//! use rampmeter::headroom::estimate::servers::Replica;
//! use rampmeter::headroom::{Answer, ClassOptions, Headroom, Options};
//! use rampmeter::Nanos;
//!
//! let class = ClassOptions { target: Nanos::from_millis(500), ..ClassOptions::default() };
//! let options = Options::new([class], Replica::server(), 4);
//! let mut desk = Headroom::new(&options)?;
//! // A request every 40 ms that takes 100 ms of one of four servers.
//! for request in 0..1_000 {
//!     let now = Nanos::from_millis(1_000 + 40 * request);
//!     desk.arrived(now, 0)?;
//!     desk.started(now, 0, Nanos::ZERO)?;
//!     desk.ended(now, 0, Nanos::from_millis(100))?;
//! }
//! let Answer::Known(knee) = desk.knee(0)? else { return Ok(()) };
//! assert!(knee.value > 30.0 && knee.high <= 40.0);
//! assert_eq!(desk.shadow_price(Nanos::from_millis(41_000))?, 0.0);
//! # Ok::<(), rampmeter::Error>(())
//! ```

mod answer;
pub mod capacity;
pub mod estimate;
pub mod gate;
pub mod hold;
pub mod knee;
mod options;
mod pool;
pub mod shadow;
mod state;
#[cfg(test)]
mod tests;
pub mod waiting;

use alloc::boxed::Box;

pub use answer::{Answer, Basis, Estimate};
pub use capacity::CanRemove;
pub use options::{ClassOptions, Options, REPLICAS_MAX};
pub use shadow::ShadowPrice;

use crate::error::{Error, check_range};
use crate::units::Nanos;
use estimate::arrivals::Arrivals;
use estimate::service::Service;
use options::MEMORY_MAX;
use pool::Pool;
use shadow::AMOUNT_MAX;
use waiting::ladder::Ladder;
use waiting::rehearsal::{Arrival, Rehearsal};

/// Longest span of time in a state, in seconds: 2^64 nanoseconds are 1.85e10.
const SPAN_MAX_S: f64 = 2e10;

/// Requests that must have come, and ended, before anything is said: a rate is then known to 7%,
/// a mean service time to 10% where it varies half as much again as an exponential.
const REQUESTS_NEEDED: u64 = 200;

/// Requests that must have ended before a rehearsal begins: the first to end are the shortest.
const REHEARSAL_AFTER: u64 = 100;

/// What a desk knows and did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Requests that came so far, of all classes.
    pub arrived: u64,
    /// Requests that ended so far.
    pub ended: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests that are being served.
    pub running: u64,
    /// Replicas that there are.
    pub replicas: u32,
    /// Requests a second, over the memory.
    pub rate_per_s: f64,
    /// Mean seconds that one takes of a server of a full pool.
    pub service_s: f64,
    /// Squared coefficient of variation of that.
    pub service_scv: f64,
    /// Index of dispersion of arrivals over a service time; 1 where they are independent.
    pub dispersion: f64,
    /// Offered load over capacity.
    pub rho: f64,
}

/// What is known of one class.
#[derive(Debug, Default)]
struct Class {
    arrivals: Arrivals,
    service: Service,
    waits: Ladder,
    /// Its part of all requests, over the memory.
    share: f64,
    waiting: u64,
    running: u64,
    /// By how much requests are more variable than the formula knows, as found at other capacities.
    correction: f64,
}

/// Estimators, waiting times and prices of one pool.
#[derive(Debug)]
pub struct Headroom {
    options: Options,
    classes: Box<[Class]>,
    pool: Pool,
    rehearsal: Rehearsal,
    shadow: ShadowPrice,
    replicas: u32,
    waiting_value: f64,
    now: Nanos,
}

impl Headroom {
    /// A desk without any history. The only call that allocates.
    ///
    /// # Errors
    /// As [`Options::validate`].
    pub fn new(options: &Options) -> Result<Self, Error> {
        options.validate()?;
        let classes = options.classes.iter().map(|_| Class { correction: 1.0, ..Class::default() });
        let gpus = f64::from(options.replicas) * options.gpus_per_replica;
        Ok(Self {
            options: options.clone(),
            classes: classes.collect(),
            pool: Pool::default(),
            rehearsal: Rehearsal::new(options.seats_max(), options.classes.len() as u32),
            shadow: ShadowPrice::new(Nanos::ZERO, gpus)?,
            replicas: options.replicas,
            waiting_value: 0.0,
            now: Nanos::ZERO,
        })
    }

    /// Bytes that a desk takes from the heap.
    #[must_use]
    pub fn bytes_needed(options: &Options) -> u64 {
        let classes = options.classes.len() as u64;
        let each = (size_of::<Class>() + size_of::<ClassOptions>()) as u64;
        classes * each + Rehearsal::bytes_needed(options.seats_max().into(), classes)
    }

    /// A request of a class came in. O(log seats), amortized.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `class`.
    pub fn arrived(&mut self, now: Nanos, class: u32) -> Result<(), Error> {
        self.check(now, class)?;
        let (keep, seats) = (self.options.keep(), self.seats());
        self.pool.pass(now, seats, &self.options.replica);
        self.now = now;
        let gap_s = self.pool.came(now, self.options.memory());
        for (index, other) in self.classes.iter_mut().enumerate() {
            let came = if index == class as usize { 1.0 } else { 0.0 };
            other.share +=
                (came - other.share) / (self.pool.seen() as f64).min(self.options.memory());
        }
        let state = &mut self.classes[class as usize];
        state.arrivals.note(now);
        state.waiting += 1;
        let work_s = state.service.draw();
        if let (Some(gap_s), Some(work_s)) = (gap_s, work_s) {
            self.pool.takes(work_s, gap_s, self.options.memory(), keep);
            if self.pool.works().samples() > REHEARSAL_AFTER as f64 {
                let rho = self.rho();
                let target_s = self.options.classes[class as usize].target.as_seconds();
                let arrival = Arrival { class, gap_s, rho, work_s, target_s, keep };
                self.rehearsal.arrive(&arrival, seats, self.options.replica.loaded_share);
            }
        }
        let per_seat = self.options.gpus_per_replica / f64::from(self.options.replica.seats);
        self.shadow.offered(now, (self.pool.works().mean() * per_seat).min(AMOUNT_MAX))?;
        self.waits(now, self.options.classes[class as usize].delay_value)
    }

    /// A request of a class that waited starts; it `waited` in all.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `class`, and on `waited_ns` that began before
    /// time did; [`Error::Contradiction`] on `started` where none waits.
    pub fn started(&mut self, now: Nanos, class: u32, waited: Nanos) -> Result<(), Error> {
        self.check(now, class)?;
        check_range("waited_ns", waited.get(), 0, now.get())?;
        check_some("started", "waiting", self.classes[class as usize].waiting)?;
        self.leave_queue(now, class)?;
        let (keep, seats) = (self.options.keep(), self.seats());
        self.pool.pass(now, seats, &self.options.replica);
        self.pool.running += 1;
        let target_s = self.options.classes[class as usize].target.as_seconds();
        let state = &mut self.classes[class as usize];
        state.running += 1;
        state.waits.note(waited.as_seconds(), target_s, keep);
        Ok(())
    }

    /// A request of a class that was served ended; it `ran` in all.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `class`, and on `ran_ns` that began before
    /// time did; [`Error::Contradiction`] on `ended` where none runs.
    pub fn ended(&mut self, now: Nanos, class: u32, ran: Nanos) -> Result<(), Error> {
        self.check(now, class)?;
        check_range("ran_ns", ran.get(), 0, now.get())?;
        check_some("ended", "running", self.classes[class as usize].running)?;
        let seats = self.seats();
        self.pool.pass(now, seats, &self.options.replica);
        self.now = now;
        self.pool.running -= 1;
        let work_s = self.pool.work_s(ran.as_seconds());
        let memory = self.options.memory();
        let state = &mut self.classes[class as usize];
        state.running -= 1;
        state.service.note(work_s, memory);
        Ok(())
    }

    /// A request of a class that waited is gone: expired, cancelled, or shed. It counts as one
    /// that waited until now, `waited` in all.
    ///
    /// # Errors
    /// As [`Headroom::started`], on `left`.
    pub fn left(&mut self, now: Nanos, class: u32, waited: Nanos) -> Result<(), Error> {
        self.check(now, class)?;
        check_range("waited_ns", waited.get(), 0, now.get())?;
        check_some("left", "waiting", self.classes[class as usize].waiting)?;
        self.leave_queue(now, class)?;
        let target_s = self.options.classes[class as usize].target.as_seconds();
        let keep = self.options.keep();
        self.classes[class as usize].waits.note(waited.as_seconds(), target_s, keep);
        Ok(())
    }

    /// Time passed, and it is `now`. Answers of planning are as of the last call of any kind: a host
    /// that asks between events, or after the last one, says first how late it is. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn passed(&mut self, now: Nanos) -> Result<(), Error> {
        self.check(now, 0)?;
        let seats = self.seats();
        self.pool.pass(now, seats, &self.options.replica);
        self.now = now;
        Ok(())
    }

    /// From now on there are so many replicas. What was learned of the variability of requests
    /// stays, carried over as one number; the rehearsal begins anew. O(classes * servers).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `replicas`, of 0 to
    /// [`Options::replicas_max`].
    pub fn capacity(&mut self, now: Nanos, replicas: u32) -> Result<(), Error> {
        self.check(now, 0)?;
        check_range("replicas", replicas.into(), 0, self.options.replicas_max.into())?;
        self.passed(now)?;
        let seats = self.seats();
        if replicas == self.replicas {
            return Ok(());
        }
        self.shadow.capacity(now, f64::from(replicas) * self.options.gpus_per_replica)?;
        if self.known() >= REQUESTS_NEEDED && seats > 0 && self.rho() > 0.0 {
            for class in 0..self.classes.len() as u32 {
                if let Answer::Known(knee) = self.knee_load(class) {
                    let correction = self.correction_for(class, knee.value);
                    self.classes[class as usize].correction = correction;
                }
            }
        }
        self.replicas = replicas;
        self.rehearsal.clear();
        self.classes.iter_mut().for_each(|class| class.waits = Ladder::default());
        Ok(())
    }

    /// What a GPU-second is worth now, in value-seconds; see [`shadow`].
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn shadow_price(&self, now: Nanos) -> Result<f64, Error> {
        self.check(now, 0)?;
        self.shadow.price(now)
    }

    /// What it knows and did so far. O(classes).
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            arrived: self.pool.seen(),
            ended: self.classes.iter().map(|class| class.service.ended()).sum(),
            waiting: self.classes.iter().map(|class| class.waiting).sum(),
            running: self.pool.running,
            replicas: self.replicas,
            rate_per_s: self.pool.rate_per_s(),
            service_s: self.pool.works().mean(),
            service_scv: self.pool.works().scv(),
            dispersion: self.pool.bursts().dispersion(1.0),
            rho: self.rho(),
        }
    }

    fn leave_queue(&mut self, now: Nanos, class: u32) -> Result<(), Error> {
        self.now = now;
        self.classes[class as usize].waiting -= 1;
        self.waits(now, -self.options.classes[class as usize].delay_value)
    }

    /// The queue's value changes; what rounding leaves of an empty one is nothing.
    fn waits(&mut self, now: Nanos, change: f64) -> Result<(), Error> {
        let empty = self.classes.iter().all(|class| class.waiting == 0);
        self.waiting_value =
            if empty { 0.0 } else { (self.waiting_value + change).clamp(0.0, AMOUNT_MAX) };
        self.shadow.waiting(now, self.waiting_value)
    }

    fn check(&self, now: Nanos, class: u32) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        self.check_class(class)
    }

    fn check_class(&self, class: u32) -> Result<(), Error> {
        check_range("class", class.into(), 0, self.classes.len() as u64 - 1).map(drop)
    }

    /// Requests that came and whose kind has ended: what is known.
    fn known(&self) -> u64 {
        self.pool.works().samples() as u64
    }

    /// Requests that can be served at once.
    fn seats(&self) -> u32 {
        self.replicas * self.options.replica.seats
    }

    /// Servers that the offered load keeps busy, over the memory; 0 before it is known.
    fn load(&self) -> f64 {
        self.pool.works().mean() * self.pool.rate_per_s()
    }

    /// The same at the rates of the last thousand requests of each class.
    fn load_recent(&self) -> f64 {
        let rates = self.classes.iter().map(|class| class.arrivals.rate_per_s(self.now));
        self.pool.works().mean() * rates.sum::<f64>()
    }

    /// Offered load over capacity, over the memory; 0 before it is known, and without servers.
    fn rho(&self) -> f64 {
        let seats = f64::from(self.seats());
        if seats > 0.0 { self.load() / seats } else { 0.0 }
    }
}

/// `Ok` if there is one that this can be about.
fn check_some(field: &'static str, other: &'static str, count: u64) -> Result<(), Error> {
    if count > 0 {
        return Ok(());
    }
    Err(Error::Contradiction { field, value: 1, other, other_value: count })
}
