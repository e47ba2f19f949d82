//! Gates before a queue, simulated event by event: who lets most requests start in time?
//!
//! The simulator owns the clock, the requests and the servers, and judges: a request is *served* if
//! it starts within its target; refused, dropped and late ones are not. Whoever keeps the gate
//! ([`Keeper`]) owns the queue. [`peers`] are gates in use today, [`ours`] is the core's.

pub mod cases;
pub mod ours;
pub mod peers;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::sources::Requests;
use super::{Queue, Servers};

/// A request as a gate sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// Its number, counted from 0.
    pub id: usize,
    /// Whose it is.
    pub account: u32,
    /// Whether a server is free.
    pub free: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It starts at once; only where a server is free.
    Start,
    /// It waits.
    Wait,
    /// It is turned away.
    Refuse,
}

/// Whoever keeps the gate, and the queue behind it. Times in seconds.
pub trait Keeper {
    /// A request comes.
    fn arrive(&mut self, now_s: f64, arrival: &Arrival) -> Verdict;
    /// A server is free: who starts? Whoever is passed over is dropped.
    fn next(&mut self, now_s: f64) -> Option<usize>;
    /// A request is done that waited and was served for so long.
    fn ended(&mut self, now_s: f64, id: usize, waited_s: f64, ran_s: f64);
}

/// What is offered to a gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// How requests come and what they take, in mean service times.
    pub queue: Queue,
    /// Load over capacity.
    pub load: f64,
    /// Seconds of a mean service time.
    pub service_s: f64,
    /// Longest wait in time, in seconds.
    pub target_s: f64,
    /// Requests; the first tenth is not judged.
    pub requests: usize,
    /// Of the random numbers.
    pub seed: u64,
    /// Share of requests that are of account 1, the others of account 0.
    pub second_share: f64,
}

impl Offer {
    /// Servers that there are.
    #[must_use]
    pub const fn servers(&self) -> usize {
        match self.queue.servers {
            Servers::Plain(servers) => servers as usize,
            Servers::Engine(engine) => engine.seats as usize,
        }
    }
}

/// How an account fared, or all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fare {
    /// Requests that came.
    pub offered: u64,
    /// Those that started within the target.
    pub served: u64,
    /// Those that were turned away as they came.
    pub refused: u64,
    waits_s: Vec<f64>,
}

impl Fare {
    /// Share of all that came that were served.
    #[must_use]
    pub fn attainment(&self) -> f64 {
        self.served as f64 / (self.offered as f64).max(1.0)
    }

    /// Share of all that came that waited and did not start.
    #[must_use]
    pub fn dropped(&self) -> f64 {
        let started = self.waits_s.len() as u64;
        (self.offered - self.refused - started) as f64 / (self.offered as f64).max(1.0)
    }

    /// Seconds that all but `1 - share` of those that started waited at most; 0 of none.
    #[must_use]
    pub fn wait_s(&mut self, share: f64) -> f64 {
        self.waits_s.sort_by(f64::total_cmp);
        let rank = (share * self.waits_s.len() as f64).ceil() as usize;
        self.waits_s.get(rank.max(1) - 1).copied().unwrap_or(0.0)
    }
}

/// A moment in nanoseconds, so that moments have an order.
fn moment(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Requests on servers, and what became of all.
struct Run<'a, K> {
    keeper: &'a mut K,
    offer: &'a Offer,
    /// When each came, what it takes and whose it is.
    requests: Vec<(f64, f64, u32)>,
    waited_s: Vec<f64>,
    /// Who leaves when.
    leaving: BinaryHeap<Reverse<(u64, usize)>>,
    fares: [Fare; 2],
}

impl<K: Keeper> Run<'_, K> {
    fn start(&mut self, now_ns: u64, id: usize) {
        let (at_s, work_s, account) = self.requests[id];
        let waited_s = (now_ns as f64 / 1e9 - at_s).max(0.0);
        self.waited_s[id] = waited_s;
        self.leaving.push(Reverse((now_ns + moment(work_s), id)));
        if self.judged(id) {
            let fare = &mut self.fares[account as usize];
            fare.waits_s.push(waited_s);
            // A nanosecond more than the target is rounding of the clock.
            fare.served += u64::from(waited_s <= self.offer.target_s + 2e-9);
        }
    }

    fn judged(&self, id: usize) -> bool {
        id >= self.offer.requests / 10
    }

    /// Servers that are free by `until` are given to those that wait.
    fn advance(&mut self, until_ns: u64) {
        while let Some(Reverse((at, id))) = self.leaving.peek().copied()
            && at <= until_ns
        {
            self.leaving.pop();
            let now_s = at as f64 / 1e9;
            let (waited_s, work_s) = (self.waited_s[id], self.requests[id].1);
            self.keeper.ended(now_s, id, waited_s, work_s);
            if let Some(next) = self.keeper.next(now_s) {
                self.start(at, next);
            }
        }
    }
}

/// Sends the requests of an offer through a gate: how both accounts fared.
///
/// # Panics
/// If the keeper starts a request at once without a server for it.
pub fn simulate(offer: &Offer, keeper: &mut impl Keeper) -> [Fare; 2] {
    let mut run = Run {
        keeper,
        offer,
        requests: Vec::with_capacity(offer.requests),
        waited_s: vec![0.0; offer.requests],
        leaving: BinaryHeap::new(),
        fares: [Fare::default(), Fare::default()],
    };
    let arrivals = Requests::new(&offer.queue, offer.load, offer.seed).take(offer.requests);
    for (id, request) in arrivals.enumerate() {
        let (at_s, work_s) = (request.at_s * offer.service_s, request.work_s * offer.service_s);
        // Spread evenly by the golden section, so that no randomness is shared with arrivals.
        let account = u32::from((id as f64 * 0.618_033_988_749_895).fract() < offer.second_share);
        run.requests.push((at_s, work_s, account));
        let now_ns = moment(at_s);
        run.advance(now_ns);
        let free = run.leaving.len() < offer.servers();
        let verdict = run.keeper.arrive(now_ns as f64 / 1e9, &Arrival { id, account, free });
        let refused = verdict == Verdict::Refuse;
        if run.judged(id) {
            let fare = &mut run.fares[account as usize];
            fare.offered += 1;
            fare.refused += u64::from(refused);
        }
        if verdict == Verdict::Start {
            assert!(free, "started without a server");
            run.start(now_ns, id);
        }
    }
    run.advance(u64::MAX);
    run.fares
}
