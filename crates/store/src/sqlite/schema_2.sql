-- Nodes that were taken out of their clusters, until they rejoin.
CREATE TABLE ejected (
    cluster TEXT NOT NULL,
    node TEXT NOT NULL,
    ejected TEXT NOT NULL,
    PRIMARY KEY (cluster, node)
) STRICT, WITHOUT ROWID;
