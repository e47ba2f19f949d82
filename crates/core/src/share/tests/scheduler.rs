//! A simple scheduler that takes whatever it is allowed to take, with its own books.

use std::collections::BTreeSet;
use std::vec;

use super::reclaim::{Reclamation, RunningJob, Verdict};
use super::*;

pub(super) const RESOURCES: usize = 2;
pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn amounts(of: [u64; RESOURCES]) -> Amounts {
    let mut amounts = Amounts::ZERO;
    amounts.0[..RESOURCES].copy_from_slice(&of);
    amounts
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) account: usize,
    pub(super) size: [u64; RESOURCES],
    pub(super) runs: bool,
    /// Taken away since somebody last came or went.
    pub(super) was_taken: bool,
    pub(super) started: u64,
    pub(super) ended: bool,
}

/// An account to open: above it (if that stands before it), quota, limit.
pub(super) type Opened = (usize, [u64; RESOURCES], Option<u64>);

/// Which rule decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    Ours,
    /// Wrong: the reclaimer is compared before it takes, not after.
    Before,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) ledger: Ledger,
    pub(super) accounts: Vec<AccountId>,
    above: Vec<Option<usize>>,
    pub(super) capacity: [u64; RESOURCES],
    pub(super) jobs: Vec<Job>,
    pub(super) now: u64,
    rule: Rule,
    /// Time, account, loss of each job taken, for every account that it was taken from.
    pub(super) losses: Vec<(u64, usize, [u128; RESOURCES])>,
}

impl World {
    pub(super) fn new(capacity: [u64; RESOURCES], opened: &[Opened], rule: Rule) -> Self {
        let options = LedgerOptions {
            accounts_max: 12,
            lanes: 0,
            resources: RESOURCES as u32,
            ..LedgerOptions::default()
        };
        let mut ledger = Ledger::new(&options).unwrap();
        ledger.set_capacity(&amounts(capacity)).unwrap();
        let (mut accounts, mut above): (Vec<AccountId>, Vec<Option<usize>>) = (vec![], vec![]);
        for (parent, quota, limit) in opened {
            let parent = (*parent < accounts.len()).then_some(*parent);
            let account = ledger.open(parent.map(|at| accounts[at]), 1.0).unwrap();
            let limit = limit.map_or(Amounts::UNLIMITED, |limit| amounts([limit; RESOURCES]));
            let quota = amounts(*quota);
            ledger
                .set_quota(account, &AccountQuota { quota, limit, ..Default::default() })
                .unwrap();
            accounts.push(account);
            above.push(parent);
        }
        let (jobs, losses) = (vec![], vec![]);
        Self { ledger, accounts, above, capacity, jobs, now: 0, rule, losses }
    }

    pub(super) fn submit(&mut self, account: usize, size: [u64; RESOURCES]) {
        self.ledger.ask(self.accounts[account], &amounts(size)).unwrap();
        let (runs, was_taken, started, ended) = (false, false, 0, false);
        self.jobs.push(Job { account, size, runs, was_taken, started, ended });
    }

    pub(super) fn way(&self, account: usize) -> Vec<usize> {
        core::iter::successors(Some(account), |at| self.above[*at]).collect()
    }

    /// What is held at and below an account, by the jobs.
    pub(super) fn held(&self, account: usize, resource: usize) -> u64 {
        let below = |job: &&Job| job.runs && self.way(job.account).contains(&account);
        self.jobs.iter().filter(below).map(|job| job.size[resource]).sum()
    }

    pub(super) fn asked(&self, account: usize, resource: usize) -> u64 {
        let below = |job: &&Job| !job.ended && self.way(job.account).contains(&account);
        self.jobs.iter().filter(below).map(|job| job.size[resource]).sum()
    }

    fn rules(&self, account: usize, resource: usize) -> (u64, u64) {
        let rules = self.ledger.quota(self.accounts[account]).unwrap();
        (rules.quota.0[resource], rules.limit.0[resource])
    }

    fn guaranteed(&self, account: usize, resource: usize) -> u64 {
        let (quota, limit) = self.rules(account, resource);
        quota.min(limit)
    }

    fn entitled(&self, account: usize, resource: usize) -> u64 {
        let share = self.ledger.fair_share(self.accounts[account]).unwrap().0[resource];
        let (quota, limit) = self.rules(account, resource);
        quota.max(share).min(limit)
    }

    fn free(&self) -> [u64; RESOURCES] {
        core::array::from_fn(|resource| {
            let held = |job: &Job| if job.runs { job.size[resource] } else { 0 };
            self.capacity[resource] - self.jobs.iter().map(held).sum::<u64>()
        })
    }

