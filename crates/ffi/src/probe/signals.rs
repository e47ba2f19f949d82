//! What a diagnosis reads of one GPU: the figures of a snapshot in its units.

use std::ffi::c_char;

use rampmeter::Nanos;
use rampmeter_probe::bridge::signals::Signals;

use super::gpus::{RAMPMETER_GPU_TEXT_BYTES, health, kind};
use super::snapshot::{Shown, chars};
use super::{condition_number, rampmeter_reading, rampmeter_snapshot, reading::flat};
use crate::boundary::{desk, look};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, OutSized, versioned};
use crate::status::rampmeter_status;

/// One GPU or instance, as a diagnosis reads it. Each figure stands beside its reading, and is 0 where
/// there is none: missing is not zero. Of an instance clocks, power, temperature, what slows down and
/// critical events are those of its GPU. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_signals {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_GPU_WHOLE, _INSTANCE or _UNIFIED.
    pub kind: u8,
    /// RAMPMETER_GPU_READY, or why not.
    pub health: u8,
    /// RAMPMETER_CONDITION_...: without READY all figures are old.
    pub condition: u8,
    /// 1: memory is that of the host, which other programs take, too.
    pub memory_is_estimated: u8,
    /// How old the snapshot is at `now_ns`. Look at this first: nothing can be said from old figures.
    pub snapshot_age_ns: u64,
    /// Its identifier.
    pub uuid: [c_char; RAMPMETER_GPU_TEXT_BYTES],
    /// Of `memory_total_bytes` and `memory_free_bytes`.
    pub memory: rampmeter_reading,
    /// Of `memory_taken_ratio`.
    pub memory_taken: rampmeter_reading,
    /// Of both ratios of time, and of their window.
    pub utilization: rampmeter_reading,
    /// Of `processes_found`.
    pub processes: rampmeter_reading,
    /// Of `power_draw_w`.
    pub power: rampmeter_reading,
    /// Of `power_of_limit_ratio`.
    pub power_of_limit: rampmeter_reading,
    /// Of `temperature_c`.
    pub temperature: rampmeter_reading,
    /// Of `sm_clock_mhz`.
    pub sm_clock: rampmeter_reading,
    /// Of `memory_clock_mhz`.
    pub memory_clock: rampmeter_reading,
    /// Of `slowed_by`, `is_power_capped` and `is_clock_idle`.
    pub throttle: rampmeter_reading,
    /// Of `xid_events_count`.
    pub xid_events: rampmeter_reading,
    /// Of `xid_last_number`: unsupported before the first event; its age is that of the event.
    pub xid_last: rampmeter_reading,
    /// All of its memory.
    pub memory_total_bytes: u64,
    /// What of it can still be had.
    pub memory_free_bytes: u64,
    /// The part that is allocated, 0 to 1. An engine that allocates its KV cache at its start stands near
    /// 0.9 for ever: how full that cache is only the engine tells.
    pub memory_taken_ratio: f64,
    /// The part of a window in which any kernel ran, 0 to 1. At 1 most of the GPU may be idle, and low
    /// values are no spare capacity.
    pub kernel_time_ratio: f64,
    /// The part of that window in which memory was read or written, 0 to 1: how often, not how much.
    pub memory_access_time_ratio: f64,
    /// The longest that this window may have been.
    pub utilization_window_max_ns: u64,
    /// What it draws, in watts.
    pub power_draw_w: f64,
    /// That, of what it may draw; can be above 1 for a moment.
    pub power_of_limit_ratio: f64,
    /// RAMPMETER_THROTTLE_... that slow it down: heat, hardware slowdown, power brake. No others.
    pub slowed_by: u64,
    /// Critical events (Xid) since the probe began.
    pub xid_events_count: u64,
    /// The number of the last one.
    pub xid_last_number: u64,
    /// Processes that the driver told of. 0 does not say that the device is idle.
    pub processes_found: u32,
    /// Degrees Celsius.
    pub temperature_c: u32,
    /// Clock of its multiprocessors.
    pub sm_clock_mhz: u32,
    /// Clock of its memory.
    pub memory_clock_mhz: u32,
    /// 1: its power is capped by software.
    pub is_power_capped: u8,
    /// 1: the driver says that its clocks are low because nothing runs.
    pub is_clock_idle: u8,
    /// 0.
    pub reserved: [u8; 6],
}
versioned!(rampmeter_signals, 424);

