//! What goes into the machine and what comes out of it.

use quorate_model::{Attempt, Outcome, RunEnd, RunEvent, StepId, Unsafe, WaitingOn};

/// What the driver tells the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The answer to [`Effect::Look`].
    Looked { step: Option<StepId>, look: Look, verdict: Verdict },
    /// The answer to [`Effect::Act`]; `also` are events that the act itself produced (a backup's digest, say).
    Acted { step: StepId, attempt: Attempt, outcome: Outcome, also: Vec<RunEvent> },
    /// The answer to [`Effect::PutBack`].
    PutBack { key: String, outcome: Outcome },
    /// An event that a person wrote into the journal; it stands there already.
    Operator(RunEvent),
    /// A newer lease exists, or this one could not be renewed.
    LeaseLost { because: String },
    /// Clients saw a gap that the policy does not allow.
    ClientGap { gap_ms: u64, max_ms: u64 },
    /// A client misses what was acknowledged to it.
    ClientLost { text: String },
    /// The answer to [`Effect::Account`]: what clients were promised and did not get, in words.
    Accounted { wrong: Option<String> },
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The world against the journal, on resuming.
    World,
    /// The step's own "already done?" probe.
    Done,
    /// Whether the step may be done now.
    Precheck,
    /// Whether the step's gate holds. It may open on this answer, so everything that it asks is looked at.
    Gate,
    /// Whether the step's gate still holds, when it cannot open yet: what is costly to see may be left for the last look.
    GateOnTheWay,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// Not yet; it clears by itself.
    NotYet(WaitingOn),
    /// An invariant would break, or is breaking, because of something other than the member at work.
    Unsafe(Unsafe),
    /// Missing data: opens no gate.
    Unseen(String),
    /// The world is not what the journal implies.
    Differs(Vec<String>),
    /// The member's process has ended: no waiting brings it back.
    Ended(String),
}

/// One thing for the driver to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look, and answer with [`Input::Looked`].
    Look { step: Option<StepId>, look: Look },
    /// Carry out the step's action once, and answer with [`Input::Acted`].
    Act { step: StepId, attempt: Attempt },
    /// Put a temporary change back, and answer with [`Input::PutBack`].
    PutBack { key: String },
    /// Every step is done: ask the client for its account, and answer with [`Input::Accounted`].
    Account,
    /// Free the lease and leave; a person resumes.
    Rest,
    /// The run is over.
    End(RunEnd),
}

/// Events first, durably; then the effect.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "a turn that is dropped loses journal events"]
pub struct Turn {
    /// To append before anything else.
    pub journal: Vec<RunEvent>,
    /// To carry out after that.
    pub effect: Option<Effect>,
}
