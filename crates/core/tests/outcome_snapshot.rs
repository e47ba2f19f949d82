//! Restored books are the ones that were saved, and nothing that is no snapshot becomes some.

mod support;

use proptest::prelude::*;
use rampmeter::error::SnapshotFault;
use rampmeter::outcome::{Ended, Options, Outcomes, Status, Tally, Work};
use rampmeter::policy::{Account, Class, Limits, Policy};
use rampmeter::{Error, Nanos};
use support::Prng;
use support::forgery::{
    Desk, every_damage_is_refused, fault, faults_are_named, is_believed, saved, some_are_believed,
};

const ACCOUNTS: u32 = 7;

impl Desk for Outcomes {
    type Terms = (Policy, Options);

    /// What they were built from: sizes and options, three targets for each of two classes, costs.
    const COMPARED_WORDS: usize = 13;

    fn size(&self) -> u64 {
        self.snapshot_bytes()
    }

    fn write(&self, out: &mut [u8]) -> Result<usize, Error> {
        self.save(out)
    }

    fn read((policy, options): &Self::Terms, bytes: &[u8]) -> Result<Self, Error> {
        Self::restore(policy, *options, bytes)
    }
}

fn terms(prng: &mut Prng) -> (Policy, Options) {
    let policy = Policy {
        classes: [Class::new("interactive"), Class::new("batch")].into(),
        accounts: [Account::new("a", 2.0), Account::new("b", 0.5)].into(),
        limits: Limits { accounts_max: ACCOUNTS, ..Limits::default() },
        ..Policy::default()
    };
    // Fewer than accounts, so that some are backlogged and not compared.
    let backlogged_max = 1 + prng.below(6) as u32;
    (policy, Options { account_histograms: prng.chance(30), backlogged_max })
}

/// A host: what it calls with, and what came back.
#[derive(Clone)]
struct Host {
    prng: Prng,
    now: Nanos,
}

impl Host {
    /// One call of any kind, and all that can be asked after it.
    fn call(&mut self, books: &mut Outcomes) -> String {
        let prng = &mut self.prng;
        if prng.chance(60) {
            self.now = Nanos(self.now.get() + prng.below(3_000_000_000));
        }
        let account = prng.below(ACCOUNTS.into()) as u32;
        let did = match prng.below(10) {
            0..3 => books.record(&ended(prng, self.now)).is_ok(),
            3..6 => {
                let work = Work {
                    prompt_tokens: prng.below(5_000),
                    cached_tokens: prng.below(300),
                    output_tokens: prng.below(900),
                };
                books.served(self.now, account, work).is_ok()
            }
            6..9 => books.set_backlogged(self.now, account, prng.chance(60)).is_ok(),
            _ => match prng.below(4) {
                0 => books.forget_account(self.now, account).is_ok(),
                1 => books.set_weight(account, 0.25 * (1 + prng.below(9)) as f64).is_ok(),
                _ => {
                    books.add_gpu_busy(Nanos(prng.below(1 << 30)));
                    true
                }
            },
        };
        let difference = books.difference(self.now);
        let felt = [books.class(0), books.class(1), books.account(account)].map(felt);
        let parts = [books.jain(), books.utilization(3)].map(f64::to_bits);
        format!("{did} {difference:?} {felt:?} {parts:?} {:?}", books.service().work(account))
    }
}

/// What a group felt: counts, and each histogram by what it answers.
fn felt(tally: Option<&Tally>) -> String {
    let tally = tally.unwrap();
    let answers = tally.histograms().map(|all| {
        [&all.queue_wait, &all.ttft, &all.tpot, &all.end_to_end, &all.slowdown]
            .map(|one| (one.quantile(0.5), one.quantile(0.9), one.mean(), one.min(), one.max()))
    });
    format!("{:?} {answers:?}", tally.counts())
}

