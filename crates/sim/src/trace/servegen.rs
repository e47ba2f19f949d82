//! `servegen`: what single clients of a production service sent, as rates and burstiness.
//!
//! A folder of `chunk-N-trace.csv`, one for each client, without a line of names: time in seconds,
//! requests a second, CV of gaps, best-fitting family (`Gamma`, `Weibull`, `Exponential`), and two
//! parameters, of which the first is the shape. A row holds for 600 seconds; where no row stands,
//! the client was silent. Requests are drawn anew with a seed; each client becomes an account
//! named `client-N`.
//!
//! The second parameter (the scale) is not used: the rate is a count, the scale a fit, and for a
//! quarter of the Weibull rows their means differ by more than a third. Gaps are drawn with the
//! fitted shape and the counted rate.
//!
//! The data has no lengths in it; they come from [`super::ReadOptions::lengths`]. It is for days
//! and hundreds of requests a second, so a window and a scale are chosen, see
//! [`super::ReadOptions`].
//!
//! Source: Xiang et al., "`ServeGen`" (NSDI 2026), github.com/alibaba/ServeGen.

use std::fs;
use std::path::{Path, PathBuf};

use rampmeter::Nanos;

use super::builder::{Builder, plain, source};
use super::lengths::RATE_PER_S;
use super::lens::Lengths;
use super::renewal::{Arrivals, Gaps, SHAPE, Segment};
use super::table::{Row, Table};
use super::{
    ARRIVAL_MAX_S, Purpose, REQUESTS_MAX, ReadOptions, SERVEGEN_REQUESTS_DEFAULT, Trace,
    random_stream,
};
use crate::InputError;
use crate::input::unreadable;

/// Seconds that one row holds for; fixed by the data.
pub(super) const STEP_S: f64 = 600.0;

const COLUMNS: [&str; 6] = ["time_s", "rate_per_s", "cv", "family", "shape", "scale"];

/// Largest scale of rates accepted.
const RATE_SCALE_MAX: f64 = 1e6;

/// One client's rates.
struct Client {
    number: u64,
    steps: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Step {
    start_s: f64,
    rate_per_s: f64,
    gaps: Gaps,
}

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let window = window(path, options)?;
    let Some(lengths) = &options.lengths else {
        let problem = "holds rates alone: the format `servegen` needs a file to take lengths from";
        return Err(InputError::new(path, problem).in_field("lengths"));
    };
    let lengths = Lengths::read(lengths)?;
    let mut loaded = Vec::new();
    for (number, file) in clients(path)? {
        let steps = steps(&file)?;
        loaded.push(Client { number, steps });
    }
    let expected: f64 = loaded.iter().map(|client| client.expected(window)).sum();
    if expected <= 0.0 {
        let (start, end) = window;
        return Err(InputError::new(
            path,
            format!("no client is active from {start} s to {end} s"),
        ));
    }
    let scale = scale(path, options, expected)?;
    let mut drawn = Vec::new();
    for client in &loaded {
        client.draw(window, scale, &lengths, options.seed, &mut drawn);
    }
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut builder = Builder::new(path, options);
    for (arrival_s, number, prompt_tokens, output_tokens) in drawn {
        if builder.is_full() {
            break;
        }
        let mut request = plain(Nanos::from_seconds(arrival_s), prompt_tokens, output_tokens);
        let account = builder.accounts.index(&format!("client-{number}"));
        request.account = account.map(|index| index as u32);
        builder.push(1, COLUMNS[0], request)?;
    }
    let (start, end) = window;
    let what = format!("{} {start}-{end} s at {scale} of its rate", source("servegen", path));
    builder.finish(what, 0)
}

/// Start and end of the window, in seconds of the data.
fn window(path: &Path, options: &ReadOptions) -> Result<(f64, f64), InputError> {
    let max = ARRIVAL_MAX_S as f64;
    for (field, value, min) in
        [("start", options.start_s, 0.0), ("duration", options.duration_s, 1.0)]
    {
        if !(min..=max).contains(&value) {
            let problem = format!("`{value}` is not a number of seconds in {min}..={max}");
            return Err(InputError::new(path, problem).in_field(field));
        }
    }
    Ok((options.start_s, options.start_s + options.duration_s))
}

