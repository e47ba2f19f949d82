//! The `rampmeter` command as a library function, so that a Python wheel ships the same command.
//!
//! Exit codes: 0 it ran, 1 a check that was asked for failed, 2 wrong usage or input. With 2
//! there is one sentence on standard error and nothing was written.

mod args;
mod bar;
mod commands;
mod console;
mod help;
mod jobs;
mod output;
mod tables;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

use clap::Parser;
use clap::error::ErrorKind;

use args::Cli;
use commands::Failure;
use console::Console;

/// It ran.
pub const EXIT_RAN: u8 = 0;
/// A check that was asked for failed.
pub const EXIT_CHECK_FAILED: u8 = 1;
/// Wrong usage or input.
pub const EXIT_USAGE: u8 = 2;

/// Runs the command on these arguments (the first is the program's name) and returns the exit
/// code. Neither stream is taken for a terminal: no colour, no progress bar.
pub fn run<I, A>(args: I, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    run_on(
        args,
        &mut Console { out: stdout, err: stderr, out_terminal: false, err_terminal: false },
    )
}

/// Runs the command on the process's own streams; on a terminal there is a progress bar.
pub fn run_process<I, A>(args: I) -> u8
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
    run_on(args, &mut Console { out: &mut out, err: &mut err, out_terminal, err_terminal })
}

fn run_on<I, A>(args: I, console: &mut Console<'_>) -> u8
where
    I: IntoIterator<Item = A>,
    A: Into<OsString> + Clone,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let command_line = shown(&args);
    let done = match Cli::try_parse_from(&args) {
        Ok(cli) => commands::run(cli, &command_line, console),
        Err(error) => explain(&error, console),
    };
    let flushed = done.and_then(|()| Ok(console.out.flush()?));
    match flushed {
        Ok(()) => EXIT_RAN,
        // Whoever read the output has seen enough, as with `| head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_RAN,
        Err(failure) => {
            // With standard error gone too there is nobody left to tell.
            let _ = writeln!(console.err, "rampmeter: {failure}");
            if matches!(failure, Failure::Check(_)) { EXIT_CHECK_FAILED } else { EXIT_USAGE }
        }
    }
}

/// Help and version go to standard output; a wrong command line becomes one sentence.
fn explain(error: &clap::Error, console: &mut Console<'_>) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            write!(console.out, "{}", error.render())?;
            Ok(())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Err(Failure::usage("a command is needed; `--help` lists them all"))
        }
        _ => Err(Failure::Usage(sentence(&error.render().to_string()))),
    }
}

/// clap's message without its usage lines, on one line.
fn sentence(message: &str) -> String {
    let said = message.lines().take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let mut words: Vec<&str> = said.flat_map(str::split_whitespace).collect();
    if words.first() == Some(&"error:") {
        words.remove(0);
    }
    words.join(" ")
}

/// The command line as it can be typed again.
fn shown(args: &[OsString]) -> String {
    let mut words = vec!["rampmeter".to_owned()];
    for arg in args.iter().skip(1) {
        let arg = arg.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
        words.push(if !arg.is_empty() && arg.chars().all(plain) {
            arg.into_owned()
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        });
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_typed_again() {
        let args = ["/usr/bin/rampmeter", "replay", "--trace", "my trace's.csv:azure", ""];
        let args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
        assert_eq!(shown(&args), r"rampmeter replay --trace 'my trace'\''s.csv:azure' ''");
    }

    #[test]
    fn arguments_are_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
