//! Small schedules of each peer, worked out by hand, and the bound that VTC is known for.

use proptest::prelude::*;
use rampmeter::Nanos;

use super::*;
use crate::serving::run::RunOptions;
use crate::serving::scheduler::{Scheduler, StepReport};
use crate::serving::spec::{PolicySpec, build};
use crate::serving::state::{Change, EngineState, Facts};
use crate::serving::testing::{Log, engine, log_of, request, sync_log, workload};
use crate::workload::{Request, Workload};

fn of_class(class: u16, request: Request) -> Request {
    Request { class, ..request }
}

fn of_account(account: u32, request: Request) -> Request {
    Request { account, ..request }
}

#[test]
fn fcfs_preempts_the_last_admitted_which_finds_its_own_blocks_again() {
    // Four blocks of four. At 1 s the first request needs a third block, the second gives way,
    // and waits until its whole prompt fits again; its first block was never reused.
    let workload = workload(vec![request(0.0, 8, 5), request(0.0, 7, 4)]);
    let log = sync_log(&workload, &engine(4, 2, 100), "fcfs");
    assert_eq!(log.preempted, [1]);
    assert_eq!(log.cached[1], [0, 4]);
    assert_eq!(log.finish_s(), [5, 8]);
    assert_eq!(log.served, [(8, 5), (7, 4)]);
}

#[test]
fn fcfs_recomputes_what_was_overwritten() {
    let workload = workload(vec![request(0.0, 8, 6), request(0.0, 7, 4)]);
    let log = sync_log(&workload, &engine(4, 2, 100), "fcfs");
    assert_eq!((log.cached[1].as_slice(), log.finish_s()), ([0, 0].as_slice(), vec![6, 9]));
}

#[test]
fn a_step_with_a_preemption_admits_nobody() {
    // The third request is small and first in line from 0.5 s on; the preemption at 1 s keeps it
    // waiting until 2 s although a seat and a block are free.
    let workload = workload(vec![
        of_class(1, request(0.0, 8, 5)),
        of_class(1, request(0.0, 7, 4)),
        request(0.5, 2, 1),
    ]);
    let log = sync_log(&workload, &engine(4, 2, 100), "priority");
    assert_eq!(log.preempted, [1]);
    assert_eq!(log.finish_s()[2], 3);
}

#[test]
fn priority_takes_memory_from_the_worst_even_if_already_planned() {
    let workload = workload(vec![of_class(1, request(0.0, 6, 3)), of_class(0, request(0.5, 8, 3))]);
    let log = sync_log(&workload, &engine(4, 2, 100), "priority");
    assert_eq!(log.preempted, [0]);
    assert_eq!(log.steps[2].2.shape.decode_requests, 1);
    assert_eq!((log.cached[0].as_slice(), log.finish_s()), ([0, 4].as_slice(), vec![5, 4]));
    // First come, first served makes the newcomer give way instead.
    assert_eq!(sync_log(&workload, &engine(4, 2, 100), "fcfs").preempted, [1]);
}

#[test]
fn priority_serves_classes_in_order_and_returns_victims_to_their_turn() {
    let workload = workload(vec![
        of_class(1, request(0.0, 4, 1)),
        of_class(1, request(0.0, 4, 1)),
        of_class(0, request(0.5, 4, 1)),
    ]);
    let log = sync_log(&workload, &engine(100, 1, 100), "priority");
    assert_eq!(log.admitted, [0, 2, 1]);
}

#[test]
fn sarathi_fills_up_to_the_chunk_with_decodes_counted() {
    let workload = workload(vec![request(0.0, 2, 5), request(0.0, 10, 1)]);
    let shapes = |policy: &str| -> Vec<(u32, u32)> {
        let log = sync_log(&workload, &engine(100, 8, 100), policy);
        log.steps
            .iter()
            .map(|(_, _, s)| (s.shape.prefill_tokens, s.shape.decode_requests))
            .collect()
    };
    assert_eq!(shapes("sarathi+chunk=4"), [(4, 0), (3, 1), (3, 1), (2, 1), (0, 1)]);
    // For the other peers the chunk is of prompt tokens alone.
    assert_eq!(shapes("fcfs+chunk=4"), [(4, 0), (4, 1), (4, 1), (0, 1), (0, 1)]);
}

#[test]
fn sarathi_never_holds_decodes_back() {
    let workload = workload((0..6).map(|i| request(f64::from(i) * 2.0, 3, 30)).collect());
    let log = sync_log(&workload, &engine(100, 8, 100), "sarathi+chunk=3");
    let most = log.steps.iter().map(|(_, _, step)| step.shape.decode_requests).max();
    assert_eq!(most, Some(3), "with three decoding, no prompt moves");
    for (_, _, step) in &log.steps {
        assert!(step.shape.prefill_tokens + step.shape.decode_requests <= 3);
    }
}

