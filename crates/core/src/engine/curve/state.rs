//! A curve as words: what it says, and what it has learned.

use super::{
    BATCH_SIZE_MAX, KNOTS_MAX, LatencyCurve, Learning, SCALE_MAX, SECONDS, SPREAD_MAX, VALUES,
    WEIGHT_MAX,
};
use crate::error::Error;
use crate::snapshot::{Words, ensure, pair};

type Row = [f64; KNOTS_MAX];

impl LatencyCurve {
    pub(crate) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { sizes, seconds, len, learning, spread, samples } = self;
        save(pair(*len, u32::from(learning.is_some())));
        save(*samples);
        save(spread.to_bits());
        let len = *len as usize;
        sizes[..len].iter().for_each(|size| save((*size).into()));
        seconds[..len].iter().for_each(|seconds| save(seconds.to_bits()));
        if let Some(Learning { prior, value, weight, scale }) = learning {
            for row in [prior, value, weight] {
                row[..len].iter().for_each(|number| save(number.to_bits()));
            }
            save(scale.to_bits());
        }
    }

    pub(crate) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let (len, learns) = words.next_pair()?;
        ensure((1..=KNOTS_MAX as u32).contains(&len) && learns <= 1)?;
        let samples = words.next_count("samples")?;
        let spread = words.next_real("spread", 0.0, SPREAD_MAX)?;
        let (mut sizes, mut size_min) = ([0; KNOTS_MAX], 1);
        for size in &mut sizes[..len as usize] {
            *size = words.next_within("curve_size", size_min, BATCH_SIZE_MAX)?;
            size_min = *size + 1;
        }
        let seconds = load_row(len, "curve_seconds", SECONDS, words)?;
        ensure(seconds[..len as usize].is_sorted())?;
        let mut learning = None;
        if learns == 1 {
            learning = Some(Learning {
                prior: load_row(len, "curve_prior", SECONDS, words)?,
                value: load_row(len, "curve_value", (0.0, VALUES.1), words)?,
                weight: load_row(len, "curve_weight", (0.0, WEIGHT_MAX), words)?,
                scale: words.next_real("curve_scale", -SCALE_MAX, SCALE_MAX)?,
            });
        }
        Ok(Self { sizes, seconds, len, learning, spread, samples })
    }
}

fn load_row(
    len: u32,
    field: &'static str,
    (min, max): (f64, f64),
    words: &mut Words<'_>,
) -> Result<Row, Error> {
    let mut row = [0.0; KNOTS_MAX];
    for number in &mut row[..len as usize] {
        *number = words.next_real(field, min, max)?;
    }
    Ok(row)
}
