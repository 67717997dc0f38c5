//! Clients that the run book tells once, moved as it says by a plain shell: on services that are real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up shall fail")]

mod support;

use quorate_model::{ArtifactSource, Digest, ProcessSpec, ServiceSpec};
use quorate_planner::Planned;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command},
    time::Duration,
};
use support::{World, with_clients, world};

const CLIENTS: usize = 5;

/// In the place of what asks the product, and of pauses that are made for people.
const QUICK: &str = r#"
see() { return 0; }
ask() { return 0; }
sleep() {
    command sleep 0.05; turns=0
    while [ -n "$pid_file" ] && [ ! -s "$pid_file" ] && [ "$turns" -lt 200 ]; do command sleep 0.05; turns=$((turns + 1)); done
}
"#;

fn sum_of(file: &Path) -> Digest {
    let said = Command::new("sha256sum").arg(file).output().unwrap();
    Digest::new(String::from_utf8_lossy(&said.stdout).split(' ').next().unwrap().to_owned())
}

/// Clients whose services sleep, in waves of two; the coming release sleeps, too.
fn sleepers(room: &Path) -> World {
    let mut world = with_clients(world(3, "1.0.5"), CLIENTS);
    world.cluster.policy.client_wave = "2".parse().unwrap();
    let files = room.join("release");
    fs::create_dir_all(&files).unwrap();
    for artifact in &mut world.artifacts {
        artifact.source = ArtifactSource::Folder(files.clone());
        for file in &mut artifact.files {
            let path = files.join(&file.name);
            // The same program, and another file: what follows the program is not looked at.
            fs::copy("/bin/sleep", &path).unwrap();
            let mut open = fs::OpenOptions::new().append(true).open(&path).unwrap();
            open.write_all(b"of the coming release").unwrap();
            file.sha256 = sum_of(&path);
        }
    }
    for node in world.cluster.nodes.iter_mut().filter(|node| node.group.as_str() == "client") {
        let own = room.join(node.name.as_str());
        fs::create_dir_all(&own).unwrap();
        fs::copy("/bin/sleep", own.join("keeper")).unwrap();
        node.service = Some(ServiceSpec::Process(ProcessSpec {
            argv: vec![own.join("keeper").display().to_string(), "600".into()],
            env: [("OF".to_owned(), format!("it's {}", node.name))].into(),
            pid_file: own.join("pid"),
            log_file: own.join("log"),
            work_dir: Some(own.clone()),
            grace: Duration::from_secs(30),
        }));
    }
    world
}

/// The shell blocks of the head and of what concerns clients.
fn blocks(book: &str) -> Vec<String> {
    let mut parts = book.split("\n### ");
    let head = parts.next().unwrap().split("\n## Hop").next().unwrap();
    let own =
        parts.filter(|part| part.contains("(h1.stage-client)") || part.contains("(h1.client-"));
    let text = std::iter::once(head).chain(own).collect::<Vec<_>>().join("\n");
    let blocks = text.split("```sh\n").skip(1).map(|part| part.split("```").next().unwrap());
    blocks.map(str::to_owned).collect()
}

struct Followed {
    well: bool,
    said: String,
}

fn follow(script: &str) -> Followed {
    let output = Command::new("sh").args(["-c", script]).output().expect("a shell");
    let said = [output.stdout, output.stderr].concat();
    Followed { well: output.status.success(), said: String::from_utf8_lossy(&said).into_owned() }
}

fn pid(room: &Path, client: usize) -> Option<String> {
    let pid = fs::read_to_string(room.join(format!("c{client}/pid"))).ok()?.trim().to_owned();
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    program.starts_with(room).then_some(pid)
}

/// Ends the services of a test by their pids.
struct Room(tempfile::TempDir, Vec<Child>);

impl Room {
    /// Starts what the book is to stop.
    fn serve(&mut self) {
        for client in 1..=CLIENTS {
            let own = self.0.path().join(format!("c{client}"));
            let child = Command::new(own.join("keeper")).arg("600").spawn().expect("a service");
            fs::write(own.join("pid"), child.id().to_string()).unwrap();
            self.1.push(child);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for pid in (1..=CLIENTS).filter_map(|client| pid(self.0.path(), client)) {
            let _ = Command::new("kill").args(["-KILL", &pid]).status();
        }
        for child in &mut self.1 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_list_of_clients_is_moved_as_the_book_says_and_stops_at_the_first_failure() {
    let mut room = Room(tempfile::tempdir().unwrap(), Vec::new());
    let world = sleepers(room.0.path());
    room.serve();
    let path = room.0.path();
    let pids = || [1, 2, 3, 4, 5].map(|client| pid(path, client));
    let before = pids();
    let Planned::Ready(plan) = world.plan("1.1.9") else { panic!("no plan") };
    let book = world.book(support::keeper(), &plan);
    let blocks = blocks(&book);
    // The third client's files cannot be exchanged: a folder is in the way.
    fs::create_dir(path.join("c3/keeper.new")).unwrap();
    let rest = |from: usize| -> String {
        let each = |block: &String| format!("{block}[ $? -eq 0 ] || exit 1\n");
        blocks.iter().skip(from).map(each).collect()
    };
    let head: String = blocks[..2].concat();

    let followed = follow(&format!("{head}{QUICK}{}", rest(2)));
    assert!(!followed.well, "{}", followed.said);
    assert!(followed.said.contains("stopped at c3"), "{}", followed.said);
    let between = pids();
    for client in 0..2 {
        let (old, new) = (&before[client], &between[client]);
        assert!(old.is_some() && new.is_some() && old != new, "the first wave: {}", followed.said);
    }
    assert_eq!(between[2..4], [None, None], "the second was stopped, and no further");
    assert_eq!(between[4], before[4], "nobody after it");

    // From the wave that failed: without the third, and nothing twice.
    let at = blocks.iter().rposition(|block| block.contains("\nc3\n")).unwrap();
    let (list, acts) = (&blocks[at], &blocks[at + 1]);
    let words: String =
        blocks[2..at].iter().map(|block| block.replace("each h1", ": h1")).collect();
    let again = format!("{head}{QUICK}{words}{list}without c3\n{acts}{acts}");
    let followed = follow(&again);
    assert!(followed.well, "{}", followed.said);
    assert_eq!(followed.said.matches("_start: c4").count(), 1, "once: {}", followed.said);
    let after = pids();
    assert!(after[3].is_some() && after[2].is_none(), "{}", followed.said);
    assert_eq!(
        (&after[..2], &after[4]),
        (&between[..2], &between[4]),
        "the others were left alone"
    );
    for client in [1, 2, 4] {
        let kept = path.join(format!("c{client}/keeper_1.0.5"));
        assert!(kept.is_file(), "the old file of c{client} is kept");
    }
}
