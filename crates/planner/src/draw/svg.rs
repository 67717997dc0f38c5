//! A path as a picture for the wall: a column a line, chosen hops as thick arrows, refused ones as dashed arcs.
//!
//! The layout is by hand: columns from left to right by line, chosen releases on top. Chosen hops are straight; refused
//! ones bend below all boxes, short ones above long ones, each in a lane of its own where they would overlap.

use super::{colour, columns, on_the_way, risk_name, rule_ids};
use crate::path::{PathAnswer, PathHop, PathOutcome};
use quorate_model::{Release, Risk};
use quorate_packs::Pack;
use std::{collections::BTreeMap, fmt::Write};

const BOX_WIDTH: i32 = 120;
const BOX_HEIGHT: i32 = 44;
/// Wide enough for the ids of four rules on an arrow.
const COLUMN_STEP: i32 = 300;
const ROW_STEP: i32 = 96;
const LEFT: i32 = 60;
const TOP: i32 = 130;
/// Room for one refused arc and its label.
const ARC_STEP: i32 = 40;
/// Room for one sentence below the picture.
const NOTE_STEP: i32 = 20;
/// Room for the sentences below a short way.
const WIDTH_MIN: i32 = 1_100;

type Places = BTreeMap<Release, (i32, i32)>;

/// Draws the path.
pub fn svg(pack: &Pack, answer: &PathAnswer) -> String {
    let columns = columns(pack, answer);
    let rows = columns.iter().map(|(_, releases)| releases.len()).max().unwrap_or(1);
    let places = places(&columns, answer);
    let arcs = arcs(&places, answer);
    let lanes = arcs.iter().map(|arc| arc.lane + 1).max().unwrap_or(0);
    let floor = TOP + as_i32(rows) * ROW_STEP - 30;
    let below = floor + lanes * ARC_STEP + 50;
    let width =
        (LEFT * 2 + BOX_WIDTH + (as_i32(columns.len()) - 1).max(0) * COLUMN_STEP).max(WIDTH_MIN);
    // A hop that stays on its release has no arrow.
    let stays = answer.hops.iter().filter(|hop| hop.conversion.is_some());
    let stays = stays.map(|hop| format!("{}: everything stops, data change form", hop.title()));
    let refused = answer.refused.iter().map(|refused| {
        format!("{} → {}: {}: {}", refused.from, refused.to, refused.rule, refused.because)
    });
    let notes: Vec<String> = stays.chain(refused).collect();
    let height = below + as_i32(notes.len()) * NOTE_STEP + 30;
    let mut picture = Picture { out: String::new() };
    picture.head(width, height, pack, answer);
    for (index, (line, _)) in columns.iter().enumerate() {
        picture.column(LEFT + as_i32(index) * COLUMN_STEP, floor, line);
    }
    for arc in &arcs {
        picture.refused(arc, floor + arc.lane * ARC_STEP);
    }
    for hop in answer.hops.iter().filter(|hop| hop.conversion.is_none()) {
        if let (Some(from), Some(to)) = (places.get(&hop.from), places.get(&hop.to)) {
            picture.hop(*from, *to, hop);
        }
    }
    for (release, place) in &places {
        picture.release(*place, release, on_the_way(answer, release));
    }
    let mut y = below;
    for text in &notes {
        picture.note(LEFT, y, &shortened(text, width));
        y += NOTE_STEP;
    }
    picture.out.push_str("</svg>\n");
    picture.out
}

fn as_i32(n: usize) -> i32 {
    // No picture has more boxes than this; a larger number would only make it unreadable.
    i32::try_from(n).unwrap_or(1_000)
}

/// A refused hop as it is drawn.
struct Arc<'a> {
    from: (i32, i32),
    to: (i32, i32),
    rule: &'a str,
    lane: i32,
}

