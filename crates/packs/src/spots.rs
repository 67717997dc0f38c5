//! Every place of a pack that holds an expression, a template or a regular expression.
//!
//! The loader parses what this lists and the linter checks it, so that nothing is parsed for the first time during a run.

use crate::{
    BackupRecipe, CallTemplate, Conversion, Detect, LockWay, LookupWay, NamedCondition, PackFile,
    Recipe,
};
use quorate_syntax::Step;

/// What a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A CEL expression that may use these variables.
    Cel(&'static [&'static str]),
    /// A template.
    Template,
    /// A regular expression.
    Regex,
}

/// One place.
#[derive(Debug, Clone)]
pub(crate) struct Spot<'a> {
    pub(crate) path: Vec<Step<'a>>,
    pub(crate) text: &'a str,
    pub(crate) kind: Kind,
}

const CONDITION: Kind = Kind::Cel(&["node", "nodes", "cluster", "from", "to"]);
const PROBE: Kind = Kind::Cel(&["facts", "cluster"]);
const ANSWER: Kind = Kind::Cel(&["status", "body", "text", "facts", "cluster"]);
const CLIENT: Kind = Kind::Cel(&["status", "body", "text", "key", "prefix", "revision", "vars"]);

/// Lists every place of a pack.
pub(crate) fn spots(pack: &PackFile) -> Vec<Spot<'_>> {
    list(pack).spots
}

fn list(pack: &PackFile) -> List<'_> {
    let mut list = List { spots: Vec::new(), actions: Vec::new(), path: Vec::new() };
    list.option(
        &["scheme".into(), "upstream".into()],
        pack.scheme.upstream.as_deref(),
        Kind::Regex,
    );
    for (i, rule) in pack.rules.iter().enumerate() {
        let at = ["rules".into(), i.into()];
        list.option(
            &[at[0], at[1], "applies_when".into()],
            rule.applies_when.as_deref(),
            CONDITION,
        );
        list.option(&[at[0], at[1], "condition".into()], rule.condition.as_deref(), CONDITION);
    }
    for (i, issue) in pack.known_issues.iter().enumerate() {
        list.option(
            &["known_issues".into(), i.into(), "detect".into()],
            issue.detect.as_deref(),
            CONDITION,
        );
    }
    for (i, rule) in pack.config.iter().enumerate() {
        list.option(
            &["config".into(), i.into(), "applies_when".into()],
            rule.applies_when.as_deref(),
            CONDITION,
        );
        list.option(
            &["config".into(), i.into(), "value".into()],
            rule.value.as_deref(),
            Kind::Regex,
        );
    }
    for (i, change) in pack.setting_changes.iter().enumerate() {
        let at = ["setting_changes".into(), i.into()];
        list.option(&[at[0], at[1], "condition".into()], change.condition.as_deref(), CONDITION);
        list.add(&[at[0], at[1], "seen".into()], &change.seen, CONDITION);
        list.add(&[at[0], at[1], "value".into()], &change.value, Kind::Regex);
    }
    if let Some(detect) = &pack.detect {
        list.within("detect", |list| list.detect(detect));
    }
    if let Some(safety) = &pack.safety {
        list.within("safety", |list| {
            list.option(&["soak".into()], safety.soak.as_deref(), CONDITION);
            list.conditions("may_stop", &safety.may_stop);
            list.conditions("rejoined", &safety.rejoined);
            list.conditions("hop_complete", &safety.hop_complete);
        });
    }
    list.within("recipes", |list| list.recipes(pack));
    list.within("by_hand", |list| list.by_hand(pack));
    list.within("client", |list| list.client(pack));
    list
}

/// Every place that names an action written in Rust, and the name.
pub(crate) fn actions(pack: &PackFile) -> Vec<(Vec<Step<'_>>, &str)> {
    list(pack).actions
}

struct List<'a> {
    spots: Vec<Spot<'a>>,
    actions: Vec<(Vec<Step<'a>>, &'a str)>,
    path: Vec<Step<'a>>,
}

