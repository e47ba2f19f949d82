//! What a placer answers.

use rampmeter::fleet::{self, Health, Lack, ModelSet, NodeStatus, Sharing};
use rampmeter::place;
use rampmeter::place::compact;
use rampmeter::place::why;

use super::layouts::LayoutName;
use crate::record::record;

record! {
    /// What a member of a task holds of one node: `devices` by their places there, and so many
    /// thousandths and so much memory of each; `slices` are those of a partition, as bits. One is made
    /// for `moved_to`, which reads the node, the devices and the slices.
    "rampmeter.place" Hold {
        node: u64,
        cpu_milli: u32,
        memory_mib: u32,
        devices: Vec<u32>,
        device_milli: u16,
        device_memory_mib: u32,
        slices: u8,
    } impl {
        #[new]
        #[pyo3(signature = (
            *, node, devices = Vec::new(), slices = 0, cpu_milli = 0, memory_mib = 0,
            device_milli = 0, device_memory_mib = 0
        ))]
        const fn new(
            node: u64,
            devices: Vec<u32>,
            slices: u8,
            cpu_milli: u32,
            memory_mib: u32,
            device_milli: u16,
            device_memory_mib: u32,
        ) -> Self {
            Self { node, cpu_milli, memory_mib, devices, device_milli, device_memory_mib, slices }
        }
    }
}
record! {
    /// What a placement costs, each part in seconds of delay times what the delay of the class is
    /// worth. A negative part is a gain.
    #[expect(clippy::struct_field_names, reason = "all are seconds")]
    "rampmeter.place" Price {
        stranding_s: f64,
        warm_up_s: f64,
        link_s: f64,
        interference_s: f64,
        crowding_s: f64,
        lost_work_s: f64,
        total_s: f64,
    }
}
record! {
    /// It runs, from now on.
    "rampmeter.place" Running {
        task: u64,
        members: Vec<Hold>,
        price: Price,
    }
}
record! {
    /// Nothing can take it now: what the node that came closest lacks.
    "rampmeter.place" NoRoom {
        lack: &'static str,
    }
}
record! {
    /// It has what was asked for: the holds that came or went, and what that costs.
    "rampmeter.place" Resized {
        members: Vec<Hold>,
        price: Price,
    }
}
record! {
    /// What is known of a task.
    "rampmeter.place" TaskState {
        tag: u64,
        account: u64,
        stage: &'static str,
        submitted_ns: u64,
        started_ns: u64,
        price: Price,
        holds: Vec<Hold>,
    }
}
record! {
    /// An amount of everything, on nodes that are ready with devices that are.
    "rampmeter.place" Totals {
        nodes: u32,
        devices: u32,
        gpu_milli: u64,
        cpu_milli: u64,
        memory_mib: u64,
    }
}
record! {
    /// What is there, in whatever state, and what of it is free.
    "rampmeter.place" FleetStats {
        nodes: u32,
        total: Totals,
        free: Totals,
    }
}
record! {
    /// What of one model of device is there, on nodes that are ready, and what of it is free.
    "rampmeter.place" DeviceModelStats {
        devices: u32,
        devices_free: u32,
        gpu_milli: u64,
        gpu_free_milli: u64,
    }
}
record! {
    /// A node, and what of it is free; `models` are those of its devices.
    "rampmeter.place" NodeState {
        cpu_milli: u32,
        cpu_free_milli: u32,
        memory_mib: u32,
        memory_free_mib: u32,
        labels: u64,
        rack: u32,
        zone: u32,
        holds: u32,
        devices_len: u8,
        models: Vec<u32>,
        status: &'static str,
    }
}
record! {
    /// A device, and what of it is free; `slices` are memory slices that are taken, as bits. `layout` is
    /// that of a "partitioned" one: its name, or its place in the list of the host.
    "rampmeter.place" DeviceState {
        model: u8,
        memory_mib: u32,
        memory_free_mib: u32,
        free_milli: u16,
        holders: u8,
        slices: u8,
        numa: u8,
        link_group: u8,
        sharing: &'static str,
        layout: Option<LayoutName>,
        health: &'static str,
    }
}
record! {
    /// Which devices of a node a member would take, and for a partition which memory slices of the one
    /// device, as bits; or what the node lacks.
    "rampmeter.place" Choice {
        devices: Vec<u32>,
        slices: u8,
        lack: Option<&'static str>,
    }
}
record! {
    /// A start that is promised, if nothing runs longer than it said.
    "rampmeter.place" Reservation {
        task: u64,
        start_at_ns: u64,
    }
}
record! {
    /// What a cycle did: tasks that run from now on, running tasks that the host must end so that
    /// others can start, promises that are new, and how many were looked at with what success.
    "rampmeter.place" Cycle {
        started: Vec<u64>,
        ending: Vec<u64>,
        reserved: Vec<Reservation>,
        looked_at: u32,
        no_room: u32,
        over_limit: u32,
        held: u32,
        passed_over: u32,
        replays: u32,
        more: bool,
    }
}
record! {
    /// A node that could nearly take a member: what it lacks, how much of that it has and needs.
    "rampmeter.place" Nearest {
        node: u64,
        lack: &'static str,
        has: u64,
        needs: u64,
    }
}
record! {
    /// What is in the way of a task: `nodes` are `fits` and those that lack something, by the first
    /// thing that they lack.
    "rampmeter.place" Why {
        nodes: u32,
        fits: u32,
        lacks: Vec<(&'static str, u32)>,
        members_fit: u32,
        members_needed: u32,
        nearest: Option<Nearest>,
        held: bool,
        starts: bool,
    }
}
record! {
    /// When a task is expected to start (`None`: no time is known), and why.
    "rampmeter.place" Expected {
        at_ns: Option<u64>,
        because: &'static str,
    }
}
record! {
    /// A migration that would pay.
    "rampmeter.place" Move {
        task: u64,
        from_: Hold,
        to: Hold,
        stranded_milli: i64,
        lost_work_s: f64,
        gain_s: f64,
    }
}
record! {
    /// Migrations, to be done in this order, and what all of them bring.
    "rampmeter.place" Compaction {
        moves: Vec<Move>,
        stranded_milli: i64,
        gain_s: f64,
    }
}
record! {
    /// What would be: `members_fit` of each task that was asked about.
    "rampmeter.place" WhatIf {
        not_placed: u32,
        total: Totals,
        free: Totals,
        members_fit: Vec<u32>,
    }
}
record! {
    /// What a placer holds, and how full it is.
    "rampmeter.place" PlacerStats {
        tasks: u32,
        tasks_max: u32,
        pending: u32,
        reservations: u32,
        reservations_max: u32,
        members: u32,
        members_max: u32,
        nodes: u32,
        nodes_max: u32,
        nodes_ready: u32,
        devices: u32,
        devices_free: u32,
        gpu_free_milli: u64,
        cycles: u64,
    }
}

pub(super) fn lack_name(lack: Lack) -> &'static str {
    match lack {
        Lack::Status => "status",
        Lack::Labels => "labels",
        Lack::Model => "model",
        Lack::Cpu => "cpu",
        Lack::Memory => "memory",
        Lack::Devices => "devices",
        Lack::DeviceMemory => "device_memory",
        Lack::LinkGroup => "link_group",
        Lack::Partition => "partition",
        Lack::Spread => "spread",
        Lack::Topology => "topology",
        Lack::Reserved => "reserved",
    }
}

