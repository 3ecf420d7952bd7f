//! The queries by which the schema of a database is read out of its catalogs.
//!
//! Each gives rows of three texts: what identifies an object, what defines it, and who owns it and may do what with it.
//! Nothing in them depends on internal numbers, on the order of creation or on dropped columns, so that a database that
//! was dumped and restored gives the same rows. Objects of extensions come with the extension. Catalogs are described
//! in PostgreSQL's manual, part "Internals"; columns that not every version has are read through `to_jsonb`.

/// A kind of object and the query for all of them.
pub(super) struct Catalog {
    pub(super) kind: &'static str,
    pub(super) sql: String,
}

/// All kinds.
pub(super) fn all() -> Vec<Catalog> {
    let mut out = vec![database(), schemas(), extensions(), relations(), columns()];
    out.extend([column_grants(), sequences(), constraints(), indexes()]);
    out.extend([functions(), aggregates(), types(), triggers(), rules()]);
    out.extend([policies(), event_triggers(), statistics(), publications()]);
    out.extend([comments(), default_privileges()]);
    out.extend(plain());
    out
}

/// Names of objects that are neither the system's own nor an extension's.
fn own(class: &str, alias: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{class}'::regclass AND e.objid = {alias}.oid \
         AND e.deptype = 'e')"
    )
}

const OWN_SCHEMA: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// The owner and the privileges, defaults written out: after a restore, defaults may stand there or not.
fn grants(letter: char, acl: &str, owner: &str) -> String {
    format!(
        "'owner ' || pg_get_userbyid({owner}) || '; ' || array_to_string(ARRAY(\
         SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END || ' ' || a.privilege_type \
         || CASE WHEN a.is_grantable THEN ' grantable' ELSE '' END COLLATE \"C\" \
         FROM aclexplode(coalesce({acl}, acldefault('{letter}', {owner}))) a ORDER BY 1), ', ')"
    )
}

fn catalog(kind: &'static str, sql: String) -> Catalog {
    Catalog { kind, sql }
}

fn database() -> Catalog {
    catalog(
        "database",
        format!(
            "SELECT 'this'::text, concat_ws('; ', pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, \
             to_jsonb(d)->>'datlocprovider', coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale'), \
             d.datconnlimit, array_to_string(ARRAY(SELECT coalesce(r.rolname, '') || ': ' || c.entry COLLATE \"C\" \
             FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS c(entry) \
             WHERE s.setdatabase = d.oid ORDER BY 1), ', ')), {} \
             FROM pg_database d WHERE d.datname = current_database()",
            grants('d', "d.datacl", "d.datdba")
        ),
    )
}

fn schemas() -> Catalog {
    catalog(
        "schema",
        format!(
            "SELECT n.nspname::text, ''::text, {} FROM pg_namespace n WHERE {OWN_SCHEMA} AND {}",
            grants('n', "n.nspacl", "n.nspowner"),
            own("pg_namespace", "n")
        ),
    )
}

/// Without the version: a restore takes the one that the new server has by default.
fn extensions() -> Catalog {
    catalog(
        "extension",
        "SELECT x.extname::text, n.nspname::text, ''::text FROM pg_extension x \
         JOIN pg_namespace n ON n.oid = x.extnamespace"
            .to_owned(),
    )
}

fn relations() -> Catalog {
    catalog(
        "relation",
        format!(
            "SELECT format('%I.%I', n.nspname, c.relname), concat_ws('; ', c.relkind, c.relpersistence, \
             array_to_string(c.reloptions, ','), c.relreplident, c.relrowsecurity, c.relforcerowsecurity, \
             (SELECT am.amname FROM pg_am am WHERE am.oid = c.relam AND c.relkind IN ('r', 'm')), \
             pg_get_expr(c.relpartbound, c.oid), CASE c.relkind WHEN 'p' THEN pg_get_partkeydef(c.oid) END, \
             CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, \
             CASE WHEN c.reloftype <> 0 THEN c.reloftype::regtype::text END, \
             array_to_string(ARRAY(SELECT i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = c.oid \
             ORDER BY i.inhseqno), ','), (SELECT s.srvname || ' ' || array_to_string(f.ftoptions, ',') \
             FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid)), \
             CASE c.relkind WHEN 'S' THEN {} ELSE {} END \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND {OWN_SCHEMA} AND {}",
            grants('s', "c.relacl", "c.relowner"),
            grants('r', "c.relacl", "c.relowner"),
            own("pg_class", "c")
        ),
    )
}

fn columns() -> Catalog {
    catalog(
        "columns",
        format!(
            "SELECT format('%I.%I', n.nspname, c.relname), string_agg(concat_ws(' ', quote_ident(a.attname), \
             format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END, \
             (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d \
             WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum), \
             'identity' || nullif(a.attidentity::text, ''), 'generated' || nullif(a.attgenerated::text, ''), \
             'storage ' || a.attstorage::text, 'compression ' || nullif(to_jsonb(a)->>'attcompression', ''), \
             'statistics ' || nullif(a.attstattarget, -1), array_to_string(a.attoptions, ','), \
             array_to_string(a.attfdwoptions, ','), (SELECT format('collate %I.%I', o.nspname, l.collname) \
             FROM pg_collation l JOIN pg_namespace o ON o.oid = l.collnamespace \
             WHERE l.oid = a.attcollation AND l.collname <> 'default')), ', ' ORDER BY a.attnum), ''::text \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') \
             AND {OWN_SCHEMA} AND {} GROUP BY 1",
            own("pg_class", "c")
        ),
    )
}

