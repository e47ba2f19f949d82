//! Snapshots that are wrong in the ways in which bytes go wrong, but for the checksum.

use rampmeter::Error;
use rampmeter::error::SnapshotFault;

use super::Prng;

/// What a refused snapshot was refused for.
pub fn fault<T>(answer: &Result<T, Error>) -> Option<SnapshotFault> {
    match answer {
        Err(Error::Snapshot { fault, .. }) => Some(*fault),
        _ => None,
    }
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

/// Alters some words of the state behind `skipped` in the ways in which words go wrong.
pub fn forge(bytes: &mut [u8], skipped: usize, prng: &mut Prng) {
    let (words, _) = bytes.as_chunks_mut::<8>();
    let first = 3 + skipped;
    let state = (words.len() - first - 1) as u64;
    for _ in 0..=prng.below(4) {
        let other = words[first + prng.below(state) as usize];
        let at = first + prng.below(state) as usize;
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
