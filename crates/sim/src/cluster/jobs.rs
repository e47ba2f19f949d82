//! Jobs as traces describe them.

use std::path::Path;

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand};

use crate::InputError;
use crate::trace::builder::{Names, name_range, source};
use crate::trace::table::{Column, Row};

/// Most jobs of one trace: ten times the largest that is read here.
pub const JOBS_MAX: usize = 10_000_000;

/// Longest time from the start of a trace, and longest run time, in seconds: 32 years. The longest
/// public logs span less than ten.
pub const TIME_MAX_S: u64 = 1_000_000_000;

/// Most GPUs of one job: as many members as a placer takes, of one GPU each.
pub const JOB_GPUS_MAX: u32 = 1 << 16;

/// Account of a job where the trace names none.
pub const ACCOUNT_DEFAULT: &str = "default";

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

impl Job {
    /// Thousandths of GPUs that all its members take.
    #[must_use]
    pub const fn gpu_milli(&self) -> u64 {
        self.member.gpu_milli() as u64 * self.members as u64
    }

    /// GPUs that all its members take.
    #[must_use]
    pub fn gpus(&self) -> f64 {
        self.gpu_milli() as f64 / 1e3
    }
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
    /// Jobs of the file that are left out, because it does not tell how long they ran or on how
    /// many processors.
    pub skipped: u64,
}

/// Whole GPUs as a gang: members and what each takes of its node.
///
/// All members of a task are equal, so that a job which is larger than a node is cut into members
/// of the largest number of GPUs that divides both the job and the node: 16 GPUs on nodes of 8
/// become 2 members of 8, 12 become 3 of 4. Such members fill nodes without a rest.
#[must_use]
pub fn gang(gpus: u32, devices_per_node: u32) -> (u32, Demand) {
    let per_node = devices_per_node.clamp(1, rampmeter::fleet::DEVICES_PER_NODE_MAX);
    let each = if gpus <= per_node { gpus } else { common_divisor(gpus, per_node) };
    let devices = match each {
        0 => DeviceDemand::None,
        // At most the devices of a node, of which there are 16.
        count => DeviceDemand::Whole { count: count as u8, memory_mib: 0 },
    };
    let members = gpus.checked_div(each).unwrap_or(1);
    (members, Demand { devices, ..Demand::default() })
}

/// Greatest common divisor, by Euclid.
const fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A list in the making.
pub(super) struct Builder<'p> {
    path: &'p Path,
    jobs: Vec<Job>,
    accounts: Names,
    pub(super) skipped: u64,
}

impl<'p> Builder<'p> {
    pub(super) fn new(path: &'p Path) -> Self {
        Self { path, jobs: Vec::new(), accounts: Names::default(), skipped: 0 }
    }

    /// The last arrival so far.
    pub(super) fn last_arrival(&self) -> Nanos {
        self.jobs.last().map_or(Nanos::ZERO, |last| last.arrival)
    }

    /// The number of an account, new or known; `None` for what is no name.
    pub(super) fn account(&mut self, name: &str) -> Option<u32> {
        self.accounts.index(name).map(|index| index as u32)
    }

    /// The number of the account in a field; where that is empty, of [`ACCOUNT_DEFAULT`].
    pub(super) fn account_in(
        &mut self,
        row: &Row<'_>,
        column: Option<Column>,
    ) -> Result<u32, InputError> {
        match column.filter(|&column| !row.text(column).is_empty()) {
            None => Ok(self.account(ACCOUNT_DEFAULT).unwrap_or_default()),
            Some(column) => {
                self.account(row.text(column)).ok_or_else(|| row.wrong(column, &name_range()))
            }
        }
    }

    /// Adds a job that stands at `line`.
    pub(super) fn push(&mut self, line: u64, job: Job) -> Result<(), InputError> {
        if self.jobs.len() == JOBS_MAX {
            let problem = format!("is past job {JOBS_MAX}, the most that a trace may hold");
            return Err(InputError::new(self.path, problem).at_line(line));
        }
        self.jobs.push(job);
        Ok(())
    }

    /// The list, in order of arrival, if it holds anything. Jobs that came together stay in the
    /// order of the file.
    pub(super) fn finish(mut self, format: &str) -> Result<JobList, InputError> {
        if self.jobs.is_empty() {
            return Err(InputError::new(self.path, "holds no job"));
        }
        self.jobs.sort_by_key(|job| job.arrival);
        Ok(JobList {
            name: source(format, self.path),
            jobs: self.jobs,
            accounts: self.accounts.names,
            skipped: self.skipped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_jobs_become_equal_members_that_fill_nodes() {
        let shape = |gpus, per_node| {
            let (members, demand) = gang(gpus, per_node);
            (members, demand.devices.devices())
        };
        let on_eight = [(0, 1, 0), (1, 1, 1), (3, 1, 3), (8, 1, 8), (9, 9, 1), (12, 3, 4)];
        for (gpus, members, each) in on_eight {
            assert_eq!(shape(gpus, 8), (members, each), "{gpus}");
        }
        assert_eq!(shape(16, 8), (2, 8));
        assert_eq!(shape(128, 8), (16, 8));
        assert_eq!(shape(40, 2), (20, 2));
        assert_eq!(shape(37, 1), (37, 1));
        for gpus in 1..200 {
            for per_node in 1..=16 {
                let (members, each) = shape(gpus, per_node);
                assert_eq!(members * each, gpus);
                assert!(each <= per_node);
            }
        }
    }
}
