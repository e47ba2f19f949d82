//! Who says whether batch work waits for interactive work.

use std::fmt;

use rampmeter::headroom::hold::{BatchJob, Reserve};
use rampmeter::place::Holding;
use rampmeter::policy::HoldRules;
use rampmeter::{Error, Nanos};

use super::INTERACTIVE;

/// A rule that holds batch work back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hold {
    /// Nobody is held.
    None,
    /// Batch work leaves this share of all GPUs free.
    Share(f64),
    /// Square-root staffing: so many standard deviations of interactive work are left free, which is
    /// known, and as if it came independently (Borst, Mandelbaum and Reiman 2004).
    SquareRoot(f64),
    /// The library's reserve, with this `hold.reserve_beta_min`, or the one of the default policy.
    Rampmeter(Option<f64>),
}

impl Hold {
    /// All of them, the library's last.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Share(0.1),
        Self::SquareRoot(2.0),
        Self::SquareRoot(1.0),
        Self::Rampmeter(Some(0.0)),
        Self::Rampmeter(Some(3.0)),
        Self::Rampmeter(None),
    ];

    /// What the policy says of it.
    pub(super) fn rules(self) -> HoldRules {
        let rules = HoldRules::default();
        let Self::Rampmeter(Some(reserve_beta_min)) = self else { return rules };
        HoldRules { reserve_beta_min, ..rules }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Share(share) => f.pad(&format!("{}% kept free", 100.0 * share)),
            Self::SquareRoot(beta) => f.pad(&format!("square root, beta {beta}")),
            Self::Rampmeter(None) => f.pad("rampmeter"),
            Self::Rampmeter(Some(0.0)) => f.pad("rampmeter, price alone"),
            Self::Rampmeter(Some(beta)) => f.pad(&format!("rampmeter, beta_min {beta}")),
        }
    }
}

/// A number of GPUs that batch work leaves free, whatever happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) gpus: f64,
}

impl Holding for Kept {
    fn urgent_class(&self) -> u32 {
        INTERACTIVE
    }

    fn check(&self, _: Nanos) -> Result<(), Error> {
        Ok(())
    }

    fn holds(&self, _: Nanos, job: &BatchJob) -> bool {
        job.gpus_free - job.gpus < self.gpus
    }
}

/// A hold rule at work.
pub(super) enum Holder {
    None,
    Kept(Kept),
    Reserve,
}

impl Holder {
    /// Of a cluster with so many GPUs, on which interactive tasks of `task_gpus` GPUs hold
    /// `tasks` of those on average.
    pub(super) fn new(hold: Hold, gpus: f64, tasks: f64, task_gpus: f64) -> Self {
        match hold {
            Hold::None => Self::None,
            Hold::Share(share) => Self::Kept(Kept { gpus: share * gpus }),
            Hold::SquareRoot(beta) => Self::Kept(Kept { gpus: beta * tasks.sqrt() * task_gpus }),
            Hold::Rampmeter(_) => Self::Reserve,
        }
    }

    pub(super) fn holding<'a>(&'a self, reserve: &'a Reserve) -> Option<&'a dyn Holding> {
        match self {
            Self::None => None,
            Self::Kept(kept) => Some(kept),
            Self::Reserve => Some(reserve),
        }
    }
}
