//! Names: what an account is called next to its siblings, resolved once to its id.
//!
//! # What it decides
//! Nothing. A host that is told names asks once for the id, and uses that from then on.
//!
//! # Formula
//! A name is unique among siblings: the same user may stand below several accounts. A path is the
//! names from the first level down, parted by `/`, which therefore stands in no name. Found by
//! hash of the account above and the name, in a table at most half full; whoever has that hash is
//! compared byte by byte.
//!
//! # Bounds and cost
//! Naming, closing and finding an account is O(bytes of the name) where hashes are spread as
//! chance would; a path as much for each level. Names chosen to collide make it O(accounts), never
//! more: the hash is fixed, so that the same calls take the same way everywhere. Memory: 129 bytes
//! for each account, and 16 to 32 for the index. Allocates when it is made, never after.
//!
//! # What it is bad at
//! Short names take as much memory as long ones. Names are compared as bytes: `é` as one code point
//! and as two are different names.
//!
//! # Source
//! Linear probing with deletion that shifts back what follows: Knuth, The Art of Computer
//! Programming, volume 3, section 6.4, algorithms L and R. Finalizer: Appleby, `MurmurHash3`
//! (public domain).

use alloc::boxed::Box;
use alloc::vec;

use super::{AccountId, AccountTree, Ledger, LedgerOptions};
use crate::error::{Error, check_range};
use crate::policy::NAME_BYTES_MAX;
use crate::snapshot::{self, Words};

/// Parts the names of a path.
const SEPARATOR: char = '/';

/// Places of the index for each account: with at most every second one taken, a search that finds
/// nothing looks at 2.5 places on average (Knuth, 6.4, formula 22).
const PLACES_PER_ACCOUNT: u64 = 2;

/// Bytes of a name in one word of a snapshot.
const WORD: usize = size_of::<u64>();

/// Finalizer of `MurmurHash3` for 64 bits: every bit that goes in reaches every bit that comes out.
const MIX: [u64; 2] = [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];
/// See [`MIX`].
const MIX_SHIFT: u32 = 33;

/// Whose place in the index it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    hash: u32,
    /// Index of the account, or [`VACANT`].
    account: u32,
}

/// Above every index that an account can have.
const VACANT: Place = Place { hash: 0, account: u32::MAX };

/// The names of the open accounts, by index, and the way back.
#[derive(Debug)]
pub(super) struct Names {
    /// Bytes of each name; 0: none.
    pub(super) lengths: Box<[u8]>,
    /// [`NAME_BYTES_MAX`] bytes for each account.
    pub(super) texts: Box<[u8]>,
    /// A power of two of them, none if there are no names.
    pub(super) places: Box<[Place]>,
}

const _: () = assert!(NAME_BYTES_MAX <= u8::MAX as usize && NAME_BYTES_MAX.is_multiple_of(WORD));

impl Names {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let accounts = if options.names { options.accounts_max as usize } else { 0 };
        Self {
            lengths: vec![0; accounts].into_boxed_slice(),
            texts: vec![0; accounts * NAME_BYTES_MAX].into_boxed_slice(),
            places: vec![VACANT; places_len(options) as usize].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        let accounts = if options.names { options.accounts_max as u64 } else { 0 };
        accounts * (1 + NAME_BYTES_MAX as u64) + places_len(options) * size_of::<Place>() as u64
    }

    /// The name of an account; empty if it has none.
    fn get(&self, index: u32) -> &[u8] {
        let length = self.lengths.get(index as usize).copied().unwrap_or_default();
        let begin = index as usize * NAME_BYTES_MAX;
        self.texts.get(begin..begin + usize::from(length)).unwrap_or_default()
    }

    /// Where the account of this name stands in the index, or the vacant place where it would. At
    /// least every second place is vacant, so that the search ends.
    fn find(&self, tree: &AccountTree, parent: u32, name: &[u8]) -> (usize, Place) {
        let hash = hash(parent, name);
        let mut at = self.home(hash);
        for _ in 0..self.places.len() {
            let place = self.places[at];
            let is_it = || {
                place.hash == hash
                    && tree.parent_at(place.account) == parent
                    && self.get(place.account) == name
            };
            if place.account == VACANT.account || is_it() {
                return (at, place);
            }
            at = self.after(at);
        }
        (at, VACANT)
    }

