//! Making the calls of a recording again.

use std::boxed::Box;
use std::collections::VecDeque;
use std::format;
use std::io::{self, BufRead, Read};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use serde::Deserialize;

use super::line::{Answer, Call, End, FORMAT, Header, RecordedCall};
use crate::batch::continuous::{
    Batcher, Expiry, Observation, Plan, PlanEntry, Preemption, RequestId,
};
use crate::engine::{KvGeometry, StepModel};
use crate::error::Error;
use crate::policy::{CLASSES_MAX, Policy};
use crate::share::exchange::DeltaEntry;
use crate::units::{Nanos, Tokens};

/// Longest line read: 64 MiB. A step with the most seats that a policy may have takes about 10, an
/// entry of a delta at most 190 bytes.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Every call of a recording was answered as before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replayed {
    /// Calls made.
    pub calls: u64,
}

/// Where a replay and its recording part, or where the recording cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: expected {expected}, got {got}")]
pub struct Divergence {
    /// Line of the recording, counted from 1.
    pub line: u64,
    /// What the recording says, or what should stand there.
    pub expected: String,
    /// What the batcher answered now, or what stands there.
    pub got: String,
}

/// A line after the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Call(Box<RecordedCall>),
    End(End),
}

/// Makes every call of a recording again and compares the answers.
///
/// # Errors
/// [`Divergence`] at the first line that is answered otherwise, that cannot be read, or that is
/// missing: a recording that was not finished has no last line, and is reported after all its
/// calls were made.
pub fn replay(recording: impl BufRead) -> Result<Replayed, Divergence> {
    let mut lines = Lines { recording, line: 0, text: Vec::new() };
    let header: Header = lines.next("the header of a recording")?;
    let mut batcher = build(&header).map_err(|got| lines.diverged("a batcher", got))?;
    let mut calls = 0;
    loop {
        match lines.next("a call with its answer, or the end of the recording")? {
            Line::Call(recorded) => {
                let RecordedCall { call, answer: recorded } = *recorded;
                let answer = make(&mut batcher, &call)
                    .map_err(|got| lines.diverged("a call that can be made", got))?;
                if answer != recorded {
                    return Err(lines.diverged(&format!("{recorded:?}"), format!("{answer:?}")));
                }
                calls += 1;
            }
            Line::End(end) if end.calls == calls => return Ok(Replayed { calls }),
            Line::End(end) => {
                return Err(lines.diverged(&format!("{} calls", end.calls), calls.to_string()));
            }
        }
    }
}

struct Lines<R> {
    recording: R,
    line: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads the next line as a `T`; `expected` says in words what that is.
    fn next<T: for<'de> Deserialize<'de>>(&mut self, expected: &str) -> Result<T, Divergence> {
        self.line += 1;
        let got = match self.read() {
            Err(error) => error.to_string(),
            Ok(()) if self.text.is_empty() => "the end of the file".into(),
            Ok(()) if self.text.last() != Some(&b'\n') => {
                format!("a line of {} bytes that does not end", self.text.len())
            }
            Ok(()) => match serde_json::from_slice(&self.text) {
                Ok(line) => return Ok(line),
                Err(error) => error.to_string(),
            },
        };
        Err(self.diverged(expected, got))
    }

    fn read(&mut self) -> io::Result<()> {
        self.text.clear();
        self.recording.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text).map(drop)
    }

    fn diverged(&self, expected: &str, got: String) -> Divergence {
        Divergence { line: self.line, expected: expected.into(), got }
    }
}

fn build(header: &Header) -> Result<Batcher, String> {
    if header.format != FORMAT {
        return Err(format!("format {}, this version reads {FORMAT}", header.format));
    }
    let policy = Policy::from_toml(&header.policy_toml).map_err(|error| error.to_string())?;
    let engine = KvGeometry::new(header.kv_blocks, header.kv_block_tokens)
        .and_then(|kv| Ok((kv, StepModel::new(header.coefficients)?)));
    engine
        .and_then(|(kv, model)| Batcher::new(&policy, kv, model))
        .map_err(|error| error.to_string())
}

