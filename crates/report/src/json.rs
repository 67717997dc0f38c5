//! The report as other programs read it: the promised keys first, then everything under `report`.

use crate::report::{HopReport, Report};
use serde_json::{Value, json};

/// Version of the document. Keys are added within a version, never renamed or taken away.
const REPORT_SCHEMA: u32 = 1;

/// Draws the report as one JSON document. `report_html` names the page that was written beside it, if one was.
pub fn json(report: &Report, report_html: Option<&str>) -> Value {
    json!({
        "schema": REPORT_SCHEMA,
        "run": report.run,
        "cluster": report.cluster,
        "path": report.path(),
        "outcome": report.outcome(),
        "client": client(report),
        "hops": report.hops.iter().map(hop).collect::<Vec<_>>(),
        "report_html": report_html,
        "wall_secs": report.elapsed().as_secs_f64(),
        "answer": report.answer(),
        "report": report,
    })
}

fn hop(hop: &HopReport) -> Value {
    json!({
        "from": hop.from,
        "to": hop.to,
        "wall_secs": hop.wall.as_secs_f64(),
        "floor_secs": hop.floor.as_secs_f64(),
        "rolling_secs": hop.rolling.as_secs_f64(),
        "soak_secs": hop.soak.as_secs_f64(),
        "progress": hop.progress,
        "outage_secs": hop.outage.map(|outage| outage.as_secs_f64()),
    })
}

/// Before the account at the end nobody knows what was lost: null, never a zero that was not seen.
fn client(report: &Report) -> Value {
    if !report.client.is_measured() {
        return Value::Null;
    }
    let mut client = json!(report.client.best());
    if report.client.figures.is_none() {
        for unseen in ["writes_lost", "reads_ok", "reads_stale", "watch_events", "watch_missed"] {
            client[unseen] = Value::Null;
        }
    }
    client
}
