//! Wall-clock of shares by history, some 10,000 accounts: recording what was used, finding who is next
//! after it, and ranking everybody. Budgets: 1 us to find the next, 2 ms for a whole ranking.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter::Nanos;
use rampmeter::share::{AccountId, Ledger, LedgerOptions, Ranked, Ranking};
use rampmeter_bench::Prng;

const ACCOUNTS: u32 = 10_000;
const DAY_NS: u64 = 86_400_000_000_000;
const RANKINGS: [(&str, Ranking); 2] =
    [("classic", Ranking::Classic { damping: 1.0 }), ("fair_tree", Ranking::FairTree)];

/// Accounts with as many children each as fit into `depth` levels, all users wanting to be found and
/// with some usage.
fn ledger(depth: u32) -> (Ledger, Vec<AccountId>) {
    let half_life = Nanos(7 * DAY_NS);
    let options =
        LedgerOptions { accounts_max: ACCOUNTS, lanes: 0, half_life, ..LedgerOptions::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    let mut prng = Prng(11);
    let children = f64::from(ACCOUNTS).powf(1.0 / f64::from(depth)) as usize;
    let (mut accounts, mut parents) = (Vec::new(), vec![None]);
    for _ in 0..depth {
        let mut below = Vec::new();
        for parent in parents {
            for _ in 0..children {
                let weight = 1.0 + prng.below(8) as f64;
                let account = ledger.open(parent, weight).unwrap();
                accounts.push(account);
                below.push(Some(account));
            }
        }
        parents = below;
    }
    let inner: Vec<_> = accounts.iter().filter_map(|id| ledger.parent(*id).unwrap()).collect();
    accounts.retain(|account| !inner.contains(account));
    for user in &accounts {
        ledger.record_usage(Nanos(0), *user, prng.below(100_000) as f64).unwrap();
        ledger.set_ranked(*user, true).unwrap();
    }
    (ledger, accounts)
}

fn history(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("share_history");
    for depth in [1, 3, 8] {
        let (mut ledger, users) = ledger(depth);
        let (mut now, mut prng) = (0, Prng(3));
        let mut charged = || {
            now += 1_000_000;
            (Nanos(now), prng.below(users.len() as u64) as usize, prng.below(1_000) as f64)
        };
        let mut ranks = vec![Ranked::default(); ACCOUNTS as usize];
        ledger.rank_users(Ranking::FairTree, &mut ranks).unwrap();
        group.bench_function(format!("record_usage/depth_{depth}"), |bencher| {
            bencher.iter(|| {
                let (now, user, amount) = charged();
                ledger.record_usage(now, users[user], amount).unwrap();
            });
        });
        for (name, ranking) in RANKINGS {
            group.bench_function(format!("record_next_and_next/{name}/depth_{depth}"), |bencher| {
                bencher.iter(|| {
                    let (now, _, amount) = charged();
                    let next = ledger.next_ranked(ranking).unwrap().unwrap();
                    ledger.record_usage(now, next, amount).unwrap();
                });
            });
            group.bench_function(format!("next/{name}/depth_{depth}"), |bencher| {
                bencher.iter(|| black_box(&mut ledger).next_ranked(ranking).unwrap());
            });
            group.bench_function(format!("rank_users/{name}/depth_{depth}"), |bencher| {
                bencher.iter(|| black_box(&mut ledger).rank_users(ranking, &mut ranks).unwrap());
            });
        }
        group.bench_function(format!("settle_and_next/depth_{depth}"), |bencher| {
            bencher.iter(|| {
                ledger.set_weight(users[0], 1.0).unwrap();
                ledger.next_ranked(Ranking::FairTree).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, history);
criterion_main!(benches);
