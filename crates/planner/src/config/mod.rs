//! Settings across a hop: what the next release does with what each member runs with, before anything stops.
//!
//! Invariant: a member that would not start is found here, never after its stop.
//! A hop concerns a rule when it crosses the release that made the change. Rewrites of one hop are seen by the next.
//! Read next: `rewrite.rs`, how a setting is brought over in arguments, environment and files; `file.rs` for the latter.

mod file;
mod rewrite;
mod settings;
mod template;

pub(crate) use rewrite::Rewritten;
pub(crate) use settings::{NodeSettings, Place};

use crate::members::Member;
use quorate_model::{
    Blocked, Cluster, ConfigChange, ConfigFinding, NodeName, Observation, Policy, Release,
    SettingSource,
};
use quorate_packs::{
    ConfigChangeKind, ConfigRule, Pack,
    config_template::rendered,
    eval::{Scope, Truth},
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// The settings of all members as they are before a hop; rewrites change them for the hops after it.
pub(crate) struct Configuration {
    by_node: BTreeMap<NodeName, NodeSettings>,
}

/// What a hop means for the configuration of all members.
#[derive(Debug, Default)]
pub(crate) struct ConfigOutcome {
    pub(crate) findings: Vec<ConfigFinding>,
    pub(crate) changes: BTreeMap<NodeName, ConfigChange>,
    pub(crate) blocked: Vec<Blocked>,
}

/// One hop for the configuration.
pub(crate) struct ConfigRequest<'a, 'w> {
    pub(crate) pack: &'a Pack,
    pub(crate) cluster: &'w Cluster,
    pub(crate) policy: &'a Policy,
    pub(crate) scope: &'w Scope,
    pub(crate) from: &'w Release,
    pub(crate) to: &'w Release,
}

/// A rule that concerns a member, and the setting that it speaks of; none for a default that the member relies on.
struct Hit<'a> {
    rule: &'a ConfigRule,
    place: Option<Place>,
    fatal: bool,
    proved: bool,
}

