//! Numbers as a reader wants them: three figures and a unit.

/// Shown where there is nothing to show.
pub(super) const NONE: &str = "–";

/// Seconds with a unit that fits: `340 ms`, `1.62 s`, `85 s`.
pub(super) fn seconds(value: f64) -> String {
    if !value.is_finite() {
        NONE.to_owned()
    } else if value == 0.0 {
        "0 s".to_owned()
    } else if value.abs() < 1.0 {
        format!("{} ms", figures(value * 1e3))
    } else {
        format!("{} s", figures(value))
    }
}

/// A share as a percentage: `98.7%`, and never `100%` for anything less.
pub(super) fn percent(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NONE.to_owned();
    }
    let percent = ratio * 100.0;
    if (99.95..100.0).contains(&percent) {
        return ">99.9%".to_owned();
    }
    if percent == percent.round() || percent.abs() >= 1000.0 {
        return format!("{percent:.0}%");
    }
    format!("{percent:.1}%")
}

/// A number with about three significant figures and grouped thousands.
pub(super) fn figures(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        NONE.to_owned()
    } else if size != 0.0 && !(1e-3..1e9).contains(&size) {
        format!("{value:.1e}")
    } else if size >= 100.0 {
        grouped(value)
    } else if size >= 10.0 {
        trimmed(format!("{value:.1}"))
    } else if size >= 1.0 {
        trimmed(format!("{value:.2}"))
    } else {
        trimmed(format!("{value:.3}"))
    }
}

/// A count with thin grouping: `12 345`.
pub(super) fn count(value: u64) -> String {
    group_digits(&value.to_string())
}

/// A load as people say it: `0.9`, or `as recorded`.
pub(super) fn load(load: Option<f64>) -> String {
    load.map_or_else(|| "as recorded".to_owned(), figures)
}

/// `1.6 s`, or `1.6 s to 85 s` when the ends differ in what is printed.
pub(super) fn range(low: f64, high: f64, show: fn(f64) -> String) -> String {
    let (low, high) = (show(low), show(high));
    if low == high { low } else { format!("{low} to {high}") }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    format!("{}{}", if value < 0.0 { "-" } else { "" }, group_digits(&digits))
}

fn group_digits(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // A narrow no-break space: grouped, and never wrapped.
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn trimmed(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(0.0417), "41.7 ms");
        assert_eq!(seconds(1.618), "1.62 s");
        assert_eq!(seconds(85.04), "85 s");
        assert_eq!(seconds(12_345.0), "12\u{202f}345 s");
        assert_eq!(seconds(f64::NAN), NONE);
        assert_eq!(percent(0.987), "98.7%");
        assert_eq!(percent(0.999_99), ">99.9%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(figures(1e300), "1.0e300");
        assert_eq!(figures(-1234.4), "-1\u{202f}234");
        assert_eq!(count(1_000_000), "1\u{202f}000\u{202f}000");
        assert_eq!(range(1.0, 1.001, seconds), "1 s");
        assert_eq!(range(1.0, 2.0, seconds), "1 s to 2 s");
    }
}
