//! Names plans and observations by what they hold: SHA-256 over their canonical JSON.
//!
//! Invariant: canonical JSON is what `serde_json` writes of the value itself: fields in the order of their types, maps
//! sorted, no white space. A file whose keys were put in another order still has the same digest once it was read.

use quorate_model::{Digest, Observation, Plan};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufWriter, Write};

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

/// The model holds text keys and finite numbers only, so writing it cannot fail; were a later type to break that,
/// the empty digest it gets here is one that no proof accepts.
fn digest_of<T: Serialize>(value: &T) -> Digest {
    // Hashed while it is written: a plan's text is some seventy kilobytes that nobody reads.
    let mut hashing = BufWriter::new(Hashing(Sha256::new()));
    if serde_json::to_writer(&mut hashing, value).is_err() {
        return Digest::new("");
    }
    match hashing.into_inner() {
        Ok(Hashing(hash)) => Digest::new(hex::encode(hash.finalize())),
        Err(_) => Digest::new(""),
    }
}

/// A place to write to that only keeps the hash.
struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
