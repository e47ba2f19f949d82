//! What happens on a replica: written into the books, and kept for the router.

use rampmeter::Nanos;

use crate::engine::Step;
use crate::results::Recorder;
use crate::serving::observer::Observer;
use crate::serving::refusal::Refusal;

/// What a router is told of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    Started(u32, u32),
    FirstToken(u32),
    Ended(u32),
}

/// Keeps the books and remembers what the router must hear.
pub(super) struct Ear<'a, 'w> {
    pub(super) books: &'a mut Recorder<'w>,
    pub(super) heard: &'a mut Vec<Heard>,
}

impl Observer for Ear<'_, '_> {
    fn arrived(&mut self, now: Nanos, request: u32) {
        self.books.arrived(now, request);
    }
    fn admitted(&mut self, now: Nanos, request: u32, cached_tokens: u32) {
        self.books.admitted(now, request, cached_tokens);
        self.heard.push(Heard::Started(request, cached_tokens));
    }
    fn preempted(&mut self, now: Nanos, request: u32) {
        self.books.preempted(now, request);
    }
    fn served(&mut self, now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        self.books.served(now, request, prompt_tokens, output_tokens);
    }
    fn recomputed(&mut self, now: Nanos, request: u32, tokens: u32) {
        self.books.recomputed(now, request, tokens);
    }
    fn first_token(&mut self, now: Nanos, request: u32) {
        self.books.first_token(now, request);
        self.heard.push(Heard::FirstToken(request));
    }
    fn finished(&mut self, now: Nanos, request: u32) {
        self.books.finished(now, request);
        self.heard.push(Heard::Ended(request));
    }
    fn refused(&mut self, now: Nanos, request: u32, why: Refusal) {
        self.books.refused(now, request, why);
        self.heard.push(Heard::Ended(request));
    }
    fn step(&mut self, start: Nanos, end: Nanos, step: &Step) {
        self.books.step(start, end, step);
    }
}
