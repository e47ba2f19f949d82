//! How long do requests wait where quiet times and rushes take turns?
//!
//! # What it decides
//! Nothing. A number of equivalent servers does not say how a queue that was built in a rush goes
//! away: before an engine, which slows down as it fills, more slowly than before as many servers.
//! This follows the servers state by state, while the rate of arrivals switches between two values.
//!
//! # Formula
//! In units of the service time, with `c` servers of which `n` busy ones end `m(n) = n speed(n)`
//! requests a service time (`m(c) = c`):
//! ```text
//! v, b     squared variability of the rate; pace at which a deviation is forgotten, e^(-b t)
//! seen     I(s) - 1 = 2 lambda v s / (1 + b s)     dispersion of such arrivals over a span s, by
//!                                                  the kernel of `estimate::bursts`, at two spans
//! rates    l0 = lambda (1 - sqrt v), l1 = lambda (1 + sqrt v), p = 1/2           v <= 1
//!          l0 = 0, l1 = lambda (1 + v), p = 1 / (1 + v)                          v > 1
//! changes  q01 = b p  from quiet to rush,  q10 = b (1 - p)  back;  p: share of time in rushes
//!
//! climb    x = y = m(0) = 0, A = 1;  for n = 0 .. c-1:
//!          u = m(n) x + q01,  w = m(n) y + q10,  d = l0 l1 + l0 w + l1 u
//!          A = 1 + m(n+1) / d * (l1 + w, u; w, l0 + u) A
//!          x = u l1 / d,      y = w l0 / d
//! full     z > c, l1 the one root of  1 - c / z = q01 / (z - l0) + q10 / (z - l1)
//!          u = q01 z / (z - l0),  w = q10 z / (z - l1)
//!          R = (l0 (c + w), l0 u; l1 w, l1 (c + u)) / (c z)
//! all busy P ~ (q10 + c (y + R10), q01 + c (x + R01)),  F = P (1 - R)^-1
//! P(W > t) F e^(-(1 - R) c t) (l0, l1) / (lambda (P A + F 1 - P 1))
//! ```
//! A Markov chain of two phases, level by level as Erlang's recursion, with a 2 by 2 matrix in
//! place of a number: `(1 - x, x; y, 1 - y)` are shares of phases, `A` what is at or below a level
//! over what is there, and `R` leads from each level above `c` to the next. Nothing is subtracted on
//! the way up. It is exact for such arrivals and exponential service; with `v = 0` it is Erlang's
//! formula. Service that is less variable makes time count for more, as in `waiting`:
//! `t (I + 1) / (I + Cs^2)`.
//!
//! # Bounds and cost
//! O(servers), one division a server and 40 to find `z`, up to 1,024 servers; above, `waiting`'s
//! formula. No allocation.
//!
//! # What it is bad at
//! Two values are the fewest that have a variance, and a dispersion does not say how they lie: where
//! rushes are rarer than quiet times but not all there is, they are higher than it takes them for.
//!
//! # Source
//! Neuts, "Matrix-geometric solutions in stochastic models" (1981), chapter 6. Two phases and their
//! dispersion: Heffes and Lucantoni, "A Markov modulated characterization of packetized voice and
//! data traffic", IEEE Journal on Selected Areas in Communications 4 (1986). The closed forms for
//! two phases are ours.

use super::Queue;

/// Spans over which dispersions are compared, in service times: one, in which many servers see the
/// sum, and the next that is measured. Of longer ones fewer were seen.
pub const SPANS: [f64; 2] = [1.0, 4.0];

/// Paces that can be told apart, in a service time: by the longest and the shortest span over which
/// dispersion is measured. What changes more slowly is load, not bursts.
const PACES: (f64, f64) = (1.0 / 64.0, 4.0);

/// Servers above which the formula of `waiting` stands for this.
const SERVERS_EXACT: f64 = 1_024.0;

/// A rate of arrivals that switches between two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rushes {
    /// Variance of the rate over the square of its mean, at least 0.
    pub scv: f64,
    /// Pace at which a deviation from the mean is forgotten, in a service time, above 0.
    pub pace: f64,
}

impl Rushes {
    /// Of `arrivals` in a service time with these indices of dispersion over [`SPANS`]; `None` where
    /// they are no more variable than independent ones.
    #[must_use]
    pub fn seen(arrivals: f64, short: f64, long: f64) -> Option<Self> {
        let (more, more_long) = (short - 1.0, long - 1.0);
        if more.is_nan() || more <= 0.0 || arrivals.is_nan() || arrivals <= 0.0 {
            return None;
        }
        let spans = SPANS[1] / SPANS[0];
        // Between 1, rushes without length, and the ratio of the spans, rushes without end.
        let ratio = (more_long / more).clamp(1.0 + f64::EPSILON, spans);
        let pace = (spans - ratio) / (SPANS[1] * (ratio - 1.0));
        let pace = pace.clamp(PACES.0, PACES.1);
        let scv = more * (1.0 + pace * SPANS[0]) / (2.0 * arrivals * SPANS[0]);
        Some(Self { scv, pace })
    }

    fn rates(&self, arrivals: f64) -> Rates {
        let part = (1.0 + self.scv.max(1.0)).recip();
        let high = 1.0 + libm::sqrt(self.scv * (1.0 - part) / part);
        let low = ((1.0 - part * high) / (1.0 - part)).max(0.0);
        Rates {
            mean: arrivals,
            quiet: arrivals * low,
            rush: arrivals * high,
            begin: self.pace * part,
            end: self.pace * (1.0 - part),
        }
    }
}

