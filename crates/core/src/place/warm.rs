//! What is loaded where: models, images, data sets, by the host's numbers.
//!
//! # What it decides
//! What a cold start costs: `warm_up * (delay_value + gpus * pi)` seconds, since the task waits and
//! its devices stand idle meanwhile. A gang begins when its last member is loaded, so that the
//! first member on a cold node pays for all.
//!
//! # Bounds and cost
//! A node is believed to keep the [`ARTIFACTS_PER_NODE`] artifacts that were used there last; 32
//! bytes a node, O(1) a question.
//!
//! # What it is bad at
//! It does not know how large an artifact is, or that one was thrown out: the host says so with
//! [`Placer::set_warm`]. Nor that a neighbour's copy loads faster than the store's.

use alloc::boxed::Box;
use alloc::vec;

use super::Placer;
use crate::error::{Error, check_range};
use crate::fleet::{Fleet, NodeId};
use crate::snapshot::{Words, pair};

/// Artifacts that a node is believed to keep. Eight devices that each serve another model keep
/// eight; what a disk keeps beyond that, the host can say again when it matters.
pub const ARTIFACTS_PER_NODE: usize = 8;

/// The artifacts used last, the latest first; 0: none.
type Latest = [u32; ARTIFACTS_PER_NODE];

/// What every node keeps.
#[derive(Debug)]
pub(super) struct Warm {
    nodes: Box<[Latest]>,
}

impl Warm {
    pub(super) fn new(nodes_max: u32) -> Self {
        Self { nodes: vec![Latest::default(); nodes_max as usize].into_boxed_slice() }
    }

    pub(super) const fn bytes_needed(nodes_max: u32) -> u64 {
        nodes_max as u64 * size_of::<Latest>() as u64
    }

    /// Nothing is needed, or it is there.
    pub(super) fn has(&self, index: u32, artifact: u32) -> bool {
        artifact == 0 || self.nodes[index as usize].contains(&artifact)
    }

    /// It is used there now; what was used longest ago may have to go.
    pub(super) fn used(&mut self, index: u32, artifact: u32) {
        if artifact != 0 {
            let latest = &mut self.nodes[index as usize];
            let at = latest.iter().position(|kept| *kept == artifact);
            let at = at.unwrap_or(ARTIFACTS_PER_NODE - 1);
            latest[..=at].rotate_right(1);
            latest[0] = artifact;
        }
    }

    /// It is there no more.
    fn gone(&mut self, index: u32, artifact: u32) {
        let latest = &mut self.nodes[index as usize];
        if let Some(at) = latest.iter().position(|kept| *kept == artifact) {
            latest[at..].rotate_left(1);
            latest[ARTIFACTS_PER_NODE - 1] = 0;
        }
    }

    /// Tells what the nodes of a fleet keep, 4 words each.
    pub(super) fn save_state(&self, fleet: &Fleet, save: &mut dyn FnMut(u64)) {
        for (node, _) in fleet.iter() {
            let (pairs, _) = self.nodes[node.index() as usize].as_chunks::<2>();
            for [one, other] in pairs {
                save(pair(*one, *other));
            }
        }
    }

    /// Takes what was told. Any numbers can be: what is kept twice is only kept longer.
    pub(super) fn load_state(&mut self, fleet: &Fleet, words: &mut Words<'_>) -> Result<(), Error> {
        for (node, _) in fleet.iter() {
            let (pairs, _) = self.nodes[node.index() as usize].as_chunks_mut::<2>();
            for kept in pairs {
                *kept = words.next_pair()?.into();
            }
        }
        Ok(())
    }

    /// Nothing is there: a node that is new, or was lost.
    pub(super) fn clear(&mut self, index: u32) {
        self.nodes[index as usize] = Latest::default();
    }
}

impl Placer {
    /// The host says whether an artifact is on a node; placing a task there says so by itself.
    /// O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Range`] on `artifact` for 0.
    pub fn set_warm(&mut self, node: NodeId, artifact: u32, warm: bool) -> Result<(), Error> {
        self.fleet.node(node)?;
        check_range("artifact", artifact.into(), 1, u32::MAX.into())?;
        if warm {
            self.warm.used(node.index(), artifact);
        } else {
            self.warm.gone(node.index(), artifact);
        }
        Ok(())
    }

    /// Whether an artifact is believed to be on a node. O(1).
    ///
    /// # Errors
    /// As [`Placer::set_warm`].
    pub fn is_warm(&self, node: NodeId, artifact: u32) -> Result<bool, Error> {
        self.fleet.node(node)?;
        check_range("artifact", artifact.into(), 1, u32::MAX.into())?;
        Ok(self.warm.has(node.index(), artifact))
    }
}
