//! What no engine could do, whatever a policy commands.

/// A command that no engine could carry out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BrokenRule {
    /// Admitted or refused something that is not in the queue.
    #[error("request {request} was admitted or refused but does not wait")]
    NotWaiting {
        /// Index into the workload.
        request: u32,
    },
    /// Admitted more than there are seats.
    #[error("request {request} was admitted with all {running_max} seats taken")]
    SeatsTaken {
        /// Index into the workload.
        request: u32,
        /// Seats of the engine.
        running_max: u32,
    },
    /// Computed or preempted something that has no seat.
    #[error("request {request} was computed or preempted but does not run")]
    NotRunning {
        /// Index into the workload.
        request: u32,
    },
    /// The same request twice in one step.
    #[error("request {request} was planned twice in one step")]
    PlannedTwice {
        /// Index into the workload.
        request: u32,
    },
    /// No tokens, or more than the request has left.
    #[error("{tokens} tokens of request {request} were planned, 1..={remaining} are possible")]
    TokensRemaining {
        /// Index into the workload.
        request: u32,
        /// Tokens that were planned.
        tokens: u32,
        /// Known tokens that are not computed yet.
        remaining: u32,
    },
    /// More tokens than a step may compute.
    #[error("{tokens} tokens of request {request} were planned, the step has {left} left")]
    TokenBudget {
        /// Index into the workload.
        request: u32,
        /// Tokens that were planned.
        tokens: u32,
        /// Tokens that the step can still take.
        left: u32,
    },
}
