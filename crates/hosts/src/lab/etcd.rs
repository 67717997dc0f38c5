//! What a lab must know of etcd: addresses, flags, health, users, old keys.
//!
//! Only flags that every release from 2.2 to the newest accepts are given, so that a lab can go through all of them;
//! the exception is `enable-v2`, which old keys need.

use super::{
    LabError, LabSpec, Registry,
    certs::Certs,
    place::at_least,
    product::{Agent, REQUEST_LIMIT},
};
use quorate_model::Release;
use quorate_transport::{
    Answer,
    http::{HttpClient, HttpRequest},
};
use std::path::Path;

/// One member to be.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) client_url: String,
    pub(super) peer_url: String,
}

/// Refuses what the release cannot do, before anything is made.
pub(super) fn suits(spec: &LabSpec) -> Result<(), LabError> {
    let release = &spec.artifact.release;
    if spec.clients > 0 {
        return Err(LabError::Input("etcd has no clients that belong to its cluster".to_owned()));
    }
    if spec.auth && at_least(release, "3.0") == Some(false) {
        return Err(LabError::Input(format!(
            "a lab with a user needs etcd 3.0 or newer, not {release}"
        )));
    }
    if spec.v2_keys > 0 && at_least(release, "3.6") == Some(true) {
        return Err(LabError::Input(format!(
            "etcd {release} has no v2 API any more: v2 keys need 3.5 or older"
        )));
    }
    Ok(())
}

/// Names and addresses of all members: two ports each.
pub(super) fn agents(
    spec: &LabSpec,
    registry: &Registry,
    dir: &Path,
) -> Result<(Vec<Agent>, Vec<u16>), LabError> {
    let members = usize::try_from(spec.members).unwrap_or_default();
    let ports = registry.reserve(dir, members * 2)?;
    let scheme = if spec.tls { "https" } else { "http" };
    let at =
        |port: Option<&u16>| format!("{scheme}://127.0.0.1:{}", port.copied().unwrap_or_default());
    let agents = ports.chunks_exact(2).zip(1..).map(|(ports, number)| Agent {
        name: format!("{}-{number}", spec.name),
        group: "server",
        endpoints: vec![("client", at(ports.first())), ("peer", at(ports.last()))],
    });
    Ok((agents.collect(), ports))
}

/// The arguments of one member.
pub(super) fn args(
    spec: &LabSpec,
    member: &Member,
    all: &[Member],
    data_dir: &Path,
    certs: Option<&Certs>,
) -> Vec<String> {
    let cluster: Vec<String> = all.iter().map(|m| format!("{}={}", m.name, m.peer_url)).collect();
    let mut args = vec![
        format!("--name={}", member.name),
        format!("--data-dir={}", data_dir.display()),
        format!("--listen-client-urls={}", member.client_url),
        format!("--advertise-client-urls={}", member.client_url),
        format!("--listen-peer-urls={}", member.peer_url),
        format!("--initial-advertise-peer-urls={}", member.peer_url),
        format!("--initial-cluster={}", cluster.join(",")),
        "--initial-cluster-state=new".to_owned(),
        format!("--initial-cluster-token=lab-{}", spec.name),
    ];
    if let Some(certs) = certs {
        let (ca, cert, key) =
            (certs.ca.display(), certs.server.display(), certs.server_key.display());
        for prefix in ["", "peer-"] {
            args.push(format!("--{prefix}cert-file={cert}"));
            args.push(format!("--{prefix}key-file={key}"));
            args.push(format!("--{prefix}trusted-ca-file={ca}"));
            args.push(format!("--{prefix}client-cert-auth=true"));
        }
    }
    // From 3.4 on the v2 API is off unless asked for; 3.2 and older have no such flag and always serve it.
    if spec.v2_keys > 0 && at_least(&spec.artifact.release, "3.3") == Some(true) {
        args.push("--enable-v2=true".to_owned());
    }
    args.extend(spec.extra_args.iter().cloned());
    args
}

