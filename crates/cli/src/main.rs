//! The program `quorate`; everything is in the library beside it.

fn main() -> std::process::ExitCode {
    quorate_cli::main_with(std::env::args_os())
}
