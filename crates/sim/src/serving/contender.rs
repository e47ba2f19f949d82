//! One row of a comparison: a policy, or one policy under several chunk sizes.
//!
//! # Grammar
//! A policy as [`super::spec`] reads it, in which `chunk` may list up to [`VARIANTS_MAX`] sizes:
//! `fcfs+chunk=256/512/1024`. Each size is a variant; the row shows, at each load, the one under
//! which most requests of the first class met their targets. So a peer is shown as if its operator
//! had found the best chunk for every load.
//!
//! # What it is bad at
//! The best of several noisy figures is a little better than any of them deserves. That favours
//! the peers.

use std::fmt;
use std::str::FromStr;

use super::spec::PolicySpec;
use crate::InputError;
use crate::input::shown;
use crate::results::ServingRun;

/// The option that wrong names are reported under.
const OPTION: &str = "--policy";

/// Most chunk sizes in one row.
pub const VARIANTS_MAX: usize = 16;

/// A policy and its variants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contender {
    name: String,
    variants: Vec<PolicySpec>,
}

impl Contender {
    /// What is to be run; never empty.
    pub fn variants(&self) -> &[PolicySpec] {
        &self.variants
    }

    /// Which of the variants had the highest mean attainment of `class`, the first of equals.
    /// `runs` holds, by variant, the runs of all seeds at one load.
    pub fn best(class: &str, runs: &[Vec<ServingRun>]) -> usize {
        let attainment = |runs: &[ServingRun]| {
            let felt = runs.iter().filter_map(|run| run.classes.get(class));
            felt.map(|felt| felt.attainment).sum::<f64>() / runs.len().max(1) as f64
        };
        let mut best = (0, f64::NEG_INFINITY);
        for (index, runs) in runs.iter().enumerate() {
            let attainment = attainment(runs);
            if attainment > best.1 {
                best = (index, attainment);
            }
        }
        best.0
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Contender {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let Some((before, sizes, after)) = chunk_list(text) else {
            let spec: PolicySpec = text.parse()?;
            return Ok(Self { name: spec.to_string(), variants: vec![spec] });
        };
        let count = sizes.split('/').count();
        if count > VARIANTS_MAX {
            let problem = format!("{count} chunk sizes are more than the {VARIANTS_MAX} accepted");
            return Err(InputError::new(OPTION, problem));
        }
        let mut variants: Vec<PolicySpec> = Vec::with_capacity(count);
        let mut names = Vec::with_capacity(count);
        for size in sizes.split('/') {
            let spec: PolicySpec = format!("{before}+chunk={size}{after}").parse()?;
            if variants.contains(&spec) {
                let problem = format!("`chunk={}` is given twice", shown(size));
                return Err(InputError::new(OPTION, problem));
            }
            names.push(chunk_of(&spec));
            variants.push(spec);
        }
        // As the first one is written, with all sizes in place of its own.
        let own = format!("+chunk={}", names[0]);
        let all = format!("+chunk={}", names.join("/"));
        Ok(Self { name: variants[0].to_string().replacen(&own, &all, 1), variants })
    }
}

/// What stands before, in and after a list of chunk sizes; `None` where there is no list.
fn chunk_list(text: &str) -> Option<(&str, &str, &str)> {
    if text.parse().is_ok_and(|spec| matches!(spec, PolicySpec::Rampmeter { .. })) {
        return None;
    }
    let (before, rest) = text.split_once("+chunk=")?;
    let (sizes, after) = rest.split_at(rest.find('+').unwrap_or(rest.len()));
    sizes.contains('/').then_some((before, sizes, after))
}

fn chunk_of(spec: &PolicySpec) -> String {
    match spec {
        PolicySpec::Peer { options, .. } => options.chunk_tokens.unwrap_or_default().to_string(),
        PolicySpec::Rampmeter { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Felt;
    use proptest::prelude::*;

    fn read(text: &str) -> Contender {
        text.parse().unwrap()
    }

    fn problem(text: &str) -> String {
        text.parse::<Contender>().unwrap_err().to_string()
    }

    #[test]
    fn a_list_of_chunks_is_one_row_of_many_policies() {
        let row = read("priority+triage+chunk=0256/512");
        assert_eq!(row.to_string(), "priority+chunk=256/512+triage");
        let variants: Vec<String> = row.variants().iter().map(ToString::to_string).collect();
        assert_eq!(variants, ["priority+chunk=256+triage", "priority+chunk=512+triage"]);
        assert_eq!(read("fcfs+chunk=7").variants().len(), 1);
        assert_eq!(read("a+chunk=1/2.toml").to_string(), "a+chunk=1/2.toml");
        assert_eq!(read(&row.to_string()), row);
    }

    #[test]
    fn wrong_lists_say_what_is_wrong() {
        assert!(problem("fcfs+chunk=1/2/1").contains("`chunk=1` is given twice"));
        assert!(problem("fcfs+chunk=1/2/01").contains("`chunk=01` is given twice"));
        for bad in ["1/", "/1", "/", "1//2", "1/x", "1/0", "1/4294967296"] {
            assert!(problem(&format!("fcfs+chunk={bad}")).contains("1..=4294967295"), "{bad}");
        }
        assert!(problem("fcfs+chunk=1/2+chunk=3/4").contains("`chunk` is given twice"));
        assert!(problem("fcsf+chunk=1/2").contains("did you mean `fcfs`?"));
        assert!(problem("rampmeter+chunk=1/2").contains("takes no options"));
        let many: Vec<String> = (1..=17).map(|size| size.to_string()).collect();
        assert!(problem(&format!("fcfs+chunk={}", many.join("/"))).contains("16 accepted"));
        assert!(problem(&format!("fcfs+chunk={}", "1/".repeat(100_000))).len() < 200);
    }

    #[test]
    fn the_best_has_the_highest_mean_and_the_first_of_equals_wins() {
        let run = |attainment| {
            let felt = Felt { offered: 9, attainment, ..Felt::default() };
            let classes = [("a".to_owned(), felt)].into();
            ServingRun { classes, ..ServingRun::default() }
        };
        let runs = |pairs: &[[f64; 2]]| -> Vec<Vec<ServingRun>> {
            pairs.iter().map(|pair| pair.map(run).into()).collect()
        };
        assert_eq!(Contender::best("a", &runs(&[[0.9, 0.1], [0.6, 0.6], [0.5, 0.7]])), 1);
        assert_eq!(Contender::best("b", &runs(&[[0.9, 0.1], [0.6, 0.6]])), 0);
    }

    proptest! {
        /// No text makes the parser panic, and what it accepts it accepts again as printed.
        #[test]
        fn any_text_is_answered(text in "(fcfs|vtc|x|)[+chunk=/0-9triage]{0,30}") {
            if let Ok(row) = text.parse::<Contender>() {
                prop_assert_eq!(&row.to_string().parse::<Contender>().unwrap(), &row);
            }
        }
    }
}
