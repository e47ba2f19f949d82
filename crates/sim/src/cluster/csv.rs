//! `csv`: our own columns, for jobs of your own.
//!
//! | column | | unit and range |
//! |---|---|---|
//! | `arrival_s` | required | seconds from the start, 0..=1,000,000,000, in order |
//! | `duration_s` | required | seconds, 0..=1,000,000,000 |
//! | `gpus` | required | of each member, 0..=16; without members of the job, 0..=65,536 |
//! | `estimate_s` | optional | what its user says, at least the duration; empty: the duration |
//! | `members` | optional | equal members that start together, 1..=65,536; empty: as many as nodes need |
//! | `gpu_milli` | optional | thousandths of each GPU, 1..=1000; empty: all of it |
//! | `cpu_milli` | optional | of each member, thousandths of a core; empty: 0 |
//! | `memory_mib` | optional | of each member, host memory; empty: 0 |
//! | `account` | optional | 1..=128 bytes, no control characters; empty: `default` |
//!
//! Columns may stand in any order. An unknown column is an error that names the nearest known one.
//! How a job is cut into members where it does not say: [`super::jobs::gang`].

use std::path::Path;

use rampmeter::fleet::node::NODE_AMOUNT_MAX;
use rampmeter::fleet::{DEVICES_PER_NODE_MAX, Demand, DeviceDemand};

use super::ReadOptions;
use super::jobs::{Builder, JOB_GPUS_MAX, Job, JobList, TIME_MAX_S, gang};
use crate::InputError;
use crate::trace::csv::check_columns;
use crate::trace::table::{Column, Row, Table};

/// All columns; the first three are required.
pub(super) const COLUMNS: [&str; 9] = [
    "arrival_s",
    "duration_s",
    "gpus",
    "estimate_s",
    "members",
    "gpu_milli",
    "cpu_milli",
    "memory_mib",
    "account",
];

/// Thousandths in a whole GPU.
const WHOLE: u32 = rampmeter::fleet::device::WHOLE_MILLI as u32;

pub(super) fn read(path: &Path, options: ReadOptions) -> Result<JobList, InputError> {
    let mut table = Table::open(path)?;
    check_columns(path, table.headers(), &COLUMNS)?;
    let arrival = table.required(COLUMNS[0])?;
    let duration = table.required(COLUMNS[1])?;
    let gpus = table.required(COLUMNS[2])?;
    let estimate = table.optional(COLUMNS[3]);
    let account = table.optional(COLUMNS[8]);
    let shape = Shape {
        gpus,
        members: table.optional(COLUMNS[4]),
        gpu_milli: table.optional(COLUMNS[5]),
        cpu_milli: table.optional(COLUMNS[6]),
        memory_mib: table.optional(COLUMNS[7]),
    };
    let mut builder = Builder::new(path);
    while let Some(row) = table.next_row()? {
        let run = row.seconds(duration, TIME_MAX_S)?;
        let said = match estimate.filter(|&column| !row.text(column).is_empty()) {
            None => run,
            Some(column) => row.seconds(column, TIME_MAX_S)?,
        };
        if let Some(column) = estimate.filter(|_| said < run) {
            let at_least = format!("at least the duration, {} s", run.as_seconds());
            return Err(row.wrong(column, &at_least));
        }
        let at = row.seconds(arrival, TIME_MAX_S)?;
        if at < builder.last_arrival() {
            let last_s = builder.last_arrival().as_seconds();
            let order = format!("at or after the line before, {last_s} s: arrivals are in order");
            return Err(row.wrong(arrival, &order));
        }
        let (members, member) = shape.read(&row, options.devices_per_node)?;
        let account = builder.account_in(&row, account)?;
        let job = Job { arrival: at, duration: run, estimate: said, member, members, account };
        builder.push(row.line, job)?;
    }
    builder.finish("csv")
}

/// The columns that say what a job takes.
struct Shape {
    gpus: Column,
    members: Option<Column>,
    gpu_milli: Option<Column>,
    cpu_milli: Option<Column>,
    memory_mib: Option<Column>,
}

impl Shape {
    fn read(&self, row: &Row<'_>, devices_per_node: u32) -> Result<(u32, Demand), InputError> {
        let number = |column: Option<Column>, min, max, otherwise| match column {
            Some(column) if !row.text(column).is_empty() => row.count(column, min, max),
            _ => Ok(otherwise),
        };
        // Zero: not given.
        let stated = number(self.members, 1, JOB_GPUS_MAX, 0)?;
        let milli = number(self.gpu_milli, 1, WHOLE, WHOLE)?;
        let (members, mut member) = if stated == 0 {
            gang(row.count(self.gpus, 0, JOB_GPUS_MAX)?, devices_per_node)
        } else {
            let (_, member) = gang(row.count(self.gpus, 0, DEVICES_PER_NODE_MAX)?, u32::MAX);
            (stated, member)
        };
        if let DeviceDemand::Whole { count, memory_mib } = member.devices
            && milli < WHOLE
        {
            member.devices = DeviceDemand::Share { count, milli: milli as u16, memory_mib };
        }
        member.cpu_milli = number(self.cpu_milli, 0, NODE_AMOUNT_MAX, 0)?;
        member.memory_mib = number(self.memory_mib, 0, NODE_AMOUNT_MAX, 0)?;
        Ok((members, member))
    }
}
