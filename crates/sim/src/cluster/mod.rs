//! Clusters: nodes and jobs as traces describe them, the packing experiment and the simulator.

pub mod fgd;
pub mod jobs;
pub mod nodes;
pub mod openb;
pub mod pack;

pub use jobs::{Job, JobList};
pub use nodes::{NodeList, NodeRecord};
pub use pack::{PackOptions, PackPolicy, PackRun};
