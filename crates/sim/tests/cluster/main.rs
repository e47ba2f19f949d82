//! The cluster simulator: what is read, what is refused, what is conserved, and whether published
//! figures come out.

mod published;
mod readers;
mod support;
mod theory;
