//! A restored dynamic batcher is the one that was saved, and nothing that is no snapshot becomes
//! one.

mod support;

use std::fmt::Debug;
use std::sync::OnceLock;

use proptest::prelude::*;
use rampmeter::batch::Batcher;
use rampmeter::batch::dynamic::{
    Admission, BatchId, ClassOptions, Decision, DynamicBatcher, Ending, Expired, Expiry,
    Observation, Options, Plan, PlanEntry, RequestId, Rule, ShedReason, Submission,
};
use rampmeter::engine::LatencyCurve;
use rampmeter::error::SnapshotFault;
use rampmeter::share::AccountId;
use rampmeter::{Error, Nanos};
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};
use support::{Prng, Setup, model};

const MS: u64 = 1_000_000;

impl Desk for DynamicBatcher {
    type Terms = Options;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read(terms: &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(terms, bytes)
    }
}

fn curves(prng: &mut Prng, size_max: u32) -> Box<[LatencyCurve]> {
    let all = [
        LatencyCurve::linear(5e-3, 1e-3).unwrap(),
        LatencyCurve::linear(8e-3, 2e-3).unwrap(),
        LatencyCurve::from_points(&[(1, 9e-3), (8, 9e-3), (9, 14e-3), (16, 14e-3)]).unwrap(),
    ];
    let learns = prng.chance(60);
    let curve = |curve: &LatencyCurve| {
        if learns { curve.learning(size_max).unwrap() } else { curve.clone() }
    };
    all[..=prng.below(3) as usize].iter().map(curve).collect()
}

fn options(prng: &mut Prng) -> Options {
    let size_max = 1 + prng.below(20) as u32;
    let classes = (0..=prng.below(3)).map(|_| ClassOptions {
        guaranteed_ratio: [0.0, 0.05][prng.below(2) as usize],
        delay_value: [1.0, 0.1][prng.below(2) as usize],
        latency_target: prng.chance(60).then(|| Nanos(10 * MS + prng.below(200 * MS))),
        timeout: prng.chance(20).then(|| Nanos(MS + prng.below(100 * MS))),
        queue_max: if prng.chance(20) { 12 } else { u32::MAX },
        expiry: if prng.chance(50) { Expiry::Reject } else { Expiry::Delay },
    });
    let classes = classes.collect();
    let buckets = curves(prng, size_max);
    let usual = Options::new(size_max, buckets[0].clone());
    Options {
        buckets,
        queue_delay_max: prng.chance(40).then(|| Nanos(prng.below(30 * MS))),
        preferred_sizes: if prng.chance(30) { [size_max.div_ceil(2)].into() } else { [].into() },
        requests_max: 40,
        instances: 1 + prng.below(4) as u32,
        accounts_max: 5,
        rule: if prng.chance(20) { Rule::Fixed } else { Rule::Priced },
        padding: prng.chance(50),
        wait_max: prng.chance(20).then(|| Nanos(MS + prng.below(100 * MS))),
        wait_gain_ratio: [0.0, 0.3][prng.below(2) as usize],
        late_ratio: [0.0, 0.01, 0.1][prng.below(3) as usize],
        classes,
        ..usual
    }
}

/// A host that makes calls of every kind, right and wrong, and keeps a digest of every answer. It
/// believes nothing that it is told: the batcher may come from a forged snapshot.
struct Lean {
    options: Options,
    desk: DynamicBatcher,
    prng: Prng,
    gap_ns: u64,
    now: u64,
    accounts: Vec<AccountId>,
    requests: Vec<RequestId>,
    running: Vec<(BatchId, Nanos)>,
    digest: u64,
    /// Launched, waited, shed, expired, refused.
    counts: [u64; 5],
}

impl Lean {
    fn new(seed: u64) -> Self {
        let mut prng = Prng(seed);
        let options = options(&mut prng);
        let mut desk = DynamicBatcher::new(&options).unwrap();
        let accounts = vec![desk.open_account(None, 1.0).unwrap()];
        let gap_ns = [MS / 5, MS, 10 * MS][prng.below(3) as usize];
        let (now, digest, counts) = (0, 0, [0; 5]);
        let (requests, running) = (Vec::new(), Vec::new());
        Self { options, desk, prng, gap_ns, now, accounts, requests, running, digest, counts }
    }

