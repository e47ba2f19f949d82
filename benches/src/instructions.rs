//! Instructions that Valgrind counted, held against the committed baseline.
//!
//! The baseline, `benches/instructions.toml`, says which compiler it was counted with: another one
//! writes other instructions, so with another one nothing is held against it, and that is said.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::entrance::ROUND;
use crate::grid::{Call, Point};
use crate::spots::Spot;

/// Submissions in one count.
pub const SUBMISSIONS: u32 = 64;

/// Steps in one count: one alone would be a step that happens to let two requests in, or none.
pub const STEPS: u32 = 8;

/// Requests routed in one count.
pub const ROUTES: u32 = 64;

/// Requests admitted in one count.
pub const ADMISSIONS: u32 = 4 * ROUND;

/// Placements in one count: a mean over so many sees every part of a round of the task mix.
pub const DECISIONS: u32 = 512;

/// Cycles in one count.
pub const PASSES: u32 = 2;

/// What is counted of placement: the call, its name in the bench, and how many of it make
/// one count.
pub const CLUSTER: [(&str, &str, u32); 5] = [
    ("place", "fgd", DECISIONS),
    ("place", "value", DECISIONS),
    ("place", "fgd_unseen", DECISIONS),
    ("place", "value_unseen", DECISIONS),
    ("cycle", "dominant_share_easy", PASSES),
];

/// Percent that a count may be above its baseline: room for a compiler that inlines a little
/// differently after unrelated changes. Run again, the same program counts the same.
pub const TOLERANCE_PERCENT: u64 = 3;

/// Instructions of one call, by the name of the call and of the size.
pub type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// The committed file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Compiler and target, as `rustc --version --verbose` names them.
    pub compiler: String,
    /// What was counted.
    pub counts: Counts,
}

/// What came of a comparison.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing takes more than it may.
    Passed,
    /// Something does, or something is missing.
    Failed,
    /// The baseline is of another compiler.
    NotApplied,
}

/// A line of what the benchmark prints: one count of one call at one size.
#[derive(Deserialize)]
struct Line {
    function_name: String,
    /// `at_N`, the place of the size among those of the call; the name of one of [`CLUSTER`].
    id: String,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    new: f64,
}

/// Reads what the benchmark printed with `--output-format=json`: an object in each line.
///
/// # Errors
/// What is wrong with the first line that cannot be read.
pub fn read(lines: &str) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for text in lines.lines().filter(|line| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let counted = line.profiles.first().and_then(|p| p.data.total.metrics.get("Ir"));
        let known = Count::all().into_iter().find(|count| count.is_of(&line));
        let (Some(count), Some(counted)) = (known, counted) else {
            return Err(format!("unknown count: {} {}", line.function_name, line.id));
        };
        let each = (counted.values.new / f64::from(count.calls)).round() as u64;
        if each == 0 {
            return Err(format!("{} {}: nothing was counted", count.call, count.size));
        }
        counts.entry(count.call.into()).or_default().insert(count.size, each);
    }
    Ok(counts)
}

/// One of the counts that there should be.
struct Count {
    call: &'static str,
    /// As the baseline and as the bench name it.
    size: String,
    id: String,
    /// Calls that were counted together.
    calls: u32,
}

impl Count {
    fn all() -> Vec<Self> {
        let of_call = |call: Call| {
            let calls = if call == Call::Submit { SUBMISSIONS } else { STEPS };
            Point::few().into_iter().enumerate().map(move |(at, point)| Self {
                call: call.name(),
                size: point.to_string(),
                id: format!("at_{at}"),
                calls,
            })
        };
        let mut all: Vec<Self> = Call::ALL.into_iter().flat_map(of_call).collect();
        for spot in Spot::all() {
            let calls = if matches!(spot, Spot::Route(_)) { ROUTES } else { ADMISSIONS };
            let at = all.iter().filter(|count| count.call == spot.call()).count();
            let (call, size) = (spot.call(), spot.size());
            all.push(Self { call, size, id: format!("at_{at}"), calls });
        }
        all.extend(CLUSTER.map(|(call, id, calls)| Self {
            call,
            size: id.into(),
            id: id.into(),
            calls,
        }));
        all
    }

    fn is_of(&self, line: &Line) -> bool {
        self.call == line.function_name && self.id == line.id
    }
}

