//! One reading: a value with its age, or why there is none.

use rampmeter::Nanos;

use crate::call::Call;

/// What came of asking for a value. What could not be read is never replaced by a zero.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reading<T> {
    /// It was read.
    Ok {
        /// What was read.
        value: T,
        /// How long before [`taken_at`](crate::Snapshot::taken_at) of its snapshot. A reader adds
        /// the age of the snapshot itself ([`Reading::fresh`]).
        age: Nanos,
    },
    /// This device, driver or backend does not tell it.
    #[default]
    Unsupported,
    /// It may be told, but not to this process.
    Denied,
    /// The call failed.
    Failed {
        /// Which one.
        call: Call,
        /// Its status, as the driver numbers them. 0: it claimed to succeed and gave an answer
        /// that cannot be.
        code: u32,
    },
}

impl<T> Reading<T> {
    /// A value just read.
    #[must_use]
    pub const fn now(value: T) -> Self {
        Self::Ok { value, age: Nanos(0) }
    }

    /// The value, however old.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Ok { value, .. } => Some(value),
            Self::Unsupported | Self::Denied | Self::Failed { .. } => None,
        }
    }

    /// The value, if it is at most this old for a reader that holds a snapshot of this age.
    #[must_use]
    pub fn fresh(&self, snapshot_age: Nanos, age_max: Nanos) -> Option<&T> {
        match self {
            Self::Ok { value, age } if age.saturating_add(snapshot_age) <= age_max => Some(value),
            _ => None,
        }
    }

    /// The same reading of something made of the value.
    #[must_use]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Ok { value, age } => Reading::Ok { value: f(value), age },
            Self::Unsupported => Reading::Unsupported,
            Self::Denied => Reading::Denied,
            Self::Failed { call, code } => Reading::Failed { call, code },
        }
    }

    /// This much time has passed.
    pub(crate) fn advance(&mut self, by: Nanos) {
        if let Self::Ok { age, .. } = self {
            *age = age.saturating_add(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_add_up_and_saturate() {
        let mut reading = Reading::now(7_u32);
        reading.advance(Nanos(5));
        assert_eq!(reading, Reading::Ok { value: 7, age: Nanos(5) });
        assert_eq!(reading.fresh(Nanos(5), Nanos(10)), Some(&7));
        assert_eq!(reading.fresh(Nanos(6), Nanos(10)), None);
        reading.advance(Nanos::MAX);
        assert_eq!(reading.map(u64::from), Reading::Ok { value: 7, age: Nanos::MAX });
        let mut none = Reading::<u32>::Failed { call: Call::INIT, code: 999 };
        none.advance(Nanos(1));
        assert_eq!((none.value(), none.fresh(Nanos(0), Nanos::MAX)), (None, None));
    }
}
