//! Runs the small shell scripts of this room on a host, with every word as a positional parameter.
//!
//! Invariant: no value is ever pasted into a script's text, so no name or path can become a command.

use quorate_transport::{Answer, Command, Output, Transport};
use std::time::Duration;

/// The name that the scripts run under, so that they can be told from what they look for.
pub(crate) const NAME: &str = "quorate";

/// A shell command: the script's text, then its parameters.
pub(crate) fn script(text: &str, words: &[&str]) -> Command {
    let fixed = ["sh", "-c", text, NAME];
    let mut command = Command::new(fixed.iter().chain(words).copied());
    command.clean_env = true;
    command
}

/// Runs a script that reports on standard output; a non-zero status is a failure.
pub(crate) async fn run(
    transport: &dyn Transport,
    what: &str,
    command: &Command,
    limit: Duration,
) -> Answer<String> {
    match transport.run(command, limit).await {
        Answer::Done(output) if output.ok() => Answer::Done(output.text()),
        Answer::Done(output) => {
            Answer::Failed(format!("{what} on {}: {}", transport.name(), why(&output)))
        }
        Answer::Failed(because) => {
            Answer::Failed(format!("{what} on {}: {because}", transport.name()))
        }
        Answer::Unknown(because) => {
            Answer::Unknown(format!("{what} on {}: {because}", transport.name()))
        }
    }
}

/// Why a command ended badly, in a clause.
pub(crate) fn why(output: &Output) -> String {
    let complaint = output.complaint();
    let status = output.status.map_or_else(
        || "ended by a signal".to_owned(),
        |status| format!("ended with status {status}"),
    );
    if complaint.is_empty() { status } else { format!("{status}: {complaint}") }
}
