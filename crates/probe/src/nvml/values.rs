//! What is read of one device: a driver call or two for each.
//!
//! Places for answers begin as something that cannot be an answer, so that a call that claims to
//! succeed and writes nothing is found out.

use nvml_wrapper_sys::bindings as sys;
use rampmeter::Bytes;

use super::library::{Api, Fault, call, reading, status};
use crate::call::Call;
use crate::device::{
    CPUS_MAX, Clocks, ComputeCapability, CpuSet, Memory, MemoryBasis, NVLINKS_MAX, NvLink,
    NvLinkPeer, NvLinks, PciAddress, Power, Throttle, UTILIZATION_WINDOW_MAX, Utilization,
};
use crate::reading::Reading;
use crate::text::Text;

/// A device as NVML names it within a process.
pub(super) type Handle = sys::nvmlDevice_t;

/// What no counter of NVML can be; also its own mark for "not available".
const NONE: u32 = u32::MAX;
const NONE_LONG: u64 = u64::MAX;

/// Words of a set of CPUs.
const CPU_WORDS: usize = CPUS_MAX / 64;

/// Which of two versions of a call to make: asked once, since a driver does not change under us.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Versions {
    /// Only the first version of the memory call is there.
    pub(super) memory_v1: bool,
}

/// A text that a call writes.
pub(super) fn text<const N: usize>(
    f: impl FnOnce(*mut std::ffi::c_char, u32) -> Result<(), Fault>,
) -> Result<Text<N>, Fault> {
    let mut bytes = [0_u8; N];
    f(bytes.as_mut_ptr().cast(), N as u32)?;
    Ok(Text::from_bytes(&bytes))
}

pub(super) fn pci(api: &Api, device: Handle) -> Result<PciAddress, Fault> {
    let mut info = no_pci();
    call!(api, PCI_INFO, nvmlDeviceGetPciInfo_v3(device, &raw mut info))?;
    address(&info).ok_or(Fault::implausible(Call::PCI_INFO))
}

const fn no_pci() -> sys::nvmlPciInfo_t {
    sys::nvmlPciInfo_t {
        busIdLegacy: [0; 16],
        domain: NONE,
        bus: NONE,
        device: NONE,
        pciDeviceId: NONE,
        pciSubSystemId: NONE,
        busId: [0; 32],
    }
}

fn address(info: &sys::nvmlPciInfo_t) -> Option<PciAddress> {
    let (bus, device) = (u8::try_from(info.bus).ok()?, u8::try_from(info.device).ok()?);
    (info.domain != NONE).then_some(PciAddress { domain: info.domain, bus, device })
}

pub(super) fn compute_capability(api: &Api, device: Handle) -> Result<ComputeCapability, Fault> {
    let (mut major, mut minor) = (-1, -1);
    call!(
        api,
        COMPUTE_CAPABILITY,
        nvmlDeviceGetCudaComputeCapability(device, &raw mut major, &raw mut minor)
    )?;
    match (u16::try_from(major), u16::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok(ComputeCapability { major, minor }),
        _ => Err(Fault::implausible(Call::COMPUTE_CAPABILITY)),
    }
}

/// Memory by the current call, or by the first one where the driver has no other.
pub(super) fn memory(api: &Api, versions: &mut Versions, device: Handle) -> Result<Memory, Fault> {
    if !versions.memory_v1 {
        match memory_v2(api, device) {
            Err(Fault {
                code: status::FUNCTION_NOT_FOUND | status::ARGUMENT_VERSION_MISMATCH,
                ..
            }) => versions.memory_v1 = true,
            answer => return answer,
        }
    }
    memory_v1(api, device)
}

fn memory_v2(api: &Api, device: Handle) -> Result<Memory, Fault> {
    // As NVML's headers make it: the size, and the number of the layout above it.
    let version = size_of::<sys::nvmlMemory_v2_t>() as u32 | 2 << 24;
    let mut info = sys::nvmlMemory_v2_t {
        version,
        total: NONE_LONG,
        reserved: NONE_LONG,
        free: NONE_LONG,
        used: NONE_LONG,
    };
    call!(api, MEMORY_V2, nvmlDeviceGetMemoryInfo_v2(device, &raw mut info))?;
    checked(Memory {
        total: Bytes(info.total),
        free: Bytes(info.free),
        used: Some(Bytes(info.used)),
        reserved: Some(Bytes(info.reserved)),
        basis: MemoryBasis::Driver,
    })
    .ok_or(Fault::implausible(Call::MEMORY_V2))
}