impl rampmeter_signals {
    fn of(signals: &Signals) -> Self {
        // Ages in signals count back from the question already.
        let age = Nanos::ZERO;
        let (memory, total) = flat(&signals.memory_total, age);
        let (memory_taken, taken) = flat(&signals.memory_taken_ratio, age);
        let (utilization, kernel_time) = flat(&signals.kernel_time_ratio, age);
        let (processes, found) = flat(&signals.processes, age);
        let (power, draw) = flat(&signals.power_draw_w, age);
        let (power_of_limit, of_limit) = flat(&signals.power_of_limit_ratio, age);
        let (temperature, degrees) = flat(&signals.temperature_c, age);
        let (sm_clock, sm_mhz) = flat(&signals.sm_clock_mhz, age);
        let (memory_clock, memory_mhz) = flat(&signals.memory_clock_mhz, age);
        let (throttle, slowed_by) = flat(&signals.slowed_by, age);
        let (xid_events, events) = flat(&signals.xid_events, age);
        let (xid_last, last) = flat(&signals.xid_last, age);
        Self {
            size: 0,
            kind: kind(signals.kind),
            health: health(signals.health),
            condition: condition_number(signals.condition),
            memory_is_estimated: signals.memory_is_estimated.into(),
            snapshot_age_ns: signals.snapshot_age.0,
            uuid: chars(&signals.uuid),
            memory,
            memory_taken,
            utilization,
            processes,
            power,
            power_of_limit,
            temperature,
            sm_clock,
            memory_clock,
            throttle,
            xid_events,
            xid_last,
            memory_total_bytes: total.map_or(0, |bytes| bytes.0),
            memory_free_bytes: signals.memory_free.value().map_or(0, |bytes| bytes.0),
            memory_taken_ratio: taken.copied().unwrap_or(0.0),
            kernel_time_ratio: kernel_time.copied().unwrap_or(0.0),
            memory_access_time_ratio: value(&signals.memory_access_time_ratio),
            utilization_window_max_ns: value(&signals.utilization_window_max).0,
            power_draw_w: draw.copied().unwrap_or(0.0),
            power_of_limit_ratio: of_limit.copied().unwrap_or(0.0),
            slowed_by: slowed_by.map_or(0, |reasons| reasons.0),
            xid_events_count: events.copied().unwrap_or(0),
            xid_last_number: last.copied().unwrap_or(0),
            processes_found: found.copied().unwrap_or(0),
            temperature_c: degrees.copied().unwrap_or(0),
            sm_clock_mhz: sm_mhz.copied().unwrap_or(0),
            memory_clock_mhz: memory_mhz.copied().unwrap_or(0),
            is_power_capped: value(&signals.is_power_capped).into(),
            is_clock_idle: value(&signals.is_clock_idle).into(),
            reserved: [0; 6],
        }
    }
}

fn value<T: Copy + Default>(reading: &rampmeter_probe::Reading<T>) -> T {
    reading.value().copied().unwrap_or_default()
}

/// The GPU or instance at a place, as a diagnosis reads it. Ages are as of `now_ns`.
///
/// Fails, and so on: as rampmeter_snapshot_gpu(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_signals(
    seen: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    signals: *mut rampmeter_signals,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, device) = (OutSized::new(signals, "signals")?, seen.gpu(place)?);
            out.set(rampmeter_signals::of(&Signals::of(Nanos(now_ns), seen.get(), device)));
            Ok(())
        })
    }
}

/// By how much the clock of the multiprocessors of a GPU fell from one snapshot to a later one, as a part
/// of what it was, 0 to 1; 0 where it rose. `is_known` is 0 where that cannot be told: another GPU
/// stands at the place in `before`, its clock was not read anew in between, or the driver does not say
/// that it was busy both times (a clock that is low because nothing runs is not throttled).
///
/// Fails: E_RANGE for a place that one of them lacks; E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the snapshots. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_snapshot_sm_clock_drop(
    seen: *const rampmeter_snapshot,
    before: *const rampmeter_snapshot,
    now_ns: u64,
    place: u32,
    drop_ratio: *mut f64,
    is_known: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(seen, error, |seen| {
            let (out, told) =
                (Out::new(drop_ratio, "drop_ratio")?, Out::new(is_known, "is_known")?);
            let before = desk(before)?;
            let of = |snapshot: &Shown, field| {
                let device = snapshot.gpu_named(field, place)?;
                Ok::<_, Fault>(Signals::of(Nanos(now_ns), snapshot.get(), device))
            };
            let (before, now) = (of(before, "before.place")?, of(seen, "place")?);
            let dropped = now.sm_clock_drop_ratio(&before);
            out.set(dropped.unwrap_or(0.0));
            told.set(dropped.is_some().into());
            Ok(())
        })
    }
}
