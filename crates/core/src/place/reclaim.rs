//! Who ends for whom?

use super::{Placer, TaskId};
use crate::error::Error;
use crate::share::Ledger;
use crate::units::Nanos;

impl Placer {
    /// Chooses running tasks that must end so that the pending task can start, where its account
    /// may reclaim: those with the least weighted lost work whose end makes it placeable. Writes
    /// them to the front of `out`, marks them as ending and returns how many; `None`: no such set.
    pub(super) fn reclaim_for(
        &mut self,
        _now: Nanos,
        _ledger: &mut Ledger,
        _task: TaskId,
        _out: &mut [TaskId],
    ) -> Result<Option<u32>, Error> {
        Ok(None)
    }
}
