//! Every call that changes something, made on both sides.

use rampmeter::fleet::{Demand, Hold, NodeId};
use rampmeter::place::{CyclePlan, MixEntry, Placed, Resized, Task, TaskId};
use rampmeter::{Error, Nanos};
use rampmeter_ffi::placer::*;

use crate::caller::{sized, zeros};
use crate::tasks::Both;
use crate::twins::{TASK_MEMBERS_MAX, Twins, hold, price, quiet};

const MEMBERS: usize = TASK_MEMBERS_MAX as usize;

type Node = (u64, u32);

/// An event of a node or of one of its devices: what C calls, and what the core does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Remove,
    Drain,
    Fail,
    Return,
    DrainDevice,
    FailDevice,
    ReturnDevice,
}

impl Twins {
    pub(crate) fn place(&mut self, task: &Both<rampmeter_task, Task>) {
        let (mut placed, mut out) = (sized::<rampmeter_placed>(), zeros(MEMBERS));
        // SAFETY: the placer is good, the task is set, and all places may be written.
        let status = quiet(|| unsafe {
            let (placed, said) = (&raw mut placed, self.said.place());
            let holds = out.as_mut_ptr();
            rampmeter_placer_place(self.placer, self.now, &raw const task.c, holds, 4, placed, said)
        });
        let mut holds = [Hold::default(); MEMBERS];
        let core = self.core.place(self.at(), &task.core, &mut holds);
        match self.agrees(status, core) {
            Some(Placed::Running { task, members_len, price: paid }) => {
                assert_eq!((placed.task, placed.members_len), (task.to_raw(), members_len));
                assert_eq!((price(&placed.price), placed.lack), (paid, RAMPMETER_LACK_NONE));
                self.tasks.push(placed.task);
                self.note("placed", true);
                self.note("gang placed", members_len > 1);
            }
            Some(Placed::NoRoom { lack }) => {
                assert_eq!((placed.task, placed.members_len), (0, 0));
                assert_eq!(placed.lack, lack as u8 + 1);
                self.note("no room", true);
            }
            None => {
                assert_eq!((placed.task, placed.lack), (0, 0));
                self.note("refused", true);
            }
        }
        assert!(out.iter().map(hold).eq(holds));
    }

    pub(crate) fn submit(&mut self, task: &Both<rampmeter_task, Task>) -> Option<u64> {
        let mut submitted = 0;
        // SAFETY: the placer is good, the task is set, and both places may be written.
        let status = quiet(|| unsafe {
            let (out, said) = (&raw mut submitted, self.said.place());
            rampmeter_placer_submit(self.placer, self.now, &raw const task.c, out, said)
        });
        let core = self.core.submit(self.at(), &task.core);
        let core = self.agrees(status, core)?;
        assert_eq!(submitted, core.to_raw());
        self.tasks.push(submitted);
        Some(submitted)
    }

