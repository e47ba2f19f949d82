//! A recording replays bit for bit, and one that was changed or cut off is found out.

#![cfg(feature = "document")]

mod support;

use proptest::prelude::*;
use rampmeter::batch::continuous::{
    Change, Expiry, HandOver, Observation, Plan, PlanEntry, Preemption, RequestId, StepResult,
    Submission,
};
use rampmeter::batch::record::{Recorder, replay};
use rampmeter::engine::{KvSwap, StepModel};
use rampmeter::policy::{QueueLimits, RateLimits};
use rampmeter::share::exchange::{DeltaEntry, DeltaSource, path_key};
use rampmeter::{Blocks, Nanos, Tokens};
use support::{Prng, Setup, model};

const RUNNING_MAX: usize = 6;

/// A host with a recorder, driven by a seed through calls of every kind, right and wrong.
struct Swarm {
    recorder: Recorder<Vec<u8>>,
    prng: Prng,
    setup: Setup,
    now: Nanos,
    ids: Vec<RequestId>,
    flying: Vec<(u64, Nanos, Vec<PlanEntry>)>,
}

impl Swarm {
    fn new(seed: u64) -> Self {
        let setup = Setup {
            running_max: RUNNING_MAX as u32,
            kv_blocks: 40,
            requests_max: 40,
            adapters: 4,
            adapter_slots: 2,
            replicas: 2,
            ..Setup::default()
        };
        let recorder = Recorder::new(&setup.policy(), setup.kv(), model(), Vec::new()).unwrap();
        let (now, ids, flying) = (Nanos(1), Vec::new(), Vec::new());
        Self { recorder, prng: Prng(seed), setup, now, ids, flying }
    }

    fn some_id(&mut self) -> RequestId {
        let forged = RequestId::from_raw(self.prng.draw());
        let pick = self.prng.below(self.ids.len() as u64 + 1) as usize;
        self.ids.get(pick).copied().unwrap_or(forged)
    }

    fn step(&mut self) {
        self.now = self.now.saturating_add(Nanos(self.prng.below(3_000_000)));
        match self.prng.below(20) {
            0..6 => self.submit(),
            6..11 => self.form(),
            11..16 => self.observe(),
            16 => {
                let id = self.some_id();
                let _ = self.recorder.cancel(self.now, id);
                let id = self.some_id();
                let class = self.prng.chance(50).then(|| self.prng.below(3) as u16);
                let deadline = self.prng.chance(50).then(|| Nanos(self.prng.draw()));
                let change = Change { class, deadline, expires_at: Some(Nanos(self.prng.draw())) };
                let _ = self.recorder.change(self.now, id, &change);
            }
            17 if self.prng.chance(30) => {
                let id = self.some_id();
                let _ = self.recorder.release(self.now, id);
            }
            17 => {
                let (id, tokens) = (self.some_id(), self.prng.below(150) as u32);
                let _ = self.recorder.set_cached_tokens(id, Tokens(tokens));
            }
            18 if self.prng.chance(50) => {
                let id = self.some_id();
                let _ = self.recorder.drop_swapped(self.now, id);
            }
            18 => self.account(),
            19 if self.prng.chance(60) => self.exchange(),
            _ => self.settings(),
        }
    }

    fn submit(&mut self) {
        let account = self.prng.below(5) as usize;
        let submission = Submission {
            tag: self.prng.draw(),
            class: self.prng.below(3) as u16,
            account: self.recorder.batcher().policy_account(account).unwrap_or_default(),
            arrival: self.now,
            prompt_tokens: Tokens(self.prng.below(150) as u32),
            output_tokens_max: Tokens(self.prng.below(30) as u32),
            adapter: self.prng.below(6) as u32,
            shares: self.prng.chance(20).then(|| self.some_id()),
            handed_over: self.prng.chance(10).then(|| HandOver {
                output_tokens: Tokens(self.prng.below(9) as u32),
                first_token: self.now,
            }),
            ..Submission::default()
        };
        if let Ok(answer) = self.recorder.submit(self.now, &submission) {
            self.ids.extend(answer.queued());
        }
    }

    fn form(&mut self) {
        let short = usize::from(self.prng.chance(5));
        let mut entries = vec![PlanEntry::default(); RUNNING_MAX - short];
        let mut preempted = vec![Preemption::default(); RUNNING_MAX];
        let mut expired = vec![Expiry::default(); RUNNING_MAX];
        let mut plan =
            Plan { entries: &mut entries, preempted: &mut preempted, expired: &mut expired };
        let mut cached = Prng(self.prng.draw());
        let mut ask =
            |_: RequestId, _: u64| cached.chance(50).then(|| Tokens(cached.below(99) as u32));
        let Ok(formed) = self.recorder.form_with_cache(self.now, &mut plan, &mut ask) else {
            return;
        };
        entries.truncate(formed.entries_len as usize);
        if let Some(id) = formed.step {
            self.flying.push((id, formed.ends_at, entries));
        }
    }

