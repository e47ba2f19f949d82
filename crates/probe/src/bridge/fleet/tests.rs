use super::*;
use crate::device::{NvLink, NvLinks, PciAddress};
use crate::reading::Reading;
use rampmeter::Bytes;
use rampmeter::fleet::{FleetOptions, NodeSpec};

const GIB: u64 = 1 << 30;
const NOW: Nanos = Nanos(10_000_000_000);

fn gpu(number: u8, free: u64) -> Device {
    Device {
        uuid: Text::new(&format!("GPU-{number}")),
        index: number.into(),
        pci: Reading::now(PciAddress { domain: 0, bus: number, device: 0 }),
        memory: Reading::now(Memory {
            total: Bytes(80 * GIB),
            free: Bytes(free),
            reserved: Some(Bytes(GIB)),
            ..Memory::default()
        }),
        ..Device::default()
    }
}

fn machine(devices: Vec<Device>) -> Snapshot {
    let condition = Condition::Ready;
    Snapshot { devices, seq: 1, taken_at: NOW, condition, ..Snapshot::default() }
}

fn node(snapshot: &Snapshot) -> (Fleet, NodeId, NodeBridge) {
    let devices = describe(snapshot, |_| Some(ModelId(0)), |_| LayoutId::named("h100-80gb"));
    let mut fleet = Fleet::new(&FleetOptions::default()).unwrap();
    let spec = NodeSpec { devices: devices.specs(), ..NodeSpec::default() };
    let node = fleet.add_node(&spec).unwrap();
    (fleet, node, NodeBridge::new(node, &devices, Rules::default()))
}

/// What is to be done, and done.
fn step(
    bridge: &mut NodeBridge,
    fleet: &mut Fleet,
    now: Nanos,
    snapshot: &Snapshot,
) -> Vec<(u32, Action, Why)> {
    let changes: Vec<Change> = bridge.changes(now, snapshot, fleet).unwrap().collect();
    for change in &changes {
        change.apply(fleet).unwrap();
    }
    let again = bridge.changes(now, snapshot, fleet).unwrap().count();
    assert_eq!(again, 0, "what is done is not asked for again");
    changes.into_iter().map(|change| (change.device, change.action, change.why)).collect()
}

#[test]
fn a_node_is_described_as_it_is() {
    let to = |peer| {
        let mut links = NvLinks { len: 1, ..NvLinks::default() };
        links.links[0] = NvLink { number: 0, version: None, peer };
        Reading::now(links)
    };
    let joined = crate::device::NvLinkPeer::Gpu(PciAddress { domain: 0, bus: 0, device: 0 });
    let switch = crate::device::NvLinkPeer::Switch;
    let devices = vec![
        gpu(0, 70 * GIB),
        Device { numa: Reading::now(1), ..gpu(1, 70 * GIB) },
        Device { nvlinks: to(joined), ..gpu(2, 70 * GIB) },
        Device { nvlinks: to(switch), ..gpu(3, 70 * GIB) },
        Device { nvlinks: to(switch), ..gpu(4, 70 * GIB) },
        Device { mig: Reading::now(true), ..gpu(5, 70 * GIB) },
        Device { parent: Some(5), ..gpu(6, GIB) },
    ];
    let snapshot = machine(devices);
    let node = describe(&snapshot, |_| Some(ModelId(3)), |_| LayoutId::named("h100-80gb"));
    let groups: Vec<u8> = node.specs().iter().map(|spec| spec.link_group).collect();
    assert_eq!(groups, [0, 1, 0, 2, 2, 3], "instances are parts of their GPU");
    assert_eq!((node.specs()[1].numa, node.specs()[0].memory_mib), (1, 79 * 1_024));
    assert!(matches!(node.specs()[5].sharing, Sharing::Partitioned(_)));
    let unknown = describe(&snapshot, |_| Some(ModelId(3)), |_| None);
    assert_eq!(unknown.specs()[5].memory_mib, 0, "cut in a way that the fleet does not know");
    assert_eq!(describe(&snapshot, |_| None, |_| None).specs(), []);
    let many = machine((0..20).map(|number| gpu(number, GIB)).collect());
    assert_eq!(describe(&many, |_| Some(ModelId(0)), |_| None).specs().len(), DEVICES);
}

