//! The ledger of resources, as a cluster scheduler would use it.

use rampmeter::share::{AccountId, AccountQuota, Amounts, Ledger, LedgerOptions};

use crate::support::Prng;

const ACCOUNTS: u32 = 12;

pub struct LeanResources {
    ledger: Ledger,
    prng: Prng,
    /// Calls that succeeded, and that were refused.
    pub taken: u32,
    pub refused: u32,
}

impl LeanResources {
    pub fn new(seed: u64) -> Self {
        let options = LedgerOptions {
            accounts_max: ACCOUNTS,
            resources: 3,
            dominant: true,
            borrowing: true,
            ..LedgerOptions::default()
        };
        let ledger = Ledger::new(&options).unwrap();
        Self { ledger, prng: Prng(seed), taken: 0, refused: 0 }
    }

    pub fn drive(&mut self, calls: u32) {
        for _ in 0..calls {
            if self.call() {
                self.taken += 1;
            } else {
                self.refused += 1;
            }
        }
    }

    /// Some account, now and then one that does not exist.
    fn account(&mut self) -> AccountId {
        let index = self.prng.below(u64::from(ACCOUNTS)) as u32;
        self.ledger.tree().account_at(index).unwrap_or_default()
    }

    /// Amounts, now and then of a resource that does not exist.
    fn amounts(&mut self) -> Amounts {
        let mut amounts = Amounts::first(self.prng.below(9));
        amounts.0[1 + self.prng.below(3) as usize] = self.prng.below(3);
        amounts
    }

    fn call(&mut self) -> bool {
        let (account, amounts) = (self.account(), self.amounts());
        let ledger = &mut self.ledger;
        match self.prng.below(12) {
            0 => ledger.open(self.prng.chance(60).then_some(account), 2.0).is_ok(),
            1 => ledger.close(account).is_ok(),
            2 => ledger.set_weight(account, 0.5).is_ok(),
            3 => {
                let rules = AccountQuota { quota: amounts, ..AccountQuota::default() };
                ledger.set_quota(account, &rules).is_ok()
            }
            4 => ledger.set_capacity(&amounts).is_ok(),
            5 | 6 => ledger.allocate(account, &amounts).is_ok(),
            7 => ledger.release(account, &amounts).is_ok(),
            8 => ledger.set_next_task(account, Some(&amounts)).is_ok(),
            9 => ledger.set_next_task(account, None).is_ok(),
            10 => {
                let borrowed = ledger.borrowed_share_with(account, &amounts);
                borrowed.is_ok() && ledger.borrowed_share(account).is_ok()
            }
            _ => {
                let first = ledger.most_deserving().unwrap();
                let known = [
                    ledger.dominant_level(account).is_ok(),
                    ledger.dominant_share(account).is_ok(),
                    ledger.entitled_share(account).is_ok(),
                    ledger.resource_shares(account).is_ok(),
                    ledger.next_task(account).is_ok(),
                ];
                first.is_some() && !known.contains(&false)
            }
        }
    }
}
