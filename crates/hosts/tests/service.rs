//! Services as real processes: small scripts that end by themselves, so that a failing test leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use quorate_hosts::service::{self, How, ServiceState, Signal, Stopped};
use quorate_model::{ProcessSpec, ServiceSpec};
use quorate_transport::{Answer, LocalTransport};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Runs for at most a minute, in short sleeps so that a signal is heard at once.
const LOOP: &str = "echo ready\nn=0\nwhile [ $n -lt 1200 ]; do sleep 0.05; n=$((n + 1)); done\n";
/// Longer than any machine needs for what is waited for here.
const WAIT_MAX: Duration = Duration::from_secs(20);

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }
    fn script(&self, name: &str, body: &str) -> String {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }
    fn spec(&self, argv: &[&str]) -> ServiceSpec {
        ServiceSpec::Process(ProcessSpec {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::from([("QUORATE_TEST".to_owned(), "a 'b' $c".to_owned())]),
            pid_file: self.path("run/service.pid"),
            log_file: self.path("log/service.log"),
            work_dir: Some(self.path("")),
            grace: Duration::from_secs(10),
        })
    }
    fn log(&self) -> String {
        fs::read_to_string(self.path("log/service.log")).unwrap_or_default()
    }
    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(
                began.elapsed() < WAIT_MAX,
                "waited too long until {what}; log: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    async fn ready(&self) {
        self.until("the service is ready", || self.log().contains("ready")).await;
    }
}

async fn started(spec: &ServiceSpec) -> u32 {
    service::start(&LocalTransport::new(), spec).await.into_result().unwrap()
}

async fn state(spec: &ServiceSpec) -> ServiceState {
    service::state(&LocalTransport::new(), spec).await.into_result().unwrap()
}

async fn stop(spec: &ServiceSpec) -> How {
    let Stopped { how } = service::stop(&LocalTransport::new(), spec).await.into_result().unwrap();
    how
}

fn pid(state: &ServiceState) -> Option<u32> {
    match state {
        ServiceState::Running { pid, .. } => Some(*pid),
        ServiceState::Stopped => None,
    }
}

fn failure<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::Failed(because) => because,
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit(") ").next().unwrap().split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_service_starts_is_seen_and_stops_politely() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", LOOP)]);
    assert_eq!(state(&spec).await, ServiceState::Stopped);
    let own = started(&spec).await;
    assert_eq!(pid(&state(&spec).await), Some(own));
    let again = failure(service::start(&LocalTransport::new(), &spec).await);
    assert!(again.contains(&format!("runs already as process {own}")), "{again}");
    assert_eq!(stop(&spec).await, How::Polite);
    assert_eq!(state(&spec).await, ServiceState::Stopped);
    assert_eq!(stop(&spec).await, How::Already);
    assert!(!bench.path("run/service.pid").exists());
}

#[tokio::test]
async fn it_belongs_to_nobody_and_has_a_session_of_its_own() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", LOOP)]);
    let own = started(&spec).await;
    let fields = stat(own);
    assert_ne!(fields[1], std::process::id().to_string(), "parent");
    assert_eq!(fields[3], own.to_string(), "session");
    stop(&spec).await;
}

#[tokio::test]
async fn one_that_ignores_the_polite_signal_is_killed_after_its_grace() {
    let bench = Bench::new();
    let mut spec = bench.spec(&[&bench.script("server", &format!("trap '' TERM\n{LOOP}"))]);
    let ServiceSpec::Process(ProcessSpec { grace, .. }) = &mut spec else { panic!("a process") };
    *grace = Duration::from_millis(100);
    started(&spec).await;
    bench.ready().await;
    assert_eq!(stop(&spec).await, How::Killed);
    assert_eq!(state(&spec).await, ServiceState::Stopped);
}

#[tokio::test]
async fn one_that_ends_at_once_is_told_with_its_last_words() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", "echo 'unknown flag --quick' >&2\nexit 2\n")]);
    fs::create_dir_all(bench.path("log")).unwrap();
    fs::write(bench.path("log/service.log"), "an old line\n").unwrap();
    let said = failure(service::start(&LocalTransport::new(), &spec).await);
    assert!(said.contains("status 2") && said.contains("unknown flag --quick"), "{said}");
    assert!(!said.contains("an old line"), "{said}");
}

