//! The command as a user meets it: exit codes, one sentence for what is wrong, nothing written.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use rampmeter_cli::{EXIT_CHECK_FAILED, EXIT_RAN, EXIT_USAGE, run};

/// Exit code, standard output, standard error.
fn rampmeter(args: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args: Vec<&str> = std::iter::once("rampmeter").chain(args.iter().copied()).collect();
    let code = run(args, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Refused with one sentence that has all of these in it, and no output.
#[track_caller]
fn refused(args: &[&str], parts: &[&str]) {
    let (code, out, err) = rampmeter(args);
    assert_eq!(code, EXIT_USAGE, "{args:?}: {err}");
    assert_eq!(out, "", "{args:?}");
    assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    for part in parts {
        assert!(err.contains(part), "{args:?}: {part} not in {err}");
    }
}

const REPLAY: [&str; 6] = ["replay", "serving", "--trace", "x.csv", "--engine", "llama-3.1-8b"];

fn replay<'a>(more: &[&'a str]) -> Vec<&'a str> {
    REPLAY.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn wrong_usage_is_one_sentence() {
    refused(&[], &["--help"]);
    refused(&["hihgway"], &["hihgway", "highway"]);
    refused(&["highway", "--laod", "1"], &["--laod", "--load"]);
    refused(&["highway", "--seed", "x"], &["--seed", "x"]);
    refused(&["replay", "serving", "--engine", "llama-3.1-8b"], &["--trace"]);
    refused(&["validate", "--measured", "x"], &["--tables"]);
    for load in ["nan", "inf", "-1", "0", "1e9", "1,x"] {
        let load = format!("--load={load}");
        refused(&["highway", &load], &["--load", "0.001..=1000"]);
    }
    refused(&["highway", "--minutes", "0"], &["--minutes", "0.1..=1440"]);
    for bad in ["-1", "0", "1.5", "x", "99999999999"] {
        refused(&["highway", &format!("--seats={bad}")], &["--seats", bad, "1..=1000000"]);
        refused(&["fit", "--tables", "x", &format!("--tp={bad}")], &["--tp", bad, "1..=1024"]);
    }
    for bad in ["0", "-1", "1001", "x"] {
        refused(&["highway", &format!("--seeds={bad}")], &["--seeds", bad, "1..=1000"]);
    }
    let last = format!("--seed={}", u64::MAX);
    refused(&["highway", &last, "--seeds", "2"], &["--seeds", "2 seeds from"]);
    for bad in ["2", "0@1", "2@-1", "nan@1", "1e9@1"] {
        let bad = format!("--slowdown={bad}");
        refused(&["highway", &bad], &["--slowdown", "FACTOR@SECONDS", "0.01..=100"]);
    }
    refused(&["highway", "--show", "gain"], &["--show", "gain"]);
    let twice = "fcfs+chunk=1/2,fcfs+chunk=01/2";
    refused(&["highway", "--policy", twice], &["`fcfs+chunk=1/2` is given twice"]);
    refused(&["highway", "--seed=-1"], &["--seed", "0..=18446744073709551615"]);
    refused(&["highway", "--policy", "vtc,fcfs,vtc"], &["--policy", "`vtc` is given twice"]);
    refused(&["highway", "--load", "1,0.5,1.0"], &["--load", "`1` is given twice"]);
}

#[test]
fn unknown_names_meet_the_nearest_known_one() {
    refused(&replay(&["--policy", "rampmetre"]), &["`rampmetre`", "did you mean `rampmeter`?"]);
    refused(&replay(&["--policy", "fcfs,past_future"]), &["did you mean `past-future`?"]);
    refused(&replay(&["--policy", "fcfs+chunky=3"]), &["`chunky`", "did you mean `chunk`?"]);
    refused(&replay(&["--policy", "fcfs+chunk=0"]), &["chunk=0"]);
    refused(&replay(&["--policy", "no-such.toml"]), &["no-such.toml"]);
    refused(&replay(&["--policy", "vtc", "--mix", "c"]), &["--mix", "`c`"]);
    refused(&["highway", "--preset", "chatt"], &["--preset", "`chatt`", "chat"]);
    refused(&["highway", "--engine", "llama-3-8b"], &["--engine", "llama-3.1-8b"]);
}

