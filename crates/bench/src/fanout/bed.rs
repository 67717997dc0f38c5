//! A thousand hosts: loopback addresses that lead to one sshd, which sees a user of its own with a plain shell.
//!
//! A heavy start-up file of a shell (0.13 s for each login) would hide everything that is measured. Needs root: the sshd
//! has its own view of `/etc/passwd`, which ends with it.

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What each host tells.
pub(crate) const RELEASE: &str = "3.4.23";
/// The same.
pub(crate) const ROLE: &str = "follower";
/// A server starts in milliseconds; ten seconds are for a busy machine.
const UP_LIMIT: Duration = Duration::from_secs(10);
/// Sessions end with their connections; thirty seconds are for a thousand of them.
const QUIET_LIMIT: Duration = Duration::from_secs(30);
/// Hosts behind one number of the third place.
const A_NET: usize = 200;

/// The sshd, and what leads to it.
pub(crate) struct Bed {
    child: Child,
    folder: tempfile::TempDir,
}

impl Bed {
    /// Starts it.
    pub(crate) fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let at = |name: &str| folder.path().join(name);
        for key in ["host", "id"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key)))?;
        }
        // Any address: an sshd listens on sixteen at most.
        let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let dir = folder.path().display().to_string();
        let write = |name: &str, text: &str| {
            fs::write(at(name), text.replace("DIR", &dir).replace("PORT", &port.to_string()))
                .map_err(|error| format!("cannot write {}: {error}", at(name).display()))
        };
        write("sshd_config", SSHD)?;
        write("ssh_config", SSH)?;
        let key = fs::read_to_string(at("host.pub")).map_err(|error| error.to_string())?;
        write("known_hosts", &format!("[*]:PORT {key}"))?;
        write("release", RELEASE)?;
        write("role", ROLE)?;
        let users = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
        let plain = |line: &str| match line.starts_with("root:") {
            true => "root:x:0:0:root:DIR:/bin/sh\n".to_owned(),
            false => format!("{line}\n"),
        };
        write("passwd", &users.lines().map(plain).collect::<String>())?;
        // Where sshd parts its rights; systemd makes it, and nothing else does.
        fs::create_dir_all("/run/sshd").map_err(|error| error.to_string())?;
        let script = "mount --bind \"$1/passwd\" /etc/passwd && exec /usr/sbin/sshd -D -e -f \"$1/sshd_config\"";
        let log = fs::File::create(at("log")).map_err(|error| error.to_string())?;
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh", &dir])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start `unshare`: {error}"))?;
        let bed = Self { child, folder };
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if began.elapsed() > UP_LIMIT {
                let said = fs::read_to_string(bed.at("log")).unwrap_or_default();
                return Err(format!("the sshd did not start: {said}"));
            }
            pause();
        }
        Ok(bed)
    }

    /// A file of the bed.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What is asked of each host.
    pub(crate) fn question(&self) -> String {
        format!("cat {} {}", self.at("release").display(), self.at("role").display())
    }

    /// A file with the addresses of so many hosts, one a line, and a fleet file with them.
    pub(crate) fn hosts(&self, count: usize) -> Result<(PathBuf, PathBuf), String> {
        let (mut list, mut fleet) = (String::new(), FLEET.to_owned());
        for index in 0..count {
            let host = format!("127.0.{}.{}", 1 + index / A_NET, 1 + index % A_NET);
            let _ = writeln!(list, "{host}");
            let _ = writeln!(
                fleet,
                "      - {{name: n{index}, host: {{ssh: {host}}}, endpoints: {{client: 'http://{host}:1', peer: 'http://{host}:2'}}}}"
            );
        }
        let files = (self.at("hosts"), self.at("fleet.yaml"));
        fs::write(&files.0, list)
            .and_then(|()| fs::write(&files.1, fleet))
            .map_err(|error| error.to_string())?;
        Ok(files)
    }

    /// Waits until no session of the run before is left: the next one starts cold.
    pub(crate) fn quiet(&self) -> Result<(), String> {
        let pid = self.child.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let began = Instant::now();
        while !fs::read_to_string(&children).unwrap_or_default().trim().is_empty() {
            if began.elapsed() > QUIET_LIMIT {
                return Err("sessions of the run before do not end".to_owned());
            }
            pause();
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ten milliseconds before another process is looked at again: short beside all that is measured, long beside a look.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// Runs a command that must end well.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run `{shown}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`{shown}` failed: {said}"))
}

const SSHD: &str = "Port PORT
ListenAddress 0.0.0.0
HostKey DIR/host
AuthorizedKeysFile DIR/id.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
LogLevel ERROR
Subsystem sftp internal-sftp
MaxStartups 2000
";

const SSH: &str = "Host 127.*
 Port PORT
 User root
 IdentityFile DIR/id
 IdentitiesOnly yes
 IdentityAgent none
 UserKnownHostsFile DIR/known_hosts
 GlobalKnownHostsFile none
 StrictHostKeyChecking yes
";

const FLEET: &str = "schema: 1
fleet: bench
ssh: {config: ssh_config}
clusters:
  - name: many
    pack: etcd
    defaults: {sudo: false}
    nodes:
";
