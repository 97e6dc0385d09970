-- What the warehouse has of each store: one row for each time that something about it changed.
CREATE TABLE stores (
    store_id    BIGINT NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,   -- when the row was written: nothing of it was known before
    margin DOUBLE PRECISION, nown DOUBLE PRECISION, nfull DOUBLE PRECISION, npart DOUBLE PRECISION,
    naux DOUBLE PRECISION, hoursw DOUBLE PRECISION, hourspw DOUBLE PRECISION,
    inv1 DOUBLE PRECISION, inv2 DOUBLE PRECISION, ssize DOUBLE PRECISION,
    PRIMARY KEY (store_id, recorded_at)
);
