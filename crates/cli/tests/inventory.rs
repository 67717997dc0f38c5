//! `quorate inventory` with sources that answer, fail, hang, shrink and lie. Programs are stand-ins that print what was recorded
//! of the real ones: `ec2.json` of the vendor's command line against moto's server, `ansible.json` of `ansible-inventory`.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};
use tempfile::TempDir;

/// A folder with a fleet file and programs of its own.
struct Site(TempDir);

/// What a command said: its status, and both of its outputs.
struct Said {
    status: i32,
    out: String,
    err: String,
}

impl Site {
    fn new(sources: &str) -> Self {
        let site = Self(tempfile::tempdir().expect("a folder"));
        let text = format!("schema: 1\nfleet: try\ninventory:\n{sources}\nclusters: []\n");
        site.write("fleet.yaml", &text);
        site
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("the file is written");
    }
    fn program(&self, name: &str, script: &str) {
        self.write(name, &format!("#!/bin/sh\n{script}\n"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path().join(name), mode).expect("the mode is set");
    }
    fn run(&self, words: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(words)
            .current_dir(self.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path().display()))
            .env("TOKEN", "hunter2")
            .output()
            .expect("quorate runs");
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).replace(&self.path().display().to_string(), "SITE")
        };
        Said {
            status: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
    fn hosts(&self, words: &[&str]) -> String {
        let said = self.run(&[&["inventory", "--hosts"], words].concat());
        assert_eq!(said.status, 0, "{}", said.err);
        said.out.split_whitespace().collect::<Vec<_>>().join(" ")
    }
    /// Everything in the state folder, as one text.
    fn kept(&self) -> String {
        let folder = self.path().join(".quorate/inventory");
        let files = fs::read_dir(folder)
            .expect("answers are kept")
            .map(|file| file.expect("an entry").path());
        files.map(|file| fs::read_to_string(file).expect("a text")).collect()
    }
}

fn refused(said: &Said, status: i32, parts: &[&str]) {
    assert_eq!(said.status, status, "{}", said.err);
    for part in parts {
        assert!(said.err.contains(part), "{part} is not in:\n{}", said.err);
    }
}

/// A list that is asked each time.
const LIST: &str = "  - {name: list, command: [./hosts], fresh_secs: 0}";

#[test]
fn t02_instances_are_selected_by_what_their_tags_say() {
    let site = Site::new(
        "  - name: cloud
    ec2: {region: eu-central-1, tags: {stack: prod}}
    facts: {environment: '{{ labels.stack }}', sub_role: '{{ labels.part }}', ssh: '{{ labels.Name }}'}",
    );
    site.write("answer.json", include_str!("inventory/ec2.json"));
    site.program("aws", "echo \"$@\" >> asked; cat answer.json");
    assert_eq!(site.hosts(&["environment=prod,role=consul,sub_role=server"]), "c-1 c-2 c-3");
    assert_eq!(site.hosts(&["environment=-,role=consul,sub_role=-"]), "c-1 c-2 c-3");
    assert_eq!(site.hosts(&["role=consul,state=-"]), "c-1 c-2 c-3 c-4");
    assert_eq!(site.hosts(&["environment=stage", "name=c-1"]), "c-1 x-1");
    assert_eq!(site.hosts(&["state=stopped,network=10.0.0.0/8"]), "c-4");
    let json = site.run(&["inventory", "role=consul,name=c-2", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["schema"], &json["hosts"][0]["environment"]), (&1.into(), &"prod".into()));
    assert_eq!(
        (&json["hosts"][0]["state"], &json["sources"][0]["kept"]),
        (&"running".into(), &true.into())
    );
    let nobody = site.run(&["inventory", "role=consul,sub_role=sever"]);
    refused(&nobody, 1, &["Q0031", "4 fit `role=consul`", "did you mean `server`?"]);
    assert!(nobody.out.is_empty());
    // One question was enough for all of that.
    assert_eq!(fs::read_to_string(site.path().join("asked")).unwrap().lines().count(), 1);
}

#[test]
fn inventories_of_ansible_are_read_and_their_secrets_are_not() {
    let site = Site::new("  - {name: play, ansible: [hosts.ini], labels: [rack]}");
    site.write("answer.json", include_str!("inventory/ansible.json"));
    site.program("ansible-inventory", "echo 'a warning' >&2; cat answer.json");
    assert_eq!(site.hosts(&["group=etcd"]), "adm@10.1.0.1 adm@10.1.0.2");
    assert_eq!(site.hosts(&["label.rack=r1,environment=stage"]), "adm@10.1.0.1");
    assert!(site.kept().contains("10.1.0.1") && !site.kept().contains("hunter2"));
}

#[test]
fn a_fleet_file_is_made_of_an_inventory_of_ansible() {
    let site = Site::new("  []");
    site.write("answer.json", include_str!("inventory/ansible.json"));
    site.program("ansible-inventory", "cat answer.json");
    let said = site.run(&["init", "new.yaml", "--ansible", "hosts.ini", "--name", "shops"]);
    assert_eq!(said.status, 0, "{}", said.err);
    insta::assert_snapshot!(fs::read_to_string(site.path().join("new.yaml")).unwrap());
    assert_eq!(site.hosts(&["--fleet", "new.yaml", "group=etcd"]), "adm@10.1.0.1 adm@10.1.0.2");
    // An inventory that cannot be read must not look like an empty one.
    let strict = "test -n \"$ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED\" || exit 0; echo cannot parse >&2; exit 1";
    site.program("ansible-inventory", strict);
    let said = site.run(&["init", "none.yaml", "--ansible", "hosts.ini"]);
    refused(&said, 3, &["Q0032", "cannot parse"]);
    site.program("ansible-inventory", "echo '{}'");
    let said = site.run(&["init", "none.yaml", "--ansible", "hosts.ini"]);
    refused(&said, 1, &["Q0015", "lists no host"]);
    assert!(!site.path().join("none.yaml").exists());
}

