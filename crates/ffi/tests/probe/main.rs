//! The probe by its C functions says what it says in Rust, of a driver that is not one.
#![cfg(feature = "probe")]
#![allow(unsafe_code, reason = "these are calls as C makes them")]

mod bridges;
#[path = "../caller/mod.rs"]
mod caller;
mod clocks;
mod cuda;
mod poller;
mod same;
#[path = "../../../probe/tests/support/mod.rs"]
mod support;

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use ::rampmeter_probe::nvml::Nvml;
use ::rampmeter_probe::{Due, Probe};
use caller::{Said, sized};
use rampmeter::error::codes;
use rampmeter_ffi::probe::*;
use support::Fake;

/// Two GPUs that are joined, one that is cut, its instances, and one that is lost.
const MACHINE: &str = "driver 580.95\n\
    gpu uuid=GPU-a1 name=H100 pci=0:1b:0 cc=9.0 numa=1 total=80000 free=70000 used=9000 reserved=1000 \
    util=97,40 power=640000,700000 clocks=1980,2619 temp=71 throttle=68 cpus=5 links=2 proc=11:500 proc=12 \
    peers=1,2,3\n\
    gpu uuid=GPU-a2 name=H100 pci=0:43:0 cc=9.0 total=80000 free=80000 links=3\n\
    gpu uuid=GPU-a3 name=A30 pci=1:52:0 mig=1\n\
    instance uuid=MIG-b1 name=A30_1g gi=2 ci=0 total=100 free=50\n\
    instance uuid=MIG-b2 name=A30_1g gi=3 ci=1 total=100 free=60\n\
    gpu uuid=GPU-a4 name=A30 pci=1:90:0\n\
    xid 1 31\n\
    when nvmlDeviceGetMemoryInfo* dev=2 answer=4\n\
    when nvmlDeviceGetMemoryInfo* dev=5 answer=15\n\
    when nvmlDeviceGetPowerUsage dev=1 answer=3\n\
    when nvmlDeviceGetTemperature dev=1 answer=12345\n";

pub(crate) struct Snapshot(pub(crate) *mut rampmeter_snapshot);

impl Snapshot {
    pub(crate) fn new() -> Self {
        let mut seen = null_mut();
        // SAFETY: the place may be written.
        let status = unsafe { rampmeter_snapshot_create(&raw mut seen, null_mut()) };
        assert_eq!(status, codes::OK);
        Self(seen)
    }

    pub(crate) fn stats(&self) -> rampmeter_stats_snapshot {
        let mut stats = sized();
        // SAFETY: both are there.
        let status = unsafe {
            rampmeter_snapshot_stats(self.0, rampmeter_clock_ns(), &raw mut stats, null_mut())
        };
        assert_eq!(status, codes::OK);
        stats
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: it came from `create`.
        unsafe { rampmeter_snapshot_destroy(self.0) };
    }
}

/// A probe of this library.
pub(crate) struct Asked(pub(crate) *mut rampmeter_probe);

impl Asked {
    pub(crate) fn of(backend: u32, path: &str) -> Result<Self, (i32, String)> {
        let (mut probe, mut said, path) =
            (null_mut(), Said::nothing(), CString::new(path).unwrap());
        // SAFETY: a text that a zero closes, and places that may be written.
        let status =
            unsafe { rampmeter_probe_create(backend, path.as_ptr(), &raw mut probe, said.place()) };
        if status == codes::OK { Ok(Self(probe)) } else { Err((status, said.text())) }
    }

    pub(crate) fn read(&self, groups: u32, seen: &Snapshot) -> i32 {
        // SAFETY: both are there.
        unsafe { rampmeter_probe_read(self.0, groups, seen.0, null_mut()) }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // SAFETY: it came from `create`.
        unsafe { rampmeter_probe_destroy(self.0) };
    }
}

pub(crate) fn nvml(fake: &Fake) -> Asked {
    Asked::of(RAMPMETER_BACKEND_NVML, fake.library().to_str().unwrap()).unwrap()
}

fn text(pointer: *const c_char) -> &'static str {
    // SAFETY: a static text that a zero closes.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
}

