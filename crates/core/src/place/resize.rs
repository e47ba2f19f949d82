//! More or fewer members, larger or smaller ones.
//!
//! # What it decides
//! Which members an elastic gang gives back ([`Placer::resize`]): one after the other the one whose
//! end buys back the most, that is whose place would cost the most if it were to be taken again.
//! What slows the whole gang is not bought back by one of them. Members on nodes or devices that
//! are to take nothing new go first. Where it grows, new members are chosen as at the start.
//!
//! Whether members can have other amounts where they are ([`Placer::resize_members`]): all of them,
//! or none.
//!
//! # Bounds and cost
//! To grow: as to start. To shrink: O(members) prices for each one given back. In place:
//! O(members * devices).

use super::gang::{Gang, Pace};
use super::members::{Member, NONE};
use super::price::Price;
use super::{Entry, Placer, Stage, TaskId};
use crate::error::{Error, check_range};
use crate::fleet::{Demand, DeviceChoice, DeviceDemand, Health, Hold, Lack, NodeStatus};
use crate::units::Nanos;

/// What [`Placer::resize`] and [`Placer::resize_members`] decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Resized {
    /// It has what was asked for, from now on.
    Done {
        /// Members that came or went, at the front of the caller's array; or that have other
        /// amounts.
        members_len: u32,
        /// What the change costs; negative parts were bought back.
        price: Price,
    },
    /// Not all of that can be done now, and nothing was.
    NoRoom {
        /// What the node that came closest lacks.
        lack: Lack,
    },
}

/// What a member's end is worth; what is larger goes first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Worth {
    /// Nothing new may be put where it is.
    closed: bool,
    price: Price,
    stranded_milli: i64,
    node_index: u32,
}

impl Worth {
    fn beats(&self, other: &Self) -> bool {
        let rank = |worth: &Self| (worth.closed, worth.price.total_s(), worth.stranded_milli);
        rank(self) > rank(other) || rank(self) == rank(other) && self.node_index < other.node_index
    }
}

