//! The nouns of Quorate: what is declared, seen, planned, done and reported. Everything else speaks in these.
//!
//! Invariant: values only. No clock, no file, no network and no decision lives here.
//! Read next: `fleet.rs` (declared), `observation.rs` (seen), `plan.rs` (intended), `event.rs` (done).

pub mod artifact;
pub mod client;
pub mod dependant;
pub mod ejection;
pub mod event;
pub mod fleet;
pub mod ids;
pub mod observation;
pub mod plan;
pub mod policy;
pub mod range;
pub mod reason;
pub mod release;
pub mod run;
pub mod secs;
pub mod share;
mod words;

pub use artifact::{ArtifactFile, ArtifactRef, ArtifactSource, DebName};
pub use client::{ClientFigures, ClientGap, ClientSample, LockFigures, LookupFigures};
pub use dependant::{Dependant, HostAct, Requirement, Runs};
pub use ejection::{Ejected, Ejection};
pub use event::{Outcome, Recorded, RunEvent};
pub use fleet::{
    AuthSpec, Cluster, ConfigTemplate, Fleet, Host, HostKeys, Node, ProcessSpec, Secret,
    ServiceSpec, SshHost, SshSpec, SystemdSpec, TlsSpec,
};
pub use ids::{
    Attempt, ClusterName, DependantName, Digest, Generation, GroupName, NodeName, PackName, RunId,
    Seq, StepId,
};
pub use observation::{
    CLUSTER_ID, ConfigFileSeen, ConfigSpan, Facts, FileForm, FileLine, Finding, NEEDS,
    NodeObservation, Observation, Place, ProcessSeen, Reach, Role, Setting, SettingSource,
    Severity, TemplatedFile,
};
pub use plan::{
    ARTIFACT_WHOLE, Action, BACKUP_WHOLE, Backup, Call, CallKind, Condition, ConfigChange,
    ConfigFinding, DEPENDANTS_STOPPED, Door, Edge, FileRewrite, Gate, HELD_BACK, HOLD_BACK, Hop,
    HopKind, LET_GO, Lanes, MAY_STOP, MemberChange, ObservationRef, PLAN_SCHEMA, Plan, PlanKind,
    REJOIN_GATE, Risk, RuleApplied, RuleVerdict, SERVERS_WELL, Spoken, Step, StepRole, TextEdit,
    Undo, Wave, hop_title, member_word,
};
pub use policy::{Approve, OnFailure, Override, Policy};
pub use range::Range;
pub use reason::{Blocked, NotNow, Refusal, Refused, Unsafe, WaitingOn};
pub use release::Release;
pub use run::{Hold, Holder, LEFT_BEHIND, Lease, RunEnd, RunHeader, RunState};
pub use share::{Share, ShareError};
