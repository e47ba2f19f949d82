//! Snapshots: all that was read at one moment.

use std::ffi::c_char;
use std::mem::size_of;
use std::sync::Arc;

use rampmeter::{Error, Nanos};
use rampmeter_probe::device::{Device, Process};
use rampmeter_probe::snapshot::{DEVICES_MAX, PROCESSES_MAX, Path};
use rampmeter_probe::{Condition, Reader, Snapshot, Source, Text};

use super::condition_number;
use crate::boundary::{Guarded, create, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, name, room, versioned};
use crate::status::rampmeter_status;

/// Most GPUs and instances of a snapshot.
pub const RAMPMETER_GPUS_MAX: usize = 128;
const _: () = assert!(RAMPMETER_GPUS_MAX == DEVICES_MAX);

/// Bytes of a version, the closing zero included.
pub const RAMPMETER_VERSION_TEXT_BYTES: usize = 88;

/// Who read a snapshot: nobody.
pub const RAMPMETER_SOURCE_NONE: u8 = 0;
/// NVIDIA's management library.
pub const RAMPMETER_SOURCE_NVML: u8 = 1;
/// The CUDA driver.
pub const RAMPMETER_SOURCE_CUDA: u8 = 2;
/// A file.
pub const RAMPMETER_SOURCE_FIXTURE: u8 = 3;

/// How two GPUs reach each other over PCI, nearest first: on one board.
pub const RAMPMETER_PATH_BOARD: u8 = 0;
/// Over one PCI switch.
pub const RAMPMETER_PATH_SWITCH: u8 = 1;
/// Over several PCI switches.
pub const RAMPMETER_PATH_SWITCHES: u8 = 2;
/// Over the host bridge of a CPU.
pub const RAMPMETER_PATH_HOST_BRIDGE: u8 = 3;
/// Within a NUMA node, over the link between host bridges.
pub const RAMPMETER_PATH_NODE: u8 = 4;
/// Over the link between CPUs.
pub const RAMPMETER_PATH_SYSTEM: u8 = 5;
/// The driver does not tell.
pub const RAMPMETER_PATH_UNKNOWN: u8 = 6;

/// All that is known of a machine's GPUs at one moment: filled by rampmeter_probe_read(), or by
/// rampmeter_poller_latest(), and then the poller's own, which is not copied. GPUs have places, from 0;
/// instances follow their GPU. Joined with another snapshot by `uuid`, never by place. One thread at a
/// time may fill it; calls with a `const` pointer may run side by side.
pub struct rampmeter_snapshot(Guarded<Shown>);
object!(rampmeter_snapshot, Shown, "seen");

/// A snapshot of its own, or one of a poller.
pub(crate) struct Shown {
    own: Snapshot,
    held: Option<Arc<Snapshot>>,
}

impl Shown {
    pub(super) fn get(&self) -> &Snapshot {
        self.held.as_deref().unwrap_or(&self.own)
    }

    /// A copy of this one.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        self.held = None;
        self.own.copy_from(snapshot);
    }

    /// What it shows, to be changed.
    #[cfg(feature = "cuda")]
    pub(super) fn own(&mut self) -> &mut Snapshot {
        if let Some(held) = self.held.take() {
            self.own.copy_from(&held);
        }
        &mut self.own
    }

    /// The last one of a poller.
    #[inline]
    pub(super) fn renew(&mut self, reader: &Reader) {
        match &mut self.held {
            Some(held) => reader.renew(held),
            none => *none = Some(reader.hold()),
        }
    }

    /// The device at a place.
    pub(super) fn gpu(&self, place: u32) -> Result<&Device, Fault> {
        self.gpu_named("place", place)
    }

    pub(super) fn gpu_named(&self, field: &'static str, place: u32) -> Result<&Device, Fault> {
        let devices = &self.get().devices;
        let max = (devices.len() as u64).saturating_sub(1);
        let known = devices.get(place as usize);
        Ok(known.ok_or(Error::Range { field, value: place.into(), min: 0, max })?)
    }
}

/// A text in its place, closed by a zero.
pub(super) fn chars<const BYTES: usize, const N: usize>(text: &Text<N>) -> [c_char; BYTES] {
    const { assert!(N < BYTES) };
    let mut out = [0; BYTES];
    for (out, byte) in out.iter_mut().zip(text.as_str().bytes()) {
        #[allow(clippy::cast_possible_wrap, reason = "printable ASCII only")]
        let byte = byte as c_char;
        *out = byte;
    }
    out
}

