//! What the linter says of packs that are wrong, and that no text makes the loader panic.

use proptest::prelude::*;
use quorate_packs::{Packs, lint, schema};
use quorate_syntax::{Look, render_as};

/// A small pack in which everything is right.
const GOOD: &str = r#"schema: 1
pack: garden
title: Garden
about: A pack for tests.
scheme:
  line_parts: 2
  upstream: '(?P<release>\d+\.\d+\.\d+)'
  binaries: [garden]
sources:
  NEWS: the release notes
lines:
  - {line: "1.0", released: 2020-01-01, end_of_support: 2021-01-01}
  - {line: "1.1", released: 2020-06-01}
releases:
  - {release: 1.0.0, date: 2020-01-01}
  - {release: 1.1.0}
vars:
  api:
    - {releases: any, value: v1}
assumptions:
  - {fact: old_seeds, value: true, from: 1.0.x, because: they were born there}
default_refusal: {id: G00, text: no rule permits it, because: nobody tried, sources: ["NEWS:1"]}
rules:
  - id: G01
    from: 1.0.x
    to: 1.1.x
    verdict: allow
    risk: low
    text: one line at a time
    because: the notes say so
    sources: ["NEWS:1.1"]
  - id: G02
    from: 1.0.x
    to: 1.1.x
    verdict: condition
    condition: "!cluster.old_seeds || nodes.all(n, n.watered)"
    cures: [water]
    risk: med
    text: seeds must be watered
    because: dry seeds die
    sources: ["NEWS:1.1"]
detect:
  endpoint: client
  process: {names: [garden]}
  node:
    - id: status
      ask: {http: {method: GET, url: "{{ endpoints.client }}/{{ vars.api }}/status"}}
      facts:
        watered: body.watered
        version: body.version
  fields:
    release: facts.version
safety:
  max_lag: 10
  max_lag_because: measured
  rejoined:
    - {name: release, cel: node.release == to, text: runs the release}
    - {name: healthy, cel: node.healthy, text: is healthy}
    - {name: member, cel: node.voter, text: is a member}
    - {name: caught-up, cel: node.lag <= 10, text: has caught up}
  hop_complete:
    - {name: hop-complete, cel: "cluster.releases == [to]", text: all run it}
recipes:
  cures:
    water:
      title: water the seeds
      call: {http: {method: POST, url: "{{ endpoints.client }}/water"}}
      by_hand: curl -X POST {{ endpoints.client }}/water
      done: nodes.all(n, n.watered)
      limit_secs: 10
      because: dry seeds die
"#;

fn files(text: &str) -> Vec<(String, String)> {
    vec![("garden/pack.yaml".into(), text.into())]
}

/// The findings after one change to the good pack.
fn after(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the good pack has no `{from}`");
    found(&files(&GOOD.replacen(from, to, 1)))
}

fn found(files: &[(String, String)]) -> String {
    let found = lint(files);
    let text = found.iter().map(|one| format!("{:?} {one}\n", one.severity)).collect();
    let source =
        |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, text)| text.as_str());
    assert!(found.is_empty() || !render_as(&found, Look::Plain, source).is_empty());
    text
}

#[test]
fn a_right_pack_has_no_finding() {
    assert_eq!(found(&files(GOOD)), "");
    assert!(Packs::load(&files(GOOD)).unwrap().get(&"garden".into()).is_some());
}

#[test]
fn an_action_that_the_program_does_not_have() {
    let said = after(
        r#"call: {http: {method: POST, url: "{{ endpoints.client }}/water"}}"#,
        "call: {native: {action: etcd.verify-snapshott}}",
    );
    assert!(said.contains("no action `etcd.verify-snapshott`"), "{said}");
    assert!(said.contains("garden/pack.yaml:") && said.starts_with("Error"), "{said}");
    let right = after(
        r#"call: {http: {method: POST, url: "{{ endpoints.client }}/water"}}"#,
        "call: {native: {action: etcd.verify-snapshot}}",
    );
    assert_eq!(right, "");
}

#[test]
fn findings_about_knowledge() {
    let cases = [
        ("schema: 1", "schema: 2"),
        ("pack: garden", "pack: Garden Tools"),
        ("title: Garden", "title: ' '"),
        ("line_parts: 2", "line_parts: 0"),
        ("binaries: [garden]", "binaries: []"),
        ("(?P<release>", "(?P<version>"),
        ("(?P<release>", "("),
        ("line: \"1.0\"", "line: \"1\""),
        ("line: \"1.0\"", "line: \"1.2\""),
        ("end_of_support: 2021-01-01", "end_of_support: 2019-01-01"),
        ("released: 2020-06-01", "released: June"),
        ("release: 1.1.0", "release: 1.0.0"),
        ("release: 1.1.0", "release: 1.7.0"),
        ("id: G02", "id: G01"),
        ("id: G02", "id: G00"),
        ("text: one line at a time", "text: ''"),
        ("because: the notes say so", "because: ''"),
        ("    sources: [\"NEWS:1.1\"]\n  - id: G02", "    sources: []\n  - id: G02"),
        ("    sources: [\"NEWS:1.1\"]\n  - id: G02", "  - id: G02"),
        ("sources: [\"NEWS:1.1\"]", "sources: [\"NEW:1.1\"]"),
        ("cures: [water]", "cures: [watr]"),
        ("    condition: \"!cluster.old_seeds || nodes.all(n, n.watered)\"\n", ""),
        ("verdict: condition", "verdict: block"),
        ("verdict: allow", "verdict: alow"),
        ("from: 1.0.x", "from: '1.0.x <'"),
        ("because: they were born there", "because: ''"),
        ("risk: low", "risk: low\n    resk: high"),
    ];
    insta::assert_snapshot!(table(&cases));
}

