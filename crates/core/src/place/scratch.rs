//! Room for questions that change nothing, made once.

use alloc::boxed::Box;
use alloc::vec;

use super::domains::Domains;
use super::reclaim::node::{CANDIDATES_MAX, Candidate};
use super::{PlacerOptions, TaskId};
use crate::error::Error;
use crate::fleet::{Fleet, FleetOptions, Hold};

/// A copy of the fleet, and lists for what is tried on it.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) fleet: Fleet,
    /// Of the copy, where it has other nodes than the fleet.
    pub(super) domains: Domains,
    /// Members of one task, where they were put, and as many again while those are counted.
    pub(super) placed: Box<[Hold]>,
    /// Who may be made to end on one node.
    pub(super) candidates: Box<[Candidate]>,
    /// Tasks chosen, by index.
    pub(super) victims: Box<[u32]>,
    /// The best of what was chosen so far.
    pub(super) best: Box<[u32]>,
    /// Whether the task with this index is among those chosen.
    pub(super) is_victim: Box<[bool]>,
    /// Whether the books foresee the end or the start of the task with this index.
    pub(super) marks: Box<[bool]>,
    /// What the cheapest victims on the node with this index lose, in seconds of delay.
    pub(super) costs_s: Box<[f64]>,
    /// Members put on the node with this index.
    pub(super) placed_on: Box<[u32]>,
    /// A place for each account of a policy that is looked at.
    pub(super) names: Box<[u32]>,
    /// Tasks to move, the best first.
    pub(super) movable: Box<[(f64, TaskId)]>,
}

/// Tasks that a compaction looks at, those that strand most: each is priced on every node for each
/// move, so that 64 keep a move over 1,000 nodes within some milliseconds.
pub(super) const MOVABLE_MAX: usize = 64;

impl Scratch {
    pub(super) fn new(fleet: &Fleet, options: &PlacerOptions) -> Result<Self, Error> {
        let nodes_max = fleet.options().nodes_max;
        let (nodes, tasks) = (nodes_max as usize, options.tasks_max as usize);
        let members = options.task_members_max as usize;
        Ok(Self {
            fleet: Fleet::with_room_for(fleet)?,
            domains: Domains::new(nodes_max),
            placed: vec![Hold::default(); 2 * members].into_boxed_slice(),
            candidates: vec![Candidate::default(); CANDIDATES_MAX].into_boxed_slice(),
            victims: vec![0; tasks].into_boxed_slice(),
            best: vec![0; tasks].into_boxed_slice(),
            is_victim: vec![false; tasks].into_boxed_slice(),
            marks: vec![false; tasks].into_boxed_slice(),
            costs_s: vec![0.0; nodes].into_boxed_slice(),
            placed_on: vec![0; nodes].into_boxed_slice(),
            names: vec![0; options.accounts_max as usize].into_boxed_slice(),
            movable: vec![(0.0, TaskId::default()); MOVABLE_MAX].into_boxed_slice(),
        })
    }

    pub(super) const fn bytes_needed(fleet: FleetOptions, options: &PlacerOptions) -> u64 {
        let (nodes, tasks) = (fleet.nodes_max as u64, options.tasks_max as u64);
        Fleet::bytes_needed(&fleet)
            + Domains::bytes_needed(fleet.nodes_max)
            + 2 * options.task_members_max as u64 * size_of::<Hold>() as u64
            + CANDIDATES_MAX as u64 * size_of::<Candidate>() as u64
            + tasks * 2 * (size_of::<u32>() + size_of::<bool>()) as u64
            + nodes * (size_of::<f64>() + size_of::<u32>()) as u64
            + options.accounts_max as u64 * size_of::<u32>() as u64
            + MOVABLE_MAX as u64 * size_of::<(f64, TaskId)>() as u64
    }
}
