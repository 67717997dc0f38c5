//! Plans that change who belongs to a cluster: one member is taken out, or comes back. Everybody else stays as it is.
//!
//! Invariant: one member a plan, and the healthy voters form a quorum before the change and after it (S1).
//! Invariant: a member that serves hands over and stops before it leaves; one that comes back brings no data along.
//! Read next: `eject.rs`, `rejoin.rs`, and what the proof asks of both in the checker's `membership.rs`.

mod eject;
mod rejoin;

pub use eject::{EjectRequest, eject};
pub use rejoin::{RejoinRequest, rejoin};

use crate::{
    digest::plan_digest,
    estimate::Measured,
    hop::{HopFault, HopPlan, named, quoted, seen_on_host},
    members::{Member, Standing, listed_as, members},
    path::PathHop,
    plan::{Draft, assemble, cannot_build, refusal},
    safety::data_differ,
    template::{Extra, Known, Unrendered, Words},
};
use jiff::Timestamp;
use quorate_model::{
    Action, ArtifactRef, Blocked, Cluster, Condition, ConfigChange, Door, Edge, Ejection, Facts,
    Hop, HopKind, MemberChange, NodeName, NotNow, Observation, Plan, PlanKind, Refusal, Release,
    Risk, Role, Step, StepRole, Undo, Unsafe, Wave,
};
use quorate_packs::{Pack, Recipe, Safety, eval::Scope};
use std::{collections::BTreeMap, time::Duration};

/// Looking at a cluster that should be well already: a minute outlasts an election and a slow answer.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Moving a folder aside is a rename.
const ASIDE_LIMIT: Duration = Duration::from_secs(60);

/// What both plans stand on.
#[derive(Clone, Copy)]
struct Asked<'a> {
    cluster: &'a Cluster,
    pack: &'a Pack,
    observation: &'a Observation,
    node: &'a NodeName,
    measured: &'a Measured,
    now: Timestamp,
}

/// The cluster: the one that goes or comes, and those that stay.
struct Ground<'a> {
    asked: Asked<'a>,
    safety: &'a Safety,
    members: Vec<Member<'a>>,
    own: Member<'a>,
    others: Vec<Member<'a>>,
}

impl<'a> Ground<'a> {
    fn new(asked: Asked<'a>) -> Result<Self, Refusal> {
        let Asked { cluster, pack, observation, node, .. } = asked;
        let members = members(pack, cluster, observation);
        let Some(own) = members.iter().copied().find(|member| member.name() == node) else {
            let text = format!("{node} must be a node of {}", cluster.name);
            return Err(blocked("declared", text, "no such node is declared".into(), None));
        };
        let Some(safety) = &pack.safety else {
            let text = "the pack must say when a member may stop and when it is back";
            return Err(unseen("safety", text, format!("pack {} has no `safety`", pack.pack)));
        };
        let others = members.iter().copied().filter(|member| member.name() != node).collect();
        Ok(Self { asked, safety, members, own, others })
    }

    fn name(&self) -> NodeName {
        self.own.name().clone()
    }

    /// How many voters stay, well or not.
    fn voters(&self) -> usize {
        self.others.iter().filter(|member| member.is_voter()).count()
    }

