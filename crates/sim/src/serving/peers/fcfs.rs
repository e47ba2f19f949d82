//! First come, first served: what vLLM does unless told otherwise.
//!
//! # What it decides
//! Running requests go first, in the order in which they were admitted; waiting ones follow in
//! order of arrival. When the KV cache is full the request admitted last is recomputed later, and
//! comes back at the head of the queue.
//!
//! # What it is bad at
//! Overload: everybody waits behind everybody, so that no first token is in time. Long prompts
//! fill whole steps and stall all running answers.
//!
//! # Source
//! vLLM V1 0.19, `scheduling_policy = "fcfs"`; simplified as [`super::base`] says.

use super::base::Rules;

/// First come, first served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fcfs;

impl Rules for Fcfs {}
