//! What became of one seed.

use crate::{checkers::Breach, clock::Millis};
use serde::Serialize;
use std::fmt;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum End {
    /// Every member runs the target and serves.
    Converged,
    /// The last run halted and nobody could plan further; both say why.
    Halted {
        /// The hold's code.
        code: String,
        /// Why.
        text: String,
    },
    /// There is no plan, and the reasons are named.
    Refused {
        /// Why.
        text: String,
    },
    /// Neither: time ran out, or something that cannot be happened.
    Stuck {
        /// What was seen last.
        text: String,
    },
}

/// What became of one seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimOutcome {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub end: End,
    /// Invariants broken in the world.
    pub breaches: Vec<Breach>,
    /// What is odd and breaks no invariant.
    pub remarks: Vec<String>,
    /// Acts that controllers began.
    pub acts: u32,
    /// Appends to journals.
    pub appends: u32,
    /// Plans that were begun.
    pub runs: u32,
    /// Virtual time it took.
    pub took_ms: Millis,
}

impl SimOutcome {
    /// Whether everything that must hold held.
    pub fn holds(&self) -> bool {
        self.breaches.is_empty() && !matches!(self.end, End::Stuck { .. })
    }
    /// The command that replays it.
    pub fn command(&self) -> String {
        format!("cargo xtask sim --seed {}", self.seed)
    }
}

impl fmt::Display for SimOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, end, breaches, remarks, acts, appends, runs, took_ms } = self;
        let end = match end {
            End::Converged => "converged".to_owned(),
            End::Halted { code, text } => format!("halted ({code}): {text}"),
            End::Refused { text } => format!("refused: {text}"),
            End::Stuck { text } => format!("STUCK: {text}"),
        };
        write!(f, "seed {seed}: {end}; {runs} runs, {acts} acts, {appends} appends, {took_ms} ms")?;
        remarks.iter().try_for_each(|remark| write!(f, "\n  odd: {remark}"))?;
        breaches.iter().try_for_each(|breach| write!(f, "\n  BROKEN {breach}"))
    }
}
