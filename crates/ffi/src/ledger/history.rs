//! History: who used how much, with a half-life, and two rankings by it.

use rampmeter::share::{AccountId, Ranked, Ranking, RawShares, Standing};
use rampmeter::{Error, Nanos};

use super::{rampmeter_ledger, raw};
use crate::boundary::{change, look};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array_mut, flag, same_layout};
use crate::status::rampmeter_status;

/// What an account should use next to its siblings: as many shares as its weight.
pub const RAMPMETER_SHARES_WEIGHT: u32 = 0;
/// A number of shares: 0 (it comes last), or 0.001 to 2^31.
pub const RAMPMETER_SHARES_NUMBER: u32 = 1;
/// Those of its parent: its children share with its siblings.
pub const RAMPMETER_SHARES_PARENT: u32 = 2;
/// Level by level: no user of an account goes before any of a sibling that used less.
pub const RAMPMETER_RANKING_FAIR_TREE: u32 = 0;
/// Usage over shares, all levels in one number.
pub const RAMPMETER_RANKING_CLASSIC: u32 = 1;

/// A user in its place.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_ranked {
    /// The user: an account with none below it.
    pub account: u64,
    /// 0 to 1; 1 goes first.
    pub factor: f64,
    /// 1 and up; ties share one.
    pub rank: u32,
    /// Means nothing.
    pub reserved: u32,
}

/// Where an account stands, and what follows from what: the columns of `sshare -l`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_standing {
    /// Shares as they were set, with RAMPMETER_SHARES_NUMBER; else 0.
    pub shares: f64,
    /// Classic: its part of everything. Fair Tree: its part of its level.
    pub shares_norm: f64,
    /// Usage as it counts now, in the host's unit.
    pub usage: f64,
    /// Its part of the usage of all; 0 while there is none.
    pub usage_norm: f64,
    /// Classic: effective usage. Fair Tree: its part of the usage of its level.
    pub usage_effective: f64,
    /// Above 1: it used less than its share of its level. 0 where `has_level_fs` is 0.
    pub level_fs: f64,
    /// 0 to 1; 1 goes first. 0 where `has_factor` is 0.
    pub factor: f64,
    /// RAMPMETER_SHARES_...
    pub shares_kind: u32,
    /// 1 and up among all users, ties share one; 0: it has accounts below it.
    pub rank: u32,
    /// Users in the ledger.
    pub users: u32,
    /// 1: `level_fs` is known; 0: its children share with its siblings in its place.
    pub has_level_fs: u8,
    /// 1: `factor` is known; 0: in Fair Tree accounts with others below have none.
    pub has_factor: u8,
    /// Mean nothing.
    pub reserved: [u8; 26],
}
const _: () = assert!(size_of::<rampmeter_standing>() == 96);
// Room for the answer of the core, from which each is made in its place.
const _: () = assert!(size_of::<rampmeter_standing>() >= size_of::<Standing>());
const _: () = assert!(align_of::<rampmeter_standing>() >= align_of::<Standing>());

same_layout!(rampmeter_ranked = Ranked { account, factor, rank });

fn shares_of(kind: u32, number: f64) -> Result<RawShares, Fault> {
    match kind {
        RAMPMETER_SHARES_WEIGHT => Ok(RawShares::Weight),
        RAMPMETER_SHARES_NUMBER => Ok(RawShares::Number(number)),
        RAMPMETER_SHARES_PARENT => Ok(RawShares::Parent),
        kind => Err(outside("shares_kind", kind, RAMPMETER_SHARES_PARENT)),
    }
}

fn shares_told(shares: RawShares) -> (u32, f64) {
    match shares {
        RawShares::Weight => (RAMPMETER_SHARES_WEIGHT, 0.0),
        RawShares::Number(number) => (RAMPMETER_SHARES_NUMBER, number),
        RawShares::Parent => (RAMPMETER_SHARES_PARENT, 0.0),
    }
}

