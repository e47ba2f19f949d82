//! A snapshot as the signals that a diagnosis reads, one set for each device.
//!
//! # What it decides
//! Nothing: it says what was read in the units of a diagnosis, each with its age at the moment of the
//! question, and leaves out what was not read. Missing is not zero, and nothing is guessed.
//!
//! # Formula
//! ```text
//! age                    = age of the reading in its snapshot + age of the snapshot
//! memory_taken_ratio     = 1 - free / total
//! power_of_limit_ratio   = draw / limit
//! sm_clock_drop_ratio    = max(0, 1 - clock now / clock before)     of two readings of a busy device
//! ```
//! # What the figures do not say
//! - `kernel_time_ratio` is the part of a window in which *any* kernel ran. At 1.0 most of the GPU may
//!   be idle, and low values are no spare capacity. How many multiprocessors worked (`SM_ACTIVE`), and
//!   how near memory was to its bandwidth (`DRAM_ACTIVE`), NVML does not tell; those come from DCGM.
//! - `memory_taken_ratio` says what is allocated. An engine that allocates its KV cache at its start
//!   stands near 0.9 for ever: how full that cache is only the engine tells.
//! - No processes do not say that nothing runs: a container sees those of others as none.
//! - A clock that is low because nothing runs is not throttled. So the drop of a clock is told only
//!   between two readings in which the driver does not say that the device is idle.
//! - A power cap alone (0x4) hardly slows decoding down; it is told apart from what does.
//!
//! # An instance (MIG)
//! Clocks, power, temperature, what slows down and critical events are those of its GPU, for it has no
//! other. Memory and processes are its own, and so is utilization, which the driver does not tell:
//! that of the GPU says nothing about one part of it.
//!
//! # Bounds and cost
//! O(1) for a device; no allocation.
//!
//! # Source
//! NVML's documentation of `nvmlUtilization_t` and `nvmlClocksEventReasons`; DCGM's of its profiling
//! fields.

use rampmeter::{Bytes, Nanos};

use crate::condition::Condition;
use crate::device::{Device, DeviceKind, Health, MemoryBasis, Throttle, UUID_LEN};
use crate::reading::Reading;
use crate::snapshot::{Snapshot, Source};
use crate::text::Text;

/// What slows a device down: hardware slowdown, heat by software and by hardware, and the power brake.
const SLOWING: u64 = 0x8 | 0x20 | 0x40 | 0x80;
const POWER_CAP: u64 = 0x4;
const IDLE: u64 = 0x1;

/// What a diagnosis reads of one device. The age of each reading counts back from `at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signals {
    /// Whose.
    pub uuid: Text<UUID_LEN>,
    /// What it is.
    pub kind: DeviceKind,
    /// Whether it can be used.
    pub health: Health,
    /// Who read it.
    pub source: Source,
    /// In what condition the driver was. Without success all figures are old.
    pub condition: Condition,
    /// When these were asked for.
    pub at: Nanos,
    /// How old the snapshot was then. Look at this first: nothing can be said from old figures.
    pub snapshot_age: Nanos,
    /// All of its memory.
    pub memory_total: Reading<Bytes>,
    /// What of it can still be had.
    pub memory_free: Reading<Bytes>,
    /// The part that is allocated, 0 to 1.
    pub memory_taken_ratio: Reading<f64>,
    /// Whether memory is that of the host, which other programs of the host take, too.
    pub memory_is_estimated: bool,
    /// The part of a window in which any kernel ran, 0 to 1, in steps of 0.01.
    pub kernel_time_ratio: Reading<f64>,
    /// The part of that window in which memory was read or written, 0 to 1: how often, not how much.
    pub memory_access_time_ratio: Reading<f64>,
    /// The longest that this window may have been.
    pub utilization_window_max: Reading<Nanos>,
    /// Processes that the driver told of. 0 does not say that the device is idle.
    pub processes: Reading<u32>,
    /// What it draws, in watts.
    pub power_draw_w: Reading<f64>,
    /// That, of what it may draw; can be above 1 for a moment.
    pub power_of_limit_ratio: Reading<f64>,
    /// How hot it is, in degrees Celsius.
    pub temperature_c: Reading<u32>,
    /// Clock of its multiprocessors, in MHz.
    pub sm_clock_mhz: Reading<u32>,
    /// Clock of its memory, in MHz.
    pub memory_clock_mhz: Reading<u32>,
    /// What slows it down: heat, hardware slowdown, power brake. No other reason is among these.
    pub slowed_by: Reading<Throttle>,
    /// Whether its power is capped by software.
    pub is_power_capped: Reading<bool>,
    /// Whether the driver says that its clocks are low because nothing runs.
    pub is_clock_idle: Reading<bool>,
    /// Critical events (Xid) since the probe began.
    pub xid_events: Reading<u64>,
    /// The number of the last one; unsupported before the first. Its age is that of the event.
    pub xid_last: Reading<u64>,
}

