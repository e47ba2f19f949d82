//! A poller by its C functions: what its readers see, hold and are told, and how it ends.

use std::ffi::CString;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use ::rampmeter_probe::Call;
use rampmeter::error::codes;
use rampmeter_ffi::probe::*;

use crate::caller::{Said, sized};
use crate::support::Fake;
use crate::{Asked, Snapshot, nvml};

const SECOND: u64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);

struct Poller(*mut rampmeter_poller);

// SAFETY: what the header says of a poller: calls that only look may run side by side.
unsafe impl Sync for Poller {}

impl Drop for Poller {
    fn drop(&mut self) {
        // SAFETY: it came from `start`.
        unsafe { rampmeter_poller_destroy(self.0) };
    }
}

/// As fast as is allowed.
fn fast() -> rampmeter_cadence {
    rampmeter_cadence {
        memory_ns: SECOND / 10,
        utilization_ns: SECOND / 4,
        condition_ns: SECOND,
        processes_ns: SECOND,
        inventory_ns: 5 * SECOND,
        retry_ns: SECOND,
        ..sized()
    }
}

fn start(fake: &Fake, cadence: &rampmeter_cadence) -> Result<Poller, (i32, String)> {
    let path = CString::new(fake.library().to_str().unwrap()).unwrap();
    let (mut poller, mut said) = (null_mut(), Said::nothing());
    // SAFETY: all are there.
    let status = unsafe {
        let (backend, out) = (RAMPMETER_BACKEND_NVML, &raw mut poller);
        rampmeter_poller_start(backend, path.as_ptr(), cadence, out, said.place())
    };
    if status == codes::OK { Ok(Poller(poller)) } else { Err((status, said.text())) }
}

impl Poller {
    fn of(fake: &Fake) -> Self {
        let (poller, mut is_read) = (start(fake, &fast()).unwrap(), 0);
        // SAFETY: both are there.
        let status = unsafe {
            rampmeter_poller_wait_first(poller.0, 20 * SECOND, &raw mut is_read, null_mut())
        };
        assert_eq!((status, is_read), (codes::OK, 1));
        poller
    }

    fn take(&self, seen: &Snapshot) {
        // SAFETY: both are there.
        let status = unsafe { rampmeter_poller_latest(self.0, seen.0, null_mut()) };
        assert_eq!(status, codes::OK);
    }

    fn state(&self) -> rampmeter_stats_poller {
        let mut stats = sized();
        // SAFETY: both are there.
        let status = unsafe {
            rampmeter_poller_stats(self.0, rampmeter_clock_ns(), &raw mut stats, null_mut())
        };
        assert_eq!(status, codes::OK);
        stats
    }

    fn stop(&self, patience_ns: u64) -> u8 {
        let mut stopped = 9;
        // SAFETY: both are there.
        let status =
            unsafe { rampmeter_poller_stop(self.0, patience_ns, &raw mut stopped, null_mut()) };
        assert_eq!(status, codes::OK);
        stopped
    }
}

