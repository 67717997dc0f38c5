//! Fleet files: what they mean, what is refused and how that is said, and that writing and reading agree.

use proptest::prelude::*;
use quorate_inventory::{fleet_schema, read_fleet, select, write_fleet};
use quorate_model::{
    Approve, AuthSpec, Cluster, ConfigTemplate, Dependant, Fleet, Host, HostAct, Node, OnFailure,
    Override, Policy, ProcessSpec, Requirement, Runs, Secret, ServiceSpec, SshHost, SshSpec,
    TlsSpec,
};
use quorate_packs::Packs;
use quorate_syntax::{Diagnostic, render};
use std::{collections::BTreeMap, path::Path, sync::LazyLock, time::Duration};

const PACK: &str = "
schema: 1
pack: garden
title: Garden
about: A pack for tests.
scheme: {line_parts: 2, binaries: [garden]}
needs: {water: water from above}
detect:
  endpoint: client
  process: {names: [garden]}
  node: []
  fields: {}
";

static PACKS: LazyLock<Packs> = LazyLock::new(|| {
    Packs::load(&[("garden/pack.yaml".into(), PACK.into())]).expect("the pack is right")
});

fn read(text: &str) -> Result<Fleet, Vec<Diagnostic>> {
    read_fleet("fleet.yaml", text, Path::new("/srv/home"), &PACKS)
}

const GOOD: &str = "schema: 1
fleet: home
artifacts: [releases]
defaults:
  environment: staging
  policy: {soak_secs: 5, good_looks: 4}
clusters:
  - name: one
    pack: garden
    environment: production
    tls: {ca: pki/ca.pem, cert: pki/c.pem, key: pki/k.pem}
    auth: {user: root, password: {file: secret}}
    policy:
      soak_secs: 0.5
      freeze: ['Fri 12:00 - Mon 06:00 [Europe/Berlin]']
      windows: ['Tue 02:00 - Tue 04:00']
      overrides:
        - {gate: healthy, node: a, reason: known disk, expires: 2026-12-01T00:00:00Z}
    defaults: {env: {A: '1', B: '2'}, grace_secs: 7}
    nodes:
      - name: a
        endpoints: {client: 'http://127.0.0.1:1001/', peer: 'http://127.0.0.1:1002'}
        data_dir: ./a/data
        service:
          kind: process
          argv: [a/bin/garden, --name, a]
          env: {B: '3'}
          pid_file: a/pid
          log_file: /var/log/a
      - name: b
        group: client
        host: local
        endpoints: {client: 'http://127.0.0.1:2001'}
  - name: two
    pack: garden
    nodes:
      - {name: a, endpoints: {client: 'http://127.0.0.1:3001'}}
";

#[test]
fn a_fleet_is_resolved() {
    let fleet = read(GOOD).unwrap();
    assert_eq!(fleet.artifacts, [Path::new("/srv/home/releases")]);
    let [one, two] = fleet.clusters.as_slice() else { panic!() };
    assert_eq!(one.environment.as_deref(), Some("production"));
    assert_eq!(two.environment.as_deref(), Some("staging"));
    assert_eq!((one.policy.soak, one.policy.good_looks), (Duration::from_millis(500), 4));
    assert_eq!((two.policy.soak, two.policy.good_looks), (Duration::from_secs(5), 4));
    assert_eq!(one.policy.rejoin_limit, Policy::default().rejoin_limit);
    assert_eq!(one.tls.as_ref().unwrap().ca, Path::new("/srv/home/pki/ca.pem"));
    assert_eq!(one.auth.as_ref().unwrap().password, Secret::File("/srv/home/secret".into()));
    let [a, b] = one.nodes.as_slice() else { panic!() };
    assert_eq!(a.endpoints["client"], "http://127.0.0.1:1001");
    assert_eq!(a.data_dir.as_deref(), Some(Path::new("/srv/home/a/data")));
    assert_eq!((a.group.as_str(), b.group.as_str()), ("server", "client"));
    let Some(ServiceSpec::Process(ProcessSpec { argv, env, pid_file, log_file, work_dir, grace })) =
        &a.service
    else {
        panic!()
    };
    assert_eq!(argv, &["/srv/home/a/bin/garden", "--name", "a"]);
    assert_eq!((env["A"].as_str(), env["B"].as_str()), ("1", "3"));
    assert_eq!(
        (pid_file.as_path(), log_file.as_path()),
        (Path::new("/srv/home/a/pid"), Path::new("/var/log/a"))
    );
    assert_eq!((work_dir, *grace), (&None, Duration::from_secs(7)));
    assert_eq!(select(&fleet, &["t*"]).unwrap().len(), 1);
}

