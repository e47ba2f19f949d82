//! The GPUs of this machine, as the library sees them.

use std::path::Path;
use std::time::Duration;

use rampmeter_probe::cuda::{Cuda, Permission};
use rampmeter_probe::document::Document;
use rampmeter_probe::fixture::Fixture;
use rampmeter_probe::nvml::Nvml;
use rampmeter_probe::poller::{StartError, State};
use rampmeter_probe::{Cadence, Call, Condition, Due, Poller, Probe, Snapshot, clock};
use rampmeter_sim::InputError;
use serde::Serialize;

/// How long the first look may take. Opening a driver that nobody uses can take seconds (it starts
/// each GPU); one that hangs is to be told as such.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to look at.
#[derive(Debug)]
pub(crate) struct ProbeJob<'a> {
    /// A file instead of this machine.
    pub(crate) fixture: Option<&'a Path>,
    /// The driver's library, where it is somewhere else.
    pub(crate) library: Option<&'a Path>,
    /// Start CUDA, too.
    pub(crate) cuda: bool,
}

/// A machine that is looked at.
pub(crate) struct Machine {
    poller: Poller,
    cuda: Option<Cuda>,
}

/// What was seen at one look.
#[derive(Serialize)]
pub(crate) struct Look {
    #[serde(skip)]
    pub(crate) snapshot: Snapshot,
    /// How old that is.
    pub(crate) age_s: f64,
    /// The call that hangs, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hanging: Option<Hanging>,
    /// What CUDA said, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cuda: Option<&'static str>,
    #[serde(skip)]
    pub(crate) cuda_condition: Option<Condition>,
    #[serde(flatten)]
    document: Document,
}

/// A driver call that does not return.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Hanging {
    #[serde(serialize_with = "name")]
    pub(crate) call: Call,
    pub(crate) seconds: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn name<S: serde::Serializer>(call: &Call, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(call.name())
}

impl Machine {
    /// Begins to look.
    pub(crate) fn new(job: &ProbeJob<'_>) -> Result<Self, InputError> {
        let poller = match (job.fixture, job.library) {
            (Some(path), _) => {
                let fixture = Fixture::open(path)
                    .map_err(|error| InputError::new(path, error.to_string()))?;
                start(fixture)
            }
            (None, Some(path)) => start(Nvml::with_library(path)),
            (None, None) => start(Nvml::new()),
        };
        let poller = poller.map_err(|error| InputError::new("probe", error.to_string()))?;
        // Whether it has answered by then is part of what is seen.
        let _ = poller.wait_first(PATIENCE);
        Ok(Self { poller, cuda: job.cuda.then(|| Cuda::new(Permission::Start)) })
    }

    /// What is known now.
    pub(crate) fn look(&mut self) -> Look {
        let now = clock::now();
        let mut snapshot = Snapshot::default();
        snapshot.copy_from(&self.poller.latest());
        let hanging = match self.poller.state(now) {
            State::Hanging { call, since } => {
                Some(Hanging { call, seconds: now.saturating_sub(since).as_seconds() })
            }
            State::Running | State::Ended | State::Forked => None,
        };
        if snapshot.seq == 0 {
            (snapshot.condition, snapshot.taken_at) = (Condition::Hanging, now);
        }
        let cuda_condition = self.cuda.as_mut().map(|cuda| joined(cuda, &mut snapshot));
        Look {
            age_s: snapshot.age(now).as_seconds(),
            hanging,
            cuda: cuda_condition.map(Condition::word),
            cuda_condition,
            document: Document::from(&snapshot),
            snapshot,
        }
    }
}

fn start(probe: impl Probe + 'static) -> Result<Poller, StartError> {
    Poller::start(probe, &Cadence::default())
}

/// Numbers of CUDA; where NVML has no device, those of CUDA itself.
fn joined(cuda: &mut Cuda, snapshot: &mut Snapshot) -> Condition {
    if !snapshot.devices.is_empty() {
        return cuda.join(snapshot);
    }
    let seen = cuda.read(Due::ALL);
    if seen.condition == Condition::Ready {
        snapshot.copy_from(seen);
    }
    seen.condition
}