#[test]
fn gates_that_cannot_be_are_named() {
    let with = |gate: &'static str| replay(&["--policy", "fcfs", "--gate", gate]);
    refused(&with("rampmetre"), &["--gate", "`rampmetre`", "did you mean `rampmeter`?"]);
    refused(&with("cap=0"), &["--gate", "cap=0", "1..=1000000"]);
    refused(&with("none,cap=7,none"), &["--gate", "`none` is given twice"]);
    refused(&["highway", "--gate", "cap"], &["--gate", "`cap`"]);
}

#[test]
fn routers_and_replicas_that_cannot_be_are_named() {
    let with = |more: &[&'static str]| replay(&[&["--policy", "fcfs"], more].concat());
    refused(&with(&["--router", "dynamite"]), &["--router", "`dynamite`", "`dynamo`"]);
    refused(&with(&["--router", "p2c,p2c"]), &["--router", "p2c"]);
    refused(&with(&["--replicas", "2"]), &["--replicas", "--router"]);
    refused(&with(&["--replicas", "1025", "--router", "p2c"]), &["--replicas", "1..=1024"]);
}

#[test]
fn outputs_that_cannot_be_written_are_found_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name).display().to_string();
    let there = folder.path().display().to_string();
    refused(&["highway", "--report", &there], &[&there, "folder"]);
    let deep = inside("no/such/folder/x.html");
    refused(&["highway", "--report", &deep], &[&deep, "cannot be written"]);
    refused(&["highway", "--json", &deep], &[&deep]);
    refused(&["highway", "--picture", &deep], &[&deep]);
    let one = inside("one");
    refused(&["highway", "--report", &one, "--json", &one], &["--json", "--report"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html").display().to_string();
    let small = ["highway", "--minutes", "0.1", "--load", "0.5", "--policy", "fcfs"];
    let full = ["--report", &page, "--json", "/dev/full"];
    refused(&[&small[..], &full].concat(), &["/dev/full", "cannot be written"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_document_without_an_end_is_refused() {
    refused(&["policy", "check", "/dev/zero"], &["/dev/zero: is longer than 201326592 bytes"]);
    let endless = tempfile::tempdir().unwrap();
    fs::create_dir(endless.path().join("vllm")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", endless.path().join("vllm/meta.json")).unwrap();
    let measured = endless.path().display().to_string();
    refused(
        &["validate", "--measured", &measured, "--tables", "x"],
        &["meta.json: is longer than 201326592 bytes"],
    );
}

#[test]
fn a_run_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.html");
    fs::write(&report, "earlier").unwrap();
    let path = report.display().to_string();
    refused(&replay(&["--policy", "fcfs", "--report", &path]), &[]);
    assert_eq!(fs::read_to_string(&report).unwrap(), "earlier");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_small_run_leaves_table_page_picture_and_figures() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (page, picture, json) = (at("page.html"), at("picture.svg"), at("runs.json"));
    let small = ["highway", "--minutes", "0.2", "--load", "0.5,1", "--policy", "fcfs,rampmeter"];
    let with = |more: &[&str]| rampmeter(&[&small[..], more].concat());
    let (code, out, err) = with(&["--report", &page, "--picture", &picture, "--json", &json]);
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""));
    assert!(out.contains("fcfs") && out.contains("rampmeter") && out.contains(&page), "{out}");
    assert!(out.lines().filter(|line| !line.contains(&at(""))).all(|l| l.chars().count() <= 80));
    assert!(fs::read_to_string(&page).unwrap().contains("<svg"));
    assert!(fs::read_to_string(&picture).unwrap().starts_with("<svg"));
    let text = fs::read_to_string(&json).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed["schema"], 1);
    assert_eq!(parsed["runs"].as_array().unwrap().len(), 4);
    assert_eq!(parsed["runs"][3]["policy"], "rampmeter");
    // The same bytes again, and nothing but them where standard output was asked for.
    assert_eq!(with(&["--json", "-"]), (EXIT_RAN, text, String::new()));
}

/// The runs of `--json` for this command.
fn runs_of(args: &[&str]) -> Vec<serde_json::Value> {
    let (code, out, err) = rampmeter(&[args, &["--json", "-"]].concat());
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "{args:?}");
    let parsed: serde_json::Value = serde_json::from_str(&out).unwrap();
    parsed["runs"].as_array().unwrap().clone()
}

