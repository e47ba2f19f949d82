//! Victims for all members that a task needs, in one domain.
//!
//! # How
//! Members go where there is room. Then, again and again, the node where one more member costs the
//! least lost work gives it up; costs are worked out once for each node, and again for the cheapest
//! one and for those that something happened on. At last each victim is spared, the dearest first,
//! without whom the members find room as well, and the ledger is asked about the rest in a row, with
//! what is missing exactly where they stand.

use super::super::domains::Run;
use super::super::lost_work::Worth;
use super::super::members::Members;
use super::super::room::{Room, needed};
use super::super::{Entry, Stage, Task};
use super::books::Books;
use super::node::Candidate;
use crate::fleet::Hold;
use crate::handle::Slab;
use crate::share::Amounts;

/// What victims are searched with: the parts of a placer, a copy of its fleet, and the books.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) wanted: Task,
    /// Members without which the task does not start.
    pub(super) needed: u32,
    /// What one of them takes.
    pub(super) each: Amounts,
    pub(super) preemptions_max: u32,
    /// Most victims.
    pub(super) victims_max: usize,
    pub(super) worth: Worth<'a>,
    pub(super) room: Room<'a>,
    pub(super) books: Books<'a>,
    pub(super) tasks: &'a Slab<Entry>,
    pub(super) members: &'a Members,
    pub(super) candidates: &'a mut [Candidate],
    pub(super) candidates_len: usize,
    pub(super) victims: &'a mut [u32],
    pub(super) victims_len: usize,
    pub(super) is_victim: &'a mut [bool],
    pub(super) placed: &'a mut [Hold],
    pub(super) placed_len: u32,
    pub(super) costs_s: &'a mut [f64],
    pub(super) placed_on: &'a mut [u32],
}

