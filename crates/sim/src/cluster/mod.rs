//! Clusters: nodes and jobs as traces describe them, the packing experiment and the simulator.

pub mod jobs;
pub mod nodes;

pub use jobs::{Job, JobList};
pub use nodes::{NodeList, NodeRecord};
