//! How likely does a request find all servers busy?
//!
//! # Formula
//! With `c` servers that each bring `mu(n) = speed(n) / S` while `n` are busy, utilization
//! `rho = lambda S / c`, and `a = rho c`:
//! ```text
//! loss   B(n) = a B(n-1) / (n speed(n) + a B(n-1))          balance of a birth-death chain
//! delay  C    = B(c) / (1 - rho (1 - B(c)))
//! ```
//! With one speed this is Erlang's B and C. Where `c` is no whole number (servers divided by a
//! peakedness) the recursion begins at its fraction, with the parabola of Rapp.
//!
//! Above 1,024 servers, the limit of many servers takes over, `c = a + beta sqrt(a)`:
//! ```text
//! C -> [1 + beta Phi(beta) / phi(beta)]^-1                  Halfin and Whitt
//! ```
//!
//! # Bounds and cost
//! O(c), at most 1,024 rounds. The limit is within 8% of Erlang C at 1,024 servers for any `C`
//! above 0.02.
//!
//! # Source
//! Erlang (1917). Recursion and its birth-death form: Kleinrock, "Queueing Systems" I, ch. 3. Y.
//! Rapp, "Planning of junction network in a multi-exchange area", Ericsson Technics (1964).
//! Halfin and Whitt, "Heavy-traffic limits for queues with many exponential servers", Operations
//! Research 29 (1981).

/// Servers above which the limit stands for the recursion.
const SERVERS_EXACT: f64 = 1_024.0;

/// Least equivalent servers: less is the limit of arrivals that all come at once.
const SERVERS_MIN: f64 = 1e-3;

/// The share of requests that find all `servers` busy, at a utilization of `rho` of full servers,
/// each faster while fewer are busy (see [`super::super::estimate::servers`]). 1 from saturation on.
#[must_use]
pub fn delay_probability(servers: f64, rho: f64, loaded_share: f64) -> f64 {
    if rho.is_nan() || rho <= 0.0 {
        return 0.0;
    }
    if rho >= 1.0 {
        return 1.0;
    }
    let servers = servers.max(SERVERS_MIN);
    if servers > SERVERS_EXACT && loaded_share <= 0.0 {
        return halfin_whitt((1.0 - rho) * libm::sqrt(servers / rho));
    }
    let scale = (servers / SERVERS_EXACT).max(1.0);
    let loss = loss(servers / scale, rho, loaded_share, scale);
    loss / (1.0 - rho * (1.0 - loss))
}

/// The last state's share of a birth-death chain. Above the exact limit, `scale` servers are taken
/// for one that is as much less variable; engines stand there only in pools of many.
fn loss(servers: f64, rho: f64, loaded_share: f64, scale: f64) -> f64 {
    let load = rho * servers;
    let whole = servers as u32;
    let fraction = servers - f64::from(whole);
    let mut loss = rapp(fraction, load);
    for rank in 1..=whole {
        let busy = fraction + f64::from(rank);
        let speed = (1.0 - loaded_share + loaded_share * busy / servers).recip();
        let arriving = load * loss;
        let leaving = busy * speed;
        loss = arriving / (leaving + arriving);
    }
    // Stationary shares of a chain `scale` times as fine lie as much closer together.
    loss / scale
}

/// Erlang's B of a part of a server: exact for none and for one.
fn rapp(servers: f64, load: f64) -> f64 {
    let below = (1.0 + load) * (1.0 + load) + load;
    1.0 - servers * (load + 2.0) / below + servers * servers / ((1.0 + load) * below)
}

/// The share that waits with `a + beta * sqrt(a)` servers, for many of them.
#[must_use]
pub fn halfin_whitt(beta: f64) -> f64 {
    if beta.is_nan() || beta <= 0.0 {
        return 1.0;
    }
    // Beyond, the density is zero in `f64`, and so is the answer.
    let beta = beta.min(38.0);
    let density = libm::exp(-beta * beta / 2.0) / libm::sqrt(2.0 * core::f64::consts::PI);
    let below = 0.5 * libm::erfc(-beta / core::f64::consts::SQRT_2);
    density / (density + beta * below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Erlang C as it is printed in tables (A. K. Erlang's formula, load in erlangs).
    const TABLE: [(f64, f64, f64); 8] = [
        (1.0, 0.5, 0.5),
        (2.0, 1.0, 0.333_333),
        (3.0, 2.0, 0.444_444),
        (5.0, 4.0, 0.554_113),
        (10.0, 8.0, 0.409_180),
        (10.0, 9.0, 0.668_732),
        (20.0, 16.0, 0.256_092),
        (100.0, 95.0, 0.506_456),
    ];

    #[test]
    fn erlang_c_is_that_of_the_tables() {
        for (servers, load, exact) in TABLE {
            let got = delay_probability(servers, load / servers, 0.0);
            assert!((got - exact).abs() < 2e-3, "{servers} {load}: {got} {exact}");
        }
    }

    /// Shares of all states by definition, far beyond the last server.
    fn by_definition(servers: u32, rho: f64, share: f64) -> f64 {
        let c = f64::from(servers);
        let mut weights = Vec::from([1.0]);
        for n in 1..40_000_u32 {
            let busy = f64::from(n.min(servers));
            let speed = 1.0 / (1.0 - share + share * busy / c);
            let last = weights[n as usize - 1];
            weights.push(last * rho * c / (busy * speed));
        }
        weights[servers as usize..].iter().sum::<f64>() / weights.iter().sum::<f64>()
    }

    #[test]
    fn engines_are_birth_death_chains() {
        for (servers, rho, share) in [(1, 0.7, 0.0), (8, 0.9, 0.5), (64, 0.95, 0.9), (64, 0.6, 0.3)]
        {
            let got = delay_probability(f64::from(servers), rho, share);
            let exact = by_definition(servers, rho, share);
            assert!((got - exact).abs() < 1e-9, "{servers} {rho} {share}: {got} {exact}");
        }
    }

    #[test]
    fn many_servers_approach_the_limit() {
        // Table of Halfin and Whitt: beta for which a share waits.
        for (beta, share) in [(0.0, 1.0), (0.50, 0.504), (1.0, 0.223), (2.0, 0.027)] {
            assert!((halfin_whitt(beta) - share).abs() < 1e-2, "{beta}: {}", halfin_whitt(beta));
        }
        for beta in [0.2, 0.5, 1.0, 1.5, 2.0] {
            // c = a + beta * sqrt(a) at the border.
            let a: f64 = 1_024.0 - beta * 32.0 + beta * beta / 2.0;
            let exact = delay_probability(1_024.0, a / 1_024.0, 0.0);
            let limit = halfin_whitt((1.0 - a / 1_024.0) * libm::sqrt(1_024.0 * 1_024.0 / a));
            assert!((limit / exact - 1.0).abs() < 0.08, "{beta}: {limit} {exact}");
        }
    }

    proptest! {
        /// More servers at one utilization wait less, whole or not, and more load waits more.
        #[test]
        fn delays_are_ordered(c in 0.01f64..1_000.0, more in 1.0f64..3.0, rho in 0.01f64..0.99) {
            let here = delay_probability(c, rho, 0.0);
            prop_assert!((0.0..=1.0).contains(&here));
            prop_assert!(delay_probability(c * more, rho, 0.0) <= here * 1.02 + 1e-9);
            prop_assert!(delay_probability(c, rho + 0.009, 0.0) >= here * 0.999_999);
        }
    }
}
