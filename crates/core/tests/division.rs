//! Division among siblings: against all divisions that there are, against rounds as they are
//! published, and with numbers from anywhere.

use proptest::prelude::*;
use rampmeter::share::{Claim, Excess, Level, divide_level};

const WEIGHTS: [f64; 6] = [0.0, 0.3, 0.5, 1.0, 2.0, 3.0];

fn guaranteed(claim: &Claim) -> u64 {
    claim.quota.min(claim.request).min(claim.limit)
}

/// The most that a claim can come to.
fn most(claim: &Claim) -> u64 {
    let all = claim.request.min(claim.limit);
    if claim.over_quota_weight > 0.0 { all } else { guaranteed(claim) }
}

fn sum(claims: &[Claim], amount: impl Fn(&Claim) -> u64) -> u128 {
    claims.iter().map(|claim| u128::from(amount(claim))).sum()
}

fn shares(claims: &[Claim]) -> Vec<u64> {
    claims.iter().map(|claim| claim.share).collect()
}

/// Claims small enough to look at all divisions.
fn small_claims(len: usize) -> impl Strategy<Value = Vec<Claim>> {
    let limit = prop_oneof![3 => Just(u64::MAX), 1 => 0u64..7];
    let claim = (0u64..3, limit, 0u64..7, 0..WEIGHTS.len(), 0..3_i32, 0u64..3);
    let claim = claim.prop_map(|(quota, limit, request, weight, priority, opened_at)| Claim {
        over_quota_priority: (priority - 1).max(0),
        quota,
        limit,
        request,
        over_quota_weight: WEIGHTS[weight],
        opened_at,
        ..Claim::default()
    });
    prop::collection::vec(claim, 1..len).prop_map(numbered)
}

fn numbered(mut claims: Vec<Claim>) -> Vec<Claim> {
    (0..).zip(&mut claims).for_each(|(id, claim)| claim.id = id);
    claims
}

/// What is left over divided without rounding: `level * weight`, or the rest, the level found by
/// halving.
fn fluid(rests: &[(f64, f64)], total: f64) -> Vec<f64> {
    let at = |level: f64| rests.iter().map(move |(rest, weight)| rest.min(level * weight));
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if at(middle).sum::<f64>() < total { low = middle } else { high = middle }
    }
    at(high).collect()
}

/// All divisions that give each claim what is guaranteed at least and no more than it can have.
fn all_divisions(claims: &[Claim]) -> Vec<Vec<u64>> {
    claims.iter().fold(vec![Vec::new()], |divisions, claim| {
        let longer = |begun: &Vec<u64>| {
            let begun = begun.clone();
            (guaranteed(claim)..=most(claim)).map(move |share| [&begun[..], &[share]].concat())
        };
        divisions.iter().flat_map(longer).collect()
    })
}

/// What high priorities get first, then how far it is from the division without rounding: the
/// larger the sums and the smaller the distance, the better.
fn quality(claims: &[Claim], division: &[u64]) -> (Vec<u64>, f64) {
    let (mut sums, mut distance) = (Vec::new(), 0.0);
    for priority in [1, 0] {
        let of_it: Vec<_> = claims
            .iter()
            .zip(division)
            .filter(|(claim, _)| claim.over_quota_priority == priority)
            .map(|(claim, share)| (claim, share - guaranteed(claim)))
            .collect();
        let total: u64 = of_it.iter().map(|(_, over)| over).sum();
        let rest = |claim: &Claim| (most(claim) - guaranteed(claim)) as f64;
        let rests: Vec<_> =
            of_it.iter().map(|(claim, _)| (rest(claim), claim.over_quota_weight)).collect();
        let parts = fluid(&rests, total as f64);
        distance += of_it
            .iter()
            .zip(parts)
            .map(|((_, over), part)| (*over as f64 - part).powi(2))
            .sum::<f64>();
        sums.push(total);
    }
    (sums, distance)
}

