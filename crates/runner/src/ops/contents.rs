//! Compares what members hold, key by key, from lists that are sorted by key.
//!
//! Invariant: lists are gone through together, a line of each at a time: millions of keys take no memory.
//! A line of a list is the key in hexadecimal digits, its revision and a digest of its value, with tabs between.

use quorate_model::NodeName;
use std::{
    cmp::Ordering,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Lines, Write},
    path::Path,
};

/// Keys that a person is shown of each kind; all of them are in the file.
const EXAMPLES: usize = 3;
/// Characters of a key that a person is shown.
const SHOWN: usize = 80;
/// Stands for a key that a member does not hold.
const NONE: &str = "-";

/// How much a member holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Keys.
    pub keys: u64,
    /// The revision of the newest change among them.
    pub newest: u64,
}

/// How a member's data differ from those of another, the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differs {
    /// Keys that the source holds and it does not.
    pub lacks: u64,
    /// Keys that it holds and the source does not.
    pub alone: u64,
    /// Keys with another value.
    pub other: u64,
    /// Keys with the same value, of another revision.
    pub revised: u64,
    /// Some of the keys that would be lost: those that it holds alone, or with another value.
    pub examples: Vec<String>,
}

impl Differs {
    /// Keys whose data are lost when the source's take their place.
    pub fn lost(&self) -> u64 {
        self.alone + self.other
    }
}

/// The lines of one list, with the next one at hand.
struct List<'p> {
    path: &'p Path,
    lines: Lines<BufReader<File>>,
    head: Option<String>,
}

fn at(path: &Path) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}

impl<'p> List<'p> {
    fn open(path: &'p Path) -> Result<Self, String> {
        let lines = BufReader::new(File::open(path).map_err(at(path))?).lines();
        let mut list = Self { path, lines, head: None };
        list.advance()?;
        Ok(list)
    }

    fn key(&self) -> Option<&str> {
        self.head.as_deref()?.split('\t').next()
    }

    /// Takes the line at hand.
    fn advance(&mut self) -> Result<Option<String>, String> {
        let next = self.lines.next().transpose().map_err(at(self.path))?;
        Ok(std::mem::replace(&mut self.head, next))
    }
}

/// Goes through lists together: each key, with its line in each.
fn each_key(
    paths: &[&Path],
    mut on: impl FnMut(&str, &[Option<String>]) -> Result<(), String>,
) -> Result<(), String> {
    let mut lists = paths.iter().map(|path| List::open(path)).collect::<Result<Vec<_>, _>>()?;
    while let Some(key) = lists.iter().filter_map(List::key).min().map(str::to_owned) {
        let lines = lists
            .iter_mut()
            .map(|list| match list.key() == Some(&key) {
                true => list.advance(),
                false => Ok(None),
            })
            .collect::<Result<Vec<_>, _>>()?;
        on(&key, &lines)?;
    }
    Ok(())
}

/// What a line says of its key: the revision, and both words together.
fn state(line: &str) -> Result<(u64, String), String> {
    let wrong = || format!("`{line}` is no line of a list");
    let (_, rest) = line.split_once('\t').ok_or_else(wrong)?;
    let (revision, digest) = rest.split_once('\t').ok_or_else(wrong)?;
    Ok((revision.parse().map_err(|_| wrong())?, format!("{revision}:{digest}")))
}

/// Writes every key that the lists say different things of, with what each says; gives how much each holds.
pub(super) fn differences(lists: &[&Path], into: &Path) -> Result<Vec<Held>, String> {
    let mut held = vec![Held::default(); lists.len()];
    let mut out = BufWriter::new(File::create(into).map_err(at(into))?);
    each_key(lists, |key, lines| {
        let mut states = Vec::with_capacity(lines.len());
        for (line, held) in lines.iter().zip(&mut held) {
            let Some(line) = line else {
                states.push(NONE.to_owned());
                continue;
            };
            let (revision, state) = state(line)?;
            held.keys += 1;
            held.newest = held.newest.max(revision);
            states.push(state);
        }
        if states.windows(2).any(|two| two[0] != two[1]) {
            writeln!(out, "{key}\t{}", states.join("\t")).map_err(at(into))?;
        }
        Ok(())
    })?;
    out.flush().map_err(at(into))?;
    Ok(held)
}

