//! The `rampmeter` command as a library function.
