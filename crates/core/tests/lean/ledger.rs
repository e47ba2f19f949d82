//! The ledger alone, as a router or a gate would use it.

use rampmeter::share::{AccountId, Ledger, LedgerOptions};

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
    pub counts: Counts,
}

impl LeanLedger {
    pub fn new(seed: u64) -> Self {
        let options = LedgerOptions {
            accounts_max: ACCOUNTS as u32,
            lanes: LANES,
            ..LedgerOptions::default()
        };
        Self {
            ledger: Ledger::new(&options).unwrap(),
            prng: Prng(seed),
            accounts: [AccountId::default(); ACCOUNTS + 1],
            accounts_next: 0,
            counts: Counts::default(),
        }
    }

    pub fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            self.call();
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
