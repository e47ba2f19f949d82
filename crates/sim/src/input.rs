//! Opening files, and reading them without ever holding more than one line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::InputError;

/// Longest line accepted, in bytes. The longest in the public traces is 2,699 (a prompt of
/// 191,378 tokens, one block id for each 512); this leaves room for prompts 300 times as long.
pub const LINE_BYTES_MAX: u64 = 1 << 20;

/// Largest document (policy, engine, a run's own description) accepted, in bytes. Written by hand,
/// they have a few thousand; a policy that names 131,072 accounts has tens of millions.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = rampmeter::policy::document::DOCUMENT_BYTES_MAX as u64;

/// Characters of a bad value that an error repeats.
const SHOWN_CHARS: usize = 40;

/// Opens a file for reading; folders and missing files are named for what they are.
pub(crate) fn open(path: &Path) -> Result<File, InputError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    if metadata.is_dir() {
        return Err(InputError::new(path, "is a folder where a file is expected"));
    }
    Ok(file)
}

/// All of a document, which is held in memory as a whole and therefore bounded: UTF-8 text of at
/// most 192 MiB.
///
/// # Errors
/// [`InputError`] for a file that cannot be read, is longer, or is no such text.
pub fn document(path: &Path) -> Result<String, InputError> {
    let mut bytes = Vec::new();
    open(path)?
        .take(DOCUMENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        let problem = format!("is longer than {DOCUMENT_BYTES_MAX} bytes, the most accepted");
        return Err(InputError::new(path, problem));
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| InputError::new(path, not_utf8(error.utf8_error().valid_up_to())))?;
    Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// What the system said about a file, in our words where we know better ones.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::NotFound => InputError::new(path, "there is no such file"),
        io::ErrorKind::PermissionDenied => InputError::new(path, "may not be read"),
        _ => InputError::new(path, format!("cannot be read: {error}")),
    }
}

/// What some editors put before the first letter of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A value as an error shows it: short, and without anything that breaks a line.
pub fn shown(text: &str) -> String {
    let safe = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let mut shown: String = text.chars().take(SHOWN_CHARS).map(safe).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The sentence about a line that is too long.
pub(crate) fn too_long() -> String {
    format!("is longer than {LINE_BYTES_MAX} bytes, the longest line accepted")
}

/// A reader that stops with an error once [`LINE_BYTES_MAX`] bytes (and what one read fetches)
/// have passed since the last [`Bounded::restart`].
pub(crate) struct Bounded<R> {
    inner: R,
    bytes: u64,
}

impl<R> Bounded<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, bytes: 0 }
    }

    /// A record is complete: count from here.
    pub(crate) fn restart(&mut self) {
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

/// How a gzipped file begins (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Lines of a text file, plain or gzipped, with their numbers, each at most [`LINE_BYTES_MAX`]
/// bytes.
pub(crate) struct Lines<'p> {
    path: &'p Path,
    reader: Box<dyn BufRead>,
    bytes: Vec<u8>,
    line: u64,
}

impl<'p> Lines<'p> {
    pub(crate) fn open(path: &'p Path) -> Result<Self, InputError> {
        let mut plain = BufReader::new(open(path)?);
        let begin = plain.fill_buf().map_err(|error| unreadable(path, &error))?;
        let reader: Box<dyn BufRead> = if begin.starts_with(&GZIP) {
            Box::new(BufReader::new(MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { path, reader, bytes: Vec::new(), line: 0 })
    }

    /// The next line that is not blank, without its end, and its number from 1.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &str)>, InputError> {
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
        Ok(Some((self.line, text.trim_start_matches(BYTE_ORDER_MARK).trim())))
    }
}

/// The sentence about text that is not UTF-8.
pub(crate) fn not_utf8(valid_bytes: usize) -> String {
    format!("is not UTF-8 text after {valid_bytes} bytes")
}
