//! An engine that batches, step by step: a step makes one token of everybody that is seated, and
//! takes longer the more they are. Seats are taken between steps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;

use super::Event;
use super::sources::Request;

/// A batching engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Engine {
    /// Requests served at once.
    pub seats: u32,
    /// Tokens of the mean request.
    pub tokens: f64,
    /// Part of a full engine's step that is due to those seated.
    pub loaded_share: f64,
}

impl Engine {
    /// Seconds of a step: a full engine makes the tokens of the mean request in one second.
    fn step_s(&self, seated: usize) -> f64 {
        let full = seated as f64 / f64::from(self.seats);
        (1.0 - self.loaded_share + self.loaded_share * full) / self.tokens
    }

    /// Serves all arrivals, first come first served.
    pub(super) fn run(
        &self,
        arrivals: impl Iterator<Item = Request>,
        mut tell: impl FnMut(f64, Event),
    ) {
        let mut arrivals = arrivals.peekable();
        // After which step each leaves, and when it sat down, in nanoseconds.
        let mut seated: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
        let mut line = std::collections::VecDeque::new();
        let (mut now_s, mut step) = (0.0_f64, 0_u64);
        loop {
            if seated.is_empty() && line.is_empty() {
                let Some(next) = arrivals.peek() else { return };
                now_s = now_s.max(next.at_s);
            }
            Self::come(&mut arrivals, now_s, &mut line, &mut tell);
            while seated.len() < self.seats as usize
                && let Some(request) = line.pop_front()
            {
                tell(now_s, Event::Started { waited_s: now_s - request.at_s });
                let tokens = (request.work_s * self.tokens).round().max(1.0) as u64;
                seated.push(Reverse((step + tokens, (now_s * 1e9) as u64)));
            }
            let end_s = now_s + self.step_s(seated.len());
            // Arrivals during the step are told in order of time, before its end.
            Self::come(&mut arrivals, end_s, &mut line, &mut tell);
            now_s = end_s;
            step += 1;
            while let Some(Reverse((last, sat_ns))) = seated.peek().copied() {
                if last > step {
                    break;
                }
                seated.pop();
                tell(now_s, Event::Ended { ran_s: now_s - sat_ns as f64 / 1e9 });
            }
            if arrivals.peek().is_none() && line.is_empty() {
                return;
            }
        }
    }

    fn come(
        arrivals: &mut Peekable<impl Iterator<Item = Request>>,
        until_s: f64,
        line: &mut std::collections::VecDeque<Request>,
        tell: &mut impl FnMut(f64, Event),
    ) {
        while let Some(request) = arrivals.next_if(|next| next.at_s <= until_s) {
            tell(request.at_s, Event::Arrived);
            line.push_back(request);
        }
    }
}
