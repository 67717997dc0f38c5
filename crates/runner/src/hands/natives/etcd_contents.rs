//! Lists everything that one member of etcd holds by itself, a line a key.
//!
//! Invariant: every page is read at the revision of the first, and from this member only: others that hold something else are
//! not asked.

use super::{
    Asked,
    side::{Side, bytes, number},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio::io::{AsyncWriteExt, BufWriter};

/// A part of what is said once the history of before the first answer is gone. A cluster whose history is cut every few minutes may
/// do so within one list; twice in a row it is cut faster than it can be read.
pub(super) const COMPACTED: &str = "compacted";
pub(super) const LISTS: u32 = 2;

/// Writes the list, and says how much it is.
pub(super) async fn list(asked: Asked<'_>) -> Result<String, String> {
    let side = Side::live(&asked).await?;
    let file = asked.hands.state_file(asked.arg("file")?);
    if let Some(folder) = file.parent() {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    let mut tries = 1;
    loop {
        match list_once(&side, &file).await {
            Err(because) if because.contains(COMPACTED) && tries < LISTS => tries += 1,
            said => return said,
        }
    }
}

async fn list_once(side: &Side<'_>, file: &Path) -> Result<String, String> {
    let fault = |error: std::io::Error| format!("cannot write {}: {error}", file.display());
    let mut out = BufWriter::new(tokio::fs::File::create(file).await.map_err(fault)?);
    let (mut pages, mut count) = (side.pages(false), 0_u64);
    while let Some(kvs) = pages.next().await? {
        for kv in &kvs {
            let line = line(kv).ok_or_else(|| format!("no key can be read from {kv}"))?;
            out.write_all(line.as_bytes()).await.map_err(fault)?;
            count += 1;
        }
    }
    out.flush().await.map_err(fault)?;
    Ok(format!("{count} keys at revision {}", pages.revision))
}

/// The line of a key.
fn line(kv: &Value) -> Option<String> {
    let (key, value) = (bytes(kv, "key")?, bytes(kv, "value")?);
    // Eight bytes tell values of one key apart.
    let digest = hex::encode(Sha256::digest(&value).get(..8)?);
    Some(format!("{}\t{}\t{digest}\n", hex::encode(&key), number(kv, "mod_revision")?))
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn a_line_tells_a_key_its_revision_and_its_value_apart() {
        let text = line(&json!({"key": "L2E=", "mod_revision": "7", "value": "MQ=="})).unwrap();
        assert!(text.starts_with("2f61\t7\t") && text.ends_with('\n'), "{text}");
        let other = line(&json!({"key": "L2E=", "mod_revision": "7"})).unwrap();
        assert_ne!(text, other, "an empty value is left out of the answer");
        assert!(line(&json!({"key": "L2E=", "mod_revision": 7})).is_none());
    }
}
