//! Forming one batch: who expired, which bucket, how many, and who.

use super::decide::{OTHERS, Situation, Verdict, Why};
use super::flight::Flight;
use super::options::{Expiry, Rule};
use super::plan::{BatchId, Decision, Expired, Formed, Launch, Plan, PlanEntry};
use super::request::{NEVER, Stage};
use super::{DynamicBatcher, seconds_until};
use crate::error::Error;
use crate::units::Nanos;

/// A batch as far as it is planned.
struct Draft {
    bucket: usize,
    instance: u32,
    len: u32,
    /// Requests in time that it may hold in all, and the late ones that are owed a seat.
    in_time: u32,
    late_due: u32,
    /// Seconds until the first deadline of who is in it.
    slack_s: f64,
    /// What each request is charged, in seconds of an instance.
    charge_s: f64,
}

/// A bucket that could launch now. Less is more urgent: who is owed a turn, then class, then the
/// latest moment to launch.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Urgency {
    not_owed: u8,
    class: u8,
    latest_s: f64,
    bucket: u8,
}

impl DynamicBatcher {
    /// Says what to do now, and writes the batch into the caller's arrays. After a launch, ask
    /// again: it speaks of one instance at a time. See the module for order and cost.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::BufferTooSmall`] unless `entries` holds `batch_size_max`
    /// elements and `expired` one.
    pub fn form(&mut self, now: Nanos, plan: &mut Plan<'_>) -> Result<Formed, Error> {
        self.check_time(now)?;
        let needed = [
            ("entries", plan.entries.len(), self.options.batch_size_max),
            ("expired", plan.expired.len(), 1),
        ];
        for (field, given, needed) in needed {
            if (given as u64) < u64::from(needed) {
                let (given, needed) = (given as u64, needed.into());
                return Err(Error::BufferTooSmall { field, given, needed });
            }
        }
        self.now = now;
        let (expired_len, more) = self.expire(plan.expired);
        let decision = if more { wait(now, Why::MoreExpired) } else { self.decide(plan.entries) };
        self.wake_ns = match decision {
            Decision::Wait { until, .. } => until.get(),
            Decision::Launch(_) => now.get(),
            Decision::Idle => NEVER,
        };
        Ok(Formed { decision, expired_len })
    }

    /// Takes out, or moves back, whoever expired; true if there are more than fit.
    fn expire(&mut self, expired: &mut [Expired]) -> (u32, bool) {
        let mut len = 0;
        while let Some((slot, at_ns)) = self.lines.next_expiry() {
            if at_ns > self.now.get() {
                break;
            }
            let request = self.request_mut(slot);
            let (class, tag) = (usize::from(request.class), request.tag);
            if self.options.classes[class].expiry == Expiry::Delay {
                let Some(request) = self.requests.at_mut(slot) else { break };
                self.lines.delay(request, slot);
                continue;
            }
            if len == expired.len() {
                return (len as u32, true);
            }
            let id = self.requests.handle_at(slot).unwrap_or_default();
            expired[len] = Expired { request: id, tag };
            len += 1;
            self.totals.expired += 1;
            self.leave_line(slot);
            self.forget(slot);
        }
        (len as u32, false)
    }

    fn decide(&mut self, entries: &mut [PlanEntry]) -> Decision {
        if self.lines.len() == 0 {
            return Decision::Idle;
        }
        let (free_in, busy) = self.flights.free_in(self.now.get());
        if self.flights.all_busy() {
            return wait(self.now.offset_seconds(free_in[0]), Why::Busy);
        }
        let mut others = [0.0; OTHERS];
        if busy + 1 == self.options.instances as usize {
            others.copy_from_slice(&free_in[..OTHERS]);
        }
        let mut soonest: Option<f64> = None;
        let mut best: Option<Urgency> = None;
        for bucket in 0..self.options.buckets.len() {
            self.triage(bucket);
            if self.lines.waiting_in(bucket) == 0 {
                continue;
            }
            let verdict = self.verdict(bucket, others);
            self.verdicts[bucket] = Some(verdict);
            if verdict.size == 0 {
                soonest = Some(soonest.map_or(verdict.wait_s, |wait_s| wait_s.min(verdict.wait_s)));
            } else {
                let urgency = self.urgency(bucket, verdict.size);
                best = Some(best.filter(|best| *best <= urgency).unwrap_or(urgency));
            }
        }
        let late = self.late_bucket(best.is_none() && soonest.is_none());
        if let Some(bucket) = late.or(best.map(|best| usize::from(best.bucket))) {
            return Decision::Launch(self.launch(bucket, &others, entries));
        }
        // Whole nanoseconds, rounded down: later would be too late. A thousandth of one makes up
        // for what was lost on the way to seconds. At least one, or the host would not get ahead.
        let wait_ns = (soonest.unwrap_or(0.0) * 1e9 + 1e-3) as u64;
        wait(self.now.saturating_add(Nanos(wait_ns.max(1))), Why::WorthWaiting)
    }

