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
//! interference  x*T*(v + g*pi) + sum x_j*min(T, left_j)*(v_j + g_j*pi) (interference)
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

mod choose;
pub mod compact;
mod domains;
mod extras;
mod gang;
mod horizon;
mod interference;
mod links;
mod lost_work;
mod members;
pub mod price;
mod promises;
mod reclaim;
pub mod resize;
mod room;
mod rules;
mod scratch;
mod spreading;
mod stranding;
pub mod task;
pub mod warm;
pub mod what_if;
pub mod why;

use alloc::boxed::Box;

use crate::error::{Error, check_range};
use crate::fleet::{Fleet, FleetOptions, Hold, Lack, NodeId, NodeSpec};
use crate::handle::{Handle, Slab};
use crate::policy::{PlacementRules, Policy};
use crate::units::Nanos;
use domains::Domains;
use horizon::Horizon;
use lost_work::Ends;
use members::{Members, NONE};
use promises::Promises;
use scratch::Scratch;
use spreading::Crowds;
use stranding::Stranding;
use warm::Warm;

pub use price::Price;
pub use resize::Resized;
pub use rules::SHADOW_PRICE_MAX;
pub use task::{Domain, Spreading, Task, Topology};

/// A task that a placer knows.
pub type TaskId = Handle<Entry>;

/// Size of a [`Placer`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlacerOptions {
    /// Tasks that may be known at once, pending and running together, 1 to 2^24.
    pub tasks_max: u32,
    /// Members of all tasks that may run at once, 1 to 2^24.
    pub members_max: u32,
    /// Members of one task, 1 to 2^16.
    pub task_members_max: u32,
}

impl Default for PlacerOptions {
    /// 16,384 tasks with as many members together, at most 1,024 of them in one task.
    fn default() -> Self {
        Self { tasks_max: 16_384, members_max: 16_384, task_members_max: 1_024 }
    }
}

/// How far a task has come.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Stage {
    /// It waits for a cycle to start it.
    #[default]
    Pending,
    /// It holds what it was given.
    Running,
    /// It holds what it was given, and was told to end for somebody else.
    Ending,
}

/// What a placer knows of a task.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it asked for.
    pub task: Task,
    /// How far it has come.
    pub stage: Stage,
    /// When it came.
    pub submitted: Nanos,
    /// When it started, unless it is pending.
    pub started: Nanos,
    /// Members that it has.
    pub members_len: u32,
    /// What its placement costs.
    pub price: Price,
    first_member: u32,
    ends: Ends,
}

/// What [`Placer::place`] decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placed {
    /// It runs, from now on.
    Running {
        /// The task.
        task: TaskId,
        /// Members placed, at the front of the caller's array.
        members_len: u32,
        /// What that costs.
        price: Price,
    },
    /// Nothing can take it now; it is forgotten.
    NoRoom {
        /// What the node that came closest lacks; [`Lack::Topology`] where there is room, but
        /// not in one domain.
        lack: Lack,
    },
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
    stranding: Stranding,
    promises: Promises,
    scratch: Scratch,
    now: Nanos,
}

impl Placer {
    /// A placer over this fleet, with nothing running. The only call that allocates.
    ///
    /// # Errors
    /// [`Error::Range`] for sizes outside those of [`PlacerOptions`]; what [`Policy::validate`]
    /// says; [`Error::Contradiction`] if something of the fleet is taken already.
    pub fn new(fleet: Fleet, policy: &Policy, options: &PlacerOptions) -> Result<Self, Error> {
        policy.validate()?;
        check_range("tasks_max", options.tasks_max.into(), 1, 1 << 24)?;
        check_range("members_max", options.members_max.into(), 1, 1 << 24)?;
        check_range("task_members_max", options.task_members_max.into(), 1, 1 << 16)?;
        if let Some((node, taken)) = fleet.iter().find(|(_, node)| node.holds > 0) {
            return Err(Error::Contradiction {
                field: "fleet",
                value: node.to_raw(),
                other: "holds",
                other_value: taken.holds.into(),
            });
        }
        let nodes_max = fleet.options().nodes_max;
        Ok(Self {
            options: *options,
            rules: policy.placement,
            delay_values: policy.classes.iter().map(|class| class.delay_value).collect(),
            shadow_price: policy.placement.shadow_price,
            shadow_price_told: false,
            domains: Domains::new(nodes_max),
            tasks: Slab::new("tasks", options.tasks_max)?,
            members: Members::new(options.members_max, nodes_max),
            crowds: Crowds::new(options.tasks_max, nodes_max),
            warm: Warm::new(nodes_max),
            horizon: Horizon::default(),
            stranding: Stranding::new(),
            promises: Promises::new(),
            scratch: Scratch::new(*fleet.options(), options)?,
            now: Nanos::ZERO,
            fleet,
        })
    }

