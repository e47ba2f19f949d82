//! Who looks at a driver call while it runs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rampmeter::Nanos;

use crate::call::Call;
#[cfg(any(feature = "nvml", feature = "cuda", test))]
use crate::clock;

/// No call runs.
const NONE: u32 = 0;

/// Tells other threads in which driver call a probe is, and since when: a call that hangs can tell
/// nobody itself.
///
/// Two stores before a call and one after it; reading never waits.
#[derive(Debug, Default)]
pub struct Watch {
    call: AtomicU32,
    since_ns: AtomicU64,
    calls: AtomicU64,
}

impl Watch {
    /// The call that runs now, and since when.
    #[must_use]
    pub fn running(&self) -> Option<(Call, Nanos)> {
        // Acquire: `since_ns` was stored before the number was.
        let call = self.call.load(Ordering::Acquire);
        let since = Nanos(self.since_ns.load(Ordering::Relaxed));
        (call != NONE).then_some((Call(call as u16), since))
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Makes a call that others can see.
    #[cfg(any(feature = "nvml", feature = "cuda", test))]
    pub(crate) fn during<T>(&self, call: Call, f: impl FnOnce() -> T) -> T {
        self.since_ns.store(clock::now().0, Ordering::Relaxed);
        self.call.store(u32::from(call.0), Ordering::Release);
        let answer = f();
        self.call.store(NONE, Ordering::Release);
        // One thread calls, so that nothing is lost between reading and writing.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_seen_while_it_runs() {
        let watch = Watch::default();
        assert_eq!(watch.running(), None);
        let before = clock::now();
        let seen = watch.during(Call::UUID, || watch.running());
        assert!(seen.is_some_and(|(call, since)| call == Call::UUID && since >= before));
        assert_eq!((watch.running(), watch.calls()), (None, 1));
    }
}
