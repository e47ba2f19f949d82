//! Jobs as traces describe them.

use rampmeter::Nanos;
use rampmeter::fleet::Demand;

/// A job of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Job {
    /// When it comes, from the beginning of the trace.
    pub arrival: Nanos,
    /// How long it runs, alone and with everything warm.
    pub duration: Nanos,
    /// How long its user says it will run; the duration where the trace does not tell.
    pub estimate: Nanos,
    /// What each member takes of its node.
    pub member: Demand,
    /// Members, which start together.
    pub members: u32,
    /// Index into [`JobList::accounts`].
    pub account: u32,
}

/// The jobs of a trace, in order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobList {
    /// Where it came from.
    pub name: String,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Who asked.
    pub accounts: Vec<String>,
}
