use super::*;
use crate::policy::{Account, BatchRules, Class, Limits, Objectives};
use crate::units::Tokens;
use alloc::vec;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn class(name: &str, ttft_ms: u64, tpot_ms: u64) -> Class {
    Class {
        ttft_target: Nanos::from_millis(ttft_ms),
        tpot_target: Nanos::from_millis(tpot_ms),
        delay_value: 1.0,
        ..Class::new(name)
    }
}

fn policy() -> Policy {
    Policy {
        classes: [class("interactive", 2_000, 50), class("batch", 60_000, 200)].into(),
        accounts: [Account::new("a", 2.0)].into(),
        objectives: Objectives {
            attainment_min_ratio: 0.95,
            slowdown_floor: Nanos::from_millis(500),
        },
        limits: Limits {
            requests_max: 100,
            running_max: 10,
            accounts_max: 4,
            step_tokens_max: Tokens(2_048),
            steps_in_flight_max: 1,
            prompt_tokens_max: Tokens(1_000),
            output_tokens_max: Tokens(1_000),
            ..Limits::default()
        },
        batch: BatchRules {
            prefill_floor_tokens: Tokens(64),
            deadline_margin_ratio: 0.95,
            background_step_ratio: 0.65,
            urgency_credit_tokens: 0.0,
            late_ratio: 0.1,
            prompt_token_cost: 1.0,
            cached_token_cost: 0.1,
            output_token_cost: 2.0,
            preemptions_max: 3,
            ..BatchRules::default()
        },
        ..Policy::default()
    }
}

fn desk(account_histograms: bool) -> Outcomes {
    Outcomes::new(&policy(), Options { account_histograms, backlogged_max: 4 }).unwrap()
}

fn ended(status: Status) -> Ended {
    let at = |ms: u64| Some(Nanos(ms * MS));
    let (first_scheduled, first_token, output_tokens) = match status {
        Status::Refused => (None, None, 0),
        _ => (at(1_500), at(2_000), 11),
    };
    let (arrival, ended) = (Nanos(1_000 * MS), Nanos(2_500 * MS));
    Ended {
        class: 0,
        account: 0,
        arrival,
        first_scheduled,
        first_token,
        ended,
        output_tokens,
        status,
    }
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![
        4 => Just(Status::Completed),
        1 => Just(Status::Refused),
        1 => Just(Status::Failed),
        1 => Just(Status::Cancelled),
        1 => Just(Status::Unfinished),
    ]
}

fn any_ended() -> impl Strategy<Value = Ended> {
    let spans = (0u64..100_000, 0u64..5_000, 0u64..9_000, 0u64..20_000);
    let reach = (prop::bool::weighted(0.8), prop::bool::weighted(0.8));
    (any_status(), 0u16..2, 0u32..4, spans, reach, 1u32..400).prop_map(
        |(status, class, account, (start, wait, prefill, decode), (scheduled, token), tokens)| {
            let completed = status == Status::Completed;
            let refused = status == Status::Refused;
            let scheduled = (completed || scheduled) && !refused;
            let token = scheduled && (completed || token);
            let first = start + wait;
            Ended {
                class,
                account,
                arrival: Nanos(start * MS),
                first_scheduled: scheduled.then_some(Nanos(first * MS)),
                first_token: token.then_some(Nanos((first + prefill) * MS)),
                ended: Nanos((first + prefill + decode) * MS),
                output_tokens: if token { tokens } else { 0 },
                status,
            }
        },
    )
}

