//! The command line reference, generated from clap.

use clap::{Arg, Command};
use std::fmt::Write;

const HEAD: &str = "# The command line

<!-- Generated from the program. Do not edit: `cargo xtask bless` writes it again. -->

`quorate COMMAND --help` says the same. Data goes to stdout, everything else to stderr. `quorate completions SHELL` prints
completions, `quorate man` the manual page.

| Exit status | Means |
|---|---|
| 0 | Done, or nothing to do |
| 1 | Your input or configuration is wrong |
| 2 | The command line is wrong |
| 3 | Waiting, unsafe, blocked or paused: nothing was touched, or nothing more will be |
| 4 | A run halted, was aborted or failed |
| 5 | Looked at, and not as it should be: a probe that lost writes |
| 70 | A bug in Quorate |

Every error names a code; [each code has a page](../errors/README.md).
";

/// The whole reference.
pub(crate) fn markdown(root: &Command) -> String {
    let mut root = root.clone();
    root.build();
    let mut text = HEAD.to_owned();
    text.push_str("\n## Options of every command\n\n");
    for arg in root.get_arguments().filter(|arg| arg.is_global_set()) {
        option(&mut text, arg);
    }
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut text, &["quorate"], command);
    }
    text
}

fn section(text: &mut String, above: &[&str], command: &Command) {
    let mut path = above.to_vec();
    path.push(command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // Writing to a text cannot fail.
    let _ = write!(text, "\n{} {}\n\n{about}.\n", "#".repeat(path.len()), path.join(" "));
    let below: Vec<&Command> =
        command.get_subcommands().filter(|one| one.get_name() != "help").collect();
    if below.is_empty() {
        let _ = write!(text, "\n```text\n{}\n```\n", usage(&path, command));
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| {
            !arg.is_global_set()
                && !arg.is_hide_set()
                && !["help", "version"].contains(&arg.get_id().as_str())
        })
        .collect();
    if !own.is_empty() {
        text.push('\n');
    }
    for arg in own {
        option(text, arg);
    }
    for one in below {
        section(text, &path, one);
    }
}

fn usage(path: &[&str], command: &Command) -> String {
    let mut words = vec![path.join(" ")];
    if command.get_opts().any(|arg| !arg.is_global_set()) {
        words.push("[OPTIONS]".into());
    }
    words.extend(command.get_positionals().map(|arg| {
        let name = arg.get_id().as_str().to_uppercase();
        let more =
            if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "..." } else { "" };
        if arg.is_required_set() { format!("{name}{more}") } else { format!("[{name}{more}]") }
    }));
    words.join(" ")
}

fn option(text: &mut String, arg: &Arg) {
    let value = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .map(|names| names.join(" "))
        .unwrap_or_default();
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), Some(short)) => format!("-{short}, --{long} {value}"),
        (Some(long), None) => format!("--{long} {value}"),
        (None, Some(short)) => format!("-{short} {value}"),
        (None, None) => arg.get_id().as_str().to_uppercase(),
    };
    let _ = write!(
        text,
        "- `{}`: {}.",
        name.trim(),
        arg.get_help().map(ToString::to_string).unwrap_or_default()
    );
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let list: Vec<String> = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({})", value.get_name(), lower(&help.to_string())),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        let _ = write!(text, " One of {}.", list.join(", "));
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .filter(|value| !value.is_empty())
        .collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(text, " Default: `{}`.", defaults.join(" "));
    }
    if let Some(name) = arg.get_env() {
        let _ = write!(text, " Environment: `{}`.", name.to_string_lossy());
    }
    text.push('\n');
}

/// A help text in the middle of a sentence. Names of signals and formats stay as they are.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
