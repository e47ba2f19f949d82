//! What does the operator want? Classes with targets, accounts with weights, limits.
//!
//! [`Policy`] is the validated form that every desk takes. With the feature `document` it is read
//! from and written to TOML and JSON (see `policy::document`); the same text drives Rust, C,
//! Python, Slurm and the simulator.
//!
//! A policy starts from a [`Preset`] ([`Policy::default`] is [`Preset::Balanced`]), is changed
//! field by field, and is checked once:
//!
//! ```
//! use rampmeter::policy::{Account, Limits, Policy};
//!
//! let policy = Policy::default()
//!     .with_accounts([Account::new("search", 3.0), Account::new("research", 1.0)])
//!     .with_limits(Limits { running_max: 256, ..Limits::default() })
//!     .validated()?;
//! assert_eq!(policy.account_index("research"), Some(1));
//! # Ok::<(), rampmeter::Error>(())
//! ```
//!
//! # One table
//! Every field has one row in one table: its key in the document, unit, range, meaning and the
//! reason for its default. Validation, the document, the command's listing and the written
//! reference all come from that row, so they cannot disagree.
//!
//! # Bounds and cost
//! Construction copies and checks everything once: O(n log n) in classes and accounts where each
//! account stands behind its parent and parts of it, or a level behind the other. In other orders
//! parents are searched for, O(n) each. Nothing here is on a hot path.

mod admission;
#[cfg(test)]
mod arbitrary;
mod field;
mod parents;
mod placement;
mod presets;
mod quota;
mod reference;
mod route;
mod table;
mod validate;

#[cfg(feature = "document")]
pub mod document;

use alloc::boxed::Box;
use alloc::string::String;

use crate::error::Error;
use crate::units::{Nanos, Tokens};

pub use admission::{GateRules, HoldRules};
pub(crate) use parents::Way;
pub use placement::{Backfill, Measure, MixWeight, PendingOrder, PlacementRules};
pub use presets::Preset;
pub(crate) use quota::OVER_QUOTA_WEIGHT_MAX;
pub use quota::{AMOUNT_MAX, AccountQuota, Amounts, RESOURCES_MAX};
pub use reference::{Key, keys};
pub use route::RouteRules;
pub(crate) use table::SEQUENCE_TOKENS_MAX;
pub use validate::Fault;

/// Most classes in one policy. Order of precedence stops meaning anything to an operator long
/// before this, and desks keep per-class state of fixed size.
pub const CLASSES_MAX: usize = 16;

/// Most accounts that a policy may name, and the most that a policy may let be open at once: 2^17,
/// above the users of the largest batch systems (100,000). A desk keeps a counter for each.
pub const ACCOUNTS_MAX: usize = 131_072;

/// Most levels of accounts below each other: organisation, department, team, project, user and
/// some to spare. Every charge walks them all.
pub const DEPTH_MAX: usize = 8;

/// Most other engines and routers that one exchanges service with: what a byte can name besides
/// itself. Each costs a number for every account and class.
pub const REPLICAS_MAX: u32 = 255;

/// Longest name of a class or an account, in bytes of UTF-8. Twice the 63 that DNS labels and
/// Kubernetes names allow, so that `namespace/name` fits.
pub const NAME_BYTES_MAX: usize = 128;

/// Longest name of a resource, in bytes: `ephemeral_storage_mib` has 21. Each account may repeat
/// it in four maps.
pub const RESOURCE_NAME_BYTES_MAX: usize = 32;

/// Most of the engine's work that all guarantees and the share of late requests may take
/// together. The rest is what the order of the classes decides about; with nothing left, order
/// would mean nothing.
pub const RESERVED_RATIO_MAX: f64 = 0.99;

/// A kind of work that shares one set of targets. Earlier classes go first.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Unique name.
    pub name: String,
    /// Time to first token that users of this class expect.
    pub ttft_target: Nanos,
    /// Time per output token after the first that they expect.
    pub tpot_target: Nanos,
    /// What one second of delay is worth; 1.0 = a second of an interactive user.
    pub delay_value: f64,
    /// Share of the engine's work (0..=1) kept for this class while it has work waiting, however
    /// busy the classes before it are.
    pub guaranteed_ratio: f64,
    /// How much of this class may wait.
    pub queue: QueueLimits,
}

/// Who asks, and what share they deserve next to their siblings.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Unique name.
    pub name: String,
    /// Name of the account that this one is part of, which stands before it in the list.
    pub parent: Option<String>,
    /// Relative share while backlogged, next to the other parts of the same parent.
    pub weight: f64,
    /// How much of this account may wait, its parts included.
    pub queue: QueueLimits,
    /// How fast this account may send, its parts included.
    pub rates: RateLimits,
    /// What this account may have of each of [`Policy::resources`], its parts included.
    pub quota: AccountQuota,
}

