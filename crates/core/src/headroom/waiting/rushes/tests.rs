use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// Requests that may wait in the oracle's chain.
const LINE: usize = 90;

/// Stationary shares of a chain by state reduction, of which nothing here is a special case.
/// Grassmann, Taksar and Heyman, Operations Research 33 (1985).
fn shares(mut rates: Vec<Vec<f64>>) -> Vec<f64> {
    let states = rates.len();
    for last in (1..states).rev() {
        let (before, from_last) = rates.split_at_mut(last);
        let from_last = &from_last[0][..last];
        let away: f64 = from_last.iter().sum();
        for row in before {
            row[last] /= away;
            let part = row[last];
            for (rate, there) in row.iter_mut().zip(from_last) {
                *rate += part * there;
            }
        }
    }
    let mut shares = vec![1.0];
    while shares.len() < states {
        let state = shares.len();
        shares.push(shares.iter().zip(&rates).map(|(share, row)| share * row[state]).sum());
    }
    let all: f64 = shares.iter().sum();
    shares.iter().map(|share| share / all).collect()
}

/// The tail by definition: a chain of both phases and all numbers of requests, cut off at `LINE`.
fn by_definition(queue: &Queue, rushes: &Rushes, seconds: f64) -> f64 {
    let (servers, mean) = (queue.servers as usize, queue.rho * queue.servers);
    let high = 1.0 + rushes.scv.sqrt().max(rushes.scv);
    let low = 2.0 - high.min(2.0);
    let part = (1.0 - low) / (high - low);
    let (come, turn) = ([mean * low, mean * high], [part, 1.0 - part].map(|p| p * rushes.pace));
    let most = servers + LINE;
    let mut rates = vec![vec![0.0; 2 * (most + 1)]; 2 * (most + 1)];
    for n in 0..=most {
        let busy = n.min(servers) as f64;
        let share = queue.loaded_share;
        let leaving = busy / (1.0 - share + share * busy / queue.servers);
        for phase in 0..2 {
            let state = 2 * n + phase;
            rates[state][2 * n + 1 - phase] = turn[phase];
            if n < most {
                rates[state][state + 2] = come[phase];
            }
            if n > 0 {
                rates[state][state - 2] = leaving;
            }
        }
    }
    let shares = shares(rates);
    // All servers busy end so many requests a service time; whoever finds k waiting needs k + 1 ends.
    let ends = queue.servers * seconds / queue.service_s;
    let (mut poisson, mut fewer, mut late) = ((-ends).exp(), 0.0, 0.0);
    for waiting in 0..=LINE {
        fewer += poisson;
        poisson *= ends / (waiting as f64 + 1.0);
        let state = 2 * (servers + waiting);
        late += fewer * (shares[state] * come[0] + shares[state + 1] * come[1]);
    }
    late / mean
}

#[test]
fn tails_are_those_of_the_chain_by_definition() {
    for (servers, rho, share, scv, pace, seconds) in [
        (1.0, 0.4, 0.0, 0.36, 0.4, 3.0),
        (1.0, 0.3, 0.0, 3.0, 2.0, 0.5),
        (8.0, 0.55, 0.0, 0.36, 0.4, 2.0),
        (8.0, 0.6, 0.66, 0.36, 0.4, 2.0),
        (24.0, 0.55, 0.66, 0.36, 0.4, 0.25),
        (24.0, 0.5, 0.9, 0.81, 3.0, 0.25),
        (24.0, 0.35, 0.3, 1.5, 1.0, 0.0),
    ] {
        let queue = Queue { loaded_share: share, ..Queue::markov(servers, rho, 2.0) };
        let rushes = Rushes { scv, pace };
        let (got, exact) =
            (queue.tail_in(&rushes, seconds), by_definition(&queue, &rushes, seconds));
        assert!((got / exact - 1.0).abs() < 1e-6, "{queue:?} {rushes:?}: {got} {exact}");
        assert!(exact > 1e-3, "{exact}: nothing to compare");
    }
}

