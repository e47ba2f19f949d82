//! Ledgers that tell each other whom they served: what they know and charge in the end does not
//! depend on how the deltas travelled, and no delta can harm them.

mod examples;

use super::super::exchange::{DeltaEntry, DeltaSource, Merged};
use super::*;

const ACCOUNTS: u32 = 6;
const LANES: u32 = 2;
const REPLICAS_MAX: u32 = 4;
const NONE: DeltaEntry = DeltaEntry { key: 0, lane: 0, began: 0.0, told: 0.0, served: 0.0 };

fn new() -> Ledger {
    let options = LedgerOptions {
        accounts_max: ACCOUNTS,
        lanes: LANES,
        replicas_max: REPLICAS_MAX,
        ..LedgerOptions::default()
    };
    Ledger::new(&options).unwrap()
}

fn replica(number: u32) -> Ledger {
    let mut ledger = new();
    ledger.set_replica(number, 1).unwrap();
    ledger
}

fn open(ledger: &mut Ledger, parent: Option<AccountId>, weight: f64, key: u64) -> AccountId {
    let account = ledger.open(parent, weight).unwrap();
    ledger.set_key(account, key).unwrap();
    account
}

/// Two teams of two users: keys 1 and 2 are the teams, 3 to 6 their users. Weights are powers of
/// two, so that whole costs leave all counters exact. Odd replicas open them in another order.
const WEIGHTS: [f64; ACCOUNTS as usize] = [1.0, 2.0, 1.0, 4.0, 2.0, 1.0];

const fn team_of(key: u64) -> u64 {
    if key < 5 { 1 } else { 2 }
}

fn with_teams(number: u32) -> Ledger {
    let mut ledger = replica(number);
    let mut keys: Vec<u64> = std::vec![1, 3, 4, 2, 5, 6];
    keys.rotate_left(if number.is_multiple_of(2) { 0 } else { 3 });
    for key in keys {
        let parent = (key > 2).then(|| ledger.account_of(team_of(key)).unwrap());
        open(&mut ledger, parent, WEIGHTS[key as usize - 1], key);
    }
    ledger
}

type Message = (DeltaSource, Vec<DeltaEntry>);

fn delta(ledger: &mut Ledger, len_max: usize) -> Message {
    let mut out = std::vec![NONE; len_max];
    let delta = ledger.delta(&mut out).unwrap();
    out.truncate(delta.len);
    (delta.source, out)
}

fn delta_all(ledger: &Ledger, len_max: usize) -> Vec<Message> {
    let (mut next, mut messages) = (0, Vec::new());
    loop {
        let mut out = std::vec![NONE; len_max];
        let delta = ledger.delta_all(&mut next, &mut out).unwrap();
        out.truncate(delta.len);
        messages.push((delta.source, out));
        if delta.is_complete {
            assert_eq!(next, 0);
            return messages;
        }
    }
}

fn merge(ledger: &mut Ledger, message: &Message) -> Merged {
    ledger.merge(message.0, &message.1).unwrap()
}

/// Everybody tells everything to everybody else.
fn tell_all(ledgers: &mut [Ledger], order: usize) {
    let messages: Vec<_> = ledgers.iter().flat_map(|ledger| delta_all(ledger, 3)).collect();
    let messages_len = messages.len();
    for (to, ledger) in ledgers.iter_mut().enumerate() {
        let mut messages = messages.clone();
        messages.rotate_left((order * 5 + to) % messages_len);
        if order % 2 == 1 {
            messages.reverse();
        }
        for message in messages.iter().filter(|message| message.0.replica != to as u64) {
            merge(ledger, message);
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Charge {
        at: usize,
        key: u64,
        lane: u32,
        cost: u32,
    },
    Tell {
        at: usize,
        len_max: usize,
    },
    /// Any message so far, once more or for the first time. What is never picked is lost.
    Deliver {
        message: prop::sample::Index,
        to: usize,
    },
    Restart {
        at: usize,
    },
}

fn ops(restarts: u32) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..5usize, 1..=6u64, 0..LANES, 1..5_000u32)
            .prop_map(|(at, key, lane, cost)| Op::Charge { at, key, lane, cost }),
        3 => (0..5usize, 0..8usize).prop_map(|(at, len_max)| Op::Tell { at, len_max }),
        6 => (any::<prop::sample::Index>(), 0..5usize)
            .prop_map(|(message, to)| Op::Deliver { message, to }),
        restarts => (0..5usize).prop_map(|at| Op::Restart { at }),
    ];
    prop::collection::vec(op, 0..150)
}

/// What was charged in truth, by lane and key, own requests only.
type Truth = [[f64; 7]; LANES as usize];