#[test]
fn a_program_that_is_not_there_is_named_with_how_to_get_it() {
    let site = Site::new("  - {name: play, ansible: [hosts.ini]}");
    refused(
        &site.run(&["inventory"]),
        3,
        &["Q0032", "`play` gives no answer", "`ansible-inventory`", "apt-get install ansible-core"],
    );
    let site = Site::new("  - {name: list, command: [./nowhere]}");
    refused(&site.run(&["inventory"]), 3, &["SITE/nowhere", "executable"]);
}

#[test]
fn hosts_that_vanish_are_not_forgotten() {
    let site = Site::new(LIST);
    site.program("hosts", "cat list");
    site.write("list", "a\nb\nc\nd\n");
    assert_eq!(site.hosts(&[]), "a b c d");
    site.write("list", "a\n");
    refused(&site.run(&["inventory"]), 3, &["Q0033", "lists 1 host", "listed 4 hosts", "b, c, d"]);
    site.write("list", "");
    // Again, and for every command: what was there before is still known.
    refused(&site.run(&["detect"]), 3, &["Q0033", "lists no host", "--accept-fewer"]);
    site.write("list", "a\nb\n");
    assert_eq!(site.hosts(&[]), "a b");
    site.write("list", "");
    let none = site.run(&["inventory", "--refresh", "--accept-fewer"]);
    assert_eq!((none.status, none.out.as_str()), (0, ""));
}

#[test]
fn a_source_that_fails_is_replaced_only_when_that_is_said() {
    let site = Site::new(LIST);
    site.program("hosts", "echo a");
    assert_eq!(site.hosts(&[]), "a");
    site.program("hosts", "echo no tunnel to the office >&2; exit 3");
    refused(
        &site.run(&["inventory"]),
        3,
        &["Q0032", "ended with status 3: no tunnel to the office", "--stale-hosts"],
    );
    let stale = site.run(&["inventory", "--stale-hosts", "--hosts"]);
    assert_eq!((stale.status, stale.out.as_str()), (0, "a\n"));
    assert!(stale.err.contains("instead the 1 host that it listed"), "{}", stale.err);
    let fleet = fs::read_to_string(site.path().join("fleet.yaml")).unwrap();
    site.write("fleet.yaml", &fleet.replace("fresh_secs: 0", "fresh_secs: 0, fallback_secs: 600"));
    let allowed = site.run(&["inventory", "--hosts"]);
    assert_eq!((allowed.status, allowed.out.as_str()), (0, "a\n"));
    assert!(allowed.err.contains("no tunnel to the office"), "{}", allowed.err);
    // Another question has no answer yet, old or new.
    site.write("fleet.yaml", &fleet.replace("[./hosts]", "[./hosts, --other]"));
    refused(&site.run(&["inventory", "--stale-hosts"]), 3, &["Q0032"]);
}

#[test]
fn a_program_that_hangs_or_prints_garbage_is_ended_and_named() {
    let site = Site::new("  - {name: list, command: [./hosts], limit_secs: 0.3}");
    // It waits for input that never comes.
    site.write("pipe.sh", "mkfifo wait; read line < wait\n");
    site.program("hosts", "echo halfway >&2; . ./pipe.sh");
    refused(&site.run(&["inventory"]), 3, &["did not end within 300ms", "halfway", "limit_secs"]);
    site.program("hosts", "echo 'usage: hosts [options]'");
    refused(&site.run(&["inventory"]), 3, &["line 1 of what it printed is no host"]);
    site.program("hosts", "printf 'a\\na\\n'");
    refused(&site.run(&["inventory"]), 3, &["lists the host `a` twice"]);
}

/// Answers one request with this, and gives the request back.
fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a caller");
        let mut request = [0; 2048];
        let length = socket.read(&mut request).expect("a request");
        socket.write_all(answer.as_bytes()).expect("it is answered");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (address, thread)
}

#[test]
fn a_catalog_of_consul_is_asked_with_its_token() {
    let (address, asked) = answering(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n[{\"Node\":\"c-1\",\"Address\":\"10.0.0.1\",\"Datacenter\":\"dc1\",\"Meta\":{\"role\":\"consul\"}}]",
    );
    let site = Site::new(&format!(
        "  - {{name: catalog, consul: {{address: '{address}', token: {{env: TOKEN}}}}}}"
    ));
    assert_eq!(site.hosts(&["role=consul,datacenter=dc1"]), "10.0.0.1");
    let asked = asked.join().unwrap().to_lowercase();
    assert!(
        asked.starts_with("get /v1/catalog/nodes ") && asked.contains("x-consul-token: hunter2"),
        "{asked}"
    );
    assert!(!site.kept().contains("hunter2"));
    let (address, asked) = answering(
        "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\nPermission denied: token with AccessorID 'x' lacks permission",
    );
    let site = Site::new(&format!("  - {{name: catalog, consul: {{address: '{address}'}}}}"));
    refused(
        &site.run(&["inventory"]),
        3,
        &["answers 403: Permission denied", "`token` of the source"],
    );
    asked.join().unwrap();
}
