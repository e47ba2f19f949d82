//! Requests that share the KV of one prompt (n > 1).
//!
//! # What it decides
//! The first of a group that gets a seat computes the prompt. The others stand aside until a step
//! is formed that ends it, and may then come in with any later step: they begin with the full
//! blocks of the prompt, which are counted once.
//!
//! # Formula
//! ```text
//! shared blocks   floor((prompt_tokens - 1) / block_tokens), so that one token is left to compute
//! private blocks  blocks_for(tokens) - shared blocks
//! ```
//! If the member that computes loses its seat before the prompt is done, the next one computes.
//! The shared blocks are free when the last member that holds them has lost its KV or ended; the
//! next member to come in then computes the prompt again.
//!
//! # Bounds and cost
//! At most [`SHARERS_MAX`] members in a group, and [`GROUPS_PER_SEAT`] groups for each seat, of 12
//! bytes each. O(1) for each change, O(members * log requests) when a prompt is done.
//!
//! # What it is bad at
//! A prompt counts as computed once the step that ends it is formed. If the engine then fails to
//! run that step, it must fail the members that came in behind it, too.

mod state;

use alloc::boxed::Box;
use alloc::vec;

use super::Batcher;
use super::admission::Lines;
use super::aside::Obstacle;
use super::request::{Request, Stage, Submission};
use crate::batch::queue::NONE;
use crate::error::Error;
use crate::handle::Slab;
use crate::policy::Limits;
use crate::units::Nanos;

/// Requests that may share one prompt: the most completions that public chat interfaces take in
/// one call (`n` up to 128).
pub const SHARERS_MAX: u32 = 128;

#[derive(Clone, Copy, Debug)]
struct Group {
    /// Root of the members that stand aside; the next vacant group while this one is.
    aside: u32,
    /// Who computes the prompt.
    computing: u32,
    members: u8,
    aside_len: u8,
    /// Members that hold the shared blocks.
    holders: u8,
}

const VACANT: Group = Group { aside: NONE, computing: NONE, members: 0, aside_len: 0, holders: 0 };

/// Who shares with whom.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Box<[Group]>,
    vacant: u32,
}

/// Groups that may be known at once, for each seat: those that have one, and as many in line.
/// Beyond that an answer is worth more than the memory, which requests have none left of.
const GROUPS_PER_SEAT: u32 = 2;

const fn groups_max(limits: &Limits) -> u32 {
    limits.running_max.saturating_mul(GROUPS_PER_SEAT)
}

impl Groups {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut groups = vec![VACANT; groups_max(limits) as usize].into_boxed_slice();
        let len = groups.len() as u32;
        for (group, next) in groups.iter_mut().zip(1..len) {
            group.aside = next;
        }
        Self { groups, vacant: 0 }
    }

    pub(super) const fn bytes_needed(limits: &Limits) -> u64 {
        groups_max(limits) as u64 * size_of::<Group>() as u64
    }

    /// Root of the members that stand aside, of whom there is to be one more.
    pub(super) fn aside(&mut self, group: u32) -> &mut u32 {
        let group = &mut self.groups[group as usize];
        group.aside_len += 1;
        &mut group.aside
    }

    /// Root of the members that stand aside, of whom there is to be one less.
    pub(super) fn leave_aside(&mut self, group: u32) -> &mut u32 {
        let group = &mut self.groups[group as usize];
        group.aside_len -= 1;
        &mut group.aside
    }

    fn get(&self, group: u32) -> Option<&Group> {
        if group == NONE { None } else { self.groups.get(group as usize) }
    }

    /// The KV of the prompt is there to be shared.
    fn is_ready(&self, group: u32) -> bool {
        self.get(group).is_some_and(|group| group.holders > 0)
    }

    /// The prompt is being computed by a member with a seat.
    pub(super) fn is_computed_by_another(&self, group: u32) -> bool {
        self.get(group).is_some_and(|group| group.computing != NONE)
    }

    fn open(&mut self) -> Result<u32, Error> {
        let index = self.vacant;
        let capacity = self.groups.len() as u64;
        let group =
            self.groups.get_mut(index as usize).ok_or(Error::Full { field: "shares", capacity })?;
        self.vacant = group.aside;
        *group = Group { members: 1, ..VACANT };
        Ok(index)
    }

    fn check_room(&self, group: u32) -> Result<(), Error> {
        let (full, capacity) = match self.get(group) {
            Some(group) => (u32::from(group.members) >= SHARERS_MAX, SHARERS_MAX),
            None => (self.vacant == NONE, self.groups.len() as u32),
        };
        if full {
            return Err(Error::Full { field: "shares", capacity: capacity.into() });
        }
        Ok(())
    }

    /// The next member to be called to the line: nobody has the KV, nobody computes it, and
    /// nobody is in line to do so.
    fn called(&self, group: u32) -> Option<u32> {
        let group = self.get(group)?;
        let idle = group.holders == 0 && group.computing == NONE;
        (idle && group.aside_len == group.members && group.aside != NONE).then_some(group.aside)
    }
}

