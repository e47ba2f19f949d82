//! Dynamic batching: which whole requests run together in the next batch of an ordinary model.
//!
//! # What it decides
//! A vision, embedding or ranking model answers a batch of requests in one go, and a larger batch
//! takes less time for each. Whenever an instance is idle: launch now, or wait until when; how
//! many; and who.
//!
//! # Formula
//! ```text
//! when      the cheapest first move, rolled out over the latency curve   (see `decide`)
//!           never beyond  min deadline - L(b) * (1 + 2 spread)           latest safe launch
//!           never beyond  oldest arrival + queue_delay_max               (default L(maximum))
//! how many  all that are there, up to batch_size_max, unless fewer are cheaper
//!           if the first deadline allows fewer: the best window          (see `window`)
//! who       1. a class that is owed a seat:  owed_c += guaranteed_ratio_c * seats while c waits
//!           2. class                         (earlier in the options first)
//!           3. account                       v <= min v + credit, v in seconds of an instance
//!           4. deadline, then arrival        without a deadline as if due after a minute
//!           5. riders of smaller buckets, where that is cheaper than a batch of their own
//!           6. late requests: owed seats (late_ratio of all), then while L(b) <= half the usual
//!              deadline and nobody in time is harmed, oldest first
//! late      now + L(1) > deadline, or given up for a larger window
//! bucket    among those that would launch: owed, then class, then the earliest latest launch
//! ```
//!
//! # States
//! `Waiting -> Running -> ended`; `Waiting -> Late -> Running` when the deadline is lost;
//! `Waiting -> Delayed` or out of the batcher when it expires; a running request that is cancelled
//! is `Cancelled` until its batch is observed.
//!
//! # Bounds and cost
//! `submit`, `cancel`: O(log requests + log accounts). `form`: O(buckets * (classes + 63 batches
//! rolled out) + batch * (log requests + eligible accounts)); each request expires or becomes late
//! at most once, O(log requests). `observe`: O(batch + 64). No allocation after `new`;
//! [`DynamicBatcher::bytes_needed`], about 220 bytes a request.
//!
//! - An idle instance with anybody in time is kept waiting at most `queue_delay_max` (default
//!   `L(batch_size_max)`) from the oldest one's arrival, and never so long that a deadline is lost
//!   that could have been kept, as long as batches take no longer than the curve says.
//! - With one bucket, a late request with `r` older late ones is launched within
//!   `(r + 1) / late_ratio + 2 * batch_size_max` further seats. A class with a guarantee gets that
//!   share of the seats while it waits. With a share of 0 there is no such bound.
//! - Between two accounts that wait in one class and bucket, time of instances differs by at most
//!   `2 * (L(batch_size_max) + credit)`.
//!
//! # What it is bad at
//! Deadlines across buckets: each bucket is priced alone, and late requests of a bucket whose turn
//! does not come wait for it. Batches whose time depends on more than
//! size and bucket. Requests without a deadline next to others with one: they count as due after a
//! minute. An account whose request is passed over for another instance may lose the credit that
//! it had saved up.
//!
//! # Source
//! Triton Inference Server, dynamic batcher ([`Rule::Fixed`] is its documented behaviour). The
//! rest: `decide`, `window`, [`crate::engine::curve`], and `docs/policies/dynamic.md`, with the
//! measurements.
//!
//! # How a host drives it
//! ```
//! use rampmeter::batch::dynamic::{
//!     Decision, DynamicBatcher, Ending, Expired, Observation, Options, Plan, PlanEntry,
//!     Submission,
//! };
//! use rampmeter::engine::LatencyCurve;
//! use rampmeter::{Error, Nanos};
//!
//! // A guess to begin with: 5 ms and 1 ms a request; it learns what batches really take.
//! let curve = LatencyCurve::linear(5e-3, 1e-3)?.learning(16)?;
//! let mut options = Options::new(16, curve);
//! options.classes[0].latency_target = Some(Nanos::from_millis(50));
//! let mut batcher = DynamicBatcher::new(&options)?;
//! let account = batcher.open_account(None, 1.0)?;
//!
//! let mut now = Nanos::from_millis(3);
//! for tag in 0..5 {
//!     let (class, bucket, arrival) = (0, 0, now);
//!     let (deadline, expires_at) = (None, None);
//!     batcher.submit(now, &Submission {
//!         tag, class, account, bucket, arrival, deadline, expires_at,
//!     })?;
//! }
//!
//! let mut entries = [PlanEntry::default(); 16];
//! let mut expired = [Expired::default(); 4];
//! let mut answered = 0;
//! while let Some(at) = batcher.next_event(now) {
//!     now = at.max(now);
//!     let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
//!     let formed = batcher.form(now, plan)?;
//!     // Tell the clients of `expired[..formed.expired_len]` that it was too late for them.
//!     if let Decision::Launch(launch) = formed.decision {
//!         // Run entries[..launch.len] on launch.instance. A host with several instances goes on
//!         // with `form` meanwhile, until it says `Wait`.
//!         answered += launch.len;
//!         now = launch.ends_at;
//!         let (batch, ending) = (launch.batch, Ending::Completed);
//!         batcher.observe(now, &Observation { batch, duration: None, ending })?;
//!     }
//! }
//! assert_eq!(answered, 5);
//! # Ok::<(), Error>(())
//! ```

