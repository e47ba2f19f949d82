//! Who ends for whom?
//!
//! # What it decides
//! Which running tasks end so that a pending one can start, where its account may take from others
//! (`share::reclaim`) or where tasks of its own account have a lower priority.
//!
//! # Formula
//! ```text
//! victim    running, preemptible, not ended for others preemptions_max times already,
//!           now - started >= min_runtime (the task's own), and one of
//!           - of another account: the ledger says Yes, with those before it taken away
//!           - of the same account: priority strictly lower, least run time of the account over, and
//!             the account then holds no more than before or stays within the entitlement of all
//!             above it
//! cost      lost work of all victims (`lost_work`)
//! choice    the cheapest set with which every member needed finds room, on the node, or in the
//!           domain that its members must share
//! ```
//! The right to reclaim is a right: it is not weighed against what the pending task's delay costs.
//! An account that gets its quota only where that is cheap has none. The price says *whom* it hits.
//!
//! A victim is a whole task: a gang ends as one, also an elastic one. To make an elastic gang smaller
//! is for the host ([`Placer::resize`]).
//!
//! # Bounds and cost
//! On a node with up to 8 tasks that may be taken, the set is the cheapest of all; with more, nobody
//! in it can be spared, and no single task is cheaper. Nodes and domains are compared by it. For
//! gangs the node where one more member is cheapest goes first, and nobody in the whole set can be
//! spared; it need not be the cheapest of all. A victim is needed for its room, or because only its
//! end gives the right to another one: a lower task of the same account, without which the account
//! would exceed what it is entitled to.
//!
//! O(nodes * 2^8 * devices) for one member, O(members * nodes) times that for gangs in the worst
//! case; in most a node is looked at once, and only sets cheaper than the best so far are tried.
//! Nothing allocates. Memory: a second fleet, and 12 bytes a node, 10 a task.
//!
//! **No oscillation.** What was taken by right of the ledger is not taken back (proof there). Within
//! an account the priorities that run only rise, and the account claims nothing beyond its
//! entitlement for it. What has been decided and not happened yet counts as done: who ends holds
//! nothing any more, and for whom others end holds what it claims, so that no right is used twice.
//! And nobody is made to end more than `preemptions_max` times, whatever others do.
//!
//! # What it is bad at
//! - A victim whose end is allowed only once one is taken that is itself allowed only after a third
//!   is found where taking all that is allowed comes upon it.
//! - Gangs whose claim is allowed only by the end of a task that frees no room for them, and gangs of
//!   members with several parts of devices that fit in one order and not in another: for them nobody
//!   may be found where there is somebody.
//! - Members that stand now where a victim of the same spreading group ends: it still counts.
//!
//! # Source
//! Rights: `docs/policies/reclaim.md`. Victims by place: Kueue 10815 (chosen without looking where
//! they are, so that it stays stuck). The prices are ours.

mod books;
pub(super) mod node;
mod search;

use super::lost_work::Worth;
use super::room::Room;
use super::{Domain, Placer, Stage, TaskId};
use crate::error::Error;
use crate::share::Ledger;
use crate::units::Nanos;
use books::Books;
use search::Search;

impl Placer {
    /// Chooses running tasks that must end so that the pending task can start, where its account
    /// may reclaim: those with the least weighted lost work whose end makes it placeable. Writes
    /// them to the front of `out`, marks them as ending, charges the ledger with what they lose
    /// and returns how many; 0: those that end already, or nobody, are enough. `None`: no such set,
    /// or none that `out` has room for. What accounts hold in the ledger is not changed: that is
    /// for when tasks really end and start.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task, or an account that the ledger does not know;
    /// [`Error::Contradiction`] for a task that is not pending; [`Error::TimeReversed`]. Nothing is
    /// changed then.
    pub fn reclaim_for(
        &mut self,
        now: Nanos,
        ledger: &mut Ledger,
        task: TaskId,
        out: &mut [TaskId],
    ) -> Result<Option<u32>, Error> {
        let entry = *self.tasks.get(task)?;
        self.check_now(now)?;
        if entry.stage != Stage::Pending {
            return Err(not_in(task, entry.stage));
        }
        ledger.parent(entry.task.account)?;
        let found = self.find_victims(now, ledger, task, out.len())?;
        let claims = found.is_some_and(|len| len > 0) || self.any_ends_for(task);
        self.now = now;
        self.tasks.get_mut(task)?.ends.claims = claims && found.is_some();
        let Some(len) = found else { return Ok(None) };
        let mut books = Books::new(now, ledger, &entry.task)?;
        for (out, index) in out.iter_mut().zip(&self.scratch.victims[..len]) {
            let (Some(id), Some(victim)) =
                (self.tasks.handle_at(*index), self.tasks.at_mut(*index))
            else {
                continue;
            };
            let charged = books.charge(victim);
            debug_assert!(charged, "what was tried can be done");
            victim.stage = Stage::Ending;
            victim.ends.preemptions += 1;
            victim.ends.beneficiary = task;
            *out = id;
        }
        if len > 0 {
            // What is promised may be kept otherwise, and at other times.
            self.blocked.shake();
            self.hopeless.clear();
        }
        Ok(Some(len as u32))
    }

