//! Wall-clock of the calls on the hot path, next to a simple peer in the same run: a lock around
//! a queue, first come first served, with none of the policy.
//!
//! Budgets on one core: `form` 10 us with 256 running and 1,000 waiting, 50 us with 1,024 and
//! 10,000; `submit` 300 ns.

#[path = "../crates/core/tests/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter::batch::continuous::{Batcher, Observation, PlanArrays, StepResult, Submission};
use rampmeter::engine::{KvGeometry, StepModel};
use rampmeter::share::{Ledger, LedgerOptions};
use rampmeter::{Blocks, Nanos, Tokens};
use support::{Prng, Setup};

const SIZES: [(u32, u32); 2] = [(256, 1_000), (1_024, 10_000)];

const ACCOUNTS: u32 = 64;

/// A batcher that is kept full: what ends is replaced, and the line never runs dry.
struct Full {
    batcher: Batcher,
    prng: Prng,
    now: Nanos,
    waiting: u32,
    arrays: PlanArrays,
    results: Vec<StepResult>,
}

/// Never short of memory: every answer could be as long as it may.
const ROOMY: Blocks = Blocks(1 << 24);

impl Full {
    fn new(running: u32, waiting: u32) -> Self {
        Self::with_blocks(running, waiting, ROOMY)
    }

    fn with_blocks(running: u32, waiting: u32, blocks: Blocks) -> Self {
        let setup = Setup {
            accounts: ACCOUNTS,
            running_max: running,
            requests_max: waiting + 2 * running,
            step_tokens_max: running + 2_048,
            steps_in_flight: 1,
            overflow_risk: 0.1,
            ..Setup::default()
        };
        let kv = KvGeometry::new(blocks, 16).unwrap();
        // Fast enough to fill 1,024 seats: the cost of forming does not depend on the times.
        let model = StepModel::new([2e-3, 2e-6, 2e-6, 1e-9, 1e-12, 1e-4, 1e-10]).unwrap();
        let mut full = Self {
            batcher: Batcher::new(&setup.policy(), kv, model).unwrap(),
            prng: Prng(7),
            now: Nanos(1),
            waiting,
            arrays: PlanArrays::new(running),
            results: Vec::with_capacity(running as usize),
        };
        full.refill();
        // Past the first rush, when everybody had just come in.
        for _ in 0..3_000 {
            full.step();
        }
        let seats = full.batcher.stats().running;
        assert!(seats >= running * 9 / 10, "{seats} of {running} seats: the engine is too slow");
        full
    }

    fn submission(&mut self) -> Submission {
        let account = self.prng.below(u64::from(ACCOUNTS)) as usize;
        Submission {
            tag: 0,
            class: u16::from(self.prng.chance(30)),
            account: self.batcher.policy_account(account).unwrap(),
            arrival: self.now,
            prompt_tokens: Tokens(50 + self.prng.below(1_500) as u32),
            output_tokens_max: Tokens(200 + self.prng.below(800) as u32),
            ..Submission::default()
        }
    }

    fn refill(&mut self) {
        for _ in self.batcher.stats().waiting..self.waiting {
            let submission = self.submission();
            self.batcher.submit(self.now, &submission).unwrap();
        }
    }

    /// One step of an engine; returns how long `form` took.
    fn step(&mut self) -> Duration {
        let start = Instant::now();
        let formed = black_box(self.batcher.form(self.now, &mut self.arrays.plan())).unwrap();
        let spent = start.elapsed();
        let entries = &self.arrays.entries[..formed.entries_len as usize];
        self.results.clear();
        self.results.extend(entries.iter().filter(|entry| entry.emits).map(|entry| StepResult {
            request: entry.request,
            output_tokens: Tokens(1),
            finished: false,
        }));
        self.now = formed.ends_at;
        // Who has just given way waits for a step.
        let Some(step) = formed.step else { return spent };
        let seen = Observation { step, results: &self.results, ..Observation::default() };
        self.batcher.observe(self.now, &seen).unwrap();
        self.refill();
        spent
    }
}

/// First come first served: decodes, then prompts in order of arrival up to the token budget.
struct Peer {
    queue: Mutex<PeerQueue>,
    plan: Vec<(u64, u32)>,
}

struct PeerQueue {
    running: Vec<PeerRequest>,
    waiting: VecDeque<PeerRequest>,
}

#[derive(Clone, Copy)]
struct PeerRequest {
    id: u64,
    prompt_left: u32,
    output_left: u32,
}

