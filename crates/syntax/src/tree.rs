//! A tree of YAML in which every key and value knows its place. Read next: `parse.rs`, which makes it.

use crate::parse::parse;
use std::sync::Arc;

/// Where something stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
}

impl Place {
    /// Line and column.
    pub fn at(&self) -> (u32, u32) {
        (self.line, self.column)
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A single value.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Tree>),
    /// Keys with values, in the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// A single value, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, escapes resolved.
    pub text: String,
    /// Written without quotes: may also be a number, a truth value or nothing.
    pub plain: bool,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Tree,
}

/// A key and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it begins.
    pub place: Place,
    /// Its text.
    pub text: String,
}

/// One step of a path through a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into a map.
    Key(&'a str),
    /// Into a list, counted from 0.
    Index(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}
impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl Tree {
    /// The value at a path.
    pub fn find(&self, path: &[Step<'_>]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, step| match (step, &tree.content) {
            (Step::Key(name), Content::Map(_)) => tree.get(name),
            (Step::Index(index), Content::List(items)) => items.get(*index),
            _ => None,
        })
    }
    /// The value of a key.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|entry| &entry.value)
    }
    /// The entry of a key.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key.text == name),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }
    /// The place of the value at a path, or of the nearest thing above it that exists.
    pub fn nearest(&self, path: &[Step<'_>]) -> &Place {
        (0..=path.len())
            .rev()
            .find_map(|len| self.find(&path[..len]))
            .map_or(&self.place, |tree| &tree.place)
    }
    /// The place of the key that a path ends in.
    pub fn key_place(&self, path: &[Step<'_>]) -> Option<&Place> {
        let (last, parents) = path.split_last()?;
        match last {
            Step::Key(name) => self.find(parents)?.entry(name).map(|entry| &entry.key.place),
            Step::Index(_) => self.find(path).map(|tree| &tree.place),
        }
    }
    /// The text of a single value.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => Some(&scalar.text),
            Content::List(_) | Content::Map(_) => None,
        }
    }
    /// The values of a list; empty for anything else.
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            Content::Scalar(_) | Content::Map(_) => &[],
        }
    }
    /// The entries of a map; empty for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Scalar(_) | Content::List(_) => &[],
        }
    }
    /// Values in it, itself included.
    pub(crate) fn size(&self) -> usize {
        let children: usize = match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        };
        children + 1
    }
}

/// Finds the line and column of the value at a path; nothing when the text or the path is wrong.
pub fn locate(text: &str, path: &[Step<'_>]) -> Option<(u32, u32)> {
    parse("", text).ok()?.find(path).map(|tree| tree.place.at())
}

/// Finds the line and column of the key that a path ends in.
pub fn locate_key(text: &str, path: &[Step<'_>]) -> Option<(u32, u32)> {
    parse("", text).ok()?.key_place(path).map(Place::at)
}