impl Placer {
    /// Gives a running gang this many members. Holds that came or went go to the front of `out`.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::Range`] on `members` for fewer than it needs
    /// or more than it asked for; [`Error::Contradiction`] unless it runs;
    /// [`Error::BufferTooSmall`] on `out` for fewer places than members that come or go;
    /// [`Error::Full`] on `members`; [`Error::TimeReversed`]. Nothing is changed then.
    pub fn resize(
        &mut self,
        now: Nanos,
        task: TaskId,
        members: u32,
        out: &mut [Hold],
    ) -> Result<Resized, Error> {
        let entry = *self.running(task, "members")?;
        let (needed, wanted) = (entry.task.members_needed(), entry.task.members);
        check_range("members", members.into(), needed.into(), wanted.into())?;
        let change = members.abs_diff(entry.members_len);
        if (out.len() as u64) < u64::from(change) {
            let (given, needed) = (out.len() as u64, change.into());
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        if members > entry.members_len {
            self.check_members(change)?;
        }
        self.check_now(now)?;
        self.now = now;
        self.look_around(&entry.task);
        let mut gang = Gang {
            first_member: entry.first_member,
            members_len: entry.members_len,
            ..Gang::new(&entry.task, task.index())
        };
        gang.pace = self.pace_of(&gang);
        if members > gang.members_len {
            if let Err(lack) = self.place_gang(&mut gang, members, members)? {
                return Ok(Resized::NoRoom { lack });
            }
            self.warm_members(gang.first_member, entry.first_member, entry.task.artifact);
            for (out, member) in out.iter_mut().zip(self.members.of_task(gang.first_member)) {
                *out = member.hold;
            }
        } else {
            self.shrink(&mut gang, &mut out[..change as usize])?;
        }
        let Gang { first_member, members_len, price, .. } = gang;
        let changed = self.tasks.get_mut(task)?;
        let total = entry.price.plus(&price);
        *changed = Entry { first_member, members_len, price: total, ..entry };
        self.tenants.leave(&entry);
        self.tenants.join(changed);
        if members_len > entry.members_len {
            self.holdings.hold(now, &entry.task, change);
            self.plan_around(first_member);
        } else if change > 0 {
            self.holdings.give(now, &entry.task, change);
            self.freed(true);
        }
        Ok(Resized::Done { members_len: change, price })
    }

    /// Gives back as many members as there are places in `out`.
    fn shrink(&mut self, gang: &mut Gang<'_>, out: &mut [Hold]) -> Result<(), Error> {
        // What is loaded stays loaded.
        gang.pace.cold = true;
        for out in out {
            let mut best: Option<(u32, Worth)> = None;
            let mut at = gang.first_member;
            while let Some(&member) = self.members.at(at) {
                let worth = self.worth_of_end(gang, &member)?;
                if best.is_none_or(|(_, best)| worth.beats(&best)) {
                    best = Some((at, worth));
                }
                at = member.next_of_task;
            }
            let Some((at, worth)) = best else { break };
            let Some(hold) = self.members.remove(&mut gang.first_member, at) else { break };
            self.fleet.give(&hold)?;
            self.moved(gang.task, hold.node.index(), false);
            gang.members_len -= 1;
            gang.price = gang.price.plus(&worth.price.bought_back());
            *out = hold;
        }
        Ok(())
    }

    /// What it would cost to place a member again where it is. It is given back to see, and taken
    /// again.
    fn worth_of_end(&mut self, gang: &Gang<'_>, member: &Member) -> Result<Worth, Error> {
        let (hold, index) = (member.hold, member.hold.node.index());
        let mut worth =
            Worth { closed: true, price: Price::default(), stranded_milli: 0, node_index: index };
        if self.is_closed(&hold) {
            return Ok(worth);
        }
        self.fleet.give(&hold)?;
        self.moved(gang.task, index, false);
        let priced = self.price_at(index, gang);
        self.fleet.take(hold.node, &gang.task.member, place_of(&hold))?;
        self.moved(gang.task, index, true);
        worth.closed = priced.is_err();
        if let Ok(choice) = priced {
            worth.price = choice.price;
            worth.stranded_milli = choice.stranded_milli;
        }
        Ok(worth)
    }

    /// How a gang that runs goes.
    fn pace_of(&self, gang: &Gang<'_>) -> Pace {
        let mut pace = Pace { apart: self.is_apart(gang), ..Pace::default() };
        for member in self.members.of_task(gang.first_member) {
            let (index, place) = (member.hold.node.index(), place_of(&member.hold));
            let felt = self.interference_at(index, place, gang);
            pace.interference_ratio = pace.interference_ratio.max(felt.own_ratio);
            pace.crossing |= self.crosses(index, place);
        }
        pace
    }

    /// Gives every member of a running task other amounts of what it has: of CPU and memory, and
    /// of the devices that it has shares of. Priced at nothing, since there is nothing to choose.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::Contradiction`] unless it runs, and for other
    /// models, devices of another kind or number, or another partition; [`Error::Range`] for a
    /// demand that cannot be; [`Error::TimeReversed`]. Nothing is changed then.
    pub fn resize_members(
        &mut self,
        now: Nanos,
        task: TaskId,
        member: &Demand,
    ) -> Result<Resized, Error> {
        let entry = *self.running(task, "member")?;
        member.check()?;
        check_same_kind(&entry.task.member, member)?;
        self.check_now(now)?;
        self.now = now;
        let mut at = entry.first_member;
        while let Some(next) = self.members.at(at).map(|member| member.next_of_task) {
            if let Some(lack) = self.exchange(at, &entry, member)? {
                // Those before it go back: what they had is free.
                let mut done = entry.first_member;
                while done != at {
                    let Some(next) = self.members.at(done).map(|member| member.next_of_task) else {
                        break;
                    };
                    self.swap(done, &entry.task.member)?;
                    done = next;
                }
                return Ok(Resized::NoRoom { lack });
            }
            at = next;
        }
        let changed = self.tasks.get_mut(task)?;
        changed.task.member = *member;
        self.tenants.leave(&entry);
        self.tenants.join(changed);
        self.holdings.give(now, &entry.task, entry.members_len);
        self.holdings.hold(now, &changed.task, entry.members_len);
        self.freed(true);
        self.plan_around(entry.first_member);
        Ok(Resized::Done { members_len: entry.members_len, price: Price::default() })
    }

    /// A member gets other amounts where it is, or it is said what is missing there.
    fn exchange(&mut self, at: u32, entry: &Entry, wanted: &Demand) -> Result<Option<Lack>, Error> {
        let Some(&Member { hold, .. }) = self.members.at(at) else { return Ok(None) };
        if let Some(lack) = self.lack_in_place(&hold, wanted) {
            return Ok(Some(lack));
        }
        let ends = entry.task.ends(entry.started);
        let kept = !grows(&hold, wanted) || self.promises.leave_alone(hold.node.index(), ends);
        if kept {
            self.swap(at, wanted)?;
        }
        Ok((!kept).then_some(Lack::Reserved))
    }

    fn swap(&mut self, at: u32, wanted: &Demand) -> Result<(), Error> {
        let Some(&Member { hold, .. }) = self.members.at(at) else { return Ok(()) };
        let hold = self.fleet.exchange(&hold, wanted)?;
        self.members.replace(at, hold);
        self.stranding.changed(&self.fleet, &self.members, hold.node.index());
        Ok(())
    }

    /// What a member's own place lacks for other amounts.
    fn lack_in_place(&self, hold: &Hold, wanted: &Demand) -> Option<Lack> {
        let node = self.fleet.at(hold.node.index())?;
        let (milli, memory_mib) = of_devices(hold, wanted);
        if grows(hold, wanted) && self.is_closed(hold) {
            return Some(Lack::Status);
        }
        // Nothing is missing of what does not grow, whatever else has changed there.
        let missing = |wanted: u32, held: u32, free: u32| wanted.saturating_sub(held) > free;
        let any = |is_missing: &dyn Fn(u32, u32) -> bool| {
            let devices = self.fleet.devices_at(hold.node.index()).iter().enumerate();
            let mut held = devices.filter(|(at, _)| hold.devices >> at & 1 == 1);
            held.any(|(_, device)| is_missing(device.free_milli.into(), device.memory_free_mib))
        };
        let held_milli = u32::from(hold.device_milli);
        if missing(wanted.cpu_milli, hold.cpu_milli, node.cpu_free_milli) {
            Some(Lack::Cpu)
        } else if missing(wanted.memory_mib, hold.memory_mib, node.memory_free_mib) {
            Some(Lack::Memory)
        } else if any(&|free, _| missing(milli.into(), held_milli, free)) {
            Some(Lack::Devices)
        } else if any(&|_, free| missing(memory_mib, hold.device_memory_mib, free)) {
            Some(Lack::DeviceMemory)
        } else {
            None
        }
    }

    /// Whether nothing new may be put where a member is.
    fn is_closed(&self, hold: &Hold) -> bool {
        let index = hold.node.index();
        let ready = self.fleet.at(index).is_some_and(|node| node.status == NodeStatus::Ready);
        let devices = self.fleet.devices_at(index).iter().enumerate();
        let mut held = devices.filter(|(at, _)| hold.devices >> at & 1 == 1);
        !ready || held.any(|(_, device)| device.health != Health::Ready)
    }

    pub(super) fn running(&self, task: TaskId, field: &'static str) -> Result<&Entry, Error> {
        let entry = self.tasks.get(task)?;
        if entry.stage != Stage::Running || entry.first_member == NONE {
            return Err(Error::Contradiction {
                field,
                value: task.to_raw(),
                other: "stage",
                other_value: entry.stage as u64,
            });
        }
        Ok(entry)
    }
}

/// Where a member is on its node.
fn place_of(hold: &Hold) -> DeviceChoice {
    DeviceChoice { devices: hold.devices, slices: hold.slices }
}

/// Thousandths and memory of each device that a member would hold where it is.
const fn of_devices(hold: &Hold, wanted: &Demand) -> (u16, u32) {
    match wanted.devices {
        DeviceDemand::Share { milli, memory_mib, .. } => (milli, memory_mib),
        _ => (hold.device_milli, hold.device_memory_mib),
    }
}

/// Whether more of anything is wanted than is held.
const fn grows(hold: &Hold, wanted: &Demand) -> bool {
    let (milli, memory_mib) = of_devices(hold, wanted);
    wanted.cpu_milli > hold.cpu_milli
        || wanted.memory_mib > hold.memory_mib
        || milli > hold.device_milli
        || memory_mib > hold.device_memory_mib
}

/// Only amounts may differ.
fn check_same_kind(old: &Demand, new: &Demand) -> Result<(), Error> {
    let contradiction = |field, value, other, other_value| {
        Err(Error::Contradiction { field, value, other, other_value })
    };
    let shares = match (old.devices, new.devices) {
        (DeviceDemand::Share { count, .. }, DeviceDemand::Share { count: other, .. }) => {
            count == other
        }
        (old, new) => old == new,
    };
    if !shares {
        let milli = (new.gpu_milli().into(), old.gpu_milli().into());
        return contradiction("member.devices", milli.0, "devices of the task", milli.1);
    }
    if new.models != old.models {
        return contradiction("member.models", new.models.0, "models of the task", old.models.0);
    }
    if new.one_link_group != old.one_link_group {
        let (new, old) = (new.one_link_group.into(), old.one_link_group.into());
        return contradiction("member.one_link_group", new, "one_link_group of the task", old);
    }
    Ok(())
}
