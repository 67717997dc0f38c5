//! Lists everything that one member of etcd holds by itself, a line a key.
//!
//! Invariant: every page is read at the revision of the first, and from this member only: others that hold something else are
//! not asked.

use super::{
    Asked,
    etcd::{Side, number},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio::io::{AsyncWriteExt, BufWriter};

/// Keys of the first question; half as many are asked for as often as an answer is too long. A gateway takes 4 MiB at a time on
/// releases before the middle of 2021, and two thousand questions are enough for a million keys.
const PAGE: u32 = 500;

/// A part of what is said of an answer that is too long: by a gateway of etcd, and by this program's own limit.
const TOO_LONG: [&str; 2] = ["larger than max", "is longer than"];

/// A part of what is said once the history of before the first answer is gone. A cluster whose history is cut every few minutes may
/// do so within one list; twice in a row it is cut faster than it can be read.
const COMPACTED: &str = "compacted";
const LISTS: u32 = 2;

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
    let (mut from, mut revision, mut count, mut page) = ("AA==".to_owned(), 0, 0_u64, PAGE);
    loop {
        let body = json!({
            "key": from,
            "range_end": "AA==",
            "limit": page.to_string(),
            "serializable": true,
            "revision": revision.to_string(),
        });
        let said = match side.range(&body).await {
            Err(because) if page > 1 && TOO_LONG.iter().any(|part| because.contains(part)) => {
                page /= 2;
                continue;
            }
            said => said?,
        };
        if revision == 0 {
            let header = said.get("header").and_then(|header| number(header, "revision"));
            revision = header.ok_or_else(|| format!("no revision can be read from {said}"))?;
        }
        let mut last = None;
        for kv in said.get("kvs").and_then(Value::as_array).into_iter().flatten() {
            let (key, line) = line(kv).ok_or_else(|| format!("no key can be read from {kv}"))?;
            out.write_all(line.as_bytes()).await.map_err(fault)?;
            count += 1;
            last = Some(key);
        }
        match last.filter(|_| said.get("more") == Some(&Value::Bool(true))) {
            // The next one after it: the same with a zero byte at its end.
            Some(mut key) => {
                key.push(0);
                from = STANDARD.encode(key);
            }
            None => break,
        }
    }
    out.flush().await.map_err(fault)?;
    Ok(format!("{count} keys at revision {revision}"))
}

/// A key, and its line.
fn line(kv: &Value) -> Option<(Vec<u8>, String)> {
    let bytes = |name: &str| STANDARD.decode(kv.get(name).map_or(Some(""), Value::as_str)?).ok();
    let (key, value) = (bytes("key")?, bytes("value")?);
    // Eight bytes tell values of one key apart.
    let digest = hex::encode(Sha256::digest(&value).get(..8)?);
    let line = format!("{}\t{}\t{digest}\n", hex::encode(&key), number(kv, "mod_revision")?);
    Some((key, line))
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn a_line_tells_a_key_its_revision_and_its_value_apart() {
        let (key, text) =
            line(&json!({"key": "L2E=", "mod_revision": "7", "value": "MQ=="})).unwrap();
        assert_eq!(key, b"/a");
        assert!(text.starts_with("2f61\t7\t") && text.ends_with('\n'), "{text}");
        let (_, other) = line(&json!({"key": "L2E=", "mod_revision": "7"})).unwrap();
        assert_ne!(text, other, "an empty value is left out of the answer");
        assert!(line(&json!({"key": "L2E=", "mod_revision": 7})).is_none());
    }
}
