//! Prints what the benches measured, and holds instruction counts against the baseline.
//!
//! ```text
//! figures table FOLDER            what criterion wrote into FOLDER; RAMPMETER_BENCH as for it
//! figures gate COUNTS BASELINE    fails if a count is too far above the baseline
//! figures update COUNTS BASELINE  writes the baseline
//! ```

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use rampmeter_bench::grid::Point;
use rampmeter_bench::instructions::{Baseline, Verdict, compare, read};
use rampmeter_bench::table::{Medians, render, render_cluster, render_spots};

const BASELINE_HEAD: &str = "\
# Instructions of one call, by call and by its size (for the batch desk `running-waiting-accounts`):
# written by `make instructions-update`, held by `make instructions`. See docs/guides/benchmarks.md.

";

const USAGE: &str = "usage: table FOLDER | gate COUNTS BASELINE | update COUNTS BASELINE";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["table", folder] => table(Path::new(folder)),
        ["gate", counts, baseline] => gate(counts, baseline),
        ["update", counts, baseline] => update(counts, baseline),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(code) => code,
        Err(message) => {
            eprintln!("figures: {message}");
            ExitCode::FAILURE
        }
    }
}

fn table(folder: &Path) -> Result<ExitCode, String> {
    let points = Point::asked_for();
    let medians = Medians::read(folder, &points)?;
    let baseline = load(concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml"))?;
    println!("{}; commit {}; {}\n", machine(), commit(), compiler()?);
    println!("{}", render(&points, &medians, &baseline.counts));
    println!("{}", render_spots(&medians, &baseline.counts));
    println!("{}", render_cluster(folder, &baseline.counts)?);
    Ok(ExitCode::SUCCESS)
}

fn gate(counts: &str, baseline: &str) -> Result<ExitCode, String> {
    let counts = read(&text_of(counts)?)?;
    let (verdict, text) = compare(&load(baseline)?, &counts, &compiler()?);
    print!("{text}");
    Ok(if verdict == Verdict::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn update(counts: &str, path: &str) -> Result<ExitCode, String> {
    let baseline = Baseline { compiler: compiler()?, counts: read(&text_of(counts)?)? };
    let text = toml::to_string(&baseline).map_err(|error| error.to_string())?;
    fs::write(path, format!("{BASELINE_HEAD}{text}"))
        .map_err(|error| format!("{path}: {error}"))?;
    println!("instructions: wrote {path}");
    Ok(ExitCode::SUCCESS)
}

fn load(path: &str) -> Result<Baseline, String> {
    toml::from_str(&text_of(path)?).map_err(|error| format!("{path}: {error}"))
}

fn text_of(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// The compiler that cargo uses, and its target: both decide which instructions there are.
fn compiler() -> Result<String, String> {
    let rustc = std::env::var("RUSTC").unwrap_or("rustc".into());
    let text =
        output(&rustc, &["--version", "--verbose"]).ok_or(format!("{rustc} cannot be run"))?;
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown");
    Ok(format!("rustc {} ({}) {}", field("release: "), field("commit-date: "), field("host: ")))
}

/// With how busy it was: above one, what was measured shared its core with something else.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let name = name.map_or("unknown processor", |name| name.trim_start_matches(['\t', ':', ' ']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("unknown").to_string();
    format!("{name}, {cores} cores, load of the last five minutes {load}")
}

fn commit() -> String {
    output("git", &["describe", "--always", "--dirty"]).unwrap_or("unknown".into())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_string())
}
