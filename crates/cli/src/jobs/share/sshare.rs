//! What `sshare -al --parsable2` prints: a row for each association, indented by its level.

use std::path::Path;

use csv::StringRecord;
use rampmeter::share::RawShares;
use rampmeter_sim::{InputError, shown};

use super::associations::shares_of;
use super::document::{USAGE_MAX, shares_range};
use super::tree::{Member, Place, Tree};

/// What parts the columns.
pub(super) const SEPARATOR: char = '|';

/// The word for the shares of the parent.
const PARENT: &str = "parent";

/// The account that all others are below.
const ROOT: &str = "root";

/// Where the columns stand that are read.
struct Columns {
    account: usize,
    user: usize,
    shares: usize,
    usage: usize,
}

/// The tree of a table.
pub(super) fn tree(path: &Path, text: &str) -> Result<Tree, InputError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(SEPARATOR as u8)
        .quoting(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let unreadable = |error: csv::Error| InputError::new(path, error.to_string());
    let columns = columns(path, reader.headers().map_err(unreadable)?)?;
    let mut rows = Rows { path, columns, base: None, way: Vec::new(), members: Vec::new() };
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(unreadable)? {
        let line = record.position().map_or(0, csv::Position::line);
        rows.take(&record, Place::Line(line))?;
    }
    Ok(Tree { members: rows.finished(), ..Tree::default() })
}

fn columns(path: &Path, header: &StringRecord) -> Result<Columns, InputError> {
    let column = |name: &str| {
        header.iter().position(|head| head.trim() == name).ok_or_else(|| {
            let problem = "there is no such column in the first line; `sshare -al --parsable2` \
                           prints Account, User, RawShares, RawUsage and others";
            InputError::new(path, problem).in_field(name)
        })
    };
    Ok(Columns {
        account: column("Account")?,
        user: column("User")?,
        shares: column("RawShares")?,
        usage: column("RawUsage")?,
    })
}

/// Rows that were read, and the way to the last one.
struct Rows<'a> {
    path: &'a Path,
    columns: Columns,
    /// Spaces before accounts of the first level.
    base: Option<usize>,
    /// Members from the first level down.
    way: Vec<usize>,
    members: Vec<Member>,
}

impl Rows<'_> {
    fn take(&mut self, record: &StringRecord, place: Place) -> Result<(), InputError> {
        let text = |column: usize| record.get(column).unwrap_or_default();
        let indented = text(self.columns.account);
        let account = indented.trim();
        let user = text(self.columns.user).trim();
        let spaces = indented.len() - indented.trim_start().len();
        let Some(base) = self.base else {
            // The first row is the root, or what was asked for instead of everything.
            let is_root = account == ROOT && user.is_empty();
            self.base = Some(spaces + usize::from(is_root));
            return if is_root { Ok(()) } else { self.take(record, place) };
        };
        let Some(level) = spaces.checked_sub(base).filter(|level| *level <= self.way.len()) else {
            let problem = format!(
                "{spaces} spaces before `{}` put it below no account above it in the table",
                shown(account)
            );
            return Err(place.error(self.path, "Account", problem));
        };
        self.way.truncate(level);
        let parent = self.way.last().copied();
        if parent.is_some_and(|above| !self.members[above].user.is_empty()) {
            return Err(place.error(self.path, "Account", "stands below a user"));
        }
        let mut member = Member::new(account.to_owned(), parent, place);
        user.clone_into(&mut member.user);
        member.shares = self.shares(&member.place, text(self.columns.shares).trim())?;
        member.usage = self.usage(&member.place, text(self.columns.usage).trim())?;
        self.way.push(self.members.len());
        self.members.push(member);
        Ok(())
    }

    fn shares(&self, place: &Place, text: &str) -> Result<RawShares, InputError> {
        if text == PARENT {
            return Ok(RawShares::Parent);
        }
        text.parse().ok().and_then(shares_of).ok_or_else(|| {
            let problem = format!("`{}` is not {}", shown(text), shares_range());
            place.error(self.path, "RawShares", problem)
        })
    }

    fn usage(&self, place: &Place, text: &str) -> Result<f64, InputError> {
        let usage = text.parse().ok().filter(|usage| (0.0..=USAGE_MAX).contains(usage));
        usage.ok_or_else(|| {
            let problem = format!("`{}` is not a number in 0..={USAGE_MAX}", shown(text));
            place.error(self.path, "RawUsage", problem)
        })
    }

    /// The members. What an account used beyond what is listed below it, by users that are gone or
    /// were not asked for, counts as used by itself.
    fn finished(mut self) -> Vec<Member> {
        let mut below = vec![0.0; self.members.len()];
        for member in &self.members {
            if let Some(parent) = member.parent {
                below[parent] += member.usage;
            }
        }
        for (member, below) in self.members.iter_mut().zip(below) {
            member.usage = (member.usage - below).max(0.0);
        }
        self.members
    }
}
