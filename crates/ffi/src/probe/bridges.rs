//! From a snapshot to a KV cache, and to the numbers that CUDA gives GPUs.

use std::ffi::c_char;

use rampmeter::{Bytes, Error, Nanos};
use rampmeter_probe::bridge::kv::{KvBudget, KvShape, NoBudget};
use rampmeter_probe::ordinal::{Unclear, visible};

use super::rampmeter_snapshot;
use crate::boundary::look;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{OutSized, array, array_mut, name, take, versioned};
use crate::status::rampmeter_status;

/// Whether CUDA's numbers can be told: yes.
pub const RAMPMETER_VISIBLE_CLEAR: u8 = 0;
/// GPUs differ, and the fastest is first, by a measure that is not published. The host sets
/// `CUDA_DEVICE_ORDER=PCI_BUS_ID`, or asks CUDA.
pub const RAMPMETER_VISIBLE_FASTEST_FIRST: u8 = 1;
/// The address of a GPU is not known.
pub const RAMPMETER_VISIBLE_NO_ADDRESS: u8 = 2;

/// How much memory may become KV cache. Set all of it to 0, then `size`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_kv_budget {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Tokens in a block, 1 to 65,536; 0: 16.
    pub kv_block_tokens: u32,
    /// Bytes that a token takes on each device, 1 to 2^32 - 1: rampmeter_kv_bytes_per_token().
    pub bytes_per_token: u64,
    /// What stays free on each device.
    pub keep_free_bytes: u64,
    /// Readings that are older say nothing; 0: 3 s.
    pub age_max_ns: u64,
}
versioned!(rampmeter_kv_budget, 32);

/// For how many blocks there is room. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_kv_room {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// KV blocks, for rampmeter_engine::kv_blocks; 0 where memory is not known.
    pub kv_blocks: u32,
    /// Where memory is not known: the place of the first GPU whose memory was not read, or too long ago.
    pub unknown_place: u32,
    /// 1: memory of all of them is known.
    pub is_known: u8,
    /// 0.
    pub reserved: [u8; 3],
}
versioned!(rampmeter_kv_room, 16);

/// Which GPUs CUDA sees. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_visible {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `places`: CUDA's numbers are 0 and on.
    pub places_len: u32,
    /// Entry of the list, from 0, that names nothing here; it and those behind it count for nothing.
    pub ended_at: u32,
    /// 1: there is such an entry.
    pub is_ended: u8,
    /// RAMPMETER_VISIBLE_...: unless CLEAR, there are no places.
    pub clarity: u8,
    /// 0.
    pub reserved: [u8; 2],
}
versioned!(rampmeter_visible, 16);

impl rampmeter_kv_budget {
    fn budget(&self) -> KvBudget {
        /// A block of vLLM, and of the built-in profiles.
        const BLOCK_TOKENS: u32 = 16;
        let (tokens, age_max) = (self.kv_block_tokens, self.age_max_ns);
        KvBudget {
            bytes_per_token: Bytes(self.bytes_per_token),
            block_tokens: if tokens == 0 { BLOCK_TOKENS } else { tokens },
            keep_free: Bytes(self.keep_free_bytes),
            age_max: if age_max == 0 {
                rampmeter_probe::poller::STALE_AFTER
            } else {
                Nanos(age_max)
            },
        }
    }
}

/// Bytes of KV that one token takes on each device of an engine: layers with attention, heads of keys in
/// each, values of a head, bytes of a value (2 for bf16, 1 for fp8), devices that share every layer.
/// Saturating.
///
/// Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_kv_bytes_per_token(
    layers: u32,
    kv_heads: u32,
    head_size: u32,
    bytes_per_value: u32,
    tensor_parallel: u32,
) -> u64 {
    KvShape { layers, kv_heads, head_size, bytes_per_value, tensor_parallel }.bytes_per_token().0
}

