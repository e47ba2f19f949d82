//! Every question, asked on both sides.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, Hold, Lack, ModelId, NodeId, Totals};
use rampmeter::place::compact::Move;
use rampmeter::place::what_if::Change;
use rampmeter::place::{Task, TaskId};
use rampmeter_ffi::batcher::RAMPMETER_NEVER;
use rampmeter_ffi::placer::*;

use crate::caller::{sized, zeros};
use crate::tasks::Both;
use crate::twins::{TASK_MEMBERS_MAX, Twins, hold, node, price, quiet, spec, specs};

const MEMBERS: usize = TASK_MEMBERS_MAX as usize;

impl Twins {
    pub(crate) fn why(&mut self, task: &Both<rampmeter_task, Task>) {
        let mut got = sized::<rampmeter_why>();
        // SAFETY: the placer is good, the task is set, and both places may be written.
        let status = quiet(|| unsafe {
            let (out, said) = (&raw mut got, self.said.place());
            rampmeter_placer_why(self.placer, self.now, &raw const task.c, out, said)
        });
        let core = self.core.why(self.at(), &task.core);
        let Some(core) = self.agrees(status, core) else { return };
        assert_eq!((got.nodes, got.members_fit), (core.nodes, core.members_fit));
        assert_eq!((got.members_needed, got.starts), (core.members_needed, core.starts().into()));
        self.note("why it does not start", !core.starts());
        self.note("why not: it starts", core.starts());
        assert_eq!(got.nodes_lacking[0], core.fits);
        assert_eq!(got.nodes_lacking[1..=Lack::ALL.len()], core.lacks);
        assert_eq!(got.nodes_lacking.iter().sum::<u32>(), core.nodes);
        let nearest = core.nearest.map(|n| (n.node.to_raw(), n.lack as u8 + 1, n.has, n.needs));
        let told = (got.nearest, got.nearest_lack, got.nearest_has, got.nearest_needs);
        assert_eq!(told, nearest.unwrap_or((0, 0, 0, 0)));
    }

    pub(crate) fn expected_start(&mut self, task: u64) {
        let mut got = sized::<rampmeter_expected>();
        // SAFETY: the placer is good, and both places may be written.
        let status = quiet(|| unsafe {
            let (out, said) = (&raw mut got, self.said.place());
            rampmeter_placer_expected_start(self.placer, self.now, task, out, said)
        });
        let core = self.core.expected_start(self.at(), TaskId::from_raw(task));
        if let Some(core) = self.agrees(status, core) {
            let at = core.at.map_or(RAMPMETER_NEVER, Nanos::get);
            assert_eq!((got.at_ns, got.because), (at, core.because as u32));
            self.note("expected at a time", core.at.is_some_and(|at| at > self.at()));
            self.note("expected at no time", core.at.is_none());
        }
    }

    /// The moves that it proposes.
    pub(crate) fn compact(&mut self, moves_max: u32) -> Vec<rampmeter_move> {
        let mut got = sized::<rampmeter_compaction>();
        let mut out = zeros::<rampmeter_move>(moves_max as usize);
        // SAFETY: the placer is good, and all places may be written.
        let status = quiet(|| unsafe {
            let (moves, told, said) = (out.as_mut_ptr(), &raw mut got, self.said.place());
            rampmeter_placer_compact(self.placer, self.now, moves_max, moves, told, said)
        });
        let mut moves = vec![Move::default(); moves_max as usize];
        let core = self.core.compact(self.at(), moves_max, &mut moves);
        let Some(core) = self.agrees(status, core) else { return Vec::new() };
        let told = (got.moves_len, got.stranded_milli, got.gain_s);
        assert_eq!(told, (core.moves_len, core.stranded_milli, core.gain_s));
        for (got, core) in out.iter().zip(moves) {
            let told = (got.task, hold(&got.from), hold(&got.to), got.stranded_milli);
            assert_eq!(told, (core.task.to_raw(), core.from, core.to, core.stranded_milli));
            assert_eq!((got.lost_work_s, got.gain_s), (core.lost_work_s, core.gain_s));
        }
        self.note("moves", core.moves_len > 0);
        out.truncate(core.moves_len as usize);
        out
    }

