//! Errors: what exactly was wrong
//!
//! Every call that can fail takes a `rampmeter_error *` last. With NULL nothing is written; else it
//! is filled if the call fails, and left alone if it does not. It is the caller's memory: nothing is
//! shared between threads, and nothing has to be freed.

use std::ffi::c_char;
use std::fmt::{self, Write as _};

use rampmeter::Error;
use rampmeter::error::codes;
use rampmeter::policy::document::DocumentError;

use crate::memory::SIZE_LARGEST;
use crate::status::rampmeter_status;

/// Bytes of rampmeter_error::text, the closing zero included.
pub const RAMPMETER_ERROR_TEXT_BYTES: usize = 504;

/// What was wrong with a call: one sentence that names the field, the value and the range. Need not
/// be set to anything before.
#[repr(C)]
pub struct rampmeter_error {
    /// What the call returned.
    pub status: rampmeter_status,
    /// Bytes of `text` without the closing zero.
    pub text_len: u32,
    /// UTF-8, closed by a zero. What is longer is cut off at a character.
    pub text: [c_char; RAMPMETER_ERROR_TEXT_BYTES],
}

/// Everything that can be wrong with a call from C.
pub(crate) enum Fault {
    /// The core refused it.
    Core(Error),
    Document(DocumentError),
    /// A pointer is null, or (`false`) not aligned.
    Pointer {
        argument: &'static str,
        null: bool,
    },
    Size {
        structure: &'static str,
        given: u32,
        least: u32,
    },
    TooNew {
        structure: &'static str,
        at: u32,
    },
    Name {
        what: &'static str,
        name: Box<str>,
    },
    Text {
        argument: &'static str,
    },
    Memory {
        bytes: u64,
    },
    /// The object is in the middle of a call that called the host.
    Reentrant {
        argument: &'static str,
    },
    /// The policy names fewer accounts.
    Account {
        index: u32,
        named: u32,
    },
    /// Two arguments that must differ are one object.
    Same {
        argument: &'static str,
        other: &'static str,
    },
    /// It panicked, or the object did in an earlier call.
    Internal {
        poisoned: bool,
    },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}

impl Fault {
    /// An account that the policy does not name, by its place; `account` knows those that it does.
    #[cold]
    pub(crate) fn unnamed<A>(index: u32, account: impl Fn(usize) -> Option<A>) -> Self {
        let named = (0..index).take_while(|at| account(*at as usize).is_some()).count() as u32;
        Self::Account { index, named }
    }

    pub(crate) fn code(&self) -> rampmeter_status {
        match self {
            Self::Core(error) => error.code(),
            Self::Document(error) => error.code(),
            Self::Pointer { .. } => codes::POINTER,
            Self::Size { .. } => codes::SIZE,
            Self::TooNew { .. } => codes::TOO_NEW,
            Self::Name { .. } => codes::NAME,
            Self::Text { .. } => codes::TEXT,
            Self::Memory { .. } => codes::MEMORY,
            Self::Reentrant { .. } => codes::REENTRANT,
            Self::Account { .. } => codes::RANGE,
            Self::Same { .. } => codes::CONTRADICTION,
            Self::Internal { .. } => codes::INTERNAL,
        }
    }

    /// Tells the caller, if it wants to know.
    ///
    /// # Safety
    /// `error` is null or may be written.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn tell(&self, error: *mut rampmeter_error) -> rampmeter_status {
        let status = self.code();
        if error.is_null() || !error.is_aligned() {
            return status;
        }
        let mut text = Text { bytes: [0; RAMPMETER_ERROR_TEXT_BYTES], len: 0, full: false };
        // It refuses what does not fit, and that is all that can go wrong.
        let _ = write!(text, "{self}");
        #[allow(clippy::cast_possible_wrap, reason = "bytes stay what they are, signed or not")]
        let told = rampmeter_error {
            status,
            text_len: text.len as u32,
            text: text.bytes.map(|byte| byte as c_char),
        };
        // SAFETY: not null, aligned, and the caller's promise.
        unsafe { error.write(told) };
        status
    }
}

/// A status whose fault was told already.
#[derive(Clone, Copy)]
pub(crate) struct Refused(rampmeter_status);

/// What a call ends with if it fails: a fault that is to be told, or the status of one that was.
pub(crate) trait Refusal {
    /// # Safety
    /// `error` is null or may be written.
    unsafe fn status(self, error: *mut rampmeter_error) -> rampmeter_status;
}

impl Refusal for Fault {
    unsafe fn status(self, error: *mut rampmeter_error) -> rampmeter_status {
        // SAFETY: passed on.
        unsafe { self.tell(error) }
    }
}

