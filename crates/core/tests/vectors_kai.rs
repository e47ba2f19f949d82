//! Division of capacity against the recorded cases of KAI-Scheduler's own tests.
//!
//! GPUs are divided in milli-GPU by units of whole ones, CPU and memory by ones, as there.

mod vectors;

use rampmeter::share::{Claim, Excess, Level, divide_level};
use serde_json::{Value, json};
use vectors::{Format, VectorFile, cases, files, files_of, format};

/// Amounts of a GPU are fractions there and thousandths here.
const fn unit_of(resource: &str) -> u64 {
    if matches!(resource.as_bytes(), b"gpu") { 1000 } else { 1 }
}

/// A number in units of the resource; `null` is `u64::MAX`, what is missing is 0.
fn amount(of: &Value, field: &str, resource: &str) -> u64 {
    match of.get(field) {
        None => 0,
        Some(Value::Null) => u64::MAX,
        Some(value) => {
            let scaled = value.as_f64().unwrap() * unit_of(resource) as f64;
            assert_eq!(scaled.fract(), 0.0, "{field} = {value} is no whole number of milli-GPU");
            scaled as u64
        }
    }
}

/// Fails on a field that nobody reads: it could change the answer.
fn assert_known(of: &Value, known: &[&str]) {
    let unknown = of.as_object().unwrap().keys().find(|key| !known.contains(&key.as_str()));
    assert!(unknown.is_none(), "unknown field {unknown:?}");
}

fn claim(id: u32, queue: &Value, resource: &str, over_quota_only: bool) -> Claim {
    assert_known(queue, &["id", "priority", "created_rank", "gpu", "cpu", "memory"]);
    let priority = queue["priority"].as_i64().unwrap() as i32;
    let opened_at = queue["created_rank"].as_u64().unwrap();
    let claim = Claim { id, over_quota_priority: priority, opened_at, ..Claim::default() };
    let Some(share) = queue.get(resource) else { return claim };
    let known =
        ["allocated", "deserved", "fair_share", "max_allowed", "over_quota_weight", "request"];
    assert_known(share, &known);
    // Over quota alone: what it begins with is all that is guaranteed.
    let quota = if over_quota_only { "fair_share" } else { "deserved" };
    Claim {
        quota: amount(share, quota, resource),
        limit: amount(share, "max_allowed", resource),
        request: amount(share, "request", resource),
        over_quota_weight: share["over_quota_weight"].as_f64().unwrap(),
        ..claim
    }
}

/// Divides one resource of a case, and compares.
fn check(case: &Value, resource: &str, over_quota_only: bool) {
    let queues = case["queues"].as_array().unwrap();
    let mut claims: Vec<_> =
        (0..).zip(queues).map(|(id, queue)| claim(id, queue, resource, over_quota_only)).collect();
    let mut total = amount(&case["total"], resource, resource);
    if over_quota_only {
        // There the total is what is left over.
        total += claims.iter().map(|claim| claim.quota).sum::<u64>();
    }
    let level = Level {
        total,
        unit: unit_of(resource),
        usage_weight: case["k"].as_f64().unwrap(),
        excess: Excess::Keep,
    };
    let left = divide_level(&level, &mut claims).unwrap();
    if case["resource"] == resource {
        assert_eq!(left, amount(case, "expect_remaining", resource), "remaining {resource}");
    }
    for (claim, queue) in claims.iter().zip(queues) {
        let id = queue["id"].as_str().unwrap();
        let expected = &case["expect_fair_share"][id];
        assert_known(expected, &["gpu", "cpu", "memory"]);
        assert_eq!(claim.share, amount(expected, resource, resource), "{resource} of queue {id}");
    }
}

/// The cases of a file that were checked.
fn check_file(file: &VectorFile) -> usize {
    let cases = cases(file);
    for case in cases {
        let known = ["name", "fn", "k", "total", "queues", "expect_fair_share", "expect_remaining"];
        assert_known(case, &[&known[..], &["resource"]].concat());
        match case["fn"].as_str() {
            Some("setResourceShare") => check(case, case["resource"].as_str().unwrap(), false),
            Some("divideOverQuotaResource") => {
                check(case, case["resource"].as_str().unwrap(), true);
            }
            Some("SetResourcesShare") => {
                for resource in ["gpu", "cpu", "memory"] {
                    check(case, resource, false);
                }
            }
            unknown => panic!("{}: unknown function {unknown:?}", file.name),
        }
    }
    cases.len()
}

#[test]
fn vectors_of_kai_are_matched() {
    for file in files_of(Format::Kai).into_iter().flatten() {
        println!("{}: {} cases agree", file.name, check_file(&file));
    }
}

#[test]
fn vectors_of_every_file_have_a_format_that_is_known() {
    for file in files().into_iter().flatten() {
        println!("{}: {:?}", file.name, file.format);
    }
    let stranger = json!({ "meta": { "source": "somebody else" }, "cases": [{ "fn": "f" }] });
    assert_eq!(format(&stranger), None);
}

#[test]
#[should_panic(expected = "unknown function Some(\"divideByDice\")")]
fn vectors_of_an_unknown_function_fail() {
    let content = json!({ "cases": [{ "name": "", "fn": "divideByDice" }] });
    check_file(&VectorFile { name: String::new(), format: Format::Kai, content });
}
