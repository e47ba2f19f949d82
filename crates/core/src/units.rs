//! The words everything else is said in: time, tokens, bytes, blocks and milli-GPUs.
//!
//! Each is an integer with a name, so that a count of tokens cannot be handed over where a count
//! of blocks is meant. Layout is that of the integer (`repr(transparent)`), so arrays of them
//! cross a C boundary as they are. Arithmetic saturates by name (`saturating_*`) or is checked.

/// Nanoseconds in one second.
const NANOS_PER_SECOND: f64 = 1e9;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "document", serde(transparent))]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The largest value.
            pub const MAX: Self = Self(<$inner>::MAX);

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }

            /// Sum, or the largest value where the sum would not fit.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// Difference, or zero where `other` is larger.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// Sum, or `None` where it would not fit.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit! {
    /// A point on the host's monotonic clock, or a span of it, in nanoseconds.
    ///
    /// The origin is the host's; one desk must see one clock only. 64 bits last 584 years.
    Nanos(u64)
}
unit! {
    /// A number of tokens (prompt, output, or the budget of a step).
    Tokens(u32)
}
unit! {
    /// A number of bytes of device or host memory.
    Bytes(u64)
}
unit! {
    /// A number of KV-cache blocks, each holding a fixed number of tokens.
    Blocks(u32)
}
unit! {
    /// Thousandths of a GPU; 1,000 is a whole device.
    MilliGpu(u32)
}

impl Nanos {
    /// From seconds. NaN and negative become zero, too large becomes [`Nanos::MAX`]: use
    /// [`Nanos::try_from_seconds`] for numbers that come from outside.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Self {
        Self(libm::round(seconds * NANOS_PER_SECOND) as u64)
    }

    /// From seconds, or `None` for NaN, negative, infinite or too large a number.
    #[must_use]
    pub fn try_from_seconds(seconds: f64) -> Option<Self> {
        let nanos = libm::round(seconds * NANOS_PER_SECOND);
        // 2^64 as f64: the first value that does not fit.
        (0.0..18_446_744_073_709_551_616.0).contains(&nanos).then_some(Self(nanos as u64))
    }

    /// From milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// As seconds. Exact to one nanosecond for spans under 104 days (2^53 ns).
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND
    }

    /// `self + seconds`, where negative seconds go back in time; saturating at both ends.
    #[must_use]
    pub fn offset_seconds(self, seconds: f64) -> Self {
        if seconds >= 0.0 {
            self.saturating_add(Self::from_seconds(seconds))
        } else {
            self.saturating_sub(Self::from_seconds(-seconds))
        }
    }
}

impl Tokens {
    /// Blocks needed to hold this many tokens, rounded up. Of blocks that hold nothing, no number
    /// is enough: [`Blocks::MAX`], unless there are no tokens.
    #[must_use]
    pub const fn blocks(self, block_tokens: u32) -> Blocks {
        match (self.0, block_tokens) {
            (0, _) => Blocks::ZERO,
            (_, 0) => Blocks::MAX,
            (tokens, each) => Blocks(tokens.div_ceil(each)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_refuse_what_is_not_a_time() {
        for bad in [f64::NAN, -1e-9, f64::INFINITY, f64::NEG_INFINITY, 2e10] {
            assert_eq!(Nanos::try_from_seconds(bad), None, "{bad}");
        }
        assert_eq!(Nanos::try_from_seconds(1.5), Some(Nanos(1_500_000_000)));
        assert_eq!(Nanos::try_from_seconds(-0.0), Some(Nanos::ZERO));
    }

    #[test]
    fn offsets_saturate_at_both_ends() {
        assert_eq!(Nanos(5).offset_seconds(-1.0), Nanos::ZERO);
        assert_eq!(Nanos::MAX.offset_seconds(1.0), Nanos::MAX);
        assert_eq!(Nanos(5).offset_seconds(1e-9), Nanos(6));
    }

    #[test]
    fn blocks_round_up() {
        assert_eq!(Tokens(0).blocks(16), Blocks(0));
        assert_eq!(Tokens(1).blocks(16), Blocks(1));
        assert_eq!(Tokens(16).blocks(16), Blocks(1));
        assert_eq!(Tokens(17).blocks(16), Blocks(2));
        assert_eq!(Tokens::MAX.blocks(1), Blocks::MAX);
        assert_eq!((Tokens(0).blocks(0), Tokens(1).blocks(0)), (Blocks(0), Blocks::MAX));
    }
}