/// What a group felt, straight from the definitions, over the plain list of requests.
fn oracle(list: &[Ended]) -> (Counts, [Vec<u64>; 4]) {
    let mut counts = Counts::default();
    let [mut waits, mut ttfts, mut tpots, mut ends] = [const { Vec::new() }; 4];
    for request in list {
        let (target_ms, tpot_target_ms) = [(2_000, 50), (60_000, 200)][request.class as usize];
        let since = |time: Nanos| time.get() - request.arrival.get();
        let all = since(request.ended);
        let so_far = request.status == Status::Unfinished;
        let n = u64::from(request.output_tokens);
        waits.extend(request.first_scheduled.map(since).or(so_far.then_some(all)));
        let ttft = request.first_token.map(since).or(so_far.then_some(all));
        ttfts.extend(ttft);
        let served = so_far || request.status == Status::Completed;
        let tpot = if served && n > 1 { Some((all - ttft.unwrap()) / (n - 1)) } else { None };
        tpots.extend(tpot);
        ends.extend(served.then_some(all));
        let late = ttft.unwrap_or(all) > target_ms * MS || tpot > Some(tpot_target_ms * MS);
        counts.offered += 1;
        counts.output_tokens += n;
        match request.status {
            Status::Completed => counts.completed += 1,
            Status::Refused => counts.refused += 1,
            Status::Failed => counts.failed += 1,
            Status::Cancelled => counts.cancelled += 1,
            Status::Unfinished => counts.unfinished += 1,
        }
        counts.cancelled_late += u64::from(request.status == Status::Cancelled && late);
        counts.attained += u64::from(request.status == Status::Completed && !late);
        if let (true, Some(ttft), true) = (served, ttft, n > 0) {
            counts.satisfied += u64::from(ttft <= target_ms * MS);
            counts.tolerating += u64::from(ttft > target_ms * MS && ttft <= 4 * target_ms * MS);
        }
    }
    (counts, [waits, ttfts, tpots, ends])
}

fn same_distribution(histogram: &Histogram, values: &[u64]) -> Result<(), TestCaseError> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    prop_assert_eq!(histogram.count(), sorted.len() as u64);
    prop_assert_eq!(histogram.min(), sorted.first().copied());
    prop_assert_eq!(histogram.max(), sorted.last().copied());
    if !sorted.is_empty() {
        let exact = sorted[(sorted.len() * 9).div_ceil(10) - 1];
        let got = histogram.quantile(0.9).unwrap().unwrap();
        prop_assert!(got.abs_diff(exact) as f64 <= exact as f64 * histogram::RELATIVE_ERROR_MAX);
    }
    Ok(())
}

fn same_books(tally: &Tally, list: &[Ended]) -> Result<(), TestCaseError> {
    let (counts, [waits, ttfts, tpots, ends]) = oracle(list);
    prop_assert_eq!(tally.counts(), counts);
    let histograms = tally.histograms().unwrap();
    same_distribution(&histograms.queue_wait, &waits)?;
    same_distribution(&histograms.ttft, &ttfts)?;
    same_distribution(&histograms.tpot, &tpots)?;
    same_distribution(&histograms.end_to_end, &ends)
}

fn same_desk(a: &Outcomes, b: &Outcomes) -> Result<(), TestCaseError> {
    for class in 0..2 {
        prop_assert_eq!(a.class(class), b.class(class));
    }
    for account in 0..4 {
        prop_assert_eq!(a.account(account), b.account(account));
    }
    prop_assert_eq!(a.span(), b.span());
    Ok(())
}

fn filled(list: &[Ended]) -> Outcomes {
    let mut desk = desk(true);
    for request in list {
        desk.record(request).unwrap();
    }
    desk
}

proptest! {
    #[test]
    fn books_are_those_of_the_definitions(
        list in prop::collection::vec(any_ended(), 0..80),
    ) {
        let desk = filled(&list);
        let of = |keep: &dyn Fn(&Ended) -> bool| -> Vec<Ended> {
            list.iter().copied().filter(|request| keep(request)).collect()
        };
        for class in 0..2 {
            same_books(desk.class(class).unwrap(), &of(&|request| request.class == class))?;
        }
        for account in 0..4 {
            same_books(desk.account(account).unwrap(), &of(&|r| r.account == account))?;
        }
    }

    #[test]
    fn merging_is_recording_all_in_one(
        a in prop::collection::vec(any_ended(), 0..40),
        b in prop::collection::vec(any_ended(), 0..40),
    ) {
        let together = filled(&[a.clone(), b.clone()].concat());
        let (mut ab, mut ba) = (filled(&a), filled(&b));
        ab.merge(&filled(&b)).unwrap();
        ba.merge(&filled(&a)).unwrap();
        same_desk(&ab, &together)?;
        same_desk(&ba, &together)?;
    }

    /// Whatever a caller says: an error leaves the books as they were, nothing panics.
    #[test]
    fn any_record_is_entered_whole_or_not_at_all(
        times in any::<[u64; 4]>(), some in any::<[bool; 2]>(), output_tokens in any::<u32>(),
        status in any_status(), class in 0u16..4, account in 0u32..6,
    ) {
        let request = Ended {
            class, account, arrival: Nanos(times[0]), output_tokens, status,
            first_scheduled: some[0].then_some(Nanos(times[1])),
            first_token: some[1].then_some(Nanos(times[2])),
            ended: Nanos(times[3]),
        };
        let mut desk = desk(true);
        let offered = u64::from(desk.record(&request).is_ok());
        let by_class: u64 = (0..2).map(|c| desk.class(c).unwrap().counts().offered).sum();
        let by_account: u64 = (0..4).map(|a| desk.account(a).unwrap().counts().offered).sum();
        prop_assert_eq!((by_class, by_account), (offered, offered));
        if offered == 0 {
            same_desk(&desk, &filled(&[]))?;
        }
    }
}

