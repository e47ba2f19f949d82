//! CUDA through a library that is really loaded: in processes of their own, since a process loads
//! it by name and once.
#![cfg(all(feature = "nvml", feature = "cuda"))]

mod support;

use std::process::Command;

use rampmeter_probe::cuda::{Cuda, Permission};
use rampmeter_probe::nvml::Nvml;
use rampmeter_probe::{Due, Probe};
use support::Fake;

const TWO: &str = "log\ncuda 1 0\n\
    gpu uuid=GPU-0a0a0a0a-0000-0000-0000-000000000000 name=A pci=0:1:0 total=1000 reserved=100 free=7\n\
    gpu uuid=GPU-0b0b0b0b-0000-0000-0000-000000000000 name=B pci=0:2:0\n";

/// What a process with this library and permission sees.
fn seen(fake: &Fake, permission: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", fake.folder())
        .env("RAMPMETER_TEST_PERMISSION", permission)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
#[ignore = "run by the others"]
fn in_a_process_of_its_own() {
    let permission = match std::env::var("RAMPMETER_TEST_PERMISSION").unwrap().as_str() {
        "look" => Permission::Look,
        "start" => Permission::Start,
        _ => Permission::MakeContexts,
    };
    let mut cuda = Cuda::new(permission);
    let rounds = if std::env::var_os("RAMPMETER_TEST_ROUNDS").is_some() { 2_000 } else { 1 };
    for _ in 1..rounds {
        cuda.read(Due::ALL);
    }
    let snapshot = cuda.read(Due::ALL);
    println!("cuda: {:?}", snapshot.condition);
    for device in &snapshot.devices {
        let (free, basis) =
            device.memory.value().map_or((None, None), |m| (Some(m.free.0), Some(m.basis)));
        println!(
            "{:?} {} {:?} {:?} {free:?} {basis:?}",
            device.cuda_ordinal, device.uuid, device.kind, device.health
        );
    }
    let mut nvml = Nvml::new();
    let mut all = nvml.read(Due::ALL).clone();
    println!("joined: {:?}", cuda.join(&mut all));
    let numbers: Vec<_> = all.devices.iter().map(|device| device.cuda_ordinal).collect();
    println!("numbers: {numbers:?}");
}

#[test]
fn looking_starts_nothing() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let text = seen(&fake, "look");
    assert!(text.contains("cuda: NotStarted"), "{text}");
    assert!(text.contains("numbers: [None, None]"), "{text}");
    let mut calls = fake.calls();
    calls.retain(|call| call.starts_with("cu"));
    calls.sort_unstable();
    calls.dedup();
    assert_eq!(calls, ["cuDeviceGetCount -1", "cuDriverGetVersion -1"]);
}

#[test]
fn numbers_are_joined_by_identifier() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let text = seen(&fake, "start");
    assert!(text.contains("cuda: Ready") && text.contains("joined: Ready"), "{text}");
    assert!(text.contains("numbers: [Some(1), Some(0)]"), "{text}");
    assert!(text.contains("Some(0) GPU-0b0b0b0b-0000-0000-0000-000000000000 Gpu Ready None None"));
    assert_eq!(fake.called("cuDevicePrimaryCtxRetain"), 0, "no context is made");
}

#[test]
fn contexts_are_made_where_that_is_asked_for_and_let_go() {
    let fake = Fake::nvml(TWO).and_cuda(&[]);
    let text = seen(&fake, "contexts");
    assert!(text.contains("Some(7) Some(CudaContext)"), "{text}");
    let counts =
        ["cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"].map(|call| fake.called(call));
    assert_eq!(counts, [4, 4], "two devices, read twice");
}

#[test]
fn every_condition_of_cuda_is_told() {
    for (code, condition) in [
        (100, "NoDevices"),
        (34, "StubLibrary"),
        (803, "VersionMismatch"),
        (802, "NotReady"),
        (999, "AccessLost"),
        (12_345, "Failed { call: Call(200), code: 12345 }"),
        (u32::MAX, "Failed { call: Call(200), code: 4294967295 }"),
    ] {
        let spec = format!("{TWO}when cuInit answer={code}\n");
        let text = seen(&Fake::nvml(&spec).and_cuda(&[]), "start");
        assert!(text.contains(&format!("cuda: {condition}")), "{code}: {text}");
    }
}

#[test]
fn one_device_that_fails_leaves_the_others_served() {
    let spec = format!("{TWO}when cuDeviceGet dev=0 answer=999\n");
    let text = seen(&Fake::nvml(&spec).and_cuda(&[]), "start");
    assert!(text.contains("Some(0)  Gpu Unreachable"), "{text}");
    assert!(text.contains("Some(1) GPU-0a0a0a0a"), "{text}");
}

#[test]
fn missing_symbols_are_no_disaster() {
    let cases: [(&[&str], &str); 4] = [
        (&["cuInit"], "cuda: NotTheDriver"),
        (&["cuDeviceGetCount"], "cuda: Failed { call: Call(202), code: 500 }"),
        (&["cuDeviceGetUuid_v2"], "Some(0) GPU-0b0b0b0b"),
        (&["cuMemGetInfo_v2", "cuDeviceGetName", "cuCtxGetCurrent"], "cuda: Ready"),
    ];
    for (hidden, expected) in cases {
        let text = seen(&Fake::nvml(TWO).and_cuda(hidden), "contexts");
        assert!(text.contains(expected), "{hidden:?}: {text}");
    }
}

#[test]
fn an_instance_has_its_own_identifier_or_none() {
    let spec = "cuda 1\ngpu uuid=GPU-0a0a0a0a-0000-0000-0000-000000000000 mig=1\n\
                instance gi=1 name=H100_MIG_1g.10gb \
                uuid=MIG-0c0c0c0c-0000-0000-0000-000000000000\n";
    let text = seen(&Fake::nvml(spec).and_cuda(&[]), "start");
    assert!(text.contains("Some(0) MIG-0c0c0c0c-0000-0000-0000-000000000000 Mig"), "{text}");
    assert!(text.contains("numbers: [None, Some(0)]"), "{text}");
    let text = seen(&Fake::nvml(spec).and_cuda(&["cuDeviceGetUuid_v2"]), "start");
    assert!(text.contains("Some(0)  Mig"), "not that of its GPU: {text}");
}

#[test]
fn no_answer_makes_it_panic() {
    for seed in 0..3 {
        let fake = Fake::nvml(&format!("gpu\nfuzz {seed}\n")).and_cuda(&[]);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"])
            .env("LD_LIBRARY_PATH", fake.folder())
            .env("RAMPMETER_TEST_PERMISSION", "contexts")
            .env("RAMPMETER_TEST_ROUNDS", "many")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
