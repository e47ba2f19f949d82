//! A snapshot in C, figure by figure beside the one in Rust.

use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;

use ::rampmeter_probe::bridge::signals::Signals;
use ::rampmeter_probe::device::{DeviceKind, Health, Loss, MemoryBasis, NvLinkPeer};
use ::rampmeter_probe::snapshot::Path;
use ::rampmeter_probe::{Condition, Device, Reading, Snapshot as Core, Source};
use rampmeter::error::codes;
use rampmeter_ffi::probe::*;

use crate::Snapshot;
use crate::caller::{sized, zeros};

fn text(chars: &[c_char]) -> &str {
    // SAFETY: every text of a structure is closed by a zero within it.
    unsafe { CStr::from_ptr(chars.as_ptr()) }.to_str().unwrap()
}

/// A reading says the same but for its age, which is that of another moment.
fn reading<T>(c: &rampmeter_reading, core: &Reading<T>) {
    let expected = match core {
        Reading::Ok { .. } => (RAMPMETER_READING_OK, 0, 0),
        Reading::Unsupported => (RAMPMETER_READING_UNSUPPORTED, 0, 0),
        Reading::Denied => (RAMPMETER_READING_DENIED, 0, 0),
        Reading::Failed { call, code } => (RAMPMETER_READING_FAILED, call.0, *code),
    };
    assert_eq!((c.state, c.call, c.code), expected);
    assert!(c.age_ns == 0 || c.state == RAMPMETER_READING_OK);
}

/// An optional number, and whether it is known.
fn known<T: Copy + Default + PartialEq + std::fmt::Debug>(c: (T, u8), core: Option<T>) {
    assert_eq!(c, (core.unwrap_or_default(), core.is_some().into()));
}

pub(crate) fn machine(seen: &Snapshot, core: &Core) {
    let stats = seen.stats();
    assert_eq!(stats.gpus_len as usize, core.devices.len());
    assert_eq!(stats.processes_len as usize, core.processes.len());
    assert_eq!(stats.gpus_left_out, core.devices_left_out);
    assert_eq!(stats.cuda_version, core.driver.cuda);
    assert_eq!(text(&stats.driver_version), core.driver.version.as_str());
    assert_eq!(text(&stats.nvml_version), core.driver.nvml.as_str());
    assert_eq!(
        stats.source,
        match core.source {
            Source::None => RAMPMETER_SOURCE_NONE,
            Source::Nvml => RAMPMETER_SOURCE_NVML,
            Source::Cuda => RAMPMETER_SOURCE_CUDA,
            Source::Fixture => RAMPMETER_SOURCE_FIXTURE,
        }
    );
    assert_eq!(core.condition, Condition::Ready);
    assert_eq!((stats.condition, stats.is_success), (RAMPMETER_CONDITION_READY, 1));
    for (place, device) in core.devices.iter().enumerate() {
        let place = place as u32;
        gpu(seen, place, device);
        memory(seen, place, device);
        load(seen, place, device);
        signals(seen, place, core, device);
        lists(seen, place, core, device);
        found(seen, place, device);
        for (other_place, other) in core.devices.iter().enumerate() {
            between(seen, place, other_place as u32, core, device, other);
        }
    }
}

