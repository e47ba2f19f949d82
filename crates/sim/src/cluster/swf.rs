//! `swf`: the Standard Workload Format of the Parallel Workloads Archive, plain or gzipped.
//!
//! Lines of 18 numbers; `;` begins a comment; -1 stands for what is not known. Read are
//!
//! | field | | |
//! |---|---|---|
//! | 2 | submit time | seconds from the start of the log |
//! | 4 | run time | seconds; a job without it is left out |
//! | 5, 8 | processors allocated, else requested | GPUs here; a job without either is left out |
//! | 9 | requested time | the estimate, but never below the run time |
//! | 12 | user | the account `user-N` |
//!
//! A job that ran for longer than requested has its run time as estimate: the system let it, so
//! that the request was no limit there. Jobs are sorted by submit time.
//!
//! Source: Chapin et al., "Benchmarks and Standards for the Evaluation of Parallel Job
//! Schedulers" (JSSPP 1999); cs.huji.ac.il/labs/parallel/workload/swf.html.

use std::path::Path;

use rampmeter::Nanos;

use super::ReadOptions;
use super::jobs::{Builder, JOB_GPUS_MAX, Job, JobList, TIME_MAX_S, gang};
use crate::InputError;
use crate::input::{Lines, shown};

/// Numbers on a line.
pub(super) const FIELDS: usize = 18;

/// Names of the fields that are read, by their place from 1 on.
const NAMES: [(usize, &str); 6] = [
    (2, "submit time"),
    (4, "run time"),
    (5, "allocated processors"),
    (8, "requested processors"),
    (9, "requested time"),
    (12, "user"),
];

/// Whether a line could be one of such a file: a comment, or its numbers.
pub(super) fn looks_like(line: &str) -> bool {
    line.starts_with(';')
        || (line.split_whitespace().count() == FIELDS
            && line.split_whitespace().all(|field| field.parse::<f64>().is_ok()))
}

pub(super) fn read(path: &Path, options: ReadOptions) -> Result<JobList, InputError> {
    let mut lines = Lines::open(path)?;
    let mut builder = Builder::new(path);
    while let Some((number, line)) = lines.next_line()? {
        if line.starts_with(';') {
            continue;
        }
        let fields = Fields::new(path, number, line)?;
        let submit = fields.number(2)?.unwrap_or(0.0);
        let (run, wanted) = (fields.number(4)?, fields.number(9)?);
        let processors = match fields.count(5)? {
            Some(allocated) => Some(allocated),
            None => fields.count(8)?,
        };
        let account = match fields.number(12)? {
            Some(user) => builder.account(&format!("user-{user}")),
            None => builder.account(super::jobs::ACCOUNT_DEFAULT),
        };
        let (Some(run), Some(processors)) = (run, processors) else {
            builder.skipped += 1;
            continue;
        };
        let (members, member) = gang(processors, options.devices_per_node);
        let job = Job {
            arrival: Nanos::from_seconds(submit),
            duration: Nanos::from_seconds(run),
            estimate: Nanos::from_seconds(wanted.map_or(run, |wanted| wanted.max(run))),
            member,
            members,
            account: account.unwrap_or_default(),
        };
        builder.push(number, job)?;
    }
    builder.finish("swf")
}

/// The numbers of one line.
struct Fields<'l> {
    path: &'l Path,
    line: u64,
    texts: [&'l str; FIELDS],
}

impl<'l> Fields<'l> {
    fn new(path: &'l Path, line: u64, text: &'l str) -> Result<Self, InputError> {
        let mut texts = [""; FIELDS];
        let mut count = 0;
        for field in text.split_whitespace() {
            if let Some(slot) = texts.get_mut(count) {
                *slot = field;
            }
            count += 1;
        }
        if count != FIELDS {
            let problem = format!("has {count} fields where {FIELDS} are expected");
            return Err(InputError::new(path, problem).at_line(line));
        }
        Ok(Self { path, line, texts })
    }

    /// A number from 0 to [`TIME_MAX_S`]; `None` for -1.
    fn number(&self, place: usize) -> Result<Option<f64>, InputError> {
        self.parse(place, TIME_MAX_S as f64)
    }

    /// A count of at least 1; `None` for -1, and for 0, which logs have of jobs never started.
    fn count(&self, place: usize) -> Result<Option<u32>, InputError> {
        let value = self.parse(place, f64::from(JOB_GPUS_MAX))?;
        match value {
            Some(value) if value.fract() != 0.0 => Err(self.wrong(place, "a whole number")),
            Some(value) if value >= 1.0 => Ok(Some(value as u32)),
            _ => Ok(None),
        }
    }

    fn parse(&self, place: usize, max: f64) -> Result<Option<f64>, InputError> {
        match self.texts[place - 1].parse::<f64>() {
            Ok(-1.0) => Ok(None),
            Ok(value) if (0.0..=max).contains(&value) => Ok(Some(value)),
            _ => Err(self.wrong(place, &format!("a number in 0..={max}, or -1"))),
        }
    }

    fn wrong(&self, place: usize, what: &str) -> InputError {
        let name = NAMES.iter().find(|(known, _)| *known == place).map_or("", |(_, name)| name);
        let problem = format!("`{}` is not {what}", shown(self.texts[place - 1]));
        InputError::new(self.path, problem).at_line(self.line).in_field(name)
    }
}
