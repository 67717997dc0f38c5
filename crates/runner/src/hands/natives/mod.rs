//! Actions that data cannot say, by name: proofs of backups, each by a restore into a scratch member and a comparison, and
//! restores that take more than one command.

mod etcd;
mod etcd_v2;
mod v2_keys;

use super::{call::Said, live::LiveHands};
use quorate_model::{Facts, NodeName, Release};
use quorate_transport::Answer;
use std::time::Duration;

/// Runs a named action.
pub(crate) async fn run(
    hands: &LiveHands,
    action: &str,
    args: &Facts,
    node: &NodeName,
    releases: &[&Release],
    limit: Duration,
) -> Said {
    match action {
        "etcd.verify-snapshot" => etcd::verify_snapshot(hands, args, node, releases, limit).await,
        "etcd.verify-v2-backup" => etcd::verify_v2_backup(hands, args, node, releases, limit).await,
        "etcd.verify-restored-v2" => {
            etcd::verify_restored_v2(hands, args, node, releases, limit).await
        }
        "etcd.restore-v2-backup" => etcd_v2::restore(hands, args, node, releases, limit).await,
        "etcd.join-restored" => etcd_v2::join(hands, args, node, releases, limit).await,
        other => Answer::Failed(format!("there is no action `{other}` in this program")),
    }
}

/// Stops what an earlier try of an action has left running in a member's place.
pub(crate) async fn end_earlier(hands: &LiveHands, node: &NodeName) -> Result<(), String> {
    etcd_v2::end_earlier(hands, node).await
}

/// An argument as text.
pub(crate) fn arg<'a>(args: &'a Facts, name: &str) -> Result<&'a str, String> {
    args.get(name)
        .and_then(|value| value.as_str())
        .ok_or_else(|| format!("the pack gives no `{name}` to its action"))
}

#[cfg(test)]
mod tests {
    use quorate_packs::NATIVES;

    /// The list that packs are checked against is the list of what `run` does.
    #[test]
    fn every_action_that_packs_may_name_is_there() {
        let source = include_str!("mod.rs");
        let body =
            source.split("match action {").nth(1).and_then(|rest| rest.split("other =>").next());
        let arms = body.unwrap().lines().filter_map(|line| line.trim().strip_prefix('"'));
        let mut done: Vec<&str> = arms.filter_map(|arm| arm.split('"').next()).collect();
        let mut named = NATIVES.to_vec();
        done.sort_unstable();
        named.sort_unstable();
        assert_eq!(done, named);
    }
}
