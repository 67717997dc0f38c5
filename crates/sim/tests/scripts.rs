//! Plays every script of `scripts/` and compares its transcript.

use std::path::Path;

fn play(path: &Path) -> datatest_stable::Result<()> {
    let transcript = quorate_sim::script::play(&std::fs::read_to_string(path)?);
    let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a script has a name")?;
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, transcript);
    });
    Ok(())
}

datatest_stable::harness! {
    { test = play, root = "scripts", pattern = r".*\.txt$" },
}
