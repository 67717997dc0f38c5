//! The state file itself: made for its owner alone, refused with a sentence when it cannot be used, kept through versions.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on has failed")]

use quorate_model::{ClusterName, Digest, Holder, RunEvent, RunId, Seq};
use quorate_store::{SCHEMA, SqliteStore, Store, StoreError};
use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Set for a child that runs this binary again as another user: the file it shall open.
const CHILD: &str = "QUORATE_TEST_OPEN";
/// `nobody`, who owns nothing.
const NOBODY: u32 = 65_534;

fn refused(path: &Path) -> (String, String) {
    match SqliteStore::open(path) {
        Ok(_) => panic!("{} opened", path.display()),
        Err(error) => (error.to_string(), error.hint().unwrap_or_default()),
    }
}

fn check(path: &Path, says: &str, hints: &str) {
    let (text, hint) = refused(path);
    assert!(text.contains(says), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(hint.contains(hints), "{hint}");
}

#[test]
fn folder_and_file_are_made_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/state.db");
    let store = SqliteStore::open(&path).unwrap();
    store
        .create_run(&"r1".into(), &"demo".into(), &Digest::new("d"), jiff::Timestamp::UNIX_EPOCH)
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));
    assert_eq!(mode(&path.with_file_name("state.db-wal")), 0o600);
    drop(store);
    assert_eq!(SqliteStore::open(&path).unwrap().runs().unwrap().len(), 1, "it lasts");
}

#[test]
fn what_is_no_state_file_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    let content = "not a database, but long enough to have a header of a hundred bytes ".repeat(3);
    fs::write(&text, &content).unwrap();
    check(&text, "it is not a state file of quorate", "--state");
    assert_eq!(fs::read_to_string(&text).unwrap(), content);

    let foreign = folder.path().join("other.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&foreign).unwrap();
    check(&foreign, "it is not a state file of quorate", "--state");
    assert_eq!(fs::read(&foreign).unwrap(), before);

    check(folder.path(), "it is a folder, not a file", "--state");
    check(&text.join("state.db"), "a part of", "move that file away");
}

#[test]
fn a_damaged_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let plan = Digest::new("d");
    for run in 0..200 {
        store
            .create_run(
                &format!("r{run}").into(),
                &"demo".into(),
                &plan,
                jiff::Timestamp::UNIX_EPOCH,
            )
            .unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page.fill(0xA5);
    }
    fs::write(&path, bytes).unwrap();
    let error = match SqliteStore::open(&path) {
        Ok(store) => store.runs().unwrap_err(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("it is damaged"), "{error}");
    assert!(error.hint().unwrap().contains("backup"));
}

#[test]
fn a_file_of_a_newer_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    let version = |number: u32| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", number).unwrap();
    };
    version(SCHEMA + 1);
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found, known, .. } if (found, known) == (SCHEMA + 1, SCHEMA)),
        "{error}"
    );
    assert!(error.to_string().contains("use the newer quorate"));
    version(SCHEMA);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn many_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/state.db");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let store = SqliteStore::open(path).unwrap();
                let run = RunId::new(format!("r{number}"));
                store
                    .create_run(
                        &run,
                        &ClusterName::new("demo"),
                        &Digest::new("d"),
                        jiff::Timestamp::UNIX_EPOCH,
                    )
                    .unwrap();
            });
        }
    });
    assert_eq!(SqliteStore::open(&path).unwrap().runs().unwrap().len(), 8);
}

