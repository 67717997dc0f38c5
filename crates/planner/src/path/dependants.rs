//! What applications that live by a cluster say of a release that it would land on.
//!
//! Invariant: an application whose version is not known meets no requirement.

use super::judge::Refusing;
use quorate_model::{Dependant, Release, Requirement};

/// A declaration in the operator's own hand: as near as a setting.
const DISTANCE: u8 = 0;

/// Who refuses a release, and why; none when everybody works with it.
pub(super) fn refuse(dependants: &[Dependant], to: &Release) -> Option<Refusing> {
    dependants.iter().find_map(|one| does_not_work_with(one, to).or_else(|| too_old(one, to)))
}

fn does_not_work_with(one: &Dependant, to: &Release) -> Option<Refusing> {
    let range = one.works_with.as_ref().filter(|range| !range.contains(to))?;
    let name = &one.name;
    Some(Refusing {
        rule: format!("dependant:{name}"),
        because: format!(
            "{name} works with {range} of the cluster, as it was declared, not with {to}"
        ),
        way_out: Some(format!(
            "bring {name} to a version that works with {to}, and say so in `works_with` of the fleet file"
        )),
        distance: DISTANCE,
    })
}

fn too_old(one: &Dependant, to: &Release) -> Option<Refusing> {
    let lacking = |asked: &&Requirement| {
        let meets = one.version.as_ref().is_some_and(|version| asked.version.contains(version));
        asked.cluster.contains(to) && !meets
    };
    let asked = one.requires.iter().find(lacking)?;
    let (name, version) = (&one.name, &asked.version);
    let runs = match &one.version {
        Some(version) => format!("{version} runs"),
        None => "nobody says which version runs".to_owned(),
    };
    let because = asked.because.as_deref().map(super::clause);
    let because = because.map(|because| format!(", because {because}")).unwrap_or_default();
    Some(Refusing {
        rule: format!("dependant:{name}"),
        because: format!("{name} must be {version} before the cluster has {to}{because}; {runs}"),
        way_out: Some(format!(
            "bring {name} to {version} first, and say so in `version` of the fleet file"
        )),
        distance: DISTANCE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(yaml: serde_json::Value, to: &str) -> Option<String> {
        let one: Dependant = serde_json::from_value(yaml).unwrap();
        refuse(&[one], &to.parse().unwrap()).map(|refusing| refusing.because)
    }

    #[test]
    fn a_release_that_an_application_does_not_work_with_is_refused() {
        let works = serde_json::json!({"name": "kube", "works_with": "<3.6"});
        assert_eq!(said(works.clone(), "3.5.16"), None);
        assert!(said(works, "3.6.0").is_some_and(|text| text.contains("kube works with <3.6")));
    }

    #[test]
    fn an_application_must_have_a_version_before_some_releases() {
        let kube = |version: Option<&str>| {
            serde_json::json!({"name": "kube", "version": version,
                "requires": [{"cluster": ">=3.2", "version": ">=1.9", "because": "1.8 flaps."}]})
        };
        assert_eq!(said(kube(Some("1.8.4")), "3.1.20"), None);
        assert_eq!(said(kube(Some("1.9.0")), "3.2.32"), None);
        let old = said(kube(Some("1.8.4")), "3.2.32");
        assert_eq!(
            old.as_deref(),
            Some("kube must be >=1.9 before the cluster has 3.2.32, because 1.8 flaps; 1.8.4 runs")
        );
        assert!(said(kube(None), "3.2.32").is_some_and(|text| text.contains("nobody says")));
    }
}
