//! May this come in at all?
