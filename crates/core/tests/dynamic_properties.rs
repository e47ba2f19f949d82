//! What must hold whatever comes: sizes, buckets, deadlines, waiting, every request ends once, and
//! the same calls give the same answers.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rampmeter::batch::dynamic::{
    Admission, BatchId, ClassOptions, Decision, DynamicBatcher, Ending, Expired, Expiry, Launch,
    Observation, Options, Plan, PlanEntry, RequestId, Submission,
};
use rampmeter::engine::LatencyCurve;
use rampmeter::share::AccountId;
use rampmeter::{Error, Nanos};
use support::Prng;

const MS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Known {
    id: RequestId,
    class: usize,
    bucket: u16,
    arrival: u64,
    deadline: u64,
    expires: u64,
}

/// A batch that runs, and who is in it.
type Running = (BatchId, Launch, Vec<(u64, Known)>);

/// A host with its own books.
struct Host {
    options: Options,
    desk: DynamicBatcher,
    accounts: Vec<AccountId>,
    waiting: BTreeMap<u64, Known>,
    running: BTreeMap<u64, Running>,
    now: u64,
    next_tag: u64,
    log: Vec<(u64, u32, u64)>,
    launched: Vec<Known>,
}

impl Host {
    fn new(options: Options) -> Self {
        let mut desk = DynamicBatcher::new(&options).unwrap();
        let accounts =
            (0..options.accounts_max).map(|_| desk.open_account(None, 1.0).unwrap()).collect();
        Self {
            options,
            desk,
            accounts,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            now: 0,
            next_tag: 0,
            log: Vec::new(),
            launched: Vec::new(),
        }
    }

    fn submit(&mut self, class: usize, account: usize, bucket: u16, deadline: u64, expires: u64) {
        let moment = |at: u64| Some(Nanos(at)).filter(|at| at.get() != u64::MAX);
        let tag = self.next_tag;
        let submission = Submission {
            tag,
            class: class as u16,
            account: self.accounts[account],
            bucket,
            arrival: Nanos(self.now),
            deadline: moment(deadline),
            expires_at: moment(expires),
        };
        let admission = self.desk.submit(Nanos(self.now), &submission).unwrap();
        if let Admission::Queued(id) = admission {
            let arrival = self.now;
            self.waiting.insert(tag, Known { id, class, bucket, arrival, deadline, expires });
        }
        self.next_tag += 1;
    }

    /// Ends every batch that is due, then forms until nothing is launched; the moment to go on to.
    fn step(&mut self) -> Option<u64> {
        let due = |host: &Self| {
            let mut ends = host.running.iter();
            ends.find(|(_, (_, launch, _))| launch.ends_at.get() <= host.now).map(|(raw, _)| *raw)
        };
        while let Some(raw) = due(self) {
            let (batch, launch, members) = self.running.remove(&raw).unwrap();
            let seen = Observation { batch, duration: None, ending: Ending::Completed };
            let observed = self.desk.observe(Nanos(self.now), &seen).unwrap();
            assert_eq!(observed.finished, launch.len);
            assert_eq!(members.len(), launch.len as usize);
        }
        let (mut entries, mut expired) = (
            vec![PlanEntry::default(); self.options.batch_size_max as usize],
            [Expired::default(); 3],
        );
        for _ in 0..10_000 {
            let plan = &mut Plan { entries: &mut entries, expired: &mut expired };
            let formed = self.desk.form(Nanos(self.now), plan).unwrap();
            for gone in &expired[..formed.expired_len as usize] {
                let known = self.waiting.remove(&gone.tag).expect("it waited");
                assert_eq!(known.id, gone.request);
                assert!(known.expires <= self.now);
            }
            match formed.decision {
                Decision::Launch(launch) => self.check_launch(launch, &entries),
                Decision::Wait { until, .. } if until.get() > self.now => {
                    self.check_wait(until.get());
                    break;
                }
                Decision::Wait { .. } => {}
                Decision::Idle => {
                    assert!(self.waiting.is_empty());
                    break;
                }
            }
        }
        let stats = self.desk.stats();
        assert_eq!(stats.waiting as usize, self.waiting.len());
        assert_eq!(stats.batches_running as usize, self.running.len());
        self.desk.next_event(Nanos(self.now)).map(Nanos::get)
    }

