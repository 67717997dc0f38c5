//! Checks of the procedures: probes, safety, handover, cures, backups, rollback, the client's view.

use super::Lint;
use crate::{BackupRecipe, NATIVES, NamedCondition, Recipe, is_native};
use quorate_syntax::{Step, nearest};
use std::collections::BTreeSet;

/// Fields of an observation that a pack may fill in.
pub(super) const FIELDS: [&str; 11] = [
    "release",
    "role",
    "voter",
    "healthy",
    "member_id",
    "applied_index",
    "store",
    "tls",
    "data_hash",
    "hash_revision",
    "alarms",
];

/// What a gate after a start must look at: without one of these a member counts as back too early.
const REJOINED: [&str; 4] = ["release", "healthy", "member", "caught-up"];

/// Durations that a plan estimates.
const ESTIMATES: [&str; 8] =
    ["stop", "start", "rejoin", "handover", "backup", "verify", "complete", "membership"];

pub(super) fn check(lint: &mut Lint<'_>) {
    natives(lint);
    detect(lint);
    safety(lint);
    recipes(lint);
    backups(lint);
    contents(lint);
    conversions(lint);
    by_hand(lint);
    client(lint);
}

/// An action that the program does not have would be found missing when it is needed.
fn natives(lint: &mut Lint<'_>) {
    for (path, action) in crate::spots::actions(lint.pack) {
        if !is_native(action) {
            let message = format!("this program has no action `{action}`");
            lint.error_hint(&path, "pack-native", message, suggestion(action, NATIVES));
        }
    }
}

fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn detect(lint: &mut Lint<'_>) {
    let Some(detect) = &lint.pack.detect else { return };
    lint.not_empty(
        &["detect".into(), "endpoint".into()],
        &detect.endpoint,
        "the endpoint of detection",
    );
    for field in detect.fields.keys() {
        if !FIELDS.contains(&field.as_str()) {
            let at = ["detect".into(), "fields".into(), field.as_str().into()];
            let message = format!("an observation has no field `{field}`");
            lint.error_hint(&at, "pack-field", message, suggestion(field, &FIELDS));
        }
    }
    let mut seen = BTreeSet::new();
    for (section, probes) in [("node", &detect.node), ("cluster", &detect.cluster)] {
        for (i, probe) in probes.iter().enumerate() {
            if !seen.insert(probe.id.as_str()) {
                let at = ["detect".into(), section.into(), i.into(), "id".into()];
                lint.error(
                    &at,
                    "pack-duplicate-id",
                    format!("the probe `{}` is there already", probe.id),
                );
            }
        }
    }
    let mut codes = BTreeSet::new();
    for (i, finding) in detect.findings.iter().enumerate() {
        if !codes.insert(finding.code.as_str()) {
            let at = ["detect".into(), "findings".into(), i.into(), "code".into()];
            lint.error(
                &at,
                "pack-duplicate-id",
                format!("the finding `{}` is there already", finding.code),
            );
        }
    }
}

fn conditions(lint: &mut Lint<'_>, path: &[Step<'_>], conditions: &[NamedCondition]) {
    let mut seen = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let at = |key| path.iter().copied().chain([i.into(), Step::Key(key)]).collect::<Vec<_>>();
        lint.not_empty(&at("text"), &condition.text, "the text of the condition");
        // The same name may stand twice for different releases or groups, never for the same ones.
        let releases = condition.releases.as_ref().map(|range| range.as_str());
        if !seen.insert((condition.name.as_str(), releases, &condition.groups)) {
            let message =
                format!("the condition `{}` is there already for these releases", condition.name);
            lint.error(&at("name"), "pack-duplicate-id", message);
        }
    }
}

