//! Replicas behind a router, in service: what `benches/route.rs` measures on.
//!
//! Prompts of 64 blocks: a system prompt that many share, a document that some ask about again, and
//! an end that nobody has seen. Replicas answer about as fast as they are expected to, some a little
//! slower than others, and report every second, so that every call meets another state. Before
//! anything is measured the index is full: what is new makes room for itself.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hint::black_box;

use rampmeter::engine::Profile;
use rampmeter::policy::Policy;
use rampmeter::route::{
    ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Router, RouterOptions,
};
use rampmeter::{Blocks, Nanos, Tokens};

use crate::Prng;

/// Blocks of a prompt: of its system prompt, its document, and what is new.
pub const PROMPT_BLOCKS: usize = SYSTEM_BLOCKS + DOCUMENT_BLOCKS + NEW_BLOCKS;
const SYSTEM_BLOCKS: usize = 16;
const DOCUMENT_BLOCKS: usize = 40;
const NEW_BLOCKS: usize = 8;

const SYSTEMS: u64 = 8;

/// Documents: few enough that most requests find theirs somewhere, many enough that the rarer ones
/// are forgotten.
const DOCUMENTS: u64 = 2_048;

const BLOCK_TOKENS: u32 = 16;

/// Requests a second to each replica, and seconds that an answer takes: two dozen decode there.
const RATE_PER_S: f64 = 10.0;
const ANSWER_S: f64 = 2.4;

/// Answer tokens a second.
const TOKENS_PER_S: f64 = 80.0;

/// Replicas report once in this time.
const REPORT_S: f64 = 1.0;

/// Seconds of service before anything is measured, once the index is full: every replica has
/// reported, and some of what was routed first has ended.
const WARM_S: f64 = 4.0;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    First(RouteId, u32),
    Ended(RouteId, u32),
    Report(u32),
}

/// What the host knows of a replica.
#[derive(Clone, Copy, Debug)]
struct Replica {
    id: ReplicaId,
    running: u32,
    waiting: u32,
    /// Seconds that prompts take, over those expected.
    slowness: f64,
}

/// A router and its replicas.
#[derive(Debug)]
pub struct Replicas {
    router: Router,
    engines: Vec<Replica>,
    events: BinaryHeap<Reverse<(Nanos, Event)>>,
    prng: Prng,
    now: Nanos,
    kv_blocks: u32,
    prompt: [u64; PROMPT_BLOCKS],
    routed: Option<(RouteId, u32, f64)>,
}

/// The next prompt.
fn draw_prompt(prng: &mut Prng, prompt: &mut [u64; PROMPT_BLOCKS]) {
    // The lower of two draws: some documents are asked about more than others.
    let document = prng.below(DOCUMENTS).min(prng.below(DOCUMENTS));
    let (system, new) = (document % SYSTEMS, prng.draw());
    let roots = [system, SYSTEMS + document, new];
    let lens = [SYSTEM_BLOCKS, DOCUMENT_BLOCKS, NEW_BLOCKS];
    let names = roots.into_iter().zip(lens).flat_map(|(root, len)| {
        let mut names = Prng(root.wrapping_mul(0x1_0000_0001));
        (0..len).map(move |_| names.draw())
    });
    prompt.iter_mut().zip(names).for_each(|(place, name)| *place = name);
}

impl Replicas {
    /// So many replicas and room for so many blocks in the index, all of it taken.
    ///
    /// # Panics
    /// If the router refuses a call: what is measured would mean nothing.
    #[must_use]
    pub fn new(replicas: u32, blocks_max: u32) -> Box<Self> {
        let options = RouterOptions {
            replicas_max: replicas,
            requests_max: replicas * 256,
            block_tokens: BLOCK_TOKENS,
            blocks_max,
            sets_max: blocks_max * replicas.div_ceil(64).min(2),
            prompt_blocks_max: PROMPT_BLOCKS as u32,
            ..RouterOptions::default()
        };
        let mut router = Router::new(&Policy::default(), &options).expect("sizes within range");
        let profile = Profile::named("llama-3.1-8b").expect("a built-in profile");
        let spec = ReplicaSpec::of(profile).expect("a valid profile");
        let mut prng = Prng(9);
        let (mut known, mut events) = (Vec::new(), BinaryHeap::new());
        for place in 0..replicas {
            let id = router.add_replica(Nanos::ZERO, &spec).expect("there is room");
            let slowness = 0.9 + prng.below(200) as f64 / 1e3;
            known.push(Replica { id, running: 0, waiting: 0, slowness });
            let first = Nanos(prng.below(Nanos::from_seconds(REPORT_S).get()));
            events.push(Reverse((first, Event::Report(place))));
        }
        let mut desk = Box::new(Self {
            router,
            engines: known,
            events,
            prng,
            now: Nanos::ZERO,
            kv_blocks: spec.kv.blocks().get(),
            prompt: [0; PROMPT_BLOCKS],
            routed: None,
        });
        let mut full_at = None;
        while full_at.is_none_or(|at: Nanos| desk.now < at.offset_seconds(WARM_S)) {
            desk.prepare();
            desk.route_uncounted();
            if full_at.is_none() && desk.router.stats().blocks_evicted > 0 {
                full_at = Some(desk.now);
            }
        }
        desk
    }

    /// Time passes until the next request comes: others get their first token, end, and replicas
    /// report.
    ///
    /// # Panics
    /// If the router refuses a call.
    pub fn prepare(&mut self) {
        self.settle();
        let gap_s =
            (0.5 + self.prng.below(1_000) as f64 / 1e3) / (RATE_PER_S * self.engines.len() as f64);
        let next = self.now.offset_seconds(gap_s);
        while let Some(Reverse((at, event))) = self.events.peek().copied()
            && at <= next
        {
            self.events.pop();
            self.happens(at, event);
        }
        self.now = next;
        draw_prompt(&mut self.prng, &mut self.prompt);
    }

