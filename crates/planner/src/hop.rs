//! One hop: its barriers (begin, backup, cures, go, complete) around the waves that move members.
//!
//! Invariant: every gate has conditions, looks and an end; nothing follows a start before its rejoin gate (S4).
//! Read next: `waves.rs`, how members move.

use crate::{
    backup::{BackupRequest, PlannedBackup, backups},
    clients,
    estimate::{Measured, expected},
    members::{Member, Standing},
    offline,
    path::PathHop,
    template::{Extra, Unrendered, Words},
    waves,
};
use jiff::{SignedDuration, Timestamp};
use quorate_model::{
    Action, Approve, ArtifactRef, Condition, ConfigChange, Door, Gate, Hop, HopKind, NodeName,
    Policy, RuleApplied, RuleVerdict, Step, StepId, StepRole, Undo, Wave,
};
use quorate_packs::{Conversion, NamedCondition, Pack, Recipe, Safety, SettingChange, eval::Scope};
use std::{collections::BTreeMap, time::Duration};

/// Looking at a cluster that should be well already: a minute outlasts an election and a slow answer.
const PRECHECK_LIMIT: Duration = Duration::from_secs(60);
/// Ten minutes: a few hundred megabytes over a slow line.
pub(crate) const STAGE_LIMIT: Duration = Duration::from_secs(600);
/// A minute: a rename, and a digest of what was renamed.
pub(crate) const SWAP_LIMIT: Duration = Duration::from_secs(60);
/// A minute until the process is there; whether it serves is the rejoin gate's business.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// Beside a service's own grace: the kill after it, and the look that it worked.
pub(crate) const STOP_MARGIN: Duration = Duration::from_secs(30);
/// A look changes nothing; its gate has its own end.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Ten minutes: a cluster that wants to see a member well for longer was set so by mistake; the policy may still ask for more.
const PRODUCT_SOAK_MAX: Duration = Duration::from_secs(600);
/// A person may take a day to answer; the run rests meanwhile.
pub(crate) const CONFIRM_LIMIT: Duration = Duration::from_secs(86_400);

/// Everything that one hop is made from.
pub(crate) struct HopPlan<'a, 'w> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) pack: &'a Pack,
    pub(crate) safety: &'a Safety,
    pub(crate) policy: &'a Policy,
    pub(crate) measured: &'a Measured,
    pub(crate) words: &'w Words<'a>,
    pub(crate) scope: &'w Scope,
    pub(crate) members: &'w [Member<'a>],
    pub(crate) hop: &'w PathHop,
    pub(crate) artifact: &'a ArtifactRef,
    /// Members in the order in which they move.
    pub(crate) order: &'w [usize],
    /// Who leads when the hop begins.
    pub(crate) leader: Option<usize>,
    /// True when an earlier hop brought everybody back.
    pub(crate) healed: bool,
    pub(crate) config: &'w BTreeMap<NodeName, ConfigChange>,
    pub(crate) taken_names: &'w [String],
    pub(crate) now: Timestamp,
    pub(crate) kind: HopKind,
}

/// The hop, and who leads after it.
pub(crate) struct BuiltHop {
    pub(crate) hop: Hop,
    pub(crate) leader: Option<usize>,
}

/// Why a hop cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HopFault {
    /// A template needs what is not known.
    #[error(transparent)]
    Unrendered(#[from] Unrendered),
    /// The way back closes and nothing could be copied before (S6).
    #[error("no way to back up {release} fits, or no healthy member to take it from")]
    NoBackup { release: quorate_model::Release },
}