mod decide;
mod explain;
mod flight;
mod form;
mod lines;
mod observe;
mod options;
mod plan;
mod rate;
mod request;
mod state;
mod window;

use alloc::boxed::Box;
use alloc::vec;

pub use self::decide::{Verdict, Why};
pub use self::explain::Explanation;
pub use self::flight::Flight;
use self::flight::Flights;
use self::lines::Lines;
pub use self::options::{
    BUCKETS_MAX, ClassOptions, Expiry, INSTANCES_MAX, Options, PREFERRED_MAX, Rule, SIZE_MAX,
};
pub use self::plan::{
    Admission, BatchId, Decision, Ending, Expired, Formed, Launch, Observation, Observed, Plan,
    PlanEntry, Shed, ShedReason,
};
use self::rate::Arrivals;
use self::request::{MOMENT_MAX, NEVER};
pub use self::request::{Request, RequestId, Stage, Submission};
use self::window::Due;
use crate::error::{Error, check_range};
use crate::handle::Slab;
use crate::share::AccountId;
use crate::units::Nanos;

/// What a batcher holds, how full it is, and what it did so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stats {
    /// Requests that wait, late ones included.
    pub waiting: u32,
    /// Of these, requests whose deadline is lost.
    pub late: u32,
    /// Requests known, running ones included.
    pub requests: u32,
    /// Capacity for them.
    pub requests_max: u32,
    /// Batches that run.
    pub batches_running: u32,
    /// Accounts open.
    pub accounts: u32,
    /// Batches launched so far.
    pub batches: u64,
    /// Requests launched so far.
    pub launched: u64,
    /// Requests that expired so far.
    pub expired: u64,
    /// Requests shed so far.
    pub shed: u64,
}

/// Counts since construction.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    batches: u64,
    launched: u64,
    expired: u64,
    shed: u64,
}

/// Forms the batches of one model on one to 64 instances.
#[derive(Debug)]
pub struct DynamicBatcher {
    /// Buckets in it are the curves as learned so far.
    options: Options,
    requests: Slab<Request>,
    lines: Lines,
    flights: Flights,
    arrivals: [Arrivals; BUCKETS_MAX],
    /// Latest deadline seen in each bucket.
    last_deadline_ns: [u64; BUCKETS_MAX],
    /// What was last decided for each bucket.
    verdicts: [Option<Verdict>; BUCKETS_MAX],
    /// Scratch of `window`: slots by deadline, and what it needs of them.
    scan: Box<[u32]>,
    dues: Box<[Due]>,
    /// Scratch of `form`: slots passed over.
    aside: Box<[u32]>,
    aside_len: u32,
    /// Requests known of each account, by account index.
    account_requests: Box<[u32]>,
    now: Nanos,
    sequence: u64,
    /// When to form next, if nothing happens before.
    wake_ns: u64,
    totals: Totals,
}

impl DynamicBatcher {
    /// A batcher without accounts or requests. The only call that allocates.
    ///
    /// # Errors
    /// As [`Options::validate`].
    pub fn new(options: &Options) -> Result<Self, Error> {
        options.validate()?;
        let width = options.batch_size_max as usize;
        Ok(Self {
            requests: Slab::new("request", options.requests_max)?,
            lines: Lines::new(options)?,
            flights: Flights::new(options.instances, options.batch_size_max)?,
            arrivals: [Arrivals::default(); BUCKETS_MAX],
            last_deadline_ns: [0; BUCKETS_MAX],
            verdicts: [None; BUCKETS_MAX],
            scan: vec![0; 2 * width].into_boxed_slice(),
            dues: vec![Due::default(); 2 * width].into_boxed_slice(),
            aside: vec![0; 2 * width].into_boxed_slice(),
            aside_len: 0,
            account_requests: vec![0; options.accounts_max as usize].into_boxed_slice(),
            now: Nanos::ZERO,
            sequence: 0,
            wake_ns: NEVER,
            totals: Totals::default(),
            options: options.clone(),
        })
    }

