//! Drives a batcher and a ledger with mixed calls, right and wrong, out of fixed memory.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part that it needs")]

mod counts;
mod exchange;
pub mod ledger;
mod log;
pub mod parts;
pub mod placer;

use rampmeter::batch::continuous::{
    Admission, Batcher, Change, Expiry, HandOver, Observation, Plan, PlanEntry, Preemption,
    Progress, RequestId, Stage, StepResult, Submission,
};
use rampmeter::engine::{KvGeometry, KvSwap, StepModel};
use rampmeter::policy::{EngineMode, Policy, QueueLimits, RateLimits};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Nanos, Tokens};

use crate::support::{Prng, Setup, model};
pub use counts::Counts;

const RUNNING_MAX: usize = 12;
const IDS_MAX: usize = 512;
const STEPS_MAX: usize = 3;

/// A step in flight, as the host remembers it.
#[derive(Clone, Copy, Default)]
struct Flying {
    id: u64,
    ends_at: Nanos,
    entries: [PlanEntry; RUNNING_MAX],
    entries_len: usize,
}

/// A host that keeps nothing but arrays.
pub struct Lean {
    batcher: Batcher,
    prng: Prng,
    now: Nanos,
    /// Ids issued lately: live ones, and ones that have ended.
    ids: [RequestId; IDS_MAX],
    ids_next: usize,
    last: Submission,
    steps: [Flying; STEPS_MAX],
    steps_len: usize,
    entries: [PlanEntry; RUNNING_MAX],
    preempted: [Preemption; RUNNING_MAX],
    expired: [Expiry; RUNNING_MAX],
    guest: AccountId,
    policies: [Policy; 7],
    /// The policy taken last.
    policy: usize,
    /// What other engines have served by now.
    peer_served: f64,
    kv: KvGeometry,
    snapshot: Box<[u8]>,
    pub counts: Counts,
}

