//! Copies of the data on their own, without an upgrade: the same recipes and the same proof as before a one-way door.

use crate::{
    backup::{BackupRequest, backups},
    members::{Member, members},
    order::order,
    plan::{PlanRequest, cannot_build, refusal},
    template::Words,
};
use quorate_model::{Backup, Blocked, NotNow, Refusal};
use quorate_packs::eval::Scope;

/// Plans every copy that the pack knows for the release that runs (`to` of the request is not looked at).
pub fn copies(request: &PlanRequest<'_>) -> Result<Vec<Backup>, Refusal> {
    let members = members(request.pack, request.cluster, request.observation);
    let lowest = members.iter().filter_map(Member::release).min();
    let Some(release) = lowest else {
        let what = format!("no member of {} says which release it runs", request.cluster.name);
        let unseen = Blocked::ConditionUnseen {
            rule: "release".into(),
            text: "the running release must be known".into(),
            what,
        };
        return Err(refusal([NotNow::Blocked(unseen)]));
    };
    let scope = Scope::cluster(request.pack, request.observation, Some(release), Some(release));
    let words = Words::standing(request.pack, request.cluster, request.observation, release);
    let leader = members.iter().position(Member::is_leader);
    let planned = backups(&BackupRequest {
        pack: request.pack,
        words: &words,
        scope: &scope,
        members: &members,
        order: &order(&members, leader.map(|index| members[index].name()), false),
        leader,
        now: request.now,
        taken_names: request.state_files,
    });
    planned
        .map(|all| all.into_iter().map(|one| one.backup).collect())
        .map_err(|fault| cannot_build(&fault.into()))
}
