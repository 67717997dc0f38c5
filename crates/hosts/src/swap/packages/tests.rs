//! The policy over a folder of its own, and what dpkg's end is read as.

use super::*;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn script(text: &str, words: &[&str]) -> Output {
    let output = Command::new("sh").args(["-c", text, "quorate"]).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn said(text: &str, words: &[&str]) -> String {
    String::from_utf8(script(text, words).stdout).unwrap().trim().to_owned()
}

fn asks(folder: &Path, words: &[&str], installs: bool) -> Option<i32> {
    let mut command = Command::new(folder.join("policy-rc.d"));
    command.args(words).env_remove("QUORATE_INSTALLS");
    if installs {
        command.env("QUORATE_INSTALLS", "yes");
    }
    command.status().unwrap().code()
}

#[test]
fn the_members_unit_is_held_back_and_what_quorate_installs_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    for _ in 0..2 {
        assert_eq!(said(include_str!("hold_back.sh"), &[at, "etcd", "shop", "p1"]), "held");
    }
    assert_eq!(said(include_str!("held.sh"), &[at, "shop", "p1"]), "held");
    for other in [["other", "p1"], ["shop", "p2"]] {
        assert_eq!(said(include_str!("held.sh"), &[at, other[0], other[1]]), "free");
    }
    assert_eq!(asks(folder.path(), &["etcd.service", "restart"], false), Some(101));
    assert_eq!(asks(folder.path(), &["--quiet", "etcd", "start"], false), Some(101));
    assert_eq!(asks(folder.path(), &["cron", "restart"], false), Some(0));
    assert_eq!(asks(folder.path(), &["cron", "restart"], true), Some(101));
    assert_eq!(said(include_str!("hold_back.sh"), &[at, "etcd", "yard", "p1"]), "other shop");
    for _ in 0..2 {
        assert_eq!(said(include_str!("let_go.sh"), &[at, "shop"]), "gone");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_policy_of_the_operator_is_asked_meanwhile_and_comes_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (at, policy) = (folder.path().to_str().unwrap(), folder.path().join("policy-rc.d"));
    let own = "#!/bin/sh\ncase $1 in cron) exit 101 ;; esac\nexit 0\n";
    fs::write(&policy, own).unwrap();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(said(include_str!("let_go.sh"), &[at, "shop"]), "other");
    for _ in 0..2 {
        assert_eq!(said(include_str!("hold_back.sh"), &[at, "etcd", "shop", "p1"]), "held");
    }
    assert_eq!(asks(folder.path(), &["cron", "restart"], false), Some(101));
    assert_eq!(asks(folder.path(), &["ssh", "restart"], false), Some(0));
    assert_eq!(asks(folder.path(), &["etcd", "restart"], false), Some(101));
    assert_eq!(said(include_str!("let_go.sh"), &[at, "shop"]), "gone");
    assert_eq!(fs::read_to_string(&policy).unwrap(), own);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_end_of_dpkg_is_told_with_its_own_words() {
    let read = |text: &str| read_installed(text, vec!["a 1".into()], "/usr/bin/x-1", "m1");
    match read("installed\nleft /etc/default/a.dpkg-dist\n") {
        Answer::Done(Installed { already: false, left, .. }) => {
            assert_eq!(left, ["/etc/default/a.dpkg-dist"]);
        }
        other => panic!("{other:?}"),
    }
    for (text, part) in [
        (
            "failed\na is half-configured at 1\nno such user\n",
            "half-configured at 1 / no such user",
        ),
        ("free\n", "policy-rc.d is not ours"),
        ("busy\n", "another dpkg"),
        ("damaged a_1_all.deb\n", "/usr/bin/x-1/a_1_all.deb on m1"),
    ] {
        match read(text) {
            Answer::Failed(because) => assert!(because.contains(part), "{because}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(read(""), Answer::Unknown(_)));
}

#[test]
fn another_dpkg_is_seen_before_anything_stops() {
    let (admin, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (at, folder) = (admin.path().to_str().unwrap(), files.path().to_str().unwrap());
    fs::write(files.path().join("a.deb"), "a").unwrap();
    let sum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let asked = |sum| said(include_str!("whole.sh"), &[at, "0", folder, "a.deb", sum]);
    assert_eq!(asked(sum), "whole", "a host without dpkg's files has no lock either");
    let lock = fs::File::create(admin.path().join("lock-frontend")).unwrap();
    assert_eq!(asked(sum), "whole");
    let whole_file = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&lock, nix::fcntl::FcntlArg::F_SETLK(&whole_file)).unwrap();
    assert_eq!(asked(sum), "busy");
    assert_eq!(asked("00"), "damaged a.deb");
    drop(lock);
    assert_eq!(asked(sum), "whole");
}
