//! A row of the table: one field of a policy, as it is checked, read, printed and explained.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::{AMOUNT_MAX, RESOURCES_MAX};
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
    /// A whole number that may be below zero.
    Signed { min: i64, max: i64, get: fn(&T) -> i64, set: fn(&mut T, i64) },
    /// An amount of each resource, by its place; `u64::MAX` is the word [`UNLIMITED`] in a
    /// document. A resource that is left out has `absent`.
    Amounts { absent: u64, get: fn(&T, usize) -> u64, set: fn(&mut T, usize, u64) },
    /// A number from zero for each resource, by its place, or one for all of them. A resource
    /// that is left out has `absent`.
    Weights { absent: f64, max: f64, get: fn(&T, usize) -> f64, set: fn(&mut T, usize, f64) },
    /// One of a few words, by its place among them.
    Word { words: &'static [&'static str], get: fn(&T) -> usize, set: fn(&mut T, usize) },
}

/// The word for an amount without end.
pub(crate) const UNLIMITED: &str = "unlimited";

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
            Access::Signed { min, max, get, .. } => {
                let value = get(owner);
                // Numbers below zero have no place in `Error::Range`; a rank is exact in an `f64`.
                check_real(self.path, value as f64, min as f64, max as f64).map(drop)
            }
            Access::Amounts { get, .. } => (0..RESOURCES_MAX)
                .map(|resource| get(owner, resource))
                .filter(|amount| *amount != u64::MAX)
                .try_for_each(|amount| check_range(self.path, amount, 0, AMOUNT_MAX).map(drop)),
            Access::Weights { max, get, .. } => (0..RESOURCES_MAX).try_for_each(|resource| {
                check_real(self.path, get(owner, resource), 0.0, max).map(drop)
            }),
            // Its type holds nothing else.
            Access::Word { .. } => Ok(()),
        }
    }
}

impl<T> Access<T> {
    /// The value in `owner`, as a document writes it; of one for each resource, one if they are
    /// all the same.
    pub(crate) fn text(&self, owner: &T) -> String {
        match self {
            Self::Integer { get, .. } => get(owner).to_string(),
            Self::Real { get, .. } => get(owner).to_string(),
            Self::Signed { get, .. } => get(owner).to_string(),
            Self::Amounts { get, .. } => of_each(|resource| amount_text(get(owner, resource))),
            Self::Weights { get, .. } => of_each(|resource| get(owner, resource).to_string()),
            Self::Word { words, get, .. } => words[get(owner)].into(),
        }
    }
}

/// An amount as a document writes it.
fn amount_text(amount: u64) -> String {
    if amount == u64::MAX { UNLIMITED.into() } else { amount.to_string() }
}

/// What is said of each resource, in their order, or once where it is the same for all.
fn of_each(text: impl Fn(usize) -> String) -> String {
    let texts: Vec<String> = (0..RESOURCES_MAX).map(text).collect();
    if texts.windows(2).all(|pair| pair[0] == pair[1]) {
        texts.into_iter().next().unwrap_or_default()
    } else {
        texts.join(", ")
    }
}

/// The bounds, as messages and the reference write them.
impl<T> fmt::Display for Access<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { min, max, .. } => write!(f, "{min}..={max}"),
            Self::Real { min, max, .. } => write!(f, "{min}..={max}"),
            Self::Signed { min, max, .. } => write!(f, "{min}..={max}"),
            Self::Amounts { .. } => write!(f, "0..={AMOUNT_MAX} or \"{UNLIMITED}\""),
            Self::Weights { max, .. } => write!(f, "0..={max}"),
            Self::Word { words, .. } => f.write_str(&words.join(", ")),
        }
    }
}
