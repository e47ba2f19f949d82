//! Queue disciplines of others, as simply as their sources describe them. They count GPUs, and do
//! their own arithmetic of reservations: none of it is the library's.

mod conservative;
mod easy;
mod fifo;
mod las;
mod shortest;

pub(super) use conservative::Conservative;
pub(super) use easy::Backfill;
pub(super) use fifo::Fifo;
pub(super) use las::Las;
pub(super) use shortest::Shortest;
