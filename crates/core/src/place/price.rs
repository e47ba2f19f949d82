//! What a placement costs, in seconds of delay.

use crate::error::Error;
use crate::snapshot::Words;

/// The price of a placement, part by part, each in seconds of delay times what the class's delay is
/// worth. A negative part is a gain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Price {
    /// GPUs that it makes unusable for the task mix, for as long as they stay so.
    pub stranding_s: f64,
    /// Loading what is not there yet.
    pub warm_up_s: f64,
    /// Run time lost on slow links.
    pub link_s: f64,
    /// Slowing others down, and being slowed down, less what the average tenant of the place
    /// would cost.
    pub interference_s: f64,
    /// Standing where replicas of the same group stand already.
    pub crowding_s: f64,
    /// Work that victims lose.
    pub lost_work_s: f64,
}

impl Price {
    /// All of it.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.stranding_s
            + self.warm_up_s
            + self.link_s
            + self.interference_s
            + self.crowding_s
            + self.lost_work_s
    }

    /// Part by part, both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            stranding_s: self.stranding_s + other.stranding_s,
            warm_up_s: self.warm_up_s + other.warm_up_s,
            link_s: self.link_s + other.link_s,
            interference_s: self.interference_s + other.interference_s,
            crowding_s: self.crowding_s + other.crowding_s,
            lost_work_s: self.lost_work_s + other.lost_work_s,
        }
    }

    /// Part by part, what it is worth to be rid of it.
    #[must_use]
    pub(super) fn bought_back(&self) -> Self {
        Self {
            stranding_s: -self.stranding_s,
            warm_up_s: -self.warm_up_s,
            link_s: -self.link_s,
            interference_s: -self.interference_s,
            crowding_s: -self.crowding_s,
            lost_work_s: -self.lost_work_s,
        }
    }

    /// Tells itself as 6 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { stranding_s, warm_up_s, link_s, interference_s, crowding_s, lost_work_s } = self;
        for part in [stranding_s, warm_up_s, link_s, interference_s, crowding_s, lost_work_s] {
            save(part.to_bits());
        }
    }

    /// Takes what was told. It may be any numbers: nothing is decided by what was paid.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let mut part = || words.next().map(f64::from_bits);
        Ok(Self {
            stranding_s: part()?,
            warm_up_s: part()?,
            link_s: part()?,
            interference_s: part()?,
            crowding_s: part()?,
            lost_work_s: part()?,
        })
    }
}
