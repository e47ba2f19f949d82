//! When to read what.
//!
//! # Formula
//! ```text
//! next(group) = begin + period(group)                     the driver answers
//! next(group) = end + retry                               it does not
//! next        = max(min over groups, end + min(3 * (end - begin), RESTED_MAX))
//! ```
//! # Why a rest
//! Drivers have one lock. Polled at 40 Hz, one held it for 10 s of 15 (`MangoHud` #2104), and
//! whoever launches a kernel waits for it. So reading takes at most a quarter of the time, however
//! slow the driver is.

use rampmeter::{Error, Nanos};

use crate::condition::Condition;
use crate::probe::Due;

/// Default age from which on a snapshot is not to be decided by: 15 readings of memory, and twice
/// the longest stall of a driver that is reported (1.5 s).
pub const STALE_AFTER: Nanos = Nanos(3_000_000_000);

/// After a stall, still several readings before a snapshot is stale.
const RESTED_MAX: Nanos = Nanos(1_000_000_000);
/// A quarter of the time: three parts of rest for one of reading.
const REST_FOR_READING: u64 = 3;
/// Nothing changes so slowly that a day between readings would do.
const PERIOD_MAX: Nanos = Nanos(86_400_000_000_000);

/// How often each group is read.
///
/// Measured costs (NVML, one GPU): memory 12 us, utilization 3 us, processes 4.5 ms. What goes over PCI
/// is never read: the call samples for 20 ms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cadence {
    /// Memory; 100 ms and longer. Default 200 ms.
    pub memory: Nanos,
    /// Utilization; 250 ms and longer: the driver itself averages over 1/6 s to 1 s. Default 500 ms.
    pub utilization: Nanos,
    /// Power, clocks, temperature, throttle reasons, events; 1 s and longer: reading power has
    /// stalled machines for 4 to 5 ms. Default 2 s.
    pub condition: Nanos,
    /// Processes; 1 s and longer. Default 5 s.
    pub processes: Nanos,
    /// Which devices there are; 5 s and longer. Default 60 s.
    pub inventory: Nanos,
    /// How long to wait before a driver that did not answer is tried again; 1 s and longer. Default
    /// 30 s: it takes a person to repair one.
    pub retry: Nanos,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            memory: Nanos::from_millis(200),
            utilization: Nanos::from_millis(500),
            condition: Nanos::from_millis(2_000),
            processes: Nanos::from_millis(5_000),
            inventory: Nanos::from_millis(60_000),
            retry: Nanos::from_millis(30_000),
        }
    }
}

impl Cadence {
    /// # Errors
    /// [`Error::Range`] for a period that is shorter than its least one, or longer than a day.
    pub fn check(&self) -> Result<(), Error> {
        for (field, value, least_ms) in [
            ("memory_ns", self.memory, 100),
            ("utilization_ns", self.utilization, 250),
            ("condition_ns", self.condition, 1_000),
            ("processes_ns", self.processes, 1_000),
            ("inventory_ns", self.inventory, 5_000),
            ("retry_ns", self.retry, 1_000),
        ] {
            let (min, max) = (Nanos::from_millis(least_ms).0, PERIOD_MAX.0);
            if !(min..=max).contains(&value.0) {
                return Err(Error::Range { field, value: value.0, min, max });
            }
        }
        Ok(())
    }

    const fn groups(&self) -> [(Due, Nanos); 5] {
        [
            (Due::INVENTORY, self.inventory),
            (Due::MEMORY, self.memory),
            (Due::UTILIZATION, self.utilization),
            (Due::CONDITION, self.condition),
            (Due::PROCESSES, self.processes),
        ]
    }
}

/// What is due when.
#[derive(Debug)]
pub(super) struct Schedule {
    cadence: Cadence,
    /// When each group is due, in the order of [`Cadence::groups`].
    next: [Nanos; 5],
    /// Nothing before this.
    rest_until: Nanos,
}

impl Schedule {
    /// Everything is due at once.
    pub(super) const fn new(cadence: Cadence) -> Self {
        Self { cadence, next: [Nanos(0); 5], rest_until: Nanos(0) }
    }

