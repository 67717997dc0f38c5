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
use tokio::io::{AsyncWriteExt, BufWriter};

/// Keys of one answer. Values may be 1.5 MiB each, etcd's own limit for a request, so that an answer stays below what the
/// controller can hold; and two thousand questions are enough for a million keys.
const PAGE: u32 = 500;

/// Writes the list, and says how much it is.
pub(super) async fn list(asked: Asked<'_>) -> Result<String, String> {
    let side = Side::live(&asked).await?;
    let file = asked.hands.state_file(asked.arg("file")?);
    let fault = |error: std::io::Error| format!("cannot write {}: {error}", file.display());
    if let Some(folder) = file.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(fault)?;
    }
    let mut out = BufWriter::new(tokio::fs::File::create(&file).await.map_err(fault)?);
    let (mut from, mut revision, mut count) = ("AA==".to_owned(), 0, 0_u64);
    loop {
        let body = json!({
            "key": from,
            "range_end": "AA==",
            "limit": PAGE.to_string(),
            "serializable": true,
            "revision": revision.to_string(),
        });
        let said = side.range(&body).await?;
        if revision == 0 {
            revision =
                said.get("header").and_then(|header| number(header, "revision")).unwrap_or(0);
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
