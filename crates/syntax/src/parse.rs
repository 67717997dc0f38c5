//! YAML text to a tree, event by event.
//!
//! Invariant: limits on size, depth and aliases are checked while reading, so that a small hostile text stays small.
//! Absent on purpose: merge keys and tags. A file that needs them is hard to read and easy to get wrong.

use crate::{
    Diagnostic,
    tree::{Content, Entry, Key, Place, Scalar, Tree},
};
use serde_saphyr::granit_parser::{
    self, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Levels of nesting. Packs and fleets use eight; readers recurse, and 64 is far from any stack's end.
const DEPTH_MAX: usize = 64;
/// Bytes of one text. A fleet of ten thousand clusters takes about ten million.
const TEXT_MAX: usize = 64 * 1024 * 1024;
/// Nodes that aliases may copy, all together: enough to share settings among thousands, too few for a bomb.
const COPIED_MAX: usize = 200_000;

/// Reads one YAML document.
pub fn parse(file_name: &str, text: &str) -> Result<Tree, Diagnostic> {
    let file: Arc<str> = file_name.into();
    if text.len() > TEXT_MAX {
        let message =
            format!("the file holds {} bytes, more than the {TEXT_MAX} that are read", text.len());
        return Err(Diagnostic::error(file_name, (0, 0), "yaml-too-big", message));
    }
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
        emit_comments: false,
    };
    let mut builder = Builder::new(file);
    for item in Parser::with_options(StrInput::new(text), options) {
        match item {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => return Err(builder.scan_error(&error)),
        }
    }
    Ok(builder.finish())
}

/// A list or map that is still open.
struct Open {
    place: Place,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Tree>),
    Map { entries: Vec<Entry>, names: HashSet<String>, key: Option<Key> },
}

struct Builder {
    file: Arc<str>,
    open: Vec<Open>,
    anchors: HashMap<usize, Tree>,
    copied: usize,
    root: Option<Tree>,
}

impl Builder {
    fn new(file: Arc<str>) -> Self {
        Self { file, open: Vec::new(), anchors: HashMap::new(), copied: 0, root: None }
    }

    fn place(&self, marker: Marker) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place {
            file: Arc::clone(&self.file),
            line: number(marker.line()),
            column: number(marker.col() + 1),
        }
    }

    fn wrong(&self, place: &Place, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.file.as_ref(), place.at(), code, message)
    }

    fn scan_error(&self, error: &ScanError) -> Diagnostic {
        let place = self.place(*error.marker());
        let tab = error.info().contains("tab");
        let hint = tab.then(|| "indent with spaces: YAML allows no tabs there".to_owned());
        self.wrong(&place, "yaml", format!("this is no YAML: {}", error.info())).with_hint_if(hint)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let place = self.place(span.start);
        let tag_place = span.tag_start().map_or_else(|| place.clone(), |marker| self.place(marker));
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let message = "the file holds more than one YAML document";
                Err(self
                    .wrong(&place, "yaml", message)
                    .with_hint("remove the `---` between them, or make two files"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag =
                    tag.as_deref().and_then(granit_parser::Tag::core_suffix) == Some("str");
                self.refuse_tag(&tag_place, tag.as_deref())?;
                let plain = style == ScalarStyle::Plain && !text_tag;
                let scalar = Scalar { text: text.into_owned(), plain };
                self.put(Tree { place, content: Content::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(&tag_place, tag.as_deref())?;
                self.open(place, anchor, Items::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(&tag_place, tag.as_deref())?;
                self.open(
                    place,
                    anchor,
                    Items::Map { entries: Vec::new(), names: HashSet::new(), key: None },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, place),
            _ => Ok(()),
        }
    }

    fn refuse_tag(
        &self,
        place: &Place,
        tag: Option<&granit_parser::Tag>,
    ) -> Result<(), Diagnostic> {
        match tag.filter(|tag| tag.core_suffix().is_none()) {
            Some(tag) => Err(self.wrong(
                place,
                "yaml-tag",
                format!("the tag `{}` is not known", tag.original()),
            )),
            None => Ok(()),
        }
    }

    fn open(&mut self, place: Place, anchor: usize, items: Items) -> Result<(), Diagnostic> {
        if self.open.len() >= DEPTH_MAX {
            return Err(self.wrong(
                &place,
                "yaml-too-deep",
                format!("nested deeper than {DEPTH_MAX} levels"),
            ));
        }
        if let Some(Open { items: Items::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(self.wrong(&place, "yaml-key", "a list or a map cannot be a key"));
        }
        self.open.push(Open { place, anchor, items });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(Open { place, anchor, items }) = self.open.pop() else { return Ok(()) };
        let content = match items {
            Items::List(items) => Content::List(items),
            Items::Map { entries, .. } => Content::Map(entries),
        };
        self.put(Tree { place, content }, anchor)
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Diagnostic> {
        let Some(mut tree) = self.anchors.get(&id).cloned() else {
            return Err(self.wrong(
                &place,
                "yaml-alias",
                "the alias names a value that is not complete yet",
            ));
        };
        self.count(&tree, &place)?;
        tree.place = place;
        self.put(tree, 0)
    }

    fn count(&mut self, tree: &Tree, place: &Place) -> Result<(), Diagnostic> {
        self.copied = self.copied.saturating_add(tree.size());
        if self.copied <= COPIED_MAX {
            return Ok(());
        }
        let message = format!("aliases copy more than {COPIED_MAX} values");
        Err(self.wrong(place, "yaml-too-big", message))
    }

    fn put(&mut self, tree: Tree, anchor: usize) -> Result<(), Diagnostic> {
        if anchor != 0 {
            self.count(&tree, &tree.place)?;
            self.anchors.insert(anchor, tree.clone());
        }
        let file = Arc::clone(&self.file);
        let wrong = |place: &Place, code, text: String| {
            Diagnostic::error(file.as_ref(), place.at(), code, text)
        };
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(tree),
            Some(Items::List(items)) => items.push(tree),
            Some(Items::Map { entries, names, key }) => match key.take() {
                Some(key) => entries.push(Entry { key, value: tree }),
                None => {
                    let Content::Scalar(scalar) = tree.content else {
                        return Err(wrong(
                            &tree.place,
                            "yaml-key",
                            "a list or a map cannot be a key".into(),
                        ));
                    };
                    if scalar.text == "<<" && scalar.plain {
                        let message = "merge keys (`<<`) are not read here".to_owned();
                        let hint =
                            "write the keys out, or put what clusters share under `defaults`";
                        return Err(wrong(&tree.place, "yaml-key", message).with_hint(hint));
                    }
                    if !names.insert(scalar.text.clone()) {
                        let before = entries.iter().find(|entry| entry.key.text == scalar.text);
                        let line = before.map_or(0, |entry| entry.key.place.line);
                        let message =
                            format!("the key `{}` stands here a second time", scalar.text);
                        let hint =
                            format!("it was set on line {line} already: keep one of the two");
                        return Err(wrong(&tree.place, "duplicate-key", message).with_hint(hint));
                    }
                    *key = Some(Key { place: tree.place, text: scalar.text });
                }
            },
        }
        Ok(())
    }

    /// An empty file is an empty map: what is missing is then said by name.
    fn finish(self) -> Tree {
        let place = Place { file: self.file, line: 1, column: 1 };
        self.root.unwrap_or(Tree { place, content: Content::Map(Vec::new()) })
    }
}