fn memory_v1(api: &Api, device: Handle) -> Result<Memory, Fault> {
    let mut info = sys::nvmlMemory_t { total: NONE_LONG, free: NONE_LONG, used: NONE_LONG };
    call!(api, MEMORY_V1, nvmlDeviceGetMemoryInfo(device, &raw mut info))?;
    checked(Memory {
        total: Bytes(info.total),
        free: Bytes(info.free),
        used: Some(Bytes(info.used)),
        reserved: None,
        basis: MemoryBasis::DriverV1,
    })
    .ok_or(Fault::implausible(Call::MEMORY_V1))
}

/// Memory that can be: no part of it is larger than the whole.
fn checked(memory: Memory) -> Option<Memory> {
    let Memory { total, free, used, reserved, .. } = memory;
    let fits = |part: Bytes| part <= total;
    let sound = fits(free) && used.is_none_or(fits) && reserved.is_none_or(fits);
    (sound && total.0 > 0 && total.0 != NONE_LONG).then_some(memory)
}

pub(super) fn utilization(api: &Api, device: Handle) -> Result<Utilization, Fault> {
    let mut rates = sys::nvmlUtilization_t { gpu: NONE, memory: NONE };
    call!(api, UTILIZATION, nvmlDeviceGetUtilizationRates(device, &raw mut rates))?;
    let pct = |rate: u32| u8::try_from(rate).ok().filter(|rate| *rate <= 100);
    match (pct(rates.gpu), pct(rates.memory)) {
        (Some(gpu_pct), Some(memory_pct)) => {
            Ok(Utilization { gpu_pct, memory_pct, window_max: UTILIZATION_WINDOW_MAX })
        }
        _ => Err(Fault::implausible(Call::UTILIZATION)),
    }
}

/// A count that a call writes.
fn count(
    call: Call,
    f: impl FnOnce(*mut std::ffi::c_uint) -> Result<(), Fault>,
) -> Result<u32, Fault> {
    let mut value = NONE;
    f(&raw mut value)?;
    if value == NONE { Err(Fault::implausible(call)) } else { Ok(value) }
}

pub(super) fn power(api: &Api, device: Handle) -> Result<Power, Fault> {
    let draw_mw =
        count(Call::POWER, |out| call!(api, POWER, nvmlDeviceGetPowerUsage(device, out)))?;
    let limit_mw = count(Call::POWER_LIMIT, |out| {
        call!(api, POWER_LIMIT, nvmlDeviceGetEnforcedPowerLimit(device, out))
    });
    Ok(Power { draw_mw, limit_mw: limit_mw.ok() })
}

pub(super) fn clocks(api: &Api, device: Handle) -> Result<Clocks, Fault> {
    let clock = |which| {
        count(Call::CLOCK, |out| call!(api, CLOCK, nvmlDeviceGetClockInfo(device, which, out)))
    };
    let sm_mhz = clock(sys::nvmlClockType_enum_NVML_CLOCK_SM)?;
    Ok(Clocks { sm_mhz, memory_mhz: clock(sys::nvmlClockType_enum_NVML_CLOCK_MEM).ok() })
}

pub(super) fn temperature_c(api: &Api, device: Handle) -> Result<u32, Fault> {
    let sensor = sys::nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU;
    count(Call::TEMPERATURE, |out| {
        call!(api, TEMPERATURE, nvmlDeviceGetTemperature(device, sensor, out))
    })
}

/// By the current name of the call, or by the one that older drivers have.
pub(super) fn throttle(api: &Api, device: Handle) -> Result<Throttle, Fault> {
    let mut bits = NONE_LONG;
    match call!(api, EVENT_REASONS, nvmlDeviceGetCurrentClocksEventReasons(device, &raw mut bits)) {
        Err(Fault { code: status::FUNCTION_NOT_FOUND, .. }) => {
            call!(
                api,
                THROTTLE_REASONS,
                nvmlDeviceGetCurrentClocksThrottleReasons(device, &raw mut bits)
            )?;
        }
        answer => answer?,
    }
    if bits == NONE_LONG {
        return Err(Fault::implausible(Call::EVENT_REASONS));
    }
    Ok(Throttle(bits))
}

/// The NUMA node whose memory is next to a device. First by affinity: the other call names, on
/// machines where a GPU's memory is a node of its own, that node.
pub(super) fn numa(api: &Api, device: Handle) -> Result<u32, Fault> {
    let mut nodes: [std::ffi::c_ulong; 4] = [0; 4];
    let scope = sys::NVML_AFFINITY_SCOPE_NODE;
    let words = nodes.len() as u32;
    let affinity = call!(
        api,
        MEMORY_AFFINITY,
        nvmlDeviceGetMemoryAffinity(device, words, nodes.as_mut_ptr(), scope)
    );
    let bits = std::ffi::c_ulong::BITS;
    if let (Ok(()), Some(word)) = (affinity, nodes.iter().position(|word| *word != 0)) {
        return Ok(word as u32 * bits + nodes[word].trailing_zeros());
    }
    count(Call::NUMA_NODE, |out| call!(api, NUMA_NODE, nvmlDeviceGetNumaNodeId(device, out)))
}

