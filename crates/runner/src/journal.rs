//! One controller's pen on a run's journal: appends at the expected place, and reads what people wrote meanwhile.

use jiff::Timestamp;
use quorate_model::{Lease, Recorded, RunEvent, RunId, Seq};
use quorate_store::{Store, StoreError};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Appends that lose the race for a place are tried again this often: people write a few events a minute, so the second
/// try all but always wins; more lost races than this mean that something else is wrong.
const RACES_MAX: usize = 20;

/// The pen.
pub struct Journal {
    store: Arc<dyn Store>,
    run: RunId,
    lease: Option<Lease>,
    seq: Seq,
    foreign: Vec<Recorded>,
    listeners: Vec<UnboundedSender<Recorded>>,
}

impl Journal {
    /// Opens the journal after everything that stands in it.
    pub fn open(store: Arc<dyn Store>, run: RunId, lease: Option<Lease>, seq: Seq) -> Self {
        Self { store, run, lease, seq, foreign: Vec::new(), listeners: Vec::new() }
    }
    /// Whoever draws or prints hears every event from now on, its own and those of other people.
    pub fn listen(&mut self, listener: UnboundedSender<Recorded>) {
        self.listeners.push(listener);
    }
    /// The run that it is about.
    pub fn run(&self) -> &RunId {
        &self.run
    }
    /// The lease under which it writes.
    pub fn set_lease(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }
    /// The lease under which it writes.
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// Appends, durably, before it returns.
    pub fn append(&mut self, at: Timestamp, events: &[RunEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        for _ in 0..RACES_MAX {
            match self.store.append(&self.run, self.lease.as_ref(), self.seq, at, events) {
                Ok(seq) => {
                    let mut place = self.seq;
                    for event in events {
                        place = place.next();
                        self.tell(&Recorded { seq: place, at, event: event.clone() });
                    }
                    self.seq = seq;
                    return Ok(());
                }
                Err(StoreError::Conflict { .. }) => self.read_new()?,
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict { run: self.run.clone(), expected: self.seq, actual: self.seq })
    }

    /// Appends the client's account, then gives the lease back: after that the cluster is free.
    pub fn close(&mut self, at: Timestamp, events: &[RunEvent]) -> Result<(), StoreError> {
        self.append(at, events)?;
        if let Some(lease) = self.lease.take() {
            self.store.release_lease(&lease)?;
        }
        Ok(())
    }

    /// Events that others wrote since the last call.
    pub fn take_foreign(&mut self) -> Result<Vec<Recorded>, StoreError> {
        self.read_new()?;
        Ok(std::mem::take(&mut self.foreign))
    }

    fn read_new(&mut self) -> Result<(), StoreError> {
        for recorded in self.store.journal(&self.run, self.seq)? {
            self.seq = recorded.seq;
            self.tell(&recorded);
            self.foreign.push(recorded);
        }
        Ok(())
    }

    fn tell(&mut self, recorded: &Recorded) {
        self.listeners.retain(|listener| listener.send(recorded.clone()).is_ok());
    }
}
