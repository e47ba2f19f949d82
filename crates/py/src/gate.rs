//! Who may come in, who waits, and for whom a server is free.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rampmeter::handle::Handle;
use rampmeter::headroom::gate::{
    Admission, Dequeued, Gate as CoreGate, GiveUpReason, ShedReason, Ticket,
};
use rampmeter::share::AccountId;
use rampmeter::units::Nanos;

use crate::desk::{Desk, with_memory};
use crate::error::Fault;
use crate::policy::Policy;
use crate::record::record;

record! {
    /// It starts now; say when it ended.
    "rampmeter.gate" Admit {
        ticket: u64,
    }
}
record! {
    /// It waits for its turn until `until_ns` at the latest.
    "rampmeter.gate" Hold {
        ticket: u64,
        until_ns: u64,
    }
}
record! {
    /// It is turned away; nothing is kept of it.
    "rampmeter.gate" Shed {
        reason: &'static str,
        retry_after_ns: u64,
    }
}
record! {
    /// A request that was held starts.
    "rampmeter.gate" Start {
        waited_ns: u64,
    }
}
record! {
    /// A request that was held waited too long.
    "rampmeter.gate" Expired {
        waited_ns: u64,
    }
}
record! {
    /// A request that was held gave way to an account that had less than its share.
    "rampmeter.gate" Displaced {
        retry_after_ns: u64,
    }
}
record! {
    /// A request that was held and will not start.
    "rampmeter.gate" GivenUp {
        ticket: u64,
        class_index: u32,
        account: u64,
        reason: &'static str,
        retry_after_ns: u64,
    }
}
record! {
    /// What a request of a class could expect.
    "rampmeter.gate" Outlook {
        starts_before: f64,
        starts_per_s: f64,
        likely_wait_s: f64,
        chance: f64,
        samples: u64,
    }
}
record! {
    /// What a gate knows and did.
    "rampmeter.gate" GateStats {
        waiting: u32,
        running: u32,
        servers: u32,
        given_up: u32,
        admitted: u64,
        held: u64,
        started: u64,
        ended: u64,
        expired: u64,
        displaced: u64,
        shed_late: u64,
        shed_not_enough_data: u64,
        shed_no_servers: u64,
        shed_full: u64,
    }
}

/// The answer of [`Gate::admit`], whichever it is.
#[derive(IntoPyObject)]
pub(crate) enum Admitted {
    Admit(Admit),
    Hold(Hold),
    Shed(Shed),
}

impl From<Admission> for Admitted {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Admit(ticket) => Self::Admit(Admit { ticket: ticket.to_raw() }),
            Admission::Hold { ticket, until } => {
                Self::Hold(Hold { ticket: ticket.to_raw(), until_ns: until.get() })
            }
            Admission::Shed { reason, retry_after } => {
                let reason = match reason {
                    ShedReason::Late => "late",
                    ShedReason::NotEnoughData => "not_enough_data",
                    ShedReason::NoServers => "no_servers",
                    ShedReason::Full => "full",
                };
                Self::Shed(Shed { reason, retry_after_ns: retry_after.get() })
            }
        }
    }
}

/// The answer of [`Gate::dequeue`], whichever it is.
#[derive(IntoPyObject)]
pub(crate) enum Taken {
    Start(Start),
    Expired(Expired),
    Displaced(Displaced),
}

impl From<Dequeued> for Taken {
    fn from(dequeued: Dequeued) -> Self {
        match dequeued {
            Dequeued::Start { waited } => Self::Start(Start { waited_ns: waited.get() }),
            Dequeued::Expired { waited } => Self::Expired(Expired { waited_ns: waited.get() }),
            Dequeued::Displaced { retry_after } => {
                Self::Displaced(Displaced { retry_after_ns: retry_after.get() })
            }
        }
    }
}

/// Who may come in, by the state of what is queued: would it still start in time?
///
/// The gate stands before `servers` places (seats of engines, workers). Feed it with what really
/// happens: `ended` when a request is done, `left` when its client is gone. Times are nanoseconds of
/// one monotonic clock, such as `time.monotonic_ns()`; a time before the last one raises
/// `TimeReversedError`.
///
/// >>> from rampmeter import Gate, Policy
/// >>> policy = Policy()
/// >>> gate = Gate(policy, servers=1)
/// >>> everyone = gate.open_account()
/// >>> first = gate.admit(1_000, class_index=0, account=everyone)
/// >>> type(first).__name__
/// 'Admit'
/// >>> gate.ended(2_000, first.ticket)
/// >>> gate.stats().ended
/// 1
#[pyclass(frozen, module = "rampmeter.gate")]
#[derive(Debug)]
pub(crate) struct Gate(Desk<CoreGate>);

