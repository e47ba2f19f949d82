//! Requests that were sent away, and why.

use rampmeter::Nanos;

use super::Felt;
use crate::serving::Refusal;

/// How many were sent away for which reason, and when they were told to come again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals {
    shed: u64,
    expired: u64,
    /// Of those that were shed, requests that were told a time.
    told: u64,
    retry_after_s: f64,
}

impl Refusals {
    /// One for each of so many groups.
    pub(super) fn by_group(
        groups: usize,
        refused: impl Iterator<Item = (usize, Refusal)>,
    ) -> Vec<Self> {
        let mut all = vec![Self::default(); groups];
        for (group, why) in refused {
            if let Some(group) = all.get_mut(group) {
                group.add(why);
            }
        }
        all
    }

    fn add(&mut self, why: Refusal) {
        match why {
            Refusal::TooLong => {}
            Refusal::Expired => self.expired += 1,
            Refusal::Shed { retry_after } => {
                self.shed += 1;
                if retry_after < Nanos::MAX {
                    self.told += 1;
                    self.retry_after_s += retry_after.as_seconds();
                }
            }
        }
    }

    /// The same user or users, with what was refused told apart.
    pub(super) const fn tell_apart(&self, mut felt: Felt) -> Felt {
        (felt.shed, felt.expired) = (self.shed, self.expired);
        felt
    }

    /// Mean of what those were told that may come again; 0 if there is nobody.
    pub(super) fn retry_after_mean_s(&self) -> f64 {
        self.retry_after_s / self.told.max(1) as f64
    }
}
