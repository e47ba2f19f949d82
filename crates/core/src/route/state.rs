//! In what form does a router outlive its process?
//!
//! # What it decides
//! Nothing: a router that was saved and restored answers as it would have answered.
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it the options, then counts and
//! means, the replicas, the requests, what may be chosen, the adapters, and the index from the
//! least to the most recently used block.
//!
//! # Bounds and cost
//! O(state): 3 words a block and 4 a set, 150 a replica, 19 a request. `save` allocates nothing;
//! `restore` builds a router, and so allocates. Every word is checked before it is used.
//!
//! # What it is bad at
//! It is no journal: what happened after it was taken is unknown to it. KV events that came
//! meanwhile are lost: let engines tell what they hold anew, or call [`Router::cleared`].

use super::flight::{Flight, Phase, Stop};
use super::means::Means;
use super::options::{ReplicaSpec, RouterOptions};
use super::replica::{
    Horizon, Pace, RECENT, Recent, Replica, ReplicaId, SPAN_MAX_S, Status, TURNS,
};
use super::{MODES, Router};
use crate::engine::{FEATURES, KvGeometry, StepModel};
use crate::error::Error;
use crate::policy::{EngineMode, Policy, SEQUENCE_TOKENS_MAX};
use crate::snapshot::{self, CONTRADICTION, OTHER_CAPACITY, ROUTER, Words, ensure};
use crate::units::{Blocks, Nanos};

impl Router {
    /// Bytes that [`Router::save`] needs now. O(state).
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_state(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(state).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(ROUTER, out, |save| self.save_state(save))
    }

    /// A router that goes on where the saved one was, under `policy`. Allocates, as
    /// [`Router::new`] does. Bytes after the snapshot are ignored.
    ///
    /// # Errors
    /// As [`Router::new`]. [`Error::Snapshot`] for bytes that are no snapshot of a router by this
    /// version of the library, were cut short or changed, or contradict themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if it was taken
    /// with other options.
    pub fn restore(policy: &Policy, options: &RouterOptions, bytes: &[u8]) -> Result<Self, Error> {
        let mut router = Self::new(policy, options)?;
        snapshot::load(ROUTER, bytes, |take| {
            let mut words = Words::new(take);
            let mut same = true;
            for option in option_words(options) {
                same &= words.next().map_err(|_| CONTRADICTION)? == option;
            }
            if !same {
                return Err(OTHER_CAPACITY);
            }
            router.load_state(&mut words).map_err(|_| CONTRADICTION)
        })?;
        Ok(router)
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        // Rules and delay values are those of the policy; the rest is scratch.
        let Self { options, replicas, requests, roster, index, adapters, means, .. } = self;
        option_words(options).into_iter().for_each(&mut *save);
        save(self.decisions);
        save(self.now.get());
        means.save_state(save);
        replicas.save_state(save, save_replica);
        requests.save_state(save, save_flight);
        for mode in EngineMode::ALL {
            let places = roster.of(mode);
            save(places.len() as u64);
            for replica in places {
                save((*replica).into());
            }
        }
        adapters.save_state(save);
        index.save_state(save);
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.decisions = words.next_count("decisions")?;
        self.now = Nanos(words.next()?);
        self.means = Means::load_state(words)?;
        self.replicas.load_state(words, load_replica)?;
        self.requests.load_state(words, load_flight)?;
        self.load_roster(words)?;
        self.adapters.load_state(words)?;
        let replicas = &self.replicas;
        let exists = |group: u32| {
            (0..u64::BITS).fold(0, |all, bit| {
                let there = replicas.at(group * u64::BITS + bit).is_some();
                all | u64::from(there) << bit
            })
        };
        self.index.load_state(words, &exists)?;
        for (id, replica) in self.replicas.iter() {
            replica.spec.check(&self.options)?;
            self.board.set(id.index(), replica);
        }
        Ok(())
    }

    /// Those that may be chosen: each that is ready, once, in the list of its mode.
    fn load_roster(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.roster.clear();
        for mode in EngineMode::ALL {
            let len = words.next_within("ready", 0, self.options.replicas_max)?;
            for place in 0..len {
                let index = words.next_within("replica", 0, self.options.replicas_max - 1)?;
                let replica = self.replicas.at(index).ok_or(CONTRADICTION)?;
                let listed = replica.status == Status::Ready && replica.place == place;
                ensure(listed && replica.spec.mode == mode)?;
                self.roster.add(mode, index);
            }
        }
        let ready = self.replicas.iter().filter(|(_, it)| it.status == Status::Ready).count();
        // Each has one place, and is there: as many places as replicas means each has its own.
        ensure(ready == self.roster.len() as usize)
    }
}

