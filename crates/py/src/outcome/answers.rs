//! What the users of a class or of an account felt.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use rampmeter::outcome::{Histogram, Outcomes, Tally};
use rampmeter::{Error, Nanos};

use crate::error::Fault;
use crate::record::record;

record! {
    /// How many requests ended how. `attained` met both targets; `judged` are all but those that
    /// their users cancelled, and `attainment` and `apdex` (of the time to first token) are parts of
    /// them, `None` without any; `goodput_per_s` counts the attained per second of what was
    /// observed.
    "rampmeter.outcome" Counts {
        offered: u64,
        completed: u64,
        refused: u64,
        failed: u64,
        cancelled: u64,
        cancelled_late: u64,
        unfinished: u64,
        attained: u64,
        satisfied: u64,
        tolerating: u64,
        output_tokens: u64,
        judged: u64,
        attainment: Option<f64>,
        apdex: Option<f64>,
        goodput_per_s: f64,
    }
}
record! {
    /// A distribution of what was felt; without values, mean and extremes are `None`. `underflow` and
    /// `overflow` lie outside the range in which quantiles are exact to 0.8 %.
    "rampmeter.outcome" Distribution {
        count: u64,
        mean: Option<f64>,
        value_min: Option<u64>,
        value_max: Option<u64>,
        underflow: u64,
        overflow: u64,
    }
}
record! {
    /// What the books say of all together: the span observed, GPU busy time beside it (an effect),
    /// and Jain's index of what accounts were served.
    "rampmeter.outcome" OutcomesStats {
        accounts_max: u32,
        span_ns: u64,
        gpu_busy_ns: u64,
        utilization: f64,
        jain: f64,
    }
}

impl Counts {
    pub(super) fn read(tally: &Tally, span: Nanos) -> Self {
        let counts = tally.counts();
        Self {
            offered: counts.offered,
            completed: counts.completed,
            refused: counts.refused,
            failed: counts.failed,
            cancelled: counts.cancelled,
            cancelled_late: counts.cancelled_late,
            unfinished: counts.unfinished,
            attained: counts.attained,
            satisfied: counts.satisfied,
            tolerating: counts.tolerating,
            output_tokens: counts.output_tokens,
            judged: counts.judged(),
            attainment: counts.attainment(),
            apdex: counts.apdex(),
            goodput_per_s: counts.goodput_per_s(span),
        }
    }
}

impl Distribution {
    pub(super) fn read(values: &Histogram) -> Self {
        Self {
            count: values.count(),
            mean: values.mean(),
            value_min: values.min(),
            value_max: values.max(),
            underflow: values.underflow(),
            overflow: values.overflow(),
        }
    }
}

/// Whose users.
#[derive(Clone, Copy, Debug)]
pub(super) enum Group {
    Class(u32),
    Account(u32),
}

impl Group {
    pub(super) fn named(class_index: Option<u32>, account_index: Option<u32>) -> PyResult<Self> {
        match (class_index, account_index) {
            (Some(index), None) => Ok(Self::Class(index)),
            (None, Some(index)) => Ok(Self::Account(index)),
            _ => Err(PyTypeError::new_err("say either `class_index` or `account_index`")),
        }
    }

    pub(super) fn tally(self, books: &Outcomes) -> Result<&Tally, Fault> {
        let (field, index, known) = match self {
            Self::Class(index) => {
                let class = u16::try_from(index).ok().and_then(|index| books.class(index));
                ("class_index", index, class)
            }
            Self::Account(index) => ("account_index", index, books.account(index)),
        };
        known.ok_or_else(|| {
            let max = match self {
                Self::Class(_) => (0..u16::MAX).take_while(|at| books.class(*at).is_some()).count(),
                Self::Account(_) => books.service().accounts_max() as usize,
            };
            let max = (max as u64).saturating_sub(1);
            Error::Range { field, value: index.into(), min: 0, max }.into()
        })
    }
}

/// What was felt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Felt {
    QueueWait,
    Ttft,
    Tpot,
    EndToEnd,
    Slowdown,
}

impl Felt {
    pub(super) fn named(name: &str) -> Result<Self, Fault> {
        match name {
            "queue_wait" => Ok(Self::QueueWait),
            "ttft" => Ok(Self::Ttft),
            "tpot" => Ok(Self::Tpot),
            "end_to_end" => Ok(Self::EndToEnd),
            "slowdown" => Ok(Self::Slowdown),
            other => Err(Fault::Name { what: "felt", name: other.to_owned() }),
        }
    }

    pub(super) fn of(self, tally: &Tally) -> Result<&Histogram, Fault> {
        let Some(all) = tally.histograms() else {
            let field = "account_histograms";
            return Err(Error::Range { field, value: 0, min: 1, max: 1 }.into());
        };
        Ok(match self {
            Self::QueueWait => &all.queue_wait,
            Self::Ttft => &all.ttft,
            Self::Tpot => &all.tpot,
            Self::EndToEnd => &all.end_to_end,
            Self::Slowdown => &all.slowdown,
        })
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Counts>()?;
    module.add_class::<Distribution>()?;
    module.add_class::<OutcomesStats>()
}
