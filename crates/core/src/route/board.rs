//! What every replica would cost at least, worked out for many at once.
//!
//! # What it decides
//! Which replicas need not be priced. Pricing one takes some three hundred instructions and half a
//! dozen cache lines; a *floor* that its price cannot be below takes one line and is the same
//! arithmetic for all, so that it is worked out for several at once. Only replicas whose floor is not
//! above the best price found are priced: the choice is the same, to the last bit, as if all had been.
//!
//! # Formula
//! That of [`super::price`], with what depends on the replica alone worked out when the replica
//! changes and not when it is asked about, in `f32`, and rounded down where it is shortened:
//! ```text
//! x        cold start + queue = max(0, max(free_at, ready_at) - now)
//! steps    of the prompt, rounded up after taking a millionth off
//! cached   every leading block that the replica holds in any tier, loaded in no time
//! kv       of the tokens that are computed, not rounded up to blocks
//! adapter  there already
//! ```
//! All terms are positive, so that the relative error of the sum is that of its longest chain of
//! roundings, about 20 of 2^-24; [`SLACK`] is four times as much.
//!
//! # Stale replicas
//! While a replica that has reported in time may be chosen, none that has not is looked at. Who is
//! stale is a bit each, set anew when the first of those that are not may have become so.
//!
//! # Bounds and cost
//! O(replicas), about 30 instructions each; O(1) a change. 77 bytes a replica.
//!
//! # What it is bad at
//! Requests with an adapter that few replicas have, and replicas that hold much of the prompt in
//! slower tiers or forgot it: floors are too low there, and more replicas are priced.

use alloc::boxed::Box;
use alloc::vec;

use super::options::RouterOptions;
use super::price::Asked;
use super::replica::{Replica, Status};
use crate::policy::EngineMode;
use crate::units::Nanos;

/// Replicas in one block of numbers: two of the narrowest vectors of `f32` that there are.
pub(super) const LANES: usize = 8;

/// Share by which a floor may be above the price for rounding.
const SLACK: f64 = 5e-6;

/// What keeps a number that is taken off, or rounded up, on the safe side: 16 roundings.
const MILLIONTH: f32 = 1e-6;

/// Share of the time since the clock began by which a moment in seconds may be wrong: 4 roundings.
const CLOCK_SLACK: f64 = 1e-15;

/// Added and taken off again, it rounds an `f32` below it to a whole number.
const WHOLE: f32 = 8_388_608.0;

/// What floors are made of, for [`LANES`] replicas.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Block {
    /// When it can begin with what comes, in seconds.
    free_s: [f64; LANES],
    /// A decode step, if somebody decodes.
    step_s: [f32; LANES],
    seats_s: [f32; LANES],
    /// Seconds until there is memory: this for each token, less that.
    kv_s_per_token: [f32; LANES],
    kv_free_s: [f32; LANES],
    steps_per_token: [f32; LANES],
    /// A step with prompts; what grows with tokens; with the square of tokens.
    mixed_s: [f32; LANES],
    token_s: [f32; LANES],
    attention_s: [f32; LANES],
    /// What a step with prompts takes more than one without.
    added_s: [f32; LANES],
    running: [f32; LANES],
    /// What those that decode add to a step.
    own_s: [f32; LANES],
    /// What one more adds to the steps of all: in any case, and for each token of its context.
    more_s: [f32; LANES],
    more_s_per_token: [f32; LANES],
}

const EMPTY: Block = Block {
    free_s: [0.0; LANES],
    step_s: [0.0; LANES],
    seats_s: [0.0; LANES],
    kv_s_per_token: [0.0; LANES],
    kv_free_s: [0.0; LANES],
    steps_per_token: [0.0; LANES],
    mixed_s: [0.0; LANES],
    token_s: [0.0; LANES],
    attention_s: [0.0; LANES],
    added_s: [0.0; LANES],
    running: [0.0; LANES],
    own_s: [0.0; LANES],
    more_s: [0.0; LANES],
    more_s_per_token: [0.0; LANES],
};