    pub(crate) fn release(&mut self, task: u64) {
        // SAFETY: the placer is good, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_release(self.placer, self.now, task, self.said.place())
        });
        let core = self.core.release(self.at(), TaskId::from_raw(task));
        self.agrees(status, core);
    }

    pub(crate) fn requeue(&mut self, task: u64) {
        // SAFETY: the placer is good, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_requeue(self.placer, self.now, task, self.said.place())
        });
        let core = self.core.requeue(self.at(), TaskId::from_raw(task));
        let done = self.agrees(status, core);
        self.note("requeued", done.is_some());
    }

    pub(crate) fn checkpointed(&mut self, task: u64, at_ns: u64) {
        // SAFETY: the placer is good, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_checkpointed(self.placer, self.now, task, at_ns, self.said.place())
        });
        let core = self.core.checkpointed(self.at(), TaskId::from_raw(task), Nanos(at_ns));
        let done = self.agrees(status, core);
        self.note("checkpointed", done.is_some());
    }

    fn resized(
        &mut self,
        status: i32,
        task: u64,
        got: &rampmeter_placed,
        core: Result<Resized, Error>,
    ) {
        match self.agrees(status, core) {
            Some(Resized::Done { members_len, price: paid }) => {
                assert_eq!((got.task, got.members_len), (task, members_len));
                assert_eq!((price(&got.price), got.lack), (paid, RAMPMETER_LACK_NONE));
                self.note("resized", members_len > 0);
            }
            Some(Resized::NoRoom { lack }) => {
                assert_eq!((got.task, got.lack), (0, lack as u8 + 1));
                self.note("no room to grow", true);
            }
            None => assert_eq!((got.task, got.lack), (0, 0)),
        }
    }

    pub(crate) fn resize(&mut self, task: u64, members: u32) {
        let (mut placed, mut out) = (sized::<rampmeter_placed>(), zeros(MEMBERS));
        // SAFETY: the placer is good, and all places may be written.
        let status = quiet(|| unsafe {
            let (placed, said) = (&raw mut placed, self.said.place());
            let holds = out.as_mut_ptr();
            rampmeter_placer_resize(self.placer, self.now, task, members, holds, 4, placed, said)
        });
        let mut holds = [Hold::default(); MEMBERS];
        let core = self.core.resize(self.at(), TaskId::from_raw(task), members, &mut holds);
        self.resized(status, task, &placed, core);
        assert!(out.iter().map(hold).eq(holds));
    }

    pub(crate) fn resize_members(&mut self, task: u64, member: &Both<rampmeter_demand, Demand>) {
        let mut placed = sized::<rampmeter_placed>();
        // SAFETY: the placer is good, the demand is set, and all places may be written.
        let status = quiet(|| unsafe {
            let (member, placed) = (&raw const member.c, &raw mut placed);
            let said = self.said.place();
            rampmeter_placer_resize_members(self.placer, self.now, task, member, placed, said)
        });
        let core = self.core.resize_members(self.at(), TaskId::from_raw(task), &member.core);
        self.resized(status, task, &placed, core);
    }

    pub(crate) fn moved_to(&mut self, task: u64, to: &rampmeter_hold) {
        // SAFETY: the placer is good, the hold is set, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_moved_to(self.placer, self.now, task, to, self.said.place())
        });
        let core = self.core.moved_to(self.at(), TaskId::from_raw(task), &hold(to));
        let done = self.agrees(status, core);
        self.note("moved", done.is_some());
    }

    pub(crate) fn event(&mut self, event: Event, (node, device): Node) {
        let (mut out, mut len) = ([0; 32], 0);
        let (placer, said) = (self.placer, self.said.place());
        let (tasks, room, len_place) = (out.as_mut_ptr(), out.len(), &raw mut len);
        // SAFETY: the placer is good, and all places may be written.
        let status = quiet(|| unsafe {
            match event {
                Event::Remove => rampmeter_placer_remove_node(placer, node, said),
                Event::Drain => {
                    rampmeter_placer_drain_node(placer, node, tasks, room, len_place, said)
                }
                Event::Fail => {
                    rampmeter_placer_fail_node(placer, node, tasks, room, len_place, said)
                }
                Event::Return => rampmeter_placer_return_node(placer, node, said),
                Event::DrainDevice => rampmeter_placer_drain_device(
                    placer, node, device, tasks, room, len_place, said,
                ),
                Event::FailDevice => {
                    rampmeter_placer_fail_device(placer, node, device, tasks, room, len_place, said)
                }
                Event::ReturnDevice => rampmeter_placer_return_device(placer, node, device, said),
            }
        });
        let (core, id, mut told) =
            (&mut self.core, NodeId::from_raw(node), [TaskId::default(); 32]);
        let core = match event {
            Event::Remove => core.remove_node(id).map(|()| 0),
            Event::Drain => core.drain_node(id, &mut told),
            Event::Fail => core.fail_node(id, &mut told),
            Event::Return => core.return_node(id).map(|()| 0),
            Event::DrainDevice => core.drain_device(id, device, &mut told),
            Event::FailDevice => core.fail_device(id, device, &mut told),
            Event::ReturnDevice => core.return_device(id, device).map(|()| 0),
        };
        let core = self.agrees(status, core).unwrap_or(0);
        assert_eq!(len, core);
        self.note("tasks told of an event", core > 0);
        assert!(out.into_iter().eq(told.map(TaskId::to_raw)));
    }

    pub(crate) fn say(&mut self, node: u64, labels: u64, artifact: u32, is_warm: bool) {
        let id = NodeId::from_raw(node);
        // SAFETY: the placer is good, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_set_labels(self.placer, node, labels, self.said.place())
        });
        let core = self.core.set_labels(id, labels);
        self.agrees(status, core);
        // SAFETY: as above.
        let status = quiet(|| unsafe {
            let warm = is_warm.into();
            rampmeter_placer_set_warm(self.placer, node, artifact, warm, self.said.place())
        });
        let core = self.core.set_warm(id, artifact, is_warm);
        self.agrees(status, core);
    }

    pub(crate) fn set_mix(&mut self, mix: &[(Both<rampmeter_demand, Demand>, u32)]) {
        let entry = |(member, weight): &(Both<rampmeter_demand, Demand>, u32)| {
            rampmeter_mix_entry { member: member.c, weight: *weight, reserved: 0 }
        };
        let given: Vec<_> = mix.iter().map(entry).collect();
        // SAFETY: the placer is good, so many entries may be read, and the error may be written.
        let status = quiet(|| unsafe {
            let (entries, len) = (given.as_ptr(), given.len());
            rampmeter_placer_set_mix(self.placer, entries, len, self.said.place())
        });
        let entry = |(member, weight): &(Both<rampmeter_demand, Demand>, u32)| MixEntry {
            demand: member.core,
            weight: *weight,
        };
        let core = self.core.set_mix(&mix.iter().map(entry).collect::<Vec<_>>());
        let done = self.agrees(status, core);
        self.note("mix", done.is_some() && !mix.is_empty());
    }

    pub(crate) fn set_shadow_price(&mut self, shadow_price: f64) {
        // SAFETY: the placer is good, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_set_shadow_price(self.placer, shadow_price, self.said.place())
        });
        let core = self.core.set_shadow_price(shadow_price);
        self.agrees(status, core);
    }

    /// A cycle; the tasks that are to end.
    pub(crate) fn cycle(&mut self, [started, ending, reserved]: [usize; 3]) -> Vec<u64> {
        let mut got = sized::<rampmeter_cycle>();
        let (mut starts, mut ends, mut promises) =
            (vec![0; started], vec![0; ending], zeros::<rampmeter_reservation>(reserved));
        let plan = rampmeter_cycle_plan {
            started_capacity: started as u32,
            ending_capacity: ending as u32,
            reserved_capacity: reserved as u32,
            started: starts.as_mut_ptr(),
            ending: ends.as_mut_ptr(),
            reserved: promises.as_mut_ptr(),
            ..sized()
        };
        // SAFETY: both objects are good, the plan is set, and all places may be written.
        let status = quiet(|| unsafe {
            let (plan, got, said) = (&raw const plan, &raw mut got, self.said.place());
            rampmeter_placer_cycle(self.placer, self.now, self.ledger, plan, got, said)
        });
        let (mut core_starts, mut core_ends, mut core_promises) = (
            vec![TaskId::default(); started],
            vec![TaskId::default(); ending],
            vec![rampmeter::place::Reservation::default(); reserved],
        );
        let mut plan = CyclePlan {
            started: &mut core_starts,
            ending: &mut core_ends,
            reserved: &mut core_promises,
        };
        let core = self.core.cycle(Nanos(self.now), &mut self.core_ledger, &mut plan);
        let Some(core) = self.agrees(status, core) else { return Vec::new() };
        self.note("started", core.started_len > 0);
        self.note("ending", core.ending_len > 0);
        self.note("reserved", core.reserved_len > 0);
        self.note("over limit", core.over_limit > 0);
        self.note("more", core.more);
        let lens = (core.started_len, core.ending_len, core.reserved_len);
        assert_eq!((got.started_len, got.ending_len, got.reserved_len), lens);
        let counts = (core.looked_at, core.no_room, core.over_limit, core.passed_over);
        assert_eq!((got.looked_at, got.no_room, got.over_limit, got.passed_over), counts);
        assert_eq!((got.replays, got.more), (core.replays, core.more.into()));
        assert!(starts.into_iter().eq(core_starts.into_iter().map(TaskId::to_raw)));
        assert!(ends.iter().copied().eq(core_ends.into_iter().map(TaskId::to_raw)));
        let promised = promises.into_iter().map(|promise| (promise.task, promise.start_at_ns));
        assert!(promised.eq(core_promises.iter().map(|p| (p.task.to_raw(), p.start_at.get()))));
        ends.truncate(core.ending_len as usize);
        ends
    }

    pub(crate) fn reclaim_for(&mut self, task: u64) {
        let (mut out, mut is_possible, mut len) = ([0; 8], 9, 9);
        // SAFETY: both objects are good, and all places may be written.
        let status = quiet(|| unsafe {
            let (place, room) = (out.as_mut_ptr(), out.len());
            let (possible, len) = (&raw mut is_possible, &raw mut len);
            let (placer, ledger, said) = (self.placer, self.ledger, self.said.place());
            rampmeter_placer_reclaim_for(
                placer, self.now, ledger, task, place, room, possible, len, said,
            )
        });
        let (now, mut ends) = (self.at(), [TaskId::default(); 8]);
        let id = TaskId::from_raw(task);
        let core = self.core.reclaim_for(now, &mut self.core_ledger, id, &mut ends);
        match self.agrees(status, core) {
            None => assert_eq!((is_possible, len), (9, 9)),
            Some(found) => {
                self.note("reclaimed", found.is_some());
                assert_eq!((is_possible, len), (found.is_some().into(), found.unwrap_or(0)));
            }
        }
        assert!(out.into_iter().eq(ends.map(TaskId::to_raw)));
    }

    pub(crate) fn settle(&mut self) {
        // SAFETY: both objects are good, and the error may be written.
        let status = quiet(|| unsafe {
            rampmeter_placer_settle(self.placer, self.now, self.ledger, self.said.place())
        });
        let core = self.core.settle(Nanos(self.now), &mut self.core_ledger);
        self.agrees(status, core);
    }
}
