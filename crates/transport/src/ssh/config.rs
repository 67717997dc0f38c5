//! The OpenSSH client configuration: what a name stands for, and how it is reached.
//!
//! Host patterns, `Include`, `Match all` and `Match host` are understood. A `Match` block with another condition applies to
//! nobody: what it says is never taken for what the block before it says.

use quorate_model::SshSpec;
use ssh2_config::{HostParams, ParseRule, SshConfig};
use std::{
    collections::HashSet,
    io::Cursor,
    path::{Path, PathBuf},
    time::Duration,
};

/// Ten seconds: three lost packets of a connection attempt are repeated within seven; a host that needs longer to greet is
/// not one to change now.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The port of SSH.
const PORT: u16 = 22;
/// Key files that OpenSSH tries when none is named, most modern first.
const IDENTITIES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As it was asked for.
    pub name: String,
    /// Address or name to connect to.
    pub host: String,
    /// Port to connect to.
    pub port: u16,
    /// User to log in as.
    pub user: String,
    /// Key files, in the order in which they are tried.
    pub identities: Vec<PathBuf>,
    /// Certificates beside those of the key files.
    pub certificates: Vec<PathBuf>,
    /// Whether the agent may offer only keys of those files.
    pub identities_only: bool,
    /// The agent's socket; none when no agent is to be used.
    pub agent: Option<PathBuf>,
    /// Hosts on the way, the first one first.
    pub jumps: Vec<String>,
    /// Files of known host keys; a new key goes into the first.
    pub known_hosts: Vec<PathBuf>,
    /// The name under which its key is known, when that is not its address.
    pub key_alias: Option<String>,
    /// Time for the connection to stand, from the first packet to the proof of who we are.
    pub connect_limit: Duration,
    /// Silence after which the host is asked whether it is still there.
    pub alive_every: Option<Duration>,
}

/// Client configurations, the first to say something wins.
pub(super) struct Config {
    files: Vec<SshConfig>,
    home: PathBuf,
    user: String,
    agent: Option<PathBuf>,
    machine_known_hosts: Vec<PathBuf>,
}

/// Why no configuration can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read the SSH configuration {}: {because}", path.display())]
    Unreadable { path: PathBuf, because: String },
    /// A file cannot be understood.
    #[error("the SSH configuration {} cannot be understood: {because}", path.display())]
    Wrong { path: PathBuf, because: String },
}

impl Config {
    /// Reads what the fleet names, or what `ssh` itself would read.
    pub(super) fn read(spec: &SshSpec) -> Result<Self, ConfigError> {
        let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
        let files = match &spec.config {
            Some(path) => vec![read_file(path, &home, true)?],
            None => {
                let own = read_file(&home.join(".ssh/config"), &home, false)?;
                let machine = read_file(Path::new("/etc/ssh/ssh_config"), &home, false)?;
                vec![own, machine]
            }
        };
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
        Ok(Self {
            files: files.into_iter().flatten().collect(),
            user: user.map_or_else(|| "root".to_owned(), |user| user.name),
            agent: std::env::var_os("SSH_AUTH_SOCK").filter(|v| !v.is_empty()).map(PathBuf::from),
            machine_known_hosts: vec!["/etc/ssh/ssh_known_hosts".into()],
            home,
        })
    }

    /// What a name stands for: `db-1`, `anna@db-1`, `db-1:2222`, `[::1]:2222`.
    pub(super) fn target(&self, name: &str) -> Target {
        let (user, host, port) = split(name);
        let said = Said::of(&self.files, host);
        let asked_user = user.map(str::to_owned).or_else(|| said.params.user.clone());
        let user = asked_user.unwrap_or_else(|| self.user.clone());
        let port = port.or(said.params.port).unwrap_or(PORT);
        let address = match &said.params.host_name {
            Some(text) => text.replace("%h", host).replace("%%", "%"),
            None => host.to_owned(),
        };
        let words = Words { config: self, alias: host, host: &address, port, user: &user };
        let key_alias = said.text("hostkeyalias").map(|text| words.expanded(&text));
        let none = |path: &PathBuf| path.as_os_str() == "none";
        let named = said.params.identity_file.clone().unwrap_or_default();
        let identities: Vec<PathBuf> = if named.is_empty() {
            IDENTITIES.iter().map(|file| self.home.join(".ssh").join(file)).collect()
        } else {
            named.iter().filter(|path| !none(path)).map(|path| words.path(path)).collect()
        };
        let certificates =
            said.params.certificate_file.iter().map(|path| words.path(path)).collect();
        let agent = match said.text("identityagent") {
            Some(text) if text == "none" => None,
            Some(text) if text == "SSH_AUTH_SOCK" => self.agent.clone(),
            Some(text) => Some(words.path(Path::new(&text))),
            None => self.agent.clone(),
        };
        let jumps = said.params.proxy_jump.clone().unwrap_or_default();
        Target {
            identities,
            certificates,
            identities_only: said.yes("identitiesonly"),
            agent,
            jumps: jumps
                .into_iter()
                .map(|jump| jump.trim_start_matches("ssh://").to_owned())
                .filter(|jump| jump != "none")
                .collect(),
            known_hosts: self.known_hosts(&said, &words),
            key_alias,
            connect_limit: said.params.connect_timeout.unwrap_or(CONNECT_LIMIT),
            alive_every: said.params.server_alive_interval.filter(|every| !every.is_zero()),
            name: name.to_owned(),
            host: address.clone(),
            port,
            user: user.clone(),
        }
    }

