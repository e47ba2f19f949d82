//! Rates against a bucket kept in the plain way, and against what is promised of them.

mod cases;

use super::*;
use crate::policy::RateLimits;
use crate::share::tree::AccountTree;

const ACCOUNTS: u32 = 6;
const MINUTE_NS: u64 = 60_000_000_000;

fn new() -> Ledger {
    let options =
        LedgerOptions { accounts_max: ACCOUNTS, lanes: 0, rates: true, ..LedgerOptions::default() };
    Ledger::new(&options).unwrap()
}

fn saved(ledger: &Ledger) -> Vec<u64> {
    let mut words = Vec::new();
    ledger.save_state(&mut |word| words.push(word));
    words
}

fn load(words: &[u64]) -> Result<Ledger, Error> {
    let (mut ledger, mut words) = (new(), words.iter().copied());
    ledger.load_state(&mut || words.next()).map(|()| ledger)
}

fn limits(requests_per_minute: u32, tokens_per_minute: u64, burst_ns: u64) -> RateLimits {
    RateLimits { requests_per_minute, tokens_per_minute, burst: Nanos(burst_ns) }
}

/// A bucket as it is usually kept: what it held, and when. In token-nanoseconds per minute, so
/// that nothing is rounded.
#[derive(Clone, Copy, Debug)]
struct Plain {
    per_minute: i128,
    capacity: i128,
    level: i128,
    last: u64,
}

impl Plain {
    fn new(per_minute: u64, burst: Nanos) -> Option<Self> {
        let per_minute = i128::from(per_minute);
        let capacity = (per_minute * i128::from(burst.get())).max(MINUTE_NS.into());
        (per_minute > 0).then_some(Self { per_minute, capacity, level: capacity, last: 0 })
    }

    fn pass(&mut self, now: u64) {
        let brought = self.per_minute * i128::from(now - self.last);
        (self.level, self.last) = (self.capacity.min(self.level + brought), now);
    }

    fn admits(mut self, now: u64, cost: i128) -> bool {
        self.pass(now);
        self.level >= cost.min(self.capacity)
    }

    fn add(&mut self, now: u64, amount: i128) {
        self.pass(now);
        let to_come = self.per_minute * i128::from(u64::MAX - now);
        let least = self.capacity.saturating_sub(to_come);
        self.level = (self.level + amount).clamp(least, self.capacity);
    }
}

/// The two buckets of each account, by index.
type Plains = [[Option<Plain>; 2]; ACCOUNTS as usize];

fn way_up(tree: &AccountTree, index: u32) -> Vec<usize> {
    let mut way = std::vec![index];
    while let Some(above) = Some(tree.parent_at(way[way.len() - 1])).filter(|at| *at < ACCOUNTS) {
        way.push(above);
    }
    way.into_iter().map(|index| index as usize).collect()
}

fn admits(plains: &Plains, way: &[usize], now: u64, costs: [i128; 2]) -> bool {
    way.iter().all(|index| {
        let both = plains[*index].iter().zip(costs);
        both.into_iter().all(|(plain, cost)| plain.is_none_or(|plain| plain.admits(now, cost)))
    })
}

/// The first moment from `now` on at which all buckets admit it, by bisection.
fn admitted_at(plains: &Plains, way: &[usize], now: u64, costs: [i128; 2]) -> u64 {
    let (mut low, mut high) = (now, u64::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if admits(plains, way, middle, costs) { high = middle } else { low = middle + 1 }
    }
    low
}

fn add(plains: &mut Plains, way: &[usize], now: u64, amounts: [i128; 2]) {
    for index in way {
        for (plain, amount) in plains[*index].iter_mut().zip(amounts) {
            if let Some(plain) = plain {
                plain.add(now, amount);
            }
        }
    }
}

fn units(amount: u64) -> i128 {
    i128::from(amount) * i128::from(MINUTE_NS)
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(usize),
    Close(usize),
    Set(usize, RateLimits),
    Admit(usize, u64),
    Charge(usize, u64),
    Refund(usize, u32, u64),
}

