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
//!     Batcher, Observation, PlanArrays, PlanEntry, Preemption, StepResult, Submission,
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
//!     let mut arrays = PlanArrays::new(batcher.stats().running_max);
//!     // `None`: nothing happens until a request comes in.
//!     while batcher.next_event(engine.now()).is_some() {
//!         let formed = batcher.form(engine.now(), &mut arrays.plan())?;
//!         engine.free(&arrays.preempted[..formed.preempted_len as usize]);
//!         if let Some(step) = formed.step {
//!             let entries = &arrays.entries[..formed.entries_len as usize];
//!             let results = engine.run(entries, formed.ends_at);
//!             let seen = Observation { step, results: &results, ..Observation::default() };
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
//! #     let (prompt_tokens, output_tokens_max) = (Tokens(700), Tokens(30));
//! #     batcher.submit(Nanos::ZERO, &Submission {
//! #         tag, account, prompt_tokens, output_tokens_max, ..Submission::default()
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

mod admission;
pub mod continuous;
pub mod dynamic;
mod queue;
#[cfg(feature = "document")]
pub mod record;

pub use admission::{Admission, Shed};
pub use continuous::{Batcher, Formed, Observation, Plan, PlanEntry, RequestId, Submission};
