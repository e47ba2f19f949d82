//! Names of policies on the command line: `NAME[+OPTION...]`, or a policy document.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::peers::{
    Fcfs, OUTPUT_TOKEN_COST_DEFAULT, PastFuture, Peer, PeerOptions, Priority,
    SARATHI_CHUNK_TOKENS_DEFAULT, SPARE_PERCENT_DEFAULT, Sarathi, Vtc,
};
use super::rampmeter::Rampmeter;
use super::scheduler::Scheduler;
use crate::InputError;
use crate::engine::Engine;
use crate::input::shown;
use crate::nearest::unknown;
use crate::workload::Workload;

/// The library's own policy.
const RAMPMETER: &str = "rampmeter";

/// The option that wrong names are reported under.
const OPTION: &str = "--policy";

/// Prompt tokens that an output token may count as: beyond any engine.
const OUTPUT_COST_MAX: u32 = 1_000_000;

/// A policy that engines ship today.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerKind {
    /// First come, first served (vLLM).
    Fcfs,
    /// By class, then arrival (vLLM).
    Priority,
    /// Decodes first, prompts in fixed chunks (Sarathi-Serve).
    Sarathi,
    /// Fair shares between accounts (virtual token counter).
    Vtc,
    /// Admission by forecast of KV memory (`LightLLM`).
    PastFuture,
}

impl PeerKind {
    /// Every peer.
    pub const ALL: [Self; 5] =
        [Self::Fcfs, Self::Priority, Self::Sarathi, Self::Vtc, Self::PastFuture];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fcfs => "fcfs",
            Self::Priority => "priority",
            Self::Sarathi => "sarathi",
            Self::Vtc => "vtc",
            Self::PastFuture => "past-future",
        }
    }
}

/// A policy as the user names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PolicySpec {
    /// A peer with its options.
    Peer {
        /// Which one.
        kind: PeerKind,
        /// What it was told.
        options: PeerOptions,
    },
    /// The library's own policy, under its defaults or under a document.
    Rampmeter {
        /// The policy document.
        document: Option<PathBuf>,
    },
}

impl PolicySpec {
    /// A peer as its engine runs it.
    pub const fn peer(kind: PeerKind) -> Self {
        Self::Peer { kind, options: PeerOptions::NONE }
    }

    /// Every name that can be given.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PeerKind::ALL.into_iter().map(PeerKind::name).chain([RAMPMETER])
    }
}

impl fmt::Display for PolicySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rampmeter { document: None } => f.write_str(RAMPMETER),
            Self::Rampmeter { document: Some(path) } => path.display().fmt(f),
            Self::Peer { kind, options } => {
                f.write_str(kind.name())?;
                if let Some(tokens) = options.chunk_tokens {
                    write!(f, "+chunk={tokens}")?;
                }
                if let Some(cost) = options.output_cost {
                    write!(f, "+output-cost={cost}")?;
                }
                if let Some(percent) = options.spare_percent {
                    write!(f, "+spare={percent}%")?;
                }
                if options.triage {
                    f.write_str("+triage")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for PolicySpec {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let is_document = Path::new(text).extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("toml") || extension.eq_ignore_ascii_case("json")
        });
        if is_document {
            return Ok(Self::Rampmeter { document: Some(PathBuf::from(text)) });
        }
        let mut parts = text.split('+');
        let name = parts.next().unwrap_or_default();
        let kind = PeerKind::ALL.into_iter().find(|kind| kind.name() == name);
        let Some(kind) = kind else {
            return match (name, parts.next()) {
                (RAMPMETER, None) => Ok(Self::Rampmeter { document: None }),
                (RAMPMETER, Some(option)) => {
                    let why = "takes no options; give a policy document instead";
                    Err(wrong(format!("`{RAMPMETER}` {why} of `+{}`", shown(option))))
                }
                _ => Err(wrong(unknown(name, "policy", Self::names()))),
            };
        };
        let mut options = PeerOptions::default();
        for part in parts {
            read_option(part, kind, &mut options)?;
        }
        Ok(Self::Peer { kind, options })
    }
}

/// Options that every peer takes.
const COMMON_OPTIONS: [&str; 2] = ["chunk", "triage"];

fn read_option(part: &str, kind: PeerKind, options: &mut PeerOptions) -> Result<(), InputError> {
    let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
    let (slot, unit, min, max, what) = match (key, kind) {
        ("triage", _) => {
            if value.is_some() {
                return Err(wrong("`triage` takes no value".to_owned()));
            }
            if std::mem::replace(&mut options.triage, true) {
                return Err(wrong("`triage` is given twice".to_owned()));
            }
            return Ok(());
        }
        ("chunk", _) => (&mut options.chunk_tokens, "", 1, u32::MAX, "tokens"),
        ("output-cost", PeerKind::Vtc) => {
            (&mut options.output_cost, "", 1, OUTPUT_COST_MAX, "prompt tokens")
        }
        ("spare", PeerKind::PastFuture) => (&mut options.spare_percent, "%", 0, 99, "percent"),
        _ => {
            // An option of another peer is as unknown here as any.
            let own = match kind {
                PeerKind::Vtc => Some("output-cost"),
                PeerKind::PastFuture => Some("spare"),
                _ => None,
            };
            return Err(wrong(unknown(key, "option", COMMON_OPTIONS.into_iter().chain(own))));
        }
    };
    if slot.is_some() {
        return Err(wrong(format!("`{key}` is given twice")));
    }
    let number = value.and_then(|value| value.strip_suffix(unit)?.parse().ok());
    *slot = number.filter(|number| (min..=max).contains(number));
    if slot.is_none() {
        let given = shown(value.unwrap_or_default());
        let range = format!("must be a whole number of {what}, {min}..={max}");
        let example = if unit.is_empty() { String::new() } else { format!(", with `{unit}`") };
        return Err(wrong(format!("`{key}={given}`: {range}{example}")));
    }
    Ok(())
}

