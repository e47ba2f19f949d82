//! Quotas, division, turns and reclaim.

use std::ptr::null;

use rampmeter::Nanos;
use rampmeter::error::codes;
use rampmeter::share::protection::ReclaimLimits;
use rampmeter::share::reclaim::Holding;
use rampmeter::share::{
    AccountId, Amounts, Basis, Division, Reclamation, Refusal, RunningJob, ShareParts, Verdict,
};
use rampmeter_ffi::ledger::*;

use super::{Pair, core, id, none, ok, two, zeroed};

#[test]
fn capacity_is_divided() {
    let (mut pair, accounts) = Pair::teams();
    let division = sized!(rampmeter_division { units: two(2, 0) });
    let mut parts: [rampmeter_share_parts; 64] = zeroed();
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_divide(pair.c, &raw const division, none()));
        ok(rampmeter_ledger_share_parts(pair.c, 0, parts.as_mut_ptr(), 64, none()));
        let short = rampmeter_ledger_share_parts(pair.c, 0, parts.as_mut_ptr(), 63, none());
        assert_eq!(short, codes::BUFFER_TOO_SMALL);
    }
    let mut units = Amounts([1; 8]);
    units.0[0] = 2;
    pair.core.divide(&Division { units, ..Division::default() }).expect("in range");
    let mut known = [ShareParts::default(); 64];
    pair.core.share_parts(0, &mut known).expect("room");
    for account in accounts {
        let (mut holding, at) = (sized!(rampmeter_holding {}), account as u32 as usize);
        let mut quota = sized!(rampmeter_quota {});
        let mut dominance = sized!(rampmeter_dominance {});
        let (mut borrowed, mut over, more) = (zeroed(), 0, two(40, 0));
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_holding(pair.c, account, &raw mut holding, none()));
            ok(rampmeter_ledger_quota(pair.c, account, &raw mut quota, none()));
            ok(rampmeter_ledger_set_quota(pair.c, account, &raw const quota, none()));
            ok(rampmeter_ledger_dominance(pair.c, account, &raw mut dominance, none()));
            let to = &raw mut borrowed;
            ok(rampmeter_ledger_borrowed(pair.c, account, &raw const more, to, none()));
            let (c, to) = (pair.c, &raw mut over);
            ok(rampmeter_ledger_first_over_limit(c, account, &raw const more, to, none()));
        }
        assert_eq!(Ok(core(holding.held)), pair.core.held(id(account)));
        assert_eq!(Ok(core(holding.asked)), pair.core.asked(id(account)));
        assert_eq!(Ok(core(holding.fair_share)), pair.core.fair_share(id(account)));
        assert!(holding.fair_share.of[0] > 0 && over == 0);
        assert_eq!((parts[at].share, parts[at].wanted), (known[at].share, known[at].wanted));
        // What is told can be handed in again.
        assert_eq!(quota.limit.of[0], RAMPMETER_UNLIMITED);
        let share = pair.core.dominant_share(id(account)).expect("resources");
        assert_eq!((dominance.weighted.share, dominance.shares_len), (share.share, 2));
        let share = pair.core.entitled_share(id(account)).expect("resources");
        assert_eq!(Some(dominance.entitled.resource), share.resource);
        assert_eq!(Ok(dominance.level), pair.core.dominant_level(id(account)));
        let share = pair.core.borrowed_share_with(id(account), &core(more)).expect("kept");
        assert_eq!((borrowed.permille, borrowed.borrowing == 1), (share.permille, share.borrowing));
    }
}

