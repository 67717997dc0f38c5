//! Looks at a made-up product whose members answer from a table: what is asked when, and what is made of the answers.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail loudly, as the test itself does")]

mod member;

use member::{Member, transports};
use quorate_model::{
    Cluster, Host, Node, NodeObservation, Observation, Policy, ProcessSpec, Reach, Role,
    ServiceSpec,
};
use quorate_observe::{AdoptError, AdoptOptions, Clients, Depth, Observer, Tools, adopt};
use quorate_packs::{Pack, Packs};
use std::{collections::BTreeMap, sync::Arc};

const PACK: &str = r#"
schema: 1
pack: shelf
title: Shelf
about: A made-up product that keeps keys and values.
scheme: { line_parts: 2, version_args: [--version], binaries: [shelf] }
lines: [{ line: "1.0" }, { line: "2.0" }]
sources: { S: made up }
known_issues:
  - { id: S-slow, affects: 1.0.x, severity: note, text: it is slow, advice: go on to 2.0, sources: ["S:1"] }
  - { id: S-rare, affects: 1.0.x, detect: node.rare, severity: error, text: it is rare, advice: wait, sources: ["S:2"] }
detect:
  endpoint: client
  process: { names: [NAME], env_prefix: SHELF_ }
  node:
    - id: version
      ask: { http: { method: GET, url: "{{ endpoint }}/version" } }
      facts: { version: body.version }
    - id: status
      releases: "1.0.x"
      optional: true
      ask: { http: { method: GET, url: "{{ endpoint }}/status" } }
      facts: { id: body.id, applied: body.applied, leads: body.leads, well: body.well, cluster_id: body.cluster }
    - id: hash
      optional: true
      costly: true
      ask: { http: { method: GET, url: "{{ endpoint }}/hash" } }
      facts: { hash: body.hash, hash_at: body.at }
  cluster:
    - id: members
      ask: { http: { method: GET, url: "{{ endpoint }}/members" } }
      facts: { members: body.members }
  fields:
    release: facts.version
    member_id: facts.id
    applied_index: facts.applied
    healthy: facts.well
    role: "facts.leads ? 'leader' : 'follower'"
    data_hash: facts.hash
    hash_revision: facts.hash_at
  members: cluster.members
  findings:
    - { code: unwell, when: "!node.healthy", severity: error, text: "{{ node.name }} is unwell" }
    - { code: no-leader, when: "cluster.leader == null", severity: error, text: "{{ cluster.name }} has no leader" }
"#;

fn status(id: u32, applied: u32, cluster: &str) -> String {
    format!(
        r#"{{"id":"{id}","applied":"{applied}","leads":{},"well":true,"cluster":"{cluster}"}}"#,
        id == 1
    )
}

