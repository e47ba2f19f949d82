//! The cluster that a discipline commands: what runs where, how far it has come, who waits.

use std::collections::BTreeSet;

use rampmeter::fleet::{DeviceDemand, Hold, NodeId, NodeStatus};
use rampmeter::place::{Cycle, CyclePlan, Placed, Placer, PlacerOptions, Task, TaskId};
use rampmeter::policy::Policy;
use rampmeter::share::{AccountId, Ledger};
use rampmeter::{Nanos, fleet};

use super::error::ClusterError;
use super::jobs::Job;
use super::nodes::NodeList;
use super::run::Costs;

/// Failures that stop one job before it counts as one that will never end: over a thousand mean
/// times between failures hardly any job is so unlucky.
pub(super) const FAILURES_MAX: u32 = 1_000;

/// A stretch of time that a job runs without a break.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    task: TaskId,
    from: Nanos,
    /// Until then it only restarts.
    works_from: Nanos,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Work that is done and safe.
    done: Nanos,
    stretch: Option<Stretch>,
    /// When it first ran.
    pub(super) started: Option<Nanos>,
    /// When it ended.
    pub(super) ended: Option<Nanos>,
    /// The earliest start that it was ever promised.
    pub(super) promised: Option<Nanos>,
    /// Work that was done and then lost.
    pub(super) lost: Nanos,
    /// Time spent restarting.
    pub(super) restarting: Nanos,
    /// Time on devices, whatever it was good for, before the present stretch.
    held: Nanos,
    /// Times that it was made to stop for others.
    pub(super) preemptions: u32,
    /// Times that it was stopped by the failure of a node.
    pub(super) failures: u32,
}

/// Nodes, and the jobs that run on them or wait for them.
///
/// A discipline sees all of it and commands [`Cluster::start`], [`Cluster::stop`] and
/// [`Cluster::promise`]; which nodes a job gets is the placer's affair.
#[derive(Debug)]
pub struct Cluster<'j> {
    jobs: &'j [Job],
    costs: Costs,
    now: Nanos,
    placer: Placer,
    pub(super) progress: Vec<Progress>,
    waiting: BTreeSet<usize>,
    running: BTreeSet<usize>,
    /// Ends of running jobs, the earliest first.
    ends: BTreeSet<(Nanos, usize)>,
    capacity_milli: u64,
    free_milli: u64,
    /// Shapes of job, and of each job the number of its shape.
    shapes: Vec<Job>,
    shape_of: Vec<usize>,
    /// Whether a shape was found to have no room since anything was last given back.
    no_room: Vec<bool>,
    holds: Vec<Hold>,
}

impl<'j> Cluster<'j> {
    /// An idle cluster.
    pub(super) fn new(
        nodes: &NodeList,
        jobs: &'j [Job],
        policy: &Policy,
        costs: Costs,
    ) -> Result<Self, ClusterError> {
        let (shapes, shape_of) = shapes(jobs);
        let members_max = jobs.iter().map(|job| job.members).max().unwrap_or(1).max(1);
        let order: Vec<usize> = (0..nodes.nodes.len()).collect();
        let fleet = nodes.fleet(&order)?;
        let devices: u64 = nodes.nodes.iter().map(|node| u64::from(node.devices)).sum();
        // A job too large for the cluster finds no node, as the others, and not no handle.
        let held_max = (members_at_once(jobs, devices) + members_max).min(1 << 24);
        let options = PlacerOptions {
            tasks_max: jobs.len().clamp(1, 1 << 24) as u32,
            members_max: held_max,
            task_members_max: members_max,
            accounts_max: accounts_len(jobs),
        };
        let capacity_milli = devices * u64::from(fleet::device::WHOLE_MILLI);
        Ok(Self {
            jobs,
            costs,
            now: Nanos::ZERO,
            placer: Placer::new(fleet, policy, &options)?,
            progress: vec![Progress::default(); jobs.len()],
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            ends: BTreeSet::new(),
            capacity_milli,
            free_milli: capacity_milli,
            no_room: vec![false; shapes.len()],
            shapes,
            shape_of,
            holds: vec![Hold::default(); members_max as usize],
        })
    }

    /// The time.
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// A job.
    pub fn job(&self, job: usize) -> &Job {
        &self.jobs[job]
    }

    /// Jobs that wait, in order of arrival.
    pub const fn waiting(&self) -> &BTreeSet<usize> {
        &self.waiting
    }

