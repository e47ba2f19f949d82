//! History: who used least in the past.

use pyo3::prelude::*;
use rampmeter::share::{self, Ranking, RawShares};
use rampmeter::units::Nanos;

use super::{Ledger, id, raw};
use crate::error::Fault;
use crate::record::record;

record! {
    /// A user in the order of a ranking; ties share a rank.
    "rampmeter.share" Ranked {
        account: u64,
        factor: f64,
        rank: u32,
    }
}
record! {
    /// Where an account stands, and what follows from what: the columns of `sshare -l`.
    ///
    /// `shares` is as `set_shares` takes it; `level_fs`, `factor` and `rank` are `None` where the
    /// ranking has none for such an account.
    "rampmeter.share" Standing {
        shares: Option<f64>,
        shares_of_parent: bool,
        shares_norm: f64,
        usage: f64,
        usage_norm: f64,
        usage_effective: f64,
        level_fs: Option<f64>,
        factor: Option<f64>,
        rank: Option<u32>,
        users: u32,
    }
}

impl From<share::Standing> for Standing {
    fn from(standing: share::Standing) -> Self {
        let (shares, shares_of_parent) = match standing.shares {
            RawShares::Weight => (None, false),
            RawShares::Number(number) => (Some(number), false),
            RawShares::Parent => (None, true),
        };
        Self {
            shares,
            shares_of_parent,
            shares_norm: standing.shares_norm,
            usage: standing.usage,
            usage_norm: standing.usage_norm,
            usage_effective: standing.usage_effective,
            level_fs: standing.level_fs,
            factor: standing.factor,
            rank: standing.rank,
            users: standing.users,
        }
    }
}

fn ranking_of(name: &str, damping: f64) -> Result<Ranking, Fault> {
    match name {
        "fair_tree" => Ok(Ranking::FairTree),
        "classic" => Ok(Ranking::Classic { damping }),
        _ => Err(Fault::Name { what: "ranking", name: name.to_owned() }),
    }
}

#[pymethods]
impl Ledger {
    /// An account used so much, in any unit that is the same for all, such as GPU seconds.
    #[pyo3(signature = (now_ns, account, *, amount))]
    fn record_usage(&self, py: Python<'_>, now_ns: u64, account: u64, amount: f64) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.record_usage(Nanos(now_ns), id(account), amount)?))
    }

    /// Usage of an account and all below it as it counts now; of all accounts for `None`.
    #[pyo3(signature = (now_ns, account = None))]
    fn usage(&self, py: Python<'_>, now_ns: u64, account: Option<u64>) -> PyResult<f64> {
        self.0.ask(py, |ledger| match account {
            None => Ok(ledger.usage_of_all(Nanos(now_ns))?),
            Some(account) => Ok(ledger.usage(Nanos(now_ns), id(account))?),
        })
    }

    /// Shares of an account for rankings: a number (0 or more), or `None` for its weight; with
    /// `of_parent` it stands aside and its users count as its parent's.
    #[pyo3(signature = (account, shares = None, *, of_parent = false))]
    fn set_shares(
        &self,
        py: Python<'_>,
        account: u64,
        shares: Option<f64>,
        of_parent: bool,
    ) -> PyResult<()> {
        let shares = match (of_parent, shares) {
            (true, _) => RawShares::Parent,
            (false, None) => RawShares::Weight,
            (false, Some(number)) => RawShares::Number(number),
        };
        self.0.ask(py, |ledger| Ok(ledger.set_raw_shares(id(account), shares)?))
    }

    /// Whether an account is to be found by `next_ranked`, because something of it waits.
    fn set_ranked(&self, py: Python<'_>, account: u64, ranked: bool) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.set_ranked(id(account), ranked)?))
    }

    /// The account that comes first in a ranking (`"fair_tree"` or `"classic"`) among those that
    /// wait, or `None`. `damping` is for `"classic"`, and Slurm's `FairShareDampeningFactor`.
    #[pyo3(signature = (*, ranking = "fair_tree", damping = 1.0))]
    fn next_ranked(&self, py: Python<'_>, ranking: &str, damping: f64) -> PyResult<Option<u64>> {
        let ranking = ranking_of(ranking, damping)?;
        self.0.scan(py, |ledger| Ok(raw(ledger.next_ranked(ranking)?)))
    }

    /// All users in the order of a ranking.
    #[pyo3(signature = (*, ranking = "fair_tree", damping = 1.0))]
    fn rank_users(&self, py: Python<'_>, ranking: &str, damping: f64) -> PyResult<Vec<Ranked>> {
        let ranking = ranking_of(ranking, damping)?;
        let ranked = self.0.scan(py, |ledger| {
            let mut ranked = vec![share::Ranked::default(); ledger.accounts_len() as usize];
            let users = ledger.rank_users(ranking, &mut ranked)?;
            ranked.truncate(users);
            Ok(ranked)
        })?;
        let told = |one: share::Ranked| Ranked {
            account: one.account.to_raw(),
            factor: one.factor,
            rank: one.rank,
        };
        Ok(ranked.into_iter().map(told).collect())
    }

    /// Where an account stands in a ranking, and what follows from what.
    #[pyo3(signature = (now_ns, account, *, ranking = "fair_tree", damping = 1.0))]
    fn standing(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        ranking: &str,
        damping: f64,
    ) -> PyResult<Standing> {
        let (now, ranking) = (Nanos(now_ns), ranking_of(ranking, damping)?);
        Ok(self.0.scan(py, |ledger| Ok(ledger.standing(now, id(account), ranking)?))?.into())
    }

    /// Where every account stands: a list over the indexes of accounts, `accounts_max` long.
    #[pyo3(signature = (now_ns, *, ranking = "fair_tree", damping = 1.0))]
    fn standings(
        &self,
        py: Python<'_>,
        now_ns: u64,
        ranking: &str,
        damping: f64,
    ) -> PyResult<Vec<Standing>> {
        let (now, ranking) = (Nanos(now_ns), ranking_of(ranking, damping)?);
        let standings = self.0.scan(py, |ledger| {
            let count = ledger.options().accounts_max as usize;
            let mut standings = vec![share::Standing::default(); count];
            ledger.standings(now, ranking, &mut standings)?;
            Ok(standings)
        })?;
        Ok(standings.into_iter().map(Standing::from).collect())
    }

    /// What a ranking gives an account, 0 to 1, of which 1 goes first; `None` in `"fair_tree"` for one
    /// with others below it.
    #[pyo3(signature = (account, *, ranking = "fair_tree", damping = 1.0))]
    fn factor(
        &self,
        py: Python<'_>,
        account: u64,
        ranking: &str,
        damping: f64,
    ) -> PyResult<Option<f64>> {
        let ranking = ranking_of(ranking, damping)?;
        self.0.scan(py, |ledger| Ok(ledger.factor(id(account), ranking)?))
    }
}
