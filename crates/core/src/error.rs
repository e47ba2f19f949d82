//! One error type for wrong calls, with codes that never change their meaning.
//!
//! A *decision* is never an error: holding, shedding or "nothing to do" are `Ok`. An error says
//! that the call itself was wrong, names the field, the value and the range, and guarantees that
//! nothing was changed.

pub mod codes;

/// Why a call was refused. State is untouched whenever one of these is returned.
///
/// `Copy` and at most 56 bytes: it travels by value, without a heap.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An integer field is outside its range.
    #[error("`{field}` = {value} is outside {min}..={max}")]
    Range {
        /// Name of the field as it stands in the options or the call.
        field: &'static str,
        /// The value that was given.
        value: u64,
        /// Smallest value accepted.
        min: u64,
        /// Largest value accepted.
        max: u64,
    },
    /// A fractional field is outside its range, or is not a number.
    #[error("`{field}` = {} is outside {}..={}", Real(*value), Real(*min), Real(*max))]
    RangeReal {
        /// Name of the field as it stands in the options or the call.
        field: &'static str,
        /// The value that was given; may be NaN.
        value: f64,
        /// Smallest value accepted.
        min: f64,
        /// Largest value accepted.
        max: f64,
    },
    /// The handle was never issued, or what it named has ended.
    #[error("`{field}` = {handle:#x} is unknown or has ended")]
    Stale {
        /// Name of the argument.
        field: &'static str,
        /// The handle that was given.
        handle: u64,
    },
    /// `now` is earlier than in an earlier call on the same desk.
    #[error("time went backwards: `now_ns` = {now_ns} after {last_ns}")]
    TimeReversed {
        /// The time that was given.
        now_ns: u64,
        /// The latest time seen before.
        last_ns: u64,
    },
    /// A fixed capacity is used up. Nothing grows after construction.
    #[error("`{field}` is full: all {capacity} in use")]
    Full {
        /// The limit that was reached.
        field: &'static str,
        /// Its value.
        capacity: u64,
    },
    /// An array lent by the caller is too short for the answer.
    #[error("`{field}` holds {given} elements, {needed} are needed")]
    BufferTooSmall {
        /// The array.
        field: &'static str,
        /// Elements it has.
        given: u64,
        /// Elements it must have.
        needed: u64,
    },
    /// Two values in one call contradict each other.
    #[error("`{field}` = {value} contradicts `{other}` = {other_value}")]
    Contradiction {
        /// The field that is wrong given the other.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The field it contradicts.
        other: &'static str,
        /// That field's value.
        other_value: u64,
    },
    /// An entry of a list names another one that does not stand before it.
    #[error("`{field}` of entry {index} names nothing that stands before it")]
    Unknown {
        /// The field that names another entry.
        field: &'static str,
        /// Place of the entry, counted from 0.
        index: u64,
    },
    /// Bytes that are no snapshot of this desk, or cannot be believed.
    #[error("the snapshot is refused at byte {offset}: {fault}")]
    Snapshot {
        /// What is wrong.
        fault: SnapshotFault,
        /// Where, in bytes from its beginning.
        offset: u64,
    },
    /// Two entries of one list carry the same name.
    #[error("`{field}` of entry {index} repeats that of entry {first_index}")]
    Duplicate {
        /// The field that must be unique.
        field: &'static str,
        /// Place of the later entry, counted from 0.
        index: u64,
        /// Place of the entry that already has the name.
        first_index: u64,
    },
}

/// What is wrong with the bytes of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotFault {
    /// They do not begin as one.
    #[error("it is no snapshot of rampmeter")]
    NoSnapshot,
    /// They end before it does.
    #[error("it is cut short")]
    Truncated,
    /// It is one of another desk.
    #[error("it is of another desk")]
    OtherDesk,
    /// Its state is written in another form.
    #[error("it was written by another version")]
    OtherVersion,
    /// Something was changed since it was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// It was taken with other capacities than those of the desk that is to be restored.
    #[error("it was taken with other capacities")]
    OtherCapacity,
    /// Its parts contradict each other.
    #[error("its content contradicts itself")]
    Contradiction,
}

