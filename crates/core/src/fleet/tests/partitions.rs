//! Partitions: the combinations that NVIDIA publishes, and brute force over the starts.

use proptest::prelude::*;
use std::vec::Vec;

use super::super::partition::{KNOWN, LAYOUTS_MAX, Layout, Profile};
use super::*;
use crate::error::Error;

/// How many of these partitions, one after the other, an empty A100 of 40 GB takes.
fn taken(demands: &[Demand]) -> usize {
    let (mut fleet, node) = one_node(&[a100()]);
    demands.iter().take_while(|demand| put(&mut fleet, node, demand).is_ok()).count()
}

#[test]
fn an_a100_is_cut_as_its_guide_says() {
    let ([one, two, three, four, seven], one_big) =
        ([1, 2, 3, 4, 7].map(|slices| part(slices, 0)), part(1, 9_856));
    assert_eq!(taken(&[one; 9]), 7, "7x 1g.5gb");
    assert_eq!(taken(&[one_big; 9]), 4, "4x 1g.10gb");
    assert_eq!(taken(&[two; 9]), 3, "3x 2g.10gb");
    assert_eq!(taken(&[three; 9]), 2, "2x 3g.20gb");
    assert_eq!(taken(&[four; 9]), 1, "1x 4g.20gb");
    assert_eq!(taken(&[seven; 9]), 1, "1x 7g.40gb");
    assert_eq!(taken(&[four, three]), 2);
    assert_eq!(taken(&[three, four]), 2, "the half at 0 is left for 4g");
    assert_eq!(taken(&[four, two, one]), 3);
    assert_eq!(taken(&[one, two, four]), 3, "small ones first do not stand in the way");
    assert_eq!(taken(&[three, two, two]), 3);
    assert_eq!(taken(&[two, two, three]), 2, "nobody knew that three would come");
    assert_eq!(taken(&[three, two, one, one]), 4);
    assert_eq!(taken(&[three, three, one]), 2, "all memory is taken");
}

#[test]
fn the_place_that_costs_least_is_taken_and_remembered() {
    let (mut fleet, node) = one_node(&[a100(), a100()]);
    let hold = put(&mut fleet, node, &part(1, 0)).unwrap();
    assert_eq!((hold.devices, hold.slices), (1, 1 << 6));
    assert_eq!((hold.device_milli, hold.device_memory_mib), (142, 4_864));
    // Nothing is left whole where one stands already, if that can be helped.
    let hold = put(&mut fleet, node, &part(3, 0)).unwrap();
    assert_eq!((hold.devices, hold.slices), (1, 0b1111));
    assert_eq!((hold.device_milli, hold.device_memory_mib), (428, 19_968));
    let hold = put(&mut fleet, node, &part(5, 0)).unwrap();
    assert_eq!((hold.devices, hold.slices, hold.device_milli), (2, 0xff, 1_000));
    assert_eq!(fleet.lack(node, &part(3, 0)), Ok(Some(Lack::Partition)));
    assert_eq!(fleet.lack(node, &part(1, 80_000)), Ok(Some(Lack::Model)));
    assert_eq!(fleet.lack(node, &whole(1)), Ok(Some(Lack::Model)));
}

#[test]
fn built_in_layouts_have_names() {
    assert_eq!(LayoutId::named("a30-24gb"), Some(LayoutId(0)));
    assert_eq!(LayoutId::named("b300"), None);
    for (at, (name, layout)) in KNOWN.iter().enumerate() {
        let id = LayoutId::named(name).unwrap();
        assert_eq!((usize::from(id.0), id.name()), (at, Some(*name)));
        // The largest profile is all of it, and as many of the smallest fit as it has slices.
        let largest = layout.profiles.last().unwrap();
        assert_eq!(largest.compute_slices, layout.compute_slices);
        let smallest = layout.profiles[0].runs().count();
        assert_eq!(smallest, usize::from(layout.compute_slices));
    }
}

