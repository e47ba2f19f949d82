//! Engines that tell each other whom they served: one share at all of them together.

mod support;

use proptest::prelude::*;
use rampmeter::batch::Batcher;
use rampmeter::policy::{Account, Limits};
use rampmeter::share::exchange::{DeltaEntry, DeltaSource, path_key};
use rampmeter::{Error, Nanos};
use support::{Host, Prng, Setup, model};

const ENGINES: usize = 3;

/// Account that comes to all engines; the one at place `e + 1` comes to engine `e` alone.
const GREEDY: usize = 0;
const ACCOUNTS: usize = 1 + ENGINES;

const PROMPT_MAX: u64 = 150;
const OUTPUT_MAX: u64 = 40;

/// Requests of an account that an engine knows at any time: more than its seats.
const BACKLOG: usize = 10;

fn setup() -> Setup {
    Setup {
        classes: 1,
        accounts: ACCOUNTS as u32,
        running_max: 4,
        step_tokens_max: 200,
        kv_blocks: 4_000,
        credit: 0.0,
        late_ratio: 0.0,
        replicas: ENGINES as u32 - 1,
        ..Setup::default()
    }
}

/// Some engines and what is sent between them.
struct Engines {
    hosts: Vec<Host>,
    prng: Prng,
    next_exchange: Nanos,
    /// Time between two deltas; `None`: never.
    interval: Option<Nanos>,
    lost_percent: u64,
}

impl Engines {
    fn new(seed: u64, interval_ms: Option<u64>, lost_percent: u64) -> Self {
        let engine = |replica: usize| {
            let mut host = Host::new(setup());
            host.batcher.set_replica(replica as u32, 1).unwrap();
            host
        };
        Self {
            hosts: (0..ENGINES).map(engine).collect(),
            prng: Prng(seed),
            next_exchange: Nanos::ZERO,
            interval: interval_ms.map(Nanos::from_millis),
            lost_percent,
        }
    }

    /// The engine that is furthest behind makes a step; everybody is backlogged.
    fn step(&mut self) {
        let place = (0..ENGINES).min_by_key(|place| self.hosts[*place].now).unwrap();
        if let Some(interval) = self.interval
            && self.hosts[place].now >= self.next_exchange
        {
            self.exchange();
            self.next_exchange = self.next_exchange.saturating_add(interval);
        }
        let (host, prng) = (&mut self.hosts[place], &mut self.prng);
        for account in [GREEDY, place + 1] {
            let known = host.known.values().filter(|known| known.account == account).count();
            for _ in known..BACKLOG {
                let prompt = 1 + prng.below(PROMPT_MAX) as u32;
                assert!(host.submit(0, account, prompt, 1 + prng.below(OUTPUT_MAX) as u32));
            }
        }
        while host.steps_in_flight() < host.setup.steps_in_flight as usize && host.form() {
            host.book_admissions();
        }
        host.observe(prng);
    }

    /// Everybody tells everybody, at most two accounts in a message; some messages are lost, and
    /// each comes twice.
    fn exchange(&mut self) {
        for from in 0..ENGINES {
            let mut out = [DeltaEntry::default(); 2];
            loop {
                let told = self.hosts[from].batcher.delta(&mut out).unwrap();
                for to in (0..ENGINES).filter(|to| *to != from) {
                    if self.prng.chance(self.lost_percent) {
                        continue;
                    }
                    let batcher = &mut self.hosts[to].batcher;
                    let merged = batcher.merge(told.source, &out[..told.len]).unwrap();
                    assert_eq!(merged.unknown, 0);
                    let again = batcher.merge(told.source, &out[..told.len]).unwrap();
                    assert_eq!(again.news, 0);
                }
                if told.is_complete {
                    break;
                }
            }
        }
    }

    /// Everybody tells all there is.
    fn exchange_all(&mut self) {
        for from in 0..ENGINES {
            let mut out = [DeltaEntry::default(); ACCOUNTS];
            let told = self.hosts[from].batcher.delta_all(&mut 0, &mut out).unwrap();
            for to in (0..ENGINES).filter(|to| *to != from) {
                self.hosts[to].batcher.merge(told.source, &out[..told.len]).unwrap();
            }
        }
    }

    /// Service of each account at all engines, by the books of the hosts.
    fn service(&self) -> [f64; ACCOUNTS] {
        let of = |account: usize| {
            let booked = self.hosts.iter().filter_map(|host| host.service.get(&(0, account)));
            booked.sum()
        };
        std::array::from_fn(of)
    }

    fn run(&mut self, until: Nanos) {
        while self.hosts.iter().any(|host| host.now < until) {
            self.step();
        }
        assert!(self.hosts.iter().all(|host| host.preemptions == 0));
    }
}

/// Service of the greedy account over the mean of the others.
fn greed(service: [f64; ACCOUNTS]) -> f64 {
    service[GREEDY] * ENGINES as f64 / service[1..].iter().sum::<f64>()
}

const RUN: Nanos = Nanos::from_millis(60_000);

#[test]
fn who_comes_to_all_engines_gets_one_share() {
    for (seed, lost_percent) in [(1, 0), (2, 0), (3, 20), (4, 20)] {
        let mut engines = Engines::new(seed, Some(100), lost_percent);
        engines.run(RUN);
        let service = engines.service();
        println!("greedy over others {:.4}, {lost_percent}% lost: {service:?}", greed(service));
        assert!((greed(service) - 1.0).abs() < 0.05, "{service:?}");
        let mean = service.iter().sum::<f64>() / ACCOUNTS as f64;
        for amount in service {
            assert!((amount / mean - 1.0).abs() < 0.05, "{service:?}");
        }
        // Once everything was told, all know what the hosts have booked.
        engines.exchange_all();
        for host in &engines.hosts {
            for (account, booked) in service.iter().enumerate() {
                let id = host.batcher.policy_account(account).unwrap();
                assert_eq!(host.batcher.account_service(0, id), Ok(*booked));
            }
        }
    }
}