impl<'a> List<'a> {
    fn within(&mut self, step: impl Into<Step<'a>>, body: impl FnOnce(&mut Self)) {
        self.path.push(step.into());
        body(self);
        self.path.pop();
    }
    fn add(&mut self, rest: &[Step<'a>], text: &'a str, kind: Kind) {
        let path = self.path.iter().chain(rest).copied().collect();
        self.spots.push(Spot { path, text, kind });
    }
    fn option(&mut self, rest: &[Step<'a>], text: Option<&'a str>, kind: Kind) {
        if let Some(text) = text {
            self.add(rest, text, kind);
        }
    }
    fn conditions(&mut self, name: &'static str, conditions: &'a [NamedCondition]) {
        for (i, condition) in conditions.iter().enumerate() {
            self.add(&[name.into(), i.into(), "cel".into()], &condition.cel, CONDITION);
        }
    }
    fn call(&mut self, name: &'static str, call: &'a CallTemplate) {
        self.path.push(name.into());
        match call {
            CallTemplate::Http { method: _, url, body, form: _, expect_status: _ } => {
                self.add(&["http".into(), "url".into()], url, Kind::Template);
                self.option(&["http".into(), "body".into()], body.as_deref(), Kind::Template);
            }
            CallTemplate::Grpc { url, method: _, request, answer: _ } => {
                self.add(&["grpc".into(), "url".into()], url, Kind::Template);
                for (i, value) in request.iter().enumerate() {
                    self.add(&["grpc".into(), "request".into(), i.into()], value, Kind::Template);
                }
            }
            CallTemplate::Command { argv, env } => {
                for (i, word) in argv.iter().enumerate() {
                    self.add(&["command".into(), "argv".into(), i.into()], word, Kind::Template);
                }
                for (key, value) in env {
                    self.add(
                        &["command".into(), "env".into(), key.as_str().into()],
                        value,
                        Kind::Template,
                    );
                }
            }
            CallTemplate::File { path } => {
                self.add(&["file".into(), "path".into()], path, Kind::Template)
            }
            CallTemplate::Native { action, args } => {
                let at = [Step::Key("native"), Step::Key("action")];
                let path = self.path.iter().chain(&at).copied().collect();
                self.actions.push((path, action.as_str()));
                for (key, value) in args {
                    self.add(
                        &["native".into(), "args".into(), key.as_str().into()],
                        value,
                        Kind::Template,
                    );
                }
            }
        }
        self.path.pop();
    }

    fn detect(&mut self, detect: &'a Detect) {
        for (name, probes) in [("node", &detect.node), ("cluster", &detect.cluster)] {
            for (i, probe) in probes.iter().enumerate() {
                self.within(name, |list| {
                    list.within(i, |list| {
                        list.option(&["when".into()], probe.when.as_deref(), PROBE);
                        list.call("ask", &probe.ask);
                        for (fact, cel) in &probe.facts {
                            list.add(&["facts".into(), fact.as_str().into()], cel, ANSWER);
                        }
                    });
                });
            }
        }
        for (field, cel) in &detect.fields {
            self.add(&["fields".into(), field.as_str().into()], cel, PROBE);
        }
        self.option(&["members".into()], detect.members.as_deref(), PROBE);
        let data_dir = detect.declared.data_dir.as_deref();
        self.option(&["declared".into(), "data_dir".into()], data_dir, PROBE);
        for (name, cel) in &detect.declared.endpoints {
            self.add(&["declared".into(), "endpoints".into(), name.as_str().into()], cel, PROBE);
        }
        for (i, login) in detect.auth.iter().enumerate() {
            if let Some(ask) = &login.ask {
                self.within("auth", |list| list.within(i, |list| list.call("ask", ask)));
            }
        }
        for (i, finding) in detect.findings.iter().enumerate() {
            let at = ["findings".into(), i.into()];
            self.add(&[at[0], at[1], "when".into()], &finding.when, CONDITION);
            self.add(&[at[0], at[1], "text".into()], &finding.text, Kind::Template);
            self.option(&[at[0], at[1], "hint".into()], finding.hint.as_deref(), Kind::Template);
        }
    }

    fn recipe(&mut self, recipe: &'a Recipe) {
        self.add(&["title".into()], &recipe.title, Kind::Template);
        self.add(&["by_hand".into()], &recipe.by_hand, Kind::Template);
        self.call("call", &recipe.call);
        self.option(&["done".into()], recipe.done.as_deref(), CONDITION);
        self.conditions("gate", &recipe.gate);
    }

    fn backup(&mut self, backup: &'a BackupRecipe) {
        self.option(&["when".into()], backup.when.as_deref(), CONDITION);
        self.call("save", &backup.save);
        self.call("verify", &backup.verify);
        if let Some(restore) = &backup.restore {
            self.call("restore", restore);
        }
        if let Some(join) = &backup.join {
            self.call("join", join);
        }
        if let Some(verify) = &backup.verify_restored {
            self.call("verify_restored", verify);
        }
        for (nth, condition) in backup.restored.iter().enumerate() {
            let at = ["restored".into(), nth.into(), "cel".into()];
            self.add(&at, &condition.cel, Kind::Template);
        }
        let by_hand = [
            ("by_hand", Some(&backup.by_hand)),
            ("verify_by_hand", backup.verify_by_hand.as_ref()),
            ("restore_by_hand", Some(&backup.restore_by_hand)),
            ("join_by_hand", backup.join_by_hand.as_ref()),
        ];
        for (name, text) in by_hand {
            self.option(&[name.into()], text.map(String::as_str), Kind::Template);
        }
    }

    fn conversion(&mut self, conversion: &'a Conversion) {
        self.add(&["when".into()], &conversion.when, CONDITION);
        for (i, check) in conversion.checks.iter().enumerate() {
            self.within("checks", |list| list.within(i, |list| list.recipe(check)));
        }
        self.within("settled", |list| list.recipe(&conversion.settled));
        self.within("copy", |list| {
            list.call("save", &conversion.copy.save);
            list.add(&["by_hand".into()], &conversion.copy.by_hand, Kind::Template);
        });
        self.within("converted", |list| list.backup(&conversion.converted));
        let Some(back) = &conversion.back else { return };
        self.within("back", |list| {
            list.call("save", &back.save);
            list.call("put", &back.put);
            list.add(&["by_hand".into()], &back.by_hand, Kind::Template);
            list.add(&["put_by_hand".into()], &back.put_by_hand, Kind::Template);
        });
    }

    fn recipes(&mut self, pack: &'a PackFile) {
        let recipes = &pack.recipes;
        for (name, some) in [
            ("handover", &recipes.handover),
            ("finalize", &recipes.finalize),
            ("eject", &recipes.eject),
        ] {
            for (i, recipe) in some.iter().enumerate() {
                self.within(name, |list| list.within(i, |list| list.recipe(recipe)));
            }
        }
        for (i, rejoin) in recipes.rejoin.iter().enumerate() {
            self.within("rejoin", |list| {
                list.within(i, |list| {
                    list.within("add", |list| list.recipe(&rejoin.add));
                    if let Some(promote) = &rejoin.promote {
                        list.within("promote", |list| list.recipe(promote));
                    }
                    for (key, value) in &rejoin.settings {
                        list.add(&["settings".into(), key.as_str().into()], value, Kind::Template);
                    }
                });
            });
        }
        for (name, cure) in &recipes.cures {
            self.within("cures", |list| list.within(name.as_str(), |list| list.recipe(cure)));
        }
        for (i, backup) in recipes.backups.iter().enumerate() {
            self.within("backups", |list| list.within(i, |list| list.backup(backup)));
        }
        for (name, conversion) in &recipes.conversions {
            self.within("conversions", |list| {
                list.within(name.as_str(), |list| list.conversion(conversion));
            });
        }
        for (i, contents) in recipes.contents.iter().enumerate() {
            self.within("contents", |list| {
                list.within(i, |list| {
                    list.option(&["when".into()], contents.when.as_deref(), CONDITION);
                    list.call("list", &contents.list);
                });
            });
        }
        if let Some(call) = &recipes.accepts_config {
            self.call("accepts_config", call);
        }
    }

    fn by_hand(&mut self, pack: &'a PackFile) {
        let by_hand = &pack.by_hand;
        self.add(&["shell".into()], &by_hand.shell, Kind::Template);
        for (scope, all) in [("of_member", &by_hand.of_member), ("of_cluster", &by_hand.of_cluster)]
        {
            for (name, command) in all {
                self.add(&[scope.into(), name.as_str().into()], command, Kind::Template);
            }
        }
    }

    fn lock(&mut self, lock: &'a LockWay) {
        let LockWay { open, session, ttl_secs: _, renew, take, taken, look, holder, .. } = lock;
        let calls = [("open", open), ("renew", renew), ("take", take), ("look", look)];
        let ends = [("give_back", &lock.give_back), ("close", &lock.close)];
        calls.into_iter().chain(ends).for_each(|(name, call)| self.call(name, call));
        for (name, cel) in [("session", session), ("taken", taken), ("holder", holder)] {
            self.add(&[name.into()], cel, CLIENT);
        }
    }

    fn lookup(&mut self, index: usize, way: &'a LookupWay) {
        self.within(index, |list| {
            way.ask.iter().for_each(|ask| list.call("ask", ask));
            list.option(&["addresses".into()], way.addresses.as_deref(), CLIENT);
        });
    }

    fn client(&mut self, pack: &'a PackFile) {
        for (i, way) in pack.client.iter().flat_map(|client| &client.ways).enumerate() {
            self.within("ways", |list| {
                list.within(i, |list| {
                    for (name, call) in [
                        ("write", &way.write),
                        ("read", &way.read),
                        ("list", &way.list),
                        ("clean", &way.clean),
                    ] {
                        list.call(name, call);
                    }
                    if let Some(watch) = &way.watch {
                        list.call("watch", watch);
                    }
                    for (name, cel) in [
                        ("write_ok", &way.write_ok),
                        ("read_value", &way.read_value),
                        ("list_pairs", &way.list_pairs),
                    ] {
                        list.add(&[name.into()], cel, CLIENT);
                    }
                    list.option(&["watch_events".into()], way.watch_events.as_deref(), CLIENT);
                    list.within("lock", |list| way.lock.iter().for_each(|lock| list.lock(lock)));
                    list.within("lookups", |list| {
                        way.lookups.iter().enumerate().for_each(|(i, way)| list.lookup(i, way));
                    });
                });
            });
        }
    }
}
