//! The checker's own computation of digests: SHA-256, lower-case hexadecimal, over canonical JSON.
//!
//! Canonical JSON of a value is what `serde_json` writes for it without spaces, fields in the order of the model.
//! The digest of a plan is taken with its own `digest` field empty.

use quorate_model::{Digest, Observation, Plan};
use sha2::{Digest as _, Sha256};

/// What a plan's text rarely exceeds, so that it is written in one piece.
const TEXT_BYTES: usize = 128 * 1024;

/// The digest that the plan should carry; none when it cannot be written as JSON.
pub fn plan_digest(plan: &Plan) -> Option<Digest> {
    // The plan's first two fields are `schema` and `digest`, so its JSON begins with exactly this text;
    // cutting the digest out of what is hashed spares a copy of the whole plan.
    let own = serde_json::to_string(&plan.digest).ok()?;
    let head = format!("{{\"schema\":{},\"digest\":", plan.schema);
    let mut text = Vec::with_capacity(TEXT_BYTES);
    serde_json::to_writer(&mut text, plan).ok()?;
    let rest = text.strip_prefix(head.as_bytes())?.strip_prefix(own.as_bytes())?;
    let hash = Sha256::new().chain_update(head).chain_update(b"\"\"").chain_update(rest);
    Some(Digest::new(hex::encode(hash.finalize())))
}

/// The digest of an observation; none when it cannot be written as JSON.
pub fn observation_digest(observation: &Observation) -> Option<Digest> {
    let text = serde_json::to_vec(observation).ok()?;
    Some(Digest::new(hex::encode(Sha256::digest(&text))))
}

/// Whether a text has the form of a digest: 64 lower-case hexadecimal digits.
pub(crate) fn is_digest(digest: &Digest) -> bool {
    let text = digest.as_str();
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
