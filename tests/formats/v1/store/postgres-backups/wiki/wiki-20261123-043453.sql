--
-- PostgreSQL database dump
--

\restrict NEHj8W5TBvBQ3cIIpV2CFeAcqheLA1U69m9YA3V7r9IBY6Wl9bcPQnDRBBm1zr2

-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: keep_revision(); Type: FUNCTION; Schema: public; Owner: wiki
--

CREATE FUNCTION public.keep_revision() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO revisions
    SELECT old.id, 1 + count(*), old.body FROM revisions WHERE page = old.id;
    RETURN new;
END
$$;


ALTER FUNCTION public.keep_revision() OWNER TO wiki;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: pages; Type: TABLE; Schema: public; Owner: wiki
--

CREATE TABLE public.pages (
    id integer NOT NULL,
    parent integer,
    title text NOT NULL,
    body text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english'::regconfig, ((title || ' '::text) || body))) STORED
);


ALTER TABLE public.pages OWNER TO wiki;

--
-- Name: pages_id_seq; Type: SEQUENCE; Schema: public; Owner: wiki
--

ALTER TABLE public.pages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.pages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: revisions; Type: TABLE; Schema: public; Owner: wiki
--

CREATE TABLE public.revisions (
    page integer NOT NULL,
    number integer NOT NULL,
    body text NOT NULL
);


ALTER TABLE public.revisions OWNER TO wiki;

--
-- Data for Name: pages; Type: TABLE DATA; Schema: public; Owner: wiki
--

