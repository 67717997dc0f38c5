//! Looks at servers of Consul as old releases answer: no autopilot, the whole configuration in one piece, odd versions.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail loudly, as the test itself does")]

mod member;

use member::{Member, transports};
use quorate_model::{Cluster, Host, Node, Observation, Policy, Reach, Role};
use quorate_observe::{Clients, Depth, Observer, Tools};
use quorate_packs::Packs;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The address of a server, which nobody listens at: only its API is asked.
fn address(id: usize) -> String {
    format!("10.0.0.{id}:8300")
}

/// How a release writes what the test varies.
struct Form {
    version: &'static str,
    prerelease: &'static str,
    raft: &'static str,
    /// The status of the third server in gossip.
    third: u64,
}

/// `/v1/agent/self` as releases before 1.0 give it.
fn own(id: usize, form: &Form) -> Value {
    let state = if id == 1 { "Leader" } else { "Follower" };
    json!({
        "Config": {
            "Datacenter": "dc1", "NodeName": format!("s{id}"), "Server": true, "LeaveOnTerm": false,
            "SkipLeaveOnInt": true, "ACLDatacenter": "", "ACLEnforceVersion8": false,
            "Version": form.version, "VersionPrerelease": form.prerelease, "Revision": "'3c8f5f2+CHANGES'",
            "Ports": { "HTTPS": -1 },
        },
        "Member": {
            "Name": format!("s{id}"), "Addr": format!("10.0.0.{id}"), "Status": 1,
            "Tags": {
                "id": format!("uuid-{id}"), "port": "8300", "role": "consul", "vsn": "2", "dc": "dc1",
                "build": format!("{}:'3c8f5f2", form.version),
            },
        },
        "Stats": {
            "agent": { "check_monitors": "0" },
            "consul": { "leader": (id == 1).to_string(), "server": "true" },
            "raft": {
                "applied_index": "71", "commit_index": "71", "last_log_index": "71", "last_contact": "14ms",
                "protocol_version": form.raft, "state": state,
            },
        },
    })
}

async fn look(form: &Form) -> Observation {
    let peers: Vec<Value> = (1..=3)
        .map(|id| {
            json!({ "ID": address(id), "Node": format!("s{id}"), "Address": address(id), "Leader": id == 1, "Voter": true })
        })
        .collect();
    let peers = json!({ "Servers": peers, "Index": 0 }).to_string();
    let gossip: Vec<Value> = (1..=3)
        .map(|id| {
            let mut member = own(id, form)["Member"].clone();
            member["Status"] = json!(if id == 3 { form.third } else { 1 });
            member
        })
        .collect();
    let gossip = Value::from(gossip).to_string();
    let leader = format!("\"{}\"", address(1));
    let members: Vec<Member> = (1..=3)
        .map(|id| {
            Member::start(&[
                ("/v1/agent/self", &own(id, form).to_string()),
                ("/v1/operator/raft/configuration?stale", &peers),
                ("/v1/operator/raft/configuration", &peers),
                ("/v1/agent/members", &gossip),
                ("/v1/status/leader", &leader),
            ])
        })
        .collect();
    let node = |(index, member): (usize, &Member)| Node {
        name: format!("s{}", index + 1).into(),
        group: "server".into(),
        host: Host::Local,
        endpoints: BTreeMap::from([("client".into(), member.url.clone())]),
        // No process of this machine has it, so that no foreign process is taken for the member's.
        data_dir: Some("/nowhere/at/all".into()),
        service: None,
    };
    let cluster = Cluster {
        name: "old".into(),
        pack: "consul".into(),
        environment: None,
        nodes: members.iter().enumerate().map(node).collect(),
        tls: None,
        auth: None,
        config: Vec::new(),
        dependants: Vec::new(),
        policy: Policy::default(),
    };
    let pack = Packs::builtin().shared(&"consul".into()).unwrap();
    let clients = Clients::new(&pack, &cluster).unwrap();
    let observer = Observer::new(pack, &cluster, transports(), clients, Tools::default()).unwrap();
    let seen = observer.look(Depth::Full, "2026-11-20T10:00:00Z".parse().unwrap()).await;
    if form.version == "0.7.4" {
        assert!(members.iter().all(|one| one.asked("/v1/operator/autopilot/health") == 0));
    }
    seen
}

#[tokio::test]
async fn servers_of_0_7_are_seen_without_autopilot() {
    let form = Form { version: "0.7.4", prerelease: "", raft: "1", third: 1 };
    let seen = look(&form).await;
    let roles: Vec<Role> = seen.nodes.iter().map(|node| node.role).collect();
    assert_eq!(roles, [Role::Leader, Role::Follower, Role::Follower]);
    for (id, node) in (1..).zip(&seen.nodes) {
        assert_eq!(node.reach, Reach::Reachable, "{:?}", node.findings);
        assert_eq!(node.release.as_ref().unwrap().to_string(), "0.7.4");
        assert_eq!((node.voter, node.healthy, node.lag), (Some(true), Some(true), Some(0)));
        assert_eq!(node.member_id.as_deref(), Some(address(id).as_str()));
        let fact = |name: &str| node.facts.get(name).cloned().unwrap_or_default();
        assert_eq!((fact("raft_protocol"), fact("agent_protocol")), (json!(1), json!(2)));
        assert_eq!((fact("leave_on_terminate"), fact("commit_index")), (json!(false), json!(71)));
    }
    assert!(!seen.facts.contains_key("autopilot_healthy"));
    assert!(seen.findings.is_empty(), "{:?}", seen.findings);
}

#[tokio::test]
async fn builds_that_are_no_release_keep_their_mark() {
    let form = Form { version: "1.0.0", prerelease: "dev", raft: "2", third: 1 };
    let seen = look(&form).await;
    assert_eq!(seen.nodes[0].release.as_ref().unwrap().to_string(), "1.0.0-dev");
}

#[tokio::test]
async fn a_server_that_left_is_told_and_one_that_failed_too() {
    for (status, code) in [(3, "server-left"), (4, "failed-in-gossip")] {
        let form = Form { version: "0.7.4", prerelease: "", raft: "1", third: status };
        let seen = look(&form).await;
        let codes = |node: usize| -> Vec<&str> {
            seen.nodes[node].findings.iter().map(|finding| finding.code.as_str()).collect()
        };
        assert!(codes(2).contains(&code), "{:?}", codes(2));
        assert!(!codes(0).contains(&code), "{:?}", codes(0));
    }
}
