//! The library's own cycle as a discipline: who waits is submitted, and the desk says who starts,
//! who ends for whom, and who is promised what.
//!
//! Accounts of the trace have equal shares of the cluster. Nothing is guaranteed to anybody, so
//! that nobody is made to end for others unless the policy says so.

use rampmeter::place::{CyclePlan, RESOURCES, Reservation, TaskId};
use rampmeter::share::{AccountId, Amounts, Ledger, LedgerOptions};

use super::discipline::Discipline;
use super::error::ClusterError;
use super::state::Cluster;

/// Tasks that one call may start, end or promise a start; then it is called again.
const PLAN_MAX: usize = 1_024;

/// The library's cycle.
#[derive(Debug, Default)]
pub(super) struct Desk {
    ledger: Option<(Ledger, Vec<AccountId>)>,
    /// Jobs that wait and were not submitted yet.
    new: Vec<usize>,
}

/// A ledger in which each account of the trace has an equal share of what there is.
fn ledger(cluster: &Cluster<'_>) -> Result<(Ledger, Vec<AccountId>), ClusterError> {
    let accounts = cluster.accounts_len();
    let mut ledger = Ledger::new(&LedgerOptions {
        accounts_max: accounts,
        lanes: 0,
        resources: RESOURCES.len() as u32,
        dominant: true,
        ..LedgerOptions::default()
    })?;
    let mut capacity = Amounts::ZERO;
    let total = cluster.placer().fleet().total();
    capacity.0[..RESOURCES.len()].copy_from_slice(&[
        total.gpu_milli,
        total.cpu_milli,
        total.memory_mib,
    ]);
    ledger.set_capacity(&capacity)?;
    let ids = (0..accounts).map(|_| ledger.open(None, 1.0)).collect::<Result<_, _>>()?;
    Ok((ledger, ids))
}

impl Discipline for Desk {
    fn arrived(&mut self, job: usize) {
        self.new.push(job);
    }

    fn lost(&mut self, job: usize) {
        self.new.push(job);
    }

    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        if self.ledger.is_none() {
            self.ledger = Some(ledger(cluster)?);
        }
        let Some((ledger, accounts)) = &mut self.ledger else { return Ok(()) };
        for job in self.new.drain(..) {
            cluster.submit(job, accounts[cluster.job(job).account as usize])?;
        }
        let mut started = [TaskId::default(); PLAN_MAX];
        let mut ending = [TaskId::default(); PLAN_MAX];
        let mut reserved = [Reservation::default(); PLAN_MAX];
        loop {
            let mut plan =
                CyclePlan { started: &mut started, ending: &mut ending, reserved: &mut reserved };
            let cycle = cluster.cycle(ledger, &mut plan)?;
            for promise in &reserved[..cycle.reserved_len as usize] {
                let job = cluster.job_of(promise.task)?;
                if cluster.waiting().contains(&job) {
                    cluster.promise(job, promise.start_at)?;
                }
            }
            for task in &started[..cycle.started_len as usize] {
                cluster.adopt(*task)?;
            }
            for task in &ending[..cycle.ending_len as usize] {
                let job = cluster.job_of(*task)?;
                cluster.stop(job)?;
                cluster.submit(job, accounts[cluster.job(job).account as usize])?;
            }
            if !cycle.more && cycle.ending_len == 0 {
                return Ok(());
            }
        }
    }
}
