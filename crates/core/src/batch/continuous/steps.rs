//! Steps that were formed and not yet observed: a ring of at most four.

use alloc::boxed::Box;
use alloc::vec;

use super::request::CONTEXT_TOKENS_MAX;
use crate::engine::StepShape;
use crate::error::{Error, check_range};
use crate::snapshot::{Words, ensure, pair};
use crate::units::Nanos;

/// Most steps in flight: one running, and up to three planned behind it.
pub(super) const STEPS_MAX: u32 = 4;

/// One request's part of a step in flight.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    pub(super) slot: u32,
    pub(super) tokens: u32,
    /// The step produces a token of it.
    pub(super) emits: bool,
}

#[derive(Debug)]
pub(super) struct StepRecord {
    pub(super) id: u64,
    pub(super) shape: StepShape,
    /// When `form` was called for it.
    pub(super) formed_at: Nanos,
    pub(super) duration: Nanos,
    pub(super) ends_at: Nanos,
    pub(super) flights: Box<[Flight]>,
    pub(super) flights_len: u32,
}

#[derive(Debug)]
pub(super) struct StepRing {
    records: Box<[StepRecord]>,
    oldest: u32,
    len: u32,
    next_id: u64,
}

impl StepRing {
    pub(super) fn new(steps: u32, running_max: u32) -> Self {
        let record = || StepRecord {
            id: 0,
            shape: StepShape::default(),
            formed_at: Nanos::ZERO,
            duration: Nanos::ZERO,
            ends_at: Nanos::ZERO,
            flights: vec![Flight::default(); running_max as usize].into_boxed_slice(),
            flights_len: 0,
        };
        Self { records: (0..steps).map(|_| record()).collect(), oldest: 0, len: 0, next_id: 1 }
    }

    pub(super) const fn bytes_needed(steps: u32, running_max: u32) -> u64 {
        let flights = running_max as u64 * core::mem::size_of::<Flight>() as u64;
        (steps as u64).saturating_mul(flights + core::mem::size_of::<StepRecord>() as u64)
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) const fn capacity(&self) -> u32 {
        self.records.len() as u32
    }

    /// Number of the next step.
    pub(super) const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Place of the next step in the ring: the bit that marks its requests.
    pub(super) fn next_place(&self) -> u32 {
        (self.oldest + self.len) % self.capacity()
    }

    pub(super) fn record(&self, place: u32) -> &StepRecord {
        &self.records[place as usize]
    }

    pub(super) fn record_mut(&mut self, place: u32) -> &mut StepRecord {
        &mut self.records[place as usize]
    }

    /// Place of the oldest step in flight.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.len > 0).then_some(self.oldest)
    }

    /// When the newest step in flight is predicted to end.
    pub(super) fn ends_at(&self) -> Option<Nanos> {
        let newest = (self.oldest + self.len.checked_sub(1)?) % self.capacity();
        Some(self.record(newest).ends_at)
    }

    /// Makes the record at `next_place` a step in flight and returns its id.
    pub(super) fn push(&mut self, start: Nanos, duration: Nanos) -> u64 {
        let (place, id) = (self.next_place(), self.next_id);
        let record = self.record_mut(place);
        record.id = id;
        record.duration = duration;
        record.ends_at = start.saturating_add(duration);
        self.len += 1;
        self.next_id += 1;
        id
    }

    /// Forgets the oldest step, which ended `now`, and corrects when the others will.
    pub(super) fn pop(&mut self, now: Nanos) {
        self.oldest = (self.oldest + 1) % self.capacity();
        self.len -= 1;
        let mut start = now;
        for offset in 0..self.len {
            let place = (self.oldest + offset) % self.capacity();
            let record = self.record_mut(place);
            record.ends_at = start.saturating_add(record.duration);
            start = record.ends_at;
        }
    }
}

impl StepRing {
    /// Places are kept, because requests are marked by them.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { records: _, oldest, len, next_id } = self;
        save(pair(*oldest, *len));
        save(*next_id);
        for place in self.places() {
            self.record(place).save_state(save);
        }
    }

    /// Whether the slots exist that the steps name is for the caller to find out.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let capacity = self.capacity();
        (self.oldest, self.len) = words.next_pair()?;
        ensure(self.oldest < capacity && self.len <= capacity)?;
        self.next_id = words.next_count("next_id")?;
        check_range("next_id", self.next_id, u64::from(self.len) + 1, u64::MAX)?;
        let first_id = self.next_id - u64::from(self.len);
        for (place, id) in self.places().zip(first_id..) {
            let record = self.record_mut(place);
            record.id = id;
            record.load_state(words)?;
        }
        Ok(())
    }

    /// Places of the steps in flight, the oldest first.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> + use<> {
        let (oldest, capacity) = (self.oldest, self.capacity());
        (0..self.len).map(move |offset| (oldest + offset) % capacity)
    }
}

impl StepRecord {
    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        // Steps are numbered one after the other.
        let Self { id: _, shape, formed_at, duration, ends_at, flights, flights_len } = self;
        let StepShape {
            prefill_tokens,
            prefill_history_tokens,
            decode_requests,
            decode_context_tokens,
        } = shape;
        save(pair(*prefill_tokens, *decode_requests));
        save(*prefill_history_tokens);
        save(*decode_context_tokens);
        for moment in [formed_at, duration, ends_at] {
            save(moment.get());
        }
        save(u64::from(*flights_len));
        for Flight { slot, tokens, emits } in &flights[..*flights_len as usize] {
            save(pair(*slot, tokens << 1 | u32::from(*emits)));
        }
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let seats = self.flights.len() as u32;
        let (prefill_tokens, decode_requests) = words.next_pair()?;
        ensure(prefill_tokens <= CONTEXT_TOKENS_MAX && decode_requests <= seats)?;
        let context_max = |requests: u32| u64::from(requests) * u64::from(CONTEXT_TOKENS_MAX);
        let (history_max, decode_max) = (context_max(seats), context_max(decode_requests));
        self.shape = StepShape {
            prefill_tokens,
            decode_requests,
            prefill_history_tokens: check_range("history", words.next()?, 0, history_max)?,
            decode_context_tokens: check_range("context", words.next()?, 0, decode_max)?,
        };
        (self.formed_at, self.duration) = (Nanos(words.next()?), Nanos(words.next()?));
        self.ends_at = Nanos(words.next()?);
        self.flights_len = words.next_within("flights_len", 1, seats)?;
        for flight in &mut self.flights[..self.flights_len as usize] {
            let (slot, part) = words.next_pair()?;
            *flight = Flight { slot, tokens: part >> 1, emits: part & 1 == 1 };
            ensure(flight.tokens <= CONTEXT_TOKENS_MAX)?;
        }
        Ok(())
    }
}
