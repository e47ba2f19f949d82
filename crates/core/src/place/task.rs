//! What a task asks for.

use crate::error::{Error, check_range, check_real};
use crate::fleet::Demand;
use crate::share::AccountId;
use crate::snapshot::{Words, pair};
use crate::units::Nanos;

/// Largest ratio by which a run time may be said to grow.
pub const SLOWDOWN_MAX: f64 = 1_000.0;

/// Highest and lowest priority inside an account.
pub const PRIORITY_MAX: i32 = 1 << 30;

/// Most that crowding one replica may cost, in seconds: a year.
pub const CROWDING_S_MAX: f64 = 31_536_000.0;

/// How far apart is still together: a failure domain, or the reach of a network.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Domain {
    /// One node.
    Node,
    /// One rack.
    Rack,
    /// One zone.
    Zone,
    /// Anywhere.
    #[default]
    Fleet,
}

/// Where the members of a task should be next to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Topology {
    /// All members in one such domain.
    pub within: Domain,
    /// Whether they must be; else being apart is priced.
    pub required: bool,
    /// Share of the run time that is lost where they are not, 0 to [`SLOWDOWN_MAX`].
    pub slowdown_ratio: f64,
    /// Share of the run time that is lost where the devices of a member are in several link
    /// groups, 0 to [`SLOWDOWN_MAX`]. (That they must be in one: [`Demand::one_link_group`].)
    pub link_slowdown_ratio: f64,
}

/// How replicas keep apart, so that one failure does not take them all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Spreading {
    /// Tasks of the same group keep apart; 0: of none.
    pub group: u32,
    /// Domain of a failure.
    pub domain: Domain,
    /// Most members of the group in one domain; 0: any number.
    pub domain_members_max: u32,
    /// What each member of the group already in the domain costs, in seconds of delay.
    pub crowding_s: f64,
}

/// A task: one member, or several that start together (a gang).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Task {
    /// The host's own name for it.
    pub tag: u64,
    /// Who asks.
    pub account: AccountId,
    /// Class, as an index into the policy's classes.
    pub class: u32,
    /// Inside an account, higher goes first. Up to [`PRIORITY_MAX`] either way.
    pub priority: i32,
    /// What each member takes of its node.
    pub member: Demand,
    /// Members wanted, 1 to [`super::PlacerOptions::task_members_max`].
    pub members: u32,
    /// Members with which it can start, 1 to `members`; 0: all of them.
    pub members_min: u32,
    /// Labels that a node must have, as bits.
    pub labels_required: u64,
    /// Labels that a node must not have, as bits.
    pub labels_forbidden: u64,
    /// Where the members should be next to each other.
    pub topology: Topology,
    /// How replicas keep apart.
    pub spreading: Spreading,
    /// Run time expected, with everything warm and alone; zero: unknown.
    pub duration: Nanos,
    /// What it loads before it starts (a model, an image), by the host's number; 0: nothing.
    pub artifact: u32,
    /// How long loading that takes where it is not there.
    pub warm_up: Nanos,
    /// Whether it may be made to end for others.
    pub preemptible: bool,
    /// How long it is left to run before it may be.
    pub min_runtime: Nanos,
}

impl Default for Task {
    /// One member that asks for nothing, of the account of nothing: fill in what matters.
    fn default() -> Self {
        Self {
            tag: 0,
            account: AccountId::default(),
            class: 0,
            priority: 0,
            member: Demand::default(),
            members: 1,
            members_min: 0,
            labels_required: 0,
            labels_forbidden: 0,
            topology: Topology::default(),
            spreading: Spreading::default(),
            duration: Nanos::ZERO,
            artifact: 0,
            warm_up: Nanos::ZERO,
            preemptible: false,
            min_runtime: Nanos::ZERO,
        }
    }
}

impl Task {
    /// Members without which it does not start.
    #[must_use]
    pub const fn members_needed(&self) -> u32 {
        if self.members_min == 0 { self.members } else { self.members_min }
    }

    /// Thousandths of devices that all its members take.
    #[must_use]
    pub const fn gpu_milli(&self) -> u64 {
        self.member.gpu_milli() as u64 * self.members as u64
    }

    /// When it ends at the latest if it starts then: with everything cold; never, as far as is
    /// known, where its duration is not.
    pub(super) const fn ends(&self, started: Nanos) -> Nanos {
        if self.duration.get() == 0 {
            return Nanos::MAX;
        }
        let warm_up = if self.artifact == 0 { Nanos::ZERO } else { self.warm_up };
        started.saturating_add(warm_up).saturating_add(self.duration)
    }

