//! Recorded figures of other schedulers' dominant shares, held against ours.
//!
//! Two things are not ours and are put together here from public functions: shares of
//! signed amounts, and shares without a total, which upstream takes to be the amounts themselves.
//! The figures for a hierarchy are what its authors meant: upstream never held its code to them.

mod vectors;

use rampmeter::share::dominant::{ResourceShares, entitlement, share};
use rampmeter::share::{AccountId, Amounts, Ledger, LedgerOptions};
use serde_json::{Map, Value};
use vectors::{Format, cases, files_of};

#[test]
fn vectors_of_dominant_shares_agree() {
    for file in files_of(Format::DominantShare).into_iter().flatten() {
        let cases = cases(&file);
        for case in cases {
            match (case["src"].as_str().unwrap(), case["fn"].as_str().unwrap()) {
                ("yunikorn", "GetFairShare") => fair_share(case),
                ("yunikorn", "GetShares") => sorted_shares(case),
                ("yunikorn", "CompUsageRatio") => usage_ratio(case),
                ("yunikorn", "CompareShares") => compared_shares(case),
                ("yunikorn", "FairnessRatio") => fairness_ratio(case),
                ("yunikorn", "CompUsageRatioSeparately") => separate_usage_ratio(case),
                ("volcano", "HDRF") => hierarchy(case),
                unknown => panic!("{}: unknown function {unknown:?}", file.name),
            }
        }
        println!("{}: {} cases agree", file.name, cases.len());
    }
}

/// Amounts by the name of their resource; none for `null`.
fn amounts(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => value.as_f64().unwrap(),
    }
}

/// An amount that cannot be negative: upstream, one below zero counts as none.
fn unsigned(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| {
        assert!(value.as_i64().unwrap() < 0);
        0
    })
}

fn entitled_share(held: &Value, guaranteed: &Value, allowed: &Value) -> f64 {
    let of = |amounts: &Value, name: &str| amounts.get(name).map(unsigned);
    let shares: Vec<f64> = amounts(held)
        .unwrap()
        .iter()
        .map(|(name, held)| {
            let total = entitlement(of(guaranteed, name), of(allowed, name));
            share(unsigned(held), total.expect("some total"))
        })
        .collect();
    ResourceShares::new(&shares).unwrap().dominant()
}

fn fair_share(case: &Value) {
    let found = entitled_share(&case["allocated"], &case["guaranteed"], &case["fairmax"]);
    assert_eq!(found, number(&case["expected"]), "{case}");
}

/// Shares of signed amounts; an amount without a total is its own share.
fn signed_shares(held: &Value, total: &Value) -> ResourceShares {
    let of_one = |(name, held): (&String, &Value)| {
        let total = total.get(name).map_or(0.0, number);
        match number(held) {
            0.0 => 0.0,
            held if total == 0.0 => held,
            held => held / total,
        }
    };
    let shares: Vec<f64> = amounts(held).into_iter().flatten().map(of_one).collect();
    ResourceShares::new(&shares).unwrap()
}

fn listed(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().map(number).collect()
}

/// Upstream sorts the smallest first.
fn sorted_shares(case: &Value) {
    let mut expected = listed(&case["expected"]);
    expected.reverse();
    assert_eq!(signed_shares(&case["res"], &case["total"]).as_slice(), expected, "{case}");
}

fn compared(one: &ResourceShares, other: &ResourceShares, expected: &Value) {
    assert_eq!(one.compare(other) as i64, expected.as_i64().unwrap(), "{one:?} {other:?}");
    assert_eq!(other.compare(one), one.compare(other).reverse());
}

fn usage_ratio(case: &Value) {
    let of = |side: &str| signed_shares(&case[side], &case["total"]);
    compared(&of("left"), &of("right"), &case["expected"]);
}

fn compared_shares(case: &Value) {
    let of = |side: &str| ResourceShares::new(&listed(&case[side])).unwrap();
    compared(&of("left"), &of("right"), &case["expected"]);
}

fn fairness_ratio(case: &Value) {
    let of = |side: &str| signed_shares(&case[side], &case["total"]);
    let (found, expected) = (of("left").ratio(&of("right")), number(&case["expectedRatio"]));
    let infinite = case["expectedIsInf"].as_bool().unwrap();
    assert_eq!(found.is_infinite(), infinite, "{case}");
    // Upstream's own quotient of two quotients is rounded in the last place.
    let allowed = f64::EPSILON * expected.abs();
    assert!(found == expected || (found - expected).abs() <= allowed, "{found}: {case}");
}

fn separate_usage_ratio(case: &Value) {
    let of = |side: &str| {
        let field = |name: &str| &case[format!("{side}{name}")];
        let share = entitled_share(field("Allocated"), field("Guaranteed"), field("FairMax"));
        ResourceShares::new(&[share]).unwrap()
    };
    compared(&of("left"), &of("right"), &case["expectedRatio"]);
}

/// The account with this path, opened with all above it that are not open yet.
fn opened(ledger: &mut Ledger, known: &mut Vec<(String, AccountId)>, queue: &Value) -> AccountId {
    let (path, weights) = (queue["path"].as_str().unwrap(), queue["weights"].as_str().unwrap());
    let (mut above, mut way) = (None, String::new());
    // The first is the root.
    for (step, weight) in path.split('/').zip(weights.split('/')).skip(1) {
        way = format!("{way}/{step}");
        let open = known.iter().find(|(known, _)| *known == way).map(|(_, account)| *account);
        above = Some(open.unwrap_or_else(|| {
            let account = ledger.open(above, weight.parse().unwrap()).unwrap();
            known.push((way.clone(), account));
            account
        }));
    }
    above.unwrap()
}

fn hierarchy(case: &Value) {
    let amounts_of = |value: &Value| {
        let mut amounts = Amounts::ZERO;
        amounts.0[0] = value["cpu_milli"].as_u64().unwrap();
        amounts.0[1] = value["memory"].as_u64().unwrap();
        amounts
    };
    let options =
        LedgerOptions { accounts_max: 64, resources: 2, dominant: true, ..Default::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    let capacity = amounts_of(&case["node"]);
    ledger.set_capacity(&capacity).unwrap();
    let (mut known, mut jobs) = (Vec::new(), Vec::new());
    for queue in case["queues"].as_array().unwrap() {
        let account = opened(&mut ledger, &mut known, queue);
        for job in case["jobs"].as_array().unwrap() {
            if job["queue"] == queue["path"] {
                let task = amounts_of(&job["task"]);
                ledger.set_next_task(account, Some(&task)).unwrap();
                let tasks_max = job["tasks"].as_u64().unwrap();
                jobs.push((job["id"].as_str().unwrap(), account, task, tasks_max, 0_u64));
            }
        }
    }
    let mut free = capacity;
    while let Some(next) = ledger.most_deserving().unwrap() {
        let (_, _, task, tasks_max, tasks) = jobs.iter_mut().find(|job| job.1 == next).unwrap();
        if *tasks == *tasks_max || task.0.iter().zip(&free.0).any(|(task, free)| task > free) {
            ledger.set_next_task(next, None).unwrap();
            continue;
        }
        *tasks += 1;
        free.0.iter_mut().zip(&task.0).for_each(|(free, task)| *free -= task);
        ledger.allocate(next, task).unwrap();
    }
    for (name, tasks) in case["expect_tasks"].as_object().unwrap() {
        let job = jobs.iter().find(|job| job.0 == name).unwrap();
        assert_eq!(Some(job.4), tasks.as_u64(), "{name} of {}", case["name"]);
    }
}
