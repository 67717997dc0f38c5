//! `quorate recover`: members that hold different data all get those of one of them.

use super::{apply::agreed, carry};
use crate::{
    args::{Global, Output, Recover},
    print, site,
};
use quorate_planner::explain;
use quorate_runner::{
    ops::{
        recover::{Compare, Compared, Difference, compare, plan},
        run::begin,
    },
    problem::Problem,
};
use serde_json::{Value, json};

/// Exit status for members that were compared, and differ.
const THEY_DIFFER: u8 = 5;

pub(crate) async fn recover(global: &Global, args: Recover) -> Result<u8, Problem> {
    let setup = site::setup(global, &args.artifacts)?;
    let cluster = setup.cluster(&args.cluster)?;
    let source = args.source.as_deref();
    let found = match compare(&setup, cluster, source, &|text| print::say(text)).await? {
        Compared::Alike(text) => {
            tell(global, &args.cluster, &json!({ "differ": false, "text": text }), &text);
            return Ok(0);
        }
        Compared::Differ(found) => found,
    };
    tell(global, &args.cluster, &as_json(&found), &as_text(&found));
    if args.compare {
        return Ok(THEY_DIFFER);
    }
    let plan = plan(&setup, cluster, &found)?;
    print::say(&explain::summary(&plan));
    for loss in &plan.losses {
        print::say(&format!("would be lost: {loss}"));
    }
    agreed(&args.carry, &format!("give every member the data of {}", found.source))?;
    let carried = begin(&setup, plan, &carry::options(&args.carry)).await?;
    carry::show(global, &args.carry, carried).await
}

/// The comparison is what `--output json` asks for; where a run follows, its events come after it.
fn tell(global: &Global, cluster: &str, found: &Value, text: &str) {
    if global.output == Output::Json {
        let mut all = json!({ "schema": 1, "cluster": cluster });
        if let (Some(all), Some(found)) = (all.as_object_mut(), found.as_object()) {
            all.extend(found.clone());
        }
        print::json(&all);
    } else {
        print::data(text);
    }
}

fn as_json(found: &Difference) -> Value {
    let member = |Compare { node, held, differs }: &Compare| {
        json!({
            "node": node,
            "keys": held.keys,
            "newest_revision": held.newest,
            "lacks": differs.lacks,
            "holds_alone": differs.alone,
            "other_values": differs.other,
            "other_revisions": differs.revised,
            "examples": differs.examples,
        })
    };
    json!({
        "differ": true,
        "keys": found.keys,
        "members": found.members.iter().map(member).collect::<Vec<_>>(),
        "not_compared": found.silent,
        "source": found.source,
        "because": found.because,
        "file": found.file,
    })
}

fn as_text(found: &Difference) -> String {
    let width = found.members.iter().map(|member| member.node.as_str().len()).max().unwrap_or(0);
    let mut lines = vec![match found.keys {
        0 => "no key differs, and the members' hashes do: what they keep of the past is another"
            .to_owned(),
        keys => format!("{keys} keys differ; beside {}:", found.source),
    }];
    for Compare { node, held, differs } in &found.members {
        let how = if *node == found.source {
            format!("the source: {}", found.because)
        } else {
            let parts = [
                (differs.lacks, "lacked"),
                (differs.alone, "held by it alone"),
                (differs.other, "with another value"),
                (differs.revised, "with the same value of another revision"),
            ];
            let told = parts.iter().filter(|(count, _)| *count > 0);
            let told: Vec<String> = told.map(|(count, what)| format!("{count} {what}")).collect();
            if told.is_empty() { "the same".to_owned() } else { told.join(", ") }
        };
        lines.push(format!(
            "  {:width$}  {} keys, newest change at revision {}; {how}",
            node.as_str(),
            held.keys,
            held.newest
        ));
    }
    lines.extend(
        found.silent.iter().map(|node| format!("  {node} does not serve, and was not compared")),
    );
    lines.push(format!("every difference, a line a key: {}", found.file.display()));
    lines.join("\n")
}
