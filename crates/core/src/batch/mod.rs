//! What runs in the next step?
