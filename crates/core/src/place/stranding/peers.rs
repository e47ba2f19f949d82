//! What other schedulers go by when they choose a node.
//!
//! # What it decides
//! A cost of one demand on one node, so that the cheapest node is the one that the rule would take.
//! The rules know nothing of a task mix: they look at one node and one demand.
//!
//! # Formula
//! With `c` and `g` the CPU and GPU thousandths of node (free, before) and demand, over the largest
//! node of the trace that the rules were published for, 128 cores and 8 GPUs:
//!
//! - best fit: `(c_free - c + g_free - g) / 2`, the least left over; spread: the most;
//! - dot product: `(c_free*c + g_free*g) / 2`, the least. (Tetris, SIGCOMM'14, takes the largest;
//!   the experiment took the least, and its published figures are of that.)
//! - packing: shared devices in use, the fullest first; then idle devices of a node in use; then an
//!   idle node, the smallest first;
//! - clustering: nodes that run tasks of this kind and of no other; of this kind and others; idle
//!   nodes; the rest; inside each group the fullest first. Kinds are shares of devices, and each
//!   number of whole devices;
//! - random: any, by a scattering of node and arrival; and of its devices any one with room for a
//!   share ([`random_devices`]). All others take the device with the least left.
//!
//! Costs are whole hundredths, as the experiment rounded them: which nodes tie, and so go to the
//! lower index, is part of its figures.
//!
//! # Bounds and cost
//! O(devices of the node), clustering O(tasks on the node) besides. No state.
//!
//! # What it is bad at
//! Everything that depends on who comes next; that is what the other measures are for. Packing and
//! clustering say nothing of tasks without devices: those go to the lowest index.
//!
//! # Source
//! Weng et al., "Beware of Fragmentation" (ATC'23), section 6.1, and the rounding of its simulator.

use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, Hold, Sharing};
use crate::policy::Measure;

/// CPU of the largest node of the trace, in thousandths of a core.
const CPU_MAX_MILLI: u64 = 128_000;

/// Devices of the largest node of the trace, in thousandths of one.
const GPU_MAX_MILLI: u64 = 8_000;

/// CPU thousandths that weigh as much as a thousandth of a device.
const CPU_PER_GPU: u64 = CPU_MAX_MILLI / GPU_MAX_MILLI;

/// The best score of the experiment, in hundredths.
const SCORE_MAX: i64 = 100;

/// A quarter of the range of scores.
const QUARTER: i64 = SCORE_MAX / 4;

/// What a rule sees of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    pub(super) fleet: &'a Fleet,
    /// Index of the node.
    pub(super) index: u32,
    /// Kinds of the tasks on it ([`kind`]), as bits; looked at for clustering only.
    pub(super) kinds: u32,
    /// Devices that the demand would take.
    pub(super) choice: DeviceChoice,
    /// Tasks that have arrived; looked at for random only.
    pub(super) arrivals: u64,
}

/// The cost of a demand on a node by one of the rules, in their hundredths; `None` for a measure
/// that is no such rule.
pub(super) fn cost(measure: Measure, sight: &Sight<'_>, demand: &Demand) -> Option<i64> {
    Some(match measure {
        Measure::Value | Measure::Fgd => return None,
        Measure::BestFit => best_fit(sight, demand),
        Measure::DotProduct => dot_product(sight, demand),
        Measure::Packing => SCORE_MAX - packing(sight, demand),
        Measure::Clustering => SCORE_MAX - clustering(sight, demand),
        Measure::Random => scattered(sight.arrivals, sight.index),
        Measure::Spread => -best_fit(sight, demand),
    })
}

/// The kind of what a hold has of devices, as a bit: a share, or a number of whole ones; none for
/// CPU and memory only.
pub(super) fn kind(hold: &Hold) -> u32 {
    match hold.devices.count_ones() {
        0 => 0,
        _ if hold.device_milli < WHOLE_MILLI || hold.slices != 0 => 1,
        whole => 1 << whole,
    }
}

