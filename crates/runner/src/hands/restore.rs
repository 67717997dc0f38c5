//! Puts a member's data back from a copy: what is there is moved aside, then the product's own tool restores.
//!
//! Invariant (S10): nothing that may hold data is deleted, and nothing is moved onto something else. Whatever is in the way
//! gets a name of its own, made of the folder's whole name.

use super::{call::outcome, kept, live::LiveHands, natives};
use quorate_hosts::carry;
use quorate_model::{Backup, Call, CallKind, Hop, NodeName, Outcome};
use quorate_transport::{Answer, Command};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Moves a folder to a name that nothing has yet. A folder that is not there needs no move. Whoever joins another member
/// is moved once: what a repeated try finds in its place may have joined, and others count on it. Where nothing was, an
/// empty folder says so.
const SET_ASIDE: &str = r#"aside=$2; n=1
if [ "$3" = once ] && { [ -e "$aside" ] || [ -L "$aside" ]; }; then exit 0; fi
if [ ! -e "$1" ] && [ ! -L "$1" ]; then
  if [ "$3" = once ]; then exec mkdir -p -- "$aside"; fi
  exit 0
fi
while [ -e "$aside" ] || [ -L "$aside" ]; do n=$((n + 1)); aside=$2-$n; done
exec mv -- "$1" "$aside""#;

/// Gives a folder to the owner of what was in its place before. Only root can, and only where root restores is it needed.
const SAME_OWNER: &str = r#"[ "$(id -u)" = 0 ] && [ -e "$1" ] && [ -e "$2" ] || exit 0
exec chown -R --reference="$2" -- "$1""#;

/// A store has few files, a log some hundreds.
const OWNER_LIMIT: Duration = Duration::from_secs(30);

/// `test` answers at once on any disk that answers at all.
const TEST_LIMIT: Duration = Duration::from_secs(5);

/// What is put back on a member.
pub(super) struct PutBack<'a> {
    pub(super) backup: &'a Backup,
    pub(super) call: &'a Call,
    /// The copy is on another member, which this one joins, empty.
    pub(super) joins: bool,
    pub(super) limit: Duration,
}

impl LiveHands {
    pub(super) async fn restore(&self, node: &NodeName, put: &PutBack<'_>, hop: &Hop) -> Outcome {
        match self.ran_since_copy(hop).await {
            Ok(None) => {}
            Ok(Some(because)) | Err(because) => return Outcome::Failed { because },
        }
        let kept = match self.make_room(node, put).await {
            Ok(kept) => kept,
            Err(because) => return Outcome::Failed { because },
        };
        let there = match put.joins {
            // Who joins another member gets the data from there.
            true => Ok(None),
            false => self.send_copy(node, put.backup).await,
        };
        let there = match there {
            Ok(there) => there,
            Err(because) => return Outcome::Failed { because },
        };
        // The older tool restores: the newer one writes what the older server cannot read.
        let said = self.say(put.call, &[&hop.to], put.limit).await;
        if let Err(because) = self.tidy_after(node, there.as_deref(), &said).await {
            return Outcome::Failed { because };
        }
        if let (Answer::Done(_), Some(mark)) = (&said, self.restore_mark(node)) {
            let mark =
                Command::new(["touch".to_owned(), "--".to_owned(), mark.display().to_string()]);
            if let Answer::Failed(because) | Answer::Unknown(because) =
                self.run(node, &mark, put.limit).await
            {
                return Outcome::Failed { because };
            }
        }
        outcome(said, |_| Some(format!("the data before it are kept in {kept}")))
    }

    /// The data belong to whom they belonged before, and no second copy stays on the host.
    async fn tidy_after(
        &self,
        node: &NodeName,
        copy: Option<&Path>,
        said: &Answer<String>,
    ) -> Result<(), String> {
        if let Answer::Done(_) = said {
            for folder in self.data_folders(node)? {
                let aside = self.aside(&folder);
                let words = ["sh", "-c", SAME_OWNER, "restore"].map(str::to_owned);
                let paths = [folder.display().to_string(), aside.display().to_string()];
                let command = Command::new(words.into_iter().chain(paths));
                self.run(node, &command, OWNER_LIMIT).await.into_result()?;
            }
        }
        match (copy, self.transport(node)) {
            (Some(copy), Some(way)) => carry::clear(way.as_ref(), copy).await.into_result(),
            _ => Ok(()),
        }
    }

