//! Lines: tunnels through them, jumps over hosts, and what becomes of a command when one is cut.

use crate::sshd::{Sshd, plain};
use quorate_model::{HostKeys, SshHost};
use quorate_transport::{Answer, Command, Transport};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_loopback_address_of_the_host_is_a_socket_here() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let echo = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut word = [0; 4];
            socket.read_exact(&mut word).await.unwrap();
            socket.write_all(&word).await.unwrap();
        }
    });
    for _ in 0..2 {
        let path = host.tunnel(&address).await.unwrap().unwrap();
        let mut near = UnixStream::connect(path).await.unwrap();
        near.write_all(b"ping").await.unwrap();
        let mut word = [0; 4];
        near.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
    }
    echo.await.unwrap();
    assert_eq!(host.tunnel("192.0.2.1:80").await, Ok(None), "this machine goes there by itself");
    let always = SshHost { tunnel: true, ..plain("box") };
    let always = sshd.hosts(HostKeys::Strict).host(&always);
    assert!(always.tunnel("192.0.2.1:80").await.unwrap().is_some());
}

#[tokio::test]
async fn a_tunnel_to_where_nobody_listens_closes() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = host.tunnel(&free.to_string()).await.unwrap().unwrap();
    let mut near = UnixStream::connect(path).await.unwrap();
    assert_eq!(near.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_host_behind_others_is_reached_over_them() {
    let sshd = Sshd::start().entry("middle", " ProxyJump box").entry("far", " ProxyJump middle");
    let host = sshd.host("far");
    let said = host.run(&Command::new(["echo", "far"]), LIMIT).await;
    assert_eq!(said.done().unwrap().text(), "far\n");
    let logins = sshd.log().matches("Accepted publickey").count();
    assert_eq!(logins, 3, "each host on the way once");
    let sshd = sshd.entry("circle", " ProxyJump round").entry("round", " ProxyJump circle");
    let circle = sshd.host("circle").reach().await.unwrap_err();
    assert!(circle.contains("leads to circle again"), "{circle}");
    let sshd = sshd.entry("cut", " ProxyJump nowhere").entry("nowhere", " Port 1");
    let cut = sshd.host("cut").reach().await.unwrap_err();
    assert!(cut.contains("by way of nowhere") && cut.contains("nobody listens"), "{cut}");
}

#[tokio::test]
async fn a_line_that_is_cut_in_mid_command_leaves_it_unknown() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    // The command's parent is the process that serves this very connection.
    let script = "echo begun; kill -9 $PPID; sleep 5";
    let began = Instant::now();
    match host.run(&Command::new(["sh", "-c", script]), LIMIT).await {
        Answer::Unknown(because) => assert!(because.contains("was lost"), "{because}"),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(5), "at once, not when the time is over");
    let after = host.run(&Command::new(["echo", "back"]), LIMIT).await;
    assert_eq!(after.done().unwrap().text(), "back\n");
}

#[tokio::test]
async fn a_connection_that_died_unused_is_made_again() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let pid =
        host.run(&Command::new(["sh", "-c", "echo $PPID"]), LIMIT).await.done().unwrap().text();
    let pid: i32 = pid.trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let after = host.run(&Command::new(["echo", "back"]), LIMIT).await;
    assert_eq!(after.done().unwrap().text(), "back\n");
}

#[tokio::test]
async fn a_host_that_hangs_after_the_connection_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let sshd = Sshd::start().entry("silent", &format!(" Port {port}\n ConnectTimeout 1"));
    let began = Instant::now();
    let because = sshd.host("silent").reach().await.unwrap_err();
    assert!(because.contains("did not take the connection and log in within 1s"), "{because}");
    assert!(began.elapsed() < Duration::from_secs(5));
}