    /// Whoever can no longer be in time, even alone and at once, is late.
    fn triage(&mut self, bucket: usize) {
        let alone = self.options.buckets[bucket].seconds(1);
        while let Some(slot) = self.lines.due_first(bucket) {
            let Some(request) = self.requests.at_mut(slot) else { break };
            let hopeless = request.deadline_ns != NEVER
                && self.now.offset_seconds(alone).get() > request.deadline_ns;
            if !hopeless {
                break;
            }
            self.lines.become_late(request, slot);
        }
    }

    fn verdict(&self, bucket: usize, others: [f64; OTHERS]) -> Verdict {
        let now_ns = self.now.get();
        let options = &self.options;
        let curve = &options.buckets[bucket];
        let arrivals = &self.arrivals[bucket];
        let first_s = self.first_deadline_s(bucket);
        let last_ns = self.last_deadline_ns[bucket];
        let last_s = seconds_until(now_ns, last_ns);
        let oldest_ns = self.lines.oldest_ns(bucket).unwrap_or(now_ns);
        let cap_s = match (options.rule, options.queue_delay_max) {
            (Rule::Fixed, None | Some(Nanos::ZERO)) => f64::NEG_INFINITY,
            (_, Some(delay)) => seconds_until(now_ns, oldest_ns.saturating_add(delay.get())),
            (Rule::Priced, None) => {
                let cap = Nanos::from_seconds(curve.seconds(options.batch_size_max));
                seconds_until(now_ns, oldest_ns.saturating_add(cap.get()))
            }
        };
        let class = self.lines.class_in(bucket).unwrap_or(0);
        let situation = Situation {
            curve,
            preferred: &options.preferred_sizes,
            size_max: options.batch_size_max,
            waiting: self.lines.waiting_in(bucket),
            rate: arrivals.rate_per_s(now_ns),
            first_s,
            last_s: last_s.max(first_s),
            target_s: arrivals.target_s(),
            cap_s,
            others,
            value: options.classes[class].delay_value,
            miss_ratio: options.miss_ratio,
            wait_gain_ratio: options.wait_gain_ratio,
        };
        match options.rule {
            Rule::Priced => situation.priced(),
            Rule::Fixed => situation.fixed(),
        }
    }

    /// Seconds until the first deadline of who can be in time; infinite if nobody has one.
    fn first_deadline_s(&self, bucket: usize) -> f64 {
        let first = self.lines.due_first(bucket).map(|slot| self.request(slot).deadline_ns);
        seconds_until(self.now.get(), first.unwrap_or(NEVER))
    }

    fn urgency(&self, bucket: usize, size: u32) -> Urgency {
        let owed = self.lines.owed_class(bucket).is_some();
        // Without deadlines, the oldest first: as if it were due when it came.
        let due_s = self.first_deadline_s(bucket).min(1e9);
        let age_s = self
            .lines
            .oldest_ns(bucket)
            .map_or(0.0, |oldest| self.now.get().saturating_sub(oldest) as f64 / 1e9);
        let latest_s = if due_s < 1e9 { due_s } else { due_s - age_s };
        Urgency {
            not_owed: u8::from(!owed),
            class: self.lines.class_in(bucket).unwrap_or(0) as u8,
            latest_s: latest_s - self.options.buckets[bucket].seconds(size),
            bucket: bucket as u8,
        }
    }