pub(super) fn cpus(api: &Api, device: Handle) -> Result<CpuSet, Fault> {
    const WORDS: usize = CPU_WORDS * 64 / std::ffi::c_ulong::BITS as usize;
    let mut given: [std::ffi::c_ulong; WORDS] = [0; WORDS];
    call!(api, CPU_AFFINITY, nvmlDeviceGetCpuAffinity(device, WORDS as u32, given.as_mut_ptr()))?;
    let mut set = CpuSet::default();
    let bits = std::ffi::c_ulong::BITS as usize;
    #[allow(clippy::useless_conversion, reason = "a word has 32 bits on other systems")]
    for (at, word) in given.into_iter().enumerate() {
        set.words[at * bits / 64] |= u64::from(word) << (at * bits % 64);
    }
    if set == CpuSet::default() { Err(Fault::implausible(Call::CPU_AFFINITY)) } else { Ok(set) }
}

pub(super) fn nvlinks(api: &Api, device: Handle) -> Result<NvLinks, Fault> {
    let mut links = NvLinks::default();
    for number in 0..NVLINKS_MAX {
        let link = number as u32;
        let state = count(Call::NVLINK_STATE, |out| {
            call!(api, NVLINK_STATE, nvmlDeviceGetNvLinkState(device, link, out))
        });
        match state {
            Ok(1) => {}
            // It has fewer links than the most that there can be.
            Err(Fault { code: status::INVALID_ARGUMENT, .. }) if number > 0 => break,
            Err(fault) if number == 0 => return Err(fault),
            Ok(_) | Err(_) => continue,
        }
        let version = count(Call::NVLINK_VERSION, |out| {
            call!(api, NVLINK_VERSION, nvmlDeviceGetNvLinkVersion(device, link, out))
        });
        links.links[usize::from(links.len)] = NvLink {
            number: number as u8,
            version: version.ok().and_then(|version| u8::try_from(version).ok()),
            peer: peer(api, device, link),
        };
        links.len += 1;
    }
    Ok(links)
}

fn peer(api: &Api, device: Handle, link: u32) -> NvLinkPeer {
    let kind = count(Call::NVLINK_REMOTE_TYPE, |out| {
        call!(api, NVLINK_REMOTE_TYPE, nvmlDeviceGetNvLinkRemoteDeviceType(device, link, out))
    });
    match kind {
        Ok(sys::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_SWITCH) => NvLinkPeer::Switch,
        // Drivers without that call tell the address all the same.
        Ok(sys::nvmlIntNvLinkDeviceType_enum_NVML_NVLINK_DEVICE_TYPE_GPU) | Err(_) => {
            let mut info = no_pci();
            let out = &raw mut info;
            let told = call!(
                api,
                NVLINK_REMOTE_PCI,
                nvmlDeviceGetNvLinkRemotePciInfo_v2(device, link, out)
            );
            told.ok().and_then(|()| address(&info)).map_or(NvLinkPeer::Unknown, NvLinkPeer::Gpu)
        }
        Ok(_) => NvLinkPeer::Other,
    }
}

/// Whether a GPU is cut into instances.
pub(super) fn mig(api: &Api, device: Handle) -> Result<bool, Fault> {
    let (mut current, mut pending) = (NONE, NONE);
    call!(api, MIG_MODE, nvmlDeviceGetMigMode(device, &raw mut current, &raw mut pending))?;
    if current == NONE { Err(Fault::implausible(Call::MIG_MODE)) } else { Ok(current == 1) }
}

/// A reading of something that only a whole GPU has.
pub(super) fn whole<T>(is_whole: bool, f: impl FnOnce() -> Result<T, Fault>) -> Reading<T> {
    if is_whole { reading(f()) } else { Reading::Unsupported }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_is_refused() {
        let memory = |total, free, used| Memory {
            total: Bytes(total),
            free: Bytes(free),
            used: Some(Bytes(used)),
            ..Memory::default()
        };
        assert!(checked(memory(10, 10, 0)).is_some());
        for bad in [memory(0, 0, 0), memory(10, 11, 0), memory(10, 1, 11)] {
            assert_eq!(checked(bad), None);
        }
        assert_eq!(checked(memory(NONE_LONG, 1, 1)), None, "nothing was written");
    }
}
