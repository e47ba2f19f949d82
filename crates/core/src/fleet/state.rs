//! A fleet as words.
