//! Wrong calls: each has its status, and changes nothing.

use std::ptr;

use rampmeter::error::codes;
use rampmeter::fleet::partition::KNOWN;
use rampmeter::fleet::{Demand, DeviceDemand, Layout, LayoutId, Profile};
use rampmeter::place::Task;
use rampmeter_ffi::placer::*;

use crate::caller::{Said, sized, zeros};
use crate::twins::{DOCUMENT, Twins, device, node, options};

/// A task that fits wherever there is room.
fn half() -> rampmeter_task {
    let mut task = sized::<rampmeter_task>();
    task.member.device_kind = RAMPMETER_DEVICES_SHARE;
    task.member.device_milli = 500;
    task
}

/// The same for the core.
fn core_half() -> Task {
    let devices = DeviceDemand::Share { count: 1, milli: 500, memory_mib: 0 };
    Task { member: Demand { devices, ..Demand::default() }, ..Task::default() }
}

fn world() -> Twins {
    let mut twins = Twins::new();
    twins.add_node(&node(0, &[device(0, RAMPMETER_SHARING_SHARED); 2]));
    twins
}

fn place(twins: &mut Twins, task: &rampmeter_task) -> i32 {
    let (mut placed, mut hold) = (sized::<rampmeter_placed>(), zeros::<rampmeter_hold>(4));
    // SAFETY: the placer is good, the task is set, and all places may be written.
    unsafe {
        let (out, placed) = (hold.as_mut_ptr(), &raw mut placed);
        rampmeter_placer_place(twins.placer, 5, task, out, 4, placed, twins.said.place())
    }
}

#[test]
fn a_field_that_means_nothing_here_is_named() {
    let mut twins = world();
    let before = twins.saved();
    let mut wrong: Vec<(rampmeter_task, &str)> = Vec::new();
    let mut add = |field, change: &dyn Fn(&mut rampmeter_task)| {
        let mut task = half();
        change(&mut task);
        wrong.push((task, field));
    };
    add("device_kind", &|task| task.member.device_kind = 4);
    add("device_milli", &|task| task.member.device_kind = RAMPMETER_DEVICES_WHOLE);
    add("compute_slices", &|task| task.member.compute_slices = 1);
    add("device_count", &|task| {
        task.member.device_kind = RAMPMETER_DEVICES_PARTITION;
        (task.member.device_milli, task.member.device_count) = (0, 1);
    });
    add("device_memory_mib", &|task| {
        task.member.device_kind = RAMPMETER_DEVICES_NONE;
        (task.member.device_milli, task.member.device_memory_mib) = (0, 1);
    });
    add("one_link_group", &|task| task.member.one_link_group = 2);
    add("member.reserved", &|task| task.member.reserved[5] = 1);
    add("reserved", &|task| task.reserved = 1);
    add("within", &|task| task.within = 4);
    add("spread_domain", &|task| task.spread_domain = 9);
    add("within_required", &|task| task.within_required = 2);
    add("preemptible", &|task| task.preemptible = 255);
    for (task, field) in wrong {
        assert_eq!(place(&mut twins, &task), codes::RANGE, "{field}");
        assert!(twins.said.text().starts_with(&format!("`{field}`")), "{}", twins.said.text());
        assert!(twins.saved() == before, "{field}");
    }
    assert_eq!(place(&mut twins, &half()), codes::OK);
    assert!(twins.saved() != before);
}

#[test]
fn nodes_that_cannot_be_are_refused() {
    let mut twins = world();
    let before = twins.saved();
    let good = [device(0, RAMPMETER_SHARING_SHARED); 17];
    let with = |change: &dyn Fn(&mut rampmeter_device)| {
        let mut devices = good[..1].to_vec();
        change(&mut devices[0]);
        devices
    };
    let wrong = [
        ("devices_len", good.to_vec()),
        ("devices[].sharing", with(&|device| device.sharing = 3)),
        ("devices[].layout", with(&|device| device.layout = 1)),
        ("devices[].reserved", with(&|device| device.reserved[2] = 1)),
        ("model", with(&|device| device.model = 64)),
        ("layout", with(&|device| (device.sharing, device.layout) = (2, 7))),
    ];
    for (field, devices) in wrong {
        let (node, devices) = node(0, &devices);
        let (node, mut added) = (rampmeter_node { devices: devices.as_ptr(), ..node }, 9);
        // SAFETY: the placer is good, so many devices may be read, and both places be written.
        let status = unsafe {
            let added = &raw mut added;
            rampmeter_placer_add_node(twins.placer, &raw const node, added, twins.said.place())
        };
        assert_eq!((status, added), (codes::RANGE, 9), "{field}");
        assert!(twins.said.text().starts_with(&format!("`{field}`")), "{}", twins.said.text());
        assert!(twins.saved() == before, "{field}");
    }
}

