//! The ledger alone, as a router or a gate would use it.

use rampmeter::Nanos;
use rampmeter::policy::RateLimits;
use rampmeter::share::{AccountId, Ledger, LedgerOptions, RateDecision};

use super::Counts;
use crate::support::Prng;

const ACCOUNTS: usize = 8;
const LANES: u32 = 2;

pub struct LeanLedger {
    ledger: Ledger,
    prng: Prng,
    /// The ids issued last; some have been closed since.
    accounts: [AccountId; ACCOUNTS + 1],
    accounts_next: usize,
    now: Nanos,
    /// Requests within their rates, and over them.
    pub rated: [u64; 2],
    pub counts: Counts,
}

impl LeanLedger {
    pub fn new(seed: u64) -> Self {
        let options = LedgerOptions {
            accounts_max: ACCOUNTS as u32,
            lanes: LANES,
            rates: true,
            ..LedgerOptions::default()
        };
        Self {
            ledger: Ledger::new(&options).unwrap(),
            prng: Prng(seed),
            accounts: [AccountId::default(); ACCOUNTS + 1],
            accounts_next: 0,
            now: Nanos(1),
            rated: [0; 2],
            counts: Counts::default(),
        }
    }

    pub fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            self.call();
            if self.prng.chance(30) {
                self.rate();
            }
        }
    }

    fn rate(&mut self) {
        let account = self.accounts[self.prng.below(self.accounts.len() as u64) as usize];
        self.now = self.now.saturating_add(Nanos(self.prng.below(10_000_000_000)));
        let now = if self.prng.chance(5) { Nanos::ZERO } else { self.now };
        let tokens = [7, 900, u64::MAX][self.prng.below(3) as usize];
        let (ledger, counts) = (&mut self.ledger, &mut self.counts);
        match self.prng.below(5) {
            0 => {
                let rates = RateLimits {
                    requests_per_minute: 20,
                    tokens_per_minute: self.prng.draw() >> self.prng.below(64),
                    burst: Nanos(self.prng.draw() >> self.prng.below(64)),
                };
                counts.note("set_rates", ledger.set_rates(now, account, &rates));
                counts.note("rates", ledger.rates(account));
            }
            1 => {
                counts.note("charge_rate", ledger.charge_rate(now, account, tokens));
            }
            2 => {
                counts.note("refund_rate", ledger.refund_rate(now, account, 1, tokens));
            }
            _ => {
                counts.note("rate_check", ledger.rate_check(now, account, tokens));
                let answer = counts.note("admit_rate", ledger.admit_rate(now, account, tokens));
                if let Some(decision) = answer {
                    self.rated[usize::from(decision != RateDecision::Within)] += 1;
                }
            }
        }
    }

    fn call(&mut self) {
        let account = self.accounts[self.prng.below(self.accounts.len() as u64) as usize];
        let lane = self.prng.below(u64::from(LANES) + 1) as u32;
        let number = [1.0, 250.0, -1.0, f64::NAN][self.prng.below(4) as usize];
        let (ledger, counts) = (&mut self.ledger, &mut self.counts);
        match self.prng.below(10) {
            0 => {
                // Half below the root, half below somebody, known or not.
                let parent = self.prng.chance(50).then_some(account);
                if let Some(id) = counts.note("open", ledger.open(parent, number)) {
                    self.accounts[self.accounts_next % (ACCOUNTS + 1)] = id;
                    self.accounts_next += 1;
                }
            }
            1 if self.prng.chance(20) => {
                counts.note("close", ledger.close(account));
            }
            2 => {
                counts.note("set_weight", ledger.set_weight(account, number));
            }
            3 | 4 => {
                counts.note("arrive", ledger.arrive(lane, account));
            }
            5 => {
                counts.note("depart", ledger.depart(lane, account));
            }
            6 | 7 => {
                counts.note("charge", ledger.charge(lane, account, number));
            }
            8 => {
                counts.note("weight", ledger.weight(account));
                counts.note("parent", ledger.parent(account));
                counts.note("counter", ledger.counter(lane, account));
                counts.note("lead", ledger.lead(lane, account));
                counts.note("rivals", ledger.rivals(lane, account, number as u32));
                counts.note("waiting", ledger.waiting(lane, account));
                counts.note("counter_min", ledger.counter_min(lane));
            }
            _ => {
                let sum = ledger.eligible(lane, number).map(|all| all.map(|e| e.1).sum::<f64>());
                counts.note("eligible", sum);
            }
        }
    }
}