/// Every built-in layout, on a GPU that tells nothing of its memory, and on one that keeps some.
#[test]
fn a_cut_gpu_is_one_that_a_fleet_takes() {
    for (name, _) in rampmeter::fleet::partition::KNOWN {
        let denied = Device { memory: Reading::Denied, mig: Reading::now(true), ..gpu(0, 0) };
        let told = Device { mig: Reading::now(true), ..gpu(1, 79 * GIB) };
        let snapshot = machine(vec![denied, told]);
        let devices = describe(&snapshot, |_| Some(ModelId(0)), |_| LayoutId::named(name));
        let mut fleet = Fleet::new(&FleetOptions::default()).unwrap();
        let spec = NodeSpec { devices: devices.specs(), ..NodeSpec::default() };
        assert!(fleet.add_node(&spec).is_ok(), "{name}: {:?}", devices.specs());
    }
}

#[test]
fn lost_devices_fail_and_come_back_and_the_others_are_left() {
    let mut snapshot = machine(vec![gpu(0, 79 * GIB), gpu(1, 79 * GIB)]);
    let (mut fleet, node, mut bridge) = node(&snapshot);
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), []);
    snapshot.devices[1].health = Health::Lost(Loss::Gone);
    let lost = (1, Action::Fail, Why::Lost(Loss::Gone));
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), [lost]);
    let healths: Vec<_> = fleet.devices(node).unwrap().iter().map(|device| device.health).collect();
    assert_eq!(healths, [FleetHealth::Ready, FleetHealth::Failed]);
    snapshot.devices[1].health = Health::Ready;
    let back = (1, Action::Return, Why::Recovered);
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), [back]);
    snapshot.devices.pop();
    let missing = (1, Action::Drain, Why::Missing);
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), [missing]);
}

#[test]
fn nothing_starts_where_nothing_is_known() {
    let mut snapshot = machine(vec![gpu(0, 79 * GIB)]);
    let (mut fleet, _, mut bridge) = node(&snapshot);
    let late = Nanos(NOW.0 + STALE_AFTER.0 + 1);
    let stale = (0, Action::Drain, Why::Stale);
    assert_eq!(step(&mut bridge, &mut fleet, late, &snapshot), [stale]);
    snapshot.taken_at = late;
    let back = (0, Action::Return, Why::Recovered);
    assert_eq!(step(&mut bridge, &mut fleet, late, &snapshot), [back]);
    snapshot.clear(Condition::AccessLost);
    let closed = (0, Action::Drain, Why::Driver(Condition::AccessLost));
    assert_eq!(step(&mut bridge, &mut fleet, late, &snapshot), [closed]);
}

#[test]
fn memory_that_others_took_drains_with_hysteresis() {
    let free = |mib: u64| machine(vec![gpu(0, mib << 20)]);
    let (mut fleet, _, mut bridge) = node(&free(79 * 1_024));
    let all = 79 * 1_024_u64;
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &free(all - 1_024)), []);
    let taken = (0, Action::Drain, Why::MemoryTaken { missing_mib: 1_025 });
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &free(all - 1_025)), [taken]);
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &free(all - 513)), []);
    let back = (0, Action::Return, Why::Recovered);
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &free(all - 512)), [back]);
    // No reading is no reason.
    let mut denied = free(0);
    denied.devices[0].memory = Reading::Denied;
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &denied), []);
}

#[test]
fn what_the_host_took_out_is_the_hosts() {
    let mut snapshot = machine(vec![gpu(0, 79 * GIB), gpu(1, 79 * GIB)]);
    let (mut fleet, node, mut bridge) = node(&snapshot);
    fleet.drain_device(node, 0).unwrap();
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), []);
    snapshot.devices[0].health = Health::Lost(Loss::Xid79);
    let lost = (0, Action::Fail, Why::Lost(Loss::Xid79));
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), [lost]);
    // The host overrules the bridge, and is not overruled.
    snapshot.devices[0].health = Health::Ready;
    fleet.drain_device(node, 0).unwrap();
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), []);
    fleet.return_device(node, 0).unwrap();
    assert_eq!(step(&mut bridge, &mut fleet, NOW, &snapshot), []);
    fleet.remove_node(node).unwrap();
    assert!(matches!(bridge.changes(NOW, &snapshot, &fleet).err(), Some(Error::Stale { .. })));
}
