//! Decimal seconds to nanoseconds, exactly.

use rampmeter::Nanos;

/// Digits after the point that a nanosecond has.
const FRACTION_DIGITS: usize = 9;

/// Nanoseconds in a second.
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// `text` as a time from zero to `max_s` seconds, or `None`.
///
/// Plain decimals are converted digit by digit, since a double holds nanoseconds for the first
/// 104 days only; digits below a nanosecond are dropped. Powers of ten (`1e-3`) go through a
/// double.
pub(crate) fn parse(text: &str, max_s: u64) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let nanos = if plain(whole) && plain(fraction) && !(whole.is_empty() && fraction.is_empty()) {
        let seconds = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        let mut digits = fraction.as_bytes().iter().map(|byte| u64::from(byte - b'0'));
        let below =
            (0..FRACTION_DIGITS).fold(0, |value, _| value * 10 + digits.next().unwrap_or(0));
        Nanos(seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(below)?)
    } else {
        Nanos::try_from_seconds(text.parse().ok()?)?
    };
    (nanos.0 <= max_s.checked_mul(NANOS_PER_SECOND)?).then_some(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1.5", Some(1_500_000_000)),
            (".25", Some(250_000_000)),
            ("3.", Some(3_000_000_000)),
            ("0.9799600", Some(979_960_000)),
            ("0.0000000019", Some(1)),
            ("1e-3", Some(1_000_000)),
            ("10", Some(10_000_000_000)),
            ("10.000000001", None),
            ("-1", None),
            ("-0.1", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse(text, 10).map(Nanos::get), nanos, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_nanosecond_survives(nanos in 0_u64..100_000_000_000_000_000) {
            let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            prop_assert_eq!(parse(&text, 100_000_000), Some(Nanos(nanos)));
        }
    }
}
