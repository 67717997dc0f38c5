//! Staging and swapping in real folders: each refusal, and a cut at every line of the swap.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use quorate_hosts::{
    artifacts::{Cache, Catalog},
    swap::{self, Fingerprint, StagedBinary, paths::NodePaths},
};
use quorate_model::{ArtifactRef, PackName, Release};
use quorate_transport::{Answer, Command, LocalTransport, Transport};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

const OLD: &str = "3.4.23";
const NEW: &str = "3.5.16";

struct Bench {
    dir: tempfile::TempDir,
    cache: Cache,
}

fn server(release: &str) -> String {
    format!("#!/bin/sh\necho etcd Version: {release}\n")
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("cache")).unwrap();
        for release in [OLD, NEW] {
            let folder = dir.path().join("artifacts/etcd").join(release);
            write(&folder.join("etcd"), &server(release));
            write(&folder.join("etcdctl"), &format!("#!/bin/sh\n# tool of {release}\n"));
        }
        let bench = Self { dir, cache };
        write(&bench.live(), &server(OLD));
        bench
    }
    fn live(&self) -> PathBuf {
        self.dir.path().join("host/bin/etcd")
    }
    fn paths(&self) -> NodePaths {
        NodePaths::new(self.live())
    }
    fn beside(&self, release: &str) -> PathBuf {
        self.paths().beside(&release.parse().unwrap())
    }
    fn artifact(&self, release: &str) -> ArtifactRef {
        let catalog = Catalog::scan(&[self.dir.path().join("artifacts")]);
        catalog.find(&PackName::new("etcd"), &release.parse().unwrap()).unwrap().clone()
    }
    async fn stage(&self, release: &str) -> Result<u64, String> {
        let artifact = self.artifact(release);
        let staged = swap::stage(
            &LocalTransport::new(),
            &self.paths(),
            &artifact,
            &self.cache,
            &swap::Prints::default(),
        )
        .await;
        staged.into_result().map(|staged| staged.copied_bytes)
    }
    async fn swap(&self, from: &str, to: &str) -> Result<bool, String> {
        let from: Release = from.parse().unwrap();
        let swapped =
            swap::swap(&LocalTransport::new(), &self.paths(), &from, &self.artifact(to), None)
                .await;
        swapped.into_result().map(|swapped| swapped.already)
    }
    async fn is_live(&self, release: &str) -> bool {
        swap::swapped(&LocalTransport::new(), &self.paths(), &self.artifact(release), None).await
            == Answer::Done(true)
    }
    async fn is_staged(&self, release: &str) -> bool {
        self.staged(release, &swap::Prints::default()).await.is_some()
    }
    async fn staged(&self, release: &str, known: &swap::Prints) -> Option<swap::Staged> {
        swap::staged(&LocalTransport::new(), &self.paths(), &self.artifact(release), known)
            .await
            .into_result()
            .unwrap()
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn files_that_were_found_whole_are_known_again_until_somebody_writes_to_one() {
    let bench = Bench::new();
    bench.stage(NEW).await.unwrap();
    let first = bench.staged(NEW, &swap::Prints::default()).await.unwrap();
    assert!(first.prints.server().is_some());
    assert_eq!(bench.staged(NEW, &first.prints).await.unwrap().prints, first.prints);
    // Known by what it is and not by what it holds: another release's prints say nothing of this one's files.
    bench.stage(OLD).await.unwrap();
    let other = bench.staged(OLD, &swap::Prints::default()).await.unwrap();
    assert!(bench.staged(NEW, &other.prints).await.is_some(), "they are read");
    let tool = bench.paths().artifact_dir(&"etcd".into(), &NEW.parse().unwrap()).join("etcdctl");
    let whole = text(&tool);
    fs::write(&tool, whole.replace("tool", "fool")).unwrap();
    assert_eq!(bench.staged(NEW, &first.prints).await, None, "of the same size, and changed");
    fs::remove_file(&tool).unwrap();
    assert_eq!(bench.staged(NEW, &first.prints).await, None, "gone");
}

#[tokio::test]
async fn a_release_is_staged_beside_made_live_and_the_old_one_kept() {
    let bench = Bench::new();
    assert!(!bench.is_staged(NEW).await);
    assert!(bench.stage(NEW).await.unwrap() > 0);
    assert!(bench.is_staged(NEW).await);
    assert_eq!(text(&bench.live()), server(OLD), "staging touched the live binary");
    assert_eq!(text(&bench.beside(NEW)), server(NEW));
    let folder = bench.paths().artifact_dir(&"etcd".into(), &NEW.parse().unwrap());
    assert!(text(&folder.join("etcdctl")).contains("tool of 3.5.16"));
    assert_eq!(bench.stage(NEW).await, Ok(0), "the second time nothing is copied");

    assert_eq!(bench.swap(OLD, NEW).await, Ok(false));
    assert_eq!(text(&bench.live()), server(NEW));
    assert_eq!(text(&bench.beside(OLD)), server(OLD));
    assert!(bench.is_live(NEW).await && !bench.is_live(OLD).await);
    assert_eq!(bench.swap(OLD, NEW).await, Ok(true), "the second time nothing is done");
    assert_eq!(text(&bench.beside(OLD)), server(OLD));
    let version =
        swap::asks_version(&LocalTransport::new(), &bench.live(), &["--version".to_owned()]).await;
    assert_eq!(version, Answer::Done(format!("etcd Version: {NEW}")));
}

#[tokio::test]
async fn a_release_may_be_staged_by_several_at_once() {
    for _ in 0..10 {
        let bench = Bench::new();
        let all = futures::future::join_all((0..6).map(|_| bench.stage(NEW))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert!(bench.is_staged(NEW).await);
        let names = fs::read_dir(bench.live().parent().unwrap()).unwrap();
        let left = names.filter(|name| {
            name.as_ref().unwrap().file_name().to_string_lossy().contains("quorate-new")
        });
        assert_eq!(left.count(), 0, "nothing is left over");
    }
}

#[tokio::test]
async fn the_way_back_is_the_same_way() {
    let bench = Bench::new();
    bench.stage(NEW).await.unwrap();
    bench.swap(OLD, NEW).await.unwrap();
    bench.stage(OLD).await.unwrap();
    assert_eq!(bench.swap(NEW, OLD).await, Ok(false));
    assert_eq!(text(&bench.live()), server(OLD));
    assert_eq!(text(&bench.beside(NEW)), server(NEW));
}

#[tokio::test]
async fn what_was_changed_after_staging_does_not_become_live() {
    let bench = Bench::new();
    let said = bench.swap(OLD, NEW).await.unwrap_err();
    assert!(said.contains("is missing") && said.contains("stage it first"), "{said}");
    bench.stage(NEW).await.unwrap();
    for content in ["#!/bin/sh\necho evil\n", "", &server(NEW)[..20]] {
        fs::remove_file(bench.beside(NEW)).unwrap();
        write(&bench.beside(NEW), content);
        assert!(!bench.is_staged(NEW).await);
        let said = bench.swap(OLD, NEW).await.unwrap_err();
        assert!(said.contains("changed after it was staged"), "{said}");
        assert_eq!(text(&bench.live()), server(OLD));
    }
    bench.stage(NEW).await.unwrap();
    assert_eq!(bench.swap(OLD, NEW).await, Ok(false), "staging again heals it");
}

#[tokio::test]
async fn what_no_host_could_run_is_not_staged() {
    let bench = Bench::new();
    let file = bench.dir.path().join("artifacts/etcd").join(NEW).join("etcd");
    let mut arm = vec![0; 64];
    arm[..6].copy_from_slice(b"\x7fELF\x02\x01");
    arm[18..20].copy_from_slice(&258_u16.to_le_bytes());
    let cases: [(&[u8], &str); 4] = [
        (&arm, "is made for loongarch64"),
        (b"<html>not found</html>", "is no program"),
        (b"", "is empty"),
        (b"\x7fELF\x02\x01", "is no program"),
    ];
    for (content, reason) in cases {
        fs::write(&file, content).unwrap();
        let said = bench.stage(NEW).await.unwrap_err();
        assert!(said.contains(reason), "{reason}: {said}");
        assert!(!bench.beside(NEW).exists());
    }
}

#[tokio::test]
async fn an_artifact_that_changed_since_the_plan_is_refused() {
    let bench = Bench::new();
    let planned = bench.artifact(NEW);
    write(
        &bench.dir.path().join("artifacts/etcd").join(NEW).join("etcd"),
        "#!/bin/sh\necho other\n",
    );
    let staged = swap::stage(
        &LocalTransport::new(),
        &bench.paths(),
        &planned,
        &bench.cache,
        &swap::Prints::default(),
    )
    .await;
    let said = staged.into_result().unwrap_err();
    assert!(said.contains("was expected: it is damaged"), "{said}");
}

#[tokio::test]
async fn an_artifact_without_the_server_is_refused() {
    let bench = Bench::new();
    let paths = bench.paths().server_named("etcd-server");
    let staged = swap::stage(
        &LocalTransport::new(),
        &paths,
        &bench.artifact(NEW),
        &bench.cache,
        &swap::Prints::default(),
    )
    .await;
    let said = staged.into_result().unwrap_err();
    assert!(said.contains("has no file `etcd-server`") && said.contains("etcd, etcdctl"), "{said}");
}

#[tokio::test]
async fn a_live_link_is_kept_as_that_link() {
    let bench = Bench::new();
    let target = bench.dir.path().join("host/opt/etcd-old");
    write(&target, &server(OLD));
    fs::remove_file(bench.live()).unwrap();
    symlink("../opt/etcd-old", bench.live()).unwrap();
    bench.stage(NEW).await.unwrap();
    bench.swap(OLD, NEW).await.unwrap();
    assert!(!bench.live().is_symlink());
    assert_eq!(text(&bench.live()), server(NEW));
    assert_eq!(fs::read_link(bench.beside(OLD)).unwrap(), Path::new("../opt/etcd-old"));
    assert_eq!(text(&target), server(OLD), "what the link points to belongs to somebody else");
    bench.stage(OLD).await.unwrap();
    bench.swap(NEW, OLD).await.unwrap();
    assert_eq!(text(&bench.live()), server(OLD));
}

#[tokio::test]
async fn a_file_that_has_the_old_releases_name_is_not_lost() {
    let bench = Bench::new();
    write(&bench.beside(OLD), "#!/bin/sh\n# another build\n");
    bench.stage(NEW).await.unwrap();
    bench.swap(OLD, NEW).await.unwrap();
    assert_eq!(text(&bench.beside(OLD)), server(OLD));
    let names = fs::read_dir(bench.live().parent().unwrap()).unwrap();
    let names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("etcd_3.4.23.replaced-")), "{names:?}");
}

