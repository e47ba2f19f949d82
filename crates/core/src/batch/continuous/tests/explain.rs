//! What is said about a request agrees with what becomes of it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A deterministic source of numbers (splitmix64).
struct Prng(u64);

impl Prng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Two batchers that get the same calls; only the first is asked for reasons.
struct Swarm {
    asked: Rig,
    twin: Rig,
    prng: Prng,
    ids: Vec<RequestId>,
    adapters: u32,
    seen: BTreeMap<u8, u32>,
}

impl Swarm {
    fn new(seed: u64) -> Self {
        let mut prng = Prng(seed);
        let mut policy = policy();
        policy.limits.steps_in_flight_max = 1 + prng.below(3) as u32;
        policy.limits.running_max = 2 + prng.below(6) as u32;
        policy.limits.adapters_max = 3 * prng.below(2) as u32;
        policy.limits.adapter_slots_max = 1 + prng.below(2) as u32;
        policy.limits.step_tokens_max = Tokens(60 + prng.below(200) as u32);
        policy.batch.urgency_credit_tokens = 200.0 * prng.below(3) as f64;
        policy.batch.late_ratio = 0.1 * prng.below(3) as f64;
        policy.batch.triage = prng.chance(85);
        policy.classes[1].guaranteed_ratio = 0.1 * prng.below(3) as f64;
        policy.classes[0].ttft_target = Nanos::from_millis(200);
        policy.accounts[2].parent = prng.chance(50).then(|| "a".into());
        let blocks = 20 + prng.below(60) as u32;
        let rig = || Rig::with_blocks(&policy, blocks);
        let (asked, twin, adapters) = (rig(), rig(), policy.limits.adapters_max);
        Self { asked, twin, prng, ids: Vec::new(), adapters, seen: BTreeMap::new() }
    }

    fn both<T: PartialEq + core::fmt::Debug>(&mut self, call: impl Fn(&mut Rig) -> T) -> T {
        let answer = call(&mut self.asked);
        assert_eq!(answer, call(&mut self.twin), "being asked changes nothing");
        answer
    }

    fn submit(&mut self) {
        let prng = &mut self.prng;
        let newest = self.ids.last().copied();
        let submission = Submission {
            class: prng.below(2) as u16,
            account: self.asked.account(prng.below(3) as usize),
            arrival: self.asked.now,
            prompt_tokens: Tokens(1 + prng.below(150) as u32),
            output_tokens_max: Tokens(1 + prng.below(40) as u32),
            adapter: prng.below(u64::from(self.adapters) + 1) as u32,
            expires_at: prng.chance(15).then(|| self.asked.now.offset_seconds(0.4)),
            ..Submission::default()
        };
        let last = newest.and_then(|id| self.asked.batcher.requests.get(id).ok());
        let shared = last.filter(|_| prng.chance(20)).map(|of| Submission {
            class: of.class.into(),
            account: of.account,
            prompt_tokens: Tokens(of.prompt_tokens),
            adapter: of.adapter,
            shares: newest,
            ..submission
        });
        let submission = shared.unwrap_or(submission);
        let answer = self.both(|rig| rig.batcher.submit(rig.now, &submission).ok());
        self.ids.extend(answer.and_then(Admission::queued));
    }

    fn step(&mut self) {
        let pause = self.prng.below(20) as f64 / 1e3;
        self.both(|rig| rig.wait(pause));
        match self.prng.below(10) {
            0..4 => self.submit(),
            4..7 => self.form(),
            7 | 8 if !self.asked.flying.is_empty() => {
                self.both(Rig::land);
            }
            _ if self.prng.chance(10) && !self.ids.is_empty() => {
                let id = self.ids[self.prng.below(self.ids.len() as u64) as usize];
                let _ = self.both(|rig| rig.batcher.cancel(rig.now, id));
            }
            _ => {}
        }
        let batcher = &self.asked.batcher;
        self.ids.retain(|id| batcher.requests.get(*id).is_ok());
    }

    fn explain_all(&mut self) -> Vec<(RequestId, Explanation)> {
        let Rig { batcher, now, .. } = &self.asked;
        let explain = |id: &RequestId| (*id, batcher.explain(*now, *id).unwrap());
        let all: Vec<_> = self.ids.iter().map(explain).collect();
        for (id, why) in &all {
            *self.seen.entry(why.reason as u8).or_default() += 1;
            check(batcher, *now, *id, why);
        }
        all
    }