fn column_grants() -> Catalog {
    catalog(
        "column",
        format!(
            "SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname), ''::text, {} \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped AND {OWN_SCHEMA} AND {}",
            grants('c', "a.attacl", "c.relowner"),
            own("pg_class", "c")
        ),
    )
}

fn sequences() -> Catalog {
    catalog(
        "sequence",
        format!(
            "SELECT format('%I.%I', n.nspname, c.relname), concat_ws(' ', s.seqtypid::regtype, s.seqstart, \
             s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle, (SELECT 'owned by ' || d.refobjid::regclass \
             || '.' || a.attname FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid \
             AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid \
             AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1)), ''::text \
             FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE {OWN_SCHEMA} AND {}",
            own("pg_class", "c")
        ),
    )
}

fn constraints() -> Catalog {
    catalog(
        "constraint",
        format!(
            "SELECT coalesce(nullif(k.conrelid, 0)::regclass::text, nullif(k.contypid, 0)::regtype::text) || ' ' \
             || quote_ident(k.conname), concat_ws('; ', pg_get_constraintdef(k.oid), k.convalidated), ''::text \
             FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace \
             LEFT JOIN pg_class c ON c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid \
             WHERE k.contype <> 't' AND {OWN_SCHEMA} AND (c.oid IS NULL OR {}) AND (t.oid IS NULL OR {})",
            own("pg_class", "c"),
            own("pg_type", "t")
        ),
    )
}

fn indexes() -> Catalog {
    catalog(
        "index",
        format!(
            "SELECT format('%I.%I', n.nspname, x.relname), concat_ws('; ', pg_get_indexdef(i.indexrelid), \
             i.indisvalid, i.indisclustered, i.indisreplident), ''::text \
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
             JOIN pg_namespace n ON n.oid = x.relnamespace WHERE {OWN_SCHEMA} AND {}",
            own("pg_class", "c")
        ),
    )
}

fn functions() -> Catalog {
    catalog(
        "function",
        format!(
            "SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid), {} \
             FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
             WHERE p.prokind <> 'a' AND {OWN_SCHEMA} AND {}",
            grants('f', "p.proacl", "p.proowner"),
            own("pg_proc", "p")
        ),
    )
}

fn aggregates() -> Catalog {
    catalog(
        "aggregate",
        format!(
            "SELECT p.oid::regprocedure::text, concat_ws('; ', pg_get_function_result(p.oid), \
             g.aggtransfn::regprocedure, nullif(g.aggfinalfn::oid, 0)::regprocedure, \
             nullif(g.aggcombinefn::oid, 0)::regprocedure, g.aggtranstype::regtype, g.agginitval, p.proparallel), {} \
             FROM pg_proc p JOIN pg_aggregate g ON g.aggfnoid = p.oid JOIN pg_namespace n ON n.oid = p.pronamespace \
             WHERE {OWN_SCHEMA} AND {}",
            grants('f', "p.proacl", "p.proowner"),
            own("pg_proc", "p")
        ),
    )
}

/// Types that stand for themselves: not the row types of tables, not the arrays of other types.
fn types() -> Catalog {
    catalog(
        "type",
        format!(
            "SELECT t.oid::regtype::text, concat_ws('; ', t.typtype, array_to_string(ARRAY(SELECT e.enumlabel \
             FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder), ','), \
             CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END, t.typnotnull, t.typdefault, \
             (SELECT r.rngsubtype::regtype FROM pg_range r WHERE r.rngtypid = t.oid)), {} \
             FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid \
             WHERE (t.typrelid = 0 OR c.relkind = 'c') \
             AND NOT EXISTS (SELECT FROM pg_type el WHERE el.typarray = t.oid) AND {OWN_SCHEMA} AND {}",
            grants('T', "t.typacl", "t.typowner"),
            own("pg_type", "t")
        ),
    )
}

fn triggers() -> Catalog {
    catalog(
        "trigger",
        format!(
            "SELECT t.tgrelid::regclass::text || ' ' || quote_ident(t.tgname), \
             concat_ws('; ', pg_get_triggerdef(t.oid), t.tgenabled), ''::text \
             FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE NOT t.tgisinternal AND {OWN_SCHEMA} AND {}",
            own("pg_trigger", "t")
        ),
    )
}

fn rules() -> Catalog {
    catalog(
        "rule",
        format!(
            "SELECT r.ev_class::regclass::text || ' ' || quote_ident(r.rulename), \
             concat_ws('; ', pg_get_ruledef(r.oid), r.ev_enabled), ''::text \
             FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE r.rulename <> '_RETURN' AND {OWN_SCHEMA} AND {}",
            own("pg_class", "c")
        ),
    )
}

