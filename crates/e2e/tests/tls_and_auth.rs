//! A cluster with TLS and client certificates, and one with users, go the whole way: adopted, seen, planned, upgraded under load.

use quorate_e2e::Bed;
use std::{fs, path::Path};

#[test]
fn a_cluster_with_tls_is_adopted_seen_planned_and_upgraded() {
    let bed = Bed::up("3.4.23", &["--tls"]);
    let fleet = adopt(&bed);
    let seen = bed.detect();
    assert!(
        seen["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["tls"] == true && node["healthy"] == true),
        "{seen}"
    );
    upgraded(&bed, &fleet, "3.5.16");

    // Without the client's certificate the cluster does not answer, and nothing pretends that it did.
    let text = fs::read_to_string(&fleet).unwrap();
    let bare: String = text
        .lines()
        .filter(|line| !line.trim().starts_with("cert:") && !line.trim().starts_with("key:"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(bare, text);
    fs::write(&fleet, bare).unwrap();
    let (code, said, _) = with(&bed, &fleet, &["plan", "adopted", "--to", "3.5.16"]);
    assert_ne!(code, 0, "{said}");
}

#[test]
fn a_cluster_with_users_is_adopted_seen_planned_and_upgraded() {
    let bed = Bed::up("3.3.25", &["--auth"]);
    let fleet = adopt(&bed);
    assert_eq!(bed.detect()["facts"]["auth"], true);
    upgraded(&bed, &fleet, "3.4.23");

    // From here on there is no rolling way: members of 3.4 and 3.5 with users on do not go together.
    let (code, said, _) = with(&bed, &fleet, &["plan", "adopted", "--to", "3.5.16"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("auth"), "the reason is named: {said}");
    assert!(said.contains("hint:"), "the ways out are named: {said}");

    // A wrong password is told as such, and nothing is touched.
    let password =
        declared(&bed, "password_file").unwrap_or_else(|| declared(&bed, "file").unwrap());
    fs::write(&password, "wrong").unwrap();
    let (code, said, _) = with(&bed, &fleet, &["plan", "adopted", "--to", "3.5.16"]);
    assert_ne!(code, 0, "{said}");
}

#[test]
fn a_cluster_with_both_is_adopted_seen_planned_and_upgraded() {
    let bed = Bed::up("3.3.25", &["--tls", "--auth"]);
    let fleet = adopt(&bed);
    upgraded(&bed, &fleet, "3.4.23");
    assert_eq!(bed.detect()["facts"]["auth"], true);
}

/// Writes a fleet file from one endpoint, in a folder of its own, as somebody would who did not make the cluster.
#[track_caller]
fn adopt(bed: &Bed) -> std::path::PathBuf {
    let folder = bed.scratch().join("adopted");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("fleet.yaml");
    let endpoint = bed.endpoint(&bed.node(2));
    let mut words =
        vec!["init".to_owned(), "--endpoint".into(), endpoint, "--name".into(), "adopted".into()];
    for (flag, key) in [("--ca", "ca"), ("--cert", "cert"), ("--key", "key"), ("--user", "user")] {
        if let Some(value) = declared(bed, key) {
            words.extend([flag.to_owned(), value]);
        }
    }
    if let Some(value) = declared(bed, "password_file").or_else(|| declared(bed, "file")) {
        words.extend(["--password-file".to_owned(), value]);
    }
    words.push(file.display().to_string());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    bed.quorate(&words).expect(0);
    let names = with(bed, &file, &["inventory"]);
    for number in 1..=3 {
        assert!(
            names.2.contains(&bed.node(number)),
            "the adopted fleet lacks a member: {}",
            names.2
        );
    }
    file
}

/// What the lab's own fleet file says under a key.
fn declared(bed: &Bed, key: &str) -> Option<String> {
    let text = fs::read_to_string(bed.fleet()).unwrap();
    let line = text.lines().map(str::trim).find(|line| line.starts_with(&format!("{key}:")))?;
    Some(line.split_once(':')?.1.trim().trim_matches('"').to_owned())
}

fn with(bed: &Bed, fleet: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(quorate_e2e::binary());
    command.arg("--fleet").arg(fleet).args(words);
    if !matches!(words, ["inventory" | "run", ..]) && !words.contains(&"run") {
        command.arg("--artifacts").arg(quorate_e2e::artifacts());
    }
    let output =
        command.stdin(std::process::Stdio::null()).current_dir(bed.scratch()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stderr), text(&output.stdout))
}

/// Upgrades under load through the adopted fleet file: nothing lost, nothing failed.
#[track_caller]
fn upgraded(bed: &Bed, fleet: &Path, to: &str) {
    let (code, said, _) = with(bed, fleet, &["detect"]);
    assert_eq!(code, 0, "{said}");
    let (code, said, _) = with(bed, fleet, &["plan", "adopted", "--to", to]);
    assert_eq!(code, 0, "{said}");
    let (code, said, _) =
        with(bed, fleet, &["upgrade", "adopted", "--to", to, "--soak", "1", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let (_, said, report) = with(bed, fleet, &["--output", "json", "run", "report"]);
    let report: serde_json::Value =
        serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(report["outcome"], "succeeded");
    let client = &report["client"];
    assert!(client["writes_acked"].as_u64().unwrap() > 300, "there was load: {client}");
    assert_eq!(
        (&client["writes_lost"], &client["requests_failed"]),
        (&0.into(), &0.into()),
        "{client}"
    );
    assert_eq!(bed.releases(), vec![Some(to.to_owned()); 3]);
}
