//! Stops, starts and finds services, so that each act is sure of the very process it touches.
//!
//! A plain process is started in a session of its own, notes its identity (pid, start time, boot) in `PIDFILE` and
//! `PIDFILE.identity`, and outlives the controller. Invariant: a process that is not proved to be the service is never
//! signalled; when the proof is ambiguous the answer is Unknown.
//! A unit is systemd's: it knows its process, and is asked.
//! Read next: `process.rs`, `systemd.rs`.

mod likeness;
mod process;
mod proof;
mod seen;
mod systemd;

use jiff::Timestamp;
use quorate_model::ServiceSpec;
use quorate_transport::{Answer, Transport};

/// Whether a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    /// It does, as this process.
    Running {
        /// Process id.
        pid: u32,
        /// When it started.
        started: Timestamp,
    },
    /// It does not; a process that ended and was not yet collected counts as stopped.
    Stopped,
}

/// A service that does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// How it came to that.
    pub how: How,
}

/// How a service came to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It followed the polite signal within its grace.
    Polite,
    /// Its grace ran out and it was killed.
    Killed,
    /// It was not running.
    Already,
}

impl How {
    /// The word for journals and screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Polite => "polite",
            Self::Killed => "killed",
            Self::Already => "already",
        }
    }
}

/// A signal for a service that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ends it at once.
    Kill,
    /// Stops it in mid-breath; its sockets stay open.
    Freeze,
    /// Lets a frozen one go on.
    Thaw,
}

impl Signal {
    fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Freeze => "STOP",
            Self::Thaw => "CONT",
        }
    }
}

/// Tells whether the service runs, and as which process.
pub async fn state(transport: &dyn Transport, spec: &ServiceSpec) -> Answer<ServiceState> {
    match spec {
        ServiceSpec::Process(spec) => process::state(transport, spec).await,
        ServiceSpec::Systemd(spec) => systemd::state(transport, spec).await,
    }
}

/// Starts the service and answers with its process id. Refuses when it runs already; fails, with its last words, when it
/// ends at once.
pub async fn start(transport: &dyn Transport, spec: &ServiceSpec) -> Answer<u32> {
    match spec {
        ServiceSpec::Process(spec) => process::start(transport, spec).await,
        ServiceSpec::Systemd(spec) => systemd::start(transport, spec).await,
    }
}

/// Makes what the service's own files say count from its next start on.
pub async fn reload(transport: &dyn Transport, spec: &ServiceSpec) -> Answer<()> {
    match spec {
        ServiceSpec::Process(_) => Answer::Done(()),
        ServiceSpec::Systemd(_) => systemd::reload(transport).await,
    }
}

/// What the service said last, for people.
pub async fn last_words(transport: &dyn Transport, spec: &ServiceSpec) -> String {
    match spec {
        ServiceSpec::Process(spec) => process::last_words(transport, spec).await,
        ServiceSpec::Systemd(spec) => systemd::last_words(transport, spec).await,
    }
}

/// Stops the service: politely, then by force after its grace. A frozen one is thawed to hear the polite signal.
pub async fn stop(transport: &dyn Transport, spec: &ServiceSpec) -> Answer<Stopped> {
    match spec {
        ServiceSpec::Process(spec) => process::stop(transport, spec).await,
        ServiceSpec::Systemd(spec) => systemd::stop(transport, spec).await,
    }
}

/// Sends a signal to the running service and answers with its process id. Fails when it does not run.
pub async fn signal(transport: &dyn Transport, spec: &ServiceSpec, signal: Signal) -> Answer<u32> {
    match spec {
        ServiceSpec::Process(spec) => process::signal(transport, spec, signal).await,
        ServiceSpec::Systemd(spec) => systemd::signal(transport, spec, signal).await,
    }
}
