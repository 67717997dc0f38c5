//! A look as a table for other programs, one row a node or a change.

use super::text::health;
use csv::Writer;
use quorate_model::{ClusterName, NodeObservation, Observation, Reach};
use quorate_report::{changes::Change, words};

/// Why a table could not be made.
pub(super) type Fault = Box<dyn std::error::Error + Send + Sync>;

const NODES: [&str; 20] = [
    "cluster",
    "pack",
    "taken_at",
    "node",
    "group",
    "reachable",
    "release",
    "disk_release",
    "role",
    "voter",
    "health",
    "lag",
    "store",
    "tls",
    "os",
    "started_at",
    "config",
    "alarms",
    "findings",
    "unreachable_because",
];

/// A row a node.
pub(super) fn nodes<'l>(looks: impl Iterator<Item = &'l Observation>) -> Result<String, Fault> {
    let mut table = Writer::from_writer(Vec::new());
    table.write_record(NODES)?;
    for look in looks {
        for node in &look.nodes {
            table.write_record(row(look, node))?;
        }
    }
    Ok(String::from_utf8(table.into_inner()?)?)
}

fn row(look: &Observation, node: &NodeObservation) -> [String; NODES.len()] {
    let yes = |is: bool| is.to_string();
    let started = node.process.as_ref().and_then(|process| process.started_at);
    let findings: Vec<&str> = node.findings.iter().map(|finding| finding.code.as_str()).collect();
    let because = match &node.reach {
        Reach::Reachable => String::new(),
        Reach::Unreachable(because) => because.clone(),
    };
    [
        look.cluster.to_string(),
        look.pack.to_string(),
        look.taken_at.to_string(),
        node.name.to_string(),
        node.group.to_string(),
        yes(node.reach == Reach::Reachable),
        node.release.as_ref().map(ToString::to_string).unwrap_or_default(),
        node.disk_release.as_ref().map(ToString::to_string).unwrap_or_default(),
        words::role(node.role).to_owned(),
        node.voter.map(yes).unwrap_or_default(),
        health(node).to_owned(),
        node.lag.map(|lag| lag.to_string()).unwrap_or_default(),
        node.store.clone().unwrap_or_default(),
        node.tls.map(yes).unwrap_or_default(),
        node.os.clone().unwrap_or_default(),
        started.map(|at| at.to_string()).unwrap_or_default(),
        node.config_digest.as_ref().map(|digest| digest.short().to_owned()).unwrap_or_default(),
        node.alarms.join(" "),
        findings.join(" "),
        because,
    ]
}

/// A row a change.
pub(super) fn changes<'c>(
    clusters: impl Iterator<Item = (&'c ClusterName, &'c [Change])>,
) -> Result<String, Fault> {
    let mut table = Writer::from_writer(Vec::new());
    table.write_record(["cluster", "node", "what", "from", "to"])?;
    for (cluster, changes) in clusters {
        for Change { node, what, from, to } in changes {
            let node = node.as_ref().map(ToString::to_string).unwrap_or_default();
            let cells = [cluster.as_str(), &node, what];
            let ends = [from, to].map(|value| value.as_deref().unwrap_or_default());
            table.write_record(cells.into_iter().chain(ends))?;
        }
    }
    Ok(String::from_utf8(table.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn a_row_is_a_node_and_what_is_not_known_is_empty() {
        let gone = NodeObservation::unseen("a".into(), "server".into(), "\"no\", it said");
        let look = Observation {
            cluster: "shop".into(),
            pack: "etcd".into(),
            taken_at: Timestamp::UNIX_EPOCH,
            nodes: vec![NodeObservation { os: Some("debian 12".into()), ..gone }],
            facts: Default::default(),
            findings: Vec::new(),
        };
        let text = nodes([&look].into_iter()).unwrap();
        insta::assert_snapshot!(text, @r#"
        cluster,pack,taken_at,node,group,reachable,release,disk_release,role,voter,health,lag,store,tls,os,started_at,config,alarms,findings,unreachable_because
        shop,etcd,1970-01-01T00:00:00Z,a,server,false,,,unknown,,unreachable,,,,debian 12,,,,,"""no"", it said"
        "#);
    }

    #[test]
    fn a_row_is_a_change() {
        let change = Change {
            node: Some("a".into()),
            what: "release".into(),
            from: None,
            to: Some("3.5.16".into()),
        };
        let text = changes([(&"shop".into(), [change].as_slice())].into_iter()).unwrap();
        insta::assert_snapshot!(text, @r#"
        cluster,node,what,from,to
        shop,a,release,,3.5.16
        "#);
    }
}
