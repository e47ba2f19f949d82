//! In what form does a batcher outlive its process?
//!
//! # What it decides
//! Nothing: a batcher that was saved and restored makes the plans that it would have made.
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it the capacities, the model and
//! what only the past can tell: requests, seats, steps in flight, accounts and their counters,
//! debts, adapters, groups, paces, output lengths, and what was learned of the engine. Counts and
//! queues are not written: they follow from the requests, and what follows cannot contradict.
//! What the policy says is not written either, but its digest is: restored under another one, the
//! batcher takes it as [`Batcher::set_policy`] would.
//!
//! # Bounds and cost
//! O(state), of 8 bytes a word: 15 words a request, one more while it waits, and 2 for a place
//! that is free; 12 an open account, 2 more for each of its
//! rates, 5 more in each class, where it exchanges with others 1 and in each class 4 and 1 for each
//! of those, and 31 for each place of an account and
//! class for the lengths of outputs; 23 a seat while the KV forecast is in use. `save` allocates
//! nothing; `restore` builds a batcher, and so allocates. Every word is checked before it is used,
//! and against the others as far as anything relies on it: bytes from anywhere are answered with
//! an error or with a batcher that works.
//!
//! # What it is bad at
//! It is no journal: what happened after it was taken is lost. Requests in flight come back as
//! they were, and it is for the host to say what became of them.

use alloc::vec;

use super::{Batcher, Request, Stage, ledger_options};
use crate::engine::{FEATURES, KvGeometry, StepModel};
use crate::error::Error;
use crate::policy::{EngineMode, Limits, Policy};
use crate::share::Ledger;
use crate::snapshot::{self, BATCHER, CONTRADICTION, OTHER_CAPACITY, Words, ensure};
use crate::units::Nanos;

mod digest;

pub(super) use digest::digest;

