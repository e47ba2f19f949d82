//! In what form does a placer outlive its process?
//!
//! # What it decides
//! Nothing: a placer that was saved and restored answers as it would have answered, but for prices
//! that are up to a round of repricing fresher; see [`Placer::restore`].
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it the capacities and what only
//! the past can tell:
//!
//! ```text
//! now, counters, the shadow price if the host has said one, what was held
//! the fleet, and what its nodes keep              fleet::state, warm
//! tasks, then the members of those that run       entry, members
//! what is told, reservations, who waits           holdings, promises, pending
//! run times, shapes that found no room            horizon, blocked
//! what was learned of the task mix                stranding
//! ```
//! What somebody holds follows from what its task asks for and from where it is; what accounts hold
//! and who is of which group follow from the tasks. What follows is not written, and cannot
//! contradict. Nor is what the policy says: a placer goes by the one that it is restored with, as if
//! by [`Placer::set_policy`].
//!
//! # Bounds and cost
//! O(state), and for each member O(members on its node). Of 8 bytes a word: 34 words a node with 8
//! devices; 35 a running task and 2 for each of its members; up to 39 a pending one, 8 more and 2
//! a member with a reservation; 7 an account; 15 for each shape that found no room. 2 for a place of a
//! node, task or reservation that is free, 1 for that of an account or a reserved member. `save`
//! allocates nothing; `restore` builds a placer, and so allocates. Every word is checked before it is
//! used, and against the others as far as anything relies on it: what all members hold together must
//! be what the fleet says is taken. Bytes from anywhere are answered with an error or with a placer
//! that works.
//!
//! # What it is bad at
//! It is no journal: what happened after it was taken is lost, and the host says what became of the
//! tasks that ran. The ledger is for the host to save, at the same time: it was told what this
//! placer remembers to have told it.

use super::promises::RESERVATIONS_MAX;
use super::{Entry, Fleet, Placer, PlacerOptions, Stage};
use crate::error::{Error, check_range};
use crate::fleet::FleetOptions;
use crate::policy::Policy;
use crate::snapshot::{self, CONTRADICTION, OTHER_CAPACITY, PLACER, Words, ensure};
use crate::units::Nanos;

impl Placer {
    /// Bytes that [`Placer::save`] needs now. O(state).
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_state(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(state).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(PLACER, out, |save| self.save_state(save))
    }

