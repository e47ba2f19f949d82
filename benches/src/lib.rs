//! Benchmarks of rampmeter: `make bench` and `make instructions`; see `docs/guides/benchmarks.md`.
//!
//! The benches beside this library measure; what they share is here. [`desk`] is all that knows
//! how the batch desk is called, [`peer`] is the simple scheduler that it is compared with,
//! [`grid`] says at which sizes and against which budgets; [`replicas`], [`entrance`] and [`spots`]
//! are the same for routing and admission; [`instructions`] holds counts against the committed
//! baseline, and [`table`] prints what was measured.

pub mod cluster;
pub mod desk;
pub mod entrance;
pub mod grid;
pub mod instructions;
pub mod peer;
pub mod queue;
pub mod replicas;
pub mod spots;
pub mod table;

/// splitmix64: the same numbers on every platform and release.
#[derive(Clone, Debug)]
pub struct Prng(pub u64);

impl Prng {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit.max(1)
    }

    /// True in `percent` of 100 draws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
