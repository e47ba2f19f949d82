//! Exchange: what copies of one desk tell each other
//!
//! Several engines or routers with the same accounts, or several ledgers, tell each other whom they
//! served, so that a tenant does not get a share of its own at every front door. Each writes deltas
//! and merges those of the others; how they travel is the host's business. They may come late, twice,
//! in any order, or get lost: the next one makes up for it. An account is known to all copies by its
//! key, which is made of its name and those above it. `docs/policies/exchange.md` says how it works.

use std::ffi::c_char;

use rampmeter::share::exchange::{Delta, DeltaEntry, DeltaSource, Merged, path_key};

use crate::boundary::answer;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, name, same_layout, versioned};
use crate::status::rampmeter_status;

/// What one copy charged to one account in one class: send it to the others as it is. Amounts in
/// prompt tokens as charged, not divided by weight, `began <= told <= served`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_delta_entry {
    /// Key of the account, not 0.
    pub key: u64,
    /// Class, or lane of a ledger.
    pub lane: u64,
    /// Where the counting began.
    pub began: f64,
    /// What the delta before this one told, or `began`.
    pub told: f64,
    /// Up to where it has come.
    pub served: f64,
}
same_layout!(rampmeter_delta_entry = DeltaEntry { key, lane, began, told, served });

/// Who tells: goes with the entries. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_delta {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: that was everything; 0: the next call goes on from there.
    pub is_complete: u32,
    /// Entries written.
    pub len: u64,
    /// Number of the copy that tells.
    pub replica: u64,
    /// Which of its lives this is.
    pub incarnation: u64,
}
versioned!(rampmeter_delta, 32);

/// What became of the entries of a delta. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_merged {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Entries that told something new.
    pub news: u32,
    /// Entries that came twice or late.
    pub older: u32,
    /// Entries whose key no account here has; once one has it, the same delta can be merged again.
    pub unknown: u32,
}
versioned!(rampmeter_merged, 16);

impl rampmeter_delta {
    pub(crate) fn source(&self) -> DeltaSource {
        DeltaSource { replica: self.replica, incarnation: self.incarnation }
    }
}

impl From<Delta> for rampmeter_delta {
    fn from(delta: Delta) -> Self {
        Self {
            size: 0,
            is_complete: delta.is_complete.into(),
            len: delta.len as u64,
            replica: delta.source.replica,
            incarnation: delta.source.incarnation,
        }
    }
}

impl From<Merged> for rampmeter_merged {
    fn from(merged: Merged) -> Self {
        let Merged { news, older, unknown } = merged;
        Self { size: 0, news, older, unknown }
    }
}

/// The caller's entries as the core writes them.
///
/// # Safety
/// As [`array_mut`].
pub(crate) unsafe fn told<'a>(
    entries: *mut rampmeter_delta_entry,
    capacity: usize,
) -> Result<&'a mut [DeltaEntry], Fault> {
    // SAFETY: the layouts are the same, and any bits are an entry; passed on.
    unsafe { array_mut(entries.cast::<DeltaEntry>(), capacity, "entries") }
}

/// The caller's entries as the core reads them.
///
/// # Safety
/// As [`array`].
pub(crate) unsafe fn heard<'a>(
    entries: *const rampmeter_delta_entry,
    len: usize,
) -> Result<&'a [DeltaEntry], Fault> {
    // SAFETY: the layouts are the same, and any bits are an entry; passed on.
    unsafe { array(entries.cast::<DeltaEntry>(), len, "entries") }
}

/// The key of the account at the end of a path of names parted by `/`, such as "org/team/user": the
/// same on every machine, for ever.
///
/// Fails: E_TEXT, E_POINTER. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_path_key(
    path: *const c_char,
    key: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, path) = (Out::new(key, "key")?, name(path, "path")?);
            out.set(path_key(path.split('/')));
            Ok(())
        })
    }
}