fn ranking_of(ranking: u32, damping: f64) -> Result<Ranking, Fault> {
    match ranking {
        RAMPMETER_RANKING_FAIR_TREE => Ok(Ranking::FairTree),
        RAMPMETER_RANKING_CLASSIC => {
            Ok(Ranking::Classic { damping: if damping == 0.0 { 1.0 } else { damping } })
        }
        ranking => Err(outside("ranking", ranking, RAMPMETER_RANKING_CLASSIC)),
    }
}

fn outside(field: &'static str, value: u32, max: u32) -> Fault {
    Error::Range { field, value: value.into(), min: 0, max: max.into() }.into()
}

impl From<Standing> for rampmeter_standing {
    fn from(standing: Standing) -> Self {
        let (shares_kind, shares) = shares_told(standing.shares);
        Self {
            shares,
            shares_norm: standing.shares_norm,
            usage: standing.usage,
            usage_norm: standing.usage_norm,
            usage_effective: standing.usage_effective,
            level_fs: standing.level_fs.unwrap_or(0.0),
            factor: standing.factor.unwrap_or(0.0),
            shares_kind,
            rank: standing.rank.unwrap_or(0),
            users: standing.users,
            has_level_fs: standing.level_fs.is_some().into(),
            has_factor: standing.factor.is_some().into(),
            reserved: [0; 26],
        }
    }
}

/// Records that an account has used an amount, in a unit of the host's (GPU seconds, say), up to
/// `now_ns`. It counts for everybody above it, too.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE_REAL (0 to 2^53), E_RANGE (no history), E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_record_usage(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    account: u64,
    amount: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            Ok(ledger.record_usage(Nanos(now_ns), AccountId::from_raw(account), amount)?)
        })
    }
}

/// What an account and everybody below it used, as it counts now; 0 for all accounts together,
/// closed ones included.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (no history), E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_usage(
    ledger: *const rampmeter_ledger,
    now_ns: u64,
    account: u64,
    usage: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (out, now) = (Out::new(usage, "usage")?, Nanos(now_ns));
            out.set(match account {
                0 => ledger.usage_of_all(now)?,
                account => ledger.usage(now, AccountId::from_raw(account))?,
            });
            Ok(())
        })
    }
}

/// Gives an account other shares in the rankings than its weight: RAMPMETER_SHARES_..., and their
/// number with RAMPMETER_SHARES_NUMBER.
///
/// Fails: E_STALE, E_RANGE (the kind, or no history), E_RANGE_REAL, E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_shares(
    ledger: *mut rampmeter_ledger,
    account: u64,
    shares_kind: u32,
    shares: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let shares = shares_of(shares_kind, shares)?;
            Ok(ledger.set_raw_shares(AccountId::from_raw(account), shares)?)
        })
    }
}

/// The shares that were set.
///
/// Fails: E_STALE, E_RANGE (no history), E_POINTER. Allocates: no. Blocks: no. Threads: any number,
/// while nobody changes the ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_shares(
    ledger: *const rampmeter_ledger,
    account: u64,
    shares_kind: *mut u32,
    shares: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(ledger, error, |ledger| {
            let (kind, number) =
                (Out::new(shares_kind, "shares_kind")?, Out::new(shares, "shares")?);
            let told = shares_told(ledger.raw_shares(AccountId::from_raw(account))?);
            kind.set(told.0);
            number.set(told.1);
            Ok(())
        })
    }
}

/// Sets whether an account is to be found by rampmeter_ledger_next_ranked(), because it has
/// something that waits.
///
/// Fails: E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_set_ranked(
    ledger: *mut rampmeter_ledger,
    account: u64,
    ranked: u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let ranked = flag(ranked, "ranked")?;
            Ok(ledger.set_ranked(AccountId::from_raw(account), ranked)?)
        })
    }
}

/// The user with the best rank among those that wait; `*account` is 0 if nobody does. `ranking` is
/// RAMPMETER_RANKING_...; `damping` (1 to 65,535; 0: 1) is read with RAMPMETER_RANKING_CLASSIC
/// only.
///
/// Fails: E_RANGE, E_RANGE_REAL (damping), E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_next_ranked(
    ledger: *mut rampmeter_ledger,
    ranking: u32,
    damping: f64,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let out = Out::new(account, "account")?;
            out.set(raw(ledger.next_ranked(ranking_of(ranking, damping)?)?));
            Ok(())
        })
    }
}

