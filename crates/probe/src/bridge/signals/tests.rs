use proptest::prelude::*;

use super::*;
use crate::call::Call;
use crate::device::{Clocks, Loss, Memory, Power, ProcessList, Utilization, XidEvents};

const NOW: Nanos = Nanos(1_000);

fn gpu() -> Device {
    Device {
        uuid: Text::new("GPU-0"),
        memory: Reading::now(Memory {
            total: Bytes(80),
            free: Bytes(20),
            // What drivers call used differs: it is not what is told.
            used: Some(Bytes(1)),
            ..Memory::default()
        }),
        utilization: Reading::now(Utilization { gpu_pct: 97, memory_pct: 3, window_max: Nanos(7) }),
        power: Reading::now(Power { draw_mw: 640_500, limit_mw: Some(700_000) }),
        clocks: Reading::now(Clocks { sm_mhz: 1_980, memory_mhz: None }),
        temperature_c: Reading::now(71),
        throttle: Reading::now(Throttle(0x4)),
        processes: Reading::now(ProcessList { first: 0, listed: 2, found: 3 }),
        xid: Reading::now(XidEvents::default()),
        ..Device::default()
    }
}

fn machine(devices: Vec<Device>) -> Snapshot {
    Snapshot { devices, seq: 1, taken_at: NOW, condition: Condition::Ready, ..Snapshot::default() }
}

fn signals(device: &Device) -> Signals {
    Signals::of(NOW, &machine(vec![*device]), device)
}

#[test]
fn figures_are_told_in_the_units_of_a_diagnosis() {
    let seen = signals(&gpu());
    assert_eq!(seen.memory_taken_ratio, Reading::now(0.75), "by what is free");
    assert_eq!(seen.kernel_time_ratio, Reading::now(0.97));
    assert_eq!(seen.memory_access_time_ratio, Reading::now(0.03));
    assert_eq!(seen.utilization_window_max, Reading::now(Nanos(7)));
    assert_eq!(seen.power_draw_w, Reading::now(640.5));
    assert_eq!(seen.power_of_limit_ratio, Reading::now(0.915));
    assert_eq!(
        (seen.sm_clock_mhz, seen.memory_clock_mhz),
        (Reading::now(1_980), Reading::Unsupported)
    );
    assert_eq!((seen.temperature_c, seen.processes), (Reading::now(71), Reading::now(3)));
    assert_eq!((seen.xid_events, seen.xid_last), (Reading::now(0), Reading::Unsupported));
    assert_eq!((seen.condition, seen.snapshot_age), (Condition::Ready, Nanos(0)));
}

#[test]
fn a_power_cap_alone_slows_nothing_down() {
    let seen = signals(&gpu());
    assert_eq!(
        (seen.slowed_by, seen.is_power_capped),
        (Reading::now(Throttle(0)), Reading::now(true))
    );
    let hot = signals(&Device { throttle: Reading::now(Throttle(0x1 | 0x20 | 0x80)), ..gpu() });
    assert_eq!(hot.slowed_by, Reading::now(Throttle(0xa0)));
    assert_eq!((hot.is_power_capped, hot.is_clock_idle), (Reading::now(false), Reading::now(true)));
}

#[test]
fn what_was_not_read_is_not_told() {
    let nothing = signals(&Device::default());
    assert_eq!(nothing.memory_taken_ratio, Reading::Unsupported);
    assert_eq!(nothing.kernel_time_ratio, Reading::Unsupported);
    assert_eq!(nothing.processes, Reading::Unsupported, "and not none");
    assert_eq!(nothing.slowed_by, Reading::Unsupported, "and not nothing");
    let failed = Reading::Failed { call: Call::POWER, code: 15 };
    let lost = Device { memory: Reading::Denied, health: Health::Lost(Loss::Gone), ..gpu() };
    let seen = signals(&Device { power: failed.map(|()| Power::default()), ..lost });
    assert_eq!((seen.memory_free, seen.memory_taken_ratio), (Reading::Denied, Reading::Denied));
    let failed = Reading::Failed { call: Call::POWER, code: 15 };
    assert_eq!((seen.power_draw_w, seen.power_of_limit_ratio), (failed, failed));
    assert_eq!(seen.health, Health::Lost(Loss::Gone));
    let unlimited = Reading::now(Power { draw_mw: 5, limit_mw: Some(0) });
    assert_eq!(
        signals(&Device { power: unlimited, ..gpu() }).power_of_limit_ratio,
        Reading::Unsupported
    );
}