fn rates() -> impl Strategy<Value = RateLimits> {
    let requests = prop_oneof![Just(0), Just(1), Just(u32::MAX), 1u32..200];
    let tokens = prop_oneof![Just(0), Just(1), 1u64..100, 1_000u64..1_000_000, Just(1u64 << 62)];
    let burst = prop_oneof![Just(0), Just(1), Just(MINUTE_NS), Just(u64::MAX), 0u64..5 * MINUTE_NS];
    (requests, tokens, burst).prop_map(|(requests, tokens, burst)| limits(requests, tokens, burst))
}

/// Rates that are soon used up.
fn tight() -> impl Strategy<Value = RateLimits> {
    (1u32..50, 1u64..3_000, 0..MINUTE_NS / 10)
        .prop_map(|(requests, tokens, burst)| limits(requests, tokens, burst))
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..200, 2 => 0u64..100_000, 1 => Just(0), 1 => any::<u32>().prop_map(u64::from),
        1 => (0u32..64).prop_map(|bits| u64::MAX >> bits),
    ]
}

/// What happens, and how long after what was before.
fn ops(len: usize) -> impl Strategy<Value = Vec<(Op, u64)>> {
    let place = 0..ACCOUNTS as usize;
    let op = prop_oneof![
        2 => (0..9usize).prop_map(Op::Open),
        1 => place.clone().prop_map(Op::Close),
        3 => (place.clone(), rates()).prop_map(|(place, rates)| Op::Set(place, rates)),
        9 => (place.clone(), tokens()).prop_map(|(place, tokens)| Op::Admit(place, tokens)),
        3 => (place.clone(), tokens()).prop_map(|(place, tokens)| Op::Charge(place, tokens)),
        2 => (place, 0u32..3, tokens()).prop_map(|(place, r, t)| Op::Refund(place, r, t)),
    ];
    let wait = prop_oneof![
        2 => Just(0), 1 => 1u64..4, 5 => 0u64..MINUTE_NS / 10, 3 => 0u64..3 * MINUTE_NS,
        1 => (8u32..64).prop_map(|bits| u64::MAX >> bits),
    ];
    prop::collection::vec((op, wait), 0..len)
}

fn account(ledger: &Ledger, place: usize) -> AccountId {
    ledger.tree().account_at(place as u32).unwrap_or_default()
}

/// Does `op`; places without an account are tried with an id of nobody.
fn apply(ledger: &mut Ledger, now: Nanos, op: Op) -> Result<Option<RateDecision>, Error> {
    match op {
        Op::Open(parent) => {
            let parent = (parent < ACCOUNTS as usize).then(|| account(ledger, parent));
            ledger.open(parent, 1.0).map(|_| None)
        }
        Op::Close(place) => ledger.close(account(ledger, place)).map(|()| None),
        Op::Set(place, rates) => {
            ledger.set_rates(now, account(ledger, place), &rates).map(|()| None)
        }
        Op::Admit(place, tokens) => {
            ledger.admit_rate(now, account(ledger, place), tokens).map(Some)
        }
        Op::Charge(place, tokens) => {
            ledger.charge_rate(now, account(ledger, place), tokens).map(|()| None)
        }
        Op::Refund(place, requests, tokens) => {
            ledger.refund_rate(now, account(ledger, place), requests, tokens).map(|()| None)
        }
    }
}

/// Does to the plain buckets what the ledger did, and says what it should have decided: whether
/// it is within, and if not, when it will be.
fn follow(plains: &mut Plains, tree: &AccountTree, now: u64, op: Op) -> Option<Result<(), u64>> {
    match op {
        Op::Open(_) | Op::Close(_) => {
            for index in (0..ACCOUNTS).filter(|index| tree.account_at(*index).is_none()) {
                plains[index as usize] = [None; 2];
            }
        }
        Op::Set(place, rates) => {
            let per_minute = [u64::from(rates.requests_per_minute), rates.tokens_per_minute];
            for (plain, per_minute) in plains[place].iter_mut().zip(per_minute) {
                let old = *plain;
                *plain = Plain::new(per_minute, rates.burst).map(|new| Plain { last: now, ..new });
                if let (Some(mut old), Some(new)) = (old, plain) {
                    old.pass(now);
                    new.level = old.level.min(new.capacity);
                    new.add(now, 0);
                }
            }
        }
        Op::Admit(place, tokens) => {
            let (way, costs) = (way_up(tree, place as u32), [units(1), units(tokens)]);
            let at = admitted_at(plains, &way, now, costs);
            if at > now {
                return Some(Err(at - now));
            }
            add(plains, &way, now, costs.map(|cost| -cost));
            return Some(Ok(()));
        }
        Op::Charge(place, tokens) => {
            add(plains, &way_up(tree, place as u32), now, [0, -units(tokens)]);
        }
        Op::Refund(place, requests, tokens) => {
            let amounts = [units(requests.into()), units(tokens)];
            add(plains, &way_up(tree, place as u32), now, amounts);
        }
    }
    None
}

