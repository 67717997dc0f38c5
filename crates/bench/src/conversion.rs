//! `migration_outage`: how long nobody serves while etcd's v2 keys become v3 keys, over the floor of what that is made of.
//!
//! Counted is from the first member's stop to the last proof that the data which run are those that came out. The floor is the same by
//! the shortest script, on a cluster of the same shape and the same keys: stop all members one after the other as the plan does, etcd's own
//! `migrate` on one member's data, start all and wait until they serve, and one listing of every key and value, which is the least
//! that a proof can be. The script gives one member other data than the rest and proves nothing; it is a floor, not a way.
//! With 200,000 keys and 5,000 of them with a time to live it shows whether that grows with the keys and no faster, and beside it how
//! many leases a second are attached against one after the other, and how much memory the controller took.

use crate::{
    Measured,
    bed::{Bed, said},
    figure::{Figure, median, round},
    machine::{load, memory_peak_mb},
};
use futures::{StreamExt, TryStreamExt, stream};
use quorate_hosts::service;
use quorate_model::{Node, Policy, Recorded, RunEvent};
use quorate_transport::{
    Answer, LocalTransport, Transport,
    http::{HttpClient, HttpRequest},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

const ON: &str = "3.3.25";
const CONVERSION: &str = "v2-to-v3";
const RUNS: usize = 3;
const BAR: f64 = 1.5;
const BAR_MB: f64 = 300.0;
const BAR_LEASES: f64 = 10.0;
/// Writes in flight: etcd writes to its disk what comes together.
const IN_FLIGHT: usize = 64;
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// Two hundred thousand keys through one tool.
const TOOL_LIMIT: Duration = Duration::from_secs(120);
const SERVE_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// An hour: nothing ends while it is measured.
const TTL_SECS: u32 = 3600;
/// Enough to know how long one takes.
const ONE_BY_ONE: u32 = 200;

/// What is measured on one store.
struct Shape {
    keys: u32,
    passing: u32,
}

/// The promise.
pub(crate) fn ten_thousand() -> Measured {
    let shape = Shape { keys: 10_000, passing: 250 };
    let (mut ratios, mut outages, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let outage = converted(&shape)?.outage;
        let floor = floor(&shape)?;
        ratios.push(outage / floor);
        outages.push(round(outage));
        floors.push(round(floor));
    }
    let figure = Figure::at_most("migration_outage", median(&ratios), "times the floor", BAR)
        .over(&ratios)
        .with("keys", shape.keys)
        .with("outage_secs", outages)
        .with("floor_secs", floors)
        .with("load", load());
    Ok(vec![figure])
}

/// That it grows with the keys, and no faster.
pub(crate) fn two_hundred_thousand() -> Measured {
    let small = Shape { keys: 10_000, passing: 250 };
    let large = Shape { keys: 200_000, passing: 5_000 };
    let (few, many) = (converted(&small)?, converted(&large)?);
    let floor = floor(&large)?;
    let times = f64::from(large.keys) / f64::from(small.keys);
    let mb = memory_peak_mb(std::process::id()).ok_or("the kernel tells no memory")?;
    let one_by_one = one_by_one()?;
    // What the leases of five thousand keys add to the conversion of the others.
    let without = converted(&Shape { passing: 0, ..large })?;
    let leasing = (many.convert - without.convert).max(0.001);
    let rate = f64::from(large.passing) / leasing;
    Ok(vec![
        Figure::at_most(
            "migration_grows",
            many.outage / few.outage,
            "times as long with 20 times the keys",
            times,
        )
        .with("outage_secs", vec![round(few.outage), round(many.outage)])
        .with("floor_secs", round(floor))
        .with("convert_secs", vec![round(few.convert), round(many.convert)])
        .with("load", load()),
        Figure::at_most(
            "migration_memory",
            mb,
            "MB at most, the writing of the keys included",
            BAR_MB,
        ),
        Figure::at_least("lease_rate", rate / one_by_one, "times one after the other", BAR_LEASES)
            .with("a_second", round(rate))
            .with("one_by_one_a_second", round(one_by_one)),
        Figure::at_most("backup_verify", many.verify, "s for 200,000 keys", 60.0),
    ])
}

/// Seconds of one conversion.
struct Seconds {
    /// From the first stop to the last proof.
    outage: f64,
    /// Of the conversion itself.
    convert: f64,
    /// Of the proof of the copy that is taken before.
    verify: f64,
}

fn converted(shape: &Shape) -> Result<Seconds, String> {
    let bed = Bed::up(&[ON])?;
    fill(&bed, shape)?;
    let journal = bed.convert(ON, CONVERSION, |policy: &mut Policy| {
        policy.allow_outage = true;
        policy.soak = Duration::ZERO;
        policy.good_looks = 1;
        policy.look_every = LOOK_EVERY;
    })?;
    let begun = time(
        &journal,
        |event| matches!(event, RunEvent::Started { step, .. } if step.as_str().ends_with(".stop")),
    );
    let over = journal.iter().rev().find(|one| matches!(&one.event, RunEvent::Finished { step, .. } if step.as_str().contains(".proof.")));
    let (begun, over) = begun.zip(over).ok_or("the journal tells of no stop and proof")?;
    let took = |end: &str| {
        let of = |one: &Recorded| match &one.event {
            RunEvent::Finished { step, took, .. } if step.as_str().ends_with(end) => {
                Some(took.as_secs_f64())
            }
            _ => None,
        };
        journal.iter().find_map(of).ok_or(format!("no step ends with {end}"))
    };
    Ok(Seconds {
        outage: over.at.duration_since(begun.at).as_secs_f64(),
        convert: took(".convert.v2-as-v3")?,
        verify: took(".backup.verify-v2-copy")?,
    })
}

fn time(journal: &[Recorded], what: impl Fn(&RunEvent) -> bool) -> Option<&Recorded> {
    journal.iter().find(|one| what(&one.event))
}

/// Writes the keys, the last ones with a time to live.
fn fill(bed: &Bed, shape: &Shape) -> Result<(), String> {
    let nodes = &bed.cluster()?.nodes;
    let http = HttpClient::new(None, None).map_err(said)?;
    let write = |number: u32| {
        let (http, url) = (
            &http,
            url(
                &nodes[number as usize % nodes.len()],
                &format!("/v2/keys/app/{}/{number}", number % 100),
            ),
        );
        let ttl = if number >= shape.keys - shape.passing {
            format!("&ttl={TTL_SECS}")
        } else {
            String::new()
        };
        let request =
            HttpRequest::new("PUT", url).form(format!("value=the value of {number}{ttl}"));
        async move {
            let answer = http.send(&request, ASK_LIMIT).await.into_result()?;
            match answer.ok() {
                true => Ok(()),
                false => Err(format!("key {number} was not taken: {}", answer.text())),
            }
        }
    };
    let all = stream::iter((0..shape.keys).map(write)).buffer_unordered(IN_FLIGHT);
    bed.runtime.block_on(all.try_collect::<()>())
}

/// The shortest script.
fn floor(shape: &Shape) -> Result<f64, String> {
    let bed = Bed::up(&[ON])?;
    fill(&bed, shape)?;
    let cluster = bed.cluster()?;
    bed.runtime.block_on(async {
        let tool = tool(&bed).await?;
        let http = HttpClient::new(None, None).map_err(said)?;
        let began = Instant::now();
        for node in &cluster.nodes {
            let spec = node.service.as_ref().ok_or("a member has no service")?;
            service::stop(&LocalTransport, spec).await.into_result()?;
        }
        let first = cluster.nodes.first().ok_or("a cluster has members")?;
        let data =
            first.data_dir.as_ref().ok_or("a member has a data folder")?.display().to_string();
        let words = [tool.display().to_string(), "migrate".into(), "--data-dir".into(), data];
        let migrate = quorate_transport::Command::new(words).env("ETCDCTL_API", "3");
        let output = LocalTransport.run(&migrate, TOOL_LIMIT).await.into_result()?;
        if !output.ok() {
            return Err(output.complaint());
        }
        for node in &cluster.nodes {
            let spec = node.service.as_ref().ok_or("a member has no service")?;
            service::start(&LocalTransport, spec).await.into_result()?;
        }
        for node in &cluster.nodes {
            serves(&http, node).await?;
        }
        let words = ["--endpoints", &url(first, ""), "get", "", "--prefix", "--consistency=s"]
            .map(str::to_owned);
        let list = quorate_transport::Command::new(
            std::iter::once(tool.display().to_string()).chain(words),
        );
        let output =
            LocalTransport.run(&list.env("ETCDCTL_API", "3"), TOOL_LIMIT).await.into_result()?;
        if !output.ok() {
            return Err(output.complaint());
        }
        Ok(began.elapsed().as_secs_f64())
    })
}

async fn tool(bed: &Bed) -> Result<PathBuf, String> {
    let release = ON.parse().map_err(said)?;
    let cluster = bed.cluster()?;
    let artifact =
        bed.setup.artifact(&cluster.pack, &release).ok_or(format!("etcd {ON} is not at hand"))?;
    let files = bed.setup.cache.bring(&artifact).await.map_err(said)?;
    let at = artifact.files.iter().position(|file| file.name == "etcdctl");
    let file = at.and_then(|at| files.get(at)).ok_or(format!("etcd {ON} has no etcdctl"))?;
    // What lies in the cache is not to be run.
    let first = cluster.nodes.first().and_then(|node| node.data_dir.as_ref());
    let own = quorate_transport::beside(first.ok_or("a member has a data folder")?, ".etcdctl");
    fs::copy(file, &own).map_err(said)?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).map_err(said)?;
    Ok(own)
}

