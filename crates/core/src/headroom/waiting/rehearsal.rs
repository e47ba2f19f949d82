//! What would the same requests wait at higher loads?
//!
//! # What it decides
//! Nothing. It sends every request that comes through 24 imagined pools, each under a load of
//! its own, from 2% to 99% of capacity, and counts in each how many wait beyond their target.
//!
//! # Formula
//! ```text
//! time of pool k    gap * rho_now / rho_k                 the same pattern, denser or thinner
//! work clock        dV/dt = speed(n),  n = busy seats
//! a request         starts at V, or when the first of c seats is free;  ends work later
//! wait              (start - V) seconds: with someone waiting all seats are taken, speed is 1
//! ```
//! (Kiefer and Wolfowitz, with a clock that runs faster while seats are empty.) Of the waits only
//! this is kept, by class, all with the same forgetting:
//! ```text
//! offered     work / (c * time)             the load that the pool really had
//! late        share of waits > target
//! excursions  sum of (late requests in a row)^2 / late    how many come together
//! ```
//! Rows end where somebody finds a free seat. Rows are independent of each other, requests in a
//! row are not: the relative error of `late` is `sqrt(excursions / (samples * late))`.
//!
//! # Why
//! No formula with a few moments holds for every kind of burst and every tail of service at once
//! (`docs/policies/headroom.md` has the table of what was tried). The requests themselves hold
//! everything that there is to know about them, and replaying them costs less than serving them.
//!
//! # Bounds and cost
//! O(24 log seats) a request on average (a request that comes after a silence lets up to all seats
//! end), 192 bytes a seat, 768 bytes a class, no allocation after construction.
//!
//! # What it is bad at
//! First come, first served: a class that goes first waits less, one that goes last longer. Bursts
//! are compressed with the load: those that last for minutes become shorter.
//!
//! # Source
//! Kiefer and Wolfowitz, "On the theory of queues with many servers", Transactions of the AMS 78
//! (1955). Variance by independent rows: Crane and Lemoine, "An introduction to the regenerative
//! method for simulation analysis" (1977).

use alloc::boxed::Box;
use alloc::vec;

use super::seats;
use crate::error::Error;
use crate::snapshot::{Words, ensure};

/// Imagined pools.
pub const POOLS: usize = 24;

/// Loads that they aim at: odds `rho / (1 - rho)` from 1/50 to 100, each 1.45 times the one before.
/// Targets of half a service time on one server, and of minutes on a thousand, lie within.
pub const LOADS: [f64; POOLS] = [
    0.0196, 0.0281, 0.0403, 0.0573, 0.0809, 0.1130, 0.1558, 0.2108, 0.2790, 0.3591, 0.4480, 0.5403,
    0.6299, 0.7114, 0.7811, 0.8379, 0.8822, 0.9155, 0.9401, 0.9579, 0.9705, 0.9795, 0.9857, 0.9901,
];

/// A request of one class that was late or not, in one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests, older ones for less.
    pub samples: f64,
    /// Late ones among them.
    pub late: f64,
    squares: f64,
    row: f64,
}

impl Tally {
    /// One more request: late or not, and whether it found a free server, so that a row is over.
    pub(in crate::headroom) fn note(&mut self, late: bool, free: bool, keep: f64) {
        self.samples = self.samples * keep + 1.0;
        self.late *= keep;
        self.squares *= keep;
        if free {
            self.row = 0.0;
        }
        if late {
            self.late += 1.0;
            self.squares += 2.0 * self.row + 1.0;
            self.row += 1.0;
        }
    }

    /// Share of late requests.
    #[must_use]
    pub fn late_ratio(&self) -> f64 {
        if self.samples > 0.0 { self.late / self.samples } else { 0.0 }
    }

    /// Late requests that come together; `otherwise` where there were none.
    #[must_use]
    pub fn row_len(&self, otherwise: f64) -> f64 {
        if self.late > 0.0 { (self.squares / self.late).max(1.0) } else { otherwise }
    }

    pub(in crate::headroom) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { samples, late, squares, row } = self;
        for number in [samples, late, squares, row] {
            save(number.to_bits());
        }
    }

    pub(in crate::headroom) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            samples: words.next_amount("samples")?,
            late: words.next_amount("late")?,
            squares: words.next_amount("squares")?,
            row: words.next_amount("row")?,
        })
    }
}

/// One imagined pool.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    clock: f64,
    busy: u32,
    work: f64,
    time: f64,
}

/// Imagined pools under different loads.
#[derive(Debug)]
pub struct Rehearsal {
    pools: [Pool; POOLS],
    /// Moments at which seats become free, pool by pool.
    seats: Box<[f64]>,
    seats_max: u32,
    /// Of the classes, pool by pool.
    tallies: Box<[Tally]>,
    classes: u32,
}

/// What arrives at every pool.
#[derive(Clone, Copy, Debug)]
pub(in crate::headroom) struct Arrival {
    pub(in crate::headroom) class: u32,
    /// Seconds since the one before, and the load at which that was.
    pub(in crate::headroom) gap_s: f64,
    pub(in crate::headroom) rho: f64,
    /// Seconds of a server of a full pool.
    pub(in crate::headroom) work_s: f64,
    pub(in crate::headroom) target_s: f64,
    pub(in crate::headroom) keep: f64,
}

