//! Snapshots as JSON: what is written is read back, and nothing else is believed.
#![cfg(all(feature = "nvml", feature = "fixture"))]

mod support;

use std::fs;

use rampmeter::{Bytes, Nanos};
use rampmeter_probe::document::Document;
use rampmeter_probe::fixture::Fixture;
use rampmeter_probe::snapshot::Path;
use rampmeter_probe::{Condition, Due, Probe, Reading, Snapshot, Source, clock};
use support::Fake;

/// A bit of everything that a driver can answer.
const MACHINE: &str = "driver 570.1\n\
    gpu uuid=GPU-a name=H100 pci=0:1b:0 numa=0 cpus=0xff0f peers=1,1 util=40,7 throttle=0x84 \
    proc=7:64 proc=8:n/a\n\
    gpu uuid=GPU-b pci=0:1c:0 numa=1 links=4 power=1,2\n\
    gpu uuid=GPU-c mig=1\ninstance uuid=MIG-1 gi=1 ci=3\ninstance uuid=MIG-3 gi=3\n\
    gpu uuid=GPU-d cc=12.1 memory=none\n\
    gpu uuid=GPU-e\ngpu uuid=GPU-f cc=7.5\n\
    when nvmlDeviceGetMemoryInfo_v2 dev=6 answer=15\n\
    when nvmlDeviceGetPowerUsage dev=7 answer=4\n\
    when nvmlDeviceGetTemperature dev=7 answer=12345\n\
    xid 0 63\n";

fn machine() -> Snapshot {
    Fake::nvml(MACHINE).probe().read(Due::ALL).clone()
}

/// Ages go through seconds, which are exact to a nanosecond.
#[test]
fn what_is_written_is_read_back() {
    let snapshot = machine();
    assert_eq!(snapshot.devices.len(), 8);
    let document = Document::from(&snapshot);
    let text = serde_json::to_string_pretty(&document).unwrap();
    let again = Document::from_json(&text).unwrap();
    assert_eq!(again, document);
    let mut read = again.snapshot(snapshot.taken_at).unwrap();
    read.seq = snapshot.seq;
    assert_eq!(read, snapshot);
    assert_eq!(Document::from(&read), document);
}

#[test]
fn topology_is_told_by_identifier() {
    let snapshot = machine();
    let device = |uuid| snapshot.device(uuid).unwrap();
    assert_eq!(snapshot.nvlinks_between(device("GPU-a"), device("GPU-b")), 2);
    assert_eq!(snapshot.nvlinks_between(device("GPU-b"), device("GPU-a")), 0, "as it says itself");
    assert_eq!(snapshot.path(device("GPU-a"), device("GPU-b")), Path::System);
    assert_eq!(snapshot.path(device("GPU-d"), device("MIG-3")), Path::Node);
    assert_eq!(device("GPU-a").cpus.value().unwrap().to_string(), "0-3,8-15");
    assert_eq!(device("GPU-a").numa.value(), Some(&0));
}

#[test]
fn a_fixture_of_a_few_keys_is_a_machine() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let short = r#"{"devices": [{"uuid": "GPU-x", "memory":
        {"status": "ok", "total_bytes": 100, "free_bytes": 60}}]}"#;
    fs::write(file.path(), short).unwrap();
    let mut fixture = Fixture::open(file.path()).unwrap();
    let snapshot = fixture.read(Due::ALL);
    assert_eq!((snapshot.source, snapshot.condition), (Source::Fixture, Condition::Ready));
    assert_eq!(snapshot.device("gpu-X").unwrap().memory.value().unwrap().free, Bytes(60));
    assert_eq!(snapshot.devices[0].utilization, Reading::Unsupported);
    assert!(snapshot.age(clock::now()) < Nanos::from_millis(60_000));
    // The machine changes, then is gone.
    fs::write(file.path(), r#"{"status": {"condition": "version_mismatch"}}"#).unwrap();
    assert_eq!(fixture.read(Due::MEMORY).condition, Condition::VersionMismatch);
    fs::write(file.path(), "{").unwrap();
    let snapshot = fixture.read(Due::MEMORY);
    assert!(matches!(snapshot.condition, Condition::Failed { code: 0, .. }));
    drop(file);
    assert!(matches!(fixture.read(Due::MEMORY).condition, Condition::Failed { code: 2, .. }));
}

#[test]
fn what_no_probe_can_have_read_is_refused_by_name() {
    let memory =
        |values: &str| format!(r#"{{"devices": [{{"memory": {{"status": "ok", {values}}}}}]}}"#);
    let device = |key: &str| format!(r#"{{"devices": [{{{key}}}]}}"#);
    let cases = [
        (memory(r#""total_bytes": 1, "free_bytes": 2"#), "free_bytes"),
        (memory(r#""total_bytes": 2, "free_bytes": 2, "used_bytes": 3"#), "used_bytes"),
        (memory(r#""total_bytes": 2, "free_bytes": 2, "age_s": -1"#), "memory"),
        (memory(r#""total_bytes": -2, "free_bytes": 2"#), "line 1"),
        (device(r#""kind": "tpu""#), "tpu"),
        (device(r#""health": "unwell""#), "unwell"),
        (device(r#""colour": 1"#), "colour"),
        (device(r#""parent_uuid": "GPU-y""#), "parent_uuid"),
        (device(r#""cpus": {"status": "ok", "list": "0-9999"}"#), "9999"),
        (device(r#""pci": {"status": "ok", "address": "x"}"#), "address"),
        (r#"{"status": {"condition": "fine"}}"#.to_owned(), "status.condition"),
        (r#"{"schema": 2}"#.to_owned(), "schema"),
        (r#"{"paths": [{"a": "GPU-1", "b": "GPU-2", "path": "SYS"}]}"#.to_owned(), "paths"),
        (format!(r#"{{"devices": [{}{{}}]}}"#, "{},".repeat(128)), "devices"),
    ];
    for (text, part) in cases {
        let refused = Document::from_json(&text)
            .and_then(|document| document.snapshot(Nanos(0)).map(drop))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(part), "{part} not in {refused}");
        assert_eq!(refused.lines().count(), 1);
    }
}
