-- The rows of `entries` from one id to another. `gen_random_uuid` would not be the same each time.
INSERT INTO entries
SELECT n, timestamptz '2022-01-01 00:00Z' + n * interval '40 seconds' + random() * interval '40 seconds',
       1 + floor(60000 * power(random(), 2))::int,
       round((4000 * power(random(), 4) - 300)::numeric, 2),
       round((90000 * power(random(), 2))::numeric, 2),
       (ARRAY['card', 'transfer', 'direct debit', 'standing order', 'salary', 'fee', 'interest'])
           [1 + floor(7 * power(random(), 2))::int],
       CASE WHEN random() < 0.8 THEN concat_ws(' ',
           (ARRAY['invoice', 'order', 'rent', 'membership', 'refund', 'ticket', 'insurance', 'groceries', 'fuel'])
               [1 + floor(9 * power(random(), 2))::int],
           floor(900000 * random())::int,
           (ARRAY['thank you', 'as agreed', 'see contract', 'monthly', 'final instalment', 'second reminder', 'shared costs'])
               [1 + floor(7 * power(random(), 2))::int],
           substr(md5(n::text), 1, 8)) END,
       md5((n / 2)::text || random()::text)::uuid
FROM generate_series(%(first)s::int, %(last)s::int) n;
