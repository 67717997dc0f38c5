//! Measures what Quorate promises: one line a figure, each beside its bar.
//!
//! It never fails because a bar is missed: a busy machine is not a wrong program, and whoever reads the figures judges.
//! Read next: `figure.rs` (a line), `bed.rs` (real clusters to measure on), then a file for each benchmark.

mod ansible;
mod bare;
mod bed;
mod clients;
mod cold;
mod conversion;
mod fanout;
mod figure;
mod fleet;
mod gap;
mod lab;
mod machine;
mod naive;
mod overhead;
mod paths;
mod rolling;
mod simulate;
mod stage;

use figure::Figure;
use std::process::ExitCode;

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a benchmark gives.
type Measured = Result<Vec<Figure>, String>;

/// A benchmark.
type Bench = fn() -> Measured;

/// Every benchmark by its name, the quick ones first.
const BENCHES: [(&str, Bench); 16] = [
    ("path_1000", paths::measure),
    ("plan_fleet", fleet::measure),
    ("cold_start", cold::measure),
    ("sim_rate", simulate::measure),
    ("lab_boot", lab::measure),
    ("fanout_200", fanout::two_hundred),
    ("fanout_1000", fanout::thousand),
    ("stage_100", stage::measure),
    ("rolling_ratio", rolling::measure),
    ("roll_vs_ansible", ansible::measure),
    ("write_gap", gap::measure),
    ("migration_outage", conversion::ten_thousand),
    ("migration_outage_200k", conversion::two_hundred_thousand),
    ("run_overhead", overhead::measure),
    ("roll_clients", clients::hundred),
    ("roll_clients_300", clients::three_hundred),
];

struct Wish {
    json: bool,
    names: Vec<String>,
}

fn wish(mut words: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish { json: false, names: Vec::new() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--output" => match words.next().as_deref() {
                Some("json") => wish.json = true,
                Some("text") => wish.json = false,
                other => return Err(format!("--output takes `text` or `json`, not {other:?}")),
            },
            name if BENCHES.iter().any(|(known, _)| *known == name) => wish.names.push(word),
            other => {
                let known: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "there is no benchmark `{other}`; there are: {}",
                    known.join(", ")
                ));
            }
        }
    }
    Ok(wish)
}

fn main() -> ExitCode {
    // As the program that is measured does.
    let _ = nix::sys::prctl::set_thp_disable(true);
    match std::env::args().nth(1).as_deref() {
        Some(fleet::CHILD) => return fleet::child(),
        Some(stage::CHILD) => return stage::child(),
        _ => {}
    }
    let wish = match wish(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(because) => {
            eprintln!("error: {because}");
            return ExitCode::from(2);
        }
    };
    let mut code = ExitCode::SUCCESS;
    let chosen =
        |name: &str| wish.names.is_empty() || wish.names.iter().any(|wanted| wanted == name);
    for (name, measure) in BENCHES.iter().filter(|(name, _)| chosen(name)) {
        match measure() {
            Ok(figures) => figures.iter().for_each(|figure| println!("{}", figure.line(wish.json))),
            Err(because) => {
                eprintln!("error: {name} could not be measured: {because}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
