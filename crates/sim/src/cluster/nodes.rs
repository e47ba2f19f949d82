//! Nodes as traces describe them.

use rampmeter::fleet::ModelId;

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
            cpu_milli: rampmeter::fleet::node::NODE_AMOUNT_MAX,
            memory_mib: rampmeter::fleet::node::NODE_AMOUNT_MAX,
            devices,
            model: ModelId(0),
        };
        Self {
            name: format!("{nodes}x{devices}"),
            nodes: (0..nodes).map(node).collect(),
            models: vec![model.to_owned()],
        }
    }
}
