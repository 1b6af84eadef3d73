ALTER TABLE entries ADD PRIMARY KEY (id);
CREATE INDEX ON entries (account_id, booked_at);
CREATE INDEX ON transfers (account_id);
ALTER TABLE entries ADD FOREIGN KEY (account_id) REFERENCES accounts;
ALTER TABLE transfers ADD FOREIGN KEY (account_id) REFERENCES accounts;
