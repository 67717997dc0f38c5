//! Which nodes a command means: `shop`, `shop/shop-1`, `*/etcd-?`, with `*` and `?` on either side of the stroke.

use crate::select::{Names, matches};
use quorate_model::{Cluster, Fleet, Node};

/// A selector that selects no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{selector}` fits no node of fleet `{fleet}`")]
pub struct SelectNodesError {
    /// The fleet.
    pub fleet: String,
    /// What was asked for.
    pub selector: String,
    /// What next.
    pub hint: String,
}

/// Finds the nodes that any of the selectors fits, in the order of the fleet. A selector without a stroke means every node
/// of the clusters that it fits.
pub fn select_nodes<'f, S: AsRef<str>>(
    fleet: &'f Fleet,
    selectors: &[S],
) -> Result<Vec<(&'f Cluster, &'f Node)>, SelectNodesError> {
    let all = || {
        let clusters = fleet.clusters.iter();
        clusters.flat_map(|cluster| cluster.nodes.iter().map(move |node| (cluster, node)))
    };
    for selector in selectors.iter().map(AsRef::as_ref) {
        if !all().any(|(cluster, node)| fits(selector, cluster, node)) {
            return Err(nothing(fleet, selector));
        }
    }
    let wanted = |(cluster, node): &(&Cluster, &Node)| {
        selectors.iter().any(|selector| fits(selector.as_ref(), cluster, node))
    };
    Ok(all().filter(wanted).collect())
}

fn fits(selector: &str, cluster: &Cluster, node: &Node) -> bool {
    let (own, member) = selector.split_once('/').unwrap_or((selector, "*"));
    matches(own, cluster.name.as_str()) && matches(member, node.name.as_str())
}

fn nothing(fleet: &Fleet, selector: &str) -> SelectNodesError {
    let (own, member) = selector.split_once('/').unwrap_or((selector, "*"));
    let clusters: Vec<&Cluster> =
        fleet.clusters.iter().filter(|cluster| matches(own, cluster.name.as_str())).collect();
    let hint = if clusters.is_empty() {
        let names: Vec<&str> = fleet.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        Names(&names).hint(own, "clusters")
    } else {
        let nodes = clusters.iter().flat_map(|cluster| &cluster.nodes);
        let names: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
        Names(&names).hint(member, "nodes")
    };
    SelectNodesError { fleet: fleet.name.clone(), selector: selector.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_fleet;
    use quorate_packs::Packs;

    const FLEET: &str = r#"
schema: 1
fleet: home
clusters:
  - name: shop
    pack: etcd
    nodes:
      - { name: shop-1, endpoints: { client: "http://a:1", peer: "http://a:2" } }
      - { name: shop-2, endpoints: { client: "http://b:1", peer: "http://b:2" } }
  - name: bank
    pack: etcd
    nodes: [{ name: bank-1, endpoints: { client: "http://c:1", peer: "http://c:2" } }]
"#;

    fn check(selectors: &[&str], wanted: &str) {
        let fleet = read_fleet("fleet.yaml", FLEET, ".".as_ref(), Packs::builtin()).unwrap();
        let said = match select_nodes(&fleet, selectors) {
            Ok(nodes) => {
                let names: Vec<&str> = nodes.iter().map(|(_, node)| node.name.as_str()).collect();
                names.join(" ")
            }
            Err(error) => format!("{error}: {}", error.hint),
        };
        assert_eq!(said, wanted, "{selectors:?}");
    }

    #[test]
    fn selects_whole_clusters_and_single_nodes() {
        check(&["shop"], "shop-1 shop-2");
        check(&["*"], "shop-1 shop-2 bank-1");
        check(&["*/*-1"], "shop-1 bank-1");
        check(&["bank/*", "shop/shop-2"], "shop-2 bank-1");
        check(&["shop", "shop/shop-1"], "shop-1 shop-2");
        check(&[], "");
    }

    #[test]
    fn says_what_was_probably_meant() {
        check(&["shp"], "`shp` fits no node of fleet `home`: did you mean `shop`?");
        check(&["shop/shop1"], "`shop/shop1` fits no node of fleet `home`: did you mean `shop-1`?");
        check(&["shop", "x/*"], "`x/*` fits no node of fleet `home`: there are: shop, bank");
        check(&["bank/zzzzzz"], "`bank/zzzzzz` fits no node of fleet `home`: there are: bank-1");
    }
}
