//! A fleet as words, and as a copy of another one.

use super::Fleet;
use crate::error::{Error, check_range};

impl Fleet {
    /// Makes it the same as another fleet of the same size. O(nodes * devices), no memory.
    ///
    /// # Errors
    /// [`Error::Range`] unless both have the same size, with nothing changed.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), Error> {
        let each = u64::from(self.options.devices_per_node_max);
        let other_each = u64::from(other.options.devices_per_node_max);
        check_range("devices_per_node_max", other_each, each, each)?;
        self.nodes.copy_from(&other.nodes)?;
        self.devices.copy_from_slice(&other.devices);
        Ok(())
    }
}
