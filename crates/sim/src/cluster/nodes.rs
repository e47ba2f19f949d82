//! Nodes as traces describe them.
//!
//! A list of nodes is a CSV file with the columns `sn,cpu_milli,memory_mib,gpu,model` (others are
//! ignored; `model` is empty for a node without GPUs), or the words `NxG[:MODEL]`: N equal nodes
//! with G GPUs each, and CPU and memory without end.
//!
//! Source of the columns: the node lists of Alibaba's cluster-trace-gpu-v2023.

use std::path::Path;

use rampmeter::fleet::device::MODELS_MAX;
use rampmeter::fleet::node::NODE_AMOUNT_MAX;
use rampmeter::fleet::{
    DEVICES_PER_NODE_MAX, DeviceSpec, Fleet, FleetOptions, ModelId, NODES_MAX, NodeSpec,
};

use crate::InputError;
use crate::input::shown;
use crate::trace::builder::source;
use crate::trace::table::Table;

/// Columns of a list of nodes.
pub(crate) const COLUMNS: [&str; 5] = ["sn", "cpu_milli", "memory_mib", "gpu", "model"];

/// A node of a trace: all its devices are of one model.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeRecord {
    /// Name in the trace.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Host memory.
    pub memory_mib: u32,
    /// Devices.
    pub devices: u8,
    /// Their model, as an index into [`NodeList::models`].
    pub model: ModelId,
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeList {
    /// Where it came from.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<NodeRecord>,
    /// Names of the models, by their number.
    pub models: Vec<String>,
}

impl NodeList {
    /// So many equal nodes with so many devices each, and CPU and memory without end.
    #[must_use]
    pub fn uniform(nodes: u32, devices: u8, model: &str) -> Self {
        let node = |at: u32| NodeRecord {
            name: format!("node-{at:04}"),
            cpu_milli: NODE_AMOUNT_MAX,
            memory_mib: NODE_AMOUNT_MAX,
            devices,
            model: ModelId(0),
        };
        Self {
            name: format!("{nodes}x{devices}"),
            nodes: (0..nodes).map(node).collect(),
            models: vec![model.to_owned()],
        }
    }

    /// The nodes that `PATH` or `NxG[:MODEL]` describes. What has the form of the latter is one,
    /// unless a file has that name.
    ///
    /// # Errors
    /// One sentence about the first thing that is wrong.
    pub fn read(spec: &str) -> Result<Self, InputError> {
        let path = Path::new(spec);
        match equal_nodes(spec) {
            Some((nodes, devices, model)) if !path.exists() => {
                uniform(nodes, devices, model).map_err(|problem| InputError::new(spec, problem))
            }
            _ => read_table(path),
        }
    }

    /// The number of a model, new or known; `None` where there is no number left.
    pub fn model(&mut self, name: &str) -> Option<ModelId> {
        let known = self.models.iter().position(|model| model == name);
        let index = known.unwrap_or(self.models.len());
        let number = u8::try_from(index).ok().filter(|number| *number < MODELS_MAX)?;
        if known.is_none() {
            self.models.push(name.to_owned());
        }
        Some(ModelId(number))
    }

    /// Thousandths of devices of all nodes.
    #[must_use]
    pub fn gpu_milli(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.devices) * 1_000).sum()
    }

    /// A fleet of these nodes with nothing taken, in this order of their places in the list.
    ///
    /// # Errors
    /// What the fleet says about a node.
    pub fn fleet(&self, order: &[usize]) -> Result<Fleet, rampmeter::Error> {
        let devices_most = self.nodes.iter().map(|node| node.devices).max().unwrap_or_default();
        let options = FleetOptions {
            nodes_max: order.len() as u32,
            devices_per_node_max: devices_most.into(),
        };
        let mut fleet = Fleet::new(&options)?;
        for record in order.iter().filter_map(|&place| self.nodes.get(place)) {
            let device = DeviceSpec { model: record.model, ..DeviceSpec::default() };
            let devices = vec![device; record.devices.into()];
            let spec = NodeSpec {
                cpu_milli: record.cpu_milli,
                memory_mib: record.memory_mib,
                devices: &devices,
                ..NodeSpec::default()
            };
            fleet.add_node(&spec)?;
        }
        Ok(fleet)
    }
}

/// N, G and MODEL of `NxG[:MODEL]`; `None` for anything else.
fn equal_nodes(spec: &str) -> Option<(&str, &str, &str)> {
    let (size, model) = spec.split_once(':').unwrap_or((spec, "gpu"));
    let (nodes, devices) = size.split_once('x')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (number(nodes) && number(devices) && !model.is_empty()).then_some((nodes, devices, model))
}

fn uniform(nodes: &str, devices: &str, model: &str) -> Result<NodeList, String> {
    let range = |text: &str, what: &str, min: u32, max: u32| {
        let value = text.parse().ok().filter(|value| (min..=max).contains(value));
        value.ok_or_else(|| format!("`{}` is not {what} in {min}..={max}", shown(text)))
    };
    let nodes = range(nodes, "a number of nodes", 1, NODES_MAX)?;
    let devices = range(devices, "a number of GPUs", 0, DEVICES_PER_NODE_MAX)?;
    Ok(NodeList::uniform(nodes, devices as u8, model))
}

fn read_table(path: &Path) -> Result<NodeList, InputError> {
    let mut table = Table::open(path)?;
    let name = table.required(COLUMNS[0])?;
    let cpu = table.required(COLUMNS[1])?;
    let memory = table.required(COLUMNS[2])?;
    let gpus = table.required(COLUMNS[3])?;
    let model = table.required(COLUMNS[4])?;
    let mut list = NodeList { name: source("nodes", path), ..NodeList::default() };
    while let Some(row) = table.next_row()? {
        if list.nodes.len() == NODES_MAX as usize {
            let problem = format!("is past node {NODES_MAX}, the most that a fleet may have");
            return Err(InputError::new(path, problem).at_line(row.line));
        }
        let devices = row.count(gpus, 0, DEVICES_PER_NODE_MAX)?;
        let number = match row.text(model) {
            _ if devices == 0 => ModelId::default(),
            "" => return Err(row.wrong(model, "the name of a model, and the node has GPUs")),
            text => list
                .model(text)
                .ok_or_else(|| row.wrong(model, &format!("among the first {MODELS_MAX} models")))?,
        };
        list.nodes.push(NodeRecord {
            name: row.text(name).to_owned(),
            cpu_milli: row.count(cpu, 0, NODE_AMOUNT_MAX)?,
            memory_mib: row.count(memory, 0, NODE_AMOUNT_MAX)?,
            devices: devices as u8,
            model: number,
        });
    }
    if list.nodes.is_empty() {
        return Err(InputError::new(path, "holds no node"));
    }
    Ok(list)
}