#[test]
fn vtc_serves_the_smallest_counter() {
    // Account 0 has three requests at once, account 1 joins later with two: from then on they
    // take turns, lifted to what account 0 had got by then.
    let mut requests: Vec<Request> = (0..3).map(|_| request(0.0, 4, 2)).collect();
    requests.extend((0..2).map(|_| of_account(1, request(0.5, 4, 2))));
    let log = sync_log(&workload(requests), &engine(100, 1, 100), "vtc");
    assert_eq!(log.admitted, [0, 3, 1, 4, 2]);
}

#[test]
fn vtc_lifts_as_published() {
    let facts = |account| Facts {
        arrival: Nanos::ZERO,
        prompt_tokens: 100,
        output_tokens_max: 10,
        class: 0,
        account,
    };
    let mut vtc = Vtc::new(&workload(Vec::new()), 2.0);
    let mut waiting = Waiting::new(4);
    vtc.on_admit(&facts(0), true);
    vtc.on_admit(&facts(1), true);
    vtc.on_token(&facts(1));
    // Nobody waits: the account that left last is the measure, even if it is not the smallest.
    vtc.on_submit(&facts(2), &waiting);
    assert_eq!(vtc.counters(), [100.0, 102.0, 102.0, 0.0]);
    // Others wait: their smallest counter is.
    waiting.push(0, vtc.place(&facts(1)), None);
    waiting.push(1, vtc.place(&facts(0)), None);
    vtc.on_submit(&facts(3), &waiting);
    assert_eq!(vtc.counters(), [100.0, 102.0, 102.0, 100.0]);
    // A preempted request is not charged for its prompt twice.
    vtc.on_admit(&facts(3), false);
    assert_eq!(vtc.counters()[3], 100.0);
    // An account that still has something waiting is not lifted.
    waiting.push(2, vtc.place(&facts(3)), None);
    vtc.on_admit(&facts(0), true);
    vtc.on_admit(&facts(1), true);
    assert!(waiting.remove(0) && waiting.remove(1));
    vtc.on_submit(&facts(3), &waiting);
    assert_eq!(vtc.counters()[3], 100.0);
}

#[test]
fn vtc_divides_service_by_weight() {
    let mut requests: Vec<Request> = Vec::new();
    for _ in 0..9 {
        requests.push(request(0.0, 10, 1));
        requests.push(of_account(1, request(0.0, 10, 1)));
    }
    let mut workload = workload(requests);
    workload.accounts[1].weight = 2.0;
    let log = sync_log(&workload, &engine(100, 1, 100), "vtc");
    let heavy = log.admitted[..9].iter().filter(|request| *request % 2 == 1).count();
    assert_eq!(heavy, 6, "two of three turns go to the account of weight 2");
}

#[test]
fn past_future_waits_where_fcfs_preempts() {
    // Forty tokens of cache: at their longest the two together would need sixty.
    let longest = |r: Request| Request { output_tokens_max: 20, ..r };
    let workload = workload(vec![longest(request(0.0, 10, 15)), longest(request(0.0, 10, 15))]);
    let fcfs = sync_log(&workload, &engine(10, 8, 100), "fcfs");
    let past_future = sync_log(&workload, &engine(10, 8, 100), "past-future");
    assert_eq!(fcfs.preempted, [1]);
    assert_eq!(past_future.preempted, Vec::<u32>::new());
    assert_eq!(past_future.finish_s(), [15, 30]);
}

#[test]
fn past_future_learns_from_what_finished() {
    // Once ten-token answers are known, three such requests fit side by side: 3 * 10 + 3 * 2
    // tokens are 36 of the 38.8 that may be used.
    let longest = |r: Request| Request { output_tokens_max: 1_000, ..r };
    let mut requests = vec![longest(request(0.0, 2, 10))];
    requests.extend((0..3).map(|_| longest(request(20.0, 2, 10))));
    let log = sync_log(&workload(requests), &engine(10, 8, 100), "past-future");
    assert_eq!(log.finish_s(), [10, 30, 30, 30]);
}

#[test]
fn triage_lets_those_pass_who_can_still_make_it() {
    // One seat, one second a request, two seconds to the first token. Without triage everybody
    // from the third on is late; with it the late ones step aside.
    let workload = workload((0..8).map(|i| request(f64::from(i) * 0.5, 4, 1)).collect());
    let in_time = |log: &Log| {
        let firsts = log.first.iter().zip(&workload.requests);
        firsts.filter(|(first, r)| first.unwrap() - r.arrival.0 <= 2_000_000_000).count()
    };
    for policy in ["fcfs", "priority", "sarathi", "vtc", "past-future"] {
        let plain = sync_log(&workload, &engine(100, 1, 100), policy);
        let triaged = sync_log(&workload, &engine(100, 1, 100), &format!("{policy}+triage"));
        assert!(in_time(&triaged) > in_time(&plain), "{policy}");
        assert!(triaged.finished.iter().all(|times| times.len() == 1));
    }
}

