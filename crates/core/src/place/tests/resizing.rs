//! More members or fewer, larger ones or smaller.

use super::*;

const NOW: Nanos = Nanos::ZERO;

#[test]
fn who_crowds_the_others_most_is_given_back() {
    let rules = PlacementRules { stranding_weight: 0.0, ..PlacementRules::default() };
    let mut placer = empty(rules);
    add_all(&mut placer, &[(1, 0), (2, 0), (1, 0)]);
    let spreading =
        Spreading { group: 1, domain: Domain::Node, crowding_s: 5.0, ..Spreading::default() };
    let gang = Task { spreading, members_min: 1, ..task(whole(1), 4) };
    let (id, nodes, _) = place(&mut placer, &gang);
    assert_eq!(nodes, [0, 1, 1, 2]);
    let mut out = [Hold::default(); 16];
    let resized = placer.resize(NOW, id, 3, &mut out).unwrap();
    let Resized::Done { members_len: 1, price } = resized else { panic!("{resized:?}") };
    assert_eq!((out[0].node.index(), price.crowding_s), (1, -5.0));
    let Resized::Done { members_len: 1, price } = placer.resize(NOW, id, 4, &mut out).unwrap()
    else {
        panic!()
    };
    assert_eq!((out[0].node.index(), price.crowding_s), (1, 5.0));
}

#[test]
fn a_gang_grows_where_it_must_be_or_not_at_all() {
    let mut placer = empty(PlacementRules::default());
    add_all(&mut placer, &[(1, 0), (2, 1), (2, 1), (8, 2)]);
    let topology = Topology { within: Domain::Rack, required: true, ..Topology::default() };
    place(&mut placer, &task(whole(7), 1));
    let gang = Task { topology, members_min: 2, ..task(whole(1), 5) };
    let (id, nodes, _) = place(&mut placer, &gang);
    assert_eq!(nodes, [1, 1, 2, 2], "most members win");
    let mut out = [Hold::default(); 16];
    let no_room = Resized::NoRoom { lack: Lack::Topology };
    assert_eq!(placer.resize(NOW, id, 5, &mut out), Ok(no_room));
    assert!(matches!(
        placer.resize(NOW, id, 2, &mut out),
        Ok(Resized::Done { members_len: 2, .. })
    ));
    assert!(matches!(
        placer.resize(NOW, id, 4, &mut out),
        Ok(Resized::Done { members_len: 2, .. })
    ));
    assert!(placer.holds(id).unwrap().all(|hold| [1, 2].contains(&hold.node.index())));
}

#[test]
fn shares_change_where_they_are_while_the_device_has_room() {
    let mut placer = empty(PlacementRules::default());
    add(&mut placer, 1, 0, 0);
    let (id, ..) = place(&mut placer, &task(share(200, 10_000), 2));
    place(&mut placer, &task(share(300, 10_000), 1));
    let mut resize = |milli, memory_mib| placer.resize_members(NOW, id, &share(milli, memory_mib));
    let done = Ok(Resized::Done { members_len: 2, price: Price::default() });
    let no_room = |lack| Ok(Resized::NoRoom { lack });
    assert_eq!(resize(350, 35_000), done, "all that is left, to the last part");
    assert_eq!(resize(351, 10), no_room(Lack::Devices));
    assert_eq!(resize(10, 35_001), no_room(Lack::DeviceMemory));
    assert_eq!(resize(10, 10), done);
    assert_eq!(placer.task(id).unwrap().task.member, share(10, 10));
    let device = &placer.fleet().devices(placer.fleet().id_at(0).unwrap()).unwrap()[0];
    assert_eq!((device.free_milli, device.memory_free_mib), (680, 69_980));
    let more = Demand { cpu_milli: 9_000, ..share(10, 10) };
    assert_eq!(placer.resize_members(NOW, id, &more), no_room(Lack::Cpu), "16 cores for two");
}
