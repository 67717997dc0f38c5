//! Says one thing to the product: a request, a command on a host, or an action written in Rust.

use super::{
    live::{LiveHands, LiveParts},
    natives,
};
use quorate_hosts::swap::{
    self,
    paths::{NodePaths, artifact_dir},
};
use quorate_model::{ArtifactFile, Call, CallKind, NodeName, Outcome, Release, member_word};
use quorate_transport::{
    Answer, Command, LocalTransport, Output, Transport,
    http::{HttpRequest, authority},
};
use std::{path::PathBuf, time::Duration};

/// Time between two tries of what was refused and clears by itself: products look at their members every second or so.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Stands in a call for the folder where copies are, on the host that the call is for.
const STATE_WORD: &str = "{state}";

/// What a call gave.
pub(crate) type Said = Answer<String>;

impl LiveHands {
    /// Says it, and gives what came back as text. A refusal that clears by itself is answered by saying it again, until the limit.
    pub(crate) async fn say(&self, call: &Call, releases: &[&Release], limit: Duration) -> Said {
        let began = std::time::Instant::now();
        let named = match self.with_ids(call).await {
            Ok(named) => named,
            Err(because) => return Answer::Failed(because),
        };
        let call = named.as_ref().unwrap_or(call);
        loop {
            let said = self.say_once(call, releases, limit).await;
            let Answer::Failed(because) = &said else { return said };
            let clears = call.retry_on.iter().any(|text| because.contains(text.as_str()));
            if !clears || began.elapsed() + RETRY_EVERY >= limit {
                return said;
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// The request with the ids that members have now in the place of their words; none where it has none.
    async fn with_ids(&self, call: &Call) -> Result<Option<Call>, String> {
        let CallKind::Http { url, body, .. } = &call.call else { return Ok(None) };
        let speaks = |word: &str| {
            url.contains(word) || body.as_deref().is_some_and(|body| body.contains(word))
        };
        let mut named = None;
        for node in self.parts.cluster.nodes.iter().map(|node| &node.name) {
            let word = member_word(node);
            if !speaks(&word) {
                continue;
            }
            let now = jiff::Timestamp::now();
            let seen = self.parts.observer.look_node(node, quorate_observe::Depth::Gate, now).await;
            let id = seen.and_then(|seen| seen.member_id);
            let id = id.ok_or_else(|| format!("{node} does not say which id it has"))?;
            let call = named.get_or_insert_with(|| call.clone());
            if let CallKind::Http { url, body, .. } = &mut call.call {
                *url = url.replace(&word, &id);
                *body = body.as_deref().map(|body| body.replace(&word, &id));
            }
        }
        Ok(named)
    }

    async fn say_once(&self, call: &Call, releases: &[&Release], limit: Duration) -> Said {
        match &call.call {
            CallKind::Http { method, url, body, expect_status } => {
                let via = match self.tunnel(&call.node, url).await {
                    Ok(via) => via,
                    Err(because) => return Answer::Failed(because),
                };
                let mut request = HttpRequest::new(method.clone(), url.clone()).via(via);
                if let Some(body) = body {
                    request = request.json(body.clone());
                }
                self.http(self.running(&call.node).as_ref().or(releases.first().copied()))
                    .send(&request, limit)
                    .await
                    .and_then(|response| {
                        let expected = if expect_status.is_empty() {
                            response.ok()
                        } else {
                            expect_status.contains(&response.status)
                        };
                        if expected {
                            Answer::Done(response.text())
                        } else {
                            Answer::Failed(format!(
                                "{} answered {}: {}",
                                call.name,
                                response.status,
                                first_line(&response.text())
                            ))
                        }
                    })
            }
            CallKind::Command { argv, env } => {
                let folder = match self.tools(&call.node, releases).await {
                    Ok(folder) => folder,
                    Err(because) => return Answer::Failed(because),
                };
                let words = argv.iter().chain(env.values());
                let state = match words.into_iter().any(|word| word.contains(STATE_WORD)) {
                    true => self.room(&call.node).await,
                    false => Ok(None),
                };
                let state = match state {
                    Ok(room) => room.unwrap_or_else(|| self.parts.state_dir.clone()),
                    Err(because) => return Answer::Failed(because),
                };
                let state = state.display().to_string();
                let fill =
                    |word: &String| word.replace("{artifact}", &folder).replace(STATE_WORD, &state);
                let mut command = Command::new(argv.iter().map(fill));
                for (key, value) in env {
                    command = command.env(key.clone(), fill(value));
                }
                let command = match self.with_login(command) {
                    Ok(command) => command,
                    Err(because) => return Answer::Failed(because),
                };
                self.run(&call.node, &command, limit).await
            }
            CallKind::Native { action, args } => {
                natives::run(self, action, args, &call.node, releases, limit).await
            }
        }
    }

    /// The tunnel to an address of a node, where this machine does not reach it by itself.
    pub(crate) async fn tunnel(
        &self,
        node: &NodeName,
        url: &str,
    ) -> Result<Option<PathBuf>, String> {
        match (self.transport(node), authority(url)) {
            (Some(transport), Some(address)) => transport.tunnel(&address).await,
            _ => Ok(None),
        }
    }

    /// Runs a command on a node's host; a status other than zero is a failure with the command's own complaint.
    pub(crate) async fn run(&self, node: &NodeName, command: &Command, limit: Duration) -> Said {
        let Some(transport) = self.transport(node) else {
            return Answer::Failed(format!("there is no way to {node}"));
        };
        finished(transport.as_ref(), command, limit).await
    }

    /// The folder with the product's tools on a node's host, of the first of these releases that is staged there.
    pub(crate) async fn tools(
        &self,
        node: &NodeName,
        releases: &[&Release],
    ) -> Result<String, String> {
        let declared = self.node(node).ok_or_else(|| format!("there is no node {node}"))?;
        let transport = self.transport(node).ok_or_else(|| format!("there is no way to {node}"))?;
        let mut tried = Vec::new();
        for release in releases {
            let Some(folder) = artifact_dir(declared, &self.parts.cluster.pack, release) else {
                continue;
            };
            let command =
                Command::new(["test".to_owned(), "-d".to_owned(), folder.display().to_string()]);
            // Five seconds: `test -d` answers at once on any disk that answers at all.
            if let Answer::Done(output) = transport.run(&command, Duration::from_secs(5)).await
                && output.ok()
            {
                return Ok(folder.display().to_string());
            }
            tried.push(folder.display().to_string());
        }
        Err(format!(
            "no tools of {} are staged for {node}; looked for {}",
            self.parts.cluster.pack,
            tried.join(", ")
        ))
    }

    /// A folder with the product's tools on this machine, of the first of these releases that is at hand: for what is done
    /// with copies of the data, which are here.
    pub(crate) async fn own_tools(&self, releases: &[&Release]) -> Result<PathBuf, String> {
        let LiveParts { plan, pack, cache, cluster, state_dir, .. } = &self.parts;
        let mut tried = Vec::new();
        for release in releases {
            let planned = plan.hops.iter().map(|hop| &hop.artifact);
            let planned = planned.into_iter().find(|artifact| artifact.release == **release);
            let found = planned.cloned().or_else(|| cache.known(&cluster.pack, release));
            let Some(artifact) = found else {
                tried.push(release.to_string());
                continue;
            };
            let named = pack.detect.as_ref().map(|detect| detect.process.names.as_slice());
            let own = |file: &&ArtifactFile| named.is_none_or(|named| named.contains(&file.name));
            let Some(server) = artifact.files.iter().find(own) else {
                return Err(format!("{} {release} holds no server", cluster.pack));
            };
            let paths = NodePaths::new(state_dir.join("tools").join(&server.name));
            let staged =
                swap::stage(&LocalTransport, &paths, &artifact, cache, &swap::Prints::default())
                    .await;
            return staged.into_result().map(|staged| staged.artifact_dir);
        }
        Err(format!("no files of {} {} are at hand here", cluster.pack, tried.join(" or ")))
    }

    /// A file of the state folder, named with or without the word that stands for the folder.
    pub(crate) fn state_file(&self, name: &str) -> PathBuf {
        self.parts.state_dir.join(name.trim_start_matches("{state}/"))
    }
}

/// Runs a command to its end; a status other than zero is a failure with the command's own complaint.
pub(crate) async fn finished(
    transport: &dyn Transport,
    command: &Command,
    limit: Duration,
) -> Said {
    let program = command.argv.first().cloned().unwrap_or_default();
    transport.run(command, limit).await.and_then(|output: Output| {
        if output.ok() {
            Answer::Done(output.text())
        } else {
            let status =
                output.status.map_or("a signal".to_owned(), |status| format!("status {status}"));
            Answer::Failed(format!("{program} ended with {status}: {}", output.complaint()))
        }
    })
}

pub(crate) fn first_line(text: &str) -> String {
    // A few hundred characters: enough for any product's sentence, not enough to flood a report.
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// What became of an act, as the journal says it.
pub(crate) fn outcome<T>(answer: Answer<T>, note: impl FnOnce(T) -> Option<String>) -> Outcome {
    match answer {
        Answer::Done(value) => Outcome::Succeeded { note: note(value) },
        Answer::Failed(because) => Outcome::Failed { because },
        Answer::Unknown(because) => Outcome::Unknown { because },
    }
}