    /// Bytes that a batcher for `options` takes from the heap. The options need not be valid; the
    /// sum saturates.
    #[must_use]
    pub fn bytes_needed(options: &Options) -> u64 {
        let scratch = 2 * (2 * size_of::<u32>() + size_of::<Due>()) as u64;
        let parts = [
            Slab::<Request>::bytes_needed(options.requests_max),
            Lines::bytes_needed(options),
            Flights::bytes_needed(options.instances, options.batch_size_max),
            u64::from(options.batch_size_max).saturating_mul(scratch),
            u64::from(options.accounts_max).saturating_mul(size_of::<u32>() as u64),
            size_of_val::<[u32]>(&options.preferred_sizes) as u64,
            size_of_val::<[ClassOptions]>(&options.classes) as u64,
            size_of_val::<[crate::engine::LatencyCurve]>(&options.buckets) as u64,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    /// Opens an account, as part of `parent` or on the first level.
    ///
    /// # Errors
    /// As [`crate::share::Ledger::open`].
    pub fn open_account(
        &mut self,
        parent: Option<AccountId>,
        weight: f64,
    ) -> Result<AccountId, Error> {
        let account = self.lines.ledger.open(parent, weight)?;
        self.account_requests[account.index() as usize] = 0;
        Ok(account)
    }

    /// Closes an account without requests.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Contradiction`] while it has requests.
    pub fn close_account(&mut self, account: AccountId) -> Result<(), Error> {
        self.lines.ledger.weight(account)?;
        match self.account_requests[account.index() as usize] {
            0 => self.lines.ledger.close(account),
            requests => Err(Error::Contradiction {
                field: "account",
                value: account.to_raw(),
                other: "requests",
                other_value: requests.into(),
            }),
        }
    }

    /// A request comes in: it waits, or is shed. O(log requests + log accounts).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `arrival_ns`, `class`, `bucket`, and on a
    /// `deadline_ns` or `expires_at_ns` before the arrival; [`Error::Stale`] for an unknown
    /// account.
    pub fn submit(&mut self, now: Nanos, submission: &Submission) -> Result<Admission, Error> {
        self.check_time(now)?;
        let request = self.admit(now, submission)?;
        self.now = now;
        if let Some(shed) = self.shed(&request) {
            self.totals.shed += 1;
            return Ok(Admission::Shed(shed));
        }
        let bucket = usize::from(request.bucket);
        let has_deadline = request.deadline_ns != NEVER;
        let target_s = seconds_until(request.arrival_ns, request.deadline_ns);
        self.arrivals[bucket].note(now.get(), has_deadline.then_some(target_s));
        if has_deadline {
            let last_ns = &mut self.last_deadline_ns[bucket];
            *last_ns = request.deadline_ns.max(*last_ns);
        }
        let id = self.requests.insert(request)?;
        if let Some(request) = self.requests.at(id.index()) {
            self.lines.enter(request, id.index());
        }
        self.sequence += 1;
        self.account_requests[submission.account.index() as usize] += 1;
        self.wake_ns = now.get();
        Ok(Admission::Queued(id))
    }

    /// Checks a submission and makes a request of it.
    fn admit(&self, now: Nanos, submission: &Submission) -> Result<Request, Error> {
        let Submission { class, bucket, arrival, .. } = *submission;
        check_range("arrival_ns", arrival.get(), 0, now.get())?;
        check_range("class", class.into(), 0, self.options.classes.len() as u64 - 1)?;
        check_range("bucket", bucket.into(), 0, self.options.buckets.len() as u64 - 1)?;
        self.lines.ledger.weight(submission.account)?;
        let rules = &self.options.classes[usize::from(class)];
        let mut moments = [NEVER; 2];
        let given = [
            ("deadline_ns", submission.deadline, rules.latency_target),
            ("expires_at_ns", submission.expires_at, rules.timeout),
        ];
        for (moment, (field, given, usual)) in moments.iter_mut().zip(given) {
            let usual = usual.map(|span| arrival.saturating_add(span));
            if let Some(at) = given.or(usual) {
                *moment = check_range(field, at.get(), arrival.get(), MOMENT_MAX)?;
            }
        }
        Ok(Request {
            tag: submission.tag,
            account: submission.account,
            arrival_ns: arrival.get(),
            deadline_ns: moments[0],
            expires_ns: moments[1],
            sequence: self.sequence,
            class: class as u8,
            bucket: bucket as u8,
            stage: Stage::Waiting,
        })
    }

    /// The limit that a request meets, if any, and when to try again.
    fn shed(&self, request: &Request) -> Option<Shed> {
        let class = usize::from(request.class);
        let wait_s = self.predicted_wait_s(class);
        let seat_s = self.options.buckets[usize::from(request.bucket)].seconds(1);
        let retry_after = Nanos::from_seconds(seat_s);
        if self.requests.is_full() {
            return Some(Shed { reason: ShedReason::Full, retry_after });
        }
        if self.lines.waiting_of(class) >= self.options.classes[class].queue_max {
            return Some(Shed { reason: ShedReason::QueueFull, retry_after });
        }
        let wait_max_s = self.options.wait_max?.as_seconds();
        let over_s = wait_s - wait_max_s;
        let retry_after = Nanos::from_seconds(over_s);
        (over_s > 0.0).then_some(Shed { reason: ShedReason::WaitTooLong, retry_after })
    }

    /// Seconds that a request of a class would wait behind what runs and what goes before it, at
    /// the best rate. O(buckets * classes).
    fn predicted_wait_s(&self, class: usize) -> f64 {
        let idle = !self.flights.all_busy();
        let mut work_s = if idle { 0.0 } else { self.flights.backlog_s(self.now.get()) };
        for (bucket, curve) in self.options.buckets.iter().enumerate() {
            let ahead = self.lines.ahead_of(class, bucket);
            work_s += f64::from(ahead) / curve.best_rate(self.options.batch_size_max).1;
        }
        work_s / f64::from(self.options.instances)
    }

    /// The host takes a request back. O(log requests).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for a request that is unknown or has ended.
    pub fn cancel(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        self.check_time(now)?;
        let stage = self.requests.get(request)?.stage;
        if stage == Stage::Cancelled {
            return Err(Error::Stale { field: "request", handle: request.to_raw() });
        }
        self.now = now;
        if stage == Stage::Running {
            self.request_mut(request.index()).stage = Stage::Cancelled;
            return Ok(());
        }
        self.leave_line(request.index());
        self.forget(request.index());
        self.wake_ns = now.get();
        Ok(())
    }

    /// When to call [`DynamicBatcher::form`] next: when a wait is over, a request expires, or the
    /// next batch should end; `None` if only a call of the host can change anything. O(instances).
    #[must_use]
    pub fn next_event(&self, now: Nanos) -> Option<Nanos> {
        let idle = !self.flights.all_busy();
        let waits = self.lines.len() > 0;
        let wake = (idle && waits).then_some(self.wake_ns);
        let (free_in, busy) = self.flights.free_in(now.get());
        let ends = (busy > 0).then(|| now.offset_seconds(free_in[0]).get());
        let expiry = self.lines.next_expiry().map(|(_, at_ns)| at_ns);
        let soonest = [wake, ends, expiry].into_iter().flatten().min()?;
        Some(Nanos(soonest).max(now))
    }

    /// What it holds, how full it is, and what it did so far. O(classes * buckets).
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.lines.len(),
            late: (0..self.options.buckets.len()).map(|b| self.lines.late_in(b)).sum(),
            requests: self.requests.len(),
            requests_max: self.requests.capacity(),
            batches_running: self.flights.len(),
            accounts: self.lines.ledger.accounts_len(),
            batches: self.totals.batches,
            launched: self.totals.launched,
            expired: self.totals.expired,
            shed: self.totals.shed,
        }
    }