fn run(ledgers: &mut [Ledger], ops: &[Op]) -> Truth {
    let count = ledgers.len();
    let (mut messages, mut truth) = (Vec::<Message>::new(), Truth::default());
    let mut incarnations = std::vec![1; count];
    for op in ops {
        match op {
            Op::Charge { at, key, lane, cost } => {
                let ledger = &mut ledgers[at % count];
                let account = ledger.account_of(*key).unwrap();
                ledger.charge(*lane, account, f64::from(*cost)).unwrap();
                truth[*lane as usize][*key as usize] += f64::from(*cost);
            }
            Op::Tell { at, len_max } => messages.push(delta(&mut ledgers[at % count], *len_max)),
            Op::Deliver { message, to } if !messages.is_empty() => {
                let message = &messages[message.index(messages.len())];
                let to = to % count;
                if message.0.replica != to as u64 {
                    merge(&mut ledgers[to], message);
                }
            }
            Op::Deliver { .. } => {}
            Op::Restart { at } => {
                // The last words of the old life are heard by everybody.
                tell_all(ledgers, 1);
                let at = at % count;
                incarnations[at] += 1;
                ledgers[at].set_replica(at as u32, incarnations[at]).unwrap();
            }
        }
    }
    truth
}

/// Everybody serves everybody a little and tells it: nothing is history after that.
fn introduce(ledgers: &mut [Ledger], truth: &mut Truth) {
    for ledger in ledgers.iter_mut() {
        for (lane, amounts) in (0..LANES).zip(&mut *truth) {
            for (key, amount) in (0..).zip(amounts).skip(1) {
                ledger.charge(lane, ledger.account_of(key).unwrap(), 1.0).unwrap();
                *amount += 1.0;
            }
        }
    }
    tell_all(ledgers, 0);
    for ledger in ledgers {
        delta(ledger, 100);
    }
}

fn totals(ledger: &Ledger) -> Truth {
    let mut totals = Truth::default();
    for (lane, amounts) in (0..LANES).zip(&mut totals) {
        for (key, amount) in (0..).zip(amounts).skip(1) {
            *amount = ledger.service(lane, ledger.account_of(key).unwrap()).unwrap();
        }
    }
    totals
}

/// What the counters of accounts that never waited must be: all service of everybody below,
/// divided by the weight.
fn counters_of(truth: &Truth) -> Truth {
    let mut counters = *truth;
    for (amounts, own) in counters.iter_mut().zip(truth) {
        for key in 3..=6 {
            amounts[team_of(key) as usize] += own[key as usize];
        }
        for (key, weight) in (1..).zip(WEIGHTS) {
            amounts[key] /= weight;
        }
    }
    counters
}

fn counters(ledger: &Ledger) -> Truth {
    let mut counters = Truth::default();
    for (lane, amounts) in (0..LANES).zip(&mut counters) {
        for (key, amount) in (0..).zip(amounts).skip(1) {
            *amount = ledger.counter(lane, ledger.account_of(key).unwrap()).unwrap();
        }
    }
    counters
}

fn saved(ledger: &Ledger) -> Vec<u64> {
    let mut words = Vec::new();
    ledger.save_state(&mut |word| words.push(word));
    words
}