fn safety(lint: &mut Lint<'_>) {
    let Some(safety) = &lint.pack.safety else { return };
    lint.not_empty(
        &["safety".into(), "max_lag_because".into()],
        &safety.max_lag_because,
        "`max_lag_because`",
    );
    if safety.soak.is_some() {
        let because = safety.soak_because.as_deref().unwrap_or_default();
        lint.not_empty(&["safety".into(), "soak_because".into()], because, "`soak_because`");
    }
    for (name, some) in [
        ("may_stop", &safety.may_stop),
        ("rejoined", &safety.rejoined),
        ("hop_complete", &safety.hop_complete),
    ] {
        conditions(lint, &["safety".into(), name.into()], some);
    }
    for name in REJOINED {
        let voting = |condition: &NamedCondition| match &condition.groups {
            Some(groups) => groups.iter().any(|group| lint.pack.votes(group)),
            None => true,
        };
        if !safety.rejoined.iter().any(|condition| condition.name == name && voting(condition)) {
            let message = format!("nothing under `rejoined` is named `{name}`");
            let hint = format!("a member counts as back only by {}", REJOINED.join(", "));
            lint.error_hint(&["safety".into(), "rejoined".into()], "pack-rejoined", message, hint);
        }
    }
    super::groups::check(lint, safety);
    if safety.hop_complete.is_empty() {
        let message = "nothing says when the cluster has taken the new release";
        lint.error(&["safety".into(), "hop_complete".into()], "pack-rejoined", message);
    }
}

/// Conditions that every plan may hold, whatever the pack.
const ALWAYS: [&str; 10] = [
    "already-moved",
    "caught-up",
    "data-equal",
    "healthy",
    "leader",
    "leads-not",
    "may-stop",
    "no-alarm",
    "release",
    "servers-well",
];

/// Whoever has words for hands has them for every condition of a gate: a run book that asks less than a run is no run book.
fn by_hand(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let by_hand = &pack.by_hand;
    let scopes = [("of_member", &by_hand.of_member), ("of_cluster", &by_hand.of_cluster)];
    if scopes.iter().all(|(_, commands)| commands.is_empty()) {
        return;
    }
    let safety = pack.safety.iter();
    let of_member: Vec<&str> = safety
        .clone()
        .flat_map(|safety| safety.rejoined.iter().chain(&safety.may_stop))
        .chain(pack.recipes.handover.iter().flat_map(|recipe| &recipe.gate))
        .map(|condition| condition.name.as_str())
        .chain(["leader", "leads-not", "may-stop", "already-moved"])
        .collect();
    let of_cluster: Vec<&str> = safety
        .flat_map(|safety| &safety.hop_complete)
        .map(|condition| condition.name.as_str())
        .chain(["healthy", "release", "no-alarm", "caught-up", "data-equal", "leader"])
        .collect();
    let others = pack.recipes.cures.values().chain(&pack.recipes.finalize);
    let known: Vec<&str> = of_member
        .iter()
        .chain(&of_cluster)
        .copied()
        .chain(ALWAYS)
        .chain(pack.rules.iter().map(|rule| rule.id.as_str()))
        .chain(pack.recipes.cures.keys().map(String::as_str))
        .chain(others.flat_map(|recipe| &recipe.gate).map(|condition| condition.name.as_str()))
        .collect();
    for ((scope, commands), needed) in scopes.into_iter().zip([of_member, of_cluster]) {
        for (name, command) in commands {
            let at = ["by_hand".into(), scope.into(), name.as_str().into()];
            lint.not_empty(&at, command, "the command of the condition");
            if !known.contains(&name.as_str()) {
                let message = format!("no condition is called `{name}`");
                lint.error_hint(&at, "pack-by-hand", message, suggestion(name, &known));
            }
        }
        let lacking: BTreeSet<&str> =
            needed.into_iter().filter(|name| !commands.contains_key(*name)).collect();
        for name in lacking {
            let message = format!("a person cannot ask `{name}`: it has no command here");
            lint.warn(&["by_hand".into(), scope.into()], "pack-by-hand", message, None);
        }
    }
}

fn limit(lint: &mut Lint<'_>, path: &[Step<'_>], secs: f64) {
    // A day: no step of an upgrade may hold a fleet longer without a person noticing.
    if !(secs > 0.0 && secs <= 86_400.0) {
        let path: Vec<_> = path.iter().copied().chain(["limit_secs".into()]).collect();
        lint.error(
            &path,
            "pack-limit",
            format!("{secs} seconds are no limit: give more than 0 and at most 86400"),
        );
    }
}

fn recipe(lint: &mut Lint<'_>, path: &[Step<'_>], recipe: &Recipe) {
    let at = |key| path.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    lint.not_empty(&at("title"), &recipe.title, "the title of the recipe");
    lint.not_empty(&at("because"), &recipe.because, "`because` of the recipe");
    lint.not_empty(&at("by_hand"), &recipe.by_hand, "`by_hand` of the recipe");
    lint.source_keys(&at("sources"), &recipe.sources);
    conditions(lint, &at("gate"), &recipe.gate);
    limit(lint, path, recipe.limit_secs);
}

