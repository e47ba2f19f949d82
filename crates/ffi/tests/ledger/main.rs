//! The ledger through C answers as the ledger itself: same calls, same answers.
#![allow(unsafe_code, reason = "calls the functions as C does")]

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use rampmeter::Nanos;
use rampmeter::error::codes;
use rampmeter::share::{AccountId, AccountQuota, Amounts, Ledger, LedgerOptions};
use rampmeter_ffi::error::rampmeter_error;
use rampmeter_ffi::ledger::*;
use rampmeter_ffi::policy::*;

/// A structure with nothing in it but its size, and what is said.
macro_rules! sized {
    ($name:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        $name { size: size_of::<$name>() as u32, $($field $(: $value)?,)* ..zeroed::<$name>() }
    };
}

mod resources;
mod service;

fn zeroed<T: Copy>() -> T {
    // SAFETY: only asked for structures of whole numbers, fractions and pointers.
    unsafe { std::mem::zeroed() }
}

fn none() -> *mut rampmeter_error {
    null_mut()
}

fn ok(status: i32) {
    assert_eq!(status, codes::OK);
}

const OPTIONS: LedgerOptions = LedgerOptions {
    accounts_max: 64,
    lanes: 2,
    resources: 2,
    dominant: true,
    borrowing: true,
    half_life: Nanos(1_000_000_000),
    rates: true,
    names: true,
    replicas_max: 3,
};

fn options() -> rampmeter_ledger_options {
    rampmeter_ledger_options {
        size: size_of::<rampmeter_ledger_options>() as u32,
        accounts_max: 64,
        lanes: 2,
        resources: 2,
        dominant: 1,
        borrowing: 1,
        half_life_ns: 1_000_000_000,
        rates: 1,
        names: 1,
        replicas_max: 3,
    }
}

/// A ledger through C and one that is driven by hand with the same calls.
struct Pair {
    c: *mut rampmeter_ledger,
    core: Ledger,
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: it came from `create`.
        unsafe { rampmeter_ledger_destroy(self.c) }
    }
}

fn two(first: u64, second: u64) -> rampmeter_amounts {
    let mut amounts: rampmeter_amounts = zeroed();
    (amounts.of[0], amounts.of[1]) = (first, second);
    amounts
}

fn core(amounts: rampmeter_amounts) -> Amounts {
    Amounts(amounts.of)
}

fn id(account: u64) -> AccountId {
    AccountId::from_raw(account)
}

impl Pair {
    fn new() -> Self {
        let mut c = null_mut();
        let given = options();
        // SAFETY: everything that is pointed to is there.
        ok(unsafe { rampmeter_ledger_create(&raw const given, &raw mut c, none()) });
        Self { c, core: Ledger::new(&OPTIONS).expect("options are in range") }
    }

    fn open(&mut self, parent: u64, weight: f64, name: &str) -> u64 {
        let (mut account, text) = (0, CString::new(name).expect("a name"));
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_open(self.c, parent, weight, &raw mut account, none()));
            ok(rampmeter_ledger_set_name(self.c, account, text.as_ptr(), none()));
        }
        let parent = (parent != 0).then_some(id(parent));
        let known = self.core.open(parent, weight).expect("room");
        self.core.set_name(known, name).expect("a good name");
        assert_eq!(account, known.to_raw());
        account
    }

    /// Two teams with two users each, quotas, and something held.
    fn teams() -> (Self, [u64; 6]) {
        let mut pair = Self::new();
        let (red, blue) = (pair.open(0, 1.0, "red"), pair.open(0, 2.0, "blue"));
        let users = [(red, "ann"), (red, "bob"), (blue, "cat"), (blue, "dan")];
        let users = users.map(|(team, name)| pair.open(team, 1.0, name));
        let capacity = two(64, 1_000);
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_set_capacity(pair.c, &raw const capacity, none()));
        }
        pair.core.set_capacity(&core(capacity)).expect("in range");
        for (account, quota) in [(red, 20), (blue, 30), (users[0], 10), (users[2], 30)] {
            let given = sized!(rampmeter_quota { quota: two(quota, 100) });
            // SAFETY: as above.
            ok(unsafe { rampmeter_ledger_set_quota(pair.c, account, &raw const given, none()) });
            let rules = AccountQuota { quota: core(two(quota, 100)), ..AccountQuota::default() };
            pair.core.set_quota(id(account), &rules).expect("in range");
        }
        for (account, held, asked) in
            [(users[0], 30, 10), (users[1], 14, 0), (users[2], 4, 40), (users[3], 16, 8)]
        {
            let (held, asked) = (two(held, 10 * held), two(asked, asked));
            // SAFETY: as above.
            unsafe {
                ok(rampmeter_ledger_allocate(pair.c, account, &raw const held, none()));
                ok(rampmeter_ledger_ask(pair.c, account, &raw const asked, none()));
            }
            pair.core.allocate(id(account), &core(held)).expect("in range");
            pair.core.ask(id(account), &core(asked)).expect("in range");
        }
        (pair, [red, blue, users[0], users[1], users[2], users[3]])
    }
}

