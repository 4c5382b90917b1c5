//! The SQL texts that read a catalog. Every column is text; every query runs on PostgreSQL 13 to 18 by any role, and all
//! of them read only tables, functions, operators and types of `pg_catalog`, whatever the search path. Run them on one
//! connection, in one transaction if it may change meanwhile: view definitions are printed relative to that connection's
//! `search_path`, which [`PATH`] reads.

use super::qualified::qualified;

/// What the rows of a query are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Source {
    Database,
    Encoding,
    Path,
    Relations,
    Columns,
    Functions,
    Types,
    Operators,
    Casts,
    ViewVersions,
    Views,
    Inherits,
    References,
    Checks,
    Keys,
    Generated,
    Hooks,
    Namespaces,
}

/// One query and which rows it answers with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query {
    /// For the journal.
    pub name: &'static str,
    /// The text, without the schema of operators and types.
    pub(crate) sql: &'static str,
    pub(crate) source: Source,
    pub(crate) columns: usize,
}

impl Query {
    /// The text to be run: it means the same under every search path.
    pub fn text(&self) -> String {
        qualified(self.sql)
    }
}

/// A query's text for both parts: `{part}` is a comparison that an oid of that part fulfils.
macro_rules! parts {
    ($system:ident, $user:ident, $name:literal, $source:ident, $columns:literal, $($piece:expr),+) => {
        const $system: Query = Query {
            name: concat!("system ", $name),
            sql: concat!($($piece, "< 16384"),+),
            source: Source::$source,
            columns: $columns,
        };
        const $user: Query = Query {
            name: concat!("user ", $name),
            sql: concat!($($piece, ">= 16384"),+),
            source: Source::$source,
            columns: $columns,
        };
    };
}

/// The database's name and the server's version.
pub const DATABASE: Query = Query {
    name: "database",
    sql: "SELECT pg_catalog.current_database()::text, pg_catalog.current_setting('server_version_num')",
    source: Source::Database,
    columns: 2,
};

/// The server's encoding of the database: names are cut at 63 bytes of it.
const ENCODING: Query = Query {
    name: "encoding",
    sql: "SELECT pg_catalog.current_setting('server_encoding')",
    source: Source::Encoding,
    columns: 1,
};

/// The effective search path, in order.
pub const PATH: Query = Query {
    name: "path",
    sql: "SELECT n::text FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS t(n, i) ORDER BY i",
    source: Source::Path,
    columns: 1,
};

const NAMESPACES: Query = Query {
    name: "namespaces",
    sql: "SELECT oid::text, nspname::text FROM pg_catalog.pg_namespace",
    source: Source::Namespaces,
    columns: 2,
};

parts!(
    SYSTEM_RELATIONS,
    USER_RELATIONS,
    "relations",
    Relations,
    7,
    "SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.reltype::text, \
     EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1')::text \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = ANY ('{r,v,m,f,p,S,t,c}'::\"char\"[]) AND c.oid "
);

parts!(
    SYSTEM_COLUMNS,
    USER_COLUMNS,
    "columns",
    Columns,
    5,
    "SELECT a.attrelid::text, a.attnum::text, a.attname::text, a.atttypid::text, \
     pg_catalog.concat(a.attgenerated::text, CASE WHEN a.attcollation = ANY ('{0,100,950}'::oid[]) THEN '' ELSE 'c' END, \
     CASE WHEN a.atttypmod = -1 THEN '' ELSE a.atttypmod::text END) \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = ANY ('{r,v,m,f,p,c}'::\"char\"[]) AND a.attrelid "
);

parts!(
    SYSTEM_FUNCTIONS,
    USER_FUNCTIONS,
    "functions",
    Functions,
    11,
    "SELECT p.oid::text, n.nspname::text, p.proname::text, p.prokind::text, p.provolatile::text, p.proretset::text, \
     p.prorettype::text, p.pronargdefaults::text, p.provariadic::text, p.proargtypes::text, \
     (SELECT pg_catalog.string_agg(coalesce(p.proargnames[i], '') || ' ' || p.proallargtypes[i]::text, ',' ORDER BY i) \
     FROM pg_catalog.generate_subscripts(p.proargmodes, 1) i WHERE p.proargmodes[i] = ANY ('{o,b,t}'::\"char\"[])) \
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid "
);

parts!(
    SYSTEM_TYPES,
    USER_TYPES,
    "types",
    Types,
    9,
    "SELECT t.oid::text, n.nspname::text, t.typname::text, \
     CASE WHEN t.typtype <> 'd' OR t.typcollation = ANY ('{0,100,950}'::oid[]) THEN t.typtype::text ELSE 'dc' END, \
     t.typbasetype::text, t.typelem::text, \
     t.typarray::text, t.typrelid::text, \
     (SELECT pn.nspname::text || '.' || p.proname::text FROM pg_catalog.pg_proc p \
     JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace WHERE p.oid = t.typinput AND p.oid >= 16384) \
     FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid "
);

