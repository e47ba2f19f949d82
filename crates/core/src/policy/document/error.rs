//! What is wrong with a document, in one sentence.

use std::format;
use std::string::{String, ToString as _};

use super::DOCUMENT_BYTES_MAX;
use super::node::{Kind, Node};
use crate::error::codes;
use crate::policy::Fault;

/// Most characters of a document that a message repeats: enough to recognise, never a screenful.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// Why a document was refused: one sentence that names the key, the value and what is accepted.
///
/// Printed with the line first, where it is known; the caller puts the name of the file before.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DocumentError {
    /// The key at fault, such as `class[1].tpot_target_ms`; empty for the text as a whole.
    pub path: String,
    /// Its line, counted from 1, where the format tells.
    pub line: Option<u32>,
    /// The sentence, without the line.
    pub message: String,
}

impl core::fmt::Display for DocumentError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for DocumentError {}

impl DocumentError {
    /// The stable number of this kind of error, [`codes::DOCUMENT`].
    #[must_use]
    pub const fn code(&self) -> i32 {
        codes::DOCUMENT
    }

    fn new(path: &str, line: Option<u32>, message: String) -> Self {
        Self { path: path.into(), line, message }
    }

    pub(super) fn too_long(bytes: usize) -> Self {
        let message = format!("the document has {bytes} bytes; {DOCUMENT_BYTES_MAX} are accepted");
        Self::new("", None, message)
    }

    /// The text is not in its format; `reason` is the parser's.
    pub(super) fn syntax(format: &str, line: Option<u32>, reason: &str) -> Self {
        Self::new("", line, format!("cannot be read as {format}: {}", one_line(reason)))
    }

    /// A key without a row in the table.
    pub(super) fn unknown_key(section: &str, key: &str, line: Option<u32>, nearest: &str) -> Self {
        let dot = if section.is_empty() { "" } else { "." };
        let path = format!("{section}{dot}{}", shown(key));
        let message = format!("`{path}` is not a known key; the nearest is `{nearest}`");
        Self::new(&path, line, message)
    }

    /// A value of one kind stands where another is needed.
    pub(super) fn wrong_kind(path: &str, node: &Node, needed: &str) -> Self {
        let kind = match &node.kind {
            Kind::Text(text) => format!("= \"{}\" is a string", shown(text)),
            Kind::Number(number) => format!("= {} is a number", shown(&number.text)),
            Kind::Other { text, kind } => format!("= {} is {kind}", shown(text)),
            Kind::List(_) => "is a list".into(),
            Kind::Table(_) => "is a table".into(),
        };
        let subject = if path.is_empty() { "the document".into() } else { format!("`{path}`") };
        Self::new(path, node.line, format!("{subject} {kind}, not {needed}"))
    }

    /// A number that is written with a fraction stands where a count is needed.
    pub(super) fn fraction(path: &str, line: Option<u32>, text: &str, range: &str) -> Self {
        let message = format!("`{path}` = {} is not a whole number in {range}", shown(text));
        Self::new(path, line, message)
    }

    pub(super) fn out_of_range(path: &str, line: Option<u32>, text: &str, range: &str) -> Self {
        Self::new(path, line, format!("`{path}` = {} is outside {range}", shown(text)))
    }

    pub(super) fn unknown_preset(line: Option<u32>, name: &str, known: &str, near: &str) -> Self {
        let name = shown(name);
        let message =
            format!("`preset` = \"{name}\" is none of {known}; the nearest is \"{near}\"");
        Self::new("preset", line, message)
    }

    pub(super) fn missing(path: &str, line: Option<u32>) -> Self {
        Self::new(path, line, format!("`{path}` is missing"))
    }

    pub(super) fn repeated(path: &str, line: Option<u32>, name: &str, first: &str) -> Self {
        Self::new(path, line, format!("`{path}` = \"{}\" repeats `{first}`", shown(name)))
    }

    /// Keys that are fine alone and do not fit together, or a name that is not accepted.
    pub(super) fn fault(fault: Fault, line: Option<u32>) -> Self {
        Self::new(&fault.path(), line, fault.to_string())
    }
}

/// Foreign text fit for a message: on one line, the tail of a long one cut off.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => one_line(&text[..end]) + "...",
        None => one_line(text),
    }
}

/// The text with control characters escaped.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
