//! What the tables of a side schema need from outside of it, and what becomes of it where the target has it not.

use vouchsafe_capture::CaptureError;

use super::super::session::{Session, literal};
use super::target::Target;

/// So many things may be missing.
const ROUNDS: usize = 2000;

/// Something outside of the schema, and what in it needs that.
struct Need {
    /// Class and number of what needs it.
    class: String,
    number: String,
    /// What needs it, for people.
    by: String,
    /// Class, number, kind and name of what is needed.
    needed_class: String,
    needed_number: String,
    kind: String,
    name: String,
}

/// Takes types that the target does not have along; lets go what needs other things that it does not have, and gives
/// what that was. A type of an extension that the target does not have is refused.
pub(super) fn settle(
    scratch: &mut Session,
    there: &mut Session,
    target: &Target,
) -> Result<Vec<String>, CaptureError> {
    let mut stays = Vec::new();
    for _ in 0..ROUNDS {
        let Some(need) = missing(scratch, there, &target.into)? else {
            return Ok(stays);
        };
        if need.needed_class == "pg_type" {
            take_along(scratch, target, &need)?;
        } else {
            stays.push(let_go(scratch, target, &need)?);
        }
    }
    Err(refused(target, "what they need never ends"))
}

/// The first thing that the target does not have. Each is looked for anew: what is done about one changes the others.
fn missing(
    scratch: &mut Session,
    there: &mut Session,
    schema: &str,
) -> Result<Option<Need>, CaptureError> {
    for need in needs(scratch, schema)? {
        if !has(there, &need)? {
            return Ok(Some(need));
        }
    }
    Ok(None)
}

fn refused(target: &Target, message: impl Into<String>) -> CaptureError {
    CaptureError::Target {
        place: target.place(),
        message: message.into(),
    }
}

fn needs(scratch: &mut Session, schema: &str) -> Result<Vec<Need>, CaptureError> {
    let side = format!(
        "(SELECT oid FROM pg_namespace WHERE nspname = {})",
        literal(schema)
    );
    let rows = scratch.rows(&format!(
        "WITH mine(classid, objid) AS (\
         SELECT 'pg_class'::regclass::oid, c.oid FROM pg_class c WHERE c.relnamespace = {side} UNION ALL \
         SELECT 'pg_attrdef'::regclass, d.oid FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid \
         WHERE c.relnamespace = {side} UNION ALL \
         SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.connamespace = {side} UNION ALL \
         SELECT 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typnamespace = {side} UNION ALL \
         SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext s WHERE s.stxnamespace = {side}) \
         SELECT DISTINCT d.classid::regclass::text, d.objid::text, pg_describe_object(d.classid, d.objid, 0), \
         d.refclassid::regclass::text, d.refobjid::text, i.type, i.identity FROM pg_depend d \
         JOIN mine m ON m.classid = d.classid AND m.objid = d.objid, \
         LATERAL pg_identify_object(d.refclassid, d.refobjid, 0) i WHERE d.refobjid >= 16384 \
         AND d.refclassid NOT IN ('pg_namespace'::regclass, 'pg_extension'::regclass) AND NOT EXISTS (\
         SELECT FROM mine o WHERE o.classid = d.refclassid AND o.objid = d.refobjid) ORDER BY 1, 2, 4, 5"
    ))?;
    let need = |row: Vec<Option<String>>| {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        Need {
            class: next(),
            number: next(),
            by: next(),
            needed_class: next(),
            needed_number: next(),
            kind: next(),
            name: next(),
        }
    };
    Ok(rows.into_iter().map(need).collect())
}

