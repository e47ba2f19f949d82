//! How much is there in all, and how much is free? Kept up to date with every change.
//!
//! # Bounds and cost
//! A query is O(1). A change counts what it touches anew: the node, and the devices taken of, or
//! all of the node's where its state changes.

use alloc::boxed::Box;
use alloc::vec;

use super::device::{MODELS_MAX, WHOLE_MILLI};
use super::{Device, Health, ModelId, Node, NodeStatus};

/// What of a fleet is there in all, or free, on nodes that are [`NodeStatus::Ready`] with devices
/// that are [`Health::Ready`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Nodes; free is one of which nothing is taken.
    pub nodes: u32,
    /// Devices; free is one of which nothing is taken.
    pub devices: u32,
    /// Thousandths of devices.
    pub gpu_milli: u64,
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Host memory.
    pub memory_mib: u64,
}

/// What of one device model is there, on ready nodes with devices that are ready.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ModelTotals {
    /// Devices.
    pub devices: u32,
    /// Of them those of which nothing is taken.
    pub devices_free: u32,
    /// Thousandths of devices.
    pub milli: u64,
    /// Of them free.
    pub free_milli: u64,
}

/// Whether something is put into the sums or taken out.
#[derive(Clone, Copy)]
pub(super) enum Step {
    In,
    Out,
}

impl Step {
    fn wide(self, sum: &mut u64, by: u64) {
        match self {
            Self::In => *sum += by,
            Self::Out => *sum -= by,
        }
    }

    fn narrow(self, sum: &mut u32, counts: bool) {
        match self {
            Self::In => *sum += u32::from(counts),
            Self::Out => *sum -= u32::from(counts),
        }
    }
}

/// All sums of a fleet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) total: Totals,
    pub(super) free: Totals,
    models: Box<[ModelTotals]>,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            total: Totals::default(),
            free: Totals::default(),
            models: vec![ModelTotals::default(); usize::from(MODELS_MAX)].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed() -> u64 {
        MODELS_MAX as u64 * size_of::<ModelTotals>() as u64
    }

    pub(super) fn model(&self, model: ModelId) -> ModelTotals {
        self.models.get(usize::from(model.0)).copied().unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        (self.total, self.free) = (Totals::default(), Totals::default());
        self.models.fill(ModelTotals::default());
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        (self.total, self.free) = (other.total, other.free);
        self.models.copy_from_slice(&other.models);
    }

    /// A node with all its devices.
    pub(super) fn whole(&mut self, step: Step, node: &Node, devices: &[Device]) {
        self.host(step, node);
        for device in devices {
            self.device(step, node, device);
        }
    }

    /// A node without its devices.
    pub(super) fn host(&mut self, step: Step, node: &Node) {
        if node.status != NodeStatus::Ready {
            return;
        }
        let Self { total, free, .. } = self;
        step.narrow(&mut total.nodes, true);
        step.wide(&mut total.cpu_milli, node.cpu_milli.into());
        step.wide(&mut total.memory_mib, node.memory_mib.into());
        step.narrow(&mut free.nodes, node.holds == 0);
        step.wide(&mut free.cpu_milli, node.cpu_free_milli.into());
        step.wide(&mut free.memory_mib, node.memory_free_mib.into());
    }

    /// One device of a node.
    pub(super) fn device(&mut self, step: Step, node: &Node, device: &Device) {
        if node.status != NodeStatus::Ready || device.health != Health::Ready {
            return;
        }
        let Self { total, free, models } = self;
        step.narrow(&mut total.devices, true);
        step.wide(&mut total.gpu_milli, WHOLE_MILLI.into());
        step.narrow(&mut free.devices, device.is_idle());
        step.wide(&mut free.gpu_milli, device.free_milli.into());
        if let Some(model) = models.get_mut(usize::from(device.spec.model.0)) {
            step.narrow(&mut model.devices, true);
            step.narrow(&mut model.devices_free, device.is_idle());
            step.wide(&mut model.milli, WHOLE_MILLI.into());
            step.wide(&mut model.free_milli, device.free_milli.into());
        }
    }
}
