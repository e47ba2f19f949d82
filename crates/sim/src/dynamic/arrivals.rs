//! Workloads for whole-request batching: arrivals of three kinds, with deadlines.

use ::rampmeter::Nanos;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use super::Item;
use crate::trace::renewal::{Arrivals, Gaps, Segment};
use crate::trace::{Purpose, random_stream};

/// Mean time that the modulated process stays in one state, in seconds: some ten times the
/// deadlines used here, so that a burst is more than one batch.
const STATE_S: f64 = 0.5;

/// Rates of its two states next to the mean: they average to 1.
const STATE_RATES: [f64; 2] = [0.4, 1.6];

/// How requests come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Process {
    /// Independent of each other.
    Poisson,
    /// Gamma gaps with a coefficient of variation of 4.
    Gamma,
    /// Poisson with a rate that switches between 0.4 and 1.6 of the mean, every half second on
    /// average (a Markov-modulated Poisson process).
    Modulated,
}

impl Process {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Poisson, Self::Gamma, Self::Modulated];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poisson => "Poisson",
            Self::Gamma => "Gamma, CV 4",
            Self::Modulated => "MMPP .4/1.6",
        }
    }
}

/// The changing rate of a modulated process.
struct States {
    rate_per_s: f64,
    gaps: Gaps,
    modulated: bool,
    now_s: f64,
    state: usize,
    random: ChaCha8Rng,
}

impl Iterator for States {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let (gaps, rate_per_s) = (self.gaps, self.rate_per_s);
        if !self.modulated {
            return Some(Segment { end_s: f64::INFINITY, rate_per_s, gaps });
        }
        let stay: f64 = Exp1.sample(&mut self.random);
        self.now_s += STATE_S * stay;
        self.state = 1 - self.state;
        Some(Segment { end_s: self.now_s, rate_per_s: rate_per_s * STATE_RATES[self.state], gaps })
    }
}

/// `count` requests at a mean of `rate_per_s`; each is due after one of `targets_s`, all equally
/// likely.
///
/// # Panics
/// If there is no target.
pub fn workload(
    process: Process,
    rate_per_s: f64,
    targets_s: &[f64],
    count: usize,
    seed: u64,
) -> Vec<Item> {
    let gaps = match process {
        Process::Gamma => Gaps::with_cv(4.0).unwrap_or_else(Gaps::poisson),
        Process::Poisson | Process::Modulated => Gaps::poisson(),
    };
    let states = States {
        rate_per_s,
        gaps,
        modulated: process == Process::Modulated,
        now_s: 0.0,
        state: 0,
        random: random_stream(seed, Purpose::Modulation, 0),
    };
    let mut mix = random_stream(seed, Purpose::Mix, 0);
    let arrivals = Arrivals::new(0.0, states, random_stream(seed, Purpose::Arrivals, 0));
    arrivals
        .take(count)
        .map(|at_s| {
            let target_s = targets_s[mix.random_range(0..targets_s.len())];
            let arrival = Nanos::from_seconds(at_s);
            Item { arrival, deadline: arrival.offset_seconds(target_s) }
        })
        .collect()
}
