//! Status: what every call returns
//!
//! 0 or an error, which is negative. A decision is never an error: to hold, to shed or to have
//! nothing to do are success. After an error nothing has changed, in the object or in what the
//! call writes to; only an object that is to be created is set to NULL.

use std::ffi::c_char;

use rampmeter::error::codes;

/// What a call returns: `RAMPMETER_STATUS_OK` or one of the errors below, all negative. More may be
/// added; a number is never reused.
pub type rampmeter_status = i32;

/// The call did what it says.
pub const RAMPMETER_STATUS_OK: i32 = 0;
/// A whole number is outside its range.
pub const RAMPMETER_STATUS_E_RANGE: i32 = -1;
/// A fractional number is outside its range, or is not a number.
pub const RAMPMETER_STATUS_E_RANGE_REAL: i32 = -2;
/// A handle (a request, an account, a task...) was never issued, or what it named has ended.
pub const RAMPMETER_STATUS_E_STALE: i32 = -3;
/// `now_ns` is earlier than in an earlier call on the same object.
pub const RAMPMETER_STATUS_E_TIME_REVERSED: i32 = -4;
/// A fixed capacity is used up. Nothing grows after an object is created.
pub const RAMPMETER_STATUS_E_FULL: i32 = -5;
/// An array or buffer of the caller is too short; the text of the error says what it needs.
pub const RAMPMETER_STATUS_E_BUFFER_TOO_SMALL: i32 = -6;
/// Two values contradict each other.
pub const RAMPMETER_STATUS_E_CONTRADICTION: i32 = -7;
/// Two entries of a list carry the same name.
pub const RAMPMETER_STATUS_E_DUPLICATE: i32 = -8;
/// An entry names another that does not stand before it.
pub const RAMPMETER_STATUS_E_UNKNOWN: i32 = -9;
/// The bytes are no snapshot of such an object, or cannot be believed.
pub const RAMPMETER_STATUS_E_SNAPSHOT: i32 = -10;
/// A policy document (or a fixture of a probe) is wrong; the text of the error names the line, the key
/// and the range.
pub const RAMPMETER_STATUS_E_DOCUMENT: i32 = -11;
/// A pointer is NULL or not aligned.
pub const RAMPMETER_STATUS_E_POINTER: i32 = -64;
/// The `size` of a structure is smaller than that of its first version, or no size at all: it is not
/// set.
pub const RAMPMETER_STATUS_E_SIZE: i32 = -65;
/// The caller was built with a newer header and sets fields that this library does not know.
pub const RAMPMETER_STATUS_E_TOO_NEW: i32 = -66;
/// Nothing has the name that was given.
pub const RAMPMETER_STATUS_E_NAME: i32 = -67;
/// A text is not UTF-8.
pub const RAMPMETER_STATUS_E_TEXT: i32 = -68;
/// The system has not as much memory as the object needs; the text of the error says how much.
pub const RAMPMETER_STATUS_E_MEMORY: i32 = -69;
/// The call comes from within another call of the same object, by way of the host.
pub const RAMPMETER_STATUS_E_REENTRANT: i32 = -70;
/// A bug of the library. The object answers nothing but this any more: destroy it, and report it.
pub const RAMPMETER_STATUS_E_INTERNAL: i32 = -100;

/// The version of the ABI that this header describes; see rampmeter_abi().
pub const RAMPMETER_ABI: u32 = 1;
/// Version of the library that this header came with, first number.
pub const RAMPMETER_VERSION_MAJOR: u32 = 0;
/// Second number.
pub const RAMPMETER_VERSION_MINOR: u32 = 1;
/// Third number.
pub const RAMPMETER_VERSION_PATCH: u32 = 0;

/// In place of a fraction for which 0 means the default, where the text says so: 0.
pub const RAMPMETER_ZERO: f64 = -1.0;

/// The ABI that the library has. Where it is not `RAMPMETER_ABI`, header and library do not belong
/// together: call nothing else.
///
/// Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_abi() -> u32 {
    RAMPMETER_ABI
}

/// The version of the library, such as "0.1.0".
///
/// Ownership: static, never freed. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// What a status means, in half a sentence; for any number, known or not. The text of an error
/// (::rampmeter_error) says more: the field, the value and the range.
///
/// Ownership: static, never freed. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_status_text(status: rampmeter_status) -> *const c_char {
    let known = codes::ALL.iter().find(|(code, ..)| *code == status);
    known.map_or(c"no status of this version of rampmeter", |(.., means)| means).as_ptr()
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    const OURS: [(i32, &str); 20] = [
        (RAMPMETER_STATUS_OK, "OK"),
        (RAMPMETER_STATUS_E_RANGE, "RANGE"),
        (RAMPMETER_STATUS_E_RANGE_REAL, "RANGE_REAL"),
        (RAMPMETER_STATUS_E_STALE, "STALE"),
        (RAMPMETER_STATUS_E_TIME_REVERSED, "TIME_REVERSED"),
        (RAMPMETER_STATUS_E_FULL, "FULL"),
        (RAMPMETER_STATUS_E_BUFFER_TOO_SMALL, "BUFFER_TOO_SMALL"),
        (RAMPMETER_STATUS_E_CONTRADICTION, "CONTRADICTION"),
        (RAMPMETER_STATUS_E_DUPLICATE, "DUPLICATE"),
        (RAMPMETER_STATUS_E_UNKNOWN, "UNKNOWN"),
        (RAMPMETER_STATUS_E_SNAPSHOT, "SNAPSHOT"),
        (RAMPMETER_STATUS_E_DOCUMENT, "DOCUMENT"),
        (RAMPMETER_STATUS_E_POINTER, "POINTER"),
        (RAMPMETER_STATUS_E_SIZE, "SIZE"),
        (RAMPMETER_STATUS_E_TOO_NEW, "TOO_NEW"),
        (RAMPMETER_STATUS_E_NAME, "NAME"),
        (RAMPMETER_STATUS_E_TEXT, "TEXT"),
        (RAMPMETER_STATUS_E_MEMORY, "MEMORY"),
        (RAMPMETER_STATUS_E_REENTRANT, "REENTRANT"),
        (RAMPMETER_STATUS_E_INTERNAL, "INTERNAL"),
    ];

    fn text(status: i32) -> &'static str {
        // SAFETY: a static text with a zero at its end.
        unsafe { CStr::from_ptr(rampmeter_status_text(status)) }.to_str().expect("it is ASCII")
    }

    #[test]
    fn codes_and_texts_are_those_of_the_one_table() {
        let table: Vec<(i32, &str)> =
            codes::ALL.iter().map(|(code, name, _)| (*code, *name)).collect();
        assert_eq!(table, OURS);
        for (code, _, means) in codes::ALL {
            assert_eq!(text(*code), means.to_str().expect("it is ASCII"));
        }
        let unknown = text(1);
        assert!(codes::ALL.iter().all(|(code, ..)| text(*code) != unknown));
        assert!(
            [-12, -63, -71, -101, i32::MIN, i32::MAX].iter().all(|code| text(*code) == unknown)
        );
    }

    #[test]
    fn version_numbers_are_those_of_the_package() {
        let numbers = [RAMPMETER_VERSION_MAJOR, RAMPMETER_VERSION_MINOR, RAMPMETER_VERSION_PATCH];
        let text = numbers.map(|number| number.to_string()).join(".");
        assert_eq!(text, env!("CARGO_PKG_VERSION"));
        // SAFETY: a static text with a zero at its end.
        let ours = unsafe { CStr::from_ptr(rampmeter_version()) };
        assert_eq!(ours.to_str(), Ok(text.as_str()));
    }
}
