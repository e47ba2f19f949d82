//! Who chooses the node.

use std::fmt;

use rampmeter::policy::{Measure, Policy};

use super::{GANG_RATIO, NEIGHBOUR_RATIO, SHARER_RATIO};

/// A rule that chooses nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// A rule that knows no price: it looks at what is left of nodes alone.
    Fixed(Measure),
    /// Prices in delay with this shadow price of a GPU, whatever happens.
    Pinned(f64),
    /// Prices in delay, with the shadow price as observed, and this measure of what is stranded.
    Priced(Measure),
}

impl Placement {
    /// The library's own.
    pub const RAMPMETER: Self = Self::Priced(Measure::Value);

    /// All of them, the library's last.
    pub const ALL: [Self; 9] = [
        Self::Fixed(Measure::Random),
        Self::Fixed(Measure::BestFit),
        Self::Fixed(Measure::Spread),
        Self::Fixed(Measure::Packing),
        Self::Fixed(Measure::Fgd),
        Self::Pinned(0.0),
        Self::Pinned(1.0),
        Self::Priced(Measure::Fgd),
        Self::RAMPMETER,
    ];

    /// The policy that a placer is made with, where neighbours slow each other down or do not.
    pub(super) fn policy(self, has_interference: bool) -> Policy {
        let mut policy = Policy::default();
        let rules = &mut policy.placement;
        rules.order = rampmeter::policy::PendingOrder::Arrival;
        match self {
            Self::Fixed(measure) => {
                (rules.measure, rules.shadow_price, rules.interference_weight) =
                    (measure, 1.0, 0.0);
            }
            Self::Pinned(shadow_price) => rules.shadow_price = shadow_price,
            Self::Priced(measure) => (rules.measure, rules.shadow_price) = (measure, 0.0),
        }
        if has_interference {
            rules.interference_sharer_ratio = SHARER_RATIO;
            rules.interference_neighbour_ratio = NEIGHBOUR_RATIO;
            rules.interference_gang_ratio = GANG_RATIO;
        }
        policy
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(Measure::Spread) => f.pad("worst fit"),
            Self::Fixed(measure) => f.pad(&Measure::NAMES[*measure as usize].replace('_', " ")),
            Self::Pinned(shadow_price) => f.pad(&format!("pinned pi = {shadow_price}")),
            Self::Priced(Measure::Value) => f.pad("rampmeter"),
            Self::Priced(measure) => {
                let name = Measure::NAMES[*measure as usize].replace('_', " ");
                f.pad(&format!("{name}, pi observed"))
            }
        }
    }
}
