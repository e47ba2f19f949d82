//! `probe`: machines of files, and why there is no GPU.

#[path = "../../probe/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use rampmeter_cli::{EXIT_RAN, EXIT_USAGE, run};
use serde_json::Value;
use support::Fake;

/// Exit code, standard output, standard error.
fn probe(more: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run([&["rampmeter", "probe"], more].concat(), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[track_caller]
fn printed(more: &[&str]) -> String {
    let (code, out, err) = probe(more);
    assert_eq!((code, err.as_str()), (EXIT_RAN, ""), "{more:?}");
    out
}

fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/probe/mixed.json");
    path.display().to_string()
}

#[test]
fn a_machine_is_this_table() {
    let out = printed(&["--fixture", &example()]);
    let expected = "\
Fixture; driver 580.95.05; CUDA 13.0
────────────────────────────────────────────────────────────────────────────────
 GPU                       name   free GiB       of   busy %     W   °C   procs
────────────────────────────────────────────────────────────────────────────────
 GPU-a1000000         H100 80GB       20.0     79.6       97   640   71       1
                           HBM3
 GPU-a2000000         H100 80GB     denied   denied        -   110   40       -
                           HBM3
   MIG-b1000000     MIG 3g.40gb       38.1     39.2        -     -    -       0
 GPU-a3000000         H100 80GB     err 15   err 15        -     -    -       -
                           HBM3
────────────────────────────────────────────────────────────────────────────────
GPU-a1000000: held back: sw_power_cap, hw_thermal
GPU-a3000000: lost: look at `dmesg`, reset it or reboot
";
    assert_eq!(out, expected);
}

#[test]
fn figures_are_a_machine_again() {
    let text = printed(&["--fixture", &example(), "--json", "-"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json["schema"].as_u64(), json["source"].as_str()), (Some(1), Some("fixture")));
    assert_eq!(json["status"]["condition"], "ready");
    let gpu = &json["devices"][0];
    assert_eq!(gpu["memory"]["status"], "ok");
    assert_eq!(gpu["memory"]["free_bytes"], 21_474_836_480_u64);
    assert_eq!(json["devices"][3]["memory"]["code"], 15);
    assert_eq!(json["devices"][3]["memory"].get("free_bytes"), None, "no number without a reading");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("machine.json");
    fs::write(&file, &text).unwrap();
    let again = printed(&["--fixture", &file.display().to_string(), "--json", "-"]);
    let devices = |text: &str| {
        let mut json: Value = serde_json::from_str(text).unwrap();
        json["devices"].take()
    };
    assert_eq!(devices(&again), devices(&text));
}

#[test]
fn no_gpu_is_an_answer_with_a_reason_and_a_remedy() {
    let out = printed(&["--library", "/nowhere/libnvidia-ml.so.1"]);
    assert!(out.starts_with("No GPUs: no NVIDIA driver library was found.\nTo do: "), "{out}");
    let json = printed(&["--library", "/nowhere/libnvidia-ml.so.1", "--json", "-"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["devices"], Value::Array(Vec::new()));
    assert_eq!(json["status"]["condition"], "no_driver");
    assert!(json["status"]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()));
    for condition in ["driver_not_loaded", "version_mismatch", "access_lost", "stub_library"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!(r#"{{"status": {{"condition": "{condition}"}}}}"#)).unwrap();
        let out = printed(&["--fixture", &file.path().display().to_string()]);
        assert!(out.starts_with("No GPUs: ") && out.contains("\nTo do: "), "{out}");
    }
}

#[test]
fn looks_follow_each_other() {
    let args = ["--fixture", &example(), "--watch", "0.2", "--looks", "3", "--json", "-"];
    let out = printed(&args);
    assert_eq!(out.lines().count(), 3);
    for line in out.lines() {
        let json: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (json["schema"].as_u64(), json["devices"].as_array().unwrap().len()),
            (Some(1), 4)
        );
    }
}

#[test]
fn wrong_usage_and_files_are_one_sentence() {
    let bad = tempfile::NamedTempFile::new().unwrap();
    fs::write(bad.path(), r#"{"devices": [{"kind": "tpu"}]}"#).unwrap();
    let bad = bad.path().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.json").display().to_string();
    let cases: [(&[&str], &str); 7] = [
        (&["--fixture", &bad], "`kind`: tpu"),
        (&["--fixture", "/nowhere.json"], "/nowhere.json"),
        (&["--watch", "0.1"], "0.2..=86400"),
        (&["--looks", "3"], "--watch"),
        (&["--watch", "1", "--json", &file], "--json -"),
        (&["--fixture", &bad, "--cuda"], "--cuda"),
        (&["--fixture", &bad, "--library", "x"], "--library"),
    ];
    for (args, part) in cases {
        let (code, out, err) = probe(args);
        assert_eq!((code, out.as_str()), (EXIT_USAGE, ""), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains(part), "{part} not in {err}");
    }
    assert!(!Path::new(&file).exists());
}

/// What the command prints in a process of its own that finds the fake driver's libraries: a process
/// loads CUDA by name and once.
fn seen(fake: &Fake, more: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_rampmeter"))
        .args(["probe", "--json", "-"])
        .args(more)
        .env("LD_LIBRARY_PATH", fake.folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const TWO: &str = "log\ncuda 1 0\n\
    gpu uuid=GPU-0a0a0a0a-0000-0000-0000-000000000000 name=A pci=0:1:0 free=7\n\
    gpu uuid=GPU-0b0b0b0b-0000-0000-0000-000000000000 name=B pci=0:2:0\n";

fn numbers(json: &Value) -> Vec<Option<u64>> {
    let devices = json["devices"].as_array().unwrap();
    devices.iter().map(|device| device["cuda_ordinal"].as_u64()).collect()
}

#[test]
fn cuda_tells_its_numbers_where_it_is_asked_for() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let json = seen(&fake, &[]);
    assert_eq!((numbers(&json), fake.called("cuInit")), (vec![None, None], 0));
    let json = seen(&fake, &["--cuda"]);
    assert_eq!((json["cuda"].as_str(), numbers(&json)), (Some("ready"), vec![Some(1), Some(0)]));
    assert_eq!(json["devices"][0]["memory"]["free_bytes"], 7, "the rest is NVML's");
    assert_eq!((fake.called("cuInit"), fake.called("cuDevicePrimaryCtxRetain")), (1, 0));
}

#[test]
fn where_nvml_has_nothing_the_gpus_are_those_of_cuda() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let json = seen(&fake, &["--cuda", "--library", "/nowhere/libnvidia-ml.so.1"]);
    assert_eq!((json["source"].as_str(), numbers(&json)), (Some("cuda"), vec![Some(0), Some(1)]));
    let fake = Fake::nvml("log\nwhen cuInit answer=803\n").and_cuda(&[]);
    let json = seen(&fake, &["--cuda"]);
    assert_eq!((json["cuda"].as_str(), numbers(&json)), (Some("version_mismatch"), vec![]));
}