#[tokio::test]
async fn words_and_variables_arrive_as_they_were_written() {
    let bench = Bench::new();
    let body = format!(
        "printf '%s|' \"$@\" >words\nprintf '%s' \"$QUORATE_TEST\" >value\nenv >all\n{LOOP}"
    );
    let script = bench.script("server", &body);
    let argv = [&*script, "$(touch evil)", "'; touch evil; '", "two words", "new\nline", "*", ""];
    let spec = bench.spec(&argv);
    let own = started(&spec).await;
    bench.ready().await;
    let expected: String = argv[1..].iter().map(|word| format!("{word}|")).collect();
    assert_eq!(fs::read_to_string(bench.path("words")).unwrap(), expected);
    assert_eq!(fs::read_to_string(bench.path("value")).unwrap(), "a 'b' $c");
    let all = fs::read_to_string(bench.path("all")).unwrap();
    assert!(!all.contains("CARGO_MANIFEST_DIR"), "the controller's environment leaked: {all}");
    assert!(!bench.path("evil").exists());
    assert_eq!(pid(&state(&spec).await), Some(own));
    stop(&spec).await;
}

#[tokio::test]
async fn the_service_gets_its_own_path_and_the_script_keeps_the_hosts() {
    let bench = Bench::new();
    let mut spec =
        bench
            .spec(&[&bench
                .script("server", &format!("echo \"path $PATH\"\nPATH=/usr/bin:/bin\n{LOOP}"))]);
    let ServiceSpec::Process(ProcessSpec { env, .. }) = &mut spec else { panic!("a process") };
    env.insert("PATH".to_owned(), "/only/here".to_owned());
    started(&spec).await;
    bench.ready().await;
    assert!(bench.log().contains("path /only/here"), "{}", bench.log());
    stop(&spec).await;
}

#[tokio::test]
async fn a_stale_pid_file_never_leads_to_a_stranger() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", LOOP)]);
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    fs::create_dir_all(bench.path("run")).unwrap();
    fs::write(bench.path("run/service.pid"), format!("{}\n", stranger.id())).unwrap();
    assert_eq!(state(&spec).await, ServiceState::Stopped);
    assert_eq!(stop(&spec).await, How::Already);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was touched");
    let own = started(&spec).await;
    assert_ne!(own, stranger.id());
    stop(&spec).await;
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was touched");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// A program of its own, started by somebody else with a relative name: nothing of it was noted anywhere.
struct Foreign(std::process::Child);

impl Foreign {
    fn start(bench: &Bench, words: &[&str]) -> Self {
        fs::create_dir_all(bench.path("bin")).unwrap();
        fs::create_dir_all(bench.path("run")).unwrap();
        fs::copy("/bin/sleep", bench.path("bin/member")).unwrap();
        let mut command = std::process::Command::new("bin/member");
        command.args(words).current_dir(bench.path("")).env("QUORATE_TEST", "a 'b' $c");
        Self(command.spawn().unwrap())
    }
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn unknown<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::Unknown(because) => because,
        other => panic!("expected an unknown, got {other:?}"),
    }
}

#[tokio::test]
async fn a_service_that_was_started_with_a_relative_name_is_not_stopped() {
    let bench = Bench::new();
    let foreign = Foreign::start(&bench, &["60"]);
    let spec = bench.spec(&[bench.path("bin/member").to_str().unwrap(), "60"]);
    assert_eq!(pid(&state(&spec).await), Some(foreign.pid()), "by its words");
    fs::write(bench.path("run/service.pid"), format!("{}\n", foreign.pid())).unwrap();
    assert_eq!(pid(&state(&spec).await), Some(foreign.pid()), "by the pid file");
    // The file is exchanged under it, as an earlier, wrong swap would have done.
    fs::rename(bench.path("bin/member"), bench.path("bin/member_1.0")).unwrap();
    fs::copy("/bin/sleep", bench.path("bin/member")).unwrap();
    assert_eq!(pid(&state(&spec).await), Some(foreign.pid()), "its file has another name now");
    fs::remove_file(bench.path("bin/member_1.0")).unwrap();
    assert_eq!(pid(&state(&spec).await), Some(foreign.pid()), "its file is gone");
    let again = failure(service::start(&LocalTransport::new(), &spec).await);
    assert!(again.contains(&format!("runs already as process {}", foreign.pid())), "{again}");
}

