//! Opening files, and reading them without ever holding more than one line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::LINE_BYTES_MAX;
use crate::InputError;

/// Characters of a bad value that an error repeats.
const SHOWN_CHARS: usize = 40;

/// Opens a file for reading; folders and missing files are named for what they are.
pub(super) fn open(path: &Path) -> Result<File, InputError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(InputError::new(path, "is a folder where a file is expected"));
    }
    Ok(file)
}

/// What the system said about a file, in our words where we know better ones.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::NotFound => InputError::new(path, "there is no such file"),
        io::ErrorKind::PermissionDenied => InputError::new(path, "may not be read"),
        _ => InputError::new(path, format!("cannot be read: {error}")),
    }
}

/// A value as an error shows it: short, and without anything that breaks a line.
pub(super) fn shown(text: &str) -> String {
    let safe = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let mut shown: String = text.chars().take(SHOWN_CHARS).map(safe).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The sentence about a line that is too long.
pub(super) fn too_long() -> String {
    format!("is longer than {LINE_BYTES_MAX} bytes, the longest line accepted")
}

/// A reader that stops with an error once [`LINE_BYTES_MAX`] bytes (and what one read fetches)
/// have passed since the last [`Bounded::restart`].
pub(super) struct Bounded<R> {
    inner: R,
    bytes: u64,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, bytes: 0 }
    }

    /// A record is complete: count from here.
    pub(super) fn restart(&mut self) {
        self.bytes = 0;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes > LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, too_long()));
        }
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Lines of a text file, with their numbers, each at most [`LINE_BYTES_MAX`] bytes.
pub(super) struct Lines<'p> {
    path: &'p Path,
    reader: BufReader<File>,
    bytes: Vec<u8>,
    line: u64,
}

impl<'p> Lines<'p> {
    pub(super) fn open(path: &'p Path) -> Result<Self, InputError> {
        Ok(Self { path, reader: BufReader::new(open(path)?), bytes: Vec::new(), line: 0 })
    }

    /// The next line that is not blank, without its end, and its number from 1.
    pub(super) fn next_line(&mut self) -> Result<Option<(u64, &str)>, InputError> {
        loop {
            self.bytes.clear();
            let count = (&mut self.reader)
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut self.bytes)
                .map_err(|error| unreadable(self.path, &error))?;
            self.line += 1;
            if count == 0 {
                return Ok(None);
            }
            if self.bytes.last() != Some(&b'\n') && count as u64 > LINE_BYTES_MAX {
                return Err(InputError::new(self.path, too_long()).at_line(self.line));
            }
            if !self.bytes.trim_ascii().is_empty() {
                break;
            }
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|error| {
            InputError::new(self.path, not_utf8(error.valid_up_to())).at_line(self.line)
        })?;
        Ok(Some((self.line, text.trim())))
    }
}

/// The sentence about text that is not UTF-8.
pub(super) fn not_utf8(valid_bytes: usize) -> String {
    format!("is not UTF-8 text after {valid_bytes} bytes")
}
