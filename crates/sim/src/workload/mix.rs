//! Classes and accounts for traces that bring none.
//!
//! # The rule
//! Requests are taken in order of arrival. For each, two uniform numbers in 0..1 are drawn from
//! the seed's stream for mixes: the first chooses the account, the second the class. Both are
//! drawn for every request, so neither a shorter trace nor one that brings part of the answer
//! changes what the others get.
//!
//! | mix | accounts | classes |
//! |---|---|---|
//! | `a` | 8: `greedy` sends 40% of the requests, the others share the rest evenly | 17% `batch` |
//! | `b` | the same | 30% `batch` |
//! | `pair` | 2: `heavy` sends two thirds of the requests, `light` the rest | `interactive` alone |
//! | `single` | 1, `everyone` | `interactive` alone |
//!
//! What the trace brings stays: a request that names its account or class keeps it, and the mix
//! decides only what is left open. A class named `interactive` or `batch` has the targets below;
//! any other has those of `interactive` and goes after it and before `batch`, in order of first
//! appearance. All accounts weigh 1.
//!
//! # Classes
//! | class | TTFT | TPOT | `delay_value` | guarantee |
//! |---|---|---|---|---|
//! | `interactive` | 2 s | 50 ms | 1 | none: nothing goes before it |
//! | `batch` | 60 s | 200 ms | 1/30 | 2% |
//!
//! Waiting out the whole TTFT target should cost the same in either class; so a second of a batch
//! user's time is worth 2 s / 60 s of an interactive user's. The guarantee of 2% keeps batch work
//! moving under any load; of the shares tried (2 to 10%) it costs interactive work least.
//!
//! The account shares and batch shares are not statistics of a public trace (none tells its
//! tenants' urgency); they are a stress for fairness. For comparison, the largest of 22 clients
//! in the public `ServeGen` data (`m-small`) sends 47% of the requests.

use std::fmt;
use std::str::FromStr;

use rampmeter::Nanos;
use rampmeter::policy::{Account, CLASSES_MAX, Class};
use rand::RngExt;

use super::{Request, Workload};
use crate::InputError;
use crate::nearest::unknown;
use crate::trace::{Purpose, Trace, random_stream};

/// Name of the class with the tight targets.
pub const INTERACTIVE: &str = "interactive";

/// Name of the class that can wait.
pub const BATCH: &str = "batch";

/// Accounts of the mixes `a` and `b`; the first is the greedy one.
const ACCOUNTS: [&str; 8] = [
    "greedy",
    "account-1",
    "account-2",
    "account-3",
    "account-4",
    "account-5",
    "account-6",
    "account-7",
];

/// Share of the requests that the greedy account sends: as much as 4.7 of the others.
const GREEDY_RATIO: f64 = 0.4;

/// Share of the requests that the heavy one of two accounts sends: twice the other's, as in the
/// overload of the VTC artifact (OSDI 2024).
const HEAVY_RATIO: f64 = 2.0 / 3.0;

/// A rule that gives requests their classes and accounts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mix {
    /// Eight accounts, one of them greedy, 17% batch work.
    #[default]
    A,
    /// Eight accounts, one of them greedy, 30% batch work.
    B,
    /// Two accounts, one of which sends twice as many requests as the other; one class.
    Pair,
    /// One account, one class.
    Single,
}

