//! Traces of real requests: one reader for each public format, and one for our own.
//!
//! | format | layout | one request is |
//! |---|---|---|
//! | `azure` | CSV | `TIMESTAMP,ContextTokens,GeneratedTokens` (Azure LLM inference traces) |
//! | `mooncake` | JSON lines | `timestamp` (ms), `input_length`, `output_length`, `hash_ids` |
//! | `lengths` | CSV | `num_prefill_tokens,num_decode_tokens`; Poisson arrivals at a given rate |
//! | `vtc` | CSV | `user,prompt_len,output_len,req_time` (VTC artifact); users are accounts |
//! | `servegen` | folder | `chunk-N-trace.csv` of each client; lengths come from another file |
//! | `csv` | CSV | `arrival_s,prompt_tokens,output_tokens` and four optional columns |
//!
//! # Rules that hold for every format
//! - Requests stand in order of arrival. A file that is not in order is refused: none of the
//!   public traces is out of order, so disorder means a damaged or wrongly joined file.
//! - A prompt has at least one token, and so has an output. No public trace read here has a
//!   request without output; where other logs have them they are failures, and whether a failure
//!   counts as work is for their owner to decide, by filtering, not for a reader.
//! - A line is at most [`LINE_BYTES_MAX`] bytes and a trace at most [`REQUESTS_MAX`] requests.
//!   Files are streamed: what is refused was never in memory as a whole.
//! - What is refused is refused with one sentence: file, line, field, value, range.

mod azure;
pub(crate) mod builder;
pub(crate) mod csv;
pub(crate) mod format;
mod lengths;
mod lens;
mod mooncake;
pub mod renewal;
pub(crate) mod seconds;
pub(crate) mod seed;
mod servegen;
pub(crate) mod table;
mod vtc;

use std::path::{Path, PathBuf};

use rampmeter::Nanos;

use crate::InputError;

pub use self::csv::write as write_csv;
pub use self::format::{Format, Spec, guess};
pub(crate) use self::seed::{Purpose, random_stream};
pub use crate::input::LINE_BYTES_MAX;

/// Most requests of one trace. Ten million take about 0.7 GB; the largest public week (Azure,
/// 2024) has to be cut into days.
pub const REQUESTS_MAX: usize = 10_000_000;

/// Most tokens of one prompt or one output: the longest context window announced for any model
/// so far (Llama 4 Scout, ten million).
pub const TOKENS_MAX: u32 = 10_000_000;

/// Latest arrival, in seconds from the start of a trace: three years. Larger numbers are
/// calendar times, not offsets.
pub const ARRIVAL_MAX_S: u64 = 100_000_000;

/// One request as a trace tells it. Class and account may be left for a mix to choose.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRequest {
    /// When it arrives, from the start of the trace.
    pub arrival: Nanos,
    /// Prompt tokens, at least 1.
    pub prompt_tokens: u32,
    /// Tokens it produced, at least 1.
    pub output_tokens: u32,
    /// The most it was allowed to produce, where the trace says so.
    pub output_tokens_max: Option<u32>,
    /// Index into [`Trace::classes`], where the trace says so.
    pub class: Option<u16>,
    /// Index into [`Trace::accounts`], where the trace says so.
    pub account: Option<u32>,
    /// Chained hashes of the leading blocks of its prompt; empty where the trace has none.
    pub prefix: Box<[u64]>,
}

/// Requests in order of arrival, with the names that the trace brings along.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Where it comes from, for reports.
    pub source: String,
    /// In order of arrival; never empty.
    pub requests: Vec<TraceRequest>,
    /// Names of classes, in order of first appearance.
    pub classes: Vec<String>,
    /// Names of accounts, in order of first appearance.
    pub accounts: Vec<String>,
    /// Tokens that one entry of [`TraceRequest::prefix`] stands for.
    pub prefix_block_tokens: u32,
}

/// What a format may need besides its file.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// Seed of everything that a format leaves to chance (`lengths`, `servegen`).
    pub seed: u64,
    /// Stop after so many requests; `None` reads all.
    pub requests: Option<usize>,
    /// `lengths`: requests a second.
    pub rate_per_s: Option<f64>,
    /// `servegen`: the file that lengths are drawn from, either in the format `lengths` or a
    /// `*-dataset.lens.json`.
    pub lengths: Option<PathBuf>,
    /// `servegen`: start of the window, in seconds from the start of the data.
    pub start_s: f64,
    /// `servegen`: length of the window in seconds. The default is one step of the data, 600.
    pub duration_s: f64,
    /// `servegen`: factor on every client's rate. `None` is 1, or less where the window would
    /// hold more than [`SERVEGEN_REQUESTS_DEFAULT`] requests on average.
    pub rate_scale: Option<f64>,
}

/// Requests that a `servegen` window holds on average when no scale is given: about as many as
/// the hour of the Azure conversation trace (19,366).
pub const SERVEGEN_REQUESTS_DEFAULT: f64 = 20_000.0;

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            seed: 42,
            requests: None,
            rate_per_s: None,
            lengths: None,
            start_s: 0.0,
            duration_s: servegen::STEP_S,
            rate_scale: None,
        }
    }
}

/// Reads a trace.
///
/// # Errors
/// One sentence about the first thing that is wrong; nothing is half-read.
///
/// # Examples
/// ```no_run
/// use rampmeter_sim::trace::{ReadOptions, Spec, read};
///
/// let spec = Spec::parse("requests.csv:azure")?;
/// let trace = read(&spec.path, spec.format()?, &ReadOptions::default())?;
/// println!("{} requests", trace.requests.len());
/// # Ok::<(), rampmeter_sim::InputError>(())
/// ```
pub fn read(path: &Path, format: Format, options: &ReadOptions) -> Result<Trace, InputError> {
    // An option that changes nothing would leave its user with another trace than intended.
    let stray = [
        ("rate", options.rate_per_s.is_some(), Format::Lengths, "arrivals"),
        ("lengths", options.lengths.is_some(), Format::Servegen, "lengths"),
    ];
    for (option, given, takes, what) in stray {
        if given && format != takes {
            let problem = format!(
                "the format `{format}` has {what} of its own; only `{takes}` takes this option"
            );
            return Err(InputError::new(path, problem).in_field(option));
        }
    }
    match format {
        Format::Azure => azure::read(path, options),
        Format::Mooncake => mooncake::read(path, options),
        Format::Lengths => lengths::read(path, options),
        Format::Vtc => vtc::read(path, options),
        Format::Servegen => servegen::read(path, options),
        Format::Csv => self::csv::read(path, options),
    }
}

impl Trace {
    /// Arrival of the last request.
    pub fn span(&self) -> Nanos {
        self.requests.last().map_or(Nanos::ZERO, |last| last.arrival)
    }

    /// Prompt tokens of all requests.
    pub fn prompt_tokens(&self) -> u64 {
        self.requests.iter().map(|request| u64::from(request.prompt_tokens)).sum()
    }

    /// Output tokens of all requests.
    pub fn output_tokens(&self) -> u64 {
        self.requests.iter().map(|request| u64::from(request.output_tokens)).sum()
    }
}
