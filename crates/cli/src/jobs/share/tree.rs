//! An account tree and its state, as a file describes it.

use std::path::Path;

use rampmeter::share::{AccountQuota, Amounts, RawShares};
use rampmeter_sim::InputError;

/// Accounts, parents before children, and what is divided among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) members: Vec<Member>,
    /// Names of the resources.
    pub(super) resources: Vec<String>,
    /// What there is of each resource, where the file says so.
    pub(super) capacity: Vec<Option<u64>>,
    /// What shares of each resource are whole multiples of.
    pub(super) units: Vec<u64>,
    /// How much the past counts when capacity is divided.
    pub(super) usage_weight: f64,
    /// The ranking that the file names.
    pub(super) ranking: Option<RankingName>,
    /// The damping of the classic ranking that the file names.
    pub(super) damping: Option<f64>,
}

/// A ranking without its parameters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum RankingName {
    /// Slurm's default since 19.05.
    #[default]
    FairTree,
    /// Usage over shares in one number.
    Classic,
}

/// An account, with what it has and uses itself: nothing of what is below it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Name of the account; of a user of Slurm's that of the account above.
    pub(super) account: String,
    /// Name of a user of Slurm's, else empty.
    pub(super) user: String,
    /// Place of the account above among the members.
    pub(super) parent: Option<usize>,
    pub(super) weight: f64,
    pub(super) shares: RawShares,
    pub(super) usage: f64,
    pub(super) quota: AccountQuota,
    pub(super) held: Amounts,
    pub(super) asked: Amounts,
    /// Where the file describes it.
    pub(super) place: Place,
}

impl Member {
    pub(super) fn new(account: String, parent: Option<usize>, place: Place) -> Self {
        Self {
            account,
            user: String::new(),
            parent,
            weight: 1.0,
            shares: RawShares::Weight,
            usage: 0.0,
            quota: AccountQuota::default(),
            held: Amounts::ZERO,
            asked: Amounts::ZERO,
            place,
        }
    }

    /// What it is called next to its siblings.
    pub(super) fn name(&self) -> &str {
        if self.user.is_empty() { &self.account } else { &self.user }
    }
}

/// Where a file says something.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// An entry of a list, such as `account[3]`.
    Entry(String),
    /// A line, from 1.
    Line(u64),
}

impl Place {
    /// An error about a key or column there.
    pub(super) fn error(&self, path: &Path, key: &str, problem: impl Into<String>) -> InputError {
        let error = InputError::new(path, problem);
        match self {
            Self::Entry(entry) => error.in_field(format!("{entry}.{key}")),
            Self::Line(line) => error.at_line(*line).in_field(key),
        }
    }
}
