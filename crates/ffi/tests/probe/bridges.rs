//! What a snapshot is to a placer, a batcher and CUDA: the same as in Rust.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use ::rampmeter_probe::bridge::fleet::{Action, NodeBridge, Rules, Why, describe};
use ::rampmeter_probe::bridge::kv::KvBudget;
use ::rampmeter_probe::nvml::Nvml;
use ::rampmeter_probe::ordinal;
use ::rampmeter_probe::{Due, Probe};
use rampmeter::error::codes;
use rampmeter::fleet::{Fleet, FleetOptions, LayoutId, ModelId, NodeSpec};
use rampmeter::place::{Placer, PlacerOptions, TaskId};
use rampmeter::{Bytes, Nanos};
use rampmeter_ffi::placer::*;
use rampmeter_ffi::policy::rampmeter_policy_destroy;
use rampmeter_ffi::probe::*;

use crate::caller::{Said, policy, sized, zeros};
use crate::support::Fake;
use crate::{Snapshot, nvml};

const GIB: u64 = 1 << 30;
const MS: u64 = 1_000_000;

/// Four GPUs: whole, joined with the first, cut, of no use.
const NODE: &str = "gpu uuid=GPU-1 pci=0:1:0 total=81920000000 free=81920000000 numa=1 peers=1\n\
    gpu uuid=GPU-2 pci=0:2:0 total=81920000000 free=81920000000\n\
    gpu uuid=GPU-3 pci=0:3:0 mig=1 total=42949672960 free=42949672960\n\
    instance uuid=MIG-1 gi=1 total=100 free=100\n\
    gpu uuid=GPU-4 pci=0:4:0\n";

fn uses() -> Vec<rampmeter_gpu_use> {
    let of = |is_used, model, has_layout, layout| rampmeter_gpu_use {
        is_used,
        model,
        has_layout,
        layout,
    };
    vec![of(1, 3, 0, 0), of(1, 3, 0, 0), of(1, 5, 1, 1), of(0, 0, 0, 0), of(0, 9, 0, 0)]
}

struct Pair {
    bridge: *mut rampmeter_node_bridge,
    placer: *mut rampmeter_placer,
    core_bridge: NodeBridge,
    core: Placer,
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: both came from `create`.
        unsafe {
            rampmeter_node_bridge_destroy(self.bridge);
            rampmeter_placer_destroy(self.placer);
        }
    }
}

impl Pair {
    /// The same node in a placer of C and in one of Rust.
    fn new(seen: &Snapshot, snapshot: &::rampmeter_probe::Snapshot) -> Self {
        let (uses, rules, mut bridge) = (uses(), sized::<rampmeter_node_rules>(), null_mut());
        let mut devices = zeros::<rampmeter_device>(RAMPMETER_NODE_DEVICES_MAX);
        let (mut len, mut placer, mut node) = (0, null_mut(), 0);
        let options = rampmeter_placer_options { nodes_max: 2, tasks_max: 8, ..sized() };
        let (given, known) = policy("");
        // SAFETY: all are there.
        unsafe {
            let (of, to) = ((seen.0, uses.as_ptr(), uses.len()), &raw mut bridge);
            let status =
                rampmeter_node_bridge_create(of.0, of.1, of.2, &raw const rules, to, null_mut());
            assert_eq!(status, codes::OK);
            let (to, room) = (devices.as_mut_ptr(), devices.len());
            let short = rampmeter_node_bridge_devices(bridge, to, 2, &raw mut len, null_mut());
            assert_eq!((short, len), (codes::BUFFER_TOO_SMALL, 0));
            let status = rampmeter_node_bridge_devices(bridge, to, room, &raw mut len, null_mut());
            assert_eq!(status, codes::OK);
            let to = &raw mut placer;
            assert_eq!(rampmeter_placer_create(given, &raw const options, to, null_mut()), 0);
            rampmeter_policy_destroy(given);
            let spec = rampmeter_node { devices_len: len, devices: devices.as_ptr(), ..sized() };
            let status =
                rampmeter_placer_add_node(placer, &raw const spec, &raw mut node, null_mut());
            assert_eq!(status, codes::OK);
            assert_eq!(rampmeter_node_bridge_attach(bridge, node, null_mut()), codes::OK);
        }
        let told = describe(
            snapshot,
            |gpu| match gpu.uuid.as_str() {
                "GPU-1" | "GPU-2" => Some(ModelId(3)),
                "GPU-3" => Some(ModelId(5)),
                _ => None,
            },
            |_| Some(LayoutId(1)),
        );
        assert_eq!(told.specs().len(), len as usize);
        for (c, core) in devices.iter().zip(told.specs()) {
            let c = (c.memory_mib, c.model, c.numa, c.link_group);
            assert_eq!(c, (core.memory_mib, core.model.0, core.numa, core.link_group));
        }
        let shares = devices.iter().map(|device| (device.sharing, device.layout));
        let expected = [(RAMPMETER_SHARING_SHARED, 0), (0, 0), (RAMPMETER_SHARING_PARTITIONED, 1)];
        assert_eq!(shares.take(3).collect::<Vec<_>>(), expected);
        let options = PlacerOptions { tasks_max: 8, ..PlacerOptions::default() };
        let fleet = Fleet::new(&FleetOptions { nodes_max: 2, ..FleetOptions::default() }).unwrap();
        let mut core = Placer::new(fleet, &known, &options).unwrap();
        let spec = NodeSpec { devices: told.specs(), ..NodeSpec::default() };
        let id = core.add_node(&spec).unwrap();
        assert_eq!(id.to_raw(), node);
        let core_bridge = NodeBridge::new(id, &told, Rules::default());
        Self { bridge, placer, core_bridge, core }
    }

