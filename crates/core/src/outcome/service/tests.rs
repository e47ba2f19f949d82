use super::*;
use proptest::prelude::*;

const COSTS: TokenCosts = TokenCosts { prompt: 1.0, cached: 0.25, output: 2.0 };

#[derive(Clone, Copy, Debug)]
enum Call {
    Pass(u64),
    Serve { account: u32, prompt: u64, cached: u64, output: u64 },
    Backlog { account: u32, on: bool },
}

fn calls(accounts: u32) -> impl Strategy<Value = Vec<Call>> {
    let serve = (0..accounts, 0u64..3_000, 0u64..100, 0u64..300).prop_map(
        |(account, prompt, cached, output)| Call::Serve { account, prompt, cached, output },
    );
    let backlog = (0..accounts, prop::bool::weighted(0.7))
        .prop_map(|(account, on)| Call::Backlog { account, on });
    let pass = (1u64..2_000_000_000).prop_map(Call::Pass);
    prop::collection::vec(prop_oneof![3 => pass, 6 => serve, 3 => backlog], 0..200)
}

/// Everything that was ever said, kept whole, and summed from the start whenever it is asked.
struct Oracle {
    weights: Vec<f64>,
    log: Vec<(u32, f64)>,
    /// Length of the log when the account became backlogged.
    since: Vec<Option<usize>>,
    max: f64,
    difference_s: f64,
    pair_s: f64,
}

impl Oracle {
    fn service(&self, account: usize, from: usize) -> f64 {
        let of = self.log.iter().skip(from).filter(|(who, _)| *who as usize == account);
        of.map(|(_, service)| service / self.weights[account]).sum()
    }

    fn differences(&self) -> Vec<f64> {
        let mut differences = Vec::new();
        for i in 0..self.since.len() {
            for j in 0..i {
                if let (Some(a), Some(b)) = (self.since[i], self.since[j]) {
                    let from = a.max(b);
                    differences.push((self.service(i, from) - self.service(j, from)).abs());
                }
            }
        }
        differences
    }

    /// What was told so far takes effect and holds for `elapsed_s`.
    fn see(&mut self, elapsed_s: f64) {
        let differences = self.differences();
        self.max = differences.iter().copied().fold(self.max, f64::max);
        self.difference_s += differences.iter().sum::<f64>() * elapsed_s;
        self.pair_s += differences.len() as f64 * elapsed_s;
    }

    fn apply(&mut self, call: Call) {
        match call {
            Call::Pass(ns) => self.see(ns as f64 / 1e9),
            Call::Serve { account, prompt, cached, output } => {
                let service = prompt as f64 + 0.25 * cached as f64 + 2.0 * output as f64;
                self.log.push((account, service));
            }
            Call::Backlog { account, on } => {
                let is_on = self.since[account as usize].is_some();
                if on != is_on {
                    self.see(0.0);
                    self.since[account as usize] = on.then_some(self.log.len());
                }
            }
        }
    }
}