/// Free memory as blocks of a KV cache: so many as each of these GPUs, one for each part of the model,
/// has room for, beside what is to stay free. Weights are to be loaded before. `unknown_place` and
/// `is_known` of the answer say where memory is not known; that is no error.
///
/// Fails: E_RANGE for a place that there is not, an empty list, numbers outside their ranges, and where
/// there is no room for a block (`kv_blocks` = 0); E_SIZE, E_TOO_NEW, E_POINTER. Allocates: a list as long
/// as `places`, and frees it. Blocks: no. Threads: any number, while nobody changes the snapshot.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_kv_room(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    budget: *const rampmeter_kv_budget,
    places: *const u32,
    places_len: usize,
    kv_room: *mut rampmeter_kv_room,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let out = OutSized::new(kv_room, "kv_room")?;
            let (budget, places) =
                (take(budget, "budget")?.budget(), array(places, places_len, "places")?);
            let mut uuids = Vec::new();
            for place in places {
                uuids.push(seen.gpu_named("places[]", *place)?.uuid.as_str());
            }
            let mut room = rampmeter_kv_room {
                size: 0,
                kv_blocks: 0,
                unknown_place: 0,
                is_known: 0,
                reserved: [0; 3],
            };
            match budget.geometry(Nanos(now_ns), seen.get(), &uuids) {
                Ok(geometry) => (room.kv_blocks, room.is_known) = (geometry.blocks().0, 1),
                Err(NoBudget::NotRead(at) | NoBudget::Unknown(at)) => {
                    room.unknown_place = places.get(at as usize).copied().unwrap_or(0);
                }
                Err(NoBudget::NoDevices) => {
                    let max = super::RAMPMETER_GPUS_MAX as u64;
                    return Err(Error::Range { field: "places_len", value: 0, min: 1, max }.into());
                }
                Err(NoBudget::Geometry(error)) => return Err(error.into()),
            }
            out.set(room);
            Ok(())
        })
    }
}

/// # Safety
/// As [`name`]; null is nothing.
unsafe fn variable<'a>(
    value: *const c_char,
    argument: &'static str,
) -> Result<Option<&'a str>, Fault> {
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { name(value, argument).map(Some) }
}

/// Which GPUs a CUDA process sees that has these values of `CUDA_DEVICE_ORDER` and `CUDA_VISIBLE_DEVICES`
/// in its environment (NULL: not set), by places in the order of CUDA's numbers. CUDA is not asked, nor
/// is the environment read: hosts hand in what getenv() says. RAMPMETER_GPUS_MAX places are always enough.
///
/// Fails: E_BUFFER_TOO_SMALL, E_TEXT, E_SIZE, E_POINTER. Allocates: lists as long as there are GPUs, and
/// frees them. Blocks: no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_visible(
    seen: *const rampmeter_snapshot,
    device_order: *const c_char,
    visible_devices: *const c_char,
    places: *mut u32,
    capacity: usize,
    found: *mut rampmeter_visible,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let out = OutSized::new(found, "found")?;
            let to = array_mut(places, capacity, "places")?;
            let order = variable(device_order, "device_order")?;
            let list = variable(visible_devices, "visible_devices")?;
            let (devices, ended_at, clarity) = match visible(seen.get(), order, list) {
                Ok(visible) => (visible.devices, visible.ended_at, RAMPMETER_VISIBLE_CLEAR),
                Err(Unclear::FastestFirst) => (Vec::new(), None, RAMPMETER_VISIBLE_FASTEST_FIRST),
                Err(Unclear::Address) => (Vec::new(), None, RAMPMETER_VISIBLE_NO_ADDRESS),
            };
            if to.len() < devices.len() {
                let (given, needed) = (to.len() as u64, devices.len() as u64);
                return Err(Error::BufferTooSmall { field: "places", given, needed }.into());
            }
            for (to, place) in to.iter_mut().zip(&devices) {
                *to = u32::from(*place);
            }
            out.set(rampmeter_visible {
                size: 0,
                places_len: devices.len() as u32,
                ended_at: ended_at.unwrap_or(0),
                is_ended: ended_at.is_some().into(),
                clarity,
                reserved: [0; 2],
            });
            Ok(())
        })
    }
}
