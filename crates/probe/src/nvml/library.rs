//! The library itself: loaded at run time, called through its symbols.
//!
//! The bindings give names, signatures and layouts; calls go to the symbols directly, since the
//! methods of the bindings panic where a symbol is missing. Statuses are plain integers, so that a
//! code that no header knows is only a number.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use nvml_wrapper_sys::bindings::NvmlLib;

use crate::call::Call;
use crate::condition::Condition;
use crate::device::Loss;
use crate::reading::Reading;
use crate::watch::Watch;

/// Where the driver puts its library. Not `libnvidia-ml.so`, which is a toolkit's stub where it is
/// anything. The second one is where Windows puts it for Linux guests.
#[cfg(not(windows))]
const NAMES: [&str; 2] = ["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"];
#[cfg(windows)]
const NAMES: [&str; 1] = ["nvml.dll"];

/// Statuses of NVML that mean something to this crate.
pub(super) mod status {
    pub(in crate::nvml) const SUCCESS: u32 = 0;
    pub(in crate::nvml) const UNINITIALIZED: u32 = 1;
    pub(in crate::nvml) const INVALID_ARGUMENT: u32 = 2;
    pub(in crate::nvml) const NOT_SUPPORTED: u32 = 3;
    pub(in crate::nvml) const NO_PERMISSION: u32 = 4;
    pub(in crate::nvml) const INSUFFICIENT_SIZE: u32 = 7;
    pub(in crate::nvml) const FUNCTION_NOT_FOUND: u32 = 13;
    pub(in crate::nvml) const GPU_IS_LOST: u32 = 15;
    pub(in crate::nvml) const RESET_REQUIRED: u32 = 16;
    pub(in crate::nvml) const ARGUMENT_VERSION_MISMATCH: u32 = 25;
    pub(in crate::nvml) const UNKNOWN: u32 = 999;
}

/// A call that gave no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    pub(super) call: Call,
    /// A symbol that is missing counts as `FUNCTION_NOT_FOUND`: that is what it is.
    pub(super) code: u32,
}

impl Fault {
    /// The call claimed to succeed, and its answer cannot be.
    pub(super) const fn implausible(call: Call) -> Self {
        Self { call, code: status::SUCCESS }
    }

    /// What it is for a reader.
    pub(super) const fn reading<T>(self) -> Reading<T> {
        match self.code {
            status::NOT_SUPPORTED | status::FUNCTION_NOT_FOUND => Reading::Unsupported,
            status::NO_PERMISSION => Reading::Denied,
            code => Reading::Failed { call: self.call, code },
        }
    }

    /// Whether it says that the device is lost.
    pub(super) const fn loss(self) -> Option<Loss> {
        match self.code {
            status::GPU_IS_LOST => Some(Loss::Gone),
            status::RESET_REQUIRED => Some(Loss::ResetRequired),
            _ => None,
        }
    }
}

/// What a reader gets of an answer.
pub(super) fn reading<T>(answer: Result<T, Fault>) -> Reading<T> {
    match answer {
        Ok(value) => Reading::now(value),
        Err(fault) => fault.reading(),
    }
}

/// The library, and who watches its calls.
#[derive(Clone)]
pub(super) struct Api {
    /// Never unloaded: it may have threads and exit handlers of its own, and another part of the
    /// host may use it. Some 16 KiB of symbols for each time that a library was found.
    pub(super) lib: &'static NvmlLib,
    watch: Arc<Watch>,
}

impl Api {
    /// Loads the library: from `path`, or else by the names that the driver gives it.
    pub(super) fn load(path: Option<&PathBuf>, watch: &Arc<Watch>) -> Result<Self, Condition> {
        let load = |name: &OsStr| {
            watch.during(Call::LOAD_LIBRARY, || {
                // SAFETY: loading runs the library's initialisers. It is the driver's, or one that
                // the caller named for it.
                unsafe { NvmlLib::new(name) }.ok()
            })
        };
        let found = match path {
            Some(path) => load(path.as_os_str()),
            None => NAMES.iter().find_map(|name| load(OsStr::new(name))),
        };
        let lib = found.ok_or(Condition::NoDriver)?;
        if lib.nvmlInit_v2.is_err() {
            return Err(Condition::NotTheDriver);
        }
        Ok(Self { lib: Box::leak(Box::new(lib)), watch: Arc::clone(watch) })
    }

    /// Makes a call, and takes any status but success for a fault.
    pub(super) fn judge(&self, call: Call, f: impl FnOnce() -> u32) -> Result<(), Fault> {
        match self.watch.during(call, f) {
            status::SUCCESS => Ok(()),
            code => Err(Fault { call, code }),
        }
    }
}

/// Calls a symbol of the library, if it is there.
///
/// Whoever writes a call vouches for its arguments: handles that the library gave, and pointers to
/// places that live through the call and have the length that is told.
macro_rules! call {
    ($api:expr, $call:ident, $symbol:ident($($argument:expr),* $(,)?)) => {
        match &$api.lib.$symbol {
            Ok(symbol) => $api.judge($crate::call::Call::$call, || {
                // SAFETY: the signature is that of NVML's headers, by the bindings; the arguments
                // are as the head of this macro demands.
                unsafe { symbol($($argument),*) }
            }),
            Err(_) => Err($crate::nvml::library::Fault {
                call: $crate::call::Call::$call,
                code: $crate::nvml::library::status::FUNCTION_NOT_FOUND,
            }),
        }
    };
}
pub(super) use call;
