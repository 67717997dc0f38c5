//! Checks of the groups of nodes, and of the conditions that speak of them.

use super::Lint;
use crate::Safety;
use quorate_syntax::Step;

/// What a node without a vote counts as back by.
const CLIENT_REJOINED: [&str; 2] = ["release", "healthy"];

/// Groups: each once, one of them votes, and for each that does not it is said when its nodes are back.
pub(super) fn check(lint: &mut Lint<'_>, safety: &Safety) {
    let pack = lint.pack;
    for (i, group) in pack.groups.iter().enumerate() {
        let at = |key| ["groups".into(), i.into(), Step::Key(key)];
        lint.not_empty(&at("because"), &group.because, "`because`");
        if pack.groups[..i].iter().any(|before| before.name == group.name) {
            let message = format!("the group `{}` is there already", group.name);
            lint.error(&at("name"), "pack-duplicate-id", message);
        }
        for name in CLIENT_REJOINED.iter().filter(|_| !group.votes) {
            let own = safety.rejoined.iter().filter(|condition| condition.is_for(&group.name));
            if !own.into_iter().any(|condition| condition.name == **name) {
                let message = format!(
                    "nothing under `rejoined` for group `{}` is named `{name}`",
                    group.name
                );
                let hint = "add a condition, with `groups:` when it is for this group alone";
                let at = ["safety".into(), "rejoined".into()];
                lint.error_hint(&at, "pack-rejoined", message, hint);
            }
        }
    }
    if !pack.groups.is_empty() && !pack.groups.iter().any(|group| group.votes) {
        let message = "no group votes: somebody must be a server";
        lint.error(&["groups".into()], "pack-groups", message);
    }
    for (list, conditions) in [
        ("may_stop", &safety.may_stop),
        ("rejoined", &safety.rejoined),
        ("hop_complete", &safety.hop_complete),
    ] {
        for (i, condition) in conditions.iter().enumerate() {
            for (g, group) in condition.groups.iter().flatten().enumerate() {
                if pack.groups.iter().any(|known| known.name == *group) {
                    continue;
                }
                let at = ["safety".into(), list.into(), i.into(), "groups".into(), g.into()];
                let message = format!("the pack has no group `{group}`");
                lint.error(&at, "pack-groups", message);
            }
        }
    }
}