#[tokio::test]
async fn a_swap_cut_off_at_any_line_leaves_a_whole_binary_and_can_be_repeated() {
    let script = include_str!("../src/swap/swap.sh");
    let lines: Vec<&str> = script.lines().collect();
    for cut in 0..=lines.len() {
        let bench = Bench::new();
        bench.stage(NEW).await.unwrap();
        let artifact = bench.artifact(NEW);
        let digest = &artifact.files.iter().find(|file| file.name == "etcd").unwrap().sha256;
        let files = [bench.live(), bench.beside(NEW), bench.beside(OLD)];
        let files = files.iter().map(|path| path.to_str().unwrap());
        let part = lines[..cut].join("\n");
        let words: Vec<&str> =
            ["sh", "-c", &part, "swap"].into_iter().chain(files).chain([digest.as_str()]).collect();
        // A cut inside a block is a syntax error, which ends the shell there: just what a crash would do.
        let _ = LocalTransport::new().run(&Command::new(words), Duration::from_secs(20)).await;
        let live = text(&bench.live());
        assert!(live == server(OLD) || live == server(NEW), "cut after line {cut}: {live}");
        bench.swap(OLD, NEW).await.unwrap_or_else(|error| panic!("cut after line {cut}: {error}"));
        assert_eq!(text(&bench.live()), server(NEW), "cut after line {cut}");
        assert_eq!(text(&bench.beside(OLD)), server(OLD), "cut after line {cut}");
        assert!(!bench.live().with_file_name("etcd.quorate-new").exists(), "cut after line {cut}");
    }
}