fn free(seen: &Snapshot) -> rampmeter_gpu_memory {
    let mut memory = sized();
    let now = rampmeter_clock_ns();
    // SAFETY: both are there.
    let status = unsafe { rampmeter_snapshot_memory(seen.0, now, 0, &raw mut memory, null_mut()) };
    assert_eq!(status, codes::OK);
    memory
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn readers_hold_what_they_took_and_take_what_is_new() {
    let fake = Fake::nvml("gpu free=1000");
    let poller = Poller::of(&fake);
    let (held, seen) = (Snapshot::new(), Snapshot::new());
    poller.take(&held);
    assert_eq!(free(&held).free_bytes, 1_000);
    let seq = held.stats().seq;
    fake.becomes("gpu free=2000");
    until("2,000 bytes are free", || {
        poller.take(&seen);
        free(&seen).free_bytes == 2_000
    });
    assert_eq!((free(&held).free_bytes, held.stats().seq), (1_000, seq), "it is kept");
    assert_eq!(poller.state().state, RAMPMETER_POLLER_RUNNING);
    assert_eq!(poller.stop(20 * SECOND), RAMPMETER_STOPPED_CLEAN);
    assert_eq!(poller.state().state, RAMPMETER_POLLER_ENDED);
    assert_eq!(poller.stop(0), RAMPMETER_STOPPED_CLEAN, "the second time there is nothing to do");
    poller.take(&held);
    assert_eq!(free(&held).free_bytes, 2_000, "the last one can still be taken");
    drop(poller);
    assert_eq!(free(&held).free_bytes, 2_000, "and outlives the poller");
    // The same object is filled by a probe, and has nothing of the poller's any more.
    fake.becomes("gpu free=3000");
    let asked: Asked = nvml(&fake);
    assert_eq!(asked.read(0, &held), codes::OK);
    assert_eq!((free(&held).free_bytes, held.stats().seq), (3_000, 1));
    assert_eq!(free(&seen).free_bytes, 2_000);
}

#[test]
fn a_driver_that_hangs_is_told_and_left_behind() {
    let fake = Fake::nvml("gpu\nwhen nvmlDeviceGetMemoryInfo_v2 stall_ms=5000 after=1 count=1");
    let (poller, seen) = (Poller::of(&fake), Snapshot::new());
    until("it hangs", || poller.state().state == RAMPMETER_POLLER_HANGING);
    let state = poller.state();
    assert_eq!(state.call, Call::MEMORY_V2.0);
    assert!(state.since_ns > 0 && rampmeter_clock_ns() - state.since_ns > SECOND);
    poller.take(&seen);
    let memory = free(&seen);
    assert_eq!(memory.memory.state, RAMPMETER_READING_OK, "the last value is kept");
    assert!(memory.memory.age_ns > SECOND, "and ages");
    let begin = Instant::now();
    assert_eq!(poller.stop(SECOND / 20), RAMPMETER_STOPPED_DETACHED);
    assert!(begin.elapsed() < Duration::from_secs(2), "nobody waits for it");
    until("the call returns", || poller.state().state == RAMPMETER_POLLER_ENDED);
}

#[test]
fn a_cadence_that_would_hurt_starts_nothing() {
    let fake = Fake::nvml("gpu\nlog");
    let (status, said) =
        start(&fake, &rampmeter_cadence { processes_ns: 1, ..sized() }).err().unwrap();
    assert_eq!(status, codes::RANGE);
    assert!(said.contains("`processes_ns` = 1"), "{said}");
    let (status, said) = start(&fake, &rampmeter_cadence { reserved: 1, ..sized() }).err().unwrap();
    assert!(status == codes::RANGE && said.contains("`reserved`"), "{said}");
    assert_eq!(
        start(&fake, &rampmeter_cadence { size: 8, ..sized() }).err().unwrap().0,
        codes::SIZE
    );
    assert!(fake.calls().is_empty());
}

#[test]
fn what_is_not_there_is_refused() {
    let seen = Snapshot::new();
    let (mut stopped, mut is_read) = (9, 9);
    // SAFETY: null is answered.
    unsafe {
        assert_eq!(rampmeter_poller_latest(null_mut(), seen.0, null_mut()), codes::POINTER);
        let status = rampmeter_poller_stop(null_mut(), 0, &raw mut stopped, null_mut());
        assert_eq!((status, stopped), (codes::POINTER, 9));
        let status = rampmeter_poller_wait_first(null_mut(), 0, &raw mut is_read, null_mut());
        assert_eq!((status, is_read), (codes::POINTER, 9));
        rampmeter_poller_destroy(null_mut());
    }
    let fake = Fake::nvml("gpu");
    let poller = Poller::of(&fake);
    // SAFETY: null is answered.
    unsafe {
        assert_eq!(rampmeter_poller_latest(poller.0, null_mut(), null_mut()), codes::POINTER);
        assert_eq!(rampmeter_poller_stop(poller.0, 0, null_mut(), null_mut()), codes::POINTER);
    }
    assert_eq!(poller.state().state, RAMPMETER_POLLER_RUNNING, "it was not stopped");
}

#[test]
fn many_threads_read_whole_snapshots_in_order() {
    let fake = Fake::nvml("gpu free=1");
    let poller = Poller::of(&fake);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let poller = &poller;
            scope.spawn(move || {
                let (seen, mut last) = (Snapshot::new(), 0);
                let begin = Instant::now();
                while begin.elapsed() < Duration::from_millis(600) {
                    poller.take(&seen);
                    let stats = seen.stats();
                    assert!(stats.seq >= last && stats.gpus_len == 1);
                    last = stats.seq;
                    std::thread::yield_now();
                }
                assert!(last > 2);
            });
        }
    });
}