fn three(clusters: [&str; 3]) -> Vec<Member> {
    let members: Vec<Member> = (1..=3)
        .zip(clusters)
        .map(|(id, cluster)| {
            let status = status(id, 100 - id, cluster);
            let hash = format!(r#"{{"hash":"{}","at":"7"}}"#, if id == 3 { "b" } else { "a" });
            Member::start(&[
                ("/version", r#"{"version":"1.0.4"}"#),
                ("/status", &status),
                ("/hash", &hash),
            ])
        })
        .collect();
    let list: Vec<String> = (1..)
        .zip(&members)
        .map(|(id, member)| {
            format!(r#"{{"id":"{id}","name":"n{id}","client_urls":["{}"]}}"#, member.url)
        })
        .collect();
    members.iter().for_each(|member| {
        member.set("/members", &format!(r#"{{"members":[{}]}}"#, list.join(",")))
    });
    members
}

fn own_name() -> String {
    let exe = std::env::current_exe().unwrap();
    exe.file_name().unwrap().to_string_lossy().into_owned()
}

fn pack() -> Arc<Pack> {
    let text = PACK.replace("NAME", &own_name());
    let packs = Packs::load(&[("pack.yaml".to_owned(), text)]).unwrap();
    packs.shared(&"shelf".into()).unwrap()
}

fn observer(urls: &[String]) -> Observer {
    let node = |(index, url): (usize, &String)| Node {
        name: format!("n{}", index + 1).into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([("client".into(), url.clone())]),
        // No process of this machine has it, so that no foreign process is taken for the member's.
        data_dir: Some("/nowhere".into()),
        service: None,
    };
    let cluster = Cluster {
        name: "demo".into(),
        pack: "shelf".into(),
        environment: None,
        nodes: urls.iter().enumerate().map(node).collect(),
        tls: None,
        auth: None,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    };
    let pack = pack();
    let clients = Clients::new(&pack, &cluster).unwrap();
    Observer::new(pack, &cluster, transports(), clients, Tools::none()).unwrap()
}

fn urls(members: &[Member]) -> Vec<String> {
    members.iter().map(|member| member.url.clone()).collect()
}

async fn look(observer: &Observer, depth: Depth) -> Observation {
    observer.look(depth, "2026-01-01T00:00:00Z".parse().unwrap()).await
}

fn codes(node: &NodeObservation) -> Vec<&str> {
    node.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[tokio::test]
async fn a_full_look_fills_every_field_and_finds_what_differs() {
    let members = three(["c"; 3]);
    let seen = look(&observer(&urls(&members)), Depth::Full).await;
    let second = &seen.nodes[1];
    assert_eq!(second.reach, Reach::Reachable);
    assert_eq!(second.release, Some("1.0.4".parse().unwrap()));
    assert_eq!(
        (second.role, second.healthy, second.voter),
        (Role::Follower, Some(true), Some(true))
    );
    assert_eq!(
        (second.member_id.as_deref(), second.applied_index, second.lag),
        (Some("2"), Some(98), Some(1))
    );
    assert_eq!(
        (second.data_hash.as_deref(), second.hash_revision, second.tls),
        (Some("a"), Some(7), Some(false))
    );
    assert_eq!(codes(second), ["S-slow"], "the issue that must be detected was not");
    let found: Vec<&str> = seen.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(found, ["data-differ"]);
}

#[tokio::test]
async fn a_gate_asks_for_what_costs_only_when_it_needs_it() {
    let members = three(["c"; 3]);
    let observer = observer(&urls(&members));
    let gate = observer.depth_for(["node.healthy && node.lag <= 5"]);
    look(&observer, gate.clone()).await;
    look(&observer, gate).await;
    assert_eq!((members[0].asked("/status"), members[0].asked("/hash")), (2, 0));
    let seen =
        look(&observer, observer.depth_for(["nodes.all(n, n.data_hash == node.data_hash)"])).await;
    assert_eq!(members[0].asked("/hash"), 1);
    assert_eq!(seen.nodes[0].data_hash.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_listed_and_still_a_voter() {
    let members = three(["c"; 3]);
    let mut urls = urls(&members);
    urls[2] = "http://127.0.0.1:1".into();
    let seen = look(&observer(&urls), Depth::Gate).await;
    let third = &seen.nodes[2];
    assert!(
        matches!(&third.reach, Reach::Unreachable(because) if because.contains("refused")),
        "{:?}",
        third.reach
    );
    assert_eq!(
        (third.voter, third.healthy, third.role, third.lag),
        (Some(true), None, Role::Unknown, None)
    );
}

#[tokio::test]
async fn a_look_where_nothing_answers_ends_and_lists_all() {
    let dead = vec!["http://127.0.0.1:1".to_owned(); 3];
    let seen = look(&observer(&dead), Depth::Full).await;
    assert_eq!(seen.nodes.len(), 3);
    assert!(seen.nodes.iter().all(|node| !node.is_healthy() && node.voter.is_none()));
    assert!(seen.findings.iter().any(|finding| finding.code == "no-leader"), "{:?}", seen.findings);
}

#[tokio::test]
async fn a_node_that_was_not_reached_is_asked_again_and_each_is_told_once() {
    let members = three(["c"; 3]);
    // Who listens and says nothing has not been reached, and can count.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut urls = urls(&members);
    urls[2] = format!("http://{}", silent.local_addr().unwrap());
    let called = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counting = called.clone();
    std::thread::spawn(move || {
        for _ in silent.incoming() {
            counting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let called = || called.load(std::sync::atomic::Ordering::SeqCst);
    look(&observer(&urls), Depth::Gate).await;
    let once = called();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let own = told.clone();
    let observer =
        observer(&urls).asking_again(1).telling(Some(Arc::new(move |node: &NodeObservation| {
            own.lock().unwrap().push((node.name.to_string(), node.reach == Reach::Reachable));
        })));
    let seen = look(&observer, Depth::Gate).await;
    assert!(matches!(seen.nodes[2].reach, Reach::Unreachable(_)));
    assert!(once > 0);
    assert_eq!((members[0].asked("/version"), called()), (2, 3 * once), "once each, and again");
    let mut told = told.lock().unwrap().clone();
    told.sort();
    let names: Vec<bool> = told.iter().map(|(_, reached)| *reached).collect();
    assert_eq!(names, [true, true, false], "{told:?}");
}

#[tokio::test]
async fn an_endpoint_of_another_cluster_is_an_error() {
    let members = three(["c", "c", "other"]);
    let seen = look(&observer(&urls(&members)), Depth::Gate).await;
    assert_eq!(codes(&seen.nodes[2]), ["other-cluster"]);
    assert!(codes(&seen.nodes[0]).is_empty());
}

#[tokio::test]
async fn a_member_that_changed_its_release_is_asked_in_its_new_words() {
    let members = three(["c"; 3]);
    let observer = observer(&urls(&members));
    look(&observer, Depth::Gate).await;
    members[1].set("/version", r#"{"version":"2.0.0"}"#);
    let seen = look(&observer, Depth::Gate).await;
    let second = &seen.nodes[1];
    assert_eq!(second.release, Some("2.0.0".parse().unwrap()));
    assert_eq!(
        (second.healthy, second.applied_index),
        (None, None),
        "2.0 has no such question, the old answer is void"
    );
    assert_eq!(seen.nodes[0].healthy, Some(true));
}

#[tokio::test]
async fn a_single_node_is_looked_at_alone() {
    let members = three(["c"; 3]);
    let observer = observer(&urls(&members));
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let seen = observer.look_node(&"n2".into(), Depth::Gate, now).await.unwrap();
    assert_eq!((seen.healthy, seen.lag), (Some(true), None));
    assert_eq!(members[0].asked("/version"), 0);
    assert!(observer.look_node(&"n9".into(), Depth::Gate, now).await.is_none());
}

#[tokio::test]
async fn at_a_gate_hosts_of_others_are_seen_only_where_the_product_is_silent() {
    let members = three(["c"; 3]);
    let mut urls = urls(&members);
    urls[2] = "http://127.0.0.1:1".into();
    let observer = observer(&urls);
    let (now, at_work) = ("2026-01-01T00:00:00Z".parse().unwrap(), "n1".into());
    let seen = observer.look_timed(Depth::Gate, Some(&at_work), now).await.0;
    let hosts = |seen: &Observation| seen.nodes.iter().map(|n| n.os.is_some()).collect::<Vec<_>>();
    assert_eq!(hosts(&seen), [true, false, true], "its own, and that of the silent one");
    assert_eq!(seen.nodes[1].healthy, Some(true), "whose product is asked all the same");
    let named = observer.depth_for(["nodes.all(n, n.os != '')"]);
    let seen = observer.look_timed(named, Some(&at_work), now).await.0;
    assert_eq!(hosts(&seen), [true; 3], "a condition names it");
    let seen = observer.look_timed(Depth::Gate, None, now).await.0;
    assert_eq!(hosts(&seen), [true; 3], "nobody is at work");
}

fn adoption(endpoint: &str, state_dir: &std::path::Path) -> AdoptOptions {
    AdoptOptions {
        endpoint: endpoint.into(),
        name: "mine".into(),
        tls: None,
        auth: None,
        state_dir: state_dir.into(),
    }
}

#[tokio::test]
async fn a_cluster_is_adopted_from_one_endpoint() {
    let members = three(["c"; 3]);
    let folder = tempfile::tempdir().unwrap();
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let options = adoption(&members[1].url, folder.path());
    let adopted = adopt(&pack(), &transports(), &options, now).await.unwrap();
    let names: Vec<&str> = adopted.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["n1", "n2", "n3"]);
    assert!(adopted.observation.nodes.iter().all(|node| node.is_healthy()));
    // The members of this test live in its own process, so that is the process behind their ports.
    let Some(ServiceSpec::Process(ProcessSpec { argv, pid_file, .. })) =
        &adopted.cluster.nodes[0].service
    else {
        panic!("no process was found: {:?}", adopted.notes)
    };
    assert!(argv[0].ends_with(&own_name()));
    assert!(pid_file.starts_with(folder.path()));
    let own = std::process::id().to_string();
    assert_eq!(std::fs::read_to_string(pid_file).unwrap().trim(), own);
    // The identity: with it no later change of words or of the pid's owner leads to a wrong process.
    let identity = std::fs::read_to_string(pid_file.with_added_extension("identity")).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap();
    assert_eq!(identity, format!("{own} {start} {}\n", boot.trim()));
    // All three are one process of one file here: that must be said before anybody plans.
    let shared = |text: &String| text.starts_with("n1, n2, n3 are started from one file");
    assert!(adopted.notes.iter().any(shared), "{:?}", adopted.notes);
    let found = &adopted.observation.findings;
    assert!(found.iter().any(|f| f.code == "binary-shared" && shared(&f.text)), "{found:?}");
}

#[tokio::test]
async fn what_cannot_be_adopted_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let silent = Member::start(&[("/version", r#"{"version":"1.0.4"}"#)]);
    let error = async |endpoint: &str| {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let options = adoption(endpoint, folder.path());
        adopt(&pack(), &transports(), &options, now).await.unwrap_err()
    };
    assert!(matches!(error("127.0.0.1:1").await, AdoptError::BadEndpoint { .. }));
    let nobody = error("http://127.0.0.1:1").await;
    assert!(
        matches!(&nobody, AdoptError::Silent { because, .. } if because.contains("refused")),
        "{nobody}"
    );
    assert!(nobody.hint().contains("https://"));
    assert!(matches!(error(&silent.url).await, AdoptError::NoMembers { .. }));
}
