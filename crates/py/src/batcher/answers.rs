//! What a batcher answers, with named fields.

use pyo3::prelude::*;
use rampmeter::batch::continuous::{
    Admission, ClassStats, Explanation as CoreExplanation, Observed as CoreObserved, Obstacle,
    Progress as CoreProgress, Reason, ShedReason, Stage, Stats,
};
use rampmeter::engine::StepFitStats;
use rampmeter::share::exchange::DeltaEntry as CoreDeltaEntry;
use rampmeter::units::Nanos;

use crate::record::record;

record! {
    /// The request waits for its turn.
    "rampmeter.batch" Queued {
        request: u64,
    }
}
record! {
    /// The request is turned away by a limit; nothing is kept of it.
    "rampmeter.batch" Shed {
        reason: &'static str,
        retry_after_ns: Option<u64>,
    }
}
record! {
    /// What an observation changed.
    "rampmeter.batch" Observed {
        finished: u32,
        first_tokens: u32,
        output_tokens: u32,
    }
}
record! {
    /// What is known of one request.
    "rampmeter.batch" Progress {
        stage: &'static str,
        obstacle: Option<&'static str>,
        output_tokens: u32,
        computed_tokens: u32,
        preemptions: u32,
    }
}
record! {
    /// Why a request is not in the batch, and when it will be.
    "rampmeter.batch" Explanation {
        reason: &'static str,
        obstacle: Option<&'static str>,
        stage: &'static str,
        ahead_requests: u32,
        ahead_tokens: u64,
        predicted_start_ns: Option<u64>,
        head: Option<u64>,
        head_class_index: u32,
        head_reason: &'static str,
        head_obstacle: Option<&'static str>,
        account_counter: f64,
        account_counter_min: f64,
        credit: f64,
        class_is_owed: bool,
        late_is_owed: bool,
    }
}
record! {
    /// What a batcher holds and how full it is.
    "rampmeter.batch" BatcherStats {
        waiting: u32,
        late: u32,
        running: u32,
        requests: u32,
        requests_max: u32,
        running_max: u32,
        accounts: u32,
        steps_in_flight: u32,
        kv_blocks_free: u32,
        kv_blocks: u32,
        kv_blocks_swapped: u32,
        shed: u64,
        expired: u64,
    }
}
record! {
    /// How much of a class waits, and how fast it drains.
    "rampmeter.batch" BatcherClassStats {
        waiting: u32,
        late: u32,
        waiting_tokens: u64,
        drain_tokens_per_s: f64,
    }
}
record! {
    /// How well the step times are known.
    "rampmeter.batch" ModelStats {
        samples: u64,
        limited: u64,
        error_ratio: f64,
        error_ratio_prefill: f64,
        time_scale: f64,
        determined_ratio: Vec<f64>,
    }
}
record! {
    /// What was charged since the last time, for all other copies alike.
    "rampmeter.batch" Delta {
        replica: u64,
        incarnation: u64,
        is_complete: bool,
        entries: Vec<DeltaEntry>,
    }
}
record! {
    /// What became of the entries of a delta.
    "rampmeter.batch" Merged {
        news: u32,
        older: u32,
        unknown: u32,
    }
}

/// What one copy charged to one account in one class: its key, the class, where the counting began,
/// what the delta before this one told, and up to where it has come.
pub(super) type DeltaEntry = (u64, u64, f64, f64, f64);

/// The answer of `Batcher.submit`, whichever it is.
#[derive(IntoPyObject)]
pub(crate) enum Submitted {
    Queued(Queued),
    Shed(Shed),
}

impl From<Admission> for Submitted {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Queued(request) => Self::Queued(Queued { request: request.to_raw() }),
            Admission::Shed(shed) => Self::Shed(Shed {
                reason: match shed.reason {
                    ShedReason::ClassRequests => "class_requests",
                    ShedReason::ClassTokens => "class_tokens",
                    ShedReason::AccountRequests => "account_requests",
                    ShedReason::AccountTokens => "account_tokens",
                    ShedReason::RateRequests => "rate_requests",
                    ShedReason::RateTokens => "rate_tokens",
                },
                retry_after_ns: known(shed.retry_after),
            }),
        }
    }
}

impl From<CoreObserved> for Observed {
    fn from(observed: CoreObserved) -> Self {
        let CoreObserved { finished, first_tokens, output_tokens } = observed;
        Self { finished, first_tokens, output_tokens }
    }
}