#[tokio::test]
async fn a_process_of_the_program_with_other_words_is_neither_stopped_nor_touched() {
    let bench = Bench::new();
    let mut foreign = Foreign::start(&bench, &["60"]);
    let spec = bench.spec(&[bench.path("bin/member").to_str().unwrap(), "61"]);
    let local = LocalTransport::new();
    let said = unknown(service::state(&local, &spec).await);
    let own = format!("process {} on", foreign.pid());
    assert!(said.contains(&own) && said.contains("write its pid into"), "{said}");
    unknown(service::stop(&local, &spec).await);
    unknown(service::start(&local, &spec).await);
    unknown(service::signal(&local, &spec, Signal::Kill).await);
    assert!(foreign.0.try_wait().unwrap().is_none(), "it was touched");
    // With the pid file that names it, it is proved.
    fs::write(bench.path("run/service.pid"), format!("{}\n", foreign.pid())).unwrap();
    assert_eq!(pid(&state(&spec).await), Some(foreign.pid()));
    assert_eq!(stop(&spec).await, How::Polite);
}

#[tokio::test]
async fn a_wrapper_that_was_left_by_its_child_is_not_stopped() {
    let bench = Bench::new();
    // It does not replace itself by the member: the polite signal ends the wrapper alone.
    let data = bench.path("data").display().to_string();
    let body = format!(
        "/bin/sh -c 'n=0; while [ $n -lt 1200 ]; do sleep 0.05; n=$((n + 1)); done' member --data-dir={data}\n"
    );
    let spec = bench.spec(&[&bench.script("wrapper", &body), &format!("--data-dir={data}")]);
    started(&spec).await;
    bench.until("the child runs", || child_with(&data).is_some()).await;
    stop(&spec).await;
    let child = child_with(&data).expect("the child outlives the wrapper");
    let said = unknown(service::state(&LocalTransport::new(), &spec).await);
    assert!(said.contains(&format!("process {child} on")), "{said}");
    let child = nix::unistd::Pid::from_raw(child.try_into().unwrap());
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The process named `member` that was started with this folder.
fn child_with(data: &str) -> Option<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&words).into_owned();
        let words: Vec<&str> = text.split('\0').collect();
        words.get(3) == Some(&"member") && words.get(4) == Some(&&*format!("--data-dir={data}"))
    })
}

#[tokio::test]
async fn a_lost_pid_file_does_not_lose_the_service() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", LOOP), "--member=a"]);
    let own = started(&spec).await;
    fs::remove_dir_all(bench.path("run")).unwrap();
    assert_eq!(pid(&state(&spec).await), Some(own));
    assert!(failure(service::start(&LocalTransport::new(), &spec).await).contains("runs already"));
    assert_eq!(stop(&spec).await, How::Polite);
}

#[tokio::test]
async fn a_twin_with_another_pid_file_is_not_started_beside_it() {
    let bench = Bench::new();
    let one = bench.spec(&[&bench.script("server", LOOP)]);
    let mut twin = one.clone();
    let ServiceSpec::Process(ProcessSpec { pid_file, .. }) = &mut twin else { panic!("a process") };
    *pid_file = bench.path("other/service.pid");
    let own = started(&one).await;
    let said = failure(service::start(&LocalTransport::new(), &twin).await);
    assert!(said.contains(&format!("runs already as process {own}")), "{said}");
    assert_eq!(stop(&one).await, How::Polite);
}

