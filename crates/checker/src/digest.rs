//! The checker's own computation of digests: SHA-256, lower-case hexadecimal, over canonical JSON.
//!
//! Canonical JSON of a value is what `serde_json` writes for it without spaces, fields in the order of the model.
//! The digest of a plan is taken with its own `digest` field empty.

use quorate_model::{Digest, Observation, Plan};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufWriter, Write};

/// The digest that the plan should carry; none when it cannot be written as JSON.
pub fn plan_digest(plan: &Plan) -> Option<Digest> {
    // The plan's first two fields are `schema` and `digest`, so its JSON begins with exactly this text;
    // cutting the digest out of what is hashed spares a copy of the whole plan.
    let own = serde_json::to_string(&plan.digest).ok()?;
    let head = format!("{{\"schema\":{},\"digest\":", plan.schema);
    let mut hash = Sha256::new();
    hash.update(head.as_bytes());
    hash.update(b"\"\"");
    hashed(plan, Hashed { hash, cut: format!("{head}{own}").into_bytes() })
}

/// The digest of an observation; none when it cannot be written as JSON.
pub fn observation_digest(observation: &Observation) -> Option<Digest> {
    hashed(observation, Hashed { hash: Sha256::new(), cut: Vec::new() })
}

/// Hashes canonical JSON piece by piece: the whole text of a plan is never held.
fn hashed<T: Serialize>(value: &T, into: Hashed) -> Option<Digest> {
    let mut pieces = BufWriter::new(into);
    serde_json::to_writer(&mut pieces, value).ok()?;
    let Hashed { hash, cut } = pieces.into_inner().ok()?;
    cut.is_empty().then(|| Digest::new(hex::encode(hash.finalize())))
}

/// Hashes what is written to it, all but the text that it must begin with.
struct Hashed {
    hash: Sha256,
    /// What is still to be seen before anything is hashed.
    cut: Vec<u8>,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (seen, rest) = bytes.split_at(bytes.len().min(self.cut.len()));
        if !self.cut.starts_with(seen) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.cut.drain(..seen.len());
        self.hash.update(rest);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a text has the form of a digest: 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(digest: &Digest) -> bool {
    let text = digest.as_str();
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
