//! Does batch work for which there is room wait, so that urgent work finds some?
//!
//! # What it decides
//! Whether the batch task whose turn it is in a cycle starts, by asking whoever keeps the reserve
//! ([`Holding`]: [`Reserve`], or a rule of the host). If it is held, no batch task behind it starts
//! in this pass either: small ones would else take what is held back, and large gangs starve. Urgent
//! work is never asked about.
//!
//! # Formula
//! ```text
//! urgent   its class is the urgent one, or one before it in the policy, or it takes no GPUs
//! held     batch, within the limits of its account, room for it now, and the rule says hold
//!          batch, behind one that is held in this pass
//! free     mean over some urgent tasks that are known, of   GPUs of one * how many of it would fit
//! ```
//! Free GPUs that urgent work cannot use, for want of cores beside them or because they are parts of
//! devices, are no reserve: a full cluster of 588 GPUs had some 30 of them, and with those counted the
//! rule never held anything.
//!
//! Tasks with a reservation are asked about as well: if one whose time has come is held, it waits in
//! its turn again, so that urgent work may use the nodes it was promised. One that others were made to
//! end for is not held, since their work would be lost in vain.
//!
//! # What the host must do
//! Tell its reserve what came, started, ended and was released, as ever; the cycle only asks. While
//! a cycle says that something is held, ask again when time has passed, too: the price of waiting
//! changes though nothing happens.
//!
//! # Bounds and cost
//! A question is a few exponentials, and a look at every device for each of [`SAMPLE`] urgent tasks:
//! O(nodes * devices). Who is held first in a pass is placed and taken back; those behind it are passed
//! over in some nanoseconds each. Batch tasks that wait are counted once a call in which there is a
//! question, O(tasks). Nothing allocates.
//!
//! # What it is bad at
//! A few urgent tasks stand for all. What would fit is counted node by node, without what is promised
//! there, links, spreading and partitions; where no urgent task is known that is counted so, all that is
//! free counts. A promise that is not due holds up urgent work as any reservation does.

use super::cycle::is_within_limits;
use super::promises::Promise;
use super::room::serves;
use super::shapes::Shape;
use super::task::Task;
use super::{Placer, Stage, TaskId};
use crate::error::{Error, check_range};
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{Device, DeviceDemand, Node, NodeStatus};
use crate::headroom::hold::{BatchJob, Reserve};
use crate::share::Ledger;
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// Urgent tasks that stand for all of them: enough that no odd one decides, few enough to look at every
/// node for each.
const SAMPLE: usize = 8;

/// Says whether batch work waits for urgent work. It is only asked: what happens, the host tells it.
pub trait Holding {
    /// The last class, by its place in the policy, whose work is urgent; those behind it are batch.
    fn urgent_class(&self) -> u32;

    /// `Ok` if it can be asked about this time.
    ///
    /// # Errors
    /// [`Error::TimeReversed`], as a rule.
    fn check(&self, now: Nanos) -> Result<(), Error>;

    /// Whether a batch job for which there is room waits. All figures of the job are in range.
    fn holds(&self, now: Nanos, job: &BatchJob) -> bool;
}

impl Holding for Reserve {
    fn urgent_class(&self) -> u32 {
        self.class()
    }

    fn check(&self, now: Nanos) -> Result<(), Error> {
        self.check_time(now)
    }

    fn holds(&self, now: Nanos, job: &BatchJob) -> bool {
        self.hold(now, job).is_ok_and(|verdict| verdict.hold)
    }
}

/// The first batch task that was held in a pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Held {
    task: TaskId,
    urgent_class: u32,
    /// The pass, as [`Placer`] counts them.
    pass: u64,
}

/// Whom one call of a cycle asks, and what it has done that was not told there yet.
pub(super) struct Asked<'a> {
    holding: Option<&'a dyn Holding>,
    /// Batch tasks that wait, once they have been counted.
    waiting: Option<u32>,
    /// Thousandths of GPUs that urgent tasks took in this call.
    urgent_milli: u64,
}

impl<'a> Asked<'a> {
    pub(super) const fn new(holding: Option<&'a dyn Holding>) -> Self {
        Self { holding, waiting: None, urgent_milli: 0 }
    }

