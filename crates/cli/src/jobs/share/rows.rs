//! A row for every account, with the numbers that its place follows from.

use std::collections::BTreeMap;
use std::path::Path;

use rampmeter::Error;
use rampmeter::share::{BorrowedShare, Ranking, RawShares, ShareParts, Standing};
use rampmeter_sim::{InputError, shown};
use serde::{Serialize, Serializer};

use super::ledger::{NOW, Opened};
use super::tree::{RankingName, Tree};

/// An amount that may be without limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Amount(pub(crate) u64);

impl Amount {
    /// The word of policy documents for no limit.
    pub(crate) const UNLIMITED: &str = "unlimited";

    pub(crate) fn is_unlimited(self) -> bool {
        self.0 == u64::MAX
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_unlimited() {
            serializer.serialize_str(Self::UNLIMITED)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

/// Shares as a number, or the word `parent`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Shares {
    Number(f64),
    Word(&'static str),
}

/// A number that may be infinite, which JSON has no number for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Factor(pub(crate) f64);

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str("inf")
        }
    }
}

/// What an account has of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Holding {
    pub(crate) quota: Amount,
    pub(crate) limit: Amount,
    pub(crate) lending_limit: Amount,
    pub(crate) over_quota_weight: f64,
    pub(crate) held: u64,
    pub(crate) asked: u64,
    /// As much of both as limits let be served.
    pub(crate) request: u64,
    /// The part of the fair share that the quota guarantees.
    pub(crate) fair_share_of_quota: u64,
    /// The part of the fair share that others leave over.
    pub(crate) fair_share_over_quota: u64,
    pub(crate) fair_share: u64,
    /// What the quota would guarantee if the accounts above were given enough.
    pub(crate) guaranteed: u64,
}

/// What an account has of all resources together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Numbers {
    pub(crate) over_quota_priority: i32,
    pub(crate) dominant_share: f64,
    pub(crate) dominant_resource: Option<String>,
    pub(crate) borrowed_permille: u64,
    pub(crate) borrowed_resource: Option<String>,
    /// By name.
    pub(crate) resources: BTreeMap<String, Holding>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) account: String,
    pub(crate) user: Option<String>,
    pub(crate) parent: Option<String>,
    /// 1 for the first below the root.
    pub(crate) level: u32,
    pub(crate) shares: Shares,
    /// Of all accounts that it shares with.
    pub(crate) level_shares: f64,
    pub(crate) shares_norm: f64,
    pub(crate) usage: f64,
    /// Of the account above, or of all.
    pub(crate) level_usage: f64,
    pub(crate) usage_norm: f64,
    pub(crate) usage_effective: f64,
    pub(crate) level_fs: Option<Factor>,
    /// Place among those that it shares with, by `level_fs`.
    pub(crate) level_rank: Option<u32>,
    pub(crate) level_members: u32,
    pub(crate) factor: Option<f64>,
    pub(crate) rank: Option<u32>,
    #[serde(flatten)]
    pub(crate) numbers: Numbers,
}

/// A resource, and what there is of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Resource {
    pub(crate) name: String,
    /// `None` where the file does not say.
    pub(crate) capacity: Option<u64>,
}

/// Every account of a tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standings {
    pub(crate) ranking: &'static str,
    /// Of the classic ranking.
    pub(crate) damping: Option<f64>,
    pub(crate) users: u32,
    pub(crate) usage: f64,
    /// Those that the file says something about.
    pub(crate) resources: Vec<Resource>,
    /// As a walk through the tree meets them.
    pub(crate) accounts: Vec<Row>,
    #[serde(skip)]
    pub(crate) is_classic: bool,
}