pub(super) const fn sharing_name(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Shared => "shared",
        Sharing::Exclusive => "exclusive",
        Sharing::Partitioned(_) => "partitioned",
    }
}

pub(super) fn layout_of(sharing: Sharing) -> Option<LayoutName> {
    match sharing {
        Sharing::Partitioned(layout) => Some(LayoutName::of(layout)),
        Sharing::Shared | Sharing::Exclusive => None,
    }
}

/// The models of a set.
pub(super) fn models_listed(models: ModelSet) -> Vec<u32> {
    (0..u64::BITS).filter(|model| models.0 >> model & 1 == 1).collect()
}

/// The places of the bits.
pub(super) fn devices_listed(bits: u16) -> Vec<u32> {
    (0..u16::BITS).filter(|place| bits >> place & 1 == 1).collect()
}

impl From<fleet::Hold> for Hold {
    fn from(hold: fleet::Hold) -> Self {
        Self {
            node: hold.node.to_raw(),
            cpu_milli: hold.cpu_milli,
            memory_mib: hold.memory_mib,
            devices: devices_listed(hold.devices),
            device_milli: hold.device_milli,
            device_memory_mib: hold.device_memory_mib,
            slices: hold.slices,
        }
    }
}

impl Hold {
    /// As the core has it; devices beyond those that a node can have are none.
    pub(super) fn core(&self) -> fleet::Hold {
        let bit = |place: &u32| 1_u16.checked_shl(*place).unwrap_or(0);
        fleet::Hold {
            node: fleet::NodeId::from_raw(self.node),
            cpu_milli: self.cpu_milli,
            memory_mib: self.memory_mib,
            devices: self.devices.iter().map(bit).fold(0, |all, bit| all | bit),
            device_milli: self.device_milli,
            device_memory_mib: self.device_memory_mib,
            slices: self.slices,
        }
    }
}

