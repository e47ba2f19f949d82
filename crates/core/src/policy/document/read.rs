//! From the tree to a policy: the preset, then every key that stands in the document.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::error::DocumentError;
use super::nearest;
use super::node::{Kind, Node};
use crate::error::Error;
use crate::policy::field::{Access, Field};
use crate::policy::reference::SECTIONS;
use crate::policy::{Account, Class, Fault, Policy, Preset, table};

type Table = BTreeMap<String, Node>;

/// The policy that a document describes.
pub(super) fn policy(root: &Node) -> Result<Policy, DocumentError> {
    let top = as_table("", root)?;
    refuse_unknown("", top, |key| key == "preset" || SECTIONS.contains(&key))?;
    let mut policy = match top.get("preset") {
        Some(node) => preset(node)?.policy(),
        None => Policy::default(),
    };
    section(top, "account_default", &table::ACCOUNT_DEFAULT, &mut policy)?;
    section(top, "objectives", &table::OBJECTIVES, &mut policy.objectives)?;
    section(top, "limits", &table::LIMITS, &mut policy.limits)?;
    section(top, "batch", &table::BATCH, &mut policy.batch)?;
    let classes = entries(top, "class", &[], &table::CLASS, |name, _| {
        let of_preset = policy.classes.iter().find(|class| class.name == name);
        Ok(of_preset.cloned().unwrap_or_else(|| Class::new(name)))
    })?;
    if let Some(classes) = classes {
        policy.classes = classes.into();
    }
    let weight = policy.account_default_weight;
    let queue = policy.account_default_queue;
    let accounts = entries(top, "account", &["parent"], &table::ACCOUNT, |name, entry| {
        Ok(Account { parent: parent(entry)?, queue, ..Account::new(name, weight) })
    })?;
    if let Some(accounts) = accounts {
        policy.accounts = accounts.into();
    }
    match policy.check() {
        Ok(()) => Ok(policy),
        Err(fault) => Err(explain(root, &policy, fault)),
    }
}

fn preset(node: &Node) -> Result<Preset, DocumentError> {
    let known = Preset::ALL.map(Preset::name);
    let Kind::Text(name) = &node.kind else {
        return Err(DocumentError::wrong_kind("preset", node, "the name of a preset"));
    };
    Preset::from_name(name).ok_or_else(|| {
        let near = nearest::name(known.into_iter(), name);
        let known = known.map(|name| format!("\"{name}\"")).join(", ");
        DocumentError::unknown_preset(node.line, name, &known, near)
    })
}

/// Reads the section `name`, where the document has it, into `target`.
fn section<T>(
    top: &Table,
    name: &str,
    fields: &[Field<T>],
    target: &mut T,
) -> Result<(), DocumentError> {
    let Some(node) = top.get(name) else { return Ok(()) };
    let section = as_table(name, node)?;
    refuse_unknown(name, section, |key| fields.iter().any(|field| field.name() == key))?;
    read_fields(name, section, fields, target)
}

/// An entry of a list, and where it stands.
struct Entry<'a> {
    path: &'a str,
    table: &'a Table,
}

fn parent(entry: &Entry<'_>) -> Result<Option<String>, DocumentError> {
    match entry.table.get("parent") {
        None => Ok(None),
        Some(Node { kind: Kind::Text(text), .. }) => Ok(Some(text.clone())),
        Some(other) => {
            let path = format!("{}.parent", entry.path);
            Err(DocumentError::wrong_kind(&path, other, "the name of an account"))
        }
    }
}

