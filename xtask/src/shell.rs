//! Runs a command, shows it, and says which one failed.

use std::{ffi::OsString, path::PathBuf, process::Command, time::Instant};

/// A command about to run.
pub(crate) struct Line {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

/// A cargo command of the toolchain that runs this program.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Line {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Line { program, args: args.iter().map(OsString::from).collect(), env: Vec::new() }
}

/// Any command.
pub(crate) fn command<const N: usize>(program: &str, args: [&str; N]) -> Line {
    Line {
        program: program.into(),
        args: args.iter().map(OsString::from).collect(),
        env: Vec::new(),
    }
}

impl Line {
    pub(crate) fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, more: I) -> Self {
        self.args.extend(more.into_iter().map(Into::into));
        self
    }
    pub(crate) fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }
    fn text(&self) -> String {
        let program = PathBuf::from(&self.program);
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = self.args.iter().map(|word| word.to_string_lossy().into_owned());
        std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
    }
    /// Runs it at the root of the repository.
    pub(crate) fn run(self) -> Result<(), String> {
        let text = self.text();
        eprintln!("\n=== {text}");
        let began = Instant::now();
        let status = Command::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .current_dir(root())
            .status()
            .map_err(|error| format!("cannot run `{text}`: {error}"))?;
        eprintln!("=== {:.1} s: {text}", began.elapsed().as_secs_f64());
        if status.success() { Ok(()) } else { Err(format!("`{text}` failed: {status}")) }
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Whether a program can be found.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
