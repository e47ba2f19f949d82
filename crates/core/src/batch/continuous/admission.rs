//! Who is next in line: queues by class and account, guarantees, and triage.

use alloc::boxed::Box;
use alloc::vec;

use super::adapters::Adapters;
use super::aside::Obstacle;
use super::ledger_options;
use super::request::{Request, Stage, Turn};
use super::sharing::Groups;
use crate::batch::queue::{Forest, Key, NONE};
use crate::handle::Slab;
use crate::policy::{CLASSES_MAX, Policy};
use crate::share::Ledger;
use crate::units::Nanos;

/// Seconds of priority that one second of remaining prompt work costs. Between "earliest deadline"
/// (1: the moment it must start) and "shortest first"; see `docs/policies/batch.md`.
pub(super) const WORK_DELAY: f64 = 2.0;

/// Roots of the two queues of one account in one class.
#[derive(Clone, Copy, Debug)]
struct Roots {
    in_time: u32,
    late: u32,
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
    accounts_max: u32,
    classes_len: usize,
    /// Roots of the queues of requests that lost their KV, by class.
    preempted: [u32; CLASSES_MAX],
    /// Requests in line, by class, preempted ones included.
    waiting: [u32; CLASSES_MAX],
    late: [u32; CLASSES_MAX],
    /// Requests that stand aside, by class; late ones among them.
    pub(super) aside: [u32; CLASSES_MAX],
    pub(super) aside_late: u32,
    ratios: [f64; CLASSES_MAX],
    owed: [f64; CLASSES_MAX],
    late_ratio: f64,
    late_owed: f64,
    credit: f64,
    /// No guarantee owes more than this: the credit, and at least one step.
    owed_max: f64,
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
            roots: vec![Roots { in_time: NONE, late: NONE }; queues].into_boxed_slice(),
            accounts_max: limits.accounts_max,
            classes_len: policy.classes.len(),
            preempted: [NONE; CLASSES_MAX],
            waiting: [0; CLASSES_MAX],
            late: [0; CLASSES_MAX],
            aside: [0; CLASSES_MAX],
            aside_late: 0,
            ratios: [0.0; CLASSES_MAX],
            owed: [0.0; CLASSES_MAX],
            late_ratio: 0.0,
            late_owed: 0.0,
            credit: 0.0,
            owed_max: 0.0,
        };
        lines.set_policy(policy);
        lines
    }

    pub(super) fn bytes_needed(policy: &Policy) -> u64 {
        let queues = policy.classes.len() as u64 * u64::from(policy.limits.accounts_max);
        Ledger::bytes_needed(&ledger_options(policy))
            .saturating_add(Forest::bytes_needed(policy.limits.requests_max))
            .saturating_add(Adapters::bytes_needed(&policy.limits))
            .saturating_add(Groups::bytes_needed(&policy.limits))
            .saturating_add(queues.saturating_mul(size_of::<Roots>() as u64))
    }

    pub(super) fn set_policy(&mut self, policy: &Policy) {
        for (ratio, class) in self.ratios.iter_mut().zip(&policy.classes) {
            *ratio = class.guaranteed_ratio;
        }
        self.late_ratio = policy.batch.late_ratio;
        self.credit = policy.batch.urgency_credit_tokens;
        let step = f64::from(policy.limits.step_tokens_max.get()) * policy.batch.prompt_token_cost;
        self.owed_max = self.credit.max(step);
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> u32 {
        self.waiting.iter().chain(&self.aside).sum()
    }

    pub(super) fn late_len(&self) -> u32 {
        self.late.iter().sum::<u32>() + self.aside_late
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
        let at_ns = deadline.offset_seconds(WORK_DELAY * prefill_s).get();
        let key = Key { at_ns, sequence: request.sequence };
        self.adapters.arrive(request.adapter);
        self.join_line(request, slot, key);
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
        let roots = &mut self.roots[class * self.accounts_max as usize + account_index(request)];
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
        let roots = &mut self.roots[class * self.accounts_max as usize + account_index(request)];
        if request.stage == Stage::Late {
            self.forest.remove(&mut roots.late, slot);
            self.late[class] -= 1;
        } else {
            self.forest.remove(&mut roots.in_time, slot);
        }
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
        if guarantees && let Some(next) = self.next_owed(requests, start_ns) {
            return Some(next);
        }
        let class = (0..self.classes_len).find(|class| self.waiting[*class] > 0)?;
        let slot = self.next_of_class(requests, class, start_ns)?;
        Some(Next { slot, turn: Turn::Order })
    }

    fn next_owed(&mut self, requests: &mut Slab<Request>, start_ns: u64) -> Option<Next> {
        let owed = |class: &usize| self.owed[*class] > 0.0 && self.waiting[*class] > 0;
        if let Some(class) = (0..self.classes_len).find(owed) {
            let slot = self.next_of_class(requests, class, start_ns)?;
            return Some(Next { slot, turn: Turn::Class });
        }
        if self.late_owed <= 0.0 {
            return None;
        }
        let class = (0..self.classes_len).find(|class| self.late[*class] > 0)?;
        let slot = self.heads(requests, class, start_ns).1?;
        Some(Next { slot, turn: Turn::Late })
    }

    fn next_of_class(
        &mut self,
        requests: &mut Slab<Request>,
        class: usize,
        start_ns: u64,
    ) -> Option<u32> {
        let preempted = self.preempted[class];
        if preempted != NONE {
            return Some(preempted);
        }
        let (in_time, late) = self.heads(requests, class, start_ns);
        in_time.or(late)
    }

    /// The first request in time and the first late one, over the accounts whose turn it is.
    ///
    /// This is where triage happens: a head that can no longer be in time moves to the late queue
    /// of its account. Requests behind a head stay where they are until they get there.
    fn heads(
        &mut self,
        requests: &mut Slab<Request>,
        class: usize,
        start_ns: u64,
    ) -> (Option<u32>, Option<u32>) {
        let Self { ledger, forest, roots, late: late_counts, credit, .. } = self;
        let Ok(eligible) = ledger.eligible(class as u32, *credit) else { return (None, None) };
        let (mut in_time, mut late): (Option<u32>, Option<u32>) = (None, None);
        for (account, _) in eligible {
            let roots = &mut roots[class * self.accounts_max as usize + account as usize];
            late_counts[class] += triage(forest, roots, requests, start_ns);
            for (head, best) in [(roots.in_time, &mut in_time), (roots.late, &mut late)] {
                let better =
                    head != NONE && best.is_none_or(|best| forest.key(head) < forest.key(best));
                if better {
                    *best = Some(head);
                }
            }
        }
        (in_time, late)
    }

    /// Books service of `cost` to a request that was let in by `turn`: what is owed to those that
    /// wait grows by their share of everybody's service, and the request's own class pays for it.
    pub(super) fn book(&mut self, class: u8, cost: f64, turn: Turn, late: bool) {
        for index in 0..self.classes_len {
            let most = if self.waiting[index] > 0 { self.owed_max } else { 0.0 };
            earn(&mut self.owed[index], self.ratios[index] * cost, most);
        }
        pay(&mut self.owed[usize::from(class)], cost, turn == Turn::Class);
        let most = if self.late_len() > 0 { self.owed_max } else { 0.0 };
        earn(&mut self.late_owed, self.late_ratio * cost, most);
        if late {
            pay(&mut self.late_owed, cost, turn == Turn::Late);
        }
    }
}

fn account_index(request: &Request) -> usize {
    request.account.index() as usize
}

/// Adds to what is owed, up to `most`; what is owed already beyond that stays.
fn earn(owed: &mut f64, earned: f64, most: f64) {
    *owed = (*owed + earned).min(owed.max(most));
}

/// Pays for service. Only service that the guarantee itself brought about is paid in advance: what
/// the order gives anyway must not be held against those that starve later.
fn pay(owed: &mut f64, cost: f64, in_advance: bool) {
    let rest = *owed - cost;
    *owed = if in_advance { rest } else { rest.max(owed.min(0.0)) };
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
