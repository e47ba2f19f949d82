//! What runs in the next step?
//!
//! [`continuous`] batches the iterations of a language model: each step takes some tokens of some
//! requests. [`dynamic`] batches whole requests of ordinary models.
//!
//! # How a host drives it
//! It submits requests as they come, and goes round this loop:
//!
//! ```
//! use rampmeter::batch::continuous::{
//!     Batcher, Observation, Plan, PlanEntry, Preemption, StepResult, Submission,
//! };
//! # use rampmeter::engine::Profile;
//! # use rampmeter::policy::{Account, Policy};
//! use rampmeter::{Error, Nanos, Tokens};
//! # struct Engine(Nanos);
//! # impl Engine {
//! #     fn now(&self) -> Nanos {
//! #         self.0
//! #     }
//! #     fn free(&self, _: &[Preemption]) {}
//! #     fn run(&mut self, entries: &[PlanEntry], ends_at: Nanos) -> Vec<StepResult> {
//! #         self.0 = ends_at;
//! #         let emits = entries.iter().filter(|entry| entry.emits);
//! #         emits.map(|entry| StepResult {
//! #             request: entry.request,
//! #             output_tokens: Tokens(1),
//! #             finished: false,
//! #         }).collect()
//! #     }
//! # }
//!
//! fn drive(batcher: &mut Batcher, engine: &mut Engine) -> Result<(), Error> {
//!     let seats = batcher.stats().running_max as usize;
//!     let mut entries = vec![PlanEntry::default(); seats];
//!     let mut preempted = vec![Preemption::default(); seats];
//!     // `None`: nothing happens until a request comes in.
//!     while batcher.next_event(engine.now()).is_some() {
//!         let mut plan = Plan { entries: &mut entries, preempted: &mut preempted };
//!         let formed = batcher.form(engine.now(), &mut plan)?;
//!         engine.free(&preempted[..formed.preempted_len as usize]);
//!         if let Some(step) = formed.step {
//!             let entries = &entries[..formed.entries_len as usize];
//!             let results = engine.run(entries, formed.ends_at);
//!             let seen = Observation { step, kv_blocks_free: None, results: &results };
//!             batcher.observe(engine.now(), &seen)?;
//!         }
//!     }
//!     Ok(())
//! }
//! # let policy = Policy::default().with_accounts([Account::new("a", 1.0)]);
//! # let profile = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
//! # let mut batcher = Batcher::new(&policy, profile.kv()?, profile.step_model()?)?;
//! # for tag in 0..200 {
//! #     let account = batcher.policy_account(0).ok_or("no such account")?;
//! #     let (prompt_tokens, cached_tokens) = (Tokens(700), Tokens::ZERO);
//! #     let (class, arrival, output_tokens_max) = (0, Nanos::ZERO, Tokens(30));
//! #     batcher.submit(Nanos::ZERO, &Submission {
//! #         tag, class, account, arrival, prompt_tokens, cached_tokens, output_tokens_max,
//! #     })?;
//! # }
//! # let mut engine = Engine(Nanos::ZERO);
//! # drive(&mut batcher, &mut engine)?;
//! # assert_eq!(batcher.stats().requests, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With steps in flight it forms the next one before it observes the last: up to
//! `limits.steps_in_flight_max` may be formed and not observed, and they are observed in order.

pub mod continuous;
pub mod dynamic;
mod queue;
#[cfg(feature = "document")]
pub mod record;

pub use continuous::{Batcher, Formed, Observation, Plan, PlanEntry, RequestId, Submission};