#[test]
fn limits_of_nothing_are_not_those_of_anything() {
    let (pair, [red, ..]) = Pair::teams();
    let mut given = sized!(rampmeter_quota {});
    (given.limit.of[0], given.over_quota_weight[1]) = (RAMPMETER_NOTHING, -1.0);
    let (mut told, mut over, one) = (sized!(rampmeter_quota {}), 0, two(1, 0));
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_set_quota(pair.c, red, &raw const given, none()));
        ok(rampmeter_ledger_quota(pair.c, red, &raw mut told, none()));
        assert_eq!((told.limit.of[0], told.limit.of[1]), (RAMPMETER_NOTHING, RAMPMETER_UNLIMITED));
        assert_eq!((told.over_quota_weight[0], told.over_quota_weight[1]), (1.0, -1.0));
        let to = &raw mut over;
        ok(rampmeter_ledger_first_over_limit(pair.c, red, &raw const one, to, none()));
        assert_eq!(over, red);
    }
}

#[test]
fn turns_go_by_dominant_shares() {
    let (mut pair, [_, _, users @ ..]) = Pair::teams();
    for (place, account) in users.into_iter().enumerate() {
        let task = two(1 + place as u64, 10);
        // SAFETY: everything that is pointed to is there.
        ok(unsafe { rampmeter_ledger_set_next_task(pair.c, account, &raw const task, none()) });
        pair.core.set_next_task(id(account), Some(&core(task))).expect("turns are kept");
    }
    for _ in 0..40 {
        let (mut account, mut task, mut has) = (0, zeroed(), 0);
        // SAFETY: as above.
        unsafe {
            ok(rampmeter_ledger_most_deserving(pair.c, &raw mut account, none()));
            let known = pair.core.most_deserving().expect("turns are kept");
            assert_eq!(account, known.map_or(0, AccountId::to_raw));
            let (to_task, to_has) = (&raw mut task, &raw mut has);
            ok(rampmeter_ledger_next_task(pair.c, account, to_task, to_has, none()));
            assert_eq!(pair.core.next_task(id(account)), Ok(Some(core(task))));
            ok(rampmeter_ledger_allocate(pair.c, account, &raw const task, none()));
        }
        pair.core.allocate(id(account), &core(task)).expect("in range");
    }
    for account in users {
        // SAFETY: as above.
        ok(unsafe { rampmeter_ledger_set_next_task(pair.c, account, null(), none()) });
    }
    let mut account = 9;
    // SAFETY: as above.
    ok(unsafe { rampmeter_ledger_most_deserving(pair.c, &raw mut account, none()) });
    assert_eq!(account, 0);
}

#[test]
fn who_may_take_from_whom() {
    let (mut pair, [_, _, ann, bob, cat, dan]) = Pair::teams();
    let division = sized!(rampmeter_division {});
    let limits = sized!(rampmeter_reclaim_limits {
        min_runtime_known: 1,
        min_runtime_ns: 50,
        loss_budget: two(40, 0),
        loss_window_ns: 1_000_000_000,
    });
    let claim =
        sized!(rampmeter_reclamation { reclaimer: cat, amounts: two(8, 0), missing: two(8, 0) });
    let (mut scope, mut told) =
        (sized!(rampmeter_reclaim_scope {}), sized!(rampmeter_reclaim_limits {}));
    let (mut victims, mut len) = ([0; 8], 0);
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_divide(pair.c, &raw const division, none()));
        ok(rampmeter_ledger_set_reclaim_limits(pair.c, ann, &raw const limits, none()));
        ok(rampmeter_ledger_reclaim_limits(pair.c, ann, &raw mut told, none()));
        ok(rampmeter_ledger_may_reclaim(pair.c, &raw const claim, &raw mut scope, none()));
        let to = victims.as_mut_ptr();
        ok(rampmeter_ledger_victims(pair.c, &raw const claim, to, 8, &raw mut len, none()));
    }
    pair.core.divide(&Division::default()).expect("in range");
    let mut known = ReclaimLimits {
        min_runtime: Some(Nanos(50)),
        loss_window: Nanos(1_000_000_000),
        ..Default::default()
    };
    known.loss_budget.0[0] = 40;
    pair.core.set_reclaim_limits(id(ann), &known).expect("in range");
    assert_eq!((told.min_runtime_known, told.min_runtime_ns), (1, 50));
    assert_eq!((told.loss_budget.of[0], told.loss_budget.of[1]), (40, RAMPMETER_UNLIMITED));
    let eight = core(two(8, 0));
    let known = Reclamation { reclaimer: id(cat), amounts: eight, short: eight };
    let reach = pair.core.may_reclaim(&known).expect("in range");
    assert_eq!((scope.fits == 1, scope.over_account), (reach.fits(), 0));
    assert_eq!((scope.reaches_by_quota == 1).then_some(scope.quota_depth), reach.quota_depth);
    let order: Vec<u64> =
        pair.core.victims(&known).expect("in range").map(AccountId::to_raw).collect();
    assert_eq!(&victims[..len], order);
    assert!(len > 0);
    let (four, second) = (two(4, 40), 1_000_000_000);
    let cases = [
        (cat, ann, four, 10, 1_000, RAMPMETER_REFUSAL_NONE),
        (cat, bob, four, 1, 2_000, RAMPMETER_REFUSAL_NONE),
        (cat, ann, four, 980, 1_000, RAMPMETER_REFUSAL_MIN_RUNTIME),
        (cat, ann, four, 1, 60 * second, RAMPMETER_REFUSAL_BUDGET),
        (cat, ann, two(0, 40), 10, 1_000, RAMPMETER_REFUSAL_NOTHING_WANTED),
        (cat, cat, four, 10, 1_000, RAMPMETER_REFUSAL_SAME_BRANCH),
        (ann, dan, four, 10, 1_000, RAMPMETER_REFUSAL_RECLAIMER_OVER),
        (dan, cat, four, 10, 1_000, RAMPMETER_REFUSAL_RECLAIMER_OVER),
    ];
    for (reclaimer, account, amounts, started, now, refusal) in cases {
        assert_eq!(pair.judge(reclaimer, account, amounts, started, now), refusal);
    }
}