    /// A bucket without anybody in time whose late requests have their turn: because they are owed
    /// it, or because there is nothing else (`idle`). The one whose head is the oldest.
    fn late_bucket(&self, idle: bool) -> Option<usize> {
        let arrived = |bucket: usize| {
            let slot = self.lines.late_head(bucket)?;
            let request = self.request(slot);
            Some((request.arrival_ns, request.sequence, bucket))
        };
        let ready = |bucket: &usize| {
            let owed = self.lines.late_due(*bucket) > 0;
            self.lines.waiting_in(*bucket) == 0 && (idle || owed)
        };
        let buckets = (0..self.options.buckets.len()).filter(ready);
        buckets.filter_map(arrived).min().map(|(_, _, bucket)| bucket)
    }

    /// Fills a batch of a bucket and sends it off.
    fn launch(&mut self, bucket: usize, others: &[f64], entries: &mut [PlanEntry]) -> Launch {
        let waiting = self.lines.waiting_in(bucket) > 0;
        let verdict = self.verdicts[bucket].filter(|_| waiting);
        let size = verdict.map_or(0, |verdict| verdict.size);
        let why = verdict.map_or(Why::Late, |verdict| verdict.why);
        let flight =
            Flight { launched_ns: self.now.get(), seconds: 0.0, len: 0, bucket: bucket as u8 };
        let batch = self.flights.launch(flight);
        debug_assert!(batch.is_ok(), "an instance is idle");
        let batch = batch.unwrap_or_default();
        let mut draft = self.draft(bucket, size, batch);
        self.fill_in_time(&mut draft, others, entries);
        self.fill_riders(&mut draft, entries);
        self.fill_late(&mut draft, entries);
        self.put_back();
        self.send_off(batch, &draft, why)
    }

    /// How many in time and how many late: as many as the first deadline allows.
    fn draft(&mut self, bucket: usize, size: u32, batch: BatchId) -> Draft {
        let first_s = self.first_deadline_s(bucket);
        let priced = self.options.rule == Rule::Priced;
        let size_max = self.options.batch_size_max;
        let (mut size, mut slack_s) = (size, if size > 0 { first_s } else { f64::INFINITY });
        if priced && size > 0 && self.options.buckets[bucket].seconds(size) > first_s {
            (size, slack_s) = self.window(bucket, size);
        }
        let curve = &self.options.buckets[bucket];
        let room = if priced && size > 0 {
            curve.batch_within(slack_s, size_max).max(1)
        } else {
            size_max
        };
        let late_due = self.lines.late_due(bucket).min(room.saturating_sub(u32::from(room > 1)));
        let in_time = size.min(room - late_due);
        let planned = (in_time + late_due).max(1);
        Draft {
            bucket,
            instance: batch.index(),
            len: 0,
            in_time,
            late_due,
            slack_s: if in_time > 0 { slack_s } else { f64::INFINITY },
            charge_s: curve.seconds(planned) / f64::from(planned),
        }
    }

    /// Requests in time, by class, account and deadline. One that this batch would come too late
    /// for is passed over: for good if no other instance can still save it.
    fn fill_in_time(&mut self, draft: &mut Draft, others: &[f64], entries: &mut [PlanEntry]) {
        let curve = &self.options.buckets[draft.bucket];
        let end_ns = match self.options.rule {
            Rule::Priced => {
                self.now.offset_seconds(curve.seconds(draft.in_time + draft.late_due)).get()
            }
            Rule::Fixed => 0,
        };
        // The instance that this batch takes is not free for anybody else before it ends.
        let rescue_s = if self.options.instances > 1 { others[0] } else { f64::INFINITY };
        let rescue_ns = self.now.offset_seconds(rescue_s + curve.seconds(1)).get();
        while draft.len < draft.in_time {
            let owed = self.lines.owed_class(draft.bucket);
            let Some(class) = owed.or_else(|| self.lines.class_in(draft.bucket)) else { break };
            let Some(slot) = self.lines.head(class, draft.bucket) else { break };
            let deadline_ns = self.request(slot).deadline_ns;
            if deadline_ns < end_ns {
                self.pass_over(slot, deadline_ns < rescue_ns);
                continue;
            }
            if owed.is_some() {
                self.lines.pay(class);
            }
            self.put(draft, slot, entries);
        }
    }

