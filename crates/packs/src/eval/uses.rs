//! What an expression uses: its free names, its functions, and the facts that it reads.

use super::functions;
use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr},
};
use quorate_model::NEEDS;
use std::collections::{BTreeMap, BTreeSet};

/// Fields of a node that observation itself gives.
pub(crate) const NODE_FIELDS: [&str; 20] = [
    "name",
    "group",
    "reachable",
    "role",
    "alarms",
    "release",
    "disk_release",
    "member_id",
    "voter",
    "healthy",
    "applied_index",
    "lag",
    "store",
    "tls",
    "data_hash",
    "hash_revision",
    "os",
    "config_digest",
    "config_file",
    "settings",
];

/// Fields of a cluster that observation itself gives.
pub(crate) const CLUSTER_FIELDS: [&str; 8] =
    ["name", "size", "voters", "healthy_voters", "quorum", "leader", "releases", NEEDS];

/// Whose fact is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// A node's.
    Node,
    /// The cluster's.
    Cluster,
    /// Of whatever a probe is asking.
    Facts,
}

/// What one expression uses.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) names: BTreeSet<String>,
    pub(crate) functions: BTreeSet<String>,
    pub(crate) facts: BTreeSet<(Owner, String)>,
}

/// Parses expressions to see what they use.
pub(crate) struct Env(cel::Env);

impl Env {
    pub(crate) fn new() -> Self {
        Self(functions::env())
    }
    /// Parses an expression; the error is its first, on one line.
    pub(crate) fn uses(&self, text: &str) -> Result<Uses, String> {
        let program = self.0.compile(text).map_err(|errors| first_error(&errors))?;
        let mut uses = Uses::default();
        walk(program.expression(), &BTreeMap::new(), &mut uses);
        Ok(uses)
    }
}

/// The first error of a parse, on one line.
pub(crate) fn first_error(errors: &cel::ParseErrors) -> String {
    match errors.errors.first() {
        Some(error) => error.msg.lines().next().unwrap_or_default().to_owned(),
        None => "it is no CEL".to_owned(),
    }
}

/// Names that a comprehension binds: `n` in `nodes.all(n, ...)` stands for a node.
type Bound<'a> = BTreeMap<&'a str, Option<Owner>>;

/// What an expression's own value belongs to, when reading a field of it reads a fact.
fn owner(expr: &Expr, bound: &Bound<'_>) -> Option<Owner> {
    match expr {
        Expr::Ident(name) => match (bound.get(name.as_str()), name.as_str()) {
            (Some(owner), _) => *owner,
            (None, "node") => Some(Owner::Node),
            (None, "cluster") => Some(Owner::Cluster),
            (None, "facts") => Some(Owner::Facts),
            (None, _) => None,
        },
        _ => None,
    }
}

/// Whether the members of a list are nodes: `nodes` itself, or some of them.
fn lists_nodes(expr: &Expr, bound: &Bound<'_>) -> bool {
    match expr {
        Expr::Ident(name) => name == "nodes" && !bound.contains_key("nodes"),
        // `nodes.filter(n, ...)`: the loop steps over nodes and gives nodes, unlike `map`, whose step gives a new value.
        Expr::Comprehension(inner) => {
            let gives_itself = format!("{:?}", inner.loop_step)
                .contains(&format!("Ident(\"{}\")", inner.iter_var));
            lists_nodes(&inner.iter_range.expr, bound) && gives_itself
        }
        _ => false,
    }
}

fn walk(expr: &IdedExpr, bound: &Bound<'_>, uses: &mut Uses) {
    match &expr.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if !bound.contains_key(name.as_str()) && !name.starts_with('@') {
                uses.names.insert(name.clone());
            }
        }
        Expr::Select(select) => {
            if let Some(owner) = owner(&select.operand.expr, bound) {
                uses.facts.insert((owner, select.field.clone()));
            }
            walk(&select.operand, bound, uses);
        }
        Expr::Call(call) => {
            let operator = |name: &str| name.starts_with(|c: char| !c.is_ascii_alphabetic());
            let namespace = match call.target.as_deref().map(|target| &target.expr) {
                Some(Expr::Ident(name)) if name == "base64" => true,
                target => {
                    if let (Some(_), Some(target)) = (target, &call.target) {
                        walk(target, bound, uses);
                    }
                    false
                }
            };
            if !operator(&call.func_name) && !namespace {
                uses.functions.insert(call.func_name.clone());
            }
            call.args.iter().for_each(|arg| walk(arg, bound, uses));
        }
        Expr::Comprehension(inner) => {
            walk(&inner.iter_range, bound, uses);
            walk(&inner.accu_init, bound, uses);
            let item = lists_nodes(&inner.iter_range.expr, bound).then_some(Owner::Node);
            let mut within = bound.clone();
            within.insert(&inner.iter_var, item);
            within.insert(&inner.accu_var, None);
            if let Some(second) = &inner.iter_var2 {
                within.insert(second, None);
            }
            for part in [&inner.loop_cond, &inner.loop_step, &inner.result] {
                walk(part, &within, uses);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|item| walk(item, bound, uses)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| walk_entry(&entry.expr, bound, uses)),
        Expr::Struct(made) => {
            made.entries.iter().for_each(|entry| walk_entry(&entry.expr, bound, uses))
        }
    }
}

fn walk_entry(entry: &EntryExpr, bound: &Bound<'_>, uses: &mut Uses) {
    match entry {
        EntryExpr::StructField(field) => walk(&field.value, bound, uses),
        EntryExpr::MapEntry(entry) => {
            walk(&entry.key, bound, uses);
            walk(&entry.value, bound, uses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Env, Owner};

    fn facts(text: &str) -> Vec<(Owner, String)> {
        Env::new().uses(text).unwrap().facts.into_iter().collect()
    }

    #[test]
    fn sees_the_facts_that_an_expression_reads() {
        assert_eq!(facts("node.lag < 5"), [(Owner::Node, "lag".into())]);
        assert_eq!(facts("nodes.all(n, n.auth)"), [(Owner::Node, "auth".into())]);
        assert_eq!(
            facts("nodes.filter(n, n.a).all(m, m.b)"),
            [(Owner::Node, "a".into()), (Owner::Node, "b".into())]
        );
        assert_eq!(facts("has(cluster.auth) && cluster.auth"), [(Owner::Cluster, "auth".into())]);
        assert_eq!(facts("body.members.map(x, x.name)"), []);
    }

    #[test]
    fn names_bound_by_a_loop_are_not_free() {
        let uses = Env::new().uses("nodes.exists(n, n.name == leader)").unwrap();
        assert_eq!(uses.names.into_iter().collect::<Vec<_>>(), ["leader", "nodes"]);
    }

    #[test]
    fn an_error_of_the_parser_fits_on_a_line() {
        let error = Env::new().uses("node.lag <").unwrap_err();
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    }
}
