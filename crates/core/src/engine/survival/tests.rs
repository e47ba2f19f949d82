use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const OPTIONS: LengthOptions =
    LengthOptions { classes: 2, accounts_max: 3, output_tokens_max: Tokens(4_096) };

fn lengths() -> OutputLengths {
    OutputLengths::new(&OPTIONS).unwrap()
}

/// A sample: class, account, length, and whether it was cut off.
type Sample = (u32, u32, u32, bool);

fn sample() -> impl Strategy<Value = Sample> {
    let length = prop_oneof![1_u32..40, 1_u32..5_000, Just(LENGTH_MAX)];
    (0_u32..2, 0_u32..3, length, prop::bool::weighted(0.2))
}

fn record(lengths: &mut OutputLengths, (class, account, length, cut): Sample) {
    let end = if cut { LengthEnd::CutOff } else { LengthEnd::Complete };
    lengths.record(class, account, Tokens(length), end).unwrap();
}

/// The formulas of the module over a plain list of samples, oldest first: survival at an edge.
fn by_hand(samples: &[Sample], class: u32, account: u32, edge: u32) -> f64 {
    let pool = |of: &dyn Fn(&Sample) -> bool, weight: f64, below: f64| {
        let (mut longer, mut all) = (0.0, 0.0);
        for sample in samples.iter().filter(|sample| of(sample)) {
            (longer, all) = (longer * f64::from(KEPT), all * f64::from(KEPT) + 1.0);
            longer += f64::from(u8::from(sample.2 > edge));
        }
        (longer + weight * below) / (all + weight)
    };
    let prior = (1.0 - f64::from(1 + edge).ln() / 4_097_f64.ln()).max(0.0);
    let of_class = pool(&|sample| sample.0 == class, 2.0, prior);
    pool(&|sample| (sample.0, sample.1) == (class, account), 32.0, of_class)
}

#[test]
fn edges_are_half_octaves_and_every_length_is_in_its_bin() {
    for pair in EDGES[1..30].windows(2) {
        let ratio = f64::from(pair[1]) / f64::from(pair[0]);
        assert!((1.36..1.47).contains(&ratio), "{pair:?}");
    }
    let near = EDGES.iter().flat_map(|edge| [edge.saturating_sub(1), *edge, edge + 1]);
    for length in (0..5_000).chain(near) {
        let expected = EDGES.partition_point(|edge| *edge <= length) - 1;
        assert_eq!(bin_of(length), expected, "{length}");
    }
    assert_eq!(bin_of(u32::MAX), 30);
}

proptest! {
    /// Without anything cut off, survival at the edges is that of the samples themselves, pooled
    /// by the stated weights.
    #[test]
    fn at_edges_it_is_the_survival_of_the_samples(
        samples in prop::collection::vec(sample(), 0..300), from in 0_usize..20, to in 0_usize..30,
    ) {
        let mut lengths = lengths();
        let samples: Vec<Sample> =
            samples.into_iter().map(|(class, account, length, _)| (class, account, length, false))
                .collect();
        for sample in &samples {
            record(&mut lengths, *sample);
        }
        let (from, to) = (EDGES[from.min(to)], EDGES[to]);
        for (class, account) in [(0, 0), (0, 2), (1, 1)] {
            let alive = by_hand(&samples, class, account, from);
            let expected = by_hand(&samples, class, account, to) / alive;
            let got = lengths.survival(class, account, Tokens(from), Tokens(to - from));
            prop_assume!(alive > 1e-3);
            prop_assert!((got - expected).abs() < 1e-3, "{got} for {expected}");
        }
    }

    #[test]
    fn survival_is_a_probability_that_never_grows(
        samples in prop::collection::vec(sample(), 0..200),
        produced in 0_u32..6_000, mut aheads in prop::collection::vec(any::<u32>(), 2..20),
        class in 0_u32..3, account in 0_u32..4,
    ) {
        let mut lengths = lengths();
        for sample in samples {
            record(&mut lengths, sample);
        }
        aheads.extend([0, 1, 7, 100, 1_000]);
        aheads.sort_unstable();
        let mut last = 1.0;
        for ahead in aheads {
            let survival = lengths.survival(class, account, Tokens(produced), Tokens(ahead));
            prop_assert!((0.0..=1.0).contains(&survival), "{survival}");
            prop_assert!(survival <= last, "{survival} > {last}");
            last = survival;
        }
    }

    /// The mean is the sum of survival over every token to come.
    #[test]
    fn the_mean_that_remains_is_the_sum_of_survival(
        samples in prop::collection::vec(sample(), 0..100), produced in 0_u32..900,
        room in 0_u32..900,
    ) {
        let mut lengths = lengths();
        for sample in samples {
            record(&mut lengths, sample);
        }
        let (produced, most) = (Tokens(produced), Tokens(produced + room));
        let expected: f64 =
            (0..room).map(|ahead| lengths.survival(0, 1, produced, Tokens(ahead))).sum();
        let got = lengths.remaining_mean(0, 1, produced, most);
        prop_assert!((got - expected).abs() <= 1e-9 * (1.0 + expected), "{got} for {expected}");
    }

    #[test]
    fn what_was_saved_is_what_is_loaded(samples in prop::collection::vec(sample(), 0..100)) {
        let mut first = lengths();
        for sample in samples {
            record(&mut first, sample);
        }
        let mut words = Vec::new();
        first.save_state(&mut |word| words.push(word));
        let mut second = lengths();
        let mut rest = words.iter().copied();
        prop_assert_eq!(second.load_state(&mut || rest.next()), Some(()));
        prop_assert_eq!(&first.rows, &second.rows);
        prop_assert_eq!(rest.next(), None);
    }

    /// Whatever stands there, it is refused or is a history that gives probabilities.
    #[test]
    fn hostile_states_do_no_harm(
        words in prop::collection::vec(
            prop_oneof![Just(0_u64), any::<u64>(), any::<u32>().prop_map(u64::from),
                (0.0_f32..2_000.0).prop_map(|weight| u64::from(weight.to_bits()))],
            0..300,
        ),
    ) {
        let mut lengths = lengths();
        record(&mut lengths, (0, 0, 9, false));
        let mut rest = words.into_iter();
        if lengths.load_state(&mut || rest.next()).is_none() {
            prop_assert_eq!(lengths.samples(0, 0), 0.0);
        }
        let survival = lengths.survival(0, 0, Tokens(3), Tokens(90));
        prop_assert!((0.0..=1.0).contains(&survival), "{survival}");
    }
}

