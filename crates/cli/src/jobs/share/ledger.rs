//! A ledger with the accounts of a tree, and their state.

use std::path::Path;

use rampmeter::share::{AccountId, Amounts, Division, Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};
use rampmeter_sim::{InputError, shown};

use super::tree::{Member, Tree};

/// When everything happens: what was used is given as it counts now.
pub(super) const NOW: Nanos = Nanos::ZERO;

/// Any half-life: no time passes.
const HALF_LIFE: Nanos = Nanos(1_000_000_000);

/// A ledger, and the account of each member.
pub(super) struct Opened {
    pub(super) ledger: Ledger,
    pub(super) ids: Vec<AccountId>,
    /// For each resource, whether there is something to divide.
    pub(super) is_divided: Vec<bool>,
}

/// Opens every account, gives it what it has, and divides what there is.
pub(super) fn open(path: &Path, tree: &Tree) -> Result<Opened, InputError> {
    let whole = |error: Error| InputError::new(path, error.to_string());
    let resources = tree.resources.len() as u32;
    let mut ledger = Ledger::new(&LedgerOptions {
        accounts_max: tree.members.len() as u32,
        lanes: 0,
        resources,
        borrowing: resources > 0,
        half_life: HALF_LIFE,
        names: true,
        ..LedgerOptions::default()
    })
    .map_err(whole)?;
    check_capacity(path, tree)?;
    let mut capacity = Amounts::ZERO;
    for (total, given) in capacity.0.iter_mut().zip(&tree.capacity) {
        *total = given.unwrap_or(0);
    }
    ledger.set_capacity(&capacity).map_err(whole)?;
    let mut ids = Vec::with_capacity(tree.members.len());
    for member in &tree.members {
        let parent = member.parent.and_then(|place| ids.get(place).copied());
        ids.push(open_one(path, &mut ledger, parent, member)?);
    }
    let is_divided = tree.capacity.iter().map(Option::is_some).collect();
    let mut opened = Opened { ledger, ids, is_divided };
    if opened.is_divided.contains(&true) {
        opened.divide(tree).map_err(whole)?;
    }
    Ok(opened)
}

/// What nobody has cannot be held, nor asked for.
fn check_capacity(path: &Path, tree: &Tree) -> Result<(), InputError> {
    for member in &tree.members {
        for (key, amounts) in [("held", &member.held), ("asked", &member.asked)] {
            for ((name, capacity), amount) in
                tree.resources.iter().zip(&tree.capacity).zip(amounts.0)
            {
                if amount > 0 && capacity.is_none() {
                    let key = format!("{key}.{name}");
                    let problem = format!("is {amount}, and there is no `capacity.{name}`");
                    return Err(member.place.error(path, &key, problem));
                }
            }
        }
    }
    Ok(())
}

fn open_one(
    path: &Path,
    ledger: &mut Ledger,
    parent: Option<AccountId>,
    member: &Member,
) -> Result<AccountId, InputError> {
    let about = |key: &'static str| {
        move |error: Error| {
            let problem = match error {
                Error::Duplicate { .. } => {
                    format!("`{}` stands twice below the same account", shown(member.name()))
                }
                other => other.to_string(),
            };
            member.place.error(path, key, problem)
        }
    };
    let account = ledger.open(parent, member.weight).map_err(about("parent"))?;
    let name = if member.user.is_empty() { "name" } else { "user" };
    ledger.set_name(account, member.name()).map_err(about(name))?;
    ledger.set_raw_shares(account, member.shares).map_err(about("shares"))?;
    ledger.record_usage(NOW, account, member.usage).map_err(about("usage"))?;
    if ledger.resources() > 0 {
        ledger.set_quota(account, &member.quota).map_err(about("quota"))?;
        ledger.allocate(account, &member.held).map_err(about("held"))?;
        ledger.ask(account, &member.asked).map_err(about("asked"))?;
    }
    Ok(account)
}

impl Opened {
    /// Past usage counts as if all that was ever used had been all that there is: one number
    /// stands for every resource.
    fn divide(&mut self, tree: &Tree) -> Result<(), Error> {
        let mut units = Amounts([1; _]);
        units.0[..tree.units.len()].copy_from_slice(&tree.units);
        let all = self.ledger.usage_of_all(NOW)?;
        let mut usage = Vec::with_capacity(self.ids.len() * tree.capacity.len());
        for account in &self.ids {
            let part = if all > 0.0 { self.ledger.usage(NOW, *account)? / all } else { 0.0 };
            usage.extend(tree.capacity.iter().map(|total| part * total.unwrap_or(0) as f64));
        }
        let division = Division { usage_weight: tree.usage_weight, usage: &usage, units };
        self.ledger.divide(&division)
    }
}