/// Short arcs first; each takes the highest lane in which it overlaps none before it.
fn arcs<'a>(places: &Places, answer: &'a PathAnswer) -> Vec<Arc<'a>> {
    let drawn = answer.refused.iter().filter_map(|refused| {
        let (from, to) = (*places.get(&refused.from)?, *places.get(&refused.to)?);
        Some(Arc { from, to, rule: &refused.rule, lane: 0 })
    });
    let mut arcs: Vec<Arc<'a>> = drawn.collect();
    arcs.sort_by_key(|arc| (arc.to.0 - arc.from.0, arc.from.0, arc.to.1));
    for index in 0..arcs.len() {
        let (before, rest) = arcs.split_at_mut(index);
        let Some(arc) = rest.first_mut() else { continue };
        let apart = |other: &Arc<'_>| other.to.0 <= arc.from.0 || arc.to.0 <= other.from.0;
        let taken = |lane: i32| before.iter().any(|other| other.lane == lane && !apart(other));
        arc.lane = (0..).find(|lane| !taken(*lane)).unwrap_or(0);
    }
    arcs
}

/// Chosen releases on top of their column, so that the way runs straight.
fn places(columns: &[(String, Vec<Release>)], answer: &PathAnswer) -> Places {
    let mut places = Places::new();
    let mut x = LEFT;
    for (_, releases) in columns {
        let mut y = TOP;
        let chosen = releases.iter().filter(|release| on_the_way(answer, release));
        let others = releases.iter().filter(|release| !on_the_way(answer, release));
        for release in chosen.chain(others) {
            places.insert(release.clone(), (x, y));
            y += ROW_STEP;
        }
        x += COLUMN_STEP;
    }
    places
}

