//! A host for the batcher that trusts nothing: it keeps its own books of tokens, seats and KV
//! blocks, checks every plan against them, and can be as unruly as real hosts are.

use std::collections::{BTreeMap, BTreeSet};

use rampmeter::batch::continuous::{
    Admission, Batcher, Observation, Phase, PlanArrays, PlanEntry, RequestId, Stage, StepResult,
    Submission,
};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Nanos, Tokens};

use super::{Prng, Setup, model};

/// A request as the host knows it.
#[derive(Clone, Debug)]
pub struct Known {
    pub class: u16,
    pub account: usize,
    pub prompt: u32,
    /// Tokens it will produce; the batcher does not know.
    pub output: u32,
    pub produced: u32,
    pub computed: u32,
    /// Blocks it holds; an engine takes none back while the request runs.
    pub blocks: u32,
    pub running: bool,
    pub adapter: u32,
    /// Tag of the first request that had this prompt.
    pub group: u64,
    /// It holds the full blocks of the prompt together with others of its group.
    pub shares: bool,
    /// Its KV is in the swap space.
    pub swapped: bool,
}

impl Known {
    fn hold(&mut self, block_tokens: u32) {
        self.blocks = self.blocks.max(self.computed.div_ceil(block_tokens));
    }
}

#[derive(Clone, Debug)]
struct Running {
    id: u64,
    ends_at: Nanos,
    entries: Vec<PlanEntry>,
}

/// The host: engine, clock and books.
pub struct Host {
    pub batcher: Batcher,
    pub setup: Setup,
    pub now: Nanos,
    pub known: BTreeMap<RequestId, Known>,
    pub finished: u64,
    pub cancelled: u64,
    pub submitted: u64,
    pub preemptions: u64,
    pub swaps: u64,
    /// Service of each account in each class so far, in prompt tokens.
    pub service: BTreeMap<(u16, usize), f64>,
    /// Every answer so far, for comparing whole runs.
    pub digest: u64,
    accounts: Vec<AccountId>,
    steps: Vec<Running>,
    arrays: PlanArrays,
}

impl Host {
    pub fn new(setup: Setup) -> Self {
        let mut batcher = Batcher::new(&setup.policy(), setup.kv(), model()).unwrap();
        batcher.set_swap((setup.swap_blocks > 0).then(|| setup.swap()));
        let accounts =
            (0..setup.accounts as usize).map(|i| batcher.policy_account(i).unwrap()).collect();
        Self {
            batcher,
            now: Nanos::ZERO,
            known: BTreeMap::new(),
            finished: 0,
            cancelled: 0,
            submitted: 0,
            preemptions: 0,
            swaps: 0,
            service: BTreeMap::new(),
            digest: 0,
            accounts,
            steps: Vec::new(),
            arrays: PlanArrays::new(setup.running_max),
            setup,
        }
    }