impl Signals {
    /// Those of a device of this snapshot.
    #[must_use]
    pub fn of(now: Nanos, snapshot: &Snapshot, device: &Device) -> Self {
        let snapshot_age = snapshot.age(now);
        // Of an instance what only its GPU has.
        let gpu = snapshot.gpu_of(device);
        let memory = aged(device.memory, snapshot_age);
        let utilization = aged(device.utilization, snapshot_age);
        let power = aged(gpu.power, snapshot_age);
        let clocks = aged(gpu.clocks, snapshot_age);
        let throttle = aged(gpu.throttle, snapshot_age);
        let xid = aged(gpu.xid, snapshot_age);
        let pct = |pct: u8| f64::from(pct) / 100.0;
        Self {
            uuid: device.uuid,
            kind: device.kind,
            health: device.health,
            source: snapshot.source,
            condition: snapshot.condition,
            at: now,
            snapshot_age,
            memory_total: memory.map(|memory| memory.total),
            memory_free: memory.map(|memory| memory.free),
            memory_taken_ratio: told(memory, |memory| {
                let free = ratio(memory.free.0 as f64, memory.total.0 as f64)?;
                Some((1.0 - free).clamp(0.0, 1.0))
            }),
            memory_is_estimated: memory
                .value()
                .is_some_and(|memory| memory.basis == MemoryBasis::HostEstimated),
            kernel_time_ratio: utilization.map(|busy| pct(busy.gpu_pct)),
            memory_access_time_ratio: utilization.map(|busy| pct(busy.memory_pct)),
            utilization_window_max: utilization.map(|busy| busy.window_max),
            processes: aged(device.processes, snapshot_age).map(|list| list.found),
            power_draw_w: power.map(|power| f64::from(power.draw_mw) / 1e3),
            power_of_limit_ratio: told(power, |power| {
                ratio(power.draw_mw.into(), power.limit_mw?.into())
            }),
            temperature_c: aged(gpu.temperature_c, snapshot_age),
            sm_clock_mhz: clocks.map(|clocks| clocks.sm_mhz),
            memory_clock_mhz: told(clocks, |clocks| clocks.memory_mhz),
            slowed_by: throttle.map(|throttle| Throttle(throttle.0 & SLOWING)),
            is_power_capped: throttle.map(|throttle| throttle.0 & POWER_CAP != 0),
            is_clock_idle: throttle.map(|throttle| throttle.0 & IDLE != 0),
            xid_events: xid.map(|events| events.count),
            xid_last: match xid {
                Reading::Ok { value, .. } if value.count == 0 => Reading::Unsupported,
                Reading::Ok { value, .. } => Reading::Ok {
                    value: value.last,
                    age: value.last_age.saturating_add(snapshot_age),
                },
                other => other.map(|events| events.last),
            },
        }
    }

    /// By how much the clock of the multiprocessors fell since `before`, as a part of what it was, 0 to
    /// 1; 0 where it rose. `None` where that cannot be told: not the same device, no clock read anew
    /// in between, or a device of which the driver does not say that it was busy both times.
    #[must_use]
    pub fn sm_clock_drop_ratio(&self, before: &Self) -> Option<f64> {
        let read = |signals: &Self| match (signals.sm_clock_mhz, signals.is_clock_idle) {
            (Reading::Ok { value, age }, Reading::Ok { value: false, .. }) => {
                Some((f64::from(value), signals.at.saturating_sub(age)))
            }
            _ => None,
        };
        let ((mhz_before, then), (mhz, now)) = (read(before)?, read(self)?);
        if self.uuid != before.uuid || self.uuid.is_empty() || then >= now {
            return None;
        }
        Some((1.0 - ratio(mhz, mhz_before)?).max(0.0))
    }
}

impl Snapshot {
    /// What a diagnosis reads of each device, in their order.
    pub fn signals(&self, now: Nanos) -> impl Iterator<Item = Signals> + '_ {
        self.devices.iter().map(move |device| Signals::of(now, self, device))
    }
}

/// The same reading for somebody to whom the snapshot is that old.
fn aged<T>(mut reading: Reading<T>, snapshot_age: Nanos) -> Reading<T> {
    reading.advance(snapshot_age);
    reading
}

/// What follows of a value; unsupported where nothing does.
fn told<T, U>(reading: Reading<T>, f: impl FnOnce(T) -> Option<U>) -> Reading<U> {
    match reading.map(f) {
        Reading::Ok { value: Some(value), age } => Reading::Ok { value, age },
        Reading::Ok { value: None, .. } | Reading::Unsupported => Reading::Unsupported,
        Reading::Denied => Reading::Denied,
        Reading::Failed { call, code } => Reading::Failed { call, code },
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests;