    /// What both say, which is done in both.
    fn changes(
        &mut self,
        now: u64,
        seen: &Snapshot,
        snapshot: &::rampmeter_probe::Snapshot,
    ) -> Vec<(u32, u8, u8, u8)> {
        let mut changes = zeros::<rampmeter_device_change>(RAMPMETER_NODE_DEVICES_MAX);
        let mut len = 99;
        let expected: Vec<_> =
            self.core_bridge.changes(Nanos(now), snapshot, self.core.fleet()).unwrap().collect();
        // SAFETY: all are there.
        unsafe {
            let (bridge, of, to) = (self.bridge, (seen.0, self.placer), changes.as_mut_ptr());
            if !expected.is_empty() {
                let short = rampmeter_node_bridge_changes(
                    bridge,
                    now,
                    of.0,
                    of.1,
                    null_mut(),
                    0,
                    &raw mut len,
                    null_mut(),
                );
                assert_eq!((short, len), (codes::BUFFER_TOO_SMALL, 99), "nothing was told");
            }
            let status = rampmeter_node_bridge_changes(
                bridge,
                now,
                of.0,
                of.1,
                to,
                changes.len(),
                &raw mut len,
                null_mut(),
            );
            assert_eq!((status, len as usize), (codes::OK, expected.len()));
        }
        let mut told = Vec::new();
        for (c, core) in changes.iter().zip(expected) {
            assert_eq!((c.node, c.device), (core.node.to_raw(), core.device));
            let missing =
                if let Why::MemoryTaken { missing_mib } = core.why { missing_mib } else { 0 };
            assert_eq!(c.missing_mib, missing);
            assert_eq!(
                c.action,
                match core.action {
                    Action::Fail => RAMPMETER_ACTION_FAIL,
                    Action::Drain => RAMPMETER_ACTION_DRAIN,
                    Action::Return => RAMPMETER_ACTION_RETURN,
                }
            );
            let (mut tasks, mut tasks_len) = ([0; 8], 0);
            core.apply_placing(&mut self.core, &mut [TaskId::default(); 8]).unwrap();
            let call = match c.action {
                RAMPMETER_ACTION_FAIL => rampmeter_placer_fail_device,
                _ => rampmeter_placer_drain_device,
            };
            // SAFETY: all are there.
            let status = unsafe {
                if c.action == RAMPMETER_ACTION_RETURN {
                    rampmeter_placer_return_device(self.placer, c.node, c.device, null_mut())
                } else {
                    let (out, len) = (tasks.as_mut_ptr(), &raw mut tasks_len);
                    call(self.placer, c.node, c.device, out, tasks.len(), len, null_mut())
                }
            };
            assert_eq!(status, codes::OK);
            told.push((c.device, c.action, c.cause, c.detail));
        }
        told
    }
}

