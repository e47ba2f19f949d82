//! How long will they wait?
