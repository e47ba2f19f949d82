//! Who is next in line: queues by class and account, guarantees, and triage.

mod state;

use alloc::boxed::Box;
use alloc::vec;

use super::adapters::Adapters;
use super::aging::Debts;
use super::aside::Obstacle;
use super::form::seconds_between;
use super::ledger_options;
use super::request::{Request, Stage, Turn};
use super::sharing::Groups;
use crate::batch::queue::{Forest, Key, NONE};
use crate::handle::Slab;
use crate::policy::{BatchRules, CLASSES_MAX, Policy};
use crate::share::{AccountId, Ledger};
use crate::units::Nanos;

/// Roots of the two queues of one account in one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roots {
    pub(super) in_time: u32,
    pub(super) late: u32,
    /// Service that the account owes to its late requests here.
    pub(super) late_owed: f64,
}

const VACANT: Roots = Roots { in_time: NONE, late: NONE, late_owed: 0.0 };

/// The first in line of each kind.
#[derive(Default)]
struct Heads {
    in_time: Option<u32>,
    late: Option<u32>,
    /// The first late one of the accounts that owe their late ones service.
    owed: Option<u32>,
}

/// Who is next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Next {
    pub(super) slot: u32,
    pub(super) turn: Turn,
}

#[derive(Debug)]
pub(super) struct Lines {
    pub(super) ledger: Ledger,
    pub(super) adapters: Adapters,
    pub(super) groups: Groups,
    pub(super) forest: Forest,
    /// By class, then by account index.
    roots: Box<[Roots]>,
    pub(super) accounts_max: u32,
    classes_len: usize,
    /// Roots of the queues of requests that lost their KV, by class.
    pub(super) preempted: [u32; CLASSES_MAX],
    /// Requests in line, by class, preempted ones included.
    pub(super) waiting: [u32; CLASSES_MAX],
    late: [u32; CLASSES_MAX],
    pub(super) debts: Debts,
    /// Requests that stand aside, by class; late ones among them.
    pub(super) aside: [u32; CLASSES_MAX],
    pub(super) aside_late: u32,
    pub(super) credit: f64,
    rules: BatchRules,
}

impl Lines {
    pub(super) fn new(ledger: Ledger, policy: &Policy) -> Self {
        let limits = &policy.limits;
        let queues = policy.classes.len() * limits.accounts_max as usize;
        let mut lines = Self {
            ledger,
            adapters: Adapters::new(limits),
            groups: Groups::new(limits),
            forest: Forest::new(limits.requests_max),
            roots: vec![VACANT; queues].into_boxed_slice(),
            accounts_max: limits.accounts_max,
            classes_len: policy.classes.len(),
            preempted: [NONE; CLASSES_MAX],
            waiting: [0; CLASSES_MAX],
            late: [0; CLASSES_MAX],
            debts: Debts::new(),
            aside: [0; CLASSES_MAX],
            aside_late: 0,
            credit: 0.0,
            rules: policy.batch,
        };
        lines.set_policy(policy);
        lines
    }

    pub(super) fn bytes_needed(policy: &Policy) -> u64 {
        let queues = policy.classes.len() as u64 * u64::from(policy.limits.accounts_max);
        Ledger::bytes_needed(&ledger_options(&policy.limits, policy.classes.len()))
            .saturating_add(Forest::bytes_needed(policy.limits.requests_max))
            .saturating_add(Adapters::bytes_needed(&policy.limits))
            .saturating_add(Groups::bytes_needed(&policy.limits))
            .saturating_add(queues.saturating_mul(size_of::<Roots>() as u64))
    }

    pub(super) fn set_policy(&mut self, policy: &Policy) {
        self.debts.set_policy(policy);
        self.credit = policy.batch.urgency_credit_tokens;
        self.rules = policy.batch;
    }

