//! Who we are and who the host is: keys, agents, certificates, known hosts.

use crate::sshd::{Sshd, keygen, plain, text};
use quorate_model::HostKeys;
use quorate_transport::{SshHosts, Transport};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

async fn refused(hosts: &SshHosts, name: &str) -> String {
    hosts.host(&plain(name)).reach().await.unwrap_err()
}

/// An agent of the test's own.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path, key: &Path) -> Self {
        let mut agent = Command::new("ssh-agent");
        agent.args(["-D", "-a", &text(socket)]).stdout(Stdio::null());
        let agent = Self(agent.spawn().unwrap());
        let began = Instant::now();
        while !socket.exists() {
            assert!(began.elapsed() < Duration::from_secs(10), "the agent makes its socket");
            std::thread::yield_now();
        }
        let mut add = Command::new("ssh-add");
        let added = add.args(["-q", &text(key)]).env("SSH_AUTH_SOCK", socket).output().unwrap();
        assert!(added.status.success(), "{added:?}");
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_and_a_new_one_written_down_when_the_policy_says_so() {
    let sshd = Sshd::start().entry("new", " UserKnownHostsFile DIR/new");
    let strict = refused(&sshd.hosts(HostKeys::Strict), "new").await;
    assert!(strict.contains("new (127.0.0.1:") && strict.contains("is not known"), "{strict}");
    assert!(strict.contains("SHA256:") && strict.contains("ssh new"), "{strict}");
    assert!(!sshd.at("new").exists());
    sshd.hosts(HostKeys::AcceptNew).host(&plain("new")).reach().await.unwrap();
    sshd.hosts(HostKeys::Strict).host(&plain("new")).reach().await.unwrap();
}

#[tokio::test]
async fn a_changed_host_key_is_refused_by_every_policy() {
    let sshd = Sshd::start();
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &text(&sshd.at("other"))]);
    let other = std::fs::read_to_string(sshd.at("other.pub")).unwrap();
    std::fs::write(sshd.at("known_hosts"), format!("[127.0.0.1]:{} {other}", sshd.port)).unwrap();
    for policy in [HostKeys::Strict, HostKeys::AcceptNew] {
        let changed = refused(&sshd.hosts(policy), "box").await;
        assert!(changed.contains("has changed") && changed.contains("line 1"), "{changed}");
    }
}

#[tokio::test]
async fn a_key_that_the_host_does_not_take_is_named() {
    let sshd = Sshd::start()
        .entry("wrong", " IdentityFile DIR/wrong")
        .entry("none", " IdentityFile none\n User nobody");
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &text(&sshd.at("wrong"))]);
    std::fs::write(sshd.at("authorized"), std::fs::read(sshd.at("host.pub")).unwrap()).unwrap();
    let because = refused(&sshd.hosts(HostKeys::Strict), "wrong").await;
    assert!(because.contains("it refuses the user") && because.contains("wrong"), "{because}");
    assert!(because.contains("it accepts: publickey"), "{because}");
}

#[tokio::test]
async fn an_rsa_key_and_an_encrypted_one() {
    let sshd = Sshd::start()
        .entry("rsa", " IdentityFile DIR/rsa")
        .entry("locked", " IdentityFile DIR/locked");
    keygen(&["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", &text(&sshd.at("rsa"))]);
    keygen(&["-q", "-t", "ed25519", "-N", "hunter2", "-f", &text(&sshd.at("locked"))]);
    std::fs::remove_file(sshd.at("locked.pub")).unwrap();
    std::fs::copy(sshd.at("rsa.pub"), sshd.at("authorized")).unwrap();
    // Of keys that several blocks name all are tried: the own one would do.
    sshd.host("rsa").reach().await.unwrap();
    let locked = refused(&sshd.hosts(HostKeys::Strict), "locked").await;
    assert!(locked.contains("is encrypted") && locked.contains("ssh-add"), "{locked}");
}

#[tokio::test]
async fn an_agent_signs_and_no_key_file_is_needed() {
    let sshd = Sshd::start();
    let _agent = Agent::start(&sshd.at("agent"), &sshd.at("id"));
    let sshd = sshd.entry("agent", " IdentityAgent DIR/agent\n IdentityFile DIR/gone");
    std::fs::remove_file(sshd.at("id")).unwrap();
    std::fs::remove_file(sshd.at("id.pub")).unwrap();
    sshd.host("agent").reach().await.unwrap();
    // Only keys that a file names may be offered: none is.
    let sshd = sshd.entry("only", " IdentityAgent DIR/agent\n IdentitiesOnly yes");
    let only = refused(&sshd.hosts(HostKeys::Strict), "only").await;
    assert!(only.contains("there is no key"), "{only}");
}

#[tokio::test]
async fn certificates_prove_the_user_and_the_host() {
    let sshd = Sshd::certified();
    sshd.host("certified").reach().await.unwrap();
    // Another authority's name is not enough.
    let known = std::fs::read_to_string(sshd.at("authority")).unwrap();
    let other = std::fs::read_to_string(sshd.at("host.pub")).unwrap();
    let (marker, _) = known.split_once(" ssh-").unwrap();
    std::fs::write(sshd.at("authority"), format!("{marker} {other}")).unwrap();
    let foreign = refused(&sshd.hosts(HostKeys::Strict), "certified").await;
    assert!(foreign.contains("not valid by any known authority"), "{foreign}");
}

#[tokio::test]
async fn the_name_says_where_it_leads() {
    let sshd = Sshd::start();
    assert_eq!(sshd.host("box").name(), format!("box (127.0.0.1:{})", sshd.port));
}
