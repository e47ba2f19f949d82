//! Short texts without a heap: names and identifiers as drivers give them.

use std::fmt;

/// Up to `N` bytes of text, kept in place; at most 255.
///
/// What a driver writes is not to be trusted: it may lack its end, or be no text at all. So a text
/// ends at its first NUL or where it is full, and what cannot be printed becomes `?`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Text<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// Nothing.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    /// This text, as much of it as there is room for.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    /// The text that these bytes begin with, up to their first NUL.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        let room = N.min(usize::from(u8::MAX));
        for byte in bytes.iter().take(room).take_while(|byte| **byte != 0) {
            // ASCII only, so that cutting it never splits a letter.
            let printable = byte.is_ascii_graphic() || *byte == b' ';
            text.bytes[usize::from(text.len)] = if printable { *byte } else { b'?' };
            text.len += 1;
        }
        text
    }

    /// As a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        // Only printable ASCII is ever stored.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_end_where_they_must() {
        assert_eq!(Text::<8>::from_bytes(b"H100\0rest").as_str(), "H100");
        assert_eq!(Text::<4>::new("no end").as_str(), "no e");
        assert_eq!(Text::<8>::new("a\tb\u{e9}").as_str(), "a?b??");
        assert!(Text::<0>::new("x").is_empty());
        assert_eq!(Text::<300>::new(&"x".repeat(400)).as_str().len(), 255);
    }

    proptest! {
        #[test]
        fn any_bytes_become_printable(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let text = Text::<32>::from_bytes(&bytes);
            prop_assert!(text.as_str().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            prop_assert_eq!(text.as_str().len(), end.min(32));
        }
    }
}