#[test]
fn a_node_is_what_its_gpus_are_and_follows_them() {
    let fake = Fake::nvml(NODE);
    let (asked, seen, mut core) =
        (nvml(&fake), Snapshot::new(), Nvml::with_library(fake.library()));
    assert_eq!(asked.read(0, &seen), codes::OK);
    let mut pair = Pair::new(&seen, core.read(Due::ALL));
    let mut look = |pair: &mut Pair, late: u64| {
        assert_eq!(asked.read(0, &seen), codes::OK);
        let snapshot = core.read(Due::ALL);
        pair.changes(snapshot.taken_at.0 + late, &seen, snapshot)
    };
    assert_eq!(look(&mut pair, 0), [], "all is well");
    fake.becomes(&NODE.replace("free=81920000000 numa", "free=1000000000 numa"));
    let taken = (0, RAMPMETER_ACTION_DRAIN, RAMPMETER_CAUSE_MEMORY_TAKEN, 0);
    assert_eq!(look(&mut pair, 0), [taken]);
    assert_eq!(look(&mut pair, 0), [], "it was done");
    fake.becomes(&format!("{NODE}when nvmlDeviceGetMemoryInfo* dev=1 answer=16\n"));
    let back = (0, RAMPMETER_ACTION_RETURN, RAMPMETER_CAUSE_RECOVERED, 0);
    let lost = (1, RAMPMETER_ACTION_FAIL, RAMPMETER_CAUSE_LOST, RAMPMETER_GPU_RESET_REQUIRED);
    assert_eq!(look(&mut pair, 0), [back, lost]);
    fake.becomes("gpu uuid=GPU-1 total=81920000000 free=81920000000");
    let gone = |device| (device, RAMPMETER_ACTION_DRAIN, RAMPMETER_CAUSE_MISSING, 0);
    assert_eq!(look(&mut pair, 0), [gone(1), gone(2)]);
    let told = look(&mut pair, 60_000 * MS);
    assert_eq!(told, [(0, RAMPMETER_ACTION_DRAIN, RAMPMETER_CAUSE_STALE, 0)], "nobody knows");
    fake.becomes("when nvmlDeviceGetCount_v2 answer=999");
    look(&mut pair, 0);
    fake.becomes(NODE);
    assert_eq!(look(&mut pair, 0).len(), 3, "all come back");
}

#[test]
fn a_node_names_its_devices_and_is_none_until_it_is_added() {
    let fake = Fake::nvml(NODE);
    let (asked, seen) = (nvml(&fake), Snapshot::new());
    assert_eq!(asked.read(0, &seen), codes::OK);
    let pair = Pair::new(&seen, Nvml::with_library(fake.library()).read(Due::ALL));
    let (mut text, mut len) = ([0 as c_char; RAMPMETER_GPU_TEXT_BYTES], 0);
    let (mut changes, mut changes_len) = (zeros::<rampmeter_device_change>(16), 99);
    let (uses, rules) = (uses(), sized::<rampmeter_node_rules>());
    let (mut wrong, mut other) = (uses.clone(), null_mut());
    wrong[1].is_used = 2;
    // SAFETY: all are there.
    unsafe {
        let (to, room) = (text.as_mut_ptr(), text.len());
        let uuid = |device, room, len| {
            rampmeter_node_bridge_uuid(pair.bridge, device, to, room, len, null_mut())
        };
        assert_eq!(uuid(2, room, &raw mut len), codes::OK);
        assert_eq!((CStr::from_ptr(to), len), (c"GPU-3", 5));
        assert_eq!(uuid(3, room, &raw mut len), codes::RANGE);
        assert_eq!(uuid(0, 2, &raw mut len), codes::BUFFER_TOO_SMALL);
        let out = &raw mut other;
        let mut said = Said::nothing();
        let status = rampmeter_node_bridge_create(
            seen.0,
            wrong.as_ptr(),
            wrong.len(),
            &raw const rules,
            out,
            said.place(),
        );
        assert_eq!((status, other), (codes::RANGE, null_mut()));
        assert!(said.text().contains("`uses[].is_used` = 2"), "{}", said.text());
        let of = (uses.as_ptr(), uses.len());
        let status =
            rampmeter_node_bridge_create(seen.0, of.0, of.1, &raw const rules, out, null_mut());
        assert_eq!(status, codes::OK);
        let (to, room, len) = (changes.as_mut_ptr(), changes.len(), &raw mut changes_len);
        let status =
            rampmeter_node_bridge_changes(other, 0, seen.0, pair.placer, to, room, len, null_mut());
        assert_eq!((status, changes_len), (codes::STALE, 99));
        rampmeter_node_bridge_destroy(other);
    }
}

