//! rampmeter: GPU scheduling policy as a library.
//!
//! A host (a serving engine, a router, a cluster scheduler) keeps its own sockets, threads and
//! queues. It asks rampmeter *what runs next, where, and may this come in at all*. Every answer
//! is a value; the host acts on it and reports back what really happened.
//!
//! ```
//! use rampmeter::batch::continuous::{Observation, PlanArrays, StepResult};
//! use rampmeter::batch::{Batcher, Submission};
//! use rampmeter::engine::Profile;
//! use rampmeter::policy::{Account, Policy};
//! use rampmeter::{Nanos, Tokens};
//!
//! // Interactive work before batch work, and twice the share for `chat`.
//! let accounts = [Account::new("search", 1.0), Account::new("chat", 2.0)];
//! let policy = Policy::default().with_accounts(accounts);
//! let engine = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
//! let mut batcher = Batcher::new(&policy, engine.kv()?, engine.step_model()?)?;
//!
//! // Two requests come in.
//! let now = Nanos::from_millis(5);
//! for (tag, account, prompt_tokens) in [(1, 0, Tokens(700)), (2, 1, Tokens(1_200))] {
//!     batcher.submit(now, &Submission {
//!         tag,
//!         class: 0,
//!         account: batcher.policy_account(account).ok_or("no such account")?,
//!         arrival: now,
//!         prompt_tokens,
//!         output_tokens_max: Tokens(50),
//!         ..Submission::default()
//!     })?;
//! }
//!
//! // What should the engine compute next? The answer is written into arrays of the host.
//! let mut arrays = PlanArrays::new(policy.limits.running_max);
//! let formed = batcher.form(now, &mut arrays.plan())?;
//! let entries = &arrays.entries[..formed.entries_len as usize];
//! assert_eq!(entries.iter().map(|entry| entry.tokens.get()).sum::<u32>(), 1_900);
//!
//! // The engine has run it: both prompts are done, and each brought its first token.
//! let results: Vec<StepResult> = entries
//!     .iter()
//!     .map(|entry| StepResult {
//!         request: entry.request,
//!         output_tokens: Tokens(1),
//!         finished: false,
//!     })
//!     .collect();
//! let step = formed.step.ok_or("nothing to run")?;
//! let seen = Observation { step, results: &results, ..Observation::default() };
//! assert_eq!(batcher.observe(formed.ends_at, &seen)?.first_tokens, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Laws
//! - **Time comes in.** Every call takes `now` from the host's monotonic clock. The same calls
//!   give the same answers, bit for bit.
//! - **Limits come first.** Constructors take capacities and are the only place that allocates.
//! - **Decisions are values**, errors are for wrong calls, and an error changes nothing.
//! - **Bad numbers never get in**: each is refused with an [`Error`] that names it.
//!
//! # Rooms
//! Floors from the ground up; a room imports only from the floors below it.
//!
//! | floor | room | its question |
//! |---|---|---|
//! | 0 | [`units`], [`error`], [`handle`] | in what words? |
//! | 1 | [`policy`] | what does the operator want? |
//! | 2 | [`share`], [`fleet`], [`engine`], [`outcome`] | who deserves it, what is there, how long does a step take, what did users feel? |
//! | 3 | [`headroom`] | how much is safe? |
//! | 4 | [`batch`], [`place`], [`route`] | what runs in the next step, where does it run, which replica takes it? |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "document"))]
extern crate std;

pub mod batch;
pub mod engine;
pub mod error;
pub mod fleet;
pub mod handle;
pub mod headroom;
mod heap;
pub mod outcome;
pub mod place;
pub mod policy;
pub mod route;
pub mod share;
mod snapshot;
pub mod units;

pub use error::Error;
pub use units::{Blocks, Bytes, MilliGpu, Nanos, Tokens};

/// The example of the README is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
