//! S9: an artifact runs only if its digest is the planned one.
//!
//! In a plan: every file of a hop's artifact has a digest; it is beside the live one before the first stop; it is swapped in (and
//! data are put back) only between its own member's stop and start; and whatever was set for a time is put back.
//! Where it comes as packages, they are files of the artifact, and the host keeps packages from starting anything from before
//! the member's stop until it is back: a package restarts its server without asking for a quorum.

use super::{Invariant, Violation};
use crate::{
    digest::is_digest,
    walk::{Visit, Watch, steps_of},
    world::{Life, World},
};
use quorate_model::{Action, ArtifactRef, DebName, NodeName, Plan};

/// Follows artifacts and temporary changes.
pub(crate) struct Artifacts;

impl<'p> Watch<'p> for Artifacts {
    fn hop_begins(
        &mut self,
        plan: &'p Plan,
        index: usize,
        _world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        let hop = &plan.hops[index];
        let ArtifactRef { pack, release, source: _, files } = &hop.artifact;
        let mut broken = |text| found.push(Violation::error(Invariant::S9, None, text));
        if *pack != plan.pack || *release != hop.to {
            broken(format!(
                "the hop to {} {} carries the artifact of {pack} {release}",
                plan.pack, hop.to
            ));
        }
        if files.is_empty() && steps_of(hop).any(|step| matches!(step.action, Action::Swap { .. }))
        {
            broken(format!("the artifact of {} has no files", hop.to));
        }
        for file in files.iter().filter(|file| !is_digest(&file.sha256)) {
            broken(format!("file {} of {} has no SHA-256", file.name, hop.to));
        }
    }

    fn step(&mut self, at: &Visit<'p>, world: &World<'p>, found: &mut Vec<Violation>) {
        let mut broken = |text| found.push(Violation::error(Invariant::S9, at.id(), text));
        match &at.step.action {
            Action::Stage { artifact, .. } if *artifact != at.hop.artifact => {
                broken(format!(
                    "stages {} {}, which is not the hop's artifact",
                    artifact.pack, artifact.release
                ));
            }
            Action::Stop { node } if installs(at, node) && !world.is_held_back(node) => {
                broken(format!(
                    "{node} stops for packages before its host keeps them from starting services"
                ));
            }
            Action::Stop { .. } if !world.any_stop => {
                for node in unstaged(at, world) {
                    broken(format!(
                        "members begin to stop before the artifact is staged on {node}"
                    ));
                }
            }
            Action::Swap { node, to, packages, .. } => {
                for name in packages.iter().filter(|name| !holds(to, name)) {
                    broken(format!(
                        "installs {name} on {node}, which is no package of the artifact"
                    ));
                }
                if !packages.is_empty() && !world.is_held_back(node) {
                    broken(format!(
                        "installs packages on {node} while nothing keeps them from starting services there"
                    ));
                }
                if *to != at.hop.artifact {
                    broken(format!(
                        "swaps in {} {}, which is not the hop's artifact",
                        to.pack, to.release
                    ));
                }
                if !is_stopped(world, node) {
                    broken(format!(
                        "exchanges the files of {node} while it is not stopped by this plan"
                    ));
                }
            }
            Action::Restore { node, .. } | Action::BringBack { node }
                if !is_stopped(world, node) =>
            {
                broken(format!("puts data back on {node} while it is not stopped by this plan"));
            }
            Action::Restore { node, joins: Some(other), .. } if !holds_copy(world, other) => {
                broken(format!(
                    "lets {node} join {other}, which does not run with the copy by then"
                ));
            }
            Action::Start { node, .. } if left_out(at, world, node) => {
                broken(format!(
                    "{node} is started with the data of before among members with those of the copy"
                ));
            }
            Action::Start { node, expect } => {
                let live = world.member(node).and_then(|member| member.live);
                if live != Some(expect) {
                    let files = live.map_or("unseen files".to_owned(), ToString::to_string);
                    broken(format!("{node} is started as {expect}, its live files are {files}"));
                }
            }
            Action::TempPutBack { key } if let_go_early(world, key) => {
                broken(format!(
                    "`{key}` lets packages start services before the member is seen to be back"
                ));
            }
            Action::TempPutBack { key } if !world.owed.contains(&key.as_str()) => {
                broken(format!("`{key}` is put back and was never set"));
            }
            _ => {}
        }
    }

    fn hop_ends(
        &mut self,
        plan: &'p Plan,
        index: usize,
        world: &World<'p>,
        found: &mut Vec<Violation>,
    ) {
        if index + 1 == plan.hops.len() {
            for key in &world.owed {
                let text = format!("`{key}` is set for a time and never put back");
                found.push(Violation::error(Invariant::S9, None, text));
            }
        }
    }
}

/// Whether a member was given the copy and started with it.
fn holds_copy(world: &World<'_>, node: &NodeName) -> bool {
    world.member(node).is_some_and(|member| member.restored && member.life == Life::Started)
}

/// Whether a member of a restore starts without having been given anything.
fn left_out(at: &Visit<'_>, world: &World<'_>, node: &NodeName) -> bool {
    at.exchanges_data() && !world.member(node).is_some_and(|member| member.restored)
}

/// A member that was found down has no stop of its own to wait for.
fn is_stopped(world: &World<'_>, node: &NodeName) -> bool {
    world.member(node).is_some_and(|member| matches!(member.life, Life::Stopped | Life::FoundDown))
}

/// Whether the hop installs packages on a member.
fn installs(at: &Visit<'_>, node: &NodeName) -> bool {
    steps_of(at.hop).any(|step| {
        matches!(&step.action, Action::Swap { node: own, packages, .. } if own == node && !packages.is_empty())
    })
}

/// Whether a file of that name is in the artifact, and is a package.
fn holds(artifact: &ArtifactRef, name: &str) -> bool {
    DebName::of(name).is_some() && artifact.files.iter().any(|file| file.name == name)
}

/// Whether a member is on its way whose host would no longer be held back.
fn let_go_early(world: &World<'_>, key: &str) -> bool {
    let member = world.held_back_by(key).and_then(|node| world.member(node));
    member.is_some_and(|member| matches!(member.life, Life::Stopped | Life::Started))
}

/// Nodes that get the hop's artifact later and do not hold it yet.
fn unstaged<'p>(at: &Visit<'p>, world: &World<'p>) -> Vec<&'p NodeName> {
    let swaps = steps_of(at.hop).filter_map(|step| match &step.action {
        Action::Swap { node, to, .. } => Some((node, to)),
        _ => None,
    });
    let holds =
        |node: &NodeName, to| world.member(node).is_some_and(|member| member.staged.contains(&to));
    swaps.filter(|(node, to)| !holds(node, to)).map(|(node, _)| node).collect()
}