#[test]
fn accounts_and_their_names() {
    let (pair, [red, _, ann, ..]) = Pair::teams();
    let mut found = 9;
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_at_path(pair.c, c"red/ann".as_ptr(), &raw mut found, none()));
        assert_eq!(found, ann);
        ok(rampmeter_ledger_named(pair.c, 0, c"red".as_ptr(), &raw mut found, none()));
        assert_eq!(found, red);
        ok(rampmeter_ledger_at_path(pair.c, c"red/eve".as_ptr(), &raw mut found, none()));
        assert_eq!(found, 0);
        ok(rampmeter_ledger_account_at(pair.c, ann as u32, &raw mut found, none()));
        assert_eq!(found, ann);
        let (mut name, mut len) = ([0; 8], 0);
        ok(rampmeter_ledger_name(pair.c, ann, name.as_mut_ptr(), 8, &raw mut len, none()));
        assert_eq!((CStr::from_ptr(name.as_ptr()), len), (c"ann", 3));
        let mut known = sized!(rampmeter_account {});
        ok(rampmeter_ledger_account(pair.c, ann, &raw mut known, none()));
        assert_eq!((known.parent, known.weight, known.depth), (red, 1.0, 2));
        assert_eq!((known.children, known.index), (0, ann as u32));
        let mut stats = sized!(rampmeter_stats_ledger {});
        ok(rampmeter_ledger_stats(pair.c, &raw mut stats, none()));
        assert_eq!((stats.accounts, stats.accounts_max, stats.has_rate_limits), (6, 64, 0));
        let refused = rampmeter_ledger_set_name(pair.c, ann, c"bob".as_ptr(), none());
        assert_eq!(refused, codes::DUPLICATE);
        assert_eq!(rampmeter_ledger_close(pair.c, red, none()), codes::CONTRADICTION);
        assert_eq!(rampmeter_ledger_set_weight(pair.c, 77, 1.0, none()), codes::STALE);
    }
}

#[test]
fn saved_and_restored_it_is_the_same() {
    let (pair, [_, _, ann, ..]) = Pair::teams();
    let (mut bytes, mut written, mut copy) = (0, 0, null_mut());
    let given = options();
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_snapshot_bytes(pair.c, &raw mut bytes, none()));
        let mut saved = vec![0_u8; bytes as usize];
        let short = rampmeter_ledger_save(pair.c, saved.as_mut_ptr(), 9, &raw mut written, none());
        assert_eq!((short, written), (codes::BUFFER_TOO_SMALL, 0));
        let (to, len) = (saved.as_mut_ptr(), saved.len());
        ok(rampmeter_ledger_save(pair.c, to, len, &raw mut written, none()));
        let mut known = vec![0; written];
        assert_eq!(pair.core.save(&mut known), Ok(written));
        assert_eq!(known, saved[..written]);
        let (from, out) = (&raw const given, &raw mut copy);
        ok(rampmeter_ledger_restore(from, saved.as_ptr(), written, out, none()));
        let mut holding = sized!(rampmeter_holding {});
        ok(rampmeter_ledger_holding(copy, ann, &raw mut holding, none()));
        assert_eq!(holding.held.of[0], 30);
        let mut told = sized!(rampmeter_ledger_options {});
        ok(rampmeter_ledger_options_of(copy, &raw mut told, none()));
        assert_eq!((told.accounts_max, told.half_life_ns, told.names), (64, 1_000_000_000, 1));
        rampmeter_ledger_destroy(copy);
        saved[40] ^= 1;
        let forged = rampmeter_ledger_restore(from, saved.as_ptr(), written, out, none());
        assert_eq!((forged, copy), (codes::SNAPSHOT, null_mut()));
    }
}

