//! The typed "already done?" probes: what a step's own look at the host says, without any expression.

use super::live::LiveHands;
use quorate_engine::Verdict;
use quorate_hosts::{
    service::{self, ServiceState},
    swap::{self, paths::NodePaths},
};
use quorate_model::{
    Action, ArtifactRef, Call, HELD_BACK, Hop, NodeName, NodeObservation, Reach, ServiceSpec, Step,
    WaitingOn,
};
use quorate_transport::{Answer, Command};
use std::time::Duration;

impl LiveHands {
    /// Whether the files of a release lie there whole, and the node's settings are taken.
    async fn is_staged(&self, node: &NodeName, at: usize, artifact: &ArtifactRef) -> Answer<bool> {
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Answer::Failed(format!("{node} has no service whose binary could be staged"));
        };
        let known = self.known_staged(node, at, artifact);
        let prints = known.clone().unwrap_or_default();
        let held = match swap::staged(transport.as_ref(), &paths, artifact, &prints).await {
            Answer::Done(Some(held)) => held,
            Answer::Done(None) => return Answer::Done(false),
            Answer::Failed(because) => return Answer::Failed(because),
            Answer::Unknown(because) => return Answer::Unknown(because),
        };
        if known.is_some_and(|known| known == held.prints) {
            self.keep_fingerprint(node, &artifact.release, held.prints.server().cloned());
            return Answer::Done(true);
        }
        // Why it is not, the step itself says when it is tried again.
        let taken = self.takes(node, at, &held, artifact).await.is_ok();
        if taken {
            self.keep_staged(node, at, artifact, &held);
        }
        Answer::Done(taken)
    }

    /// Whether the step has already happened.
    pub(crate) async fn typed_done(
        &self,
        step: &Step,
        at: usize,
        hop: &Hop,
        name: &str,
    ) -> Verdict {
        let answer = match &step.action {
            Action::Stage { node, artifact } => self.is_staged(node, at, artifact).await,
            Action::Stop { node } => self.stopped(node, at, hop).await,
            Action::Swap { .. } => self.is_swapped(&step.action, at).await,
            Action::TempSet { call, .. } if name == HELD_BACK => self.is_held_back(call).await,
            Action::Start { node, .. } => self.started(node, at).await,
            Action::Backup { backup } => Answer::Done(self.backed_up_already(backup)),
            // Proving a copy again costs seconds and harms nothing.
            Action::Verify { .. } => Answer::Done(false),
            Action::Restore { node, .. } => self.restored(node).await,
            Action::SetAside { node } => self.is_aside(node).await,
            Action::BringBack { node } => self.is_brought_back(node).await,
            Action::List { node, out } => self.is_listed(node, out.as_ref()),
            Action::Look
            | Action::Confirm { .. }
            | Action::Call { .. }
            | Action::Membership { .. }
            | Action::TempSet { .. }
            | Action::TempPutBack { .. }
            | Action::Clear { .. }
            | Action::Switch { .. }
            | Action::StandStill { .. } => {
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

    /// Whether the planned files are live, and the settings that come with them written. Of packages dpkg must say so, too:
    /// one that was unpacked and not set up has put its program in place.
    async fn is_swapped(&self, action: &Action, at: usize) -> Answer<bool> {
        let Action::Swap { node, to, config, packages, .. } = action else {
            return Answer::Failed("this is no swap".to_owned());
        };
        let (Some(paths), Some(transport)) = (self.paths(node, at), self.transport(node)) else {
            return Answer::Failed(format!("{node} has no service whose binary could be swapped"));
        };
        let known = self.fingerprint(node, &to.release);
        let mut live = swap::swapped(transport.as_ref(), &paths, to, known.as_ref()).await;
        if live == Answer::Done(true) && !packages.is_empty() {
            live = swap::packages::are_installed(transport.as_ref(), to, packages).await;
        }
        match config {
            Some(config) => self
                .files_rewritten(node, config)
                .await
                .and_then(|done| live.map(|live| live && done)),
            None => live,
        }
    }

    async fn is_held_back(&self, call: &Call) -> Answer<bool> {
        match self.transport(&call.node) {
            Some(transport) => {
                let cluster = &self.parts.cluster.name;
                swap::packages::is_held(transport.as_ref(), cluster, &self.plan().digest).await
            }
            None => Answer::Failed(format!("there is no way to {}", call.node)),
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
        let moves = self.plan().kind.moves_releases() && hop.from != hop.to;
        // Who answered a moment ago as the old release was not stopped, and needs no second look.
        if moves
            && self.just_ran(node).is_some_and(|(release, replaced)| release != hop.to && !replaced)
        {
            return Answer::Done(false);
        }
        match service::state(transport.as_ref(), &spec).await {
            Answer::Done(ServiceState::Stopped) => match self.still_answers(node).await {
                None => Answer::Done(true),
                Some(because) => Answer::Unknown(because),
            },
            // Where nobody moves to another release only a member that is really down is past its stop.
            Answer::Done(ServiceState::Running { .. }) if !moves => Answer::Done(false),
            Answer::Done(ServiceState::Running { .. }) => self.moved(node, at, hop).await,
            Answer::Failed(because) => Answer::Failed(because),
            Answer::Unknown(because) => Answer::Unknown(because),
        }
    }

    /// Why a member whose declared service does not run cannot be taken for stopped: a process works on its data, or
    /// something answers at its address.
    pub(super) async fn runs_all_the_same(&self, node: &NodeName) -> Option<String> {
        let (observer, full) = (&self.parts.observer, quorate_observe::Depth::Full);
        let seen = observer.look_node(node, full, jiff::Timestamp::now()).await?;
        let what = match (&seen.process, &seen.reach) {
            (Some(process), _) => format!("process {} runs with its data", process.pid),
            (None, Reach::Reachable) => "something answers at its address".to_owned(),
            (None, Reach::Unreachable(_)) => return None,
        };
        Some(format!(
            "{what}, and it is not the service that the fleet file declares for {node}: stop it by hand, or correct the service"
        ))
    }

    /// Why a member whose process was not found runs nevertheless: it answers at its own address, with its own id. What the
    /// list of processes shows depends on how and by whom it was started; who answers does not.
    pub(crate) async fn still_answers(&self, node: &NodeName) -> Option<String> {
        let now = jiff::Timestamp::now();
        let seen = self.parts.observer.look_node(node, quorate_observe::Depth::Gate, now).await?;
        // Where data change form on the way members are given other ids.
        let renamed = self.plan().hops.iter().any(|hop| hop.conversion.is_some());
        let planned = self.plan().observed.nodes.iter().find(|own| own.name == *node);
        let planned = planned.filter(|_| !renamed);
        answers_as_itself(&seen, planned).then(|| {
            let service = self.node(node).and_then(|node| node.service.as_ref());
            let pid_file = service.and_then(ServiceSpec::process).map(|process| {
                format!("; write the pid of its process into {}", process.pid_file.display())
            });
            format!(
                "{node} answers at its own address with its own id, so it runs, though no process on its host is found to be its service{}, or stop it the way it was started",
                pid_file.unwrap_or_default()
            )
        })
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
        let known = self.fingerprint(node, &hop.artifact.release);
        match swap::swapped(transport.as_ref(), &paths, &hop.artifact, known.as_ref()).await {
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

/// Whether it is this member that answers. An answer without an id, or when the plan knows none, counts: only another
/// member's id says that somebody else has taken the address.
fn answers_as_itself(seen: &NodeObservation, planned: Option<&NodeObservation>) -> bool {
    let planned = planned.and_then(|planned| planned.member_id.as_ref());
    seen.reach == Reach::Reachable
        && match (&seen.member_id, planned) {
            (Some(now), Some(planned)) => now == planned,
            (None, _) | (_, None) => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(reach: Reach, id: Option<&str>) -> NodeObservation {
        let bare = NodeObservation::unseen("a".into(), "server".into(), "not asked");
        NodeObservation { reach, member_id: id.map(str::to_owned), ..bare }
    }

    #[test]
    fn a_member_that_answers_with_its_id_runs() {
        let planned = seen(Reach::Reachable, Some("7"));
        for (reach, id, runs) in [
            (Reach::Reachable, Some("7"), true),
            (Reach::Reachable, None, true),
            (Reach::Reachable, Some("8"), false),
            (Reach::Unreachable("refused".into()), Some("7"), false),
        ] {
            assert_eq!(answers_as_itself(&seen(reach, id), Some(&planned)), runs, "{id:?}");
        }
        assert!(answers_as_itself(&seen(Reach::Reachable, Some("8")), None), "no id was planned");
    }
}
