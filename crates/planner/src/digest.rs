//! Names plans and observations by what they hold: SHA-256 over their canonical JSON.
//!
//! Invariant: canonical JSON is what `serde_json` writes of the value itself: fields in the order of their types, maps
//! sorted, no white space. A file whose keys were put in another order still has the same digest once it was read.

use quorate_model::{Digest, Observation, Plan};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Digests a plan, its own `digest` field counted as empty.
pub fn plan_digest(plan: &Plan) -> Digest {
    if plan.digest.as_str().is_empty() {
        return digest_of(plan);
    }
    let mut bare = plan.clone();
    bare.digest = Digest::new("");
    digest_of(&bare)
}

/// Digests an observation.
pub fn observation_digest(observation: &Observation) -> Digest {
    digest_of(observation)
}

/// What a plan's text rarely exceeds, so that it is written in one piece.
const TEXT_BYTES: usize = 128 * 1024;

/// The model holds text keys and finite numbers only, so writing it cannot fail; were a later type to break that,
/// the empty digest it gets here is one that no proof accepts.
fn digest_of<T: Serialize>(value: &T) -> Digest {
    // Written whole, then hashed: to hash each of some ten thousand small pieces as it comes takes half as long again.
    let mut text = Vec::with_capacity(TEXT_BYTES);
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => Digest::new(hex::encode(Sha256::digest(&text))),
        Err(_) => Digest::new(""),
    }
}
