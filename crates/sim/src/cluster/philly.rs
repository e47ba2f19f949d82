//! `philly`: jobs of Microsoft's Philly clusters, by virtual cluster.
//!
//! Columns `timestamp` (calendar time), `duration` (seconds), `num_gpus`, `cluster`; others are
//! ignored. Virtual clusters become accounts. The file stands in no order: jobs are sorted by
//! arrival, and the first of them comes at zero.
//!
//! Source: Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training
//! Workloads" (USENIX ATC 2019), in the form that the Sia artifact derived from it.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rampmeter::Nanos;

use super::ReadOptions;
use super::jobs::{Builder, JOB_GPUS_MAX, Job, JobList, TIME_MAX_S, gang};
use crate::InputError;
use crate::trace::table::{Column, Row, Table};

pub(super) const COLUMNS: [&str; 4] = ["timestamp", "duration", "num_gpus", "cluster"];

/// What a timestamp is.
const CALENDAR: &str = "a calendar time such as 2017-10-09 06:13:03, at most 32 years from the \
                        earliest";

pub(super) fn read(path: &Path, options: ReadOptions) -> Result<JobList, InputError> {
    let first = earliest(path)?;
    let mut table = Table::open(path)?;
    let [time, duration, gpus, cluster] = columns(&table)?;
    let mut builder = Builder::new(path);
    while let Some(row) = table.next_row()? {
        let at = calendar(&row, time)?;
        let since = i64::try_from(at.as_nanosecond() - first.as_nanosecond()).ok();
        let since = since.and_then(|nanos| u64::try_from(nanos).ok()).map(Nanos);
        let limit = Nanos::from_millis(TIME_MAX_S * 1_000);
        let arrival = since.filter(|since| *since <= limit);
        let run = row.seconds(duration, TIME_MAX_S)?;
        let (members, member) = gang(row.count(gpus, 1, JOB_GPUS_MAX)?, options.devices_per_node);
        let job = Job {
            arrival: arrival.ok_or_else(|| row.wrong(time, CALENDAR))?,
            duration: run,
            estimate: run,
            member,
            members,
            account: builder.account_in(&row, Some(cluster))?,
        };
        builder.push(row.line, job)?;
    }
    builder.finish("philly")
}

/// The earliest timestamp: the file is read twice, so that no more than its jobs is held.
fn earliest(path: &Path) -> Result<Timestamp, InputError> {
    let mut table = Table::open(path)?;
    let [time, ..] = columns(&table)?;
    let mut first: Option<Timestamp> = None;
    while let Some(row) = table.next_row()? {
        let at = calendar(&row, time)?;
        first = Some(first.map_or(at, |first| first.min(at)));
    }
    first.ok_or_else(|| InputError::new(path, "holds no job"))
}

fn columns(table: &Table<'_>) -> Result<[Column; 4], InputError> {
    let [time, duration, gpus, cluster] = COLUMNS.map(|name| table.required(name));
    Ok([time?, duration?, gpus?, cluster?])
}

/// Differences are all that counts, so that the time zone does not.
fn calendar(row: &Row<'_>, column: Column) -> Result<Timestamp, InputError> {
    let wrong = || row.wrong(column, CALENDAR);
    let at: DateTime = row.text(column).parse().map_err(|_| wrong())?;
    TimeZone::UTC.to_timestamp(at).map_err(|_| wrong())
}
