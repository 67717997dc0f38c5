//! The made-up plan: three members of etcd, two rolling hops.

use quorate_model::{
    Action, ArtifactRef, ArtifactSource, ClusterName, Condition, ConfigFinding, Digest, Door, Edge,
    Facts, Gate, GroupName, Hop, HopKind, NodeName, NodeObservation, Observation, ObservationRef,
    PLAN_SCHEMA, PackName, Plan, PlanKind, Policy, Reach, Refused, Release, Risk, Role,
    RuleApplied, RuleVerdict, Step, StepId, StepRole, Undo, Wave,
};
use std::{path::PathBuf, time::Duration};

/// The plan over `demo-1`, `demo-2` and `demo-3`; the last one leads.
pub fn plan() -> Plan {
    plan_with_nodes(["demo-1", "demo-2", "demo-3"])
}

/// The same plan over members of these names; the last one leads.
pub fn plan_with_nodes(names: [&str; 3]) -> Plan {
    let nodes = names.map(NodeName::from);
    let releases = ["3.3.25", "3.4.23", "3.5.16"].map(release);
    let hops: Vec<Hop> = releases
        .windows(2)
        .enumerate()
        .map(|(index, pair)| hop(index + 1, &pair[0], &pair[1], &nodes))
        .collect();
    let observed = observation(&nodes, &releases[0]);
    let steps = hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    let estimate = steps.map(|step| step.estimate).sum();
    Plan {
        schema: PLAN_SCHEMA,
        digest: digest("4f1c9a07be21"),
        parent: None,
        cluster: ClusterName::from("demo"),
        pack: PackName::from("etcd"),
        pack_digest: digest("a90be67c1d34"),
        kind: PlanKind::Upgrade,
        from: releases[0].clone(),
        to: releases[2].clone(),
        observation: ObservationRef { taken_at: observed.taken_at, digest: digest("77d0e2514c9b") },
        observed,
        policy: Policy::default(),
        hops,
        refused: vec![Refused {
            from: releases[0].clone(),
            to: releases[2].clone(),
            rule: "E00".into(),
            because: "one minor at a time: skipping is not supported and will likely fail".into(),
        }],
        config_findings: vec![ConfigFinding {
            node: nodes[0].clone(),
            release: releases[1].clone(),
            setting: "--enable-v2 (unset)".into(),
            change: "default-changed".into(),
            fatal: false,
            text: "3.4 serves the v2 API only when told to; no client was seen to use it".into(),
            rewrite: None,
            source: "https://etcd.io/docs/v3.4/upgrades/upgrade_3_4/".into(),
        }],
        dependants: Vec::new(),
        losses: Vec::new(),
        estimate,
        outage: Duration::ZERO,
    }
}

fn release(text: &str) -> Release {
    text.parse().expect("because the sample's releases are written by hand and are numbers")
}

fn digest(start: &str) -> Digest {
    Digest::new(start.chars().cycle().take(64).collect::<String>())
}

fn observation(nodes: &[NodeName], from: &Release) -> Observation {
    let taken_at = jiff::Timestamp::from_second(1_772_445_600).unwrap_or_default();
    let node = |(index, name): (usize, &NodeName)| {
        let mut seen = NodeObservation::unseen(name.clone(), GroupName::from("server"), "");
        seen.reach = Reach::Reachable;
        seen.release = Some(from.clone());
        seen.role = if index + 1 == nodes.len() { Role::Leader } else { Role::Follower };
        seen.voter = Some(true);
        seen.healthy = Some(true);
        seen.lag = Some(0);
        seen
    };
    Observation {
        cluster: ClusterName::from("demo"),
        pack: PackName::from("etcd"),
        taken_at,
        nodes: nodes.iter().enumerate().map(node).collect(),
        facts: Facts::new(),
        findings: Vec::new(),
    }
}

fn hop(number: usize, from: &Release, to: &Release, nodes: &[NodeName]) -> Hop {
    let last = number == 2;
    let mut waves = vec![begin(number, from, to, nodes, last)];
    // The first hop ends with the first member leading, so that the second hop moves it last.
    let (first, rest) = nodes.split_at(usize::from(last).min(nodes.len()));
    let order: Vec<&NodeName> = rest.iter().chain(first).collect();
    for (index, node) in order.into_iter().enumerate() {
        let leader = index + 1 == nodes.len();
        let mut roles =
            vec![StepRole::Stop, StepRole::Swap, StepRole::Start, StepRole::Rejoin, StepRole::Soak];
        if leader {
            roles.insert(0, StepRole::Handover);
        }
        let mut steps: Vec<Step> =
            roles.into_iter().map(|role| step(number, role, Some(node), to)).collect();
        if leader && last {
            steps.iter_mut().filter(|s| s.role == StepRole::Start).for_each(|s| s.one_way = true);
        }
        waves.push(Wave {
            id: format!("h{number}.{node}"),
            title: format!("{node}: {from} -> {to}"),
            node: Some(node.clone()),
            lanes: None,
            steps,
        });
    }
    waves.push(Wave {
        id: format!("h{number}.complete"),
        title: format!("the cluster takes {to}"),
        node: None,
        lanes: None,
        steps: vec![step(number, StepRole::HopComplete, None, to)],
    });
    Hop {
        from: from.clone(),
        to: to.clone(),
        kind: HopKind::Rolling,
        conversion: None,
        risk: if last { Risk::Med } else { Risk::High },
        one_way: Door::LastMember,
        rules: if last { second_rules() } else { first_rules() },
        edge: Edge {
            permitted_by: vec![],
            blocks: vec![],
            excused: vec![],
            never_land: vec![],
            protocols: vec![],
        },
        artifact: ArtifactRef {
            pack: PackName::from("etcd"),
            release: to.clone(),
            source: ArtifactSource::Folder(PathBuf::from("artifacts")),
            files: Vec::new(),
        },
        waves,
    }
}

