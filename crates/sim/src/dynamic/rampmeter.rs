//! The desk that hosts embed, as one more policy.

use std::collections::BTreeMap;

use ::rampmeter::batch::dynamic::{
    Admission, BatchId, Decision, DynamicBatcher, Ending, Expired, Observation, Options, Plan,
    PlanEntry, Submission,
};
use ::rampmeter::share::AccountId;
use ::rampmeter::{Error, Nanos};

use super::{Choice, Item, Policy};

/// A thin adapter over [`DynamicBatcher`]: it has no opinion of its own.
#[derive(Debug)]
pub struct Rampmeter {
    batcher: DynamicBatcher,
    account: AccountId,
    entries: Vec<PlanEntry>,
    expired: Vec<Expired>,
    shed: Vec<usize>,
    running: BTreeMap<u64, BatchId>,
}

impl Rampmeter {
    /// One account; everybody in the first class and bucket.
    ///
    /// # Errors
    /// As [`DynamicBatcher::new`].
    pub fn new(options: &Options) -> Result<Self, Error> {
        let mut batcher = DynamicBatcher::new(options)?;
        let account = batcher.open_account(None, 1.0)?;
        Ok(Self {
            batcher,
            account,
            entries: vec![PlanEntry::default(); options.batch_size_max as usize],
            expired: vec![Expired::default(); 64],
            shed: Vec::new(),
            running: BTreeMap::new(),
        })
    }

    /// The desk itself.
    pub fn batcher(&self) -> &DynamicBatcher {
        &self.batcher
    }
}

impl Policy for Rampmeter {
    fn arrive(&mut self, now: Nanos, index: usize, item: &Item) {
        let submission = Submission {
            tag: index as u64,
            class: 0,
            account: self.account,
            bucket: 0,
            arrival: item.arrival,
            deadline: Some(item.deadline),
            expires_at: None,
        };
        let admission = self.batcher.submit(now, &submission);
        if matches!(admission.expect("the workload is in order"), Admission::Shed(_)) {
            self.shed.push(index);
        }
    }

    fn decide(&mut self, now: Nanos, batch: &mut Vec<usize>, dropped: &mut Vec<usize>) -> Choice {
        dropped.append(&mut self.shed);
        let plan = &mut Plan { entries: &mut self.entries, expired: &mut self.expired };
        let formed = self.batcher.form(now, plan).expect("time goes on");
        let expired = &self.expired[..formed.expired_len as usize];
        dropped.extend(expired.iter().map(|expired| expired.tag as usize));
        match formed.decision {
            Decision::Launch(launch) => {
                let entries = &self.entries[..launch.len as usize];
                batch.extend(entries.iter().map(|entry| entry.tag as usize));
                self.running.insert(launch.batch.to_raw(), launch.batch);
                Choice::Launch(launch.batch.to_raw())
            }
            Decision::Wait { until, .. } => Choice::Wait(until),
            Decision::Idle => Choice::Idle,
        }
    }

    fn ended(&mut self, now: Nanos, batch: u64, _: u32, duration: Nanos) {
        let Some(batch) = self.running.remove(&batch) else { return };
        let seen = Observation { batch, duration: Some(duration), ending: Ending::Completed };
        self.batcher.observe(now, &seen).expect("the batch runs");
    }
}