    /// Jobs that run, in order of arrival.
    pub const fn running(&self) -> &BTreeSet<usize> {
        &self.running
    }

    /// Thousandths of GPUs on nodes that are up.
    pub const fn capacity_milli(&self) -> u64 {
        self.capacity_milli
    }

    /// Thousandths of GPUs that nobody holds.
    pub const fn free_milli(&self) -> u64 {
        self.free_milli
    }

    /// Work that a job has done and would keep if it were stopped now.
    pub fn done(&self, job: usize) -> Nanos {
        let progress = &self.progress[job];
        progress.done.saturating_add(self.fresh(progress))
    }

    /// Work that a job has left: a discipline that looks at it is told what no user knows.
    pub fn remaining(&self, job: usize) -> Nanos {
        self.jobs[job].duration.saturating_sub(self.done(job))
    }

    /// Time that a job has been on devices, restarts and lost work included.
    pub fn held(&self, job: usize) -> Nanos {
        let progress = &self.progress[job];
        let now = progress.stretch.map_or(Nanos::ZERO, |at| self.now.saturating_sub(at.from));
        progress.held.saturating_add(now)
    }

    /// When a running job would end if its user's estimate were right; now for one that waits.
    pub fn estimated_end(&self, job: usize) -> Nanos {
        let progress = &self.progress[job];
        let left = self.jobs[job].estimate.saturating_sub(progress.done);
        let end = progress.stretch.map(|stretch| stretch.works_from.saturating_add(left));
        end.map_or(self.now, |end| end.max(self.now))
    }

    /// Starts a job that waits, if there is room for it on nodes.
    ///
    /// # Errors
    /// [`ClusterError::Command`] if it does not wait.
    pub fn start(&mut self, job: usize) -> Result<bool, ClusterError> {
        if !self.waiting.contains(&job) {
            return Err(ClusterError::Command { job });
        }
        let asked = self.jobs[job];
        if self.no_room[self.shape_of[job]] || asked.gpu_milli() > self.free_milli {
            return Ok(false);
        }
        let Some(task) = self.place(job, &asked)? else {
            self.no_room[self.shape_of[job]] = true;
            return Ok(false);
        };
        self.run(job, task);
        Ok(true)
    }

    /// A job that has its nodes runs from now on.
    fn run(&mut self, job: usize, task: TaskId) {
        self.free_milli -= self.jobs[job].gpu_milli();
        self.waiting.remove(&job);
        self.running.insert(job);
        let progress = &mut self.progress[job];
        let again = progress.started.is_some();
        progress.started.get_or_insert(self.now);
        let restart = if again { self.costs.restart } else { Nanos::ZERO };
        let works_from = self.now.saturating_add(restart);
        progress.stretch = Some(Stretch { task, from: self.now, works_from });
        self.ends.insert((self.end_of(job), job));
    }

    /// Hands a job that waits over to the placer, for a cycle to start it.
    ///
    /// # Errors
    /// [`ClusterError::Command`] if it does not wait; what the placer says.
    pub(super) fn submit(&mut self, job: usize, account: AccountId) -> Result<(), ClusterError> {
        if !self.waiting.contains(&job) {
            return Err(ClusterError::Command { job });
        }
        let left = self.jobs[job].estimate.saturating_sub(self.progress[job].done);
        let again = self.progress[job].started.is_some();
        let restart = if again { self.costs.restart } else { Nanos::ZERO };
        // An estimate that is past still means that it runs for a moment.
        let duration = left.saturating_add(restart).max(Nanos(1));
        let task = Task { account, duration, ..task_of(job, &self.jobs[job]) };
        self.placer.submit(self.now, &task)?;
        Ok(())
    }

    /// One cycle of the placer.
    pub(super) fn cycle(
        &mut self,
        ledger: &mut Ledger,
        plan: &mut CyclePlan<'_>,
    ) -> Result<Cycle, ClusterError> {
        Ok(self.placer.cycle(self.now, ledger, plan)?)
    }

    /// The job of a task.
    pub(super) fn job_of(&self, task: TaskId) -> Result<usize, ClusterError> {
        Ok(self.placer.task(task)?.task.tag as usize)
    }

    /// A task that a cycle has started runs.
    pub(super) fn adopt(&mut self, task: TaskId) -> Result<(), ClusterError> {
        let job = self.job_of(task)?;
        if !self.waiting.contains(&job) {
            return Err(ClusterError::Command { job });
        }
        self.run(job, task);
        Ok(())
    }