parts!(
    SYSTEM_OPERATORS,
    USER_OPERATORS,
    "operators",
    Operators,
    8,
    "SELECT o.oid::text, n.nspname::text, o.oprname::text, o.oprleft::text, o.oprright::text, o.oprresult::text, \
     pn.nspname::text, p.proname::text \
     FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
     JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace \
     WHERE o.oid "
);

parts!(
    SYSTEM_CASTS,
    USER_CASTS,
    "casts",
    Casts,
    5,
    "SELECT c.castsource::text, c.casttarget::text, c.castcontext::text, \
     (SELECT n.nspname::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
     WHERE p.oid = c.castfunc AND p.oid >= 16384), \
     (SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.oid = c.castfunc AND p.oid >= 16384) \
     FROM pg_catalog.pg_cast c WHERE c.oid "
);

/// Says when a row that was written by `{xmin}` is this transaction's own, which no other has seen: its number is not below
/// the oldest running one, and it is in progress. A number that is beyond the snapshot is that of a subtransaction (or so
/// old that it means nothing any more, where a text that is read needlessly does no harm).
macro_rules! own {
    ($xmin:literal) => {
        concat!(
            "CASE WHEN w.base - ((w.base - ",
            $xmin,
            "::text::int8) % 4294967296) < w.low THEN false \
             WHEN w.base - ((w.base - ",
            $xmin,
            "::text::int8) % 4294967296) >= w.high THEN true \
             ELSE pg_catalog.pg_xact_status((w.base - ((w.base - ",
            $xmin,
            "::text::int8) % 4294967296))::text::pg_catalog.xid8) = 'in progress' END"
        )
    };
}

/// The objects of one catalog that rules use: their version, and whether this transaction wrote it.
macro_rules! used {
    ($catalog:literal, $namespace:literal) => {
        concat!(
            "SELECT u.rule, o.oid, 0 AS number, o.xmin::text || '.' || n.xmin::text AS version, ",
            own!("o.xmin"),
            " OR ",
            own!("n.xmin"),
            " AS own FROM uses u JOIN pg_catalog.",
            $catalog,
            " o ON u.class = 'pg_catalog.",
            $catalog,
            "'::pg_catalog.regclass AND o.oid = u.oid JOIN pg_catalog.pg_namespace n ON n.oid = o.",
            $namespace,
            " CROSS JOIN w"
        )
    };
}

/// The version of each view: everything that its printed definition depends on, the names of what it uses included. The
/// definition itself comes with it only where this transaction has changed something of that, or the view is temporary.
///
/// Printing a definition locks the view and all that it uses, up to the end of the transaction, and waits for whoever has
/// locked them: on a client's own connection, in the client's transaction, that must never be done to what is others'.
const VIEW_VERSIONS: Query = Query {
    name: "user view versions",
    sql: concat!(
        "WITH w AS MATERIALIZED (SELECT pg_catalog.pg_snapshot_xmin(s)::text::int8 AS low, \
         pg_catalog.pg_snapshot_xmax(s)::text::int8 AS high, \
         pg_catalog.pg_snapshot_xmax(s)::text::int8 + 2147483647 AS base FROM pg_catalog.pg_current_snapshot() AS s), \
         uses AS MATERIALIZED (SELECT DISTINCT d.objid AS rule, d.refclassid AS class, d.refobjid AS oid \
         FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid >= 16384), \
         parts AS (",
        used!("pg_class", "relnamespace"),
        " UNION ALL ",
        used!("pg_proc", "pronamespace"),
        " UNION ALL ",
        used!("pg_type", "typnamespace"),
        " UNION ALL ",
        used!("pg_operator", "oprnamespace"),
        " UNION ALL SELECT u.rule, a.attrelid, a.attnum, a.xmin::text, ",
        own!("a.xmin"),
        " FROM uses u JOIN pg_catalog.pg_attribute a \
         ON u.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attrelid = u.oid AND a.attnum > 0 CROSS JOIN w \
         UNION ALL SELECT r.oid, r.ev_class, 0, r.xmin::text, ",
        own!("r.xmin"),
        " FROM pg_catalog.pg_rewrite r CROSS JOIN w WHERE r.oid >= 16384 AND r.ev_type = '1'), \
         versions AS (SELECT rule, \
         pg_catalog.md5(pg_catalog.string_agg(oid::text || '.' || number::text || '.' || version, ',' \
         ORDER BY oid, number, version)) \
         AS version, pg_catalog.bool_or(own) AS own FROM parts GROUP BY rule), \
         paths AS MATERIALIZED (SELECT coalesce((SELECT p.name = 'pg_catalog' \
         FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS p(name, at) \
         WHERE pg_catalog.left(p.name::text, 8) <> 'pg_temp_' ORDER BY p.at LIMIT 1), false) AS are_safe) \
         SELECT c.oid::text, v.version, CASE WHEN paths.are_safe AND (v.own OR c.relpersistence = 't') \
         THEN pg_catalog.pg_get_viewdef(c.oid) END \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid AND r.ev_type = '1' \
         JOIN versions v ON v.rule = r.oid CROSS JOIN paths \
         WHERE c.relkind = ANY ('{v,m}'::\"char\"[]) AND c.oid >= 16384 \
         AND (c.relpersistence <> 't' OR c.relnamespace = pg_catalog.pg_my_temp_schema())"
    ),
    source: Source::ViewVersions,
    columns: 3,
};

