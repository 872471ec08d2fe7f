"""Statements of every form that Cassandra 5 knows, by type, keyspace and table; and texts that are none.

A type that CREATE, ALTER and DROP stand for has the object behind it. One statement a line.
"""

from __future__ import annotations

SOME_UUID = "6ab09bec-e68e-48d9-a5f8-97e6fb4c9b47"

SELECTS = """
SELECT * FROM ks.t
select a from ks.t;
SELECT a, "B", c AS d FROM ks.t WHERE k = 1 AND c > 2 AND c <= 3
SELECT JSON * FROM ks.t
SELECT JSON a, b FROM ks.t WHERE k = 'x'
SELECT json FROM ks.t
SELECT json, distinct FROM ks.t
SELECT json AS distinct FROM ks.t
SELECT DISTINCT k FROM ks.t
SELECT JSON DISTINCT k FROM ks.t
SELECT DISTINCT json FROM ks.t
SELECT count(*) FROM ks.t
SELECT COUNT(1), count(a) AS n FROM ks.t
SELECT writetime(a), ttl(a), maxwritetime(m) FROM ks.t
SELECT writetime(u.f), ttl(m['x']) FROM ks.t
SELECT cast(a AS text), CAST(b AS double) AS d FROM ks.t
SELECT m['a'], s[1..2], l[..3], l[2..], u.f, u.f.g FROM ks.t
SELECT a + 1, -b, (a * 2) % 3 / 4 - c FROM ks.t
SELECT (int)1, (text)'a', (list<int>)[1, 2], (set<int>){1, 2}, (map<int, text>){1: 'a'} FROM ks.t
SELECT (a, b), [a, b], {a, b}, {a : b} FROM ks.t
SELECT ks2.f(a, g(b)), token(k), toJson(a), min(a), max(b), avg(c), sum(d) FROM ks.t
SELECT token(k1, k2) FROM ks.t WHERE token(k1, k2) > token(1, 'a') AND token(k1, k2) <= 5
SELECT mask_inner(a, 1, null), mask_default(b), mask_hash(c, 'SHA-512') FROM ks.t
SELECT 1, 'x', 1.5, true, null, ?, :name, 0xff, now(), 1h FROM ks.t
SELECT * FROM ks.t WHERE k IN (1, 2, 3) AND c IN ?
SELECT * FROM ks.t WHERE k IN () ALLOW FILTERING
SELECT * FROM ks.t WHERE k IN :names
SELECT * FROM ks.t WHERE k = ? AND (c, d) > (1, 2) AND (c, d) <= ?
SELECT * FROM ks.t WHERE k = ? AND (c, d) IN ((1, 2), (3, 4))
SELECT * FROM ks.t WHERE k = ? AND (c, d) IN (?, ?)
SELECT * FROM ks.t WHERE k = ? AND (c, d) IN ?
SELECT * FROM ks.t WHERE k = ? AND (c, d) IN ()
SELECT * FROM ks.t WHERE (k = 1) AND (((c = 2)))
SELECT * FROM ks.t WHERE l CONTAINS 1 AND m CONTAINS KEY 'a' AND m['x'] = 2 ALLOW FILTERING
SELECT * FROM ks.t WHERE a LIKE '%x%' AND a IS NOT NULL ALLOW FILTERING
SELECT * FROM ks.t WHERE a != 3 ALLOW FILTERING
SELECT * FROM ks.t WHERE expr(i, 'x')
SELECT * FROM ks.t WHERE expr("I", ?) AND k = 1
SELECT * FROM ks.t WHERE k = 1 ORDER BY c DESC, d ASC, e LIMIT 10
SELECT * FROM ks.t ORDER BY v ANN OF [1.0, 2.0] LIMIT 3
SELECT * FROM ks.t ORDER BY v ANN OF ? LIMIT ?
SELECT similarity_cosine(v, [0.1, 0.2]) FROM ks.t
SELECT k, max(a) FROM ks.t GROUP BY k, c PER PARTITION LIMIT 2 LIMIT :l ALLOW FILTERING
SELECT k FROM ks.t GROUP BY k, floor(c, 10)
SELECT a FROM ks.t WHERE k = -1 AND c = - 1 AND d = 1 + 2 * (3)
SELECT a FROM ks.t WHERE k = f(1) AND c = ks.f(?, 2) AND d = (int)? AND e = CAST(1 AS bigint)
SELECT a FROM ks.t WHERE k = {a: 1, "B": 'x'} AND d = {1: {2, 3}} AND e = {} AND f = [] AND g = [[1], [2]]
SELECT a FROM ks.t WHERE k = $$it's$$ AND d = 'it''s'
SELECT /* WHERE */ a -- FROM x.y
 FROM ks.t // end
 WHERE k = 1
SELECT key, values, type, ttl, count, list, map, text, user, as FROM ks.t
SELECT as AS as FROM ks.t
"""