    /// An account was opened: forgets whoever had this index before.
    pub(super) fn open(&mut self, account: AccountId) {
        for class in 0..self.classes_len {
            let roots = self.place(class as u8, account);
            self.roots[roots] = VACANT;
        }
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> u32 {
        self.waiting.iter().chain(&self.aside).sum()
    }

    pub(super) fn late_len(&self) -> u32 {
        self.late.iter().sum::<u32>() + self.aside_late
    }

    /// Requests of a class that wait, and how many of them are late.
    pub(super) const fn counts(&self, class: usize) -> (u32, u32) {
        (self.waiting[class] + self.aside[class], self.late[class])
    }

    /// A request gets in line for its first token, which is due at `deadline`.
    pub(super) fn enter(
        &mut self,
        requests: &mut Slab<Request>,
        slot: u32,
        deadline: Nanos,
        prefill_s: f64,
    ) {
        let Some(request) = requests.at_mut(slot) else { return };
        request.stage = Stage::Waiting;
        let key = self.key_of(request, deadline, prefill_s);
        self.adapters.arrive(request.adapter);
        self.join_line(request, slot, key);
    }

    /// As [`Lines::enter`] for a request that has stepped out.
    pub(super) fn step_in(
        &mut self,
        requests: &mut Slab<Request>,
        slot: u32,
        deadline: Nanos,
        prefill_s: f64,
    ) {
        let Some(request) = requests.at_mut(slot) else { return };
        request.stage = Stage::Waiting;
        let key = self.key_of(request, deadline, prefill_s);
        let roots = self.place(request.class, request.account);
        self.forest.insert(&mut self.roots[roots].in_time, slot, key);
    }

    /// Where a request stands among those in time.
    fn key_of(&self, request: &Request, deadline: Nanos, prefill_s: f64) -> Key {
        let at_ns = deadline.offset_seconds(self.rules.work_delay_ratio * prefill_s).get();
        Key { at_ns, sequence: request.sequence }
    }

    /// Takes a request that is in time or late out of its queue, but not out of what waits.
    pub(super) fn step_out(&mut self, requests: &mut Slab<Request>, slot: u32) {
        let Some(request) = requests.at(slot) else { return };
        let roots = self.place(request.class, request.account);
        let roots = &mut self.roots[roots];
        if request.stage == Stage::Late {
            self.forest.remove(&mut roots.late, slot);
            self.late[usize::from(request.class)] -= 1;
        } else {
            self.forest.remove(&mut roots.in_time, slot);
        }
    }

    /// The queues of the account at this index in a class.
    pub(super) const fn roots_at(&self, class: u8, account: u32) -> Roots {
        self.roots[class as usize * self.accounts_max as usize + account as usize]
    }

    /// Where the queues of an account in a class are.
    const fn place(&self, class: u8, account: AccountId) -> usize {
        class as usize * self.accounts_max as usize + account.index() as usize
    }

    /// A request that produced tokens lost its KV: it goes ahead of its class, because somebody
    /// is in the middle of reading it.
    pub(super) fn enter_preempted(
        &mut self,
        requests: &mut Slab<Request>,
        slot: u32,
        next_token_ns: u64,
    ) {
        let Some(request) = requests.at_mut(slot) else { return };
        request.stage = Stage::Preempted;
        let key = Key { at_ns: next_token_ns, sequence: request.sequence };
        self.adapters.arrive(request.adapter);
        self.join_line(request, slot, key);
    }

    /// A request gets in line where its stage says.
    pub(super) fn join_line(&mut self, request: &mut Request, slot: u32, key: Key) {
        request.obstacle = Obstacle::None;
        let class = usize::from(request.class);
        self.waiting[class] += 1;
        if request.stage == Stage::Preempted {
            self.forest.insert(&mut self.preempted[class], slot, key);
            return;
        }
        let place = self.place(request.class, request.account);
        let roots = &mut self.roots[place];
        if request.stage == Stage::Late {
            self.forest.insert(&mut roots.late, slot, key);
            self.late[class] += 1;
        } else {
            self.forest.insert(&mut roots.in_time, slot, key);
        }
        let arrived = self.ledger.arrive(u32::from(request.class), request.account);
        debug_assert!(arrived.is_ok(), "accounts with requests cannot be closed");
    }

    /// A request waits no more, wherever it stands.
    pub(super) fn leave(&mut self, requests: &mut Slab<Request>, slot: u32) {
        let Some(request) = requests.at(slot) else { return };
        self.adapters.depart(request.adapter);
        if request.obstacle.lets_pass() {
            self.leave_aside(requests, slot);
        } else {
            self.leave_line(requests, slot);
        }
    }

    /// Takes a request out of line.
    pub(super) fn leave_line(&mut self, requests: &mut Slab<Request>, slot: u32) {
        let Some(request) = requests.at(slot) else { return };
        let class = usize::from(request.class);
        self.waiting[class] -= 1;
        if request.stage == Stage::Preempted {
            self.forest.remove(&mut self.preempted[class], slot);
            return;
        }
        self.step_out(requests, slot);
        let Some(request) = requests.at(slot) else { return };
        let departed = self.ledger.depart(u32::from(request.class), request.account);
        debug_assert!(departed.is_ok(), "it was counted when it arrived");
    }

    /// Who is next if a step begins at `start_ns`; with `guarantees` false, as if nothing were
    /// owed to anybody.
    pub(super) fn next(
        &mut self,
        requests: &mut Slab<Request>,
        start_ns: u64,
        guarantees: bool,
    ) -> Option<Next> {
        let waits = |class: &usize| self.waiting[*class] > 0;
        let owed = |class: &usize| guarantees && waits(class) && self.debts.is_owed(*class);
        if let Some(class) = (0..self.classes_len).find(owed) {
            return self.next_of_class(requests, class, start_ns, (guarantees, true));
        }
        let class = (0..self.classes_len).find(waits)?;
        self.next_of_class(requests, class, start_ns, (guarantees, false))
    }

    /// Who is next in a class, and by what.
    fn next_of_class(
        &mut self,
        requests: &mut Slab<Request>,
        class: usize,
        start_ns: u64,
        (guarantees, owed): (bool, bool),
    ) -> Option<Next> {
        let (order, late) =
            if owed { (Turn::Class, Turn::ClassLate) } else { (Turn::Order, Turn::Late) };
        let preempted = self.preempted[class];
        if preempted != NONE {
            return Some(Next { slot: preempted, turn: order });
        }
        let heads = self.heads(requests, class, start_ns);
        if guarantees && let Some(slot) = heads.owed {
            return Some(Next { slot, turn: late });
        }
        heads.in_time.or(heads.late).map(|slot| Next { slot, turn: order })
    }

    /// The first of each kind, over the accounts whose turn it is.
    ///
    /// This is where triage happens: a head that can no longer be in time moves to the late queue
    /// of its account. Requests behind a head stay where they are until they get there.
    fn heads(&mut self, requests: &mut Slab<Request>, class: usize, start_ns: u64) -> Heads {
        let Self { ledger, forest, roots, late: late_counts, credit, rules, .. } = self;
        let mut heads = Heads::default();
        let Ok(eligible) = ledger.eligible(class as u32, *credit) else { return heads };
        for (account, _) in eligible {
            let roots = &mut roots[class * self.accounts_max as usize + account as usize];
            if rules.triage {
                late_counts[class] += triage(forest, roots, requests, start_ns);
            } else {
                late_counts[class] -= pardon(forest, roots, requests, rules.work_delay_ratio);
            }
            keep_first(forest, roots.in_time, &mut heads.in_time);
            keep_first(forest, roots.late, &mut heads.late);
            if roots.late_owed > 0.0 {
                keep_first(forest, roots.late, &mut heads.owed);
            }
        }
        // Credit is for those who can still be in time: late ones take strict turns.
        if heads.in_time.is_none()
            && heads.late.is_some()
            && let Ok(turn) = ledger.eligible(class as u32, 0.0)
        {
            let mut late = None;
            for (account, _) in turn {
                let roots = &roots[class * self.accounts_max as usize + account as usize];
                keep_first(forest, roots.late, &mut late);
            }
            heads.late = late.or(heads.late);
        }
        heads
    }

    /// Books service of `cost` to a request of `account` that was let in by `turn`, and whether it
    /// was late: all that wait are owed their share of it, and those that it was for pay for it.
    pub(super) fn book(
        &mut self,
        class: u8,
        account: AccountId,
        cost: f64,
        turn: Turn,
        late: bool,
    ) {
        self.debts.earn(&self.waiting[..self.classes_len], cost);
        self.debts.pay(usize::from(class), cost, turn);
        let roots = self.place(class, account);
        let roots = &mut self.roots[roots];
        let some_late = roots.late != NONE;
        self.debts.book_late(&mut roots.late_owed, cost, some_late, late.then_some(turn));
    }
}

/// Keeps the earlier of a queue's head and the best so far.
fn keep_first(forest: &Forest, head: u32, best: &mut Option<u32>) {
    if head != NONE && best.is_none_or(|best| forest.key(head) < forest.key(best)) {
        *best = Some(head);
    }
}

/// Moves heads that can no longer be in time to the late queue; returns how many.
fn triage(
    forest: &mut Forest,
    roots: &mut Roots,
    requests: &mut Slab<Request>,
    start_ns: u64,
) -> u32 {
    let mut moved = 0;
    while roots.in_time != NONE {
        let slot = roots.in_time;
        let Some(request) = requests.at_mut(slot) else { break };
        if start_ns <= request.latest_start_ns {
            break;
        }
        request.stage = Stage::Late;
        let key = Key { at_ns: request.arrival_ns, sequence: request.sequence };
        forest.remove(&mut roots.in_time, slot);
        forest.insert(&mut roots.late, slot, key);
        moved += 1;
    }
    moved
}

/// Without triage nobody stands behind as late: those that do go back to where their deadline puts
/// them. Returns how many; as above, each goes once.
fn pardon(
    forest: &mut Forest,
    roots: &mut Roots,
    requests: &mut Slab<Request>,
    work_delay_ratio: f64,
) -> u32 {
    let mut moved = 0;
    while roots.late != NONE {
        let slot = roots.late;
        let Some(request) = requests.at_mut(slot) else { break };
        request.stage = Stage::Waiting;
        let prefill_s = seconds_between(request.latest_start_ns, request.due_ns);
        let at_ns = Nanos(request.due_ns).offset_seconds(work_delay_ratio * prefill_s).get();
        let key = Key { at_ns, sequence: request.sequence };
        forest.remove(&mut roots.late, slot);
        forest.insert(&mut roots.in_time, slot, key);
        moved += 1;
    }
    moved
}
