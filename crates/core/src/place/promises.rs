//! What is free now and promised to somebody later.

use crate::fleet::{Demand, DeviceChoice, Fleet};
use crate::units::Nanos;

/// Reservations, as every choice of a node must respect them.
#[derive(Debug)]
pub(super) struct Promises;

impl Promises {
    pub(super) const fn new() -> Self {
        Self
    }

    /// Whether all promises can be kept if this demand is put on these devices of the node with
    /// this index from now until `ends`.
    pub(super) fn leave_room(
        &self,
        _fleet: &Fleet,
        _index: u32,
        _demand: &Demand,
        _devices: DeviceChoice,
        _ends: Nanos,
    ) -> bool {
        true
    }
}