/// Whether the target has something of that name which may be used. A sequence may not: who fills the copy would take
/// numbers away from live data.
fn has(there: &mut Session, need: &Need) -> Result<bool, CaptureError> {
    let name = literal(&need.name);
    let found = match need.needed_class.as_str() {
        "pg_type" => format!("to_regtype({name}) IS NOT NULL"),
        "pg_proc" => format!("to_regprocedure({name}) IS NOT NULL"),
        "pg_operator" => format!("to_regoperator({name}) IS NOT NULL"),
        "pg_class" if need.kind == "sequence" => return Ok(false),
        "pg_class" => format!("to_regclass({name}) IS NOT NULL"),
        "pg_collation" => format!(
            "EXISTS (SELECT FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace \
             WHERE format('%I.%I', n.nspname, l.collname) = {name})"
        ),
        "pg_opclass" => format!(
            "EXISTS (SELECT FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace \
             JOIN pg_am a ON a.oid = o.opcmethod WHERE format('%I.%I USING %I', n.nspname, o.opcname, a.amname) = {name})"
        ),
        // Seldom; where it is missing the server says so, and nothing is made.
        _ => return Ok(true),
    };
    Ok(there.text(&format!("SELECT ({found})::text"))? == "true")
}

/// Moves a type into the schema, so that the copy brings its own.
fn take_along(scratch: &mut Session, target: &Target, need: &Need) -> Result<(), CaptureError> {
    // An array goes with what it is an array of.
    let rows = scratch.rows(&format!(
        "SELECT format('ALTER TYPE %s SET SCHEMA %I', e.oid::regtype, {}) FROM pg_type t \
         JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END \
         LEFT JOIN pg_class c ON c.oid = e.typrelid WHERE t.oid = {} AND e.typtype IN ('e', 'd', 'c', 'r') \
         AND (c.oid IS NULL OR c.relkind = 'c') AND NOT EXISTS (SELECT FROM pg_depend x \
         WHERE x.classid = 'pg_type'::regclass AND x.objid = e.oid AND x.deptype = 'e')",
        literal(&target.into),
        need.needed_number
    ))?;
    match rows.into_iter().flatten().flatten().next() {
        Some(statement) => scratch.execute(&statement),
        None => Err(refused(
            target,
            format!(
                "the database has no type {}, which {} needs; create there what it comes from (an extension, a table) first, or restore into another place",
                need.name, need.by
            ),
        )),
    }
}

/// Drops what needs something that the target does not have; gives what that was.
fn let_go(scratch: &mut Session, target: &Target, need: &Need) -> Result<String, CaptureError> {
    let number = &need.number;
    let statement = match need.class.as_str() {
        "pg_attrdef" => format!(
            "SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP %s', d.adrelid::regclass, a.attname, \
             CASE a.attgenerated WHEN 's' THEN 'EXPRESSION' ELSE 'DEFAULT' END) FROM pg_attrdef d \
             JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.oid = {number}"
        ),
        "pg_constraint" => format!(
            "SELECT CASE WHEN k.conrelid <> 0 THEN format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) \
             ELSE format('ALTER DOMAIN %s DROP CONSTRAINT %I', k.contypid::regtype, k.conname) END \
             FROM pg_constraint k WHERE k.oid = {number}"
        ),
        "pg_class" => format!(
            "SELECT CASE WHEN k.oid IS NULL THEN format('DROP INDEX %s', c.oid::regclass) \
             ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) END FROM pg_class c \
             LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x') \
             WHERE c.oid = {number} AND c.relkind IN ('i', 'I')"
        ),
        "pg_statistic_ext" => format!(
            "SELECT format('DROP STATISTICS %I.%I', n.nspname, s.stxname) FROM pg_statistic_ext s \
             JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.oid = {number}"
        ),
        _ => String::new(),
    };
    let rows = match statement.is_empty() {
        true => Vec::new(),
        false => scratch.rows(&statement)?,
    };
    // Of a table's own column nothing can be let go.
    let Some(statement) = rows.into_iter().flatten().flatten().next() else {
        return Err(refused(
            target,
            format!(
                "the database has no {} {}, which {} needs; create it there first, or restore into another place",
                need.kind, need.name, need.by
            ),
        ));
    };
    scratch.execute(&statement)?;
    let why = match need.kind.as_str() {
        "sequence" => "which live data uses",
        _ => "which the target does not have",
    };
    Ok(format!(
        "the {}: it needs the {} {}, {why}",
        need.by, need.kind, need.name
    ))
}
