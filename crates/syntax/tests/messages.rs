//! What people see when a file is wrong, and that no text at all can make the reader panic.

use proptest::prelude::*;
use quorate_syntax::{Diagnostic, Look, locate, locate_key, parse, read_yaml, render, render_as};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Garden {
    name: String,
    #[serde(default)]
    beds: Vec<Bed>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Bed {
    plant: Plant,
    rows: u32,
    #[serde(default)]
    covered: Option<bool>,
    #[serde(default)]
    depth: f64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Plant {
    Carrot,
    Bean { climbs: bool },
    Other(String),
}

fn garden(text: &str) -> Result<Garden, Vec<Diagnostic>> {
    read_yaml("garden.yaml", text)
}

fn shown(text: &str) -> String {
    render(&garden(text).expect_err("the text is wrong"), text)
}

#[test]
fn a_right_file_is_read() {
    let text = "
name: 3.10            # a text, though it looks like a number
beds:
  - plant: carrot
    rows: 0x10
    covered: ~
  - plant: {bean: {climbs: true}}
    rows: 2
    depth: 1.5
  - plant: {other: \"null\"}
    rows: 1
    covered: false
notes: {8080: yes, \"a: b\": 'it''s'}
";
    let garden = garden(text).unwrap();
    assert_eq!(garden.name, "3.10");
    let plants: Vec<_> = garden.beds.iter().map(|bed| &bed.plant).collect();
    assert_eq!(
        plants,
        [&Plant::Carrot, &Plant::Bean { climbs: true }, &Plant::Other("null".into())]
    );
    assert_eq!(garden.beds[0].rows, 16);
    assert_eq!(garden.beds[0].covered, None);
    assert!((garden.beds[1].depth - 1.5).abs() < f64::EPSILON);
    assert_eq!(garden.notes["8080"], "yes");
    assert_eq!(garden.notes["a: b"], "it's");
}

#[test]
fn messages_point_at_the_place_and_say_what_was_meant() {
    let cases = [
        ("unknown key", "name: a\nbedz: []\n"),
        ("unknown key far from any known one", "name: a\nfountain: 1\n"),
        ("unknown key deep down", "name: a\nbeds:\n  - plant: carrot\n    rows: 1\n    row: 2\n"),
        ("missing key", "name: a\nbeds:\n  - plant: carrot\n"),
        ("wrong type", "name: a\nbeds:\n  - plant: carrot\n    rows: many\n"),
        ("wrong value", "name: a\nbeds: [{plant: carrot, rows: -1}]\n"),
        ("list for text", "name: [a]\n"),
        ("nothing for text", "name:\n"),
        ("unknown value", "name: a\nbeds:\n  - {plant: carot, rows: 1}\n"),
        ("yes is no truth value", "name: a\nbeds:\n  - {plant: carrot, rows: 1, covered: yes}\n"),
        (
            "two variants",
            "name: a\nbeds:\n  - {plant: {bean: {climbs: true}, other: x}, rows: 1}\n",
        ),
        ("duplicate key", "name: a\nbeds: []\nname: b\n"),
        ("tab", "name: a\nbeds:\n\t- plant: carrot\n"),
        ("bad indent", "name: a\n  beds: []\n"),
        ("open bracket", "name: a\nbeds: [1, 2\n"),
        ("unknown alias", "name: *nobody\n"),
        ("merge key", "a: &a {x: 1}\nb:\n  <<: *a\n"),
        ("tag", "name: !secret a\n"),
        ("two documents", "name: a\n---\nname: b\n"),
        ("empty file", ""),
    ];
    let text: String =
        cases.iter().map(|(what, text)| format!("## {what}\n{}\n", shown(text))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_diagnostic_as_one_line() {
    let found = garden("name: a\nbedz: []\n").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "garden.yaml:2:1: unknown key `bedz` [unknown-key]\n  hint: did you mean `beds`?"
    );
}

#[test]
fn colours_only_when_asked() {
    let text = "name: a\nbedz: []\n";
    let found = garden(text).unwrap_err();
    assert!(!render(&found, text).contains('\u{1b}'));
    assert!(render_as(&found, Look::Colour, |_| Some(text)).contains('\u{1b}'));
    assert!(render_as(&found, Look::Ascii, |_| Some(text)).is_ascii());
    assert!(render_as(&found, Look::Plain, |_| None).contains("unknown key `bedz`"));
}

#[test]
fn values_and_keys_are_located() {
    let text = "a:\n  - x\n  - b: 1\n    c: [2,  3]\n";
    assert_eq!(locate(text, &["a".into(), 1.into(), "c".into(), 1.into()]), Some((4, 13)));
    assert_eq!(locate_key(text, &["a".into(), 1.into(), "c".into()]), Some((4, 5)));
    assert_eq!(locate(text, &["a".into(), 2.into()]), None);
    assert_eq!(locate("{", &[]), None);
}

#[test]
fn aliases_share_values_and_bombs_are_refused() {
    let shared = "name: a\nbeds:\n  - &bed {plant: carrot, rows: 1}\n  - *bed\n";
    assert_eq!(garden(shared).unwrap().beds.len(), 2);
    let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("b{i}: &a{i} [{list}]\n"));
    }
    assert_eq!(parse("bomb.yaml", &bomb).unwrap_err().code, "yaml-too-big");
}

#[test]
fn depth_is_limited() {
    for deep in
        ["[".repeat(100_000), "- ".repeat(100_000), "a:\n".to_owned() + &"{a: ".repeat(5_000)]
    {
        assert!(parse("deep.yaml", &deep).is_err());
    }
    let fine = format!("{}{}", "[".repeat(40), "]".repeat(40));
    assert!(parse("fine.yaml", &fine).is_ok());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
        if let Err(found) = garden(&text) {
            prop_assert!(!found.is_empty());
            render(&found, &text);
        }
    }

    #[test]
    fn anything_like_yaml_is_read_or_refused(text in "([ a-c\\-:\\[\\]{},&*!|>'\"#~<0-9\n\t]|name|beds|plant|rows){0,80}") {
        if let Err(found) = garden(&text) {
            render(&found, &text);
            render_as(&found, Look::Colour, |_| Some(&text));
        }
        let _ = read_yaml::<serde_json::Value>("any.yaml", &text);
    }
}