#[test]
fn without_history_every_order_of_magnitude_is_as_likely() {
    let lengths =
        OutputLengths::new(&LengthOptions { output_tokens_max: Tokens((1 << 12) - 1), ..OPTIONS })
            .unwrap();
    // ln(16) of ln(4096) is a third: a third of all answers has at most 15 tokens.
    let survival = lengths.survival(0, 0, Tokens::ZERO, Tokens(16));
    assert!((survival - 2.0 / 3.0).abs() < 0.01, "{survival}");
    assert_eq!(lengths.survival(0, 0, Tokens::ZERO, Tokens(5_792)), 0.0);
    assert_eq!(lengths.survival(9, 9, Tokens::ZERO, Tokens(16)), survival, "class unknown");
}

#[test]
fn an_account_speaks_for_itself_once_it_has_samples() {
    let mut lengths = lengths();
    for _ in 0..500 {
        record(&mut lengths, (0, 0, 50, false));
        record(&mut lengths, (0, 1, 1_000, false));
    }
    let longer = |account| lengths.survival(0, account, Tokens::ZERO, Tokens(181));
    assert!(longer(0) < 0.07 && longer(1) > 0.93, "{} {}", longer(0), longer(1));
    // One without history is like its class; another class has learned nothing.
    assert!((longer(2) - 0.5).abs() < 0.01, "{}", longer(2));
    let mean = |class, produced| lengths.remaining_mean(class, 1, Tokens(produced), Tokens(4_096));
    // All that is known of a length is its bin.
    assert!((724.0..1_024.0).contains(&mean(0, 0)), "{}", mean(0, 0));
    assert!(mean(0, 900) < 200.0, "{}", mean(0, 900));
    assert_eq!(mean(1, 0), mean(7, 0));
}

#[test]
fn it_follows_when_lengths_change() {
    let mut lengths = lengths();
    for _ in 0..5_000 {
        record(&mut lengths, (0, 0, 20, false));
    }
    for _ in 0..1_000 {
        record(&mut lengths, (0, 0, 400, false));
    }
    // Half of the weight is gone with half-life 1,000.
    let longer = lengths.survival(0, 0, Tokens::ZERO, Tokens(32));
    assert!((longer - 0.5).abs() < 0.02, "{longer}");
    assert!(lengths.rows.iter().flatten().all(|weight| *weight < WEIGHT_MAX));
}

/// Lengths between 0 and 1,024, each cut off at a point of its own with half a chance: the curve
/// is that of the lengths, not of what came out.
#[test]
fn answers_that_are_cut_off_do_not_look_short() {
    let mut lengths = lengths();
    let mut word = 1_u64;
    let mut draw = |below: u64| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((word >> 33) % below) as u32
    };
    for _ in 0..8_000 {
        let (length, cut) = (1 + draw(1_024), 1 + draw(2_048));
        record(&mut lengths, (0, 0, length.min(cut), cut < length));
    }
    for at in [128_u32, 256, 512, 724] {
        let survival = lengths.survival(0, 0, Tokens::ZERO, Tokens(at));
        let expected = 1.0 - f64::from(at) / 1_024.0;
        assert!((survival - expected).abs() < 0.05, "{at}: {survival} for {expected}");
    }
}

#[test]
fn a_place_that_changes_hands_starts_anew() {
    let mut lengths = lengths();
    for _ in 0..100 {
        record(&mut lengths, (1, 2, 700, false));
    }
    assert!(lengths.samples(1, 2) > 90.0);
    lengths.forget(2);
    lengths.forget(99);
    assert_eq!(lengths.samples(1, 2), 0.0);
    assert!(lengths.survival(1, 2, Tokens::ZERO, Tokens(362)) > 0.9, "its class remembers");
}

#[test]
fn wrong_calls_are_refused_and_change_nothing() {
    let mut lengths = lengths();
    let end = LengthEnd::Complete;
    for (class, account, length, field) in [
        (2, 0, 1, "class"),
        (0, 3, 1, "account"),
        (0, 0, 0, "output_tokens"),
        (0, 0, LENGTH_MAX + 1, "output_tokens"),
    ] {
        let refused = lengths.record(class, account, Tokens(length), end).unwrap_err();
        assert_eq!(refused.field(), field);
    }
    assert!(lengths.rows.iter().flatten().all(|weight| *weight == 0.0));
    for wrong in [
        LengthOptions { classes: 0, ..OPTIONS },
        LengthOptions { accounts_max: 0, ..OPTIONS },
        LengthOptions { output_tokens_max: Tokens(LENGTH_MAX + 1), ..OPTIONS },
    ] {
        assert!(OutputLengths::new(&wrong).is_err(), "{wrong:?}");
    }
    let largest =
        LengthOptions { classes: u32::MAX, accounts_max: u32::MAX, output_tokens_max: Tokens(1) };
    assert_eq!(OutputLengths::bytes_needed(&largest), u64::MAX);
}
