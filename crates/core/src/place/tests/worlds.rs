//! Small fleets, and tasks of every kind, at random.

use super::*;
use std::fmt::Write as _;

pub(super) fn policy(rules: PlacementRules) -> Policy {
    // One that learns nothing: what is compared here is not what is learned.
    let rules = PlacementRules { measure: Measure::BestFit, ..rules };
    let mut policy = Policy::default().with_placement(rules);
    policy.classes[1].delay_value = 0.25;
    policy
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) devices: Vec<DeviceSpec>,
    pub(super) cpu_milli: u32,
    pub(super) labels: u64,
    pub(super) rack: u32,
    pub(super) zone: u32,
}

impl Machine {
    pub(super) fn spec(&self) -> NodeSpec<'_> {
        NodeSpec {
            cpu_milli: self.cpu_milli,
            memory_mib: 100,
            devices: &self.devices,
            labels: self.labels,
            rack: self.rack,
            zone: self.zone,
        }
    }
}

fn device() -> impl Strategy<Value = DeviceSpec> {
    (0u8..2, 0u8..8, 0u8..2).prop_map(|(model, exclusive, link_group)| DeviceSpec {
        model: crate::fleet::ModelId(model),
        memory_mib: 80,
        sharing: if exclusive == 0 { Sharing::Exclusive } else { Sharing::Shared },
        numa: 0,
        link_group,
    })
}

pub(super) fn machine() -> impl Strategy<Value = Machine> {
    let devices = prop::collection::vec(device(), 0..5);
    (devices, 2u32..40, 0u64..4, 0u32..3, 0u32..2).prop_map(
        |(devices, cores, labels, rack, zone)| Machine {
            devices,
            cpu_milli: 1_000 * cores,
            labels,
            rack,
            zone,
        },
    )
}

pub(super) fn machines() -> impl Strategy<Value = Vec<Machine>> {
    prop::collection::vec(machine(), 1..7)
}

pub(super) fn devices() -> impl Strategy<Value = DeviceDemand> {
    prop_oneof![
        1 => Just(DeviceDemand::None),
        4 => (1u8..4).prop_map(|count| DeviceDemand::Whole { count, memory_mib: 0 }),
        4 => (1u16..8, 1u32..60).prop_map(|(eighths, memory_mib)| DeviceDemand::Share {
            count: 1,
            milli: eighths * 125,
            memory_mib,
        }),
    ]
}

pub(super) fn demand() -> impl Strategy<Value = Demand> {
    let models = prop_oneof![4 => Just(u64::MAX), 1 => 1u64..4];
    (devices(), 0u32..6, 0u32..30, models, prop::bool::weighted(0.2)).prop_map(
        |(devices, cores, memory_mib, models, one_link_group)| Demand {
            cpu_milli: cores * 1_000,
            memory_mib,
            devices,
            models: crate::fleet::ModelSet(models),
            one_link_group,
        },
    )
}

pub(super) fn domain() -> impl Strategy<Value = Domain> {
    prop::sample::select(vec![Domain::Node, Domain::Rack, Domain::Zone, Domain::Fleet])
}

fn topology() -> impl Strategy<Value = Topology> {
    (domain(), any::<bool>(), 0u32..3, 0u32..3).prop_map(|(within, required, ratio, link)| {
        Topology {
            within,
            required,
            slowdown_ratio: f64::from(ratio) / 8.0,
            link_slowdown_ratio: f64::from(link) / 4.0,
        }
    })
}

fn spreading() -> impl Strategy<Value = Spreading> {
    (0u32..3, domain(), 0u32..4, 0u32..3).prop_map(|(group, domain, max, crowding)| Spreading {
        group,
        domain,
        domain_members_max: max,
        crowding_s: f64::from(crowding) * 8.0,
    })
}

pub(super) fn any_task() -> impl Strategy<Value = Task> {
    let labels = prop_oneof![3 => Just((0, 0)), 1 => (0u64..4, 0u64..2)];
    let members = (1u32..6).prop_flat_map(|members| (Just(members), 0..=members));
    let time = (0u64..5, 0u32..4, 0u64..3);
    (demand(), members, labels, topology(), spreading(), 0u32..2, time).prop_map(
        |(member, members, labels, topology, spreading, class, (duration, artifact, warm_up))| {
            Task {
                class,
                member,
                members: members.0,
                members_min: members.1,
                labels_required: labels.0,
                labels_forbidden: labels.1,
                topology,
                spreading,
                duration: Nanos(duration * 64 * SECOND),
                artifact,
                warm_up: Nanos(warm_up * 16 * SECOND),
                ..Task::default()
            }
        },
    )
}

pub(super) fn any_rules() -> impl Strategy<Value = PlacementRules> {
    let ratio = || prop_oneof![Just(0.0), Just(0.0625), Just(0.25)];
    let weight = || prop_oneof![3 => Just(1.0), 1 => Just(0.0), 1 => Just(0.5)];
    let holding = prop_oneof![Just(0), Just(100)];
    ((ratio(), ratio(), ratio()), (weight(), weight(), weight(), weight()), 0u32..4, holding)
        .prop_map(|(ratios, weights, quarters, holding)| PlacementRules {
            shadow_price: f64::from(quarters) / 4.0,
            holding: Nanos(holding * SECOND),
            stranding_weight: weights.0,
            warm_up_weight: weights.1,
            link_weight: weights.2,
            interference_weight: weights.3,
            interference_sharer_ratio: ratios.0,
            interference_neighbour_ratio: ratios.1,
            interference_gang_ratio: ratios.2,
            ..PlacementRules::default()
        })
}