/// Two programs, so two connections: only the lock of the file itself stands between them.
#[test]
fn of_two_programs_one_wins_each_sequence_and_each_lease() {
    const EACH: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (run, start) = (RunId::new("r1"), jiff::Timestamp::UNIX_EPOCH);
    let plan = Digest::new("d");
    SqliteStore::open(&path).unwrap().create_run(&run, &"demo".into(), &plan, start).unwrap();
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for program in ["a", "b"] {
            let (path, run, taken) = (&path, &run, &taken);
            scope.spawn(move || {
                let store = SqliteStore::open(path).unwrap();
                let holder = Holder { who: program.into(), pid: 1 };
                let ttl = Duration::from_secs(30);
                match store.take_lease(&"demo".into(), run, &holder, start, ttl, false) {
                    Ok(_) => drop(taken.fetch_add(1, Ordering::SeqCst)),
                    Err(StoreError::Held(_)) => {}
                    Err(other) => panic!("{other}"),
                }
                let (mut end, mut won) = (Seq(0), 0);
                while won < EACH {
                    let note = RunEvent::Note { by: program.into(), text: won.to_string() };
                    match store.append(run, None, end, start, &[note]) {
                        Ok(seq) => (end, won) = (seq, won + 1),
                        Err(StoreError::Conflict { actual, .. }) => end = actual,
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 1, "one lease");
    let journal = SqliteStore::open(&path).unwrap().journal(&run, Seq(0)).unwrap();
    let of = |program: &str| {
        let own = journal.iter().filter_map(|recorded| match &recorded.event {
            RunEvent::Note { by, text } if by == program => text.parse::<usize>().ok(),
            _ => None,
        });
        own.collect::<Vec<_>>()
    };
    let whole: Vec<usize> = (0..EACH).collect();
    assert_eq!((of("a"), of("b"), journal.len()), (whole.clone(), whole, 2 * EACH));
}

/// Opens `path` as a user who owns nothing, in a child when this user is root.
fn refused_for_nobody(path: &Path) -> String {
    if !nix::unistd::Uid::effective().is_root() {
        let (text, hint) = refused(path);
        return format!("{text}\n{hint}");
    }
    // A copy, because the folder of the original may be closed to others.
    let place =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let binary: PathBuf = place.path().join("again");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&binary)
        .args(["--exact", "child_opens_as_another_user", "--nocapture"])
        .env(CHILD, path)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Does nothing unless it runs as the child of another test.
#[test]
fn child_opens_as_another_user() {
    if let Some(path) = std::env::var_os(CHILD) {
        let (text, hint) = refused(Path::new(&path));
        println!("{text}\n{hint}");
    }
}

#[test]
fn a_place_without_permission_is_told() {
    let folder =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).unwrap();
    let said = refused_for_nobody(&closed.join(".quorate/state.db"));
    assert!(said.contains("this user has no permission in"), "{said}");
    assert!(said.contains("--state DIR"), "{said}");

    let path = folder.path().join("state.db");
    drop(SqliteStore::open(&path).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let said = refused_for_nobody(&path);
    assert!(said.contains("this user has no permission in"), "{said}");
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
}

/// The text of a whole file of schema 1, as a program of that time wrote it.
const SCHEMA_1: &str = include_str!("fixtures/schema_1.sql");
/// The same of schema 2.
const SCHEMA_2: &str = include_str!("fixtures/schema_2.sql");

#[test]
fn a_file_of_schema_2_is_read_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(SCHEMA_2).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let out = store.ejected(&"demo".into()).unwrap();
    assert_eq!(
        (out.len(), out[0].node.as_str(), out[0].ejection.reason.as_str()),
        (1, "demo-2", "its disk died")
    );
    assert_eq!(out[0].ejection.member["id"], "77");
    store.forget_ejected(&"demo".into(), &"demo-2".into()).unwrap();
    assert_eq!(store.ejected(&"demo".into()).unwrap(), []);
    assert_eq!(store.runs().unwrap().len(), 1);
}

#[test]
fn a_file_of_schema_1_is_read_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(SCHEMA_1).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let run = RunId::new("r-7f3a");
    let journal = store.journal(&run, Seq(0)).unwrap();
    let places: Vec<u64> = journal.iter().map(|recorded| recorded.seq.0).collect();
    assert_eq!(places, [1, 2, 3, 4]);
    assert!(matches!(journal[0].event, RunEvent::Began { .. }));
    assert_eq!(journal[3].at.to_string(), "2026-01-05T09:00:01.25Z");
    assert_eq!(store.runs().unwrap().len(), 1);
    let lease = store.lease(&"demo".into()).unwrap().unwrap();
    assert_eq!((lease.generation.0, lease.holder.who.as_str()), (3, "anna@control-1"));
    assert_eq!(store.measured("etcd", "stop").unwrap(), [1.5]);
    let event = RunEvent::PutBack { key: "k".into() };
    assert_eq!(store.append(&run, Some(&lease), Seq(4), lease.taken_at, &[event]).unwrap(), Seq(5));
    let connection = rusqlite::Connection::open(&path).unwrap();
    let version: u32 = connection.query_row("PRAGMA user_version", (), |row| row.get(0)).unwrap();
    assert_eq!(version, SCHEMA);
}

#[test]
fn the_migrations_lead_to_the_form_of_the_kept_files() {
    let form = |connection: &rusqlite::Connection| -> Vec<String> {
        let sql = "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
        let mut select = connection.prepare(sql).unwrap();
        select.query_map((), |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
    drop(SqliteStore::open(&new).unwrap());
    let open = |path: &Path| rusqlite::Connection::open(path).unwrap();
    for kept in [SCHEMA_1, SCHEMA_2] {
        drop(fs::remove_file(&old));
        open(&old).execute_batch(kept).unwrap();
        drop(SqliteStore::open(&old).unwrap());
        assert_eq!(form(&open(&new)), form(&open(&old)));
    }
}
