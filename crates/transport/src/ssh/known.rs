//! Known host keys: whether a host is who it was, and what is done with one that nobody has met.
//!
//! Invariant: a key that differs from the known one of its kind, or that is revoked, is refused whatever the policy says.

use super::config::Target;
use hmac::{Hmac, KeyInit, Mac};
use quorate_model::HostKeys;
use russh::keys::{
    Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate,
    ssh_key::known_hosts::{Entry, HostPatterns, Marker},
};
use sha1::Sha1;
use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};
use wildmatch::WildMatch;

/// Files of known host keys, each read once.
#[derive(Clone, Default)]
pub(super) struct KnownHosts {
    files: Arc<Mutex<HashMap<PathBuf, Arc<Vec<Line>>>>>,
}

struct Line {
    number: usize,
    entry: Entry,
}

/// Why a host key is refused: for a sentence that begins with the host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) String);

impl KnownHosts {
    /// Kinds of keys under which the host is known: it is asked for one of these, so that it cannot show another one.
    pub(super) fn kinds(&self, target: &Target) -> Vec<Algorithm> {
        let mut kinds = Vec::new();
        self.each(target, |_, line| {
            if line.entry.marker().is_none()
                && !kinds.contains(&line.entry.public_key().algorithm())
            {
                kinds.push(line.entry.public_key().algorithm());
            }
        });
        kinds
    }

    /// Whether an authority is known that may sign this host's key.
    pub(super) fn has_authority(&self, target: &Target) -> bool {
        let mut found = false;
        self.each(target, |_, line| {
            found |= line.entry.marker() == Some(&Marker::CertAuthority);
        });
        found
    }

    /// Judges what a host showed.
    pub(super) fn judge(
        &self,
        target: &Target,
        shown: &PublicKeyOrCertificate,
        policy: HostKeys,
    ) -> Result<(), Refusal> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.judge_key(target, key, policy),
            PublicKeyOrCertificate::Certificate(certificate) => {
                self.judge_certificate(target, certificate)
            }
        }
    }

    fn judge_key(&self, target: &Target, key: &PublicKey, policy: HostKeys) -> Result<(), Refusal> {
        let print = key.fingerprint(HashAlg::Sha256);
        let (mut same, mut other, mut revoked) = (false, None, None);
        self.each(target, |file, line| {
            let place = || format!("{}, line {}", file.display(), line.number);
            let equal = line.entry.public_key().key_data() == key.key_data();
            match line.entry.marker() {
                Some(Marker::Revoked) if equal => revoked = Some(place()),
                Some(Marker::Revoked | Marker::CertAuthority) => {}
                None if equal => same = true,
                None if line.entry.public_key().algorithm() == key.algorithm() => {
                    other.get_or_insert_with(place);
                }
                None => {}
            }
        });
        if let Some(place) = revoked {
            return Err(Refusal(format!("its host key {print} is revoked ({place})")));
        }
        if same {
            return Ok(());
        }
        if let Some(place) = other {
            return Err(Refusal(format!(
                "its host key has changed: it shows {print}, another one is known ({place}); somebody may be in between, or the host was made anew: ask who runs it, then correct that line"
            )));
        }
        match policy {
            HostKeys::Strict => Err(Refusal(format!(
                "its host key {print} is not known: compare it on the host (`ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub`), then log in once with `ssh {}`, or say `ssh: {{host_keys: accept-new}}` in the fleet file",
                short(&key.algorithm()),
                target.name,
            ))),
            HostKeys::AcceptNew => self.learn(target, key),
        }
    }

    fn judge_certificate(
        &self,
        target: &Target,
        certificate: &russh::keys::Certificate,
    ) -> Result<(), Refusal> {
        let mut authorities = Vec::new();
        self.each(target, |_, line| {
            if line.entry.marker() == Some(&Marker::CertAuthority) {
                authorities.push(line.entry.public_key().fingerprint(HashAlg::Sha256));
            }
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let name = target.key_alias.as_deref().unwrap_or(&target.host);
        let names = certificate.valid_principals();
        if !certificate.cert_type().is_host() {
            return Err(Refusal("it shows a certificate that is not one of a host".into()));
        }
        if !names.is_empty() && !names.iter().any(|own| own == name) {
            return Err(Refusal(format!(
                "its certificate is for {}, not for {name}",
                names.join(", ")
            )));
        }
        certificate.validate_at(now, &authorities).map_err(|cause| {
            Refusal(format!("its certificate is not valid by any known authority: {cause}"))
        })
    }

    /// Writes a new key down. When that fails the key is refused: it would be new again the next time.
    fn learn(&self, target: &Target, key: &PublicKey) -> Result<(), Refusal> {
        let refused =
            |because: String| Refusal(format!("its new host key cannot be kept: {because}"));
        let file = target.known_hosts.first().ok_or_else(|| refused("no file is named".into()))?;
        let text = key.to_openssh().map_err(|cause| refused(cause.to_string()))?;
        let line = format!("{} {text}\n", names(target).remove(0));
        let written = || -> std::io::Result<()> {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let ends =
                std::fs::read(file).is_ok_and(|old| !old.is_empty() && !old.ends_with(b"\n"));
            let line = if ends { format!("\n{line}") } else { line.clone() };
            // One write, so that lines of several hosts never mix.
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(file)?
                .write_all(line.as_bytes())
        };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        written().map_err(|cause| {
            refused(format!("{}: {}", file.display(), crate::local::because(&cause)))
        })?;
        files.remove(file);
        Ok(())
    }

    fn each(&self, target: &Target, mut visit: impl FnMut(&Path, &Line)) {
        let names = names(target);
        for file in &target.known_hosts {
            for line in
                self.file(file).iter().filter(|line| fits(line.entry.host_patterns(), &names))
            {
                visit(file, line);
            }
        }
    }

    fn file(&self, path: &Path) -> Arc<Vec<Line>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.get(path) {
            return known.clone();
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().enumerate().filter_map(|(at, line)| {
            let plain = line.split_whitespace().collect::<Vec<_>>().join(" ");
            // A line that cannot be read knows nobody, as with OpenSSH: an old key format does not lock everybody out.
            let entry = (!plain.is_empty() && !plain.starts_with('#')).then(|| plain.parse().ok());
            Some(Line { number: at + 1, entry: entry.flatten()? })
        });
        let known = Arc::new(lines.collect::<Vec<_>>());
        files.insert(path.to_owned(), known.clone());
        known
    }
}

/// Names under which a host is known, the one to write down first.
fn names(target: &Target) -> Vec<String> {
    let name = target.key_alias.as_ref().unwrap_or(&target.host).to_lowercase();
    match target.port {
        22 => vec![name],
        port => vec![format!("[{name}]:{port}")],
    }
}

fn fits(patterns: &HostPatterns, names: &[String]) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => names.iter().any(|name| {
            Hmac::<Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok())
        }),
        HostPatterns::Patterns(patterns) => {
            let matched = |pattern: &str| {
                names.iter().any(|name| WildMatch::new_case_insensitive(pattern).matches(name))
            };
            let no = patterns.iter().filter_map(|p| p.strip_prefix('!')).any(matched);
            !no && patterns.iter().filter(|p| !p.starts_with('!')).any(|p| matched(p))
        }
    }
}

