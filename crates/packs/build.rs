//! Lists the built-in packs, so that a new file in `packs/<product>/` needs no Rust: it only writes `include_str!` lines.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let crate_dir = env::var("CARGO_MANIFEST_DIR")?;
    let packs = Path::new(&crate_dir).join("../../packs").canonicalize()?;
    println!("cargo::rerun-if-changed={}", packs.display());
    let mut files = Vec::new();
    for product in fs::read_dir(&packs)? {
        let product = product?.path();
        if !product.is_dir() {
            continue;
        }
        println!("cargo::rerun-if-changed={}", product.display());
        for file in fs::read_dir(&product)? {
            let file = file?.path();
            if file.extension().is_some_and(|ending| ending == "yaml") {
                println!("cargo::rerun-if-changed={}", file.display());
                files.push(file);
            }
        }
    }
    files.sort();
    let mut list = String::from("[\n");
    for file in files {
        let name = file.strip_prefix(&packs)?.display().to_string();
        writeln!(list, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    list.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("builtin.rs"), list)?;
    Ok(())
}
