//! Examples in the documentation: command lines in `console` blocks, fleet files in `yaml` blocks.

use crate::pages::Page;

/// What stands before the words of a command line that is checked.
const PROMPTS: [&str; 2] = ["$ quorate ", "$ cargo run --release -- "];

/// Command lines, each with its line and its words; the first word is the program.
pub(crate) fn commands(page: &Page) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (first, block) in page.blocks("console") {
        // A backslash at the end of a line joins the next one to it.
        let block = block.replace("\\\n", " ");
        for (offset, line) in block.lines().enumerate() {
            let Some(rest) = PROMPTS.iter().find_map(|prompt| line.strip_prefix(prompt)) else {
                continue;
            };
            let mut all = vec!["quorate".to_owned()];
            all.extend(words(rest));
            found.push((first + offset, all));
        }
    }
    found
}

/// Command lines of one command with what the page shows of their output: line, words, and the lines that were printed.
pub(crate) fn shown(page: &Page, command: &str) -> Vec<(usize, Vec<String>, Vec<String>)> {
    let prompt = format!("$ quorate {command} ");
    let mut found = Vec::new();
    for (first, block) in page.blocks("console") {
        let lines: Vec<&str> = block.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with(&prompt)) {
            let mut all = vec!["quorate".to_owned()];
            all.extend(words(line.trim_start_matches("$ quorate ")));
            let output = lines[at + 1..].iter().take_while(|line| !line.starts_with("$ "));
            found.push((first + at, all, output.map(|line| (*line).to_owned()).collect()));
        }
    }
    found
}

/// Fleet files: blocks that begin as one does. Each with its place.
pub(crate) fn fleets(page: &Page) -> Vec<(String, String)> {
    let is_fleet = |text: &String| text.contains("\nfleet: ") && text.contains("schema: 1\n");
    let place = |line| format!("{}:{line}", page.path.display());
    page.blocks("yaml")
        .into_iter()
        .filter(|(_, text)| is_fleet(text))
        .map(|(line, text)| (place(line), text))
        .collect()
}

/// Splits as a shell does, as far as the examples need it: quotes, and an end at a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for one in line.chars() {
        match (one, quote) {
            ('|' | '>' | '<' | '&' | '#', None) => break,
            ('"' | '\'', None) => quote = Some(one),
            (end, Some(open)) if end == open => quote = None,
            (' ', None) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (one, _) => word.push(one),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(words("run note r1 'all is well' | head"), ["run", "note", "r1", "all is well"]);
    assert_eq!(words("path etcd 3.3.25 3.5.16 > path.svg"), ["path", "etcd", "3.3.25", "3.5.16"]);
}