CHANGES = f"""
insert| INSERT INTO ks.t (k, a) VALUES (1, 'x')
insert| INSERT INTO ks.t (k, "A") VALUES (?, :a) IF NOT EXISTS USING TIMESTAMP 5 AND TTL ?
insert| INSERT INTO ks.t (k, l, s, m, u, t) VALUES ({SOME_UUID}, [1, 2], {{'a'}}, {{'a': 1}}, {{f: 1, g: null}}, (1, 'x'))
insert| INSERT INTO ks.t (k, d) VALUES (now(), 1h30m) USING TTL 60
insert| INSERT INTO ks.t (k, v) VALUES (-1.5e-3, [NaN, -Infinity])
insert| INSERT INTO ks.t JSON '{{"k": 1}}'
insert| INSERT INTO ks.t JSON ? DEFAULT UNSET IF NOT EXISTS
insert| INSERT INTO ks.t JSON :j DEFAULT NULL USING TIMESTAMP ?
update| UPDATE ks.t SET a = 1 WHERE k = 2
update| UPDATE ks.t USING TTL 5 AND TIMESTAMP 6 SET a = ?, b = null WHERE k = ? AND c IN (1, 2)
update| UPDATE ks.t SET n = n + 1, o = o - 2, p = p -3 WHERE k = 1
update| UPDATE ks.t SET l = [1] + l, m = m + {{'a': 1}}, s = s - {{2}} WHERE k = 1
update| UPDATE ks.t SET l += [1], s -= {{2}} WHERE k = 1
update| UPDATE ks.t SET l[0] = 1, m['a'] = ?, u.f = 2 WHERE k = 1
update| UPDATE ks.t SET a = 1 WHERE k = 1 IF EXISTS
update| UPDATE ks.t SET a = 1 WHERE k = 1 IF a = 2 AND b > ? AND c IN (1, 2) AND l[0] = 3 AND u.f != 4 AND d IN ?
update| UPDATE ks.t SET a = 1 WHERE k = 1 IF exists = 2
update| UPDATE ks.t SET a = f(1) + 2, b = (int)3 WHERE k = 1
delete| DELETE FROM ks.t WHERE k = 1
delete| DELETE a, l[0], m['x'], u.f FROM ks.t USING TIMESTAMP 5 WHERE k = 1 AND c > 2
delete| DELETE FROM ks.t WHERE k = ? IF EXISTS
delete| DELETE a FROM ks.t WHERE k = ? IF a = 1 AND l CONTAINS 2
"""

BATCHES = """
BEGIN BATCH APPLY BATCH
BEGIN BATCH INSERT INTO ks.t (k) VALUES (1) APPLY BATCH
BEGIN UNLOGGED BATCH USING TIMESTAMP 5 INSERT INTO ks.t (k) VALUES (1); UPDATE ks.u SET a = 1 WHERE k = 1; APPLY BATCH;
BEGIN COUNTER BATCH UPDATE ks.t SET n = n + 1 WHERE k = ? UPDATE ks.t SET n += 2 WHERE k = ? APPLY BATCH
BEGIN BATCH DELETE FROM ks.t WHERE k = 1 IF EXISTS; INSERT INTO ks.t (k) VALUES (2) IF NOT EXISTS; APPLY BATCH
"""

