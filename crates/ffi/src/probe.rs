//! Probe: what the GPUs of this machine say
//!
//! Unlike all above, this section asks the machine: it loads the driver's library at run time, calls
//! it, and reads the monotonic clock. Nothing above depends on it, and a library that is built without
//! it (`--no-default-features`) lacks its functions. A probe asks when it is told to, and its caller
//! waits. A poller is a thread, the only one that this library ever starts, and it starts only where
//! rampmeter_poller_start() is called; readers take its last snapshot and never wait. What could not
//! be read is never a zero: every reading says whether it is a value, and how old. A library with a
//! poller must not be unloaded (`dlclose`) before the poller was stopped, and never after a stop that
//! was answered with DETACHED: its thread is still in a call of the driver. Handing snapshots over
//! costs each thread that takes one some hundred bytes, once, in a thread-local; another thread has
//! them when it ends. After a fork, a child has no poller: it is told so
//! (RAMPMETER_POLLER_FORKED), and starts its own; a probe that it inherited opens the driver anew.
//! `docs/guides/probe.md` says what every figure means.

mod bridges;
mod gpus;
mod lists;
mod node;
mod poller;
mod reading;
mod signals;
mod snapshot;

pub use bridges::*;
pub use gpus::*;
pub use lists::*;
pub use node::*;
pub use poller::*;
pub use reading::*;
pub use signals::*;
pub use snapshot::*;

use reading::condition_number;
use snapshot::Shown;

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "cuda")]
use ::rampmeter_probe::cuda::{Cuda, Permission};
use ::rampmeter_probe::fixture::{Fixture, FixtureError};
use ::rampmeter_probe::nvml::Nvml;
use ::rampmeter_probe::poller::StartError;
use ::rampmeter_probe::probe::Nothing;
use ::rampmeter_probe::{Cadence, Condition, Due, Poller, Probe, clock};
use rampmeter::Error;

use crate::boundary::{Guarded, change, change_both, create, destroy, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, name};
use crate::status::rampmeter_status;

/// Who is asked: NVIDIA's management library, which a driver brings along.
pub const RAMPMETER_BACKEND_NVML: u32 = 0;
/// A file: JSON, as `rampmeter probe --json` writes it. For tests, and machines that are elsewhere.
pub const RAMPMETER_BACKEND_FIXTURE: u32 = 1;
/// Nobody: there is no GPU, and none is wanted.
pub const RAMPMETER_BACKEND_NONE: u32 = 2;
/// The CUDA driver, if the host has started it itself. What it tells of memory, it tells inside of a
/// context that the host has.
pub const RAMPMETER_BACKEND_CUDA: u32 = 3;
/// The same, started (`cuInit`) where the host has not: the process must not be forked afterwards, and
/// `CUDA_VISIBLE_DEVICES` counts as it is then.
pub const RAMPMETER_BACKEND_CUDA_START: u32 = 4;
/// The same, and memory of each device is read in a context that is made for it: hundreds of MiB of
/// each while it is read.
pub const RAMPMETER_BACKEND_CUDA_CONTEXTS: u32 = 5;

/// Groups of readings, as bits: which GPUs there are, and all about them that does not change while
/// they work.
pub const RAMPMETER_READ_INVENTORY: u32 = 1;
/// Memory.
pub const RAMPMETER_READ_MEMORY: u32 = 2;
/// Utilization.
pub const RAMPMETER_READ_UTILIZATION: u32 = 4;
/// Power, clocks, temperature, what holds clocks down, critical events.
pub const RAMPMETER_READ_CONDITION: u32 = 8;
/// Processes.
pub const RAMPMETER_READ_PROCESSES: u32 = 16;

const GROUPS: [(u32, Due); 5] = [
    (RAMPMETER_READ_INVENTORY, Due::INVENTORY),
    (RAMPMETER_READ_MEMORY, Due::MEMORY),
    (RAMPMETER_READ_UTILIZATION, Due::UTILIZATION),
    (RAMPMETER_READ_CONDITION, Due::CONDITION),
    (RAMPMETER_READ_PROCESSES, Due::PROCESSES),
];

