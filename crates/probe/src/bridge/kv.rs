//! Free memory as blocks of a KV cache.
//!
//! # Formula
//! ```text
//! bytes_per_token = 2 * layers * heads_here * head_size * bytes_per_value      keys and values
//! heads_here      = ceil(kv_heads / tensor_parallel)                           at least one each
//! blocks          = min over devices floor((free - keep_free) / (bytes_per_token * block_tokens))
//! ```
//! `free` is what the driver says can still be had: the engine's weights are to be loaded before, and
//! what its steps need beside the cache is `keep_free`.
//!
//! # What it is bad at
//! Memory that is free now can be taken by another process a moment later: what an engine has
//! allocated counts, and goes to the batcher as such.

use rampmeter::engine::KvGeometry;
use rampmeter::{Blocks, Bytes, Error, Nanos};

use crate::snapshot::Snapshot;

/// The part of a model's KV that one device holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KvShape {
    /// Layers with attention.
    pub layers: u32,
    /// Heads of keys (and of values) in each.
    pub kv_heads: u32,
    /// Values of a head.
    pub head_size: u32,
    /// Bytes of a value: 2 for bf16, 1 for fp8.
    pub bytes_per_value: u32,
    /// Devices that share every layer.
    pub tensor_parallel: u32,
}

impl KvShape {
    /// Bytes that one token takes on each device; saturating.
    #[must_use]
    pub const fn bytes_per_token(&self) -> Bytes {
        let shared = if self.tensor_parallel == 0 { 1 } else { self.tensor_parallel };
        let heads_here = self.kv_heads.div_ceil(shared) as u64;
        let per_layer = heads_here
            .saturating_mul(self.head_size as u64)
            .saturating_mul(self.bytes_per_value as u64);
        Bytes(per_layer.saturating_mul(2).saturating_mul(self.layers as u64))
    }
}

/// How much of a device's memory may become KV cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KvBudget {
    /// Bytes that a token takes on each device ([`KvShape::bytes_per_token`]); at least 1.
    pub bytes_per_token: Bytes,
    /// Tokens in a block, 1 to 65,536.
    pub block_tokens: u32,
    /// What stays free on each device.
    pub keep_free: Bytes,
    /// Readings that are older say nothing.
    pub age_max: Nanos,
}

/// Why there is no budget.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NoBudget {
    /// The list of devices is empty.
    #[error("no devices are named")]
    NoDevices,
    /// The snapshot does not have this device of the list.
    #[error("device {0} of the list is not there")]
    Unknown(u32),
    /// Its memory was not read, or too long ago.
    #[error("the memory of device {0} of the list is not known, or too old")]
    NotRead(u32),
    /// The numbers give no cache: not a block, or more than there can be.
    #[error(transparent)]
    Geometry(#[from] Error),
}

impl KvBudget {
    /// The cache for which all of these devices (one for each part of the model) have room. O(devices
    /// named times devices).
    ///
    /// # Errors
    /// [`NoBudget`], with the first device that stands in the way.
    pub fn geometry(
        &self,
        now: Nanos,
        snapshot: &Snapshot,
        uuids: &[&str],
    ) -> Result<KvGeometry, NoBudget> {
        let bytes_per_block = self.bytes_per_block()?;
        let mut blocks = None::<u64>;
        for (index, uuid) in uuids.iter().enumerate() {
            let device = snapshot.device(uuid).ok_or(NoBudget::Unknown(index as u32))?;
            let memory = device.memory.fresh(snapshot.age(now), self.age_max);
            let memory = memory.ok_or(NoBudget::NotRead(index as u32))?;
            let here = memory.free.0.saturating_sub(self.keep_free.0) / bytes_per_block;
            blocks = Some(blocks.map_or(here, |least| least.min(here)));
        }
        let blocks = blocks.ok_or(NoBudget::NoDevices)?;
        // More than the core can count is as good as the most that it can.
        let blocks = Blocks(u32::try_from(blocks).unwrap_or(u32::MAX - 1).min(u32::MAX - 1));
        Ok(KvGeometry::new(blocks, self.block_tokens)?)
    }

