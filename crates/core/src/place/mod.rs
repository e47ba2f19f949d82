//! Where does it run?
//!
//! # What it decides
//! On which nodes and devices a task runs: [`Placer::place`], [`Placer::resize`].
//!
//! # Formula
//! Filter, then price, then choose: of the nodes that can take a member the one where that costs
//! the fewest seconds of delay. The parts of a [`Price`], with `pi` the shadow price of a GPU
//! ([`Placer::set_shadow_price`]), `v` the delay value of the class, `g` the GPUs of the task and
//! T its run time:
//!
//! ```text
//! stranding     stranded GPUs * pi * max(T, holding)                  (choose, horizon)
//! warm-up       warm_up * (v + g*pi), once, where it is cold          (warm, extras)
//! links         ratio * T * (v + g*pi), once, where it is apart       (links, extras)
//! interference  x*T*(v + g*pi) + sum x_j*min(T, left_j)*(v_j + g_j*pi),
//!               less that of the average tenant                     (interference)
//! crowding      crowding_s * replicas in the domain * v               (spreading, extras)
//! ```
//! The whole page: `docs/policies/place.md`.
//!
//! # Bounds and cost
//! Nothing allocates after [`Placer::new`]; memory is [`Placer::bytes_needed`]. A task is priced on
//! every node for each of its members, O(members * nodes); release is O(members).
//!
//! # What it is bad at
//! One task after the other, one member after the other: it does not look for the best way to place
//! several at once. What a task does not say (duration, artifact, who it disturbs) is not priced.
//!
//! # Source
//! Shadow price and prices in delay: `docs/policies/place.md`. Stranding: see `stranding`.

pub mod backfill;
mod blocked;
mod choose;
pub mod compact;
pub mod cycle;
mod domains;
mod entry;
pub mod expected;
mod extras;
mod future;
mod gang;
pub mod held;
pub mod holdings;
mod horizon;
mod interference;
mod life;
mod links;
mod lost;
mod lost_work;
mod members;
mod mix;
mod order;
pub mod pending;
mod prey;
pub mod price;
pub mod promises;
mod reclaim;
pub mod resize;
mod room;
mod rules;
mod scratch;
mod shapes;
mod spreading;
mod state;
pub mod stats;
mod stranding;
pub mod task;
mod tenants;
mod timeline;
pub mod warm;
pub mod what_if;
pub mod why;

use alloc::boxed::Box;

use crate::error::{Error, check_range};
use crate::fleet::{Fleet, FleetOptions, Hold, NodeId, NodeSpec};
use crate::handle::{Handle, Slab};
use crate::policy::{PlacementRules, Policy};
use crate::units::Nanos;
use blocked::Blocked;
use domains::Domains;
use future::Future;
use held::Held;
use holdings::Holdings;
use horizon::Horizon;
use members::Members;
use pending::Pending;
use prey::Prey;
use promises::{Promises, RESERVATIONS_MAX};
use scratch::Scratch;
use spreading::Crowds;
use stranding::Stranding;
use tenants::{Tenant, Tenants};
use warm::Warm;

pub use cycle::{Cycle, CyclePlan};
pub use entry::{Entry, Placed, Stage};
pub use expected::{Because, Expected};
pub use held::Holding;
pub use holdings::RESOURCES;
pub use mix::MixEntry;
pub use price::Price;
pub use promises::Reservation;
pub use resize::Resized;
pub use rules::SHADOW_PRICE_MAX;
pub use stats::PlacerStats;
pub use task::{Domain, Spreading, Task, Topology};

/// A task that a placer knows.
pub type TaskId = Handle<Entry>;

/// Most tasks, members or accounts of a placer.
const COUNT_MAX: u32 = 1 << 24;

/// Most members that one task may ask for.
const TASK_MEMBERS_MAX: u32 = 1 << 16;

/// Size of a [`Placer`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlacerOptions {
    /// Tasks that may be known at once, pending and running together, 1 to 2^24.
    pub tasks_max: u32,
    /// Members of all tasks that may run at once, 1 to 2^24.
    pub members_max: u32,
    /// Members of one task, 1 to 2^16.
    pub task_members_max: u32,
    /// Accounts that tasks may belong to, by the index of their ids, 1 to 2^24.
    pub accounts_max: u32,
}

