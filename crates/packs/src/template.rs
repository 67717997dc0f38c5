//! Templates: Jinja syntax, filters that products need, and no silent blanks: an unknown name is an error.

use base64::Engine as _;
use minijinja::{Environment, Error, ErrorKind, Template, UndefinedBehavior};
pub use minijinja::{Value as TemplateValue, context};
use std::{collections::HashSet, sync::LazyLock};

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// Fills in a template: `render("{{ endpoints.client }}/version", &context! { endpoints })`.
pub fn render(template: &str, context: &TemplateValue) -> Result<String, String> {
    ENVIRONMENT.render_str(template, context.clone()).map_err(|error| explain(&error))
}

/// Fills in a template in which a name may be unknown and is then blank.
pub fn render_lenient(template: &str, context: &TemplateValue) -> Result<String, String> {
    static LENIENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
        let mut environment = environment();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment
    });
    LENIENT.render_str(template, context.clone()).map_err(|error| explain(&error))
}

/// Statements that neither give a name a value for what follows nor take in other templates.
const PLAIN_STATEMENTS: [&str; 6] = ["for", "endfor", "if", "elif", "else", "endif"];

/// The names that a template looks up, read from its text; nothing when other statements could hide one.
pub(crate) fn names(template: &Template<'_, '_>) -> Option<HashSet<String>> {
    let is_plain = |statement: &str| {
        let inside = statement.trim_start_matches(['-', '+']).trim_start();
        let word = inside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
        word.is_some_and(|word| PLAIN_STATEMENTS.contains(&word))
    };
    let plain = template.source().split("{%").skip(1).all(is_plain);
    plain.then(|| template.undeclared_variables(false))
}

/// Turns anything that serde can write into a value for templates.
pub fn template_value<T: serde::Serialize>(value: &T) -> TemplateValue {
    TemplateValue::from(minijinja::value::Serde(value))
}

/// Makes the environment that every template is parsed and rendered in.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Templates become commands, requests and JSON, never HTML.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment
        .add_filter("b64", |text: String| base64::engine::general_purpose::STANDARD.encode(text));
    environment.add_filter("b64d", b64d);
    environment.add_filter("urlencode", |text: String| urlencode(&text));
    environment.add_filter("json", json);
    environment
}

fn b64d(text: String) -> Result<String, Error> {
    let bad = |cause: String| Error::new(ErrorKind::InvalidOperation, cause);
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .map_err(|error| bad(format!("b64d: {error}")))?;
    String::from_utf8(bytes).map_err(|_| bad("b64d: the bytes are no UTF-8 text".into()))
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn urlencode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn json(value: TemplateValue) -> Result<String, Error> {
    serde_json::to_string(&value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("json: {error}")))
}

pub(crate) fn explain(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{environment, names};

    fn names_of(text: &str) -> Option<Vec<String>> {
        let environment = environment();
        let names = names(&environment.template_from_str(text).unwrap())?;
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort();
        Some(names)
    }

    #[test]
    fn reads_the_names_that_a_template_looks_up() {
        let check = |text, want: &[&str]| assert_eq!(names_of(text).unwrap(), want, "{text}");
        check("{{ endpoints.client }}/{{ vars.gateway }}", &["endpoints", "vars"]);
        check("{{ (tls | default({}, true)).ca }}", &["tls"]);
        check(
            "{%- for m in cluster.members if m.id == node.id %}{{ m }}{% endfor %}",
            &["cluster", "node"],
        );
        check("{% if to is defined %}{{ to }}{% else %}{{ from }}{% endif %}", &["from", "to"]);
        check("{% for m in m %}{% endfor %}{{ loop }}", &["loop", "m"]);
    }

    #[test]
    fn says_nothing_where_a_statement_could_hide_a_name() {
        for text in [
            "{% set file = file ~ 'x' %}{{ file }}",
            "{%- with node = node %}{{ node }}{% endwith %}",
            "{% include from %}",
        ] {
            assert_eq!(names_of(text), None, "{text}");
        }
    }
}