impl Queue {
    /// `P(W > seconds)` where requests come in rushes; they take the place of the dispersions. With
    /// rushes of no variance it is [`Queue::tail`] of independent arrivals.
    #[must_use]
    pub fn tail_in(&self, rushes: &Rushes, seconds: f64) -> f64 {
        let arrivals = self.rho * self.servers;
        // Peakedness as many times larger as `correction` says.
        let more = (self.correction - 1.0) * (1.0 + rushes.pace * SPANS[0]) / arrivals;
        let scv = rushes.scv * self.correction + more;
        let within = self.rho > 0.0 && self.rho < 1.0 && self.service_s > 0.0;
        if !within || !(1.0..=SERVERS_EXACT).contains(&self.servers) || scv.is_nan() || scv < 0.0 {
            return self.tail(seconds);
        }
        let rates = Rushes { scv, ..*rushes }.rates(arrivals);
        let long = self.dispersion_long.max(1.0);
        let steadier = (long + 1.0) / (long + self.service_scv);
        let services = seconds.max(0.0) / self.service_s * steadier;
        let below = Below::climb(&rates, self.servers as u32, self.loaded_share);
        Full::new(&rates, self.servers as u32).late(&rates, &below, services)
    }
}

/// Arrivals in quiet times and in rushes, and changes between them, all in a service time.
#[derive(Clone, Copy, Debug)]
struct Rates {
    mean: f64,
    quiet: f64,
    rush: f64,
    begin: f64,
    end: f64,
}

/// States up to all servers busy, see `climb`.
#[derive(Clone, Copy, Debug)]
struct Below {
    to_rush: f64,
    to_quiet: f64,
    quiet: f64,
    rush: f64,
}

impl Below {
    fn climb(rates: &Rates, servers: u32, loaded_share: f64) -> Self {
        let Rates { quiet, rush, begin, end, .. } = *rates;
        let seats = f64::from(servers);
        let mut below = Self { to_rush: 0.0, to_quiet: 0.0, quiet: 1.0, rush: 1.0 };
        let mut leaving = 0.0;
        for rank in 1..=servers {
            let busy = f64::from(rank);
            let (u, w) = (leaving * below.to_rush + begin, leaving * below.to_quiet + end);
            let scale = (quiet * rush + quiet * w + rush * u).recip();
            leaving = busy / (1.0 - loaded_share + loaded_share * busy / seats);
            let part = leaving * scale;
            below = Self {
                to_rush: u * rush * scale,
                to_quiet: w * quiet * scale,
                quiet: 1.0 + part * ((rush + w) * below.quiet + u * below.rush),
                rush: 1.0 + part * (w * below.quiet + (quiet + u) * below.rush),
            };
        }
        below
    }
}

/// States from all servers busy on: `R`, row by row.
#[derive(Clone, Copy, Debug)]
struct Full {
    servers: f64,
    next: [[f64; 2]; 2],
}

impl Full {
    fn new(rates: &Rates, servers: u32) -> Self {
        let Rates { quiet, rush, begin, end, .. } = *rates;
        let servers = f64::from(servers);
        let z = root(rates, servers);
        let (u, w) = (begin * z / (z - quiet), end * z / (z - rush));
        let scale = (servers * z).recip();
        let next = [
            [quiet * (servers + w) * scale, quiet * u * scale],
            [rush * w * scale, rush * (servers + u) * scale],
        ];
        Self { servers, next }
    }

    /// The share of requests that find `services` service times of work and more before them.
    fn late(&self, rates: &Rates, below: &Below, services: f64) -> f64 {
        let (servers, next) = (self.servers, &self.next);
        let first = [
            rates.end + servers * (below.to_quiet + next[1][0]),
            rates.begin + servers * (below.to_rush + next[0][1]),
        ];
        let [[a, b], [c, d]] = [[1.0 - next[0][0], -next[0][1]], [-next[1][0], 1.0 - next[1][1]]];
        let det = a * d - b * c;
        let full = [(first[0] * d - first[1] * c) / det, (first[1] * a - first[0] * b) / det];
        // e^(-M t) of a 2 by 2 matrix M, by its two eigenvalues.
        let (middle, time) = (f64::midpoint(a, d), servers * services);
        let apart = libm::sqrt((f64::midpoint(a, -d) * f64::midpoint(a, -d) + b * c).max(0.0));
        let (slow, fast) =
            (libm::exp(-(middle - apart) * time), libm::exp(-(middle + apart) * time));
        let alike = f64::midpoint(slow, fast);
        let other = if apart > 0.0 { (slow - fast) / (2.0 * apart) } else { time * slow };
        let quiet = full[0] * (alike - other * (a - middle)) - full[1] * other * c;
        let rush = full[1] * (alike - other * (d - middle)) - full[0] * other * b;
        let all =
            first[0] * (below.quiet - 1.0) + first[1] * (below.rush - 1.0) + full[0] + full[1];
        let share = (quiet * rates.quiet + rush * rates.rush) / (rates.mean * all);
        // Far from saturation all that is below outgrows any number: nobody waits.
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
    }
}

/// The one `z` above the rates of leaving and of rushes at which they balance, to the last digits.
fn root(rates: &Rates, servers: f64) -> f64 {
    let Rates { quiet, rush, begin, end, .. } = *rates;
    let lacks = |z: f64| 1.0 - servers / z < begin / (z - quiet) + end / (z - rush);
    let mut low = servers.max(rush);
    let mut above = begin + end;
    while lacks(low + above) {
        above *= 2.0;
    }
    for _ in 0..50 {
        let half = above / 2.0;
        if lacks(low + half) {
            low += half;
        }
        above = half;
    }
    low + above
}

#[cfg(test)]
mod tests;
