//! Several files of one folder as one pack: lists are appended, maps are joined, and nothing is set twice.

use quorate_syntax::{Content, Diagnostic, Entry, Tree, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// A pack's tree and the files that it was made of.
pub(crate) struct Merged {
    pub(crate) tree: Tree,
    pub(crate) files: BTreeSet<String>,
}

/// The file beside `file` that `name` means.
fn beside(file: &str, name: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}

/// Merges what the root file includes into it. A file that is not there, or does not fit, is said with its place.
/// A file that is there but is no YAML was said already and is left out.
pub(crate) fn merge(
    root: &Tree,
    trees: &BTreeMap<String, Tree>,
    broken: &BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) -> Merged {
    let own = root.place.file.to_string();
    let mut files = BTreeSet::from([own.clone()]);
    let mut tree = root.clone();
    for item in root.get("include").map_or(&[][..], Tree::items) {
        let Some(name) = item.as_text() else { continue };
        let file = beside(&own, name);
        let wrong =
            |code, message: String| Diagnostic::error(own.as_str(), item.place.at(), code, message);
        let Some(part) = trees.get(&file) else {
            if broken.contains(&file) {
                continue;
            }
            let known: Vec<_> =
                trees.keys().filter_map(|known| known.strip_prefix(&beside(&own, ""))).collect();
            let hint = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
            found.push(
                wrong("pack-include", format!("the included file `{name}` is not there"))
                    .with_hint_if(hint),
            );
            continue;
        };
        if !files.insert(file) {
            found.push(wrong("pack-include", format!("the file `{name}` is included twice")));
            continue;
        }
        if !matches!(part.content, Content::Map(_)) {
            found.push(wrong("pack-include", format!("the included file `{name}` holds no map")));
            continue;
        }
        join(&mut tree, part, found);
    }
    Merged { tree, files }
}

/// Adds the entries of `part` to `tree`.
fn join(tree: &mut Tree, part: &Tree, found: &mut Vec<Diagnostic>) {
    let Content::Map(entries) = &mut tree.content else { return };
    for Entry { key, value } in part.entries() {
        let Some(own) = entries.iter_mut().find(|own| own.key.text == key.text) else {
            entries.push(Entry { key: key.clone(), value: value.clone() });
            continue;
        };
        match (&mut own.value.content, &value.content) {
            (Content::List(own), Content::List(more)) => own.extend(more.iter().cloned()),
            (Content::Map(_), Content::Map(_)) => join(&mut own.value, value, found),
            _ => {
                let message = format!("the key `{}` is set a second time", key.text);
                let hint = format!(
                    "{}:{} sets it already: keep one of the two",
                    own.key.place.file, own.key.place.line
                );
                let place = &key.place;
                found.push(
                    Diagnostic::error(place.file.as_ref(), place.at(), "duplicate-key", message)
                        .with_hint(hint),
                );
            }
        }
    }
}