#[test]
fn findings_about_procedures_and_expressions() {
    let cases = [
        ("name: caught-up", "name: catched-up"),
        ("release: facts.version", "relese: facts.version"),
        ("release: facts.version", "release: facts.versoin"),
        ("!cluster.old_seeds", "!cluster.old_seed"),
        ("n.watered", "n.waterd"),
        ("cel: node.healthy", "cel: node.healthy &&"),
        ("cel: node.healthy", "cel: nod.healthy"),
        ("cel: node.healthy", "cel: atleast(node.release, to)"),
        ("watered: body.watered", "watered: node.watered"),
        ("/status\"", "/{{ status\""),
        ("vars.api", "vars.apis"),
        ("{{ endpoints.client }}/water\"", "{{ endpoint_s.client }}/water\""),
        ("limit_secs: 10", "limit_secs: 0"),
        ("limit_secs: 10", "limit_secs: 1e9"),
        ("      done: nodes.all(n, n.watered)\n", ""),
        ("    cures: [water]\n", ""),
        ("max_lag_because: measured", "max_lag_because: ''"),
        ("text: is healthy", "text: ''"),
        ("name: healthy", "name: release"),
        (
            "- id: status",
            "- id: status\n      ask: {file: {path: x}}\n      facts: {}\n    - id: status",
        ),
        ("recipes:\n", "recipes:\n  estimates_secs: {stopp: 1}\n"),
        ("http: {method: GET", "htp: {method: GET"),
        ("recipes:\n", "by_hand: {of_member: {helthy: ask it}}\nrecipes:\n"),
        ("recipes:\n", "by_hand: {of_cluster: {healthy: ' '}}\nrecipes:\n"),
        ("recipes:\n", "by_hand: {shell: '{{ tls'}\nrecipes:\n"),
    ];
    insta::assert_snapshot!(table(&cases));
}

fn table(cases: &[(&str, &str)]) -> String {
    let text = |(from, to): &(&str, &str)| {
        let found = after(from, to);
        assert!(!found.is_empty(), "nothing is said of `{to}`");
        format!("## {} -> {}\n{found}\n", from.trim(), to.trim())
    };
    cases.iter().map(text).collect()
}

#[test]
fn included_files_are_merged_and_checked() {
    let (head, rules) = GOOD.split_once("rules:\n").unwrap();
    let root = format!("{head}include: [rules.yaml, more.yaml]\n");
    let split = |more: &str| {
        vec![
            ("garden/pack.yaml".to_owned(), root.clone()),
            ("garden/rules.yaml".to_owned(), format!("rules:\n{rules}")),
            ("garden/more.yaml".to_owned(), more.to_owned()),
        ]
    };
    let more = "sources: {MAN: the manual}\nreleases:\n  - {release: 1.1.1}\n";
    assert_eq!(found(&split(more)), "");
    let packs = Packs::load(&split(more)).unwrap();
    let pack = packs.get(&"garden".into()).unwrap();
    assert_eq!(pack.releases.len(), 3);
    assert_eq!(pack.sources.len(), 2);
    assert_eq!(pack.rules.len(), 2);

    let mut cases = String::new();
    let mut case = |what: &str, files: &[(String, String)]| {
        cases.push_str(&format!("## {what}\n{}\n", found(files)))
    };
    case("set twice", &split("title: Again\n"));
    case("an error in an included file", &split("releases:\n  - {release: 9.9.9}\n"));
    case("an unknown key in an included file", &split("releses: []\n"));
    case("no map", &split("- a\n"));
    case("no YAML", &split("a: [\n"));
    case("a missing file", &split(more)[..2]);
    case(
        "a stray file",
        &[files(GOOD), vec![("garden/rest.yaml".into(), "rules: []\n".into())]].concat(),
    );
    case("twins", &[files(GOOD), vec![("other/pack.yaml".into(), GOOD.into())]].concat());
    insta::assert_snapshot!(cases);
}

#[test]
fn a_pack_with_an_error_is_refused_and_one_with_a_warning_is_not() {
    let bad = GOOD.replacen("cel: node.healthy", "cel: node.healthy &&", 1);
    assert!(Packs::load(&files(&bad)).is_err());
    let odd = GOOD.replacen("n.watered", "n.waterd", 1);
    assert!(Packs::load(&files(&odd)).is_ok());
}

#[test]
fn the_schema_knows_the_keys() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let keys = schema["properties"].as_object().unwrap();
    assert!(keys.contains_key("rules") && keys.contains_key("known_issues"));
    assert_eq!(schema["additionalProperties"], serde_json::json!(false));
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "(?s).{0,120}") {
        lint(&files(&text));
    }

    #[test]
    fn no_change_makes_the_loader_panic(at in 0usize..2500, cut in 0usize..40, put in "[a-z:{}\\[\\]\"'|>&*#0-9 \n-]{0,6}") {
        let mut text: Vec<char> = GOOD.chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, put.chars());
        let text: String = text.into_iter().collect();
        let files = files(&text);
        let found = lint(&files);
        prop_assert_eq!(Packs::load(&files).is_err(), found.iter().any(|one| one.is_error()));
    }
}
