//! `quorate init`: a commented starter, running clusters adopted, or hosts of Ansible.

use super::plan::write;
use crate::{
    args::{Global, Init},
    print, site,
};
use quorate_model::{AuthSpec, Secret, SshSpec, TlsSpec};
use quorate_runner::{
    ops::adopt::{AdoptRequest, ansible, cluster, hosts},
    problem::{FILE, NO_ADOPTION, Problem},
};

pub(crate) async fn run(global: &Global, args: Init) -> Result<u8, Problem> {
    if args.file.exists() && !args.force {
        return Err(Problem::new(
            FILE,
            format!("{} is there already; it was left as it is", args.file.display()),
        )
        .hint("name another file, or overwrite it with `--force`"));
    }
    if !args.ansible.is_empty() {
        let packs = site::packs(global)?;
        let (text, hosts) = ansible(&packs, &args.ansible, &args.name, &args.file).await?;
        write(&args.file, &text)?;
        print::say(&format!(
            "{} is written, with {hosts} hosts; look with `quorate inventory`, and declare clusters of its groups",
            args.file.display()
        ));
        return Ok(0);
    }
    if args.endpoint.is_none() && args.ssh.is_empty() {
        write(&args.file, STARTER)?;
        print::say(&format!(
            "{} is written: change its addresses, then look with `quorate detect`",
            args.file.display()
        ));
        return Ok(0);
    }
    let tls = match (&args.ca, &args.cert, &args.key) {
        (Some(ca), cert, key) => Some(TlsSpec {
            ca: absolute(ca),
            cert: cert.as_deref().map(absolute),
            key: key.as_deref().map(absolute),
        }),
        (None, None, None) => None,
        (None, ..) => {
            return Err(Problem::new(
                NO_ADOPTION,
                "a client certificate without `--ca` cannot be used",
            )
            .hint("add `--ca FILE`"));
        }
    };
    let auth = match (args.user, &args.password_file) {
        (Some(user), Some(file)) => Some(AuthSpec { user, password: Secret::File(absolute(file)) }),
        (Some(user), None) => {
            Some(AuthSpec { user, password: Secret::Env("QUORATE_PASSWORD".into()) })
        }
        (None, _) => None,
    };
    let endpoint = args.endpoint.unwrap_or_default();
    let request = AdoptRequest { pack: args.pack, endpoint, name: args.name, tls, auth };
    let packs = site::packs(global)?;
    let (text, notes) = if args.ssh.is_empty() {
        cluster(&packs, &request, &args.file).await?
    } else {
        let ssh = SshSpec { config: args.ssh_config.map(absolute), ..SshSpec::default() };
        hosts(&packs, &args.ssh, &ssh, &request, &args.file).await?
    };
    write(&args.file, &text)?;
    for note in notes {
        print::say(&format!("note: {note}"));
    }
    print::say(&format!(
        "{} is written; nothing was touched. Look with `quorate detect`",
        args.file.display()
    ));
    Ok(0)
}

fn absolute(path: impl AsRef<std::path::Path>) -> std::path::PathBuf {
    std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned())
}

/// A starter for a person to fill in. A test reads it, so that it cannot rot.
pub(crate) const STARTER: &str = include_str!("starter.yaml");
