//! Conditions over an observation: what holds, what does not, and that missing data never hold anything.

use proptest::prelude::*;
use quorate_model::{
    Facts, NodeObservation, Observation, Reach, Release, Role, Setting, SettingSource,
};
use quorate_packs::{
    Pack, Packs,
    eval::{Scope, Truth},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::LazyLock};

const PACK: &str = r#"
schema: 1
pack: garden
title: Garden
about: A pack for tests.
scheme: {line_parts: 2, binaries: [garden], upstream: '^(?:\d+:)?(?P<release>\d+(?:\.\d+)+)'}
vars:
  gateway:
    - {releases: <3.4, value: v3beta}
    - {releases: any, value: v3}
detect:
  endpoint: client
  process: {names: [garden], env_prefix: GARDEN_}
  node: []
  fields: {}
"#;

static PACKS: LazyLock<Packs> = LazyLock::new(|| {
    Packs::load(&[("garden/pack.yaml".into(), PACK.into())]).expect("the pack is right")
});

fn pack() -> &'static Pack {
    PACKS.get(&"garden".into()).expect("the pack was loaded")
}

fn release(text: &str) -> Release {
    text.parse().expect("a release")
}

fn node(name: &str, role: Role) -> NodeObservation {
    NodeObservation {
        reach: Reach::Reachable,
        release: Some(release("3.4.23")),
        role,
        voter: Some(true),
        healthy: Some(true),
        lag: Some(0),
        settings: vec![
            Setting {
                source: SettingSource::Flag,
                key: "--log-output".into(),
                value: "stdout".into(),
            },
            Setting {
                source: SettingSource::Env,
                key: "GARDEN_AUTO_TLS".into(),
                value: "true".into(),
            },
        ],
        facts: Facts::from([("auth".into(), json!(false)), ("empty".into(), json!(null))]),
        ..NodeObservation::unseen(name.into(), "server".into(), "")
    }
}

fn seen() -> Observation {
    Observation {
        cluster: "demo".into(),
        pack: "garden".into(),
        taken_at: "2026-11-20T12:00:00Z".parse().expect("a time"),
        nodes: vec![
            node("m1", Role::Leader),
            NodeObservation {
                release: Some(release("3.3.25")),
                lag: Some(12),
                ..node("m2", Role::Follower)
            },
            NodeObservation::unseen("m3".into(), "server".into(), "connection refused"),
        ],
        facts: Facts::from([
            ("auth".into(), json!(true)),
            ("cluster_release".into(), json!("3.3.0")),
        ]),
        findings: Vec::new(),
    }
}

fn look(cel: &str) -> Truth {
    let pack = pack();
    let scope = Scope::cluster(pack, &seen(), Some(&release("3.3.25")), Some(&release("3.4.23")));
    pack.holds(cel, &scope.with_node(&"m2".into()))
}

#[test]
fn conditions_see_the_observation() {
    for cel in [
        "node.name == 'm2' && node.release == '3.3.25' && node.role == 'follower' && node.reachable",
        "node.lag > 10 && node.lag == 12",
        "node.auth == false && cluster.auth",
        "node.settings['log-output'] == 'stdout' && node.settings['auto-tls'] == 'true'",
        "cluster.size == 3 && cluster.voters == 2 && cluster.healthy_voters == 2 && cluster.quorum == 2",
        "cluster.leader == 'm1' && cluster.releases == ['3.3.25', '3.4.23']",
        "nodes.exists(n, n.role == 'leader') && nodes.filter(n, n.reachable).all(n, n.healthy)",
        "from == '3.3.25' && to == '3.4.23' && line(to) == '3.4'",
        "at_least(to, '3.4.9') && below(from, to) && in_range(from, '3.3.x || >=3.5')",
        "cluster.alarms == [] || size(node.alarms) == 0",
    ] {
        assert_eq!(look(cel), Truth::True, "{cel}");
    }
    for cel in ["node.lag < 12", "cluster.leader == null", "at_least(from, to)", "'quorum' in node"]
    {
        assert_eq!(look(cel), Truth::False, "{cel}");
    }
}

