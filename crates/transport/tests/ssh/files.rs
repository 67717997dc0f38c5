//! Files over SSH: whole or not at all, and sent on from where a cut line left off.

use crate::sshd::Sshd;
use quorate_transport::{Answer, Transport};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;

fn failed<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::Failed(because) => because,
        other => panic!("{other:?} is not Failed"),
    }
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn written_whole_with_its_mode_and_read_back() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let dir = sshd.at("files");
    std::fs::create_dir(&dir).unwrap();
    let path = dir.join("it's a file");
    for content in [b"old old old".as_slice(), b"\0new\xff\n"] {
        assert_eq!(host.write(&path, content, 0o640).await, Answer::Done(()));
        assert_eq!(host.read(&path).await, Answer::Done(content.to_vec()));
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(names(&dir), ["it's a file"], "nothing is left beside it");
}

#[tokio::test]
async fn a_link_is_replaced_and_its_goal_stays() {
    let sshd = Sshd::start();
    let (host, goal, link) = (sshd.host("box"), sshd.at("goal"), sshd.at("link"));
    std::fs::write(&goal, "goal").unwrap();
    std::os::unix::fs::symlink(&goal, &link).unwrap();
    assert_eq!(host.write(&link, b"new", 0o644).await, Answer::Done(()));
    assert_eq!(std::fs::read_to_string(&goal).unwrap(), "goal");
}

#[tokio::test]
async fn what_cannot_be_done_is_a_sentence() {
    let sshd = Sshd::start();
    let (host, none) = (sshd.host("box"), sshd.at("none"));
    let read = failed(host.read(&none).await);
    assert!(
        read.contains("on box (127.0.0.1") && read.ends_with("no such file or folder"),
        "{read}"
    );
    let write = failed(host.write(&none.join("x"), b"", 0o644).await);
    assert!(write.ends_with("no such file or folder"), "{write}");
    assert!(failed(host.write(sshd.dir.path(), b"", 0o644).await).ends_with("it is a folder"));
    assert!(failed(host.put(&none, &sshd.at("y"), 0o644).await).contains("no such file"));
}

#[tokio::test]
async fn a_cut_copy_is_sent_on_from_where_it_was_cut() {
    let sshd = Sshd::start();
    let host = sshd.host("box");
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 7 % 253) as u8).collect();
    let local = sshd.at("local");
    std::fs::write(&local, &content).unwrap();
    let dir = sshd.at("to");
    std::fs::create_dir(&dir).unwrap();
    let digest = hex::encode(Sha256::digest(&content));
    let part = dir.join(format!(".remote.quorate-{}", &digest[..16]));
    let remote = dir.join("remote");
    // What a cut line left; the marked byte shows whether that part was sent again.
    std::fs::write(&part, &content[..3_000_000]).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&part).unwrap());
    assert_eq!(host.put(&local, &remote, 0o755).await, Answer::Done(()));
    let placed = std::fs::metadata(&remote).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&placed), inode, "it went on");
    assert!(std::fs::read(&remote).unwrap() == content);
    // A rest that is not the file's beginning is thrown away.
    std::fs::write(&part, vec![1; 2_000_000]).unwrap();
    assert_eq!(host.put(&local, &remote, 0o755).await, Answer::Done(()));
    assert!(std::fs::read(&remote).unwrap() == content);
    assert_eq!(names(&dir), ["remote"]);
}