impl Peer {
    fn new(running: u32, waiting: u32) -> Self {
        let mut prng = Prng(7);
        let mut request = |id: u32| PeerRequest {
            id: u64::from(id),
            prompt_left: 50 + prng.below(1_500) as u32,
            output_left: 200 + prng.below(800) as u32,
        };
        let running: Vec<_> = (0..running).map(&mut request).collect();
        let waiting = (0..waiting).map(&mut request).collect();
        let plan = Vec::with_capacity(running.len());
        Self { queue: Mutex::new(PeerQueue { running, waiting }), plan }
    }

    fn form(&mut self, seats: usize) -> usize {
        let mut queue = self.queue.lock().unwrap();
        let PeerQueue { running, waiting } = &mut *queue;
        let mut budget = seats as u32 + 2_048;
        self.plan.clear();
        for request in running.iter_mut() {
            let tokens = request.prompt_left.clamp(1, budget.max(1)).min(budget);
            request.prompt_left = request.prompt_left.saturating_sub(tokens);
            request.output_left -= u32::from(request.prompt_left == 0);
            budget -= tokens;
            self.plan.push((request.id, tokens));
        }
        // What ends goes to the back of the line, so that the load stays the same.
        let mut index = 0;
        while index < running.len() {
            if running[index].output_left == 0 {
                let mut ended = running.swap_remove(index);
                (ended.prompt_left, ended.output_left) = (800, 600);
                waiting.push_back(ended);
            } else {
                index += 1;
            }
        }
        while budget > 0 && running.len() < seats {
            let Some(mut next) = waiting.pop_front() else { break };
            let tokens = next.prompt_left.min(budget);
            next.prompt_left -= tokens;
            budget -= tokens;
            self.plan.push((next.id, tokens));
            running.push(next);
        }
        self.plan.len()
    }
}

fn form(criterion: &mut Criterion) {
    for (running, waiting) in SIZES {
        let mut group = criterion.benchmark_group(format!("form/{running}+{waiting}"));
        let mut full = Full::new(running, waiting);
        group.bench_function("rampmeter", |bencher| {
            bencher.iter_custom(|steps| (0..steps).map(|_| full.step()).sum());
        });
        // The cache is the limit, and foreseen in every step: what nine tenths of the seats come
        // to hold, 750 prompt tokens and half of 600 of an answer.
        let mut scarce = Full::with_blocks(running, waiting, Blocks(running * 1_100 / 16));
        group.bench_function("rampmeter_scarce_kv", |bencher| {
            bencher.iter_custom(|steps| (0..steps).map(|_| scarce.step()).sum());
        });
        let mut peer = Peer::new(running, waiting);
        group.bench_function("peer_fcfs", |bencher| {
            bencher.iter(|| black_box(peer.form(running as usize)));
        });
        group.finish();
    }
}

fn submit(criterion: &mut Criterion) {
    let mut full = Full::new(256, 10_000);
    let mut group = criterion.benchmark_group("submit/256+10000");
    // Cancelled again outside the clock, so that the line keeps its length.
    group.bench_function("rampmeter", |bencher| {
        bencher.iter_custom(|calls| {
            let mut spent = Duration::ZERO;
            let mut left = calls;
            while left > 0 {
                let round = left.min(200);
                let submissions: Vec<Submission> = (0..round).map(|_| full.submission()).collect();
                let mut ids = Vec::with_capacity(submissions.len());
                let start = Instant::now();
                for submission in &submissions {
                    ids.extend(full.batcher.submit(full.now, submission).unwrap().queued());
                }
                spent += start.elapsed();
                for id in ids {
                    full.batcher.cancel(full.now, id).unwrap();
                }
                left -= round;
            }
            spent
        });
    });
    let peer = Peer::new(256, 10_000);
    group.bench_function("peer_fcfs", |bencher| {
        bencher.iter(|| {
            let mut queue = peer.queue.lock().unwrap();
            queue.waiting.push_back(black_box(PeerRequest {
                id: 1,
                prompt_left: 800,
                output_left: 200,
            }));
            queue.waiting.pop_front().map(|request| request.id)
        });
    });
    group.finish();
}

fn charge(criterion: &mut Criterion) {
    let options = LedgerOptions { accounts_max: 1_024, lanes: 2 };
    let mut ledger = Ledger::new(&options).unwrap();
    let accounts: Vec<_> = (0..1_024).map(|_| ledger.open(1.0).unwrap()).collect();
    for account in &accounts {
        ledger.arrive(0, *account).unwrap();
    }
    let mut prng = Prng(7);
    criterion.bench_function("ledger_charge/1024", |bencher| {
        bencher.iter(|| {
            let account = accounts[prng.below(1_024) as usize];
            ledger.charge(0, account, black_box(5.0)).unwrap();
        });
    });
}

criterion_group!(benches, form, submit, charge);
criterion_main!(benches);
