//! Every condition that a driver can be in, through a library that is really loaded.
#![cfg(feature = "nvml")]

mod support;

use rampmeter::{Bytes, Nanos};
use rampmeter_probe::device::{DeviceKind, Health, Loss, MemoryBasis};
use rampmeter_probe::nvml::Nvml;
use rampmeter_probe::{Call, Condition, Due, Probe, Reading, Snapshot};
use support::Fake;

const GIB: u64 = 1 << 30;

/// What one reading of everything gives.
fn read(fake: &Fake) -> Snapshot {
    fake.probe().read(Due::ALL).clone()
}

/// The condition when the first call answers so.
fn begins_with(code: u32) -> Condition {
    read(&Fake::nvml(&format!("gpu\nwhen nvmlInit_v2 answer={code}"))).condition
}

#[test]
fn without_a_library_there_is_no_driver() {
    let mut probe = Nvml::with_library("/nowhere/libnvidia-ml.so.1");
    let snapshot = probe.read(Due::ALL);
    assert_eq!((snapshot.condition, snapshot.devices.len()), (Condition::NoDriver, 0));
    // A file of that name that is no library.
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(Nvml::with_library(file.path()).read(Due::ALL).condition, Condition::NoDriver);
}

#[test]
fn a_library_that_is_not_the_driver_is_told_apart() {
    let fake = Fake::nvml_without(&["nvmlInit_v2"], "gpu");
    assert_eq!(read(&fake).condition, Condition::NotTheDriver);
}

#[test]
fn what_the_first_call_answers_is_the_condition() {
    assert_eq!(begins_with(9), Condition::DriverNotLoaded);
    assert_eq!(begins_with(18), Condition::VersionMismatch);
    assert_eq!(begins_with(999), Condition::AccessLost);
    assert_eq!(begins_with(4), Condition::Denied);
    assert_eq!(begins_with(27), Condition::NotReady);
    let code = 12_345;
    assert_eq!(begins_with(code), Condition::Failed { call: Call::INIT, code });
    let code = u32::MAX;
    assert_eq!(begins_with(code), Condition::Failed { call: Call::INIT, code });
}

#[test]
fn no_devices_is_a_success() {
    let snapshot = read(&Fake::nvml("driver 570.1"));
    assert_eq!((snapshot.condition, snapshot.devices.len()), (Condition::NoDevices, 0));
    assert!(snapshot.condition.is_success());
    assert_eq!(snapshot.driver.version.as_str(), "570.1");
}

#[test]
fn a_repaired_driver_is_seen_by_the_same_probe() {
    let fake = Fake::nvml("gpu\nwhen nvmlInit_v2 answer=18");
    let mut probe = fake.probe();
    assert_eq!(probe.read(Due::ALL).condition, Condition::VersionMismatch);
    fake.becomes("gpu uuid=GPU-a");
    let snapshot = probe.read(Due::MEMORY);
    assert_eq!((snapshot.condition, snapshot.devices.len()), (Condition::Ready, 1));
    assert!(snapshot.devices[0].power.value().is_some(), "everything is read where all is new");
}

#[test]
fn one_lost_device_leaves_the_others_served() {
    for (code, loss) in [(15, Loss::Gone), (16, Loss::ResetRequired)] {
        let three = "gpu uuid=GPU-a\ngpu uuid=GPU-b\ngpu uuid=GPU-c\n";
        let fake = Fake::nvml(three);
        let mut probe = fake.probe();
        assert!(probe.read(Due::ALL).devices.iter().all(|gpu| gpu.health == Health::Ready));
        fake.becomes(&format!("{three}when nvmlDeviceGet* dev=1 answer={code}"));
        let lost = |snapshot: &Snapshot| {
            let healths: Vec<Health> = snapshot.devices.iter().map(|gpu| gpu.health).collect();
            assert_eq!(healths, [Health::Ready, Health::Lost(loss), Health::Ready]);
            let b = snapshot.device("GPU-b").expect("it keeps its name");
            assert!(matches!(b.memory, Reading::Failed { code: told, .. } if told == code));
            assert_eq!(b.memory.fresh(Nanos(0), Nanos::MAX), None);
            assert!(snapshot.devices[2].memory.value().is_some());
        };
        lost(probe.read(Due::MEMORY));
        lost(probe.read(Due::ALL));
        // It was lost before the probe began: its name is not known, all else is.
        let mut late = fake.probe();
        let snapshot = late.read(Due::ALL);
        assert_eq!((snapshot.condition, snapshot.devices.len()), (Condition::Ready, 3));
        assert_eq!(snapshot.devices[1].health, Health::Lost(loss));
        fake.becomes(three);
        let back = probe.read(Due::ALL);
        assert!(back.devices.iter().all(|gpu| gpu.health == Health::Ready), "{loss:?}");
        assert_eq!(back.devices[1].uuid.as_str(), "GPU-b");
    }
}

