-- What a database holds besides rows, a question for each kind of object: its name, and all that defines it.
-- Members of extensions are left out: the extension and its version stand for them. A right that nobody changed is
-- written out (acldefault), since a dump does not tell it from the same right granted.

-- kind: database
SELECT 'itself', concat_ws(' ', pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, datconnlimit,
           'owner', pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'),
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(datacl, acldefault('d', datdba))) a))
FROM pg_database WHERE datname = current_database();

-- kind: setting
SELECT coalesce(pg_get_userbyid(nullif(setrole, 0)), 'everyone'), array_to_string(setconfig, ' ')
FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database());

-- kind: schema
SELECT nspname, concat_ws(' ', 'owner', pg_get_userbyid(nspowner),
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(nspacl, acldefault('n', nspowner))) a))
FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema';

-- kind: extension
SELECT extname, extversion || ' in ' || extnamespace::regnamespace FROM pg_extension;

-- kind: relation
SELECT c.oid::regclass::text, concat_ws(' ', c.relkind, c.relpersistence, 'owner', pg_get_userbyid(c.relowner),
           (SELECT amname FROM pg_am WHERE oid = c.relam), c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
           c.relispopulated, c.reloptions, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
           (SELECT array_agg(inhparent::regclass ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
           (SELECT array_agg(ftoptions::text || srvname) FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = ftserver
            WHERE ftrelid = c.oid),
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(c.relacl,
                acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))) a))
FROM pg_class c
WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND c.relkind NOT IN ('i', 'I', 'c')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');

-- kind: column
SELECT format('%s.%I', a.attrelid::regclass, a.attname), concat_ws(' ',
           row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
           nullif(a.attcollation, 0)::regcollation, a.attnotnull, nullif(a.attidentity, ''), nullif(a.attgenerated, ''),
           pg_get_expr(d.adbin, d.adrelid), a.attstorage, nullif(a.attstattarget, -1), a.attoptions, a.attfdwoptions,
           a.attislocal, (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(a.attacl) x))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND c.relkind NOT IN ('i', 'I', 'S')
AND a.attnum > 0 AND NOT a.attisdropped
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');

-- kind: constraint
SELECT format('%s.%I', coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), conname),
       concat_ws(' ', pg_get_constraintdef(oid), convalidated, conislocal,
           contype = 'c' AND connoinherit)
FROM pg_constraint WHERE connamespace::regnamespace::text !~ '^(pg_|information_schema)' AND contype NOT IN ('n', 't');

-- kind: index
SELECT indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisready, indisclustered,
           indisreplident, indnullsnotdistinct)
FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)';

-- kind: sequence
SELECT seqrelid::regclass::text, concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache,
           seqcycle, (SELECT format('of %s column %s', refobjid::regclass, (SELECT attname FROM pg_attribute
                      WHERE attrelid = refobjid AND attnum = refobjsubid)) FROM pg_depend
                      WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND deptype IN ('a', 'i')
                      AND refclassid = 'pg_class'::regclass AND refobjsubid > 0))
FROM pg_sequence;

-- kind: view
SELECT oid::regclass::text, pg_get_viewdef(oid) FROM pg_class
WHERE relkind IN ('v', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)';

-- kind: function
SELECT p.oid::regprocedure::text, concat_ws(' ', 'owner', pg_get_userbyid(p.proowner),
           CASE p.prokind WHEN 'a' THEN (SELECT concat_ws(' ', aggtransfn, aggfinalfn, aggtranstype::regtype, agginitval)
                                         FROM pg_aggregate WHERE aggfnoid = p.oid)
           ELSE pg_get_functiondef(p.oid) END,
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a))
FROM pg_proc p WHERE p.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e');

-- kind: type
SELECT t.oid::regtype::text, concat_ws(' ', t.typtype, 'owner', pg_get_userbyid(t.typowner), t.typnotnull, t.typdefault,
           nullif(t.typbasetype, 0)::regtype, nullif(t.typcollation, 0)::regcollation,
           (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
           (SELECT concat_ws(' ', rngsubtype::regtype, rngmultitypid::regtype, rngsubdiff) FROM pg_range WHERE rngtypid = t.oid),
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) a))
FROM pg_type t WHERE t.typnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND t.typtype NOT IN ('b', 'm')
AND (t.typrelid = 0 OR (SELECT relkind FROM pg_class WHERE oid = t.typrelid) = 'c')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e');