/// Service of each account as VTC counts it, taken while another policy runs.
struct Ledger<'a> {
    inner: Box<dyn Scheduler + 'a>,
    waiting: [u32; 4],
    service: [f64; 4],
    /// Differences of service when each pair was last not backlogged together.
    since: [[f64; 4]; 4],
    worst: &'a std::cell::Cell<f64>,
}

impl Ledger<'_> {
    fn compare(&mut self) {
        for a in 0..4 {
            for b in 0..a {
                let difference = self.service[a] - self.service[b];
                if self.waiting[a] == 0 || self.waiting[b] == 0 {
                    self.since[a][b] = difference;
                }
                self.worst.set(self.worst.get().max((difference - self.since[a][b]).abs()));
            }
        }
    }
}

impl Scheduler for Ledger<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn submit(&mut self, now: Nanos, request: u32, engine: &mut EngineState<'_>) {
        self.waiting[engine.facts(request).account as usize] += 1;
        self.compare();
        self.inner.submit(now, request, engine);
    }

    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        self.inner.form(now, engine);
        for change in engine.changes() {
            let Change::Admitted { request, .. } = *change else { panic!("nothing is preempted") };
            let facts = engine.facts(request);
            self.waiting[facts.account as usize] -= 1;
            self.service[facts.account as usize] += f64::from(facts.prompt_tokens);
        }
        self.compare();
    }

    fn observe(&mut self, now: Nanos, report: &StepReport<'_>, engine: &EngineState<'_>) {
        for outcome in report.outcomes {
            let account = engine.facts(outcome.request).account;
            self.service[account as usize] += 2.0 * f64::from(outcome.output_tokens);
        }
        self.compare();
        self.inner.observe(now, report, engine);
    }
}

const PROMPT_MAX: u32 = 40;
const OUTPUT_MAX: u32 = 20;
const SEATS: u32 = 3;

/// Largest difference of service between two accounts backlogged together, over the bound.
fn difference_over_bound(workload: &Workload, policy: &str, steps_in_flight: u32) -> f64 {
    // Memory for every seat at its fullest, so that nothing is ever preempted.
    let batch_tokens = SEATS * (PROMPT_MAX + OUTPUT_MAX);
    let engine = engine(batch_tokens / 4 + SEATS, SEATS, 50);
    let spec: PolicySpec = policy.parse().unwrap();
    let worst = std::cell::Cell::new(0.0);
    let ledger = Ledger {
        inner: build(&spec, workload, &engine, steps_in_flight).unwrap(),
        waiting: [0; 4],
        service: [0.0; 4],
        since: [[0.0; 4]; 4],
        worst: &worst,
    };
    let options = RunOptions { steps_in_flight, ..RunOptions::default() };
    log_of(workload, &engine, Box::new(ledger), options).unwrap();
    worst.get() / (2.0 * f64::from(PROMPT_MAX).max(2.0 * f64::from(SEATS * OUTPUT_MAX)))
}

fn unequal_arrivals() -> impl Strategy<Value = Workload> {
    let one = (0u32..6, 1..=PROMPT_MAX, 1..=OUTPUT_MAX, 0u32..16);
    prop::collection::vec(one, 1..120).prop_map(|rows| {
        let mut at = 0.0;
        let of = |(gap, prompt, output, account): (u32, u32, u32, u32)| {
            at += f64::from(gap);
            // Account 0 sends three quarters of all requests.
            of_account(account.saturating_sub(12), request(at, prompt, output))
        };
        workload(rows.into_iter().map(of).collect())
    })
}

proptest! {
    /// `|W_f - W_g| <= 2 * max(w_p * longest prompt, w_q * tokens in a batch)`, whoever sends
    /// what and when. Output tokens of a batch bound the second term more tightly than memory.
    #[test]
    fn vtc_keeps_its_published_bound(workload in unequal_arrivals(), steps_in_flight in 1u32..=2) {
        prop_assert!(difference_over_bound(&workload, "vtc", steps_in_flight) <= 1.0);
    }
}

#[test]
fn an_account_that_returns_cannot_spend_what_it_saved() {
    let busy = (0..120).map(|_| request(0.0, PROMPT_MAX, OUTPUT_MAX));
    let back = (0..30).map(|_| of_account(1, request(300.0, PROMPT_MAX, OUTPUT_MAX)));
    let workload = workload(busy.chain(back).collect());
    assert!(difference_over_bound(&workload, "vtc", 2) <= 1.0);
}

#[test]
fn fcfs_does_not_keep_that_bound() {
    let greedy = (0..100).map(|_| request(0.0, PROMPT_MAX, OUTPUT_MAX));
    let modest = (0..20).map(|_| of_account(1, request(0.0, PROMPT_MAX, OUTPUT_MAX)));
    let workload = workload(greedy.chain(modest).collect());
    assert!(difference_over_bound(&workload, "fcfs", 1) > 5.0);
    assert!(difference_over_bound(&workload, "vtc", 1) <= 1.0);
}
