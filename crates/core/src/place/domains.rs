//! Racks and zones, and which nodes stand in them.

use alloc::boxed::Box;
use alloc::vec;

use super::task::Domain;
use crate::fleet::Fleet;

/// The number of a rack or zone, and the index of a node in it.
type Stand = (u32, u32);

/// The nodes of one domain: places in the order that [`Domains`] keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    domain: Domain,
    begin: u32,
    pub(super) end: u32,
}

impl Run {
    /// Whether it is all nodes.
    pub(super) fn is_fleet(self) -> bool {
        self.domain == Domain::Fleet
    }

    /// Places in it, some of which may be vacant.
    pub(super) const fn len(self) -> u32 {
        self.end - self.begin
    }
}

/// All nodes by rack and by zone, in order of number and index: the nodes of a domain stand in a
/// row. Sorted again when first asked after nodes have come; a node that has gone is found vacant.
#[derive(Debug)]
pub(super) struct Domains {
    racks: Box<[Stand]>,
    zones: Box<[Stand]>,
    len: u32,
    stale: bool,
}

impl Domains {
    pub(super) fn new(nodes_max: u32) -> Self {
        let stands = || vec![(0, 0); nodes_max as usize].into_boxed_slice();
        Self { racks: stands(), zones: stands(), len: 0, stale: true }
    }

    pub(super) const fn bytes_needed(nodes_max: u32) -> u64 {
        2 * nodes_max as u64 * size_of::<Stand>() as u64
    }

    /// A node came.
    pub(super) const fn changed(&mut self) {
        self.stale = true;
    }

    /// O(nodes log nodes) after nodes came, else O(1).
    pub(super) fn refresh(&mut self, fleet: &Fleet) {
        if !self.stale {
            return;
        }
        self.len = 0;
        for (id, node) in fleet.iter() {
            self.racks[self.len as usize] = (node.rack, id.index());
            self.zones[self.len as usize] = (node.zone, id.index());
            self.len += 1;
        }
        self.racks[..self.len as usize].sort_unstable();
        self.zones[..self.len as usize].sort_unstable();
        self.stale = false;
    }

    fn stands(&self, domain: Domain) -> &[Stand] {
        let all = if domain == Domain::Rack { &self.racks } else { &self.zones };
        &all[..self.len as usize]
    }

    /// Every node.
    pub(super) const fn everywhere(&self) -> Run {
        Run { domain: Domain::Fleet, begin: 0, end: self.racks.len() as u32 }
    }

    /// The first domain of a kind, or that behind one that ends at `begin`. By number.
    pub(super) fn next(&self, domain: Domain, begin: u32) -> Option<Run> {
        let everywhere = self.everywhere();
        let end = match domain {
            Domain::Fleet if begin == 0 => everywhere.end,
            Domain::Node if begin < everywhere.end => begin + 1,
            Domain::Fleet | Domain::Node => return None,
            Domain::Rack | Domain::Zone => {
                let stands = self.stands(domain);
                let &(number, _) = stands.get(begin as usize)?;
                stands.partition_point(|stand| stand.0 <= number) as u32
            }
        };
        Some(Run { domain, begin, end })
    }

    /// The domain that the node with this index stands in.
    pub(super) fn of(&self, fleet: &Fleet, domain: Domain, index: u32) -> Run {
        match domain {
            Domain::Fleet => self.everywhere(),
            Domain::Node => Run { domain, begin: index, end: index + 1 },
            Domain::Rack | Domain::Zone => {
                let number = number(fleet, domain, index);
                let stands = self.stands(domain);
                let begin = stands.partition_point(|stand| stand.0 < number) as u32;
                let end = stands.partition_point(|stand| stand.0 <= number) as u32;
                Run { domain, begin, end }
            }
        }
    }

    /// Whether the node with this index stands in a domain.
    pub(super) fn holds(&self, fleet: &Fleet, run: Run, index: u32) -> bool {
        self.of(fleet, run.domain, index) == run
    }

    /// Indices of the nodes of a domain, in order; some may be vacant.
    pub(super) fn nodes(&self, run: Run) -> impl Iterator<Item = u32> {
        (run.begin..run.end).map(move |at| match run.domain {
            Domain::Fleet | Domain::Node => at,
            Domain::Rack | Domain::Zone => self.stands(run.domain)[at as usize].1,
        })
    }
}

/// What tells the domain of the node with this index from others of its kind.
pub(super) fn number(fleet: &Fleet, domain: Domain, index: u32) -> u32 {
    let node = fleet.at(index);
    match domain {
        Domain::Node => index,
        Domain::Rack => node.map_or(0, |node| node.rack),
        Domain::Zone => node.map_or(0, |node| node.zone),
        Domain::Fleet => 0,
    }
}
