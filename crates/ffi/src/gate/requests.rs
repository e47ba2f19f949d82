//! Requests: how they come in, whose turn it is, and how they go.

use rampmeter::Nanos;
use rampmeter::headroom::gate::{Admission, Dequeued, GiveUpReason, GivenUp, ShedReason, Ticket};
use rampmeter::share::AccountId;

use super::rampmeter_gate;
use crate::batcher::RAMPMETER_NEVER;
use crate::boundary::{change_told, look_told};
use crate::error::{Told as _, rampmeter_error};
use crate::memory::{Out, OutSized, versioned};
use crate::status::rampmeter_status;

/// rampmeter_gate_admission::answer: a server is free. Start it now, and say when it ended.
pub const RAMPMETER_GATE_ADMIT: u32 = 0;
/// rampmeter_gate_admission::answer: it waits for its turn.
pub const RAMPMETER_GATE_HOLD: u32 = 1;
/// rampmeter_gate_admission::answer: it is turned away, and nothing is kept of it.
pub const RAMPMETER_GATE_SHED: u32 = 2;

/// Why a request is turned away: behind what is queued it would not start in time.
pub const RAMPMETER_GATE_SHED_LATE: u32 = 0;
/// All servers are busy, and too few requests have ended to say when one will be free.
pub const RAMPMETER_GATE_SHED_NOT_ENOUGH_DATA: u32 = 1;
/// There is no server.
pub const RAMPMETER_GATE_SHED_NO_SERVERS: u32 = 2;
/// As many requests are known as can be.
pub const RAMPMETER_GATE_SHED_FULL: u32 = 3;

/// What becomes of a request that was held: it starts now.
pub const RAMPMETER_GATE_START: u32 = 0;
/// It waited longer than its target: answer it with a refusal.
pub const RAMPMETER_GATE_EXPIRED: u32 = 1;
/// Its place was given to an account that had less than its share: answer it with a refusal.
pub const RAMPMETER_GATE_DISPLACED: u32 = 2;

const _: () = {
    assert!(RAMPMETER_GATE_SHED_LATE == ShedReason::Late as u32);
    assert!(RAMPMETER_GATE_SHED_NOT_ENOUGH_DATA == ShedReason::NotEnoughData as u32);
    assert!(RAMPMETER_GATE_SHED_NO_SERVERS == ShedReason::NoServers as u32);
    assert!(RAMPMETER_GATE_SHED_FULL == ShedReason::Full as u32);
};

/// What becomes of a request that comes in. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gate_admission {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_GATE_ADMIT, RAMPMETER_GATE_HOLD or RAMPMETER_GATE_SHED.
    pub answer: u32,
    /// Its name from now on; 0 if it is shed.
    pub ticket: u64,
    /// When it must have started to be in time, if it is held; else 0.
    pub until_ns: u64,
    /// In how long it would be let in, as work leaves now, if it is shed: an estimate, not a
    /// promise; else 0.
    pub retry_after_ns: u64,
    /// RAMPMETER_GATE_SHED_...: why it is shed; else 0, and means nothing.
    pub shed_reason: u32,
    /// 0.
    pub reserved: u32,
}
versioned!(rampmeter_gate_admission, 40);

/// What becomes of a request that a server is free for. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gate_dequeued {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_GATE_START, RAMPMETER_GATE_EXPIRED or RAMPMETER_GATE_DISPLACED.
    pub answer: u32,
    /// How long it waited; 0 if it was displaced.
    pub waited_ns: u64,
    /// In how long it would be let in, as work leaves now, if it was displaced; else 0.
    pub retry_after_ns: u64,
}
versioned!(rampmeter_gate_dequeued, 24);

/// A request that was held and will not start. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gate_refusal {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_GATE_EXPIRED or RAMPMETER_GATE_DISPLACED; 0 if there is none.
    pub reason: u32,
    /// Its name, stale from now on; 0: there is none.
    pub ticket: u64,
    /// Its account.
    pub account: u64,
    /// In how long it would be let in, as work leaves now.
    pub retry_after_ns: u64,
    /// Its class.
    pub class_index: u32,
    /// 0.
    pub reserved: u32,
}
versioned!(rampmeter_gate_refusal, 40);

impl From<Admission> for rampmeter_gate_admission {
    fn from(admission: Admission) -> Self {
        let shed = Self {
            size: 0,
            answer: RAMPMETER_GATE_SHED,
            ticket: 0,
            until_ns: 0,
            retry_after_ns: 0,
            shed_reason: 0,
            reserved: 0,
        };
        match admission {
            Admission::Admit(ticket) => {
                Self { answer: RAMPMETER_GATE_ADMIT, ticket: ticket.to_raw(), ..shed }
            }
            Admission::Hold { ticket, until } => Self {
                answer: RAMPMETER_GATE_HOLD,
                ticket: ticket.to_raw(),
                until_ns: until.get(),
                ..shed
            },
            Admission::Shed { reason, retry_after } => {
                Self { retry_after_ns: retry_after.get(), shed_reason: reason as u32, ..shed }
            }
        }
    }
}

