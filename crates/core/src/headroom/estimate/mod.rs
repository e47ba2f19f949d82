//! How fast does work come, and how fast does it go?
