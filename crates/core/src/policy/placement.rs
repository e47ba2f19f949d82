//! What placement goes by.

use crate::units::Nanos;

/// What a placement makes unusable, or which other rule chooses the node.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Measure {
    /// Opportunity cost: what the node could still have earned from the task mix.
    #[default]
    Value,
    /// Fragmentation gradient descent (FGD, ATC'23).
    Fgd,
    /// The node with the least left.
    BestFit,
    /// The node with the smallest product of what is free and what is asked for.
    DotProduct,
    /// Devices in use first, then nodes in use.
    Packing,
    /// Nodes that run tasks of the same shape first.
    Clustering,
    /// Any node, by a fixed scattering of task and node.
    Random,
    /// The node with the most left.
    Spread,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 8] = [
        Self::Value,
        Self::Fgd,
        Self::BestFit,
        Self::DotProduct,
        Self::Packing,
        Self::Clustering,
        Self::Random,
        Self::Spread,
    ];

    /// The words for them in a document, in the order of [`Measure::ALL`].
    pub const NAMES: [&'static str; 8] =
        ["value", "fgd", "best_fit", "dot_product", "packing", "clustering", "random", "spread"];
}

/// By what shapes of task count in the mix that is learned.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum MixWeight {
    /// GPU-seconds demanded: what counts where tasks end.
    #[default]
    GpuTime,
    /// Arrivals: what counts where none ends.
    Arrivals,
}

impl MixWeight {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::GpuTime, Self::Arrivals];

    /// The words for them in a document, in the order of [`MixWeight::ALL`].
    pub const NAMES: [&'static str; 2] = ["gpu_time", "arrivals"];
}

/// What may start while somebody before it waits for room.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Backfill {
    /// Nothing: whoever does not fit holds up all behind it.
    None,
    /// What does not delay the first that waits.
    #[default]
    Easy,
    /// What delays nobody with a reservation, of whom there are up to `reservations_max`.
    Conservative,
}

impl Backfill {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::None, Self::Easy, Self::Conservative];

    /// The words for them in a document, in the order of [`Backfill::ALL`].
    pub const NAMES: [&'static str; 3] = ["none", "easy", "conservative"];
}

/// In what order pending tasks are looked at.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PendingOrder {
    /// By account, the one furthest below its dominant share first; then by priority and arrival.
    #[default]
    DominantShare,
    /// By account, ranked by past usage (Fair Tree); then by priority and arrival.
    FairTree,
    /// By priority and arrival, whoever asks.
    Arrival,
}

impl PendingOrder {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::DominantShare, Self::FairTree, Self::Arrival];

    /// The words for them in a document, in the order of [`PendingOrder::ALL`].
    pub const NAMES: [&'static str; 3] = ["dominant_share", "fair_tree", "arrival"];
}

/// What placement goes by. Weights are exchange rates: 1 is the honest one, 0 ignores the price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacementRules {
    /// What a placement makes unusable, or which other rule chooses the node.
    pub measure: Measure,
    /// By what shapes of task count in the mix that is learned.
    pub mix_weight: MixWeight,
    /// Shadow price of a GPU, in value-seconds of waiting for a GPU-second lost, until
    /// the host says another one.
    pub shadow_price: f64,
    /// How long what is stranded stays stranded: the mean run time of the long class. Zero:
    /// learned, as the mean run time weighted by GPU-seconds of what was placed.
    pub holding: Nanos,
    /// Weight of what a placement strands.
    pub stranding_weight: f64,
    /// Weight of loading what is not there yet.
    pub warm_up_weight: f64,
    /// Weight of run time lost on slow links.
    pub link_weight: f64,
    /// Weight of slowing each other down.
    pub interference_weight: f64,
    /// Weight of work that victims lose.
    pub lost_work_weight: f64,
    /// Share of the run time that a task loses for each other one on the same device.
    pub interference_sharer_ratio: f64,
    /// Share of the run time that a task loses for each other one on the node that holds one whole
    /// device.
    pub interference_neighbour_ratio: f64,
    /// Share of the run time that a task loses for each other one on the node that holds several
    /// whole devices.
    pub interference_gang_ratio: f64,
    /// In what order pending tasks are looked at.
    pub order: PendingOrder,
    /// What may start while somebody before it waits for room.
    pub backfill: Backfill,
    /// Reservations that may be held at once; with `Backfill::Easy` one is.
    pub reservations_max: u32,
    /// Pending tasks that one cycle may look at; 0: all.
    pub cycle_tasks_max: u32,
    /// Earliest starts that one cycle may work out, and searches for tasks that could end for others.
    pub cycle_replays_max: u32,
    /// Times that one task may be made to end for others before it is spared.
    pub preemptions_max: u32,
}

impl Default for PlacementRules {
    fn default() -> Self {
        Self {
            measure: Measure::Value,
            mix_weight: MixWeight::GpuTime,
            shadow_price: 1.0,
            holding: Nanos::ZERO,
            stranding_weight: 1.0,
            warm_up_weight: 1.0,
            link_weight: 1.0,
            interference_weight: 1.0,
            lost_work_weight: 1.0,
            interference_sharer_ratio: 0.0,
            interference_neighbour_ratio: 0.0,
            interference_gang_ratio: 0.0,
            order: PendingOrder::DominantShare,
            backfill: Backfill::Easy,
            reservations_max: 64,
            cycle_tasks_max: 0,
            cycle_replays_max: 8,
            preemptions_max: 3,
        }
    }
}
