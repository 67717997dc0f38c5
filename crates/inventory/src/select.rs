//! Which clusters a command means: names and patterns with `*` and `?`.

use quorate_model::{Cluster, Fleet};
use quorate_syntax::nearest;
use wildmatch::WildMatch;

/// A selector that selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no cluster of fleet `{fleet}` is called `{selector}`")]
pub struct SelectError {
    /// The fleet.
    pub fleet: String,
    /// What was asked for.
    pub selector: String,
    /// What next.
    pub hint: String,
}

/// Finds the clusters that any of the selectors names, in the order of the fleet; all of them without a selector.
pub fn select<'f, S: AsRef<str>>(
    fleet: &'f Fleet,
    selectors: &[S],
) -> Result<Vec<&'f Cluster>, SelectError> {
    for selector in selectors {
        let selector = selector.as_ref();
        if !fleet.clusters.iter().any(|cluster| matches(selector, cluster.name.as_str())) {
            return Err(nothing(fleet, selector));
        }
    }
    let wanted = |cluster: &&Cluster| {
        selectors.is_empty()
            || selectors.iter().any(|selector| matches(selector.as_ref(), cluster.name.as_str()))
    };
    Ok(fleet.clusters.iter().filter(wanted).collect())
}

/// Names that a hint lists; a fleet of thousands has its own command for that.
const LISTED_MAX: usize = 10;

fn nothing(fleet: &Fleet, selector: &str) -> SelectError {
    let names: Vec<&str> = fleet.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let hint = Names(&names).hint(selector, "clusters");
    SelectError { fleet: fleet.name.clone(), selector: selector.to_owned(), hint }
}

/// Names that something could have been called by.
pub(crate) struct Names<'n>(pub(crate) &'n [&'n str]);

impl Names<'_> {
    /// What was probably meant by a word that fits none of them, or what there is.
    pub(crate) fn hint(&self, word: &str, what: &str) -> String {
        match nearest(word, self.0.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.0.len() <= LISTED_MAX => format!("there are: {}", self.0.join(", ")),
            None => {
                format!("there are {} {what}: list them with `quorate inventory`", self.0.len())
            }
        }
    }
}

/// Whether a pattern with `*` and `?` fits a whole name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    WildMatch::new(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Policy;

    fn fleet(names: &[&str]) -> Fleet {
        let cluster = |name: &&str| Cluster {
            name: (*name).into(),
            pack: "etcd".into(),
            environment: None,
            nodes: Vec::new(),
            tls: None,
            auth: None,
            config: Vec::new(),
            dependants: Vec::new(),
            policy: Policy::default(),
        };
        Fleet {
            name: "home".into(),
            artifacts: Vec::new(),
            ssh: quorate_model::SshSpec::default(),
            clusters: names.iter().map(cluster).collect(),
        }
    }

    fn names(fleet: &Fleet, selectors: &[&str]) -> Vec<String> {
        select(fleet, selectors)
            .unwrap()
            .into_iter()
            .map(|cluster| cluster.name.to_string())
            .collect()
    }

    #[test]
    fn selects_by_name_and_pattern() {
        let fleet = fleet(&["prod-a", "prod-b", "stage-a"]);
        assert_eq!(names(&fleet, &[]), ["prod-a", "prod-b", "stage-a"]);
        assert_eq!(names(&fleet, &["stage-a"]), ["stage-a"]);
        assert_eq!(names(&fleet, &["*-a"]), ["prod-a", "stage-a"]);
        assert_eq!(names(&fleet, &["prod-?", "stage-a"]), ["prod-a", "prod-b", "stage-a"]);
    }

    #[test]
    fn says_what_was_probably_meant() {
        let error = select(&fleet(&["prod-a", "stage-a"]), &["prd-a"]).unwrap_err();
        assert_eq!(error.to_string(), "no cluster of fleet `home` is called `prd-a`");
        assert_eq!(error.hint, "did you mean `prod-a`?");
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("*", "") && matches("a*b*c", "a-b-b-c") && matches("?", "ä"));
        assert!(
            !matches("a", "ab")
                && !matches("a?", "a")
                && !matches("", "a")
                && !matches("a*b", "abc")
        );
    }
}
