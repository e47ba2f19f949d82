//! Accounts: who belongs to whom, with what weight and name.

use pyo3::prelude::*;

use super::{Ledger, id, raw};
use crate::record::record;

record! {
    /// An account as the tree has it.
    ///
    /// `index` is its place in lists over all accounts; `depth` counts levels from the top, which is
    /// 1; `parent` is `None` at the top.
    "rampmeter.share" Account {
        index: u32,
        parent: Option<u64>,
        weight: f64,
        depth: u32,
        children: u32,
    }
}

#[pymethods]
impl Ledger {
    /// Opens an account below `parent` (`None`: at the top): its handle. Raises `StaleError`,
    /// `RangeError` (weight, 0.001 to 1000; more than 8 levels), `FullError`.
    #[pyo3(signature = (parent = None, *, weight = 1.0))]
    fn open(&self, py: Python<'_>, parent: Option<u64>, weight: f64) -> PyResult<u64> {
        self.0.ask(py, |ledger| Ok(ledger.open(parent.map(id), weight)?.to_raw()))
    }

    /// Closes an account that has none below it, waits nowhere, and neither holds nor asks for
    /// anything. Raises `StaleError`, `ContradictionError`.
    fn close(&self, py: Python<'_>, account: u64) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.close(id(account))?))
    }

    /// Gives an account another weight, for all service from now on.
    fn set_weight(&self, py: Python<'_>, account: u64, weight: f64) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.set_weight(id(account), weight)?))
    }

    /// An account as the tree has it. Raises `StaleError`.
    fn account(&self, py: Python<'_>, account: u64) -> PyResult<Account> {
        self.0.ask(py, |ledger| {
            let (tree, account) = (ledger.tree(), id(account));
            Ok(Account {
                index: account.index(),
                parent: raw(tree.parent(account)?),
                weight: tree.weight(account)?,
                depth: tree.depth(account)?,
                children: tree.children_len(account)?,
            })
        })
    }

    /// The account with this place in lists over all accounts, or `None`.
    fn account_at(&self, py: Python<'_>, index: u32) -> PyResult<Option<u64>> {
        self.0.ask(py, |ledger| Ok(raw(ledger.tree().account_at(index))))
    }

    /// Names an account, or names it anew: up to 128 bytes without `/` and control characters, unique
    /// among its siblings. Raises `RangeError`, `ContradictionError`, `StaleError`.
    fn set_name(&self, py: Python<'_>, account: u64, name: &str) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.set_name(id(account), name)?))
    }

    /// The name of an account; empty if it has none. Raises `StaleError`.
    fn name(&self, py: Python<'_>, account: u64) -> PyResult<String> {
        self.0.ask(py, |ledger| Ok(ledger.name(id(account))?.to_owned()))
    }

    /// The account of this name directly below `parent` (`None`: at the top), or `None`.
    #[pyo3(signature = (name, *, parent = None))]
    fn account_named(
        &self,
        py: Python<'_>,
        name: &str,
        parent: Option<u64>,
    ) -> PyResult<Option<u64>> {
        self.0.ask(py, |ledger| Ok(raw(ledger.account_named(parent.map(id), name))))
    }

    /// The account at the end of a path of names, such as "org/team/user", or `None`.
    fn account_at_path(&self, py: Python<'_>, path: &str) -> PyResult<Option<u64>> {
        self.0.ask(py, |ledger| Ok(raw(ledger.account_at_path(path))))
    }
}
