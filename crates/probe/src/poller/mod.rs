//! A thread that asks, so that nobody who decides has to.
//!
//! # What it decides
//! When to read what. It publishes what it read; readers take the last snapshot without waiting.
//!
//! # States
//! ```text
//! Running   reads at its cadence
//! Hanging   a driver call runs for longer than HANGING_AFTER: the snapshot ages, readers read on
//! Ended     it was stopped
//! Forked    this is a child of the process that it runs in: there is no thread here
//! ```
//! # Stopping
//! 1. The flag is set and the thread woken.
//! 2. It ends after the driver call that runs, and gives back what the driver lent.
//! 3. If that takes longer than the caller's patience, the thread is left to itself: it owns the
//!    probe, the library is never unloaded, and it ends when its call does, if ever. What is left
//!    behind is one sleeping thread and its snapshots (some 200 KiB each, five at most).
//!
//! # Signals
//! The thread takes none but those that a fault of its own raises: handlers of the host run on
//! threads of the host.
//!
//! # Bounds and cost
//! A reader pays for one atomic load and one guard (`arc-swap`): no lock, no wait, no allocation but some
//! hundred bytes the first time that a thread reads, which the next thread has when that one ends.
//! Reading allocates nothing after the first snapshots, as long as no reader keeps more than three
//! old ones; it takes at most a quarter of the time ([`Schedule`]).
//!
//! # What it is bad at
//! One thread: a call that hangs for one device holds up the others. More threads would wait for the
//! same lock within the driver.

mod cadence;
mod publish;
mod signals;

use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use rampmeter::{Error, Nanos};

use crate::call::Call;
use crate::clock;
use crate::probe::Probe;
use crate::snapshot::Snapshot;
use crate::watch::Watch;
use cadence::Schedule;
pub use cadence::{Cadence, STALE_AFTER};
use publish::Publisher;

/// From when on a call is said to hang: two hundred times what the slowest one takes (a list of
/// processes, 4.5 ms), and well before its snapshot is stale.
pub const HANGING_AFTER: Nanos = Nanos(1_000_000_000);

/// How long dropping a poller waits for its thread: longer than any call that does not hang.
const DROP_PATIENCE: Duration = Duration::from_millis(250);

/// Why a poller was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cadence is outside its ranges.
    #[error(transparent)]
    Cadence(#[from] Error),
    /// The system gave no thread.
    #[error("no thread for the probe: {0}")]
    Thread(#[from] io::Error),
}

/// What a poller is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It reads at its cadence.
    Running,
    /// It waits for a driver call that runs for longer than [`HANGING_AFTER`].
    Hanging {
        /// Which one.
        call: Call,
        /// Since when, by [`clock::now`].
        since: Nanos,
    },
    /// It was stopped.
    Ended,
    /// This is a forked child of the process that it runs in. Start a new one here.
    Forked,
}

/// How a poller was stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// Its thread has ended, and what the driver lent was given back.
    Clean,
    /// Its thread still waits for this driver call, and ends when that returns.
    Detached {
        /// The call, as far as it can be told.
        call: Option<Call>,
    },
    /// This is a forked child: there was nothing to stop.
    Forked,
}

/// A thread that reads a probe, and publishes what it read.
#[derive(Debug)]
pub struct Poller {
    reader: Reader,
    thread: Option<JoinHandle<()>>,
}

/// Reads what a poller published, from any thread. Cheap to clone; outlives the poller.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// A published snapshot. Whoever keeps it long makes the poller allocate another one.
#[derive(Debug)]
pub struct Latest(Guard<Arc<Snapshot>>);

impl Deref for Latest {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

#[derive(Debug)]
struct Shared {
    current: ArcSwap<Snapshot>,
    watch: Arc<Watch>,
    stop: AtomicBool,
    ended: AtomicBool,
    stage: Mutex<Stage>,
    staged: Condvar,
    /// The process that the thread is in.
    pid: u32,
}

/// How far the thread is. Readers of snapshots never look at it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Starting,
    Published,
    Ended,
}

impl Poller {
    /// Starts a thread that reads this probe at this cadence. The first snapshot has `seq` 0 until
    /// something was read ([`Poller::wait_first`]).
    ///
    /// # Errors
    /// [`StartError::Cadence`] for periods outside the ranges of [`Cadence`];
    /// [`StartError::Thread`] if the system gives none.
    pub fn start(probe: impl Probe + 'static, cadence: &Cadence) -> Result<Self, StartError> {
        cadence.check()?;
        let mut first = Snapshot::with_room();
        first.source = probe.source();
        let shared = Arc::new(Shared {
            current: ArcSwap::from_pointee(first),
            watch: probe.watch(),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            stage: Mutex::new(Stage::Starting),
            staged: Condvar::new(),
            pid: std::process::id(),
        });
        let schedule = Schedule::new(*cadence);
        let theirs = Arc::clone(&shared);
        let thread = signals::without(|| {
            thread::Builder::new()
                .name("rampmeter-probe".to_owned())
                .spawn(move || run(probe, &theirs, schedule))
        })?;
        Ok(Self { reader: Reader { shared }, thread: Some(thread) })
    }