OTHERS = """
use|ks|| USE ks
use|"Ks"|| USE "Ks";
truncate|ks|t| TRUNCATE ks.t
truncate|ks|t| TRUNCATE TABLE ks.t
truncate|ks|t| TRUNCATE COLUMNFAMILY ks.t
create 1|ks|| CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}
create 1|ks|| CREATE SCHEMA IF NOT EXISTS ks WITH REPLICATION = {'class': 'N', 'dc1': 3} AND durable_writes = false
alter 1|ks|| ALTER KEYSPACE IF EXISTS ks WITH durable_writes = true
drop 1|ks|| DROP KEYSPACE IF EXISTS ks
create 2|ks|t| CREATE TABLE ks.t (k int PRIMARY KEY, a text)
create 2|ks|t| CREATE TABLE IF NOT EXISTS ks.t (k int, c text, s blob STATIC, PRIMARY KEY (k, c))
create 2|ks|t| CREATE COLUMNFAMILY ks.t (k1 int, k2 int, c int, PRIMARY KEY ((k1, k2), c)) WITH CLUSTERING ORDER BY (c
 DESC) AND comment = 'x'
create 2|ks|t| CREATE TABLE ks.t (k int PRIMARY KEY, l list<frozen<map<text, int>>>, t tuple<int, text>, v
 vector<float, 3>, u ks.udt, f frozen<udt>, x 'org.Type',)
create 2|ks|t| CREATE TABLE ks.t (k int PRIMARY KEY, a text MASKED WITH DEFAULT, b text MASKED WITH mask_inner(1,
 null)) WITH COMPACT STORAGE AND gc_grace_seconds = 1
create 2|ks|t| CREATE TABLE ks.t (k int PRIMARY KEY) WITH compaction = {'class': 'X'} AND id =
 5a1c395e-b41f-11e5-9f22-ba0be0483c18 AND speculative_retry = ALWAYS
alter 2|ks|t| ALTER TABLE ks.t ADD a int
alter 2|ks|t| ALTER TABLE IF EXISTS ks.t ADD IF NOT EXISTS (a int STATIC, b text MASKED WITH DEFAULT)
alter 2|ks|t| ALTER TABLE ks.t DROP IF EXISTS (a, b) USING TIMESTAMP 5
alter 2|ks|t| ALTER TABLE ks.t DROP a
alter 2|ks|t| ALTER TABLE ks.t DROP COMPACT STORAGE
alter 2|ks|t| ALTER TABLE ks.t RENAME IF EXISTS a TO b AND c TO d
alter 2|ks|t| ALTER TABLE ks.t ALTER a TYPE blob
alter 2|ks|t| ALTER TABLE ks.t ALTER IF EXISTS a MASKED WITH mask_null()
alter 2|ks|t| ALTER TABLE ks.t ALTER a DROP MASKED
alter 2|ks|t| ALTER TABLE ks.t WITH comment = 'x' AND bloom_filter_fp_chance = 0.1
drop 2|ks|t| DROP TABLE IF EXISTS ks.t
create 3|ks|| CREATE TYPE IF NOT EXISTS ks.u (a int, b frozen<list<text>>)
alter 3|ks|| ALTER TYPE ks.u ADD c int
alter 3|ks|| ALTER TYPE IF EXISTS ks.u ADD IF NOT EXISTS c int
alter 3|ks|| ALTER TYPE ks.u RENAME IF EXISTS a TO b AND c TO d
alter 3|ks|| ALTER TYPE ks.u ALTER a TYPE int
drop 3|ks|| DROP TYPE IF EXISTS ks.u
create 4|ks|| CREATE OR REPLACE FUNCTION ks.f (a int, b list<text>) RETURNS NULL ON NULL INPUT RETURNS text LANGUAGE
 java AS $$ return "x"; $$
create 4|ks|| CREATE FUNCTION IF NOT EXISTS ks.f () CALLED ON NULL INPUT RETURNS int LANGUAGE java AS 'return 1;'
drop 4|ks|| DROP FUNCTION IF EXISTS ks.f (int, text)
drop 4|ks|| DROP FUNCTION ks.f
create 5|ks|| CREATE AGGREGATE ks.a (int) SFUNC f STYPE tuple<int, bigint> FINALFUNC g INITCOND (0, 0)
create 5|ks|| CREATE OR REPLACE AGGREGATE ks.a (int, text) SFUNC f STYPE int
drop 5|ks|| DROP AGGREGATE IF EXISTS ks.a (int)
create 6|ks|t| CREATE MATERIALIZED VIEW IF NOT EXISTS ks.v AS SELECT * FROM ks.t WHERE k IS NOT NULL AND c IS NOT NULL
 PRIMARY KEY ((c), k) WITH CLUSTERING ORDER BY (k ASC)
create 6|ks|t| CREATE MATERIALIZED VIEW ks.v AS SELECT a, b FROM ks.t WHERE k IS NOT NULL PRIMARY KEY (c, k)
alter 6|ks|| ALTER MATERIALIZED VIEW ks.v WITH comment = 'x'
drop 6|ks|| DROP MATERIALIZED VIEW IF EXISTS ks.v
create 7|ks|t| CREATE INDEX ON ks.t (a)
create 7|ks|t| CREATE INDEX IF NOT EXISTS i ON ks.t (keys(m))
create 7|ks|t| CREATE CUSTOM INDEX i ON ks.t (entries(m)) USING 'sai' WITH OPTIONS = {'a': 'b'}
create 7|ks|t| CREATE INDEX i ON ks.t (full(l))
create 7|ks|t| CREATE INDEX i ON ks.t (values(l)) USING 'legacy_local_table'
drop 7|ks|| DROP INDEX IF EXISTS ks.i
create 8|ks|t| CREATE TRIGGER IF NOT EXISTS tr ON ks.t USING 'org.x.Trigger'
drop 8|ks|t| DROP TRIGGER IF EXISTS tr ON ks.t
create 9||| CREATE ROLE IF NOT EXISTS r WITH PASSWORD = 'x' AND LOGIN = true AND SUPERUSER = false AND OPTIONS = {'a': 'b'}
create 9||| CREATE ROLE 'r' WITH ACCESS TO DATACENTERS {'dc1', 'dc2'} AND ACCESS FROM ALL CIDRS
create 9||| CREATE ROLE "R" WITH HASHED PASSWORD = 'x' AND ACCESS TO ALL DATACENTERS AND ACCESS FROM CIDRS {'a'}
alter 9||| ALTER ROLE IF EXISTS r WITH PASSWORD = 'y'
drop 9||| DROP ROLE IF EXISTS r
create 9||| CREATE USER IF NOT EXISTS u WITH PASSWORD 'x' SUPERUSER
alter 9||| ALTER USER u WITH HASHED PASSWORD 'x' NOSUPERUSER
drop 9||| DROP USER IF EXISTS u
grant 9||| GRANT r TO s
revoke 9||| REVOKE r FROM s
grant 11|ks|t| GRANT SELECT ON ks.t TO r
grant 11|ks|t| GRANT SELECT, MODIFY PERMISSION ON TABLE ks.t TO r
grant 11||| GRANT ALL PERMISSIONS ON ALL KEYSPACES TO r
grant 11|ks|| GRANT CREATE ON ALL TABLES IN KEYSPACE ks TO r
grant 11|ks|| GRANT EXECUTE ON FUNCTION ks.f(int, text) TO r
grant 11|ks|| GRANT EXECUTE ON ALL FUNCTIONS IN KEYSPACE ks TO r
grant 11||| GRANT ALTER ON ROLE s TO r
grant 11||| GRANT DESCRIBE ON ALL ROLES TO r
grant 11||| GRANT SELECT ON MBEAN 'a:b=c' TO r
grant 11|ks|t| GRANT UNMASK ON ks.t TO r
grant 11|ks|t| GRANT SELECT_MASKED ON ks.t TO r
revoke 11|ks|| REVOKE ALL ON KEYSPACE ks FROM r
revoke 11|ks|t| REVOKE MODIFY ON ks.t FROM r
list 9||| LIST ROLES
list 9||| LIST ROLES OF r NORECURSIVE
list 9||| LIST USERS
list 9||| LIST SUPERUSERS
list 11||| LIST ALL PERMISSIONS
list 11|ks|t| LIST SELECT ON ks.t OF r NORECURSIVE
add 10||| ADD IDENTITY IF NOT EXISTS 'id' TO ROLE 'r'
drop 10||| DROP IDENTITY IF EXISTS 'id'
describe 0||| DESCRIBE CLUSTER
describe 0||| DESC FULL SCHEMA
describe 0||| DESCRIBE SCHEMA WITH INTERNALS
describe 0||| DESCRIBE KEYSPACES
describe 1|ks|| DESCRIBE ONLY KEYSPACE ks
describe 1|ks|| DESC KEYSPACE ks
describe 0||| DESCRIBE TABLES
describe 2|ks|t| DESCRIBE TABLE ks.t WITH INTERNALS
describe 7|ks|| DESCRIBE INDEX ks.i
describe 6|ks|| DESCRIBE MATERIALIZED VIEW ks.v
describe 0||| DESCRIBE TYPES
describe 3|ks|| DESCRIBE TYPE ks.u
describe 0||| DESCRIBE FUNCTIONS
describe 4|ks|| DESCRIBE FUNCTION ks.f
describe 0||| DESCRIBE AGGREGATES
describe 5|ks|| DESCRIBE AGGREGATE ks.a
describe 0|ks|t| DESCRIBE ks.t
"""

