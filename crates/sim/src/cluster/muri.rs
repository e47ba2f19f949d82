//! `muri`: the traces of the Muri artifact.
//!
//! Columns `num_gpu`, `submit_time` and `duration` (milliseconds from the start); others are
//! ignored. There are no users: all jobs are of one account.
//!
//! Source: Zhao et al., "Multi-Resource Interleaving for Deep Learning Training" (SIGCOMM 2022),
//! github.com/Rivendile/Muri. Its simulator lets a job do `iterations` of `iteration_time` and
//! 1.5% more, which is within 1.5% of `duration` but for 5% of the jobs.

use std::path::Path;

use rampmeter::Nanos;

use super::ReadOptions;
use super::jobs::{Builder, JOB_GPUS_MAX, Job, JobList, TIME_MAX_S, gang};
use crate::InputError;
use crate::trace::table::{Column, Row, Table};

pub(super) const COLUMNS: [&str; 3] = ["num_gpu", "submit_time", "duration"];

pub(super) fn read(path: &Path, options: ReadOptions) -> Result<JobList, InputError> {
    let mut table = Table::open(path)?;
    let gpus = table.required(COLUMNS[0])?;
    let submit = table.required(COLUMNS[1])?;
    let duration = table.required(COLUMNS[2])?;
    let mut builder = Builder::new(path);
    while let Some(row) = table.next_row()? {
        let run = millis(&row, duration)?;
        let (members, member) = gang(row.count(gpus, 1, JOB_GPUS_MAX)?, options.devices_per_node);
        let job = Job {
            arrival: millis(&row, submit)?,
            duration: run,
            estimate: run,
            member,
            members,
            account: builder.account_in(&row, None)?,
        };
        builder.push(row.line, job)?;
    }
    builder.finish("muri")
}

fn millis(row: &Row<'_>, column: Column) -> Result<Nanos, InputError> {
    let max = TIME_MAX_S * 1_000;
    let millis = row.text(column).parse().ok().filter(|millis| *millis <= max);
    millis
        .map(Nanos::from_millis)
        .ok_or_else(|| row.wrong(column, &format!("a whole number of milliseconds in 0..={max}")))
}
