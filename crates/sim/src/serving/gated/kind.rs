//! Names of gates on the command line.

use std::fmt;
use std::str::FromStr;

use crate::InputError;
use crate::input::shown;
use crate::nearest::unknown;

/// The option that wrong names are reported under.
const OPTION: &str = "--gate";

/// Most requests that a gate lets in at a time.
const INSIDE_MAX: u32 = 1_000_000;

/// Who decides which requests come in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum GateKind {
    /// Everybody does.
    #[default]
    None,
    /// At most so many at a time; all others are turned away at once (TGI's
    /// `max_concurrent_requests`).
    Cap(u32),
    /// The library's gate.
    Rampmeter {
        /// Servers that it is told of; else as many as keep every token in time.
        servers: Option<u32>,
    },
}

impl GateKind {
    /// Every name, as it can be given.
    pub const NAMES: [&'static str; 4] = ["none", "rampmeter", "rampmeter=N", "cap=N"];
}

impl fmt::Display for GateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Cap(most) => write!(f, "cap={most}"),
            Self::Rampmeter { servers: None } => f.write_str("rampmeter"),
            Self::Rampmeter { servers: Some(servers) } => write!(f, "rampmeter={servers}"),
        }
    }
}

impl FromStr for GateKind {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let count = |name: &str, number: &str| {
            let in_range = number.parse().ok().filter(|most| (1..=INSIDE_MAX).contains(most));
            in_range.ok_or_else(|| {
                let problem = format!("`{name}={}` is outside 1..={INSIDE_MAX}", shown(number));
                InputError::new(OPTION, problem)
            })
        };
        match text.split_once('=') {
            Some(("cap", most)) => return Ok(Self::Cap(count("cap", most)?)),
            Some(("rampmeter", servers)) => {
                return Ok(Self::Rampmeter { servers: Some(count("rampmeter", servers)?) });
            }
            _ => {}
        }
        match text {
            "none" => Ok(Self::None),
            "rampmeter" => Ok(Self::Rampmeter { servers: None }),
            _ => Err(InputError::new(OPTION, unknown(text, "gate", Self::NAMES))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in ["none", "rampmeter", "rampmeter=64", "cap=1", "cap=1000000"] {
            assert_eq!(name.parse::<GateKind>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn wrong_names_say_what_is_wrong() {
        let problem = |text: &str| text.parse::<GateKind>().unwrap_err().to_string();
        assert!(problem("rampmetr").contains("did you mean `rampmeter`?"));
        for bad in ["cap=", "cap=0", "cap=x", "cap=1000001", "cap=-1", "rampmeter=0"] {
            assert!(problem(bad).contains("1..=1000000"), "{bad}");
        }
    }
}