/// What a snapshot is of, and how old. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_snapshot {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// GPUs and instances in it, each at its place from 0 on.
    pub gpus_len: u32,
    /// When it was taken, by rampmeter_clock_ns().
    pub taken_at_ns: u64,
    /// How old it is now. Who publishes it may hang: what is older than some seconds is not to be
    /// decided by.
    pub age_ns: u64,
    /// Counts snapshots of one probe, from 1 on; 0: nothing was read yet.
    pub seq: u64,
    /// Of the condition FAILED: the status of the call, as the driver numbers them.
    pub code: u32,
    /// Of the condition FAILED: which call; see rampmeter_call_name().
    pub call: u16,
    /// RAMPMETER_CONDITION_...: why there may be no GPUs. See rampmeter_condition_reason().
    pub condition: u8,
    /// 1: the driver answers.
    pub is_success: u8,
    /// RAMPMETER_SOURCE_...
    pub source: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// GPUs and instances that there were no places for.
    pub gpus_left_out: u32,
    /// Processes in it.
    pub processes_len: u32,
    /// Version of CUDA that the driver can do, as 13000 for 13.0; 0 where it is not told.
    pub cuda_version: u32,
    /// Version of the driver; "" where it is not told.
    pub driver_version: [c_char; RAMPMETER_VERSION_TEXT_BYTES],
    /// Version of NVML; "" where it is not told.
    pub nvml_version: [c_char; RAMPMETER_VERSION_TEXT_BYTES],
}
versioned!(rampmeter_stats_snapshot, 232);

fn bytes_needed() -> u64 {
    let lists = DEVICES_MAX * size_of::<Device>() + PROCESSES_MAX * size_of::<Process>();
    (size_of::<Shown>() + lists) as u64
}

/// Bytes that a snapshot takes. A poller takes some six times that, and a thread.
///
/// Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_snapshot_bytes_needed() -> u64 {
    bytes_needed()
}

/// Creates a snapshot with nothing in it, and room for everything.
///
/// Fails: E_MEMORY, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_snapshot_destroy(); NULL on failure. Allocates: yes, rampmeter_snapshot_bytes_needed(); what
/// is never written of it costs nothing. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_create(
    out: *mut *mut rampmeter_snapshot,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            room(bytes_needed())?;
            Ok(Shown { own: Snapshot::with_room(), held: None })
        })
    }
}

/// Ends a snapshot. It may outlive the poller or probe that filled it. NULL is allowed and does
/// nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_destroy(seen: *mut rampmeter_snapshot) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(seen) }
}

/// What the snapshot is of, in what condition the driver was, and how old that is.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_stats(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    stats: *mut rampmeter_stats_snapshot,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, seen) = (OutSized::new(stats, "stats")?, seen.get());
            let (call, code) = match seen.condition {
                Condition::Failed { call, code } => (call.0, code),
                _ => (0, 0),
            };
            out.set(rampmeter_stats_snapshot {
                size: 0,
                gpus_len: seen.devices.len() as u32,
                taken_at_ns: seen.taken_at.0,
                age_ns: seen.age(Nanos(now_ns)).0,
                seq: seen.seq,
                code,
                call,
                condition: condition_number(seen.condition),
                is_success: seen.condition.is_success().into(),
                source: match seen.source {
                    Source::None => RAMPMETER_SOURCE_NONE,
                    Source::Nvml => RAMPMETER_SOURCE_NVML,
                    Source::Cuda => RAMPMETER_SOURCE_CUDA,
                    Source::Fixture => RAMPMETER_SOURCE_FIXTURE,
                },
                reserved: [0; 3],
                gpus_left_out: seen.devices_left_out,
                processes_len: seen.processes.len() as u32,
                cuda_version: seen.driver.cuda,
                driver_version: chars(&seen.driver.version),
                nvml_version: chars(&seen.driver.nvml),
            });
            Ok(())
        })
    }
}

/// The place of the GPU or instance with this identifier (`GPU-...` or `MIG-...`, in either case).
///
/// Fails: E_NAME for one that is not there, E_TEXT, E_POINTER. Allocates: no, but to say which name was
/// wrong. Blocks: no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_find(
    seen: *const rampmeter_snapshot,
    uuid: *const c_char,
    place: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, uuid) = (Out::new(place, "place")?, name(uuid, "uuid")?);
            let is_it = |device: &Device| {
                !uuid.is_empty() && device.uuid.as_str().eq_ignore_ascii_case(uuid)
            };
            let found = seen.get().devices.iter().position(is_it);
            let unknown = || Fault::Name { what: "uuid", name: uuid.into() };
            out.set(found.ok_or_else(unknown)? as u32);
            Ok(())
        })
    }
}

/// How the GPUs at two places (or those that they are instances of) reach each other: over PCI as
/// RAMPMETER_PATH_..., and the NVLinks from the first to the second, or if both are on switches, as many
/// as the one with fewer has.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_between(
    seen: *const rampmeter_snapshot,
    place: u32,
    other_place: u32,
    path: *mut u8,
    nvlinks: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, links) = (Out::new(path, "path")?, Out::new(nvlinks, "nvlinks")?);
            let (a, b) = (seen.gpu(place)?, seen.gpu_named("other_place", other_place)?);
            out.set(match seen.get().path(a, b) {
                Path::Board => RAMPMETER_PATH_BOARD,
                Path::Switch => RAMPMETER_PATH_SWITCH,
                Path::Switches => RAMPMETER_PATH_SWITCHES,
                Path::HostBridge => RAMPMETER_PATH_HOST_BRIDGE,
                Path::Node => RAMPMETER_PATH_NODE,
                Path::System => RAMPMETER_PATH_SYSTEM,
                Path::Unknown => RAMPMETER_PATH_UNKNOWN,
            });
            links.set(seen.get().nvlinks_between(a, b) as u32);
            Ok(())
        })
    }
}
