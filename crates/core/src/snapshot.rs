//! In what form is state kept? The codec in which every desk saves itself.
//!
//! # What it decides
//! Whether some bytes are a snapshot of this desk that can be believed. A desk writes its whole
//! state as 64-bit words between a head and a checksum; reading takes the same words back.
//!
//! # Format
//! ```text
//! word 0      "RAMPMETR"
//! word 1      desk (low 32 bits), version of the desk's state (high 32 bits)
//! word 2      words of state
//! words       state
//! last word   checksum of all words before
//! ```
//! All words little-endian. The checksum is FNV-1a over words instead of bytes, with a rotation:
//! each step is a bijection of the sum so far, so that a change of any single word is always seen.
//! It guards against accidents; it is no signature.
//!
//! # Bounds and cost
//! O(state). Saving writes into memory of the caller and allocates nothing. Whoever reads checks
//! every word against its range before it is used: bytes from anywhere are answered with
//! [`Error::Snapshot`], never with a panic.
//!
//! # What it is bad at
//! Moving between versions: a state of another version is refused, not translated. A desk that
//! is restored after an upgrade starts anew.

mod words;

pub(crate) use words::{Words, pair};

use crate::error::{Error, SnapshotFault};

/// The first word of every snapshot.
const MAGIC: u64 = u64::from_le_bytes(*b"RAMPMETR");

/// Bytes of a word.
const WORD: usize = core::mem::size_of::<u64>();

/// Words before the state.
const HEAD_WORDS: usize = 3;

/// Offset basis and prime of FNV-1a, 64 bits.
pub(crate) const FNV_OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
pub(crate) const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Any odd distance spreads a word's high bits, which multiplication alone never moves down.
const CHECKSUM_TURN: u32 = 29;

/// Which desk a snapshot is of, and in which form its state is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Kind {
    pub(crate) desk: u32,
    pub(crate) version: u32,
}

/// The continuous batcher.
pub(crate) const BATCHER: Kind = Kind { desk: 1, version: 2 };

/// The dynamic batcher.
pub(crate) const DYNAMIC_BATCHER: Kind = Kind { desk: 2, version: 1 };

/// A ledger of its own.
pub(crate) const LEDGER: Kind = Kind { desk: 3, version: 1 };

/// The placer.
pub(crate) const PLACER: Kind = Kind { desk: 4, version: 2 };

/// The desk of headroom.
pub(crate) const HEADROOM: Kind = Kind { desk: 5, version: 2 };

/// The gate.
pub(crate) const GATE: Kind = Kind { desk: 6, version: 2 };

/// The reserve that batch work leaves to urgent work.
pub(crate) const RESERVE: Kind = Kind { desk: 8, version: 2 };

/// The router.
pub(crate) const ROUTER: Kind = Kind { desk: 7, version: 2 };

/// The books of what users felt.
pub(crate) const OUTCOMES: Kind = Kind { desk: 9, version: 1 };

/// The sum with one more word in it.
const fn checksum(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(FNV_PRIME).rotate_left(CHECKSUM_TURN)
}

/// The checksum of some words: the same for the same words only, but for one in 2^64.
pub(crate) fn digest(words: impl Fn(&mut dyn FnMut(u64))) -> u64 {
    let mut sum = FNV_OFFSET_BASIS;
    words(&mut |word| sum = checksum(sum, word));
    sum
}

/// Bytes of a snapshot whose state is what `save` writes.
pub(crate) fn bytes_needed(save: impl Fn(&mut dyn FnMut(u64))) -> u64 {
    let mut words = 0;
    save(&mut |_| words += 1);
    (words + HEAD_WORDS as u64 + 1) * WORD as u64
}

/// Writes a snapshot to the front of `out` and returns its length in bytes.
///
/// # Errors
/// [`Error::BufferTooSmall`], and nothing is written.
pub(crate) fn save(
    kind: Kind,
    out: &mut [u8],
    save: impl Fn(&mut dyn FnMut(u64)),
) -> Result<usize, Error> {
    let needed = bytes_needed(&save);
    let given = out.len() as u64;
    if given < needed {
        return Err(Error::BufferTooSmall { field: "snapshot", given, needed });
    }
    let mut sum = FNV_OFFSET_BASIS;
    let (mut words, _) = out.as_chunks_mut::<WORD>();
    let mut put = |word: u64| {
        sum = checksum(sum, word);
        if let Some((first, rest)) = core::mem::take(&mut words).split_first_mut() {
            *first = word.to_le_bytes();
            words = rest;
        }
    };
    put(MAGIC);
    put(u64::from(kind.desk) | u64::from(kind.version) << 32);
    put(needed / WORD as u64 - HEAD_WORDS as u64 - 1);
    save(&mut put);
    if let Some(last) = words.first_mut() {
        *last = sum.to_le_bytes();
    }
    Ok(needed as usize)
}

