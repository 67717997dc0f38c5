//! The page: self-contained, well-formed, and no value of a run can become markup.

use crate::{
    Report, html,
    sample::{self, Story},
};
use quorate_model::{Recorded, RunEvent};

const STORIES: [Story; 6] = [
    Story::Succeeded,
    Story::Running,
    Story::Halted,
    Story::Resumed,
    Story::Paused,
    Story::AwaitingApproval,
];

/// Elements that HTML never closes.
const VOID: [&str; 4] = ["meta", "link", "br", "!doctype"];

/// Walks the tags: each must close the one that was opened last. Returns names with their attributes.
fn tags(page: &str) -> Vec<String> {
    let (mut open, mut seen) = (Vec::new(), Vec::new());
    let mut rest = 0;
    while let Some(start) = page[rest..].find('<').map(|at| at + rest) {
        let end = page[start..].find('>').map(|at| at + start).expect("every tag ends");
        rest = end + 1;
        let tag = &page[start + 1..end];
        assert!(!tag.contains('<'), "a tag inside a tag: {tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop().as_deref(),
                Some(closed),
                "near {}",
                &page[start.saturating_sub(80)..=end]
            );
        } else if !tag.ends_with('/') && !VOID.contains(&name.to_lowercase().as_str()) {
            open.push(name.to_owned());
        }
        seen.push(tag.to_owned());
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}

#[test]
fn every_story_is_well_formed_and_self_contained() {
    let plan = sample::plan();
    for story in STORIES {
        let page = html(&Report::fold(&plan, &sample::journal(&plan, story))).unwrap();
        for tag in tags(&page) {
            let name = tag.split(' ').next().unwrap();
            assert!(!["script", "img", "iframe", "object", "embed"].contains(&name), "{tag}");
            let names: String = tag.split('"').step_by(2).collect();
            assert!(!names.contains(" src=") && !names.contains(" on"), "{tag}");
            if tag.contains("href=") {
                let inside = name == "a" || tag.contains("href=\"data:,\"");
                assert!(inside, "{story:?} asks for something from elsewhere: {tag}");
            }
        }
        assert!(!page.contains("url(http") && !page.contains("@import"));
        assert!(!page.contains("NaN") && !page.contains("inf\""));
    }
}

#[test]
fn a_run_that_has_not_begun_has_a_page() {
    let page = html(&Report::fold(&sample::plan(), &[])).unwrap();
    tags(&page);
    assert!(page.contains("not begun") && !page.contains("<svg class=\"timeline"));
}

/// Puts markup into every text of a plan or a journal, names included.
fn poison<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T, keys: &[&str]) -> T {
    fn walk(value: &mut serde_json::Value, key: &str, keys: &[&str]) {
        match value {
            serde_json::Value::String(text) if keys.contains(&key) => {
                *text = format!("<b onload='x'>\"&{text}</b>");
            }
            serde_json::Value::Array(list) => list.iter_mut().for_each(|one| walk(one, key, keys)),
            serde_json::Value::Object(map) => {
                map.iter_mut().for_each(|(key, one)| walk(one, key, keys));
            }
            _ => {}
        }
    }
    let mut json = serde_json::to_value(value).unwrap();
    walk(&mut json, "", keys);
    serde_json::from_value(json).unwrap()
}

/// Every free text of plan and journal. Releases, times and numbers have types of their own.
const TEXTS: [&str; 37] = [
    "cluster",
    "pack",
    "name",
    "node",
    "title",
    "text",
    "because",
    "sources",
    "source",
    "setting",
    "rewrite",
    "id",
    "step",
    "digest",
    "pack_digest",
    "plan",
    "who",
    "by",
    "reason",
    "gate",
    "key",
    "file",
    "sha256",
    "verified",
    "code",
    "hint",
    "note",
    "rule",
    "cures",
    "rewrites",
    "losses",
    "differs",
    "what",
    "group",
    "parent",
    "refused",
    "host",
];

#[test]
fn no_value_becomes_markup() {
    let mut plan = sample::plan_with_nodes(["<b>", "\"quoted\"", "a&b"]);
    plan.losses = vec!["<script>alert(1)</script>".to_owned()];
    plan.config_findings[0].rewrite = Some("x".into());
    plan.hops[0].rules[0].sources.push("javascript:alert(1)".into());
    plan.hops[0].rules[0].cures.push("cure".into());
    plan.hops[0].rules[0].rewrites.push("rewrite".into());
    for story in STORIES {
        let journal: Vec<Recorded> = sample::journal(&plan, story);
        let plan = poison(&plan, &TEXTS);
        let mut journal = poison(&journal, &TEXTS);
        let last = journal.last().unwrap().clone();
        let differs = vec!["<b>".to_owned()];
        journal.push(Recorded { event: RunEvent::WorldSeen { differs }, ..last });
        let report = Report::fold(&plan, &journal).of_run("<b>run</b>".into());
        let page = html(&report).unwrap();
        let tags = tags(&page);
        for tag in &tags {
            let name = tag.trim_start_matches('/').split(' ').next().unwrap();
            assert!(
                name != "b" || tag.contains("left:") || tag.starts_with('/'),
                "{story:?}: {tag}"
            );
            assert!(!tag.starts_with("script") && !tag.contains("javascript:"), "{story:?}: {tag}");
        }
        assert!(page.contains("&lt;b onload="), "{story:?}");
        assert!(!page.contains("<b onload"), "{story:?}");
        let markdown = crate::markdown(&report);
        let outside_code = markdown.split('`').step_by(2).collect::<String>();
        assert!(!outside_code.contains("<b onload"), "{story:?}");
        let xml = crate::junit(&report).unwrap();
        assert!(!xml.contains("<b onload"), "{story:?}");
    }
}

#[test]
fn a_long_run_stays_a_small_page() {
    let plan = sample::plan();
    let mut journal = sample::journal(&plan, Story::Running);
    let last = journal.last().unwrap().clone();
    let sample = journal
        .iter()
        .find_map(|recorded| match &recorded.event {
            RunEvent::Client { sample } => Some(sample.clone()),
            _ => None,
        })
        .unwrap();
    // Four hours, second by second.
    for second in 1..=14_400 {
        let at = last.at + jiff::SignedDuration::from_secs(second);
        let sample = quorate_model::ClientSample { at, ..sample.clone() };
        journal.push(Recorded { seq: last.seq, at, event: RunEvent::Client { sample } });
    }
    let page = html(&Report::fold(&plan, &journal)).unwrap();
    assert!(page.len() < 600_000, "{} bytes", page.len());
}
