//! When is what worked out anew?
//!
//! # How
//! Tables follow the mix. A round begins 1/16 of `min(seen, coming)` arrivals after the last one
//! began, 16 at least, or when that is done; it writes down the mix, works out a second set of
//! tables piece by piece ([`PIECE`] with each arrival), counts places for gangs on [`NODES_STEP`]
//! nodes with each arrival, and then puts the second set in the place of the first. Model prices
//! have rounds of their own (`models`).
//!
//! # Bounds and cost
//! The work of one arrival does not depend on the number of nodes, nor on how long the last round
//! is over. A place is counted when its node is reached and with every change of it from then on.

use alloc::boxed::Box;

use super::Stranding;
use super::fgd;
use super::gangs::{GANGS_MAX, Gangs};
use super::mix::Frozen;
use super::shape::idle_on;
use super::value;
use crate::fleet::Fleet;
use crate::policy::Measure;

/// Entries times shapes worked out with one arrival.
const PIECE: u32 = 64;

/// The same for the first tables of all: until then all nodes are alike.
const PIECE_FIRST: u32 = 1 << 10;

/// Nodes looked at with one arrival.
const NODES_STEP: u32 = 16;

/// Rounds in the time in which a mix, or what is idle, changes to its like.
const ROUNDS: f64 = 16.0;

/// Arrivals between the beginnings of two rounds, at least.
const ARRIVALS_MIN: u64 = 16;

/// How far a round has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It begins with this arrival.
    Rest { due: u64 },
    /// So many entries of the tables are there.
    Tables(u32),
    /// Places were counted on the nodes below this index.
    Places(u32),
}

/// What is worked out, and how far it has come.
#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) stage: Stage,
    pub(super) mix: Frozen,
    /// Arrival with which the round began.
    began: u64,
    /// Rounds that are complete.
    pub(super) rounds: u64,
    pub(super) have: [u64; GANGS_MAX],
}

impl Refresh {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Rest { due: 0 },
            mix: Frozen::new(),
            began: 0,
            rounds: 0,
            have: [0; GANGS_MAX],
        }
    }
}

/// Two sets of tables: one that prices go by, and one that is worked out.
#[derive(Debug)]
pub(super) enum Tables {
    /// None, for rules that know no mix.
    None,
    Value(Box<[value::Tables; 2]>),
    Fgd(Box<[fgd::Tables; 2]>),
}

impl Tables {
    pub(super) fn new(measure: Measure, devices_per_node_max: u32) -> Self {
        let value = || value::Tables::new(devices_per_node_max);
        match measure {
            Measure::Value => Self::Value(Box::new([value(), value()])),
            Measure::Fgd => Self::Fgd(Box::new([fgd::Tables::new(), fgd::Tables::new()])),
            _ => Self::None,
        }
    }

    pub(super) const fn bytes_needed(measure: Measure, devices_per_node_max: u32) -> u64 {
        match measure {
            Measure::Value => {
                2 * (value::Tables::bytes_needed(devices_per_node_max)
                    + size_of::<value::Tables>() as u64)
            }
            Measure::Fgd => 2 * (fgd::Tables::bytes_needed() + size_of::<fgd::Tables>() as u64),
            _ => 0,
        }
    }
}

impl Stranding {
    /// Goes on with the round, or begins one.
    pub(super) fn refresh(&mut self, fleet: &Fleet) {
        if let Stage::Rest { due } = self.refresh.stage {
            if self.arrivals < due {
                return;
            }
            self.begin_round();
        }
        let piece = if self.refresh.rounds == 0 { PIECE_FIRST } else { PIECE };
        self.work(fleet, piece, NODES_STEP);
    }

    /// Begins a round and completes it. O(nodes).
    pub(super) fn refresh_all(&mut self, fleet: &Fleet) {
        self.begin_round();
        self.work(fleet, u32::MAX, u32::MAX);
    }

