//! What may not be said of applications that live by a cluster.

use super::Check;
use crate::file::ClusterFile;
use quorate_packs::Packs;
use quorate_syntax::{Step, nearest};

pub(super) fn check(check: &mut Check<'_>, c: usize, cluster: &ClusterFile, packs: &Packs) {
    let pack = packs.get(&cluster.pack);
    for (d, one) in cluster.dependants.iter().enumerate() {
        let base = ["clusters".into(), c.into(), "dependants".into(), d.into()];
        let at = |key: &'static str| [base.as_slice(), &[Step::Key(key)]].concat();
        check.name(&at("name"), "dependant", one.name.as_str());
        if cluster.dependants.iter().take(d).any(|other| other.name == one.name) {
            let message =
                format!("another dependant of `{}` is called `{}`", cluster.name, one.name);
            check.error(&at("name"), "duplicate-dependant", message, None);
        }
        for (n, need) in one.needs.iter().enumerate() {
            let Some(pack) = pack.filter(|pack| !pack.needs.contains_key(need)) else { continue };
            let known: Vec<&str> = pack.needs.keys().map(String::as_str).collect();
            let hint = match nearest(need, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!(
                    "the pack {} names nothing that an application may need; say `works_with`",
                    pack.pack
                ),
                None => format!("the pack {} knows {}", pack.pack, known.join(", ")),
            };
            let at = [at("needs").as_slice(), &[n.into()]].concat();
            let message = format!("{} has nothing that is called `{need}`", pack.title);
            check.error(&at, "unknown-need", message, Some(hint));
        }
        if one.runs.as_ref().is_some_and(|runs| runs.hosts.is_empty()) {
            let at = [at("runs").as_slice(), &[Step::Key("hosts")]].concat();
            let message = format!("`{}` runs on no host: nobody would stop it", one.name);
            let hint = "name its hosts: `[local]`, `[{ssh: app-1}, {ssh: app-2}]`";
            check.error(&at, "dependant-hosts", message, Some(hint.into()));
        }
        if let Some(runs) =
            one.runs.as_ref().filter(|r| r.switch.is_some() != r.switch_back.is_some())
        {
            let (there, lacks) = match runs.switch {
                Some(_) => ("switch", "switch_back"),
                None => ("switch_back", "switch"),
            };
            let message = format!("`{}` has a `{there}` and no `{lacks}`", one.name);
            let hint = "say both: whoever is switched must be able to come back";
            let at = [at("runs").as_slice(), &[Step::Key(there)]].concat();
            check.error(&at, "dependant-switch", message, Some(hint.into()));
        }
        if !one.requires.is_empty() && one.version.is_none() {
            let message =
                format!("`requires` asks for a version of `{}`, and none is said", one.name);
            let hint = "say which version of it runs: `version: 1.8.4`";
            check.error(&at("requires"), "dependant-version", message, Some(hint.into()));
        }
    }
}