/// Writes all users, the first one first; `*len` is their number.
///
/// Fails: E_RANGE, E_RANGE_REAL (damping), E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_rank_users(
    ledger: *mut rampmeter_ledger,
    ranking: u32,
    damping: f64,
    ranked: *mut rampmeter_ranked,
    capacity: usize,
    len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let count = Out::new(len, "len")?;
            let places = array_mut(ranked.cast::<Ranked>(), capacity, "ranked")?;
            count.set(ledger.rank_users(ranking_of(ranking, damping)?, places)?);
            Ok(())
        })
    }
}

/// Where an account stands, and why. Its factor and rank take as long as a whole ranking.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_RANGE_REAL (damping), E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_standing(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    account: u64,
    ranking: u32,
    damping: f64,
    standing: *mut rampmeter_standing,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let (out, ranking) = (Out::new(standing, "standing")?, ranking_of(ranking, damping)?);
            let account = AccountId::from_raw(account);
            out.set(ledger.standing(Nanos(now_ns), account, ranking)?.into());
            Ok(())
        })
    }
}

/// Where every account stands: written to `standings` at the place of each open account, of which
/// there are `accounts_max`, and zeros at the others. Takes as long as a whole ranking, once.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_RANGE_REAL (damping), E_BUFFER_TOO_SMALL, E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_standings(
    ledger: *mut rampmeter_ledger,
    now_ns: u64,
    ranking: u32,
    damping: f64,
    standings: *mut rampmeter_standing,
    capacity: usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let places = array_mut(standings, capacity, "standings")?;
            let (now, ranking) = (Nanos(now_ns), ranking_of(ranking, damping)?);
            let needed = ledger.options().accounts_max as usize;
            let Some(places) = places.get_mut(..needed) else {
                let (given, needed) = (capacity as u64, needed as u64);
                let field = "standings";
                return Err(Error::BufferTooSmall { field, given, needed }.into());
            };
            // All else that can be wrong, before anything is written.
            ledger.usage_of_all(now)?;
            ledger.next_ranked(ranking)?;
            in_place(places, |core| ledger.standings(now, ranking, core))
        })
    }
}

/// Has the core write its answers to the front of the caller's array, and makes each into what C
/// reads: from the last, since those are larger and only ever cover what was read before.
fn in_place(
    places: &mut [rampmeter_standing],
    answer: impl FnOnce(&mut [Standing]) -> Result<(), Error>,
) -> Result<(), Fault> {
    let (c, len) = (places.as_mut_ptr(), places.len());
    let core = c.cast::<Standing>();
    for at in 0..len {
        // SAFETY: there is room for so many, which are no larger and no more strictly aligned.
        unsafe { core.add(at).write(Standing::default()) };
    }
    // SAFETY: all of them were just written, and nobody else looks at this memory meanwhile.
    let outcome = answer(unsafe { std::slice::from_raw_parts_mut(core, len) });
    for at in (0..len).rev() {
        // SAFETY: the one at `at` and those before it still stand as the core wrote them: what was
        // written since begins at the next place of C, which is not before the next of the core.
        unsafe { c.add(at).write(core.add(at).read().into()) };
    }
    Ok(outcome?)
}

/// The factor of an account, 0 to 1; `*is_known` is 0, and the factor 0, for one with others below
/// it in Fair Tree.
///
/// Fails: E_STALE, E_RANGE, E_RANGE_REAL (damping), E_POINTER. Allocates: no. Blocks: no. Threads:
/// one at a time for each ledger. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_ledger_factor(
    ledger: *mut rampmeter_ledger,
    account: u64,
    ranking: u32,
    damping: f64,
    factor: *mut f64,
    is_known: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(ledger, error, |ledger| {
            let (out, known) = (Out::new(factor, "factor")?, Out::new(is_known, "is_known")?);
            let ranking = ranking_of(ranking, damping)?;
            let factor = ledger.factor(AccountId::from_raw(account), ranking)?;
            known.set(factor.is_some().into());
            out.set(factor.unwrap_or(0.0));
            Ok(())
        })
    }
}
