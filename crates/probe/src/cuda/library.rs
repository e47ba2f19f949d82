//! The CUDA driver's library, by its symbols.
//!
//! cudarc finds and loads it. Its own calls are not used: they panic where a symbol is missing, and
//! a status that its enumeration does not know is undefined behaviour there. Here a symbol is
//! there or is not, and a status is an integer.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys;

use crate::call::Call;

/// Statuses of CUDA that mean something to this crate.
pub(super) mod status {
    pub(in crate::cuda) const SUCCESS: u32 = 0;
    pub(in crate::cuda) const NOT_PERMITTED: u32 = 800;
    pub(in crate::cuda) const NOT_SUPPORTED: u32 = 801;
    /// Of this crate, where a symbol is missing: CUDA's own for a symbol that is not found.
    pub(in crate::cuda) const NOT_FOUND: u32 = 500;
}

/// A context, which is never looked into.
pub(super) type Context = *mut c_void;

macro_rules! symbols {
    ($($field:ident: $call:ident fn($($argument:ty),*);)*) => {
        /// The symbols that are there.
        pub(super) struct Symbols {
            $(pub(super) $field: Option<unsafe extern "C" fn($($argument),*) -> c_int>,)*
        }

        impl Symbols {
            /// Of the library, which is loaded for as long as the process lives.
            fn load() -> Option<Self> {
                // SAFETY: loading runs the library's initialisers, which start nothing: that takes
                // a call of `cuInit`.
                if !unsafe { sys::is_culib_present() } {
                    return None;
                }
                // SAFETY: as above; the library was there a moment ago.
                let library = unsafe { sys::culib() };
                Some(Self {
                    $($field: {
                        // SAFETY: the signature is that of CUDA's headers, with a status as an
                        // integer; the symbol is used for as long as the library is loaded.
                        let found = unsafe {
                            library.get::<unsafe extern "C" fn($($argument),*) -> c_int>(
                                Call::$call.name().as_bytes(),
                            )
                        };
                        found.ok().map(|symbol| *symbol)
                    },)*
                })
            }
        }
    };
}

symbols! {
    init: CU_INIT fn(c_uint);
    driver_version: CU_DRIVER_VERSION fn(*mut c_int);
    count: CU_COUNT fn(*mut c_int);
    device: CU_DEVICE fn(*mut c_int, c_int);
    name: CU_NAME fn(*mut c_char, c_int, c_int);
    uuid: CU_UUID fn(*mut u8, c_int);
    uuid_v2: CU_UUID_V2 fn(*mut u8, c_int);
    attribute: CU_ATTRIBUTE fn(*mut c_int, c_int, c_int);
    context_state: CU_CONTEXT_STATE fn(c_int, *mut c_uint, *mut c_int);
    context_retain: CU_CONTEXT_RETAIN fn(*mut Context, c_int);
    context_release: CU_CONTEXT_RELEASE fn(c_int);
    context_current: CU_CONTEXT_CURRENT fn(*mut Context);
    context_set: CU_CONTEXT_SET fn(Context);
    memory: CU_MEMORY fn(*mut usize, *mut usize);
}

/// The library's symbols; none where there is no library. Looked for once in a process, since
/// looking takes a millisecond.
pub(super) fn symbols() -> Option<&'static Symbols> {
    static SYMBOLS: OnceLock<Option<Symbols>> = OnceLock::new();
    SYMBOLS.get_or_init(Symbols::load).as_ref()
}