    /// A task has started in this call.
    pub(super) fn started(&mut self, task: &Task) {
        let Some(holding) = self.holding else { return };
        if is_batch(task, holding.urgent_class()) {
            self.waiting = self.waiting.map(|waiting| waiting.saturating_sub(1));
        } else {
            self.urgent_milli += task.gpu_milli();
        }
    }
}

/// Whether what fits can be counted: partitions must be placed to know, and without devices there is
/// nothing to keep free.
const fn is_counted(devices: DeviceDemand) -> bool {
    matches!(devices, DeviceDemand::Whole { .. } | DeviceDemand::Share { .. })
}

/// Members of a task that would find room on a node, by counting. O(devices).
fn fitting(node: &Node, devices: &[Device], task: &Task) -> u64 {
    let demand = &task.member;
    let labels = task.labels_required & !node.labels | task.labels_forbidden & node.labels;
    if node.status != NodeStatus::Ready || labels != 0 {
        return 0;
    }
    let (count, milli, memory_mib) = match demand.devices {
        DeviceDemand::Whole { count, memory_mib } => (count, WHOLE_MILLI, memory_mib),
        DeviceDemand::Share { count, milli, memory_mib } => (count, milli, memory_mib),
        DeviceDemand::Partition { .. } | DeviceDemand::None => return 0,
    };
    let on = |device: &Device| {
        let by_memory = device.memory_free_mib.checked_div(memory_mib).unwrap_or(u32::MAX);
        let by_milli = device.free_milli.checked_div(milli).unwrap_or(0);
        by_memory.min(by_milli.into())
    };
    let serving = devices.iter().filter(|device| serves(device, demand));
    let members = serving.map(on).sum::<u32>().checked_div(count.into()).unwrap_or(0);
    let by_cpu = node.cpu_free_milli.checked_div(demand.cpu_milli).unwrap_or(u32::MAX);
    let by_host_memory = node.memory_free_mib.checked_div(demand.memory_mib).unwrap_or(u32::MAX);
    members.min(by_cpu).min(by_host_memory).into()
}

/// Whether a task may be made to wait for urgent work.
const fn is_batch(task: &Task, urgent_class: u32) -> bool {
    task.class > urgent_class && task.gpu_milli() > 0
}

impl Placer {
    /// The batch task for which there was room and that the last cycle held back for urgent work,
    /// and with it all batch work behind it; `None` if none was.
    #[must_use]
    pub fn held_back(&self) -> Option<TaskId> {
        let held = self.held.as_ref()?;
        let entry = self.tasks.get(held.task).ok()?;
        (entry.stage == Stage::Pending).then_some(held.task)
    }

    /// What a cycle would ask about a pending task: with it [`Reserve::hold`] tells both prices.
    /// O(tasks).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::Range`] on `urgent_class` that is none.
    pub fn batch_job(&self, task: TaskId, urgent_class: u32) -> Result<BatchJob, Error> {
        let entry = self.tasks.get(task)?;
        let classes = self.delay_values.len() as u64;
        check_range("urgent_class", urgent_class.into(), 0, classes - 1)?;
        Ok(self.job_of(&entry.task, urgent_class, self.batch_waiting(urgent_class), 0))
    }

    /// Whether the last cycle held work like this task back.
    pub(super) fn is_like_held(&self, task: &Task) -> bool {
        self.held.is_some_and(|held| is_batch(task, held.urgent_class))
    }

    /// `Ok` if whoever is asked can be.
    ///
    /// # Errors
    /// As [`Holding::check`]; [`Error::Range`] on `urgent_class` that is none. Nothing is changed.
    pub(super) fn check_asked(&self, now: Nanos, asked: &Asked<'_>) -> Result<(), Error> {
        let Some(holding) = asked.holding else { return Ok(()) };
        let classes = self.delay_values.len() as u64;
        check_range("urgent_class", holding.urgent_class().into(), 0, classes - 1)?;
        holding.check(now)
    }

    /// Begins a call: what was held in another pass, or by somebody else, is asked about anew.
    pub(super) fn begin_asking(&mut self, asked: &Asked<'_>) {
        let urgent_class = asked.holding.map(Holding::urgent_class);
        let goes_on =
            |held: &Held| held.pass == self.cycles && Some(held.urgent_class) == urgent_class;
        self.held = self.held.filter(goes_on);
    }

