//! Who waits: queues by class, bucket and account, and the order in which they are emptied.

use alloc::boxed::Box;
use alloc::vec;

use super::options::{BUCKETS_MAX, Options};
use super::request::{NEVER, Request, Stage};
use crate::batch::queue::{Forest, Key, NONE};
use crate::error::Error;
use crate::policy::CLASSES_MAX;
use crate::share::{Ledger, LedgerOptions};

mod state;

/// Place in line of a request without a deadline, counted from its arrival: a minute, as the
/// patience of the policy's class `batch`. Among themselves they go in order of arrival.
const PATIENCE_NS: u64 = 60_000_000_000;

/// Added to the key of a request that waits behind its class: beyond every real moment.
const BEHIND: u64 = 1 << 63;

#[derive(Debug)]
pub(super) struct Lines {
    pub(super) ledger: Ledger,
    /// Queues of accounts, and of late requests: each request is in one of them.
    order: Forest,
    /// By deadline, within a bucket, whoever can be in time.
    due: Forest,
    /// By arrival, the same ones.
    age: Forest,
    /// By expiry, everybody who can expire.
    life: Forest,
    /// By lane, then by account index.
    roots: Box<[u32]>,
    due_roots: [u32; BUCKETS_MAX],
    age_roots: [u32; BUCKETS_MAX],
    late_roots: [u32; BUCKETS_MAX],
    life_root: u32,
    accounts_max: u32,
    classes_len: usize,
    buckets_len: usize,
    /// By class and bucket: requests that can be in time.
    waiting: [[u32; BUCKETS_MAX]; CLASSES_MAX],
    late: [u32; BUCKETS_MAX],
    /// Of these, by class.
    late_of: [u32; CLASSES_MAX],
    /// Seats owed to each class, and to the late ones.
    owed: [f64; CLASSES_MAX],
    late_owed: f64,
    ratios: [f64; CLASSES_MAX],
    late_ratio: f64,
    credit_s: f64,
}

fn ledger_options(options: &Options) -> LedgerOptions {
    let lanes = (options.classes.len() * options.buckets.len()) as u32;
    LedgerOptions { accounts_max: options.accounts_max, lanes, ..LedgerOptions::default() }
}

