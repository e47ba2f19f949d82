//! A snapshot as the signals that a diagnosis reads.

use pyo3::prelude::*;
use rampmeter_probe::bridge::signals::Signals as CoreSignals;

use super::reading::{Reading, Value};
use super::snapshot::Condition;
use crate::record::record;

record! {
    /// What a diagnosis reads of one device. The fields from `memory_total_bytes` on are readings, each
    /// with its age at `at_ns`; what was not read is never a zero. Look at `snapshot_age_ns` first.
    ///
    /// `kernel_time_ratio` is the part of a window in which any kernel ran: at 1.0 most of the GPU may be
    /// idle. `memory_taken_ratio` is what is allocated: how full an engine's KV cache is only the engine
    /// tells. No `processes` do not say that nothing runs. `slowed_by` are the names of what slows it
    /// down (heat, hardware slowdown, power brake); a power cap alone (`is_power_capped`) hardly does.
    /// Where `is_clock_idle`, clocks are low because nothing runs. `xid_last` is as old as the event.
    "rampmeter.probe" Signals {
        uuid: String,
        kind: &'static str,
        health: &'static str,
        source: &'static str,
        condition: Condition,
        at_ns: u64,
        snapshot_age_ns: u64,
        memory_is_estimated: bool,
        memory_total_bytes: Reading,
        memory_free_bytes: Reading,
        memory_taken_ratio: Reading,
        kernel_time_ratio: Reading,
        memory_access_time_ratio: Reading,
        utilization_window_max_ns: Reading,
        processes: Reading,
        power_draw_w: Reading,
        power_of_limit_ratio: Reading,
        temperature_c: Reading,
        sm_clock_mhz: Reading,
        memory_clock_mhz: Reading,
        slowed_by: Reading,
        is_power_capped: Reading,
        is_clock_idle: Reading,
        xid_events: Reading,
        xid_last: Reading,
    }
}

impl From<CoreSignals> for Signals {
    fn from(seen: CoreSignals) -> Self {
        let number = |value: u32| Value::Number(value.into());
        Self {
            uuid: seen.uuid.to_string(),
            kind: seen.kind.word(),
            health: seen.health.word(),
            source: seen.source.word(),
            condition: seen.condition.into(),
            at_ns: seen.at.get(),
            snapshot_age_ns: seen.snapshot_age.get(),
            memory_is_estimated: seen.memory_is_estimated,
            memory_total_bytes: Reading::of(seen.memory_total, |bytes| Value::Number(bytes.0)),
            memory_free_bytes: Reading::of(seen.memory_free, |bytes| Value::Number(bytes.0)),
            memory_taken_ratio: Reading::of(seen.memory_taken_ratio, Value::Real),
            kernel_time_ratio: Reading::of(seen.kernel_time_ratio, Value::Real),
            memory_access_time_ratio: Reading::of(seen.memory_access_time_ratio, Value::Real),
            utilization_window_max_ns: Reading::of(seen.utilization_window_max, |window| {
                Value::Number(window.get())
            }),
            processes: Reading::of(seen.processes, number),
            power_draw_w: Reading::of(seen.power_draw_w, Value::Real),
            power_of_limit_ratio: Reading::of(seen.power_of_limit_ratio, Value::Real),
            temperature_c: Reading::of(seen.temperature_c, number),
            sm_clock_mhz: Reading::of(seen.sm_clock_mhz, number),
            memory_clock_mhz: Reading::of(seen.memory_clock_mhz, number),
            slowed_by: Reading::of(seen.slowed_by, |bits| Value::Names(bits.names().collect())),
            is_power_capped: Reading::of(seen.is_power_capped, Value::Truth),
            is_clock_idle: Reading::of(seen.is_clock_idle, Value::Truth),
            xid_events: Reading::of(seen.xid_events, Value::Number),
            xid_last: Reading::of(seen.xid_last, Value::Number),
        }
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Signals>()
}