const SMALL: [&str; 5] = ["highway", "--minutes", "0.2", "--load", "0.5,1"];

#[test]
fn seeds_are_the_runs_of_each_seed() {
    let policies = ["--policy", "fcfs,rampmeter"];
    let with = |more: &[&str]| runs_of(&[&SMALL[..], &policies, more].concat());
    let together = with(&["--seed", "7", "--seeds", "2"]);
    let (first, second) = (with(&["--seed", "7"]), with(&["--seed", "8"]));
    // Policy by policy, load by load, seed by seed.
    let one_by_one: Vec<_> = first.into_iter().zip(second).flat_map(|(a, b)| [a, b]).collect();
    assert_eq!(together, one_by_one);
    assert_eq!(together[1]["seed"], 8);
}

#[test]
fn each_policy_runs_behind_each_gate() {
    let with = |gate: &str| runs_of(&[&SMALL[..], &["--policy", "vtc", "--gate", gate]].concat());
    let (both, alone) = (with("none,cap=1"), with("none"));
    let (open, capped) = both.split_at(alone.len());
    assert_eq!(open, alone);
    assert!(capped.iter().all(|run| run["gate"] == "cap=1"));
    let refused = |runs: &[serde_json::Value]| {
        runs.iter().filter_map(|run| run["refused"].as_u64()).sum::<u64>()
    };
    assert!(refused(capped) > refused(open));
}

#[test]
fn a_row_of_chunks_is_its_best_variant() {
    let class = |run: &serde_json::Value| run["classes"]["interactive"]["attainment"].as_f64();
    let with = |policy: &str| runs_of(&[&SMALL[..], &["--policy", policy]].concat());
    let best = with("fcfs+chunk=64/2048");
    let (small, large) = (with("fcfs+chunk=64"), with("fcfs+chunk=2048"));
    for (best, (small, large)) in best.iter().zip(small.iter().zip(&large)) {
        let wanted = if class(large) > class(small) { large } else { small };
        assert_eq!(best["policy"], "fcfs+chunk=64/2048");
        assert_eq!(best["variant"], wanted["policy"]);
        assert_eq!(best["classes"], wanted["classes"]);
    }
}

#[test]
fn every_view_is_a_table_and_a_slower_engine_is_named() {
    for (view, head) in
        [("users", "busy"), ("gains", "done"), ("memory", "again"), ("fairness", "bound")]
    {
        let more = ["--policy", "vtc,rampmeter", "--show", view, "--slowdown", "1.5@2"];
        let (code, out, err) = rampmeter(&[&SMALL[..], &more].concat());
        assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "{view}");
        assert!(out.contains(head), "{view}: {out}");
        assert!(out.contains("steps x1.5 from 2 s on"), "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    }
    let slow = |slowdown: &str| {
        let more = ["--policy", "fcfs", "--slowdown", slowdown];
        runs_of(&[&SMALL[..], &more].concat())[1]["elapsed_s"].as_f64().unwrap()
    };
    assert!(slow("2@0") > slow("2@1e6") * 1.5, "loads are those of the engine as it was");
}

#[test]
fn policy_documents_are_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (code, shown, _) = rampmeter(&["policy", "show", "interactive"]);
    assert_eq!(code, EXIT_RAN);
    fs::write(at("good.toml"), &shown).unwrap();
    let (code, out, err) = rampmeter(&["policy", "check", &at("good.toml")]);
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "what is shown can be read");
    assert!(out.contains("valid"), "{out}");
    fs::write(at("bad.toml"), "[batch]\nlate_ration = 0.1\n").unwrap();
    let (code, out, err) = rampmeter(&["policy", "check", &at("bad.toml")]);
    assert_eq!((code, out.as_str()), (EXIT_CHECK_FAILED, ""));
    assert!(err.contains("bad.toml:2") && err.contains("late_ratio"), "{err}");
    refused(&["policy", "check", &at("absent.toml")], &["absent.toml"]);
    refused(&["policy", "show", "balnced"], &["balnced"]);
    let bad = at("bad.toml");
    refused(&["highway", "--policy", &bad], &["bad.toml", "late_ratio"]);
    let (_, out, _) = rampmeter(&["policy", "presets"]);
    assert!(["interactive", "balanced", "throughput"].iter().all(|name| out.contains(name)));
}