#[test]
fn everything_that_is_read_can_be_read_from_c() {
    // One for each: an event is told once.
    let (fake, other) = (Fake::nvml(MACHINE), Fake::nvml(MACHINE));
    let mut core = Nvml::with_library(other.library());
    let (asked, seen) = (nvml(&fake), Snapshot::new());
    assert_eq!(asked.read(0, &seen), codes::OK);
    let snapshot = core.read(Due::ALL);
    assert_eq!(snapshot.devices.len(), 6, "{snapshot:?}");
    same::machine(&seen, snapshot);
    // Of what it is not asked for, it keeps the last word.
    for fake in [&fake, &other] {
        fake.becomes("gpu uuid=GPU-a1 free=5 temp=99");
    }
    assert_eq!(asked.read(RAMPMETER_READ_MEMORY, &seen), codes::OK);
    same::machine(&seen, core.read(Due::MEMORY));
    assert_eq!(asked.read(RAMPMETER_READ_INVENTORY | RAMPMETER_READ_MEMORY, &seen), codes::OK);
    same::machine(&seen, core.read(Due::ALL));
    assert_eq!(seen.stats().gpus_len, 1);
    // SAFETY: it is there.
    assert_eq!(unsafe { rampmeter_probe_close(asked.0, null_mut()) }, codes::OK);
    assert_eq!(asked.read(32, &seen), codes::RANGE);
    assert_eq!(asked.read(0, &seen), codes::OK, "it opens again");
    assert_eq!(seen.stats().seq, 4);
}

#[test]
fn ages_go_on_after_the_snapshot_was_taken() {
    let fake = Fake::nvml("gpu uuid=GPU-a1\nxid 0 31");
    let (asked, seen) = (nvml(&fake), Snapshot::new());
    assert_eq!(asked.read(0, &seen), codes::OK);
    let taken = seen.stats().taken_at_ns;
    let (mut memory, mut load) = (sized::<rampmeter_gpu_memory>(), sized::<rampmeter_gpu_load>());
    let ages = |now: u64, memory: &mut rampmeter_gpu_memory, load: &mut rampmeter_gpu_load| {
        // SAFETY: all are there.
        unsafe {
            assert_eq!(rampmeter_snapshot_memory(seen.0, now, 0, memory, null_mut()), codes::OK);
            assert_eq!(rampmeter_snapshot_load(seen.0, now, 0, load, null_mut()), codes::OK);
        }
        [memory.memory.age_ns, load.power.age_ns, load.xid_last_age_ns]
    };
    let first = ages(taken, &mut memory, &mut load);
    let later = ages(taken + 1_000, &mut memory, &mut load);
    assert_eq!(later, first.map(|age| age + 1_000));
    assert_eq!(load.xid_count, 1);
    assert_eq!(ages(u64::MAX, &mut memory, &mut load)[0], u64::MAX - taken + first[0]);
    assert_eq!(ages(0, &mut memory, &mut load), first, "a clock before that is no older");
}

