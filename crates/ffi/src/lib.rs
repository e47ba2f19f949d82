//! The C ABI of rampmeter.
//!
//! Conversions only: no decision is made here. Every function checks its pointers, hands plain
//! values to the core, and writes the answer where the caller wants it. `include/rampmeter.h` is
//! made of the sections below, in this order, by `tools/header`; what their doc comments say is
//! the manual of a C programmer.
//!
//! # Rules that every section follows
//! - An object is a `Guarded` desk behind a pointer (`boundary`): a panic is caught there, and the
//!   object refuses every later call.
//! - What comes in is checked before anything is changed: pointers (`memory`), structures with
//!   their size (`memory::Versioned`), numbers that must be 0 or 1. The core checks the rest.
//! - What goes out is written last, and only if the call succeeded.
//! - Enums go out as fixed-width integers and never come in as enums.
//!
//! `docs/decisions/0015-the-c-abi.md` says why, and how another desk gets its section.
#![allow(non_camel_case_types, reason = "these are the names in C")]
#![allow(unsafe_code, reason = "pointers come from C; each block says what it relies on")]
#![allow(clippy::doc_markdown, reason = "the comments are the manual of a C programmer")]
#![allow(clippy::missing_safety_doc, reason = "the head of the C header states the contract once")]

mod boundary;
mod memory;

pub mod batcher;
pub mod dynamic;
pub mod engine;
pub mod error;
pub mod exchange;
pub mod gate;
pub mod headroom;
pub mod ledger;
pub mod outcomes;
pub mod placer;
pub mod policy;
#[cfg(feature = "probe")]
pub mod probe;
pub mod router;
pub mod status;
