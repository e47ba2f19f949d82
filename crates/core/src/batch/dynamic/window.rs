//! Whom to give up when not all can be in time.
//!
//! # What it decides
//! In order of deadline `d_1 <= d_2 <= ...`, a batch that starts with the `s`-th may hold as many
//! as end before `d_s`. Starting later in the row makes it larger, and gives up those before.
//!
//! # Formula
//! ```text
//! b_s   = the most requests with L(b_s) <= d_s
//! T_s   = value of the window s .. s + b_s
//!       + min(value of the rest, and of who comes within the usual deadline D,
//!             value * (capacity * D - best rate * L(b_s)))
//! start = argmax T_s, the first of equals
//! ```
//! With capacity to spare, the rest is served whatever is chosen, and giving up anybody is a loss:
//! `s = 0`. Without, time of an instance is what is short, and the most efficient batch wins.
//!
//! # Bounds and cost
//! Looks at two batches' worth of requests, O(batch * log requests).
//!
//! # Source
//! Early drop: Shen et al., "Nexus", SOSP 2019, section 6.3. That it depends on the load is ours.

use super::{DynamicBatcher, seconds_until};

/// One request in order of deadline.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    pub(super) deadline_s: f64,
    pub(super) value: f64,
}

impl DynamicBatcher {
    /// Size of the best window, at most `size`, and seconds until its first deadline.
    pub(super) fn window(&mut self, bucket: usize, size: u32) -> (u32, f64) {
        let Self { lines, requests, scan, dues, options, now, .. } = self;
        let len = lines.scan_due(bucket, scan, |place, slot| {
            let Some(request) = requests.at(slot) else { return };
            let value = options.classes[usize::from(request.class)].delay_value;
            let deadline_s = seconds_until(now.get(), request.deadline_ns);
            dues[place] = Due { deadline_s, value };
        });
        let row = &self.dues[..len];
        let curve = &self.options.buckets[bucket];
        let arrivals = &self.arrivals[bucket];
        let in_row: f64 = row.iter().map(|due| due.value).sum();
        let mean = in_row / (len.max(1) as f64);
        let beyond = f64::from(self.lines.waiting_in(bucket)) - len as f64;
        let usual_s = arrivals
            .target_s()
            .min(row.last().map_or(0.0, |due| due.deadline_s).max(curve.seconds(size)));
        let comes = arrivals.rate_per_s(self.now.get()) * usual_s;
        let all = in_row + mean * (beyond + comes);
        // A batch of more than half the usual deadline is too long for who comes during it.
        let calm = curve.batch_within(usual_s / 2.0, self.options.batch_size_max).max(1);
        let best_rate = curve.best_rate(calm).1;
        let capacity = best_rate * f64::from(self.options.instances) * usual_s;
        let (mut best, mut best_total) = ((1, row.first().map_or(0.0, |due| due.deadline_s)), -1.0);
        let (mut end, mut within, mut before) = (0, 0.0, 0.0);
        for (start, due) in row.iter().enumerate() {
            while end < len
                && end - start < size as usize
                && curve.seconds((end - start + 1) as u32) <= due.deadline_s
            {
                within += row[end].value;
                end += 1;
            }
            if end > start {
                let width = (end - start) as u32;
                let time = (capacity - best_rate * curve.seconds(width)).max(0.0) * mean;
                let total = within + (all - before - within).min(time);
                // Rounding must not make the later of two equals the better one.
                if total > best_total * (1.0 + 1e-12) {
                    (best, best_total) = ((width, due.deadline_s), total);
                }
                within -= due.value;
            } else {
                end = start + 1;
            }
            before += due.value;
        }
        best
    }
}