/// How much may come in per minute; the batcher sheds what comes on top, and so does who asks
/// [`Ledger::admit_rate`](crate::share::Ledger::admit_rate); the gate and the router do not look at
/// it. Zero in a rate is no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct RateLimits {
    /// Requests.
    pub requests_per_minute: u32,
    /// Tokens, prompt and output together.
    pub tokens_per_minute: u64,
    /// How long an account must have sent nothing for its buckets to be full: a bucket holds what
    /// its rate brings in this time.
    pub burst: Nanos,
}

impl Default for RateLimits {
    /// No limit; buckets that hold a minute.
    fn default() -> Self {
        Self { requests_per_minute: 0, tokens_per_minute: 0, burst: Nanos(60_000_000_000) }
    }
}

/// How much may wait; the batcher sheds what comes on top. The gate obeys `wait_max` of a class alone,
/// the router nothing of it. Zero in any field is no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct QueueLimits {
    /// Requests that wait.
    pub requests_max: u32,
    /// Prompt tokens that wait to be computed.
    pub tokens_max: u64,
    /// How long a request may wait for its seat.
    pub wait_max: Nanos,
}

/// What of the past counts when capacity is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryRules {
    /// Time after which past usage counts half; zero: no history is kept.
    pub half_life: Nanos,
    /// How much past usage above an account's share takes from its part of what is left over; 0:
    /// the past does not count. Needs a half-life.
    pub usage_weight: f64,
}

/// What the operator is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objectives {
    /// Share of offered requests (0..=1) that must meet both targets for the service to count as
    /// good: where the highway curve draws its line.
    pub attainment_min_ratio: f64,
    /// Floor of the run time in bounded slowdown, so that tiny requests do not dominate it.
    pub slowdown_floor: Nanos,
}

/// Capacities: everything has a limit, and full is an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests that may be known at once, waiting and running together.
    pub requests_max: u32,
    /// Requests that may run at once (seats).
    pub running_max: u32,
    /// Accounts that may be open at once.
    pub accounts_max: u32,
    /// Other engines and routers that this one tells whom it served, and hears it from; 0 for one
    /// that is alone. See [`crate::share::exchange`].
    pub replicas_max: u32,
    /// Adapters (`LoRA`) that requests may name: 1 to this; 0 for an engine without adapters.
    pub adapters_max: u32,
    /// Adapters that running requests may use at once.
    pub adapter_slots_max: u32,
    /// Tokens that one step may compute, prompts and decodes together.
    pub step_tokens_max: Tokens,
    /// Steps that may be formed and not yet observed, 1 to 4.
    pub steps_in_flight_max: u32,
    /// Longest prompt accepted.
    pub prompt_tokens_max: Tokens,
    /// Most output tokens of one request.
    pub output_tokens_max: Tokens,
}

/// What an engine computes: everything, or one half of a disaggregated pair.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum EngineMode {
    /// Prompts and decodes in the same steps.
    #[default]
    Mixed,
    /// Prompts only: a request is done with its first token, and its KV is handed on.
    Prefill,
    /// Decodes only: requests come with the KV of their prompt.
    Decode,
}

impl EngineMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Mixed, Self::Prefill, Self::Decode];

    /// The words for them in a document, in the order of [`EngineMode::ALL`].
    pub const NAMES: [&'static str; 3] = ["mixed", "prefill", "decode"];
}

/// How steps are filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchRules {
    /// What the engine computes.
    pub mode: EngineMode,
    /// Whether requests that can no longer meet their target stand behind those that can.
    pub triage: bool,
    /// Prompt tokens that a step may always take, however tight the decoding requests are.
    pub prefill_floor_tokens: Tokens,
    /// Share of `tpot_target` that steps are planned to keep; the rest absorbs prediction error.
    pub deadline_margin_ratio: f64,
    /// Prompts that are late or of a lower class fill a step only up to this share of the
    /// tightest running `tpot_target`.
    pub background_step_ratio: f64,
    /// Share of its lead over its own schedule (0..=1) that a decoding request lends to prompts.
    pub slack_lending_ratio: f64,
    /// Seconds of priority that one second of remaining prompt work costs among requests of
    /// equal standing.
    pub work_delay_ratio: f64,
    /// How far past its fair turn an account may go for a request about to miss its target.
    pub urgency_credit_tokens: f64,
    /// Share of the work (0..=1) kept for requests that have already missed their target.
    pub late_ratio: f64,
    /// Cost of one prompt token, the unit of service.
    pub prompt_token_cost: f64,
    /// Cost of one prompt token found in the cache.
    pub cached_token_cost: f64,
    /// Cost of one output token, in prompt tokens; 0 to measure it.
    pub output_token_cost: f64,
    /// Times that one request may lose its KV before others are preferred as victims.
    pub preemptions_max: u32,
    /// Probability (0..=1) accepted that the running requests outgrow the KV cache; 1 lets
    /// requests in on their prompt alone.
    pub kv_overflow_risk_ratio: f64,
    /// Steps that the step-time model remembers; 0 keeps the model as it was given.
    pub model_memory_steps: u32,
}

