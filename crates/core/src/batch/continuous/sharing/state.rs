//! Groups as words. Who is a member, and who holds what is shared, follows from the requests.

use super::{Group, Groups, SHARERS_MAX};
use crate::batch::continuous::request::{Request, Stage};
use crate::batch::queue::NONE;
use crate::error::Error;
use crate::handle::Slab;
use crate::snapshot::{Words, ensure};

impl Groups {
    /// The vacant ones in their order: the next is the same again.
    pub(in super::super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { groups, vacant } = self;
        save((*vacant).into());
        for Group { aside, computing, members, aside_len: _, holders: _ } in groups {
            save(u64::from(if *members == 0 { *aside } else { *computing }));
        }
    }

    /// Takes the groups of these requests, none of whom stands aside yet.
    pub(in super::super) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        requests: &Slab<Request>,
    ) -> Result<(), Error> {
        self.groups.fill(super::VACANT);
        self.count_members(requests)?;
        self.vacant = words.next_index("group", self.groups.len() as u32)?;
        for group in &mut self.groups {
            let link = words.next_u32("group")?;
            *(if group.members == 0 { &mut group.aside } else { &mut group.computing }) = link;
        }
        self.check_vacant()?;
        self.check_computing(requests)
    }

    fn count_members(&mut self, requests: &Slab<Request>) -> Result<(), Error> {
        for (_, request) in requests.iter().filter(|(_, request)| request.group != NONE) {
            let group = self.groups.get_mut(request.group as usize);
            let group = group.filter(|group| u32::from(group.members) < SHARERS_MAX);
            let Some(group) = group else { return ensure(false) };
            group.members += 1;
            group.holders += u8::from(request.holds_shared);
        }
        Ok(())
    }

    /// The list of vacant groups names each of them once.
    fn check_vacant(&self) -> Result<(), Error> {
        let mut next = self.vacant;
        for _ in self.groups.iter().filter(|group| group.members == 0) {
            let group = self.get(next).filter(|group| group.members == 0);
            ensure(group.is_some())?;
            next = group.map_or(NONE, |group| group.aside);
        }
        ensure(next == NONE)
    }

    /// Who computes a prompt is a member with a seat, and nobody has that prompt yet.
    fn check_computing(&self, requests: &Slab<Request>) -> Result<(), Error> {
        for (index, group) in (0_u32..).zip(&self.groups) {
            if group.members == 0 || group.computing == NONE {
                continue;
            }
            let computes = requests.at(group.computing).is_some_and(|request| {
                let seated = matches!(request.stage, Stage::Running | Stage::HandedOver);
                seated && request.group == index
            });
            ensure(computes && group.holders == 0)?;
        }
        Ok(())
    }
}