/// Any device with room for a share of one; otherwise those that are given.
pub(super) fn random_devices(
    fleet: &Fleet,
    index: u32,
    demand: &Demand,
    given: DeviceChoice,
    arrivals: u64,
) -> DeviceChoice {
    let DeviceDemand::Share { count: 1, milli, memory_mib } = demand.devices else { return given };
    let has_room = |device: &Device| {
        device.health == Health::Ready
            && device.spec.sharing == Sharing::Shared
            && demand.models.contains(device.spec.model)
            && device.free_milli >= milli
            && device.memory_free_mib >= memory_mib
    };
    let with_room = fleet.devices_at(index).iter().enumerate().filter(|(_, it)| has_room(it));
    // Arrivals counted down have a scattering apart from that of the nodes.
    let any = with_room.min_by_key(|(at, _)| scattered(!arrivals, index << 4 | *at as u32));
    any.map_or(given, |(at, _)| DeviceChoice { devices: 1 << at, ..given })
}

fn kind_of(demand: &Demand) -> u32 {
    match demand.devices {
        DeviceDemand::None => 0,
        DeviceDemand::Whole { count, .. } => 1 << count,
        DeviceDemand::Share { .. } | DeviceDemand::Partition { .. } => 1,
    }
}

/// Free CPU and device thousandths of the node.
fn free_of(sight: &Sight<'_>) -> (u64, u64) {
    let cpu = sight.fleet.at(sight.index).map_or(0, |node| node.cpu_free_milli.into());
    (cpu, free_milli(sight.fleet.devices_at(sight.index)))
}

fn free_milli(devices: &[Device]) -> u64 {
    devices.iter().map(|device| u64::from(device.free_milli)).sum()
}

fn best_fit(sight: &Sight<'_>, demand: &Demand) -> i64 {
    let (cpu, gpu) = free_of(sight);
    let cpu = cpu.saturating_sub(demand.cpu_milli.into());
    let gpu = gpu.saturating_sub(demand.gpu_milli().into());
    // Half of each share, in hundredths, over the common denominator.
    (cpu + CPU_PER_GPU * gpu).div_ceil(2 * CPU_MAX_MILLI / 100).cast_signed()
}

fn dot_product(sight: &Sight<'_>, demand: &Demand) -> i64 {
    let (cpu, gpu) = free_of(sight);
    // Amounts are below 2^30 and 2^14: the sum is below 2^61.
    let product = cpu * u64::from(demand.cpu_milli)
        + CPU_PER_GPU.pow(2) * gpu * u64::from(demand.gpu_milli());
    product.div_ceil(2 * CPU_MAX_MILLI.pow(2) / 100).cast_signed()
}

/// The score of the experiment: above 50 without, from 33 with idle devices of a node in use.
fn packing(sight: &Sight<'_>, demand: &Demand) -> i64 {
    let devices = sight.fleet.devices_at(sight.index);
    if demand.devices.devices() == 0 {
        return 0;
    }
    let one_if_idle = |device: &Device| i64::from(device.free_milli == WHOLE_MILLI);
    let idle: i64 = devices.iter().map(one_if_idle).sum();
    if devices.iter().all(|device| device.free_milli == WHOLE_MILLI) {
        return (SCORE_MAX / 3 - idle).max(idle);
    }
    let taken = |at: &usize| sight.choice.devices >> at & 1 == 1;
    let free = (0..devices.len()).filter(taken).map(|at| i64::from(devices[at].free_milli));
    let (mut woken, mut free_hundredths) = (0, 0);
    for milli in free {
        woken += i64::from(milli == i64::from(WHOLE_MILLI));
        free_hundredths += milli / 10;
    }
    if woken > 0 {
        return (SCORE_MAX / 2 - woken).max(SCORE_MAX / 3);
    }
    (SCORE_MAX - free_hundredths / 10).max(SCORE_MAX / 2)
}

/// The score of the experiment: a quarter of the range for each group of nodes.
fn clustering(sight: &Sight<'_>, demand: &Demand) -> i64 {
    let own = kind_of(demand);
    if own == 0 {
        return 0;
    }
    let group = match sight.kinds {
        kinds if kinds == own => 3,
        kinds if kinds & own != 0 => 2,
        0 => 1,
        _ => 0,
    };
    let free = free_milli(sight.fleet.devices_at(sight.index)).cast_signed();
    let most = GPU_MAX_MILLI.cast_signed();
    QUARTER * (most - free) / most + QUARTER * group
}

/// A number below 2^20 that looks drawn anew for each node and arrival (the finalizer of
/// `SplitMix64`, Steele et al., OOPSLA'14).
fn scattered(arrival: u64, node: u32) -> i64 {
    let mut bits = arrival.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(node);
    for multiplier in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        bits = (bits ^ bits >> 30).wrapping_mul(multiplier);
    }
    (bits >> 44).cast_signed()
}

#[cfg(test)]
mod tests;