fn gpu(seen: &Snapshot, place: u32, core: &Device) {
    let (mut gpu, mut cpus) = (sized::<rampmeter_gpu>(), sized::<rampmeter_gpu_cpus>());
    // SAFETY: all are there.
    unsafe {
        let now = rampmeter_clock_ns();
        assert_eq!(rampmeter_snapshot_gpu(seen.0, now, place, &raw mut gpu, null_mut()), codes::OK);
        let status = rampmeter_snapshot_cpus(seen.0, now, place, &raw mut cpus, null_mut());
        assert_eq!(status, codes::OK);
    }
    assert_eq!((text(&gpu.uuid), text(&gpu.name)), (core.uuid.as_str(), core.name.as_str()));
    assert_eq!(gpu.index, core.index);
    reading(&gpu.pci, &core.pci);
    reading(&gpu.compute_capability, &core.compute_capability);
    reading(&gpu.numa, &core.numa);
    reading(&gpu.mig, &core.mig);
    reading(&cpus.cpus, &core.cpus);
    let address = core.pci.value().copied().unwrap_or_default();
    let told = (gpu.pci_domain, gpu.pci_bus, gpu.pci_device);
    assert_eq!(told, (address.domain, address.bus, address.device));
    let capability = core.compute_capability.value().copied().unwrap_or_default();
    assert_eq!((gpu.capability_major, gpu.capability_minor), (capability.major, capability.minor));
    assert_eq!(gpu.numa_node, core.numa.value().copied().unwrap_or(0));
    assert_eq!(gpu.is_cut == 1, core.mig.value().copied().unwrap_or(false));
    assert_eq!(cpus.words, core.cpus.value().copied().unwrap_or_default().words);
    known((gpu.parent_place, gpu.has_parent), core.parent.map(u32::from));
    let instance = core.instance.unwrap_or_default();
    known((gpu.gpu_instance, gpu.gpu_instance_known), instance.gpu);
    known((gpu.compute_instance, gpu.compute_instance_known), instance.compute);
    known((gpu.cuda_ordinal, gpu.cuda_ordinal_known), core.cuda_ordinal);
    assert_eq!(
        gpu.kind,
        match core.kind {
            DeviceKind::Gpu => RAMPMETER_GPU_WHOLE,
            DeviceKind::Mig => RAMPMETER_GPU_INSTANCE,
            DeviceKind::Unified => RAMPMETER_GPU_UNIFIED,
        }
    );
    assert_eq!(
        gpu.health,
        match core.health {
            Health::Ready => RAMPMETER_GPU_READY,
            Health::Lost(Loss::Gone) => RAMPMETER_GPU_LOST,
            Health::Lost(Loss::ResetRequired) => RAMPMETER_GPU_RESET_REQUIRED,
            Health::Lost(Loss::Xid79) => RAMPMETER_GPU_LOST_XID_79,
            Health::Unreachable => RAMPMETER_GPU_UNREACHABLE,
        }
    );
}

fn value<T: Copy + Default>(core: &Reading<T>) -> T {
    core.value().copied().unwrap_or_default()
}

fn signals(seen: &Snapshot, place: u32, core: &Core, device: &Device) {
    let (mut out, now) = (sized::<rampmeter_signals>(), rampmeter_clock_ns());
    // SAFETY: both are there.
    let status =
        unsafe { rampmeter_snapshot_signals(seen.0, now, place, &raw mut out, null_mut()) };
    assert_eq!(status, codes::OK);
    let core = Signals::of(rampmeter::Nanos(now), core, device);
    assert_eq!(text(&out.uuid), core.uuid.as_str());
    assert_eq!(
        (out.condition, out.health == 0),
        (RAMPMETER_CONDITION_READY, device.health == Health::Ready)
    );
    reading(&out.memory, &core.memory_total);
    reading(&out.memory_taken, &core.memory_taken_ratio);
    reading(&out.utilization, &core.kernel_time_ratio);
    reading(&out.processes, &core.processes);
    reading(&out.power, &core.power_draw_w);
    reading(&out.power_of_limit, &core.power_of_limit_ratio);
    reading(&out.temperature, &core.temperature_c);
    reading(&out.sm_clock, &core.sm_clock_mhz);
    reading(&out.memory_clock, &core.memory_clock_mhz);
    reading(&out.throttle, &core.slowed_by);
    reading(&out.xid_events, &core.xid_events);
    reading(&out.xid_last, &core.xid_last);
    let whole = [
        (out.memory_total_bytes, value(&core.memory_total).0),
        (out.memory_free_bytes, value(&core.memory_free).0),
        (out.utilization_window_max_ns, value(&core.utilization_window_max).0),
        (out.slowed_by, value(&core.slowed_by).0),
        (out.xid_events_count, value(&core.xid_events)),
        (out.xid_last_number, value(&core.xid_last)),
        (out.processes_found.into(), value(&core.processes).into()),
        (out.temperature_c.into(), value(&core.temperature_c).into()),
        (out.sm_clock_mhz.into(), value(&core.sm_clock_mhz).into()),
        (out.memory_clock_mhz.into(), value(&core.memory_clock_mhz).into()),
        (out.is_power_capped.into(), value(&core.is_power_capped).into()),
        (out.is_clock_idle.into(), value(&core.is_clock_idle).into()),
        (out.memory_is_estimated.into(), core.memory_is_estimated.into()),
    ];
    let parts = [
        (out.memory_taken_ratio, value(&core.memory_taken_ratio)),
        (out.kernel_time_ratio, value(&core.kernel_time_ratio)),
        (out.memory_access_time_ratio, value(&core.memory_access_time_ratio)),
        (out.power_draw_w, value(&core.power_draw_w)),
        (out.power_of_limit_ratio, value(&core.power_of_limit_ratio)),
    ];
    assert!(whole.iter().all(|(c, rust)| c == rust), "{whole:?}");
    assert!(parts.iter().all(|(c, rust)| c.to_bits() == rust.to_bits()), "{parts:?}");
}