COPY public.pages (id, parent, title, body) FROM stdin;
1	\N	Page 1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
5	1	Page 5	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
7	1	Page 7	Backups are claims; restores are proofs. 
11	2	Page 11	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
13	2	Page 13	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
17	3	Page 17	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
19	3	Page 19	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
23	4	Page 23	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
25	5	Page 25	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
14	2	Page 14	Backups are claims; restores are proofs. First edit of page 14.
29	5	Page 29	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
31	6	Page 31	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
35	7	Page 35	Backups are claims; restores are proofs. 
37	7	Page 37	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
41	8	Page 41	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
43	8	Page 43	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
47	9	Page 47	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
49	9	Page 49	Backups are claims; restores are proofs. 
53	10	Page 53	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
55	11	Page 55	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
59	11	Page 59	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
61	12	Page 61	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
65	13	Page 65	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
67	13	Page 67	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
71	14	Page 71	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
73	14	Page 73	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
77	15	Page 77	Backups are claims; restores are proofs. 
79	15	Page 79	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
83	16	Page 83	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
85	17	Page 85	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
89	17	Page 89	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
91	18	Page 91	Backups are claims; restores are proofs. 
95	19	Page 95	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
97	19	Page 97	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
101	20	Page 101	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
103	20	Page 103	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
107	21	Page 107	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
109	21	Page 109	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
113	22	Page 113	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
115	23	Page 115	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
119	23	Page 119	Backups are claims; restores are proofs. 
121	24	Page 121	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
125	25	Page 125	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
127	25	Page 127	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
131	26	Page 131	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
133	26	Page 133	Backups are claims; restores are proofs. 
137	27	Page 137	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
139	27	Page 139	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
143	28	Page 143	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
145	29	Page 145	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
149	29	Page 149	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
151	30	Page 151	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
155	31	Page 155	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
157	31	Page 157	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
161	32	Page 161	Backups are claims; restores are proofs. 
163	32	Page 163	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
167	33	Page 167	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
169	33	Page 169	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
173	34	Page 173	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
175	35	Page 175	Backups are claims; restores are proofs. 
179	35	Page 179	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
181	36	Page 181	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
185	37	Page 185	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
187	37	Page 187	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
191	38	Page 191	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
193	38	Page 193	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
197	39	Page 197	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
199	39	Page 199	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
2	\N	Page 2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 2.
4	\N	Page 4	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 4.
8	1	Page 8	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 8.
10	2	Page 10	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 10.
16	3	Page 16	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 16.
20	4	Page 20	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 20.
22	4	Page 22	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 22.
26	5	Page 26	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 26.
28	5	Page 28	Backups are claims; restores are proofs. First edit of page 28.
32	6	Page 32	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 32.
34	6	Page 34	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 34.
38	7	Page 38	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 38.
40	8	Page 40	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 40.
44	8	Page 44	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 44.
46	9	Page 46	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 46.
50	10	Page 50	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 50.
52	10	Page 52	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 52.
56	11	Page 56	Backups are claims; restores are proofs. First edit of page 56.
58	11	Page 58	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 58.
62	12	Page 62	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 62.
64	12	Page 64	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 64.
68	13	Page 68	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 68.
70	14	Page 70	Backups are claims; restores are proofs. First edit of page 70.
74	14	Page 74	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 74.
76	15	Page 76	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 76.
80	16	Page 80	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 80.
82	16	Page 82	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 82.
183	36	Page 183	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
86	17	Page 86	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 86.
88	17	Page 88	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 88.
92	18	Page 92	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 92.
94	18	Page 94	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 94.
98	19	Page 98	Backups are claims; restores are proofs. First edit of page 98.
100	20	Page 100	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 100.
104	20	Page 104	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 104.
106	21	Page 106	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 106.
110	22	Page 110	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 110.
112	22	Page 112	Backups are claims; restores are proofs. First edit of page 112.
116	23	Page 116	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 116.
118	23	Page 118	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 118.
122	24	Page 122	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 122.
124	24	Page 124	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 124.
128	25	Page 128	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 128.
130	26	Page 130	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 130.
134	26	Page 134	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 134.
136	27	Page 136	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 136.
140	28	Page 140	Backups are claims; restores are proofs. First edit of page 140.
142	28	Page 142	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 142.
146	29	Page 146	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 146.
148	29	Page 148	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 148.
152	30	Page 152	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 152.
154	30	Page 154	Backups are claims; restores are proofs. First edit of page 154.
158	31	Page 158	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 158.
160	32	Page 160	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 160.
164	32	Page 164	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 164.
166	33	Page 166	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 166.
170	34	Page 170	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 170.
172	34	Page 172	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 172.
176	35	Page 176	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 176.
178	35	Page 178	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 178.
182	36	Page 182	Backups are claims; restores are proofs. First edit of page 182.
184	36	Page 184	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 184.
188	37	Page 188	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 188.
190	38	Page 190	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 190.
194	38	Page 194	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 194.
196	39	Page 196	Backups are claims; restores are proofs. First edit of page 196.
200	40	Page 200	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 200.
3	\N	Page 3	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
9	1	Page 9	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
15	3	Page 15	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
21	4	Page 21	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
27	5	Page 27	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
33	6	Page 33	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
39	7	Page 39	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
45	9	Page 45	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
51	10	Page 51	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
57	11	Page 57	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
63	12	Page 63	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
69	13	Page 69	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
75	15	Page 75	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
81	16	Page 81	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
87	17	Page 87	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
93	18	Page 93	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
99	19	Page 99	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
42	8	Page 42	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 42.
105	21	Page 105	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
111	22	Page 111	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
117	23	Page 117	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
123	24	Page 123	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
129	25	Page 129	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
135	27	Page 135	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
141	28	Page 141	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
147	29	Page 147	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
153	30	Page 153	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
159	31	Page 159	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
165	33	Page 165	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
171	34	Page 171	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
177	35	Page 177	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
189	37	Page 189	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
195	39	Page 195	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. 
6	1	Page 6	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 6.
12	2	Page 12	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 12.
18	3	Page 18	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 18.
24	4	Page 24	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 24.
30	6	Page 30	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 30.
36	7	Page 36	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 36.
48	9	Page 48	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 48.
54	10	Page 54	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 54.
60	12	Page 60	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 60.
66	13	Page 66	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 66.
72	14	Page 72	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 72.
78	15	Page 78	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 78.
84	16	Page 84	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 84.
90	18	Page 90	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 90.
96	19	Page 96	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 96.
102	20	Page 102	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 102.
108	21	Page 108	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 108.
114	22	Page 114	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 114.
120	24	Page 120	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 120.
126	25	Page 126	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 126.
132	26	Page 132	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 132.
138	27	Page 138	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 138.
144	28	Page 144	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 144.
150	30	Page 150	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 150.
156	31	Page 156	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 156.
162	32	Page 162	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 162.
168	33	Page 168	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 168.
174	34	Page 174	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 174.
180	36	Page 180	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 180.
186	37	Page 186	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 186.
192	38	Page 192	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 192.
198	39	Page 198	BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. BACKUPS ARE CLAIMS; RESTORES ARE PROOFS. FIRST EDIT OF PAGE 198.
\.


--
-- Data for Name: revisions; Type: TABLE DATA; Schema: public; Owner: wiki
--

