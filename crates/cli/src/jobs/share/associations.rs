//! Associations of Slurm's as JSON: a list with the number of each and of the one above it.

use std::collections::HashMap;
use std::path::Path;

use rampmeter::share::RawShares;
use rampmeter_sim::{InputError, shown};
use serde_json::{Map, Value};

use super::document::{USAGE_MAX, is_shares, shares_range};
use super::tree::{Member, Place, RankingName, Tree};

/// Slurm's name for the shares of the parent, and its number.
const USE_PARENT: &str = "SLURMDB_FS_USE_PARENT";
/// See [`USE_PARENT`].
const USE_PARENT_NUMBER: f64 = 2_147_483_647.0;

/// The parent of the root.
const NOBODY: u64 = 0;

struct Row {
    id: u64,
    parent: u64,
    shares: RawShares,
    usage: f64,
    account: String,
    user: String,
    place: Place,
}

/// The tree of a document with `associations`.
pub(super) fn tree(path: &Path, document: &Map<String, Value>) -> Result<Tree, InputError> {
    let Some(Value::Array(list)) = document.get("associations") else {
        return Err(InputError::new(path, "is not a list").in_field("associations"));
    };
    let ranking = document.get("ranking").map(|value| ranking(path, value)).transpose()?;
    let rows: Vec<Row> = list
        .iter()
        .enumerate()
        .map(|(index, value)| row(path, index, value))
        .collect::<Result<_, _>>()?;
    Ok(Tree { members: members(path, &rows)?, ranking, ..Tree::default() })
}

fn ranking(path: &Path, value: &Value) -> Result<RankingName, InputError> {
    match value.as_str() {
        Some("classic") => Ok(RankingName::Classic),
        Some("fair_tree") => Ok(RankingName::FairTree),
        _ => {
            let value = shown(&value.to_string());
            let problem = format!("`{value}` is neither \"fair_tree\" nor \"classic\"");
            Err(InputError::new(path, problem).in_field("ranking"))
        }
    }
}

fn row(path: &Path, index: usize, value: &Value) -> Result<Row, InputError> {
    let place = Place::Entry(format!("associations[{index}]"));
    let wrong = |key: &str, needed: &str| match value.get(key) {
        None => place.error(path, key, "there is no such key"),
        Some(value) => {
            let value = shown(&value.to_string());
            place.error(path, key, format!("`{value}` is not {needed}"))
        }
    };
    let whole = |key: &str| {
        let number = value.get(key).and_then(Value::as_u64);
        number.ok_or_else(|| wrong(key, "a whole number"))
    };
    let text = |key: &str| {
        let text = value.get(key).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| wrong(key, "a text"))
    };
    let usage = value.get("usage").and_then(Value::as_f64);
    let usage = usage.filter(|usage| (0.0..=USAGE_MAX).contains(usage));
    let shares = match value.get("shares") {
        Some(Value::String(word)) if word == USE_PARENT => Some(RawShares::Parent),
        Some(number) => number.as_f64().and_then(shares_of),
        None => None,
    };
    Ok(Row {
        id: whole("id")?,
        parent: whole("parent")?,
        shares: shares.ok_or_else(|| wrong("shares", &shares_range()))?,
        usage: usage.ok_or_else(|| wrong("usage", &format!("a number in 0..={USAGE_MAX}")))?,
        account: text("acct")?,
        user: text("user")?,
        place,
    })
}

/// A number of shares as Slurm has it.
pub(super) fn shares_of(number: f64) -> Option<RawShares> {
    match number {
        USE_PARENT_NUMBER => Some(RawShares::Parent),
        number if is_shares(number) => Some(RawShares::Number(number)),
        _ => None,
    }
}

/// Rows in the order of the tree. What users used adds up to their accounts; what a row says of an
/// account itself repeats that and is left out. Numbers of users may repeat: nobody stands below
/// a user.
fn members(path: &Path, rows: &[Row]) -> Result<Vec<Member>, InputError> {
    let mut accounts = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.user.is_empty()) {
        if accounts.insert(row.id, index).is_some() {
            let problem = format!("{} is the number of two accounts", row.id);
            return Err(row.place.error(path, "id", problem));
        }
    }
    let mut root = None;
    let mut below = vec![Vec::new(); rows.len()];
    for (index, row) in rows.iter().enumerate() {
        match accounts.get(&row.parent) {
            Some(above) => below[*above].push(index),
            None if row.parent == NOBODY && row.user.is_empty() && root.is_none() => {
                root = Some(index);
            }
            None => {
                let problem = match row.parent {
                    NOBODY => "0 stands above one account only, the root".to_owned(),
                    parent => format!("{parent} is the number of no account"),
                };
                return Err(row.place.error(path, "parent", problem));
            }
        }
    }
    in_order(path, rows, &below, root)
}

fn in_order(
    path: &Path,
    rows: &[Row],
    below: &[Vec<usize>],
    root: Option<usize>,
) -> Result<Vec<Member>, InputError> {
    let mut members = Vec::with_capacity(rows.len());
    let mut reached = vec![false; rows.len()];
    let mut waiting: Vec<(usize, Option<usize>)> = Vec::new();
    if let Some(root) = root {
        reached[root] = true;
        waiting.extend(below[root].iter().rev().map(|child| (*child, None)));
    }
    while let Some((index, parent)) = waiting.pop() {
        let row = &rows[index];
        reached[index] = true;
        let place = members.len();
        waiting.extend(below[index].iter().rev().map(|child| (*child, Some(place))));
        let mut member = Member::new(row.account.clone(), parent, row.place.clone());
        member.shares = row.shares;
        if !row.user.is_empty() {
            member.user.clone_from(&row.user);
            member.usage = row.usage;
        }
        members.push(member);
    }
    // Each has one parent, so that whoever the root does not lead to is part of a circle, or below one.
    match reached.iter().position(|reached| !reached) {
        Some(lost) => {
            let problem = "leads round in a circle and never to the root, whose parent is 0";
            Err(rows[lost].place.error(path, "parent", problem))
        }
        None => Ok(members),
    }
}
