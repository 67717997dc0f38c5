//! `quorate path`: the hops between two releases.

use crate::{
    args::{Drawing, Global, Output, PathArgs},
    print, site,
};
use quorate_model::Facts;
use quorate_planner::{PathOutcome, PathRequest, draw, explain, path};
use quorate_runner::{
    ops::release::{release, release_of},
    problem::{BAD_RELEASE, Problem},
};

pub(crate) fn run(global: &Global, args: &PathArgs) -> Result<u8, Problem> {
    let packs = site::packs(global)?;
    let pack = site::pack(&packs, &args.pack)?;
    let available =
        args.available.iter().map(|text| release(text)).collect::<Result<Vec<_>, _>>()?;
    let from = release_of(pack, &args.from, &available)?;
    let to = release_of(pack, &args.to, &available)?;
    let request = PathRequest {
        available: (!available.is_empty()).then_some(available.as_slice()),
        facts: facts(&args.fact)?,
        convert: args.convert.as_deref(),
        ..PathRequest::on_paper(&from, &to)
    };
    let answer = path(pack, &request);
    match args.format {
        Some(Drawing::Dot) => print::data(&draw::dot(pack, &answer)),
        Some(Drawing::Svg) => print::data(&draw::svg(pack, &answer)),
        Some(Drawing::Mermaid) => print::data(&draw::mermaid(pack, &answer)),
        None if global.output == Output::Json => print::json(&answer),
        None => print::data(&explain::path_text(&answer)),
    }
    Ok(match answer.outcome {
        PathOutcome::Path | PathOutcome::NothingToDo => 0,
        PathOutcome::Blocked => 3,
    })
}

fn facts(words: &[String]) -> Result<Facts, Problem> {
    words
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| {
                Problem::new(BAD_RELEASE, format!("`{word}` is no fact"))
                    .hint("write NAME=VALUE, like `auth=true`")
            })?;
            let value = serde_json::from_str(value)
                .unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
            Ok((name.to_owned(), value))
        })
        .collect()
}
