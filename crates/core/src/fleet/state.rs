//! A fleet as words.
//!
//! # Formula
//! ```text
//! devices_per_node_max, digest of the layouts
//! the slab of nodes, each as 5 words: CPU, memory, labels, where it stands, how it is
//! devices of each node, by index, each as 3 words: memory, what it is, how it is
//! ```
//! Sums follow from that. Who holds what is for others to save: what is taken here must be the sum
//! of what their holds say.
//!
//! # Bounds and cost
//! O(nodes and devices), 30 words for a node with 8 devices; nothing is allocated.

use super::device::{MODELS_MAX, WHOLE_MILLI};
use super::node::{DOMAINS_MAX, NODE_AMOUNT_MAX};
use super::partition::{LayoutId, Layouts};
use super::totals::Step;
use super::{
    Demand, Device, DeviceDemand, DeviceSpec, Fleet, Health, ModelId, ModelSet, Node, NodeStatus,
    Sharing,
};
use crate::error::{Error, check_range};
use crate::snapshot::{CONTRADICTION, Words, ensure, pair};

/// How [`Sharing`] is told: 0 and 1 for the first two, then the layouts.
const PARTITIONED: u32 = 2;

impl Fleet {
    /// Tells its state, word by word.
    pub(crate) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.options.devices_per_node_max.into());
        save(self.layouts.digest());
        self.nodes.save_state(save, save_node);
        for (node, _) in self.nodes.iter() {
            self.devices_at(node.index()).iter().for_each(|device| save_device(device, save));
        }
    }

    /// Takes the state that [`Fleet::save_state`] told, with all ids, into a fleet without nodes.
    ///
    /// # Errors
    /// [`Error::Range`] on `nodes` unless it has none, with nothing changed. For words that no
    /// fleet of this size and these layouts saved: [`Error::BufferTooSmall`] when they end too
    /// early, [`Error::Range`], [`Error::Contradiction`] or [`Error::Snapshot`] for one that cannot
    /// be; the fleet is then as new.
    pub(crate) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        check_range("nodes", self.len().into(), 0, 0)?;
        let loaded = self.load_words(words);
        if loaded.is_err() {
            self.nodes.clear();
            self.devices.fill(Device::default());
            self.counts.clear();
        }
        loaded
    }

    fn load_words(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let each = self.options.devices_per_node_max;
        words.next_within("devices_per_node_max", each, each)?;
        self.check_layouts(words.next()?)?;
        self.nodes.load_state(words, load_node)?;
        for index in 0..self.options.nodes_max {
            let begin = self.first_device(index);
            let Some(node) = self.nodes.at_mut(index) else { continue };
            check_range("devices_len", node.devices_len.into(), 0, each.into())?;
            let devices = &mut self.devices[begin..begin + usize::from(node.devices_len)];
            for device in &mut *devices {
                *device = load_device(&self.layouts, words)?;
                node.models = node.models.union(ModelSet::of(device.spec.model));
            }
            ensure(node.is_possible(devices))?;
            self.counts.whole(Step::In, node, devices);
        }
        Ok(())
    }
}

fn save_node(node: &Node, save: &mut dyn FnMut(u64)) {
    save(pair(node.cpu_milli, node.cpu_free_milli));
    save(pair(node.memory_mib, node.memory_free_mib));
    save(node.labels);
    save(pair(node.rack, node.zone));
    save(pair(node.holds, u32::from(node.devices_len) | (node.status as u32) << 8));
}

fn load_node(words: &mut Words<'_>) -> Result<Node, Error> {
    let amounts = |words: &mut Words<'_>, field| {
        let (all, free) = words.next_pair()?;
        check_range(field, all.into(), 0, NODE_AMOUNT_MAX.into())?;
        check_range(field, free.into(), 0, all.into())?;
        Ok::<_, Error>((all, free))
    };
    let (cpu_milli, cpu_free_milli) = amounts(words, "cpu_milli")?;
    let (memory_mib, memory_free_mib) = amounts(words, "memory_mib")?;
    let labels = words.next()?;
    let (rack, zone) = words.next_pair()?;
    check_range("rack", rack.into(), 0, u64::from(DOMAINS_MAX) - 1)?;
    check_range("zone", zone.into(), 0, u64::from(DOMAINS_MAX) - 1)?;
    let (holds, rest) = words.next_pair()?;
    let status = match rest >> 8 {
        0 => NodeStatus::Ready,
        1 => NodeStatus::Draining,
        2 => NodeStatus::Failed,
        _ => return Err(CONTRADICTION),
    };
    Ok(Node {
        cpu_milli,
        cpu_free_milli,
        memory_mib,
        memory_free_mib,
        labels,
        models: ModelSet::NONE,
        rack,
        zone,
        holds,
        devices_len: rest as u8,
        status,
    })
}

