//! The document against exact messages, random policies and hostile text.

mod hostile;
mod messages;
mod reading;