impl Lines {
    /// Calls a member that stands aside to compute the prompt, if nobody else does.
    fn call_member(&mut self, requests: &mut Slab<Request>, group: u32) {
        if let Some(member) = self.groups.called(group) {
            self.come_back(requests, member);
        }
    }
}

impl Batcher {
    /// Blocks of its context that a request need not have of its own: those that it shares, or
    /// could share if it were let in now.
    pub(super) fn shared_blocks(&self, request: &Request) -> u32 {
        let waits = !matches!(request.stage, Stage::Running | Stage::HandedOver);
        if request.holds_shared || waits && self.lines.groups.is_ready(request.group) {
            self.memory.shareable_blocks(request.prompt_tokens)
        } else {
            0
        }
    }

    /// Blocks that are free when a request gives way: its own, and those of its group if nobody
    /// else holds them.
    pub(super) fn blocks_freed(&self, request: &Request) -> u32 {
        let alone = self.lines.groups.get(request.group).is_some_and(|group| group.holders == 1);
        let shared = if request.holds_shared && alone { self.shared_blocks(request) } else { 0 };
        request.blocks + shared
    }

    /// Leading tokens whose KV a waiting request would find if it were let in now.
    pub(super) fn cached_tokens(&self, request: &Request) -> u32 {
        let block_tokens = self.memory.geometry().block_tokens();
        request.cached_tokens.max(self.shared_blocks(request) * block_tokens)
    }

    /// The slot of the request whose KV one that comes in is to share, if there is any to share.
    pub(super) fn check_shares(&self, submission: &Submission) -> Result<Option<u32>, Error> {
        let Some(leader) = submission.shares else { return Ok(None) };
        let stale = Error::Stale { field: "shares", handle: leader.to_raw() };
        let with = self.requests.get(leader).map_err(|_| stale)?;
        if with.stage == Stage::Ended {
            return Err(stale);
        }
        if let Some(brought) = submission.handed_over {
            return Err(Error::Contradiction {
                field: "shares",
                value: leader.to_raw(),
                other: "handed_over.output_tokens",
                other_value: brought.output_tokens.get().into(),
            });
        }
        let prompt = submission.prompt_tokens.get();
        // Somebody else's prompt is nobody's business, and an adapter makes another KV of it.
        let equal = [
            ("prompt_tokens", prompt.into(), "shares.prompt_tokens", with.prompt_tokens.into()),
            ("class", submission.class.into(), "shares.class", with.class.into()),
            ("account", submission.account.to_raw(), "shares.account", with.account.to_raw()),
            ("adapter", submission.adapter.into(), "shares.adapter", with.adapter.into()),
        ];
        for (field, value, other, other_value) in equal {
            if value != other_value {
                return Err(Error::Contradiction { field, value, other, other_value });
            }
        }
        if self.memory.shareable_blocks(prompt) == 0 {
            return Ok(None);
        }
        self.lines.groups.check_room(with.group)?;
        Ok(Some(leader.index()))
    }

