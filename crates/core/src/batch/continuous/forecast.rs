//! Whether the KV cache will hold what it is about to let in, once answers have grown.
//!
//! # What it decides
//! Which request may not be let in yet although its prompt would fit: because those that run will
//! need the room.
//!
//! # Formula
//! ```text
//! S_j(t)   probability that request j still runs in t steps (`engine::survival`), 0 from its
//!          `output_tokens_max` on
//! hold_j(t) = have_j + t        tokens, have_j = its whole prompt at least, and half a block
//! mean(t)  = sum of S_j(t) * hold_j(t)
//! var(t)   = sum of S_j(t) * (1 - S_j(t)) * hold_j(t)^2
//! admit    if for t = 16, 24, 36, ... (each 1.5 times the one before)
//!          mean(t) + z * sqrt(var(t)) <= blocks free + blocks of those that run, in tokens
//! z        the quantile of 1 - kv_overflow_risk_ratio of the normal distribution
//! ```
//! with the candidate among the j. That its prompt fits now is asked apart (`memory`). An engine
//! that runs nothing lets in whatever fits on its prompt: there is always progress. A risk of 1
//! does not ask at all; a risk of 0 takes every answer to be as long as it may become.
//!
//! Free blocks are the engine's own count, so that blocks which others hold are not counted upon,
//! whoever they are.
//!
//! # Bounds and cost
//! The share of each seat in the sums is kept, 284 bytes a seat, as whole numbers: sums never
//! drift. Each step works out again the shares of a thirty-second part of the seats, in turn: a
//! share is some 32 steps old at most. A candidate costs O(horizons). While all that runs could
//! become as long as allowed and still fit, nothing of this is worked out; the step in which that
//! ends costs O(running * horizons), once.
//!
//! # What it is bad at
//! Answers that grow together: each length is taken to be independent of the others. Peaks
//! between two horizons. Blocks that several requests share count for each of them. Past 119,703
//! more tokens it sees nothing.
//!
//! # Source
//! Bounds on the sum of independent demands by mean and deviation: effective bandwidth, Guérin
//! et al. 1991. The peak over future steps: Past-Future scheduler, ASPLOS '25.

mod state;

use alloc::boxed::Box;
use alloc::vec;

use super::Batcher;
use super::aside::Obstacle;
use super::request::Request;
use crate::engine::OutputLengths;
use crate::engine::survival::{LengthEnd, LengthOptions};
use crate::error::Error;
use crate::policy::{BatchRules, EngineMode, Policy};
use crate::share::AccountId;
use crate::units::Tokens;

const HORIZONS_LEN: usize = 23;

/// Steps ahead at which the cache is foreseen: a block of the customary 16 tokens, and from there
/// each half as far again, to the longest outputs in use.
const HORIZONS: [u32; HORIZONS_LEN] = {
    let mut steps = [16; HORIZONS_LEN];
    let mut at = 1;
    while at < HORIZONS_LEN {
        steps[at] = steps[at - 1] + steps[at - 1] / 2;
        at += 1;
    }
    steps
};

/// Steps within which the share of every seat is worked out anew: two blocks of growth, a few
/// hundredths of a usual context.
const REFRESH_STEPS: u32 = 32;

/// Largest variance of one seat: that of a length that may be 0 or 23 million tokens. With the
/// most seats that a policy may have, 2^16, sums stay below 2^64.
const VARIANCE_MAX: f64 = (1_u64 << 47) as f64;

/// What one request adds to the sums: whole numbers, so that they can be taken out exactly.
#[derive(Clone, Copy, Debug)]
struct Share {
    means: [u32; HORIZONS_LEN],
    variances: [u64; HORIZONS_LEN],
}

const NOTHING: Share = Share { means: [0; HORIZONS_LEN], variances: [0; HORIZONS_LEN] };

#[derive(Debug)]
pub(super) struct Forecast {
    pub(super) lengths: OutputLengths,
    /// The policy asks for it, with this many standard deviations of reserve.
    z: Option<f64>,
    shares: Box<[Share]>,
    /// Blocks that each seat would hold were its answer as long as it may become.
    blocks_at_most: Box<[u32]>,
    /// Their sum.
    blocks_max: u64,
    means: [u64; HORIZONS_LEN],
    variances: [u64; HORIZONS_LEN],
    /// Shares and sums are kept up to date.
    awake: bool,
    /// The seat whose share is worked out next.
    next_seat: u32,
}

impl Forecast {
    pub(super) fn new(policy: &Policy) -> Result<Self, Error> {
        Ok(Self {
            lengths: OutputLengths::new(&length_options(policy))?,
            z: reserve(&policy.batch),
            shares: vec![NOTHING; policy.limits.running_max as usize].into_boxed_slice(),
            blocks_at_most: vec![0; policy.limits.running_max as usize].into_boxed_slice(),
            blocks_max: 0,
            means: [0; HORIZONS_LEN],
            variances: [0; HORIZONS_LEN],
            awake: false,
            next_seat: 0,
        })
    }