impl Lines {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let ledger = Ledger::new(&ledger_options(options))?;
        let (classes_len, buckets_len) = (options.classes.len(), options.buckets.len());
        let queues = classes_len * buckets_len * options.accounts_max as usize;
        let mut ratios = [0.0; CLASSES_MAX];
        for (ratio, class) in ratios.iter_mut().zip(&options.classes) {
            *ratio = class.guaranteed_ratio;
        }
        let forest = || Forest::new(options.requests_max);
        Ok(Self {
            ledger,
            order: forest(),
            due: forest(),
            age: forest(),
            life: forest(),
            roots: vec![NONE; queues].into_boxed_slice(),
            due_roots: [NONE; BUCKETS_MAX],
            age_roots: [NONE; BUCKETS_MAX],
            late_roots: [NONE; BUCKETS_MAX],
            life_root: NONE,
            accounts_max: options.accounts_max,
            classes_len,
            buckets_len,
            waiting: [[0; BUCKETS_MAX]; CLASSES_MAX],
            late: [0; BUCKETS_MAX],
            late_of: [0; CLASSES_MAX],
            owed: [0.0; CLASSES_MAX],
            late_owed: 0.0,
            ratios,
            late_ratio: options.late_ratio,
            credit_s: options.urgency_credit.as_seconds(),
        })
    }

    pub(super) fn bytes_needed(options: &Options) -> u64 {
        let queues = (options.classes.len() * options.buckets.len()) as u64;
        let roots = queues
            .saturating_mul(u64::from(options.accounts_max))
            .saturating_mul(size_of::<u32>() as u64);
        Ledger::bytes_needed(&ledger_options(options))
            .saturating_add(roots)
            .saturating_add(4 * Forest::bytes_needed(options.requests_max))
    }

    fn lane(&self, class: usize, bucket: usize) -> u32 {
        (class * self.buckets_len + bucket) as u32
    }

    /// Which queue of [`Lines::roots`] a request that can be in time stands in.
    fn place(&self, request: &Request) -> usize {
        let lane = self.lane(request.class.into(), request.bucket.into()) as usize;
        lane * self.accounts_max as usize + request.account.index() as usize
    }

    fn root_of(&mut self, request: &Request) -> (&mut Forest, &mut u32) {
        let place = self.place(request);
        (&mut self.order, &mut self.roots[place])
    }

    /// Requests of a bucket that can be in time.
    pub(super) fn waiting_in(&self, bucket: usize) -> u32 {
        (0..self.classes_len).map(|class| self.waiting[class][bucket]).sum()
    }

    pub(super) fn late_in(&self, bucket: usize) -> u32 {
        self.late[bucket]
    }

    /// Requests of a class that wait, late ones included.
    pub(super) fn waiting_of(&self, class: usize) -> u32 {
        self.waiting[class][..self.buckets_len].iter().sum::<u32>() + self.late_of[class]
    }

    /// Requests in time of a bucket that a new one of a class stands behind.
    pub(super) fn ahead_of(&self, class: usize, bucket: usize) -> u32 {
        (0..=class).map(|class| self.waiting[class][bucket]).sum()
    }

    pub(super) fn len(&self) -> u32 {
        (0..self.buckets_len).map(|bucket| self.waiting_in(bucket) + self.late[bucket]).sum()
    }

    /// The first class with requests in time in a bucket.
    pub(super) fn class_in(&self, bucket: usize) -> Option<usize> {
        (0..self.classes_len).find(|class| self.waiting[*class][bucket] > 0)
    }

    /// Slot of the request of a bucket that is due first.
    pub(super) fn due_first(&self, bucket: usize) -> Option<u32> {
        Some(self.due_roots[bucket]).filter(|slot| *slot != NONE)
    }

    /// When the oldest request in time of a bucket arrived.
    pub(super) fn oldest_ns(&self, bucket: usize) -> Option<u64> {
        let root = self.age_roots[bucket];
        (root != NONE).then(|| self.age.key(root).at_ns)
    }

    /// Slot of the next request to expire, and when.
    pub(super) fn next_expiry(&self) -> Option<(u32, u64)> {
        let root = self.life_root;
        (root != NONE).then(|| (root, self.life.key(root).at_ns))
    }

    /// A request gets in line.
    pub(super) fn enter(&mut self, request: &Request, slot: u32) {
        self.stand(request, slot);
        let lane = self.lane(request.class.into(), request.bucket.into());
        let arrived = self.ledger.arrive(lane, request.account);
        debug_assert!(arrived.is_ok(), "the account was checked");
    }

    /// Puts a request that can be in time into its queues, and counts it.
    fn stand(&mut self, request: &Request, slot: u32) {
        let (class, bucket) = (usize::from(request.class), usize::from(request.bucket));
        let key = |at_ns| Key { at_ns, sequence: request.sequence };
        let (order, root) = self.root_of(request);
        order.insert(root, slot, key(rank_ns(request)));
        self.due.insert(&mut self.due_roots[bucket], slot, key(request.deadline_ns));
        self.age.insert(&mut self.age_roots[bucket], slot, key(request.arrival_ns));
        self.live(request, slot);
        self.waiting[class][bucket] += 1;
    }

    /// Puts a request that can expire into the queue of those.
    fn live(&mut self, request: &Request, slot: u32) {
        if request.expires_ns != NEVER {
            let key = Key { at_ns: request.expires_ns, sequence: request.sequence };
            self.life.insert(&mut self.life_root, slot, key);
        }
    }

    /// Takes a waiting request out of every queue.
    pub(super) fn leave(&mut self, request: &Request, slot: u32) {
        let bucket = usize::from(request.bucket);
        if request.stage == Stage::Late {
            self.order.remove(&mut self.late_roots[bucket], slot);
            self.late[bucket] -= 1;
            self.late_of[usize::from(request.class)] -= 1;
        } else {
            self.leave_in_time(request, slot);
        }
        if request.expires_ns != NEVER {
            self.life.remove(&mut self.life_root, slot);
        }
    }

    fn leave_in_time(&mut self, request: &Request, slot: u32) {
        let (class, bucket) = (usize::from(request.class), usize::from(request.bucket));
        let (order, root) = self.root_of(request);
        order.remove(root, slot);
        self.due.remove(&mut self.due_roots[bucket], slot);
        self.age.remove(&mut self.age_roots[bucket], slot);
        self.waiting[class][bucket] -= 1;
        let departed = self.ledger.depart(self.lane(class, bucket), request.account);
        debug_assert!(departed.is_ok(), "it was counted when it arrived");
    }

    /// A request's deadline is lost, or given up.
    pub(super) fn become_late(&mut self, request: &mut Request, slot: u32) {
        self.leave_in_time(request, slot);
        request.stage = Stage::Late;
        self.stand_late(request, slot);
    }

    /// Puts a late request into the queue of the late ones, and counts it.
    fn stand_late(&mut self, request: &Request, slot: u32) {
        let bucket = usize::from(request.bucket);
        let key = Key { at_ns: request.arrival_ns, sequence: request.sequence };
        self.order.insert(&mut self.late_roots[bucket], slot, key);
        self.late[bucket] += 1;
        self.late_of[usize::from(request.class)] += 1;
    }

    /// A request expired and goes behind its class; what is late already stays where it is.
    pub(super) fn delay(&mut self, request: &mut Request, slot: u32) {
        self.life.remove(&mut self.life_root, slot);
        request.expires_ns = NEVER;
        if request.stage == Stage::Late {
            return;
        }
        request.stage = Stage::Delayed;
        let key = Key { at_ns: rank_ns(request), sequence: request.sequence };
        let (order, root) = self.root_of(request);
        order.remove(root, slot);
        order.insert(root, slot, key);
    }

    /// The next request of a class and bucket: among the accounts whose turn it is, the one due
    /// first. O(accounts whose turn it is).
    pub(super) fn head(&self, class: usize, bucket: usize) -> Option<u32> {
        let lane = self.lane(class, bucket);
        let roots = &self.roots[lane as usize * self.accounts_max as usize..];
        let mut best: Option<u32> = None;
        for (account, _) in self.ledger.eligible(lane, self.credit_s).ok()? {
            let head = roots[account as usize];
            let better =
                head != NONE && best.is_none_or(|best| self.order.key(head) < self.order.key(best));
            if better {
                best = Some(head);
            }
        }
        best
    }

    /// The oldest late request of a bucket.
    pub(super) fn late_head(&self, bucket: usize) -> Option<u32> {
        Some(self.late_roots[bucket]).filter(|slot| *slot != NONE)
    }

    /// The first class that is owed a seat and waits in this bucket.
    pub(super) fn owed_class(&self, bucket: usize) -> Option<usize> {
        (0..self.classes_len).find(|c| self.owed[*c] >= 1.0 && self.waiting[*c][bucket] > 0)
    }

    /// Late requests of a bucket that are owed a seat now.
    pub(super) fn late_due(&self, bucket: usize) -> u32 {
        (self.late_owed.max(0.0) as u32).min(self.late[bucket])
    }

    /// A seat was given by guarantee: it is paid for.
    pub(super) fn pay(&mut self, class: usize) {
        self.owed[class] -= 1.0;
    }

    /// A late request got a seat: it is paid for, but never in advance.
    pub(super) fn pay_late(&mut self) {
        self.late_owed = (self.late_owed - 1.0).max(0.0);
    }

    /// A batch of `size` is launched: everybody who is still waiting earns a share of its seats, up
    /// to a batch.
    pub(super) fn earn(&mut self, size: u32, size_max: u32) {
        let (seats, most) = (f64::from(size), f64::from(size_max));
        for class in 0..self.classes_len {
            let waits = self.waiting[class][..self.buckets_len].iter().any(|count| *count > 0);
            let earned = if waits { self.owed[class] + self.ratios[class] * seats } else { 0.0 };
            self.owed[class] = earned.min(most);
        }
        let waits = self.late[..self.buckets_len].iter().any(|count| *count > 0);
        let earned = if waits { self.late_owed + self.late_ratio * seats } else { 0.0 };
        self.late_owed = earned.min(most);
    }

    /// Charges time of an instance, in every bucket of the class: an account that uses several has
    /// one share.
    pub(super) fn charge(&mut self, request: &Request, seconds: f64) {
        for bucket in 0..self.buckets_len {
            let lane = self.lane(request.class.into(), bucket);
            let charged = self.ledger.charge(lane, request.account, seconds);
            debug_assert!(charged.is_ok(), "accounts with requests cannot be closed");
        }
    }

    /// Calls `visit` with up to `most` slots of a bucket, earliest deadline first.
    /// O(most log requests).
    pub(super) fn scan_due(
        &mut self,
        bucket: usize,
        scratch: &mut [u32],
        mut visit: impl FnMut(usize, u32),
    ) -> usize {
        let mut len = 0;
        while len < scratch.len() && self.due_roots[bucket] != NONE {
            let slot = self.due_roots[bucket];
            self.due.remove(&mut self.due_roots[bucket], slot);
            scratch[len] = slot;
            visit(len, slot);
            len += 1;
        }
        for &slot in &scratch[..len] {
            let key = self.due.key(slot);
            self.due.insert(&mut self.due_roots[bucket], slot, key);
        }
        len
    }
}

/// The moment by which a request stands in the queue of its account.
fn rank_ns(request: &Request) -> u64 {
    let due_ns = if request.deadline_ns == NEVER {
        request.arrival_ns.saturating_add(PATIENCE_NS)
    } else {
        request.deadline_ns
    };
    let behind = if request.stage == Stage::Delayed { BEHIND } else { 0 };
    (due_ns & !BEHIND) | behind
}