/// Writes the lines that stand in both files; gives how many. What only differed while members were asked one after another
/// does not differ in the same way twice.
pub(super) fn in_both(first: &Path, second: &Path, into: &Path) -> Result<u64, String> {
    let mut count = 0;
    let mut out = BufWriter::new(File::create(into).map_err(at(into))?);
    each_key(&[first, second], |_, lines| {
        if let [Some(one), Some(two)] = lines
            && one == two
        {
            count += 1;
            writeln!(out, "{one}").map_err(at(into))?;
        }
        Ok(())
    })?;
    out.flush().map_err(at(into))?;
    Ok(count)
}

/// How each member differs from the one in the given place, from a file of differences.
pub(super) fn against(
    differences: &Path,
    source: usize,
    members: usize,
) -> Result<Vec<Differs>, String> {
    let mut all = vec![Differs::default(); members];
    each_key(&[differences], |key, lines| {
        let Some(Some(line)) = lines.first() else { return Ok(()) };
        let states: Vec<&str> = line.split('\t').skip(1).collect();
        let Some(own) = states.get(source) else {
            return Err(format!("`{line}` does not speak of {members} members"));
        };
        for (state, differs) in states.iter().zip(&mut all) {
            let value = |state: &str| state.split_once(':').map(|(_, value)| value.to_owned());
            match (*state, *own) {
                (state, own) if state == own => continue,
                (NONE, _) => {
                    differs.lacks += 1;
                    continue;
                }
                (_, NONE) => differs.alone += 1,
                (state, own) if value(state) == value(own) => {
                    differs.revised += 1;
                    continue;
                }
                _ => differs.other += 1,
            }
            if differs.examples.len() < EXAMPLES {
                differs.examples.push(shown(key));
            }
        }
        Ok(())
    })?;
    Ok(all)
}

/// How much of what differs each member holds. What all hold alike tells nobody apart, and while clients write the newest change of
/// all is whatever came just before a member was asked.
pub(super) fn held_of(differences: &Path, members: usize) -> Result<Vec<Held>, String> {
    let mut all = vec![Held::default(); members];
    each_key(&[differences], |_, lines| {
        let states = lines.iter().flatten().flat_map(|line| line.split('\t').skip(1));
        for (state, held) in states.zip(&mut all) {
            let revision = state.split_once(':').and_then(|(revision, _)| revision.parse().ok());
            if let Some(revision) = revision {
                held.keys += 1;
                held.newest = held.newest.max(revision);
            }
        }
        Ok(())
    })?;
    Ok(all)
}

/// The member with the newest data, of what differs: the newest change, then the most keys, then whoever leads. Says why, too.
pub(super) fn newest<'a>(
    members: &'a [(NodeName, Held)],
    leader: Option<&NodeName>,
) -> Option<(&'a NodeName, String)> {
    let by = |(node, held): &(NodeName, Held)| (held.newest, held.keys, Some(node) == leader);
    // The first of equals, so that the same members give the same answer.
    let best = members.iter().reduce(|best, next| match by(next).cmp(&by(best)) {
        Ordering::Greater => next,
        Ordering::Less | Ordering::Equal => best,
    })?;
    let (node, held) = best;
    let alike = |same: fn(&Held, &Held) -> bool| {
        members.iter().filter(|(other, theirs)| other != node && same(theirs, held)).count()
    };
    let because = if alike(|a, b| a.newest == b.newest) == 0 {
        format!("it holds the newest change of what differs, of revision {}", held.newest)
    } else if alike(|a, b| a.newest == b.newest && a.keys == b.keys) == 0 {
        format!(
            "of those with the newest change of what differs, of revision {}, it holds the most keys",
            held.newest
        )
    } else if Some(node) == leader {
        "it leads, and nobody holds newer data of what differs, or more of them".to_owned()
    } else {
        "nobody holds newer data of what differs, or more of them".to_owned()
    };
    Some((node, because))
}

