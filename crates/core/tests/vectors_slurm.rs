//! Slurm's own figures for its two fair-share algorithms, to the six decimals that it prints.
//!
//! An association with a user is an account without children here. What users used adds up to their
//! accounts; what a row says of an account itself repeats that, or contradicts it, and is left out.

mod vectors;

use std::collections::HashMap;

use rampmeter::Nanos;
use rampmeter::share::{AccountId, Ledger, LedgerOptions, Ranked, Ranking, RawShares};
use serde_json::Value;
use vectors::{Format, files_of};

/// Slurm prints six decimals.
const ERROR_MAX: f64 = 0.5e-6 + 1e-12;

/// What `shares` says of an association with the shares of its parent.
const PARENT: &str = "SLURMDB_FS_USE_PARENT";

fn ledger() -> Ledger {
    let half_life = Nanos(1_000_000_000);
    Ledger::new(&LedgerOptions { accounts_max: 64, half_life, ..LedgerOptions::default() }).unwrap()
}

/// Account and user, as associations are named.
type Name = (String, String);

fn name(row: &Value, account: &str) -> Name {
    let text = |key: &str| row[key].as_str().unwrap().to_owned();
    (text(account), text("user"))
}

/// The tree of a file. Ids may repeat among users, which nobody stands below.
fn opened(ledger: &mut Ledger, file: &Value) -> HashMap<Name, AccountId> {
    let (mut by_id, mut by_name) = (HashMap::new(), HashMap::new());
    for row in file["associations"].as_array().unwrap() {
        let (id, parent) = (row["id"].as_u64().unwrap(), row["parent"].as_u64().unwrap());
        if parent == 0 {
            by_id.insert(id, None);
            continue;
        }
        let account = ledger.open(by_id[&parent], 1.0).unwrap();
        by_id.insert(id, Some(account));
        let shares = match &row["shares"] {
            Value::String(text) if text == PARENT => RawShares::Parent,
            number => RawShares::Number(number.as_f64().unwrap()),
        };
        ledger.set_raw_shares(account, shares).unwrap();
        let name = name(row, "acct");
        if !name.1.is_empty() {
            ledger.record_usage(Nanos(0), account, row["usage"].as_f64().unwrap()).unwrap();
        }
        assert!(by_name.insert(name, account).is_none(), "{row}");
    }
    by_name
}

#[test]
fn vectors_of_slurm_to_six_decimals() {
    for file in files_of(Format::SlurmRanking).into_iter().flatten() {
        let ranking = match file.content["ranking"].as_str() {
            Some("classic") => Ranking::Classic { damping: 1.0 },
            Some("fair_tree") => Ranking::FairTree,
            other => panic!("{}: unknown ranking {other:?}", file.name),
        };
        let mut ledger = ledger();
        let accounts = opened(&mut ledger, &file.content);
        let mut all = [Ranked::default(); 64];
        let users = ledger.rank_users(ranking, &mut all).unwrap();
        let expected = file.content["expected"].as_array().unwrap();
        for row in expected {
            let account = accounts[&name(row, "account")];
            let factor = ledger.factor(account, ranking).unwrap().unwrap();
            let wanted = row["factor"].as_f64().unwrap();
            assert!((factor - wanted).abs() <= ERROR_MAX, "{row}: {factor}");
            let listed = all[..users].iter().find(|entry| entry.account == account);
            assert!(listed.is_none_or(|entry| entry.factor == factor), "{row}");
        }
        assert!(!expected.is_empty(), "{} expects nothing", file.name);
        println!("{}: {} rows agree", file.name, expected.len());
    }
}