/// The factor on every rate.
fn scale(path: &Path, options: &ReadOptions, expected: f64) -> Result<f64, InputError> {
    let max = (REQUESTS_MAX as f64 / expected).min(RATE_SCALE_MAX);
    match options.rate_scale {
        None => Ok((SERVEGEN_REQUESTS_DEFAULT / expected).min(1.0)),
        Some(scale) if scale > 0.0 && scale <= max => Ok(scale),
        Some(scale) => {
            let problem = format!(
                "`{scale}` is not above 0 and at most {max}: the window holds {expected:.0} \
                 requests at scale 1"
            );
            Err(InputError::new(path, problem).in_field("rate_scale"))
        }
    }
}

/// The clients' files in a folder, in order of their numbers; at least one.
pub(super) fn clients(path: &Path) -> Result<Vec<(u64, PathBuf)>, InputError> {
    let entries = fs::read_dir(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => {
            InputError::new(path, "is a file where a folder of chunk-N-trace.csv is expected")
        }
        _ => unreadable(path, &error),
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("chunk-")?.strip_suffix("-trace.csv")?.parse().ok());
        if let Some(number) = number {
            files.push((number, entry.path()));
        }
    }
    if files.is_empty() {
        return Err(InputError::new(path, "is a folder without chunk-N-trace.csv files"));
    }
    files.sort();
    Ok(files)
}

fn steps(path: &Path) -> Result<Vec<Step>, InputError> {
    let mut table = Table::open_headless(path, &COLUMNS)?;
    let time = table.required(COLUMNS[0])?;
    let rate = table.required(COLUMNS[1])?;
    let mut steps: Vec<Step> = Vec::new();
    let columns = [table.required(COLUMNS[3])?, table.required(COLUMNS[4])?];
    while let Some(row) = table.next_row()? {
        let start_s = row.real(time, 0.0, ARRIVAL_MAX_S as f64)?;
        if steps.last().is_some_and(|last| start_s < last.start_s + STEP_S) {
            return Err(row.wrong(time, "600 s or more after the row before"));
        }
        let rate_per_s = row.real(rate, 0.0, *RATE_PER_S.end())?;
        steps.push(Step { start_s, rate_per_s, gaps: gaps(&row, columns)? });
    }
    if steps.is_empty() {
        return Err(InputError::new(path, "is empty"));
    }
    Ok(steps)
}

fn gaps(row: &Row<'_>, [family, shape]: [super::table::Column; 2]) -> Result<Gaps, InputError> {
    let checked = || row.real(shape, *SHAPE.start(), *SHAPE.end());
    let gaps = match row.text(family) {
        "Exponential" => Some(Gaps::poisson()),
        "Gamma" => Gaps::gamma(checked()?),
        "Weibull" => Gaps::weibull(checked()?),
        _ => None,
    };
    gaps.ok_or_else(|| row.wrong(family, "one of Gamma, Weibull, Exponential"))
}

impl Client {
    /// The parts of its steps that lie in the window, with the pauses between them.
    fn segments(&self, (start_s, end_s): (f64, f64), scale: f64) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut now_s = start_s;
        for step in &self.steps {
            let from_s = step.start_s.max(start_s);
            let until_s = (step.start_s + STEP_S).min(end_s);
            if from_s >= until_s {
                continue;
            }
            if from_s > now_s {
                segments.push(Segment { end_s: from_s, rate_per_s: 0.0, gaps: step.gaps });
            }
            let rate_per_s = step.rate_per_s * scale;
            segments.push(Segment { end_s: until_s, rate_per_s, gaps: step.gaps });
            now_s = until_s;
        }
        segments
    }

    /// Requests that it sends in the window on average.
    fn expected(&self, window: (f64, f64)) -> f64 {
        let mut from_s = window.0;
        let mut requests = 0.0;
        for segment in self.segments(window, 1.0) {
            requests += (segment.end_s - from_s) * segment.rate_per_s;
            from_s = segment.end_s;
        }
        requests
    }

    /// Draws its requests: arrival from the start of the window, client, prompt, output.
    fn draw(
        &self,
        window: (f64, f64),
        scale: f64,
        lengths: &Lengths,
        seed: u64,
        drawn: &mut Vec<(f64, u64, u32, u32)>,
    ) {
        let random = random_stream(seed, Purpose::Arrivals, self.number);
        let mut lengths_random = random_stream(seed, Purpose::Lengths, self.number);
        let segments = self.segments(window, scale).into_iter();
        let room = REQUESTS_MAX.saturating_sub(drawn.len());
        for time_s in Arrivals::new(window.0, segments, random).take(room) {
            let (prompt_tokens, output_tokens) = lengths.draw(time_s, &mut lengths_random);
            drawn.push((time_s - window.0, self.number, prompt_tokens, output_tokens));
        }
    }
}
