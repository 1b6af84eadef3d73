-- The rows of `events` from one id to another. Each visitor's session has five of them, among those of others.
INSERT INTO events
SELECT picked.n,
       timestamptz '2023-01-01 00:00Z' + picked.n * interval '31 seconds' + random() * interval '31 seconds',
       1 + floor(160000 * power(random(), 2))::int,
       (ARRAY['view', 'search', 'cart.add', 'login', 'cart.remove', 'checkout', 'payment.accepted', 'payment.refused'])
           [1 + floor(8 * power(random(), 2))::int],
       CASE WHEN random() < 0.4 THEN round((1000 * power(random(), 3))::numeric, 4) END,
       text,
       jsonb_build_object('session', md5((picked.n / 40 * 8 + mod(picked.n, 8))::text), 'ip', concat_ws('.', 10, floor(256 * random()), floor(256 * random()),
                              floor(256 * random())),
                          'ms', floor(20 * power(100, random())), 'agent', floor(400 * power(random(), 3)),
                          'path', '/' || substr(text, 1, 9) || '/' || floor(90000 * power(random(), 2)),
                          'mobile', random() < 0.6)
FROM (SELECT n, floor(60000 * random())::int AS s FROM generate_series(%(first)s::int, %(last)s::int) n OFFSET 0) picked
JOIN sentences ON sentences.n = picked.s;
