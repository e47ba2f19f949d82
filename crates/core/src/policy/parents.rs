//! The account above each account of a list, found in the order of the list.
//!
//! # Bounds and cost
//! O(levels) for an account that stands below its parent, below a part of it, or next to one: in
//! documents that list each account before its parts, and in those that list a level after the
//! other. Else the list is searched backwards. Takes nothing from the heap.

use super::{Account, DEPTH_MAX, NAME_BYTES_MAX};
use crate::error::{Error, check_range};

/// Accounts from the first level to the one looked at last, by their places in the list.
#[derive(Default)]
pub(crate) struct Way {
    places: [usize; DEPTH_MAX],
    levels: usize,
}

impl Way {
    /// Place of the account above that at `index`; `None` on the first level. To be called for
    /// each account in turn, from the first.
    ///
    /// # Errors
    /// [`Error::Unknown`] if none that stands before has the name of the parent;
    /// [`Error::Range`] for a name that cannot be, and below an account on the last level.
    pub(crate) fn step(
        &mut self,
        accounts: &[Account],
        index: usize,
    ) -> Result<Option<usize>, Error> {
        let Some(parent) = accounts.get(index).and_then(|account| account.parent.as_deref()) else {
            self.levels = 0;
            self.push(index)?;
            return Ok(None);
        };
        let (field, bytes) = ("account[].parent (bytes)", parent.len() as u64);
        check_range(field, bytes, 1, NAME_BYTES_MAX as u64)?;
        let is_parent = |place: usize| accounts[place].name == parent;
        match self.places[..self.levels].iter().rposition(|place| is_parent(*place)) {
            Some(level) => self.levels = level + 1,
            None => self.find(accounts, index)?,
        }
        let above = self.places[self.levels - 1];
        self.push(index)?;
        Ok(Some(above))
    }

    /// Names on the way from the first level to the account looked at last, of the same list.
    pub(crate) fn names<'a>(&'a self, accounts: &'a [Account]) -> impl Iterator<Item = &'a str> {
        let on_the_way = self.places[..self.levels].iter();
        on_the_way.filter_map(|place| accounts.get(*place)).map(|account| account.name.as_str())
    }

    /// Goes to the account above that at `index`, which stands somewhere before it.
    fn find(&mut self, accounts: &[Account], index: usize) -> Result<(), Error> {
        let above = |index: usize| {
            let parent = accounts[index].parent.as_ref()?;
            accounts[..index].iter().rposition(|account| account.name == *parent)
        };
        let (field, place) = ("account[].parent", index as u64);
        let mut next = above(index);
        if next.is_none() {
            return Err(Error::Unknown { field, index: place });
        }
        self.levels = 0;
        while let Some(ancestor) = next {
            self.push(ancestor)?;
            next = above(ancestor);
        }
        self.places[..self.levels].reverse();
        Ok(())
    }

    fn push(&mut self, place: usize) -> Result<(), Error> {
        let (field, levels) = ("account[].parent (levels)", self.levels as u64 + 1);
        check_range(field, levels, 1, DEPTH_MAX as u64)?;
        self.places[self.levels] = place;
        self.levels += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec::Vec;

    proptest! {
        /// In any order that has parents before their parts, against searching for each.
        #[test]
        fn the_parent_of_each_account_is_found(
            parents in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 1..60),
        ) {
            let mut accounts: Vec<Account> = Vec::new();
            let mut levels: Vec<usize> = Vec::new();
            for (index, parent) in parents.iter().enumerate() {
                let above = parent.filter(|_| index > 0).map(|parent| parent.index(index));
                let account = Account::new(index.to_string(), 1.0);
                accounts.push(match above {
                    Some(above) => account.under(above.to_string()),
                    None => account,
                });
                levels.push(above.map_or(1, |above| levels[above] + 1));
            }
            let mut way = Way::default();
            for (index, level) in levels.iter().enumerate() {
                let found = way.step(&accounts, index);
                if *level > DEPTH_MAX {
                    prop_assert_eq!(found.unwrap_err().field(), "account[].parent (levels)");
                    break;
                }
                let parent = accounts[index].parent.as_ref();
                let parent = parent.map(|parent| parent.parse::<usize>().unwrap());
                prop_assert_eq!(found, Ok(parent));
                let mut names = std::vec![accounts[index].name.as_str()];
                let mut above = accounts[index].parent.as_deref();
                while let Some(name) = above {
                    names.insert(0, name);
                    above = accounts[name.parse::<usize>().unwrap()].parent.as_deref();
                }
                prop_assert_eq!(way.names(&accounts).collect::<Vec<_>>(), names);
            }
        }
    }
}