    /// Quota first, as far as it is wanted, then what is left unit by unit in turn.
    pub(super) fn divide(&mut self) -> Vec<u64> {
        let mut shares = vec![0; self.accounts.len() * RESOURCES];
        for resource in 0..RESOURCES {
            for parent in core::iter::once(None).chain((0..self.accounts.len()).map(Some)) {
                let given = |at: usize| shares[at * RESOURCES + resource];
                let mut left = parent.map_or(self.capacity[resource], given);
                let children: Vec<_> =
                    (0..self.above.len()).filter(|at| self.above[*at] == parent).collect();
                let most = |at: usize| self.asked(at, resource).min(self.rules(at, resource).1);
                for at in &children {
                    let first = most(*at).min(self.guaranteed(*at, resource));
                    shares[at * RESOURCES + resource] = first;
                    left = left.saturating_sub(first);
                }
                while left > 0 {
                    let before = left;
                    for at in &children {
                        let share = &mut shares[at * RESOURCES + resource];
                        if left > 0 && *share < most(*at) {
                            (*share, left) = (*share + 1, left - 1);
                        }
                    }
                    if left == before {
                        break;
                    }
                }
            }
        }
        for (at, account) in self.accounts.iter().enumerate() {
            let row = self.ledger.quotas.row(account.index());
            self.ledger.quotas.fair_share[row]
                .copy_from_slice(&shares[at * RESOURCES..][..RESOURCES]);
        }
        shares
    }

    pub(super) fn set_runs(&mut self, at: usize, runs: bool) {
        let (account, size) = (self.accounts[self.jobs[at].account], amounts(self.jobs[at].size));
        if runs {
            self.ledger.withdraw(account, &size).unwrap();
            self.ledger.allocate(account, &size).unwrap();
        } else {
            self.ledger.release(account, &size).unwrap();
            self.ledger.ask(account, &size).unwrap();
        }
        (self.jobs[at].runs, self.jobs[at].started) = (runs, self.now);
    }

    pub(super) fn end(&mut self, at: usize) {
        let (account, size) = (self.accounts[self.jobs[at].account], amounts(self.jobs[at].size));
        if self.jobs[at].runs {
            self.ledger.release(account, &size).unwrap();
        } else {
            self.ledger.withdraw(account, &size).unwrap();
        }
        (self.jobs[at].runs, self.jobs[at].ended) = (false, true);
    }

    /// Puts a job into what is free; one that was taken, only within what its account is entitled
    /// to, if `within`.
    pub(super) fn place(&mut self, at: usize, within: bool) -> bool {
        let free = self.free();
        let job = &self.jobs[at];
        let amounts = amounts(job.size);
        let claim = Reclamation { reclaimer: self.accounts[job.account], amounts, short: amounts };
        let fits = (0..RESOURCES).all(|resource| job.size[resource] <= free[resource]);
        let stays = !(job.was_taken && within) || self.ledger.may_reclaim(&claim).unwrap().fits();
        let placed = !job.runs && !job.ended && fits && stays;
        if placed {
            self.set_runs(at, true);
        }
        placed
    }

    fn allowed(&self, claim: &Reclamation, reclaimer: usize, victim: usize) -> bool {
        let job = &self.jobs[victim];
        let running = self.running_job(victim);
        if self.rule == Rule::Ours {
            let verdict = self.ledger.reclaimable(Nanos(self.now), claim, &running).unwrap();
            return matches!(verdict, Verdict::Yes { .. });
        }
        let above = |at: usize| move |resource: &usize| (at, *resource);
        let is_over = |(at, resource)| self.held(at, resource) > self.entitled(at, resource);
        let wanted = |resource: &usize| claim.short.0[*resource] > 0 && job.size[*resource] > 0;
        reclaimer != job.account
            && !(0..RESOURCES).map(|resource| above(reclaimer)(&resource)).any(is_over)
            && (0..RESOURCES).filter(wanted).any(|resource| is_over((job.account, resource)))
    }

    /// Takes for one job what it is allowed to, first from the first victims; all or nothing.
    /// Returns the victims.
    pub(super) fn reclaim(&mut self, at: usize) -> Vec<usize> {
        let (reclaimer, size) = (self.jobs[at].account, self.jobs[at].size);
        let mut taken = vec![];
        if self.jobs[at].runs || self.jobs[at].ended {
            return taken;
        }
        loop {
            let free = self.free();
            let short =
                core::array::from_fn(|resource| size[resource].saturating_sub(free[resource]));
            if short == [0; RESOURCES] {
                break;
            }
            let reclaimer_id = self.accounts[reclaimer];
            let claim = Reclamation {
                reclaimer: reclaimer_id,
                amounts: amounts(size),
                short: amounts(short),
            };
            let order: Vec<_> = self.ledger.victims(&claim).unwrap().collect();
            let place = |job: &Job| order.iter().position(|id| *id == self.accounts[job.account]);
            let running = (0..self.jobs.len()).filter(|victim| self.jobs[*victim].runs);
            let allowed: Vec<_> =
                running.filter(|victim| self.allowed(&claim, reclaimer, *victim)).collect();
            if self.rule == Rule::Ours {
                assert!(allowed.iter().all(|victim| place(&self.jobs[*victim]).is_some()));
            }
            let Some(victim) = allowed.into_iter().min_by_key(|at| place(&self.jobs[*at])) else {
                break;
            };
            let started = self.jobs[victim].started;
            self.set_runs(victim, false);
            self.jobs[victim].started = started;
            self.charge(reclaimer, victim);
            taken.push(victim);
        }
        let free = self.free();
        if (0..RESOURCES).any(|resource| size[resource] > free[resource]) {
            for victim in taken.drain(..) {
                let started = self.jobs[victim].started;
                self.set_runs(victim, true);
                self.jobs[victim].started = started;
                let job = self.running_job(victim);
                self.ledger
                    .reclaim_undone(Nanos(self.now), self.accounts[reclaimer], &job)
                    .unwrap();
            }
            return taken;
        }
        if !taken.is_empty() {
            self.set_runs(at, true);
        }
        for victim in &taken {
            self.note_loss(reclaimer, *victim);
        }
        taken
    }

