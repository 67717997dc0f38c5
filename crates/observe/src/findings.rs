//! What a person should know of a look: the pack's own findings, its known issues, and what running and disk disagree on.

use crate::{depth::speaks_of_node, finding};
use quorate_model::{Facts, Finding, NodeObservation, Observation, Severity};
use quorate_packs::{Detect, FindingRule, KnownIssue, Pack, eval::Scope, template_value};
use serde_json::{Map, Value, json};

/// Adds every finding that the look supports.
pub(crate) fn add(pack: &Pack, detect: &Detect, seen: &mut Observation) {
    let scope = Scope::cluster(pack, seen, None, None);
    let mut of_cluster = Vec::new();
    let mut of_nodes: Vec<Vec<Finding>> = vec![Vec::new(); seen.nodes.len()];
    for rule in &detect.findings {
        if !speaks_of_node(&rule.when) {
            let holds = pack.holds(&rule.when, &scope).is_true();
            of_cluster.extend(holds.then(|| tell(pack, rule, None, seen)));
            continue;
        }
        for (node, findings) in seen.nodes.iter().zip(&mut of_nodes) {
            let holds = pack.holds(&rule.when, &scope.with_node(&node.name)).is_true();
            findings.extend(holds.then(|| tell(pack, rule, Some(node), seen)));
        }
    }
    for issue in &pack.known_issues {
        for (node, findings) in seen.nodes.iter().zip(&mut of_nodes) {
            let scope = scope.with_node(&node.name);
            findings.extend(has_issue(pack, issue, node, &scope).then(|| known(issue, node)));
        }
    }
    seen.findings.extend(of_cluster);
    for (node, findings) in seen.nodes.iter_mut().zip(of_nodes) {
        node.findings.extend(binary(node));
        node.findings.extend(findings);
        node.findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.code.cmp(&b.code)));
    }
    seen.findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.code.cmp(&b.code)));
}

fn has_issue(pack: &Pack, issue: &KnownIssue, node: &NodeObservation, scope: &Scope) -> bool {
    let affected = node.release.as_ref().is_some_and(|release| issue.affects.contains(release));
    affected && issue.detect.as_deref().is_none_or(|cel| pack.holds(cel, scope).is_true())
}

fn known(issue: &KnownIssue, node: &NodeObservation) -> Finding {
    let release = node.release.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = format!("{} runs {release}: {}", node.name, issue.text);
    finding(issue.severity, &issue.id, text, Some(issue.advice.clone()))
}

/// A rule's sentence. When its template needs what was not seen, the template itself still says what it is about.
fn tell(
    pack: &Pack,
    rule: &FindingRule,
    node: Option<&NodeObservation>,
    seen: &Observation,
) -> Finding {
    let context = json!({
        "node": node.map(as_map).unwrap_or_default(),
        "cluster": cluster_map(seen),
    });
    let context = template_value(&context);
    let fill = |text: &str| pack.render(text, &context).unwrap_or_else(|_| text.to_owned());
    finding(rule.severity, &rule.code, fill(&rule.text), rule.hint.as_deref().map(fill))
}

fn as_map(node: &NodeObservation) -> Map<String, Value> {
    let mut map: Map<String, Value> = as_pairs(&node.facts);
    if let Ok(Value::Object(fields)) = serde_json::to_value(node) {
        map.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
    }
    map
}

fn cluster_map(seen: &Observation) -> Map<String, Value> {
    let mut map = as_pairs(&seen.facts);
    map.insert("name".into(), json!(seen.cluster));
    map
}

fn as_pairs(facts: &Facts) -> Map<String, Value> {
    facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Running and disk disagree: a restart would bring another release than the one that was seen.
fn binary(node: &NodeObservation) -> Option<Finding> {
    let (Some(runs), Some(disk)) = (&node.release, &node.disk_release) else { return None };
    (runs != disk).then(|| {
        finding(
            Severity::Warning,
            "release-on-disk-differs",
            format!("{} runs {runs}, the binary on its disk is {disk}: a restart would change its release", node.name),
            Some("finish or revert the change that somebody began, before anything restarts it".into()),
        )
    })
}
