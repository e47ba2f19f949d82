//! The peer in the same run: a lock around a queue, first come first served, none of the policy.
//!
//! Decodes go first, then prompts in order of arrival up to the token budget. It knows neither
//! accounts nor deadlines, checks nothing, and finds requests by their place.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::Prng;
use crate::desk::{life_tokens, prompt_tokens, step_tokens_max};

/// A queue behind a lock.
#[derive(Debug)]
pub struct Peer {
    queue: Mutex<Queue>,
    plan: Vec<Entry>,
    seats: u32,
    requests: usize,
    prng: Prng,
}

#[derive(Debug)]
struct Queue {
    running: Vec<Request>,
    waiting: VecDeque<Request>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: u64,
    prompt_left: u32,
    output_left: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    tokens: u32,
    emits: bool,
}

impl Peer {
    /// A peer with its seats taken and `waiting` requests in line.
    #[must_use]
    pub fn new(running: u32, waiting: u32) -> Self {
        let mut prng = Prng(7);
        let mut request = |id: u32| Request {
            id: u64::from(id),
            prompt_left: 0,
            output_left: life_tokens(&mut prng),
        };
        let mut taken: Vec<Request> = (0..running).map(&mut request).collect();
        let in_line: Vec<Request> = (running..running + waiting).map(&mut request).collect();
        for request in &mut taken {
            // Somewhere in its life.
            request.output_left = 1 + prng.below(request.output_left.into()) as u32;
        }
        let with_prompt =
            |request: Request| Request { prompt_left: prompt_tokens(&mut prng), ..request };
        let waiting: VecDeque<Request> = in_line.into_iter().map(with_prompt).collect();
        let requests = taken.len() + waiting.len();
        Self {
            queue: Mutex::new(Queue { running: taken, waiting }),
            plan: Vec::with_capacity(running as usize),
            seats: running,
            requests,
            prng,
        }
    }

    /// One request comes in.
    pub fn submit(&self, id: u64, prompt_tokens: u32, output_tokens: u32) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let request = Request { id, prompt_left: prompt_tokens, output_left: output_tokens };
        queue.waiting.push_back(request);
    }

    /// Takes back the `count` requests that came in last.
    pub fn withdraw(&self, count: usize) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = queue.waiting.len().saturating_sub(count);
        queue.waiting.truncate(kept);
    }

    /// Forms one step; returns how many requests are in it.
    pub fn form(&mut self) -> usize {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Queue { running, waiting } = &mut *queue;
        let mut budget = step_tokens_max(self.seats);
        self.plan.clear();
        // Every seat has an entry, an empty one if the budget is spent: places stay the same.
        for request in running.iter() {
            let tokens = request.prompt_left.max(1).min(budget);
            budget -= tokens;
            self.plan.push(entry(request, tokens));
        }
        while budget > 0 && running.len() < self.seats as usize {
            let Some(next) = waiting.pop_front() else { break };
            let tokens = next.prompt_left.min(budget);
            budget -= tokens;
            self.plan.push(entry(&next, tokens));
            running.push(next);
        }
        self.plan.len()
    }

    /// The step that was formed last is over; returns how many requests ended.
    pub fn observe(&mut self) -> usize {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let running = &mut queue.running;
        let mut ended = 0;
        // From the back, so that whoever takes the place of one that ended was looked at already.
        for (place, entry) in self.plan.iter().enumerate().rev() {
            let request = &mut running[place];
            debug_assert_eq!(request.id, entry.id);
            request.prompt_left -= entry.tokens.min(request.prompt_left);
            request.output_left -= u32::from(entry.emits);
            if request.output_left == 0 {
                running.swap_remove(place);
                ended += 1;
            }
        }
        ended
    }

    /// What ended is replaced at the end of the line.
    pub fn refill(&mut self) {
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        for _ in queue.running.len() + queue.waiting.len()..self.requests {
            let id = self.prng.draw();
            let prompt_left = prompt_tokens(&mut self.prng);
            let output_left = life_tokens(&mut self.prng);
            queue.waiting.push_back(Request { id, prompt_left, output_left });
        }
    }
}

fn entry(request: &Request, tokens: u32) -> Entry {
    Entry { id: request.id, tokens, emits: tokens > 0 && tokens >= request.prompt_left }
}
