//! Makes the keys of a lab beforehand, so that clients can check every machine strictly from the first connection on.

use super::{super::place::write, LOCAL_LIMIT, LabError, Machine, place, run};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use quorate_transport::Command;
use std::{fmt::Write as _, fs, path::Path};

/// Keys that are made at once: more would only wait for a processor.
const AT_ONCE: usize = 4;

/// Makes the lab's key and each machine's.
pub(super) async fn make(dir: &Path, machines: &[Machine]) -> Result<(), LabError> {
    pair(&dir.join("id_ed25519"), "quorate-lab").await?;
    let mut each = Vec::new();
    for machine in machines {
        let home = place::home(dir, &machine.name);
        fs::create_dir_all(&home).map_err(LabError::disk("make", &home))?;
        let path = home.join("ssh_host_ed25519_key");
        each.push(async move { pair(&path, &machine.name).await }.boxed());
    }
    stream::iter(each).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(drop)
}

async fn pair(path: &Path, comment: &str) -> Result<(), LabError> {
    let path = path.to_string_lossy();
    let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &path];
    run("making a key", Command::new(words), LOCAL_LIMIT).await.map(drop)
}

/// Writes what an SSH client needs: the machines' keys, and a configuration that names them.
pub(super) fn write_config(dir: &Path, machines: &[Machine]) -> Result<(), LabError> {
    let mut known = String::new();
    for machine in machines {
        let path = place::home(dir, &machine.name).join("ssh_host_ed25519_key.pub");
        let key = fs::read_to_string(&path).map_err(LabError::disk("read", &path))?;
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        // Writing to a text cannot fail.
        let _ = writeln!(known, "{},{} {}", machine.name, machine.address, key.join(" "));
    }
    write(&dir.join("known_hosts"), known.as_bytes(), 0o644)?;
    write(&dir.join("ssh_config"), config(dir, machines).as_bytes(), 0o644)
}

fn config(dir: &Path, machines: &[Machine]) -> String {
    let mut text = String::new();
    for Machine { name, address, user, .. } in machines {
        let _ = write!(
            text,
            "Host {name}\n    HostName {address}\n    User {user}\n    IdentityFile \"{0}/id_ed25519\"\n    \
             IdentitiesOnly yes\n    UserKnownHostsFile \"{0}/known_hosts\"\n    StrictHostKeyChecking yes\n\n",
            dir.display()
        );
    }
    text
}
