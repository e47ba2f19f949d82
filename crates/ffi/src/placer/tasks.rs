//! Tasks: what they ask for, and what they hold.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand, Hold, ModelSet};
use rampmeter::place::{Domain, Price, Spreading, Task, Topology};
use rampmeter::share::AccountId;

use super::{beyond, none_set};
use crate::error::Fault;
use crate::memory::{array, flag, same_layout, take, versioned};

/// What a member takes of devices: nothing.
pub const RAMPMETER_DEVICES_NONE: u8 = 0;
/// Whole ones.
pub const RAMPMETER_DEVICES_WHOLE: u8 = 1;
/// A part of one or several.
pub const RAMPMETER_DEVICES_SHARE: u8 = 2;
/// A partition (MIG) of one: the smallest of its layout with at least what is asked for.
pub const RAMPMETER_DEVICES_PARTITION: u8 = 3;

/// How far apart is still together: anywhere.
pub const RAMPMETER_DOMAIN_FLEET: u8 = 0;
/// On one node.
pub const RAMPMETER_DOMAIN_NODE: u8 = 1;
/// In one rack.
pub const RAMPMETER_DOMAIN_RACK: u8 = 2;
/// In one zone.
pub const RAMPMETER_DOMAIN_ZONE: u8 = 3;

/// What one member of a task takes of one node. Set all of it to 0, then what it takes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_demand {
    /// Models of device that will do, as bits; 0: any.
    pub models: u64,
    /// Thousandths of a core, up to 2^30.
    pub cpu_milli: u32,
    /// Host memory, up to 2^30.
    pub memory_mib: u32,
    /// Memory of each device, or of the partition, at least; of a share: so much of it. 0: any.
    pub device_memory_mib: u32,
    /// Of a share the thousandths of each device, 1 to 999; else 0.
    pub device_milli: u16,
    /// RAMPMETER_DEVICES_...
    pub device_kind: u8,
    /// Whole devices, or devices that it takes a share of, 1 to 16; 0: one.
    pub device_count: u8,
    /// Of a partition its compute slices, 1 to 7; else 0.
    pub compute_slices: u8,
    /// 1: all its devices must be in one link group.
    pub one_link_group: u8,
    /// Must be 0.
    pub reserved: [u8; 6],
}

/// A task: one member, or several that start together (a gang). Set all of it to 0, then `size`,
/// then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_task {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Place of its class in the policy.
    pub class_index: u32,
    /// The host's own number for it, never read.
    pub tag: u64,
    /// Whose task it is, by its handle in the ledger; 0: nobody's, which a cycle takes in the order
    /// of arrival only.
    pub account: u64,
    /// What each member takes of its node.
    pub member: rampmeter_demand,
    /// Members wanted; 0: one.
    pub members: u32,
    /// Members with which it can start; 0: all of them.
    pub members_min: u32,
    /// Labels that a node must have, as bits.
    pub labels_required: u64,
    /// Labels that a node must not have, as bits.
    pub labels_forbidden: u64,
    /// Run time expected, with everything warm and alone; 0: not known.
    pub duration_ns: u64,
    /// How long loading its artifact takes where it is not there.
    pub warm_up_ns: u64,
    /// How long it is left to run before it may be made to end.
    pub min_runtime_ns: u64,
    /// Share of the run time that is lost where its members are not together, 0 to 1,000.
    pub slowdown_ratio: f64,
    /// Share of the run time that is lost where the devices of a member are in several link groups,
    /// 0 to 1,000.
    pub link_slowdown_ratio: f64,
    /// What each replica of its group already in a domain costs, in seconds of delay.
    pub crowding_s: f64,
    /// Inside its account, higher goes first; up to 2^30 either way.
    pub priority: i32,
    /// What it loads before it starts (a model, an image), by the host's number; 0: nothing.
    pub artifact: u32,
    /// Tasks of one group keep apart, so that one failure does not take them all; 0: of none.
    pub spread_group: u32,
    /// Most members of its group in one domain of that; 0: any number.
    pub spread_members_max: u32,
    /// RAMPMETER_DOMAIN_...: one failure takes one of these.
    pub spread_domain: u8,
    /// RAMPMETER_DOMAIN_...: its members should be together in one of these.
    pub within: u8,
    /// 1: they must be; 0: being apart is priced.
    pub within_required: u8,
    /// 1: it may be made to end for others.
    pub preemptible: u8,
    /// Must be 0.
    pub reserved: u32,
}
versioned!(rampmeter_task, 152);

