//! The earliest start: when do enough members find room at once, if everything ends when it should?
//!
//! # Formula
//! ```text
//! takes(n, t)  members that node n can take from t on, with every promise there kept (`timeline`)
//! earliest     smallest t in { now } + { ends after now } with
//!              sum of takes(n, t) over the nodes of one domain >= members needed
//! ```
//! The domain is the fleet, or one rack, zone or node where the task requires that. `takes` grows
//! only when something ends on the node, so after the first look only the node of each end is
//! looked at again. Where something is promised it may also shrink, as a later start overlaps with
//! more: such nodes are looked at again before an answer is given. The ends are sorted once for all
//! times that are worked out in one call, unless something starts.
//!
//! # Bounds and cost
//! O(nodes * devices + running * log running), and O(members there) for each end. Memory: 20 bytes a
//! node, 16 a task and a reservation.
//!
//! # What it is bad at
//! It goes by what tasks said of their run time, and does not know of slowdowns. Replicas that must
//! keep apart are seen on one node only. Where members fill a node it goes member by member, as the
//! fleet chooses devices for one.

use alloc::boxed::Box;
use alloc::vec;

use super::members::{Member, NONE};
use super::promises::Place;
use super::task::{Domain, Task};
use super::timeline::{Candidate, PLAYED_MAX, Planning, Timeline, expected_end, takes_alone};
use super::{Placer, Stage};
use crate::fleet::{Fleet, Node};
use crate::units::Nanos;

/// Something that ends: a task by its index, or a reservation by its index with this bit.
const IS_PROMISE: u32 = 1 << 31;

/// Room to work in.
#[derive(Debug)]
pub(super) struct Future {
    ends: Box<[(Nanos, u32)]>,
    ends_len: usize,
    /// They are those of this moment.
    are_ends_known: bool,
    /// What is promised is not looked at.
    is_unpromised: bool,
    /// Members that the node with this index takes.
    takes: Box<[u32]>,
    /// Index of the first node of its domain.
    domains: Box<[u32]>,
    /// Members that a domain takes, by the index of its first node.
    totals: Box<[u32]>,
    order: Box<[u64]>,
}

/// When and where a task can start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Start {
    pub(super) at: Nanos,
    domain: u32,
}

