//! The clock by which snapshots are dated.
#![allow(unsafe_code, reason = "a call of the C library")]

use rampmeter::Nanos;

/// Now, by the monotonic clock of the operating system (`CLOCK_MONOTONIC`, in Python
/// `time.monotonic_ns()`): the clock that hosts give rampmeter, so that ages can be told. The
/// standard library has the same clock, but not its number.
#[cfg(unix)]
#[must_use]
pub fn now() -> Nanos {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` lives through the call, which writes to it and nowhere else.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Now, since the first call.
#[cfg(not(unix))]
#[must_use]
pub fn now() -> Nanos {
    static BEGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let since = BEGIN.get_or_init(std::time::Instant::now).elapsed();
    Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_forward() {
        let before = now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(now() >= before.saturating_add(Nanos(2_000_000)));
    }
}
