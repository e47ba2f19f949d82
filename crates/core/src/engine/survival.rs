//! How long do answers get? Output lengths, learned as they come, by class and account.
//!
//! # What it decides
//! Nothing by itself: it says how likely an answer that has so many tokens goes on for so many
//! more, and how many more to expect.
//!
//! # Formula
//! ```text
//! survival  S(t) = P(length > t), known at the edges of 30 bins, straight in between
//! class     S_c = (tail_c + 2 * prior) / (n_c + 2)
//! account   S_a = (tail_a + 32 * S_c) / (n_a + 32)
//! answer    P(length > produced + ahead | length > produced) = S_a(produced + ahead) / S_a(produced)
//! prior     1 - ln(1 + t) / ln(1 + output_tokens_max): every order of magnitude as likely
//! learning  tail(e) = tail(e) * 2^(-1/1000) + [length > e], n = tail(0)
//! ```
//! `tail(e)` is what was seen longer than the edge `e`, each sample worth half of one that came
//! 1,000 later: past that the lengths of yesterday stand in the way of those of today, and a
//! window of 1,000 is what the literature uses. Edges are 8 tokens and from there a factor of
//! √2 apart up to 131,072, the longest output of the engines in use: half a block of KV at the
//! short end, a sixth of the length either way above.
//!
//! An account counts for half once it has 32 samples: the mean of lengths as they are (standard
//! deviation 1.5 times the mean) is then known to about a quarter. The prior weighs as much as
//! two samples: without history nobody is taken to live for ever, and after a hundred answers it
//! is a fiftieth.
//!
//! # Answers that were cut off
//! One that was cancelled, or that reached the most its user allowed, was longer than it came
//! out: it counts in full up to there, and beyond as the estimate so far expects it to go on
//! (Efron's redistribution to the right, one sample at a time). Cancelling is taken to say
//! nothing about the length there would have been. A preempted answer is not cut off: it goes on
//! and is counted once, when it ends.
//!
//! # Bounds and cost
//! 124 bytes for each class and each account in it; every call is O(bins). Probabilities are
//! within 0..=1 and never grow with `ahead`. No allocation after [`OutputLengths::new`].
//!
//! # What it is bad at
//! Lengths that depend on the prompt: it does not look at one. Classes with two kinds of answers
//! (a word, or a page) get their mean. Inside a bin it knows only the straight line.
//!
//! # Source
//! B. Efron, "The two sample problem with censored data", 1967. Admission from survival of
//! remaining lengths: the Past-Future scheduler (ASPLOS '25) draws from a window where this
//! keeps a histogram. Bins, weights and pooling are ours.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

use crate::error::{Error, check_range};
use crate::units::Tokens;

/// Lengths at which survival is known. From 8 on, powers of two and what lies between them.
const EDGES: [u32; EDGES_LEN] = [
    0, 8, 11, 16, 22, 32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1_024, 1_448, 2_048, 2_896,
    4_096, 5_792, 8_192, 11_585, 16_384, 23_170, 32_768, 46_340, 65_536, 92_681, 131_072,
    LENGTH_MAX,
];

const EDGES_LEN: usize = 31;

/// One over the width of each bin.
const PER_TOKEN: [f64; EDGES_LEN - 1] = {
    let mut widths = [0.0; EDGES_LEN - 1];
    let mut bin = 0;
    while bin < EDGES_LEN - 1 {
        widths[bin] = 1.0 / (EDGES[bin + 1] - EDGES[bin]) as f64;
        bin += 1;
    }
    widths
};

/// Longest output there can be: the most that a policy allows.
const LENGTH_MAX: u32 = 1 << 24;

/// log2 of the first edge after zero.
const FIRST_OCTAVE: usize = 3;

/// What a sample is worth after the next one: 2^(-1/1000).
const KEPT: f32 = 0.999_307_1;

/// More samples than a row can weigh: 1 / (1 - KEPT) is 1,443.
const WEIGHT_MAX: f32 = 1_500.0;

/// Samples that the prior weighs in a class, and the class in an account.
const PRIOR_SAMPLES: f64 = 2.0;
const CLASS_SAMPLES: f64 = 32.0;

/// Weight of the samples longer than each edge.
type Row = [f32; EDGES_LEN];

/// Sizes of a histogram of output lengths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LengthOptions {
    /// Classes, at least 1.
    pub classes: u32,
    /// Accounts in each, at least 1.
    pub accounts_max: u32,
    /// The longest output before anything is known, 1 to 2^24.
    pub output_tokens_max: Tokens,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LengthEnd {
    /// By itself: this was its length.
    Complete,
    /// It was cancelled, or reached what its user allowed: it would have been longer.
    CutOff,
}

/// Output lengths of accounts and classes.
#[derive(Debug)]
pub struct OutputLengths {
    classes: u32,
    accounts_max: u32,
    prior: Row,
    /// Those of the classes, then those of the accounts of the first class, and so on.
    rows: Box<[Row]>,
}

