//! Recorded dominant shares of borrowed quota, held against ours.
//!
//! Cohorts and queues are accounts; a queue's or cohort's limit is its quota and its borrowing
//! limit together.

mod vectors;

use rampmeter::share::borrow::borrowed_permille;
use rampmeter::share::quota::AMOUNT_MAX;
use rampmeter::share::{AccountId, AccountQuota, Amounts, Ledger, LedgerOptions};
use serde_json::Value;
use vectors::{Format, cases, files_of};

#[test]
fn vectors_of_borrowed_shares_agree() {
    for file in files_of(Format::Borrowing).into_iter().flatten() {
        let cases = cases(&file);
        for case in cases {
            Case::new(case).check();
        }
        println!("{}: {} cases agree", file.name, cases.len());
    }
}

/// A quantity as Kubernetes writes it, in thousandths: 500m, 2, 1k, 1E.
fn thousandths(text: &str) -> u128 {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let scale = match &text[digits.len()..] {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "E" => 1_000_000_000_000_000_000_000,
        unknown => panic!("unknown suffix {unknown}"),
    };
    digits.parse::<u128>().unwrap() * scale
}

/// A quota in scheduler units: CPU in thousandths, others in whole ones; at most what an account
/// can have.
fn quantity(resource: &str, text: &str) -> u64 {
    let amount = if resource == "cpu" { thousandths(text) } else { thousandths(text) / 1_000 };
    u64::try_from(amount).unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX)
}

struct Case<'a> {
    recorded: &'a Value,
    /// Resource and flavour together: each pair is a resource of ours.
    resources: Vec<String>,
    ledger: Ledger,
    accounts: Vec<(&'a str, AccountId)>,
}

impl<'a> Case<'a> {
    fn new(case: &'a Value) -> Self {
        let options = LedgerOptions {
            accounts_max: 16,
            resources: 8,
            borrowing: true,
            ..LedgerOptions::default()
        };
        let ledger = Ledger::new(&options).unwrap();
        let mut new = Self { recorded: case, resources: Vec::new(), ledger, accounts: Vec::new() };
        let cohorts = case["cohorts"].as_array().unwrap();
        // Each below one that is open already.
        for _ in cohorts {
            for cohort in cohorts {
                let parent = cohort["parent"].as_str().unwrap();
                if parent.is_empty() || new.account(parent).is_some() {
                    new.open(cohort, parent);
                }
            }
        }
        for queue in case["cluster_queues"].as_array().unwrap() {
            let cohort = queue["cohort"].as_str().unwrap();
            if new.account(cohort).is_none() {
                let account = new.ledger.open(None, 1.0).unwrap();
                new.accounts.push((cohort, account));
            }
            new.open(queue, cohort);
        }
        let first = new.account(case["cluster_queues"][0]["name"].as_str().unwrap()).unwrap();
        let usage = new.amounts(&case["usage_of_first_cq"]);
        new.ledger.allocate(first, &usage).unwrap();
        new
    }

    fn account(&self, name: &str) -> Option<AccountId> {
        self.accounts.iter().find(|account| account.0 == name).map(|account| account.1)
    }

    fn open(&mut self, entry: &'a Value, parent: &str) {
        let name = entry["name"].as_str().unwrap();
        if self.account(name).is_some() {
            return;
        }
        let weight =
            entry["fair_weight"].as_str().map_or(1.0, |text| thousandths(text) as f64 / 1_000.0);
        let account = self.ledger.open(self.account(parent), weight).unwrap();
        self.accounts.push((name, account));
        let mut rules = AccountQuota::default();
        for quota in entry["quotas"].as_array().unwrap() {
            let (place, resource) = (self.place(quota), quota["resource"].as_str().unwrap());
            let amount = |field: &str| {
                quota.get(field).map(|text| quantity(resource, text.as_str().unwrap()))
            };
            let nominal = amount("nominal").unwrap();
            rules.quota.0[place] = nominal;
            rules.limit.0[place] = amount("borrowing_limit").map_or(u64::MAX, |b| nominal + b);
            rules.lending_limit.0[place] = amount("lending_limit").unwrap_or(u64::MAX);
        }
        self.ledger.set_quota(account, &rules).unwrap();
    }

    /// Number of a resource of some flavour.
    fn place(&mut self, entry: &Value) -> usize {
        let pair = format!("{} {}", entry["resource"], entry["flavor"]);
        self.resources.iter().position(|known| *known == pair).unwrap_or_else(|| {
            self.resources.push(pair);
            self.resources.len() - 1
        })
    }

    fn amounts(&mut self, entries: &Value) -> Amounts {
        let mut amounts = Amounts::ZERO;
        for entry in entries.as_array().unwrap() {
            amounts.0[self.place(entry)] += entry["amount"].as_u64().unwrap();
        }
        amounts
    }

    fn check(mut self) {
        let extra = self.amounts(&self.recorded["extra_request"]);
        for want in self.recorded["want"].as_array().unwrap() {
            let account = self.account(want["name"].as_str().unwrap()).unwrap();
            let found = self.ledger.borrowed_share_with(account, &extra).unwrap();
            let context = format!("{} in {}: {found:?}", want["name"], self.recorded["name"]);
            // The largest number that upstream has.
            let permille = found.permille.min(i64::MAX as u64);
            assert_eq!(Some(permille), want["share"].as_u64(), "{context}");
            assert_eq!(Some(found.borrowing), want["borrowing"].as_bool(), "{context}");
            let dominant = found.resource.map_or("", |resource| {
                self.resources[resource as usize].split('"').nth(1).unwrap()
            });
            assert_eq!(Some(dominant), want["dominant"].as_str(), "{context}");
        }
    }
}

/// Upstream's answer for a weight of zero, which accounts cannot have.
#[test]
fn whoever_borrows_with_no_weight_has_borrowed_more_than_anybody() {
    assert_eq!(borrowed_permille(1, 10, 0.0), u64::MAX);
    assert_eq!(borrowed_permille(0, 10, 0.0), 0);
}