UNKNOWN = """
SELECT
SELECT a
SELECT FROM t
SELECT a FROM
SELECT a b FROM t
SELECT a, FROM t
SELECT a FROM t WHERE
SELECT a FROM t WHERE k
SELECT a FROM t WHERE k =
SELECT a FROM t WHERE k = x
SELECT a FROM t WHERE k = 1 AND
SELECT a FROM t WHERE k = 1 OR b = 2
SELECT a FROM t LIMIT 'x'
SELECT a FROM t LIMIT 1 LIMIT 2
SELECT a FROM t; SELECT b FROM t
SELECT a FROM select
SELECT a FROM a.b.c
SELECT token FROM t
SELECT 'a FROM t
SELECT a FROM t /* x
SELECT a FROM t WHERE k = (1
SELECT a FROM t WHERE k = [1, 2
SELECT a FROM t WHERE k IS NULL
INSERT INTO t VALUES (1)
INSERT INTO t (a, b) VALUES (1)
INSERT INTO t (a) VALUES (1, 2)
INSERT INTO t (a) VALUES ()
INSERT INTO t (a) VALUES (b)
INSERT t (a) VALUES (1)
UPDATE t SET a = 1
UPDATE t SET a = b + 1 WHERE k = 1
UPDATE t SET WHERE k = 1
UPDATE t SET a = 1 WHERE k = 1 IF
DELETE FROM t
DELETE * FROM t WHERE k = 1
BEGIN BATCH SELECT a FROM t APPLY BATCH
BEGIN BATCH INSERT INTO t (a) VALUES (1)
USE
USE ks.t
USE 'ks'
TRUNCATE
CREATE
CREATE TABLE t
CREATE TABLE t (k)
DROP t
GRANT SELECT TO r
EXPLAIN SELECT a FROM t
WITH x AS SELECT a FROM t
;
"""


def lines(text: str) -> list[str]:
    """One statement a line; a line that begins with a blank belongs to the one before it."""
    found: list[str] = []
    for line in text.strip("\n").split("\n"):
        if line.startswith(" "):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def corpus() -> list[tuple[str, str, str, str]]:
    """(type, keyspace, table, text) of every statement."""
    found = [("select", "ks", "t", text) for text in lines(SELECTS)]
    for line in lines(CHANGES):
        kind, text = line.split("| ", 1)
        found.append((kind, "ks", "t", text))
    found += [("batch", "", "", text) for text in lines(BATCHES)]
    for line in lines(OTHERS):
        kind, keyspace, table, text = line.split("|", 3)
        found.append((kind, keyspace, table, text.strip()))
    return found
