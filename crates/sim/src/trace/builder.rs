//! Collects the requests of a trace and holds them to the rules that every format shares.

use std::collections::HashMap;
use std::path::Path;

use rampmeter::Nanos;

use super::{REQUESTS_MAX, ReadOptions, Trace, TraceRequest};
use crate::InputError;
use crate::input::shown;

/// Longest name of a class or account, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What a name of a class or account is.
pub(crate) fn name_range() -> String {
    format!("a name of 1..={NAME_BYTES_MAX} bytes without control characters")
}

/// Names in order of first appearance.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    indices: HashMap<String, usize>,
}

impl Names {
    /// The index of a name, new or known. The name must be 1 to [`NAME_BYTES_MAX`] bytes of
    /// printable text: it goes into tables and reports.
    pub(crate) fn index(&mut self, name: &str) -> Option<usize> {
        if let Some(&index) = self.indices.get(name) {
            return Some(index);
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
            return None;
        }
        let index = self.names.len();
        self.names.push(name.to_owned());
        self.indices.insert(name.to_owned(), index);
        Some(index)
    }
}

/// A trace in the making.
pub(super) struct Builder<'p> {
    path: &'p Path,
    wanted: usize,
    requests: Vec<TraceRequest>,
    pub(super) classes: Names,
    pub(super) accounts: Names,
}

impl<'p> Builder<'p> {
    pub(super) fn new(path: &'p Path, options: &ReadOptions) -> Self {
        Self {
            path,
            wanted: options.requests.unwrap_or(usize::MAX),
            requests: Vec::new(),
            classes: Names::default(),
            accounts: Names::default(),
        }
    }

    /// Whether as many requests are in as were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.requests.len() >= self.wanted
    }

    /// Adds a request that stands at `line`; its arrival comes from `field`.
    pub(super) fn push(
        &mut self,
        line: u64,
        field: &str,
        request: TraceRequest,
    ) -> Result<(), InputError> {
        let last = self.requests.last().map_or(Nanos::ZERO, |last| last.arrival);
        if request.arrival < last {
            let problem = format!(
                "{} s is earlier than the line before, {} s: arrivals must be in order",
                request.arrival.as_seconds(),
                last.as_seconds(),
            );
            return Err(InputError::new(self.path, problem).at_line(line).in_field(field));
        }
        if self.requests.len() == REQUESTS_MAX {
            let problem = format!("is past request {REQUESTS_MAX}, the most that a trace may hold");
            return Err(InputError::new(self.path, problem).at_line(line));
        }
        self.requests.push(request);
        Ok(())
    }

    /// The trace, if it holds anything.
    pub(super) fn finish(
        self,
        source: String,
        prefix_block_tokens: u32,
    ) -> Result<Trace, InputError> {
        if self.requests.is_empty() {
            return Err(InputError::new(self.path, "holds no request"));
        }
        Ok(Trace {
            source,
            requests: self.requests,
            classes: self.classes.names,
            accounts: self.accounts.names,
            prefix_block_tokens,
        })
    }
}

/// The name of a source in reports: format and last part of the path.
pub(crate) fn source(format: &str, path: &Path) -> String {
    let name =
        path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    format!("{format}:{}", shown(&name))
}

/// A request that tells its lengths and arrival and nothing else.
pub(super) fn plain(arrival: Nanos, prompt_tokens: u32, output_tokens: u32) -> TraceRequest {
    TraceRequest {
        arrival,
        prompt_tokens,
        output_tokens,
        output_tokens_max: None,
        class: None,
        account: None,
        prefix: Box::default(),
    }
}
