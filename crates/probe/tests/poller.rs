//! The thread: what readers see while the driver works, stalls, hangs, changes, and is left behind
//! by a fork.
#![cfg(feature = "nvml")]

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rampmeter::{Error, Nanos};
use rampmeter_probe::device::Health;
use rampmeter_probe::poller::{STALE_AFTER, StartError, State, Stopped};
use rampmeter_probe::{Cadence, Call, Condition, Poller, Reader, Snapshot, clock, probe};
use support::Fake;

const PATIENCE: Duration = Duration::from_secs(20);

/// As fast as is allowed.
const FAST: Cadence = Cadence {
    memory: Nanos(100_000_000),
    utilization: Nanos(250_000_000),
    condition: Nanos(1_000_000_000),
    processes: Nanos(1_000_000_000),
    inventory: Nanos(5_000_000_000),
    retry: Nanos(1_000_000_000),
};

fn started(fake: &Fake) -> Poller {
    let poller = Poller::start(fake.probe(), &FAST).unwrap();
    assert!(poller.wait_first(PATIENCE));
    poller
}

/// Waits until a snapshot is so; panics where it never is.
#[track_caller]
fn until(reader: &Reader, is_so: impl Fn(&Snapshot) -> bool) {
    let begin = Instant::now();
    while !is_so(&reader.latest()) {
        assert!(begin.elapsed() < PATIENCE, "{:?}", *reader.latest());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn changes_of_the_machine_are_published() {
    let fake = Fake::nvml("gpu uuid=GPU-a free=1000");
    let poller = started(&fake);
    let reader = poller.reader();
    let free = |snapshot: &Snapshot| snapshot.devices[0].memory.value().map(|memory| memory.free.0);
    assert_eq!(free(&poller.latest()), Some(1_000));
    let held = poller.latest();
    let (mut kept, kept_as_well) = (reader.hold(), reader.hold());
    fake.becomes("gpu uuid=GPU-a free=2000");
    until(&reader, |snapshot| free(snapshot) == Some(2_000));
    assert_eq!(free(&held), Some(1_000), "who holds a snapshot keeps it");
    reader.renew(&mut kept);
    assert_eq!((free(&kept), free(&kept_as_well)), (Some(2_000), Some(1_000)));
    fake.becomes("gpu uuid=GPU-a\nwhen nvmlDeviceGetMemoryInfo* answer=15");
    until(&reader, |snapshot| snapshot.devices[0].health != Health::Ready);
    fake.becomes("gpu uuid=GPU-a\ngpu uuid=GPU-b");
    until(&reader, |snapshot| snapshot.devices.len() == 2);
    assert_eq!(poller.stop(PATIENCE), Stopped::Clean);
    assert_eq!(reader.state(clock::now()), State::Ended);
}

#[test]
fn a_driver_that_is_not_there_is_tried_again() {
    let fake = Fake::nvml("when nvmlInit_v2 answer=9");
    let poller = started(&fake);
    assert_eq!(poller.latest().condition, Condition::DriverNotLoaded);
    fake.becomes("gpu");
    until(&poller.reader(), |snapshot| snapshot.condition == Condition::Ready);
}

#[test]
fn a_stall_of_the_driver_delays_no_reader_and_does_not_make_it_stale() {
    let fake = Fake::nvml("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 stall_ms=1500 after=2 count=1");
    let poller = started(&fake);
    let reader = poller.reader();
    let begin = Instant::now();
    let (mut oldest, mut longest, mut stalled) = (Nanos(0), Duration::ZERO, false);
    while begin.elapsed() < Duration::from_millis(2_500) {
        let before = Instant::now();
        let snapshot = reader.latest();
        longest = longest.max(before.elapsed());
        let now = clock::now();
        oldest = oldest.max(snapshot.age(now));
        assert!(!snapshot.is_stale(now, STALE_AFTER), "{:?}", snapshot.age(now));
        stalled |= matches!(reader.state(now), State::Hanging { call: Call::MEMORY_V2, .. });
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(oldest >= Nanos::from_millis(1_400), "the stall was there: {oldest:?}");
    assert!(stalled, "and was told");
    // A machine that is shared may take a thread away for a while; not for as long as the stall.
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    assert_eq!(poller.stop(PATIENCE), Stopped::Clean);
}

#[test]
fn a_call_that_hangs_ages_the_snapshot_and_can_be_left_behind() {
    let fake = Fake::nvml("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 stall_ms=6000 after=1 count=1");
    let poller = started(&fake);
    let reader = poller.reader();
    until(&reader, |snapshot| snapshot.is_stale(clock::now(), STALE_AFTER));
    let value = reader.latest().devices[0].memory;
    assert!(value.value().is_some(), "the last value is kept");
    assert_eq!(value.fresh(reader.latest().age(clock::now()), STALE_AFTER), None, "and is old");
    let begin = Instant::now();
    let stopped = poller.stop(Duration::from_millis(50));
    assert_eq!(stopped, Stopped::Detached { call: Some(Call::MEMORY_V2) });
    assert!(begin.elapsed() < Duration::from_secs(2), "nobody waits for it");
    // When the call returns after all, the thread ends by itself.
    let begin = Instant::now();
    while reader.state(clock::now()) != State::Ended {
        assert!(begin.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn readers_see_whole_snapshots_in_order() {
    let fake = Fake::nvml("gpu free=1\ngpu free=1");
    let poller = started(&fake);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (reader, over) = (poller.reader(), &over);
            scope.spawn(move || {
                let mut last = 0;
                while !over.load(Ordering::Relaxed) {
                    let snapshot = reader.latest();
                    assert!(snapshot.seq >= last, "time runs forward");
                    last = snapshot.seq;
                    assert_eq!(snapshot.devices.len(), 2);
                    std::thread::yield_now();
                }
                last
            });
        }
        for free in 2..8 {
            fake.becomes(&format!("gpu free={free}\ngpu free={free}"));
            std::thread::sleep(Duration::from_millis(60));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(poller.latest().seq > 2);
}

#[test]
fn dropping_stops_it() {
    let fake = Fake::nvml("log\ngpu");
    let reader = started(&fake).reader();
    assert_eq!(reader.state(clock::now()), State::Ended);
    assert_eq!(fake.called("nvmlShutdown"), 1);
    assert!(reader.latest().seq > 0, "what was read can still be read");
}

#[test]
fn a_cadence_that_would_hurt_starts_nothing() {
    let cadence = Cadence { processes: Nanos(1), ..Cadence::default() };
    let refused = Poller::start(probe::Nothing::default(), &cadence).unwrap_err();
    assert!(matches!(refused, StartError::Cadence(Error::Range { field: "processes_ns", .. })));
}

#[test]
fn cuda_is_never_started() {
    let fake = Fake::nvml("log\ngpu\ngpu mig=1\ninstance gi=1");
    let poller = started(&fake);
    until(&poller.reader(), |snapshot| snapshot.seq > 10);
    assert_eq!(poller.stop(PATIENCE), Stopped::Clean);
    let calls = fake.calls();
    assert!(calls.len() > 50 && calls.iter().all(|call| call.starts_with("nvml")), "{calls:?}");
    assert_eq!(fake.called("nvmlDeviceGetPcieThroughput"), 0);
}

/// The signals that a thread of this process does not take, as bits; signal 1 is bit 0.
#[cfg(target_os = "linux")]
fn blocked(task: &std::path::Path) -> Option<u64> {
    let status = std::fs::read_to_string(task.join("status")).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[test]
#[cfg(target_os = "linux")]
fn its_thread_takes_no_signals_and_nobody_elses_changes() {
    let own = std::path::PathBuf::from("/proc/thread-self");
    let before = blocked(&own).unwrap();
    let fake = Fake::nvml("gpu");
    let poller = started(&fake);
    assert_eq!(blocked(&own), Some(before), "who starts it takes what it took");
    let bit = |signal: i32| 1_u64 << (signal - 1);
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL].map(bit);
    let asked = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGCHLD]
        .into_iter()
        .chain([libc::SIGALRM, libc::SIGPROF, libc::SIGPIPE, libc::SIGRTMIN(), libc::SIGRTMAX()]);
    let asked = asked.fold(0, |all, signal| all | bit(signal));
    // Other tests have pollers, too, that may end while this looks.
    let mut seen = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        let Some(mask) = blocked(&task) else { continue };
        if name.trim() == "rampmeter-probe" {
            assert_eq!(mask & asked, asked, "{mask:x}");
            assert!(faults.iter().all(|fault| mask & fault == 0), "{mask:x}");
            seen += 1;
        }
    }
    assert!(seen >= 1);
    assert_eq!(poller.stop(PATIENCE), Stopped::Clean);
}

/// In a process of its own: forking one with the threads of other tests would prove little.
#[test]
fn a_forked_child_knows_that_it_is_one() {
    let child = std::env::current_exe().unwrap();
    let fake = Fake::nvml("log\ngpu");
    let output = Command::new(child)
        .args(["--exact", "in_a_process_of_its_own", "--ignored", "--nocapture"])
        .env("RAMPMETER_TEST_FAKE", fake.library())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("child: Forked, new: Ready, old probe: Ready"), "{text}");
    assert!(text.contains("parent: Running, Clean"), "{text}");
    // The child never gives back what the parent opened: it opened twice, and gave back twice.
    assert_eq!(fake.called("nvmlInit_v2"), 1 + 1 + 2, "parent's poller and probe, child's");
}

#[test]
#[ignore = "run by a_forked_child_knows_that_it_is_one"]
#[allow(unsafe_code, reason = "forks")]
fn in_a_process_of_its_own() {
    use rampmeter_probe::nvml::Nvml;
    use rampmeter_probe::{Due, Probe};
    let library = std::env::var_os("RAMPMETER_TEST_FAKE").unwrap();
    let poller = Poller::start(Nvml::with_library(&library), &FAST).unwrap();
    assert!(poller.wait_first(PATIENCE));
    let mut probe = Nvml::with_library(&library);
    probe.read(Due::ALL);
    // SAFETY: the child uses nothing that another thread could have locked but the allocator,
    // which the C library keeps sound across forks.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let state = poller.state(clock::now());
        let own = Poller::start(Nvml::with_library(&library), &FAST).unwrap();
        assert!(own.wait_first(PATIENCE));
        let new = own.latest().condition;
        let old = probe.read(Due::MEMORY).condition;
        println!("child: {state:?}, new: {new:?}, old probe: {old:?}");
        assert_eq!(own.stop(PATIENCE), Stopped::Clean);
        assert_eq!(poller.stop(PATIENCE), Stopped::Forked);
        drop(probe);
        // SAFETY: ends the child without the exit handlers of the test's harness.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was made above; `status` lives through the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child failed");
    let state = poller.state(clock::now());
    println!("parent: {state:?}, {:?}", poller.stop(PATIENCE));
}
