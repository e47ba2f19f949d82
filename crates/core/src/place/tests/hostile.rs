//! What must be refused, by name, with nothing changed.

use super::*;

#[test]
fn a_task_that_cannot_be_is_refused_by_the_name_of_the_field() {
    let mut world = World { placer: empty(PlacementRules::default()), running: vec![] };
    add(&mut world.placer, 4, 0, 0);
    let fine = task(whole(1), 2);
    let topology = |slowdown_ratio, link_slowdown_ratio| Topology {
        slowdown_ratio,
        link_slowdown_ratio,
        ..Topology::default()
    };
    let crowding = |crowding_s| Spreading { crowding_s, ..Spreading::default() };
    let devices = |devices| Demand { devices, ..Demand::default() };
    let bad = [
        ("class", Task { class: 2, ..fine }),
        ("priority", Task { priority: i32::MIN, ..fine }),
        ("members", Task { members: 0, ..fine }),
        ("members", Task { members: 17, ..fine }),
        ("members_min", Task { members_min: 3, ..fine }),
        ("slowdown_ratio", Task { topology: topology(f64::NAN, 0.0), ..fine }),
        ("slowdown_ratio", Task { topology: topology(-0.1, 0.0), ..fine }),
        ("link_slowdown_ratio", Task { topology: topology(0.0, f64::INFINITY), ..fine }),
        ("crowding_s", Task { spreading: crowding(f64::NAN), ..fine }),
        ("count", Task { member: whole(0), ..fine }),
        ("count", Task { member: whole(17), ..fine }),
        ("milli", Task { member: share(0, 1), ..fine }),
        ("milli", Task { member: share(1_000, 1), ..fine }),
        ("memory_mib", Task { member: share(10, u32::MAX), ..fine }),
        ("cpu_milli", Task { member: Demand { cpu_milli: u32::MAX, ..whole(1) }, ..fine }),
        (
            "compute_slices",
            Task {
                member: devices(DeviceDemand::Partition { compute_slices: 8, memory_mib: 0 }),
                ..fine
            },
        ),
    ];
    let before = world.dump();
    let mut out = [Hold::default(); 16];
    for (field, task) in bad {
        assert_eq!(world.placer.place(Nanos::ZERO, &task, &mut out).unwrap_err().field(), field);
    }
    let short = world.placer.place(Nanos::ZERO, &fine, &mut out[..1]).unwrap_err();
    assert_eq!(short, Error::BufferTooSmall { field: "out", given: 1, needed: 2 });
    assert_eq!(world.dump(), before);
}

#[test]
fn wrong_calls_on_what_runs_change_nothing() {
    let mut world = World { placer: empty(PlacementRules::default()), running: vec![] };
    let node = add(&mut world.placer, 4, 0, 0);
    let (id, ..) = place(&mut world.placer, &Task { members_min: 1, ..task(share(500, 10), 3) });
    let before = world.dump();
    let mut out = [Hold::default(); 16];
    let (gone, now) = (TaskId::from_raw(id.to_raw() ^ 1 << 33), Nanos::ZERO);
    let placer = &mut world.placer;
    let mut resize = |id, members, len: usize| {
        placer.resize(now, id, members, &mut out[..len]).unwrap_err().field()
    };
    assert_eq!(resize(gone, 2, 16), "tasks");
    assert_eq!(resize(id, 0, 16), "members");
    assert_eq!(resize(id, 4, 16), "members");
    assert_eq!(resize(id, 1, 1), "out");
    let other_kinds = [
        ("member.devices", whole(1)),
        ("member.models", Demand { models: crate::fleet::ModelSet(1), ..share(500, 10) }),
        ("member.one_link_group", Demand { one_link_group: true, ..share(500, 10) }),
        ("milli", share(0, 10)),
    ];
    for (field, member) in other_kinds {
        assert_eq!(placer.resize_members(now, id, &member).unwrap_err().field(), field);
    }
    assert_eq!(placer.set_warm(node, 0, true).unwrap_err().field(), "artifact");
    assert_eq!(placer.set_warm(NodeId::from_raw(9), 1, true).unwrap_err().field(), "nodes");
    for bad in [f64::NAN, -1.0, f64::INFINITY, SHADOW_PRICE_MAX * 2.0] {
        assert_eq!(placer.set_shadow_price(bad).unwrap_err().field(), "shadow_price");
    }
    let mut policy = policy(PlacementRules::default());
    policy.classes = policy.classes[..1].into();
    assert_eq!(placer.set_policy(&policy).unwrap_err().field(), "classes");
    assert_eq!(placer.release(now, gone).unwrap_err().field(), "tasks");
    assert_eq!(world.dump(), before);
}

#[test]
fn members_beyond_what_can_be_kept_are_an_answer() {
    let mut world = World { placer: empty(PlacementRules::default()), running: vec![] };
    for _ in 0..8 {
        add(&mut world.placer, 8, 0, 0);
    }
    for _ in 0..4 {
        place(&mut world.placer, &task(share(10, 1), 15));
    }
    let before = world.dump();
    let mut out = [Hold::default(); 16];
    let refused = world.placer.place(Nanos::ZERO, &task(share(10, 1), 5), &mut out);
    assert_eq!(refused, Err(Error::Full { field: "members", capacity: 64 }));
    assert_eq!(world.dump(), before);
    let elastic = Task { members_min: 2, ..task(share(10, 1), 5) };
    let (id, nodes, _) = place(&mut world.placer, &elastic);
    assert_eq!(nodes.len(), 4, "as many as there are places for");
    let full = world.placer.resize(Nanos::ZERO, id, 5, &mut out);
    assert_eq!(full, Err(Error::Full { field: "members", capacity: 64 }));
    world.audit();
}