    pub(super) fn bytes_needed(policy: &Policy) -> u64 {
        let seat = (size_of::<Share>() + size_of::<u32>()) as u64;
        let seats = u64::from(policy.limits.running_max) * seat;
        OutputLengths::bytes_needed(&length_options(policy)).saturating_add(seats)
    }

    pub(super) fn set_policy(&mut self, policy: &Policy) {
        self.z = reserve(&policy.batch);
        self.awake = false;
    }

    fn put(&mut self, seat: u32, share: &Share) {
        self.shares[seat as usize] = *share;
        for at in 0..HORIZONS_LEN {
            self.means[at] += u64::from(share.means[at]);
            self.variances[at] += share.variances[at];
        }
    }

    fn take_out(&mut self, seat: u32) {
        let share = &self.shares[seat as usize];
        for at in 0..HORIZONS_LEN {
            self.means[at] -= u64::from(share.means[at]);
            self.variances[at] -= share.variances[at];
        }
    }

    fn share_of(&self, request: &Request, block_tokens: u32) -> Share {
        let mut share = NOTHING;
        let produced = request.tokens_expected();
        let left = request.output_tokens_max.saturating_sub(produced);
        let (class, account) = (u32::from(request.class), request.account.index());
        let curve = self.lengths.curve_between(class, account, produced..produced + left);
        let mut bin = 0;
        let alive = curve.at_next(&mut bin, produced);
        if alive <= 0.0 {
            return share;
        }
        let per_alive = 1.0 / alive;
        // The last block is half empty in the mean.
        let have = request.goal_tokens.max(request.computed_tokens) + block_tokens / 2;
        let sums = share.means.iter_mut().zip(&mut share.variances);
        for (ahead, (mean, variance)) in HORIZONS.iter().zip(sums) {
            if *ahead >= left {
                break;
            }
            let survival = (curve.at_next(&mut bin, produced + ahead) * per_alive).min(1.0);
            let hold = f64::from(have) + f64::from(*ahead);
            // Rounded, by way of the signed integers that processors convert to at once.
            *mean = (survival * hold + 0.5) as i64 as u32;
            let spread = survival * (1.0 - survival) * hold * hold;
            *variance = (spread.min(VARIANCE_MAX) + 0.5) as i64 as u64;
        }
        share
    }

    /// The sums with one more share stay below so many tokens at every horizon.
    fn holds(&self, share: &Share, z: f64, tokens: f64) -> bool {
        (0..HORIZONS_LEN).all(|at| {
            let mean = (self.means[at] + u64::from(share.means[at])) as f64;
            let variance = (self.variances[at] + share.variances[at]) as f64;
            mean + z * libm::sqrt(variance) <= tokens
        })
    }
}

impl Batcher {
    /// Whether a waiting request can have the blocks for its prompt now, and those for its answer
    /// later; what is in its way if not.
    pub(super) fn memory_obstacle(&mut self, slot: u32) -> Obstacle {
        let request = self.request(slot);
        if !self.memory.fits(request, self.shared_blocks(request)) {
            return Obstacle::Memory;
        }
        if self.is_foreseen_to_fit(slot) { Obstacle::None } else { Obstacle::Forecast }
    }

    fn is_foreseen_to_fit(&mut self, slot: u32) -> bool {
        let request = self.request(slot);
        let Some(z) = self.forecast.z else { return true };
        let blocks = self.memory.within_reach();
        let blocks_max = self.forecast.blocks_max + u64::from(self.blocks_at_most(request));
        if self.running_len == 0 || blocks_max <= blocks {
            return true;
        }
        if z.is_infinite() {
            return false;
        }
        if !self.forecast.awake {
            self.refresh_shares(self.running_len);
        }
        let block_tokens = self.memory.geometry().block_tokens();
        let share = self.forecast.share_of(self.request(slot), block_tokens);
        let tokens = blocks as f64 * f64::from(block_tokens);
        self.forecast.holds(&share, z, tokens)
    }

    fn blocks_at_most(&self, request: &Request) -> u32 {
        let longest = request.prompt_tokens + request.output_tokens_max;
        self.memory.geometry().blocks_for(Tokens(longest)).get()
    }

    /// Keeps shares from growing old: in each step those of a part of the seats.
    pub(super) fn refresh_forecast(&mut self) {
        let needed = self.forecast.z.is_some_and(f64::is_finite)
            && self.forecast.blocks_max > self.memory.within_reach();
        if !needed {
            self.forecast.awake = false;
        } else if self.forecast.awake {
            self.refresh_shares(self.running_len.div_ceil(REFRESH_STEPS));
        } else {
            self.refresh_shares(self.running_len);
        }
    }

    fn refresh_shares(&mut self, seats: u32) {
        if !self.forecast.awake {
            self.forecast.awake = true;
            (self.forecast.means, self.forecast.variances) = ([0; HORIZONS_LEN], [0; HORIZONS_LEN]);
            self.forecast.shares.fill(NOTHING);
        }
        let block_tokens = self.memory.geometry().block_tokens();
        for _ in 0..seats {
            if self.forecast.next_seat >= self.running_len {
                self.forecast.next_seat = 0;
            }
            let seat = self.forecast.next_seat;
            let share =
                self.forecast.share_of(self.request(self.running[seat as usize]), block_tokens);
            self.forecast.take_out(seat);
            self.forecast.put(seat, &share);
            self.forecast.next_seat += 1;
        }
    }

