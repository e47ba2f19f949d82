//! rampmeter: GPU scheduling policy as a library.
//!
//! A host (a serving engine, a router, a cluster scheduler) keeps its own sockets, threads and
//! queues. It asks rampmeter *what runs next, where, and may this come in at all*. Every answer
//! is a value; the host acts on it and reports back what really happened.
//!
//! # Laws
//! - **Time comes in.** Every call takes `now` from the host's monotonic clock. The same calls
//!   give the same answers, bit for bit.
//! - **Limits come first.** Constructors take capacities and are the only place that allocates.
//! - **Decisions are values**, errors are for wrong calls, and an error changes nothing.
//! - **Bad numbers never get in**: each is refused with an [`Error`] that names it.
//!
//! # Rooms
//! Floors from the ground up; a room imports only from the floors below it.
//!
//! | floor | room | its question |
//! |---|---|---|
//! | 0 | [`units`], [`error`], [`handle`] | in what words? |
//! | 1 | [`policy`] | what does the operator want? |
//! | 2 | [`share`], [`engine`], [`outcome`] | who deserves it, how long does a step take, what did users feel? |
//! | 4 | [`batch`] | what runs in the next step? |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "document"))]
extern crate std;

pub mod batch;
pub mod engine;
pub mod error;
pub mod handle;
pub mod outcome;
pub mod policy;
pub mod share;
pub mod units;

pub use error::Error;
pub use units::{Blocks, Bytes, MilliGpu, Nanos, Tokens};

/// The example of the README is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