#[test]
fn an_instance_has_the_clocks_of_its_gpu_and_nobodys_utilization() {
    let part = Device {
        uuid: Text::new("MIG-0"),
        parent: Some(0),
        kind: DeviceKind::Mig,
        memory: Reading::now(Memory { total: Bytes(10), free: Bytes(10), ..Memory::default() }),
        ..Device::default()
    };
    let xid = Reading::now(XidEvents { count: 2, last: 63, last_age: Nanos(30) });
    let snapshot = machine(vec![Device { xid, ..gpu() }, part]);
    let seen = Signals::of(Nanos(NOW.0 + 5), &snapshot, &snapshot.devices[1]);
    assert_eq!(seen.kernel_time_ratio, Reading::Unsupported);
    assert_eq!(seen.memory_taken_ratio, Reading::Ok { value: 0.0, age: Nanos(5) });
    assert_eq!(seen.sm_clock_mhz, Reading::Ok { value: 1_980, age: Nanos(5) });
    assert_eq!(seen.is_power_capped, Reading::Ok { value: true, age: Nanos(5) });
    assert_eq!(seen.xid_last, Reading::Ok { value: 63, age: Nanos(35) }, "as old as the event");
    assert_eq!(seen.processes, Reading::Unsupported, "those of the GPU are not its own");
}

/// Signals of a GPU with this clock, read so long before `at`.
fn clocked(at: Nanos, age: Nanos, sm_mhz: u32, throttle: u64) -> Signals {
    let clocks = Reading::Ok { value: Clocks { sm_mhz, memory_mhz: None }, age };
    let throttle = Reading::Ok { value: Throttle(throttle), age };
    let snapshot = machine(vec![Device { clocks, throttle, ..gpu() }]);
    Signals::of(at, &Snapshot { taken_at: at, ..snapshot.clone() }, &snapshot.devices[0])
}

#[test]
fn a_clock_falls_only_between_two_readings_of_a_busy_device() {
    let before = clocked(NOW, Nanos(0), 2_000, 0);
    let later = Nanos(2 * NOW.0);
    let drop = |after: Signals| after.sm_clock_drop_ratio(&before);
    assert_eq!(drop(clocked(later, Nanos(0), 1_500, 0x8)), Some(0.25));
    assert_eq!(drop(clocked(later, Nanos(0), 2_100, 0)), Some(0.0), "it rose");
    assert_eq!(drop(clocked(later, Nanos(0), 1_500, 0x1)), None, "nothing runs");
    assert_eq!(drop(clocked(later, NOW, 2_000, 0)), None, "the same reading, in a later snapshot");
    let other = Signals { uuid: Text::new("GPU-1"), ..clocked(later, Nanos(0), 1_500, 0) };
    assert_eq!(drop(other), None);
    let untold = Signals { is_clock_idle: Reading::Denied, ..clocked(later, Nanos(0), 1_500, 0) };
    assert_eq!(drop(untold), None, "perhaps nothing runs");
    assert_eq!(before.sm_clock_drop_ratio(&clocked(later, Nanos(0), 9, 0)), None, "backwards");
}

fn reading<T: std::fmt::Debug>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Reading<T>> {
    prop_oneof![
        4 => (value, any::<u64>()).prop_map(|(value, age)| Reading::Ok { value, age: Nanos(age) }),
        1 => Just(()).prop_map(|()| Reading::Unsupported),
        1 => Just(()).prop_map(|()| Reading::Denied),
        1 => any::<u32>().prop_map(|code| Reading::Failed { call: Call::POWER, code }),
    ]
}