/// The test can see unfairness: engines that are silent give it a share each.
#[test]
fn without_exchange_it_gets_three() {
    for seed in 1..4 {
        let mut engines = Engines::new(seed, None, 0);
        engines.run(RUN);
        let ratio = greed(engines.service());
        println!("greedy over others {ratio:.4} without exchange");
        assert!((2.8..3.2).contains(&ratio), "{ratio}");
    }
}

fn saved(batcher: &Batcher) -> Vec<u8> {
    let mut bytes = vec![0; batcher.snapshot_bytes() as usize];
    assert_eq!(batcher.save(&mut bytes), Ok(bytes.len()));
    bytes
}

/// What came of a whole run; after `cut` steps one engine goes on from its snapshot.
fn run(seed: u64, cut: Option<u32>) -> Vec<(u64, Vec<u8>)> {
    let mut engines = Engines::new(seed, Some(30), 20);
    for at in 0..300 {
        if cut == Some(at) {
            let host = &mut engines.hosts[seed as usize % ENGINES];
            let (policy, kv) = (host.setup.policy(), host.setup.kv());
            host.batcher = Batcher::restore(&policy, kv, &saved(&host.batcher)).unwrap();
        }
        engines.step();
    }
    engines.hosts.iter().map(|host| (host.digest, saved(&host.batcher))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn an_engine_restored_between_deltas_goes_on(seed in any::<u64>(), cut in 0_u32..300) {
        prop_assert!(run(seed, Some(cut)) == run(seed, None));
    }
}

/// Entries that are right, and every way in which they are wrong.
fn entries() -> impl Strategy<Value = Vec<DeltaEntry>> {
    let key = prop_oneof![
        4 => (0..ACCOUNTS).prop_map(|place| path_key([format!("account-{place}").as_str()])),
        1 => Just(0),
        1 => any::<u64>(),
    ];
    let amount = prop_oneof![
        4 => (0.0..1e6_f64).prop_map(f64::floor),
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -0.0, 9_007_199_254_740_992.0, f64::NAN, f64::MAX]),
    ];
    let lane = prop_oneof![5 => Just(0), 1 => 0_u64..3, 1 => any::<u64>()];
    let sorted = any::<bool>();
    let entry = (key, lane, [amount.clone(), amount.clone(), amount], sorted);
    let entry = entry.prop_map(|(key, lane, mut amounts, sorted)| {
        if sorted {
            amounts.sort_unstable_by(f64::total_cmp);
        }
        let [began, told, served] = amounts;
        DeltaEntry { key, lane, began, told, served }
    });
    prop::collection::vec(entry, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever engines are told: what is refused changes nothing, and work goes on to its end.
    #[test]
    fn no_delta_does_harm(
        seed in any::<u64>(),
        deltas in prop::collection::vec((0_u64..5, 0_u64..3, entries()), 1..12),
    ) {
        let mut engines = Engines::new(seed, Some(30), 0);
        for (replica, incarnation, entries) in deltas {
            (0..6).for_each(|_| engines.step());
            let batcher = &mut engines.hosts[0].batcher;
            let before = saved(batcher);
            let is_right = (1..ENGINES as u64).contains(&replica)
                && entries.iter().all(|entry| {
                    let DeltaEntry { key, lane, began, told, served } = *entry;
                    let ordered = 0.0 <= began && began <= told && told <= served;
                    key != 0 && lane == 0 && ordered && served <= 9_007_199_254_740_992.0
                });
            let answer = batcher.merge(DeltaSource { replica, incarnation }, &entries);
            prop_assert_eq!(answer.is_ok(), is_right, "{:?}", answer);
            if !is_right {
                prop_assert!(saved(batcher) == before);
            }
        }
        let Engines { hosts, prng, .. } = &mut engines;
        hosts[0].drain(prng);
    }
}

/// Many accounts, a level after the other: keys and places of all are looked at.
#[test]
fn twenty_thousand_accounts_are_opened_and_changed() {
    const TEAMS: usize = 200;
    const USERS: usize = 19_800;
    let teams = (0..TEAMS).map(|team| Account::new(format!("team-{team}"), 1.0));
    let user = |user: usize| {
        let team = user * TEAMS / USERS;
        Account::new(format!("user-{user}"), 1.0).under(format!("team-{team}"))
    };
    let mut policy =
        setup().policy().with_accounts(teams.chain((0..USERS).map(user)).collect::<Vec<_>>());
    policy.limits = Limits { accounts_max: 20_000, replicas_max: 1, ..policy.limits };
    let mut batcher = Batcher::new(&policy, setup().kv(), model()).unwrap();
    let last = batcher.policy_account(TEAMS + USERS - 1);
    let path = [format!("team-{}", TEAMS - 1), format!("user-{}", USERS - 1)];
    let key = path_key(path.iter().map(String::as_str));
    assert_eq!(batcher.account_of_key(key), last);
    assert_eq!(batcher.set_policy(&policy), Ok(()));
    // One user of all goes to another team, then is called otherwise.
    let mut moved = policy.clone();
    moved.accounts[TEAMS + 7].parent = Some("team-9".into());
    let error = batcher.set_policy(&moved).unwrap_err();
    assert_eq!(error.field(), "account[].parent");
    let mut renamed = policy.clone();
    renamed.accounts[TEAMS + 7].name = "somebody".into();
    let error = batcher.set_policy(&renamed).unwrap_err();
    assert!(matches!(
        error,
        Error::Contradiction { field: "account[].name (key)", other_value: 207, .. }
    ));
}
