//! Lists in a snapshot: who has memory of a GPU, and its `NVLink`s.

use rampmeter::{Error, Nanos};
use rampmeter_probe::device::{NVLINKS_MAX, NvLinkPeer, NvLinks};

use super::{rampmeter_reading, rampmeter_snapshot, reading::flat};
use crate::boundary::look;
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array_mut};
use crate::status::rampmeter_status;

/// Most NVLinks of a GPU.
pub const RAMPMETER_NVLINKS_MAX: usize = 18;
const _: () = assert!(RAMPMETER_NVLINKS_MAX == NVLINKS_MAX);

/// What is at the other end of an NVLink: the driver does not tell.
pub const RAMPMETER_NVLINK_UNKNOWN: u8 = 0;
/// A GPU at the address that is told.
pub const RAMPMETER_NVLINK_GPU: u8 = 1;
/// A switch, which leads to all GPUs on it.
pub const RAMPMETER_NVLINK_SWITCH: u8 = 2;
/// Something else: a CPU, or what is newer than this library.
pub const RAMPMETER_NVLINK_OTHER: u8 = 3;

/// A process that has memory of a GPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gpu_process {
    /// Memory that it has.
    pub memory_bytes: u64,
    /// Its identifier, as the driver gives it: perhaps of another namespace.
    pub pid: u32,
    /// The GPU instance that it runs in.
    pub gpu_instance: u32,
    /// 1: `memory_bytes` is known.
    pub memory_known: u8,
    /// 1: `gpu_instance` is known.
    pub gpu_instance_known: u8,
    /// 0.
    pub reserved: [u8; 6],
}

/// An NVLink that is up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_nvlink {
    /// Of a GPU at its other end: PCI domain.
    pub peer_domain: u32,
    /// PCI bus.
    pub peer_bus: u8,
    /// PCI device.
    pub peer_device: u8,
    /// RAMPMETER_NVLINK_...: what is at its other end.
    pub peer: u8,
    /// Which one of the GPU.
    pub number: u8,
    /// Version.
    pub version: u8,
    /// 1: `version` is known.
    pub version_known: u8,
    /// 0.
    pub reserved: [u8; 2],
}

/// Writes a list, or with no room says how long it is.
fn give<T>(
    elements: impl ExactSizeIterator<Item = T>,
    to: &mut [T],
    field: &'static str,
) -> Result<u32, Fault> {
    let needed = elements.len();
    if !to.is_empty() && to.len() < needed {
        let (given, needed) = (to.len() as u64, needed as u64);
        return Err(Error::BufferTooSmall { field, given, needed }.into());
    }
    for (to, element) in to.iter_mut().zip(elements) {
        *to = element;
    }
    Ok(needed as u32)
}

/// The processes that have memory of the GPU or instance at a place, to the front of `processes`, and
/// how many into `*processes_len`; with `capacity` 0 it only says that. An empty list does not say that
/// the GPU is idle; whether there is a list at all says rampmeter_gpu_load::processes.
///
/// Fails: E_RANGE for a place that there is not, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks:
/// no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_processes(
    seen: *const rampmeter_snapshot,
    place: u32,
    processes: *mut rampmeter_gpu_process,
    capacity: usize,
    processes_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let len = Out::new(processes_len, "processes_len")?;
            let to = array_mut(processes, capacity, "processes")?;
            let known = seen.get().processes_of(seen.gpu(place)?);
            let told = known.iter().map(|process| rampmeter_gpu_process {
                memory_bytes: process.memory.map_or(0, |bytes| bytes.0),
                pid: process.pid,
                gpu_instance: process.gpu_instance.unwrap_or(0),
                memory_known: process.memory.is_some().into(),
                gpu_instance_known: process.gpu_instance.is_some().into(),
                reserved: [0; 6],
            });
            len.set(give(told, to, "processes")?);
            Ok(())
        })
    }
}

/// The NVLinks of the GPU at a place that are up, to the front of `nvlinks`, how many into
/// `*nvlinks_len`, and whether they were read into `*reading`, with its age as of `now_ns`. With
/// `capacity` 0 it tells only the latter two.
///
/// Fails, and so on: as rampmeter_snapshot_processes(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_nvlinks(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    nvlinks: *mut rampmeter_nvlink,
    capacity: usize,
    nvlinks_len: *mut u32,
    reading: *mut rampmeter_reading,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (len, out) = (Out::new(nvlinks_len, "nvlinks_len")?, Out::new(reading, "reading")?);
            let to = array_mut(nvlinks, capacity, "nvlinks")?;
            let device = seen.gpu(place)?;
            let (reading, links) = flat(&device.nvlinks, seen.get().age(Nanos(now_ns)));
            let told = links.map(NvLinks::up).unwrap_or_default().iter().map(|link| {
                let (peer, address) = match link.peer {
                    NvLinkPeer::Unknown => (RAMPMETER_NVLINK_UNKNOWN, None),
                    NvLinkPeer::Gpu(address) => (RAMPMETER_NVLINK_GPU, Some(address)),
                    NvLinkPeer::Switch => (RAMPMETER_NVLINK_SWITCH, None),
                    NvLinkPeer::Other => (RAMPMETER_NVLINK_OTHER, None),
                };
                let address = address.unwrap_or_default();
                rampmeter_nvlink {
                    peer_domain: address.domain,
                    peer_bus: address.bus,
                    peer_device: address.device,
                    peer,
                    number: link.number,
                    version: link.version.unwrap_or(0),
                    version_known: link.version.is_some().into(),
                    reserved: [0; 2],
                }
            });
            len.set(give(told, to, "nvlinks")?);
            out.set(reading);
            Ok(())
        })
    }
}