    /// Whether somebody ends for this task. O(tasks).
    pub(super) fn any_ends_for(&self, task: TaskId) -> bool {
        self.tasks
            .iter()
            .any(|(_, entry)| entry.stage == Stage::Ending && entry.ends.beneficiary == task)
    }

    /// Puts the victims to the front of their list in the scratch room.
    fn find_victims(
        &mut self,
        now: Nanos,
        ledger: &mut Ledger,
        id: TaskId,
        victims_max: usize,
    ) -> Result<Option<usize>, Error> {
        let wanted = self.tasks.get(id)?.task;
        self.look_around(&wanted);
        self.scratch.fleet.copy_from(&self.fleet)?;
        let worth = Worth {
            weight: self.rules.lost_work_weight,
            shadow_price: self.shadow_price,
            delay_values: &self.delay_values,
        };
        let Self { scratch, tasks, members, crowds, domains, promises, .. } = self;
        let mut books = Books::new(now, ledger, &wanted)?;
        books.foresee(tasks, id, &mut scratch.marks);
        let room = Room { now, fleet: &mut scratch.fleet, domains, crowds, promises };
        let mut search = Search {
            wanted,
            needed: wanted.members_needed(),
            each: search::each(&wanted),
            preemptions_max: self.rules.preemptions_max,
            victims_max: victims_max.min(scratch.victims.len()),
            worth,
            room,
            books,
            tasks,
            members,
            candidates: &mut scratch.candidates,
            candidates_len: 0,
            victims: &mut scratch.victims,
            victims_len: 0,
            is_victim: &mut scratch.is_victim,
            placed: &mut scratch.placed,
            placed_len: 0,
            costs_s: &mut scratch.costs_s,
            placed_on: &mut scratch.placed_on,
        };
        search.end_for(id);
        let topology = wanted.topology;
        let within = if topology.required { topology.within } else { Domain::Fleet };
        let found = search.best_domain(within, &mut scratch.best);
        search.books.forget(tasks, &mut scratch.marks);
        Ok(found)
    }
}

impl Search<'_> {
    /// Who ends already for this task, or for nobody who still waits for it, has ended.
    fn end_for(&mut self, id: TaskId) {
        let (all, tasks) = (self.members, self.tasks);
        for (_, entry) in tasks.iter().filter(|(_, entry)| entry.stage == Stage::Ending) {
            let beneficiary = entry.ends.beneficiary;
            let for_other = beneficiary != id
                && tasks
                    .get(beneficiary)
                    .is_ok_and(|other| other.stage == Stage::Pending && other.ends.claims);
            if !for_other {
                all.of_task(entry.first_member).for_each(|member| self.room.end(&member.hold));
            }
        }
    }

    /// Victims of the domain where the task finds room with the least lost work, the lower number
    /// on a tie: how many, at the front of their list.
    fn best_domain(&mut self, within: Domain, best: &mut [u32]) -> Option<usize> {
        let (domains, mut begin) = (self.room.domains, 0);
        let (mut best_s, mut best_len) = (f64::INFINITY, None);
        while let Some(run) = domains.next(within, begin) {
            begin = run.end;
            if best_s <= 0.0 {
                break;
            }
            if let Some(cost_s) = self.run(run, best_s) {
                (best_s, best_len) = (cost_s, Some(self.victims_len));
                best[..self.victims_len].copy_from_slice(&self.victims[..self.victims_len]);
            }
        }
        let len = best_len?;
        self.victims[..len].copy_from_slice(&best[..len]);
        Some(len)
    }
}

fn not_in(task: TaskId, stage: Stage) -> Error {
    Error::Contradiction {
        field: "task",
        value: task.to_raw(),
        other: "stage",
        other_value: stage as u64,
    }
}

#[cfg(test)]
pub(in crate::place) mod tests;