impl Search<'_> {
    /// Whether the rules of placement let a task be made to end.
    pub(super) fn may_end(&self, task: u32) -> bool {
        self.tasks.at(task).is_some_and(|entry| {
            entry.stage == Stage::Running
                && entry.task.preemptible
                && entry.ends.preemptions < self.preemptions_max
                && self.books.now >= entry.started.saturating_add(entry.task.min_runtime)
                && !self.is_victim[task as usize]
        })
    }

    pub(super) fn cost_s(&self, task: u32) -> f64 {
        let entry = self.tasks.at(task);
        entry.map_or(f64::INFINITY, |entry| self.worth.lost_work_s(self.books.now, entry))
    }

    pub(super) fn allows(&self, task: u32, short: &Amounts) -> bool {
        self.tasks.at(task).is_some_and(|entry| self.books.allows(entry, short))
    }

    pub(super) fn take(&mut self, task: u32) -> bool {
        self.tasks.at(task).is_some_and(|entry| self.books.take(entry))
    }

    pub(super) fn undo(&mut self, task: u32) {
        if let Some(entry) = self.tasks.at(task) {
            self.books.undo(entry);
        }
    }

    /// What others must give up, if the next member is to stand on this node and those after it
    /// find nothing free.
    pub(super) fn short(&self, index: u32) -> Amounts {
        let mut short = self.room.missing(index, &self.wanted.member);
        let behind = u64::from((self.needed - self.placed_len).saturating_sub(1));
        short.0.iter_mut().zip(self.each.0).for_each(|(short, each)| *short += behind * each);
        short
    }

    /// The least lost work, below `below_s`, with which the task finds room in a domain; the
    /// victims are at the front of their list. Room and books are as before.
    pub(super) fn run(&mut self, run: Run, below_s: f64) -> Option<f64> {
        self.victims_len = 0;
        self.fill_domain(run);
        let mut found = self.placed_len >= self.needed || self.take_victims(run, below_s);
        if found && self.victims_len > 0 && self.needed > 1 {
            // Members that stood there before somebody ended may stand in the way of others.
            self.refill(run);
            found = self.placed_len >= self.needed;
            if found {
                self.spare(run);
            }
        }
        let mut cost_s = 0.0;
        for at in 0..self.victims_len {
            cost_s += self.cost_s(self.victims[at]);
        }
        self.undo_books();
        self.count_placed();
        self.clear_room();
        found = found && cost_s < below_s && (self.victims_len == 0 || self.is_allowed_in_a_row());
        for at in 0..self.victims_len {
            self.is_victim[self.victims[at] as usize] = false;
        }
        self.forget_placed();
        found.then_some(cost_s)
    }

    /// Makes tasks end, node by node, until the members find room.
    fn take_victims(&mut self, run: Run, below_s: f64) -> bool {
        let (domains, one) = (self.room.domains, self.needed - self.placed_len == 1);
        let (mut best_s, mut best) = (f64::INFINITY, None);
        for index in domains.nodes(run) {
            // For the last member only what is cheaper than the best so far is of use.
            let below = if one { best_s.min(below_s) } else { f64::INFINITY };
            let set = self.cheapest_on(index, below);
            self.costs_s[index as usize] = set.map_or(f64::INFINITY, |set| set.cost_s);
            if let Some(set) = set
                && set.cost_s < best_s
            {
                (best_s, best) = (set.cost_s, Some(index));
            }
        }
        // Every round places a member, or learns what a node costs now: each node once a member.
        let rounds = u64::from(self.needed) * u64::from(run.len() + 1);
        for _ in 0..rounds {
            let Some(index) = best else { return false };
            let set = self.cheapest_on(index, f64::INFINITY);
            let cost_s = set.map_or(f64::INFINITY, |set| set.cost_s);
            self.costs_s[index as usize] = cost_s;
            let next = self.cheapest_node(run);
            if next == Some(index)
                && let Some(set) = set
            {
                if !self.apply(run, index, set.bits) {
                    return false;
                }
                if self.placed_len >= self.needed {
                    return true;
                }
                best = self.cheapest_node(run);
            } else {
                best = next;
            }
        }
        false
    }

    fn cheapest_node(&self, run: Run) -> Option<u32> {
        let mut best: Option<u32> = None;
        let cost_s = |index: u32| self.costs_s[index as usize];
        for index in self.room.domains.nodes(run) {
            let finite = cost_s(index) < f64::INFINITY;
            if finite && best.is_none_or(|best| cost_s(index) < cost_s(best)) {
                best = Some(index);
            }
        }
        best
    }

    /// Takes the candidates of a node for good, and puts members where that makes room.
    fn apply(&mut self, run: Run, index: u32, bits: u64) -> bool {
        let begin = self.victims_len;
        if begin + bits.count_ones() as usize > self.victims_max {
            return false;
        }
        let Some(row) = self.row_of(index, bits) else { return false };
        for at in row.places() {
            let task = self.candidates[at].task;
            if !self.take(task) {
                return false;
            }
            self.victims[self.victims_len] = task;
            self.victims_len += 1;
            self.is_victim[task as usize] = true;
            self.end_all(task);
        }
        self.fill_node(index);
        // A gang that ends makes room on other nodes as well: they are looked at again, first.
        let (all, tasks, domains) = (self.members, self.tasks, self.room.domains);
        for at in begin..self.victims_len {
            let Some(entry) = tasks.at(self.victims[at]) else { continue };
            for member in all.of_task(entry.first_member) {
                let on = member.hold.node.index();
                if domains.holds(self.room.fleet, run, on) {
                    self.fill_node(on);
                    self.costs_s[on as usize] = 0.0;
                }
            }
        }
        true
    }

    /// Spares whoever is not needed, the dearest first. O(victims * (nodes + members)).
    fn spare(&mut self, run: Run) {
        let mut spared = f64::INFINITY;
        for _ in 0..self.victims_len {
            // The dearest of those cheaper than the last one looked at; equal ones are one round.
            let dearest = (0..self.victims_len)
                .map(|at| self.cost_s(self.victims[at]))
                .filter(|cost_s| *cost_s < spared)
                .fold(f64::NEG_INFINITY, f64::max);
            if dearest == f64::NEG_INFINITY {
                break;
            }
            spared = dearest;
            let mut at = 0;
            while at < self.victims_len {
                if self.cost_s(self.victims[at]) == dearest && self.does_without(run, at) {
                    continue;
                }
                at += 1;
            }
        }
        self.refill(run);
    }

    /// Takes a victim out of the list if the members find room without its end.
    fn does_without(&mut self, run: Run, at: usize) -> bool {
        let task = self.victims[at];
        self.take_members_away();
        self.go_on_all(task);
        self.fill_domain(run);
        if self.placed_len < self.needed {
            self.take_members_away();
            self.end_all(task);
            return false;
        }
        self.undo(task);
        self.is_victim[task as usize] = false;
        self.victims.copy_within(at + 1..self.victims_len, at);
        self.victims_len -= 1;
        true
    }

    fn refill(&mut self, run: Run) {
        self.take_members_away();
        self.fill_domain(run);
    }

    /// Whether the ledger allows all victims, one after the other, for members that stand where
    /// they were put. Only what is not free there counts as short.
    fn is_allowed_in_a_row(&mut self) -> bool {
        let mut short = Amounts::ZERO;
        for at in 0..self.placed_len as usize {
            let index = self.placed[at].node.index();
            // Each node once: where its first member stands.
            let first = self.placed[..at].iter().all(|hold| hold.node.index() != index);
            if first {
                plus(&mut short, &self.missing_on(index));
            }
        }
        let (mut done, mut own, mut all_own) = (0, Amounts::ZERO, true);
        while done < self.victims_len {
            let next = (done..self.victims_len).find(|at| {
                let task = self.victims[*at];
                self.allows(task, &short) && self.take(task)
            });
            let Some(at) = next else { break };
            self.victims[done..=at].rotate_right(1);
            let tasks = self.tasks;
            if let Some(entry) = tasks.at(self.victims[done]) {
                self.end_and_count(entry, &mut short);
                if self.books.is_own(entry) {
                    self.books.add_own(&mut own, entry);
                } else {
                    all_own = false;
                }
            }
            done += 1;
        }
        let allowed = done == self.victims_len && (!all_own || self.books.may_hold(&own));
        for at in (0..done).rev() {
            let task = self.victims[at];
            self.go_on_all(task);
            self.undo(task);
        }
        allowed
    }

    /// A victim ends; what is short changes where members are to stand.
    fn end_and_count(&mut self, entry: &Entry, short: &mut Amounts) {
        let all = self.members;
        for member in all.of_task(entry.first_member) {
            let index = member.hold.node.index();
            let before = self.missing_on(index);
            self.room.end(&member.hold);
            let after = self.missing_on(index);
            minus(short, &before);
            plus(short, &after);
        }
    }

    /// What is missing on a node for the members that are to stand there.
    fn missing_on(&mut self, index: u32) -> Amounts {
        let wanted = self.placed_on[index as usize];
        let mut fit = 0;
        while fit < wanted {
            let Some(hold) = self.room.put(index, &self.wanted) else { break };
            self.placed[fit as usize + self.placed_len as usize] = hold;
            fit += 1;
        }
        let mut missing = Amounts::ZERO;
        if fit < wanted {
            missing = self.room.missing(index, &self.wanted.member);
            let behind = u64::from(wanted - fit - 1);
            for (missing, each) in missing.0.iter_mut().zip(self.each.0) {
                *missing += behind * each;
            }
        }
        for at in (0..fit as usize).rev() {
            let hold = self.placed[at + self.placed_len as usize];
            self.room.take_away(&self.wanted, &hold);
        }
        missing
    }

    fn fill_domain(&mut self, run: Run) {
        let domains = self.room.domains;
        for index in domains.nodes(run) {
            if self.placed_len >= self.needed {
                break;
            }
            self.fill_node(index);
        }
    }

    fn fill_node(&mut self, index: u32) {
        while self.placed_len < self.needed {
            let Some(hold) = self.room.put(index, &self.wanted) else { break };
            self.placed[self.placed_len as usize] = hold;
            self.placed_len += 1;
        }
    }

    fn take_members_away(&mut self) {
        while self.placed_len > 0 {
            self.placed_len -= 1;
            let hold = self.placed[self.placed_len as usize];
            self.room.take_away(&self.wanted, &hold);
        }
    }

    fn count_placed(&mut self) {
        for hold in &self.placed[..self.placed_len as usize] {
            self.placed_on[hold.node.index() as usize] += 1;
        }
    }

    fn forget_placed(&mut self) {
        for hold in &self.placed[..self.placed_len as usize] {
            self.placed_on[hold.node.index() as usize] = 0;
        }
        self.placed_len = 0;
    }

    fn undo_books(&mut self) {
        for at in (0..self.victims_len).rev() {
            self.undo(self.victims[at]);
        }
    }

    /// The room is as before; where members stood is still known.
    fn clear_room(&mut self) {
        for at in (0..self.placed_len as usize).rev() {
            let hold = self.placed[at];
            self.room.take_away(&self.wanted, &hold);
        }
        for at in (0..self.victims_len).rev() {
            self.go_on_all(self.victims[at]);
        }
    }

    fn end_all(&mut self, task: u32) {
        let (all, tasks) = (self.members, self.tasks);
        let first = tasks.at(task).map_or(u32::MAX, |entry| entry.first_member);
        all.of_task(first).for_each(|member| self.room.end(&member.hold));
    }

    fn go_on_all(&mut self, task: u32) {
        let (all, tasks) = (self.members, self.tasks);
        let Some(entry) = tasks.at(task) else { return };
        for member in all.of_task(entry.first_member) {
            self.room.go_on(&member.hold);
        }
    }
}

/// What `needed` members take, each alone.
pub(super) fn each(task: &Task) -> Amounts {
    needed(&task.member, 1)
}

fn plus(sum: &mut Amounts, more: &Amounts) {
    sum.0.iter_mut().zip(more.0).for_each(|(sum, more)| *sum += more);
}

fn minus(sum: &mut Amounts, less: &Amounts) {
    sum.0.iter_mut().zip(less.0).for_each(|(sum, less)| *sum = sum.saturating_sub(less));
}