    /// Bytes that a placer of this size takes from the heap, with its fleet.
    #[must_use]
    pub fn bytes_needed(fleet: &FleetOptions, policy: &Policy, options: &PlacerOptions) -> u64 {
        let nodes_max = fleet.nodes_max;
        let PlacerOptions { tasks_max, members_max, .. } = *options;
        Fleet::bytes_needed(fleet)
            + Slab::<Entry>::bytes_needed(tasks_max)
            + Members::bytes_needed(members_max, nodes_max)
            + Domains::bytes_needed(nodes_max)
            + Crowds::bytes_needed(tasks_max, nodes_max)
            + Warm::bytes_needed(nodes_max)
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
        self.stranding.changed(&self.fleet, node.index());
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

    /// Places a task now, or says what is in the way: then all is as it was, but that the task mix
    /// knows of one more arrival. The holds of its members go to the front of `out`.
    /// O(members * nodes).
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] for a task that cannot be; [`Error::Full`] on
    /// `tasks` or `members`; [`Error::BufferTooSmall`] on `out` for fewer places than members wanted;
    /// [`Error::TimeReversed`]. Nothing is changed then.
    pub fn place(&mut self, now: Nanos, task: &Task, out: &mut [Hold]) -> Result<Placed, Error> {
        self.check_now(now)?;
        task.check(self.delay_values.len() as u32, self.options.task_members_max)?;
        if out.len() < task.members as usize {
            let (given, needed) = (out.len() as u64, task.members.into());
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        if self.tasks.is_full() {
            return Err(Error::Full { field: "tasks", capacity: self.tasks.capacity().into() });
        }
        self.check_members(task.members_needed())?;
        self.now = now;
        self.stranding.arrived(&task.member, f64::from(task.members));
        let id = self.tasks.insert(Entry {
            task: *task,
            stage: Stage::Pending,
            submitted: now,
            started: now,
            members_len: 0,
            price: Price::default(),
            first_member: NONE,
            ends: Ends::default(),
        })?;
        if let Err(lack) = self.start(now, id)? {
            self.tasks.remove(id)?;
            return Ok(Placed::NoRoom { lack });
        }
        let &Entry { members_len, price, first_member, .. } = self.tasks.get(id)?;
        for (out, member) in out.iter_mut().zip(self.members.of_task(first_member)) {
            *out = member.hold;
        }
        Ok(Placed::Running { task: id, members_len, price })
    }

    /// A task is gone, whatever its stage: what it held is free.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::TimeReversed`].
    pub fn release(&mut self, now: Nanos, task: TaskId) -> Result<(), Error> {
        self.tasks.get(task)?;
        self.check_now(now)?;
        self.now = now;
        let entry = self.tasks.remove(task)?;
        if entry.task.duration == Nanos::ZERO {
            // What was not told is known now; a task that has not run adds nothing.
            let gpu_milli = u64::from(entry.task.member.gpu_milli()) * u64::from(entry.members_len);
            self.horizon.learn(gpu_milli, now.saturating_sub(entry.started));
        }
        self.crowds.leave(task.index());
        self.give_all(entry.first_member)
    }

    fn give_all(&mut self, mut first_member: u32) -> Result<(), Error> {
        while let Some(hold) = self.members.pop(&mut first_member) {
            self.fleet.give(&hold)?;
            self.stranding.changed(&self.fleet, hold.node.index());
        }
        Ok(())
    }

    /// `Ok` if so many more members can be kept.
    fn check_members(&self, more: u32) -> Result<(), Error> {
        if self.members.vacant_len() < more {
            return Err(Error::Full { field: "members", capacity: self.members.capacity().into() });
        }
        Ok(())
    }

    fn check_now(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
