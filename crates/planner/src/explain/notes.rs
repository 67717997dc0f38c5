//! What a person should know of a plan before it is carried out, and that is no reason against it.

use super::names;
use quorate_model::{Action, Dependant, NodeName, Plan, Step};

/// Notes, each a sentence: members whose binary dpkg has, and that are not upgraded as packages; applications that live by the
/// cluster.
pub fn notes(plan: &Plan) -> Vec<String> {
    let mut notes = not_as_packages(plan);
    notes.extend(plan.dependants.iter().map(|one| lives_by_it(plan, one)));
    notes
}

fn steps(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps)
}

fn lives_by_it(plan: &Plan, one: &Dependant) -> String {
    let Dependant { name, version, needs, works_with, requires: _, runs } = one;
    let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let needs = (!needs.is_empty()).then(|| format!("needs {}", needs.join(", ")));
    let works = works_with.as_ref().map(|range| format!("works with {range}"));
    let said: Vec<String> = needs.into_iter().chain(works).collect();
    let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) };
    let stops = |step: &Step| matches!(&step.action, Action::StandStill { dependant, .. } if dependant == name);
    let handled = runs.is_some() && steps(plan).any(stops);
    let how = if handled {
        "it is stopped and started by this plan"
    } else {
        "see that it is well before and after"
    };
    format!("{name}{version} lives by this cluster{said}: {how}")
}

fn not_as_packages(plan: &Plan) -> Vec<String> {
    let mut told: Vec<(&[String], Vec<&NodeName>)> = Vec::new();
    for node in plan.observed.nodes.iter().filter(|node| !node.packages.is_empty()) {
        if !exchanges_bare_file(plan, &node.name) {
            continue;
        }
        match told.iter_mut().find(|(packages, _)| *packages == node.packages.as_slice()) {
            Some((_, nodes)) => nodes.push(&node.name),
            None => told.push((&node.packages, vec![&node.name])),
        }
    }
    let said = told.into_iter().map(|(packages, nodes)| {
        let (nodes, packages) = (names(&nodes), packages.join(", "));
        format!(
            "the binary of {nodes} came with Debian packages ({packages}), and this plan exchanges the bare file: dpkg goes on to name the old release, and the next upgrade of the package puts its own file back; to upgrade the packages, write `packages: [{packages}]` beside `unit` in the fleet file and plan again"
        )
    });
    said.collect()
}

fn exchanges_bare_file(plan: &Plan, own: &NodeName) -> bool {
    steps(plan).any(|step| match &step.action {
        Action::Swap { node, packages, .. } => node == own && packages.is_empty(),
        _ => false,
    })
}