    /// A placer that goes on where the saved one was: every handle names what it named, and every
    /// later call has the answer that it would have had, but for one thing. Where stranding goes by
    /// the task mix ([`Measure::Value`](crate::policy::Measure::Value) and
    /// [`Measure::Fgd`](crate::policy::Measure::Fgd)), the saved placer's tables are as old as its
    /// last round of repricing, which begins every 1/16 of the arrivals seen (16 at least) and is
    /// worked off with the arrivals; the restored one's are of the mix as it was saved, and its
    /// next round begins from there. So until both have been through a round, and by as much as the
    /// mix moved meanwhile, the prices of nodes may differ, and with them the choice among nodes
    /// that fit. What fits, who may end, who waits and for how long does not differ by that.
    /// Allocates, as [`Placer::new`] does. Bytes after the snapshot are ignored.
    ///
    /// `fleet` is one without nodes, of the size and with the layouts of the saved one, whose nodes
    /// are in the snapshot; `options` are those of the saved placer. So is `policy`, or it is a
    /// changed one, which is then taken as [`Placer::set_policy`] would.
    ///
    /// ```
    /// use rampmeter::Nanos;
    /// use rampmeter::fleet::{DeviceSpec, Fleet, FleetOptions, NodeSpec};
    /// use rampmeter::place::{Placer, PlacerOptions, Task};
    /// use rampmeter::policy::{PendingOrder, Policy};
    ///
    /// let mut policy = Policy::default();
    /// policy.placement.order = PendingOrder::Arrival;
    /// let (size, options) = (FleetOptions::default(), PlacerOptions::default());
    /// let mut placer = Placer::new(Fleet::new(&size)?, &policy, &options)?;
    /// placer.add_node(&NodeSpec { devices: &[DeviceSpec::default(); 8], ..NodeSpec::default() })?;
    /// let task = placer.submit(Nanos(5), &Task::default())?;
    ///
    /// let mut bytes = vec![0; placer.snapshot_bytes() as usize];
    /// let len = placer.save(&mut bytes)?;
    ///
    /// let restored = Placer::restore(Fleet::new(&size)?, &policy, &options, &bytes[..len])?;
    /// assert_eq!(restored.stats(), placer.stats());
    /// assert_eq!(restored.task(task)?.submitted, Nanos(5));
    /// # Ok::<(), rampmeter::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] on `nodes` for a fleet that has some.
    /// [`Error::Snapshot`] for bytes that are no snapshot of a placer by this version of the
    /// library, were cut short or changed, contradict themselves, or are of a fleet with other
    /// layouts; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if the size of
    /// the fleet, an option or the number of classes of `policy` is another one.
    pub fn restore(
        fleet: Fleet,
        policy: &Policy,
        options: &PlacerOptions,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        policy.validate()?;
        check_range("nodes", fleet.len().into(), 0, 0)?;
        let capacities = capacities(*fleet.options(), options, policy.classes.len());
        snapshot::load(PLACER, bytes, |take| {
            let mut words = Words::new(take);
            for capacity in capacities {
                if words.next().map_err(|_| CONTRADICTION)? != capacity {
                    return Err(OTHER_CAPACITY);
                }
            }
            // That of the policy it was made by, which may have been changed since.
            let reservations_max = words.next_within("reservations_max", 1, RESERVATIONS_MAX);
            let reservations_max = reservations_max.map_err(|_| CONTRADICTION)?;
            let mut placer = Self::with_reservations(fleet, policy, options, reservations_max)?;
            placer.load_state(&mut words).map_err(|_| CONTRADICTION)?;
            Ok(placer)
        })
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            options,
            // The policy's.
            rules: _,
            delay_values,
            shadow_price,
            shadow_price_told,
            fleet,
            // Worked out anew when they are asked for.
            domains: _,
            tasks,
            members,
            // Follows from the tasks.
            crowds: _,
            tenants: _,
            warm,
            horizon,
            stranding,
            pending: _,
            holdings,
            promises,
            // What a call has found out of who could end.
            prey: _,
            blocked,
            hopeless,
            given_back,
            early_ends,
            cycles,
            held: _,
            // These mean nothing between two calls.
            future: _,
            scratch: _,
            tenant: _,
            #[cfg(test)]
                is_thorough: _,
            now,
        } = self;
        let capacities = capacities(*fleet.options(), options, delay_values.len());
        capacities.into_iter().for_each(&mut *save);
        save(promises.capacity().into());
        for word in [now.get(), *given_back, *early_ends, *cycles] {
            save(word);
        }
        save((*shadow_price_told).into());
        save(if *shadow_price_told { shadow_price.to_bits() } else { 0 });
        self.save_held(save);
        fleet.save_state(save);
        warm.save_state(fleet, save);
        tasks.save_state(save, Entry::save_state);
        tasks.iter().for_each(|(_, entry)| members.save_state(entry.first_member, save));
        holdings.save_state(save);
        promises.save_state(save);
        self.save_pending(save);
        horizon.save_state(save);
        blocked.save_state(save);
        hopeless.save_state(save);
        stranding.save_state(save);
    }

    /// Takes what was saved into a new placer.
    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.now = Nanos(words.next()?);
        self.given_back = words.next_count("given_back")?;
        self.early_ends = words.next_count("early_ends")?;
        self.cycles = words.next_count("cycles")?;
        let is_told = words.next_flag("shadow_price_told")?;
        let shadow_price = f64::from_bits(words.next()?);
        if is_told {
            self.set_shadow_price(shadow_price)?;
        }
        self.load_held(words)?;
        self.fleet.load_state(words)?;
        self.warm.load_state(&self.fleet, words)?;
        self.load_tasks(words)?;
        // Finds that every account has a place, before it has a queue.
        self.holdings.load_state(words, &self.tasks, self.now, self.cycles)?;
        self.promises.load_state(words, &self.tasks)?;
        self.load_pending(words)?;
        self.horizon = super::Horizon::load_state(words)?;
        self.blocked.load_state(words)?;
        self.hopeless.load_state(words)?;
        self.stranding.load_state(&self.fleet, &self.members, words)
    }

    /// Every task can be, and has the members that it is said to have.
    fn load_tasks(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.tasks.load_state(words, Entry::load_state)?;
        let classes = self.delay_values.len() as u32;
        for index in 0..self.tasks.capacity() {
            let Some(entry) = self.tasks.at_mut(index) else { continue };
            entry.check_restored(self.now, classes, self.options.task_members_max)?;
            if entry.stage != Stage::Pending {
                let Entry { task, members_len, .. } = entry;
                let (fleet, member) = (&self.fleet, &task.member);
                let len = *members_len;
                entry.first_member = self.members.load_state(words, fleet, index, member, len)?;
                self.crowds.join(index, entry.task.spreading.group);
                self.tenants.join(entry);
            }
        }
        self.members.find_nodes()?;
        self.check_taken()
    }

    /// What the fleet says is taken is what the members hold: if all of it is given back, nothing
    /// is taken.
    fn check_taken(&mut self) -> Result<(), Error> {
        let Self { fleet, members, scratch, .. } = self;
        scratch.fleet.copy_from(fleet)?;
        members.iter().try_for_each(|hold| scratch.fleet.give(hold))?;
        ensure(scratch.fleet.iter().all(|(_, node)| node.holds == 0))
    }
}

/// What must be the same for a state to fit.
fn capacities(fleet: FleetOptions, options: &PlacerOptions, classes: usize) -> [u64; 7] {
    let FleetOptions { nodes_max, devices_per_node_max } = fleet;
    let &PlacerOptions { tasks_max, members_max, task_members_max, accounts_max } = options;
    [
        nodes_max.into(),
        devices_per_node_max.into(),
        tasks_max.into(),
        members_max.into(),
        task_members_max.into(),
        accounts_max.into(),
        classes as u64,
    ]
}
