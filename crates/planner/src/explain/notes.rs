//! What a person should know of a plan before it is carried out, and that is no reason against it.

use super::names;
use quorate_model::{Action, Dependant, NodeName, Plan};

/// Notes, each a sentence: members whose binary dpkg has, and that are not upgraded as packages; applications that live by the
/// cluster.
pub fn notes(plan: &Plan) -> Vec<String> {
    let mut notes = not_as_packages(plan);
    notes.extend(plan.dependants.iter().map(lives_by_it));
    notes
}

fn lives_by_it(one: &Dependant) -> String {
    let Dependant { name, version, needs, works_with, requires: _ } = one;
    let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let needs = (!needs.is_empty()).then(|| format!("needs {}", needs.join(", ")));
    let works = works_with.as_ref().map(|range| format!("works with {range}"));
    let said: Vec<String> = needs.into_iter().chain(works).collect();
    let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) };
    format!("{name}{version} lives by this cluster{said}: see that it is well before and after")
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
    let mut steps = plan.hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
    steps.any(|step| match &step.action {
        Action::Swap { node, packages, .. } => node == own && packages.is_empty(),
        _ => false,
    })
}