#[test]
fn one_request_by_hand() {
    let mut desk = desk(false);
    desk.record(&ended(Status::Completed)).unwrap();
    let tally = desk.class(0).unwrap();
    let felt = tally.histograms().unwrap();
    assert_eq!(felt.queue_wait.max(), Some(500 * MS));
    assert_eq!(felt.ttft.max(), Some(1_000 * MS));
    assert_eq!(felt.tpot.max(), Some(50 * MS));
    assert_eq!(felt.end_to_end.max(), Some(1_500 * MS));
    assert_eq!(felt.slowdown.max(), Some(1_500_000));
    assert_eq!((tally.counts().attainment(), tally.counts().apdex()), (Some(1.0), Some(1.0)));
    assert_eq!(desk.goodput_per_s(0), Some(1.0 / 1.5));
    assert_eq!(desk.account(0).unwrap().histograms(), None);
    assert_eq!(desk.class(2), None);
}

#[test]
fn targets_are_met_at_their_very_value_and_missed_past_it() {
    let attained = |change: &dyn Fn(&mut Ended)| {
        let mut request = ended(Status::Completed);
        change(&mut request);
        let mut desk = desk(false);
        desk.record(&request).unwrap();
        let counts = desk.class(0).unwrap().counts();
        (counts.attained, counts.satisfied, counts.tolerating)
    };
    assert_eq!(attained(&|_| ()), (1, 1, 0));
    // TPOT is rounded down to a nanosecond: ten gaps forgive nine nanoseconds in all.
    assert_eq!(attained(&|r| r.ended.0 += 9), (1, 1, 0));
    assert_eq!(attained(&|r| r.ended.0 += 10), (0, 1, 0));
    let late = |r: &mut Ended, ns: u64| {
        r.first_token = Some(Nanos(r.arrival.0 + ns));
        r.ended = Nanos(r.arrival.0 + ns);
    };
    assert_eq!(attained(&|r| late(r, 2_000 * MS)), (1, 1, 0));
    assert_eq!(attained(&|r| late(r, 2_000 * MS + 1)), (0, 0, 1));
    assert_eq!(attained(&|r| late(r, 8_000 * MS)), (0, 0, 1));
    assert_eq!(attained(&|r| late(r, 8_000 * MS + 1)), (0, 0, 0));
}

#[test]
fn refusals_count_and_cancellations_do_not() {
    let mut desk = desk(false);
    for status in [Status::Completed, Status::Refused, Status::Failed, Status::Unfinished] {
        desk.record(&ended(status)).unwrap();
    }
    assert_eq!(desk.class(0).unwrap().counts().attainment(), Some(0.25));
    assert_eq!(desk.class(0).unwrap().counts().apdex(), Some(0.5));
    desk.record(&ended(Status::Cancelled)).unwrap();
    let counts = desk.class(0).unwrap().counts();
    assert_eq!((counts.attainment(), counts.cancelled_late), (Some(0.25), 0));
    let left = Ended {
        first_scheduled: None,
        first_token: None,
        output_tokens: 0,
        ended: Nanos(3_001 * MS),
        ..ended(Status::Cancelled)
    };
    desk.record(&left).unwrap();
    assert_eq!(desk.class(0).unwrap().counts().cancelled_late, 1);
    assert_eq!(desk.class(1).unwrap().counts().attainment(), None);
}

