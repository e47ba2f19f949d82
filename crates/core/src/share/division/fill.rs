//! Weighted max-min in whole units: everybody takes the same amount for each weight, or all it wants.
//!
//! # Formula
//! ```text
//! covered     rest * sum of weight <= left * weight:
//!             takes its rest, and leaves both sums; again until nobody is
//! all others  floor(left * weight / sum of weight), down to whole units
//! remainder   one unit each, the largest fraction first, then the oldest, then the lowest id
//! ```
//! Products have 126 bits, so that all of this is exact.

use core::cmp::Ordering;

use super::Claim;

/// Bits that the weights of all siblings together fit into: their product with an amount then fits
/// into 128, and a quotient is found by one machine division.
const WEIGHT_SUM_BITS: u32 = 62;

/// Weighs by over-quota weight, corrected by past usage.
pub(super) fn weigh(claims: &mut [Claim], usage_weight: f64) {
    let mut sum = 1.0;
    if usage_weight > 0.0 {
        sum = claims.iter().map(|claim| claim.over_quota_weight).sum();
    }
    let weight = |claim: &Claim| {
        // Without usage nothing is divided by the sum, so that whole weights stay whole.
        let part = claim.over_quota_weight / sum;
        (part + usage_weight * (part - claim.usage)).max(0.0)
    };
    let max = claims.iter().map(weight).fold(0.0, f64::max);
    // As many claims as there are, each below two to the power of what they leave of the bits.
    let bits = WEIGHT_SUM_BITS - (usize::BITS - claims.len().leading_zeros());
    let up = bits.cast_signed() - 1 - libm::ilogb(max.max(f64::MIN_POSITIVE));
    for claim in claims {
        let weight = weight(claim);
        // A weight is never so small that it is none.
        claim.scratch.weight =
            if weight > 0.0 { (libm::ldexp(weight, up) as u64).max(1) } else { 0 };
    }
}

/// Weighs by what is guaranteed, which stands in `rest`.
pub(super) fn weigh_guarantees(claims: &mut [Claim], guaranteed: u128) {
    let down = (u128::BITS - guaranteed.leading_zeros()).saturating_sub(WEIGHT_SUM_BITS);
    for claim in claims {
        claim.scratch.weight = (claim.scratch.rest >> down).max(1);
    }
}

/// Divides `left` among claims that all have a rest and a weight; returns what they do not want.
pub(super) fn fill(claims: &mut [Claim], left: u64, unit: u64) -> u64 {
    let left = fill_by(claims, left, unit);
    if left == 0 || unit == 1 {
        return left;
    }
    // Somebody wanted less than a unit of the remainder: what is left is less than all can take
    // in whole units.
    fill_by(super::first_ones(claims, |claim| claim.scratch.rest > 0), left, 1)
}

fn fill_by(claims: &mut [Claim], left: u64, unit: u64) -> u64 {
    let wanted: u128 = claims.iter().map(|claim| u128::from(claim.scratch.rest)).sum();
    if wanted <= u128::from(left) {
        for claim in claims {
            claim.take(claim.scratch.rest);
        }
        return left - wanted as u64;
    }
    let mut left = left;
    let mut weights: u64 = claims.iter().map(|claim| claim.scratch.weight).sum();
    let mut open = claims;
    // Most of those that are covered are seen in a few passes. Passes that find few each are given
    // up in time: sorting costs as much as these.
    for _ in 0..=open.len().ilog2() {
        let covered = cover(open, left, weights);
        if covered == 0 {
            return round_down(open, left, weights, unit);
        }
        let (full, rest) = open.split_at_mut(covered);
        for claim in full {
            weights -= claim.scratch.weight;
            left -= claim.take(claim.scratch.rest);
        }
        open = rest;
    }
    open.sort_unstable_by(by_level);
    let mut covered = 0;
    for claim in open.iter_mut() {
        if !claim.is_covered(left, weights) {
            break;
        }
        weights -= claim.scratch.weight;
        left -= claim.take(claim.scratch.rest);
        covered += 1;
    }
    round_down(&mut open[covered..], left, weights, unit)
}

/// Moves those that are covered to the front and counts them.
fn cover(claims: &mut [Claim], left: u64, weights: u64) -> usize {
    super::first_ones(claims, |claim| claim.is_covered(left, weights)).len()
}

/// Gives everybody its part in whole units, and what that leaves unit by unit.
fn round_down(claims: &mut [Claim], left: u64, weights: u64, unit: u64) -> u64 {
    let mut remainder = left;
    for claim in claims.iter_mut() {
        let (part, fraction) = part(left, claim.scratch.weight, weights);
        claim.scratch.fraction = (part % unit, fraction);
        remainder -= claim.take(part - part % unit);
    }
    if remainder == 0 {
        return 0;
    }
    if unit == 1 {
        // Each takes one, and there are more of them than ones: who takes it is enough to know.
        claims.select_nth_unstable_by(remainder as usize, by_fraction);
    } else {
        claims.sort_unstable_by(by_fraction);
    }
    for claim in claims {
        remainder -= claim.take(unit.min(claim.scratch.rest).min(remainder));
        if remainder == 0 {
            break;
        }
    }
    remainder
}

/// `left * weight / weights`, and what remains of that division.
fn part(left: u64, weight: u64, weights: u64) -> (u64, u64) {
    let (product, weights) = (u128::from(left) * u128::from(weight), u128::from(weights));
    ((product / weights) as u64, (product % weights) as u64)
}

/// Who wants least for its weight comes first.
fn by_level(a: &Claim, b: &Claim) -> Ordering {
    let product = |rest: u64, weight: u64| u128::from(rest) * u128::from(weight);
    product(a.scratch.rest, b.scratch.weight)
        .cmp(&product(b.scratch.rest, a.scratch.weight))
        .then(a.id.cmp(&b.id))
}

/// In which order the remainder goes.
fn by_fraction(a: &Claim, b: &Claim) -> Ordering {
    let fractions = b.scratch.fraction.cmp(&a.scratch.fraction);
    fractions.then(a.opened_at.cmp(&b.opened_at)).then(a.id.cmp(&b.id))
}

impl Claim {
    /// True if its part is all that it wants. With less to divide among fewer it is still.
    fn is_covered(&self, left: u64, weights: u64) -> bool {
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        product(self.scratch.rest, weights) <= product(left, self.scratch.weight)
    }

    fn take(&mut self, amount: u64) -> u64 {
        self.share += amount;
        self.scratch.rest -= amount;
        amount
    }
}
