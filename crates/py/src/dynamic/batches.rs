//! What becomes of a request, what to launch or wait for, and what became of it.

use pyo3::prelude::*;
use rampmeter::batch::dynamic::{
    Admission, Decision as CoreDecision, Expired as CoreExpired, Formed as CoreFormed,
    Observed as CoreObserved, PlanEntry, ShedReason, Why,
};

use crate::record::record;

record! {
    /// It waits for its batch.
    "rampmeter.dynamic" Queued {
        request: u64,
    }
}
record! {
    /// It is turned away: "full" (`requests_max` are known), "queue_full" (of its class) or
    /// "wait_too_long".
    "rampmeter.dynamic" Shed {
        reason: &'static str,
        retry_after_ns: u64,
    }
}
record! {
    /// Run this batch now, and ask again: another instance may be idle. `late` says of each request
    /// whether its deadline is lost, or given up for more others.
    "rampmeter.dynamic" Launch {
        batch: u64,
        requests: Vec<u64>,
        tags: Vec<u64>,
        late: Vec<bool>,
        bucket: u32,
        instance: u32,
        ends_at_ns: u64,
        why: &'static str,
    }
}
record! {
    /// Do nothing before `until_ns`, unless a request comes or a batch ends.
    "rampmeter.dynamic" Wait {
        until_ns: u64,
        why: &'static str,
    }
}
record! {
    /// A request that waited for too long; its handle is stale.
    "rampmeter.dynamic" Expired {
        request: u64,
        tag: u64,
    }
}
record! {
    /// What to do: `Launch`, `Wait`, or `None` where nothing waits; and who waited for too long.
    "rampmeter.dynamic" Formed {
        decision: Option<Decision>,
        expired: Vec<Expired>,
    }
}
record! {
    /// What an observation changed: requests that ended, and of those with a deadline, how many met
    /// it.
    "rampmeter.dynamic" Observed {
        finished: u32,
        in_time: u32,
        missed: u32,
    }
}

/// The answer of [`super::DynamicBatcher::submit`], whichever it is.
#[derive(IntoPyObject)]
pub(crate) enum Submitted {
    Queued(Queued),
    Shed(Shed),
}

/// What to do, if anything waits.
#[derive(Clone, Debug, PartialEq, IntoPyObject)]
pub(crate) enum Decision {
    Launch(Launch),
    Wait(Wait),
}

impl From<Admission> for Submitted {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Queued(request) => Self::Queued(Queued { request: request.to_raw() }),
            Admission::Shed(shed) => Self::Shed(Shed {
                reason: match shed.reason {
                    ShedReason::Full => "full",
                    ShedReason::QueueFull => "queue_full",
                    ShedReason::WaitTooLong => "wait_too_long",
                },
                retry_after_ns: shed.retry_after.get(),
            }),
        }
    }
}

impl Formed {
    pub(super) fn read(
        formed: &CoreFormed,
        entries: &[PlanEntry],
        expired: &[CoreExpired],
    ) -> Self {
        let gone = expired.iter().take(formed.expired_len as usize);
        let decision = match formed.decision {
            CoreDecision::Idle => None,
            CoreDecision::Wait { until, why } => {
                Some(Decision::Wait(Wait { until_ns: until.get(), why: name(why) }))
            }
            CoreDecision::Launch(launch) => {
                let entries = entries.iter().take(launch.len as usize);
                Some(Decision::Launch(Launch {
                    batch: launch.batch.to_raw(),
                    requests: entries.clone().map(|entry| entry.request.to_raw()).collect(),
                    tags: entries.clone().map(|entry| entry.tag).collect(),
                    late: entries.map(|entry| entry.late).collect(),
                    bucket: launch.bucket.into(),
                    instance: launch.instance,
                    ends_at_ns: launch.ends_at.get(),
                    why: name(launch.why),
                }))
            }
        };
        let told = |gone: &CoreExpired| Expired { request: gone.request.to_raw(), tag: gone.tag };
        Self { decision, expired: gone.map(told).collect() }
    }
}

impl From<CoreObserved> for Observed {
    fn from(observed: CoreObserved) -> Self {
        let CoreObserved { finished, in_time, missed } = observed;
        Self { finished, in_time, missed }
    }
}

/// Why, as Python names it.
pub(super) fn name(why: Why) -> &'static str {
    match why {
        Why::Busy => "busy",
        Why::Full => "full",
        Why::WorthNow => "worth_now",
        Why::Preferred => "preferred",
        Why::Deadline => "deadline",
        Why::DelayMax => "delay_max",
        Why::Late => "late",
        Why::WorthWaiting => "worth_waiting",
        Why::MoreExpired => "more_expired",
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Queued>()?;
    module.add_class::<Shed>()?;
    module.add_class::<Launch>()?;
    module.add_class::<Wait>()?;
    module.add_class::<Expired>()?;
    module.add_class::<Formed>()?;
    module.add_class::<Observed>()
}
