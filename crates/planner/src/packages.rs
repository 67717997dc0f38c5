//! Members whose program comes with Debian packages: what is installed, and what keeps packages from starting anything.
//!
//! Invariant: no member with packages is stopped before its host holds them back: an upgrade of a package restarts its server
//! without asking for a quorum. What is held back is let go in the plan, and by the ledger whenever the run ends before.

use crate::{
    hop::{HopPlan, seen_on_host},
    members::Member,
    plan::refusal,
};
use quorate_model::{
    Action, ArtifactRef, Blocked, Call, CallKind, Cluster, Facts, HELD_BACK, HOLD_BACK, LET_GO,
    NotNow, Refusal, Release, ServiceSpec, Step, StepRole, Undo, Wave,
};
use std::time::Duration;

/// A small file is written on a host, or taken away.
const HOLD_LIMIT: Duration = Duration::from_secs(60);
/// Five minutes: another installation on the host is let finish, then dpkg writes a hundred megabytes to a slow disk.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

fn names<'m>(member: &'m Member<'_>) -> &'m [String] {
    member.node.service.as_ref().map_or(&[], ServiceSpec::packages)
}

/// The files of the hop's artifact that are installed on a member.
pub(crate) fn files(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Vec<String> {
    let own = names(member).iter().filter_map(|name| plan.artifact.package(name));
    own.map(|file| file.name.clone()).collect()
}

/// The title, limit and way back of a swap that dpkg does.
pub(crate) fn as_packages(member: &Member<'_>, from: &Release, to: &Release, step: &mut Step) {
    if names(member).is_empty() {
        return;
    }
    let name = member.name();
    step.title = step.title.replacen("exchange the files of", "install the packages of", 1);
    step.limit = INSTALL_LIMIT;
    if let Some(done) = &mut step.done
        && done.cel.is_empty()
    {
        done.text = format!("dpkg has the packages of {to} on {name}, whole");
    }
    step.undo = Undo::ByPlan { text: format!("install the packages of {from} again on {name}") };
}

/// Why a cluster cannot move to a release, or back to it: a package that a member needs is not at hand.
pub(crate) fn at_hand(cluster: &Cluster, artifact: &ArtifactRef) -> Result<(), Refusal> {
    let wanted = cluster.nodes.iter().filter_map(|node| node.service.as_ref());
    let mut lacking = artifact.lacks(wanted.flat_map(ServiceSpec::packages));
    lacking.sort_unstable();
    lacking.dedup();
    if lacking.is_empty() { Ok(()) } else { Err(missing(cluster, &artifact.release, &lacking)) }
}

/// The packages of the release that runs are the way back: they must be at hand before anybody leaves it.
pub(crate) fn way_back_at_hand(
    cluster: &Cluster,
    artifacts: &[ArtifactRef],
    from: &Release,
) -> Result<(), Refusal> {
    let wanted = cluster.nodes.iter().filter_map(|node| node.service.as_ref());
    let mut wanted: Vec<&str> =
        wanted.flat_map(ServiceSpec::packages).map(String::as_str).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    match artifacts.iter().find(|own| own.release == *from && own.pack == cluster.pack) {
        Some(artifact) => at_hand(cluster, artifact),
        None => {
            wanted.sort_unstable();
            wanted.dedup();
            Err(missing(cluster, from, &wanted))
        }
    }
}

fn missing(cluster: &Cluster, release: &Release, lacking: &[&str]) -> Refusal {
    let (name, pack, lacking) = (&cluster.name, &cluster.pack, lacking.join(", "));
    refusal([NotNow::Blocked(Blocked::Condition {
        rule: "packages".into(),
        text: format!(
            "every package of {name} must be at hand, of the release to come and of the one to go back to"
        ),
        because: format!("of {release} there is no package {lacking}"),
        way_out: Some(format!(
            "put its .deb file, named as apt names it, beside the programs: `DIR/{pack}/{release}/`, and name DIR with --artifacts"
        )),
    })])
}

fn unit<'m>(member: &'m Member<'_>) -> Option<&'m str> {
    match member.node.service.as_ref() {
        Some(ServiceSpec::Systemd(unit)) if !unit.packages.is_empty() => Some(&unit.unit),
        _ => None,
    }
}

fn key(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> String {
    format!("h{}.{}.hold-back", plan.number, member.name())
}

/// Whether the member runs the target already, so that nothing is done to it.
fn stays(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> bool {
    plan.moved(member) && !plan.down(member)
}

/// Keeps packages from starting anything on a member's host.
pub(crate) fn hold_back(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Option<Step> {
    let unit = unit(member).filter(|_| !stays(plan, member))?;
    let name = member.name();
    let title = format!("keep packages from starting services on {name}");
    let mut step = plan.look(plan.id(name.as_str(), "hold-back"), title, StepRole::TempSet);
    let call = |action: &str, by_hand: String| Call {
        name: action.rsplit('.').next().unwrap_or(action).to_owned(),
        node: name.clone(),
        call: CallKind::Native {
            action: action.to_owned(),
            args: Facts::from([("unit".to_owned(), unit.into())]),
        },
        by_hand,
        retry_on: Vec::new(),
    };
    step.node = Some(name.clone());
    step.action = Action::TempSet {
        key: key(plan, member),
        call: call(HOLD_BACK, by_hand::hold_back()),
        put_back: call(LET_GO, by_hand::let_go()),
    };
    step.done = Some(seen_on_host(HELD_BACK, format!("packages start nothing on {name}")));
    step.undo = Undo::Ledger;
    step.limit = HOLD_LIMIT;
    Some(step)
}

/// Lets packages start services again.
pub(crate) fn let_go(plan: &HopPlan<'_, '_>, member: &Member<'_>) -> Option<Step> {
    unit(member).filter(|_| !stays(plan, member))?;
    let name = member.name();
    let title = format!("let packages start services on {name} again");
    let mut step = plan.look(plan.id(name.as_str(), "let-go"), title, StepRole::TempPutBack);
    step.node = Some(name.clone());
    step.action = Action::TempPutBack { key: key(plan, member) };
    step.limit = HOLD_LIMIT;
    Some(step)
}

/// The same for all members that stop at once.
pub(crate) fn hold_back_wave(plan: &HopPlan<'_, '_>, members: &[&Member<'_>]) -> Option<Wave> {
    let steps = members.iter().filter_map(|member| hold_back(plan, member));
    wave(plan, "hold-back", "packages are kept from starting services", steps.collect())
}

/// And back.
pub(crate) fn let_go_wave(plan: &HopPlan<'_, '_>, members: &[&Member<'_>]) -> Option<Wave> {
    let steps = members.iter().filter_map(|member| let_go(plan, member));
    wave(plan, "let-go", "packages may start services again", steps.collect())
}

fn wave(plan: &HopPlan<'_, '_>, name: &str, title: &str, steps: Vec<Step>) -> Option<Wave> {
    (!steps.is_empty()).then(|| plan.wave(name, title.to_owned(), None, steps))
}

/// What a person types for it, as root on the member's host.
pub(crate) mod by_hand {
    /// The file that maintainer scripts ask whether they may start a service.
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    /// A policy that is there already is kept beside the new one.
    pub(crate) fn hold_back() -> String {
        format!(
            "[ ! -e {POLICY} ] || grep -qs '^# by hand' {POLICY} || mv {POLICY} {POLICY}.kept\nprintf '#!/bin/sh\\n# by hand\\nexit 101\\n' >{POLICY} && chmod 755 {POLICY}"
        )
    }
    pub(crate) fn let_go() -> String {
        format!(
            "if grep -qs '^# by hand' {POLICY}; then rm -f {POLICY}; [ ! -e {POLICY}.kept ] || mv {POLICY}.kept {POLICY}; fi"
        )
    }
    /// Installs files that are in a folder. dpkg takes a hold off what it is told to install.
    pub(crate) fn install(folder: &str, files: &str) -> String {
        format!(
            "cd {folder} && held=$(apt-mark showhold) &&\nDEBIAN_FRONTEND=noninteractive dpkg --force-confold --force-confdef --force-downgrade -i {files} </dev/null &&\n{{ [ -z \"$held\" ] || apt-mark hold $held; }}"
        )
    }
}