impl OutputLengths {
    /// Without any history. The only call that allocates.
    ///
    /// # Errors
    /// [`Error::Range`] naming the option that is out of range.
    pub fn new(options: &LengthOptions) -> Result<Self, Error> {
        let LengthOptions { classes, accounts_max, output_tokens_max } = *options;
        // Beyond any policy, and their product can be counted.
        check_range("classes", classes.into(), 1, 1 << 10)?;
        check_range("accounts_max", accounts_max.into(), 1, 1 << 20)?;
        let longest = u64::from(output_tokens_max.get());
        check_range("output_tokens_max", longest, 1, LENGTH_MAX.into())?;
        let rows = u64::from(classes) * (1 + u64::from(accounts_max));
        let rows = vec![[0.0; EDGES_LEN]; rows as usize].into_boxed_slice();
        Ok(Self { classes, accounts_max, prior: log_uniform(output_tokens_max.get()), rows })
    }

    /// Bytes that it takes from the heap; saturating.
    #[must_use]
    pub fn bytes_needed(options: &LengthOptions) -> u64 {
        let rows = u64::from(options.classes).saturating_mul(1 + u64::from(options.accounts_max));
        rows.saturating_mul(size_of::<Row>() as u64)
    }

    /// An answer of `account` in `class` ended with `length` tokens. O(bins).
    ///
    /// # Errors
    /// [`Error::Range`] for a class or account beyond the options, or a length that is not 1 to
    /// 2^24.
    pub fn record(
        &mut self,
        class: u32,
        account: u32,
        length: Tokens,
        end: LengthEnd,
    ) -> Result<(), Error> {
        check_range("class", class.into(), 0, u64::from(self.classes) - 1)?;
        check_range("account", account.into(), 0, u64::from(self.accounts_max) - 1)?;
        let length = length.get();
        check_range("output_tokens", length.into(), 1, LENGTH_MAX.into())?;
        let mut seen = [0.0; EDGES_LEN];
        let curve = self.curve(class, account);
        let alive = curve.at(length);
        for (edge, (seen, tail)) in EDGES.iter().zip(seen.iter_mut().zip(curve.tails)) {
            *seen = match end {
                _ if length > *edge => 1.0,
                LengthEnd::CutOff if alive > 0.0 => (tail / alive).min(1.0) as f32,
                LengthEnd::Complete | LengthEnd::CutOff => 0.0,
            };
        }
        for row in [class as usize, self.place(class, account)] {
            for (tail, seen) in self.rows[row].iter_mut().zip(seen) {
                *tail = *tail * KEPT + seen;
            }
        }
        Ok(())
    }

    /// Forgets what was learned of an account, in every class: its place is somebody else's now.
    /// What its class learned from it stays. O(classes * bins); nothing beyond the options.
    pub fn forget(&mut self, account: u32) {
        if account < self.accounts_max {
            for class in 0..self.classes {
                let place = self.place(class, account);
                self.rows[place] = [0.0; EDGES_LEN];
            }
        }
    }

    /// Probability that an answer which has `produced` tokens goes on for more than `ahead` more.
    /// O(bins).
    ///
    /// An account that is not known counts as one without history, a class that is not known is
    /// answered by the prior. Where nothing was ever seen nor expected to be as long as
    /// `produced`, it ends at once.
    #[must_use]
    pub fn survival(&self, class: u32, account: u32, produced: Tokens, ahead: Tokens) -> f64 {
        let curve = self.curve(class, account);
        let alive = curve.at(produced.get());
        if ahead == Tokens::ZERO {
            return 1.0;
        }
        if alive > 0.0 {
            (curve.at(produced.saturating_add(ahead).get()) / alive).min(1.0)
        } else {
            0.0
        }
    }

    /// Tokens that an answer which has `produced`, of at most `most`, is expected to have yet.
    /// Unknown accounts and classes as in [`OutputLengths::survival`]. O(bins).
    #[must_use]
    pub fn remaining_mean(&self, class: u32, account: u32, produced: Tokens, most: Tokens) -> f64 {
        let curve = self.curve(class, account);
        let (from, most) = (produced.get(), most.get().min(LENGTH_MAX));
        let alive = curve.at(from);
        if alive <= 0.0 || from >= most {
            return 0.0;
        }
        // The sum of S over every token from here on, one straight piece after the other.
        let (mut sum, mut start) = (0.0, from);
        for edge in &EDGES[bin_of(from) + 1..] {
            let end = (*edge).min(most);
            let (high, low) = (curve.at(start), curve.at(end));
            sum += f64::from(end - start) * (high + low) / 2.0 + (high - low) / 2.0;
            if end == most {
                break;
            }
            start = end;
        }
        (sum / alive).min(f64::from(most - from))
    }

