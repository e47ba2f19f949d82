//! Why a request is where it is.

use super::DynamicBatcher;
use super::decide::Verdict;
use super::request::{NEVER, RequestId, Stage};
use crate::error::Error;
use crate::units::Nanos;

/// What is known of one request, and of the decision that concerns it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explanation {
    /// Where it is.
    pub stage: Stage,
    /// When its answer is due, if ever.
    pub deadline: Option<Nanos>,
    /// The last moment at which it could be launched alone and be in time; saturating at zero.
    pub latest_launch: Option<Nanos>,
    /// Requests in time that wait in its bucket, itself included if it is one.
    pub waiting: u32,
    /// Late ones there.
    pub late: u32,
    /// Arrivals a second in its bucket, as estimated at the latest call.
    pub rate_per_s: f64,
    /// What was last decided for its bucket, with the price of launching and of waiting.
    pub verdict: Option<Verdict>,
}

impl DynamicBatcher {
    /// Says where a request is and what was last decided about its bucket. O(classes).
    ///
    /// # Errors
    /// [`Error::Stale`] for a request that is unknown or has ended.
    pub fn explain(&self, request: RequestId) -> Result<Explanation, Error> {
        let request = self.requests.get(request)?;
        let bucket = usize::from(request.bucket);
        let deadline = Some(Nanos(request.deadline_ns)).filter(|at| at.get() != NEVER);
        let alone_s = self.options.buckets[bucket].seconds(1);
        Ok(Explanation {
            stage: request.stage,
            deadline,
            latest_launch: deadline.map(|at| at.offset_seconds(-alone_s)),
            waiting: self.lines.waiting_in(bucket),
            late: self.lines.late_in(bucket),
            rate_per_s: self.arrivals[bucket].rate_per_s(self.now.get()),
            verdict: self.verdicts[bucket],
        })
    }
}