    fn begin_round(&mut self) {
        let Self { refresh, mix, slots, tables, ceiling, .. } = self;
        mix.freeze(slots, &mut refresh.mix);
        refresh.began = self.arrivals;
        refresh.stage = Stage::Tables(0);
        match tables {
            Tables::Value(both) => {
                let next = &mut both[1];
                next.begin(&refresh.mix, ceiling.cpu_milli());
                next.gangs = Gangs::of(&refresh.mix, ceiling);
            }
            Tables::Fgd(both) => both[1].begin(&refresh.mix),
            Tables::None => {}
        }
    }

    fn work(&mut self, fleet: &Fleet, piece: u32, nodes: u32) {
        if let Stage::Tables(at) = self.refresh.stage {
            let at = self.work_tables(at, piece);
            self.refresh.stage = at.map_or(Stage::Places(0), Stage::Tables);
        }
        if let Stage::Places(at) = self.refresh.stage {
            if at == 0 {
                self.refresh.have = [0; GANGS_MAX];
            }
            let all = fleet.options().nodes_max;
            let end = at.saturating_add(nodes).min(all);
            let counts = matches!(self.tables, Tables::Value(_));
            self.refresh.stage = Stage::Places(if counts { end } else { all });
            for index in at..if counts { end } else { at } {
                let range = self.places_of(index);
                self.places[range].fill(0);
                self.count_places(fleet, index);
            }
            if end == all || !counts {
                self.end_round(fleet);
            }
        }
    }

    /// The next entry after this piece; `None` if the tables are complete.
    fn work_tables(&mut self, mut at: u32, piece: u32) -> Option<u32> {
        let Self { refresh, tables, .. } = self;
        let shapes = (refresh.mix.shapes().len() as u32).max(1);
        let steps = match tables {
            Tables::Value(both) => both[1].steps(),
            Tables::Fgd(both) => both[1].steps(),
            Tables::None => 0,
        };
        let end = at.saturating_add((piece / shapes).max(1)).min(steps);
        while at < end {
            match tables {
                Tables::Value(both) => both[1].step(at, &refresh.mix),
                Tables::Fgd(both) => both[1].step(at, &refresh.mix),
                Tables::None => {}
            }
            at += 1;
        }
        (at < steps).then_some(at)
    }

    /// Counts the places on a node anew, if the round has reached it.
    pub(super) fn count_places(&mut self, fleet: &Fleet, index: u32) {
        let Stage::Places(end) = self.refresh.stage else { return };
        if index >= end || !matches!(self.tables, Tables::Value(_)) {
            return;
        }
        let range = self.places_of(index);
        let Self { refresh, tables: Tables::Value(both), places, .. } = self else {
            return;
        };
        let (whole, cpu_milli) = idle_on(fleet, index);
        for (at, gang) in both[1].gangs.list().iter().enumerate() {
            let Some(known) = places[range.clone()].get_mut(at) else { return };
            let now = gang.places(whole, cpu_milli) as u8;
            refresh.have[at] += u64::from(now);
            refresh.have[at] -= u64::from(*known);
            *known = now;
        }
    }

    fn end_round(&mut self, fleet: &Fleet) {
        let Self { refresh, tables, mix, .. } = self;
        let idle_milli = fleet.free().gpu_milli;
        let mut coming = f64::INFINITY;
        match tables {
            Tables::Value(both) => {
                both[1].gangs.set_prices(&refresh.have, idle_milli);
                coming = both[1].gangs.coming(idle_milli);
                both.swap(0, 1);
            }
            Tables::Fgd(both) => both.swap(0, 1),
            Tables::None => {}
        }
        refresh.rounds += 1;
        let spacing = (refresh.mix.seen.min(coming) / ROUNDS) as u64;
        let nothing_new = mix.is_fixed() && matches!(tables, Tables::Fgd(_));
        let due = refresh.began.saturating_add(spacing.max(ARRIVALS_MIN));
        refresh.stage = Stage::Rest { due: if nothing_new { u64::MAX } else { due } };
    }
}
