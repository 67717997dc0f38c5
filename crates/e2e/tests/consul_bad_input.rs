//! Consul's bad input: a token without the rights that a run needs, and a server that left. Each is told with what is missing, before
//! anything is staged, and nobody is touched.

use quorate_e2e::{Bed, CONSUL, until};
use quorate_transport::{
    Answer,
    http::{HttpClient, HttpRequest, HttpResponse},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, time::Duration};

/// What a run reads, and nothing that it does.
const READS: &str = r#"agent_prefix "" { policy = "read" } node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } operator = "read""#;
const LOCKS: &str = r#" session_prefix "" { policy = "write" }"#;
const WRITES: &str = r#" key_prefix "quorate-probe/" { policy = "write" }"#;

/// A lab with ACLs, and the token that may everything.
struct Guarded {
    bed: Bed,
    secret: std::path::PathBuf,
    good: String,
}

impl Guarded {
    fn up() -> Self {
        let bed = Bed::of("consul", CONSUL, &["--auth"]);
        let secret = bed.dir().join("secrets/root.password");
        let good = fs::read_to_string(&secret).expect("a token");
        let lab = Self { bed, secret, good };
        // Servers that have just elected a leader keep the ACLs of 1.3 until all of them were seen to know the new ones.
        let policy = json!({ "Name": "first", "Rules": READS });
        until(
            Duration::from_secs(30),
            "the new ACLs are in force",
            || matches!(lab.asked(1, "/v1/acl/policy", &policy), Answer::Done(said) if said.status == 200),
        );
        lab
    }
    /// The address of a server's API.
    fn server(&self, number: usize) -> String {
        let text = fs::read_to_string(self.bed.fleet()).expect("a fleet file");
        let own = text.split("      - name: ").nth(number).expect("a node");
        let url = own.lines().find_map(|line| line.trim().strip_prefix("client: "));
        url.expect("an address").to_owned()
    }
    /// Asks a server as whoever may everything.
    fn put(&self, server: usize, path: &str, body: &Value) -> Value {
        match self.asked(server, path, body) {
            Answer::Done(answer) if answer.status == 200 => answer.json().unwrap_or_default(),
            other => panic!("{path}: {other:?}"),
        }
    }
    fn asked(&self, server: usize, path: &str, body: &Value) -> Answer<HttpResponse> {
        let url = format!("{}{path}", self.server(server));
        let request = HttpRequest::new("PUT", url)
            .header("X-Consul-Token", self.good.trim())
            .json(body.to_string());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = HttpClient::new(None, None).expect("a client");
        // A server that leaves drains its connections first, for some ten seconds.
        runtime.block_on(http.send(&request, Duration::from_secs(30)))
    }
    /// Makes the fleet file's token one with these rights.
    fn may_only(&self, name: &str, rules: &str) {
        self.put(1, "/v1/acl/policy", &json!({ "Name": name, "Rules": rules }));
        let token = self.put(1, "/v1/acl/token", &json!({ "Policies": [{ "Name": name }] }));
        fs::write(&self.secret, token["SecretID"].as_str().expect("a token")).expect("a file");
    }
    /// Upgrade and plan are refused with these words; no file of a member appeared and no process is another.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let (pids, before) = (self.bed.live_pids(), self.bed.files());
        for command in [&["plan"][..], &["upgrade", "--yes"]] {
            let mut all = vec![command[0], self.bed.name(), "--restart"];
            all.extend(&command[1..]);
            self.bed.quorate(&all).expect(3).says(words);
        }
        assert_eq!(
            (self.bed.live_pids(), self.bed.files()),
            (pids, before),
            "something was touched"
        );
        assert!(self.bed.runs().is_empty(), "a run began");
    }
}

#[test]
fn what_a_run_may_not_do_or_whom_it_lacks_is_told_before_anything_is_staged() {
    let lab = Guarded::up();
    // Nothing of its own: it reads, and may neither write nor lock.
    lab.may_only("reads", READS);
    lab.refused(&["rights-lacking", "session:write", "key:write", "quorate-probe/"]);
    lab.may_only("locks", &format!("{READS}{LOCKS}"));
    lab.refused(&["rights-lacking", "lacks key:write"]);
    // Of an operator's rights none: the raft peers stay unknown.
    let blind = format!("{READS}{LOCKS}{WRITES}").replace(r#"operator = "read""#, "");
    lab.may_only("blind", &blind);
    lab.refused(&["operator:read"]);
    // What is asked for is enough, but for a copy.
    lab.may_only("enough", &format!("{READS}{LOCKS}{WRITES}"));
    lab.bed.quorate(&["plan", lab.bed.name(), "--restart"]).expect(0);
    let seen = lab.bed.quorate(&["detect"]);
    assert!(seen.out.contains("copy-not-allowed") && seen.out.contains("acl:write"), "{seen:?}");
    assert!(!seen.out.contains("rights-lacking"), "{}", seen.out);

    // A server that left is declared, and in raft no more.
    fs::write(&lab.secret, &lab.good).expect("a file");
    lab.put(3, "/v1/agent/leave", &Value::Null);
    let gone = || -> BTreeMap<String, Value> {
        let seen = lab.bed.detect();
        let nodes = seen["nodes"].as_array().cloned().unwrap_or_default();
        let name = |node: &Value| node["name"].as_str().unwrap_or_default().to_owned();
        nodes.iter().map(|node| (name(node), node["findings"].clone())).collect()
    };
    let third = lab.bed.node(3);
    until(Duration::from_secs(20), "the third server has left", || {
        gone()[&third].to_string().contains("declared-and-left")
    });
    lab.refused(&[
        "server-gone",
        &third,
        "has left the datacenter",
        "take it out of the fleet file",
    ]);
}