/// What a member of a task holds of one node.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_hold {
    /// The node.
    pub node: u64,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Host memory.
    pub memory_mib: u32,
    /// Devices of the node, as bits.
    pub devices: u16,
    /// Thousandths of each of them; 1,000: whole.
    pub device_milli: u16,
    /// Memory of each of them.
    pub device_memory_mib: u32,
    /// Memory slices of the one device, as bits, for a partition; else 0.
    pub slices: u8,
    /// Mean nothing.
    pub reserved: [u8; 7],
}

same_layout!(
    rampmeter_hold =
        Hold { node, cpu_milli, memory_mib, devices, device_milli, device_memory_mib, slices }
);

/// What a placement costs, each part in seconds of delay times what the delay of the class is worth.
/// A negative part is a gain.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_price {
    /// GPUs that it makes unusable for the task mix, for as long as they stay so.
    pub stranding_s: f64,
    /// Loading what is not there yet.
    pub warm_up_s: f64,
    /// Run time lost on slow links.
    pub link_s: f64,
    /// Slowing others down, and being slowed down, less what the average tenant would cost.
    pub interference_s: f64,
    /// Standing where replicas of the same group stand already.
    pub crowding_s: f64,
    /// Work that victims lose.
    pub lost_work_s: f64,
}

impl rampmeter_demand {
    pub(super) fn demand(&self) -> Result<Demand, Fault> {
        let memory_mib = self.device_memory_mib;
        let count = self.device_count.max(1);
        let devices = match self.device_kind {
            RAMPMETER_DEVICES_NONE => DeviceDemand::None,
            RAMPMETER_DEVICES_WHOLE => DeviceDemand::Whole { count, memory_mib },
            RAMPMETER_DEVICES_SHARE => {
                DeviceDemand::Share { count, milli: self.device_milli, memory_mib }
            }
            RAMPMETER_DEVICES_PARTITION => {
                DeviceDemand::Partition { compute_slices: self.compute_slices, memory_mib }
            }
            other => return Err(beyond("device_kind", other.into(), 3)),
        };
        self.check_unused(devices)?;
        Ok(Demand {
            cpu_milli: self.cpu_milli,
            memory_mib: self.memory_mib,
            devices,
            models: if self.models == 0 { ModelSet::ANY } else { ModelSet(self.models) },
            one_link_group: flag(self.one_link_group, "one_link_group")?,
        })
    }

    /// Whoever sets a field that its kind of demand does not have means another one.
    fn check_unused(&self, devices: DeviceDemand) -> Result<(), Fault> {
        if self.reserved != [0; 6] {
            return Err(beyond("member.reserved", 1, 0));
        }
        let unused = |is_used: bool, value: u64| if is_used { 0 } else { value };
        let is_share = matches!(devices, DeviceDemand::Share { .. });
        let is_partition = matches!(devices, DeviceDemand::Partition { .. });
        let is_counted = is_share || matches!(devices, DeviceDemand::Whole { .. });
        none_set("device_milli", unused(is_share, self.device_milli.into()))?;
        none_set("compute_slices", unused(is_partition, self.compute_slices.into()))?;
        none_set("device_count", unused(is_counted, self.device_count.into()))?;
        let is_any = devices != DeviceDemand::None;
        none_set("device_memory_mib", unused(is_any, self.device_memory_mib.into()))
    }

    pub(super) fn of(demand: &Demand) -> Self {
        let (kind, count, milli, compute_slices, memory_mib) = match demand.devices {
            DeviceDemand::None => (RAMPMETER_DEVICES_NONE, 0, 0, 0, 0),
            DeviceDemand::Whole { count, memory_mib } => {
                (RAMPMETER_DEVICES_WHOLE, count, 0, 0, memory_mib)
            }
            DeviceDemand::Share { count, milli, memory_mib } => {
                (RAMPMETER_DEVICES_SHARE, count, milli, 0, memory_mib)
            }
            DeviceDemand::Partition { compute_slices, memory_mib } => {
                (RAMPMETER_DEVICES_PARTITION, 0, 0, compute_slices, memory_mib)
            }
        };
        Self {
            models: demand.models.0,
            cpu_milli: demand.cpu_milli,
            memory_mib: demand.memory_mib,
            device_memory_mib: memory_mib,
            device_milli: milli,
            device_kind: kind,
            device_count: count,
            compute_slices,
            one_link_group: demand.one_link_group.into(),
            reserved: [0; 6],
        }
    }
}