#[test]
fn missing_data_are_unknown_and_say_what_is_missing() {
    let cases = [
        "node.store == 'v2'",
        "node.empty == 1",
        "node.applied_index > 5",
        "nodes.all(n, n.healthy)",
        "cluster.nothing",
        "at_least(node.name, '3.4')",
        "at_least(null, '3.4')",
        "in_range(to, '<<')",
        "node.lag",
        "other == 1",
        "nobody(1)",
        "node.lag / 0 == 1",
        "int('many') == 1",
        "metric('a 1', 'b') == 1.0",
        "b64d('%%%') == ''",
        "this does not parse",
    ];
    let text: String = cases
        .iter()
        .map(|cel| match look(cel) {
            Truth::Unknown { what } => format!("{cel}\n  {what}\n"),
            truth => panic!("{cel} is {truth:?}"),
        })
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn an_unknown_part_does_not_hide_a_known_answer() {
    assert_eq!(look("cluster.nothing || true"), Truth::True);
    assert_eq!(look("cluster.nothing && false"), Truth::False);
    assert!(look("cluster.nothing && true").is_unknown());
}

#[test]
fn a_node_that_is_not_there_is_unknown() {
    let pack = pack();
    let scope = Scope::cluster(pack, &seen(), None, None);
    assert!(pack.holds("node.reachable", &scope.with_node(&"m9".into())).is_unknown());
    assert!(pack.holds("node.reachable", &scope).is_unknown());
    assert!(pack.holds("to == '3.4.23'", &scope).is_unknown());
}

#[test]
fn on_paper_only_facts_are_known() {
    let pack = pack();
    let facts = Facts::from([("v2_data".into(), json!(true))]);
    let scope = Scope::paper(&facts, Some(&release("2.3.8")), Some(&release("3.0.17")));
    assert_eq!(pack.holds("cluster.v2_data && below(from, '3.0')", &scope), Truth::True);
    assert!(pack.holds("nodes.all(n, n.healthy)", &scope).is_unknown());
    assert!(pack.holds("cluster.size == 3", &scope).is_unknown());
}

#[test]
fn answers_of_products_become_values() {
    let pack = pack();
    let vars = BTreeMap::from([
        ("status".to_owned(), json!(200)),
        (
            "body".to_owned(),
            json!({"kvs": [{"key": "YQ==", "value": "Yg=="}], "none": null, "big": 8_719_965_465_587_736_049_u64}),
        ),
        ("text".to_owned(), json!("# HELP x\nhas_leader 1\nis{a=\"b c\"} 2.5\n")),
    ]);
    let value = |cel: &str| pack.value(cel, &vars);
    assert_eq!(value("body.kvs.map(kv, [b64d(kv.key), b64d(kv.value)])"), Ok(json!([["a", "b"]])));
    assert_eq!(value("metric(text, 'has_leader') == 1.0"), Ok(json!(true)));
    assert_eq!(value("metric(text, 'is')"), Ok(json!(2.5)));
    assert_eq!(value("string(body.big)"), Ok(json!("8719965465587736049")));
    assert_eq!(value("has(body.none)"), Ok(json!(false)));
    assert_eq!(value("json('{\"a\": [1]}').a[0] + 1"), Ok(json!(2)));
    assert_eq!(value("b64('a')"), Ok(json!("YQ==")));
    assert_eq!(value("'a b'.split(' ')[1]"), Ok(json!("b")));
    assert!(value("status / 0").is_err());
}

#[test]
fn words_and_upstream_releases() {
    let pack = pack();
    assert_eq!(pack.vars_for(&release("3.3.25"))["gateway"], "v3beta");
    assert_eq!(pack.vars_for(&release("3.5.1"))["gateway"], "v3");
    assert_eq!(pack.upstream("3.3.25+dfsg-6"), Some(release("3.3.25")));
    assert_eq!(pack.upstream("5:7.0.15-1~deb12u7"), Some(release("7.0.15")));
    assert_eq!(pack.upstream("unknown"), None);
    assert_eq!(pack.line(&release("3.5.16")), "3.5");
}

#[test]
fn templates_render_and_refuse_blanks() {
    let pack = pack();
    let context = quorate_packs::context! { target => 8_719_965_465_587_736_049_u64, word => "a b/ü", quote => "\"<" };
    let render = |template: &str| pack.render(template, &context);
    assert_eq!(
        render("{\"targetID\":\"{{ target }}\"}").unwrap(),
        "{\"targetID\":\"8719965465587736049\"}"
    );
    assert_eq!(render("{{ word | urlencode }}").unwrap(), "a%20b%2F%C3%BC");
    assert_eq!(render("{{ 'a' | b64 }} {{ 'YQ==' | b64d }}").unwrap(), "YQ== a");
    assert_eq!(render("{{ quote | json }} {{ quote }}").unwrap(), "\"\\\"<\" \"<");
    assert_eq!(render("{artifact}/etcd").unwrap(), "{artifact}/etcd");
    insta::assert_snapshot!(
        ["{{ nothing }}", "{{ word.part.of }}", "{{ 'x' | b64d }}", "{{ open", "{% for %}"]
            .map(|template| format!("{template}\n  {}\n", render(template).unwrap_err()))
            .concat()
    );
}

#[test]
fn the_same_knowledge_has_the_same_digest() {
    let digest = |text: &str| {
        let packs = Packs::load(&[("garden/pack.yaml".into(), text.into())]).unwrap();
        packs.get(&"garden".into()).unwrap().digest().clone()
    };
    let one = digest(PACK);
    assert_eq!(one.as_str().len(), 64);
    assert_eq!(one, digest(&format!("# a comment\n{PACK}")));
    assert_ne!(one, digest(&PACK.replace("<3.4", "<3.3")));
}

/// Ten thousand clusters with twenty conditions each must stay far under a second when built for release;
/// this bound is fifty times looser, for builds without optimisation on a busy machine.
#[test]
fn conditions_are_cheap() {
    let pack = pack();
    let seen = seen();
    let begin = std::time::Instant::now();
    for _ in 0..1_000 {
        let scope = Scope::cluster(pack, &seen, None, None);
        for name in ["m1", "m2", "m3"] {
            let scope = scope.with_node(&name.into());
            for _ in 0..7 {
                pack.holds("cluster.size == 3 && nodes.all(n, n.name != '')", &scope);
            }
        }
    }
    let took = begin.elapsed();
    println!("1,000 scopes and 21,000 conditions took {took:?}");
    assert!(took.as_secs() < 10, "{took:?}");
}

proptest! {
    #[test]
    fn any_expression_gives_an_answer(cel in "([a-z]{1,4}|node|nodes|cluster|\\.all|lag|[0-9]|[()\\[\\].,+*/%<>=!&|?:'\" -]){0,24}") {
        look(&cel);
    }

    #[test]
    fn any_template_renders_or_is_refused(template in "([a-z]{1,4}|\\{\\{|\\}\\}|\\{%|%\\}|for|in|if|end|[|.,' ()0-9*]){0,24}") {
        let _ = quorate_packs::render(&template, &quorate_packs::context! { a => 1 });
    }
}
