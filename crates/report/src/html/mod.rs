//! The report as one self-contained page: no script, no font, no picture from anywhere else, light and dark.
//!
//! Invariant: every value goes through the template's escaping; Rust computes coordinates and words, never markup.
//! Read next: `page.html` (what the page shows), `timeline.rs` (the picture), `view.rs` (values as the page needs them).

mod axis;
mod lanes;
mod latency;
#[cfg(test)]
mod tests;
mod timeline;
mod view;

use crate::{RenderError, report::Report};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};

/// Draws the whole report as one self-contained page.
pub fn html(report: &Report) -> Result<String, RenderError> {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|name| {
        if name.ends_with(".css") { AutoEscape::None } else { AutoEscape::Html }
    });
    // A misspelt name must fail in a test instead of leaving a hole in the page.
    pages.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    pages.set_syntax(
        syntax.trim_blocks(true).lstrip_blocks(true).build().map_err(RenderError::Page)?,
    );
    let sources = [
        ("page.html", include_str!("page.html")),
        ("timeline.html", include_str!("timeline.html")),
        ("style.css", include_str!("style.css")),
    ];
    for (name, source) in sources {
        pages.add_template(name, source).map_err(RenderError::Page)?;
    }
    let page = pages.get_template("page.html").map_err(RenderError::Page)?;
    page.render(Serde(view::page(report))).map_err(RenderError::Page)
}
