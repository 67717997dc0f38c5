//! Looking: one or all clusters, kept with their time.

use super::membership::mark;
use crate::{problem::Problem, setup::Setup};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use quorate_model::{Cluster, Observation};
use quorate_observe::Depth;

/// Clusters looked at together. Each look is a handful of small requests: sixteen keep a controller busy without
/// opening thousands of connections at once.
const LOOKS_AT_ONCE: usize = 16;

/// Looks at a cluster whole, and keeps the look.
pub async fn observe(setup: &Setup, cluster: &Cluster) -> Result<Observation, Problem> {
    let (observer, _) = setup.observer(cluster)?;
    let mut seen = observer.look(Depth::Full, Timestamp::now()).await;
    mark(&setup.ejected, &mut seen);
    setup.store.save_observation(&seen)?;
    Ok(seen)
}

/// Looks at many, in the order given.
pub async fn observe_all(
    setup: &Setup,
    clusters: &[&Cluster],
) -> Result<Vec<Observation>, Problem> {
    let looks = stream::iter(clusters.iter().map(|cluster| observe(setup, cluster)))
        .buffered(LOOKS_AT_ONCE);
    looks.collect::<Vec<_>>().await.into_iter().collect()
}