impl From<Dequeued> for rampmeter_gate_dequeued {
    fn from(dequeued: Dequeued) -> Self {
        let (answer, waited, retry_after) = match dequeued {
            Dequeued::Start { waited } => (RAMPMETER_GATE_START, waited, Nanos::ZERO),
            Dequeued::Expired { waited } => (RAMPMETER_GATE_EXPIRED, waited, Nanos::ZERO),
            Dequeued::Displaced { retry_after } => {
                (RAMPMETER_GATE_DISPLACED, Nanos::ZERO, retry_after)
            }
        };
        Self { size: 0, answer, waited_ns: waited.get(), retry_after_ns: retry_after.get() }
    }
}

impl From<Option<GivenUp>> for rampmeter_gate_refusal {
    fn from(given_up: Option<GivenUp>) -> Self {
        let nobody = Self {
            size: 0,
            reason: 0,
            ticket: 0,
            account: 0,
            retry_after_ns: 0,
            class_index: 0,
            reserved: 0,
        };
        given_up.map_or(nobody, |given_up| Self {
            reason: match given_up.reason {
                GiveUpReason::Expired => RAMPMETER_GATE_EXPIRED,
                GiveUpReason::Displaced => RAMPMETER_GATE_DISPLACED,
            },
            ticket: given_up.ticket.to_raw(),
            account: given_up.account.to_raw(),
            retry_after_ns: given_up.retry_after.get(),
            class_index: given_up.class,
            ..nobody
        })
    }
}

/// A request comes in: it starts now, waits, or is turned away. `work` is 1 where all requests are
/// alike, else in any unit that says how long it keeps a server, the same for all: 1 to 16,777,216.
///
/// Fails: E_TIME_REVERSED, E_RANGE (class or work), E_STALE (account), E_SIZE, E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_admit(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    class_index: u32,
    account: u64,
    work: u32,
    admission: *mut rampmeter_gate_admission,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(gate, error, |gate| {
            let out = OutSized::new(admission, "admission").told(error)?;
            let account = AccountId::from_raw(account);
            let admission = gate.admit(Nanos(now_ns), class_index, account, work);
            out.set(admission.told(error)?.into());
            Ok(())
        })
    }
}

/// Whose turn it is among those that wait; `*ticket` is 0 if nobody does, or if no server is free. It
/// stays in line until it is dequeued. Ask until it is 0 after each end, and when servers are added. A
/// host may have an order of its own instead; what is promised to classes is then its own, too.
///
/// Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_next(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    ticket: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(gate, error, |gate| {
            let out = Out::new(ticket, "ticket").told(error)?;
            out.set(gate.next(Nanos(now_ns)).told(error)?.map_or(0, Ticket::to_raw));
            Ok(())
        })
    }
}

/// A server is free for a request that was held: it starts, or is dropped, and its ticket is stale.
/// Take the next one then. With `gate.expiry` off nothing expires.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it runs, or would start and no server is free),
/// E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_dequeue(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    ticket: u64,
    dequeued: *mut rampmeter_gate_dequeued,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(gate, error, |gate| {
            let out = OutSized::new(dequeued, "dequeued").told(error)?;
            let dequeued = gate.dequeue(Nanos(now_ns), Ticket::from_raw(ticket));
            out.set(dequeued.told(error)?.into());
            Ok(())
        })
    }
}

/// A request that ran left its server, whatever became of it; its ticket is stale.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it does not run), E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_ended(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    ticket: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(gate, error, |gate| {
            gate.ended(Nanos(now_ns), Ticket::from_raw(ticket)).told(error)
        })
    }
}

/// A request is gone, wherever it was: cancelled, or its client with it. One that ran leaves its
/// server as in rampmeter_gate_ended(); what one that waited was charged is given back.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_left(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    ticket: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(gate, error, |gate| {
            gate.left(Nanos(now_ns), Ticket::from_raw(ticket)).told(error)
        })
    }
}

/// A request that was held and will not start, the one longest so first; `refusal->ticket` is 0 if
/// there is none. Answer these at once: until a host has asked, each takes one of the
/// `limits.requests_max` places. A host that never asks learns it when it dequeues.
///
/// Fails: E_TIME_REVERSED, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each gate. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_given_up(
    gate: *mut rampmeter_gate,
    now_ns: u64,
    refusal: *mut rampmeter_gate_refusal,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(gate, error, |gate| {
            let out = OutSized::new(refusal, "refusal").told(error)?;
            out.set(gate.given_up(Nanos(now_ns)).told(error)?.into());
            Ok(())
        })
    }
}

/// When to ask rampmeter_gate_given_up() again: now if somebody was given up already, else when the
/// next that waits will have waited too long; RAMPMETER_NEVER if nothing will happen by itself.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the gate.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_gate_next_event(
    gate: *const rampmeter_gate,
    now_ns: u64,
    next_ns: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look_told(gate, error, |gate| {
            let out = Out::new(next_ns, "next_ns").told(error)?;
            out.set(gate.next_event(Nanos(now_ns)).map_or(RAMPMETER_NEVER, Nanos::get));
            Ok(())
        })
    }
}
