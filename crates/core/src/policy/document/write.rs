//! From a policy to a document with every key, in the order of the table. Of what is said of each
//! resource only what differs from its default is written: an account without a quota has no key
//! for it, except that comments explain each such key once.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value};

use crate::policy::field::{Access, Field, UNLIMITED};
use crate::policy::reference::{Key, keys};
use crate::policy::{Policy, table};

/// What stands above a key.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Comments {
    None,
    All,
}

/// The policy as TOML.
pub(super) fn toml(policy: &Policy, comments: Comments) -> String {
    let resources = &policy.resources;
    let mut page = Page { text: String::new(), keys: keys(), comments, resources };
    page.comment("resources");
    let names: Vec<String> = resources.iter().map(|name| format!("\"{name}\"")).collect();
    page.line(&format!("resources = [{}]", names.join(", ")));
    for class in &policy.classes {
        page.head("[[class]]");
        page.text("class[].name", "name", &class.name);
        page.fields(&table::CLASS, class);
    }
    for account in &policy.accounts {
        page.head("[[account]]");
        page.text("account[].name", "name", &account.name);
        if let Some(parent) = &account.parent {
            page.text("account[].parent", "parent", parent);
        }
        page.fields(&table::ACCOUNT, account);
        page.fields(&table::QUOTA, &account.quota);
    }
    page.head("[account_default]");
    page.fields(&table::ACCOUNT_DEFAULT, policy);
    page.head("[history]");
    page.fields(&table::HISTORY, &policy.history);
    page.head("[objectives]");
    page.fields(&table::OBJECTIVES, &policy.objectives);
    page.head("[limits]");
    page.fields(&table::LIMITS, &policy.limits);
    page.head("[batch]");
    page.fields(&table::BATCH, &policy.batch);
    page.head("[placement]");
    page.fields(&table::PLACEMENT, &policy.placement);
    page.head("[route]");
    page.fields(&table::ROUTE, &policy.route);
    page.head("[gate]");
    page.fields(&table::GATE, &policy.gate);
    page.head("[hold]");
    page.fields(&table::HOLD, &policy.hold);
    page.text
}

/// A TOML document as it is being written.
struct Page<'a> {
    text: String,
    /// Keys whose meaning has not been written yet: once is enough in a list of entries.
    keys: Vec<Key>,
    comments: Comments,
    resources: &'a [String],
}

impl Page<'_> {
    fn head(&mut self, head: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.line(head);
    }

    fn text(&mut self, path: &str, key: &str, text: &str) {
        self.comment(path);
        self.line(&format!("{key} = {}", toml::Value::String(text.into())));
    }

    fn fields<T>(&mut self, fields: &[Field<T>], owner: &T) {
        for field in fields {
            let explained = self.comment(field.path);
            let value = match &field.access {
                Access::Integer { get, .. } => get(owner).to_string(),
                Access::Signed { get, .. } => get(owner).to_string(),
                Access::Real { get, .. } => toml::Value::Float(get(owner)).to_string(),
                Access::Word { .. } => toml::Value::String(field.access.text(owner)).to_string(),
                Access::Amounts { .. } | Access::Weights { .. } => {
                    let pairs = by_resource(&field.access, self.resources, owner);
                    if pairs.is_empty() && !explained {
                        continue;
                    }
                    inline_table(&pairs)
                }
            };
            self.line(&format!("{} = {value}", field.name()));
        }
    }

    /// Explains a key where that is wanted and has not been done; says whether it did.
    fn comment(&mut self, path: &str) -> bool {
        if self.comments == Comments::None {
            return false;
        }
        let Some(place) = self.keys.iter().position(|key| key.path == path) else { return false };
        let key = self.keys.remove(place);
        self.line(&format!("# {}", key.about));
        self.line(&format!("# {}; {}; default {}.", key.unit, key.range, key.default));
        true
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// What `owner` has of the resources that differs from what stands for absent ones, by name.
fn by_resource<T>(access: &Access<T>, resources: &[String], owner: &T) -> Vec<(String, Value)> {
    let value = |place: usize| match access {
        Access::Amounts { absent, get, .. } => match get(owner, place) {
            amount if amount == *absent => None,
            u64::MAX => Some(UNLIMITED.into()),
            amount => Some(amount.into()),
        },
        Access::Weights { absent, get, .. } => {
            Some(get(owner, place)).filter(|weight| weight != absent).map(Value::from)
        }
        Access::Integer { .. }
        | Access::Signed { .. }
        | Access::Real { .. }
        | Access::Word { .. } => None,
    };
    let pairs = resources.iter().enumerate();
    pairs.filter_map(|(place, name)| Some((name.clone(), value(place)?))).collect()
}

/// Numbers and words are written alike in both formats; names of resources need no quotes.
fn inline_table(pairs: &[(String, Value)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    match pairs.as_slice() {
        [] => "{}".into(),
        pairs => format!("{{ {} }}", pairs.join(", ")),
    }
}

/// The policy as JSON.
pub(super) fn json(policy: &Policy) -> String {
    let resources = &*policy.resources;
    let classes = policy.classes.iter().map(|class| entry(&class.name, &table::CLASS, class));
    let accounts = policy.accounts.iter().map(|account| {
        let mut entry = entry(&account.name, &table::ACCOUNT, account);
        if let Some(parent) = &account.parent {
            entry["parent"] = parent.as_str().into();
        }
        if let Value::Object(entry) = &mut entry {
            entry.extend(object(&table::QUOTA, resources, &account.quota));
        }
        entry
    });
    let mut root = Map::new();
    root.insert("resources".into(), resources.into());
    root.insert("class".into(), classes.collect());
    root.insert("account".into(), accounts.collect());
    root.insert("account_default".into(), object(&table::ACCOUNT_DEFAULT, &[], policy).into());
    root.insert("history".into(), object(&table::HISTORY, &[], &policy.history).into());
    root.insert("objectives".into(), object(&table::OBJECTIVES, &[], &policy.objectives).into());
    root.insert("limits".into(), object(&table::LIMITS, &[], &policy.limits).into());
    root.insert("batch".into(), object(&table::BATCH, &[], &policy.batch).into());
    root.insert("placement".into(), object(&table::PLACEMENT, &[], &policy.placement).into());
    root.insert("route".into(), object(&table::ROUTE, &[], &policy.route).into());
    root.insert("gate".into(), object(&table::GATE, &[], &policy.gate).into());
    root.insert("hold".into(), object(&table::HOLD, &[], &policy.hold).into());
    format!("{:#}\n", Value::Object(root))
}

fn entry<T>(name: &str, fields: &[Field<T>], owner: &T) -> Value {
    let mut entry = object(fields, &[], owner);
    entry.insert("name".into(), name.into());
    Value::Object(entry)
}

fn object<T>(fields: &[Field<T>], resources: &[String], owner: &T) -> Map<String, Value> {
    let pairs = fields.iter().filter_map(|field| {
        let value = match &field.access {
            Access::Integer { get, .. } => get(owner).into(),
            Access::Signed { get, .. } => get(owner).into(),
            Access::Real { get, .. } => get(owner).into(),
            Access::Word { .. } => field.access.text(owner).into(),
            Access::Amounts { .. } | Access::Weights { .. } => {
                let pairs = by_resource(&field.access, resources, owner);
                (!pairs.is_empty()).then(|| Value::Object(pairs.into_iter().collect()))?
            }
        };
        Some((field.name().to_string(), value))
    });
    pairs.collect()
}
