//! What a caller from C has: structures of zeros with their size, policies, and errors.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test binary uses the part that it needs"
)]

#[path = "../../../core/tests/support/prng.rs"]
mod prng;

use std::ffi::c_char;
use std::ptr;

use rampmeter::Error;
use rampmeter::policy::Policy;
use rampmeter_ffi::error::rampmeter_error;
use rampmeter_ffi::policy::{rampmeter_policy, rampmeter_policy_from_toml};
use rampmeter_ffi::status::RAMPMETER_STATUS_OK;

pub use prng::Prng;

/// A structure of the C ABI, all 0 but its size.
pub fn sized<T: Copy>() -> T {
    // SAFETY: structures of the C ABI hold whole numbers, fractions and pointers: zeros are a value.
    let mut value: T = unsafe { std::mem::zeroed() };
    // SAFETY: `size` is the first field of those that this is asked for.
    unsafe { (&raw mut value).cast::<u32>().write(size_of::<T>() as u32) };
    value
}

/// An array of such structures without a size, as `calloc()` gives it.
pub fn zeros<T: Copy>(len: usize) -> Vec<T> {
    // SAFETY: as above.
    vec![unsafe { std::mem::zeroed() }; len]
}

/// The same policy on both sides.
pub fn policy(document: &str) -> (*mut rampmeter_policy, Policy) {
    let mut policy = ptr::null_mut();
    let text = document.as_ptr().cast::<c_char>();
    // SAFETY: so many bytes may be read, and the place may be written.
    let status = unsafe {
        rampmeter_policy_from_toml(text, document.len(), &raw mut policy, ptr::null_mut())
    };
    assert_eq!(status, RAMPMETER_STATUS_OK);
    (policy, Policy::from_toml(document).unwrap())
}

/// What a call said was wrong.
pub struct Said(pub rampmeter_error);

impl Said {
    pub fn nothing() -> Self {
        // SAFETY: zeros are a value of every field.
        Self(unsafe { std::mem::zeroed() })
    }

    pub fn place(&mut self) -> *mut rampmeter_error {
        &raw mut self.0
    }

    pub fn text(&self) -> String {
        let bytes = self.0.text[..self.0.text_len as usize].iter().map(|byte| *byte as u8);
        String::from_utf8(bytes.collect()).unwrap()
    }

    /// A call and the core agree in whether it was right, and in what was wrong. What the core
    /// answered, if it was right.
    pub fn agrees<T>(&self, status: i32, core: Result<T, Error>) -> Option<T> {
        match core {
            Ok(answer) => {
                assert_eq!(status, RAMPMETER_STATUS_OK);
                Some(answer)
            }
            Err(error) => {
                assert_eq!(status, error.code());
                assert_eq!(but_names(&self.text()), but_names(&error.to_string()));
                None
            }
        }
    }
}

/// A message without the names in it: fields have those of the header in C (`class_index`), which a
/// test of the library itself holds against the core's.
fn but_names(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join("`")
}
