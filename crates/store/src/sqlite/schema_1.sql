-- The first form of the state file. Never edited once released: a change is a new file in the list of migrations.
CREATE TABLE runs (
    run TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    plan TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs (run),
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    name TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_by_name ON events (run, name);

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN
    SELECT RAISE (ABORT, 'a journal only grows');
END;

CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN
    SELECT RAISE (ABORT, 'a journal only grows');
END;

CREATE TABLE plans (
    digest TEXT PRIMARY KEY,
    plan TEXT NOT NULL
) STRICT;

CREATE TABLE observations (
    id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL,
    taken_at TEXT NOT NULL,
    observation TEXT NOT NULL
) STRICT;

CREATE INDEX observations_by_time ON observations (cluster, taken_at, id);

-- The generation outlives the lease: `lease` is empty while nobody holds it.
CREATE TABLE leases (
    cluster TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    lease TEXT
) STRICT;

CREATE TABLE measured (
    id INTEGER PRIMARY KEY,
    pack TEXT NOT NULL,
    role TEXT NOT NULL,
    at TEXT NOT NULL,
    secs REAL NOT NULL
) STRICT;

CREATE INDEX measured_by_time ON measured (pack, role, at, id);