#[test]
fn help_lists_every_name() {
    for (args, names) in [
        (
            &["--help"][..],
            &["highway", "replay", "pack", "validate", "fit", "share", "policy", "Exit codes"][..],
        ),
        (
            &["highway", "--help"],
            &[
                "rampmeter",
                "fcfs",
                "priority",
                "sarathi",
                "vtc",
                "past-future",
                "+chunk=N",
                "+triage",
                "+chunk=N/N/...",
                "+output-cost=N",
                "+spare=N%",
                "llama-3.1-8b",
                "chat",
                "pair",
                "single",
                "--seeds",
                "--slowdown",
                "users",
                "gains",
                "memory",
                "fairness",
            ],
        ),
        (
            &["replay", "serving", "--help"],
            &[
                "azure",
                "mooncake",
                "lengths",
                "servegen",
                "csv",
                "past-future",
                "llama-3.1-8b",
                "--kv-blocks",
                "--step-tokens",
                "--router",
            ],
        ),
        (
            &["pack", "--help"],
            &["rampmeter", "fgd", "naive", "best_fit", "spread", "NxG[:MODEL]", "--until", "1.3"],
        ),
        (&["validate", "--help"], &["--max-error", "--kv-blocks"]),
        (&["fit", "--help"], &["--tp", "engine.toml"]),
        (&["share", "--help"], &["sshare", "associations", "--ranking", "--account"]),
        (&["policy", "show", "--help"], &["interactive", "balanced", "throughput"]),
    ] {
        let (code, out, err) = rampmeter(args);
        assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "{args:?}");
        for name in names {
            assert!(out.contains(name), "{args:?}: {name} not in {out}");
        }
        let lines = out.lines().filter(|line| !line.starts_with("Usage:"));
        let widest = lines.map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{args:?}: {widest} columns");
    }
    assert_eq!(rampmeter(&["--version"]).1, format!("rampmeter {}\n", env!("CARGO_PKG_VERSION")));
}

/// A reader that has gone away.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_no_disaster() {
    let mut err = Vec::new();
    assert_eq!(run(["rampmeter", "--help"], &mut Closed, &mut err), EXIT_RAN);
    assert_eq!(err, b"");
    assert_eq!(run(["rampmeter", "nonsense"], &mut Closed, &mut Closed), EXIT_USAGE);
}

#[test]
fn the_binary_is_the_same_command() {
    let binary = Path::new(env!("CARGO_BIN_EXE_rampmeter"));
    let wrong = std::process::Command::new(binary).arg("hihgway").output().unwrap();
    assert_eq!(wrong.status.code(), Some(i32::from(EXIT_USAGE)));
    assert_eq!(String::from_utf8(wrong.stderr).unwrap(), rampmeter(&["hihgway"]).2);
}

#[test]
fn a_cluster_is_replayed() {
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/cluster/jobs.csv");
    let args = ["replay", "cluster", "--nodes", "4x8", "--tasks", jobs, "--policy", "best_fit"];
    let (code, out, err) = rampmeter(&[&args[..], &["--queue", "fifo,srtf"]].concat());
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""));
    assert!(out.contains("4x8: 32 GPUs") && out.contains("csv:jobs.csv: 120"), "{out}");
    let (code, out, _) = rampmeter(&[&args[..], &["--queue", "easy", "--json", "-"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["schema"].as_u64()), (EXIT_RAN, Some(1)));
    assert_eq!(json["runs"][0]["completed"], 120);
    assert!(json["runs"][0]["accounts"]["research"]["jct_s"]["p99"].as_f64() > Some(0.0));
    for (option, value, said) in [
        ("--queue", "srtff", "did you mean `srtf`?"),
        ("--queue", "easy,easy", "given twice"),
        ("--restart", "-1", "0..=31536000"),
        ("--mtbf", "0", "1..=1000000000"),
    ] {
        refused(&[&args[..], &[&format!("{option}={value}")]].concat(), &[option, said]);
    }
    let nodes = ["replay", "cluster", "--tasks", jobs, "--nodes", "8x17"];
    refused(&nodes, &["8x17", "0..=16"]);
    let absent = ["replay", "cluster", "--nodes", "1x1", "--tasks", "no-such.csv"];
    refused(&absent, &["no-such.csv", "no such file"]);
}
