//! The waiting queue of every peer: lanes, an order within each, and triage.
//!
//! # Order within a lane
//! ```text
//! (rank, standing, turn)
//! rank      set by the policy; smaller goes first
//! standing  preempted < on time < late
//! turn      order of submission; of preempted requests the newest preemption goes first
//! ```
//!
//! # Triage
//! A request is *late* once `now + prefill_s > deadline`: even alone on the engine it would miss
//! its TTFT target. It then goes behind those that can still make it, since whatever it is given
//! is lost on its target. Requests that were preempted have left triage: they hold a promise.
//!
//! # Bounds and cost
//! O(log waiting) for each request that comes, goes or turns late; choosing the next one does not
//! depend on how many wait.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use rampmeter::Nanos;

/// Where a request waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// Which queue.
    pub lane: u32,
    /// Precedence in it: smaller goes first.
    pub rank: u32,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Standing {
    Preempted,
    OnTime,
    Late,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    rank: u32,
    standing: Standing,
    turn: i64,
    request: u32,
}

/// Requests that wait, in order.
#[derive(Debug)]
pub struct Waiting {
    lanes: Vec<BTreeSet<Key>>,
    /// Lanes that are not empty, in order.
    occupied: BTreeSet<u32>,
    /// By request: where it waits, and its turn by submission.
    entries: Vec<Entry>,
    /// When requests that are on time turn late.
    turning_late: BinaryHeap<Reverse<(Nanos, u32)>>,
    submitted: i64,
    preempted: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    place: Place,
    turn: i64,
    /// It had a seat before.
    returned: bool,
    key: Option<Key>,
}

impl Waiting {
    /// An empty queue of `lanes` lanes.
    pub fn new(lanes: usize) -> Self {
        Self {
            lanes: vec![BTreeSet::new(); lanes.max(1)],
            occupied: BTreeSet::new(),
            entries: Vec::new(),
            turning_late: BinaryHeap::new(),
            submitted: 0,
            preempted: 0,
        }
    }

    /// A request joins, to turn late at `late_at` if it has not left by then.
    pub fn push(&mut self, request: u32, place: Place, late_at: Option<Nanos>) {
        if self.entries.len() <= request as usize {
            self.entries.resize(request as usize + 1, Entry::default());
        }
        self.submitted += 1;
        let turn = self.submitted;
        self.entries[request as usize] = Entry { place, turn, returned: false, key: None };
        self.insert(Key { rank: place.rank, standing: Standing::OnTime, turn, request }, false);
        if let Some(late_at) = late_at {
            self.turning_late.push(Reverse((late_at, request)));
        }
    }

    /// A preempted request comes back before all others of its rank.
    pub fn push_front(&mut self, request: u32) {
        self.preempted -= 1;
        let (rank, turn) = (self.entries[request as usize].place.rank, self.preempted);
        self.insert(Key { rank, standing: Standing::Preempted, turn, request }, true);
    }

    /// A preempted request comes back to the turn that it had.
    pub fn push_back(&mut self, request: u32) {
        let Entry { place, turn, .. } = self.entries[request as usize];
        self.insert(Key { rank: place.rank, standing: Standing::OnTime, turn, request }, true);
    }

    fn insert(&mut self, key: Key, returned: bool) {
        let entry = &mut self.entries[key.request as usize];
        entry.key = Some(key);
        entry.returned |= returned;
        self.lanes[entry.place.lane as usize].insert(key);
        self.occupied.insert(entry.place.lane);
    }

    /// Takes a request out. `false` if it does not wait.
    pub fn remove(&mut self, request: u32) -> bool {
        let Some(entry) = self.entries.get_mut(request as usize) else { return false };
        let Some(key) = entry.key.take() else { return false };
        let lane = entry.place.lane;
        self.lanes[lane as usize].remove(&key);
        if self.lanes[lane as usize].is_empty() {
            self.occupied.remove(&lane);
        }
        true
    }

    /// Moves those behind that can no longer meet their target.
    pub fn expire(&mut self, now: Nanos) {
        while let Some(Reverse((late_at, request))) = self.turning_late.peek().copied() {
            if late_at >= now {
                break;
            }
            self.turning_late.pop();
            let Entry { key, returned, .. } = self.entries[request as usize];
            if let Some(key) = key.filter(|_| !returned) {
                self.remove(request);
                self.insert(Key { standing: Standing::Late, ..key }, false);
            }
        }
    }

    /// True if the request had a seat before.
    pub fn has_returned(&self, request: u32) -> bool {
        self.entries.get(request as usize).is_some_and(|entry| entry.returned)
    }

    /// Lanes in which something waits, in order.
    pub fn lanes_occupied(&self) -> impl Iterator<Item = u32> {
        self.occupied.iter().copied()
    }

    /// True if something waits in that lane.
    pub fn is_occupied(&self, lane: u32) -> bool {
        self.occupied.contains(&lane)
    }

    /// The first request of a lane.
    pub fn first(&self, lane: u32) -> Option<u32> {
        self.lanes.get(lane as usize)?.first().map(|key| key.request)
    }

    /// True if a lane has nothing but late requests.
    pub fn is_late(&self, lane: u32) -> bool {
        let first = self.lanes.get(lane as usize).and_then(BTreeSet::first);
        first.is_some_and(|key| key.standing == Standing::Late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(waiting: &mut Waiting) -> Vec<u32> {
        let mut order = Vec::new();
        while let Some(request) = waiting.first(0) {
            assert!(waiting.remove(request));
            order.push(request);
        }
        order
    }

    #[test]
    fn preempted_first_then_on_time_then_late() {
        let mut waiting = Waiting::new(1);
        for (request, late_at) in [(0, 5), (1, 50), (2, 6), (3, 60)] {
            waiting.push(request, Place::default(), Some(Nanos(late_at)));
        }
        assert!(waiting.remove(0) && waiting.remove(3));
        waiting.push_front(3);
        waiting.push_front(0);
        waiting.expire(Nanos(6));
        assert_eq!(waiting.first(0), Some(0));
        waiting.expire(Nanos(7));
        assert_eq!(drain(&mut waiting), [0, 3, 1, 2]);
        assert!(!waiting.is_occupied(0) && !waiting.remove(0));
    }

    #[test]
    fn rank_goes_before_standing() {
        let mut waiting = Waiting::new(1);
        waiting.push(0, Place { lane: 0, rank: 1 }, Some(Nanos(100)));
        waiting.push(1, Place { lane: 0, rank: 0 }, Some(Nanos(1)));
        waiting.push(2, Place { lane: 0, rank: 0 }, Some(Nanos(100)));
        waiting.expire(Nanos(50));
        assert_eq!(drain(&mut waiting), [2, 1, 0]);
    }
}