impl Mix {
    /// All mixes.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::Pair, Self::Single];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::Pair => "pair",
            Self::Single => "single",
        }
    }

    /// Share of the requests that are batch work.
    pub const fn batch_ratio(self) -> f64 {
        match self {
            Self::A => 0.17,
            Self::B => 0.30,
            Self::Pair | Self::Single => 0.0,
        }
    }

    const fn accounts(self) -> &'static [&'static str] {
        match self {
            Self::A | Self::B => &ACCOUNTS,
            Self::Pair => &["heavy", "light"],
            Self::Single => &["everyone"],
        }
    }

    /// The account that a uniform number chooses.
    fn account(self, uniform: f64) -> usize {
        let others = self.accounts().len() - 1;
        let first = if self == Self::Pair { HEAVY_RATIO } else { GREEDY_RATIO };
        if others == 0 || uniform < first {
            return 0;
        }
        let place = (uniform - first) / (1.0 - first) * others as f64;
        1 + (place as usize).min(others - 1)
    }

    /// Gives every request of a trace a class and an account.
    ///
    /// A request whose trace states no limit on its output gets the longest output of the whole
    /// trace as its limit: the tightest one that would have cut nobody short, and the same for
    /// all, so that it tells nothing about any one request.
    ///
    /// # Errors
    /// The trace names more classes than a policy can hold.
    pub fn apply(self, trace: Trace, seed: u64) -> Result<Workload, InputError> {
        let classes_open = trace.requests.iter().any(|request| request.class.is_none());
        let accounts_open = trace.requests.iter().any(|request| request.account.is_none());
        let names = self.class_names(&trace.classes, classes_open);
        if names.len() > CLASSES_MAX {
            let problem = format!("{} classes, more than the {CLASSES_MAX} accepted", names.len());
            return Err(InputError::new(&trace.source, problem).in_field("class"));
        }
        let place = |name: &str| names.iter().position(|&known| known == name).unwrap_or(0) as u16;
        let class_of: Vec<u16> = trace.classes.iter().map(|name| place(name)).collect();
        let (interactive, batch) = (place(INTERACTIVE), place(BATCH));

        let mut accounts = trace.accounts.clone();
        let account_of: Vec<u32> = if accounts_open {
            self.accounts().iter().map(|name| known_or_new(&mut accounts, name)).collect()
        } else {
            Vec::new()
        };
        let longest = trace.requests.iter().map(|request| request.output_tokens).max().unwrap_or(1);

        let mut random = random_stream(seed, Purpose::Mix, 0);
        let assign = |request: crate::trace::TraceRequest| {
            let (for_account, for_class): (f64, f64) = (random.random(), random.random());
            let drawn = if for_class < self.batch_ratio() { batch } else { interactive };
            Request {
                arrival: request.arrival,
                prompt_tokens: request.prompt_tokens,
                output_tokens: request.output_tokens,
                output_tokens_max: request.output_tokens_max.unwrap_or(longest),
                class: request.class.map_or(drawn, |index| class_of[usize::from(index)]),
                account: request.account.unwrap_or_else(|| account_of[self.account(for_account)]),
                prefix: request.prefix,
            }
        };
        Ok(Workload {
            requests: trace.requests.into_iter().map(assign).collect(),
            classes: names.iter().map(|name| class(name)).collect(),
            accounts: accounts.into_iter().map(|name| Account::new(name, 1.0)).collect(),
            source: format!("{}, mix {}", trace.source, self.name()),
            prefix_block_tokens: trace.prefix_block_tokens,
        })
    }

    /// Names of classes in order of precedence: those of the trace, and where requests are left
    /// open those of the mix.
    fn class_names(self, brought: &[String], open: bool) -> Vec<&str> {
        let has = |name: &str| brought.iter().any(|known| known == name);
        let mut names = Vec::new();
        if open || has(INTERACTIVE) {
            names.push(INTERACTIVE);
        }
        names.extend(
            brought.iter().map(String::as_str).filter(|&name| name != INTERACTIVE && name != BATCH),
        );
        if (open && self.batch_ratio() > 0.0) || has(BATCH) {
            names.push(BATCH);
        }
        names
    }
}

/// The index of a name, added at the end if it is new.
fn known_or_new(names: &mut Vec<String>, name: &str) -> u32 {
    let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    index as u32
}

/// The class of this name with its targets.
pub fn class(name: &str) -> Class {
    let (ttft_ms, tpot_ms, guaranteed_ratio) =
        if name == BATCH { (60_000, 200, 0.02) } else { (2_000, 50, 0.0) };
    let interactive_ttft_ms = 2_000.0;
    Class {
        ttft_target: Nanos::from_millis(ttft_ms),
        tpot_target: Nanos::from_millis(tpot_ms),
        delay_value: interactive_ttft_ms / ttft_ms as f64,
        guaranteed_ratio,
        ..Class::new(name)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mix {
    type Err = String;

    /// By name; the error is a sentence that lists the mixes.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|mix| mix.name() == name);
        known.ok_or_else(|| unknown(name, "mix", Self::ALL.map(Self::name)))
    }
}