impl Configuration {
    /// Reads the settings of every member: what it really runs with, and what its service would start it with.
    pub(crate) fn new(pack: &Pack, cluster: &Cluster, members: &[Member<'_>]) -> Self {
        let one =
            |member: &Member<'_>| (member.name().clone(), NodeSettings::new(pack, cluster, member));
        let by_node = members.iter().map(one);
        Self { by_node: by_node.collect() }
    }

    /// The same look, had every member been started with what its settings are by now.
    pub(crate) fn as_if_started(&self, seen: &Observation) -> Observation {
        let mut after = seen.clone();
        for node in &mut after.nodes {
            if let Some(settings) = self.by_node.get(&node.name) {
                node.settings = settings.once_started();
            }
        }
        after
    }

    /// Judges one hop, and brings the settings over where that is allowed and known.
    pub(crate) fn cross(&mut self, request: &ConfigRequest<'_, '_>) -> ConfigOutcome {
        let mut outcome = ConfigOutcome::default();
        let crossed: Vec<_> = request
            .pack
            .config
            .iter()
            .filter(|rule| rule.change != ConfigChangeKind::Added)
            .filter(|rule| *request.from < rule.since && rule.since <= *request.to)
            .collect();
        for (node, settings) in &mut self.by_node {
            made(request, node, settings, &mut outcome);
        }
        if crossed.is_empty() {
            return outcome;
        }
        for (node, settings) in &mut self.by_node {
            let scope = request.scope.with_node(node);
            let hits: Vec<_> =
                crossed.iter().flat_map(|rule| hits(request, rule, settings, &scope)).collect();
            outcome.findings.extend(hits.iter().map(|hit| finding(hit, node, request.to)));
            let rewritten =
                settings.rewritten(hits.iter().filter(|hit| may_rewrite(hit)).map(rewrite::of));
            let fatal: Vec<_> = hits.iter().filter(|hit| hit.fatal).collect();
            outcome.blocked.extend(unread(&crossed, settings, node, request.to));
            if request.policy.rewrite_config && !rewritten.is_empty() {
                outcome.blocked.extend(unwritable(&fatal, &rewritten, node, request.to));
                if !rewritten.change.diff.is_empty() {
                    let ConfigChange { service, files, diff } = rewritten.change.clone();
                    let change = outcome.changes.entry(node.clone()).or_insert_with(no_change);
                    change.service = service;
                    change.files.extend(files);
                    change.diff.extend(diff);
                }
                settings.accept(rewritten);
            } else if !fatal.is_empty() {
                outcome.blocked.push(refuse(&fatal, &rewritten, node, request.to));
            }
        }
        outcome
    }
}

fn no_change() -> ConfigChange {
    ConfigChange { service: None, files: Vec::new(), diff: Vec::new() }
}

/// Brings the files of a member that templates make to what they are on the next release.
fn made(
    request: &ConfigRequest<'_, '_>,
    node: &NodeName,
    settings: &mut NodeSettings,
    outcome: &mut ConfigOutcome,
) {
    let ConfigRequest { pack, cluster, from, to, .. } = *request;
    let Some(declared) = cluster.nodes.iter().find(|own| own.name == *node) else { return };
    let keys: BTreeSet<&str> = pack.config.iter().map(|rule| rule.key.as_str()).collect();
    for file in &mut settings.templated {
        let (template, path) = (file.template.clone(), file.path().to_owned());
        let text = |release: &Release| rendered(&template, pack, cluster, declared, release);
        let blocked = |because: String, way_out: String| Blocked::Condition {
            rule: "template".into(),
            text: format!(
                "{path} of {node} is to be made for {to} from {}",
                template.template.display()
            ),
            because,
            way_out: Some(way_out),
        };
        let texts = text(from).and_then(|before| Ok((before, text(to)?)));
        let (before, after) = match texts {
            Ok((before, after)) if before == after => continue,
            Ok(texts) => texts,
            Err(because) => {
                let way_out = "mend the template, and plan again".to_owned();
                outcome.blocked.push(blocked(because, way_out));
                continue;
            }
        };
        if let Some(because) = file.unread() {
            let because = format!("{path}: {because}");
            let way_out = "see that the file is there and readable".to_owned();
            outcome.blocked.push(blocked(because, way_out));
            continue;
        }
        match file.cross(&before, &after) {
            Ok(None) => {}
            Ok(Some(merged)) => {
                let removed = merged.removed.iter().map(|line| format!("- {}", line.trim_end()));
                let inserted = merged.inserted.iter().map(|line| format!("+ {}", line.trim_end()));
                let change = outcome.changes.entry(node.clone()).or_insert_with(no_change);
                change.diff.extend(removed.chain(inserted));
                change.files.push(merged.rewrite);
                if let Some(own) = settings.file.as_mut().filter(|own| own.path() == path) {
                    own.rendered(&merged.removed.concat(), &merged.inserted.concat(), &keys);
                }
            }
            Err(because) => {
                let way_out = format!(
                    "bring your lines into {}, or take them out of the file, and plan again",
                    template.template.display()
                );
                outcome.blocked.push(blocked(because, way_out));
            }
        }
    }
}

fn hits<'a>(
    request: &ConfigRequest<'_, '_>,
    rule: &'a ConfigRule,
    settings: &NodeSettings,
    scope: &Scope,
) -> Vec<Hit<'a>> {
    let applies =
        rule.applies_when.as_ref().map_or(Truth::True, |cel| request.pack.holds(cel, scope));
    if applies.is_false() {
        return Vec::new();
    }
    let proved = applies.is_true();
    let places = settings.places(&rule.key);
    if rule.change == ConfigChangeKind::DefaultChanged {
        let relies = settings.relies_on_default(&rule.key);
        return relies
            .then_some(Hit { rule, place: None, fatal: false, proved })
            .into_iter()
            .collect();
    }
    let concerns =
        |place: &Place| rule.only_in.is_empty() || rule.only_in.contains(&place.setting.source);
    let matching = places
        .into_iter()
        .filter(concerns)
        .filter(|place| value_matches(rule, &place.setting.value));
    let fatal = |place: &Place| place.stays && rule.fatal_in.contains(&place.setting.source);
    matching.map(|place| Hit { rule, fatal: fatal(&place), place: Some(place), proved }).collect()
}

