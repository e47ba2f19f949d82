//! A placer behind a pointer and one of the core, which hear the same and must answer the same.

use std::collections::BTreeMap;
use std::ptr;

use rampmeter::error::codes;
use rampmeter::fleet::{
    DeviceSpec, Fleet, FleetOptions, Hold, LayoutId, ModelId, NodeId, NodeSpec, Sharing,
};
use rampmeter::place::{Placer, PlacerOptions, Price};
use rampmeter::policy::Policy;
use rampmeter::share::{Amounts, Ledger, LedgerOptions};
use rampmeter::{Error, Nanos};
use rampmeter_ffi::ledger::*;
use rampmeter_ffi::placer::*;
use rampmeter_ffi::policy::{rampmeter_policy, rampmeter_policy_destroy};

use crate::caller::{Said, policy, sized};
use crate::counting::tally;

/// Two accounts of which one may take back what it lends, and reservations for all.
pub(crate) const DOCUMENT: &str = r#"
[[class]]
name = "urgent"

[[class]]
name = "batch"
delay_value = 0.25

[[account]]
name = "a"
quota = { gpu_milli = 8000 }

[[account]]
name = "b"
limit = { gpu_milli = 4000 }

[placement]
backfill = "conservative"
cycle_tasks_max = 8
interference_sharer_ratio = 0.1
lost_work_weight = 0.001
"#;

/// All GPUs, CPU and memory that the nodes of [`node`] could ever have together.
const CAPACITY: Amounts = Amounts([24_000, 512_000, 4_096_000, 0, 0, 0, 0, 0]);

pub(crate) const NODES_MAX: u32 = 6;
pub(crate) const TASK_MEMBERS_MAX: u32 = 4;

pub(crate) fn options() -> rampmeter_placer_options {
    rampmeter_placer_options {
        nodes_max: NODES_MAX,
        devices_per_node_max: 4,
        tasks_max: 24,
        members_max: 32,
        task_members_max: TASK_MEMBERS_MAX,
        accounts_max: 4,
        ..sized()
    }
}

pub(crate) fn core_options() -> (FleetOptions, PlacerOptions) {
    let fleet = FleetOptions { nodes_max: NODES_MAX, devices_per_node_max: 4 };
    let placer = PlacerOptions {
        tasks_max: 24,
        members_max: 32,
        task_members_max: TASK_MEMBERS_MAX,
        accounts_max: 4,
    };
    (fleet, placer)
}

pub(crate) struct Twins {
    pub(crate) placer: *mut rampmeter_placer,
    pub(crate) ledger: *mut rampmeter_ledger,
    pub(crate) core: Placer,
    pub(crate) core_ledger: Ledger,
    pub(crate) terms: (*mut rampmeter_policy, Policy),
    pub(crate) said: Said,
    /// What came, whatever has become of it.
    pub(crate) nodes: Vec<u64>,
    pub(crate) tasks: Vec<u64>,
    pub(crate) now: u64,
    /// What has happened, and how often.
    pub(crate) seen: BTreeMap<&'static str, u32>,
}

impl Drop for Twins {
    fn drop(&mut self) {
        // SAFETY: all came from C and are not used later.
        unsafe {
            rampmeter_placer_destroy(self.placer);
            rampmeter_ledger_destroy(self.ledger);
            rampmeter_policy_destroy(self.terms.0);
        }
    }
}

impl Twins {
    pub(crate) fn new() -> Self {
        let terms = policy(DOCUMENT);
        let (mut placer, mut ledger, mut said) =
            (ptr::null_mut(), ptr::null_mut(), Said::nothing());
        let (size, mut parts) = (options(), sized::<rampmeter_ledger_options>());
        let capacity = rampmeter_amounts { of: CAPACITY.0 };
        // SAFETY: the policy is good, what is handed in is set, and every place may be written.
        unsafe {
            let created =
                rampmeter_placer_create(terms.0, &raw const size, &raw mut placer, said.place());
            assert_eq!(created, codes::OK, "{}", said.text());
            let parts = &raw mut parts;
            assert_eq!(rampmeter_ledger_policy_options(terms.0, parts, said.place()), codes::OK);
            let created =
                rampmeter_ledger_create_from_policy(terms.0, parts, &raw mut ledger, said.place());
            assert_eq!(created, codes::OK, "{}", said.text());
            let told = rampmeter_ledger_set_capacity(ledger, &raw const capacity, said.place());
            assert_eq!(told, codes::OK);
        }
        let (fleet, placer_options) = core_options();
        let core = Placer::new(Fleet::new(&fleet).unwrap(), &terms.1, &placer_options).unwrap();
        let parts = LedgerOptions::of_policy(&terms.1);
        let mut core_ledger = Ledger::from_policy(&parts, &terms.1).unwrap();
        core_ledger.set_capacity(&CAPACITY).unwrap();
        let (nodes, tasks) = (Vec::new(), Vec::new());
        Self {
            placer,
            ledger,
            core,
            core_ledger,
            terms,
            said,
            nodes,
            tasks,
            now: 1,
            seen: BTreeMap::new(),
        }
    }