async fn serves(http: &HttpClient, node: &Node) -> Result<(), String> {
    let began = Instant::now();
    while began.elapsed() < SERVE_LIMIT {
        match http.send(&HttpRequest::get(url(node, "/health")), ASK_LIMIT).await {
            Answer::Done(answer) if answer.text().contains("true") => return Ok(()),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    Err(format!("{} does not serve after {} s", node.name, SERVE_LIMIT.as_secs()))
}

/// Leases granted and attached one after the other, a second.
fn one_by_one() -> Result<f64, String> {
    let bed = Bed::up(&[ON])?;
    let cluster = bed.cluster()?;
    let first = cluster.nodes.first().ok_or("a cluster has members")?;
    let http = HttpClient::new(None, None).map_err(said)?;
    bed.runtime.block_on(async {
        let began = Instant::now();
        for _ in 0..ONE_BY_ONE {
            let ask = |path: &str, body: String| {
                let request = HttpRequest::post_json(url(first, &format!("/v3beta/{path}")), body);
                let http = &http;
                async move { http.send(&request, ASK_LIMIT).await.into_result() }
            };
            let granted = ask("lease/grant", format!(r#"{{"TTL":{TTL_SECS},"ID":0}}"#)).await?;
            let id = granted.json().and_then(|said| said["ID"].as_str().map(str::to_owned));
            let id = id.ok_or_else(|| format!("no lease: {}", granted.text()))?;
            // `/app` and its value, each in base64.
            let put =
                ask("kv/put", format!(r#"{{"key":"L2FwcA==","value":"MQ==","lease":"{id}"}}"#))
                    .await?;
            if !put.ok() {
                return Err(format!("no key: {}", put.text()));
            }
        }
        Ok(f64::from(ONE_BY_ONE) / began.elapsed().as_secs_f64())
    })
}

fn url(node: &Node, path: &str) -> String {
    format!("{}{path}", node.endpoints.get("client").map_or("", String::as_str))
}