fn save_device(device: &Device, save: &mut dyn FnMut(u64)) {
    let DeviceSpec { model, memory_mib, sharing, numa, link_group } = device.spec;
    let sharing = match sharing {
        Sharing::Exclusive => 0,
        Sharing::Shared => 1,
        Sharing::Partitioned(layout) => PARTITIONED + u32::from(layout.0),
    };
    save(pair(memory_mib, device.memory_free_mib));
    save(pair(u32::from_le_bytes([model.0, numa, link_group, 0]), sharing));
    let [low, high] = device.free_milli.to_le_bytes();
    let state = [low, high, device.holders, device.slices];
    save(pair(u32::from_le_bytes(state), device.health as u32));
}

fn load_device(layouts: &Layouts, words: &mut Words<'_>) -> Result<Device, Error> {
    let (memory_mib, memory_free_mib) = words.next_pair()?;
    check_range("memory_mib", memory_mib.into(), 0, NODE_AMOUNT_MAX.into())?;
    let (what, sharing) = words.next_pair()?;
    let [model, numa, link_group, zero] = what.to_le_bytes();
    check_range("model", model.into(), 0, u64::from(MODELS_MAX) - 1)?;
    let most = PARTITIONED + u32::from(layouts.len()) - 1;
    check_range("sharing", sharing.into(), 0, most.into())?;
    let sharing = match sharing {
        0 => Sharing::Exclusive,
        1 => Sharing::Shared,
        layout => {
            let layout = LayoutId((layout - PARTITIONED) as u8);
            let least = layouts.get(layout)?.memory_mib();
            check_range("memory_mib", memory_mib.into(), least.into(), NODE_AMOUNT_MAX.into())?;
            Sharing::Partitioned(layout)
        }
    };
    let (how, health) = words.next_pair()?;
    let [low, high, holders, slices] = how.to_le_bytes();
    let free_milli = u16::from_le_bytes([low, high]);
    check_range("free_milli", free_milli.into(), 0, WHOLE_MILLI.into())?;
    let health = match health {
        0 => Health::Ready,
        1 => Health::Draining,
        2 => Health::Failed,
        _ => return Err(CONTRADICTION),
    };
    let spec = DeviceSpec { model: ModelId(model), memory_mib, sharing, numa, link_group };
    let device = Device { spec, health, holders, slices, free_milli, memory_free_mib };
    ensure(zero == 0 && device.is_possible(layouts))?;
    Ok(device)
}

impl Demand {
    /// Tells itself as 4 words: CPU and memory, devices, models, whether they must be in one group.
    pub(crate) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { cpu_milli, memory_mib, devices, models, one_link_group } = *self;
        let (kind, count, milli, each_mib) = match devices {
            DeviceDemand::None => (0, 0, 0, 0),
            DeviceDemand::Whole { count, memory_mib } => (1, count, 0, memory_mib),
            DeviceDemand::Share { count, milli, memory_mib } => (2, count, milli, memory_mib),
            DeviceDemand::Partition { compute_slices, memory_mib } => {
                (3, compute_slices, 0, memory_mib)
            }
        };
        let [low, high] = milli.to_le_bytes();
        save(pair(cpu_milli, memory_mib));
        save(pair(u32::from_le_bytes([kind, count, low, high]), each_mib));
        save(models.0);
        save(one_link_group.into());
    }

    /// Takes what [`Demand::save_state`] told. Whether it can be asked for is for
    /// [`Demand::check`] to say.
    pub(crate) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let (cpu_milli, memory_mib) = words.next_pair()?;
        let (what, each_mib) = words.next_pair()?;
        let [kind, count, low, high] = what.to_le_bytes();
        let milli = u16::from_le_bytes([low, high]);
        let devices = match kind {
            0 => DeviceDemand::None,
            1 => DeviceDemand::Whole { count, memory_mib: each_mib },
            2 => DeviceDemand::Share { count, milli, memory_mib: each_mib },
            3 => DeviceDemand::Partition { compute_slices: count, memory_mib: each_mib },
            _ => return Err(CONTRADICTION),
        };
        let models = ModelSet(words.next()?);
        let one_link_group = words.next_flag("one_link_group")?;
        Ok(Self { cpu_milli, memory_mib, devices, models, one_link_group })
    }
}