/// The definitions of views, for a connection of Sluice's own: see [`view_texts`].
pub const VIEWS: Query = Query {
    name: "user views",
    sql: "SELECT c.oid::text, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c \
          WHERE c.relkind = ANY ('{v,m}'::\"char\"[]) AND c.oid >= 16384",
    source: Source::Views,
    columns: 2,
};

/// What its users made, with the definitions of all views: for whoever reads it once.
pub fn user_with_views() -> Vec<Query> {
    [USER, &[VIEWS]].concat()
}

/// The text of [`VIEWS`] for these alone.
pub fn view_texts(views: &[u32]) -> String {
    let oids: Vec<String> = views.iter().map(u32::to_string).collect();
    qualified(&format!("{} AND c.oid = ANY ('{{{}}}'::oid[])", VIEWS.sql, oids.join(",")))
}

const INHERITS: Query = Query {
    name: "user inherits",
    sql: "SELECT inhrelid::text, inhparent::text FROM pg_catalog.pg_inherits ORDER BY inhrelid, inhseqno",
    source: Source::Inherits,
    columns: 2,
};

const REFERENCES: Query = Query {
    name: "user references",
    sql: "SELECT conrelid::text, confrelid::text, confdeltype::text, confupdtype::text, \
          pg_catalog.array_to_string(confkey, ' ') FROM pg_catalog.pg_constraint WHERE contype = 'f'",
    source: Source::References,
    columns: 5,
};

/// The columns that a check looks at.
const CHECKS: Query = Query {
    name: "user checks",
    sql: "SELECT conrelid::text, pg_catalog.array_to_string(conkey, ' ') FROM pg_catalog.pg_constraint \
          WHERE contype = 'c' AND conrelid <> 0",
    source: Source::Checks,
    columns: 2,
};

/// The columns of primary keys (`p`) and of partitioned tables' keys (`k`).
const KEYS: Query = Query {
    name: "user keys",
    sql: "SELECT i.indrelid::text, 'p', i.indkey::text FROM pg_catalog.pg_index i \
          WHERE i.indisprimary AND i.indrelid >= 16384 \
          UNION ALL SELECT p.partrelid::text, 'k', p.partattrs::text FROM pg_catalog.pg_partitioned_table p",
    source: Source::Keys,
    columns: 3,
};

/// Which columns a generated one is computed from. Before version 15 the column itself depended on them, since then its
/// expression does.
const GENERATED: Query = Query {
    name: "user generated columns",
    sql: "SELECT e.adrelid::text, e.adnum::text, d.refobjsubid::text FROM pg_catalog.pg_depend d \
          JOIN pg_catalog.pg_attrdef e ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = e.oid \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum \
          WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = e.adrelid \
          AND d.refobjsubid > 0 AND d.refobjsubid <> e.adnum AND a.attgenerated <> '' \
          UNION SELECT d.objid::text, d.objsubid::text, d.refobjsubid::text FROM pg_catalog.pg_depend d \
          JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid \
          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid > 0 \
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = d.objid \
          AND d.refobjsubid > 0 AND a.attgenerated <> ''",
    source: Source::Generated,
    columns: 3,
};

