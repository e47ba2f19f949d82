//! The gate by its C functions answers as the core does.
#![allow(unsafe_code, reason = "these are calls as C makes them")]

mod caller;

use std::ptr;

use caller::{Prng, Said, policy, sized};
use rampmeter::Nanos;
use rampmeter::error::codes;
use rampmeter::headroom::gate::{Admission, Dequeued, Gate, GiveUpReason, Ticket};
use rampmeter::policy::Policy;
use rampmeter::share::AccountId;
use rampmeter_ffi::batcher::RAMPMETER_NEVER;
use rampmeter_ffi::gate::*;
use rampmeter_ffi::policy::{rampmeter_policy, rampmeter_policy_destroy};

const MS: u64 = 1_000_000;

const DOCUMENT: &str = r#"
[limits]
requests_max = 24
running_max = 8
accounts_max = 6

[gate]
usage_memory_s = 1.0
memory_requests = 50

[[class]]
name = "urgent"
ttft_target_s = 0.15

[[class]]
name = "batch"
ttft_target_s = 0.9
guaranteed_ratio = 0.1

[[account]]
name = "a"

[[account]]
name = "b"
weight = 2.0

[[account]]
name = "a1"
parent = "a"
"#;

/// A gate behind a pointer and one of the core, which hear the same.
struct Twins {
    gate: *mut rampmeter_gate,
    core: Gate,
    terms: (*mut rampmeter_policy, Policy),
    said: Said,
    /// Of requests that have not gone.
    tickets: Vec<u64>,
    gone: u64,
    /// How often each answer was given: to who came, who was dequeued, and who was given up.
    answers: [[u32; 3]; 3],
}

impl Drop for Twins {
    fn drop(&mut self) {
        // SAFETY: both came from C and are not used later.
        unsafe {
            rampmeter_gate_destroy(self.gate);
            rampmeter_policy_destroy(self.terms.0);
        }
    }
}

impl Twins {
    fn new(servers: u32) -> Self {
        let (terms, mut gate) = (policy(DOCUMENT), ptr::null_mut());
        // SAFETY: the policy is good, and the place may be written.
        let status =
            unsafe { rampmeter_gate_create(terms.0, servers, &raw mut gate, ptr::null_mut()) };
        assert_eq!(status, codes::OK);
        let core = Gate::new(&terms.1, servers).unwrap();
        let (said, tickets, answers) = (Said::nothing(), Vec::new(), [[0; 3]; 3]);
        Self { gate, core, terms, said, tickets, gone: 0, answers }
    }

    fn account(&mut self, index: u32) -> u64 {
        let mut account = 0;
        // SAFETY: the gate is good, and both places may be written.
        let status = unsafe {
            rampmeter_gate_policy_account(self.gate, index, &raw mut account, self.said.place())
        };
        let core = self.core.policy_account(index as usize);
        assert_eq!((status, account), (codes::OK, core.unwrap().to_raw()));
        account
    }

    fn admit(&mut self, now: u64, class: u32, account: u64, work: u32) {
        let mut got = sized::<rampmeter_gate_admission>();
        let (place, said) = (&raw mut got, self.said.place());
        // SAFETY: the gate is good, and both places may be written.
        let status =
            unsafe { rampmeter_gate_admit(self.gate, now, class, account, work, place, said) };
        let core = self.core.admit(Nanos(now), class, AccountId::from_raw(account), work);
        let Some(core) = self.said.agrees(status, core) else {
            return assert_eq!((got.answer, got.ticket), (0, 0));
        };
        let ticket = core.ticket().map_or(0, Ticket::to_raw);
        let (answer, until, retry, reason) = match core {
            Admission::Admit(_) => (RAMPMETER_GATE_ADMIT, 0, 0, 0),
            Admission::Hold { until, .. } => (RAMPMETER_GATE_HOLD, until.get(), 0, 0),
            Admission::Shed { reason, retry_after } => {
                (RAMPMETER_GATE_SHED, 0, retry_after.get(), reason as u32)
            }
        };
        assert_eq!((got.answer, got.ticket, got.until_ns), (answer, ticket, until));
        assert_eq!((got.retry_after_ns, got.shed_reason), (retry, reason));
        self.answers[0][answer as usize] += 1;
        if ticket != 0 {
            self.tickets.push(ticket);
        }
    }