#[test]
fn pointers_and_sizes_are_checked_before_anything_is_done() {
    let mut twins = world();
    let (before, placer, ledger) = (twins.saved(), twins.placer, twins.ledger);
    let (task, mut placed, mut hold) =
        (half(), sized::<rampmeter_placed>(), zeros::<rampmeter_hold>(1));
    let (mut cycle, mut plan) = (sized::<rampmeter_cycle>(), sized::<rampmeter_cycle_plan>());
    let (no_size, mut long) = (zeros::<rampmeter_task>(1), (task, 1_u64));
    long.0.size = size_of_val(&long) as u32;
    plan.started_capacity = 1;
    let mut said = Said::nothing();
    // SAFETY: what is not null is good, and places may be written.
    unsafe {
        let (task, out, told) = (&raw const task, hold.as_mut_ptr(), &raw mut placed);
        let said = said.place();
        let place = |placer, task, out, room, told| {
            rampmeter_placer_place(placer, 5, task, out, room, told, said)
        };
        assert_eq!(place(ptr::null_mut(), task, out, 1, told), codes::POINTER);
        assert_eq!(place(placer, ptr::null(), out, 1, told), codes::POINTER);
        assert_eq!(place(placer, task, ptr::null_mut(), 1, told), codes::POINTER);
        assert_eq!(place(placer, task, out, 0, told), codes::BUFFER_TOO_SMALL);
        assert_eq!(place(placer, task, out, 1, ptr::null_mut()), codes::POINTER);
        assert_eq!(place(placer, no_size.as_ptr(), out, 1, told), codes::SIZE);
        assert_eq!(place(placer, (&raw const long).cast(), out, 1, told), codes::TOO_NEW);
        let run =
            |ledger, plan, cycle| rampmeter_placer_cycle(placer, 5, ledger, plan, cycle, said);
        assert_eq!(run(ptr::null_mut(), &raw const plan, &raw mut cycle), codes::POINTER);
        assert_eq!(run(ledger, &raw const plan, &raw mut cycle), codes::POINTER);
        plan.started_capacity = 0;
        assert_eq!(run(ledger, &raw const plan, ptr::null_mut()), codes::POINTER);
        assert_eq!(run(ledger, ptr::null(), &raw mut cycle), codes::POINTER);
        let asked = [task; RAMPMETER_WHAT_IF_TASKS_MAX + 1];
        let (mut what_if, mut fit) = (sized::<rampmeter_what_if>(), [9; 65]);
        let (if_place, fit_place) = (&raw mut what_if, fit.as_mut_ptr());
        let ask = |changes: *const rampmeter_if, changes_len, tasks_len| {
            let tasks = asked.as_ptr();
            rampmeter_placer_what_if(
                placer,
                5,
                changes,
                changes_len,
                tasks,
                tasks_len,
                if_place,
                fit_place,
                said,
            )
        };
        assert_eq!(ask(ptr::null(), 0, 65), codes::RANGE);
        assert_eq!(ask(ptr::null(), 1, 1), codes::POINTER);
        let mut change = zeros::<rampmeter_if>(1);
        assert_eq!(ask(change.as_ptr(), 1, 1), codes::RANGE);
        change[0].kind = RAMPMETER_IF_ADD_NODE;
        assert_eq!(ask(change.as_ptr(), 1, 1), codes::POINTER);
        change[0].kind = RAMPMETER_IF_PLACE;
        assert_eq!(ask(change.as_ptr(), 1, 1), codes::POINTER);
        assert_eq!((what_if.total.nodes, fit), (0, [9; 65]));
        assert_eq!(ask(ptr::null(), 0, 64), codes::OK);
        assert_eq!((what_if.total.nodes, fit[0], fit[63], fit[64]), (1, 1, 1, 9));
    }
    assert_eq!((placed.task, hold[0].node), (0, 0));
    assert!(twins.saved() == before);
}

