//! T06: of three feasible paths the one of least risk is chosen, with its reasons; a tie goes to fewer hops.

use quorate_e2e::binary;
use serde_json::Value;
use std::process::Command;

/// One bold hop, two careful ones, or three careful ones.
const LADDER: &str = r#"schema: 1
pack: ladder
title: Ladder
about: Three ways up, made for a test.
scheme:
  line_parts: 1
  upstream: '^(?P<release>\d+\.\d+\.\d+)'
  binaries: [ladder]
sources: { N: notes of the maker }
lines: [{ line: "1" }]
releases:
  - { release: "1.0.0" }
  - { release: "1.1.0" }
  - { release: "1.2.0" }
  - { release: "1.3.0" }
  - { release: "1.4.0" }
default_refusal:
  id: L0
  text: only what the ladder names is a hop
  because: nobody has tried anything else
  sources: ["N:page 1"]
rules:
"#;

fn rule(id: &str, from: &str, to: &str, risk: &str) -> String {
    format!(
        "  - {{ id: {id}, from: \"{from}\", to: \"{to}\", verdict: allow, kind: rolling, risk: {risk}, one_way: none, \
         text: \"{from} goes to {to}\", because: \"tried, risk {risk}\", sources: [\"N:page 2\"] }}\n"
    )
}

struct Place(tempfile::TempDir);

impl Place {
    fn with(rules: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("packs")).unwrap();
        std::fs::write(
            folder.path().join("packs/ladder.yaml"),
            format!("{LADDER}{}", rules.concat()),
        )
        .unwrap();
        std::fs::write(folder.path().join("fleet.yaml"), "schema: 1\nfleet: none\nclusters: []\n")
            .unwrap();
        Self(folder)
    }
    fn path(&self, more: &[&str]) -> (i32, String) {
        let fleet = self.0.path().join("fleet.yaml");
        let output = Command::new(binary())
            .arg("--fleet")
            .arg(fleet)
            .args(["path", "ladder", "1.0.0", "1.4.0"])
            .args(more)
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code().unwrap(), said)
    }
    fn stops(&self, more: &[&str]) -> Vec<String> {
        let (code, said) = self.path(&[&["--output", "json"], more].concat());
        assert_eq!(code, 0, "{said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        answer["hops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hop| hop["to"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn three_ways(two_hops: &str) -> Vec<String> {
    vec![
        rule("L1", "1.0.0", "1.4.0", "high"),
        rule("L2", "1.0.0", "1.2.0", two_hops),
        rule("L3", "1.2.0", "1.4.0", "low"),
        rule("L4", "1.0.0", "1.1.0", "low"),
        rule("L5", "1.1.0", "1.3.0", "low"),
        rule("L6", "1.3.0", "1.4.0", "low"),
    ]
}

#[test]
fn t06_least_risk_wins_and_says_why() {
    let place = Place::with(&three_ways("med"));
    assert_eq!(
        place.stops(&[]),
        ["1.1.0", "1.3.0", "1.4.0"],
        "three low hops are less risk than one high or a medium one"
    );
    let (code, said) = place.path(&[]);
    assert_eq!(code, 0);
    for word in ["risk low", "L4 allows: 1.0.0 goes to 1.1.0", "L5 allows", "L6 allows"] {
        assert!(said.contains(word), "lacks `{word}`:\n{said}");
    }
    // Each of the other two is feasible when it is all there is.
    assert_eq!(place.stops(&["--available", "1.2.0,1.4.0"]), ["1.2.0", "1.4.0"]);
    assert_eq!(place.stops(&["--available", "1.4.0"]), ["1.4.0"]);
    let (_, bold) = place.path(&["--available", "1.4.0"]);
    assert!(bold.contains("risk high"), "{bold}");
}

#[test]
fn t06_a_tie_goes_to_fewer_hops() {
    let place = Place::with(&three_ways("low"));
    assert_eq!(
        place.stops(&[]),
        ["1.2.0", "1.4.0"],
        "two low hops and three low hops: the same risk, fewer hops"
    );
}