-- kind: trigger
SELECT format('%s.%I', tgrelid::regclass, tgname), concat_ws(' ', pg_get_triggerdef(oid), tgenabled)
FROM pg_trigger WHERE NOT tgisinternal;

-- kind: rule
SELECT format('%s.%I', ev_class::regclass, rulename), concat_ws(' ', pg_get_ruledef(oid), ev_enabled)
FROM pg_rewrite WHERE rulename <> '_RETURN' AND oid >= 16384;

-- kind: policy
SELECT format('%s.%I', polrelid::regclass, polname), concat_ws(' ', polcmd, polpermissive,
           (SELECT array_agg(coalesce(pg_get_userbyid(nullif(role, 0)), 'public') ORDER BY role <> 0) FROM unnest(polroles) role),
           pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
FROM pg_policy;

-- kind: large object
SELECT oid::text, concat_ws(' ', 'owner', pg_get_userbyid(lomowner), octet_length(lo_get(oid)), md5(lo_get(oid)),
           (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(lomacl, acldefault('L', lomowner))) a))
FROM pg_largeobject_metadata;

-- kind: comment
SELECT (pg_identify_object(classoid, objoid, objsubid)).type || ' ' || (pg_identify_object(classoid, objoid, objsubid)).identity,
       description
FROM pg_description c WHERE objoid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = c.classoid AND d.objid = c.objoid AND d.deptype = 'e');

-- kind: statistics
SELECT format('%s.%I', stxnamespace::regnamespace, stxname), pg_get_statisticsobjdef(oid) FROM pg_statistic_ext;

-- kind: publication
SELECT pubname, concat_ws(' ', pubinsert, pubupdate, pubdelete, pubtruncate, puballtables, pubviaroot,
           (SELECT string_agg(format('%s (%s) where %s', prrelid::regclass, prattrs, pg_get_expr(prqual, prrelid)), ', '
                              ORDER BY prrelid::regclass::text) FROM pg_publication_rel WHERE prpubid = p.oid))
FROM pg_publication p;

-- kind: event trigger
SELECT evtname, concat_ws(' ', evtevent, evtenabled, evttags, evtfoid::regproc, pg_get_userbyid(evtowner)) FROM pg_event_trigger;

-- kind: default privilege
SELECT concat_ws(' ', pg_get_userbyid(defaclrole), nullif(defaclnamespace, 0)::regnamespace, defaclobjtype),
       (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(defaclacl) a)
FROM pg_default_acl;

-- kind: foreign server
SELECT srvname, concat_ws(' ', fdwname, pg_get_userbyid(srvowner),
           (SELECT array_agg(o ORDER BY o) FROM unnest(srvoptions) o), srvacl)
FROM pg_foreign_server JOIN pg_foreign_data_wrapper f ON f.oid = srvfdw;

-- kind: operator
SELECT o.oid::regoperator::text, concat_ws(' ', o.oprcode, o.oprresult::regtype, pg_get_userbyid(o.oprowner))
FROM pg_operator o WHERE o.oprnamespace::regnamespace::text !~ '^(pg_|information_schema)'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e');

-- kind: collation
SELECT oid::regcollation::text, concat_ws(' ', collprovider, collcollate, collencoding, pg_get_userbyid(collowner))
FROM pg_collation WHERE collnamespace::regnamespace::text !~ '^(pg_|information_schema)';

-- kind: text search configuration
SELECT c.oid::regconfig::text, concat_ws(' ', pg_get_userbyid(c.cfgowner),
           (SELECT string_agg(concat_ws(' ', maptokentype, mapseqno, mapdict::regdictionary), ', ' ORDER BY maptokentype, mapseqno)
            FROM pg_ts_config_map WHERE mapcfg = c.oid))
FROM pg_ts_config c WHERE c.cfgnamespace::regnamespace::text !~ '^(pg_|information_schema)';

-- kind: membership
SELECT format('%s of %s', pg_get_userbyid(member), pg_get_userbyid(roleid)), admin_option::text
FROM pg_auth_members WHERE ARRAY[member, roleid] && (
    SELECT array_agg(refobjid) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()));
