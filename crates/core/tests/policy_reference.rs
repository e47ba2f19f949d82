//! The written reference of policy documents, against the table that the code reads by.
//!
//! The parts of `docs/policies/document.md` between `<!-- begin: NAME -->` and
//! `<!-- end: NAME -->` are generated. A test fails when they are out of date;
//! `RAMPMETER_UPDATE_DOCS=1 cargo test -p rampmeter --features document` writes them anew.
//! Examples and sentences on the page are tried as well.
#![cfg(feature = "document")]

use std::fmt::Write as _;
use std::fs;

use rampmeter::policy::{Key, Policy, Preset, keys};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies/document.md");

fn page() -> String {
    fs::read_to_string(PAGE).expect(PAGE)
}

/// The section that a key stands in; empty for the top.
fn section(key: &Key) -> &str {
    key.path.rsplit_once('.').map_or("", |(section, _)| section)
}

fn key_tables() -> String {
    let mut text = String::new();
    let mut last = None;
    for key in keys() {
        if last.as_deref() != Some(section(&key)) {
            let head = match (section(&key), section(&key).strip_suffix("[]")) {
                ("", _) => "Top".to_owned(),
                (_, Some(list)) => format!("`[[{list}]]`"),
                (name, None) => format!("`[{name}]`"),
            };
            write!(text, "\n### {head}\n\n| key | unit | default | range | meaning |\n").unwrap();
            text.push_str("|---|---|---|---|---|\n");
            last = Some(section(&key).to_owned());
        }
        let name = key.path.rsplit('.').next().unwrap();
        let Key { unit, default, range, about, why, .. } = &key;
        writeln!(text, "| `{name}` | {unit} | {default} | {range} | {about} *{why}* |").unwrap();
    }
    text.push('\n');
    text
}

/// Every number of a policy as `(place, value)`, from its printed form.
fn values(policy: &Policy) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut values = Vec::new();
    let mut classes = policy.classes.iter();
    for line in policy.to_toml().lines() {
        if line == "[[class]]" {
            section = format!("class {}", classes.next().unwrap().name);
        } else if let Some(head) = line.strip_prefix('[') {
            head.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once(" = ") {
            values.push((format!("{section}: {key}"), value.to_owned()));
        }
    }
    values
}

fn preset_table() -> String {
    let [a, b, c] = Preset::ALL.map(|preset| values(&preset.policy()));
    let names = Preset::ALL.map(|preset| format!("`{}`", preset.name())).join(" | ");
    let mut text = format!("\n| key | {names} |\n|---|---|---|---|\n");
    for ((a, b), c) in a.iter().zip(&b).zip(&c) {
        assert!(a.0 == b.0 && a.0 == c.0, "presets print the same keys");
        if a != b || b != c {
            writeln!(text, "| `{}` | {} | {} | {} |", a.0, a.1, b.1, c.1).unwrap();
        }
    }
    text.push('\n');
    text
}

fn default_document() -> String {
    format!("\n```toml\n{}```\n\n", Policy::default().to_toml())
}

/// What stands before, in and after the part of the page called `name`.
fn part<'a>(page: &'a str, name: &str) -> [&'a str; 3] {
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
    let start = page.find(&begin).expect(&begin) + begin.len();
    let length = page[start..].find(&end).expect(&end);
    [&page[..start], &page[start..start + length], &page[start + length..]]
}

#[test]
fn the_page_agrees_with_the_table() {
    let page = page();
    let mut expected = page.clone();
    for (name, text) in [
        ("keys", key_tables()),
        ("presets", preset_table()),
        ("default document", default_document()),
    ] {
        let [before, _, after] = part(&expected, name);
        expected = [before, &text, after].concat();
    }
    if std::env::var_os("RAMPMETER_UPDATE_DOCS").is_some() {
        fs::write(PAGE, expected).expect(PAGE);
        return;
    }
    let differs = page.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert_eq!(differs, None, "out of date: run again with RAMPMETER_UPDATE_DOCS=1");
    assert_eq!(page.len(), expected.len(), "out of date: see RAMPMETER_UPDATE_DOCS above");
}

/// Fenced blocks of the page that are marked `kind`.
fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_examples_on_the_page_are_read() {
    let page = page();
    let read = |text| Policy::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let toml: Vec<Policy> = blocks(&page, "toml").into_iter().map(read).collect();
    let json = blocks(&page, "json");
    // The page says that its JSON is its first TOML again, and ends with the default.
    assert_eq!(Policy::from_json(json[0]).as_ref(), Ok(&toml[0]));
    assert_ne!(toml[0], Policy::default());
    assert_eq!(toml.last(), Some(&Policy::default()));
}

#[test]
fn the_sentences_on_the_page_are_said() {
    let page = page();
    let [_, list, _] = part(&page, "sentences");
    let rows: Vec<&str> = list.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() >= 5, "{rows:?}");
    for row in rows {
        let cells = row.trim_start_matches("| `").trim_end_matches(" |");
        let (text, sentence) = cells.split_once("` | ").expect(row);
        let error = Policy::from_toml(&text.replace("\\n", "\n")).expect_err(text);
        assert_eq!(error.to_string(), sentence);
    }
}
