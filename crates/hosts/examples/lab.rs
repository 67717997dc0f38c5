//! Drives labs by hand: `lab up DIR ARTIFACTS RELEASE MEMBERS [tls] [auth] [v2=N]`, `lab down DIR`, `lab list`,
//! `lab fault DIR NODE FAULT`, `lab debian CACHE RELEASE`, `lab swap DIR NODE ARTIFACTS RELEASE`.

use quorate_hosts::{
    artifacts::{Cache, Catalog, DebianRequest, Progress, debian},
    lab::{self, Damage, Fault, LabSpec, Registry},
    service,
    swap::{self, paths::NodePaths},
};
use quorate_model::{NodeName, PackName, Release};
use quorate_transport::LocalTransport;
use std::{error::Error, io::Write, path::PathBuf, time::Instant};

type Shown = Result<String, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let began = Instant::now();
    let text = match words.as_slice() {
        ["up", dir, artifacts, release, members, options @ ..] => {
            up(dir, artifacts, release, members, options).await
        }
        ["down", dir] => down(dir).await,
        ["list"] => list().await,
        ["fault", dir, node, what @ ..] => fault(dir, node, what).await,
        ["debian", cache, release] => from_debian(cache, release).await,
        ["swap", dir, node, artifacts, release] => upgrade(dir, node, artifacts, release).await,
        _ => Err("see the head of this example".into()),
    }?;
    writeln!(std::io::stdout(), "{text}\n{:.2} s", began.elapsed().as_secs_f64())?;
    Ok(())
}

fn say(progress: Progress) {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{:.3} {}", at.as_secs_f64() % 1000.0, progress.what);
}

async fn up(dir: &str, artifacts: &str, release: &str, members: &str, options: &[&str]) -> Shown {
    let release: Release = release.parse()?;
    let catalog = Catalog::scan(&[PathBuf::from(artifacts)]);
    let artifact = catalog.find(&PackName::new("etcd"), &release).ok_or("no such release there")?;
    let keys = options.iter().find_map(|option| option.strip_prefix("v2="));
    let spec = LabSpec {
        name: "demo".to_owned(),
        dir: PathBuf::from(dir),
        members: members.parse()?,
        tls: options.contains(&"tls"),
        auth: options.contains(&"auth"),
        extra_args: Vec::new(),
        clients: 0,
        v2_keys: keys.map(str::parse).transpose()?.unwrap_or_default(),
        artifact: artifact.clone(),
    };
    let cache = Cache::open(std::env::temp_dir().join("quorate-lab-cache"))?;
    let lab = lab::up(&LocalTransport::new(), &cache, &Registry::of_user(), &spec, &say).await?;
    Ok(serde_json::to_string_pretty(&lab.fleet)?)
}

async fn down(dir: &str) -> Shown {
    let down = lab::down(&LocalTransport::new(), &Registry::of_user(), dir.as_ref()).await?;
    Ok(format!("{down:?}"))
}

async fn list() -> Shown {
    Ok(format!("{:#?}", lab::list(&LocalTransport::new(), &Registry::of_user()).await))
}

async fn fault(dir: &str, node: &str, what: &[&str]) -> Shown {
    let fault = match what {
        ["kill"] => Fault::Kill,
        ["freeze"] => Fault::Freeze,
        ["thaw"] => Fault::Thaw,
        ["stop"] => Fault::Stop,
        ["start"] => Fault::Start,
        ["fill-disk"] => Fault::FillDisk,
        ["free-disk"] => Fault::FreeDisk,
        ["truncate", release] => {
            Fault::DamageArtifact { release: release.parse()?, damage: Damage::Truncate }
        }
        ["flip", release] => {
            Fault::DamageArtifact { release: release.parse()?, damage: Damage::FlipBytes }
        }
        _ => return Err("no such fault".into()),
    };
    Ok(lab::fault(&LocalTransport::new(), dir.as_ref(), &NodeName::new(node), &fault).await?)
}

async fn from_debian(cache: &str, release: &str) -> Shown {
    let request = DebianRequest {
        pack: PackName::new("etcd"),
        release: release.parse()?,
        suites: debian::SUITES.map(str::to_owned).to_vec(),
        packages: ["etcd-server", "etcd-client"].map(str::to_owned).to_vec(),
        binaries: ["etcd", "etcdctl", "etcdutl"].map(str::to_owned).to_vec(),
        keep: Vec::new(),
    };
    let upstream = |version: &str| version.split(['+', '-', '~']).next()?.parse().ok();
    match debian::fetch(&Cache::open(cache)?, &request, &upstream, &say).await {
        Ok(artifact) => Ok(format!("{artifact:#?}")),
        Err(error) => Err(error.sentence().into()),
    }
}

async fn upgrade(dir: &str, node: &str, artifacts: &str, release: &str) -> Shown {
    let (transport, release) = (LocalTransport::new(), release.parse::<Release>()?);
    let catalog = Catalog::scan(&[PathBuf::from(artifacts)]);
    let artifact = catalog.find(&PackName::new("etcd"), &release).ok_or("no such release there")?;
    let cache = Cache::open(std::env::temp_dir().join("quorate-lab-cache"))?;
    let state = lab::state(dir.as_ref())?;
    let (_, spec) = state
        .services()
        .into_iter()
        .find(|(name, _)| name.as_str() == node)
        .ok_or("no such node")?;
    let paths = NodePaths::of_service(spec).ok_or("no binary")?;
    let mut lines = Vec::new();
    let mut began = Instant::now();
    let mut lap = |what: &str| {
        lines.push(format!("{what}: {:.0} ms", began.elapsed().as_secs_f64() * 1000.0));
        began = Instant::now();
    };
    swap::stage(&transport, &paths, artifact, &cache, &swap::Prints::default())
        .await
        .into_result()?;
    lap("stage");
    service::stop(&transport, spec).await.into_result()?;
    lap("stop");
    swap::swap(&transport, &paths, &state.release, artifact, None).await.into_result()?;
    lap("swap");
    service::start(&transport, spec).await.into_result()?;
    lap("start");
    Ok(lines.join("\n"))
}
