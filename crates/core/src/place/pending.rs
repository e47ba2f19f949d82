//! Who waits: the pending tasks of each account, the most urgent first.
//!
//! # Formula
//! Inside a queue the higher priority goes first, then the earlier arrival. There is a queue for
//! each account, or one for all where accounts do not matter ([`PendingOrder::Arrival`]).
//!
//! A *pass* looks at every task once. Each queue has two sides: tasks that this pass has still to
//! look at, and those that it has looked at, which the next pass begins with. So a pass may be cut
//! into calls of any size, and goes on where it stopped. Those left in a queue that are known to find
//! no room are passed over together.
//!
//! # Bounds and cost
//! Coming and going are O(log tasks); the end of a pass is O(1). To pass over n tasks is O(n), some
//! nanoseconds for each. Memory: 45 bytes a task, 16 an account, and [`super::shapes`].

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::shapes::Shapes;
use super::{Entry, Placer, Stage, Task, TaskId};
use crate::error::Error;
use crate::heap::{Forest, NONE};
use crate::policy::{PendingOrder, PlacementRules};
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// Lower goes first: priority with its sign changed, then the number of the arrival.
pub(super) type Turn = (i32, u64);

/// The side of a queue that a task is on, by task; this one: on none.
const NOWHERE: u8 = u8::MAX;

/// Later than every turn.
const LAST: Turn = (i32::MAX, u64::MAX);

/// Tasks that are searched through in the time that one is looked at in.
const SEARCHED_PER_LOOK: u32 = 16;

/// Tasks of a queue that are worth being looked at one by one, when the others are passed over.
const UNKNOWN_MAX: usize = 64;

