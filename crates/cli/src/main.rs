//! The `rampmeter` command.

fn main() -> std::process::ExitCode {
    rampmeter_cli::run_process(std::env::args_os()).into()
}