const _: () = assert!(core::mem::size_of::<Error>() <= 56);

/// A fraction as people write it: with an exponent where it would else have hundreds of digits.
struct Real(f64);

impl core::fmt::Display for Real {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // The bounds between which `f64` itself is printed without an exponent by `{:?}`.
        let plain = self.0 == 0.0 || (1e-5..1e16).contains(&self.0.abs()) || !self.0.is_finite();
        if plain { self.0.fmt(f) } else { core::fmt::LowerExp::fmt(&self.0, f) }
    }
}

impl Error {
    /// The stable number of this kind of error, one of [`codes`]: the same in Rust, C and Python.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Range { .. } => codes::RANGE,
            Self::RangeReal { .. } => codes::RANGE_REAL,
            Self::Stale { .. } => codes::STALE,
            Self::TimeReversed { .. } => codes::TIME_REVERSED,
            Self::Full { .. } => codes::FULL,
            Self::BufferTooSmall { .. } => codes::BUFFER_TOO_SMALL,
            Self::Contradiction { .. } => codes::CONTRADICTION,
            Self::Duplicate { .. } => codes::DUPLICATE,
            Self::Unknown { .. } => codes::UNKNOWN,
            Self::Snapshot { .. } => codes::SNAPSHOT,
        }
    }

    /// The field, handle or limit that the error is about.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Range { field, .. }
            | Self::RangeReal { field, .. }
            | Self::Stale { field, .. }
            | Self::Full { field, .. }
            | Self::BufferTooSmall { field, .. }
            | Self::Contradiction { field, .. }
            | Self::Duplicate { field, .. }
            | Self::Unknown { field, .. } => field,
            Self::TimeReversed { .. } => "now_ns",
            Self::Snapshot { .. } => "snapshot",
        }
    }
}

/// `Ok(value)` if it lies in `min..=max`, else [`Error::Range`].
///
/// # Errors
/// [`Error::Range`], naming `field`.
pub fn check_range(field: &'static str, value: u64, min: u64, max: u64) -> Result<u64, Error> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(Error::Range { field, value, min, max })
    }
}

/// `Ok(value)` if it is a number in `min..=max`, else [`Error::RangeReal`].
///
/// # Errors
/// [`Error::RangeReal`], naming `field`; NaN is outside every range.
pub fn check_real(field: &'static str, value: f64, min: f64, max: f64) -> Result<f64, Error> {
    if value >= min && value <= max {
        Ok(value)
    } else {
        Err(Error::RangeReal { field, value, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn messages_name_field_value_and_range() {
        let error = check_range("seats", 0, 1, 512).unwrap_err();
        assert_eq!(error.to_string(), "`seats` = 0 is outside 1..=512");
        assert_eq!((error.code(), error.field()), (-1, "seats"));
        let error = check_real("weight", f64::NAN, 0.001, 1000.0).unwrap_err();
        assert_eq!(error.to_string(), "`weight` = NaN is outside 0.001..=1000");
        let error = check_real("credit", -f64::MAX, f64::MIN_POSITIVE, 1e16).unwrap_err();
        let text = "`credit` = -1.7976931348623157e308 is outside 2.2250738585072014e-308..=1e16";
        assert_eq!(error.to_string(), text);
        let error = check_real("x", f64::INFINITY, 0.0, 1e-5).unwrap_err();
        assert_eq!(error.to_string(), "`x` = inf is outside 0..=0.00001");
    }

    #[test]
    fn ranges_include_both_ends() {
        assert_eq!(check_range("x", 1, 1, 3), Ok(1));
        assert_eq!(check_range("x", 3, 1, 3), Ok(3));
        assert!(check_range("x", 4, 1, 3).is_err());
        assert_eq!(check_real("x", 0.5, 0.5, 1.0), Ok(0.5));
        assert!(check_real("x", f64::INFINITY, 0.0, f64::MAX).is_err());
    }
}
