//! At which sizes the calls are measured, and what each may take there.

use std::fmt;

/// Requests with a seat.
pub const RUNNING: [u32; 4] = [64, 256, 1_024, 10_000];

/// Requests that wait.
pub const WAITING: [u32; 3] = [0, 1_000, 10_000];

/// Accounts that they belong to, drawn at random.
pub const ACCOUNTS: [u32; 3] = [1, 100, 10_000];

/// Most bytes that a batcher may take for one request more.
pub const REQUEST_BYTES_BUDGET: f64 = 160.0;

/// What a desk is short of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Short {
    /// Seats: there is KV memory for everybody.
    Seats,
    /// KV memory: it holds as many requests as there are seats at other desks, and there are half
    /// as many seats again.
    Memory,
}

/// A size of the desk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Point {
    /// Requests with a seat.
    pub running: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Accounts that they belong to.
    pub accounts: u32,
    /// Why no more run.
    pub short: Short,
}

/// `running-waiting-accounts`, as benchmarks and files are named; `-memory` where that is short.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = if self.short == Short::Memory { "-memory" } else { "" };
        write!(f, "{}-{}-{}{short}", self.running, self.waiting, self.accounts)
    }
}

impl Point {
    /// A size of the desk, which is short of seats.
    #[must_use]
    pub const fn new(running: u32, waiting: u32, accounts: u32) -> Self {
        Self { running, waiting, accounts, short: Short::Seats }
    }

    /// The same size, short of KV memory.
    #[must_use]
    pub const fn short_of_memory(self) -> Self {
        Self { short: Short::Memory, ..self }
    }

    /// Every size, accounts fastest; then the two that `form` has a budget for, short of memory.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut points = Vec::new();
        for running in RUNNING {
            for waiting in WAITING {
                points.extend(ACCOUNTS.map(|accounts| Self::new(running, waiting, accounts)));
            }
        }
        let budgeted = points.iter().filter(|point| point.is_budgeted());
        let short: Vec<_> = budgeted.map(|point| point.short_of_memory()).collect();
        points.extend(short);
        points
    }

    /// The eight corners of the grid, and the two sizes that `form` has a budget for, short of
    /// either: what is measured where time is short, and counted in instructions.
    #[must_use]
    pub fn few() -> Vec<Self> {
        let corner =
            |size: u32, sizes: &[u32]| sizes.first() == Some(&size) || sizes.last() == Some(&size);
        let is_corner = |point: &Self| {
            corner(point.running, &RUNNING)
                && corner(point.waiting, &WAITING)
                && corner(point.accounts, &ACCOUNTS)
        };
        let chosen = |point: &Self| is_corner(point) || point.is_budgeted();
        Self::all().into_iter().filter(chosen).collect()
    }

    fn is_budgeted(&self) -> bool {
        self.accounts == 100 && self.budget_ns(Call::Form).is_some()
    }

    /// The sizes that the environment asks for: `RAMPMETER_BENCH=quick` means [`Point::few`].
    #[must_use]
    pub fn asked_for() -> Vec<Self> {
        let quick = std::env::var("RAMPMETER_BENCH").is_ok_and(|asked| asked == "quick");
        if quick { Self::few() } else { Self::all() }
    }

    /// Nanoseconds on one core that `call` may take at this size; `None` where nothing was
    /// promised. `submit`: a hundredth of what serving engines take to parse a request. `form`:
    /// a thousandth of a step of 10 ms at 256 seats, five thousandths at 1,024.
    #[must_use]
    pub const fn budget_ns(self, call: Call) -> Option<f64> {
        match (call, self.running, self.waiting) {
            (Call::Submit, ..) => Some(300.0),
            (Call::Form, 256, 1_000) => Some(10_000.0),
            (Call::Form, 1_024, 10_000) => Some(50_000.0),
            _ => None,
        }
    }
}

/// A call on the hot path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    /// A request comes in.
    Submit,
    /// A step is formed.
    Form,
    /// A step is observed.
    Observe,
}

impl Call {
    /// All of them, in the order of a request's life.
    pub const ALL: [Self; 3] = [Self::Submit, Self::Form, Self::Observe];

    /// As benchmarks and files are named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Form => "form",
            Self::Observe => "observe",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_few_are_the_corners_and_the_sizes_with_a_budget() {
        let few = Point::few();
        assert_eq!((Point::all().len(), few.len()), (38, 12));
        for point in [Point::new(256, 1_000, 100), Point::new(10_000, 10_000, 10_000)] {
            assert!(few.contains(&point), "{point}");
        }
        assert!(!few.contains(&Point::new(64, 1_000, 1)));
    }
}
