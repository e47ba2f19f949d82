//! A forecast as words: the lengths that it knows, and the shares of the seats as old as they are.

use super::{Forecast, HORIZONS_LEN, NOTHING, Share, VARIANCE_MAX};
use crate::batch::continuous::request::CONTEXT_TOKENS_MAX;
use crate::error::Error;
use crate::snapshot::{CONTRADICTION, Words, ensure, pair};

impl Forecast {
    /// Of so many seats that are taken; sums follow from the shares, and blocks from the requests.
    pub(in super::super) fn save_state(&self, seats: u32, save: &mut dyn FnMut(u64)) {
        let Self {
            lengths,
            z: _,
            shares,
            blocks_at_most: _,
            blocks_max: _,
            means: _,
            variances: _,
            awake,
            next_seat,
        } = self;
        lengths.save_state(save);
        save(pair(*next_seat, u32::from(*awake)));
        let kept = if *awake { seats } else { 0 };
        for Share { means, variances } in &shares[..kept as usize] {
            for (mean, variance) in means.iter().zip(variances) {
                save((*mean).into());
                save(*variance);
            }
        }
    }

    /// Takes lengths and shares; whose blocks count is told by the seats.
    pub(in super::super) fn load_state(
        &mut self,
        seats: u32,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.lengths.load_state(words.source()).ok_or(CONTRADICTION)?;
        let (next_seat, awake) = words.next_pair()?;
        ensure(awake <= 1 && next_seat as usize <= self.shares.len())?;
        (self.next_seat, self.awake) = (next_seat, awake == 1);
        let kept = if self.awake { seats } else { 0 };
        for seat in 0..kept {
            let share = load_share(words)?;
            self.put(seat, &share);
        }
        Ok(())
    }
}

fn load_share(words: &mut Words<'_>) -> Result<Share, Error> {
    let mut share = NOTHING;
    for at in 0..HORIZONS_LEN {
        share.means[at] = words.next_within("mean", 0, CONTEXT_TOKENS_MAX)?;
        let variance = words.next()?;
        // Sums of all seats can be made of it.
        ensure(variance as f64 <= VARIANCE_MAX)?;
        share.variances[at] = variance;
    }
    Ok(share)
}