    fn check_launch(&mut self, launch: Launch, entries: &[PlanEntry]) {
        assert!((1..=self.options.batch_size_max).contains(&launch.len));
        assert!(launch.instance < self.options.instances);
        let busy = self.running.values().any(|(_, other, _)| other.instance == launch.instance);
        assert!(!busy, "one batch at a time on an instance");
        let mut members = Vec::new();
        for entry in &entries[..launch.len as usize] {
            let known = self.waiting.remove(&entry.tag).expect("it waited");
            assert_eq!(known.id, entry.request);
            assert!(
                known.expires > self.now
                    || self.options.classes[known.class].expiry == Expiry::Delay
            );
            let rides = self.options.padding && known.bucket < launch.bucket;
            assert!(
                known.bucket == launch.bucket || rides,
                "{} in {}",
                known.bucket,
                launch.bucket
            );
            if !entry.late {
                assert!(launch.ends_at.get() <= known.deadline, "said to be in time");
            }
            members.push((entry.tag, known));
            self.launched.push(known);
        }
        self.log.push((self.now, launch.len, launch.batch.to_raw()));
        self.running.insert(launch.batch.to_raw(), (launch.batch, launch, members));
    }

    /// While an instance is idle nobody waits beyond the cap, and nobody in time is made late.
    fn check_wait(&self, until: u64) {
        if self.running.len() == self.options.instances as usize {
            return;
        }
        for known in self.waiting.values() {
            let curve = &self.options.buckets[usize::from(known.bucket)];
            let alone = Nanos::from_seconds(curve.seconds(1)).get();
            if self.now + alone > known.deadline {
                continue;
            }
            let cap = self
                .options
                .queue_delay_max
                .unwrap_or_else(|| Nanos::from_seconds(curve.seconds(self.options.batch_size_max)));
            assert!(until <= known.arrival.saturating_add(cap.get()), "held beyond the cap");
            assert!(until + alone <= known.deadline, "waiting loses a deadline");
        }
    }
}

fn swarm(seed: u64) -> (Options, Prng) {
    let mut prng = Prng(seed);
    let size_max = 1 + prng.below(20) as u32;
    let curves: [LatencyCurve; 3] = [
        LatencyCurve::linear(5e-3, 1e-3).unwrap(),
        LatencyCurve::linear(8e-3, 2e-3).unwrap(),
        LatencyCurve::from_points(&[(1, 9e-3), (8, 9e-3), (9, 14e-3), (16, 14e-3)]).unwrap(),
    ];
    let classes: Vec<ClassOptions> = (0..=prng.below(3))
        .map(|_| ClassOptions {
            guaranteed_ratio: [0.0, 0.05][prng.below(2) as usize],
            delay_value: [1.0, 0.1][prng.below(2) as usize],
            latency_target: prng.chance(50).then(|| Nanos(10 * MS + prng.below(200 * MS))),
            expiry: if prng.chance(50) { Expiry::Reject } else { Expiry::Delay },
            ..ClassOptions::default()
        })
        .collect();
    let options = Options {
        queue_delay_max: prng.chance(40).then(|| Nanos(prng.below(30 * MS))),
        preferred_sizes: if prng.chance(30) { [size_max.div_ceil(2)].into() } else { [].into() },
        requests_max: 60,
        instances: 1 + prng.below(4) as u32,
        accounts_max: 1 + prng.below(4) as u32,
        padding: prng.chance(50),
        wait_max: prng.chance(20).then(|| Nanos(MS + prng.below(100 * MS))),
        late_ratio: [0.0, 0.01, 0.1][prng.below(3) as usize],
        classes: classes.into(),
        buckets: curves[..=prng.below(3) as usize].into(),
        ..Options::new(size_max, curves[0].clone())
    };
    (options, prng)
}

