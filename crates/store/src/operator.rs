//! A person's word in a journal that a controller is writing to at the same time.

use crate::{Store, StoreError};
use jiff::Timestamp;
use quorate_model::{RunEvent, RunId, Seq};

/// A controller writes a few events a second; losing the race this often means that something else is wrong.
const TRIES_MAX: u32 = 50;

/// Appends a person's event at the end of the journal, wherever that is by now.
pub fn append_as_operator(
    store: &dyn Store,
    run: &RunId,
    at: Timestamp,
    event: &RunEvent,
) -> Result<Seq, StoreError> {
    let mut expected = match store.journal(run, Seq(0))?.last() {
        Some(last) => last.seq,
        None => Seq(0),
    };
    let mut tries = TRIES_MAX;
    loop {
        tries -= 1;
        match store.append(run, None, expected, at, std::slice::from_ref(event)) {
            Err(StoreError::Conflict { actual, .. }) if tries > 0 => expected = actual,
            answer => return answer,
        }
    }
}