    pub(crate) fn account(&mut self, name: &str) -> u64 {
        let (mut account, path) = (0, std::ffi::CString::new(name).unwrap());
        // SAFETY: the ledger is good, the path is closed by a zero, and both places may be written.
        let status = unsafe {
            rampmeter_ledger_at_path(
                self.ledger,
                path.as_ptr(),
                &raw mut account,
                self.said.place(),
            )
        };
        let core = self.core_ledger.account_at_path(name).unwrap().to_raw();
        assert_eq!((status, account), (codes::OK, core));
        account
    }

    /// All state, as bytes.
    pub(crate) fn saved(&mut self) -> Vec<u8> {
        let (mut bytes, mut written) = (0, 0);
        // SAFETY: the placer is good, and all places may be written.
        unsafe {
            let said = self.said.place();
            let told = rampmeter_placer_snapshot_bytes(self.placer, &raw mut bytes, said);
            assert_eq!(told, codes::OK);
            let mut out = vec![0; bytes as usize];
            let (place, room, len) = (out.as_mut_ptr(), out.len(), &raw mut written);
            let told = quiet(|| rampmeter_placer_save(self.placer, place, room, len, said));
            assert_eq!(told, codes::OK);
            assert_eq!(written, out.len());
            out
        }
    }

    /// Both have the same state, to the last bit.
    pub(crate) fn are_alike(&mut self) {
        let mut core = vec![0; self.core.snapshot_bytes() as usize];
        self.core.save(&mut core).unwrap();
        let saved = self.saved();
        assert!(saved == core);
    }

    /// Both agree, in what was wrong, too; and in the state that they are in now.
    pub(crate) fn agrees<T>(&mut self, status: i32, core: Result<T, Error>) -> Option<T> {
        let answer = self.said.agrees(status, core);
        self.are_alike();
        answer
    }

    /// Notes that something has happened, if it has.
    pub(crate) fn note(&mut self, what: &'static str, has: bool) {
        *self.seen.entry(what).or_default() += u32::from(has);
    }

    pub(crate) const fn at(&self) -> Nanos {
        Nanos(self.now)
    }

    pub(crate) fn add_node(&mut self, (node, devices): &(rampmeter_node, Vec<rampmeter_device>)) {
        let (mut added, specs) = (0, specs(devices));
        let given = rampmeter_node { devices: devices.as_ptr(), ..*node };
        // SAFETY: the placer is good, so many devices may be read, and both places may be written.
        let status = quiet(|| unsafe {
            let (given, added) = (&raw const given, &raw mut added);
            rampmeter_placer_add_node(self.placer, given, added, self.said.place())
        });
        let core = self.core.add_node(&spec(node, &specs));
        match self.agrees(status, core) {
            Some(core) => assert_eq!(added, core.to_raw()),
            None => assert_eq!(added, 0),
        }
        self.nodes.extend((added != 0).then_some(added));
    }
}

/// A call that may not allocate, whatever it answers.
pub(crate) fn quiet<T>(call: impl FnOnce() -> T) -> T {
    let before = tally().calls;
    let answer = call();
    assert_eq!(tally().calls, before);
    answer
}

/// A node with these devices.
pub(crate) fn node(
    rack: u32,
    devices: &[rampmeter_device],
) -> (rampmeter_node, Vec<rampmeter_device>) {
    let node = rampmeter_node {
        devices_len: devices.len() as u32,
        labels: u64::from(rack) + 1,
        cpu_milli: 32_000,
        memory_mib: 262_144,
        rack,
        zone: rack / 2,
        ..sized()
    };
    (node, devices.to_vec())
}

pub(crate) fn device(model: u8, sharing: u8) -> rampmeter_device {
    let layout = if sharing == RAMPMETER_SHARING_PARTITIONED {
        LayoutId::named("a100-80gb").unwrap().0
    } else {
        0
    };
    rampmeter_device {
        memory_mib: 81_920,
        model,
        numa: 0,
        link_group: model % 2,
        sharing,
        layout,
        reserved: [0; 3],
    }
}

pub(crate) fn specs(devices: &[rampmeter_device]) -> Vec<DeviceSpec> {
    let spec = |device: &rampmeter_device| DeviceSpec {
        model: ModelId(device.model),
        memory_mib: device.memory_mib,
        sharing: [
            Sharing::Shared,
            Sharing::Exclusive,
            Sharing::Partitioned(LayoutId(device.layout)),
        ][usize::from(device.sharing)],
        numa: device.numa,
        link_group: device.link_group,
    };
    devices.iter().map(spec).collect()
}

pub(crate) fn spec<'a>(node: &rampmeter_node, devices: &'a [DeviceSpec]) -> NodeSpec<'a> {
    NodeSpec {
        cpu_milli: node.cpu_milli,
        memory_mib: node.memory_mib,
        devices,
        labels: node.labels,
        rack: node.rack,
        zone: node.zone,
    }
}

pub(crate) fn hold(hold: &rampmeter_hold) -> Hold {
    Hold {
        node: NodeId::from_raw(hold.node),
        cpu_milli: hold.cpu_milli,
        memory_mib: hold.memory_mib,
        devices: hold.devices,
        device_milli: hold.device_milli,
        device_memory_mib: hold.device_memory_mib,
        slices: hold.slices,
    }
}

pub(crate) fn price(price: &rampmeter_price) -> Price {
    Price {
        stranding_s: price.stranding_s,
        warm_up_s: price.warm_up_s,
        link_s: price.link_s,
        interference_s: price.interference_s,
        crowding_s: price.crowding_s,
        lost_work_s: price.lost_work_s,
    }
}
