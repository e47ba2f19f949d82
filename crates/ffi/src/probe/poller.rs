//! A thread that asks, so that nobody who decides has to.

use std::ffi::c_char;
use std::time::Duration;

use rampmeter::Nanos;
use rampmeter_probe::poller::{StartError, State, Stopped};
use rampmeter_probe::{Cadence, Poller, Reader};

use super::{Backend, rampmeter_snapshot};
use crate::boundary::{Guarded, change, change_told, create, desk, destroy, look, object};
use crate::error::{Fault, Told as _, rampmeter_error};
use crate::memory::{Out, OutSized, take, versioned};
use crate::status::rampmeter_status;

/// What a poller is doing: it reads at its cadence.
pub const RAMPMETER_POLLER_RUNNING: u8 = 0;
/// It waits for a driver call that has run for more than a second. Its snapshot ages.
pub const RAMPMETER_POLLER_HANGING: u8 = 1;
/// It was stopped.
pub const RAMPMETER_POLLER_ENDED: u8 = 2;
/// This is a forked child of the process that it runs in. Start another one here.
pub const RAMPMETER_POLLER_FORKED: u8 = 3;

/// How a poller was stopped: its thread has ended, and what the driver lent was given back.
pub const RAMPMETER_STOPPED_CLEAN: u8 = 0;
/// Its thread still waits for a driver call, and ends when that returns, if ever. The library must not
/// be unloaded any more.
pub const RAMPMETER_STOPPED_DETACHED: u8 = 1;
/// This is a forked child: there was nothing to stop.
pub const RAMPMETER_STOPPED_FORKED: u8 = 2;

/// A thread that asks about GPUs, and publishes what it read. Calls with a `const` pointer may run side
/// by side, while nobody stops or destroys it.
pub struct rampmeter_poller(Guarded<Polling>);
object!(rampmeter_poller, Polling, "poller");

/// A poller, until it is stopped, and what it published.
pub(crate) struct Polling {
    reader: Reader,
    poller: Option<Poller>,
}

/// How often each group of readings is read. Set all of it to 0, then `size`, then what is to be other
/// than the default. Drivers have one lock that whoever launches work waits for: shorter periods are
/// refused, and reading takes at most a quarter of the time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_cadence {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Memory, 0.1 s to a day; 0: 0.2 s.
    pub memory_ns: u64,
    /// Utilization, 0.25 s to a day; 0: 0.5 s.
    pub utilization_ns: u64,
    /// Power, clocks, temperature, throttle reasons and events, 1 s to a day; 0: 2 s.
    pub condition_ns: u64,
    /// Processes, 1 s to a day; 0: 5 s.
    pub processes_ns: u64,
    /// Which GPUs there are, 5 s to a day; 0: 60 s.
    pub inventory_ns: u64,
    /// Until a driver that did not answer is tried again, 1 s to a day; 0: 30 s.
    pub retry_ns: u64,
}
versioned!(rampmeter_cadence, 56);

impl rampmeter_cadence {
    fn cadence(&self) -> Result<Cadence, Fault> {
        rampmeter::error::check_range("reserved", self.reserved.into(), 0, 0)?;
        let default = Cadence::default();
        let some = |given: u64, default: Nanos| if given == 0 { default } else { Nanos(given) };
        Ok(Cadence {
            memory: some(self.memory_ns, default.memory),
            utilization: some(self.utilization_ns, default.utilization),
            condition: some(self.condition_ns, default.condition),
            processes: some(self.processes_ns, default.processes),
            inventory: some(self.inventory_ns, default.inventory),
            retry: some(self.retry_ns, default.retry),
        })
    }
}

/// What a poller is doing. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_poller {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Of HANGING: the driver call that it waits for; see rampmeter_call_name().
    pub call: u16,
    /// RAMPMETER_POLLER_...
    pub state: u8,
    /// 0.
    pub reserved: u8,
    /// Of HANGING: since when, by rampmeter_clock_ns().
    pub since_ns: u64,
}
versioned!(rampmeter_stats_poller, 16);

fn not_started(error: StartError) -> Fault {
    match error {
        StartError::Cadence(error) => error.into(),
        StartError::Thread(error) => Fault::Thread { why: error.to_string().into() },
    }
}

