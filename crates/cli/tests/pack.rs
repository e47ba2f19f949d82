//! `pack`: the table and the figures of the example, and input that is wrong.

use std::path::Path;

use rampmeter_cli::{EXIT_RAN, EXIT_USAGE, run};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pack");

/// Exit code, standard output, standard error.
fn pack(nodes: &str, more: &[&str]) -> (u8, String, String) {
    let tasks = Path::new(FOLDER).join("tasks.csv").display().to_string();
    let args = [&["rampmeter", "pack", "--nodes", nodes, "--tasks", &tasks], more].concat();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(args, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[track_caller]
fn printed(more: &[&str]) -> String {
    let (code, out, err) = pack(&format!("{FOLDER}/nodes.csv"), more);
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "{more:?}");
    out
}

#[test]
fn the_example_is_packed_by_every_policy() {
    let names = ["rampmeter", "fgd", "best_fit", "dot_product", "packing", "clustering"];
    let all = [&names[..], &["random", "spread", "naive"]].concat();
    let out = printed(&["--policy", &all.join(","), "--seeds", "2"]);
    assert!(out.starts_with("openb:tasks.csv, mean of 2 seeds\n"), "{out}");
    for name in all {
        assert!(out.lines().any(|line| line.trim_start().starts_with(name)), "{name}: {out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
}

#[test]
fn figures_are_there_for_each_list_policy_and_seed() {
    let more = ["--policy", "fgd,random", "--seeds", "2", "--until", "0.9", "--json", "-"];
    let figures: Value = serde_json::from_str(&printed(&more)).unwrap();
    assert_eq!(figures["schema"], 1);
    let runs = figures["runs"].as_array().unwrap();
    let whose: Vec<(&str, u64)> = runs
        .iter()
        .map(|run| (run["policy"].as_str().unwrap(), run["seed"].as_u64().unwrap()))
        .collect();
    assert_eq!(whose, [("fgd", 42), ("fgd", 43), ("random", 42), ("random", 43)]);
    for run in runs {
        assert_eq!(run["list"], "openb:tasks.csv");
        for curve in ["allocation_pct", "fragmentation_pct"] {
            let values = run[curve].as_array().unwrap();
            assert_eq!(values.len(), 91);
            assert!(values.iter().all(|value| (0.0..=100.0).contains(&value.as_f64().unwrap())));
        }
        assert!(run["decisions"].as_u64().unwrap() > 0);
        assert_eq!(run["new_shapes"].as_u64().unwrap() > 0, run["policy"] == "fgd");
        for of in ["decision_ns", "new_shape_ns"] {
            let ns = |key: &str| run[of][key].as_u64().unwrap();
            assert!(ns("p50") <= ns("p99") && ns("p99") <= ns("max"));
        }
    }
}

#[test]
fn wrong_input_is_one_sentence() {
    let nodes = format!("{FOLDER}/nodes.csv");
    for (nodes, more, parts) in [
        ("8x99", &[][..], &["8x99", "`99`", "0..=16"][..]),
        ("8x0", &[], &["8x0", "has no GPU"]),
        ("no.csv", &[], &["no.csv", "there is no such file"]),
        (&nodes, &["--policy", "bestfit"], &["--policy", "`best_fit`"]),
        (&nodes, &["--policy", "fgd,fgd"], &["--policy", "`fgd` is given twice"]),
        (&nodes, &["--until", "0"], &["--until", "0.01..=10"]),
        (&nodes, &["--seeds", "0"], &["--seeds", "1..=1000"]),
    ] {
        let (code, out, err) = pack(nodes, more);
        assert_eq!((code, out.as_str()), (EXIT_USAGE, ""), "{more:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(parts.iter().all(|part| err.contains(part)), "{parts:?} not in {err}");
    }
}
