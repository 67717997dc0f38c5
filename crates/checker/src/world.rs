//! The cluster as it would be after each step, were everything to go as planned.
//!
//! Invariant: it starts from the plan's own observation, and what that did not see counts as not healthy.

use crate::walk::{Visit, acted_on};
use quorate_model::{
    Action, ArtifactRef, Backup, Call, CallKind, Gate, HOLD_BACK, LET_GO, MemberChange, NodeName,
    NodeObservation, Plan, Release, Role, Step, StepRole,
};

/// The conditions that bring a started member back into the count.
pub(crate) const REJOIN_CONDITIONS: [&str; 4] = ["release", "healthy", "member", "caught-up"];

/// Those that bring a node without a vote back.
const CLIENT_CONDITIONS: [&str; 2] = ["release", "healthy"];

/// Where a member's process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It serves.
    Up,
    /// It did not serve, or could not be seen, when the plan was made.
    FoundDown,
    /// A step of the plan stopped it.
    Stopped,
    /// A step of the plan started it and no gate has seen it back yet.
    Started,
    /// It has left the cluster.
    Out,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member<'p> {
    pub(crate) name: &'p NodeName,
    pub(crate) voter: bool,
    /// It has no part in the quorum and holds no data.
    pub(crate) client: bool,
    pub(crate) group: &'p str,
    pub(crate) life: Life,
    /// The release that runs, or ran last.
    pub(crate) release: Option<&'p Release>,
    /// The release whose files are live now.
    pub(crate) live: Option<&'p Release>,
    /// The plan started it in this hop.
    pub(crate) started: bool,
    /// The plan gave it the data of a copy in this hop.
    pub(crate) restored: bool,
    /// Its data folder was moved aside.
    pub(crate) aside: bool,
    /// The cluster was told of it.
    pub(crate) joined: bool,
    /// Artifacts beside the live one in this hop.
    pub(crate) staged: Vec<&'p ArtifactRef>,
    /// Conditions that gates saw since its last start.
    held: Vec<&'p str>,
}

/// Who may order writes, as far as the plan lets one know.
#[derive(Debug)]
pub(crate) struct Leadership<'p> {
    /// Exactly one in the beginning; several after an election that no plan can foresee; none when the product has no leaders.
    may_lead: Vec<&'p NodeName>,
    /// There should be a leader, and none was seen.
    pub(crate) unseen: bool,
}

impl<'p> Leadership<'p> {
    /// The leader, when only one member can be it.
    pub(crate) fn only(&self) -> Option<&'p NodeName> {
        match self.may_lead.as_slice() {
            [only] => Some(only),
            [] | [_, _, ..] => None,
        }
    }
    /// Whether this member may be the leader.
    pub(crate) fn may_be(&self, node: &NodeName) -> bool {
        self.may_lead.contains(&node)
    }
    /// It leads no more, if it did: one of the others does.
    fn passes(&mut self, from: &NodeName, to: impl Iterator<Item = &'p NodeName>) {
        if !self.may_be(from) {
            return;
        }
        self.may_lead.retain(|leader| *leader != from);
        for other in to.filter(|other| *other != from) {
            if !self.may_lead.contains(&other) {
                self.may_lead.push(other);
            }
        }
    }
}

/// A copy of the data that the plan has taken by now.
#[derive(Debug)]
pub(crate) struct Copy<'p> {
    pub(crate) backup: &'p Backup,
    pub(crate) verified: bool,
}

/// The cluster in the mind.
#[derive(Debug)]
pub(crate) struct World<'p> {
    pub(crate) members: Vec<Member<'p>>,
    pub(crate) leadership: Leadership<'p>,
    /// Copies taken in this hop.
    pub(crate) copies: Vec<Copy<'p>>,
    /// A person said yes in this hop.
    pub(crate) confirmed: bool,
    /// A person said yes anywhere before.
    pub(crate) ever_confirmed: bool,
    /// Temporary changes that are owed, by key.
    pub(crate) owed: Vec<&'p str>,
    /// Members on whose hosts packages start nothing, with the temporary change that sees to it.
    held_back: Vec<(&'p str, &'p NodeName)>,
    /// A member was stopped in this hop.
    pub(crate) any_stop: bool,
}

