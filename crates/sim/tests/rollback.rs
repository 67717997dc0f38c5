//! Ways back that the planner plans are proved by the checker, as ways forward are.

use quorate_checker::check;
use quorate_model::{Action, Backup, Digest, Plan, PlanKind};
use quorate_planner::{
    Measured, PlanRequest, Planned, RollbackRequest, plan, rollback, rollback::BackupAtHand,
};
use quorate_sim::{
    clock::timestamp,
    product::{Product, declared, names, policy},
    world::World,
};

fn ready(planned: Planned) -> Plan {
    match planned {
        Planned::Ready(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

/// The plan back from a cluster in which so many members have moved along the first hop.
fn way_back(moved: usize) -> Plan {
    let (product, names, measured) = (Product::get(), names(3), Measured::new());
    let cluster = declared(&names, &[], policy());
    let mut world = World::new(&names, 0, 1, 7);
    let up = ready(plan(&PlanRequest {
        cluster: &cluster,
        pack: product.pack(),
        observation: world.look().0,
        to: &product.releases[3],
        artifacts: &product.artifacts,
        measured: &measured,
        now: timestamp(0),
        parent: None,
        state_files: &[],
        convert: None,
    }));
    for member in world.members.iter_mut().take(moved) {
        (member.runs, member.live) = (3, 3);
    }
    // The cluster takes the release a while after everybody runs it.
    world.heal();
    world.advance(10_000);
    let steps = up.hops[0].waves.iter().flat_map(|wave| &wave.steps);
    let backups: Vec<_> = steps
        .filter_map(|step| match &step.action {
            Action::Backup { backup } => Some(BackupAtHand {
                backup: Backup { sha256: Some(Digest::new("d".repeat(64))), ..backup.clone() },
                taken_at: timestamp(1),
                verified: true,
                taken_from: Some(backup.node.clone()),
                other_cluster: None,
                fault: None,
                unknown: Vec::new(),
            }),
            _ => None,
        })
        .collect();
    ready(rollback(&RollbackRequest {
        plan: &up,
        cluster: &cluster,
        pack: product.pack(),
        observation: world.look().0,
        artifacts: &product.artifacts,
        backups: &backups,
        begun: None,
        since: None,
        measured: &measured,
        now: timestamp(20_000),
    }))
}

#[test]
fn binaries_go_back_while_members_are_mixed() {
    for moved in [1, 2] {
        let back = way_back(moved);
        assert_eq!(back.kind, PlanKind::RollbackBinaries, "{moved} moved");
        assert_eq!(check(&back), Vec::new(), "{moved} moved");
    }
}

#[test]
fn a_backup_goes_back_after_completion() {
    let back = way_back(3);
    assert_eq!(back.kind, PlanKind::RollbackRestore);
    assert_eq!(check(&back), Vec::new());
    assert!(!back.losses.is_empty(), "what is lost is said");
}
