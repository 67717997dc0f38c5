//! Reads a secret at the moment of use. What comes back cannot be printed and is wiped from memory when dropped.

use quorate_model::Secret;
use std::{fmt, path::PathBuf};
use zeroize::Zeroizing;

/// A secret in hand.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a text under guard.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
    /// The secret itself. Only for the place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::redact::HIDDEN)
    }
}

/// Why a secret could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("cannot read the password file {}: {because}", path.display())]
    File { path: PathBuf, because: String },
    /// Its file has an empty first line.
    #[error("the password file {} has an empty first line", path.display())]
    EmptyFile { path: PathBuf },
    /// Its variable is not there.
    #[error("the environment variable {name}, which should hold the password, {because}")]
    Env { name: String, because: &'static str },
}

impl SecretError {
    /// What next.
    pub fn hint(&self) -> String {
        match self {
            Self::File { path, .. } | Self::EmptyFile { path } => {
                format!(
                    "write the password as the first line of {} and make it readable only to yourself",
                    path.display()
                )
            }
            Self::Env { name, .. } => format!("set {name} in the environment that quorate runs in"),
        }
    }
}

/// Reads a secret from where it is kept.
pub fn read(secret: &Secret) -> Result<SecretText, SecretError> {
    match secret {
        Secret::File(path) => {
            let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|cause| {
                SecretError::File { path: path.clone(), because: crate::local::because(&cause) }
            })?;
            match text.lines().next().map(str::trim_end) {
                Some(line) if !line.is_empty() => Ok(SecretText::new(line)),
                Some(_) | None => Err(SecretError::EmptyFile { path: path.clone() }),
            }
        }
        Secret::Env(name) => {
            let fault = |because| SecretError::Env { name: name.clone(), because };
            match std::env::var(name) {
                Ok(value) if value.is_empty() => Err(fault("is empty")),
                Ok(value) => Ok(SecretText::new(value)),
                Err(std::env::VarError::NotPresent) => Err(fault("is not set")),
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(fault("holds bytes that are no text"))
                }
            }
        }
    }
}

/// Where a secret is kept, for a hint: never the secret.
pub fn place(secret: &Secret) -> String {
    match secret {
        Secret::File(path) => format!("the file {}", path.display()),
        Secret::Env(name) => format!("the environment variable {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_counts_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pw");
        std::fs::write(&path, "hunter2\r\nsecond\n").unwrap();
        let secret = read(&Secret::File(path)).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn a_missing_secret_is_named_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&Secret::File(folder.path().join("none"))).unwrap_err();
        assert!(missing.to_string().contains("no such file"), "{missing}");
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\nx").unwrap();
        assert!(matches!(read(&Secret::File(empty)), Err(SecretError::EmptyFile { .. })));
        let unset = read(&Secret::Env("QUORATE_TEST_NEVER_SET".into())).unwrap_err();
        assert_eq!(
            unset.to_string(),
            "the environment variable QUORATE_TEST_NEVER_SET, which should hold the password, is not set"
        );
        assert!(unset.hint().contains("QUORATE_TEST_NEVER_SET"));
    }
}