fn live(seed: u64) -> Host {
    let (options, mut prng) = swarm(seed);
    let gap = [MS / 5, 2 * MS, 20 * MS][prng.below(3) as usize];
    let mut host = Host::new(options);
    let mut next_arrival = 1;
    let mut wake = None;
    for _ in 0..300 {
        host.now = wake.map_or(next_arrival, |at: u64| at.min(next_arrival)).max(host.now);
        while next_arrival <= host.now {
            let class = prng.below(host.options.classes.len() as u64) as usize;
            let account = prng.below(host.accounts.len() as u64) as usize;
            let bucket = prng.below(host.options.buckets.len() as u64) as u16;
            let own = host.options.classes[class].latency_target;
            let usual = own.map_or(u64::MAX, |span| host.now + span.get());
            let given = host.now + 5 * MS + prng.below(150 * MS);
            let deadline = if prng.chance(30) { given } else { usual };
            let expires = if prng.chance(20) { host.now + prng.below(80 * MS) } else { u64::MAX };
            host.submit(class, account, bucket, deadline, expires);
            next_arrival += if prng.chance(20) { 0 } else { 1 + prng.below(2 * gap) };
        }
        if prng.chance(5)
            && let Some((&tag, known)) = host.waiting.iter().next()
        {
            host.desk.cancel(Nanos(host.now), known.id).unwrap();
            host.waiting.remove(&tag);
        }
        wake = host.step();
    }
    // No more arrivals: everybody is answered within bounded steps.
    for _ in 0..2_000 {
        let Some(at) = host.step() else { break };
        host.now = at.max(host.now);
    }
    assert!(host.waiting.is_empty() && host.running.is_empty(), "{:?}", host.desk.stats());
    assert_eq!(host.desk.stats().requests, 0);
    host
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn invariants_hold_and_runs_repeat(seed in any::<u64>()) {
        let (first, second) = (live(seed), live(seed));
        prop_assert_eq!(first.log, second.log);
    }

    /// One instance, everybody there at once and able to be in time together: nobody is late,
    /// however long the rule would like to wait for more.
    #[test]
    fn an_idle_server_never_misses_by_waiting(
        seed in any::<u64>(), count in 1u32..16, slack_ms in 0u64..60,
    ) {
        let curve = LatencyCurve::linear(5e-3, 1e-3).unwrap();
        let mut host = Host::new(Options::new(16, curve.clone()));
        let mut prng = Prng(seed);
        // Arrivals of the past make it believe that more will come soon.
        for _ in 0..40 {
            host.now += prng.below(2 * MS);
            host.submit(0, 0, 0, host.now + 1_000 * MS, u64::MAX);
            host.step();
        }
        while let Some(at) = host.step() { host.now = at.max(host.now); }
        let all = Nanos::from_seconds(curve.seconds(count)).get();
        host.launched.clear();
        for _ in 0..count {
            host.submit(0, 0, 0, host.now + all + slack_ms * MS, u64::MAX);
        }
        // `check_launch` and `check_wait` look at every deadline; none may be given up.
        while let Some(at) = host.step() {
            prop_assert_eq!(host.desk.stats().late, 0);
            host.now = at.max(host.now);
        }
        prop_assert_eq!(host.launched.len(), count as usize);
    }
}

/// Overload for ever: the oldest late request and the lowest class still get their shares.
#[test]
fn late_requests_and_low_classes_are_served_within_their_bounds() {
    let target = Some(Nanos(60 * MS));
    let class = ClassOptions { latency_target: target, ..ClassOptions::default() };
    let low = ClassOptions { guaranteed_ratio: 0.05, latency_target: None, ..class };
    for size_max in [1_u32, 8] {
        let options = Options {
            classes: [class, low].into(),
            late_ratio: 0.05,
            requests_max: 4_096,
            ..Options::new(size_max, LatencyCurve::linear(5e-3, 1e-3).unwrap())
        };
        let mut host = Host::new(options);
        host.submit(1, 0, 0, u64::MAX, u64::MAX);
        let (mut seats_for_low, mut seats_for_late) = (None, None);
        // A late one from the start: its deadline is over before anything can be run.
        host.submit(0, 0, 0, MS, u64::MAX);
        let (low_tag, late_tag) = (0, 1);
        // Twice what the server can do.
        let each = Nanos::from_seconds(host.options.buckets[0].seconds(size_max)).get();
        let gap = each / u64::from(size_max) / 2;
        for _ in 0..60 * size_max {
            host.submit(0, 0, 0, host.now + 60 * MS, u64::MAX);
        }
        for step in 0..1_200_u64 {
            host.now = (step + 1) * gap;
            host.submit(0, 0, 0, host.now + 60 * MS, u64::MAX);
            host.step();
            let seats = host.launched.len();
            if !host.waiting.contains_key(&low_tag) {
                seats_for_low.get_or_insert(seats);
            }
            if !host.waiting.contains_key(&late_tag) {
                seats_for_late.get_or_insert(seats);
            }
        }
        // One seat in twenty, and what is in the batch already.
        let bound = 20 + 2 * size_max as usize;
        assert!(seats_for_low.is_some_and(|seats| seats <= bound), "{seats_for_low:?}");
        assert!(seats_for_late.is_some_and(|seats| seats <= bound), "{seats_for_late:?}");
    }
}