/// Users' functions that run without being named, and when: rows are inserted, updated, deleted or truncated (`i`, `u`,
/// `d`, `t`), read (`s`) or sampled and indexed anew (`a`), or a value becomes a domain's (`c`). They are those of triggers
/// and their conditions, defaults, checks, indexes, partition keys, statistics and row security.
const HOOKS: Query = Query {
    name: "user hooks",
    sql: "SELECT t.tgrelid::text, \
          CASE WHEN t.tgtype & 4 <> 0 THEN 'i' ELSE '' END || CASE WHEN t.tgtype & 8 <> 0 THEN 'd' ELSE '' END \
          || CASE WHEN t.tgtype & 16 <> 0 THEN 'u' ELSE '' END || CASE WHEN t.tgtype & 32 <> 0 THEN 't' ELSE '' END, \
          n.nspname::text, p.proname::text \
          FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
          JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' \
          UNION ALL \
          SELECT x.target::text, x.event, n.nspname::text, p.proname::text \
          FROM pg_catalog.pg_depend d JOIN (\
          SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass::oid AS class, oid, adrelid AS target, 'iu' AS event \
          FROM pg_catalog.pg_attrdef \
          UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass::oid, oid, \
          CASE WHEN conrelid <> 0 THEN conrelid ELSE contypid END, CASE WHEN conrelid <> 0 THEN 'iu' ELSE 'c' END \
          FROM pg_catalog.pg_constraint WHERE contype = ANY ('{c,x}'::\"char\"[]) \
          UNION ALL SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass::oid, oid, polrelid, 'siud' \
          FROM pg_catalog.pg_policy \
          UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, indexrelid, indrelid, 'iua' \
          FROM pg_catalog.pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL \
          UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid, partrelid, partrelid, 'iu' \
          FROM pg_catalog.pg_partitioned_table \
          UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::oid, oid, stxrelid, 'a' \
          FROM pg_catalog.pg_statistic_ext \
          UNION ALL SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass::oid, oid, tgrelid, \
          CASE WHEN tgtype & 4 <> 0 THEN 'i' ELSE '' END || CASE WHEN tgtype & 8 <> 0 THEN 'd' ELSE '' END \
          || CASE WHEN tgtype & 16 <> 0 THEN 'u' ELSE '' END || CASE WHEN tgtype & 32 <> 0 THEN 't' ELSE '' END \
          FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL AND tgenabled <> 'D'\
          ) x ON d.classid = x.class AND d.objid = x.oid \
          JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid \
          AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass \
          JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid >= 16384",
    source: Source::Hooks,
    columns: 4,
};

/// Counts and sums the rows of each catalog that hold something of the users' part, and finds the newest: every change of a
/// row gives it a new `xmin` or place.
macro_rules! version_of {
    ($letter:literal, $catalog:literal, $which:literal) => {
        concat!(
            "SELECT '",
            $letter,
            "' || pg_catalog.count(*)::text || ':' || pg_catalog.sum(xmin::text::int8)::text || ':' || \
             pg_catalog.max(xmin::text::int8)::text FROM pg_catalog.",
            $catalog,
            $which
        )
    };
}

/// Asks whether anything of the users' part has changed; one row of one column.
const VERSION: &str = concat!(
    "SELECT pg_catalog.md5(pg_catalog.string_agg(v, ',' ORDER BY v)) FROM (",
    version_of!("c", "pg_class", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("a", "pg_attribute", " WHERE attrelid >= 16384"),
    " UNION ALL ",
    version_of!("p", "pg_proc", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("r", "pg_rewrite", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("n", "pg_namespace", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("t", "pg_type", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("o", "pg_operator", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("k", "pg_cast", " WHERE oid >= 16384"),
    " UNION ALL ",
    version_of!("g", "pg_trigger", ""),
    " UNION ALL ",
    version_of!("d", "pg_attrdef", ""),
    " UNION ALL ",
    version_of!("i", "pg_inherits", ""),
    " UNION ALL ",
    version_of!("f", "pg_constraint", ""),
    " UNION ALL ",
    version_of!("s", "pg_policy", ""),
    ") AS versions(v)"
);

/// The text that asks whether anything of the users' part has changed: what it answers, one value, is the same as long as
/// nothing has.
pub fn version() -> String {
    qualified(VERSION)
}

/// What the server ships; does not change while it runs.
pub const SYSTEM: &[Query] =
    &[SYSTEM_RELATIONS, SYSTEM_COLUMNS, SYSTEM_FUNCTIONS, SYSTEM_TYPES, SYSTEM_OPERATORS, SYSTEM_CASTS];

/// What its users made, and which database it is; without the definitions of views that are not this transaction's own.
pub const USER: &[Query] = &[
    DATABASE,
    ENCODING,
    PATH,
    NAMESPACES,
    USER_RELATIONS,
    USER_COLUMNS,
    USER_FUNCTIONS,
    USER_TYPES,
    USER_OPERATORS,
    USER_CASTS,
    VIEW_VERSIONS,
    INHERITS,
    REFERENCES,
    CHECKS,
    KEYS,
    GENERATED,
    HOOKS,
];
