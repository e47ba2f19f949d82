//! Nodes and devices that drain, fail and return.

use super::super::{Health, NodeStatus};
use super::*;
use crate::error::Error;

#[test]
fn what_is_taken_of_a_lost_node_is_given_back_as_ever() {
    let (mut fleet, node) = one_node(&[device(Sharing::Shared); 2]);
    let empty = all_of(&fleet);
    let hold = put(&mut fleet, node, &whole(1)).unwrap();
    let full = *fleet.total();
    fleet.fail_node(node).unwrap();
    assert_eq!((fleet.total().nodes, fleet.total().gpu_milli, fleet.free().cpu_milli), (0, 0, 0));
    assert_eq!(fleet.is_drained(node), Ok(false));
    assert_eq!(put(&mut fleet, node, &whole(1)), Err(Lack::Status));
    fleet.give(&hold).unwrap();
    assert_eq!(fleet.is_drained(node), Ok(true));
    fleet.return_node(node).unwrap();
    assert_eq!((all_of(&fleet), *fleet.total()), (empty, full));
    assert_eq!(fleet.is_drained(node), Ok(false), "it takes work again");
}

#[test]
fn a_lost_device_takes_nothing_and_the_others_go_on() {
    let (mut fleet, node) = one_node(&[device(Sharing::Exclusive); 2]);
    let hold = put(&mut fleet, node, &whole(1)).unwrap();
    fleet.fail_device(node, 0).unwrap();
    fleet.drain_device(node, 1).unwrap();
    assert_eq!(fleet.lack(node, &whole(1)), Ok(Some(Lack::Model)));
    assert_eq!(fleet.total().devices, 0);
    fleet.return_device(node, 1).unwrap();
    assert_eq!((fleet.total().devices, fleet.free().devices), (1, 1));
    fleet.give(&hold).unwrap();
    assert_eq!(fleet.free().devices, 1, "what is lost is not free");
    assert_eq!(put(&mut fleet, node, &whole(1)).unwrap().devices, 0b10);
    assert_eq!(fleet.devices(node).unwrap()[0].health, Health::Failed);
    let range = Error::Range { field: "device", value: 2, min: 0, max: 1 };
    assert_eq!(fleet.fail_device(node, 2), Err(range));
    let (mut bare, node) = one_node(&[]);
    assert!(bare.fail_device(node, 0).is_err());
}

#[test]
fn labels_and_status_are_what_the_host_says() {
    let (mut fleet, node) = one_node(&[]);
    fleet.set_labels(node, 6).unwrap();
    fleet.drain_node(node).unwrap();
    assert_eq!(fleet.is_drained(node), Ok(true));
    let Node { labels, status, .. } = *fleet.node(node).unwrap();
    assert_eq!((labels, status), (6, NodeStatus::Draining));
}
