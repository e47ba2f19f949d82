//! Members next to each other.
//!
//! # What it decides
//! Where members should be in one domain ([`Topology::within`]): in which, and, where they need not
//! be ([`Topology::required`]), whether to be apart.
//!
//! # Formula
//! ```text
//! together in a domain   sum of the members' prices there
//! apart                  sum of the members' prices anywhere + slowdown_ratio * T * w, once
//! ```
//! with T the run time and `w = v + g * pi` the worth of a second of the whole gang. Every domain is
//! tried as a whole, and, unless they must be together, the whole fleet. The most members win, then
//! the lowest price, then being together, then the lowest number of the domain.
//!
//! # Bounds and cost
//! Every node stands in one domain of a kind, so that trying all of them prices each node at most
//! once for each member, as does the whole fleet: O(members * nodes), and the winner is done
//! again. A domain that can hold a gang of equal members is found: what one member takes of a node
//! leaves as much for the next ones whichever node came first. (Members that take shares of
//! several devices each are the exception: which devices one takes may cost another its place.)
//!
//! # What it is bad at
//! Being apart costs the same in two domains and in ten.

use super::Placer;
use super::domains::{self, Run};
use super::gang::Gang;
use super::members::NONE;
use super::task::{Domain, Topology};
use crate::error::Error;
use crate::fleet::Lack;

/// How a gang would be placed in one domain.
#[derive(Clone, Copy, Debug)]
struct Trial {
    run: Run,
    members_len: u32,
    total_s: f64,
}

impl Trial {
    fn beats(&self, other: &Self) -> bool {
        self.members_len > other.members_len
            || self.members_len == other.members_len && self.total_s < other.total_s
    }
}

impl Placer {
    /// Places members of a gang until it has as many as wanted, or at least as needed; else
    /// changes nothing and says what is in the way.
    pub(super) fn place_gang(
        &mut self,
        gang: &mut Gang<'_>,
        needed: u32,
        wanted: u32,
    ) -> Result<Result<(), Lack>, Error> {
        let before = *gang;
        let placed = if self.likes_one_domain(gang, wanted) {
            self.place_near(gang, needed, wanted)
        } else {
            self.fill(gang, wanted, self.domains.everywhere()).map(|lack| lack.map_or(Ok(()), Err))
        };
        if placed.is_ok() && gang.members_len >= needed {
            return Ok(Ok(()));
        }
        self.undo(gang, &before)?;
        placed
    }

    /// Whether the domains of members matter, and are not lost already.
    fn likes_one_domain(&self, gang: &Gang<'_>, wanted: u32) -> bool {
        let Topology { within, required, slowdown_ratio, .. } = gang.task.topology;
        let priced = slowdown_ratio > 0.0 && self.rules.link_weight > 0.0 && !gang.pace.apart;
        within != Domain::Fleet && wanted > 1 && (required || priced)
    }

    fn place_near(
        &mut self,
        gang: &mut Gang<'_>,
        needed: u32,
        wanted: u32,
    ) -> Result<Result<(), Lack>, Error> {
        let Topology { within, required, .. } = gang.task.topology;
        let mut best: Option<Trial> = None;
        let mut closest = Lack::Status;
        if let Some(member) = self.members.at(gang.first_member) {
            // Those that run already say where.
            let run = self.domains.of(&self.fleet, within, member.hold.node.index());
            closest = self.attempt(gang, needed, wanted, run, &mut best)?;
        } else {
            let mut begin = 0;
            while let Some(run) = self.domains.next(within, begin) {
                begin = run.end;
                closest = closest.max(self.attempt(gang, needed, wanted, run, &mut best)?);
            }
        }
        if !required || best.is_none() {
            let mut apart = if required { None } else { best };
            let everywhere = self.domains.everywhere();
            closest = closest.max(self.attempt(gang, needed, wanted, everywhere, &mut apart)?);
            if required && apart.is_some() {
                closest = Lack::Topology;
            } else {
                best = apart;
            }
        }
        let Some(Trial { run, members_len, .. }) = best else { return Ok(Err(closest)) };
        self.fill(gang, members_len, run)?;
        self.charge_apart(gang);
        Ok(Ok(()))
    }

    /// Places members in a domain, keeps in mind how that went if it is the best so far, and takes
    /// them back. What was in the way of more of them.
    fn attempt(
        &mut self,
        gang: &mut Gang<'_>,
        needed: u32,
        wanted: u32,
        run: Run,
        best: &mut Option<Trial>,
    ) -> Result<Lack, Error> {
        let before = *gang;
        let filled = self.fill(gang, wanted, run);
        self.charge_apart(gang);
        let trial = Trial { run, members_len: gang.members_len, total_s: gang.price.total_s() };
        self.undo(gang, &before)?;
        let lack = filled?;
        if trial.members_len >= needed && best.is_none_or(|best| trial.beats(&best)) {
            *best = Some(trial);
        }
        Ok(lack.unwrap_or(Lack::Status))
    }

    /// A gang whose members are in several domains pays for it, once.
    fn charge_apart(&self, gang: &mut Gang<'_>) {
        if !gang.pace.apart && self.is_apart(gang) {
            let task = gang.task;
            let slower_s = task.topology.slowdown_ratio * self.horizon.run_s(task);
            gang.price.link_s += self.rules.link_weight * slower_s * self.worth_of_second(task);
            gang.pace.apart = true;
        }
    }

    /// Whether the members of a gang are in several of the domains that they should be in one of.
    pub(super) fn is_apart(&self, gang: &Gang<'_>) -> bool {
        let within = gang.task.topology.within;
        let number = |index| domains::number(&self.fleet, within, index);
        let mut members = self.members.of_task(gang.first_member);
        let mut numbers = members.by_ref().map(|member| number(member.hold.node.index()));
        gang.first_member != NONE
            && numbers.next().is_some_and(|first| numbers.any(|other| other != first))
    }
}
