//! Commands: their words, variables, input, output, ends.

use crate::sshd::Sshd;
use quorate_transport::{Answer, Command, Output, Transport};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

async fn done(host: &dyn Transport, command: Command) -> Output {
    match host.run(&command, LIMIT).await {
        Answer::Done(output) => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn words_arrive_as_they_are() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let odd = ["it's", "a b", "$HOME", "two\nlines", "", "*", "`id`", "\\n", "ü", "-x"];
    let script = "for word; do printf '<%s>' \"$word\"; done; echo bad >&2; exit 3";
    let words = ["sh", "-c", script, "sh"].into_iter().chain(odd);
    let output = done(host.as_ref(), Command::new(words)).await;
    let wanted: String = odd.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(output.text(), wanted);
    assert_eq!((output.stderr.as_slice(), output.status), (b"bad\n".as_slice(), Some(3)));
}

#[tokio::test]
async fn variables_and_input_arrive_and_stand_in_no_list_of_processes() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    // Everything that can be seen of any process from its list, while the command that has the secret runs. Words of
    // other processes may hold lines of their own.
    let script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0\\n' '  '; echo; printf '%s|' \"$Q_TOKEN\"; cat";
    let secret = "planted-4711 'quoted'\nsecond";
    let command = Command::new(["sh", "-c", script]).env("Q_TOKEN", secret).stdin("planted-input");
    let said = done(host.as_ref(), command).await.text();
    let (list, own) = said.split_once('\n').unwrap();
    assert_eq!(own, format!("{secret}|planted-input"));
    assert!(list.contains("sshd") && !list.contains("planted"), "{list}");
    assert!(!sshd.log().contains("planted"));
}

#[tokio::test]
async fn a_clean_environment_is_clean_and_input_ends() {
    let sshd = Sshd::with("SetEnv Q_FROM_HOST=1\n");
    let host = sshd.host("box");
    let plain = Command::new(["sh", "-c", "echo \"[$Q_FROM_HOST]\"; cat"]);
    assert_eq!(done(host.as_ref(), plain.clone()).await.text(), "[1]\n");
    let clean = Command { clean_env: true, work_dir: Some("/usr/lib".into()), ..plain };
    assert_eq!(done(host.as_ref(), clean).await.text(), "[]\n");
    let folder = Command { work_dir: Some("/usr/lib".into()), ..Command::new(["pwd"]) };
    assert_eq!(done(host.as_ref(), folder).await.text(), "/usr/lib\n");
}

#[tokio::test]
async fn what_cannot_run_has_failed_and_says_why() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let none = host.run(&Command::new(["quorate-no-such"]), LIMIT).await;
    let because = "cannot run `quorate-no-such`: there is no such program on box";
    assert_eq!(none, Answer::Failed(because.into()));
    // A command's own 127 is its own.
    let own = done(host.as_ref(), Command::new(["sh", "-c", "exit 127"])).await;
    assert_eq!(own.status, Some(127));
    let folder = Command { work_dir: Some("/nowhere".into()), ..Command::new(["pwd"]) };
    match host.run(&folder, LIMIT).await {
        Answer::Failed(because) => {
            assert!(because.contains("/nowhere does not exist on box"), "{because}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn large_input_and_output_pass_at_the_same_time() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let output = done(host.as_ref(), Command::new(["cat"]).stdin(content.clone())).await;
    assert!(
        output.stdout == content,
        "{} of {} bytes came back",
        output.stdout.len(),
        content.len()
    );
}

#[tokio::test]
async fn a_command_whose_time_is_over_is_ended_and_unknown() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let mark = sshd.at("pid");
    let script = "echo $$ >\"$1\"; sleep 60; echo late";
    let command = Command::new(["sh", "-c", script, "sh", &mark.display().to_string()]);
    let began = Instant::now();
    match host.run(&command, Duration::from_millis(700)).await {
        Answer::Unknown(because) => assert!(because.contains("and was ended"), "{because}"),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    let pid = std::fs::read_to_string(mark).unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
    // The host is still there for the next one.
    assert_eq!(done(host.as_ref(), Command::new(["echo", "on"])).await.text(), "on\n");
}

#[tokio::test]
async fn one_connection_serves_many_commands_at_once() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let ask =
        || async { done(host.as_ref(), Command::new(["sh", "-c", "echo $SSH_CONNECTION"])).await };
    let all = futures::future::join_all((0..30).map(|_| ask())).await;
    let first = all[0].text();
    assert!(first.contains("127.0.0.1"), "{first}");
    assert!(all.iter().all(|output| output.text() == first), "one connection");
}
