//! A row of the table: one field of a policy, as it is checked, read, printed and explained.

use alloc::string::{String, ToString};
use core::fmt;

use crate::error::{Error, check_range, check_real};

/// What a field holds, between which bounds (both included), and how to reach it in a `T`.
///
/// The document's number and the struct's may differ in form (milliseconds against
/// nanoseconds): `get` and `set` speak the document's.
#[cfg_attr(
    not(any(feature = "document", test)),
    expect(
        dead_code,
        reason = "without documents, fields are set by name, never through the table"
    )
)]
pub(crate) enum Access<T> {
    /// A count.
    Integer { min: u64, max: u64, get: fn(&T) -> u64, set: fn(&mut T, u64) },
    /// A number that may have a fraction.
    Real { min: f64, max: f64, get: fn(&T) -> f64, set: fn(&mut T, f64) },
    /// One of a few words, by its place among them.
    Word { words: &'static [&'static str], get: fn(&T) -> usize, set: fn(&mut T, usize) },
}

/// One field of `T`.
pub(crate) struct Field<T: 'static> {
    /// Where it stands in the document; `[]` for the place in a list.
    pub(crate) path: &'static str,
    /// Unit of the number, in words.
    pub(crate) unit: &'static str,
    /// Bounds and accessors.
    pub(crate) access: Access<T>,
    /// What it does.
    pub(crate) about: &'static str,
    /// Where its default and its bounds come from.
    pub(crate) why: &'static str,
}

impl<T> Field<T> {
    /// The key inside its section.
    #[cfg(feature = "document")]
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// Is the field of `owner` inside its bounds?
    pub(crate) fn check(&self, owner: &T) -> Result<(), Error> {
        match self.access {
            Access::Integer { min, max, get, .. } => {
                check_range(self.path, get(owner), min, max).map(drop)
            }
            Access::Real { min, max, get, .. } => {
                check_real(self.path, get(owner), min, max).map(drop)
            }
            // Its type holds nothing else.
            Access::Word { .. } => Ok(()),
        }
    }
}

impl<T> Access<T> {
    /// The value in `owner`, as a document writes it.
    pub(crate) fn text(&self, owner: &T) -> String {
        match self {
            Self::Integer { get, .. } => get(owner).to_string(),
            Self::Real { get, .. } => get(owner).to_string(),
            Self::Word { words, get, .. } => words[get(owner)].into(),
        }
    }
}

/// The bounds, as messages and the reference write them.
impl<T> fmt::Display for Access<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max, .. } => write!(f, "{min}..={max}"),
            Self::Real { min, max, .. } => write!(f, "{min}..={max}"),
            Self::Word { words, .. } => f.write_str(&words.join(", ")),
        }
    }
}
