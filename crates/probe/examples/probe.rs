//! Runs the client's view against a cluster by hand: `probe PACK.yaml NAME RELEASE SECS ENDPOINT,… [CA CERT KEY] [USER PASSWORD_FILE]`.
//! A pack file `-` means the built-in packs. `kill` a member meanwhile and read the gaps.

use quorate_model::{AuthSpec, Cluster, Host, Node, Policy, Secret, TlsSpec};
use quorate_packs::Packs;
use quorate_probe::{ClientEvent, ClientProbe, ProbeOptions};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

fn node(index: usize, url: &str) -> Node {
    Node {
        name: format!("m{}", index + 1).into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([("client".into(), url.to_owned())]),
        data_dir: None,
        service: None,
    }
}

/// Processor time of this process so far, in clock ticks of ten milliseconds.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [pack, name, release, secs, endpoints, rest @ ..] = words.as_slice() else {
        return Err(
            "usage: probe PACK.yaml NAME RELEASE SECS ENDPOINTS [CA CERT KEY] [USER PASSWORD_FILE]"
                .into(),
        );
    };
    let packs = match pack.as_str() {
        "-" => Packs::builtin().clone(),
        path => Packs::load(&[(path.to_owned(), std::fs::read_to_string(path)?)])
            .map_err(|e| format!("{e:?}"))?,
    };
    let pack = packs.shared(&name.as_str().into()).ok_or("no such pack")?;
    let (tls, auth) = match rest {
        [ca, cert, key, rest @ ..] => {
            (Some(TlsSpec { ca: ca.into(), cert: Some(cert.into()), key: Some(key.into()) }), rest)
        }
        rest => (None, rest),
    };
    let auth = match auth {
        [user, file] => {
            Some(AuthSpec { user: user.clone(), password: Secret::File(PathBuf::from(file)) })
        }
        _ => None,
    };
    let cluster = Cluster {
        name: "by-hand".into(),
        pack: pack.pack.clone(),
        environment: None,
        nodes: endpoints.split(',').enumerate().map(|(i, url)| node(i, url)).collect(),
        tls,
        auth,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    };
    let probe = ClientProbe::start(pack, &cluster, ProbeOptions::new(release.parse()?))?;
    let mut events = probe.events();
    let baseline = probe.baseline(Duration::from_secs(3)).await;
    println!("{baseline:?}");
    let (began, clock) = (ticks(), std::time::Instant::now());
    let end = tokio::time::Instant::now() + Duration::from_secs_f64(secs.parse()?);
    while let Ok(Ok(event)) = tokio::time::timeout_at(end, events.recv()).await {
        match event {
            ClientEvent::Sample(s) => println!(
                "acked {} failed {} p50 {} us max {} us gap {} ms",
                s.acked, s.failed, s.p50_us, s.max_us, s.gap_ms
            ),
            ClientEvent::Gap(gap) => println!("GAP {} ms at {}", gap.gap_ms, gap.at),
        }
    }
    let used = f64::from(u32::try_from(ticks() - began)?) * 10.0;
    println!("processor: {:.1} % of a core", used / clock.elapsed().as_secs_f64() / 10.0);
    match probe.finish().await {
        Ok(account) => println!("{account:#?}"),
        Err(error) => println!("{error}\nhint: {}\n{error:?}", error.hint()),
    }
    Ok(())
}
