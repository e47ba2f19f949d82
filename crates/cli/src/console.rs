//! Where the command writes.

use std::io::Write;

/// The two streams, and whether a person looks at them.
pub(crate) struct Console<'a> {
    /// Results.
    pub(crate) out: &'a mut dyn Write,
    /// Everything else.
    pub(crate) err: &'a mut dyn Write,
    /// Tables fit the width of the terminal.
    pub(crate) out_terminal: bool,
    /// A progress bar may be drawn.
    pub(crate) err_terminal: bool,
}
