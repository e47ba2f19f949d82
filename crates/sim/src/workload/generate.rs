//! Requests made up like those of real services, from a seed.
//!
//! | preset | like | requests/s |
//! |---|---|---|
//! | `chat` | the Azure conversation service of 2023 | 5.53 |
//! | `code` | the Azure code completion service of 2023 | 2.57 |
//! | `mixed` | both at once, as they ran in the same hour | 8.10 |
//! | `summarisation` | summaries of arXiv papers | 1 |
//!
//! Where every number comes from stands in the source of `presets.rs`. Requests bring no class
//! and no account: a [`super::Mix`] gives them.
//!
//! The rate is the long-run mean. What arrives in a few minutes of a bursty service differs from
//! it, as in the service itself; rescale a [`super::Workload`] to a load where that matters. A
//! day's swing begins at the mean, rising.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;

use rampmeter::Nanos;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma};

use super::conversations::{BLOCK_TOKENS, Conversations};
use super::presets::{self, Kind, Pattern, Service};
use crate::InputError;
use crate::nearest::unknown;
use crate::trace::renewal::{Arrivals, Gaps, Segment};
use crate::trace::{ARRIVAL_MAX_S, Purpose, REQUESTS_MAX, Trace, TraceRequest, random_stream};

/// Seconds in a day.
const DAY_S: f64 = 86_400.0;

/// Requests a second accepted: see the format `lengths`.
const RATE_PER_S: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// A kind of service to imitate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Preset {
    /// Conversation.
    #[default]
    Chat,
    /// Code completion.
    Code,
    /// Conversation and code completion together.
    Mixed,
    /// Summarisation of long texts.
    Summarisation,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Code, Self::Mixed, Self::Summarisation];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Code => "code",
            Self::Mixed => "mixed",
            Self::Summarisation => "summarisation",
        }
    }

    /// Requests a second that the imitated service had.
    pub const fn rate_per_s(self) -> f64 {
        match self {
            Self::Chat => presets::CHAT_RATE_PER_S,
            Self::Code => presets::CODE_RATE_PER_S,
            Self::Mixed => presets::CHAT_RATE_PER_S + presets::CODE_RATE_PER_S,
            Self::Summarisation => presets::SUMMARISATION_RATE_PER_S,
        }
    }

    const fn services(self) -> &'static [Service] {
        match self {
            Self::Chat => presets::CHAT,
            Self::Code => presets::CODE,
            Self::Mixed => presets::MIXED,
            Self::Summarisation => presets::SUMMARISATION,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    /// By name; the error is a sentence that names the nearest preset.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|preset| preset.name() == name);
        known.ok_or_else(|| unknown(name, "preset", Self::ALL.map(Self::name)))
    }
}

/// How much to generate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// So many requests.
    Requests(usize),
    /// All that arrive within so many seconds.
    Seconds(f64),
}

/// A seeded source of traces. The same generator gives the same trace, bit for bit.
///
/// # Examples
/// ```
/// use rampmeter_sim::workload::{Extent, Generator, Mix, Preset};
///
/// let generator = Generator { extent: Extent::Requests(100), ..Generator::new(Preset::Chat, 42) };
/// let workload = Mix::A.apply(generator.generate()?, 42)?;
/// assert_eq!(workload.requests.len(), 100);
/// # Ok::<(), rampmeter_sim::InputError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generator {
    /// What to imitate.
    pub preset: Preset,
    /// How much of it; the default is ten minutes.
    pub extent: Extent,
    /// Requests a second in the long run; the default is the preset's own.
    pub rate_per_s: f64,
    /// Probability (0..=1) that a request continues an earlier conversation, so that its prompt
    /// begins with tokens that a cache may hold; the default is 0: no prefixes at all. With 1, a
    /// cache that never forgets finds 32% of the prompt tokens of `chat`; it finds 35% of those of
    /// Mooncake's conversation trace.
    pub continue_ratio: f64,
    /// Seed of everything.
    pub seed: u64,
}

impl Generator {
    /// Ten minutes of a preset.
    pub fn new(preset: Preset, seed: u64) -> Self {
        let extent = Extent::Seconds(600.0);
        Self { preset, extent, rate_per_s: preset.rate_per_s(), continue_ratio: 0.0, seed }
    }

    /// Makes the trace.
    ///
    /// # Errors
    /// A field is outside its range, or so little was asked for that no request arrives.
    pub fn generate(&self) -> Result<Trace, InputError> {
        let (requests, end_s) = self.limits()?;
        let mut drawn = Vec::new();
        for (number, service) in self.preset.services().iter().enumerate() {
            self.draw(number as u64, service, requests, end_s, &mut drawn);
        }
        // Stable: requests of two services at the same nanosecond keep their order.
        drawn.sort_by_key(|request| request.arrival);
        drawn.truncate(requests);
        if drawn.is_empty() {
            let problem = format!("no request arrives within {end_s} s");
            return Err(self.wrong("duration", problem));
        }
        self.converse(&mut drawn);
        Ok(Trace {
            source: format!("generated:{} seed {}", self.preset, self.seed),
            requests: drawn,
            classes: Vec::new(),
            accounts: Vec::new(),
            prefix_block_tokens: if self.continue_ratio > 0.0 { BLOCK_TOKENS } else { 0 },
        })
    }