impl Refusal for Refused {
    #[inline]
    unsafe fn status(self, _: *mut rampmeter_error) -> rampmeter_status {
        self.0
    }
}

/// Tells a fault where it is found, so that a call that succeeds carries no room for one: what the
/// calls of a running host do.
pub(crate) trait Told<T> {
    /// # Safety
    /// `error` is null or may be written.
    unsafe fn told(self, error: *mut rampmeter_error) -> Result<T, Refused>;
}

impl<T, E: Into<Fault>> Told<T> for Result<T, E> {
    #[inline]
    unsafe fn told(self, error: *mut rampmeter_error) -> Result<T, Refused> {
        match self {
            Ok(value) => Ok(value),
            // SAFETY: passed on.
            Err(fault) => Err(Refused(unsafe { tell(fault, error) })),
        }
    }
}

#[cold]
#[inline(never)]
unsafe fn tell<E: Into<Fault>>(fault: E, error: *mut rampmeter_error) -> rampmeter_status {
    // SAFETY: passed on.
    unsafe { fault.into().tell(error) }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::Document(error) => error.fmt(f),
            Self::Pointer { argument, null: true } => write!(f, "`{argument}` is NULL"),
            Self::Pointer { argument, null: false } => write!(f, "`{argument}` is not aligned"),
            Self::Size { structure, given, least } => {
                write!(f, "`{structure}.size` = {given} is outside {least}..={SIZE_LARGEST}")
            }
            Self::TooNew { structure, at } => write!(
                f,
                "`{structure}` sets byte {at}, which this version does not know; it must be 0"
            ),
            Self::Name { what, name } => write!(f, "`{what}` = \"{name}\" is the name of nothing"),
            Self::Text { argument } => write!(f, "`{argument}` is not UTF-8"),
            Self::Reentrant { argument } => {
                write!(f, "`{argument}` is in the middle of a call, which this one comes from")
            }
            Self::Account { index, named } => {
                write!(f, "`account_index` = {index}: the policy names {named} accounts, from 0 on")
            }
            Self::Same { argument, other } => write!(f, "`{argument}` and `{other}` are the same"),
            Self::Memory { bytes } => write!(f, "there are not {bytes} bytes of memory for it"),
            Self::Internal { poisoned: false } => f.write_str("a bug of the library; report it"),
            Self::Internal { poisoned: true } => {
                f.write_str("the object met a bug of the library in an earlier call: destroy it")
            }
        }
    }
}

/// Text as far as it fits, with a zero behind it.
struct Text {
    bytes: [u8; RAMPMETER_ERROR_TEXT_BYTES],
    len: usize,
    /// Something was cut off: nothing may come behind it.
    full: bool,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Ok(());
        }
        let room = self.bytes.len() - 1 - self.len;
        let fits = if text.len() <= room { text.len() } else { text.floor_char_boundary(room) };
        self.full = fits < text.len();
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::mem::MaybeUninit;

    use super::*;

    fn told(fault: &Fault) -> (i32, u32, String) {
        let mut error = MaybeUninit::<rampmeter_error>::uninit();
        // SAFETY: it may be written, and is written when there is a fault.
        let error = unsafe {
            fault.tell(error.as_mut_ptr());
            error.assume_init()
        };
        // SAFETY: `tell` closes the text.
        let text = unsafe { CStr::from_ptr(error.text.as_ptr()) };
        (error.status, error.text_len, text.to_str().expect("UTF-8").into())
    }

    #[test]
    fn says_what_the_core_says() {
        let core = Error::Range { field: "seats", value: 0, min: 1, max: 512 };
        let (status, len, text) = told(&Fault::Core(core));
        assert_eq!((status, text.as_str()), (-1, "`seats` = 0 is outside 1..=512"));
        assert_eq!(len as usize, text.len());
    }

    #[test]
    fn cuts_long_text_at_a_character() {
        // Two bytes each, from an even place: the room of 503 bytes ends within one.
        let name = "ä".repeat(400).into_boxed_str();
        let (status, len, text) = told(&Fault::Name { what: "abc", name });
        assert_eq!((status, len as usize), (codes::NAME, text.len()));
        assert!((501..=503).contains(&text.len()), "{}", text.len());
        assert!(text.ends_with('ä'));
    }

    #[test]
    fn nobody_has_to_listen() {
        // SAFETY: null is allowed.
        let status = unsafe { Fault::Text { argument: "x" }.tell(std::ptr::null_mut()) };
        assert_eq!(status, codes::TEXT);
    }
}