COPY public.revisions (page, number, body) FROM stdin;
2	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
4	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
6	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
8	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
10	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
12	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
14	1	Backups are claims; restores are proofs. 
16	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
18	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
20	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
22	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
24	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
26	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
28	1	Backups are claims; restores are proofs. 
30	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
32	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
34	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
36	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
38	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
40	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
42	1	Backups are claims; restores are proofs. 
44	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
46	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
48	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
50	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
52	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
54	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
56	1	Backups are claims; restores are proofs. 
58	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
60	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
62	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
64	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
66	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
68	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
70	1	Backups are claims; restores are proofs. 
72	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
74	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
76	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
78	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
80	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
82	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
84	1	Backups are claims; restores are proofs. 
86	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
88	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
90	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
92	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
94	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
96	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
98	1	Backups are claims; restores are proofs. 
100	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
102	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
104	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
106	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
108	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
110	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
112	1	Backups are claims; restores are proofs. 
114	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
116	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
118	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
120	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
122	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
124	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
126	1	Backups are claims; restores are proofs. 
128	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
130	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
132	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
134	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
136	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
138	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
140	1	Backups are claims; restores are proofs. 
142	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
144	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
146	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
148	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
150	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
152	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
154	1	Backups are claims; restores are proofs. 
156	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
105	1	Backups are claims; restores are proofs. 
158	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
160	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
162	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
164	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
166	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
168	1	Backups are claims; restores are proofs. 
170	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
172	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
174	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
176	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
178	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
180	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
182	1	Backups are claims; restores are proofs. 
184	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
186	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
188	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
190	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
192	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
194	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
196	1	Backups are claims; restores are proofs. 
198	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
200	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
3	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
9	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
15	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
21	1	Backups are claims; restores are proofs. 
27	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
33	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
39	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
45	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
51	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
57	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
63	1	Backups are claims; restores are proofs. 
69	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
75	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
81	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
87	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
93	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
99	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
42	2	Backups are claims; restores are proofs. First edit of page 42.
111	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
117	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
123	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
129	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
135	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
141	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
147	1	Backups are claims; restores are proofs. 
153	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
159	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
165	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
171	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
177	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
183	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
189	1	Backups are claims; restores are proofs. 
195	1	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. 
6	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 6.
12	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 12.
18	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 18.
24	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 24.
30	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 30.
36	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 36.
48	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 48.
54	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 54.
60	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 60.
66	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 66.
72	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 72.
78	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 78.
84	2	Backups are claims; restores are proofs. First edit of page 84.
90	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 90.
96	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 96.
102	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 102.
108	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 108.
114	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 114.
120	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 120.
126	2	Backups are claims; restores are proofs. First edit of page 126.
132	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 132.
138	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 138.
144	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 144.
150	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 150.
156	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 156.
162	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 162.
168	2	Backups are claims; restores are proofs. First edit of page 168.
174	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 174.
180	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 180.
186	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 186.
192	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 192.
198	2	Backups are claims; restores are proofs. Backups are claims; restores are proofs. Backups are claims; restores are proofs. First edit of page 198.
\.


--
-- Name: pages_id_seq; Type: SEQUENCE SET; Schema: public; Owner: wiki
--

SELECT pg_catalog.setval('public.pages_id_seq', 200, true);


--
-- Name: pages pages_pkey; Type: CONSTRAINT; Schema: public; Owner: wiki
--

ALTER TABLE ONLY public.pages
    ADD CONSTRAINT pages_pkey PRIMARY KEY (id);


--
-- Name: pages pages_title_key; Type: CONSTRAINT; Schema: public; Owner: wiki
--

ALTER TABLE ONLY public.pages
    ADD CONSTRAINT pages_title_key UNIQUE (title);


--
-- Name: revisions revisions_pkey; Type: CONSTRAINT; Schema: public; Owner: wiki
--

ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_pkey PRIMARY KEY (page, number);


--
-- Name: pages_words; Type: INDEX; Schema: public; Owner: wiki
--

CREATE INDEX pages_words ON public.pages USING gin (words);


--
-- Name: pages keep_revision; Type: TRIGGER; Schema: public; Owner: wiki
--

CREATE TRIGGER keep_revision BEFORE UPDATE OF body ON public.pages FOR EACH ROW EXECUTE FUNCTION public.keep_revision();


--
-- Name: pages pages_parent_fkey; Type: FK CONSTRAINT; Schema: public; Owner: wiki
--

ALTER TABLE ONLY public.pages
    ADD CONSTRAINT pages_parent_fkey FOREIGN KEY (parent) REFERENCES public.pages(id);


--
-- Name: revisions revisions_page_fkey; Type: FK CONSTRAINT; Schema: public; Owner: wiki
--

ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_page_fkey FOREIGN KEY (page) REFERENCES public.pages(id);


--
-- PostgreSQL database dump complete
--

\unrestrict NEHj8W5TBvBQ3cIIpV2CFeAcqheLA1U69m9YA3V7r9IBY6Wl9bcPQnDRBBm1zr2

