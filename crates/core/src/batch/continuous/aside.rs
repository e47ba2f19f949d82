//! Requests that stand aside: what keeps them out must not hold up those behind them.
//!
//! # What it decides
//! The first in line that does not fit into memory closes the line for the step, because letting
//! smaller ones pass would starve it. Every other obstacle is its own: a request whose adapter has
//! no slot, or whose prompt is being computed by another one, leaves the line and stands aside
//! until that has changed.
//!
//! # Bounds and cost
//! A request steps aside at most once each time its adapter loses its slot, or its group the KV
//! of the prompt; O(log requests) to step aside and to come back. At most [`ASIDE_MAX`] step aside
//! in one step; if there are more, the line is closed until the next. An account of which nobody
//! is left in line saves up no turns: when one comes back, it is lifted as if it had just come.

use super::Batcher;
use super::admission::Lines;
use super::request::{Request, Stage};
use crate::batch::queue::Key;
use crate::handle::Slab;

/// Requests that may step aside in one step: two queue operations each, about 100 ns, so that all
/// of them take no longer than forming a large step (`docs/policies/batch.md`).
pub(super) const ASIDE_MAX: u32 = 256;

/// Requests that come back to the line for each adapter slot and step. More than an engine lets in
/// at once: a step of 2,048 tokens has room for so many prompts of 64 tokens.
const BACK_MAX: u32 = 32;

/// Set in the key of a late request that stands aside: it comes back after those in time.
const LATE_BIT: u64 = 1 << 63;

/// What kept a request out when it was last first in line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "document", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Obstacle {
    /// Nothing, or it was not its turn yet.
    #[default]
    None = 0,
    /// The KV cache has no room for its context; nobody passes it.
    Memory = 1,
    /// A step in flight still contains it from before it lost its KV; nobody passes it.
    InFlight = 2,
    /// All slots are busy with other adapters; others pass it.
    Adapter = 3,
    /// Another request computes the prompt whose KV it is to share; others pass it.
    SharedPrompt = 4,
    /// Its context would fit now, but those that run are expected to need the room; nobody passes.
    Forecast = 5,
}

impl Obstacle {
    /// Those behind it may pass.
    pub(super) const fn lets_pass(self) -> bool {
        matches!(self, Self::Adapter | Self::SharedPrompt)
    }
}

impl Batcher {
    /// What keeps the first in line, whose turn has this rank, from getting a seat.
    pub(super) fn obstacle(&mut self, slot: u32, rank: u8) -> Obstacle {
        let request = self.request(slot);
        let adapter = request.adapter;
        if self.lines.groups.is_computed_by_another(request.group) {
            return Obstacle::SharedPrompt;
        }
        // What it is to compute again is known once the steps it was thrown out of are over.
        if request.in_flight != 0 {
            return Obstacle::InFlight;
        }
        if !self.lines.adapters.is_open(adapter) && !self.lines.adapters.claim(adapter, rank) {
            return Obstacle::Adapter;
        }
        self.memory_obstacle(slot)
    }
}

impl Lines {
    /// Takes the first in line out of it until `obstacle` is gone.
    pub(super) fn step_aside(
        &mut self,
        requests: &mut Slab<Request>,
        slot: u32,
        obstacle: Obstacle,
    ) {
        let Key { at_ns, sequence } = self.forest.key(slot);
        self.leave_line(requests, slot);
        let Some(request) = requests.at_mut(slot) else { return };
        request.obstacle = obstacle;
        let late = request.stage == Stage::Late;
        let key = Key { at_ns: if late { at_ns | LATE_BIT } else { at_ns }, sequence };
        let root = if obstacle == Obstacle::Adapter {
            self.adapters.aside(request.adapter)
        } else {
            self.groups.aside(request.group)
        };
        self.forest.insert(root, slot, key);
        self.aside[usize::from(request.class)] += 1;
        self.aside_late += u32::from(late);
    }

    /// Takes a request away from where it stands aside.
    pub(super) fn leave_aside(&mut self, requests: &mut Slab<Request>, slot: u32) {
        let Some(request) = requests.at_mut(slot) else { return };
        let root = if request.obstacle == Obstacle::Adapter {
            self.adapters.aside(request.adapter)
        } else {
            self.groups.leave_aside(request.group)
        };
        self.forest.remove(root, slot);
        request.obstacle = Obstacle::None;
        self.aside[usize::from(request.class)] -= 1;
        self.aside_late -= u32::from(request.stage == Stage::Late);
    }

    /// A request that stands aside comes back to where it was in line.
    pub(super) fn come_back(&mut self, requests: &mut Slab<Request>, slot: u32) {
        let mut key = self.forest.key(slot);
        self.leave_aside(requests, slot);
        let Some(request) = requests.at_mut(slot) else { return };
        if request.stage == Stage::Late {
            key.at_ns = request.arrival_ns;
        }
        self.join_line(request, slot, key);
    }

    /// Slots go to claims, and those that stand aside for adapters that are open come back.
    pub(super) fn settle_adapters(&mut self, requests: &mut Slab<Request>) {
        self.adapters.serve();
        for slot in 0..self.adapters.slots_len() {
            for _ in 0..BACK_MAX {
                let Some(first) = self.adapters.wakeable(slot) else { break };
                self.come_back(requests, first);
            }
        }
    }
}