    fn pass_over(&mut self, slot: u32, hopeless: bool) {
        if hopeless || self.aside_len as usize == self.aside.len() {
            let Some(request) = self.requests.at_mut(slot) else { return };
            self.lines.become_late(request, slot);
            return;
        }
        self.leave_line(slot);
        self.aside[self.aside_len as usize] = slot;
        self.aside_len += 1;
    }

    /// Whoever was passed over and can still be saved gets in line again.
    fn put_back(&mut self) {
        for place in 0..self.aside_len {
            let slot = self.aside[place as usize];
            if let Some(request) = self.requests.at(slot) {
                self.lines.enter(request, slot);
            }
        }
        self.aside_len = 0;
    }

    /// Requests of smaller shapes that take less of an instance here than in a batch of their own.
    fn fill_riders(&mut self, draft: &mut Draft, entries: &mut [PlanEntry]) {
        if !self.options.padding || draft.len == 0 {
            return;
        }
        for bucket in (0..draft.bucket).rev() {
            while draft.len < self.options.batch_size_max - draft.late_due {
                let Some(class) = self.lines.class_in(bucket) else { break };
                let Some(slot) = self.lines.head(class, bucket) else { break };
                let (curve, own) =
                    (&self.options.buckets[draft.bucket], &self.options.buckets[bucket]);
                let with_s = curve.seconds(draft.len + draft.late_due + 1);
                let extra_s = with_s - curve.seconds(draft.len + draft.late_due);
                let alone = self.lines.waiting_in(bucket).min(self.options.batch_size_max);
                let alone_s = own.seconds(alone) / f64::from(alone);
                let in_time =
                    self.now.offset_seconds(with_s).get() <= self.request(slot).deadline_ns;
                if !in_time || with_s > draft.slack_s || extra_s > alone_s {
                    break;
                }
                self.put(draft, slot, entries);
            }
        }
    }

    /// Late requests: those that are owed a seat, then as many as harm nobody who is in time, or
    /// who comes while the batch runs.
    fn fill_late(&mut self, draft: &mut Draft, entries: &mut [PlanEntry]) {
        let curve = &self.options.buckets[draft.bucket];
        let size_max = self.options.batch_size_max;
        let calm_s = self.arrivals[draft.bucket].target_s() / 2.0;
        let harmless = curve.batch_within(calm_s.min(draft.slack_s), size_max);
        let least = if draft.len == 0 { draft.late_due.max(1) } else { draft.len + draft.late_due };
        while draft.len < least.max(harmless).min(size_max) {
            let Some(slot) = self.lines.late_head(draft.bucket) else { break };
            self.lines.pay_late();
            self.put(draft, slot, entries);
        }
    }

    /// Gives a request the next seat.
    fn put(&mut self, draft: &mut Draft, slot: u32, entries: &mut [PlanEntry]) {
        let late = self.request(slot).stage == Stage::Late;
        self.leave_line(slot);
        let id = self.requests.handle_at(slot).unwrap_or_default();
        let now_ns = self.now.get();
        let request = self.request_mut(slot);
        request.stage = Stage::Running;
        let tag = request.tag;
        if !late {
            draft.slack_s = draft.slack_s.min(seconds_until(now_ns, request.deadline_ns));
        }
        if let Some(request) = self.requests.at(slot) {
            self.lines.charge(request, draft.charge_s);
        }
        entries[draft.len as usize] = PlanEntry { request: id, tag, late };
        self.flights.members_mut(draft.instance)[draft.len as usize] = slot;
        draft.len += 1;
    }

    fn send_off(&mut self, batch: BatchId, draft: &Draft, why: Why) -> Launch {
        let seconds = self.options.buckets[draft.bucket].seconds(draft.len);
        if let Ok(flight) = self.flights.get_mut(batch) {
            flight.seconds = seconds;
            flight.len = draft.len;
        }
        self.lines.earn(draft.len, self.options.batch_size_max);
        self.totals.batches += 1;
        self.totals.launched += u64::from(draft.len);
        Launch {
            batch,
            bucket: draft.bucket as u16,
            instance: draft.instance,
            len: draft.len,
            why,
            ends_at: self.now.offset_seconds(seconds),
        }
    }
}

const fn wait(until: Nanos, why: Why) -> Decision {
    Decision::Wait { until, why }
}
