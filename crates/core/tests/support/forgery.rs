//! Snapshots that are wrong in the ways in which bytes go wrong, of any desk that can be saved.
//!
//! A damaged snapshot is always refused. A forged one, whose checksum is right, is refused or becomes
//! a desk that works.

use rampmeter::Error;
use rampmeter::error::SnapshotFault;

use super::Prng;

/// Words before the state: magic, desk and version, length.
const HEAD_WORDS: usize = 3;

/// A desk that can be saved.
pub trait Desk: Sized {
    /// What it takes to restore it besides the bytes.
    type Terms;

    /// Words at the head of the state that are only compared with the terms: not worth forging.
    const COMPARED_WORDS: usize = 0;

    /// Words behind those that most of the forging goes into, where a long and dull rest follows.
    const BUSY_WORDS: usize = usize::MAX;

    fn size(&self) -> u64;
    fn write(&self, out: &mut [u8]) -> Result<usize, Error>;
    fn read(terms: &Self::Terms, bytes: &[u8]) -> Result<Self, Error>;
}

/// The snapshot of a desk, to the byte.
pub fn saved<D: Desk>(desk: &D) -> Vec<u8> {
    let mut bytes = vec![0; desk.size() as usize];
    assert_eq!(desk.write(&mut bytes), Ok(bytes.len()));
    bytes
}

/// What a refused snapshot was refused for.
pub fn fault<T>(answer: &Result<T, Error>) -> Option<SnapshotFault> {
    match answer {
        Err(Error::Snapshot { fault, .. }) => Some(*fault),
        _ => None,
    }
}

/// Whatever is damaged by accident is noticed: a bit, a word, or an end that is missing.
pub fn every_damage_is_refused<D: Desk>(terms: &D::Terms, whole: &[u8], prng: &mut Prng) {
    let refused = |bytes: &[u8]| fault(&D::read(terms, bytes)).is_some();
    assert!(!refused(whole));
    let at = prng.below(whole.len() as u64) as usize;
    assert!(refused(&whole[..at]), "cut at {at}");
    let mut bytes = whole.to_vec();
    bytes[at] ^= 1 << prng.below(8);
    assert!(refused(&bytes), "a bit of byte {at}");
    bytes.copy_from_slice(whole);
    let word = &mut bytes.as_chunks_mut::<8>().0[at / 8];
    *word = (u64::from_le_bytes(*word) ^ prng.draw().max(1)).to_le_bytes();
    assert!(refused(&bytes), "word {}", at / 8);
}

/// Forges `whole` and restores it. True if it was believed; it can then be saved and is believed
/// again, and so is what `bear` makes of it by calls of every kind, unless that is `None`.
pub fn is_believed<D: Desk>(
    terms: &D::Terms,
    whole: &[u8],
    prng: &mut Prng,
    bear: impl FnOnce(D) -> Option<D>,
) -> bool {
    let mut bytes = whole.to_vec();
    forge::<D>(&mut bytes, prng);
    sign(&mut bytes);
    let Ok(restored) = D::read(terms, &bytes) else { return false };
    let again = saved(&restored);
    assert!(saved(&D::read(terms, &again).unwrap()) == again);
    if let Some(borne) = bear(restored) {
        // A count that was forged to its limit may have gone on from it.
        let at_limit = bytes.as_chunks::<8>().0.contains(&(1_u64 << 62).to_le_bytes());
        assert!(at_limit || D::read(terms, &saved(&borne)).is_ok());
    }
    true
}

/// The forger must get through at times, or the tests with forged snapshots test nothing.
pub fn some_are_believed(bears: impl Fn(u64) -> bool) {
    let believed = (0..1_000).filter(|seed| bears(*seed)).count();
    println!("{believed} of 1000 forged snapshots are believed");
    assert!((50..950).contains(&believed), "{believed} of 1000");
}

/// What is no snapshot of this desk is refused for what it is, and one that does not fit is not
/// begun to be written.
pub fn faults_are_named<D: Desk>(terms: &D::Terms, desk: &D) {
    let bytes = saved(desk);
    let found = |bytes: &[u8]| fault(&D::read(terms, bytes));
    assert_eq!(found(&bytes), None);
    assert_eq!(found(b"{}"), Some(SnapshotFault::NoSnapshot));
    assert_eq!(found(&bytes[..99]), Some(SnapshotFault::Truncated));
    let with = |at: usize, by: u8| {
        let mut bytes = bytes.clone();
        bytes[at] ^= by;
        sign(&mut bytes);
        found(&bytes)
    };
    assert_eq!(with(8, 4), Some(SnapshotFault::OtherDesk));
    assert_eq!(with(12, 4), Some(SnapshotFault::OtherVersion));
    let mut damaged = bytes.clone();
    let last = damaged.len() - 9;
    damaged[last] ^= 1;
    assert_eq!(found(&damaged), Some(SnapshotFault::Checksum));

    let mut short = vec![7; bytes.len() - 1];
    assert_eq!(desk.write(&mut short).unwrap_err().field(), "snapshot");
    assert!(short.iter().all(|byte| *byte == 7), "nothing is written");
}

/// Puts the checksum right, as the format says it is made.
pub fn sign(bytes: &mut [u8]) {
    let (words, _) = bytes.as_chunks_mut::<8>();
    let (last, words) = words.split_last_mut().unwrap();
    let sum = words.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, word| {
        (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    });
    *last = sum.to_le_bytes();
}

/// Alters some words of the state in the ways in which words go wrong.
fn forge<D: Desk>(bytes: &mut [u8], prng: &mut Prng) {
    let (words, _) = bytes.as_chunks_mut::<8>();
    let first = HEAD_WORDS + D::COMPARED_WORDS;
    let state = words.len() - first - 1;
    for _ in 0..=prng.below(4) {
        let other = words[first + prng.below(state as u64) as usize];
        let reach = if prng.chance(70) { state.min(D::BUSY_WORDS) } else { state };
        let at = first + prng.below(reach as u64) as usize;
        let word = u64::from_le_bytes(words[at]);
        words[at] = match prng.below(8) {
            0 => prng.draw(),
            1 => prng.below(50),
            2 => word.wrapping_add(1),
            3 => word.wrapping_sub(1),
            4 => word ^ 1 << prng.below(64),
            5 => u64::from_le_bytes(other),
            6 => [0, u64::MAX, u32::MAX.into(), 1 << 32, 1 << 62][prng.below(5) as usize],
            _ => word ^ (prng.below(256) << (8 * prng.below(8))),
        }
        .to_le_bytes();
    }
}