const OPTION_WORDS: usize = 11;

fn option_words(options: &RouterOptions) -> [u64; OPTION_WORDS] {
    let RouterOptions {
        replicas_max,
        requests_max,
        block_tokens,
        blocks_max,
        sets_max,
        prompt_blocks_max,
        adapters_max,
        link_groups_max,
        kv_bytes_per_token,
        link_bytes_per_s,
        network_bytes_per_s,
    } = *options;
    [
        replicas_max.into(),
        requests_max.into(),
        block_tokens.into(),
        blocks_max.into(),
        sets_max.into(),
        prompt_blocks_max.into(),
        adapters_max.into(),
        link_groups_max.into(),
        kv_bytes_per_token,
        link_bytes_per_s.to_bits(),
        network_bytes_per_s.to_bits(),
    ]
}

fn save_spec(spec: &ReplicaSpec, save: &mut dyn FnMut(u64)) {
    for coefficient in spec.model.coefficients() {
        save(coefficient.to_bits());
    }
    save(spec.kv.blocks().get().into());
    save(spec.kv.block_tokens().into());
    save(spec.running_max.into());
    save(spec.step_tokens_max.into());
    save(spec.mode as u64);
    save(spec.link_group.into());
    save(spec.ready_at.get());
    for seconds in [spec.host_load_s_per_block, spec.disk_load_s_per_block, spec.adapter_load_s] {
        save(seconds.to_bits());
    }
}

fn load_spec(words: &mut Words<'_>) -> Result<ReplicaSpec, Error> {
    let mut coefficients = [0.0; FEATURES];
    for coefficient in &mut coefficients {
        *coefficient = f64::from_bits(words.next()?);
    }
    let kv_blocks = Blocks(words.next_u32("kv_blocks")?);
    Ok(ReplicaSpec {
        model: StepModel::new(coefficients)?,
        kv: KvGeometry::new(kv_blocks, words.next_u32("kv_block_tokens")?)?,
        running_max: words.next_u32("running_max")?,
        step_tokens_max: words.next_u32("step_tokens_max")?,
        mode: EngineMode::ALL[words.next_within("mode", 0, MODES as u32 - 1)? as usize],
        link_group: words.next_u32("link_group")?,
        ready_at: Nanos(words.next()?),
        host_load_s_per_block: f64::from_bits(words.next()?),
        disk_load_s_per_block: f64::from_bits(words.next()?),
        adapter_load_s: f64::from_bits(words.next()?),
    })
}

fn save_replica(replica: &Replica, save: &mut dyn FnMut(u64)) {
    save_spec(&replica.spec, save);
    save(replica.status as u64);
    save(replica.incarnation.into());
    save(replica.heard_at.get());
    save(replica.running.into());
    save(replica.waiting.into());
    save(replica.context_tokens);
    save(replica.kv_free.cast_unsigned());
    save(replica.free_at.get());
    save(replica.routed_s.to_bits());
    save(replica.begun_s.to_bits());
    save(replica.pace.took_s.to_bits());
    save(replica.pace.expected_s.to_bits());
    save(replica.stay_s.to_bits());
    save(replica.last_first.get());
    save(replica.untold.into());
    save(replica.chosen);
    save(replica.tells_events.into());
    save(replica.place.into());
    let Recent { routed, next, len } = &replica.recent;
    for (at, before_s, blocks) in routed {
        save(at.get());
        save(before_s.to_bits());
        save(u64::from(*blocks));
    }
    save(u64::from(*next));
    save(u64::from(*len));
    let Horizon { turns, next, blocks } = &replica.horizon;
    for turn in turns {
        save(turn.get());
    }
    save(u64::from(*next));
    save(*blocks);
}

