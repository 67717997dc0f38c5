//! What happened in a run: a pure fold of plan and journal, drawn as text, Markdown, HTML, JSON and JUnit.
//!
//! Invariant: every picture of a run is drawn from one [`Report`], so that no two of them can disagree.
//! Absent on purpose: clocks and files. The moment that a report speaks of comes in as an argument.
//! Read next: `report.rs` (what a report holds), `fold/mod.rs` (how events become it), `answer.rs`
//! (the four lines that a person asks for first).

pub mod answer;
pub mod changes;
pub mod crowd;
pub mod fold;
pub mod html;
pub mod json;
pub mod junit;
pub mod lines;
pub mod markdown;
pub mod names;
pub mod report;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
#[cfg(test)]
mod tests;
pub mod text;
pub mod words;

pub use answer::Answer;
pub use fold::Fold;
pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;
pub use report::{
    Approval, BackupReport, Baseline, ClientReport, Controller, GapReport, HaltReport, Health,
    HopReport, LeaderChange, LedgerEntry, LogLine, MemberReport, MemberSeen, Note, Origin,
    OverrideReport, Report, Request, RequestKind, Standstill, StepReport, StepState, Tone,
    WaveReport, WorldSeen,
};
pub use text::text;

/// What could not be drawn. Either is a fault of this program, never of a run.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The page's template failed.
    #[error("cannot draw the report's page")]
    Page(#[source] minijinja::Error),
    /// The test report could not be written.
    #[error("cannot write the report as JUnit")]
    Junit(#[source] quick_junit::SerializeError),
}