impl Rehearsal {
    pub(in crate::headroom) fn new(seats_max: u32, classes: u32) -> Self {
        Self {
            pools: [Pool::default(); POOLS],
            seats: vec![0.0; POOLS * seats_max as usize].into_boxed_slice(),
            seats_max,
            tallies: vec![Tally::default(); POOLS * classes as usize].into_boxed_slice(),
            classes,
        }
    }

    pub(in crate::headroom) const fn bytes_needed(seats_max: u64, classes: u64) -> u64 {
        POOLS as u64 * (seats_max * 8 + classes * size_of::<Tally>() as u64)
    }

    /// Forgets everything: there are other servers now.
    pub(in crate::headroom) fn clear(&mut self) {
        self.pools = [Pool::default(); POOLS];
        self.tallies.fill(Tally::default());
    }

    /// One request comes to all pools of `seats` seats, of which a part `loaded_share` of a full
    /// step is due to the load.
    pub(in crate::headroom) fn arrive(&mut self, arrival: &Arrival, seats: u32, loaded_share: f64) {
        let seats = seats.min(self.seats_max);
        if seats == 0 || arrival.rho <= 0.0 {
            return;
        }
        let Arrival { class, gap_s, rho, work_s, target_s, keep } = *arrival;
        let room = self.seats_max as usize;
        for (index, load) in LOADS.iter().enumerate() {
            let pool = &mut self.pools[index];
            let heap = &mut self.seats[index * room..][..seats as usize];
            let gap_s = gap_s * rho / load;
            pool.work = pool.work * keep + work_s;
            pool.time = pool.time * keep + gap_s;
            pool.advance(heap, gap_s, loaded_share);
            let wait_s = pool.seat(heap, work_s);
            let tally = &mut self.tallies[class as usize * POOLS + index];
            tally.note(wait_s > target_s, wait_s <= 0.0, keep);
        }
    }

    /// The load that a pool really had, over `seats` seats.
    #[must_use]
    pub fn load(&self, pool: usize, seats: u32) -> f64 {
        let Pool { work, time, .. } = self.pools[pool];
        if time > 0.0 && seats > 0 { work / (time * f64::from(seats)) } else { LOADS[pool] }
    }

    /// What happened to a class in a pool.
    #[must_use]
    pub fn tally(&self, class: u32, pool: usize) -> &Tally {
        &self.tallies[class as usize * POOLS + pool]
    }

    pub(in crate::headroom) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { pools, seats, seats_max, tallies, classes: _ } = self;
        for (index, Pool { clock, busy, work, time }) in pools.iter().enumerate() {
            for number in [clock, work, time] {
                save(number.to_bits());
            }
            save(u64::from(*busy));
            let first = index * *seats_max as usize;
            seats[first..][..*busy as usize].iter().for_each(|moment| save(moment.to_bits()));
        }
        tallies.iter().for_each(|tally| tally.save_state(save));
    }

    /// Of pools with so many seats now.
    pub(in crate::headroom) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        seats: u32,
    ) -> Result<(), Error> {
        for (index, pool) in self.pools.iter_mut().enumerate() {
            pool.clock = words.next_amount("clock")?;
            pool.work = words.next_amount("work")?;
            pool.time = words.next_amount("time")?;
            pool.busy = words.next_within("busy", 0, seats.min(self.seats_max))?;
            let heap = &mut self.seats[index * self.seats_max as usize..][..pool.busy as usize];
            for at in 0..heap.len() {
                heap[at] = words.next_amount("moment")?;
                ensure(at == 0 || heap[(at - 1) / 2] <= heap[at])?;
            }
        }
        for tally in &mut self.tallies {
            *tally = Tally::load_state(words)?;
        }
        ensure(self.tallies.len() == POOLS * self.classes as usize)
    }
}

impl Pool {
    /// Time passes; whoever is ready leaves.
    fn advance(&mut self, heap: &mut [f64], gap_s: f64, loaded_share: f64) {
        let mut left_s = gap_s;
        let seats = heap.len() as f64;
        while self.busy > 0 {
            let full = f64::from(self.busy) / seats;
            let speed = (1.0 - loaded_share + loaded_share * full).recip();
            let until_s = (heap[0] - self.clock).max(0.0) / speed;
            if until_s > left_s {
                self.clock += left_s * speed;
                return;
            }
            left_s -= until_s;
            self.clock = heap[0];
            seats::pop(heap, self.busy as usize);
            self.busy -= 1;
        }
        // With nobody there the clock starts anew, so that it never grows out of precision.
        self.clock = 0.0;
    }

    /// A request takes a seat, or the place behind whoever is first to leave one. How long it
    /// waits, in seconds.
    fn seat(&mut self, heap: &mut [f64], work_s: f64) -> f64 {
        let busy = self.busy as usize;
        if busy < heap.len() {
            seats::push(heap, busy, self.clock + work_s);
            self.busy += 1;
            return 0.0;
        }
        let start = heap[0];
        seats::replace_first(heap, busy, start + work_s);
        (start - self.clock).max(0.0)
    }
}