/// Makes one call; an error if it cannot be made at all.
fn make(batcher: &mut Batcher, call: &Call) -> Result<Answer, String> {
    let answer = match call {
        Call::Submit { now, submission } => batcher.submit(*now, submission).map(Answer::Admission),
        Call::Cancel { now, request } => batcher.cancel(*now, *request).map(Answer::from),
        Call::Change { now, request, change } => {
            batcher.change(*now, *request, change).map(Answer::from)
        }
        Call::Release { now, request } => batcher.release(*now, *request).map(Answer::from),
        Call::SetCachedTokens { request, tokens } => {
            batcher.set_cached_tokens(*request, *tokens).map(Answer::from)
        }
        Call::OpenAccount { parent, weight } => {
            batcher.open_account(*parent, *weight).map(Answer::Account)
        }
        Call::SetAccountWeight { account, weight } => {
            batcher.set_account_weight(*account, *weight).map(Answer::from)
        }
        Call::SetAccountQueue { account, limits } => {
            batcher.set_account_queue(*account, *limits).map(Answer::from)
        }
        Call::SetAccountRates { account, rates } => {
            batcher.set_account_rates(*account, *rates).map(Answer::from)
        }
        Call::CloseAccount { account } => batcher.close_account(*account).map(Answer::from),
        Call::Form { now, sizes, cached } => form(batcher, *now, *sizes, cached),
        Call::Observe { now, step, kv_blocks_free, duration, results } => {
            let (step, kv_blocks_free, duration) = (*step, *kv_blocks_free, *duration);
            let seen = Observation { step, kv_blocks_free, duration, results };
            batcher.observe(*now, &seen).map(Answer::Observed)
        }
        Call::SetKvBlocksFree { now, free } => {
            batcher.set_kv_blocks_free(*now, *free).map(Answer::from)
        }
        Call::SetPolicy { policy_toml } => {
            let policy = Policy::from_toml(policy_toml).map_err(|error| error.to_string())?;
            batcher.set_policy(&policy).map(Answer::from)
        }
        Call::SetModel { coefficients } => StepModel::new(*coefficients).map(|model| {
            batcher.set_model(model);
            Answer::Done
        }),
        Call::SetSwap { space } => space.map(|space| space.swap()).transpose().map(|swap| {
            batcher.set_swap(swap);
            Answer::Done
        }),
        Call::DropSwapped { now, request } => {
            batcher.drop_swapped(*now, *request).map(Answer::from)
        }
        Call::SetReplica { replica, incarnation } => {
            batcher.set_replica(*replica, *incarnation).map(Answer::from)
        }
        Call::SetAccountKey { account, key } => {
            batcher.set_account_key(*account, *key).map(Answer::from)
        }
        Call::Delta { size } => delta(batcher, *size),
        Call::Merge { source, entries } => {
            let entries: Vec<DeltaEntry> = entries.iter().copied().map(DeltaEntry::from).collect();
            batcher.merge(*source, &entries).map(Answer::Merged)
        }
        Call::ForgetReplica { replica } => batcher.forget_replica(*replica).map(Answer::from),
    };
    Ok(answer.unwrap_or_else(Answer::refused))
}

fn delta(batcher: &mut Batcher, size: u64) -> Result<Answer, Error> {
    // More entries than accounts in all classes there never are; see `form`.
    let most = u64::from(batcher.stats().accounts) * CLASSES_MAX as u64;
    let mut out = vec![DeltaEntry::default(); size.min(most) as usize];
    Ok(Answer::delta(batcher.delta(&mut out)?, &out))
}

fn form(
    batcher: &mut Batcher,
    now: Nanos,
    sizes: [u64; 3],
    cached: &[Option<Tokens>],
) -> Result<Answer, Error> {
    // More than the seats makes no difference, and a forged recording must not exhaust memory.
    let seats = u64::from(batcher.stats().running_max);
    let [entries, preempted, expired] = sizes.map(|size| size.min(seats) as usize);
    let mut entries = vec![PlanEntry::default(); entries];
    let mut preempted = vec![Preemption::default(); preempted];
    let mut expired = vec![Expiry::default(); expired];
    let mut plan = Plan { entries: &mut entries, preempted: &mut preempted, expired: &mut expired };
    let mut asked = Vec::new();
    let mut cached: VecDeque<Option<Tokens>> = cached.iter().copied().collect();
    let mut cache = |request: RequestId, _tag: u64| {
        asked.push(request);
        cached.pop_front().flatten()
    };
    let formed = batcher.form_with_cache(now, &mut plan, &mut cache)?;
    Ok(Answer::formed(formed, &plan, asked))
}