    /// The account of this name below `parent`.
    fn account(&self, tree: &AccountTree, parent: u32, name: &[u8]) -> Option<u32> {
        if self.places.is_empty() || name.is_empty() {
            return None;
        }
        let (_, place) = self.find(tree, parent, name);
        (place.account != VACANT.account).then_some(place.account)
    }

    /// Gives an account a name that nobody has below the same parent.
    fn set(&mut self, tree: &AccountTree, index: u32, name: &[u8]) {
        self.forget(tree, index);
        let parent = tree.parent_at(index);
        let (at, _) = self.find(tree, parent, name);
        self.places[at] = Place { hash: hash(parent, name), account: index };
        let begin = index as usize * NAME_BYTES_MAX;
        self.texts[begin..begin + name.len()].copy_from_slice(name);
        self.lengths[index as usize] = name.len() as u8;
    }

    /// Takes its name from an account that is still in the tree.
    pub(super) fn forget(&mut self, tree: &AccountTree, index: u32) {
        if self.get(index).is_empty() {
            return;
        }
        let (at, _) = self.find(tree, tree.parent_at(index), self.get(index));
        self.vacate(at);
        self.lengths[index as usize] = 0;
    }

    /// Makes a place vacant, and moves into it what could no longer be found behind it.
    fn vacate(&mut self, at: usize) {
        let (mut hole, mut next) = (at, at);
        for _ in 0..self.places.len() {
            next = self.after(next);
            let place = self.places[next];
            if place.account == VACANT.account {
                break;
            }
            // It may stand anywhere from its home on: in the hole, if that lies between.
            let from_home = self.distance(self.home(place.hash), next);
            if from_home >= self.distance(hole, next) {
                self.places[hole] = place;
                hole = next;
            }
        }
        self.places[hole] = VACANT;
    }

    /// Where an account with this hash is looked for first.
    const fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    const fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    /// Places looked at to find each account, all together.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        let taken = self.places.iter().enumerate();
        let taken = taken.filter(|(_, place)| place.account != VACANT.account);
        taken.map(|(at, place)| self.distance(self.home(place.hash), at) + 1).sum()
    }

    /// Steps from one place to another.
    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.lengths.fill(0);
        self.places.fill(VACANT);
    }

    /// Tells the name of each open account: its length in bytes, and the bytes, eight in a word.
    pub(super) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        if self.places.is_empty() {
            return;
        }
        for index in tree.indices() {
            let name = self.get(index);
            save(name.len() as u64);
            name.chunks(WORD).for_each(|bytes| save(word(bytes)));
        }
    }

    /// Takes what [`Self::save_state`] told. After an error it must be cleared.
    pub(super) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        if self.places.is_empty() {
            return Ok(());
        }
        self.clear();
        for index in tree.indices() {
            let length = words.next_within("name (bytes)", 0, NAME_BYTES_MAX as u32)? as usize;
            let mut name = [0; NAME_BYTES_MAX];
            for bytes in name[..length.next_multiple_of(WORD)].chunks_mut(WORD) {
                bytes.copy_from_slice(&words.next()?.to_le_bytes());
            }
            if length > 0 {
                self.check(tree, index, loaded(&name, length)?)?;
                self.set(tree, index, &name[..length]);
            }
        }
        Ok(())
    }

    /// `Ok` if the account may have this name.
    fn check(&self, tree: &AccountTree, index: u32, name: &str) -> Result<(), Error> {
        check_range("names", (!self.places.is_empty()).into(), 1, 1)?;
        check_range("name (bytes)", name.len() as u64, 1, NAME_BYTES_MAX as u64)?;
        name.chars().try_for_each(check_character)?;
        match self.account(tree, tree.parent_at(index), name.as_bytes()) {
            Some(other) if other != index => Err(Error::Duplicate {
                field: "name",
                index: index.into(),
                first_index: other.into(),
            }),
            _ => Ok(()),
        }
    }
}