impl<'a> HopPlan<'a, '_> {
    /// Builds the hop's waves.
    pub(crate) fn build(&self) -> Result<BuiltHop, HopFault> {
        if let Some(conversion) = self.conversion() {
            return self.build_offline(conversion);
        }
        let mut waves = vec![self.begin()?];
        waves.extend(clients::staging(self));
        let copies = if self.needs_backup() { self.copies()? } else { Vec::new() };
        let door = self.door();
        if copies.is_empty() && door != Door::None {
            return Err(HopFault::NoBackup { release: self.hop.from.clone() });
        }
        if !copies.is_empty() {
            let title = format!("back up {} before the way back closes", self.words.cluster.name);
            waves.push(self.backup_wave(title, &copies));
        }
        let go_first = door == Door::Now || self.kind != HopKind::Rolling;
        if go_first {
            waves.push(self.go());
        }
        if !self.hop.cures.is_empty() {
            waves.push(self.cures()?);
        }
        // Clients follow their servers, upward and back: they are never of a newer release than those.
        let back = self.hop.to < self.hop.from;
        if back {
            waves.extend(clients::waves(self));
        }
        let leader = match self.kind {
            HopKind::Rolling => waves::rolling(self, &mut waves)?,
            HopKind::FullStop | HopKind::Offline => waves::full_stop(self, &mut waves),
        };
        if !back {
            waves.extend(clients::waves(self));
        }
        waves.push(self.complete());
        if let Some(wave) = self.finalize()? {
            if door == Door::Finalize && !go_first {
                waves.push(self.go());
            }
            waves.push(wave);
        }
        Ok(BuiltHop { hop: self.built(waves, door), leader })
    }

    /// The change of the form of the data that the hop is for.
    fn conversion(&self) -> Option<(&'a str, &'a Conversion)> {
        let name = self.hop.conversion.as_ref()?;
        let (name, conversion) = self.pack.recipes.conversions.get_key_value(name)?;
        Some((name, conversion))
    }

    fn build_offline(&self, conversion: (&str, &Conversion)) -> Result<BuiltHop, HopFault> {
        let mut waves = vec![self.begin()?];
        waves.extend(offline::waves(self, conversion)?);
        let mut hop = self.built(waves, self.hop.one_way);
        let (name, conversion) = conversion;
        let ranges = (conversion.releases.clone(), conversion.releases.clone());
        hop.edge.permitted_by = vec![(name.to_owned(), ranges.0, ranges.1)];
        // Who leads after an outage is for an election to say.
        Ok(BuiltHop { hop, leader: None })
    }

    fn built(&self, mut waves: Vec<Wave>, door: Door) -> Hop {
        self.ask_for_approvals(&mut waves);
        Hop {
            from: self.hop.from.clone(),
            to: self.hop.to.clone(),
            kind: self.kind,
            conversion: self.hop.conversion.clone(),
            risk: self.hop.risk,
            one_way: door,
            rules: self.hop.rules.clone(),
            edge: crate::path::edge(self.pack, self.hop),
            artifact: self.artifact.clone(),
            waves,
        }
    }

    /// Whether the member already runs the hop's target. Where data are put back the release stays: nobody has moved.
    pub(crate) fn moved(&self, member: &Member<'_>) -> bool {
        !self.healed && self.hop.from != self.hop.to && member.release() == Some(&self.hop.to)
    }
    /// Whether the member does not serve when the hop begins.
    pub(crate) fn down(&self, member: &Member<'_>) -> bool {
        !self.healed && member.standing() != Standing::Up
    }
    /// Names a step: `h1.demo-2.stop`.
    pub(crate) fn id(&self, wave: &str, step: &str) -> StepId {
        StepId::new(format!("h{}.{wave}.{step}", self.number))
    }
    /// Names a wave: `h1.demo-2`.
    pub(crate) fn wave_id(&self, wave: &str) -> String {
        format!("h{}.{wave}", self.number)
    }
    /// Steps one after another.
    pub(crate) fn wave(
        &self,
        name: &str,
        title: String,
        node: Option<NodeName>,
        steps: Vec<Step>,
    ) -> Wave {
        Wave { id: self.wave_id(name), title, node, lanes: None, steps }
    }
    /// A step that changes nothing, to be shaped further.
    pub(crate) fn look(&self, id: StepId, title: String, role: StepRole) -> Step {
        Step {
            id,
            title,
            role,
            node: None,
            action: Action::Look,
            precheck: Vec::new(),
            done: None,
            gate: None,
            undo: Undo::Nothing,
            limit: LOOK_LIMIT,
            estimate: expected(role, self.pack, self.measured),
            one_way: false,
            needs_approval: false,
        }
    }
    /// A gate with the policy's looks.
    pub(crate) fn gate(&self, name: &str, conditions: Vec<Condition>, limit: Duration) -> Gate {
        Gate {
            name: name.to_owned(),
            conditions,
            good_looks: self.policy.good_looks.max(1),
            look_every: self.policy.look_every,
            soak: Duration::ZERO,
            limit,
        }
    }
    /// Healthy time after a member came back: what the policy asks for, and at least what the product itself takes to count
    /// the member as stable. Nobody counts on a node without a vote, so for it only the policy speaks.
    pub(crate) fn soak(&self, member: &Member<'_>) -> Duration {
        let told = self.safety.soak.as_ref().filter(|_| !member.is_client());
        let told = told.and_then(|cel| self.pack.value_in(cel, self.scope).ok());
        let told = told.and_then(|value| value.as_str()?.parse::<SignedDuration>().ok());
        let own = told.and_then(|told| Duration::try_from(told).ok()).unwrap_or_default();
        self.policy.soak.max(own.min(PRODUCT_SOAK_MAX))
    }
    /// Members with a part in the quorum, in the order in which they move.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Member<'a>> {
        self.order.iter().map(|at| &self.members[*at]).filter(|member| !member.is_client())
    }
    /// The conditions that a started member must meet.
    pub(crate) fn rejoined(&self, member: &Member<'_>) -> Vec<Condition> {
        let here = |condition: &&NamedCondition| {
            let releases = condition.releases.as_ref();
            releases.is_none_or(|range| range.contains(&self.hop.to))
                && condition.is_for(&member.node.group)
        };
        let mut conditions: Vec<_> =
            self.safety.rejoined.iter().filter(here).map(condition).collect();
        conditions.extend(self.changes().map(|change| {
            let groups: Vec<_> = change.groups.iter().map(|group| quoted(group)).collect();
            let cel = match groups.is_empty() {
                true => change.seen.clone(),
                false => format!("!(node.group in [{}]) || ({})", groups.join(", "), change.seen),
            };
            named(&change.id, cel, format!("the member runs with the new {}", change.key))
        }));
        conditions
    }
    /// The changes of settings that this hop is for.
    fn changes(&self) -> impl Iterator<Item = &'a SettingChange> {
        let applied = |change: &&SettingChange| {
            self.hop.from == self.hop.to && self.hop.rules.iter().any(|rule| rule.id == change.id)
        };
        self.pack.setting_changes.iter().filter(applied)
    }

    fn begin(&self) -> Result<Wave, Unrendered> {
        let mut look = self.look(
            self.id("begin", "look"),
            self.passage("see that the cluster is whole and well before"),
            StepRole::Precheck,
        );
        look.gate = Some(self.gate("precheck", self.precheck(), PRECHECK_LIMIT));
        let mut steps = vec![look];
        steps.extend(self.stages());
        if self.healed && self.kind == HopKind::Rolling {
            steps.extend(waves::bring_leadership_home(self)?);
        }
        let title = match &self.hop.conversion {
            Some(name) => format!("hop {}: {name}, before anything stops", self.number),
            None => format!(
                "hop {}: {} -> {}, before anything stops",
                self.number, self.hop.from, self.hop.to
            ),
        };
        Ok(self.wave("begin", title, None, steps))
    }

    /// The artifact beside the live files of every member; clients have a wave of their own.
    pub(crate) fn stages(&self) -> Vec<Step> {
        self.servers().map(|member| self.stage("begin", member)).collect()
    }

    /// The artifact beside the live files of one node.
    pub(crate) fn stage(&self, wave: &str, member: &Member<'_>) -> Step {
        let (name, to) = (member.name(), &self.hop.to);
        let mut stage = self.look(
            self.id(wave, &format!("stage-{name}")),
            format!("put {to} beside the live files of {name}"),
            StepRole::Stage,
        );
        stage.node = Some(name.clone());
        stage.action = Action::Stage { node: name.clone(), artifact: self.artifact.clone() };
        stage.done = Some(seen_on_host("staged", format!("{name} holds the files of {to}")));
        stage.limit = STAGE_LIMIT;
        stage
    }

    /// What must hold before a hop: members that the plan knows to be down are named as such and left out.
    fn precheck(&self) -> Vec<Condition> {
        let servers = || self.members.iter().filter(|m| !m.is_client());
        let these = these(servers().filter(|m| !self.down(m)));
        let down: Vec<_> = servers().filter(|m| self.down(m)).map(|m| m.name().as_str()).collect();
        let except =
            if down.is_empty() { String::new() } else { format!(" except {}", down.join(", ")) };
        let (from, to) = (&self.hop.from, &self.hop.to);
        let mut conditions = vec![
            named(
                "healthy",
                format!("{these}.all(n, n.healthy == true)"),
                format!("every member{except} is healthy"),
            ),
            named(
                "release",
                format!("{these}.all(n, n.release == '{from}' || n.release == '{to}')"),
                format!("every member{except} runs {from} or {to}"),
            ),
            named(
                "no-alarm",
                format!("{these}.all(n, size(n.alarms) == 0)"),
                "no alarm is raised".into(),
            ),
            named(
                "caught-up",
                format!("{these}.all(n, n.lag <= {})", self.safety.max_lag),
                format!("no member{except} is more than {} entries behind", self.safety.max_lag),
            ),
            named(
                "data-equal",
                data_equal(&these),
                "members hold the same data wherever they can be compared".into(),
            ),
        ];
        if self.leader.is_some() {
            conditions.push(named(
                "leader",
                "cluster.leader != null".into(),
                "a leader is known".into(),
            ));
        }
        conditions.extend(self.proved_conditions());
        conditions
    }

    /// Conditions of the hop's rules, looked at again when the hop begins (S5). Those that a cure or a rewrite makes true
    /// come later.
    fn proved_conditions(&self) -> impl Iterator<Item = Condition> {
        self.conditions_of(|applied| applied.cures.is_empty() && applied.rewrites.is_empty())
    }

    /// Conditions of the hop's rules that only the rewritten settings make true: looked at when every member runs with them.
    fn rewritten_conditions(&self) -> impl Iterator<Item = Condition> {
        self.conditions_of(|applied| !applied.rewrites.is_empty())
    }

    fn conditions_of(
        &self,
        these: impl Fn(&RuleApplied) -> bool,
    ) -> impl Iterator<Item = Condition> {
        let of_rule = |id: &str| {
            let rule = self.pack.rules.iter().find(|rule| rule.id == id);
            let change = || self.changes().find(|change| change.id == id);
            rule.map(|rule| &rule.condition).or_else(|| change().map(|change| &change.condition))
        };
        let asked = self.hop.rules.iter().filter(|r| r.verdict == RuleVerdict::Condition);
        asked.filter(move |applied| these(applied)).filter_map(move |applied| {
            let cel = of_rule(&applied.id)?.clone()?;
            speaks_of_cluster(&cel).then(|| named(&applied.id, cel, applied.text.clone()))
        })
    }

    /// Before a door, and before every outage.
    fn needs_backup(&self) -> bool {
        self.door() != Door::None || self.kind != HopKind::Rolling
    }

    /// Where the way back closes. When every server is there already it has closed before, and clients have none.
    fn door(&self) -> Door {
        let moves = |member: &Member<'_>| !self.moved(member) || self.down(member);
        if self.servers().any(moves) { self.hop.one_way } else { Door::None }
    }

    pub(crate) fn copies(&self) -> Result<Vec<PlannedBackup<'a>>, Unrendered> {
        backups(&self.backup_request())
    }

    pub(crate) fn backup_request(&self) -> BackupRequest<'a, '_> {
        BackupRequest {
            pack: self.pack,
            words: self.words,
            scope: self.scope,
            members: self.members,
            order: self.order,
            leader: self.leader,
            now: self.now,
            taken_names: self.taken_names,
        }
    }

    /// Takes copies, and proves each.
    pub(crate) fn backup_wave(&self, title: String, copies: &[PlannedBackup<'_>]) -> Wave {
        let mut steps = Vec::new();
        for PlannedBackup { recipe, backup } in copies {
            let limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(LOOK_LIMIT);
            let kind = &recipe.kind;
            let save = Step {
                node: Some(backup.node.clone()),
                action: Action::Backup { backup: backup.clone() },
                done: Some(seen_on_host("backed-up", format!("{} is there, whole", backup.file))),
                limit,
                ..self.look(
                    self.id("backup", kind),
                    format!("back up the data ({kind}) from {}", backup.node),
                    StepRole::Backup,
                )
            };
            let verify = Step {
                node: Some(backup.node.clone()),
                action: Action::Verify { backup: backup.clone() },
                done: Some(seen_on_host(
                    "verified",
                    format!("{} was restored and compared", backup.file),
                )),
                limit,
                ..self.look(
                    self.id("backup", &format!("verify-{kind}")),
                    format!("restore the backup ({kind}) into a scratch cluster and compare"),
                    StepRole::Verify,
                )
            };
            steps.extend([save, verify]);
        }
        self.wave("backup", title, None, steps)
    }

    fn cures(&self) -> Result<Wave, Unrendered> {
        let mut steps = Vec::new();
        for name in &self.hop.cures {
            let Some(recipe) = self.pack.recipes.cures.get(name) else { continue };
            let rule = self.hop.rules.iter().find(|rule| rule.cures.contains(name));
            let asked =
                rule.and_then(|rule| self.pack.rules.iter().find(|known| known.id == rule.id));
            let asked = asked.and_then(|rule| rule.condition.clone());
            steps.extend(self.recipe_steps("cure", name, recipe, StepRole::Cure, asked.clone())?);
            if let (Some(rule), Some(cel)) = (rule, asked.filter(|cel| speaks_of_cluster(cel))) {
                let mut look = self.look(
                    self.id("cure", &format!("{name}-seen")),
                    format!("see that {} is met", rule.id),
                    StepRole::Precheck,
                );
                let limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(LOOK_LIMIT);
                look.gate =
                    Some(self.gate(&rule.id, vec![named(&rule.id, cel, rule.text.clone())], limit));
                steps.push(look);
            }
        }
        let title = format!("cure what {} -> {} would stumble over", self.hop.from, self.hop.to);
        Ok(self.wave("cure", title, None, steps))
    }

    fn finalize(&self) -> Result<Option<Wave>, Unrendered> {
        let mut steps = Vec::new();
        let here = self
            .pack
            .recipes
            .finalize
            .iter()
            .filter(|recipe| recipe.releases.contains(&self.hop.to));
        for (nth, recipe) in here.enumerate() {
            let done = recipe.gate.first().map(|gate| gate.cel.clone());
            let name = format!("finalize-{}", nth + 1);
            steps.extend(self.recipe_steps("finalize", &name, recipe, StepRole::Finalize, done)?);
        }
        if let Some(first) = steps.first_mut().filter(|_| self.door() == Door::Finalize) {
            first.one_way = true;
            first.undo = Undo::BackupOnly;
        }
        let title = format!("finalize {}", self.hop.to);
        Ok((!steps.is_empty()).then(|| self.wave("finalize", title, None, steps)))
    }

    /// A recipe as steps: one, or one a voter. Without its own probe the condition that it is to make true is its probe.
    pub(crate) fn recipe_steps(
        &self,
        wave: &str,
        name: &str,
        recipe: &Recipe,
        role: StepRole,
        makes_true: Option<String>,
    ) -> Result<Vec<Step>, Unrendered> {
        let well = |member: &&Member<'a>| member.is_voter() && !self.down(member);
        let targets: Vec<_> = match (recipe.each_node, self.leader) {
            (true, _) => self.members.iter().filter(|member| member.is_voter()).collect(),
            (false, Some(leader)) => vec![&self.members[leader]],
            (false, None) => self.members.iter().find(well).into_iter().collect(),
        };
        let limit = Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(LOOK_LIMIT);
        let done = recipe.done.clone().or(makes_true);
        let mut steps = Vec::new();
        for member in targets {
            let id = if recipe.each_node {
                format!("{name}-{}", member.name())
            } else {
                name.to_owned()
            };
            let title = self.words.text(name, member, &recipe.title, Extra::default())?;
            let call =
                self.words.call(name, member, &recipe.call, &recipe.by_hand, Extra::default())?;
            let mut step = self.look(self.id(wave, &id), title, role);
            step.node = Some(member.name().clone());
            step.action = Action::Call { call };
            step.limit = limit;
            step.done = done.as_ref().map(|cel| named(name, cel.clone(), recipe.because.clone()));
            step.undo = match &recipe.undo {
                Some(text) => Undo::ByPlan { text: text.clone() },
                None => Undo::Nothing,
            };
            if !recipe.gate.is_empty() {
                step.gate =
                    Some(self.gate(name, recipe.gate.iter().map(condition).collect(), limit));
            }
            steps.push(step);
        }
        Ok(steps)
    }

    /// What the hop is, after a few words.
    fn passage(&self, words: &str) -> String {
        let (from, to) = (&self.hop.from, &self.hop.to);
        let keys: Vec<_> = self.changes().map(|change| change.key.as_str()).collect();
        if let Some(name) = &self.hop.conversion {
            return format!("{words} {name} on {to}");
        }
        match keys.is_empty() {
            true => format!("{words} {from} -> {to}"),
            false => format!("{words} the new {} on {to}", keys.join(", ")),
        }
    }

    /// A person's explicit yes.
    pub(crate) fn go(&self) -> Wave {
        let (from, to) = (&self.hop.from, &self.hop.to);
        let outage = match self.kind {
            HopKind::Rolling => "",
            HopKind::FullStop | HopKind::Offline => " The whole cluster stops for this hop.",
        };
        let door = match self.hop.one_way {
            Door::LastMember if from == to => {
                "Once the last member runs with the new settings, the old ones cannot come back: the backup is the way back, and writes since then are lost with it.".to_owned()
            }
            Door::None => format!("The way back to {from} stays open."),
            Door::LastMember => {
                format!(
                    "Once the last member runs {to}, {from} cannot run again: the backup is the way back, and writes since then are lost with it."
                )
            }
            Door::Now => format!(
                "With the next step the way back to {from} closes: the backup is the way back."
            ),
            Door::Finalize => format!(
                "Finalizing {to} closes the way back to {from}: the backup is the way back."
            ),
        };
        let mut confirm =
            self.look(self.id("go", "confirm"), self.passage("say yes to"), StepRole::Go);
        confirm.action =
            Action::Confirm { door: self.hop.one_way, text: format!("{door}{outage}") };
        confirm.limit = CONFIRM_LIMIT;
        confirm.needs_approval = true;
        let title = self.passage("the point of no return of");
        self.wave("go", title, None, vec![confirm])
    }

    pub(crate) fn complete(&self) -> Wave {
        let mut look = self.look(
            self.id("complete", "look"),
            format!("see that the whole cluster has taken {}", self.hop.to),
            StepRole::HopComplete,
        );
        let here = |condition: &&NamedCondition| {
            condition.releases.as_ref().is_none_or(|range| range.contains(&self.hop.to))
        };
        let mut conditions: Vec<_> =
            self.safety.hop_complete.iter().filter(here).map(condition).collect();
        if conditions.is_empty() {
            // Clients were asked one by one, and those that failed are told by name.
            let all = if self.members.iter().any(Member::is_client) {
                these(self.members.iter().filter(|member| !member.is_client()))
            } else {
                "nodes".to_owned()
            };
            let cel = format!("{all}.all(n, n.release == '{}')", self.hop.to);
            conditions.push(named(
                "hop-complete",
                cel,
                format!("every member runs {}", self.hop.to),
            ));
        }
        conditions.extend(self.rewritten_conditions());
        // A cluster that has taken a release does not give it back: seen once is seen.
        let gate = self.gate("hop-complete", conditions, self.policy.rejoin_limit);
        look.gate = Some(Gate { good_looks: 1, ..gate });
        let title = format!("hop {} complete", self.number);
        self.wave("complete", title, None, vec![look])
    }

    /// Asks as often as the policy says; the go before a door is asked in any case.
    pub(crate) fn ask_for_approvals(&self, waves: &mut [Wave]) {
        for wave in waves {
            let ask = match self.policy.approve {
                Approve::None => false,
                Approve::Each => wave.node.is_some() || wave.lanes.is_some() && moves(wave),
                Approve::Wave => moves(wave),
            };
            if let Some(first) = wave.steps.first_mut().filter(|_| ask) {
                first.needs_approval = true;
            }
        }
    }
}

