//! What a plan has moved aside of a member's data: brought back by the plan that reverses it, or deleted once a person has said so.
//!
//! Invariant: nothing is deleted but what lies aside, by names that only this program gives.

use super::live::LiveHands;
use quorate_model::{Digest, NodeName, Outcome};
use quorate_transport::{Answer, Command, beside};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// `test` answers at once on any disk that answers at all.
const TEST_LIMIT: Duration = Duration::from_secs(5);

/// Puts what lies aside in its place again; what stands there meanwhile is kept under a name of its own. Where nothing lies aside
/// it is in its place already.
const BRING_BACK: &str = r#"if [ ! -e "$2" ] && [ ! -L "$2" ]; then
  if [ -e "$4" ] && [ ! -e "$3" ] && [ ! -L "$3" ]; then
    echo "$2, which held the data of before, is not there any more" >&2
    exit 1
  fi
  exit 0
fi
left=$3; n=1
while [ -e "$left" ] || [ -L "$left" ]; do n=$((n + 1)); left=$3-$n; done
if [ -e "$1" ] || [ -L "$1" ]; then mv -- "$1" "$left" || exit; fi
exec mv -- "$2" "$1""#;

/// Whether nothing lies aside any more, of a member that was given other data and got its own again, or kept its own.
const IS_BACK: &str = r#"mark=$1 left=$2
shift 2
for aside; do [ ! -e "$aside" ] && [ ! -L "$aside" ] || exit 1; done
[ ! -e "$mark" ] || [ -e "$left" ] || [ -L "$left" ]"#;