#[test]
fn a_layout_of_the_host_is_checked() {
    let options = FleetOptions { nodes_max: 1, devices_per_node_max: 1 };
    let with = |profiles: &[Profile], compute_slices| {
        Fleet::with_layouts(&options, &[Layout { profiles, compute_slices }]).map(drop)
    };
    let half = Profile { compute_slices: 2, memory_slices: 4, memory_mib: 9, starts: 0b0001_0001 };
    assert_eq!(with(&[half], 4), Ok(()));
    let field = |faulty: Profile| with(&[faulty], 4).unwrap_err().field();
    assert_eq!(field(Profile { compute_slices: 0, ..half }), "compute_slices");
    assert_eq!(field(Profile { compute_slices: 5, ..half }), "compute_slices");
    assert_eq!(field(Profile { memory_slices: 0, ..half }), "memory_slices");
    assert_eq!(field(Profile { memory_slices: 9, ..half }), "memory_slices");
    assert_eq!(field(Profile { memory_mib: 0, ..half }), "memory_mib");
    assert_eq!(field(Profile { memory_mib: 1 << 30, ..half }), "memory_mib", "two are too much");
    assert_eq!(field(Profile { starts: 0, ..half }), "starts");
    assert_eq!(field(Profile { starts: 0b0010_0000, ..half }), "starts", "5 + 4 slices end at 9");
    assert_eq!(with(&[half], 3).unwrap_err().field(), "compute_slices", "two of 2 are 4");
    assert_eq!(with(&[half], 8).unwrap_err().field(), "compute_slices");
    assert_eq!(with(&[half, half], 4).unwrap_err().code(), -7);
    assert_eq!(with(&[], 4).unwrap_err().field(), "profiles");
    let halves = [half];
    let of_host = [Layout { profiles: &halves, compute_slices: 4 }; LAYOUTS_MAX];
    let full = Error::Full { field: "layouts", capacity: LAYOUTS_MAX as u64 };
    let with_layouts = |layouts| Fleet::with_layouts(&options, layouts).map(drop);
    assert_eq!(with_layouts(&of_host), Err(full));
    assert_eq!(with_layouts(&of_host[..LAYOUTS_MAX - KNOWN.len()]), Ok(()));

    let mut fleet = Fleet::with_layouts(&options, &of_host[..1]).unwrap();
    let mut add = |layout, memory_mib| {
        let sharing = Sharing::Partitioned(layout);
        let devices = [DeviceSpec { memory_mib, sharing, ..DeviceSpec::default() }];
        fleet.add_node(&NodeSpec { devices: &devices, ..NodeSpec::default() })
    };
    assert_eq!(add(LayoutId::of_host(1), 18).unwrap_err().field(), "layout");
    assert_eq!(add(LayoutId::of_host(0), 17).unwrap_err().field(), "memory_mib");
    add(LayoutId::of_host(0), 18).unwrap();
}

/// Any layout that a fleet accepts.
fn layouts() -> impl Strategy<Value = (Vec<Profile>, u8)> {
    let profile =
        (1u8..4, 1u8..5, 1u32..50, any::<u8>()).prop_map(|(compute, memory, mib, starts)| {
            let starts = starts & ((1_u16 << (9 - memory)) - 1) as u8;
            Profile { compute_slices: compute, memory_slices: memory, memory_mib: mib, starts }
        });
    let known = (0..KNOWN.len()).prop_map(|at| {
        let (_, layout) = KNOWN[at];
        (layout.profiles.to_vec(), layout.compute_slices)
    });
    let random = prop::collection::vec(profile, 1..6).prop_map(|mut profiles| {
        profiles.retain(|profile| profile.starts != 0);
        profiles.sort_by_key(|profile| (profile.memory_slices, profile.compute_slices));
        profiles.dedup_by_key(|profile| (profile.memory_slices, profile.compute_slices));
        (profiles, 7)
    });
    prop_oneof![known, random]
}