/// A placer over these machines, where a first lot of tasks has been placed.
pub(super) fn world(machines: &[Machine], rules: PlacementRules, tasks: &[Task]) -> World {
    let mut world = World { placer: empty(rules), running: vec![] };
    for machine in machines {
        world.placer.add_node(&machine.spec()).unwrap();
    }
    for task in tasks {
        world.step();
        if let Ok((id, ..)) = try_place(&mut world.placer, task) {
            world.running.push(id);
        }
    }
    world
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) placer: Placer,
    pub(super) running: Vec<TaskId>,
}

impl World {
    /// A while goes by.
    pub(super) fn step(&mut self) {
        self.placer.now = self.placer.now.saturating_add(Nanos(16 * SECOND));
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (TaskId, &Entry)> {
        self.placer.tasks.iter()
    }

    /// Everything that a decision may depend on, and that a failed call must leave alone.
    pub(super) fn dump(&mut self) -> String {
        let mut dump = self.books();
        let Placer { horizon, warm, shadow_price, rules, .. } = &self.placer;
        write!(dump, "{horizon:?}{warm:?}{shadow_price}{rules:?}").unwrap();
        dump
    }

    /// What is free, and who holds what; what was learned left out.
    pub(super) fn books(&mut self) -> String {
        let mut dump = format!("{:?}", self.placer.fleet);
        for (id, entry) in self.placer.tasks.iter() {
            write!(dump, "{id:?}{entry:?}").unwrap();
            let members = self.placer.members.of_task(entry.first_member);
            members.for_each(|member| write!(dump, "{:?}", member.hold).unwrap());
        }
        for (id, _) in self.placer.fleet.iter() {
            let members = self.placer.members.of_node(id.index());
            members.for_each(|member| write!(dump, "{}{:?}", member.task, member.hold).unwrap());
        }
        write!(dump, "{}", self.placer.members.vacant_len()).unwrap();
        for group in 1..3 {
            for domain in [Domain::Node, Domain::Rack, Domain::Zone, Domain::Fleet] {
                let spreading = Spreading { group, domain, ..Spreading::default() };
                self.placer.look_around(&Task { spreading, ..Task::default() });
                for (id, _) in self.placer.fleet.iter() {
                    write!(dump, "{} ", self.placer.crowds.at(&spreading, id.index())).unwrap();
                }
            }
        }
        dump
    }

    /// Every node and device has exactly as much free as nobody holds, and the lists agree.
    pub(super) fn audit(&self) {
        let mut tenants = Tenants::default();
        self.entries().for_each(|(_, entry)| tenants.join(entry));
        assert_eq!(self.placer.tenants, tenants, "counted one after the other, and anew");
        let fleet = &self.placer.fleet;
        let mut in_use = 0;
        for (id, node) in fleet.iter() {
            let mut free: Node = *node;
            (free.cpu_free_milli, free.memory_free_mib) = (node.cpu_milli, node.memory_mib);
            let mut devices: Vec<_> = fleet
                .devices(id)
                .unwrap()
                .iter()
                .map(|device| (1_000, device.spec.memory_mib))
                .collect();
            let mut holds = 0;
            for (task, entry) in self.placer.tasks.iter() {
                for hold in self.placer.holds(task).unwrap().filter(|hold| hold.node == id) {
                    holds += 1;
                    free.cpu_free_milli -= hold.cpu_milli;
                    free.memory_free_mib -= hold.memory_mib;
                    assert_eq!(hold.devices.count_ones(), entry.task.member.devices.devices());
                    for (at, device) in devices.iter_mut().enumerate() {
                        if hold.devices >> at & 1 == 1 {
                            device.0 -= hold.device_milli;
                            let all = hold.device_milli == 1_000;
                            device.1 -= if all { device.1 } else { hold.device_memory_mib };
                        }
                    }
                }
            }
            free.holds = holds;
            assert_eq!(free, *node);
            let left: Vec<_> = fleet
                .devices(id)
                .unwrap()
                .iter()
                .map(|d| (d.free_milli, d.memory_free_mib))
                .collect();
            assert_eq!(left, devices);
            assert_eq!(self.placer.members.of_node(id.index()).count(), holds as usize);
            in_use += holds;
        }
        let entries = self.placer.tasks.iter().map(|(_, entry)| entry.members_len);
        assert_eq!(entries.sum::<u32>(), in_use);
        assert_eq!(self.placer.members.capacity() - self.placer.members.vacant_len(), in_use);
    }

    /// The number of the domain that a node stands in.
    pub(super) fn domain(&self, domain: Domain, node: NodeId) -> u64 {
        let there = self.placer.fleet.node(node).unwrap();
        match domain {
            Domain::Node => node.to_raw(),
            Domain::Rack => there.rack.into(),
            Domain::Zone => there.zone.into(),
            Domain::Fleet => 0,
        }
    }

    /// Members of a group in the domain of a node.
    pub(super) fn crowd(&self, group: u32, domain: Domain, node: NodeId) -> u32 {
        let here = self.domain(domain, node);
        let tasks = self.entries().filter(|(_, entry)| entry.task.spreading.group == group);
        let holds = tasks.flat_map(|(id, _)| self.placer.holds(id).unwrap());
        holds.filter(|hold| self.domain(domain, hold.node) == here).count() as u32
    }
}