/// Places of the index: a power of two, since remainders by it are cheap.
const fn places_len(options: &LedgerOptions) -> u64 {
    if options.names {
        (options.accounts_max as u64 * PLACES_PER_ACCOUNT).next_power_of_two()
    } else {
        0
    }
}

/// Up to eight bytes as a word, the first one lowest.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << u8::BITS | u64::from(*byte))
}

/// Hash of a name below an account, by the digest that snapshots are checked with.
fn hash(parent: u32, name: &[u8]) -> u32 {
    let digest = snapshot::digest(|put| {
        put(u64::from(parent) | (name.len() as u64) << u32::BITS);
        name.chunks(WORD).for_each(|bytes| put(word(bytes)));
    });
    // The digest leaves its low bits alike for names that differ in one byte.
    MIX.into_iter().fold(digest ^ digest >> MIX_SHIFT, |mixed, multiplier| {
        let mixed = mixed.wrapping_mul(multiplier);
        mixed ^ mixed >> MIX_SHIFT
    }) as u32
}

/// Bytes of a snapshot as the name that they must be, with nothing behind it.
fn loaded(bytes: &[u8], length: usize) -> Result<&str, Error> {
    let (name, behind) = bytes.split_at(length);
    if let Some(byte) = behind.iter().find(|byte| **byte > 0) {
        check_range("name (bytes behind it)", u64::from(*byte), 0, 0)?;
    }
    core::str::from_utf8(name).map_err(|fault| Error::Range {
        field: "name (bytes that are UTF-8)",
        value: length as u64,
        min: 0,
        max: fault.valid_up_to() as u64,
    })
}

/// `Ok` if the character may stand in a name. Control characters, of ASCII and of Latin-1, do harm
/// in one-line messages, metric labels and reports.
fn check_character(character: char) -> Result<(), Error> {
    let (field, code) = match character {
        SEPARATOR => ("name (character code; `/` parts the names of a path)", '/'),
        control if control.is_control() => {
            ("name (character code; no control characters)", control)
        }
        _ => return Ok(()),
    };
    // The next character that is accepted.
    let min = match code {
        '\0'..='\u{1f}' => ' ',
        SEPARATOR => '0',
        _ => '\u{a0}',
    };
    check_range(field, code.into(), min.into(), char::MAX.into()).map(drop)
}

impl Ledger {
    /// Names an account, or names it anew. O(bytes of the name), expected.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `names` if this ledger has
    /// none, and for a name that does not have 1 to [`NAME_BYTES_MAX`] bytes, or has `/` or a
    /// control character in it; [`Error::Duplicate`] if a sibling has it, with the indices of both.
    pub fn set_name(&mut self, account: AccountId, name: &str) -> Result<(), Error> {
        self.tree.check(account)?;
        self.names.check(&self.tree, account.index(), name)?;
        self.names.set(&self.tree, account.index(), name.as_bytes());
        Ok(())
    }

    /// The name of an account; empty if it was given none.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn name(&self, account: AccountId) -> Result<&str, Error> {
        self.tree.check(account)?;
        // What is kept came from a `str`, or was found to be one.
        Ok(core::str::from_utf8(self.names.get(account.index())).unwrap_or_default())
    }

    /// The account of this name directly below `parent`, or on the first level. O(bytes of the
    /// name), expected; `None` if there is none, or `parent` is unknown.
    #[must_use]
    pub fn account_named(&self, parent: Option<AccountId>, name: &str) -> Option<AccountId> {
        let parent = match parent {
            Some(parent) => self.tree.check(parent).map(|()| parent.index()).ok()?,
            None => self.tree.root(),
        };
        let index = self.names.account(&self.tree, parent, name.as_bytes())?;
        self.tree.account_at(index)
    }

    /// The account at the end of a path of names, such as `org/team/user`. O(bytes of the path),
    /// expected.
    #[must_use]
    pub fn account_at_path(&self, path: &str) -> Option<AccountId> {
        // No further than the tree is deep: nobody stands below the last level.
        path.split(SEPARATOR)
            .try_fold(None, |above, name| self.account_named(above, name).map(Some))?
    }
}
