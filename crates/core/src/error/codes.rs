//! The stable numbers of everything that can be wrong with a call, one table for Rust, C and
//! Python. Errors are negative, success is 0. A number is never reused; a retired one stays listed.
//!
//! -1 to -63 come from the core, -64 to -99 from the borders to C and Python, where a pointer, a
//! structure or a name can be wrong before the core hears of the call. A host that knows only some
//! of them loses nothing: the text of an error says the same in words.

use core::ffi::CStr;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $means:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: i32 = $number;)+

        /// All of them: number, name, and what it means in half a sentence.
        pub const ALL: &[(i32, &str, &CStr)] = &[$(($number, stringify!($name), $means)),+];
    };
}

codes! {
    /// Not an error: the call did what it says.
    OK = 0, c"success";
    /// [`crate::Error::Range`].
    RANGE = -1, c"a whole number is outside its range";
    /// [`crate::Error::RangeReal`].
    RANGE_REAL = -2, c"a fractional number is outside its range, or is not a number";
    /// [`crate::Error::Stale`].
    STALE = -3, c"a handle was never issued, or what it named has ended";
    /// [`crate::Error::TimeReversed`].
    TIME_REVERSED = -4, c"time went backwards";
    /// [`crate::Error::Full`].
    FULL = -5, c"a fixed capacity is used up";
    /// [`crate::Error::BufferTooSmall`].
    BUFFER_TOO_SMALL = -6, c"an array or buffer of the caller is too short";
    /// [`crate::Error::Contradiction`].
    CONTRADICTION = -7, c"two values contradict each other";
    /// [`crate::Error::Duplicate`].
    DUPLICATE = -8, c"two entries of a list carry the same name";
    /// [`crate::Error::Unknown`].
    UNKNOWN = -9, c"an entry names another that does not stand before it";
    /// [`crate::Error::Snapshot`].
    SNAPSHOT = -10, c"the bytes are no snapshot that can be believed";
    /// A policy document that cannot be read, or a key of it.
    DOCUMENT = -11, c"a policy document is wrong";
    /// A pointer is null or not aligned.
    POINTER = -64, c"a pointer is null or not aligned";
    /// The `size` of a structure is smaller than that of its first version, or no size at all.
    SIZE = -65, c"the size of a structure is not set, or is none";
    /// A structure has fields that this version of the library does not know, and they are not 0.
    TOO_NEW = -66, c"a structure uses fields that this version does not know";
    /// A name that nothing has.
    NAME = -67, c"nothing has this name";
    /// Text that is not UTF-8.
    TEXT = -68, c"a text is not UTF-8";
    /// The system has not as much memory as an object needs.
    MEMORY = -69, c"there is not as much memory as the object needs";
    /// The call comes from within another call of the same object, by way of the host.
    REENTRANT = -70, c"the object is in the middle of a call";
    /// A bug of the library; the object is not to be used any more.
    INTERNAL = -100, c"a bug of the library: destroy the object and report it";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 > pair[1].0));
        assert_eq!((ALL[0].0, ALL[0].1), (OK, "OK"));
        assert!(ALL.iter().skip(1).all(|(number, ..)| *number < 0));
    }
}