/// Six and a half pixels a letter at this size; what does not fit is in the text and JSON answers.
fn shortened(text: &str, width: i32) -> String {
    let room = usize::try_from((width - 2 * LEFT) * 2 / 13).unwrap_or(40);
    match text.char_indices().nth(room) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

struct Picture {
    out: String,
}

impl Picture {
    fn line(&mut self, text: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.out, "{text}");
    }

    fn head(&mut self, width: i32, height: i32, pack: &Pack, answer: &PathAnswer) {
        let title = escaped(&format!("{} {} → {}", pack.title, answer.from, answer.to));
        let outcome = match answer.outcome {
            PathOutcome::Path => {
                format!("{} hops: the fewest risks, then the fewest hops", answer.hops.len())
            }
            PathOutcome::Blocked => "blocked: no chain of permitted hops leads there".to_owned(),
            PathOutcome::NothingToDo => "nothing to do".to_owned(),
        };
        self.line(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" role=\"img\" aria-label=\"{title}\">"
        ));
        self.line("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
        self.line("<defs>");
        for risk in [Risk::Low, Risk::Med, Risk::High] {
            self.marker(risk_name(risk), colour(risk));
        }
        self.marker("refused", "#777777");
        self.line("</defs>");
        self.line(&format!(
            "<text x=\"{LEFT}\" y=\"40\" font-size=\"24\" font-weight=\"bold\">{title}</text>"
        ));
        self.line(&format!(
            "<text x=\"{LEFT}\" y=\"64\" font-size=\"14\" fill=\"#555555\">{}</text>",
            escaped(&outcome)
        ));
        self.legend(width - 420);
    }

    fn legend(&mut self, x: i32) {
        let solid =
            [Risk::Low, Risk::Med, Risk::High].map(|risk| (colour(risk), risk_name(risk), ""));
        let mut x = x;
        for (colour, name, dash) in
            solid.into_iter().chain([("#777777", "refused", " stroke-dasharray=\"7 5\"")])
        {
            self.line(&format!(
                "<line x1=\"{x}\" y1=\"36\" x2=\"{}\" y2=\"36\" stroke=\"{colour}\" stroke-width=\"4\"{dash}/>",
                x + 30
            ));
            self.line(&format!("<text x=\"{}\" y=\"40\" font-size=\"12\">{name}</text>", x + 36));
            x += 90;
        }
    }

    fn marker(&mut self, id: &str, colour: &str) {
        self.line(&format!(
            "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"14\" markerHeight=\"14\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"{colour}\"/></marker>"
        ));
    }

    fn column(&mut self, x: i32, floor: i32, line: &str) {
        let (left, height) = (x - 20, floor - TOP + 30);
        self.line(&format!(
            "<rect x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{height}\" rx=\"10\" fill=\"#f4f6f8\"/>",
            TOP - 40,
            BOX_WIDTH + 40
        ));
        self.line(&format!(
            "<text x=\"{}\" y=\"{}\" font-size=\"15\" text-anchor=\"middle\" fill=\"#555555\">{}</text>",
            x + BOX_WIDTH / 2,
            TOP - 18,
            escaped(line)
        ));
    }

    fn release(&mut self, (x, y): (i32, i32), release: &Release, chosen: bool) {
        let (stroke, width, weight) =
            if chosen { ("#1f2933", 3, "bold") } else { ("#9aa5b1", 1, "normal") };
        self.line(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" fill=\"#ffffff\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>"
        ));
        self.line(&format!(
            "<text x=\"{}\" y=\"{}\" font-size=\"17\" font-weight=\"{weight}\" text-anchor=\"middle\">{}</text>",
            x + BOX_WIDTH / 2,
            y + BOX_HEIGHT / 2 + 6,
            escaped(&release.to_string())
        ));
    }

    fn hop(&mut self, from: (i32, i32), to: (i32, i32), hop: &PathHop) {
        let (id, colour) = (risk_name(hop.risk), colour(hop.risk));
        let label = format!("{} · {id}", rule_ids(hop));
        let same_column = from.0 == to.0;
        let middle = BOX_HEIGHT / 2;
        let (x1, y1, x2, y2) = if same_column {
            let x = from.0 + BOX_WIDTH / 2;
            (x, from.1 + BOX_HEIGHT, x, to.1)
        } else {
            (from.0 + BOX_WIDTH, from.1 + middle, to.0, to.1 + middle)
        };
        self.line(&format!(
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke=\"{colour}\" stroke-width=\"5\" marker-end=\"url(#{id})\"/>"
        ));
        let (x, y, anchor) = if same_column {
            (x1 + 10, i32::midpoint(y1, y2) + 4, "start")
        } else {
            (i32::midpoint(x1, x2), i32::midpoint(y1, y2) - 12, "middle")
        };
        self.line(&format!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"12\" text-anchor=\"{anchor}\" fill=\"{colour}\" stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\">{}</text>",
            escaped(&label)
        ));
    }

    fn refused(&mut self, arc: &Arc<'_>, depth: i32) {
        let Arc { from, to, rule, lane: _ } = arc;
        let (x1, y1) = (from.0 + BOX_WIDTH / 2, from.1 + BOX_HEIGHT);
        let (x2, y2) = (to.0 + BOX_WIDTH / 2, to.1 + BOX_HEIGHT);
        // A curve whose two handles lie at this depth just touches three quarters of it.
        let low = (depth + 20) * 4 / 3 - (y1 + y2) / 6;
        self.line(&format!(
            "<path d=\"M{x1} {y1} C{x1} {low} {x2} {low} {x2} {y2}\" fill=\"none\" stroke=\"#777777\" stroke-width=\"1.5\" stroke-dasharray=\"7 5\" marker-end=\"url(#refused)\"/>"
        ));
        let y = depth + 20;
        self.line(&format!(
            "<text x=\"{}\" y=\"{}\" font-size=\"12\" text-anchor=\"middle\" fill=\"#555555\" stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\">✗ {}</text>",
            i32::midpoint(x1, x2),
            y + 4,
            escaped(rule)
        ));
    }

    fn note(&mut self, x: i32, y: i32, text: &str) {
        self.line(&format!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"12\" fill=\"#555555\">{}</text>",
            escaped(text)
        ));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
