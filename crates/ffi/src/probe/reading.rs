//! Readings, and conditions of a driver: numbers and texts.

use std::ffi::c_char;
use std::mem::discriminant;

use rampmeter::Nanos;
use rampmeter_probe::{Call, Condition, Reading};

/// What came of asking for a value: this device, driver or backend does not tell it.
pub const RAMPMETER_READING_UNSUPPORTED: u8 = 0;
/// It was read.
pub const RAMPMETER_READING_OK: u8 = 1;
/// It may be told, but not to this process.
pub const RAMPMETER_READING_DENIED: u8 = 2;
/// The call failed.
pub const RAMPMETER_READING_FAILED: u8 = 3;

/// In what condition the driver is, and why there may be no GPU: nothing was asked yet, or nobody is to
/// be asked.
pub const RAMPMETER_CONDITION_OFF: u8 = 0;
/// It answers, and there are GPUs.
pub const RAMPMETER_CONDITION_READY: u8 = 1;
/// It answers, and there is no GPU: a success.
pub const RAMPMETER_CONDITION_NO_DEVICES: u8 = 2;
/// There is no driver library.
pub const RAMPMETER_CONDITION_NO_DRIVER: u8 = 3;
/// There is a library of that name which lacks the call to begin with.
pub const RAMPMETER_CONDITION_NOT_THE_DRIVER: u8 = 4;
/// The kernel's part is not loaded.
pub const RAMPMETER_CONDITION_DRIVER_NOT_LOADED: u8 = 5;
/// A toolkit's stub was found instead of the driver.
pub const RAMPMETER_CONDITION_STUB_LIBRARY: u8 = 6;
/// The library and the kernel's part are of different versions.
pub const RAMPMETER_CONDITION_VERSION_MISMATCH: u8 = 7;
/// The driver answers "unknown error" to everything: in a container, access to it was lost.
pub const RAMPMETER_CONDITION_ACCESS_LOST: u8 = 8;
/// This process may not use the driver.
pub const RAMPMETER_CONDITION_DENIED: u8 = 9;
/// The system is not ready, as before a fabric manager has run.
pub const RAMPMETER_CONDITION_NOT_READY: u8 = 10;
/// CUDA was not started in this process, and the probe may not start it.
pub const RAMPMETER_CONDITION_NOT_STARTED: u8 = 11;
/// It has not answered yet. Never told by a probe; for hosts that wait for a first snapshot in vain.
pub const RAMPMETER_CONDITION_HANGING: u8 = 12;
/// The call to begin with failed otherwise; it is told, and its code.
pub const RAMPMETER_CONDITION_FAILED: u8 = 13;

/// In the order of their numbers.
const CONDITIONS: [Condition; 14] = [
    Condition::Off,
    Condition::Ready,
    Condition::NoDevices,
    Condition::NoDriver,
    Condition::NotTheDriver,
    Condition::DriverNotLoaded,
    Condition::StubLibrary,
    Condition::VersionMismatch,
    Condition::AccessLost,
    Condition::Denied,
    Condition::NotReady,
    Condition::NotStarted,
    Condition::Hanging,
    Condition::Failed { call: Call::INIT, code: 0 },
];

/// What came of asking for a value; the value stands beside it, and is 0 where there is none.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct rampmeter_reading {
    /// Of a value: how old it is at the `now_ns` that was asked with.
    pub age_ns: u64,
    /// Of a failure: the status of the call, as the driver numbers them. 0: it claimed to succeed, and
    /// its answer cannot be.
    pub code: u32,
    /// Of a failure: which call; see rampmeter_call_name().
    pub call: u16,
    /// RAMPMETER_READING_...
    pub state: u8,
    /// 0.
    pub reserved: u8,
}

/// A reading for somebody whose snapshot is so old, and its value.
pub(super) fn flat<T>(
    reading: &Reading<T>,
    snapshot_age: Nanos,
) -> (rampmeter_reading, Option<&T>) {
    let mut out = rampmeter_reading::default();
    out.state = match reading {
        Reading::Ok { age, .. } => {
            out.age_ns = age.saturating_add(snapshot_age).0;
            RAMPMETER_READING_OK
        }
        Reading::Unsupported => RAMPMETER_READING_UNSUPPORTED,
        Reading::Denied => RAMPMETER_READING_DENIED,
        Reading::Failed { call, code } => {
            (out.call, out.code) = (call.0, *code);
            RAMPMETER_READING_FAILED
        }
    };
    (out, reading.value())
}