impl From<place::Price> for Price {
    fn from(price: place::Price) -> Self {
        Self {
            stranding_s: price.stranding_s,
            warm_up_s: price.warm_up_s,
            link_s: price.link_s,
            interference_s: price.interference_s,
            crowding_s: price.crowding_s,
            lost_work_s: price.lost_work_s,
            total_s: price.total_s(),
        }
    }
}

impl From<fleet::Totals> for Totals {
    fn from(totals: fleet::Totals) -> Self {
        Self {
            nodes: totals.nodes,
            devices: totals.devices,
            gpu_milli: totals.gpu_milli,
            cpu_milli: totals.cpu_milli,
            memory_mib: totals.memory_mib,
        }
    }
}

impl From<fleet::Node> for NodeState {
    fn from(node: fleet::Node) -> Self {
        Self {
            cpu_milli: node.cpu_milli,
            cpu_free_milli: node.cpu_free_milli,
            memory_mib: node.memory_mib,
            memory_free_mib: node.memory_free_mib,
            labels: node.labels,
            rack: node.rack,
            zone: node.zone,
            holds: node.holds,
            devices_len: node.devices_len,
            models: models_listed(node.models),
            status: match node.status {
                NodeStatus::Ready => "ready",
                NodeStatus::Draining => "draining",
                NodeStatus::Failed => "failed",
            },
        }
    }
}

impl From<&fleet::Device> for DeviceState {
    fn from(device: &fleet::Device) -> Self {
        Self {
            model: device.spec.model.0,
            memory_mib: device.spec.memory_mib,
            memory_free_mib: device.memory_free_mib,
            free_milli: device.free_milli,
            holders: device.holders,
            slices: device.slices,
            numa: device.spec.numa,
            link_group: device.spec.link_group,
            sharing: sharing_name(device.spec.sharing),
            layout: layout_of(device.spec.sharing),
            health: match device.health {
                Health::Ready => "ready",
                Health::Draining => "draining",
                Health::Failed => "failed",
            },
        }
    }
}

impl From<why::Why> for Why {
    fn from(why: why::Why) -> Self {
        let lacks = Lack::ALL.into_iter().zip(why.lacks).filter(|(_, nodes)| *nodes > 0);
        Self {
            nodes: why.nodes,
            fits: why.fits,
            lacks: lacks.map(|(lack, nodes)| (lack_name(lack), nodes)).collect(),
            members_fit: why.members_fit,
            members_needed: why.members_needed,
            nearest: why.nearest.map(|nearest| Nearest {
                node: nearest.node.to_raw(),
                lack: lack_name(nearest.lack),
                has: nearest.has,
                needs: nearest.needs,
            }),
            held: why.held,
            starts: why.starts(),
        }
    }
}

impl From<compact::Move> for Move {
    fn from(step: compact::Move) -> Self {
        Self {
            task: step.task.to_raw(),
            from_: step.from.into(),
            to: step.to.into(),
            stranded_milli: step.stranded_milli,
            lost_work_s: step.lost_work_s,
            gain_s: step.gain_s,
        }
    }
}

impl From<place::PlacerStats> for PlacerStats {
    fn from(stats: place::PlacerStats) -> Self {
        Self {
            tasks: stats.tasks,
            tasks_max: stats.tasks_max,
            pending: stats.pending,
            reservations: stats.reservations,
            reservations_max: stats.reservations_max,
            members: stats.members,
            members_max: stats.members_max,
            nodes: stats.nodes,
            nodes_max: stats.nodes_max,
            nodes_ready: stats.nodes_ready,
            devices: stats.devices,
            devices_free: stats.devices_free,
            gpu_free_milli: stats.gpu_free_milli,
            cycles: stats.cycles,
        }
    }
}