    /// Moves everything aside that holds data of a member that is down; says where to.
    async fn make_room(&self, node: &NodeName, put: &PutBack<'_>) -> Result<String, String> {
        let folders = self.data_folders(node)?;
        // It was looked at when the plan was made, when the run began and before the first stop. A disk may fail meanwhile.
        self.copy_whole(put.backup)
            .map_err(|because| format!("{because}; the data of {node} were left where they are"))?;
        let kept: Vec<PathBuf> = folders.iter().map(|folder| self.aside(folder)).collect();
        let told = kept.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let told = told.join(" and ");
        // The main folder goes last: once it is aside all are. Who joins may run by now, and the one that it joins needs it.
        if let (true, Some(main)) = (put.joins, kept.first())
            && self.is_there(node, main).await?
        {
            return Ok(told);
        }
        if matches!(put.call.call, CallKind::Native { .. }) {
            natives::end_earlier(self, node).await?;
        }
        if let Some(because) = self.runs_all_the_same(node).await {
            return Err(because);
        }
        for (folder, aside) in folders.iter().zip(&kept).rev() {
            self.move_aside(node, folder, aside, put).await.into_result()?;
        }
        Ok(told)
    }

    async fn is_there(&self, node: &NodeName, path: &Path) -> Result<bool, String> {
        let transport = self.transport(node).ok_or_else(|| format!("there is no way to {node}"))?;
        let command =
            Command::new(["test".to_owned(), "-e".to_owned(), path.display().to_string()]);
        transport.run(&command, TEST_LIMIT).await.map(|output| output.ok()).into_result()
    }

    async fn move_aside(
        &self,
        node: &NodeName,
        from: &Path,
        to: &Path,
        put: &PutBack<'_>,
    ) -> Answer<String> {
        let words = ["sh", "-c", SET_ASIDE, "restore"].map(str::to_owned);
        let often = if put.joins { "once" } else { "again" }.to_owned();
        let paths = [from.display().to_string(), to.display().to_string(), often];
        self.run(node, &Command::new(words.into_iter().chain(paths)), put.limit).await
    }

    fn aside(&self, folder: &Path) -> PathBuf {
        kept::aside(folder, &self.plan().digest)
    }

    /// Every folder that holds data of a member, the one with its main data first: as was seen of what it runs with.
    pub(super) fn data_folders(&self, node: &NodeName) -> Result<Vec<PathBuf>, String> {
        let declared = self.node(node).and_then(|node| node.data_dir.clone());
        let seen = self.plan().observed.nodes.iter().find(|seen| seen.name == *node);
        let place = seen.and_then(|seen| seen.place.as_ref());
        let form = self.parts.pack.detect.as_ref().map(|detect| &detect.process);
        let main = match (form, place) {
            (Some(form), Some(place)) => form.data_folder(place).cloned().or(declared),
            _ => declared,
        };
        let main = main.ok_or_else(|| format!("the data folder of {node} is not known"))?;
        let more = place.into_iter().flat_map(|place| place.folders.values());
        let more = more.filter(|folder| **folder != main).cloned();
        Ok(std::iter::once(main.clone()).chain(more).collect())
    }

    /// The file that says that this plan has put the data back: beside the data folder, which belongs to the product.
    pub(super) fn restore_mark(&self, node: &NodeName) -> Option<PathBuf> {
        let data = self.data_folders(node).ok()?.into_iter().next()?;
        Some(kept::given(&data, &self.plan().digest))
    }
}

#[cfg(test)]
mod tests {
    use super::SET_ASIDE;
    use std::{fs, path::Path, process::Command};

    fn set_aside(folder: &Path, aside: &Path, often: &str) -> bool {
        let mut command = Command::new("sh");
        command.args(["-c", SET_ASIDE, "restore"]).arg(folder).arg(aside).arg(often);
        command.status().unwrap().success()
    }

    #[test]
    fn nothing_is_deleted_however_often_it_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let (data, aside) = (folder.path().join("etcd.1"), folder.path().join("etcd.1.aside"));
        for text in ["first", "second", "third"] {
            fs::create_dir(&data).unwrap();
            fs::write(data.join("it"), text).unwrap();
            assert!(set_aside(&data, &aside, "again"));
            assert!(!data.exists());
        }
        assert!(set_aside(&data, &aside, "again"), "nothing there needs no move");
        let kept = ["", "-2", "-3"].map(|nth| {
            fs::read_to_string(folder.path().join(format!("etcd.1.aside{nth}")).join("it")).unwrap()
        });
        assert_eq!(kept, ["first", "second", "third"]);
    }

    #[test]
    fn what_may_have_joined_is_not_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
        for text in ["before", "joined"] {
            fs::create_dir(&data).unwrap();
            fs::write(data.join("it"), text).unwrap();
            assert!(set_aside(&data, &aside, "once"));
            if text == "before" {
                assert!(!data.exists());
            }
        }
        let text = |folder: &Path| fs::read_to_string(folder.join("it")).unwrap();
        assert_eq!((text(&aside).as_str(), text(&data).as_str()), ("before", "joined"));
        let (none, aside) = (folder.path().join("none"), folder.path().join("none.aside"));
        assert!(set_aside(&none, &aside, "once"));
        fs::create_dir(&none).unwrap();
        assert!(set_aside(&none, &aside, "once"));
        assert!(none.exists() && aside.exists(), "there was nothing before it joined");
    }
}