    fn next(&mut self, now: u64) -> u64 {
        let mut ticket = 0;
        // SAFETY: the gate is good, and both places may be written.
        let status =
            unsafe { rampmeter_gate_next(self.gate, now, &raw mut ticket, self.said.place()) };
        let core = self.core.next(Nanos(now));
        if let Some(core) = self.said.agrees(status, core) {
            assert_eq!(ticket, core.map_or(0, Ticket::to_raw));
        }
        ticket
    }

    fn dequeue(&mut self, now: u64, ticket: u64) {
        let mut got = sized::<rampmeter_gate_dequeued>();
        let (place, said) = (&raw mut got, self.said.place());
        // SAFETY: the gate is good, and both places may be written.
        let status = unsafe { rampmeter_gate_dequeue(self.gate, now, ticket, place, said) };
        let core = self.core.dequeue(Nanos(now), Ticket::from_raw(ticket));
        if let Some(core) = self.said.agrees(status, core) {
            let wanted = match core {
                Dequeued::Start { waited } => (RAMPMETER_GATE_START, waited.get(), 0),
                Dequeued::Expired { waited } => (RAMPMETER_GATE_EXPIRED, waited.get(), 0),
                Dequeued::Displaced { retry_after } => {
                    (RAMPMETER_GATE_DISPLACED, 0, retry_after.get())
                }
            };
            assert_eq!((got.answer, got.waited_ns, got.retry_after_ns), wanted);
            self.answers[1][got.answer as usize] += 1;
            if got.answer != RAMPMETER_GATE_START {
                self.goes(ticket);
            }
        }
    }

    fn ended(&mut self, now: u64, ticket: u64) {
        // SAFETY: the gate is good, and the error may be written.
        let status = unsafe { rampmeter_gate_ended(self.gate, now, ticket, self.said.place()) };
        let core = self.core.ended(Nanos(now), Ticket::from_raw(ticket));
        if self.said.agrees(status, core).is_some() {
            self.goes(ticket);
        }
    }

    fn left(&mut self, now: u64, ticket: u64) {
        // SAFETY: the gate is good, and the error may be written.
        let status = unsafe { rampmeter_gate_left(self.gate, now, ticket, self.said.place()) };
        let core = self.core.left(Nanos(now), Ticket::from_raw(ticket));
        if self.said.agrees(status, core).is_some() {
            self.goes(ticket);
        }
    }

    fn goes(&mut self, ticket: u64) {
        self.tickets.retain(|other| *other != ticket);
        self.gone = ticket;
    }

    fn given_up(&mut self, now: u64) {
        let mut got = sized::<rampmeter_gate_refusal>();
        // SAFETY: the gate is good, and both places may be written.
        let status =
            unsafe { rampmeter_gate_given_up(self.gate, now, &raw mut got, self.said.place()) };
        let core = self.core.given_up(Nanos(now));
        match self.said.agrees(status, core).flatten() {
            None => assert_eq!(got.ticket, 0),
            Some(core) => {
                let reason = match core.reason {
                    GiveUpReason::Expired => RAMPMETER_GATE_EXPIRED,
                    GiveUpReason::Displaced => RAMPMETER_GATE_DISPLACED,
                };
                assert_eq!((got.ticket, got.reason), (core.ticket.to_raw(), reason));
                assert_eq!((got.account, got.class_index), (core.account.to_raw(), core.class));
                assert_eq!(got.retry_after_ns, core.retry_after.get());
                self.answers[2][reason as usize] += 1;
                self.goes(got.ticket);
            }
        }
    }

    fn look(&mut self, now: u64, class: u32) {
        let (mut outlook, mut stats) =
            (sized::<rampmeter_outlook>(), sized::<rampmeter_stats_gate>());
        let (mut next, said) = (0, self.said.place());
        // SAFETY: the gate is good, and all places may be written.
        let status = unsafe {
            assert_eq!(rampmeter_gate_next_event(self.gate, now, &raw mut next, said), codes::OK);
            assert_eq!(rampmeter_gate_stats(self.gate, &raw mut stats, said), codes::OK);
            rampmeter_gate_outlook(self.gate, now, class, &raw mut outlook, said)
        };
        if let Some(core) = self.said.agrees(status, self.core.outlook(Nanos(now), class)) {
            let (got, want) = (outlook, core);
            assert_eq!(
                (got.starts_before, got.starts_per_s),
                (want.starts_before, want.starts_per_s)
            );
            assert_eq!((got.likely_wait_s, got.chance), (want.likely_wait_s, want.chance));
            assert_eq!(got.samples, want.samples);
        }
        assert_eq!(next, self.core.next_event(Nanos(now)).map_or(RAMPMETER_NEVER, Nanos::get));
        let core = self.core.stats();
        assert_eq!((stats.waiting, stats.running), (core.waiting, core.running));
        assert_eq!((stats.servers, stats.given_up), (core.servers, core.given_up));
        assert_eq!((stats.admitted, stats.held), (core.admitted, core.held));
        assert_eq!((stats.started, stats.ended), (core.started, core.ended));
        assert_eq!((stats.expired, stats.displaced), (core.expired, core.displaced));
        assert_eq!(stats.shed, core.shed);
    }