/// Asks about GPUs, in the thread of its caller. One thread at a time may use it.
pub struct rampmeter_probe(Guarded<Asked>);
object!(rampmeter_probe, Asked, "probe");

/// A backend that one thread at a time uses: never locked, only made fit to be moved.
pub(crate) struct Asked(Mutex<Backend>);

impl Asked {
    fn backend(&mut self) -> &mut Backend {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the backends.
pub(crate) enum Backend {
    Nvml(Box<Nvml>),
    Fixture(Box<Fixture>),
    Nothing(Box<Nothing>),
    #[cfg(feature = "cuda")]
    Cuda(Box<Cuda>),
}

impl Backend {
    /// # Safety
    /// As [`name`], for `path`, where it is looked at.
    unsafe fn open(backend: u32, path: *const c_char) -> Result<Self, Fault> {
        // SAFETY: passed on.
        let path = || unsafe { name(path, "path") };
        Ok(match backend {
            RAMPMETER_BACKEND_NVML => Self::Nvml(Box::new(match path() {
                Err(Fault::Pointer { null: true, .. }) => Nvml::new(),
                path => Nvml::with_library(path?),
            })),
            RAMPMETER_BACKEND_FIXTURE => {
                let path = path()?;
                let fixture = Fixture::open(path).map_err(|error| no_fixture(path, &error))?;
                Self::Fixture(Box::new(fixture))
            }
            RAMPMETER_BACKEND_NONE => Self::Nothing(Box::default()),
            #[cfg(feature = "cuda")]
            RAMPMETER_BACKEND_CUDA => Self::Cuda(Box::new(Cuda::new(Permission::Look))),
            #[cfg(feature = "cuda")]
            RAMPMETER_BACKEND_CUDA_START => Self::Cuda(Box::new(Cuda::new(Permission::Start))),
            #[cfg(feature = "cuda")]
            RAMPMETER_BACKEND_CUDA_CONTEXTS => {
                Self::Cuda(Box::new(Cuda::new(Permission::MakeContexts)))
            }
            other => return Err(no_backend(other)),
        })
    }

    fn probe(&mut self) -> &mut dyn Probe {
        match self {
            Self::Nvml(probe) => &mut **probe,
            Self::Fixture(probe) => &mut **probe,
            Self::Nothing(probe) => &mut **probe,
            #[cfg(feature = "cuda")]
            Self::Cuda(probe) => &mut **probe,
        }
    }

    fn start(self, cadence: &Cadence) -> Result<Poller, StartError> {
        match self {
            Self::Nvml(probe) => Poller::start(*probe, cadence),
            Self::Fixture(probe) => Poller::start(*probe, cadence),
            Self::Nothing(probe) => Poller::start(*probe, cadence),
            #[cfg(feature = "cuda")]
            Self::Cuda(probe) => Poller::start(*probe, cadence),
        }
    }

    /// Numbers of CUDA for what is seen, by a probe of CUDA.
    fn join(&mut self, seen: &mut Shown) -> Result<Condition, Fault> {
        let (min, max) = (RAMPMETER_BACKEND_CUDA.into(), RAMPMETER_BACKEND_CUDA_CONTEXTS.into());
        let other = match self {
            Self::Nvml(_) => RAMPMETER_BACKEND_NVML,
            Self::Fixture(_) => RAMPMETER_BACKEND_FIXTURE,
            Self::Nothing(_) => RAMPMETER_BACKEND_NONE,
            #[cfg(feature = "cuda")]
            Self::Cuda(cuda) => return Ok(cuda.join(seen.own())),
        };
        #[cfg(not(feature = "cuda"))]
        let _ = seen;
        Err(Error::Range { field: "backend", value: other.into(), min, max }.into())
    }
}

/// A backend that there is not in this library.
fn no_backend(backend: u32) -> Fault {
    let last = if cfg!(feature = "cuda") {
        RAMPMETER_BACKEND_CUDA_CONTEXTS
    } else {
        RAMPMETER_BACKEND_NONE
    };
    let (value, min, max) = (backend.into(), RAMPMETER_BACKEND_NVML.into(), last.into());
    Error::Range { field: "backend", value, min, max }.into()
}

fn no_fixture(path: &str, error: &FixtureError) -> Fault {
    let is_there = matches!(error, FixtureError::Refused(_));
    Fault::File { path: path.into(), why: error.to_string().into(), is_there }
}

fn due(groups: u32) -> Result<Due, Fault> {
    if groups == 0 {
        return Ok(Due::ALL);
    }
    let max = GROUPS.iter().fold(0, |all, (bit, _)| all | bit).into();
    if u64::from(groups) > max {
        return Err(Error::Range { field: "groups", value: groups.into(), min: 0, max }.into());
    }
    let asked = GROUPS.iter().filter(|(bit, _)| groups & bit != 0);
    Ok(asked.fold(Due::NOTHING, |due, (_, group)| due.and(*group)))
}

/// Creates a probe; it asks nobody yet. `backend` is RAMPMETER_BACKEND_...; `path` is the driver's
/// library for NVML (NULL: where drivers put it), the file for FIXTURE, and not looked at for others.
///
/// Fails: E_RANGE for a backend that this library lacks, E_NAME for a fixture that cannot be read,
/// E_DOCUMENT for one that is none, E_TEXT, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_probe_destroy(); NULL on failure. Allocates: yes, what it will need. Blocks: no, but to
/// read a fixture. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_probe_create(
    backend: u32,
    path: *const c_char,
    out: *mut *mut rampmeter_probe,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { create(out, error, || Ok(Asked(Mutex::new(Backend::open(backend, path)?)))) }
}

/// Ends a probe, and gives back what the driver lent. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: for as long as the driver takes. Threads: one, and no other may still
/// use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_probe_destroy(probe: *mut rampmeter_probe) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(probe) }
}