proptest! {
    /// A partition is found just where brute force finds one; none overlaps another; giving them
    /// all back, in any order, leaves all free.
    #[test]
    fn a_place_is_found_where_there_is_one(
        (profiles, compute_slices) in layouts(),
        steps in prop::collection::vec((any::<bool>(), 1u8..8, 0u32..60_000, any::<usize>()), 1..60),
    ) {
        let options = FleetOptions { nodes_max: 1, devices_per_node_max: 1 };
        let layout = Layout { profiles: &profiles, compute_slices };
        let fleet = Fleet::with_layouts(&options, &[layout]);
        prop_assume!(fleet.is_ok());
        let mut fleet = fleet.unwrap();
        let sharing = Sharing::Partitioned(LayoutId::of_host(0));
        let devices = [DeviceSpec { memory_mib: 200_000, sharing, ..DeviceSpec::default() }];
        let spec = NodeSpec { devices: &devices, ..NodeSpec::default() };
        let node = fleet.add_node(&spec).unwrap();
        let empty = all_of(&fleet);
        let mut held: Vec<Hold> = Vec::new();
        for (gives, slices, mib, pick) in steps {
            if gives && !held.is_empty() {
                let hold = held.swap_remove(pick % held.len());
                fleet.give(&hold).unwrap();
                continue;
            }
            // A random layout has little memory in its profiles.
            let mib = if profiles[0].memory_mib < 50 { mib % 50 } else { mib };
            let smallest = profiles
                .iter()
                .find(|p| p.compute_slices >= slices && p.memory_mib >= mib);
            let occupied = held.iter().fold(0u8, |all, hold| all | hold.slices);
            let fits = smallest.map(|p| {
                (0..8u32).any(|start| {
                    let run = ((1u32 << p.memory_slices) - 1) << start;
                    p.starts >> start & 1 == 1 && run & u32::from(occupied) == 0
                })
            });
            let found = put(&mut fleet, node, &part(slices, mib));
            let expected = match fits {
                None => Err(Lack::Model),
                Some(false) => Err(Lack::Partition),
                Some(true) => Ok(()),
            };
            prop_assert_eq!(found.map(drop), expected);
            if let Ok(hold) = found {
                prop_assert_eq!(hold.slices & occupied, 0);
                prop_assert_eq!(hold.slices.count_ones(), u32::from(smallest.unwrap().memory_slices));
                prop_assert_eq!(hold.device_memory_mib, smallest.unwrap().memory_mib);
                held.push(hold);
            }
            let here = fleet.devices(node).unwrap()[0];
            prop_assert_eq!(here.slices, held.iter().fold(0, |all, hold| all | hold.slices));
            let milli: u16 = held.iter().map(|hold| hold.device_milli).sum();
            prop_assert_eq!(here.free_milli, 1_000 - milli);
        }
        for hold in &held {
            fleet.give(hold).unwrap();
        }
        prop_assert_eq!(all_of(&fleet), empty);
    }

    /// Of all places for a partition none leaves more room than the one that is taken.
    #[test]
    fn no_other_place_leaves_more(before in prop::collection::vec(1u8..5, 0..4), slices in 1u8..5) {
        let (mut fleet, node) = one_node(&[a100()]);
        for slices in before {
            let _ = put(&mut fleet, node, &part(slices, 0));
        }
        let occupied = fleet.devices(node).unwrap()[0].slices;
        let (_, layout) = KNOWN[1];
        let places = |occupied: u8| {
            let runs = layout.profiles.iter().flat_map(|profile| profile.runs());
            runs.filter(|run| run & occupied == 0).map(u8::count_ones).sum::<u32>()
        };
        if let Ok(hold) = put(&mut fleet, node, &part(slices, 0)) {
            let profile = layout.profiles.iter().find(|p| p.compute_slices >= slices).unwrap();
            for run in profile.runs().filter(|run| run & occupied == 0) {
                prop_assert!(places(occupied | hold.slices) >= places(occupied | run));
            }
        }
    }
}