impl Future {
    pub(super) fn new(tasks_max: u32, reservations_max: u32, nodes_max: u32) -> Self {
        let words = || vec![0; nodes_max as usize].into_boxed_slice();
        let ends = tasks_max as usize + reservations_max as usize;
        Self {
            ends: vec![(Nanos::ZERO, 0); ends].into_boxed_slice(),
            ends_len: 0,
            are_ends_known: false,
            is_unpromised: false,
            takes: words(),
            domains: words(),
            totals: words(),
            order: vec![0; nodes_max as usize].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed(tasks_max: u32, reservations_max: u32, nodes_max: u32) -> u64 {
        let ends = tasks_max as u64 + reservations_max as u64;
        let node = (3 * size_of::<u32>() + size_of::<u64>()) as u64;
        ends * size_of::<(Nanos, u32)>() as u64 + nodes_max as u64 * node
    }

    /// Sorts the nodes into domains.
    fn divide(&mut self, fleet: &Fleet, task: &Task) {
        self.totals.fill(0);
        let within = if task.topology.required { task.topology.within } else { Domain::Fleet };
        let number = |index: u32, node: &Node| match within {
            Domain::Node => index,
            Domain::Rack => node.rack,
            Domain::Zone => node.zone,
            Domain::Fleet => 0,
        };
        let mut len = 0;
        for (id, node) in fleet.iter() {
            let index = id.index();
            self.order[len] = u64::from(number(index, node)) << 32 | u64::from(index);
            len += 1;
        }
        // In the order of their index they are sorted for a fleet and for nodes already.
        self.order[..len].sort_unstable();
        let mut first = (u64::MAX, 0);
        for entry in &self.order[..len] {
            let (number, index) = (entry >> 32, *entry as u32);
            if number != first.0 {
                first = (number, index);
            }
            self.domains[index as usize] = first.1;
        }
    }

    /// Something has started or ended, or time has passed.
    pub(super) const fn forget_ends(&mut self) {
        self.are_ends_known = false;
    }

    /// A reservation was made that ends then. O(log ends), and to make room O(ends).
    pub(super) fn add_end(&mut self, ends: Nanos, promise: u32) {
        let end = (ends, promise | IS_PROMISE);
        if !self.are_ends_known || ends == Nanos::MAX {
            return;
        }
        let at = self.ends[..self.ends_len].partition_point(|other| *other < end);
        match self.ends.get_mut(at..=self.ends_len) {
            Some(behind) => {
                behind.rotate_right(1);
                behind[0] = end;
                self.ends_len += 1;
            }
            None => self.forget_ends(),
        }
    }

    fn end_at(&self, place: usize) -> Option<(Nanos, u32)> {
        self.ends[..self.ends_len].get(place).copied()
    }

    /// The node takes so many members from now on; returns what its domain takes.
    fn set(&mut self, index: u32, takes: u32) -> u32 {
        let last = core::mem::replace(&mut self.takes[index as usize], takes);
        let total = &mut self.totals[self.domains[index as usize] as usize];
        *total = (*total - last).saturating_add(takes);
        *total
    }
}

impl Placer {
    /// The earliest start of a task that is not running; `None`: there is none, as things are.
    pub(super) fn earliest(&mut self, task: &Task) -> Option<Start> {
        let nodes = self.fleet.options().nodes_max;
        self.future.divide(&self.fleet, task);
        self.future.takes.fill(0);
        let mut best = None;
        for index in 0..nodes {
            self.look_again(task, index, self.now, &mut best);
        }
        if let Some(domain) = best {
            return Some(Start { at: self.now, domain });
        }
        self.sort_ends();
        let mut place = 0;
        while let Some((at, _)) = self.future.end_at(place) {
            let mut best = None;
            while let Some((_, ending)) = self.future.end_at(place).filter(|end| end.0 == at) {
                self.look_where_it_ends(task, ending, at, &mut best);
                place += 1;
            }
            if best.is_some()
                && let Some(domain) = self.confirm(task, at)
            {
                return Some(Start { at, domain });
            }
        }
        None
    }

    /// Whether there would be no start for a task even if nothing were promised.
    pub(super) fn is_hopeless(&mut self, task: &Task) -> bool {
        self.future.is_unpromised = true;
        let found = self.earliest(task);
        self.future.is_unpromised = false;
        found.is_none()
    }

    /// The first domain that has enough, with those nodes looked at again of which less may be left
    /// than when they were last looked at.
    fn confirm(&mut self, task: &Task, at: Nanos) -> Option<u32> {
        for index in 0..self.fleet.options().nodes_max {
            if self.promises.on_node(index).next().is_some() {
                self.look_again(task, index, at, &mut None);
            }
        }
        let needed = task.members_needed();
        let first = self.future.totals.iter().position(|total| *total >= needed);
        first.map(|first| first as u32)
    }

    /// Whether a task could start if nothing ran and nothing were promised.
    pub(super) fn fits_when_idle(&mut self, task: &Task) -> bool {
        self.future.divide(&self.fleet, task);
        self.future.takes.fill(0);
        let mut best = None;
        for index in 0..self.fleet.options().nodes_max {
            self.look_again(task, index, Nanos::MAX, &mut best);
        }
        best.is_some()
    }

    /// The nodes of the start that was found last, and how many members each would have.
    pub(super) fn place_of(&self, start: Start, index: u32, wanted: u32) -> u32 {
        let is_in =
            self.fleet.at(index).is_some() && self.future.domains[index as usize] == start.domain;
        if is_in { self.future.takes[index as usize].min(wanted) } else { 0 }
    }

    fn look_where_it_ends(&mut self, task: &Task, ending: u32, at: Nanos, best: &mut Option<u32>) {
        let mut last = None;
        if ending & IS_PROMISE != 0 {
            let promise = self.promises.at(ending & !IS_PROMISE);
            let mut next = promise.map_or(NONE, |promise| promise.first);
            while let Some(&Place { node, next_of_promise, .. }) = self.promises.place(next) {
                if last != Some(node) {
                    self.look_again(task, node, at, best);
                }
                (last, next) = (Some(node), next_of_promise);
            }
            return;
        }
        let mut next = self.tasks.at(ending).map_or(NONE, |entry| entry.first_member);
        while let Some(&Member { hold, next_of_task, .. }) = self.members.at(next) {
            let index = hold.node.index();
            if last != Some(index) {
                self.look_again(task, index, at, best);
            }
            (last, next) = (Some(index), next_of_task);
        }
    }

    /// Works out what a node takes; where its domain has enough, that is the best, the first one if
    /// there are several.
    fn look_again(&mut self, task: &Task, index: u32, at: Nanos, best: &mut Option<u32>) {
        let takes = self.takes(task, index, at);
        if self.fleet.at(index).is_none() {
            return;
        }
        let total = self.future.set(index, takes);
        if total >= task.members_needed() {
            let domain = self.future.domains[index as usize];
            *best = Some(best.map_or(domain, |best| best.min(domain)));
        }
    }

    /// Members of a task that the node with this index takes from a time on.
    fn takes(&self, task: &Task, index: u32, starts: Nanos) -> u32 {
        let Some(node) = self.fleet.at(index) else { return 0 };
        let missing = task.labels_required & !node.labels;
        let demand = &task.member;
        if missing | task.labels_forbidden & node.labels != 0
            || demand.cpu_milli > node.cpu_milli
            || demand.memory_mib > node.memory_mib
            || demand.devices.devices() > u32::from(node.devices_len)
        {
            return 0;
        }
        let mut members = task.members_needed();
        let spreading = &task.spreading;
        if spreading.group != 0
            && spreading.domain == Domain::Node
            && spreading.domain_members_max != 0
        {
            members = members.min(spreading.domain_members_max);
        }
        let ends = task.ends(starts);
        let mut candidate = Candidate { demand, devices: None, starts, ends, members };
        if self.future.is_unpromised || self.promises.on_node(index).next().is_none() {
            return takes_alone(self, index, &candidate);
        }
        loop {
            let plannings = [Planning::Kept, Planning::Anew];
            let played = plannings
                .into_iter()
                .find_map(|planning| Timeline::new(self, index, planning)?.play(&candidate));
            match played {
                Some(played) => return played.put_len,
                None if candidate.members == 0 => return 0,
                // The promises are not kept with so many: with fewer they may be.
                None => candidate.members = (candidate.members - 1).min(PLAYED_MAX as u32),
            }
        }
    }

    /// All that ends after now at a known time, the earliest first.
    fn sort_ends(&mut self) {
        if self.future.are_ends_known {
            return;
        }
        let Self { future, tasks, promises, now, .. } = self;
        let running = tasks.iter().filter(|(_, entry)| entry.stage != Stage::Pending);
        let running = running.map(|(id, entry)| (expected_end(*now, entry), id.index()));
        let promised = promises.iter();
        let promised = promised.map(|(id, promise)| (promise.ends, id.index() | IS_PROMISE));
        let mut len = 0;
        for (ends, ending) in running.chain(promised) {
            if ends > *now && ends < Nanos::MAX {
                future.ends[len] = (ends, ending);
                len += 1;
            }
        }
        future.ends[..len].sort_unstable();
        future.ends_len = len;
        future.are_ends_known = true;
    }
}
