//! Nobody waits for ever: from when it is late at the latest, a request gets its seat before all
//! accounts together have been served what the page of `batch::continuous` says.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter::batch::continuous::RequestId;
use support::{Host, Prng, Setup, model};

const PROMPT_MAX: u64 = 60;
const OUTPUT_MAX: u64 = 10;
const RUNNING_MAX: u32 = 4;
const OUTPUT_COST: f64 = 5.0;
const WORK_DELAY: f64 = 2.0;
const TTFT_MS: u64 = 100;

/// Waiting requests of one class and account that never run out.
const BACKLOG: usize = 40;

struct Wait {
    order: u64,
    /// From when on it is found late.
    late_at: Nanos,
    /// Service of everybody by then, and how much more there may be until it has a seat.
    bound: Option<(f64, f64)>,
}

struct Watch {
    host: Host,
    prng: Prng,
    waits: BTreeMap<RequestId, Wait>,
    submitted: u64,
    /// Promised shares: what the bound is reckoned with.
    late_ratio: f64,
    guaranteed_ratio: f64,
    /// Largest part of its bound that any request has waited.
    worst: f64,
    started: u64,
}

impl Watch {
    /// `served` is whether the batcher is told of the shares, or of none.
    fn new(seed: u64, served: bool) -> Self {
        let mut prng = Prng(seed);
        let late_ratio = 0.1 + 0.1 * prng.below(3) as f64;
        let guaranteed_ratio = 0.1 * prng.below(2) as f64;
        let kept = f64::from(u8::from(served));
        let setup = Setup {
            classes: 2 + prng.below(2) as u16,
            accounts: 2 + prng.below(2) as u32,
            running_max: RUNNING_MAX,
            step_tokens_max: 256 + prng.below(200) as u32,
            steps_in_flight: 1 + prng.below(3) as u32,
            kv_blocks: 4000,
            credit: prng.below(2) as f64 * 300.0,
            late_ratio: late_ratio * kept,
            guaranteed_ratio: guaranteed_ratio * kept,
            requests_max: 4096,
            ..Setup::default()
        };
        let mut policy = setup.policy();
        for class in &mut policy.classes {
            class.ttft_target = Nanos::from_millis(TTFT_MS);
        }
        let mut host = Host::new(setup);
        host.batcher.set_policy(&policy).unwrap();
        let (waits, submitted, worst, started) = (BTreeMap::new(), 0, 0.0, 0);
        Self { host, prng, waits, submitted, late_ratio, guaranteed_ratio, worst, started }
    }

    fn submit(&mut self, class: u16, account: usize) {
        let prompt = 1 + self.prng.below(PROMPT_MAX) as u32;
        let output = 1 + self.prng.below(OUTPUT_MAX) as u32;
        assert!(self.host.submit(class, account, prompt, output));
        let new = self
            .host
            .known
            .iter()
            .find(|(id, known)| !known.running && !self.waits.contains_key(id));
        let id = *new.unwrap().0;
        let prefill_s = model().prefill_seconds(prompt, 0, self.host.setup.step_tokens_max);
        let target = Nanos::from_millis(TTFT_MS).as_seconds();
        let late_at = self.host.now.offset_seconds(target + WORK_DELAY * prefill_s);
        self.waits.insert(id, Wait { order: self.submitted, late_at, bound: None });
        self.submitted += 1;
    }

    fn waiting(&self, class: u16, account: usize) -> usize {
        let here = |id: &&RequestId| {
            let known = &self.host.known[*id];
            (known.class, known.account) == (class, account)
        };
        self.waits.keys().filter(here).count()
    }

    fn service(&self) -> f64 {
        self.host.service.values().sum()
    }

