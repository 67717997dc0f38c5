//! The programs that people use for this today, from the machine's own Debian packages, unpacked into the bench's folder.

use super::bed::{Bed, run};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What they need beside a Python and `ssh`.
const PACKAGES: [&str; 13] = [
    "clustershell",
    "python3-clustershell",
    "pssh",
    "python3-psshlib",
    "ansible-core",
    "python3-yaml",
    "python3-jinja2",
    "python3-markupsafe",
    "python3-cryptography",
    "python3-cffi-backend",
    "python3-packaging",
    "python3-resolvelib",
    "libyaml-0-2",
];

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// `clush -b`.
    Clush,
    /// The same with a key exchange that costs the least.
    ClushTuned,
    /// `parallel-ssh -i`.
    ParallelSsh,
    /// `ansible -m raw`.
    AnsibleRaw,
}

impl Peer {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clush => "clush",
            Self::ClushTuned => "clush_tuned",
            Self::ParallelSsh => "parallel_ssh",
            Self::AnsibleRaw => "ansible_raw",
        }
    }
}

/// The unpacked packages.
pub(crate) struct Peers {
    root: PathBuf,
    home: PathBuf,
}

impl Peers {
    /// Fetches and unpacks them into a folder.
    pub(crate) fn fetch(folder: &Path) -> Result<Self, String> {
        let (debs, root) = (folder.join("debs"), folder.join("peers"));
        fs::create_dir_all(&debs).map_err(|error| error.to_string())?;
        run(Command::new("apt-get").args(["-q", "download"]).args(PACKAGES).current_dir(&debs))?;
        for deb in fs::read_dir(&debs).map_err(|error| error.to_string())? {
            let deb = deb.map_err(|error| error.to_string())?.path();
            run(Command::new("dpkg").arg("-x").arg(deb).arg(&root))?;
        }
        Ok(Self { root, home: folder.to_owned() })
    }

    /// One of them, ready to ask; with so many hosts at a time, or as many as it takes by itself.
    pub(crate) fn command(
        &self,
        peer: Peer,
        bed: &Bed,
        hosts: &Path,
        fan_out: Option<u32>,
    ) -> Command {
        let mut command = self.python();
        let program = |name: &str| self.root.join("usr/bin").join(name);
        let config = format!("-F {}", bed.at("ssh_config").display());
        let fan_out = fan_out.map(|hosts| hosts.to_string());
        match peer {
            Peer::Clush | Peer::ClushTuned => {
                let cheap = " -o KexAlgorithms=curve25519-sha256";
                let tuned = if peer == Peer::ClushTuned { cheap } else { "" };
                command.arg(program("clush")).args(["-S", "-q", "-b", "-o"]);
                command.arg(format!("{config}{tuned}")).arg("--hostfile").arg(hosts);
                command.args(fan_out.iter().flat_map(|hosts| ["-f", hosts]));
            }
            Peer::ParallelSsh => {
                command.arg(program("parallel-ssh")).args(["-i", "-t", "0", "-x", &config, "-h"]);
                command.arg(hosts).args(fan_out.iter().flat_map(|hosts| ["-p", hosts]));
            }
            Peer::AnsibleRaw => {
                command
                    .env("ANSIBLE_HOME", self.home.join("ansible"))
                    .env("ANSIBLE_SSH_ARGS", &config);
                command.arg(program("ansible")).args(["all", "-m", "raw", "-i"]).arg(hosts);
                command.args(fan_out.iter().flat_map(|hosts| ["-f", hosts])).arg("-a");
            }
        }
        command.arg(bed.question());
        command
    }

    /// A file to every host, by the one of them that copies.
    pub(crate) fn copy(&self, bed: &Bed, hosts: &Path, file: &Path, target: &Path) -> Command {
        let mut command = self.python();
        let config = format!("-F {}", bed.at("ssh_config").display());
        command.arg(self.root.join("usr/bin/clush")).args(["-S", "-q", "-o"]).arg(config);
        command.arg("--hostfile").arg(hosts).arg("--copy").arg(file).arg("--dest").arg(target);
        command
    }

    /// A playbook, with what its makers advise for speed: one connection a host that stays, and modules through it without a
    /// file of their own.
    pub(crate) fn playbook(&self, ssh_config: &Path, inventory: &Path, playbook: &Path) -> Command {
        let mut command = self.python();
        let ssh =
            format!("-F {} -o ControlMaster=auto -o ControlPersist=60s", ssh_config.display());
        command
            .env("ANSIBLE_HOME", self.home.join("ansible"))
            .env("ANSIBLE_SSH_ARGS", ssh)
            .env("ANSIBLE_PIPELINING", "1")
            .env("ANSIBLE_PYTHON_INTERPRETER", "/usr/bin/python3")
            .env("ANSIBLE_NOCOLOR", "1");
        command.arg(self.root.join("usr/bin/ansible-playbook")).arg("-i").arg(inventory);
        command.arg(playbook);
        command
    }

    /// Their modules are built for Debian's own Python.
    fn python(&self) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command
            .env("PYTHONPATH", self.root.join("usr/lib/python3/dist-packages"))
            .env("HOME", &self.home)
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
