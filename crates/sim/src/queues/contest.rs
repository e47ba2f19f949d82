//! What the desk says against what the simulator finds.

use rampmeter::Nanos;
use rampmeter::headroom::estimate::servers::Replica;
use rampmeter::headroom::{Answer, ClassOptions, Headroom, Options};

use super::knee::Target;
use super::{Event, Queue, Servers, simulate};

/// Options of a desk for this queue and target.
#[must_use]
pub fn options(queue: &Queue, target: &Target) -> Options {
    let (replica, replicas) = match queue.servers {
        Servers::Plain(servers) => (Replica::server(), servers),
        Servers::Engine(engine) => {
            let (seats, loaded_share) = (engine.seats, engine.loaded_share);
            (Replica { seats, loaded_share }, 1)
        }
    };
    let class = ClassOptions {
        target: Nanos::from_seconds(target.wait_s),
        late_ratio_max: target.late_ratio_max,
        ..ClassOptions::default()
    };
    Options::new([class], replica, replicas)
}

/// A desk that saw `requests` requests at a load.
///
/// # Errors
/// Those of the desk; none for events of a simulation.
pub fn watched(
    queue: &Queue,
    options: &Options,
    load: f64,
    requests: u64,
    seed: u64,
) -> Result<Headroom, rampmeter::Error> {
    let mut desk = Headroom::new(options)?;
    let mut outcome = Ok(());
    simulate(queue, load, requests, seed, |now_s, event| {
        let now = Nanos::from_seconds(now_s);
        let told = match event {
            Event::Arrived => desk.arrived(now, 0),
            Event::Started { waited_s } => {
                desk.started(now, 0, Nanos::from_seconds(waited_s).min(now))
            }
            Event::Ended { ran_s } => desk.ended(now, 0, Nanos::from_seconds(ran_s).min(now)),
        };
        if outcome.is_ok() {
            outcome = told;
        }
    });
    outcome.map(|()| desk)
}

/// The utilization at which a desk puts the knee: likeliest and lower limit; `None` where it does
/// not say.
///
/// # Errors
/// As [`Headroom::knee`].
pub fn knee_load(desk: &Headroom, seats: u32) -> Result<Option<(f64, f64)>, rampmeter::Error> {
    let Answer::Known(knee) = desk.knee(0)? else { return Ok(None) };
    // Requests take one second of a server on average, by construction of the sources.
    let per_load = f64::from(seats);
    Ok(Some((knee.value / per_load, knee.low / per_load)))
}

#[cfg(test)]
mod tests {
    use super::super::cases::all;
    use super::super::knee::{Effort, simulated};
    use super::*;

    /// The smallest of the table, with less effort: independent arrivals on eight servers.
    #[test]
    fn the_desk_finds_the_simulated_knee() {
        let poisson =
            |queue: &Queue| queue.seats() == 8 && queue.gaps == super::super::Gaps::Poisson;
        for case in all().filter(|case| poisson(&case.queue)).take(2) {
            let effort = Effort { requests: 100_000, seeds: 2 };
            let knee = simulated(&case.queue, &case.target, &effort);
            let options = options(&case.queue, &case.target);
            let desk = watched(&case.queue, &options, 0.8 * knee, 100_000, 42).unwrap();
            let (value, low) = knee_load(&desk, 8).unwrap().unwrap();
            assert!((value / knee - 1.0).abs() < 0.05, "{}: {value} for {knee}", case.name);
            assert!(low < knee * 1.03, "{}: {low} for {knee}", case.name);
        }
    }

    /// Rushes that servers and an engine can just take: what was seen at 70% of the knee shows no
    /// queue. Knees of 2,000,000 requests, from the table of `headroom_knee`. By a number of
    /// equivalent servers, or with late requests that come together taken for independent ones, the
    /// desk is 4 to 12% beside them.
    #[test]
    fn the_desk_finds_the_knee_of_rushes() {
        for (engine, knee) in [(false, 0.5867), (true, 0.6057)] {
            let rushes = |case: &super::super::cases::Case| {
                matches!(case.queue.gaps, super::super::Gaps::Modulated { .. })
                    && matches!(case.queue.servers, Servers::Engine(_)) == engine
                    && case.queue.seats() == 64
            };
            let case = all().find(rushes).unwrap();
            let options = options(&case.queue, &case.target);
            let desk = watched(&case.queue, &options, 0.7 * knee, 200_000, 42).unwrap();
            let (value, low) = knee_load(&desk, 64).unwrap().unwrap();
            assert!((value / knee - 1.0).abs() < 0.03, "{value} for {knee}");
            assert!(low < knee, "{low} for {knee}");
        }
    }
}