#[tokio::test]
async fn a_binary_that_does_not_tell_its_version_is_an_error() {
    let bench = Bench::new();
    write(&bench.live(), "#!/bin/sh\necho 'not for you' >&2\nexit 3\n");
    for binary in [bench.live(), PathBuf::from("/nowhere/etcd")] {
        let said = swap::asks_version(&LocalTransport::new(), &binary, &[])
            .await
            .into_result()
            .unwrap_err();
        assert!(said.contains("does not tell its version"), "{said}");
    }
}

#[tokio::test]
async fn a_staged_binary_is_known_again_until_somebody_writes_to_it() {
    let bench = Bench::new();
    bench.stage(NEW).await.unwrap();
    let (transport, paths, artifact) = (LocalTransport::new(), bench.paths(), bench.artifact(NEW));
    let look = async |known: Option<&Fingerprint>| {
        swap::staged_binary(&transport, &paths, &artifact, known).await.into_result().unwrap()
    };
    let StagedBinary::Whole(Some(print)) = look(None).await else { panic!("not whole") };
    assert_eq!(look(Some(&print)).await, StagedBinary::Whole(Some(print.clone())));

    // The same length, so that only the time of change and the content tell.
    let staged = bench.beside(NEW);
    let content = fs::read(&staged).unwrap();
    let other: Vec<u8> = content.iter().map(|byte| byte ^ 1).collect();
    fs::write(&staged, other).unwrap();
    assert!(matches!(look(Some(&print)).await, StagedBinary::Damaged(_)));
    let from: Release = OLD.parse().unwrap();
    let swapped = swap::swap(&transport, &paths, &from, &artifact, Some(&print)).await;
    assert!(swapped.into_result().unwrap_err().contains("changed after it was staged"));
    assert!(!bench.is_live(NEW).await, "nothing that was written to becomes live");

    fs::remove_file(&staged).unwrap();
    assert_eq!(look(Some(&print)).await, StagedBinary::Missing);
}

