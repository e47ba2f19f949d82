//! Where does it run?
//!
//! # What it decides
//! On which nodes and devices a task runs ([`Placer::place`]), and, for all that wait, which start
//! now ([`Placer::cycle`]).
//!
//! # Formula
//! Filter, then price, then choose: of the nodes that can take a member the one where that costs
//! the fewest seconds of delay ([`Price`]).

mod choose;
mod lost;
mod members;
pub mod price;
mod promises;
mod reclaim;
mod stranding;
pub mod task;

use alloc::boxed::Box;

use crate::error::{Error, check_range};
use crate::fleet::{Fleet, Hold, Lack, NodeId, NodeSpec};
use crate::handle::{Handle, Slab};
use crate::policy::{PlacementRules, Policy};
use crate::units::Nanos;
use members::{Members, NONE};
use promises::Promises;
use stranding::Stranding;

pub use price::Price;
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
        /// What most nodes that came close lack.
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
    fleet: Fleet,
    tasks: Slab<Entry>,
    members: Members,
    stranding: Stranding,
    promises: Promises,
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
            tasks: Slab::new("tasks", options.tasks_max)?,
            members: Members::new(options.members_max, nodes_max),
            stranding: Stranding::new(),
            promises: Promises::new(),
            now: Nanos::ZERO,
            fleet,
        })
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

    /// Places a task now, or says what is in the way. The holds of its members go to the front of
    /// `out`.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] for a task that cannot be; [`Error::Full`] on
    /// `tasks`; [`Error::BufferTooSmall`] on `out` for fewer places than members wanted;
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

    /// Starts a pending task, or changes nothing and says what is in the way.
    fn start(&mut self, now: Nanos, id: TaskId) -> Result<Result<(), Lack>, Error> {
        let Entry { task, mut first_member, .. } = *self.tasks.get(id)?;
        let (mut members_len, mut price) = (0, Price::default());
        while members_len < task.members {
            let Some(choice) = self.choose(&task) else { break };
            let hold = self.fleet.take(choice.node, &task.member, choice.devices)?;
            if !self.members.push(&mut first_member, id.index(), hold) {
                self.fleet.give(&hold)?;
                break;
            }
            self.stranding.changed(&self.fleet, choice.node.index());
            price = price.plus(&choice.price);
            members_len += 1;
        }
        let enough = members_len >= task.members_needed();
        if enough {
            let entry = self.tasks.get_mut(id)?;
            *entry = Entry {
                stage: Stage::Running,
                started: now,
                members_len,
                price,
                first_member,
                ..*entry
            };
            return Ok(Ok(()));
        }
        self.give_all(first_member)?;
        Ok(Err(Lack::Devices))
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
        self.give_all(entry.first_member)
    }

    fn give_all(&mut self, mut first_member: u32) -> Result<(), Error> {
        while let Some(hold) = self.members.pop(&mut first_member) {
            self.fleet.give(&hold)?;
            self.stranding.changed(&self.fleet, hold.node.index());
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
