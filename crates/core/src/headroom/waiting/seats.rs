//! Seats of a rehearsal: when does each become free? A binary heap in memory of the rehearsal.
//!
//! # Bounds and cost
//! O(log seats) a change, no allocation.

/// The earliest moment comes first.
pub(super) fn push(heap: &mut [f64], len: usize, moment: f64) {
    let mut at = len;
    while at > 0 {
        let parent = (at - 1) / 2;
        if heap[parent] <= moment {
            break;
        }
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = moment;
}

/// Puts `moment` in the place of the earliest of `len`.
pub(super) fn replace_first(heap: &mut [f64], len: usize, moment: f64) {
    let mut at = 0;
    loop {
        let mut child = 2 * at + 1;
        if child >= len {
            break;
        }
        if child + 1 < len && heap[child + 1] < heap[child] {
            child += 1;
        }
        if heap[child] >= moment {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moment;
}

/// Takes the earliest of `len`, at least 1, away.
pub(super) fn pop(heap: &mut [f64], len: usize) {
    replace_first(heap, len - 1, heap[len - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn the_earliest_comes_first(changes in prop::collection::vec((0u8..3, 0.0f64..1e3), 1..80)) {
            let (mut heap, mut sorted) = ([0.0; 80], Vec::new());
            for (kind, moment) in changes {
                let len = sorted.len();
                match kind {
                    _ if len == 0 => push(&mut heap, len, moment),
                    0 => push(&mut heap, len, moment),
                    1 => replace_first(&mut heap, len, moment),
                    _ => pop(&mut heap, len),
                }
                if len > 0 && kind > 0 {
                    sorted.remove(0);
                }
                if kind < 2 || len == 0 {
                    sorted.push(moment);
                }
                sorted.sort_by(f64::total_cmp);
                prop_assert!(sorted.is_empty() || heap[0] == sorted[0]);
            }
        }
    }
}
