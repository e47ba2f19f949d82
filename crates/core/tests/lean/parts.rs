//! A ledger with any of its parts, driven by every call that it has, right and wrong.

use rampmeter::Nanos;
use rampmeter::policy::RateLimits;
use rampmeter::share::exchange::{DeltaEntry, DeltaSource, path_key};
use rampmeter::share::protection::ReclaimLimits;
use rampmeter::share::quota::AMOUNT_MAX;
use rampmeter::share::{
    AccountId, AccountQuota, Amounts, Division, HistoryDivision, Ledger, LedgerOptions, Ranked,
    Ranking, RawShares, Reclamation, RunningJob, ShareParts, Standing,
};

use super::log::Log;
use crate::support::Prng;

pub const ACCOUNTS: u32 = 10;
const IDS: usize = 12;
const SECOND: u64 = 1_000_000_000;

const WEIGHTS: [f64; 7] = [1.0, 3.0, 0.7, 0.001, 1000.0, -1.0, f64::NAN];
const NUMBERS: [f64; 7] = [0.0, 1.0, 250.0, 0.3, 1e6, -1.0, f64::NAN];
const NAMES: [&str; 8] =
    ["a", "b", "team", "über", "a name of more than thirty-two bytes, in words", "", "x/y", "\n"];
const PATHS: [&str; 5] = ["a", "team/a", "a/b/über", "b//a", "x/"];

/// A host that keeps nothing but arrays.
pub struct LeanParts {
    pub ledger: Ledger,
    prng: Prng,
    pub now: u64,
    /// Ids issued lately; some have been closed since.
    ids: [AccountId; IDS],
    ids_next: usize,
    /// What each account held on average, as a host would know it.
    usage: Box<[f64]>,
    room: Box<[u8]>,
    pub log: Log,
}

/// Every part, or any of them.
pub fn options(prng: &mut Prng, all: bool) -> LedgerOptions {
    let mut has = |percent| all || prng.chance(percent);
    let (dominant, borrowing, rates, names) = (has(70), has(70), has(70), has(70));
    let (resources, lanes, history, replicas) = (has(80), has(90), has(70), has(60));
    let mut some = |there: bool, max: u64| if there { 1 + prng.below(max) as u32 } else { 0 };
    LedgerOptions {
        accounts_max: ACCOUNTS,
        lanes: some(lanes, 3),
        resources: some(resources, 4),
        dominant,
        borrowing,
        half_life: Nanos(if history { SECOND << some(true, 12) } else { 0 }),
        rates,
        names,
        replicas_max: some(replicas, 3),
    }
}

impl LeanParts {
    pub fn new(seed: u64, options: &LedgerOptions) -> Self {
        Self {
            ledger: Ledger::new(options).unwrap(),
            prng: Prng(seed),
            now: 0,
            ids: [AccountId::default(); IDS],
            ids_next: 0,
            usage: vec![0.0; (ACCOUNTS * options.resources) as usize].into(),
            room: vec![0; 1 << 16].into(),
            log: Log::default(),
        }
    }

    /// The same host with another ledger.
    pub fn with_ledger(&self, ledger: Ledger) -> Self {
        Self {
            ledger,
            prng: self.prng.clone(),
            usage: self.usage.clone(),
            room: self.room.clone(),
            log: self.log.clone(),
            ..*self
        }
    }

