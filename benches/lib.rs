//! Benchmarks of rampmeter: `make bench`. The library itself is empty; each file beside it is one.
