//! What can go wrong in a simulation.

use std::fmt;

use rampmeter::error::Error;

use super::state::FAILURES_MAX;

/// What went wrong in a simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClusterError {
    /// The library refused a call.
    Library(Error),
    /// A discipline commanded what cannot be: a job that is not waiting was to start, or one that
    /// is not running to stop.
    Command {
        /// Index of the job.
        job: usize,
    },
    /// Failures of nodes stop a job again and again before it can save anything.
    Hopeless {
        /// Index of the job.
        job: usize,
    },
    /// Jobs wait, nothing runs and nothing will come: the discipline starts nobody.
    Stuck {
        /// How many wait.
        waiting: usize,
    },
}

impl From<Error> for ClusterError {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error) => write!(f, "the library refused a call: {error}"),
            Self::Command { job } => write!(f, "job {job} was commanded out of turn"),
            Self::Hopeless { job } => {
                write!(f, "failures stopped job {job} {FAILURES_MAX} times: it will never end")
            }
            Self::Stuck { waiting } => {
                write!(f, "{waiting} jobs wait, and the discipline starts none of them")
            }
        }
    }
}

impl std::error::Error for ClusterError {}