#[tokio::test]
async fn a_live_file_that_is_the_staged_one_is_known_without_reading_it() {
    let bench = Bench::new();
    bench.stage(NEW).await.unwrap();
    fs::remove_file(bench.live()).unwrap();
    fs::hard_link(bench.beside(NEW), bench.live()).unwrap();
    let (transport, paths, artifact) = (LocalTransport::new(), bench.paths(), bench.artifact(NEW));
    let found = swap::staged_binary(&transport, &paths, &artifact, None).await.into_result();
    let Ok(StagedBinary::Whole(Some(print))) = found else { panic!("not whole: {found:?}") };

    // Asked for a digest that it does not have: whoever reads the file says no.
    let mut other = artifact.clone();
    other.files.iter_mut().for_each(|file| file.sha256 = "0".repeat(64).as_str().into());
    let live = async |known: Option<&Fingerprint>| {
        swap::swapped(&transport, &paths, &other, known).await.into_result()
    };
    assert_eq!(live(Some(&print)).await, Ok(true));
    assert_eq!(live(None).await, Ok(false));
    // Another file of the same content is another file.
    fs::remove_file(bench.live()).unwrap();
    fs::copy(bench.beside(NEW), bench.live()).unwrap();
    assert_eq!(live(Some(&print)).await, Ok(false));
    assert!(bench.is_live(NEW).await);
}