    fn bytes_per_block(&self) -> Result<u64, Error> {
        let check = |field, value: u64, max| {
            let range = Error::Range { field, value, min: 1, max };
            if (1..=max).contains(&value) { Ok(value) } else { Err(range) }
        };
        let token = check("bytes_per_token", self.bytes_per_token.0, u64::from(u32::MAX))?;
        Ok(token * check("kv_block_tokens", self.block_tokens.into(), 65_536)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Device, Memory};
    use crate::reading::Reading;
    use crate::text::Text;
    use proptest::prelude::*;

    const LLAMA_8B: KvShape =
        KvShape { layers: 32, kv_heads: 8, head_size: 128, bytes_per_value: 2, tensor_parallel: 1 };

    fn machine(free: &[u64]) -> Snapshot {
        let device = |(index, free): (usize, &u64)| Device {
            uuid: Text::new(&format!("GPU-{index}")),
            memory: Reading::now(Memory {
                total: Bytes(u64::MAX - 1),
                free: Bytes(*free),
                ..Memory::default()
            }),
            ..Device::default()
        };
        let devices = free.iter().enumerate().map(device).collect();
        Snapshot { devices, seq: 1, ..Snapshot::default() }
    }

    fn budget(keep_free: u64) -> KvBudget {
        KvBudget {
            bytes_per_token: LLAMA_8B.bytes_per_token(),
            block_tokens: 16,
            keep_free: Bytes(keep_free),
            age_max: Nanos(5),
        }
    }

    #[test]
    fn a_model_takes_what_its_shape_says() {
        assert_eq!(LLAMA_8B.bytes_per_token(), Bytes(131_072));
        let of = |tensor_parallel| KvShape { tensor_parallel, ..LLAMA_8B }.bytes_per_token().0;
        assert_eq!((of(2), of(8), of(16), of(0)), (65_536, 16_384, 16_384, 131_072));
    }

    #[test]
    fn the_device_with_the_least_room_decides() {
        let snapshot = machine(&[40 << 21, 10 << 21, 99 << 21]);
        let geometry = |uuids| budget(3 << 21).geometry(Nanos(5), &snapshot, uuids);
        assert_eq!(geometry(&["GPU-0", "GPU-1"]).unwrap().blocks(), Blocks(7));
        assert_eq!(geometry(&["GPU-0"]).unwrap().blocks(), Blocks(37));
        assert_eq!(geometry(&["GPU-0", "GPU-9"]), Err(NoBudget::Unknown(1)));
        assert_eq!(geometry(&[]), Err(NoBudget::NoDevices));
        let late = budget(0).geometry(Nanos(6), &snapshot, &["GPU-0"]);
        assert_eq!(late, Err(NoBudget::NotRead(0)));
        let none = budget(11 << 21).geometry(Nanos(0), &snapshot, &["GPU-1"]);
        let expected =
            Error::Range { field: "kv_blocks", value: 0, min: 1, max: u64::from(u32::MAX) - 1 };
        assert_eq!(none, Err(NoBudget::Geometry(expected)));
    }

    proptest! {
        /// What is given fits, and a block more would not.
        #[test]
        fn blocks_fit_and_one_more_would_not(
            free in 0_u64..1 << 42, keep_free in 0_u64..1 << 40, token in 1_u64..1 << 20,
            block_tokens in 1_u32..512,
        ) {
            let budget = KvBudget {
                bytes_per_token: Bytes(token), block_tokens, keep_free: Bytes(keep_free),
                age_max: Nanos(0),
            };
            let each = token * u64::from(block_tokens);
            match budget.geometry(Nanos(0), &machine(&[free]), &["GPU-0"]) {
                Ok(geometry) => {
                    let blocks = u64::from(geometry.blocks().get());
                    prop_assert!(blocks * each + keep_free <= free);
                    let full = blocks == u64::from(u32::MAX) - 1;
                    prop_assert!(full || (blocks + 1) * each + keep_free > free);
                }
                Err(_) => prop_assert!(free < keep_free + each),
            }
        }
    }
}
