//! Rows of `[placement]`.
//!
//! "The prototype" in the rows below is a simulation of 121 nodes of a production trace (588 GPUs,
//! 3.5 days, EASY backfill), loads 0.5 to 1.05, five seeds; its figures are value-weighted mean
//! delays.

use crate::policy::field::{Access, Field};
use crate::policy::{Backfill, Measure, MixWeight, PendingOrder, PlacementRules};
use crate::units::Nanos;

/// Longest time that a hole can be said to last, in seconds: a year of 365 days, as for crowding.
const HOLDING_MAX_S: f64 = 31_536_000.0;

/// Highest shadow price, in value-seconds per GPU-second: 1,000 waiting for each GPU, at twenty
/// times for a full cluster, each worth 50 times an interactive user, is this.
const SHADOW_PRICE_MAX: f64 = 1e6;

/// Largest weight of a price: far beyond where it alone decides.
const WEIGHT_MAX: f64 = 1000.0;

/// Most pending tasks that can be known, 2^24.
const TASKS_MAX: u64 = 1 << 24;

/// Most reservations held at once: eight times the jobs that Slurm's backfill tests by default.
const RESERVATIONS_MAX: u64 = 4096;

/// `[placement]`.
pub(crate) static PLACEMENT: [Field<PlacementRules>; 18] = [
    Field {
        path: "placement.measure",
        unit: "name",
        access: Access::Word {
            words: &Measure::NAMES,
            get: |rules| rules.measure as usize,
            set: |rules, place| rules.measure = Measure::ALL[place],
        },
        about: "What a placement makes unusable, or which other rule chooses the node: opportunity \
                cost (`value`), the fragmentation gradient (`fgd`), or what simpler schedulers go by.",
        why: "`value`: on eight task lists of a production trace it allocated more than any other, \
              95.06% of all GPUs on average against 94.33% for `fgd`.",
    },
    Field {
        path: "placement.mix_weight",
        unit: "name",
        access: Access::Word {
            words: &MixWeight::NAMES,
            get: |rules| rules.mix_weight as usize,
            set: |rules, place| rules.mix_weight = MixWeight::ALL[place],
        },
        about: "By what shapes of task count in the mix that is learned: GPU-seconds demanded \
                (`gpu_time`) or `arrivals`.",
        why: "`gpu_time`: where tasks end, what holds GPUs for long is what holes must be kept for; \
              in the prototype counting arrivals cost 4 s more at load 1. Arrivals count where no \
              task ends.",
    },
    Field {
        path: "placement.shadow_price",
        unit: "value-seconds per GPU-second",
        access: Access::Real {
            min: 0.0,
            max: SHADOW_PRICE_MAX,
            get: |rules| rules.shadow_price,
            set: |rules, value| rules.shadow_price = value,
        },
        about: "What losing a GPU for a second costs in seconds of delay times what delay is worth, \
                until the program says what it has become.",
        why: "1: as if one interactive user waited for each GPU, which in the prototype was the best \
              fixed price for a busy cluster. Observed prices were within 1.1 s of the best at every \
              load, a fixed 1 within 10.7 s. To 10^6, 1,000 waiting for each GPU of a full cluster.",
    },
    Field {
        path: "placement.holding_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.0,
            max: HOLDING_MAX_S,
            get: |rules| rules.holding.as_seconds(),
            set: |rules, value| rules.holding = Nanos::from_seconds(value),
        },
        about: "How long what is stranded stays stranded: the mean run time of the long class. 0: \
                learned, as the mean run time weighted by GPU-seconds of what was placed.",
        why: "0: programs rarely know it. A hole outlives the task that made it, since others follow \
              that one; with each task's own run time instead the prototype lost 23 s at load 1.05. \
              To a year.",
    },
    weight(
        "placement.stranding_weight",
        "Weight of what a placement strands.",
        "1: a second is a second. 0 where packing does not matter. To 1000, where nothing else \
         decides.",
        (|rules| rules.stranding_weight, |rules, value| rules.stranding_weight = value),
    ),
    weight(
        "placement.warm_up_weight",
        "Weight of loading what is not there yet.",
        "1: a second of loading is a second of delay. To 1000, where nothing else decides.",
        (|rules| rules.warm_up_weight, |rules, value| rules.warm_up_weight = value),
    ),
    weight(
        "placement.link_weight",
        "Weight of run time lost on slow links.",
        "1: a second of run time lost is a second of delay. To 1000, where nothing else decides.",
        (|rules| rules.link_weight, |rules, value| rules.link_weight = value),
    ),
    weight(
        "placement.interference_weight",
        "Weight of slowing others down, and of being slowed down.",
        "1: their seconds count as one's own, times what they are worth. To 1000, where nothing \
         else decides.",
        (|rules| rules.interference_weight, |rules, value| rules.interference_weight = value),
    ),
    weight(
        "placement.lost_work_weight",
        "Weight of work that victims lose when they are made to end for others.",
        "1: a second of work done twice is a second of delay. To 1000, where hardly anything is \
         worth a victim.",
        (|rules| rules.lost_work_weight, |rules, value| rules.lost_work_weight = value),
    ),
    interference(
        "placement.interference_sharer_ratio",
        "Share of the run time that a task loses for each other one on the same device.",
        "0: nothing is assumed about programs nobody has measured; the prototype took 0.05. To 1, \
         where two that take turns each take twice as long.",
        (
            |rules| rules.interference_sharer_ratio,
            |rules, value| rules.interference_sharer_ratio = value,
        ),
    ),
    interference(
        "placement.interference_neighbour_ratio",
        "Share of the run time that a task loses for each other one on the node that holds one whole \
         device.",
        "0: as above; the prototype took 0.01. To 1, as above.",
        (
            |rules| rules.interference_neighbour_ratio,
            |rules, value| rules.interference_neighbour_ratio = value,
        ),
    ),
    interference(
        "placement.interference_gang_ratio",
        "Share of the run time that a task loses for each other one on the node that holds several \
         whole devices.",
        "0: as above; the prototype took 0.03, for what such tasks do to the links of a node. To 1, \
         as above.",
        (
            |rules| rules.interference_gang_ratio,
            |rules, value| rules.interference_gang_ratio = value,
        ),
    ),
    Field {
        path: "placement.order",
        unit: "name",
        access: Access::Word {
            words: &PendingOrder::NAMES,
            get: |rules| rules.order as usize,
            set: |rules, place| rules.order = PendingOrder::ALL[place],
        },
        about: "In what order pending tasks are looked at: the account furthest below its dominant \
                share first, or by past usage (`fair_tree`), each then by priority and arrival; or \
                by priority and `arrival` alone.",
        why: "`dominant_share`: what accounts hold is known, what they used before need not be.",
    },
    Field {
        path: "placement.backfill",
        unit: "name",
        access: Access::Word {
            words: &Backfill::NAMES,
            get: |rules| rules.backfill as usize,
            set: |rules, place| rules.backfill = Backfill::ALL[place],
        },
        about: "What may start while somebody before it waits for room: nothing (`none`), what does \
                not delay the first that waits (`easy`), or what delays nobody with a reservation \
                (`conservative`).",
        why: "`easy`: one reservation fills most holes and is cheap to keep (Lifka, JSSPP'95).",
    },
    Field {
        path: "placement.reservations_max",
        unit: "reservations",
        access: Access::Integer {
            min: 1,
            max: RESERVATIONS_MAX,
            get: |rules| rules.reservations_max.into(),
            set: |rules, value| rules.reservations_max = value as u32,
        },
        about: "Reservations that may be held at once with `conservative` backfill; with `easy` one \
                is.",
        why: "64: each is looked at for every task that would go before it, and those far behind \
              move with every end of a task. To 4,096, eight times what Slurm tests by default.",
    },
    Field {
        path: "placement.cycle_tasks_max",
        unit: "tasks",
        access: Access::Integer {
            min: 0,
            max: TASKS_MAX,
            get: |rules| rules.cycle_tasks_max.into(),
            set: |rules, value| rules.cycle_tasks_max = value as u32,
        },
        about: "Pending tasks that one cycle may look at. 0: all.",
        why: "0: whoever waits is looked at; a program that must be quick says how quick. To 2^24, \
              the most that can be known.",
    },
    Field {
        path: "placement.cycle_replays_max",
        unit: "times",
        access: Access::Integer {
            min: 1,
            max: TASKS_MAX,
            get: |rules| rules.cycle_replays_max.into(),
            set: |rules, value| rules.cycle_replays_max = value as u32,
        },
        about: "Earliest starts that one cycle may work out, and searches for tasks that could end \
                for others. The next cycle goes on.",
        why: "8: each takes about a millisecond at 1,213 nodes with thousands of running tasks, and a \
              whole cycle should take 20. To 2^24, as many as tasks.",
    },
    Field {
        path: "placement.preemptions_max",
        unit: "times",
        access: Access::Integer {
            min: 0,
            max: 64,
            get: |rules| rules.preemptions_max.into(),
            set: |rules, value| rules.preemptions_max = value as u32,
        },
        about: "Times that one task may be made to end for others before it is spared.",
        why: "3: such a task has begun four times, and a fourth end would more likely repeat \
              than help. To 64, as `batch.preemptions_max`.",
    },
];

/// How to read a number of the rules, and how to change it.
type Number = (fn(&PlacementRules) -> f64, fn(&mut PlacementRules, f64));

const fn weight(
    path: &'static str,
    about: &'static str,
    why: &'static str,
    (get, set): Number,
) -> Field<PlacementRules> {
    let access = Access::Real { min: 0.0, max: WEIGHT_MAX, get, set };
    Field { path, unit: "seconds per second", access, about, why }
}

const fn interference(
    path: &'static str,
    about: &'static str,
    why: &'static str,
    (get, set): Number,
) -> Field<PlacementRules> {
    let access = Access::Real { min: 0.0, max: 1.0, get, set };
    Field { path, unit: "share of the run time", access, about, why }
}