fn load_replica(words: &mut Words<'_>) -> Result<Replica, Error> {
    let spec = load_spec(words)?;
    let mut replica = Replica::new(Nanos::ZERO, &spec);
    replica.status = Status::ALL[words.next_within("status", 0, 2)? as usize];
    replica.incarnation = words.next_u32("incarnation")?;
    replica.heard_at = Nanos(words.next()?);
    replica.running = words.next_u32("running")?;
    replica.waiting = words.next_u32("waiting")?;
    replica.context_tokens = words.next_count("context_tokens")?;
    replica.kv_free = words.next()?.cast_signed();
    replica.free_at = Nanos(words.next()?);
    replica.routed_s = words.next_real("routed_s", 0.0, SPAN_MAX_S)?;
    replica.begun_s = words.next_real("begun_s", 0.0, SPAN_MAX_S)?;
    replica.pace = load_pace(words)?;
    replica.stay_s = words.next_real("stay_s", 0.0, SPAN_MAX_S)?;
    replica.last_first = Nanos(words.next()?);
    replica.untold = words.next_flag("untold")?;
    replica.chosen = words.next_count("chosen")?;
    replica.tells_events = words.next_flag("tells_events")?;
    replica.place = words.next_u32("place")?;
    for (at, before_s, blocks) in &mut replica.recent.routed {
        *at = Nanos(words.next()?);
        *before_s = words.next_real("before_s", 0.0, SPAN_MAX_S)?;
        *blocks = words.next_u32("blocks")?;
    }
    replica.recent.next = words.next_within("recent_next", 0, RECENT as u32 - 1)?;
    replica.recent.len = words.next_within("recent_len", 0, RECENT as u32)?;
    for turn in &mut replica.horizon.turns {
        *turn = Nanos(words.next()?);
    }
    replica.horizon.next = words.next_within("horizon_next", 0, TURNS as u32 - 1)?;
    replica.horizon.blocks = words.next_u32("horizon_blocks")?.into();
    Ok(replica)
}

/// Sums of seconds that prompts took and were expected to: their ratio is within its range.
fn load_pace(words: &mut Words<'_>) -> Result<Pace, Error> {
    let took_s = words.next_real("took_s", 1e-9, SPAN_MAX_S)?;
    let expected_s = words.next_real("expected_s", 1e-9, SPAN_MAX_S)?;
    let pace = Pace { took_s, expected_s };
    ensure(pace.is_sound())?;
    Ok(pace)
}

fn save_flight(flight: &Flight, save: &mut dyn FnMut(u64)) {
    for stop in [flight.prefill, flight.decode] {
        save(stop.replica.to_raw());
        save(stop.incarnation.into());
        save(stop.blocks.into());
    }
    save(flight.phase as u64);
    save(flight.routed_at.get());
    save(flight.since.get());
    save(flight.due.get());
    save(flight.prompt_tokens.into());
    save(flight.cached_tokens.into());
    save(flight.context_tokens.into());
    save(flight.is_held_up.into());
    for seconds in [flight.work_s, flight.routed_s, flight.alone_s, flight.shared_s] {
        save(seconds.to_bits());
    }
}

fn load_flight(words: &mut Words<'_>) -> Result<Flight, Error> {
    let (prefill, decode) = (load_stop(words)?, load_stop(words)?);
    let phase = Phase::ALL[words.next_within("phase", 0, 2)? as usize];
    let routed_at = Nanos(words.next()?);
    let (since, due) = (Nanos(words.next()?), Nanos(words.next()?));
    let tokens_max = SEQUENCE_TOKENS_MAX as u32;
    let prompt_tokens = words.next_within("prompt_tokens", 1, tokens_max)?;
    Ok(Flight {
        prefill,
        decode,
        phase,
        routed_at,
        since,
        due,
        prompt_tokens,
        cached_tokens: words.next_within("cached_tokens", 0, prompt_tokens)?,
        context_tokens: words.next_within("context_tokens", 0, 2 * tokens_max)?,
        is_held_up: words.next_flag("is_held_up")?,
        work_s: words.next_real("work_s", 0.0, SPAN_MAX_S)?,
        routed_s: words.next_real("routed_s", 0.0, SPAN_MAX_S)?,
        alone_s: words.next_real("alone_s", 0.0, SPAN_MAX_S)?,
        shared_s: words.next_real("shared_s", 0.0, SPAN_MAX_S)?,
    })
}

fn load_stop(words: &mut Words<'_>) -> Result<Stop, Error> {
    Ok(Stop {
        replica: ReplicaId::from_raw(words.next()?),
        incarnation: words.next_u32("incarnation")?,
        blocks: words.next_u32("blocks")?,
    })
}
