//! Tasks of every kind, good and bad, told to both sides.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand, ModelSet};
use rampmeter::place::{Domain, Spreading, Task, Topology};
use rampmeter::share::AccountId;
use rampmeter_ffi::placer::*;

use crate::caller::{Prng, sized, zeros};

/// The same in both languages.
pub(crate) struct Both<C, R> {
    pub(crate) c: C,
    pub(crate) core: R,
}

/// Domains by their numbers in C.
const DOMAINS: [Domain; 4] = [Domain::Fleet, Domain::Node, Domain::Rack, Domain::Zone];

pub(crate) fn demand(prng: &mut Prng) -> Both<rampmeter_demand, Demand> {
    let mut c: rampmeter_demand = zeros(1)[0];
    c.cpu_milli = 1_000 * prng.below(6) as u32;
    c.memory_mib = 1_024 * prng.below(6) as u32;
    if prng.chance(1) {
        c.cpu_milli = u32::MAX;
    }
    let mut memory_mib = 10_000 * prng.below(3) as u32;
    let count = prng.below(3) as u8;
    let default = count.max(1);
    let devices = match prng.below(20) {
        0 => {
            memory_mib = 0;
            DeviceDemand::None
        }
        1..=6 => {
            (c.device_kind, c.device_count) = (RAMPMETER_DEVICES_WHOLE, count);
            DeviceDemand::Whole { count: default, memory_mib }
        }
        7 => {
            (c.device_kind, c.device_count) = (RAMPMETER_DEVICES_WHOLE, 17);
            DeviceDemand::Whole { count: 17, memory_mib }
        }
        8..=9 => {
            c.device_kind = RAMPMETER_DEVICES_PARTITION;
            c.compute_slices = 1 + prng.below(8) as u8;
            DeviceDemand::Partition { compute_slices: c.compute_slices, memory_mib }
        }
        _ => {
            (c.device_kind, c.device_count) = (RAMPMETER_DEVICES_SHARE, count);
            c.device_milli = 125 * (1 + prng.below(8)) as u16;
            DeviceDemand::Share { count: default, milli: c.device_milli, memory_mib }
        }
    };
    c.device_memory_mib = memory_mib;
    if prng.chance(20) {
        c.models = 1 + prng.below(3);
    }
    c.one_link_group = prng.chance(20).into();
    let core = Demand {
        cpu_milli: c.cpu_milli,
        memory_mib: c.memory_mib,
        devices,
        models: if c.models == 0 { ModelSet::ANY } else { ModelSet(c.models) },
        one_link_group: c.one_link_group == 1,
    };
    Both { c, core }
}

pub(crate) fn task(prng: &mut Prng, account: u64) -> Both<rampmeter_task, Task> {
    let member = demand(prng);
    let mut c = rampmeter_task { member: member.c, account, tag: prng.draw(), ..sized() };
    c.class_index = prng.below(2) as u32 + u32::from(prng.chance(2));
    c.members = prng.below(4) as u32;
    c.members_min = prng.chance(30).into();
    if prng.chance(15) {
        c.labels_required = 1 + prng.below(3);
    }
    if prng.chance(10) {
        c.labels_forbidden = 1;
    }
    c.duration_ns = 1_000_000_000 * prng.below(60);
    (c.artifact, c.warm_up_ns) = (prng.below(3) as u32, 5_000_000_000);
    c.min_runtime_ns = 1_000_000_000 * prng.below(3);
    c.within = prng.below(4) as u8;
    c.within_required = prng.chance(30).into();
    c.slowdown_ratio = if prng.chance(2) { -1.0 } else { 0.25 * prng.below(3) as f64 };
    c.link_slowdown_ratio = 0.5;
    c.priority = prng.below(5) as i32 - 2;
    c.spread_group = prng.below(3) as u32;
    c.spread_domain = prng.below(4) as u8;
    c.spread_members_max = if prng.chance(70) { 0 } else { 2 };
    c.crowding_s = prng.below(3) as f64;
    c.preemptible = prng.chance(60).into();
    let core = Task {
        tag: c.tag,
        account: AccountId::from_raw(account),
        class: c.class_index,
        priority: c.priority,
        member: member.core,
        members: c.members.max(1),
        members_min: c.members_min,
        labels_required: c.labels_required,
        labels_forbidden: c.labels_forbidden,
        topology: Topology {
            within: DOMAINS[usize::from(c.within)],
            required: c.within_required == 1,
            slowdown_ratio: c.slowdown_ratio,
            link_slowdown_ratio: c.link_slowdown_ratio,
        },
        spreading: Spreading {
            group: c.spread_group,
            domain: DOMAINS[usize::from(c.spread_domain)],
            domain_members_max: c.spread_members_max,
            crowding_s: c.crowding_s,
        },
        duration: Nanos(c.duration_ns),
        artifact: c.artifact,
        warm_up: Nanos(c.warm_up_ns),
        preemptible: c.preemptible == 1,
        min_runtime: Nanos(c.min_runtime_ns),
    };
    Both { c, core }
}
