//! Fleets as words, and copies of fleets.

use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::error::Error;
use crate::fleet::partition::{Layout, Profile};
use crate::snapshot::Words;

/// A fleet of the size of another from these words.
pub(super) fn loaded(words: &[u64], like: &Fleet) -> Result<Fleet, Error> {
    let mut fleet = Fleet::with_room_for(like)?;
    let mut words = words.iter().copied();
    let answer = fleet.load_state(&mut Words::new(&mut || words.next()));
    if answer.is_err() {
        assert_eq!(all_of(&fleet), all_of(&Fleet::with_room_for(like)?), "as new");
    }
    answer.map(|()| fleet)
}

/// A fleet of which something is taken in each way, and a node that is not there any more.
fn used() -> Fleet {
    let specs = [device(Sharing::Exclusive), device(Sharing::Shared), a100()];
    let (mut fleet, node) = one_node(&specs);
    let gone = fleet.add_node(&NodeSpec::default()).unwrap();
    fleet.remove_node(gone).unwrap();
    for demand in [whole(1), share(300, 3), part(2, 0), Demand { cpu_milli: 2, ..share(1, 1) }] {
        put(&mut fleet, node, &demand).unwrap();
    }
    fleet.fail_device(node, 1).unwrap();
    fleet.set_labels(node, 5).unwrap();
    fleet
}

#[test]
fn a_loaded_fleet_issues_the_same_ids() {
    let mut fleet = used();
    let mut other = loaded(&all_of(&fleet).0, &fleet).unwrap();
    assert_eq!(all_of(&other), all_of(&fleet));
    let spec = NodeSpec::default();
    assert_eq!(other.add_node(&spec), fleet.add_node(&spec));
}

#[test]
fn a_fleet_of_another_size_or_with_other_layouts_is_refused() {
    let fleet = used();
    let (words, _) = all_of(&fleet);
    let profile = Profile { compute_slices: 1, memory_slices: 1, memory_mib: 1, starts: 1 };
    let layout = Layout { profiles: &[profile], compute_slices: 1 };
    let larger = FleetOptions { nodes_max: 3, devices_per_node_max: 8 };
    let wider = FleetOptions { nodes_max: 2, devices_per_node_max: 9 };
    for (options, layouts) in [(larger, &[][..]), (wider, &[]), (*fleet.options(), &[layout])] {
        let mut other = Fleet::with_layouts(&options, layouts).unwrap();
        let before = all_of(&other);
        assert!(other.copy_from(&fleet).is_err());
        assert_eq!(all_of(&other), before);
        assert!(loaded(&words, &other).is_err());
    }
    let mut twice = used();
    let mut again = words.iter().copied();
    let answer = twice.load_state(&mut Words::new(&mut || again.next()));
    assert_eq!(answer.map_err(Error::field), Err("nodes"));
    assert_eq!(all_of(&twice), all_of(&fleet));
}

proptest! {
    /// One word changed, or the end cut off: refused, or a fleet that agrees with itself and can be
    /// used.
    #[test]
    fn damaged_words_are_refused_or_harmless(
        at in 0usize..30, bit in 0u32..64, word in prop::option::of(any::<u64>()), cut in 0usize..60,
    ) {
        let fleet = used();
        let (mut words, _) = all_of(&fleet);
        let at = at % words.len();
        words[at] = word.unwrap_or(words[at] ^ 1 << bit);
        words.truncate(cut.max(1));
        if let Ok(mut fleet) = loaded(&words, &fleet) {
            let ids: Vec<_> = fleet.iter().map(|(id, _)| id).collect();
            for node in ids {
                prop_assert!(fleet.node(node).unwrap().is_possible(fleet.devices(node).unwrap()));
                fleet.return_node(node).unwrap();
                for demand in [part(1, 0), share(5, 0), whole(1)] {
                    if let Ok(hold) = put(&mut fleet, node, &demand) {
                        let taken = fleet.give(&hold);
                        prop_assert_eq!(taken, Ok(()));
                    }
                }
            }
        }
    }
}