fn apply(books: &mut ServiceDifference, now: &mut Nanos, call: Call) -> Result<(), Error> {
    match call {
        Call::Pass(ns) => {
            now.0 += ns;
            Ok(())
        }
        Call::Serve { account, prompt, cached, output } => {
            let work = Work { prompt_tokens: prompt, cached_tokens: cached, output_tokens: output };
            books.served(*now, account, work)
        }
        Call::Backlog { account, on } => books.set_backlogged(*now, account, on),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #[test]
    fn differences_are_those_of_the_definition(
        calls in calls(6), weights in prop::collection::vec(0.1f64..10.0, 6),
    ) {
        let mut books = ServiceDifference::new(6, 6, COSTS).unwrap();
        for (account, weight) in (0..).zip(&weights) {
            books.set_weight(account, *weight).unwrap();
        }
        let mut oracle = Oracle { weights, log: Vec::new(), since: vec![None; 6], max: 0.0,
            difference_s: 0.0, pair_s: 0.0 };
        let mut now = Nanos::ZERO;
        for call in calls {
            oracle.apply(call);
            apply(&mut books, &mut now, call).unwrap();
        }
        oracle.see(0.0);
        let got = books.difference(now).unwrap();
        let mean = if oracle.pair_s > 0.0 { oracle.difference_s / oracle.pair_s } else { 0.0 };
        prop_assert!(close(got.max, oracle.max), "{got:?} {}", oracle.max);
        prop_assert!(close(got.mean, mean), "{got:?} {mean}");
        prop_assert!(close(got.compared_pair_s, oracle.pair_s));
        prop_assert_eq!(got.uncompared, 0);
        for account in 0..6 {
            let all = oracle.service(account as usize, 0);
            prop_assert!(close(books.weighted_service(account).unwrap(), all));
        }
    }

    /// With too few slots nothing breaks, and what was left out is counted.
    #[test]
    fn slots_never_run_out_for_good(calls in calls(9)) {
        let mut books = ServiceDifference::new(9, 2, COSTS).unwrap();
        let mut now = Nanos::ZERO;
        let (mut on, mut slots, mut left_out) = ([false; 9], Vec::new(), 0);
        for call in calls {
            apply(&mut books, &mut now, call).unwrap();
            if let Call::Backlog { account, on: wanted } = call {
                let was = std::mem::replace(&mut on[account as usize], wanted);
                if wanted && !was {
                    if slots.len() < 2 { slots.push(account) } else { left_out += 1 }
                } else if !wanted {
                    slots.retain(|other| *other != account);
                }
            }
        }
        prop_assert_eq!(books.difference(now).unwrap().uncompared, left_out);
        prop_assert_eq!(books.active_count as usize, slots.len());
    }
}

fn tokens(prompt_tokens: u64) -> Work {
    Work { prompt_tokens, ..Work::default() }
}

#[test]
fn only_accounts_that_wait_together_are_compared() {
    let mut books = ServiceDifference::new(3, 3, COSTS).unwrap();
    books.set_backlogged(Nanos(0), 0, true).unwrap();
    books.served(Nanos(0), 0, tokens(1_000_000)).unwrap();
    books.served(Nanos(0), 2, tokens(5_000_000)).unwrap();
    let second = Nanos(1_000_000_000);
    books.set_backlogged(second, 1, true).unwrap();
    books.served(second, 1, tokens(300)).unwrap();
    books.served(second, 0, tokens(100)).unwrap();
    let got = books.difference(Nanos(3_000_000_000)).unwrap();
    assert_eq!((got.max, got.mean, got.compared_pair_s), (200.0, 200.0, 2.0));
}

#[test]
fn an_instant_is_one_moment() {
    let mut books = ServiceDifference::new(2, 2, COSTS).unwrap();
    for account in [0, 1] {
        books.set_backlogged(Nanos(0), account, true).unwrap();
    }
    for now in 1..50 {
        books.served(Nanos(now), 0, tokens(700)).unwrap();
        books.served(Nanos(now), 1, tokens(700)).unwrap();
    }
    assert_eq!(books.difference(Nanos(50)).unwrap().max, 0.0);
}

#[test]
fn wrong_calls_change_nothing() {
    let mut books = ServiceDifference::new(2, 2, COSTS).unwrap();
    books.set_backlogged(Nanos(10), 0, true).unwrap();
    books.set_backlogged(Nanos(10), 1, true).unwrap();
    books.served(Nanos(10), 0, tokens(5)).unwrap();
    assert!(matches!(books.served(Nanos(9), 0, tokens(5)), Err(Error::TimeReversed { .. })));
    assert!(matches!(books.difference(Nanos(9)), Err(Error::TimeReversed { .. })));
    assert_eq!(books.served(Nanos(99), 2, tokens(5)).unwrap_err().field(), "account");
    assert_eq!(books.set_backlogged(Nanos(99), 2, true).unwrap_err().field(), "account");
    assert_eq!(books.set_backlogged(Nanos(99), u32::MAX, false).unwrap_err().field(), "account");
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(books.set_weight(0, bad).unwrap_err().field(), "weight");
    }
    let costs = TokenCosts { output: f64::NAN, ..COSTS };
    assert_eq!(books.set_costs(costs).unwrap_err().field(), "output_token_cost");
    assert_eq!(books.now(), Nanos(10));
    assert_eq!(books.difference(Nanos(10)).unwrap().max, 5.0);
    assert!(ServiceDifference::new(0, 1, COSTS).is_err());
    assert!(ServiceDifference::new(1, BACKLOGGED_MAX + 1, COSTS).is_err());
}

#[test]
fn a_forgotten_account_starts_anew() {
    let mut books = ServiceDifference::new(2, 2, COSTS).unwrap();
    books.set_weight(0, 4.0).unwrap();
    books.set_backlogged(Nanos(0), 0, true).unwrap();
    books.served(Nanos(0), 0, tokens(8)).unwrap();
    assert_eq!(books.weighted_service(0), Some(2.0));
    books.forget(Nanos(1), 0).unwrap();
    books.served(Nanos(1), 0, tokens(8)).unwrap();
    assert_eq!(books.weighted_service(0), Some(8.0));
    assert_eq!(books.active_count, 0);
    assert_eq!(books.weighted_service(2), None);
}

#[test]
fn merging_adds_work_and_keeps_the_worst() {
    let run = |gap: u64, seconds: u64| {
        let mut books = ServiceDifference::new(2, 2, COSTS).unwrap();
        books.set_backlogged(Nanos(0), 0, true).unwrap();
        books.set_backlogged(Nanos(0), 1, true).unwrap();
        books.served(Nanos(0), 1, tokens(gap)).unwrap();
        books.difference(Nanos(seconds * 1_000_000_000)).unwrap();
        books
    };
    let mut sum = run(100, 3);
    sum.merge(&run(40, 1)).unwrap();
    let got = sum.difference(sum.now()).unwrap();
    assert_eq!((got.max, got.mean, got.compared_pair_s), (100.0, 85.0, 4.0));
    assert_eq!(sum.work(1), Some(tokens(140)));
    let other = ServiceDifference::new(3, 2, COSTS).unwrap();
    assert!(matches!(sum.merge(&other), Err(Error::Contradiction { .. })));
}

#[test]
fn bytes_are_those_of_the_arrays() {
    let books = ServiceDifference::new(100, 16, COSTS).unwrap();
    let bytes = size_of_val(&*books.books)
        + size_of_val(&*books.slots)
        + size_of_val(&*books.order)
        + size_of_val(&*books.served)
        + size_of_val(&*books.base);
    assert_eq!(ServiceDifference::bytes_needed(100, 16), bytes as u64);
}
