//! Members that came with Debian packages: held back before they stop, installed by dpkg, let go when they are back.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{
    Action, ArtifactFile, Digest, NotNow, Plan, ServiceSpec, Step, StepRole, SystemdSpec,
};
use quorate_planner::{Planned, explain};
use std::time::Duration;
use support::{World, with_clients, world};

/// Every member is a unit of this package; releases at hand have it, but for those that are named.
fn packaged(mut world: World, without: &[&str]) -> World {
    for node in &mut world.cluster.nodes {
        node.service = Some(ServiceSpec::Systemd(SystemdSpec {
            unit: "keeper.service".into(),
            binary: "/usr/bin/keeper".into(),
            packages: vec!["keeper-server".into()],
            grace: Duration::from_secs(90),
        }));
    }
    for artifact in &mut world.artifacts {
        let release = artifact.release.to_string();
        if !without.contains(&release.as_str()) {
            artifact.files.push(ArtifactFile {
                name: format!("keeper-server_{release}-1_all.deb"),
                sha256: Digest::new("d".repeat(64)),
                size_bytes: 1,
            });
        }
    }
    world
}

fn planned(world: &World, to: &str) -> Plan {
    match world.plan(to) {
        Planned::Ready(plan) => *plan,
        other => panic!("no plan: {other:?}"),
    }
}

fn of<'p>(plan: &'p Plan, node: &str) -> Vec<&'p Step> {
    let waves = plan.hops.iter().take(1).flat_map(|hop| &hop.waves);
    let steps = waves.filter(|wave| wave.id != "h1.begin").flat_map(|wave| &wave.steps);
    let own = |step: &&Step| step.node.as_ref().is_some_and(|own| own.as_str() == node);
    steps.filter(own).collect()
}

#[test]
fn packages_are_held_back_before_the_stop_and_let_go_after_the_gate() {
    let world = packaged(with_clients(world(3, "1.0.5"), 2), &[]);
    let plan = planned(&world, "1.1.9");
    for node in ["a", "c1"] {
        let roles: Vec<StepRole> = of(&plan, node)
            .iter()
            .map(|step| step.role)
            .filter(|role| {
                !matches!(
                    role,
                    StepRole::Stage
                        | StepRole::Handover
                        | StepRole::Soak
                        | StepRole::Backup
                        | StepRole::Verify
                )
            })
            .collect();
        let wanted = [
            StepRole::TempSet,
            StepRole::Stop,
            StepRole::Swap,
            StepRole::Start,
            StepRole::Rejoin,
            StepRole::TempPutBack,
        ];
        assert_eq!(roles, wanted, "{node}");
        let installed = of(&plan, node).into_iter().find_map(|step| match &step.action {
            Action::Swap { packages, .. } => Some((step.title.clone(), packages.clone())),
            _ => None,
        });
        let (title, packages) = installed.unwrap();
        assert_eq!(title, format!("install the packages of {node}: 1.0.5 -> 1.1.9"));
        assert_eq!(packages, ["keeper-server_1.1.9-1_all.deb"]);
    }
    assert_eq!(quorate_checker::check(&plan), Vec::new());
}

#[test]
fn a_package_that_is_not_at_hand_refuses_the_plan_also_for_the_way_back() {
    for without in ["1.1.9", "1.0.5"] {
        let world = packaged(world(3, "1.0.5"), &[without]);
        let Planned::NotNow(refusal) = world.plan("1.1.9") else { panic!("{without}: a plan") };
        let [NotNow::Blocked(blocked)] = refusal.reasons.as_slice() else { panic!("{refusal:?}") };
        let said = blocked.to_string();
        assert!(
            said.contains(&format!("of {without} there is no package keeper-server")),
            "{said}"
        );
        assert!(refusal.ways_out[0].contains(&format!("keeper/{without}/")), "{refusal:?}");
    }
}

#[test]
fn the_run_book_installs_the_packages_as_a_run_does() {
    let world = packaged(world(3, "1.0.5"), &[]);
    let plan = planned(&world, "1.1.9");
    let book = world.book(support::keeper(), &plan);
    let places = [
        "printf '#!/bin/sh\\n# by hand\\nexit 101\\n' >/usr/sbin/policy-rc.d",
        "systemctl stop keeper.service",
        "--force-downgrade -i ./keeper-server_1.1.9-1_all.deb </dev/null",
        "systemctl start keeper.service",
        "rm -f /usr/sbin/policy-rc.d",
    ];
    let found =
        places.map(|text| book.find(text).unwrap_or_else(|| panic!("no `{text}`:\n{book}")));
    assert!(found.is_sorted(), "{found:?}");
    assert!(book.contains("cd /usr/bin/keeper-1.1.9 && held=$(apt-mark showhold)"), "{book}");
    assert!(!book.contains("exchange /usr/bin/keeper"), "{book}");
}

#[test]
fn a_plan_past_dpkg_says_so_once_with_its_members_and_the_line_to_write() {
    let mut bare = world(3, "1.0.5");
    for node in &mut bare.seen.nodes {
        node.packages = vec!["keeper-server".into(), "keeper-tools".into()];
    }
    let plan = planned(&bare, "1.1.9");
    let notes = explain::notes(&plan);
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.starts_with("the binary of a, b, c came with Debian packages"), "{note}");
    assert!(note.contains("`packages: [keeper-server, keeper-tools]`"), "{note}");
    assert!(explain::summary(&plan).contains(&format!("\n  note: {note}\n")));
    assert!(bare.book(support::keeper(), &plan).contains(note));

    // Of packages that are declared nothing is said, whatever a look has seen.
    let mut declared = packaged(bare, &[]);
    assert_eq!(explain::notes(&planned(&declared, "1.1.9")), Vec::<String>::new());
    declared.seen.nodes.iter_mut().for_each(|node| node.packages.clear());
    assert_eq!(explain::notes(&planned(&declared, "1.1.9")), Vec::<String>::new());
}
