//! How much is safe?
//!
//! # What it decides
//! How much load leaves everybody within their targets, who may come in, and what a GPU is worth
//! while others wait for it.

pub mod estimate;
pub mod gate;
pub mod hold;
pub mod waiting;
