//! A fleet as a commented file: what `init` and `lab up` write for people to read and edit.
//!
//! Invariant: reading what was written gives the same fleet.

use quorate_model::{
    Approve, Cluster, ConfigTemplate, Dependant, Fleet, Host, HostAct, HostKeys, Node, OnFailure,
    Policy, ProcessSpec, Requirement, Runs, Secret, ServiceSpec, SshHost, SshSpec,
};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Writes a fleet file.
pub fn write_fleet(fleet: &Fleet) -> String {
    let mut out = Out::default();
    out.line(
        0,
        "# A fleet file of Quorate: what is declared. `quorate inventory` shows how it is read.",
    );
    out.line(0, "schema: 1");
    out.key(0, "fleet", &fleet.name);
    out.blank();
    out.line(0, "# Folders to search for releases, laid out DIR/<pack>/<release>/<binary>.");
    if fleet.artifacts.is_empty() {
        out.line(0, "artifacts: []");
    } else {
        out.line(0, "artifacts:");
        for dir in &fleet.artifacts {
            out.line(1, &format!("- {}", quote(&path(dir))));
        }
    }
    write_ssh(&mut out, &fleet.ssh);
    out.blank();
    if fleet.clusters.is_empty() {
        out.line(0, "clusters: []");
        return out.0;
    }
    out.line(0, "clusters:");
    for (i, cluster) in fleet.clusters.iter().enumerate() {
        if i > 0 {
            out.blank();
        }
        write_cluster(&mut out, cluster, i == 0);
    }
    out.0
}

fn write_ssh(out: &mut Out, ssh: &SshSpec) {
    if *ssh == SshSpec::default() {
        return;
    }
    let SshSpec { config, host_keys, sudo_password } = ssh;
    out.blank();
    out.line(0, "# How hosts are reached over SSH.");
    out.line(0, "ssh:");
    if let Some(config) = config {
        out.key(1, "config", &path(config));
    }
    match host_keys {
        HostKeys::Strict => out.line(1, "host_keys: strict"),
        HostKeys::AcceptNew => out.line(1, "host_keys: accept-new"),
    }
    if let Some(secret) = sudo_password {
        out.line(1, "sudo_password:");
        write_secret(out, 2, secret);
    }
}

fn write_secret(out: &mut Out, depth: usize, secret: &Secret) {
    match secret {
        Secret::File(file) => out.key(depth, "file", &path(file)),
        Secret::Env(name) => out.key(depth, "env", name),
    }
}

#[derive(Default)]
struct Out(String);