fn short(kind: &Algorithm) -> &'static str {
    match kind {
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::Ecdsa { .. } => "ecdsa",
        _ => "ed25519",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::config::CONNECT_LIMIT;

    const OWN: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn target(host: &str, port: u16, file: &Path) -> Target {
        Target {
            name: host.into(),
            host: host.into(),
            port,
            user: "anna".into(),
            identities: Vec::new(),
            certificates: Vec::new(),
            identities_only: false,
            agent: None,
            jumps: Vec::new(),
            known_hosts: vec![file.to_owned()],
            key_alias: None,
            connect_limit: CONNECT_LIMIT,
            alive_every: None,
        }
    }

    fn shown(text: &str) -> PublicKeyOrCertificate {
        PublicKeyOrCertificate::PublicKey { key: text.parse().unwrap(), hash_alg: None }
    }

    fn judged(
        known: &str,
        host: &str,
        port: u16,
        key: &str,
        policy: HostKeys,
    ) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, known).unwrap();
        let target = target(host, port, &file);
        KnownHosts::default().judge(&target, &shown(key), policy).map_err(|Refusal(text)| text)
    }

    #[test]
    fn a_known_key_is_believed_and_another_refused() {
        let known =
            format!("# people\nbroken line\n[db-1]:2222\t{OWN} comment\ndb-*,!db-9 {OWN}\n");
        for policy in [HostKeys::Strict, HostKeys::AcceptNew] {
            assert_eq!(judged(&known, "db-1", 2222, OWN, policy), Ok(()));
            assert_eq!(judged(&known, "DB-2", 22, OWN, policy), Ok(()));
            let changed = judged(&known, "db-1", 2222, OTHER, policy).unwrap_err();
            assert!(changed.contains("has changed") && changed.contains("line 3"), "{changed}");
        }
        let strict = judged(&known, "db-9", 22, OWN, HostKeys::Strict).unwrap_err();
        assert!(strict.contains("is not known") && strict.contains("SHA256:"), "{strict}");
    }

    #[test]
    fn a_hashed_name_is_found() {
        // As `ssh-keygen -H` writes it for example.com.
        let known = "|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF\n";
        let key = known.split_once(' ').unwrap().1.trim();
        assert_eq!(judged(known, "example.com", 22, key, HostKeys::Strict), Ok(()));
        assert!(judged(known, "example.org", 22, key, HostKeys::Strict).is_err());
    }

    #[test]
    fn a_revoked_key_is_refused_although_it_is_known() {
        let known = format!("db-1 {OWN}\n@revoked * {OWN}\n");
        for policy in [HostKeys::Strict, HostKeys::AcceptNew] {
            assert!(judged(&known, "db-1", 22, OWN, policy).unwrap_err().contains("revoked"));
        }
    }

    #[test]
    fn a_new_key_is_written_down_once_and_then_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ssh/known_hosts");
        let (hosts, target) = (KnownHosts::default(), target("db-1", 2222, &file));
        hosts.judge(&target, &shown(OWN), HostKeys::AcceptNew).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("[db-1]:2222 {OWN}\n"));
        assert_eq!(hosts.kinds(&target), [Algorithm::Ed25519]);
        hosts.judge(&target, &shown(OWN), HostKeys::Strict).unwrap();
        let changed = hosts.judge(&target, &shown(OTHER), HostKeys::AcceptNew).unwrap_err();
        assert!(changed.0.contains("has changed"));
    }
}