impl From<CoreProgress> for Progress {
    fn from(known: CoreProgress) -> Self {
        Self {
            stage: stage(known.stage),
            obstacle: obstacle(known.obstacle),
            output_tokens: known.output_tokens.get(),
            computed_tokens: known.computed_tokens.get(),
            preemptions: known.preemptions,
        }
    }
}

impl From<CoreExplanation> for Explanation {
    fn from(why: CoreExplanation) -> Self {
        let head = why.head.to_raw();
        Self {
            reason: reason(why.reason),
            obstacle: obstacle(why.obstacle),
            stage: stage(why.stage),
            ahead_requests: why.ahead_requests,
            ahead_tokens: why.ahead_tokens,
            predicted_start_ns: known(why.predicted_start),
            head: (head != 0).then_some(head),
            head_class_index: why.head_class.into(),
            head_reason: reason(why.head_reason),
            head_obstacle: obstacle(why.head_obstacle),
            account_counter: why.account_counter,
            account_counter_min: why.account_counter_min,
            credit: why.credit,
            class_is_owed: why.class_is_owed,
            late_is_owed: why.late_is_owed,
        }
    }
}

impl From<Stats> for BatcherStats {
    fn from(stats: Stats) -> Self {
        Self {
            waiting: stats.waiting,
            late: stats.late,
            running: stats.running,
            requests: stats.requests,
            requests_max: stats.requests_max,
            running_max: stats.running_max,
            accounts: stats.accounts,
            steps_in_flight: stats.steps_in_flight,
            kv_blocks_free: stats.kv_blocks_free.get(),
            kv_blocks: stats.kv_blocks.get(),
            kv_blocks_swapped: stats.kv_blocks_swapped.get(),
            shed: stats.shed,
            expired: stats.expired,
        }
    }
}

impl From<ClassStats> for BatcherClassStats {
    fn from(stats: ClassStats) -> Self {
        let ClassStats { waiting, late, waiting_tokens, drain_tokens_per_s } = stats;
        Self { waiting, late, waiting_tokens, drain_tokens_per_s }
    }
}

impl From<StepFitStats> for ModelStats {
    fn from(stats: StepFitStats) -> Self {
        Self {
            samples: stats.samples,
            limited: stats.limited,
            error_ratio: stats.error_ratio,
            error_ratio_prefill: stats.error_ratio_prefill,
            time_scale: stats.time_scale,
            determined_ratio: stats.determined_ratio.to_vec(),
        }
    }
}

pub(super) const fn told(entry: &CoreDeltaEntry) -> DeltaEntry {
    (entry.key, entry.lane, entry.began, entry.told, entry.served)
}

pub(super) const fn heard(entry: DeltaEntry) -> CoreDeltaEntry {
    let (key, lane, began, told, served) = entry;
    CoreDeltaEntry { key, lane, began, told, served }
}

/// A moment, or none where the core says that it will never come.
pub(super) fn known(at: Nanos) -> Option<u64> {
    (at != Nanos::MAX).then_some(at.get())
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting => "waiting",
        Stage::Late => "late",
        Stage::Preempted => "preempted",
        Stage::Running => "running",
        Stage::HandedOver => "handed_over",
        Stage::Ended => "ended",
    }
}

const fn obstacle(obstacle: Obstacle) -> Option<&'static str> {
    match obstacle {
        Obstacle::None => None,
        Obstacle::Memory => Some("memory"),
        Obstacle::InFlight => Some("in_flight"),
        Obstacle::Adapter => Some("adapter"),
        Obstacle::SharedPrompt => Some("shared_prompt"),
        Obstacle::Forecast => Some("forecast"),
    }
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Nobody => "nobody",
        Reason::Running => "running",
        Reason::HandedOver => "handed_over",
        Reason::Ended => "ended",
        Reason::Next => "next",
        Reason::Seats => "seats",
        Reason::StepBudget => "step_budget",
        Reason::GaveWay => "gave_way",
        Reason::StepsInFlight => "steps_in_flight",
        Reason::Obstacle => "obstacle",
        Reason::ComesBack => "comes_back",
        Reason::Expired => "expired",
        Reason::Class => "class",
        Reason::Interrupted => "interrupted",
        Reason::Account => "account",
        Reason::LateShare => "late_share",
        Reason::Late => "late",
        Reason::Order => "order",
    }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Queued>()?;
    module.add_class::<Shed>()?;
    module.add_class::<Observed>()?;
    module.add_class::<Progress>()?;
    module.add_class::<Explanation>()?;
    module.add_class::<BatcherStats>()?;
    module.add_class::<BatcherClassStats>()?;
    module.add_class::<ModelStats>()?;
    module.add_class::<Delta>()?;
    module.add_class::<Merged>()
}