/// A key as people read it.
fn shown(hex: &str) -> String {
    let bytes = hex::decode(hex).unwrap_or_default();
    let text: String = bytes.escape_ascii().to_string();
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Bed {
        folder: tempfile::TempDir,
    }

    impl Bed {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }
        /// A list of keys, each with its revision and a word for its value.
        fn list(&self, name: &str, keys: &[(&str, u64, &str)]) -> PathBuf {
            let line = |(key, revision, value): &(&str, u64, &str)| {
                format!("{}\t{revision}\t{value}\n", hex::encode(key))
            };
            let path = self.folder.path().join(name);
            std::fs::write(&path, keys.iter().map(line).collect::<String>()).unwrap();
            path
        }
        fn differ(&self, lists: &[&PathBuf], name: &str) -> (PathBuf, Vec<Held>) {
            let into = self.folder.path().join(name);
            let paths: Vec<&Path> = lists.iter().map(|path| path.as_path()).collect();
            let held = differences(&paths, &into).unwrap();
            (into, held)
        }
    }

    #[test]
    fn every_difference_is_told_from_the_sources_side() {
        let bed = Bed::new();
        let one = bed.list("1", &[("/a", 2, "x"), ("/b", 3, "x"), ("/c", 4, "x"), ("/e", 6, "x")]);
        let two = bed.list("2", &[("/a", 2, "x"), ("/b", 3, "y"), ("/d", 5, "x"), ("/e", 7, "x")]);
        let (file, held) = bed.differ(&[&one, &two], "d");
        assert_eq!(held, [Held { keys: 4, newest: 6 }, Held { keys: 4, newest: 7 }]);
        let differs = against(&file, 0, 2).unwrap();
        assert_eq!(differs[0], Differs::default());
        let wanted = Differs {
            lacks: 1,
            alone: 1,
            other: 1,
            revised: 1,
            examples: vec!["/b".into(), "/d".into()],
        };
        assert_eq!(differs[1], wanted);
        assert_eq!(wanted.lost(), 2);
        let held = held_of(&file, 2).unwrap();
        assert_eq!(held, [Held { keys: 3, newest: 6 }, Held { keys: 3, newest: 7 }]);
    }

    #[test]
    fn what_was_only_on_its_way_does_not_count() {
        let bed = Bed::new();
        // /new came between the two questions, and /hot is written all the time; /gone is missing for good.
        let (a, b) = (
            bed.list("a", &[("/gone", 2, "x"), ("/hot", 8, "8"), ("/new", 9, "x")]),
            bed.list("b", &[("/hot", 7, "7")]),
        );
        let (c, d) = (
            bed.list("c", &[("/gone", 2, "x"), ("/hot", 12, "12"), ("/new", 9, "x")]),
            bed.list("d", &[("/hot", 11, "11"), ("/new", 9, "x")]),
        );
        let ((first, _), (second, _)) =
            (bed.differ(&[&a, &b], "first"), bed.differ(&[&c, &d], "second"));
        let both = bed.folder.path().join("both");
        assert_eq!(in_both(&first, &second, &both).unwrap(), 1);
        let differs = against(&both, 0, 2).unwrap();
        assert_eq!((differs[1].lacks, differs[1].lost()), (1, 0));
    }

    #[test]
    fn the_newest_change_counts_before_the_number_of_keys_and_the_lead() {
        let member = |name: &str, keys, newest| (NodeName::from(name), Held { keys, newest });
        let chosen = |members: &[(NodeName, Held)], leader: &str| {
            newest(members, Some(&leader.into())).map(|(node, _)| node.to_string()).unwrap()
        };
        let [a, b, c] = [member("a", 9, 5), member("b", 3, 6), member("c", 9, 5)];
        assert_eq!(chosen(&[a.clone(), b, c.clone()], "a"), "b");
        assert_eq!(chosen(&[member("d", 8, 5), a.clone(), c.clone()], "d"), "a");
        assert_eq!(chosen(&[a, c], "c"), "c");
        assert_eq!(newest(&[], None), None);
    }

    #[test]
    fn a_list_that_is_none_is_named() {
        let bed = Bed::new();
        let broken = bed.folder.path().join("broken");
        std::fs::write(&broken, "2f61\tx\n").unwrap();
        let said = differences(&[&broken], &bed.folder.path().join("d")).unwrap_err();
        assert!(said.contains("no line of a list"), "{said}");
        let said = differences(&[Path::new("/nowhere")], &bed.folder.path().join("d")).unwrap_err();
        assert!(said.contains("/nowhere"), "{said}");
    }

    #[test]
    fn keys_are_shown_as_text_and_cut() {
        assert_eq!(shown("2f61ff"), "/a\\xff");
        assert_eq!(shown(&"61".repeat(200)).chars().count(), SHOWN + 1);
    }
}