/// Asks now, and fills `seen`. `groups` are RAMPMETER_READ_... bits, 0 for all; what is not among them
/// keeps its last value, which ages. A driver that is not open is opened first; what is wrong with it
/// is an answer (rampmeter_stats_snapshot::condition), not an error.
///
/// Fails: E_RANGE, E_POINTER. Allocates: when a library is loaded and where a fixture is read; else no.
/// Blocks: for as long as the driver takes; a call that hangs is waited for. Whoever must not wait
/// starts a poller. Threads: one at a time for each probe and each snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_probe_read(
    probe: *mut rampmeter_probe,
    groups: u32,
    seen: *mut rampmeter_snapshot,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_both(probe, seen, error, |probe, seen| {
            let due = due(groups)?;
            seen.take(probe.backend().probe().read(due));
            Ok(())
        })
    }
}

/// Tells each GPU in `seen` its number in CUDA of this process, joined by identifier;
/// `*condition` says whether CUDA could be asked (RAMPMETER_CONDITION_READY), or why not. What CUDA did
/// not name has no number. For probes of the CUDA backends. rampmeter_snapshot_visible() tells numbers
/// without CUDA.
///
/// Fails: E_RANGE for a probe of another backend, E_POINTER. Allocates: no, but when the library is
/// loaded. Blocks: for as long as the driver takes. Threads: one at a time for each probe and each
/// snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_probe_join(
    probe: *mut rampmeter_probe,
    seen: *mut rampmeter_snapshot,
    condition: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_both(probe, seen, error, |probe, seen| {
            let out = Out::new(condition, "condition")?;
            out.set(condition_number(probe.backend().join(seen)?));
            Ok(())
        })
    }
}

/// Gives back what the driver lent. Reading afterwards opens it again.
///
/// Fails: E_POINTER. Allocates: no. Blocks: for as long as the driver takes. Threads: one at a time for
/// each probe. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_probe_close(
    probe: *mut rampmeter_probe,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(probe, error, |probe| {
            probe.backend().probe().close();
            Ok(())
        })
    }
}

/// Now, in nanoseconds, by the clock that dates snapshots: CLOCK_MONOTONIC. What this section calls
/// `now_ns` is a time of that clock.
///
/// Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_clock_ns() -> u64 {
    clock::now().0
}