    fn observe(&mut self) {
        let Some((step, ends_at, entries)) = self.flying.first().cloned() else { return };
        self.now = self.now.max(ends_at);
        let emitting = entries.iter().filter(|entry| entry.emits);
        let results: Vec<StepResult> = emitting
            .map(|entry| StepResult {
                request: entry.request,
                output_tokens: Tokens(1),
                finished: self.prng.chance(5),
            })
            .collect();
        let kv_blocks_free = self.prng.chance(5).then(|| Blocks(self.prng.below(60) as u32));
        let seen =
            Observation { step, kv_blocks_free, results: &results, ..Observation::default() };
        if self.recorder.observe(self.now, &seen).is_ok() {
            self.flying.remove(0);
        }
    }

    fn account(&mut self) {
        let weight =
            [1.0 / 3.0, f64::NAN, f64::INFINITY, -0.0, 5e-324][self.prng.below(5) as usize];
        let id = self.recorder.open_account(None, weight).or_else(|_| {
            let parent = self.recorder.batcher().policy_account(0);
            self.recorder.open_account(parent, 0.1)
        });
        if let Ok(id) = id {
            let _ = self.recorder.set_account_weight(id, weight);
            let requests_max = self.prng.below(3) as u32;
            let limits = QueueLimits { requests_max, ..QueueLimits::default() };
            let _ = self.recorder.set_account_queue(id, limits);
            let rates = RateLimits { tokens_per_minute: u64::MAX, ..RateLimits::default() };
            let _ = self.recorder.set_account_rates(id, rates);
            if let Some(named) = self.recorder.batcher().policy_account(0) {
                let tokens_per_minute = [0, 700_000][self.prng.below(2) as usize];
                let rates = RateLimits { tokens_per_minute, ..RateLimits::default() };
                let _ = self.recorder.set_account_rates(named, rates);
            }
            let _ = self.recorder.close_account(id);
            let _ = self.recorder.close_account(id);
        }
    }

    /// Another engine, or a broken one, tells whom it served; and this one is asked.
    fn exchange(&mut self) {
        if self.prng.chance(20) {
            let (replica, incarnation) = (self.prng.below(4) as u32, self.prng.below(3));
            let _ = self.recorder.set_replica(replica, incarnation);
            let _ = self.recorder.forget_replica(self.prng.below(4) as u32);
            let account = self.recorder.batcher().policy_account(1).unwrap();
            let _ = self.recorder.set_account_key(account, self.prng.below(2));
        }
        let mut out = [DeltaEntry::default(); 3];
        let _ = self.recorder.delta(&mut out[..self.prng.below(4) as usize]);
        let name = format!("account-{}", self.prng.below(5));
        let told = self.now.get() as f64 / 3.0e3;
        let served = match self.prng.below(12) {
            0 => f64::NAN,
            1 => f64::NEG_INFINITY,
            _ => told + self.prng.below(5_000) as f64 / 7.0,
        };
        let (key, lane) = (path_key([name.as_str()]), self.prng.below(8) / 3);
        let entry = DeltaEntry { key, lane, began: 0.0, told, served };
        let source = DeltaSource { replica: self.prng.below(4), incarnation: self.prng.below(3) };
        let _ = self.recorder.merge(source, &[entry]);
    }

    fn settings(&mut self) {
        let mut policy = self.setup.policy();
        policy.accounts[0].weight = 1.0 + self.prng.below(1_000_000) as f64 / 7.0e5;
        policy.limits.running_max += u32::from(self.prng.chance(20));
        policy.limits.step_tokens_max = Tokens(RUNNING_MAX as u32 + 1 + self.prng.below(99) as u32);
        policy.classes[0].queue.requests_max = self.prng.below(6) as u32;
        policy.classes[1].queue.wait_max = Nanos(self.prng.below(2) * 30_000_000);
        policy.batch.kv_overflow_risk_ratio = self.prng.below(11) as f64 / 10.0;
        let _ = self.recorder.set_policy(&policy);
        let swap = KvSwap::new(Blocks(self.prng.below(40) as u32), 1e-5 / 3.0, 1e-6).ok();
        self.recorder.set_swap(swap.filter(|_| self.prng.chance(80)));
        let _ = self.recorder.set_kv_blocks_free(self.now, Blocks(self.prng.below(42) as u32));
        let per_token = (1 + self.prng.below(99)) as f64 * 1e-5 / 3.0;
        let coefficients = [8e-3, per_token, 30e-6, 90e-9, 1e-9, 1e-3, 20e-9];
        self.recorder.set_model(StepModel::new(coefficients).unwrap());
    }
}

