//! The command line of Quorate: parses, calls the runner, renders. No decision is made here.
//!
//! A library, so that a test can ask whether every command line in `docs/` still parses. Read `args.rs` next.

mod args;
mod commands;
mod print;
mod progress;
mod screen;
mod site;

use args::{Cli, Command, Global, Output};
use clap::{CommandFactory, Parser};
use quorate_runner::problem::Problem;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line that these words spell; the first is the program's name.
pub fn main_with(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Cli { global, command } = Cli::parse_from(words);
    if global.output == Output::Csv && !matches!(command, Command::Detect(_)) {
        let kind = clap::error::ErrorKind::ArgumentConflict;
        Cli::command().error(kind, "`--output csv` goes with `detect`").exit();
    }
    start_tracing(&global);
    match run(&global, command) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            print::problem(&problem, &global);
            ExitCode::from(problem.exit_code())
        }
    }
}

/// Says what is wrong with a command line, and carries nothing out; the first word is the program's name.
///
/// # Errors
/// What clap says of it.
pub fn parse(words: &[String]) -> Result<(), clap::Error> {
    Cli::try_parse_from(words).map(|_| ())
}

/// The command line as clap knows it, for whatever is generated from it.
pub fn command_line() -> clap::Command {
    Cli::command()
}

fn start_tracing(global: &Global) {
    let level = match global.verbose {
        0 => "warn",
        1 => "quorate=info,warn",
        _ => "quorate=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("QUORATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(print::colored(global.color, &std::io::stderr()))
        .init();
}

fn run(global: &Global, command: Command) -> Result<u8, Problem> {
    match command {
        // What needs neither state nor runtime comes first, so that it starts at once.
        Command::Path(args) => commands::path::run(global, &args),
        Command::Pack(args) => commands::pack::run(global, &args),
        Command::Schema => commands::generate::schema(),
        Command::Completions { shell } => commands::generate::completions(shell),
        Command::Man => commands::generate::man(),
        Command::Check(args) => commands::plan::check(global, &args),
        Command::Inventory(args) => commands::inventory::run(global, &args),
        other => with_runtime(global, other),
    }
}

fn with_runtime(global: &Global, command: Command) -> Result<u8, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two: the client's view must not wait behind a look, and a controller is no place to spend cores.
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| {
            Problem::new(
                quorate_runner::problem::BUG,
                format!("the runtime does not start: {error}"),
            )
        })?;
    runtime.block_on(async {
        match command {
            Command::Demo(args) => commands::demo::run(global, args).await,
            Command::Init(args) => commands::init::run(global, args).await,
            Command::Detect(args) => commands::detect::detect(global, args).await,
            Command::Exec(args) => commands::exec::exec(global, args).await,
            Command::Plan(args) => commands::plan::run(global, args).await,
            Command::Prepare(args) => commands::apply::prepare(global, args).await,
            Command::Apply(args) => commands::apply::run(global, args).await,
            Command::Upgrade(args) => commands::apply::upgrade(global, args).await,
            Command::Run(args) => commands::runs::run(global, args).await,
            Command::Rollback(args) => commands::apply::rollback(global, args).await,
            Command::Eject(args) => commands::membership::eject(global, args).await,
            Command::Rejoin(args) => commands::membership::rejoin(global, args).await,
            Command::Backup(args) => commands::backup::backup(global, args).await,
            Command::Restore(args) => commands::backup::restore(global, args).await,
            Command::Recover(args) => commands::recover::recover(global, args).await,
            Command::Probe(args) => commands::see::probe(global, args).await,
            Command::Artifact(args) => commands::artifact::run(global, args).await,
            Command::Lab(args) => commands::lab::run(global, args).await,
            Command::Path(_)
            | Command::Pack(_)
            | Command::Schema
            | Command::Completions { .. }
            | Command::Man
            | Command::Check(_)
            | Command::Inventory(_) => Ok(0),
        }
    })
}
