//! What is said of each resource: a table by name, or one number for all.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::error::DocumentError;
use super::nearest;
use super::node::{Kind, Node};
use crate::policy::AMOUNT_MAX;
use crate::policy::field::UNLIMITED;

/// Amounts by name, as `(place among the resources, amount)`.
pub(super) fn amounts(
    path: &str,
    node: &Node,
    resources: &[String],
) -> Result<Vec<(usize, u64)>, DocumentError> {
    let Kind::Table(_) = node.kind else {
        return Err(DocumentError::wrong_kind(path, node, "a table of amounts by resource"));
    };
    by_name(path, node, resources, |path, node| {
        let range = format!("0..={AMOUNT_MAX} or \"{UNLIMITED}\"");
        match &node.kind {
            Kind::Text(word) if word == UNLIMITED => Ok(u64::MAX),
            Kind::Number(number) => match number.count {
                Some(count) if count <= AMOUNT_MAX => Ok(count),
                None if (0.0..=AMOUNT_MAX as f64).contains(&number.real) => {
                    Err(DocumentError::fraction(path, node.line, &number.text, &range))
                }
                _ => Err(DocumentError::out_of_range(path, node.line, &number.text, &range)),
            },
            _ => Err(DocumentError::wrong_kind(path, node, &format!("a whole number in {range}"))),
        }
    })
}

/// Weights by name, or one for all resources, as `(place among them, weight)`.
pub(super) fn weights(
    path: &str,
    node: &Node,
    resources: &[String],
    max: f64,
) -> Result<Vec<(usize, f64)>, DocumentError> {
    let weight = |path: &str, node: &Node| match &node.kind {
        Kind::Number(number) if (0.0..=max).contains(&number.real) => Ok(number.real),
        Kind::Number(number) => {
            let range = format!("0..={max}");
            Err(DocumentError::out_of_range(path, node.line, &number.text, &range))
        }
        _ => Err(DocumentError::wrong_kind(path, node, &format!("a number in 0..={max}"))),
    };
    match &node.kind {
        Kind::Table(_) => by_name(path, node, resources, weight),
        Kind::Number(_) => {
            weight(path, node).map(|one| (0..resources.len()).map(|place| (place, one)).collect())
        }
        _ => {
            let needed = "a table of numbers by resource, or one number for all";
            Err(DocumentError::wrong_kind(path, node, needed))
        }
    }
}

/// Each entry of a table whose keys are resources, read by `value`.
fn by_name<V>(
    path: &str,
    node: &Node,
    resources: &[String],
    value: impl Fn(&str, &Node) -> Result<V, DocumentError>,
) -> Result<Vec<(usize, V)>, DocumentError> {
    let Kind::Table(table) = &node.kind else { return Ok(Vec::new()) };
    let entry = |(name, node): (&String, &Node)| {
        let Some(place) = resources.iter().position(|known| known == name) else {
            // Where none has a name, that is what is missing.
            let near = match nearest::name(resources.iter().map(String::as_str), name) {
                "" => "resources".into(),
                near => format!("{path}.{near}"),
            };
            return Err(DocumentError::unknown_key(path, name, node.line, &near));
        };
        Ok((place, value(&format!("{path}.{name}"), node)?))
    };
    table.iter().map(entry).collect()
}