impl Standings {
    /// Leaves the account at the end of a path, and those above it.
    pub(super) fn keep_way_to(&mut self, path: &str) -> Result<(), InputError> {
        if !self.accounts.iter().any(|row| row.path == path) {
            let near = self
                .accounts
                .iter()
                .find(|row| row.account == path || row.user.as_deref() == Some(path));
            let hint = near.map_or_else(String::new, |row| format!("; there is `{}`", row.path));
            let problem = format!("there is no account `{}`{hint}", shown(path));
            return Err(InputError::new("--account", problem));
        }
        self.accounts.retain(|row| {
            path.strip_prefix(&row.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        Ok(())
    }
}

/// Who shares with whom: for each member the one above it that does not stand aside.
struct Levels {
    above: Vec<Option<usize>>,
    stands_aside: Vec<bool>,
    /// Shares of the members of the level below each member, and at last below the root.
    shares: Vec<f64>,
    members: Vec<u32>,
    rank: Vec<Option<u32>>,
}

impl Levels {
    fn new(tree: &Tree, standings: &[Standing], order: &[usize]) -> Self {
        let len = tree.members.len();
        let mut has_children = vec![false; len];
        for parent in tree.members.iter().filter_map(|member| member.parent) {
            has_children[parent] = true;
        }
        let stands_aside: Vec<bool> = (0..len)
            .map(|at| has_children[at] && tree.members[at].shares == RawShares::Parent)
            .collect();
        let mut levels = Self {
            above: vec![None; len],
            stands_aside,
            shares: vec![0.0; len + 1],
            members: vec![0; len + 1],
            rank: vec![None; len],
        };
        // Parents come before children.
        for (at, member) in tree.members.iter().enumerate() {
            levels.above[at] = match member.parent {
                Some(parent) if levels.stands_aside[parent] => levels.above[parent],
                other => other,
            };
            if !levels.stands_aside[at] {
                let level = levels.level_of(at);
                levels.shares[level] += shares_of(member.shares, member.weight).unwrap_or(0.0);
                levels.members[level] += 1;
            }
        }
        levels.rank_members(standings, order);
        levels
    }

    /// The place of the level that a member belongs to.
    fn level_of(&self, at: usize) -> usize {
        self.above[at].unwrap_or(self.above.len())
    }

    fn rank_members(&mut self, standings: &[Standing], order: &[usize]) {
        let level_fs = |at: usize| standings[at].level_fs.unwrap_or(0.0);
        let mut members: Vec<usize> =
            order.iter().copied().filter(|at| !self.stands_aside[*at]).collect();
        members.sort_by(|a, b| {
            let levels = self.level_of(*a).cmp(&self.level_of(*b));
            levels.then(level_fs(*b).total_cmp(&level_fs(*a)))
        });
        for level in members.chunk_by(|a, b| self.above[*a] == self.above[*b]) {
            let mut rank = 1;
            for (place, at) in level.iter().enumerate() {
                if place > 0 && level_fs(*at) < level_fs(level[place - 1]) {
                    rank = place as u32 + 1;
                }
                self.rank[*at] = Some(rank);
            }
        }
    }
}

fn shares_of(shares: RawShares, weight: f64) -> Option<f64> {
    match shares {
        RawShares::Weight => Some(weight),
        RawShares::Number(number) => Some(number),
        RawShares::Parent => None,
    }
}

/// Members as a walk through the tree meets them, depth first.
fn depth_first(tree: &Tree) -> Vec<usize> {
    let mut below = vec![Vec::new(); tree.members.len() + 1];
    for (at, member) in tree.members.iter().enumerate() {
        below[member.parent.unwrap_or(tree.members.len())].push(at);
    }
    let mut order = Vec::with_capacity(tree.members.len());
    let mut waiting: Vec<usize> = below[tree.members.len()].iter().rev().copied().collect();
    while let Some(at) = waiting.pop() {
        order.push(at);
        waiting.extend(below[at].iter().rev());
    }
    order
}

/// Where every account of a tree stands.
pub(super) fn standings(
    path: &Path,
    tree: &Tree,
    opened: &mut Opened,
    name: RankingName,
    damping: f64,
) -> Result<Standings, InputError> {
    found(tree, opened, name, damping).map_err(|error| InputError::new(path, error.to_string()))
}

fn found(
    tree: &Tree,
    opened: &mut Opened,
    name: RankingName,
    damping: f64,
) -> Result<Standings, Error> {
    let (ranking, word) = match name {
        RankingName::FairTree => (Ranking::FairTree, "fair_tree"),
        RankingName::Classic => (Ranking::Classic { damping }, "classic"),
    };
    // The account of a member has its place for an index.
    let mut standings = vec![Standing::default(); tree.members.len()];
    opened.ledger.standings(NOW, ranking, &mut standings)?;
    let order = depth_first(tree);
    let levels = Levels::new(tree, &standings, &order);
    let used = used_resources(tree);
    let parts = parts(tree, opened)?;
    let all = opened.ledger.usage_of_all(NOW)?;
    let found = Found { tree, standings: &standings, levels: &levels, all };
    let mut rows: Vec<Option<Row>> = vec![None; tree.members.len()];
    for at in order.iter().copied() {
        let above = tree.members[at].parent.and_then(|parent| rows[parent].as_ref());
        rows[at] = Some(found.row(at, above, numbers(tree, opened, at, &used, &parts)?));
    }
    let users = standings.first().map_or(0, |standing| standing.users);
    let resource =
        |at: &usize| Resource { name: tree.resources[*at].clone(), capacity: tree.capacity[*at] };
    Ok(Standings {
        ranking: word,
        damping: (name == RankingName::Classic).then_some(damping),
        users,
        usage: all,
        resources: used.iter().map(resource).collect(),
        accounts: order.iter().filter_map(|at| rows[*at].take()).collect(),
        is_classic: name == RankingName::Classic,
    })
}

/// What a row is made from.
struct Found<'a> {
    tree: &'a Tree,
    standings: &'a [Standing],
    levels: &'a Levels,
    /// Usage of all.
    all: f64,
}

impl Found<'_> {
    fn row(&self, at: usize, above: Option<&Row>, numbers: Numbers) -> Row {
        let (member, standing, levels) = (&self.tree.members[at], &self.standings[at], self.levels);
        let parent = above.map(|row| row.path.clone());
        let name = member.name();
        let level = levels.level_of(at);
        Row {
            path: parent.as_ref().map_or_else(|| name.to_owned(), |path| format!("{path}/{name}")),
            account: member.account.clone(),
            user: (!member.user.is_empty()).then(|| member.user.clone()),
            parent,
            level: above.map_or(1, |row| row.level + 1),
            shares: shares_of(member.shares, member.weight)
                .map_or(Shares::Word("parent"), Shares::Number),
            level_shares: levels.shares[level],
            shares_norm: standing.shares_norm,
            usage: standing.usage,
            level_usage: levels.above[at].map_or(self.all, |above| self.standings[above].usage),
            usage_norm: standing.usage_norm,
            usage_effective: standing.usage_effective,
            level_fs: standing.level_fs.map(Factor),
            level_rank: levels.rank[at],
            level_members: levels.members[level],
            factor: standing.factor,
            rank: standing.rank,
            numbers,
        }
    }
}

/// The parts of all fair shares, by resource.
fn parts(tree: &Tree, opened: &mut Opened) -> Result<Vec<Vec<ShareParts>>, Error> {
    let mut all = vec![vec![ShareParts::default(); tree.members.len()]; tree.resources.len()];
    for (resource, parts) in all.iter_mut().enumerate() {
        opened.ledger.share_parts(resource as u32, parts)?;
    }
    Ok(all)
}

/// The resources that anything is said about.
fn used_resources(tree: &Tree) -> Vec<usize> {
    let is_used = |at: usize| {
        tree.capacity[at].is_some()
            || tree
                .members
                .iter()
                .any(|member| member.quota.quota.0[at] > 0 || member.quota.limit.0[at] < u64::MAX)
    };
    (0..tree.resources.len()).filter(|at| is_used(*at)).collect()
}

fn numbers(
    tree: &Tree,
    opened: &Opened,
    at: usize,
    used: &[usize],
    parts: &[Vec<ShareParts>],
) -> Result<Numbers, Error> {
    if tree.resources.is_empty() {
        return Ok(Numbers::default());
    }
    let (ledger, account) = (&opened.ledger, opened.ids[at]);
    let name = |resource: Option<u32>| {
        resource.and_then(|place| tree.resources.get(place as usize)).cloned()
    };
    let dominant = ledger.dominant_share(account)?;
    let borrowed: BorrowedShare = ledger.borrowed_share(account)?;
    let (held, asked) = (ledger.held(account)?, ledger.asked(account)?);
    let quota = &tree.members[at].quota;
    let holding = |resource: &usize| {
        let parts = parts[*resource][at];
        let holding = Holding {
            quota: Amount(quota.quota.0[*resource]),
            limit: Amount(quota.limit.0[*resource]),
            lending_limit: Amount(quota.lending_limit.0[*resource]),
            over_quota_weight: quota.over_quota_weight[*resource],
            held: held.0[*resource],
            asked: asked.0[*resource],
            request: parts.request,
            fair_share_of_quota: parts.share.min(parts.guaranteed),
            fair_share_over_quota: parts.share.saturating_sub(parts.guaranteed),
            fair_share: parts.share,
            guaranteed: parts.guaranteed,
        };
        (tree.resources[*resource].clone(), holding)
    };
    Ok(Numbers {
        over_quota_priority: quota.over_quota_priority,
        dominant_share: dominant.share,
        dominant_resource: name(dominant.resource),
        borrowed_permille: borrowed.permille,
        borrowed_resource: name(borrowed.resource),
        resources: used.iter().map(holding).collect(),
    })
}