#[test]
fn a_policy_brings_its_accounts() {
    let document = "[[account]]\nname = \"a\"\nweight = 3.0\n";
    let (mut policy, mut ledger, mut account) = (null_mut(), null_mut(), 0);
    let mut given = sized!(rampmeter_ledger_options {});
    let (mut bytes, mut known) = (0, sized!(rampmeter_account {}));
    // SAFETY: everything that is pointed to is there.
    unsafe {
        let (text, len) = (document.as_ptr().cast(), document.len());
        ok(rampmeter_policy_from_toml(text, len, &raw mut policy, none()));
        ok(rampmeter_ledger_policy_options(policy, &raw mut given, none()));
        ok(rampmeter_ledger_bytes_needed(&raw const given, &raw mut bytes, none()));
        let (from, out) = (&raw const given, &raw mut ledger);
        ok(rampmeter_ledger_create_from_policy(policy, from, out, none()));
        rampmeter_policy_destroy(policy);
        ok(rampmeter_ledger_at_path(ledger, c"a".as_ptr(), &raw mut account, none()));
        ok(rampmeter_ledger_account(ledger, account, &raw mut known, none()));
        rampmeter_ledger_destroy(ledger);
    }
    assert_eq!(known.weight, 3.0);
    assert!(bytes > 0);
}

#[test]
fn wrong_calls_change_nothing() {
    let (pair, [_, _, ann, ..]) = Pair::teams();
    let mut out = null_mut();
    let (small, lie) = (rampmeter_ledger_options { size: 8, ..options() }, two(0, 0));
    let strange = rampmeter_ledger_options { names: 2, ..options() };
    let mut wrong = lie;
    wrong.of[2] = 1;
    let mut holding = [sized!(rampmeter_holding {}); 2];
    // SAFETY: everything that is pointed to is there, or null.
    unsafe {
        let made = |given: *const _, out| rampmeter_ledger_create(given, out, none());
        assert_eq!(made(&raw const small, &raw mut out), codes::SIZE);
        assert_eq!(made(&raw const strange, &raw mut out), codes::RANGE);
        assert_eq!(made(null(), &raw mut out), codes::POINTER);
        assert_eq!(made(&raw const strange, null_mut()), codes::POINTER);
        assert!(out.is_null());
        rampmeter_ledger_destroy(null_mut());
        ok(rampmeter_ledger_holding(pair.c, ann, &raw mut holding[0], none()));
        let calls = [
            (rampmeter_ledger_allocate(pair.c, ann, &raw const wrong, none()), codes::RANGE),
            (rampmeter_ledger_allocate(pair.c, ann, null(), none()), codes::POINTER),
            (rampmeter_ledger_allocate(null_mut(), ann, &raw const lie, none()), codes::POINTER),
            (rampmeter_ledger_allocate(pair.c, 0, &raw const lie, none()), codes::STALE),
            (rampmeter_ledger_charge(pair.c, 0, ann, f64::NAN, none()), codes::RANGE_REAL),
            (rampmeter_ledger_charge(pair.c, 2, ann, 1.0, none()), codes::RANGE),
            (rampmeter_ledger_open(pair.c, 0, 1.0, null_mut(), none()), codes::POINTER),
        ];
        for (at, (status, expected)) in calls.into_iter().enumerate() {
            assert_eq!(status, expected, "call {at}");
        }
        ok(rampmeter_ledger_holding(pair.c, ann, &raw mut holding[1], none()));
    }
    assert_eq!(holding[0].held.of, holding[1].held.of);
    let mut stats = sized!(rampmeter_stats_ledger {});
    // SAFETY: as above.
    ok(unsafe { rampmeter_ledger_stats(pair.c, &raw mut stats, none()) });
    assert_eq!(stats.accounts, pair.core.accounts_len());
}