    fn form(&mut self) {
        let before = self.explain_all();
        let full = self.asked.flying.len() as u32 == self.asked.batcher.steps.capacity();
        if full {
            assert!(before.iter().all(|(_, why)| why.reason != Reason::Next));
            return;
        }
        let entries = self.both(Rig::form);
        let preempted = !self.asked.preempted.is_empty();
        let batcher = &self.asked.batcher;
        self.ids.retain(|id| batcher.requests.get(*id).is_ok());
        let after: BTreeMap<_, _> = self.explain_all().into_iter().collect();
        let admitted: Vec<_> = entries.iter().filter(|entry| entry.admitted).collect();
        for (id, why) in before {
            let is_in = admitted.iter().any(|entry| entry.request == id);
            let Some(now) = after.get(&id) else { continue };
            if why.reason == Reason::Next {
                assert!(is_in || now.reason != Reason::Next, "{why:?} then {now:?}");
            }
            if why.head_reason == Reason::Next && self.adapters == 0 && !preempted {
                let first = admitted.first().map(|entry| entry.request);
                let head_now = after.get(&why.head);
                let closed = head_now.is_none_or(|head| head.reason != Reason::Next);
                assert!(first == Some(why.head) || closed, "{why:?}: {first:?}");
            }
        }
    }
}

/// Each reason holds by the books of the batcher itself.
fn check(batcher: &Batcher, now: Nanos, id: RequestId, why: &Explanation) {
    let request = batcher.requests.get(id).unwrap();
    let of = |id: RequestId| batcher.requests.get(id).unwrap();
    assert_eq!(why, &batcher.explain(now, id).unwrap());
    let start = batcher.steps.ends_at().map_or(now, |end| end.max(now)).get();
    let waits = matches!(why.stage, Stage::Waiting | Stage::Late | Stage::Preempted);
    let late = |request: &Request| {
        request.stage == Stage::Late || start > request.latest_start_ns && batcher.rules.triage
    };
    match why.reason {
        Reason::Running => assert_eq!(why.stage, Stage::Running),
        Reason::HandedOver => assert_eq!(why.stage, Stage::HandedOver),
        Reason::Ended => assert_eq!(why.stage, Stage::Ended),
        Reason::Nobody => panic!("{why:?}"),
        _ => assert!(waits, "{why:?}"),
    }
    match why.reason {
        Reason::Seats => assert_eq!(batcher.running_len, batcher.limits.running_max),
        Reason::Class => {
            let head = of(why.head);
            assert!(matches!(head.stage, Stage::Waiting | Stage::Late | Stage::Preempted));
            assert_eq!(u16::from(head.class), why.head_class);
            assert_ne!(head.class, request.class);
            let owed = batcher.lines.debts.is_owed(head.class.into());
            assert!(head.class < request.class || owed || recorded(batcher), "{why:?}");
        }
        Reason::Account => {
            let most = why.account_counter_min + why.credit;
            assert!(why.account_counter > most * (1.0 - 1e-12), "{why:?}");
        }
        Reason::Interrupted => assert_eq!(of(why.head).stage, Stage::Preempted),
        Reason::Late => {
            assert!(late(request) && of(why.head).stage != Stage::Late);
            assert_eq!(of(why.head).class, request.class);
        }
        Reason::LateShare => assert!(late(of(why.head))),
        Reason::Order => assert!(of(why.head).class == request.class && why.head != id),
        Reason::Expired => assert!(request.expires_ns <= now.get()),
        Reason::StepsInFlight => assert_eq!(batcher.steps.len(), batcher.steps.capacity()),
        _ => {}
    }
    match why.obstacle {
        Obstacle::Adapter => assert!(!batcher.lines.adapters.is_open(request.adapter)),
        Obstacle::InFlight => assert_ne!(request.in_flight, 0),
        Obstacle::Memory => assert!(!batcher.memory.fits(request, batcher.shared_blocks(request))),
        _ => {}
    }
    if waits && why.head == id {
        assert_eq!((why.ahead_requests, why.ahead_tokens), (0, 0));
        let same = (why.head_reason, why.head_obstacle) == (why.reason, why.obstacle);
        assert!(same || request.expires_ns <= now.get(), "{why:?}");
    }
    assert!(why.ahead_requests < batcher.lines.len().max(1), "{why:?}");
    assert_eq!(why.obstacle != Obstacle::None, why.reason == Reason::Obstacle);
}

/// The head is who closed the last step, perhaps by a debt that is paid by now.
fn recorded(batcher: &Batcher) -> bool {
    batcher.closing.is_known(batcher.observations)
}

fn swarm(seed: u64, steps: u32) -> BTreeMap<u8, u32> {
    let mut swarm = Swarm::new(seed);
    for _ in 0..steps {
        swarm.step();
    }
    swarm.seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn reasons_hold_and_come_true(seed in any::<u64>()) {
        swarm(seed, 500);
    }
}

#[test]
fn every_reason_is_given() {
    let mut seen: BTreeMap<u8, u32> = BTreeMap::new();
    for seed in 0..150 {
        for (reason, times) in swarm(seed, 400) {
            *seen.entry(reason).or_default() += times;
        }
    }
    // All but those of a line without anybody, and of engines of one half.
    for reason in (1..=17).filter(|reason| *reason != Reason::HandedOver as u8) {
        assert!(seen.get(&reason).is_some_and(|times| *times > 5), "{reason}: {seen:?}");
    }
}