prop_compose! {
    fn any_device()(
        memory in reading((any::<u64>(), any::<u64>())),
        busy in reading((0_u8..=100, 0_u8..=100)),
        power in reading((any::<u32>(), any::<Option<u32>>())),
        sm_mhz in reading(any::<u32>()),
        throttle in reading(any::<u64>()),
        (count, last, last_age) in any::<(u64, u64, u64)>(),
    ) -> Device {
        let memory = memory.map(|(total, free)| Memory {
            total: Bytes(total), free: Bytes(free.min(total)), ..Memory::default()
        });
        Device {
            uuid: Text::new("GPU-0"),
            memory,
            utilization: busy.map(|(gpu_pct, memory_pct)| Utilization {
                gpu_pct, memory_pct, window_max: Nanos(1),
            }),
            power: power.map(|(draw_mw, limit_mw)| Power { draw_mw, limit_mw }),
            clocks: sm_mhz.map(|sm_mhz| Clocks { sm_mhz, memory_mhz: None }),
            throttle: throttle.map(Throttle),
            xid: Reading::now(XidEvents { count, last, last_age: Nanos(last_age) }),
            ..Device::default()
        }
    }
}

/// Whether two readings are of one kind, and the second so much older.
fn follows<T, U>(from: &Reading<T>, to: &Reading<U>, by: Nanos) -> bool {
    match (from, to) {
        (Reading::Ok { age: from, .. }, Reading::Ok { age, .. }) => *age == from.saturating_add(by),
        (Reading::Failed { code: from, .. }, Reading::Failed { code, .. }) => from == code,
        (Reading::Unsupported, Reading::Unsupported) | (Reading::Denied, Reading::Denied) => true,
        _ => false,
    }
}

proptest! {
    /// Whatever was read: no ratio is outside its range or no number, what was not read is told as it
    /// was, and nothing is younger than its reading.
    #[test]
    fn nothing_is_made_up(device in any_device(), age in any::<u64>()) {
        let mut snapshot = machine(vec![device]);
        snapshot.taken_at = Nanos(0);
        let by = Nanos(age);
        let seen = Signals::of(by, &snapshot, &device);
        prop_assert_eq!(seen.snapshot_age, by);
        prop_assert!(follows(&device.memory, &seen.memory_free, by));
        prop_assert!(follows(&device.utilization, &seen.kernel_time_ratio, by));
        prop_assert!(follows(&device.power, &seen.power_draw_w, by));
        prop_assert!(follows(&device.clocks, &seen.sm_clock_mhz, by));
        prop_assert!(follows(&device.throttle, &seen.slowed_by, by));
        for part in [seen.memory_taken_ratio, seen.kernel_time_ratio, seen.memory_access_time_ratio] {
            prop_assert!(part.value().is_none_or(|part| (0.0..=1.0).contains(part)));
        }
        let over = seen.power_of_limit_ratio.value();
        prop_assert!(over.is_none_or(|over| over.is_finite() && *over >= 0.0));
        let slowing = seen.slowed_by.value().copied().unwrap_or_default();
        prop_assert!(slowing.names().all(|name| name.starts_with("hw_") || name == "sw_thermal"));
    }

    #[test]
    fn a_drop_is_a_part(
        before in any_device(), after in any_device(), (then, now) in any::<(u64, u64)>()
    ) {
        let at = |device: Device, at: u64| {
            let snapshot = Snapshot { taken_at: Nanos(at), ..machine(vec![device]) };
            Signals::of(Nanos(at), &snapshot, &device)
        };
        let (before, after) = (at(before, then), at(after, now));
        if let Some(drop) = after.sm_clock_drop_ratio(&before) {
            prop_assert!((0.0..=1.0).contains(&drop));
            let rose = after.sm_clock_mhz.value() >= before.sm_clock_mhz.value();
            prop_assert_eq!(drop == 0.0, rose);
            prop_assert_eq!(before.sm_clock_drop_ratio(&after), None, "time runs one way");
        } else {
            let read = |signals: &Signals| match signals.sm_clock_mhz {
                Reading::Ok { age, .. } if signals.is_clock_idle.value() == Some(&false) => {
                    Some(signals.at.saturating_sub(age))
                }
                _ => None,
            };
            let ordered = read(&before).zip(read(&after)).is_some_and(|(then, now)| then < now);
            prop_assert!(!ordered || before.sm_clock_mhz.value() == Some(&0));
        }
    }
}
