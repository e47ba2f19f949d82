//! What a ledger was asked and what it answered, without a heap.

use core::fmt::{Debug, Write};

use rampmeter::Error;

/// Distinct calls that one run can note.
const CALLS_MAX: usize = 128;

/// Answers by call, and a digest of all of them in order.
#[derive(Clone)]
pub struct Log {
    pub digest: u64,
    /// Name of a call, how often it was answered, and how often refused.
    calls: [(&'static str, u64, u64); CALLS_MAX],
    len: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self { digest: 0, calls: [("", 0, 0); CALLS_MAX], len: 0 }
    }
}

impl Write for Log {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl Log {
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Notes an answer of `call` and returns its value if there is one.
    pub fn note<T: Debug>(&mut self, call: &'static str, answer: Result<T, Error>) -> Option<T> {
        write!(self, "{call}{answer:?}").expect("a digest takes everything");
        let known = self.calls[..self.len].iter().position(|entry| entry.0 == call);
        let place = known.unwrap_or(self.len);
        let entry = &mut self.calls[place];
        self.len = self.len.max(place + 1);
        entry.0 = call;
        entry.1 += u64::from(answer.is_ok());
        entry.2 += u64::from(answer.is_err());
        answer.ok()
    }

    /// The same of a call that is never refused.
    pub fn told<T: Debug>(&mut self, call: &'static str, answer: T) -> T {
        write!(self, "{call}{answer:?}").expect("a digest takes everything");
        let _ = self.note(call, Ok(()));
        answer
    }

    /// How often a call was answered, and how often refused.
    pub fn counts(&self, call: &str) -> (u64, u64) {
        let entry = self.calls[..self.len].iter().find(|entry| entry.0 == call);
        entry.map_or((0, 0), |entry| (entry.1, entry.2))
    }

    /// All calls that were made, with how often each was answered and refused.
    pub fn calls(&self) -> &[(&'static str, u64, u64)] {
        &self.calls[..self.len]
    }
}