#[pymethods]
impl Gate {
    #[new]
    #[pyo3(signature = (policy, *, servers))]
    fn new(py: Python<'_>, policy: &Bound<'_, Policy>, servers: u32) -> PyResult<Self> {
        let policy = &policy.get().0;
        let build =
            || with_memory(CoreGate::bytes_needed(policy), || CoreGate::new(policy, servers));
        Desk::create(py, build).map(Self)
    }

    /// Bytes that a gate for this policy takes, before it is built.
    #[staticmethod]
    fn bytes_needed(policy: &Bound<'_, Policy>) -> u64 {
        CoreGate::bytes_needed(&policy.get().0)
    }

    /// A request comes in: `Admit`, `Hold` or `Shed`.
    ///
    /// `work` is 1 where all requests are alike, else any unit that says how long it keeps a server,
    /// the same for all (1 to 2**24). Raises `RangeError` or `StaleError`, and nothing is changed.
    #[pyo3(signature = (now_ns, *, class_index, account, work = 1))]
    fn admit(
        &self,
        py: Python<'_>,
        now_ns: u64,
        class_index: u32,
        account: u64,
        work: u32,
    ) -> PyResult<Admitted> {
        let account = AccountId::from_raw(account);
        let admission =
            self.0.ask(py, |gate| Ok(gate.admit(Nanos(now_ns), class_index, account, work)?))?;
        Ok(admission.into())
    }

    /// The ticket whose turn it is among those that wait, or `None`, also while no server is free. It
    /// stays in line until `dequeue`.
    fn next(&self, py: Python<'_>, now_ns: u64) -> PyResult<Option<u64>> {
        let next = self.0.ask(py, |gate| Ok(gate.next(Nanos(now_ns))?))?;
        Ok(next.map(Handle::to_raw))
    }

    /// A server is free for a request that was held: `Start`, `Expired` or `Displaced`.
    ///
    /// Raises `StaleError` for an unknown ticket, `ContradictionError` for one that runs, or that
    /// would start while no server is free.
    fn dequeue(&self, py: Python<'_>, now_ns: u64, ticket: u64) -> PyResult<Taken> {
        let ticket = Ticket::from_raw(ticket);
        Ok(self.0.ask(py, |gate| Ok(gate.dequeue(Nanos(now_ns), ticket)?))?.into())
    }

    /// A request that ran left its server, whatever became of it. Its ticket is stale.
    fn ended(&self, py: Python<'_>, now_ns: u64, ticket: u64) -> PyResult<()> {
        self.0.ask(py, |gate| Ok(gate.ended(Nanos(now_ns), Ticket::from_raw(ticket))?))
    }

    /// The client is gone: the request leaves, whether it waits or runs. Its ticket is stale.
    fn left(&self, py: Python<'_>, now_ns: u64, ticket: u64) -> PyResult<()> {
        self.0.ask(py, |gate| Ok(gate.left(Nanos(now_ns), Ticket::from_raw(ticket))?))
    }

    /// Requests that were held and will not start, each told once. Answer them with a refusal.
    fn given_up(&self, py: Python<'_>, now_ns: u64) -> PyResult<Vec<GivenUp>> {
        self.0.ask(py, |gate| {
            let mut all = Vec::new();
            while let Some(gone) = gate.given_up(Nanos(now_ns))? {
                all.push(GivenUp {
                    ticket: gone.ticket.to_raw(),
                    class_index: gone.class,
                    account: gone.account.to_raw(),
                    reason: match gone.reason {
                        GiveUpReason::Expired => "expired",
                        GiveUpReason::Displaced => "displaced",
                    },
                    retry_after_ns: gone.retry_after.get(),
                });
            }
            Ok(all)
        })
    }

    /// When to ask for `given_up` again, or `None` if nothing will happen by itself.
    fn next_event(&self, py: Python<'_>, now_ns: u64) -> PyResult<Option<u64>> {
        let next = self.0.ask(py, |gate| Ok(gate.next_event(Nanos(now_ns))))?;
        Ok(next.map(Nanos::get))
    }

