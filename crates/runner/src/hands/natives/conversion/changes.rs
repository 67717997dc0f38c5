//! What clients have written since a conversion, in a file: a line a change, so that whoever wants to know can read it.
//!
//! Invariant: a file with its name is whole.

use super::super::keep;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, stream};
use std::{fmt::Write, path::Path};

/// A key as it is to be in the v2 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Put {
    pub(super) key: String,
    pub(super) value: String,
    /// Seconds; none for a key that stays.
    pub(super) ttl: Option<u64>,
}

/// Everything that is to be done to the v2 store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) deletes: Vec<String>,
    pub(super) puts: Vec<Put>,
}

impl Changes {
    /// Writes the file.
    pub(super) async fn save(&self, file: &Path) -> Result<(), String> {
        let text = self.text();
        keep(file, stream::once(async { Ok(text.into()) }).boxed()).await.map(drop)
    }

    /// Reads it.
    pub(super) async fn read(file: &Path) -> Result<Self, String> {
        let fault = |because: String| {
            format!(
                "cannot read {}, the list of what was written since the conversion: {because}",
                file.display()
            )
        };
        let text =
            tokio::fs::read_to_string(file).await.map_err(|error| fault(error.to_string()))?;
        Self::of(&text).map_err(fault)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        for key in &self.deletes {
            let _ = writeln!(text, "delete\t{}", hex::encode(key));
        }
        for Put { key, value, ttl } in &self.puts {
            let (key, value) = (hex::encode(key), STANDARD.encode(value));
            let ttl = ttl.map_or("-".to_owned(), |seconds| seconds.to_string());
            let _ = writeln!(text, "put\t{key}\t{value}\t{ttl}");
        }
        text
    }

    fn of(text: &str) -> Result<Self, String> {
        let mut changes = Self::default();
        for (at, line) in text.lines().enumerate() {
            let read = changes.take(line);
            read.ok_or_else(|| format!("line {} is no line of such a list", at + 1))?;
        }
        Ok(changes)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let key = |digits: &str| String::from_utf8(hex::decode(digits).ok()?).ok();
        match *line.split('\t').collect::<Vec<_>>() {
            ["delete", digits] => self.deletes.push(key(digits)?),
            ["put", digits, value, ttl] => {
                let value = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
                let ttl = if ttl == "-" { None } else { Some(ttl.parse().ok()?) };
                self.puts.push(Put { key: key(digits)?, value, ttl });
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes {
        let put = |key: &str, value: &str, ttl| Put { key: key.into(), value: value.into(), ttl };
        Changes {
            deletes: vec!["/gone".to_owned(), "/a\tb\n".to_owned()],
            puts: vec![
                put("/a", "1", None),
                put("/ü", "ö\n\t<&>", Some(60)),
                put("/e", "", Some(0)),
            ],
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let text = changes().text();
        assert!(text.contains("put\t2f61\tMQ==\t-\n"), "{text}");
        assert!(text.starts_with("delete\t2f676f6e65\n"), "{text}");
        assert_eq!(text.lines().count(), 5);
        assert_eq!(Changes::of(&text), Ok(changes()));
        assert_eq!(Changes::of(""), Ok(Changes::default()));
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        for line in [
            "put\t2f61\tMQ==",
            "put\t2f61\tMQ==\tsoon",
            "put\t2f6\tMQ==\t-",
            "put\t2f61\tM\t-",
            "put\tff\tMQ==\t-",
            "delete\t2f61\t-",
            "drop\t2f61",
            "",
        ] {
            let said = Changes::of(&format!("delete\t2f61\n{line}\n")).unwrap_err();
            assert!(said.contains("line 2 "), "{line}: {said}");
        }
    }

    #[tokio::test]
    async fn the_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deeper").join("since");
        let because = Changes::read(&file).await.unwrap_err();
        assert!(because.contains("written since the conversion"), "{because}");
        changes().save(&file).await.unwrap();
        assert_eq!(Changes::read(&file).await, Ok(changes()));
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}
