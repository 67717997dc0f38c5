//! What a machine finds on its first boot: users, files, commands. The lab's counterpart of cloud-init.

use super::{
    super::{place::write, up::secret},
    LOCAL_LIMIT, LabError, Machine, run, shell,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

/// What to plant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Users; the lab's own key opens each.
    pub users: Vec<User>,
    /// Files.
    pub files: Vec<SeedFile>,
    /// Lines of a shell script that root runs once, before sshd answers; the first one that fails ends it.
    pub first_boot: Vec<String>,
}

/// A user to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What it may do with sudo.
    pub sudo: Sudo,
}

/// What a user may do with sudo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sudo {
    /// Nothing.
    Never,
    /// Everything, without a password.
    Free,
    /// Everything, with a password: the one in `secrets/<user>.password` of the lab's folder.
    Asks,
}

/// A file to plant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Where, from the machine's root on.
    pub path: PathBuf,
    /// What is in it.
    pub content: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
}

impl Default for Seed {
    fn default() -> Self {
        let user = User { name: super::USER.to_owned(), sudo: Sudo::Free };
        Self { users: vec![user], files: Vec::new(), first_boot: Vec::new() }
    }
}

impl Seed {
    /// Adds a user `asks`, whose sudo asks for a password.
    #[must_use]
    pub fn with_asks(mut self) -> Self {
        self.users.push(User { name: "asks".to_owned(), sudo: Sudo::Asks });
        self
    }

    /// Refuses names and paths that make no sense.
    pub(super) fn sound(&self) -> Result<(), LabError> {
        for User { name, .. } in &self.users {
            let plain =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            let letter = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
            if !letter || name.len() > 32 || !name.bytes().all(plain) {
                return Err(LabError::Input(format!("`{name}` cannot be a user's name")));
            }
        }
        for SeedFile { path, .. } in &self.files {
            let inside =
                |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
            if !path.is_absolute() || !path.components().all(inside) {
                return Err(LabError::Input(format!(
                    "{} cannot be planted: its path must begin with `/` and hold no `..`",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

/// Where the first boot's script lies, and what says that it ran.
const FIRST_BOOT: &str = "/var/lib/quorate-lab/first-boot";
/// Written by the unit: `done`, or `failed`.
pub(super) const FIRST_BOOT_SAID: &str = "var/lib/quorate-lab/first-boot.said";

/// Makes the passwords that users are asked for.
pub(super) fn passwords(dir: &Path, seed: &Seed) -> Result<(), LabError> {
    for user in seed.users.iter().filter(|user| user.sudo == Sudo::Asks) {
        write(&password_file(dir, user), secret()?.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn password_file(dir: &Path, user: &User) -> PathBuf {
    dir.join("secrets").join(format!("{}.password", user.name))
}

/// Plants everything into a root tree that is not booted yet.
pub(super) async fn plant(
    dir: &Path,
    root: &Path,
    machine: &Machine,
    all: &[Machine],
    seed: &Seed,
) -> Result<(), LabError> {
    let put = |path: &str, text: &str, mode: u32| {
        place_file(root, Path::new(path), text.as_bytes(), mode)
    };
    put("/etc/hostname", &format!("{}\n", machine.name), 0o644)?;
    put("/etc/hosts", &hosts(machine, all), 0o644)?;
    put("/etc/machine-id", &format!("{}\n", secret()?), 0o444)?;
    for ending in ["", ".pub"] {
        let name = format!("ssh_host_ed25519_key{ending}");
        let path = super::place::home(dir, &machine.name).join(&name);
        let key = fs::read(&path).map_err(LabError::disk("read", &path))?;
        let mode = if ending.is_empty() { 0o600 } else { 0o644 };
        place_file(root, &Path::new("/etc/ssh").join(&name), &key, mode)?;
    }
    for file in &seed.files {
        place_file(root, &file.path, &file.content, file.mode)?;
    }
    if !seed.first_boot.is_empty() {
        let script = format!("set -e\n{}\n", seed.first_boot.join("\n"));
        put(FIRST_BOOT, &script, 0o700)?;
    }
    let key_path = dir.join("id_ed25519.pub");
    let key = fs::read_to_string(&key_path).map_err(LabError::disk("read", &key_path))?;
    for user in &seed.users {
        let (sudo, password) = match user.sudo {
            Sudo::Never => ("", String::new()),
            Sudo::Free => ("NOPASSWD: ALL", String::new()),
            Sudo::Asks => {
                let path = password_file(dir, user);
                ("ALL", fs::read_to_string(&path).map_err(LabError::disk("read", &path))?)
            }
        };
        let words = [&*root.to_string_lossy(), &user.name, sudo, key.trim()];
        let command = shell::script(include_str!("user.sh"), &words).stdin(password);
        run("making a user", command, LOCAL_LIMIT).await?;
    }
    Ok(())
}

/// Names and addresses of the whole lab; this machine is `controller` to them.
fn hosts(own: &Machine, all: &[Machine]) -> String {
    let mut text =
        format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n{} {}\n", own.address, own.name);
    for machine in all.iter().filter(|machine| machine.name != own.name) {
        text.push_str(&format!("{} {}\n", machine.address, machine.name));
    }
    text
}

/// Writes a file into a root tree. A link that the tree has at its place is replaced, never followed.
fn place_file(root: &Path, path: &Path, content: &[u8], mode: u32) -> Result<(), LabError> {
    let path = root.join(path.strip_prefix("/").unwrap_or(path));
    write(&path, content, mode)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        .map_err(LabError::disk("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_would_land_elsewhere() {
        assert!(Seed::default().with_asks().sound().is_ok());
        let file = |path: &str| SeedFile { path: path.into(), content: Vec::new(), mode: 0o644 };
        for path in ["etc/passwd", "/etc/../../x", ""] {
            let seed = Seed { files: vec![file(path)], ..Seed::default() };
            assert!(seed.sound().is_err(), "{path}");
        }
        for name in ["", "Anna", "a b", "-x", "a/b", "1a"] {
            let user = User { name: name.to_owned(), sudo: Sudo::Never };
            let seed = Seed { users: vec![user], ..Seed::default() };
            assert!(seed.sound().is_err(), "{name}");
        }
    }
}
