//! Rates as words: the latest time, and of each open account its limits and its buckets.

use super::{Meter, RateKind, Rates};
use crate::error::Error;
use crate::policy::RateLimits;
use crate::share::AccountTree;
use crate::snapshot::Words;
use crate::units::Nanos;

impl Rates {
    /// Tells what it knows about the open accounts: nothing in a ledger without rates.
    pub(in super::super) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        let Self { meters, limited: _, now } = self;
        if meters.is_empty() {
            return;
        }
        save(now.get());
        for meter in tree.indices().filter_map(|index| meters.get(index as usize)) {
            let RateLimits { requests_per_minute, tokens_per_minute, burst } = meter.limits;
            for word in [requests_per_minute.into(), tokens_per_minute, burst.get()] {
                save(word);
            }
            for bucket in RateKind::ALL.into_iter().filter_map(|kind| meter.bucket(kind)) {
                save(bucket.full_at as u64);
                save((bucket.full_at >> 64) as u64);
            }
        }
    }

    /// Takes what [`Self::save_state`] told.
    pub(in super::super) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        if self.meters.is_empty() {
            return Ok(());
        }
        self.clear();
        self.now = Nanos(words.next()?);
        for index in tree.indices() {
            let meter = load_meter(words)?;
            self.limited += u32::from(meter.is_limited());
            if let Some(place) = self.meters.get_mut(index as usize) {
                *place = meter;
            }
        }
        Ok(())
    }
}

fn load_meter(words: &mut Words<'_>) -> Result<Meter, Error> {
    let limits = RateLimits {
        requests_per_minute: words.next_u32("requests_per_minute")?,
        tokens_per_minute: words.next()?,
        burst: Nanos(words.next()?),
    };
    let mut meter = Meter { limits, full_at: [0; 2] };
    for kind in RateKind::ALL {
        let Some(bucket) = meter.bucket(kind) else { continue };
        let (low, high) = (words.next()?, words.next()?);
        let full_at = u128::from(high) << 64 | u128::from(low);
        // Whatever is reckoned with it relies on this.
        if full_at > bucket.brought_by(Nanos::MAX) {
            return Err(Error::Contradiction {
                field: "full_at",
                value: high,
                other: "per_minute",
                other_value: bucket.per_minute,
            });
        }
        meter.full_at[kind as usize] = full_at;
    }
    Ok(meter)
}