impl<'p> World<'p> {
    /// The cluster as the plan's observation shows it.
    pub(crate) fn observed(plan: &'p Plan) -> Self {
        let nodes = &plan.observed.nodes;
        let members = nodes.iter().map(|node| Member::observed(node, nodes)).collect();
        Self {
            members,
            leadership: observed_leadership(nodes),
            copies: Vec::new(),
            confirmed: false,
            ever_confirmed: false,
            owed: Vec::new(),
            held_back: Vec::new(),
            any_stop: false,
        }
    }
    /// The member of that name.
    pub(crate) fn member(&self, name: &NodeName) -> Option<&Member<'p>> {
        self.members.iter().find(|member| member.name == name)
    }
    /// How many voters there are, down or not.
    pub(crate) fn voters(&self) -> usize {
        self.members.iter().filter(|member| member.voter).count()
    }
    /// The smallest majority.
    pub(crate) fn quorum(&self) -> usize {
        self.voters() / 2 + 1
    }
    /// Voters that would serve with `gone` gone.
    pub(crate) fn serving_without(&self, gone: &NodeName) -> usize {
        self.members.iter().filter(|m| m.voter && m.name != gone && m.serves()).count()
    }

    /// Whether packages start nothing on this member's host.
    pub(crate) fn is_held_back(&self, node: &NodeName) -> bool {
        self.held_back.iter().any(|(_, held)| *held == node)
    }
    /// The member whose host a temporary change holds packages back on.
    pub(crate) fn held_back_by(&self, key: &str) -> Option<&'p NodeName> {
        self.held_back.iter().find(|(owed, _)| *owed == key).map(|(_, node)| *node)
    }

    /// Forgets what counts for one hop only.
    pub(crate) fn hop_begins(&mut self) {
        self.copies.clear();
        self.confirmed = false;
        self.any_stop = false;
        for member in &mut self.members {
            member.staged.clear();
            member.started = false;
            member.restored = false;
        }
    }

    /// Whether the step's own probe says that it has already happened: a member that was found at the hop's target is
    /// left alone by steps that ask `node.release == '<that release>'`.
    pub(crate) fn has_happened(&self, step: &Step) -> bool {
        let (Some(done), Some(node)) = (&step.done, acted_on(&step.action)) else { return false };
        let asked = done.cel.trim().strip_prefix("node.release ==").map(str::trim);
        let quoted = asked.map(|asked| asked.trim_matches(['\'', '"']));
        let runs =
            self.member(node).filter(|m| m.life == Life::Up && !m.started).and_then(|m| m.release);
        match (quoted.map(str::parse::<Release>), runs) {
            (Some(Ok(asked)), Some(runs)) => asked == *runs,
            _ => false,
        }
    }

    /// Changes the world as the step says.
    pub(crate) fn apply(&mut self, at: &Visit<'p>) {
        let step = at.step;
        match &step.action {
            Action::Look => {}
            Action::Confirm { .. } => {
                self.confirmed = true;
                self.ever_confirmed = true;
            }
            Action::Stage { node, artifact } => self.change(node, |m| m.staged.push(artifact)),
            Action::Backup { backup } => self.copies.push(Copy { backup, verified: false }),
            Action::Verify { backup } => {
                for copy in self.copies.iter_mut().filter(|copy| copy.backup.file == backup.file) {
                    copy.verified = true;
                }
            }
            Action::Call { call } if step.role == StepRole::Handover => {
                self.hand_over(&call.node, step)
            }
            Action::Call { .. } | Action::List { .. } => {}
            Action::Switch { .. } | Action::Clear { .. } => {}
            // What it held before is what it holds again.
            Action::BringBack { node } => self.change(node, |m| m.restored = true),
            Action::StandStill { key, .. } => self.owed.push(key),
            Action::Restore { node, .. } => self.change(node, |m| m.restored = true),
            Action::SetAside { node } => self.change(node, |m| m.aside = true),
            Action::Membership { node, change, .. } => self.change(node, |m| match change {
                MemberChange::Leave => {
                    m.voter = false;
                    m.life = Life::Out;
                }
                MemberChange::Join => {
                    m.joined = true;
                    m.voter = true;
                }
                MemberChange::JoinAsLearner => m.joined = true,
                MemberChange::Promote => m.voter = true,
            }),
            Action::TempSet { key, call, put_back } => {
                self.owed.push(key);
                let holds = |call: &Call, name: &str| matches!(&call.call, CallKind::Native { action, .. } if action == name);
                if holds(call, HOLD_BACK) && holds(put_back, LET_GO) && call.node == put_back.node {
                    self.held_back.push((key, &call.node));
                }
            }
            Action::TempPutBack { key } => {
                self.owed.retain(|owed| owed != key);
                self.held_back.retain(|(owed, _)| owed != key);
            }
            Action::Stop { node } => self.stop(node),
            Action::Swap { node, to, .. } => self.change(node, |m| m.live = Some(&to.release)),
            Action::Start { node, expect } => self.change(node, |m| {
                m.life = Life::Started;
                m.release = Some(expect);
                m.started = true;
                m.held.clear();
            }),
        }
        if let (Some(gate), Some(node)) = (&step.gate, at.node()) {
            self.change(node, |m| m.see(gate));
        }
    }

    fn stop(&mut self, node: &NodeName) {
        let others: Vec<_> =
            self.members.iter().filter(|m| m.voter && m.serves()).map(|m| m.name).collect();
        self.leadership.passes(node, others.into_iter());
        self.any_stop = true;
        self.change(node, |m| m.life = Life::Stopped);
    }

    /// Only the leader hands over; from anybody else the step finds that it has already happened.
    fn hand_over(&mut self, from: &NodeName, step: &'p Step) {
        match handover_target(step, self) {
            Some(target) => self.leadership.passes(from, std::iter::once(target)),
            None => {
                let all: Vec<_> = self.members.iter().filter(|m| m.voter).map(|m| m.name).collect();
                self.leadership.passes(from, all.into_iter());
            }
        }
    }

    fn change(&mut self, node: &NodeName, change: impl FnOnce(&mut Member<'p>)) {
        if let Some(member) = self.members.iter_mut().find(|member| member.name == node) {
            change(member);
        }
    }
}

