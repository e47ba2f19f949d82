//! First come, first served: who does not fit holds up all behind.

use super::super::discipline::Discipline;
use super::super::error::ClusterError;
use super::super::state::Cluster;

/// First come, first served.
#[derive(Debug)]
pub(in super::super) struct Fifo;

impl Discipline for Fifo {
    fn decide(&mut self, cluster: &mut Cluster<'_>) -> Result<(), ClusterError> {
        while let Some(&first) = cluster.waiting().first() {
            if !cluster.start(first)? {
                break;
            }
        }
        Ok(())
    }
}
