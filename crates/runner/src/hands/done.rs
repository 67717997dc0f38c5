//! The typed "already done?" probes: what a step's own look at the host says, without any expression.

use super::live::LiveHands;
use quorate_engine::Verdict;
use quorate_hosts::{
    service::{self, ServiceState},
    swap::{self, paths::NodePaths},
};
use quorate_model::{Action, Hop, NodeName, Step, WaitingOn};
use quorate_transport::{Answer, Command};
use std::time::Duration;

impl LiveHands {
    /// Whether the step has already happened.
    pub(crate) async fn typed_done(
        &self,
        step: &Step,
        at: usize,
        hop: &Hop,
        name: &str,
    ) -> Verdict {
        let answer = match &step.action {
            Action::Stage { node, artifact } => {
                match (self.paths(node, at), self.transport(node)) {
                    (Some(paths), Some(transport)) => {
                        swap::staged(transport.as_ref(), &paths, artifact).await.map(|held| {
                            let print = held.as_ref().and_then(|held| held.fingerprint.clone());
                            self.keep_fingerprint(node, &artifact.release, print);
                            held.is_some()
                        })
                    }
                    _ => Answer::Failed(format!(
                        "{node} has no service whose binary could be staged"
                    )),
                }
            }
            Action::Stop { node } => self.stopped(node, at, hop).await,
            Action::Swap { node, to, config, .. } => {
                match (self.paths(node, at), self.transport(node)) {
                    (Some(paths), Some(transport)) => {
                        let live = swap::swapped(transport.as_ref(), &paths, to).await;
                        match config {
                            Some(config) => self
                                .files_rewritten(node, config)
                                .await
                                .and_then(|done| live.map(|live| live && done)),
                            None => live,
                        }
                    }
                    _ => Answer::Failed(format!(
                        "{node} has no service whose binary could be swapped"
                    )),
                }
            }
            Action::Start { node, .. } => self.started(node, at).await,
            Action::Backup { backup } => {
                Answer::Done(self.backup_record(backup).is_some_and(|record| record.sha256_matches))
            }
            // Proving a copy again costs seconds and harms nothing.
            Action::Verify { .. } => Answer::Done(false),
            Action::Restore { node, .. } => self.restored(node).await,
            Action::SetAside { node } => self.is_aside(node).await,
            Action::List { node, out } => self.is_listed(node, out.as_ref()),
            Action::Look
            | Action::Confirm { .. }
            | Action::Call { .. }
            | Action::Membership { .. }
            | Action::TempSet { .. }
            | Action::TempPutBack { .. } => {
                return Verdict::Unseen(format!(
                    "there is no probe `{name}` for this kind of step"
                ));
            }
        };
        match answer {
            Answer::Done(true) => Verdict::Holds,
            Answer::Done(false) => Verdict::NotYet(WaitingOn::Condition {
                node: step.node.clone(),
                gate: name.to_owned(),
                text: step.title.clone(),
            }),
            Answer::Failed(because) | Answer::Unknown(because) => Verdict::Unseen(because),
        }
    }

    pub(crate) fn paths(&self, node: &NodeName, at: usize) -> Option<NodePaths> {
        let server = self.parts.pack.scheme.binaries.first()?;
        NodePaths::of_service(&self.service_at(node, at)?)
            .map(|paths| paths.server_named(server.clone()))
    }

    /// Stopped, or already past it: the planned binary is live and runs with the planned arguments.
    async fn stopped(&self, node: &NodeName, at: usize, hop: &Hop) -> Answer<bool> {
        let (Some(spec), Some(transport)) = (self.service_at(node, at), self.transport(node))
        else {
            return Answer::Failed(format!("{node} has no service that could be stopped"));
        };
        // Who answered a moment ago as the old release was not stopped, and needs no second look.
        if self.plan().kind.moves_releases()
            && self.just_ran(node).is_some_and(|(release, replaced)| release != hop.to && !replaced)
        {
            return Answer::Done(false);
        }
        match service::state(transport.as_ref(), &spec).await {
            Answer::Done(ServiceState::Stopped) => Answer::Done(true),
            // Where nobody moves to another release only a member that is really down is past its stop.
            Answer::Done(ServiceState::Running { .. }) if !self.plan().kind.moves_releases() => {
                Answer::Done(false)
            }
            Answer::Done(ServiceState::Running { .. }) => self.moved(node, at, hop).await,
            Answer::Failed(because) => Answer::Failed(because),
            Answer::Unknown(because) => Answer::Unknown(because),
        }
    }

    /// Whether this plan has put the data back on this member: a mark is written after the tool has ended well.
    async fn restored(&self, node: &NodeName) -> Answer<bool> {
        let (Some(mark), Some(transport)) = (self.restore_mark(node), self.transport(node)) else {
            return Answer::Failed(format!("the data folder of {node} is not declared"));
        };
        let command =
            Command::new(["test".to_owned(), "-e".to_owned(), mark.display().to_string()]);
        // Five seconds: `test` answers at once on any disk that answers at all.
        transport.run(&command, Duration::from_secs(5)).await.map(|output| output.ok())
    }

    /// Whether the member runs the hop's artifact already: an earlier run, or a person, has moved it.
    async fn moved(&self, node: &NodeName, at: usize, hop: &Hop) -> Answer<bool> {
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Answer::Done(false);
        };
        match swap::swapped(transport.as_ref(), &paths, &hop.artifact).await {
            Answer::Done(true) => {
                let now = jiff::Timestamp::now();
                let seen =
                    self.parts.observer.look_node(node, quorate_observe::Depth::Gate, now).await;
                let runs = seen.as_ref().and_then(|seen| seen.release.clone());
                let replaced = seen
                    .as_ref()
                    .and_then(|seen| seen.process.as_ref())
                    .is_some_and(|process| process.binary_replaced);
                Answer::Done(runs.as_ref() == Some(&hop.to) && !replaced)
            }
            other => other,
        }
    }

    /// Running from the binary that is live now: a process of the old binary does not count.
    async fn started(&self, node: &NodeName, at: usize) -> Answer<bool> {
        let (Some(spec), Some(transport)) = (self.service_at(node, at), self.transport(node))
        else {
            return Answer::Failed(format!("{node} has no service that could be started"));
        };
        match service::state(transport.as_ref(), &spec).await {
            Answer::Done(ServiceState::Stopped) => Answer::Done(false),
            Answer::Done(ServiceState::Running { .. }) => {
                let now = jiff::Timestamp::now();
                let seen =
                    self.parts.observer.look_node(node, quorate_observe::Depth::Gate, now).await;
                match seen.and_then(|seen| seen.process) {
                    Some(process) => Answer::Done(!process.binary_replaced),
                    None => Answer::Failed(format!("the process of {node} could not be seen")),
                }
            }
            Answer::Failed(because) => Answer::Failed(because),
            Answer::Unknown(because) => Answer::Unknown(because),
        }
    }
}