impl Batcher {
    /// Bytes that [`Batcher::save`] needs now. O(state).
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
        snapshot::save(BATCHER, out, |save| self.save_state(save))
    }

    /// A batcher that goes on where the saved one was: every later call has the answer that it
    /// would have had, and every handle names what it named. Steps in flight are in flight again.
    /// Allocates, as [`Batcher::new`] does. Bytes after the snapshot are ignored.
    ///
    /// `kv` is that of the saved batcher. So is `policy`, or it is a changed one, which is then
    /// taken as [`Batcher::set_policy`] would. The step-time model is in the snapshot.
    ///
    /// ```
    /// use rampmeter::batch::{Batcher, Submission};
    /// use rampmeter::engine::Profile;
    /// use rampmeter::policy::{Account, Policy};
    /// use rampmeter::{Nanos, Tokens};
    ///
    /// let policy = Policy::default().with_accounts([Account::new("search", 1.0)]);
    /// let engine = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
    /// let mut batcher = Batcher::new(&policy, engine.kv()?, engine.step_model()?)?;
    /// let submission = Submission {
    ///     account: batcher.policy_account(0).ok_or("no such account")?,
    ///     prompt_tokens: Tokens(700),
    ///     ..Submission::default()
    /// };
    /// let request = batcher.submit(Nanos(5), &submission)?.queued().ok_or("shed")?;
    ///
    /// let mut bytes = vec![0; batcher.snapshot_bytes() as usize];
    /// let len = batcher.save(&mut bytes)?;
    ///
    /// let restored = Batcher::restore(&policy, engine.kv()?, &bytes[..len])?;
    /// assert_eq!(restored.stats(), batcher.stats());
    /// assert_eq!(restored.progress(request), batcher.progress(request));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Policy::validate`]. [`Error::Snapshot`] for bytes that are no snapshot of a batcher by
    /// this version of the library, were cut short or changed, or contradict themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if `kv`, the
    /// engine mode, a capacity, or the number of classes or accounts of `policy` is another one.
    /// [`Error::Contradiction`] if an account of the policy had another parent, or where it may
    /// exchange with others, another name.
    pub fn restore(policy: &Policy, kv: KvGeometry, bytes: &[u8]) -> Result<Self, Error> {
        policy.validate()?;
        let (classes, accounts) = (policy.classes.len(), policy.accounts.len());
        let capacities = capacities(&policy.limits, policy.batch.mode, (classes, accounts), kv);
        snapshot::load(BATCHER, bytes, |take| {
            let mut words = Words::new(take);
            for capacity in capacities {
                if words.next().map_err(|_| CONTRADICTION)? != capacity {
                    return Err(OTHER_CAPACITY);
                }
            }
            let model = load_model(&mut words).map_err(|_| CONTRADICTION)?;
            let mut batcher = Self::new(policy, kv, model)?;
            let digest = batcher.load_state(&mut words).map_err(|_| CONTRADICTION)?;
            batcher.check_places(policy)?;
            if digest != batcher.policy_digest {
                batcher.set_policy(policy)?;
            }
            Ok(batcher)
        })
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            limits,
            rules,
            // The policy's, as are the accounts: the first that were opened.
            classes,
            policy_accounts,
            default_rates: _,
            policy_digest,
            model,
            learner,
            requests,
            running,
            running_len,
            lines,
            queues,
            expiries,
            memory,
            forecast,
            swap,
            steps,
            // Mean nothing between two calls.
            partials: _,
            name_room: _,
            looks: _,
            // Reasons are told anew once a step is formed.
            closing: _,
            // Follows from the requests.
            account_requests: _,
            now,
            sequence,
            observations,
            stalled,
        } = self;
        let named = (classes.len(), policy_accounts.len());
        capacities(limits, rules.mode, named, memory.geometry()).into_iter().for_each(&mut *save);
        model.coefficients().iter().for_each(|coefficient| save(coefficient.to_bits()));
        let clocks = [*policy_digest, now.get(), *sequence, (*observations).into()];
        clocks.into_iter().chain([u64::from(*stalled)]).for_each(&mut *save);
        requests.save_state(save, Request::save_state);
        lines.save_state(save);
        queues.save_state(lines.ledger.tree(), save);
        save((*running_len).into());
        running[..*running_len as usize].iter().for_each(|slot| save((*slot).into()));
        steps.save_state(save);
        for (id, _) in requests.iter().filter(|(_, request)| request.waits()) {
            save(lines.standing(id.index()));
        }
        expiries.save_state(save);
        memory.save_state(save);
        forecast.save_state(*running_len, save);
        swap.save_state(save);
        learner.save_state(rules, save);
    }

    /// Takes what was saved into a new batcher, and returns the digest of the policy it was under.
    fn load_state(&mut self, words: &mut Words<'_>) -> Result<u64, Error> {
        let digest = words.next()?;
        self.now = Nanos(words.next()?);
        self.sequence = words.next_count("sequence")?;
        self.observations = words.next_u32("observations")?;
        self.stalled = words.next_flag("stalled")?;
        self.requests.load_state(words, Request::load_state)?;
        self.lines.ledger = Ledger::new(&ledger_options(&self.limits, self.classes.len()))?;
        self.lines.load_state(words, &self.requests)?;
        for account in &self.policy_accounts {
            self.lines.ledger.weight(*account)?;
        }
        // Else it would refuse the next request for the time that it comes at.
        ensure(self.lines.ledger.rates_now() <= self.now)?;
        self.queues.load_state(self.lines.ledger.tree(), words)?;
        self.find_owners()?;
        self.load_seats(words)?;
        self.load_steps(words)?;
        self.load_lines(words)?;
        self.expiries.load_state(words, self.limits.requests_max)?;
        self.memory.load_state(words)?;
        self.forecast.load_state(self.running_len, words)?;
        self.swap.load_state(words)?;
        let Self { learner, rules, limits, model, .. } = self;
        learner.load_state(words, rules, limits, model)?;
        Ok(digest)
    }

    /// Every request has an account, a class and an adapter that there is.
    fn find_owners(&mut self) -> Result<(), Error> {
        for (_, request) in self.requests.iter() {
            ensure(usize::from(request.class) < self.classes.len())?;
            ensure(self.lines.adapters.is_known(request.adapter))?;
            ensure(request.sequence < self.sequence)?;
            if request.stage != Stage::Ended {
                self.lines.ledger.weight(request.account)?;
                self.account_requests[request.account.index() as usize] += 1;
            }
        }
        Ok(())
    }

    /// Who runs has one seat, and who has a seat runs.
    fn load_seats(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let seats = words.next_within("running", 0, self.limits.running_max)?;
        for seat in 0..seats {
            let slot = words.next_u32("running")?;
            let request = self.requests.at_mut(slot);
            let request = request.filter(|request| request.stage == Stage::Running);
            let Some(request) = request else { return Err(CONTRADICTION) };
            let before = &self.running[..seat as usize];
            // The seat of a request that is found twice is a taken one already.
            ensure(before.get(request.seat as usize) != Some(&slot))?;
            request.seat = seat;
            self.running[seat as usize] = slot;
            let adapter = request.adapter;
            ensure(self.lines.adapters.has_slot(adapter))?;
            self.lines.adapters.seat(adapter);
        }
        self.running_len = seats;
        let runs = |(_, request): &(_, &Request)| request.stage == Stage::Running;
        ensure(self.requests.iter().filter(runs).count() == seats as usize)
    }

    fn load_steps(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.steps.load_state(words)?;
        for place in self.steps.places() {
            let record = self.steps.record(place);
            for flight in &record.flights[..record.flights_len as usize] {
                let request = self.requests.at_mut(flight.slot).ok_or(CONTRADICTION)?;
                ensure(request.find_in_flight(1 << place, flight.emits))?;
            }
        }
        let kv = self.memory.geometry();
        for (_, request) in self.requests.iter() {
            request.check_restored(kv)?;
            let needs_blocks = matches!(request.stage, Stage::Running | Stage::HandedOver);
            let lacks = self.memory.lacking(request, request.computed_tokens) > 0;
            ensure(!(needs_blocks && lacks))?;
        }
        Ok(())
    }

    /// Who waits stands where it stood, and what depends on who waits or runs is counted.
    fn load_lines(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let accounts_max = self.limits.accounts_max as usize;
        let mut in_line = vec![0_u32; self.classes.len() * accounts_max];
        for slot in 0..self.requests.capacity() {
            let Some(request) = self.requests.at(slot) else { continue };
            let (stage, swapped) = (request.stage, request.swapped);
            if request.waits() {
                self.lines.find(request, slot, words.next()?)?;
                if request.preemptions == 0 {
                    self.queues.find(request);
                }
                if !request.obstacle.lets_pass() && stage != Stage::Preempted {
                    let class = usize::from(request.class);
                    in_line[class * accounts_max + request.account.index() as usize] += 1;
                }
            } else if stage == Stage::Running {
                self.foresee(slot);
            }
            if swapped {
                self.find_swapped(slot);
            }
        }
        self.lines.adapters.check_claims()?;
        self.lines.check_in_line(&in_line)
    }
}

const CAPACITIES_LEN: usize = 12;

/// What must be the same for a state to fit: all that [`Batcher::set_policy`] cannot change.
fn capacities(
    limits: &Limits,
    mode: EngineMode,
    (classes, accounts): (usize, usize),
    kv: KvGeometry,
) -> [u64; CAPACITIES_LEN] {
    let Limits {
        requests_max,
        running_max,
        accounts_max,
        replicas_max,
        adapters_max,
        adapter_slots_max,
        steps_in_flight_max,
        step_tokens_max: _,
        prompt_tokens_max: _,
        output_tokens_max: _,
    } = *limits;
    [
        classes as u64,
        accounts as u64,
        requests_max.into(),
        running_max.into(),
        accounts_max.into(),
        replicas_max.into(),
        adapters_max.into(),
        adapter_slots_max.into(),
        steps_in_flight_max.into(),
        mode as u64,
        kv.blocks().get().into(),
        kv.block_tokens().into(),
    ]
}

fn load_model(words: &mut Words<'_>) -> Result<StepModel, Error> {
    let mut coefficients = [0.0; FEATURES];
    for coefficient in &mut coefficients {
        *coefficient = f64::from_bits(words.next()?);
    }
    StepModel::new(coefficients)
}