impl PlacerOptions {
    /// `Ok` if all is in range.
    ///
    /// # Errors
    /// [`Error::Range`], naming the field.
    pub fn validate(&self) -> Result<(), Error> {
        let ranges = [
            ("tasks_max", self.tasks_max, COUNT_MAX),
            ("members_max", self.members_max, COUNT_MAX),
            ("task_members_max", self.task_members_max, TASK_MEMBERS_MAX),
            ("accounts_max", self.accounts_max, COUNT_MAX),
        ];
        let check = |(field, value, max): (_, u32, u32)| {
            check_range(field, value.into(), 1, max.into()).map(drop)
        };
        ranges.into_iter().try_for_each(check)
    }
}

impl Default for PlacerOptions {
    /// 16,384 tasks with as many members together, at most 1,024 of them in one task, of 1,024
    /// accounts.
    fn default() -> Self {
        Self {
            tasks_max: 16_384,
            members_max: 16_384,
            task_members_max: 1_024,
            accounts_max: 1_024,
        }
    }
}

/// Places tasks on the nodes of a fleet.
#[derive(Debug)]
pub struct Placer {
    options: PlacerOptions,
    rules: PlacementRules,
    /// Worth of a second of delay, by class.
    delay_values: Box<[f64]>,
    shadow_price: f64,
    /// Whether the host has said what it is; else it is the policy's.
    shadow_price_told: bool,
    fleet: Fleet,
    domains: Domains,
    tasks: Slab<Entry>,
    members: Members,
    crowds: Crowds,
    warm: Warm,
    horizon: Horizon,
    tenants: Tenants,
    /// Their average, as of the last look around.
    tenant: Tenant,
    stranding: Stranding,
    pending: Pending,
    holdings: Holdings,
    promises: Promises,
    prey: Prey,
    future: Future,
    /// Tasks that find no room now.
    blocked: Blocked,
    /// Tasks for which no time is known at which they would, by their run time.
    hopeless: Blocked,
    /// Times that something was given back.
    given_back: u64,
    /// Of them, how often before it was expected.
    early_ends: u64,
    /// The pass that goes on, or the next one: calls of `cycle` until one says that it is over.
    cycles: u64,
    /// Batch work that the last cycle held back for urgent work.
    held: Option<Held>,
    scratch: Scratch,
    now: Nanos,
    /// Whether a cycle looks at everybody anew, to compare.
    #[cfg(test)]
    is_thorough: bool,
}

impl Placer {
    /// A placer over this fleet, with nothing running. The only call that allocates.
    ///
    /// # Errors
    /// [`Error::Range`] for sizes outside those of [`PlacerOptions`]; what [`Policy::validate`]
    /// says; [`Error::Contradiction`] if something of the fleet is taken already.
    pub fn new(fleet: Fleet, policy: &Policy, options: &PlacerOptions) -> Result<Self, Error> {
        policy.validate()?;
        let reservations_max = policy.placement.reservations_max;
        check_range("reservations_max", reservations_max.into(), 0, RESERVATIONS_MAX.into())?;
        Self::with_reservations(fleet, policy, options, reservations_max)
    }

