//! How a request goes from one stage to the next: the one place that keeps all books in step.
//!
//! # Bounds and cost
//! O(levels * log accounts + classes) each.

use super::fairness::Path;
use super::request::{Request, Stage, Ticket};
use super::{Gate, lines};
use crate::error::Error;

/// By how many deviations one late start makes more cautious: ten of them by one.
const CAUTION_STEP: f64 = 0.1;

/// Most deviations added.
pub(super) const CAUTION_MAX: f64 = 4.0;

impl Gate {
    /// Without expiry, one that was held starts, late or not.
    pub(super) fn learn(&mut self, late: bool) {
        if !self.rules.expiry {
            let accepted = 1.0 - self.rules.lasting_confidence_ratio;
            let change = if late { 1.0 - accepted } else { -accepted };
            self.caution = (self.caution + CAUTION_STEP * change).clamp(0.0, CAUTION_MAX);
        }
    }

    /// A request that is in no line runs.
    pub(super) fn start(&mut self, index: u32) {
        self.running += 1;
        if let Some(request) = self.requests.at_mut(index) {
            request.stage = Stage::Running;
            lines::start(&mut self.lines, self.now, request.class, request.work);
        }
    }

    /// A request that waits will not start.
    pub(super) fn give_up(&mut self, index: u32, stage: Stage) {
        self.unqueue(index);
        self.refund(index);
        self.number(index);
        let count = match stage {
            Stage::Displaced => &mut self.counts.displaced,
            _ => &mut self.counts.expired,
        };
        *count += 1;
        if let Some(request) = self.requests.at_mut(index) {
            request.stage = stage;
        }
        self.given_up.push(&mut self.requests, index);
    }

    pub(super) fn unqueue(&mut self, index: u32) {
        lines::leave(&mut self.lines, &mut self.requests, index);
        if let Some((class, path)) = self.place(index) {
            self.fairness[class].release(&path, &mut self.requests, index);
        }
    }

    pub(super) fn refund(&mut self, index: u32) {
        let Some(Request { since, work, .. }) = self.requests.at(index).copied() else { return };
        if let Some((class, path)) = self.place(index) {
            let growth = self.growing.at(since);
            self.fairness[class].give_back(&path, growth, work);
        }
    }

    /// Class and way to the root of a request's account, which stays open as long as it is known.
    pub(super) fn place(&self, index: u32) -> Option<(usize, Path)> {
        let request = self.requests.at(index)?;
        let path = Path::of(&self.ledger, request.account).ok()?;
        Some((usize::from(request.class), path))
    }

    pub(super) fn number(&mut self, index: u32) {
        self.sequence += 1;
        if let Some(request) = self.requests.at_mut(index) {
            request.sequence = self.sequence;
        }
    }

    pub(super) fn forget(&mut self, ticket: Ticket) -> Result<(), Error> {
        let request = self.requests.remove(ticket)?;
        self.account_requests[request.account.index() as usize] -= 1;
        Ok(())
    }
}