fn memory(seen: &Snapshot, place: u32, core: &Device) {
    let mut memory = sized::<rampmeter_gpu_memory>();
    let now = rampmeter_clock_ns();
    // SAFETY: both are there.
    let status =
        unsafe { rampmeter_snapshot_memory(seen.0, now, place, &raw mut memory, null_mut()) };
    assert_eq!(status, codes::OK);
    reading(&memory.memory, &core.memory);
    let value = core.memory.value().copied().unwrap_or_default();
    assert_eq!((memory.total_bytes, memory.free_bytes), (value.total.0, value.free.0));
    known((memory.used_bytes, memory.used_known), value.used.map(|bytes| bytes.0));
    known((memory.driver_bytes, memory.driver_known), value.reserved.map(|bytes| bytes.0));
    assert_eq!(
        memory.basis,
        match value.basis {
            MemoryBasis::Driver => RAMPMETER_MEMORY_DRIVER,
            MemoryBasis::DriverV1 => RAMPMETER_MEMORY_DRIVER_V1,
            MemoryBasis::HostEstimated => RAMPMETER_MEMORY_HOST_ESTIMATED,
            MemoryBasis::CudaContext => RAMPMETER_MEMORY_CUDA_CONTEXT,
        }
    );
}

fn load(seen: &Snapshot, place: u32, core: &Device) {
    let mut load = sized::<rampmeter_gpu_load>();
    let now = rampmeter_clock_ns();
    // SAFETY: both are there.
    let status = unsafe { rampmeter_snapshot_load(seen.0, now, place, &raw mut load, null_mut()) };
    assert_eq!(status, codes::OK);
    reading(&load.utilization, &core.utilization);
    reading(&load.power, &core.power);
    reading(&load.clocks, &core.clocks);
    reading(&load.temperature, &core.temperature_c);
    reading(&load.throttle, &core.throttle);
    reading(&load.xid, &core.xid);
    reading(&load.processes, &core.processes);
    let busy = core.utilization.value().copied().unwrap_or_default();
    assert_eq!(
        (load.utilization_pct, load.memory_utilization_pct),
        (busy.gpu_pct, busy.memory_pct)
    );
    assert_eq!(load.utilization_window_max_ns, busy.window_max.0);
    let power = core.power.value().copied().unwrap_or_default();
    assert_eq!(load.power_draw_mw, power.draw_mw);
    known((load.power_limit_mw, load.power_limit_known), power.limit_mw);
    let clocks = core.clocks.value().copied().unwrap_or_default();
    assert_eq!(load.sm_clock_mhz, clocks.sm_mhz);
    known((load.memory_clock_mhz, load.memory_clock_known), clocks.memory_mhz);
    assert_eq!(load.temperature_c, core.temperature_c.value().copied().unwrap_or(0));
    let throttle = core.throttle.value().copied().unwrap_or_default();
    assert_eq!(load.throttle_reasons, throttle.0);
    assert_eq!(load.is_limited == 1, throttle.is_limiting());
    let xid = core.xid.value().copied().unwrap_or_default();
    assert_eq!((load.xid_count, load.xid_last), (xid.count, xid.last));
    let list = core.processes.value().copied().unwrap_or_default();
    assert_eq!((load.processes_listed, load.processes_found), (list.listed, list.found));
}