/// Dispersion of such arrivals, see the module.
fn dispersion(rushes: &Rushes, arrivals: f64, span: f64) -> f64 {
    1.0 + 2.0 * arrivals * rushes.scv * span / (1.0 + rushes.pace * span)
}

proptest! {
    /// Without variance it is the formula of independent arrivals, engines and steady service too.
    #[test]
    fn without_rushes_it_is_erlangs(
        servers in 1u32..300, rho in 0.01f64..0.99, share in 0.0f64..0.9, scv in 0.0f64..1.0,
        t in 0.0f64..5.0,
    ) {
        let queue = Queue { service_scv: scv, loaded_share: share,
            ..Queue::markov(f64::from(servers), rho, 1.0) };
        let (got, exact) = (queue.tail_in(&Rushes { scv: 0.0, pace: 1.0 }, t), queue.tail(t));
        prop_assert!((got - exact).abs() <= 1e-9 + 1e-6 * exact, "{got} {exact}");
    }

    /// Higher and longer rushes, and more load, make more of them late.
    #[test]
    fn tails_are_ordered(
        servers in 1u32..200, rho in 0.01f64..0.98, share in 0.0f64..0.9, scv in 0.0f64..0.9,
        pace in 0.02f64..2.0, t in 0.0f64..5.0,
    ) {
        let queue = Queue { loaded_share: share, ..Queue::markov(f64::from(servers), rho, 1.0) };
        let rushes = Rushes { scv, pace };
        let tail = queue.tail_in(&rushes, t);
        let least = tail * (1.0 - 1e-6) - 1e-12;
        prop_assert!((0.0..=1.0).contains(&tail));
        prop_assert!(queue.tail_in(&rushes, t + 1.0) <= tail * (1.0 + 1e-6) + 1e-12, "time");
        let busier = Queue { rho: rho + 0.005, ..queue };
        prop_assert!(busier.tail_in(&rushes, t) >= least, "load");
        prop_assert!(queue.tail_in(&Rushes { scv: scv + 0.05, ..rushes }, t) >= least, "height");
        prop_assert!(queue.tail_in(&Rushes { pace: pace / 2.0, ..rushes }, t) >= least, "length");
        let wilder = Queue { correction: 1.3, ..queue };
        prop_assert!(wilder.tail_in(&rushes, t) >= least, "correction");
    }

    /// What was put into two dispersions is found again in them.
    #[test]
    fn rushes_are_found_in_their_dispersions(
        arrivals in 0.1f64..1e3, scv in 0.01f64..10.0, pace in 0.02f64..3.9,
    ) {
        let rushes = Rushes { scv, pace };
        let [short, long] = SPANS.map(|span| dispersion(&rushes, arrivals, span));
        let seen = Rushes::seen(arrivals, short, long).unwrap();
        prop_assert!((seen.scv / scv - 1.0).abs() < 1e-6, "{:?} {:?}", seen, rushes);
        prop_assert!((seen.pace / pace - 1.0).abs() < 1e-6, "{:?} {:?}", seen, rushes);
        prop_assert_eq!(Rushes::seen(arrivals, 1.0, long), None);
    }

    /// Hostile numbers are answered with a share.
    #[test]
    fn any_numbers_are_answered(numbers in prop::array::uniform10(any::<f64>()), t in any::<f64>()) {
        let [servers, rho, service_s, service_scv, short, long, share, correction, scv, pace] = numbers;
        let queue = Queue { servers: servers % 2e3, rho: rho % 1.5, service_s, service_scv,
            dispersion_short: short, dispersion_long: long, loaded_share: share, correction };
        let tail = queue.tail_in(&Rushes { scv, pace }, t);
        prop_assert!(tail.is_nan() || (0.0..=1.0).contains(&tail), "{:?} {}", queue, tail);
        if let Some(seen) = Rushes::seen(servers, short, long) {
            prop_assert!((PACES.0..=PACES.1).contains(&seen.pace) && seen.scv >= 0.0);
        }
    }
}
