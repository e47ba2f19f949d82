//! Answers that say how sure they are.

/// What an answer was made from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Basis {
    /// Formulas, from measured rates and variabilities.
    #[default]
    Model,
    /// The requests that came, tried out at other loads.
    Rehearsed,
    /// Waits that were observed, and nothing else: it holds for the load that there was.
    Observed,
}

/// A number, and between which it lies nine times out of ten.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The likeliest.
    pub value: f64,
    /// Lower end: less in one case out of twenty.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// What weighed most in it.
    pub basis: Basis,
    /// Requests that it rests on.
    pub samples: u64,
}

/// An estimate, or how much is missing for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// This is known.
    Known(Estimate),
    /// Too few requests were seen to say anything.
    NotEnoughData {
        /// Requests seen.
        samples: u64,
        /// Requests that are needed.
        needed: u64,
    },
}

impl Answer {
    /// The estimate, if there is one.
    #[must_use]
    pub const fn known(self) -> Option<Estimate> {
        match self {
            Self::Known(estimate) => Some(estimate),
            Self::NotEnoughData { .. } => None,
        }
    }

    /// The same answer about something else, which grows with it.
    #[must_use]
    pub(super) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Known(Estimate { value, low, high, basis, samples }) => {
                let [value, low, high] = [value, low, high].map(change);
                Self::Known(Estimate { value, low, high, basis, samples })
            }
            missing @ Self::NotEnoughData { .. } => missing,
        }
    }
}
