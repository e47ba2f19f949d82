//! `openb`: task lists of Alibaba's cluster-trace-gpu-v2023.
//!
//! | column | | unit and range |
//! |---|---|---|
//! | `name` | required | |
//! | `cpu_milli`, `memory_mib` | required | of the one node that a task runs on |
//! | `num_gpu` | required | devices, 0..=16 |
//! | `gpu_milli` | required | thousandths of each: 1,000 whole, 0 where `num_gpu` is |
//! | `gpu_spec` | optional | models that will do, with a bar between them; empty: any |
//! | `creation_time`, `deletion_time` | optional | seconds; a list has both or neither |
//!
//! Others are ignored. A list without times has all tasks at zero, with run times of zero: it says
//! what comes, not when.
//!
//! Source: github.com/alibaba/clusterdata, described in Weng et al., "Beware of Fragmentation"
//! (ATC'23).

use std::path::Path;

use rampmeter::Nanos;
use rampmeter::fleet::device::{MODELS_MAX, WHOLE_MILLI};
use rampmeter::fleet::node::NODE_AMOUNT_MAX;
use rampmeter::fleet::{DEVICES_PER_NODE_MAX, Demand, DeviceDemand, ModelSet};

use super::jobs::{Job, JobList};
use super::nodes::NodeList;
use crate::InputError;
use crate::trace::builder::source;
use crate::trace::table::{Column, Row, Table};

/// Columns that every list has.
pub(crate) const COLUMNS: [&str; 5] = ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"];

/// Last second that a time may be: 32 years.
const TIME_MAX_S: u32 = 1_000_000_000;

/// Most tasks of a list: as many as a placer can know.
pub const TASKS_MAX: usize = 1 << 24;

/// The account of a list that names none.
const ACCOUNT: &str = "default";

/// Places of the columns in one file.
struct Columns {
    cpu: Column,
    memory: Column,
    count: Column,
    milli: Column,
    models: Option<Column>,
    times: Option<[Column; 2]>,
}

impl Columns {
    fn of(table: &Table<'_>) -> Result<Self, InputError> {
        table.required(COLUMNS[0])?;
        let times = match table.optional("creation_time") {
            None => None,
            Some(created) => Some([created, table.required("deletion_time")?]),
        };
        Ok(Self {
            cpu: table.required(COLUMNS[1])?,
            memory: table.required(COLUMNS[2])?,
            count: table.required(COLUMNS[3])?,
            milli: table.required(COLUMNS[4])?,
            models: table.optional("gpu_spec"),
            times,
        })
    }
}

/// Reads a list of tasks, in order of arrival. Models that none of the nodes has get a number
/// among them.
///
/// # Errors
/// One sentence about the first thing that is wrong.
pub fn read(path: &Path, nodes: &mut NodeList) -> Result<JobList, InputError> {
    let mut table = Table::open(path)?;
    let columns = Columns::of(&table)?;
    let mut jobs = Vec::new();
    while let Some(row) = table.next_row()? {
        if jobs.len() == TASKS_MAX {
            let problem = format!("is past task {TASKS_MAX}, the most that a list may hold");
            return Err(InputError::new(path, problem).at_line(row.line));
        }
        jobs.push(job(&row, &columns, nodes)?);
    }
    if jobs.is_empty() {
        return Err(InputError::new(path, "holds no task"));
    }
    jobs.sort_by_key(|job| job.arrival);
    Ok(JobList {
        name: source("openb", path),
        jobs,
        accounts: vec![ACCOUNT.to_owned()],
        skipped: 0,
    })
}

fn job(row: &Row<'_>, columns: &Columns, nodes: &mut NodeList) -> Result<Job, InputError> {
    let member = Demand {
        cpu_milli: row.count(columns.cpu, 0, NODE_AMOUNT_MAX)?,
        memory_mib: row.count(columns.memory, 0, NODE_AMOUNT_MAX)?,
        devices: devices(row, columns)?,
        models: models(row, columns, nodes)?,
        one_link_group: false,
    };
    let (mut arrival, mut duration) = (Nanos::ZERO, Nanos::ZERO);
    if let Some([created, deleted]) = columns.times {
        let created = row.count(created, 0, TIME_MAX_S)?;
        let deleted = row.count(deleted, created, TIME_MAX_S)?;
        arrival = seconds(created);
        duration = seconds(deleted - created);
    }
    Ok(Job { arrival, duration, estimate: duration, member, members: 1, account: 0 })
}

const fn seconds(value: u32) -> Nanos {
    Nanos(value as u64 * 1_000_000_000)
}

fn devices(row: &Row<'_>, columns: &Columns) -> Result<DeviceDemand, InputError> {
    let count = row.count(columns.count, 0, DEVICES_PER_NODE_MAX)? as u8;
    if count == 0 {
        row.count(columns.milli, 0, 0)?;
        return Ok(DeviceDemand::None);
    }
    let milli = row.count(columns.milli, 1, WHOLE_MILLI.into())? as u16;
    Ok(if milli == WHOLE_MILLI {
        DeviceDemand::Whole { count, memory_mib: 0 }
    } else {
        DeviceDemand::Share { count, milli, memory_mib: 0 }
    })
}

fn models(row: &Row<'_>, columns: &Columns, nodes: &mut NodeList) -> Result<ModelSet, InputError> {
    let Some(column) = columns.models.filter(|&column| !row.text(column).is_empty()) else {
        return Ok(ModelSet::ANY);
    };
    row.text(column).split('|').map(str::trim).try_fold(ModelSet::NONE, |set, name| {
        if name.is_empty() {
            return Err(row.wrong(column, "names of models with one bar between them"));
        }
        let model = nodes
            .model(name)
            .ok_or_else(|| row.wrong(column, &format!("of the first {MODELS_MAX} models")))?;
        Ok(set.union(ModelSet::of(model)))
    })
}
