//! Who chooses the nodes: a placement rule by name, or the rules of a policy document.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rampmeter::policy::{Measure, Policy};

use crate::InputError;
use crate::nearest::unknown;
use crate::serving::read_policy;

/// The library's own placement.
const OWN: &str = "rampmeter";

/// A placement policy as the command line names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Placement {
    /// The default rules with this measure; [`Measure::Value`] is named `rampmeter`.
    Measure(Measure),
    /// The rules of a policy document.
    Document(PathBuf),
}

impl Placement {
    /// Every name.
    pub fn names() -> Vec<String> {
        Measure::ALL.iter().map(|measure| name(*measure)).collect()
    }

    /// The policy that a placer is made with.
    ///
    /// # Errors
    /// A document that cannot be read or is not valid.
    pub fn policy(&self) -> Result<Policy, InputError> {
        match self {
            Self::Measure(measure) => {
                let mut policy = Policy::default();
                policy.placement.measure = *measure;
                Ok(policy)
            }
            Self::Document(path) => read_policy(path)?,
        }
    }
}

fn name(measure: Measure) -> String {
    if measure == Measure::Value {
        return OWN.to_owned();
    }
    let place = Measure::ALL.iter().position(|known| *known == measure);
    place.map_or_else(String::new, |place| Measure::NAMES[place].to_owned())
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measure(measure) => f.write_str(&name(*measure)),
            Self::Document(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Placement {
    type Err = String;

    /// A name, or a path that ends in `.toml` or `.json`.
    fn from_str(text: &str) -> Result<Self, String> {
        let ending = Path::new(text).extension();
        if ending.is_some_and(|ending| ending == "toml" || ending == "json") {
            return Ok(Self::Document(PathBuf::from(text)));
        }
        let known = Measure::ALL.into_iter().find(|measure| name(*measure) == text);
        let names = Self::names();
        known
            .map(Self::Measure)
            .ok_or_else(|| unknown(text, "placement", names.iter().map(String::as_str)))
    }
}