    /// What the samples of an account in a class weigh: their number, older ones for less.
    #[must_use]
    pub fn samples(&self, class: u32, account: u32) -> f64 {
        let known = class < self.classes && account < self.accounts_max;
        if known { f64::from(self.rows[self.place(class, account)][0]) } else { 0.0 }
    }

    /// The survival of one account's lengths in a class, pooled upwards.
    fn curve(&self, class: u32, account: u32) -> Curve {
        self.curve_between(class, account, 0..LENGTH_MAX)
    }

    /// The same, for lengths in this range alone; others are taken to be impossible.
    pub(crate) fn curve_between(&self, class: u32, account: u32, lengths: Range<u32>) -> Curve {
        let none: &Row = &[0.0; EDGES_LEN];
        let known = class < self.classes;
        let of_class = if known { &self.rows[class as usize] } else { none };
        let known = known && account < self.accounts_max;
        let own = if known { &self.rows[self.place(class, account)] } else { none };
        let own_share = 1.0 / (f64::from(own[0]) + CLASS_SAMPLES);
        let class_share = own_share * CLASS_SAMPLES / (f64::from(of_class[0]) + PRIOR_SAMPLES);
        let prior_share = class_share * PRIOR_SAMPLES;
        let mut tails = [0.0; EDGES_LEN];
        let (first, last) = (bin_of(lengths.start), (bin_of(lengths.end) + 1).min(EDGES_LEN - 1));
        for edge in first..=last {
            tails[edge] = f64::from(own[edge]) * own_share
                + f64::from(of_class[edge]) * class_share
                + f64::from(self.prior[edge]) * prior_share;
        }
        Curve { tails }
    }

    const fn place(&self, class: u32, account: u32) -> usize {
        self.classes as usize + class as usize * self.accounts_max as usize + account as usize
    }

    /// Says everything that was learned, number by number, and from what it began.
    pub(crate) fn save_state(&self, put: &mut dyn FnMut(u64)) {
        let Self { classes: _, accounts_max: _, prior, rows } = self;
        for weight in prior.iter().chain(rows.iter().flatten()) {
            put(u64::from(weight.to_bits()));
        }
    }

    /// Takes in what [`OutputLengths::save_state`] said of a histogram of the same size. `None`,
    /// and no history at all, if it ends too soon or says what no history can be.
    pub(crate) fn load_state(&mut self, get: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
        let mut prior = self.prior;
        let loaded = load_row(&mut prior, 1.0, get)
            .and_then(|()| self.rows.iter_mut().try_for_each(|row| load_row(row, WEIGHT_MAX, get)));
        if loaded.is_none() {
            self.rows.fill([0.0; EDGES_LEN]);
        } else {
            self.prior = prior;
        }
        loaded
    }
}

/// Weights fall from edge to edge, the first at `most`, and nothing is longer than the last.
fn load_row(row: &mut Row, mut most: f32, get: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
    for weight in row.iter_mut() {
        *weight = f32::from_bits(u32::try_from(get()?).ok()?);
        if !(0.0..=most).contains(weight) {
            return None;
        }
        most = *weight;
    }
    (most == 0.0).then_some(())
}

fn log_uniform(output_tokens_max: u32) -> Row {
    let whole = libm::log1p(f64::from(output_tokens_max));
    EDGES.map(|edge| (1.0 - libm::log1p(f64::from(edge)) / whole).max(0.0) as f32)
}

/// The bin that ends after `length`: `EDGES[bin] <= length < EDGES[bin + 1]`. O(1).
const fn bin_of(length: u32) -> usize {
    if length < EDGES[1] {
        return 0;
    }
    if length >= LENGTH_MAX {
        return EDGES_LEN - 1;
    }
    let power = 1 + 2 * (length.ilog2() as usize - FIRST_OCTAVE);
    if power >= EDGES_LEN - 2 {
        return EDGES_LEN - 2;
    }
    if length >= EDGES[power + 1] { power + 1 } else { power }
}

/// Survival at every edge, pooled: a snapshot that many questions can be put to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve {
    tails: [f64; EDGES_LEN],
}

impl Curve {
    /// Probability that an answer is longer than `length`. O(1).
    pub(crate) fn at(&self, length: u32) -> f64 {
        self.at_in(bin_of(length), length)
    }

    /// The same for lengths asked for in rising order: `bin`, 0 at first, is that of the last.
    pub(crate) fn at_next(&self, bin: &mut usize, length: u32) -> f64 {
        while *bin < EDGES_LEN - 1 && length >= EDGES[*bin + 1] {
            *bin += 1;
        }
        self.at_in(*bin, length)
    }

    fn at_in(&self, bin: usize, length: u32) -> f64 {
        if bin >= EDGES_LEN - 1 {
            return 0.0;
        }
        let part = f64::from(length - EDGES[bin]) * PER_TOKEN[bin];
        self.tails[bin] + (self.tails[bin + 1] - self.tails[bin]) * part
    }
}

#[cfg(test)]
mod tests;
