//! Memory of the caller: checked pointers, arrays, texts, and structures that carry their size.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use rampmeter::Error;

use crate::error::Fault;
use crate::status::RAMPMETER_ZERO;

/// Two tests of two constants, and nothing called: what a call that succeeds finds out stays in
/// registers then.
#[inline]
fn check<T>(pointer: *const T, argument: &'static str) -> Result<(), Fault> {
    if pointer.is_null() {
        return Err(Fault::Pointer { argument, null: true });
    }
    if !pointer.is_aligned() {
        return Err(Fault::Pointer { argument, null: false });
    }
    Ok(())
}

/// A place for one value, found good before the call changes anything.
#[derive(Clone, Copy)]
pub(crate) struct Out<'a, T> {
    pointer: *mut T,
    place: PhantomData<&'a mut T>,
}

impl<T> Out<'_, T> {
    /// # Safety
    /// `pointer` is null, or may be written while this lives.
    #[inline]
    pub(crate) unsafe fn new(pointer: *mut T, argument: &'static str) -> Result<Self, Fault> {
        check(pointer, argument)?;
        Ok(Self { pointer, place: PhantomData })
    }

    #[inline]
    pub(crate) fn set(self, value: T) {
        // SAFETY: not null, aligned, and the promise of `new`.
        unsafe { self.pointer.write(value) };
    }
}

/// A structure that begins with its size, as the caller's header has it. Fields are only ever
/// appended, and 0 in a field that the caller does not know means the default.
///
/// # Safety
/// `repr(C)`, `size: u32` first, no padding that is not a named field, any bits are a valid value.
pub(crate) unsafe trait Versioned: Copy {
    /// Name in C, for messages.
    const NAME: &'static str;
    /// Size of its first released layout.
    const SIZE_FIRST: u32;
}

/// Declares that a structure is [`Versioned`], and pins its first layout.
macro_rules! versioned {
    ($name:ident, $first:literal) => {
        // SAFETY: declared with `repr(C)`, whole numbers, fractions and pointers only; the size
        // below is the sum of the fields, so nothing is between them.
        unsafe impl $crate::memory::Versioned for $name {
            const NAME: &'static str = stringify!($name);
            const SIZE_FIRST: u32 = $first;
        }
        const _: () = assert!(size_of::<$name>() >= $first && size_of::<$name>() % 8 == 0);
        const _: () = assert!(size_of::<$name>() <= $crate::memory::SIZE_LARGEST as usize);
        const _: () = assert!(std::mem::offset_of!($name, size) == 0);
    };
}
pub(crate) use versioned;

/// Declares that arrays of a structure and of the core's are the same bytes: nothing is copied
/// between them.
macro_rules! same_layout {
    ($c:ident = $core:ty { $($field:ident),+ }) => {
        const _: () = assert!(size_of::<$c>() == size_of::<$core>());
        const _: () = assert!(align_of::<$c>() == align_of::<$core>());
        $(const _: () = assert!(
            std::mem::offset_of!($c, $field) == std::mem::offset_of!($core, $field)
        );)+
    };
}
pub(crate) use same_layout;

/// Largest structure that is believed: far above any, far below what lies in memory by chance. A
/// `size` that nobody set would else be read, and written, as far as it says.
pub(crate) const SIZE_LARGEST: u32 = 4_096;

/// Size that the caller gave the structure, at least that of the first version.
///
/// # Safety
/// `pointer` is null, or its first four bytes may be read.
#[inline]
unsafe fn given<T: Versioned>(pointer: *const T, argument: &'static str) -> Result<u32, Fault> {
    check(pointer, argument)?;
    // SAFETY: `size` is the first field in every version.
    let given = unsafe { pointer.cast::<u32>().read() };
    if given < T::SIZE_FIRST || given > SIZE_LARGEST {
        return Err(Fault::Size { structure: T::NAME, given, least: T::SIZE_FIRST });
    }
    Ok(given)
}

