//! `share`: where every account of a tree stands, and why.

use rampmeter_sim::InputError;

use super::{Failure, JsonTarget};
use crate::args::{RankingArg, Share};
use crate::console::Console;
use crate::jobs::{self, RankingName, ShareJob};
use crate::tables;

/// Prints a table of all accounts, or why one account is where it is.
pub(super) fn run(args: &Share, console: &mut Console<'_>) -> Result<(), Failure> {
    let ranking = args.ranking.map(|ranking| match ranking {
        RankingArg::FairTree => RankingName::FairTree,
        RankingArg::Classic => RankingName::Classic,
    });
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let job = ShareJob {
        file: &args.tree,
        ranking,
        damping: args.damping,
        account: args.account.as_deref(),
    };
    let standings = jobs::standings(&job)?;
    if args.damping.is_some() && !standings.is_classic {
        let problem = "damps the classic ranking only: `--ranking classic`";
        return Err(InputError::new("--damping", problem).into());
    }
    if !json.takes_stdout() {
        match args.account {
            Some(_) => tables::explained(&standings, console)?,
            None => tables::standings(&standings, console)?,
        }
    }
    json.write_whole(&standings, console)
}
