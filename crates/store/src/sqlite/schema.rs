//! The form of the state file, by number: which migrations lead from any older file to this program's form.
//!
//! Invariant: a migration is never edited once released, and each runs in one transaction together with its number.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// One entry leads from the schema of its index to the next one.
const MIGRATIONS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// The schema that this program writes.
pub const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// `QUOR`: marks the file as ours, so that no other program's database is taken for an empty state file.
const APPLICATION: i32 = i32::from_be_bytes(*b"QUOR");

/// What a file is before it is touched.
pub(crate) enum FileForm {
    /// Empty, or ours with a schema that this program knows.
    Known,
    /// Ours, by a newer program.
    Newer(u32),
    /// Somebody else's database.
    Foreign,
}

/// Looks at a file without changing it. One view, because another program may be migrating the file at this moment.
pub(crate) fn form(connection: &mut Connection) -> rusqlite::Result<FileForm> {
    let view = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let tables: u32 = view.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let application: i32 = view.query_row("PRAGMA application_id", (), |row| row.get(0))?;
    let schema: u32 = view.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    Ok(match (application == APPLICATION, schema, tables) {
        (false, 0, 0) => FileForm::Known,
        (false, _, _) => FileForm::Foreign,
        (true, schema, _) if schema > SCHEMA => FileForm::Newer(schema),
        (true, _, _) => FileForm::Known,
    })
}

/// Brings the file to [`SCHEMA`]. Two programs that open a new file at once do it once.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from: u32 = change.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(from as usize) {
        change.execute_batch(migration)?;
    }
    if from < SCHEMA {
        number(&change)?;
    }
    change.commit()
}

fn number(change: &Transaction<'_>) -> rusqlite::Result<()> {
    change.pragma_update(None, "application_id", APPLICATION)?;
    change.pragma_update(None, "user_version", SCHEMA)
}