    pub fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            match self.prng.below(20) {
                0..=2 => self.move_account(),
                3 | 4 => self.count(),
                5 => self.name(),
                6..=9 => self.hold(),
                10 => self.divide(),
                11 => self.take_turns(),
                12 | 13 => self.reclaim(),
                14 => self.limit_reclaim(),
                15 => self.record(),
                16 => self.rank(),
                17 => self.rate(),
                18 => self.exchange(),
                _ => self.look(),
            }
            if self.prng.chance(60) {
                self.now = self.now.saturating_add(self.prng.below(20 * SECOND));
            }
        }
    }

    /// Mostly now, at times long ago.
    fn clock(&mut self) -> Nanos {
        Nanos(if self.prng.chance(3) { self.now / 2 } else { self.now })
    }

    /// Mostly an open account, at times one that was closed, or nobody.
    fn account(&mut self) -> AccountId {
        match self.prng.below(30) {
            0 => AccountId::from_raw(self.prng.draw()),
            1 => self.ids[self.prng.below(IDS as u64) as usize],
            _ => {
                // The first one that is open, from any index on.
                let start = self.prng.below(u64::from(ACCOUNTS)) as u32;
                let mut open = (start..ACCOUNTS).chain(0..start);
                open.find_map(|index| self.ledger.tree().account_at(index)).unwrap_or_default()
            }
        }
    }

    /// Small amounts, at times huge ones, or of a resource that is not there.
    fn amounts(&mut self) -> Amounts {
        let mut amounts = Amounts::ZERO;
        for amount in &mut amounts.0[..self.ledger.resources() as usize] {
            *amount = if self.prng.chance(60) { self.prng.below(9) } else { 0 };
        }
        if self.prng.chance(3) {
            amounts.0[self.prng.below(8) as usize] = 1;
        }
        if self.prng.chance(1) {
            amounts.0[0] = [AMOUNT_MAX, AMOUNT_MAX / 3, u64::MAX][self.prng.below(3) as usize];
        }
        amounts
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.prng.below(of.len() as u64) as usize]
    }

    /// One more lane than there is.
    fn lane(&mut self) -> u32 {
        let lanes = self.ledger.options().lanes;
        self.prng.below(8 * u64::from(lanes) + 1) as u32 / 8
    }

    fn move_account(&mut self) {
        let (account, weight) = (self.account(), self.pick(&WEIGHTS));
        match self.prng.below(6) {
            0..=2 => {
                let parent = self.prng.chance(60).then_some(account);
                if let Some(id) = self.log.note("open", self.ledger.open(parent, weight)) {
                    self.ids[self.ids_next % IDS] = id;
                    self.ids_next += 1;
                    let key = path_key([NAMES[self.ids_next % NAMES.len()]]);
                    self.log.note("set_key", self.ledger.set_key(id, key));
                }
            }
            3 => drop(self.log.note("set_weight", self.ledger.set_weight(account, weight))),
            _ => {
                if self.prng.chance(50) {
                    self.empty(account);
                }
                self.log.note("close", self.ledger.close(account));
            }
        }
    }

    /// Takes from an account what keeps it from being closed, unless that is below it.
    fn empty(&mut self, account: AccountId) {
        let Self { ledger, log, .. } = self;
        if let Ok(held) = ledger.held(account) {
            log.note("release", ledger.release(account, &held));
        }
        if let Ok(asked) = ledger.asked(account) {
            log.note("withdraw", ledger.withdraw(account, &asked));
        }
        for lane in 0..ledger.options().lanes {
            for _ in 0..ledger.waiting(lane, account).unwrap_or(0) {
                log.note("depart", ledger.depart(lane, account));
            }
        }
    }

    fn count(&mut self) {
        let (account, lane, cost) = (self.account(), self.lane(), self.pick(&NUMBERS));
        match self.prng.below(8) {
            0..=2 => self.log.note("arrive", self.ledger.arrive(lane, account)),
            3 | 4 => self.log.note("depart", self.ledger.depart(lane, account)),
            _ => self.log.note("charge", self.ledger.charge(lane, account, cost)),
        };
    }

    fn name(&mut self) {
        let (account, name, path) = (self.account(), self.pick(&NAMES), self.pick(&PATHS));
        let parent = self.prng.chance(60).then_some(account);
        let Self { ledger, log, .. } = self;
        log.note("set_name", ledger.set_name(account, name));
        log.note("name", ledger.name(account));
        log.told("account_named", ledger.account_named(parent, name));
        log.told("account_at_path", ledger.account_at_path(path));
    }

    fn hold(&mut self) {
        let (account, amounts, mut other) = (self.account(), self.amounts(), self.amounts());
        if self.prng.chance(3) {
            let mut capacity = amounts;
            capacity.0.iter_mut().for_each(|amount| *amount = amount.saturating_mul(9));
            self.log.note("set_capacity", self.ledger.set_capacity(&capacity));
        }
        let unlimited = self.prng.chance(60);
        let weight = self.pick(&[1.0, 2.0, 0.0, 0.5, 1e12, -1.0]);
        let priority = self.prng.below(3) as i32 - 1;
        let Self { ledger, log, prng, .. } = self;
        match prng.below(10) {
            0 | 1 => {
                if unlimited {
                    other = Amounts::UNLIMITED;
                }
                let rules = AccountQuota {
                    quota: amounts,
                    limit: other,
                    lending_limit: if prng.chance(50) { amounts } else { Amounts::UNLIMITED },
                    over_quota_weight: [weight; 8],
                    over_quota_priority: priority,
                };
                log.note("set_quota", ledger.set_quota(account, &rules));
            }
            2 | 3 => drop(log.note("ask", ledger.ask(account, &amounts))),
            4 => drop(log.note("withdraw", ledger.withdraw(account, &amounts))),
            5..=7 => drop(log.note("allocate", ledger.allocate(account, &amounts))),
            _ => drop(log.note("release", ledger.release(account, &amounts))),
        }
    }

    fn divide(&mut self) {
        let usage_weight = self.pick(&[0.0, 1.0, 0.5, 1e6, -1.0]);
        let mut units = Amounts([self.pick(&[1, 1, 3, 0]); 8]);
        units.0[0] = self.pick(&[1, 2, 5]);
        let now = self.clock();
        let Self { ledger, log, prng, usage, .. } = self;
        if prng.chance(50) {
            let usage_per_s_max = [3.0, 1e-6, 0.0][prng.below(3) as usize];
            let division = HistoryDivision { usage_weight, usage_per_s_max, units };
            log.note("divide_by_history", ledger.divide_by_history(now, &division));
            return;
        }
        for usage in usage.iter_mut() {
            *usage = prng.below(9) as f64;
        }
        let usage = if prng.chance(10) { &[] } else { &usage[..] };
        log.note("divide", ledger.divide(&Division { usage_weight, usage, units }));
    }

    fn take_turns(&mut self) {
        let (account, task) = (self.account(), self.amounts());
        let task = self.prng.chance(70).then_some(&task);
        let Self { ledger, log, .. } = self;
        log.note("set_next_task", ledger.set_next_task(account, task));
        let next = log.note("most_deserving", ledger.most_deserving()).flatten();
        if let (Some(next), Some(task)) = (next, task) {
            log.note("allocate", ledger.allocate(next, task));
        }
        log.note("next_task", ledger.next_task(account));
        log.note("dominant_level", ledger.dominant_level(account));
        log.note("dominant_share", ledger.dominant_share(account));
        log.note("entitled_share", ledger.entitled_share(account));
        log.note("resource_shares", ledger.resource_shares(account));
    }

    fn job(&mut self, account: AccountId) -> RunningJob {
        let mut amounts = self.amounts();
        if self.prng.chance(70) {
            let held = self.ledger.held(account).unwrap_or_default();
            amounts.0.iter_mut().zip(held.0).for_each(|(amount, held)| *amount = held.min(*amount));
        }
        let ago = |prng: &mut Prng, now: u64| Nanos(now - prng.below(now.min(50 * SECOND) + 1));
        let started = ago(&mut self.prng, self.now);
        let saved = if self.prng.chance(90) {
            started.max(ago(&mut self.prng, self.now))
        } else {
            Nanos(0)
        };
        RunningJob { account, amounts, started, saved }
    }

    fn reclaim(&mut self) {
        let (reclaimer, victim, amounts) = (self.account(), self.account(), self.amounts());
        let short = if self.prng.chance(80) { amounts } else { self.amounts() };
        let claim = Reclamation { reclaimer, amounts, short };
        let (now, mut job) = (self.clock(), self.job(victim));
        let Self { ledger, log, .. } = self;
        log.note("may_reclaim", ledger.may_reclaim(&claim));
        log.note("first_over_limit", ledger.first_over_limit(claim.reclaimer, &claim.amounts));
        let mut first = None;
        if let Ok(victims) = ledger.victims(&claim) {
            for account in victims.take(ACCOUNTS as usize) {
                first = first.or(Some(account));
                log.told("victims", account);
            }
        } else {
            log.note("victims", ledger.victims(&claim).map(drop));
        }
        if let Some(first) = first.filter(|_| self.prng.chance(60)) {
            job = self.job(first);
        }
        let Self { ledger, log, prng, .. } = self;
        log.note("reclaimable", ledger.reclaimable(now, &claim, &job));
        if prng.chance(40) {
            log.note("reclaimed", ledger.reclaimed(now, reclaimer, &job));
            log.note("release", ledger.release(job.account, &job.amounts));
        } else if prng.chance(20) {
            log.note("reclaim_undone", ledger.reclaim_undone(now, reclaimer, &job));
        }
    }

    fn limit_reclaim(&mut self) {
        let (account, now, amounts) = (self.account(), self.clock(), self.amounts());
        let limits = ReclaimLimits {
            min_runtime: self.prng.chance(50).then(|| Nanos(self.prng.below(40 * SECOND))),
            loss_budget: if self.prng.chance(70) { amounts } else { Amounts::UNLIMITED },
            loss_window: Nanos(self.pick(&[SECOND, 60 * SECOND, 7, 0])),
        };
        let Self { ledger, log, prng, .. } = self;
        if prng.chance(50) {
            log.note("set_reclaim_limits", ledger.set_reclaim_limits(account, &limits));
        }
        log.note("reclaim_limits", ledger.reclaim_limits(account));
        log.note("loss_left", ledger.loss_left(now, account));
        log.note("borrowed_share", ledger.borrowed_share(account));
        log.note("borrowed_share_with", ledger.borrowed_share_with(account, &amounts));
    }

    fn record(&mut self) {
        let (account, now, amount) = (self.account(), self.clock(), self.pick(&NUMBERS));
        let shares = self.pick(&[
            RawShares::Weight,
            RawShares::Parent,
            RawShares::Number(5.0),
            RawShares::Number(0.0),
            RawShares::Number(-1.0),
        ]);
        let Self { ledger, log, prng, .. } = self;
        log.note("record_usage", ledger.record_usage(now, account, amount));
        if prng.chance(20) {
            log.note("set_raw_shares", ledger.set_raw_shares(account, shares));
        }
        log.note("usage", ledger.usage(now, account));
        log.note("usage_of_all", ledger.usage_of_all(now));
        log.note("raw_shares", ledger.raw_shares(account));
    }

    fn rank(&mut self) {
        let (account, now) = (self.account(), self.clock());
        let damping = self.pick(&[1.0, 2.5, 1.0, 0.0]);
        let ranking = self.pick(&[Ranking::FairTree, Ranking::Classic { damping }]);
        let mut ranks = [Ranked::default(); ACCOUNTS as usize];
        let room = if self.prng.chance(95) { ranks.len() } else { 1 };
        let Self { ledger, log, prng, .. } = self;
        log.note("set_ranked", ledger.set_ranked(account, prng.chance(70)));
        log.note("next_ranked", ledger.next_ranked(ranking));
        log.note("factor", ledger.factor(account, ranking));
        log.note("standing", ledger.standing(now, account, ranking));
        let mut standings = [Standing::default(); ACCOUNTS as usize];
        let all = log.note("standings", ledger.standings(now, ranking, &mut standings[..room]));
        if all.is_some() {
            log.told("standings", &standings);
        }
        let ranked = log.note("rank_users", ledger.rank_users(ranking, &mut ranks[..room]));
        log.told("rank_users", &ranks[..ranked.unwrap_or(0)]);
    }

    fn rate(&mut self) {
        let (account, now) = (self.account(), self.clock());
        let tokens = self.pick(&[7, 900, u64::MAX]);
        let Self { ledger, log, prng, .. } = self;
        if prng.chance(30) {
            let limits = RateLimits {
                requests_per_minute: [0, 20][prng.below(2) as usize],
                tokens_per_minute: prng.draw() >> prng.below(64),
                burst: Nanos(prng.draw() >> prng.below(64)),
            };
            log.note("set_rates", ledger.set_rates(now, account, &limits));
        }
        log.note("rates", ledger.rates(account));
        log.told("has_rate_limits", ledger.has_rate_limits());
        log.note("rate_check", ledger.rate_check(now, account, tokens));
        log.note("admit_rate", ledger.admit_rate(now, account, tokens));
        if prng.chance(30) {
            log.note("charge_rate", ledger.charge_rate(now, account, tokens));
            log.note("refund_rate", ledger.refund_rate(now, account, 1, tokens));
        }
    }

    fn exchange(&mut self) {
        let (account, lane, replica) = (self.account(), self.lane(), self.prng.below(4) as u32);
        let (mut entries, mut next) = ([DeltaEntry::default(); 4], self.prng.below(40));
        let Self { ledger, log, prng, .. } = self;
        if prng.chance(30) {
            // Nearly always the same one.
            let own = u32::from(prng.chance(10));
            log.note("set_replica", ledger.set_replica(own, prng.below(4)));
        }
        for entry in &mut entries {
            let began = prng.below(2_000) as f64;
            let told = began + prng.below(300) as f64;
            let key = path_key([NAMES[prng.below(NAMES.len() as u64) as usize]]);
            let served = told + prng.below(900) as f64 - 1.0;
            let lane = u64::from(lane);
            *entry = DeltaEntry { key, lane, began, told, served: served.max(began) };
        }
        let source = DeltaSource { replica: replica.into(), incarnation: prng.below(3) };
        log.note("merge", ledger.merge(source, &entries[..prng.below(5) as usize]));
        if prng.chance(10) {
            log.note("forget_replica", ledger.forget_replica(replica));
        }
        let room = prng.below(5) as usize;
        let told = log.note("delta", ledger.delta(&mut entries[..room]));
        log.told("delta", &entries[..told.map_or(0, |delta| delta.len)]);
        let told = log.note("delta_all", ledger.delta_all(&mut next, &mut entries[..room]));
        log.told("delta_all", (next, &entries[..told.map_or(0, |delta| delta.len)]));
        log.note("service", ledger.service(lane, account));
        log.told("account_of", ledger.account_of(path_key([NAMES[room]])));
    }

    /// What can be asked at any time.
    fn look(&mut self) {
        let (account, lane, credit) = (self.account(), self.lane(), self.pick(&NUMBERS));
        let other = self.prng.below(u64::from(ACCOUNTS)) as u32;
        let Self { ledger, log, prng, room, .. } = self;
        log.told("options", ledger.options());
        log.told("tree", ledger.tree().account_at(other));
        log.told("accounts_len", ledger.accounts_len());
        log.told("resources", ledger.resources());
        log.told("capacity", ledger.capacity());
        log.note("weight", ledger.weight(account));
        log.note("parent", ledger.parent(account));
        log.note("counter", ledger.counter(lane, account));
        log.note("waiting", ledger.waiting(lane, account));
        log.note("counter_min", ledger.counter_min(lane));
        log.note("lead", ledger.lead(lane, account));
        log.note("rivals", ledger.rivals(lane, account, other));
        log.note("quota", ledger.quota(account));
        log.note("held", ledger.held(account));
        log.note("asked", ledger.asked(account));
        log.note("fair_share", ledger.fair_share(account));
        let mut parts = [ShareParts::default(); ACCOUNTS as usize];
        let resource = account.index() % 4;
        if log.note("share_parts", ledger.share_parts(resource, &mut parts)).is_some() {
            log.told("share_parts", &parts);
        }
        // In any order.
        let mut eligible = [(u32::MAX, 0.0); ACCOUNTS as usize];
        let all = ledger.eligible(lane, credit);
        let all = all.map(|all| all.zip(&mut eligible).for_each(|(one, place)| *place = one));
        log.note("eligible", all);
        eligible.sort_unstable_by_key(|one| one.0);
        log.told("eligible", eligible);
        let bytes = log.told("snapshot_bytes", ledger.snapshot_bytes()) as usize;
        let given = if prng.chance(90) { bytes } else { bytes - 1 };
        if log.note("save", ledger.save(&mut room[..given])).is_some() {
            log.bytes(&room[..given]);
        }
    }
}