/// A request, in the numbers that floors are worked out with.
#[derive(Clone, Copy, Debug)]
struct Request {
    now_s: f64,
    prompt: f32,
    block_tokens: f32,
    delay_value: f32,
    /// Steps before the first one that it can be part of, where nobody waits.
    steps: f32,
    /// Value-seconds for each second that those who decode lose, and that its answer takes longer.
    others: f32,
    answer: f32,
    answer_others: f32,
    context: f32,
    /// Value-seconds for each second of queue and of prompt.
    later: f32,
}

impl Request {
    fn of(asked: &Asked) -> Self {
        let others = asked.interference_weight * asked.delay_value_mean;
        let answer = asked.interference_weight * asked.output_tokens;
        Self {
            now_s: asked.now.as_seconds(),
            prompt: asked.prompt_tokens as f32,
            block_tokens: asked.block_tokens as f32,
            delay_value: asked.delay_value as f32,
            steps: (0.5 + asked.steps_ahead) as f32,
            others: others as f32,
            answer: (answer * asked.delay_value) as f32,
            answer_others: (answer * asked.delay_value_mean) as f32,
            context: (f64::from(asked.prompt_tokens) + asked.output_tokens / 2.0) as f32,
            later: (asked.later_weight * asked.delay_value_mean * asked.rate_per_s) as f32,
        }
    }
}

impl Block {
    fn set(&mut self, lane: usize, replica: &Replica) {
        let (steps, pace) = (replica.steps(), replica.pace.ratio());
        let running = f64::from(replica.running);
        let begins = replica.free_at.max(replica.spec.ready_at);
        let (excess, free) = (replica.excess(), replica.kv_free);
        let seats_s = excess as f64 * replica.stay_s / f64::from(replica.spec.running_max);
        let kv_blocks = f64::from(replica.spec.kv.blocks().get());
        let block_s = replica.stay_s / kv_blocks;
        self.free_s[lane] = begins.as_seconds();
        self.step_s[lane] = replica.step_s(&steps, pace) as f32;
        self.seats_s[lane] = seats_s as f32;
        self.kv_s_per_token[lane] =
            (block_s / f64::from(replica.spec.kv.block_tokens())) as f32 * (1.0 - MILLIONTH);
        let kv_free_s = (free as f64 * block_s) as f32;
        self.kv_free_s[lane] = kv_free_s + MILLIONTH * kv_free_s.abs();
        self.steps_per_token[lane] = (1.0 - MILLIONTH) / replica.chunk_tokens() as f32;
        self.mixed_s[lane] = (pace * steps.mixed_s) as f32;
        self.token_s[lane] = (pace * steps.prefill_s_per_token) as f32;
        self.attention_s[lane] = (pace * steps.attention_s_per_token2) as f32;
        self.added_s[lane] = (pace * (steps.mixed_s - steps.decode_s).max(0.0)) as f32;
        self.running[lane] = running as f32;
        self.own_s[lane] = (pace * (steps.decode_s - replica.spec.model.coefficients()[0])) as f32;
        self.more_s[lane] = (pace * running * steps.decode_s_per_request) as f32;
        self.more_s_per_token[lane] = (pace * running * steps.decode_s_per_kv_token) as f32;
    }