    /// The formula of the documentation.
    fn bound(&self, id: RequestId, order: u64) -> f64 {
        let setup = &self.host.setup;
        let (class, account) = (self.host.known[&id].class, self.host.known[&id].account);
        let mut work = 0.0;
        for (other, known) in &self.host.known {
            let before = self.waits.get(other).is_none_or(|wait| wait.order < order);
            if (known.class, known.account) == (class, account) && before {
                let prompt = if known.running { 0 } else { known.prompt };
                let output = known.output - known.produced;
                work += f64::from(prompt) + OUTPUT_COST * f64::from(output);
            }
        }
        let outputs = f64::from(RUNNING_MAX) * OUTPUT_MAX as f64 * OUTPUT_COST;
        let most = PROMPT_MAX as f64 + outputs;
        let own = (work + most) / self.late_ratio + most;
        let classes = f64::from(setup.classes);
        let least = |classes: f64| self.guaranteed_ratio.max(self.late_ratio / classes);
        // Two classes wait at least when one of them is owed anything.
        let share = if class == 0 { 1.0 - (classes - 1.0) * least(2.0) } else { least(classes) };
        let cap = setup.credit.max(f64::from(setup.step_tokens_max));
        let accounts = f64::from(setup.accounts);
        let others = 2.0 * (most + setup.credit);
        (accounts * (own + others) + classes * (most + cap)) / share
    }

    /// Notes who is late by now, who has a seat, and how near to its bound anybody came.
    fn look(&mut self) {
        let (now, service) = (self.host.now, self.service());
        let late = self.waits.iter().filter(|(_, w)| w.bound.is_none() && w.late_at < now);
        let late: Vec<(RequestId, u64)> = late.map(|(id, wait)| (*id, wait.order)).collect();
        for (id, order) in late {
            let bound = self.bound(id, order);
            self.waits.get_mut(&id).unwrap().bound = Some((service, bound));
        }
        for (since, bound) in self.waits.values().filter_map(|wait| wait.bound) {
            self.worst = self.worst.max((service - since) / bound);
        }
        let known = &self.host.known;
        let before = self.waits.len();
        self.waits.retain(|id, _| known.get(id).is_some_and(|known| !known.running));
        self.started += (before - self.waits.len()) as u64;
    }

    /// Keeps some classes and accounts busy for ever, lets others come now and then.
    fn run(&mut self, steps: u32) {
        let (classes, accounts) = (self.host.setup.classes, self.host.setup.accounts as usize);
        let overloaded: Vec<bool> =
            (0..classes as usize * accounts).map(|_| self.prng.chance(40)).collect();
        let greedy = self.prng.below(overloaded.len() as u64) as usize;
        for _ in 0..steps {
            for (place, overloaded) in overloaded.iter().enumerate() {
                let (class, account) = ((place / accounts) as u16, place % accounts);
                let always = *overloaded || place == greedy || place == 0;
                let wanted = if always { BACKLOG } else { usize::from(self.prng.chance(1)) };
                while self.waiting(class, account) < wanted {
                    self.submit(class, account);
                }
            }
            self.look();
            let steps_in_flight = self.host.setup.steps_in_flight as usize;
            while self.host.steps_in_flight() < steps_in_flight && self.host.form() {
                self.host.book_admissions();
                self.look();
            }
            self.host.observe(&mut self.prng);
        }
        assert_eq!(self.host.preemptions, 0, "the bound is stated for runs without preemption");
        assert!(self.started > u64::from(steps) / 20, "only {} have started", self.started);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// The first class is always overloaded, and others may be.
    #[test]
    fn everybody_gets_a_seat_within_the_bound(seed in any::<u64>()) {
        let mut watch = Watch::new(seed, true);
        watch.run(1_500);
        prop_assert!(watch.worst <= 1.0, "{} of the bound", watch.worst);
    }
}

#[test]
fn nobody_waits_longer_in_a_long_run() {
    for seed in 0..3 {
        let mut watch = Watch::new(seed, true);
        watch.run(20_000);
        assert!(watch.worst <= 1.0, "seed {seed}: {} of the bound", watch.worst);
    }
}

/// The test can see starvation: without the shares, some wait beyond the bound.
#[test]
fn without_shares_the_bound_is_broken() {
    let broken = (0..3).any(|seed| {
        let mut watch = Watch::new(seed, false);
        watch.run(20_000);
        watch.worst > 1.0
    });
    assert!(broken, "nobody starves: the measurement is blind");
}
