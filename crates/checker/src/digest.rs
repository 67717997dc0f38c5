//! The checker's own computation of digests: SHA-256, lower-case hexadecimal, over canonical JSON.
//!
//! Canonical JSON of a value is what `serde_json` writes for it without spaces, fields in the order of the model.
//! The digest of a plan is taken with its own `digest` field empty.

use quorate_model::{Digest, Observation, Plan};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The digest that the plan should carry; none when it cannot be written as JSON.
pub fn plan_digest(plan: &Plan) -> Option<Digest> {
    let written = serde_json::to_vec(plan).ok()?;
    // The plan's first two fields are `schema` and `digest`, so its JSON begins with exactly this text;
    // cutting the digest out of the bytes spares a copy of the whole plan.
    let own = serde_json::to_string(&plan.digest).ok()?;
    let head = format!("{{\"schema\":{},\"digest\":", plan.schema);
    let rest = written.strip_prefix(head.as_bytes())?.strip_prefix(own.as_bytes())?;
    let mut hash = Sha256::new();
    hash.update(head.as_bytes());
    hash.update(b"\"\"");
    hash.update(rest);
    Some(Digest(hex::encode(hash.finalize())))
}

/// The digest of an observation; none when it cannot be written as JSON.
pub fn observation_digest(observation: &Observation) -> Option<Digest> {
    canonical(observation)
}

fn canonical<T: Serialize>(value: &T) -> Option<Digest> {
    let written = serde_json::to_vec(value).ok()?;
    Some(Digest(hex::encode(Sha256::digest(&written))))
}

/// Whether a text has the form of a digest: 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(digest: &Digest) -> bool {
    let text = digest.as_str();
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
