//! Servers of one speed and one line before them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Event;
use super::sources::Request;

/// A moment in nanoseconds of simulated time, so that moments have an order.
fn moment(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Serves all arrivals, first come first served.
pub(super) fn run(
    servers: usize,
    arrivals: impl Iterator<Item = Request>,
    mut tell: impl FnMut(f64, Event),
) {
    let mut line: VecDeque<Request> = VecDeque::new();
    // Who leaves when, and how long each was served.
    let mut leaving: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    for request in arrivals {
        while let Some(Reverse((at, ran))) = leaving.peek().copied() {
            if at > moment(request.at_s) {
                break;
            }
            leaving.pop();
            let now_s = at as f64 / 1e9;
            tell(now_s, Event::Ended { ran_s: ran as f64 / 1e9 });
            if let Some(next) = line.pop_front() {
                tell(now_s, Event::Started { waited_s: (now_s - next.at_s).max(0.0) });
                let ran = moment(next.work_s);
                leaving.push(Reverse((at + ran, ran)));
            }
        }
        tell(request.at_s, Event::Arrived);
        if leaving.len() < servers {
            tell(request.at_s, Event::Started { waited_s: 0.0 });
            let ran = moment(request.work_s);
            leaving.push(Reverse((moment(request.at_s) + ran, ran)));
        } else {
            line.push_back(request);
        }
    }
}