/// What the caller handed in, with 0 in fields that it does not know.
///
/// # Safety
/// `pointer` is null, or as many bytes as its `size` says may be read.
#[inline]
pub(crate) unsafe fn take<T: Versioned>(
    pointer: *const T,
    argument: &'static str,
) -> Result<T, Fault> {
    // SAFETY: passed on.
    let given = unsafe { given(pointer, argument)? };
    if given == size_of::<T>() as u32 {
        // SAFETY: all of it may be read, and any bits are a valid value.
        return Ok(unsafe { pointer.read() });
    }
    // SAFETY: passed on.
    unsafe { take_other(pointer, given) }
}

/// Of a caller that was built with an older or newer header.
#[cold]
#[inline(never)]
unsafe fn take_other<T: Versioned>(pointer: *const T, given: u32) -> Result<T, Fault> {
    let (known, bytes) = (size_of::<T>() as u32, pointer.cast::<u8>());
    for at in known..given {
        // SAFETY: below `given`.
        if unsafe { bytes.add(at as usize).read() } != 0 {
            return Err(Fault::TooNew { structure: T::NAME, at });
        }
    }
    // SAFETY: any bits are a valid value, zeros among them.
    let mut value: T = unsafe { std::mem::zeroed() };
    // SAFETY: so many bytes may be read there and written here.
    unsafe {
        ptr::copy_nonoverlapping(bytes, (&raw mut value).cast::<u8>(), known.min(given) as usize);
    }
    Ok(value)
}

/// A place for a structure whose `size` the caller has set: fields that it does not know are not
/// written, those that this version does not know are set to 0.
#[derive(Clone, Copy)]
pub(crate) struct OutSized<'a, T> {
    pointer: *mut T,
    given: u32,
    place: PhantomData<&'a mut T>,
}

impl<T: Versioned> OutSized<'_, T> {
    /// # Safety
    /// `pointer` is null, or as many bytes as its `size` says may be read and written while this
    /// lives.
    #[inline]
    pub(crate) unsafe fn new(pointer: *mut T, argument: &'static str) -> Result<Self, Fault> {
        // SAFETY: passed on.
        let given = unsafe { given(pointer, argument)? };
        Ok(Self { pointer, given, place: PhantomData })
    }

    /// Writes all but `size`, which stays what the caller set. Where the caller knows the structure
    /// as it is, straight to its place: nothing of it is on the stack first.
    #[inline]
    pub(crate) fn set(self, value: T) {
        let mut whole = MaybeUninit::<T>::uninit();
        let is_known = self.given == size_of::<T>() as u32;
        let place = if is_known { self.pointer } else { whole.as_mut_ptr() };
        // SAFETY: not null, aligned, and the promise of `new`, or room of its own; `size` is the
        // first field.
        unsafe {
            place.write(value);
            place.cast::<u32>().write(self.given);
        }
        if !is_known {
            self.set_other(&raw const whole);
        }
    }

    /// Of a caller that was built with an older or newer header. `whole` was written.
    #[cold]
    #[inline(never)]
    fn set_other(self, whole: *const MaybeUninit<T>) {
        let (known, given) = (size_of::<T>(), self.given as usize);
        let bytes = self.pointer.cast::<u8>();
        // SAFETY: the promise of `new`, up to `given`; `whole` has `known` bytes.
        unsafe {
            ptr::copy_nonoverlapping(whole.cast::<u8>(), bytes, known.min(given));
            if given > known {
                bytes.add(known).write_bytes(0, given - known);
            }
        }
    }
}

/// Checks that an array may exist at all.
fn check_len<T>(len: usize, argument: &'static str) -> Result<(), Fault> {
    let max = isize::MAX as usize / size_of::<T>().max(1);
    if len > max {
        let (value, max) = (len as u64, max as u64);
        return Err(Error::Range { field: argument, value, min: 0, max }.into());
    }
    Ok(())
}