fn ended(prng: &mut Prng, now: Nanos) -> Ended {
    let ago_bits = 10 + prng.below(30);
    let arrival = Nanos(now.get().saturating_sub(prng.below(1 << ago_bits)));
    let is_refused = prng.chance(15);
    let between = Nanos(arrival.get() + (now.get() - arrival.get()) / (1 + prng.below(4)));
    Ended {
        class: prng.below(2) as u16,
        account: prng.below(ACCOUNTS.into()) as u32,
        arrival,
        first_scheduled: (!is_refused).then_some(between),
        first_token: (!is_refused).then_some(between),
        ended: now,
        output_tokens: if is_refused { 0 } else { 1 + prng.below(500) as u32 },
        status: match prng.below(5) {
            _ if is_refused => Status::Refused,
            0 => Status::Failed,
            1 => Status::Cancelled,
            2 => Status::Unfinished,
            _ => Status::Completed,
        },
    }
}

fn busy(seed: u64, calls: u32) -> ((Policy, Options), Outcomes, Host) {
    let mut prng = Prng(seed);
    let terms = terms(&mut prng);
    let mut books = Outcomes::new(&terms.0, terms.1).unwrap();
    let mut host = Host { prng, now: Nanos::ZERO };
    for _ in 0..calls {
        host.call(&mut books);
    }
    (terms, books, host)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// From any moment on both answer the same, to the bit.
    #[test]
    fn restored_books_go_on_identically(seed in any::<u64>(), calls in 0u32..150) {
        let (terms, mut books, mut host) = busy(seed, calls);
        let mut restored = Outcomes::read(&terms, &saved(&books)).unwrap();
        prop_assert!(saved(&books) == saved(&restored));
        let mut same = host.clone();
        for _ in 0..60 {
            prop_assert_eq!(host.call(&mut books), same.call(&mut restored));
        }
        prop_assert!(saved(&books) == saved(&restored));
        // And they add up as the saved ones do.
        let (_, more, _) = busy(seed, 30);
        prop_assert_eq!(books.merge(&more), restored.merge(&more));
        prop_assert!(saved(&books) == saved(&restored));
    }

    #[test]
    fn damage_is_noticed(seed in any::<u64>(), calls in 0u32..150) {
        let (terms, books, mut host) = busy(seed, calls);
        every_damage_is_refused::<Outcomes>(&terms, &saved(&books), &mut host.prng);
    }
}

#[test]
fn forged_snapshots_are_refused_or_work() {
    some_are_believed(|seed| {
        let (terms, books, mut host) = busy(seed, 60);
        let mut prng = host.prng.clone();
        is_believed::<Outcomes>(&terms, &saved(&books), &mut prng, |mut books| {
            // A host whose time is behind that of forged books is refused, and no more.
            for _ in 0..30 {
                host.call(&mut books);
            }
            Some(books)
        })
    });
}

#[test]
fn what_is_wrong_is_named() {
    let (terms, books, _) = busy(3, 100);
    faults_are_named(&terms, &books);
    let bytes = saved(&books);
    let other_capacity = |policy: &Policy, options: Options| {
        let answer = Outcomes::restore(policy, options, &bytes);
        assert_eq!(fault(&answer), Some(SnapshotFault::OtherCapacity));
    };
    let (policy, options) = terms;
    let mut other = policy.clone();
    other.classes[0].ttft_target = Nanos::from_millis(7_777);
    other_capacity(&other, options);
    let mut other = policy.clone();
    other.batch.prompt_token_cost *= 2.0;
    other_capacity(&other, options);
    let more = Options { backlogged_max: options.backlogged_max + 1, ..options };
    other_capacity(&policy, more);
    let each = Options { account_histograms: !options.account_histograms, ..options };
    other_capacity(&policy, each);
}

/// A histogram whose parts contradict each other would answer with quantiles that nobody felt.
#[test]
fn a_histogram_that_contradicts_itself_is_refused() {
    let (terms, mut books, mut host) = busy(11, 0);
    while books.class(0).unwrap().counts().completed == 0 {
        host.call(&mut books);
    }
    let whole = saved(&books);
    let max = books.class(0).unwrap().histograms().unwrap().end_to_end.max().unwrap();
    let mut bytes = whole.clone();
    let (words, _) = bytes.as_chunks_mut::<8>();
    let at = words.iter().rposition(|word| u64::from_le_bytes(*word) == max).unwrap();
    words[at] = (max << 1).to_le_bytes();
    support::forgery::sign(&mut bytes);
    assert_eq!(fault(&Outcomes::read(&terms, &bytes)), Some(SnapshotFault::Contradiction));
    assert!(Outcomes::read(&terms, &whole).is_ok());
}