impl Pair {
    /// Whether eight of the first resource, all of them missing, may come from this job.
    fn judge(
        &self,
        reclaimer: u64,
        account: u64,
        amounts: rampmeter_amounts,
        started: u64,
        now: u64,
    ) -> u8 {
        let (wanted, missing) = (two(8, 0), two(8, 0));
        let claim = sized!(rampmeter_reclamation { reclaimer, amounts: wanted, missing });
        let job = sized!(rampmeter_running_job { account, amounts, started_ns: started });
        let mut told = sized!(rampmeter_verdict {});
        let (by, of, to) = (&raw const claim, &raw const job, &raw mut told);
        // SAFETY: everything that is pointed to is there.
        ok(unsafe { rampmeter_ledger_reclaimable(self.c, now, by, of, to, none()) });
        let claim =
            Reclamation { reclaimer: id(reclaimer), amounts: core(wanted), short: core(missing) };
        let (amounts, started) = (core(amounts), Nanos(started));
        let job = RunningJob { account: id(account), amounts, started, saved: started };
        match self.core.reclaimable(Nanos(now), &claim, &job).expect("in range") {
            Verdict::Yes { basis, below } => {
                let basis = match basis {
                    Basis::Quota => RAMPMETER_BASIS_QUOTA,
                    Basis::FairShare => RAMPMETER_BASIS_FAIR_SHARE,
                };
                assert_eq!((told.basis, core(told.below)), (basis, below));
                assert_eq!(told.refusal, RAMPMETER_REFUSAL_NONE);
            }
            Verdict::No { why } => {
                assert_eq!(told.basis, RAMPMETER_BASIS_NONE);
                refused(&told, why);
            }
        }
        told.refusal
    }
}