#[test]
fn what_cannot_have_happened_is_refused_by_name() {
    let refused = |status: Status, change: &dyn Fn(&mut Ended)| {
        let mut request = ended(status);
        change(&mut request);
        desk(false).record(&request).unwrap_err().field()
    };
    let none = Some(Nanos::ZERO);
    let completed = Status::Completed;
    assert_eq!(refused(completed, &|r| r.class = 2), "class");
    assert_eq!(refused(completed, &|r| r.account = 4), "account");
    assert_eq!(refused(completed, &|r| r.ended = Nanos::ZERO), "ended_ns");
    assert_eq!(refused(completed, &|r| r.first_scheduled = none), "first_scheduled_ns");
    assert_eq!(
        refused(completed, &|r| r.first_token = r.first_scheduled.map(|t| Nanos(t.0 - 1))),
        "first_token_ns"
    );
    assert_eq!(refused(completed, &|r| r.ended = Nanos(1_900 * MS)), "ended_ns");
    assert_eq!(refused(completed, &|r| r.output_tokens = 0), "output_tokens");
    assert_eq!(refused(completed, &|r| r.first_token = None), "output_tokens");
    let silent = |r: &mut Ended| (r.first_token, r.output_tokens) = (None, 0);
    assert_eq!(refused(completed, &silent), "first_token_ns");
    let scheduled = |r: &mut Ended| r.first_scheduled = Some(r.ended);
    assert_eq!(refused(Status::Refused, &scheduled), "first_scheduled_ns");
}

#[test]
fn policies_that_cannot_be_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        let error = Outcomes::new(&policy, Options::default()).unwrap_err();
        let mut running = desk(false);
        assert_eq!(running.adopt(&policy).unwrap_err().field(), error.field());
        error.field()
    };
    assert_eq!(refused(&|p| p.classes = [].into()), "classes");
    assert_eq!(refused(&|p| p.classes = vec![class("x", 1, 1); 17].into()), "classes");
    assert_eq!(refused(&|p| p.limits.accounts_max = 0), "accounts_max");
    assert_eq!(refused(&|p| p.accounts = vec![p.accounts[0].clone(); 5].into()), "accounts");
    assert_eq!(refused(&|p| p.accounts[0].weight = f64::NAN), "weight");
    assert_eq!(refused(&|p| p.account_default_weight = 0.0), "weight");
    assert_eq!(refused(&|p| p.batch.output_token_cost = -1.0), "output_token_cost");
    let none = Options { backlogged_max: 0, ..Options::default() };
    assert_eq!(Outcomes::new(&policy(), none).unwrap_err().field(), "backlogged_max");
}

#[test]
fn a_changed_policy_judges_what_comes_after() {
    let mut desk = desk(false);
    desk.record(&ended(Status::Completed)).unwrap();
    desk.set_weight(3, 7.0).unwrap();
    let mut changed = policy();
    changed.classes[0].ttft_target = Nanos::from_millis(100);
    changed.accounts[0].weight = 4.0;
    desk.adopt(&changed).unwrap();
    desk.record(&ended(Status::Completed)).unwrap();
    assert_eq!(desk.class(0).unwrap().counts().attained, 1);
    for account in [0, 3] {
        let work = Work { prompt_tokens: 28, ..Work::default() };
        desk.served(Nanos(0), account, work).unwrap();
    }
    assert_eq!(desk.service().weighted_service(0), Some(7.0));
    assert_eq!(desk.service().weighted_service(3), Some(4.0));
    changed.limits.accounts_max = 5;
    assert_eq!(desk.adopt(&changed).unwrap_err().field(), "given accounts_max");
}

#[test]
fn different_layouts_do_not_merge() {
    let refused = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        let options = Options { account_histograms: true, backlogged_max: 4 };
        let other = Outcomes::new(&policy, options).unwrap();
        let error = desk(true).merge(&other).unwrap_err();
        assert!(matches!(error, Error::Contradiction { .. }));
        error.field()
    };
    assert_eq!(refused(&|p| p.classes = [class("x", 2_000, 50)].into()), "given classes");
    assert_eq!(refused(&|p| p.limits.accounts_max = 5), "given accounts_max");
    let target = Nanos::from_millis(51);
    assert_eq!(refused(&|p| p.classes[0].tpot_target = target), "merged tpot_target_ns");
    let error = desk(true).merge(&desk(false)).unwrap_err();
    assert_eq!(error.field(), "merged account_histograms");
}