/// These members, in an expression.
pub(crate) fn these<'m, 'a: 'm>(members: impl Iterator<Item = &'m Member<'a>>) -> String {
    let names: Vec<_> = members.map(|member| quoted(member.name().as_str())).collect();
    format!("nodes.filter(n, n.name in [{}])", names.join(", "))
}

fn moves(wave: &Wave) -> bool {
    let lists = |action: &Action| matches!(action, Action::List { .. });
    wave.steps.iter().any(|step| step.action.changes_members() || lists(&step.action))
}

/// A condition of the pack as a plan carries it.
pub(crate) fn condition(from: &NamedCondition) -> Condition {
    Condition { name: from.name.clone(), cel: from.cel.clone(), text: from.text.clone() }
}

/// A condition.
pub(crate) fn named(name: &str, cel: String, text: String) -> Condition {
    Condition { name: name.to_owned(), cel, text }
}

/// A condition that is seen on the host itself, by name: its expression is empty.
pub(crate) fn seen_on_host(name: &str, text: String) -> Condition {
    named(name, String::new(), text)
}

/// A text in an expression.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A gate that speaks of neither members nor cluster would look at nothing.
fn speaks_of_cluster(cel: &str) -> bool {
    cel.contains("cluster") || cel.contains("node")
}

fn data_equal(these: &str) -> String {
    format!(
        "{these}.all(a, {these}.all(b, !has(a.data_hash) || !has(b.data_hash) || a.hash_revision != b.hash_revision || a.data_hash == b.data_hash))"
    )
}