fn begin(number: usize, from: &Release, to: &Release, nodes: &[NodeName], go: bool) -> Wave {
    let mut steps = vec![step(number, StepRole::Precheck, None, to)];
    steps.extend(nodes.iter().map(|node| step(number, StepRole::Stage, Some(node), to)));
    steps.push(step(number, StepRole::Backup, nodes.first(), to));
    steps.push(step(number, StepRole::Verify, nodes.first(), to));
    if go {
        let mut step = step(number, StepRole::Go, None, to);
        step.needs_approval = true;
        steps.push(step);
    }
    let (id, title) = (format!("h{number}.begin"), format!("before {from} -> {to}"));
    Wave { id, title, node: None, lanes: None, steps }
}

fn step(number: usize, role: StepRole, node: Option<&NodeName>, to: &Release) -> Step {
    let name = node.map_or("the cluster".to_owned(), ToString::to_string);
    let (title, estimate_ms) = match role {
        StepRole::Precheck => ("look whether the cluster is whole and healthy".to_owned(), 2_000),
        StepRole::Stage => (format!("stage {to} on {name}"), 1_000),
        StepRole::Backup => (format!("back up the data through {name}"), 1_500),
        StepRole::Verify => ("restore the backup into a scratch cluster".to_owned(), 3_000),
        StepRole::Go => ("say yes to the one-way door".to_owned(), 2_000),
        StepRole::Handover => (format!("hand leadership over from {name}"), 500),
        StepRole::Stop => (format!("stop {name}"), 700),
        StepRole::Swap => (format!("swap {name} to {to}"), 200),
        StepRole::Start => (format!("start {name} on {to}"), 1_000),
        StepRole::Rejoin => (format!("wait until {name} is back and caught up"), 3_000),
        StepRole::HopComplete => (format!("wait until the cluster takes {to}"), 3_000),
        _ => (format!("watch {name} stay healthy"), 3_000),
    };
    let place = node.map_or_else(String::new, |node| format!("{node}."));
    let word = crate::words::step_role(role);
    Step {
        id: StepId::new(format!("h{number}.{place}{word}")),
        title,
        role,
        node: node.cloned(),
        action: Action::Look,
        precheck: Vec::new(),
        done: None,
        gate: (role == StepRole::Rejoin).then(|| gate(to)),
        undo: Undo::Nothing,
        limit: Duration::from_secs(60),
        estimate: Duration::from_millis(estimate_ms),
        one_way: false,
        needs_approval: false,
    }
}

fn gate(to: &Release) -> Gate {
    let condition =
        |name: &str, text: String| Condition { name: name.into(), cel: "true".into(), text };
    Gate {
        name: "rejoined".into(),
        conditions: vec![
            condition("release", format!("it runs {to}")),
            condition("healthy", "it serves".into()),
            condition("caught-up", "it is at most 10 entries behind".into()),
        ],
        good_looks: 3,
        look_every: Duration::from_millis(500),
        soak: Duration::ZERO,
        limit: Duration::from_secs(10),
    }
}

fn first_rules() -> Vec<RuleApplied> {
    vec![
        rule(
            "E12",
            RuleVerdict::Condition,
            Risk::High,
            "set enable-v2=true when any client uses the v2 API; land on 3.4.8 or newer",
            "no request to /v2 was counted on any member; 3.4.23 is newer than 3.4.8",
            "https://etcd.io/docs/v3.4/upgrades/upgrade_3_4/",
        ),
        rule(
            "E24",
            RuleVerdict::NotApplicable,
            Risk::Med,
            "wait two minutes between members when v2 data are larger than 50 MB",
            "v2 data are 0 B",
            "https://etcd.io/docs/v3.5/upgrades/upgrade_3_5/",
        ),
    ]
}

fn second_rules() -> Vec<RuleApplied> {
    vec![
        rule(
            "E13",
            RuleVerdict::Condition,
            Risk::High,
            "no rolling upgrade while authentication is on: entries of the log changed their form",
            "authentication is off on every member",
            "https://github.com/etcd-io/etcd/issues/11943",
        ),
        rule(
            "E15",
            RuleVerdict::Allow,
            Risk::Med,
            "remove --debug, --log-output and --log-package-levels before 3.5",
            "no member runs with one of them",
            "https://etcd.io/docs/v3.5/upgrades/upgrade_3_5/",
        ),
    ]
}

fn rule(
    id: &str,
    verdict: RuleVerdict,
    risk: Risk,
    text: &str,
    because: &str,
    source: &str,
) -> RuleApplied {
    RuleApplied {
        id: id.into(),
        verdict,
        text: text.into(),
        because: because.into(),
        risk,
        sources: vec![source.into()],
        cures: Vec::new(),
        rewrites: Vec::new(),
    }
}
