//! A look as figures, in the text form that the textfile collector of Prometheus' node exporter reads.
//!
//! Absent on purpose: ages. A file is read long after it was written, so it holds the moment of the look, and whoever asks
//! takes it from now: `time() - quorate_look_timestamp_seconds`.

use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use quorate_model::{Cluster, Finding, NodeObservation, Observation, Reach, Severity};
use quorate_report::words;
use quorate_runner::problem::Problem;
use std::collections::BTreeMap;

/// Why figures could not be made.
pub(super) type Fault = Box<dyn std::error::Error + Send + Sync>;

const NODE: [&str; 2] = ["cluster", "node"];
const SEVERITIES: [Severity; 3] = [Severity::Note, Severity::Warning, Severity::Error];

struct Figures {
    registry: Registry,
    info: GaugeVec,
    reachable: GaugeVec,
    healthy: GaugeVec,
    voter: GaugeVec,
    lag: GaugeVec,
    started: GaugeVec,
    findings: GaugeVec,
    finding: GaugeVec,
    looked: GaugeVec,
    failed: GaugeVec,
}

/// The figures of these looks, and of clusters that could not be looked at.
pub(super) fn text<'l>(
    looks: impl Iterator<Item = (&'l Cluster, &'l Observation)>,
    failed: impl Iterator<Item = (&'l Cluster, &'l Problem)>,
) -> Result<String, Fault> {
    let figures = Figures::new()?;
    for (cluster, look) in looks {
        figures.cluster(cluster, look)?;
    }
    for (cluster, problem) in failed {
        let labels = [cluster.name.as_str(), problem.code.id];
        figures.failed.get_metric_with_label_values(&labels)?.set(1.0);
    }
    let mut bytes = Vec::new();
    TextEncoder::new().encode(&figures.registry.gather(), &mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}

impl Figures {
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let info = [
            "cluster",
            "node",
            "group",
            "environment",
            "pack",
            "release",
            "disk_release",
            "role",
            "store",
            "tls",
            "os",
        ];
        Ok(Self {
            info: gauge("quorate_node_info", "What a node is and runs, in its labels.", &info)?,
            reachable: gauge("quorate_node_reachable", "Whether a node answered.", &NODE)?,
            healthy: gauge(
                "quorate_node_healthy",
                "Whether a node says that it serves; one that says nothing does not.",
                &NODE,
            )?,
            voter: gauge("quorate_node_voter", "Whether a node has a vote.", &NODE)?,
            lag: gauge(
                "quorate_node_lag_entries",
                "Entries behind the most advanced member, at the moment of the look.",
                &NODE,
            )?,
            started: gauge(
                "quorate_node_start_time_seconds",
                "When a node's process started, in seconds since 1970.",
                &NODE,
            )?,
            findings: gauge(
                "quorate_findings",
                "Findings of a cluster and of its nodes.",
                &["cluster", "severity"],
            )?,
            finding: gauge(
                "quorate_finding_info",
                "A finding, by its code; the node is empty where it speaks of the cluster.",
                &["cluster", "node", "code", "severity"],
            )?,
            looked: gauge(
                "quorate_look_timestamp_seconds",
                "When a cluster was looked at, in seconds since 1970.",
                &["cluster"],
            )?,
            failed: gauge(
                "quorate_look_failed",
                "A cluster that could not be looked at, by the code of the error.",
                &["cluster", "code"],
            )?,
            registry,
        })
    }

    fn cluster(&self, cluster: &Cluster, look: &Observation) -> Result<(), prometheus::Error> {
        let name = look.cluster.as_str();
        let at = look.taken_at.as_duration().as_secs_f64();
        self.looked.get_metric_with_label_values(&[name])?.set(at);
        let mut counts: BTreeMap<Severity, f64> = SEVERITIES.map(|one| (one, 0.0)).into();
        let of_nodes = look.nodes.iter().flat_map(|node| {
            node.findings.iter().map(move |finding| (node.name.as_str(), finding))
        });
        let of_cluster = look.findings.iter().map(|finding| ("", finding));
        for (node, Finding { severity, code, text: _, hint: _ }) in of_nodes.chain(of_cluster) {
            *counts.entry(*severity).or_default() += 1.0;
            let labels = [name, node, code, words::severity(*severity)];
            self.finding.get_metric_with_label_values(&labels)?.set(1.0);
        }
        for (severity, count) in counts {
            let labels = [name, words::severity(severity)];
            self.findings.get_metric_with_label_values(&labels)?.set(count);
        }
        look.nodes.iter().try_for_each(|node| self.node(cluster, node))
    }

    fn node(&self, cluster: &Cluster, node: &NodeObservation) -> Result<(), prometheus::Error> {
        let own = [cluster.name.as_str(), node.name.as_str()];
        let yes = |is: bool| f64::from(u8::from(is));
        let set = |gauge: &GaugeVec, value: Option<f64>| match value {
            Some(value) => gauge.get_metric_with_label_values(&own).map(|gauge| gauge.set(value)),
            None => Ok(()),
        };
        let release = node.release.as_ref().map(ToString::to_string).unwrap_or_default();
        let disk = node.disk_release.as_ref().map(ToString::to_string).unwrap_or_default();
        let labels = [
            own[0],
            own[1],
            node.group.as_str(),
            cluster.environment.as_deref().unwrap_or_default(),
            cluster.pack.as_str(),
            &release,
            &disk,
            words::role(node.role),
            node.store.as_deref().unwrap_or_default(),
            node.tls.map_or("", |tls| if tls { "yes" } else { "no" }),
            node.os.as_deref().unwrap_or_default(),
        ];
        self.info.get_metric_with_label_values(&labels)?.set(1.0);
        set(&self.reachable, Some(yes(node.reach == Reach::Reachable)))?;
        set(&self.healthy, Some(yes(node.healthy == Some(true))))?;
        set(&self.voter, node.voter.map(yes))?;
        // Entries past 2^53 are rounded: no member is that far behind.
        set(&self.lag, node.lag.map(|lag| lag as f64))?;
        let started = node.process.as_ref().and_then(|process| process.started_at);
        set(&self.started, started.map(|at| at.as_duration().as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use quorate_model::{Policy, Role};
    use quorate_runner::problem::BAD_FLEET;

    #[test]
    fn every_node_and_every_severity_has_its_line() {
        let cluster = Cluster {
            name: "shop".into(),
            pack: "etcd".into(),
            environment: Some("a \"lab\"".into()),
            nodes: Vec::new(),
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        };
        let gone = NodeObservation::unseen("shop-2".into(), "server".into(), "it hung up");
        let look = Observation {
            cluster: "shop".into(),
            pack: "etcd".into(),
            taken_at: Timestamp::from_second(1_700_000_000).unwrap(),
            nodes: vec![
                NodeObservation {
                    name: "shop-1".into(),
                    reach: Reach::Reachable,
                    release: "3.5.16".parse().ok(),
                    role: Role::Leader,
                    voter: Some(true),
                    healthy: Some(true),
                    lag: Some(0),
                    ..gone.clone()
                },
                gone,
            ],
            facts: Default::default(),
            findings: vec![Finding {
                severity: Severity::Warning,
                code: "half-way".into(),
                text: String::new(),
                hint: None,
            }],
        };
        let problem = Problem::new(BAD_FLEET, "the TLS files cannot be used");
        let figures =
            text([(&cluster, &look)].into_iter(), [(&cluster, &problem)].into_iter()).unwrap();
        insta::assert_snapshot!(figures, @r#"
        # HELP quorate_finding_info A finding, by its code; the node is empty where it speaks of the cluster.
        # TYPE quorate_finding_info gauge
        quorate_finding_info{cluster="shop",code="half-way",node="",severity="warning"} 1
        # HELP quorate_findings Findings of a cluster and of its nodes.
        # TYPE quorate_findings gauge
        quorate_findings{cluster="shop",severity="error"} 0
        quorate_findings{cluster="shop",severity="note"} 0
        quorate_findings{cluster="shop",severity="warning"} 1
        # HELP quorate_look_failed A cluster that could not be looked at, by the code of the error.
        # TYPE quorate_look_failed gauge
        quorate_look_failed{cluster="shop",code="Q0002"} 1
        # HELP quorate_look_timestamp_seconds When a cluster was looked at, in seconds since 1970.
        # TYPE quorate_look_timestamp_seconds gauge
        quorate_look_timestamp_seconds{cluster="shop"} 1700000000
        # HELP quorate_node_healthy Whether a node says that it serves; one that says nothing does not.
        # TYPE quorate_node_healthy gauge
        quorate_node_healthy{cluster="shop",node="shop-1"} 1
        quorate_node_healthy{cluster="shop",node="shop-2"} 0
        # HELP quorate_node_info What a node is and runs, in its labels.
        # TYPE quorate_node_info gauge
        quorate_node_info{cluster="shop",disk_release="",environment="a \"lab\"",group="server",node="shop-1",os="",pack="etcd",release="3.5.16",role="leader",store="",tls=""} 1
        quorate_node_info{cluster="shop",disk_release="",environment="a \"lab\"",group="server",node="shop-2",os="",pack="etcd",release="",role="unknown",store="",tls=""} 1
        # HELP quorate_node_lag_entries Entries behind the most advanced member, at the moment of the look.
        # TYPE quorate_node_lag_entries gauge
        quorate_node_lag_entries{cluster="shop",node="shop-1"} 0
        # HELP quorate_node_reachable Whether a node answered.
        # TYPE quorate_node_reachable gauge
        quorate_node_reachable{cluster="shop",node="shop-1"} 1
        quorate_node_reachable{cluster="shop",node="shop-2"} 0
        # HELP quorate_node_voter Whether a node has a vote.
        # TYPE quorate_node_voter gauge
        quorate_node_voter{cluster="shop",node="shop-1"} 1
        "#);
    }
}