fn recipes(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let recipes = &pack.recipes;
    for (name, some) in [
        ("handover", &recipes.handover),
        ("finalize", &recipes.finalize),
        ("eject", &recipes.eject),
    ] {
        for (i, one) in some.iter().enumerate() {
            recipe(lint, &["recipes".into(), name.into(), i.into()], one);
        }
    }
    for (i, one) in recipes.eject.iter().enumerate() {
        tells_whether_it_happened(lint, &["recipes".into(), "eject".into(), i.into()], one);
    }
    rejoins(lint);
    for (name, cure) in &recipes.cures {
        let path = ["recipes".into(), "cures".into(), name.as_str().into()];
        recipe(lint, &path, cure);
        if cure.done.is_none() {
            let hint = "add `done`: without it an interrupted cure needs a person".to_owned();
            lint.warn(
                &path,
                "pack-cure",
                format!("the cure `{name}` cannot tell whether it has happened"),
                Some(hint),
            );
        }
        if !pack.rules.iter().any(|rule| rule.cures.contains(name)) {
            lint.warn(&path, "pack-cure", format!("no rule names the cure `{name}`"), None);
        }
    }
    for (i, rule) in recipes.rollback.iter().enumerate() {
        let path = ["recipes".into(), "rollback".into(), i.into()];
        lint.not_empty(
            &[path[0], path[1], path[2], "text".into()],
            &rule.text,
            "the text of the way back",
        );
        lint.sources(&path, &rule.sources, "the way back");
    }
    for (name, secs) in &recipes.estimates_secs {
        let at = ["recipes".into(), "estimates_secs".into(), name.as_str().into()];
        if !ESTIMATES.contains(&name.as_str()) {
            let message = format!("no step is called `{name}`");
            lint.error_hint(&at, "pack-estimate", message, suggestion(name, &ESTIMATES));
        }
        if !(secs.is_finite() && *secs >= 0.0) {
            lint.error(&at, "pack-estimate", format!("{secs} is no number of seconds"));
        }
    }
}

/// Who belongs to a cluster is never changed twice on a guess.
fn tells_whether_it_happened(lint: &mut Lint<'_>, path: &[Step<'_>], recipe: &Recipe) {
    if recipe.done.is_none() {
        let path: Vec<_> = path.iter().copied().chain(["done".into()]).collect();
        let message = "a change of the membership must tell whether it has happened";
        let hint = "look for the member in the cluster's own list".to_owned();
        lint.error_hint(&path, "pack-membership", message, hint);
    }
}

fn rejoins(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, rejoin) in pack.recipes.rejoin.iter().enumerate() {
        let path = ["recipes".into(), "rejoin".into(), i.into()];
        let at = |key: &'static str| [path[0], path[1], path[2], key.into()];
        lint.not_empty(&at("because"), &rejoin.because, "`because` of the way to rejoin");
        lint.sources(&path, &rejoin.sources, "the way to rejoin");
        for (name, one) in [("add", Some(&rejoin.add)), ("promote", rejoin.promote.as_ref())] {
            if let Some(one) = one {
                recipe(lint, &at(name), one);
                tells_whether_it_happened(lint, &at(name), one);
            }
        }
    }
    if !pack.recipes.eject.is_empty() && pack.recipes.rejoin.is_empty() {
        let message = "a member that is taken out must have a way back";
        lint.error(&["recipes".into(), "eject".into()], "pack-membership", message);
    }
}

fn backups(lint: &mut Lint<'_>) {
    for (i, one) in lint.pack.recipes.backups.iter().enumerate() {
        backup(lint, &["recipes".into(), "backups".into(), i.into()], one);
    }
}

fn backup(lint: &mut Lint<'_>, path: &[Step<'_>], backup: &BackupRecipe) {
    let at = |key| path.iter().copied().chain([Step::Key(key)]).collect::<Vec<_>>();
    lint.not_empty(&at("kind"), &backup.kind, "the kind of the backup");
    lint.sources(path, &backup.sources, &format!("the backup `{}`", backup.kind));
    limit(lint, path, backup.limit_secs);
    conditions(lint, &at("restored"), &backup.restored);
    for (nth, hop) in backup.restores.iter().enumerate() {
        let path: Vec<_> = at("restores").into_iter().chain([nth.into()]).collect();
        lint.sources(&path, &hop.sources, "the way to put a copy back on another release");
    }
}