    /// The same host with another batcher.
    fn with_desk(&self, desk: DynamicBatcher) -> Self {
        Self {
            desk,
            options: self.options.clone(),
            prng: self.prng.clone(),
            accounts: self.accounts.clone(),
            requests: self.requests.clone(),
            running: self.running.clone(),
            ..*self
        }
    }

    fn note(&mut self, answer: &impl Debug) {
        for byte in format!("{answer:?}").bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            match self.prng.below(20) {
                0..=11 => self.submit(),
                12 => self.cancel(),
                13 => self.move_accounts(),
                14 => {
                    let request = self.known();
                    let answer = self.desk.explain(request);
                    self.note(&answer);
                }
                _ => self.observe(),
            }
            self.form();
            let next = self.desk.next_event(Nanos(self.now));
            let stats = self.desk.stats();
            self.note(&(next, stats));
            self.now += match self.prng.below(10) {
                0..=4 => 0,
                5..=8 => self.prng.below(2 * self.gap_ns),
                // A sleep until something happens, but no longer than a second.
                _ => next.map_or(0, |at| (at.get() - self.now).min(1_000 * MS)),
            };
        }
    }

    fn known(&mut self) -> RequestId {
        let at = self.prng.below(self.requests.len() as u64 + 1) as usize;
        self.requests.get(at).copied().unwrap_or(RequestId::from_raw(self.now))
    }

    fn submit(&mut self) {
        let Self { prng, options, accounts, now, .. } = self;
        let arrival = if prng.chance(10) { *now - prng.below(*now / 8 + 1) } else { *now };
        let moment = |prng: &mut Prng| Some(Nanos(*now + prng.below(150 * MS)));
        let submission = Submission {
            tag: prng.draw(),
            // One too many at times, as with buckets.
            class: prng.below(options.classes.len() as u64 * 16 + 1) as u16 / 16,
            account: accounts[prng.below(accounts.len() as u64) as usize],
            bucket: prng.below(options.buckets.len() as u64 * 16 + 1) as u16 / 16,
            arrival: Nanos(arrival),
            deadline: if prng.chance(40) { moment(prng) } else { None },
            expires_at: if prng.chance(20) { moment(prng) } else { None },
        };
        let answer = self.desk.submit(Nanos(self.now), &submission);
        match answer {
            Ok(Admission::Queued(id)) => {
                if self.requests.len() == 64 {
                    self.requests.remove(0);
                }
                self.requests.push(id);
            }
            Ok(Admission::Shed(_)) => self.counts[2] += 1,
            Err(_) => self.counts[4] += 1,
        }
        self.note(&answer);
    }

    fn cancel(&mut self) {
        let request = self.known();
        let answer = self.desk.cancel(Nanos(self.now), request);
        self.counts[4] += u64::from(answer.is_err());
        self.note(&answer);
    }

    fn move_accounts(&mut self) {
        let at = self.prng.below(self.accounts.len() as u64) as usize;
        if self.prng.chance(60) {
            let parent = self.prng.chance(50).then_some(self.accounts[at]);
            let weight = 0.5 + self.prng.below(4) as f64;
            let answer = self.desk.open_account(parent, weight);
            self.accounts.extend(answer);
            self.note(&answer);
        } else {
            let answer = self.desk.close_account(self.accounts[at]);
            if answer.is_ok() && self.accounts.len() > 1 {
                self.accounts.remove(at);
            }
            self.note(&answer);
        }
    }

    /// Ends the batch that is due, or any batch, or one that may not be there.
    fn observe(&mut self) {
        let due = self.running.iter().position(|(_, ends_at)| ends_at.get() <= self.now);
        let any = self.prng.below(2 * self.running.len() as u64 + 1) as usize;
        let place = due.unwrap_or(any).min(self.running.len());
        let guess = BatchId::from_raw((1 + self.prng.below(9)) << 32 | self.prng.below(5));
        let batch = self.running.get(place).map_or(guess, |(batch, _)| *batch);
        let duration = self.prng.chance(50).then(|| Nanos(self.prng.below(40 * MS)));
        let ending = if self.prng.chance(10) { Ending::Failed } else { Ending::Completed };
        let seen = Observation { batch, duration, ending };
        let answer = self.desk.observe(Nanos(self.now), &seen);
        self.running.retain(|(running, _)| answer.is_err() || *running != batch);
        self.counts[4] += u64::from(answer.is_err());
        self.note(&answer);
    }

    fn form(&mut self) {
        let mut entries = vec![PlanEntry::default(); self.options.batch_size_max as usize];
        let mut expired = [Expired::default(); 3];
        let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
        let answer = self.desk.form(Nanos(self.now), plan).unwrap();
        self.counts[3] += u64::from(answer.expired_len);
        let mut len = 0;
        match answer.decision {
            Decision::Launch(launch) => {
                len = launch.len as usize;
                self.running.push((launch.batch, launch.ends_at));
                self.counts[0] += 1;
            }
            Decision::Wait { .. } => self.counts[1] += 1,
            Decision::Idle => {}
        }
        self.note(&(answer, &entries[..len], &expired[..answer.expired_len as usize]));
    }
}

