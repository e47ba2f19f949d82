//! Who waits: the pending tasks of each account, the most urgent first.
//!
//! # Formula
//! Inside a queue the higher priority goes first, then the earlier arrival. There is a queue for
//! each account, or one for all where accounts do not matter ([`PendingOrder::Arrival`]).
//!
//! A *pass* looks at every task once. Each queue has two sides: tasks that this pass has still to
//! look at, and those that it has looked at, which the next pass begins with. So a pass may be cut
//! into calls of any size, and goes on where it stopped. Where all that are left in a queue are known
//! to find no room, they are passed over together.
//!
//! # Bounds and cost
//! Coming and going are O(log tasks); the end of a pass is O(1). To pass over n tasks is O(n), some
//! nanoseconds for each. Memory: 45 bytes a task, 16 an account, and [`super::shapes`].

use alloc::boxed::Box;
use alloc::vec;

use super::shapes::Shapes;
use super::{Entry, Placer, Task, TaskId};
use crate::error::Error;
use crate::heap::{Forest, NONE};
use crate::policy::PendingOrder;
use crate::units::Nanos;

/// Lower goes first: priority with its sign changed, then the number of the arrival.
pub(super) type Turn = (i32, u64);

/// The side of a queue that a task is on, by task; this one: on none.
const NOWHERE: u8 = u8::MAX;

/// Later than every turn.
const LAST: Turn = (i32::MAX, u64::MAX);

/// The first search of a call in a queue is free.
const FREE: u32 = u32::MAX;

/// Tasks that a queue may be searched through for each one that was looked at there: about as many
/// as cost the same.
const SEARCHED_PER_LOOK: u32 = 16;

/// The pending tasks that have no reservation.
#[derive(Debug)]
pub(super) struct Pending {
    /// What they ask for.
    pub(super) shapes: Shapes,
    /// Tasks that a search in a queue may still go through in this call, and how many it should be
    /// able to before there is another one.
    credit: Box<[(u32, u32)]>,
    forest: Forest<Turn>,
    /// First of each queue, for each side.
    first: [Box<[u32]>; 2],
    side_of: Box<[u8]>,
    /// The side that this pass has still to look at.
    side: u8,
    len: u32,
    arrivals: u64,
}

impl Pending {
    pub(super) fn new(tasks_max: u32, queues: u32) -> Self {
        let first = || vec![NONE; queues as usize].into_boxed_slice();
        Self {
            shapes: Shapes::new(tasks_max),
            credit: vec![(FREE, 0); queues as usize].into_boxed_slice(),
            forest: Forest::new(tasks_max),
            first: [first(), first()],
            side_of: vec![NOWHERE; tasks_max as usize].into_boxed_slice(),
            side: 0,
            len: 0,
            arrivals: 0,
        }
    }

    pub(super) const fn bytes_needed(tasks_max: u32, queues: u32) -> u64 {
        Forest::<Turn>::bytes_needed(tasks_max)
            + Shapes::bytes_needed(tasks_max)
            + tasks_max as u64
            + 4 * queues as u64 * size_of::<u32>() as u64
    }

    /// Tasks in all queues.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Queues that there may be.
    pub(super) const fn queues(&self) -> u32 {
        self.first[0].len() as u32
    }

    /// The turn of a task that comes now.
    pub(super) const fn arrive(&mut self, priority: i32) -> Turn {
        self.arrivals += 1;
        (-priority, self.arrivals)
    }

    /// The turn of a task, which it keeps while it is known.
    pub(super) fn turn(&self, task: u32) -> Turn {
        self.forest.key(task)
    }

    /// Index of the task that this pass looks at next in a queue.
    pub(super) fn first(&self, queue: u32) -> Option<u32> {
        let first = self.first[usize::from(self.side)].get(queue as usize).copied();
        first.filter(|first| *first != NONE)
    }

    /// Puts a task where this pass will still look at it, or where it has looked already.
    pub(super) fn put(&mut self, queue: u32, task: u32, turn: Turn, is_seen: bool) {
        let side = self.side ^ u8::from(is_seen);
        self.forest.insert(&mut self.first[usize::from(side)][queue as usize], task, turn);
        self.side_of[task as usize] = side;
        self.len += 1;
    }

    /// Takes a task out of its queue, if it is in one.
    pub(super) fn take(&mut self, queue: u32, task: u32) {
        let side = core::mem::replace(&mut self.side_of[task as usize], NOWHERE);
        if side != NOWHERE {
            self.forest.remove(&mut self.first[usize::from(side)][queue as usize], task);
            self.shapes.leave(task);
            self.len -= 1;
        }
    }

