//! Configuration files that are rendered for each release from a template of the operator's.
//!
//! Invariant: the same words give the same text; a name that is not known is an error with its line, never a blank.

use crate::{Pack, TemplateValue, template};
use minijinja::{Environment, UndefinedBehavior, context, syntax::SyntaxConfig};
use quorate_model::{Cluster, ConfigTemplate, Node, Range, Release};
use std::{collections::BTreeSet, sync::LazyLock};

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = template::environment();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A line with a statement alone leaves no line, and the last line keeps its end.
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    // `{% if release is within("3.5.x") %}`: releases are no numbers, 3.10 comes after 3.9.
    environment.add_test("within", within);
    environment
});

fn within(release: String, range: String) -> Result<bool, minijinja::Error> {
    let bad = |why: String| minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, why);
    let range: Range = range.parse().map_err(|error| bad(format!("{error}")))?;
    let release: Release = release.parse().map_err(|error| bad(format!("{error}")))?;
    Ok(range.contains(&release))
}

/// Whether a text is a template at all. The error is a sentence with its line.
pub fn check(text: &str) -> Result<(), String> {
    ENVIRONMENT.template_from_str(text).map(drop).map_err(|error| told(&error))
}

/// What a file holds on a node for a release. The error is a sentence with the template's line.
pub fn rendered(
    template: &ConfigTemplate,
    pack: &Pack,
    cluster: &Cluster,
    node: &Node,
    release: &Release,
) -> Result<String, String> {
    let context = context! {
        release => release.to_string(),
        vars => pack.vars_for(release),
        ..words(cluster, node)
    };
    ENVIRONMENT.render_str(&template.text, context).map_err(|error| told(&error))
}

/// Where a node has the file. The error is a sentence.
pub fn path(template: &ConfigTemplate, cluster: &Cluster, node: &Node) -> Result<String, String> {
    let path = ENVIRONMENT.render_str(&template.path, words(cluster, node));
    path.map_err(|error| format!("`{}`: {}", template.path, told(&error)))
}

fn words(cluster: &Cluster, node: &Node) -> TemplateValue {
    let of = |node: &Node| {
        let data_dir = node.data_dir.as_ref().map(|folder| folder.display().to_string());
        let (name, group) = (node.name.as_str(), node.group.as_str());
        context! { name, group, endpoints => node.endpoints.clone(), data_dir }
    };
    let nodes: Vec<_> = cluster.nodes.iter().map(of).collect();
    let (name, environment) = (cluster.name.as_str(), cluster.environment.clone());
    context! { node => of(node), cluster => context! { name, environment, nodes } }
}

fn told(error: &minijinja::Error) -> String {
    let place = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{place}{}", template::explain(error))
}

/// The lines, with their ends, that the template gives a node on the release that it runs and on those that the pack knows.
/// Whatever else stands in its file is people's own.
pub fn known_lines(
    template: &ConfigTemplate,
    pack: &Pack,
    cluster: &Cluster,
    node: &Node,
    running: Option<&Release>,
) -> BTreeSet<String> {
    let later = pack.releases.iter().map(|known| &known.release);
    let later = later.filter(|release| running.is_none_or(|running| *release > running));
    let mut texts = BTreeSet::new();
    for release in running.into_iter().chain(later) {
        // A release that the template cannot be rendered for is told when a plan needs it.
        texts.extend(rendered(template, pack, cluster, node, release));
    }
    texts.iter().flat_map(|text| text.split_inclusive('\n')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packs;
    use quorate_model::{Host, Policy};
    use std::collections::BTreeMap;

    fn text(template: &str, release: &str) -> Result<String, String> {
        let node = Node {
            name: "a".into(),
            group: "server".into(),
            host: Host::Local,
            endpoints: BTreeMap::from([("client".into(), "http://a:2379".into())]),
            data_dir: None,
            service: None,
        };
        let cluster = Cluster {
            name: "main".into(),
            pack: "etcd".into(),
            environment: None,
            nodes: vec![node.clone()],
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        };
        let template =
            ConfigTemplate { path: "/f".into(), template: "f.j2".into(), text: template.into() };
        let packs = Packs::builtin();
        let pack = packs.get(&"etcd".into()).unwrap();
        rendered(&template, pack, &cluster, &node, &release.parse().unwrap())
    }

    #[test]
    fn a_file_differs_by_release_and_by_node() {
        let template = "name: {{ node.name }}\nurl: {{ node.endpoints.client }}\n{% if release is within('<3.5') %}\ndebug: true\n{% else %}\nlog-level: debug\n{% endif %}\n";
        let head = "name: a\nurl: http://a:2379\n";
        assert_eq!(text(template, "3.4.23").unwrap(), format!("{head}debug: true\n"));
        assert_eq!(text(template, "3.10.1").unwrap(), format!("{head}log-level: debug\n"));
    }

    #[test]
    fn what_is_not_known_is_told_with_its_line() {
        let said = text("a: 1\nb: {{ node.nmae }}\n", "3.4.23").unwrap_err();
        assert!(said.contains("line 2") || said.contains(":2"), "{said}");
        assert!(text("{% if release is within('soon') %}{% endif %}", "3.4.23").is_err());
        assert!(check("{% if %}").is_err());
        assert!(check("{{ a }}").is_ok());
    }
}