#[tokio::test]
async fn a_killed_one_is_stopped_and_starts_again() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", LOOP)]);
    let first = started(&spec).await;
    let killed = service::signal(&LocalTransport::new(), &spec, Signal::Kill).await;
    assert_eq!(killed, Answer::Done(first));
    bench
        .until("the killed process is gone", || {
            !Path::new(&format!("/proc/{first}")).exists() || stat(first)[0] == "Z"
        })
        .await;
    assert_eq!(state(&spec).await, ServiceState::Stopped);
    assert_ne!(started(&spec).await, first);
    stop(&spec).await;
}

#[tokio::test]
async fn a_frozen_one_is_running_and_can_be_stopped() {
    let bench = Bench::new();
    let spec = bench.spec(&[&bench.script("server", LOOP)]);
    let own = started(&spec).await;
    assert_eq!(
        service::signal(&LocalTransport::new(), &spec, Signal::Freeze).await,
        Answer::Done(own)
    );
    bench.until("the process is frozen", || stat(own)[0] == "T").await;
    assert_eq!(pid(&state(&spec).await), Some(own));
    assert_eq!(stop(&spec).await, How::Polite);
}

#[tokio::test]
async fn what_cannot_be_started_is_told() {
    let bench = Bench::new();
    let script = bench.script("server", LOOP);
    let change = |change: &dyn Fn(&mut ServiceSpec)| {
        let mut spec = bench.spec(&[&script]);
        change(&mut spec);
        spec
    };
    fn argv(words: &[&str]) -> impl Fn(&mut ServiceSpec) + use<> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        move |spec| {
            let ServiceSpec::Process(ProcessSpec { argv, .. }) = spec else { panic!("a process") };
            argv.clone_from(&words);
        }
    }
    let cases: Vec<(ServiceSpec, &str)> = vec![
        (change(&argv(&[])), "has no program"),
        (change(&argv(&["bin/server"])), "must be an absolute path"),
        (change(&argv(&["/nowhere/server"])), "is missing or not executable"),
        (
            change(&|spec| {
                let ServiceSpec::Process(ProcessSpec { env, .. }) = spec else {
                    panic!("a process")
                };
                env.insert("node.name".to_owned(), String::new());
            }),
            "is no name for an environment variable",
        ),
        (
            change(&|spec| {
                let ServiceSpec::Process(ProcessSpec { pid_file, .. }) = spec else {
                    panic!("a process")
                };
                *pid_file = "service.pid".into();
            }),
            "must be absolute",
        ),
        (
            change(&|spec| {
                let ServiceSpec::Process(ProcessSpec { work_dir, .. }) = spec else {
                    panic!("a process")
                };
                *work_dir = Some("/nowhere".into());
            }),
            "cannot be entered",
        ),
        (
            change(&|spec| {
                let ServiceSpec::Process(ProcessSpec { log_file, .. }) = spec else {
                    panic!("a process")
                };
                *log_file = "/proc/nowhere/log".into();
            }),
            "cannot be written",
        ),
    ];
    for (spec, reason) in cases {
        let said = failure(service::start(&LocalTransport::new(), &spec).await);
        assert!(said.contains(reason), "{reason}: {said}");
    }
    let spec = bench.spec(&[&script]);
    assert!(
        failure(service::signal(&LocalTransport::new(), &spec, Signal::Kill).await)
            .contains("does not run")
    );
}

