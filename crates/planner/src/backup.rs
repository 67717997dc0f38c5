//! Copies of the data before a door closes: which ones, from whom, under which name, and the proof of each.

use crate::{
    members::{Member, Standing},
    template::{Extra, Unrendered, Words},
};
use jiff::Timestamp;
use quorate_model::{Backup, Call};
use quorate_packs::{BackupRecipe, Pack, eval::Scope};

/// One copy that a hop takes, and how long each half may last.
pub(crate) struct PlannedBackup<'a> {
    pub(crate) recipe: &'a BackupRecipe,
    pub(crate) backup: Backup,
}

/// What decides the copies of a hop.
pub(crate) struct BackupRequest<'a, 'w> {
    pub(crate) pack: &'a Pack,
    pub(crate) words: &'w Words<'a>,
    pub(crate) scope: &'w Scope,
    pub(crate) members: &'w [Member<'a>],
    /// In the order in which they move.
    pub(crate) order: &'w [usize],
    /// Who leads when the hop begins.
    pub(crate) leader: Option<usize>,
    pub(crate) now: Timestamp,
    pub(crate) taken_names: &'w [String],
}

/// Plans every copy that the pack asks for on this release. A condition that cannot be looked at takes the copy: one too
/// many costs a minute, one too few the data.
pub(crate) fn backups<'a>(
    request: &BackupRequest<'a, '_>,
) -> Result<Vec<PlannedBackup<'a>>, Unrendered> {
    let release = request.words.from;
    let wanted = request.pack.recipes.backups.iter().filter(|recipe| {
        let asked = recipe.when.as_ref().map(|cel| request.pack.holds(cel, request.scope));
        recipe.releases.contains(release) && !asked.is_some_and(|truth| truth.is_false())
    });
    wanted
        .filter_map(|recipe| {
            source(request, recipe).map(|member| from_member(request, recipe, member))
        })
        .collect()
}

/// The leader when the recipe asks for it, else the first healthy follower, else any healthy voter.
fn source<'a>(request: &BackupRequest<'a, '_>, recipe: &BackupRecipe) -> Option<Member<'a>> {
    let leader = request.leader.map(|index| request.members[index]);
    if recipe.from_leader && leader.is_some() {
        return leader;
    }
    let healthy = |member: &&Member<'a>| member.is_voter() && member.standing() == Standing::Up;
    let in_order = || request.order.iter().map(|index| &request.members[*index]).filter(healthy);
    let follower =
        in_order().find(|member| Some(member.name()) != leader.as_ref().map(Member::name));
    follower.or_else(|| in_order().next()).copied()
}

/// One copy of one member.
pub(crate) fn from_member<'a>(
    request: &BackupRequest<'a, '_>,
    recipe: &'a BackupRecipe,
    member: Member<'a>,
) -> Result<PlannedBackup<'a>, Unrendered> {
    let file = file_name(request, &recipe.kind, recipe.extension.as_deref());
    let path = format!("{{state}}/{file}");
    let extra = Extra { file: Some(&path), ..Extra::default() };
    let say = |what: String, template, by_hand: &str| -> Result<Call, Unrendered> {
        request.words.call(&what, &member, template, by_hand, extra)
    };
    let save = say(format!("{}-save", recipe.kind), &recipe.save, &recipe.by_hand)?;
    let proof = recipe.verify_by_hand.clone().unwrap_or_else(|| {
        format!("# restore {file} into a scratch cluster and compare it with the live data")
    });
    let verify = say(format!("{}-verify", recipe.kind), &recipe.verify, &proof)?;
    let backup = Backup {
        kind: recipe.kind.clone(),
        node: member.name().clone(),
        release: request.words.from.clone(),
        file,
        save,
        verify,
        made_of: None,
        sha256: None,
    };
    Ok(PlannedBackup { recipe, backup })
}

/// A name that sorts by time and is not taken: `backups/demo/20261120T223231-3.3.25-v3-snapshot.db`.
pub(crate) fn file_name(
    request: &BackupRequest<'_, '_>,
    kind: &str,
    extension: Option<&str>,
) -> String {
    let at = request.now.strftime("%Y%m%dT%H%M%S");
    let (cluster, from) = (&request.words.cluster.name, request.words.from);
    let ending = extension.map(|e| format!(".{}", e.trim_start_matches('.'))).unwrap_or_default();
    let name = |nth: String| format!("backups/{cluster}/{at}-{from}-{kind}{nth}{ending}");
    let taken = |name: &String| request.taken_names.contains(name);
    let others = (2..=request.taken_names.len() + 2).map(|nth| name(format!("-{nth}")));
    std::iter::once(name(String::new())).chain(others).find(|name| !taken(name)).unwrap_or_default()
}
