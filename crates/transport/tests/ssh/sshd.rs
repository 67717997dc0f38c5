//! An sshd of the test's own, on a free port of loopback, and the client configuration that leads to it.

use quorate_model::{HostKeys, SshHost, SshSpec};
use quorate_transport::{SshHosts, SshTransport};
use std::{
    fmt::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server starts in milliseconds; ten seconds are for a machine that builds something else meanwhile.
const UP_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Sshd {
    child: Child,
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    config: String,
}

impl Sshd {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With more lines in its configuration.
    pub(crate) fn with(more: &str) -> Self {
        Self::made(more, |_| ())
    }

    /// Whose user and whose host are proved by certificates of one authority alone.
    pub(crate) fn certified() -> Self {
        let sign = |dir: &Path| {
            let at = |name: &str| text(&dir.join(name));
            keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &at("ca")]);
            keygen(&[
                "-q",
                "-s",
                &at("ca"),
                "-I",
                "host",
                "-h",
                "-n",
                "lab",
                "-V",
                "+1h",
                &at("host.pub"),
            ]);
            let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
            keygen(&["-q", "-s", &at("ca"), "-I", "me", "-n", &user, "-V", "+1h", &at("id.pub")]);
            std::fs::write(dir.join("authorized"), "").unwrap();
            let ca = std::fs::read_to_string(dir.join("ca.pub")).unwrap();
            std::fs::write(dir.join("authority"), format!("@cert-authority * {ca}")).unwrap();
        };
        Self::made("TrustedUserCAKeys DIR/ca.pub\nHostCertificate DIR/host-cert.pub\n", sign)
            .entry("certified", " UserKnownHostsFile DIR/authority\n HostKeyAlias lab")
    }

    fn made(more: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for key in ["host", "id"] {
            keygen(&["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", text(&at(key)).as_str()]);
        }
        std::fs::copy(at("id.pub"), at("authorized")).unwrap();
        prepare(dir.path());
        // Where sshd parts its rights; systemd makes it, and nothing else does.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nLogLevel VERBOSE\n",
            text(&at("host")),
            text(&at("authorized"))
        );
        config.push_str(&more.replace("DIR", &text(dir.path())));
        std::fs::write(at("sshd_config"), &config).unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &text(&at("sshd_config"))])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd runs: Debian's package openssh-server");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < UP_LIMIT, "{}", std::fs::read_to_string(at("log")).unwrap());
            std::thread::yield_now();
        }
        let host_key = std::fs::read_to_string(at("host.pub")).unwrap();
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        Self { child, dir, port, config: String::new() }.entry("box", "")
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Adds a host to the client configuration; what `own` says wins.
    pub(crate) fn entry(mut self, name: &str, own: &str) -> Self {
        let own = own.replace("DIR", &text(self.dir.path()));
        write!(
            self.config,
            "Host {name}\n{own}\n HostName 127.0.0.1\n Port {}\n IdentityFile {}\n IdentityAgent none\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n",
            self.port,
            text(&self.at("id")),
            text(&self.at("known_hosts")),
        )
        .unwrap();
        std::fs::write(self.at("config"), &self.config).unwrap();
        self
    }

    pub(crate) fn hosts(&self, host_keys: HostKeys) -> SshHosts {
        let spec = SshSpec { config: Some(self.at("config")), host_keys, sudo_password: None };
        SshHosts::new(&spec).unwrap()
    }

    pub(crate) fn host(&self, name: &str) -> Arc<SshTransport> {
        self.hosts(HostKeys::Strict).host(&plain(name))
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.at("log")).unwrap()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn plain(name: &str) -> SshHost {
    SshHost { sudo: false, ..SshHost::new(name) }
}

pub(crate) fn keygen(words: &[&str]) {
    let output = Command::new("ssh-keygen").args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