/// Holds `counts` against the baseline; the text says what was found, one line each.
#[must_use]
pub fn compare(baseline: &Baseline, counts: &Counts, compiler: &str) -> (Verdict, String) {
    let mut text = String::new();
    if baseline.compiler != compiler {
        let _ = writeln!(
            text,
            "instructions: NOT held against the baseline, which was counted with {}; this is {}",
            baseline.compiler, compiler
        );
        return (Verdict::NotApplied, text);
    }
    let mut verdict = Verdict::Passed;
    let mut less = false;
    for Count { call, size, .. } in Count::all() {
        let find = |counts: &Counts| counts.get(call)?.get(&size).copied();
        let (Some(was), Some(is)) = (find(&baseline.counts), find(counts)) else {
            let _ = writeln!(text, "{call:<8}{size:<20} missing");
            verdict = Verdict::Failed;
            continue;
        };
        let over = 100 * is > (100 + TOLERANCE_PERCENT) * was;
        let mark = if over { "  TOO MANY" } else { "" };
        if over {
            verdict = Verdict::Failed;
        }
        less |= 100 * is < (100 - TOLERANCE_PERCENT) * was;
        let percent = (is as f64 / was as f64 - 1.0) * 100.0;
        let _ = writeln!(text, "{call:<8}{size:<20}{was:>12}{is:>12}{percent:>+8.2}%{mark}");
    }
    let most = TOLERANCE_PERCENT;
    let _ = match verdict {
        Verdict::Failed => writeln!(
            text,
            "instructions: FAILED, at most {most}% more are allowed; if they are worth it, run \
             `make instructions-update` and say why"
        ),
        _ if less => writeln!(
            text,
            "instructions: passed; some are fewer by more than {most}%: keep the gain with \
             `make instructions-update`"
        ),
        _ => writeln!(text, "instructions: passed, none more than {most}% above the baseline"),
    };
    (verdict, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILER: &str = "rustc 1.0.0 somewhere";

    fn counts(scale: impl Fn(&str, &str) -> f64) -> Counts {
        let mut counts = Counts::new();
        for Count { call, size, .. } in Count::all() {
            let each = (1_000.0 * scale(call, &size)) as u64;
            counts.entry(call.into()).or_default().insert(size, each);
        }
        counts
    }

    fn judge(counts: &Counts) -> Verdict {
        let baseline = Baseline { compiler: COMPILER.into(), counts: self::counts(|_, _| 1.0) };
        compare(&baseline, counts, COMPILER).0
    }

    #[test]
    fn one_count_above_the_tolerance_fails_and_none_below_it_does() {
        let with_one = |scale| {
            counts(
                move |call, point| {
                    if (call, point) == ("form", "256-1000-100") { scale } else { 1.0 }
                },
            )
        };
        assert_eq!(judge(&with_one(1.0)), Verdict::Passed);
        assert_eq!(judge(&with_one(1.03)), Verdict::Passed);
        assert_eq!(judge(&with_one(1.031)), Verdict::Failed);
        assert_eq!(judge(&with_one(0.5)), Verdict::Passed);
    }

    #[test]
    fn a_missing_count_fails() {
        let mut counts = counts(|_, _| 1.0);
        counts.get_mut("observe").unwrap().remove("64-0-1");
        assert_eq!(judge(&counts), Verdict::Failed);
        assert_eq!(judge(&Counts::new()), Verdict::Failed);
    }

    #[test]
    fn another_compiler_is_not_held_against_the_baseline_and_says_so() {
        let baseline = Baseline { compiler: COMPILER.into(), counts: counts(|_, _| 1.0) };
        let (verdict, text) = compare(&baseline, &counts(|_, _| 9.0), "rustc 2.0.0 elsewhere");
        assert_eq!(verdict, Verdict::NotApplied);
        assert!(text.contains("NOT held") && text.contains(COMPILER) && text.contains("2.0.0"));
    }

    #[test]
    fn counts_are_of_one_call_and_unknown_ones_are_refused() {
        let line = |function: &str, id: &str, counted: u64| {
            format!(
                r#"{{"function_name":"{function}","id":"{id}","profiles":[{{"data":{{"total":
                   {{"metrics":{{"Ir":{{"values":{{"new":{counted}}}}}}}}}}}}}]}}"#
            )
            .replace('\n', "")
        };
        let read_one = |function, id, counted| read(&line(function, id, counted));
        let point = Point::few()[1].to_string();
        assert_eq!(read_one("form", "at_1", 8_000).unwrap()["form"][&point], 1_000);
        assert_eq!(read_one("submit", "at_1", 64_000).unwrap()["submit"][&point], 1_000);
        assert_eq!(read_one("route", "at_1", 64_000).unwrap()["route"]["1024"], 1_000);
        assert_eq!(read_one("admit", "at_0", 64_000).unwrap()["admit"]["free"], 1_000);
        assert!(read_one("route", "at_2", 8_000).is_err());
        assert_eq!(read_one("place", "fgd", 5_120).unwrap()["place"]["fgd"], 10);
        assert!(read_one("form", "fgd", 8_000).is_err());
        assert!(read_one("form", "at_12", 8_000).is_err());
        assert!(read_one("place", "at_1", 8_000).is_err());
        assert!(read_one("form", "at_1", 0).is_err(), "a count that never started");
    }
}