    /// Most requests, and the end of the time in which they arrive.
    fn limits(&self) -> Result<(usize, f64), InputError> {
        let (min, max) = (RATE_PER_S.start(), RATE_PER_S.end());
        let rate = self.rate_per_s;
        if !RATE_PER_S.contains(&rate) {
            let problem = format!("`{rate}` is not a number of requests a second in {min}..={max}");
            return Err(self.wrong("rate", problem));
        }
        if !(0.0..=1.0).contains(&self.continue_ratio) {
            let problem = format!("`{}` is not a number in 0..=1", self.continue_ratio);
            return Err(self.wrong("continue_ratio", problem));
        }
        match self.extent {
            Extent::Requests(requests) if (1..=REQUESTS_MAX).contains(&requests) => {
                Ok((requests, f64::INFINITY))
            }
            Extent::Requests(requests) => {
                let problem = format!("`{requests}` is not a whole number in 1..={REQUESTS_MAX}");
                Err(self.wrong("requests", problem))
            }
            Extent::Seconds(seconds) => {
                let max = (REQUESTS_MAX as f64 / rate).min(ARRIVAL_MAX_S as f64);
                if seconds > 0.0 && seconds <= max {
                    return Ok((REQUESTS_MAX, seconds));
                }
                let problem =
                    format!("`{seconds}` is not a number of seconds above 0, at most {max}");
                Err(self.wrong("duration", problem))
            }
        }
    }

    fn wrong(&self, field: &str, problem: String) -> InputError {
        InputError::new(format!("generator {}", self.preset), problem).in_field(field)
    }

    /// Draws one service's requests, none of them at or after `end_s`.
    fn draw(
        &self,
        number: u64,
        service: &Service,
        requests: usize,
        end_s: f64,
        drawn: &mut Vec<TraceRequest>,
    ) {
        let Some(gaps) = Gaps::with_cv(service.arrivals.gap_cv) else { return };
        let rates = Rates {
            pattern: service.arrivals,
            gaps,
            rate_per_s: self.rate_per_s * service.ratio,
            end_s,
            step: 0,
            random: random_stream(self.seed, Purpose::Modulation, number),
        };
        let random = random_stream(self.seed, Purpose::Arrivals, number);
        let mut lengths = random_stream(self.seed, Purpose::Lengths, number);
        for arrival_s in Arrivals::new(0.0, rates, random).take(requests) {
            let (prompt_tokens, output_tokens) = lengths_of(service, &mut lengths);
            drawn.push(TraceRequest {
                arrival: Nanos::from_seconds(arrival_s),
                prompt_tokens,
                output_tokens,
                output_tokens_max: None,
                class: None,
                account: None,
                prefix: Box::default(),
            });
        }
    }

    /// Gives requests their prefixes.
    fn converse(&self, requests: &mut [TraceRequest]) {
        let mut conversations = Conversations::new(self.continue_ratio);
        let mut random = random_stream(self.seed, Purpose::Conversations, 0);
        for request in requests {
            let (prompt, output) = (request.prompt_tokens, request.output_tokens);
            let arrival_s = request.arrival.as_seconds();
            request.prefix = conversations.prefix(arrival_s, prompt, output, &mut random);
        }
    }
}

/// Draws the lengths of one request: its kind, its prompt, its output.
fn lengths_of(service: &Service, random: &mut ChaCha8Rng) -> (u32, u32) {
    let (mut place, for_prompt, for_output): (f64, f64, f64) =
        (random.random(), random.random(), random.random());
    let last: &Kind = &service.kinds[service.kinds.len() - 1];
    let kind = service.kinds.iter().find(|kind| {
        place -= kind.ratio;
        place < 0.0
    });
    let kind = kind.unwrap_or(last);
    let prompt_tokens = kind.prompts.at(for_prompt).clamp(1, service.tokens_max - 1);
    let output_tokens = kind.outputs.at(for_output).clamp(1, service.tokens_max - prompt_tokens);
    (prompt_tokens, output_tokens)
}

/// The changing rate of a service, step by step.
struct Rates {
    pattern: Pattern,
    gaps: Gaps,
    rate_per_s: f64,
    end_s: f64,
    step: u64,
    random: ChaCha8Rng,
}

impl Iterator for Rates {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let Pattern { step_s, step_cv, daily_swing, .. } = self.pattern;
        let start_s = self.step as f64 * step_s;
        if start_s >= self.end_s {
            return None;
        }
        self.step += 1;
        let shape = (step_cv * step_cv).recip();
        let multiplier = Gamma::new(shape, shape.recip())
            .ok()
            .filter(|_| shape.is_finite())
            .map_or(1.0, |gamma| gamma.sample(&mut self.random));
        let day = 1.0 + daily_swing * ((start_s + step_s / 2.0) / DAY_S * TAU).sin();
        Some(Segment {
            end_s: (start_s + step_s).min(self.end_s),
            rate_per_s: self.rate_per_s * day * multiplier,
            gaps: self.gaps,
        })
    }
}
