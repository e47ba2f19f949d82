//! Where `servegen` takes its lengths from: the rows of a `lengths` file, or the distributions of
//! a `ServeGen` `*-dataset.lens.json`.
//!
//! The JSON has one entry for each point in time: `{"0": {"input_tokens": {"512": 0.25, ...},
//! "output_tokens": {...}}, "600": ...}`, lengths with their probabilities. A request takes the
//! entry that began last before it arrived (the first, if it arrived before all of them); prompt
//! and output are drawn independently, as the data gives no more.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::Path;

use rand::{Rng, RngExt};
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
use serde::Deserialize;

use super::{TOKENS_MAX, lengths};
use crate::InputError;
use crate::input::open;

/// Largest JSON file of distributions accepted, in bytes. It has to be in memory as a whole: this
/// bounds it, with room for two weeks of steps of 600 s at 130 kB each.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Something to draw prompt and output lengths from.
pub(super) enum Lengths {
    /// Rows of a file, each as likely as the others; a row's two lengths stay together.
    Rows(Vec<(u32, u32)>),
    /// Distributions, each from its time (in seconds) on.
    Distributions(Vec<(f64, Histogram, Histogram)>),
}

/// Lengths with their weights.
pub(super) struct Histogram {
    tokens: Vec<u32>,
    weights: WeightedAliasIndex<f64>,
}

#[derive(Deserialize)]
struct Entry {
    input_tokens: BTreeMap<String, f64>,
    output_tokens: BTreeMap<String, f64>,
}

impl Lengths {
    pub(super) fn read(path: &Path) -> Result<Self, InputError> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            return distributions(path).map(Self::Distributions);
        }
        lengths::pairs(path).map(Self::Rows)
    }

    /// Prompt and output tokens of a request that arrives at `time_s`.
    pub(super) fn draw(&self, time_s: f64, random: &mut impl Rng) -> (u32, u32) {
        match self {
            Self::Rows(rows) => rows[random.random_range(0..rows.len())],
            Self::Distributions(entries) => {
                let begun = entries.partition_point(|(start_s, ..)| *start_s <= time_s);
                let (_, prompts, outputs) = &entries[begun.saturating_sub(1)];
                (prompts.draw(random), outputs.draw(random))
            }
        }
    }
}

impl Histogram {
    fn new(path: &Path, field: &str, entries: &BTreeMap<String, f64>) -> Result<Self, InputError> {
        let wrong = |problem: String| InputError::new(path, problem).in_field(field);
        let mut tokens = Vec::with_capacity(entries.len());
        let mut weights = Vec::with_capacity(entries.len());
        for (length, &weight) in entries {
            match length.parse() {
                Ok(length) if (1..=TOKENS_MAX).contains(&length) => tokens.push(length),
                _ => {
                    let range = format!("1..={TOKENS_MAX}");
                    return Err(wrong(format!("`{length}` is not a whole number in {range}")));
                }
            }
            if !(0.0..=1.0).contains(&weight) {
                return Err(wrong(format!("`{weight}` is not a probability in 0..=1")));
            }
            weights.push(weight);
        }
        let weights = WeightedAliasIndex::new(weights)
            .map_err(|_| wrong("holds no length with a probability above 0".into()))?;
        Ok(Self { tokens, weights })
    }

    fn draw(&self, random: &mut impl Rng) -> u32 {
        self.tokens[self.weights.sample(random)]
    }
}

fn distributions(path: &Path) -> Result<Vec<(f64, Histogram, Histogram)>, InputError> {
    let file = open(path)?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    if bytes > JSON_BYTES_MAX {
        let problem = format!("has {bytes} bytes, more than the {JSON_BYTES_MAX} accepted");
        return Err(InputError::new(path, problem));
    }
    let entries: BTreeMap<String, Entry> =
        serde_json::from_reader(BufReader::new(file.take(JSON_BYTES_MAX))).map_err(|error| {
            let problem = format!("is not a table of length distributions: {error}");
            InputError::new(path, problem).at_line(error.line() as u64)
        })?;
    let mut list = Vec::with_capacity(entries.len());
    for (start, entry) in &entries {
        let Some(start_s) = start.parse::<f64>().ok().filter(|start| start.is_finite()) else {
            let problem = format!("`{start}` is not a time in seconds");
            return Err(InputError::new(path, problem));
        };
        let prompts = Histogram::new(path, &format!("{start}.input_tokens"), &entry.input_tokens)?;
        let outputs =
            Histogram::new(path, &format!("{start}.output_tokens"), &entry.output_tokens)?;
        list.push((start_s, prompts, outputs));
    }
    if list.is_empty() {
        return Err(InputError::new(path, "holds no length distribution"));
    }
    list.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    Ok(list)
}