    /// Accounts of the jobs.
    pub(super) fn accounts_len(&self) -> u32 {
        accounts_len(self.jobs)
    }

    /// Who chooses the nodes.
    pub(super) const fn placer(&self) -> &Placer {
        &self.placer
    }

    /// Stops a running job, which waits again and pays for it.
    ///
    /// # Errors
    /// [`ClusterError::Command`] if it does not run.
    pub fn stop(&mut self, job: usize) -> Result<(), ClusterError> {
        self.halt(job, self.costs.checkpoint.is_none())?;
        self.progress[job].preemptions += 1;
        Ok(())
    }

    /// Promises a waiting job that it will have started by then. What counts is the earliest
    /// promise that it was ever given.
    ///
    /// # Errors
    /// [`ClusterError::Command`] if it does not wait.
    pub fn promise(&mut self, job: usize, start: Nanos) -> Result<(), ClusterError> {
        if !self.waiting.contains(&job) {
            return Err(ClusterError::Command { job });
        }
        let promised = &mut self.progress[job].promised;
        *promised = Some(promised.map_or(start, |before| before.min(start)));
        Ok(())
    }

    /// Whole devices that are free on each node.
    pub(super) fn free_devices(&self) -> Vec<u32> {
        let fleet = self.placer.fleet();
        let nodes = fleet.iter();
        let free = nodes.map(|(node, at)| {
            let is_up = at.status == NodeStatus::Ready;
            let devices = fleet.devices(node).ok().filter(|_| is_up).unwrap_or_default();
            devices.iter().filter(|device| device.holders == 0).count() as u32
        });
        free.collect()
    }

    /// The nodes, by their place, and the whole devices on each, that a running job holds.
    pub(super) fn held_devices(&self, job: usize) -> Vec<(usize, u32)> {
        let Some(stretch) = self.progress[job].stretch else { return Vec::new() };
        let Ok(holds) = self.placer.holds(stretch.task) else { return Vec::new() };
        let whole = holds.filter(|hold| hold.device_milli == fleet::device::WHOLE_MILLI);
        whole.map(|hold| (hold.node.index() as usize, hold.devices.count_ones())).collect()
    }

    /// When the next running job ends.
    pub(super) fn next_end(&self) -> Option<Nanos> {
        self.ends.first().map(|(end, _)| *end)
    }

    pub(super) fn advance(&mut self, now: Nanos) {
        self.now = now;
    }

    /// A job has come.
    pub(super) fn arrive(&mut self, job: usize) {
        self.waiting.insert(job);
    }

    /// Ends a job whose time has come, and says which; `None` if there is none left.
    pub(super) fn end_next(&mut self) -> Result<Option<usize>, ClusterError> {
        let Some(&(end, job)) = self.ends.first().filter(|(end, _)| *end <= self.now) else {
            return Ok(None);
        };
        self.halt(job, true)?;
        self.waiting.remove(&job);
        self.progress[job].ended = Some(end);
        Ok(Some(job))
    }

    /// A node is lost: the jobs that ran on it wait again.
    pub(super) fn fail(&mut self, node: usize) -> Result<Vec<usize>, ClusterError> {
        let Some((id, devices_milli)) = self.node(node) else { return Ok(Vec::new()) };
        let holds = self.placer.fleet().node(id)?.holds as usize;
        let mut tasks = vec![TaskId::default(); holds];
        let count = self.placer.fail_node(id, &mut tasks)? as usize;
        let mut lost = Vec::with_capacity(count);
        for task in &tasks[..count] {
            lost.push(self.placer.task(*task)?.task.tag as usize);
        }
        for &job in &lost {
            self.halt(job, false)?;
            let progress = &mut self.progress[job];
            progress.failures += 1;
            if progress.failures > FAILURES_MAX {
                return Err(ClusterError::Hopeless { job });
            }
        }
        self.capacity_milli -= devices_milli;
        self.free_milli -= devices_milli;
        Ok(lost)
    }

    /// A node is repaired.
    pub(super) fn repair(&mut self, node: usize) -> Result<(), ClusterError> {
        let Some((id, devices_milli)) = self.node(node) else { return Ok(()) };
        self.placer.return_node(id)?;
        self.capacity_milli += devices_milli;
        self.free_milli += devices_milli;
        self.no_room.fill(false);
        Ok(())
    }

    /// A node by its place, and the thousandths of GPUs on it.
    fn node(&self, place: usize) -> Option<(NodeId, u64)> {
        let (id, node) = self.placer.fleet().iter().nth(place)?;
        Some((id, u64::from(node.devices_len) * u64::from(fleet::device::WHOLE_MILLI)))
    }