impl Lean {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, EngineMode::Mixed, &Setup::default())
    }

    /// As new, with another engine mode, risk, and swap space.
    pub fn with(seed: u64, mode: EngineMode, dials: &Setup) -> Self {
        let setup = Setup {
            running_max: RUNNING_MAX as u32,
            steps_in_flight: STEPS_MAX as u32,
            requests_max: 40,
            kv_blocks: 60,
            adapters: 9,
            adapter_slots: 3,
            replicas: 2,
            ..dials.clone()
        };
        let mut policy = setup.policy();
        policy.batch.mode = mode;
        let mut changed = policy.clone();
        changed.accounts[0].weight = 2.0;
        changed.classes[1].guaranteed_ratio = 0.1;
        changed.classes[1].queue =
            QueueLimits { requests_max: 6, tokens_max: 900, wait_max: Nanos::from_millis(3_000) };
        changed.accounts[0].queue.wait_max = Nanos::from_millis(3_100);
        // A simulated run lasts minutes.
        changed.accounts[0].rates =
            RateLimits { requests_per_minute: 300, tokens_per_minute: 20_000, burst: Nanos(0) };
        changed.batch.triage = false;
        changed.batch.kv_overflow_risk_ratio = 0.1;
        changed.batch.model_memory_steps = 60;
        let mut larger = policy.clone();
        larger.limits.running_max += 1;
        let fewer = Setup { classes: 1, ..setup.clone() }.policy();
        let mut wrong = policy.clone();
        wrong.classes[0].delay_value = f64::NAN;
        let mut half = policy.clone();
        half.batch.mode = EngineMode::Prefill;
        let mut twins = policy.clone();
        let name = twins.classes[0].name.clone();
        twins.classes[1].name = name;
        let mut batcher = Batcher::new(&policy, setup.kv(), model()).unwrap();
        batcher.set_swap((setup.swap_blocks > 0).then(|| setup.swap()));
        // Snapshots grow with what the batcher holds.
        let snapshot = vec![0; 4 * batcher.snapshot_bytes() as usize].into_boxed_slice();
        Self {
            batcher,
            prng: Prng(seed),
            now: Nanos(1_000),
            ids: [RequestId::default(); IDS_MAX],
            ids_next: 0,
            last: Submission::default(),
            steps: [Flying::default(); STEPS_MAX],
            steps_len: 0,
            entries: [PlanEntry::default(); RUNNING_MAX],
            preempted: [Preemption::default(); RUNNING_MAX],
            expired: [Expiry::default(); RUNNING_MAX],
            guest: AccountId::default(),
            policies: [policy, changed, larger, fewer, wrong, twins, half],
            policy: 0,
            peer_served: 0.0,
            kv: setup.kv(),
            snapshot,
            counts: Counts::default(),
        }
    }

    /// Makes `calls` calls.
    pub fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            self.now = self.now.saturating_add(Nanos(self.prng.below(2_000_000)));
            match self.prng.below(100) {
                0..25 => self.submit(),
                25..31 => self.cancel(),
                31 => self.release(),
                32..58 => self.form(),
                58..84 => self.observe(),
                84..86 => self.set_cached_tokens(),
                86..88 => self.change(),
                88..89 => self.set_kv_blocks_free(),
                89..90 => self.swap(),
                90 if self.prng.chance(70) => self.exchange(),
                90..94 => self.ask(),
                94..98 => self.accounts(),
                _ => self.settings(),
            }
        }
    }

    /// What the batcher is to be restored with.
    pub fn saved(&self) -> (Policy, KvGeometry, Vec<u8>) {
        let mut bytes = vec![0; self.batcher.snapshot_bytes() as usize];
        assert_eq!(self.batcher.save(&mut bytes), Ok(bytes.len()));
        (self.policies[self.policy].clone(), self.kv, bytes)
    }

    /// Goes on with another batcher.
    pub fn go_on_with(&mut self, batcher: Batcher) {
        self.batcher = batcher;
    }

    fn save(&mut self) {
        let len = if self.prng.chance(10) { 40 } else { self.snapshot.len() };
        let answer = self.batcher.save(&mut self.snapshot[..len]);
        self.counts.note("save", answer);
    }

    /// A number that is right most of the time, else one of the classic wrong ones.
    fn mostly(&mut self, right: u64) -> u64 {
        match self.prng.below(40) {
            0 => 0,
            1 => u64::from(u32::MAX),
            2 => right.wrapping_neg() & 0xffff_ffff,
            _ => right,
        }
    }

    fn clock(&mut self) -> Nanos {
        if self.prng.chance(2) { Nanos(3) } else { self.now }
    }

    fn some_id(&mut self) -> RequestId {
        if self.prng.chance(5) {
            return RequestId::from_raw(self.prng.draw());
        }
        self.ids[self.prng.below(IDS_MAX as u64) as usize]
    }

    fn some_account(&mut self) -> AccountId {
        match self.prng.below(40) {
            0 => AccountId::from_raw(self.prng.draw()),
            1 | 2 => self.guest,
            pick => self.batcher.policy_account(pick as usize % 4).unwrap_or_default(),
        }
    }

    fn submit(&mut self) {
        let late = self.prng.below(3_000_000_000);
        let prompt = 1 + self.prng.below(200);
        let cached = self.prng.below(prompt);
        let output = 1 + self.prng.below(40);
        let adapter = if self.prng.chance(50) { 1 + self.prng.below(9) } else { 0 };
        let adapter = self.mostly(adapter);
        let handed_over = self.prng.chance(10).then(|| HandOver {
            output_tokens: Tokens(self.prng.below(8) as u32),
            first_token: Nanos(self.prng.below(1_000)),
        });
        let submission = Submission {
            tag: self.prng.draw(),
            class: self.mostly(u64::from(self.prng.0 >> 7 & 1 == 1)) as u16,
            account: self.some_account(),
            arrival: if self.prng.chance(2) {
                Nanos::MAX
            } else {
                self.now.saturating_sub(Nanos(late))
            },
            prompt_tokens: Tokens(self.mostly(prompt) as u32),
            cached_tokens: Tokens(self.mostly(cached) as u32),
            output_tokens_max: Tokens(self.mostly(output) as u32),
            deadline: self.some_moment(),
            expires_at: self.some_moment(),
            adapter: adapter as u32,
            shares: None,
            handed_over,
        };
        // Every third one is a copy of the one before that shares its prompt, or nearly so.
        let shares = self.prng.chance(33);
        let submission = if shares { self.sibling() } else { submission };
        self.last = submission;
        let now = self.clock();
        let answer = self.batcher.submit(now, &submission);
        let answer = self.counts.note("submit", answer);
        if let Some(id) = answer.and_then(Admission::queued) {
            self.ids[self.ids_next % IDS_MAX] = id;
            self.ids_next += 1;
        }
    }

    /// Mostly none, else one before or after now.
    fn some_moment(&mut self) -> Option<Nanos> {
        let after = self.prng.below(400_000_000);
        let moment = self.now.saturating_add(Nanos(after)).saturating_sub(Nanos(200_000_000));
        self.prng.chance(10).then_some(moment)
    }

    fn change(&mut self) {
        let class = self.prng.chance(50).then(|| self.prng.below(3) as u16);
        let (deadline, expires_at) = (self.some_moment(), self.some_moment());
        let (now, id) = (self.clock(), self.some_id());
        let answer = self.batcher.change(now, id, &Change { class, deadline, expires_at });
        self.counts.note("change", answer);
    }

    /// Asserts that requests were turned away and given up, too.
    pub fn assert_shed_and_expired(&self) {
        let stats = self.batcher.stats();
        assert!(stats.shed > 100 && stats.expired > 100, "{stats:?}");
    }

    /// The request that came in last once more, to share its prompt; wrong at times.
    fn sibling(&mut self) -> Submission {
        let newest = self.ids[self.ids_next.wrapping_sub(1) % IDS_MAX];
        let mut submission = Submission { shares: Some(newest), ..self.last };
        match self.prng.below(10) {
            0 => submission.prompt_tokens = Tokens(self.prng.below(200) as u32),
            1 => submission.shares = Some(self.some_id()),
            _ => submission.handed_over = None,
        }
        submission
    }

    fn release(&mut self) {
        let (now, id) = (self.clock(), self.some_id());
        let answer = self.batcher.release(now, id);
        self.counts.note("release", answer);
    }

    fn cancel(&mut self) {
        let (now, id) = (self.clock(), self.some_id());
        let answer = self.batcher.cancel(now, id);
        self.counts.note("cancel", answer);
    }

    fn form(&mut self) {
        let now = self.clock();
        let [mut entries, mut preempted, mut expired] = [RUNNING_MAX; 3];
        match self.prng.below(40) {
            0 => entries = 0,
            1 => preempted -= 1,
            2 => expired -= 1,
            _ => {}
        }
        let mut plan = Plan {
            entries: &mut self.entries[..entries],
            preempted: &mut self.preempted[..preempted],
            expired: &mut self.expired[..expired],
        };
        let answer = self.batcher.form(now, &mut plan);
        let Some(formed) = self.counts.note("form", answer) else { return };
        let entries = &self.entries[..formed.entries_len as usize];
        self.counts.swapped_in += entries.iter().filter(|entry| entry.swapped_in).count() as u64;
        let Some(id) = formed.step else { return };
        // A batcher that was forged may have forgotten a step.
        let Some(place) = self.steps.get_mut(self.steps_len) else { return };
        *place = Flying {
            id,
            ends_at: formed.ends_at,
            entries: self.entries,
            entries_len: formed.entries_len as usize,
        };
        self.steps_len += 1;
    }

    fn observe(&mut self) {
        let step = self.steps[0];
        let mut results = [StepResult::default(); RUNNING_MAX + 1];
        let mut len = 0;
        for entry in step.entries[..step.entries_len].iter().filter(|entry| entry.emits) {
            let output_tokens = Tokens(1);
            let finished = self.prng.chance(5);
            results[len] = StepResult { request: entry.request, output_tokens, finished };
            len += 1;
        }
        let mut id = step.id;
        let mut kv_blocks_free = None;
        match self.prng.below(24) {
            0 => id = self.prng.draw(),
            1 => (results[len], len) = (results[0], len + 1),
            2 => results[0].request = self.some_id(),
            3 => results[0].output_tokens = Tokens(u32::MAX),
            4 => kv_blocks_free = Some(Blocks(u32::MAX)),
            _ => {}
        }
        if id == step.id && !self.prng.chance(2) {
            self.now = self.now.max(step.ends_at);
        }
        let now = self.clock();
        let seen = Observation {
            step: id,
            kv_blocks_free,
            results: &results[..len],
            ..Observation::default()
        };
        let answer = self.batcher.observe(now, &seen);
        if self.counts.note("observe", answer).is_some() {
            self.steps.copy_within(1.., 0);
            self.steps_len = self.steps_len.saturating_sub(1);
        }
    }

    fn set_cached_tokens(&mut self) {
        let (id, tokens) = (self.some_id(), self.prng.below(300) as u32);
        let answer = self.batcher.set_cached_tokens(id, Tokens(tokens));
        self.counts.note("set_cached_tokens", answer);
    }

    fn set_kv_blocks_free(&mut self) {
        // Few at times, and some that the cache does not have.
        let (now, blocks) = (self.clock(), self.prng.below(70) as u32);
        let answer = self.batcher.set_kv_blocks_free(now, Blocks(blocks));
        self.counts.note("set_kv_blocks_free", answer);
    }

    fn swap(&mut self) {
        let (now, mut id) = (self.clock(), self.some_id());
        // One whose KV is out, if it can be found.
        for pick in 0..IDS_MAX {
            let known = self.batcher.progress(self.ids[pick]);
            let out = |known: Progress| {
                known.stage == Stage::Preempted && known.computed_tokens > Tokens::ZERO
            };
            if self.prng.chance(90) && known.is_ok_and(out) {
                id = self.ids[pick];
            }
        }
        let answer = self.batcher.drop_swapped(now, id);
        self.counts.note("drop_swapped", answer);
        let out_s = [1e-6, f64::NAN][usize::from(self.prng.chance(20))];
        let swap = KvSwap::new(Blocks(self.prng.below(40) as u32), out_s, 1e-6);
        let swap = self.counts.note("swap", swap);
        self.batcher.set_swap(swap);
    }

    fn ask(&mut self) {
        let id = self.some_id();
        let answer = self.batcher.progress(id);
        self.counts.note("progress", answer);
        for now in [self.now, Nanos(3)] {
            let answer = self.batcher.explain(now, id);
            self.counts.note("explain", answer);
        }
        let answer = self.batcher.class_stats((self.prng.below(9) / 4) as u16);
        self.counts.note("class_stats", answer);
        self.save();
        std::hint::black_box((self.batcher.stats(), self.batcher.next_event(self.now)));
    }

    fn accounts(&mut self) {
        let weight = [1.0, 3.5, f64::NAN, 0.0][self.prng.below(4) as usize];
        match self.prng.below(4) {
            3 => {
                let requests_max = [0, 3, u32::MAX][self.prng.below(3) as usize];
                let limits = QueueLimits { requests_max, ..QueueLimits::default() };
                let account = self.some_account();
                let answer = self.batcher.set_account_queue(account, limits);
                self.counts.note("set_account_queue", answer);
                let rates = RateLimits {
                    requests_per_minute: [0, 600][self.prng.below(2) as usize],
                    tokens_per_minute: [0, 1, u64::MAX][self.prng.below(3) as usize],
                    burst: Nanos(self.prng.below(1 << 40)),
                };
                let account = self.some_account();
                let answer = self.batcher.set_account_rates(account, rates);
                self.counts.note("set_account_rates", answer);
            }
            0 => {
                let answer = self.batcher.open_account(None, weight);
                if let Some(guest) = self.counts.note("open_account", answer) {
                    self.guest = guest;
                }
            }
            1 => {
                let account = self.some_account();
                let answer = self.batcher.set_account_weight(account, weight);
                self.counts.note("set_account_weight", answer);
            }
            _ => {
                // The accounts of the policy stay open: a changed policy sets their weights.
                let forged = AccountId::from_raw(self.prng.draw());
                let account = if self.prng.chance(20) { forged } else { self.guest };
                let answer = self.batcher.close_account(account);
                self.counts.note("close_account", answer);
            }
        }
    }

    fn settings(&mut self) {
        let pick = self.prng.below(self.policies.len() as u64) as usize;
        let answer = self.batcher.set_policy(&self.policies[pick]);
        if self.counts.note("set_policy", answer).is_some() {
            self.policy = pick;
        }
        let slope = [40e-6, f64::NAN, 0.0][self.prng.below(3) as usize];
        let model = StepModel::new([8e-3, slope, 30e-6, 90e-9, 1e-9, 1e-3, 20e-9]);
        if let Some(model) = self.counts.note("model", model) {
            self.batcher.set_model(model);
        }
    }
}
