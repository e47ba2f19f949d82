//! Who deserves it?
