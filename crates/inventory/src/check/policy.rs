//! Limits that would not limit: zeros, windows that nobody can read, overrides without a reason.

use super::Check;
use crate::{file::ClusterFile, freeze::Window};
use quorate_model::Share;
use quorate_syntax::{Step, nearest};
use std::time::Duration;

/// Longest time of any limit: a week. Past it a run would outlive the people who watch it.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most looks at one gate: at the default pace an hour's worth.
const LOOKS_MAX: u32 = 7200;

pub(super) fn check(check: &mut Check<'_>, c: usize, cluster: &ClusterFile) {
    let policy = &cluster.policy;
    let at = |key| ["clusters".into(), c.into(), "policy".into(), Step::Key(key)];
    if policy.max_unavailable == 0 {
        let hint = "1 is the least: voters are one at a time whatever it says";
        check.error(
            &at("max_unavailable"),
            "policy",
            "with 0 unavailable nothing can be upgraded",
            Some(hint.into()),
        );
    }
    if matches!(policy.client_wave, Share::Count(0) | Share::Percent(0)) {
        check.error(
            &at("client_wave"),
            "policy",
            "with 0 nodes at a time no client can be upgraded",
            Some("give a number of nodes, or a part of the group: `10%`".into()),
        );
    }
    if !(1..=LOOKS_MAX).contains(&policy.good_looks) {
        let message =
            format!("{} looks at a gate prove nothing: give 1 to {LOOKS_MAX}", policy.good_looks);
        check.error(&at("good_looks"), "policy", message, None);
    }
    for (key, time, least) in [
        ("look_every_secs", policy.look_every, Duration::from_millis(1)),
        ("rejoin_limit_secs", policy.rejoin_limit, Duration::from_millis(1)),
        ("soak_secs", policy.soak, Duration::ZERO),
        ("baseline_secs", policy.baseline, Duration::ZERO),
    ] {
        if time < least || time > WAIT_MAX {
            let least = if least.is_zero() { "0" } else { "more than 0" };
            let message = format!(
                "{} seconds are no `{key}`: give {least} to {}",
                time.as_secs_f64(),
                WAIT_MAX.as_secs()
            );
            check.error(&at(key), "policy", message, None);
        }
    }
    if policy.look_every > policy.rejoin_limit {
        let message = "a member would have to be back before it is looked at once";
        check.error(
            &at("look_every_secs"),
            "policy",
            message,
            Some("look more often than `rejoin_limit_secs`".into()),
        );
    }
    for (key, code, example, texts) in [
        ("freeze", "freeze-window", "Fri 12:00 - Mon 06:00", &policy.freeze),
        ("windows", "maintenance-window", "Sun 02:00 - Sun 04:00", &policy.windows),
    ] {
        for (w, text) in texts.iter().enumerate() {
            if let Err(wrong) = Window::parse(text) {
                let path = ["clusters".into(), c.into(), "policy".into(), Step::Key(key), w.into()];
                let hint = format!("for example `{example}`");
                check.error(&path, code, wrong.to_string(), Some(hint));
            }
        }
    }
    overrides(check, c, cluster);
}

fn overrides(check: &mut Check<'_>, c: usize, cluster: &ClusterFile) {
    for (o, one) in cluster.policy.overrides.iter().enumerate() {
        let at = |key| {
            [
                "clusters".into(),
                c.into(),
                "policy".into(),
                "overrides".into(),
                o.into(),
                Step::Key(key),
            ]
        };
        if one.gate.trim().is_empty() {
            let hint = "name it as the plan prints it";
            check.error(&at("gate"), "override", "the override names no gate", Some(hint.into()));
        }
        if one.reason.trim().is_empty() {
            let message =
                format!("the override of `{}` on `{}` gives no reason", one.gate, one.node);
            let hint = "the reason lands in the journal and in the report";
            check.error(&at("reason"), "override", message, Some(hint.into()));
        }
        if !cluster.nodes.iter().any(|node| node.name == one.node) {
            let message = format!("the cluster `{}` has no node `{}`", cluster.name, one.node);
            let near =
                nearest(one.node.as_str(), cluster.nodes.iter().map(|node| node.name.as_str()));
            check.error(
                &at("node"),
                "override",
                message,
                near.map(|near| format!("did you mean `{near}`?")),
            );
        }
    }
}
