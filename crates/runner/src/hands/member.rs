//! What is done when a member leaves its cluster or comes back: the cluster is told, data go aside, the list of clients changes.

use super::{call::outcome, live::LiveHands};
use jiff::Timestamp;
use quorate_model::{Call, CallKind, Ejected, Ejection, Hop, NodeName, Outcome};
use quorate_observe::Depth;
use quorate_transport::{Answer, Command, beside};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Stands in a call for the id under which the cluster knows the member now: it gets one only when it is added.
const MEMBER_WORD: &str = "{member}";
/// `test` answers at once on any disk that answers at all.
const TEST_LIMIT: Duration = Duration::from_secs(5);

/// Moves one folder.
const SET_ASIDE: &str = include_str!("set_aside.sh");
/// Asks it of pairs of a folder and its name aside.
const IS_ASIDE: &str = r#"while [ $# -gt 1 ]; do
  if [ -e "$1" ]; then [ -d "$1" ] && [ -z "$(ls -A -- "$1")" ] || exit 1
  elif [ -d "$2" ]; then exit 1; fi
  shift 2
done"#;

impl LiveHands {
    /// Tells the cluster of a change of one member.
    pub(crate) async fn tell(
        &self,
        node: &NodeName,
        call: &Call,
        hop: &Hop,
        limit: Duration,
    ) -> Outcome {
        let call = match self.with_member(node, call).await {
            Ok(call) => call,
            Err(because) => return Outcome::Failed { because },
        };
        outcome(self.say(&call, &[&hop.to, &hop.from], limit).await, |_| None)
    }

    async fn with_member(&self, node: &NodeName, call: &Call) -> Result<Call, String> {
        let mut call = call.clone();
        let CallKind::Http { url, body, .. } = &mut call.call else { return Ok(call) };
        let speaks = |text: &str| text.contains(MEMBER_WORD);
        if !speaks(url) && !body.as_deref().is_some_and(speaks) {
            return Ok(call);
        }
        let seen = self.parts.observer.look_node(node, Depth::Gate, Timestamp::now()).await;
        let id = seen.and_then(|seen| seen.member_id);
        let id = id.ok_or_else(|| format!("{node} does not say which id it was given"))?;
        *url = url.replace(MEMBER_WORD, &id);
        *body = body.as_deref().map(|body| body.replace(MEMBER_WORD, &id));
        Ok(call)
    }

    /// Moves every folder that holds its data aside; an empty one stays in its place. The name says which plan did it; an older one is never written over.
    pub(crate) async fn set_aside(&self, node: &NodeName, limit: Duration) -> Outcome {
        let folders = match self.data_folders(node) {
            Ok(folders) => folders,
            Err(because) => return Outcome::Failed { because },
        };
        let mut kept = Vec::new();
        for folder in &folders {
            let aside = self.put_aside(folder);
            match self.move_to(node, folder, &aside, limit).await {
                Answer::Done(_) => kept.push(aside.display().to_string()),
                Answer::Failed(because) => return Outcome::Failed { because },
                Answer::Unknown(because) => return Outcome::Unknown { because },
            }
        }
        let note = Some(format!("what it held is kept in {}", kept.join(" and ")));
        Outcome::Succeeded { note }
    }

    async fn move_to(
        &self,
        node: &NodeName,
        from: &Path,
        to: &Path,
        limit: Duration,
    ) -> Answer<String> {
        let words = ["sh", "-c", SET_ASIDE, "set-aside"].map(str::to_owned);
        let paths = [from.display().to_string(), to.display().to_string()];
        self.run(node, &Command::new(words.into_iter().chain(paths)), limit).await
    }

    fn put_aside(&self, folder: &Path) -> PathBuf {
        beside(folder, &format!(".before-rejoin-{}", self.plan().digest.short()))
    }

    /// Whether no folder holds its data any more. One that is gone without its empty successor is not done with.
    pub(crate) async fn is_aside(&self, node: &NodeName) -> Answer<bool> {
        let (folders, transport) = match (self.data_folders(node), self.transport(node)) {
            (Ok(folders), Some(transport)) => (folders, transport),
            (Err(because), _) => return Answer::Failed(because),
            (Ok(_), None) => return Answer::Failed(format!("there is no way to {node}")),
        };
        let words = ["sh", "-c", IS_ASIDE, "is-aside"].map(str::to_owned);
        let paths = folders.iter().flat_map(|folder| [folder.clone(), self.put_aside(folder)]);
        let paths = paths.map(|path| path.display().to_string());
        let command = Command::new(words.into_iter().chain(paths));
        transport.run(&command, TEST_LIMIT).await.map(|output| output.ok())
    }

    /// Writes down that a node is out, or forgets it.
    pub(crate) fn list(&self, node: &NodeName, out: Option<&Ejection>) -> Outcome {
        let (store, cluster) = (&self.parts.store, &self.parts.cluster.name);
        let done = match out {
            None => store.forget_ejected(cluster, node),
            Some(ejection) => store.save_ejected(&Ejected {
                cluster: cluster.clone(),
                node: node.clone(),
                at: Timestamp::now(),
                plan: self.plan().digest.clone(),
                ejection: ejection.clone(),
            }),
        };
        match done {
            Ok(()) => Outcome::Succeeded { note: None },
            Err(error) => Outcome::Failed { because: error.to_string() },
        }
    }

    /// Whether the list is as the step wants it.
    pub(crate) fn is_listed(&self, node: &NodeName, out: Option<&Ejection>) -> Answer<bool> {
        match self.parts.store.ejected(&self.parts.cluster.name) {
            Ok(kept) => {
                let own = kept.iter().find(|kept| kept.node == *node);
                Answer::Done(own.map(|kept| &kept.ejection) == out)
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, process};

    fn done(script: &str, folder: &Path, aside: &Path) -> bool {
        let mut command = process::Command::new("sh");
        command.args(["-c", script, "test"]).arg(folder).arg(aside);
        command.stderr(process::Stdio::null()).status().unwrap().success()
    }

    #[test]
    fn a_folder_goes_aside_once_and_an_empty_one_of_the_same_mode_stays() {
        let room = tempfile::tempdir().unwrap();
        let (folder, aside) = (room.path().join("data"), room.path().join("data.aside"));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(folder.join("log"), "own").unwrap();
        assert!(!done(IS_ASIDE, &folder, &aside));
        // Cut off in the middle: it is gone, nothing is in its place.
        fs::rename(&folder, &aside).unwrap();
        assert!(!done(IS_ASIDE, &folder, &aside));
        for _ in 0..2 {
            assert!(done(SET_ASIDE, &folder, &aside));
            assert!(done(IS_ASIDE, &folder, &aside));
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o750);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
            assert_eq!(fs::read_to_string(aside.join("log")).unwrap(), "own");
        }
        // What has come since is not written over what is aside.
        fs::write(folder.join("log"), "new").unwrap();
        assert!(!done(SET_ASIDE, &folder, &aside) && !done(IS_ASIDE, &folder, &aside));
        assert_eq!(fs::read_to_string(folder.join("log")).unwrap(), "new");
        // The empty folder would be where the link is, not where it leads.
        let link = room.path().join("link");
        std::os::unix::fs::symlink(&aside, &link).unwrap();
        assert!(!done(SET_ASIDE, &link, &room.path().join("link.aside")) && link.is_symlink());
        // A member that never held anything has nothing to put aside.
        let none = room.path().join("none");
        assert!(done(SET_ASIDE, &none, &room.path().join("none.aside")) && !none.exists());
        assert!(done(IS_ASIDE, &none, &room.path().join("none.aside")));
    }
}
