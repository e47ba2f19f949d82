//! A request as words. Its seat, and the steps that it is in, follow from the seats and the steps.

use super::{Obstacle, Request, Stage, Turn};
use crate::batch::queue::NONE;
use crate::engine::KvGeometry;
use crate::error::Error;
use crate::policy::SEQUENCE_TOKENS_MAX;
use crate::share::AccountId;
use crate::snapshot::{CONTRADICTION, Words, ensure, pair};

/// Counts of tokens stay below this: a prompt and an output of 2^24 each, and what the steps in
/// flight add.
pub(in super::super) const CONTEXT_TOKENS_MAX: u32 = 1 << 26;

/// What the steps in flight add at most: one token each, and there are at most four.
const IN_FLIGHT_TOKENS_MAX: u32 = super::super::STEPS_MAX;

const STAGES: [Stage; 6] = [
    Stage::Waiting,
    Stage::Late,
    Stage::Preempted,
    Stage::Running,
    Stage::HandedOver,
    Stage::Ended,
];
const TURNS: [Turn; 4] = [Turn::Order, Turn::Class, Turn::Late, Turn::ClassLate];
const OBSTACLES: [Obstacle; 6] = [
    Obstacle::None,
    Obstacle::Memory,
    Obstacle::InFlight,
    Obstacle::Adapter,
    Obstacle::SharedPrompt,
    Obstacle::Forecast,
];

impl Request {
    pub(in super::super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            tag,
            account,
            arrival_ns,
            due_ns,
            expires_ns,
            latest_start_ns,
            first_token_ns,
            sequence,
            prompt_tokens,
            cached_tokens,
            output_tokens_max,
            output_tokens,
            goal_tokens,
            computed_tokens,
            blocks,
            // Follow from the seats and the steps in flight.
            seat: _,
            in_flight: _,
            emitting: _,
            adapter,
            group,
            preemptions,
            class,
            stage,
            voided,
            // Mean something only while a step is observed.
            named_in: _,
            absent: _,
            charged,
            holds_shared,
            obstacle,
            swapped,
            turn,
        } = self;
        save(*tag);
        save(account.to_raw());
        for moment in [arrival_ns, due_ns, expires_ns, latest_start_ns, first_token_ns, sequence] {
            save(*moment);
        }
        save(pair(*prompt_tokens, *cached_tokens));
        save(pair(*output_tokens_max, *output_tokens));
        save(pair(*goal_tokens, *computed_tokens));
        save((*blocks).into());
        save(pair(*adapter, *group));
        let flags = u8::from(*charged) | u8::from(*holds_shared) << 1 | u8::from(*swapped) << 2;
        let stage = *stage as u8;
        let bytes = [*preemptions, *class, stage, *voided, *obstacle as u8, *turn as u8, flags, 0];
        save(u64::from_le_bytes(bytes));
    }

    /// What one request alone can say; [`Request::check_restored`] knows the rest.
    pub(in super::super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let (tag, account) = (words.next()?, AccountId::from_raw(words.next()?));
        let mut moments = [0; 6];
        for moment in &mut moments {
            *moment = words.next()?;
        }
        let [arrival_ns, due_ns, expires_ns, latest_start_ns, first_token_ns, sequence] = moments;
        let (prompt_tokens, cached_tokens) = words.next_pair()?;
        let (output_tokens_max, output_tokens) = words.next_pair()?;
        let (goal_tokens, computed_tokens) = words.next_pair()?;
        let blocks = words.next_u32("blocks")?;
        let (adapter, group) = words.next_pair()?;
        let bytes = words.next()?.to_le_bytes();
        let [preemptions, class, stage, voided, obstacle, turn, flags, rest] = bytes;
        ensure(flags < 8 && rest == 0)?;
        Ok(Self {
            tag,
            account,
            arrival_ns,
            due_ns,
            expires_ns,
            latest_start_ns,
            first_token_ns,
            sequence,
            prompt_tokens,
            cached_tokens,
            output_tokens_max,
            output_tokens,
            goal_tokens,
            computed_tokens,
            blocks,
            seat: 0,
            named_in: 0,
            adapter,
            group,
            preemptions,
            class,
            stage: *STAGES.get(usize::from(stage)).ok_or(CONTRADICTION)?,
            in_flight: 0,
            emitting: 0,
            voided,
            absent: false,
            charged: flags & 1 != 0,
            holds_shared: flags & 2 != 0,
            obstacle: *OBSTACLES.get(usize::from(obstacle)).ok_or(CONTRADICTION)?,
            swapped: flags & 4 != 0,
            turn: *TURNS.get(usize::from(turn)).ok_or(CONTRADICTION)?,
        })
    }

    /// It waits, in line or aside.
    pub(in super::super) const fn waits(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Late | Stage::Preempted)
    }

    /// It has KV in the cache.
    const fn holds_blocks(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::HandedOver)
    }

    /// Whether its parts can be those of one request, once it is known which steps it is in.
    pub(in super::super) fn check_restored(&self, kv: KvGeometry) -> Result<(), Error> {
        let (prompt, most) = (self.prompt_tokens, self.output_tokens_max);
        let length_max = SEQUENCE_TOKENS_MAX as u32;
        ensure((1..=length_max).contains(&prompt) && (1..=length_max).contains(&most))?;
        ensure(u64::from(prompt) + u64::from(most) <= kv.tokens_max())?;
        let longest = prompt + most + IN_FLIGHT_TOKENS_MAX;
        ensure(self.output_tokens <= most && self.cached_tokens <= longest)?;
        ensure((prompt..=longest).contains(&self.goal_tokens) && self.computed_tokens <= longest)?;
        ensure(self.blocks <= kv.blocks().get())?;
        ensure(self.holds_blocks() || self.blocks == 0 && !self.holds_shared)?;
        ensure(!self.holds_shared || self.group != NONE)?;
        ensure(!self.swapped || self.waits())?;
        ensure(!self.obstacle.lets_pass() || self.waits())?;
        // Who gave way has given way: what it waits for is not its first seat.
        ensure(self.stage != Stage::Preempted || self.preemptions > 0)?;
        // What has ended is known for the steps in flight that name it, and for nothing else.
        ensure(self.stage != Stage::Ended || self.in_flight != 0 && self.group == NONE)?;
        ensure(self.voided & !self.in_flight == 0)
    }

    /// A step in flight, of which this is the bit, contains it. False if it was known already.
    pub(in super::super) const fn find_in_flight(&mut self, bit: u8, emits: bool) -> bool {
        let found = self.in_flight & bit == 0;
        self.in_flight |= bit;
        if emits {
            self.emitting |= bit;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is saved as a number is found again under it.
    #[test]
    fn numbers_of_the_kinds_are_their_places() {
        assert!(STAGES.iter().zip(0..).all(|(stage, place)| *stage as u8 == place));
        assert!(TURNS.iter().zip(0..).all(|(turn, place)| *turn as u8 == place));
        assert!(OBSTACLES.iter().zip(0..).all(|(obstacle, place)| *obstacle as u8 == place));
    }
}
