//! Looks at a cluster by hand: `look PACK.yaml NAME ENDPOINT STATE_DIR [CA CERT KEY] [USER PASSWORD_FILE]` adopts it,
//! shows the full look as JSON, and times a hundred looks as gates take them. A pack file `-` means the built-in packs.

use quorate_model::{AuthSpec, Host, Secret, TlsSpec};
use quorate_observe::{AdoptOptions, Clients, Depth, Observer, Tools, Transports, adopt};
use quorate_packs::Packs;
use quorate_transport::{LocalTransport, Transport};
use std::{path::PathBuf, sync::Arc, time::Instant};

fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [pack, name, endpoint, state_dir, rest @ ..] = words.as_slice() else {
        return Err(
            "usage: look PACK.yaml NAME ENDPOINT STATE_DIR [CA CERT KEY] [USER PASSWORD_FILE]"
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
    let transports: Transports = Arc::new(|host| match host {
        Host::Ssh(host) => {
            panic!("{} is on another machine: this example looks at this one", host.name)
        }
        Host::Local => Arc::new(LocalTransport::new()) as Arc<dyn Transport>,
    });
    let options = AdoptOptions {
        endpoint: endpoint.clone(),
        name: "adopted".into(),
        tls,
        auth,
        state_dir: state_dir.into(),
    };
    let adopted = match adopt(&pack, &transports, &options, jiff::Timestamp::now()).await {
        Ok(adopted) => adopted,
        Err(error) => return Err(format!("{error}\nhint: {}", error.hint()).into()),
    };
    println!("{}", serde_json::to_string_pretty(&adopted.cluster)?);
    println!("{}", serde_json::to_string_pretty(&adopted.observation)?);
    println!("{:#?}", adopted.notes);
    let clients = Clients::new(&pack, &adopted.cluster)?;
    let observer = Observer::new(pack, &adopted.cluster, transports, clients, Tools::none())?;
    observer.look(Depth::Gate, jiff::Timestamp::now()).await;
    let (began, clock) = (ticks(), Instant::now());
    for _ in 0..100 {
        observer.look(Depth::Gate, jiff::Timestamp::now()).await;
    }
    let used = f64::from(u32::try_from(ticks() - began)?) * 10.0;
    println!(
        "100 gate looks: {:.2} ms each, {used} ms of processor in all",
        clock.elapsed().as_secs_f64() * 10.0
    );
    Ok(())
}