    /// What each of these replicas costs at least, where they hold so many blocks of the prompt.
    fn floors(&self, request: &Request, held: &[f32; LANES]) -> [f32; LANES] {
        let slack_s = (request.now_s * CLOCK_SLACK) as f32;
        let mut away_s = [0.0; LANES];
        for (away_s, free_s) in away_s.iter_mut().zip(&self.free_s) {
            *away_s = (*free_s - request.now_s) as f32;
        }
        let mut floors = [0.0; LANES];
        for lane in 0..LANES {
            let queue_s = higher(away_s[lane] - slack_s, 0.0);
            // Read in any case: a loop that reads now and then is done for one at a time.
            let begins_s = request.steps * self.step_s[lane];
            let step_s = if away_s[lane] < -slack_s { begins_s } else { 0.0 };
            let cached = lower(held[lane] * request.block_tokens, request.prompt - 1.0);
            let tokens = request.prompt - cached;
            let steps = rounded_up(tokens * self.steps_per_token[lane]);
            let dense_s = tokens * self.token_s[lane]
                + tokens * (cached + 0.5 * tokens) * self.attention_s[lane];
            let prefill_s = steps * self.mixed_s[lane] + dense_s;
            let kv_s = tokens * self.kv_s_per_token[lane] - self.kv_free_s[lane];
            let start_s = higher(queue_s + step_s, higher(self.seats_s[lane], kv_s));
            let slowed_s = self.running[lane] * (steps * self.added_s[lane] + dense_s);
            let more_s = self.more_s[lane] + request.context * self.more_s_per_token[lane];
            let floor = request.delay_value * (start_s + prefill_s)
                + request.others * slowed_s
                + request.answer * self.own_s[lane]
                + request.answer_others * more_s
                + request.later * queue_s * prefill_s;
            // Not a number, where something is without end and is asked for not at all: nothing is
            // known then.
            floors[lane] = if floor >= 0.0 { floor } else { 0.0 };
        }
        floors
    }
}

