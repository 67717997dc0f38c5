//! Looking: one or all clusters, kept with their time, and what was kept when it is young enough.

use super::membership::mark;
use crate::{
    problem::{FILE, Problem},
    setup::Setup,
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use quorate_model::{Cluster, NodeObservation, Observation};
use quorate_observe::{Depth, Told};
use std::{
    collections::BTreeSet, io::Write, os::unix::fs::PermissionsExt, path::Path, sync::Arc,
    time::Duration,
};

/// Clusters looked at together. Each look is a handful of small requests: sixteen keep a controller busy without
/// opening thousands of connections at once.
const LOOKS_AT_ONCE: usize = 16;

/// How many clusters are looked at.
#[derive(Clone, Default)]
pub struct LookOptions {
    /// What was seen within this time is shown, and not asked again.
    pub since: Option<Duration>,
    /// How often a node that could not be reached is asked again.
    pub retries: u32,
    /// Hears of each node as soon as it was asked.
    pub told: Option<Told>,
}

/// A look, and what was known before.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The look.
    pub look: Observation,
    /// It was kept, and nobody was asked.
    pub kept: bool,
    /// The newest look before it, where one was kept.
    pub before: Option<Observation>,
}

/// Looks at a cluster whole, and keeps the look.
pub async fn observe(setup: &Setup, cluster: &Cluster) -> Result<Observation, Problem> {
    look(setup, cluster, &LookOptions::default()).await
}

async fn look(
    setup: &Setup,
    cluster: &Cluster,
    options: &LookOptions,
) -> Result<Observation, Problem> {
    let (observer, _) = setup.observer(cluster)?;
    let observer = observer.asking_again(options.retries).telling(options.told.clone());
    let mut seen = observer.look(Depth::Full, Timestamp::now()).await;
    mark(&setup.ejected, &mut seen);
    setup.store.save_observation(&seen)?;
    Ok(seen)
}

/// Looks at many, in the order given; one that cannot be looked at does not hide the others.
pub async fn observe_all(
    setup: &Setup,
    clusters: &[&Cluster],
    options: &LookOptions,
) -> Vec<Result<Seen, Problem>> {
    let looks = clusters.iter().map(|cluster| seen(setup, cluster, options));
    stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await
}

async fn seen(setup: &Setup, cluster: &Cluster, options: &LookOptions) -> Result<Seen, Problem> {
    let before = setup.store.last_observation(&cluster.name)?;
    if let Some(since) = options.since
        && let Some(kept) = &before
        && still_speaks(kept, cluster, Timestamp::now(), since)
    {
        if let Some(told) = &options.told {
            kept.nodes.iter().for_each(|node: &NodeObservation| told(node));
        }
        return Ok(Seen { look: kept.clone(), kept: true, before: None });
    }
    Ok(Seen { look: look(setup, cluster, options).await?, kept: false, before })
}

/// Whether a look is young enough, and speaks of the nodes that are declared today.
fn still_speaks(kept: &Observation, cluster: &Cluster, now: Timestamp, since: Duration) -> bool {
    // A look from the future was made by a clock that nobody should trust.
    let age = Duration::try_from(now.duration_since(kept.taken_at));
    let declared: BTreeSet<_> = cluster.nodes.iter().map(|node| &node.name).collect();
    let seen: BTreeSet<_> = kept.nodes.iter().map(|node| &node.name).collect();
    age.is_ok_and(|age| age <= since) && declared == seen && kept.pack == cluster.pack
}

/// Writes a file whole: who reads it meanwhile reads the old one or the new one. Everybody may read it, because who
/// collects figures is another user.
pub fn write_whole(file: &Path, text: &str) -> Result<(), Problem> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = || {
        // Its name does not end as the collector's files do: a half of one is never collected.
        let mut part = tempfile::Builder::new()
            .prefix(".quorate-")
            .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))?;
        part.write_all(text.as_bytes())?;
        part.as_file().sync_all()?;
        part.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        part.persist(file).map_err(|error| error.error)?;
        Ok::<(), std::io::Error>(())
    };
    written().map_err(|error| {
        Problem::new(FILE, format!("cannot write {}", file.display())).because(error.to_string())
    })
}

/// Hears of nodes as they are seen.
pub fn telling(told: impl Fn(&NodeObservation) + Send + Sync + 'static) -> Option<Told> {
    Some(Arc::new(told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn cluster(nodes: &[&str]) -> Cluster {
        let node = |name: &&str| {
            format!(
                "{{name: {name}, endpoints: {{client: 'http://{name}:1', peer: 'http://{name}:2'}}}}"
            )
        };
        let nodes: Vec<String> = nodes.iter().map(node).collect();
        let text = format!(
            "schema: 1\nfleet: f\nclusters: [{{name: shop, pack: etcd, nodes: [{}]}}]\n",
            nodes.join(", ")
        );
        let packs = quorate_packs::Packs::builtin();
        quorate_inventory::read_fleet("fleet.yaml", &text, ".".as_ref(), packs)
            .unwrap()
            .clusters
            .remove(0)
    }

    #[test]
    fn a_kept_look_speaks_while_it_is_young_and_of_the_same_nodes() {
        let kept = Observation {
            cluster: "shop".into(),
            pack: "etcd".into(),
            taken_at: Timestamp::UNIX_EPOCH,
            nodes: ["a", "b"]
                .map(|name| NodeObservation::unseen(name.into(), "server".into(), ""))
                .into(),
            facts: Default::default(),
            findings: Vec::new(),
        };
        let speaks = |nodes: &[&str], secs: i64| {
            let now = kept.taken_at + SignedDuration::from_secs(secs);
            still_speaks(&kept, &cluster(nodes), now, Duration::from_secs(60))
        };
        assert!(speaks(&["b", "a"], 0) && speaks(&["a", "b"], 60));
        assert!(!speaks(&["a", "b"], 61) && !speaks(&["a", "b"], -1));
        assert!(!speaks(&["a"], 1) && !speaks(&["a", "b", "c"], 1));
    }

    #[test]
    fn a_file_is_written_whole_and_readable_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quorate.prom");
        write_whole(&file, "one 1\n").unwrap();
        write_whole(&file, "two 2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two 2\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = write_whole(&folder.path().join("no/x.prom"), "").unwrap_err();
        assert!(nowhere.text.contains("cannot write"), "{nowhere}");
    }
}