    fn known_hosts(&self, said: &Said, words: &Words<'_>) -> Vec<PathBuf> {
        let files = |key: &str| -> Option<Vec<PathBuf>> {
            let named = said.params.unsupported_fields.get(key)?;
            let kept = named.iter().filter(|path| *path != "none");
            Some(kept.map(|path| words.path(Path::new(path))).collect())
        };
        let ssh = self.home.join(".ssh");
        let own = files("userknownhostsfile")
            .unwrap_or_else(|| vec![ssh.join("known_hosts"), ssh.join("known_hosts2")]);
        let machine =
            files("globalknownhostsfile").unwrap_or_else(|| self.machine_known_hosts.clone());
        own.into_iter().chain(machine).collect()
    }
}

/// What the configurations say of one name.
struct Said {
    params: HostParams,
}

impl Said {
    fn of(files: &[SshConfig], host: &str) -> Self {
        let mut all = files.iter().map(|file| file.query(host));
        let mut params = all.next().unwrap_or_else(|| SshConfig::default().query(host));
        for more in all {
            params.overwrite_if_none(&more);
        }
        Self { params }
    }
    fn text(&self, key: &str) -> Option<String> {
        self.params.unsupported_fields.get(key)?.first().cloned()
    }
    fn yes(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case("yes"))
    }
}

/// What the tokens of a value stand for.
struct Words<'a> {
    config: &'a Config,
    alias: &'a str,
    host: &'a str,
    port: u16,
    user: &'a str,
}

impl Words<'_> {
    /// A value with its tokens replaced: those that OpenSSH knows in paths. Another one stays as it is.
    fn expanded(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let mut chars = after.chars();
            match chars.next() {
                Some('%') => out.push('%'),
                Some('h') => out.push_str(self.host),
                Some('n') => out.push_str(self.alias),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(self.user),
                Some('u') => out.push_str(&self.config.user),
                Some('d') => out.push_str(&self.config.home.to_string_lossy()),
                Some(other) => {
                    out.push('%');
                    out.push(other);
                }
                None => out.push('%'),
            }
            rest = chars.as_str();
        }
        out.push_str(rest);
        out
    }

    fn path(&self, path: &Path) -> PathBuf {
        let text = self.expanded(&path.to_string_lossy());
        match text.strip_prefix("~/") {
            Some(rest) => self.config.home.join(rest),
            None => PathBuf::from(text),
        }
    }
}

/// User, host and port of a name.
fn split(name: &str) -> (Option<&str>, &str, Option<u16>) {
    let (user, rest) = match name.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, name),
    };
    if let Some(bracketed) = rest.strip_prefix('[')
        && let Some((host, port)) = bracketed.split_once(']')
    {
        return (user, host, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match rest.split_once(':') {
        // Two colons are an address of version 6.
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (user, host, Some(port)),
            Err(_) => (user, rest, None),
        },
        _ => (user, rest, None),
    }
}

fn read_file(path: &Path, home: &Path, needed: bool) -> Result<Option<SshConfig>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && !needed => return Ok(None),
        Err(cause) => {
            let because = crate::local::because(&cause);
            return Err(ConfigError::Unreadable { path: path.to_owned(), because });
        }
    };
    let wrong = |because: String| ConfigError::Wrong { path: path.to_owned(), because };
    let rules = ParseRule::ALLOW_UNKNOWN_FIELDS | ParseRule::ALLOW_UNSUPPORTED_FIELDS;
    let config = SshConfig::default()
        .home_dir(home)
        .parse(&mut Cursor::new(plain(&text)), rules)
        .map_err(|cause| wrong(cause.to_string()))?;
    let leaks = |params: &HostParams| {
        params.ignored_fields.contains_key("match")
            || params.unsupported_fields.contains_key("match")
    };
    if config.get_hosts().iter().any(|host| leaks(&host.params)) {
        return Err(wrong(
            "a file that it includes has a `Match` line, which is understood only in the first file; name a configuration of its own in `ssh: {config: FILE}`".into(),
        ));
    }
    Ok(Some(config))
}

/// Keywords that may be said several times in one block; of all others the first counts, as with OpenSSH.
const SAID_OFTEN: [&str; 8] = [
    "identityfile",
    "certificatefile",
    "include",
    "localforward",
    "remoteforward",
    "dynamicforward",
    "sendenv",
    "setenv",
];

