//! Counters: whose request is next.

use rampmeter::share::{AccountId, Rival};

use super::rampmeter_ledger;
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array_mut, versioned};
use crate::status::rampmeter_status;

/// An account whose turn it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_eligible {
    /// The account.
    pub account: u64,
    /// Its weighted service.
    pub counter: f64,
}

/// How far an account is ahead of those it competes with. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_lead {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Its counter, or that of an account above, at the level where it is most ahead.
    pub counter: f64,
    /// The smallest counter of those that wait there; its own where nobody does.
    pub counter_min: f64,
    /// Requests of its own that wait.
    pub waiting: u32,
    /// 0.
    pub reserved_2: u32,
}
versioned!(rampmeter_lead, 32);

/// One of two accounts where they compete: what it is part of, or is, below the lowest account
/// above both.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_rival {
    /// Its counter there.
    pub counter: f64,
    /// Its weight there.
    pub weight: f64,
}

impl From<Rival> for rampmeter_rival {
    fn from(rival: Rival) -> Self {
        Self { counter: rival.counter, weight: rival.weight }
    }
}

/// One more request of an account waits in a lane.
///
/// Fails: E_STALE, E_RANGE (lane), E_FULL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_arrive(
    ledger: *mut rampmeter_ledger,
    lane: u32,
    account: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| Ok(ledger.arrive(lane, AccountId::from_raw(account))?))
    }
}

/// One request of an account waits no longer: it runs, or was taken back.
///
/// Fails: E_STALE, E_RANGE (lane, or none was waiting), E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_depart(
    ledger: *mut rampmeter_ledger,
    lane: u32,
    account: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| Ok(ledger.depart(lane, AccountId::from_raw(account))?))
    }
}

/// Charges service to an account and everybody above it: prompt tokens, or any unit that is the
/// same for all.
///
/// Fails: E_STALE, E_RANGE (lane), E_RANGE_REAL (cost, 0 to 2^53), E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_charge(
    ledger: *mut rampmeter_ledger,
    lane: u32,
    account: u64,
    cost: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.charge(lane, AccountId::from_raw(account), cost)?)
        })
    }
}

/// Weighted service of an account and everybody below it in a lane.
///
/// Fails: E_STALE, E_RANGE (lane), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_counter(
    ledger: *const rampmeter_ledger,
    lane: u32,
    account: u64,
    counter: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let out = Out::new(counter, "counter")?;
            out.set(ledger.counter(lane, AccountId::from_raw(account))?);
            Ok(())
        })
    }
}

/// The smallest counter among the accounts at the top of which somebody waits in a lane; `*is_any`
/// is 0, and the counter 0, when nobody waits.
///
/// Fails: E_RANGE (lane), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_counter_min(
    ledger: *const rampmeter_ledger,
    lane: u32,
    counter: *mut f64,
    is_any: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, any) = (Out::new(counter, "counter")?, Out::new(is_any, "is_any")?);
            let least = ledger.counter_min(lane)?;
            any.set(least.is_some().into());
            out.set(least.unwrap_or(0.0));
            Ok(())
        })
    }
}

/// The accounts with requests of their own in a lane whose turn it is within `credit`; 0: those
/// with the smallest counters. `*len` is how many there are, of which the first `capacity` are
/// written; their order means nothing.
///
/// Fails: E_RANGE (lane), E_RANGE_REAL (credit, 0 to 2^53), E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_eligible(
    ledger: *const rampmeter_ledger,
    lane: u32,
    credit: f64,
    eligible: *mut rampmeter_eligible,
    capacity: usize,
    len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let count = Out::new(len, "len")?;
            let mut places = array_mut(eligible, capacity, "eligible")?.iter_mut();
            let mut found = 0;
            for (index, counter) in ledger.eligible(lane, credit)? {
                let account = super::raw(ledger.tree().account_at(index));
                if let Some(place) = places.next() {
                    *place = rampmeter_eligible { account, counter };
                }
                found += 1;
            }
            count.set(found);
            Ok(())
        })
    }
}

/// How far an account is ahead of the smallest counter: its turn is within a credit that is at
/// least that.
///
/// Fails: E_STALE, E_RANGE (lane), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_lead(
    ledger: *const rampmeter_ledger,
    lane: u32,
    account: u64,
    lead: *mut rampmeter_lead,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, account) = (OutSized::new(lead, "lead")?, AccountId::from_raw(account));
            let lead = ledger.lead(lane, account)?;
            out.set(rampmeter_lead {
                size: 0,
                reserved: 0,
                counter: lead.counter,
                counter_min: lead.counter_min,
                waiting: ledger.waiting(lane, account)?,
                reserved_2: 0,
            });
            Ok(())
        })
    }
}

/// Two accounts where they compete.
///
/// Fails: E_STALE, E_RANGE (lane), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_rivals(
    ledger: *const rampmeter_ledger,
    lane: u32,
    account: u64,
    other: u64,
    one: *mut rampmeter_rival,
    another: *mut rampmeter_rival,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (to_one, to_another) = (Out::new(one, "one")?, Out::new(another, "another")?);
            let (account, other) = (AccountId::from_raw(account), AccountId::from_raw(other));
            ledger.counter(lane, other)?;
            let (one, another) = ledger.rivals(lane, account, other.index())?;
            to_one.set(one.into());
            to_another.set(another.into());
            Ok(())
        })
    }
}