#[test]
fn a_lost_device_is_asked_for_its_memory_only() {
    let fake = Fake::nvml("log\ngpu\ngpu\nwhen nvmlDeviceGetMemoryInfo_v2 dev=0 answer=15");
    let mut probe = fake.probe();
    probe.read(Due::ALL);
    let before = fake.calls().len();
    probe.read(Due::MEMORY.and(Due::UTILIZATION).and(Due::CONDITION).and(Due::PROCESSES));
    let asked: Vec<String> =
        fake.calls().split_off(before).into_iter().filter(|line| line.ends_with(" 0")).collect();
    assert_eq!(asked, ["nvmlDeviceGetMemoryInfo_v2 0"]);
}

#[test]
fn xid_79_loses_a_device_and_others_are_counted() {
    let fake = Fake::nvml("gpu\ngpu\nxid 0 13\nxid 0 31\nxid 1 79");
    let mut probe = fake.probe();
    let snapshot = probe.read(Due::ALL);
    let events = snapshot.devices[0].xid.value().unwrap();
    assert_eq!((events.count, events.last), (2, 31));
    assert_eq!(snapshot.devices[0].health, Health::Ready);
    assert_eq!(snapshot.devices[1].health, Health::Lost(Loss::Xid79));
    // A new inventory does not forget it.
    let snapshot = probe.read(Due::ALL);
    assert_eq!(snapshot.devices[1].health, Health::Lost(Loss::Xid79));
    assert_eq!(snapshot.devices[0].xid.value().unwrap().count, 2);
}

#[test]
fn memory_of_the_host_stands_in_only_where_it_is_shared() {
    let fake = Fake::nvml("gpu cc=12.1 memory=none\ngpu cc=9.0 memory=none");
    let snapshot = read(&fake);
    let [unified, discrete] = snapshot.devices[..] else { panic!() };
    let memory = unified.memory.value().expect("the host tells its memory");
    assert_eq!((unified.kind, memory.basis), (DeviceKind::Unified, MemoryBasis::HostEstimated));
    assert!(memory.total > Bytes(0) && memory.free <= memory.total);
    assert_eq!((discrete.kind, discrete.memory), (DeviceKind::Gpu, Reading::Unsupported));
}

const CUT: &str = "gpu uuid=GPU-p cc=9.0 mig=1 total=85899345920 free=80000000000 util=50,50\n\
    instance uuid=MIG-1 gi=1 ci=0 total=42949672960 free=42000000000 used=1 reserved=0\n\
    instance uuid=MIG-5 gi=5 ci=2 total=21474836480 free=20000000000 used=1 reserved=0\n\
    gpu uuid=GPU-q\n";

#[test]
fn a_parent_that_may_not_be_read_has_instances_that_may() {
    let fake = Fake::nvml(&format!("{CUT}when nvmlDeviceGetMemoryInfo_v2 dev=0 answer=4"));
    let snapshot = read(&fake);
    let uuids: Vec<&str> = snapshot.devices.iter().map(|device| device.uuid.as_str()).collect();
    assert_eq!(uuids, ["GPU-p", "MIG-1", "MIG-5", "GPU-q"], "gaps between instances are passed");
    let [parent, first, second, whole] = snapshot.devices[..] else { panic!() };
    assert_eq!(parent.memory, Reading::Denied);
    assert_eq!(first.memory.value().unwrap().free, Bytes(42_000_000_000));
    assert_eq!((first.kind, first.parent), (DeviceKind::Mig, Some(0)));
    assert_eq!(snapshot.gpu_of(&second).uuid.as_str(), "GPU-p");
    let instance = second.instance.unwrap();
    assert_eq!((instance.gpu, instance.compute), (Some(5), Some(2)));
    assert_eq!(second.compute_capability, parent.compute_capability);
    for device in [parent, first, second] {
        assert_eq!(device.utilization, Reading::Unsupported);
    }
    assert_eq!(whole.utilization.value().unwrap().gpu_pct, 0);
    assert_eq!((first.power, parent.power.value().is_some()), (Reading::Unsupported, true));
}

