//! Room beside the KV cache, such as memory of the host, to which KV can be moved and come back.

use crate::error::{Error, check_real};
use crate::units::Blocks;

/// Longest time that moving one block may take, in seconds: a block of the largest models has
/// some tens of MiB, so that anything above a second is a wrong unit.
const SECONDS_PER_BLOCK_MAX: f64 = 1.0;

/// Where KV is swapped to: how much fits, and how long moving a block takes each way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KvSwap {
    blocks: Blocks,
    out_s_per_block: f64,
    in_s_per_block: f64,
}

impl KvSwap {
    /// Room for `blocks` blocks of the cache's size, with the seconds that one takes to be moved
    /// out and to come back.
    ///
    /// # Errors
    /// [`Error::RangeReal`] unless both times are 0 to 1 s.
    pub fn new(blocks: Blocks, out_s_per_block: f64, in_s_per_block: f64) -> Result<Self, Error> {
        check_real("out_s_per_block", out_s_per_block, 0.0, SECONDS_PER_BLOCK_MAX)?;
        check_real("in_s_per_block", in_s_per_block, 0.0, SECONDS_PER_BLOCK_MAX)?;
        Ok(Self { blocks, out_s_per_block, in_s_per_block })
    }

    /// Blocks that fit.
    #[must_use]
    pub const fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Seconds to move one block out.
    #[must_use]
    pub const fn out_s_per_block(&self) -> f64 {
        self.out_s_per_block
    }

    /// Seconds until one block is back.
    #[must_use]
    pub const fn in_s_per_block(&self) -> f64 {
        self.in_s_per_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_times_that_are_none() {
        for bad in [-1e-9, 1.1, f64::NAN, f64::INFINITY] {
            let refused = [KvSwap::new(Blocks(1), bad, 0.0), KvSwap::new(Blocks(1), 0.0, bad)];
            let fields = refused.map(|answer| answer.unwrap_err().field());
            assert_eq!(fields, ["out_s_per_block", "in_s_per_block"]);
        }
        assert!(KvSwap::new(Blocks(0), 0.0, 1.0).is_ok());
    }
}
