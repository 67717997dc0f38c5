//! Runs apt beside the system's own: same configuration, mirrors, keys and proxy, but lists and caches of our own.

use super::{
    super::{ArtifactError, OnProgress, Progress},
    sources::{self, AptSource},
};
use quorate_model::Digest;
use quorate_transport::{Answer, Command, LocalTransport, Output, Transport};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// One archive and one suite, with folders of its own.
#[derive(Debug)]
pub(super) struct Apt {
    dir: PathBuf,
    config: PathBuf,
    uris: String,
}

/// The index of a suite is some 10 MB; a mirror that needs longer than this is no use.
const UPDATE_LIMIT: Duration = Duration::from_secs(180);
/// A package of a server is at most some 100 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);
/// Works on local files only.
const LOCAL_LIMIT: Duration = Duration::from_secs(60);
/// Suites that are released change every few months; asking once a day finds that soon enough.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// The package sources of this machine and its own suite.
pub(super) async fn machine_sources() -> Result<(Vec<AptSource>, Option<String>), ArtifactError> {
    let words = [
        "apt-config",
        "shell",
        "LIST",
        "Dir::Etc::SourceList/f",
        "PARTS",
        "Dir::Etc::SourceParts/d",
    ];
    let output = run(&Command::new(words), LOCAL_LIMIT).await.map_err(|because| {
        ArtifactError::Input(format!("this machine has no usable apt: {because}"))
    })?;
    let text = output.text();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| PathBuf::from(value.trim_matches('\'')))
    };
    let mut all = Vec::new();
    if let Some(list) = value("LIST").and_then(|path| fs::read_to_string(path).ok()) {
        all.extend(sources::read_one_line(&list));
    }
    let parts = value("PARTS").unwrap_or_default();
    for name in super::super::cache::names_in(&parts) {
        // A list that cannot be read is a list that apt could not use for us either.
        let text = fs::read_to_string(parts.join(&name)).unwrap_or_default();
        match Path::new(&name).extension().and_then(|ending| ending.to_str()) {
            Some("sources") => all.extend(sources::read_deb822(&text)),
            Some("list") => all.extend(sources::read_one_line(&text)),
            _ => {}
        }
    }
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    Ok((all, sources::own_suite(&os_release)))
}

impl Apt {
    /// Prepares the folders for one archive and suite; another stanza gets other folders.
    pub(super) fn open(
        cache: &Path,
        source: &AptSource,
        suite: &str,
    ) -> Result<Self, ArtifactError> {
        let stanza = sources::stanza_for(source, suite);
        let digest = Digest::new(hex::encode(Sha256::digest(stanza.as_bytes())));
        let cache = std::path::absolute(cache).map_err(ArtifactError::disk("find", cache))?;
        let dir = cache.join("apt").join(format!("{suite}-{}", digest.short()));
        if dir.to_string_lossy().contains(['"', ';', '\n']) {
            return Err(ArtifactError::Input(format!(
                "apt cannot work in a folder with such a name: {}",
                dir.display()
            )));
        }
        for part in ["lists/partial", "archives/partial", "sources", "state"] {
            fs::create_dir_all(dir.join(part))
                .map_err(ArtifactError::disk("make", dir.join(part)))?;
        }
        let config = dir.join("apt.conf");
        let write = |path: &Path, text: &str| {
            fs::write(path, text).map_err(ArtifactError::disk("write", path))
        };
        write(&dir.join("sources/suite.sources"), &stanza)?;
        write(&dir.join("status"), "")?;
        write(&config, &configuration(&dir))?;
        Ok(Self { dir, config, uris: source.uris.join(" ") })
    }

    /// The archive's address, for messages.
    pub(super) fn place(&self) -> &str {
        &self.uris
    }

    /// Fetches the suite's index, unless it is there and fresh.
    pub(super) async fn update(&self, progress: OnProgress<'_>) -> Result<(), String> {
        let marker = self.dir.join("updated");
        let age = fs::metadata(&marker).and_then(|meta| meta.modified()).ok();
        let age = age.and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        progress(Progress::step(format!("asking {} for its index", self.uris)));
        let _lock = self.lock().await?;
        run(&self.command(["apt-get", "-qq", "update"]), UPDATE_LIMIT).await?;
        fs::write(&marker, "")
            .map_err(|error| format!("cannot write {}: {error}", marker.display()))
    }

    /// The versions of a package in this suite, newest first; none when it has no such package.
    pub(super) async fn versions(&self, package: &str) -> Result<Vec<String>, String> {
        let output = run(&self.command(["apt-cache", "madison", package]), LOCAL_LIMIT).await?;
        Ok(madison(&output.text(), package))
    }

    /// Downloads packages, `name=version` each, into `folder` and unpacks them into `root`.
    pub(super) async fn unpack(
        &self,
        packages: &[String],
        folder: &Path,
        root: &Path,
    ) -> Result<(), String> {
        let mut command = self.command(["apt-get", "-qq", "download"]);
        command.argv.extend(packages.iter().cloned());
        command.work_dir = Some(folder.to_owned());
        let downloaded = {
            let _lock = self.lock().await?;
            run(&command, DOWNLOAD_LIMIT).await
        };
        if let Err(because) = downloaded {
            // The index may be older than the archive: the next try asks for it again.
            let _ = fs::remove_file(self.dir.join("updated"));
            return Err(because);
        }
        let names = super::super::cache::names_in(folder);
        for name in names.iter().filter(|name| name.ends_with(".deb")) {
            let words =
                ["dpkg-deb", "-x", &folder.join(name).to_string_lossy(), &root.to_string_lossy()]
                    .map(str::to_owned);
            run(&Command::new(words), LOCAL_LIMIT).await?;
        }
        Ok(())
    }

    fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut argv: Vec<String> = words.into_iter().map(str::to_owned).collect();
        argv.splice(1..1, ["-c".to_owned(), self.config.to_string_lossy().into_owned()]);
        Command::new(argv).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive")
    }

    /// One apt at a time in these folders; apt itself would give up at once.
    async fn lock(&self) -> Result<File, String> {
        let path = self.dir.join("lock");
        let broken = |error: std::io::Error| format!("cannot lock {}: {error}", path.display());
        let file = File::create(&path).map_err(broken)?;
        let deadline = tokio::time::Instant::now() + UPDATE_LIMIT + DOWNLOAD_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(format!("another apt has held {} for too long", path.display()));
                }
                Err(fs::TryLockError::Error(error)) => return Err(broken(error)),
            }
        }
    }
}

/// Settings on top of the machine's own: only folders of ours, no hooks, no index that is not needed.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let indexes = [
        "DEP-11",
        "DEP-11-icons-small",
        "DEP-11-icons",
        "DEP-11-icons-hidpi",
        "DEP-11-icons-large",
        "DEP-11-icons-large-hidpi",
        "Contents-deb",
        "CNF",
    ];
    let indexes: String = indexes
        .iter()
        .map(|name| format!("Acquire::IndexTargets::deb::{name}::DefaultEnabled \"false\";\n"))
        .collect();
    format!(
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
         #clear Acquire::Languages;\nAcquire::Languages \"none\";\n{indexes}\
         Dir::Etc::SourceList \"/dev/null\";\nDir::Etc::SourceParts \"{dir}/sources\";\n\
         Dir::State \"{dir}/state\";\nDir::State::Lists \"{dir}/lists\";\nDir::State::status \"{dir}/status\";\n\
         Dir::Cache \"{dir}\";\nDir::Cache::archives \"{dir}/archives\";\n\
         APT::Sandbox::User \"\";\nAPT::Update::Error-Mode \"any\";\nAPT::Get::List-Cleanup \"true\";\n\
         Acquire::PDiffs \"false\";\nAcquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\nAcquire::https::Timeout \"30\";\n"
    )
}

/// Reads `apt-cache madison`: `package | version | where`.
fn madison(text: &str, package: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.split('|').map(str::trim);
            let (name, version, place) = (parts.next()?, parts.next()?, parts.next()?);
            (name == package && !place.ends_with("Sources")).then(|| version.to_owned())
        })
        .collect()
}

async fn run(command: &Command, limit: Duration) -> Result<Output, String> {
    let program = command.argv.first().map_or("", String::as_str);
    match LocalTransport::new().run(command, limit).await {
        Answer::Done(output) if output.ok() => Ok(output),
        Answer::Done(output) => Err(format!("{program} {}", crate::shell::why(&output))),
        Answer::Failed(because) | Answer::Unknown(because) => Err(format!("{program}: {because}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_newest_first_and_only_of_the_package() {
        let text = " etcd-server | 3.4.23+dfsg-1+b5 | http://mirror.test/debian bookworm/main amd64 Packages\n\
                    etcd-server | 3.4.20-1 | http://mirror.test/debian bookworm/main amd64 Packages\n\
                    etcd-server | 3.4.23+dfsg-1 | http://mirror.test/debian bookworm/main Sources\n\
                    etcd-servers | 9 | http://mirror.test/debian bookworm/main amd64 Packages\n\
                    N: Unable to locate package x\n";
        assert_eq!(madison(text, "etcd-server"), ["3.4.23+dfsg-1+b5", "3.4.20-1"]);
        assert!(madison("", "etcd-server").is_empty());
    }

    #[test]
    fn another_stanza_gets_other_folders() {
        let cache = tempfile::tempdir().unwrap();
        let source = AptSource {
            uris: vec!["http://mirror.test/debian".to_owned()],
            suites: vec!["bookworm".to_owned()],
            components: vec!["main".to_owned()],
            options: Vec::new(),
        };
        let first = Apt::open(cache.path(), &source, "trixie").unwrap();
        let again = Apt::open(cache.path(), &source, "trixie").unwrap();
        let other = Apt::open(cache.path(), &source, "bullseye").unwrap();
        assert_eq!(first.dir, again.dir);
        assert_ne!(first.dir, other.dir);
        let stanza = fs::read_to_string(other.dir.join("sources/suite.sources")).unwrap();
        assert!(stanza.contains("Suites: bullseye"), "{stanza}");
    }

    #[test]
    fn refuses_a_folder_that_apt_cannot_name() {
        let source =
            AptSource { uris: vec![], suites: vec![], components: vec![], options: vec![] };
        assert!(Apt::open(Path::new("/x/a\";b"), &source, "trixie").is_err());
    }
}
