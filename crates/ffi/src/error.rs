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
    /// A file cannot be read, or (`is_there`) is not what it should be.
    #[cfg(feature = "probe")]
    File {
        path: Box<str>,
        why: Box<str>,
        is_there: bool,
    },
    /// The system gives no thread.
    #[cfg(feature = "probe")]
    Thread {
        why: Box<str>,
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

/// What the core calls by another name than the header: its own word, and where to look in C; by the
/// first. Not in it: what only a policy document has, whose keys have names of their own, and what
/// tells of a relation instead of a field.
const NAMES_IN_C: [(&str, &str); 17] = [
    ("at", "at_ns"),
    ("batch_seconds", "duration_ns (in seconds)"),
    ("class", "class_index"),
    ("count", "device_count"),
    ("curve_points", "points_len"),
    ("curve_seconds", "points[].seconds"),
    ("curve_size", "points[].batch_size"),
    ("handed_over.first_token_ns", "handed_over_first_token_ns"),
    ("handed_over.output_tokens", "handed_over_output_tokens"),
    ("kv_free", "kv_blocks_free"),
    ("milli", "device_milli"),
    ("preferred_size", "preferred_sizes[]"),
    ("quantile", "parts[]"),
    ("short", "missing"),
    ("snapshot", "out"),
    ("urgent_class", "class_index"),
    ("waiting_value", "value"),
];

/// The same in the words of the header.
fn in_c(mut error: Error) -> Error {
    let known = |name: &mut &'static str| {
        if let Ok(at) = NAMES_IN_C.binary_search_by_key(name, |(core, _)| core) {
            *name = NAMES_IN_C[at].1;
        }
    };
    match &mut error {
        Error::Contradiction { field, other, .. } => {
            known(field);
            known(other);
        }
        Error::Range { field, .. }
        | Error::RangeReal { field, .. }
        | Error::Stale { field, .. }
        | Error::Full { field, .. }
        | Error::BufferTooSmall { field, .. } => known(field),
        _ => {}
    }
    error
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
            #[cfg(feature = "probe")]
            Self::File { is_there, .. } => {
                if *is_there {
                    codes::DOCUMENT
                } else {
                    codes::NAME
                }
            }
            #[cfg(feature = "probe")]
            Self::Thread { .. } => codes::FULL,
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
            Self::Core(error) => in_c(*error).fmt(f),
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
            #[cfg(feature = "probe")]
            Self::File { path, why, .. } => write!(f, "`path` = \"{path}\": {why}"),
            #[cfg(feature = "probe")]
            Self::Thread { why } => write!(f, "no thread for the probe: {why}"),
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
    use std::collections::BTreeSet;
    use std::ffi::CStr;
    use std::fs;
    use std::mem::MaybeUninit;
    use std::path::Path;

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

    /// Names of fields that the core's sources put into errors, but for those of snapshots, whose
    /// errors say that they are snapshots.
    fn names_of_the_core(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("the sources of the core") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
            if path.is_dir() && name != "policy" && name != "tests" {
                names_of_the_core(&path, found);
            } else if path.is_file() && !["state.rs", "tests.rs"].contains(&name) {
                let text = fs::read_to_string(&path).expect("a source");
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                for before in ["field: \"", "other: \"", "check_range(\"", "check_real(\""] {
                    let names = text.split(before).skip(1).filter_map(|rest| rest.split_once('"'));
                    let told = names.filter(|(_, value)| !value.starts_with(", words."));
                    found.extend(told.map(|(name, _)| name.to_owned()));
                }
            }
        }
    }

    fn words(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').collect()
    }

    #[test]
    fn every_field_is_named_as_in_the_header() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut names = BTreeSet::new();
        names_of_the_core(&root.join("crates/core/src"), &mut names);
        assert!(names.len() > 100 && names.contains("class"), "{names:?}");
        let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
        let (header, keys) = (read("include/rampmeter.h"), read("docs/policies/document.md"));
        // Of the header what is no comment: declarations, not what is said about them.
        let code: String =
            header.split("/*").map(|part| part.rsplit("*/").next().unwrap_or_default()).collect();
        let (code, keys) = (words(&code), words(&keys));
        assert!(NAMES_IN_C.is_sorted());
        // What only a snapshot can be wrong in, whose errors say that it is one.
        let nobodys = ["base", "next_id", "oldest", "opened", "shapes_len"];
        for name in names.iter().filter(|name| !name.contains(' ')) {
            let leaked: &'static str = name.clone().leak();
            let told = in_c(Error::Stale { field: leaked, handle: 0 });
            let told = told.field().split(' ').next().unwrap_or_default();
            let known = |word: &str| code.contains(word) || keys.contains(word);
            let all_known = told.split(['.', '[', ']']).filter(|word| !word.is_empty()).all(known);
            assert!(all_known || nobodys.contains(&told), "`{told}` is not in the header");
        }
        for (core, c) in NAMES_IN_C {
            assert!(names.contains(core), "the core does not say `{core}` any more");
            // A device's count of something else, too.
            assert!(!code.contains(core) || core == "count", "`{core}` is a name in C");
            assert_ne!(core, c);
        }
    }

    #[test]
    fn what_the_core_names_is_told_in_the_words_of_c() {
        let class = Error::Range { field: "class", value: 9, min: 0, max: 1 };
        assert_eq!(told(&Fault::Core(class)).2, "`class_index` = 9 is outside 0..=1");
        let both = Error::Contradiction { field: "at", value: 1, other: "kv_free", other_value: 2 };
        assert_eq!(told(&Fault::Core(both)).2, "`at_ns` = 1 contradicts `kv_blocks_free` = 2");
    }
}