fn policies() -> Catalog {
    catalog(
        "policy",
        format!(
            "SELECT p.polrelid::regclass::text || ' ' || quote_ident(p.polname), concat_ws('; ', p.polcmd, \
             p.polpermissive, array_to_string(ARRAY(SELECT CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r) END \
             COLLATE \"C\" FROM unnest(p.polroles) AS r ORDER BY 1), ','), pg_get_expr(p.polqual, p.polrelid), \
             pg_get_expr(p.polwithcheck, p.polrelid)), ''::text \
             FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE {OWN_SCHEMA} AND {}",
            own("pg_policy", "p")
        ),
    )
}

fn event_triggers() -> Catalog {
    catalog(
        "event trigger",
        format!(
            "SELECT t.evtname::text, concat_ws('; ', t.evtevent, t.evtenabled, t.evtfoid::regprocedure, \
             array_to_string(t.evttags, ',')), 'owner ' || pg_get_userbyid(t.evtowner) \
             FROM pg_event_trigger t WHERE {}",
            own("pg_event_trigger", "t")
        ),
    )
}

fn statistics() -> Catalog {
    catalog(
        "statistics",
        format!(
            "SELECT format('%I.%I', n.nspname, s.stxname), pg_get_statisticsobjdef(s.oid), \
             'owner ' || pg_get_userbyid(s.stxowner) FROM pg_statistic_ext s \
             JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {OWN_SCHEMA} AND {}",
            own("pg_statistic_ext", "s")
        ),
    )
}

fn publications() -> Catalog {
    catalog(
        "publication",
        format!(
            "SELECT p.pubname::text, concat_ws('; ', p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, \
             p.pubtruncate, array_to_string(ARRAY(SELECT r.prrelid::regclass::text COLLATE \"C\" \
             FROM pg_publication_rel r WHERE r.prpubid = p.oid ORDER BY 1), ',')), \
             'owner ' || pg_get_userbyid(p.pubowner) FROM pg_publication p WHERE {}",
            own("pg_publication", "p")
        ),
    )
}

/// Comments and security labels on what is not the system's own: objects of the system have numbers below 16384, but
/// for the schema `public`.
fn comments() -> Catalog {
    catalog(
        "comment",
        "SELECT d.kind || ' ' || i.type || ' ' || i.identity, d.text, ''::text FROM (\
         SELECT 'on'::text AS kind, classoid, objoid, objsubid, description AS text FROM pg_description UNION ALL \
         SELECT 'label ' || provider, classoid, objoid, objsubid, label FROM pg_seclabel) d, \
         pg_identify_object(d.classoid, d.objoid, d.objsubid) i WHERE (d.objoid >= 16384 OR d.objoid = 2200) \
         AND d.classoid NOT IN ('pg_extension'::regclass, 'pg_largeobject'::regclass) AND NOT EXISTS (\
         SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')"
            .to_owned(),
    )
}

fn default_privileges() -> Catalog {
    catalog(
        "default privileges",
        "SELECT concat_ws(' ', pg_get_userbyid(d.defaclrole), coalesce(n.nspname, ''), d.defaclobjtype), ''::text, \
         array_to_string(ARRAY(SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END || ' ' \
         || a.privilege_type || CASE WHEN a.is_grantable THEN ' grantable' ELSE '' END COLLATE \"C\" \
         FROM aclexplode(d.defaclacl) a ORDER BY 1), ', ') \
         FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace"
            .to_owned(),
    )
}

/// Kinds of which only the presence and the owner are compared.
fn plain() -> impl Iterator<Item = Catalog> {
    let kinds = [
        ("operator", "pg_operator", Some("oprowner")),
        ("operator class", "pg_opclass", Some("opcowner")),
        ("operator family", "pg_opfamily", Some("opfowner")),
        ("cast", "pg_cast", None),
        ("conversion", "pg_conversion", Some("conowner")),
        ("collation", "pg_collation", Some("collowner")),
        ("language", "pg_language", Some("lanowner")),
        ("access method", "pg_am", None),
        ("transform", "pg_transform", None),
        (
            "text search configuration",
            "pg_ts_config",
            Some("cfgowner"),
        ),
        ("text search dictionary", "pg_ts_dict", Some("dictowner")),
        ("text search parser", "pg_ts_parser", None),
        ("text search template", "pg_ts_template", None),
        (
            "foreign-data wrapper",
            "pg_foreign_data_wrapper",
            Some("fdwowner"),
        ),
        ("server", "pg_foreign_server", Some("srvowner")),
    ];
    kinds.into_iter().map(|(kind, class, owner)| {
        let owner = owner.map_or("''::text".to_owned(), |column| {
            format!("'owner ' || pg_get_userbyid(o.{column})")
        });
        let own = own(class, "o");
        catalog(
            kind,
            format!(
                "SELECT (pg_identify_object('{class}'::regclass, o.oid, 0)).identity, ''::text, {owner} \
                 FROM {class} o WHERE o.oid >= 16384 AND {own}"
            ),
        )
    })
}