/// Only members that carry the setting get here, so compiling the expression on the spot costs nothing that counts. One
/// that does not compile counts as a match: the linter has named it, and here it must not hide a setting.
fn value_matches(rule: &ConfigRule, value: &str) -> bool {
    let Some(pattern) = &rule.value else { return true };
    Regex::new(&format!("^(?:{pattern})$")).map_or(true, |regex| regex.is_match(value))
}

/// A default is pinned only for members that are proved to rely on it.
fn may_rewrite(hit: &&Hit<'_>) -> bool {
    hit.rule.rewrite.is_some() && (hit.proved || hit.place.is_some())
}

fn finding(hit: &Hit<'_>, node: &NodeName, release: &Release) -> ConfigFinding {
    let setting = match &hit.place {
        Some(place) => place.shown(),
        None => format!("{} (not set)", hit.rule.key),
    };
    ConfigFinding {
        node: node.clone(),
        release: release.clone(),
        setting,
        change: change_name(hit.rule.change).to_owned(),
        fatal: hit.fatal,
        text: hit.rule.text.clone(),
        rewrite: hit.rule.rewrite.as_ref().map(|_| rewrite::shown(hit)),
        source: hit.rule.sources.first().cloned().unwrap_or_default(),
    }
}

fn change_name(change: ConfigChangeKind) -> &'static str {
    match change {
        ConfigChangeKind::Added => "added",
        ConfigChangeKind::Renamed => "renamed",
        ConfigChangeKind::Removed => "removed",
        ConfigChangeKind::ValueRefused => "rejected",
        ConfigChangeKind::DefaultChanged => "default-changed",
        ConfigChangeKind::FormChanged => "form-changed",
    }
}

/// Names every fatal setting of a member at once, so that one visit mends them all.
fn refuse(
    fatal: &[&Hit<'_>],
    rewritten: &Rewritten,
    node: &NodeName,
    release: &Release,
) -> Blocked {
    let settings = fatal.iter().filter_map(|hit| {
        let place = hit.place.as_ref()?;
        Some(format!(
            "{} ({} since {})",
            place.shown(),
            change_name(hit.rule.change),
            hit.rule.since
        ))
    });
    let all_known = fatal.iter().all(|hit| hit.rule.rewrite.is_some());
    let rewrite = (all_known && !rewritten.is_empty()).then(|| rewritten.change.diff.join("; "));
    Blocked::Config {
        node: node.clone(),
        release: release.clone(),
        settings: settings.collect(),
        rewrite,
    }
}

/// A file that could not be read may hold whatever keeps the member from starting.
fn unread(
    crossed: &[&ConfigRule],
    settings: &NodeSettings,
    node: &NodeName,
    release: &Release,
) -> Option<Blocked> {
    let file = settings.file.as_ref()?;
    let because = file.unread()?;
    let in_files = crossed.iter().filter(|rule| rule.fatal_in.contains(&SettingSource::File));
    let keys: Vec<&str> = in_files.map(|rule| rule.key.as_str()).collect();
    (!keys.is_empty()).then(|| Blocked::ConditionUnseen {
        rule: "config-file".into(),
        text: format!(
            "{node} must start on {release} with what its file says of {}",
            keys.join(", ")
        ),
        what: format!("{}: {because}", file.path()),
    })
}

/// Fatal settings that stay although a rewrite is allowed: no rewrite is known, or the file that says them cannot be edited.
fn unwritable(
    fatal: &[&Hit<'_>],
    rewritten: &Rewritten,
    node: &NodeName,
    release: &Release,
) -> Option<Blocked> {
    let said = |hit: &Hit<'_>| {
        let source = hit.place.as_ref().map(|place| place.setting.source)?;
        rewritten.stays.iter().find(|stays| stays.source == source && stays.key == hit.rule.key)
    };
    let stays = |hit: &&&Hit<'_>| hit.rule.rewrite.is_none() || said(hit).is_some();
    let left: Vec<_> = fatal.iter().filter(stays).copied().collect();
    if left.is_empty() {
        return None;
    }
    let mut blocked = refuse(&left, &Rewritten::default(), node, release);
    if let Blocked::Config { settings, .. } = &mut blocked {
        for (shown, hit) in settings.iter_mut().zip(&left) {
            let because = said(hit).map(|stays| &stays.because);
            shown.extend(because.map(|because| format!(" (to be changed by hand, {because})")));
        }
    }
    Some(blocked)
}