/// What was answered, and the state at the end.
fn run(seed: u64, calls: u32, cut: Option<u32>) -> (u64, Vec<u8>, [u64; 5]) {
    let mut lean = Lean::new(seed);
    lean.drive(cut.unwrap_or(0));
    if cut.is_some() {
        let bytes = saved(&lean.desk);
        let restored = DynamicBatcher::restore(&lean.options, &bytes).unwrap();
        assert_eq!(saved(&restored), bytes);
        for bucket in 0..lean.options.buckets.len() as u16 {
            assert_eq!(restored.curve(bucket), lean.desk.curve(bucket));
        }
        for id in &lean.requests {
            assert_eq!(restored.explain(*id), lean.desk.explain(*id));
        }
        lean = lean.with_desk(restored);
    }
    lean.drive(calls - cut.unwrap_or(0));
    (lean.digest, saved(&lean.desk), lean.counts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_restored_batcher_goes_on_as_the_saved_one(seed in any::<u64>(), cut in 0_u32..500) {
        let (cut, whole) = (run(seed, 500, Some(cut)), run(seed, 500, None));
        prop_assert_eq!((cut.0, cut.2), (whole.0, whole.2));
        prop_assert!(cut.1 == whole.1);
    }
}

/// The swarms above do all there is to do.
#[test]
fn swarms_launch_wait_shed_expire_and_err() {
    let mut sums = [0; 5];
    for seed in 0..60 {
        let (_, _, counts) = run(seed, 800, None);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    assert!(sums.iter().all(|sum| *sum > 500), "{sums:?}");
}

/// Hosts with busy batchers of all kinds, and their snapshots.
fn specimens() -> &'static [(Lean, Vec<u8>)] {
    static SPECIMENS: OnceLock<Vec<(Lean, Vec<u8>)>> = OnceLock::new();
    SPECIMENS.get_or_init(|| {
        let specimen = |seed: u64| {
            let mut lean = Lean::new(seed);
            lean.drive(300 + 20 * seed as u32);
            let bytes = saved(&lean.desk);
            (lean, bytes)
        };
        (0..SPECIMENS_LEN).map(specimen).collect()
    })
}

const SPECIMENS_LEN: u64 = 40;

/// True if what was forged was believed; it then bears 200 calls of every kind.
fn bears(seed: u64) -> bool {
    let mut prng = Prng(seed);
    let (host, bytes) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
    is_believed(&host.options, bytes, &mut prng, |restored: DynamicBatcher| {
        let mut lean = host.with_desk(restored);
        // Its clock may be set to anything; a host of today is refused, one of then is not.
        if lean.desk.cancel(Nanos(lean.now), RequestId::default()).unwrap_err().field() == "now_ns"
        {
            return None;
        }
        lean.drive(200);
        Some(lean.desk)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]
    /// A forged snapshot with a right checksum is refused, or becomes a batcher that works.
    #[test]
    fn what_is_forged_is_refused_or_harmless(seed in any::<u64>()) {
        bears(seed);
    }

    #[test]
    fn every_damage_is_noticed(seed in any::<u64>()) {
        let mut prng = Prng(seed);
        let (host, whole) = &specimens()[prng.below(SPECIMENS_LEN) as usize];
        every_damage_is_refused::<DynamicBatcher>(&host.options, whole, &mut prng);
    }
}

#[test]
fn some_of_what_is_forged_is_believed() {
    some_are_believed(bears);
}

#[test]
fn what_is_wrong_is_said() {
    let options = Options::new(8, LatencyCurve::linear(5e-3, 1e-3).unwrap());
    let options = Options { requests_max: 9, accounts_max: 3, ..options };
    let desk = DynamicBatcher::new(&options).unwrap();
    faults_are_named(&options, &desk);

    let bytes = saved(&desk);
    let under = |change: fn(&mut Options)| {
        let mut options = options.clone();
        change(&mut options);
        fault(&DynamicBatcher::restore(&options, &bytes))
    };
    let other = Some(SnapshotFault::OtherCapacity);
    assert_eq!(under(|options| options.batch_size_max = 9), other);
    assert_eq!(under(|options| options.requests_max = 8), other);
    assert_eq!(under(|options| options.instances = 2), other);
    assert_eq!(under(|options| options.accounts_max = 1), other);
    assert_eq!(under(|options| options.classes = [options.classes[0]; 2].into()), other);
    let twice = |options: &mut Options| {
        options.buckets = [options.buckets[0].clone(), options.buckets[0].clone()].into();
    };
    assert_eq!(under(twice), other);
    assert_eq!(under(|options| options.late_ratio = 0.1), None);
    let invalid = Options { instances: 0, ..options.clone() };
    assert_eq!(DynamicBatcher::restore(&invalid, &bytes).unwrap_err().field(), "instances");
}

/// No desk takes the snapshot of the other one.
#[test]
fn the_snapshot_of_another_desk_is_refused() {
    let options = Options::new(8, LatencyCurve::linear(5e-3, 1e-3).unwrap());
    let setup = Setup::default();
    let (policy, kv) = (setup.policy(), setup.kv());
    let continuous = Batcher::new(&policy, kv, model()).unwrap();
    let mut bytes = vec![0; continuous.snapshot_bytes() as usize];
    continuous.save(&mut bytes).unwrap();
    let refused = Some(SnapshotFault::OtherDesk);
    assert_eq!(fault(&DynamicBatcher::restore(&options, &bytes)), refused);
    let bytes = saved(&DynamicBatcher::new(&options).unwrap());
    assert_eq!(fault(&Batcher::restore(&policy, kv, &bytes)), refused);
}

/// Under other rules it keeps its requests and curves, goes by the new rules, and asks to be asked
/// at once; under the same ones it waits on.
#[test]
fn changed_rules_hold_from_now_on() {
    let options = Options::new(16, LatencyCurve::linear(5e-3, 1e-3).unwrap());
    let options = Options { rule: Rule::Fixed, queue_delay_max: Some(Nanos(20 * MS)), ..options };
    let mut desk = DynamicBatcher::new(&options).unwrap();
    let account = desk.open_account(None, 1.0).unwrap();
    let submission = Submission {
        tag: 1,
        class: 0,
        account,
        bucket: 0,
        arrival: Nanos(MS),
        deadline: None,
        expires_at: None,
    };
    let now = Nanos(MS);
    desk.submit(now, &submission).unwrap();
    let (mut entries, mut expired) = ([PlanEntry::default(); 16], [Expired::default(); 1]);
    let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
    assert!(matches!(desk.form(now, plan).unwrap().decision, Decision::Wait { .. }));
    let bytes = saved(&desk);

    let same = DynamicBatcher::restore(&options, &bytes).unwrap();
    assert_eq!(same.next_event(now), Some(Nanos(21 * MS)));
    let mut changed = Options { queue_delay_max: Some(Nanos(MS / 2)), ..options.clone() };
    changed.classes[0].queue_max = 1;
    changed.buckets = [LatencyCurve::linear(1.0, 1.0).unwrap()].into();
    let mut other = DynamicBatcher::restore(&changed, &bytes).unwrap();
    assert_eq!(other.curve(0), Some(&options.buckets[0]));
    assert_eq!(other.next_event(now), Some(now));
    let Ok(Admission::Shed(shed)) = other.submit(now, &submission) else {
        panic!("one may wait");
    };
    assert_eq!(shed.reason, ShedReason::QueueFull);
    let later = Nanos(2 * MS);
    assert!(matches!(other.form(later, plan).unwrap().decision, Decision::Launch(_)));
}
