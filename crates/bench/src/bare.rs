//! The shortest script that rolls a cluster and waits for each member: no plan, no proof, no journal, no handover.
//!
//! For each member: stop, rename the binary that lies ready, start, ask until it is healthy on the new release and has
//! applied what the others have. Nothing that also waits for the member can be much faster.

use crate::bed::{Bed, said};
use quorate_hosts::service;
use quorate_model::{Node, Release};
use quorate_transport::{
    Answer, LocalTransport,
    http::{HttpClient, HttpRequest},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A member that is not back by then is not coming.
const LIMIT: Duration = Duration::from_secs(60);
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// Rolls, and gives the seconds from the first stop to the last member back.
pub(crate) fn roll(bed: &Bed, to: &str) -> Result<f64, String> {
    let cluster = bed.cluster()?;
    let to: Release = to.parse().map_err(said)?;
    bed.runtime.block_on(async {
        let artifact =
            bed.setup.artifact(&cluster.pack, &to).ok_or(format!("etcd {to} is not at hand"))?;
        let files = bed.setup.cache.bring(&artifact).await.map_err(said)?;
        let server =
            artifact.files.iter().position(|file| file.name == "etcd").and_then(|at| files.get(at));
        let server = server.ok_or(format!("etcd {to} has no server"))?;
        let http = HttpClient::new(None, None).map_err(said)?;
        let mut staged = Vec::new();
        for node in &cluster.nodes {
            let binary = node
                .service
                .as_ref()
                .and_then(|spec| spec.binary())
                .ok_or(format!("{} has no binary", node.name))?;
            let beside = quorate_transport::beside(&binary, ".bare");
            fs::copy(server, &beside).map_err(said)?;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).map_err(said)?;
            staged.push((node, binary, beside));
        }
        let began = Instant::now();
        for (node, binary, beside) in staged {
            let spec = node.service.as_ref().ok_or(format!("{} has no service", node.name))?;
            service::stop(&LocalTransport, spec).await.into_result()?;
            fs::rename(&beside, &binary).map_err(said)?;
            service::start(&LocalTransport, spec).await.into_result()?;
            back(&http, &cluster.nodes, node, &to).await?;
        }
        Ok(began.elapsed().as_secs_f64())
    })
}

async fn back(http: &HttpClient, all: &[Node], node: &Node, to: &Release) -> Result<(), String> {
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        let own = applied(http, node).await;
        if let Some((release, index)) = own
            && release == to.to_string()
            && healthy(http, node).await
        {
            let mut furthest = 0;
            for other in all {
                furthest = furthest.max(applied(http, other).await.map_or(0, |(_, index)| index));
            }
            if index >= furthest {
                return Ok(());
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("{} did not come back within {} s", node.name, LIMIT.as_secs()))
}

fn url(node: &Node, path: &str) -> String {
    format!("{}{path}", node.endpoints.get("client").map_or("", String::as_str))
}

async fn healthy(http: &HttpClient, node: &Node) -> bool {
    match http.send(&HttpRequest::get(url(node, "/health")), ASK_LIMIT).await {
        Answer::Done(response) => response.text().contains("true"),
        Answer::Failed(_) | Answer::Unknown(_) => false,
    }
}

/// Release and applied index.
async fn applied(http: &HttpClient, node: &Node) -> Option<(String, u64)> {
    let request = HttpRequest::post_json(url(node, "/v3/maintenance/status"), "{}".to_owned());
    let status = http.send(&request, ASK_LIMIT).await.done()?.json()?;
    let release = status["version"].as_str()?.to_owned();
    let led = status["leader"].as_str().is_some_and(|leader| leader != "0");
    led.then_some((release, status["raftAppliedIndex"].as_str()?.parse().ok()?))
}
