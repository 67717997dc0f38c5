//! Writes the report of a made-up run to standard output: `sample_report [succeeded|running|halted|resumed|paused|awaiting] [html|text|markdown|json|junit]`.

use quorate_report::{Report, html, json, junit, markdown, sample, sample::Story, text};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let story = match args.next().as_deref() {
        Some("running") => Story::Running,
        Some("halted") => Story::Halted,
        Some("resumed") => Story::Resumed,
        Some("paused") => Story::Paused,
        Some("awaiting") => Story::AwaitingApproval,
        _ => Story::Succeeded,
    };
    let plan = sample::plan();
    let report = Report::fold(&plan, &sample::journal(&plan, story)).of_run("r7k2".into());
    let page = match args.next().as_deref() {
        Some("text") => text(&report),
        Some("markdown") => markdown(&report),
        Some("json") => serde_json::to_string_pretty(&json(&report, None))?,
        Some("junit") => junit(&report)?,
        _ => html(&report)?,
    };
    println!("{page}");
    Ok(())
}
