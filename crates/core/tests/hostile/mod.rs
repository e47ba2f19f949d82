//! What hostile callers of a batcher call: any call, with numbers that they chose.

#![allow(unreachable_pub, reason = "a module of one test binary")]

use proptest::prelude::*;

/// Handles that were issued lately, and that a call may pick instead of a number of its own.
pub const HANDLES_MAX: usize = 24;

/// A number as hostile callers choose it.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0_u64..40,
        2 => 0_u64..3_000,
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(u64::from),
        1 => Just(u64::from(u32::MAX)),
        1 => Just(u64::MAX),
    ]
}

/// A moment that may be given, near the time that calls are made at or anywhere.
fn moment() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.3, prop_oneof![2 => 0_u64..500_000_000, 1 => number()])
}

/// A fraction as hostile callers choose it.
fn fraction() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.01_f64..100.0, 2 => any::<f64>(), 1 => Just(f64::NAN), 1 => Just(0.0)]
}

/// Which handle: one that was issued (by its place), or any number.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    Issued(usize),
    Forged(u64),
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        6 => (0..HANDLES_MAX).prop_map(Pick::Issued),
        1 => any::<u64>().prop_map(Pick::Forged),
        1 => (0_u64..4, 0_u64..9).prop_map(|(v, i)| Pick::Forged(v << 32 | i)),
    ]
}

#[derive(Clone, Debug)]
pub enum Call {
    Advance(u64),
    Submit {
        class: u64,
        account: Pick,
        arrival: u64,
        prompt: u64,
        cached: u64,
        output: u64,
        deadline: Option<u64>,
        expires_at: Option<u64>,
        /// The adapter, whom it shares with, and the output that it brings.
        extra: Extra,
    },
    Cancel(Pick),
    Change(Pick, Option<u64>, Option<u64>, Option<u64>),
    LimitAccount(Pick, u64, u64),
    Release(Pick),
    SetCached(Pick, u64),
    Form {
        entries: usize,
        preempted: usize,
        cached: Option<u64>,
    },
    /// The oldest step ends with what it planned.
    Land {
        speculated: u32,
    },
    Observe {
        step: u64,
        blocks: Option<u64>,
        results: Vec<(Pick, u64, bool)>,
    },
    Reverse(u64),
    SetBlocks(u64),
    Open(f64),
    Weigh(Pick, f64),
    Close(Pick),
    SetPolicy(usize),
    SetModel(f64, f64),
    SetSwap(u64, f64, f64),
    NoSwap,
    DropSwapped(Pick),
}

/// What few requests have: an adapter, somebody to share with, a hand-over.
pub type Extra = (u64, Option<Pick>, Option<u64>);

fn extra(output: impl Strategy<Value = u64>) -> impl Strategy<Value = Extra> {
    let adapter = prop_oneof![2 => Just(0), 2 => 0_u64..6, 1 => number()];
    (adapter, prop::option::weighted(0.1, pick()), prop::option::weighted(0.3, output))
}

fn any_submission() -> impl Strategy<Value = Call> {
    let numbers = (number(), number(), number(), number(), number());
    (pick(), numbers, moment(), moment(), extra(number())).prop_map(
        |(account, numbers, deadline, expires_at, extra)| {
            let (class, arrival, prompt, cached, output) = numbers;
            Call::Submit {
                class,
                account,
                arrival,
                prompt,
                cached,
                output,
                deadline,
                expires_at,
                extra,
            }
        },
    )
}

pub fn call() -> impl Strategy<Value = Call> {
    let result = (pick(), number(), any::<bool>());
    prop_oneof![
        2 => number().prop_map(Call::Advance),
        3 => (0_u64..50_000_000).prop_map(Call::Advance),
        8 => any_submission(),
        12 => (0_u64..2, 0_usize..3, 1_u64..200, 0_u64..3, 1_u64..40, extra(1_u64..9)).prop_map(
            |(class, account, prompt, cached, output, extra)| Call::Submit {
                class,
                account: Pick::Issued(account),
                arrival: 0,
                prompt,
                cached,
                output,
                deadline: None,
                expires_at: None,
                extra,
            }
        ),
        4 => (0_usize..HANDLES_MAX, 1_u64..40).prop_map(|(leader, output)| Call::Submit {
            class: 0,
            account: Pick::Issued(0),
            arrival: 0,
            prompt: 100,
            cached: 0,
            output,
            deadline: None,
            expires_at: None,
            extra: (0, Some(Pick::Issued(leader)), None),
        }),
        3 => pick().prop_map(Call::Cancel),
        4 => (pick(), prop::option::of(0_u64..3), moment(), moment())
            .prop_map(|(id, class, due, expires)| Call::Change(id, class, due, expires)),
        1 => (pick(), number(), number()).prop_map(|(id, n, ns)| Call::LimitAccount(id, n, ns)),
        3 => pick().prop_map(Call::Release),
        3 => (pick(), number()).prop_map(|(id, tokens)| Call::SetCached(id, tokens)),
        14 => (prop::option::weighted(0.1, number()), 0_usize..40).prop_map(|(cached, short)| {
            let short = |this| usize::from(short == this);
            Call::Form { entries: 8 - short(0), preempted: 8 - short(1), cached }
        }),
        10 => (0_u32..3).prop_map(|speculated| Call::Land { speculated }),
        4 => (number(), prop::option::of(number()), prop::collection::vec(result, 0..4)).prop_map(
            |(step, blocks, results)| Call::Observe { step, blocks, results }
        ),
        1 => number().prop_map(Call::Reverse),
        2 => number().prop_map(Call::SetBlocks),
        1 => fraction().prop_map(Call::Open),
        1 => (pick(), fraction()).prop_map(|(account, weight)| Call::Weigh(account, weight)),
        1 => pick().prop_map(Call::Close),
        1 => (0_usize..4).prop_map(Call::SetPolicy),
        1 => (fraction(), fraction()).prop_map(|(step, token)| Call::SetModel(step, token)),
        2 => (number(), fraction(), fraction())
            .prop_map(|(blocks, out_s, in_s)| Call::SetSwap(blocks, out_s * 1e-6, in_s * 1e-6)),
        1 => Just(Call::NoSwap),
        2 => pick().prop_map(Call::DropSwapped),
    ]
}