/// Asks a member once whether it serves; the error says what it answered.
pub(super) async fn serves(http: &HttpClient, url: &str) -> Result<(), String> {
    match http.send(&HttpRequest::get(format!("{url}/health")), REQUEST_LIMIT).await {
        Answer::Done(response) => {
            let health = response.json().and_then(|json| json.get("health").cloned());
            let healthy = health.is_some_and(|value| value == "true" || value == true);
            if response.ok() && healthy {
                Ok(())
            } else {
                Err(format!("{url}/health answers {}: {}", response.status, response.text().trim()))
            }
        }
        Answer::Failed(because) | Answer::Unknown(because) => Err(because),
    }
}

/// Writes keys, then makes users: with users on, nobody else may write.
pub(super) async fn prepare(
    http: &HttpClient,
    spec: &LabSpec,
    url: &str,
    password: Option<&str>,
) -> Result<(), LabError> {
    if spec.v2_keys > 0 {
        write_v2_keys(http, url, spec.v2_keys).await?;
    }
    match password {
        Some(password) => enable_auth(http, url, &spec.artifact.release, password).await,
        None => Ok(()),
    }
}

/// Makes the user `root` and turns authentication on, through the JSON gateway.
async fn enable_auth(
    http: &HttpClient,
    url: &str,
    release: &Release,
    password: &str,
) -> Result<(), LabError> {
    let gateway = gateway(release);
    let steps = [
        ("user/add", serde_json::json!({"name": "root", "password": password})),
        ("role/add", serde_json::json!({"name": "root"})),
        ("user/grant", serde_json::json!({"user": "root", "role": "root"})),
        ("enable", serde_json::json!({})),
    ];
    for (path, body) in steps {
        let request =
            HttpRequest::post_json(format!("{url}/{gateway}/auth/{path}"), body.to_string());
        let because = match http.send(&request, REQUEST_LIMIT).await {
            Answer::Done(response)
                if response.ok() || response.text().contains("role name already exists") =>
            {
                continue;
            }
            Answer::Done(response) => {
                format!("it answered {}: {}", response.status, response.text().trim())
            }
            Answer::Failed(because) | Answer::Unknown(because) => because,
        };
        return Err(LabError::Setup {
            what: format!("turn on authentication with auth/{path}"),
            because,
        });
    }
    Ok(())
}

/// The prefix of the JSON gateway, which moved three times.
fn gateway(release: &Release) -> &'static str {
    if at_least(release, "3.4") == Some(true) {
        "v3"
    } else if at_least(release, "3.3") == Some(true) {
        "v3beta"
    } else {
        "v3alpha"
    }
}

/// Writes keys through the v2 API.
async fn write_v2_keys(http: &HttpClient, url: &str, count: u32) -> Result<(), LabError> {
    for number in 1..=count {
        let request = HttpRequest::new("PUT", format!("{url}/v2/keys/lab/key-{number}"))
            .form(format!("value=value-{number}"));
        let because = match http.send(&request, REQUEST_LIMIT).await {
            Answer::Done(response) if response.ok() => continue,
            Answer::Done(response) => {
                format!("it answered {}: {}", response.status, response.text().trim())
            }
            Answer::Failed(because) | Answer::Unknown(because) => because,
        };
        return Err(LabError::Setup { what: format!("write v2 key {number} of {count}"), because });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{ArtifactRef, ArtifactSource};

    #[test]
    fn old_keys_ask_for_the_old_api_only_where_the_flag_exists() {
        let member = || Member {
            name: "demo-1".into(),
            client_url: "http://a".into(),
            peer_url: "http://b".into(),
        };
        let has_flag = |release: &str, v2_keys: u32| {
            let artifact = ArtifactRef {
                pack: "etcd".into(),
                release: release.parse().unwrap(),
                source: ArtifactSource::Folder("/nowhere".into()),
                files: Vec::new(),
            };
            let spec = LabSpec {
                name: "demo".into(),
                dir: "/nowhere".into(),
                members: 3,
                clients: 0,
                tls: false,
                auth: false,
                v2_keys,
                extra_args: Vec::new(),
                artifact,
            };
            let args = args(&spec, &member(), &[member()], Path::new("/data"), None);
            args.iter().any(|arg| arg == "--enable-v2=true")
        };
        assert!(has_flag("3.3.25", 1));
        assert!(!has_flag("3.3.25", 0));
        assert!(!has_flag("3.2.32", 1));
    }
}