impl Out {
    fn line(&mut self, depth: usize, text: &str) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(text);
        self.0.push('\n');
    }
    fn blank(&mut self) {
        self.0.push('\n');
    }
    fn key(&mut self, depth: usize, key: &str, value: &str) {
        self.line(depth, &format!("{key}: {}", quote(value)));
    }
    fn map(&mut self, depth: usize, key: &str, entries: &BTreeMap<String, String>) {
        if entries.is_empty() {
            return;
        }
        self.line(depth, &format!("{key}:"));
        for (key, value) in entries {
            self.line(depth + 1, &format!("{}: {}", quote(key), quote(value)));
        }
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Words that YAML would read as something other than a text.
const RESERVED: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// A text as YAML: bare where nothing can go wrong, else in double quotes.
pub(crate) fn quote(text: &str) -> String {
    let bare =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    // An address is the one text with colons that people expect without quotes.
    let inner =
        text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let address = inner.len() < text.len() && !inner.ends_with(':');
    let plain = inner.chars().all(|c| bare(c) || (address && c == ':'));
    if begins && plain && !RESERVED.contains(&text.to_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

fn secs(time: Duration) -> String {
    let secs = time.as_secs_f64();
    if secs.fract() == 0.0 { time.as_secs().to_string() } else { secs.to_string() }
}

fn write_cluster(out: &mut Out, cluster: &Cluster, first: bool) {
    let Cluster { name, pack, environment, nodes, tls, auth, config, dependants, policy } = cluster;
    out.line(1, &format!("- name: {}", quote(name.as_str())));
    out.key(2, "pack", pack.as_str());
    if let Some(environment) = environment {
        out.key(2, "environment", environment);
    }
    if let Some(tls) = tls {
        out.line(
            2,
            "# Certificates of the servers, and the client certificate when they ask for one.",
        );
        out.line(2, "tls:");
        for (key, file) in
            [("ca", Some(&tls.ca)), ("cert", tls.cert.as_ref()), ("key", tls.key.as_ref())]
        {
            if let Some(file) = file {
                out.key(3, key, &path(file));
            }
        }
    }
    if let Some(auth) = auth {
        out.line(2, "# The password is read at the moment of use, never stored.");
        out.line(2, "auth:");
        out.key(3, "user", &auth.user);
        out.line(3, "password:");
        write_secret(out, 4, &auth.password);
    }
    if !config.is_empty() {
        out.line(2, "# Files of its members that are rendered for each release.");
        out.line(2, "config:");
    }
    for ConfigTemplate { path: file, template, text: _ } in config {
        out.line(3, &format!("- path: {}", quote(file)));
        out.key(4, "template", &path(template));
    }
    write_dependants(out, dependants);
    write_policy(out, policy, first);
    write_defaults(out, nodes);
    if nodes.is_empty() {
        return out.line(2, "nodes: []");
    }
    out.line(2, "nodes:");
    for node in nodes {
        write_node(out, node);
    }
}

fn write_dependants(out: &mut Out, dependants: &[Dependant]) {
    if dependants.is_empty() {
        return;
    }
    out.line(2, "# Applications that live by it.");
    out.line(2, "dependants:");
    for Dependant { name, version, needs, works_with, requires, runs } in dependants {
        out.line(3, &format!("- name: {}", quote(name.as_str())));
        if let Some(version) = version {
            out.key(4, "version", &version.to_string());
        }
        if !needs.is_empty() {
            let needs: Vec<String> = needs.iter().map(|need| quote(need)).collect();
            out.line(4, &format!("needs: [{}]", needs.join(", ")));
        }
        if let Some(range) = works_with {
            out.key(4, "works_with", &range.to_string());
        }
        if !requires.is_empty() {
            out.line(4, "requires:");
        }
        for Requirement { cluster, version, because } in requires {
            out.line(5, &format!("- cluster: {}", quote(&cluster.to_string())));
            out.key(6, "version", &version.to_string());
            if let Some(because) = because {
                out.key(6, "because", because);
            }
        }
        if let Some(runs) = runs {
            write_runs(out, runs);
        }
    }
}

fn write_runs(out: &mut Out, Runs { hosts, stop, start, switch, switch_back }: &Runs) {
    let hosts: Vec<String> = hosts
        .iter()
        .map(|host| match host {
            Host::Local => "local".to_owned(),
            Host::Ssh(host) => format!("{{ssh: {}}}", quote(&host.name)),
        })
        .collect();
    out.line(4, "runs:");
    out.line(5, &format!("hosts: [{}]", hosts.join(", ")));
    let acts = [("stop", Some(stop)), ("start", Some(start))];
    let acts = acts
        .into_iter()
        .chain([("switch", switch.as_ref()), ("switch_back", switch_back.as_ref())]);
    for (name, HostAct { run, seen, limit }) in acts.filter_map(|(name, act)| Some((name, act?))) {
        out.line(5, &format!("{name}:"));
        out.key(6, "run", run);
        out.key(6, "seen", seen);
        out.line(6, &format!("limit_secs: {}", limit.as_secs_f64()));
    }
}

/// How hosts of SSH are worked on, where that is not as usual; a file says it once a cluster.
fn write_defaults(out: &mut Out, nodes: &[Node]) {
    let mut hosts = nodes.iter().filter_map(|node| match &node.host {
        Host::Ssh(host) => Some(host),
        Host::Local => None,
    });
    let Some(SshHost { sudo, tunnel, .. }) = hosts.next() else { return };
    let unusual = [("sudo", *sudo, true), ("tunnel", *tunnel, false)];
    if unusual.iter().all(|(_, value, usual)| value == usual) {
        return;
    }
    out.line(2, "defaults:");
    for (key, value, _) in unusual.iter().filter(|(_, value, usual)| value != usual) {
        out.line(3, &format!("{key}: {value}"));
    }
}

/// Writes what differs from the defaults; the first cluster also shows the limits that people change most.
fn write_policy(out: &mut Out, policy: &Policy, first: bool) {
    let lines = policy_lines(policy);
    if lines.is_empty() {
        if first {
            let Policy { soak, good_looks, rejoin_limit, .. } = Policy::default();
            out.line(2, "# Limits of this cluster's runs; these are the defaults.");
            out.line(2, "# policy:");
            out.line(
                2,
                &format!(
                    "#   soak_secs: {}            # healthy time before the next member",
                    secs(soak)
                ),
            );
            out.line(2, &format!("#   good_looks: {good_looks}            # good looks in a row before a gate holds"));
            out.line(
                2,
                &format!(
                    "#   rejoin_limit_secs: {}   # a member must be back by then",
                    secs(rejoin_limit)
                ),
            );
            out.line(2, "#   freeze: [\"Fri 12:00 - Mon 06:00 [Europe/Berlin]\"]");
        }
        return;
    }
    out.line(2, "policy:");
    for line in lines {
        out.line(3, &line);
    }
}

fn policy_lines(policy: &Policy) -> Vec<String> {
    let default = Policy::default();
    let Policy {
        max_unavailable,
        client_wave,
        client_failure_budget,
        soak,
        good_looks,
        look_every,
        rejoin_limit,
        approve,
        on_failure,
        allow_outage,
        rewrite_config,
        client_gap_max_ms,
        baseline,
        baseline_noise_max_ms,
        freeze,
        windows,
        overrides,
    } = policy;
    let mut lines = Vec::new();
    let mut add = |differs: bool, key: &str, value: String| {
        if differs {
            lines.push(format!("{key}: {value}"));
        }
    };
    add(
        *max_unavailable != default.max_unavailable,
        "max_unavailable",
        max_unavailable.to_string(),
    );
    add(*client_wave != default.client_wave, "client_wave", client_wave.to_string());
    add(
        *client_failure_budget != default.client_failure_budget,
        "client_failure_budget",
        client_failure_budget.to_string(),
    );
    add(*soak != default.soak, "soak_secs", secs(*soak));
    add(*good_looks != default.good_looks, "good_looks", good_looks.to_string());
    add(*look_every != default.look_every, "look_every_secs", secs(*look_every));
    add(*rejoin_limit != default.rejoin_limit, "rejoin_limit_secs", secs(*rejoin_limit));
    let approve_word = match approve {
        Approve::Each => "each",
        Approve::Wave => "wave",
        Approve::None => "none",
    };
    add(*approve != default.approve, "approve", approve_word.into());
    let failure_word = match on_failure {
        OnFailure::Halt => "halt",
        OnFailure::UndoMember => "undo-member",
    };
    add(*on_failure != default.on_failure, "on_failure", failure_word.into());
    add(*allow_outage != default.allow_outage, "allow_outage", allow_outage.to_string());
    add(*rewrite_config != default.rewrite_config, "rewrite_config", rewrite_config.to_string());
    if let Some(gap) = client_gap_max_ms {
        add(true, "client_gap_max_ms", gap.to_string());
    }
    add(*baseline != default.baseline, "baseline_secs", secs(*baseline));
    let noise = *baseline_noise_max_ms;
    add(noise != default.baseline_noise_max_ms, "baseline_noise_max_ms", noise.to_string());
    for (key, texts) in [("freeze", freeze), ("windows", windows)] {
        if !texts.is_empty() {
            lines.push(format!("{key}:"));
            lines.extend(texts.iter().map(|window| format!("  - {}", quote(window))));
        }
    }
    if !overrides.is_empty() {
        lines.push("overrides:".into());
        for one in overrides {
            lines.push(format!("  - gate: {}", quote(&one.gate)));
            lines.push(format!("    node: {}", quote(one.node.as_str())));
            lines.push(format!("    reason: {}", quote(&one.reason)));
            lines.push(format!("    expires: {}", quote(&one.expires.to_string())));
        }
    }
    lines
}

fn write_node(out: &mut Out, node: &Node) {
    let Node { name, group, host, endpoints, data_dir, service } = node;
    out.line(3, &format!("- name: {}", quote(name.as_str())));
    if group.as_str() != "server" {
        out.key(4, "group", group.as_str());
    }
    match host {
        Host::Local => out.line(4, "host: local"),
        Host::Ssh(host) => out.line(4, &format!("host: {{ssh: {}}}", quote(&host.name))),
    }
    if endpoints.is_empty() {
        out.line(4, "endpoints: {}");
    }
    out.map(4, "endpoints", endpoints);
    if let Some(dir) = data_dir {
        out.key(4, "data_dir", &path(dir));
    }
    match service {
        None => {
            out.line(4, "# No service: Quorate can look at this node, but not stop and start it.")
        }
        Some(service) => write_service(out, service),
    }
}

fn write_service(out: &mut Out, service: &ServiceSpec) {
    out.line(4, "service:");
    let ProcessSpec { argv, env, pid_file, log_file, work_dir, grace } = match service {
        ServiceSpec::Process(process) => process,
        ServiceSpec::Systemd(unit) => {
            out.line(5, "kind: systemd");
            out.key(5, "unit", &unit.unit);
            out.key(5, "binary", &path(&unit.binary));
            if !unit.packages.is_empty() {
                out.line(5, "packages:");
                for package in &unit.packages {
                    out.line(6, &format!("- {}", quote(package)));
                }
            }
            out.line(5, &format!("grace_secs: {}", secs(unit.grace)));
            return;
        }
    };
    out.line(5, "kind: process");
    out.line(5, "argv:");
    for word in argv {
        out.line(6, &format!("- {}", quote(word)));
    }
    out.map(5, "env", env);
    out.key(5, "pid_file", &path(pid_file));
    out.key(5, "log_file", &path(log_file));
    if let Some(dir) = work_dir {
        out.key(5, "work_dir", &path(dir));
    }
    out.line(5, &format!("grace_secs: {}", secs(*grace)));
}