    /// What if these happened, in this order; and where would the last task go then?
    pub(crate) fn what_if(
        &mut self,
        changes: &[(u32, u64)],
        comes: &[rampmeter_device],
        starts: &Both<rampmeter_task, Task>,
        asked: &Both<rampmeter_task, Task>,
    ) {
        let (spare, devices) = node(1, comes);
        let spare = rampmeter_node { devices: devices.as_ptr(), ..spare };
        let change = |(kind, handle): &(u32, u64)| rampmeter_if {
            kind: *kind,
            reserved: 0,
            handle: *handle,
            node: &raw const spare,
            task: &raw const starts.c,
        };
        let given: Vec<_> = changes.iter().map(change).collect();
        let (tasks, mut fit) = ([&raw const asked.c, &raw const starts.c], [9; 2]);
        let mut got = sized::<rampmeter_what_if>();
        // SAFETY: the placer is good, all that is pointed to is set, all places may be written.
        let status = quiet(|| unsafe {
            let (changes, len, tasks) = (given.as_ptr(), given.len(), tasks.as_ptr());
            let (out, fit, said) = (&raw mut got, fit.as_mut_ptr(), self.said.place());
            rampmeter_placer_what_if(self.placer, self.now, changes, len, tasks, 2, out, fit, said)
        });
        let specs = specs(&devices);
        let change = |(kind, handle): &(u32, u64)| {
            let node = NodeId::from_raw(*handle);
            match *kind {
                RAMPMETER_IF_ADD_NODE => Change::AddNode(spec(&spare, &specs)),
                RAMPMETER_IF_REMOVE_NODE => Change::RemoveNode(node),
                RAMPMETER_IF_FAIL_NODE => Change::FailNode(node),
                RAMPMETER_IF_DRAIN_NODE => Change::DrainNode(node),
                RAMPMETER_IF_RETURN_NODE => Change::ReturnNode(node),
                RAMPMETER_IF_RELEASE => Change::Release(TaskId::from_raw(*handle)),
                _ => Change::Place(&starts.core),
            }
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        let now = self.at();
        let core = self.core.what_if(now, &changes).and_then(|mut what_if| {
            let (total, free) = (*what_if.fleet().total(), *what_if.fleet().free());
            let fit = [what_if.members_fit(&asked.core)?, what_if.members_fit(&starts.core)?];
            Ok((what_if.not_placed(), total, free, fit))
        });
        match self.agrees(status, core) {
            None => assert_eq!((fit, got.total.nodes), ([9; 2], 0)),
            Some((not_placed, total, free, core_fit)) => {
                self.note("what if", !changes.is_empty() && core_fit[0] > 0);
                self.note("what if: not placed", not_placed > 0);
                assert_eq!((got.not_placed, fit), (not_placed, core_fit));
                assert_eq!(amounts(&got.total), core_amounts(&total));
                assert_eq!(amounts(&got.free), core_amounts(&free));
            }
        }
        let (mut out, mut len) = (zeros::<rampmeter_hold>(MEMBERS), 9);
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            let (changes, changes_len) = (given.as_ptr(), given.len());
            let (task, holds) = (&raw const asked.c, out.as_mut_ptr());
            let (len, said) = (&raw mut len, self.said.place());
            rampmeter_placer_place_if(
                self.placer,
                self.now,
                changes,
                changes_len,
                task,
                holds,
                4,
                len,
                said,
            )
        });
        let mut holds = [Hold::default(); MEMBERS];
        let what_if = self.core.what_if(now, &changes);
        let core = what_if.and_then(|mut what_if| what_if.place(&asked.core, &mut holds));
        let core = self.agrees(status, core);
        assert_eq!(len, core.unwrap_or(9));
        self.note("placed if", core.unwrap_or(0) > 0);
        assert!(out.iter().map(hold).eq(holds));
    }

    pub(crate) fn look_at_node(
        &mut self,
        id: u64,
        device: u32,
        member: &Both<rampmeter_demand, Demand>,
    ) {
        let (mut of_node, mut of_device) =
            (sized::<rampmeter_node_state>(), sized::<rampmeter_device_state>());
        let mut choice = sized::<rampmeter_choice>();
        let (mut is_drained, mut is_warm, placer) = (9, 9, self.placer);
        let node = NodeId::from_raw(id);
        // SAFETY: the placer is good, and all places may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_node(placer, id, &raw mut of_node, self.said.place())
        });
        let core = self.core.fleet().node(node).copied();
        if let Some(core) = self.agrees(status, core) {
            let (got, free) = (of_node, (of_node.cpu_free_milli, of_node.memory_free_mib));
            assert_eq!(free, (core.cpu_free_milli, core.memory_free_mib));
            assert_eq!((got.cpu_milli, got.memory_mib), (core.cpu_milli, core.memory_mib));
            assert_eq!(
                (got.holds, got.labels, got.models),
                (core.holds, core.labels, core.models.0)
            );
            assert_eq!(
                (got.rack, got.zone, got.devices_len),
                (core.rack, core.zone, core.devices_len)
            );
            assert_eq!(got.health, core.status as u8);
        }
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            rampmeter_placer_device(placer, id, device, &raw mut of_device, self.said.place())
        });
        let max = |len: usize| (len as u64).saturating_sub(1);
        let core = self.core.fleet().devices(node).and_then(|devices| {
            let (value, max) = (device.into(), max(devices.len()));
            let none = rampmeter::Error::Range { field: "device", value, min: 0, max };
            devices.get(device as usize).copied().ok_or(none)
        });
        if let Some(core) = self.agrees(status, core) {
            let got = of_device;
            assert_eq!(specs(&[got.device]), [core.spec]);
            assert_eq!((got.health, got.holders), (core.health as u8, core.holders));
            assert_eq!((got.slices, got.free_milli), (core.slices, core.free_milli));
            assert_eq!(got.memory_free_mib, core.memory_free_mib);
        }
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            let (member, choice) = (&raw const member.c, &raw mut choice);
            rampmeter_placer_choice(placer, id, member, choice, self.said.place())
        });
        let core = member.core.check().and_then(|()| self.core.fleet().choice(node, &member.core));
        match self.agrees(status, core) {
            None => assert_eq!((choice.devices, choice.lack), (0, 0)),
            Some(Err(lack)) => assert_eq!((choice.devices, choice.lack), (0, lack as u8 + 1)),
            Some(Ok(core)) => {
                let got = (choice.devices, choice.slices, choice.lack);
                assert_eq!(got, (core.devices, core.slices, 0));
            }
        }
        let mut knows = 9;
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            let (member, knows) = (&raw const member.c, &raw mut knows);
            rampmeter_placer_knows_shape(placer, member, knows, self.said.place())
        });
        let core = member.core.check().map(|()| self.core.knows_shape(&member.core));
        assert_eq!(knows, self.agrees(status, core).map_or(9, u8::from));
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            rampmeter_placer_is_drained(placer, id, &raw mut is_drained, self.said.place())
        });
        let core = self.core.drained(node);
        assert_eq!(is_drained, self.agrees(status, core).map_or(9, u8::from));
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            rampmeter_placer_is_warm(placer, id, 1, &raw mut is_warm, self.said.place())
        });
        let core = self.core.is_warm(node, 1);
        assert_eq!(is_warm, self.agrees(status, core).map_or(9, u8::from));
    }

    pub(crate) fn look_at_task(&mut self, id: u64) {
        let (mut state, mut out) = (sized::<rampmeter_task_state>(), zeros(MEMBERS));
        let (mut len, mut lost, task) = (9, -1.0, TaskId::from_raw(id));
        // SAFETY: the placer is good, and all places may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_task(self.placer, id, &raw mut state, self.said.place())
        });
        let core = self.core.task(task).copied();
        if let Some(core) = self.agrees(status, core) {
            let got = (state.stage, state.members_len, state.tag, state.account);
            let asked = (core.task.tag, core.task.account.to_raw());
            assert_eq!(got, (core.stage as u8, core.members_len, asked.0, asked.1));
            let times = (core.submitted.get(), core.started.get());
            assert_eq!((state.submitted_ns, state.started_ns), times);
            assert_eq!(price(&state.price), core.price);
        }
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            let (holds, len, said) = (out.as_mut_ptr(), &raw mut len, self.said.place());
            rampmeter_placer_holds(self.placer, id, holds, MEMBERS, len, said)
        });
        let core = self.core.holds(task).map(|holds| holds.copied().collect::<Vec<_>>());
        match self.agrees(status, core) {
            None => assert_eq!(len, 9),
            Some(core) => {
                assert_eq!(len as usize, core.len());
                assert!(out[..core.len()].iter().map(hold).eq(core));
            }
        }
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            let (lost, said) = (&raw mut lost, self.said.place());
            rampmeter_placer_lost_work(self.placer, self.now, id, lost, said)
        });
        let core = self.core.lost_work_s(self.at(), task);
        assert_eq!(lost, self.agrees(status, core).unwrap_or(-1.0));
    }

    pub(crate) fn look_at_all(&mut self) {
        let (mut fleet, mut model) =
            (sized::<rampmeter_stats_fleet>(), sized::<rampmeter_stats_device_model>());
        let (mut stats, mut shadow_price) = (sized::<rampmeter_stats_placer>(), -1.0);
        let (mut nodes, mut nodes_len) = ([0; 8], 0);
        let (mut promises, mut promises_len) = (zeros::<rampmeter_reservation>(64), 0);
        let (placer, said) = (self.placer, self.said.place());
        // SAFETY: the placer is good, and all places may be written.
        let told = quiet(|| unsafe {
            let promises = promises.as_mut_ptr();
            [
                rampmeter_placer_fleet_stats(placer, &raw mut fleet, said),
                rampmeter_placer_device_model_stats(placer, 1, &raw mut model, said),
                rampmeter_placer_stats(placer, &raw mut stats, said),
                rampmeter_placer_shadow_price(placer, &raw mut shadow_price, said),
                rampmeter_placer_nodes(placer, nodes.as_mut_ptr(), 8, &raw mut nodes_len, said),
                rampmeter_placer_reservations(placer, promises, 64, &raw mut promises_len, said),
            ]
        });
        assert_eq!(told, [0; 6]);
        let there = self.core.fleet();
        assert_eq!(amounts(&fleet.total), core_amounts(there.total()));
        assert_eq!(amounts(&fleet.free), core_amounts(there.free()));
        assert_eq!((fleet.nodes, nodes_len), (there.len(), there.len()));
        let core = there.of_model(ModelId(1));
        assert_eq!((model.devices, model.devices_free), (core.devices, core.devices_free));
        assert_eq!((model.gpu_milli, model.gpu_free_milli), (core.milli, core.free_milli));
        let known = there.iter().map(|(node, _)| node.to_raw());
        assert!(nodes.into_iter().take(nodes_len as usize).eq(known));
        let core = self.core.stats();
        let tasks = (stats.tasks, stats.tasks_max, stats.pending, stats.members, stats.members_max);
        let want = (core.tasks, core.tasks_max, core.pending, core.members, core.members_max);
        assert_eq!(tasks, want);
        assert_eq!((stats.reservations, stats.cycles), (core.reservations, core.cycles));
        assert_eq!(stats.reservations_max, core.reservations_max);
        let of_nodes = (stats.nodes, stats.nodes_max, stats.nodes_ready, stats.devices);
        assert_eq!(of_nodes, (core.nodes, core.nodes_max, core.nodes_ready, core.devices));
        let free = (core.devices_free, core.gpu_free_milli);
        assert_eq!((stats.devices_free, stats.gpu_free_milli), free);
        let promised = promises.iter().take(promises_len as usize);
        let core = self.core.reservations().map(|p| (p.task.to_raw(), p.start_at.get()));
        assert!(promised.map(|p| (p.task, p.start_at_ns)).eq(core));
        assert_eq!(shadow_price, self.core.shadow_price());
    }
}

fn amounts(totals: &rampmeter_totals) -> (u32, u32, u64, u64, u64) {
    let rampmeter_totals { nodes, devices, gpu_milli, cpu_milli, memory_mib } = *totals;
    (nodes, devices, gpu_milli, cpu_milli, memory_mib)
}

fn core_amounts(totals: &Totals) -> (u32, u32, u64, u64, u64) {
    let Totals { nodes, devices, gpu_milli, cpu_milli, memory_mib } = *totals;
    (nodes, devices, gpu_milli, cpu_milli, memory_mib)
}