/// A folder that was tried several times lies aside several times.
const CLEAR: &str = r#"rm -rf -- "$1" || exit
for one in "$1"-[0-9]*; do
  case ${one#"$1"-} in *[!0-9]*) continue ;; esac
  rm -rf -- "$one" || exit
done"#;

/// Where a plan moves what it gives other data in the place of.
pub(super) fn aside(folder: &Path, plan: &Digest) -> PathBuf {
    beside(folder, &format!(".before-restore-{}", plan.short()))
}

/// The file that says that a plan has given a member other data.
pub(super) fn given(main: &Path, plan: &Digest) -> PathBuf {
    beside(main, &format!(".restored-{}", plan.short()))
}

fn script(text: &str, paths: impl IntoIterator<Item = PathBuf>) -> Command {
    let words = ["sh", "-c", text, "kept"].map(str::to_owned);
    Command::new(words.into_iter().chain(paths.into_iter().map(|path| path.display().to_string())))
}

impl LiveHands {
    /// Gives a stopped member the data back that it had before the plan which this one reverses.
    pub(super) async fn bring_back(&self, node: &NodeName, limit: Duration) -> Outcome {
        match self.brought_back(node, limit).await {
            Ok(note) => Outcome::Succeeded { note: Some(note) },
            Err(because) => Outcome::Failed { because },
        }
    }

    async fn brought_back(&self, node: &NodeName, limit: Duration) -> Result<String, String> {
        let (folders, parent) = (self.data_folders(node)?, self.parent()?);
        if let Some(because) = self.runs_all_the_same(node).await {
            return Err(because);
        }
        let mut left = Vec::new();
        // The main folder goes first: another one may lie in it, and what was moved aside of that, too.
        for folder in &folders {
            let kept = self.left(folder);
            left.push(kept.display().to_string());
            let paths = [folder.clone(), aside(folder, parent), kept, given(folder, parent)];
            self.run(node, &script(BRING_BACK, paths), limit).await.into_result()?;
        }
        Ok(format!("what it held meanwhile is kept in {}", left.join(" and ")))
    }

    /// Whether nothing of a member lies aside any more.
    pub(super) async fn is_brought_back(&self, node: &NodeName) -> Answer<bool> {
        let (folders, parent) = match (self.data_folders(node), self.parent()) {
            (Ok(folders), Ok(parent)) => (folders, parent),
            (Err(because), _) | (_, Err(because)) => return Answer::Failed(because),
        };
        let Some(way) = self.transport(node) else {
            return Answer::Failed(format!("there is no way to {node}"));
        };
        let Some(main) = folders.first() else {
            return Answer::Failed(format!("{node} has no data folder"));
        };
        let head = [given(main, parent), self.left(main)];
        let paths = head.into_iter().chain(folders.iter().map(|folder| aside(folder, parent)));
        way.run(&script(IS_BACK, paths), TEST_LIMIT).await.map(|output| output.ok())
    }

    /// Deletes what this plan has moved aside.
    pub(super) async fn clear(&self, node: &NodeName, limit: Duration) -> Outcome {
        let folders = match self.data_folders(node) {
            Ok(folders) => folders,
            Err(because) => return Outcome::Failed { because },
        };
        let mut gone = Vec::new();
        for folder in &folders {
            let aside = aside(folder, &self.plan().digest);
            gone.push(aside.display().to_string());
            match self.run(node, &script(CLEAR, [aside]), limit).await {
                Answer::Done(_) => {}
                Answer::Failed(because) => return Outcome::Failed { because },
                Answer::Unknown(because) => return Outcome::Unknown { because },
            }
        }
        Outcome::Succeeded { note: Some(format!("{} is deleted", gone.join(" and "))) }
    }

    fn left(&self, folder: &Path) -> PathBuf {
        beside(folder, &format!(".left-{}", self.plan().digest.short()))
    }

    fn parent(&self) -> Result<&Digest, String> {
        self.plan().parent.as_ref().ok_or_else(|| "the plan reverses no other one".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{BRING_BACK, CLEAR, IS_BACK, aside, given, script};
    use quorate_model::Digest;
    use quorate_transport::beside;
    use std::{
        fs,
        path::{Path, PathBuf},
        process::Command,
    };

    fn run(text: &str, paths: &[PathBuf]) -> bool {
        let line = script(text, paths.iter().cloned());
        Command::new("sh").args(&line.argv[1..]).status().unwrap().success()
    }

    fn folder(path: &Path, text: &str) {
        fs::create_dir(path).unwrap();
        fs::write(path.join("it"), text).unwrap();
    }

    #[test]
    fn what_lies_aside_comes_back_once_and_nothing_is_lost() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("etcd.1");
        let (aside, left) = (aside(&data, &Digest::new("abc")), place.path().join("left"));
        let mark = given(&data, &Digest::new("abc"));
        let paths = [data.clone(), aside.clone(), left.clone(), mark.clone()];
        folder(&data, "converted");
        folder(&aside, "before");
        fs::write(&mark, "").unwrap();
        let asked = [mark, left.clone(), aside];
        assert!(!run(IS_BACK, &asked));
        for _ in 0..2 {
            assert!(run(BRING_BACK, &paths));
            assert_eq!(fs::read_to_string(data.join("it")).unwrap(), "before");
            assert_eq!(fs::read_to_string(left.join("it")).unwrap(), "converted");
        }
        assert!(run(IS_BACK, &asked));
    }

    /// A log that lies in the data folder lies in what was moved aside of it.
    #[test]
    fn a_folder_within_another_comes_back_as_well() {
        let place = tempfile::tempdir().unwrap();
        let (data, plan) = (place.path().join("data"), Digest::new("abc"));
        folder(&data, "before");
        folder(&data.join("wal"), "log of before");
        for one in [data.join("wal"), data.clone()] {
            fs::rename(&one, aside(&one, &plan)).unwrap();
        }
        folder(&data, "converted");
        for one in [data.clone(), data.join("wal")] {
            let left = beside(&one, ".left");
            assert!(run(BRING_BACK, &[one.clone(), aside(&one, &plan), left, given(&one, &plan)]));
        }
        assert_eq!(fs::read_to_string(data.join("wal/it")).unwrap(), "log of before");
    }

    #[test]
    fn what_is_gone_is_not_taken_for_what_is_back() {
        let place = tempfile::tempdir().unwrap();
        let [data, aside, left, mark] =
            ["data", "aside", "left", "mark"].map(|name| place.path().join(name));
        folder(&data, "converted");
        fs::write(&mark, "").unwrap();
        assert!(!run(IS_BACK, &[mark.clone(), left.clone(), aside.clone()]));
        assert!(!run(BRING_BACK, &[data, aside, left, mark]));
    }

    #[test]
    fn a_move_that_was_cut_off_is_ended() {
        let place = tempfile::tempdir().unwrap();
        let (data, aside, left) =
            (place.path().join("data"), place.path().join("aside"), place.path().join("left"));
        folder(&aside, "before");
        folder(&left, "converted");
        assert!(run(BRING_BACK, &[data.clone(), aside, left, place.path().join("mark")]));
        assert_eq!(fs::read_to_string(data.join("it")).unwrap(), "before");
    }

    #[test]
    fn only_what_lies_aside_is_deleted() {
        let place = tempfile::tempdir().unwrap();
        let names = ["data", "data.aside", "data.aside-2", "data.aside-2x", "data.aside-new"];
        names.iter().for_each(|name| folder(&place.path().join(name), "it"));
        assert!(run(CLEAR, &[place.path().join("data.aside")]));
        assert!(run(CLEAR, &[place.path().join("data.aside")]), "twice is once");
        let there = |name: &&&str| place.path().join(name).exists();
        let left: Vec<_> = names.iter().filter(there).collect();
        assert_eq!(left, [&"data", &"data.aside-2x", &"data.aside-new"]);
    }
}
