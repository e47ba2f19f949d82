//! Traces and workloads: what is read, what is refused, and whether what is generated looks like
//! the services it imitates.

mod bad_input;
mod calibration;
mod formats;
mod real_files;
mod shared;
mod workloads;
