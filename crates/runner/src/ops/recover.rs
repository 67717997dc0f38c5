//! Members that hold different data: compared key by key, and all given those of one of them.

use super::{
    artifacts::bring,
    backup::{running, standing},
    contents::{Differs, Held, against, differences, held_of, in_both, newest},
    plan::{Doing, Made, measured, not_now, settle, state_files},
    run::hands,
    see::observe,
};
use crate::{
    hands::LiveHands,
    problem::{NO_BACKUP, NO_CLUSTER, Problem, UNSEEN},
    setup::Setup,
};
use futures::future::join_all;
use jiff::Timestamp;
use quorate_hosts::artifacts::silent;
use quorate_model::{ArtifactRef, Cluster, NodeName, Observation, Plan, Release, Role};
use quorate_packs::Pack;
use quorate_planner::{
    RollbackRequest,
    contents::{Listing, listing},
    rollback::{RecoverRequest, recover},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What was found.
#[derive(Debug)]
pub enum Compared {
    /// Nothing to recover; says what was compared.
    Alike(String),
    /// Members differ.
    Differ(Box<Difference>),
}

/// How members differ, and whose data would go to all of them.
#[derive(Debug)]
pub struct Difference {
    /// What each member holds, and how that differs from the source.
    pub members: Vec<Compare>,
    /// Members that do not serve, and could not be asked.
    pub silent: Vec<NodeName>,
    /// Keys that members say different things of.
    pub keys: u64,
    /// Every one of them, a line a key: the key in hexadecimal digits, then revision and digest of its value on each member.
    pub file: PathBuf,
    /// Whose data everybody gets.
    pub source: NodeName,
    /// Why that one.
    pub because: String,
    ground: Ground,
    kind: String,
}

/// One member's part in a comparison.
#[derive(Debug)]
pub struct Compare {
    /// The member.
    pub node: NodeName,
    /// How much it holds.
    pub held: Held,
    /// How that differs from what the source holds.
    pub differs: Differs,
}

/// What a comparison and the plan after it stand on.
#[derive(Debug)]
struct Ground {
    pack: Arc<Pack>,
    observation: Observation,
    artifact: ArtifactRef,
}

/// Compares all members that serve. `source` is a person's choice of whose data shall go to everybody.
pub async fn compare(
    setup: &Setup,
    cluster: &Cluster,
    source: Option<&str>,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Compared, Problem> {
    let known = |name: &&str| cluster.nodes.iter().any(|node| node.name.as_str() == *name);
    if let Some(name) = source.filter(|name| !known(name)) {
        let text = format!("{} has no node {name}", cluster.name);
        return Err(Problem::new(NO_CLUSTER, text)
            .hint("`--source` names the member whose data everybody gets"));
    }
    let pack = setup.pack(cluster)?;
    let observation = observe(setup, cluster).await?;
    let release = running(cluster, &observation)?;
    let artifact = bring(setup, cluster, &pack, &release, &silent).await?;
    let hands = hands(setup, cluster, Arc::new(standing(cluster, &observation, &artifact)))?;
    let folder = format!("recover/{}/{}", cluster.name, Timestamp::now().strftime("%Y%m%dT%H%M%S"));
    let listed = |turn: &str| {
        let folder = format!("{folder}/{turn}");
        listing(&pack, cluster, &observation, &release, &folder)
            .map_err(|refusal| not_now(cluster, &refusal, Doing::Restore))
    };
    let first = listed("first")?;
    if first.calls.len() < 2 {
        let text = format!(
            "fewer than two members of {} serve: there is nothing to compare",
            cluster.name
        );
        return Err(Problem::new(UNSEEN, text));
    }
    tell(&format!("asking {} members for everything that they hold", first.calls.len()));
    let (changed, _) = look(setup, &hands, &first, &release, "first").await?;
    let path = |name: &str| setup.state_dir.join(&folder).join(name);
    let second = listed("second")?;
    // What differs for good does so twice in the same way; what was on its way does not.
    tell("and again, since members that are asked a moment apart may differ by what is on its way");
    let (again, held) = look(setup, &hands, &second, &release, "second").await?;
    let file = path("differences.tsv");
    let keys = in_both(&changed, &again, &file).map_err(unread)?;
    for turn in ["first", "second"] {
        // Lists of everything are as long as the data. What cannot be removed is only in the way.
        let _ = std::fs::remove_dir_all(path(turn));
    }
    let nodes = second.calls.iter().map(|(node, ..)| node.clone());
    let held: Vec<(NodeName, Held)> = nodes.zip(held).collect();
    // Where keys are alike and hashes are not, members keep another past of them.
    let hashes = |code: &str| matches!(code, "data-differ" | "data-differ-now");
    let hashes_differ = observation.findings.iter().any(|one| hashes(&one.code));
    if keys == 0 && !hashes_differ {
        let names: Vec<&str> = held.iter().map(|(node, _)| node.as_str()).collect();
        let most = held.iter().map(|(_, held)| held.keys).max().unwrap_or(0);
        return Ok(Compared::Alike(format!("{} hold the same {most} keys", names.join(", "))));
    }
    let names = held.iter().map(|(node, _)| node.clone());
    let of_these = held_of(&file, held.len()).map_err(unread)?;
    let differing: Vec<(NodeName, Held)> = names.zip(of_these).collect();
    let leader = observation.nodes.iter().find(|node| node.role == Role::Leader);
    let leader = leader.map(|node| &node.name);
    let (source, because) = match source {
        Some(name) => (name.into(), "you chose it".to_owned()),
        None => newest(&differing, leader)
            .map(|(node, because)| (node.clone(), because))
            .ok_or_else(|| Problem::new(UNSEEN, format!("no member of {} serves", cluster.name)))?,
    };
    let Some(place) = held.iter().position(|(node, _)| *node == source) else {
        return Err(Problem::new(
            UNSEEN,
            format!("{source} does not serve: nobody can copy what it holds"),
        )
        .hint("start it, or choose another one with `--source`"));
    };
    let differs = against(&file, place, held.len()).map_err(unread)?;
    let members = held.into_iter().zip(differs);
    let members = members.map(|((node, held), differs)| Compare { node, held, differs }).collect();
    Ok(Compared::Differ(Box::new(Difference {
        members,
        silent: second.silent,
        keys,
        file,
        source,
        because,
        ground: Ground { pack, observation, artifact },
        kind: second.kind,
    })))
}

/// Asks every member, and gives the file of differences and how much each holds.
async fn look(
    setup: &Setup,
    hands: &LiveHands,
    listing: &Listing,
    release: &Release,
    turn: &str,
) -> Result<(PathBuf, Vec<Held>), Problem> {
    let asked = listing.calls.iter().map(|(node, call, _)| async move {
        let said = hands.say(call, &[release], listing.limit).await.into_result();
        said.map_err(|because| format!("{node} does not tell what it holds: {because}"))
    });
    for said in join_all(asked).await {
        said.map_err(|because| Problem::new(UNSEEN, because))?;
    }
    let files: Vec<PathBuf> =
        listing.calls.iter().map(|(.., file)| setup.state_dir.join(file)).collect();
    let lists: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let Some(folder) = lists.first().and_then(|list| list.parent()) else {
        return Err(Problem::new(UNSEEN, "no member serves: there is nothing to compare"));
    };
    let into = folder.with_file_name(format!("{turn}.tsv"));
    let held = differences(&lists, &into).map_err(unread)?;
    Ok((into, held))
}

fn unread(because: String) -> Problem {
    Problem::new(NO_BACKUP, because)
}

/// Plans giving the source's data to everybody.
pub fn plan(setup: &Setup, cluster: &Cluster, found: &Difference) -> Result<Plan, Problem> {
    let Ground { pack, observation, artifact } = &found.ground;
    let losses = losses(found);
    let request = RecoverRequest {
        put_back: RollbackRequest {
            plan: &standing(cluster, observation, artifact),
            cluster,
            pack,
            observation,
            artifacts: std::slice::from_ref(artifact),
            backups: &[],
            begun: None,
            since: None,
            measured: &measured(setup, cluster.pack.as_str())?,
            now: Timestamp::now(),
        },
        source: &found.source,
        kind: &found.kind,
        losses: &losses,
        state_files: &state_files(&setup.state_dir),
    };
    match settle(setup, recover(&request), cluster, Doing::Restore)? {
        Made::Plan(plan) => Ok(*plan),
        Made::NothingToDo(text) => Err(Problem::new(NO_BACKUP, text)),
    }
}

/// What the others hold that the source does not.
fn losses(found: &Difference) -> Vec<String> {
    let others = found.members.iter().filter(|member| member.node != found.source);
    let loses = others.filter(|member| member.differs.lost() > 0);
    let mut losses: Vec<String> = loses
        .map(|Compare { node, differs, .. }| {
            format!(
                "{} keys that {node} holds alone and {} that have another value there, such as {}",
                differs.alone,
                differs.other,
                differs.examples.join(", ")
            )
        })
        .collect();
    losses.extend(found.silent.iter().map(|node| {
        format!("whatever only {node} holds: it does not serve, and nobody could compare it")
    }));
    losses
}