/// Reads the list `name`, where the document has it; each entry starts from `start(its name)`,
/// which may look at the keys in `texts` that no row describes.
fn entries<T>(
    top: &Table,
    name: &str,
    texts: &[&str],
    fields: &[Field<T>],
    start: impl Fn(&str, &Entry<'_>) -> Result<T, DocumentError>,
) -> Result<Option<Vec<T>>, DocumentError> {
    let Some(node) = top.get(name) else { return Ok(None) };
    let Kind::List(list) = &node.kind else {
        let needed = format!("a list of tables (`[[{name}]]` in TOML)");
        return Err(DocumentError::wrong_kind(name, node, &needed));
    };
    let entry = |(index, node): (usize, &Node)| {
        let path = format!("{name}[{index}]");
        let entry = as_table(&path, node)?;
        let known = |key: &str| {
            key == "name" || texts.contains(&key) || fields.iter().any(|field| field.name() == key)
        };
        refuse_unknown(&path, entry, known)?;
        let name_path = format!("{path}.name");
        let own_name = match entry.get("name") {
            Some(Node { kind: Kind::Text(text), .. }) => text,
            Some(other) => return Err(DocumentError::wrong_kind(&name_path, other, "a name")),
            None => return Err(DocumentError::missing(&name_path, node.line)),
        };
        let mut value = start(own_name, &Entry { path: &path, table: entry })?;
        read_fields(&path, entry, fields, &mut value)?;
        Ok(value)
    };
    list.iter().enumerate().map(entry).collect::<Result<_, _>>().map(Some)
}

fn read_fields<T>(
    path: &str,
    table: &Table,
    fields: &[Field<T>],
    target: &mut T,
) -> Result<(), DocumentError> {
    for field in fields {
        if let Some(node) = table.get(field.name()) {
            read_field(&format!("{path}.{}", field.name()), node, &field.access, target)?;
        }
    }
    Ok(())
}

fn read_field<T>(
    path: &str,
    node: &Node,
    access: &Access<T>,
    target: &mut T,
) -> Result<(), DocumentError> {
    let range = access.to_string();
    if let Access::Word { words, set, .. } = access {
        set(target, word(path, node, words)?);
        return Ok(());
    }
    let Kind::Number(number) = &node.kind else {
        let needed = match access {
            Access::Integer { .. } => format!("a whole number in {range}"),
            Access::Real { .. } | Access::Word { .. } => format!("a number in {range}"),
        };
        return Err(DocumentError::wrong_kind(path, node, &needed));
    };
    match access {
        Access::Real { min, max, set, .. } if (*min..=*max).contains(&number.real) => {
            set(target, number.real);
        }
        Access::Integer { min, max, set, .. } => match number.count {
            Some(count) if (*min..=*max).contains(&count) => set(target, count),
            None if (*min as f64..=*max as f64).contains(&number.real) => {
                return Err(DocumentError::fraction(path, node.line, &number.text, &range));
            }
            _ => return Err(DocumentError::out_of_range(path, node.line, &number.text, &range)),
        },
        Access::Real { .. } | Access::Word { .. } => {
            return Err(DocumentError::out_of_range(path, node.line, &number.text, &range));
        }
    }
    Ok(())
}

/// The place of a word among those that a key knows.
fn word(path: &str, node: &Node, words: &[&str]) -> Result<usize, DocumentError> {
    let place = match &node.kind {
        Kind::Text(text) => words.iter().position(|word| word == text),
        _ => None,
    };
    place.ok_or_else(|| {
        DocumentError::wrong_kind(path, node, &format!("one of {}", words.join(", ")))
    })
}

fn as_table<'a>(path: &str, node: &'a Node) -> Result<&'a Table, DocumentError> {
    match &node.kind {
        Kind::Table(table) => Ok(table),
        _ => Err(DocumentError::wrong_kind(path, node, "a table of keys")),
    }
}

fn refuse_unknown(
    path: &str,
    table: &Table,
    is_known: impl Fn(&str) -> bool,
) -> Result<(), DocumentError> {
    match table.iter().find(|(key, _)| !is_known(key)) {
        Some((key, node)) => {
            Err(DocumentError::unknown_key(path, key, node.line, &nearest::key(path, key)))
        }
        None => Ok(()),
    }
}

/// A fault of the policy as a whole, in terms of the document.
fn explain(root: &Node, policy: &Policy, fault: Fault) -> DocumentError {
    let path = fault.path();
    // What the document does not say came from the preset: point at the section then.
    let whole = path.replace("[]", "");
    let section = whole.split_once('.').map_or(whole.as_str(), |(section, _)| section);
    let line = root.find(&path).or_else(|| root.find(section)).and_then(|node| node.line);
    let Error::Duplicate { field, index, first_index } = fault.error else {
        return DocumentError::fault(fault, line);
    };
    let name = if field == "class[].name" {
        policy.classes.get(index as usize).map(|class| class.name.as_str())
    } else {
        policy.accounts.get(index as usize).map(|account| account.name.as_str())
    };
    let first = field.replace("[]", &format!("[{first_index}]"));
    DocumentError::repeated(&path, line, name.unwrap_or_default(), &first)
}