    /// Routes the request that came. Valgrind finds it by its name: it is never inlined, and
    /// nothing but what is to be counted goes through it.
    ///
    /// # Panics
    /// If the router refuses.
    #[inline(never)]
    pub fn route(&mut self) {
        self.route_uncounted();
    }

    #[expect(clippy::inline_always, reason = "it must be part of the method that is counted")]
    #[inline(always)]
    fn route_uncounted(&mut self) {
        let prompt_tokens = Tokens(PROMPT_BLOCKS as u32 * BLOCK_TOKENS + BLOCK_TOKENS / 2);
        let request = RouteRequest { prompt_tokens, ..RouteRequest::default() };
        let routed = black_box(self.router.route(self.now, &request, &self.prompt));
        let routed = routed.expect("a valid call").expect("there are replicas");
        self.routed = Some((routed.request, routed.replica.index(), routed.ttft_s));
    }

    /// What becomes of the request that was routed last.
    fn settle(&mut self) {
        let Some((request, place, ttft_s)) = self.routed.take() else { return };
        let replica = &mut self.engines[place as usize];
        replica.waiting += 1;
        let noise = 0.9 + self.prng.below(200) as f64 / 1e3;
        let first = self.now.offset_seconds(ttft_s * replica.slowness * noise);
        self.events.push(Reverse((first, Event::First(request, place))));
    }

    fn happens(&mut self, at: Nanos, event: Event) {
        let tokens = PROMPT_BLOCKS as u32 * BLOCK_TOKENS;
        match event {
            Event::First(request, place) => {
                self.router.first_token(at, request).expect("it is on its way");
                let replica = &mut self.engines[place as usize];
                replica.waiting -= 1;
                replica.running += 1;
                let answer_s = ANSWER_S * (0.2 + self.prng.below(1_600) as f64 / 1e3);
                let end = at.offset_seconds(answer_s);
                self.events.push(Reverse((end, Event::Ended(request, place))));
            }
            Event::Ended(request, place) => {
                let answer = Tokens((ANSWER_S * TOKENS_PER_S) as u32);
                self.router.ended(at, request, answer).expect("it decodes");
                self.engines[place as usize].running -= 1;
            }
            Event::Report(place) => {
                let replica = self.engines[place as usize];
                let held = (replica.running + replica.waiting) * PROMPT_BLOCKS as u32;
                let state = ReplicaState {
                    as_of: at,
                    running: replica.running,
                    waiting: replica.waiting,
                    context_tokens: u64::from(replica.running * tokens),
                    kv_free: Blocks(self.kv_blocks.saturating_sub(held)),
                    prefill_tokens: None,
                };
                self.router.report(at, replica.id, &state).expect("a valid report");
                let next = at.offset_seconds(REPORT_S);
                self.events.push(Reverse((next, Event::Report(place))));
            }
        }
    }
}

/// The peer in the same run: the replica that computed most of the prompt last, by one map, unless
/// it has too many requests; else the one with fewest. It knows neither time nor memory.
#[derive(Debug)]
pub struct Peer {
    holders: HashMap<u64, u32>,
    requests: Vec<u32>,
    going: std::collections::VecDeque<u32>,
    blocks_max: usize,
    prng: Prng,
    prompt: [u64; PROMPT_BLOCKS],
}

/// Requests that a replica may have beyond the fewest and still be chosen for its cache.
const SLACK: u32 = 8;

impl Peer {
    /// As many replicas and blocks as the router has.
    #[must_use]
    pub fn new(replicas: u32, blocks_max: u32) -> Self {
        let mut peer = Self {
            holders: HashMap::with_capacity(blocks_max as usize),
            requests: vec![0; replicas as usize],
            going: std::collections::VecDeque::new(),
            blocks_max: blocks_max as usize,
            prng: Prng(9),
            prompt: [0; PROMPT_BLOCKS],
        };
        while peer.holders.len() + PROMPT_BLOCKS < peer.blocks_max {
            peer.prepare();
            peer.route();
        }
        peer
    }

    /// Some requests end, and the next comes.
    pub fn prepare(&mut self) {
        while self.going.len() > self.requests.len() * (RATE_PER_S * ANSWER_S) as usize {
            let Some(replica) = self.going.pop_front() else { break };
            self.requests[replica as usize] -= 1;
        }
        if self.holders.len() + PROMPT_BLOCKS > self.blocks_max {
            // It does not know which is oldest: any that come first, a hundredth of them.
            let some: Vec<u64> =
                self.holders.keys().copied().take(self.blocks_max / 100 + PROMPT_BLOCKS).collect();
            for block in some {
                self.holders.remove(&block);
            }
        }
        draw_prompt(&mut self.prng, &mut self.prompt);
    }

    /// Routes it.
    #[inline(never)]
    pub fn route(&mut self) {
        let least = self.requests.iter().zip(0_u32..).min().map_or((0, 0), |(n, at)| (*n, at));
        let mut holder = None;
        for block in &self.prompt {
            let Some(replica) = self.holders.get(block) else { break };
            holder = Some(*replica);
        }
        let chosen = match holder {
            Some(replica) if self.requests[replica as usize] <= least.0 + SLACK => replica,
            _ => least.1,
        };
        for block in self.prompt {
            self.holders.insert(block, chosen);
        }
        self.requests[chosen as usize] += 1;
        self.going.push_back(black_box(chosen));
    }
}