#[test]
fn arrays_that_are_too_short_are_left_alone() {
    let mut twins = world();
    twins.add_node(&node(0, &[]));
    twins.place(&crate::tasks::Both { c: half(), core: core_half() });
    let before = twins.saved();
    let (placer, node, task) = (twins.placer, twins.nodes[0], twins.tasks[0]);
    let (mut len, mut room, mut holds) = (9, [9; 2], zeros::<rampmeter_hold>(1));
    // SAFETY: the placer is good, and all places may be written.
    unsafe {
        let (out, said) = (room.as_mut_ptr(), twins.said.place());
        let len = &raw mut len;
        let short = codes::BUFFER_TOO_SMALL;
        assert_eq!(rampmeter_placer_drain_node(placer, node, out, 0, len, said), short);
        assert_eq!(rampmeter_placer_fail_device(placer, node, 0, out, 0, len, said), short);
        assert_eq!(rampmeter_placer_nodes(placer, out, 1, len, said), short);
        assert_eq!((*len, room), (9, [9; 2]));
        assert_eq!(twins.said.text(), "`out` holds 1 elements, 2 are needed");
        assert_eq!(rampmeter_placer_nodes(placer, ptr::null_mut(), 0, len, said), codes::OK);
        assert_eq!(*len, 2);
        let holds = holds.as_mut_ptr();
        assert_eq!(rampmeter_placer_holds(placer, task, holds, 0, len, said), codes::OK);
        assert_eq!((*len, (*holds).device_milli), (1, 0));
        assert_eq!(rampmeter_placer_holds(placer, task, holds, 1, len, said), codes::OK);
        assert_eq!((*len, (*holds).device_milli), (1, 500));
    }
    assert!(twins.saved() == before);
}

#[test]
fn layouts_of_the_host_are_those_of_the_core() {
    let (name, mut layout, mut said) = (c"h100-80gb", 99, Said::nothing());
    // SAFETY: the name is closed by a zero, and both places may be written.
    unsafe {
        let place = &raw mut layout;
        assert_eq!(rampmeter_layout_named(name.as_ptr(), place, said.place()), codes::OK);
        assert_eq!(layout, LayoutId::named("h100-80gb").unwrap().0);
        let place = &raw mut layout;
        assert_eq!(rampmeter_layout_named(c"h100".as_ptr(), place, said.place()), codes::NAME);
        assert_eq!(said.text(), "`layout_name` = \"h100\" is the name of nothing");
    }
    assert_eq!(rampmeter_layout_of_host(1), LayoutId::of_host(1).0);

    let profile = |compute_slices, memory_slices, starts| rampmeter_profile {
        memory_mib: 1_000 * u32::from(memory_slices),
        compute_slices,
        memory_slices,
        starts,
        reserved: 0,
    };
    let profiles = [profile(1, 1, 0b1111), profile(2, 2, 0b0101)];
    let layout = rampmeter_layout {
        profiles: profiles.as_ptr(),
        profiles_len: 2,
        compute_slices: 4,
        reserved: [0; 3],
    };
    let core = profiles.map(|profile| Profile {
        compute_slices: profile.compute_slices,
        memory_slices: profile.memory_slices,
        memory_mib: profile.memory_mib,
        starts: profile.starts,
    });
    let core = [Layout { profiles: &core, compute_slices: 4 }; 10];
    let terms = crate::caller::policy(DOCUMENT);
    let (fleet_options, _) = crate::twins::core_options();
    for (len, changed) in [
        (1, layout),
        (9, layout),
        (10, layout),
        (1, rampmeter_layout { compute_slices: 8, ..layout }),
    ] {
        let layouts = vec![changed; len];
        let mut size = options();
        (size.layouts, size.layouts_len) = (layouts.as_ptr(), len as u32);
        let core: Vec<_> = core[..len]
            .iter()
            .map(|l| Layout { compute_slices: changed.compute_slices, ..*l })
            .collect();
        let fleet = rampmeter::fleet::Fleet::with_layouts(&fleet_options, &core);
        let mut made = ptr::null_mut();
        // SAFETY: the policy is good, so many layouts may be read, and both places be written.
        let status = unsafe {
            rampmeter_placer_create(terms.0, &raw const size, &raw mut made, said.place())
        };
        said.agrees(status, fleet.map(drop));
        assert_eq!(made.is_null(), status != codes::OK);
        // SAFETY: it came from C, or is null.
        unsafe { rampmeter_placer_destroy(made) };
    }
    assert_eq!(KNOWN.len() as u8, rampmeter_layout_of_host(0));
    // SAFETY: it came from C.
    unsafe { rampmeter_ffi::policy::rampmeter_policy_destroy(terms.0) };
}
