//! The `rampmeter` command.

fn main() {}