    fn note(&mut self, value: u64) {
        self.digest = (self.digest ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
    }

    /// A request comes in. Its adapter, and whether it is rather a sibling of one that is known
    /// (of whose class, account and prompt it then is), follow from its number.
    pub fn submit(&mut self, class: u16, account: usize, prompt: u32, output: u32) -> bool {
        let mut prng = Prng(self.submitted);
        let fresh = Known {
            class,
            account,
            prompt,
            output,
            produced: 0,
            computed: 0,
            blocks: 0,
            running: false,
            adapter: prng.below(u64::from(self.setup.adapters) + 1) as u32,
            group: self.submitted,
            shares: false,
            swapped: false,
        };
        let sibling = prng.chance(self.setup.sharing_percent);
        let leader = self.known.iter().next_back().filter(|_| sibling);
        let shares = leader.map(|(id, _)| *id);
        let known = leader.map_or(fresh.clone(), |(_, leader)| Known {
            output,
            produced: 0,
            computed: 0,
            blocks: 0,
            running: false,
            shares: false,
            swapped: false,
            ..leader.clone()
        });
        let submission = Submission {
            tag: self.submitted,
            class: known.class,
            account: self.accounts[known.account],
            arrival: self.now,
            prompt_tokens: Tokens(known.prompt),
            output_tokens_max: Tokens(output),
            adapter: known.adapter,
            shares,
            ..Submission::default()
        };
        self.submitted += 1;
        let Ok(answer) = self.batcher.submit(self.now, &submission) else { return false };
        let Admission::Queued(id) = answer else { return false };
        self.note(id.to_raw());
        assert!(self.known.insert(id, known).is_none(), "an id must not be issued twice");
        true
    }

    pub fn cancel(&mut self, id: RequestId) {
        self.batcher.cancel(self.now, id).unwrap();
        assert!(self.batcher.cancel(self.now, id).is_err(), "a request is cancelled once");
        self.known.remove(&id).unwrap();
        self.cancelled += 1;
    }

    /// Loses what is in the swap space for one request, if anything is.
    pub fn lose_swapped(&mut self) {
        let lost = self.known.iter_mut().find(|(_, known)| known.swapped);
        if let Some((id, known)) = lost {
            (known.swapped, known.computed) = (false, 0);
            self.batcher.drop_swapped(self.now, *id).unwrap();
        }
    }

    fn check_swap(&self) {
        let swapped = self.known.values().filter(|known| known.swapped);
        let used: u32 = swapped.map(|known| known.computed.div_ceil(self.setup.block_tokens)).sum();
        assert_eq!(self.batcher.stats().kv_blocks_swapped, Blocks(used), "swap space");
        // What is speculated once the KV is on its way finds room or not.
        let strict = self.setup.speculative_percent == 0;
        assert!(!strict || used <= self.setup.swap_blocks, "{used} blocks swapped");
    }

    pub fn blocks_used(&self) -> u32 {
        let mut shared = BTreeMap::new();
        let mut own = 0;
        for known in self.known.values() {
            own += known.blocks;
            if known.shares {
                own -= self.shareable(known);
                shared.insert(known.group, self.shareable(known));
            }
        }
        own + shared.values().sum::<u32>()
    }

    /// Full blocks of a prompt, with one token left to compute.
    fn shareable(&self, known: &Known) -> u32 {
        (known.prompt - 1) / self.setup.block_tokens
    }

    /// One that gets its seat with tokens that it has not computed has them from a sibling, who
    /// has computed the prompt in a step before.
    fn check_shared(&mut self, entry: &PlanEntry) {
        let known = &self.known[&entry.request];
        if !entry.admitted || entry.swapped_in || entry.computed_tokens.get() == 0 {
            return;
        }
        let tokens = self.shareable(known) * self.setup.block_tokens;
        assert_eq!(entry.computed_tokens.get(), tokens, "full blocks of the prompt");
        let holders = self.known.values().filter(|other| other.group == known.group);
        assert!(holders.filter(|other| other.shares).count() > 0, "nobody has that KV");
        let known = self.known.get_mut(&entry.request).expect("found above");
        known.computed = tokens;
        known.shares = true;
    }

    /// After a step is formed: whoever has computed a whole prompt can share it.
    fn share_prompts(&mut self) {
        for known in self.known.values_mut() {
            if known.running && known.computed >= known.prompt {
                known.shares = true;
            }
        }
        let running = self.known.values().filter(|known| known.running && known.adapter > 0);
        let adapters: BTreeSet<u32> = running.map(|known| known.adapter).collect();
        assert!(adapters.len() <= self.setup.adapter_slots as usize, "adapter slots");
    }

    /// Forms one step and checks it against the books. True if something was planned.
    pub fn form(&mut self) -> bool {
        let formed = self.batcher.form(self.now, &mut self.arrays.plan()).unwrap();
        for index in 0..formed.preempted_len as usize {
            let preemption = self.arrays.preempted[index];
            let known = self.known.get_mut(&preemption.request).expect("only what runs gives way");
            assert!(known.running);
            (known.running, known.blocks, known.shares) = (false, 0, false);
            known.swapped = preemption.swapped_out;
            if known.swapped {
                self.swaps += 1;
            } else {
                known.computed = 0;
            }
            // Where the engine failed to compute anything, there is nothing to lose.
            let loses = preemption.computed_tokens > Tokens::ZERO;
            assert_eq!(
                loses,
                preemption.restore_s > 0.0 && preemption.price > 0.0,
                "{preemption:?}"
            );
            self.preemptions += 1;
            self.note(preemption.request.to_raw());
        }
        let entries = self.arrays.entries[..formed.entries_len as usize].to_vec();
        self.check_plan(&entries);
        self.check_swap();
        if let Some(id) = formed.step {
            assert!(!entries.is_empty());
            self.note(id);
            self.note(formed.ends_at.get());
            self.steps.push(Running { id, ends_at: formed.ends_at, entries });
        } else {
            assert!(entries.is_empty());
        }
        formed.step.is_some() || formed.preempted_len > 0
    }

    fn check_plan(&mut self, entries: &[PlanEntry]) {
        let mut tokens = 0;
        let mut seen = BTreeSet::new();
        for entry in entries {
            assert!(seen.insert(entry.request), "a request has one part in a step");
            self.note(entry.request.to_raw() ^ u64::from(entry.tokens.get()));
            tokens += entry.tokens.get();
            assert!(entry.tokens.get() > 0);
            let expected = self.expected(entry.request);
            self.check_shared(entry);
            let known = self.known.get_mut(&entry.request).expect("only live requests are planned");
            assert_eq!(entry.admitted, !known.running, "a seat is given once");
            assert_eq!(entry.swapped_in, known.swapped, "swapped KV comes back with a seat");
            (known.running, known.swapped) = (true, false);
            let strict = self.setup.absent_percent == 0 && self.setup.speculative_percent == 0;
            if strict {
                assert_eq!(entry.computed_tokens.get(), known.computed);
            }
            known.computed = entry.computed_tokens.get() + entry.tokens.get();
            known.hold(self.setup.block_tokens);
            let goal = known.prompt + expected;
            match entry.phase {
                Phase::Decode => {
                    assert_eq!(entry.tokens.get(), 1);
                    assert!(entry.emits && entry.computed_tokens.get() >= known.prompt);
                }
                Phase::Prefill if strict => {
                    assert!(known.computed <= goal, "no more prompt than there is");
                    assert_eq!(entry.emits, known.computed == goal);
                }
                Phase::Prefill => {}
            }
        }
        self.share_prompts();
        let running = self.known.values().filter(|known| known.running).count();
        assert!(tokens <= self.setup.step_tokens_max, "token budget");
        assert!(running <= self.setup.running_max as usize, "seats");
        let (used, all) = (self.blocks_used(), self.setup.kv_blocks);
        assert!(used <= all, "KV: {used} of {all} blocks");
    }

    /// Output tokens that are out or on their way.
    fn expected(&self, id: RequestId) -> u32 {
        let flying = |step: &&Running| step.entries.iter().any(|e| e.request == id && e.emits);
        self.known[&id].produced + self.steps.iter().filter(flying).count() as u32
    }

    pub fn steps_in_flight(&self) -> usize {
        self.steps.len()
    }

    /// The oldest step ends; its tokens come out.
    pub fn observe(&mut self, prng: &mut Prng) {
        let step = self.steps.remove(0);
        self.now = self.now.max(step.ends_at);
        let mut results = Vec::new();
        let mut free = self.setup.kv_blocks.saturating_sub(self.blocks_used());
        for entry in step.entries.iter().filter(|entry| entry.emits) {
            let Some(known) = self.known.get_mut(&entry.request) else { continue };
            if prng.chance(self.setup.absent_percent) {
                known.computed = known.computed.saturating_sub(entry.tokens.get());
                continue;
            }
            // An engine has room for a speculated token or it does not speculate.
            let holds = known.running && free > 0 || known.swapped;
            let more = prng.chance(self.setup.speculative_percent) && holds;
            free -= u32::from(more && known.running);
            let tokens = (1 + u32::from(more)).min(known.output - known.produced);
            if known.running || known.swapped {
                known.computed += tokens.max(1) - 1;
            }
            if known.running {
                known.hold(self.setup.block_tokens);
            }
            known.produced += tokens;
            *self.service.entry((known.class, known.account)).or_default() +=
                5.0 * f64::from(tokens);
            let finished = known.produced == known.output;
            results.push(StepResult {
                request: entry.request,
                output_tokens: Tokens(tokens),
                finished,
            });
            if finished {
                self.known.remove(&entry.request);
                self.finished += 1;
            }
        }
        let free = self.setup.kv_blocks.saturating_sub(self.blocks_used());
        let seen = Observation {
            step: step.id,
            kv_blocks_free: self.setup.reports_blocks.then_some(Blocks(free)),
            results: &results,
            ..Observation::default()
        };
        let observed = self.batcher.observe(self.now, &seen).unwrap();
        self.note(u64::from(observed.output_tokens));
        let ended = results.iter().filter(|result| result.finished).count();
        assert_eq!(observed.finished as usize, ended);
        self.check_swap();
    }

    /// As [`Host::step`], with the room to act between steps left to the caller.
    pub fn step(&mut self, prng: &mut Prng) {
        while self.steps.len() < self.setup.steps_in_flight as usize && self.form() {}
        if self.steps.is_empty() {
            let waiting = self.known.len();
            assert_eq!(waiting, 0, "idle although {waiting} requests are not done");
        } else {
            self.observe(prng);
        }
    }

    /// Runs until nothing is left.
    pub fn drain(&mut self, prng: &mut Prng) {
        let mut steps = 0_u64;
        while !self.known.is_empty() || !self.steps.is_empty() {
            self.step(prng);
            steps += 1;
            assert!(steps < 2_000_000, "every request ends: {} have not", self.known.len());
        }
        let stats = self.batcher.stats();
        assert_eq!((stats.requests, stats.running, stats.waiting), (0, 0, 0));
        assert_eq!(self.finished + self.cancelled, self.accepted());
        if self.setup.reports_blocks {
            assert_eq!(stats.kv_blocks_free, stats.kv_blocks, "every block came back");
        }
    }

    fn accepted(&self) -> u64 {
        self.finished + self.cancelled + self.known.len() as u64
    }

    /// Accounts with requests that wait in `class`, as the batcher sees it.
    pub fn backlogged(&self, class: u16) -> Vec<usize> {
        let waits = |id: &RequestId| {
            matches!(self.batcher.progress(*id).unwrap().stage, Stage::Waiting | Stage::Late)
        };
        let mut accounts: Vec<usize> = self
            .known
            .iter()
            .filter(|(id, known)| known.class == class && waits(id))
            .map(|(_, known)| known.account)
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// Charges of prompts fall due when a request gets its seat.
    pub fn book_admissions(&mut self) {
        let step = self.steps.last().expect("a step was just formed");
        let admitted: Vec<RequestId> =
            step.entries.iter().filter(|e| e.admitted).map(|e| e.request).collect();
        for id in admitted {
            let known = &self.known[&id];
            *self.service.entry((known.class, known.account)).or_default() +=
                f64::from(known.prompt);
        }
    }
}