fn lists(seen: &Snapshot, place: u32, core: &Core, device: &Device) {
    let mut processes = zeros::<rampmeter_gpu_process>(64);
    let mut links = zeros::<rampmeter_nvlink>(RAMPMETER_NVLINKS_MAX);
    let (mut len, mut links_len, mut told) = (99, 99, zeros::<rampmeter_reading>(1)[0]);
    // SAFETY: all are there.
    unsafe {
        let (all, none) = (processes.as_mut_ptr(), null_mut());
        let status = rampmeter_snapshot_processes(seen.0, place, none, 0, &raw mut len, null_mut());
        assert_eq!((status, len as usize), (codes::OK, core.processes_of(device).len()));
        if len > 1 {
            let short =
                rampmeter_snapshot_processes(seen.0, place, all, 1, &raw mut len, null_mut());
            assert_eq!(short, codes::BUFFER_TOO_SMALL);
        }
        let status = rampmeter_snapshot_processes(seen.0, place, all, 64, &raw mut len, null_mut());
        assert_eq!(status, codes::OK);
        let (to, room, now) = (links.as_mut_ptr(), links.len(), rampmeter_clock_ns());
        let out = (&raw mut links_len, &raw mut told);
        let status =
            rampmeter_snapshot_nvlinks(seen.0, now, place, to, room, out.0, out.1, null_mut());
        assert_eq!(status, codes::OK);
    }
    for (c, core) in processes.iter().zip(core.processes_of(device)) {
        assert_eq!(c.pid, core.pid);
        known((c.memory_bytes, c.memory_known), core.memory.map(|bytes| bytes.0));
        known((c.gpu_instance, c.gpu_instance_known), core.gpu_instance);
    }
    reading(&told, &device.nvlinks);
    let up = device.nvlinks.value().copied().unwrap_or_default();
    assert_eq!(links_len as usize, up.up().len());
    for (c, core) in links.iter().zip(up.up()) {
        assert_eq!(c.number, core.number);
        known((c.version, c.version_known), core.version);
        let told = (c.peer, c.peer_domain, c.peer_bus, c.peer_device);
        assert_eq!(
            told,
            match core.peer {
                NvLinkPeer::Unknown => (RAMPMETER_NVLINK_UNKNOWN, 0, 0, 0),
                NvLinkPeer::Gpu(at) => (RAMPMETER_NVLINK_GPU, at.domain, at.bus, at.device),
                NvLinkPeer::Switch => (RAMPMETER_NVLINK_SWITCH, 0, 0, 0),
                NvLinkPeer::Other => (RAMPMETER_NVLINK_OTHER, 0, 0, 0),
            }
        );
    }
}

fn found(seen: &Snapshot, place: u32, device: &Device) {
    let uuid = CString::new(device.uuid.as_str().to_lowercase()).unwrap();
    let mut found = 99;
    // SAFETY: all are there.
    let status =
        unsafe { rampmeter_snapshot_find(seen.0, uuid.as_ptr(), &raw mut found, null_mut()) };
    assert_eq!((status, found), (codes::OK, place));
}

fn between(seen: &Snapshot, a: u32, b: u32, core: &Core, one: &Device, other: &Device) {
    let (mut path, mut links) = (99, 99);
    let to = (&raw mut path, &raw mut links);
    // SAFETY: all are there.
    let status = unsafe { rampmeter_snapshot_between(seen.0, a, b, to.0, to.1, null_mut()) };
    assert_eq!((status, links as usize), (codes::OK, core.nvlinks_between(one, other)));
    assert_eq!(
        Path::ALL.iter().position(|known| *known == core.path(one, other)),
        Some(path.into())
    );
}