impl<'p> Member<'p> {
    fn observed(node: &'p NodeObservation, all: &[NodeObservation]) -> Self {
        Self {
            name: &node.name,
            voter: counts_as_voter(node, all),
            client: counts_as_client(node, all),
            group: node.group.as_str(),
            life: if node.is_healthy() { Life::Up } else { Life::FoundDown },
            release: node.release.as_ref().or(node.disk_release.as_ref()),
            live: node.disk_release.as_ref().or(node.release.as_ref()),
            started: false,
            restored: false,
            aside: false,
            joined: false,
            staged: Vec::new(),
            held: Vec::new(),
        }
    }
    /// Whether it serves. A started one counts: that it is really back is what its gate proves (S4).
    pub(crate) fn serves(&self) -> bool {
        matches!(self.life, Life::Up | Life::Started)
    }
    /// The rejoin conditions that no gate has seen since the start.
    pub(crate) fn not_yet_held(&self) -> impl Iterator<Item = &'static str> {
        // Who holds no data catches up with nothing.
        let asked = if self.client { &CLIENT_CONDITIONS[..] } else { &REJOIN_CONDITIONS[..] };
        asked.iter().copied().filter(|name| !self.held.contains(name))
    }
    /// Whether a gate saw this condition since the start.
    pub(crate) fn has_held(&self, name: &str) -> bool {
        self.held.contains(&name)
    }
    fn see(&mut self, gate: &'p Gate) {
        if self.life != Life::Started {
            return;
        }
        self.held.extend(gate.conditions.iter().map(|condition| condition.name.as_str()));
        if self.not_yet_held().next().is_none() {
            self.life = Life::Up;
        }
    }
}

/// A member whose vote was not seen counts as a voter unless its group is known to hold none: that asks for more, never for less.
fn counts_as_voter(node: &NodeObservation, all: &[NodeObservation]) -> bool {
    match (node.voter, node.role) {
        (Some(voter), _) => voter,
        (None, Role::Learner | Role::Client) => false,
        (None, Role::Leader | Role::Follower | Role::Candidate | Role::Unknown) => {
            let mut known = all.iter().filter(|other| other.voter == Some(true)).peekable();
            known.peek().is_none() || known.any(|other| other.group == node.group)
        }
    }
}

/// A client says so itself; one that was not seen is one when all others of its group are.
fn counts_as_client(node: &NodeObservation, all: &[NodeObservation]) -> bool {
    match (node.role, node.voter) {
        (_, Some(true)) => false,
        (Role::Client, _) => true,
        (Role::Unknown, _) => {
            let mut seen = all
                .iter()
                .filter(|other| other.group == node.group && other.role != Role::Unknown)
                .peekable();
            seen.peek().is_some() && seen.all(|other| other.role == Role::Client)
        }
        (Role::Leader | Role::Follower | Role::Candidate | Role::Learner, _) => false,
    }
}

fn observed_leadership(nodes: &[NodeObservation]) -> Leadership<'_> {
    let leader = nodes.iter().find(|node| node.role == Role::Leader);
    let has_leaders = nodes
        .iter()
        .any(|node| matches!(node.role, Role::Follower | Role::Learner | Role::Candidate));
    let may_lead = leader.map(|leader| &leader.name).into_iter().collect();
    Leadership { may_lead, unseen: leader.is_none() && has_leaders }
}

/// The member that a handover names: its name or its member id stands, quoted, in the step's `leader` condition.
pub(crate) fn handover_target<'p>(step: &'p Step, world: &World<'p>) -> Option<&'p NodeName> {
    let gate = step.gate.iter().flat_map(|gate| &gate.conditions);
    let named: Vec<&str> = step
        .done
        .iter()
        .chain(gate)
        .filter(|c| c.name == "leader")
        .map(|c| c.cel.as_str())
        .collect();
    let quoted = |name: &str| {
        named
            .iter()
            .any(|cel| cel.contains(&format!("'{name}'")) || cel.contains(&format!("\"{name}\"")))
    };
    let mut fits =
        world.members.iter().map(|member| member.name).filter(|name| quoted(name.as_str()));
    match (fits.next(), fits.next()) {
        (Some(target), None) => Some(target),
        (None, _) | (Some(_), Some(_)) => None,
    }
}
