//! Actions that data cannot say, by name: proofs of backups, each by a restore into a scratch member and a comparison, and
//! restores that take more than one command.

mod consul;
mod conversion;
mod debian;
mod etcd;
mod etcd_contents;
mod etcd_v2;
mod scratch;
mod side;
mod v2_keys;

use super::{call::Said, live::LiveHands};
use futures::StreamExt;
use quorate_model::{Facts, NodeName, Release};
use quorate_transport::{Answer, beside, http::Pieces};
use std::{path::Path, time::Duration};
use tokio::io::AsyncWriteExt;
use v2_keys::compare_restored;

/// What an action is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    hands: &'a LiveHands,
    args: &'a Facts,
    node: &'a NodeName,
    /// Releases whose tools may do it, the best first.
    releases: &'a [&'a Release],
}

impl<'a> Asked<'a> {
    /// An argument as text.
    fn arg(&self, name: &str) -> Result<&'a str, String> {
        self.args
            .get(name)
            .and_then(|value| value.as_str())
            .ok_or_else(|| format!("the pack gives no `{name}` to its action"))
    }
}

/// Runs a named action.
pub(crate) async fn run(
    hands: &LiveHands,
    action: &str,
    args: &Facts,
    node: &NodeName,
    releases: &[&Release],
    limit: Duration,
) -> Said {
    let asked = Asked { hands, args, node, releases };
    match action {
        "etcd.save-snapshot" => act(limit, etcd::save(asked, limit)).await,
        "etcd.verify-snapshot" => proof(limit, etcd::snapshot(asked)).await,
        "etcd.verify-v2-backup" => proof(limit, conversion::v2_backup(asked)).await,
        "etcd.verify-restored-v2" => proof(limit, etcd::v2_backup(asked, compare_restored)).await,
        "etcd.restore-v2-backup" => act(limit, etcd_v2::restore(asked)).await,
        "etcd.list-contents" => proof(limit, etcd_contents::list(asked)).await,
        "etcd.no-v3-key" => proof(limit, conversion::no_v3_key(asked)).await,
        "etcd.v2-settled" => proof(limit, conversion::settled(asked, limit)).await,
        "etcd.convert-v2" => act(limit, conversion::convert(asked)).await,
        "etcd.verify-converted" => proof(limit, conversion::verify(asked)).await,
        "etcd.compare-converted" => proof(limit, conversion::compare(asked)).await,
        "etcd.save-since" => act(limit, conversion::save_since(asked)).await,
        "etcd.write-back" => act(limit, conversion::write_back(asked)).await,
        "consul.save-snapshot" => act(limit, consul::save(asked, limit)).await,
        "consul.verify-snapshot" => proof(limit, consul::verify(asked)).await,
        "debian.hold-back" => debian::hold_back(asked).await,
        "debian.let-go" => debian::let_go(asked).await,
        "etcd.join-restored" => act(limit, etcd_v2::join(asked)).await,
        other => Answer::Failed(format!("there is no action `{other}` in this program")),
    }
}

/// Writes what comes to a file of its own, and gives it the copy's name once all has come. Says how many bytes that is.
async fn keep(file: &Path, mut pieces: Pieces) -> Result<u64, String> {
    let part = beside(file, ".part");
    let fault = |error: std::io::Error| format!("cannot write {}: {error}", part.display());
    if let Some(folder) = file.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(fault)?;
    }
    let mut out = tokio::fs::File::create(&part).await.map_err(fault)?;
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        out.write_all(&piece).await.map_err(fault)?;
    }
    out.sync_all().await.map_err(fault)?;
    tokio::fs::rename(&part, file).await.map_err(fault)?;
    Ok(bytes)
}

/// A proof changes nothing: one that did not end has proved nothing.
async fn proof(limit: Duration, work: impl Future<Output = Result<String, String>>) -> Said {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(proof)) => Answer::Done(proof),
        Ok(Err(because)) => Answer::Failed(because),
        Err(_) => Answer::Failed(format!("the proof did not end within {} s", limit.as_secs())),
    }
}

/// Nobody knows how far an act came that did not end.
async fn act(limit: Duration, work: impl Future<Output = Result<String, String>>) -> Said {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(said)) => Answer::Done(said),
        Ok(Err(because)) => Answer::Failed(because),
        Err(_) => Answer::Unknown(format!("it did not end within {} s", limit.as_secs())),
    }
}

/// Stops what an earlier try of an action has left running in a member's place.
pub(crate) async fn end_earlier(hands: &LiveHands, node: &NodeName) -> Result<(), String> {
    etcd_v2::end_earlier(hands, node).await
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