#[test]
fn why_there_are_no_gpus_is_an_answer() {
    for (spec, condition, word, success) in [
        (
            "when nvmlInit_v2 answer=9",
            RAMPMETER_CONDITION_DRIVER_NOT_LOADED,
            "driver_not_loaded",
            0,
        ),
        ("when nvmlInit_v2 answer=18", RAMPMETER_CONDITION_VERSION_MISMATCH, "version_mismatch", 0),
        ("when nvmlInit_v2 answer=77", RAMPMETER_CONDITION_FAILED, "failed", 0),
        ("", RAMPMETER_CONDITION_NO_DEVICES, "no_devices", 1),
    ] {
        let fake = Fake::nvml(spec);
        let (asked, seen) = (nvml(&fake), Snapshot::new());
        assert_eq!(asked.read(0, &seen), codes::OK);
        let stats = seen.stats();
        assert_eq!((stats.condition, stats.is_success, stats.gpus_len), (condition, success, 0));
        assert_eq!(text(rampmeter_condition_word(stats.condition)), word);
        let failed = condition == RAMPMETER_CONDITION_FAILED;
        assert_eq!(
            (text(rampmeter_call_name(stats.call)), stats.code),
            if failed { ("nvmlInit_v2", 77) } else { ("unknown", 0) }
        );
    }
    let nowhere = Asked::of(RAMPMETER_BACKEND_NVML, "/nowhere/libnvidia-ml.so.1").unwrap();
    let (nobody, seen) = (Asked::of(RAMPMETER_BACKEND_NONE, "").unwrap(), Snapshot::new());
    assert_eq!((seen.stats().seq, seen.stats().condition), (0, RAMPMETER_CONDITION_OFF));
    assert_eq!(nowhere.read(0, &seen), codes::OK);
    assert_eq!(seen.stats().condition, RAMPMETER_CONDITION_NO_DRIVER);
    assert_eq!(nobody.read(0, &seen), codes::OK);
    assert_eq!(seen.stats().source, RAMPMETER_SOURCE_NONE);
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("machine.json");
    let path = file.to_str().unwrap();
    let refused = |backend, path| Asked::of(backend, path).err().unwrap();
    let (status, said) = refused(RAMPMETER_BACKEND_FIXTURE, path);
    assert_eq!(status, codes::NAME);
    assert!(said.contains(path) && said.contains("No such file"), "{said}");
    std::fs::write(&file, "{\"devices\": 7}").unwrap();
    let (status, said) = refused(RAMPMETER_BACKEND_FIXTURE, path);
    assert_eq!(status, codes::DOCUMENT);
    assert!(said.contains(path) && said.len() > path.len() + 20, "{said}");
    assert_eq!(refused(6, path).0, codes::RANGE);
    let mut probe = std::ptr::dangling_mut();
    let seen = Snapshot::new();
    // SAFETY: what is pointed to is there, or null.
    unsafe {
        let fixture = RAMPMETER_BACKEND_FIXTURE;
        let status = rampmeter_probe_create(fixture, null(), &raw mut probe, null_mut());
        assert_eq!((status, probe), (codes::POINTER, null_mut()));
        assert_eq!(rampmeter_probe_create(2, null(), null_mut(), null_mut()), codes::POINTER);
        assert_eq!(rampmeter_probe_read(null_mut(), 0, seen.0, null_mut()), codes::POINTER);
        assert_eq!(rampmeter_probe_close(null_mut(), null_mut()), codes::POINTER);
        let (mut gpu, mut said) = (sized::<rampmeter_gpu>(), Said::nothing());
        let status = rampmeter_snapshot_gpu(seen.0, 0, 0, &raw mut gpu, said.place());
        assert_eq!((status, said.text()), (codes::RANGE, "`place` = 0 is outside 0..=0".into()));
        gpu.size = 4;
        assert_eq!(rampmeter_snapshot_gpu(seen.0, 0, 0, &raw mut gpu, null_mut()), codes::SIZE);
        let (mut place, mut path, mut links) = (9, 9, 9);
        let find = |seen, uuid: &CStr, place| {
            rampmeter_snapshot_find(seen, uuid.as_ptr(), place, null_mut())
        };
        assert_eq!(find(seen.0, c"GPU-1", &raw mut place), codes::NAME);
        assert_eq!(find(seen.0, c"", &raw mut place), codes::NAME);
        let to = (&raw mut path, &raw mut links);
        let between = rampmeter_snapshot_between(seen.0, 0, 1, to.0, to.1, null_mut());
        assert_eq!((between, place, path, links), (codes::RANGE, 9, 9, 9));
        rampmeter_probe_destroy(null_mut());
        rampmeter_snapshot_destroy(null_mut());
    }
    let nobody = Asked::of(RAMPMETER_BACKEND_NONE, "").unwrap();
    let (mut condition, mut said) = (7, Said::nothing());
    // SAFETY: all are there.
    let status =
        unsafe { rampmeter_probe_join(nobody.0, seen.0, &raw mut condition, said.place()) };
    assert_eq!((status, condition), (codes::RANGE, 7));
    assert!(said.text().contains("`backend` = 2"), "{}", said.text());
}

#[test]
fn a_file_is_read_again_each_time() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("machine.json");
    let one = "{\"source\": \"nvml\", \"status\": {\"condition\": \"ready\"}, \"devices\": \
               [{\"uuid\": \"GPU-7\", \"index\": 0, \"name\": \"A\"}]}";
    std::fs::write(&file, one).unwrap();
    let asked = Asked::of(RAMPMETER_BACKEND_FIXTURE, file.to_str().unwrap()).unwrap();
    let seen = Snapshot::new();
    assert_eq!(asked.read(0, &seen), codes::OK);
    assert_eq!((seen.stats().gpus_len, seen.stats().source), (1, RAMPMETER_SOURCE_FIXTURE));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(asked.read(0, &seen), codes::OK);
    let stats = seen.stats();
    assert_eq!((stats.gpus_len, stats.condition), (0, RAMPMETER_CONDITION_FAILED));
    assert_eq!((text(rampmeter_call_name(stats.call)), stats.code), ("fixture", 2));
}