/// An array of the caller to read; null where it is empty.
///
/// # Safety
/// `pointer` is null, or `len` valid elements may be read and nobody changes them, for as long as
/// the answer is used.
#[inline]
pub(crate) unsafe fn array<'a, T>(
    pointer: *const T,
    len: usize,
    argument: &'static str,
) -> Result<&'a [T], Fault> {
    if len == 0 {
        return Ok(&[]);
    }
    check(pointer, argument)?;
    check_len::<T>(len, argument)?;
    // SAFETY: not null, aligned, not too long, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// An array of the caller to write; null where it is empty.
///
/// # Safety
/// `pointer` is null, or `len` valid elements may be read and written and nobody else uses them,
/// for as long as the answer is used.
#[inline]
pub(crate) unsafe fn array_mut<'a, T>(
    pointer: *mut T,
    len: usize,
    argument: &'static str,
) -> Result<&'a mut [T], Fault> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(pointer, argument)?;
    check_len::<T>(len, argument)?;
    // SAFETY: not null, aligned, not too long, and the caller's promise.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, len) })
}

/// A text of so many bytes.
///
/// # Safety
/// As [`array`].
pub(crate) unsafe fn text<'a>(
    pointer: *const c_char,
    len: usize,
    argument: &'static str,
) -> Result<&'a str, Fault> {
    // SAFETY: passed on; every byte is valid.
    let bytes = unsafe { array(pointer.cast::<u8>(), len, argument)? };
    str::from_utf8(bytes).map_err(|_| Fault::Text { argument })
}

/// A name that a zero closes.
///
/// # Safety
/// `pointer` is null, or a text that a zero closes, and nobody changes it for as long as the answer
/// is used.
pub(crate) unsafe fn name<'a>(
    pointer: *const c_char,
    argument: &'static str,
) -> Result<&'a str, Fault> {
    check(pointer, argument)?;
    // SAFETY: not null, and the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Fault::Text { argument })
}

/// A text for the caller, with a closing zero. Without any room it only says how long it is.
///
/// # Safety
/// `out` is null, or `capacity` bytes may be written; `len` is null or may be written.
pub(crate) unsafe fn give_text(
    text: &str,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: passed on.
    let len = unsafe { Out::new(len, "len")? };
    if capacity > 0 {
        // SAFETY: passed on; bytes of any value are valid.
        let out = unsafe { array_mut(out.cast::<u8>(), capacity, "out")? };
        let needed = text.len() + 1;
        if capacity < needed {
            let (given, needed) = (capacity as u64, needed as u64);
            return Err(Error::BufferTooSmall { field: "out", given, needed }.into());
        }
        out[..text.len()].copy_from_slice(text.as_bytes());
        out[text.len()] = 0;
    }
    len.set(text.len());
    Ok(())
}

/// Whether the system has memory for an object of so many bytes: to run out of it half-way would end
/// the process. Asked for at once, and given back; where the system promises more than it has, this
/// sees only what is far beyond it.
pub(crate) fn room(bytes: u64) -> Result<(), Fault> {
    let asked = usize::try_from(bytes).ok();
    match asked.map(|bytes| Vec::<u8>::new().try_reserve_exact(bytes)) {
        Some(Ok(())) => Ok(()),
        _ => Err(Fault::Memory { bytes }),
    }
}

/// A number that says no or yes.
#[inline]
pub(crate) fn flag(value: u8, field: &'static str) -> Result<bool, Fault> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(Error::Range { field, value: value.into(), min: 0, max: 1 }.into()),
    }
}

/// A fraction for which 0 means the default.
#[inline]
pub(crate) fn real(given: f64, default: f64) -> f64 {
    if given == 0.0 {
        default
    } else if given == RAMPMETER_ZERO {
        0.0
    } else {
        given
    }
}

/// The same the other way round.
pub(crate) fn real_told(value: f64) -> f64 {
    if value == 0.0 { RAMPMETER_ZERO } else { value }
}