    /// The latency curve of a bucket, as learned so far.
    #[must_use]
    pub fn curve(&self, bucket: u16) -> Option<&crate::engine::LatencyCurve> {
        self.options.buckets.get(usize::from(bucket))
    }

    fn check_time(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }

    /// The request in a slot that is known to be in use.
    fn request(&self, slot: u32) -> &Request {
        self.requests.at(slot).unwrap_or_else(|| unreachable!("slot {slot} is in use"))
    }

    fn request_mut(&mut self, slot: u32) -> &mut Request {
        self.requests.at_mut(slot).unwrap_or_else(|| unreachable!("slot {slot} is in use"))
    }

    /// Takes a waiting request out of line; it stays known.
    fn leave_line(&mut self, slot: u32) {
        if let Some(request) = self.requests.at(slot) {
            self.lines.leave(request, slot);
        }
    }

    /// Forgets a request that is in no line and in no batch.
    fn forget(&mut self, slot: u32) {
        let forgotten = self.requests.handle_at(slot).and_then(|id| self.requests.remove(id).ok());
        if let Some(request) = forgotten {
            self.account_requests[request.account.index() as usize] -= 1;
        }
    }
}

/// Seconds from `from_ns` to `to_ns`, negative if that is past; infinite to [`NEVER`].
fn seconds_until(from_ns: u64, to_ns: u64) -> f64 {
    if to_ns == NEVER {
        f64::INFINITY
    } else if to_ns >= from_ns {
        (to_ns - from_ns) as f64 / 1e9
    } else {
        -((from_ns - to_ns) as f64 / 1e9)
    }
}
