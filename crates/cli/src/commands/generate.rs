//! What is generated from the program itself: completions, the manual page, the fleet schema.

use crate::{args::Cli, print};
use clap::CommandFactory;
use quorate_runner::problem::{FILE, Problem};

/// Prints shell completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Problem> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quorate", &mut text);
    print::data(&String::from_utf8_lossy(&text));
    Ok(0)
}

/// Prints the manual page.
pub(crate) fn man() -> Result<u8, Problem> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(|error| {
        Problem::new(FILE, format!("the manual page cannot be rendered: {error}"))
    })?;
    print::data(&String::from_utf8_lossy(&text));
    Ok(0)
}

/// Prints the JSON Schema of the fleet file.
pub(crate) fn schema() -> Result<u8, Problem> {
    print::data(&quorate_inventory::fleet_schema());
    Ok(0)
}