/// A condition as a number.
pub(super) fn condition_number(condition: Condition) -> u8 {
    let is_it = |known: &Condition| discriminant(known) == discriminant(&condition);
    CONDITIONS.iter().position(is_it).map_or(RAMPMETER_CONDITION_FAILED, |at| at as u8)
}

/// Bytes for the longest of the texts below, with its closing zero.
const TEXT_BYTES: usize = 176;

/// Texts that a zero closes, made while this is compiled.
const fn closed<const N: usize>(texts: [&str; N]) -> [[u8; TEXT_BYTES]; N] {
    let mut closed = [[0; TEXT_BYTES]; N];
    let mut at = 0;
    while at < N {
        let text = texts[at].as_bytes();
        assert!(text.len() < TEXT_BYTES);
        let mut byte = 0;
        while byte < text.len() {
            closed[at][byte] = text[byte];
            byte += 1;
        }
        at += 1;
    }
    closed
}

/// One text for each condition.
macro_rules! of_conditions {
    ($text:ident) => {{
        let mut texts = [""; CONDITIONS.len()];
        let mut at = 0;
        while at < CONDITIONS.len() {
            texts[at] = CONDITIONS[at].$text();
            at += 1;
        }
        closed(texts)
    }};
}

const CALLS: usize = Call::ALL.len();

static WORDS: [[u8; TEXT_BYTES]; CONDITIONS.len()] = of_conditions!(word);
static REASONS: [[u8; TEXT_BYTES]; CONDITIONS.len()] = of_conditions!(reason);
static REMEDIES: [[u8; TEXT_BYTES]; CONDITIONS.len()] = of_conditions!(remedy);
static CALL_NAMES: [[u8; TEXT_BYTES]; CALLS] = {
    let mut texts = [""; CALLS];
    let mut at = 0;
    while at < CALLS {
        texts[at] = Call::ALL[at].name();
        at += 1;
    }
    closed(texts)
};

fn text_of(texts: &'static [[u8; TEXT_BYTES]], at: Option<usize>) -> *const c_char {
    let text = at.and_then(|at| texts.get(at));
    text.map_or(c"unknown".as_ptr(), |text| text.as_ptr().cast())
}

/// A stable word for a condition, such as "no_driver"; "unknown" for any other number.
///
/// Ownership: static, never freed. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_condition_word(condition: u8) -> *const c_char {
    text_of(&WORDS, Some(condition.into()))
}

/// Why there are no GPUs, in a sentence for an operator.
///
/// Ownership, and so on: as rampmeter_condition_word(). Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_condition_reason(condition: u8) -> *const c_char {
    text_of(&REASONS, Some(condition.into()))
}

/// What to do about it, in a sentence; "" where there is nothing to do.
///
/// Ownership, and so on: as rampmeter_condition_word(). Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_condition_remedy(condition: u8) -> *const c_char {
    text_of(&REMEDIES, Some(condition.into()))
}

/// The name of a driver call in the driver's headers; "unknown" for a number that is none. Numbers
/// never change their meaning: NVML has 1 to 199, CUDA 200 to 299, the rest begins at 300.
///
/// Ownership, and so on: as rampmeter_condition_word(). Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_call_name(call: u16) -> *const c_char {
    text_of(&CALL_NAMES, Call::ALL.binary_search(&Call(call)).ok())
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: a static text with a zero at its end.
        unsafe { CStr::from_ptr(pointer) }.to_str().expect("it is ASCII")
    }

    #[test]
    fn numbers_have_the_texts_of_what_they_stand_for() {
        for (number, condition) in CONDITIONS.iter().enumerate() {
            assert_eq!(usize::from(condition_number(*condition)), number);
            let number = number as u8;
            assert_eq!(text(rampmeter_condition_word(number)), condition.word());
            assert_eq!(text(rampmeter_condition_reason(number)), condition.reason());
            assert_eq!(text(rampmeter_condition_remedy(number)), condition.remedy());
        }
        assert_eq!(CONDITIONS[usize::from(RAMPMETER_CONDITION_FAILED)].word(), "failed");
        assert_eq!(CONDITIONS[usize::from(RAMPMETER_CONDITION_NOT_STARTED)].word(), "not_started");
        let failed = Condition::Failed { call: Call::UUID, code: 7 };
        assert_eq!(condition_number(failed), RAMPMETER_CONDITION_FAILED);
        assert_eq!(text(rampmeter_condition_word(14)), "unknown");
        for number in 0..=u16::MAX {
            let known = Call::ALL.contains(&Call(number));
            let expected = if known { Call(number).name() } else { "unknown" };
            assert_eq!(text(rampmeter_call_name(number)), expected);
        }
    }
}
