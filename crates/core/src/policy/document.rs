//! The policy document: the same keys as TOML and as JSON.
//!
//! ```
//! use rampmeter::policy::Policy;
//!
//! let policy = Policy::from_toml(
//!     r#"
//!     preset = "throughput"
//!     [limits]
//!     running_max = 256
//!     [[account]]
//!     name = "search"
//!     weight = 3
//!     "#,
//! )?;
//! assert_eq!(policy.limits.running_max, 256);
//!
//! let error = Policy::from_toml("[limits]\nruning_max = 256").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "line 2: `limits.runing_max` is not a known key; the nearest is `limits.running_max`",
//! );
//! # Ok::<(), rampmeter::policy::document::DocumentError>(())
//! ```
//!
//! # Reading
//! 1. The text becomes a tree of values with the line of each (`node`). JSON has lines for what
//!    is not JSON only, since its parser keeps no others.
//! 2. The preset is taken; every key that stands in the tree overrides one field (`read`). The
//!    tree is walked beside the table of keys, so a key without a row is unknown, and a row knows
//!    the range.
//! 3. The whole is validated, as a policy made by hand is.
//!
//! # Bounds
//! Text of at most [`DOCUMENT_BYTES_MAX`] bytes; nesting of at most 80 levels (TOML) or 127
//! (JSON), both refused by the parsers. Reading allocates up to 80 times the size of the text
//! (measured: 2 GB and seconds for 24 MiB of one-digit numbers in one list). Documents come from
//! operators; a host that takes them from strangers should bound them far lower itself.

mod amounts;
mod error;
mod nearest;
mod node;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::string::String;

use self::node::Node;
use super::Policy;

pub use error::DocumentError;

/// Longest document read: 192 MiB, which holds as many accounts as a policy may name, with names
/// of the greatest length and every key, in either format.
pub const DOCUMENT_BYTES_MAX: usize = 192 << 20;

impl Policy {
    /// Reads a policy from TOML. An empty document is [`Policy::default`].
    ///
    /// # Errors
    /// [`DocumentError`], for the first thing found wrong.
    pub fn from_toml(text: &str) -> Result<Self, DocumentError> {
        check_size(text)?;
        read::policy(&Node::from_toml(text)?)
    }

    /// Reads a policy from JSON. `{}` is [`Policy::default`].
    ///
    /// # Errors
    /// [`DocumentError`], for the first thing found wrong.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        check_size(text)?;
        read::policy(&Node::from_json(text)?)
    }

    /// The policy as TOML, with every key; of quotas, what is not the default. Reading it gives an equal policy, if this one is
    /// valid.
    #[must_use]
    pub fn to_toml(&self) -> String {
        write::toml(self, write::Comments::None)
    }

    /// As [`Policy::to_toml`], with the meaning, unit, range and default of each key above it.
    #[must_use]
    pub fn to_toml_with_comments(&self) -> String {
        write::toml(self, write::Comments::All)
    }

    /// The policy as indented JSON, with every key; of quotas, what is not the default. Reading it gives an equal policy, if this
    /// one is valid.
    #[must_use]
    pub fn to_json(&self) -> String {
        write::json(self)
    }
}

fn check_size(text: &str) -> Result<(), DocumentError> {
    if text.len() <= DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    Err(DocumentError::too_long(text.len()))
}
