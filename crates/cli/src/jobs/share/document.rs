//! A policy document with a state: what each account used, holds and asks for.
//!
//! The keys of a state are taken out; what is left must be a policy document, and is read as one.

use std::collections::HashMap;
use std::path::Path;

use rampmeter::policy::{ACCOUNTS_MAX, Policy};
use rampmeter::share::history::SHARES_MAX;
use rampmeter::share::quota::AMOUNT_MAX;
use rampmeter::share::rank::{DAMPING_MAX, DAMPING_MIN};
use rampmeter::share::{Amounts, RawShares, WEIGHT_MIN};
use rampmeter_sim::{InputError, shown};
use serde_json::{Map, Value};

use super::tree::{Member, Place, Tree};

/// The word for the shares of the parent.
const PARENT: &str = "parent";

/// Most that an account can have used: what the library records at once.
pub(super) const USAGE_MAX: f64 = 9_007_199_254_740_992.0;

/// Text that is TOML, as the same values in JSON. Numbers that JSON lacks become words, which no
/// key accepts.
pub(super) fn from_toml(path: &Path, text: &str) -> Result<Value, InputError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() as u64 + 1);
        let problem = format!("cannot be read as TOML: {}", shown_line(error.message()));
        InputError::new(path, problem).at_line(line)
    })?;
    Ok(json_of(toml::Value::Table(table)))
}

/// Recursion ends with the nesting that the parser allows.
fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(whole) => whole.into(),
        toml::Value::Float(real) if real.is_finite() => real.into(),
        toml::Value::Float(real) => real.to_string().into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, json_of(value))).collect()
        }
    }
}

fn shown_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the state of one account says.
#[derive(Default)]
struct State {
    shares: Option<Value>,
    usage: Option<Value>,
    held: Option<Value>,
    asked: Option<Value>,
}

/// The tree of a document.
pub(super) fn tree(path: &Path, document: Value) -> Result<Tree, InputError> {
    let Value::Object(mut top) = document else {
        return Err(InputError::new(path, "is not a table of keys"));
    };
    let (capacity, units) = (top.remove("capacity"), top.remove("units"));
    let damping = top.remove("damping");
    let states = states(&mut top);
    make_room(&mut top, states.len());
    let policy = Policy::from_json(&Value::Object(top).to_string())
        .map_err(|error| InputError::new(path, error.message))?;
    let names = &policy.resources;
    let reader = Reader { path, names };
    let damping = damping
        .map(|value| reader.real("damping", &value, DAMPING_MIN, DAMPING_MAX))
        .transpose()?;
    let mut tree = Tree {
        members: Vec::with_capacity(policy.accounts.len()),
        resources: names.to_vec(),
        capacity: reader.amounts("capacity", capacity, 0)?,
        units: reader
            .amounts("units", units, 1)?
            .into_iter()
            .map(|unit| unit.unwrap_or(1))
            .collect(),
        usage_weight: policy.history.usage_weight,
        ranking: None,
        damping,
    };
    let mut places = HashMap::new();
    for ((index, account), state) in policy.accounts.iter().enumerate().zip(states) {
        // A policy that was read names parents that stand before.
        let parent = account.parent.as_ref().and_then(|name| places.get(name).copied());
        places.insert(&account.name, index);
        let entry = format!("account[{index}]");
        let mut member = Member::new(account.name.clone(), parent, Place::Entry(entry.clone()));
        (member.weight, member.quota) = (account.weight, account.quota);
        reader.read_state(&entry, state, &mut member)?;
        tree.members.push(member);
    }
    Ok(tree)
}

/// Takes the keys of a state out of every account.
fn states(top: &mut Map<String, Value>) -> Vec<State> {
    let Some(Value::Array(accounts)) = top.get_mut("account") else { return Vec::new() };
    let state = |account: &mut Value| match account.as_object_mut() {
        Some(keys) => State {
            shares: keys.remove("shares"),
            usage: keys.remove("usage"),
            held: keys.remove("held"),
            asked: keys.remove("asked"),
        },
        None => State::default(),
    };
    accounts.iter_mut().map(state).collect()
}