    /// Shapes that not even this cluster, which must be empty, has room for: by job.
    pub(super) fn impossible(&mut self) -> Result<Vec<bool>, ClusterError> {
        let mut never = Vec::with_capacity(self.shapes.len());
        for at in 0..self.shapes.len() {
            let shape = self.shapes[at];
            let task = self.place(0, &shape)?;
            if let Some(task) = task {
                self.placer.release(self.now, task)?;
            }
            never.push(task.is_none());
        }
        Ok(self.shape_of.iter().map(|shape| never[*shape]).collect())
    }

    /// Work since the present stretch began.
    fn fresh(&self, progress: &Progress) -> Nanos {
        progress.stretch.map_or(Nanos::ZERO, |stretch| self.now.saturating_sub(stretch.works_from))
    }

    fn end_of(&self, job: usize) -> Nanos {
        let progress = &self.progress[job];
        let left = self.jobs[job].duration.saturating_sub(progress.done);
        progress.stretch.map_or(Nanos::MAX, |stretch| stretch.works_from.saturating_add(left))
    }

    /// Takes a job off its nodes. Unless all is saved, what it did since its last checkpoint is
    /// lost.
    fn halt(&mut self, job: usize, saved: bool) -> Result<(), ClusterError> {
        let end = self.end_of(job);
        let progress = self.progress[job];
        let Some(stretch) = progress.stretch else {
            return Err(ClusterError::Command { job });
        };
        let fresh = self.fresh(&progress);
        let kept = match self.costs.checkpoint {
            _ if saved => fresh,
            Some(every) if every > Nanos::ZERO => Nanos(fresh.get() / every.get() * every.get()),
            _ => Nanos::ZERO,
        };
        self.placer.release(self.now, stretch.task)?;
        self.ends.remove(&(end, job));
        self.running.remove(&job);
        self.waiting.insert(job);
        self.free_milli += self.jobs[job].gpu_milli();
        self.no_room.fill(false);
        let paused = self.now.min(stretch.works_from).saturating_sub(stretch.from);
        let progress = &mut self.progress[job];
        progress.stretch = None;
        progress.done = progress.done.saturating_add(kept);
        progress.lost = progress.lost.saturating_add(fresh.saturating_sub(kept));
        progress.restarting = progress.restarting.saturating_add(paused);
        progress.held = progress.held.saturating_add(self.now.saturating_sub(stretch.from));
        Ok(())
    }

    /// Asks the placer for nodes.
    fn place(&mut self, tag: usize, job: &Job) -> Result<Option<TaskId>, ClusterError> {
        let task = task_of(tag, job);
        Ok(match self.placer.place(self.now, &task, &mut self.holds)? {
            Placed::Running { task, .. } => Some(task),
            Placed::NoRoom { .. } => None,
        })
    }
}

/// A job as the placer sees it, of the account of nobody.
fn task_of(tag: usize, job: &Job) -> Task {
    Task {
        tag: tag as u64,
        member: job.member,
        members: job.members,
        duration: job.estimate,
        preemptible: true,
        ..Task::default()
    }
}

/// Accounts of jobs, from 0 to the largest number that one has.
fn accounts_len(jobs: &[Job]) -> u32 {
    jobs.iter().map(|job| job.account + 1).max().unwrap_or(1)
}

/// Distinct shapes of job, and of each job the number of its shape.
fn shapes(jobs: &[Job]) -> (Vec<Job>, Vec<usize>) {
    let mut shapes: Vec<Job> = Vec::new();
    let mut of = Vec::with_capacity(jobs.len());
    for job in jobs {
        let same = |shape: &Job| shape.member == job.member && shape.members == job.members;
        of.push(shapes.iter().position(same).unwrap_or_else(|| {
            shapes.push(*job);
            shapes.len() - 1
        }));
    }
    (shapes, of)
}

/// Members that can be held at once: each whole device by one, everything else by as many as
/// there are.
fn members_at_once(jobs: &[Job], devices: u64) -> u32 {
    let mut whole = 0_u64;
    let mut others = 0_u64;
    for job in jobs {
        let members = u64::from(job.members);
        match job.member.devices {
            DeviceDemand::Whole { .. } => whole += members,
            _ => others += members,
        }
    }
    (whole.min(devices) + others).clamp(1, 1 << 24) as u32
}