/// Starts a thread that asks this backend (as rampmeter_probe_create()) at this cadence. It takes no
/// signals but those that a fault of its own raises, so that no handler of the host runs on it; it is
/// called "rampmeter-probe". It has asked once when rampmeter_poller_wait_first() says so.
///
/// Fails: E_RANGE for periods outside of their ranges, E_FULL if the system gives no thread, E_MEMORY,
/// E_SIZE, E_TOO_NEW, and as rampmeter_probe_create(). Ownership: `*out` is the caller's, to be given to
/// rampmeter_poller_destroy(); NULL on failure. `cadence` is read and not kept. Allocates: yes, all that
/// it will need, as long as no more than three old snapshots are held. Blocks: no, but to read a fixture.
/// Threads: any; starts one. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_poller_start(
    backend: u32,
    path: *const c_char,
    cadence: *const rampmeter_cadence,
    out: *mut *mut rampmeter_poller,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let cadence = take(cadence, "cadence")?.cadence()?;
            cadence.check()?;
            // The published one, four to fill, and the probe's own.
            crate::memory::room(6 * super::rampmeter_snapshot_bytes_needed())?;
            let poller = Backend::open(backend, path)?.start(&cadence).map_err(not_started)?;
            Ok(Polling { reader: poller.reader(), poller: Some(poller) })
        })
    }
}

/// Ends a poller, and stops it if nobody did, for which it waits a quarter of a second. What was taken
/// from it can still be read. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: a quarter of a second at most. Threads: one, and no other may still
/// use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_poller_destroy(poller: *mut rampmeter_poller) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(poller) }
}

/// Waits until something was read, at most so long; `*is_read` is 1 if it was.
///
/// Fails: E_POINTER. Allocates: no. Blocks: for `patience_ns` at most. Threads: any number, while nobody
/// stops the poller. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_poller_wait_first(
    poller: *const rampmeter_poller,
    patience_ns: u64,
    is_read: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(poller, error, |poller| {
            let out = Out::new(is_read, "is_read")?;
            let patience = Duration::from_nanos(patience_ns);
            out.set(
                poller.poller.as_ref().is_some_and(|poller| poller.wait_first(patience)).into(),
            );
            Ok(())
        })
    }
}

/// Makes `seen` the last snapshot, which it holds until it is given another. Nothing is copied. Before
/// the first one that is an empty one, with `seq` 0.
///
/// Fails: E_POINTER. Allocates: some hundred bytes the first time that a thread calls this, unless one
/// that has ended left them; then no. Blocks: no. Threads: any number for each poller, one at a time for
/// each snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_poller_latest(
    poller: *const rampmeter_poller,
    seen: *mut rampmeter_snapshot,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(seen, error, |seen| {
            seen.renew(&desk(poller).told(error)?.reader);
            Ok(())
        })
    }
}

/// What the poller is doing, and which driver call it waits for.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no (one system call). Threads: any number, while
/// nobody stops the poller. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_poller_stats(
    poller: *const rampmeter_poller,
    now_ns: u64,
    stats: *mut rampmeter_stats_poller,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(poller, error, |poller| {
            let out = OutSized::new(stats, "stats")?;
            let (state, call, since_ns) = match poller.reader.state(Nanos(now_ns)) {
                State::Running => (RAMPMETER_POLLER_RUNNING, 0, 0),
                State::Hanging { call, since } => (RAMPMETER_POLLER_HANGING, call.0, since.0),
                State::Ended => (RAMPMETER_POLLER_ENDED, 0, 0),
                State::Forked => (RAMPMETER_POLLER_FORKED, 0, 0),
            };
            out.set(rampmeter_stats_poller { size: 0, call, state, reserved: 0, since_ns });
            Ok(())
        })
    }
}

/// Stops the thread, and waits for the driver call that runs, at most so long; `*stopped` is
/// RAMPMETER_STOPPED_... What was read can still be taken. A poller that was stopped is CLEAN the next
/// time, whatever it was before.
///
/// Fails: E_POINTER. Allocates: no (frees). Blocks: for `patience_ns` at most. Threads: one at a time for
/// each poller. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_poller_stop(
    poller: *mut rampmeter_poller,
    patience_ns: u64,
    stopped: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(poller, error, |poller| {
            let out = Out::new(stopped, "stopped")?;
            let patience = Duration::from_nanos(patience_ns);
            let how = poller.poller.take().map_or(Stopped::Clean, |poller| poller.stop(patience));
            out.set(match how {
                Stopped::Clean => RAMPMETER_STOPPED_CLEAN,
                Stopped::Detached { .. } => RAMPMETER_STOPPED_DETACHED,
                Stopped::Forked => RAMPMETER_STOPPED_FORKED,
            });
            Ok(())
        })
    }
}