    /// The request in `slot`, which has just got in line, joins the group of `leader`.
    pub(super) fn join_group(&mut self, leader: u32, slot: u32) {
        let mut group = self.request(leader).group;
        if group == NONE {
            let Ok(opened) = self.lines.groups.open() else { return };
            group = opened;
            let with = self.request_mut(leader);
            with.group = group;
            if matches!(with.stage, Stage::Running | Stage::HandedOver) {
                self.lines.groups.groups[group as usize].computing = leader;
                self.share_prompt(leader);
            }
        }
        self.lines.groups.groups[group as usize].members += 1;
        self.request_mut(slot).group = group;
        if !self.lines.groups.is_ready(group) {
            self.lines.step_aside(&mut self.requests, slot, Obstacle::SharedPrompt);
        }
    }

    /// A member gets its seat: it holds the KV that is there, or is to compute it.
    pub(super) fn take_share(&mut self, slot: u32) {
        let group = self.request(slot).group;
        if group == NONE {
            return;
        }
        let entry = &mut self.lines.groups.groups[group as usize];
        if entry.holders > 0 {
            entry.holders += 1;
            self.request_mut(slot).holds_shared = true;
        } else {
            entry.computing = slot;
        }
    }

    /// A step was formed with a chunk of this member: if it ends the prompt that the others wait
    /// for, they come back to the line.
    pub(super) fn share_prompt(&mut self, slot: u32) {
        let Some(request) = self.requests.at_mut(slot) else { return };
        let group = request.group;
        let computing = self.lines.groups.get(group).is_some_and(|group| group.computing == slot);
        if !computing || request.computed_tokens < request.prompt_tokens {
            return;
        }
        request.holds_shared = true;
        request.blocks -= self.memory.shareable_blocks(request.prompt_tokens);
        let entry = &mut self.lines.groups.groups[group as usize];
        (entry.computing, entry.holders) = (NONE, 1);
        while let Some(member) = self.lines.groups.get(group).map(|group| group.aside)
            && member != NONE
        {
            self.lines.come_back(&mut self.requests, member);
            self.begin_later(member);
        }
    }

    /// More (or less) of the prompt of a waiting request has KV than was thought: how long it can
    /// still wait changes with it.
    pub(super) fn begin_later(&mut self, slot: u32) {
        let request = self.request(slot);
        let prefill_s = self.prefill_seconds(request);
        let latest_start_ns = Nanos(request.due_ns).offset_seconds(-prefill_s).get();
        let request = self.request_mut(slot);
        if request.stage == Stage::Waiting && !request.was_handed_over() {
            request.latest_start_ns = latest_start_ns;
        }
    }

    /// Seconds that the rest of a prompt takes at best, given what it finds in the cache.
    pub(super) fn prefill_seconds(&self, request: &Request) -> f64 {
        let goal = request.goal_tokens;
        let have = request.computed_tokens.max(self.cached_tokens(request)).min(goal);
        let chunk = self.limits.step_tokens_max.get();
        self.model.prefill_seconds(goal - have, have, chunk)
    }

    /// A member has lost its seat and given back what it held alone.
    pub(super) fn give_up_share(&mut self, slot: u32) {
        let Some(request) = self.requests.at_mut(slot) else { return };
        let group = request.group;
        if group == NONE {
            return;
        }
        let entry = &mut self.lines.groups.groups[group as usize];
        if request.holds_shared {
            request.holds_shared = false;
            entry.holders -= 1;
            if entry.holders == 0 {
                self.memory.give_back_shared(request.prompt_tokens);
            }
        } else if entry.computing == slot {
            entry.computing = NONE;
        }
    }

    /// A member, which has neither seat nor place in line, ends.
    pub(super) fn leave_group(&mut self, slot: u32) {
        let request = self.request_mut(slot);
        let group = core::mem::replace(&mut request.group, NONE);
        if group == NONE {
            return;
        }
        let groups = &mut self.lines.groups;
        let entry = &mut groups.groups[group as usize];
        entry.members -= 1;
        if entry.members == 0 {
            entry.aside = groups.vacant;
            groups.vacant = group;
            return;
        }
        self.lines.call_member(&mut self.requests, group);
    }
}