/// Whether the limit that is named is the one that holds it up until the last nanosecond.
fn holds_up(plains: &Plains, at: u64, limit: RateKind, owner: AccountId, tokens: u64) -> bool {
    let cost = [units(1), units(tokens)][limit as usize];
    let plain = plains[owner.index() as usize][limit as usize];
    plain.is_some_and(|plain| !plain.admits(at - 1, cost) && plain.admits(at, cost))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// To the nanosecond, on trees that change, at any rate, burst and size of request.
    #[test]
    fn rates_are_plain_buckets_on_every_level(ops in ops(250)) {
        let (mut ledger, mut now) = (new(), 0_u64);
        let mut plains: Plains = [[None; 2]; ACCOUNTS as usize];
        for (op, wait) in ops {
            now = now.saturating_add(wait);
            let before = plains;
            let Ok(decision) = apply(&mut ledger, Nanos(now), op) else { continue };
            let expected = follow(&mut plains, ledger.tree(), now, op);
            match (decision, expected) {
                (Some(RateDecision::Over { limit, account, retry_after }), Some(Err(wait))) => {
                    prop_assert_eq!(retry_after, Nanos(wait));
                    let Op::Admit(_, tokens) = op else { unreachable!() };
                    prop_assert!(holds_up(&before, now + wait, limit, account, tokens));
                }
                (Some(RateDecision::Within), Some(Ok(()))) | (None, None) => {}
                wrong => prop_assert!(false, "{wrong:?}"),
            }
        }
    }

    /// Who comes back when told is let in, and not a nanosecond before; also at rates whose
    /// products fill 128 bits.
    #[test]
    fn retry_after_is_exact(
        levels in prop::collection::vec((prop_oneof![rates(), tight()], tokens(), tokens()), 1..4),
        wait in 0u64..MINUTE_NS, tokens in tokens(), widest in any::<bool>(),
    ) {
        let mut ledger = new();
        let (mut way, mut now) = (Vec::new(), Nanos::ZERO);
        for (mut rates, taken, used) in levels {
            let account = ledger.open(way.last().copied(), 1.0).unwrap();
            way.push(account);
            if widest {
                rates = limits(u32::MAX, u64::MAX, rates.burst.get());
            }
            ledger.set_rates(now, account, &rates).unwrap();
            ledger.admit_rate(now, account, taken).unwrap();
            ledger.charge_rate(now, account, used).unwrap();
            now = now.saturating_add(Nanos(wait));
        }
        let account = way[way.len() - 1];
        let told = ledger.admit_rate(now, account, tokens).unwrap();
        let RateDecision::Over { retry_after, .. } = told else { return Ok(()) };
        prop_assert!(retry_after > Nanos::ZERO);
        let at = now.checked_add(retry_after).unwrap();
        let early = ledger.admit_rate(at.saturating_sub(Nanos(1)), account, tokens).unwrap();
        prop_assert!(matches!(early, RateDecision::Over { retry_after: Nanos(1), .. }), "{early:?}");
        prop_assert_eq!(ledger.rate_check(at, account, tokens), Ok(RateDecision::Within));
        prop_assert_eq!(ledger.admit_rate(at, account, tokens), Ok(RateDecision::Within));
    }

    /// Looking, being refused, and taking or giving back nothing change no later answer.
    #[test]
    fn nothing_drifts_however_often_anybody_looks(ops in ops(200), looks in 1u64..20) {
        let (mut quiet, mut watched, mut now) = (new(), new(), 0_u64);
        for (op, wait) in ops {
            for look in 1..looks {
                let at = Nanos(now.saturating_add(wait / looks * look));
                for place in 0..ACCOUNTS as usize {
                    let account = account(&watched, place);
                    let _ = watched.charge_rate(at, account, 0);
                    let _ = watched.refund_rate(at, account, 0, 0);
                    if let Ok(rates) = watched.rates(account) {
                        watched.set_rates(at, account, &rates).unwrap();
                    }
                    if let Ok(RateDecision::Over { .. }) = watched.rate_check(at, account, 7) {
                        watched.admit_rate(at, account, 7).unwrap();
                    }
                }
            }
            now = now.saturating_add(wait);
            let answer = apply(&mut quiet, Nanos(now), op);
            prop_assert_eq!(apply(&mut watched, Nanos(now), op), answer);
        }
    }

    /// The promise by its definition, over every pair of requests that were let in.
    #[test]
    fn no_interval_brings_in_more_than_is_promised(
        asked in prop::collection::vec((0u64..MINUTE_NS / 4, 1u64..400), 1..120),
        per_minute in 1u64..2_000, burst in 0u64..2 * MINUTE_NS,
    ) {
        let mut ledger = new();
        let account = ledger.open(None, 1.0).unwrap();
        let rates = limits(0, per_minute, burst);
        ledger.set_rates(Nanos::ZERO, account, &rates).unwrap();
        let (mut now, mut let_in) = (0, Vec::new());
        for (wait, tokens) in asked {
            now += wait;
            if ledger.admit_rate(Nanos(now), account, tokens) == Ok(RateDecision::Within) {
                let_in.push((now, tokens));
            }
        }
        let capacity = (u128::from(per_minute) * u128::from(burst)).max(MINUTE_NS.into());
        for (first, (from, _)) in let_in.iter().enumerate() {
            let (mut sum, mut largest) = (0, 0);
            for (to, tokens) in &let_in[first..] {
                sum += units(*tokens) as u128;
                largest = largest.max(units(*tokens) as u128);
                let most = capacity.max(largest) + u128::from(per_minute) * u128::from(to - from);
                prop_assert!(sum <= most, "{sum} > {most}");
            }
        }
    }

    #[test]
    fn a_loaded_ledger_goes_on_as_the_saved_one(before in ops(80), after in ops(60)) {
        let (mut ledger, mut now) = (new(), 0_u64);
        for (op, wait) in before {
            now = now.saturating_add(wait);
            let _ = apply(&mut ledger, Nanos(now), op);
        }
        let mut other = load(&saved(&ledger)).unwrap();
        prop_assert_eq!(saved(&other), saved(&ledger));
        for (op, wait) in after {
            now = now.saturating_add(wait);
            prop_assert_eq!(
                apply(&mut other, Nanos(now), op), apply(&mut ledger, Nanos(now), op)
            );
        }
        prop_assert_eq!(saved(&other), saved(&ledger));
        prop_assert_eq!(other.has_rate_limits(), ledger.has_rate_limits());
    }

    #[test]
    fn damaged_words_are_refused_or_harmless(
        before in ops(80), after in ops(60), at in any::<prop::sample::Index>(),
        word in prop_oneof![any::<u64>(), 0u64..12, Just(u64::MAX)],
    ) {
        let (mut ledger, mut now) = (new(), 0_u64);
        for (op, wait) in before {
            now = now.saturating_add(wait);
            let _ = apply(&mut ledger, Nanos(now), op);
        }
        let mut words = saved(&ledger);
        let at = at.index(words.len());
        words[at] = word;
        let Ok(mut ledger) = load(&words) else { return Ok(()) };
        let mut again = load(&saved(&ledger)).unwrap();
        for (op, wait) in after {
            now = now.saturating_add(wait);
            prop_assert_eq!(
                apply(&mut ledger, Nanos(now), op), apply(&mut again, Nanos(now), op)
            );
        }
    }
}