    /// What is due now.
    pub(super) fn due(&self, now: Nanos) -> Due {
        if now < self.rest_until {
            return Due::NOTHING;
        }
        let groups = self.cadence.groups().into_iter().zip(self.next);
        groups
            .filter(|(_, next)| *next <= now)
            .fold(Due::NOTHING, |due, ((group, _), _)| due.and(group))
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Nanos {
        self.next.into_iter().min().unwrap_or_default().max(self.rest_until)
    }

    /// These were read, from `begin` to `end`.
    pub(super) fn done(&mut self, due: Due, begin: Nanos, end: Nanos, condition: Condition) {
        let took = end.saturating_sub(begin);
        let rest = Nanos(took.0.saturating_mul(REST_FOR_READING)).min(RESTED_MAX);
        self.rest_until = end.saturating_add(rest);
        // An inventory brings everything with it.
        let all = due.contains(Due::INVENTORY);
        for ((group, period), next) in self.cadence.groups().into_iter().zip(&mut self.next) {
            if !condition.is_success() {
                *next = end.saturating_add(self.cadence.retry);
            } else if all || due.contains(group) {
                *next = begin.saturating_add(period);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn periods_that_would_hurt_are_refused() {
        assert_eq!(Cadence::default().check(), Ok(()));
        let wrong = Cadence { memory: Nanos(99 * MS), ..Cadence::default() };
        let expected =
            Error::Range { field: "memory_ns", value: 99 * MS, min: 100 * MS, max: PERIOD_MAX.0 };
        assert_eq!(wrong.check(), Err(expected));
        let wrong = Cadence { inventory: Nanos::MAX, ..Cadence::default() };
        assert!(matches!(wrong.check(), Err(Error::Range { field: "inventory_ns", .. })));
    }

    #[test]
    fn a_driver_that_does_not_answer_is_left_alone() {
        let mut schedule = Schedule::new(Cadence::default());
        assert_eq!(schedule.due(Nanos(0)), Due::ALL);
        schedule.done(Due::ALL, Nanos(0), Nanos(MS), Condition::NoDriver);
        assert_eq!(schedule.next(), Nanos(30_001 * MS));
        assert_eq!(schedule.due(Nanos(30_000 * MS)), Due::NOTHING);
        assert_eq!(schedule.due(Nanos(30_001 * MS)), Due::ALL);
    }

    #[test]
    fn a_slow_driver_is_read_a_quarter_of_the_time_and_no_stall_makes_it_stale() {
        let mut schedule = Schedule::new(Cadence::default());
        schedule.done(Due::ALL, Nanos(0), Nanos(100 * MS), Condition::Ready);
        assert_eq!(schedule.next(), Nanos(400 * MS));
        schedule.done(Due::MEMORY, Nanos(0), Nanos(1_500 * MS), Condition::Ready);
        assert!(schedule.next() <= Nanos(2_500 * MS) && schedule.next() < STALE_AFTER);
    }

    proptest! {
        /// However long reading takes, no group comes more often than its period.
        #[test]
        fn no_group_comes_too_often(took_us in prop::collection::vec(0_u64..400_000, 1..200)) {
            let cadence = Cadence::default();
            let mut schedule = Schedule::new(cadence);
            let mut now = Nanos(0);
            let mut last = [None::<Nanos>; 5];
            for took in took_us {
                let due = schedule.due(now);
                prop_assert!(!due.is_empty(), "something is due when it was said to be");
                for ((group, period), last) in cadence.groups().into_iter().zip(&mut last) {
                    if due.contains(group) {
                        let since = last.map(|last: Nanos| now.saturating_sub(last));
                        prop_assert!(since.is_none_or(|since| since >= period));
                        *last = Some(now);
                    }
                }
                let end = now.saturating_add(Nanos(took * 1_000));
                schedule.done(due, now, end, Condition::Ready);
                now = schedule.next().max(end);
            }
        }
    }
}