#[test]
fn free_memory_becomes_blocks() {
    let spec = format!(
        "gpu uuid=GPU-1 total={0} free={1}\ngpu uuid=GPU-2 total={0} free={2}\ngpu uuid=GPU-3\n\
         when nvmlDeviceGetMemoryInfo* dev=2 answer=4",
        80 * GIB,
        40 * GIB,
        30 * GIB
    );
    let fake = Fake::nvml(&spec);
    let (asked, seen, mut core) =
        (nvml(&fake), Snapshot::new(), Nvml::with_library(fake.library()));
    assert_eq!(asked.read(0, &seen), codes::OK);
    let core = core.read(Due::ALL);
    let bytes_per_token = rampmeter_kv_bytes_per_token(32, 8, 128, 2, 1);
    assert_eq!(
        (bytes_per_token, rampmeter_kv_bytes_per_token(32, 8, 128, 2, 8)),
        (131_072, 16_384)
    );
    let room = |keep_free_bytes, late, places: &[u32]| {
        let budget = rampmeter_kv_budget { bytes_per_token, keep_free_bytes, ..sized() };
        let (mut room, mut said) = (sized::<rampmeter_kv_room>(), Said::nothing());
        let now = seen.stats().taken_at_ns + late;
        // SAFETY: all are there.
        let status = unsafe {
            let (of, len, out) = (places.as_ptr(), places.len(), &raw mut room);
            rampmeter_snapshot_kv_room(seen.0, now, &raw const budget, of, len, out, said.place())
        };
        (status, room.kv_blocks, room.is_known, room.unknown_place, said)
    };
    let expected = |keep_free, uuids: &[&str]| {
        let budget = KvBudget {
            bytes_per_token: Bytes(bytes_per_token),
            block_tokens: 16,
            keep_free: Bytes(keep_free),
            age_max: Nanos(3_000 * MS),
        };
        budget.geometry(core.taken_at, core, uuids).unwrap().blocks().0
    };
    let (status, blocks, known, ..) = room(GIB, 0, &[0, 1]);
    assert_eq!((status, blocks, known), (codes::OK, expected(GIB, &["GPU-1", "GPU-2"]), 1));
    assert_eq!(blocks, 29 * 512);
    assert_eq!(room(0, 0, &[0]).1, 40 * 512);
    let (status, blocks, known, place, _) = room(0, 0, &[0, 2]);
    assert_eq!((status, blocks, known, place), (codes::OK, 0, 0, 2), "nobody may read it");
    let (status, _, known, place, _) = room(0, 3_001 * MS, &[1, 0]);
    assert_eq!((status, known, place), (codes::OK, 0, 1), "it is too old");
    let refused = |(status, _, _, _, said): (i32, u32, u8, u32, Said)| (status, said.text());
    let (status, said) = refused(room(0, 0, &[]));
    assert!(status == codes::RANGE && said.contains("`places_len` = 0"), "{said}");
    let (status, said) = refused(room(0, 0, &[0, 3]));
    assert!(status == codes::RANGE && said.contains("`places[]` = 3"), "{said}");
    let (status, said) = refused(room(80 * GIB, 0, &[0]));
    assert!(status == codes::RANGE && said.contains("`kv_blocks` = 0"), "{said}");
}

#[test]
fn cuda_s_numbers_are_told_without_cuda() {
    let fake = Fake::nvml(
        "gpu uuid=GPU-a name=A pci=0:9:0\ngpu uuid=GPU-b name=B pci=0:3:0\ngpu uuid=GPU-c name=B pci=0:5:0",
    );
    let (asked, seen, mut core) =
        (nvml(&fake), Snapshot::new(), Nvml::with_library(fake.library()));
    assert_eq!(asked.read(0, &seen), codes::OK);
    let core = core.read(Due::ALL);
    for (order, list) in [
        (Some("PCI_BUS_ID"), None),
        (Some("PCI_BUS_ID"), Some("2,0,7,1")),
        (Some("PCI_BUS_ID"), Some("")),
        (None, Some("GPU-c,GPU-a")),
        (None, None),
        (Some("FASTEST_FIRST"), Some("0")),
    ] {
        let text = |value: Option<&str>| value.map(|value| CString::new(value).unwrap());
        let pointer =
            |value: &Option<CString>| value.as_ref().map_or(null(), |value| value.as_ptr());
        let (c_order, c_list) = (text(order), text(list));
        let (mut places, mut found) = ([99_u32; 4], sized::<rampmeter_visible>());
        // SAFETY: all are there, or null.
        let status = unsafe {
            let (given, to) = ((pointer(&c_order), pointer(&c_list)), places.as_mut_ptr());
            rampmeter_snapshot_visible(seen.0, given.0, given.1, to, 4, &raw mut found, null_mut())
        };
        assert_eq!(status, codes::OK);
        match ordinal::visible(core, order, list) {
            Ok(visible) => {
                let told = places[..found.places_len as usize].iter().map(|place| *place as u16);
                assert_eq!(told.collect::<Vec<_>>(), visible.devices);
                assert_eq!(found.clarity, RAMPMETER_VISIBLE_CLEAR);
                assert_eq!((found.is_ended == 1).then_some(found.ended_at), visible.ended_at);
            }
            Err(_) => {
                assert_eq!((found.clarity, found.places_len), (RAMPMETER_VISIBLE_FASTEST_FIRST, 0));
            }
        }
    }
    let (mut place, mut found) = (99, sized::<rampmeter_visible>());
    // SAFETY: all are there.
    let status = unsafe {
        let (order, to) = (c"PCI_BUS_ID".as_ptr(), &raw mut place);
        rampmeter_snapshot_visible(seen.0, order, null(), to, 1, &raw mut found, null_mut())
    };
    assert_eq!((status, place, found.places_len), (codes::BUFFER_TOO_SMALL, 99, 0));
}