/// A state may have more accounts than an engine lets be open at once, if its file says nothing
/// about that.
fn make_room(top: &mut Map<String, Value>, accounts: usize) {
    let limits = top.entry("limits").or_insert_with(|| Value::Object(Map::new()));
    if let Some(limits) = limits.as_object_mut() {
        let room = accounts.clamp(Policy::default().limits.accounts_max as usize, ACCOUNTS_MAX);
        limits.entry("accounts_max").or_insert_with(|| room.into());
    }
}

/// Reads values, each refused with its key and range.
struct Reader<'a> {
    path: &'a Path,
    names: &'a [String],
}

impl Reader<'_> {
    fn read_state(&self, entry: &str, state: State, member: &mut Member) -> Result<(), InputError> {
        let key = |name: &str| format!("{entry}.{name}");
        if let Some(shares) = state.shares {
            member.shares = self.shares(&key("shares"), &shares)?;
        }
        if let Some(usage) = state.usage {
            member.usage = self.real(&key("usage"), &usage, 0.0, USAGE_MAX)?;
        }
        member.held = self.sums(&key("held"), state.held)?;
        member.asked = self.sums(&key("asked"), state.asked)?;
        Ok(())
    }

    fn shares(&self, key: &str, value: &Value) -> Result<RawShares, InputError> {
        match value {
            Value::String(word) if word == PARENT => Ok(RawShares::Parent),
            Value::Number(number) => match number.as_f64() {
                Some(number) if is_shares(number) => Ok(RawShares::Number(number)),
                _ => Err(self.wrong(key, value, &shares_range())),
            },
            _ => Err(self.wrong(key, value, &shares_range())),
        }
    }

    fn real(&self, key: &str, value: &Value, min: f64, max: f64) -> Result<f64, InputError> {
        let number = value.as_f64().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| self.wrong(key, value, &format!("a number in {min}..={max}")))
    }

    fn sums(&self, key: &str, value: Option<Value>) -> Result<Amounts, InputError> {
        let mut sums = Amounts::ZERO;
        for (sum, amount) in sums.0.iter_mut().zip(self.amounts(key, value, 0)?) {
            *sum = amount.unwrap_or(0);
        }
        Ok(sums)
    }

    /// Amounts by the name of their resource; `None` for those that are not named.
    fn amounts(
        &self,
        key: &str,
        value: Option<Value>,
        min: u64,
    ) -> Result<Vec<Option<u64>>, InputError> {
        let mut amounts = vec![None; self.names.len()];
        let Some(value) = value else { return Ok(amounts) };
        let Value::Object(table) = &value else {
            return Err(self.wrong(key, &value, "a table of amounts by resource"));
        };
        for (name, value) in table {
            let key = format!("{key}.{}", shown(name));
            let Some(place) = self.names.iter().position(|known| known == name) else {
                let problem =
                    format!("there is no such resource; there are {}", self.names.join(", "));
                return Err(InputError::new(self.path, problem).in_field(key));
            };
            amounts[place] = Some(self.amount(&key, value, min)?);
        }
        Ok(amounts)
    }

    fn amount(&self, key: &str, value: &Value, min: u64) -> Result<u64, InputError> {
        // Programs that know one kind of number only write 128 as 128.0.
        let whole = value.as_f64().filter(|real| real.fract() == 0.0 && *real >= 0.0);
        let amount = value.as_u64().or_else(|| whole.map(|real| real as u64));
        amount.filter(|amount| (min..=AMOUNT_MAX).contains(amount)).ok_or_else(|| {
            self.wrong(key, value, &format!("a whole number in {min}..={AMOUNT_MAX}"))
        })
    }

    fn wrong(&self, key: &str, value: &Value, needed: &str) -> InputError {
        let problem = format!("`{}` is not {needed}", shown(&value.to_string()));
        InputError::new(self.path, problem).in_field(key)
    }
}

/// Whether the ledger takes that many shares.
pub(super) fn is_shares(number: f64) -> bool {
    number == 0.0 || (WEIGHT_MIN..=SHARES_MAX).contains(&number)
}

/// What it takes, in words.
pub(super) fn shares_range() -> String {
    format!("0, a number in {WEIGHT_MIN}..={SHARES_MAX} or \"{PARENT}\"")
}