    /// This pass has looked at a task of this queue.
    pub(super) fn see(&mut self, queue: u32, task: u32) {
        let [one, other] = &mut self.first;
        let (from, to) = if self.side == 0 { (one, other) } else { (other, one) };
        self.forest.remove(&mut from[queue as usize], task);
        self.forest.insert(&mut to[queue as usize], task, self.forest.key(task));
        self.side_of[task as usize] = self.side ^ 1;
    }

    /// Begins a call.
    pub(super) fn begin(&mut self) {
        self.credit.fill((FREE, 0));
    }

    /// This pass has looked at all that was left in a queue: how many that is.
    pub(super) fn pass_over(&mut self, queue: u32) -> u32 {
        let mut passed_over = 0;
        let mut next = self.first(queue).unwrap_or(NONE);
        while next != NONE {
            self.side_of[next as usize] = self.side ^ 1;
            passed_over += 1;
            next = self.forest.next_within(next, LAST);
        }
        let [one, other] = &mut self.first;
        let (from, to) = if self.side == 0 { (one, other) } else { (other, one) };
        self.forest.join(&mut to[queue as usize], &mut from[queue as usize]);
        passed_over
    }

    /// Whether a task is in a queue.
    pub(super) fn contains(&self, task: u32) -> bool {
        self.side_of.get(task as usize).is_some_and(|side| *side != NOWHERE)
    }

    /// A pass is over: the next one begins with what it has looked at.
    pub(super) const fn end_pass(&mut self) {
        self.side ^= 1;
    }
}

impl Placer {
    /// Takes a task in; a cycle will start it. O(log tasks).
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] for a task that cannot be; [`Error::Stale`] on
    /// `account` for the account of nobody, unless the order is that of arrival, and for an account
    /// that has taken the place of another one that tasks still belong to; [`Error::Full`] on
    /// `tasks`; [`Error::TimeReversed`]. Nothing is changed then.
    pub fn submit(&mut self, now: Nanos, task: &Task) -> Result<TaskId, Error> {
        self.check_now(now)?;
        task.check(self.delay_values.len() as u32, self.options.task_members_max)?;
        if task.account == crate::share::AccountId::default()
            && self.rules.order != PendingOrder::Arrival
        {
            return Err(Error::Stale { field: "account", handle: 0 });
        }
        self.holdings.check(task.account)?;
        let id = self.tasks.insert(Entry::pending(now, task))?;
        self.now = now;
        self.holdings.join(task.account);
        self.stranding.arrived(&task.member, f64::from(task.members));
        let turn = self.pending.arrive(task.priority);
        self.pending.put(self.queue_of(task), id.index(), turn, false);
        Ok(id)
    }

    /// Pending tasks, those with a reservation included.
    #[must_use]
    pub const fn pending_len(&self) -> u32 {
        self.pending.len() + self.promises.len()
    }

    /// Whether all that this pass has still to look at in a queue are known to find no room, with
    /// nothing to be done about it; `false`, too, where there are more than may be searched
    /// through. O(1), amortized over the tasks looked at.
    pub(super) fn are_all_known_to_wait(&mut self, queue: u32) -> bool {
        let (credit, least) = self.pending.credit[queue as usize];
        let earned = credit.saturating_add(SEARCHED_PER_LOOK).min(FREE - 1);
        if credit < least {
            self.pending.credit[queue as usize].0 = earned;
            return false;
        }
        let (mut searched, mut all) = (0, true);
        let mut next = self.pending.first(queue).unwrap_or(NONE);
        while all && next != NONE {
            all = searched < credit && self.is_known_to_wait(next);
            searched += 1;
            next = self.pending.forest.next_within(next, LAST);
        }
        // A search that came to no end is worth another one when that can go twice as far.
        let least = if searched > credit { 2 * credit } else { 0 };
        let left = if credit == FREE { SEARCHED_PER_LOOK } else { earned.saturating_sub(searched) };
        self.pending.credit[queue as usize] = (left, least);
        all
    }

    /// The queue that a task waits in.
    pub(super) const fn queue_of(&self, task: &Task) -> u32 {
        match self.rules.order {
            PendingOrder::Arrival => 0,
            PendingOrder::DominantShare | PendingOrder::FairTree => task.account.index(),
        }
    }
}