    /// The same with room for so many reservations, whatever the policy says of them.
    fn with_reservations(
        fleet: Fleet,
        policy: &Policy,
        options: &PlacerOptions,
        reservations_max: u32,
    ) -> Result<Self, Error> {
        options.validate()?;
        if let Some((node, taken)) = fleet.iter().find(|(_, node)| node.holds > 0) {
            return Err(Error::Contradiction {
                field: "fleet",
                value: node.to_raw(),
                other: "holds",
                other_value: taken.holds.into(),
            });
        }
        let &FleetOptions { nodes_max, devices_per_node_max } = fleet.options();
        let PlacementRules { measure, mix_weight, .. } = policy.placement;
        let mut stranding = Stranding::new(measure, mix_weight, nodes_max, devices_per_node_max);
        let &PlacerOptions { tasks_max, members_max, task_members_max, accounts_max } = options;
        let members = Members::new(members_max, nodes_max);
        fleet.iter().for_each(|(node, _)| stranding.appeared(&fleet, node.index()));
        fleet.iter().for_each(|(node, _)| stranding.changed(&fleet, &members, node.index()));
        let places_max = members_max.max(task_members_max);
        Ok(Self {
            options: *options,
            rules: policy.placement,
            delay_values: policy.classes.iter().map(|class| class.delay_value).collect(),
            shadow_price: policy.placement.shadow_price,
            shadow_price_told: false,
            domains: Domains::new(nodes_max),
            tasks: Slab::new("tasks", options.tasks_max)?,
            members,
            crowds: Crowds::new(options.tasks_max, nodes_max),
            warm: Warm::new(nodes_max),
            horizon: Horizon::default(),
            tenants: Tenants::default(),
            tenant: Tenant::default(),
            stranding,
            pending: Pending::new(tasks_max, accounts_max),
            holdings: Holdings::new(accounts_max),
            promises: Promises::new(reservations_max, places_max, nodes_max)?,
            prey: Prey::new(accounts_max),
            future: Future::new(tasks_max, reservations_max.max(1), nodes_max),
            blocked: Blocked::new(tasks_max),
            hopeless: Blocked::new(tasks_max),
            given_back: 0,
            early_ends: 0,
            cycles: 1,
            held: None,
            scratch: Scratch::new(&fleet, options)?,
            now: Nanos::ZERO,
            #[cfg(test)]
            is_thorough: false,
            fleet,
        })
    }

    /// Bytes that a placer of this size takes from the heap, with its fleet. What is out of range
    /// counts as the largest that is not.
    #[must_use]
    pub fn bytes_needed(fleet: &FleetOptions, policy: &Policy, options: &PlacerOptions) -> u64 {
        let fleet = &fleet.within();
        let nodes_max = fleet.nodes_max;
        let reservations_max = policy.placement.reservations_max.min(COUNT_MAX);
        let options = &PlacerOptions {
            tasks_max: options.tasks_max.min(COUNT_MAX),
            members_max: options.members_max.min(COUNT_MAX),
            task_members_max: options.task_members_max.min(TASK_MEMBERS_MAX),
            accounts_max: options.accounts_max.min(COUNT_MAX),
        };
        let &PlacerOptions { tasks_max, members_max, task_members_max, accounts_max } = options;
        Fleet::bytes_needed(fleet)
            + Slab::<Entry>::bytes_needed(tasks_max)
            + Members::bytes_needed(members_max, nodes_max)
            + Domains::bytes_needed(nodes_max)
            + Crowds::bytes_needed(tasks_max, nodes_max)
            + Warm::bytes_needed(nodes_max)
            + Pending::bytes_needed(tasks_max, accounts_max)
            + Holdings::bytes_needed(accounts_max)
            + Promises::bytes_needed(reservations_max, members_max.max(task_members_max), nodes_max)
            + Prey::bytes_needed(accounts_max)
            + Future::bytes_needed(tasks_max, reservations_max.max(1), nodes_max)
            + 2 * Blocked::bytes_needed(tasks_max)
            + Stranding::bytes_needed(
                policy.placement.measure,
                nodes_max,
                fleet.devices_per_node_max,
            )
            + Scratch::bytes_needed(*fleet, options)
            + policy.classes.len() as u64 * size_of::<f64>() as u64
    }

    /// Its size, as it was made.
    #[must_use]
    pub const fn options(&self) -> &PlacerOptions {
        &self.options
    }

    /// What there is, and what of it is free.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Adds a node. O(devices).
    ///
    /// # Errors
    /// As [`Fleet::add_node`].
    pub fn add_node(&mut self, spec: &NodeSpec<'_>) -> Result<NodeId, Error> {
        let node = self.fleet.add_node(spec)?;
        self.freed(true);
        self.stranding.appeared(&self.fleet, node.index());
        self.stranding.changed(&self.fleet, &self.members, node.index());
        self.domains.changed();
        self.warm.clear(node.index());
        Ok(node)
    }

    /// What is known of a task.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task.
    pub fn task(&self, task: TaskId) -> Result<&Entry, Error> {
        self.tasks.get(task)
    }

    /// What a task holds, one entry for each member.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task.
    pub fn holds(&self, task: TaskId) -> Result<impl Iterator<Item = &Hold>, Error> {
        let first = self.tasks.get(task)?.first_member;
        Ok(self.members.of_task(first).map(|member| &member.hold))
    }
}

#[cfg(test)]
mod tests;
