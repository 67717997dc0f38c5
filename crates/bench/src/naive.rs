//! The loop that the field writes in a shell: node after node in a fixed order, stop, swap, start, sleep, next.
//!
//! Nobody is asked whether a member may stop, leadership is not handed over, and nothing is looked at.

use crate::bed::{Bed, said};
use quorate_hosts::service;
use quorate_model::{ClientFigures, Release};
use quorate_probe::{ClientProbe, ProbeOptions};
use quorate_transport::LocalTransport;
use std::{fs, path::Path, time::Duration};

/// Rolls a cluster over these releases, the first of which it runs, and gives what clients saw.
pub(crate) fn roll(
    bed: &Bed,
    releases: &[&str],
    pause: Duration,
    baseline: Duration,
) -> Result<ClientFigures, String> {
    let cluster = bed.cluster()?;
    let pack = bed.setup.pack(cluster).map_err(said)?;
    let releases = releases
        .iter()
        .map(|text| text.parse().map_err(said))
        .collect::<Result<Vec<Release>, String>>()?;
    let first = releases.first().ok_or("a cluster runs some release")?;
    let probe = bed
        .runtime
        .block_on(async {
            ClientProbe::start(pack.clone(), cluster, ProbeOptions::new(first.clone()))
        })
        .map_err(said)?;
    bed.runtime.block_on(async {
        probe.baseline(baseline).await;
        for release in releases.iter().skip(1) {
            let artifact = bed
                .setup
                .artifact(&cluster.pack, release)
                .ok_or(format!("etcd {release} is not at hand"))?;
            let files = bed.setup.cache.bring(&artifact).await.map_err(said)?;
            let server = artifact
                .files
                .iter()
                .position(|file| file.name == "etcd")
                .and_then(|at| files.get(at));
            let server = server.ok_or(format!("etcd {release} has no server"))?;
            for node in &cluster.nodes {
                let spec = node.service.as_ref().ok_or(format!("{} has no service", node.name))?;
                let binary = spec.binary().ok_or(format!("{} has no binary", node.name))?;
                service::stop(&LocalTransport, spec).await.into_result()?;
                replace(&binary, server)?;
                service::start(&LocalTransport, spec).await.into_result()?;
                tokio::time::sleep(pause).await;
            }
            probe.set_release(release).map_err(said)?;
        }
        probe.finish().await.map(|account| account.figures).map_err(said)
    })
}

/// `cp` over the live binary, as the loop does it.
fn replace(live: &Path, new: &Path) -> Result<(), String> {
    fs::remove_file(live).map_err(|error| format!("cannot remove {}: {error}", live.display()))?;
    fs::copy(new, live).map_err(|error| format!("cannot copy to {}: {error}", live.display()))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(live, mode)
        .map_err(|error| format!("cannot make {} a program: {error}", live.display()))
}
