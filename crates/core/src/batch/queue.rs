//! The queues of waiting requests: heaps over the requests' slots, in the order of a [`Key`].

pub(super) use crate::heap::NONE;

/// What a queue is ordered by: a moment, then the order of submission.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Key {
    pub(super) at_ns: u64,
    pub(super) sequence: u64,
}

/// Any number of queues over one array of requests.
pub(super) type Forest = crate::heap::Forest<Key>;
