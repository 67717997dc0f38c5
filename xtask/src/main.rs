//! All project scripts: `cargo xtask` lists them.

mod bench;
mod ci;
mod shell;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Project scripts
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    script: Script,
}

#[derive(Subcommand)]
enum Script {
    /// Run the main job on this machine
    Demo {
        /// Passed on to `quorate demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the quick loop: format, lints, tidy, library tests (under five minutes)
    Check,
    /// Install what is needed and run everything that CI runs
    Test,
    /// Run simulated upgrades
    Sim {
        /// Passed on to the simulator: `--seeds N`, `--seed N`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check the structure of the repository
    Tidy,
    /// Accept changed snapshots and regenerate what is generated
    Bless,
    /// Run benchmarks and print each figure beside its bar
    Bench {
        /// Names of benchmarks; all when left out
        names: Vec<String>,
        /// Print one JSON object a line
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        output: String,
    },
}

fn main() -> ExitCode {
    let outcome = match Args::parse().script {
        Script::Demo { args } => {
            shell::cargo(["run", "--release", "-p", "quorate-cli", "--", "demo"]).args(args).run()
        }
        Script::Check => ci::check(),
        Script::Test => ci::test(),
        Script::Sim { args } => {
            shell::cargo(["run", "--release", "-q", "-p", "quorate-sim", "--"]).args(args).run()
        }
        Script::Tidy => tidy::run(),
        Script::Bless => ci::bless(),
        Script::Bench { names, output } => bench::run(&names, &output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(because) => {
            eprintln!("xtask: {because}");
            ExitCode::FAILURE
        }
    }
}