// One instruction each, which those of the language are not: they have rules for what is no number.
fn higher(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

fn lower(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

fn rounded_up(a: f32) -> f32 {
    let whole = (a + WHOLE) - WHOLE;
    if whole < a { whole + 1.0 } else { whole }
}

/// Replicas that compute prompts and decode, and may be chosen.
#[derive(Debug)]
pub(super) struct Board {
    blocks: Box<[Block]>,
    /// Of the request that was asked about last; no number for those that it cannot go to.
    floors: Box<[[f32; LANES]]>,
    /// The least floor of each block.
    least: Box<[f32]>,
    /// By 64 replicas: those that may be chosen, and of those the ones whose last report is too
    /// old.
    present: Box<[u64]>,
    stale: Box<[u64]>,
    /// When it last reported or began, by replica.
    known_at: Box<[Nanos]>,
    /// How old it may be; zero: as old as it is.
    stale_after: Nanos,
    /// Nobody becomes stale before.
    fresh_until: Nanos,
    /// Groups of 64 in use.
    groups: usize,
}

/// Blocks in a group of 64.
pub(super) const GROUP_BLOCKS: usize = u64::BITS as usize / LANES;

impl Board {
    pub(super) fn new(options: &RouterOptions, stale_after: Nanos) -> Self {
        let groups = options.groups() as usize;
        let blocks = groups * GROUP_BLOCKS;
        Self {
            blocks: vec![EMPTY; blocks].into_boxed_slice(),
            floors: vec![[0.0; LANES]; blocks].into_boxed_slice(),
            least: vec![0.0; blocks].into_boxed_slice(),
            present: vec![0; groups].into_boxed_slice(),
            stale: vec![0; groups].into_boxed_slice(),
            known_at: vec![Nanos::ZERO; blocks * LANES].into_boxed_slice(),
            stale_after,
            fresh_until: Nanos::ZERO,
            groups: 0,
        }
    }

    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        let block = size_of::<Block>() + size_of::<[f32; LANES]>() + size_of::<f32>();
        let replicas = u64::BITS as usize * size_of::<Nanos>();
        let group = GROUP_BLOCKS * block + replicas + 2 * size_of::<u64>();
        options.groups() as u64 * group as u64
    }

    /// From now on reports may be so old.
    pub(super) fn set_stale_after(&mut self, stale_after: Nanos) {
        (self.stale_after, self.fresh_until) = (stale_after, Nanos::ZERO);
        self.stale.fill(0);
    }

    /// Takes down what a replica is now.
    pub(super) fn set(&mut self, index: u32, replica: &Replica) {
        if replica.status != Status::Ready || replica.spec.mode != EngineMode::Mixed {
            self.clear(index);
            return;
        }
        let (group, bit) = place_of(index);
        self.groups = self.groups.max(group + 1);
        let known_at = replica.known_at();
        if self.present[group] & bit == 0 || self.known_at[index as usize] != known_at {
            self.present[group] |= bit;
            self.stale[group] &= !bit;
            self.known_at[index as usize] = known_at;
            self.fresh_until = self.fresh_until.min(self.until(known_at));
        }
        self.blocks[index as usize / LANES].set(index as usize % LANES, replica);
    }

    /// A replica may not be chosen.
    pub(super) fn clear(&mut self, index: u32) {
        let (group, bit) = place_of(index);
        self.present[group] &= !bit;
        self.stale[group] &= !bit;
    }

    /// When a replica that was known then becomes stale.
    fn until(&self, known_at: Nanos) -> Nanos {
        if self.stale_after == Nanos::ZERO {
            return Nanos::MAX;
        }
        known_at.saturating_add(self.stale_after)
    }

    /// Finds out anew who is stale.
    fn find_stale(&mut self, now: Nanos) {
        self.fresh_until = Nanos::MAX;
        for group in 0..self.groups {
            let (mut left, mut stale) = (self.present[group], 0);
            while left != 0 {
                let bit = left & left.wrapping_neg();
                left ^= bit;
                let known_at = self.known_at[group * 64 + bit.trailing_zeros() as usize];
                let until = self.until(known_at);
                if now > until {
                    stale |= bit;
                } else {
                    self.fresh_until = self.fresh_until.min(until);
                }
            }
            self.stale[group] = stale;
        }
    }

    /// Works out the floors of all that may be chosen for a request, where they hold so many blocks
    /// of its prompt, and returns who has the lowest. O(replicas).
    pub(super) fn work_out(&mut self, asked: &Asked, held: &[[f32; LANES]]) -> Option<u32> {
        if asked.now > self.fresh_until {
            self.find_stale(asked.now);
        }
        let groups = self.present.iter().zip(&self.stale).take(self.groups);
        let any_fresh = groups.into_iter().any(|(present, stale)| present & !stale != 0);
        let request = Request::of(asked);
        let mut lowest = (f32::INFINITY, 0, false);
        for group in 0..self.groups {
            let stale = if any_fresh { self.stale[group] } else { 0 };
            let chosen_from = self.present[group] & !stale;
            for (place, bits) in chosen_from.to_le_bytes().into_iter().enumerate() {
                let block = group * GROUP_BLOCKS + place;
                self.least[block] = f32::NAN;
                if bits == 0 {
                    self.floors[block] = [f32::NAN; LANES];
                    continue;
                }
                let mut floors = self.blocks[block].floors(&request, &held[block]);
                if bits != u8::MAX {
                    for (lane, floor) in floors.iter_mut().enumerate() {
                        *floor = if bits >> lane & 1 == 1 { *floor } else { f32::NAN };
                    }
                }
                let least =
                    floors.into_iter().fold(f32::INFINITY, |least, floor| lower(floor, least));
                (self.floors[block], self.least[block]) = (floors, least);
                if least < lowest.0 || !lowest.2 {
                    lowest = (least, block, true);
                }
            }
        }
        let (least, block, found) = lowest;
        let lane = self.floors.get(block)?.iter().position(|floor| *floor == least)?;
        found.then_some((block * LANES + lane) as u32)
    }

    /// The next replica from `index` on, as [`Board::work_out`] left them, that may cost less than
    /// `cost`, or as much.
    pub(super) fn next_below(&self, index: u32, cost: f64) -> Option<u32> {
        let bound = ((cost + f64::from(f32::MIN_POSITIVE)) * (1.0 + SLACK)) as f32;
        let (mut block, mut lane) = (index as usize / LANES, index as usize % LANES);
        while block < self.groups * GROUP_BLOCKS {
            if self.least[block] <= bound {
                let floors = self.floors[block][lane..].iter();
                if let Some(further) = floors.into_iter().position(|floor| *floor <= bound) {
                    return Some((block * LANES + lane + further) as u32);
                }
            }
            (block, lane) = (block + 1, 0);
        }
        None
    }
}

/// Group and bit of a replica.
const fn place_of(index: u32) -> (usize, u64) {
    ((index / u64::BITS) as usize, 1 << (index % u64::BITS))
}