/// A conversion must come out as something that every member can be given, and be told apart from the ordinary copies.
fn conversions(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (name, one) in &pack.recipes.conversions {
        let path = ["recipes".into(), "conversions".into(), name.as_str().into()];
        let at = |key: &'static str| [path[0], path[1], path[2], key.into()];
        lint.not_empty(&at("title"), &one.title, "the title of the conversion");
        lint.not_empty(&at("because"), &one.because, "`because` of the conversion");
        lint.sources(&path, &one.sources, &format!("the conversion `{name}`"));
        for (i, check) in one.checks.iter().enumerate() {
            recipe(lint, &[path[0], path[1], path[2], "checks".into(), i.into()], check);
        }
        recipe(lint, &at("settled"), &one.settled);
        limit(lint, &at("copy"), one.copy.limit_secs);
        backup(lint, &at("converted"), &one.converted);
        if let Some(back) = &one.back {
            limit(lint, &at("back"), back.limit_secs);
        }
        if one.converted.restore.is_none() || one.converted.join.is_some() {
            let message = "what comes out must be put on every member alike: it needs a `restore`, and no `join`";
            lint.error(&at("converted"), "pack-conversion", message);
        }
        let taken = pack.recipes.backups.iter().map(|one| &one.kind);
        for (key, kind) in [("copy", &one.copy.kind), ("converted", &one.converted.kind)] {
            if taken.clone().any(|taken| taken == kind) || one.copy.kind == one.converted.kind {
                let message = format!("another copy is a `{kind}` already");
                lint.error(&at(key), "pack-conversion", message);
            }
        }
        for need in one.ends.iter().filter(|need| !pack.needs.contains_key(*need)) {
            let known: Vec<&str> = pack.needs.keys().map(String::as_str).collect();
            let message = format!("applications can need nothing that is called `{need}`");
            lint.error_hint(&at("ends"), "pack-conversion", message, suggestion(need, &known));
        }
    }
}

fn contents(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    for (i, recipe) in pack.recipes.contents.iter().enumerate() {
        let path = ["recipes".into(), "contents".into(), i.into()];
        let kinds: Vec<&str> = pack.recipes.backups.iter().map(|one| one.kind.as_str()).collect();
        if !kinds.contains(&recipe.kind.as_str()) {
            let message = format!("no backup of the pack is a `{}`", recipe.kind);
            let at = [path[0], path[1], path[2], "kind".into()];
            lint.error_hint(&at, "pack-backup", message, suggestion(&recipe.kind, &kinds));
        }
        lint.sources(&path, &recipe.sources, &format!("the contents of `{}`", recipe.kind));
        limit(lint, &path, recipe.limit_secs);
    }
}

fn client(lint: &mut Lint<'_>) {
    let Some(client) = &lint.pack.client else { return };
    lint.not_empty(
        &["client".into(), "endpoint".into()],
        &client.endpoint,
        "the endpoint of clients",
    );
    lint.not_empty(&["client".into(), "key_prefix".into()], &client.key_prefix, "`key_prefix`");
    if client.ways.is_empty() {
        lint.error(
            &["client".into(), "ways".into()],
            "pack-client",
            "nothing says how clients write and read",
        );
    }
    for (i, way) in client.ways.iter().enumerate() {
        if way.watch.is_some() != way.watch_events.is_some() {
            let message = "`watch` and `watch_events` go together";
            lint.error(&["client".into(), "ways".into(), i.into()], "pack-client", message);
        }
        for (nth, lookup) in way.lookups.iter().enumerate() {
            let asks = (lookup.ask.is_some(), lookup.addresses.is_some(), lookup.dns.is_some());
            if !matches!(asks, (true, true, false) | (false, false, true)) {
                let path = ["client".into(), "ways".into(), i.into(), "lookups".into(), nth.into()];
                let message = "a lookup has either `ask` and `addresses`, or `dns`";
                lint.error(&path, "pack-client", message);
            }
        }
    }
}