/// A finished recording of so many rounds.
fn recording(seed: u64, rounds: u32) -> String {
    let mut swarm = Swarm::new(seed);
    for _ in 0..rounds {
        swarm.step();
    }
    String::from_utf8(swarm.recorder.finish().unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_recording_replays_identically(seed in any::<u64>()) {
        let text = recording(seed, 300);
        let calls = text.lines().count() as u64 - 2;
        prop_assert_eq!(replay(text.as_bytes()).map(|replayed| replayed.calls), Ok(calls));
    }

    /// Cut off anywhere, between lines or within one, it is not taken for whole.
    #[test]
    fn a_recording_cut_off_is_found_out(seed in 0_u64..8, part in 0.0_f64..1.0) {
        let text = recording(seed, 60);
        let kept = &text[..(text.len() as f64 * part) as usize];
        let divergence = replay(kept.as_bytes()).unwrap_err();
        prop_assert_eq!(divergence.line, kept.matches('\n').count() as u64 + 1);
    }
}

#[test]
fn every_kind_of_call_and_answer_is_recorded() {
    let text: String = (0..16).map(|seed| recording(seed, 400)).collect();
    let calls = [
        "submit",
        "cancel",
        "change",
        "set_account_queue",
        "set_account_rates",
        "release",
        "set_cached_tokens",
        "open_account",
        "set_account_weight",
        "close_account",
        "form",
        "observe",
        "set_kv_blocks_free",
        "set_policy",
        "set_model",
        "set_swap",
        "drop_swapped",
        "set_replica",
        "set_account_key",
        "delta",
        "merge",
        "forget_replica",
    ];
    for call in calls {
        assert!(text.contains(&format!("{{\"call\":{{\"{call}\":")), "{call}");
    }
    for answer in ["admission", "account", "formed", "observed", "refused", "delta", "merged"] {
        assert!(text.contains(&format!("\"answer\":{{\"{answer}\":")), "{answer}");
    }
    for detail in [
        "\"queued\":",
        "\"shed\":{",
        "\"expired\":[{",
        "\"weight\":\"NaN\"",
        "\"weight\":\"inf\"",
        "\"asked\":[",
        "\"code\":-6",
        "\"served\":\"NaN\"",
        "\"is_complete\":false",
        "\"merged\":{\"news\":1",
    ] {
        assert!(text.contains(detail), "{detail}");
    }
}

/// Changes the first line that has `from`, and replays.
fn tampered(from: &str, to: &str) -> (u64, rampmeter::batch::record::Divergence) {
    let text = recording(3, 200);
    let line = text.lines().position(|line| line.contains(from)).unwrap() as u64 + 1;
    (line, replay(text.replacen(from, to, 1).as_bytes()).unwrap_err())
}

#[test]
fn a_changed_line_is_named() {
    let (line, divergence) = tampered(
        "\"answer\":{\"admission\":{\"queued\":4294967297}}",
        "\"answer\":{\"admission\":{\"queued\":7}}",
    );
    assert_eq!(divergence.line, line);
    assert_eq!(divergence.expected, "Admission(Queued(Handle(7v0)))");
    assert_eq!(divergence.got, "Admission(Queued(Handle(1v1)))");
    let (line, divergence) = tampered("\"code\":-1,", "\"code\":-2,");
    assert_eq!(divergence.line, line);
    let (line, divergence) = tampered("\"call\":{\"cancel\"", "\"call\":{\"cancle\"");
    assert_eq!(divergence.line, line);
    assert!(divergence.to_string().starts_with(&format!("line {line}: expected a call")));
}

#[test]
fn a_header_of_another_kind_is_refused() {
    for (from, to, named) in [
        ("\"format\":2", "\"format\":3", "format 3"),
        ("running_max = 6", "running_max = 0", "running_max"),
        ("\"kv_blocks\":40", "\"kv_blocks\":0", "kv_blocks"),
        ("\"coefficients\":[0.008", "\"coefficients\":[-0.008", "step_s"),
    ] {
        let (line, divergence) = tampered(from, to);
        assert_eq!((line, divergence.line), (1, 1), "{from}");
        assert!(divergence.got.contains(named), "{divergence}");
    }
}

/// A sink that fails after so many bytes.
struct Failing(usize);

impl std::io::Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_does_not_disturb_the_batcher() {
    let setup = Setup::default();
    let mut recorder = Recorder::new(&setup.policy(), setup.kv(), model(), Failing(3_000)).unwrap();
    for _ in 0..50 {
        recorder.open_account(None, 1.0).ok();
        recorder.set_model(model());
    }
    assert_eq!(recorder.batcher().stats().accounts, setup.accounts + 2);
    let failure = recorder.finish().err().unwrap();
    assert_eq!(failure.kind(), std::io::ErrorKind::StorageFull);
}