/// Two accounts that wait in one class share an instance's time evenly, however greedy one is.
#[test]
fn accounts_share_an_instance_evenly() {
    let credit = Nanos(20 * MS);
    let curve = LatencyCurve::linear(5e-3, 1e-3).unwrap();
    let options = Options {
        accounts_max: 2,
        urgency_credit: credit,
        requests_max: 1 << 14,
        ..Options::new(8, curve.clone())
    };
    let mut host = Host::new(options);
    for index in 0..2_000 {
        // The greedy one asks nine times as often, and always earlier.
        host.submit(0, usize::from(index % 10 == 9), 0, u64::MAX, u64::MAX);
    }
    let mut service = [0.0_f64; 2];
    while host.waiting.values().any(|known| known.class == 0) {
        let seen = host.launched.len();
        let at = host.step().unwrap();
        let len = host.launched.len() - seen;
        for known in &host.launched[seen..] {
            let account = usize::from(known.arrival == 0 && known.id.index() % 10 == 9);
            service[account] += curve.seconds(len as u32) / len as f64;
        }
        let both = host.waiting.values().any(|known| known.id.index() % 10 == 9);
        let bound = 2.0 * (curve.seconds(8) + credit.as_seconds());
        if both {
            assert!((service[0] - service[1]).abs() <= bound, "{service:?}");
        }
        host.now = at.max(host.now);
    }
}

/// Wrong calls are refused by name and change nothing.
#[test]
fn wrong_calls_change_nothing() {
    let mut options = Options::new(4, LatencyCurve::linear(5e-3, 1e-3).unwrap());
    options.requests_max = 2;
    let mut host = Host::new(options);
    host.now = 10 * MS;
    host.submit(0, 0, 0, u64::MAX, u64::MAX);
    let good = Submission {
        tag: 7,
        class: 0,
        account: host.accounts[0],
        bucket: 0,
        arrival: Nanos(host.now),
        deadline: None,
        expires_at: None,
    };
    let now = Nanos(host.now);
    let before = format!("{:?}", host.desk);
    let cases: [(Nanos, Submission, &str); 6] = [
        (Nanos(1), good, "now_ns"),
        (now, Submission { class: 1, ..good }, "class"),
        (now, Submission { bucket: 1, ..good }, "bucket"),
        (now, Submission { arrival: Nanos(now.get() + 1), ..good }, "arrival_ns"),
        (now, Submission { deadline: Some(Nanos(1)), ..good }, "deadline_ns"),
        (now, Submission { account: AccountId::from_raw(99), ..good }, "account"),
    ];
    for (at, submission, field) in cases {
        assert_eq!(host.desk.submit(at, &submission).unwrap_err().field(), field);
    }
    let plan = &mut Plan { entries: &mut [PlanEntry::default(); 3], expired: &mut [] };
    assert_eq!(host.desk.form(now, plan).unwrap_err().field(), "entries");
    let plan = &mut Plan { entries: &mut [PlanEntry::default(); 4], expired: &mut [] };
    let refused = Error::BufferTooSmall { field: "expired", given: 0, needed: 1 };
    assert_eq!(host.desk.form(now, plan), Err(refused));
    for raw in [0, 1, u64::MAX] {
        let (batch, ending) = (BatchId::from_raw(raw), Ending::Completed);
        let seen = Observation { batch, duration: None, ending };
        assert_eq!(host.desk.observe(now, &seen).unwrap_err().field(), "batch");
        let forged = RequestId::from_raw(raw);
        assert_eq!(host.desk.cancel(now, forged).unwrap_err().field(), "request");
        assert_eq!(host.desk.explain(forged).unwrap_err().field(), "request");
    }
    assert_eq!(format!("{:?}", host.desk), before, "an error changes nothing");
}
