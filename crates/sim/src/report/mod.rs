//! One self-contained HTML page (and one small picture) that shows what users felt.
//!
//! The page needs no network and no script: plots are inline SVG coloured by CSS variables, so
//! that it follows the reader's light or dark setting, and boxes of the legend hide a policy in
//! every plot at once. Every sentence with a number in it is computed from the runs.
//!
//! # Bounds and cost
//! Linear in runs, classes and accounts; the accounts shown are those that ask for most.

mod axis;
mod chart;
mod curves;
mod headline;
mod measures;
mod page;
mod people;
mod picture;
mod text;
mod words;

use crate::results::ServingRun;

/// What users of a class were promised.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassTarget {
    /// Name of the class, as in the runs.
    pub name: String,
    /// Target of the time to first token, in seconds.
    pub ttft_s: f64,
    /// Target of the time per output token, in seconds.
    pub tpot_s: f64,
}

/// Everything that one page tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The command line that makes this page again.
    pub command: String,
    /// Name of the engine.
    pub engine: String,
    /// Where its step times come from.
    pub engine_source: String,
    /// Where the requests come from.
    pub workload: String,
    /// Seed of everything random, the first where there are several.
    pub seed: u64,
    /// Seeds that every run is the mean of; 1 for a single run.
    pub seeds: u32,
    /// Classes in order of precedence: the first is the one that the headline speaks of.
    pub classes: Vec<ClassTarget>,
    /// Share of requests that must meet their targets for the service to count as good.
    pub attainment_min_ratio: f64,
    /// The runs, policy by policy.
    pub runs: Vec<ServingRun>,
}

/// The whole page. The same report gives the same bytes.
#[must_use]
pub fn html(report: &Report) -> String {
    page::page(report)
}

/// Utilization and attainment over load, as an SVG file with its own light and dark colours.
#[must_use]
pub fn picture(report: &Report) -> String {
    picture::picture(report)
}
