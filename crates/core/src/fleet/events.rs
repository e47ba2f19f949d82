//! Nodes and devices that drain, fail and return.
