//! Asks every member what it holds: which call, and into which file.

use crate::{
    members::{Member, members},
    plan::{cannot_build, refusal},
    template::{Extra, Words},
};
use quorate_model::{
    Blocked, Call, Cluster, NodeName, NotNow, Observation, Reach, Refusal, Release,
};
use quorate_packs::{Pack, eval::Scope};
use std::time::Duration;

/// What members are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The kind of backup that puts such data back.
    pub kind: String,
    /// One answer may take this long.
    pub limit: Duration,
    /// Members that serve, each with the call that writes what it holds into the file of the name beside it.
    pub calls: Vec<(NodeName, Call, String)>,
    /// Members that do not serve.
    pub silent: Vec<NodeName>,
}

/// Plans a listing of every member, on the release that runs, into files whose names begin with `folder`.
pub fn listing(
    pack: &Pack,
    cluster: &Cluster,
    observation: &Observation,
    release: &Release,
    folder: &str,
) -> Result<Listing, Refusal> {
    let scope = Scope::cluster(pack, observation, Some(release), Some(release));
    let fits =
        |cel: &Option<String>| cel.as_ref().is_none_or(|cel| pack.holds(cel, &scope).is_true());
    let mut known = pack.recipes.contents.iter();
    let Some(recipe) = known.find(|one| one.releases.contains(release) && fits(&one.when)) else {
        return Err(refusal([NotNow::Blocked(Blocked::Condition {
            rule: "contents".into(),
            text: "the pack must know how members are asked for everything that they hold".into(),
            because: format!("pack {} does not, for such data on {release}", pack.pack),
            way_out: Some(
                "compare the members by hand, then `quorate restore` the backup of one of them"
                    .into(),
            ),
        })]));
    };
    let words = Words::standing(pack, cluster, observation, release);
    let members = members(pack, cluster, observation);
    let servers = members.iter().filter(|member| member.is_voter());
    // Also one that calls itself unwell, as every member of etcd does while an alarm is raised on any.
    let answers =
        |member: &&Member<'_>| member.seen.is_some_and(|seen| seen.reach == Reach::Reachable);
    let (up, down): (Vec<&Member<'_>>, Vec<_>) = servers.partition(answers);
    let call = |member: &Member<'_>| {
        let file = format!("{folder}/{}.tsv", member.name());
        let path = format!("{{state}}/{file}");
        let extra = Extra { file: Some(&path), ..Extra::default() };
        let call = words.call("list-contents", member, &recipe.list, "", extra)?;
        Ok((member.name().clone(), call, file))
    };
    let calls: Result<Vec<_>, _> = up.into_iter().map(call).collect();
    Ok(Listing {
        kind: recipe.kind.clone(),
        limit: Duration::try_from_secs_f64(recipe.limit_secs).unwrap_or(LIST_LIMIT),
        calls: calls.map_err(|fault: crate::template::Unrendered| cannot_build(&fault.into()))?,
        silent: down.into_iter().map(|member| member.name().clone()).collect(),
    })
}

/// Ten minutes, for a recipe whose own limit is no number.
const LIST_LIMIT: Duration = Duration::from_secs(600);
