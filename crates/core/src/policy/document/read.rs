//! From the tree to a policy: the preset, then every key that stands in the document.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::error::DocumentError;
use super::node::{Kind, Node};
use super::{amounts, nearest};
use crate::error::Error;
use crate::policy::field::{Access, Field};
use crate::policy::reference::SECTIONS;
use crate::policy::{Account, Class, Fault, Policy, Preset, table};

type Table = BTreeMap<String, Node>;

/// The policy that a document describes.
pub(super) fn policy(root: &Node) -> Result<Policy, DocumentError> {
    let top = as_table("", root)?;
    let known = |key: &str| key == "preset" || key == "resources" || SECTIONS.contains(&key);
    refuse_unknown("", top, known)?;
    let mut policy = match top.get("preset") {
        Some(node) => preset(node)?.policy(),
        None => Policy::default(),
    };
    if let Some(node) = top.get("resources") {
        policy.resources = resources(node)?;
    }
    section(top, "account_default", &table::ACCOUNT_DEFAULT, &mut policy)?;
    section(top, "history", &table::HISTORY, &mut policy.history)?;
    section(top, "objectives", &table::OBJECTIVES, &mut policy.objectives)?;
    section(top, "limits", &table::LIMITS, &mut policy.limits)?;
    section(top, "batch", &table::BATCH, &mut policy.batch)?;
    section(top, "placement", &table::PLACEMENT, &mut policy.placement)?;
    section(top, "route", &table::ROUTE, &mut policy.route)?;
    section(top, "gate", &table::GATE, &mut policy.gate)?;
    section(top, "hold", &table::HOLD, &mut policy.hold)?;
    let classes = entries(top, "class", &[], &table::CLASS, |name, _| {
        let of_preset = policy.classes.iter().find(|class| class.name == name);
        Ok(of_preset.cloned().unwrap_or_else(|| Class::new(name)))
    })?;
    if let Some(classes) = classes {
        policy.classes = classes.into();
    }
    if let Some(accounts) = accounts(top, &policy)? {
        policy.accounts = accounts.into();
    }
    match policy.check() {
        Ok(()) => Ok(policy),
        Err(fault) => Err(explain(root, &policy, fault)),
    }
}

/// The accounts of a document, where it has any; what they leave out is as `policy` has it.
fn accounts(top: &Table, policy: &Policy) -> Result<Option<Vec<Account>>, DocumentError> {
    let quota_keys = table::QUOTA.each_ref().map(Field::name);
    let others = [&["parent"], &quota_keys[..]].concat();
    entries(top, "account", &others, &table::ACCOUNT, |name, entry| {
        let mut account = Account {
            parent: parent(entry)?,
            queue: policy.account_default_queue,
            rates: policy.account_default_rates,
            ..Account::new(name, policy.account_default_weight)
        };
        let quota = &mut account.quota;
        read_fields(entry.path, entry.table, &table::QUOTA, &policy.resources, quota)?;
        Ok(account)
    })
}

fn resources(node: &Node) -> Result<Box<[String]>, DocumentError> {
    let Kind::List(list) = &node.kind else {
        return Err(DocumentError::wrong_kind("resources", node, "a list of names"));
    };
    let name = |(index, node): (usize, &Node)| match &node.kind {
        Kind::Text(name) => Ok(name.clone()),
        _ => Err(DocumentError::wrong_kind(&format!("resources[{index}]"), node, "a name")),
    };
    list.iter().enumerate().map(name).collect()
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
    read_fields(name, section, fields, &[], target)
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
/// which may look at the keys in `others` that are not among `fields`.
fn entries<T>(
    top: &Table,
    name: &str,
    others: &[&str],
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
            key == "name" || others.contains(&key) || fields.iter().any(|field| field.name() == key)
        };
        refuse_unknown(&path, entry, known)?;
        let name_path = format!("{path}.name");
        let own_name = match entry.get("name") {
            Some(Node { kind: Kind::Text(text), .. }) => text,
            Some(other) => return Err(DocumentError::wrong_kind(&name_path, other, "a name")),
            None => return Err(DocumentError::missing(&name_path, node.line)),
        };
        let mut value = start(own_name, &Entry { path: &path, table: entry })?;
        read_fields(&path, entry, fields, &[], &mut value)?;
        Ok(value)
    };
    list.iter().enumerate().map(entry).collect::<Result<_, _>>().map(Some)
}

fn read_fields<T>(
    path: &str,
    table: &Table,
    fields: &[Field<T>],
    resources: &[String],
    target: &mut T,
) -> Result<(), DocumentError> {
    for field in fields {
        if let Some(node) = table.get(field.name()) {
            let path = format!("{path}.{}", field.name());
            read_field(&path, node, &field.access, resources, target)?;
        }
    }
    Ok(())
}

fn read_field<T>(
    path: &str,
    node: &Node,
    access: &Access<T>,
    resources: &[String],
    target: &mut T,
) -> Result<(), DocumentError> {
    match access {
        Access::Word { words, set, .. } => set(target, word(path, node, words)?),
        Access::Amounts { set, .. } => {
            for (place, amount) in amounts::amounts(path, node, resources)? {
                set(target, place, amount);
            }
        }
        Access::Weights { max, set, .. } => {
            for (place, weight) in amounts::weights(path, node, resources, *max)? {
                set(target, place, weight);
            }
        }
        Access::Integer { .. } | Access::Signed { .. } | Access::Real { .. } => {
            read_number(path, node, access, target)?;
        }
    }
    Ok(())
}

fn read_number<T>(
    path: &str,
    node: &Node,
    access: &Access<T>,
    target: &mut T,
) -> Result<(), DocumentError> {
    let range = access.to_string();
    let Kind::Number(number) = &node.kind else {
        let whole = if matches!(access, Access::Real { .. }) { "" } else { "whole " };
        let needed = format!("a {whole}number in {range}");
        return Err(DocumentError::wrong_kind(path, node, &needed));
    };
    let outside = || DocumentError::out_of_range(path, node.line, &number.text, &range);
    let fraction = || DocumentError::fraction(path, node.line, &number.text, &range);
    match access {
        Access::Real { min, max, set, .. } if (*min..=*max).contains(&number.real) => {
            set(target, number.real);
        }
        Access::Integer { min, max, set, .. } => match number.count {
            Some(count) if (*min..=*max).contains(&count) => set(target, count),
            None if (*min as f64..=*max as f64).contains(&number.real) => return Err(fraction()),
            _ => return Err(outside()),
        },
        Access::Signed { min, max, set, .. }
            if (*min as f64..=*max as f64).contains(&number.real) =>
        {
            // Both ends are exact in an `f64`, and so is what lies between them.
            if number.real != libm::trunc(number.real) {
                return Err(fraction());
            }
            set(target, number.real as i64);
        }
        _ => return Err(outside()),
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
    let index = index as usize;
    let name = match field {
        "class[].name" => policy.classes.get(index).map(|class| class.name.as_str()),
        "resources[]" => policy.resources.get(index).map(String::as_str),
        _ => policy.accounts.get(index).map(|account| account.name.as_str()),
    };
    let first = field.replace("[]", &format!("[{first_index}]"));
    DocumentError::repeated(&path, line, name.unwrap_or_default(), &first)
}