    /// Both say the same in bytes, and go on from them.
    fn moves_house(&mut self) {
        let (mut bytes_len, mut written) = (0, 0);
        let mut core = vec![0; self.core.snapshot_bytes() as usize];
        self.core.save(&mut core).unwrap();
        let mut bytes = vec![0_u8; core.len()];
        let (none, out) = (ptr::null_mut(), bytes.as_mut_ptr());
        // SAFETY: the gate is good, and so much may be written.
        unsafe {
            let place = &raw mut bytes_len;
            assert_eq!(rampmeter_gate_snapshot_bytes(self.gate, place, none), codes::OK);
            assert_eq!(bytes_len, bytes.len() as u64);
            let short = rampmeter_gate_save(self.gate, out, 9, &raw mut written, none);
            assert_eq!((short, written), (codes::BUFFER_TOO_SMALL, 0));
            let saved = rampmeter_gate_save(self.gate, out, bytes.len(), &raw mut written, none);
            assert_eq!((saved, written), (codes::OK, bytes.len()));
        }
        assert_eq!(bytes, core);
        let mut again = ptr::null_mut();
        let (terms, from, len) = (self.terms.0, bytes.as_ptr(), bytes.len());
        // SAFETY: policy and bytes are good, and the place may be written.
        unsafe {
            let cut = rampmeter_gate_restore(terms, from, len - 1, &raw mut again, none);
            assert_eq!((cut, again.is_null()), (codes::SNAPSHOT, true));
            assert_eq!(rampmeter_gate_restore(terms, from, len, &raw mut again, none), codes::OK);
            rampmeter_gate_destroy(self.gate);
        }
        self.gate = again;
        self.core = Gate::restore(&self.terms.1, &core).unwrap();
    }
}

#[test]
fn the_same_calls_have_the_same_answers() {
    let mut answers = [[0; 3]; 3];
    for seed in 0..30 {
        let (mut prng, mut now) = (Prng(seed), 0);
        let mut twins = Twins::new(prng.below(5) as u32);
        for _ in 0..400 {
            now += prng.below(20) * MS;
            let at = if prng.chance(3) { now / 2 } else { now };
            // It may wait, run, be given up, or be gone.
            let known = twins.tickets.get(prng.below(twins.tickets.len() as u64) as usize);
            let ticket = known.copied().filter(|_| prng.chance(95)).unwrap_or(twins.gone);
            match prng.below(100) {
                0..45 => {
                    let mut account = twins.account(prng.below(3) as u32);
                    if prng.chance(3) {
                        account = prng.draw();
                    }
                    twins.admit(at, prng.below(20) as u32 / 9, account, prng.below(9) as u32);
                }
                45..60 => {
                    let next = twins.next(at);
                    if next != 0 {
                        twins.dequeue(at, next);
                    }
                }
                60..87 => twins.ended(at, ticket),
                87..89 => twins.left(at, ticket),
                89..91 => twins.given_up(at),
                91..97 => twins.dequeue(at, ticket),
                97 => twins.moves_house(),
                _ => twins.look(at, prng.below(3) as u32),
            }
        }
        for (sum, more) in answers.as_flattened_mut().iter_mut().zip(twins.answers.as_flattened()) {
            *sum += more;
        }
    }
    // Nobody is given up to start.
    let seen = answers.as_flattened().iter().enumerate().all(|(at, count)| at == 6 || *count > 9);
    assert!(seen, "{answers:?}");
}

