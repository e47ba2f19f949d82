//! The words that the page explains, and what stands behind its figures.

/// Term, and what it means to somebody who has never met it.
pub(super) const GLOSSARY: &[(&str, &str)] = &[
    (
        "TTFT",
        "Time to first token: from the moment a request arrives until its first output token. It \
         is how long somebody looks at an empty screen.",
    ),
    (
        "TPOT",
        "Time per output token after the first: how fast the answer is typed. 50 ms are 20 tokens \
         a second.",
    ),
    (
        "p99",
        "99th percentile: one request in a hundred is worse than this. A request that was still \
         waiting when the run ended counts with the time it had waited by then.",
    ),
    (
        "Attainment",
        "The share of all offered requests that met both the TTFT and the TPOT target of their \
         class. A request that was refused or never finished counts as missed.",
    ),
    ("Goodput", "Requests a second that met both targets. Throughput that nobody waited for."),
    (
        "Apdex",
        "One figure for satisfaction from 0 to 1: requests within the TTFT target count 1, within \
         four times the target one half, all others nothing.",
    ),
    (
        "Utilization",
        "The share of the run in which the GPU was busy with a step. It is an effect: a GPU is as \
         busy computing an answer that comes too late as one that comes in time.",
    ),
    (
        "Load",
        "Work offered, in units of what first come, first served with 2,048-token steps completes \
         when it is saturated on the same engine and the same requests.",
    ),
    (
        "Jain's index",
        "How evenly something is divided: 1 is perfectly even, 1/n means that one of n got \
         everything. Here: the share of what each account asked for that it had been given when \
         the last request arrived, over accounts that ask for no more than their share.",
    ),
    (
        "Service difference",
        "Tokens of weighted service by which one account got ahead of another while both were \
         waiting: the largest, and its mean over time. It is how far from fair a schedule strayed. \
         Within a class it compares accounts that wait in that class, by its service alone.",
    ),
    (
        "Preemption",
        "A running request lost its KV cache to make room for others and was computed again: work \
         done twice.",
    ),
];

/// What the simulator does model.
pub(super) const MODELLED: &[&str] = &[
    "The engine step by step: continuous batching, chunked prefill, seats, KV-cache blocks, \
     preemption with recomputation, prefix cache.",
    "The duration of every step, from measured kernel tables or from coefficients fitted to them.",
    "The same requests, classes, accounts and seed for every policy; arrivals rescaled to each \
     load.",
];

/// What it does not.
pub(super) const NOT_MODELLED: &[&str] = &[
    "Network, tokenizer and HTTP front end; users who give up, retry or slow down.",
    "Clock throttling, memory fragmentation, host jitter, failing devices.",
    "Anything that the measured tables did not contain: other models, other GPUs.",
];
