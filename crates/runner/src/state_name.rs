//! A name that a state folder keeps for life, so that hosts can tell it from every other.

use crate::problem::{BAD_STATE, Problem};
use std::{fs, io::Write, path::Path};

/// The file in the state folder.
const FILE: &str = "name";
/// A new one each time it is read. Paths and names of machines are no names: cloned machines share both.
const FRESH: &str = "/proc/sys/kernel/random/uuid";

/// The name of a state folder; given to it when it has none.
pub(crate) fn state_name(state_dir: &Path) -> Result<String, Problem> {
    let file = state_dir.join(FILE);
    named(&file, state_dir).map_err(|error| {
        Problem::new(BAD_STATE, format!("the state folder has no name in {}", file.display()))
            .because(error.to_string())
    })
}

fn named(file: &Path, folder: &Path) -> std::io::Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        read => return full(read?),
    }
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(fs::read_to_string(FRESH)?.trim().as_bytes())?;
    new.as_file().sync_all()?;
    match new.persist_noclobber(file) {
        Ok(_) => {}
        // Two commands came at once: the first one's name stays.
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    full(fs::read_to_string(file)?)
}

fn full(text: String) -> std::io::Result<String> {
    let name = text.trim();
    if name.is_empty() {
        return Err(std::io::Error::other("it is empty"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_name_and_no_two_share_one() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = state_name(one.path()).unwrap();
        assert!(name.len() >= 32, "{name}");
        assert_eq!(state_name(one.path()).unwrap(), name);
        assert_ne!(state_name(two.path()).unwrap(), name);
        fs::write(one.path().join(FILE), "\n").unwrap();
        assert_eq!(state_name(one.path()).unwrap_err().code, BAD_STATE);
    }
}