#[test]
fn access_that_is_lost_under_way_is_told_and_comes_back() {
    let fake = Fake::nvml("gpu\ngpu");
    let mut probe = fake.probe();
    assert_eq!(probe.read(Due::ALL).condition, Condition::Ready);
    fake.becomes("gpu\ngpu\nwhen nvml* answer=999");
    let snapshot = probe.read(Due::MEMORY);
    assert_eq!(snapshot.condition, Condition::AccessLost);
    assert_eq!(probe.read(Due::MEMORY).condition, Condition::AccessLost);
    // One device alone says nothing about the access.
    fake.becomes("gpu\ngpu\nwhen nvmlDeviceGetMemoryInfo_v2 dev=0 answer=999");
    let snapshot = probe.read(Due::MEMORY);
    assert_eq!(snapshot.condition, Condition::Ready);
    assert_eq!(snapshot.devices[0].memory, Reading::Failed { call: Call::MEMORY_V2, code: 999 });
    fake.becomes("gpu\ngpu");
    assert!(probe.read(Due::MEMORY).devices[0].memory.value().is_some());
}

#[test]
fn a_driver_that_somebody_else_closed_is_opened_again() {
    let fake = Fake::nvml("log\ngpu");
    let mut probe = fake.probe();
    probe.read(Due::ALL);
    fake.becomes("log\ngpu\nwhen nvmlDeviceGetMemoryInfo_v2 answer=1 count=1");
    let failed = Reading::Failed { call: Call::MEMORY_V2, code: 1 };
    assert_eq!(probe.read(Due::MEMORY).devices[0].memory, failed);
    assert!(probe.read(Due::MEMORY).devices[0].memory.value().is_some());
    assert_eq!(fake.called("nvmlInit_v2"), 2);
}

#[test]
fn processes_that_are_not_told_do_not_make_a_device_idle() {
    let fake = Fake::nvml("gpu proc=41:1073741824 proc=42:n/a\ngpu\ngpu proc=1:5");
    let mut probe = fake.probe();
    let snapshot = probe.read(Due::ALL);
    let of = |at: usize| snapshot.processes_of(&snapshot.devices[at]);
    let told: Vec<_> = of(0).iter().map(|process| (process.pid, process.memory)).collect();
    assert_eq!(told, [(41, Some(Bytes(GIB))), (42, None)]);
    assert_eq!((of(1).len(), of(2).len()), (0, 1));
    fake.becomes("gpu\nwhen nvmlDeviceGetComputeRunningProcesses_v3 answer=4");
    assert_eq!(probe.read(Due::ALL).devices[0].processes, Reading::Denied);
}

#[test]
fn lists_of_processes_are_read_in_every_layout_that_there_was() {
    for stride in [16, 24, 32] {
        let fake = Fake::nvml(&format!("stride {stride}\ngpu proc=7:64 proc=8:128 proc=9:192"));
        let snapshot = read(&fake);
        let told: Vec<_> = snapshot
            .processes_of(&snapshot.devices[0])
            .iter()
            .map(|process| (process.pid, process.memory.unwrap().0))
            .collect();
        assert_eq!(told, [(7, 64), (8, 128), (9, 192)], "{stride} bytes");
    }
}

/// What a driver of series 470 lacks.
const SINCE_470: [&str; 4] = [
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetNumaNodeId",
];

#[test]
fn an_old_driver_is_read_by_its_own_calls() {
    let spec = "log\ngpu total=1000 free=600 used=300 reserved=100 throttle=4 numa=1 proc=9:64";
    let fake = Fake::nvml_without(&SINCE_470, spec);
    let mut probe = fake.probe();
    let snapshot = probe.read(Due::ALL).clone();
    let gpu = &snapshot.devices[0];
    let memory = gpu.memory.value().unwrap();
    assert_eq!((memory.free, memory.used), (Bytes(600), Some(Bytes(400))));
    assert_eq!((memory.reserved, memory.basis), (None, MemoryBasis::DriverV1));
    assert_eq!(gpu.throttle.value().unwrap().0, 4);
    assert_eq!((gpu.numa.value(), snapshot.processes[0].pid), (Some(&1), 9));
    // A current driver that refuses the version that it was asked in.
    let fake = Fake::nvml("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 answer=25");
    assert_eq!(read(&fake).devices[0].memory.value().unwrap().basis, MemoryBasis::DriverV1);
}

#[test]
fn whatever_is_missing_is_unsupported_and_nothing_panics() {
    let all: Vec<&str> = Call::ALL
        .iter()
        .map(|call| call.name())
        .filter(|name| name.starts_with("nvml") && !name.starts_with("nvmlInit"))
        .collect();
    // Each alone.
    for name in &all {
        let snapshot = read(&Fake::nvml_without(&[name], "gpu mig=1\ninstance gi=1\ngpu"));
        match *name {
            "nvmlDeviceGetCount_v2" => {
                let expected = Condition::Failed { call: Call::COUNT, code: 13 };
                assert_eq!(snapshot.condition, expected);
            }
            "nvmlDeviceGetHandleByIndex_v2" => {
                assert!(snapshot.devices.iter().all(|gpu| gpu.health == Health::Unreachable));
            }
            _ => assert_eq!(snapshot.condition, Condition::Ready, "{name}"),
        }
    }
    // All that describe.
    let described = all
        .iter()
        .filter(|name| !["nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"].contains(*name));
    let fake = Fake::nvml_without(&described.copied().collect::<Vec<_>>(), "gpu");
    let snapshot = read(&fake);
    let gpu = &snapshot.devices[0];
    assert_eq!((gpu.health, gpu.memory), (Health::Ready, Reading::Unsupported));
    assert_eq!((gpu.power, gpu.xid), (Reading::Unsupported, Reading::Unsupported));
    assert!(gpu.uuid.is_empty() && gpu.name.is_empty());
}