fn load(ledger: &mut Ledger, words: &[u64]) -> Result<(), Error> {
    let mut words = words.iter().copied();
    ledger.load_state(&mut || words.next())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Lost, twice, late, in any order and in pieces: after one full telling all know the truth.
    /// And all have charged it, if their first hearing was of the beginning.
    #[test]
    fn all_know_the_truth_in_the_end(
        count in 2..=5usize, ops in ops(0), order in 0..100usize, introduced in any::<bool>(),
    ) {
        let mut ledgers: Vec<_> = (0..count as u32).map(with_teams).collect();
        let mut truth = Truth::default();
        if introduced {
            introduce(&mut ledgers, &mut truth);
        }
        let later = run(&mut ledgers, &ops);
        for (amount, later) in truth.iter_mut().flatten().zip(later.iter().flatten()) {
            *amount += later;
        }
        tell_all(&mut ledgers, order);
        for ledger in &ledgers {
            prop_assert_eq!(totals(ledger), truth);
            if introduced {
                prop_assert_eq!(counters(ledger), counters_of(&truth));
            }
        }
        let before: Vec<_> = ledgers.iter().map(saved).collect();
        tell_all(&mut ledgers, order + 3);
        prop_assert_eq!(ledgers.iter().map(saved).collect::<Vec<_>>(), before, "twice is once");
    }

    /// A restart whose last words were heard neither loses nor counts twice.
    #[test]
    fn a_new_incarnation_counts_from_zero(count in 2..=5usize, ops in ops(1), order in 0..100usize) {
        let mut ledgers: Vec<_> = (0..count as u32).map(with_teams).collect();
        let mut truth = Truth::default();
        introduce(&mut ledgers, &mut truth);
        let later = run(&mut ledgers, &ops);
        for (amount, later) in truth.iter_mut().flatten().zip(later.iter().flatten()) {
            *amount += later;
        }
        tell_all(&mut ledgers, order);
        for ledger in &ledgers {
            prop_assert_eq!(totals(ledger), truth);
            prop_assert_eq!(counters(ledger), counters_of(&truth));
        }
    }

    /// Numbers from anywhere: refused with nothing changed, or taken and still sound.
    #[test]
    fn hostile_deltas_are_refused_or_harmless(
        before in ops(0), replica in prop_oneof![0..8u64, any::<u64>()],
        incarnation in prop_oneof![0..3u64, any::<u64>()],
        entries in prop::collection::vec(entry(), 0..6),
    ) {
        let mut ledgers: Vec<_> = (0..3).map(with_teams).collect();
        run(&mut ledgers, &before);
        let ledger = &mut ledgers[1];
        let state = saved(ledger);
        let known = replica <= u64::from(REPLICAS_MAX) && replica != 1;
        let sound = |entry: &DeltaEntry| {
            let DeltaEntry { key, lane, began, told, served } = *entry;
            key > 0 && lane < u64::from(LANES)
                && 0.0 <= began && began <= told && told <= served && served <= 2f64.powi(53)
        };
        let merged = ledger.merge(DeltaSource { replica, incarnation }, &entries);
        prop_assert_eq!(merged.is_ok(), known && entries.iter().all(sound));
        if merged.is_err() {
            prop_assert_eq!(saved(ledger), state);
        }
        let mut again = new();
        prop_assert_eq!(load(&mut again, &saved(ledger)), Ok(()));
        prop_assert_eq!(saved(&again), saved(ledger));
    }

    /// Saved in the middle of everything and loaded, it goes on as the other one.
    #[test]
    fn a_loaded_ledger_goes_on_as_the_saved_one(before in ops(1), after in ops(1)) {
        let mut ledgers: Vec<_> = (0..3).map(with_teams).collect();
        run(&mut ledgers, &before);
        let mut again: Vec<_> = ledgers.iter().map(|ledger| {
            let mut again = new();
            load(&mut again, &saved(ledger)).unwrap();
            again
        }).collect();
        // Restarts number lives from 1 and are refused where that is in the past.
        let calm: Vec<_> =
            after.into_iter().filter(|op| !matches!(op, Op::Restart { .. })).collect();
        run(&mut ledgers, &calm);
        run(&mut again, &calm);
        for (one, other) in ledgers.iter().zip(&again) {
            prop_assert_eq!(saved(one), saved(other));
        }
    }

    #[test]
    fn damaged_words_are_refused_or_harmless(
        before in ops(1), at in any::<prop::sample::Index>(),
        word in prop_oneof![any::<u64>(), 0u64..12, any::<f64>().prop_map(f64::to_bits)],
        cut in prop::option::of(any::<prop::sample::Index>()), after in ops(0),
    ) {
        let mut ledgers: Vec<_> = (0..3).map(with_teams).collect();
        run(&mut ledgers, &before);
        let mut words = saved(&ledgers[1]);
        let at = at.index(words.len());
        words[at] = word;
        if let Some(cut) = cut {
            words.truncate(cut.index(words.len()));
        }
        let mut forged = new();
        if load(&mut forged, &words).is_err() {
            prop_assert_eq!(saved(&forged), saved(&new()));
            return Ok(());
        }
        prop_assert!(cut.is_none(), "a word is missing");
        let mut again = new();
        prop_assert_eq!(load(&mut again, &saved(&forged)), Ok(()));
        // Whatever it now believes, it can be used.
        for op in after {
            if let Op::Charge { key, lane, cost, .. } = op
                && let Some(account) = forged.account_of(key)
            {
                forged.charge(lane, account, f64::from(cost)).unwrap();
            }
        }
        let mut out = [NONE; 5];
        let _ = forged.delta(&mut out);
        let _ = forged.merge(DeltaSource { replica: 0, incarnation: 9 }, &out);
        let mut again = new();
        prop_assert_eq!(load(&mut again, &saved(&forged)), Ok(()));
    }
}

fn entry() -> impl Strategy<Value = DeltaEntry> {
    let amount = || {
        prop_oneof![
            4 => (0..9_000u32).prop_map(f64::from),
            1 => any::<f64>(),
            1 => prop::sample::select(std::vec![f64::NAN, -1.0, -0.0, 0.0, 2f64.powi(53), f64::INFINITY]),
        ]
    };
    let key = prop_oneof![8 => 0..8u64, 1 => any::<u64>()];
    let lane = prop_oneof![8 => 0..u64::from(LANES), 1 => any::<u64>()];
    (key, lane, amount(), amount(), amount(), any::<bool>()).prop_map(
        |(key, lane, a, b, c, is_sorted)| {
            let mut amounts = [a, b, c];
            if is_sorted {
                amounts.sort_unstable_by(f64::total_cmp);
            }
            let [began, told, served] = amounts;
            DeltaEntry { key, lane, began, told, served }
        },
    )
}
