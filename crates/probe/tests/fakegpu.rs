//! The same conditions through somebody else's stand-ins, where they are: `testbeds/fakegpu` of the
//! shared folder, built into a temporary one. Without them this says so and shows nothing.
#![cfg(all(feature = "nvml", feature = "cuda"))]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rampmeter_probe::cuda::{Cuda, Permission};
use rampmeter_probe::nvml::Nvml;
use rampmeter_probe::{Due, Probe, ordinal};
use tempfile::TempDir;

/// The stand-ins, built; none where they are not.
struct Stand {
    folder: TempDir,
}

impl Stand {
    fn built() -> Option<Self> {
        let shared = std::env::var_os("RAMPMETER_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            PathBuf::from,
        );
        let source = shared.join("testbeds/fakegpu");
        if !source.join("Makefile").exists() {
            println!("no stand-ins at {}: not tried", source.display());
            return None;
        }
        let folder = TempDir::new().unwrap();
        let make = Command::new("make")
            .arg("-C")
            .arg(&source)
            .arg(format!("B={}", folder.path().display()))
            .args(["all", "variants"])
            .output()
            .unwrap();
        assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
        let specs = folder.path().join("specs");
        fs::create_dir(&specs).unwrap();
        for spec in fs::read_dir(source.join("specs")).unwrap() {
            let spec = spec.unwrap();
            fs::copy(spec.path(), specs.join(spec.file_name())).unwrap();
        }
        Some(Self { folder })
    }

    /// What a process sees with this variant, description and environment, and its calls.
    fn seen(&self, variant: &str, spec: &str, more: &[(&str, &str)]) -> (String, String) {
        let at = self.folder.path();
        let (description, log) = (at.join("description"), at.join("log"));
        let text = fs::read_to_string(at.join("specs").join(spec)).unwrap_or(spec.to_owned());
        fs::write(&description, text).unwrap();
        let _ = fs::remove_file(&log);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"])
            .env_remove("CUDA_VISIBLE_DEVICES")
            .env_remove("CUDA_DEVICE_ORDER")
            .env("LD_LIBRARY_PATH", at.join(variant))
            .env("FAKEGPU_SPEC", &description)
            .env("FAKEGPU_LOG", &log)
            .envs(more.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        (text, fs::read_to_string(log).unwrap_or_default())
    }
}

#[test]
#[ignore = "run by the other one"]
fn in_a_process_of_its_own() {
    let mut nvml = Nvml::new();
    let snapshot = nvml.read(Due::ALL).clone();
    println!("condition: {:?}", snapshot.condition);
    for device in &snapshot.devices {
        println!(
            "{} {:?} {:?} free {:?} busy {:?} procs {}",
            device.uuid,
            device.kind,
            device.health,
            device.memory.value().map(|memory| (memory.free.0 >> 20, memory.basis)),
            device.utilization.value().map(|busy| busy.gpu_pct),
            snapshot.processes_of(device).len(),
        );
    }
    if std::env::var_os("RAMPMETER_TEST_CUDA").is_none() {
        return;
    }
    let mut cuda = Cuda::new(Permission::Start);
    let told: Vec<String> = {
        let devices = &cuda.read(Due::ALL).devices;
        devices.iter().map(|device| device.uuid.to_string()).collect()
    };
    println!("cuda: {:?} {told:?}", cuda.read(Due::ALL).condition);
    match ordinal::visible_here(&snapshot) {
        Ok(visible) => {
            let names: Vec<String> = visible
                .devices
                .iter()
                .map(|place| snapshot.devices[usize::from(*place)].uuid.to_string())
                .collect();
            println!("pure: {names:?}");
            println!("agree: {}", names == told);
        }
        Err(unclear) => println!("unclear: {unclear}"),
    }
}

#[test]
fn the_stand_ins_are_read_as_our_own() {
    let Some(stand) = Stand::built() else { return };
    let says = |variant: &str, spec: &str, parts: &[&str]| {
        let (text, log) = stand.seen(variant, spec, &[]);
        for part in parts {
            assert!(text.contains(part), "{spec}: {part} not in\n{text}");
        }
        assert!(!log.contains(" cu"), "CUDA was called:\n{log}");
        text
    };
    says("", "device 0\nfault nvmlInit_v2 rc=DRIVER_NOT_LOADED", &["DriverNotLoaded"]);
    says("", "device 0\nfault nvmlInit_v2 rc=LIB_RM_VERSION_MISMATCH", &["VersionMismatch"]);
    says("", "device 0\nfault nvmlInit_v2 rc=UNKNOWN", &["AccessLost"]);
    says("", "device 0\nfault nvmlInit_v2 rc=4711", &["code: 4711"]);
    says("", "driver_version 1", &["NoDevices"]);
    says("noinit", "device 0", &["NotTheDriver"]);
    says("noshutdown", "device 0", &["condition: Ready"]);
    says("nomeminfo", "device 0", &["condition: Ready", "free None"]);
    says("r470", "device 0\ntotal 16G\nused 1G\nreserved 512M", &["DriverV1", "14848"]);
    let mixed = says("", "mixed.txt", &["Unified Ready free Some", "HostEstimated", "Lost(Gone)"]);
    assert_eq!(mixed.matches(" Ready free Some").count(), 3, "the others are served:\n{mixed}");
    let cut = says("", "mig.txt", &["MIG-fa4e0003-1111-5000-8000-00000000000d Mig Ready free"]);
    assert_eq!(cut.matches(" Mig Ready free Some").count(), 3, "{cut}");
    assert_eq!(cut.matches("busy Some").count(), 1, "{cut}");
    let eight = says("", "h100x8.txt", &["condition: Ready"]);
    assert_eq!(eight.matches(" Gpu Ready free Some").count(), 8, "{eight}");
    says("", "device 0\nxid 0 79", &["Lost(Xid79)"]);
}

#[test]
fn numbers_are_those_of_cuda() {
    let Some(stand) = Stand::built() else { return };
    let by_address = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
    let asked = ("RAMPMETER_TEST_CUDA", "yes");
    let spec = "device 0\npci 0:9:0\nuuid GPU-aa000000-0000-4000-8000-000000000000\n\
                device 1\npci 0:3:0\nuuid GPU-ab000000-0000-4000-8000-000000000000\n\
                device 2\npci 0:41:0\nuuid GPU-cc000000-0000-4000-8000-000000000000\n";
    for spec in [spec, "mig.txt", "h100x8.txt"] {
        let lists = ["2,0", "0,9,1", "", "-1", "GPU-cc,0", "GPU-a,1", "GPU-ab,GPU-aa", "1"];
        let lists = lists.into_iter().chain(["MIG-fa4e0003-1111-5000-8000-000000000005,1"]);
        for list in lists.map(Some).chain([None]) {
            let list = list.map(|list| ("CUDA_VISIBLE_DEVICES", list));
            let env: Vec<_> = [asked, by_address].into_iter().chain(list).collect();
            let (text, _) = stand.seen("", spec, &env);
            assert!(text.contains("agree: true"), "{list:?}\n{text}");
        }
    }
    let (text, _) = stand.seen("", "mixed.txt", &[asked]);
    assert!(text.contains("unclear: the PCI address of a GPU"), "one is lost: {text}");
}
