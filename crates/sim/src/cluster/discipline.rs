//! Who runs now? The seam between the simulator and a queue discipline.

use std::fmt;
use std::str::FromStr;

use rampmeter::Nanos;

use super::error::ClusterError;
use super::peers::{Backfill, Conservative, Fifo, Las, Shortest};
use super::rampmeter::Desk;
use super::state::Cluster;
use crate::nearest::unknown;

/// Decides which jobs run.
///
/// It is asked after every arrival, end, failure and repair, and when it asked to be
/// ([`Discipline::next_event`]); with a scheduling interval only at its multiples.
pub trait Discipline {
    /// Starts and stops jobs, and promises starts.
    ///
    /// # Errors
    /// What the cluster says to a command.
    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError>;

    /// A job has come and waits.
    fn arrived(&mut self, _job: usize) {}

    /// A job has ended.
    fn ended(&mut self, _cluster: &Cluster<'_>, _job: usize) {}

    /// A job was stopped by the failure of a node, and waits again.
    fn lost(&mut self, _job: usize) {}

    /// When it has something to decide though nothing happens.
    fn next_event(&self, _cluster: &Cluster<'_>) -> Option<Nanos> {
        None
    }
}

/// The queue disciplines by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Queue {
    /// First come, first served; who does not fit holds up all behind.
    Fifo,
    /// Shortest remaining time first, preemptive.
    Srtf,
    /// Shortest remaining service (time by GPUs) first, preemptive.
    Srsf,
    /// Least attained service in three levels (Tiresias-L), preemptive.
    Las,
    /// First come, first served with EASY backfilling.
    Easy,
    /// First come, first served with conservative backfilling.
    Conservative,
    /// The library's own cycle, under the policy of the placement.
    Rampmeter,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Fifo,
        Self::Srtf,
        Self::Srsf,
        Self::Las,
        Self::Easy,
        Self::Conservative,
        Self::Rampmeter,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Srtf => "srtf",
            Self::Srsf => "srsf",
            Self::Las => "las",
            Self::Easy => "easy",
            Self::Conservative => "conservative",
            Self::Rampmeter => "rampmeter",
        }
    }

    /// A new one, for one run.
    pub fn discipline(self) -> Box<dyn Discipline> {
        match self {
            Self::Fifo => Box::new(Fifo),
            Self::Srtf => Box::new(Shortest::by_time()),
            Self::Srsf => Box::new(Shortest::by_service()),
            Self::Las => Box::new(Las::default()),
            Self::Easy => Box::new(Backfill),
            Self::Conservative => Box::new(Conservative::default()),
            Self::Rampmeter => Box::new(Desk::default()),
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Queue {
    type Err = String;

    /// By name; the error is a sentence that names the nearest one.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|queue| queue.name() == name);
        known.ok_or_else(|| unknown(name, "queue", Self::ALL.map(Self::name)))
    }
}