fn domain(value: u8, field: &'static str) -> Result<Domain, Fault> {
    match value {
        RAMPMETER_DOMAIN_FLEET => Ok(Domain::Fleet),
        RAMPMETER_DOMAIN_NODE => Ok(Domain::Node),
        RAMPMETER_DOMAIN_RACK => Ok(Domain::Rack),
        RAMPMETER_DOMAIN_ZONE => Ok(Domain::Zone),
        other => Err(beyond(field, other.into(), 3)),
    }
}

const fn domain_of(domain: Domain) -> u8 {
    match domain {
        Domain::Fleet => RAMPMETER_DOMAIN_FLEET,
        Domain::Node => RAMPMETER_DOMAIN_NODE,
        Domain::Rack => RAMPMETER_DOMAIN_RACK,
        Domain::Zone => RAMPMETER_DOMAIN_ZONE,
    }
}

impl rampmeter_task {
    fn task(&self) -> Result<Task, Fault> {
        none_set("reserved", self.reserved.into())?;
        Ok(Task {
            tag: self.tag,
            account: AccountId::from_raw(self.account),
            class: self.class_index,
            priority: self.priority,
            member: self.member.demand()?,
            members: self.members.max(1),
            members_min: self.members_min,
            labels_required: self.labels_required,
            labels_forbidden: self.labels_forbidden,
            topology: Topology {
                within: domain(self.within, "within")?,
                required: flag(self.within_required, "within_required")?,
                slowdown_ratio: self.slowdown_ratio,
                link_slowdown_ratio: self.link_slowdown_ratio,
            },
            spreading: Spreading {
                group: self.spread_group,
                domain: domain(self.spread_domain, "spread_domain")?,
                domain_members_max: self.spread_members_max,
                crowding_s: self.crowding_s,
            },
            duration: Nanos(self.duration_ns),
            artifact: self.artifact,
            warm_up: Nanos(self.warm_up_ns),
            preemptible: flag(self.preemptible, "preemptible")?,
            min_runtime: Nanos(self.min_runtime_ns),
        })
    }

    pub(super) fn of(task: &Task) -> Self {
        let Topology { within, required, slowdown_ratio, link_slowdown_ratio } = task.topology;
        let Spreading { group, domain, domain_members_max, crowding_s } = task.spreading;
        Self {
            size: 0,
            class_index: task.class,
            tag: task.tag,
            account: task.account.to_raw(),
            member: rampmeter_demand::of(&task.member),
            members: task.members,
            members_min: task.members_min,
            labels_required: task.labels_required,
            labels_forbidden: task.labels_forbidden,
            duration_ns: task.duration.get(),
            warm_up_ns: task.warm_up.get(),
            min_runtime_ns: task.min_runtime.get(),
            slowdown_ratio,
            link_slowdown_ratio,
            crowding_s,
            priority: task.priority,
            artifact: task.artifact,
            spread_group: group,
            spread_members_max: domain_members_max,
            spread_domain: domain_of(domain),
            within: domain_of(within),
            within_required: required.into(),
            preemptible: task.preemptible.into(),
            reserved: 0,
        }
    }
}

impl From<&Price> for rampmeter_price {
    fn from(price: &Price) -> Self {
        Self {
            stranding_s: price.stranding_s,
            warm_up_s: price.warm_up_s,
            link_s: price.link_s,
            interference_s: price.interference_s,
            crowding_s: price.crowding_s,
            lost_work_s: price.lost_work_s,
        }
    }
}

/// # Safety
/// As [`take`].
#[inline]
pub(super) unsafe fn taken_task(task: *const rampmeter_task) -> Result<Task, Fault> {
    // SAFETY: passed on.
    unsafe { take(task, "task")?.task() }
}

/// # Safety
/// `member` is null or may be read.
pub(super) unsafe fn taken_demand(member: *const rampmeter_demand) -> Result<Demand, Fault> {
    // SAFETY: passed on; any bits are a value of the C structure.
    let given = unsafe { array(member, 1, "member")? };
    given[0].demand()
}
