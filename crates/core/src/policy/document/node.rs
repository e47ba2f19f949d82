//! A document as a tree of values, each with its line: what both formats become.

use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::error::{DocumentError, shown};

/// Whole numbers up to 2^53 are exact in an `f64`; above, one that is written with a fraction
/// may not be the number that was meant.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Line of its key (or of the value itself in a list), counted from 1.
    pub(super) line: Option<u32>,
    /// The value.
    pub(super) kind: Kind,
}

/// A value of any kind that either format knows.
#[derive(Debug)]
pub(super) enum Kind {
    Text(String),
    Number(Number),
    /// What no key accepts: booleans, dates, null.
    Other {
        text: String,
        kind: &'static str,
    },
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

/// A number, as it was written and as what it can be read.
#[derive(Debug)]
pub(super) struct Number {
    pub(super) text: String,
    /// Nearest `f64`; NaN or infinite where the document says so.
    pub(super) real: f64,
    /// The count that it is, if it is one.
    pub(super) count: Option<u64>,
}

impl Number {
    fn real(text: String, real: f64) -> Self {
        // Programs that know one kind of number only write 128 as 128.0.
        let is_count = (0.0..=EXACT_MAX).contains(&real) && real == libm::trunc(real);
        Self { text, real, count: is_count.then_some(real as u64) }
    }

    /// A whole number in digits of `radix`; `text` as it was written.
    fn whole(text: String, digits: &str, radix: u32) -> Self {
        let real = match i128::from_str_radix(digits, radix) {
            Ok(whole) => whole as f64,
            Err(_) if digits.starts_with('-') => f64::NEG_INFINITY,
            Err(_) => f64::INFINITY,
        };
        Self { text, real, count: u64::from_str_radix(digits, radix).ok() }
    }
}

impl Node {
    pub(super) fn from_toml(text: &str) -> Result<Self, DocumentError> {
        let lines = Lines::new(text);
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| lines.at(span.start));
            let message = error.message();
            // The parser points at the key without naming it.
            match error.span().and_then(|span| text.get(span)) {
                Some(key) if message == "duplicate key" => {
                    let message = format!("{message} `{}`", shown(key));
                    DocumentError::syntax("TOML", line, &message)
                }
                _ => DocumentError::syntax("TOML", line, message),
            }
        })?;
        Ok(Self { line: None, kind: table_kind(table.into_inner(), &lines) })
    }

    pub(super) fn from_json(text: &str) -> Result<Self, DocumentError> {
        // Editors on Windows put a byte-order mark first; the TOML parser skips it by itself.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        serde_json::from_str(text).map_err(|error| {
            // The parser ends its sentence with the place; ours begins with it.
            let sentence = error.to_string();
            let reason = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(r, _)| r);
            let line = u32::try_from(error.line()).ok().filter(|line| *line > 0);
            DocumentError::syntax("JSON", line, reason)
        })
    }

    /// The node at a path such as `class[1].name`, if the document has it.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, part| {
            let (key, index) = match part.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
                Some((key, index)) => (key, Some(index.parse::<usize>().ok()?)),
                None => (part, None),
            };
            let Kind::Table(table) = &node.kind else { return None };
            let value = table.get(key)?;
            match (&value.kind, index) {
                (_, None) => Some(value),
                (Kind::List(list), Some(index)) => list.get(index),
                _ => None,
            }
        })
    }
}

/// Where lines begin, so that the line of a byte is found by bisection.
struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        Self { ends: text.match_indices('\n').map(|(place, _)| place).collect() }
    }

    /// Line of the byte at `place`, counted from 1.
    fn at(&self, place: usize) -> u32 {
        1 + self.ends.partition_point(|end| *end < place) as u32
    }
}

fn table_kind(table: DeTable<'_>, lines: &Lines) -> Kind {
    let entries = table.into_iter().map(|(key, value)| {
        let line = Some(lines.at(key.span().start));
        (key.into_inner().into_owned(), Node { line, kind: toml_kind(value.into_inner(), lines) })
    });
    Kind::Table(entries.collect())
}

/// Recursion ends with the nesting that the parser allows.
fn toml_kind(value: DeValue<'_>, lines: &Lines) -> Kind {
    match value {
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Integer(integer) => Kind::Number(toml_integer(&integer)),
        DeValue::Float(float) => {
            let text = float.as_str();
            Kind::Number(Number::real(text.to_owned(), text.parse().unwrap_or(f64::NAN)))
        }
        DeValue::Boolean(value) => Kind::Other { text: value.to_string(), kind: "a boolean" },
        DeValue::Datetime(date) => Kind::Other { text: date.to_string(), kind: "a date or time" },
        DeValue::Array(list) => {
            let nodes = list.into_iter().map(|value: Spanned<DeValue<'_>>| Node {
                line: Some(lines.at(value.span().start)),
                kind: toml_kind(value.into_inner(), lines),
            });
            Kind::List(nodes.collect())
        }
        DeValue::Table(table) => table_kind(table, lines),
    }
}

fn toml_integer(integer: &DeInteger<'_>) -> Number {
    Number::whole(integer.to_string(), integer.as_str(), integer.radix())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = deserializer.deserialize_any(KindVisitor)?;
        Ok(Self { line: None, kind })
    }
}

/// Builds a tree from JSON. A key that stands twice is refused, where most readers silently
/// take the last.
struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Other { text: value.to_string(), kind: "a boolean" })
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Other { text: "null".to_owned(), kind: "no value" })
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        let text = value.to_string();
        Ok(Kind::Number(Number { text, real: value as f64, count: u64::try_from(value).ok() }))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(Number { text: value.to_string(), real: value as f64, count: Some(value) }))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Number(Number::real(format!("{value:?}"), value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Kind::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut table = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if table.contains_key(&key) {
                return Err(de::Error::custom(format!("duplicate key `{}`", shown(&key))));
            }
            let node: Node = map.next_value()?;
            table.insert(key, node);
        }
        Ok(Kind::Table(table))
    }
}