/// What every desk is built from. Fields are open; [`Policy::validate`] is the door that desks
/// send a policy through.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// In order of precedence; 1 to [`CLASSES_MAX`].
    pub classes: Box<[Class]>,
    /// Accounts known beforehand; others may be opened at run time.
    pub accounts: Box<[Account]>,
    /// Weight of an account that the policy does not name.
    pub account_default_weight: f64,
    /// How much of an account may wait that the policy does not name.
    pub account_default_queue: QueueLimits,
    /// How fast an account may send that the policy does not name.
    pub account_default_rates: RateLimits,
    /// Names of the resources of a cluster, in the order in which [`Amounts`] give them, at most
    /// [`RESOURCES_MAX`]; each has its unit in its name.
    pub resources: Box<[String]>,
    /// What of the past counts.
    pub history: HistoryRules,
    /// What the operator is judged by.
    pub objectives: Objectives,
    /// Capacities.
    pub limits: Limits,
    /// How steps are filled.
    pub batch: BatchRules,
    /// What placement goes by.
    pub placement: PlacementRules,
    /// What a router goes by.
    pub route: RouteRules,
    /// What the gate goes by.
    pub gate: GateRules,
    /// What holds batch work back.
    pub hold: HoldRules,
}

/// What an output token costs in prompt tokens where a policy leaves it to be measured and there is
/// no engine to measure: that of Llama-3.1-8B at 128 requests, rounded.
pub const OUTPUT_TOKEN_COST_TYPICAL: f64 = 5.0;

impl BatchRules {
    /// Cost of one output token for desks that see no engine: what the policy says, or
    /// [`OUTPUT_TOKEN_COST_TYPICAL`] prompt tokens where it leaves it to be measured.
    #[must_use]
    pub fn output_token_cost_assumed(&self) -> f64 {
        if self.output_token_cost == 0.0 {
            OUTPUT_TOKEN_COST_TYPICAL * self.prompt_token_cost
        } else {
            self.output_token_cost
        }
    }
}

impl Class {
    /// A class with the targets of someone who waits at a screen: see the table of keys.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        presets::class_template(name.into())
    }
}

impl Account {
    /// An account of the first level with its weight, without limits and quota.
    #[must_use]
    pub fn new(name: impl Into<String>, weight: f64) -> Self {
        Self {
            name: name.into(),
            parent: None,
            weight,
            queue: QueueLimits::default(),
            rates: RateLimits::default(),
            quota: AccountQuota::default(),
        }
    }

    /// The same account as part of `parent`.
    #[must_use]
    pub fn under(mut self, parent: impl Into<String>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// The same account with this quota.
    #[must_use]
    pub const fn with_quota(mut self, quota: AccountQuota) -> Self {
        self.quota = quota;
        self
    }
}

impl Policy {
    /// The same policy with these classes, in order of precedence, instead of its own.
    #[must_use]
    pub fn with_classes(mut self, classes: impl Into<Box<[Class]>>) -> Self {
        self.classes = classes.into();
        self
    }

    /// The same policy with these accounts instead of its own.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl Into<Box<[Account]>>) -> Self {
        self.accounts = accounts.into();
        self
    }

    /// The same policy with these resources instead of its own.
    #[must_use]
    pub fn with_resources(mut self, resources: impl Into<Box<[String]>>) -> Self {
        self.resources = resources.into();
        self
    }

    /// The same policy with these rules for history.
    #[must_use]
    pub const fn with_history(mut self, history: HistoryRules) -> Self {
        self.history = history;
        self
    }

    /// The same policy with these objectives.
    #[must_use]
    pub fn with_objectives(mut self, objectives: Objectives) -> Self {
        self.objectives = objectives;
        self
    }

    /// The same policy with these capacities.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same policy with these rules for filling steps.
    #[must_use]
    pub fn with_batch(mut self, batch: BatchRules) -> Self {
        self.batch = batch;
        self
    }

    /// The same policy with these rules for placement.
    #[must_use]
    pub const fn with_placement(mut self, placement: PlacementRules) -> Self {
        self.placement = placement;
        self
    }

    /// The same policy with these rules for routing.
    #[must_use]
    pub const fn with_route(mut self, route: RouteRules) -> Self {
        self.route = route;
        self
    }

    /// The same policy with these rules for the gate.
    #[must_use]
    pub const fn with_gate(mut self, gate: GateRules) -> Self {
        self.gate = gate;
        self
    }

    /// The same policy with these rules for holding batch work back.
    #[must_use]
    pub const fn with_hold(mut self, hold: HoldRules) -> Self {
        self.hold = hold;
        self
    }

    /// The policy itself, if it is valid: the end of a chain of `with_` calls.
    ///
    /// # Errors
    /// As [`Policy::validate`].
    pub fn validated(self) -> Result<Self, Error> {
        self.validate()?;
        Ok(self)
    }

    /// Place of the class called `name`, or `None`. Compares every name: look it up once.
    #[must_use]
    pub fn class_index(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class.name == name)
    }

    /// Place of the account called `name`, or `None`. Compares every name: look it up once.
    #[must_use]
    pub fn account_index(&self, name: &str) -> Option<usize> {
        self.accounts.iter().position(|account| account.name == name)
    }
}
