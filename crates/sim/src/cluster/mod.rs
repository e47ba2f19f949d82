//! Clusters: nodes and jobs as traces describe them, the packing experiment and the simulator.
//!
//! # Jobs
//! [`Spec`] names a file of jobs; [`format`] knows which formats there are.
//!
//! | format | one job is |
//! |---|---|
//! | `philly` | `timestamp,duration,num_gpus,cluster` (Microsoft's Philly clusters) |
//! | `muri` | `num_gpu,submit_time,duration` in milliseconds (the Muri artifact) |
//! | `swf` | 18 numbers (Parallel Workloads Archive), plain or gzipped |
//! | `openb` | a task list of Alibaba's cluster-trace-gpu-v2023 |
//! | `csv` | `arrival_s,duration_s,gpus` and six optional columns |
//!
//! # The simulator
//! [`simulate`] lets a [`Discipline`] decide who runs now, over a [`Cluster`] that checks every
//! command; which nodes a job gets is up to the same compiled [`rampmeter::place::Placer`] that
//! hosts embed. [`outcome`] says what users felt.

pub mod contest;
mod csv;
pub mod discipline;
mod error;
mod failures;
pub mod fgd;
pub mod format;
pub mod jobs;
mod muri;
pub mod nodes;
pub mod openb;
pub mod outcome;
pub mod pack;
mod peers;
mod philly;
mod placement;
mod rampmeter;
mod room;
mod run;
mod state;
mod swf;

pub use discipline::{Discipline, Queue};
pub use error::ClusterError;
pub use failures::Failures;
pub use format::{Format, Spec};
pub use jobs::{Job, JobList};
pub use nodes::{NodeList, NodeRecord};
pub use outcome::{ClusterRun, report};
pub use pack::{PackOptions, PackPolicy, PackRun};
pub use placement::Placement;
pub use run::{Costs, Options, Record, Simulated, simulate};
pub use state::Cluster;

/// What a reader of jobs must know of the nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadOptions {
    /// Most devices of one node: a job that wants more becomes a gang (see [`jobs::gang`]).
    pub devices_per_node: u32,
}