/// Rounds as they are published, in `f64`, and how many there were. One priority, `k` = 0, units of
/// one.
fn rounds(total: u64, claims: &[Claim]) -> (Vec<u64>, u64) {
    let mut shares: Vec<u64> = claims.iter().map(guaranteed).collect();
    let mut left = total.saturating_sub(shares.iter().sum());
    let mut count = 0;
    let wants = |shares: &[u64], at: usize| most(&claims[at]) - shares[at];
    loop {
        let asking: Vec<_> = (0..claims.len()).filter(|at| wants(&shares, *at) > 0).collect();
        let weights: f64 = asking.iter().map(|at| claims[*at].over_quota_weight).sum();
        if left == 0 || asking.is_empty() {
            return (shares, count);
        }
        count += 1;
        let (to_give, mut again) = (left as f64, false);
        let mut fractions = Vec::new();
        for at in asking {
            let part = to_give * (claims[at].over_quota_weight / weights);
            let given = wants(&shares, at).min(part as u64);
            again |= (wants(&shares, at) as f64) < part;
            fractions.push((part - part.floor(), at));
            shares[at] += given;
            left -= given.min(left);
        }
        if !again {
            fractions.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            for (_, at) in fractions {
                let given = left.min(wants(&shares, at)).min(1);
                shares[at] += given;
                left -= given;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// No division is better in what the definition says.
    #[test]
    fn no_other_division_is_better(claims in small_claims(6), total in 0u64..20) {
        let mut claims = claims;
        let left = divide_level(&Level { total, ..Level::default() }, &mut claims).unwrap();
        let promised = sum(&claims, guaranteed) as u64;
        if promised > total {
            prop_assert_eq!(left, 0);
            prop_assert!(claims.iter().all(|claim| claim.share == guaranteed(claim)));
            return Ok(());
        }
        let given = total - left;
        let ours = shares(&claims);
        prop_assert_eq!(ours.iter().sum::<u64>(), given);
        let (our_sums, our_distance) = quality(&claims, &ours);
        let mut found = false;
        for division in all_divisions(&claims) {
            let theirs: u64 = division.iter().sum();
            prop_assert!(theirs > total || theirs <= given, "{:?} wastes less", division);
            found |= division == ours;
            if theirs == given {
                let (sums, distance) = quality(&claims, &division);
                prop_assert!(sums <= our_sums, "{:?} obeys priorities better", division);
                let nearer = sums == our_sums && distance < our_distance - 1e-6;
                prop_assert!(!nearer, "{:?} is nearer than {:?}", division, ours);
            }
        }
        prop_assert!(found, "{:?} is no division", ours);
    }

    /// Published rounds end at the same division but for what each of them rounds.
    #[test]
    fn rounds_end_within_their_own_rounding(
        sizes in prop::collection::vec((0u64..300, 1u64..5000, 1..WEIGHTS.len()), 1..30),
        total in 0u64..60_000,
    ) {
        let claims = sizes.into_iter().map(|(quota, request, weight)| Claim {
            quota, request, over_quota_weight: WEIGHTS[weight], ..Claim::default()
        });
        let mut claims = numbered(claims.collect());
        divide_level(&Level { total, ..Level::default() }, &mut claims).unwrap();
        let (expected, count) = rounds(total, &claims);
        for (ours, theirs) in shares(&claims).iter().zip(&expected) {
            // What one round rounds away from the others is divided in the next.
            prop_assert!(ours.abs_diff(*theirs) <= 2 * count, "{ours} {theirs} after {count}");
        }
        prop_assert_eq!(shares(&claims).iter().sum::<u64>(), expected.iter().sum::<u64>());
    }

    /// One unit more to divide takes at most one unit from anybody.
    #[test]
    fn more_capacity_takes_at_most_one_unit(claims in small_claims(9), total in 0u64..40) {
        let (mut less, mut more) = (claims.clone(), claims);
        divide_level(&Level { total, ..Level::default() }, &mut less).unwrap();
        divide_level(&Level { total: total + 1, ..Level::default() }, &mut more).unwrap();
        for (less, more) in less.iter().zip(&more) {
            prop_assert!(more.share + 1 >= less.share, "{less:?} {more:?}");
        }
    }

    /// The order of claims does not matter, nor what stood in them before.
    #[test]
    fn order_does_not_matter(claims in small_claims(9).prop_flat_map(|claims| {
        (Just(claims.clone()), Just(claims).prop_shuffle())
    }), total in 0u64..40, cut in any::<bool>()) {
        let (mut claims, mut shuffled) = claims;
        for claim in &mut shuffled {
            claim.share = 77;
        }
        let excess = if cut { Excess::Cut } else { Excess::Keep };
        let level = Level { total, excess, ..Level::default() };
        let left = divide_level(&level, &mut claims);
        prop_assert_eq!(divide_level(&level, &mut shuffled), left);
        prop_assert_eq!(shares(&claims), shares(&shuffled));
    }

    /// Whole units divide as ones do.
    #[test]
    fn units_are_the_ones_of_larger_numbers(
        claims in small_claims(9), total in 0u64..40, unit in 2u64..2000, cut in any::<bool>(),
    ) {
        let excess = if cut { Excess::Cut } else { Excess::Keep };
        let (mut ones, mut units) = (claims.clone(), claims);
        for claim in &mut units {
            claim.quota *= unit;
            claim.request *= unit;
            claim.limit = claim.limit.saturating_mul(unit);
        }
        let level = Level { total, excess, ..Level::default() };
        let left = divide_level(&level, &mut ones).unwrap();
        let scaled = Level { total: total * unit, unit, ..level };
        prop_assert_eq!(divide_level(&scaled, &mut units), Ok(left * unit));
        for (one, unit_share) in ones.iter().zip(&units) {
            prop_assert_eq!(one.share * unit, unit_share.share);
        }
    }

    /// Whatever the numbers, the sum is exact and nobody gets too much or too little.
    #[test]
    fn any_numbers_are_divided_exactly(
        claims in prop::collection::vec((any_amount(), any_amount(), any_amount(), any_weight(),
            0..2i32, prop_oneof![Just(0.0), 0.0..2.0, Just(f64::MAX)]), 0..12),
        total in any_amount(), unit in 1u64..1 << 62, by_ones in any::<bool>(),
        usage_weight in prop_oneof![Just(0.0), 0.0..3.0, Just(1e6)], cut in any::<bool>(),
    ) {
        let claims = claims.into_iter().map(|(quota, limit, request, weight, priority, usage)| Claim {
            quota, limit, request, over_quota_weight: weight, over_quota_priority: priority, usage,
            ..Claim::default()
        });
        let mut claims = numbered(claims.collect());
        let excess = if cut { Excess::Cut } else { Excess::Keep };
        let unit = if by_ones { 1 } else { unit };
        let left = divide_level(&Level { total, unit, usage_weight, excess }, &mut claims).unwrap();
        let promised = sum(&claims, guaranteed);
        let given = sum(&claims, |claim| claim.share);
        let expected = match (promised > total.into(), cut) {
            (true, true) => total.into(),
            (true, false) => promised,
            (false, _) => sum(&claims, most).min(total.into()),
        };
        prop_assert_eq!(given, expected);
        prop_assert_eq!(u128::from(left), u128::from(total).saturating_sub(given));
        let was_cut = promised > total.into() && cut;
        for claim in &claims {
            prop_assert!(claim.share <= most(claim));
            prop_assert!(was_cut || claim.share >= guaranteed(claim));
            prop_assert!(!was_cut || claim.share <= guaranteed(claim));
        }
    }
}

fn any_amount() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0u64..2000, Just(u64::MAX), Just(1 << 62)]
}

fn any_weight() -> impl Strategy<Value = f64> {
    prop_oneof![0.0f64..10.0, Just(0.0), Just(5e-324), Just(1e-200), Just(1e12)]
}

fn asking(request: u64, over_quota_weight: f64) -> Claim {
    Claim { request, over_quota_weight, ..Claim::default() }
}

fn divided(level: &Level, claims: &[Claim]) -> Vec<u64> {
    let mut claims = numbered(claims.to_vec());
    divide_level(level, &mut claims).unwrap();
    shares(&claims)
}

/// The paradox of Alabama: eleven units leave the third with less than ten did.
#[test]
fn more_capacity_can_take_a_unit() {
    let claims = [6.0, 6.0, 2.0].map(|weight| asking(100, weight));
    let level = |total| Level { total, ..Level::default() };
    assert_eq!(divided(&level(10), &claims), [4, 4, 2]);
    assert_eq!(divided(&level(11), &claims), [5, 5, 1]);
}

#[test]
fn the_remainder_goes_to_the_oldest_then_to_the_lowest_id() {
    let level = Level { total: 4, ..Level::default() };
    let opened = |opened_at| Claim { opened_at, ..asking(9, 1.0) };
    assert_eq!(divided(&level, &[opened(7), opened(5), opened(6)]), [1, 2, 1]);
    assert_eq!(divided(&level, &[opened(7), opened(7), opened(8)]), [2, 1, 1]);
}

#[test]
fn past_usage_counts_by_its_weight() {
    let used = |usage| Claim { usage, ..asking(1000, 1.0) };
    let level = |usage_weight| Level { total: 100, usage_weight, ..Level::default() };
    let claims = [used(0.8), used(0.2)];
    assert_eq!(divided(&level(0.0), &claims), [50, 50]);
    assert_eq!(divided(&level(1.0), &claims), [20, 80]);
    assert_eq!(divided(&level(0.5), &claims), [35, 65]);
    assert_eq!(divided(&level(1e6), &claims), [0, 100]);
    // What the others do not want is not withheld from those who used too much.
    let modest = Claim { request: 30, ..used(0.2) };
    assert_eq!(divided(&level(1e6), &[used(0.9), modest, used(3.0)]), [35, 30, 35]);
}

#[test]
fn guarantees_beyond_the_total_are_kept_or_cut() {
    let quota = |quota| Claim { quota, ..asking(9, 1.0) };
    let claims = [quota(9), quota(3), quota(0)];
    let level = Level { total: 8, ..Level::default() };
    assert_eq!(divided(&level, &claims), [9, 3, 0]);
    assert_eq!(divided(&Level { excess: Excess::Cut, ..level }, &claims), [6, 2, 0]);
}

#[test]
fn half_a_gpu_is_asked_for_and_given_where_whole_ones_are_divided() {
    let level = Level { total: 4_000, unit: 1_000, ..Level::default() };
    assert_eq!(divided(&level, &[asking(500, 1.0), asking(9_000, 1.0)]), [500, 3_500]);
    assert_eq!(divided(&level, &[asking(9_000, 1.0), asking(9_000, 2.0)]), [1_000, 3_000]);
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let right = Level { total: 9, ..Level::default() };
    let refused = |level: Level, claim: Claim| {
        let mut claims = [asking(5, 1.0), claim];
        let field = divide_level(&level, &mut claims).unwrap_err().field();
        assert_eq!(shares(&claims), [0, 0]);
        field
    };
    let claim = asking(5, 1.0);
    assert_eq!(refused(Level { unit: 0, ..right }, claim), "unit");
    assert_eq!(refused(Level { unit: (1 << 62) + 1, ..right }, claim), "unit");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(Level { usage_weight: bad, ..right }, claim), "usage_weight");
        assert_eq!(refused(right, asking(5, bad)), "over_quota_weight");
        assert_eq!(refused(right, Claim { usage: bad, ..claim }), "usage");
    }
}

/// Each pass over the accounts finds one more that is covered, more passes than there may be.
#[test]
fn levels_that_rise_one_account_at_a_time_are_found() {
    let level = Level { total: 1_000_000, ..Level::default() };
    let claims = [900_000, 100_000, 220_000, 226_600, 226_680].map(|request| asking(request, 1.0));
    assert_eq!(divided(&level, &claims), [226_720, 100_000, 220_000, 226_600, 226_680]);
}