    /// Whether a pending task that is looked at waits for urgent work.
    pub(super) fn is_held_back(
        &mut self,
        ledger: &Ledger,
        id: TaskId,
        asked: &mut Asked<'_>,
    ) -> Result<bool, Error> {
        let Some(holding) = asked.holding else { return Ok(false) };
        let task = self.tasks.get(id)?.task;
        if !is_batch(&task, holding.urgent_class()) {
            return Ok(false);
        }
        if self.held.is_some() {
            return Ok(true);
        }
        let (shape, ends) = (Shape::new(&task), task.ends(self.now));
        let number = self.pending.shapes.of(id.index());
        let is_known = !self.is_thorough() && self.blocked.contains(&shape, number, ends);
        if is_known || !is_within_limits(ledger, &task)? || !self.says_hold(&task, asked) {
            return Ok(false);
        }
        let is_held = self.would_start(id)?;
        if is_held {
            let urgent_class = holding.urgent_class();
            self.held = Some(Held { task: id, urgent_class, pass: self.cycles });
        }
        Ok(is_held)
    }

    /// The same for one that was promised a start.
    pub(super) fn is_promised_held_back(
        &self,
        promise: &Promise,
        asked: &mut Asked<'_>,
    ) -> Result<bool, Error> {
        let Some(holding) = asked.holding else { return Ok(false) };
        let task = self.tasks.get(promise.task)?.task;
        let may_wait = is_batch(&task, holding.urgent_class()) && !promise.is_reclaimed;
        Ok(may_wait && (self.held.is_some() || self.says_hold(&task, asked)))
    }

    fn says_hold(&self, task: &Task, asked: &mut Asked<'_>) -> bool {
        let Some(holding) = asked.holding else { return false };
        let class = holding.urgent_class();
        let waiting = *asked.waiting.get_or_insert_with(|| self.batch_waiting(class));
        holding.holds(self.now, &self.job_of(task, class, waiting, asked.urgent_milli))
    }

    /// A batch task as a question. Urgent work that started in this call still counts as waiting
    /// where it is asked: so its GPUs count as free.
    fn job_of(&self, task: &Task, urgent_class: u32, waiting: u32, urgent_milli: u64) -> BatchJob {
        let gpus = |milli: u64| milli as f64 / f64::from(WHOLE_MILLI);
        BatchJob {
            gpus: gpus(task.gpu_milli()),
            delay_value: self.delay_values[task.class as usize],
            waiting,
            gpus_free: gpus(self.usable_milli(urgent_class) + urgent_milli),
        }
    }

    /// Thousandths of GPUs that urgent work can use of those that are free: see the formula.
    fn usable_milli(&self, urgent_class: u32) -> u64 {
        let urgent = |task: &&Task| task.class <= urgent_class && is_counted(task.member.devices);
        let tasks = self.tasks.iter().map(|(_, entry)| &entry.task).filter(urgent);
        let (mut sum, mut len) = (0_u64, 0_u64);
        for task in tasks.take(SAMPLE) {
            let fits: u64 = self
                .fleet
                .iter()
                .map(|(id, node)| fitting(node, self.fleet.devices_at(id.index()), task))
                .sum();
            sum += fits * u64::from(task.member.gpu_milli());
            len += 1;
        }
        sum.checked_div(len).unwrap_or(self.fleet.free().gpu_milli)
    }

    fn batch_waiting(&self, urgent_class: u32) -> u32 {
        let waits = |entry: &&super::Entry| {
            entry.stage == Stage::Pending && is_batch(&entry.task, urgent_class)
        };
        self.tasks.iter().map(|(_, entry)| entry).filter(waits).count() as u32
    }

    /// Tells what was held as 1 word, or 4.
    pub(super) fn save_held(&self, save: &mut dyn FnMut(u64)) {
        save(self.held.is_some().into());
        if let Some(Held { task, urgent_class, pass }) = self.held {
            [task.to_raw(), urgent_class.into(), pass].into_iter().for_each(save);
        }
    }

    /// Takes what was told.
    pub(super) fn load_held(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.held = None;
        if words.next_flag("held")? {
            let task = TaskId::from_raw(words.next()?);
            let last = self.delay_values.len() as u32 - 1;
            let urgent_class = words.next_within("urgent_class", 0, last)?;
            let pass = words.next_count("pass")?;
            ensure(pass <= self.cycles)?;
            self.held = Some(Held { task, urgent_class, pass });
        }
        Ok(())
    }
}