fn wrong(problem: String) -> InputError {
    InputError::new(OPTION, problem)
}

/// The policy that `spec` names, for one engine and the classes and accounts of one workload.
///
/// # Errors
/// [`InputError`] if a policy document cannot be used.
pub fn build(
    spec: &PolicySpec,
    workload: &Workload,
    engine: &Engine,
    steps_in_flight: u32,
) -> Result<Box<dyn Scheduler>, InputError> {
    let (kind, mut options) = match spec {
        PolicySpec::Peer { kind, options } => (*kind, *options),
        // The one place where the library's own batcher joins its peers.
        PolicySpec::Rampmeter { document } => {
            let document = document.as_deref();
            let ours = Rampmeter::new(document, workload, engine, steps_in_flight)?;
            return Ok(Box::new(ours));
        }
    };
    let name = spec.to_string();
    Ok(match kind {
        PeerKind::Fcfs => Box::new(Peer::new(name, Fcfs, options, workload, engine)),
        PeerKind::Priority => Box::new(Peer::new(name, Priority, options, workload, engine)),
        PeerKind::Sarathi => {
            options.chunk_tokens.get_or_insert(SARATHI_CHUNK_TOKENS_DEFAULT);
            Box::new(Peer::new(name, Sarathi, options, workload, engine))
        }
        PeerKind::Vtc => {
            let output_cost = options.output_cost.map_or(OUTPUT_TOKEN_COST_DEFAULT, f64::from);
            let rules = Vtc::new(workload, output_cost);
            Box::new(Peer::new(name, rules, options, workload, engine))
        }
        PeerKind::PastFuture => {
            let rules = PastFuture::new(options.spare_percent.unwrap_or(SPARE_PERCENT_DEFAULT));
            Box::new(Peer::new(name, rules, options, workload, engine))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problem(text: &str) -> String {
        text.parse::<PolicySpec>().unwrap_err().to_string()
    }

    #[test]
    fn wrong_names_get_the_nearest_known_one() {
        assert!(problem("fcsf").contains("unknown policy `fcsf`; did you mean `fcfs`?"));
        assert!(problem("vtc+chnk=5").contains("did you mean `chunk`?"));
        assert!(problem("rampmetre").contains("did you mean `rampmeter`?"));
        for bad in ["", "+", "vtc+", "fcfs+chunk", "fcfs+triage=1", "fcfs+triage+triage"] {
            assert!(bad.parse::<PolicySpec>().is_err(), "{bad}");
        }
        for bad in ["0", "-1", "1.5", "", "4294967296", "x"] {
            assert!(problem(&format!("fcfs+chunk={bad}")).contains("1..=4294967295"), "{bad}");
        }
        assert!(problem("rampmeter+chunk=3").contains("takes no options"));
        for bad in ["3", "100%", "-1%", "%", "3%%"] {
            let problem = problem(&format!("past-future+spare={bad}"));
            assert!(problem.contains("0..=99, with `%`"), "{problem}");
        }
        assert!(problem("vtc+output-cost=0").contains("1..=1000000"));
        assert!(problem("fcfs+spare=3%").contains("unknown option `spare`"));
        assert!(problem("past-future+output-cost=3").contains("unknown option `output-cost`"));
        for long in ["x", "fcfs+", "fcfs+chunk=", "rampmeter+"] {
            assert!(problem(&long.repeat(1_000)).len() < 200, "{long}");
        }
    }

    #[test]
    fn documents_are_known_by_their_ending() {
        for path in ["a.toml", "dir+x/b.JSON"] {
            let spec: PolicySpec = path.parse().unwrap();
            assert_eq!(spec, PolicySpec::Rampmeter { document: Some(path.into()) });
            assert_eq!(spec.to_string(), path);
        }
    }

    proptest! {
        /// What is printed parses to what was printed.
        #[test]
        fn display_and_parse_are_inverse(
            kind in 0usize..5, chunk_tokens in proptest::option::of(1u32..), triage: bool,
            own in proptest::option::of(1u32..100),
        ) {
            let kind = PeerKind::ALL[kind];
            let output_cost = own.filter(|_| kind == PeerKind::Vtc);
            let spare_percent = own.filter(|_| kind == PeerKind::PastFuture);
            let options = PeerOptions { chunk_tokens, triage, output_cost, spare_percent };
            let spec = PolicySpec::Peer { kind, options };
            prop_assert_eq!(spec.to_string().parse::<PolicySpec>().unwrap(), spec);
        }

        /// No text makes the parser panic.
        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = text.parse::<PolicySpec>();
        }
    }
}
