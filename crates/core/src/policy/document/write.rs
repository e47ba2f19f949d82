//! From a policy to a document with every key, in the order of the table.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::{Map, Value};

use crate::policy::field::{Access, Field};
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
    let mut page = Page { text: String::new(), keys: keys(), comments };
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
    }
    page.head("[account_default]");
    page.fields(&table::ACCOUNT_DEFAULT, policy);
    page.head("[objectives]");
    page.fields(&table::OBJECTIVES, &policy.objectives);
    page.head("[limits]");
    page.fields(&table::LIMITS, &policy.limits);
    page.head("[batch]");
    page.fields(&table::BATCH, &policy.batch);
    page.text
}

/// A TOML document as it is being written.
struct Page {
    text: String,
    /// Keys whose meaning has not been written yet: once is enough in a list of entries.
    keys: Vec<Key>,
    comments: Comments,
}

impl Page {
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
            self.comment(field.path);
            let value = match &field.access {
                Access::Integer { get, .. } => get(owner).to_string(),
                Access::Real { get, .. } => toml::Value::Float(get(owner)).to_string(),
                Access::Word { .. } => toml::Value::String(field.access.text(owner)).to_string(),
            };
            self.line(&format!("{} = {value}", field.name()));
        }
    }

    fn comment(&mut self, path: &str) {
        if self.comments == Comments::None {
            return;
        }
        let Some(place) = self.keys.iter().position(|key| key.path == path) else { return };
        let key = self.keys.remove(place);
        self.line(&format!("# {}", key.about));
        self.line(&format!("# {}; {}; default {}.", key.unit, key.range, key.default));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// The policy as JSON.
pub(super) fn json(policy: &Policy) -> String {
    let classes = policy.classes.iter().map(|class| entry(&class.name, &table::CLASS, class));
    let accounts = policy.accounts.iter().map(|account| {
        let mut entry = entry(&account.name, &table::ACCOUNT, account);
        if let Some(parent) = &account.parent {
            entry["parent"] = parent.as_str().into();
        }
        entry
    });
    let mut root = Map::new();
    root.insert("class".into(), classes.collect());
    root.insert("account".into(), accounts.collect());
    root.insert("account_default".into(), object(&table::ACCOUNT_DEFAULT, policy).into());
    root.insert("objectives".into(), object(&table::OBJECTIVES, &policy.objectives).into());
    root.insert("limits".into(), object(&table::LIMITS, &policy.limits).into());
    root.insert("batch".into(), object(&table::BATCH, &policy.batch).into());
    format!("{:#}\n", Value::Object(root))
}

fn entry<T>(name: &str, fields: &[Field<T>], owner: &T) -> Value {
    let mut entry = object(fields, owner);
    entry.insert("name".into(), name.into());
    Value::Object(entry)
}

fn object<T>(fields: &[Field<T>], owner: &T) -> Map<String, Value> {
    let pairs = fields.iter().map(|field| {
        let value = match &field.access {
            Access::Integer { get, .. } => get(owner).into(),
            Access::Real { get, .. } => get(owner).into(),
            Access::Word { .. } => field.access.text(owner).into(),
        };
        (field.name().to_string(), value)
    });
    pairs.collect()
}
