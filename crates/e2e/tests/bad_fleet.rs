//! Wrong fleet and plan files: each is refused with exit 1, pointed at by line and column with what to do, and no file appears.

use quorate_e2e::{binary, files};
use std::{fs, process::Command};

const GOOD: &str = r#"schema: 1
fleet: f
clusters:
  - name: a
    pack: etcd
    nodes:
      - name: a-1
        endpoints: { client: "http://127.0.0.1:1" }
      - name: a-2
        endpoints: { client: "http://127.0.0.1:2" }
"#;

/// What is said of a fleet file, and that nothing came of it.
#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let fleet = folder.path().join("fleet.yaml");
    fs::write(&fleet, text).unwrap();
    let before = files(folder.path());
    for command in [&["inventory"][..], &["detect"], &["plan", "a", "--to", "3.5.16"]] {
        let output =
            Command::new(binary()).arg("--fleet").arg(&fleet).args(command).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(output.stdout.is_empty(), "{command:?} printed data");
        for word in words.iter().chain(&["error[Q", "fleet.yaml"]) {
            assert!(said.contains(word), "{command:?} lacks `{word}`:\n{said}");
        }
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(files(folder.path()), before, "{command:?} left files");
    }
}

#[test]
fn a_good_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = folder.path().join("fleet.yaml");
    fs::write(&fleet, GOOD).unwrap();
    let output =
        Command::new(binary()).arg("--fleet").arg(&fleet).arg("inventory").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn malformed_yaml() {
    refused(&GOOD.replace("    pack: etcd\n", "    pack: [etcd\n"), &["Q0002", "fleet.yaml:"]);
    refused(
        &GOOD.replace("  - name: a\n", "\t- name: a\n"),
        &["Q0002", "fleet.yaml:4:", "indent with spaces"],
    );
    refused("", &["Q0002"]);
}

#[test]
fn an_unknown_key_with_a_suggestion() {
    refused(
        &GOOD.replace("    pack: etcd\n", "    pack: etcd\n    polcy: {}\n"),
        &["Q0002", "fleet.yaml:6:5", "unknown key `polcy`", "did you mean `policy`?"],
    );
    refused(
        &GOOD.replace("    nodes:\n", "    policy: { soak_sec: 3 }\n    nodes:\n"),
        &["fleet.yaml:6:15", "did you mean `soak_secs`?"],
    );
}

#[test]
fn duplicate_nodes() {
    refused(
        &GOOD.replace("a-2", "a-1"),
        &["Q0002", "fleet.yaml:9:15", "another node of `a` is called `a-1`", "line 7"],
    );
}

#[test]
fn an_empty_group() {
    let head = GOOD.split("    nodes:\n").next().unwrap();
    refused(&format!("{head}    nodes: []\n"), &["Q0002", "fleet.yaml:6:"]);
    refused(
        &GOOD.replace("      - name: a-1\n", "      - name: a-1\n        group: \"\"\n"),
        &["Q0002", "fleet.yaml:8:"],
    );
}

#[test]
fn an_unknown_pack() {
    refused(&GOOD.replace("pack: etcd", "pack: etdc"), &["fleet.yaml:5:11", "etdc", "etcd"]);
}