#[test]
fn a_request_is_told_what_it_waits_for() {
    use Reason::{Account, Class, Next, Order, Running, Seats};

    let mut rig = Rig::new(&one_seat());
    let ids: Vec<_> = [(0, 0, 100), (0, 0, 200), (0, 1, 300), (1, 1, 400)]
        .map(|(class, account, prompt)| rig.submit(class, account, prompt, 5))
        .to_vec();
    let reasons = |rig: &Rig| -> Vec<Reason> {
        ids.iter().map(|id| rig.batcher.explain(rig.now, *id).unwrap().reason).collect()
    };
    assert_eq!(reasons(&rig), [Next, Order, Order, Class]);
    rig.step();
    // The first account has had 100 tokens, and no credit.
    assert_eq!(reasons(&rig), [Running, Account, Seats, Class]);
    let why = rig.batcher.explain(rig.now, ids[1]).unwrap();
    assert_eq!((why.head, why.head_reason), (ids[2], Seats));
    assert_eq!((why.account_counter - why.account_counter_min, why.credit), (105.0, 0.0));
    // Until the other one has had as many again, its 300 tokens cannot be cut.
    assert_eq!(why.ahead_requests, 1);
    let why = rig.batcher.explain(rig.now, ids[3]).unwrap();
    assert_eq!((why.ahead_requests, why.ahead_tokens), (2, 500));
    let earlier = Nanos(rig.now.get() - 1);
    assert!(matches!(rig.batcher.explain(earlier, ids[3]), Err(Error::TimeReversed { .. })));
    let forged = RequestId::from_raw(u64::MAX);
    assert!(matches!(rig.batcher.explain(rig.now, forged), Err(Error::Stale { .. })));
}

/// A load: the class that is looked at, percent of requests that are of the first class, mean
/// seconds between two requests.
type Load = (u16, u64, f64);

/// Relative errors of the predicted start, sorted: what was said when a request came, against its
/// wait, over the requests of one class that waited for 0.2 s or more; and how many of those
/// nothing was said of.
fn errors((class, first_percent, interval_s): Load, seed: u64) -> (Vec<f64>, usize) {
    let mut policy = policy();
    policy.limits.requests_max = 4_096;
    policy.batch = BatchRules { model_memory_steps: 0, ..BatchRules::default() };
    let (mut rig, mut prng) = (Rig::new(&policy), Prng(seed));
    let (mut next_s, mut said) = (0.0, BTreeMap::new());
    let (mut errors, mut unknown) = (Vec::new(), 0);
    while rig.now < Nanos::from_seconds(300.0) {
        while next_s <= rig.now.as_seconds() {
            let of = u16::from(!prng.chance(first_percent));
            let account = prng.below(3) as usize;
            let (prompt, output) = (100 + prng.below(1_900), 1 + prng.below(50));
            let id = rig.submit(of, account, prompt as u32, output as u32);
            let why = rig.batcher.explain(rig.now, id).unwrap();
            // The first 30 s fill the queues and the measured pace.
            if of == class && rig.now > Nanos::from_seconds(30.0) {
                said.insert(id, (rig.now, why.predicted_start));
            }
            next_s -= interval_s * libm::log((prng.below(1 << 20) + 1) as f64 / 1_048_577.0);
        }
        let (formed_at, entries) = (rig.now, rig.step());
        for entry in entries.iter().filter(|entry| entry.admitted) {
            let Some((from, predicted)) = said.remove(&entry.request) else { continue };
            let waited_s = formed_at.saturating_sub(from).as_seconds();
            if waited_s < 0.2 {
                continue;
            }
            if predicted == Nanos::MAX {
                unknown += 1;
                continue;
            }
            let predicted_s = predicted.saturating_sub(from).as_seconds();
            errors.push((predicted_s - waited_s).abs() / waited_s);
        }
        if entries.is_empty() {
            rig.wait(0.01);
        }
    }
    errors.sort_unstable_by(f64::total_cmp);
    (errors, unknown)
}

#[test]
fn the_predicted_start_is_about_right() {
    let loads = [(0, 100, 0.044), (0, 100, 0.050), (1, 50, 0.046), (1, 50, 0.044), (1, 50, 0.042)];
    for load in loads {
        let (errors, unknown) = errors(load, 7);
        let at = |ratio: f64| errors[(errors.len() as f64 * ratio) as usize];
        let (median, ninth) = (at(0.5), at(0.9));
        std::println!("{load:?}: {} waits, error {median:.2}, {ninth:.2}", errors.len());
        assert!(errors.len() > 200 && unknown == 0, "{load:?}: {} {unknown}", errors.len());
        assert!(median < 0.5, "{load:?}: {median}");
    }
}
