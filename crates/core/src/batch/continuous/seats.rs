//! How a request goes: off its seat, out of memory, and out of mind.

use super::Batcher;
use super::request::{Request, Stage};

impl Batcher {
    /// Takes a running request off its seat and gives its blocks back.
    pub(super) fn leave_seat(&mut self, slot: u32) {
        self.free_seat(slot);
        self.give_back(slot);
    }

    /// Takes a running request off its seat; it keeps its blocks.
    pub(super) fn free_seat(&mut self, slot: u32) {
        self.unforesee(slot);
        let Request { seat, adapter, .. } = *self.request(slot);
        self.lines.adapters.vacate(adapter);
        self.running_len -= 1;
        let moved = self.running[self.running_len as usize];
        self.running[seat as usize] = moved;
        self.request_mut(moved).seat = seat;
    }

    /// Gives back all blocks that a request holds alone, and its part in those it shares.
    pub(super) fn give_back(&mut self, slot: u32) {
        if let Some(request) = self.requests.at_mut(slot) {
            self.memory.give_back(request);
        }
        self.give_up_share(slot);
    }

    /// Ends a request that has neither seat nor place in line; forgets it once no step names it.
    pub(super) fn end(&mut self, slot: u32) {
        self.leave_swap(slot);
        self.leave_group(slot);
        let request = self.request_mut(slot);
        request.stage = Stage::Ended;
        let account = request.account;
        if request.in_flight == 0 {
            self.forget(slot);
        }
        self.account_requests[account.index() as usize] -= 1;
    }

    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(handle) = self.requests.handle_at(slot) {
            let forgotten = self.requests.remove(handle);
            debug_assert!(forgotten.is_ok(), "the handle was read from the slab itself");
        }
    }
}