#[test]
fn jain_is_over_those_who_took_part() {
    let mut desk = desk(false);
    assert_eq!(desk.jain(), 1.0);
    let work = |prompt_tokens: u64| Work { prompt_tokens, ..Work::default() };
    desk.served(Nanos(0), 0, work(200)).unwrap();
    desk.served(Nanos(0), 1, work(100)).unwrap();
    assert_eq!(desk.jain(), 1.0);
    desk.record(&Ended { account: 2, ..ended(Status::Refused) }).unwrap();
    assert!((desk.jain() - 2.0 / 3.0).abs() < 1e-12);
    desk.forget_account(Nanos(1), 2).unwrap();
    assert_eq!(desk.jain(), 1.0);
}

#[test]
fn busy_time_is_kept_beside() {
    let mut desk = desk(false);
    assert_eq!((desk.utilization(1), desk.span()), (0.0, Nanos::ZERO));
    desk.difference(Nanos::ZERO).unwrap();
    desk.difference(Nanos(4_000)).unwrap();
    desk.add_gpu_busy(Nanos(3_000));
    desk.add_gpu_busy(Nanos(3_000));
    assert_eq!((desk.utilization(2), desk.utilization(0)), (0.75, 0.0));
    assert_eq!(desk.gpu_busy(), Nanos(6_000));
}

#[test]
fn bytes_are_said_beforehand() {
    let count_only = Outcomes::bytes_needed(&policy(), Options::default());
    let all = Options { account_histograms: true, ..Options::default() };
    let with = Outcomes::bytes_needed(&policy(), all);
    assert_eq!(with - count_only, 4 * Histograms::BYTES_NEEDED);
    let desk = desk(false);
    let options = Options { account_histograms: false, backlogged_max: 4 };
    let held = size_of_val(&*desk.classes)
        + size_of_val(&*desk.accounts)
        + 2 * (size_of::<Histograms>() + 5 * Histogram::BYTES_NEEDED as usize);
    let service = ServiceDifference::bytes_needed(4, 4);
    assert_eq!(Outcomes::bytes_needed(&policy(), options), held as u64 + service);
}

proptest! {
    /// The short way for nearly every request gives what the long way for any request gives.
    #[test]
    fn served_requests_are_judged_alike_both_ways(
        start in 0u64..1 << 60,
        gaps in prop::array::uniform3((4u32..64, any::<u64>()).prop_map(|(bits, n)| n >> bits)),
        output_tokens in prop_oneof![1u32..4, any::<u32>()],
        floor_ms in 0u64..2_000,
        pick in 0u8..5,
    ) {
        let targets = Targets {
            ttft: Nanos::from_millis(100),
            tpot: Nanos::from_millis(50),
            slowdown_floor: Nanos::from_millis(floor_ms),
        };
        let scheduled = start + gaps[0];
        let token = scheduled + gaps[1];
        let mut ended = Ended {
            class: 0,
            account: 0,
            arrival: Nanos(start),
            first_scheduled: Some(Nanos(scheduled)),
            first_token: Some(Nanos(token)),
            ended: Nanos(token + gaps[2]),
            output_tokens,
            status: Status::Completed,
        };
        if output_tokens > 0 {
            prop_assert_eq!(ended.judge_served(&targets), ended.judge_any(&targets).ok());
        }
        // Whatever is out of order or missing is left to the long way.
        match pick {
            0 => ended.arrival = Nanos(scheduled + 1),
            1 => ended.first_scheduled = Some(Nanos(token + 1)),
            2 => ended.ended = Nanos(token.saturating_sub(1)),
            3 => ended.output_tokens = 0,
            _ => ended.status = Status::Failed,
        }
        if pick != 2 || token > 0 {
            prop_assert_eq!(ended.judge_served(&targets), None);
        }
    }
}