/// The reason is told as the core has it.
fn refused(verdict: &rampmeter_verdict, why: Refusal) {
    let holding = |refusal, of: Holding| {
        assert_eq!((verdict.refusal, verdict.account), (refusal, of.account.to_raw()));
        let told = (verdict.resource, verdict.held, verdict.entitled);
        assert_eq!(told, (of.resource, of.held, of.entitled));
    };
    match why {
        Refusal::SameBranch => assert_eq!(verdict.refusal, RAMPMETER_REFUSAL_SAME_BRANCH),
        Refusal::NothingWanted => assert_eq!(verdict.refusal, RAMPMETER_REFUSAL_NOTHING_WANTED),
        Refusal::ReclaimerOver(of) => holding(RAMPMETER_REFUSAL_RECLAIMER_OVER, of),
        Refusal::VictimWithin(of) => holding(RAMPMETER_REFUSAL_VICTIM_WITHIN, of),
        Refusal::VictimGuarantee(of) => holding(RAMPMETER_REFUSAL_VICTIM_GUARANTEE, of),
        Refusal::MinRuntime { account, until } => {
            assert_eq!(
                (verdict.refusal, verdict.account),
                (RAMPMETER_REFUSAL_MIN_RUNTIME, account.to_raw())
            );
            assert_eq!(verdict.until_ns, until.get());
        }
        Refusal::Budget { account, resource, free_at } => {
            assert_eq!(
                (verdict.refusal, verdict.account),
                (RAMPMETER_REFUSAL_BUDGET, account.to_raw())
            );
            assert_eq!((verdict.resource, verdict.until_ns), (resource, free_at.get()));
        }
    }
}

#[test]
fn lost_work_is_charged_and_given_back() {
    let (mut pair, [_, _, ann, _, cat, _]) = Pair::teams();
    let limits = sized!(rampmeter_reclaim_limits { loss_budget: two(40, 0) });
    let job = sized!(rampmeter_running_job { account: ann, amounts: two(4, 0) });
    let mut left = [zeroed::<rampmeter_amounts>(); 3];
    let now = 5_000_000_000;
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_ledger_set_reclaim_limits(pair.c, ann, &raw const limits, none()));
        ok(rampmeter_ledger_loss_left(pair.c, now, ann, &raw mut left[0], none()));
        ok(rampmeter_ledger_reclaimed(pair.c, now, cat, &raw const job, none()));
        ok(rampmeter_ledger_loss_left(pair.c, now, ann, &raw mut left[1], none()));
        ok(rampmeter_ledger_reclaim_undone(pair.c, now, cat, &raw const job, none()));
        ok(rampmeter_ledger_loss_left(pair.c, now, ann, &raw mut left[2], none()));
        let early = rampmeter_ledger_loss_left(pair.c, now - 1, ann, &raw mut left[2], none());
        assert_eq!(early, codes::TIME_REVERSED);
    }
    // Four units for five seconds.
    assert_eq!(left.map(|left| left.of[0]), [40, 20, 40]);
    assert_eq!(left[1].of[1], RAMPMETER_UNLIMITED);
    pair.core.set_weight(id(ann), 2.0).expect("in range");
}

#[test]
fn one_level_is_divided_without_a_ledger() {
    let level = sized!(rampmeter_level { total: 10 });
    let mut claims: [rampmeter_claim; 3] = zeroed();
    for (claim, id) in claims.iter_mut().zip([3, 1, 2]) {
        (claim.id, claim.limit, claim.request) = (id, RAMPMETER_UNLIMITED, 6);
        (claim.over_quota_weight, claim.opened_at) = (1.0, id.into());
    }
    (claims[0].quota, claims[1].request) = (6, 1);
    let (of, mut left) = (&raw const level, 9);
    // SAFETY: everything that is pointed to is there.
    unsafe {
        ok(rampmeter_divide_level(of, claims.as_mut_ptr(), 3, &raw mut left, none()));
        let (mut order, mut ratio) = (0, 0.0);
        let (one, other) = ([0.5, 0.1], [0.2, 0.5, 0.1]);
        let (to_order, to_ratio) = (&raw mut order, &raw mut ratio);
        ok(rampmeter_compare_shares(
            one.as_ptr(),
            2,
            other.as_ptr(),
            3,
            to_order,
            to_ratio,
            none(),
        ));
        assert_eq!((order, ratio), (-1, 1.0));
    }
    assert_eq!(claims.map(|claim| (claim.id, claim.share)), [(1, 1), (2, 3), (3, 6)]);
    assert_eq!(left, 0);
}