#[cfg(test)]
mod tests {
    use rampmeter::error::codes;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct options {
        size: u32,
        first: u32,
        second: u64,
    }
    versioned!(options, 8);

    /// The same structure in the header of a later release.
    #[repr(C)]
    struct later {
        known: options,
        third: u64,
    }

    fn code<T>(outcome: Result<T, Fault>) -> i32 {
        outcome.map_or_else(|fault| fault.code(), |_| codes::OK)
    }

    #[test]
    fn old_and_new_callers_are_understood() {
        let now = options { size: 16, first: 1, second: 2 };
        let old = options { size: 8, ..now };
        // SAFETY: all of it may be read.
        unsafe {
            assert_eq!(take(&raw const now, "o").ok(), Some(now));
            let taken = options { second: 0, ..old };
            assert_eq!(take(&raw const old, "o").ok(), Some(options { size: 8, ..taken }));
            let mut new = later { known: options { size: 24, ..now }, third: 0 };
            let taken = take((&raw const new).cast::<options>(), "o").ok();
            assert_eq!(taken, Some(options { size: 24, ..now }));
            new.third = 1 << 40;
            assert_eq!(code(take((&raw const new).cast::<options>(), "o")), codes::TOO_NEW);
            for size in [0, 7, SIZE_LARGEST + 1, u32::MAX] {
                let small = options { size, ..now };
                assert_eq!(code(take(&raw const small, "o")), codes::SIZE);
            }
        }
    }

    #[test]
    fn answers_fit_the_caller() {
        let value = options { size: 0, first: 5, second: 6 };
        let mut old = options { size: 8, first: 0, second: 9 };
        let mut new = later { known: options { size: 24, first: 0, second: 0 }, third: 7 };
        // SAFETY: all of it may be written.
        unsafe {
            OutSized::new(&raw mut old, "o").unwrap_or_else(|_| panic!()).set(value);
            let place = (&raw mut new).cast::<options>();
            OutSized::new(place, "o").unwrap_or_else(|_| panic!()).set(value);
        }
        assert_eq!(old, options { size: 8, first: 5, second: 9 });
        assert_eq!((new.known, new.third), (options { size: 24, ..value }, 0));
    }

    #[test]
    fn wrong_pointers_are_refused() {
        let words = [0_u64; 2];
        let odd = words.as_ptr().wrapping_byte_add(1);
        // SAFETY: nothing is read.
        unsafe {
            assert_eq!(code(array(odd, 1, "a")), codes::POINTER);
            assert_eq!(code(array::<u64>(ptr::null(), 1, "a")), codes::POINTER);
            assert_eq!(code(array(words.as_ptr(), usize::MAX, "a")), codes::RANGE);
            assert_eq!(array::<u64>(ptr::null(), 0, "a").ok(), Some(&[][..]));
            assert_eq!(code(Out::new(odd.cast_mut(), "a")), codes::POINTER);
        }
    }

    #[test]
    fn more_memory_than_there_is_is_refused() {
        assert_eq!(code(room(1 << 20)), codes::OK);
        for bytes in [u64::MAX, i64::MAX as u64, 1 << 60] {
            assert_eq!(code(room(bytes)), codes::MEMORY);
        }
    }

    #[test]
    fn a_text_says_how_long_it_is() {
        let (mut len, mut room) = (0, [MaybeUninit::<c_char>::uninit(); 4]);
        let out = room.as_mut_ptr().cast::<c_char>();
        // SAFETY: so much room is there.
        unsafe {
            assert_eq!(code(give_text("abcd", ptr::null_mut(), 0, &raw mut len)), codes::OK);
            assert_eq!(len, 4);
            len = 9;
            assert_eq!(code(give_text("abcd", out, 4, &raw mut len)), codes::BUFFER_TOO_SMALL);
            assert_eq!(len, 9);
            assert_eq!(code(give_text("abc", out, 4, &raw mut len)), codes::OK);
            assert_eq!(CStr::from_ptr(out).to_bytes(), b"abc");
        }
    }
}