    /// What a request of a class would find if it came now and displaced nobody.
    #[pyo3(signature = (now_ns, *, class_index))]
    fn outlook(&self, py: Python<'_>, now_ns: u64, class_index: u32) -> PyResult<Outlook> {
        let seen = self.0.ask(py, |gate| Ok(gate.outlook(Nanos(now_ns), class_index)?))?;
        Ok(Outlook {
            starts_before: seen.starts_before,
            starts_per_s: seen.starts_per_s,
            likely_wait_s: seen.likely_wait_s,
            chance: seen.chance,
            samples: seen.samples,
        })
    }

    /// From now on there are so many servers (0 to 2**20).
    fn set_servers(&self, py: Python<'_>, now_ns: u64, servers: u32) -> PyResult<()> {
        self.0.ask(py, |gate| Ok(gate.capacity(Nanos(now_ns), servers)?))
    }

    /// The gate goes on under a changed policy, with all that it holds.
    ///
    /// Raises `RangeError` where the number of classes, accounts or requests differs, and
    /// `ContradictionError` where an account or a class has another name or place.
    fn set_policy(&self, py: Python<'_>, policy: &Bound<'_, Policy>) -> PyResult<()> {
        let policy = &policy.get().0;
        self.0.scan(py, |gate| Ok(gate.apply(policy)?))
    }

    /// The handle of an account of the policy, by its place there. Raises `RangeError`.
    fn policy_account(&self, py: Python<'_>, account_index: usize) -> PyResult<u64> {
        self.0.ask(py, |gate| match gate.policy_account(account_index) {
            Some(account) => Ok(account.to_raw()),
            None => Err(Fault::Account { index: account_index }),
        })
    }

    /// Opens an account that the policy does not name. Raises `FullError`, `RangeError`, `StaleError`.
    #[pyo3(signature = (parent = None, *, weight = 1.0))]
    fn open_account(&self, py: Python<'_>, parent: Option<u64>, weight: f64) -> PyResult<u64> {
        let parent = parent.map(AccountId::from_raw);
        self.0.ask(py, |gate| Ok(gate.open_account(parent, weight)?.to_raw()))
    }

    /// Closes an account without requests. Raises `ContradictionError`, `StaleError`.
    fn close_account(&self, py: Python<'_>, account: u64) -> PyResult<()> {
        self.0.ask(py, |gate| Ok(gate.close_account(AccountId::from_raw(account))?))
    }

    /// The whole state, for `restore` under the same policy.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |gate| {
            let mut bytes = vec![0; gate.snapshot_bytes() as usize];
            gate.save(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A gate that goes on where the saved one was. Raises `SnapshotError`.
    #[classmethod]
    fn restore(
        class: &Bound<'_, PyType>,
        policy: &Bound<'_, Policy>,
        snapshot: &[u8],
    ) -> PyResult<Self> {
        let policy = &policy.get().0;
        let build =
            || with_memory(CoreGate::bytes_needed(policy), || CoreGate::restore(policy, snapshot));
        Desk::create(class.py(), build).map(Self)
    }

    /// What the gate knows and did.
    fn stats(&self, py: Python<'_>) -> PyResult<GateStats> {
        let stats = self.0.ask(py, |gate| Ok(gate.stats()))?;
        let [shed_late, shed_not_enough_data, shed_no_servers, shed_full] = stats.shed;
        Ok(GateStats {
            waiting: stats.waiting,
            running: stats.running,
            servers: stats.servers,
            given_up: stats.given_up,
            admitted: stats.admitted,
            held: stats.held,
            started: stats.started,
            ended: stats.ended,
            expired: stats.expired,
            displaced: stats.displaced,
            shed_late,
            shed_not_enough_data,
            shed_no_servers,
            shed_full,
        })
    }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Gate>()?;
    module.add_class::<Admit>()?;
    module.add_class::<Hold>()?;
    module.add_class::<Shed>()?;
    module.add_class::<Start>()?;
    module.add_class::<Expired>()?;
    module.add_class::<Displaced>()?;
    module.add_class::<GivenUp>()?;
    module.add_class::<Outlook>()?;
    module.add_class::<GateStats>()
}
