//! The queries by which the definitions of a database are read out of `information_schema`.
//!
//! Each gives rows whose first value identifies an object and whose others define it, in a fixed order; rows of one
//! object follow each other. Nothing in them depends on the order of creation or on what the server guesses of sizes,
//! so that a database that was dumped and restored gives the same rows.

use super::super::about::About;
use super::super::programs::Product;
use super::super::session::literal;
use super::{GRANTS, SCHEMA};

/// A kind of object and the query for all of them.
pub(super) struct Catalog {
    /// What the keys begin with.
    pub(super) part: &'static str,
    pub(super) kind: &'static str,
    pub(super) sql: String,
}

/// All kinds. Tables of Aria come back with their default options written out, so these are not looked at.
pub(super) fn all(about: &About) -> Vec<Catalog> {
    let database = literal(&about.database);
    let maria = about.product == Product::MariaDb;
    let schema = |kind, sql: String| Catalog {
        part: SCHEMA,
        kind,
        sql,
    };
    let definer = |kind, name: &str, table: &str, security: &str| Catalog {
        part: GRANTS,
        kind,
        sql: format!(
            "SELECT {name}, DEFINER{security} FROM information_schema.{table} WHERE {} = {database} ORDER BY 1",
            match table {
                "VIEWS" => "TABLE_SCHEMA",
                "TRIGGERS" => "TRIGGER_SCHEMA",
                "ROUTINES" => "ROUTINE_SCHEMA",
                _ => "EVENT_SCHEMA",
            }
        ),
    };
    let routine = "CONCAT(ROUTINE_TYPE, ' ', ROUTINE_NAME)";
    vec![
        schema(
            "database",
            format!(
                "SELECT 'this', DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
                 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {database}"
            ),
        ),
        schema(
            "table",
            format!(
                "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, ROW_FORMAT, TABLE_COLLATION, \
                 IF(ENGINE = 'Aria', NULL, CREATE_OPTIONS), TABLE_COMMENT \
                 FROM information_schema.TABLES WHERE TABLE_SCHEMA = {database} ORDER BY TABLE_NAME"
            ),
        ),
        schema("columns", columns(about, &database)),
        schema("index", indexes(about, &database)),
        schema(
            "foreign key",
            format!(
                "SELECT CONCAT(r.TABLE_NAME, ' ', r.CONSTRAINT_NAME), r.UPDATE_RULE, r.DELETE_RULE, r.MATCH_OPTION, \
                 k.COLUMN_NAME, NULLIF(k.REFERENCED_TABLE_SCHEMA, {database}), k.REFERENCED_TABLE_NAME, \
                 k.REFERENCED_COLUMN_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS r \
                 JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA = r.CONSTRAINT_SCHEMA \
                 AND k.TABLE_NAME = r.TABLE_NAME AND k.CONSTRAINT_NAME = r.CONSTRAINT_NAME \
                 WHERE r.CONSTRAINT_SCHEMA = {database} AND k.TABLE_SCHEMA = {database} \
                 ORDER BY r.TABLE_NAME, r.CONSTRAINT_NAME, k.ORDINAL_POSITION"
            ),
        ),
        schema("check", checks(maria, &database)),
        schema(
            "partition",
            format!(
                "SELECT TABLE_NAME, PARTITION_NAME, SUBPARTITION_NAME, PARTITION_METHOD, SUBPARTITION_METHOD, \
                 PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION, PARTITION_DESCRIPTION, PARTITION_COMMENT \
                 FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = {database} AND PARTITION_NAME IS NOT NULL \
                 ORDER BY TABLE_NAME, PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION"
            ),
        ),
        schema(
            "view",
            format!(
                "SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, CHARACTER_SET_CLIENT, COLLATION_CONNECTION{} \
                 FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {database} ORDER BY TABLE_NAME",
                if maria { ", ALGORITHM" } else { "" }
            ),
        ),
        schema(
            "trigger",
            format!(
                "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER, \
                 ACTION_STATEMENT, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION \
                 FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {database} ORDER BY TRIGGER_NAME"
            ),
        ),
        schema(
            "routine",
            format!(
                "SELECT {routine}, DTD_IDENTIFIER, ROUTINE_DEFINITION, IS_DETERMINISTIC, SQL_DATA_ACCESS, SQL_MODE, \
                 ROUTINE_COMMENT, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION \
                 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {database} ORDER BY 1"
            ),
        ),
        schema(
            "parameters",
            format!(
                "SELECT CONCAT(ROUTINE_TYPE, ' ', SPECIFIC_NAME), PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER, \
                 CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.PARAMETERS \
                 WHERE SPECIFIC_SCHEMA = {database} ORDER BY 1, ORDINAL_POSITION"
            ),
        ),
        schema(
            "event",
            format!(
                "SELECT EVENT_NAME, TIME_ZONE, EVENT_DEFINITION, EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, \
                 INTERVAL_FIELD, SQL_MODE, STARTS, ENDS, STATUS, ON_COMPLETION, EVENT_COMMENT, CHARACTER_SET_CLIENT, \
                 COLLATION_CONNECTION, DATABASE_COLLATION \
                 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {database} ORDER BY EVENT_NAME"
            ),
        ),
        definer("view", "TABLE_NAME", "VIEWS", ", SECURITY_TYPE"),
        definer("trigger", "TRIGGER_NAME", "TRIGGERS", ""),
        definer("routine", routine, "ROUTINES", ", SECURITY_TYPE"),
        definer("event", "EVENT_NAME", "EVENTS", ""),
    ]
}

fn columns(about: &About, database: &str) -> String {
    let more = match about.product {
        Product::MySql if about.series >= (8, 0) => ", SRS_ID",
        _ => "",
    };
    format!(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT, IS_NULLABLE, COLUMN_TYPE, CHARACTER_SET_NAME, \
         COLLATION_NAME, EXTRA, COLUMN_COMMENT, GENERATION_EXPRESSION{more} FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = {database} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    )
}

fn indexes(about: &About, database: &str) -> String {
    let more = match about.product {
        Product::MySql if about.series >= (8, 0) => ", IS_VISIBLE, EXPRESSION",
        Product::MariaDb if about.series >= (10, 6) => ", IGNORED",
        _ => "",
    };
    format!(
        "SELECT CONCAT(TABLE_NAME, ' ', INDEX_NAME), NON_UNIQUE, COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, \
         INDEX_COMMENT{more} FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {database} \
         ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    )
}

fn checks(maria: bool, database: &str) -> String {
    if maria {
        return format!(
            "SELECT CONCAT(TABLE_NAME, ' ', CONSTRAINT_NAME), LEVEL, CHECK_CLAUSE \
             FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {database} ORDER BY 1, 2"
        );
    }
    format!(
        "SELECT CONCAT(t.TABLE_NAME, ' ', t.CONSTRAINT_NAME), t.ENFORCED, c.CHECK_CLAUSE \
         FROM information_schema.TABLE_CONSTRAINTS t JOIN information_schema.CHECK_CONSTRAINTS c \
         ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
         WHERE t.CONSTRAINT_SCHEMA = {database} AND t.CONSTRAINT_TYPE = 'CHECK' ORDER BY 1"
    )
}
