//! What did users feel?
