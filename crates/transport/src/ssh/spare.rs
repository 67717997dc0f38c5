//! A session that stands ready for the next command: opening one takes a fork of sshd, a login shell and sudo's questions to
//! PAM, ten to thirty milliseconds, and a member is down for several commands.
//!
//! Invariant: at most one for each kind of rights, never for a host that is asked only a few things, never for long, and never
//! in the place of a session that somebody waits for.

use super::{
    connect::Session,
    reader::{NoReader, Reader, Rights},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A look at a host takes two or three commands; who asks a fourth one changes something there, and asks on.
const ASKED_BEFORE: u32 = 3;
/// Eight commands at a time: a cluster's servers at a gate. Who has more of them under way, staging on hundreds of hosts, waits
/// for no single one, and a session more for each host would only cost.
const AT_ONCE_MAX: usize = 8;
/// Thirty seconds: longer than any pause between two steps at one member, short enough that no shell of root stands about
/// while a soak of an hour goes on.
const STANDS_FOR: Duration = Duration::from_secs(30);
/// Ten seconds to open one: nobody waits for it, and a host that takes longer is not helped by it.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// How many commands run, on all hosts of a program.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<AtomicUsize>);

impl Busy {
    /// Counts a command for as long as what comes back lives.
    pub(super) fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self)
    }
}

/// A command that runs.
pub(super) struct Entered<'a>(&'a Busy);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What stands ready on one connection.
#[derive(Default)]
pub(super) struct Spares {
    own: Mutex<Spare>,
    root: Mutex<Spare>,
}

#[derive(Default)]
struct Spare {
    /// Commands so far.
    asked: u32,
    /// One is being opened, or none can be.
    opening: bool,
    reader: Option<Reader>,
    /// Counts readers, so that a late end does not meet a later one.
    turn: u64,
}

impl Spares {
    fn of(&self, rights: &Rights) -> std::sync::MutexGuard<'_, Spare> {
        let spare = if matches!(rights, Rights::Own) { &self.own } else { &self.root };
        spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that stands ready, if one does. Counts the command.
    pub(super) fn take(&self, rights: &Rights) -> Option<Reader> {
        let mut spare = self.of(rights);
        spare.asked = spare.asked.saturating_add(1);
        let mut reader = spare.reader.take()?;
        reader.waits().then_some(reader)
    }
}

/// Opens a session for the next command, beside the one that runs.
pub(super) fn make_ready(session: &Arc<Session>, rights: &Rights) {
    {
        let mut spare = session.spares.of(rights);
        // Half of the sessions are left for those who ask at the same time.
        let is_quiet = session.slots.available_permits() > super::connect::SESSIONS_MAX / 2;
        let few = session.busy.0.load(Ordering::Relaxed) <= AT_ONCE_MAX;
        let wanted = spare.asked > ASKED_BEFORE && few && is_quiet;
        if !wanted || spare.opening || spare.reader.is_some() {
            return;
        }
        spare.opening = true;
    }
    let (rights, session) = (rights.clone(), Arc::downgrade(session));
    tokio::spawn(async move {
        let turn = {
            let Some(session) = session.upgrade() else { return };
            let opened = Reader::open(&session, &rights, Instant::now() + OPEN_LIMIT).await;
            let mut spare = session.spares.of(&rights);
            // A host that allows no further session is not asked for one again.
            spare.opening = matches!(opened, Err(NoReader::Refused(_)));
            // Whatever else was in the way, the next command will say itself.
            let Ok(reader) = opened else { return };
            spare.reader = Some(reader);
            spare.turn += 1;
            spare.turn
        };
        tokio::time::sleep(STANDS_FOR).await;
        let Some(session) = session.upgrade() else { return };
        let late = {
            let mut spare = session.spares.of(&rights);
            if spare.turn == turn { spare.reader.take() } else { None }
        };
        if let Some(reader) = late {
            reader.close().await;
        }
    });
}