/// Checks head, length and checksum, and hands the words of state to `load`, which refuses them if
/// it cannot believe them. Bytes after the snapshot are ignored.
///
/// # Errors
/// [`Error::Snapshot`] with what is wrong, and up to where it was read; the other errors of `load`
/// as they are.
pub(crate) fn load<T>(
    kind: Kind,
    bytes: &[u8],
    load: impl FnOnce(&mut dyn FnMut() -> Option<u64>) -> Result<T, Error>,
) -> Result<T, Error> {
    let refuse = |fault, word: usize| Err(Error::Snapshot { fault, offset: (word * WORD) as u64 });
    let (words, _) = bytes.as_chunks::<WORD>();
    let word = |index: usize| words.get(index).map(|word| u64::from_le_bytes(*word));
    if word(0) != Some(MAGIC) {
        return refuse(SnapshotFault::NoSnapshot, 0);
    }
    match word(1) {
        None => return refuse(SnapshotFault::Truncated, words.len()),
        Some(desk) if desk as u32 != kind.desk => return refuse(SnapshotFault::OtherDesk, 1),
        Some(desk) if (desk >> 32) as u32 != kind.version => {
            return refuse(SnapshotFault::OtherVersion, 1);
        }
        Some(_) => {}
    }
    let len = word(2).and_then(|len| usize::try_from(len).ok());
    let last = len.and_then(|len| len.checked_add(HEAD_WORDS)).filter(|last| *last < words.len());
    let Some(last) = last else {
        return refuse(SnapshotFault::Truncated, words.len());
    };
    let sum = (0..last).filter_map(word).fold(FNV_OFFSET_BASIS, checksum);
    if word(last) != Some(sum) {
        return refuse(SnapshotFault::Checksum, last);
    }
    let mut next = HEAD_WORDS;
    let answer = load(&mut || {
        let word = (next < last).then(|| word(next)).flatten()?;
        next += 1;
        Some(word)
    });
    match answer {
        // State that was not asked for is state of something else.
        Ok(_) if next != last => refuse(SnapshotFault::Contradiction, next),
        Err(Error::Snapshot { fault, .. }) => refuse(fault, next),
        answer => answer,
    }
}

/// The error of a desk that cannot believe the words it took; [`load`] adds where.
pub(crate) const CONTRADICTION: Error =
    Error::Snapshot { fault: SnapshotFault::Contradiction, offset: 0 };

/// The error of a desk that has other capacities than the one that was saved.
pub(crate) const OTHER_CAPACITY: Error =
    Error::Snapshot { fault: SnapshotFault::OtherCapacity, offset: 0 };

/// `Ok` if what was read can be believed.
pub(crate) const fn ensure(sound: bool) -> Result<(), Error> {
    if sound { Ok(()) } else { Err(CONTRADICTION) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn written(state: &[u64]) -> Vec<u8> {
        let put_all = |put: &mut dyn FnMut(u64)| state.iter().for_each(|word| put(*word));
        let mut bytes = vec![0xaa; bytes_needed(put_all) as usize + 5];
        let len = save(BATCHER, &mut bytes, put_all).unwrap();
        assert_eq!(len + 5, bytes.len());
        bytes
    }

    fn read(kind: Kind, bytes: &[u8], words: usize) -> Result<Vec<u64>, Error> {
        load(kind, bytes, |take| {
            (0..words).map(|_| take().ok_or(CONTRADICTION)).collect::<Result<_, _>>()
        })
    }

    #[test]
    fn what_is_wrong_is_said() {
        let bytes = written(&[1, 2, 3]);
        let fault = |result: Result<Vec<u64>, Error>| match result {
            Err(Error::Snapshot { fault, .. }) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(read(BATCHER, b"hello", 3)), SnapshotFault::NoSnapshot);
        assert_eq!(fault(read(BATCHER, &bytes[..40], 3)), SnapshotFault::Truncated);
        let other = Kind { desk: 77, ..BATCHER };
        assert_eq!(fault(read(other, &bytes, 3)), SnapshotFault::OtherDesk);
        let later = Kind { version: 77, ..BATCHER };
        assert_eq!(fault(read(later, &bytes, 3)), SnapshotFault::OtherVersion);
        // Fewer or more words than the desk knows are not its own.
        assert_eq!(fault(read(BATCHER, &bytes, 2)), SnapshotFault::Contradiction);
        assert_eq!(fault(read(BATCHER, &bytes, 4)), SnapshotFault::Contradiction);
        let mut short = vec![0; 55];
        let needed = save(BATCHER, &mut short, |put| (0..3).for_each(put)).unwrap_err();
        let expected = Error::BufferTooSmall { field: "snapshot", given: 55, needed: 56 };
        assert_eq!((needed, short.iter().all(|byte| *byte == 0)), (expected, true));
    }

    proptest! {
        /// What is saved comes back, and any change of a single byte is noticed.
        #[test]
        fn round_trip_and_corruption(
            state in prop::collection::vec(any::<u64>(), 0..40), at in any::<usize>(), by in 1u8..,
        ) {
            let mut bytes = written(&state);
            prop_assert_eq!(read(BATCHER, &bytes, state.len()), Ok(state.clone()));
            let len = bytes.len() - 5;
            bytes[at % len] ^= by;
            prop_assert!(read(BATCHER, &bytes, state.len()).is_err());
        }

        /// No bytes make it panic.
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(read(BATCHER, &bytes, 1).is_err());
        }
    }
}