    /// A request has taken this seat.
    pub(super) fn foresee(&mut self, slot: u32) {
        let request = self.request(slot);
        let (seat, blocks) = (request.seat, self.blocks_at_most(request));
        self.forecast.blocks_at_most[seat as usize] = blocks;
        self.forecast.blocks_max += u64::from(blocks);
        if self.forecast.awake {
            let block_tokens = self.memory.geometry().block_tokens();
            let share = self.forecast.share_of(self.request(slot), block_tokens);
            self.forecast.put(seat, &share);
        }
    }

    /// A request is about to leave its seat, and the one with the last seat to move there.
    pub(super) fn unforesee(&mut self, slot: u32) {
        let (seat, last) = (self.request(slot).seat, self.running_len as usize - 1);
        let forecast = &mut self.forecast;
        let blocks = &mut forecast.blocks_at_most;
        forecast.blocks_max -= u64::from(blocks[seat as usize]);
        blocks[seat as usize] = blocks[last];
        if forecast.awake {
            forecast.take_out(seat);
            forecast.shares[seat as usize] = forecast.shares[last];
            forecast.shares[last] = NOTHING;
        }
    }

    /// An answer ended, or was cancelled: its length is learned from.
    pub(super) fn learn_length(&mut self, slot: u32, cancelled: bool) {
        let request = self.request(slot);
        let cut_off = cancelled || request.output_tokens >= request.output_tokens_max;
        let end = if cut_off { LengthEnd::CutOff } else { LengthEnd::Complete };
        let (class, account) = (u32::from(request.class), request.account.index());
        let length = Tokens(request.output_tokens);
        if length > Tokens::ZERO {
            let learned = self.forecast.lengths.record(class, account, length, end);
            debug_assert!(
                learned.is_ok(),
                "classes, accounts and lengths were checked at the door"
            );
        }
    }

    /// The place of this account is a new account's.
    pub(super) fn forget_lengths(&mut self, account: AccountId) {
        self.forecast.lengths.forget(account.index());
    }
}

fn length_options(policy: &Policy) -> LengthOptions {
    LengthOptions {
        classes: policy.classes.len() as u32,
        accounts_max: policy.limits.accounts_max,
        output_tokens_max: policy.limits.output_tokens_max,
    }
}

/// Standard deviations of reserve for this risk; `None` if it is not asked for.
fn reserve(rules: &BatchRules) -> Option<f64> {
    // Where nothing decodes, nothing grows.
    if rules.mode == EngineMode::Prefill { None } else { reserve_for(rules.kv_overflow_risk_ratio) }
}

fn reserve_for(risk: f64) -> Option<f64> {
    if risk >= 1.0 {
        None
    } else if risk <= 0.0 {
        Some(f64::INFINITY)
    } else if risk > 0.5 {
        Some(-quantile_above(1.0 - risk))
    } else {
        Some(quantile_above(risk))
    }
}

/// The point of the standard normal distribution that is exceeded with probability `p`, in
/// 0..=0.5. Hastings' rational approximation, wrong by less than 4.5e-4: Abramowitz and Stegun,
/// *Handbook of Mathematical Functions*, 26.2.23.
fn quantile_above(p: f64) -> f64 {
    let t = libm::sqrt(-2.0 * libm::log(p));
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Batcher {
        /// The sums over all seats, while they are kept.
        pub(in super::super) fn foreseen(&self) -> Option<(&[u64], &[u64])> {
            self.forecast.awake.then_some((&self.forecast.means, &self.forecast.variances))
        }

        /// What one seat adds to them, as it was last worked out.
        pub(in super::super) fn share_at(&self, seat: u32) -> (&[u32], &[u64]) {
            let share = &self.forecast.shares[seat as usize];
            (&share.means, &share.variances)
        }
    }

    /// Quantiles from the tables.
    #[test]
    fn reserves_are_quantiles_of_the_normal_distribution() {
        for (risk, expected) in [
            (0.5, 0.0),
            (0.3, 0.524_401),
            (0.1, 1.281_552),
            (0.05, 1.644_854),
            (0.01, 2.326_348),
            (0.001, 3.090_232),
            (1e-6, 4.753_424),
            (0.9, -1.281_552),
        ] {
            let z = reserve_for(risk).unwrap();
            assert!((z - expected).abs() < 4.5e-4, "{risk}: {z}");
        }
        assert_eq!((reserve_for(1.0), reserve_for(0.0)), (None, Some(f64::INFINITY)));
        assert!(reserve_for(5e-324).unwrap() > 30.0 && reserve_for(1.0 - 1e-16).unwrap() < -8.0);
    }

    #[test]
    fn horizons_reach_the_longest_outputs() {
        assert_eq!(HORIZONS[..5], [16, 24, 36, 54, 81]);
        assert!(HORIZONS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(HORIZONS[HORIZONS_LEN - 1] > 100_000);
    }
}