/// What is said after one change to the good file.
fn after(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the good file has no `{from}`");
    let text = GOOD.replacen(from, to, 1);
    let found = read(&text).expect_err(to);
    assert!(!render(&found, &text).is_empty());
    let found: String = found.iter().map(|one| format!("{one}\n")).collect();
    format!("## {} -> {}\n{found}\n", from.trim(), to.trim())
}

#[test]
fn wrong_files_are_refused_with_place_and_hint() {
    let cases = [
        ("fleet: home", "fleet: [home"),
        ("schema: 1", "schema: 2"),
        ("schema: 1", "schema: 0"),
        ("schema: 1\n", ""),
        ("fleet: home", "fleet: ''"),
        ("artifacts", "artefacts"),
        ("    pack: garden", "    pak: garden"),
        ("    pack: garden", "    pack: gardn"),
        ("    pack: garden", "    pack: zookeeper"),
        ("- name: two", "- name: one"),
        ("- name: two", "- name: ../two"),
        ("- name: b", "- name: a"),
        ("      - {name: a, endpoints: {client: 'http://127.0.0.1:3001'}}", "      []"),
        ("group: client", "group: ''"),
        ("host: local", "host: remote"),
        ("http://127.0.0.1:2001", "127.0.0.1:2001"),
        ("http://127.0.0.1:2001", "http://127.0.0.1:66000"),
        ("http://127.0.0.1:2001", "http://root:pw@127.0.0.1:2001"),
        ("http://127.0.0.1:2001", "http://127.0.0.1:1001"),
        ("http://127.0.0.1:3001", "HTTP://127.0.0.1:1002"),
        ("http://127.0.0.1:3001", "http://127.0.0.1:1002/"),
        ("{client: 'http://127.0.0.1:2001'}", "{clients: 'http://127.0.0.1:2001'}"),
        ("        host: local\n", "        data_dir: a/data\n"),
        (
            "        host: local\n",
            "        service: {kind: process, argv: [b/g], pid_file: ./a/pid, log_file: l}\n",
        ),
        ("kind: process", "kind: proces"),
        ("argv: [a/bin/garden, --name, a]", "argv: []"),
        ("argv: [a/bin/garden, --name, a]", "argv: [garden]"),
        ("          pid_file: a/pid\n", ""),
        ("grace_secs: 7", "grace_secs: -1"),
        ("B: '3'", "'B=': '3'"),
        (", key: pki/k.pem", ""),
        ("password: {file: secret}", "password: hunter2"),
        ("good_looks: 4", "good_looks: 0"),
        ("      soak_secs: 0.5", "      max_unavailable: 0"),
        ("      soak_secs: 0.5", "      soak_secs: -1"),
        ("      soak_secs: 0.5", "      soak_secs: 1e9"),
        ("      soak_secs: 0.5", "      look_every_secs: 0"),
        ("      soak_secs: 0.5", "      look_every_secs: 400"),
        ("      soak_secs: 0.5", "      rejoin_limit_secs: .nan"),
        ("      soak_secs: 0.5", "      soak: 1"),
        ("      soak_secs: 0.5", "      approve: always"),
        ("Fri 12:00 - Mon", "Fry 12:00 - Mon"),
        ("[Europe/Berlin]", "[Mars/Olympus]"),
        ("Tue 02:00 - Tue 04:00", "Tue 02:00 to 04:00"),
        ("reason: known disk", "reason: ''"),
        (", reason: known disk", ""),
        ("gate: healthy", "gate: ''"),
        ("node: a,", "node: ab,"),
        ("expires: 2026-12-01T00:00:00Z", "expires: soon"),
    ];
    let text: String = cases.iter().map(|(from, to)| after(from, to)).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_repeated() {
    for (from, to) in [
        ("password: {file: secret}", "password: hunter2"),
        ("environment: staging", "auth: {user: a, password: hunter2}"),
        ("http://127.0.0.1:2001", "http://root:hunter2@127.0.0.1:2001"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        let found = read(&text).unwrap_err();
        assert_eq!(found[0].code, quorate_syntax::SECRET_IN_FILE);
        let said = format!("{}{}", found[0], render(&found, &text));
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn packages_of_a_unit_have_names_that_debian_knows() {
    let with = |packages: &str| {
        let service = format!(
            "        service: {{kind: systemd, unit: g.service, binary: /usr/bin/g, packages: {packages}}}\n"
        );
        GOOD.replacen("        host: local\n", &service, 1)
    };
    let fleet = read(&with("[garden-server, libgarden2++]")).unwrap();
    let service = fleet.clusters[0].nodes[1].service.as_ref().unwrap();
    assert_eq!(service.packages(), ["garden-server", "libgarden2++"]);
    for (packages, says) in [
        ("['-o']", "`-o` cannot be the name of a Debian package"),
        ("[Garden]", "cannot be the name"),
        ("['a b']", "cannot be the name"),
        ("[garden, garden]", "`garden` is named twice"),
    ] {
        let found = read(&with(packages)).unwrap_err();
        assert!(found[0].to_string().contains(says), "{packages}: {}", found[0]);
    }
    let of_process =
        GOOD.replacen("pid_file: a/pid", "pid_file: a/pid\n          packages: [garden]", 1);
    let found = read(&of_process).unwrap_err();
    assert!(found[0].to_string().contains("a process has no `packages`"), "{}", found[0]);
}

#[test]
fn everything_wrong_is_said_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replacen("pack: garden", "pack: gardn", 1)
        .replacen("http://127.0.0.1:2001", "ftp://x", 1)
        .replacen("- name: two", "- name: one", 1);
    let found = read(&text).unwrap_err();
    let codes: Vec<_> = found.iter().map(|one| one.code).collect();
    assert_eq!(codes, ["unknown-pack", "bad-endpoint", "duplicate-cluster"]);
}

#[test]
fn what_is_wrong_with_dependants_is_said() {
    let wrong = GOOD.replacen(
        "    pack: garden\n",
        "    pack: garden\n    dependants:\n      - {name: a, needs: [watre]}\n      - {name: a, requires: [{cluster: '>=2', version: '>=1.9'}]}\n      - {name: b, runs: {hosts: [], stop: {run: x, seen: y}, start: {run: x, seen: y}}}\n",
        1,
    );
    let found = read(&wrong).unwrap_err();
    let codes: Vec<_> = found.iter().map(|one| one.code).collect();
    assert_eq!(
        codes,
        ["unknown-need", "duplicate-dependant", "dependant-version", "dependant-hosts"]
    );
    assert!(found[0].hint.as_deref().is_some_and(|hint| hint.contains("did you mean `water`")));
}

#[test]
fn an_application_runs_on_the_hosts_that_are_named() {
    let with = GOOD.replacen(
        "    pack: garden\n",
        "    pack: garden\n    dependants:\n      - name: a\n        runs:\n          hosts: [local, {ssh: app-1}]\n          stop: {run: halt, seen: halted}\n          start: {run: go, seen: goes, limit_secs: 1.5}\n",
        1,
    );
    let fleet = read(&with).unwrap();
    let runs = fleet.clusters[0].dependants[0].runs.clone().unwrap();
    assert_eq!(runs.hosts, [Host::Local, Host::Ssh(SshHost::new("app-1"))]);
    let act = |run: &str, seen: &str, millis| HostAct {
        run: run.into(),
        seen: seen.into(),
        limit: Duration::from_millis(millis),
    };
    assert_eq!((runs.stop, runs.start), (act("halt", "halted", 60_000), act("go", "goes", 1500)));
}

#[test]
fn a_wrong_default_is_said_once() {
    let two = GOOD.replacen("good_looks: 4", "good_looks: 0", 1);
    assert_eq!(read(&two).unwrap_err().len(), 1);
}

#[test]
fn empty_and_foreign_files_are_refused() {
    let text: String = [
        "",
        "clusters: []\nschema: 1\nfleet: a\n",
        "- a\n",
        "just words\n",
        "schema: 7\nnew: key\n",
    ]
    .iter()
    .map(|text| format!("{}\n", render(&read(text).unwrap_err(), text)))
    .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn the_schema_knows_the_keys() {
    let schema: serde_json::Value = serde_json::from_str(&fleet_schema()).unwrap();
    let keys = schema["properties"].as_object().unwrap();
    assert!(keys.contains_key("clusters") && keys.contains_key("defaults"));
    assert_eq!(schema["additionalProperties"], serde_json::json!(false));
}

#[test]
fn what_is_written_is_commented_and_reads_the_same() {
    let fleet = read(GOOD).unwrap();
    let text = write_fleet(&fleet);
    insta::assert_snapshot!(text);
    assert_eq!(read(&text).unwrap(), fleet);
}

#[test]
fn ten_thousand_clusters_are_read_in_time() {
    let node = |c: usize, n: usize| Node {
        endpoints: BTreeMap::from([(
            "client".to_owned(),
            format!("http://10.{}.{}.{n}:2379", c / 250, c % 250),
        )]),
        ..bare_node(&format!("n{n}"))
    };
    let clusters = (0..10_000).map(|c| Cluster {
        nodes: (1..=3).map(|n| node(c, n)).collect(),
        ..bare_cluster(&format!("c{c}"))
    });
    let fleet = Fleet {
        name: "big".into(),
        artifacts: Vec::new(),
        clusters: clusters.collect(),
        ssh: SshSpec::default(),
    };
    let text = write_fleet(&fleet);
    let begin = std::time::Instant::now();
    assert_eq!(read(&text).unwrap(), fleet);
    // Without optimisation and on a busy machine; a quadratic check would take minutes.
    assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
}

fn bare_cluster(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        pack: "garden".into(),
        environment: None,
        nodes: Vec::new(),
        tls: None,
        auth: None,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    }
}

fn bare_node(name: &str) -> Node {
    Node {
        name: name.into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::new(),
        data_dir: None,
        service: None,
    }
}

/// A cluster that uses everything, made of free texts.
fn cluster(texts: &[String], number: u32) -> Cluster {
    let text = |i: usize| texts[i % texts.len()].clone();
    let path = |i: usize| format!("/x/{}", text(i).replace(['/', '\0'], "-")).into();
    let mut node = bare_node("n1");
    node.endpoints = BTreeMap::from([(
        "client".into(),
        format!("http://h-{number}.example:{}", number % 65_000 + 1),
    )]);
    node.data_dir = Some(path(0));
    node.service = Some(ServiceSpec::Process(ProcessSpec {
        argv: vec![format!("/bin/{number}"), text(1), text(2)],
        env: BTreeMap::from([("A".to_owned(), text(3)), (format!("B{number}"), text(4))]),
        pid_file: "/x-pid".into(),
        log_file: path(5),
        work_dir: Some(path(6)),
        grace: Duration::from_millis(u64::from(number % 3_600_000)),
    }));
    let policy = Policy {
        good_looks: number % 100 + 1,
        soak: Duration::from_millis(u64::from(number)),
        approve: Approve::Wave,
        on_failure: OnFailure::UndoMember,
        allow_outage: true,
        client_gap_max_ms: Some(number.into()),
        freeze: vec!["Fri 12:00 - Mon 06:00 [Europe/Berlin]".into()],
        windows: vec!["Tue 02:00 - Tue 04:00".into()],
        overrides: vec![Override {
            gate: format!("g{}", text(1)),
            node: "n1".into(),
            reason: format!("because {}", text(2)),
            expires: "2026-12-01T00:00:00Z".parse().expect("the time is right"),
        }],
        ..Policy::default()
    };
    Cluster {
        nodes: vec![node],
        environment: Some(text(3)),
        tls: Some(TlsSpec { ca: path(1), cert: Some(path(2)), key: Some(path(3)) }),
        auth: Some(AuthSpec { user: text(4), password: Secret::Env(text(5)) }),
        config: vec![ConfigTemplate {
            path: format!("/{}", text(1)),
            template: path(2),
            text: String::new(),
        }],
        dependants: vec![Dependant {
            name: "app".into(),
            version: Some("1.9.0".parse().expect("a release")),
            needs: vec!["water".into()],
            works_with: Some("<2".parse().expect("a range")),
            requires: vec![Requirement {
                cluster: ">=1.5".parse().expect("a range"),
                version: ">=1.8".parse().expect("a range"),
                because: Some(text(4)),
            }],
            runs: Some(Runs {
                hosts: vec![Host::Local, Host::Ssh(SshHost::new("app-1"))],
                stop: HostAct { run: text(2), seen: text(3), limit: Duration::from_secs(5) },
                start: HostAct { run: text(5), seen: text(1), limit: Duration::from_millis(1500) },
                switch: Some(HostAct {
                    run: text(1),
                    seen: text(4),
                    limit: Duration::from_secs(9),
                }),
                switch_back: Some(HostAct {
                    run: text(3),
                    seen: text(2),
                    limit: Duration::from_secs(60),
                }),
            }),
        }],
        policy,
        ..bare_cluster("one")
    }
}

proptest! {
    #[test]
    fn any_fleet_reads_as_it_was_written(
        texts in proptest::collection::vec("\\PC{0,12}|[\"'\\\\\n\t\r:#{}\\[\\],&*!|>%@` -]{0,8}|null|yes|~|1.5|\u{85}|\u{feff}|\u{7f}", 1..7),
        number in 0u32..600_000_000,
    ) {
        let fleet = Fleet { name: "home".into(), artifacts: vec!["/a b".into()], clusters: vec![cluster(&texts, number)], ssh: SshSpec::default() };
        let text = write_fleet(&fleet);
        let again = read(&text).map_err(|found| TestCaseError::fail(render(&found, &text)))?;
        prop_assert_eq!(again, fleet);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,120}") {
        let _ = read(&text);
    }

    #[test]
    fn no_change_makes_the_reader_panic(at in 0usize..1500, cut in 0usize..40, put in "[a-z:{}\\[\\]\"'|>&*#0-9 \n.-]{0,6}") {
        let mut text: Vec<char> = GOOD.chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(found) = read(&text) {
            render(&found, &text);
        }
    }
}
