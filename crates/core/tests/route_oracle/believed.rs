//! What is believed of one replica, and what a request costs there by that, in plain numbers.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) const BLOCK: u32 = 16;
pub(crate) const SEATS: f64 = 4.0;
pub(crate) const STEP_TOKENS: f64 = 512.0;
pub(crate) const KV_BLOCKS: f64 = 300.0;
pub(crate) const HOST_S: f64 = 0.000_3;
pub(crate) const DISK_S: f64 = 0.002;
pub(crate) const ADAPTER_S: f64 = 0.25;

/// One step is planned while one runs, as the default policy says.
const AHEAD: f64 = 1.0;

/// What is believed of one replica, in plain numbers.
#[derive(Clone, Default)]
pub(crate) struct Believed {
    pub(crate) ready: bool,
    pub(crate) model: [f64; 7],
    pub(crate) free_at: f64,
    pub(crate) running: f64,
    pub(crate) waiting: f64,
    pub(crate) context: f64,
    pub(crate) kv_free: f64,
    pub(crate) took: f64,
    pub(crate) expected: f64,
    pub(crate) stay: f64,
    pub(crate) last_first: f64,
    /// By request: seconds of work, in order of routing, ever.
    pub(crate) work: Vec<(u64, f64)>,
    /// How many of these were routed up to the last one that has begun.
    pub(crate) begun: usize,
    pub(crate) chosen: u64,
    /// With when they are loaded, the one that was used last at the end.
    pub(crate) adapters: Vec<(u64, f64)>,
    pub(crate) holds: BTreeMap<u64, BTreeSet<u8>>,
}

impl Believed {
    pub(crate) fn pace(&self) -> f64 {
        self.took / self.expected
    }

    pub(crate) fn chunk(&self) -> f64 {
        (STEP_TOKENS - self.running).max(1.0)
    }

    pub(crate) fn decode(&self) -> f64 {
        self.model[0] + self.model[2] * self.running + self.model[3] * self.context
    }

    pub(crate) fn mixed(&self) -> f64 {
        (self.decode() + self.model[5] + self.model[6] * self.context).max(0.0)
    }

    pub(crate) fn dense(&self, tokens: f64, history: f64) -> f64 {
        self.model[1] * tokens + self.model[4] * tokens * (history + tokens / 2.0)
    }

    pub(crate) fn alone(&self, computed: f64, cached: f64) -> f64 {
        (computed / self.chunk()).ceil() * self.mixed() + self.dense(computed, cached)
    }

    pub(crate) fn shared(&self, computed: f64, cached: f64) -> f64 {
        computed / self.chunk() * self.mixed() + self.dense(computed, cached)
    }

    /// A step of those that decode, if there are any.
    pub(crate) fn step(&self) -> f64 {
        if self.running > 0.0 { self.pace() * self.decode() } else { 0.0 }
    }

    /// From the end of a queue to the first step that a request can be part of.
    pub(crate) fn entry(&self, queue: f64) -> f64 {
        let full = self.pace() * (self.mixed() + self.dense(self.chunk(), 0.0));
        let waiting = self.begun < self.work.len();
        if waiting || queue == 0.0 {
            ((0.5 + AHEAD) * self.step() - queue).max(0.0)
        } else if queue < full {
            AHEAD * self.step()
        } else {
            0.0
        }
    }

    /// The request of this name, or one that was routed after it, has begun.
    pub(crate) fn begins(&mut self, name: u64) {
        let place = self.work.iter().position(|(it, _)| *it == name).unwrap();
        self.begun = self.begun.max(place + 1);
    }

    pub(crate) fn after(&self, name: u64) -> f64 {
        let after = self.work.iter().rev().take_while(|(it, _)| *it != name);
        after.map(|(_, work)| work).sum()
    }

    pub(crate) fn adapter(&self, now: f64, adapter: u64) -> f64 {
        let until = |at: f64| (at - now).max(0.0);
        let there = self.adapters.iter().find(|(it, _)| *it == adapter);
        let last = self.adapters.iter().fold(0.0, |last: f64, (_, at)| last.max(*at));
        match there {
            _ if adapter == 0 => 0.0,
            Some((_, at)) => until(*at),
            None => until(last) + ADAPTER_S,
        }
    }

    /// Leading blocks of the prompt in the fastest so many tiers.
    pub(crate) fn held(&self, hashes: &[u64], tiers: u8) -> f64 {
        let holds = |hash: &&u64| {
            self.holds.get(hash).is_some_and(|in_tiers| in_tiers.iter().any(|tier| *tier < tiers))
        };
        hashes.iter().take_while(holds).count() as f64
    }

    /// The cost, how many tokens are not computed, and whether more than prompts is waited for.
    pub(crate) fn cost(&self, now: f64, asked: &Asked, hashes: &[u64]) -> (f64, f64, bool) {
        let (p, v) = (asked.prompt, asked.value);
        let [device, host, disk] = [1, 2, 3].map(|tiers| self.held(hashes, tiers));
        let ways = [
            (device, 0.0),
            (host, (host - device) * HOST_S),
            (disk, (host - device) * HOST_S + (disk - host) * DISK_S),
        ];
        let (mut cached, mut load, mut prefill) = (0.0, 0.0, f64::INFINITY);
        for (blocks, load_s) in ways {
            let tokens = (blocks * f64::from(BLOCK)).min(p - 1.0);
            let prefill_s = self.pace() * self.alone(p - tokens, tokens);
            if load_s + prefill_s < load + prefill {
                (cached, load, prefill) = (tokens, load_s, prefill_s);
            }
        }
        let queue = (self.free_at - now).max(0.0);
        let stay = if self.stay > 0.0 { self.stay } else { asked.stay };
        let seats = (self.running + self.waiting + 1.0 - SEATS).max(0.0) * stay / SEATS;
        let needed = ((p - cached) / f64::from(BLOCK)).ceil();
        let kv = (needed - self.kv_free).max(0.0) * stay / KV_BLOCKS;
        let room = seats.max(kv);
        let ahead = AHEAD * self.step();
        let free = if room > 0.0 { room + ahead } else { 0.0 };
        let start = (queue + self.entry(queue)).max(free);
        let chunks = ((p - cached) / self.chunk()).ceil();
        let until = (start - ahead).max(0.0) + prefill * (1.0 - 1.0 / chunks);
        let come = (asked.rate * until * asked.computed).min(self.chunk());
        let beside = come - come * come / (2.0 * self.chunk());
        let shared = if queue > 0.0 { self.pace() * self.model[1] * beside } else { 0.0 };
        let adapter = self.adapter(now, asked.adapter);
        let ttft = start + adapter + load + prefill + shared;
        let added =
            (self.mixed() - self.decode()).max(0.0) * chunks + self.dense(p - cached, cached);
        let one_more = self.model[2] + self.model[3] * (p + asked.output / 2.0);
        let own = v * (self.decode() - self.model[0]);
        let theirs = asked.value_mean * self.running * one_more;
        let interference =
            self.pace() * (asked.value_mean * self.running * added + asked.output * (own + theirs));
        let later = asked.value_mean * asked.rate * queue * prefill;
        let held_up = adapter + load > 0.0 || room > queue;
        (v * ttft + interference + later, cached, held_up)
    }
}

/// What the model knows of all requests.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) prompt: f64,
    pub(crate) adapter: u64,
    pub(crate) value: f64,
    pub(crate) value_mean: f64,
    pub(crate) output: f64,
    pub(crate) computed: f64,
    pub(crate) stay: f64,
    pub(crate) rate: f64,
}