/// The file as the library reads it rightly: `Match` lines as `Host` lines that mean the same, or that fit nobody, and
/// nothing said twice in one block, where the library would take what was said last.
fn plain(text: &str) -> String {
    let mut said: HashSet<String> = HashSet::new();
    let mut out = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        let separates = |c: char| c.is_whitespace() || c == '=';
        let mut words = line.split(separates).filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default().to_ascii_lowercase();
        let kept = match first.as_str() {
            "host" => line.to_owned(),
            "match" => host_line(&words.collect::<Vec<_>>()),
            _ if first.is_empty() || first.starts_with('#') => continue,
            _ if SAID_OFTEN.contains(&first.as_str()) || said.insert(first.clone()) => {
                line.to_owned()
            }
            _ => continue,
        };
        if first == "host" || first == "match" {
            said.clear();
        }
        out.push_str(&kept);
        out.push('\n');
    }
    out
}

fn host_line(conditions: &[&str]) -> String {
    let is = |word: &str, one: &str| word.eq_ignore_ascii_case(one);
    match conditions {
        [all] if is(all, "all") => "Host *".to_owned(),
        [host, patterns] if is(host, "host") || is(host, "originalhost") => {
            format!("Host {}", patterns.replace(',', " "))
        }
        _ => "Host quorate-understands-no-such-match".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        let home = Path::new("/home/anna");
        Config {
            files: vec![read_file(&path, home, true).unwrap().unwrap()],
            home: home.to_owned(),
            user: "anna".into(),
            agent: Some("/run/agent".into()),
            machine_known_hosts: vec!["/etc/ssh/ssh_known_hosts".into()],
        }
    }

    #[test]
    fn the_first_that_says_something_wins() {
        let config = config(
            "Host db-*\n  HostName %h.example.org\n  User ops\n  User twice\n  Port 2200\n  IdentityFile ~/.ssh/%n_key\n\
             Host db-1\n  Port 22\nHost *\n  User nobody\n  IdentitiesOnly yes\n  ConnectTimeout 3\n",
        );
        let target = config.target("db-1");
        assert_eq!(
            (target.host.as_str(), target.port, target.user.as_str()),
            ("db-1.example.org", 2200, "ops")
        );
        assert_eq!(target.identities, [PathBuf::from("/home/anna/.ssh/db-1_key")]);
        assert!(target.identities_only);
        assert_eq!(target.connect_limit, Duration::from_secs(3));
        let other = config.target("web");
        assert_eq!((other.host.as_str(), other.user.as_str()), ("web", "nobody"));
        assert_eq!(other.identities.len(), IDENTITIES.len());
    }

    #[test]
    fn a_name_may_carry_user_and_port() {
        assert_eq!(split("anna@db-1:2222"), (Some("anna"), "db-1", Some(2222)));
        assert_eq!(split("[::1]:2222"), (None, "::1", Some(2222)));
        assert_eq!(split("fe80::1"), (None, "fe80::1", None));
        assert_eq!(split("db-1:ssh"), (None, "db-1:ssh", None));
        let target = config("Host db-1\n User ops\n Port 23\n").target("anna@db-1:24");
        assert_eq!((target.user.as_str(), target.port), ("anna", 24));
    }

    #[test]
    fn what_a_foreign_match_says_is_nobodys() {
        let config = config(
            "Host db-1\n  User ops\nMatch exec \"true\"\n  Port 99\nMatch host db-2,db-3\n  User root\nMatch all\n  Port 24\n",
        );
        assert_eq!((config.target("db-1").user.as_str(), config.target("db-1").port), ("ops", 24));
        assert_eq!((config.target("db-3").user.as_str(), config.target("db-3").port), ("root", 24));
    }

    #[test]
    fn keys_agent_and_jumps() {
        let config = config(
            "Host a\n ProxyJump b,c@d:23\n UserKnownHostsFile ~/known /dev/null\n IdentityAgent none\n HostKeyAlias lab\n\
             Host b\n ProxyJump none\n IdentityFile none\n",
        );
        let target = config.target("a");
        assert_eq!(target.jumps, ["b", "c@d:23"]);
        assert_eq!(
            target.known_hosts,
            ["/home/anna/known", "/dev/null", "/etc/ssh/ssh_known_hosts"].map(PathBuf::from)
        );
        assert_eq!((target.agent, target.key_alias.as_deref()), (None, Some("lab")));
        let jump = config.target("b");
        assert!(jump.jumps.is_empty() && jump.identities.is_empty());
        assert_eq!(jump.agent, Some("/run/agent".into()));
    }

    #[test]
    fn a_missing_file_that_was_named_is_an_error() {
        let spec = SshSpec { config: Some("/nowhere/ssh".into()), ..SshSpec::default() };
        let error = Config::read(&spec).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ssh: no such file"), "{error}");
    }
}
