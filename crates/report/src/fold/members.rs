//! What was seen of members, and who led after whom.

use super::Fold;
use crate::report::{Health, LeaderChange, MemberReport, MemberSeen};
use jiff::Timestamp;
use quorate_model::{GroupName, NodeName, Release, Role, RunEvent, StepRole};

impl Fold {
    /// Returns whether more than the member's lag has changed.
    pub(super) fn take_member(&mut self, at: Timestamp, event: &RunEvent) -> bool {
        let RunEvent::MemberSeen { node, reachable, release, role, healthy, lag } = event else {
            return false;
        };
        if *role == Role::Leader {
            self.see_leader(at, node);
        }
        let member = self.member_mut(at, node);
        let before = member.now().cloned();
        let stopped = before.as_ref().is_some_and(|seen| seen.health == Health::Stopped);
        let health = match (reachable, healthy) {
            (false, _) if stopped => Health::Stopped,
            (false, _) => Health::Unseen,
            (true, Some(true)) => Health::Serving,
            (true, Some(false) | None) => Health::NotServing,
        };
        let release = release.clone().or_else(|| before.as_ref().and_then(|s| s.release.clone()));
        let seen = MemberSeen { at, release, role: *role, health, lag: *lag };
        let same = before.as_ref().is_some_and(|before| {
            let MemberSeen { at: _, release, role, health, lag: _ } = before;
            *release == seen.release && *role == seen.role && *health == seen.health
        });
        push(member, seen);
        !same
    }

    /// A step's own outcome tells of its member, even when no look came between.
    pub(super) fn change_member(
        &mut self,
        at: Timestamp,
        node: &NodeName,
        health: Health,
        release: Option<Release>,
    ) {
        let member = self.member_mut(at, node);
        let Some(before) = member.now().cloned() else { return };
        let stopped = health == Health::Stopped;
        let seen = MemberSeen {
            at,
            release: release.or(before.release),
            role: if stopped { Role::Unknown } else { before.role },
            health,
            lag: if stopped { None } else { before.lag },
        };
        push(member, seen);
    }

    fn see_leader(&mut self, at: Timestamp, node: &NodeName) {
        let from = self.leader();
        if from.as_ref() == Some(node) {
            return;
        }
        let planned = self.handover_is_near();
        let change = LeaderChange { at, from, to: node.clone(), planned };
        self.report.leader_changes.push(change);
    }

    /// The last known leader, still in office or not.
    fn leader(&self) -> Option<NodeName> {
        if let Some(change) = self.report.leader_changes.last() {
            return Some(change.to.clone());
        }
        let leads = |member: &&MemberReport| {
            member.history.first().is_some_and(|seen| seen.role == Role::Leader)
        };
        self.report.members.iter().find(leads).map(|member| member.node.clone())
    }

    /// Whether the wave under way holds a handover that began: the change that is seen now is the one asked for.
    fn handover_is_near(&self) -> bool {
        let Some(id) = self.begun.get(&StepRole::Handover) else { return false };
        let current = self.report.current().map(|step| &step.id);
        let wave = |id| self.places.get(id).map(|(hop, wave, _)| (hop, wave));
        current.is_some_and(|current| wave(current) == wave(id))
    }

    fn member_mut(&mut self, at: Timestamp, node: &NodeName) -> &mut MemberReport {
        let members = &mut self.report.members;
        let index = members.iter().position(|member| member.node == *node).unwrap_or_else(|| {
            // A member that the plan's observation did not know: it gets a lane, so that nothing is hidden.
            let unseen = MemberSeen {
                at,
                release: None,
                role: Role::Unknown,
                health: Health::Unseen,
                lag: None,
            };
            members.push(MemberReport {
                node: node.clone(),
                group: GroupName::from("server"),
                voter: None,
                history: vec![unseen],
            });
            members.len() - 1
        });
        &mut members[index]
    }
}

fn push(member: &mut MemberReport, seen: MemberSeen) {
    let same = member.now().is_some_and(|now| {
        let MemberSeen { at: _, release, role, health, lag } = now;
        *release == seen.release && *role == seen.role && *health == seen.health && *lag == seen.lag
    });
    if !same {
        member.history.push(seen);
    }
}