    pub(super) fn check(&self, classes: u32, members_max: u32) -> Result<(), Error> {
        check_range("class", self.class.into(), 0, u64::from(classes) - 1)?;
        let priority = u64::from(self.priority.unsigned_abs());
        check_range("priority", priority, 0, PRIORITY_MAX as u64)?;
        self.member.check()?;
        check_range("members", self.members.into(), 1, members_max.into())?;
        check_range("members_min", self.members_min.into(), 0, self.members.into())?;
        let Topology { slowdown_ratio, link_slowdown_ratio, .. } = self.topology;
        check_real("slowdown_ratio", slowdown_ratio, 0.0, SLOWDOWN_MAX)?;
        check_real("link_slowdown_ratio", link_slowdown_ratio, 0.0, SLOWDOWN_MAX)?;
        check_real("crowding_s", self.spreading.crowding_s, 0.0, CROWDING_S_MAX)?;
        Ok(())
    }
}

impl Domain {
    /// As they are numbered.
    const ALL: [Self; 4] = [Self::Node, Self::Rack, Self::Zone, Self::Fleet];

    fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let place = words.next_within("domain", 0, Self::ALL.len() as u32 - 1)?;
        Ok(Self::ALL[place as usize])
    }
}

impl Topology {
    /// Tells itself as 4 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { within, required, slowdown_ratio, link_slowdown_ratio } = *self;
        save(within as u64);
        save(required.into());
        save(slowdown_ratio.to_bits());
        save(link_slowdown_ratio.to_bits());
    }

    /// Takes what was told; whether it can be is for [`Task::check`] to say.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            within: Domain::load_state(words)?,
            required: words.next_flag("required")?,
            slowdown_ratio: f64::from_bits(words.next()?),
            link_slowdown_ratio: f64::from_bits(words.next()?),
        })
    }
}

impl Spreading {
    /// Tells itself as 3 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { group, domain, domain_members_max, crowding_s } = *self;
        save(pair(group, domain_members_max));
        save(domain as u64);
        save(crowding_s.to_bits());
    }

    /// Takes what was told; whether it can be is for [`Task::check`] to say.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let (group, domain_members_max) = words.next_pair()?;
        let domain = Domain::load_state(words)?;
        let crowding_s = f64::from_bits(words.next()?);
        Ok(Self { group, domain, domain_members_max, crowding_s })
    }
}

impl Task {
    /// Tells itself as 21 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            tag,
            account,
            class,
            priority,
            member,
            members,
            members_min,
            labels_required,
            labels_forbidden,
            topology,
            spreading,
            duration,
            artifact,
            warm_up,
            preemptible,
            min_runtime,
        } = *self;
        save(tag);
        save(account.to_raw());
        save(pair(class, priority.cast_unsigned()));
        member.save_state(save);
        save(pair(members, members_min));
        save(labels_required);
        save(labels_forbidden);
        topology.save_state(save);
        spreading.save_state(save);
        save(duration.get());
        save(pair(artifact, preemptible.into()));
        save(warm_up.get());
        save(min_runtime.get());
    }

    /// Takes what was told; whether it can be is for [`Task::check`] to say.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let (tag, account) = (words.next()?, AccountId::from_raw(words.next()?));
        let (class, priority) = words.next_pair()?;
        let member = Demand::load_state(words)?;
        let (members, members_min) = words.next_pair()?;
        let (labels_required, labels_forbidden) = (words.next()?, words.next()?);
        let topology = Topology::load_state(words)?;
        let spreading = Spreading::load_state(words)?;
        let duration = Nanos(words.next()?);
        let (artifact, preemptible) = words.next_pair()?;
        check_range("preemptible", preemptible.into(), 0, 1)?;
        Ok(Self {
            tag,
            account,
            class,
            priority: priority.cast_signed(),
            member,
            members,
            members_min,
            labels_required,
            labels_forbidden,
            topology,
            spreading,
            duration,
            artifact,
            warm_up: Nanos(words.next()?),
            preemptible: preemptible == 1,
            min_runtime: Nanos(words.next()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is saved as a number is found again under it.
    #[test]
    fn numbers_of_domains_are_their_places() {
        assert!(Domain::ALL.iter().zip(0..).all(|(domain, place)| *domain as u64 == place));
    }
}