    /// The last snapshot.
    #[must_use]
    pub fn latest(&self) -> Latest {
        self.reader.latest()
    }

    /// Someone who reads it elsewhere.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self, now: Nanos) -> State {
        self.reader.state(now)
    }

    /// Waits until something was read, at most so long. Whether there is something now.
    #[must_use]
    pub fn wait_first(&self, patience: Duration) -> bool {
        self.reader.wait_first(patience)
    }

    /// Stops it. Waits for the driver call that runs, at most so long.
    #[must_use]
    pub fn stop(mut self, patience: Duration) -> Stopped {
        self.end(patience)
    }

    fn end(&mut self, patience: Duration) -> Stopped {
        let Some(thread) = self.thread.take() else { return Stopped::Clean };
        if self.reader.is_forked() {
            // The thread is not in this process, so that there is nothing to detach or to join.
            std::mem::forget(thread);
            return Stopped::Forked;
        }
        self.reader.shared.stop.store(true, Ordering::Release);
        thread.thread().unpark();
        if !self.reader.wait(Stage::Ended, patience) {
            let call = self.reader.shared.watch.running().map(|(call, _)| call);
            return Stopped::Detached { call };
        }
        // Nothing but its return is left to it. A panic was told on standard error by then.
        let _ = thread.join();
        Stopped::Clean
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.end(DROP_PATIENCE);
    }
}

impl Reader {
    /// The last snapshot. Never waits.
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest(self.shared.current.load())
    }

    /// The last snapshot, to be kept for longer than a few instructions: across calls, say. Never waits.
    #[must_use]
    pub fn hold(&self) -> Arc<Snapshot> {
        self.shared.current.load_full()
    }

    /// Lets go of a snapshot for the last one, if there is another by now. Never waits.
    pub fn renew(&self, held: &mut Arc<Snapshot>) {
        let current = self.shared.current.load();
        if !Arc::ptr_eq(&current, held) {
            *held = Guard::into_inner(current);
        }
    }

    /// What the poller is doing. A system call (which process is this?); no lock.
    #[must_use]
    pub fn state(&self, now: Nanos) -> State {
        if self.is_forked() {
            return State::Forked;
        }
        if self.shared.ended.load(Ordering::Acquire) {
            return State::Ended;
        }
        match self.shared.watch.running() {
            Some((call, since)) if now.saturating_sub(since) > HANGING_AFTER => {
                State::Hanging { call, since }
            }
            _ => State::Running,
        }
    }

    /// Waits until something was read, at most so long. Whether there is something now; never in a
    /// forked child.
    #[must_use]
    pub fn wait_first(&self, patience: Duration) -> bool {
        self.wait(Stage::Published, patience)
    }

    fn is_forked(&self) -> bool {
        std::process::id() != self.shared.pid
    }

    fn wait(&self, stage: Stage, patience: Duration) -> bool {
        if self.is_forked() {
            return false;
        }
        let reached = self.shared.stage();
        let waited = self.shared.staged.wait_timeout_while(reached, patience, |now| *now < stage);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= stage
    }
}

impl Shared {
    /// A poisoned lock still holds a stage: there is nothing else in it.
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self, stage: Stage) {
        let mut now = self.stage();
        if *now < stage {
            *now = stage;
            self.staged.notify_all();
        }
    }
}

/// Says that the thread has ended, however it did.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.reach(Stage::Ended);
    }
}

fn run(mut probe: impl Probe, shared: &Shared, mut schedule: Schedule) {
    let _ending = Ending(shared);
    let mut publisher = Publisher::default();
    while !shared.stop.load(Ordering::Acquire) {
        let begin = clock::now();
        let due = schedule.due(begin);
        if !due.is_empty() {
            let snapshot = probe.read(due);
            let condition = snapshot.condition;
            publisher.publish(snapshot, &shared.current);
            shared.reach(Stage::Published);
            schedule.done(due, begin, clock::now(), condition);
        }
        let rest = schedule.next().saturating_sub(clock::now());
        if !shared.stop.load(Ordering::Acquire) {
            thread::park_timeout(Duration::from_nanos(rest.0));
        }
    }
    probe.close();
}
