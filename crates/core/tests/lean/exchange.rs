//! Calls with which engines tell each other whom they served.

use rampmeter::share::exchange::{DeltaEntry, DeltaSource, path_key};

use super::Lean;

/// Key of an account that no policy names.
const GUEST_KEY: u64 = 77;

/// A little more than a policy's accounts and its guests, in two classes.
const ENTRIES_MAX: usize = 16;

impl Lean {
    pub(super) fn exchange(&mut self) {
        match self.prng.below(16) {
            0..8 => self.merge(),
            8..13 => self.tell(),
            13 => {
                let replica = if self.prng.chance(80) { 1 } else { self.prng.below(5) as u32 };
                // At most times the life it leads already, at times a new one.
                let incarnation =
                    3 + u64::from(self.prng.chance(5)) - u64::from(self.prng.chance(5));
                let answer = self.batcher.set_replica(replica, incarnation);
                self.counts.note("set_replica", answer);
            }
            14 => {
                let replica = self.prng.below(4) as u32;
                let answer = self.batcher.forget_replica(replica);
                self.counts.note("forget_replica", answer);
            }
            _ => {
                let account = if self.prng.chance(60) { self.guest } else { self.some_account() };
                let key = [GUEST_KEY, 0, self.account_key(1)][self.prng.below(3) as usize];
                let answer = self.batcher.set_account_key(account, key);
                self.counts.note("set_account_key", answer);
                let answer = self.batcher.account_service(0, account);
                self.counts.note("account_service", answer);
                std::hint::black_box(self.batcher.account_of_key(key));
            }
        }
    }

    /// Key of an account of the policy.
    fn account_key(&self, place: usize) -> u64 {
        path_key([self.policies[0].accounts[place].name.as_str()])
    }

    fn tell(&mut self) {
        let mut out = [DeltaEntry::default(); ENTRIES_MAX];
        let len = [0, 3, ENTRIES_MAX][self.prng.below(3) as usize];
        let answer = self.batcher.delta(&mut out[..len]);
        if let Some(told) = self.counts.note("delta", answer) {
            self.counts.exchanged[1] += told.len as u64;
        }
        let mut next = if self.prng.chance(10) { self.prng.draw() } else { 0 };
        let answer = self.batcher.delta_all(&mut next, &mut out[..len]);
        self.counts.note("delta_all", answer);
    }

    /// Two engines tell of the service of some accounts; wrong at times.
    fn merge(&mut self) {
        let (key, lane) = (self.account_key(self.prng.0 as usize % 4), self.prng.below(2));
        self.peer_served += self.prng.below(3_000) as f64;
        let served = self.peer_served;
        let told = served - self.prng.below(served as u64 + 1) as f64;
        let mut entry = DeltaEntry { key, lane, began: 0.0, told, served };
        let mut replica = [0, 2][self.prng.below(2) as usize];
        let incarnation = 5 - u64::from(self.prng.chance(10));
        match self.prng.below(30) {
            0 => entry.key = 0,
            1 => entry.lane = 2 + self.prng.below(9),
            2 => entry.served = [f64::NAN, -1.0, 1e300][self.prng.below(3) as usize],
            3 => entry.told = served + 1.0,
            4 => replica = self.prng.below(5),
            5 | 6 => entry.key = GUEST_KEY,
            7 => entry.key = 78,
            _ => {}
        }
        let source = DeltaSource { replica, incarnation };
        let answer = self.batcher.merge(source, &[entry, DeltaEntry { lane: 0, ..entry }]);
        if let Some(merged) = self.counts.note("merge", answer) {
            self.counts.exchanged[0] += u64::from(merged.news);
        }
    }
}