#[test]
fn unknown_codes_are_only_numbers() {
    for code in [12_345, 30, u32::MAX] {
        let fake = Fake::nvml(&format!("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 answer={code}"));
        let gpu = read(&fake).devices[0];
        assert_eq!(gpu.memory, Reading::Failed { call: Call::MEMORY_V2, code });
        assert_eq!(gpu.health, Health::Ready);
    }
}

#[test]
fn numbers_that_cannot_be_are_no_readings() {
    let spec = "gpu total=100 free=101 util=101,5 power=4294967295,1 clocks=4294967295,7";
    let gpu = read(&Fake::nvml(spec)).devices[0];
    assert_eq!(gpu.memory, Reading::Failed { call: Call::MEMORY_V2, code: 0 });
    assert_eq!(gpu.utilization, Reading::Failed { call: Call::UTILIZATION, code: 0 });
    assert_eq!(gpu.power, Reading::Failed { call: Call::POWER, code: 0 });
    assert_eq!(gpu.clocks, Reading::Failed { call: Call::CLOCK, code: 0 });
    // A call that claims to succeed and writes nothing.
    let gpu = read(&Fake::nvml("gpu\nwhen nvmlDeviceGet* answer=0")).devices;
    assert!(gpu.is_empty(), "not even a count was written");
    let gpu = read(&Fake::nvml("gpu\nwhen nvmlDeviceGetM* answer=0")).devices[0];
    assert_eq!(gpu.memory, Reading::Failed { call: Call::MEMORY_V2, code: 0 });
}

#[test]
fn devices_that_may_not_be_opened_are_counted_and_the_rest_is_read() {
    let snapshot = read(&Fake::nvml("gpu\ngpu\nwhen nvmlDeviceGetHandleByIndex_v2 dev=0 answer=4"));
    assert_eq!(snapshot.devices[0].health, Health::Unreachable);
    assert_eq!(snapshot.devices[0].memory, Reading::Denied);
    assert!(snapshot.devices[1].memory.value().is_some());
}

#[test]
fn more_devices_than_there_are_places_for_are_counted() {
    let fake = Fake::nvml(&"gpu\n".repeat(130));
    let snapshot = read(&fake);
    assert_eq!((snapshot.devices.len(), snapshot.devices_left_out), (128, 2));
}

#[test]
fn what_was_opened_is_given_back_once_and_can_be_opened_again() {
    let fake = Fake::nvml("log\ngpu");
    let mut probe = fake.probe();
    probe.read(Due::ALL);
    probe.close();
    probe.close();
    let given = ["nvmlShutdown", "nvmlEventSetFree"].map(|name| fake.called(name));
    assert_eq!(given, [1, 1]);
    assert!(probe.read(Due::MEMORY).devices[0].memory.value().is_some());
    drop(probe);
    assert_eq!((fake.called("nvmlInit_v2"), fake.called("nvmlShutdown")), (2, 2));
    // Dropping is safe where there is nothing to close with.
    let fake = Fake::nvml_without(&["nvmlShutdown"], "gpu");
    assert_eq!(read(&fake).condition, Condition::Ready);
}

#[test]
fn a_group_that_is_not_due_ages_and_makes_no_call() {
    let fake = Fake::nvml("log\ngpu");
    let mut probe = fake.probe();
    let first = probe.read(Due::ALL).clone();
    let before = fake.calls().len();
    std::thread::sleep(std::time::Duration::from_millis(5));
    let second = probe.read(Due::UTILIZATION).clone();
    assert_eq!(fake.calls().split_off(before), ["nvmlDeviceGetUtilizationRates 0"]);
    let age = |snapshot: &Snapshot| match snapshot.devices[0].memory {
        Reading::Ok { age, .. } => age,
        other => panic!("{other:?}"),
    };
    let passed = second.taken_at.saturating_sub(first.taken_at);
    assert_eq!(age(&second), age(&first).saturating_add(passed));
    assert_eq!((first.seq, second.seq), (1, 2));
}