/// How many programs one look at a stopped service starts, while others run the very file that it would.
async fn programs_of_a_look(bench: &Bench, siblings: usize) -> usize {
    let (own, tools, told) = (bench.path("agent"), bench.path("tools"), bench.path("told"));
    if !tools.exists() {
        fs::create_dir(&tools).unwrap();
        fs::copy("/bin/sleep", &own).unwrap();
        for tool in
            ["od", "tr", "ls", "head", "readlink", "grep", "sed", "sort", "getconf", "cat", "stat"]
        {
            let real = ["/usr/bin", "/bin"]
                .iter()
                .map(|dir| Path::new(dir).join(tool))
                .find(|p| p.exists());
            let body = format!(
                "echo {tool} >>{}\nexec {} \"$@\"\n",
                told.display(),
                real.unwrap().display()
            );
            bench.script(&format!("tools/{tool}"), &body);
        }
    }
    let mut running: Vec<_> = (0..siblings)
        .map(|_| tokio::process::Command::new(&own).arg("60").kill_on_drop(true).spawn().unwrap())
        .collect();
    let _ = fs::remove_file(&told);
    let (pid_file, own) = (bench.path("none.pid"), own.to_str().unwrap().to_owned());
    let script = include_str!("../src/service/look.sh");
    let words = [
        "sh",
        "-c",
        script,
        "quorate",
        pid_file.to_str().unwrap(),
        &own,
        "/",
        "environ",
        "--data-dir=/x",
    ];
    let command = quorate_transport::Command::new(words)
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    let answer =
        quorate_transport::Transport::run(&LocalTransport::new(), &command, WAIT_MAX).await;
    let Answer::Done(said) = answer else { panic!("{answer:?}") };
    let text = said.text();
    let shown: Vec<&str> = text.lines().filter(|line| line.starts_with("process ")).collect();
    assert_eq!(shown.len(), siblings, "{shown:?}");
    for one in &mut running {
        one.kill().await.unwrap();
    }
    fs::read_to_string(&told).unwrap().lines().count()
}

#[tokio::test]
async fn a_look_starts_no_program_for_each_process_that_it_finds() {
    let bench = Bench::new();
    let (few, many) = (programs_of_a_look(&bench, 1).await, programs_of_a_look(&bench, 12).await);
    assert_eq!(few, many, "hundreds of agents of one host may run the same file");
}

#[tokio::test]
async fn a_look_says_who_ended_while_it_read_of_them() {
    let bench = Bench::new();
    let (own, tools, ending) = (bench.path("agent"), bench.path("tools"), bench.path("ending"));
    fs::create_dir(&tools).unwrap();
    fs::copy("/bin/sleep", &own).unwrap();
    let both = format!(
        "{own} 60 &\necho $! >{ending}\n{own} 60 &\necho $!\n",
        own = own.display(),
        ending = ending.display()
    );
    // The first of two ends after it was found, and before its files are read.
    let body = format!(
        "case $* in */stat*)\n    ended=$(cat {})\n    kill -9 \"$ended\"\n    n=0\n    \
         while [ -d \"/proc/$ended\" ] && [ $n -lt 400 ]; do sleep 0.05; n=$((n + 1)); done ;;\nesac\n\
         exec /usr/bin/head \"$@\"\n",
        ending.display()
    );
    bench.script("tools/head", &body);
    let started = std::process::Command::new("sh")
        .args(["-c", &both])
        .stderr(std::process::Stdio::null())
        .stdout(fs::File::create(bench.path("staying")).unwrap())
        .status();
    assert!(started.unwrap().success());
    let pid =
        |file: &str| fs::read_to_string(bench.path(file)).unwrap().trim().parse::<u32>().unwrap();
    let (ended, staying) = (pid("ending"), pid("staying"));
    let own = own.to_str().unwrap();
    let script = include_str!("../src/service/look.sh");
    let words = ["sh", "-c", script, "quorate", "/none.pid", own, "/", "", "--data-dir=/y"];
    let command = quorate_transport::Command::new(words)
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    let answer =
        quorate_transport::Transport::run(&LocalTransport::new(), &command, WAIT_MAX).await;
    std::process::Command::new("kill").arg(staying.to_string()).status().unwrap();
    let Answer::Done(said) = answer else { panic!("{answer:?}") };
    let told = said.text();
    let texts = told.lines().find_map(|line| line.strip_prefix("texts64 ")).unwrap();
    let texts = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, texts).unwrap();
    let texts = String::from_utf8_lossy(&texts);
    assert!(texts.ends_with(&format!("\n==> /proc/ended <==\n{ended}\n")), "{texts}");
    assert!(texts.contains(&format!("==> /proc/{staying}/stat <==\n{staying} (agent)")), "{texts}");
}
