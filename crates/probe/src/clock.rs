//! The clock by which snapshots are dated.

use rampmeter::Nanos;

/// Now, by the monotonic clock of the operating system (`CLOCK_MONOTONIC`, in Python
/// `time.monotonic_ns()`): the clock that hosts give rampmeter, so that ages can be told.
#[must_use]
pub fn now() -> Nanos {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}