#[test]
fn accounts_servers_and_policies_change() {
    let mut twins = Twins::new(2);
    let (parent, none) = (twins.account(1), ptr::null_mut());
    let (mut opened, mut wrong) = (0, 7);
    let gate = twins.gate;
    // SAFETY: the gate is good, and all places may be written.
    unsafe {
        let said = twins.said.place();
        let place = &raw mut wrong;
        assert_eq!(rampmeter_gate_policy_account(gate, 3, place, said), codes::RANGE);
        let text = twins.said.text();
        assert!(text.ends_with("= 3: the policy names 3 accounts, from 0 on"), "{text}");
        assert_eq!(rampmeter_gate_open_account(gate, 99, 1.0, place, none), codes::STALE);
        assert_eq!(rampmeter_gate_open_account(gate, 0, -1.0, place, none), codes::RANGE_REAL);
        assert_eq!(wrong, 7);
        assert_eq!(
            rampmeter_gate_open_account(gate, parent, 2.0, &raw mut opened, none),
            codes::OK
        );
        let core = twins.core.open_account(Some(AccountId::from_raw(parent)), 2.0).unwrap();
        assert_eq!(opened, core.to_raw());
        assert_eq!(rampmeter_gate_close_account(gate, parent, none), codes::CONTRADICTION);
        assert_eq!(rampmeter_gate_set_servers(gate, 5, 3, none), codes::OK);
        assert_eq!(rampmeter_gate_set_servers(gate, 5, u32::MAX, none), codes::RANGE);
        assert_eq!(rampmeter_gate_set_servers(gate, 4, 3, none), codes::TIME_REVERSED);
        twins.core.capacity(Nanos(5), 3).unwrap();
        let (other, core) = policy(&DOCUMENT.replace("weight = 2.0", "weight = 5.0"));
        assert_eq!(rampmeter_gate_set_policy(gate, other, none), codes::OK);
        twins.core.apply(&core).unwrap();
        rampmeter_policy_destroy(other);
        let (fewer, _) = policy("");
        assert_eq!(rampmeter_gate_set_policy(gate, fewer, none), codes::RANGE);
        rampmeter_policy_destroy(fewer);
    }
    for _ in 0..5 {
        twins.admit(6, 0, opened, 1);
    }
    // SAFETY: the gate is good.
    unsafe {
        assert_eq!(rampmeter_gate_close_account(gate, opened, none), codes::CONTRADICTION);
    }
    twins.look(6, 1);
    for ticket in twins.tickets.clone() {
        twins.ended(7, ticket);
    }
    // SAFETY: the gate is good.
    unsafe { assert_eq!(rampmeter_gate_close_account(gate, opened, none), codes::OK) };
    twins.core.close_account(AccountId::from_raw(opened)).unwrap();
    twins.look(8, 1);
}

#[test]
fn wrong_memory_is_refused_before_anything_changes() {
    let mut twins = Twins::new(1);
    let (account, none) = (twins.account(0), ptr::null_mut());
    let (gate, mut small) = (twins.gate, sized::<rampmeter_gate_admission>());
    let mut dequeued = sized::<rampmeter_gate_dequeued>();
    (small.size, dequeued.size) = (39, 0);
    // SAFETY: null is allowed everywhere, and the rest may be written.
    unsafe {
        let (nowhere, place) = (ptr::null_mut(), &raw mut small);
        assert_eq!(rampmeter_gate_admit(gate, 1, 0, account, 1, nowhere, none), codes::POINTER);
        assert_eq!(rampmeter_gate_admit(gate, 1, 0, account, 1, place, none), codes::SIZE);
        assert_eq!(rampmeter_gate_admit(nowhere.cast(), 1, 0, 1, 1, place, none), codes::POINTER);
        assert_eq!(rampmeter_gate_next(gate, 1, ptr::null_mut(), none), codes::POINTER);
        assert_eq!(rampmeter_gate_dequeue(gate, 1, 1, &raw mut dequeued, none), codes::SIZE);
        assert_eq!(rampmeter_gate_given_up(gate, 1, ptr::null_mut(), none), codes::POINTER);
        assert_eq!(rampmeter_gate_stats(gate, ptr::null_mut(), none), codes::POINTER);
        assert_eq!(
            rampmeter_gate_bytes_needed(twins.terms.0, ptr::null_mut(), none),
            codes::POINTER
        );
        let mut bytes = 0;
        assert_eq!(rampmeter_gate_bytes_needed(twins.terms.0, &raw mut bytes, none), codes::OK);
        assert_eq!(bytes, Gate::bytes_needed(&twins.terms.1));
        let mut out = ptr::null_mut();
        let status = rampmeter_gate_create(twins.terms.0, u32::MAX, &raw mut out, none);
        assert_eq!((status, out.is_null()), (codes::RANGE, true));
        rampmeter_gate_destroy(out);
    }
    // Nothing of it was heard: the first that comes finds the one server free.
    twins.admit(1, 0, account, 1);
    twins.look(1, 0);
    assert_eq!(twins.answers[0], [1, 0, 0]);
}