    fn running_job(&self, at: usize) -> RunningJob {
        let job = &self.jobs[at];
        let (account, started) = (self.accounts[job.account], Nanos(job.started));
        RunningJob { account, amounts: amounts(job.size), started, saved: started }
    }

    fn charge(&mut self, reclaimer: usize, victim: usize) {
        let job = self.running_job(victim);
        self.ledger.reclaimed(Nanos(self.now), self.accounts[reclaimer], &job).unwrap();
    }

    fn note_loss(&mut self, reclaimer: usize, victim: usize) {
        let job = &mut self.jobs[victim];
        job.was_taken = true;
        let ran = u128::from(self.now - job.started);
        let loss = job.size.map(|size| (u128::from(size) * ran).div_ceil(u128::from(SECOND)));
        let (account, common) = (job.account, self.way(reclaimer));
        for at in self.way(account).into_iter().filter(|at| !common.contains(at)) {
            self.losses.push((self.now, at, loss));
        }
    }

    /// What all hold beyond their entitlement.
    fn excess(&self) -> u64 {
        let each = |at: usize| {
            (0..RESOURCES).map(move |resource| {
                self.held(at, resource).saturating_sub(self.entitled(at, resource))
            })
        };
        (0..self.accounts.len()).flat_map(each).sum()
    }

    /// What is held within guarantees, at each level, the deepest first.
    fn guarded(&self) -> Vec<u64> {
        let mut levels = vec![0; DEPTH_MAX as usize];
        for at in 0..self.accounts.len() {
            let level = DEPTH_MAX as usize - self.way(at).len();
            for resource in 0..RESOURCES {
                levels[level] += self.held(at, resource).min(self.guaranteed(at, resource));
            }
        }
        levels
    }

    fn running(&self) -> Vec<bool> {
        self.jobs.iter().map(|job| job.runs).collect()
    }

    /// Places and reclaims until nothing moves any more, trying jobs in the order that `picks` give.
    /// Returns the reclaims, or what went wrong.
    pub(super) fn settle(&mut self, picks: &[usize]) -> Result<usize, &'static str> {
        self.jobs.iter_mut().for_each(|job| job.was_taken = false);
        let shares = self.divide();
        let (mut reclaims, mut by_excess, mut seen) = (0, 0, BTreeSet::new());
        let levels = self.accounts.len() as u64;
        let size = |job: &Job| job.size.iter().sum::<u64>();
        let waiting: u64 = self.jobs.iter().filter(|job| !job.runs && !job.ended).map(size).sum();
        let most = self.excess() + waiting * levels;
        let mut order: Vec<_> = (0..self.jobs.len()).collect();
        for (at, pick) in picks.iter().enumerate().take(order.len()) {
            let other = pick % order.len();
            order.swap(at, other);
        }
        loop {
            let mut moved = false;
            for at in order.clone() {
                moved |= self.place(at, true);
                let before = (self.excess(), self.guarded());
                let taken = self.reclaim(at);
                if taken.is_empty() {
                    continue;
                }
                (moved, reclaims) = (true, reclaims + 1);
                let after = (self.excess(), self.guarded());
                if !seen.insert(self.running()) {
                    return Err("a state came back");
                }
                if self.divide() != shares {
                    return Err("shares changed");
                }
                let account = self.jobs[at].account;
                let over = |resource: &usize| {
                    self.jobs[at].size[*resource] > 0
                        && self.held(account, *resource) > self.entitled(account, *resource)
                };
                if (0..RESOURCES).any(|resource| over(&resource)) {
                    return Err("the reclaimer is above its share");
                }
                by_excess += u64::from(after.0 < before.0);
                if after.0 > before.0 || after.0 == before.0 && after.1 <= before.1 {
                    return Err("the potential did not fall");
                }
                if by_excess > most {
                    return Err("more reclaims than the bound");
                }
            }
            if !moved {
                return Ok(reclaims);
            }
        }
    }
}