    /// Voters that stay and serve.
    fn well(&self) -> impl Iterator<Item = &Member<'a>> {
        self.others.iter().filter(|member| member.is_voter() && member.standing() == Standing::Up)
    }

    /// The member as the cluster lists it now; none when it does not.
    fn listed(&self) -> Result<Option<Facts>, Refusal> {
        let Some(list) =
            self.asked.observation.facts.get("members").and_then(|list| list.as_array())
        else {
            let text = "the cluster must tell who its members are";
            return Err(unseen("members", text, "its list of members was not seen".into()));
        };
        let node = self.own.node;
        let text = |member: &serde_json::Value, key: &str| {
            member.get(key).and_then(|value| value.as_str()).map(str::to_owned)
        };
        let id = self.own.seen.and_then(|seen| seen.member_id.clone());
        let found = list
            .iter()
            .find(|member| id.is_some() && text(member, "id") == id)
            .or_else(|| listed_as(list, node));
        let facts = |member: &serde_json::Value| {
            member.as_object().map(|map| map.clone().into_iter().collect::<Facts>())
        };
        Ok(found.and_then(facts))
    }

    /// The healthy voter that the cluster is told through: the leader, who decides; else the first.
    fn speaker(&self) -> Result<&Member<'a>, Refusal> {
        let leader = self.well().find(|member| member.is_leader());
        leader.or_else(|| self.well().next()).ok_or_else(|| self.no_leader())
    }

    fn no_leader(&self) -> Refusal {
        refusal([NotNow::Unsafe(Unsafe::NoLeader { node: self.name() })])
    }

    /// Those that serve know a leader (or the one that goes hands over), raised no alarm, and hold the same data.
    fn others_are_well(&self) -> Result<(), Refusal> {
        let refuse = |reason| Err(refusal([NotNow::Unsafe(reason)]));
        let seen = || self.well().filter_map(|member| member.seen);
        let hands_over = self.own.is_leader() && self.own.standing() == Standing::Up;
        if !hands_over && !seen().any(|seen| seen.role == Role::Leader) {
            return Err(self.no_leader());
        }
        for other in seen() {
            if let Some(alarm) = other.alarms.first() {
                let (on, alarm) = (other.name.clone(), alarm.clone());
                return refuse(Unsafe::Alarm { node: self.name(), on, alarm });
            }
            let differ = seen().filter(|second| data_differ(other, second));
            let others: Vec<_> = differ.map(|second| second.name.clone()).collect();
            if !others.is_empty() {
                return refuse(Unsafe::DataDiffer { node: other.name.clone(), others });
            }
        }
        Ok(())
    }

    /// The lowest release of those that stay: every one of them understands its words, and a member that joins them runs it.
    fn lowest(&self) -> Result<Release, Refusal> {
        self.others.iter().filter_map(Member::release).min().cloned().ok_or_else(|| {
            let text = "the release of the cluster must be known";
            unseen("release", text, "no other member says what it runs".into())
        })
    }

    /// What must still hold right before each change: those that were well are well, and one of them leads.
    fn still_well(&self, leads_elsewhere: bool) -> Vec<Condition> {
        let names: Vec<_> = self.well().map(|member| quoted(member.name().as_str())).collect();
        let these = format!("nodes.filter(n, n.name in [{}])", names.join(", "));
        let (own, max_lag) = (self.own.name(), self.safety.max_lag);
        let leader = if leads_elsewhere {
            let cel =
                format!("cluster.leader != null && cluster.leader != {}", quoted(own.as_str()));
            named("leads-not", cel, format!("another member than {own} leads"))
        } else {
            named("leader", "cluster.leader != null".into(), "a leader is known".into())
        };
        vec![
            named(
                "healthy",
                format!("{these}.all(n, n.healthy == true)"),
                format!("every member but {own} that served still does"),
            ),
            named(
                "no-alarm",
                format!("{these}.all(n, size(n.alarms) == 0)"),
                "no alarm is raised".into(),
            ),
            named(
                "caught-up",
                format!("{these}.all(n, n.lag <= {max_lag})"),
                format!("none of them is more than {max_lag} entries behind"),
            ),
            leader,
        ]
    }

    /// The whole plan around the member's own steps.
    fn assembled(
        &self,
        frame: Frame<'_>,
        make: impl FnOnce(&HopPlan<'_, '_>) -> Result<Vec<Step>, Unrendered>,
    ) -> Result<Plan, Refusal> {
        let Asked { cluster, pack, observation, measured, now, .. } = self.asked;
        let Frame { kind, release, artifact, speaking, config, losses, title } = frame;
        let path = PathHop {
            from: release.clone(),
            to: release.clone(),
            kind: HopKind::Rolling,
            conversion: None,
            risk: Risk::Low,
            one_way: Door::None,
            rules: Vec::new(),
            cures: Vec::new(),
            protocols: Vec::new(),
        };
        let scope = Scope::cluster(pack, observation, None, None);
        let words = Words {
            pack,
            cluster,
            observation,
            from: &path.from,
            to: &path.to,
            speaking,
            before: None,
            renamed: false,
            known: Known::default(),
        };
        let order: Vec<usize> = (0..self.members.len()).collect();
        let plan = HopPlan {
            number: 1,
            pack,
            safety: self.safety,
            policy: &cluster.policy,
            measured,
            words: &words,
            scope: &scope,
            members: &self.members,
            hop: &path,
            artifact: &artifact,
            order: &order,
            leader: self.members.iter().position(Member::is_leader),
            healed: false,
            config: &config,
            taken_names: &[],
            now,
            kind: HopKind::Rolling,
        };
        let own = self.own.name();
        let steps = make(&plan).map_err(|fault| cannot_build(&HopFault::from(fault)))?;
        let begin =
            plan.wave("begin", "before anything is touched".into(), None, vec![self.begin(&plan)]);
        let change = plan.wave(own.as_str(), title, Some(own.clone()), steps);
        let mut waves = vec![begin, change, self.complete(&plan)];
        plan.ask_for_approvals(&mut waves);
        let hop = Hop {
            from: release.clone(),
            to: release.clone(),
            kind: HopKind::Rolling,
            conversion: None,
            risk: Risk::Low,
            one_way: Door::None,
            rules: Vec::new(),
            edge: Edge {
                permitted_by: Vec::new(),
                blocks: Vec::new(),
                excused: Vec::new(),
                never_land: Vec::new(),
                protocols: Vec::new(),
            },
            artifact: artifact.clone(),
            waves,
        };
        let draft = Draft { kind, from: release.clone(), to: release.clone(), hops: vec![hop] };
        let mut plan = assemble(cluster, pack, observation, draft);
        plan.losses = losses;
        plan.digest = plan_digest(&plan);
        Ok(plan)
    }

    fn begin(&self, plan: &HopPlan<'_, '_>) -> Step {
        let title = format!("see that everybody but {} is well", self.own.name());
        let mut look = plan.look(plan.id("begin", "look"), title, StepRole::Precheck);
        // Named after the member, so that one of the others that breaks meanwhile is noticed at once.
        look.node = Some(self.name());
        look.gate = Some(plan.gate("precheck", self.still_well(false), LOOK_LIMIT));
        look
    }

    fn complete(&self, plan: &HopPlan<'_, '_>) -> Wave {
        let title = "see that the cluster serves as it is now".to_owned();
        let mut look = plan.look(plan.id("complete", "look"), title, StepRole::HopComplete);
        look.gate = Some(plan.gate("complete", self.still_well(false), plan.policy.rejoin_limit));
        let title = "the cluster afterwards".into();
        plan.wave("complete", title, None, vec![look])
    }

    /// One change of the membership, said through another member.
    fn change(&self, plan: &HopPlan<'_, '_>, change: Change<'_, '_>) -> Result<Step, Unrendered> {
        let Change { name, change, recipe, through, ejected } = change;
        let extra = Extra { target: Some(self.own), member: ejected, ..Extra::default() };
        let words = plan.words;
        let fill = |text: &str| words.text(name, through, text, extra);
        let mut call = words.call(name, through, &recipe.call, &recipe.by_hand, extra)?;
        call.retry_on.clone_from(&recipe.retry_on);
        let own = self.own.name();
        let id = plan.id(own.as_str(), name);
        let mut step = plan.look(id, fill(&recipe.title)?, StepRole::Membership);
        step.node = Some(own.clone());
        step.action = Action::Membership { node: own.clone(), change, call };
        step.precheck = self.still_well(change == MemberChange::Leave);
        if let Some(done) = &recipe.done {
            step.done = Some(named(name, fill(done)?, recipe.because.clone()));
        }
        step.limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(LOOK_LIMIT);
        let conditions = recipe
            .gate
            .iter()
            .map(|gate| Ok(named(&gate.name, fill(&gate.cel)?, gate.text.clone())));
        let conditions: Vec<Condition> = conditions.collect::<Result<_, Unrendered>>()?;
        step.gate = (!conditions.is_empty()).then(|| plan.gate(name, conditions, step.limit));
        step.undo = Undo::ByPlan { text: self.other_way(change) };
        Ok(step)
    }

    fn other_way(&self, change: MemberChange) -> String {
        let (cluster, own) = (&self.asked.cluster.name, self.own.name());
        match change {
            MemberChange::Leave => {
                format!(
                    "`quorate rejoin {cluster} {own}` brings it back, empty, and lets it catch up"
                )
            }
            MemberChange::Join | MemberChange::JoinAsLearner | MemberChange::Promote => {
                format!("`quorate eject {cluster} {own}` takes it out again")
            }
        }
    }

    /// The list that clients get, with the node or without it.
    fn list(&self, plan: &HopPlan<'_, '_>, out: Option<Ejection>) -> Step {
        let own = self.own.name();
        let (title, text) = match &out {
            Some(_) => (
                format!("take {own} out of the list that clients get"),
                format!("{own} is not in the list that clients get"),
            ),
            None => (
                format!("put {own} back into the list that clients get"),
                format!("{own} is in the list that clients get"),
            ),
        };
        let mut step = plan.look(plan.id(own.as_str(), "list"), title, StepRole::List);
        step.node = Some(own.clone());
        step.action = Action::List { node: own.clone(), out };
        step.done = Some(seen_on_host("listed", text));
        step
    }
}

/// What one plan is, beside its steps.
struct Frame<'f> {
    kind: PlanKind,
    release: Release,
    artifact: ArtifactRef,
    /// What the member that is spoken to runs.
    speaking: &'f Release,
    config: BTreeMap<NodeName, ConfigChange>,
    losses: Vec<String>,
    title: String,
}

/// One change and how it is said.
struct Change<'c, 'a> {
    name: &'static str,
    change: MemberChange,
    recipe: &'c Recipe,
    through: &'c Member<'a>,
    ejected: Option<&'c Facts>,
}

fn blocked(rule: &str, text: String, because: String, way_out: Option<String>) -> Refusal {
    refusal([NotNow::Blocked(Blocked::Condition { rule: rule.into(), text, because, way_out })])
}

fn unseen(rule: &str, text: &str, what: String) -> Refusal {
    let (rule, text) = (rule.to_owned(), text.to_owned());
    refusal([NotNow::Blocked(Blocked::ConditionUnseen { rule, text, what })])
}