/// The pending tasks that have no reservation.
#[derive(Debug)]
pub(super) struct Pending {
    /// What they ask for.
    pub(super) shapes: Shapes,
    /// Tasks of each queue that this call has looked at and left waiting, and how many it should be
    /// before the queue is searched.
    looks: Box<[(u32, u32)]>,
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
            looks: vec![(0, 1); queues as usize].into_boxed_slice(),
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
        self.leave(queue, task);
        self.shapes.leave(task);
    }

    /// The same for one that goes to another queue.
    fn leave(&mut self, queue: u32, task: u32) {
        let side = core::mem::replace(&mut self.side_of[task as usize], NOWHERE);
        if side != NOWHERE {
            self.forest.remove(&mut self.first[usize::from(side)][queue as usize], task);
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
        self.looks.fill((0, 1));
    }

    /// This pass has looked at all that was left in a queue, but for some: how many that is.
    fn pass_over(&mut self, queue: u32, but: &[u32]) -> u32 {
        for task in but {
            self.leave(queue, *task);
        }
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
        for task in but {
            self.put(queue, *task, self.turn(*task), false);
        }
        passed_over
    }

    /// Whether a task is in a queue.
    pub(super) fn contains(&self, task: u32) -> bool {
        self.side_of.get(task as usize).is_some_and(|side| *side != NOWHERE)
    }

    /// Whether this pass has looked at a task; `None`: it is in no queue.
    fn is_seen(&self, task: u32) -> Option<bool> {
        let side = self.side_of.get(task as usize).copied().filter(|side| *side != NOWHERE)?;
        Some(side != self.side)
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
        self.learn_arrival(task);
        let turn = self.pending.arrive(task.priority);
        self.enqueue(id, turn)?;
        Ok(id)
    }

    /// Pending tasks, those with a reservation included.
    #[must_use]
    pub const fn pending_len(&self) -> u32 {
        self.pending.len() + self.promises.len()
    }

    /// Puts a pending task where this pass will look at it. O(log tasks).
    pub(super) fn enqueue(&mut self, id: TaskId, turn: Turn) -> Result<(), Error> {
        let task = self.tasks.get(id)?.task;
        self.pending.put(self.queue_of(&task), id.index(), turn, false);
        self.number_shape(id.index(), &task);
        Ok(())
    }

    /// Passes over the tasks of a queue that are known to find no room, with nothing to be done about
    /// it; returns how many: none where more than [`UNKNOWN_MAX`] would be left, or any where the
    /// order goes by what an account would be given next. A call searches a queue when it has left
    /// one task of it waiting, and again after as many more as cost the same, and twice as many as
    /// before: O(1) for each task looked at, and O(pending) for the first search.
    ///
    /// Everybody is asked about, even where there are too many others: so what is known then does
    /// not depend on the order in which the queue is kept.
    pub(super) fn pass_over_known(&mut self, queue: u32) -> u32 {
        let (looks, wanted) = &mut self.pending.looks[queue as usize];
        *looks += 1;
        if *looks < *wanted {
            return 0;
        }
        let (mut searched, mut unknown, mut unknown_len) = (0, [NONE; UNKNOWN_MAX], 0);
        let mut next = self.pending.first(queue).unwrap_or(NONE);
        while next != NONE {
            if !self.is_known_to_wait(next) {
                if let Some(place) = unknown.get_mut(unknown_len) {
                    *place = next;
                }
                unknown_len += 1;
            }
            searched += 1;
            next = self.pending.forest.next_within(next, LAST);
        }
        let (looks, wanted) = &mut self.pending.looks[queue as usize];
        *wanted = (*looks + searched / SEARCHED_PER_LOOK).max(2 * *looks);
        let goes_by_next = self.rules.order == PendingOrder::DominantShare;
        match unknown.get(..unknown_len) {
            Some(unknown) if unknown.is_empty() || !goes_by_next => {
                self.pending.pass_over(queue, unknown)
            }
            _ => 0,
        }
    }

    /// The queue that a task waits in.
    pub(super) const fn queue_of(&self, task: &Task) -> u32 {
        queue_under(self.rules.order, task)
    }

    /// Takes other rules; who waits waits in the queue that they say, with the same turn.
    pub(super) fn set_rules(&mut self, rules: PlacementRules) {
        for index in 0..self.tasks.capacity() {
            let Some(entry) = self.tasks.at(index) else { continue };
            let before = queue_under(self.rules.order, &entry.task);
            let queue = queue_under(rules.order, &entry.task);
            if let Some(is_seen) = self.pending.is_seen(index)
                && queue != before
            {
                self.pending.leave(before, index);
                self.pending.put(queue, index, self.pending.turn(index), is_seen);
            }
        }
        self.rules = rules;
    }

    /// Tells who waits in a queue and since when: of each pending task, by index, the number of its
    /// arrival and 0 for one with a reservation, 1 for one that this pass has still to look at, 2
    /// for one that it has looked at. Bits above these say whether its shape has a number, and what
    /// is known of that.
    pub(super) fn save_pending(&self, save: &mut dyn FnMut(u64)) {
        save(self.pending.arrivals);
        for (id, _) in self.tasks.iter().filter(|(_, entry)| entry.stage == Stage::Pending) {
            save(self.pending.turn(id.index()).1);
            let place =
                self.pending.is_seen(id.index()).map_or(0, |is_seen| 1 + u64::from(is_seen));
            let number = self.pending.shapes.of(id.index());
            let from = [&self.blocked, &self.hopeless].map(|known| known.known_from(number?));
            let is_known = from.map(|from| from.is_some());
            save(place | flags([number.is_some(), is_known[0], is_known[1]]) << PLACE_BITS);
            from.into_iter().flatten().for_each(|from| save(from.get()));
        }
    }

    /// Takes what was told. Whoever waits has a place in a queue, or a reservation.
    pub(super) fn load_pending(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.pending.arrivals = words.next_count("arrivals")?;
        let mut arrivals = Vec::new();
        for index in 0..self.tasks.capacity() {
            let Some(id) = self.tasks.handle_at(index) else { continue };
            let Entry { task, stage, .. } = *self.tasks.get(id)?;
            if stage != Stage::Pending {
                continue;
            }
            let arrival = words.next()?;
            let word = words.next_within("place", 0, (8 << PLACE_BITS) - 1)?;
            let (place, known) = (word % (1 << PLACE_BITS), word >> PLACE_BITS);
            ensure(place <= 2 && (place > 0 || known == 0))?;
            ensure(arrival <= self.pending.arrivals)?;
            ensure((place == 0) == self.promises.of_task(id).is_some())?;
            let turn = (-task.priority, arrival);
            match place {
                0 => self.pending.forest.set_key(index, turn),
                _ => self.pending.put(self.queue_of(&task), index, turn, place == 2),
            }
            arrivals.push(arrival);
            self.load_known(words, index, known)?;
        }
        // Two with the same turn would stand in an order that nobody can tell.
        arrivals.sort_unstable();
        ensure(arrivals.windows(2).all(|pair| pair[0] != pair[1]))
    }

    /// Takes what is known of the shape of a task, if that has a number.
    fn load_known(&mut self, words: &mut Words<'_>, index: u32, known: u32) -> Result<(), Error> {
        let is_set = |bit: u32| known >> bit & 1 == 1;
        if is_set(0)
            && let Some(&Entry { task, .. }) = self.tasks.at(index)
        {
            self.number_shape(index, &task);
        }
        let number = self.pending.shapes.of(index);
        ensure(number.is_some() == (known > 0))?;
        for (bit, blocked) in [(1, &mut self.blocked), (2, &mut self.hopeless)] {
            if is_set(bit) {
                blocked.note(number, Nanos(words.next()?));
            }
        }
        Ok(())
    }
}

/// Bits of the saved place of a task.
const PLACE_BITS: u32 = 2;

/// The first one is the lowest bit.
fn flags(flags: [bool; 3]) -> u64 {
    flags.into_iter().rev().fold(0, |word, flag| word << 1 | u64::from(flag))
}

const fn queue_under(order: PendingOrder, task: &Task) -> u32 {
    match order {
        PendingOrder::Arrival => 0,
        PendingOrder::DominantShare | PendingOrder::FairTree => task.account.index(),
    }
}
