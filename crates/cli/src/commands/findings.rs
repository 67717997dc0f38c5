//! Findings of a look for people: the worst first, and what holds for several members said once.

use quorate_model::{Finding, Observation};
use quorate_report::words;

/// So many members are named one by one, as many as a consensus cluster has; `--output json` has every one.
const NAMED_MAX: usize = 9;
/// Members that are named of more.
const NAMED: usize = 3;

/// One line a finding, with the members that it holds for.
pub(super) fn as_text(seen: &Observation) -> String {
    let of_cluster = seen.findings.iter().map(|finding| (None, finding));
    let of_nodes = seen.nodes.iter().flat_map(|node| {
        node.findings.iter().map(move |finding| (Some(node.name.as_str()), finding))
    });
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (node, finding) in of_cluster.chain(of_nodes) {
        // "a runs 3.4.23: ..." and "b runs 3.4.23: ..." are one finding.
        let own = node.and_then(|node| finding.text.strip_prefix(node)?.strip_prefix(' '));
        let text = own.unwrap_or(&finding.text);
        let same = |line: &&mut Line<'_>| {
            node.is_some()
                && !line.nodes.is_empty()
                && line.text == text
                && (line.finding.severity, &line.finding.code, &line.finding.hint)
                    == (finding.severity, &finding.code, &finding.hint)
        };
        match lines.iter_mut().find(same) {
            Some(line) => line.nodes.extend(node),
            None => lines.push(Line { nodes: node.into_iter().collect(), text, finding }),
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.finding.severity));
    lines.iter().map(Line::text).collect()
}

struct Line<'a> {
    nodes: Vec<&'a str>,
    text: &'a str,
    finding: &'a Finding,
}

impl Line<'_> {
    fn text(&self) -> String {
        let severity = words::severity(self.finding.severity);
        let nodes = match self.nodes.as_slice() {
            [] => String::new(),
            nodes if nodes.len() > NAMED_MAX => {
                let named = nodes.get(..NAMED).unwrap_or_default().join(", ");
                format!(" {named} and {} more:", nodes.len() - NAMED)
            }
            nodes => format!(" {}:", nodes.join(", ")),
        };
        let hint = self.finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("  {severity}[{}]:{nodes} {}{hint}\n", self.finding.code, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{NodeObservation, Severity};

    fn finding(severity: Severity, code: &str, text: &str) -> Finding {
        Finding { severity, code: code.into(), text: text.into(), hint: None }
    }

    #[test]
    fn of_many_members_only_the_first_are_named() {
        let node = |number: usize| NodeObservation {
            findings: vec![finding(Severity::Note, "old", "nobody mends it")],
            ..NodeObservation::unseen(format!("c{number}").as_str().into(), "client".into(), "")
        };
        let seen = |count| Observation {
            cluster: "demo".into(),
            pack: "consul".into(),
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            nodes: (1..=count).map(node).collect(),
            facts: Default::default(),
            findings: Vec::new(),
        };
        let told = as_text(&seen(300));
        assert_eq!(told, "  note[old]: c1, c2, c3 and 297 more: nobody mends it\n");
        assert!(as_text(&seen(9)).contains("c8, c9:"));
    }

    #[test]
    fn what_holds_for_several_is_said_once_and_the_worst_comes_first() {
        let node = |name: &str, release: &str| NodeObservation {
            findings: vec![finding(
                Severity::Note,
                "old",
                &format!("{name} runs {release}: nobody mends it"),
            )],
            ..NodeObservation::unseen(name.into(), "server".into(), "")
        };
        let seen = Observation {
            cluster: "demo".into(),
            pack: "etcd".into(),
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            nodes: vec![node("a", "3.4"), node("b", "3.5"), node("c", "3.4")],
            facts: Default::default(),
            findings: vec![finding(Severity::Error, "data-differ", "a and b hold different data")],
        };
        assert_eq!(
            as_text(&seen),
            "  error[data-differ]: a and b hold different data\n  note[old]: a, c: runs 3.4: nobody mends it\n  note[old]: b: runs 3.5: nobody mends it\n"
        );
    }
}
